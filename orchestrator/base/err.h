/*
 * A fault: we could not do our work. One line of text, fixed size, no allocation.
 *
 * Functions that can fault return 0 or -1 and take a `struct err *` last. The text is said once
 * where the fault happens and wrapped once by each layer that adds a name:
 *
 *     deploy web-1 to rack-a: open channel: connection reset by peer
 *
 * An err is not for outcomes (a check that failed, a host that refused): those are values.
 * Control bytes, and bytes that are no UTF-8, are replaced when the text is set: an err is always
 * safe to print.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#define ERR_TEXT_SIZE 512

struct err {
    char text[ERR_TEXT_SIZE]; /* NUL-terminated, one line; empty when there is no fault. */
};

#define ERR_NULL ((struct err){.text = ""})

/* Sets the text. Always returns -1, so that `return err_set(e, ...)` reads well. E may be NULL. */
int err_set(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with strerror(ERRNUM) appended after ": ". */
int err_errno(struct err *e, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the text that is there. Always returns -1. */
int err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
