#include "core/placement.h"

#include "spec/spec.h"

static bool stays(const struct world_instance *it, size_t group)
{
    return it->group == group && it->lifecycle != LIFECYCLE_TERMINATING &&
           it->lifecycle != LIFECYCLE_TERMINATING_WAIT && it->lifecycle != LIFECYCLE_TERMINATED;
}

static size_t zone_members(const struct world *world, size_t group, size_t zone)
{
    size_t count = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        if (stays(&world->instances[i], group) && world->instances[i].zone == zone) {
            count++;
        }
    }
    return count;
}

size_t placement_zone(const struct spec *spec, const struct world *world, size_t group,
                      const size_t *placed)
{
    const struct spec_index_list *zones = &spec->groups[group].zones;
    size_t best = WORLD_NONE;
    size_t least = 0;
    for (size_t i = 0; i < zones->count; i++) {
        size_t zone = zones->items[i];
        if (world->room[group * spec->zone_count + zone] <= placed[zone]) {
            continue;
        }
        size_t members = zone_members(world, group, zone) + placed[zone];
        if (best == WORLD_NONE || members < least) {
            best = zone;
            least = members;
        }
    }
    return best;
}

static bool number_taken(const struct world *world, size_t group, unsigned number)
{
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        if (it->group == group && it->number == number && it->lifecycle != LIFECYCLE_TERMINATED) {
            return true;
        }
    }
    return false;
}

unsigned placement_number(const struct world *world, size_t group, unsigned after)
{
    unsigned number = after + 1;
    while (number_taken(world, group, number)) {
        number++;
    }
    return number;
}

size_t placement_victim(const struct spec *spec, const struct world *world, size_t group)
{
    size_t best = WORLD_NONE;
    size_t best_members = 0;
    bool best_serves = true;
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        if (!stays(it, group)) {
            continue;
        }
        size_t members = zone_members(world, group, it->zone);
        bool serves = world_serving(spec, world, i);
        bool better = best == WORLD_NONE || members > best_members ||
                      (members == best_members &&
                       ((best_serves && !serves) ||
                        (best_serves == serves && it->number > world->instances[best].number)));
        if (better) {
            best = i;
            best_members = members;
            best_serves = serves;
        }
    }
    return best;
}
