/*
 * An instance's next step. The chain it walks is: made, greeted, configured, compared, serving; at
 * each link the world alone says whether it is done, so a link that came apart is simply done
 * again. What is bad, and what an operator wishes, come before the chain.
 */
#include "core/guard.h"
#include "core/step.h"
#include "spec/spec.h"

/* The group that GROUP still waits for, or SPEC_NONE. */
static size_t needed_group(const struct step *s, size_t group)
{
    const struct spec_index_list *needs = &s->spec->groups[group].needs;
    for (size_t i = 0; i < needs->count; i++) {
        size_t wanted = s->spec->groups[needs->items[i]].min;
        if (s->survey->groups[needs->items[i]].in_service < (wanted == 0 ? 1 : wanted)) {
            return needs->items[i];
        }
    }
    return SPEC_NONE;
}

/* Lifecycle hooks. */

static bool hook_is_owed(const struct step *s, size_t instance, enum lifecycle waiting)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct spec_hook *hook = world_hook(s->spec, it->group, waiting);
    if (hook == NULL || it->hook_done) {
        return false;
    }
    /* A host that is dead cannot run one. */
    return hook->where == SPEC_HOOK_CONTROLLER || it->power == WORLD_POWER_RUNNING;
}

/* It runs, as its provider says, and nobody has reached it for so long that it is given up. */
static bool is_beyond_hooks(struct step *s, size_t instance, const struct spec_hook *hook)
{
    const struct world_witness *alive = &s->world->instances[instance].alive;
    if (hook->where == SPEC_HOOK_CONTROLLER || alive->health != WORLD_UNHEALTHY) {
        return false;
    }
    int64_t given_up_ms = alive->since_ms + SURVEY_LOST_GIVEN_UP_MS;
    step_wake_when(s, given_up_ms);
    return s->world->now_ms >= given_up_ms;
}

/* The links of the chain. */

static void serve(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->in_service_ms == 0 && it->lifecycle == LIFECYCLE_PENDING &&
        hook_is_owed(s, instance, LIFECYCLE_PENDING_WAIT)) {
        const struct spec_hook *hook = world_hook(s->spec, it->group, LIFECYCLE_PENDING_WAIT);
        step_mark(s, instance, LIFECYCLE_PENDING_WAIT,
                  (struct reason){.code = REASON_HOOK, .name = hook->name});
        return;
    }
    bool in_pool = s->spec->groups[it->group].pool != SPEC_NONE;
    if (in_pool && !pool_let_in(s, instance)) {
        return;
    }
    if (!in_pool && it->alive.health == WORLD_UNHEALTHY && it->lifecycle != LIFECYCLE_IN_SERVICE) {
        step_hold_for_health(s, instance); /* It would be counted, and nobody reaches it. */
        return;
    }
    /* Drained for something, and nothing was done to it since. */
    bool unchanged = it->lifecycle == LIFECYCLE_DRAINING && it->ready_ms <= it->in_service_ms;
    if (it->lifecycle != LIFECYCLE_IN_SERVICE) {
        step_mark(s, instance, LIFECYCLE_IN_SERVICE,
                  (struct reason){.code = unchanged ? REASON_UNCHANGED : REASON_SERVING});
    }
}

static void change(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    size_t group = it->group;
    struct reason drift = {.code = REASON_DRIFT, .a = it->drift_count};
    bool in_pool = s->spec->groups[group].pool != SPEC_NONE;
    if (it->lifecycle == LIFECYCLE_DRAINING && in_pool && survey_has_traffic(s->survey, instance) &&
        budget_would_break(s, instance)) {
        /* Others were lost since: it serves on, and is changed when its turn comes again. */
        step_mark(s, instance, LIFECYCLE_IN_SERVICE, (struct reason){.code = REASON_SERVING});
        return;
    }
    if (it->lifecycle == LIFECYCLE_PENDING && survey_has_traffic(s->survey, instance)) {
        serve(s, instance); /* It is back, and counts again; then its turn comes. */
        return;
    }
    if (it->lifecycle == LIFECYCLE_IN_SERVICE && refresh_replaces(s, instance)) {
        step_hold(s, HOLD_WAIT, instance, (struct reason){.code = REASON_REFRESH_OUTDATED});
        (void)(in_pool && pool_let_in(s, instance));
        return;
    }
    if (it->lifecycle == LIFECYCLE_IN_SERVICE) {
        if (step_suspended(s, group, WORLD_PROCESS_CHANGE)) {
            step_hold(s, HOLD_WAIT, instance,
                      (struct reason){.code = REASON_SUSPENDED, .name = "change"});
            (void)(in_pool && pool_let_in(s, instance));
            return;
        }
        size_t counted = s->survey->groups[group].counted;
        if (!budget_allows(s, instance)) {
            /* Until it may be changed it serves, on every balancer: or there are never enough. */
            (void)(in_pool && pool_let_in(s, instance));
            return;
        }
        if (in_pool) {
            size_t kept = counted - (s->survey->serving[instance] && counted > 0 ? 1 : 0);
            step_mark(
                s, instance, LIFECYCLE_DRAINING,
                (struct reason){.code = REASON_LEAVES_FOR_CHANGE,
                                .name = step_pool_name(s, group),
                                .a = it->drift_count,
                                .b = (int64_t)kept,
                                .c = (int64_t)world_healthy_minimum(s->spec, s->world, group)});
            return;
        }
    }
    if (!in_pool || pool_taken_out(s, instance, drift)) {
        step_act_on(s, ACTION_CONFIGURE, instance, drift);
    }
}

