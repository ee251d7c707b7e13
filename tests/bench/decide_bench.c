/*
 * What one step of the core costs, judge() and decide() together, by the number of instances, in
 * microseconds a step and nanoseconds an instance:
 *   at rest   a fleet behind two balancers (what `run` sees almost always)
 *   unseen    the same, not yet looked at (what `apply` begins with)
 *   replace   the same, all of it to be replaced, and a third of it unready: the longest way
 * through add       what one more instance costs the world, when that many are there end       what
 * the end of one action (a reboot, which forgets what balancers said) costs it Medians; needs no
 * host and no network. Built and run by tests/bench/run.
 */
#include "base/mem.h"
#include "core/judge.h"
#include "core/outcome.h"
#include "spec/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS   15
#define PARALLEL 16
#define MARGIN   64 /* Room for what is added. */

struct fleet {
    struct spec spec;
    struct spec_zone zone;
    struct spec_pool pool;
    struct spec_route route;
    struct spec_frontend frontend;
    struct spec_group groups[2];
    size_t zones[1];
    struct world world;
    struct world_group world_groups[2];
    struct world_zone world_zones[1];
    size_t room[2];
    struct decision decision;
};

enum { LB, WEB };
#define BALANCERS 2

static void put_instance(struct fleet *f, size_t group, unsigned number)
{
    struct world_instance *it = &f->world.instances[f->world.instance_count++];
    *it = (struct world_instance){.group = group,
                                  .number = number,
                                  .lifecycle = LIFECYCLE_IN_SERVICE,
                                  .power = WORLD_POWER_RUNNING,
                                  .power_witnessed = true,
                                  .greeted = true,
                                  .configured = true,
                                  .ready_ms = 1,
                                  .in_service_ms = 1,
                                  .drift = WORLD_DRIFT_NONE,
                                  .health = {.health = WORLD_HEALTHY},
                                  .alive = {.health = WORLD_HEALTHY}};
    instance_id(it->id, f->groups[group].name, number);
}

static void spec_init(struct fleet *f, unsigned count)
{
    f->zone = (struct spec_zone){.name = (char *)"rack-a"};
    f->pool = (struct spec_pool){.name = (char *)"web"};
    f->route = (struct spec_route){.path = (char *)"/", .pool = 0};
    f->frontend = (struct spec_frontend){
        .name = (char *)"lb", .group = LB, .routes = &f->route, .route_count = 1};
    const struct spec_group group = {.zones = {f->zones, 1},
                                     .healthy_min_percent = 90,
                                     .healthy_max_percent = 110,
                                     .grace_ms = 300000,
                                     .bake_ms = 10000,
                                     .breaker_percent = 33,
                                     .repair = SPEC_REPAIR_REPLACE};
    f->groups[LB] = group;
    f->groups[LB].name = (char *)"lb";
    f->groups[LB].pool = SPEC_NONE;
    f->groups[LB].min = f->groups[LB].desired = f->groups[LB].max = BALANCERS;
    f->groups[WEB] = group;
    f->groups[WEB].name = (char *)"web";
    f->groups[WEB].min = f->groups[WEB].desired = f->groups[WEB].max = count;
    f->spec = (struct spec){.cluster = (char *)"bench",
                            .max_disruption_percent = 33,
                            .zones = &f->zone,
                            .zone_count = 1,
                            .pools = &f->pool,
                            .pool_count = 1,
                            .groups = f->groups,
                            .group_count = 2,
                            .frontends = &f->frontend,
                            .frontend_count = 1};
}

static void arrays_init(struct fleet *f, unsigned count)
{
    struct world *w = &f->world;
    w->groups = f->world_groups;
    w->zones = f->world_zones;
    w->room = f->room;
    w->instance_capacity = count + BALANCERS + MARGIN;
    w->instances = xcalloc(w->instance_capacity, sizeof(*w->instances));
    w->balancer_capacity = BALANCERS;
    w->balancers = xcalloc(w->balancer_capacity, sizeof(*w->balancers));
    w->target_capacity = (count + MARGIN) * BALANCERS;
    w->targets = xcalloc(w->target_capacity, sizeof(*w->targets));
    f->decision.action_capacity = w->instance_capacity;
    f->decision.actions = xcalloc(f->decision.action_capacity, sizeof(*f->decision.actions));
    f->decision.hold_capacity = decision_hold_capacity(&f->spec, w);
    f->decision.holds = xcalloc(f->decision.hold_capacity, sizeof(*f->decision.holds));
    f->decision.memory_size = survey_size(&f->spec, w);
    f->decision.memory = xcalloc(1, f->decision.memory_size);
}

