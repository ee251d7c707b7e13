/* What cannot be together in one cluster: zones, providers, groups, frontends. */
#include "base/err.h"
#include "base/str.h"
#include "base/words.h"
#include "spec/load.h"

#include <inttypes.h>
#include <string.h>

#define GROUP_NAME_MAX 57 /* So that NAME-10000 is a host name. */
#define SSH_PORT       22

static void check_zone_count(struct load *load, struct load_section *section)
{
    if (section->index == SPEC_ZONES_MAX) {
        load_problem(load, section, NULL, "a cluster has at most %d zones", SPEC_ZONES_MAX);
    }
}

static void check_gateway(struct load *load, struct load_section *section)
{
    const struct spec_zone *zone = section->object;
    if (!load_given(section, "gateway") || !load_good(section, "gateway") ||
        !load_good(section, "addresses")) {
        return;
    }
    /* The prefix is at least 8 bits long where there are addresses. */
    uint32_t mask = zone->prefix_length == 0 ? 0 : ~(uint32_t)0 << (32 - zone->prefix_length);
    if (!load_given(section, "addresses")) {
        load_problem(load, section, "gateway",
                     "a gateway is for instances, but there are no "
                     "addresses for them");
    } else if ((zone->gateway & mask) != (zone->address_first & mask)) {
        load_problem(load, section, "gateway", "not in the network of the addresses (prefix %u)",
                     zone->prefix_length);
    } else if (zone->gateway >= zone->address_first && zone->gateway <= zone->address_last) {
        load_problem(load, section, "gateway", "lies among the addresses for instances");
    }
}

static void check_overlap(struct load *load, struct load_section *section)
{
    const struct spec_zone *zone = section->object;
    const struct load_section *other;
    size_t i = 0;
    while (load_good(section, "addresses") && zone->address_first != 0 &&
           (other = load_next(load, SECTION_ZONE, &i)) != section) {
        const struct spec_zone *z = other->object;
        if (load_good(other, "addresses") && z->address_first != 0 &&
            z->address_first <= zone->address_last && zone->address_first <= z->address_last) {
            load_problem(load, section, "addresses", "overlaps with the addresses of zone %s",
                         z->name);
        }
    }
}

static void check_provider(struct load *load, struct load_section *section)
{
    static const char *const only_libvirt[] = {"uri", "bridge", "images", "instances"};
    const struct spec_provider *p = section->object;
    if (!load_good(section, "type")) {
        return;
    }
    for (size_t i = 0; p->type == SPEC_PROVIDER_STATIC && i < 4; i++) {
        if (load_given(section, only_libvirt[i]) && load_good(section, only_libvirt[i])) {
            load_problem(load, section, only_libvirt[i], "goes with type = libvirt only");
        }
    }
    if (p->type == SPEC_PROVIDER_STATIC) {
        return;
    }
    if (!load_given(section, "bridge") && load_good(section, "bridge")) {
        load_problem(load, section, "bridge",
                     "missing; instances of type libvirt are attached to "
                     "it");
    }
    if (load->spec->login.key_file == NULL && load->spec->cluster != NULL) {
        load_problem(load, section, "type",
                     "hosts made by libvirt are reached with a key, but "
                     "[cluster %s] has key = none",
                     load->spec->cluster);
    }
    struct load_section *zone =
        p->zone == SPEC_NONE ? NULL : load_section_of(load, SECTION_ZONE, p->zone);
    if (zone == NULL) {
        return;
    }
    if (!load_given(zone, "addresses") && load_good(zone, "addresses")) {
        load_problem(load, zone, "addresses", "missing; provider %s makes instances here", p->name);
    }
    const struct load_section *other;
    size_t i = 0;
    while ((other = load_next(load, SECTION_PROVIDER, &i)) != section) {
        const struct spec_provider *q = other->object;
        if (q->zone == p->zone && q->type == SPEC_PROVIDER_LIBVIRT && load_good(other, "type")) {
            load_problem(load, section, "zone",
                         "%s has provider %s already; a second one of type "
                         "libvirt is not yet known to this version",
                         zone->ini->name, q->name);
            return;
        }
    }
}

static bool zone_has(const struct spec *spec, size_t zone, enum spec_provider_type type)
{
    for (size_t i = 0; i < spec->provider_count; i++) {
        if (spec->providers[i].zone == zone && spec->providers[i].type == type) {
            return true;
        }
    }
    return false;
}

