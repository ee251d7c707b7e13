#include "core/outcome.h"

#include "spec/spec.h"

#include <assert.h>
#include <stdio.h>

void instance_id(char ret_id[WORLD_ID_SIZE], const char *group, unsigned number)
{
    snprintf(ret_id, WORLD_ID_SIZE, "%.63s-%u", group, number);
}

/* Beginnings. */

static bool takes_out(enum action_kind kind)
{
    return kind == ACTION_CONFIGURE || kind == ACTION_RESTART || kind == ACTION_REBOOT ||
           kind == ACTION_CYCLE || kind == ACTION_REMOVE || kind == ACTION_TERMINATE;
}

static enum world_rung rung_of(enum action_kind kind)
{
    return kind == ACTION_RESTART  ? WORLD_RUNG_RESTART
           : kind == ACTION_REBOOT ? WORLD_RUNG_REBOOT
           : kind == ACTION_CYCLE  ? WORLD_RUNG_CYCLE
                                   : WORLD_RUNG_NONE;
}

void world_begin(const struct spec *spec, struct world *world, const struct action *action)
{
    (void)spec;
    assert(!action_kind_is_record(action->kind));
    struct world_instance *it = &world->instances[action->instance];
    it->busy = true;
    it->changing = takes_out(action->kind);
    if (action->kind == ACTION_HOOK && it->hook_ms == 0) {
        it->hook_ms = world->now_ms;
    }
    /* With the intent, so that one whose end is never heard of counts as taken (S20). */
    if (rung_of(action->kind) != WORLD_RUNG_NONE) {
        it->rung = rung_of(action->kind);
        it->rung_ms = world->now_ms;
    }
    if (action->balancer != WORLD_NONE) {
        world->balancers[action->balancer].busy = true;
    }
}

/* Ends. */

static void add(const struct spec *spec, struct world *world, const struct action *action)
{
    assert(world->instance_count < world->instance_capacity);
    struct world_group *g = &world->groups[action->group];
    struct world_instance *it = &world->instances[world->instance_count++];
    *it = (struct world_instance){.group = action->group,
                                  .zone = action->zone,
                                  .number = action->number,
                                  .lifecycle = LIFECYCLE_PENDING,
                                  .power = WORLD_POWER_ABSENT,
                                  .power_witnessed = true,
                                  .power_ms = world->now_ms,
                                  .made_ms = world->now_ms,
                                  .ready_ms = world->now_ms,
                                  .content = action->content,
                                  .verdict_ms = world->now_ms};
    instance_id(it->id, spec->groups[action->group].name, action->number);
    g->next_number = action->number >= g->next_number ? action->number + 1 : g->next_number;
    g->size_changed_ms = world->now_ms;
    size_t *room = &world->room[action->group * spec->zone_count + action->zone];
    *room -= *room > 0 ? 1 : 0;
    world_complete_last(spec, world);
}

/* What was known of it was about the host as it was before. */
static void forget_views(struct world *world, size_t instance)
{
    struct world_instance *it = &world->instances[instance];
    it->health = (struct world_witness){.since_ms = world->now_ms};
    it->alive = (struct world_witness){.since_ms = world->now_ms};
    it->custom = (struct world_witness){.since_ms = world->now_ms};
    for (size_t t = 0; t < world->target_count; t++) {
        struct world_target *target = &world->targets[t];
        if (target->member == instance && target->state != WORLD_TARGET_ABSENT) {
            target->state = WORLD_TARGET_UNKNOWN;
            world->balancers[target->balancer].sync = WORLD_SYNC_UNKNOWN;
        }
    }
}

/* It comes up again: the chain from the greeting on. */
static void come_up(struct world *world, size_t instance)
{
    struct world_instance *it = &world->instances[instance];
    it->greeted = false;
    it->change_failed = false;
    it->drift = WORLD_DRIFT_UNKNOWN;
    it->ready_ms = world->now_ms;
    if (it->lifecycle == LIFECYCLE_IN_SERVICE) {
        it->lifecycle = LIFECYCLE_PENDING;
    }
    forget_views(world, instance);
}

