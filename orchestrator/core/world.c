#include "core/world.h"

#include "core/guard.h"
#include "spec/spec.h"

#include <assert.h>
#include <string.h>

const char *world_verdict_to_string(enum world_verdict verdict)
{
    switch (verdict) {
    case WORLD_VERDICT_NONE: return "not judged";
    case WORLD_VERDICT_OK: return "well";
    case WORLD_VERDICT_UNKNOWN: return "unknown";
    case WORLD_VERDICT_DISPUTED: return "disputed";
    case WORLD_VERDICT_FLAPPING: return "flapping";
    case WORLD_VERDICT_UNREADY: return "unready";
    case WORLD_VERDICT_LOST: return "lost";
    case WORLD_VERDICT_DEAD: return "dead";
    }
    return "unknown";
}

bool world_verdict_is_bad(enum world_verdict verdict)
{
    return verdict == WORLD_VERDICT_UNREADY || verdict == WORLD_VERDICT_LOST ||
           verdict == WORLD_VERDICT_DEAD;
}

bool world_power_is_off(enum world_power power)
{
    return power == WORLD_POWER_OFF || power == WORLD_POWER_ABSENT;
}

const char *world_rung_to_string(enum world_rung rung)
{
    switch (rung) {
    case WORLD_RUNG_NONE: return "none";
    case WORLD_RUNG_RESTART: return "restart";
    case WORLD_RUNG_REBOOT: return "reboot";
    case WORLD_RUNG_CYCLE: return "power-cycle";
    case WORLD_RUNG_REPLACE: return "replace";
    case WORLD_RUNG_QUARANTINE: return "quarantine";
    }
    return "unknown";
}

const char *world_wish_to_string(enum world_wish wish)
{
    switch (wish) {
    case WORLD_WISH_NONE: return "none";
    case WORLD_WISH_STANDBY: return "standby";
    case WORLD_WISH_REPLACE: return "replace";
    case WORLD_WISH_DETACH: return "detach";
    case WORLD_WISH_REFRESH: return "replace, by its group's refresh";
    }
    return "unknown";
}

bool world_wish_is_replace(enum world_wish wish)
{
    return wish == WORLD_WISH_REPLACE || wish == WORLD_WISH_REFRESH;
}

bool world_wish_is_to_go(enum world_wish wish)
{
    return world_wish_is_replace(wish) || wish == WORLD_WISH_DETACH;
}

const char *world_refresh_to_string(enum world_refresh_state state)
{
    switch (state) {
    case WORLD_REFRESH_NONE: return "none";
    case WORLD_REFRESH_RUNNING: return "running";
    case WORLD_REFRESH_CHECKPOINT: return "at a checkpoint";
    case WORLD_REFRESH_BAKING: return "baking";
    case WORLD_REFRESH_BACK: return "rolling back";
    case WORLD_REFRESH_DONE: return "done";
    case WORLD_REFRESH_CANCELLED: return "cancelled";
    case WORLD_REFRESH_STOPPED: return "stopped";
    case WORLD_REFRESH_ROLLED_BACK: return "rolled back";
    }
    return "unknown";
}

bool world_refresh_is_active(enum world_refresh_state state)
{
    return state == WORLD_REFRESH_RUNNING || state == WORLD_REFRESH_CHECKPOINT ||
           state == WORLD_REFRESH_BAKING || state == WORLD_REFRESH_BACK;
}

bool world_refresh_goes_forth(enum world_refresh_state state)
{
    return world_refresh_is_active(state) && state != WORLD_REFRESH_BACK;
}

static bool has_traffic(const struct world *world, size_t instance)
{
    for (size_t t = 0; t < world->target_count; t++) {
        if (world->targets[t].member == instance && world->targets[t].state == WORLD_TARGET_UP) {
            return true;
        }
    }
    return false;
}

bool world_is_outdated(const struct world *world, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    if (it->group == WORLD_NONE) {
        return false;
    }
    const struct world_refresh *r = &world->groups[it->group].refresh;
    if (!world_refresh_is_active(r->state)) {
        /* A newcomer in trouble, of a content that was given up meanwhile, is ended. */
        bool failed = it->failure != WORLD_FAILURE_NONE && it->verdict != WORLD_VERDICT_OK;
        bool trouble =
            failed || it->verdict == WORLD_VERDICT_UNREADY || it->verdict == WORLD_VERDICT_LOST;
        return r->state != WORLD_REFRESH_NONE && it->in_service_ms == 0 && trouble &&
               it->content != world->groups[it->group].content && !has_traffic(world, instance);
    }
    if (r->state == WORLD_REFRESH_BACK) {
        return it->content != r->before;
    }
    return it->content != r->wanted || (r->all && it->made_ms < r->began_ms);
}

bool world_is_to_go(const struct world *world, size_t instance)
{
    enum world_wish wish = world->instances[instance].wish;
    return world_wish_is_to_go(wish) &&
           (wish != WORLD_WISH_REFRESH || world_is_outdated(world, instance));
}

int64_t world_bake_ms(const struct spec *spec, const struct world *world, size_t instance)
{
    size_t group = world->instances[instance].group;
    const struct world_refresh *r = &world->groups[group].refresh;
    bool warms_up = world_refresh_is_active(r->state) && !world_is_outdated(world, instance) &&
                    world->instances[instance].made_ms >= r->began_ms;
    int64_t bake_ms = spec->groups[group].bake_ms;
    return warms_up && r->warm_up_ms > bake_ms ? r->warm_up_ms : bake_ms;
}

/* In the order of the bits. */
const char *const world_process_names[] = {
    "launch",   "terminate", "health-check",    "replace", "rebalance",
    "schedule", "policies",  "add-to-balancer", "change",  NULL};

