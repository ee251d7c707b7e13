/*
 * What an action does to the world: when it begins, and when it has ended. The one place that
 * knows, for all drivers: the controller (which then adds what the answer told), the simulator,
 * `rehearse`, and `plan`, for which every action ends well.
 */
#ifndef CORE_OUTCOME_H
#define CORE_OUTCOME_H

#include "core/decide.h"

enum outcome {
    OUTCOME_DONE,
    OUTCOME_TRANSIENT, /* Failed; worth another try. */
    OUTCOME_PERMANENT, /* Failed; a human must look. */
};

/* It is under way: busy. Actions that only change records are never begun, only ended. */
void world_begin(const struct spec *spec, struct world *world, const struct action *action);
/*
 * It has ended at world->now_ms. With OUTCOME_DONE the world is as it promises; what only the
 * answer tells (facts, drift that INSPECT found, what balancers said of targets) is the driver's to
 * set after this. ADD needs room in world->instances, balancers and targets; the new instance is
 * the last one.
 */
void world_end(const struct spec *spec, struct world *world, const struct action *action,
               enum outcome outcome);
/*
 * What one hopes to see after ACTION, for plan: it ended well, and what it was to reach is there:
 * no drift, healthy, every balancer as asked.
 */
void world_expect(const struct spec *spec, struct world *world, const struct action *action);

/* A detached INSTANCE is in its group again, as if it had just been made: who it is, and what it
   has, is looked at anew. */
void world_attach(const struct spec *spec, struct world *world, size_t instance);
/* A human has seen to INSTANCE: what failed is tried anew, and one in quarantine comes back. */
void world_retry(struct world *world, size_t instance);

/* Beginning, going on, ending: what an operator's requests do to the refresh of a group. */
/* ASKED: what is wanted of it; state, times and counts are set here. */
void world_refresh_begin(struct world *world, size_t group, const struct world_refresh *asked);
/* Past the checkpoint it waits at; false when it waits at none. */
bool world_refresh_go_on(struct world *world, size_t group);
/* Cancelled: what is replaced stays, what is not is left as it is, and new instances are made from
   what they were made from before. Or, BACK, rolled back. False when it cannot be. */
bool world_refresh_end(struct world *world, size_t group, bool back);

/* "web-1" of group NAME and NUMBER. */
void instance_id(char ret_id[WORLD_ID_SIZE], const char *group, unsigned number);

#endif
