/*
 * What can go wrong in a rehearsal, and what an operator may do in the middle of it. A fault is
 * begun and, after its time, ended by hand; where it strikes is the caller's choice.
 */
#ifndef REHEARSE_FAULT_H
#define REHEARSE_FAULT_H

#include "rehearse/engine.h"

enum fault {
    /* Of one host. */
    FAULT_HOST_OFF,     /* Off, until somebody switches it on. */
    FAULT_HOST_BLINKS,  /* Off, and on again by itself. */
    FAULT_HOST_HANGS,   /* It runs and answers nothing. */
    FAULT_SERVICE_DOWN, /* Apache has ended. */
    FAULT_SERVICE_FLAPS,
    FAULT_HOST_DOOMED,      /* Its service never works again, whatever is done to it. */
    FAULT_HOST_AMNESIA,     /* Off, and it comes back as it was before it was configured. */
    FAULT_MACHINE_RELAPSES, /* A machine hangs, and again after each boot. */
    FAULT_HOST_VANISHES,
    FAULT_DISK_FULL,
    FAULT_CHECK_FAILS,   /* Its check-command says so, nobody else. */
    FAULT_HOST_BLIND,    /* We alone cannot reach it: balancers can. */
    FAULT_HOST_LIBELLED, /* Its provider says it is off, and it runs. */
    /* Of a group. */
    FAULT_IMAGE_BROKEN, /* What is made of it does not boot. */
    FAULT_SHARED_DOWN,  /* What all its members need does not answer. */
    /* Of a zone. */
    FAULT_ZONE_DARK, /* No power. */
    FAULT_ZONE_CUT,  /* No network to anything outside. */
    FAULT_PROVIDER_SILENT,
    /* Of balancers. */
    FAULT_HAPROXY_SILENT,  /* Its admin socket does not answer. */
    FAULT_HAPROXY_FORGETS, /* Loaded anew, without what was said to it since. */
    /* Of us. */
    FAULT_PROVIDERS_SLOW,
    FAULT_BOOTS_SLOW,
    FAULT_PROBER_CUT,
    FAULT_PROBER_DIES,
    FAULT_CONTROLLER_CUT,
    FAULT_CONTROLLER_KILLED,
    FAULT_CONTROLLER_KILLED_SOON, /* At one of the next boundaries. */
    FAULT_STORE_RESTORED,
};
#define FAULTS (FAULT_STORE_RESTORED + 1)
const char *fault_to_string(enum fault fault);

enum fault_scope { FAULT_OF_HOST, FAULT_OF_GROUP, FAULT_OF_ZONE, FAULT_OF_BALANCER, FAULT_OF_US };
enum fault_scope fault_scope(enum fault fault);

/* SUBJECT: a host, group or zone of the truth, as its scope says. False when it cannot strike there
   now. */
bool fault_begin(struct engine *e, enum fault fault, size_t subject);
void fault_end(struct engine *e, enum fault fault, size_t subject);

#endif
