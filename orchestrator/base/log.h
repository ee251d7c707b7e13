/*
 * What the shell tells the admin: plain lines on standard error, one a fact. Only the shell
 * (controller, cli, main) logs; base, core and the rooms below it return errors instead.
 * Text is stripped of control bytes. There is no way to hand it a struct secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* The least level that is printed; INFO at start, DEBUG with --verbose. */
void log_set_level(enum log_level level);
/* A hook called before and after each line, so that a live display can step aside; NULL for none.
 */
void log_set_hook(void (*hook)(void *context, bool before), void *context);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
