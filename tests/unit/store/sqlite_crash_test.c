/*
 * Several processes and sudden death: a writer killed with SIGKILL at random moments leaves all of
 * a transaction or nothing of it, and of two that swap the same revision one wins.
 */
#include "store/sqlite.h"

#include "base/err.h"
#include "base/mem.h"
#include "conformance/scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS 50
#define KEYS  5 /* Written by each transaction. */

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

static void key_of(size_t i, char ret_key[8])
{
    memcpy(ret_key, "crash/?", 8);
    ret_key[6] = (char)('0' + i);
}

/* Writes NUMBER to all keys at once; every third time a marker key comes or goes as well. */
static int write_round(struct store *store, int64_t number, struct err *e)
{
    static const char filler[3000];
    struct store_write writes[KEYS + 2];
    char keys[KEYS][8];
    for (size_t i = 0; i < KEYS; i++) {
        key_of(i, keys[i]);
        writes[i] = (struct store_write){.key = keys[i], .value = &number, .length = 8};
    }
    writes[KEYS] = (struct store_write){
        .key = "crash/marker", .value = number % 3 == 0 ? &number : NULL, .length = 8};
    /* Some transactions are large, so that the log is written back in the middle of things. */
    writes[KEYS + 1] = (struct store_write){
        .key = "filler", .value = filler, .length = (size_t)(number % 7) * 400};
    enum store_outcome outcome;
    return store_commit(store, NULL, 0, writes, KEYS + 2, &outcome, NULL, e);
}

/* Never returns: goes on from what is there until it is killed, telling what is durable. */
static void write_until_killed(const char *path, int told)
{
    struct err e = ERR_NULL;
    struct store store;
    int64_t number = 0;
    if (store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e) != 0 ||
        store_revision(&store, &number, &e) != 0) {
        _exit(1);
    }
    for (;;) {
        number++;
        if (write_round(&store, number, &e) != 0 || write(told, &number, 8) != 8) {
            _exit(2);
        }
    }
}

static int64_t read_number(struct store *store, const char *key, int64_t *ret_revision)
{
    struct err e = ERR_NULL;
    bool found = false;
    struct store_entry entry = {.key = NULL};
    if (store_get(store, key, &found, &entry, &e) != 0) {
        fail_msg("%s: %s", key, e.text);
    }
    int64_t number = 0;
    if (found) {
        assert_int_equal(entry.length, 8);
        memcpy(&number, entry.value, 8);
    }
    *ret_revision = entry.revision;
    store_entry_deinit(&entry);
    return number;
}

/* All keys tell of the same transaction, and it is not before TOLD. Returns its number. */
static int64_t check_after_crash(const char *path, enum store_sqlite_mode mode, int64_t told)
{
    struct err e = ERR_NULL;
    struct store store;
    if (store_sqlite_open(&store, path, mode, &e) != 0) {
        fail_msg("open after a crash: %s", e.text);
    }
    int64_t last;
    assert_int_equal(store_revision(&store, &last, &e), 0);
    assert_true(last >= told && last <= told + 1);
    int64_t revision;
    for (size_t i = 0; i < KEYS; i++) {
        char key[8];
        key_of(i, key);
        assert_int_equal(read_number(&store, key, &revision), last);
        assert_int_equal(revision, last);
    }
    int64_t marker = read_number(&store, "crash/marker", &revision);
    assert_int_equal(marker, last % 3 == 0 ? last : 0);
    store_close(&store);
    return last;
}

/* Kills a writer DELAY_US after its start, or (AWAKE) after the first number that it told, however
   busy the machine is; the last number it told. */
