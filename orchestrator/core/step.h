/*
 * One step of decide(), for the files of this room that share it: what was counted, what has been
 * said so far, and how to say more. Not for drivers.
 */
#ifndef CORE_STEP_H
#define CORE_STEP_H

#include "core/decide.h"

struct step {
    const struct spec *spec;
    const struct world *world;
    struct decision *d;
    struct survey *survey; /* d->survey. */
    size_t slots;
};

/* step.c: saying. */
void step_act(struct step *s, struct action action);
void step_act_on(struct step *s, enum action_kind kind, size_t instance, struct reason reason);
void step_act_at(struct step *s, enum action_kind kind, size_t instance, size_t balancer,
                 struct reason reason);
/* MARK: a new lifecycle, the wish as it is; or a new wish, the lifecycle as it is. */
void step_mark(struct step *s, size_t instance, enum lifecycle lifecycle, struct reason reason);
void step_mark_wish(struct step *s, size_t instance, enum world_wish wish, struct reason reason);
/* At most one hold an instance a step counts: the first. */
void step_hold(struct step *s, enum hold_kind kind, size_t instance, struct reason reason);
void step_hold_group(struct step *s, enum hold_kind kind, size_t group, struct reason reason);
/* It waits for its check to pass: for its grace, then for a human. */
void step_hold_for_health(struct step *s, size_t instance);
/* Look again then: a hold may end, or something has come about by itself. */
void step_wake_at(struct step *s, int64_t deadline_ms);
/* The same, when that is not over yet. */
void step_wake_when(struct step *s, int64_t at_ms);
void step_mark_capture(struct step *s, size_t instance, enum world_capture capture,
                       struct reason reason);
/* The same for what comes due again and again: nobody waits for it. */
void step_look_at(struct step *s, int64_t deadline_ms);
/* True when the balancer can be given something to do in this step. */
bool step_balancer_free(const struct step *s, size_t balancer);
/* The same, and nothing else is done to its host: it can be asked itself. */
bool step_balancer_idle(const struct step *s, size_t balancer);
/* The balancer's host can be talked to. */
bool step_balancer_usable(const struct step *s, size_t balancer);
const char *step_frontend_name(const struct step *s, size_t balancer);
const char *step_pool_name(const struct step *s, size_t group); /* NULL for none. */
bool step_suspended(const struct step *s, size_t group, enum world_process process);

/* budget.c: the one disruption budget (S3). */
/*
 * May INSTANCE be taken out of service, or destroyed, now? If not, a hold was said (or a look,
 * which comes first). S1 is asked of what serves or may serve; S7, and that what we know is fresh
 * (S19), of everything.
 */
bool budget_allows(struct step *s, size_t instance);
/* S1 alone, of the live state (S19): asked again right before each drain. */
bool budget_keeps_minimum(struct step *s, size_t instance);
/* S1 where no pool counts: the last one that serves is not set aside, ordered or not. */
bool budget_spares_last(struct step *s, size_t instance);
/* By what is known now, whether fresh or not: it must not go (S1). Says nothing. */
bool budget_would_break(const struct step *s, size_t instance);
/* The same without S1 and S7: paused, frozen, breaker, lost zone (S4, S5, S6, S22). */
bool budget_is_calm(struct step *s, size_t instance);
/* May an image be taken of it? It serves on, so S1 is not asked. */
bool budget_allows_capture(struct step *s, size_t instance);
/* For whoever waits until more of GROUP are counted on: the step is looked at again when they are.
 */
void budget_wake_when_baked(struct step *s, size_t group);
/* Paused or frozen: nothing at all is done to INSTANCE; a hold was said. */
bool budget_stands_still(struct step *s, size_t instance);
bool budget_group_stands_still(struct step *s, size_t group);

/* pool.c: in and out of the balancers. */
/* True when it is out of all of them; else an action or a hold was said. */
bool pool_taken_out(struct step *s, size_t instance, struct reason reason);
/* True when every balancer that can be told sends it traffic, one at least; else an action or a
   hold was said. */
bool pool_let_in(struct step *s, size_t instance);
void pool_step_balancer(struct step *s, size_t balancer);

/* mend.c: what is bad. */
/* True when the instance is bad, or not known to be well in a way that stops all else: then what is
   to be done about it was said. */
bool mend_instance(struct step *s, size_t instance);
/* A launch that failed for good: true when it was seen to. */
bool mend_launch(struct step *s, size_t instance);
/* True when a failure in the past forbids to act now; a hold was said. */
bool mend_held_by_failure(struct step *s, size_t instance);

/* instance.c, group.c: one instance's next step, one group's size. */
void instance_step(struct step *s, size_t instance);
void group_step(struct step *s, size_t group);
/* Says why the group may not launch at all; true when it may not. */
bool group_launches_held(struct step *s, size_t group);
/* There is room, and leave, for one more. */
bool group_can_grow(const struct step *s, size_t group);
/* Nothing moves in it, all of it serves, and its cooldown is over. */
bool group_is_at_rest(struct step *s, size_t group);

/* refresh.c: replacing all members of a group. */
void refresh_step(struct step *s, size_t group);
/* True when the refresh of its group is to see to INSTANCE, and nobody else. */
bool refresh_replaces(const struct step *s, size_t instance);
/* What new instances of GROUP are made from: the FIRST one that is added in a step, or another. */
uint64_t refresh_next_content(const struct step *s, size_t group, bool first);
/* Why it replaces one of them: how far it is. */
struct reason refresh_reason(const struct step *s, size_t group);

/* A group of balancers, or one that others need: what is being done elsewhere may wait for it. */
bool step_is_waited_for(const struct step *s, size_t group);

#endif
