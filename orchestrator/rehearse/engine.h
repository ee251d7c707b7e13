/*
 * A cluster in simulated time: the real core, driven as the controller drives it, over a world that
 * is made up (truth.h) and seen through witnesses that are late, silent or wrong (witness.h). What
 * goes wrong and when is the caller's: `lamplighter rehearse` plays one fault over a user's own
 * file, tests/sim plays thousands that a seed makes. The same seed and calls give the same run.
 *
 * Not a test by itself: it checks nothing. Whoever does looks in through struct engine_watch.
 */
#ifndef REHEARSE_ENGINE_H
#define REHEARSE_ENGINE_H

#include "core/outcome.h"
#include "rehearse/agenda.h"
#include "rehearse/random.h"
#include "rehearse/truth.h"
#include "spec/spec.h"

#include <stdarg.h>

/* How long things take, and how often they fail. */
struct engine_pace {
    int64_t boot_ms;
    int64_t make_ms; /* A provider's calls. */
    int64_t host_ms; /* What is done over SSH. */
    int64_t configure_ms;
    int64_t balance_ms; /* A balancer's admin socket. */
    int64_t drain_ms;   /* Until the last session has ended; a pool's drain time bounds it. */
    int64_t limit_ms;   /* After which a worker is ended. */
    int64_t list_every_ms;
    int64_t list_delay_ms;
    int64_t look_every_ms;
    int64_t look_delay_ms;
    int64_t restart_ms; /* The controller is back after that. */
    /* Of a thousand actions: fail and may be tried again; fail for good; their end is not heard of
       although they did what they should; they do it after they were given up; twice. */
    unsigned transient, permanent, lost, late, doubled;
    unsigned abandon; /* Of a thousand lifecycle hooks. */
    bool bmc; /* The file's static machines can be switched on and off, and are made anew. */
};
struct engine_pace engine_pace_usual(void);

/* What is counted: that each kind of trouble was really seen. */
enum engine_event {
    ENGINE_TRANSIENT,
    ENGINE_PERMANENT,
    ENGINE_LOST,
    ENGINE_LATE,
    ENGINE_DOUBLED,
    ENGINE_KILLED,           /* The controller, at no special moment. */
    ENGINE_KILLED_RECORDING, /* Before what it knew was written. */
    ENGINE_KILLED_INTENT,    /* After an intent was written, before the effect. */
    ENGINE_KILLED_EFFECT,    /* After an effect, before it was heard of. */
    ENGINE_KILLED_RESULT,    /* After a result was heard of, before it was written. */
    ENGINE_KILLED_DONE,      /* After it was written. */
    ENGINE_RESTORED,         /* Its store from an older state. */
    ENGINE_FOUND,            /* Hosts found that the records do not know. */
    ENGINE_OLD_EPOCH,        /* A late effect of a controller that was replaced, refused. */
    ENGINE_AMNESIA,          /* A host came back as it was before. */
    ENGINE_DISK_FULL,        /* A host could not be configured for that. */
    ENGINE_FORGOT,           /* A reload brought back what HAProxy's file had. */
    ENGINE_REFRESH_DONE,     /* A refresh came to its end, */
    ENGINE_REFRESH_BAD,      /* was ended for what it brought, */
    ENGINE_REFRESH_UNDONE,   /* or was rolled back as a whole. */
};
#define ENGINE_EVENTS (ENGINE_REFRESH_UNDONE + 1)
const char *engine_event_to_string(enum engine_event event);

enum engine_request_kind {
    ENGINE_SCALE,
    ENGINE_STANDBY,
    ENGINE_IN_SERVICE,
    ENGINE_PROTECT,
    ENGINE_UNPROTECT,
    ENGINE_REPLACE,
    ENGINE_DETACH,
    ENGINE_ATTACH,
    ENGINE_SUSPEND,
    ENGINE_RESUME,
    ENGINE_PAUSE,
    ENGINE_UNPAUSE,
    ENGINE_RETRY,
    ENGINE_REFRESH,
    ENGINE_REFRESH_ON,
    ENGINE_REFRESH_CANCEL,
    ENGINE_REFRESH_BACK,
    ENGINE_CAPTURE,
    ENGINE_CAPTURE_END,
};
#define ENGINE_REQUESTS (ENGINE_CAPTURE_END + 1)
const char *engine_request_to_string(enum engine_request_kind kind);

