/* Members: where each instance lives, which hosts the prober follows, who has left. */
#include "rehearse/driver.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define DAY_MS 86400000

void roster_reserve(struct engine *e, size_t instances)
{
    struct engine_controller *c = &e->controller;
    struct world *w = &c->world;
    if (instances <= w->instance_capacity) {
        return;
    }
    size_t frontends = e->spec.frontend_count == 0 ? 1 : e->spec.frontend_count;
    size_t balancers = instances * frontends;
    size_t targets = instances * (balancers < 64 ? balancers : 64);
    w->instances = xrealloc(w->instances, instances, sizeof(*w->instances));
    c->members = xrealloc(c->members, instances, sizeof(*c->members));
    w->balancers = xrealloc(w->balancers, balancers, sizeof(*w->balancers));
    w->targets = xrealloc(w->targets, targets, sizeof(*w->targets));
    w->instance_capacity = instances;
    w->balancer_capacity = balancers;
    w->target_capacity = targets;
    struct decision *d = &c->decision;
    d->action_capacity = instances + 64;
    d->actions = xrealloc(d->actions, d->action_capacity, sizeof(*d->actions));
    d->hold_capacity = decision_hold_capacity(&e->spec, w) + instances;
    d->holds = xrealloc(d->holds, d->hold_capacity, sizeof(*d->holds));
    d->memory_size = survey_size(&e->spec, w);
    free(d->memory);
    d->memory = xcalloc(1, d->memory_size);
}

static bool machine_taken(const struct engine *e, const char *machine)
{
    const struct world *w = &e->controller.world;
    for (size_t i = 0; i < w->instance_count; i++) {
        if (w->instances[i].lifecycle != LIFECYCLE_TERMINATED &&
            text_equal(e->controller.members[i].machine, machine)) {
            return true;
        }
    }
    return false;
}

/* A static machine of ZONE for GROUP, those that are reserved for it first. */
static size_t free_machine(const struct engine *e, size_t group, size_t zone, size_t *ret_count)
{
    size_t best = WORLD_NONE;
    *ret_count = 0;
    for (size_t i = 0; i < e->truth.host_count; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        if (!h->is_static || h->zone != zone ||
            (h->reserved != group && h->reserved != WORLD_NONE) || machine_taken(e, h->machine)) {
            continue;
        }
        (*ret_count)++;
        if (best == WORLD_NONE ||
            (e->truth.hosts[best].reserved != group && h->reserved == group)) {
            best = i;
        }
    }
    return best;
}

/* After a start all providers are heard first, but for those that take too long: or all would be
   made in the zone that answers first. */
static bool still_listening(const struct engine *e)
{
    bool all = true;
    for (size_t z = 0; z < e->truth.zone_count; z++) {
        all = all && (e->truth.zones[z].places == 0 || e->truth.zones[z].list_ms != INT64_MIN);
    }
    return !all && e->now_ms - e->controller.started_ms < ROSTER_LISTEN_MS;
}

static size_t free_places(const struct engine *e, size_t zone)
{
    const struct world *w = &e->controller.world;
    size_t used = 0;
    for (size_t i = 0; i < w->instance_count; i++) {
        used += w->instances[i].lifecycle != LIFECYCLE_TERMINATED && w->instances[i].zone == zone &&
                e->controller.members[i].machine[0] == '\0';
    }
    const struct truth_zone *z = &e->truth.zones[zone];
    /* S21: what the provider has is not known before it has said so once. */
    return z->places > used && z->list_ms != INT64_MIN && !still_listening(e) ? z->places - used
                                                                              : 0;
}

void roster_count_room(struct engine *e)
{
    for (size_t g = 0; g < e->spec.group_count; g++) {
        for (size_t z = 0; z < e->spec.zone_count; z++) {
            size_t machines;
            free_machine(e, g, z, &machines);
            e->controller.world.room[g * e->spec.zone_count + z] = machines + free_places(e, z);
        }
    }
}

