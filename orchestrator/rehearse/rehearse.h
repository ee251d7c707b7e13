/*
 * A user's own cluster file, played through a fault he names, in simulated time: what happens when,
 * and how few hosts served at the worst moment. `lamplighter rehearse` prints it.
 *
 * The controller in it is the real core; hosts, balancers and providers are made up, with usual
 * latencies, spread by the seed. What a role does, or how many requests a host can take, it does
 * not know.
 */
#ifndef REHEARSE_REHEARSE_H
#define REHEARSE_REHEARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spec;

enum rehearse_loss {
    REHEARSE_LOSE_NOTHING,
    REHEARSE_LOSE_ZONE,       /* No power in it, for ten minutes. */
    REHEARSE_LOSE_HOST,       /* One that serves, off. */
    REHEARSE_LOSE_DATABASE,   /* The host of a group that another needs, off. */
    REHEARSE_LOSE_CONTROLLER, /* Killed; back after a minute. */
    REHEARSE_LOSE_NETWORK,    /* The controller reaches nothing for two minutes. */
};
enum rehearse_during {
    REHEARSE_DURING_REST,
    REHEARSE_DURING_START,   /* Made from nothing. */
    REHEARSE_DURING_CHANGE,  /* A role of every group in a pool changes. */
    REHEARSE_DURING_SCALE,   /* Every group in a pool goes to its max, and back. */
    REHEARSE_DURING_REFRESH, /* Every instance of every group in a pool is replaced. */
};
/* All words, NULL-terminated, in the order of the enums: what --lose and --during take. */
extern const char *const rehearse_losses[];
extern const char *const rehearse_durings[];

struct rehearse_options {
    enum rehearse_loss loss;
    size_t zone; /* With LOSE_ZONE: in spec->zones; SPEC_NONE: the one with most serving hosts. */
    enum rehearse_during during;
    uint64_t seed;
    /* A line of the timeline; NULL: none. */
    void (*on_line)(void *context, int64_t now_ms, const char *line);
    void *context;
};

struct rehearse_group {
    size_t desired, minimum; /* At the lowest moment. */
    size_t lowest;           /* Fewest that served at a time, once it had served. */
    int64_t lowest_ms;       /* When. */
    size_t serving;          /* At the end. */
    int64_t below_ms;        /* For how long it was below its minimum. */
    bool broken;             /* Its minimum was broken. */
};
struct rehearse_result {
    struct rehearse_group *groups; /* Owned; beside spec->groups. */
    bool served;                   /* It came to serve at all, before anything was lost. */
    bool ended_well;               /* All serve again, and nothing is left to do. */
    int64_t settled_ms;            /* From the loss until then. */
    size_t actions;                /* That had an effect. */
    char stuck[280]; /* What it needs a human for, or waits for, when it did not end well; "". */
};
void rehearse_result_deinit(struct rehearse_result *result);

/* Plays it. RET_RESULT is the caller's, rehearse_result_deinit(). */
void rehearse_run(const struct spec *spec, const struct rehearse_options *options,
                  struct rehearse_result *ret_result);

#endif
