/* Members: the store's records beside the core's view of them. */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void member_clear_items(struct member *m)
{
    for (size_t i = 0; i < m->item_count; i++) {
        free(m->items[i].role);
        free(m->items[i].type);
        free(m->items[i].name);
        free(m->items[i].text);
    }
    m->item_count = 0;
}

static void member_deinit(struct member *m)
{
    member_clear_items(m);
    free(m->items);
    free(m->probe_text);
    free(m->frontend_text);
    free(m->image);
    record_instance_deinit(&m->record);
}

void members_free(struct controller *c)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        member_deinit(&c->members[i]);
    }
    free(c->members);
    free(c->world.instances);
    free(c->world.balancers);
    free(c->world.targets);
    free(c->world.room);
    free(c->answered);
    free(c->told);
    machines_free(c);
    refresh_free(c);
    templates_free(c);
    free(c->world.groups);
    free(c->world.zones);
    free(c->decision.actions);
    free(c->decision.holds);
    free(c->decision.memory);
}

/* Room for INSTANCES in every array, so that neither the core nor we grow one in a step. */
void members_reserve(struct controller *c, size_t instances)
{
    if (instances <= c->world.instance_capacity) {
        return;
    }
    size_t balancers = instances * (c->spec->frontend_count == 0 ? 1 : c->spec->frontend_count);
    size_t in_front = 0;
    for (size_t f = 0; f < c->spec->frontend_count; f++) {
        in_front += c->spec->groups[c->spec->frontends[f].group].max + 8;
    }
    size_t targets = instances * (in_front == 0 ? 1 : in_front);
    c->members = xrealloc(c->members, instances, sizeof(*c->members));
    struct world *w = &c->world;
    w->instances = xrealloc(w->instances, instances, sizeof(*w->instances));
    w->balancers = xrealloc(w->balancers, balancers, sizeof(*w->balancers));
    w->targets = xrealloc(w->targets, targets, sizeof(*w->targets));
    w->instance_capacity = instances;
    w->balancer_capacity = balancers;
    w->target_capacity = targets;
    struct decision *d = &c->decision;
    d->action_capacity = instances + 64;
    d->hold_capacity = decision_hold_capacity(c->spec, w);
    d->actions = xrealloc(d->actions, d->action_capacity, sizeof(*d->actions));
    d->holds = xrealloc(d->holds, d->hold_capacity, sizeof(*d->holds));
    d->memory_size = survey_size(c->spec, w);
    d->memory = xrealloc(d->memory, d->memory_size, 1);
}

size_t member_provider(const struct controller *c, size_t index)
{
    return spec_find_provider(c->spec, c->members[index].record.provider == NULL
                                           ? ""
                                           : c->members[index].record.provider);
}

bool member_is_static(const struct controller *c, size_t index)
{
    size_t provider = member_provider(c, index);
    return provider != SPEC_NONE && c->spec->providers[provider].type == SPEC_PROVIDER_STATIC;
}

/* A host of the file is what the file says now: address, key and login may have been mended. */
static void refresh_static(const struct controller *c, struct record_instance *record)
{
    size_t host = record->machine == NULL ? SPEC_NONE : spec_find_host(c->spec, record->machine);
    if (host == SPEC_NONE) {
        return;
    }
    const struct spec_host *h = &c->spec->hosts[host];
    free(record->address);
    free(record->host_key);
    free(record->user);
    record->address = xstrdup(h->address);
    record->host_key = xstrdup(h->host_key);
    record->user = xcopy(h->user);
    record->port = h->port;
}

static unsigned number_of(const char *id)
{
    const char *dash = strrchr(id, '-');
    int64_t number = 0;
    if (dash == NULL || !text_to_int(dash + 1, 0, 1000000000, &number)) {
        return 0;
    }
    return (unsigned)number;
}

/*
 * The core's times are monotonic, the records' are wall clock. 0 is "never" for both, so a time
 * that falls on it is moved by a millisecond.
 */