/* What an operator asks for. It waits in the store until the controller reads it. */
struct engine_request {
    enum engine_request_kind kind;
    char instance[WORLD_ID_SIZE]; /* Or "": the group; with WORLD_NONE: the cluster. */
    size_t group;
    unsigned value;               /* Scale: desired; suspend, resume: enum world_process. */
    struct world_refresh refresh; /* Refresh: as asked for; what ran before is found out. */
};

/* An action under way: a worker, or what it left behind when it was ended. */
struct engine_job {
    uint64_t turn; /* 0: this place is free. */
    struct action action;
    char id[WORLD_ID_SIZE];
    char machine[WORLD_ID_SIZE];  /* Of a static host; "". */
    char balancer[WORLD_ID_SIZE]; /* Of COMPARE, SYNC, ADMIT and REMOVE. */
    char balancer_machine[WORLD_ID_SIZE];
    size_t frontend;
    unsigned epoch;
    int64_t begun_ms;
    bool heard;     /* The controller waits for its end. */
    bool pending;   /* Its effect is still to come. */
    bool ended;     /* Its end is on the way, or has come. */
    bool end_lost;  /* Its end is not heard of; it is ended by force. */
    unsigned times; /* How often its effect comes. */
    enum outcome outcome;
    bool anew;        /* LAUNCH: the host was made, not started. */
    bool differs;     /* INSPECT, COMPARE: what was found. CHECK: it failed. HOOK: abandon. */
    unsigned version; /* Of the roles it brings. */
    uint64_t content; /* LAUNCH: what it is made from. */
};

/* What the controller keeps of an instance beside the core's world. */
struct engine_member {
    char machine[WORLD_ID_SIZE]; /* The static host it lives on; "". */
    int64_t touched_ms;          /* What was observed before is no longer worth anything. */
    bool watched_ready;
    bool watched_alive;
    bool rebuilt; /* It leaves because it was bad (S9). */
};

/* Of the machines of the file: when they were rebuilt (S9). */
struct engine_machine {
    char name[WORLD_ID_SIZE];
    int64_t rebuilds[16];
    size_t rebuild_count;
};

/* What survives the controller. */
struct engine_store {
    struct world_instance *instances;
    struct engine_member *members;
    size_t count, capacity;
    struct world_group *groups;
    struct engine_machine *machines;
    size_t machine_count;
    bool paused;
};

struct engine_controller {
    bool running;
    unsigned epoch;
    struct world world;
    struct engine_member *members; /* Beside world.instances. */
    struct engine_machine *machines;
    size_t machine_count, machine_capacity;
    struct decision decision;
    bool dirty; /* Something was heard that decide() has not seen. */
    int64_t deadline_ms;
    int64_t started_ms;
    /* Ended not long ago: a list that was made before may still name them. */
    struct {
        char id[WORLD_ID_SIZE];
        int64_t at_ms;
    } gone[32];
    size_t gone_next;
};

struct engine;
struct engine_alarm;
struct engine_watch {
    void *context;
    /* ACTION was decided and begins now (or, when it changes records only, is done now). */
    void (*on_action)(void *context, struct engine *e, const struct action *action);
    /* An action has ended, as the controller heard it. */
    void (*on_end)(void *context, struct engine *e, const struct engine_job *job,
                   enum outcome outcome);
    /* decide() has spoken. */
    void (*on_decision)(void *context, struct engine *e);
    /* What really is has changed. */
    void (*on_truth)(void *context, struct engine *e);
    /* The controller begins anew with what its store has. */
    void (*on_start)(void *context, struct engine *e);
    /* One line of the transcript. NULL: none is made. */
    void (*on_line)(void *context, int64_t now_ms, const char *line);
};

