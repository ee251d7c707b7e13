#include "rehearse/truth.h"

#include "base/mem.h"
#include "base/str.h"
#include "spec/spec.h"

#define PLACES 32 /* In a zone whose addresses the file does not count. */

static bool is_static_zone(const struct spec *spec, size_t zone)
{
    for (size_t p = 0; p < spec->provider_count; p++) {
        if (spec->providers[p].zone == zone && spec->providers[p].type != SPEC_PROVIDER_STATIC) {
            return false;
        }
    }
    return spec->provider_count > 0;
}

static void add_machine(struct truth *t, const struct spec *spec, const struct spec_host *h,
                        bool bmc)
{
    size_t i = xgrow((void **)&t->hosts, &t->host_count, &t->host_capacity, sizeof(*t->hosts));
    t->hosts[i] = (struct truth_host){.group = WORLD_NONE,
                                      .zone = spec->providers[h->provider].zone,
                                      .reserved = h->group,
                                      .is_static = true,
                                      .switched = bmc,
                                      .power = TRUTH_RUNNING,
                                      .service = true,
                                      .custom = true,
                                      .serving_since_ms = INT64_MIN};
    text_copy(t->hosts[i].machine, sizeof(t->hosts[i].machine), h->name);
}

void truth_init(struct truth *t, const struct spec *spec, bool bmc)
{
    *t = (struct truth){.zones = xcalloc(spec->zone_count + 1, sizeof(*t->zones)),
                        .zone_count = spec->zone_count,
                        .versions = xcalloc(spec->group_count + 1, sizeof(*t->versions)),
                        .shared_down = xcalloc(spec->group_count + 1, sizeof(bool)),
                        .image_broken = xcalloc(spec->group_count + 1, sizeof(bool))};
    for (size_t z = 0; z < spec->zone_count; z++) {
        const struct spec_zone *zone = &spec->zones[z];
        size_t addresses = zone->address_first == 0
                               ? PLACES
                               : (size_t)(zone->address_last - zone->address_first) + 1;
        t->zones[z].places = is_static_zone(spec, z) ? 0 : addresses;
        t->zones[z].list_ms = INT64_MIN;
    }
    for (size_t h = 0; h < spec->host_count; h++) {
        if (spec->hosts[h].provider != SPEC_NONE) {
            add_machine(t, spec, &spec->hosts[h], bmc);
        }
    }
}

void truth_deinit(struct truth *t)
{
    free(t->zones);
    free(t->hosts);
    free(t->servers);
    free(t->versions);
    free(t->shared_down);
    free(t->image_broken);
    *t = (struct truth){.zones = NULL};
}

size_t truth_find(const struct truth *t, const char *id)
{
    for (size_t i = 0; id[0] != '\0' && i < t->host_count; i++) {
        if (text_equal(t->hosts[i].id, id)) {
            return i;
        }
    }
    return WORLD_NONE;
}

size_t truth_find_machine(const struct truth *t, const char *id, const char *machine)
{
    for (size_t i = 0; machine[0] != '\0' && i < t->host_count; i++) {
        if (text_equal(t->hosts[i].machine, machine)) {
            return i;
        }
    }
    return machine[0] != '\0' ? WORLD_NONE : truth_find(t, id);
}

/* A place that a destroyed host left is used again, so that indices stay what they are. */
static size_t free_slot(struct truth *t)
{
    for (size_t i = 0; i < t->host_count; i++) {
        if (t->hosts[i].power == TRUTH_ABSENT && !t->hosts[i].is_static) {
            return i;
        }
    }
    return xgrow((void **)&t->hosts, &t->host_count, &t->host_capacity, sizeof(*t->hosts));
}

enum truth_content truth_content(const struct truth *truth, uint64_t content)
{
    uint64_t digit = content % 10;
    return digit < TRUTH_CONTENTS && !truth->contents_mended ? (enum truth_content)digit
                                                             : TRUTH_CONTENT_WELL;
}

size_t truth_create(struct truth *t, const char *id, size_t group, size_t zone)
{
    size_t i = free_slot(t);
    t->hosts[i] = (struct truth_host){.group = group,
                                      .zone = zone,
                                      .reserved = WORLD_NONE,
                                      .switched = true,
                                      .power = TRUTH_OFF,
                                      .custom = true,
                                      .serving_since_ms = INT64_MIN,
                                      .creations = 1};
    text_copy(t->hosts[i].id, sizeof(t->hosts[i].id), id);
    return i;
}

void truth_destroy(struct truth *t, size_t host)
{
    struct truth_host *h = &t->hosts[host];
    h->power = TRUTH_ABSENT;
    h->id[0] = '\0';
    h->serving = false;
    h->group = WORLD_NONE;
    h->boot_turn = 0;
    h->ready = h->alive = (struct truth_view){.said = WORLD_HEALTH_UNKNOWN};
    for (size_t s = t->server_count; s-- > 0;) {
        if (t->servers[s].host == host) {
            t->servers[s] = t->servers[--t->server_count];
        }
    }
}

struct truth_server *truth_find_server(struct truth *t, size_t host, size_t frontend,
                                       const char *member)
{
    for (size_t s = 0; s < t->server_count; s++) {
        if (t->servers[s].host == host && t->servers[s].frontend == frontend &&
            text_equal(t->servers[s].member, member)) {
            return &t->servers[s];
        }
    }
    return NULL;
}

