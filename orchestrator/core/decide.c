#include "core/decide.h"

#include "core/placement.h"
#include "spec/spec.h"

#include <assert.h>
#include <string.h>

/*
 * One step looks at each group (its size), then at each instance (the next thing it needs), then at
 * each balancer. An instance gets at most one action a step, and none while one is under way. The
 * chain an instance walks is: made, greeted, configured, compared, serving; at each link the world
 * alone says whether it is done, so a link that came apart is simply done again.
 */

#define TRIES_MAX     3
#define RETRY_BASE_MS 2000 /* Doubles with each failure. */

struct step {
    const struct spec *spec;
    const struct world *world;
    struct decision *d;
    size_t slots;
};

const char *action_kind_to_string(enum action_kind kind)
{
    switch (kind) {
    case ACTION_ADD: return "add";
    case ACTION_LAUNCH: return "launch";
    case ACTION_GREET: return "greet";
    case ACTION_INSPECT: return "inspect";
    case ACTION_CONFIGURE: return "configure";
    case ACTION_COMPARE: return "compare";
    case ACTION_SYNC: return "sync";
    case ACTION_ADMIT: return "admit";
    case ACTION_REMOVE: return "remove";
    case ACTION_TERMINATE: return "terminate";
    case ACTION_MARK: return "mark";
    }
    return "unknown";
}

bool action_kind_has_effect(enum action_kind kind)
{
    switch (kind) {
    case ACTION_LAUNCH:
    case ACTION_CONFIGURE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_REMOVE:
    case ACTION_TERMINATE: return true;
    case ACTION_ADD:
    case ACTION_GREET:
    case ACTION_INSPECT:
    case ACTION_COMPARE:
    case ACTION_MARK: return false;
    }
    return false;
}

/* What the step says. */

static void act(struct step *s, struct action action)
{
    bool needs_worker = action.kind != ACTION_ADD && action.kind != ACTION_MARK;
    if (s->d->action_count == s->d->action_capacity || (needs_worker && s->slots == 0)) {
        return; /* The next step says it again. */
    }
    s->slots -= needs_worker ? 1 : 0;
    s->d->actions[s->d->action_count++] = action;
}

static struct action action_on(const struct step *s, enum action_kind kind, size_t instance,
                               struct reason reason)
{
    const struct world_instance *it = &s->world->instances[instance];
    return (struct action){.kind = kind,
                           .instance = instance,
                           .group = it->group,
                           .zone = it->zone,
                           .number = it->number,
                           .balancer = WORLD_NONE,
                           .reason = reason};
}

static void act_on(struct step *s, enum action_kind kind, size_t instance, struct reason reason)
{
    act(s, action_on(s, kind, instance, reason));
}

static void act_at(struct step *s, enum action_kind kind, size_t instance, size_t balancer,
                   struct reason reason)
{
    struct action action = action_on(s, kind, instance, reason);
    action.balancer = balancer;
    act(s, action);
}

/* A balancer does one thing at a time: its admin socket has one client. */
static bool balancer_free(const struct step *s, size_t balancer)
{
    if (s->world->balancers[balancer].busy) {
        return false;
    }
    for (size_t i = 0; i < s->d->action_count; i++) {
        if (s->d->actions[i].balancer == balancer) {
            return false;
        }
    }
    return true;
}

static void mark(struct step *s, size_t instance, enum lifecycle lifecycle, struct reason reason)
{
    struct action action = action_on(s, ACTION_MARK, instance, reason);
    action.lifecycle = lifecycle;
    act(s, action);
}

static void hold(struct step *s, enum hold_kind kind, size_t instance, size_t group,
                 struct reason reason)
{
    assert(s->d->hold_count < s->d->hold_capacity);
    s->d->holds[s->d->hold_count++] =
        (struct hold){.kind = kind, .instance = instance, .group = group, .reason = reason};
}

static void hold_instance(struct step *s, enum hold_kind kind, size_t instance,
                          struct reason reason)
{
    hold(s, kind, instance, s->world->instances[instance].group, reason);
}