/* Whether every provider is understood, so that one that is missing is really missing. */
static bool providers_are_good(const struct load *load)
{
    const struct load_section *section;
    size_t i = 0;
    while ((section = load_next(load, SECTION_PROVIDER, &i)) != NULL) {
        if (!load_good(section, "zone") || !load_good(section, "type")) {
            return false;
        }
    }
    return load_is_whole(load);
}

static void check_sizes(struct load *load, struct load_section *section)
{
    const struct spec_group *g = section->object;
    bool good = load_good(section, "min") && load_good(section, "desired");
    if (good && g->desired < g->min) {
        load_problem(load, section, "desired", "%u is less than min (%u)", g->desired, g->min);
    } else if (good && load_good(section, "max") && g->max < g->desired) {
        load_problem(load, section, "max", "%u is less than %s (%u)", g->max,
                     load_given(section, "desired") ? "desired" : "min", g->desired);
    }
    if (load_good(section, "healthy-min") && load_good(section, "healthy-max") &&
        g->healthy_min_percent == 100 && g->healthy_max_percent == 100 && g->max > 0) {
        load_problem(load, section, "healthy-max",
                     "with healthy-min and healthy-max both 100%% no instance could ever be "
                     "replaced; raise healthy-max to launch before terminating");
    }
    if (strlen(g->name) > GROUP_NAME_MAX) {
        load_problem(load, section, NULL,
                     "the name is longer than %d letters: NAME-1 is to be a host's name",
                     GROUP_NAME_MAX);
    }
}

/* The check-command and when it is run. */
static void check_health_command(struct load *load, struct load_section *section)
{
    static const char *const with_command[] = {"check-every", "check-timeout"};
    const struct spec_group *g = section->object;
    if (!load_good(section, "check-command")) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        if (g->check_command == NULL && load_given(section, with_command[i]) &&
            load_good(section, with_command[i])) {
            load_problem(load, section, with_command[i], "goes with check-command only");
        }
    }
    if (load_good(section, "check-every") && load_good(section, "check-timeout") &&
        g->check_timeout_ms > g->check_every_ms) {
        load_problem(load, section, "check-timeout",
                     "longer than the time between two checks (check-every)");
    }
}

/* Hosts to spare are those beside the healthy minimum, while one is out for a step. */
static void check_spare(struct load *load, struct load_section *section)
{
    static const char *const counted[] = {"spare", "pool",        "min",        "desired",
                                          "max",   "healthy-min", "healthy-max"};
    const struct spec_group *g = section->object;
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        if (!load_good(section, counted[i])) {
            return;
        }
    }
    uint64_t minimum = ((uint64_t)g->desired * g->healthy_min_percent + 99) / 100;
    uint64_t surge = (uint64_t)g->desired * g->healthy_max_percent / 100;
    uint64_t most = surge > g->max ? surge : g->max;
    if (g->spare > 0 && g->pool == SPEC_NONE) {
        load_problem(load, section, "spare", "counts the members of a pool, but there is none");
    } else if (g->spare > 0 && minimum + g->spare + 1 > most) {
        load_problem(load, section, "spare",
                     "no step could ever be taken: with one instance out there must be %" PRIu64
                     " (healthy-min of desired) and %u to spare, but there are never more than "
                     "%" PRIu64 "; raise max",
                     minimum, g->spare, most);
    }
}

static void check_group_zones(struct load *load, struct load_section *section)
{
    const struct spec *spec = load->spec;
    const struct spec_group *g = section->object;
    if (!load_good(section, "zones") || !providers_are_good(load)) {
        return;
    }
    if (g->zones.count == 0) {
        load_problem(load, section, "zones", "no [provider] makes instances in any zone");
    }
    for (size_t i = 0; i < g->zones.count; i++) {
        size_t zone = g->zones.items[i];
        if (!zone_has(spec, zone, SPEC_PROVIDER_LIBVIRT) &&
            !zone_has(spec, zone, SPEC_PROVIDER_STATIC)) {
            load_problem(load, section, "zones",
                         "nothing makes instances in zone %s: no [provider] names it",
                         spec->zones[zone].name);
        }
    }
}

