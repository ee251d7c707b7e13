/*
 * base/process: children that answer, die, hang and try what their sandbox forbids; what is left
 * when a parent or the spawner is killed; and helper programs. No test waits for a time to pass,
 * but each has an end: a poll of ten seconds that must not run out.
 */
#include "base/process.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/message.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define TAG         1

/* What the child is asked to do: the request's kind. The answer's number is what came of it. */
enum task {
    TASK_ECHO,
    TASK_HANG,
    TASK_CRASH,
    TASK_EXIT_3,
    TASK_EXEC,
    TASK_FORK,
    TASK_PTRACE,
    TASK_MOUNT,
    TASK_LISTEN,
    TASK_SIGNAL_OTHERS,
    TASK_OPEN_TO_WRITE,
    TASK_OPEN_TO_READ,
    TASK_CREATE,
    TASK_RUNNABLE_MEMORY,
    TASK_PACKET_SOCKET,
    TASK_RESOLVE,
    TASK_THREAD,
    TASK_CONNECT,
    TASK_EAT_MEMORY,
    TASK_MANY_FILES,
    TASK_OPEN_FILES,
    TASK_STATE,
    TASK_PROGRAM,
    TASK_MODULE,
    TASK_SET_CLOCK,
    TASK_LARGE_MESSAGE,
};

static void *thread_main(void *argument)
{
    *(int *)argument = 1;
    return NULL;
}

static int64_t refused(int64_t result)
{
    return result < 0 ? -errno : result;
}

static int64_t try_thread(void)
{
    pthread_t thread;
    int ran = 0;
    int result = pthread_create(&thread, NULL, thread_main, &ran);
    return result != 0 ? -result : (pthread_join(thread, NULL), ran);
}

static int64_t try_resolve(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int result = getaddrinfo("localhost", "22", &hints, &found);
    if (result == 0) {
        freeaddrinfo(found);
    }
    return result;
}

/* To a port where nobody listens: refused by the peer, not by the sandbox. */
static int64_t try_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    int result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    int errnum = errno;
    close(fd);
    return result < 0 ? -errnum : 0;
}