static void wake_at(struct step *s, int64_t deadline_ms)
{
    if (deadline_ms < s->d->deadline_ms) {
        s->d->deadline_ms = deadline_ms;
    }
}

static bool acted(const struct step *s, size_t instance)
{
    for (size_t i = 0; i < s->d->action_count; i++) {
        if (s->d->actions[i].instance == instance) {
            return true;
        }
    }
    return false;
}

/* Facts about groups. */

static size_t in_service_count(const struct step *s, size_t group)
{
    size_t count = 0;
    for (size_t i = 0; i < s->world->instance_count; i++) {
        const struct world_instance *it = &s->world->instances[i];
        if (it->group == group && it->lifecycle == LIFECYCLE_IN_SERVICE && it->configured &&
            it->power == WORLD_POWER_RUNNING) {
            count++;
        }
    }
    return count;
}

/* The group that GROUP still waits for, or SPEC_NONE. */
static size_t needed_group(const struct step *s, size_t group)
{
    const struct spec_index_list *needs = &s->spec->groups[group].needs;
    for (size_t i = 0; i < needs->count; i++) {
        size_t wanted = s->spec->groups[needs->items[i]].min;
        if (in_service_count(s, needs->items[i]) < (wanted == 0 ? 1 : wanted)) {
            return needs->items[i];
        }
    }
    return SPEC_NONE;
}

/* S7: another member that is being changed, is not back yet, or has failed; WORLD_NONE for none. */
static size_t other_in_change(const struct step *s, size_t instance)
{
    size_t group = s->world->instances[instance].group;
    for (size_t i = 0; i < s->world->instance_count; i++) {
        const struct world_instance *it = &s->world->instances[i];
        if (i == instance || it->group != group || it->lifecycle == LIFECYCLE_TERMINATED) {
            continue;
        }
        if (it->lifecycle != LIFECYCLE_IN_SERVICE || it->busy ||
            it->failure != WORLD_FAILURE_NONE || acted(s, i)) {
            return i;
        }
    }
    return WORLD_NONE;
}

/*
 * S1: may INSTANCE stop serving? One that is known to give nothing may always; one of which we do
 * not know counts as if it served, but is not counted on (S10).
 */
static bool minimum_allows(const struct step *s, size_t instance, size_t *ret_serving,
                           size_t *ret_minimum)
{
    size_t group = s->world->instances[instance].group;
    size_t serving = world_serving_count(s->spec, s->world, group);
    size_t kept = serving - (world_serving(s->spec, s->world, instance) ? 1 : 0);
    *ret_minimum = world_healthy_minimum(s->spec, group);
    *ret_serving = serving;
    return kept >= *ret_minimum || world_known_out(s->spec, s->world, instance);
}

/* True when of every member that is in service we know whether it serves. */
static bool group_settled(const struct step *s, size_t group)
{
    for (size_t i = 0; i < s->world->instance_count; i++) {
        const struct world_instance *it = &s->world->instances[i];
        if (it->group == group && it->lifecycle == LIFECYCLE_IN_SERVICE &&
            !world_serving(s->spec, s->world, i) && !world_known_out(s->spec, s->world, i)) {
            return false;
        }
    }
    return true;
}

/* Pools. */

static const char *pool_name(const struct step *s, size_t group)
{
    size_t pool = s->spec->groups[group].pool;
    return pool == SPEC_NONE ? NULL : s->spec->pools[pool].name;
}

static const char *frontend_name(const struct step *s, size_t balancer)
{
    return s->spec->frontends[s->world->balancers[balancer].frontend].name;
}

static bool balancer_usable(const struct step *s, size_t balancer)
{
    const struct world_instance *it = &s->world->instances[s->world->balancers[balancer].instance];
    return it->configured && it->power == WORLD_POWER_RUNNING &&
           it->lifecycle != LIFECYCLE_TERMINATED;
}

/*
 * Takes INSTANCE out of every balancer that knows it. True when it is out of all of them; else an
 * action or a hold was said.
 */
