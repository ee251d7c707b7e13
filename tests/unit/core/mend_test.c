/*
 * What is bad, and what forbids to mend it: retries, hosts that are off, shared dependencies,
 * launches that fail.
 */
#include "fixture.h"

static void begin(struct fixture *f)
{
    fixture_init(f);
    settle(f);
}

/* Retries. */

/* The wait after the NTHs failure in a row. */
static int64_t wait_ms(struct fixture *f, const char *id, int64_t failures)
{
    struct world_instance *it = the(f, id);
    it->drift = WORLD_DRIFT_UNKNOWN;
    it->failure = WORLD_FAILURE_TRANSIENT;
    it->failures = failures;
    it->failed_ms = f->world.now_ms;
    step(f);
    should_wait(f, id, REASON_WAITS_TO_RETRY);
    assert_int_equal(hold_on(f, id)->reason.a, failures);
    int64_t wait = hold_on(f, id)->reason.b;
    assert_true(f->decision.deadline_ms <= f->world.now_ms + wait);
    it->failed_ms = f->world.now_ms - wait + 1;
    step(f);
    should_wait(f, id, REASON_WAITS_TO_RETRY);
    it->failed_ms = f->world.now_ms - wait;
    step(f);
    should(f, ACTION_INSPECT, id, REASON_NOT_INSPECTED);
    it->drift = WORLD_DRIFT_NONE;
    it->failure = WORLD_FAILURE_NONE;
    it->failures = 0;
    return wait;
}

static void waits_double_up_to_five_minutes(void **state)
{
    (void)state;
    static const struct {
        int64_t failures, base_ms;
    } cases[] = {
        {1, 2000},   {2, 4000},   {3, 8000},   {4, 16000},   {5, 32000},   {6, 64000},
        {7, 128000}, {8, 256000}, {9, 300000}, {10, 300000}, {50, 300000}, {1000000, 300000},
    };
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t wait = wait_ms(&f, "db-1", cases[i].failures);
        assert_in_range(wait, cases[i].base_ms, cases[i].base_ms + cases[i].base_ms / 4);
    }
}

/* S23: what failed together is not tried together. */
static void waits_are_spread(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.groups[WEB].max = 20;
    f.world_groups[WEB].desired = 20;
    settle(&f);
    int64_t least = INT64_MAX;
    int64_t most = 0;
    for (unsigned i = 1; i <= 20; i++) {
        char id[WORLD_ID_SIZE];
        instance_id(id, "web", i);
        int64_t wait = wait_ms(&f, id, 6);
        assert_int_equal(wait, wait_ms(&f, id, 6)); /* No chance in it. */
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_true(most - least > 64000 / 8); /* Over more than half of the quarter. */
}

static void who_gives_up(void **state)
{
    (void)state;
    static const struct {
        enum world_failure failure;
        int64_t failures;
        bool tireless;
        bool stuck; /* After an hour. */
    } cases[] = {
        {WORLD_FAILURE_TRANSIENT, 2, false, false}, {WORLD_FAILURE_TRANSIENT, 3, false, true},
        {WORLD_FAILURE_TRANSIENT, 3, true, false},  {WORLD_FAILURE_TRANSIENT, 100, true, false},
        {WORLD_FAILURE_PERMANENT, 1, false, true},  {WORLD_FAILURE_PERMANENT, 1, true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        struct world_instance *db = the(&f, "db-1");
        db->drift = WORLD_DRIFT_UNKNOWN;
        db->failure = cases[i].failure;
        db->failures = cases[i].failures;
        db->failed_ms = f.world.now_ms;
        f.world.tireless = cases[i].tireless;
        advance(&f, HOUR);
        if (cases[i].stuck) {
            should_rest(&f);
            should_stick(&f, "db-1", REASON_FAILED);
        } else {
            should(&f, ACTION_INSPECT, "db-1", REASON_NOT_INSPECTED);
        }
    }
}

static void success_forgets_failures(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "db-1")->drift = WORLD_DRIFT_UNKNOWN;
    step(&f);
    ends(&f, ACTION_INSPECT, "db-1", OUTCOME_TRANSIENT);
    ends(&f, ACTION_INSPECT, "db-1", OUTCOME_TRANSIENT);
    assert_int_equal(the(&f, "db-1")->failures, 2);
    ends(&f, ACTION_INSPECT, "db-1", OUTCOME_DONE);
    assert_int_equal(the(&f, "db-1")->failures, 0);
    assert_int_equal(the(&f, "db-1")->failure, WORLD_FAILURE_NONE);
}

/* Hosts that are off. */

static void one_dead_alone_is_replaced(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    host_dies(&f, "web-2");
    advance(&f, 0);
    should_mark(&f, "web-2", LIFECYCLE_TERMINATING, REASON_DEAD);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1); /* At once: it gives nothing. */
    settle(&f);
    assert_int_equal(serving(&f, WEB), 3);
    assert_int_equal(members(&f, WEB), 3);
}

