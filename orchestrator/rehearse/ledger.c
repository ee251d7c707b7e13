/* What survives the controller: records as they were last written. */
#include "rehearse/driver.h"

#include "base/mem.h"

#include <string.h>

static void copy_array(void **to, const void *from, size_t count, size_t size)
{
    *to = xrealloc(*to, count + 1, size);
    if (count > 0) {
        memcpy(*to, from, count * size);
    }
}

void ledger_copy(struct engine_store *to, const struct engine_store *from, size_t groups)
{
    if (from->count > to->capacity || to->instances == NULL) {
        to->capacity = from->count * 2 + 8;
        to->instances = xrealloc(to->instances, to->capacity, sizeof(*to->instances));
        to->members = xrealloc(to->members, to->capacity, sizeof(*to->members));
    }
    if (from->count > 0) {
        memcpy(to->instances, from->instances, from->count * sizeof(*to->instances));
        memcpy(to->members, from->members, from->count * sizeof(*to->members));
    }
    to->count = from->count;
    copy_array((void **)&to->groups, from->groups, groups, sizeof(*to->groups));
    copy_array((void **)&to->machines, from->machines, from->machine_count, sizeof(*to->machines));
    to->machine_count = from->machine_count;
    to->paused = from->paused;
}

void ledger_deinit(struct engine_store *store)
{
    free(store->instances);
    free(store->members);
    free(store->groups);
    free(store->machines);
    *store = (struct engine_store){.instances = NULL};
}

bool driver_commit(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    if (engine_boundary(e, ENGINE_KILLED_RECORDING)) {
        return true;
    }
    const struct engine_store now = {.instances = c->world.instances,
                                     .members = c->members,
                                     .count = c->world.instance_count,
                                     .groups = c->world.groups,
                                     .machines = c->machines,
                                     .machine_count = c->machine_count,
                                     .paused = c->world.paused};
    ledger_copy(&e->store, &now, e->spec.group_count);
    return false;
}

/* What is recorded of an instance; the rest has to be seen again. */
static struct world_instance recorded(const struct world_instance *it)
{
    struct world_instance fresh = *it;
    fresh.power = WORLD_POWER_UNKNOWN;
    fresh.power_ms = 0;
    fresh.drift = WORLD_DRIFT_UNKNOWN;
    fresh.drift_count = 0;
    fresh.health = fresh.alive = fresh.custom =
        (struct world_witness){.health = WORLD_HEALTH_UNKNOWN};
    fresh.custom_ms = 0;
    fresh.damping = (struct damping){.transitions = 0};
    fresh.busy = false;
    fresh.changing = false;
    fresh.verdict = WORLD_VERDICT_NONE;
    fresh.verdict_ms = 0;
    return fresh;
}

static struct world_group recorded_group(const struct world_group *group)
{
    struct world_group fresh = *group;
    fresh.breaker = (struct world_breaker){.judged = 0};
    fresh.refresh.alarm = WORLD_HEALTH_UNKNOWN;
    return fresh;
}

void ledger_load(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    struct world *w = &c->world;
    roster_reserve(e, e->store.count + 16);
    w->instance_count = 0;
    w->balancer_count = 0;
    w->target_count = 0;
    for (size_t i = 0; i < e->store.count; i++) {
        if (e->store.instances[i].lifecycle != LIFECYCLE_TERMINATED) {
            size_t at = w->instance_count++;
            w->instances[at] = recorded(&e->store.instances[i]);
            c->members[at] = e->store.members[i];
            c->members[at].watched_ready = c->members[at].watched_alive = false;
            c->members[at].touched_ms = 0;
        }
    }
    world_groups_init(&e->spec, w);
    for (size_t g = 0; e->store.groups != NULL && g < e->spec.group_count; g++) {
        w->groups[g] = recorded_group(&e->store.groups[g]);
    }
    w->paused = e->store.paused;
    copy_array((void **)&c->machines, e->store.machines, e->store.machine_count,
               sizeof(*c->machines));
    c->machine_count = e->store.machine_count;
    c->machine_capacity = e->store.machine_count;
}
