#include "store/record_value.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Through memcpy(), as the members are known by offset only. */
static char *get_text(const void *record, const struct record_text *text)
{
    char *value;
    memcpy(&value, (const char *)record + text->offset, sizeof(value));
    return value;
}

static void set_text(void *record, const struct record_text *text, char *value)
{
    memcpy((char *)record + text->offset, &value, sizeof(value));
}

void record_texts_encode(const void *record, const struct record_text *texts, size_t count,
                         struct message *value)
{
    for (size_t i = 0; i < count; i++) {
        message_put_text(value, texts[i].tag, get_text(record, &texts[i]));
    }
}

void record_texts_decode(void *record, const struct record_text *texts, size_t count,
                         const struct message *value)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = message_text(value, texts[i].tag, NULL);
        set_text(record, &texts[i], xcopy(text));
    }
}

void record_texts_free(void *record, const struct record_text *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(get_text(record, &texts[i]));
        set_text(record, &texts[i], NULL);
    }
}

int record_value_fault(const struct store_entry *entry, const char *what, struct err *e)
{
    return err_set(e,
                   "state '%s': %s: written by a newer Lamplighter, or damaged; use the newest, or "
                   "put back the last backup",
                   entry->key, what);
}

int record_value_open(const struct store_entry *entry, enum record_kind kind, const char *prefix,
                      struct message *ret_value, struct err *e)
{
    if (strncmp(entry->key, prefix, strlen(prefix)) != 0) {
        return record_value_fault(entry, "not under the key of such a record", e);
    }
    struct message value = MESSAGE_NULL;
    struct err parse = ERR_NULL;
    if (message_parse(&value, entry->value, entry->length, &parse) != 0) {
        message_deinit(&value);
        return record_value_fault(entry, parse.text, e);
    }
    if (message_kind(&value) != kind) {
        message_deinit(&value);
        return record_value_fault(entry, "a record of another kind", e);
    }
    *ret_value = value;
    return 0;
}

int record_list(struct store *store, const struct record_sort *sort, void **ret_records,
                size_t *ret_count, struct err *e)
{
    struct store_entry *entries;
    size_t count;
    if (store_range(store, sort->prefix, NULL, false, 0, &entries, &count, e) != 0) {
        return -1;
    }
    char *records = xcalloc(count, sort->size);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = sort->decode(&entries[i], records + i * sort->size, e);
    }
    store_entries_free(entries, count);
    if (result != 0) {
        record_list_free(sort, records, count);
        return -1;
    }
    *ret_records = records;
    *ret_count = count;
    return 0;
}

void record_list_free(const struct record_sort *sort, void *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sort->deinit((char *)records + i * sort->size);
    }
    free(records);
}