/* The first instances are the balancers, all others are members of their one pool. */
static void fleet_init(struct fleet *f, unsigned count)
{
    spec_init(f, count);
    f->world.now_ms = 1000000;
    f->world.slots = PARALLEL;
    f->world.tireless = true;
    arrays_init(f, count);
    world_groups_init(&f->spec, &f->world);
    f->world_groups[LB].next_number = BALANCERS + 1;
    f->world_groups[WEB].next_number = count + 1;
    for (unsigned i = 1; i <= BALANCERS; i++) {
        put_instance(f, LB, i);
    }
    for (unsigned i = 1; i <= count; i++) {
        put_instance(f, WEB, i);
    }
    world_complete(&f->spec, &f->world);
    for (size_t i = 0; i < f->world.balancer_count; i++) {
        f->world.balancers[i].sync = WORLD_SYNC_DONE;
        f->world.balancers[i].seen_ms = f->world.now_ms;
    }
    for (size_t i = 0; i < f->world.target_count; i++) {
        f->world.targets[i].state = WORLD_TARGET_UP;
    }
}

static void fleet_deinit(struct fleet *f)
{
    free(f->world.instances);
    free(f->world.balancers);
    free(f->world.targets);
    free(f->decision.actions);
    free(f->decision.holds);
    free(f->decision.memory);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

typedef void operation(struct fleet *f);

static void step(struct fleet *f)
{
    int64_t deadline_ms;
    judge(&f->spec, &f->world, f->decision.memory, f->decision.memory_size, &deadline_ms);
    decide(&f->spec, &f->world, &f->decision);
}

static void add_one(struct fleet *f)
{
    const struct action action = {.kind = ACTION_ADD,
                                  .instance = WORLD_NONE,
                                  .group = WEB,
                                  .number = f->world_groups[WEB].next_number,
                                  .balancer = WORLD_NONE};
    world_end(&f->spec, &f->world, &action, OUTCOME_DONE);
}

static void end_one(struct fleet *f)
{
    const struct action action = {.kind = ACTION_REBOOT,
                                  .instance = f->world.instance_count - 1,
                                  .group = WEB,
                                  .balancer = WORLD_NONE};
    world_end(&f->spec, &f->world, &action, OUTCOME_DONE);
}

static double median_us(struct fleet *f, operation *run)
{
    double spans[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        struct timespec begun;
        struct timespec ended;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        run(f);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        spans[i] = (double)(ended.tv_sec - begun.tv_sec) * 1e6 +
                   (double)(ended.tv_nsec - begun.tv_nsec) / 1e3;
    }
    qsort(spans, ROUNDS, sizeof(*spans), compare);
    return spans[ROUNDS / 2];
}

static void expect_actions(const struct fleet *f, const char *what, size_t expected)
{
    if (f->decision.action_count != expected) {
        fprintf(stderr, "decide_bench: %zu instances, %s: %zu actions, not %zu\n",
                f->world.instance_count, what, f->decision.action_count, expected);
        exit(1);
    }
}

static void measure(unsigned count)
{
    struct fleet f = {.zones = {0}};
    fleet_init(&f, count);
    unsigned all = count + BALANCERS;
    double rest = median_us(&f, step);
    expect_actions(&f, "at rest", 0);
    for (size_t i = 0; i < f.world.instance_count; i++) {
        f.world.instances[i].drift = WORLD_DRIFT_UNKNOWN;
    }
    double unseen = median_us(&f, step);
    expect_actions(&f, "unseen", all < PARALLEL ? all : PARALLEL);
    for (size_t i = 0; i < f.world.instance_count; i++) {
        struct world_instance *it = &f.world.instances[i];
        it->drift = WORLD_DRIFT_NONE;
        it->wish = it->group == WEB ? WORLD_WISH_REPLACE : WORLD_WISH_NONE;
        it->health.health = i % 3 == 0 ? WORLD_UNHEALTHY : WORLD_HEALTHY;
    }
    double replace = median_us(&f, step);
    double add = median_us(&f, add_one);
    double end = median_us(&f, end_one);
    printf("%-10u %10.1f %8.0f %10.1f %8.0f %10.1f %8.0f %9.2f %9.2f\n", count, rest,
           rest * 1e3 / all, unseen, unseen * 1e3 / all, replace, replace * 1e3 / all, add, end);
    fflush(stdout);
    fleet_deinit(&f);
}

int main(void)
{
    static const unsigned counts[] = {10, 100, 1000, 10000};
    printf("%-10s %10s %8s %10s %8s %10s %8s %9s %9s\n", "instances", "at rest us", "ns each",
           "unseen us", "ns each", "replace us", "ns each", "add us", "end us");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        measure(counts[i]);
    }
    return 0;
}
