/*
 * What a process of its own costs an action: from asking the spawner to the child's first word,
 * and how much of that is the fork, the filter, the limits and messages around them. Medians.
 * Built and run by tests/bench; needs no host and no network.
 */
#include "base/err.h"
#include "base/message.h"
#include "base/process.h"
#include "base/sandbox.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 300

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static double median_us(int64_t *spans)
{
    qsort(spans, ROUNDS, sizeof(*spans), compare);
    return (double)spans[ROUNDS / 2] / 1000.0;
}

static int child_main(int socket)
{
    struct message m = MESSAGE_NULL;
    message_init(&m, 1);
    (void)message_send(socket, &m, -1, NULL);
    message_deinit(&m);
    return 0;
}

static const struct process_kind kinds[] = {
    {.name = "network",
     .main = child_main,
     .sandbox = SANDBOX_NETWORK,
     .memory_bytes_max = 512u << 20,
     .files_max = 64},
    {.name = "hypervisor", .main = child_main, .sandbox = SANDBOX_HYPERVISOR},
};

static int measure_whole(size_t kind, double *ret_us, struct err *e)
{
    static int64_t spans[ROUNDS];
    struct spawner *spawner = NULL;
    int result = spawner_start(&spawner, kinds, sizeof(kinds) / sizeof(kinds[0]), e);
    for (size_t i = 0; i < ROUNDS && result == 0; i++) {
        struct process process = PROCESS_NULL;
        struct message m = MESSAGE_NULL;
        int64_t start = now_ns();
        result = process_start(spawner, kind, &process, e);
        if (result == 0 && message_receive(process.socket, &m, NULL, e) != MESSAGE_IO_OK) {
            result = err_set(e, "the child did not answer");
        }
        spans[i] = now_ns() - start;
        message_deinit(&m);
        process_deinit(&process);
    }
    spawner_free(spawner);
    *ret_us = median_us(spans);
    return result;
}

/* In memory that parent and child share, so that a child can say what it measured. */
static int64_t *shared_number(void)
{
    void *memory =
        mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        abort();
    }
    return memory;
}

/* fork() in this small process, to the child's first instruction. */
static double measure_fork(int64_t *shared)
{
    static int64_t spans[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t start = now_ns();
        pid_t pid = fork();
        if (pid == 0) {
            *shared = now_ns();
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        spans[i] = *shared - start;
    }
    return median_us(spans);
}

static int measure_filter(enum sandbox sandbox, int64_t *shared, double *ret_us, size_t *ret_length,
                          struct err *e)
{
    static int64_t spans[ROUNDS];
    struct sandbox_program program = SANDBOX_PROGRAM_NULL;
    if (sandbox_compile(sandbox, &program, e) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            int64_t start = now_ns();
            int result = sandbox_load(&program, NULL);
            *shared = result == 0 ? now_ns() - start : 0;
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        spans[i] = *shared;
    }
    *ret_us = median_us(spans);
    *ret_length = program.length;
    sandbox_program_deinit(&program);
    return 0;
}

int main(void)
{
    static const enum sandbox sandboxes[] = {SANDBOX_NETWORK, SANDBOX_HYPERVISOR};
    struct err e = ERR_NULL;
    int64_t *shared = shared_number();
    double fork_us = measure_fork(shared);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        double whole_us;
        double filter_us;
        size_t length;
        if (measure_whole(i, &whole_us, &e) != 0 ||
            measure_filter(sandboxes[i], shared, &filter_us, &length, &e) != 0) {
            fprintf(stderr, "process_bench: %s\n", e.text);
            return 1;
        }
        printf("%s: fork+limits+seccomp: median %.0f us, of which fork %.0f, seccomp %.0f "
               "(%zu instructions)\n",
               kinds[i].name, whole_us, fork_us, filter_us, length);
    }
    return 0;
}
