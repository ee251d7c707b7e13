#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/digest.h"
#include "store/record_value.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "template/"

/* Stored: append only. */
enum template_tag {
    TEMPLATE_NAME = 1,
    TEMPLATE_NUMBER = 2,
    TEMPLATE_TEXT = 3,
    TEMPLATE_DIGEST = 4, /* Of the text: SHA-256 in hex. */
    TEMPLATE_LAUNCH = 5,
    TEMPLATE_PLAIN = 6,
    TEMPLATE_TIME = 7,
};

static const struct record_text texts[] = {
    {TEMPLATE_NAME, offsetof(struct record_template, name)},
    {TEMPLATE_TEXT, offsetof(struct record_template, text)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

void record_template_deinit(struct record_template *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_template){.name = NULL};
}

void record_template_encode(const struct record_template *record, struct message *ret_value)
{
    /* What could not be read again must not be written. */
    assert(record->name != NULL && record->text != NULL && record->number >= 1 &&
           strlen(record->text) <= RECORD_TEMPLATE_TEXT_MAX);
    char digest[DIGEST_TEXT_SIZE];
    digest_text(record->text, strlen(record->text), digest);
    message_init(ret_value, RECORD_TEMPLATE);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    message_put_text(ret_value, TEMPLATE_DIGEST, digest);
    message_put_int(ret_value, TEMPLATE_NUMBER, record->number);
    message_put_int(ret_value, TEMPLATE_LAUNCH, (int64_t)record->launch);
    message_put_int(ret_value, TEMPLATE_PLAIN, record->plain);
    message_put_int(ret_value, TEMPLATE_TIME, record->wall_ms);
}

/* What is wrong with RECORD, read from under KEY, or NULL. */
static const char *check(const struct record_template *record, const char *key, const char *digest)
{
    char own[DIGEST_TEXT_SIZE];
    if (record->name == NULL || record->text == NULL) {
        return "no name or no text";
    }
    char *own_key = xasprintf(PREFIX "%s/%08u", record->name, record->number);
    bool same = text_equal(own_key, key);
    free(own_key);
    digest_text(record->text, strlen(record->text), own);
    return !same                      ? "another version of a template"
           : !text_equal(own, digest) ? "its text is not what its digest says"
                                      : NULL;
}

int record_template_decode(const struct store_entry *entry, struct record_template *ret_record,
                           struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_TEMPLATE, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_template record = {.revision = entry->revision};
    int64_t number = message_int(&value, TEMPLATE_NUMBER, 0);
    record_texts_decode(&record, texts, TEXT_COUNT, &value);
    record.number = number < 1 || number > INT_MAX ? 0 : (unsigned)number;
    record.launch = (uint64_t)message_int(&value, TEMPLATE_LAUNCH, 0);
    record.plain = message_int(&value, TEMPLATE_PLAIN, 0) != 0;
    record.wall_ms = message_int(&value, TEMPLATE_TIME, 0);
    const char *wrong = record.number == 0
                            ? "an impossible number"
                            : check(&record, entry->key, message_text(&value, TEMPLATE_DIGEST, ""));
    message_deinit(&value);
    if (wrong != NULL) {
        record_template_deinit(&record);
        return record_value_fault(entry, wrong, e);
    }
    *ret_record = record;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct record_template *left = a;
    const struct record_template *right = b;
    int names = strcmp(left->name, right->name);
    return names != 0 ? names : left->number < right->number ? -1 : left->number > right->number;
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_template_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_template_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_template), decode, deinit};

int record_template_list(struct store *store, struct record_template **ret_records,
                         size_t *ret_count, struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    qsort(records, *ret_count, sort.size, compare);
    *ret_records = records;
    return 0;
}

void record_template_list_free(struct record_template *records, size_t count)
{
    record_list_free(&sort, records, count);
}
