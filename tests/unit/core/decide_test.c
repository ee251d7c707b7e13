/*
 * decide() over small worlds: what is done first, what waits for what, and what is refused. The
 * worlds are moved on with expect(), so each test reads like the transcript of a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/decide.h"
#include "core/expect.h"
#include "spec/spec.h"

#include <stdio.h>
#include <string.h>

enum { DB, WEB, LB, GROUPS };

/* One database, three web hosts over two zones behind one balancer. */
struct fixture {
    struct spec spec;
    struct spec_zone zones[2];
    struct spec_group groups[GROUPS];
    struct spec_pool pool;
    struct spec_route route;
    struct spec_frontend frontend;
    size_t zone_list[2];
    size_t needs[1];
    struct world world;
    struct world_instance instances[32];
    struct world_balancer balancers[32];
    struct world_target targets[64];
    size_t room[GROUPS * 2];
    struct decision decision;
    struct action actions[64];
    struct hold holds[64];
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->zones[0].name = (char *)"rack-a";
    f->zones[1].name = (char *)"rack-b";
    f->zone_list[0] = 0;
    f->zone_list[1] = 1;
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
                                        .grace_ms = 300000};
    f->groups[WEB] = (struct spec_group){.name = (char *)"web",
                                         .min = 2,
                                         .desired = 3,
                                         .max = 6,
                                         .zones = {f->zone_list, 2},
                                         .pool = 0,
                                         .needs = {f->needs, 1},
                                         .healthy_min_percent = 60,
                                         .grace_ms = 300000};
    f->groups[LB] = f->groups[DB];
    f->groups[LB].name = (char *)"lb";
    f->spec = (struct spec){.cluster = (char *)"shop",
                            .zones = f->zones,
                            .zone_count = 2,
                            .pools = &f->pool,
                            .pool_count = 1,
                            .groups = f->groups,
                            .group_count = GROUPS,
                            .frontends = &f->frontend,
                            .frontend_count = 1};
    f->world = (struct world){.now_ms = 1000,
                              .slots = 16,
                              .instances = f->instances,
                              .instance_capacity = 32,
                              .balancers = f->balancers,
                              .balancer_capacity = 32,
                              .targets = f->targets,
                              .target_capacity = 64,
                              .room = f->room};
    for (size_t i = 0; i < GROUPS * 2; i++) {
        f->room[i] = 10;
    }
    f->decision = (struct decision){
        .actions = f->actions, .action_capacity = 64, .holds = f->holds, .hold_capacity = 64};
}

static void step(struct fixture *f)
{
    decide(&f->spec, &f->world, &f->decision);
}

/* Moves the world on by everything that was decided; returns how much that was. */
static size_t move_on(struct fixture *f)
{
    step(f);
    size_t count = f->decision.action_count;
    for (size_t i = 0; i < count; i++) {
        expect(&f->spec, &f->world, &f->decision.actions[i]);
    }
    return count;
}

static void settle(struct fixture *f)
{
    for (int i = 0; i < 200; i++) {
        if (move_on(f) == 0) {
            return;
        }
    }
    fail_msg("the world did not settle in 200 steps");
}

static size_t find(const struct fixture *f, const char *id)
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

static const struct action *action_on(const struct fixture *f, enum action_kind kind,
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

static const struct hold *hold_on(const struct fixture *f, const char *id)
{
    for (size_t i = 0; i < f->decision.hold_count; i++) {
        const struct hold *h = &f->decision.holds[i];
        if (h->instance != WORLD_NONE && strcmp(f->instances[h->instance].id, id) == 0) {
            return h;
        }
    }
    return NULL;
}

static void from_nothing_to_served(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    assert_int_equal(f.world.instance_count, 5);
    assert_int_equal(world_serving_count(&f.spec, &f.world, WEB), 3);
    for (size_t i = 0; i < f.world.instance_count; i++) {
        assert_int_equal(f.instances[i].lifecycle, LIFECYCLE_IN_SERVICE);
    }
    assert_int_equal(f.decision.hold_count, 0);
    assert_true(f.decision.deadline_ms == INT64_MAX);
}

static void all_are_added_at_once_and_spread(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.world.slots = 0; /* Records need no worker. */
    step(&f);
    assert_int_equal(f.decision.action_count, 5);
    size_t in_zone[2] = {0};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(f.actions[i].kind, ACTION_ADD);
        if (f.actions[i].group == WEB) {
            in_zone[f.actions[i].zone]++;
        }
    }
    assert_int_equal(in_zone[0], 2);
    assert_int_equal(in_zone[1], 1);
}

