#include "base/problem.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void problem_list_deinit(struct problem_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].file);
        free(list->items[i].text);
    }
    free(list->items);
    *list = PROBLEM_LIST_NULL;
}

void problem_add(struct problem_list *list, const char *file, unsigned line, const char *format,
                 ...)
{
    va_list args;
    va_start(args, format);
    char *raw = NULL;
    int length = vasprintf(&raw, format, args);
    va_end(args);
    if (length < 0) {
        abort();
    }
    /* What a file says ends up in these texts: it must not move the admin's cursor. */
    struct str text = STR_NULL;
    str_add_printable(&text, raw, (size_t)length, false);
    free(raw);

    size_t i = xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
    list->items[i] = (struct problem){.file = xcopy(file), .line = line, .text = str_take(&text)};
}

/* The first problem of the same file: files are sorted in the order in which they came up. */
static size_t file_rank(const struct problem_list *list, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (text_equal(list->items[i].file, list->items[index].file)) {
            return i;
        }
    }
    return index;
}

struct sort_item {
    size_t rank;
    size_t index;
    struct problem problem;
};

static int compare(const void *left, const void *right)
{
    const struct sort_item *a = left;
    const struct sort_item *b = right;
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    if (a->problem.line != b->problem.line) {
        return a->problem.line < b->problem.line ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

void problem_list_sort(struct problem_list *list)
{
    struct sort_item *sorted = xcalloc(list->count, sizeof(*sorted));
    for (size_t i = 0; i < list->count; i++) {
        sorted[i] =
            (struct sort_item){.rank = file_rank(list, i), .index = i, .problem = list->items[i]};
    }
    qsort(sorted, list->count, sizeof(*sorted), compare);
    for (size_t i = 0; i < list->count; i++) {
        list->items[i] = sorted[i].problem;
    }
    free(sorted);
}

static void print_name(const char *name, FILE *out)
{
    struct str text = STR_NULL;
    str_add_printable(&text, name, strlen(name), false);
    fputs(str_text(&text), out);
    str_deinit(&text);
}

void problem_list_print(const struct problem_list *list, FILE *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct problem *p = &list->items[i];
        if (p->file != NULL) {
            print_name(p->file, out);
            if (p->line > 0) {
                fprintf(out, ":%u", p->line);
            }
            fputs(": ", out);
        }
        fprintf(out, "%s\n", p->text);
    }
}
