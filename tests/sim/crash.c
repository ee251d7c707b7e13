#include "sim/crash.h"

#include "base/str.h"
#include "rehearse/fault.h"
#include "sim/cluster.h"
#include "sim/watch.h"

#include <stdio.h>
#include <string.h>

#define BUILT_MS 600000  /* Long enough for the cluster to serve. */
#define END_MS   3600000 /* Long enough to come to rest after anything. */

struct crash {
    struct cluster cluster;
    struct engine engine;
    struct watch watch;
};

/* What is done to the cluster that serves. Nothing: it is made from nothing, and killed then. */
struct scenario {
    const char *name;
    void (*act)(struct crash *c);
    bool from_nothing;
};

static void ask(struct crash *c, enum engine_request_kind kind, const char *instance)
{
    struct engine_request request = {.kind = kind, .group = c->cluster.web};
    text_copy(request.instance, sizeof(request.instance), instance);
    engine_ask(&c->engine, &request);
    c->engine.controller.dirty = true;
}

static void scale(struct crash *c, unsigned desired)
{
    engine_ask(&c->engine, &(struct engine_request){
                               .kind = ENGINE_SCALE, .group = c->cluster.web, .value = desired});
    c->engine.controller.dirty = true;
}

static void launch(struct crash *c)
{
    (void)c;
}

static void change(struct crash *c)
{
    engine_change_roles(&c->engine, c->cluster.web);
}

static void kill_host(struct crash *c)
{
    fault_begin(&c->engine, FAULT_HOST_OFF, truth_find(&c->engine.truth, "web-2"));
}

static void vanish(struct crash *c)
{
    fault_begin(&c->engine, FAULT_HOST_VANISHES, truth_find(&c->engine.truth, "web-2"));
}

static void scale_in(struct crash *c)
{
    scale(c, 2);
}

static void scale_out(struct crash *c)
{
    scale(c, 5);
}

static void standby(struct crash *c)
{
    ask(c, ENGINE_STANDBY, "web-1");
}

static void replace(struct crash *c)
{
    ask(c, ENGINE_REPLACE, "web-3");
}

static void detach(struct crash *c)
{
    ask(c, ENGINE_DETACH, "web-1");
}

/* Its service does not come back with a restart; a reboot mends it. */
static void break_until_reboot(struct crash *c)
{
    struct truth_host *h = &c->engine.truth.hosts[truth_find(&c->engine.truth, "web-1")];
    h->wedged = true;
    h->service = false;
    engine_touch(&c->engine);
}

static void hang(struct crash *c)
{
    fault_begin(&c->engine, FAULT_HOST_HANGS, truth_find(&c->engine.truth, "web-1"));
}

static void change_balancer(struct crash *c)
{
    engine_change_roles(&c->engine, c->cluster.lb);
}

static const struct scenario scenarios[] = {
    {"launch from nothing", launch, true},
    {"change in place", change, false},
    {"change of the balancer", change_balancer, false},
    {"host off, replaced", kill_host, false},
    {"host deleted, made again", vanish, false},
    {"scale in", scale_in, false},
    {"scale out", scale_out, false},
    {"standby", standby, false},
    {"replace", replace, false},
    {"detach", detach, false},
    {"reboot rung", break_until_reboot, false},
    {"power-cycle rung", hang, false},
};

/* What is compared: how it stands at the end, and how often what happened. */
struct end {
    unsigned boundaries;
    size_t members[CLUSTER_GROUPS], serving[CLUSTER_GROUPS], standby, detached;
    size_t hosts, created;
    size_t reboots, cycles;
    bool at_rest;
};

static void on_action(void *context, struct engine *e, const struct action *action)
{
    watch_on_action(&((struct crash *)context)->watch, e, action);
}

static void on_end(void *context, struct engine *e, const struct engine_job *job,
                   enum outcome outcome)
{
    watch_on_end(&((struct crash *)context)->watch, e, job, outcome);
}

static void on_decision(void *context, struct engine *e)
{
    watch_on_decision(&((struct crash *)context)->watch, e);
}

static void on_truth(void *context, struct engine *e)
{
    watch_on_truth(&((struct crash *)context)->watch, e);
}

static void on_start(void *context, struct engine *e)
{
    watch_on_start(&((struct crash *)context)->watch, e);
}

