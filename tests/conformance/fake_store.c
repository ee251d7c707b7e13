#include "fake_store.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct item {
    struct store_entry entry;
    bool damaged;
};

struct fake_store {
    struct item *items; /* Owned; ascending by key. */
    size_t count;
    size_t capacity;
    int64_t revision;
    unsigned handles;
    unsigned fail_in; /* Commits until one fails; 0: none will. */
    enum fake_store_failure failure;
};

/* Where KEY is, or where it would be. */
static size_t find(const struct fake_store *space, const char *key, bool *ret_found)
{
    size_t i = 0;
    while (i < space->count && strcmp(space->items[i].entry.key, key) < 0) {
        i++;
    }
    *ret_found = i < space->count && strcmp(space->items[i].entry.key, key) == 0;
    return i;
}

static void *copy_bytes(const void *bytes, size_t length)
{
    void *copy = xcalloc(length, 1);
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

static int read_item(const struct item *item, struct store_entry *ret_entry, struct err *e)
{
    if (item->damaged) {
        return err_set(e, "fake store: %s: damaged", item->entry.key);
    }
    *ret_entry = item->entry;
    ret_entry->key = xstrdup(item->entry.key);
    ret_entry->value = copy_bytes(item->entry.value, item->entry.length);
    return 0;
}

static int fake_get(void *context, const char *key, bool *ret_found, struct store_entry *ret_entry,
                    struct err *e)
{
    struct fake_store *space = context;
    bool found;
    size_t i = find(space, key, &found);
    if (found && read_item(&space->items[i], ret_entry, e) != 0) {
        return -1;
    }
    *ret_found = found;
    return 0;
}

static int fake_range(void *context, const char *prefix, const char *after, bool reverse,
                      size_t limit, struct store_entry **ret_entries, size_t *ret_count,
                      struct err *e)
{
    struct fake_store *space = context;
    struct store_entry *entries = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < space->count && (limit == 0 || count < limit); i++) {
        const struct item *item = &space->items[reverse ? space->count - 1 - i : i];
        if (!text_starts(item->entry.key, prefix) ||
            (after != NULL && strcmp(item->entry.key, after) <= 0)) {
            continue;
        }
        struct store_entry entry;
        if (read_item(item, &entry, e) != 0) {
            store_entries_free(entries, count);
            return -1;
        }
        size_t at = xgrow((void **)&entries, &count, &capacity, sizeof(*entries));
        entries[at] = entry;
    }
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

static void remove_item(struct fake_store *space, size_t i)
{
    store_entry_deinit(&space->items[i].entry);
    memmove(&space->items[i], &space->items[i + 1], (space->count - i - 1) * sizeof(*space->items));
    space->count--;
}

static void put_item(struct fake_store *space, const struct store_write *write, int64_t revision)
{
    bool found;
    size_t i = find(space, write->key, &found);
    if (!found) {
        xgrow((void **)&space->items, &space->count, &space->capacity, sizeof(*space->items));
        memmove(&space->items[i + 1], &space->items[i],
                (space->count - i - 1) * sizeof(*space->items));
        space->items[i] = (struct item){
            .entry = {.key = xstrdup(write->key), .created = revision},
        };
    }
    struct store_entry *entry = &space->items[i].entry;
    free(entry->value);
    entry->value = copy_bytes(write->value, write->length);
    entry->length = write->length;
    entry->revision = revision;
}

static bool write_all(struct fake_store *space, const struct store_write *writes, size_t count,
                      int64_t revision)
{
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        bool found;
        size_t at = find(space, writes[i].key, &found);
        if (writes[i].value != NULL) {
            put_item(space, &writes[i], revision);
        } else if (found) {
            remove_item(space, at);
        }
        changed = changed || found || writes[i].value != NULL;
    }
    return changed;
}

static int compare_all(const struct fake_store *space, const struct store_compare *compares,
                       size_t count, bool *ret_equal, struct err *e)
{
    bool equal = true;
    for (size_t i = 0; i < count; i++) {
        bool found;
        size_t at = find(space, compares[i].key, &found);
        if (found && space->items[at].damaged) {
            return err_set(e, "fake store: %s: damaged", compares[i].key);
        }
        equal = equal && compares[i].revision == (found ? space->items[at].entry.revision : 0);
    }
    *ret_equal = equal;
    return 0;
}

static int fake_commit(void *context, const struct store_compare *compares, size_t compare_count,
                       const struct store_write *writes, size_t write_count,
                       enum store_outcome *ret_outcome, int64_t *ret_revision, struct err *e)
{
    struct fake_store *space = context;
    bool fails = space->fail_in == 1;
    space->fail_in -= space->fail_in > 0 ? 1 : 0;
    if (fails && space->failure == FAKE_STORE_FAIL_BEFORE) {
        return err_set(e, "fake store: failed before the write, as told");
    }
    bool equal;
    if (compare_all(space, compares, compare_count, &equal, e) != 0) {
        return -1;
    }
    if (equal && write_all(space, writes, write_count, space->revision + 1)) {
        space->revision++;
    }
    if (fails) {
        return err_set(e, "fake store: failed after the write, as told");
    }
    *ret_outcome = equal ? STORE_DONE : STORE_CONFLICT;
    *ret_revision = space->revision;
    return 0;
}

static int fake_revision(void *context, int64_t *ret_revision, struct err *e)
{
    (void)e;
    *ret_revision = ((struct fake_store *)context)->revision;
    return 0;
}

static void fake_close(void *context)
{
    struct fake_store *space = context;
    assert(space->handles > 0);
    space->handles--;
}

static const struct store_ops fake_ops = {
    .name = "fake",
    .close = fake_close,
    .get = fake_get,
    .range = fake_range,
    .commit = fake_commit,
    .revision = fake_revision,
};

struct fake_store *fake_store_new(void)
{
    return xcalloc(1, sizeof(struct fake_store));
}

void fake_store_free(struct fake_store *space)
{
    if (space == NULL) {
        return;
    }
    assert(space->handles == 0);
    for (size_t i = 0; i < space->count; i++) {
        store_entry_deinit(&space->items[i].entry);
    }
    free(space->items);
    free(space);
}

struct store fake_store_open(struct fake_store *space)
{
    space->handles++;
    return (struct store){.ops = &fake_ops, .context = space};
}

void fake_store_damage(struct fake_store *space, const char *key)
{
    bool found;
    size_t i = find(space, key, &found);
    assert(found);
    space->items[i].damaged = true;
}

void fake_store_fail(struct fake_store *space, unsigned count, enum fake_store_failure failure)
{
    space->fail_in = count;
    space->failure = failure;
}