static void a_full_zone_is_passed_over_and_no_room_is_said(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.room[WEB * 2 + 0] = 0;
    f.room[WEB * 2 + 1] = 2;
    step(&f);
    size_t added = 0;
    for (size_t i = 0; i < f.decision.action_count; i++) {
        if (f.actions[i].group == WEB) {
            assert_int_equal(f.actions[i].zone, 1);
            added++;
        }
    }
    assert_int_equal(added, 2);
    assert_int_equal(f.decision.hold_count, 1);
    assert_int_equal(f.holds[0].kind, HOLD_STUCK);
    assert_int_equal(f.holds[0].reason.code, REASON_NO_ROOM);
    assert_int_equal(f.holds[0].reason.a, 1);
}

static void web_waits_for_the_database(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    move_on(&f); /* add */
    move_on(&f); /* launch */
    move_on(&f); /* greet */
    step(&f);
    assert_non_null(action_on(&f, ACTION_CONFIGURE, "db-1"));
    assert_null(action_on(&f, ACTION_CONFIGURE, "web-1"));
    assert_int_equal(hold_on(&f, "web-1")->reason.code, REASON_WAITS_FOR_GROUP);
    assert_int_equal(hold_on(&f, "web-1")->kind, HOLD_WAIT);
}

static void slots_bound_what_is_begun(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.world.slots = 2;
    move_on(&f);
    step(&f);
    assert_int_equal(f.decision.action_count, 2);
}

static void nobody_is_admitted_before_its_first_passed_check(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    size_t web = find(&f, "web-1");
    f.instances[web].lifecycle = LIFECYCLE_PENDING;
    f.instances[web].health = WORLD_HEALTH_UNKNOWN;
    for (size_t t = 0; t < f.world.target_count; t++) {
        if (f.targets[t].member == web) {
            f.targets[t].state = WORLD_TARGET_ABSENT;
        }
    }
    step(&f);
    assert_null(action_on(&f, ACTION_ADMIT, "web-1"));
    assert_int_equal(hold_on(&f, "web-1")->reason.code, REASON_WAITS_FOR_HEALTH);
    assert_true(f.decision.deadline_ms == f.instances[web].ready_ms + 300000);
    f.instances[web].health = WORLD_HEALTHY;
    step(&f);
    assert_non_null(action_on(&f, ACTION_ADMIT, "web-1"));
    /* Past its grace it is for a human, not for another try. */
    f.instances[web].health = WORLD_UNHEALTHY;
    f.world.now_ms = f.instances[web].ready_ms + 300000;
    step(&f);
    assert_int_equal(hold_on(&f, "web-1")->kind, HOLD_STUCK);
}

static void make_drift(struct fixture *f, const char *id)
{
    size_t i = find(f, id);
    f->instances[i].drift = WORLD_DRIFT_PENDING;
    f->instances[i].drift_count = 1;
}

static void a_change_goes_one_by_one_and_keeps_the_minimum(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    make_drift(&f, "web-1");
    make_drift(&f, "web-2");
    make_drift(&f, "web-3");
    size_t configured = 0;
    for (int i = 0; i < 100; i++) {
        step(&f);
        if (f.decision.action_count == 0) {
            break;
        }
        size_t draining = 0;
        for (size_t a = 0; a < f.decision.action_count; a++) {
            if (f.actions[a].kind == ACTION_CONFIGURE) {
                configured++;
                size_t it = f.actions[a].instance;
                assert_int_equal(f.instances[it].lifecycle, LIFECYCLE_DRAINING);
                for (size_t t = 0; t < f.world.target_count; t++) {
                    if (f.targets[t].member == it) {
                        assert_int_equal(f.targets[t].state, WORLD_TARGET_ABSENT);
                    }
                }
            }
            expect(&f.spec, &f.world, &f.actions[a]);
        }
        for (size_t n = 0; n < f.world.instance_count; n++) {
            draining += f.instances[n].lifecycle == LIFECYCLE_DRAINING ? 1 : 0;
        }
        assert_in_range(draining, 0, 1);
        assert_in_range(world_serving_count(&f.spec, &f.world, WEB), 2, 3);
    }
    assert_int_equal(configured, 3);
    assert_int_equal(world_serving_count(&f.spec, &f.world, WEB), 3);
}