static void begin_two_dead(struct fixture *f)
{
    begin(f);
    host_dies(f, "web-1");
    host_dies(f, "web-3");
    advance(f, 0);
}

/* S4: it was the power, and what is on their disks is good. */
static void many_dead_at_once_are_started_again(void **state)
{
    (void)state;
    struct fixture f;
    begin_two_dead(&f);
    assert_true(f.world_groups[WEB].breaker.open.on);
    should(&f, ACTION_LAUNCH, "web-1", REASON_DEAD);
    should(&f, ACTION_LAUNCH, "web-3", REASON_DEAD);
    should_not(&f, ACTION_MARK, NULL);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 0);
}

static void a_dead_zone_is_started_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.world_zones[RACK_B].breaker.open =
        (struct world_latch){.on = true, .since_ms = f.world.now_ms, .seen_ms = f.world.now_ms};
    host_dies(&f, "web-2");
    advance(&f, 0);
    should(&f, ACTION_LAUNCH, "web-2", REASON_DEAD);
    should_not(&f, ACTION_MARK, NULL);
}

/* Killed between off and on, we find it off: it was us, for as long as a start takes. */
static void one_that_we_switched_off_is_started_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-2")->rung = WORLD_RUNG_CYCLE;
    the(&f, "web-2")->rung_ms = f.world.now_ms;
    host_dies(&f, "web-2");
    advance(&f, 5 * MINUTE);
    should(&f, ACTION_LAUNCH, "web-2", REASON_DEAD);
    should_not(&f, ACTION_MARK, NULL);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 0);
    advance(&f, 1);
    should_mark(&f, "web-2", LIFECYCLE_TERMINATING, REASON_DEAD);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
}

/* Its provider is asked again, and says that it did not come about. */
static void launch_fails(struct fixture *f, const char *id)
{
    ends(f, ACTION_LAUNCH, id, OUTCOME_TRANSIENT);
    world_set_power(&f->world, find(f, id), WORLD_POWER_OFF);
}

/* Those that cannot be started are given up after all. */
static void what_does_not_start_is_made_up_for(void **state)
{
    (void)state;
    struct fixture f;
    begin_two_dead(&f);
    for (int i = 0; i < SURVEY_RESTARTS_MAX; i++) {
        assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 0);
        should(&f, ACTION_LAUNCH, "web-1", REASON_DEAD);
        launch_fails(&f, "web-1");
        advance(&f, MINUTE);
    }
    should_not(&f, ACTION_LAUNCH, "web-1");
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
    should_not(&f, ACTION_MARK, "web-1"); /* The breaker is open: not destroyed yet. */
    should_wait(&f, "web-1", REASON_BREAKER);
}

