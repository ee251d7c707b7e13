/* The caller's side: asks the spawner for processes, watches and ends them. */
#include "base/process.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/process_spawner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FREE_PATIENCE_MS 2000

struct spawner {
    pid_t pid;
    int pidfd;
    int socket;
    bool ready;                       /* It has said that it is set up. */
    const struct process_kind *kinds; /* Borrowed; static. */
    size_t count;
};

static bool readable(int fd, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int result;
    do {
        result = poll(&entry, 1, timeout_ms);
    } while (result < 0 && errno == EINTR);
    return result > 0;
}

/* One answer of the spawner; faults when it is gone or says why it could not. */
static int take_answer(int socket, struct message *answer, int *ret_fd, struct err *e)
{
    switch (message_receive(socket, answer, ret_fd, e)) {
    case MESSAGE_IO_OK: break;
    case MESSAGE_IO_CLOSED:
    case MESSAGE_IO_AGAIN: return err_set(e, "the process that starts the others has ended");
    case MESSAGE_IO_FAULT: return err_wrap(e, "the process that starts the others");
    }
    const char *text = message_text(answer, SPAWNER_TEXT, NULL);
    return text == NULL ? 0 : err_set(e, "%s", text);
}

int spawner_start(struct spawner **ret_spawner, const struct process_kind *kinds, size_t count,
                  struct err *e)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        return err_errno(e, errno, "socket to the spawner");
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(sockets[0]);
        spawner_run(sockets[1], parent, kinds, count);
    }
    int errnum = errno;
    close(sockets[1]);
    if (pid < 0) {
        close(sockets[0]);
        return err_errno(e, errnum, "fork the spawner");
    }
    *ret_spawner = xcalloc(1, sizeof(**ret_spawner));
    **ret_spawner = (struct spawner){.pid = pid,
                                     .pidfd = pidfd_open(pid, 0),
                                     .socket = sockets[0],
                                     .kinds = kinds,
                                     .count = count};
    return 0;
}

void spawner_free(struct spawner *spawner)
{
    if (spawner == NULL) {
        return;
    }
    close(spawner->socket); /* It then ends its children, and itself. */
    if (spawner->pidfd < 0 || !readable(spawner->pidfd, FREE_PATIENCE_MS)) {
        kill(spawner->pid, SIGKILL); /* Ours and not reaped yet: the number is still its own. */
    }
    while (waitpid(spawner->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (spawner->pidfd >= 0) {
        close(spawner->pidfd);
    }
    free(spawner);
}

/* Its setting up goes on beside ours, so it is waited for only here. */
static int await_ready(struct spawner *spawner, struct err *e)
{
    if (spawner->ready) {
        return 0;
    }
    struct message answer = MESSAGE_NULL;
    int result = take_answer(spawner->socket, &answer, NULL, e);
    message_deinit(&answer);
    spawner->ready = result == 0;
    return result;
}

static int ask_for_child(struct spawner *spawner, size_t kind, int child_socket,
                         struct process *ret_process, struct err *e)
{
    struct message message = MESSAGE_NULL;
    message_init(&message, SPAWNER_START);
    message_put_int(&message, SPAWNER_KIND, (int64_t)kind);
    int pidfd = -1;
    /* A send to a dead spawner is told by the answer that does not come. */
    enum message_io sent = message_send(spawner->socket, &message, child_socket, e);
    int result = sent == MESSAGE_IO_FAULT ? -1 : take_answer(spawner->socket, &message, &pidfd, e);
    if (result == 0 && pidfd < 0) {
        result = err_set(e, "no descriptor for the new process");
    }
    if (result == 0) {
        ret_process->pid = (pid_t)message_int(&message, SPAWNER_PID, -1);
        ret_process->pidfd = pidfd;
    } else if (pidfd >= 0) {
        close(pidfd);
    }
    message_deinit(&message);
    return result;
}

int process_start(struct spawner *spawner, size_t kind, struct process *ret_process, struct err *e)
{
    const char *name = kind < spawner->count ? spawner->kinds[kind].name : "?";
    int sockets[2];
    if (await_ready(spawner, e) != 0) {
        return err_wrap(e, "start a %s process", name);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        return err_errno(e, errno, "start a %s process: socket", name);
    }
    int result = ask_for_child(spawner, kind, sockets[1], ret_process, e);
    close(sockets[1]);
    if (result != 0) {
        close(sockets[0]);
        return err_wrap(e, "start a %s process", name);
    }
    ret_process->socket = sockets[0];
    return 0;
}

static void describe_status(int status, char ret_text[PROCESS_END_SIZE])
{
    if (WIFEXITED(status)) {
        snprintf(ret_text, PROCESS_END_SIZE, "ended by itself with status %d", WEXITSTATUS(status));
    } else if (WTERMSIG(status) == SIGSYS) {
        snprintf(ret_text, PROCESS_END_SIZE,
                 "was killed by its sandbox (a system call it must not use)");
    } else {
        snprintf(ret_text, PROCESS_END_SIZE, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    }
}

void process_end_to_string(struct spawner *spawner, const struct process *process,
                           char ret_text[PROCESS_END_SIZE])
{
    if (process->pidfd >= 0 && !process_ended(process)) {
        snprintf(ret_text, PROCESS_END_SIZE, "still runs");
        return;
    }
    struct message message = MESSAGE_NULL;
    message_init(&message, SPAWNER_END);
    message_put_int(&message, SPAWNER_PID, process->pid);
    int64_t status = -1;
    if (message_send(spawner->socket, &message, -1, NULL) == MESSAGE_IO_OK &&
        take_answer(spawner->socket, &message, NULL, NULL) == 0) {
        status = message_int(&message, SPAWNER_STATUS, -1);
    }
    message_deinit(&message);
    if (status < 0) {
        snprintf(ret_text, PROCESS_END_SIZE, "ended, nobody knows how");
    } else {
        describe_status((int)status, ret_text);
    }
}

void process_kill(const struct process *process)
{
    if (process->pidfd >= 0) {
        (void)pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
    }
}

bool process_ended(const struct process *process)
{
    return process->pidfd < 0 || readable(process->pidfd, 0);
}

void process_deinit(struct process *process)
{
    process_kill(process);
    if (process->pidfd >= 0) {
        close(process->pidfd);
    }
    if (process->socket >= 0) {
        close(process->socket);
    }
    *process = PROCESS_NULL;
}
