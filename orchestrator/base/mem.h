/*
 * Allocation that does not fail: out of memory aborts. State is durable before every effect, so a
 * crash is just a restart, and no caller has to carry a path that nobody ever tests.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Zeroed memory for COUNT items of SIZE bytes. The caller frees it with free(). */
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* Grows or shrinks MEM to COUNT items of SIZE bytes; new bytes are not zeroed. */
void *xrealloc(void *mem, size_t count, size_t size) __attribute__((returns_nonnull));

/* A copy of TEXT, or of its first LENGTH bytes, NUL-terminated; the caller frees it. */
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t length) __attribute__((malloc, returns_nonnull));

/* xstrdup(), but a NULL stays NULL. */
char *xcopy(const char *text) __attribute__((malloc));
/* Puts a copy of FRESH (NULL: nothing), which may be *TEXT itself, in place of *TEXT, and frees
   that. */
void xreplace(char **text, const char *fresh);

/* printf into fresh memory; the caller frees it. */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/*
 * Makes room for one more item at the end of a growing array and returns its index; the new item
 * is zeroed. ITEMS is a pointer to the array pointer, COUNT and CAPACITY are its size_t members.
 *     size_t i = xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
 */
size_t xgrow(void **items, size_t *count, size_t *capacity, size_t item_size);

#endif
