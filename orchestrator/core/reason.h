/*
 * Why something is done, waited for or refused: a rule and its inputs. Every decision carries one;
 * what `plan`, `events` and `status` print of a decision is reason_to_string(), nothing else.
 */
#ifndef CORE_REASON_H
#define CORE_REASON_H

#include <stddef.h>
#include <stdint.h>

enum reason_code {
    REASON_NONE,

    /* Why an action is taken. */
    REASON_GROUP_SHORT,       /* Group NAME has A of B instances. */
    REASON_GROUP_LONG,        /* Group NAME has A instances and wants B. */
    REASON_NOT_MADE,          /* Added, and not made yet. */
    REASON_NOT_RUNNING,       /* It should run and does not. */
    REASON_FIRST_CONTACT,     /* Nothing is known of the host yet. */
    REASON_NEVER_CONFIGURED,  /* Its roles were never applied as a whole. */
    REASON_NOT_INSPECTED,     /* This run has not looked at the host yet. */
    REASON_DRIFT,             /* A resources differ from the roles. */
    REASON_FRONTEND_UNSEEN,   /* This run has not compared frontend NAME yet. */
    REASON_FRONTEND_DIFFERS,  /* The configuration of frontend NAME differs. */
    REASON_NOT_IN_POOL,       /* Healthy, and pool NAME does not send it traffic. */
    REASON_LEAVES_FOR_CHANGE, /* A resources differ; pool NAME keeps B serving, C is the minimum. */
    REASON_LEAVES_FOR_GOOD,
    REASON_SERVING,   /* Configured and serving. */
    REASON_UNCHANGED, /* Drained for a change that is no longer needed. */

    /* Why something is not done now. */
    REASON_WAITS_FOR_GROUP,    /* Group NAME has A in service, B are needed first. */
    REASON_WAITS_FOR_HEALTH,   /* Not healthy yet; given A more ms. */
    REASON_WAITS_FOR_FRONTEND, /* Frontend NAME is not ready yet. */
    REASON_WAITS_FOR_OTHER,    /* S7: NAME is being changed; one at a time. */
    REASON_WAITS_TO_RETRY,     /* Failed A times; again in B ms. */
    REASON_WAITS_FOR_DRAIN,    /* Sessions are ending. */

    /* Why something is not done at all. */
    REASON_BELOW_MINIMUM, /* S1: A serving, B is the minimum: one less would break it. */
    REASON_FAILED,        /* Failed A times, no more tries in this run. */
    REASON_UNHEALTHY,     /* Its health check fails. */
    REASON_NO_ROOM,       /* No zone of group NAME has room for A more. */
    REASON_ORPHAN,        /* Its group is not in the file any more. */
};

struct reason {
    enum reason_code code;
    const char *name; /* Borrowed from the spec or the world; NULL where the code needs none. */
    int64_t a, b, c;
};

/* One line for people, at most SIZE bytes (160 is enough for any). */
void reason_to_string(const struct reason *reason, char *ret_text, size_t size);
/* The safety rule it comes from ("S1"), or NULL. */
const char *reason_rule(enum reason_code code);

#endif
