#include "core/placement.h"

#include "core/guard.h"
#include "core/ladder.h"
#include "spec/spec.h"

static bool is_lost(const struct survey *s, size_t zone)
{
    return s->world->zones[zone].lost.on && !GUARDED(GUARD_S6_ZONE, false);
}

size_t placement_zone(const struct survey *s, size_t group, const size_t *placed)
{
    const struct spec_index_list *zones = &s->spec->groups[group].zones;
    size_t best = WORLD_NONE;
    size_t least = 0;
    for (size_t i = 0; i < zones->count; i++) {
        size_t zone = zones->items[i];
        size_t at = group * s->spec->zone_count + zone;
        if (s->world->room[at] <= placed[zone] || is_lost(s, zone)) {
            continue;
        }
        size_t members = s->zone_standing[at] + placed[zone];
        if (best == WORLD_NONE || members < least) {
            best = zone;
            least = members;
        }
    }
    return best;
}

size_t placement_fullest(const struct survey *s, size_t group)
{
    const struct spec_index_list *zones = &s->spec->groups[group].zones;
    const size_t *standing = &s->zone_standing[group * s->spec->zone_count];
    size_t best = WORLD_NONE;
    for (size_t i = 0; i < zones->count; i++) {
        size_t zone = zones->items[i];
        if (!is_lost(s, zone) && (best == WORLD_NONE || standing[zone] > standing[best])) {
            best = zone;
        }
    }
    return best;
}

static bool may_leave(const struct survey *s, size_t instance, size_t group)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool stands = it->group == group && !world_leaving(it->lifecycle) &&
                  it->lifecycle != LIFECYCLE_STANDBY && it->lifecycle != LIFECYCLE_DETACHED &&
                  !world_is_to_go(s->world, instance);
    return stands && !survey_given_up(s, instance) && GUARDED(GUARD_PROTECTED, !it->protect);
}

/* By the policy: positive when A leaves before B. */
static int policy_order(const struct survey *s, const struct world_instance *a,
                        const struct world_instance *b)
{
    switch (s->spec->groups[a->group].termination) {
    case SPEC_TERMINATION_OLDEST_TEMPLATE: {
        uint64_t content = s->world->groups[a->group].content;
        int outdated_a = a->drift == WORLD_DRIFT_PENDING || a->content != content;
        int outdated_b = b->drift == WORLD_DRIFT_PENDING || b->content != content;
        return outdated_a - outdated_b;
    }
    case SPEC_TERMINATION_OLDEST:
        return a->made_ms < b->made_ms ? 1 : a->made_ms > b->made_ms ? -1 : 0;
    case SPEC_TERMINATION_NEWEST:
        return a->made_ms > b->made_ms ? 1 : a->made_ms < b->made_ms ? -1 : 0;
    }
    return 0;
}

/* A new one that fails and fails is no better than one that is bad. */
static bool is_bad(const struct world_instance *it)
{
    bool never_came = it->in_service_ms == 0 && it->failures >= LADDER_TRIES_MAX;
    return world_verdict_is_bad(it->verdict) || it->failure == WORLD_FAILURE_PERMANENT ||
           never_came;
}

bool placement_leaves_before(const struct survey *s, size_t a, size_t b)
{
    const struct world_instance *x = &s->world->instances[a];
    const struct world_instance *y = &s->world->instances[b];
    if (is_bad(x) != is_bad(y)) {
        return is_bad(x);
    }
    const size_t *standing = &s->zone_standing[x->group * s->spec->zone_count];
    size_t members_x = x->zone == WORLD_NONE ? SIZE_MAX : standing[x->zone];
    size_t members_y = y->zone == WORLD_NONE ? SIZE_MAX : standing[y->zone];
    if (members_x != members_y) {
        return members_x > members_y;
    }
    int order = policy_order(s, x, y);
    return order != 0 ? order > 0 : x->number > y->number;
}

size_t placement_victim(const struct survey *s, size_t group)
{
    size_t best = WORLD_NONE;
    for (size_t i = 0; i < s->world->instance_count; i++) {
        if (may_leave(s, i, group) && (best == WORLD_NONE || placement_leaves_before(s, i, best))) {
            best = i;
        }
    }
    return best;
}
