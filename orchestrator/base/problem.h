/*
 * A list of what is wrong with files a user wrote: all of it is collected and told, not the first.
 * Each problem is one line: what, where (file:line), what to do.
 */
#ifndef BASE_PROBLEM_H
#define BASE_PROBLEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct problem {
    char *file;    /* Owned; as the user named it. May be NULL when no file is at fault. */
    unsigned line; /* From 1; 0 when it concerns the file as a whole. */
    char *text;    /* Owned; one printable line, e.g. "min: expected a number from 0 to 10000, got
                      'two'". */
};

struct problem_list {
    struct problem *items; /* Owned; in the order found until problem_list_sort(). */
    size_t count;
    size_t capacity;
};

#define PROBLEM_LIST_NULL ((struct problem_list){.items = NULL})

void problem_list_deinit(struct problem_list *list);
void problem_add(struct problem_list *list, const char *file, unsigned line, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
/* By file (first seen first), then line; stable. */
void problem_list_sort(struct problem_list *list);
/* Writes "FILE:LINE: TEXT" lines. */
void problem_list_print(const struct problem_list *list, FILE *out);

#endif
