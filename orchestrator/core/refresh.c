/*
 * The refresh of a group: its members are replaced by new ones, made from other content. Here is
 * only said who is next, and when it is over; how one is replaced (launch before terminate, the
 * budget, draining) is instance.c's and budget.c's, as for every other replacement.
 */
#include "core/refresh.h"

#include "core/guard.h"
#include "core/ladder.h"
#include "core/placement.h"
#include "core/step.h"
#include "spec/spec.h"

/* A new one that was in service, and is unready for this long while others are well; or again,
   after it was mended. */
#define UNWELL_MS 30000

static const struct world_refresh *refresh_of(const struct survey *s, size_t group)
{
    return &s->world->groups[group].refresh;
}

static bool is_member(const struct world_instance *it, size_t group)
{
    return it->group == group && !world_leaving(it->lifecycle) &&
           it->lifecycle != LIFECYCLE_DETACHED && it->lifecycle != LIFECYCLE_QUARANTINED;
}

/* What is said of those that an operator set aside. */
static enum world_refresh_policy policy_for(const struct world_refresh *r,
                                            const struct world_instance *it)
{
    if (GUARDED(GUARD_REFRESH_SPARES, false)) {
        return WORLD_REFRESH_REPLACE;
    }
    if (it->lifecycle == LIFECYCLE_STANDBY || it->wish == WORLD_WISH_STANDBY) {
        return r->standby_ones;
    }
    return it->protect ? r->protected_ones : WORLD_REFRESH_REPLACE;
}

static void count_outdated(const struct survey *s, const struct world_refresh *r, size_t instance,
                           struct refresh_count *c)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (world_wish_is_to_go(it->wish)) {
        c->moving++;
        c->all++;
        return;
    }
    switch (policy_for(r, it)) {
    case WORLD_REFRESH_IGNORE: c->ignored++; return;
    case WORLD_REFRESH_WAIT:
        c->waiting++;
        c->waited = c->waited == WORLD_NONE ? instance : c->waited;
        break;
    case WORLD_REFRESH_REPLACE: break;
    }
    c->left++;
    c->all++;
}

struct refresh_count refresh_count(const struct survey *s, size_t group)
{
    const struct world_refresh *r = refresh_of(s, group);
    struct refresh_count c = {.fresh = WORLD_NONE, .waited = WORLD_NONE};
    size_t fresh = 0;
    for (size_t i = 0; world_refresh_is_active(r->state) && i < s->world->instance_count; i++) {
        const struct world_instance *it = &s->world->instances[i];
        if (!is_member(it, group)) {
            continue;
        }
        if (world_is_outdated(s->world, i)) {
            count_outdated(s, r, i, &c);
        } else if (it->lifecycle == LIFECYCLE_STANDBY || survey_is_counted(s, i)) {
            c.replaced++;
            c.all++;
        } else {
            c.fresh = c.fresh == WORLD_NONE ? i : c.fresh;
            fresh++;
        }
    }
    /* An old one and the new one in its place are one replacement. */
    c.all += fresh > c.moving ? fresh - c.moving : 0;
    c.moving = fresh > c.moving ? fresh : c.moving;
    return c;
}

bool refresh_replaces(const struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    return it->group != WORLD_NONE && world_is_outdated(s->world, instance) &&
           policy_for(&s->world->groups[it->group].refresh, it) != WORLD_REFRESH_IGNORE;
}

struct reason refresh_reason(const struct step *s, size_t group)
{
    const struct refresh_count c = refresh_count(s->survey, group);
    bool back = s->world->groups[group].refresh.state == WORLD_REFRESH_BACK;
    return (struct reason){.code = back ? REASON_REFRESH_BACK : REASON_REFRESH,
                           .name = s->spec->groups[group].name,
                           .a = (int64_t)c.replaced,
                           .b = (int64_t)c.all};
}

uint64_t refresh_next_content(const struct step *s, size_t group, bool first)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    if (!world_refresh_goes_forth(r->state)) {
        return s->world->groups[group].content;
    }
    /* Until one of it is counted on, there is only that one. */
    const struct refresh_count c = refresh_count(s->survey, group);
    bool proves = first && c.fresh == WORLD_NONE;
    return c.replaced > 0 || proves || GUARDED(GUARD_REFRESH_FIRST, false) ? r->wanted : r->before;
}