void truth_put_server(struct truth *t, size_t host, size_t frontend, const char *member)
{
    struct truth_server *server = truth_find_server(t, host, frontend, member);
    if (server == NULL) {
        size_t s =
            xgrow((void **)&t->servers, &t->server_count, &t->server_capacity, sizeof(*server));
        server = &t->servers[s];
        *server = (struct truth_server){.host = host, .frontend = frontend};
        text_copy(server->member, sizeof(server->member), member);
    }
    server->admitted = true;
    server->in_file = true;
    server->check.said = WORLD_HEALTHY; /* Admission waits for a check that passes. */
    server->check.coming = WORLD_HEALTH_UNKNOWN;
    server->check.followed = true;
}

void truth_drop_server(struct truth *t, size_t host, size_t frontend, const char *member)
{
    struct truth_server *server = truth_find_server(t, host, frontend, member);
    if (server != NULL) {
        *server = t->servers[--t->server_count];
    }
}

bool truth_alive(const struct truth *t, size_t host)
{
    return t->hosts[host].power == TRUTH_RUNNING;
}

bool truth_need_met(const struct truth *t, size_t group)
{
    for (size_t i = 0; i < t->host_count; i++) {
        const struct truth_host *h = &t->hosts[i];
        if (h->group == group && h->id[0] != '\0' && truth_alive(t, i) && h->configured &&
            h->service && !t->zones[h->zone].cut) {
            return true;
        }
    }
    return false;
}

bool truth_ready(const struct truth *t, const struct spec *spec, size_t host)
{
    const struct truth_host *h = &t->hosts[host];
    if (!truth_alive(t, host) || !h->configured || !h->service || h->doomed ||
        h->group == WORLD_NONE || t->shared_down[h->group]) {
        return false;
    }
    const struct spec_index_list *needs = &spec->groups[h->group].needs;
    for (size_t i = 0; i < needs->count; i++) {
        if (!truth_need_met(t, needs->items[i])) {
            return false;
        }
    }
    return true;
}

bool truth_reached(const struct truth *t, size_t host)
{
    return !t->controller_cut && !t->zones[t->hosts[host].zone].cut && !t->hosts[host].blind;
}

bool truth_balancing(const struct truth *t, const struct spec *spec, size_t host, size_t frontend)
{
    const struct truth_host *h = &t->hosts[host];
    return h->id[0] != '\0' && h->group == spec->frontends[frontend].group &&
           truth_alive(t, host) && h->configured && h->service && h->synced &&
           !t->zones[h->zone].cut && !h->retired;
}

static bool routes_to(const struct spec *spec, size_t frontend, size_t pool)
{
    for (size_t r = 0; r < spec->frontends[frontend].route_count; r++) {
        if (spec->frontends[frontend].routes[r].pool == pool) {
            return true;
        }
    }
    return false;
}

static bool sends(const struct truth *t, size_t balancer, size_t frontend, const char *member)
{
    for (size_t s = 0; s < t->server_count; s++) {
        const struct truth_server *server = &t->servers[s];
        if (server->host == balancer && server->frontend == frontend &&
            text_equal(server->member, member)) {
            return server->admitted && server->check.said == WORLD_HEALTHY;
        }
    }
    return false;
}

/* Of the balancers in front of it that take traffic: how many, and how many send it some. */
static size_t count_senders(const struct truth *t, const struct spec *spec, size_t host,
                            size_t *ret_sending)
{
    const struct truth_host *h = &t->hosts[host];
    size_t balancing = 0;
    *ret_sending = 0;
    for (size_t f = 0; f < spec->frontend_count; f++) {
        if (!routes_to(spec, f, spec->groups[h->group].pool)) {
            continue;
        }
        for (size_t b = 0; b < t->host_count; b++) {
            if (truth_balancing(t, spec, b, f)) {
                balancing++;
                *ret_sending += sends(t, b, f, h->id) ? 1 : 0;
            }
        }
    }
    return balancing;
}

bool truth_serves(const struct truth *t, const struct spec *spec, size_t host)
{
    const struct truth_host *h = &t->hosts[host];
    if (!truth_ready(t, spec, host) || t->zones[h->zone].cut) {
        return false;
    }
    if (spec->groups[h->group].pool == SPEC_NONE) {
        return true;
    }
    size_t sending;
    size_t balancing = count_senders(t, spec, host, &sending);
    return balancing > 0 && sending == balancing;
}

bool truth_has_traffic(const struct truth *t, const struct spec *spec, size_t host)
{
    const struct truth_host *h = &t->hosts[host];
    if (h->group == WORLD_NONE || h->id[0] == '\0' || spec->groups[h->group].pool == SPEC_NONE ||
        t->zones[h->zone].cut) {
        return false;
    }
    size_t sending;
    count_senders(t, spec, host, &sending);
    return sending > 0;
}

enum world_power truth_power_told(const struct truth *t, size_t host)
{
    const struct truth_host *h = &t->hosts[host];
    if (h->vanished) {
        return WORLD_POWER_ABSENT;
    }
    if (h->libelled) {
        return WORLD_POWER_OFF;
    }
    switch (h->power) {
    case TRUTH_ABSENT: return WORLD_POWER_ABSENT;
    case TRUTH_OFF: return WORLD_POWER_OFF;
    case TRUTH_BOOTING:
    case TRUTH_RUNNING:
    case TRUTH_HUNG: return WORLD_POWER_RUNNING;
    }
    return WORLD_POWER_UNKNOWN;
}
