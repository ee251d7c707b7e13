/*
 * What was observed: the input of decide() beside the spec. Plain arrays that the caller owns;
 * nothing here allocates. Indices refer to the arrays of the spec and of the world itself.
 *
 * Three kinds of member, told apart because three hands write them:
 *   observed   by the driver (controller, simulator, rehearse), as it hears of it
 *   recorded   by the driver, from the store; changed by world_begin(), world_end() and requests
 *   judged     by judge() alone, from the other two
 */
#ifndef CORE_WORLD_H
#define CORE_WORLD_H

#include "core/damping.h"
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

/* What an operator (or the ladder) wants of one instance. Kept in stores: append only. */
enum world_wish {
    WORLD_WISH_NONE = 0,
    WORLD_WISH_STANDBY = 1, /* In service, but without traffic, until in-service is asked for. */
    WORLD_WISH_REPLACE = 2, /* Another takes its place, then it ends. */
    WORLD_WISH_DETACH = 3,  /* Leaves its group and runs on, untouched. */
    WORLD_WISH_REFRESH = 4, /* As REPLACE, but the wish of its group's refresh, and gone with it. */
};

/* An image is taken of it: asked for, and granted by the budget (S3). Kept in stores: append only.
 */
enum world_capture {
    WORLD_CAPTURE_NONE = 0,
    WORLD_CAPTURE_WANTED = 1,
    WORLD_CAPTURE_GRANTED = 2,
};

/* How far the refresh of a group is. Kept in stores: append only. */
enum world_refresh_state {
    WORLD_REFRESH_NONE = 0, /* There never was one. */
    WORLD_REFRESH_RUNNING = 1,
    WORLD_REFRESH_CHECKPOINT = 2, /* Waits for its delay, or for an operator's word. */
    WORLD_REFRESH_BAKING = 3,     /* All is replaced, and watched for a while. */
    WORLD_REFRESH_BACK = 4,       /* The same way back, to what ran before. */
    WORLD_REFRESH_DONE = 5,
    WORLD_REFRESH_CANCELLED = 6, /* By an operator: what is replaced stays. */
    WORLD_REFRESH_STOPPED = 7,   /* By an alarm or a failure, where no rollback was wanted. */
    WORLD_REFRESH_ROLLED_BACK = 8,
};
/* What becomes of instances that are protected, or in standby. Kept in stores: append only. */
enum world_refresh_policy {
    WORLD_REFRESH_WAIT = 0, /* It waits for them: for an unprotect, an in-service. */
    WORLD_REFRESH_REPLACE = 1,
    WORLD_REFRESH_IGNORE = 2, /* They stay as they are. */
};

/* The repair ladder (S8), lowest first. Kept in stores: append only. */
enum world_rung {
    WORLD_RUNG_NONE = 0,
    WORLD_RUNG_RESTART = 1, /* Its roles applied, their services restarted. */
    WORLD_RUNG_REBOOT = 2,  /* By its own system, over SSH. */
    WORLD_RUNG_CYCLE = 3,   /* Power off and on, by the provider. */
    WORLD_RUNG_REPLACE = 4,
    WORLD_RUNG_QUARANTINE = 5,
};

/* What a group may be told not to do (`group suspend`); bits. Kept in stores: append only. */
enum world_process {
    WORLD_PROCESS_LAUNCH = 1 << 0,
    WORLD_PROCESS_TERMINATE = 1 << 1,
    WORLD_PROCESS_HEALTH_CHECK = 1 << 2, /* Nothing is judged: unhealthy instances stay. */
    WORLD_PROCESS_REPLACE = 1 << 3,      /* Judged, but not mended. */
    WORLD_PROCESS_REBALANCE = 1 << 4,
    WORLD_PROCESS_SCHEDULE = 1 << 5,
    WORLD_PROCESS_POLICIES = 1 << 6,
    WORLD_PROCESS_ADD_TO_BALANCER = 1 << 7,
    WORLD_PROCESS_CHANGE = 1 << 8, /* In place: roles that differ. */
};