static struct engine_machine *find_machine(struct engine_controller *c, const char *name)
{
    for (size_t i = 0; i < c->machine_count; i++) {
        if (text_equal(c->machines[i].name, name)) {
            return &c->machines[i];
        }
    }
    return NULL;
}

unsigned roster_rebuilds(const struct engine *e, const char *machine)
{
    struct engine_controller *c = (struct engine_controller *)&e->controller;
    const struct engine_machine *m = machine[0] == '\0' ? NULL : find_machine(c, machine);
    unsigned count = 0;
    for (size_t i = 0; m != NULL && i < m->rebuild_count; i++) {
        count += m->rebuilds[i] > e->now_ms - DAY_MS ? 1 : 0;
    }
    return count;
}

void roster_place(struct engine *e, size_t index)
{
    struct engine_controller *c = &e->controller;
    struct world_instance *it = &c->world.instances[index];
    size_t count;
    /* First: whoever looks for a free machine looks at all members. */
    c->members[index] = (struct engine_member){.touched_ms = e->now_ms};
    size_t machine = free_machine(e, it->group, it->zone, &count);
    if (machine != WORLD_NONE) {
        const struct truth_host *h = &e->truth.hosts[machine];
        text_copy(c->members[index].machine, sizeof(c->members[index].machine), h->machine);
        it->power = h->switched ? WORLD_POWER_ABSENT : WORLD_POWER_RUNNING;
        it->power_witnessed = h->switched;
        it->rebuilds = roster_rebuilds(e, h->machine);
    } else {
        it->power = WORLD_POWER_ABSENT;
        it->power_witnessed = true;
    }
    it->power_ms = e->now_ms;
}

static void note_rebuild(struct engine *e, const char *machine)
{
    struct engine_controller *c = &e->controller;
    struct engine_machine *m = find_machine(c, machine);
    if (m == NULL) {
        size_t i = xgrow((void **)&c->machines, &c->machine_count, &c->machine_capacity,
                         sizeof(*c->machines));
        m = &c->machines[i];
        text_copy(m->name, sizeof(m->name), machine);
    }
    size_t kept = sizeof(m->rebuilds) / sizeof(m->rebuilds[0]);
    m->rebuilds[m->rebuild_count % kept] = e->now_ms;
    m->rebuild_count += m->rebuild_count < kept ? 1 : 0;
}

void roster_leave(struct engine *e, size_t index)
{
    struct engine_controller *c = &e->controller;
    struct engine_member *m = &c->members[index];
    if (m->rebuilt && m->machine[0] != '\0') {
        note_rebuild(e, m->machine);
    }
    m->machine[0] = '\0';
    size_t slot = c->gone_next++ % (sizeof(c->gone) / sizeof(c->gone[0]));
    text_copy(c->gone[slot].id, sizeof(c->gone[slot].id), c->world.instances[index].id);
    c->gone[slot].at_ms = e->now_ms;
    size_t host = truth_find(&e->truth, c->world.instances[index].id);
    if (host != WORLD_NONE) {
        e->truth.hosts[host].ready = e->truth.hosts[host].alive =
            (struct truth_view){.said = WORLD_HEALTH_UNKNOWN};
    }
}

/* The same instance's place after those that are gone have left; WORLD_NONE for those. */
static void compact_instances(struct engine *e, size_t *place)
{
    struct engine_controller *c = &e->controller;
    struct world *w = &c->world;
    size_t kept = 0;
    for (size_t i = 0; i < w->instance_count; i++) {
        place[i] = WORLD_NONE;
        if (w->instances[i].lifecycle != LIFECYCLE_TERMINATED) {
            place[i] = kept;
            w->instances[kept] = w->instances[i];
            c->members[kept] = c->members[i];
            kept++;
        }
    }
    w->instance_count = kept;
}

