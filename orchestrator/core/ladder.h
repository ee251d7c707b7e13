/*
 * The repair ladder (S8): restart the services, reboot, power-cycle, replace, quarantine; each rung
 * once, each with its time to show an effect, and only those that can be climbed: an unreachable
 * host is not rebooted over SSH, one that no provider can switch is not power-cycled, and nothing
 * is replaced that was not made (S10). After metal3 and medik8s, whose rungs these are.
 */
#ifndef CORE_LADDER_H
#define CORE_LADDER_H

#include "core/world.h"

struct spec;

/* A verdict leads to something when it has stood for so long: longer than the slowest usual check
   takes to notice what is wrong elsewhere too (S12). */
#define LADDER_CONFIRM_MS 10000
/* A rung that was taken longer ago than this before the trouble began is forgotten. */
#define LADDER_FORGET_MS 600000
/* S9: rebuilds of one machine in 24 h before it is quarantined, and replacements in a row that did
   not come into service before a group stops. */
#define LADDER_REBUILDS_MAX 3
#define LADDER_LAUNCHES_MAX 3
/* A step that failed so often in a row was tried enough. */
#define LADDER_TRIES_MAX 3

/* How long a rung is given to show its effect. */
int64_t ladder_patience_ms(enum world_rung rung);
/* The grace of IT: its group's, or, after a rung, that rung's time when it is shorter. */
int64_t ladder_grace_ms(const struct spec *spec, const struct world_instance *it);
/* The rung that was taken for the trouble at hand; NONE when it was for an earlier one. */
enum world_rung ladder_position(const struct world_instance *it);
/*
 * The next rung for IT, whose verdict is UNREADY or LOST: the lowest above its position that can be
 * climbed; NONE when there is none, and a human must look.
 */
enum world_rung ladder_next(const struct spec *spec, const struct world_instance *it);

#endif