static void launch(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->lifecycle == LIFECYCLE_IN_SERVICE &&
        step_suspended(s, it->group, WORLD_PROCESS_HEALTH_CHECK)) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_SUSPENDED, .name = "health-check"});
        return;
    }
    bool may_serve = it->lifecycle == LIFECYCLE_IN_SERVICE &&
                     s->spec->groups[it->group].pool != SPEC_NONE &&
                     !survey_is_off(s->world, instance) && !it->power_doubtful;
    if (may_serve) {
        /* Nobody has to contradict its provider for so long. */
        step_wake_when(s, survey_alone_ms(it) + SURVEY_SECOND_WITNESS_MS);
        step_hold(s, HOLD_WAIT, instance, (struct reason){.code = REASON_UNKNOWN});
        return;
    }
    bool made = it->lifecycle != LIFECYCLE_PENDING || it->greeted || it->configured;
    step_act_on(s, ACTION_LAUNCH, instance,
                (struct reason){.code = made ? REASON_NOT_RUNNING : REASON_NOT_MADE});
}

static void configure_first(struct step *s, size_t instance)
{
    if (survey_has_traffic(s->survey, instance)) {
        /* An older record than the balancers' says that it is new, and it serves: what it has is
           looked at, and what differs is changed when its turn comes (S20, S1). */
        step_act_on(s, ACTION_INSPECT, instance, (struct reason){.code = REASON_NOT_INSPECTED});
        return;
    }
    size_t group = s->world->instances[instance].group;
    size_t needed = needed_group(s, group);
    if (needed == SPEC_NONE) {
        if (s->spec->groups[group].pool != SPEC_NONE &&
            !pool_taken_out(s, instance, (struct reason){.code = REASON_NEVER_CONFIGURED})) {
            return;
        }
        step_act_on(s, ACTION_CONFIGURE, instance,
                    (struct reason){.code = REASON_NEVER_CONFIGURED});
        return;
    }
    const struct spec_group *g = &s->spec->groups[needed];
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){.code = REASON_WAITS_FOR_GROUP,
                              .name = g->name,
                              .a = (int64_t)s->survey->groups[needed].in_service,
                              .b = g->min == 0 ? 1 : (int64_t)g->min});
}

static void advance(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->power == WORLD_POWER_UNKNOWN) {
        return; /* S10: unknown is not failed; the provider has not answered yet. */
    }
    if (it->power != WORLD_POWER_RUNNING) {
        launch(s, instance);
    } else if (!it->greeted) {
        step_act_on(s, ACTION_GREET, instance, (struct reason){.code = REASON_FIRST_CONTACT});
    } else if (!it->configured) {
        configure_first(s, instance);
    } else if (it->drift == WORLD_DRIFT_UNKNOWN) {
        step_act_on(s, ACTION_INSPECT, instance, (struct reason){.code = REASON_NOT_INSPECTED});
    } else if (it->drift == WORLD_DRIFT_PENDING) {
        change(s, instance);
    } else {
        serve(s, instance);
    }
}

/* Waiting for hooks. */

/* True when its time is over; else the end of that time is one to look again. */
static bool hook_is_over(struct step *s, const struct world_instance *it,
                         const struct spec_hook *hook)
{
    if (it->hook_ms == 0) {
        return false;
    }
    int64_t over_ms = it->hook_ms + hook->limit_ms;
    if (s->world->now_ms < over_ms) {
        step_wake_at(s, over_ms);
        return false;
    }
    return true;
}