static void compact_balancers(struct world *w, const size_t *place, size_t *balancer_place)
{
    size_t kept = 0;
    for (size_t b = 0; b < w->balancer_count; b++) {
        balancer_place[b] = WORLD_NONE;
        if (place[w->balancers[b].instance] != WORLD_NONE) {
            balancer_place[b] = kept;
            w->balancers[kept] = w->balancers[b];
            w->balancers[kept].instance = place[w->balancers[b].instance];
            kept++;
        }
    }
    w->balancer_count = kept;
    kept = 0;
    for (size_t t = 0; t < w->target_count; t++) {
        struct world_target *target = &w->targets[t];
        if (place[target->member] != WORLD_NONE && balancer_place[target->balancer] != WORLD_NONE) {
            struct world_target *to = &w->targets[kept++];
            size_t member = place[target->member];
            size_t balancer = balancer_place[target->balancer];
            *to = *target;
            to->member = member;
            to->balancer = balancer;
        }
    }
    w->target_count = kept;
}

void roster_compact(struct engine *e)
{
    struct world *w = &e->controller.world;
    size_t gone = 0;
    for (size_t i = 0; i < w->instance_count; i++) {
        gone += w->instances[i].lifecycle == LIFECYCLE_TERMINATED ? 1 : 0;
    }
    if (gone < 3) {
        return;
    }
    size_t *place = xcalloc(w->instance_count + w->balancer_count, sizeof(*place));
    size_t *balancer_place = place + w->instance_count;
    compact_instances(e, place);
    compact_balancers(w, place, balancer_place);
    for (size_t j = 0; j < e->job_count; j++) {
        struct engine_job *job = &e->jobs[j];
        if (job->turn == 0 || !job->heard) {
            continue;
        }
        job->action.instance = place[job->action.instance];
        if (job->action.balancer != WORLD_NONE) {
            job->action.balancer = balancer_place[job->action.balancer];
        }
        /* Nobody waits for what was to be done to something that is gone. */
        if (job->action.instance != WORLD_NONE && job->balancer[0] != '\0' &&
            job->action.balancer == WORLD_NONE) {
            w->instances[job->action.instance].busy = false;
        }
        job->heard = job->action.instance != WORLD_NONE &&
                     (job->balancer[0] == '\0' || job->action.balancer != WORLD_NONE);
    }
    free(place);
}

static void follow(struct engine *e, struct truth_view *view, bool *watched, bool wanted,
                   struct world_witness *witness)
{
    /* What an action made forget is asked anew: a prober tells transitions only. */
    bool forgotten = witness->health == WORLD_HEALTH_UNKNOWN && view->said != WORLD_HEALTH_UNKNOWN;
    if (*watched == wanted && view->followed == wanted && !(wanted && forgotten)) {
        return;
    }
    *watched = wanted;
    *view = (struct truth_view){.said = WORLD_HEALTH_UNKNOWN, .followed = wanted};
    if (witness->health != WORLD_HEALTH_UNKNOWN) {
        *witness = (struct world_witness){.since_ms = e->now_ms};
        e->controller.dirty = true;
    }
    engine_touch(e);
}

void roster_follow(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    for (size_t i = 0; !e->prober_dead && i < c->world.instance_count; i++) {
        struct world_instance *it = &c->world.instances[i];
        size_t host = it->lifecycle == LIFECYCLE_TERMINATED || it->group == WORLD_NONE
                          ? WORLD_NONE
                          : truth_find(&e->truth, it->id);
        if (host == WORLD_NONE) {
            continue;
        }
        struct truth_host *h = &e->truth.hosts[host];
        /* Whatever its provider says: that it answers all the same is worth to be known. */
        bool runs = it->lifecycle != LIFECYCLE_DETACHED;
        follow(e, &h->ready, &c->members[i].watched_ready,
               runs && it->configured && e->spec.groups[it->group].pool != SPEC_NONE, &it->health);
        follow(e, &h->alive, &c->members[i].watched_alive, runs && (it->greeted || it->configured),
               &it->alive);
    }
}
