#include "rehearse/witness.h"

#include "base/str.h"
#include "rehearse/driver.h"

/* So long an alarm needs to be sure. */
#define ALARM_MS 20000

#define ALIVE_EVERY_MS 2000 /* The prober's check of the SSH port. */
#define ALIVE_FALL     3

/* Checks, the prober's and HAProxy's. */

struct pace {
    int64_t interval_ms;
    int64_t timeout_ms;
    int64_t fall, rise;
};

static struct pace pace_of_group(const struct engine *e, size_t group)
{
    size_t pool = group == WORLD_NONE ? SPEC_NONE : e->spec.groups[group].pool;
    if (pool == SPEC_NONE) {
        return (struct pace){ALIVE_EVERY_MS, ALIVE_EVERY_MS, ALIVE_FALL, 1};
    }
    const struct spec_check *c = &e->spec.pools[pool].check;
    return (struct pace){c->interval_ms, c->timeout_ms, c->fall, c->rise};
}

int64_t witness_slowest_ms(const struct engine *e, size_t group)
{
    struct pace p = pace_of_group(e, group);
    int64_t check = (p.fall + 1) * (p.interval_ms + p.timeout_ms);
    int64_t alive = (ALIVE_FALL + 1) * 2 * ALIVE_EVERY_MS;
    int64_t look = e->pace.look_every_ms + e->pace.look_delay_ms;
    return (check > alive ? check : alive) + look + 1000;
}

/* When a check that has begun to end in another way is believed to. */
static int64_t delay_of(struct engine *e, const struct pace *p, const struct truth_view *view,
                        bool well)
{
    int64_t first = random_between(&e->random, 10, p->interval_ms);
    if (view->said == WORLD_HEALTH_UNKNOWN && well) {
        return first;
    }
    int64_t more = (well ? p->rise : p->fall) - 1;
    return first + more * p->interval_ms +
           (well ? 0 : random_between(&e->random, 0, p->timeout_ms));
}

static void turn_view(struct engine *e, struct truth_view *view, bool well, const struct pace *p,
                      enum engine_kind kind, size_t subject)
{
    enum world_health is = well ? WORLD_HEALTHY : WORLD_UNHEALTHY;
    if (!view->followed || view->said == is) {
        view->coming = WORLD_HEALTH_UNKNOWN;
        view->turn = 0;
    } else if (view->coming != is) {
        view->coming = is;
        view->turn = engine_post(e, e->now_ms + delay_of(e, p, view, well), kind, subject);
    }
}

/* True when VIEW says something new. */
static bool view_arrived(struct truth_view *view, uint64_t turn)
{
    if (view->turn != turn || view->coming == WORLD_HEALTH_UNKNOWN) {
        return false;
    }
    view->said = view->coming;
    view->coming = WORLD_HEALTH_UNKNOWN;
    return true;
}

static bool probed(const struct engine *e, size_t host)
{
    return truth_reached(&e->truth, host) && !e->truth.prober_cut;
}

static void refresh_probes(struct engine *e, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (e->prober_dead) {
        return;
    }
    struct pace ready = pace_of_group(e, h->group);
    struct pace alive = {ALIVE_EVERY_MS, ALIVE_EVERY_MS, ALIVE_FALL, 1};
    bool reached = probed(e, host);
    turn_view(e, &h->ready, reached && truth_ready(&e->truth, &e->spec, host), &ready,
              ENGINE_AT_READY, host);
    turn_view(e, &h->alive, reached && truth_alive(&e->truth, host), &alive, ENGINE_AT_ALIVE, host);
}

static bool connected(const struct truth *t, size_t from, size_t to)
{
    size_t a = t->hosts[from].zone;
    size_t b = t->hosts[to].zone;
    return a == b || (!t->zones[a].cut && !t->zones[b].cut);
}

static void refresh_server(struct engine *e, struct truth_server *server)
{
    size_t member = truth_find(&e->truth, server->member);
    bool well = member != WORLD_NONE && connected(&e->truth, server->host, member) &&
                truth_ready(&e->truth, &e->spec, member);
    size_t group = member == WORLD_NONE ? WORLD_NONE : e->truth.hosts[member].group;
    struct pace p = pace_of_group(e, group);
    server->check.followed = truth_alive(&e->truth, server->host);
    turn_view(e, &server->check, well, &p, ENGINE_AT_SERVER, server->host);
}

