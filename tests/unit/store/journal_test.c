/* The journal: who may write, what becomes of a lock when its owner ends, the chain of events. */
#include "store/record.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "conformance/fake_store.h"
#include "conformance/scratch.h"
#include "store/record_event.h"
#include "store/record_lock.h"
#include "store/sqlite.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

static struct journal *open_journal(struct store *store, const char *owner)
{
    struct err e = ERR_NULL;
    struct journal *journal = NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    if (journal_open(&journal, store, owner, &outcome, &holder, &e) != 0) {
        fail_msg("open: %s", e.text);
    }
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

static int64_t revision_of(struct store *store)
{
    struct err e = ERR_NULL;
    int64_t revision;
    assert_int_equal(store_revision(store, &revision, &e), 0);
    return revision;
}

static size_t verified(struct store *store)
{
    struct err e = ERR_NULL;
    size_t count;
    if (record_event_verify(store, &count, &e) != 0) {
        fail_msg("verify: %s", e.text);
    }
    return count;
}

/* A lock as another process would have left it. */
static void put_lock(struct store *store, const struct record_lock *lock)
{
    struct message value = MESSAGE_NULL;
    record_lock_encode(lock, &value);
    struct store_write write = {
        .key = "lock/actor", .value = value.bytes.text, .length = value.bytes.length};
    enum store_outcome outcome;
    struct err e = ERR_NULL;
    assert_int_equal(store_commit(store, NULL, 0, &write, 1, &outcome, NULL, &e), 0);
    message_deinit(&value);
}

static struct record_lock self(void)
{
    struct err e = ERR_NULL;
    struct record_lock lock;
    assert_int_equal(record_lock_self("another run", &lock, &e), 0);
    return lock;
}

static struct record_instance instance(const char *id, const char *reason)
{
    return (struct record_instance){.id = (char *)(uintptr_t)id,
                                    .group = "web",
                                    .lifecycle = LIFECYCLE_PENDING,
                                    .reason = (char *)(uintptr_t)reason};
}

static void all_of_a_step_is_one_transaction(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct journal *journal = open_journal(store, "apply on host7, pid 4711");
    int64_t before = revision_of(store);
    struct record_instance one = instance("web-1", NULL);
    struct record_instance two = instance("web-2", NULL);
    struct record_action action = {.id = "00000001-launch-web-1", .kind = "launch"};
    journal_put_instance(journal, &one);
    journal_put_instance(journal, &two);
    journal_put_action(journal, &action);
    journal_add_event(journal, "web-1", "launch", "desired 2, found 0", "begun");
    journal_add_event(journal, "web-2", "launch", NULL, "begun");
    assert_int_equal(revision_of(store), before); /* Nothing yet. */
    must_commit(journal);
    assert_int_equal(revision_of(store), before + 1);
    must_commit(journal); /* Nothing queued. */
    assert_int_equal(revision_of(store), before + 1);

    struct err e = ERR_NULL;
    struct record_instance *instances;
    struct record_action *actions;
    size_t count;
    assert_int_equal(record_instance_list(store, &instances, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(instances[1].id, "web-2");
    record_instance_list_free(instances, count);
    assert_int_equal(record_action_list(store, &actions, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(actions[0].kind, "launch");
    record_action_list_free(actions, count);
    assert_int_equal(verified(store), 2);
    journal_close(journal);
}

static void what_the_store_has_is_not_written_again(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct journal *journal = open_journal(store, "apply");
    struct record_instance same = instance("web-1", "as it was");
    struct record_instance other = instance("web-1", "changed");
    journal_put_instance(journal, &same);
    must_commit(journal);
    int64_t before = revision_of(store);
    journal_put_instance(journal, &same);
    must_commit(journal);
    assert_int_equal(revision_of(store), before);
    journal_delete_instance(journal, "web-1");
    journal_put_instance(journal, &same);
    must_commit(journal);
    assert_int_equal(revision_of(store), before);
    journal_put_instance(journal, &same);
    journal_put_instance(journal, &other);
    must_commit(journal);
    assert_int_equal(revision_of(store), before + 1);
    journal_put_instance(journal, &same);
    journal_delete_instance(journal, "web-1");
    must_commit(journal);
    assert_int_equal(revision_of(store), before + 2);
    journal_put_instance(journal, &other);
    must_commit(journal);
    assert_int_equal(revision_of(store), before + 3);
    journal_close(journal);
}

static void the_last_write_to_a_key_counts(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct journal *journal = open_journal(store, "apply");
    struct record_instance first = instance("web-1", "first");
    struct record_instance second = instance("web-1", "second");
    struct record_instance gone = instance("web-2", NULL);
    struct record_instance back = instance("web-3", "back");
    struct record_action action = {.id = "1", .kind = "launch"};
    journal_put_instance(journal, &first);
    journal_put_instance(journal, &second);
    journal_put_instance(journal, &gone);
    journal_delete_instance(journal, "web-2");
    journal_delete_instance(journal, "web-3");
    journal_put_instance(journal, &back);
    journal_put_action(journal, &action);
    journal_delete_action(journal, "1");
    must_commit(journal);

    struct err e = ERR_NULL;
    struct record_instance *instances;
    struct record_action *actions;
    size_t count;
    assert_int_equal(record_instance_list(store, &instances, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(instances[0].reason, "second");
    assert_string_equal(instances[1].id, "web-3");
    record_instance_list_free(instances, count);
    assert_int_equal(record_action_list(store, &actions, &count, &e), 0);
    assert_int_equal(count, 0);
    record_action_list_free(actions, count);
    journal_close(journal);
}

static void events_are_listed_oldest_first(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct journal *journal = open_journal(store, "apply");
    int64_t before_ms = clock_wall_ms();
    for (int i = 1; i <= 20; i++) {
        char *subject = xasprintf("web-%d", i);
        journal_add_event(journal, subject, "launch", "why", "done");
        free(subject);
        if (i % 3 == 0) {
            must_commit(journal);
        }
    }
    must_commit(journal);
    static const struct {
        size_t limit;
        size_t count;
        uint64_t first;
    } cases[] = {{0, 20, 1}, {5, 5, 16}, {20, 20, 1}, {21, 20, 1}, {1, 1, 20}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = ERR_NULL;
        struct record_event *events;
        size_t count;
        assert_int_equal(record_event_list(store, cases[i].limit, &events, &count, &e), 0);
        assert_int_equal(count, cases[i].count);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(events[k].number, cases[i].first + k);
            char *subject = xasprintf("web-%d", (int)(cases[i].first + k));
            assert_string_equal(events[k].subject, subject);
            free(subject);
            assert_true(events[k].wall_ms >= before_ms && events[k].wall_ms <= clock_wall_ms());
        }
        record_event_list_free(events, count);
    }
    journal_close(journal);
}

/* Longer than the pages in which the chain is read, and over several journals. */
static void the_chain_goes_on_over_journals(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    assert_int_equal(verified(store), 0);
    static const int counts[] = {255, 1, 1, 255, 100};
    size_t total = 0;
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct journal *journal = open_journal(store, "apply");
        assert_int_equal(journal_epoch(journal), i + 1);
        for (int k = 0; k < counts[i]; k++) {
            journal_add_event(journal, "web-1", "configure", NULL, "done");
        }
        must_commit(journal);
        journal_close(journal);
        total += (size_t)counts[i];
        assert_int_equal(verified(store), total);
    }
}

static void write_raw(struct store *store, const char *key, const void *value, size_t length)
{
    struct store_write write = {.key = key, .value = value, .length = length};
    enum store_outcome outcome;
    struct err e = ERR_NULL;
    assert_int_equal(store_commit(store, NULL, 0, &write, 1, &outcome, NULL, &e), 0);
}

/* Replaces event NUMBER by one that says something else and has the same link. */
static void forge_event(struct store *store, uint64_t number)
{
    struct err e = ERR_NULL;
    struct record_event *events;
    size_t count;
    assert_int_equal(record_event_list(store, 0, &events, &count, &e), 0);
    free(events[number - 1].outcome);
    events[number - 1].outcome = xstrdup("forged");
    struct message value = MESSAGE_NULL;
    record_event_encode(&events[number - 1], &value);
    char key[RECORD_EVENT_KEY_SIZE];
    record_event_key(number, key);
    write_raw(store, key, value.bytes.text, value.bytes.length);
    message_deinit(&value);
    record_event_list_free(events, count);
}

static void remove_event(struct store *store, uint64_t number)
{
    char key[RECORD_EVENT_KEY_SIZE];
    record_event_key(number, key);
    write_raw(store, key, NULL, 0);
}

/* Puts event NUMBER under the key of the one after it. */
static void move_event(struct store *store, uint64_t number)
{
    char key[RECORD_EVENT_KEY_SIZE];
    struct err e = ERR_NULL;
    bool found;
    struct store_entry entry;
    record_event_key(number, key);
    assert_int_equal(store_get(store, key, &found, &entry, &e), 0);
    record_event_key(number + 1, key);
    write_raw(store, key, entry.value, entry.length);
    store_entry_deinit(&entry);
}

/* All events from NUMBER on. */
static void cut_off(struct store *store, uint64_t number)
{
    struct err e = ERR_NULL;
    struct record_event *events;
    size_t count;
    assert_int_equal(record_event_list(store, 0, &events, &count, &e), 0);
    record_event_list_free(events, count);
    for (uint64_t i = number; i <= count; i++) {
        remove_event(store, i);
    }
}

static void insert_rubbish(struct store *store, uint64_t number)
{
    (void)number;
    write_raw(store, "event/0", "x", 1);
}

static void a_changed_log_does_not_verify(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct store *store, uint64_t number);
        uint64_t number;
        const char *word;
    } cases[] = {
        {forge_event, 1, "event 2 "},
        {forge_event, 256, "event 257 "},
        {forge_event, 299, "event 300 "},
        {remove_event, 1, "event 1 is missing"},
        {remove_event, 256, "event 256 is missing"},
        {remove_event, 299, "event 299 is missing"},
        {remove_event, 300, "event 300 is missing (300 was the newest)"},
        {cut_off, 257, "event 257 is missing (300 was the newest)"},
        {cut_off, 100, "event 100 is missing (300 was the newest)"},
        {cut_off, 1, "event 1 is missing (300 was the newest)"},
        {forge_event, 300, "event 300 is not the one"},
        {move_event, 7, "event/0000000000000008"},
        {insert_rubbish, 0, "event/0"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture *fixture;
        setup((void **)&fixture);
        struct journal *journal = open_journal(&fixture->store, "apply");
        for (int k = 0; k < 300; k++) {
            journal_add_event(journal, "web-1", "configure", NULL, "done");
        }
        must_commit(journal);
        journal_close(journal);
        assert_int_equal(verified(&fixture->store), 300);
        cases[i].change(&fixture->store, cases[i].number);
        struct err e = ERR_NULL;
        size_t count = 0;
        assert_int_equal(record_event_verify(&fixture->store, &count, &e), -1);
        if (strstr(e.text, cases[i].word) == NULL) {
            fail_msg("'%s' has no '%s'", e.text, cases[i].word);
        }
        teardown((void **)&fixture);
    }
}

static void add_events(struct store *store, int number)
{
    struct journal *journal = open_journal(store, "apply");
    for (int i = 0; i < number; i++) {
        journal_add_event(journal, "web-1", "configure", NULL, "done");
        must_commit(journal);
    }
    journal_close(journal);
}

static void the_head_is_the_newest_event(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct err e = ERR_NULL;
    bool found = true;
    struct record_event_head head;
    assert_int_equal(record_event_head_read(store, &found, &head, &e), 0);
    assert_false(found);
    struct journal *journal = open_journal(store, "apply");
    struct record_instance record = instance("web-1", NULL);
    journal_put_instance(journal, &record);
    must_commit(journal); /* Without an event. */
    assert_int_equal(record_event_head_read(store, &found, &head, &e), 0);
    assert_false(found);
    for (uint64_t number = 2; number <= 6; number += 2) {
        journal_add_event(journal, "web-1", "launch", NULL, "begun");
        journal_add_event(journal, "web-1", "launch", NULL, "done");
        int64_t before = revision_of(store);
        must_commit(journal);
        assert_int_equal(revision_of(store), before + 1); /* In the one transaction. */
        assert_int_equal(record_event_head_read(store, &found, &head, &e), 0);
        assert_true(found);
        assert_int_equal(head.number, number);
    }
    journal_close(journal);
    struct record_event_head last;
    assert_int_equal(record_event_last(store, &last, &e), 0);
    assert_int_equal(last.number, 6);
    assert_memory_equal(last.digest, head.digest, sizeof(head.digest));
}

/* Nothing that is done afterwards makes the log whole again. */
static void a_log_that_was_cut_off_stays_so(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    add_events(store, 10);
    cut_off(store, 8);
    add_events(store, 2);
    struct err e = ERR_NULL;
    size_t count;
    struct record_event *events;
    assert_int_equal(record_event_list(store, 2, &events, &count, &e), 0);
    assert_int_equal(events[0].number, 11);
    assert_int_equal(events[1].number, 12);
    record_event_list_free(events, count);
    assert_int_equal(record_event_verify(store, &count, &e), -1);
    assert_non_null(strstr(e.text, "event 8 is missing (11 comes next)"));
}

static void a_newest_event_that_was_changed_stays_so(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    add_events(store, 10);
    forge_event(store, 10);
    add_events(store, 1);
    struct err e = ERR_NULL;
    size_t count;
    assert_int_equal(record_event_verify(store, &count, &e), -1);
    assert_non_null(strstr(e.text, "event 11 does not link"));
}

/* Stores of versions that knew no head: as good as they were, and better from the next event on. */
static void a_log_without_a_head_is_taken(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    add_events(store, 10);
    write_raw(store, RECORD_EVENT_HEAD_KEY, NULL, 0);
    assert_int_equal(verified(store), 10);
    cut_off(store, 10);
    assert_int_equal(verified(store), 9);
    add_events(store, 1);
    assert_int_equal(verified(store), 10);
    cut_off(store, 10);
    struct err e = ERR_NULL;
    size_t count;
    assert_int_equal(record_event_verify(store, &count, &e), -1);
    assert_non_null(strstr(e.text, "event 10 is missing"));
}

/* An older version wrote more, and left the head where it was. */
static void events_behind_the_head_are_fine(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct err e = ERR_NULL;
    bool found;
    struct store_entry old;
    add_events(store, 5);
    assert_int_equal(store_get(store, RECORD_EVENT_HEAD_KEY, &found, &old, &e), 0);
    add_events(store, 3);
    write_raw(store, RECORD_EVENT_HEAD_KEY, old.value, old.length);
    store_entry_deinit(&old);
    assert_int_equal(verified(store), 8);
    add_events(store, 1);
    assert_int_equal(verified(store), 9);
}

static void a_head_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    struct message values[4] = {MESSAGE_NULL, MESSAGE_NULL, MESSAGE_NULL, MESSAGE_NULL};
    message_init(&values[0], 4); /* An event. */
    message_init(&values[1], 9); /* A head, without anything. */
    message_init(&values[2], 9);
    message_put_int(&values[2], 1, 10);
    message_put_bytes(&values[2], 2, "short", 5);
    message_init(&values[3], 9);
    message_put_int(&values[3], 1, 0);
    message_put_bytes(&values[3], 2, "01234567890123456789012345678901", 32);
    for (size_t i = 0; i < COUNT(values); i++) {
        struct fixture *fixture;
        setup((void **)&fixture);
        add_events(&fixture->store, 10);
        write_raw(&fixture->store, RECORD_EVENT_HEAD_KEY, values[i].bytes.text,
                  values[i].bytes.length);
        struct err e = ERR_NULL;
        size_t count;
        assert_int_equal(record_event_verify(&fixture->store, &count, &e), -1);
        assert_non_null(strstr(e.text, "'event-head'"));
        struct journal *journal = NULL;
        enum journal_outcome outcome;
        struct record_lock holder;
        e = ERR_NULL;
        assert_int_equal(journal_open(&journal, &fixture->store, "apply", &outcome, &holder, &e),
                         -1);
        assert_non_null(strstr(e.text, "'event-head'"));
        assert_null(journal);
        teardown((void **)&fixture);
        message_deinit(&values[i]);
    }
}

/* The kind and tags as they are in the stores of users. */
static void the_stored_head_does_not_change(void **state)
{
    (void)state;
    const struct record_event_head head = {.number = 7, .digest = {1, 2, 3}};
    struct message value = MESSAGE_NULL;
    record_event_head_encode(&head, &value);
    assert_int_equal(message_kind(&value), 9);
    assert_int_equal(message_int(&value, 1, 0), 7);
    size_t length;
    const void *digest = message_bytes(&value, 2, &length);
    assert_int_equal(length, sizeof(head.digest));
    assert_memory_equal(digest, head.digest, length);
    assert_string_equal(RECORD_EVENT_HEAD_KEY, "event-head");
    message_deinit(&value);
}

static void a_living_owner_keeps_the_lock(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct journal *journal = open_journal(store, "apply on host7, pid 1");
    struct err e = ERR_NULL;
    struct journal *second = NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    int64_t before = revision_of(store);
    assert_int_equal(journal_open(&second, store, "apply again", &outcome, &holder, &e), 0);
    assert_int_equal(outcome, JOURNAL_HELD);
    assert_null(second);
    assert_string_equal(holder.owner, "apply on host7, pid 1");
    assert_int_equal(holder.epoch, 1);
    assert_int_equal(holder.pid, getpid());
    assert_true(holder.since_ms > 0);
    record_lock_deinit(&holder);
    assert_int_equal(revision_of(store), before);

    bool found;
    assert_int_equal(record_lock_read(store, &found, &holder, &e), 0);
    assert_true(found);
    assert_string_equal(holder.owner, "apply on host7, pid 1");
    record_lock_deinit(&holder);
    journal_close(journal);
    assert_int_equal(record_lock_read(store, &found, &holder, &e), 0);
    assert_false(found);
    journal_close(NULL);
}

/* Released or not, used or not: an epoch is never given twice. */
static void the_epoch_only_rises(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    bool found;
    struct record_lock lock;
    struct err e = ERR_NULL;
    assert_int_equal(record_lock_read(store, &found, &lock, &e), 0);
    assert_false(found);
    for (int64_t epoch = 1; epoch <= 5; epoch++) {
        struct journal *journal = open_journal(store, "apply");
        assert_int_equal(journal_epoch(journal), epoch);
        journal_close(journal);
    }
    struct record_lock dead = self();
    dead.epoch = 41;
    dead.pid_start--;
    put_lock(store, &dead);
    struct journal *journal = open_journal(store, "apply");
    assert_int_equal(journal_epoch(journal), 42);
    journal_close(journal);
    record_lock_deinit(&dead);
}

static void a_lock_without_an_epoch_is_not_taken(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct record_lock lock = {.epoch = 0};
    put_lock(store, &lock);
    struct err e = ERR_NULL;
    struct journal *journal = NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    assert_int_equal(journal_open(&journal, store, "apply", &outcome, &holder, &e), -1);
    assert_non_null(strstr(e.text, "lock/actor"));
    assert_null(journal);
}

static pid_t ended_child(bool reap)
{
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | (reap ? 0 : WNOWAIT)), 0);
    return child;
}

/* What each member of a lock tells of its owner. */
static void only_the_very_process_counts_as_alive(void **state)
{
    (void)state;
    struct record_lock me = self();
    struct record_lock lock = me;
    assert_true(record_lock_is_alive(&lock, &me));
    lock.owner = NULL;
    assert_false(record_lock_is_alive(&lock, &me));
    lock = me;
    lock.pid_start++; /* The pid was given to another process since. */
    assert_false(record_lock_is_alive(&lock, &me));
    lock = me;
    lock.boot_id = "11111111-2222-3333-4444-555555555555";
    assert_false(record_lock_is_alive(&lock, &me));
    lock.boot_id = NULL;
    assert_false(record_lock_is_alive(&lock, &me));
    static const int64_t nobody[] = {0, -1, INT64_MAX, INT64_MIN, ((int64_t)1 << 32) + 1};
    for (size_t i = 0; i < COUNT(nobody); i++) {
        lock = me;
        lock.pid = nobody[i];
        assert_false(record_lock_is_alive(&lock, &me));
    }
    lock = me;
    lock.pid = ended_child(true);
    assert_false(record_lock_is_alive(&lock, &me));
    record_lock_deinit(&me);
}

/* Its own start time, read in the child, so that the state is all that tells the zombie apart. */
static void a_zombie_is_gone(void **state)
{
    (void)state;
    struct record_lock me = self();
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct record_lock own;
        struct err e;
        bool ok = record_lock_self("child", &own, &e) == 0 &&
                  write(pipes[1], &own.pid_start, sizeof(own.pid_start)) == 8;
        pause();
        _exit(ok ? 0 : 1);
    }
    struct record_lock lock = me;
    lock.pid = child;
    assert_int_equal(read(pipes[0], &lock.pid_start, 8), 8);
    assert_true(record_lock_is_alive(&lock, &me));
    kill(child, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(kill(child, 0), 0);
    assert_false(record_lock_is_alive(&lock, &me));
    int status;
    waitpid(child, &status, 0);
    assert_false(record_lock_is_alive(&lock, &me));
    close(pipes[0]);
    close(pipes[1]);
    record_lock_deinit(&me);
}

/* A program's name stands before the fields we read and may look like them. */
static void a_name_cannot_fake_a_start_time(void **state)
{
    (void)state;
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    struct record_lock before = self();
    static const char *const names[] = {"a) Z 1 1 1 1", "((", ") ) )", "x y\tz", ")"};
    for (size_t i = 0; i < COUNT(names); i++) {
        prctl(PR_SET_NAME, names[i]);
        struct record_lock lock = self();
        assert_int_equal(lock.pid_start, before.pid_start);
        assert_true(record_lock_is_alive(&lock, &before));
        record_lock_deinit(&lock);
    }
    prctl(PR_SET_NAME, name);
    record_lock_deinit(&before);
}

static void a_dead_owner_is_taken_over(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct record_lock dead = self();
    dead.epoch = 7;
    dead.pid = ended_child(true);
    put_lock(store, &dead);
    bool found;
    struct record_lock lock;
    struct err e = ERR_NULL;
    assert_int_equal(record_lock_read(store, &found, &lock, &e), 0);
    assert_false(found);

    struct journal *journal = open_journal(store, "the next");
    assert_int_equal(journal_epoch(journal), 8);
    struct record_event *events;
    size_t count;
    assert_int_equal(record_event_list(store, 0, &events, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(events[0].what, "take-over");
    assert_non_null(strstr(events[0].why, "another run"));
    record_event_list_free(events, count);
    journal_close(journal);
    record_lock_deinit(&dead);
}

/* S17, S18: whoever was taken for dead writes nothing more. */
static void an_owner_that_lost_its_lock_writes_nothing(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    struct journal *old = open_journal(store, "the old run");
    journal_add_event(old, "web-1", "launch", NULL, "begun");
    must_commit(old);

    struct record_lock lock = self();
    lock.epoch = 1;
    lock.boot_id[0] = lock.boot_id[0] == 'x' ? 'y' : 'x';
    put_lock(store, &lock); /* As if the machine had been started again since. */
    struct journal *new = open_journal(store, "the new run");
    assert_int_equal(journal_epoch(new), 2);

    int64_t before = revision_of(store);
    struct record_instance record = instance("web-1", NULL);
    for (int i = 0; i < 2; i++) {
        struct err e = ERR_NULL;
        journal_put_instance(old, &record);
        journal_add_event(old, "web-1", "launch", NULL, "done");
        assert_int_equal(journal_commit(old, &e), -1);
        assert_non_null(strstr(e.text, "the new run"));
        assert_non_null(strstr(e.text, "epoch 2"));
    }
    journal_close(old); /* Must not give away the lock of the new one. */
    assert_int_equal(revision_of(store), before);
    journal_add_event(new, "web-1", "launch", NULL, "done");
    must_commit(new);
    assert_int_equal(verified(store), 3);
    journal_close(new);
    record_lock_deinit(&lock);
}

static void a_failed_write_can_be_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct journal *journal = open_journal(&fixture->store, "apply");
    struct record_instance record = instance("web-1", NULL);
    journal_put_instance(journal, &record);
    journal_add_event(journal, "web-1", "launch", NULL, "begun");
    fake_store_fail(fixture->space, 1, FAKE_STORE_FAIL_BEFORE);
    struct err e = ERR_NULL;
    assert_int_equal(journal_commit(journal, &e), -1);
    assert_non_null(strstr(e.text, "as told"));
    assert_int_equal(verified(&fixture->store), 0);
    journal_add_event(journal, "web-1", "launch", NULL, "done");
    must_commit(journal);
    assert_int_equal(verified(&fixture->store), 2);
    journal_close(journal);
}

/* The write went through, the answer was lost: nothing is written twice. */
static void a_write_of_unknown_end_is_not_repeated(void **state)
{
    struct fixture *fixture = *state;
    struct journal *journal = open_journal(&fixture->store, "apply");
    journal_add_event(journal, "web-1", "launch", NULL, "begun");
    fake_store_fail(fixture->space, 1, FAKE_STORE_FAIL_AFTER);
    struct err e = ERR_NULL;
    assert_int_equal(journal_commit(journal, &e), -1);
    assert_int_equal(journal_commit(journal, &e), -1);
    assert_non_null(strstr(e.text, "event 1 is in the store already"));
    assert_int_equal(verified(&fixture->store), 1);
    journal_close(journal);
    journal = open_journal(&fixture->store, "apply");
    journal_add_event(journal, "web-1", "launch", NULL, "done");
    must_commit(journal);
    assert_int_equal(verified(&fixture->store), 2);
    journal_close(journal);
}

static void a_store_that_fails_gives_no_lock(void **state)
{
    struct fixture *fixture = *state;
    struct err e = ERR_NULL;
    struct journal *journal = NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    fake_store_fail(fixture->space, 1, FAKE_STORE_FAIL_BEFORE);
    assert_int_equal(journal_open(&journal, &fixture->store, "apply", &outcome, &holder, &e), -1);
    assert_null(journal);
    journal = open_journal(&fixture->store, "apply");
    fake_store_damage(fixture->space, "lock/actor");
    journal_add_event(journal, "web-1", "launch", NULL, "begun");
    assert_int_equal(journal_commit(journal, &e), -1);
    journal_close(journal);
    bool found;
    assert_int_equal(record_lock_read(&fixture->store, &found, &holder, &e), -1);
}

/* What a child inherits is not its own to give back. */
static void a_child_does_not_give_the_lock_back(void **state)
{
    struct fixture *fixture = *state;
    char *directory = scratch_make();
    char *path = xasprintf("%s/shop.db", directory);
    (void)fixture;
    struct store store;
    struct err e = ERR_NULL;
    assert_int_equal(store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e), 0);
    struct journal *journal = open_journal(&store, "apply");
    pid_t child = fork();
    if (child == 0) {
        journal_close(journal);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    journal_add_event(journal, "web-1", "launch", NULL, "begun");
    must_commit(journal);
    journal_close(journal);
    store_close(&store);
    free(path);
    scratch_remove(directory);
}

/* Who a builder or a capture belongs to: this very process, not one that has its number. */
static void an_owner_lives_as_long_as_its_process(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    char *self = NULL;
    assert_int_equal(record_owner_self(&self, &e), 0);
    assert_true(record_owner_is_alive(self));
    char *with_more = xasprintf("%s web@4", self);
    assert_true(record_owner_is_alive(with_more));
    long long pid = 0;
    long long start = 0;
    char boot[80];
    assert_int_equal(sscanf(self, "%lld %lld %79s", &pid, &start, boot), 3);
    char *younger = xasprintf("%lld %lld %s", pid, start + 1, boot);
    assert_false(record_owner_is_alive(younger));
    char *before = xasprintf("%lld %lld %s", pid, start, "another-boot");
    assert_false(record_owner_is_alive(before));
    static const char *const others[] = {"", "nobody", "0 0 x", "-1 1 x", "x y z"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(record_owner_is_alive(others[i]));
    }
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        char *mine = NULL;
        struct err unused = ERR_NULL;
        bool told = record_owner_self(&mine, &unused) == 0 &&
                    write(pipes[1], mine, strlen(mine)) == (ssize_t)strlen(mine);
        _exit(told ? 0 : 1);
    }
    char text[200] = "";
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
    assert_false(record_owner_is_alive(text));
    close(pipes[0]);
    close(pipes[1]);
    free(self);
    free(with_more);
    free(younger);
    free(before);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(an_owner_lives_as_long_as_its_process),
        CASE(all_of_a_step_is_one_transaction),
        CASE(what_the_store_has_is_not_written_again),
        CASE(the_last_write_to_a_key_counts),
        CASE(events_are_listed_oldest_first),
        CASE(the_chain_goes_on_over_journals),
        cmocka_unit_test(a_changed_log_does_not_verify),
        CASE(the_head_is_the_newest_event),
        CASE(a_log_that_was_cut_off_stays_so),
        CASE(a_newest_event_that_was_changed_stays_so),
        CASE(a_log_without_a_head_is_taken),
        CASE(events_behind_the_head_are_fine),
        cmocka_unit_test(a_head_that_cannot_be_read_is_told),
        cmocka_unit_test(the_stored_head_does_not_change),
        CASE(a_living_owner_keeps_the_lock),
        CASE(the_epoch_only_rises),
        CASE(a_lock_without_an_epoch_is_not_taken),
        cmocka_unit_test(only_the_very_process_counts_as_alive),
        cmocka_unit_test(a_zombie_is_gone),
        cmocka_unit_test(a_name_cannot_fake_a_start_time),
        CASE(a_dead_owner_is_taken_over),
        CASE(an_owner_that_lost_its_lock_writes_nothing),
        CASE(a_failed_write_can_be_tried_again),
        CASE(a_write_of_unknown_end_is_not_repeated),
        CASE(a_store_that_fails_gives_no_lock),
        CASE(a_child_does_not_give_the_lock_back),
    };
#undef CASE
    return cmocka_run_group_tests_name("store/journal", tests, NULL, NULL);
}
