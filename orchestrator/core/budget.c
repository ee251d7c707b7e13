/*
 * The one disruption budget (S3). Refresh, repair, scale-in, a change in place and the operator's
 * own commands all ask here before they take an instance out of service; what was lost without
 * anybody's order is charged first, because only what serves is counted.
 */
#include "core/guard.h"
#include "core/ladder.h"
#include "core/proof.h"
#include "core/step.h"
#include "spec/spec.h"

/* S19: what an effect on a pool rests on was told by its balancers no longer ago than this. */
#define FRESH_MS 5000
/* An open breaker that has not closed by then needs a human. */
#define BREAKER_STUCK_MS 300000

static bool paused(const struct step *s, size_t group, struct reason *ret_reason)
{
    if (GUARDED(GUARD_S22_PAUSED, false)) {
        return false;
    }
    if (s->world->paused) {
        *ret_reason = (struct reason){.code = REASON_PAUSED, .name = s->spec->cluster};
        return true;
    }
    if (group != WORLD_NONE && s->world->groups[group].paused) {
        *ret_reason = (struct reason){.code = REASON_PAUSED, .name = s->spec->groups[group].name};
        return true;
    }
    return false;
}

static struct reason frozen_reason(const struct step *s)
{
    return (struct reason){.code = REASON_FROZEN,
                           .a = s->world->gone,
                           .b = s->world->seen,
                           .c = s->world->now_ms - s->world->frozen.since_ms};
}

bool budget_group_stands_still(struct step *s, size_t group)
{
    struct reason reason;
    if (s->world->frozen.on) {
        step_hold_group(s, HOLD_WAIT, group, frozen_reason(s));
        return true;
    }
    if (paused(s, group, &reason)) {
        step_hold_group(s, HOLD_WAIT, group, reason);
        return true;
    }
    return false;
}

bool budget_stands_still(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    struct reason reason;
    if (s->world->frozen.on) {
        step_hold(s, HOLD_WAIT, instance, frozen_reason(s));
        return true;
    }
    if (it->paused && !GUARDED(GUARD_S22_PAUSED, false)) {
        step_hold(s, HOLD_WAIT, instance, (struct reason){.code = REASON_PAUSED, .name = it->id});
        return true;
    }
    if (paused(s, it->group, &reason)) {
        step_hold(s, HOLD_WAIT, instance, reason);
        return true;
    }
    return false;
}

static struct reason breaker_reason(const struct world_breaker *b, const char *name)
{
    return (struct reason){
        .code = REASON_BREAKER, .name = name, .a = b->bad, .b = b->judged, .c = b->tolerated};
}

/* It may close by itself; when it has not for long, a human must look. */
static enum hold_kind breaker_hold(const struct step *s, const struct world_breaker *b)
{
    return s->world->now_ms - b->open.since_ms >= BREAKER_STUCK_MS ? HOLD_STUCK : HOLD_WAIT;
}

bool budget_is_calm(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (budget_stands_still(s, instance)) {
        return false;
    }
    const struct world_breaker *group = &s->world->groups[it->group].breaker;
    const struct world_zone *zone = it->zone == WORLD_NONE ? NULL : &s->world->zones[it->zone];
    if (zone != NULL && zone->lost.on) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_ZONE_LOST, .name = s->spec->zones[it->zone].name});
        return false;
    }
    if (group->open.on) {
        step_hold(s, breaker_hold(s, group), instance,
                  breaker_reason(group, s->spec->groups[it->group].name));
        return false;
    }
    if (zone != NULL && zone->breaker.open.on) {
        step_hold(s, breaker_hold(s, &zone->breaker), instance,
                  breaker_reason(&zone->breaker, s->spec->zones[it->zone].name));
        return false;
    }
    return true;
}

/* Of ALL that are being changed, those that INSTANCE waits for when it begins anew: of several
   whose change failed the first waits for none of the others, or each would wait for each. */
static size_t count_others(size_t all, size_t failed, size_t first_failed, size_t instance)
{
    return first_failed == instance ? all - failed : all - 1;
}

