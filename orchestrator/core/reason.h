/*
 * Why something is done, waited for or refused: a rule, its inputs, since when. Every decision
 * carries one; what `plan`, `events`, `status` and `why` print of a decision is reason_to_string(),
 * and what would change it is reason_remedy(); nothing explains itself in a second way.
 */
#ifndef CORE_REASON_H
#define CORE_REASON_H

#include <stddef.h>
#include <stdint.h>

enum reason_code {
    REASON_NONE,

    /* Why an action is taken. */
    REASON_GROUP_SHORT,      /* Group NAME has A of B instances. */
    REASON_GROUP_LONG,       /* Group NAME has A instances and wants B. */
    REASON_NOT_MADE,         /* Added, and not made yet. */
    REASON_NOT_RUNNING,      /* It should run and does not. */
    REASON_FIRST_CONTACT,    /* Nothing is known of the host yet. */
    REASON_NEVER_CONFIGURED, /* Its roles were never applied as a whole. */
    REASON_NOT_INSPECTED,    /* This run has not looked at the host yet. */
    REASON_DRIFT,            /* A resources differ from the roles. */
    REASON_FRONTEND_UNSEEN,  /* This run has not compared frontend NAME yet. */
    REASON_FRONTEND_STALE,   /* What frontend NAME told is A ms old; it is looked at again before an
                                effect. */
    REASON_FRONTEND_DIFFERS, /* The configuration of frontend NAME differs. */
    REASON_NOT_IN_POOL,      /* Healthy, and pool NAME does not send it traffic. */
    REASON_LEAVES_FOR_CHANGE, /* A resources differ; pool NAME keeps B serving, C is the minimum. */
    REASON_LEAVES_FOR_GOOD,   /* It leaves group NAME. */
    REASON_SERVING,           /* Configured and serving. */
    REASON_UNCHANGED,         /* Drained for what is no longer wanted. */
    REASON_WISH_STANDBY,      /* An operator asked for standby. */
    REASON_WISH_REPLACE,      /* An operator asked for it to be replaced. */
    REASON_WISH_DETACH,       /* An operator asked for it to leave the group and run on. */
    REASON_WISH_BACK,         /* Standby is over. */
    REASON_MEND,              /* Verdict NAME for A ms; rung B of the ladder (enum world_rung). */
    REASON_DEAD,              /* The provider says it is off. */
    REASON_TOO_OLD,           /* A ms old, its group's max-lifetime is B ms. */
    REASON_UNBALANCED,        /* Zone NAME has A of the group, another B. */
    REASON_HOOK,              /* The lifecycle hook NAME of its group. */
    REASON_HOOK_DONE,         /* The hook has ended, or (NULL) is gone: go on. */
    REASON_HOOK_ABANDON,      /* The hook has ended with abandon. */
    REASON_HOOK_OVER_TIME,    /* Hook NAME did not end within A ms: go on, or (B = 1) abandon. */
    REASON_HOOK_UNREACHED,    /* Hook NAME runs on the host, not reached for A ms. */
    REASON_HOOK_OFF,          /* Hook NAME runs on the host; no provider says that it is on. */
    REASON_CHECK_DUE,         /* The check-command is due. */
    REASON_QUARANTINE,        /* The ladder is used up, or A rebuilds in 24 h (S9). */
    REASON_REFRESH,           /* Group NAME is being refreshed; A of B are replaced. */
    REASON_REFRESH_BACK,      /* Group NAME is being rolled back; A of B are. */
    REASON_REFRESH_OVER,      /* The refresh that was to replace it wants that no more. */
    REASON_REFRESH_FAILED,    /* A new instance of group NAME, from the new image, did not come into
                                 service. */
    REASON_REFRESH_UNWELL,    /* NAME, from the new image, is unready for A ms; others are well. */
    REASON_REFRESH_ALARM,     /* The alarm of group NAME's refresh. */
    REASON_REFRESH_AT,        /* A % of group NAME are replaced: a checkpoint. */
    REASON_REFRESH_ON,        /* The checkpoint's delay of A ms is over. */
    REASON_REFRESH_ALL,       /* All B of group NAME are replaced. */
    REASON_REFRESH_NOTHING,   /* Nobody of group NAME was there to be replaced. */
    REASON_REFRESH_BAKED,     /* And it has been well for A ms. */
    REASON_CAPTURE,           /* An image is to be taken of it. */

