#include "controller/last_line.h"

#include <string.h>

void last_line_deinit(struct last_line *last)
{
    str_deinit(&last->line);
    str_deinit(&last->last);
}

static void take(struct last_line *last)
{
    struct str clean = STR_NULL;
    str_add_printable(&clean, str_text(&last->line), last->line.length, false);
    str_trim(&clean);
    if (clean.length > 0) {
        str_deinit(&last->last);
        last->last = clean;
    } else {
        str_deinit(&clean);
    }
    str_clear(&last->line);
}

size_t last_line_add(struct last_line *last, const char *bytes, size_t length)
{
    size_t lines = 0;
    while (length > 0) {
        const char *newline = memchr(bytes, '\n', length);
        size_t piece = newline == NULL ? length : (size_t)(newline - bytes);
        size_t room = LAST_LINE_MAX - last->line.length;
        str_add_bytes(&last->line, bytes, piece < room ? piece : room);
        if (newline == NULL) {
            break;
        }
        take(last);
        lines++;
        bytes += piece + 1;
        length -= piece + 1;
    }
    return lines;
}

void last_line_end(struct last_line *last)
{
    take(last);
}

const char *last_line_text(const struct last_line *last)
{
    return str_text(&last->last);
}