/* It may run: it is not replaced, but started again, which changes nothing when it does. */
static void a_launch_whose_end_nobody_saw_is_tried_again(void **state)
{
    (void)state;
    struct fixture f;
    begin_two_dead(&f);
    should(&f, ACTION_LAUNCH, "web-1", REASON_DEAD);
    for (int i = 0; i < SURVEY_RESTARTS_MAX; i++) {
        ends(&f, ACTION_LAUNCH, "web-1", OUTCOME_TRANSIENT);
        advance(&f, MINUTE);
        should(&f, ACTION_LAUNCH, "web-1", REASON_NOT_RUNNING);
        should_not(&f, ACTION_MARK, "web-1");
    }
}

static void a_group_that_restarts_starts_it_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    host_dies(&f, "db-1");
    advance(&f, 0);
    should(&f, ACTION_LAUNCH, "db-1", REASON_DEAD);
    launch_fails(&f, "db-1");
    advance(&f, SECOND);
    should_wait(&f, "db-1", REASON_WAITS_TO_RETRY);
    for (int i = 0; i < 5; i++) { /* However often: there is nothing else to be done. */
        advance(&f, 10 * MINUTE);
        should(&f, ACTION_LAUNCH, "db-1", REASON_DEAD);
        launch_fails(&f, "db-1");
    }
}

static void what_forbids_to_mend(void **state)
{
    (void)state;
    static const struct {
        enum spec_repair repair;
        unsigned suspended;
        enum hold_kind kind;
        enum reason_code dead, unready;
    } cases[] = {
        {SPEC_REPAIR_NONE, 0, HOLD_STUCK, REASON_UNHEALTHY, REASON_UNHEALTHY},
        {SPEC_REPAIR_REPLACE, WORLD_PROCESS_REPLACE, HOLD_WAIT, REASON_SUSPENDED, REASON_SUSPENDED},
        {SPEC_REPAIR_REPLACE, WORLD_PROCESS_TERMINATE, HOLD_WAIT, REASON_SUSPENDED, REASON_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        f.groups[WEB].repair = cases[i].repair;
        f.world_groups[WEB].suspended = cases[i].suspended;
        host_dies(&f, "web-2");
        advance(&f, 0);
        should_not(&f, ACTION_MARK, NULL);
        should_not(&f, ACTION_LAUNCH, NULL);
        const struct hold *hold = hold_on(&f, "web-2");
        assert_non_null(hold);
        assert_int_equal(hold->kind, cases[i].kind);
        assert_int_equal(hold->reason.code, cases[i].dead);
        host_is_well(&f, "web-2");
        service_fails(&f, "web-2");
        advance(&f, 0);
        advance(&f, LADDER_CONFIRM_MS);
        if (cases[i].unready == REASON_NONE) {
            should(&f, ACTION_RESTART, "web-2", REASON_MEND); /* Destroys nothing. */
        } else {
            should_not(&f, ACTION_RESTART, NULL);
            assert_int_equal(hold_on(&f, "web-2")->reason.code, cases[i].unready);
        }
    }
}

/* One who disagrees is waited for. */
static void disputed_and_flapping_are_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    set_health(&f, "web-1", WORLD_UNHEALTHY);
    the(&f, "web-2")->damping.until_ms = f.world.now_ms + HOUR;
    advance(&f, 0);
    advance(&f, 20 * MINUTE);
    should_rest(&f);
    should_wait(&f, "web-1", REASON_DISPUTED);
    should_wait(&f, "web-2", REASON_FLAPPING);
}

/* Only a balancer differs: it is let in again there, as any healthy one. */
static void a_balancer_that_lost_one_gets_it_back(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    set_targets(&f, "web-1", WORLD_TARGET_ABSENT);
    advance(&f, 0);
    should_be_judged(&f, "web-1", WORLD_VERDICT_DISPUTED);
    should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
}

/* Shared dependencies (S12). */

