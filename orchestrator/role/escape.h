/* Values escaped for where they land: `escape =` of a [file], and shell words in commands. */
#ifndef ROLE_ESCAPE_H
#define ROLE_ESCAPE_H

#include "base/str.h"

#include <stddef.h>

enum escape {
    ESCAPE_NONE,
    ESCAPE_HTML,    /* Text and quoted attributes. */
    ESCAPE_PHP,     /* Inside '...'. */
    ESCAPE_SQL,     /* Inside '...'. */
    ESCAPE_INI,     /* Inside "...". */
    ESCAPE_SHELL,   /* One word, with its quotes. */
    ESCAPE_HAPROXY, /* One word, special characters after a backslash. */
};

/* "html" and so on; -1 when NAME is none. */
int escape_from_string(const char *name, enum escape *ret_escape);
/* All names, for messages; the count is returned. */
size_t escape_names(const char *const **ret_names);

/* Adds TEXT, escaped. Returns NULL, or why it cannot be written there. */
const char *escape_add(struct str *out, enum escape escape, const char *text);

#endif
