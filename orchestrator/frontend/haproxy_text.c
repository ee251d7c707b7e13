#include "frontend/haproxy_text.h"

#include "base/mem.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char server_start[] = "    server ";

void haproxy_server_list_deinit(struct haproxy_server_list *list)
{
    free(list->items);
    *list = HAPROXY_SERVER_LIST_NULL;
}

/* Letters by code, runs of digits by value: web-2 before web-10. */
static int compare_ids(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            size_t length_a = strspn(a, "0123456789");
            size_t length_b = strspn(b, "0123456789");
            if (length_a != length_b) {
                return length_a < length_b ? -1 : 1;
            }
            int order = strncmp(a, b, length_a);
            if (order != 0) {
                return order;
            }
            a += length_a;
            b += length_b;
        } else if (*a != *b) {
            return *a < *b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return *a == *b ? 0 : *a == '\0' ? -1 : 1;
}

/* Where ID is, or where it belongs. */
static size_t place_of(const struct haproxy_server_list *list, const char *id, bool *ret_found)
{
    size_t i = 0;
    while (i < list->count && compare_ids(list->items[i].id, id) < 0) {
        i++;
    }
    *ret_found = i < list->count && strcmp(list->items[i].id, id) == 0;
    return i;
}

void haproxy_server_list_put(struct haproxy_server_list *list, const char *id, const char *address,
                             bool disabled)
{
    bool found;
    size_t at = place_of(list, id, &found);
    if (!found) {
        xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
        memmove(&list->items[at + 1], &list->items[at],
                (list->count - 1 - at) * sizeof(*list->items));
    }
    struct haproxy_server *server = &list->items[at];
    text_copy(server->id, sizeof(server->id), id);
    text_copy(server->address, sizeof(server->address), address);
    server->disabled = disabled;
}

bool haproxy_server_list_remove(struct haproxy_server_list *list, const char *id)
{
    bool found;
    size_t at = place_of(list, id, &found);
    if (found) {
        memmove(&list->items[at], &list->items[at + 1],
                (list->count - at - 1) * sizeof(*list->items));
        list->count--;
    }
    return found;
}

const struct haproxy_server *haproxy_server_list_find(const struct haproxy_server_list *list,
                                                      const char *id)
{
    bool found;
    size_t at = place_of(list, id, &found);
    return found ? &list->items[at] : NULL;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end == NULL ? line + strlen(line) : end + 1;
}

void haproxy_text_skeleton(const char *text, struct str *ret_skeleton)
{
    for (const char *line = text; *line != '\0'; line = next_line(line)) {
        if (!text_starts(line, server_start)) {
            str_add_bytes(ret_skeleton, line, (size_t)(next_line(line) - line));
        }
    }
}

void haproxy_add_servers(struct str *s, const struct haproxy_server_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        str_addf(s, "%s%s %s%s\n", server_start, list->items[i].id, list->items[i].address,
                 list->items[i].disabled ? " disabled" : "");
    }
}

/* The first line after POOL's `backend` line, or NULL. */
static const char *find_backend(const char *text, const char *pool)
{
    static const char start[] = "backend ";
    for (const char *line = text; *line != '\0'; line = next_line(line)) {
        if (text_starts(line, start) && text_starts(line + sizeof(start) - 1, pool) &&
            line[sizeof(start) - 1 + strlen(pool)] == '\n') {
            return next_line(line);
        }
    }
    return NULL;
}

static bool in_section(const char *line)
{
    return *line == ' ';
}

/* The word at *CURSOR into a buffer; false when it does not fit or there is none. */
static bool take_word(const char **cursor, char *ret_word, size_t size)
{
    size_t length = strcspn(*cursor, " \n");
    if (length == 0 || length >= size) {
        return false;
    }
    memcpy(ret_word, *cursor, length);
    ret_word[length] = '\0';
    *cursor += length + ((*cursor)[length] == ' ' ? 1 : 0);
    return true;
}

bool haproxy_text_servers(const char *text, const char *pool, struct haproxy_server_list *ret_list)
{
    const char *line = find_backend(text, pool);
    if (line == NULL) {
        return false;
    }
    for (; in_section(line); line = next_line(line)) {
        if (!text_starts(line, server_start)) {
            continue;
        }
        const char *cursor = line + sizeof(server_start) - 1;
        char id[64];
        char address[64];
        if (take_word(&cursor, id, sizeof(id)) && take_word(&cursor, address, sizeof(address))) {
            haproxy_server_list_put(ret_list, id, address, text_starts(cursor, "disabled\n"));
        }
    }
    return true;
}

void haproxy_text_set_servers(const char *text, const char *pool,
                              const struct haproxy_server_list *list, struct str *ret_text)
{
    const char *section = find_backend(text, pool);
    assert(section != NULL);
    str_add_bytes(ret_text, text, (size_t)(section - text));
    const char *line = section;
    for (; in_section(line); line = next_line(line)) {
        if (!text_starts(line, server_start)) {
            str_add_bytes(ret_text, line, (size_t)(next_line(line) - line));
        }
    }
    haproxy_add_servers(ret_text, list);
    str_add(ret_text, line);
}
