/* Where a new instance goes, and which one leaves: zones are kept even. */
#ifndef CORE_PLACEMENT_H
#define CORE_PLACEMENT_H

#include "core/world.h"

struct spec;

/*
 * The zone for one more instance of GROUP: the one with fewest members and room (PLACED[zone] more
 * were placed in this step already); on a tie the first in the file. WORLD_NONE: no room anywhere.
 */
size_t placement_zone(const struct spec *spec, const struct world *world, size_t group,
                      const size_t *placed);
/* The lowest free number of GROUP above AFTER. */
unsigned placement_number(const struct world *world, size_t group, unsigned after);
/*
 * Which member leaves when there is one too many: of the zone with most members, first one that
 * does not serve, then the highest number. WORLD_NONE when there is none.
 */
size_t placement_victim(const struct spec *spec, const struct world *world, size_t group);

#endif