/* What all witnesses together say of one instance. */
enum world_verdict {
    WORLD_VERDICT_NONE,     /* Not judged: not in service, in grace, suspended. */
    WORLD_VERDICT_OK,       /* All that were asked say it is well. */
    WORLD_VERDICT_UNKNOWN,  /* Somebody has not answered yet. Unknown is not failed (S10). */
    WORLD_VERDICT_DISPUTED, /* One says dead, another says well. */
    WORLD_VERDICT_FLAPPING, /* Changes too often to be believed (S13). */
    WORLD_VERDICT_UNREADY,  /* The host lives, its service does not answer (S12). */
    WORLD_VERDICT_LOST,     /* Nobody can reach the host; the provider does not say it is off. */
    WORLD_VERDICT_DEAD,     /* The provider says it is off or gone. */
};
const char *world_verdict_to_string(enum world_verdict verdict); /* "unready" */
/* Unready, lost or dead. */
bool world_verdict_is_bad(enum world_verdict verdict);
/* Its provider says that it does not run: off, or not there. */
bool world_power_is_off(enum world_power power);
const char *world_rung_to_string(enum world_rung rung); /* "reboot" */
const char *world_wish_to_string(enum world_wish wish); /* "standby" */
/* "replace"; 0 when there is no such process. */
enum world_process world_process_from_string(const char *name);
const char *world_process_to_string(enum world_process process);
/* All names, NULL-terminated. */
extern const char *const world_process_names[];
const char *world_refresh_to_string(enum world_refresh_state state); /* "rolling back" */
/* It goes on by itself: running, at a checkpoint, baking, or on its way back. */
bool world_refresh_is_active(enum world_refresh_state state);
/* The same, but for the way back: what it brings is on trial. */
bool world_refresh_goes_forth(enum world_refresh_state state);

/* What one witness says, and since when. Observed. */
struct world_witness {
    enum world_health health;
    int64_t since_ms;
};

struct world_instance {
    char id[WORLD_ID_SIZE];
    size_t group; /* In spec->groups; WORLD_NONE when the file no longer has it. */
    size_t zone;  /* In spec->zones; WORLD_NONE likewise. */
    unsigned number;

    /* Recorded. */
    enum lifecycle lifecycle;
    enum world_wish wish;
    bool protect; /* From scale-in and from replacement for age or balance. */
    bool paused;
    bool greeted;     /* SSH answered with the right key, facts are known. */
    bool configured;  /* All roles were applied at least once. */
    int64_t made_ms;  /* When its record was made; may be negative (before this machine's boot). */
    int64_t ready_ms; /* Last configured or started: its grace counts from here (S11). */
    int64_t in_service_ms; /* Last came into service: its bake time counts from here. */
    enum world_rung rung;
    int64_t rung_ms;    /* When the action of that rung ended. */
    unsigned rebuilds;  /* Of its machine, in the last 24 h (S9); 0 for what is made anew. */
    bool hook_done;     /* Of the transition it waits in (pending:wait, terminating:wait). */
    bool hook_abandon;  /* It ended with abandon. */
    int64_t hook_ms;    /* When the hook began; 0: not begun. */
    bool change_failed; /* It was changed in service, and that failed. */
    enum world_failure failure;
    int64_t failures; /* In a row. */
    int64_t failed_ms;
    uint64_t content; /* What it was made from (the first 64 bits of its image's tree digest, or of
                         what the provider says its root stands on); 0: not known. */
    enum world_capture capture;

