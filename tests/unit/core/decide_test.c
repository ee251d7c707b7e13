/*
 * decide() over small worlds: what is done first, what waits for what, and what is refused. The
 * worlds are moved on with world_expect(), so each test reads like the transcript of a run.
 */
#include "fixture.h"

static void from_nothing_to_served(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    assert_int_equal(f.world.instance_count, 5);
    assert_int_equal(serving(&f, WEB), 3);
    for (size_t i = 0; i < f.world.instance_count; i++) {
        assert_int_equal(f.instances[i].lifecycle, LIFECYCLE_IN_SERVICE);
        assert_int_equal(f.instances[i].verdict, WORLD_VERDICT_OK);
    }
    step(&f);
    assert_int_equal(f.decision.hold_count, 0);
    assert_true(f.decision.deadline_ms == INT64_MAX);
    assert_true(f.judge_again_ms == INT64_MAX);
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
    group_should_stick(&f, WEB, REASON_NO_ROOM);
    assert_int_equal(f.holds[0].reason.a, 1);
}

/* They were once: a number is never used twice now, so that no name ever means two hosts. */
static void a_number_is_not_used_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    the(&f, "web-3")->lifecycle = LIFECYCLE_TERMINATED;
    step(&f);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
    assert_int_equal(f.actions[0].number, 4);
    move_on(&f);
    assert_string_equal(f.instances[f.world.instance_count - 1].id, "web-4");
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
    should(&f, ACTION_CONFIGURE, "db-1", REASON_NEVER_CONFIGURED);
    should_not(&f, ACTION_CONFIGURE, "web-1");
    should_wait(&f, "web-1", REASON_WAITS_FOR_GROUP);
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

static void a_full_array_of_actions_goes_on_with_the_next_step(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.decision.action_capacity = 1;
    settle(&f);
    assert_int_equal(serving(&f, WEB), 3);
}

static void nobody_is_admitted_before_its_first_passed_check(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    struct world_instance *web = the(&f, "web-1");
    web->lifecycle = LIFECYCLE_PENDING;
    web->ready_ms = f.world.now_ms;
    set_health(&f, "web-1", WORLD_HEALTH_UNKNOWN);
    set_targets(&f, "web-1", WORLD_TARGET_ABSENT);
    step(&f);
    should_not(&f, ACTION_ADMIT, "web-1");
    should_wait(&f, "web-1", REASON_WAITS_FOR_HEALTH);
    assert_true(f.decision.deadline_ms == web->ready_ms + FIXTURE_GRACE_MS);
    set_health(&f, "web-1", WORLD_HEALTHY);
    step(&f);
    should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
    /* A balancer's check that fails keeps it out as well. */
    set_targets(&f, "web-1", WORLD_TARGET_DOWN);
    step(&f);
    should_not(&f, ACTION_ADMIT, "web-1");
    /* Past its grace it was for a human before; now it is judged, and the ladder mends it. */
    service_fails(&f, "web-1");
    advance(&f, FIXTURE_GRACE_MS);
    should_wait(&f, "web-1", REASON_WAITS_TO_CONFIRM);
    /* Unless its group has nothing done about it. */
    f.groups[WEB].repair = SPEC_REPAIR_NONE;
    advance(&f, LADDER_CONFIRM_MS);
    should_stick(&f, "web-1", REASON_UNHEALTHY);
}