static void unready_at_once_is_not_the_hosts_fault(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].breaker_percent = f.groups[DB].breaker_percent = 100; /* Not by the breaker. */
    f.groups[LB].breaker_percent = 100;
    service_fails(&f, "web-1");
    service_fails(&f, "web-2");
    service_fails(&f, "web-3");
    advance(&f, 0);
    advance(&f, HOUR);
    should_rest(&f);
    should_wait(&f, "web-1", REASON_SHARED);
    host_is_well(&f, "web-3"); /* What it needed is back: the others will see that, too. */
    advance(&f, 0);
    should_wait(&f, "web-1", REASON_SHARED);
    advance(&f, 29 * SECOND);
    should_rest(&f);
    advance(&f, SECOND); /* Two of three: it can be them. */
    should(&f, ACTION_RESTART, "web-1", REASON_MEND);
    assert_int_equal(count_actions(&f, ACTION_RESTART, WEB), 1);
}

static void what_it_needs_is_mended_first(void **state)
{
    (void)state;
    static void (*const losses[])(struct fixture *, const char *) = {host_is_lost, host_dies};
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        struct fixture f;
        begin(&f);
        losses[i](&f, "db-1");
        service_fails(&f, "web-1");
        advance(&f, 0);
        advance(&f, LADDER_CONFIRM_MS);
        should_not(&f, ACTION_RESTART, NULL);
        should_wait(&f, "web-1", REASON_SHARED);
        assert_string_equal(hold_on(&f, "web-1")->reason.name, "db");
    }
}

/* A host that is gone is not brought back by a database. */
static void a_lost_host_is_mended_whatever_it_needs(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].breaker_percent = f.groups[DB].breaker_percent = 100;
    f.groups[LB].breaker_percent = 100;
    the(&f, "db-1")->custom.health = WORLD_UNHEALTHY; /* Unready. */
    host_is_lost(&f, "web-1");
    advance(&f, 0);
    advance(&f, LADDER_CONFIRM_MS);
    should(&f, ACTION_CYCLE, "web-1", REASON_MEND);
}

/* New ones that never come into service (S9). */

static void begin_new(struct fixture *f)
{
    fixture_init(f);
    settle(f);
    f->world_groups[WEB].desired = 4;
    advance(f, 0);
    move_on(f); /* add */
    move_on(f); /* launch */
    move_on(f); /* greet */
    move_on(f); /* configure */
    service_fails(f, "web-4");
    set_alive(f, "web-4", WORLD_HEALTHY);
    set_targets(f, "web-4", WORLD_TARGET_ABSENT);
}

static void a_new_one_that_never_serves_is_replaced_not_mended(void **state)
{
    (void)state;
    struct fixture f;
    begin_new(&f);
    advance(&f, FIXTURE_GRACE_MS - 1);
    should_rest(&f);
    should_wait(&f, "web-4", REASON_WAITS_FOR_HEALTH);
    advance(&f, 1);
    should_rest(&f); /* It may be the first of many. */
    should_wait(&f, "web-4", REASON_WAITS_TO_CONFIRM);
    advance(&f, LADDER_CONFIRM_MS);
    should_mark(&f, "web-4", LIFECYCLE_TERMINATING, REASON_MEND);
    should_not(&f, ACTION_RESTART, NULL);
    ends(&f, ACTION_MARK, "web-4", OUTCOME_DONE);
    assert_int_equal(f.world_groups[WEB].failed_launches, 1);
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
    assert_int_equal(f.actions[0].number, 5);
}

static void the_third_in_a_row_stops_the_group(void **state)
{
    (void)state;
    struct fixture f;
    begin_new(&f);
    f.world_groups[WEB].failed_launches = LADDER_LAUNCHES_MAX;
    advance(&f, FIXTURE_GRACE_MS);
    advance(&f, LADDER_CONFIRM_MS);
    should_rest(&f);
    should_stick(&f, "web-4", REASON_LAUNCHES_FAIL); /* It stays, to be looked at. */
    /* One that comes into service after all clears the count. */
    host_is_well(&f, "web-4");
    advance(&f, 0);
    should_mark(&f, "web-4", LIFECYCLE_IN_SERVICE, REASON_SERVING);
    ends(&f, ACTION_MARK, "web-4", OUTCOME_DONE);
    assert_int_equal(f.world_groups[WEB].failed_launches, 0);
}

