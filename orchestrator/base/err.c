#include "base/err.h"

#include <stdio.h>
#include <string.h>

/* A text that a host or a file had a part in must not move the admin's cursor. */
static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++) {
        if (*p == '\n' || *p == '\t') {
            *p = ' ';
        } else if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
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