/* As before, and the next one waits for the bake time of the last one too. */
static void a_change_goes_one_by_one_and_keeps_the_minimum(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    roles_differ(&f, "web-1");
    roles_differ(&f, "web-2");
    roles_differ(&f, "web-3");
    size_t configured = 0;
    int64_t back_ms = 0;
    for (int i = 0; i < 200 && configured + serving(&f, WEB) < 6; i++) {
        advance(&f, SECOND);
        size_t draining = 0;
        for (size_t a = 0; a < f.decision.action_count; a++) {
            size_t it = f.actions[a].instance;
            if (f.actions[a].kind == ACTION_CONFIGURE) {
                configured++;
                assert_int_equal(f.instances[it].lifecycle, LIFECYCLE_DRAINING);
                for (size_t t = 0; t < f.world.target_count; t++) {
                    if (f.targets[t].member == it) {
                        assert_int_equal(f.targets[t].state, WORLD_TARGET_ABSENT);
                    }
                }
            } else if (f.actions[a].kind == ACTION_MARK &&
                       f.actions[a].lifecycle == LIFECYCLE_IN_SERVICE) {
                back_ms = f.world.now_ms;
            } else if (f.actions[a].kind == ACTION_MARK && back_ms != 0) {
                assert_true(f.world.now_ms - back_ms >= FIXTURE_BAKE_MS);
            }
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
        for (size_t n = 0; n < f.world.instance_count; n++) {
            draining += f.instances[n].lifecycle == LIFECYCLE_DRAINING ? 1 : 0;
        }
        assert_in_range(draining, 0, 1);
        assert_in_range(serving(&f, WEB), 2, 3);
    }
    assert_int_equal(configured, 3);
    assert_int_equal(serving(&f, WEB), 3);
}

static void a_minimum_that_leaves_no_room_is_refused_by_name(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.groups[WEB].healthy_min_percent = 90; /* Of 3: rounded up to 3. */
    roles_differ(&f, "web-2");
    advance(&f, 0);
    should_rest(&f);
    should_refuse(&f, "web-2", REASON_BELOW_MINIMUM);
    const struct hold *hold = hold_on(&f, "web-2");
    assert_string_equal(reason_rule(hold->reason.code), "S1");
    assert_non_null(strstr(said(&hold->reason), "[group web]"));
}

static void unknown_is_not_counted_and_not_given_up(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    roles_differ(&f, "web-1");
    /* Nothing is known of any target: web-1 may be the one that serves. */
    set_targets(&f, "web-1", WORLD_TARGET_UNKNOWN);
    set_targets(&f, "web-2", WORLD_TARGET_UNKNOWN);
    set_targets(&f, "web-3", WORLD_TARGET_UNKNOWN);
    step(&f);
    should_not(&f, ACTION_MARK, "web-1");
    should_wait(&f, "web-1", REASON_BELOW_MINIMUM);
}

/* A balancer alone that says down is a dispute, and only that: the host is neither mended nor
   counted, and so it may be changed. */
static void one_that_serves_nobody_may_be_changed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.groups[WEB].healthy_min_percent = 100;
    roles_differ(&f, "web-1");
    set_targets(&f, "web-1", WORLD_TARGET_DOWN);
    step(&f);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

/* Once any failed member stopped the others. Now one does that failed in the middle of its change;
   one that failed at a look still serves, and is in nobody's way. */
static void the_next_waits_for_one_that_failed_in_its_change(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    roles_differ(&f, "web-1");
    roles_differ(&f, "web-2");
    advance(&f, 0);
    move_on(&f);
    advance(&f, 0);
    ends(&f, ACTION_REMOVE, "web-1", OUTCOME_DONE);
    advance(&f, 0);
    ends(&f, ACTION_CONFIGURE, "web-1", OUTCOME_PERMANENT);
    advance(&f, 10 * MINUTE);
    should_rest(&f);
    should_stick(&f, "web-1", REASON_FAILED);
    should_wait(&f, "web-2", REASON_WAITS_FOR_OTHER);
    assert_string_equal(hold_on(&f, "web-2")->reason.name, "web-1");

    fixture_init(&f);
    settle(&f);
    the(&f, "web-1")->drift = WORLD_DRIFT_UNKNOWN;
    roles_differ(&f, "web-2");
    f.world.slots = 1;
    advance(&f, 0);
    ends(&f, ACTION_INSPECT, "web-1", OUTCOME_PERMANENT);
    advance(&f, SECOND);
    should_stick(&f, "web-1", REASON_FAILED);
    should_mark(&f, "web-2", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

static void a_passing_failure_is_tried_again_three_times(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.world.tireless = false;
    settle(&f);
    struct world_instance *db = the(&f, "db-1");
    db->drift = WORLD_DRIFT_UNKNOWN;
    db->failure = WORLD_FAILURE_TRANSIENT;
    db->failures = 1;
    db->failed_ms = f.world.now_ms;
    step(&f);
    should_not(&f, ACTION_INSPECT, "db-1");
    assert_true(f.decision.deadline_ms > f.world.now_ms && f.decision.deadline_ms != INT64_MAX);
    f.world.now_ms = f.decision.deadline_ms;
    step(&f);
    should(&f, ACTION_INSPECT, "db-1", REASON_NOT_INSPECTED);
    db->failures = 3;
    advance(&f, HOUR);
    should_stick(&f, "db-1", REASON_FAILED);
}

/* Else an apply would never end where there is a check-command, or an age. */
static void what_comes_due_for_ever_is_not_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.world.tireless = false;
    settle(&f);
    f.groups[WEB].check_command = (char *)"true";
    f.groups[WEB].check_every_ms = 30 * SECOND;
    f.groups[WEB].max_lifetime_ms = 24 * HOUR;
    move_on(&f);
    advance(&f, SECOND);
    assert_int_equal(f.decision.deadline_ms, f.world.now_ms + 29 * SECOND);
    assert_int_equal(f.decision.hold_count, 0);
    assert_false(decision_waits(&f.decision, f.world.now_ms));
    /* With somebody who is held until a time there is something to wait for. */
    struct world_instance *db = the(&f, "db-1");
    db->drift = WORLD_DRIFT_UNKNOWN;
    db->failure = WORLD_FAILURE_TRANSIENT;
    db->failures = 1;
    db->failed_ms = f.world.now_ms;
    step(&f);
    should_wait(&f, "db-1", REASON_WAITS_TO_RETRY);
    assert_true(decision_waits(&f.decision, f.world.now_ms));
    /* But not with one whom only an operator sets free, */
    db->failure = WORLD_FAILURE_NONE;
    f.world_groups[DB].paused = true;
    step(&f);
    should_wait(&f, "db-1", REASON_PAUSED);
    assert_true(f.decision.deadline_ms != INT64_MAX);
    assert_false(decision_waits(&f.decision, f.world.now_ms));
    /* nor for what is given up, */
    f.world_groups[DB].paused = false;
    db->failure = WORLD_FAILURE_PERMANENT;
    step(&f);
    should_stick(&f, "db-1", REASON_FAILED);
    assert_false(decision_waits(&f.decision, f.world.now_ms));
    /* nor for more than an hour. */
    db->failure = WORLD_FAILURE_TRANSIENT;
    f.groups[WEB].check_command = NULL;
    step(&f);
    assert_true(decision_waits(&f.decision, f.world.now_ms));
    assert_false(decision_waits(&f.decision, f.decision.deadline_ms - 2 * HOUR));
}

/* Nor for quiet, or for witnesses to agree, whether there is a check-command or not. */
static void what_is_not_believed_is_not_waited_for(void **state)
{
    (void)state;
    for (int check = 0; check <= 1; check++) {
        struct fixture f;
        fixture_init(&f);
        f.world.tireless = false;
        settle(&f);
        f.groups[WEB].check_command = check == 1 ? (char *)"true" : NULL;
        f.groups[WEB].check_every_ms = 30 * SECOND;
        move_on(&f);
        advance(&f, SECOND);
        set_health(&f, "web-1", WORLD_UNHEALTHY); /* Its balancer says up. */
        advance(&f, 0);
        should_wait(&f, "web-1", REASON_DISPUTED);
        assert_true(decision_waits(&f.decision, f.world.now_ms)); /* They may yet agree. */
        advance(&f, SURVEY_SECOND_WITNESS_MS);
        should_wait(&f, "web-1", REASON_DISPUTED);
        assert_false(decision_waits(&f.decision, f.world.now_ms));
        the(&f, "web-1")->damping.until_ms = f.world.now_ms + MINUTE;
        advance(&f, 0);
        should_wait(&f, "web-1", REASON_FLAPPING);
        assert_false(decision_waits(&f.decision, f.world.now_ms));
    }
}

/* It was always started again before. Now its group says: replaced when it is dead alone, as its
   disk is not to be trusted; mend_test.c has the rest. */
static void a_dead_host_is_started_again_or_replaced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    host_dies(&f, "db-1");
    step(&f);
    should(&f, ACTION_LAUNCH, "db-1", REASON_DEAD);
    host_is_well(&f, "db-1");
    host_dies(&f, "web-3");
    step(&f);
    should_mark(&f, "web-3", LIFECYCLE_TERMINATING, REASON_DEAD);
    set_power(&f, "web-3", WORLD_POWER_UNKNOWN);
    step(&f);
    should_not(&f, ACTION_MARK, "web-3"); /* S10: unknown is not failed. */
    should_not(&f, ACTION_LAUNCH, "web-3");
}

static void scale_in_drains_first_and_takes_from_the_fuller_zone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.world_groups[WEB].desired = 2; /* The file's is only where it begins. */
    advance(&f, 0);
    const struct action *mark = action_on(&f, ACTION_MARK, NULL);
    assert_non_null(mark);
    assert_int_equal(mark->lifecycle, LIFECYCLE_TERMINATING);
    assert_int_equal(mark->zone, 0);
    char leaver[WORLD_ID_SIZE];
    memcpy(leaver, f.instances[mark->instance].id, sizeof(leaver));
    move_on(&f);
    advance(&f, 0);
    should(&f, ACTION_REMOVE, leaver, REASON_LEAVES_FOR_GOOD);
    should_not(&f, ACTION_TERMINATE, leaver);
    move_on(&f);
    advance(&f, 0);
    should(&f, ACTION_TERMINATE, leaver, REASON_LEAVES_FOR_GOOD);
    settle(&f);
    assert_int_equal(members(&f, WEB), 2);
    assert_int_equal(serving(&f, WEB), 2);
}

