/* The one quoting function for words of an HAProxy configuration. Private to this room. */
#ifndef FRONTEND_HAPROXY_WORD_H
#define FRONTEND_HAPROXY_WORD_H

#include <stdbool.h>

struct str;

/* Whether TEXT can stand in a configuration at all: printable ASCII, at most 255 bytes. A line
   break cannot be written in any quoting of HAProxy's. */
bool haproxy_word_is_safe(const char *text);

/*
 * Adds TEXT (must be safe) as one word: as it is when it has only letters, digits and "_./:@,-",
 * else in strong quotes, in which no byte has a meaning.
 */
void haproxy_add_word(struct str *s, const char *text);

/* The same where HAProxy expects a log format: "%" is doubled too. */
void haproxy_add_format_word(struct str *s, const char *text);

#endif
