#include "core/damping.h"

#define FIRST_HOLD_MS 60000
#define LAST_HOLD_MS  3600000
#define QUIET_MS      3600000
#define RESULTS_MASK  ((1U << DAMPING_RESULTS) - 1)

static unsigned count_bits(uint32_t bits)
{
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count;
}

void damping_on_transition(struct damping *d, int64_t now_ms, int64_t period_ms)
{
    int64_t results = d->last_ms == 0 || period_ms <= 0 ? 1 : (now_ms - d->last_ms) / period_ms;
    results = results < 1 ? 1 : results;
    d->transitions = results >= DAMPING_RESULTS ? 0 : d->transitions << results;
    d->transitions = (d->transitions | 1U) & RESULTS_MASK;
    d->last_ms = now_ms;
    if (now_ms < d->until_ms || count_bits(d->transitions) * 2 <= DAMPING_RESULTS) {
        return;
    }
    bool forgotten = d->hold_ms != 0 && now_ms - d->until_ms > QUIET_MS;
    d->hold_ms = d->hold_ms == 0 || forgotten    ? FIRST_HOLD_MS
                 : d->hold_ms * 2 > LAST_HOLD_MS ? LAST_HOLD_MS
                                                 : d->hold_ms * 2;
    d->until_ms = now_ms + d->hold_ms;
}

bool damping_held(const struct damping *d, int64_t now_ms)
{
    return now_ms < d->until_ms;
}
