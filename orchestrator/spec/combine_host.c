/* What cannot be together around [host]s: bastions, reservations, and groups that need enough. */
#include "base/mem.h"
#include "base/str.h"
#include "spec/load.h"

#include <stdlib.h>

#define JUMPS_MAX 4 /* As many as an SSH link takes. */

static bool is_bastion(const struct spec *spec, const char *name)
{
    bool used = text_equal(spec->login.proxy_jump, name);
    for (size_t i = 0; i < spec->host_count; i++) {
        used = used || text_equal(spec->hosts[i].proxy_jump, name);
    }
    return used;
}

static void check_provider(struct load *load, struct load_section *section)
{
    const struct spec *spec = load->spec;
    const struct spec_host *host = section->object;
    if (host->provider == SPEC_NONE) {
        if (load_given(section, "group") && load_good(section, "group") &&
            load_good(section, "provider")) {
            load_problem(load, section, "group",
                         "a host without a provider is a bastion, not a member of a group");
        } else if (load_good(section, "provider") && !is_bastion(spec, host->name)) {
            load_problem(load, section, "provider",
                         "missing; only a bastion has none, and no proxy-jump names this host");
        }
        return;
    }
    const struct spec_provider *p = &spec->providers[host->provider];
    const struct load_section *provider = load_section_of(load, SECTION_PROVIDER, host->provider);
    if (provider == NULL || !load_good(provider, "type")) {
        return;
    }
    if (p->type != SPEC_PROVIDER_STATIC) {
        load_problem(load, section, "provider",
                     "%s makes its hosts itself; expected a provider with type = static", p->name);
        return;
    }
    const struct load_section *group =
        host->group == SPEC_NONE ? NULL : load_section_of(load, SECTION_GROUP, host->group);
    if (group == NULL || !load_good(group, "zones") || p->zone == SPEC_NONE) {
        return;
    }
    const struct spec_group *g = group->object;
    if (!spec_index_list_has(&g->zones, p->zone)) {
        load_problem(load, section, "group", "the host is in zone %s, which is not one of group %s",
                     spec->zones[p->zone].name, g->name);
    }
}

static void check_address(struct load *load, struct load_section *section)
{
    const struct spec_host *host = section->object;
    const struct load_section *other;
    size_t i = 0;
    while (host->address != NULL && (other = load_next(load, SECTION_HOST, &i)) != section) {
        const struct spec_host *o = other->object;
        if (text_equal(o->address, host->address) && o->port == host->port &&
            load_good(section, "port") && load_good(other, "port")) {
            load_problem(load, section, "address", "[host %s] has the same address and port",
                         o->name);
            return;
        }
    }
}

/* Whether the way to the host through its bastions has an end. A circle is told of once: at the
   first host in it. */
static void check_jumps(struct load *load, struct load_section *section)
{
    const struct spec *spec = load->spec;
    const struct spec_host *host = section->object;
    const char *next = host->proxy_jump;
    size_t first = section->index;
    size_t jumps = 0;
    for (; next != NULL && *next != '\0' && jumps <= spec->host_count; jumps++) {
        size_t bastion = spec_find_host(spec, next);
        if (bastion == section->index) {
            if (first == section->index) {
                load_problem(load, section, "proxy-jump",
                             "the way to this host goes through "
                             "itself");
            }
            return;
        }
        first = bastion < first ? bastion : first;
        next = bastion == SPEC_NONE ? NULL : spec->hosts[bastion].proxy_jump;
    }
    if (jumps > JUMPS_MAX && jumps <= spec->host_count) {
        load_problem(load, section, "proxy-jump", "more than %d bastions in a row", JUMPS_MAX);
    }
}

/* The zones of GROUP have nothing but static providers (so that its hosts can be counted). */
static bool is_static(const struct load *load, const struct spec_group *group)
{
    const struct load_section *section;
    size_t i = 0;
    bool any = false;
    while ((section = load_next(load, SECTION_PROVIDER, &i)) != NULL) {
        const struct spec_provider *p = section->object;
        if (!load_good(section, "type") || !load_good(section, "zone")) {
            return false;
        }
        if (spec_index_list_has(&group->zones, p->zone)) {
            if (p->type != SPEC_PROVIDER_STATIC) {
                return false;
            }
            any = true;
        }
    }
    return any;
}

/* Hosts in the zones of GROUP that are reserved for it, and those that are for any group. */
static void count_hosts(const struct load *load, const struct load_section *section,
                        size_t *ret_reserved, size_t *ret_free)
{
    const struct spec_group *group = section->object;
    const struct load_section *host;
    size_t i = 0;
    *ret_reserved = 0;
    *ret_free = 0;
    while ((host = load_next(load, SECTION_HOST, &i)) != NULL) {
        const struct spec_host *h = host->object;
        /* A host whose provider or group was refused may have been meant for this one. */
        bool here = !load_good(host, "provider") ||
                    (h->provider != SPEC_NONE &&
                     spec_index_list_has(&group->zones, load->spec->providers[h->provider].zone));
        if (here && h->group == section->index) {
            (*ret_reserved)++;
        } else if (here && h->group == SPEC_NONE) {
            (*ret_free)++;
        }
    }
}

/* Tells of the first group for which the hosts that are for any group no longer suffice. */
static void check_enough(struct load *load)
{
    struct load_section *section;
    size_t i = 0;
    size_t wanted = 0;
    size_t *reach = xcalloc(load->spec->host_count, sizeof(*reach));
    while ((section = load_next(load, SECTION_GROUP, &i)) != NULL) {
        const struct spec_group *group = section->object;
        size_t reserved;
        size_t any;
        if (!load_good(section, "zones") || !load_good(section, "max") ||
            !load_good(section, "desired") || !load_good(section, "min") ||
            !is_static(load, group)) {
            continue;
        }
        count_hosts(load, section, &reserved, &any);
        if (group->max > reserved + any) {
            load_problem(load, section, "max",
                         "%u, but only %zu [host]s in its zones are for this group", group->max,
                         reserved + any);
            continue;
        }
        wanted += group->max > reserved ? group->max - reserved : 0;
        for (size_t h = 0; h < load->spec->host_count; h++) {
            const struct spec_host *host = &load->spec->hosts[h];
            if (host->group == SPEC_NONE && host->provider != SPEC_NONE &&
                spec_index_list_has(&group->zones, load->spec->providers[host->provider].zone)) {
                reach[h] = 1;
            }
        }
        size_t shared = 0;
        for (size_t h = 0; h < load->spec->host_count; h++) {
            shared += reach[h];
        }
        if (wanted > shared) {
            load_problem(
                load, section, "max",
                "%u, but the groups before it need the same [host]s: %zu wanted, %zu there",
                group->max, wanted, shared);
            break;
        }
    }
    free(reach);
}

void load_check_hosts(struct load *load)
{
    struct load_section *section;
    size_t i = 0;
    while ((section = load_next(load, SECTION_HOST, &i)) != NULL) {
        check_provider(load, section);
        check_address(load, section);
        check_jumps(load, section);
    }
    if (load_is_whole(load)) {
        check_enough(load);
    }
}
