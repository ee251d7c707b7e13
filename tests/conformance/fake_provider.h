/*
 * A provider in memory: what the simulator makes its instances with, held to the same suite as the
 * real ones. A world is one hypervisor, found by its URI, "fake:NAME"; what happens in it is
 * decided by whoever drives it, nothing by chance.
 */
#ifndef CONFORMANCE_FAKE_PROVIDER_H
#define CONFORMANCE_FAKE_PROVIDER_H

#include "provider/provider.h"

#include <stdbool.h>
#include <stddef.h>

/* Contexts of the same world see the same instances. */
extern const struct provider_ops provider_fake;

struct fake_world; /* Opaque. */

/* A world whose URI is "fake:NAME"; it has the image "debian-12". */
struct fake_world *fake_world_new(const char *name);
void fake_world_free(struct fake_world *world); /* Its contexts must be closed. NULL is fine. */

/* The instance stops by itself; nothing happens when it does not run. */
void fake_world_power_off(struct fake_world *world, const char *id);
/* The whole host does, and loses its mounts. */
void fake_world_restart(struct fake_world *world);

/* Something of that name that is not ours. */
void fake_world_plant(struct fake_world *world, const char *id, bool there);
bool fake_world_is_planted(const struct fake_world *world, const char *id);

/*
 * The next call that changes the world faults after STEPS changes, as if its process had died
 * there; -1: none does (the start). True from fake_world_was_cut() when one has, once.
 */
void fake_world_cut(struct fake_world *world, int steps);
bool fake_world_was_cut(struct fake_world *world);
/* Every call faults with this text (borrowed) until it is NULL again: the host is out of reach. */
void fake_world_fail(struct fake_world *world, const char *text);

/* Is there anything of ID, whole or not? And how many instances run in all? */
bool fake_world_has(const struct fake_world *world, const char *id);
size_t fake_world_running(const struct fake_world *world);

#endif
