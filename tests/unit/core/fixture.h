/*
 * For the tests of the core: a small cluster whose world is moved on by hand, so that a test reads
 * like the transcript of a run: "the service of web-1 fails; advance 5 s; should wait".
 *
 * One database, three web hosts over two racks behind one balancer, all made and mended by a
 * provider; a test changes what it needs before settle(). World and spec are the test's to write.
 */
#ifndef TESTS_UNIT_CORE_FIXTURE_H
#define TESTS_UNIT_CORE_FIXTURE_H

#include "core/decide.h"
#include "core/judge.h"
#include "core/ladder.h"
#include "core/outcome.h"
#include "core/placement.h"
#include "core/proof.h"
#include "core/why.h"
#include "spec/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

#define FIXTURE_GRACE_MS  (300 * SECOND)
#define FIXTURE_BAKE_MS   (10 * SECOND)
#define FIXTURE_INSTANCES 64
#define FIXTURE_BALANCERS 8
#define FIXTURE_TARGETS   256
#define FIXTURE_ACTIONS   128

enum { DB, WEB, LB, GROUPS };
enum { RACK_A, RACK_B, RACK_C, ZONES };

struct fixture {
    struct spec spec;
    struct spec_zone zones[ZONES];
    struct spec_group groups[GROUPS];
    struct spec_pool pool;
    struct spec_route route;
    struct spec_frontend frontend;
    struct spec_hook hooks[2];
    size_t zone_list[ZONES];
    size_t needs[1];
    struct world world;
    struct world_instance instances[FIXTURE_INSTANCES];
    struct world_balancer balancers[FIXTURE_BALANCERS];
    struct world_target targets[FIXTURE_TARGETS];
    struct world_group world_groups[GROUPS];
    struct world_zone world_zones[ZONES];
    size_t room[GROUPS * ZONES];
    struct decision decision;
    struct action actions[FIXTURE_ACTIONS];
    struct hold holds[4 * FIXTURE_INSTANCES];
    max_align_t memory[1024];
    int64_t judge_again_ms;
    bool no_looks; /* The driver does not look at balancers by itself. */
};

/* WEB is over the first ZONE_COUNT racks. */
static inline void fixture_zones(struct fixture *f, size_t zone_count)
{
    f->spec.zone_count = zone_count;
    f->groups[WEB].zones.count = zone_count;
}

static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    static const char *const racks[ZONES] = {"rack-a", "rack-b", "rack-c"};
    for (size_t z = 0; z < ZONES; z++) {
        f->zones[z].name = (char *)racks[z];
        f->zone_list[z] = z;
    }
    f->needs[0] = DB;
    f->pool.name = (char *)"web";
    f->route = (struct spec_route){.path = (char *)"/", .pool = 0};
    f->frontend = (struct spec_frontend){
        .name = (char *)"my-lb", .group = LB, .routes = &f->route, .route_count = 1};
    f->groups[DB] = (struct spec_group){.name = (char *)"db",
                                        .min = 1,
                                        .desired = 1,
                                        .max = 1,
                                        .zones = {f->zone_list, 1},
                                        .pool = SPEC_NONE,
                                        .healthy_min_percent = 90,
                                        .healthy_max_percent = 110,
                                        .grace_ms = FIXTURE_GRACE_MS,
                                        .repair = SPEC_REPAIR_RESTART,
                                        .bake_ms = FIXTURE_BAKE_MS,
                                        .breaker_percent = 33};
    f->groups[LB] = f->groups[DB];
    f->groups[LB].name = (char *)"lb";
    f->groups[WEB] = f->groups[DB];
    f->groups[WEB].name = (char *)"web";
    f->groups[WEB].min = 2;
    f->groups[WEB].desired = 3;
    f->groups[WEB].max = 6;
    f->groups[WEB].pool = 0;
    f->groups[WEB].needs = (struct spec_index_list){f->needs, 1};
    f->groups[WEB].healthy_min_percent = 60; /* Of 3: 2. */
    f->groups[WEB].repair = SPEC_REPAIR_REPLACE;
    f->spec = (struct spec){.cluster = (char *)"shop",
                            .max_disruption_percent = 50,
                            .zones = f->zones,
                            .pools = &f->pool,
                            .pool_count = 1,
                            .groups = f->groups,
                            .group_count = GROUPS,
                            .frontends = &f->frontend,
                            .frontend_count = 1,
                            .hooks = f->hooks};
    fixture_zones(f, 2);
    f->world = (struct world){.now_ms = 1000 * SECOND,
                              .slots = 64,
                              .tireless = true,
                              .instances = f->instances,
                              .instance_capacity = FIXTURE_INSTANCES,
                              .balancers = f->balancers,
                              .balancer_capacity = FIXTURE_BALANCERS,
                              .targets = f->targets,
                              .target_capacity = FIXTURE_TARGETS,
                              .groups = f->world_groups,
                              .zones = f->world_zones,
                              .room = f->room};
    world_groups_init(&f->spec, &f->world);
    for (size_t i = 0; i < GROUPS * ZONES; i++) {
        f->room[i] = 20;
    }
    assert_true(survey_size(&f->spec, &f->world) <= sizeof(f->memory));
    assert_true(decision_hold_capacity(&f->spec, &f->world) <=
                sizeof(f->holds) / sizeof(*f->holds));
    f->decision = (struct decision){.actions = f->actions,
                                    .action_capacity = FIXTURE_ACTIONS,
                                    .holds = f->holds,
                                    .hold_capacity = sizeof(f->holds) / sizeof(*f->holds),
                                    .memory = f->memory,
                                    .memory_size = sizeof(f->memory)};
}

