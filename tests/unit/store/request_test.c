/*
 * Requests: how commands ask while a controller has the lock. One by one in a store in memory; many
 * processes at once, and a controller that takes them in and goes on writing, in a real one.
 */
#include "store/record.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "conformance/fake_store.h"
#include "conformance/scratch.h"
#include "store/sqlite.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ASKERS       32
#define ASKED        5
#define PATIENCE_MS  60000 /* For a disk that is slow, and other tests beside this one. */

/* The kind and tags as they are in the stores of users: these numbers must never change. */
enum { KIND_REQUEST = 6, REQUEST_KIND = 1, REQUEST_SUBJECT = 2 };

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
    assert_int_equal(journal_open(&journal, store, "a run", &outcome, &holder, &e), 0);
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

static uint64_t must_put(struct store *store, const struct record_request *request)
{
    struct err e = ERR_NULL;
    uint64_t number = 0;
    if (record_request_put(store, request, &number, &e) != 0) {
        fail_msg("put: %s", e.text);
    }
    return number;
}

static size_t must_list(struct store *store, struct record_request **ret_records)
{
    struct err e = ERR_NULL;
    size_t count = 0;
    if (record_request_list(store, ret_records, &count, &e) != 0) {
        fail_msg("list: %s", e.text);
    }
    return count;
}

static void write_raw(struct store *store, const char *key, const void *value, size_t length)
{
    struct store_write write = {.key = key, .value = value, .length = length};
    enum store_outcome outcome;
    struct err e = ERR_NULL;
    assert_int_equal(store_commit(store, NULL, 0, &write, 1, &outcome, NULL, &e), 0);
}

static void what_is_asked_comes_back(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    static const struct record_request cases[] = {
        {.kind = RECORD_REQUEST_SCALE,
         .subject = "web",
         .value = 7,
         .who = "root on host7",
         .wall_ms = 1700000000000},
        {.kind = RECORD_REQUEST_SUSPEND, .subject = "web", .word = "replace", .value = -1},
        {.kind = RECORD_REQUEST_PAUSE},
    };
    struct record_request *records;
    assert_int_equal(must_list(store, &records), 0);
    record_request_list_free(records, 0);
    struct journal *journal = open_journal(store); /* Somebody acts: asking needs no lock. */
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(must_put(store, &cases[i]), i + 1);
    }
    assert_int_equal(must_list(store, &records), COUNT(cases));
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(records[i].number, i + 1);
        assert_int_equal(records[i].kind, cases[i].kind);
        assert_true(text_equal(records[i].subject, cases[i].subject));
        assert_int_equal(records[i].value, cases[i].value);
        assert_true(text_equal(records[i].word, cases[i].word));
        assert_true(text_equal(records[i].who, cases[i].who));
        assert_int_equal(records[i].wall_ms, cases[i].wall_ms);
    }
    record_request_deinit(&records[0]);
    record_request_deinit(&records[0]); /* Idempotent. */
    record_request_list_free(records, COUNT(cases));
    journal_close(journal);
}

/* Taken in with what was done about it, or not at all. */
static void what_was_taken_in_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = &fixture->store;
    static const struct record_request request = {.kind = RECORD_REQUEST_PAUSE};
    struct journal *journal = open_journal(store);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(must_put(store, &request), i);
    }
    journal_delete_request(journal, 2);
    journal_add_event(journal, "shop", "pause", NULL, "taken");
    fake_store_fail(fixture->space, 1, FAKE_STORE_FAIL_BEFORE);
    struct err e = ERR_NULL;
    assert_int_equal(journal_commit(journal, &e), -1);
    struct record_request *records;
    assert_int_equal(must_list(store, &records), 3);
    record_request_list_free(records, 3);
    must_commit(journal);
    assert_int_equal(must_list(store, &records), 2);
    assert_int_equal(records[0].number, 1);
    assert_int_equal(records[1].number, 3);
    record_request_list_free(records, 2);
    assert_int_equal(must_put(store, &request), 4); /* Behind those that wait, not into the gap. */
    journal_delete_request(journal, 99);            /* One that is not there. */
    must_commit(journal);
    journal_close(journal);
}

/* An event that says what became of request 2 is never another's. */
static void no_number_is_given_twice(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    static const struct record_request request = {.kind = RECORD_REQUEST_PAUSE};
    struct journal *journal = open_journal(store);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(must_put(store, &request), i);
        journal_delete_request(journal, i);
        must_commit(journal);
    }
    struct record_request *records;
    assert_int_equal(must_list(store, &records), 0); /* And the number is no request. */
    record_request_list_free(records, 0);
    assert_int_equal(must_put(store, &request), 4);
    journal_close(journal);
}