/* Why the wait for HOOK (NULL: taken out of the file) is over; REASON_NONE while it is not. */
static struct reason hook_end(struct step *s, size_t instance, const struct spec_hook *hook)
{
    const struct world_instance *it = &s->world->instances[instance];
    struct reason end = {.code = REASON_NONE, .name = hook == NULL ? NULL : hook->name};
    bool over = hook != NULL && hook_is_over(s, it, hook);
    if (it->hook_done || hook == NULL) {
        end.code = it->hook_abandon ? REASON_HOOK_ABANDON : REASON_HOOK_DONE;
    } else if (over) {
        end.code = REASON_HOOK_OVER_TIME;
        end.a = hook->limit_ms;
        end.b = hook->result == SPEC_HOOK_ABANDON ? 1 : 0;
    }
    return end;
}

/* In pending:wait. A host that went down in it comes up again first. */
static void wait_for_launch_hook(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct spec_hook *hook = world_hook(s->spec, it->group, LIFECYCLE_PENDING_WAIT);
    struct reason end = hook_end(s, instance, hook);
    bool up = it->power == WORLD_POWER_RUNNING && it->greeted;
    if (end.code != REASON_NONE) {
        bool abandoned = end.code == REASON_HOOK_ABANDON ||
                         (end.code == REASON_HOOK_OVER_TIME && hook->result == SPEC_HOOK_ABANDON);
        step_mark(s, instance, abandoned ? LIFECYCLE_TERMINATING : LIFECYCLE_PENDING, end);
    } else if (mend_held_by_failure(s, instance)) {
        return;
    } else if (!up) {
        advance(s, instance);
    } else {
        step_act_on(s, ACTION_HOOK, instance,
                    (struct reason){.code = REASON_HOOK, .name = hook->name});
    }
}

/* In terminating:wait. However it ends, the instance does. */
static void wait_for_terminate_hook(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct spec_hook *hook = world_hook(s->spec, it->group, LIFECYCLE_TERMINATING_WAIT);
    struct reason end = hook_end(s, instance, hook);
    if (end.code == REASON_NONE && is_beyond_hooks(s, instance, hook)) {
        end.code = REASON_HOOK_UNREACHED;
        end.a = s->world->now_ms - it->alive.since_ms;
    } else if (end.code == REASON_NONE && !hook_is_owed(s, instance, LIFECYCLE_TERMINATING_WAIT)) {
        end.code = REASON_HOOK_OFF;
    }
    if (end.code != REASON_NONE) {
        step_mark(s, instance, LIFECYCLE_TERMINATING, end);
    } else if (!mend_held_by_failure(s, instance)) {
        step_act_on(s, ACTION_HOOK, instance,
                    (struct reason){.code = REASON_HOOK, .name = hook->name});
    }
}

/* Leaving. */

static void leave(struct step *s, size_t instance)
{
    struct reason reason = {.code = REASON_LEAVES_FOR_GOOD,
                            .name = s->spec->groups[s->world->instances[instance].group].name};
    if (!pool_taken_out(s, instance, reason)) {
        return;
    }
    if (hook_is_owed(s, instance, LIFECYCLE_TERMINATING_WAIT)) {
        const struct spec_hook *hook =
            world_hook(s->spec, s->world->instances[instance].group, LIFECYCLE_TERMINATING_WAIT);
        step_mark(s, instance, LIFECYCLE_TERMINATING_WAIT,
                  (struct reason){.code = REASON_HOOK, .name = hook->name});
        return;
    }
    step_act_on(s, ACTION_TERMINATE, instance, reason);
}

static struct reason replace_reason(const struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    return it->wish == WORLD_WISH_REFRESH ? refresh_reason(s, it->group)
                                          : (struct reason){.code = REASON_WISH_REPLACE};
}

/* S2: it goes when the one in its place serves; or, when there can be none, if the minimum allows.
 */