/* What the frontends of this host have is compared anew. */
static void doubt_frontends(struct world *world, size_t instance)
{
    for (size_t b = 0; b < world->balancer_count; b++) {
        if (world->balancers[b].instance == instance) {
            world->balancers[b].sync = WORLD_SYNC_UNKNOWN;
        }
    }
}

static void configured(struct world *world, size_t instance)
{
    struct world_instance *it = &world->instances[instance];
    it->configured = true;
    it->change_failed = false;
    it->drift = WORLD_DRIFT_NONE;
    it->ready_ms = world->now_ms;
    if (it->lifecycle == LIFECYCLE_IN_SERVICE) {
        /* In place, without leaving service: this was its disruption. */
        it->in_service_ms = world->now_ms;
        world->groups[it->group].disrupted_ms = world->now_ms;
    }
    doubt_frontends(world, instance);
}

/* What ACTION puts into a balancer or takes out of it; NULL: the file has it no longer. */
static struct world_target *target_of(struct world *world, const struct action *action)
{
    for (size_t t = 0; t < world->target_count; t++) {
        struct world_target *target = &world->targets[t];
        if (target->member == action->instance && target->balancer == action->balancer) {
            return target;
        }
    }
    return NULL;
}

static void set_target(struct world *world, const struct action *action,
                       enum world_target_state state)
{
    struct world_target *target = target_of(world, action);
    if (target != NULL) {
        target->state = state;
        target->doubtful = false;
        target->may_leave = false;
    }
}

/* It failed, and may come about yet. */
static void doubt_target(struct world *world, const struct action *action)
{
    struct world_target *target = target_of(world, action);
    if (target != NULL && action->kind == ACTION_ADMIT) {
        target->doubtful = true;
    } else if (target != NULL) {
        target->may_leave = true;
    }
    if (action->kind == ACTION_ADMIT) {
        /* What it was told of may not be there any more. */
        world->balancers[action->balancer].sync = WORLD_SYNC_UNKNOWN;
    }
}

/* S9: it is ended for never having come into service, not because it is one too many. */
static bool launch_failed(const struct world *world, const struct world_instance *it,
                          enum lifecycle before)
{
    /* A silent provider, or a host that nobody could reach, says nothing against the image. */
    bool lost = it->power == WORLD_POWER_UNKNOWN || world->frozen.on ||
                (it->zone != WORLD_NONE && world->zones[it->zone].lost.on);
    bool bad = it->failure != WORLD_FAILURE_NONE || it->verdict == WORLD_VERDICT_UNREADY ||
               it->verdict == WORLD_VERDICT_LOST;
    return it->in_service_ms == 0 && !lost && (bad || before == LIFECYCLE_PENDING_WAIT);
}

/* It comes back from where nobody looked: its grace begins, and what its check-command said long
   ago is over (that is not asked before it is in service). */
static void look_anew(const struct world *world, struct world_instance *it)
{
    it->drift = WORLD_DRIFT_UNKNOWN;
    it->ready_ms = world->now_ms;
    it->custom = (struct world_witness){.since_ms = world->now_ms};
}

