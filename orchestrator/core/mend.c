/* What is bad: which rung of the ladder comes next (S8), and what forbids it (S9 to S13). */
#include "core/guard.h"
#include "core/ladder.h"
#include "core/step.h"
#include "spec/spec.h"

#define RETRY_BASE_MS 2000   /* Doubles with each failure, */
#define RETRY_MAX_MS  300000 /* up to this, and is spread by as much as a quarter (S23). */

/* Longer than one try: it began when somebody was heard. */
#define HEARD_MS 30000
/* When the first of a group is well again, the others have as long: every witness's time. */
#define SHARED_MS 30000

/* Retries. */

/* Without chance, so that the core stays pure: spread by who it is and which try it is. */
static int64_t retry_ms(const struct world_instance *it)
{
    int64_t doublings = it->failures < 10 ? it->failures - 1 : 9;
    int64_t base_ms = RETRY_BASE_MS * ((int64_t)1 << (doublings < 0 ? 0 : doublings));
    base_ms = base_ms > RETRY_MAX_MS ? RETRY_MAX_MS : base_ms;
    uint32_t hash = 2166136261U; /* FNV-1a. */
    for (const char *c = it->id; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 16777619U;
    }
    hash = (hash ^ (uint32_t)it->failures) * 16777619U;
    return base_ms + (int64_t)(hash % 256) * base_ms / 1024;
}

/* When it may be tried again; INT64_MAX: not by itself. */
static int64_t again_at_ms(const struct step *s, const struct world_instance *it)
{
    if (it->failure == WORLD_FAILURE_NONE) {
        return s->world->now_ms;
    }
    bool given_up = it->failure == WORLD_FAILURE_PERMANENT ||
                    (it->failures >= LADDER_TRIES_MAX && !s->world->tireless);
    return given_up ? INT64_MAX : it->failed_ms + retry_ms(it);
}

bool mend_held_by_failure(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    int64_t again_ms = again_at_ms(s, it);
    if (s->world->now_ms >= again_ms) {
        return false;
    }
    if (again_ms == INT64_MAX) {
        step_hold(s, HOLD_STUCK, instance,
                  (struct reason){.code = REASON_FAILED, .a = it->failures});
        return true;
    }
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){.code = REASON_WAITS_TO_RETRY,
                              .a = it->failures,
                              .b = again_ms - s->world->now_ms});
    step_wake_at(s, again_ms);
    return true;
}

/* The ladder. */

/* S12: what it needs is not well, or everybody of its group is unready at once. */
static bool is_shared(struct step *s, size_t instance)
{
    size_t group = s->world->instances[instance].group;
    const struct spec_index_list *needs = &s->spec->groups[group].needs;
    for (size_t i = 0; i < needs->count; i++) {
        size_t needed = needs->items[i];
        size_t wanted = s->spec->groups[needed].min > 0 ? s->spec->groups[needed].min : 1;
        if (s->world->groups[needed].breaker.bad > 0 ||
            s->survey->groups[needed].in_service < wanted) {
            step_hold(s, HOLD_WAIT, instance,
                      (struct reason){.code = REASON_SHARED, .name = s->spec->groups[needed].name});
            return true;
        }
    }
    const struct world_breaker *b = &s->world->groups[group].breaker;
    /* Nobody is known to be well, or nobody was a moment ago: what the first sees again the others
       will. One that is lost besides has its own trouble. */
    bool lately = b->well > 0 && s->world->now_ms - b->well_ms < SHARED_MS;
    if (b->unready >= 2 && (b->well == 0 || lately)) {
        if (lately) {
            step_wake_at(s, b->well_ms + SHARED_MS);
        }
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_SHARED, .a = b->unready, .b = b->judged});
        return true;
    }
    return false;
}

static struct reason mend_reason(const struct step *s, const struct world_instance *it,
                                 enum world_rung rung)
{
    return (struct reason){.code = REASON_MEND,
                           .name = world_verdict_to_string(it->verdict),
                           .a = s->world->now_ms - it->verdict_ms,
                           .b = rung};
}

static bool waits_for_rung(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    enum world_rung position = ladder_position(it);
    int64_t until_ms = it->rung_ms + ladder_patience_ms(position);
    if (position == WORLD_RUNG_NONE || s->world->now_ms >= until_ms ||
        GUARDED(GUARD_S8_PATIENCE, false)) {
        return false;
    }
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){
                  .code = REASON_WAITS_FOR_RUNG, .a = position, .b = until_ms - s->world->now_ms});
    step_wake_at(s, until_ms);
    return true;
}

