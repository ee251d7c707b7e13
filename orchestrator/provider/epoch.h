/*
 * Who may change an instance (S18): the leader's epoch, kept beside its mark in the file `epoch`.
 * It only rises. A controller that was replaced, or whose store went back in time, has a lower one
 * and is refused here, where the effect would take place.
 */
#ifndef PROVIDER_EPOCH_H
#define PROVIDER_EPOCH_H

#include <stdint.h>

struct err;
struct instance_dir;

/*
 * Faults when DIR has seen a higher epoch than OURS; else writes ours down when it is higher. The
 * caller holds the instance's lock.
 */
int epoch_take(const struct instance_dir *dir, int64_t ours, struct err *e);

#endif