    /* Why something is not done now. */
    REASON_REFRESH_WAITS_AT,   /* Checkpoint of A %; B ms more, or, with -1, an operator's word. */
    REASON_REFRESH_BAKES,      /* All of group NAME are replaced; watched for A more ms. */
    REASON_REFRESH_WAITS_FOR,  /* NAME is protected (A = 0) or in standby (1): the refresh waits. */
    REASON_REFRESH_WARMS_UP,   /* NAME is new, and counted on after A more ms. */
    REASON_REFRESH_OUTDATED,   /* It differs from its roles; its group's refresh replaces it. */
    REASON_REFRESH_CALM,       /* NAME of the group is not well: no further one meanwhile. */
    REASON_CAPTURED,           /* S3: an image is being taken of NAME. */
    REASON_WAITS_FOR_PROVIDER, /* The provider has not said whether it runs. */
    REASON_WAITS_FOR_GROUP,    /* Group NAME has A in service, B are needed first. */
    REASON_WAITS_FOR_HEALTH,   /* S11: not healthy yet; not judged for A more ms. */
    REASON_WAITS_FOR_FRONTEND, /* Frontend NAME is not ready yet. */
    REASON_WAITS_FOR_OTHER,    /* S7: NAME is being changed; one at a time. */
    REASON_WAITS_FOR_BAKE,     /* S7, S11: the last one is back since A ms, B more to go. */
    REASON_WAITS_FOR_CLUSTER,  /* S7: A of at most B disruptions in the cluster are under way. */
    REASON_WAITS_TO_RETRY,     /* Failed A times; again in B ms. */
    REASON_WAITS_FOR_NEW, /* S2: another must serve in its place first; group NAME has A of B ready.
                           */
    REASON_WAITS_FOR_RUNG,     /* Rung A was taken; it has B more ms to come back. */
    REASON_WAITS_TO_CONFIRM,   /* Verdict NAME for A ms; believed after B ms. */
    REASON_WAITS_FOR_HOOK,     /* Its hook NAME has run for A ms, at most B. */
    REASON_WAITS_FOR_COOLDOWN, /* Group NAME changed A ms ago; nothing by itself for B ms. */
    REASON_BUSY,               /* A step on it is under way. */
    REASON_WAITS_FOR_WORKER,   /* As much is under way as may be at a time. */
    REASON_DISPUTED,           /* S10: witnesses differ. A: 0 a balancer says up, 1 the service
                                           answers us, 2 the provider says off and the SSH port accepts,
                                           3 all is well for us, a balancer says down. */
    REASON_UNKNOWN,            /* S10: not all witnesses have answered. */
    REASON_FLAPPING,           /* S13: changes too often; held for A more ms. */
    REASON_SHARED,    /* S12: NAME, which it needs, or A of B members at once: not the host. */
    REASON_BREAKER,   /* S4: A of B in group or zone NAME are unhealthy; at most C. */
    REASON_ZONE_LOST, /* S6: zone NAME is gone as a whole; made up elsewhere. */
    REASON_FROZEN,    /* S5: A of B hosts do not answer: the controller is cut off. */
    REASON_PAUSED,    /* S22: NAME (cluster, group or instance) is paused. */
    REASON_SUSPENDED, /* Process NAME of the group is suspended. */
    REASON_PROTECTED, /* Protected from scale-in. */
    REASON_STANDBY,   /* In standby. */
    REASON_DETACHED,  /* S21: in no group; left alone. */

    /* Why something is not done at all. */
    REASON_BELOW_MINIMUM, /* S1: A serving, B is the minimum: one less would break it. */
    REASON_BELOW_SPARE, /* S1: A serving; with C more lost than this one the minimum B would break.
                         */
    REASON_FAILED,      /* Failed A times, no more tries in this run. */
    REASON_UNHEALTHY, /* Its health check fails, and nothing is to be done about it (repair = none).
                       */
    REASON_NO_ROOM,   /* No zone of group NAME has room for A more. */
    REASON_AT_MOST,   /* S2: group NAME has A live instances, at most B. */
    REASON_LAUNCHES_FAIL, /* S9: A replacements in a row of group NAME did not come into service. */
    REASON_QUARANTINED,   /* S9: in quarantine. */
    REASON_NO_POWER,      /* S10: nobody can power-cycle it; a human must look. */
    REASON_ORPHAN,        /* Its group is not in the file any more. */
};

struct reason {
    enum reason_code code;
    const char *name; /* Borrowed from the spec or the world; NULL where the code needs none. */
    int64_t a, b, c;
};

/* One line for people, at most SIZE bytes (200 is enough for any). */
void reason_to_string(const struct reason *reason, char *ret_text, size_t size);
/* The safety rule it comes from ("S1"), or NULL. */
const char *reason_rule(enum reason_code code);
/* What would change it, or what to do; one sentence. Never NULL. */
const char *reason_remedy(enum reason_code code);

#endif