static void go_to(struct step *s, size_t group, enum world_refresh_state state,
                  struct reason reason)
{
    step_act(s, (struct action){.kind = ACTION_REFRESH,
                                .instance = WORLD_NONE,
                                .group = group,
                                .zone = WORLD_NONE,
                                .balancer = WORLD_NONE,
                                .refresh = state,
                                .reason = reason});
}

/* Ending it for a bad image. */

static bool is_new(const struct step *s, size_t instance, size_t group)
{
    const struct world_instance *it = &s->world->instances[instance];
    return is_member(it, group) && !world_is_outdated(s->world, instance) &&
           it->made_ms >= s->world->groups[group].refresh.began_ms;
}

/* Not the image's fault: what the group needs is not well, or nobody of it is. */
static bool is_shared(const struct step *s, size_t group)
{
    const struct spec_index_list *needs = &s->spec->groups[group].needs;
    for (size_t i = 0; i < needs->count; i++) {
        if (s->world->groups[needs->items[i]].breaker.bad > 0) {
            return true;
        }
    }
    return s->world->groups[group].breaker.well == 0;
}

/* It runs, nobody but it is to blame, and it was tried long enough. */
static bool never_came(const struct step *s, const struct world_instance *it)
{
    bool away = it->power != WORLD_POWER_RUNNING || it->zone == WORLD_NONE ||
                s->world->zones[it->zone].lost.on;
    bool unready = it->verdict == WORLD_VERDICT_UNREADY && !is_shared(s, it->group);
    bool failed =
        it->failure == WORLD_FAILURE_TRANSIENT && it->failures >= LADDER_TRIES_MAX && !away;
    return it->in_service_ms == 0 && (it->failure == WORLD_FAILURE_PERMANENT || failed || unready);
}

/* True when a new one came into service and is not well there; else a look at the time when it
   would be is timed. */
static bool is_unwell(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->in_service_ms == 0 || it->verdict != WORLD_VERDICT_UNREADY) {
        return false;
    }
    step_wake_when(s, it->verdict_ms + UNWELL_MS);
    bool mended = ladder_position(it) != WORLD_RUNG_NONE; /* And that did not help. */
    return (mended || s->world->now_ms - it->verdict_ms >= UNWELL_MS) && !is_shared(s, it->group);
}

/* What says that the new is bad; REASON_NONE: nothing. */
static struct reason verdict_on(struct step *s, size_t group)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    const char *name = s->spec->groups[group].name;
    if (r->alarm == WORLD_UNHEALTHY && !GUARDED(GUARD_REFRESH_ALARM, false)) {
        return (struct reason){.code = REASON_REFRESH_ALARM, .name = name};
    }
    if (GUARDED(GUARD_REFRESH_BAD, false)) {
        return (struct reason){.code = REASON_NONE};
    }
    if (r->failed > 0) {
        return (struct reason){.code = REASON_REFRESH_FAILED, .name = name};
    }
    for (size_t i = 0; i < s->world->instance_count; i++) {
        const struct world_instance *it = &s->world->instances[i];
        if (!is_new(s, i, group)) {
            continue;
        }
        if (never_came(s, it)) {
            return (struct reason){.code = REASON_REFRESH_FAILED, .name = name};
        }
        if (is_unwell(s, i)) {
            return (struct reason){.code = REASON_REFRESH_UNWELL,
                                   .name = it->id,
                                   .a = s->world->now_ms - it->verdict_ms};
        }
    }
    return (struct reason){.code = REASON_NONE};
}

static bool ends_badly(struct step *s, size_t group)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    if (r->state == WORLD_REFRESH_BACK) {
        return false; /* There is nothing behind it to go back to. */
    }
    struct reason reason = verdict_on(s, group);
    if (reason.code == REASON_NONE) {
        return false;
    }
    bool back = r->rollback && r->before != r->wanted;
    go_to(s, group, back ? WORLD_REFRESH_BACK : WORLD_REFRESH_STOPPED, reason);
    return true;
}

/* Who is next. */

static bool is_candidate(const struct step *s, size_t instance, size_t group)
{
    const struct world_instance *it = &s->world->instances[instance];
    return is_member(it, group) && world_is_outdated(s->world, instance) &&
           !world_wish_is_to_go(it->wish) &&
           policy_for(&s->world->groups[group].refresh, it) == WORLD_REFRESH_REPLACE;
}