static void stuck(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool no_power = it->verdict == WORLD_VERDICT_LOST &&
                    (!it->power_witnessed || it->power == WORLD_POWER_UNKNOWN);
    step_hold(s, HOLD_STUCK, instance,
              (struct reason){.code = no_power ? REASON_NO_POWER : REASON_UNHEALTHY});
}

static void climb(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    enum world_rung rung = ladder_next(s->spec, it);
    struct reason reason = mend_reason(s, it, rung);
    switch (rung) {
    case WORLD_RUNG_NONE: stuck(s, instance); return;
    case WORLD_RUNG_REPLACE: step_mark_wish(s, instance, WORLD_WISH_REPLACE, reason); return;
    case WORLD_RUNG_RESTART:
    case WORLD_RUNG_REBOOT:
    case WORLD_RUNG_CYCLE:
    case WORLD_RUNG_QUARANTINE: break;
    }
    if (!budget_allows(s, instance) ||
        (survey_has_traffic(s->survey, instance) && !pool_taken_out(s, instance, reason))) {
        return;
    }
    if (rung == WORLD_RUNG_QUARANTINE) {
        step_mark(s, instance, LIFECYCLE_QUARANTINED,
                  (struct reason){.code = REASON_QUARANTINE, .a = it->rebuilds});
        return;
    }
    step_act_on(s,
                rung == WORLD_RUNG_RESTART  ? ACTION_RESTART
                : rung == WORLD_RUNG_REBOOT ? ACTION_REBOOT
                                            : ACTION_CYCLE,
                instance, reason);
}

/* True when nothing is to be done about it, whatever it is; a hold was said. */
static bool not_to_be_mended(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (step_suspended(s, it->group, WORLD_PROCESS_REPLACE)) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_SUSPENDED, .name = "replace"});
        return true;
    }
    if (s->spec->groups[it->group].repair == SPEC_REPAIR_NONE) {
        step_hold(s, HOLD_STUCK, instance, (struct reason){.code = REASON_UNHEALTHY});
        return true;
    }
    return false;
}

/* A verdict that is new may be the first of many: the others have a moment to be noticed, too. */
static bool waits_to_confirm(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    int64_t confirmed_ms = it->verdict_ms + LADDER_CONFIRM_MS;
    if (s->world->now_ms >= confirmed_ms) {
        return false;
    }
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){.code = REASON_WAITS_TO_CONFIRM,
                              .name = world_verdict_to_string(it->verdict),
                              .a = s->world->now_ms - it->verdict_ms,
                              .b = LADDER_CONFIRM_MS});
    step_wake_at(s, confirmed_ms);
    return true;
}

static void mend(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (waits_to_confirm(s, instance)) {
        return;
    }
    /* S10: only the prober says so, of whom no balancer can say anything. */
    if (it->verdict == WORLD_VERDICT_LOST && s->world->prober_errs &&
        s->survey->first_target[instance] == WORLD_NONE && !GUARDED(GUARD_S10_UNKNOWN, false)) {
        step_hold(s, HOLD_WAIT, instance, (struct reason){.code = REASON_UNKNOWN});
        return;
    }
    bool shared = it->verdict == WORLD_VERDICT_UNREADY && !GUARDED(GUARD_S12_SHARED, false) &&
                  is_shared(s, instance);
    if (shared || not_to_be_mended(s, instance) || !budget_is_calm(s, instance) ||
        waits_for_rung(s, instance)) {
        return;
    }
    climb(s, instance);
}

static void mend_dead(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    struct reason reason = {.code = REASON_DEAD, .a = s->world->now_ms - it->verdict_ms};
    if (not_to_be_mended(s, instance)) {
        return;
    }
    if (survey_restarts_dead(s->survey, instance)) {
        if (!mend_held_by_failure(s, instance)) {
            step_act_on(s, ACTION_LAUNCH, instance, reason);
        }
        return;
    }
    if (step_suspended(s, it->group, WORLD_PROCESS_TERMINATE)) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_SUSPENDED, .name = "terminate"});
    } else if (budget_allows(s, instance)) {
        step_mark(s, instance, LIFECYCLE_TERMINATING, reason);
    }
}