static void an_orphan_is_left_alone_and_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    the(&f, "db-1")->group = WORLD_NONE;
    step(&f);
    should_stick(&f, "db-1", REASON_ORPHAN);
    should_not(&f, ACTION_TERMINATE, "db-1");
}

static void what_was_detached_is_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    the(&f, "db-1")->lifecycle = LIFECYCLE_DETACHED;
    the(&f, "db-1")->drift = WORLD_DRIFT_PENDING;
    the(&f, "db-1")->power = WORLD_POWER_OFF;
    step(&f);
    assert_null(hold_on(&f, "db-1"));
    for (size_t i = 0; i < f.decision.action_count; i++) {
        assert_int_equal(f.actions[i].kind, ACTION_ADD); /* Another in its place. */
    }
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
    assert_int_equal(count_actions(&f, ACTION_ADMIT, WEB), 1); /* One thing at a time on each. */
    f.balancers[0].busy = true;
    step(&f);
    should_not(&f, ACTION_ADMIT, NULL);
    the(&f, "db-1")->busy = true;
    the(&f, "db-1")->drift = WORLD_DRIFT_UNKNOWN;
    step(&f);
    should_not(&f, ACTION_INSPECT, "db-1");
}

/* The same inputs, the same decision, and the world as it was. */
static void it_is_a_function(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    roles_differ(&f, "web-1");
    host_dies(&f, "web-3");
    step(&f);
    struct world_instance before[5];
    memcpy(before, f.instances, sizeof(before));
    struct action actions[FIXTURE_ACTIONS];
    memcpy(actions, f.actions, sizeof(actions));
    size_t count_before = f.decision.action_count;
    decide(&f.spec, &f.world, &f.decision);
    assert_int_equal(f.decision.action_count, count_before);
    assert_memory_equal(actions, f.actions, count_before * sizeof(*actions));
    assert_memory_equal(before, f.instances, sizeof(before));
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    for (int kind = ACTION_ADD; kind <= ACTION_HOOK; kind++) {
        assert_string_not_equal(action_kind_to_string((enum action_kind)kind), "unknown");
        /* What needs no worker touches nothing outside. */
        assert_false(action_kind_is_record((enum action_kind)kind) &&
                     action_kind_has_effect((enum action_kind)kind));
    }
}

