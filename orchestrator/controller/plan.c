/* Planning: decide() over expected worlds. */
#include "controller/state.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/expect.h"

#include <stdio.h>

#define PLAN_STEPS_MAX 100000

static void add_step(struct controller *c, const struct action *action,
                     struct controller_step **steps, size_t *count, size_t *capacity)
{
    size_t i = xgrow((void **)steps, count, capacity, sizeof(**steps));
    struct controller_step *step = &(*steps)[i];
    step->action = *action;
    if (action->instance == WORLD_NONE) {
        snprintf(step->subject, sizeof(step->subject), "%.63s-%u",
                 c->spec->groups[action->group].name, action->number);
    } else {
        text_copy(step->subject, sizeof(step->subject), c->world.instances[action->instance].id);
    }
    reason_to_string(&action->reason, step->reason, sizeof(step->reason));
    step->serving_before = world_serving_count(c->spec, &c->world, action->group);
    step->minimum = world_healthy_minimum(c->spec, action->group);
}

/* New instances are added to the members too, so that ids and names stay side by side. */
static void expect_member(struct controller *c, const struct action *action)
{
    if (action->kind == ACTION_ADD) {
        struct err e = ERR_NULL;
        if (member_add(c, action, &e) != WORLD_NONE) {
            members_count_room(c);
            return;
        }
    }
    expect(c->spec, &c->world, action);
}

void controller_expect_members(struct controller *c)
{
    members_count_room(c);
    c->world.slots = 0; /* Only records are added. */
    decide(c->spec, &c->world, &c->decision);
    for (size_t i = 0; i < c->decision.action_count; i++) {
        const struct action action = c->decision.actions[i];
        if (action.kind == ACTION_ADD) {
            expect_member(c, &action);
        }
    }
}

int controller_plan(struct controller *c, struct controller_step **ret_steps, size_t *ret_count,
                    enum controller_end *ret_end, struct err *e)
{
    c->looking_only = true;
    if (loop_list_providers(c, e) != 0 || loop_turn(c, INT64_MAX, NULL, e) != 0) {
        return -1;
    }
    struct controller_step *steps = NULL;
    size_t count = 0;
    size_t capacity = 0;
    members_count_room(c);
    for (size_t turns = 0; turns < PLAN_STEPS_MAX; turns++) {
        c->world.slots = c->options.parallel;
        decide(c->spec, &c->world, &c->decision);
        if (c->decision.action_count == 0) {
            break;
        }
        for (size_t i = 0; i < c->decision.action_count; i++) {
            const struct action action = c->decision.actions[i];
            add_step(c, &action, &steps, &count, &capacity);
            expect_member(c, &action);
            steps[count - 1].serving_after = world_serving_count(c->spec, &c->world, action.group);
        }
    }
    *ret_steps = steps;
    *ret_count = count;
    *ret_end = loop_end(c);
    return 0;
}