/* S7: no other member is being changed, or is not back yet; and the cluster's share is not used. */
static bool has_turn(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct survey_group *g = &s->survey->groups[it->group];
    /* One that is out already, or never came, takes nothing more: it goes on, or two would wait for
       each other. */
    bool anew = survey_begins_anew(s->survey, instance);
    if ((survey_is_changing(s->survey, instance) && !anew) ||
        (it->in_service_ms == 0 && s->survey->known_out[instance])) {
        return true;
    }
    /* One that may not leave because too few serve waits for just those that give nothing. */
    size_t others = s->survey->known_out[instance] ? g->underway : g->changing;
    others = anew ? count_others(g->changing, g->failed, g->first_failed, instance) : others;
    if (others > 0 && !GUARDED(GUARD_S7_ONE, false)) {
        const char *other = g->change == WORLD_NONE || g->change == instance
                                ? s->spec->groups[it->group].name
                                : s->world->instances[g->change].id;
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_WAITS_FOR_OTHER, .name = other});
        return false;
    }
    /* Who gives nothing any more takes nothing from the cluster: mending it does not wait for
     * others. */
    size_t most = s->survey->instances * s->spec->max_disruption_percent / 100;
    most = most > 1 ? most : 1;
    const struct survey *all = s->survey;
    size_t disrupted = anew ? count_others(all->disrupted, all->failed, all->first_failed, instance)
                            : all->disrupted;
    if (!s->survey->known_out[instance] && !step_is_waited_for(s, it->group) && disrupted >= most &&
        !GUARDED(GUARD_S7_CLUSTER, false)) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_WAITS_FOR_CLUSTER,
                                  .a = (int64_t)disrupted,
                                  .b = (int64_t)most});
        return false;
    }
    return true;
}

/* S7, S11: the group has had its bake time since the last one came back. */
static bool has_baked(struct step *s, size_t instance)
{
    size_t group = s->world->instances[instance].group;
    int64_t last_ms = s->world->groups[group].disrupted_ms;
    int64_t bake_ms = s->spec->groups[group].bake_ms;
    if (last_ms == INT64_MIN || s->world->now_ms - last_ms >= bake_ms ||
        GUARDED(GUARD_S7_BAKE, false)) {
        return true;
    }
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){.code = REASON_WAITS_FOR_BAKE,
                              .a = s->world->now_ms - last_ms,
                              .b = last_ms + bake_ms - s->world->now_ms});
    step_wake_at(s, last_ms + bake_ms);
    return false;
}

/* S19: every balancer in front of it has told its targets just now; one that has not is asked. */
static bool is_fresh(struct step *s, size_t instance)
{
    for (size_t t = s->survey->first_target[instance]; t != WORLD_NONE;
         t = s->survey->next_target[t]) {
        size_t balancer = s->world->targets[t].balancer;
        const struct world_balancer *b = &s->world->balancers[balancer];
        bool fresh = b->seen_ms != INT64_MIN && s->world->now_ms - b->seen_ms <= FRESH_MS;
        if (fresh || survey_balancer_gone(s->survey, balancer) || GUARDED(GUARD_S19_FRESH, false)) {
            continue;
        }
        struct reason reason = {.code = REASON_FRONTEND_STALE,
                                .name = step_frontend_name(s, balancer),
                                .a = b->seen_ms == INT64_MIN ? -1 : s->world->now_ms - b->seen_ms};
        /* One that is bad is mended, not asked again and again: that would keep it from it. */
        if (step_balancer_idle(s, balancer) && step_balancer_usable(s, balancer) &&
            !world_verdict_is_bad(s->world->instances[b->instance].verdict) &&
            !mend_held_by_failure(s, b->instance)) {
            step_act_at(s, ACTION_COMPARE, b->instance, balancer, reason);
        }
        reason.code = REASON_WAITS_FOR_FRONTEND;
        step_hold(s, HOLD_WAIT, instance, reason);
        return false;
    }
    return true;
}

/* Who serves and is not counted yet will be, without anything else happening. */
void budget_wake_when_baked(struct step *s, size_t group)
{
    if (s->survey->groups[group].woken) {
        return; /* Once a step: all members may ask. */
    }
    s->survey->groups[group].woken = true;
    for (size_t i = 0; i < s->world->instance_count; i++) {
        const struct world_instance *it = &s->world->instances[i];
        if (it->group == group && s->survey->serving[i] && it->lifecycle == LIFECYCLE_IN_SERVICE) {
            step_wake_when(s, it->in_service_ms + world_bake_ms(s->spec, s->world, i));
        }
    }
}

/* Whether S1 holds without INSTANCE, by what is known now; *RET_SPARE: it is the spare that does
 * not. */
static bool holds_without(const struct step *s, size_t instance, bool *ret_spare)
{
    size_t group = s->world->instances[instance].group;
    const struct spec_group *spec = &s->spec->groups[group];
    const struct proof proof = proof_of(s->survey, group, instance);
    *ret_spare = GUARDED(GUARD_S1_MINIMUM, proof.holds);
    return *ret_spare &&
           GUARDED(GUARD_S1_SPARE, spec->spare == 0 || proof.after >= proof.minimum + spec->spare);
}