/* Two balancers, one in each rack, before settle(). */
static inline void fixture_two_balancers(struct fixture *f)
{
    f->groups[LB].desired = f->groups[LB].max = 2;
    f->groups[LB].zones.count = 2;
    f->groups[LB].healthy_min_percent = 50;
    world_groups_init(&f->spec, &f->world);
}

/* Moving on. */

static inline void judge_now(struct fixture *f)
{
    judge(&f->spec, &f->world, f->memory, sizeof(f->memory), &f->judge_again_ms);
}

/* Judges and decides; nothing of it is done. */
static inline void step(struct fixture *f)
{
    judge_now(f);
    decide(&f->spec, &f->world, &f->decision);
}

/* What was counted, without deciding. */
static inline struct survey count(struct fixture *f)
{
    struct survey s;
    survey_make(&s, &f->spec, &f->world, f->memory, sizeof(f->memory));
    return s;
}

/* Balancers tell their targets every few seconds, as drivers have them do. */
static inline void look_at_balancers(struct fixture *f)
{
    for (size_t b = 0; b < f->world.balancer_count && !f->no_looks; b++) {
        const struct world_instance *it = &f->instances[f->balancers[b].instance];
        bool answers = it->configured && it->power == WORLD_POWER_RUNNING &&
                       it->alive.health != WORLD_UNHEALTHY && it->lifecycle != LIFECYCLE_TERMINATED;
        f->balancers[b].seen_ms = answers ? f->world.now_ms : f->balancers[b].seen_ms;
    }
}

static inline void advance(struct fixture *f, int64_t ms)
{
    f->world.now_ms += ms;
    look_at_balancers(f);
    step(f);
}

/* All that was decided ends well; returns how much that was. */
static inline size_t move_on(struct fixture *f)
{
    step(f);
    size_t done = f->decision.action_count;
    for (size_t i = 0; i < done; i++) {
        world_expect(&f->spec, &f->world, &f->actions[i]);
    }
    return done;
}

static inline int64_t next_deadline(const struct fixture *f)
{
    return f->judge_again_ms < f->decision.deadline_ms ? f->judge_again_ms
                                                       : f->decision.deadline_ms;
}

/* Until nothing is left to do or to wait for; what is farther away than ten minutes is left. */
static inline void settle(struct fixture *f)
{
    for (int i = 0; i < 1000; i++) {
        look_at_balancers(f);
        if (move_on(f) > 0) {
            f->world.now_ms += SECOND / 10;
            continue;
        }
        int64_t deadline_ms = next_deadline(f);
        assert_true(deadline_ms > f->world.now_ms); /* Else a driver would spin. */
        if (deadline_ms - f->world.now_ms > 10 * MINUTE) {
            advance(f, 10 * MINUTE);
            if (f->decision.action_count == 0) {
                return;
            }
        } else {
            f->world.now_ms = deadline_ms;
        }
    }
    fail_msg("the world did not settle");
}

/* Finding. */

static inline size_t find(const struct fixture *f, const char *id)
{
    for (size_t i = 0; i < f->world.instance_count; i++) {
        if (strcmp(f->instances[i].id, id) == 0 &&
            f->instances[i].lifecycle != LIFECYCLE_TERMINATED) {
            return i;
        }
    }
    fail_msg("no instance %s", id);
    return 0;
}

static inline struct world_instance *the(struct fixture *f, const char *id)
{
    return &f->instances[find(f, id)];
}

