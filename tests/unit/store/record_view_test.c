/* What a controller tells of what it believes: through the store and back, and whose it is. */
#include "store/record_view.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "conformance/fake_store.h"
#include "store/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct journal *open_journal(struct store *store)
{
    struct err e = ERR_NULL;
    struct journal *journal;
    enum journal_outcome outcome;
    struct record_lock holder;
    assert_int_equal(journal_open(&journal, store, "run", &outcome, &holder, &e), 0);
    assert_int_equal(outcome, JOURNAL_OPEN);
    return journal;
}

static void commit(struct journal *journal)
{
    struct err e = ERR_NULL;
    if (journal_commit(journal, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static size_t list(struct store *store, struct record_view **ret_views)
{
    size_t count;
    struct err e = ERR_NULL;
    if (record_view_list(store, ret_views, &count, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return count;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct fake_store *space = fake_store_new();
    struct store store = fake_store_open(space);
    struct journal *journal = open_journal(&store);
    char *lines[] = {"web-1 is in-service.", "Held: web-2 is being changed."};
    const struct record_view view = {.subject = "web-1",
                                     .wall_ms = 5000,
                                     .verdict = "unready",
                                     .verdict_ms = 4000,
                                     .state = "in-service",
                                     .power = "running",
                                     .probe = "unhealthy",
                                     .probe_text = "503",
                                     .balancer_text = "down (L7STS)",
                                     .doing = "restart",
                                     .hold = "waits",
                                     .reason = "waits for web-2: one at a time (S7)",
                                     .rule = "S7",
                                     .held_ms = 4500,
                                     .serving = true,
                                     .paused = true,
                                     .lines = lines,
                                     .line_count = 2};
    const struct record_view group = {.subject = "group/web",
                                      .breaker = true,
                                      .frozen = true,
                                      .desired = 5,
                                      .standing = 4,
                                      .serving_count = 3,
                                      .counted = 2,
                                      .minimum = 1,
                                      .refresh_all = 3,
                                      .refresh_replaced = 2,
                                      .refresh_moving = 1,
                                      .refresh_left_ms = -1,
                                      .suspended = 9,
                                      .comparison = "new: 0 of 8 failed"};
    journal_put_view(journal, &view);
    journal_put_view(journal, &group);
    commit(journal);
    struct record_view *views;
    assert_int_equal(list(&store, &views), 2);
    const struct record_view *got = record_view_find(views, 2, "web-1", journal_epoch(journal));
    assert_non_null(got);
    assert_int_equal(got->wall_ms, 5000);
    assert_string_equal(got->verdict, "unready");
    assert_int_equal(got->verdict_ms, 4000);
    assert_string_equal(got->state, "in-service");
    assert_string_equal(got->power, "running");
    assert_string_equal(got->probe, "unhealthy");
    assert_string_equal(got->probe_text, "503");
    assert_string_equal(got->balancer_text, "down (L7STS)");
    assert_string_equal(got->doing, "restart");
    assert_string_equal(got->hold, "waits");
    assert_string_equal(got->reason, view.reason);
    assert_string_equal(got->rule, "S7");
    assert_int_equal(got->held_ms, 4500);
    assert_true(got->serving && got->paused && !got->breaker && !got->frozen);
    assert_int_equal(got->line_count, 2);
    assert_string_equal(got->lines[0], lines[0]);
    assert_string_equal(got->lines[1], lines[1]);
    got = record_view_find(views, 2, "group/web", journal_epoch(journal));
    assert_non_null(got);
    assert_true(got->breaker && got->frozen && !got->serving && !got->paused);
    assert_int_equal(got->desired, 5);
    assert_int_equal(got->standing, 4);
    assert_int_equal(got->serving_count, 3);
    assert_string_equal(got->comparison, group.comparison);
    assert_int_equal(got->counted, 2);
    assert_int_equal(got->minimum, 1);
    assert_int_equal(got->refresh_all, 3);
    assert_int_equal(got->refresh_replaced, 2);
    assert_int_equal(got->refresh_moving, 1);
    assert_int_equal(got->refresh_left_ms, -1);
    assert_int_equal(got->suspended, 9);
    assert_null(got->hold);
    assert_int_equal(got->line_count, 0);
    record_view_list_free(views, 2);
    journal_close(journal);
    store_close(&store);
    fake_store_free(space);
}

/* What another epoch told is not found, and what was deleted is gone; neither is an event. */
static void test_whose(void **state)
{
    (void)state;
    struct fake_store *space = fake_store_new();
    struct store store = fake_store_open(space);
    struct journal *journal = open_journal(&store);
    int64_t before = journal_epoch(journal);
    journal_put_view(journal, &(struct record_view){.subject = "cluster"});
    journal_put_view(journal, &(struct record_view){.subject = "web-1"});
    commit(journal);
    journal_delete_view(journal, "web-1");
    commit(journal);
    journal_close(journal);
    journal = open_journal(&store);
    struct record_view *views;
    assert_int_equal(list(&store, &views), 1);
    assert_non_null(record_view_find(views, 1, "cluster", before));
    assert_null(record_view_find(views, 1, "cluster", journal_epoch(journal)));
    assert_null(record_view_find(views, 1, "web-1", before));
    record_view_list_free(views, 1);
    size_t events;
    struct err e = ERR_NULL;
    assert_int_equal(record_event_verify(&store, &events, &e), 0);
    assert_int_equal(events, 0);
    journal_close(journal);
    store_close(&store);
    fake_store_free(space);
}

/* Every subject of many is found, and nothing that only looks like one. */
static void test_find(void **state)
{
    (void)state;
    char *names[] = {"cluster", "db-1", "group/db", "group/web", "web-1", "web-10", "web-2"};
    struct record_view views[7];
    for (size_t i = 0; i < 7; i++) {
        views[i] = (struct record_view){.subject = names[i], .epoch = 3};
    }
    for (size_t i = 0; i < 7; i++) {
        assert_ptr_equal(record_view_find(views, 7, names[i], 3), &views[i]);
        assert_null(record_view_find(views, i, names[i], 3));
    }
    static const char *const absent[] = {"", "a", "group/", "web", "web-11", "zebra"};
    for (size_t i = 0; i < 6; i++) {
        assert_null(record_view_find(views, 7, absent[i], 3));
    }
}

static void test_damaged(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    struct message value = MESSAGE_NULL;
    record_view_encode(&(struct record_view){.subject = "web-1"}, &value);
    const struct store_entry entry = {
        .key = "view/web-2", .value = value.bytes.text, .length = value.bytes.length};
    struct record_view view;
    assert_int_equal(record_view_decode(&entry, &view, &e), -1);
    message_deinit(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_whose),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