static size_t next_of(const struct step *s, size_t group)
{
    size_t best = WORLD_NONE;
    for (size_t i = 0; i < s->world->instance_count; i++) {
        if (is_candidate(s, i, group) &&
            (best == WORLD_NONE || placement_leaves_before(s->survey, i, best))) {
            best = i;
        }
    }
    return best;
}

/* Those that never came into service give nothing: all at once. */
static bool end_newcomers(struct step *s, size_t group)
{
    bool any = false;
    struct reason reason = {.code = REASON_NONE};
    if (step_suspended(s, group, WORLD_PROCESS_TERMINATE)) {
        return false;
    }
    for (size_t i = 0; i < s->world->instance_count; i++) {
        if (is_candidate(s, i, group) && s->world->instances[i].in_service_ms == 0 &&
            !s->world->instances[i].busy) {
            reason = any ? reason : refresh_reason(s, group);
            step_mark_wish(s, i, WORLD_WISH_REFRESH, reason);
            any = true;
        }
    }
    return any;
}

/* How many at a time: what healthy-max leaves room for, but the first one alone. */
static size_t at_once(const struct step *s, size_t group, const struct refresh_count *c)
{
    size_t desired = s->world->groups[group].desired;
    size_t most = desired * s->spec->groups[group].healthy_max_percent / 100;
    return c->replaced == 0 || most <= desired + 1 ? 1 : most - desired;
}

/* A member other than those to be replaced that is bad: first it is seen to. */
static size_t unwell_one(const struct step *s, size_t group)
{
    for (size_t i = 0; i < s->world->instance_count; i++) {
        const struct world_instance *it = &s->world->instances[i];
        if (is_member(it, group) && world_verdict_is_bad(it->verdict) &&
            !world_is_outdated(s->world, i)) {
            return i;
        }
    }
    return WORLD_NONE;
}

static bool is_held(struct step *s, size_t group)
{
    bool may_launch = !step_suspended(s, group, WORLD_PROCESS_LAUNCH);
    if (may_launch && step_suspended(s, group, WORLD_PROCESS_TERMINATE)) {
        step_hold_group(s, HOLD_WAIT, group,
                        (struct reason){.code = REASON_SUSPENDED, .name = "terminate"});
        return true;
    }
    if (group_launches_held(s, group)) {
        return true;
    }
    size_t unwell = unwell_one(s, group);
    if (unwell != WORLD_NONE) {
        step_hold_group(
            s, HOLD_WAIT, group,
            (struct reason){.code = REASON_REFRESH_CALM, .name = s->world->instances[unwell].id});
        return true;
    }
    return false;
}

static void say_warm_up(struct step *s, size_t group, const struct refresh_count *c)
{
    if (c->fresh == WORLD_NONE) {
        return;
    }
    const struct world_instance *it = &s->world->instances[c->fresh];
    int64_t counted_ms = it->in_service_ms + world_bake_ms(s->spec, s->world, c->fresh);
    if (it->lifecycle == LIFECYCLE_IN_SERVICE && counted_ms > s->world->now_ms) {
        step_wake_at(s, counted_ms);
        step_hold_group(s, HOLD_WAIT, group,
                        (struct reason){.code = REASON_REFRESH_WARMS_UP,
                                        .name = it->id,
                                        .a = counted_ms - s->world->now_ms});
    }
}

/* It is reached: what is under way ends, and no other begins. */
static bool at_checkpoint(const struct step *s, size_t group, const struct refresh_count *c)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    return r->state == WORLD_REFRESH_RUNNING && r->checkpoints_passed < r->checkpoint_count &&
           c->all > 0 && c->replaced * 100 >= r->checkpoints[r->checkpoints_passed] * c->all &&
           !GUARDED(GUARD_REFRESH_WAITS, false);
}

static void roll_on(struct step *s, size_t group, const struct refresh_count *c)
{
    bool back = s->world->groups[group].refresh.state == WORLD_REFRESH_BACK;
    if (back && end_newcomers(s, group)) {
        return;
    }
    bool full = c->moving >= at_once(s, group, c) && !GUARDED(GUARD_REFRESH_FIRST, false);
    if (full || at_checkpoint(s, group, c)) {
        say_warm_up(s, group, c);
        return;
    }
    size_t next = next_of(s, group);
    if (next == WORLD_NONE) {
        if (c->waited != WORLD_NONE) {
            const struct world_instance *it = &s->world->instances[c->waited];
            step_hold_group(s, HOLD_WAIT, group,
                            (struct reason){.code = REASON_REFRESH_WAITS_FOR,
                                            .name = it->id,
                                            .a = it->lifecycle == LIFECYCLE_STANDBY ? 1 : 0});
        }
        return;
    }
    if (s->world->instances[next].busy || is_held(s, group) || !budget_is_calm(s, next)) {
        return;
    }
    step_mark_wish(s, next, WORLD_WISH_REFRESH, refresh_reason(s, group));
}

