/*
 * Planted bugs: each guard of core/guard.h is taken away in turn, and schedules are run until one
 * that holds with the guard breaks a rule without it. Only in a build with LAMPLIGHTER_MUTANTS.
 */
#ifndef SIM_MUTANTS_H
#define SIM_MUTANTS_H

#include <stdint.h>

/* True when every guard is missed. Prints a table. */
int mutants_run(uint64_t seed, uint64_t schedules, unsigned jobs);

#endif
