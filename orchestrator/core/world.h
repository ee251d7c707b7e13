/*
 * What was observed: the input of decide() beside the spec. Plain arrays that the caller owns;
 * nothing here allocates. Indices refer to the arrays of the spec and of the world itself.
 */
#ifndef CORE_WORLD_H
#define CORE_WORLD_H

#include "core/lifecycle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_NONE      ((size_t)-1)
#define WORLD_ID_SIZE   80
#define WORLD_ZONES_MAX 256 /* The cluster file is held to it. */

enum world_power { WORLD_POWER_UNKNOWN, WORLD_POWER_ABSENT, WORLD_POWER_OFF, WORLD_POWER_RUNNING };
/* Does the host differ from its roles? */
enum world_drift { WORLD_DRIFT_UNKNOWN, WORLD_DRIFT_NONE, WORLD_DRIFT_PENDING };
enum world_health { WORLD_HEALTH_UNKNOWN, WORLD_HEALTHY, WORLD_UNHEALTHY };
/* How the last action on an instance ended, when it failed. */
enum world_failure {
    WORLD_FAILURE_NONE,
    WORLD_FAILURE_TRANSIENT, /* The line, a deadline: worth another try. */
    WORLD_FAILURE_PERMANENT, /* A resource failed, a key did not match: a human must look. */
};

struct world_instance {
    char id[WORLD_ID_SIZE];
    size_t group; /* In spec->groups; WORLD_NONE when the file no longer has it. */
    size_t zone;  /* In spec->zones; WORLD_NONE likewise. */
    unsigned number;
    enum lifecycle lifecycle;
    enum world_power power;
    bool greeted;    /* SSH answered with the right key, facts are known. */
    bool configured; /* All roles were applied at least once. */
    enum world_drift drift;
    int64_t drift_count; /* Resources that differ, with DRIFT_PENDING. */
    enum world_health health;
    int64_t
        ready_ms; /* When it was last configured, or this run began: its grace counts from here. */
    bool busy;    /* An action on it is under way. */
    enum world_failure failure;
    int64_t failures; /* In a row. */
    int64_t failed_ms;
};

/* A frontend's view of one member of one of its pools, on one of its balancers. */
enum world_target_state {
    WORLD_TARGET_UNKNOWN,
    WORLD_TARGET_ABSENT,
    WORLD_TARGET_INITIAL,
    WORLD_TARGET_UP,
    WORLD_TARGET_DOWN,
    WORLD_TARGET_DRAINING,
    WORLD_TARGET_MAINTENANCE,
};
struct world_target {
    size_t member;   /* Instance. */
    size_t balancer; /* In world->balancers. */
    enum world_target_state state;
};

enum world_sync { WORLD_SYNC_UNKNOWN, WORLD_SYNC_DIFFERS, WORLD_SYNC_DONE };
/* One balancer: an instance of a frontend's group. */
struct world_balancer {
    size_t instance;
    size_t frontend;
    enum world_sync sync;
    bool busy; /* An action on it, for itself or for a member, is under way. */
};

struct world {
    int64_t now_ms; /* Monotonic. */
    size_t slots;   /* Actions that may be begun now. */

    struct world_instance *instances;
    size_t instance_count;
    size_t instance_capacity; /* Room for what core/expect adds. */

    struct world_balancer *balancers;
    size_t balancer_count;
    size_t balancer_capacity;

    struct world_target *targets; /* Every pair that the spec asks for, whatever its state. */
    size_t target_count;
    size_t target_capacity;

    /* The caller's array. room[group * zone_count + zone]: how many more instances of the group the
     * zone can take. */
    size_t *room;
};

struct spec;

/* Serving: every balancer in front of it says UP and the prober agrees; without a pool: it runs,
   in service. Unknown counts as not serving. */
bool world_serving(const struct spec *spec, const struct world *world, size_t instance);
/* Known to give nothing: it does not run, was never configured, or every balancer has it out of
   traffic. Not the opposite of serving: between the two lies what is unknown. */
bool world_known_out(const struct spec *spec, const struct world *world, size_t instance);
size_t world_serving_count(const struct spec *spec, const struct world *world, size_t group);
/* The healthy minimum of a group, as a count: rounded up. */
size_t world_healthy_minimum(const struct spec *spec, size_t group);
/* Instances of a group that are to stay. */
size_t world_member_count(const struct spec *spec, const struct world *world, size_t group);
/* Adds the balancers and targets that the spec asks for and the world lacks, as UNKNOWN. */
void world_complete(const struct spec *spec, struct world *world);

#endif
