/*
 * What the core costs, by the number of instances: judge() and decide() together, in nanoseconds an
 * instance, in states that ask different things of it; then, in nanoseconds, what one more instance
 * costs the world, what the end of one action (a reboot, which forgets what balancers said) costs
 * it, and one answer of `why`. Medians; needs no host and no network.
 *
 * Nothing that is measured may ask for memory: the allocator is counted, and one call fails the
 * run. The last line is the most nanoseconds an instance. Built and run by tests/bench/run.
 */
#include "base/mem.h"
#include "core/judge.h"
#include "core/outcome.h"
#include "core/why.h"
#include "spec/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS   15
#define PARALLEL 16
#define MARGIN   64 /* Room for what is added. */

/* The allocator, counted: glibc's own is behind it. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
static size_t allocations;

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    allocations++;
    return __libc_realloc(memory, size);
}

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

static void ask_why(struct fleet *f)
{
    static struct why why;
    why_instance(&f->spec, &f->world, &f->decision, f->world.instance_count - 1, &why);
}

static double median_us(struct fleet *f, operation *run)
{
    double spans[ROUNDS];
    size_t before = allocations;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct timespec begun;
        struct timespec ended;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        run(f);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        spans[i] = (double)(ended.tv_sec - begun.tv_sec) * 1e6 +
                   (double)(ended.tv_nsec - begun.tv_nsec) / 1e3;
    }
    if (allocations != before) {
        fprintf(stderr, "decide_bench: %zu instances: the core asked for memory %zu times\n",
                f->world.instance_count, allocations - before);
        exit(1);
    }
    qsort(spans, ROUNDS, sizeof(*spans), compare);
    return spans[ROUNDS / 2];
}

/* The states. */

static void rest(struct fleet *f)
{
    for (size_t i = 0; i < f->world.instance_count; i++) {
        struct world_instance *it = &f->world.instances[i];
        it->drift = WORLD_DRIFT_NONE;
        it->wish = WORLD_WISH_NONE;
        it->health.health = it->alive.health = WORLD_HEALTHY;
        it->change_failed = false;
        it->in_service_ms = 1;
    }
}

static void unseen(struct fleet *f)
{
    for (size_t i = 0; i < f->world.instance_count; i++) {
        f->world.instances[i].drift = WORLD_DRIFT_UNKNOWN;
    }
}

static void changed(struct fleet *f)
{
    for (size_t i = 0; i < f->world.instance_count; i++) {
        f->world.instances[i].drift = WORLD_DRIFT_PENDING;
        f->world.instances[i].in_service_ms = f->world.now_ms - 1; /* None has baked. */
    }
}

static void replaced(struct fleet *f)
{
    for (size_t i = BALANCERS; i < f->world.instance_count; i++) {
        f->world.instances[i].wish = WORLD_WISH_REPLACE;
        f->world.instances[i].health.health = i % 3 == 0 ? WORLD_UNHEALTHY : WORLD_HEALTHY;
    }
}

static void failed(struct fleet *f)
{
    for (size_t i = 0; i < f->world.instance_count; i++) {
        f->world.instances[i].drift = WORLD_DRIFT_PENDING;
        f->world.instances[i].change_failed = true;
    }
}

static void lost(struct fleet *f)
{
    for (size_t i = 0; i < f->world.instance_count; i++) {
        f->world.instances[i].health.health = WORLD_UNHEALTHY;
        f->world.instances[i].alive.health = WORLD_UNHEALTHY;
    }
}

static const struct state {
    const char *name;
    operation *set;
} states[] = {
    {"all is well", rest},
    {"not looked at yet", unseen},
    {"roles of all differ", changed},
    {"all to replace", replaced},
    {"changes of all failed", failed},
    {"nobody answers", lost},
};
#define STATES (sizeof(states) / sizeof(states[0]))

static const unsigned counts[] = {10, 100, 1000, 10000};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

/* What is measured is the real thing: nothing to do at rest, and as much as may be where nothing
   was looked at. */
static void expect_actions(const struct fleet *f, const struct state *state)
{
    size_t all = f->world.instance_count;
    size_t expected = state->set == rest ? 0 : all < PARALLEL ? all : PARALLEL;
    bool known = state->set == rest || state->set == unseen;
    if (known && f->decision.action_count != expected) {
        fprintf(stderr, "decide_bench: %zu instances, %s: %zu actions, not %zu\n", all, state->name,
                f->decision.action_count, expected);
        exit(1);
    }
}

static double ns_each[STATES][COUNTS];
static double ns_add[COUNTS], ns_end[COUNTS], ns_why[COUNTS];

static void measure(size_t column)
{
    struct fleet f = {.zones = {0}};
    fleet_init(&f, counts[column]);
    if (allocations == 0) {
        fprintf(stderr, "decide_bench: the allocator is not counted\n");
        exit(1);
    }
    for (size_t i = 0; i < STATES; i++) {
        rest(&f);
        f.world.frozen = (struct world_latch){.on = false};
        states[i].set(&f);
        ns_each[i][column] = median_us(&f, step) * 1e3 / (counts[column] + BALANCERS);
        expect_actions(&f, &states[i]);
    }
    ns_why[column] = median_us(&f, ask_why) * 1e3;
    ns_add[column] = median_us(&f, add_one) * 1e3;
    ns_end[column] = median_us(&f, end_one) * 1e3;
    fleet_deinit(&f);
}

static void print_row(const char *name, const double *row)
{
    printf("%-24s", name);
    for (size_t i = 0; i < COUNTS; i++) {
        printf(" %8.0f", row[i]);
    }
    printf("\n");
}

int main(void)
{
    double most = 0;
    printf("%-24s", "instances");
    for (size_t i = 0; i < COUNTS; i++) {
        measure(i);
        printf(" %8u", counts[i]);
    }
    printf("\n");
    for (size_t i = 0; i < STATES; i++) {
        print_row(states[i].name, ns_each[i]);
        for (size_t n = 0; n < COUNTS; n++) {
            most = ns_each[i][n] > most ? ns_each[i][n] : most;
        }
    }
    print_row("one more (ns)", ns_add);
    print_row("end of an action (ns)", ns_end);
    print_row("an answer of why (ns)", ns_why);
    printf("none of it asked for memory; most ns an instance: %.0f\n", most);
    return 0;
}