static int64_t from_wall(const struct controller *c, int64_t wall_ms, int64_t never_ms)
{
    if (wall_ms == 0) {
        return never_ms;
    }
    int64_t ms = wall_ms - c->wall_offset_ms; /* Which came first is kept, to the millisecond. */
    return ms == 0 ? 1 : ms;
}

static int64_t to_wall(const struct controller *c, int64_t ms)
{
    return ms == 0 ? 0 : clock_wall_ms() - (c->world.now_ms - ms);
}

static void world_from_record(struct controller *c, size_t index)
{
    const struct record_instance *r = &c->members[index].record;
    struct world_instance *it = &c->world.instances[index];
    /* A store of before these times were kept: it came into service when it was configured. */
    int64_t came_ms = r->in_service_ms == 0 && r->lifecycle == LIFECYCLE_IN_SERVICE
                          ? r->configured_ms
                          : r->in_service_ms;
    *it = (struct world_instance){.group = spec_find_group(c->spec, r->group),
                                  .zone = spec_find_zone(c->spec, r->zone),
                                  .number = number_of(r->id),
                                  .lifecycle = r->lifecycle,
                                  .wish = (enum world_wish)r->wish,
                                  .protect = r->protect,
                                  .paused = r->paused,
                                  .greeted = r->facts != NULL && !r->ungreeted,
                                  .configured = r->configured_ms != 0,
                                  .made_ms = from_wall(c, r->created_ms, c->world.now_ms),
                                  .ready_ms = from_wall(c, r->ready_ms, c->world.now_ms),
                                  .in_service_ms = from_wall(c, came_ms, 0),
                                  .rung = (enum world_rung)r->rung,
                                  .rung_ms = from_wall(c, r->rung_ms, 0),
                                  .hook_ms = from_wall(c, r->hook_ms, 0),
                                  .content = refresh_content_of(r),
                                  .capture = (enum world_capture)r->capture,
                                  .change_failed = r->change_failed,
                                  .power_ms = c->world.now_ms,
                                  .verdict_ms = c->world.now_ms};
    if (r->ready_ms == 0 && it->in_service_ms != 0) {
        it->ready_ms = it->in_service_ms;
    }
    text_copy(it->id, sizeof(it->id), r->id);
    it->rebuilds = machines_rebuilds(c, r->machine);
    it->power_witnessed = !member_is_static(c, index);
    if (!it->power_witnessed) {
        it->power = WORLD_POWER_RUNNING;
    }
}

void member_to_record(struct controller *c, size_t index)
{
    const struct world_instance *it = &c->world.instances[index];
    struct record_instance *r = &c->members[index].record;
    r->lifecycle = it->lifecycle;
    r->wish = (int)it->wish;
    r->protect = it->protect;
    r->paused = it->paused;
    r->rung = (int)it->rung;
    r->rung_ms = to_wall(c, it->rung_ms);
    r->ready_ms = to_wall(c, it->ready_ms);
    r->in_service_ms = to_wall(c, it->in_service_ms);
    r->hook_ms = to_wall(c, it->hook_ms);
    r->capture = (int)it->capture;
    r->ungreeted = r->facts != NULL && !it->greeted;
    r->change_failed = it->change_failed;
}

