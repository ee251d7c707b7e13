/*
 * Runs a command and says what it cost: wall time, the CPU of its whole process tree, the CPU of
 * the hosts it worked on meanwhile, and, when asked, the most memory the tree held.
 *
 *   measure -g GROUP [-w HOSTS] [-m] [-N NETWORK] [-i INPUT] [-o OUTPUT] -- COMMAND...
 *   measure -n TIMES [-i INPUT] -- COMMAND...
 *
 * -g GROUP   a cgroup2 directory; the command runs in a fresh group below it, so that workers,
 *            orphans and daemons it leaves are counted (and ended afterwards)
 * -w HOSTS   the cgroup2 directory the hosts live in
 * -m         sample the tree's memory (the sum of PSS). It costs CPU: never in a timed run
 * -N NETWORK a network namespace (/proc/PID/ns/net) that the command runs in
 * -n TIMES   without groups: runs it so often, one after the other, and gives medians; for the
 *            script's own cost, on the host itself
 *
 * One line on standard output: wall_us=... cpu_us=... host_us=... peak_kib=... status=...
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMES_MAX  1000
#define SAMPLE_NS  5000000L
#define SETTLE_NS  300000000L
#define LINE_BYTES 512

struct options {
    const char *group;
    const char *hosts;
    const char *network;
    const char *input;
    const char *output;
    bool memory;
    int times;
    char **command;
};

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("measure: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(125);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void pause_ns(long ns)
{
    const struct timespec span = {.tv_nsec = ns};
    nanosleep(&span, NULL);
}

/* The number behind NAME in FILE of the directory, or -1. */
static int64_t read_number(const char *directory, const char *file, const char *name)
{
    char path[PATH_MAX];
    char line[LINE_BYTES];
    int64_t number = -1;
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    FILE *stream = fopen(path, "re");
    while (stream != NULL && number < 0 && fgets(line, sizeof(line), stream) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            number = strtoll(line + strlen(name), NULL, 10);
        }
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return number;
}

static int64_t group_cpu_us(const char *group)
{
    int64_t us = read_number(group, "cpu.stat", "usage_usec");
    if (us < 0) {
        fail("%s/cpu.stat has no usage_usec", group);
    }
    return us;
}

static void write_text(const char *directory, const char *file, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        fail("%s: %s", path, strerror(errno));
    }
    close(fd);
}

/* What all processes of GROUP hold together, each page shared out among those who map it. */
static int64_t group_pss_kib(const char *group)
{
    char path[PATH_MAX];
    char line[LINE_BYTES];
    int64_t sum = 0;
    snprintf(path, sizeof(path), "%s/cgroup.procs", group);
    FILE *stream = fopen(path, "re");
    while (stream != NULL && fgets(line, sizeof(line), stream) != NULL) {
        char process[64];
        snprintf(process, sizeof(process), "/proc/%ld", strtol(line, NULL, 10));
        int64_t kib = read_number(process, "smaps_rollup", "Pss:");
        sum += kib > 0 ? kib : 0;
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return sum;
}

static void redirect(int fd, const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0644);
    if (file < 0 || dup2(file, fd) < 0) {
        fail("%s: %s", path, strerror(errno));
    }
}

static void enter_network(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
        fail("%s: %s", path, strerror(errno));
    }
    close(fd);
}