struct engine {
    struct spec spec;        /* A copy whose groups may change; all else is the caller's. */
    const struct spec *file; /* The caller's. */
    struct engine_pace pace;
    struct engine_watch watch;
    struct random random;
    struct agenda agenda;
    uint64_t turns;
    int64_t now_ms;
    int64_t wake_ms; /* The soonest one on the agenda. */

    struct truth truth;
    bool truth_changed;
    struct engine_controller controller;
    struct engine_store store;
    struct engine_store backup; /* An older state of it. */
    bool backed_up;
    unsigned restores; /* So far. */
    struct engine_request *requests;
    size_t request_count, request_capacity;
    struct engine_alarm *alarms;
    size_t alarm_count, alarm_capacity;
    struct engine_job *jobs;
    size_t job_count, job_capacity;

    unsigned boundaries;     /* Store writes and effects so far. */
    unsigned first_boundary; /* The caller's. */
    unsigned kill_at;        /* The controller dies at that one; 0: it does not. */
    bool halted;             /* By whoever looks in: engine_run() returns. */
    bool prober_dead;
    bool providers_slow, boots_slow;
    size_t counts[ENGINE_EVENTS];
    size_t events;   /* That have come so far. */
    size_t restless; /* Steps in which decide() found no end. */
    size_t created;  /* Hosts made so far. */
};

/* A new cluster: nothing is made yet. The controller starts at 0. SPEC is borrowed until the end.
 */
void engine_init(struct engine *e, const struct spec *spec, const struct engine_pace *pace,
                 const struct engine_watch *watch, uint64_t seed);
void engine_deinit(struct engine *e);
/* Lets the time go by, to UNTIL_MS. */
void engine_run(struct engine *e, int64_t until_ms);
/* What really is was changed by hand: witnesses begin to notice. */
void engine_touch(struct engine *e);
/* ON_FAULT events of the caller come back through this function at their time. */
typedef void engine_timer(void *context, struct engine *e, size_t subject);
void engine_at(struct engine *e, int64_t at_ms, engine_timer *timer, void *context, size_t subject);

void engine_ask(struct engine *e, const struct engine_request *request);
/* The controller is killed, its workers with it; it starts again by itself. */
void engine_kill(struct engine *e, enum engine_event how);
/* Killed, and its store is what it was when it was last backed up. */
void engine_restore(struct engine *e);
void engine_backup(struct engine *e);
/* The cluster file changes: the roles of GROUP (all its hosts differ), or its numbers. */
void engine_change_roles(struct engine *e, size_t group);
void engine_change_size(struct engine *e, size_t group, unsigned desired, unsigned max);

/* One line of the transcript, when somebody listens. */
void engine_say(struct engine *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool engine_is_heard(const struct engine *e);
/* In words: "web-1: remove (...)". */
void engine_describe(const struct engine *e, const struct action *action, char *ret_text,
                     size_t size);
/* The host of an instance of the controller's world; WORLD_NONE: there is none (any more). */
size_t engine_host(const struct engine *e, size_t instance);
/* The instance of the controller's world with that id, that is not gone; WORLD_NONE. */
size_t engine_find(const struct engine *e, const char *id);
/* How many hosts of GROUP really serve. */
size_t engine_serving(const struct engine *e, size_t group);

/* Between the files of this room. */
enum engine_kind {
    ENGINE_AT_EFFECT,
    ENGINE_AT_END,
    ENGINE_AT_BOOT,
    ENGINE_AT_READY,
    ENGINE_AT_ALIVE,
    ENGINE_AT_SERVER,
    ENGINE_AT_SAMPLE,
    ENGINE_AT_LIST,
    ENGINE_AT_LOOK,
    ENGINE_AT_WAKE,
    ENGINE_AT_LISTENED,
    ENGINE_AT_START,
    ENGINE_AT_PROBER,
    ENGINE_AT_TIMER,
};
uint64_t engine_post(struct engine *e, int64_t at_ms, enum engine_kind kind, size_t subject);
/* True when the controller dies at this boundary. */
bool engine_boundary(struct engine *e, enum engine_event kind);

#endif
