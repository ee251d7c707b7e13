/*
 * A command line as words, without a shell: split at blanks; '...' holds anything, "..." anything
 * but that \" and \\ stand for one character, a backslash elsewhere takes the next character as it
 * is. No variable, no pattern, no redirection: who wants those writes sh -c '...'.
 */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stddef.h>

struct err;

/* *ret_words (the caller's, words_free()) ends with NULL. Faults on an open quote, and on no word.
 */
int words_split(const char *line, char ***ret_words, size_t *ret_count, struct err *e);
void words_free(char **words); /* NULL is fine. */

#endif
