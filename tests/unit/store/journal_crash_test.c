/*
 * Runs that are killed at random moments, and runs that start at the same time, on a real store:
 * one owner at a time, epochs that only rise, steps that are there as a whole, a chain that holds.
 */
#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conformance/scratch.h"
#include "store/sqlite.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS  40
#define ROUNDS 10
#define RACERS 4

struct fixture {
    char *directory;
    char *path;
};

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    fixture->directory = scratch_make();
    fixture->path = xasprintf("%s/shop.db", fixture->directory);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    scratch_remove(fixture->directory);
    free(fixture->path);
    free(fixture);
    return 0;
}

static unsigned draw(uint64_t *seed, unsigned below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % below;
}

/* What a run tells of itself over a pipe. */
struct told {
    int64_t epoch;
    int64_t step;    /* Durable. */
    int64_t outcome; /* enum journal_outcome, or -1 for a fault. */
};

static void tell(int pipe, int64_t epoch, int64_t step, int64_t outcome)
{
    struct told told = {.epoch = epoch, .step = step, .outcome = outcome};
    if (write(pipe, &told, sizeof(told)) != (ssize_t)sizeof(told)) {
        _exit(9);
    }
}

/* The step that is in the store: what web-1's failures count. */
static int read_step(struct store *store, int64_t *ret_step, struct err *e)
{
    struct record_instance *records;
    size_t count;
    if (record_instance_list(store, &records, &count, e) != 0) {
        return -1;
    }
    *ret_step = count == 0 ? 0 : records[0].failures;
    record_instance_list_free(records, count);
    return 0;
}

static void act_until_killed(const char *path, int pipe)
{
    struct err e = ERR_NULL;
    struct store store;
    struct journal *journal;
    enum journal_outcome outcome;
    struct record_lock holder;
    int64_t step;
    if (store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e) != 0 ||
        journal_open(&journal, &store, "a run", &outcome, &holder, &e) != 0 ||
        outcome != JOURNAL_OPEN || read_step(&store, &step, &e) != 0) {
        tell(pipe, 0, 0, -1);
        _exit(1);
    }
    for (;;) {
        step++;
        struct record_instance record = {
            .id = "web-1", .group = "web", .lifecycle = LIFECYCLE_PENDING, .failures = (int)step};
        char number[24];
        snprintf(number, sizeof(number), "%lld", (long long)step);
        journal_put_instance(journal, &record);
        journal_add_event(journal, number, "launch", NULL, "begun");
        journal_add_event(journal, number, "launch", NULL, "done");
        if (journal_commit(journal, &e) != 0) {
            tell(pipe, 0, 0, -1);
            _exit(2);
        }
        tell(pipe, journal_epoch(journal), step, JOURNAL_OPEN);
    }
}

/* The last step in the store, after checking that nothing of it is there without the rest. */
static int64_t check_after_kill(const char *path)
{
    struct err e = ERR_NULL;
    struct store store;
    if (store_sqlite_open(&store, path, STORE_SQLITE_READ, &e) != 0) {
        return 0; /* Killed before there was a store. */
    }
    int64_t step;
    size_t count;
    if (read_step(&store, &step, &e) != 0 || record_event_verify(&store, &count, &e) != 0) {
        fail_msg("after a kill: %s", e.text);
    }
    struct record_event *events;
    assert_int_equal(record_event_list(&store, 0, &events, &count, &e), 0);
    int64_t begun = 0;
    int64_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(events[i].what, "take-over") == 0) {
            continue;
        }
        int64_t *counter = strcmp(events[i].outcome, "begun") == 0 ? &begun : &done;
        int64_t number;
        assert_true(text_to_int(events[i].subject, 1, INT64_MAX, &number));
        assert_int_equal(number, ++*counter); /* None left out, none twice. */
    }
    assert_int_equal(begun, step);
    assert_int_equal(done, step);
    record_event_list_free(events, count);
    bool found;
    struct record_lock lock;
    assert_int_equal(record_lock_read(&store, &found, &lock, &e), 0);
    assert_false(found);
    store_close(&store);
    return step;
}

