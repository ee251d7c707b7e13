/*
 * Where HAProxy lives on its host, and the one way to do something there: a command with input and
 * output. Over an ssh_link in service; tests put a local process in its place. Private to this
 * room.
 */
#ifndef FRONTEND_HAPROXY_HOST_H
#define FRONTEND_HAPROXY_HOST_H

#include "base/str.h"

#include <stdint.h>

struct err;
struct frontend_balancer;
struct frontend_target;

/* What tests put elsewhere. All borrowed; paths are absolute. */
struct haproxy_paths {
    const char *config; /* Its directory is what clients of the socket lock: always there. */
    const char *socket; /* The admin socket. */
    const char *chroot;
    const char *user; /* Also the group. */
    const char *log;  /* Target of the `log` line. */
    /* Shell text: makes the process take the file, by reload when it runs, else by start. */
    const char *reload;
    /* Shell text: what HAProxy said since $since (seconds of the host's clock). */
    const char *words;
    const char *state; /* Ours on the host: who may change it (S18). */
};

/* As Debian's package and role haproxy have it. */
extern const struct haproxy_paths haproxy_paths_debian;

/* What a command left. Both owned. */
struct haproxy_output {
    struct str out;
    struct str err;
    int status;
};
#define HAPROXY_OUTPUT_NULL ((struct haproxy_output){.status = -1})
void haproxy_output_deinit(struct haproxy_output *output);

struct haproxy_host {
    /* Runs COMMAND (shell text) with INPUT (may be NULL) to its end. Any exit status is 0 here; -1
       when it could not be run or watched to its end. *RET_OUTPUT was initialised by the caller. */
    int (*run)(void *context, const char *command, const struct str *input, int64_t deadline_ms,
               struct haproxy_output *ret_output, struct err *e);
    void *context; /* Borrowed. */
    const struct haproxy_paths *paths;
    int64_t epoch; /* Of the controller that acts; a host that has seen a higher one refuses. */
    /* As in struct frontend_balancer. */
    void (*on_look)(void *context, const struct frontend_target *targets, size_t count);
    void *look_context;
};

/* A host reached over its link (borrowed). */
struct haproxy_host haproxy_host_of(const struct frontend_balancer *balancer);

/*
 * Runs SCRIPT (POSIX shell) on the host, holding the lock that every client of the socket and every
 * writer of the file holds. Faults also when the lock cannot be had.
 */
int haproxy_host_script(const struct haproxy_host *host, const char *script,
                        const struct str *input, int64_t deadline_ms,
                        struct haproxy_output *ret_output, struct err *e);

/*
 * The same for a script that changes something: not before the host has taken our epoch, under the
 * same lock. Faults, with nothing changed, when it has seen a higher one.
 */
int haproxy_host_write(const struct haproxy_host *host, const char *script, const struct str *input,
                       int64_t deadline_ms, struct haproxy_output *ret_output, struct err *e);

/* Adds the `flock DIRECTORY` words that a command starts with to hold that lock. */
void haproxy_host_add_lock(const struct haproxy_host *host, struct str *command);

/* The last line of TEXT that says something, for messages; adds nothing when there is none. */
void haproxy_add_last_line(struct str *s, const struct str *text);

/* Waits without working. */
void haproxy_sleep(int64_t span_ms);

#endif
