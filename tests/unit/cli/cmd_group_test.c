/* `lamplighter group` against a real store, with and without a controller that takes requests. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "stage.h"

#include "core/world.h"

static size_t waiting(const struct stage *stage)
{
    struct store store = stage_store(stage);
    struct record_request *requests;
    size_t count;
    struct err e = ERR_NULL;
    assert_int_equal(record_request_list(&store, &requests, &count, &e), 0);
    record_request_list_free(requests, count);
    store_close(&store);
    return count;
}

static void test_no_store(void **state)
{
    struct stage *stage = *state;
    stage_expect(stage, "group scale web 3", CLI_FAILED, "nothing was applied yet");
    assert_int_not_equal(access(stage->state, F_OK), 0);
}

static void test_queued(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    stage_expect(stage, "group scale web 3", CLI_DONE,
                 "web: scale: queued; no controller runs: `lamplighter run` or `apply`");
    stage_expect(stage, "group pause --json", CLI_DONE,
                 "\"subject\":\"shop\",\"request\":\"pause\",\"number\":2,\"outcome\":"
                 "\"queued\",\"controller\":null");
    assert_int_equal(waiting(stage), 2);
}

static void test_not_queued(void **state)
{
    struct stage *stage = *state;
    char place[40];
    stage_fill(stage);
    snprintf(place, sizeof(place), "cluster.ini:%d: group web has", STAGE_GROUP_LINE);
    stage_expect(stage, "group scale web 5", CLI_REFUSED, place);
    stage_expect(stage, "group terminate web-1", CLI_REFUSED, "only what is detached");
    stage_expect(stage, "group standby web-9", CLI_FAILED, "did you mean 'web-1'?");
    stage_expect(stage, "group stanby web-1", CLI_USAGE, "did you mean 'standby'?");
    assert_int_equal(waiting(stage), 0);
}

/* A controller as far as requests go: takes COUNT of them in, each with OUTCOME, then ends. */
static pid_t start_taker(const struct stage *stage, size_t count, const char *outcome)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    struct err e = ERR_NULL;
    size_t taken = 0;
    while (taken < count) {
        struct record_request *requests;
        size_t waiting_count;
        if (record_request_list(&store, &requests, &waiting_count, &e) != 0) {
            _exit(1);
        }
        for (size_t i = 0; i < waiting_count; i++) {
            char why[160];
            snprintf(why, sizeof(why), "asked for by %s", requests[i].who);
            journal_add_event(journal, requests[i].subject,
                              record_request_kind_to_string(requests[i].kind), why, outcome);
            journal_delete_request(journal, requests[i].number);
        }
        taken += waiting_count;
        record_request_list_free(requests, waiting_count);
        if (journal_commit(journal, &e) != 0) {
            _exit(1);
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    /* The lock is left to be found without its owner, as after a crash. */
    _exit(0);
}

static void await_lock(const struct stage *stage)
{
    for (int i = 0; i < 1000; i++) {
        struct store store = stage_store(stage);
        struct record_lock lock;
        struct err e = ERR_NULL;
        bool found;
        assert_int_equal(record_lock_read(&store, &found, &lock, &e), 0);
        store_close(&store);
        if (found) {
            record_lock_deinit(&lock);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("nobody took the lock");
}

static void finish(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_taken(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    pid_t pid = start_taker(stage, 1, "taken");
    await_lock(stage);
    stage_expect(stage, "group replace web-1", CLI_DONE,
                 "web-1: replace: taken by run on host7, pid 4711; `lamplighter why web-1`");
    finish(pid);
    assert_int_equal(waiting(stage), 0);
}

static void test_refused(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    pid_t pid = start_taker(stage, 1, "refused: group web has its max of 4 already");
    await_lock(stage);
    stage_expect(stage, "group attach web-3", CLI_REFUSED,
                 "web-3: attach: refused: group web has its max of 4 already");
    finish(pid);
}

static void test_no_wait(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    stage_expect(stage, "group protect web-1 --no-wait", CLI_DONE,
                 "web-1: protect: queued for run on host7, pid 4711");
    journal_close(journal);
    store_close(&store);
    assert_int_equal(waiting(stage), 1);
}

/* The options of a refresh: what makes no sense is told before anything is looked at. */
static void test_refresh_words(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    static const struct {
        const char *line;
        const char *said;
    } cases[] = {
        {"group refresh", "group refresh GROUP"},
        {"group refresh web --bake soon",
         "--bake: expected a time like '90s' or '5min', got 'soon'"},
        {"group refresh web --warm-up -1s", "--warm-up: expected a time"},
        {"group refresh web --checkpoints 50,20", "--checkpoints: expected percentages"},
        {"group refresh web --checkpoint-delay 5s", "--checkpoint-delay needs --checkpoints"},
        {"group refresh web --alarm 'open", "--alarm: "},
        {"group refresh web --alarm true --alarm-every 1ms", "--alarm-every: at least 1000 ms"},
        {"group refresh web --alarm-every 5s", "--alarm-every needs --alarm"},
        {"group refresh web --protected kill", "--protected: expected wait, replace or ignore"},
        {"group refresh web --standby kill", "--standby: expected wait, replace or ignore"},
        {"group refresh web --image Web@x", "image 'Web@x'"},
        {"group refresh web --cancel --rollback", "at a time"},
        {"group refresh web --continue --bake 5s", "take no other option"},
        {"group refresh web --wait --no-wait", "exclude each other"},
        {"group refresh web --template x", "--template: expected the number of a version"},
        {"group refresh web --template 0", "--template: expected the number of a version"},
        {"group refresh web --template 1 --image web", "--image and --template exclude each other"},
        {"group refresh web --cancel --template 1", "take no other option"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stage_expect(stage, cases[i].line, CLI_USAGE, cases[i].said);
    }
    assert_int_equal(waiting(stage), 0);
}

static void put_refresh(const struct stage *stage, enum world_refresh_state refresh_state)
{
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "apply");
    struct err e = ERR_NULL;
    const struct record_refresh record = {.group = "web",
                                          .state = (int)refresh_state,
                                          .began_ms = clock_wall_ms() - 60000,
                                          .since_ms = clock_wall_ms(),
                                          .image = "web@4",
                                          .before_image = "web@3",
                                          .wanted = 4,
                                          .before = 3,
                                          .checkpoints = {50},
                                          .checkpoint_count = 1,
                                          .checkpoint_delay_ms = -1,
                                          .who = "root on host7",
                                          .reason = "50 % of group web are replaced",
                                          .cause = "too many errors",
                                          .replaced = 1};
    journal_put_refresh(journal, &record);
    assert_int_equal(journal_commit(journal, &e), 0);
    journal_close(journal);
    store_close(&store);
}

static void test_refresh_refused(void **state)
{
    struct stage *stage = *state;
    stage_expect(stage, "group refresh web", CLI_FAILED, "nothing was applied yet");
    stage_fill(stage);
    stage_expect(stage, "group refresh web", CLI_REFUSED,
                 "group web: its hosts exist already; change them in place with `apply`");
    stage_expect(stage, "group refresh wbe", CLI_FAILED, "did you mean 'web'?");
    stage_expect(stage, "group refresh web-1", CLI_FAILED, "web-1 is an instance of group web");
    stage_expect(stage, "group refresh web --cancel", CLI_REFUSED, "was never refreshed");
    put_refresh(stage, WORLD_REFRESH_STOPPED);
    stage_expect(stage, "group refresh web --continue", CLI_REFUSED, "waits at no checkpoint");
    assert_int_equal(waiting(stage), 0);
}

static void test_refresh_orders(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    put_refresh(stage, WORLD_REFRESH_CHECKPOINT);
    stage_expect(stage, "group refresh web --continue", CLI_DONE, "refresh continue: queued");
    stage_expect(stage, "group refresh web --cancel", CLI_DONE, "refresh cancel: queued");
    /* To be waited for by nobody is no success. */
    stage_expect(stage, "group refresh web --rollback --wait", CLI_FAILED,
                 "refresh rollback: queued; no controller runs");
    assert_int_equal(waiting(stage), 3);
}

static void test_refresh_status(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    stage_expect(stage, "group refresh web --status", CLI_DONE, "web: was never refreshed");
    journal_close(journal);
    put_refresh(stage, WORLD_REFRESH_CHECKPOINT);
    journal = stage_journal(&store, "run on host7, pid 4711");
    stage_expect(stage, "group refresh web --status", CLI_DONE,
                 "web: refresh to web@4 at a checkpoint of 50 %");
    stage_expect(stage, "group refresh web --status", CLI_DONE,
                 "`group refresh web --continue` goes on; asked for by root on host7");
    journal_close(journal);
    put_refresh(stage, WORLD_REFRESH_ROLLED_BACK);
    journal = stage_journal(&store, "run on host7, pid 4711");
    stage_expect(stage, "group refresh web --status", CLI_DONE,
                 "ago: too many errors; 1 run web@3 again, ");
    stage_expect(stage, "group refresh web --status --json", CLI_DONE,
                 "\"state\": \"rolled back\"");
    stage_expect(stage, "status --json", CLI_DONE, "\"cause\": \"too many errors\"");
    journal_close(journal);
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_store, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_queued, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_not_queued, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_taken, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_refused, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_no_wait, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_refresh_words, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_refresh_refused, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_refresh_orders, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_refresh_status, stage_setup, stage_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