static void a_launch_that_keeps_failing_is_ended(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.world_groups[WEB].desired = 4;
    advance(&f, 0);
    move_on(&f); /* add */
    for (int i = 0; i < 3; i++) {
        advance(&f, MINUTE);
        should(&f, ACTION_LAUNCH, "web-4", REASON_NOT_MADE);
        ends(&f, ACTION_LAUNCH, "web-4", OUTCOME_TRANSIENT);
    }
    advance(&f, 0);
    should_mark(&f, "web-4", LIFECYCLE_TERMINATING, REASON_MEND);
    assert_string_equal(said(&action_on(&f, ACTION_MARK, "web-4")->reason),
                        "never in service for 180 s; next on the ladder: replace (S8)");
    f.world.tireless = false; /* Without a run that goes on, it is said and left. */
    advance(&f, 0);
    should_stick(&f, "web-4", REASON_FAILED);
    f.world.tireless = true;
    the(&f, "web-4")->power_witnessed = false; /* Nothing is replaced that was not made. */
    advance(&f, MINUTE);
    should_not(&f, ACTION_MARK, NULL);
}

/* S5: where nobody answers, not even those that did, it is not the image that fails. */
static void where_nobody_answers_no_launch_is_given_up(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    advance(&f, 0);
    move_on(&f); /* add */
    advance(&f, 0);
    move_on(&f); /* launch */
    advance(&f, 0);
    should(&f, ACTION_GREET, "web-1", REASON_FIRST_CONTACT);
    for (int i = 0; i < 5; i++) {
        advance(&f, 5 * MINUTE);
        should_not(&f, ACTION_MARK, NULL);
        static const char *const all[] = {"web-1", "web-2", "web-3", "db-1", "lb-1"};
        for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
            ends(&f, ACTION_GREET, all[n], OUTCOME_TRANSIENT);
        }
    }
    advance(&f, 0);
    should_wait(&f, "web-1", REASON_WAITS_TO_RETRY);
    set_alive(&f, "db-1", WORLD_HEALTHY); /* It is not us (any more). */
    advance(&f, MINUTE);
    should_not(&f, ACTION_MARK, NULL); /* What failed before says nothing. */
    advance(&f, 5 * MINUTE);
    ends(&f, ACTION_GREET, "web-1", OUTCOME_TRANSIENT);
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_TERMINATING, REASON_MEND);
}

/* Nor is one that was configured, and then lost with all others. */
static void where_all_are_lost_no_launch_is_given_up(void **state)
{
    (void)state;
    struct fixture f;
    begin_new(&f);
    host_is_lost(&f, "web-4");
    static const char *const others[] = {"web-1", "web-2", "web-3", "db-1", "lb-1"};
    for (size_t n = 0; n < sizeof(others) / sizeof(others[0]); n++) {
        the(&f, others[n])->lifecycle = LIFECYCLE_PENDING; /* Or the controller would freeze. */
        set_alive(&f, others[n], WORLD_UNHEALTHY);
    }
    advance(&f, FIXTURE_GRACE_MS);
    advance(&f, LADDER_CONFIRM_MS);
    should_not(&f, ACTION_MARK, "web-4");
    should_wait(&f, "web-4", REASON_FROZEN);
    set_alive(&f, "db-1", WORLD_HEALTHY);
    advance(&f, 0);
    should_not(&f, ACTION_MARK, "web-4");
    should_wait(&f, "web-4", REASON_WAITS_TO_CONFIRM);
    for (size_t n = 0; n < sizeof(others) / sizeof(others[0]); n++) {
        the(&f, others[n])->lifecycle = LIFECYCLE_IN_SERVICE;
        host_is_well(&f, others[n]);
    }
    advance(&f, 30 * SECOND);
    should_mark(&f, "web-4", LIFECYCLE_TERMINATING, REASON_MEND);
}

