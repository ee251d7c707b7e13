/*
 * Flap damping (S13): a state that changes too often is held, not followed. After Naemon's flap
 * detection (https://www.naemon.io/documentation/usersguide/flapping.html), whose last 21 results
 * these are; the hold doubles up to an hour, as in route flap damping (RFC 2439).
 */
#ifndef CORE_DAMPING_H
#define CORE_DAMPING_H

#include <stdbool.h>
#include <stdint.h>

#define DAMPING_RESULTS 21

/* All zeros is a good start. */
struct damping {
    uint32_t transitions; /* One bit a result, newest lowest: did it differ from the one before? */
    int64_t last_ms;      /* When the newest of them was shifted in; 0: none yet. */
    int64_t hold_ms;      /* How long the next hold is; 0: none was needed yet. */
    int64_t until_ms;     /* Held until then; 0: not held. */
};

/*
 * A result came that differs from the one before. Results in between, one every PERIOD_MS, were no
 * transitions.
 */
void damping_on_transition(struct damping *d, int64_t now_ms, int64_t period_ms);
/* True while the state is to be held. Forgets the doubled hold after a quiet hour. */
bool damping_held(const struct damping *d, int64_t now_ms);

#endif