static void a_minimum_that_leaves_no_room_is_refused_by_name(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.groups[WEB].healthy_min_percent = 90; /* Of 3: rounded up to 3. */
    make_drift(&f, "web-2");
    step(&f);
    assert_int_equal(f.decision.action_count, 0);
    const struct hold *hold = hold_on(&f, "web-2");
    assert_int_equal(hold->kind, HOLD_REFUSED);
    assert_string_equal(reason_rule(hold->reason.code), "S1");
    char text[300];
    reason_to_string(&hold->reason, text, sizeof(text));
    assert_non_null(strstr(text, "[group web]"));
}

static void unknown_is_not_counted_and_not_given_up(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    make_drift(&f, "web-1");
    /* Nothing is known of any target: web-1 may be the one that serves. */
    for (size_t t = 0; t < f.world.target_count; t++) {
        f.targets[t].state = WORLD_TARGET_UNKNOWN;
    }
    step(&f);
    assert_null(action_on(&f, ACTION_MARK, "web-1"));
    assert_int_equal(hold_on(&f, "web-1")->kind, HOLD_WAIT);
}

static void one_that_serves_nobody_may_be_changed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.groups[WEB].healthy_min_percent = 100;
    make_drift(&f, "web-1");
    size_t web = find(&f, "web-1");
    for (size_t t = 0; t < f.world.target_count; t++) {
        if (f.targets[t].member == web) {
            f.targets[t].state = WORLD_TARGET_DOWN;
        }
    }
    step(&f);
    assert_non_null(action_on(&f, ACTION_MARK, "web-1"));
}

static void the_next_waits_for_a_failed_one(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    make_drift(&f, "web-2");
    size_t web = find(&f, "web-1");
    f.instances[web].failure = WORLD_FAILURE_PERMANENT;
    f.instances[web].failures = 1;
    step(&f);
    assert_int_equal(f.decision.action_count, 0);
    assert_int_equal(hold_on(&f, "web-1")->kind, HOLD_STUCK);
    assert_int_equal(hold_on(&f, "web-2")->reason.code, REASON_WAITS_FOR_OTHER);
}

static void a_passing_failure_is_tried_again_three_times(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    size_t db = find(&f, "db-1");
    f.instances[db].drift = WORLD_DRIFT_UNKNOWN;
    f.instances[db].failure = WORLD_FAILURE_TRANSIENT;
    f.instances[db].failures = 1;
    f.instances[db].failed_ms = f.world.now_ms;
    step(&f);
    assert_null(action_on(&f, ACTION_INSPECT, "db-1"));
    assert_true(f.decision.deadline_ms > f.world.now_ms && f.decision.deadline_ms != INT64_MAX);
    f.world.now_ms = f.decision.deadline_ms;
    step(&f);
    assert_non_null(action_on(&f, ACTION_INSPECT, "db-1"));
    f.instances[db].failures = 3;
    f.world.now_ms += 1000000;
    step(&f);
    assert_int_equal(hold_on(&f, "db-1")->kind, HOLD_STUCK);
}

static void a_dead_host_is_started_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.instances[find(&f, "web-3")].power = WORLD_POWER_OFF;
    step(&f);
    const struct action *launch = action_on(&f, ACTION_LAUNCH, "web-3");
    assert_non_null(launch);
    assert_int_equal(launch->reason.code, REASON_NOT_RUNNING);
    f.instances[find(&f, "web-3")].power = WORLD_POWER_UNKNOWN;
    step(&f);
    assert_null(action_on(&f, ACTION_LAUNCH, "web-3")); /* S10: unknown is not failed. */
}

