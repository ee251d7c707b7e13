/*
 * The parent's side of worker processes: starts them, hands each one request at a time, hears what
 * they say, ends those that pass their deadline. A worker that dies, hangs or breaks its sandbox is
 * one failed job and nothing else.
 */
#ifndef CONTROLLER_CREW_H
#define CONTROLLER_CREW_H

#include "base/message.h"
#include "base/process.h"
#include "controller/wire.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct crew; /* Opaque. */
struct job;  /* One request under way; valid until its on_end returns. */

/* HOOK: lifecycle hooks on this machine; it may run programs. */
enum crew_kind { CREW_SSH, CREW_PROVIDER, CREW_PROBER, CREW_HOOK };

struct crew_callbacks {
    /* PROGRESS, OUTPUT and ITEM messages. */
    void (*on_message)(void *context, struct job *job, const struct message *message);
    /* Its end. RESULT is the worker's, NULL when it died or was ended; TEXT (may be NULL) then says
       how. TEXT is printable, whatever a worker that a host took over may have sent. */
    void (*on_end)(void *context, struct job *job, enum work_outcome outcome,
                   const struct message *result, const char *text);
    void *context;
};

/* Forks the spawner: call it before a store is opened or a secret read. */
int crew_new(struct crew **ret_crew, struct err *e);
void crew_set_callbacks(struct crew *crew, const struct crew_callbacks *callbacks);
/* Ends every worker. NULL is fine. */
void crew_free(struct crew *crew);
struct spawner *crew_spawner(struct crew *crew);

/* A file that goes along: the worker gets a descriptor, for it may open nothing of ours. */
struct crew_file {
    const char *name; /* How the request names it. */
    const char *path;
    bool to_write; /* It is there, and the worker writes into it (a pipe). */
};

/* Borrowed for the call. */
struct crew_request {
    enum crew_kind kind;
    const struct message *message;
    const struct crew_file *files;
    size_t file_count;
    /* Names a worker that is kept afterwards with its connection, and used again for the same name;
       it must not be busy. NULL: the worker ends with its request. */
    const char *keep;
    int64_t deadline_ms; /* Monotonic. */
    void *data;          /* The caller's. */
};
/*
 * Faults when no worker could be started at all, or a file not be opened. A worker that dies before
 * it has the request ends its job like any other that dies.
 */
int crew_start(struct crew *crew, const struct crew_request *request, struct err *e);
void *job_data(const struct job *job);
int64_t job_started_ms(const struct job *job); /* Monotonic. */

size_t crew_count(const struct crew *crew); /* Jobs under way. */

/*
 * Waits until something happened, until one of EXTRA (COUNT, may be NULL) is ready (revents are
 * filled in), or until DEADLINE_MS; callbacks are called from here and may start new jobs.
 */
int crew_wait(struct crew *crew, struct pollfd *extra, size_t count, int64_t deadline_ms,
              struct err *e);

#endif
