/*
 * What a person sees while the loop turns. On a terminal: finished steps scroll up, below them one
 * line a host that is worked on (what it does, for how long). In a pipe: a plain line a finished
 * step. With --json: an object a line.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/cli.h"
#include "controller/controller.h"

struct progress; /* Opaque. */

struct progress *progress_new(const struct cli *cli);
void progress_free(struct progress *progress); /* Clears the live lines. NULL is fine. */
struct controller_watch progress_watch(struct progress *progress);

#endif
