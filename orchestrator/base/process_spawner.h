/*
 * The spawner's own side of base/process: the small clean process that forks the others, and what
 * it and process.c say to each other. Nobody else includes this.
 */
#ifndef BASE_PROCESS_SPAWNER_H
#define BASE_PROCESS_SPAWNER_H

#include "base/process.h"

#include <stddef.h>
#include <sys/types.h>

/* Requests to the spawner and its answers (base/message). */
enum spawner_message {
    SPAWNER_READY,   /* Said once: it is set up; SPAWNER_TEXT says why it is not. */
    SPAWNER_START,   /* SPAWNER_KIND, and the child's socket as descriptor. */
    SPAWNER_STARTED, /* SPAWNER_PID and the pidfd as descriptor; or SPAWNER_TEXT: why not. */
    SPAWNER_END,     /* SPAWNER_PID: how did it end? */
    SPAWNER_ENDED, /* SPAWNER_STATUS as wait() gives it; without: it still runs or is forgotten. */
};
enum spawner_tag { SPAWNER_KIND = 1, SPAWNER_PID, SPAWNER_STATUS, SPAWNER_TEXT };

/* The process's main: serves SOCKET until it closes, then ends its children and itself. */
_Noreturn void spawner_run(int socket, pid_t parent, const struct process_kind *kinds,
                           size_t count);

/* What every new process of ours does first: to die with PARENT, which must still be there. */
void process_tie_to_parent(pid_t parent);
/* Default signal handling, nothing blocked, a broken pipe as an error instead of a signal. */
void process_reset_signals(void);

#endif
