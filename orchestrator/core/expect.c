#include "core/expect.h"

#include "spec/spec.h"

#include <assert.h>
#include <stdio.h>

void instance_id(char ret_id[WORLD_ID_SIZE], const char *group, unsigned number)
{
    snprintf(ret_id, WORLD_ID_SIZE, "%.63s-%u", group, number);
}

static void expect_added(const struct spec *spec, struct world *world, const struct action *action)
{
    assert(world->instance_count < world->instance_capacity);
    struct world_instance *it = &world->instances[world->instance_count++];
    *it = (struct world_instance){.group = action->group,
                                  .zone = action->zone,
                                  .number = action->number,
                                  .lifecycle = LIFECYCLE_PENDING,
                                  .power = WORLD_POWER_ABSENT,
                                  .ready_ms = world->now_ms};
    instance_id(it->id, spec->groups[action->group].name, action->number);
    size_t *room = &world->room[action->group * spec->zone_count + action->zone];
    *room -= *room > 0 ? 1 : 0;
    world_complete(spec, world);
}

static void expect_target(struct world *world, const struct action *action,
                          enum world_target_state state)
{
    for (size_t t = 0; t < world->target_count; t++) {
        struct world_target *target = &world->targets[t];
        if (target->member == action->instance && target->balancer == action->balancer) {
            target->state = state;
        }
    }
}

/* A balancer that was never seen is expected to have nothing of ours. */
static void expect_compared(struct world *world, const struct action *action)
{
    world->balancers[action->balancer].sync = WORLD_SYNC_DIFFERS;
    for (size_t t = 0; t < world->target_count; t++) {
        struct world_target *target = &world->targets[t];
        if (target->balancer == action->balancer && target->state == WORLD_TARGET_UNKNOWN) {
            target->state = WORLD_TARGET_ABSENT;
        }
    }
}

static void expect_synced(struct world *world, const struct action *action)
{
    world->balancers[action->balancer].sync = WORLD_SYNC_DONE;
    for (size_t t = 0; t < world->target_count; t++) {
        struct world_target *target = &world->targets[t];
        if (target->balancer == action->balancer && target->state == WORLD_TARGET_UNKNOWN) {
            target->state = WORLD_TARGET_ABSENT;
        }
    }
}

/* As it should be, then: its checks pass again, wherever they failed. */
static void expect_inspected(struct world *world, size_t instance)
{
    world->instances[instance].drift = WORLD_DRIFT_NONE;
    world->instances[instance].health = WORLD_HEALTHY;
    for (size_t t = 0; t < world->target_count; t++) {
        if (world->targets[t].member == instance && world->targets[t].state == WORLD_TARGET_DOWN) {
            world->targets[t].state = WORLD_TARGET_UP;
        }
    }
}

void expect(const struct spec *spec, struct world *world, const struct action *action)
{
    if (action->kind == ACTION_ADD) {
        expect_added(spec, world, action);
        return;
    }
    struct world_instance *it = &world->instances[action->instance];
    switch (action->kind) {
    case ACTION_ADD: return;
    case ACTION_LAUNCH:
        it->power = WORLD_POWER_RUNNING;
        it->greeted = false;
        it->drift = WORLD_DRIFT_UNKNOWN;
        it->ready_ms = world->now_ms;
        return;
    case ACTION_GREET: it->greeted = true; return;
    case ACTION_INSPECT: expect_inspected(world, action->instance); return;
    case ACTION_CONFIGURE:
        it->configured = true;
        it->drift = WORLD_DRIFT_NONE;
        it->health = WORLD_HEALTHY;
        it->ready_ms = world->now_ms;
        return;
    case ACTION_COMPARE: expect_compared(world, action); return;
    case ACTION_SYNC: expect_synced(world, action); return;
    case ACTION_ADMIT: expect_target(world, action, WORLD_TARGET_UP); return;
    case ACTION_REMOVE: expect_target(world, action, WORLD_TARGET_ABSENT); return;
    case ACTION_TERMINATE: it->lifecycle = LIFECYCLE_TERMINATED; return;
    case ACTION_MARK: it->lifecycle = action->lifecycle; return;
    }
}