static void scale_in_drains_first_and_takes_from_the_fuller_zone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.groups[WEB].desired = 2;
    step(&f);
    const struct action *mark = action_on(&f, ACTION_MARK, NULL);
    assert_non_null(mark);
    assert_int_equal(mark->lifecycle, LIFECYCLE_TERMINATING);
    assert_int_equal(mark->zone, 0);
    char leaver[WORLD_ID_SIZE];
    memcpy(leaver, f.instances[mark->instance].id, sizeof(leaver));
    move_on(&f);
    step(&f);
    assert_non_null(action_on(&f, ACTION_REMOVE, leaver));
    assert_null(action_on(&f, ACTION_TERMINATE, leaver));
    move_on(&f);
    step(&f);
    assert_non_null(action_on(&f, ACTION_TERMINATE, leaver));
    settle(&f);
    assert_int_equal(world_member_count(&f.spec, &f.world, WEB), 2);
    assert_int_equal(world_serving_count(&f.spec, &f.world, WEB), 2);
}

static void an_orphan_is_left_alone_and_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.instances[find(&f, "db-1")].group = WORLD_NONE;
    step(&f);
    assert_int_equal(hold_on(&f, "db-1")->reason.code, REASON_ORPHAN);
    assert_null(action_on(&f, ACTION_TERMINATE, "db-1"));
}

static void busy_hosts_and_balancers_are_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    for (size_t t = 0; t < f.world.target_count; t++) {
        f.targets[t].state = WORLD_TARGET_ABSENT;
    }
    step(&f);
    size_t admits = 0;
    for (size_t i = 0; i < f.decision.action_count; i++) {
        admits += f.actions[i].kind == ACTION_ADMIT ? 1 : 0;
    }
    assert_int_equal(admits, 1); /* One thing at a time on a balancer. */
    f.balancers[0].busy = true;
    step(&f);
    assert_null(action_on(&f, ACTION_ADMIT, NULL));
    f.instances[find(&f, "db-1")].busy = true;
    f.instances[find(&f, "db-1")].drift = WORLD_DRIFT_UNKNOWN;
    step(&f);
    assert_null(action_on(&f, ACTION_INSPECT, "db-1"));
}

/* Every reason has words of its own: nothing is ever explained as "unknown". */
static void every_reason_reads(void **state)
{
    (void)state;
    for (int code = REASON_NONE; code <= REASON_ORPHAN; code++) {
        struct reason reason = {
            .code = (enum reason_code)code, .name = "x", .a = 1, .b = 2, .c = 3};
        char text[300] = "";
        reason_to_string(&reason, text, sizeof(text));
        assert_true(strlen(text) > 3);
        assert_null(strstr(text, "unknown"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_nothing_to_served),
        cmocka_unit_test(all_are_added_at_once_and_spread),
        cmocka_unit_test(a_full_zone_is_passed_over_and_no_room_is_said),
        cmocka_unit_test(web_waits_for_the_database),
        cmocka_unit_test(slots_bound_what_is_begun),
        cmocka_unit_test(nobody_is_admitted_before_its_first_passed_check),
        cmocka_unit_test(a_change_goes_one_by_one_and_keeps_the_minimum),
        cmocka_unit_test(a_minimum_that_leaves_no_room_is_refused_by_name),
        cmocka_unit_test(unknown_is_not_counted_and_not_given_up),
        cmocka_unit_test(one_that_serves_nobody_may_be_changed),
        cmocka_unit_test(the_next_waits_for_a_failed_one),
        cmocka_unit_test(a_passing_failure_is_tried_again_three_times),
        cmocka_unit_test(a_dead_host_is_started_again),
        cmocka_unit_test(scale_in_drains_first_and_takes_from_the_fuller_zone),
        cmocka_unit_test(an_orphan_is_left_alone_and_named),
        cmocka_unit_test(busy_hosts_and_balancers_are_left_alone),
        cmocka_unit_test(every_reason_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
