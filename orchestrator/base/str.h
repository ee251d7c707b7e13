/*
 * A growing byte string, always NUL-terminated (bytes may include NUL; `length` tells), and the
 * few helpers for text that every room needs.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    char *text;      /* Owned; NULL while nothing was ever added. Read it with str_text(). */
    size_t length;   /* Bytes, without the terminating NUL. */
    size_t capacity; /* Bytes allocated. */
};

#define STR_NULL ((struct str){.text = NULL})

void str_deinit(struct str *s);
/* The text, "" when empty; borrowed, valid until the next change. */
const char *str_text(const struct str *s);
/* Hands the text over to the caller, who frees it; S is empty afterwards. */
char *str_take(struct str *s);
/* Empties S but keeps its memory. */
void str_clear(struct str *s);

void str_add(struct str *s, const char *text);
void str_add_bytes(struct str *s, const void *bytes, size_t length);
void str_add_char(struct str *s, char c);
void str_addf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first COUNT bytes. */
void str_drop(struct str *s, size_t count);
/* Removes white space at both ends. */
void str_trim(struct str *s);

/*
 * Adds TEXT as one word for a POSIX shell: the one quoting function for shell words. The result is
 * always single-quoted, so no byte of it is ever interpreted.
 */
void str_add_shell(struct str *s, const char *text);

/*
 * Adds BYTES for a log or a terminal: printable ASCII and valid UTF-8 as they are, tab as a space,
 * newline kept when KEEP_LINES, every other control byte dropped, anything invalid as '?'.
 */
void str_add_printable(struct str *s, const void *bytes, size_t length, bool keep_lines);
/* The length of the valid UTF-8 sequence at BYTES (at most LEFT, not 0) above ASCII; 0 when there
   is none, or when it is a control. */
size_t text_utf8_length(const void *bytes, size_t left);
/* As many of the LENGTH bytes of TEXT as fill COLUMNS; a character of UTF-8, never cut, is taken
   for one column. */
size_t text_fit(const char *text, size_t length, size_t columns);

/* The whole of a file; faults on more than MAX bytes. */
struct err;
int str_read_file(struct str *s, const char *path, size_t max, struct err *e);

bool text_equal(const char *a, const char *b); /* NULL equals NULL only. */
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
/* A name as the cluster file wants it: [a-z0-9][a-z0-9-]{0,62}. */
bool text_is_name(const char *text);
/* A whole decimal number in MIN..MAX; false when TEXT is anything else. */
bool text_to_int(const char *text, int64_t min, int64_t max, int64_t *ret_number);
/* Copies into a fixed buffer, cut to fit between two characters, always NUL-terminated. */
void text_copy(char *ret_text, size_t size, const char *text);

/*
 * The word of WORDS (COUNT of them) nearest to TEXT by edit distance, or NULL when none is near
 * enough to be what the user meant (more than a third of its letters differ).
 */
const char *text_nearest(const char *text, const char *const *words, size_t count);

#endif