static bool taken_out(struct step *s, size_t instance, struct reason reason)
{
    for (size_t t = 0; t < s->world->target_count; t++) {
        const struct world_target *target = &s->world->targets[t];
        if (target->member != instance || target->state == WORLD_TARGET_ABSENT ||
            !balancer_usable(s, target->balancer)) {
            continue;
        }
        if (target->state == WORLD_TARGET_UNKNOWN || !balancer_free(s, target->balancer)) {
            hold_instance(s, HOLD_WAIT, instance,
                          (struct reason){.code = REASON_WAITS_FOR_FRONTEND,
                                          .name = frontend_name(s, target->balancer)});
        } else {
            act_at(s, ACTION_REMOVE, instance, target->balancer, reason);
        }
        return false;
    }
    return true;
}

static void hold_for_health(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    int64_t until = it->ready_ms + s->spec->groups[it->group].grace_ms;
    bool judged = it->lifecycle == LIFECYCLE_IN_SERVICE && it->health == WORLD_UNHEALTHY;
    if (judged || s->world->now_ms >= until) {
        hold_instance(s, HOLD_STUCK, instance, (struct reason){.code = REASON_UNHEALTHY});
        return;
    }
    hold_instance(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_WAITS_FOR_HEALTH, .a = until - s->world->now_ms});
    wake_at(s, until);
}

/* True when every balancer sends INSTANCE traffic; else an action or a hold was said. */
static bool let_in(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    for (size_t t = 0; t < s->world->target_count; t++) {
        const struct world_target *target = &s->world->targets[t];
        if (target->member != instance || target->state == WORLD_TARGET_UP) {
            continue;
        }
        bool ready = balancer_usable(s, target->balancer) &&
                     s->world->balancers[target->balancer].sync == WORLD_SYNC_DONE &&
                     target->state != WORLD_TARGET_UNKNOWN && balancer_free(s, target->balancer);
        if (!ready) {
            hold_instance(s, HOLD_WAIT, instance,
                          (struct reason){.code = REASON_WAITS_FOR_FRONTEND,
                                          .name = frontend_name(s, target->balancer)});
        } else if (it->health != WORLD_HEALTHY || target->state == WORLD_TARGET_DOWN) {
            hold_for_health(s, instance);
        } else {
            act_at(s, ACTION_ADMIT, instance, target->balancer,
                   (struct reason){.code = REASON_NOT_IN_POOL, .name = pool_name(s, it->group)});
        }
        return false;
    }
    if (it->health != WORLD_HEALTHY) {
        hold_for_health(s, instance);
        return false;
    }
    return true;
}

/* The links of an instance's chain. */

static void serve(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool in_pool = s->spec->groups[it->group].pool != SPEC_NONE;
    if (in_pool && !let_in(s, instance)) {
        return;
    }
    if (it->lifecycle != LIFECYCLE_IN_SERVICE) {
        mark(s, instance, LIFECYCLE_IN_SERVICE, (struct reason){.code = REASON_SERVING});
    }
}

/* S7 for all, S1 for those in a pool: true when INSTANCE may be changed now. */
static bool may_change(struct step *s, size_t instance)
{
    size_t other = other_in_change(s, instance);
    if (other != WORLD_NONE) {
        hold_instance(
            s, HOLD_WAIT, instance,
            (struct reason){.code = REASON_WAITS_FOR_OTHER, .name = s->world->instances[other].id});
        return false;
    }
    size_t group = s->world->instances[instance].group;
    size_t serving;
    size_t minimum;
    if (s->spec->groups[group].pool == SPEC_NONE ||
        minimum_allows(s, instance, &serving, &minimum)) {
        return true;
    }
    hold_instance(s, group_settled(s, group) ? HOLD_REFUSED : HOLD_WAIT, instance,
                  (struct reason){.code = REASON_BELOW_MINIMUM,
                                  .name = s->spec->groups[group].name,
                                  .a = (int64_t)serving,
                                  .b = (int64_t)minimum});
    return false;
}

