/*
 * How everything stands, for `status`, `why` and `group list`: what the running controller
 * believes, as it told the store; or, when none runs, what is seen now. One form for both, so that
 * there is one way to print it.
 */
#ifndef CLI_STANDING_H
#define CLI_STANDING_H

#include "cli/cli.h"
#include "cli/group_request.h"
#include "controller/site.h"
#include "store/record.h"
#include "store/record_view.h"

#include <jansson.h>

struct str;

struct standing {
    struct site site;
    bool told;   /* By a controller that runs; else it was looked at just now. */
    char *owner; /* Of the lock: "run on host7, pid 4711"; NULL: nobody acts. */
    int64_t since_ms;
    int64_t epoch;   /* What views count. */
    int64_t wall_ms; /* When all this was read. */
    size_t waiting;  /* Requests that wait to be taken in. */
    struct record_instance *instances;
    size_t instance_count;
    struct record_group *groups;
    size_t group_count;
    struct record_refresh *refreshes;
    size_t refresh_count;
    struct template_versions versions;
    struct record_action *actions; /* Under way, when a controller runs. */
    size_t action_count;
    struct record_view *views;
    size_t view_count;
};

/* CLI_DONE, or the exit status after the error was told. */
int standing_read(struct standing *ret_standing, const struct cli *cli);
void standing_deinit(struct standing *standing);

/* NULL: nothing was told of it yet. */
const struct record_view *standing_of_instance(const struct standing *s, const char *id);
const struct record_view *standing_of_group(const struct standing *s, size_t group);
const struct record_view *standing_of_cluster(const struct standing *s);
struct group_known standing_known(const struct standing *s);

/* The group of INSTANCE in the spec, or SPEC_NONE; and whether it is in a pool. */
size_t standing_group(const struct standing *s, const struct record_instance *instance);
bool standing_in_pool(const struct standing *s, const struct record_instance *instance);
/* Its instances that count: not leaving, not detached. */
size_t standing_members(const struct standing *s, size_t group);

/* What is not good about an instance, in words; nothing is added when all is well. */
void standing_remark(const struct standing *s, const struct record_instance *instance,
                     struct str *text);
/* "; breaker open; paused; suspended: launch", and the hold; nothing when there is nothing. */
void standing_group_remark(const struct standing *s, size_t group, struct str *text);
/* "newer image web@5 is current; ..." where the group runs an older one; else nothing is added. */
void standing_add_newer(const struct standing *s, size_t group, struct str *text);
/* Which version of its template a group is pinned to, and how many are of another than new ones;
   nothing where all is as the file says. */
void standing_add_version(const struct standing *s, size_t group, struct str *text);
/* "made by template web version 2, from web@3"; nothing where it is not known. */
void standing_add_made_by(const struct standing *s, const struct record_instance *instance,
                          struct str *text);
/* All of a group's numbers and switches. */
json_t *standing_group_to_json(const struct standing *s, size_t group);
/* "as run on host7, pid 4711, sees it" */
void standing_source(const struct standing *s, struct str *text);

#endif
