/*
 * The controller of a rehearsal: it does around the core what orchestrator/controller does, without
 * processes. What it holds is lost when it is killed; its store is not.
 */
#ifndef REHEARSE_CONTROLLER_H
#define REHEARSE_CONTROLLER_H

#include "rehearse/engine.h"

void controller_init(struct engine *e);
void controller_deinit(struct engine *e);
/* From what the store has; everything else is unknown. */
void controller_start(struct engine *e);
/* Decides, and begins what was decided, when there is something new or it is time. */
void controller_step(struct engine *e);
/* A job has ended and is heard of. */
void controller_end_job(struct engine *e, struct engine_job *job, enum outcome outcome);

/* What witnesses say. */
void controller_hear_ready(struct engine *e, const char *id, enum world_health health);
void controller_hear_alive(struct engine *e, const char *id, enum world_health health);
void controller_hear_list(struct engine *e, size_t zone);
void controller_lose_prober(struct engine *e);
/* The cluster file was read again. */
void controller_reload(struct engine *e, size_t group, bool roles);

/* store.c: what it knows is written. True when it was killed before or after. */
bool controller_commit(struct engine *e);
void store_copy(struct engine_store *to, const struct engine_store *from, size_t groups);
void store_deinit(struct engine_store *store);
/* The world's recorded members from the store; all else unknown. */
void store_load(struct engine *e);

/* job.c. */
void job_begin(struct engine *e, const struct action *action);
void job_on_effect(struct engine *e, size_t index, uint64_t turn);
void job_on_end(struct engine *e, size_t index, uint64_t turn);
/* The controller died: nobody waits for them any more; some do what they should all the same. */
void jobs_abandon(struct engine *e);
size_t jobs_heard(const struct engine *e);

/* member.c. */
#define MEMBERS_LISTEN_MS 30000 /* For providers, after a start. */
void members_reserve(struct engine *e, size_t instances);
void members_count_room(struct engine *e);
/* The driver's part of an ADD: where the new instance lives. */
void member_place(struct engine *e, size_t index);
/* Gone for good: its machine is free, and, when it was bad, was rebuilt once more (S9). */
void member_leave(struct engine *e, size_t index);
/* Ended instances leave the world's arrays. */
void members_compact(struct engine *e);
unsigned machine_rebuilds(const struct engine *e, const char *machine);
/* Which hosts the prober follows. */
void members_follow(struct engine *e);

/* ask.c: what an operator asked for is read from the store and done to the records. */
void requests_take(struct engine *e);

#endif
