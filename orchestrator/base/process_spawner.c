/*
 * The spawner. It holds next to nothing, so that a fork of it is cheap and a child starts with
 * nothing to steal: two descriptors, the kinds, the compiled filters, the ends of the last
 * children.
 */
#include "base/process_spawner.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENDS_KEPT     256
#define SANDBOX_COUNT 2
#define SOCKET_FD     3 /* Where a process of ours finds its socket; all above is closed. */

/* AddressSanitizer maps terabytes of address space, so its builds go without that one limit. */
#ifdef __SANITIZE_ADDRESS__
#define LIMIT_MEMORY false
#else
#define LIMIT_MEMORY true
#endif

struct end {
    pid_t pid;
    int status;
};

struct spawner_state {
    int socket;
    int signals; /* signalfd for SIGCHLD. */
    const struct process_kind *kinds;
    size_t kind_count;
    struct sandbox_program programs[SANDBOX_COUNT];
    pid_t *children; /* Alive or not reaped yet. */
    size_t child_count;
    size_t child_capacity;
    struct end ends[ENDS_KEPT]; /* A ring; the newest at end_next - 1. */
    size_t end_next;
};

void process_tie_to_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(1); /* It died before the line above. */
    }
}

void process_reset_signals(void)
{
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP) {
            signal(number, SIG_DFL);
        }
    }
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* SOCKET becomes descriptor 3; what is above goes, what is below is null but for standard error. */
static void keep_only(int socket)
{
    int kept = fcntl(socket, F_DUPFD, SOCKET_FD + 1); /* It may lie where null goes. */
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        if (fcntl(STDERR_FILENO, F_GETFD) < 0) {
            dup2(null, STDERR_FILENO);
        }
    }
    dup2(kept, SOCKET_FD);
    close_range(SOCKET_FD + 1, ~0u, 0);
    fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
}

static int set_limits(const struct process_kind *kind, struct err *e)
{
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    struct rlimit memory = {.rlim_cur = kind->memory_bytes_max, .rlim_max = kind->memory_bytes_max};
    struct rlimit files = {.rlim_cur = kind->files_max, .rlim_max = kind->files_max};
    if (setrlimit(RLIMIT_CORE, &none) != 0 ||
        (LIMIT_MEMORY && kind->memory_bytes_max != 0 && setrlimit(RLIMIT_AS, &memory) != 0) ||
        (kind->files_max != 0 && setrlimit(RLIMIT_NOFILE, &files) != 0)) {
        return err_errno(e, errno, "set limits");
    }
    return 0;
}

_Noreturn static void child_run(const struct spawner_state *state, const struct process_kind *kind,
                                int socket, pid_t spawner)
{
    struct err e = ERR_NULL;
    process_tie_to_parent(spawner);
    prctl(PR_SET_NAME, kind->name);
    process_reset_signals();
    keep_only(socket);
    if (set_limits(kind, &e) != 0 ||
        sandbox_enter(kind->sandbox, &state->programs[kind->sandbox], kind->name, &e) != 0) {
        dprintf(STDERR_FILENO, "lamplighter %s: %s\n", kind->name, e.text);
        _exit(126);
    }
    _exit(kind->main(SOCKET_FD));
}

static void reap(struct spawner_state *state)
{
    struct signalfd_siginfo ignored;
    while (read(state->signals, &ignored, sizeof(ignored)) > 0) {
    }
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        state->ends[state->end_next % ENDS_KEPT] = (struct end){.pid = pid, .status = status};
        state->end_next++;
        for (size_t i = 0; i < state->child_count; i++) {
            if (state->children[i] == pid) {
                state->children[i] = state->children[--state->child_count];
                break;
            }
        }
    }
}

static pid_t fork_child(struct spawner_state *state, size_t kind, int socket)
{
    pid_t spawner = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        child_run(state, &state->kinds[kind], socket, spawner);
    }
    if (pid > 0) {
        size_t i = xgrow((void **)&state->children, &state->child_count, &state->child_capacity,
                         sizeof(*state->children));
        state->children[i] = pid;
    }
    return pid;
}

