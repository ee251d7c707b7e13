/*
 * The controller of a rehearsal: it does around the core what orchestrator/controller does, without
 * processes. What it holds is lost when it is killed; its store is not.
 */
#ifndef REHEARSE_DRIVER_H
#define REHEARSE_DRIVER_H

#include "rehearse/engine.h"

void driver_init(struct engine *e);
void driver_deinit(struct engine *e);
/* From what the store has; everything else is unknown. */
void driver_start(struct engine *e);
/* Decides, and begins what was decided, when there is something new or it is time. */
void driver_step(struct engine *e);
/* A job has ended and is heard of. */
void driver_end_job(struct engine *e, struct engine_job *job, enum outcome outcome);

/* What witnesses say. */
void driver_hear_ready(struct engine *e, const char *id, enum world_health health);
void driver_hear_alive(struct engine *e, const char *id, enum world_health health);
void driver_hear_list(struct engine *e, size_t zone);
void driver_lose_prober(struct engine *e);
/* The cluster file was read again. */
void driver_reload(struct engine *e, size_t group, bool roles);

/* ledger.c: what it knows is written. True when it was killed before or after. */
bool driver_commit(struct engine *e);
void ledger_copy(struct engine_store *to, const struct engine_store *from, size_t groups);
void ledger_deinit(struct engine_store *store);
/* The world's recorded members from the store; all else unknown. */
void ledger_load(struct engine *e);

/* job.c. */
void job_begin(struct engine *e, const struct action *action);
void job_on_effect(struct engine *e, size_t index, uint64_t turn);
void job_on_end(struct engine *e, size_t index, uint64_t turn);
/* The controller died: nobody waits for them any more; some do what they should all the same. */
void jobs_abandon(struct engine *e);
size_t jobs_heard(const struct engine *e);

/* roster.c. */
#define ROSTER_LISTEN_MS 30000 /* For providers, after a start. */
void roster_reserve(struct engine *e, size_t instances);
void roster_count_room(struct engine *e);
/* The driver's part of an ADD: where the new instance lives. */
void roster_place(struct engine *e, size_t index);
/* Gone for good: its machine is free, and, when it was bad, was rebuilt once more (S9). */
void roster_leave(struct engine *e, size_t index);
/* Ended instances leave the world's arrays. */
void roster_compact(struct engine *e);
unsigned roster_rebuilds(const struct engine *e, const char *machine);
/* Which hosts the prober follows. */
void roster_follow(struct engine *e);

/* ask.c: what an operator asked for is read from the store and done to the records. */
void driver_take_requests(struct engine *e);

#endif