static void change(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    size_t group = it->group;
    struct reason drift = {.code = REASON_DRIFT, .a = it->drift_count};
    bool in_pool = s->spec->groups[group].pool != SPEC_NONE;
    if (it->lifecycle == LIFECYCLE_IN_SERVICE) {
        if (!may_change(s, instance)) {
            return;
        }
        if (in_pool) {
            size_t serving = world_serving_count(s->spec, s->world, group);
            size_t kept = serving - (world_serving(s->spec, s->world, instance) ? 1 : 0);
            mark(s, instance, LIFECYCLE_DRAINING,
                 (struct reason){.code = REASON_LEAVES_FOR_CHANGE,
                                 .name = pool_name(s, group),
                                 .a = it->drift_count,
                                 .b = (int64_t)kept,
                                 .c = (int64_t)world_healthy_minimum(s->spec, group)});
            return;
        }
    }
    if (!in_pool || taken_out(s, instance, drift)) {
        act_on(s, ACTION_CONFIGURE, instance, drift);
    }
}

static void advance(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->power == WORLD_POWER_UNKNOWN) {
        return; /* S10: unknown is not failed; the provider has not answered yet. */
    }
    if (it->power != WORLD_POWER_RUNNING) {
        bool made = it->lifecycle != LIFECYCLE_PENDING || it->greeted;
        act_on(s, ACTION_LAUNCH, instance,
               (struct reason){.code = made ? REASON_NOT_RUNNING : REASON_NOT_MADE});
    } else if (!it->greeted) {
        act_on(s, ACTION_GREET, instance, (struct reason){.code = REASON_FIRST_CONTACT});
    } else if (!it->configured) {
        size_t needed = needed_group(s, it->group);
        if (needed != SPEC_NONE) {
            const struct spec_group *g = &s->spec->groups[needed];
            hold_instance(s, HOLD_WAIT, instance,
                          (struct reason){.code = REASON_WAITS_FOR_GROUP,
                                          .name = g->name,
                                          .a = (int64_t)in_service_count(s, needed),
                                          .b = g->min == 0 ? 1 : (int64_t)g->min});
        } else {
            act_on(s, ACTION_CONFIGURE, instance, (struct reason){.code = REASON_NEVER_CONFIGURED});
        }
    } else if (it->drift == WORLD_DRIFT_UNKNOWN) {
        act_on(s, ACTION_INSPECT, instance, (struct reason){.code = REASON_NOT_INSPECTED});
    } else if (it->drift == WORLD_DRIFT_PENDING) {
        change(s, instance);
    } else {
        serve(s, instance);
    }
}

static void leave(struct step *s, size_t instance)
{
    struct reason reason = {.code = REASON_LEAVES_FOR_GOOD,
                            .name = s->spec->groups[s->world->instances[instance].group].name};
    if (taken_out(s, instance, reason)) {
        act_on(s, ACTION_TERMINATE, instance, reason);
    }
}

/* True when a failure in the past forbids to act now; a hold was said. */
static bool held_by_failure(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->failure == WORLD_FAILURE_NONE) {
        return false;
    }
    if (it->failure == WORLD_FAILURE_PERMANENT || it->failures >= TRIES_MAX) {
        hold_instance(s, HOLD_STUCK, instance,
                      (struct reason){.code = REASON_FAILED, .a = it->failures});
        return true;
    }
    int64_t again_ms = it->failed_ms + RETRY_BASE_MS * ((int64_t)1 << it->failures) / 2;
    if (s->world->now_ms >= again_ms) {
        return false;
    }
    hold_instance(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_WAITS_TO_RETRY,
                                  .a = it->failures,
                                  .b = again_ms - s->world->now_ms});
    wake_at(s, again_ms);
    return true;
}

static void step_instance(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->busy || it->lifecycle == LIFECYCLE_TERMINATED) {
        return;
    }
    if (it->group == WORLD_NONE) {
        hold_instance(s, HOLD_STUCK, instance, (struct reason){.code = REASON_ORPHAN});
        return;
    }
    if (acted(s, instance) || held_by_failure(s, instance)) {
        return;
    }
    switch (it->lifecycle) {
    case LIFECYCLE_PENDING:
    case LIFECYCLE_IN_SERVICE:
    case LIFECYCLE_DRAINING: advance(s, instance); return;
    case LIFECYCLE_TERMINATING: leave(s, instance); return;
    case LIFECYCLE_STANDBY:
    case LIFECYCLE_QUARANTINED:
    case LIFECYCLE_PENDING_WAIT:
    case LIFECYCLE_TERMINATING_WAIT:
    case LIFECYCLE_TERMINATED: return;
    }
}

