/* Where a new instance goes, and which one leaves: zones are kept even. */
#ifndef CORE_PLACEMENT_H
#define CORE_PLACEMENT_H

#include "core/survey.h"

/*
 * The zone for one more instance of GROUP: the one with fewest standing members and room
 * (PLACED[zone] more were placed in this step already), no lost one (S6); on a tie the first in the
 * file. WORLD_NONE: no room anywhere.
 */
size_t placement_zone(const struct survey *s, size_t group, const size_t *placed);
/* The zone of GROUP, lost ones aside, with most standing members. */
size_t placement_fullest(const struct survey *s, size_t group);
/*
 * Which standing member leaves when there is one too many: first one that is bad or has failed,
 * then of the zone with most, then by the group's termination policy, then the highest number;
 * never a protected one. WORLD_NONE when there is none.
 */
size_t placement_victim(const struct survey *s, size_t group);
/* By that order: A, of the same group as B, leaves before B. */
bool placement_leaves_before(const struct survey *s, size_t a, size_t b);

#endif