/* Off, says its provider alone: the prober is waited for, and it is started again. */
static void what_is_off_is_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.world.tireless = false;
    settle(&f);
    set_power(&f, "web-2", WORLD_POWER_OFF);
    set_alive(&f, "web-2", WORLD_HEALTH_UNKNOWN);
    step(&f);
    should_wait(&f, "web-2", REASON_DISPUTED); /* Its balancer has not noticed. */
    assert_true(decision_waits(&f.decision, f.world.now_ms));
    for (size_t t = 0; t < f.world.target_count; t++) {
        bool its = f.targets[t].member == find(&f, "web-2");
        f.targets[t].state = its ? WORLD_TARGET_DOWN : f.targets[t].state;
    }
    step(&f);
    should_wait(&f, "web-2", REASON_UNKNOWN);
    assert_true(decision_waits(&f.decision, f.world.now_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_nothing_to_served),
        cmocka_unit_test(all_are_added_at_once_and_spread),
        cmocka_unit_test(a_full_zone_is_passed_over_and_no_room_is_said),
        cmocka_unit_test(a_number_is_not_used_again),
        cmocka_unit_test(web_waits_for_the_database),
        cmocka_unit_test(slots_bound_what_is_begun),
        cmocka_unit_test(a_full_array_of_actions_goes_on_with_the_next_step),
        cmocka_unit_test(nobody_is_admitted_before_its_first_passed_check),
        cmocka_unit_test(a_change_goes_one_by_one_and_keeps_the_minimum),
        cmocka_unit_test(a_minimum_that_leaves_no_room_is_refused_by_name),
        cmocka_unit_test(unknown_is_not_counted_and_not_given_up),
        cmocka_unit_test(one_that_serves_nobody_may_be_changed),
        cmocka_unit_test(the_next_waits_for_one_that_failed_in_its_change),
        cmocka_unit_test(a_passing_failure_is_tried_again_three_times),
        cmocka_unit_test(what_comes_due_for_ever_is_not_waited_for),
        cmocka_unit_test(what_is_not_believed_is_not_waited_for),
        cmocka_unit_test(what_is_off_is_waited_for),
        cmocka_unit_test(a_dead_host_is_started_again_or_replaced),
        cmocka_unit_test(scale_in_drains_first_and_takes_from_the_fuller_zone),
        cmocka_unit_test(an_orphan_is_left_alone_and_named),
        cmocka_unit_test(what_was_detached_is_left_alone),
        cmocka_unit_test(busy_hosts_and_balancers_are_left_alone),
        cmocka_unit_test(it_is_a_function),
        cmocka_unit_test(every_kind_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