/* Its states. */

static bool is_complete(const struct step *s, size_t group, const struct refresh_count *c)
{
    const struct survey_group *g = &s->survey->groups[group];
    return c->left == 0 && c->moving == 0 &&
           g->ready + g->standby >= s->world->groups[group].desired;
}

static void roll(struct step *s, size_t group)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    const struct refresh_count c = refresh_count(s->survey, group);
    bool forth = r->state == WORLD_REFRESH_RUNNING;
    struct reason all = {
        .code = REASON_REFRESH_ALL, .name = s->spec->groups[group].name, .b = (int64_t)c.replaced};
    if (at_checkpoint(s, group, &c) && c.moving == 0) {
        go_to(s, group, WORLD_REFRESH_CHECKPOINT,
              (struct reason){.code = REASON_REFRESH_AT,
                              .name = s->spec->groups[group].name,
                              .a = (int64_t)(c.replaced * 100 / c.all)});
    } else if (is_complete(s, group, &c) && forth && c.replaced == 0) {
        go_to(s, group, WORLD_REFRESH_STOPPED,
              (struct reason){.code = REASON_REFRESH_NOTHING, .name = s->spec->groups[group].name});
    } else if (is_complete(s, group, &c)) {
        go_to(s, group,
              !forth           ? WORLD_REFRESH_ROLLED_BACK
              : r->bake_ms > 0 ? WORLD_REFRESH_BAKING
                               : WORLD_REFRESH_DONE,
              all);
    } else {
        roll_on(s, group, &c);
    }
}

static void wait_at_checkpoint(struct step *s, size_t group)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    int64_t over_ms = r->since_ms + r->checkpoint_delay_ms;
    if (r->checkpoint_delay_ms >= 0 && s->world->now_ms >= over_ms) {
        go_to(s, group, WORLD_REFRESH_RUNNING,
              (struct reason){.code = REASON_REFRESH_ON, .a = r->checkpoint_delay_ms});
        return;
    }
    int64_t left_ms = r->checkpoint_delay_ms < 0 ? -1 : over_ms - s->world->now_ms;
    step_hold_group(s, HOLD_WAIT, group,
                    (struct reason){.code = REASON_REFRESH_WAITS_AT,
                                    .a = r->checkpoints[r->checkpoints_passed],
                                    .b = left_ms});
    if (left_ms >= 0) {
        step_wake_at(s, over_ms);
    }
}

static void bake(struct step *s, size_t group)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    const struct refresh_count c = refresh_count(s->survey, group);
    int64_t over_ms = r->since_ms + r->bake_ms;
    if (c.left > 0) {
        go_to(s, group, WORLD_REFRESH_RUNNING, refresh_reason(s, group)); /* One was attached. */
    } else if (s->world->now_ms < over_ms && !GUARDED(GUARD_REFRESH_WAITS, false)) {
        step_wake_at(s, over_ms);
        step_hold_group(s, HOLD_WAIT, group,
                        (struct reason){.code = REASON_REFRESH_BAKES,
                                        .name = s->spec->groups[group].name,
                                        .a = over_ms - s->world->now_ms});
    } else if (c.moving == 0) {
        go_to(s, group, WORLD_REFRESH_DONE,
              (struct reason){.code = REASON_REFRESH_BAKED, .a = r->bake_ms});
    }
}

void refresh_step(struct step *s, size_t group)
{
    const struct world_refresh *r = &s->world->groups[group].refresh;
    if (!world_refresh_is_active(r->state)) {
        if (s->survey->groups[group].unwanted > 0) {
            (void)end_newcomers(s, group);
        }
        return;
    }
    if (ends_badly(s, group)) {
        return;
    }
    if (r->state == WORLD_REFRESH_CHECKPOINT) {
        wait_at_checkpoint(s, group);
    } else if (r->state == WORLD_REFRESH_BAKING) {
        bake(s, group);
    } else {
        roll(s, group);
    }
}
