#include "store/store.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void store_entry_deinit(struct store_entry *entry)
{
    free(entry->key);
    free(entry->value);
    *entry = (struct store_entry){.key = NULL};
}

void store_entries_free(struct store_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        store_entry_deinit(&entries[i]);
    }
    free(entries);
}

static bool is_printable(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            return false;
        }
    }
    return true;
}

/* PREFIX may be empty, a key may not. */
static int check_key(const char *key, bool prefix, struct err *e)
{
    if (key[0] == '\0' && !prefix) {
        return err_set(e, "store: a key is empty");
    }
    if (strlen(key) > STORE_KEY_MAX) {
        return err_set(e, "store: key '%.40s...' is longer than %d bytes", key, STORE_KEY_MAX);
    }
    if (!is_printable(key)) {
        return err_set(e, "store: key '%.80s' has bytes other than printable ASCII", key);
    }
    return 0;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The last of two writes would win in one implementation and be refused by another (etcd). */
static int check_distinct(const struct store_write *writes, size_t count, struct err *e)
{
    const char **keys = xcalloc(count, sizeof(*keys));
    for (size_t i = 0; i < count; i++) {
        keys[i] = writes[i].key;
    }
    qsort(keys, count, sizeof(*keys), compare_text);
    int result = 0;
    for (size_t i = 1; i < count && result == 0; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0) {
            result = err_set(e, "store: key '%s' is written twice in one transaction", keys[i]);
        }
    }
    free(keys);
    return result;
}

static int check_commit(const struct store_compare *compares, size_t compare_count,
                        const struct store_write *writes, size_t write_count, struct err *e)
{
    for (size_t i = 0; i < compare_count; i++) {
        if (check_key(compares[i].key, false, e) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < write_count; i++) {
        if (check_key(writes[i].key, false, e) != 0) {
            return -1;
        }
        if (writes[i].length > STORE_VALUE_MAX) {
            return err_set(e,
                           "store: the value of '%s' has %zu bytes, more than the %d it may have",
                           writes[i].key, writes[i].length, STORE_VALUE_MAX);
        }
    }
    return check_distinct(writes, write_count, e);
}

void store_close(struct store *store)
{
    if (store->ops != NULL) {
        store->ops->close(store->context);
    }
    *store = STORE_NULL;
}

int store_get(struct store *store, const char *key, bool *ret_found, struct store_entry *ret_entry,
              struct err *e)
{
    assert(store->ops != NULL);
    if (check_key(key, false, e) != 0) {
        return -1;
    }
    return store->ops->get(store->context, key, ret_found, ret_entry, e);
}

int store_range(struct store *store, const char *prefix, const char *after, bool reverse,
                size_t limit, struct store_entry **ret_entries, size_t *ret_count, struct err *e)
{
    assert(store->ops != NULL);
    if (check_key(prefix, true, e) != 0 || (after != NULL && check_key(after, true, e) != 0)) {
        return -1;
    }
    return store->ops->range(store->context, prefix, after, reverse, limit, ret_entries, ret_count,
                             e);
}

int store_commit(struct store *store, const struct store_compare *compares, size_t compare_count,
                 const struct store_write *writes, size_t write_count,
                 enum store_outcome *ret_outcome, int64_t *ret_revision, struct err *e)
{
    assert(store->ops != NULL);
    if (check_commit(compares, compare_count, writes, write_count, e) != 0) {
        return -1;
    }
    int64_t revision = 0;
    if (store->ops->commit(store->context, compares, compare_count, writes, write_count,
                           ret_outcome, &revision, e) != 0) {
        return -1;
    }
    if (ret_revision != NULL) {
        *ret_revision = revision;
    }
    return 0;
}

int store_revision(struct store *store, int64_t *ret_revision, struct err *e)
{
    assert(store->ops != NULL);
    return store->ops->revision(store->context, ret_revision, e);
}
