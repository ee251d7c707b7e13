/*
 * The guards of the safety rules, by name. Each is one condition somewhere in this room that
 * permits a step; without it the rule is broken, and the simulator must notice. For that there is a
 * build of the core with LAMPLIGHTER_MUTANTS in which one guard at a time can be taken away
 * (tests/sim, `make sim-mutants`); the program itself is never built so.
 */
#ifndef CORE_GUARD_H
#define CORE_GUARD_H

enum guard {
    GUARD_NONE,
    GUARD_S1_MINIMUM,     /* One less must keep the minimum. */
    GUARD_S1_ROUNDING,    /* The minimum rounds up. */
    GUARD_S1_SPARE,       /* And the hosts that the file wants spare. */
    GUARD_S2_NEW_FIRST,   /* What is replaced goes when another serves in its place. */
    GUARD_S2_MOST,        /* Never more live instances than max (or healthy-max). */
    GUARD_S3_LOSSES,      /* Losses nobody ordered are charged to the budget. */
    GUARD_S3_CAPTURE,     /* Nobody is taken away while an image is taken of him. */
    GUARD_S4_BREAKER,     /* Too many unhealthy: nothing destructive. */
    GUARD_S5_FROZEN,      /* I am the one cut off: nothing at all. */
    GUARD_S6_ZONE,        /* A lost zone is not repaired one by one. */
    GUARD_S7_ONE,         /* One step at a time in a group. */
    GUARD_S7_BAKE,        /* The next only when the last has baked. */
    GUARD_S7_CLUSTER,     /* A share of the cluster at a time. */
    GUARD_S8_PATIENCE,    /* Each rung has its time before the next. */
    GUARD_S9_MACHINE,     /* Rebuilt three times: quarantine. */
    GUARD_S9_LAUNCHES,    /* Three replacements failed: stop. */
    GUARD_S10_UNKNOWN,    /* Unknown is not failed. */
    GUARD_S10_POWER,      /* Unreachable is not off: no rebuild without the provider's word. */
    GUARD_S11_GRACE,      /* New instances are not judged. */
    GUARD_S11_COUNT,      /* Nor counted before checks and bake time. */
    GUARD_S12_SHARED,     /* A shared dependency that fails makes nobody rebuildable. */
    GUARD_S13_FLAPPING,   /* A state that flaps is held. */
    GUARD_S19_FRESH,      /* What an effect rests on was seen just now. */
    GUARD_S21_DETACHED,   /* What the records did not know is left alone. */
    GUARD_S22_PAUSED,     /* Paused is paused. */
    GUARD_DISPUTED,       /* Two witnesses must agree. */
    GUARD_ADMIT_HEALTHY,  /* No request before the first passed check. */
    GUARD_PROTECTED,      /* Scale-in passes protected instances by. */
    GUARD_REFRESH_FIRST,  /* A refresh replaces one, and the next only when that one is well. */
    GUARD_REFRESH_BAD,    /* A new one that fails ends the refresh. */
    GUARD_REFRESH_ALARM,  /* And so does its alarm. */
    GUARD_REFRESH_WAITS,  /* Checkpoints, and the bake time, are waited for. */
    GUARD_REFRESH_SPARES, /* It leaves alone what is protected or in standby, where told to. */
};

#ifdef LAMPLIGHTER_MUTANTS
extern enum guard guard_removed;
#define GUARDED(guard, condition) (guard_removed == (guard) || (condition))
#else
#define GUARDED(guard, condition) (condition)
#endif

#endif