/* A template whose groups' instances are made by a hypervisor says of what. */
static void check_template(struct load *load, struct load_section *section)
{
    const struct spec_group *g = section->object;
    struct load_section *template =
        g->template == SPEC_NONE ? NULL : load_section_of(load, SECTION_TEMPLATE, g->template);
    for (size_t i = 0; template != NULL && i < g->zones.count; i++) {
        if (!zone_has(load->spec, g->zones.items[i], SPEC_PROVIDER_LIBVIRT)) {
            continue;
        }
        static const char *const keys[] = {"image", "size"};
        for (size_t k = 0; k < 2; k++) {
            if (!load_given(template, keys[k]) && load_good(template, keys[k])) {
                load_problem(load, template, keys[k],
                             "missing; group %s has instances made by libvirt in zone %s", g->name,
                             load->spec->zones[g->zones.items[i]].name);
            }
        }
        return;
    }
}

/* Spread evenly, a group has at most this many instances in each of its zones. */
static uint64_t share(const struct spec_group *g)
{
    return g->zones.count == 0 ? 0 : (g->max + g->zones.count - 1) / g->zones.count;
}

static void check_room(struct load *load, struct load_section *section)
{
    const struct spec_zone *zone = section->object;
    if (!load_given(section, "addresses") || !load_good(section, "addresses") ||
        !zone_has(load->spec, section->index, SPEC_PROVIDER_LIBVIRT) ||
        zone_has(load->spec, section->index, SPEC_PROVIDER_STATIC)) {
        return;
    }
    uint64_t wanted = 0;
    const struct load_section *group;
    size_t i = 0;
    while ((group = load_next(load, SECTION_GROUP, &i)) != NULL) {
        const struct spec_group *g = group->object;
        if (load_good(group, "max") && load_good(group, "zones") &&
            spec_index_list_has(&g->zones, section->index)) {
            wanted += share(g);
        }
    }
    uint64_t room = (uint64_t)zone->address_last - zone->address_first + 1;
    if (wanted > room) {
        load_problem(load, section, "addresses",
                     "%llu addresses, but the groups of this zone may come to %llu instances (max)",
                     (unsigned long long)room, (unsigned long long)wanted);
    }
}

static bool is_fed(const struct load *load, size_t pool)
{
    const struct load_section *group;
    size_t i = 0;
    while ((group = load_next(load, SECTION_GROUP, &i)) != NULL) {
        const struct spec_group *g = group->object;
        if (g->pool == pool || !load_good(group, "pool")) {
            return true; /* Or may be, had its pool been understood. */
        }
    }
    return !load_is_whole(load);
}

/* The line of a key that may be repeated. */
static const struct ini_entry *entry_at(const struct load_section *section,
                                        const struct spec_place *place)
{
    const struct ini_section *ini = section->ini;
    size_t i = 0;
    while (ini->entries[i].line != place->line) {
        i++;
    }
    return &ini->entries[i];
}

static void check_routes(struct load *load, const struct load_section *section)
{
    const struct spec_frontend *f = section->object;
    for (size_t i = 0; i < f->route_count; i++) {
        const struct spec_route *route = &f->routes[i];
        const struct ini_entry *entry = entry_at(section, &route->place);
        const char *pool = load->spec->pools[route->pool].name;
        bool twice = false;
        for (size_t j = 0; j < i; j++) {
            twice = twice || text_equal(f->routes[j].path, route->path);
        }
        if (twice) {
            load_entry_problem(load, section, entry, "there is a route for %s already",
                               route->path);
        } else if (!is_fed(load, route->pool)) {
            load_entry_problem(load, section, entry,
                               "nothing serves in pool %s: no [group] has it as its pool", pool);
        }
    }
}

/* Another frontend on the same instances that listens on PORT; NULL for none. */
static const char *port_taken(const struct load *load, const struct load_section *section,
                              size_t before, unsigned port)
{
    const struct spec_frontend *f = section->object;
    const struct load_section *other;
    size_t i = 0;
    while ((other = load_next(load, SECTION_FRONTEND, &i)) != NULL) {
        const struct spec_frontend *o = other->object;
        bool same_host = other == section || (o->group == f->group && o->group != SPEC_NONE);
        size_t count = other == section ? before : o->listener_count;
        for (size_t j = 0; same_host && j < count; j++) {
            if (o->listeners[j].port == port) {
                return o->name;
            }
        }
        if (other == section) {
            return NULL;
        }
    }
    return NULL;
}