void witness_on_ready(struct engine *e, size_t host, uint64_t turn)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (view_arrived(&h->ready, turn)) {
        driver_hear_ready(e, h->id, h->ready.said);
    }
}

void witness_on_alive(struct engine *e, size_t host, uint64_t turn)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (view_arrived(&h->alive, turn)) {
        driver_hear_alive(e, h->id, h->alive.said);
    }
}

void witness_on_server(struct engine *e, uint64_t turn)
{
    for (size_t s = 0; s < e->truth.server_count; s++) {
        struct truth_server *server = &e->truth.servers[s];
        if (server->check.turn == turn && view_arrived(&server->check, turn)) {
            e->truth.hosts[server->host].looked_stale = true;
            engine_touch(e);
            return;
        }
    }
}

/* What balancers tell of their targets. */

static bool tells(const struct engine *e, size_t host)
{
    const struct truth_host *h = &e->truth.hosts[host];
    return truth_alive(&e->truth, host) && truth_reached(&e->truth, host) && h->configured &&
           h->synced && h->service && !h->haproxy_silent;
}

static int64_t next_on_grid(const struct engine *e, int64_t every_ms, size_t salt)
{
    int64_t shifted = e->now_ms + (int64_t)(salt * 137) % every_ms;
    return e->now_ms + every_ms - shifted % every_ms;
}

static void refresh_look(struct engine *e, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (h->looked_stale && !h->look_due && tells(e, host)) {
        h->look_due = true;
        int64_t at = next_on_grid(e, e->pace.look_every_ms, host) + e->pace.look_delay_ms;
        engine_post(e, at, ENGINE_AT_LOOK, host);
    }
}

/* A job waits at the balancer for a drain or a first check, and tells what it sees. */
static bool is_waited_at(const struct engine *e, const char *balancer)
{
    for (size_t i = 0; i < e->job_count; i++) {
        const struct engine_job *job = &e->jobs[i];
        bool waits = job->action.kind == ACTION_REMOVE || job->action.kind == ACTION_ADMIT;
        if (job->turn != 0 && job->heard && !job->ended && !job->end_lost && waits &&
            text_equal(job->balancer, balancer)) {
            return true;
        }
    }
    return false;
}

void witness_on_look(struct engine *e, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    h->look_due = false;
    struct world *w = &e->controller.world;
    if (!h->looked_stale || !tells(e, host) || !e->controller.running) {
        return;
    }
    for (size_t b = 0; b < w->balancer_count; b++) {
        if (!text_equal(w->instances[w->balancers[b].instance].id, h->id)) {
            continue;
        }
        if (w->balancers[b].busy && !is_waited_at(e, h->id)) {
            refresh_look(e, host); /* Its admin socket has one client at a time. */
            return;
        }
        witness_look(e, b);
    }
    h->looked_stale = false;
}

static enum world_target_state state_of(const struct truth_server *server)
{
    if (server == NULL) {
        return WORLD_TARGET_ABSENT;
    }
    if (!server->admitted) {
        return WORLD_TARGET_DRAINING;
    }
    switch (server->check.said) {
    case WORLD_HEALTH_UNKNOWN: return WORLD_TARGET_INITIAL;
    case WORLD_HEALTHY: return WORLD_TARGET_UP;
    case WORLD_UNHEALTHY: return WORLD_TARGET_DOWN;
    }
    return WORLD_TARGET_UNKNOWN;
}

/* What balancers count of the new against the old: the alarm of a refresh. */
static void watch_refreshes(struct engine *e)
{
    struct world *w = &e->controller.world;
    for (size_t i = 0; i < e->truth.host_count; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        if (h->group == WORLD_NONE || !h->traffic ||
            truth_content(&e->truth, h->content) != TRUTH_CONTENT_ALARMING ||
            e->now_ms - h->traffic_since_ms < ALARM_MS) {
            continue;
        }
        struct world_refresh *r = &w->groups[h->group].refresh;
        if (world_refresh_goes_forth(r->state) && h->content == r->wanted &&
            r->alarm != WORLD_UNHEALTHY) {
            r->alarm = WORLD_UNHEALTHY;
            e->controller.dirty = true;
        }
    }
}