bool mend_instance(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    switch (it->verdict) {
    case WORLD_VERDICT_NONE:
    case WORLD_VERDICT_OK:
    case WORLD_VERDICT_UNKNOWN: return false;
    case WORLD_VERDICT_DISPUTED:
        if (it->health.health == WORLD_HEALTHY && it->alive.health == WORLD_HEALTHY &&
            !world_power_is_off(it->power)) {
            return false; /* Only a balancer differs: whether it is let in is seen to there. */
        }
        /* They do not all notice at once. */
        step_wake_when(s, it->verdict_ms + SURVEY_SECOND_WITNESS_MS);
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_DISPUTED,
                                  .a = world_power_is_off(it->power)        ? 2
                                       : it->health.health == WORLD_HEALTHY ? 1
                                                                            : 0});
        return true;
    case WORLD_VERDICT_FLAPPING:
        step_hold(
            s, HOLD_WAIT, instance,
            (struct reason){.code = REASON_FLAPPING, .a = it->damping.until_ms - s->world->now_ms});
        return true;
    case WORLD_VERDICT_UNREADY:
    case WORLD_VERDICT_LOST:
        if (world_wish_is_replace(it->wish)) {
            return false; /* It is being replaced already. */
        }
        mend(s, instance);
        return true;
    case WORLD_VERDICT_DEAD:
        if (world_wish_is_replace(it->wish)) {
            return false; /* Whatever its group repairs by itself. */
        }
        mend_dead(s, instance);
        return true;
    }
    return false;
}

/* New ones that never came into service. */

/*
 * S5: where not one host answers, not even those that did, it may be us, and nothing speaks against
 * the image. What failed before somebody was heard says nothing either.
 */
static bool was_heard(const struct step *s, int64_t at_ms)
{
    return at_ms - HEARD_MS >= s->survey->heard_ms;
}

static bool is_judged_bad(const struct world_instance *it)
{
    return it->verdict == WORLD_VERDICT_UNREADY || it->verdict == WORLD_VERDICT_LOST;
}

/* A step of it was tried often enough, or it was judged. */
static bool has_failed_to_come(const struct step *s, const struct world_instance *it)
{
    bool tried = s->world->tireless && it->failure == WORLD_FAILURE_TRANSIENT &&
                 it->failures >= LADDER_TRIES_MAX && was_heard(s, it->failed_ms);
    return tried || is_judged_bad(it);
}

static void hold_until_heard(struct step *s, size_t instance)
{
    int64_t heard_ms = s->survey->heard_ms;
    int64_t running = (int64_t)s->survey->running;
    if (heard_ms == INT64_MAX) {
        step_hold(s, HOLD_WAIT, instance,
                  (struct reason){.code = REASON_FROZEN, .a = running, .b = running});
        return;
    }
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){.code = REASON_WAITS_TO_CONFIRM,
                              .name = world_verdict_to_string(WORLD_VERDICT_LOST),
                              .a = s->world->now_ms - heard_ms,
                              .b = HEARD_MS});
    step_wake_at(s, heard_ms + HEARD_MS);
}

/* A step that keeps failing is not a verdict: then its age says how long it was tried. */
static struct reason launch_reason(const struct step *s, const struct world_instance *it)
{
    struct reason reason = mend_reason(s, it, WORLD_RUNG_REPLACE);
    if (!is_judged_bad(it)) {
        reason.name = "never in service";
        reason.a = s->world->now_ms - it->made_ms;
    }
    return reason;
}

bool mend_launch(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    const struct spec_group *g = &s->spec->groups[it->group];
    if (it->lifecycle != LIFECYCLE_PENDING || it->in_service_ms != 0 ||
        !has_failed_to_come(s, it) || g->repair != SPEC_REPAIR_REPLACE || !it->power_witnessed) {
        return false;
    }
    if (is_judged_bad(it) && waits_to_confirm(s, instance)) {
        return true;
    }
    if (it->verdict == WORLD_VERDICT_LOST && !was_heard(s, s->world->now_ms)) {
        hold_until_heard(s, instance);
        return true;
    }
    if (s->world->groups[it->group].failed_launches >= LADDER_LAUNCHES_MAX &&
        !GUARDED(GUARD_S9_LAUNCHES, false)) {
        step_hold(s, HOLD_STUCK, instance,
                  (struct reason){.code = REASON_LAUNCHES_FAIL,
                                  .name = g->name,
                                  .a = s->world->groups[it->group].failed_launches});
        return true;
    }
    if (damping_held(&it->damping, s->world->now_ms) && !GUARDED(GUARD_S13_FLAPPING, false)) {
        int64_t left_ms = it->damping.until_ms - s->world->now_ms;
        step_hold(s, HOLD_WAIT, instance, (struct reason){.code = REASON_FLAPPING, .a = left_ms});
        return true;
    }
    bool shared = it->verdict == WORLD_VERDICT_UNREADY && is_shared(s, instance);
    if (!shared && !not_to_be_mended(s, instance) && budget_allows(s, instance)) {
        step_mark(s, instance, LIFECYCLE_TERMINATING, launch_reason(s, it));
        return true;
    }
    /* One that serves somewhere, and may not go, is tried again where it failed. */
    return is_judged_bad(it);
}