static inline size_t serving(struct fixture *f, size_t group)
{
    return count(f).groups[group].serving;
}

static inline size_t members(struct fixture *f, size_t group)
{
    return count(f).groups[group].members;
}

/* The first action of KIND on ID (NULL: on any instance); NULL when there is none. */
static inline const struct action *action_on(const struct fixture *f, enum action_kind kind,
                                             const char *id)
{
    for (size_t i = 0; i < f->decision.action_count; i++) {
        const struct action *a = &f->decision.actions[i];
        if (a->kind == kind && a->instance != WORLD_NONE &&
            (id == NULL || strcmp(f->instances[a->instance].id, id) == 0)) {
            return a;
        }
    }
    return NULL;
}

static inline size_t count_actions(const struct fixture *f, enum action_kind kind, size_t group)
{
    size_t found = 0;
    for (size_t i = 0; i < f->decision.action_count; i++) {
        found += f->actions[i].kind == kind && f->actions[i].group == group ? 1 : 0;
    }
    return found;
}

static inline const struct hold *hold_on(const struct fixture *f, const char *id)
{
    for (size_t i = 0; i < f->decision.hold_count; i++) {
        const struct hold *h = &f->decision.holds[i];
        if (h->instance != WORLD_NONE && strcmp(f->instances[h->instance].id, id) == 0) {
            return h;
        }
    }
    return NULL;
}

static inline const struct hold *group_hold(const struct fixture *f, size_t group)
{
    for (size_t i = 0; i < f->decision.hold_count; i++) {
        const struct hold *h = &f->decision.holds[i];
        if (h->instance == WORLD_NONE && h->group == group) {
            return h;
        }
    }
    return NULL;
}

/* What happens to hosts. */

static inline void witness(struct world_witness *w, enum world_health health, int64_t now_ms)
{
    w->since_ms = w->health == health ? w->since_ms : now_ms;
    w->health = health;
}

static inline void set_health(struct fixture *f, const char *id, enum world_health health)
{
    witness(&the(f, id)->health, health, f->world.now_ms);
}

static inline void set_alive(struct fixture *f, const char *id, enum world_health health)
{
    witness(&the(f, id)->alive, health, f->world.now_ms);
}

static inline void set_power(struct fixture *f, const char *id, enum world_power power)
{
    the(f, id)->power = power;
    the(f, id)->power_ms = f->world.now_ms;
    the(f, id)->power_doubtful = false;
}

/* On every balancer, which have just told so. */
static inline void set_targets(struct fixture *f, const char *id, enum world_target_state state)
{
    size_t member = find(f, id);
    for (size_t t = 0; t < f->world.target_count; t++) {
        if (f->targets[t].member == member) {
            f->targets[t].state = state;
            f->balancers[f->targets[t].balancer].seen_ms = f->world.now_ms;
        }
    }
}

static inline void service_fails(struct fixture *f, const char *id)
{
    set_health(f, id, WORLD_UNHEALTHY);
    set_targets(f, id, WORLD_TARGET_DOWN);
}

static inline void host_is_lost(struct fixture *f, const char *id)
{
    service_fails(f, id);
    set_alive(f, id, WORLD_UNHEALTHY);
}

static inline void host_dies(struct fixture *f, const char *id)
{
    host_is_lost(f, id);
    set_power(f, id, WORLD_POWER_OFF);
}

/* Nobody reaches the host of a balancer, and what it said last is old: its clients may still. */
static inline void balancer_falls_silent(struct fixture *f, const char *id)
{
    set_alive(f, id, WORLD_UNHEALTHY);
    for (size_t b = 0; b < f->world.balancer_count; b++) {
        if (f->balancers[b].instance == find(f, id)) {
            f->balancers[b].seen_ms = f->world.now_ms - MINUTE;
        }
    }
}

static inline void host_is_well(struct fixture *f, const char *id)
{
    set_power(f, id, WORLD_POWER_RUNNING);
    set_alive(f, id, WORLD_HEALTHY);
    set_health(f, id, WORLD_HEALTHY);
    set_targets(f, id, WORLD_TARGET_UP);
}

static inline void roles_differ(struct fixture *f, const char *id)
{
    the(f, id)->drift = WORLD_DRIFT_PENDING;
    the(f, id)->drift_count = 1;
}

static inline void begin_all(struct fixture *f)
{
    for (size_t i = 0; i < f->decision.action_count; i++) {
        if (action_kind_is_record(f->actions[i].kind)) {
            world_end(&f->spec, &f->world, &f->actions[i], OUTCOME_DONE);
        } else {
            world_begin(&f->spec, &f->world, &f->actions[i]);
        }
    }
}