static int64_t kill_a_writer(const char *path, bool awake, long delay_us, int64_t told_before)
{
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(told[0]);
        write_until_killed(path, told[1]);
    }
    close(told[1]);
    int64_t number = told_before;
    int64_t last = told_before;
    if (awake) {
        assert_int_equal(read(told[0], &number, 8), 8);
        assert_int_equal(number, last + 1);
        last = number;
    }
    nanosleep(&(struct timespec){.tv_nsec = delay_us * 1000}, NULL);
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read(told[0], &number, 8) == 8) {
        assert_int_equal(number, last + 1); /* No revision twice, none left out. */
        last = number;
    }
    close(told[0]);
    return last;
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void a_killed_writer_leaves_whole_transactions(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 5;
    int64_t last = 0;
    for (int i = 0; i < KILLS; i++) {
        /* Also so early that the store is not even made. */
        bool awake = i % 5 != 0;
        long delay_us = (long)draw(&seed, awake ? 20000 : 4000);
        int64_t told = kill_a_writer(fixture->path, awake, delay_us, last);
        if (!is_there(fixture->path)) {
            assert_int_equal(told, 0);
            continue;
        }
        int64_t as_read = check_after_crash(fixture->path, STORE_SQLITE_READ, told);
        last = as_read;
        if (i % 3 != 0) { /* Else the next writer meets the crash as it is. */
            last = check_after_crash(fixture->path, STORE_SQLITE_WRITE, told);
        }
        assert_int_equal(last, as_read);
    }
    print_message("%lld transactions over %d kills\n", (long long)last, KILLS);
    assert_true(last > KILLS);
}

/* Kills in the very first milliseconds, each on a fresh path. */
static void a_store_killed_while_made_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 3;
    for (int i = 0; i < 20; i++) {
        char *path = xasprintf("%s/%d.db", fixture->directory, i);
        int64_t told = kill_a_writer(path, false, (long)draw(&seed, 6000), 0);
        struct err e = ERR_NULL;
        struct store store;
        if (store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e) != 0) {
            fail_msg("open: %s", e.text);
        }
        int64_t revision;
        assert_int_equal(store_revision(&store, &revision, &e), 0);
        assert_true(revision >= told && revision <= told + 1);
        store_close(&store);
        free(path);
    }
}

#define SWAPPERS 3
#define SWAPS    40 /* Won by each. */

/* Takes the counter from N to N + 1 by compare and set; tells every N it won. */
static int swap_until_done(const char *path, int told)
{
    struct err e = ERR_NULL;
    struct store store;
    if (store_sqlite_open(&store, path, STORE_SQLITE_WRITE, &e) != 0) {
        return 1;
    }
    for (int won = 0; won < SWAPS;) {
        bool found;
        struct store_entry entry = {.key = NULL};
        if (store_get(&store, "counter", &found, &entry, &e) != 0) {
            return 2;
        }
        int64_t number = 0;
        if (found) {
            memcpy(&number, entry.value, 8);
        }
        struct store_compare compare = {.key = "counter", .revision = entry.revision};
        store_entry_deinit(&entry);
        number++;
        struct store_write swap = {.key = "counter", .value = &number, .length = 8};
        enum store_outcome outcome;
        if (store_commit(&store, &compare, 1, &swap, 1, &outcome, NULL, &e) != 0) {
            return 3;
        }
        if (outcome == STORE_DONE) {
            won++;
            if (write(told, &number, 8) != 8) {
                return 4;
            }
        }
    }
    store_close(&store);
    return 0;
}

/* All start on a store that is not there: they race for making it, too. */
static void each_revision_is_won_once(void **state)
{
    struct fixture *fixture = *state;
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t children[SWAPPERS];
    for (size_t i = 0; i < SWAPPERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            _exit(swap_until_done(fixture->path, told[1]));
        }
    }
    close(told[1]);
    unsigned won[SWAPPERS * SWAPS + 1] = {0};
    int64_t number;
    while (read(told[0], &number, 8) == 8) {
        assert_true(number >= 1 && number <= SWAPPERS * SWAPS);
        won[number]++;
    }
    close(told[0]);
    for (size_t i = 0; i < SWAPPERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    for (size_t i = 1; i <= SWAPPERS * SWAPS; i++) {
        assert_int_equal(won[i], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_whole_transactions, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_killed_while_made_is_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(each_revision_is_won_once, setup, teardown),
    };
    return cmocka_run_group_tests_name("store/sqlite: crash", tests, NULL, NULL);
}
