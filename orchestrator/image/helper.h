/*
 * A helper program in a pipeline: like process_run() (base/process.h), but with descriptors of ours
 * as its input and output. What it says on standard error is kept for the message.
 */
#ifndef IMAGE_HELPER_H
#define IMAGE_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct helper {
    const char *name; /* Borrowed; argv[0]. */
    pid_t pid;        /* -1: none. */
    int said;         /* Owned; a file in memory. */
    bool late;        /* helper_end() had to kill it. */
};
#define HELPER_NULL ((struct helper){.name = NULL, .pid = -1, .said = -1})

/* INPUT and OUTPUT are borrowed; -1 is /dev/null. The program dies with this process. */
int helper_start(struct helper *helper, const char *const *argv, int input, int output,
                 struct err *e);
/* Waits for its end, kills it at DEADLINE_MS. Faults, with the last line it said, unless its exit
   status is 0 to OK_MAX. */
int helper_end(struct helper *helper, int ok_max, int64_t deadline_ms, struct err *e);
/* Kills it when it still runs; idempotent. */
void helper_deinit(struct helper *helper);

#endif
