/* What an action really does to the world, at the moment when it takes effect. */
#ifndef REHEARSE_EFFECT_H
#define REHEARSE_EFFECT_H

#include "rehearse/engine.h"

/*
 * Does it, and writes into JOB how that ended and what was found. False when it cannot be done yet:
 * the host still boots; *ret_again_ms says when to come back.
 */
bool effect_take(struct engine *e, struct engine_job *job, int64_t *ret_again_ms);

/* A host begins to boot; what it was doing is over. */
void effect_boot(struct engine *e, size_t host);
void effect_on_boot(struct engine *e, size_t host, uint64_t turn);
void effect_switch_off(struct engine *e, size_t host);
/* HAProxy on HOST was loaded anew: it has what its file has. */
void effect_reload(struct engine *e, size_t host);

#endif
