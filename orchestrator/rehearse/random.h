/*
 * Random numbers that are the same on every machine: xoshiro256** seeded by splitmix64 (Blackman
 * and Vigna, public domain). Not for secrets.
 */
#ifndef REHEARSE_RANDOM_H
#define REHEARSE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_init(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
/* FIRST to LAST, both may come. */
int64_t random_between(struct random *r, int64_t first, int64_t last);
/* True PER_MILLE times of a thousand. */
bool random_chance(struct random *r, unsigned per_mille);

#endif
