/*
 * `lamplighter group ...`: from words to a request, and what can be said against it before it is
 * queued. The controller checks again when it takes it in (controller/requests.c), because the
 * world may have moved on; what is refused here is refused there too.
 */
#ifndef CLI_GROUP_REQUEST_H
#define CLI_GROUP_REQUEST_H

#include "controller/template_version.h"
#include "spec/spec.h"
#include "store/record.h"

struct err;

/* What the store and the file know; borrowed. */
struct group_known {
    const struct spec *spec;
    const struct record_instance *instances;
    size_t instance_count;
    const struct record_group *groups;
    size_t group_count;
    const struct record_refresh *refreshes;
    size_t refresh_count;
    const struct template_versions *versions; /* NULL: none are known. */
};

enum group_answer {
    GROUP_OK,
    GROUP_USAGE,   /* The words make no request. */
    GROUP_UNKNOWN, /* No such instance, group or machine. */
    GROUP_REFUSED, /* It is known, and what is asked cannot be. */
};

/*
 * The request that the words after `group` make. On GROUP_OK *ret_request is the caller's; else E
 * says what was expected, with the nearest word.
 */
enum group_answer group_request_parse(int argc, char **argv, bool shrink,
                                      struct record_request *ret_request, struct err *e);
/* May it be queued? Replaces a machine's name by its instance's id, the cluster's by NULL. */
enum group_answer group_request_check(const struct group_known *known,
                                      struct record_request *request, struct err *e);

/* How many instances group GROUP of the spec wants: the file's number, or one set by hand since. */
unsigned group_desired(const struct group_known *known, size_t group);
/* Its record; NULL: it has none yet. */
const struct record_group *group_record(const struct group_known *known, size_t group);

#endif