static void mark(struct world *world, const struct action *action)
{
    struct world_instance *it = &world->instances[action->instance];
    struct world_group *g = &world->groups[action->group];
    enum lifecycle before = it->lifecycle;
    it->wish = action->wish;
    it->capture = action->capture;
    it->lifecycle = action->lifecycle;
    if (before == it->lifecycle) {
        return;
    }
    it->capture = it->lifecycle == LIFECYCLE_IN_SERVICE ? it->capture : WORLD_CAPTURE_NONE;
    bool failed = launch_failed(world, it, before);
    /* It begins anew: what failed before is not in the way of what comes now. */
    it->failure = WORLD_FAILURE_NONE;
    it->failures = 0;
    it->change_failed = false;
    switch (it->lifecycle) {
    case LIFECYCLE_IN_SERVICE:
        if (it->in_service_ms != 0) {
            g->disrupted_ms = world->now_ms;
        }
        g->failed_launches = 0;
        it->in_service_ms = world->now_ms;
        return;
    case LIFECYCLE_TERMINATING:
        if (before == LIFECYCLE_TERMINATING_WAIT) {
            it->hook_done = true;
            return;
        }
        g->failed_launches += failed ? 1 : 0;
        g->refresh.failed += failed && it->content == g->refresh.wanted ? 1 : 0;
        it->hook_done = false;
        it->hook_abandon = false;
        it->hook_ms = 0;
        return;
    case LIFECYCLE_PENDING:
        if (before == LIFECYCLE_STANDBY) {
            look_anew(world, it);
        } else if (before == LIFECYCLE_PENDING_WAIT) {
            it->hook_done = true;
            it->ready_ms = world->now_ms;
        }
        return;
    case LIFECYCLE_STANDBY:
    case LIFECYCLE_QUARANTINED: g->disrupted_ms = world->now_ms; return;
    case LIFECYCLE_DETACHED:
        g->disrupted_ms = world->now_ms;
        it->wish = WORLD_WISH_NONE;
        return;
    case LIFECYCLE_DRAINING:
    case LIFECYCLE_PENDING_WAIT:
    case LIFECYCLE_TERMINATING_WAIT:
    case LIFECYCLE_TERMINATED: return;
    }
}

void world_attach(const struct spec *spec, struct world *world, size_t instance)
{
    struct world_instance *it = &world->instances[instance];
    it->lifecycle = LIFECYCLE_PENDING;
    it->wish = WORLD_WISH_NONE;
    it->greeted = false;
    look_anew(world, it);
    world_complete(spec, world);
}

void world_retry(struct world *world, size_t instance)
{
    struct world_instance *it = &world->instances[instance];
    it->failure = WORLD_FAILURE_NONE;
    it->failures = 0;
    it->rung = WORLD_RUNG_NONE;
    it->rebuilds = 0;
    if (it->lifecycle == LIFECYCLE_QUARANTINED) {
        it->lifecycle = LIFECYCLE_PENDING;
        look_anew(world, it);
    }
}

static void terminated(struct world *world, const struct action *action)
{
    struct world_instance *it = &world->instances[action->instance];
    struct world_group *g = &world->groups[action->group];
    it->lifecycle = LIFECYCLE_TERMINATED;
    for (size_t t = 0; t < world->target_count; t++) {
        const struct world_target *target = &world->targets[t];
        if (target->member == action->instance && target->state != WORLD_TARGET_ABSENT) {
            /* It was gone when this one left, and may have it in its tables when it is back. */
            world->balancers[target->balancer].sync = WORLD_SYNC_UNKNOWN;
        }
    }
    g->size_changed_ms = world->now_ms;
    if (it->in_service_ms != 0) {
        g->disrupted_ms = world->now_ms;
    }
}

static void set_refresh(struct world *world, size_t group, enum world_refresh_state state)
{
    struct world_group *g = &world->groups[group];
    struct world_refresh *r = &g->refresh;
    if (r->state == WORLD_REFRESH_CHECKPOINT && state == WORLD_REFRESH_RUNNING) {
        r->checkpoints_passed++;
    }
    r->state = state;
    r->since_ms = world->now_ms;
    switch (state) {
    case WORLD_REFRESH_DONE: g->content = r->wanted; return;
    case WORLD_REFRESH_BACK:
        g->failed_launches = 0;
        r->failed = 0;
        r->alarm = WORLD_HEALTH_UNKNOWN;
        g->content = r->before;
        return;
    /* What is not proven is made by nobody but the refresh itself. */
    case WORLD_REFRESH_RUNNING:
    case WORLD_REFRESH_CANCELLED:
    case WORLD_REFRESH_STOPPED:
    case WORLD_REFRESH_ROLLED_BACK: g->content = r->before; return;
    case WORLD_REFRESH_NONE:
    case WORLD_REFRESH_CHECKPOINT:
    case WORLD_REFRESH_BAKING: return;
    }
}

