/*
 * What one step of decide() costs, by the number of instances: a fleet at rest behind one balancer
 * (what `run` sees almost always), and the same fleet not yet looked at (what `apply` begins with).
 * Medians; needs no host and no network. Built and run by tests/bench/run.
 */
#include "base/mem.h"
#include "core/decide.h"
#include "spec/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS   15
#define PARALLEL 16

struct fleet {
    struct spec spec;
    struct spec_zone zone;
    struct spec_pool pool;
    struct spec_route route;
    struct spec_frontend frontend;
    struct spec_group groups[2];
    size_t zones[1];
    struct world world;
    size_t room[2];
    struct decision decision;
};

static void put_instance(struct fleet *f, size_t group, unsigned number)
{
    struct world_instance *it = &f->world.instances[f->world.instance_count++];
    *it = (struct world_instance){.group = group,
                                  .number = number,
                                  .lifecycle = LIFECYCLE_IN_SERVICE,
                                  .power = WORLD_POWER_RUNNING,
                                  .greeted = true,
                                  .configured = true,
                                  .drift = WORLD_DRIFT_NONE,
                                  .health = WORLD_HEALTHY};
    snprintf(it->id, sizeof(it->id), "%s-%u", f->groups[group].name, number);
}

/* Instance 0 is the balancer, all others are members of its one pool. */
static void fleet_init(struct fleet *f, unsigned count)
{
    f->zone = (struct spec_zone){.name = (char *)"rack-a"};
    f->pool = (struct spec_pool){.name = (char *)"web"};
    f->route = (struct spec_route){.path = (char *)"/", .pool = 0};
    f->frontend = (struct spec_frontend){
        .name = (char *)"lb", .group = 0, .routes = &f->route, .route_count = 1};
    const struct spec_group group = {
        .zones = {f->zones, 1}, .healthy_min_percent = 90, .grace_ms = 300000};
    f->groups[0] = group;
    f->groups[0].name = (char *)"lb";
    f->groups[0].pool = SPEC_NONE;
    f->groups[0].min = f->groups[0].desired = f->groups[0].max = 1;
    f->groups[1] = group;
    f->groups[1].name = (char *)"web";
    f->groups[1].min = f->groups[1].desired = f->groups[1].max = count;
    f->spec = (struct spec){.cluster = (char *)"bench",
                            .zones = &f->zone,
                            .zone_count = 1,
                            .pools = &f->pool,
                            .pool_count = 1,
                            .groups = f->groups,
                            .group_count = 2,
                            .frontends = &f->frontend,
                            .frontend_count = 1};
    f->world.now_ms = 1000000;
    f->world.slots = PARALLEL;
    f->world.instance_capacity = count + 1;
    f->world.instances = xcalloc(count + 1, sizeof(*f->world.instances));
    f->world.balancer_capacity = 1;
    f->world.balancers = xcalloc(1, sizeof(*f->world.balancers));
    f->world.target_capacity = count;
    f->world.targets = xcalloc(count, sizeof(*f->world.targets));
    f->world.room = f->room;
    f->decision.action_capacity = count + 64;
    f->decision.actions = xcalloc(count + 64, sizeof(*f->decision.actions));
    f->decision.hold_capacity = count + 64;
    f->decision.holds = xcalloc(count + 64, sizeof(*f->decision.holds));
    put_instance(f, 0, 1);
    for (unsigned i = 1; i <= count; i++) {
        put_instance(f, 1, i);
    }
    world_complete(&f->spec, &f->world);
    f->world.balancers[0].sync = WORLD_SYNC_DONE;
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
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double step_us(struct fleet *f)
{
    double spans[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        struct timespec begun;
        struct timespec ended;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        decide(&f->spec, &f->world, &f->decision);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        spans[i] = (double)(ended.tv_sec - begun.tv_sec) * 1e6 +
                   (double)(ended.tv_nsec - begun.tv_nsec) / 1e3;
    }
    qsort(spans, ROUNDS, sizeof(*spans), compare);
    return spans[ROUNDS / 2];
}

int main(void)
{
    static const unsigned counts[] = {10, 100, 1000, 10000};
    printf("%-10s %14s %14s\n", "instances", "at rest us", "unseen us");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct fleet f = {.zones = {0}};
        fleet_init(&f, counts[i]);
        double rest = step_us(&f);
        size_t idle = f.decision.action_count;
        for (size_t n = 0; n < f.world.instance_count; n++) {
            f.world.instances[n].drift = WORLD_DRIFT_UNKNOWN;
        }
        double unseen = step_us(&f);
        if (idle != 0 ||
            f.decision.action_count != (counts[i] < PARALLEL ? counts[i] + 1 : PARALLEL)) {
            fprintf(stderr, "decide_bench: %u instances: %zu actions at rest, %zu unseen\n",
                    counts[i], idle, f.decision.action_count);
            return 1;
        }
        printf("%-10u %14.1f %14.1f\n", counts[i], rest, unseen);
        fflush(stdout);
        fleet_deinit(&f);
    }
    return 0;
}