static void grow(struct step *s, size_t group, size_t have)
{
    const struct spec_group *g = &s->spec->groups[group];
    size_t placed[WORLD_ZONES_MAX] = {0};
    unsigned number = 0;
    for (size_t i = have; i < g->desired; i++) {
        size_t zone = placement_zone(s->spec, s->world, group, placed);
        if (zone == WORLD_NONE) {
            hold(s, HOLD_STUCK, WORLD_NONE, group,
                 (struct reason){
                     .code = REASON_NO_ROOM, .name = g->name, .a = (int64_t)(g->desired - i)});
            return;
        }
        number = placement_number(s->world, group, number);
        placed[zone]++;
        act(s, (struct action){.kind = ACTION_ADD,
                               .instance = WORLD_NONE,
                               .group = group,
                               .zone = zone,
                               .number = number,
                               .balancer = WORLD_NONE,
                               .reason = {.code = REASON_GROUP_SHORT,
                                          .name = g->name,
                                          .a = (int64_t)have,
                                          .b = g->desired}});
    }
}

/* S7: one leaves a step, and the next only when the pool has settled; S1 each time. */
static void shrink(struct step *s, size_t group, size_t have)
{
    const struct spec_group *g = &s->spec->groups[group];
    size_t victim = placement_victim(s->spec, s->world, group);
    if (victim == WORLD_NONE || s->world->instances[victim].busy) {
        return;
    }
    size_t serving;
    size_t minimum;
    if (!minimum_allows(s, victim, &serving, &minimum)) {
        hold(s, group_settled(s, group) ? HOLD_REFUSED : HOLD_WAIT, WORLD_NONE, group,
             (struct reason){.code = REASON_BELOW_MINIMUM,
                             .name = g->name,
                             .a = (int64_t)serving,
                             .b = (int64_t)minimum});
        return;
    }
    mark(s, victim, LIFECYCLE_TERMINATING,
         (struct reason){
             .code = REASON_GROUP_LONG, .name = g->name, .a = (int64_t)have, .b = g->desired});
}

static void step_group(struct step *s, size_t group)
{
    size_t have = world_member_count(s->spec, s->world, group);
    size_t desired = s->spec->groups[group].desired;
    if (have < desired) {
        grow(s, group, have);
    } else if (have > desired) {
        shrink(s, group, have);
    }
}

static void step_balancer(struct step *s, size_t balancer)
{
    const struct world_balancer *b = &s->world->balancers[balancer];
    const struct world_instance *it = &s->world->instances[b->instance];
    bool quiet = !it->busy && it->failure == WORLD_FAILURE_NONE && !acted(s, b->instance);
    if (!quiet || !balancer_free(s, balancer) || !balancer_usable(s, balancer) ||
        it->drift != WORLD_DRIFT_NONE) {
        return;
    }
    const char *name = frontend_name(s, balancer);
    if (b->sync == WORLD_SYNC_UNKNOWN) {
        act_at(s, ACTION_COMPARE, b->instance, balancer,
               (struct reason){.code = REASON_FRONTEND_UNSEEN, .name = name});
    } else if (b->sync == WORLD_SYNC_DIFFERS && other_in_change(s, b->instance) == WORLD_NONE) {
        act_at(s, ACTION_SYNC, b->instance, balancer,
               (struct reason){.code = REASON_FRONTEND_DIFFERS, .name = name});
    }
}

void decide(const struct spec *spec, const struct world *world, struct decision *decision)
{
    decision->action_count = 0;
    decision->hold_count = 0;
    decision->deadline_ms = INT64_MAX;
    struct step s = {.spec = spec, .world = world, .d = decision, .slots = world->slots};
    for (size_t g = 0; g < spec->group_count; g++) {
        step_group(&s, g);
    }
    for (size_t i = 0; i < world->instance_count; i++) {
        step_instance(&s, i);
    }
    for (size_t b = 0; b < world->balancer_count; b++) {
        step_balancer(&s, b);
    }
}
