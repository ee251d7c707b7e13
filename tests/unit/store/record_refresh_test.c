/* The record of a refresh: what is put in comes out, what cannot be is told, the form stays. */
#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "conformance/fake_store.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* As they are in the stores of users: these numbers must never change. */
enum {
    KIND_REFRESH = 11,
    REFRESH_GROUP = 1,
    REFRESH_STATE = 2,
    REFRESH_WARM_UP = 11,
    REFRESH_CHECKPOINT = 13,
    REFRESH_PASSED = 14,
    REFRESH_DELAY = 15,
    REFRESH_PROTECTED = 16,
    REFRESH_FAILED = 18,
    REFRESH_LEADS = 26,
    TAG_UNKNOWN = 900,
};

static const struct record_refresh whole = {
    .group = "web",
    .state = 4,
    .began_ms = 1700000000000,
    .since_ms = 1700000000001,
    .image = "web@4",
    .before_image = "debian-12",
    .wanted = UINT64_MAX, /* All 64 bits come back. */
    .before = 0x8000000000000001u,
    .all = true,
    .rollback = true,
    .warm_up_ms = 30000,
    .bake_ms = 60000,
    .checkpoints = {20, 50, 99},
    .checkpoint_count = 3,
    .checkpoints_passed = 2,
    .checkpoint_delay_ms = -1,
    .protected_ones = 1,
    .standby_ones = 2,
    .failed = 1,
    .alarm_command = "sh -c 'exit 1'",
    .alarm_every_ms = 10000,
    .alarm_timeout_ms = 9000,
    .alarm_text = "too many errors",
    .who = "root on host7, pid 4711",
    .reason = "all are as they should be",
    .cause = "the alarm",
    .template = "web version 2",
    .before_template = "web version 1",
    .whole = true,
    .before_whole = true,
    .replaced = 3,
    .leads = 2,
    .lead_ms = 21000,
};

static void assert_same(const struct record_refresh *a, const struct record_refresh *b)
{
    struct message left = MESSAGE_NULL;
    struct message right = MESSAGE_NULL;
    record_refresh_encode(a, &left);
    record_refresh_encode(b, &right);
    assert_int_equal(left.bytes.length, right.bytes.length);
    assert_memory_equal(left.bytes.text, right.bytes.text, left.bytes.length);
    message_deinit(&left);
    message_deinit(&right);
}

