/* Programs that are watched: how they end, and that nothing of them is left, whoever dies first. */
#include "base/process_watch.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

static char directory[64];

static void take(void *context, const char *bytes, size_t length)
{
    str_add_bytes(context, bytes, length);
}

struct outcome {
    int result;
    enum process_watch_end end;
    int status;
    struct str said;
    struct err e;
};

/* Runs a shell SCRIPT; $D is the test's directory. */
static struct outcome run(const char *script, int64_t silence_ms, int64_t span_ms)
{
    char *place = xasprintf("D=%s", directory);
    const char *const argv[] = {"sh", "-c", script, NULL};
    const char *const environment[] = {place, "LAMPLIGHTER_X=a b", NULL};
    struct outcome o = {.said = STR_NULL};
    const struct process_watch watch = {.argv = argv,
                                        .environment = environment,
                                        .deadline_ms = clock_now_ms() + span_ms,
                                        .silence_ms = silence_ms,
                                        .on_output = take,
                                        .context = &o.said};
    o.result = process_watch(&watch, &o.end, &o.status, &o.e);
    free(place);
    return o;
}

/* Pids that a script wrote to $D/NAME: none may be alive. */
static void assert_gone(const char *name, int expected)
{
    char *path = xasprintf("%s/%s", directory, name);
    int count = 0;
    FILE *file = NULL;
    for (int i = 0; i < 200 && count < expected; i++) {
        file = fopen(path, "re");
        count = 0;
        long pid;
        while (file != NULL && fscanf(file, "%ld", &pid) == 1) {
            count++;
        }
        if (file != NULL) {
            rewind(file);
        }
        if (count < expected) {
            if (file != NULL) {
                fclose(file);
            }
            usleep(20000);
        }
    }
    assert_int_equal(count, expected);
    long pid;
    while (fscanf(file, "%ld", &pid) == 1) {
        for (int i = 0; i < 200 && kill((pid_t)pid, 0) == 0; i++) {
            usleep(20000);
        }
        assert_int_equal(kill((pid_t)pid, 0), -1);
    }
    fclose(file);
    unlink(path);
    free(path);
}

/* One in the group, one in a session of its own whose parent has gone, both deaf to signals. */
#define LEAVES                                                                                     \
    ": >$D/pids; trap '' TERM HUP; (echo $(exec sh -c 'echo $PPID') >>$D/pids; exec sleep 1000) "  \
    "& "                                                                                           \
    "(setsid sh -c 'trap \"\" TERM HUP; echo $$ >>$D/pids; exec sleep 1000' & ); "                 \
    "while [ $(wc -l <$D/pids) -lt 2 ]; do sleep 0.02; done; "

static void test_ends(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int status;
        const char *said;
    } cases[] = {
        {"echo one; echo two >&2", 0, "one\ntwo\n"},
        {"printf %s \"$LAMPLIGHTER_X/$HOME\"; pwd; exit 7", 7, "a b//nonexistent/\n"},
        {"kill -9 $$", 137, ""},
        {"read x; echo $?", 0, "1\n"},
        {"ls /proc/self/fd | wc -l", 0, "4\n"},
        {"exec 1>&- 2>&-; sleep 0.2; exit 3", 3, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = run(cases[i].script, 0, PATIENCE_MS);
        assert_int_equal(o.result, 0);
        assert_int_equal(o.end, PROCESS_WATCH_ENDED);
        assert_int_equal(o.status, cases[i].status);
        assert_string_equal(str_text(&o.said), cases[i].said);
        str_deinit(&o.said);
    }
}

static void test_cannot_be_started(void **state)
{
    (void)state;
    const char *const argv[] = {"/nonexistent/hook", NULL};
    const struct process_watch watch = {.argv = argv, .deadline_ms = clock_now_ms() + PATIENCE_MS};
    enum process_watch_end end;
    int status;
    struct err e = ERR_NULL;
    assert_int_equal(process_watch(&watch, &end, &status, &e), -1);
    assert_string_equal(e.text, "/nonexistent/hook: cannot be started: No such file or directory");
}

static void test_silence(void **state)
{
    (void)state;
    int64_t begin_ms = clock_now_ms();
    struct outcome o = run(LEAVES "echo begun; sleep 1000", 700, PATIENCE_MS);
    assert_int_equal(o.result, 0);
    assert_int_equal(o.end, PROCESS_WATCH_SILENT);
    assert_true(clock_now_ms() - begin_ms < PATIENCE_MS / 2);
    assert_non_null(strstr(str_text(&o.said), "begun"));
    str_deinit(&o.said);
    assert_gone("pids", 2);
    /* Signs of life keep it going for longer than that. */
    o = run("for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done", 700, PATIENCE_MS);
    assert_int_equal(o.end, PROCESS_WATCH_ENDED);
    assert_string_equal(str_text(&o.said), "1\n2\n3\n4\n5\n6\n");
    str_deinit(&o.said);
}

static void test_deadline(void **state)
{
    (void)state;
    struct outcome o = run(LEAVES "while echo x; do sleep 0.05; done", 0, 1500);
    assert_int_equal(o.result, 0);
    assert_int_equal(o.end, PROCESS_WATCH_LATE);
    str_deinit(&o.said);
    assert_gone("pids", 2);
}

/* It has ended by itself: what it left goes as well, and does not hold us up. */
static void test_what_it_left(void **state)
{
    (void)state;
    int64_t begin_ms = clock_now_ms();
    struct outcome o = run(LEAVES "exit 5", 0, PATIENCE_MS);
    assert_int_equal(o.end, PROCESS_WATCH_ENDED);
    assert_int_equal(o.status, 5);
    assert_true(clock_now_ms() - begin_ms < PATIENCE_MS / 2);
    str_deinit(&o.said);
    assert_gone("pids", 2);
}

/* Whoever asked is killed in the middle, and cannot say so. */
static void test_who_asked_dies(void **state)
{
    (void)state;
    char *path = xasprintf("%s/pids", directory);
    pid_t asker = fork();
    if (asker == 0) {
        (void)run(LEAVES "sleep 1000", 0, 600000);
        _exit(0);
    }
    for (int i = 0; i < 500; i++) {
        struct str text = STR_NULL;
        struct err e = ERR_NULL;
        bool both = str_read_file(&text, path, 4096, &e) == 0 &&
                    strchr(str_text(&text), '\n') != strrchr(str_text(&text), '\n');
        str_deinit(&text);
        if (both) {
            break;
        }
        usleep(20000);
    }
    free(path);
    kill(asker, SIGKILL);
    waitpid(asker, NULL, 0);
    assert_gone("pids", 2);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/process_watch_test.XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_ends),     TEST(test_cannot_be_started), TEST(test_silence),
        TEST(test_deadline), TEST(test_what_it_left),      TEST(test_who_asked_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
