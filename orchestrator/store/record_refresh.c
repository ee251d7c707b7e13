#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "refresh/"
/* The last of enum world_refresh_state and enum world_refresh_policy (core/world.h). */
#define STATE_LAST  8
#define POLICY_LAST 2

/* Stored: append only. */
enum refresh_tag {
    REFRESH_GROUP = 1,
    REFRESH_STATE = 2,
    REFRESH_BEGAN = 3,
    REFRESH_SINCE = 4,
    REFRESH_IMAGE = 5,
    REFRESH_BEFORE_IMAGE = 6,
    REFRESH_WANTED = 7,
    REFRESH_BEFORE = 8,
    REFRESH_ALL = 9,
    REFRESH_ROLLBACK = 10,
    REFRESH_WARM_UP = 11,
    REFRESH_BAKE = 12,
    REFRESH_CHECKPOINT = 13, /* Once for each, ascending. */
    REFRESH_PASSED = 14,
    REFRESH_DELAY = 15,
    REFRESH_PROTECTED = 16,
    REFRESH_STANDBY = 17,
    REFRESH_FAILED = 18,
    REFRESH_ALARM_COMMAND = 19,
    REFRESH_ALARM_EVERY = 20,
    REFRESH_ALARM_TIMEOUT = 21,
    REFRESH_ALARM_TEXT = 22,
    REFRESH_WHO = 23,
    REFRESH_REASON = 24,
    REFRESH_REPLACED = 25,
    REFRESH_LEADS = 26,
    REFRESH_LEAD = 27,
    REFRESH_CAUSE = 28,
    REFRESH_TEMPLATE = 29,
    REFRESH_BEFORE_TEMPLATE = 30,
    REFRESH_WHOLE = 31,
    REFRESH_BEFORE_WHOLE = 32,
};

