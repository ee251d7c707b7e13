/*
 * sim: the real core against a world that fails, thousands of times.
 *     sim [--schedules N] [--seed S] [--jobs N] [--verbose]
 *     sim --seeds FILE | --crash | --mutants
 * Ends with a table of what was seen, and "sim: N passed, N failed, 0 skipped".
 */
#include "sim/crash.h"
#include "sim/mutants.h"
#include "sim/schedule.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct options {
    uint64_t seed;
    uint64_t schedules;
    unsigned jobs;
    bool verbose;
    bool mutants;
    bool crash;
    const char *seeds; /* A file of them. */
    unsigned shown;    /* Failures told at most, by each process. */
};

/* What a process sends when it is done. */
struct report {
    struct schedule_counts counts;
};

static void tell_failure(const struct options *o, uint64_t seed, const struct watch_violation *v)
{
    printf("FAILED seed %" PRIu64 " at %" PRId64 ":%02" PRId64 ": %s: %s\n", seed, v->at_ms / 60000,
           v->at_ms / 1000 % 60, watch_rule_to_string(v->rule), v->text);
    if (!o->verbose) {
        printf("    make sim SEED=%" PRIu64 " SCHEDULES=1 VERBOSE=1\n", seed);
    }
    fflush(stdout);
}

static void run_share(const struct options *o, unsigned share, struct report *report)
{
    unsigned shown = 0;
    for (uint64_t i = share; i < o->schedules; i += o->jobs) {
        struct watch_violation v;
        const struct schedule_options options = {.seed = o->seed + i, .verbose = o->verbose};
        if (!schedule_run(&options, &report->counts, &v) && shown++ < o->shown) {
            tell_failure(o, options.seed, &v);
        }
    }
}

static pid_t start_share(const struct options *o, unsigned share, int *ret_fd)
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
    if (pid > 0) {
        close(ends[1]);
        *ret_fd = ends[0];
        return pid;
    }
    static struct report report;
    run_share(o, share, &report);
    fflush(stdout);
    const char *bytes = (const char *)&report;
    for (size_t sent = 0; sent < sizeof(report);) {
        ssize_t n = write(ends[1], bytes + sent, sizeof(report) - sent);
        if (n <= 0) {
            _exit(1);
        }
        sent += (size_t)n;
    }
    _exit(0);
}

static bool hear_share(int fd, pid_t pid, struct schedule_counts *counts)
{
    static struct report report;
    size_t heard = 0;
    for (;;) {
        ssize_t n = read(fd, (char *)&report + heard, sizeof(report) - heard);
        if (n <= 0) {
            break;
        }
        heard += (size_t)n;
    }
    close(fd);
    int status = 0;
    waitpid(pid, &status, 0);
    if (heard != sizeof(report) || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("FAILED a process of the simulator ended early (status %d)\n", status);
        return false;
    }
    schedule_counts_add(counts, &report.counts);
    return true;
}

/* True when it was seen; what was never seen proves nothing. */
static bool tell_count(const char *what, size_t count, bool wanted)
{
    printf("  %-45s %12zu\n", what, count);
    if (count == 0 && wanted) {
        printf("FAILED never seen: %s\n", what);
        return false;
    }
    return true;
}

/* Each reason as `why` words it, with nothing filled in. */
static size_t tell_reasons(const struct schedule_counts *c, bool whole)
{
    size_t unseen = 0;
    printf("reasons\n");
    for (unsigned i = REASON_NONE + 1; i <= REASON_ORPHAN; i++) {
        char text[200];
        reason_to_string(&(struct reason){.code = (enum reason_code)i, .name = "NAME"}, text,
                         sizeof(text));
        text[44] = '\0';
        /* No group leaves the file here, and rare ones need many schedules. */
        unseen += !tell_count(text, c->reasons[i], whole && i != REASON_ORPHAN);
    }
    return unseen;
}

static size_t tell_table(const struct schedule_counts *c, bool whole)
{
    size_t unseen = 0;
    printf("faults\n");
    for (unsigned i = 0; i < FAULTS; i++) {
        unseen += !tell_count(fault_to_string((enum fault)i), c->faults[i], whole);
    }
    printf("what came of it\n");
    for (unsigned i = 0; i < ENGINE_EVENTS; i++) {
        unseen += !tell_count(engine_event_to_string((enum engine_event)i), c->events[i], whole);
    }
    printf("by hand\n");
    for (unsigned i = 0; i < ENGINE_REQUESTS; i++) {
        unseen += !tell_count(engine_request_to_string((enum engine_request_kind)i), c->requests[i],
                              whole);
    }
    unseen += !tell_count("roles changed", c->changes[SCHEDULE_ROLES], whole);
    unseen += !tell_count("size changed in the file", c->changes[SCHEDULE_SIZE], whole);
    printf("actions\n");
    for (unsigned i = 0; i <= ACTION_REFRESH; i++) {
        unseen += !tell_count(action_kind_to_string((enum action_kind)i), c->actions[i], whole);
    }
    return unseen + tell_reasons(c, c->schedules >= 20000);
}

