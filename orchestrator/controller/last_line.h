/*
 * The last line that a program said, out of a stream that may be of any length and hold anything:
 * printable, capped, lines without words passed over.
 */
#ifndef CONTROLLER_LAST_LINE_H
#define CONTROLLER_LAST_LINE_H

#include "base/str.h"

#define LAST_LINE_MAX 240

struct last_line {
    struct str line; /* Being written: the start of it, as it came. */
    struct str last; /* The last whole one, printable. */
};
#define LAST_LINE_NULL ((struct last_line){.line = STR_NULL, .last = STR_NULL})
void last_line_deinit(struct last_line *last);

/* The number of lines that ended in BYTES, without words or not. */
size_t last_line_add(struct last_line *last, const char *bytes, size_t length);
/* Ends a line without a newline, at the end of the stream. */
void last_line_end(struct last_line *last);
/* Borrowed; "" when there was none with words. */
const char *last_line_text(const struct last_line *last);

#endif
