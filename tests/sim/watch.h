/*
 * The safety rules as they are meant, watched from the truth. Each is written from
 * SAFETY.md, not from the core: what the core believes is asked for only where the rule itself is
 * about belief (what was recorded, what a witness said and when).
 */
#ifndef SIM_WATCH_H
#define SIM_WATCH_H

#include "rehearse/engine.h"

enum watch_rule {
    WATCH_S1_MINIMUM,
    WATCH_S1_SPARE,
    WATCH_S2_NEW_FIRST,
    WATCH_S2_MOST,
    WATCH_S3_LOSSES,
    WATCH_S4_BREAKER,
    WATCH_S5_FROZEN,
    WATCH_S6_ZONE,
    WATCH_S7_ONE,
    WATCH_S7_BAKE,
    WATCH_S7_CLUSTER,
    WATCH_S8_PATIENCE,
    WATCH_S9_MACHINE,
    WATCH_S9_LAUNCHES,
    WATCH_S10_UNKNOWN,
    WATCH_S10_POWER,
    WATCH_S11_GRACE,
    WATCH_S11_COUNT,
    WATCH_S12_SHARED,
    WATCH_S13_FLAPPING,
    WATCH_S19_FRESH,
    WATCH_S21_DETACHED,
    WATCH_S22_PAUSED,
    WATCH_S25_SHARED,
    WATCH_DISPUTED,
    WATCH_ADMIT,
    WATCH_DRAINED,
    WATCH_PROTECTED,
    WATCH_S3_CAPTURE,
    WATCH_REFRESH_FIRST,
    WATCH_REFRESH_BAD,
    WATCH_REFRESH_ALARM,
    WATCH_REFRESH_WAITS,
    WATCH_REFRESH_SPARES,
    WATCH_WHY,
    WATCH_RESTLESS,
    WATCH_LEFT_OVER,
    WATCH_LIVENESS,
};
#define WATCH_RULES (WATCH_LIVENESS + 1)
const char *watch_rule_to_string(enum watch_rule rule);

struct watch_violation {
    bool found;
    enum watch_rule rule;
    int64_t at_ms;
    char text[400];
};

/* What is remembered of one id, over all its life. */
struct watch_id {
    char id[WORLD_ID_SIZE];
    size_t group;
    bool open; /* It was taken out of service by order, and is not back. */
    bool came; /* It was in service once. */
    bool detached;
    int64_t ready_ms; /* Last made, configured or mended. */
    int64_t in_service_ms;
    int64_t rung_ms;
    bool retried;           /* By hand. */
    enum action_kind rung;  /* RESTART, REBOOT or CYCLE; with rung_ms. */
    int64_t ordered_ms;     /* When it was taken out last. */
    enum world_health said; /* By the prober, and when it changed its mind. */
    uint32_t results;       /* Of its check, one bit each, newest lowest: was it a transition? */
    int64_t turned_ms;
    int64_t held_ms; /* It flapped: its state is held at least until then. */
    bool well;       /* Really: it lives, is reached, and all of its own works. */
    int64_t well_ms; /* Since when it is, or is not. */
};

struct watch {
    struct watch_violation violation;
    struct watch_id *ids;
    size_t id_count, id_capacity;
    int64_t *closed_ms; /* Beside the groups: when the last disruption ended. */
    unsigned *failed;   /* Beside the groups: launches in a row that came to nothing. */
    int64_t
        *zone_bad_ms;   /* Beside the zones: since when it is dark or cut; INT64_MAX: it is not. */
    int64_t cut_ms;     /* Since when the controller is; INT64_MAX. */
    int64_t *shared_ms; /* Beside the groups: since when what it needs is away; INT64_MAX. */
    int64_t *rebuilds;  /* [machine * 4]: the last four. */
    int64_t prober_back_ms; /* When there last was none, or one that saw nothing. */
    bool prober_cut;
    size_t decisions;
    bool looks_at_why;
    size_t reasons[REASON_ORPHAN + 1]; /* How often each was given. */
};

void watch_init(struct watch *w, const struct engine *e);
void watch_deinit(struct watch *w);
void watch_fail(struct watch *w, struct engine *e, enum watch_rule rule, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As the engine's watch has them; CONTEXT is the watch. */
void watch_on_action(struct watch *w, struct engine *e, const struct action *action);
void watch_on_end(struct watch *w, struct engine *e, const struct engine_job *job,
                  enum outcome outcome);
void watch_on_decision(struct watch *w, struct engine *e);
void watch_on_truth(struct watch *w, struct engine *e);
void watch_on_start(struct watch *w, struct engine *e);
/* An operator asked: what was counted begins anew. */
void watch_on_request(struct watch *w, const struct engine_request *request);
/* watch_refresh.c: what a refresh, and a capture, must not do. */
void watch_refresh_on_action(struct watch *w, struct engine *e, const struct action *action);

/* When all is at rest: nothing is left over, nothing is there twice. */
void watch_end(struct watch *w, struct engine *e);

#endif
