/*
 * What is counted once a step, so that no question walks all instances again: one pass over
 * instances and targets. Made by survey_make() in memory that the caller gives, good until the
 * world changes. Used by judge() and decide(); drivers and tests may ask it too.
 */
#ifndef CORE_SURVEY_H
#define CORE_SURVEY_H

#include "core/world.h"

struct spec;

/* A host that nobody has reached for this long is given up: another is made in its place, and it is
   left as it is (S10). The time that Kubernetes' node controller gives an unreachable node's pods.
 */
#define SURVEY_LOST_GIVEN_UP_MS 300000
/* When the provider says off, the prober is given so long to say so too, or to contradict. */
#define SURVEY_SECOND_WITNESS_MS 10000
/* Starts that may fail before a dead instance is given up after all. */
#define SURVEY_RESTARTS_MAX 3

struct survey_group {
    size_t members;  /* Instances that belong to it and are not leaving. */
    size_t standing; /* Of those, the ones that count for its size: not standby, not to be replaced
                        or detached, not given up (dead, in a lost zone, in quarantine). */
    size_t live;     /* That use up room: not leaving, and not known to be dead. */
    size_t in_service;   /* Configured, running, in service. */
    size_t serving;      /* See survey_serving(). */
    size_t counted;      /* Of `serving`, those that may be counted on: baked (S11). */
    size_t ready;        /* Of `standing`, those that are counted. */
    size_t leaving;      /* Terminating, not gone yet. */
    size_t unbaked;      /* Of `serving`, those that will be counted on in time. */
    size_t unsettled;    /* In service, of which it is not known whether they serve. */
    size_t changing;     /* Being changed, repaired or removed now. */
    size_t change;       /* One of those; WORLD_NONE. */
    size_t underway;     /* Of those, the ones that do not merely wait for leave to go on. */
    size_t failed;       /* Of `changing`, those that begin anew: survey_begins_anew(). */
    size_t first_failed; /* The first of those; WORLD_NONE. */
    size_t pending;      /* Being made. */
    size_t unwanted;     /* No refresh is under way, and world_is_outdated() all the same. */
    size_t standby;
    bool woken; /* Written while deciding: when the next one is counted on is known. */
};

struct survey {
    const struct spec *spec;
    const struct world *world;
    struct survey_group *groups; /* Beside spec->groups. */
    size_t *zone_standing;       /* [group * zone_count + zone] */
    bool *serving;               /* Beside world->instances. */
    bool *known_out;
    size_t *first_target; /* Beside world->instances: its first target, or WORLD_NONE. */
    size_t *next_target;  /* Beside world->targets: the same member's next. */
    size_t disrupted;     /* In the whole cluster: being changed, repaired or removed. */
    size_t failed;        /* Of those, the ones that begin anew; */
    size_t first_failed;  /* the first of them; WORLD_NONE. */
    size_t instances;     /* In the whole cluster: in service. */
    size_t running;       /* In the whole cluster, as their providers say. */
    int64_t heard_ms;     /* Since when some host's SSH port has accepted; INT64_MAX: none does. */
    /* Written while deciding. */
    bool *acted;          /* Beside world->instances: it has its action of this step. */
    bool *balancer_taken; /* Beside world->balancers. */
};

/* Bytes that survey_make() needs for a world of these capacities. */
size_t survey_size(const struct spec *spec, const struct world *world);
/* MEMORY is the caller's, SIZE at least survey_size(), aligned as malloc does. */
void survey_make(struct survey *ret_survey, const struct spec *spec, const struct world *world,
                 void *memory, size_t size);

/*
 * Serving: every balancer in front of it says UP and the prober agrees; without a pool: it runs, in
 * service. Unknown counts as not serving.
 * Known out: it gives nothing for certain: it does not run, was never configured, or every balancer
 * has it out of traffic. Not the opposite of serving: between the two lies what is unknown.
 * A balancer that is gone is in front of nobody.
 */

/* True when some balancer has it up, gone or not: requests may come to it. */
bool survey_has_traffic(const struct survey *s, size_t instance);
/* True when it serves, and has for long enough to be counted on (S11). */
bool survey_is_counted(const struct survey *s, size_t instance);
/* True while it is being changed, repaired or removed, after it had been in service once. */
bool survey_is_changing(const struct survey *s, size_t instance);
/* True when its change in place failed, and it serves on as it was: to try again takes it out anew.
 */
bool survey_begins_anew(const struct survey *s, size_t instance);
/* True when the balancer passes no traffic for certain: its host is off, is not configured yet, or
   has left. */
bool survey_balancer_gone(const struct survey *s, size_t balancer);
/* True when it is a balancer whose admin socket answered since then, and lately. */
bool survey_answers(const struct survey *s, size_t instance, int64_t since_ms);
/* True when it cannot be asked or told anything: gone, or nobody reaches its host. */
bool survey_balancer_silent(const struct survey *s, size_t balancer);

/*
 * Its provider says that it is off or gone, and nothing speaks against it: its SSH port does not
 * accept, or nobody has said anything of that port for a while, and its pool's check does not pass.
 */
bool survey_is_off(const struct world *world, size_t instance);
/* Since when its provider's word stands alone, where nobody knows of its SSH port. */
int64_t survey_alone_ms(const struct world_instance *it);
/* True when it is given up: it is known to be dead, its whole zone is lost, or it is in quarantine,
   so others are made in its place before it is seen to. */
bool survey_given_up(const struct survey *s, size_t instance);
/*
 * What the provider says is off: true when it is to be started again as it is, false when it is to
 * be replaced. One alone is replaced, where its group says so: what is on its disk is not to be
 * trusted. Where many are off at once it was the power, and nothing is destroyed (S4).
 */
bool survey_restarts_dead(const struct survey *s, size_t instance);

#endif
