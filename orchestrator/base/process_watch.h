/*
 * A program that somebody else wrote, watched while it works: what it says is passed on as it
 * comes, and it is ended when it is silent, or at work, for too long.
 *
 * Whatever it has started ends with it, wherever that has put itself: between us and the program
 * stands a guard process, to which all orphans come (PR_SET_CHILD_SUBREAPER). The guard ends them
 * all when the program has ended, when it is told to, and when we are no more, by whatever signal.
 */
#ifndef BASE_PROCESS_WATCH_H
#define BASE_PROCESS_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct err;

struct process_watch {
    const char *const *argv; /* NULL at the end; argv[0] is looked for in the usual directories. */
    /* "NAME=value", beside PATH, LC_ALL and HOME; NULL at the end. NULL: nothing more. */
    const char *const *environment;
    int64_t deadline_ms; /* Monotonic. */
    int64_t silence_ms;  /* Without a byte of output; 0: as long as it likes. */
    /* Both outputs, in pieces as they come; may be NULL. */
    void (*on_output)(void *context, const char *bytes, size_t length);
    void *context;
};

enum process_watch_end {
    PROCESS_WATCH_ENDED,  /* By itself. */
    PROCESS_WATCH_SILENT, /* We ended it: it was silent for too long. */
    PROCESS_WATCH_LATE,   /* We ended it: the deadline. */
};

/*
 * Runs it to its end. *ret_status: exit status, or 128 + signal number. Faults when it cannot be
 * started. The working directory is /, standard input /dev/null.
 */
int process_watch(const struct process_watch *watch, enum process_watch_end *ret_end,
                  int *ret_status, struct err *e);

#endif
