#include "core/step.h"

#include "spec/spec.h"

#include <assert.h>

void step_act(struct step *s, struct action action)
{
    bool needs_worker = !action_kind_is_record(action.kind);
    if (s->d->action_count == s->d->action_capacity || (needs_worker && s->slots == 0)) {
        return; /* The next step says it again. */
    }
    s->slots -= needs_worker ? 1 : 0;
    s->d->actions[s->d->action_count++] = action;
    if (action.instance != WORLD_NONE) {
        s->survey->acted[action.instance] = true;
    }
    if (action.balancer != WORLD_NONE) {
        s->survey->balancer_taken[action.balancer] = true;
    }
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
                           .lifecycle = it->lifecycle,
                           .wish = it->wish,
                           .capture = it->capture,
                           .reason = reason};
}

void step_act_on(struct step *s, enum action_kind kind, size_t instance, struct reason reason)
{
    step_act(s, action_on(s, kind, instance, reason));
}

void step_act_at(struct step *s, enum action_kind kind, size_t instance, size_t balancer,
                 struct reason reason)
{
    struct action action = action_on(s, kind, instance, reason);
    action.balancer = balancer;
    step_act(s, action);
}

void step_mark(struct step *s, size_t instance, enum lifecycle lifecycle, struct reason reason)
{
    struct action action = action_on(s, ACTION_MARK, instance, reason);
    action.lifecycle = lifecycle;
    step_act(s, action);
}

void step_mark_wish(struct step *s, size_t instance, enum world_wish wish, struct reason reason)
{
    struct action action = action_on(s, ACTION_MARK, instance, reason);
    action.wish = wish;
    step_act(s, action);
}

void step_mark_capture(struct step *s, size_t instance, enum world_capture capture,
                       struct reason reason)
{
    struct action action = action_on(s, ACTION_MARK, instance, reason);
    action.capture = capture;
    step_act(s, action);
}

static void hold(struct step *s, enum hold_kind kind, size_t instance, size_t group,
                 struct reason reason)
{
    if (instance != WORLD_NONE && s->d->hold_count > 0 &&
        s->d->holds[s->d->hold_count - 1].instance == instance) {
        return;
    }
    assert(s->d->hold_count < s->d->hold_capacity);
    s->d->holds[s->d->hold_count++] =
        (struct hold){.kind = kind, .instance = instance, .group = group, .reason = reason};
}

void step_hold(struct step *s, enum hold_kind kind, size_t instance, struct reason reason)
{
    hold(s, kind, instance, s->world->instances[instance].group, reason);
}

void step_hold_group(struct step *s, enum hold_kind kind, size_t group, struct reason reason)
{
    hold(s, kind, WORLD_NONE, group, reason);
}

void step_wake_at(struct step *s, int64_t deadline_ms)
{
    if (deadline_ms < s->d->held_until_ms) {
        s->d->held_until_ms = deadline_ms;
    }
    step_look_at(s, deadline_ms);
}

void step_hold_for_health(struct step *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    int64_t until_ms = it->ready_ms + s->spec->groups[it->group].grace_ms;
    if (s->world->now_ms >= until_ms) {
        step_hold(s, HOLD_STUCK, instance, (struct reason){.code = REASON_UNHEALTHY});
        return;
    }
    step_hold(s, HOLD_WAIT, instance,
              (struct reason){.code = REASON_WAITS_FOR_HEALTH, .a = until_ms - s->world->now_ms});
    step_wake_at(s, until_ms);
}

void step_look_at(struct step *s, int64_t deadline_ms)
{
    if (deadline_ms < s->d->deadline_ms) {
        s->d->deadline_ms = deadline_ms;
    }
}

void step_wake_when(struct step *s, int64_t at_ms)
{
    if (s->world->now_ms < at_ms) {
        step_wake_at(s, at_ms);
    }
}

bool step_balancer_free(const struct step *s, size_t balancer)
{
    const struct world_balancer *b = &s->world->balancers[balancer];
    const struct world_instance *it = &s->world->instances[b->instance];
    return !b->busy && !s->survey->balancer_taken[balancer] && !(it->busy && it->changing);
}

bool step_balancer_idle(const struct step *s, size_t balancer)
{
    size_t instance = s->world->balancers[balancer].instance;
    const struct world_instance *it = &s->world->instances[instance];
    /* What its own host needs comes first, or those who ask would keep it from it for ever. */
    bool content = it->drift == WORLD_DRIFT_NONE ||
                   (it->drift == WORLD_DRIFT_PENDING && it->failure == WORLD_FAILURE_NONE);
    return step_balancer_free(s, balancer) && content && !it->busy && !s->survey->acted[instance];
}

bool step_balancer_usable(const struct step *s, size_t balancer)
{
    /* S10: a provider that is silent, or alone in saying off, ends no traffic. */
    return !survey_balancer_gone(s->survey, balancer);
}

const char *step_frontend_name(const struct step *s, size_t balancer)
{
    return s->spec->frontends[s->world->balancers[balancer].frontend].name;
}

const char *step_pool_name(const struct step *s, size_t group)
{
    size_t pool = s->spec->groups[group].pool;
    return pool == SPEC_NONE ? NULL : s->spec->pools[pool].name;
}

bool step_suspended(const struct step *s, size_t group, enum world_process process)
{
    return (s->world->groups[group].suspended & (unsigned)process) != 0;
}

bool step_is_waited_for(const struct step *s, size_t group)
{
    for (size_t f = 0; f < s->spec->frontend_count; f++) {
        if (s->spec->frontends[f].group == group) {
            return true;
        }
    }
    for (size_t g = 0; g < s->spec->group_count; g++) {
        const struct spec_index_list *needs = &s->spec->groups[g].needs;
        for (size_t i = 0; i < needs->count; i++) {
            if (needs->items[i] == group) {
                return true;
            }
        }
    }
    return false;
}
