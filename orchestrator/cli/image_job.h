/*
 * The workers behind `image capture`, `diff` and `verify`: one reads a host over SSH into a pipe,
 * another takes the stream out of it; or one alone looks at an image.
 */
#ifndef CLI_IMAGE_JOB_H
#define CLI_IMAGE_JOB_H

#include "cli/session.h"

#include <jansson.h>

struct image_finding {
    char *path; /* Both owned. */
    char *reason;
};

struct image_report {
    struct message result; /* Owned; wire.h's WIRE_TREE and on. */
    struct image_finding *findings;
    size_t finding_count;
    size_t finding_capacity;
    int64_t took_ms;
};
#define IMAGE_REPORT_NULL ((struct image_report){.findings = NULL})
void image_report_deinit(struct image_report *report);
/* A JSON text of the report, decoded; the caller's. */
json_t *image_report_json(const struct image_report *report, enum wire_tag tag);
/* The roles that the file gives to RECORD's group now; the caller's. */
json_t *image_job_roles(const struct session *session, const struct record_instance *record);
void image_report_print_findings(const struct image_report *report);

/* All of MEMBER's files. PATH: the image file to make of them, and IDENTITY its line
   (image/identity.h); NULL, both: they are only looked at. */
int image_job_read_host(const struct session *session, size_t member, const char *path,
                        const char *identity, struct image_report *ret_report, struct err *e);
/* PATH, an image's file or a directory. STRICT: it is sealed already. */
int image_job_look(const struct session *session, const char *path, bool strict,
                   struct image_report *ret_report, struct err *e);

#endif