static void check_listeners(struct load *load, const struct load_section *section)
{
    const struct spec_frontend *f = section->object;
    for (size_t i = 0; i < f->listener_count; i++) {
        const struct spec_listener *l = &f->listeners[i];
        const struct ini_entry *entry = entry_at(section, &l->place);
        const char *taken = port_taken(load, section, i, l->port);
        if (l->port == SSH_PORT) {
            load_entry_problem(load, section, entry, "port 22 is the SSH server's");
        } else if (taken != NULL) {
            load_entry_problem(load, section, entry,
                               "frontend %s listens on this port of the same hosts already", taken);
        }
    }
}

static void check_frontend(struct load *load, struct load_section *section)
{
    const struct spec_frontend *f = section->object;
    const struct load_section *group =
        f->group == SPEC_NONE ? NULL : load_section_of(load, SECTION_GROUP, f->group);
    const struct spec_group *g = group == NULL ? NULL : group->object;
    if (g != NULL && g->pool != SPEC_NONE) {
        load_problem(load, section, "group",
                     "group %s is in pool %s: a balancer cannot be one of those it balances",
                     g->name, load->spec->pools[g->pool].name);
    }
    check_listeners(load, section);
    check_routes(load, section);
}

static void check_login(struct load *load)
{
    struct load_section *section = load_section_of(load, SECTION_CLUSTER, 0);
    if (section != NULL && load_given(section, "key") && load_good(section, "key") &&
        load->spec->login.key_file == NULL && load_good(section, "agent") &&
        !load->spec->login.use_agent) {
        load_problem(load, section, "key", "with key = none nobody can log in; set agent = yes");
    }
}

/* The hook that an earlier section has on the same transition of the same group. */
static const struct load_section *hook_before(const struct load *load,
                                              const struct load_section *section)
{
    const struct spec_hook *hook = section->object;
    const struct load_section *other;
    size_t i = 0;
    while ((other = load_next(load, SECTION_HOOK, &i)) != section) {
        const struct spec_hook *h = other->object;
        if (h->group == hook->group && load_good(other, "on") && load_given(other, "on") &&
            h->on == hook->on) {
            return other;
        }
    }
    return NULL;
}

static void check_hook_times(struct load *load, struct load_section *section)
{
    const struct spec_hook *hook = section->object;
    if (!load_good(section, "limit") || !load_good(section, "heartbeat")) {
        return;
    }
    if (hook->heartbeat_ms > hook->limit_ms) {
        load_problem(load, section, "heartbeat", "longer than the limit of the whole");
    } else if (hook->limit_ms > hook->heartbeat_ms * LOAD_HOOK_HEARTBEATS) {
        load_problem(load, section, "limit", "longer than %d heartbeats; raise heartbeat",
                     LOAD_HOOK_HEARTBEATS);
    }
}

/* At most one hook for each group and transition. */
static void check_hook(struct load *load, struct load_section *section)
{
    const struct spec_hook *hook = section->object;
    struct err e = ERR_NULL;
    char **words = NULL;
    size_t count;
    if (hook->command != NULL && words_split(hook->command, &words, &count, &e) != 0) {
        load_problem(load, section, "run", "%s", e.text);
    }
    words_free(words);
    check_hook_times(load, section);
    if (hook->group == SPEC_NONE || !load_given(section, "on") || !load_good(section, "on")) {
        return;
    }
    const struct load_section *first = hook_before(load, section);
    if (first != NULL) {
        load_problem(load, section, "on",
                     "group %s has [hook %s] at %s:%u for this already; it can have one for each "
                     "of launch and terminate",
                     load->spec->groups[hook->group].name, first->ini->name, first->ini->file,
                     first->ini->line);
    }
}

void load_check_combinations(struct load *load)
{
    check_login(load);
    for (size_t i = 0; i < load->section_count; i++) {
        struct load_section *section = &load->sections[i];
        if (section->kind == NULL || section->shadowed) {
            continue;
        }
        switch (section->kind->id) {
        case SECTION_ZONE:
            check_zone_count(load, section);
            check_gateway(load, section);
            check_overlap(load, section);
            check_room(load, section);
            break;
        case SECTION_PROVIDER: check_provider(load, section); break;
        case SECTION_GROUP:
            check_sizes(load, section);
            check_health_command(load, section);
            check_spare(load, section);
            check_group_zones(load, section);
            check_template(load, section);
            break;
        case SECTION_FRONTEND: check_frontend(load, section); break;
        case SECTION_HOOK: check_hook(load, section); break;
        case SECTION_CLUSTER:
        case SECTION_SIZE:
        case SECTION_SECRET:
        case SECTION_TEMPLATE:
        case SECTION_POOL:
        case SECTION_HOST: break;
        }
    }
}
