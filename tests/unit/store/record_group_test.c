/* The records of groups, machines and the cluster: what is put in comes out, what is not is told.
 */
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

/* The kinds and tags as they are in the stores of users: these numbers must never change. */
enum {
    KIND_GROUP = 5,
    KIND_CLUSTER = 7,
    KIND_MACHINE = 8,
    GROUP_NAME = 1,
    GROUP_DESIRED = 2,
    GROUP_FILE_DESIRED = 3,
    GROUP_SUSPENDED = 4,
    GROUP_PAUSED = 5,
    GROUP_NEXT_NUMBER = 6,
    GROUP_FAILED_LAUNCHES = 7,
    MACHINE_NAME = 1,
    MACHINE_REBUILD = 2,
    TAG_UNKNOWN = 900,
};

struct fixture {
    struct fake_store *space;
    struct store store;
};

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    fixture->space = fake_store_new();
    fixture->store = fake_store_open(fixture->space);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(&fixture->store);
    fake_store_free(fixture->space);
    free(fixture);
    return 0;
}

static struct journal *open_journal(struct store *store)
{
    struct err e = ERR_NULL;
    struct journal *journal = NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    assert_int_equal(journal_open(&journal, store, "a test", &outcome, &holder, &e), 0);
    assert_int_equal(outcome, JOURNAL_OPEN);
    return journal;
}

static void must_commit(struct journal *journal)
{
    struct err e = ERR_NULL;
    if (journal_commit(journal, &e) != 0) {
        fail_msg("commit: %s", e.text);
    }
}

static void put(struct store *store, const char *key, const struct message *value)
{
    struct store_write write = {
        .key = key, .value = value->bytes.text, .length = value->bytes.length};
    enum store_outcome outcome;
    struct err e = ERR_NULL;
    assert_int_equal(store_commit(store, NULL, 0, &write, 1, &outcome, NULL, &e), 0);
}

static struct store_entry entry_of(const char *key, const struct message *value)
{
    return (struct store_entry){.key = (char *)(uintptr_t)key,
                                .value = value->bytes.text,
                                .length = value->bytes.length,
                                .revision = 42};
}

static struct record_group least_group(const char *name)
{
    return (struct record_group){.name = (char *)(uintptr_t)name, .desired = -1, .next_number = 1};
}

static void assert_same_group(const struct record_group *a, const struct record_group *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->desired, b->desired);
    assert_int_equal(a->file_desired, b->file_desired);
    assert_int_equal(a->suspended, b->suspended);
    assert_int_equal(a->paused, b->paused);
    assert_int_equal(a->next_number, b->next_number);
    assert_int_equal(a->failed_launches, b->failed_launches);
    assert_int_equal(a->size_changed_ms, b->size_changed_ms);
    assert_int_equal(a->disrupted_ms, b->disrupted_ms);
    assert_true(text_equal(a->image, b->image));
    assert_true(text_equal(a->image_of, b->image_of));
    assert_true(text_equal(a->template, b->template));
    assert_true(text_equal(a->template_of, b->template_of));
    assert_true(a->whole == b->whole);
    assert_true(a->content == b->content);
}

