/*
 * Whose an instance is: what we write where it lives, so that it is found again and never taken for
 * another's (S25). On a hypervisor it stands twice: in the instance's directory (the first thing
 * made, the last removed) and in the domain's metadata.
 */
#ifndef PROVIDER_MARK_H
#define PROVIDER_MARK_H

#include "base/str.h"

struct err;

struct mark {
    char *cluster; /* All owned; never NULL in a mark that was read. */
    char *id;
    char *group;
    char *zone;
    char *address;   /* What it was made with, "10.77.1.10". */
    char *directory; /* Its own directory on the hypervisor. */
};

#define MARK_NULL ((struct mark){.cluster = NULL})

void mark_deinit(struct mark *mark); /* Idempotent. */

/* The member that NAME ("cluster") names, NULL when there is none such; and the NUMBERth's name. */
char **mark_member(struct mark *mark, const char *name);
const char *mark_member_name(unsigned number); /* NULL after the last. */

/* Adds it as lines "cluster=shop". Values must have no newline: names, addresses, paths do not. */
void mark_render(const struct mark *mark, struct str *ret_text);
/* *ret_mark is the caller's. Faults when a member is missing or a line is not one of these. */
int mark_parse(const char *text, struct mark *ret_mark, struct err *e);
/* Faults unless every member is set. */
int mark_check_whole(const struct mark *mark, struct err *e);

#endif