/* A store of before numbers were kept, or into which a command of then has asked. */
static void what_waits_already_has_its_number(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    static const struct record_request request = {.kind = RECORD_REQUEST_PAUSE};
    struct message value = MESSAGE_NULL;
    record_request_encode(&request, &value);
    write_raw(store, "request/0000000000000007", value.bytes.text, value.bytes.length);
    assert_int_equal(must_put(store, &request), 8);
    write_raw(store, "request/000000000000000c", value.bytes.text, value.bytes.length);
    assert_int_equal(must_put(store, &request), 13);
    message_deinit(&value);
}

static void a_damaged_number_is_told(void **state)
{
    struct fixture *fixture = *state;
    static const struct record_request request = {.kind = RECORD_REQUEST_PAUSE};
    must_put(&fixture->store, &request);
    write_raw(&fixture->store, "request-last", "x", 1);
    struct err e = ERR_NULL;
    uint64_t number;
    assert_int_equal(record_request_put(&fixture->store, &request, &number, &e), -1);
    assert_non_null(strstr(e.text, "request-last"));
}

static void too_many_are_refused(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    static const struct record_request request = {.kind = RECORD_REQUEST_PAUSE};
    for (uint64_t i = 1; i <= RECORD_REQUESTS_MAX; i++) {
        assert_int_equal(must_put(store, &request), i);
    }
    struct err e = ERR_NULL;
    uint64_t number = 0;
    assert_int_equal(record_request_put(store, &request, &number, &e), -1);
    assert_non_null(strstr(e.text, "1000 requests wait already"));
    assert_int_equal(number, 0);
    struct journal *journal = open_journal(store);
    journal_delete_request(journal, 1);
    must_commit(journal);
    journal_close(journal);
    assert_int_equal(must_put(store, &request), RECORD_REQUESTS_MAX + 1);
    assert_int_equal(record_request_put(store, &request, &number, &e), -1);
}

/* A command of a newer version asks for something: the controller is to refuse it, not to fail. */
static void an_unknown_kind_is_handed_on(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    static const int64_t kinds[] = {60000, 0, -1, (1ll << 32) + 1};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct message value = MESSAGE_NULL;
        message_init(&value, KIND_REQUEST);
        message_put_int(&value, REQUEST_KIND, kinds[i]);
        message_put_text(&value, REQUEST_SUBJECT, "web");
        write_raw(store, "request/0000000000000001", value.bytes.text, value.bytes.length);
        message_deinit(&value);
        struct record_request *records;
        assert_int_equal(must_list(store, &records), 1);
        assert_string_equal(records[0].subject, "web");
        assert_string_equal(record_request_kind_to_string(records[0].kind), "unknown");
        record_request_list_free(records, 1);
    }
}

static void every_kind_has_its_name_and_number(void **state)
{
    (void)state;
    static const char *const wanted[] = {"scale",
                                         "standby",
                                         "in-service",
                                         "protect",
                                         "unprotect",
                                         "replace",
                                         "detach",
                                         "attach",
                                         "suspend",
                                         "resume",
                                         "pause",
                                         "unpause",
                                         "retry",
                                         "terminate",
                                         "hook continue",
                                         "hook abandon",
                                         "hook heartbeat",
                                         "refresh",
                                         "refresh continue",
                                         "refresh cancel",
                                         "refresh rollback",
                                         "build",
                                         "build end",
                                         "capture",
                                         "capture end"};
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_string_equal(record_request_kind_to_string((enum record_request_kind)(i + 1)),
                            wanted[i]);
    }
}

/* A key that we would not have written, under which the next number would be a wrong one. */
static void what_cannot_be_used_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        bool well_formed;
    } cases[] = {
        {"request/1", true},
        {"request/0000000000000000", true},
        {"request/0x00000000000001", true},
        {"request/ 000000000000001", true},
        {"request/+000000000000001", true},
        {"request/00000000000000FF", true},
        {"request/zzzzzzzzzzzzzzzz", true},
        {"request/00000000000000001", true},
        {"request/0000000000000001", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture *fixture;
        setup((void **)&fixture);
        static const struct record_request request = {.kind = RECORD_REQUEST_PAUSE};
        struct message value = MESSAGE_NULL;
        record_request_encode(&request, &value);
        write_raw(&fixture->store, cases[i].key, value.bytes.text,
                  cases[i].well_formed ? value.bytes.length : value.bytes.length - 1);
        message_deinit(&value);
        struct record_request *records;
        size_t count;
        uint64_t number;
        struct err e = ERR_NULL;
        assert_int_equal(record_request_list(&fixture->store, &records, &count, &e), -1);
        assert_non_null(strstr(e.text, cases[i].key));
        if (cases[i].well_formed) {
            e = ERR_NULL;
            assert_int_equal(record_request_put(&fixture->store, &request, &number, &e), -1);
            assert_non_null(strstr(e.text, cases[i].key));
        }
        teardown((void **)&fixture);
    }
}

