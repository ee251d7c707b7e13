/* HAProxy's configuration file on its host: read, replaced whole, or only a server line of it
   changed. Private to this room. */
#ifndef FRONTEND_HAPROXY_FILE_H
#define FRONTEND_HAPROXY_FILE_H

#include "base/str.h"

#include <stdbool.h>

struct err;
struct haproxy_host;

/* The file's text; empty when there is none. */
int haproxy_file_read(const struct haproxy_host *host, struct str *ret_text, struct err *e);

struct haproxy_install {
    const struct str *text;
    const struct str *expected; /* What must be there now; NULL: anything. */
    bool trusted;               /* Was in service before: goes in without `haproxy -c`. */
};
/*
 * Puts TEXT in the place of the file in one step, after `haproxy -c` has accepted it. *ret_raced:
 * something else than EXPECTED was there; nothing was changed. Faults with HAProxy's own words.
 */
int haproxy_file_install(const struct haproxy_host *host, const struct haproxy_install *install,
                         bool *ret_raced, struct err *e);

/* The same check, and nothing else. */
int haproxy_file_check(const struct haproxy_host *host, const struct str *text, struct err *e);

/*
 * Makes POOL's server line of ID say ADDRESS, or go when ADDRESS is NULL, whatever else was changed
 * in the file meanwhile. A file that has it so is left alone.
 */
int haproxy_file_set_member(const struct haproxy_host *host, const char *pool, const char *id,
                            const char *address, struct err *e);

/* What HAProxy complained of in TEXT (its "[ALERT]" lines, the one that names the cause). */
void haproxy_add_complaint(struct str *s, const struct str *text);

#endif
