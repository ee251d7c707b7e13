#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "machine/"

/* Stored: append only. */
enum machine_tag {
    MACHINE_NAME = 1,
    MACHINE_REBUILD = 2, /* Once for each, newest last. */
    MACHINE_QUARANTINED = 3,
    MACHINE_REASON = 4,
};

static const struct record_text texts[] = {
    {MACHINE_NAME, offsetof(struct record_machine, name)},
    {MACHINE_REASON, offsetof(struct record_machine, reason)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

void record_machine_deinit(struct record_machine *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_machine){.name = NULL};
}

void record_machine_encode(const struct record_machine *record, struct message *ret_value)
{
    message_init(ret_value, RECORD_MACHINE);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    for (size_t i = 0; i < record->rebuild_count; i++) {
        message_put_int(ret_value, MACHINE_REBUILD, record->rebuilds_ms[i]);
    }
    message_put_int(ret_value, MACHINE_QUARANTINED, record->quarantined);
}

void record_machine_add_rebuild(struct record_machine *record, int64_t wall_ms)
{
    if (record->rebuild_count == RECORD_MACHINE_REBUILDS_MAX) {
        memmove(record->rebuilds_ms, record->rebuilds_ms + 1,
                sizeof(record->rebuilds_ms) - sizeof(record->rebuilds_ms[0]));
        record->rebuild_count--;
    }
    record->rebuilds_ms[record->rebuild_count++] = wall_ms;
}

size_t record_machine_count_rebuilds(const struct record_machine *record, int64_t since_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < record->rebuild_count; i++) {
        count += record->rebuilds_ms[i] >= since_ms ? 1 : 0;
    }
    return count;
}

static void decode_rebuilds(struct record_machine *record, const struct message *value)
{
    size_t position = 0;
    struct message_field field;
    while (message_next(value, &position, &field)) {
        if (field.tag == MACHINE_REBUILD && field.type == MESSAGE_INT) {
            record_machine_add_rebuild(record, field.number);
        }
    }
}

int record_machine_decode(const struct store_entry *entry, struct record_machine *ret_record,
                          struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_MACHINE, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_machine record = {.revision = entry->revision};
    record_texts_decode(&record, texts, TEXT_COUNT, &value);
    decode_rebuilds(&record, &value);
    record.quarantined = message_int(&value, MACHINE_QUARANTINED, 0) != 0;
    message_deinit(&value);
    if (!text_equal(record.name, entry->key + strlen(PREFIX))) {
        record_machine_deinit(&record);
        return record_value_fault(entry, "the name of another machine", e);
    }
    *ret_record = record;
    return 0;
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_machine_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_machine_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_machine), decode, deinit};

int record_machine_list(struct store *store, struct record_machine **ret_records, size_t *ret_count,
                        struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    *ret_records = records;
    return 0;
}

void record_machine_list_free(struct record_machine *records, size_t count)
{
    record_list_free(&sort, records, count);
}
