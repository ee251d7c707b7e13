#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX      "group/"
#define CLUSTER_KEY "cluster/state"

/* Stored: append only. */
enum group_tag {
    GROUP_NAME = 1,
    GROUP_DESIRED = 2,
    GROUP_FILE_DESIRED = 3,
    GROUP_SUSPENDED = 4,
    GROUP_PAUSED = 5,
    GROUP_NEXT_NUMBER = 6,
    GROUP_FAILED_LAUNCHES = 7,
    GROUP_SIZE_CHANGED = 8,
    GROUP_DISRUPTED = 9,
    GROUP_IMAGE = 10,
    GROUP_IMAGE_OF = 11,
    GROUP_CONTENT = 12,
    GROUP_TEMPLATE = 13,
    GROUP_TEMPLATE_OF = 14,
    GROUP_WHOLE = 15,
};
enum cluster_tag {
    CLUSTER_PAUSED = 1,
    CLUSTER_CLEAN = 2,
};

static const struct record_text texts[] = {
    {GROUP_NAME, offsetof(struct record_group, name)},
    {GROUP_IMAGE, offsetof(struct record_group, image)},
    {GROUP_IMAGE_OF, offsetof(struct record_group, image_of)},
    {GROUP_TEMPLATE, offsetof(struct record_group, template)},
    {GROUP_TEMPLATE_OF, offsetof(struct record_group, template_of)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

void record_group_deinit(struct record_group *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_group){.name = NULL};
}

void record_group_encode(const struct record_group *record, struct message *ret_value)
{
    /* What could not be read again must not be written. */
    assert(record->desired >= -1 && record->next_number >= 1 && record->failed_launches >= 0);
    message_init(ret_value, RECORD_GROUP);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    message_put_int(ret_value, GROUP_DESIRED, record->desired);
    message_put_int(ret_value, GROUP_FILE_DESIRED, record->file_desired);
    message_put_int(ret_value, GROUP_SUSPENDED, record->suspended);
    message_put_int(ret_value, GROUP_PAUSED, record->paused);
    message_put_int(ret_value, GROUP_NEXT_NUMBER, record->next_number);
    message_put_int(ret_value, GROUP_FAILED_LAUNCHES, record->failed_launches);
    message_put_int(ret_value, GROUP_SIZE_CHANGED, record->size_changed_ms);
    message_put_int(ret_value, GROUP_DISRUPTED, record->disrupted_ms);
    message_put_int(ret_value, GROUP_CONTENT, (int64_t)record->content);
    message_put_int(ret_value, GROUP_WHOLE, record->whole);
}

/* The number under TAG when it is one from LEAST to INT_MAX; else *WRONG says so. */
static int number_of(const struct message *value, uint16_t tag, int64_t least, int64_t fallback,
                     const char **wrong)
{
    int64_t number = message_int(value, tag, fallback);
    if (number < least || number > INT_MAX) {
        *wrong = "an impossible number";
        return 0;
    }
    return (int)number;
}

int record_group_decode(const struct store_entry *entry, struct record_group *ret_record,
                        struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_GROUP, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_group record = {.revision = entry->revision};
    record_texts_decode(&record, texts, TEXT_COUNT, &value);
    const char *wrong =
        text_equal(record.name, entry->key + strlen(PREFIX)) ? NULL : "the name of another group";
    record.desired = number_of(&value, GROUP_DESIRED, -1, -1, &wrong);
    record.file_desired = (unsigned)number_of(&value, GROUP_FILE_DESIRED, 0, 0, &wrong);
    record.suspended = (unsigned)number_of(&value, GROUP_SUSPENDED, 0, 0, &wrong);
    record.paused = message_int(&value, GROUP_PAUSED, 0) != 0;
    record.next_number = (unsigned)number_of(&value, GROUP_NEXT_NUMBER, 1, 1, &wrong);
    record.failed_launches = number_of(&value, GROUP_FAILED_LAUNCHES, 0, 0, &wrong);
    record.size_changed_ms = message_int(&value, GROUP_SIZE_CHANGED, 0);
    record.disrupted_ms = message_int(&value, GROUP_DISRUPTED, 0);
    record.content = (uint64_t)message_int(&value, GROUP_CONTENT, 0);
    record.whole = message_int(&value, GROUP_WHOLE, 0) != 0;
    message_deinit(&value);
    if (wrong != NULL) {
        record_group_deinit(&record);
        return record_value_fault(entry, wrong, e);
    }
    *ret_record = record;
    return 0;
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_group_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_group_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_group), decode, deinit};

int record_group_list(struct store *store, struct record_group **ret_records, size_t *ret_count,
                      struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    *ret_records = records;
    return 0;
}

void record_group_list_free(struct record_group *records, size_t count)
{
    record_list_free(&sort, records, count);
}

/* The cluster as a whole. */

void record_cluster_encode(const struct record_cluster *record, struct message *ret_value)
{
    message_init(ret_value, RECORD_CLUSTER);
    message_put_int(ret_value, CLUSTER_PAUSED, record->paused);
    message_put_int(ret_value, CLUSTER_CLEAN, record->clean_ms);
}

static int decode_cluster(const struct store_entry *entry, struct record_cluster *ret_record,
                          struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_CLUSTER, CLUSTER_KEY, &value, e) != 0) {
        return -1;
    }
    *ret_record = (struct record_cluster){.paused = message_int(&value, CLUSTER_PAUSED, 0) != 0,
                                          .clean_ms = message_int(&value, CLUSTER_CLEAN, 0)};
    message_deinit(&value);
    return 0;
}

int record_cluster_read(struct store *store, bool *ret_found, struct record_cluster *ret_record,
                        struct err *e)
{
    bool found;
    struct store_entry entry = {.key = NULL};
    struct record_cluster record = {.paused = false};
    if (store_get(store, CLUSTER_KEY, &found, &entry, e) != 0) {
        return -1;
    }
    int result = found ? decode_cluster(&entry, &record, e) : 0;
    store_entry_deinit(&entry);
    if (result == 0) {
        *ret_found = found;
        *ret_record = record;
    }
    return result;
}