/* Asks ASKED times, each with a value of its own. */
static void ask(const char *path, int start, int asker)
{
    struct err e = ERR_NULL;
    struct store store;
    char byte;
    if (store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e) != 0 ||
        read(start, &byte, 1) != 0) {
        _exit(1);
    }
    for (int i = 0; i < ASKED; i++) {
        const struct record_request request = {.kind = RECORD_REQUEST_SCALE,
                                               .subject = "web",
                                               .value = asker * ASKED + i,
                                               .who = "a command"};
        uint64_t number;
        if (record_request_put(&store, &request, &number, &e) != 0) {
            fprintf(stderr, "asker %d: %s\n", asker, e.text);
            _exit(2);
        }
    }
    store_close(&store);
    _exit(0);
}

/* Reads the log again and again, as `events --verify` does beside a run. */
static void verify_again_and_again(const char *path, int start)
{
    struct err e = ERR_NULL;
    struct store store;
    char byte;
    size_t count;
    size_t last = 0;
    if (store_sqlite_open(&store, path, STORE_SQLITE_READ, &e) != 0 || read(start, &byte, 1) != 0) {
        _exit(1);
    }
    while (last <= ASKERS * ASKED) {
        if (record_event_verify(&store, &count, &e) != 0 || count < last) {
            fprintf(stderr, "verify: %zu after %zu: %s\n", count, last, e.text);
            _exit(2);
        }
        last = count;
    }
    store_close(&store);
    _exit(0);
}

/* Takes in what waits: an event for each, in the transaction that deletes it. */
static size_t take_in(struct store *store, struct journal *journal, int *next)
{
    struct record_request *records;
    size_t count = must_list(store, &records);
    for (size_t i = 0; i < count; i++) {
        size_t asker = (size_t)records[i].value / ASKED;
        assert_true(asker < ASKERS);
        /* None lost, none twice, and each command's own in the order it asked. */
        assert_int_equal(records[i].value % ASKED, next[asker]);
        next[asker]++;
        journal_add_event(journal, records[i].subject, "scale", records[i].who, "taken");
        journal_delete_request(journal, records[i].number);
    }
    record_request_list_free(records, count);
    const struct record_group group = {.name = "web", .desired = -1, .next_number = 1};
    journal_put_group(journal, &group); /* It has work of its own, too. */
    must_commit(journal);
    return count;
}

static void commands_ask_while_a_controller_writes(void **state)
{
    (void)state;
    char *directory = scratch_make();
    char *path = xasprintf("%s/shop.db", directory);
    struct err e = ERR_NULL;
    struct store store;
    assert_int_equal(store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e), 0);
    store_close(&store); /* There for all; a connection must not be carried over a fork. */
    int start[2];
    assert_int_equal(pipe(start), 0);
    pid_t children[ASKERS + 1];
    for (int i = 0; i <= ASKERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* When the test fails, none goes on by itself. */
            close(start[1]);
            if (i < ASKERS) {
                ask(path, start[0], i);
            }
            verify_again_and_again(path, start[0]);
        }
    }
    assert_int_equal(store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e), 0);
    struct journal *journal = open_journal(&store);
    close(start[0]);
    close(start[1]);
    int next[ASKERS] = {0};
    size_t taken = 0;
    size_t commits = 0;
    int64_t limit_ms = clock_now_ms() + PATIENCE_MS;
    while (taken < ASKERS * ASKED) {
        assert_true(clock_now_ms() < limit_ms); /* Else some were lost. */
        taken += take_in(&store, journal, next);
        commits++;
    }
    journal_add_event(journal, "controller", "end", NULL, "done"); /* The reader waits for it. */
    must_commit(journal);
    for (int i = 0; i <= ASKERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    struct record_request *records;
    assert_int_equal(must_list(&store, &records), 0);
    record_request_list_free(records, 0);
    size_t count;
    assert_int_equal(record_event_verify(&store, &count, &e), 0);
    assert_int_equal(count, ASKERS * ASKED + 1);
    assert_int_equal(journal_epoch(journal), 1);
    print_message("%zu requests taken in over %zu commits\n", taken, commits);
    assert_true(commits > 1);
    journal_close(journal);
    store_close(&store);
    free(path);
    scratch_remove(directory);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_is_asked_comes_back),
        CASE(what_was_taken_in_is_gone),
        CASE(no_number_is_given_twice),
        CASE(what_waits_already_has_its_number),
        CASE(a_damaged_number_is_told),
        CASE(too_many_are_refused),
        CASE(an_unknown_kind_is_handed_on),
        cmocka_unit_test(every_kind_has_its_name_and_number),
        cmocka_unit_test(what_cannot_be_used_is_told),
        cmocka_unit_test(commands_ask_while_a_controller_writes),
    };
#undef CASE
    return cmocka_run_group_tests_name("store/record: requests", tests, NULL, NULL);
}