/* By name; what was written last counts. */
static void groups_come_back(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct err e = ERR_NULL;
    struct record_group *records;
    size_t count = 9;
    assert_int_equal(record_group_list(store, &records, &count, &e), 0);
    assert_int_equal(count, 0);
    record_group_list_free(records, count);

    const struct record_group web = {.name = "web",
                                     .desired = 7,
                                     .file_desired = 3,
                                     .suspended = 0x101,
                                     .paused = true,
                                     .next_number = INT_MAX,
                                     .failed_launches = 2,
                                     .size_changed_ms = INT64_MAX,
                                     .disrupted_ms = 1700000000000,
                                     .image = "web@3",
                                     .image_of = "web",
                                     .template = "web version 1",
                                     .template_of = "web version 2",
                                     .whole = true,
                                     .content = UINT64_MAX};
    struct record_group db = least_group("db");
    struct journal *journal = open_journal(store);
    journal_put_group(journal, &web);
    journal_put_group(journal, &db);
    must_commit(journal);
    assert_int_equal(record_group_list(store, &records, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_same_group(&records[0], &db);
    assert_same_group(&records[1], &web);
    assert_true(records[0].revision > 0);
    assert_int_equal(records[0].revision, records[1].revision);
    record_group_list_free(records, count);

    db.desired = 0; /* Set by hand to none at all, which is not the file's. */
    journal_put_group(journal, &db);
    must_commit(journal);
    assert_int_equal(record_group_list(store, &records, &count, &e), 0);
    assert_int_equal(records[0].desired, 0);
    record_group_list_free(records, count);
    journal_close(journal);
}

static void the_cluster_comes_back(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct err e = ERR_NULL;
    struct record_cluster record = {.paused = true, .clean_ms = 9};
    bool found = true;
    assert_int_equal(record_cluster_read(store, &found, &record, &e), 0);
    assert_false(found);
    assert_false(record.paused);
    assert_int_equal(record.clean_ms, 0);
    struct journal *journal = open_journal(store);
    static const struct record_cluster cases[] = {{.paused = true, .clean_ms = 1700000000000},
                                                  {.paused = false, .clean_ms = 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        journal_put_cluster(journal, &cases[i]);
        must_commit(journal);
        assert_int_equal(record_cluster_read(store, &found, &record, &e), 0);
        assert_true(found);
        assert_int_equal(record.paused, cases[i].paused);
        assert_int_equal(record.clean_ms, cases[i].clean_ms);
    }
    journal_close(journal);
    fake_store_damage(((struct fixture *)*state)->space, "cluster/state");
    assert_int_equal(record_cluster_read(store, &found, &record, &e), -1);
    assert_non_null(strstr(e.text, "cluster/state"));
}

static void machines_come_back(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct err e = ERR_NULL;
    struct record_machine bad = {.name = "r1u07", .quarantined = true, .reason = "3 rebuilds"};
    const struct record_machine good = {.name = "r1u06"};
    record_machine_add_rebuild(&bad, 100);
    record_machine_add_rebuild(&bad, 200);
    struct journal *journal = open_journal(store);
    journal_put_machine(journal, &bad);
    journal_put_machine(journal, &good);
    must_commit(journal);
    journal_close(journal);

    struct record_machine *records;
    size_t count;
    assert_int_equal(record_machine_list(store, &records, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(records[0].name, "r1u06");
    assert_int_equal(records[0].rebuild_count, 0);
    assert_false(records[0].quarantined);
    assert_null(records[0].reason);
    assert_string_equal(records[1].name, "r1u07");
    assert_int_equal(records[1].rebuild_count, 2);
    assert_int_equal(records[1].rebuilds_ms[0], 100);
    assert_int_equal(records[1].rebuilds_ms[1], 200);
    assert_true(records[1].quarantined);
    assert_string_equal(records[1].reason, "3 rebuilds");
    assert_true(records[1].revision > 0);
    record_machine_deinit(&records[1]);
    record_machine_deinit(&records[1]); /* Idempotent. */
    record_machine_list_free(records, count);
}

/* S9: the ledger is as long as it is, and forgets its oldest line first. */
static void the_ledger_keeps_the_newest(void **state)
{
    (void)state;
    struct record_machine record = {.name = "r1u07"};
    assert_int_equal(record_machine_count_rebuilds(&record, INT64_MIN), 0);
    for (int64_t i = 1; i <= RECORD_MACHINE_REBUILDS_MAX + 5; i++) {
        record_machine_add_rebuild(&record, i * 10);
    }
    assert_int_equal(record.rebuild_count, RECORD_MACHINE_REBUILDS_MAX);
    assert_int_equal(record.rebuilds_ms[0], 60);
    assert_int_equal(record.rebuilds_ms[RECORD_MACHINE_REBUILDS_MAX - 1],
                     (RECORD_MACHINE_REBUILDS_MAX + 5) * 10);
    static const struct {
        int64_t since_ms;
        size_t count;
    } cases[] = {{INT64_MIN, RECORD_MACHINE_REBUILDS_MAX},
                 {60, RECORD_MACHINE_REBUILDS_MAX},
                 {61, RECORD_MACHINE_REBUILDS_MAX - 1},
                 {190, 3},
                 {210, 1},
                 {211, 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(record_machine_count_rebuilds(&record, cases[i].since_ms), cases[i].count);
    }
}

static void add_field(struct str *text, const struct message_field *field)
{
    switch (field->type) {
    case MESSAGE_INT: str_addf(text, " %u=%lld", field->tag, (long long)field->number); break;
    case MESSAGE_TEXT: str_addf(text, " %u='%s'", field->tag, (const char *)field->bytes); break;
    case MESSAGE_BYTES: str_addf(text, " %u=[%zu]", field->tag, field->length); break;
    case MESSAGE_MESSAGE: str_addf(text, " %u={}", field->tag); break;
    }
}

/* A changed kind or tag would make every store out there unreadable; new ones are fine. */
static void the_stored_form_does_not_change(void **state)
{
    (void)state;
    const struct record_group group = {.name = "web",
                                       .desired = 7,
                                       .file_desired = 3,
                                       .suspended = 5,
                                       .paused = true,
                                       .next_number = 9,
                                       .failed_launches = 2,
                                       .size_changed_ms = 10,
                                       .disrupted_ms = 11,
                                       .image = "web@3",
                                       .image_of = "web",
                                       .content = UINT64_MAX - 1};
    const struct record_cluster cluster = {.paused = true, .clean_ms = 12};
    const struct record_machine machine = {
        .name = "m", .rebuilds_ms = {1, 2}, .rebuild_count = 2, .reason = "r"};
    struct message values[3] = {MESSAGE_NULL, MESSAGE_NULL, MESSAGE_NULL};
    record_group_encode(&group, &values[0]);
    record_cluster_encode(&cluster, &values[1]);
    record_machine_encode(&machine, &values[2]);
    static const char *const wanted[] = {
        "5: 1='web' 10='web@3' 11='web' 2=7 3=3 4=5 5=1 6=9 7=2 8=10 9=11 12=-2 15=0", "7: 1=1 2=12",
        "8: 1='m' 4='r' 2=1 2=2 3=0"};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct str text = STR_NULL;
        str_addf(&text, "%u:", message_kind(&values[i]));
        size_t position = 0;
        struct message_field field;
        while (message_next(&values[i], &position, &field)) {
            add_field(&text, &field);
        }
        assert_string_equal(str_text(&text), wanted[i]);
        str_deinit(&text);
        message_deinit(&values[i]);
    }
}

/* Tags that are not there have their meaning of "never set"; those of the future are skipped. */
static void what_is_left_out_is_as_it_was_made(void **state)
{
    (void)state;
    struct message value = MESSAGE_NULL;
    message_init(&value, KIND_GROUP);
    message_put_text(&value, GROUP_NAME, "web");
    message_put_int(&value, TAG_UNKNOWN, 7);
    struct store_entry entry = entry_of("group/web", &value);
    struct record_group group;
    struct err e = ERR_NULL;
    assert_int_equal(record_group_decode(&entry, &group, &e), 0);
    const struct record_group least = least_group("web");
    assert_same_group(&group, &least);
    assert_int_equal(group.revision, 42);
    record_group_deinit(&group);
    record_group_deinit(&group); /* Idempotent. */

    message_init(&value, KIND_MACHINE);
    message_put_text(&value, MACHINE_NAME, "m");
    message_put_text(&value, TAG_UNKNOWN, "later");
    message_put_text(&value, MACHINE_REBUILD, "not a number"); /* Of a type it never has. */
    entry = entry_of("machine/m", &value);
    struct record_machine machine;
    assert_int_equal(record_machine_decode(&entry, &machine, &e), 0);
    assert_int_equal(machine.rebuild_count, 0);
    assert_int_equal(machine.revision, 42);
    record_machine_deinit(&machine);
    message_deinit(&value);
}

static void a_longer_ledger_is_cut(void **state)
{
    (void)state;
    struct message value = MESSAGE_NULL;
    message_init(&value, KIND_MACHINE);
    message_put_text(&value, MACHINE_NAME, "m");
    for (int64_t i = 0; i < 1000; i++) {
        message_put_int(&value, MACHINE_REBUILD, i);
    }
    struct store_entry entry = entry_of("machine/m", &value);
    struct record_machine machine;
    struct err e = ERR_NULL;
    assert_int_equal(record_machine_decode(&entry, &machine, &e), 0);
    assert_int_equal(machine.rebuild_count, RECORD_MACHINE_REBUILDS_MAX);
    assert_int_equal(machine.rebuilds_ms[RECORD_MACHINE_REBUILDS_MAX - 1], 999);
    record_machine_deinit(&machine);
    message_deinit(&value);
}

static void what_cannot_be_used_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *name; /* NULL: none. */
        uint16_t kind;
        uint16_t tag;
        int64_t number;
        const char *word;
    } cases[] = {
        {"web", KIND_MACHINE, GROUP_PAUSED, 1, "another kind"},
        {"db", KIND_GROUP, GROUP_PAUSED, 1, "another group"},
        {NULL, KIND_GROUP, GROUP_PAUSED, 1, "another group"},
        {"web", KIND_GROUP, GROUP_DESIRED, -2, "impossible"},
        {"web", KIND_GROUP, GROUP_DESIRED, (int64_t)INT_MAX + 1, "impossible"},
        {"web", KIND_GROUP, GROUP_FILE_DESIRED, -1, "impossible"},
        {"web", KIND_GROUP, GROUP_SUSPENDED, -1, "impossible"},
        {"web", KIND_GROUP, GROUP_NEXT_NUMBER, 0, "impossible"},
        {"web", KIND_GROUP, GROUP_NEXT_NUMBER, (1ll << 32) + 1, "impossible"}, /* Not cut to 1. */
        {"web", KIND_GROUP, GROUP_FAILED_LAUNCHES, -1, "impossible"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message value = MESSAGE_NULL;
        message_init(&value, cases[i].kind);
        message_put_text(&value, GROUP_NAME, cases[i].name);
        message_put_int(&value, cases[i].tag, cases[i].number);
        struct store_entry entry = entry_of("group/web", &value);
        struct record_group record = {.name = NULL};
        struct err e = ERR_NULL;
        assert_int_equal(record_group_decode(&entry, &record, &e), -1);
        if (strstr(e.text, cases[i].word) == NULL || strstr(e.text, "group/web") == NULL) {
            fail_msg("case %zu: '%s' has no '%s'", i, e.text, cases[i].word);
        }
        assert_null(record.name);
        message_deinit(&value);
    }
}

/* One that cannot be used fails the whole list: half of the state is no state. */
static void one_bad_record_fails_the_list(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct journal *journal = open_journal(store);
    const struct record_group web = least_group("web");
    const struct record_machine machine = {.name = "a"};
    journal_put_group(journal, &web);
    journal_put_machine(journal, &machine);
    must_commit(journal);
    journal_close(journal);
    struct message bad = MESSAGE_NULL;
    message_init(&bad, KIND_CLUSTER);
    put(store, "group/zz", &bad);
    put(store, "machine/b", &bad);
    message_deinit(&bad);
    struct err e = ERR_NULL;
    struct record_group *groups;
    struct record_machine *machines;
    size_t count;
    assert_int_equal(record_group_list(store, &groups, &count, &e), -1);
    assert_non_null(strstr(e.text, "group/zz"));
    assert_int_equal(record_machine_list(store, &machines, &count, &e), -1);
    assert_non_null(strstr(e.text, "machine/b"));
}

static void decode_any(struct store_entry *entry)
{
    struct err e = ERR_NULL;
    struct record_group group = {.name = NULL};
    struct record_machine machine = {.name = NULL};
    entry->key = "group/web";
    if (record_group_decode(entry, &group, &e) == 0) {
        assert_string_equal(group.name, "web");
        assert_true(group.next_number >= 1);
    }
    record_group_deinit(&group);
    entry->key = "machine/web";
    if (record_machine_decode(entry, &machine, &e) == 0) {
        assert_string_equal(machine.name, "web");
        assert_true(machine.rebuild_count <= RECORD_MACHINE_REBUILDS_MAX);
    }
    record_machine_deinit(&machine);
}

/* Every truncation and every flipped bit: a fault or a record, never a crash. */
static void any_damage_is_survived(void **state)
{
    (void)state;
    const struct record_group group = least_group("web");
    const struct record_machine machine = {
        .name = "web", .rebuilds_ms = {1, 2, 3}, .rebuild_count = 3, .reason = "r"};
    struct message values[2] = {MESSAGE_NULL, MESSAGE_NULL};
    record_group_encode(&group, &values[0]);
    record_machine_encode(&machine, &values[1]);
    for (size_t i = 0; i < COUNT(values); i++) {
        char *bytes = values[i].bytes.text;
        for (size_t length = 0; length < values[i].bytes.length; length++) {
            char *cut = xcalloc(length, 1); /* Of its own size, so that a read beyond it is seen. */
            memcpy(cut, bytes, length);
            struct store_entry entry = {.value = cut, .length = length};
            decode_any(&entry);
            free(cut);
        }
        for (size_t bit = 0; bit < values[i].bytes.length * 8; bit++) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
            struct store_entry entry = {.value = bytes, .length = values[i].bytes.length};
            decode_any(&entry);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        }
        message_deinit(&values[i]);
    }
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(groups_come_back),
        CASE(the_cluster_comes_back),
        CASE(machines_come_back),
        cmocka_unit_test(the_ledger_keeps_the_newest),
        cmocka_unit_test(the_stored_form_does_not_change),
        cmocka_unit_test(what_is_left_out_is_as_it_was_made),
        cmocka_unit_test(a_longer_ledger_is_cut),
        cmocka_unit_test(what_cannot_be_used_is_told),
        CASE(one_bad_record_fails_the_list),
        cmocka_unit_test(any_damage_is_survived),
    };
#undef CASE
    return cmocka_run_group_tests_name("store/record: groups, machines, the cluster", tests, NULL,
                                       NULL);
}
