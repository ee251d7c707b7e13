/*
 * May a refresh begin, and where does it lead? Asked by the command before it queues the request
 * and by the controller when it takes it in, of the same records and image directories. Reads
 * files, changes nothing.
 */
#ifndef CONTROLLER_REFRESH_GOAL_H
#define CONTROLLER_REFRESH_GOAL_H

#include "controller/refresh_options.h"
#include "spec/spec.h"
#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

/* Of one group; all borrowed. */
struct refresh_known {
    const struct spec *spec;
    size_t group;
    const struct record_instance *const *instances; /* Also those of other groups. */
    size_t instance_count;
    const char *pinned; /* refresh_pin() */
    uint64_t pinned_content;
    const struct record_refresh *last; /* Under way, or the last; NULL: there was none. */
};

enum refresh_answer {
    REFRESH_BEGINS,
    REFRESH_NOTHING, /* All is so already; E says what. */
    REFRESH_UNKNOWN, /* No such image, or it cannot be trusted. */
    REFRESH_REFUSED,
};

struct refresh_goal {
    char *image; /* Owned: "web@4"; a name alone is a plain directory. */
    uint64_t wanted;
    char *before_image; /* Owned; NULL: not known, so there is no way back. */
    uint64_t before;    /* 0 then. */
    size_t members;     /* In service, standby or on their way there. */
    size_t to_replace;
};
#define REFRESH_GOAL_NULL ((struct refresh_goal){.image = NULL})
void refresh_goal_deinit(struct refresh_goal *goal); /* Idempotent. */

/* On REFRESH_BEGINS *ret_goal is the caller's; else E says why. */
enum refresh_answer refresh_goal_find(const struct refresh_known *known,
                                      const struct refresh_options *options,
                                      struct refresh_goal *ret_goal, struct err *e);

/* May KIND (REFRESH_CONTINUE, _CANCEL, _ROLLBACK) be done to LAST (NULL: there was none)? */
enum refresh_answer refresh_goal_order(const struct record_refresh *last, const char *group,
                                       enum record_request_kind kind, struct err *e);

/* Compares every byte of IMAGE ("web@4") with what was signed, wherever the group's providers have
   it. Takes long: not for the controller's loop. */
int refresh_goal_verify(const struct spec *spec, size_t group, const char *image, struct err *e);

/*
 * What GROUP's new instances are made from by its record (NULL: it has none) instead of what the
 * file says: borrowed from it. NULL when there is no such pin, or the file has named another image
 * since.
 */
const char *refresh_pin(const struct spec *spec, size_t group, const struct record_group *record,
                        uint64_t *ret_content);
/* What most members in service run, "web@4"; the caller's. NULL: none is, or it is not known. */
char *refresh_runs(const struct refresh_known *known);
/* What a refresh would lead to that RUNS (refresh_runs()) is not: "web@5" is current of the name
   that is pinned, or that the file says; the caller's. NULL: nothing newer. */
char *refresh_newer(const struct refresh_known *known, const char *runs);
/* The 64 bits of a record's digest; 0 for NULL. */
uint64_t refresh_content(const char *digest);

#endif
