#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "action/"

/* Stored: append only. */
enum action_tag {
    ACTION_ID = 1,
    ACTION_KIND = 2,
    ACTION_INSTANCE = 3,
    ACTION_REASON = 4,
    ACTION_EPOCH = 5,
    ACTION_STARTED = 6,
};

static const struct record_text texts[] = {
    {ACTION_ID, offsetof(struct record_action, id)},
    {ACTION_KIND, offsetof(struct record_action, kind)},
    {ACTION_INSTANCE, offsetof(struct record_action, instance)},
    {ACTION_REASON, offsetof(struct record_action, reason)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

void record_action_deinit(struct record_action *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_action){.id = NULL};
}

void record_action_encode(const struct record_action *record, struct message *ret_value)
{
    message_init(ret_value, RECORD_ACTION);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    message_put_int(ret_value, ACTION_EPOCH, record->epoch);
    message_put_int(ret_value, ACTION_STARTED, record->started_ms);
}

int record_action_decode(const struct store_entry *entry, struct record_action *ret_record,
                         struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_ACTION, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_action record = {.revision = entry->revision};
    record_texts_decode(&record, texts, TEXT_COUNT, &value);
    record.epoch = message_int(&value, ACTION_EPOCH, 0);
    record.started_ms = message_int(&value, ACTION_STARTED, 0);
    message_deinit(&value);
    const char *wrong = !text_equal(record.id, entry->key + strlen(PREFIX))
                            ? "the id of another action"
                        : record.kind == NULL ? "no kind"
                                              : NULL;
    if (wrong != NULL) {
        record_action_deinit(&record);
        return record_value_fault(entry, wrong, e);
    }
    *ret_record = record;
    return 0;
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_action_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_action_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_action), decode, deinit};

int record_action_list(struct store *store, struct record_action **ret_records, size_t *ret_count,
                       struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    *ret_records = records;
    return 0;
}

void record_action_list_free(struct record_action *records, size_t count)
{
    record_list_free(&sort, records, count);
}
