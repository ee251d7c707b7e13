/*
 * What is shown while the loop turns: what is too long is cut between two characters, in a pipe and
 * on a (pseudo) terminal.
 */
#include "cli/progress.h"

#include "base/str.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define EURO    "\xe2\x82\xac" /* Three bytes, one column. */
#define COLUMNS 60

/* OFFSET letters, then COUNT euros. */
static void add_euros(struct str *text, int offset, int count)
{
    for (int i = 0; i < offset; i++) {
        str_add_char(text, 'x');
    }
    for (int i = 0; i < count; i++) {
        str_add(text, EURO);
    }
}

/* As a loop would: a step of web-1 begins, says TEXT, and fails with it. */
static void show(const char *text)
{
    static const struct cli cli = {.json = false};
    static const struct action action = {.kind = ACTION_CONFIGURE};
    setenv("TERM", "xterm", 1);
    struct progress *progress = progress_new(&cli);
    struct controller_watch watch = progress_watch(progress);
    watch.on_begin(watch.context, &action, "web-1", "it differs");
    watch.on_progress(watch.context, "web-1", text);
    if (watch.on_tick != NULL) {
        watch.on_tick(watch.context);
    }
    watch.on_end(watch.context, &action, "web-1", WORK_PERMANENT, 1000, text);
    progress_free(progress);
    fflush(stdout);
    _exit(0);
}

static void read_all(int fd, struct str *text)
{
    char bytes[1024];
    ssize_t length;
    while ((length = read(fd, bytes, sizeof(bytes))) > 0) {
        str_add_bytes(text, bytes, (size_t)length);
    }
}

/* What stands on SCREEN, a descriptor that a child has as its output, when it shows TEXT. */
static void shown(int output, int input, const char *text, struct str *ret_screen)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(output, STDOUT_FILENO);
        show(text);
    }
    close(output);
    read_all(input, ret_screen);
    close(input);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void assert_whole(const struct str *screen, int offset)
{
    for (size_t i = 0; i < screen->length; i++) {
        unsigned char c = (unsigned char)screen->text[i];
        size_t length = c < 0x80 ? 1 : text_utf8_length(screen->text + i, screen->length - i);
        if (length == 0 || c == '?') {
            fail_msg("offset %d: a torn character at %zu of '%s'", offset, i, screen->text);
        }
        i += length - 1;
    }
}

static void a_pipe_gets_whole_characters(void **state)
{
    (void)state;
    for (int offset = 0; offset < 3; offset++) {
        struct str text = STR_NULL;
        struct str screen = STR_NULL;
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        add_euros(&text, offset, 300);
        shown(ends[1], ends[0], str_text(&text), &screen);
        assert_whole(&screen, offset);
        assert_non_null(strstr(str_text(&screen), EURO EURO " ...\n"));
        str_deinit(&text);
        str_deinit(&screen);
    }
}

static void a_terminal_gets_whole_characters(void **state)
{
    (void)state;
    for (int offset = 0; offset < 3; offset++) {
        struct str text = STR_NULL;
        struct str screen = STR_NULL;
        const struct winsize window = {.ws_row = 10, .ws_col = COLUMNS};
        int keyboard = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(keyboard >= 0 && grantpt(keyboard) == 0 && unlockpt(keyboard) == 0);
        int output = open(ptsname(keyboard), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(output >= 0);
        assert_int_equal(ioctl(output, TIOCSWINSZ, &window), 0);
        add_euros(&text, offset, 80);
        shown(output, keyboard, str_text(&text), &screen);
        assert_whole(&screen, offset);
        /* "  web-1           0:00  " and as many as fit beside it, not a third of them. */
        struct str fitting = STR_NULL;
        str_add(&fitting, "0:00  ");
        add_euros(&fitting, offset, COLUMNS - 1 - 27 - offset);
        str_add(&fitting, "\r\n");
        if (strstr(str_text(&screen), str_text(&fitting)) == NULL) {
            fail_msg("offset %d: no '%s' in '%s'", offset, str_text(&fitting), str_text(&screen));
        }
        str_deinit(&fitting);
        str_deinit(&text);
        str_deinit(&screen);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_gets_whole_characters),
        cmocka_unit_test(a_terminal_gets_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
