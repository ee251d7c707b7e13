/* In and out of the balancers: admission, draining, and what a balancer itself needs. */
#include "core/guard.h"
#include "core/step.h"
#include "spec/spec.h"

/* A balancer that has told nothing for so long is compared anew. */
#define MUTE_MS 60000

static void hold_for_frontend(struct step *s, size_t instance, size_t balancer)
{
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){.code = REASON_WAITS_FOR_FRONTEND,
                              .name = step_frontend_name(s, balancer)});
}

/* Nothing is known of it there: the balancer says so when it is compared anyway, or is asked. */
static void ask(struct step *s, size_t instance, size_t balancer)
{
    const struct world_balancer *b = &s->world->balancers[balancer];
    if (b->sync == WORLD_SYNC_DONE && step_balancer_idle(s, balancer)) {
        step_act_at(s, ACTION_COMPARE, b->instance, balancer,
                    (struct reason){.code = REASON_FRONTEND_UNSEEN,
                                    .name = step_frontend_name(s, balancer)});
    }
    hold_for_frontend(s, instance, balancer);
}

bool pool_taken_out(struct step *s, size_t instance, struct reason reason)
{
    for (size_t t = s->survey->first_target[instance]; t != WORLD_NONE;
         t = s->survey->next_target[t]) {
        const struct world_target *target = &s->world->targets[t];
        if ((target->state == WORLD_TARGET_ABSENT && !target->doubtful) ||
            survey_balancer_gone(s->survey, target->balancer)) {
            continue;
        }
        /* One that may pass traffic and cannot be told is waited for. */
        bool ready = step_balancer_usable(s, target->balancer) &&
                     !survey_balancer_silent(s->survey, target->balancer) &&
                     step_balancer_free(s, target->balancer);
        if (!ready) {
            hold_for_frontend(s, instance, target->balancer);
        } else if (target->state == WORLD_TARGET_UNKNOWN) {
            ask(s, instance, target->balancer);
        } else if (budget_keeps_minimum(s, instance)) {
            step_act_at(s, ACTION_REMOVE, instance, target->balancer, reason);
        }
        return false;
    }
    return true;
}

/* No request before the first passed check; one of a host that is off by now was of another. */
static bool may_enter(const struct step *s, const struct world_target *target)
{
    const struct world_instance *it = &s->world->instances[target->member];
    bool passed = it->health.health == WORLD_HEALTHY && target->state != WORLD_TARGET_DOWN &&
                  !survey_is_off(s->world, target->member);
    return GUARDED(GUARD_ADMIT_HEALTHY, passed);
}

/* Nobody is let in any more where all are to go. */
static bool is_leaving(const struct step *s, size_t balancer)
{
    return world_leaving(s->world->instances[s->world->balancers[balancer].instance].lifecycle);
}

/* It is up, and has told nothing for so long that what it was told may be gone. */
static bool is_mute(const struct step *s, const struct world_balancer *b)
{
    return b->seen_ms == INT64_MIN || s->world->now_ms - b->seen_ms >= MUTE_MS;
}

bool pool_let_in(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    size_t silent = WORLD_NONE;
    size_t up = 0;
    for (size_t t = s->survey->first_target[instance]; t != WORLD_NONE;
         t = s->survey->next_target[t]) {
        const struct world_target *target = &s->world->targets[t];
        /* A balancer that is gone keeps nobody out of the others. */
        if (survey_balancer_silent(s->survey, target->balancer) ||
            is_leaving(s, target->balancer)) {
            silent = target->balancer;
            continue;
        }
        if (target->state == WORLD_TARGET_UP && !target->may_leave) {
            up++;
            continue;
        }
        const struct world_balancer *b = &s->world->balancers[target->balancer];
        bool ready = step_balancer_usable(s, target->balancer) && b->sync == WORLD_SYNC_DONE &&
                     target->state != WORLD_TARGET_UNKNOWN &&
                     step_balancer_free(s, target->balancer);
        if (step_suspended(s, it->group, WORLD_PROCESS_ADD_TO_BALANCER)) {
            step_hold(s, HOLD_WAIT, instance,
                      (struct reason){.code = REASON_SUSPENDED, .name = "add-to-balancer"});
        } else if (!ready && target->state == WORLD_TARGET_UNKNOWN && is_mute(s, b) &&
                   step_balancer_usable(s, target->balancer)) {
            ask(s, instance, target->balancer);
        } else if (!ready) {
            hold_for_frontend(s, instance, target->balancer);
        } else if (!may_enter(s, target)) {
            step_hold_for_health(s, instance);
        } else {
            step_act_at(
                s, ACTION_ADMIT, instance, target->balancer,
                (struct reason){.code = REASON_NOT_IN_POOL, .name = step_pool_name(s, it->group)});
        }
        return false;
    }
    if (up == 0 && silent != WORLD_NONE) {
        hold_for_frontend(s, instance, silent);
        return false;
    }
    if (it->health.health != WORLD_HEALTHY) {
        step_hold_for_health(s, instance);
        return false;
    }
    return true;
}

/* Another balancer of the same group is being changed. */
static bool other_changes(const struct step *s, size_t instance)
{
    const struct survey_group *g = &s->survey->groups[s->world->instances[instance].group];
    return g->changing > 0 && g->change != instance;
}

void pool_step_balancer(struct step *s, size_t balancer)
{
    const struct world_balancer *b = &s->world->balancers[balancer];
    const struct world_instance *it = &s->world->instances[b->instance];
    bool quiet = !it->busy && !s->survey->acted[b->instance];
    if (!quiet || !step_balancer_free(s, balancer) || !step_balancer_usable(s, balancer) ||
        it->drift == WORLD_DRIFT_UNKNOWN || it->group == WORLD_NONE || b->sync == WORLD_SYNC_DONE ||
        mend_held_by_failure(s, b->instance)) {
        return;
    }
    const char *name = step_frontend_name(s, balancer);
    if (b->sync == WORLD_SYNC_UNKNOWN) {
        step_act_at(s, ACTION_COMPARE, b->instance, balancer,
                    (struct reason){.code = REASON_FRONTEND_UNSEEN, .name = name});
    } else if (b->sync == WORLD_SYNC_DIFFERS && !other_changes(s, b->instance) &&
               !budget_stands_still(s, b->instance)) {
        step_act_at(s, ACTION_SYNC, b->instance, balancer,
                    (struct reason){.code = REASON_FRONTEND_DIFFERS, .name = name});
    }
}