static void look(const struct crash *c, struct end *end)
{
    const struct engine *e = &c->engine;
    const struct world *w = &e->controller.world;
    for (size_t i = 0; i < w->instance_count; i++) {
        const struct world_instance *it = &w->instances[i];
        end->members[it->group] += it->lifecycle == LIFECYCLE_IN_SERVICE;
        end->standby += it->lifecycle == LIFECYCLE_STANDBY;
        end->detached += it->lifecycle == LIFECYCLE_DETACHED;
    }
    for (size_t g = 0; g < e->spec.group_count; g++) {
        end->serving[g] = engine_serving(e, g);
    }
    for (size_t i = 0; i < e->truth.host_count; i++) {
        end->hosts += e->truth.hosts[i].power != TRUTH_ABSENT;
        end->reboots += e->truth.hosts[i].reboots;
        end->cycles += e->truth.hosts[i].cycles;
    }
    end->created = e->created;
    end->at_rest = e->controller.running && e->controller.decision.action_count == 0;
}

/* Plays SCENARIO with the controller killed at boundary AT of it (0: not at all). */
static struct end play(const struct scenario *scenario, unsigned at, struct watch_violation *ret_v)
{
    static struct crash c;
    cluster_plain(&c.cluster);
    const struct engine_watch watch = {.context = &c,
                                       .on_action = on_action,
                                       .on_end = on_end,
                                       .on_decision = on_decision,
                                       .on_truth = on_truth,
                                       .on_start = on_start};
    engine_init(&c.engine, &c.cluster.spec, &c.cluster.pace, &watch, 7);
    watch_init(&c.watch, &c.engine);
    if (scenario->from_nothing) {
        c.engine.kill_at = at;
    } else {
        engine_run(&c.engine, BUILT_MS);
        unsigned before = c.engine.boundaries;
        c.engine.kill_at = at == 0 ? 0 : before + at;
        scenario->act(&c);
        c.engine.first_boundary = before;
        engine_post(&c.engine, BUILT_MS, ENGINE_AT_WAKE, 0);
    }
    engine_run(&c.engine, END_MS);
    struct end end = {.boundaries = c.engine.boundaries - c.engine.first_boundary};
    look(&c, &end);
    watch_end(&c.watch, &c.engine);
    *ret_v = c.watch.violation;
    watch_deinit(&c.watch);
    engine_deinit(&c.engine);
    return end;
}

static bool same(const struct end *a, const struct end *b)
{
    return memcmp(a->members, b->members, sizeof(a->members)) == 0 &&
           memcmp(a->serving, b->serving, sizeof(a->serving)) == 0 && a->standby == b->standby &&
           a->detached == b->detached && a->hosts == b->hosts && a->created == b->created &&
           a->reboots == b->reboots && a->cycles == b->cycles && a->at_rest && b->at_rest;
}

static void tell(const struct scenario *scenario, unsigned at, const struct end *whole,
                 const struct end *end)
{
    printf(
        "FAILED crash: %s, killed at boundary %u of %u: %zu made (%zu), %zu hosts (%zu), "
        "%zu reboots (%zu), %zu power-cycles (%zu), web %zu in service, %zu serving (%zu, %zu)\n",
        scenario->name, at, whole->boundaries, end->created, whole->created, end->hosts,
        whole->hosts, end->reboots, whole->reboots, end->cycles, whole->cycles, end->members[1],
        end->serving[1], whole->members[1], whole->serving[1]);
}

static void run_scenario(const struct scenario *scenario, unsigned *passed, unsigned *failed)
{
    struct watch_violation v;
    struct end whole = play(scenario, 0, &v);
    unsigned points = whole.boundaries;
    unsigned bad = points == 0 ? 1 : 0; /* A scenario in which nothing happens proves nothing. */
    for (unsigned at = 0; at <= points; at++) {
        struct end end = play(scenario, at, &v);
        if (v.found) {
            printf("FAILED crash: %s, killed at boundary %u: %s: %s\n", scenario->name, at,
                   watch_rule_to_string(v.rule), v.text);
        } else if (!same(&end, &whole)) {
            tell(scenario, at, &whole, &end);
        } else {
            (*passed)++;
            continue;
        }
        bad++;
    }
    *failed += bad;
    printf("  %-28s %4u crash points, %u failed\n", scenario->name, points, bad);
}

void crash_run(unsigned *passed, unsigned *failed)
{
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        run_scenario(&scenarios[i], passed, failed);
    }
}