static pid_t start(const struct options *options, const char *group)
{
    pid_t pid = fork();
    if (pid < 0) {
        fail("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        if (group != NULL) {
            write_text(group, "cgroup.procs", "0");
        }
        if (options->network != NULL) {
            enter_network(options->network);
        }
        redirect(0, options->input == NULL ? "/dev/null" : options->input, O_RDONLY);
        redirect(1, options->output == NULL ? "/dev/null" : options->output,
                 O_WRONLY | O_CREAT | O_TRUNC);
        if (options->output != NULL) {
            dup2(1, 2);
        }
        execvp(options->command[0], options->command);
        fail("%s: %s", options->command[0], strerror(errno));
    }
    return pid;
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Waits for PID; meanwhile, if asked, looks at the group's memory. */
static int wait_for(pid_t pid, const char *group, bool memory, int64_t *ret_peak_kib)
{
    int status;
    int64_t peak = 0;
    while (memory && waitpid(pid, &status, WNOHANG) == 0) {
        int64_t now = group_pss_kib(group);
        peak = now > peak ? now : peak;
        pause_ns(SAMPLE_NS);
    }
    if (!memory) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    *ret_peak_kib = peak;
    return exit_status(status);
}

/* Ends what is left in the group (a kept connection of ssh, say) and removes it. */
static void group_remove(const char *group)
{
    write_text(group, "cgroup.kill", "1");
    for (int i = 0; i < 200 && rmdir(group) != 0; i++) {
        pause_ns(10000000L);
    }
}

static int run_once(const struct options *options)
{
    char group[PATH_MAX];
    int64_t peak_kib;
    snprintf(group, sizeof(group), "%s/run-%ld", options->group, (long)getpid());
    if (mkdir(group, 0755) != 0) {
        fail("%s: %s", group, strerror(errno));
    }
    int64_t hosts_us = options->hosts == NULL ? 0 : group_cpu_us(options->hosts);
    int64_t begun_us = now_us();
    pid_t pid = start(options, group);
    int status = wait_for(pid, group, options->memory, &peak_kib);
    int64_t wall_us = now_us() - begun_us;
    int64_t cpu_us = group_cpu_us(group);
    if (options->hosts != NULL) {
        pause_ns(SETTLE_NS); /* What hosts do when a connection ends is theirs too. */
        hosts_us = group_cpu_us(options->hosts) - hosts_us;
    }
    group_remove(group);
    printf("wall_us=%lld cpu_us=%lld host_us=%lld peak_kib=%lld status=%d\n", (long long)wall_us,
           (long long)cpu_us, (long long)hosts_us, (long long)peak_kib, status);
    return status;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t children_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static int run_often(const struct options *options)
{
    static int64_t wall[TIMES_MAX];
    static int64_t cpu[TIMES_MAX];
    int status = 0;
    for (int i = 0; i < options->times && status == 0; i++) {
        int64_t peak_kib;
        int64_t before_us = children_us();
        int64_t begun_us = now_us();
        status = wait_for(start(options, NULL), NULL, false, &peak_kib);
        wall[i] = now_us() - begun_us;
        cpu[i] = children_us() - before_us;
    }
    qsort(wall, (size_t)options->times, sizeof(*wall), compare);
    qsort(cpu, (size_t)options->times, sizeof(*cpu), compare);
    printf("wall_us=%lld cpu_us=%lld host_us=0 peak_kib=0 status=%d\n",
           (long long)wall[options->times / 2], (long long)cpu[options->times / 2], status);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = {.times = 0};
    int option;
    while ((option = getopt(argc, argv, "+g:w:mN:i:o:n:")) != -1) {
        switch (option) {
        case 'g': options.group = optarg; break;
        case 'w': options.hosts = optarg; break;
        case 'm': options.memory = true; break;
        case 'N': options.network = optarg; break;
        case 'i': options.input = optarg; break;
        case 'o': options.output = optarg; break;
        case 'n': options.times = (int)strtol(optarg, NULL, 10); break;
        default: return 125;
        }
    }
    options.command = argv + optind;
    if (optind == argc || (options.group == NULL) == (options.times == 0) || options.times < 0 ||
        options.times > TIMES_MAX) {
        fail("usage: measure -g GROUP [-w HOSTS] [-m] [-N NETWORK] [-i INPUT] [-o OUTPUT] "
             "-- COMMAND...\n"
             "         measure -n TIMES [-i INPUT] -- COMMAND...");
    }
    return options.times > 0 ? run_often(&options) : run_once(&options);
}
