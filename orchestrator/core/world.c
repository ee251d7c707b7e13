#include "core/world.h"

#include "spec/spec.h"

#include <assert.h>

static bool leaving(enum lifecycle lifecycle)
{
    return lifecycle == LIFECYCLE_TERMINATING || lifecycle == LIFECYCLE_TERMINATING_WAIT ||
           lifecycle == LIFECYCLE_TERMINATED;
}

/* True when every balancer in front of INSTANCE sends it traffic. */
static bool all_targets_up(const struct world *world, size_t instance)
{
    for (size_t i = 0; i < world->target_count; i++) {
        if (world->targets[i].member == instance && world->targets[i].state != WORLD_TARGET_UP) {
            return false;
        }
    }
    return true;
}

bool world_serving(const struct spec *spec, const struct world *world, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    if (it->group == WORLD_NONE || it->power != WORLD_POWER_RUNNING || !it->configured) {
        return false;
    }
    if (spec->groups[it->group].pool == SPEC_NONE) {
        return it->lifecycle == LIFECYCLE_IN_SERVICE;
    }
    return it->health == WORLD_HEALTHY && all_targets_up(world, instance);
}

bool world_known_out(const struct spec *spec, const struct world *world, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    if (!it->configured || it->power == WORLD_POWER_OFF || it->power == WORLD_POWER_ABSENT) {
        return true;
    }
    if (it->group == WORLD_NONE || spec->groups[it->group].pool == SPEC_NONE) {
        return false;
    }
    size_t balancers = 0;
    for (size_t i = 0; i < world->target_count; i++) {
        enum world_target_state state = world->targets[i].state;
        if (world->targets[i].member != instance) {
            continue;
        }
        balancers++;
        if (state == WORLD_TARGET_UP || state == WORLD_TARGET_UNKNOWN) {
            return false;
        }
    }
    return balancers > 0 || it->health == WORLD_UNHEALTHY;
}

size_t world_serving_count(const struct spec *spec, const struct world *world, size_t group)
{
    size_t count = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        if (world->instances[i].group == group && world_serving(spec, world, i)) {
            count++;
        }
    }
    return count;
}

size_t world_healthy_minimum(const struct spec *spec, size_t group)
{
    const struct spec_group *g = &spec->groups[group];
    return ((size_t)g->desired * g->healthy_min_percent + 99) / 100;
}

size_t world_member_count(const struct spec *spec, const struct world *world, size_t group)
{
    (void)spec;
    size_t count = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        if (world->instances[i].group == group && !leaving(world->instances[i].lifecycle)) {
            count++;
        }
    }
    return count;
}

static void add_balancer(struct world *world, size_t instance, size_t frontend)
{
    for (size_t i = 0; i < world->balancer_count; i++) {
        if (world->balancers[i].instance == instance && world->balancers[i].frontend == frontend) {
            return;
        }
    }
    assert(world->balancer_count < world->balancer_capacity);
    world->balancers[world->balancer_count++] = (struct world_balancer){
        .instance = instance, .frontend = frontend, .sync = WORLD_SYNC_UNKNOWN};
}

static void add_target(struct world *world, size_t member, size_t balancer)
{
    for (size_t i = 0; i < world->target_count; i++) {
        if (world->targets[i].member == member && world->targets[i].balancer == balancer) {
            return;
        }
    }
    assert(world->target_count < world->target_capacity);
    world->targets[world->target_count++] = (struct world_target){
        .member = member, .balancer = balancer, .state = WORLD_TARGET_UNKNOWN};
}

static bool routes_to(const struct spec_frontend *frontend, size_t pool)
{
    for (size_t i = 0; i < frontend->route_count; i++) {
        if (frontend->routes[i].pool == pool) {
            return true;
        }
    }
    return false;
}

void world_complete(const struct spec *spec, struct world *world)
{
    for (size_t i = 0; i < world->instance_count; i++) {
        for (size_t f = 0; f < spec->frontend_count; f++) {
            if (world->instances[i].group == spec->frontends[f].group &&
                !leaving(world->instances[i].lifecycle)) {
                add_balancer(world, i, f);
            }
        }
    }
    for (size_t i = 0; i < world->instance_count; i++) {
        size_t group = world->instances[i].group;
        if (group == WORLD_NONE || spec->groups[group].pool == SPEC_NONE) {
            continue;
        }
        for (size_t b = 0; b < world->balancer_count; b++) {
            if (routes_to(&spec->frontends[world->balancers[b].frontend],
                          spec->groups[group].pool)) {
                add_target(world, i, b);
            }
        }
    }
}