static void killed_runs_leave_whole_steps(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 9;
    int64_t last_step = 0;
    int64_t last_epoch = 0;
    for (int i = 0; i < KILLS; i++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            act_until_killed(fixture->path, pipes[1]);
        }
        close(pipes[1]);
        struct told told;
        int64_t epoch = 0;
        /* Mostly after its first word, however busy the machine is; else as early as can be. */
        bool awake = i % 4 != 0;
        bool heard = awake && read(pipes[0], &told, sizeof(told)) == (ssize_t)sizeof(told);
        assert_true(heard == awake);
        nanosleep(&(struct timespec){.tv_nsec = (long)draw(&seed, 20000) * 1000}, NULL);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        for (; heard || read(pipes[0], &told, sizeof(told)) == (ssize_t)sizeof(told);
             heard = false) {
            assert_int_equal(told.outcome, JOURNAL_OPEN);
            assert_int_equal(told.step, last_step + 1);
            last_step = told.step;
            assert_true(epoch == 0 ? told.epoch > last_epoch : told.epoch == epoch);
            epoch = told.epoch;
        }
        close(pipes[0]);
        last_epoch = epoch == 0 ? last_epoch : epoch;
        int64_t step = check_after_kill(fixture->path);
        assert_true(step == last_step || step == last_step + 1);
        last_step = step;
    }
    print_message("%lld steps, %lld owners, %d kills\n", (long long)last_step,
                  (long long)last_epoch, KILLS);
    assert_true(last_step > KILLS && last_epoch > KILLS / 4);
}

/* Waits for START to be closed, tries once, and holds on to what it got. */
static void race(const char *path, int start, int pipe)
{
    struct err e = ERR_NULL;
    struct store store;
    struct journal *journal;
    enum journal_outcome outcome;
    struct record_lock holder;
    char byte;
    if (store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e) != 0 ||
        read(start, &byte, 1) != 0 ||
        journal_open(&journal, &store, "a racer", &outcome, &holder, &e) != 0) {
        tell(pipe, 0, 0, -1);
        _exit(1);
    }
    tell(pipe, outcome == JOURNAL_OPEN ? journal_epoch(journal) : holder.epoch, 0, outcome);
    pause();
    _exit(0);
}

/* First for a free lock, then each time for that of an owner that was killed. */
static void one_of_many_gets_the_lock(void **state)
{
    struct fixture *fixture = *state;
    for (int64_t round = 1; round <= ROUNDS; round++) {
        int start[2];
        int pipes[2];
        assert_int_equal(pipe(start), 0);
        assert_int_equal(pipe(pipes), 0);
        pid_t children[RACERS];
        for (size_t i = 0; i < RACERS; i++) {
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0) {
                close(start[1]);
                race(fixture->path, start[0], pipes[1]);
            }
        }
        close(start[0]);
        close(start[1]);
        unsigned open = 0;
        for (size_t i = 0; i < RACERS; i++) {
            struct told told;
            assert_int_equal(read(pipes[0], &told, sizeof(told)), sizeof(told));
            assert_true(told.outcome == JOURNAL_OPEN || told.outcome == JOURNAL_HELD);
            open += told.outcome == JOURNAL_OPEN ? 1 : 0;
            assert_int_equal(told.epoch, round);
        }
        assert_int_equal(open, 1);
        close(pipes[0]);
        close(pipes[1]);
        for (size_t i = 0; i < RACERS; i++) {
            int status;
            kill(children[i], SIGKILL);
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_runs_leave_whole_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(one_of_many_gets_the_lock, setup, teardown),
    };
    return cmocka_run_group_tests_name("store/journal: crash", tests, NULL, NULL);
}
