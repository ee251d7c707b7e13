#include "base/log.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One process, one standard error: the three file-scope variables of this file. */
static enum log_level least_level = LOG_LEVEL_INFO;
static void (*line_hook)(void *context, bool before);
static void *line_hook_context;

void log_set_level(enum log_level level)
{
    least_level = level;
}

void log_set_hook(void (*hook)(void *context, bool before), void *context)
{
    line_hook = hook;
    line_hook_context = context;
}

__attribute__((format(printf, 2, 0))) static void write_line(enum log_level level,
                                                             const char *format, va_list args)
{
    if (level < least_level) {
        return;
    }
    char text[4096];
    vsnprintf(text, sizeof(text), format, args);
    struct str line = STR_NULL;
    str_add(&line, level == LOG_LEVEL_ERROR     ? "error: "
                   : level == LOG_LEVEL_WARNING ? "warning: "
                                                : "");
    str_add_printable(&line, text, strlen(text), true);
    str_add_char(&line, '\n');
    if (line_hook != NULL) {
        line_hook(line_hook_context, true);
    }
    fwrite(str_text(&line), 1, line.length, stderr);
    fflush(stderr);
    if (line_hook != NULL) {
        line_hook(line_hook_context, false);
    }
    str_deinit(&line);
}

#define DEFINE_LOG(name, level)                                                                    \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        write_line(level, format, args);                                                           \
        va_end(args);                                                                              \
    }

DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