int members_load(struct controller *c, struct err *e)
{
    struct record_instance *records = NULL;
    size_t count = 0;
    if (c->store->ops != NULL && record_instance_list(c->store, &records, &count, e) != 0) {
        return -1;
    }
    c->world.groups = xcalloc(c->spec->group_count + 1, sizeof(*c->world.groups));
    c->world.zones = xcalloc(c->spec->zone_count + 1, sizeof(*c->world.zones));
    c->notes = xcalloc(c->spec->group_count + 1, sizeof(*c->notes));
    if (templates_load(c, records, count, e) != 0 || groups_load(c, e) != 0 ||
        machines_load(c, e) != 0) {
        record_instance_list_free(records, count);
        return -1;
    }
    c->answered = xcalloc(c->spec->provider_count + 1, sizeof(*c->answered));
    size_t wanted = count + 16;
    for (size_t g = 0; g < c->spec->group_count; g++) {
        wanted += (size_t)c->spec->groups[g].max + c->spec->groups[g].desired;
    }
    members_reserve(c, wanted);
    for (size_t i = 0; i < count; i++) {
        c->members[i] = (struct member){.record = records[i]};
        refresh_static(c, &c->members[i].record);
        templates_adopt(c, &c->members[i].record);
        c->world.instance_count++;
        world_from_record(c, i);
        struct world_instance *it = &c->world.instances[i];
        if (it->group != WORLD_NONE && it->number >= c->world.groups[it->group].next_number) {
            c->world.groups[it->group].next_number = it->number + 1;
        }
    }
    free(records); /* The records themselves were taken over. */
    c->world.room =
        xcalloc(c->spec->group_count * (c->spec->zone_count + 1), sizeof(*c->world.room));
    world_complete(c->spec, &c->world);
    return 0;
}

static bool address_taken(const struct controller *c, const char *address)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED &&
            text_equal(c->members[i].record.address, address)) {
            return true;
        }
    }
    return false;
}

static bool machine_taken(const struct controller *c, const char *machine)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED &&
            text_equal(c->members[i].record.machine, machine)) {
            return true;
        }
    }
    return false;
}

/* The first free host of ZONE for GROUP, those reserved for it first; SPEC_NONE for none. */
static size_t free_host(const struct controller *c, size_t group, size_t zone, size_t *ret_count)
{
    size_t best = SPEC_NONE;
    *ret_count = 0;
    for (size_t h = 0; h < c->spec->host_count; h++) {
        const struct spec_host *host = &c->spec->hosts[h];
        /* A host without a provider is a bastion. */
        bool fits = !machines_quarantined(c, host->name) && host->provider != SPEC_NONE &&
                    c->spec->providers[host->provider].zone == zone &&
                    (host->group == group || host->group == SPEC_NONE) &&
                    !machine_taken(c, host->name);
        if (!fits) {
            continue;
        }
        (*ret_count)++;
        /* Those reserved for the group first, and of those the ones that were made anew least. */
        bool reserved = host->group == group;
        bool best_reserved = best != SPEC_NONE && c->spec->hosts[best].group == group;
        bool better =
            best == SPEC_NONE || (reserved && !best_reserved) ||
            (reserved == best_reserved &&
             machines_rebuilds(c, host->name) < machines_rebuilds(c, c->spec->hosts[best].name));
        best = better ? h : best;
    }
    return best;
}

static size_t libvirt_provider(const struct controller *c, size_t zone)
{
    for (size_t p = 0; p < c->spec->provider_count; p++) {
        if (c->spec->providers[p].zone == zone &&
            c->spec->providers[p].type == SPEC_PROVIDER_LIBVIRT) {
            return p;
        }
    }
    return SPEC_NONE;
}

/* The lowest free address of ZONE; 0 for none. */
static uint32_t free_address(const struct controller *c, size_t zone, size_t *ret_count)
{
    const struct spec_zone *z = &c->spec->zones[zone];
    uint32_t first = 0;
    *ret_count = 0;
    if (z->address_first == 0) {
        return 0;
    }
    for (uint32_t a = z->address_first; a <= z->address_last && a != 0; a++) {
        char text[16];
        spec_address_to_string(a, text, sizeof(text));
        if (!address_taken(c, text)) {
            first = first == 0 ? a : first;
            (*ret_count)++;
        }
    }
    return first;
}

void members_count_room(struct controller *c)
{
    for (size_t g = 0; g < c->spec->group_count; g++) {
        for (size_t z = 0; z < c->spec->zone_count; z++) {
            size_t hosts = 0;
            size_t addresses = 0;
            free_host(c, g, z, &hosts);
            /* S21: who has not answered may have hosts that the records do not know. */
            size_t provider = libvirt_provider(c, z);
            if (provider != SPEC_NONE && (c->answered[provider] || c->journal == NULL)) {
                free_address(c, z, &addresses);
            }
            c->world.room[g * c->spec->zone_count + z] = hosts + addresses;
        }
    }
}

