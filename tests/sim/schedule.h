/*
 * One schedule: a cluster, what happens to it, and what must hold, all from one seed. It begins
 * from nothing, is troubled for 80 minutes of simulated time, then everything that went wrong
 * stops, an operator mends what the controller says it is stuck with, and within a bound it must
 * come to rest as its file says.
 */
#ifndef SIM_SCHEDULE_H
#define SIM_SCHEDULE_H

#include "rehearse/fault.h"
#include "sim/cluster.h"
#include "sim/watch.h"

#define SCHEDULE_TROUBLE_MS (80 * 60000)
/* Two hours, and as much again where a hold of an hour (S13) was earned. */
#define SCHEDULE_END_MS (240 * 60000)

/* What was done by hand: requests, and changes of the file. */
enum schedule_change { SCHEDULE_ROLES, SCHEDULE_SIZE };
#define SCHEDULE_CHANGES (SCHEDULE_SIZE + 1)

/* How often everything was seen; added up over many. */
struct schedule_counts {
    size_t schedules, violations;
    size_t faults[FAULTS];
    size_t events[ENGINE_EVENTS];
    size_t requests[ENGINE_REQUESTS];
    size_t changes[SCHEDULE_CHANGES];
    size_t actions[ACTION_REFRESH + 1];
    size_t reasons[REASON_ORPHAN + 1]; /* Given by decide(), or by why. */
    size_t decisions, steps;
    size_t rules[WATCH_RULES]; /* Violations of each. */
    int64_t simulated_ms;
    int64_t settled_ms_most; /* The longest way to rest. */
};
void schedule_counts_add(struct schedule_counts *to, const struct schedule_counts *from);

/* What to run. */
struct schedule_options {
    uint64_t seed;
    bool verbose; /* A transcript on standard output. */
};

/* True when all held; else RET_WATCH->violation says what did not. */
bool schedule_run(const struct schedule_options *options, struct schedule_counts *counts,
                  struct watch_violation *ret_violation);

#endif