static int64_t count_open_files(void)
{
    int64_t count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static int64_t try_many_files(void)
{
    int64_t count = 0;
    while (count < 4096 && dup(STDERR_FILENO) >= 0) {
        count++;
    }
    return count;
}

static int64_t try_eat_memory(void)
{
    void *memory = mmap(NULL, 1u << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? -errno : 0;
}

/* Bit by bit: no core file, not dumpable, no new privileges. */
static int64_t read_state(void)
{
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    return (core.rlim_max == 0 ? 1 : 0) | (prctl(PR_GET_DUMPABLE) == 0 ? 2 : 0);
}

static int64_t run_program(void)
{
    static const char *const argv[] = {"/bin/sh", "-c", "exit 0", NULL};
    struct err e = ERR_NULL;
    return process_run(argv, clock_now_ms() + PATIENCE_MS, NULL, &e);
}

static int64_t try_signal(void)
{
    return refused(kill(getppid(), 0));
}

static int64_t carry_out(enum task task)
{
    char *const argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
    struct timespec time = {.tv_sec = 0};
    switch (task) {
    case TASK_ECHO: return 1;
    case TASK_HANG:
        pause();
        poll(NULL, 0, -1);
        return 0;
    case TASK_CRASH: raise(SIGABRT); return 0;
    case TASK_EXIT_3: _exit(3);
    case TASK_EXEC: return refused(execve(argv[0], argv, NULL));
    case TASK_FORK: return refused(fork());
    case TASK_PTRACE: return refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    case TASK_MOUNT: return refused(mount("none", "/mnt", "tmpfs", 0, NULL));
    case TASK_LISTEN: return refused(listen(3, 1));
    case TASK_SIGNAL_OTHERS: return try_signal();
    case TASK_OPEN_TO_WRITE: return refused(open("/dev/null", O_WRONLY | O_CLOEXEC));
    case TASK_OPEN_TO_READ: return refused(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    case TASK_CREATE: return refused(open("/tmp/never", O_CREAT | O_CLOEXEC, 0600));
    case TASK_RUNNABLE_MEMORY:
        return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0) == MAP_FAILED
                   ? -errno
                   : 0;
    case TASK_PACKET_SOCKET: return refused(socket(AF_PACKET, SOCK_RAW, 0));
    case TASK_RESOLVE: return try_resolve();
    case TASK_THREAD: return try_thread();
    case TASK_CONNECT: return try_connect();
    case TASK_EAT_MEMORY: return try_eat_memory();
    case TASK_MANY_FILES: return try_many_files();
    case TASK_OPEN_FILES: return count_open_files();
    case TASK_STATE: return read_state();
    case TASK_PROGRAM: return run_program();
    case TASK_MODULE: return refused(syscall(SYS_delete_module, "none", 0));
    case TASK_SET_CLOCK: return refused(syscall(SYS_clock_settime, CLOCK_REALTIME, &time));
    case TASK_LARGE_MESSAGE: return 1;
    }
    return -1;
}

static int child_main(int socket)
{
    struct message m = MESSAGE_NULL;
    while (message_receive(socket, &m, NULL, NULL) == MESSAGE_IO_OK) {
        enum task task = (enum task)message_kind(&m);
        int64_t result = carry_out(task);
        if (task != TASK_LARGE_MESSAGE) { /* That one goes back as it came. */
            message_init(&m, (uint16_t)task);
            message_put_int(&m, TAG, result);
        }
        if (message_send(socket, &m, -1, NULL) != MESSAGE_IO_OK) {
            break;
        }
    }
    message_deinit(&m);
    return 0;
}

enum { KIND_NETWORK, KIND_HYPERVISOR, KIND_LIMITED };
static const struct process_kind kinds[] = {
    {.name = "network", .main = child_main, .sandbox = SANDBOX_NETWORK},
    {.name = "hypervisor", .main = child_main, .sandbox = SANDBOX_HYPERVISOR},
    {.name = "limited",
     .main = child_main,
     .sandbox = SANDBOX_NETWORK,
     .memory_bytes_max = 256u << 20,
     .files_max = 20},
};

static int start_spawner(void **state)
{
    struct err e = ERR_NULL;
    struct spawner *spawner = NULL;
    /* What killed children say on standard error is expected, and would only alarm a reader. */
    int null = open("/dev/null", O_WRONLY);
    int kept = dup(STDERR_FILENO);
    dup2(null, STDERR_FILENO);
    int result = spawner_start(&spawner, kinds, sizeof(kinds) / sizeof(kinds[0]), &e);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(null);
    *state = spawner;
    return result;
}

static int stop_spawner(void **state)
{
    spawner_free(*state);
    return 0;
}

static void start(struct spawner *spawner, size_t kind, struct process *ret_process)
{
    struct err e = ERR_NULL;
    *ret_process = PROCESS_NULL;
    if (process_start(spawner, kind, ret_process, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void send_task(const struct process *process, enum task task)
{
    struct message m = MESSAGE_NULL;
    struct err e = ERR_NULL;
    message_init(&m, (uint16_t)task);
    assert_int_equal(message_send(process->socket, &m, -1, &e), MESSAGE_IO_OK);
    message_deinit(&m);
}

static int64_t take_result(const struct process *process)
{
    struct message m = MESSAGE_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(message_receive(process->socket, &m, NULL, &e), MESSAGE_IO_OK);
    int64_t result = message_int(&m, TAG, -9999);
    message_deinit(&m);
    return result;
}

static int64_t ask(const struct process *process, enum task task)
{
    send_task(process, task);
    return take_result(process);
}

static void await_end(int pidfd)
{
    struct pollfd entry = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&entry, 1, PATIENCE_MS), 1);
}

static void test_answers(void **state)
{
    struct process process;
    start(*state, KIND_NETWORK, &process);
    char text[PROCESS_END_SIZE];
    assert_int_equal(ask(&process, TASK_ECHO), 1);
    assert_false(process_ended(&process));
    process_end_to_string(*state, &process, text);
    assert_string_equal(text, "still runs");
    shutdown(process.socket, SHUT_WR);
    await_end(process.pidfd);
    assert_true(process_ended(&process));
    process_end_to_string(*state, &process, text);
    assert_string_equal(text, "ended by itself with status 0");
    process_deinit(&process);
    process_deinit(&process);
}

static void test_large_message(void **state)
{
    struct process process;
    struct message m = MESSAGE_NULL;
    struct err e = ERR_NULL;
    static char bytes[3000000];
    start(*state, KIND_NETWORK, &process);
    message_init(&m, TASK_LARGE_MESSAGE);
    message_put_bytes(&m, TAG, bytes, sizeof(bytes));
    assert_int_equal(message_send(process.socket, &m, -1, &e), MESSAGE_IO_OK);
    assert_int_equal(message_receive(process.socket, &m, NULL, &e), MESSAGE_IO_OK);
    size_t length;
    assert_non_null(message_bytes(&m, TAG, &length));
    assert_int_equal(length, sizeof(bytes));
    message_deinit(&m);
    process_deinit(&process);
}

static void test_unknown_kind(void **state)
{
    struct process process = PROCESS_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(process_start(*state, 99, &process, &e), -1);
    assert_non_null(strstr(e.text, "no such kind"));
    assert_int_equal(process.socket, -1);
}

/* Ways to end, and what the parent can say of each. */
static void test_ends(void **state)
{
    static const struct {
        size_t kind;
        enum task task;
        const char *said;
    } cases[] = {
        {KIND_NETWORK, TASK_EXIT_3, "ended by itself with status 3"},
        {KIND_NETWORK, TASK_CRASH, "was killed by signal 6"},
        {KIND_NETWORK, TASK_EXEC, "was killed by its sandbox"},
        {KIND_NETWORK, TASK_PTRACE, "was killed by its sandbox"},
        {KIND_NETWORK, TASK_MOUNT, "was killed by its sandbox"},
        {KIND_NETWORK, TASK_LISTEN, "was killed by its sandbox"},
        {KIND_NETWORK, TASK_SIGNAL_OTHERS, "was killed by its sandbox"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process process;
        struct message m = MESSAGE_NULL;
        struct err e = ERR_NULL;
        char text[PROCESS_END_SIZE];
        start(*state, cases[i].kind, &process);
        send_task(&process, cases[i].task);
        assert_int_equal(message_receive(process.socket, &m, NULL, &e), MESSAGE_IO_CLOSED);
        await_end(process.pidfd);
        process_end_to_string(*state, &process, text);
        if (!text_starts(text, cases[i].said)) {
            fail_msg("case %zu: %s", i, text);
        }
        process_deinit(&process);
    }
}

static void test_kill_of_a_hanging_one(void **state)
{
    struct process process;
    char text[PROCESS_END_SIZE];
    start(*state, KIND_NETWORK, &process);
    send_task(&process, TASK_HANG);
    process_kill(&process);
    await_end(process.pidfd);
    process_kill(&process); /* Harmless. */
    process_end_to_string(*state, &process, text);
    assert_string_equal(text, "was killed by signal 9 (Killed)");
    process_deinit(&process);
}

/* What a child gets as an answer where it is neither allowed nor worth dying for, and what works.
 */
static void test_sandboxes(void **state)
{
    static const struct {
        size_t kind;
        enum task task;
        int64_t least, most; /* Of the result. */
    } cases[] = {
        {KIND_NETWORK, TASK_FORK, -EPERM, -EPERM},
        {KIND_NETWORK, TASK_OPEN_TO_WRITE, -EPERM, -EPERM},
        {KIND_NETWORK, TASK_CREATE, -EPERM, -EPERM},
        {KIND_NETWORK, TASK_RUNNABLE_MEMORY, -EPERM, -EPERM},
        {KIND_NETWORK, TASK_PACKET_SOCKET, -EPERM, -EPERM},
        {KIND_NETWORK, TASK_OPEN_TO_READ, 3, 100},
        {KIND_NETWORK, TASK_RESOLVE, 0, 0},
        {KIND_NETWORK, TASK_CONNECT, -EINPROGRESS, 0},
        {KIND_NETWORK, TASK_THREAD, 1, 1},
        {KIND_NETWORK, TASK_STATE, 3, 3},
        {KIND_HYPERVISOR, TASK_STATE, 3, 3},
        {KIND_HYPERVISOR, TASK_PROGRAM, 0, 0},
        {KIND_HYPERVISOR, TASK_THREAD, 1, 1},
        {KIND_HYPERVISOR, TASK_OPEN_TO_WRITE, 3, 100},
        {KIND_HYPERVISOR, TASK_PTRACE, -EPERM, -EPERM},
        {KIND_HYPERVISOR, TASK_MODULE, -EPERM, -EPERM},
        {KIND_HYPERVISOR, TASK_SET_CLOCK, -EPERM, -EPERM},
        {KIND_LIMITED, TASK_MANY_FILES, 10, 20},
#ifndef __SANITIZE_ADDRESS__
        {KIND_LIMITED, TASK_EAT_MEMORY, -ENOMEM, -ENOMEM},
#endif
        /* Null twice, standard error, the socket: nothing of the parent's is open in a child. */
        {KIND_NETWORK, TASK_OPEN_FILES, 4, 4},
        {KIND_HYPERVISOR, TASK_OPEN_FILES, 4, 4},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process process;
        start(*state, cases[i].kind, &process);
        int64_t result = ask(&process, cases[i].task);
        if (result < cases[i].least || result > cases[i].most) {
            fail_msg("case %zu: %lld", i, (long long)result);
        }
        process_deinit(&process);
    }
}

static void test_many_at_once(void **state)
{
    enum { COUNT = 40 };
    struct process processes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        start(*state, KIND_NETWORK, &processes[i]);
        send_task(&processes[i], TASK_ECHO);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(take_result(&processes[i]), 1);
        process_deinit(&processes[i]);
    }
}

static void test_spawner_free_ends_children(void **state)
{
    (void)state;
    void *own = NULL;
    struct process process;
    assert_int_equal(start_spawner(&own), 0);
    start(own, KIND_NETWORK, &process);
    send_task(&process, TASK_HANG);
    spawner_free(own);
    await_end(process.pidfd);
    process_deinit(&process);
}

/* kill -9 of the parent ends the spawner and the children, and nothing is asked of them. */
static void test_killed_parent(void **state)
{
    (void)state;
    int sockets[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        void *own = NULL;
        struct process process = PROCESS_NULL;
        struct message m = MESSAGE_NULL;
        message_init(&m, 1);
        if (start_spawner(&own) == 0 && process_start(own, KIND_NETWORK, &process, NULL) == 0) {
            message_send(sockets[1], &m, process.pidfd, NULL);
        }
        for (;;) {
            pause();
        }
    }
    close(sockets[1]);
    struct message m = MESSAGE_NULL;
    struct err e = ERR_NULL;
    int pidfd = -1;
    assert_int_equal(message_receive(sockets[0], &m, &pidfd, &e), MESSAGE_IO_OK);
    assert_true(pidfd >= 0);
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    await_end(pidfd);
    close(pidfd);
    close(sockets[0]);
    message_deinit(&m);
}

static void test_killed_spawner(void **state)
{
    (void)state;
    void *own = NULL;
    struct process process;
    struct err e = ERR_NULL;
    assert_int_equal(start_spawner(&own), 0);
    start(own, KIND_NETWORK, &process);
    /* Its number is known to its child only: the child's parent. */
    char path[64];
    struct str stat = STR_NULL;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)process.pid);
    assert_int_equal(str_read_file(&stat, path, 4096, &e), 0);
    int parent = 0;
    assert_int_equal(sscanf(strrchr(str_text(&stat), ')'), ") %*c %d", &parent), 1);
    str_deinit(&stat);
    kill(parent, SIGKILL);
    await_end(process.pidfd);
    process_deinit(&process);
    assert_int_equal(process_start(own, KIND_NETWORK, &process, &e), -1);
    assert_non_null(strstr(e.text, "has ended"));
    spawner_free(own);
}

static void test_run(void **state)
{
    (void)state;
    static const struct {
        const char *const argv[5];
        int result;
        const char *text; /* Output, or part of the fault. */
    } cases[] = {
        {{"/bin/echo", "one two", NULL}, 0, "one two\n"},
        {{"/bin/cat", NULL}, 0, ""}, /* Standard input is empty, not ours. */
        {{"/bin/sh", "-c", "echo out; echo bad >&2; exit 3", NULL}, -1, "exit status 3: bad"},
        {{"/bin/sh", "-c", "kill -TERM $$", NULL}, -1, "killed by signal 15"},
        {{"/nonexistent/program", NULL}, -1, "cannot be started: No such file"},
        {{"/bin/sh", "-c", "sleep 1000 & echo done", NULL}, 0, "done\n"},
        {{"/bin/sh", "-c", "test -z \"$CANARY$USER\" && ls /proc/self/fd | wc -l", NULL}, 0, "4\n"},
    };
    setenv("CANARY", "secret", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *output = NULL;
        struct err e = ERR_NULL;
        int result = process_run(cases[i].argv, clock_now_ms() + PATIENCE_MS, &output, &e);
        if (result != cases[i].result) {
            fail_msg("case %zu: %s", i, e.text);
        } else if (result == 0) {
            assert_string_equal(output, cases[i].text);
        } else if (strstr(e.text, cases[i].text) == NULL) {
            fail_msg("case %zu: %s", i, e.text);
        }
        free(output);
    }
}

static void test_run_much_output(void **state)
{
    (void)state;
    static const char *const argv[] = {"/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x",
                                       NULL};
    char *output = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(process_run(argv, clock_now_ms() + PATIENCE_MS, &output, &e), 0);
    assert_int_equal(strlen(output), 65536);
    free(output);
}

static void test_run_deadline(void **state)
{
    (void)state;
    static const char *const argv[] = {"/bin/sleep", "1000", NULL};
    struct err e = ERR_NULL;
    assert_int_equal(process_run(argv, clock_now_ms() + 50, NULL, &e), -1);
    assert_non_null(strstr(e.text, "not done at its deadline"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_large_message),
        cmocka_unit_test(test_unknown_kind),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_kill_of_a_hanging_one),
        cmocka_unit_test(test_sandboxes),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_spawner_free_ends_children),
        cmocka_unit_test(test_killed_parent),
        cmocka_unit_test(test_killed_spawner),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_run_much_output),
        cmocka_unit_test(test_run_deadline),
    };
    return cmocka_run_group_tests(tests, start_spawner, stop_spawner);
}