static bool is_asked(const struct step *s, size_t instance)
{
    size_t group = s->world->instances[instance].group;
    return s->spec->groups[group].pool != SPEC_NONE && !s->survey->known_out[instance];
}

bool budget_would_break(const struct step *s, size_t instance)
{
    bool spare;
    return is_asked(s, instance) && !holds_without(s, instance, &spare);
}

bool budget_keeps_minimum(struct step *s, size_t instance)
{
    size_t group = s->world->instances[instance].group;
    const struct spec_group *spec = &s->spec->groups[group];
    if (!is_asked(s, instance)) {
        return true;
    }
    if (!is_fresh(s, instance)) {
        return false;
    }
    bool spare;
    if (holds_without(s, instance, &spare)) {
        return true;
    }
    const struct proof proof = proof_of(s->survey, group, instance);
    bool settled = s->survey->groups[group].unsettled == 0 && s->survey->groups[group].unbaked == 0;
    budget_wake_when_baked(s, group);
    step_hold(s, settled ? HOLD_REFUSED : HOLD_WAIT, instance,
              (struct reason){.code = spare ? REASON_BELOW_SPARE : REASON_BELOW_MINIMUM,
                              .name = spec->name,
                              .a = (int64_t)proof.serving,
                              .b = (int64_t)proof.minimum,
                              .c = spec->spare});
    return false;
}

/* From here on it counts as taken, so that nobody else is allowed in this step. */
static void take(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (survey_is_changing(s->survey, instance)) {
        return;
    }
    struct survey_group *g = &s->survey->groups[it->group];
    g->change = g->change == WORLD_NONE ? instance : g->change;
    g->changing++;
    g->underway++;
    s->survey->disrupted++;
}

/* S3: an image is being taken of it. Who gives nothing any more is not kept for that. */
static bool is_captured(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->capture != WORLD_CAPTURE_GRANTED || s->survey->known_out[instance] ||
        GUARDED(GUARD_S3_CAPTURE, false)) {
        return false;
    }
    step_hold(s, HOLD_WAIT, instance, (struct reason){.code = REASON_CAPTURED, .name = it->id});
    return true;
}

/* Its host answers, and so does what it is for, as far as anybody asks. */
static bool stands_in(const struct survey *s, size_t instance)
{
    bool balances = false;
    for (size_t b = 0; b < s->world->balancer_count; b++) {
        balances = balances || s->world->balancers[b].instance == instance;
    }
    const struct world_instance *it = &s->world->instances[instance];
    return s->serving[instance] && it->alive.health == WORLD_HEALTHY &&
           !world_leaving(it->lifecycle) && (!balances || survey_answers(s, instance, INT64_MIN));
}

bool budget_spares_last(struct step *s, size_t instance)
{
    size_t group = s->world->instances[instance].group;
    const struct spec_group *spec = &s->spec->groups[group];
    /* One that nobody hears gives nothing that anybody knows of: it may be a record alone. */
    bool heard = s->world->instances[instance].alive.health == WORLD_HEALTHY;
    if (spec->pool != SPEC_NONE || s->survey->known_out[instance] || !heard ||
        world_healthy_minimum(s->spec, s->world, group) == 0 || GUARDED(GUARD_S1_MINIMUM, false)) {
        return true;
    }
    for (size_t i = 0; i < s->world->instance_count; i++) {
        if (i != instance && s->world->instances[i].group == group && stands_in(s->survey, i)) {
            return true;
        }
    }
    step_hold(s, HOLD_REFUSED, instance,
              (struct reason){.code = REASON_BELOW_MINIMUM, .name = spec->name, .a = 1, .b = 1});
    return false;
}

bool budget_allows_capture(struct step *s, size_t instance)
{
    const char *id = s->world->instances[instance].id;
    if (survey_is_changing(s->survey, instance)) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_WAITS_FOR_OTHER, .name = id});
        return false;
    }
    if (!budget_is_calm(s, instance) || !has_turn(s, instance) || !has_baked(s, instance)) {
        return false;
    }
    take(s, instance);
    return true;
}

bool budget_allows(struct step *s, size_t instance)
{
    if (is_captured(s, instance) || !budget_is_calm(s, instance) || !has_turn(s, instance)) {
        return false;
    }
    if (!s->survey->known_out[instance] && !has_baked(s, instance)) {
        return false;
    }
    if (!budget_keeps_minimum(s, instance)) {
        return false;
    }
    take(s, instance);
    return true;
}
