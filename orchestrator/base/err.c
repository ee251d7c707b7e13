#include "base/err.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/*
 * A text that a host or a file had a part in must not move the admin's cursor, and must be UTF-8
 * for JSON. That a sequence is cut off where the room ends is no exception.
 */
static void make_printable(char *text)
{
    size_t left = strlen(text);
    for (unsigned char *p = (unsigned char *)text; left > 0;) {
        size_t wide = *p < 0x80 ? 0 : text_utf8_length(p, left);
        if (*p == '\n' || *p == '\t') {
            *p = ' ';
        } else if (*p < 0x20 || *p == 0x7f || (*p >= 0x80 && wide == 0)) {
            *p = '?';
        }
        wide = wide == 0 ? 1 : wide;
        p += wide;
        left -= wide;
    }
}

int err_set(struct err *e, const char *format, ...)
{
    if (e == NULL) {
        return -1;
    }
    va_list args;
    va_start(args, format);
    char text[ERR_TEXT_SIZE];
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    make_printable(text);
    memcpy(e->text, text, sizeof(text));
    return -1;
}

int err_errno(struct err *e, int errnum, const char *format, ...)
{
    if (e == NULL) {
        return -1;
    }
    va_list args;
    va_start(args, format);
    char text[ERR_TEXT_SIZE];
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return err_set(e, "%s: %s", text, strerror(errnum));
}

int err_wrap(struct err *e, const char *format, ...)
{
    if (e == NULL) {
        return -1;
    }
    va_list args;
    va_start(args, format);
    char prefix[ERR_TEXT_SIZE];
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    char old[ERR_TEXT_SIZE];
    memcpy(old, e->text, sizeof(old));
    return err_set(e, "%s: %s", prefix, old);
}
