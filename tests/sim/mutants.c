#include "sim/mutants.h"

#include <stdio.h>

#ifndef LAMPLIGHTER_MUTANTS

int mutants_run(uint64_t seed, uint64_t schedules, unsigned jobs)
{
    (void)seed;
    (void)schedules;
    (void)jobs;
    fprintf(stderr, "sim: this build has all its guards for good; use make sim-mutants\n");
    return 2;
}

#else

#include "core/guard.h"
#include "sim/schedule.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The guard that is not there; GUARD_NONE: all are. */
enum guard guard_removed = GUARD_NONE;

/* By which rules a guard that is gone may be noticed: its own, or the one it serves. */
static const struct mutant {
    enum guard guard;
    const char *name;
    enum watch_rule rules[4];
    unsigned rule_count;
} mutants[] = {
    {GUARD_S1_MINIMUM, "S1 minimum", {WATCH_S1_MINIMUM, WATCH_S11_COUNT}, 2},
    {GUARD_S1_ROUNDING, "S1 rounding", {WATCH_S1_MINIMUM, WATCH_S11_COUNT}, 2},
    {GUARD_S1_SPARE, "S1 spare", {WATCH_S1_SPARE}, 1},
    {GUARD_S2_NEW_FIRST, "S2 new first", {WATCH_S2_NEW_FIRST}, 1},
    {GUARD_S2_MOST, "S2 most", {WATCH_S2_MOST}, 1},
    {GUARD_S3_LOSSES, "S3 losses", {WATCH_S1_MINIMUM, WATCH_S11_COUNT, WATCH_S1_SPARE}, 3},
    {GUARD_S4_BREAKER, "S4 breaker", {WATCH_S4_BREAKER}, 1},
    {GUARD_S5_FROZEN, "S5 frozen", {WATCH_S5_FROZEN}, 1},
    {GUARD_S6_ZONE, "S6 zone", {WATCH_S6_ZONE}, 1},
    {GUARD_S7_ONE, "S7 one", {WATCH_S7_ONE}, 1},
    {GUARD_S7_BAKE, "S7 bake", {WATCH_S7_BAKE}, 1},
    {GUARD_S7_CLUSTER, "S7 cluster", {WATCH_S7_CLUSTER}, 1},
    {GUARD_S8_PATIENCE, "S8 patience", {WATCH_S8_PATIENCE}, 1},
    {GUARD_S9_MACHINE, "S9 machine", {WATCH_S9_MACHINE}, 1},
    {GUARD_S9_LAUNCHES, "S9 launches", {WATCH_S9_LAUNCHES}, 1},
    {GUARD_S10_UNKNOWN, "S10 unknown", {WATCH_S10_UNKNOWN, WATCH_DISPUTED}, 2},
    {GUARD_S10_POWER, "S10 power", {WATCH_S10_POWER}, 1},
    {GUARD_S11_GRACE, "S11 grace", {WATCH_S11_GRACE}, 1},
    {GUARD_S11_COUNT, "S11 count", {WATCH_S11_COUNT}, 1},
    {GUARD_S12_SHARED, "S12 shared", {WATCH_S12_SHARED}, 1},
    {GUARD_S13_FLAPPING, "S13 flapping", {WATCH_S13_FLAPPING}, 1},
    {GUARD_S19_FRESH, "S19 fresh", {WATCH_S19_FRESH}, 1},
    {GUARD_S21_DETACHED, "S21 detached", {WATCH_S21_DETACHED}, 1},
    {GUARD_S22_PAUSED, "S22 paused", {WATCH_S22_PAUSED}, 1},
    {GUARD_DISPUTED, "two witnesses", {WATCH_DISPUTED, WATCH_S10_UNKNOWN}, 2},
    {GUARD_ADMIT_HEALTHY, "admission", {WATCH_ADMIT}, 1},
    {GUARD_PROTECTED, "protected", {WATCH_PROTECTED}, 1},
    {GUARD_S3_CAPTURE, "S3 capture", {WATCH_S3_CAPTURE}, 1},
    {GUARD_REFRESH_FIRST, "refresh: one first", {WATCH_REFRESH_FIRST}, 1},
    {GUARD_REFRESH_BAD, "refresh: a bad one", {WATCH_REFRESH_BAD}, 1},
    {GUARD_REFRESH_ALARM, "refresh: alarm", {WATCH_REFRESH_ALARM}, 1},
    {GUARD_REFRESH_WAITS, "refresh: waits", {WATCH_REFRESH_WAITS}, 1},
    {GUARD_REFRESH_SPARES, "refresh: spares", {WATCH_REFRESH_SPARES}, 1},
};
#define MUTANTS (sizeof(mutants) / sizeof(mutants[0]))

