#include "sim/cluster.h"

#include <string.h>

static const char *const zone_names[CLUSTER_ZONES] = {"rack-a", "rack-b", "rack-c"};
static const char *const provider_names[CLUSTER_ZONES] = {"kvm-a", "kvm-b", "kvm-c"};

static int64_t pick(struct random *r, const int64_t *from, size_t count)
{
    return from[random_between(r, 0, (int64_t)count - 1)];
}
#define PICK(r, ...)                                                                               \
    pick(r, (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void put_zones(struct cluster *c, size_t count)
{
    for (size_t z = 0; z < count; z++) {
        c->zones[z] = (struct spec_zone){.name = (char *)zone_names[z]};
        c->providers[z] = (struct spec_provider){
            .name = (char *)provider_names[z], .type = SPEC_PROVIDER_LIBVIRT, .zone = z};
    }
    c->spec.zones = c->zones;
    c->spec.zone_count = count;
    c->spec.providers = c->providers;
    c->spec.provider_count = count;
}

static size_t put_group(struct cluster *c, const char *name, unsigned desired)
{
    size_t g = c->spec.group_count++;
    size_t zones = c->spec.zone_count;
    for (size_t z = 0; z < zones; z++) {
        c->zone_lists[g][z] = z;
    }
    c->groups[g] = (struct spec_group){.name = (char *)name,
                                       .min = desired > 0 ? 1 : 0,
                                       .desired = desired,
                                       .max = desired,
                                       .zones = {c->zone_lists[g], zones},
                                       .pool = SPEC_NONE,
                                       .healthy_min_percent = 90,
                                       .healthy_max_percent = 110,
                                       .grace_ms = 120000,
                                       .repair = SPEC_REPAIR_RESTART,
                                       .bake_ms = 10000,
                                       .cooldown_ms = 60000,
                                       .breaker_percent = 33,
                                       .check_every_ms = 30000,
                                       .check_timeout_ms = 10000};
    c->spec.groups = c->groups;
    return g;
}

static void put_front(struct cluster *c)
{
    c->pool =
        (struct spec_pool){.name = (char *)"web",
                           .port = 80,
                           .check = {.interval_ms = 2000, .timeout_ms = 1000, .fall = 2, .rise = 2},
                           .drain_ms = 30000};
    c->route = (struct spec_route){.path = (char *)"/", .pool = 0};
    c->frontend = (struct spec_frontend){
        .name = (char *)"my-lb", .group = c->lb, .routes = &c->route, .route_count = 1};
    c->spec.pools = &c->pool;
    c->spec.pool_count = 1;
    c->spec.frontends = &c->frontend;
    c->spec.frontend_count = 1;
    c->groups[c->web].pool = 0;
    c->groups[c->web].repair = SPEC_REPAIR_REPLACE;
}

static void begin(struct cluster *c)
{
    memset(c, 0, sizeof(*c));
    c->db = c->extra = SPEC_NONE;
    c->spec.cluster = (char *)"shop";
    c->spec.parallel = 16;
    c->spec.max_disruption_percent = 10;
    c->pace = engine_pace_usual();
}

static void need(struct cluster *c)
{
    c->needs[0] = c->db;
    c->groups[c->web].needs = (struct spec_index_list){c->needs, 1};
}

void cluster_plain(struct cluster *c)
{
    begin(c);
    put_zones(c, 2);
    c->db = put_group(c, "db", 1);
    c->web = put_group(c, "web", 3);
    c->lb = put_group(c, "lb", 1);
    c->groups[c->web].max = 6;
    c->groups[c->web].healthy_min_percent = 60;
    put_front(c);
    need(c);
}

static void roll_web(struct cluster *c, struct random *r)
{
    struct spec_group *g = &c->groups[c->web];
    g->max = g->desired + (unsigned)PICK(r, 0, 1, 1, 2, 4);
    g->healthy_min_percent = (unsigned)PICK(r, 0, 34, 50, 60, 60, 67, 75, 90, 90, 100);
    g->healthy_max_percent = (unsigned)PICK(r, 100, 110, 110, 134, 200);
    g->grace_ms = PICK(r, 30000, 60000, 120000, 300000);
    g->repair = (enum spec_repair)PICK(r, SPEC_REPAIR_REPLACE, SPEC_REPAIR_REPLACE,
                                       SPEC_REPAIR_REPLACE, SPEC_REPAIR_RESTART, SPEC_REPAIR_NONE);
    g->spare = random_chance(r, 200) ? 1 : 0;
    g->bake_ms = PICK(r, 0, 5000, 10000, 10000, 60000);
    g->cooldown_ms = PICK(r, 0, 60000, 300000);
    g->termination = (enum spec_termination)random_between(r, 0, SPEC_TERMINATION_NEWEST);
    g->max_lifetime_ms = random_chance(r, 150) ? 3600000 : 0;
    g->breaker_percent = (unsigned)PICK(r, 20, 33, 33, 33, 50, 100);
    if (random_chance(r, 250)) {
        g->check_command = (char *)"/usr/local/bin/check";
        g->check_every_ms = PICK(r, 30000, 60000);
    }
    struct spec_check *check = &c->pool.check;
    check->interval_ms = PICK(r, 1000, 2000, 2000, 5000);
    check->timeout_ms = PICK(r, 500, 1000);
    check->fall = (unsigned)PICK(r, 1, 2, 2, 3);
    check->rise = (unsigned)PICK(r, 1, 1, 2);
    c->pool.drain_ms = PICK(r, 0, 5000, 30000);
}

/* Some of its hosts, or all, are machines that are there already. */
static void roll_machines(struct cluster *c, struct random *r)
{
    if (!random_chance(r, 300)) {
        return;
    }
    bool all = random_chance(r, 500);
    size_t count = (size_t)random_between(r, 2, CLUSTER_MACHINES);
    for (size_t z = 0; z < c->spec.zone_count; z++) {
        c->providers[z].type =
            all || random_chance(r, 500) ? SPEC_PROVIDER_STATIC : SPEC_PROVIDER_LIBVIRT;
    }
    for (size_t i = 0; i < count; i++) {
        size_t z = i % c->spec.zone_count;
        if (c->providers[z].type != SPEC_PROVIDER_STATIC) {
            continue;
        }
        size_t m = c->spec.host_count++;
        snprintf(c->machine_names[m], sizeof(c->machine_names[m]), "r%zuu%zu", z + 1, i);
        c->machines[m] =
            (struct spec_host){.name = c->machine_names[m], .provider = z, .group = SPEC_NONE};
    }
    c->spec.hosts = c->machines;
    c->pace.bmc = random_chance(r, 500);
}

static void put_hook(struct cluster *c, struct random *r, enum spec_hook_on on)
{
    struct random aside = *r; /* What comes after is not another for it. */
    bool on_host = random_chance(&aside, 600);
    c->pace.abandon = (unsigned)PICK(&aside, 0, 0, 20, 100);
    const size_t groups[] = {c->web, c->web, c->web, c->lb, c->db, c->extra};
    size_t hooked = groups[random_between(&aside, 0, 5)];
    hooked = hooked == SPEC_NONE ? c->web : hooked;
    c->hooks[c->spec.hook_count++] = (struct spec_hook){
        .name = (char *)(on == SPEC_HOOK_LAUNCH ? "warm-up" : "save-logs"),
        .group = hooked,
        .on = on,
        .where = on_host ? SPEC_HOOK_HOST : SPEC_HOOK_CONTROLLER,
        .command = (char *)"true",
        .heartbeat_ms = 60000,
        .limit_ms = on_host ? PICK(&aside, 60000, 600000, 3600000) : 300000,
        .result = random_chance(r, 500) ? SPEC_HOOK_CONTINUE : SPEC_HOOK_ABANDON};
    c->spec.hooks = c->hooks;
}

static void roll_pace(struct cluster *c, struct random *r)
{
    struct engine_pace *p = &c->pace;
    p->boot_ms = PICK(r, 5000, 20000, 60000);
    p->make_ms = PICK(r, 300, 2000, 10000);
    p->host_ms = PICK(r, 300, 2000, 5000);
    p->configure_ms = PICK(r, 2000, 15000, 60000);
    p->balance_ms = PICK(r, 50, 500, 2000);
    p->drain_ms = PICK(r, 100, 5000, 30000);
    p->limit_ms = PICK(r, 60000, 120000);
    p->list_every_ms = PICK(r, 2000, 5000, 10000);
    p->list_delay_ms = PICK(r, 50, 300, 3000);
    p->look_every_ms = PICK(r, 1000, 1000, 2000);
    p->look_delay_ms = PICK(r, 20, 100, 500);
    p->restart_ms = PICK(r, 1000, 5000, 60000);
    p->transient = (unsigned)PICK(r, 0, 5, 20, 60);
    p->permanent = (unsigned)PICK(r, 0, 0, 1, 4);
    p->lost = (unsigned)PICK(r, 0, 2, 10);
    p->late = (unsigned)PICK(r, 0, 2, 10);
    p->doubled = (unsigned)PICK(r, 0, 5, 20);
}

void cluster_make(struct cluster *c, struct random *r)
{
    begin(c);
    put_zones(c, (size_t)random_between(r, 1, CLUSTER_ZONES));
    if (random_chance(r, 500)) {
        c->db = put_group(c, "db", 1);
    }
    c->web = put_group(c, "web", (unsigned)random_between(r, 1, 9));
    c->lb = put_group(c, "lb", random_chance(r, 300) ? 2 : 1);
    if (random_chance(r, 300)) {
        c->extra = put_group(c, "batch", (unsigned)random_between(r, 1, 4));
        c->groups[c->extra].max += (unsigned)random_between(r, 0, 2);
        c->groups[c->extra].repair =
            random_chance(r, 300) ? SPEC_REPAIR_REPLACE : SPEC_REPAIR_RESTART;
    }
    put_front(c);
    if (c->db != SPEC_NONE && random_chance(r, 700)) {
        need(c);
    }
    roll_web(c, r);
    roll_machines(c, r);
    if (random_chance(r, 200)) {
        put_hook(c, r, SPEC_HOOK_LAUNCH);
    }
    if (random_chance(r, 200)) {
        put_hook(c, r, SPEC_HOOK_TERMINATE);
    }
    c->spec.max_disruption_percent = (unsigned)PICK(r, 5, 10, 10, 25, 50);
    roll_pace(c, r);
}