static void start_child(struct spawner_state *state, const struct message *request, int socket)
{
    struct message answer = MESSAGE_NULL;
    struct err e = ERR_NULL;
    int64_t kind = message_int(request, SPAWNER_KIND, -1);
    int pidfd = -1;
    message_init(&answer, SPAWNER_STARTED);
    if (kind < 0 || (size_t)kind >= state->kind_count || socket < 0) {
        message_put_text(&answer, SPAWNER_TEXT, "no such kind of process");
    } else {
        pid_t pid = fork_child(state, (size_t)kind, socket);
        /* Not reaped before this returns, so the number is the child's even if it has ended. */
        pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
        if (pidfd < 0) {
            err_errno(&e, errno, pid > 0 ? "pidfd" : "fork");
            message_put_text(&answer, SPAWNER_TEXT, e.text);
            if (pid > 0) {
                kill(pid, SIGKILL);
            }
        }
        message_put_int(&answer, SPAWNER_PID, pid);
    }
    (void)message_send(state->socket, &answer, pidfd, NULL);
    if (pidfd >= 0) {
        close(pidfd);
    }
    message_deinit(&answer);
}

static void tell_end(struct spawner_state *state, const struct message *request)
{
    reap(state);
    int64_t pid = message_int(request, SPAWNER_PID, -1);
    struct message answer = MESSAGE_NULL;
    message_init(&answer, SPAWNER_ENDED);
    for (size_t back = 1; back <= ENDS_KEPT && back <= state->end_next; back++) {
        const struct end *end = &state->ends[(state->end_next - back) % ENDS_KEPT];
        if (end->pid == pid) {
            message_put_int(&answer, SPAWNER_STATUS, end->status);
            break;
        }
    }
    (void)message_send(state->socket, &answer, -1, NULL);
    message_deinit(&answer);
}

/* One request; false when the other side has gone. */
static bool serve(struct spawner_state *state)
{
    struct message request = MESSAGE_NULL;
    int fd = -1;
    bool goes_on = message_receive(state->socket, &request, &fd, NULL) == MESSAGE_IO_OK;
    if (goes_on) {
        switch (message_kind(&request)) {
        case SPAWNER_START: start_child(state, &request, fd); break;
        case SPAWNER_END: tell_end(state, &request); break;
        default: goes_on = false; break;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    message_deinit(&request);
    return goes_on;
}

static int prepare(struct spawner_state *state, struct err *e)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    state->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (state->signals < 0) {
        return err_errno(e, errno, "signalfd");
    }
    for (size_t i = 0; i < state->kind_count; i++) {
        enum sandbox sandbox = state->kinds[i].sandbox;
        if (state->programs[sandbox].filter == NULL &&
            sandbox_compile(sandbox, &state->programs[sandbox], e) != 0) {
            return -1;
        }
        if (state->kinds[i].prepare != NULL) {
            state->kinds[i].prepare();
        }
    }
    return 0;
}

static void say_ready(int socket, const struct err *e)
{
    struct message ready = MESSAGE_NULL;
    message_init(&ready, SPAWNER_READY);
    if (e->text[0] != '\0') {
        message_put_text(&ready, SPAWNER_TEXT, e->text);
    }
    (void)message_send(socket, &ready, -1, NULL);
    message_deinit(&ready);
}

static void end_children(struct spawner_state *state)
{
    for (size_t i = 0; i < state->child_count; i++) {
        kill(state->children[i], SIGKILL); /* Not reaped: still ours. */
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
    }
}

_Noreturn void spawner_run(int socket, pid_t parent, const struct process_kind *kinds, size_t count)
{
    struct spawner_state state = {.socket = SOCKET_FD, .kinds = kinds, .kind_count = count};
    struct err e = ERR_NULL;
    process_tie_to_parent(parent);
    prctl(PR_SET_NAME, "spawner");
    process_reset_signals();
    /* Out of the terminal's process group: Ctrl-C is the controller's to handle, not ours. */
    setsid();
    keep_only(socket);
    int failed = prepare(&state, &e);
    say_ready(state.socket, &e);
    struct pollfd entries[2] = {{.fd = state.socket, .events = POLLIN},
                                {.fd = state.signals, .events = POLLIN}};
    bool goes_on = failed == 0;
    while (goes_on) {
        if (poll(entries, 2, -1) < 0) {
            continue; /* EINTR. */
        }
        if (entries[1].revents != 0) {
            reap(&state);
        }
        if (entries[0].revents != 0) {
            goes_on = serve(&state);
        }
    }
    end_children(&state);
    _exit(failed == 0 ? 0 : 1);
}
