/*
 * Planning: decide() over expected worlds. Time passes in them too: when nothing is left to do but
 * to wait, the clock is put forward to what is waited for, and everything that is watched is as it
 * was.
 */
#include "controller/state.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/proof.h"

#include <stdio.h>
#include <stdlib.h>

#define PLAN_TURNS_MAX 100000

static void add_step(struct controller *c, const struct action *action,
                     struct controller_step **steps, size_t *count, size_t *capacity)
{
    size_t i = xgrow((void **)steps, count, capacity, sizeof(**steps));
    struct controller_step *step = &(*steps)[i];
    *step = (struct controller_step){.action = *action};
    if (action->kind == ACTION_REFRESH) {
        text_copy(step->subject, sizeof(step->subject), c->spec->groups[action->group].name);
    } else if (action->instance == WORLD_NONE) {
        instance_id(step->subject, c->spec->groups[action->group].name, action->number);
    } else {
        text_copy(step->subject, sizeof(step->subject), c->world.instances[action->instance].id);
    }
    reason_to_string(&action->reason, step->reason, sizeof(step->reason));
}

/* The proof of a step that takes something away; of any other, that nothing is taken. */
static void prove(struct controller *c, struct controller_step *step, void *memory)
{
    if (step->action.group == WORLD_NONE) {
        return;
    }
    struct survey survey;
    survey_make(&survey, c->spec, &c->world, memory, c->decision.memory_size);
    step->takes = step->action.instance != WORLD_NONE &&
                  (step->action.kind == ACTION_REMOVE || step->action.kind == ACTION_TERMINATE);
    step->proof =
        proof_of(&survey, step->action.group, step->takes ? step->action.instance : WORLD_NONE);
}

/* New instances are added to the members too, so that ids and names stay side by side. */
static void expect_member(struct controller *c, const struct action *action)
{
    if (action->kind == ACTION_ADD) {
        struct err e = ERR_NULL;
        if (member_add(c, action, &e) != WORLD_NONE) {
            members_count_room(c);
        }
        return;
    }
    if (!action_kind_is_record(action->kind)) {
        world_begin(c->spec, &c->world, action);
    }
    world_expect(c->spec, &c->world, action);
}

void controller_expect_members(struct controller *c)
{
    members_count_room(c);
    c->world.slots = 0; /* Only records are added. */
    loop_decide(c);
    for (size_t i = 0; i < c->decision.action_count; i++) {
        const struct action action = c->decision.actions[i];
        if (action.kind == ACTION_ADD) {
            expect_member(c, &action);
        }
    }
}

/* True when time was put forward to what the decision waits for. */
static bool wait_for_deadline(struct controller *c)
{
    int64_t at_ms = c->decision.deadline_ms;
    if (!decision_waits(&c->decision, c->world.now_ms)) {
        return false;
    }
    c->world.now_ms = at_ms > c->world.now_ms ? at_ms : c->world.now_ms + 1;
    for (size_t b = 0; b < c->world.balancer_count; b++) {
        if (c->world.balancers[b].seen_ms != INT64_MIN) {
            c->world.balancers[b].seen_ms = c->world.now_ms;
        }
    }
    return true;
}

int controller_plan(struct controller *c, struct controller_step **ret_steps, size_t *ret_count,
                    enum controller_end *ret_end, struct err *e)
{
    c->looking_only = true;
    if (observe_providers(c, e) != 0 || loop_turn(c, INT64_MAX, NULL, e) != 0) {
        return -1;
    }
    struct controller_step *steps = NULL;
    size_t count = 0;
    size_t capacity = 0;
    void *memory = xcalloc(c->decision.memory_size, 1);
    members_count_room(c);
    for (size_t turns = 0; turns < PLAN_TURNS_MAX; turns++) {
        c->world.slots = c->options.parallel;
        loop_decide(c);
        if (c->decision.action_count == 0 && !wait_for_deadline(c)) {
            break;
        }
        for (size_t i = 0; i < c->decision.action_count; i++) {
            const struct action action = c->decision.actions[i];
            add_step(c, &action, &steps, &count, &capacity);
            prove(c, &steps[count - 1], memory);
            expect_member(c, &action);
        }
    }
    free(memory);
    *ret_steps = steps;
    *ret_count = count;
    *ret_end = loop_end(c);
    return 0;
}
