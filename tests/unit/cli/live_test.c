/* A screen on a pseudo terminal: drawn without clearing it all, cut to its window, left as it was.
 */
#include "cli/live.h"

#include "base/str.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* A terminal of ROWS by COLUMNS and the process that draws on it. */
struct terminal {
    int keyboard; /* Ours: what we write is typed, what we read is on the screen. */
    int screen;   /* Theirs; kept open so that its settings can be looked at. */
    pid_t pid;
};

/* Draws each of TEXTS, a second (or a key) between them; ends with 0 when told to end before all
   are drawn, with 1 when not. */
static void draw_all(const char *const *texts, bool plain)
{
    setenv("TERM", "xterm", 1);
    struct live *live = live_new(plain);
    bool more = true;
    for (size_t i = 0; texts[i] != NULL && more; i++) {
        if (live_is_screen(live)) {
            live_draw(live, texts[i]);
        }
        more = live_wait(live, texts[i + 1] == NULL ? 20000 : 300);
    }
    live_free(live);
    _exit(more ? 1 : 0);
}

static struct terminal start(const char *const *texts, bool plain)
{
    struct terminal t = {.keyboard = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    assert_true(t.keyboard >= 0);
    assert_int_equal(grantpt(t.keyboard), 0);
    assert_int_equal(unlockpt(t.keyboard), 0);
    t.screen = open(ptsname(t.keyboard), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(t.screen >= 0);
    const struct winsize window = {.ws_row = 5, .ws_col = 20};
    assert_int_equal(ioctl(t.screen, TIOCSWINSZ, &window), 0);
    t.pid = fork();
    assert_true(t.pid >= 0);
    if (t.pid == 0) {
        dup2(t.screen, STDIN_FILENO);
        dup2(t.screen, STDOUT_FILENO);
        draw_all(texts, plain);
    }
    return t;
}

/* Adds what is on the screen until it has TEXT. */
static void await(const struct terminal *t, struct str *screen, const char *text)
{
    struct pollfd ready = {.fd = t->keyboard, .events = POLLIN};
    while (strstr(str_text(screen), text) == NULL) {
        char bytes[1024];
        if (poll(&ready, 1, 10000) != 1) {
            fail_msg("never on the screen: %s", text);
        }
        ssize_t length = read(t->keyboard, bytes, sizeof(bytes));
        assert_true(length > 0);
        str_add_bytes(screen, bytes, (size_t)length);
    }
}

static tcflag_t modes(const struct terminal *t)
{
    struct termios now;
    assert_int_equal(tcgetattr(t->screen, &now), 0);
    return now.c_lflag & (ICANON | ECHO);
}

static void finish(struct terminal *t, int wanted)
{
    int status;
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), wanted);
    close(t->keyboard);
    close(t->screen);
}

static void test_draws_and_ends_with_q(void **state)
{
    (void)state;
    static const char *const texts[] = {"first\nline\n", "second, which is too wide for it\n",
                                        NULL};
    struct terminal t = start(texts, false);
    struct str screen = STR_NULL;
    await(&t, &screen, "first\033[K");
    await(&t, &screen, "q ends");
    assert_true(text_starts(str_text(&screen), "\033[?25l\033[2J\033[H"));
    assert_int_equal(modes(&t), 0);
    await(&t, &screen, "\033[Hsecond, which is too\033[K");
    /* Cleared as a whole once only: the rest is drawn over. */
    assert_null(strstr(strstr(str_text(&screen), "first"), "\033[2J"));
    assert_int_equal(write(t.keyboard, "xq", 2), 2);
    await(&t, &screen, "\033[?25h");
    finish(&t, 0);
    str_deinit(&screen);
}

static void test_cut_to_the_window(void **state)
{
    (void)state;
    static const char *const texts[] = {"1\n2\n3\n4\n5\n6\n", NULL};
    struct terminal t = start(texts, false);
    struct str screen = STR_NULL;
    await(&t, &screen, "more lines do not fit");
    assert_non_null(strstr(str_text(&screen), "4\033[K"));
    assert_null(strstr(str_text(&screen), "5\033[K"));
    assert_int_equal(write(t.keyboard, "q", 1), 1);
    await(&t, &screen, "\033[?25h");
    finish(&t, 0);
    str_deinit(&screen);
}

static void test_restored_after_a_signal(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    static const char *const texts[] = {"text\n", NULL};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct terminal t = start(texts, false);
        tcflag_t before = ICANON | ECHO;
        struct str screen = STR_NULL;
        await(&t, &screen, "q ends");
        assert_int_equal(modes(&t), 0);
        assert_int_equal(kill(t.pid, signals[i]), 0);
        await(&t, &screen, "\033[?25h");
        int status;
        assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
        assert_int_equal(status, 0);
        assert_int_equal(modes(&t), before);
        close(t.keyboard);
        close(t.screen);
        str_deinit(&screen);
    }
}

/* With --json a terminal gets lines like a pipe: nothing is hidden, no key is taken. */
static void test_plain(void **state)
{
    (void)state;
    static const char *const texts[] = {"text\n", NULL};
    struct terminal t = start(texts, true);
    assert_int_equal(modes(&t), ICANON | ECHO);
    struct pollfd ready = {.fd = t.keyboard, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 300), 0);
    assert_int_equal(kill(t.pid, SIGINT), 0);
    finish(&t, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_and_ends_with_q),
        cmocka_unit_test(test_cut_to_the_window),
        cmocka_unit_test(test_restored_after_a_signal),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