/* A launch that fails again and again is stopped too, whatever step of it fails. */
static void launches_that_keep_failing_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.world_groups[WEB].desired = 4;
    size_t added = 0;
    for (int i = 0; i < 400; i++) {
        advance(&f, MINUTE);
        added += count_actions(&f, ACTION_ADD, WEB);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            struct action action = f.actions[a];
            bool fails = action.kind == ACTION_LAUNCH;
            if (fails) {
                world_begin(&f.spec, &f.world, &action);
                world_end(&f.spec, &f.world, &action, OUTCOME_TRANSIENT);
            } else {
                world_expect(&f.spec, &f.world, &action);
            }
        }
    }
    assert_int_equal(f.world_groups[WEB].failed_launches, LADDER_LAUNCHES_MAX);
    assert_int_equal(added, LADDER_LAUNCHES_MAX);
    group_should_stick(&f, WEB, REASON_LAUNCHES_FAIL);
}

/* Nothing failed when the operator changes his mind. */
static void one_that_is_no_longer_wanted_is_no_failed_launch(void **state)
{
    (void)state;
    for (int steps = 1; steps <= 4; steps++) {
        struct fixture f;
        fixture_init(&f);
        settle(&f);
        f.world_groups[WEB].desired = 4;
        advance(&f, 0);
        for (int i = 0; i < steps; i++) {
            move_on(&f);
        }
        f.world_groups[WEB].desired = 3;
        f.groups[WEB].termination = SPEC_TERMINATION_NEWEST;
        the(&f, "web-1")->protect = the(&f, "web-2")->protect = the(&f, "web-3")->protect = true;
        advance(&f, 0);
        should_mark(&f, "web-4", LIFECYCLE_TERMINATING, REASON_GROUP_LONG);
        ends(&f, ACTION_MARK, "web-4", OUTCOME_DONE);
        assert_int_equal(f.world_groups[WEB].failed_launches, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_up_to_five_minutes),
        cmocka_unit_test(waits_are_spread),
        cmocka_unit_test(who_gives_up),
        cmocka_unit_test(success_forgets_failures),
        cmocka_unit_test(one_dead_alone_is_replaced),
        cmocka_unit_test(many_dead_at_once_are_started_again),
        cmocka_unit_test(a_dead_zone_is_started_again),
        cmocka_unit_test(one_that_we_switched_off_is_started_again),
        cmocka_unit_test(what_does_not_start_is_made_up_for),
        cmocka_unit_test(a_launch_whose_end_nobody_saw_is_tried_again),
        cmocka_unit_test(a_group_that_restarts_starts_it_again),
        cmocka_unit_test(what_forbids_to_mend),
        cmocka_unit_test(disputed_and_flapping_are_left_alone),
        cmocka_unit_test(a_balancer_that_lost_one_gets_it_back),
        cmocka_unit_test(unready_at_once_is_not_the_hosts_fault),
        cmocka_unit_test(what_it_needs_is_mended_first),
        cmocka_unit_test(a_lost_host_is_mended_whatever_it_needs),
        cmocka_unit_test(a_new_one_that_never_serves_is_replaced_not_mended),
        cmocka_unit_test(the_third_in_a_row_stops_the_group),
        cmocka_unit_test(a_launch_that_keeps_failing_is_ended),
        cmocka_unit_test(where_nobody_answers_no_launch_is_given_up),
        cmocka_unit_test(where_all_are_lost_no_launch_is_given_up),
        cmocka_unit_test(launches_that_keep_failing_are_counted),
        cmocka_unit_test(one_that_is_no_longer_wanted_is_no_failed_launch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
