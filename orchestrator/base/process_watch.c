#include "base/process_watch.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/process_spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MAX_MS   60000
#define END_WAIT_MS   5000
#define SWEEP_WAIT_US 2000

/* What the guard tells: how the program ended, or that it did not begin. */
struct told {
    int status; /* As wait() gives it. */
    int errnum; /* Of an exec or fork that failed; 0: none. */
};

/* ---- the program ---- */

static char **make_environment(const char *const *more)
{
    static const char *const usual[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
        "HOME=/nonexistent"};
    const size_t usual_count = sizeof(usual) / sizeof(usual[0]);
    size_t count = 0;
    while (more != NULL && more[count] != NULL) {
        count++;
    }
    char **environment = xcalloc(usual_count + count + 1, sizeof(*environment));
    for (size_t i = 0; i < usual_count; i++) {
        environment[i] = (char *)usual[i];
    }
    for (size_t i = 0; i < count; i++) {
        environment[usual_count + i] = (char *)more[i];
    }
    return environment;
}

_Noreturn static void program_run(const struct process_watch *watch, char **environment, int output,
                                  int failure, pid_t guard)
{
    process_tie_to_parent(guard);
    process_reset_signals();
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0 && chdir("/") == 0) {
        close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
        execvpe(watch->argv[0], (char *const *)watch->argv, environment);
    }
    int errnum = errno;
    _exit(write(failure, &errnum, sizeof(errnum)) > 0 ? 127 : 126);
}

/* ---- the guard ---- */

/* Signals all our children; false when there is none that lives. */
static bool signal_children(void)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    long pid;
    bool any = false;
    while (file != NULL && fscanf(file, "%ld", &pid) == 1) {
        any = true;
        kill((pid_t)pid, SIGKILL);
    }
    if (file != NULL) {
        fclose(file);
    }
    return any;
}

/* Until nothing is left: the children of what is ended become ours. */
static void end_all(pid_t program, struct told *told)
{
    for (;;) {
        int status;
        pid_t pid;
        bool any = signal_children();
        kill(-program, SIGKILL); /* Where this kernel does not list children. */
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid == program) {
                told->status = status;
            }
        }
        if (pid < 0 && errno == ECHILD && !any) {
            return;
        }
        usleep(SWEEP_WAIT_US);
    }
}

/* Waits for the program's end or for SIGTERM, which says: now. */
static void guard_wait(pid_t program, const sigset_t *signals, struct told *told)
{
    for (;;) {
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid == program) {
                told->status = status;
                return;
            }
        }
        if (sigwaitinfo(signals, NULL) == SIGTERM) {
            return;
        }
    }
}

/* The socket of who asked is not ours: its end is how others know of his. */
static void keep_only(int one, int other)
{
    unsigned low = (unsigned)(one < other ? one : other);
    unsigned high = (unsigned)(one < other ? other : one);
    if (low > 3) {
        close_range(3, low - 1, 0);
    }
    if (high > low + 1) {
        close_range(low + 1, high - 1, 0);
    }
    close_range(high + 1, ~0u, 0);
}

_Noreturn static void guard_run(const struct process_watch *watch, int output, int answer,
                                pid_t parent)
{
    sigset_t signals;
    struct told told = {.status = 0};
    int failure[2];
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    process_reset_signals();
    sigprocmask(SIG_BLOCK, &signals, NULL);
    keep_only(output, answer);
    prctl(PR_SET_NAME, "guard");
    /* Whoever asked may be gone by now, or go at any time: then this one is told to end it all. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getppid() != parent || pipe2(failure, O_CLOEXEC) != 0) {
        _exit(1);
    }
    char **environment = make_environment(watch->environment);
    pid_t self = getpid();
    pid_t program = fork();
    if (program == 0) {
        program_run(watch, environment, output, failure[1], self);
    }
    told.errnum = program < 0 ? errno : 0;
    close(failure[1]);
    close(output);
    if (program > 0) {
        int errnum;
        if (read(failure[0], &errnum, sizeof(errnum)) == (ssize_t)sizeof(errnum)) {
            told.errnum = errnum;
        }
        guard_wait(program, &signals, &told);
        end_all(program, &told);
    }
    _exit(write(answer, &told, sizeof(told)) > 0 ? 0 : 1);
}

/* ---- who asked ---- */

struct run {
    pid_t guard;
    int pidfd;
    int output; /* Read ends. */
    int answer;
};

static void run_deinit(struct run *run)
{
    const int fds[] = {run->pidfd, run->output, run->answer};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static int run_start(struct run *run, const struct process_watch *watch, struct err *e)
{
    int output[2];
    int answer[2];
    if (pipe2(output, O_CLOEXEC) != 0) {
        return err_errno(e, errno, "pipe");
    }
    run->output = output[0];
    if (pipe2(answer, O_CLOEXEC) != 0) {
        int errnum = errno;
        close(output[1]);
        return err_errno(e, errnum, "pipe");
    }
    run->answer = answer[0];
    pid_t parent = getpid();
    run->guard = fork();
    if (run->guard == 0) {
        guard_run(watch, output[1], answer[1], parent);
    }
    int errnum = errno;
    close(output[1]);
    close(answer[1]);
    if (run->guard < 0) {
        return err_errno(e, errnum, "fork");
    }
    fcntl(run->output, F_SETFL, O_NONBLOCK);
    run->pidfd = pidfd_open(run->guard, 0);
    return 0;
}

/* Passes on what there is. False at the end of it; *ret_any: something came. */
static bool take_output(const struct run *run, const struct process_watch *watch, bool *ret_any)
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
        *ret_any = true;
        if (watch->on_output != NULL) {
            watch->on_output(watch->context, buffer, (size_t)got);
        }
    }
}