static const struct record_text texts[] = {
    {REFRESH_GROUP, offsetof(struct record_refresh, group)},
    {REFRESH_IMAGE, offsetof(struct record_refresh, image)},
    {REFRESH_BEFORE_IMAGE, offsetof(struct record_refresh, before_image)},
    {REFRESH_ALARM_COMMAND, offsetof(struct record_refresh, alarm_command)},
    {REFRESH_ALARM_TEXT, offsetof(struct record_refresh, alarm_text)},
    {REFRESH_WHO, offsetof(struct record_refresh, who)},
    {REFRESH_REASON, offsetof(struct record_refresh, reason)},
    {REFRESH_CAUSE, offsetof(struct record_refresh, cause)},
    {REFRESH_TEMPLATE, offsetof(struct record_refresh, template)},
    {REFRESH_BEFORE_TEMPLATE, offsetof(struct record_refresh, before_template)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

void record_refresh_deinit(struct record_refresh *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_refresh){.group = NULL};
}

void record_refresh_encode(const struct record_refresh *record, struct message *ret_value)
{
    /* What could not be read again must not be written. */
    assert(record->checkpoint_count <= RECORD_CHECKPOINTS_MAX &&
           record->checkpoints_passed <= record->checkpoint_count &&
           record->checkpoint_delay_ms >= -1);
    message_init(ret_value, RECORD_REFRESH);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    message_put_int(ret_value, REFRESH_STATE, record->state);
    message_put_int(ret_value, REFRESH_BEGAN, record->began_ms);
    message_put_int(ret_value, REFRESH_SINCE, record->since_ms);
    message_put_int(ret_value, REFRESH_WANTED, (int64_t)record->wanted);
    message_put_int(ret_value, REFRESH_BEFORE, (int64_t)record->before);
    message_put_int(ret_value, REFRESH_ALL, record->all);
    message_put_int(ret_value, REFRESH_ROLLBACK, record->rollback);
    message_put_int(ret_value, REFRESH_WARM_UP, record->warm_up_ms);
    message_put_int(ret_value, REFRESH_BAKE, record->bake_ms);
    for (size_t i = 0; i < record->checkpoint_count; i++) {
        message_put_int(ret_value, REFRESH_CHECKPOINT, record->checkpoints[i]);
    }
    message_put_int(ret_value, REFRESH_PASSED, (int64_t)record->checkpoints_passed);
    message_put_int(ret_value, REFRESH_DELAY, record->checkpoint_delay_ms);
    message_put_int(ret_value, REFRESH_PROTECTED, record->protected_ones);
    message_put_int(ret_value, REFRESH_STANDBY, record->standby_ones);
    message_put_int(ret_value, REFRESH_FAILED, record->failed);
    message_put_int(ret_value, REFRESH_ALARM_EVERY, record->alarm_every_ms);
    message_put_int(ret_value, REFRESH_ALARM_TIMEOUT, record->alarm_timeout_ms);
    message_put_int(ret_value, REFRESH_REPLACED, record->replaced);
    message_put_int(ret_value, REFRESH_LEADS, record->leads);
    message_put_int(ret_value, REFRESH_LEAD, record->lead_ms);
    message_put_int(ret_value, REFRESH_WHOLE, record->whole);
    message_put_int(ret_value, REFRESH_BEFORE_WHOLE, record->before_whole);
}

/* The number under TAG when it is one from LEAST to MOST; else *WRONG says so. */
static int64_t number_of(const struct message *value, uint16_t tag, int64_t least, int64_t most,
                         const char **wrong)
{
    int64_t number = message_int(value, tag, 0);
    if (number < least || number > most) {
        *wrong = "an impossible number";
        return 0;
    }
    return number;
}

static void decode_checkpoints(struct record_refresh *record, const struct message *value,
                               const char **wrong)
{
    size_t position = 0;
    struct message_field field;
    while (message_next(value, &position, &field)) {
        if (field.tag != REFRESH_CHECKPOINT || field.type != MESSAGE_INT) {
            continue;
        }
        if (record->checkpoint_count == RECORD_CHECKPOINTS_MAX || field.number < 1 ||
            field.number > 100) {
            *wrong = "an impossible checkpoint";
            return;
        }
        record->checkpoints[record->checkpoint_count++] = (unsigned)field.number;
    }
    record->checkpoints_passed =
        (size_t)number_of(value, REFRESH_PASSED, 0, (int64_t)record->checkpoint_count, wrong);
}

static void decode_numbers(struct record_refresh *record, const struct message *value,
                           const char **wrong)
{
    record->state = (int)number_of(value, REFRESH_STATE, 0, STATE_LAST, wrong);
    record->began_ms = message_int(value, REFRESH_BEGAN, 0);
    record->since_ms = message_int(value, REFRESH_SINCE, 0);
    record->wanted = (uint64_t)message_int(value, REFRESH_WANTED, 0);
    record->before = (uint64_t)message_int(value, REFRESH_BEFORE, 0);
    record->all = message_int(value, REFRESH_ALL, 0) != 0;
    record->rollback = message_int(value, REFRESH_ROLLBACK, 0) != 0;
    record->warm_up_ms = number_of(value, REFRESH_WARM_UP, 0, INT64_MAX, wrong);
    record->bake_ms = number_of(value, REFRESH_BAKE, 0, INT64_MAX, wrong);
    record->checkpoint_delay_ms = number_of(value, REFRESH_DELAY, -1, INT64_MAX, wrong);
    record->protected_ones = (int)number_of(value, REFRESH_PROTECTED, 0, POLICY_LAST, wrong);
    record->standby_ones = (int)number_of(value, REFRESH_STANDBY, 0, POLICY_LAST, wrong);
    record->failed = (unsigned)number_of(value, REFRESH_FAILED, 0, INT_MAX, wrong);
    record->alarm_every_ms = number_of(value, REFRESH_ALARM_EVERY, 0, INT64_MAX, wrong);
    record->alarm_timeout_ms = number_of(value, REFRESH_ALARM_TIMEOUT, 0, INT64_MAX, wrong);
    record->replaced = (unsigned)number_of(value, REFRESH_REPLACED, 0, INT_MAX, wrong);
    record->leads = (unsigned)number_of(value, REFRESH_LEADS, 0, INT_MAX, wrong);
    record->lead_ms = number_of(value, REFRESH_LEAD, 0, INT64_MAX, wrong);
    record->whole = message_int(value, REFRESH_WHOLE, 0) != 0;
    record->before_whole = message_int(value, REFRESH_BEFORE_WHOLE, 0) != 0;
    decode_checkpoints(record, value, wrong);
}

int record_refresh_decode(const struct store_entry *entry, struct record_refresh *ret_record,
                          struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_REFRESH, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_refresh record = {.revision = entry->revision};
    record_texts_decode(&record, texts, TEXT_COUNT, &value);
    const char *wrong =
        text_equal(record.group, entry->key + strlen(PREFIX)) ? NULL : "the name of another group";
    decode_numbers(&record, &value, &wrong);
    message_deinit(&value);
    if (wrong != NULL) {
        record_refresh_deinit(&record);
        return record_value_fault(entry, wrong, e);
    }
    *ret_record = record;
    return 0;
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_refresh_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_refresh_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_refresh), decode, deinit};

int record_refresh_list(struct store *store, struct record_refresh **ret_records, size_t *ret_count,
                        struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    *ret_records = records;
    return 0;
}

void record_refresh_list_free(struct record_refresh *records, size_t count)
{
    record_list_free(&sort, records, count);
}

const struct record_refresh *record_refresh_find(const struct record_refresh *records, size_t count,
                                                 const char *group)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(records[i].group, group)) {
            return &records[i];
        }
    }
    return NULL;
}
