/*
 * What an operator asks of a refresh: the options of `group refresh`, as text in a request
 * (store/record.h) and back. Both sides check: a request may come from an older or a newer command.
 */
#ifndef CONTROLLER_REFRESH_OPTIONS_H
#define CONTROLLER_REFRESH_OPTIONS_H

#include "core/world.h"

struct err;

#define REFRESH_ALARM_EVERY_MS     10000
#define REFRESH_ALARM_EVERY_MS_MIN 1000
#define REFRESH_ALARM_LIMIT_MS     30000

struct refresh_options {
    char *image;       /* Owned; "web", "web@4"; NULL: the template's, at its current generation. */
    unsigned template; /* To this version of its template; 0: to the file's. */
    bool all;          /* Also members that have the image already. */
    bool no_rollback;
    bool allow_downgrade;
    int64_t warm_up_ms;
    int64_t bake_ms;
    unsigned checkpoints[WORLD_CHECKPOINTS_MAX]; /* Percent, ascending. */
    size_t checkpoint_count;
    int64_t checkpoint_delay_ms; /* -1: until an operator says go on. */
    char *alarm;                 /* Owned; one line of words (base/words.h); NULL: none. */
    int64_t alarm_every_ms; /* It has as long for its answer, at most REFRESH_ALARM_LIMIT_MS. */
    enum world_refresh_policy protected_ones;
    enum world_refresh_policy standby_ones;
};
#define REFRESH_OPTIONS_NULL                                                                       \
    ((struct refresh_options){.checkpoint_delay_ms = -1, .alarm_every_ms = REFRESH_ALARM_EVERY_MS})
void refresh_options_deinit(struct refresh_options *options); /* Idempotent. */

/* "20,50" */
int refresh_options_set_checkpoints(struct refresh_options *options, const char *text,
                                    struct err *e);
/* "wait", "replace", "ignore" */
int refresh_policy_from_string(const char *text, enum world_refresh_policy *ret_policy,
                               struct err *e);
/* Do they make sense, each and together? */
int refresh_options_check(const struct refresh_options *options, struct err *e);

/* One line of JSON, the caller's. */
char *refresh_options_to_text(const struct refresh_options *options);
/* Of TEXT (NULL: none are set), checked. What it does not know is a fault: that was asked for. */
int refresh_options_from_text(const char *text, struct refresh_options *ret_options, struct err *e);

#endif