/* Until the guard has ended, or a limit has passed. */
static enum process_watch_end run_await(const struct run *run, const struct process_watch *watch)
{
    struct pollfd entries[2] = {{.fd = run->pidfd, .events = POLLIN},
                                {.fd = run->output, .events = POLLIN}};
    int64_t heard_ms = clock_now_ms();
    bool any = false;
    while (entries[0].revents == 0) {
        int64_t now_ms = clock_now_ms();
        int64_t left_ms = watch->deadline_ms - now_ms;
        int64_t patience_ms =
            watch->silence_ms > 0 ? heard_ms + watch->silence_ms - now_ms : INT64_MAX;
        if (left_ms <= 0) {
            return PROCESS_WATCH_LATE;
        }
        if (patience_ms <= 0) {
            return PROCESS_WATCH_SILENT;
        }
        left_ms = left_ms < patience_ms ? left_ms : patience_ms;
        any = false;
        if (poll(entries, 2, left_ms > WAIT_MAX_MS ? WAIT_MAX_MS : (int)left_ms) > 0 &&
            entries[1].revents != 0 && !take_output(run, watch, &any)) {
            entries[1].fd = -1;
        }
        heard_ms = any ? clock_now_ms() : heard_ms;
    }
    if (entries[1].fd >= 0) {
        take_output(run, watch, &any);
    }
    return PROCESS_WATCH_ENDED;
}

/* Has the guard end everything, and waits until it has. */
static void run_end(const struct run *run)
{
    struct pollfd end = {.fd = run->pidfd, .events = POLLIN};
    kill(run->guard, SIGTERM);
    poll(&end, 1, END_WAIT_MS);
}

static int run_reap(const struct run *run, int *ret_status, struct err *e)
{
    struct told told = {.errnum = ECHILD};
    int unused;
    bool heard = read(run->answer, &told, sizeof(told)) == (ssize_t)sizeof(told);
    while (waitpid(run->guard, &unused, 0) < 0) {
        if (errno != EINTR) {
            return err_errno(e, errno, "wait for it");
        }
    }
    if (!heard) {
        return err_set(e, "the process that guards it has died");
    }
    if (told.errnum != 0) {
        return err_errno(e, told.errnum, "cannot be started");
    }
    *ret_status = WIFEXITED(told.status) ? WEXITSTATUS(told.status) : 128 + WTERMSIG(told.status);
    return 0;
}

int process_watch(const struct process_watch *watch, enum process_watch_end *ret_end,
                  int *ret_status, struct err *e)
{
    struct run run = {.guard = -1, .pidfd = -1, .output = -1, .answer = -1};
    enum process_watch_end end = PROCESS_WATCH_ENDED;
    int status = 0;
    int result = run_start(&run, watch, e);
    if (result == 0) {
        end = run_await(&run, watch);
        if (end != PROCESS_WATCH_ENDED) {
            run_end(&run);
        }
        result = run_reap(&run, &status, e);
    }
    run_deinit(&run);
    if (result != 0) {
        return err_wrap(e, "%s", watch->argv[0]);
    }
    *ret_end = end;
    *ret_status = status;
    return 0;
}