enum world_process world_process_from_string(const char *name)
{
    for (unsigned i = 0; world_process_names[i] != NULL; i++) {
        if (strcmp(world_process_names[i], name) == 0) {
            return (enum world_process)(1U << i);
        }
    }
    return (enum world_process)0;
}

const char *world_process_to_string(enum world_process process)
{
    for (unsigned i = 0; world_process_names[i] != NULL; i++) {
        if (1U << i == (unsigned)process) {
            return world_process_names[i];
        }
    }
    return "unknown";
}

void world_groups_init(const struct spec *spec, struct world *world)
{
    for (size_t g = 0; g < spec->group_count; g++) {
        world->groups[g] = (struct world_group){.desired = spec->groups[g].desired,
                                                .next_number = 1,
                                                .disrupted_ms = INT64_MIN,
                                                .size_changed_ms = INT64_MIN};
    }
    for (size_t z = 0; z < spec->zone_count; z++) {
        world->zones[z] = (struct world_zone){.lost = {.on = false}};
    }
}

bool world_leaving(enum lifecycle lifecycle)
{
    return lifecycle == LIFECYCLE_TERMINATING || lifecycle == LIFECYCLE_TERMINATING_WAIT ||
           lifecycle == LIFECYCLE_TERMINATED;
}

const struct spec_hook *world_hook(const struct spec *spec, size_t group, enum lifecycle waiting)
{
    for (size_t i = 0; i < spec->hook_count; i++) {
        const struct spec_hook *hook = &spec->hooks[i];
        bool at_launch = hook->on == SPEC_HOOK_LAUNCH;
        if (hook->group == group &&
            waiting == (at_launch ? LIFECYCLE_PENDING_WAIT : LIFECYCLE_TERMINATING_WAIT)) {
            return hook;
        }
    }
    return NULL;
}

size_t world_healthy_minimum(const struct spec *spec, const struct world *world, size_t group)
{
    size_t hundredths =
        (size_t)world->groups[group].desired * spec->groups[group].healthy_min_percent;
    return GUARDED(GUARD_S1_ROUNDING, false) ? hundredths / 100 : (hundredths + 99) / 100;
}

size_t world_most(const struct spec *spec, const struct world *world, size_t group)
{
    const struct spec_group *g = &spec->groups[group];
    size_t surge = (size_t)world->groups[group].desired * g->healthy_max_percent / 100;
    return surge > g->max ? surge : g->max;
}

static void add_balancer(struct world *world, size_t instance, size_t frontend)
{
    for (size_t i = 0; i < world->balancer_count; i++) {
        if (world->balancers[i].instance == instance && world->balancers[i].frontend == frontend) {
            return;
        }
    }
    assert(world->balancer_count < world->balancer_capacity);
    world->balancers[world->balancer_count++] = (struct world_balancer){.instance = instance,
                                                                        .frontend = frontend,
                                                                        .sync = WORLD_SYNC_UNKNOWN,
                                                                        .seen_ms = INT64_MIN};
}

/* Unless it is among the first KNOWN ones. */
static void add_target(struct world *world, size_t member, size_t balancer, size_t known)
{
    for (size_t i = 0; i < known; i++) {
        if (world->targets[i].member == member && world->targets[i].balancer == balancer) {
            return;
        }
    }
    assert(world->target_count < world->target_capacity);
    /* One that was configured before may be on its way in, by a controller that was killed. */
    world->targets[world->target_count++] =
        (struct world_target){.member = member,
                              .balancer = balancer,
                              .state = WORLD_TARGET_UNKNOWN,
                              .doubtful = world->instances[member].configured};
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

static bool is_member(const struct world_instance *it)
{
    return it->group != WORLD_NONE && it->lifecycle != LIFECYCLE_DETACHED &&
           it->lifecycle != LIFECYCLE_TERMINATED;
}

/* One for each frontend of its group. */
static void complete_balancers(const struct spec *spec, struct world *world, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    for (size_t f = 0; f < spec->frontend_count; f++) {
        if (is_member(it) && it->group == spec->frontends[f].group &&
            it->lifecycle != LIFECYCLE_TERMINATED) { /* One that leaves still sends traffic. */
            add_balancer(world, instance, f);
        }
    }
}

/* On the balancers from FIRST on. */
static void complete_targets(const struct spec *spec, struct world *world, size_t instance,
                             size_t first, size_t known)
{
    const struct world_instance *it = &world->instances[instance];
    if (!is_member(it) || spec->groups[it->group].pool == SPEC_NONE) {
        return;
    }
    for (size_t b = first; b < world->balancer_count; b++) {
        if (routes_to(&spec->frontends[world->balancers[b].frontend],
                      spec->groups[it->group].pool)) {
            add_target(world, instance, b, known);
        }
    }
}

void world_complete(const struct spec *spec, struct world *world)
{
    size_t known = world->target_count;
    for (size_t i = 0; i < world->instance_count; i++) {
        complete_balancers(spec, world, i);
    }
    for (size_t i = 0; i < world->instance_count; i++) {
        complete_targets(spec, world, i, 0, known);
    }
}

void world_complete_last(const struct spec *spec, struct world *world)
{
    size_t last = world->instance_count - 1;
    size_t first = world->balancer_count;
    complete_balancers(spec, world, last);
    complete_targets(spec, world, last, 0, 0);
    for (size_t i = 0; i < last && first < world->balancer_count; i++) {
        complete_targets(spec, world, i, first, 0);
    }
}

void world_set_power(struct world *world, size_t instance, enum world_power power)
{
    struct world_instance *it = &world->instances[instance];
    it->power_ms = it->power == power ? it->power_ms : world->now_ms;
    it->power = power;
    it->power_doubtful = false;
}