static void replace(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct survey_group *g = &s->survey->groups[it->group];
    size_t desired = s->world->groups[it->group].desired;
    if (step_suspended(s, it->group, WORLD_PROCESS_TERMINATE)) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_SUSPENDED, .name = "terminate"});
        return;
    }
    bool coming =
        g->standing + g->standby >= desired || g->pending > 0 || group_can_grow(s, it->group);
    bool serves = s->survey->serving[instance] || !s->survey->known_out[instance];
    if (serves && g->ready + g->standby < desired && coming &&
        !GUARDED(GUARD_S2_NEW_FIRST, false)) {
        budget_wake_when_baked(s, it->group);
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_WAITS_FOR_NEW,
                                  .name = s->spec->groups[it->group].name,
                                  .a = (int64_t)(g->ready + g->standby),
                                  .b = (int64_t)desired});
    } else if (budget_allows(s, instance)) {
        step_mark(s, instance, LIFECYCLE_TERMINATING, replace_reason(s, instance));
        return;
    }
    if (it->lifecycle == LIFECYCLE_IN_SERVICE) {
        serve(s, instance); /* Until then, on every balancer. */
    } else if (it->lifecycle == LIFECYCLE_PENDING && !s->survey->known_out[instance]) {
        advance(s, instance); /* It was on its way back: what serves half is waited for by all. */
    }
}

/* True when a wish decides what comes next. */
static bool follow_wish(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool came = it->lifecycle == LIFECYCLE_IN_SERVICE;
    switch (it->wish) {
    case WORLD_WISH_NONE: return false;
    case WORLD_WISH_REFRESH:
        if (!world_is_outdated(s->world, instance)) {
            step_mark_wish(s, instance, WORLD_WISH_NONE,
                           (struct reason){.code = REASON_REFRESH_OVER});
            return true;
        }
        replace(s, instance);
        return true;
    case WORLD_WISH_REPLACE: replace(s, instance); return true;
    case WORLD_WISH_STANDBY:
        if (!came) {
            return false;
        }
        if (budget_spares_last(s, instance) && budget_allows(s, instance)) {
            step_mark(s, instance, LIFECYCLE_DRAINING,
                      (struct reason){.code = REASON_WISH_STANDBY});
        } else {
            serve(s, instance);
        }
        return true;
    case WORLD_WISH_DETACH:
        if (!came || (budget_spares_last(s, instance) && budget_allows(s, instance))) {
            step_mark(s, instance, LIFECYCLE_DRAINING, (struct reason){.code = REASON_WISH_DETACH});
        } else {
            serve(s, instance);
        }
        return true;
    }
    return false;
}

static void drain(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    struct reason reason = {.code = it->wish == WORLD_WISH_DETACH ? REASON_WISH_DETACH
                                                                  : REASON_WISH_STANDBY};
    switch (it->wish) {
    case WORLD_WISH_STANDBY:
    case WORLD_WISH_DETACH:
        if (pool_taken_out(s, instance, reason)) {
            step_mark(s, instance,
                      it->wish == WORLD_WISH_DETACH ? LIFECYCLE_DETACHED : LIFECYCLE_STANDBY,
                      reason);
        }
        return;
    case WORLD_WISH_REFRESH:
    case WORLD_WISH_REPLACE:
        step_mark(s, instance, LIFECYCLE_TERMINATING, replace_reason(s, instance));
        return;
    case WORLD_WISH_NONE: advance(s, instance); return;
    }
}

/* Looks that are due by time. */

static bool check(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct spec_group *g = &s->spec->groups[it->group];
    /* A provider that is silent keeps nobody from asking: what was said last may be old. */
    if (g->check_command == NULL || it->lifecycle != LIFECYCLE_IN_SERVICE ||
        world_power_is_off(it->power) || it->alive.health != WORLD_HEALTHY) {
        return false;
    }
    int64_t due_ms = it->custom_ms == 0 ? s->world->now_ms : it->custom_ms + g->check_every_ms;
    if (s->world->now_ms < due_ms) {
        step_look_at(s, due_ms);
        return false;
    }
    step_act_on(s, ACTION_CHECK, instance, (struct reason){.code = REASON_CHECK_DUE});
    return s->survey->acted[instance];
}

/* One at a time, and only when the group is at rest: it is replaced for its age. */
static bool is_too_old(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct spec_group *g = &s->spec->groups[it->group];
    if (g->max_lifetime_ms == 0 || it->lifecycle != LIFECYCLE_IN_SERVICE || it->protect ||
        it->wish != WORLD_WISH_NONE) {
        return false;
    }
    if (s->world->now_ms - it->made_ms < g->max_lifetime_ms) {
        step_look_at(s, it->made_ms + g->max_lifetime_ms);
        return false;
    }
    if (!group_is_at_rest(s, it->group) || !budget_is_calm(s, instance)) {
        return false;
    }
    s->survey->groups[it->group].ready--; /* No second one in this step. */
    step_mark_wish(s, instance, WORLD_WISH_REPLACE,
                   (struct reason){.code = REASON_TOO_OLD,
                                   .a = s->world->now_ms - it->made_ms,
                                   .b = g->max_lifetime_ms});
    return true;
}

