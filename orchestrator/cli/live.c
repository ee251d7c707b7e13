#include "cli/live.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define HOME        "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_BELOW "\033[J"
#define CLEAR_ALL   "\033[2J"
#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"

struct live {
    bool screen;
    bool keys; /* Standard input is a terminal, and its keys come one by one. */
    bool cleared;
    struct termios before;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

static void write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            return; /* The terminal has gone; poll says so too. */
        }
        if (written > 0) {
            text += written;
            length -= (size_t)written;
        }
    }
}

static void take_keys(struct live *live)
{
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &live->before) != 0) {
        return;
    }
    struct termios raw = live->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    live->keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

struct live *live_new(bool plain)
{
    struct live *live = xcalloc(1, sizeof(*live));
    live->screen = !plain && isatty(STDOUT_FILENO) && !text_equal(getenv("TERM"), "dumb");
    ended = 0;
    catch_signals();
    if (live->screen) {
        take_keys(live);
        fflush(stdout);
        write_all(HIDE_CURSOR, strlen(HIDE_CURSOR));
    }
    return live;
}

void live_free(struct live *live)
{
    if (live == NULL) {
        return;
    }
    if (live->screen) {
        write_all(SHOW_CURSOR, strlen(SHOW_CURSOR));
    }
    if (live->keys) {
        tcsetattr(STDIN_FILENO, TCSANOW, &live->before);
    }
    free(live);
}

bool live_is_screen(const struct live *live)
{
    return live->screen;
}

void live_draw(struct live *live, const char *text)
{
    struct winsize window = {.ws_row = 24, .ws_col = 80};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
    size_t rows = window.ws_row > 2 ? window.ws_row - 1U : 23;
    size_t width = window.ws_col > 10 ? window.ws_col : 80;
    struct str out = STR_NULL;
    str_add(&out, live->cleared ? HOME : CLEAR_ALL HOME);
    live->cleared = true;
    for (size_t row = 0; row < rows && *text != '\0'; row++) {
        size_t length = strcspn(text, "\n");
        str_add_bytes(&out, text, text_fit(text, length, width));
        str_add(&out, CLEAR_LINE "\n");
        text += length + (text[length] == '\n');
    }
    char now[32];
    clock_format(clock_wall_ms(), now, sizeof(now));
    str_addf(&out, "%s; q ends%s" CLEAR_LINE CLEAR_BELOW, now,
             *text != '\0' ? "; more lines do not fit" : "");
    write_all(str_text(&out), out.length);
    str_deinit(&out);
}

bool live_wait(struct live *live, int timeout_ms)
{
    int64_t until_ms = clock_now_ms() + timeout_ms;
    struct pollfd input = {.fd = live->keys ? STDIN_FILENO : -1, .events = POLLIN};
    while (!ended) {
        int64_t left_ms = until_ms - clock_now_ms();
        if (left_ms <= 0) {
            return true;
        }
        if (poll(&input, 1, (int)left_ms) <= 0) {
            continue;
        }
        char key;
        if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q') {
            break;
        }
    }
    if (live->screen) {
        write_all("\n", 1);
    }
    return false;
}
