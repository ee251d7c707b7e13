#include "image/helper.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/process_spawner.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_MAX 4096

_Noreturn static void run(const char *const *argv, int input, int output, int said, pid_t parent)
{
    static char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                                        "/sbin:/bin",
                                        "LC_ALL=C.UTF-8", NULL};
    process_tie_to_parent(parent);
    process_reset_signals();
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && dup2(said, STDERR_FILENO) >= 0 &&
        dup2(input < 0 ? null : input, STDIN_FILENO) >= 0 &&
        dup2(output < 0 ? null : output, STDOUT_FILENO) >= 0) {
        close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
        execve(argv[0], (char *const *)argv, environment);
    }
    dprintf(said, "%s: install it: see tests/setup\n", strerror(errno));
    _exit(127);
}

int helper_start(struct helper *helper, const char *const *argv, int input, int output,
                 struct err *e)
{
    *helper = HELPER_NULL;
    helper->name = argv[0];
    helper->said = memfd_create("said", MFD_CLOEXEC);
    if (helper->said < 0) {
        return err_errno(e, errno, "start %s", argv[0]);
    }
    pid_t parent = getpid();
    helper->pid = fork();
    if (helper->pid == 0) {
        run(argv, input, output, helper->said, parent);
    }
    return helper->pid < 0 ? err_errno(e, errno, "start %s", argv[0]) : 0;
}

static bool await(pid_t pid, int64_t deadline_ms)
{
    int pidfd = pidfd_open(pid, 0);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    while (ended.revents == 0) {
        int64_t left_ms = deadline_ms - clock_now_ms();
        if (left_ms <= 0 || pidfd < 0) {
            break;
        }
        poll(&ended, 1, left_ms > 60000 ? 60000 : (int)left_ms);
    }
    if (pidfd >= 0) {
        close(pidfd);
    }
    return ended.revents != 0;
}

static int reap(struct helper *helper)
{
    int status = 0;
    while (waitpid(helper->pid, &status, 0) < 0 && errno == EINTR) {
    }
    helper->pid = -1;
    return status;
}

/* The last line of what it said, without control characters. */
static void add_last_line(const struct helper *helper, struct str *s)
{
    char said[SAID_MAX];
    off_t size = lseek(helper->said, 0, SEEK_END);
    off_t from = size > SAID_MAX ? size - SAID_MAX : 0;
    ssize_t got = pread(helper->said, said, sizeof(said), from);
    size_t length = got > 0 ? (size_t)got : 0;
    while (length > 0 && said[length - 1] == '\n') {
        length--;
    }
    size_t begin = length;
    while (begin > 0 && said[begin - 1] != '\n') {
        begin--;
    }
    str_add_printable(s, said + begin, length - begin, false);
}

int helper_end(struct helper *helper, int ok_max, int64_t deadline_ms, struct err *e)
{
    bool in_time = await(helper->pid, deadline_ms);
    if (!in_time) {
        kill(helper->pid, SIGKILL);
    }
    int status = reap(helper);
    struct str said = STR_NULL;
    add_last_line(helper, &said);
    int result = 0;
    if (!in_time) {
        result = err_set(e, "%s: not done at its deadline; killed", helper->name);
    } else if (WIFSIGNALED(status)) {
        result = err_set(e, "%s: killed by signal %d (%s)", helper->name, WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) > ok_max) {
        result = err_set(e, "%s: exit status %d%s%s", helper->name, WEXITSTATUS(status),
                         said.length > 0 ? ": " : "", str_text(&said));
    }
    str_deinit(&said);
    helper_deinit(helper);
    helper->late = !in_time;
    return result;
}

void helper_deinit(struct helper *helper)
{
    if (helper->pid > 0) {
        kill(helper->pid, SIGKILL);
        reap(helper);
    }
    if (helper->said >= 0) {
        close(helper->said);
    }
    *helper = HELPER_NULL;
}