void witness_look(struct engine *e, size_t balancer)
{
    struct world *w = &e->controller.world;
    struct world_balancer *b = &w->balancers[balancer];
    size_t host = truth_find(&e->truth, w->instances[b->instance].id);
    if (host == WORLD_NONE) {
        return;
    }
    b->seen_ms = e->now_ms;
    for (size_t s = 0; s < e->truth.server_count; s++) {
        const struct truth_server *server = &e->truth.servers[s];
        if (server->host == host && server->frontend == b->frontend &&
            engine_find(e, server->member) == WORLD_NONE && b->sync == WORLD_SYNC_DONE) {
            b->sync = WORLD_SYNC_DIFFERS; /* It has one that we do not know (any more). */
            e->controller.dirty = true;
        }
    }
    for (size_t t = 0; t < w->target_count; t++) {
        struct world_target *target = &w->targets[t];
        if (target->balancer != balancer) {
            continue;
        }
        const char *id = w->instances[target->member].id;
        enum world_target_state state =
            state_of(truth_find_server(&e->truth, host, b->frontend, id));
        e->controller.dirty |= state != target->state;
        target->state = state;
    }
    watch_refreshes(e);
}

/* What providers tell. */

static bool lists(const struct engine *e, size_t zone)
{
    const struct truth_zone *z = &e->truth.zones[zone];
    return !e->truth.controller_cut && !z->cut && !z->provider_silent && !z->dark;
}

static void refresh_list(struct engine *e, size_t zone)
{
    struct truth_zone *z = &e->truth.zones[zone];
    if (z->list_due && !z->sampling && lists(e, zone)) {
        z->sampling = true;
        engine_post(e, next_on_grid(e, e->pace.list_every_ms, zone), ENGINE_AT_SAMPLE, zone);
    }
}

void witness_on_sample(struct engine *e, size_t zone)
{
    struct truth_zone *z = &e->truth.zones[zone];
    if (!lists(e, zone)) {
        z->sampling = false;
        return;
    }
    z->list_sampled_ms = e->now_ms;
    for (size_t i = 0; i < e->truth.host_count; i++) {
        if (e->truth.hosts[i].zone == zone) {
            e->truth.hosts[i].sampled = truth_power_told(&e->truth, i);
        }
    }
    engine_post(e, e->now_ms + e->pace.list_delay_ms, ENGINE_AT_LIST, zone);
}

void witness_on_list(struct engine *e, size_t zone)
{
    struct truth_zone *z = &e->truth.zones[zone];
    z->sampling = false;
    /* A controller that was started since has not asked that, and asks itself. */
    bool asked = e->controller.running && e->controller.started_ms <= z->list_sampled_ms;
    if (!lists(e, zone) || !asked) {
        if (e->controller.running) {
            engine_touch(e);
        }
        return;
    }
    z->list_due = false;
    z->list_ms = z->list_sampled_ms;
    for (size_t i = 0; i < e->truth.host_count; i++) {
        struct truth_host *h = &e->truth.hosts[i];
        if (h->zone == zone && h->switched) {
            h->listed = h->sampled;
        }
    }
    driver_hear_list(e, zone);
    engine_touch(e);
}

static void refresh_listed(struct engine *e)
{
    for (size_t i = 0; i < e->truth.host_count; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        if (h->switched && h->listed != truth_power_told(&e->truth, i)) {
            e->truth.zones[h->zone].list_due = true;
        }
    }
    for (size_t z = 0; z < e->truth.zone_count; z++) {
        refresh_list(e, z);
    }
}