static int place(const struct controller *c, const struct action *action,
                 struct record_instance *record, struct err *e)
{
    size_t count;
    size_t host = free_host(c, action->group, action->zone, &count);
    if (host != SPEC_NONE) {
        record->machine = xstrdup(c->spec->hosts[host].name);
        record->provider = xstrdup(c->spec->providers[c->spec->hosts[host].provider].name);
        refresh_static(c, record);
        return 0;
    }
    size_t provider = libvirt_provider(c, action->zone);
    uint32_t address = provider == SPEC_NONE ? 0 : free_address(c, action->zone, &count);
    if (address == 0) {
        return err_set(e, "zone %s has no room left", c->spec->zones[action->zone].name);
    }
    char text[16];
    spec_address_to_string(address, text, sizeof(text));
    record->provider = xstrdup(c->spec->providers[provider].name);
    record->address = xstrdup(text);
    record->port = 22;
    return 0;
}

/* In ZONE; false when no provider makes instances there, or has not told what it has (S21). */
static bool place_in(const struct controller *c, size_t zone, struct record_instance *record)
{
    size_t count;
    char text[16];
    size_t provider = libvirt_provider(c, zone);
    if (provider == SPEC_NONE || !c->answered[provider]) {
        return false;
    }
    uint32_t address = free_address(c, zone, &count);
    if (address == 0) {
        return false;
    }
    spec_address_to_string(address, text, sizeof(text));
    record->zone = xstrdup(c->spec->zones[zone].name);
    record->provider = xstrdup(c->spec->providers[provider].name);
    record->address = xstrdup(text);
    record->port = 22;
    return true;
}

int member_place_made(const struct controller *c, size_t group, struct record_instance *record,
                      struct err *e)
{
    const struct spec_index_list *zones = &c->spec->groups[group].zones;
    for (size_t i = 0; i < zones->count; i++) {
        if (place_in(c, zones->items[i], record)) {
            return 0;
        }
    }
    for (size_t z = 0; z < c->spec->zone_count; z++) {
        if (place_in(c, z, record)) {
            return 0;
        }
    }
    return err_set(e, "no zone has a provider that makes instances, answers, and has an address "
                      "left: widen `addresses` of a zone, or see that its hypervisor is up");
}

/* Makes room for one more. */
static void grow_members(struct controller *c)
{
    members_reserve(c, c->world.instance_count + 1 > c->world.instance_capacity
                           ? c->world.instance_capacity * 2
                           : c->world.instance_capacity);
}

size_t member_take(struct controller *c, const struct record_instance *record)
{
    grow_members(c);
    size_t index = c->world.instance_count++;
    c->members[index] = (struct member){.record = *record};
    world_from_record(c, index);
    struct world_instance *it = &c->world.instances[index];
    if (it->group != WORLD_NONE && it->number >= c->world.groups[it->group].next_number) {
        c->world.groups[it->group].next_number = it->number + 1;
    }
    return index;
}

/* Balancers and targets of what is gone go too. MOVED: where each instance is now. */
static void compact_views(struct controller *c, const size_t *moved)
{
    struct world *w = &c->world;
    size_t *balancer_moved = xcalloc(w->balancer_count, sizeof(*balancer_moved));
    size_t kept = 0;
    for (size_t b = 0; b < w->balancer_count; b++) {
        size_t instance = moved[w->balancers[b].instance];
        balancer_moved[b] = instance == WORLD_NONE ? WORLD_NONE : kept;
        if (instance != WORLD_NONE) {
            w->balancers[kept] = w->balancers[b];
            w->balancers[kept++].instance = instance;
        }
    }
    w->balancer_count = kept;
    kept = 0;
    for (size_t t = 0; t < w->target_count; t++) {
        size_t member = moved[w->targets[t].member];
        size_t balancer = balancer_moved[w->targets[t].balancer];
        if (member != WORLD_NONE && balancer != WORLD_NONE) {
            w->targets[kept] = w->targets[t];
            w->targets[kept].member = member;
            w->targets[kept].balancer = balancer;
            canary_watch_moved(c, t, kept);
            kept++;
        }
    }
    w->target_count = kept;
    canary_watch_kept(c, kept);
    free(balancer_moved);
}

