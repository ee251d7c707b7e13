/*
 * What the world looks like after an action that ends well. `plan` is decide() driven over expected
 * worlds until nothing is left to do, so what it says is what `apply` does, by construction.
 */
#ifndef CORE_EXPECT_H
#define CORE_EXPECT_H

#include "core/decide.h"

/* Changes WORLD as ACTION would. ADD needs room in world->instances, balancers and targets. */
void expect(const struct spec *spec, struct world *world, const struct action *action);

/* "web-1" of group NAME and NUMBER. */
void instance_id(char ret_id[WORLD_ID_SIZE], const char *group, unsigned number);

#endif
