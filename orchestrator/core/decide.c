#include "core/decide.h"

#include "core/step.h"
#include "spec/spec.h"

/* What is farther away (an age, a schedule) is not part of a run that comes to an end. */
#define WAIT_MAX_MS 3600000

/*
 * One step looks at each group (its size), then at each instance (the next thing it needs), then at
 * each balancer. An instance gets at most one action a step, and none while one is under way.
 */

const char *action_kind_to_string(enum action_kind kind)
{
    switch (kind) {
    case ACTION_ADD: return "add";
    case ACTION_LAUNCH: return "launch";
    case ACTION_GREET: return "greet";
    case ACTION_INSPECT: return "inspect";
    case ACTION_CONFIGURE: return "configure";
    case ACTION_COMPARE: return "compare";
    case ACTION_SYNC: return "sync";
    case ACTION_ADMIT: return "admit";
    case ACTION_REMOVE: return "remove";
    case ACTION_TERMINATE: return "terminate";
    case ACTION_MARK: return "mark";
    case ACTION_RESTART: return "restart";
    case ACTION_REBOOT: return "reboot";
    case ACTION_CYCLE: return "power-off";
    case ACTION_CHECK: return "check";
    case ACTION_HOOK: return "hook";
    case ACTION_REFRESH: return "refresh";
    }
    return "unknown";
}

bool action_kind_has_effect(enum action_kind kind)
{
    switch (kind) {
    case ACTION_LAUNCH:
    case ACTION_CONFIGURE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_REMOVE:
    case ACTION_TERMINATE:
    case ACTION_RESTART:
    case ACTION_REBOOT:
    case ACTION_CYCLE:
    case ACTION_HOOK: return true;
    case ACTION_ADD:
    case ACTION_GREET:
    case ACTION_INSPECT:
    case ACTION_COMPARE:
    case ACTION_CHECK:
    case ACTION_MARK:
    case ACTION_REFRESH: return false;
    }
    return false;
}

bool action_kind_is_record(enum action_kind kind)
{
    return kind == ACTION_ADD || kind == ACTION_MARK || kind == ACTION_REFRESH;
}

size_t decision_hold_capacity(const struct spec *spec, const struct world *world)
{
    return 2 * world->instance_capacity + world->balancer_capacity + 4 * spec->group_count + 8;
}

void decide(const struct spec *spec, const struct world *world, struct decision *decision)
{
    decision->action_count = 0;
    decision->hold_count = 0;
    decision->deadline_ms = INT64_MAX;
    decision->held_until_ms = INT64_MAX;
    survey_make(&decision->survey, spec, world, decision->memory, decision->memory_size);
    struct step s = {.spec = spec,
                     .world = world,
                     .d = decision,
                     .survey = &decision->survey,
                     .slots = world->slots};
    /* Where room is short, what others wait for is made first. */
    for (int waited_for = 1; waited_for >= 0; waited_for--) {
        for (size_t g = 0; g < spec->group_count; g++) {
            if (step_is_waited_for(&s, g) == (waited_for == 1)) {
                group_step(&s, g);
            }
        }
    }
    for (size_t i = 0; i < world->instance_count; i++) {
        instance_step(&s, i);
    }
    for (size_t b = 0; b < world->balancer_count; b++) {
        pool_step_balancer(&s, b);
    }
}

static bool waits_for_time(const struct hold *hold)
{
    return hold->kind == HOLD_WAIT && hold->reason.code != REASON_PAUSED &&
           hold->reason.code != REASON_SUSPENDED;
}

bool decision_waits(const struct decision *decision, int64_t now_ms)
{
    if (decision->held_until_ms == INT64_MAX || decision->held_until_ms - now_ms > WAIT_MAX_MS) {
        return false;
    }
    for (size_t i = 0; i < decision->hold_count; i++) {
        if (waits_for_time(&decision->holds[i])) {
            return true;
        }
    }
    return false;
}