static void refreshes_come_back(void **state)
{
    (void)state;
    struct fake_store *space = fake_store_new();
    struct store store = fake_store_open(space);
    struct err e = ERR_NULL;
    struct journal *journal = NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    assert_int_equal(journal_open(&journal, &store, "a test", &outcome, &holder, &e), 0);
    const struct record_refresh least = {.group = "db"};
    journal_put_refresh(journal, &whole);
    journal_put_refresh(journal, &least);
    assert_int_equal(journal_commit(journal, &e), 0);
    struct record_refresh *records;
    size_t count;
    assert_int_equal(record_refresh_list(&store, &records, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_same(&records[0], &least);
    assert_same(&records[1], &whole);
    assert_true(records[1].revision > 0);
    assert_true(records[1].wanted == UINT64_MAX && records[1].before == 0x8000000000000001u);
    assert_int_equal(records[1].checkpoints[2], 99);
    assert_ptr_equal(record_refresh_find(records, count, "web"), &records[1]);
    assert_null(record_refresh_find(records, count, "lb"));
    record_refresh_deinit(&records[0]);
    record_refresh_deinit(&records[0]); /* Idempotent. */
    record_refresh_list_free(records, count);
    journal_close(journal);
    fake_store_damage(space, "refresh/web");
    assert_int_equal(record_refresh_list(&store, &records, &count, &e), -1);
    assert_non_null(strstr(e.text, "refresh/web"));
    store_close(&store);
    fake_store_free(space);
}

static void add_field(struct str *text, const struct message_field *field)
{
    if (field->type == MESSAGE_TEXT) {
        str_addf(text, " %u='%s'", field->tag, (const char *)field->bytes);
    } else {
        str_addf(text, " %u=%lld", field->tag, (long long)field->number);
    }
}

static void the_stored_form_does_not_change(void **state)
{
    (void)state;
    struct message value = MESSAGE_NULL;
    struct str text = STR_NULL;
    record_refresh_encode(&whole, &value);
    str_addf(&text, "%u:", message_kind(&value));
    size_t position = 0;
    struct message_field field;
    while (message_next(&value, &position, &field)) {
        add_field(&text, &field);
    }
    assert_string_equal(
        str_text(&text),
        "11: 1='web' 5='web@4' 6='debian-12' 19='sh -c 'exit 1'' 22='too many errors' "
        "23='root on host7, pid 4711' 24='all are as they should be' 28='the alarm' "
        "29='web version 2' 30='web version 1' 2=4 3=1700000000000 4=1700000000001 7=-1 "
        "8=-9223372036854775807 9=1 10=1 11=30000 12=60000 13=20 13=50 13=99 14=2 15=-1 16=1 17=2 "
        "18=1 20=10000 21=9000 25=3 26=2 27=21000 31=1 32=1");
    str_deinit(&text);
    message_deinit(&value);
}

static struct store_entry entry_of(const struct message *value)
{
    return (struct store_entry){.key = "refresh/web",
                                .value = value->bytes.text,
                                .length = value->bytes.length,
                                .revision = 42};
}

static void tags_of_the_future_are_skipped(void **state)
{
    (void)state;
    struct message value = MESSAGE_NULL;
    struct record_refresh record;
    struct err e = ERR_NULL;
    message_init(&value, KIND_REFRESH);
    message_put_text(&value, REFRESH_GROUP, "web");
    message_put_int(&value, TAG_UNKNOWN, 7);
    const struct store_entry entry = entry_of(&value);
    assert_int_equal(record_refresh_decode(&entry, &record, &e), 0);
    const struct record_refresh least = {.group = "web"};
    assert_same(&record, &least);
    assert_int_equal(record.revision, 42);
    record_refresh_deinit(&record);
    message_deinit(&value);
}

static void what_cannot_be_used_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t kind;
        uint16_t tag;
        int64_t number;
        size_t times;
        const char *word;
    } cases[] = {
        {"web", 5, REFRESH_STATE, 1, 1, "another kind"},
        {"db", KIND_REFRESH, REFRESH_STATE, 1, 1, "another group"},
        {"web", KIND_REFRESH, REFRESH_STATE, 9, 1, "impossible"},
        {"web", KIND_REFRESH, REFRESH_STATE, -1, 1, "impossible"},
        {"web", KIND_REFRESH, REFRESH_WARM_UP, -1, 1, "impossible"},
        {"web", KIND_REFRESH, REFRESH_CHECKPOINT, 0, 1, "checkpoint"},
        {"web", KIND_REFRESH, REFRESH_CHECKPOINT, 101, 1, "checkpoint"},
        {"web", KIND_REFRESH, REFRESH_CHECKPOINT, 50, RECORD_CHECKPOINTS_MAX + 1, "checkpoint"},
        {"web", KIND_REFRESH, REFRESH_PASSED, 1, 1, "impossible"}, /* Of none. */
        {"web", KIND_REFRESH, REFRESH_DELAY, -2, 1, "impossible"},
        {"web", KIND_REFRESH, REFRESH_PROTECTED, 3, 1, "impossible"},
        {"web", KIND_REFRESH, REFRESH_FAILED, (int64_t)INT_MAX + 1, 1, "impossible"},
        {"web", KIND_REFRESH, REFRESH_LEADS, -1, 1, "impossible"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message value = MESSAGE_NULL;
        message_init(&value, cases[i].kind);
        message_put_text(&value, REFRESH_GROUP, cases[i].name);
        for (size_t n = 0; n < cases[i].times; n++) {
            message_put_int(&value, cases[i].tag, cases[i].number);
        }
        const struct store_entry entry = entry_of(&value);
        struct record_refresh record = {.group = NULL};
        struct err e = ERR_NULL;
        assert_int_equal(record_refresh_decode(&entry, &record, &e), -1);
        if (strstr(e.text, cases[i].word) == NULL || strstr(e.text, "refresh/web") == NULL) {
            fail_msg("case %zu: '%s' has no '%s'", i, e.text, cases[i].word);
        }
        assert_null(record.group);
        message_deinit(&value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refreshes_come_back),
        cmocka_unit_test(the_stored_form_does_not_change),
        cmocka_unit_test(tags_of_the_future_are_skipped),
        cmocka_unit_test(what_cannot_be_used_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