/* The action of KIND on ID that was decided ends now, with OUTCOME. */
static inline void ends(struct fixture *f, enum action_kind kind, const char *id,
                        enum outcome outcome)
{
    const struct action *action = action_on(f, kind, id);
    assert_non_null(action);
    struct action copy = *action;
    if (!action_kind_is_record(kind)) {
        world_begin(&f->spec, &f->world, &copy);
    }
    world_end(&f->spec, &f->world, &copy, outcome);
}

/* Expectations of what was decided last; a failure names the line of the test. */

static inline const char *said(const struct reason *reason)
{
    static char text[300];
    reason_to_string(reason, text, sizeof(text));
    return text;
}

static inline void check_act(const struct fixture *f, enum action_kind kind, const char *id,
                             enum reason_code code, int line)
{
    const struct action *action = action_on(f, kind, id);
    const struct hold *hold = hold_on(f, id);
    if (action == NULL) {
        fail_msg("line %d: no %s of %s; held: %s", line, action_kind_to_string(kind), id,
                 hold == NULL ? "no" : said(&hold->reason));
    } else if (action->reason.code != code) {
        fail_msg("line %d: %s of %s because: %s", line, action_kind_to_string(kind), id,
                 said(&action->reason));
    }
}
#define should(f, kind, id, code) check_act(f, kind, id, code, __LINE__)

static inline void check_not(const struct fixture *f, enum action_kind kind, const char *id,
                             int line)
{
    const struct action *action = action_on(f, kind, id);
    if (action != NULL) {
        fail_msg("line %d: %s of %s because: %s", line, action_kind_to_string(kind),
                 f->instances[action->instance].id, said(&action->reason));
    }
}
#define should_not(f, kind, id) check_not(f, kind, id, __LINE__)

static inline void check_mark(const struct fixture *f, const char *id, enum lifecycle lifecycle,
                              enum reason_code code, int line)
{
    check_act(f, ACTION_MARK, id, code, line);
    const struct action *action = action_on(f, ACTION_MARK, id);
    if (action->lifecycle != lifecycle) {
        fail_msg("line %d: %s is marked %s", line, id, lifecycle_to_string(action->lifecycle));
    }
}
#define should_mark(f, id, lifecycle, code) check_mark(f, id, lifecycle, code, __LINE__)

static inline void check_hold(const struct fixture *f, const struct hold *hold, const char *id,
                              enum hold_kind kind, enum reason_code code, int line)
{
    (void)f;
    if (hold == NULL) {
        fail_msg("line %d: %s is not held", line, id);
    } else if (hold->kind != kind || hold->reason.code != code) {
        fail_msg("line %d: %s is %s because: %s", line, id,
                 hold->kind == HOLD_WAIT      ? "made to wait"
                 : hold->kind == HOLD_REFUSED ? "refused"
                                              : "stuck",
                 said(&hold->reason));
    }
}
#define should_wait(f, id, code)   check_hold(f, hold_on(f, id), id, HOLD_WAIT, code, __LINE__)
#define should_refuse(f, id, code) check_hold(f, hold_on(f, id), id, HOLD_REFUSED, code, __LINE__)
#define should_stick(f, id, code)  check_hold(f, hold_on(f, id), id, HOLD_STUCK, code, __LINE__)
#define group_should_wait(f, group, code)                                                          \
    check_hold(f, group_hold(f, group), "the group", HOLD_WAIT, code, __LINE__)
#define group_should_stick(f, group, code)                                                         \
    check_hold(f, group_hold(f, group), "the group", HOLD_STUCK, code, __LINE__)

static inline void check_rest(const struct fixture *f, int line)
{
    if (f->decision.action_count > 0) {
        const struct action *a = &f->actions[0];
        fail_msg("line %d: not at rest: %s of %s because: %s", line, action_kind_to_string(a->kind),
                 a->instance == WORLD_NONE ? f->groups[a->group].name
                                           : f->instances[a->instance].id,
                 said(&a->reason));
    }
}
#define should_rest(f) check_rest(f, __LINE__)

static inline void check_verdict(struct fixture *f, const char *id, enum world_verdict verdict,
                                 int line)
{
    judge_now(f);
    if (the(f, id)->verdict != verdict) {
        fail_msg("line %d: %s is judged %s, not %s", line, id,
                 world_verdict_to_string(the(f, id)->verdict), world_verdict_to_string(verdict));
    }
}
#define should_be_judged(f, id, verdict) check_verdict(f, id, verdict, __LINE__)

#endif
