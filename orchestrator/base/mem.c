#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
    static const char text[] = "lamplighter: out of memory\n";
    fwrite(text, 1, sizeof(text) - 1, stderr);
    abort();
}

void *xcalloc(size_t count, size_t size)
{
    void *mem = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (mem == NULL) {
        out_of_memory();
    }
    return mem;
}

void *xrealloc(void *mem, size_t count, size_t size)
{
    void *bigger = reallocarray(mem, count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (bigger == NULL) {
        out_of_memory();
    }
    return bigger;
}

char *xstrndup(const char *text, size_t length)
{
    char *copy = strndup(text, length);
    if (copy == NULL) {
        out_of_memory();
    }
    return copy;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xcopy(const char *text)
{
    return text == NULL ? NULL : xstrdup(text);
}

void xreplace(char **text, const char *fresh)
{
    char *copy = xcopy(fresh);
    free(*text);
    *text = copy;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) {
        out_of_memory();
    }
    va_end(args);
    return text;
}

size_t xgrow(void **items, size_t *count, size_t *capacity, size_t item_size)
{
    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 8 : *capacity * 2;
        *items = xrealloc(*items, *capacity, item_size);
    }
    size_t index = (*count)++;
    memset((char *)*items + index * item_size, 0, item_size);
    return index;
}