void world_refresh_begin(struct world *world, size_t group, const struct world_refresh *asked)
{
    struct world_group *g = &world->groups[group];
    g->refresh = *asked;
    g->refresh.began_ms = world->now_ms;
    g->refresh.checkpoints_passed = 0;
    g->refresh.failed = 0;
    g->refresh.alarm = WORLD_HEALTH_UNKNOWN;
    g->failed_launches = 0;
    set_refresh(world, group, WORLD_REFRESH_RUNNING);
}

bool world_refresh_go_on(struct world *world, size_t group)
{
    if (world->groups[group].refresh.state != WORLD_REFRESH_CHECKPOINT) {
        return false;
    }
    set_refresh(world, group, WORLD_REFRESH_RUNNING);
    return true;
}

bool world_refresh_end(struct world *world, size_t group, bool back)
{
    const struct world_refresh *r = &world->groups[group].refresh;
    /* One that is over can still be taken back. */
    bool can = back ? r->state != WORLD_REFRESH_NONE && r->state != WORLD_REFRESH_BACK &&
                          r->state != WORLD_REFRESH_ROLLED_BACK && r->before != r->wanted
                    : world_refresh_is_active(r->state);
    if (can) {
        set_refresh(world, group, back ? WORLD_REFRESH_BACK : WORLD_REFRESH_CANCELLED);
    }
    return can;
}

static void fail(struct world *world, const struct action *action, enum outcome outcome)
{
    struct world_instance *it = &world->instances[action->instance];
    if (action->kind == ACTION_CONFIGURE && it->lifecycle == LIFECYCLE_IN_SERVICE) {
        it->change_failed = true;
    }
    it->failure = outcome == OUTCOME_TRANSIENT ? WORLD_FAILURE_TRANSIENT : WORLD_FAILURE_PERMANENT;
    it->failures++;
    it->failed_ms = world->now_ms;
}

/*
 * A check comes when it is due, whatever else is in the way. So one that could not be made has its
 * next try, unless a human must look, and what the one before it said is over (S19); and one that
 * was made forgives nothing that failed.
 */
static void checked(struct world *world, const struct action *action, enum outcome outcome)
{
    struct world_instance *it = &world->instances[action->instance];
    it->custom_ms = world->now_ms;
    if (outcome != OUTCOME_DONE) {
        it->custom = (struct world_witness){.since_ms = world->now_ms};
    }
    if (outcome == OUTCOME_PERMANENT) {
        fail(world, action, outcome);
    }
}

/* A rung counts as taken however it ended: its time begins, and then comes the next. */
static void climbed(struct world *world, const struct action *action, enum outcome outcome)
{
    struct world_instance *it = &world->instances[action->instance];
    it->rung_ms = world->now_ms;
    it->rung = rung_of(action->kind);
    if (outcome != OUTCOME_DONE) {
        /* It may have come about: what its check-command said before is asked again. */
        it->custom = (struct world_witness){.since_ms = world->now_ms};
        return;
    }
    if (action->kind == ACTION_CYCLE) {
        world_set_power(world, action->instance, WORLD_POWER_OFF);
    }
    come_up(world, action->instance);
    if (action->kind == ACTION_RESTART) {
        it->greeted = true;
        it->drift = WORLD_DRIFT_NONE;
    }
}

static void done(const struct spec *spec, struct world *world, const struct action *action)
{
    struct world_instance *it = &world->instances[action->instance];
    switch (action->kind) {
    case ACTION_LAUNCH:
        world_set_power(world, action->instance, WORLD_POWER_RUNNING);
        come_up(world, action->instance);
        return;
    case ACTION_GREET: it->greeted = true; return;
    case ACTION_INSPECT:
        it->configured = true; /* Or it would not have been looked at: it serves (S20). */
        it->drift = WORLD_DRIFT_NONE;
        doubt_frontends(world, action->instance);
        return;
    case ACTION_CONFIGURE: configured(world, action->instance); return;
    case ACTION_COMPARE:
        world->balancers[action->balancer].sync = WORLD_SYNC_DONE;
        world->balancers[action->balancer].seen_ms = world->now_ms;
        return;
    case ACTION_SYNC:
        world->balancers[action->balancer].sync = WORLD_SYNC_DONE;
        world->balancers[action->balancer].seen_ms = world->now_ms;
        return;
    case ACTION_ADMIT: set_target(world, action, WORLD_TARGET_UP); return;
    case ACTION_REMOVE: set_target(world, action, WORLD_TARGET_ABSENT); return;
    case ACTION_TERMINATE: terminated(world, action); return;
    case ACTION_HOOK: it->hook_done = true; return;
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH:
    case ACTION_CHECK:
    case ACTION_RESTART:
    case ACTION_REBOOT:
    case ACTION_CYCLE: break;
    }
    (void)spec;
}