void members_compact(struct controller *c)
{
    struct world *w = &c->world;
    size_t *moved = xcalloc(w->instance_count, sizeof(*moved));
    size_t kept = 0;
    for (size_t i = 0; i < w->instance_count; i++) {
        bool gone = w->instances[i].lifecycle == LIFECYCLE_TERMINATED &&
                    !c->members[i].probed[CHECK_READINESS] && !c->members[i].probed[CHECK_LIVENESS];
        moved[i] = gone ? WORLD_NONE : kept;
        if (gone) {
            member_deinit(&c->members[i]);
        } else {
            w->instances[kept] = w->instances[i];
            c->members[kept++] = c->members[i];
        }
    }
    w->instance_count = kept;
    compact_views(c, moved);
    free(moved);
    /* What was counted and said was of the old places. */
    c->decision.action_count = 0;
    c->decision.hold_count = 0;
    c->decision.survey = (struct survey){.spec = c->spec};
}

bool member_was_here(const struct controller *c, const char *id)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (text_equal(c->world.instances[i].id, id)) {
            return true;
        }
    }
    return false;
}

void member_note_version(const struct controller *c, const struct template_version *version,
                         struct record_instance *record)
{
    record->version = version == NULL ? 0 : version->record.number;
    record->launch = template_version_launch(c->versions, version);
}

/* What it is to be made from, until the provider tells what it was made from: a controller that is
   ended in between must not take it for another. */
static void pin(const struct controller *c, const struct action *action,
                struct record_instance *record)
{
    const struct refresh_origin origin = refresh_origin_of(c, action->group, action->content);
    const struct spec_group *g = &c->spec->groups[action->group];
    member_note_version(c, origin.template, record);
    record->template = xstrdup(origin.template == NULL ? c->spec->templates[g->template].name
                                                       : origin.template->record.name);
    if (origin.image != NULL) {
        record->image = xstrdup(origin.image);
        record->content =
            xasprintf("%016" PRIx64, template_version_content(action->content, record->launch));
    }
}

size_t member_add(struct controller *c, const struct action *action, struct err *e)
{
    const struct spec_group *g = &c->spec->groups[action->group];
    char id[WORLD_ID_SIZE];
    snprintf(id, sizeof(id), "%.63s-%u", g->name, action->number);
    struct record_instance record = {.id = xstrdup(id),
                                     .group = xstrdup(g->name),
                                     .zone = xstrdup(c->spec->zones[action->zone].name),
                                     .lifecycle = LIFECYCLE_PENDING,
                                     .created_ms = clock_wall_ms()};
    pin(c, action, &record);
    if (place(c, action, &record, e) != 0) {
        record_instance_deinit(&record);
        return WORLD_NONE;
    }
    grow_members(c);
    size_t index = c->world.instance_count;
    c->members[index] = (struct member){.record = record};
    world_end(c->spec, &c->world, action, OUTCOME_DONE);
    struct world_instance *it = &c->world.instances[index];
    it->power_witnessed = !member_is_static(c, index);
    if (!it->power_witnessed) {
        it->power = WORLD_POWER_RUNNING;
    }
    if (c->journal != NULL && !c->looking_only && c->members[index].record.machine != NULL) {
        machines_note_placed(c, c->members[index].record.machine);
    }
    it->rebuilds = machines_rebuilds(c, c->members[index].record.machine);
    member_to_record(c, index);
    c->context_version++;
    return index;
}