void witness_expect(struct engine *e)
{
    struct world *w = &e->controller.world;
    for (size_t t = 0; t < w->target_count; t++) {
        const struct world_balancer *b = &w->balancers[w->targets[t].balancer];
        size_t host =
            w->targets[t].state == WORLD_TARGET_UNKNOWN ? engine_host(e, b->instance) : WORLD_NONE;
        if (host != WORLD_NONE && !e->truth.hosts[host].looked_stale) {
            e->truth.hosts[host].looked_stale = true;
            engine_touch(e);
        }
    }
}

/* All of them. */

static void refresh_serving(struct engine *e, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    /* A machine that runs on with the mark of one that is gone gives nothing to its group. */
    bool nobodys = h->is_static && e->controller.running && engine_find(e, h->id) == WORLD_NONE;
    bool serves = h->id[0] != '\0' && h->power != TRUTH_ABSENT && !nobodys &&
                  truth_serves(&e->truth, &e->spec, host);
    bool traffic = h->power == TRUTH_RUNNING && truth_has_traffic(&e->truth, &e->spec, host);
    if (traffic != h->traffic) {
        h->traffic = traffic;
        h->traffic_since_ms = e->now_ms;
    }
    if (serves != h->serving) {
        h->serving = serves;
        h->serving_since_ms = e->now_ms;
    }
}

static void refresh_retired(struct engine *e)
{
    for (size_t i = 0; e->controller.running && i < e->truth.host_count; i++) {
        struct truth_host *h = &e->truth.hosts[i];
        size_t record = h->synced ? engine_find(e, h->id) : WORLD_NONE;
        const struct world_instance *it =
            record == WORLD_NONE ? NULL : &e->controller.world.instances[record];
        /* One that the records do not know as a balancer (yet) is not counted on either. */
        h->retired = it == NULL || it->lifecycle == LIFECYCLE_DETACHED || !it->configured;
    }
}

void witness_refresh(struct engine *e)
{
    refresh_retired(e);
    for (size_t i = 0; i < e->truth.host_count; i++) {
        refresh_probes(e, i);
        refresh_serving(e, i);
        refresh_look(e, i);
    }
    for (size_t s = 0; s < e->truth.server_count; s++) {
        refresh_server(e, &e->truth.servers[s]);
    }
    refresh_listed(e);
}

void witness_stamp(struct engine *e)
{
    struct world *w = &e->controller.world;
    for (size_t z = 0; z < e->truth.zone_count; z++) {
        struct truth_zone *zone = &e->truth.zones[z];
        if (zone->list_ms != INT64_MIN && !zone->list_due && lists(e, z)) {
            int64_t told_ms = e->now_ms - e->pace.list_delay_ms - e->now_ms % e->pace.list_every_ms;
            zone->list_ms = told_ms > zone->list_ms ? told_ms : zone->list_ms;
        }
    }
    for (size_t b = 0; e->controller.running && b < w->balancer_count; b++) {
        struct world_balancer *balancer = &w->balancers[b];
        size_t host = balancer->seen_ms == INT64_MIN
                          ? WORLD_NONE
                          : truth_find(&e->truth, w->instances[balancer->instance].id);
        if (host != WORLD_NONE && !e->truth.hosts[host].looked_stale && tells(e, host)) {
            int64_t seen = e->now_ms - e->pace.look_delay_ms - e->now_ms % e->pace.look_every_ms;
            balancer->seen_ms = seen > balancer->seen_ms ? seen : balancer->seen_ms;
        }
    }
}

void witness_forget_probes(struct engine *e)
{
    for (size_t i = 0; i < e->truth.host_count; i++) {
        struct truth_host *h = &e->truth.hosts[i];
        h->ready = h->alive = (struct truth_view){.said = WORLD_HEALTH_UNKNOWN};
    }
}

void witness_forget_all(struct engine *e)
{
    witness_forget_probes(e);
    for (size_t i = 0; i < e->truth.host_count; i++) {
        e->truth.hosts[i].listed = WORLD_POWER_UNKNOWN;
        e->truth.hosts[i].looked_stale = true;
    }
    for (size_t z = 0; z < e->truth.zone_count; z++) {
        e->truth.zones[z].list_ms = INT64_MIN;
        e->truth.zones[z].list_due = true;
    }
    engine_touch(e);
}
