/*
 * decide(spec, world) -> what to do now. Pure: no I/O, no clock, no allocation, no randomness; the
 * same inputs give the same decision. Level-triggered: it looks at what is, not at what happened,
 * so a controller that was killed anywhere observes again and goes on.
 *
 * Every promise of the safety rules lives in this room and only here. Which function keeps which
 * rule is in orchestrator/README.md, "Safety rules".
 */
#ifndef CORE_DECIDE_H
#define CORE_DECIDE_H

#include "core/reason.h"
#include "core/survey.h"

struct spec;

enum action_kind {
    ACTION_ADD,       /* A record for a new instance: its zone and number. */
    ACTION_LAUNCH,    /* Make it, or finish making it, or start it. */
    ACTION_GREET,     /* Wait for SSH, check the key, read the facts. */
    ACTION_INSPECT,   /* Compare the host with its roles; changes nothing. */
    ACTION_CONFIGURE, /* Apply its roles. */
    ACTION_COMPARE,   /* Compare a balancer with the spec; changes nothing. */
    ACTION_SYNC,      /* Make a balancer's configuration as the spec says. */
    ACTION_ADMIT,     /* Let it into its pool on one balancer. */
    ACTION_REMOVE,    /* Take it out of its pool on one balancer: drain, wait, out. */
    ACTION_TERMINATE, /* End it and remove all that was made for it. */
    ACTION_MARK,      /* Only the record changes: its lifecycle, or its wish. */
    ACTION_RESTART,   /* Rung 1: apply its roles and restart their services. */
    ACTION_REBOOT,    /* Rung 2: over SSH; ends when it is down. */
    ACTION_CYCLE,     /* Rung 3: the provider switches it off and reads back that it is off. */
    ACTION_CHECK,     /* The group's check-command, on the host; changes nothing. */
    ACTION_HOOK,      /* Run the lifecycle hook of the transition it waits in. */
    ACTION_REFRESH,   /* Only the record of the group's refresh changes: its state. */
};
const char *action_kind_to_string(enum action_kind kind); /* "configure" */
/* True for those that change something outside our own records. */
bool action_kind_has_effect(enum action_kind kind);
/* True for those that need no worker: they change records only. */
bool action_kind_is_record(enum action_kind kind);

struct action {
    enum action_kind kind;
    size_t instance; /* WORLD_NONE: ADD (group, zone, number say which), REFRESH (group). */
    size_t group;
    size_t zone;
    unsigned number;
    uint64_t content;                 /* ADD: what it is to be made from. */
    size_t balancer;                  /* COMPARE, SYNC, ADMIT, REMOVE; else WORLD_NONE. */
    enum lifecycle lifecycle;         /* MARK: the new one (may be the old). */
    enum world_wish wish;             /* MARK: the new one. */
    enum world_capture capture;       /* MARK: the new one. */
    enum world_refresh_state refresh; /* REFRESH: the new one. */
    struct reason reason;
};

/* Something that is not done now, and why. */
enum hold_kind {
    HOLD_WAIT,    /* It will be, when the world has moved on. */
    HOLD_REFUSED, /* A safety rule forbids it. */
    HOLD_STUCK,   /* It needs a human. */
};
struct hold {
    enum hold_kind kind;
    size_t instance; /* WORLD_NONE: the group as a whole, or the cluster. */
    size_t group;    /* WORLD_NONE: an orphan's, or the cluster's. */
    struct reason reason;
};

struct decision {
    struct action *actions; /* The caller's array. */
    size_t action_count;
    size_t action_capacity; /* When it is full the rest comes with the next step. */
    struct hold *holds;     /* The caller's array; see decision_hold_capacity(). */
    size_t hold_count;
    size_t hold_capacity;
    int64_t deadline_ms; /* Decide again then at the latest; INT64_MAX: nothing is timed. */
    /* The first time at which a hold may end by itself; INT64_MAX: none has a time. Not the same:
       checks and ages come due for ever, and nobody waits for them. */
    int64_t held_until_ms;
    void *memory; /* The caller's, survey_size() bytes. */
    size_t memory_size;
    struct survey survey; /* In that memory: what was counted for this decision. */
};
/* Enough holds for any decision on this world. */
size_t decision_hold_capacity(const struct spec *spec, const struct world *world);

/*
 * Fills in DECISION (counts are reset first). Actions that need a worker number at most
 * world->slots; those that only change records (ADD, MARK, REFRESH) are not limited by it. The
 * world must have been judged.
 */
void decide(const struct spec *spec, const struct world *world, struct decision *decision);

/*
 * For drivers that come to an end: does something wait that time alone may bring, within the hour?
 * What only an operator resolves is no reason to go on, nor is what has no time: that witnesses
 * agree, that a host is quiet. It is told, and the run ends.
 */
bool decision_waits(const struct decision *decision, int64_t now_ms);

#endif