static void tell_rules(const struct schedule_counts *c)
{
    for (unsigned i = 0; i < WATCH_RULES; i++) {
        if (c->rules[i] > 0) {
            printf("  broken: %-37s %12zu\n", watch_rule_to_string((enum watch_rule)i),
                   c->rules[i]);
        }
    }
}

/* One seed a line, and what it found. */
static int run_seeds(const struct options *o, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "sim: cannot read %s\n", path);
        return 2;
    }
    static struct schedule_counts counts;
    char line[400];
    while (fgets(line, sizeof(line), file) != NULL) {
        struct schedule_options options = {.seed = strtoull(line, NULL, 10), .verbose = o->verbose};
        struct watch_violation v;
        if (options.seed != 0 && !schedule_run(&options, &counts, &v)) {
            tell_failure(o, options.seed, &v);
        }
    }
    fclose(file);
    printf("sim-seeds: %zu passed, %zu failed, 0 skipped\n", counts.schedules - counts.violations,
           counts.violations);
    return counts.violations == 0 ? 0 : 1;
}

static bool take_number(const char *text, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 0);
    return *text != '\0' && *end == '\0';
}

static int usage(void)
{
    fprintf(stderr, "usage: sim [--schedules N] [--seed S] [--jobs N] [--shown N] [--verbose]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"schedules", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"shown", required_argument, NULL, 'f'},
                                          {"mutants", no_argument, NULL, 'm'},
                                          {"crash", no_argument, NULL, 'c'},
                                          {"seeds", required_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {
        .seed = 1, .schedules = 20000, .jobs = cores > 0 ? (unsigned)cores : 1, .shown = 5};
    int option;
    uint64_t number = 0;
    while ((option = getopt_long(argc, argv, "n:s:j:f:vmcr:", names, NULL)) != -1) {
        if (option != 'v' && option != 'm' && option != 'c' && option != 'r' &&
            (option == '?' || !take_number(optarg, &number))) {
            return usage();
        }
        switch (option) {
        case 'n': o.schedules = number; break;
        case 's': o.seed = number; break;
        case 'j': o.jobs = number > 0 && number < 256 ? (unsigned)number : 1; break;
        case 'f': o.shown = (unsigned)number; break;
        case 'v': o.verbose = true; break;
        case 'm': o.mutants = true; break;
        case 'c': o.crash = true; break;
        case 'r': o.seeds = optarg; break;
        default: return usage();
        }
    }
    if (o.seeds != NULL) {
        return run_seeds(&o, o.seeds);
    }
    if (o.crash) {
        unsigned passed = 0;
        unsigned bad = 0;
        crash_run(&passed, &bad);
        printf("sim-crash: %u passed, %u failed, 0 skipped\n", passed, bad);
        return bad == 0 ? 0 : 1;
    }
    if (o.mutants) {
        return mutants_run(o.seed, o.schedules, o.jobs);
    }
    o.jobs = o.jobs > o.schedules ? (unsigned)o.schedules : o.jobs;
    struct timespec begun;
    struct timespec ended;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    static struct schedule_counts counts;
    pid_t pids[256];
    int fds[256];
    size_t failed = 0;
    for (unsigned i = 0; i < o.jobs; i++) {
        pids[i] = start_share(&o, i, &fds[i]);
    }
    for (unsigned i = 0; i < o.jobs; i++) {
        failed += hear_share(fds[i], pids[i], &counts) ? 0 : 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds =
        (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
    /* Few schedules need not show everything. */
    failed += tell_table(&counts, o.schedules >= 2000);
    tell_rules(&counts);
    printf("%zu schedules from seed %" PRIu64 ", %.0f simulated hours, %zu steps, %zu decisions, "
           "%.1f s; longest way to rest %.0f min\n",
           counts.schedules, o.seed, (double)counts.simulated_ms / 3.6e6, counts.steps,
           counts.decisions, seconds, (double)counts.settled_ms_most / 60000);
    printf("sim: %zu passed, %zu failed, 0 skipped\n", counts.schedules - counts.violations,
           counts.violations + failed);
    return counts.violations + failed == 0 ? 0 : 1;
}
