/*
 * What the controller gets to see of the truth: its prober, the HAProxys' own checks, the
 * providers' lists. Each has its own delay and may be silent or wrong. Nothing is polled: when the
 * truth has changed it is computed when each witness will have noticed.
 */
#ifndef REHEARSE_WITNESS_H
#define REHEARSE_WITNESS_H

#include "rehearse/engine.h"

/* The truth has changed: each witness will notice, in its time. */
void witness_refresh(struct engine *e);
/* Before the truth changes: what was told last is good until now. */
void witness_stamp(struct engine *e);
/* What lies within the longest time any witness needs to tell of a host of GROUP. */
int64_t witness_slowest_ms(const struct engine *e, size_t group);

/* The events of this file. */
void witness_on_ready(struct engine *e, size_t host, uint64_t turn);
void witness_on_alive(struct engine *e, size_t host, uint64_t turn);
void witness_on_server(struct engine *e, uint64_t turn);
void witness_on_sample(struct engine *e, size_t zone);
void witness_on_list(struct engine *e, size_t zone);
void witness_on_look(struct engine *e, size_t host);

/* A new prober knows nothing. */
void witness_forget_probes(struct engine *e);
/* A new controller knows nothing. */
void witness_forget_all(struct engine *e);
/* Balancers are looked at again that have targets of which nothing is known. */
void witness_expect(struct engine *e);
/* What HAProxy on BALANCER (in the world) has of its targets is now known. */
void witness_look(struct engine *e, size_t balancer);

#endif
