#include "rehearse/random.h"

#include <assert.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

void random_init(struct random *r, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        r->state[i] = splitmix(&seed);
    }
}

uint64_t random_next(struct random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

int64_t random_between(struct random *r, int64_t first, int64_t last)
{
    assert(first <= last);
    uint64_t span = (uint64_t)(last - first) + 1;
    return first + (int64_t)(random_next(r) % span);
}

bool random_chance(struct random *r, unsigned per_mille)
{
    return random_next(r) % 1000 < per_mille;
}
