/*
 * Talking to HAProxy's admin socket. Private to this room.
 *
 * Fixes for crashes around `del server` are not in Debian 12's 2.6.12, so there is one client at a
 * time (a lock on the host), and nothing reads statistics while a server is being deleted.
 */
#ifndef FRONTEND_HAPROXY_RUNTIME_H
#define FRONTEND_HAPROXY_RUNTIME_H

#include "base/str.h"
#include "frontend/frontend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct haproxy_host;

#define HAPROXY_BATCH_MAX 8

/* What HAProxy answered, one text a command, without its last line break. Owned. */
struct haproxy_answers {
    char *items[HAPROXY_BATCH_MAX];
    size_t count;
};
#define HAPROXY_ANSWERS_NULL ((struct haproxy_answers){.count = 0})
void haproxy_answers_deinit(struct haproxy_answers *answers);

/*
 * Sends COMMANDS (at most HAPROXY_BATCH_MAX), which must change nothing, in one go. *ret_running is
 * false, and the answers are empty, when nobody listens at the socket; E then has the words for it.
 * -1 on anything else.
 */
int haproxy_runtime_ask(const struct haproxy_host *host, const char *const *commands, size_t count,
                        struct haproxy_answers *ret_answers, bool *ret_running, struct err *e);

/* One command that changes something, formatted, whose answer must be EXPECTED to the letter (NULL:
   any; what it did is to be looked at); faults with what it was else. Of several on one line, with
   "; " between them, the first answer is meant. HAProxy that does not run is a fault too, and so is
   a host that a newer controller has (S18). */
int haproxy_runtime_tell(const struct haproxy_host *host, const char *expected, struct err *e,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A server as the process has it. */
struct haproxy_view {
    char pool[64];
    char id[64];
    char address[64]; /* With the port: "10.0.0.1:80", "[fd00::1]:80". */
    bool maintenance;
    bool draining; /* Told to; whatever its checks say. */
    bool down;     /* Its checks say so. */
    bool checked;  /* At least once since it is in this process. */
    bool passed;   /* ... and its last check passed. */
    bool cookie;   /* Clients that hold its cookie come to it; in a sticky pool only. */
    char check[64];
    int64_t sessions; /* scur + qcur. */
    int64_t since_s;
    /* Since it is in this process: a reload, and being added again, begin at 0. */
    int64_t tries;       /* Requests it was to answer. */
    int64_t failed;      /* Of those: a server's error, or none or half an answer. */
    int64_t response_ms; /* Mean of its last 1024 answers, until their headers. */
};
struct haproxy_state {
    bool running;
    char description[160];      /* Of the process: haproxy_render_description(). */
    struct haproxy_view *views; /* Owned. */
    size_t count;
    size_t capacity;
};
#define HAPROXY_STATE_NULL ((struct haproxy_state){.running = false})
void haproxy_state_deinit(struct haproxy_state *state);
/* Adds one that is nothing yet; borrowed until the next is added. */
struct haproxy_view *haproxy_state_add(struct haproxy_state *state, const char *pool,
                                       const char *id, const char *address);
const struct haproxy_view *haproxy_state_find(const struct haproxy_state *state, const char *pool,
                                              const char *id);

/* All there is to know, in one exchange. HAProxy that does not run is no fault here. */
int haproxy_runtime_state(const struct haproxy_host *host, struct haproxy_state *ret_state,
                          struct err *e);

/* Only the servers: what is cheap enough to be asked every second. */
int haproxy_runtime_look(const struct haproxy_host *host, struct haproxy_state *ret_state,
                         struct err *e);

/* The parts of it, for tests: what `show stat -1 4 -1` and `show servers state` said. */
int haproxy_parse_stat(const char *text, struct haproxy_state *state, struct err *e);
int haproxy_parse_servers(const char *text, struct haproxy_state *state, struct err *e);

enum frontend_target_state haproxy_view_state(const struct haproxy_view *view);

#endif