void world_end(const struct spec *spec, struct world *world, const struct action *action,
               enum outcome outcome)
{
    if (action->kind == ACTION_ADD) {
        add(spec, world, action);
        return;
    }
    if (action->kind == ACTION_MARK) {
        mark(world, action);
        return;
    }
    if (action->kind == ACTION_REFRESH) {
        set_refresh(world, action->group, action->refresh);
        return;
    }
    struct world_instance *it = &world->instances[action->instance];
    it->busy = false;
    it->changing = false;
    if (action->balancer != WORLD_NONE) {
        world->balancers[action->balancer].busy = false;
    }
    if (rung_of(action->kind) != WORLD_RUNG_NONE) {
        climbed(world, action, outcome);
        return;
    }
    if (action->kind == ACTION_CHECK) {
        checked(world, action, outcome);
        return;
    }
    if (outcome != OUTCOME_DONE) {
        if (action->kind == ACTION_ADMIT || action->kind == ACTION_REMOVE) {
            doubt_target(world, action);
        } else if (action->kind == ACTION_LAUNCH && outcome == OUTCOME_TRANSIENT) {
            it->power_doubtful = true;
        }
        fail(world, action, outcome);
        return;
    }
    it->failure = WORLD_FAILURE_NONE;
    it->failures = 0;
    done(spec, world, action);
}

/* What one hopes to see. */

static void expect_well(struct world *world, size_t instance)
{
    struct world_instance *it = &world->instances[instance];
    it->health.health = WORLD_HEALTHY;
    it->alive.health = WORLD_HEALTHY;
    it->custom.health = WORLD_HEALTHY;
    for (size_t t = 0; t < world->target_count; t++) {
        struct world_target *target = &world->targets[t];
        if (target->member == instance && target->state == WORLD_TARGET_DOWN) {
            target->state = WORLD_TARGET_UP;
        }
    }
}

/* A balancer that was never seen is expected to have nothing of ours. */
static void expect_targets(struct world *world, size_t balancer)
{
    for (size_t t = 0; t < world->target_count; t++) {
        struct world_target *target = &world->targets[t];
        if (target->balancer == balancer && target->state == WORLD_TARGET_UNKNOWN) {
            target->state = WORLD_TARGET_ABSENT;
        }
    }
}

void world_expect(const struct spec *spec, struct world *world, const struct action *action)
{
    bool never_seen = action->kind == ACTION_COMPARE &&
                      world->balancers[action->balancer].sync == WORLD_SYNC_UNKNOWN &&
                      world->balancers[action->balancer].seen_ms == INT64_MIN;
    world_end(spec, world, action, OUTCOME_DONE);
    switch (action->kind) {
    case ACTION_INSPECT:
    case ACTION_CONFIGURE:
    case ACTION_RESTART:
    case ACTION_CHECK: expect_well(world, action->instance); return;
    case ACTION_GREET: world->instances[action->instance].alive.health = WORLD_HEALTHY; return;
    case ACTION_COMPARE:
        expect_targets(world, action->balancer);
        world->balancers[action->balancer].sync = never_seen ? WORLD_SYNC_DIFFERS : WORLD_SYNC_DONE;
        return;
    case ACTION_SYNC: expect_targets(world, action->balancer); return;
    case ACTION_ADD:
    case ACTION_LAUNCH:
    case ACTION_ADMIT:
    case ACTION_REMOVE:
    case ACTION_TERMINATE:
    case ACTION_MARK:
    case ACTION_REFRESH:
    case ACTION_REBOOT:
    case ACTION_CYCLE:
    case ACTION_HOOK: return;
    }
}
