/*
 * `why`, `status` and `group list`: of views that a controller told, of a controller that runs (on
 * hosts that refuse every connection), and of what is seen when none does.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "store/record_view.h"

#include "stage.h"

static void sleep_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* As a controller tells it that has just lost web-2. */
static void put_views(struct journal *journal, int64_t age_ms)
{
    int64_t told_ms = clock_wall_ms() - age_ms;
    char *lines[] = {"web-2 is in-service; judged lost for 12 s.",
                     "Held: 1 of 2 in web are bad, more than 0: nothing destructive (S4)."};
    char *group_lines[] = {"Group web wants 2; 1 stand."};
    const struct record_view views[] = {
        {.subject = "web-1",
         .wall_ms = told_ms,
         .verdict = "well",
         .verdict_ms = told_ms,
         .state = "in-service",
         .power = "running",
         .probe = "healthy",
         .balancer_text = "up on lb-1",
         .serving = true},
        {.subject = "web-2",
         .wall_ms = told_ms,
         .verdict = "lost",
         .verdict_ms = told_ms - 12000,
         .state = "in-service",
         .power = "running",
         .probe = "unhealthy",
         .probe_text = "no answer\033[2J",
         .balancer_text = "down on lb-1",
         .hold = "waits",
         .reason = "1 of 2 in web are bad",
         .rule = "S4",
         .lines = lines,
         .line_count = 2},
        {.subject = "group/web",
         .wall_ms = told_ms,
         .desired = 2,
         .standing = 1,
         .serving_count = 1,
         .minimum = 2,
         .breaker = true,
         .suspended = 1 | 8,
         .lines = group_lines,
         .line_count = 1},
        {.subject = "cluster", .wall_ms = told_ms},
    };
    const struct record_action action = {.id = "00000001-restart-web-2",
                                         .kind = "restart",
                                         .instance = "web-2",
                                         .started_ms = told_ms};
    journal_put_action(journal, &action);
    struct err e = ERR_NULL;
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        journal_put_view(journal, &views[i]);
    }
    assert_int_equal(journal_commit(journal, &e), 0);
}

static void test_told(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    put_views(journal, 7000);
    stage_expect(stage, "why web-2", CLI_DONE,
                 "web-2 is in-service; judged lost for 12 s.\nHeld: 1 of 2 in web are bad, more "
                 "than 0: nothing destructive (S4).\n(as run on host7, pid 4711, sees it, told 7");
    stage_expect(stage, "why r1u02", CLI_DONE, "web-2 is in-service; judged lost");
    stage_expect(stage, "why not replaced web-2", CLI_DONE, "judged lost");
    stage_expect(stage, "why is web-2 not replaced", CLI_DONE, "judged lost");
    stage_expect(stage, "why web-2 --json", CLI_DONE, "\"rule\": \"S4\"");
    stage_expect(stage, "why web", CLI_DONE, "Group web wants 2; 1 stand.\n  web-2 ");
    stage_expect(stage, "why web-3", CLI_DONE, "the controller has not told of it yet");
    stage_expect(stage, "why web-8", CLI_FAILED, "did you mean 'web-1'?");
    stage_expect(stage, "why", CLI_USAGE, "why needs an instance");
    stage_expect(stage, "why web-1 web-2", CLI_USAGE, "one name at a time");
    put_views(journal, 7000); /* Time has passed, on a busy machine more than a second. */
    stage_expect(stage, "status", CLI_DONE,
                 "group web      2 of 2 instances, 1 serving, minimum 2; breaker open; suspended: "
                 "launch replace\n");
    assert_non_null(strstr(stage->said, "lost for 19"));
    assert_non_null(strstr(stage->said, "; restart under way for 7"));
    assert_non_null(strstr(stage->said, "; waits: 1 of 2 in web are bad (7"));
    assert_non_null(strstr(stage->said, "acting now: run on host7, pid 4711, for"));
    assert_null(strchr(stage->said, '\033'));
    stage_expect(stage, "group list", CLI_DONE,
                 "web                2     2    1    4        1       1       2  breaker open");
    stage_expect(stage, "status --json", CLI_DONE, "\"verdict\": \"lost\"");
    journal_close(journal);
    store_close(&store);
}

/* What a controller that has ended told is not believed any more. */
static void test_told_by_the_dead(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    put_views(journal, 7000);
    journal_close(journal);
    stage_expect(stage, "why web-2", CLI_DONE,
                 "as seen just now: no controller runs, so all clocks start now");
    assert_null(strstr(stage->said, "judged lost"));
    /* Nor by the next one, before that has told anything itself. */
    journal = stage_journal(&store, "run on host7, pid 4712");
    stage_expect(stage, "why web-2", CLI_DONE, "the controller has not told of it yet");
    journal_close(journal);
    store_close(&store);
}