    /* Observed. */
    enum world_power power; /* UNKNOWN again when the provider has not answered for long. */
    int64_t power_ms;       /* When it became so. */
    /* That was said before a launch whose end nobody saw: it may have come about. */
    bool power_doubtful;
    /* The provider can switch it off and on, and says truly whether it runs. False for a static
       host: its power is only assumed. */
    bool power_witnessed;
    enum world_drift drift;
    int64_t drift_count;         /* Resources that differ, with DRIFT_PENDING. */
    struct world_witness health; /* Readiness: the pool's check, by the prober. */
    struct world_witness alive;  /* Liveness: its SSH port accepts, by the prober. */
    struct world_witness custom; /* The group's check-command. */
    int64_t custom_ms;           /* When that last ended; 0: never. */
    struct damping damping;      /* Of health. */
    bool busy;                   /* An action on it is under way. */
    bool changing;               /* And it is one that takes it out of service. */

    /* Judged. */
    enum world_verdict verdict;
    int64_t verdict_ms;          /* Since when. */
    enum world_verdict evidence; /* The same, also when its group's health checks are paused. */
};

/* A frontend's view of one member of one of its pools, on one of its balancers. Observed. */
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
    bool doubtful;  /* An admission failed, or may have been begun before we were started, and may
                       come about yet: only a removal ends that. */
    bool may_leave; /* A removal failed, and may come about yet: only an admission ends that. */
};

enum world_sync { WORLD_SYNC_UNKNOWN, WORLD_SYNC_DIFFERS, WORLD_SYNC_DONE };
/* One balancer: an instance of a frontend's group. Observed. */
struct world_balancer {
    size_t instance;
    size_t frontend;
    enum world_sync sync;
    int64_t seen_ms; /* When it last told its targets' states; INT64_MIN: never. */
    bool busy;       /* An action on it, for itself or for a member, is under way. */
};

/* A condition that is believed at once, and disbelieved only when it has been over for a while. */
struct world_latch {
    bool on;
    int64_t since_ms; /* When it came on; with !on: when it went off. */
    bool holds;       /* The condition, when it was last looked at. */
    int64_t seen_ms;  /* While on, and it does not hold: when it was first seen not to. */
};

/* The circuit breaker (S4) of a group or a zone. Judged. */
struct world_breaker {
    struct world_latch open; /* Nothing destructive. */
    unsigned well;           /* Members that all who were asked say are well, */
    int64_t well_ms;         /* and since when the first of them is; INT64_MAX: none. */
    unsigned judged;         /* Members that are judged at all. */
    unsigned tolerated;      /* How many of them may be bad. */
    unsigned bad;            /* Of those, the ones that are unready, lost or dead. */
    unsigned unready;        /* Of the bad ones, those whose host lives, */
    unsigned lost;           /* and those that nobody reaches. */
};

/*
 * The refresh of a group: its members are replaced, one after the other, by new ones made from
 * other content. The terms are those of EC2's instance refresh (RefreshPreferences). One at a time;
 * how the last one ended is kept.
 */
#define WORLD_CHECKPOINTS_MAX 8
struct world_refresh {
    /* Recorded. */
    enum world_refresh_state state;
    int64_t since_ms; /* In this state. */
    int64_t began_ms;
    uint64_t wanted;    /* The content that every member is to have. */
    uint64_t before;    /* What most of them ran when it began: the way back leads there. */
    bool all;           /* Also members that have the wanted content already. */
    bool rollback;      /* By itself, on an alarm or a failure. */
    int64_t warm_up_ms; /* A new one counts only after that long in service, if that is longer
                           than its group's bake time. */
    int64_t bake_ms;    /* At the end. */
    unsigned checkpoints[WORLD_CHECKPOINTS_MAX]; /* Percent replaced, ascending. */
    size_t checkpoint_count;
    size_t checkpoints_passed;
    int64_t checkpoint_delay_ms; /* -1: until an operator says go on. */
    enum world_refresh_policy protected_ones;
    enum world_refresh_policy standby_ones;
    unsigned failed; /* New ones that were ended without having come into service. */

    /* Observed: its alarm command, or what balancers count of the new against the old. */
    enum world_health alarm;
};