/* S3: an image is to be taken of it, when the budget allows. It goes on serving meanwhile. */
static bool capture(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->capture != WORLD_CAPTURE_WANTED || it->lifecycle != LIFECYCLE_IN_SERVICE) {
        return false;
    }
    if (!s->survey->serving[instance]) {
        step_hold(s, HOLD_WAIT, instance, (struct reason){.code = REASON_UNKNOWN});
        return false;
    }
    if (!budget_allows_capture(s, instance)) {
        return false;
    }
    step_mark_capture(s, instance, WORLD_CAPTURE_GRANTED, (struct reason){.code = REASON_CAPTURE});
    return true;
}

static void step_member(struct step *s, size_t instance)
{
    /* The check comes first: it alone can say that what it found bad is well again. A failure is
       about the host as it is; what is wished of it begins anew. */
    if (check(s, instance) || mend_launch(s, instance) || mend_instance(s, instance) ||
        follow_wish(s, instance) || mend_held_by_failure(s, instance) || is_too_old(s, instance) ||
        capture(s, instance)) {
        return;
    }
    advance(s, instance);
}

/* It serves nobody: only calm is asked for. */
static void leave_standby(struct step *s, size_t instance)
{
    if (!world_is_outdated(s->world, instance)) {
        step_mark_wish(s, instance, WORLD_WISH_STANDBY,
                       (struct reason){.code = REASON_REFRESH_OVER});
    } else if (budget_is_calm(s, instance)) {
        step_mark(s, instance, LIFECYCLE_TERMINATING, replace_reason(s, instance));
    }
}

/* From then on it is counted on, and others that wait for that go on. */
static void wake_when_baked(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    step_wake_when(s, it->in_service_ms + world_bake_ms(s->spec, s->world, instance));
}

void instance_step(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool left_alone = it->lifecycle == LIFECYCLE_DETACHED && !GUARDED(GUARD_S21_DETACHED, false);
    if (it->busy || it->lifecycle == LIFECYCLE_TERMINATED || left_alone ||
        s->survey->acted[instance]) {
        return;
    }
    if (it->group == WORLD_NONE) {
        step_hold(s, HOLD_STUCK, instance, (struct reason){.code = REASON_ORPHAN});
        return;
    }
    if (budget_stands_still(s, instance)) {
        return;
    }
    switch (it->lifecycle) {
    case LIFECYCLE_DETACHED: /* Only without its guard. */
    case LIFECYCLE_IN_SERVICE:
        wake_when_baked(s, instance);
        step_member(s, instance);
        return;
    case LIFECYCLE_PENDING: step_member(s, instance); return;
    case LIFECYCLE_DRAINING:
        /* What could not be changed may still be replaced. */
        if (world_wish_is_replace(it->wish) || !mend_held_by_failure(s, instance)) {
            drain(s, instance);
        }
        return;
    case LIFECYCLE_PENDING_WAIT: wait_for_launch_hook(s, instance); return;
    case LIFECYCLE_TERMINATING:
        if (!mend_held_by_failure(s, instance)) {
            leave(s, instance);
        }
        return;
    case LIFECYCLE_TERMINATING_WAIT: wait_for_terminate_hook(s, instance); return;
    case LIFECYCLE_STANDBY:
        if (it->wish == WORLD_WISH_REFRESH) {
            leave_standby(s, instance);
        } else if (it->wish != WORLD_WISH_STANDBY) {
            step_mark(s, instance, LIFECYCLE_PENDING, (struct reason){.code = REASON_WISH_BACK});
            /* It stands by for nobody any more. */
            s->survey->groups[it->group].standby--;
            s->survey->groups[it->group].standing++;
            s->survey->groups[it->group].pending++;
        }
        return;
    case LIFECYCLE_QUARANTINED:
        if (pool_taken_out(s, instance, (struct reason){.code = REASON_QUARANTINED})) {
            step_hold(s, HOLD_STUCK, instance, (struct reason){.code = REASON_QUARANTINED});
        }
        return;
    case LIFECYCLE_TERMINATED: return;
    }
}
