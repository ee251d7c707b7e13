/*
 * May a refresh begin, and where does it lead? Asked by the command before it queues the request
 * and by the controller when it takes it in, of the same records and image directories. Reads
 * files, changes nothing.
 */
#ifndef CONTROLLER_REFRESH_GOAL_H
#define CONTROLLER_REFRESH_GOAL_H

#include "controller/refresh_options.h"
#include "controller/template_version.h"
#include "spec/spec.h"
#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

/* What a group's new instances are made from instead of what the file says; all borrowed. */
struct refresh_pin {
    const char *image;                       /* NULL: no pin. */
    const struct template_version *template; /* What they are made by; NULL: as the file says. */
    bool whole;                              /* Its roles and settings hold too; else the file's. */
    uint64_t content;                        /* 0 with no pin. */
};

/* Of one group; all borrowed. */
struct refresh_known {
    const struct spec *spec;
    const struct template_versions *versions; /* NULL: none are known. */
    size_t group;
    const struct record_instance *const *instances; /* Also those of other groups. */
    size_t instance_count;
    struct refresh_pin pin;            /* refresh_pin() */
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
    char *before_image;                      /* Owned; NULL: not known, so there is no way back. */
    uint64_t before;                         /* 0 then. */
    const struct template_version *template; /* Borrowed; what new ones are made by; NULL: */
    const struct template_version *before_template; /* not known. */
    bool whole; /* Another than the file's was asked for: its roles and settings hold too. */
    bool before_whole;
    size_t members; /* In service, standby or on their way there. */
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
 * What GROUP's new instances are made from by its record (NULL: it has none), borrowed from it and
 * from VERSIONS. There is no pin any more when the file has named another image since, or, where a
 * version is pinned, says something else of it: of all, where its roles and settings hold, else of
 * what an instance is made by.
 */
struct refresh_pin refresh_pin(const struct spec *spec, size_t group,
                               const struct record_group *record,
                               const struct template_versions *versions);
/* What most members in service run, "web@4"; the caller's. NULL: none is, or it is not known. */
char *refresh_runs(const struct refresh_known *known);
/* What a refresh would lead to that RUNS (refresh_runs()) is not: "web@5" is current of the name
   that is pinned, or that the file says; the caller's. NULL: nothing newer. */
char *refresh_newer(const struct refresh_known *known, const char *runs);
/* How many members would be another instance if they were made now, whatever their image. */
size_t refresh_outdated(const struct refresh_known *known);
/* The 64 bits of a record's digest; 0 for NULL. */
uint64_t refresh_content(const char *digest);
/* What the core compares: of its file tree and what else it was made by; 0: not known. */
uint64_t refresh_content_of(const struct record_instance *record);

#endif