/* How a guard was missed. */
struct catch
{
    uint64_t seed; /* 0: it was not. */
    uint64_t tried;
    struct watch_violation violation;
};

static bool names_it(const struct mutant *m, enum watch_rule rule)
{
    for (unsigned i = 0; i < m->rule_count; i++) {
        if (m->rules[i] == rule) {
            return true;
        }
    }
    return false;
}

/* The schedule holds when nothing is taken away. */
static bool holds_whole(uint64_t seed)
{
    static struct schedule_counts counts;
    struct watch_violation v;
    guard_removed = GUARD_NONE;
    return schedule_run(&(struct schedule_options){.seed = seed}, &counts, &v);
}

static void hunt(const struct mutant *m, uint64_t seed, uint64_t schedules, struct catch *caught)
{
    static struct schedule_counts counts;
    for (uint64_t i = 0; i < schedules; i++) {
        struct watch_violation v;
        guard_removed = m->guard;
        bool held = schedule_run(&(struct schedule_options){.seed = seed + i}, &counts, &v);
        caught->tried = i + 1;
        if (!held && names_it(m, v.rule) && holds_whole(seed + i)) {
            caught->seed = seed + i;
            caught->violation = v;
            return;
        }
    }
}

static pid_t start(const struct mutant *m, uint64_t seed, uint64_t schedules, int *ret_fd)
{
    int ends[2];
    if (pipe(ends) != 0) {
        perror("sim: pipe");
        exit(1);
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        perror("sim: fork");
        exit(1);
    }
    if (pid == 0) {
        struct catch caught = {.seed = 0};
        hunt(m, seed, schedules, &caught);
        ssize_t n = write(ends[1], &caught, sizeof(caught)); /* Less than PIPE_BUF: whole. */
        _exit(n == (ssize_t)sizeof(caught) ? 0 : 1);
    }
    close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

static bool finish(const struct mutant *m, pid_t pid, int fd)
{
    struct catch caught = {.seed = 0};
    bool heard = read(fd, &caught, sizeof(caught)) == (ssize_t)sizeof(caught);
    close(fd);
    waitpid(pid, NULL, 0);
    if (!heard || caught.seed == 0) {
        printf("%-15s NOT CAUGHT in %" PRIu64 " schedules\n", m->name, caught.tried);
        printf("FAILED mutant: nobody misses the guard '%s'\n", m->name);
        return false;
    }
    printf("%-15s caught after %6" PRIu64 " by %s: %s (seed %" PRIu64 ")\n", m->name, caught.tried,
           watch_rule_to_string(caught.violation.rule), caught.violation.text, caught.seed);
    fflush(stdout);
    return true;
}

int mutants_run(uint64_t seed, uint64_t schedules, unsigned jobs)
{
    pid_t pids[MUTANTS];
    int fds[MUTANTS];
    size_t caught = 0;
    size_t started = 0;
    for (size_t i = 0; i < MUTANTS; i++) {
        for (; started < MUTANTS && started < i + jobs; started++) {
            pids[started] = start(&mutants[started], seed, schedules, &fds[started]);
        }
        caught += finish(&mutants[i], pids[i], fds[i]) ? 1 : 0;
    }
    printf("sim-mutants: %zu passed, %zu failed, 0 skipped\n", caught, MUTANTS - caught);
    return caught == MUTANTS ? 0 : 1;
}

#endif