/* Beside spec->groups[i]. */
struct world_group {
    /* Recorded. */
    unsigned desired;   /* The file's, or what was set by hand since. */
    unsigned suspended; /* enum world_process bits. */
    bool paused;
    unsigned next_number;     /* No number is used twice. */
    unsigned failed_launches; /* In a row: never came into service (S9). */
    int64_t disrupted_ms;     /* When the last disruption ended. INT64_MIN: none known. */
    int64_t size_changed_ms;  /* When an instance was last added or ended for its size. */
    uint64_t content;         /* What new instances are made from; 0: as the file says. */
    struct world_refresh refresh;

    struct world_breaker breaker; /* Judged. */
};

/* Beside spec->zones[i]. Judged. */
struct world_zone {
    struct world_latch lost;      /* As a whole (S6). */
    struct world_breaker breaker; /* Over all instances in it. */
};

struct world {
    int64_t now_ms; /* Monotonic. */
    size_t slots;   /* Actions that may be begun now. */
    bool paused;    /* The cluster (S22). Recorded. */

    /* The driver goes on for ever (`run`): what failed is tried again, more and more seldom. Else
       (`apply`, plan) it is given up after a few tries, so that there is an end. */
    bool tireless;

    /* Judged: most of what I see is gone, so it is me who is cut off (S5). */
    struct world_latch frozen;
    unsigned gone, seen; /* Of the hosts that should answer, how many do not. */
    bool prober_errs;    /* Of a host that answers us: its word alone makes nobody lost. */

    struct world_instance *instances;
    size_t instance_count;
    size_t instance_capacity; /* Room for what world_end() adds. */

    struct world_balancer *balancers;
    size_t balancer_count;
    size_t balancer_capacity;

    struct world_target *targets; /* Every pair that the spec asks for, whatever its state. */
    size_t target_count;
    size_t target_capacity;

    struct world_group *groups; /* As many as spec->groups. */
    struct world_zone *zones;   /* As many as spec->zones. */

    /* The caller's array. room[group * zone_count + zone]: how many more instances of the group the
     * zone can take. */
    size_t *room;
};

struct spec;

/* Sets groups and zones to how a new cluster begins: what the file says, nothing judged. */
void world_groups_init(const struct spec *spec, struct world *world);

/* Another is to take its place. */
bool world_wish_is_replace(enum world_wish wish);
/* It is to leave its group, one way or the other. */
bool world_wish_is_to_go(enum world_wish wish);
/* True when it is leaving or has left: no member of its group any more. */
bool world_leaving(enum lifecycle lifecycle);
/* Adds the balancers and targets that the spec asks for and the world lacks, as UNKNOWN. */
void world_complete(const struct spec *spec, struct world *world);
/* The same where all was complete before the last instance was added: without a look at each of the
   others' targets. */
void world_complete_last(const struct spec *spec, struct world *world);
/* The lifecycle hook that one of GROUP waits for in WAITING (pending:wait, terminating:wait); NULL:
   there is none, or it is another state. */
const struct spec_hook *world_hook(const struct spec *spec, size_t group, enum lifecycle waiting);
/* The healthy minimum of a group, as a count: rounded up. */
size_t world_healthy_minimum(const struct spec *spec, const struct world *world, size_t group);
/* What is now known of its power: by its provider, or because a step made it so. */
void world_set_power(struct world *world, size_t instance, enum world_power power);
/* How long INSTANCE must have been in service before it is counted on (S11). */
int64_t world_bake_ms(const struct spec *spec, const struct world *world, size_t instance);
/* Its group's refresh, under way, is to replace it. */
bool world_is_outdated(const struct world *world, size_t instance);
/* INSTANCE is to leave its group; what a refresh wished that has turned back since is void. */
bool world_is_to_go(const struct world *world, size_t instance);
/* How many live instances a group may have for a while, so that launch comes before terminate:
   healthy-max of desired, rounded down, but at least its max. */
size_t world_most(const struct spec *spec, const struct world *world, size_t group);

#endif
