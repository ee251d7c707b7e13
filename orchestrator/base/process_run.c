/* process_run(): one helper program, from its start to its end, with nothing left behind. */
#include "base/process.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/process_spawner.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 65536

struct run {
    pid_t pid;
    int pidfd;
    int output;  /* Read end of both its outputs. */
    int failure; /* Read end: the errno of an exec that failed. */
    struct str text;
};

_Noreturn static void program_run(const char *const *argv, int output, int failure, pid_t parent)
{
    static char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                                        "/sbin:/bin",
                                        "LC_ALL=C.UTF-8", "HOME=/nonexistent", NULL};
    process_tie_to_parent(parent);
    process_reset_signals();
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0); /* So that its own children can be ended with it. */
    int null = open("/dev/null", O_RDONLY);
    int result = null < 0 ? -1 : dup2(null, STDIN_FILENO);
    if (result >= 0 && dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0) {
        close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
        execve(argv[0], (char *const *)argv, environment);
    }
    int errnum = errno;
    _exit(write(failure, &errnum, sizeof(errnum)) > 0 ? 127 : 126);
}

static void run_deinit(struct run *run)
{
    const int fds[] = {run->pidfd, run->output, run->failure};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    str_deinit(&run->text);
}

static int run_start(struct run *run, const char *const *argv, struct err *e)
{
    int output[2];
    int failure[2];
    if (pipe2(output, O_CLOEXEC) != 0) {
        return err_errno(e, errno, "pipe");
    }
    if (pipe2(failure, O_CLOEXEC) != 0) {
        int errnum = errno;
        close(output[0]);
        close(output[1]);
        return err_errno(e, errnum, "pipe");
    }
    pid_t parent = getpid();
    run->pid = fork();
    if (run->pid == 0) {
        program_run(argv, output[1], failure[1], parent);
    }
    int errnum = errno;
    close(output[1]);
    close(failure[1]);
    run->output = output[0];
    run->failure = failure[0];
    if (run->pid < 0) {
        return err_errno(e, errnum, "fork");
    }
    fcntl(run->output, F_SETFL, O_NONBLOCK);
    run->pidfd = pidfd_open(run->pid, 0);
    return 0;
}

/* Takes what there is; what is over the limit is read and dropped. False at the end. */
static bool take_output(struct run *run)
{
    char buffer[4096];
    for (;;) {
        ssize_t got = read(run->output, buffer, sizeof(buffer));
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return false;
        }
        if (got < 0) {
            return true;
        }
        size_t room = OUTPUT_MAX - run->text.length;
        str_add_bytes(&run->text, buffer, (size_t)got < room ? (size_t)got : room);
    }
}

/*
 * Until the program has ended, or the deadline has passed (false). Its end is what counts, not the
 * end of its output: something it left in the background may hold that open for ever.
 */
static bool run_await(struct run *run, int64_t deadline_ms)
{
    struct pollfd entries[2] = {{.fd = run->pidfd, .events = POLLIN},
                                {.fd = run->output, .events = POLLIN}};
    while (entries[0].revents == 0) {
        int64_t left = deadline_ms - clock_now_ms();
        if (left <= 0) {
            return false;
        }
        if (poll(entries, 2, left > 60000 ? 60000 : (int)left) > 0 && entries[1].revents != 0 &&
            !take_output(run)) {
            entries[1].fd = -1;
        }
    }
    if (entries[1].fd >= 0) {
        take_output(run);
    }
    return true;
}

static const char *last_line(struct str *text)
{
    str_trim(text);
    const char *newline = strrchr(str_text(text), '\n');
    return newline == NULL ? str_text(text) : newline + 1;
}

/* Takes the program's end. */
static int run_reap(struct run *run, int *ret_status, struct err *e)
{
    while (waitpid(run->pid, ret_status, 0) < 0) {
        if (errno != EINTR) {
            return err_errno(e, errno, "wait for it");
        }
    }
    return 0;
}

static int judge(struct run *run, int status, struct err *e)
{
    int errnum;
    if (read(run->failure, &errnum, sizeof(errnum)) == (ssize_t)sizeof(errnum)) {
        return err_errno(e, errnum, "cannot be started");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    const char *said = last_line(&run->text);
    const char *separator = *said == '\0' ? "" : ": ";
    if (WIFEXITED(status)) {
        return err_set(e, "exit status %d%s%s", WEXITSTATUS(status), separator, said);
    }
    return err_set(e, "killed by signal %d (%s)%s%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                   separator, said);
}

int process_run(const char *const *argv, int64_t deadline_ms, char **ret_output, struct err *e)
{
    struct run run = {.pid = -1, .pidfd = -1, .output = -1, .failure = -1, .text = STR_NULL};
    int result = run_start(&run, argv, e);
    if (result == 0) {
        bool in_time = run_await(&run, deadline_ms);
        /* What is left of its group goes too; not reaped yet, its number is still its own. */
        kill(-run.pid, SIGKILL);
        kill(run.pid, SIGKILL); /* If it had not got to its own group yet. */
        int status = 0;
        result = run_reap(&run, &status, e);
        if (result == 0) {
            result =
                in_time ? judge(&run, status, e) : err_set(e, "not done at its deadline; killed");
        }
    }
    if (result == 0 && ret_output != NULL) {
        *ret_output = str_take(&run.text);
    }
    run_deinit(&run);
    return result == 0 ? 0 : err_wrap(e, "%s", argv[0]);
}