static pid_t start_run(const struct stage *stage)
{
    char *words[] = {"lamplighter", "-c", stage->file, "run", NULL};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t pid = stage_start(words, 4, null);
    close(null);
    return pid;
}

static void end_run(pid_t pid)
{
    int status;
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Until `lamplighter LINE` says TEXT. */
static void await(struct stage *stage, const char *line, const char *text)
{
    for (int i = 0; i < 300; i++) {
        if (stage_run(stage, line) == CLI_DONE && strstr(stage->said, text) != NULL) {
            return;
        }
        sleep_ms(100);
    }
    fail_msg("%s never said \"%s\": %s", line, text, stage->said);
}

static int64_t revision(struct store *store)
{
    int64_t number;
    struct err e = ERR_NULL;
    assert_int_equal(store_revision(store, &number, &e), 0);
    return number;
}

static void test_running(void **state)
{
    struct stage *stage = *state;
    pid_t pid = start_run(stage);
    await(stage, "status", "acting now: run on ");
    await(stage, "why web-1", "Held: failed ");
    stage_expect(stage, "why web-1", CLI_DONE, "The last failure: web-1 (127.0.0.1:1): refuses");
    stage_expect(stage, "group scale web 3", CLI_DONE, "web: scale: taken by run on ");
    await(stage, "why web", "Group web wants 3");
    await(stage, "group list", "web                3     2    1    4        3       0       3");
    stage_expect(stage, "group pause", CLI_DONE, "shop: pause: taken by run on ");
    await(stage, "why web-3", "Held: shop is paused (S22).");
    await(stage, "why cluster", "Cluster shop is paused (S22)");
    await(stage, "status --json", "\"paused\": true");
    /* Nothing changes any more, so nothing is written any more. */
    struct store store = stage_store(stage);
    sleep_ms(1500);
    int64_t before = revision(&store);
    sleep_ms(3000);
    assert_int_equal(revision(&store), before);
    store_close(&store);
    end_run(pid);
    stage_expect(stage, "why web-1", CLI_DONE, "no controller runs");
}

/* A controller that follows another tells all anew, and removes what nobody is any more. */
static void test_views_of_before(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run");
    struct err e = ERR_NULL;
    journal_put_view(journal, &(struct record_view){.subject = "gone-1"});
    put_views(journal, 0);
    journal_close(journal);
    pid_t pid = start_run(stage);
    await(stage, "status", "acting now: run on ");
    await(stage, "why web-2", "web-2 is in-service");
    struct record_view *views;
    size_t count;
    assert_int_equal(record_view_list(&store, &views, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        assert_string_not_equal(views[i].subject, "gone-1");
    }
    record_view_list_free(views, count);
    store_close(&store);
    end_run(pid);
}

/* The other commands that take a name: the nearest one is told. */
static void test_nearest(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    stage_expect(stage, "exec wbe -- true", CLI_FAILED, "did you mean 'web'?");
    stage_expect(stage, "exec web-9 -- true", CLI_FAILED, "did you mean 'web-1'?");
    stage_expect(stage, "ssh r1u09", CLI_FAILED, "did you mean 'r1u01'?");
    stage_expect(stage, "role show web-9", CLI_FAILED, "did you mean 'web-1'?");
}

/* In a pipe: a line a change, and an end when it is told to. */
static void test_watch(void **state)
{
    struct stage *stage = *state;
    stage_fill(stage);
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    put_views(journal, 0);
    int ends[2];
    char *words[] = {"lamplighter", "-c", stage->file, "status", "--watch", NULL};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = stage_start(words, 5, ends[1]);
    close(ends[1]);
    sleep_ms(2500);
    struct err e = ERR_NULL;
    journal_delete_instance(journal, "web-3");
    stage_put_instance(journal, "web-1", "r1u01", LIFECYCLE_DRAINING);
    assert_int_equal(journal_commit(journal, &e), 0);
    sleep_ms(2500);
    assert_int_equal(kill(pid, SIGTERM), 0);
    struct str said = STR_NULL;
    char bytes[4096];
    ssize_t length;
    while ((length = read(ends[0], bytes, sizeof(bytes))) > 0) {
        str_add_bytes(&said, bytes, (size_t)length);
    }
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    const char *text = str_text(&said);
    const char *first = strstr(text, "web-1        in-service  well, serving\n");
    const char *then = strstr(text, "web-1        draining    well, serving\n");
    assert_non_null(first);
    assert_non_null(then);
    assert_true(first < then);
    assert_null(strstr(first + 1, "web-1        in-service"));
    assert_non_null(strstr(then, " web-3 gone\n"));
    assert_null(strstr(then, "web-2"));
    assert_null(strchr(text, '\033'));
    str_deinit(&said);
    journal_close(journal);
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_told, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_told_by_the_dead, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_running, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_views_of_before, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_nearest, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_watch, stage_setup, stage_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
