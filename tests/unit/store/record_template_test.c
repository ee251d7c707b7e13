/* The record of a version of a template: it comes back, in order, and an altered one is told. */
#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "conformance/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* As they are in the stores of users: these numbers must never change. */
enum {
    KIND_TEMPLATE = 13,
    TEMPLATE_NAME = 1,
    TEMPLATE_NUMBER = 2,
    TEMPLATE_TEXT = 3,
    TEMPLATE_DIGEST = 4,
    TEMPLATE_LAUNCH = 5,
    TEMPLATE_PLAIN = 6,
    TEMPLATE_TIME = 7,
    TAG_UNKNOWN = 900,
};

#define DIGEST_OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static const struct record_template third = {.name = "web",
                                             .number = 3,
                                             .text = "abc",
                                             .launch = UINT64_MAX, /* All 64 bits come back. */
                                             .plain = true,
                                             .wall_ms = 1700000000000};

static void they_come_back_in_order(void **state)
{
    (void)state;
    struct fake_store *space = fake_store_new();
    struct store store = fake_store_open(space);
    struct err e = ERR_NULL;
    struct journal *journal = NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    assert_int_equal(journal_open(&journal, &store, "a test", &outcome, &holder, &e), 0);
    static const struct {
        const char *name;
        unsigned number;
    } put[] = {{"web", 12}, {"web-2", 1}, {"web", 2}, {"db", 1}};
    static const struct {
        const char *name;
        unsigned number;
    } wanted[] = {{"db", 1}, {"web", 2}, {"web", 3}, {"web", 12}, {"web-2", 1}};
    journal_put_template(journal, &third);
    for (size_t i = 0; i < COUNT(put); i++) {
        const struct record_template one = {
            .name = (char *)(uintptr_t)put[i].name, .number = put[i].number, .text = "abc"};
        journal_put_template(journal, &one);
    }
    assert_int_equal(journal_commit(journal, &e), 0);
    struct record_template *records;
    size_t count;
    assert_int_equal(record_template_list(&store, &records, &count, &e), 0);
    assert_int_equal(count, COUNT(wanted));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(records[i].name, wanted[i].name);
        assert_int_equal(records[i].number, wanted[i].number);
    }
    assert_true(records[2].launch == UINT64_MAX && records[2].plain && records[2].revision > 0);
    assert_string_equal(records[2].text, "abc");
    assert_int_equal(records[2].wall_ms, 1700000000000);
    assert_true(records[1].launch == 0 && !records[1].plain);
    record_template_deinit(&records[0]);
    record_template_deinit(&records[0]); /* Idempotent. */
    record_template_list_free(records, count);
    journal_close(journal);
    fake_store_damage(space, "template/web/00000003");
    assert_int_equal(record_template_list(&store, &records, &count, &e), -1);
    assert_non_null(strstr(e.text, "template/web/00000003"));
    store_close(&store);
    fake_store_free(space);
}

static void the_stored_form_does_not_change(void **state)
{
    (void)state;
    struct message value = MESSAGE_NULL;
    record_template_encode(&third, &value);
    assert_int_equal(message_kind(&value), KIND_TEMPLATE);
    assert_string_equal(message_text(&value, TEMPLATE_NAME, ""), "web");
    assert_string_equal(message_text(&value, TEMPLATE_TEXT, ""), "abc");
    assert_string_equal(message_text(&value, TEMPLATE_DIGEST, ""), DIGEST_OF_ABC);
    assert_int_equal(message_int(&value, TEMPLATE_NUMBER, 0), 3);
    assert_int_equal(message_int(&value, TEMPLATE_LAUNCH, 0), -1);
    assert_int_equal(message_int(&value, TEMPLATE_PLAIN, 0), 1);
    assert_int_equal(message_int(&value, TEMPLATE_TIME, 0), 1700000000000);
    message_deinit(&value);
}

static void what_cannot_be_used_is_told(void **state)
{
    (void)state;
    static const struct {
        uint16_t kind;
        const char *name;
        int64_t number;
        const char *text;
        const char *digest;
        const char *word; /* NULL: it is good. */
    } cases[] = {
        {KIND_TEMPLATE, "web", 3, "abc", DIGEST_OF_ABC, NULL},
        {11, "web", 3, "abc", DIGEST_OF_ABC, "another kind"},
        {KIND_TEMPLATE, "db", 3, "abc", DIGEST_OF_ABC, "another version"},
        {KIND_TEMPLATE, "web", 4, "abc", DIGEST_OF_ABC, "another version"},
        {KIND_TEMPLATE, "web", 0, "abc", DIGEST_OF_ABC, "impossible"},
        {KIND_TEMPLATE, "web", -1, "abc", DIGEST_OF_ABC, "impossible"},
        {KIND_TEMPLATE, NULL, 3, "abc", DIGEST_OF_ABC, "no name"},
        {KIND_TEMPLATE, "web", 3, NULL, DIGEST_OF_ABC, "no text"},
        {KIND_TEMPLATE, "web", 3, "abd", DIGEST_OF_ABC, "digest"},
        {KIND_TEMPLATE, "web", 3, "abc", NULL, "digest"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message value = MESSAGE_NULL;
        message_init(&value, cases[i].kind);
        message_put_text(&value, TEMPLATE_NAME, cases[i].name);
        message_put_text(&value, TEMPLATE_TEXT, cases[i].text);
        message_put_text(&value, TEMPLATE_DIGEST, cases[i].digest);
        message_put_int(&value, TEMPLATE_NUMBER, cases[i].number);
        message_put_int(&value, TAG_UNKNOWN, 1);
        const struct store_entry entry = {.key = "template/web/00000003",
                                          .value = value.bytes.text,
                                          .length = value.bytes.length};
        struct record_template record = {.name = NULL};
        struct err e = ERR_NULL;
        int result = record_template_decode(&entry, &record, &e);
        bool good = cases[i].word == NULL ? result == 0
                                          : result == -1 && strstr(e.text, cases[i].word) != NULL &&
                                                record.name == NULL;
        if (!good) {
            fail_msg("case %zu: %d: %s", i, result, e.text);
        }
        record_template_deinit(&record);
        message_deinit(&value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_back_in_order),
        cmocka_unit_test(the_stored_form_does_not_change),
        cmocka_unit_test(what_cannot_be_used_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
