/*
 * An instance's way: what an operator wishes of it, the lifecycle hooks on both sides, and the
 * looks that are due by time.
 */
#include "fixture.h"

static void begin(struct fixture *f)
{
    fixture_init(f);
    settle(f);
}

static void wish(struct fixture *f, const char *id, enum world_wish what)
{
    the(f, id)->wish = what;
}

/* What was decided ends well, and the balancers tell. */
static void goes_on(struct fixture *f)
{
    assert_true(move_on(f) > 0);
    advance(f, 0);
}

/* Standby. */

static void standby_leaves_the_pool_and_comes_back(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    wish(&f, "web-1", WORLD_WISH_STANDBY);
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_WISH_STANDBY);
    goes_on(&f);
    should(&f, ACTION_REMOVE, "web-1", REASON_WISH_STANDBY);
    goes_on(&f);
    should_mark(&f, "web-1", LIFECYCLE_STANDBY, REASON_WISH_STANDBY);
    goes_on(&f);
    should_rest(&f); /* And nobody in its place: it keeps it. */
    assert_int_equal(count(&f).groups[WEB].standby, 1);
    roles_differ(&f, "web-1");
    host_dies(&f, "web-1");
    advance(&f, HOUR);
    should_rest(&f); /* It is the operator's. */
    host_is_well(&f, "web-1");
    set_targets(&f, "web-1", WORLD_TARGET_ABSENT);
    wish(&f, "web-1", WORLD_WISH_NONE);
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_PENDING, REASON_WISH_BACK);
    goes_on(&f);
    should(&f, ACTION_INSPECT, "web-1", REASON_NOT_INSPECTED); /* Who knows what he did. */
    goes_on(&f);
    should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
    goes_on(&f);
    should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_SERVING);
}

static void a_standby_that_is_taken_back_in_time_never_was(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    wish(&f, "web-1", WORLD_WISH_STANDBY);
    advance(&f, 0);
    goes_on(&f);
    wish(&f, "web-1", WORLD_WISH_NONE); /* Draining already, not removed yet. */
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_UNCHANGED);
}

static void a_change_that_is_taken_back_in_time_never_was(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    roles_differ(&f, "web-1");
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
    goes_on(&f);
    the(&f, "web-1")->drift = WORLD_DRIFT_NONE; /* The file was changed back. */
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_UNCHANGED);
}

static void standby_asks_the_budget(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].healthy_min_percent = 100;
    wish(&f, "web-1", WORLD_WISH_STANDBY);
    advance(&f, 0);
    should_rest(&f);
    should_refuse(&f, "web-1", REASON_BELOW_MINIMUM);
}

static void one_that_is_not_in_service_yet_gets_there_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    move_on(&f); /* add */
    wish(&f, "web-1", WORLD_WISH_STANDBY);
    advance(&f, 0);
    should(&f, ACTION_LAUNCH, "web-1", REASON_NOT_MADE);
    settle(&f);
    assert_int_equal(the(&f, "web-1")->lifecycle, LIFECYCLE_STANDBY);
}

/* Replace. */

static void replaced_with_room_the_new_one_serves_first(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].healthy_min_percent = 100;
    wish(&f, "web-1", WORLD_WISH_REPLACE);
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
    should_not(&f, ACTION_MARK, NULL);
    should_wait(&f, "web-1", REASON_WAITS_FOR_NEW);
    for (int i = 0; i < 200 && members(&f, WEB) + count(&f).groups[WEB].leaving > 3 - (i == 0);
         i++) {
        advance(&f, SECOND);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
        assert_true(serving(&f, WEB) >= 3);
    }
    settle(&f);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(serving(&f, WEB), 3);
    assert_string_equal(f.instances[f.world.instance_count - 1].id, "web-4");
}

static void replaced_without_room_it_goes_first_if_the_minimum_allows(void **state)
{
    (void)state;
    static const struct {
        unsigned healthy_min_percent;
        bool goes;
    } cases[] = {{60, true}, {100, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        f.groups[WEB].max = 3;
        f.groups[WEB].healthy_max_percent = 100;
        f.groups[WEB].healthy_min_percent = cases[i].healthy_min_percent;
        wish(&f, "web-1", WORLD_WISH_REPLACE);
        advance(&f, 0);
        if (cases[i].goes) {
            should_mark(&f, "web-1", LIFECYCLE_TERMINATING, REASON_WISH_REPLACE);
            settle(&f);
            assert_int_equal(members(&f, WEB), 3);
            assert_int_equal(serving(&f, WEB), 3);
        } else {
            should_rest(&f);
            should_refuse(&f, "web-1", REASON_BELOW_MINIMUM);
        }
    }
}

static void replacing_waits_where_it_is_suspended(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.world_groups[WEB].suspended = WORLD_PROCESS_TERMINATE;
    wish(&f, "web-1", WORLD_WISH_REPLACE);
    advance(&f, 0);
    should_wait(&f, "web-1", REASON_SUSPENDED);
}

/* What failed on the old host is no reason to keep it. */
static void one_that_failed_for_good_is_replaced_all_the_same(void **state)
{
    (void)state;
    static const enum lifecycle where[] = {LIFECYCLE_IN_SERVICE, LIFECYCLE_DRAINING};
    for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
        struct fixture f;
        begin(&f);
        the(&f, "web-1")->lifecycle = where[i];
        the(&f, "web-1")->drift = WORLD_DRIFT_PENDING;
        the(&f, "web-1")->failure = WORLD_FAILURE_PERMANENT;
        the(&f, "web-1")->failures = 1;
        advance(&f, 0);
        should_stick(&f, "web-1", REASON_FAILED);
        wish(&f, "web-1", WORLD_WISH_REPLACE);
        settle(&f);
        assert_int_equal(members(&f, WEB), 3);
        assert_int_equal(serving(&f, WEB), 3);
        for (size_t n = 0; n < f.world.instance_count; n++) {
            assert_true(strcmp(f.instances[n].id, "web-1") != 0 ||
                        f.instances[n].lifecycle == LIFECYCLE_TERMINATED);
        }
    }
}

/* An operator takes it out of service to look at what failed. */
static void one_that_failed_for_good_goes_into_standby(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-1")->failure = WORLD_FAILURE_PERMANENT;
    the(&f, "web-1")->failures = 1;
    wish(&f, "web-1", WORLD_WISH_STANDBY);
    settle(&f);
    assert_int_equal(the(&f, "web-1")->lifecycle, LIFECYCLE_STANDBY);
    wish(&f, "web-1", WORLD_WISH_NONE);
    settle(&f);
    assert_int_equal(the(&f, "web-1")->lifecycle, LIFECYCLE_IN_SERVICE);
}

/* And scale-in, which takes it first, is not stopped by what failed. */
static void one_that_failed_for_good_leaves(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-2")->failure = WORLD_FAILURE_PERMANENT;
    the(&f, "web-2")->failures = 1;
    f.world_groups[WEB].desired = 2;
    settle(&f);
    assert_int_equal(members(&f, WEB), 2);
    assert_int_equal(serving(&f, WEB), 2);
}

/* What is draining for a change and is to be replaced goes from there. */
static void a_draining_one_is_replaced_at_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    roles_differ(&f, "web-1");
    advance(&f, 0);
    goes_on(&f);
    wish(&f, "web-1", WORLD_WISH_REPLACE);
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_TERMINATING, REASON_WISH_REPLACE);
}

/* One that is both unready and to be replaced climbs no ladder meanwhile. */
static void what_is_being_replaced_is_not_mended(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    wish(&f, "web-1", WORLD_WISH_REPLACE);
    service_fails(&f, "web-1");
    advance(&f, 0);
    advance(&f, LADDER_CONFIRM_MS);
    should_not(&f, ACTION_RESTART, NULL);
    should_mark(&f, "web-1", LIFECYCLE_TERMINATING, REASON_WISH_REPLACE);
}

/* Detach. */

static void detached_it_leaves_pool_and_group_and_runs_on(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    wish(&f, "web-1", WORLD_WISH_DETACH);
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_WISH_DETACH);
    ends(&f, ACTION_MARK, "web-1", OUTCOME_DONE);
    advance(&f, 0);
    should(&f, ACTION_REMOVE, "web-1", REASON_WISH_DETACH);
    ends(&f, ACTION_REMOVE, "web-1", OUTCOME_DONE);
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_DETACHED, REASON_WISH_DETACH);
    ends(&f, ACTION_MARK, "web-1", OUTCOME_DONE);
    assert_int_equal(the(&f, "web-1")->wish, WORLD_WISH_NONE);
    settle(&f);
    assert_int_equal(the(&f, "web-1")->lifecycle, LIFECYCLE_DETACHED);
    assert_int_equal(the(&f, "web-1")->power, WORLD_POWER_RUNNING);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(serving(&f, WEB), 3);
}

/* Hooks. */

static void begin_hook(struct fixture *f, enum spec_hook_on on, enum spec_hook_where where,
                       enum spec_hook_result result)
{
    fixture_init(f);
    settle(f);
    f->hooks[0] = (struct spec_hook){.name = (char *)"warm-up",
                                     .group = WEB,
                                     .on = on,
                                     .where = where,
                                     .heartbeat_ms = MINUTE,
                                     .limit_ms = 10 * MINUTE,
                                     .result = result};
    f->spec.hook_count = 1;
}

/* web-4 is made, configured and healthy, and its hook comes next. */
static void come_to_launch_hook(struct fixture *f)
{
    f->world_groups[WEB].desired = 4;
    advance(f, 0);
    for (int i = 0; i < 20 && (f->world.instance_count < 6 ||
                               the(f, "web-4")->lifecycle != LIFECYCLE_PENDING_WAIT);
         i++) {
        move_on(f);
        look_at_balancers(f);
    }
    assert_int_equal(the(f, "web-4")->lifecycle, LIFECYCLE_PENDING_WAIT);
    advance(f, 0);
    should(f, ACTION_HOOK, "web-4", REASON_HOOK);
    should_not(f, ACTION_ADMIT, NULL); /* No traffic before it is done. */
}

static void a_launch_hook_that_is_done_lets_it_in(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_LAUNCH, SPEC_HOOK_HOST, SPEC_HOOK_ABANDON);
    come_to_launch_hook(&f);
    int64_t begun_ms = f.world.now_ms;
    ends(&f, ACTION_HOOK, "web-4", OUTCOME_DONE);
    assert_int_equal(the(&f, "web-4")->hook_ms, begun_ms);
    advance(&f, 0);
    should_mark(&f, "web-4", LIFECYCLE_PENDING, REASON_HOOK_DONE);
    goes_on(&f);
    should(&f, ACTION_ADMIT, "web-4", REASON_NOT_IN_POOL);
    settle(&f);
    assert_int_equal(the(&f, "web-4")->lifecycle, LIFECYCLE_IN_SERVICE);
    /* Only at its launch, not whenever it comes up again. */
    host_dies(&f, "web-4");
    host_dies(&f, "web-3");
    advance(&f, 0);
    should(&f, ACTION_LAUNCH, "web-4", REASON_DEAD);
    settle(&f);
    assert_int_equal(the(&f, "web-4")->lifecycle, LIFECYCLE_IN_SERVICE);
}

static void a_launch_hook_that_abandons_ends_it(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_LAUNCH, SPEC_HOOK_HOST, SPEC_HOOK_CONTINUE);
    come_to_launch_hook(&f);
    ends(&f, ACTION_HOOK, "web-4", OUTCOME_DONE);
    the(&f, "web-4")->hook_abandon = true; /* As it, or an operator, said. */
    advance(&f, 0);
    should_mark(&f, "web-4", LIFECYCLE_TERMINATING, REASON_HOOK_ABANDON);
    ends(&f, ACTION_MARK, "web-4", OUTCOME_DONE);
    assert_int_equal(f.world_groups[WEB].failed_launches, 1);
    assert_false(the(&f, "web-4")->hook_abandon); /* Of the launch, not of the end. */
}

/* However the tries failed: at its limit it is over, and the file says what that means. */
static void a_launch_hook_over_time(void **state)
{
    (void)state;
    static const struct {
        enum outcome outcome;
        enum spec_hook_result result;
        bool tireless;
    } cases[] = {
        {OUTCOME_TRANSIENT, SPEC_HOOK_CONTINUE, true},
        {OUTCOME_TRANSIENT, SPEC_HOOK_ABANDON, true},
        {OUTCOME_PERMANENT, SPEC_HOOK_CONTINUE, true},
        {OUTCOME_PERMANENT, SPEC_HOOK_ABANDON, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin_hook(&f, SPEC_HOOK_LAUNCH, SPEC_HOOK_HOST, cases[i].result);
        come_to_launch_hook(&f);
        f.world.tireless = cases[i].tireless;
        int64_t begun_ms = f.world.now_ms;
        ends(&f, ACTION_HOOK, "web-4", cases[i].outcome);
        advance(&f, 1);
        should_not(&f, ACTION_HOOK, NULL);
        assert_non_null(hold_on(&f, "web-4"));
        assert_true(f.decision.deadline_ms <= begun_ms + 10 * MINUTE);
        f.world.now_ms = begun_ms;
        advance(&f, 10 * MINUTE - 1);
        should_not(&f, ACTION_MARK, "web-4");
        advance(&f, 1);
        if (cases[i].result == SPEC_HOOK_CONTINUE) {
            should_mark(&f, "web-4", LIFECYCLE_PENDING, REASON_HOOK_OVER_TIME);
            settle(&f);
            assert_int_equal(the(&f, "web-4")->lifecycle, LIFECYCLE_IN_SERVICE);
        } else {
            should_mark(&f, "web-4", LIFECYCLE_TERMINATING, REASON_HOOK_OVER_TIME);
        }
    }
}

/* An operator may end the wait by hand, whatever became of the tries. */
static void a_hook_is_ended_by_hand(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_LAUNCH, SPEC_HOOK_HOST, SPEC_HOOK_ABANDON);
    come_to_launch_hook(&f);
    ends(&f, ACTION_HOOK, "web-4", OUTCOME_PERMANENT);
    advance(&f, SECOND);
    should_stick(&f, "web-4", REASON_FAILED);
    the(&f, "web-4")->hook_done = true;
    advance(&f, SECOND);
    should_mark(&f, "web-4", LIFECYCLE_PENDING, REASON_HOOK_DONE);
}

/* It comes up again, and then its hook does run. */
static void a_host_that_dies_in_its_launch_hook(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_LAUNCH, SPEC_HOOK_HOST, SPEC_HOOK_ABANDON);
    come_to_launch_hook(&f);
    ends(&f, ACTION_HOOK, "web-4", OUTCOME_TRANSIENT);
    host_dies(&f, "web-4");
    set_targets(&f, "web-4", WORLD_TARGET_ABSENT);
    advance(&f, 10 * SECOND);
    should(&f, ACTION_LAUNCH, "web-4", REASON_NOT_RUNNING);
    goes_on(&f);
    should(&f, ACTION_GREET, "web-4", REASON_FIRST_CONTACT);
    goes_on(&f);
    should(&f, ACTION_HOOK, "web-4", REASON_HOOK);
    settle(&f);
    assert_int_equal(the(&f, "web-4")->lifecycle, LIFECYCLE_IN_SERVICE);
}

static void come_to_terminate_hook(struct fixture *f)
{
    f->world_groups[WEB].desired = 2;
    advance(f, 0);
    for (int i = 0; i < 20 && the(f, "web-3")->lifecycle != LIFECYCLE_TERMINATING_WAIT; i++) {
        move_on(f);
        look_at_balancers(f);
    }
    assert_int_equal(the(f, "web-3")->lifecycle, LIFECYCLE_TERMINATING_WAIT);
    advance(f, 0);
    should(f, ACTION_HOOK, "web-3", REASON_HOOK);
}

/* Out of the pool first, then the hook, then the end. Abandon ends it just the same. */
static void a_terminate_hook_comes_between_pool_and_end(void **state)
{
    (void)state;
    for (int abandon = 0; abandon <= 1; abandon++) {
        struct fixture f;
        begin_hook(&f, SPEC_HOOK_TERMINATE, SPEC_HOOK_CONTROLLER, SPEC_HOOK_CONTINUE);
        come_to_terminate_hook(&f);
        assert_int_equal(f.decision.action_count, 1); /* Nothing else is done to it meanwhile. */
        ends(&f, ACTION_HOOK, "web-3", OUTCOME_DONE);
        the(&f, "web-3")->hook_abandon = abandon != 0;
        advance(&f, 0);
        should_mark(&f, "web-3", LIFECYCLE_TERMINATING,
                    abandon != 0 ? REASON_HOOK_ABANDON : REASON_HOOK_DONE);
        goes_on(&f);
        should(&f, ACTION_TERMINATE, "web-3", REASON_LEAVES_FOR_GOOD);
    }
}

static void a_terminate_hook_over_time_ends_it_all_the_same(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_TERMINATE, SPEC_HOOK_CONTROLLER, SPEC_HOOK_ABANDON);
    come_to_terminate_hook(&f);
    ends(&f, ACTION_HOOK, "web-3", OUTCOME_PERMANENT);
    advance(&f, 10 * MINUTE);
    should_mark(&f, "web-3", LIFECYCLE_TERMINATING, REASON_HOOK_OVER_TIME);
    goes_on(&f);
    should(&f, ACTION_TERMINATE, "web-3", REASON_LEAVES_FOR_GOOD);
}

/* A dead host runs nothing; the controller can. */
static void a_hook_on_a_dead_host_is_passed_by(void **state)
{
    (void)state;
    static const struct {
        enum spec_hook_where where;
        bool passed;
    } cases[] = {{SPEC_HOOK_HOST, true}, {SPEC_HOOK_CONTROLLER, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin_hook(&f, SPEC_HOOK_TERMINATE, cases[i].where, SPEC_HOOK_CONTINUE);
        host_dies(&f, "web-3");
        advance(&f, 0);
        should_mark(&f, "web-3", LIFECYCLE_TERMINATING, REASON_DEAD);
        ends(&f, ACTION_MARK, "web-3", OUTCOME_DONE);
        set_targets(&f, "web-3", WORLD_TARGET_ABSENT);
        advance(&f, 0);
        if (cases[i].passed) {
            should(&f, ACTION_TERMINATE, "web-3", REASON_LEAVES_FOR_GOOD);
        } else {
            should_mark(&f, "web-3", LIFECYCLE_TERMINATING_WAIT, REASON_HOOK);
        }
    }
}

/* One that hangs runs, as its provider says; it is not waited for until the hook's limit. */
static void a_hook_on_a_host_that_nobody_reaches_is_given_up(void **state)
{
    (void)state;
    static const struct {
        enum spec_hook_where where;
        bool given_up;
    } cases[] = {{SPEC_HOOK_HOST, true}, {SPEC_HOOK_CONTROLLER, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin_hook(&f, SPEC_HOOK_TERMINATE, cases[i].where, SPEC_HOOK_CONTINUE);
        f.hooks[0].limit_ms = 100 * MINUTE;
        come_to_terminate_hook(&f);
        ends(&f, ACTION_HOOK, "web-3", OUTCOME_TRANSIENT);
        set_alive(&f, "web-3", WORLD_UNHEALTHY);
        advance(&f, SURVEY_LOST_GIVEN_UP_MS - 1);
        should(&f, ACTION_HOOK, "web-3", REASON_HOOK); /* It may come back. */
        ends(&f, ACTION_HOOK, "web-3", OUTCOME_TRANSIENT);
        advance(&f, 0);
        assert_true(f.decision.deadline_ms != INT64_MAX);
        advance(&f, 1);
        if (cases[i].given_up) {
            should_mark(&f, "web-3", LIFECYCLE_TERMINATING, REASON_HOOK_UNREACHED);
            goes_on(&f);
            should(&f, ACTION_TERMINATE, "web-3", REASON_LEAVES_FOR_GOOD);
        } else {
            advance(&f, MINUTE);
            should(&f, ACTION_HOOK, "web-3", REASON_HOOK);
        }
    }
}

/* One that goes off while its hook is waited for. */
static void a_hook_on_a_host_that_goes_off_is_passed_by(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_TERMINATE, SPEC_HOOK_HOST, SPEC_HOOK_CONTINUE);
    come_to_terminate_hook(&f);
    ends(&f, ACTION_HOOK, "web-3", OUTCOME_TRANSIENT);
    host_dies(&f, "web-3");
    advance(&f, 0);
    should_mark(&f, "web-3", LIFECYCLE_TERMINATING, REASON_HOOK_OFF);
}

static void hooks_are_of_their_group(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_LAUNCH, SPEC_HOOK_HOST, SPEC_HOOK_CONTINUE);
    f.hooks[0].group = DB;
    f.world_groups[WEB].desired = 4;
    for (int i = 0; i < 30; i++) {
        move_on(&f);
        look_at_balancers(&f);
        should_not(&f, ACTION_HOOK, NULL);
    }
    assert_int_equal(the(&f, "web-4")->lifecycle, LIFECYCLE_IN_SERVICE);
}

/* A hook that was taken out of the file while one waits in it. */
static void a_hook_that_is_gone_is_over(void **state)
{
    (void)state;
    struct fixture f;
    begin_hook(&f, SPEC_HOOK_LAUNCH, SPEC_HOOK_HOST, SPEC_HOOK_ABANDON);
    come_to_launch_hook(&f);
    f.spec.hook_count = 0;
    advance(&f, 0);
    should_mark(&f, "web-4", LIFECYCLE_PENDING, REASON_HOOK_DONE);
}

/* The check-command. */

/* What it said before its provider fell silent may be old (seed 94398975). */
static void a_check_command_runs_though_the_provider_is_silent(void **state)
{
    (void)state;
    static const struct {
        enum world_power power;
        bool asked;
    } cases[] = {{WORLD_POWER_RUNNING, true},
                 {WORLD_POWER_UNKNOWN, true},
                 {WORLD_POWER_OFF, false},
                 {WORLD_POWER_ABSENT, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        f.groups[DB].check_command = (char *)"/usr/bin/true";
        f.groups[DB].check_every_ms = 30000;
        set_power(&f, "db-1", cases[i].power);
        advance(&f, 0);
        if (cases[i].asked) {
            should(&f, ACTION_CHECK, "db-1", REASON_CHECK_DUE);
        } else {
            should_not(&f, ACTION_CHECK, "db-1");
        }
    }
}

static void a_check_command_runs_when_it_is_due(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[DB].check_command = (char *)"/usr/bin/true";
    f.groups[DB].check_every_ms = MINUTE;
    advance(&f, 0);
    should(&f, ACTION_CHECK, "db-1", REASON_CHECK_DUE);
    ends(&f, ACTION_CHECK, "db-1", OUTCOME_DONE);
    step(&f);
    should_rest(&f);
    assert_true(f.decision.deadline_ms == f.world.now_ms + MINUTE);
    advance(&f, MINUTE - 1);
    should_rest(&f);
    advance(&f, 1);
    should(&f, ACTION_CHECK, "db-1", REASON_CHECK_DUE);
    /* One that could not be made is made when the next is due. */
    ends(&f, ACTION_CHECK, "db-1", OUTCOME_TRANSIENT);
    assert_int_equal(the(&f, "db-1")->custom_ms, f.world.now_ms);
    assert_int_equal(the(&f, "db-1")->failure, WORLD_FAILURE_NONE);
    advance(&f, MINUTE - 1);
    should_rest(&f);
    advance(&f, 1);
    should(&f, ACTION_CHECK, "db-1", REASON_CHECK_DUE);
    set_alive(&f, "db-1", WORLD_HEALTH_UNKNOWN);
    advance(&f, HOUR);
    should_not(&f, ACTION_CHECK, "db-1"); /* It is not reached. */
}

/* What failed was something else: it waits as it did, and so does who comes next (S7, S23). */
static void a_check_command_forgives_no_failure(void **state)
{
    (void)state;
    static const enum outcome ends_so[] = {OUTCOME_TRANSIENT, OUTCOME_PERMANENT};
    for (size_t i = 0; i < sizeof(ends_so) / sizeof(ends_so[0]); i++) {
        struct fixture f;
        fixture_init(&f);
        f.groups[DB].desired = f.groups[DB].max = 2;
        world_groups_init(&f.spec, &f.world);
        settle(&f);
        f.groups[DB].check_command = (char *)"/usr/bin/true";
        f.groups[DB].check_every_ms = SECOND;
        the(&f, "db-1")->custom_ms = the(&f, "db-2")->custom_ms = f.world.now_ms;
        roles_differ(&f, "db-1");
        roles_differ(&f, "db-2");
        step(&f);
        should(&f, ACTION_CONFIGURE, "db-1", REASON_DRIFT);
        should_wait(&f, "db-2", REASON_WAITS_FOR_OTHER);
        ends(&f, ACTION_CONFIGURE, "db-1", ends_so[i]);
        enum world_failure failure = the(&f, "db-1")->failure;
        advance(&f, SECOND);
        should(&f, ACTION_CHECK, "db-1", REASON_CHECK_DUE);
        begin_all(&f);
        step(&f);
        should_not(&f, ACTION_CONFIGURE, "db-2");
        for (size_t d = 0; d < 2; d++) {
            struct action check = {.kind = ACTION_CHECK,
                                   .instance = find(&f, d == 0 ? "db-1" : "db-2"),
                                   .group = DB,
                                   .balancer = WORLD_NONE};
            world_end(&f.spec, &f.world, &check, OUTCOME_DONE);
        }
        assert_int_equal(the(&f, "db-1")->failure, failure);
        assert_int_equal(the(&f, "db-1")->failures, 1);
        step(&f);
        should_not(&f, ACTION_CONFIGURE, NULL);
        should_wait(&f, "db-2", REASON_WAITS_FOR_OTHER);
    }
}

static void begin_databases(struct fixture *f, unsigned count)
{
    fixture_init(f);
    f->groups[DB].desired = f->groups[DB].max = count;
    world_groups_init(&f->spec, &f->world);
    settle(f);
}

/* It serves as it was: to try again takes it out anew, and waits for its turn (S7). */
static void a_change_that_failed_waits_for_its_turn_again(void **state)
{
    (void)state;
    struct fixture f;
    begin_databases(&f, 2);
    roles_differ(&f, "db-1");
    advance(&f, 0);
    ends(&f, ACTION_CONFIGURE, "db-1", OUTCOME_TRANSIENT);
    assert_true(the(&f, "db-1")->change_failed);
    the(&f, "db-2")->lifecycle = LIFECYCLE_PENDING; /* Meanwhile it was started again, by order. */
    the(&f, "db-2")->busy = true;
    advance(&f, MINUTE);
    should_not(&f, ACTION_CONFIGURE, "db-1");
    should_wait(&f, "db-1", REASON_WAITS_FOR_OTHER);
    the(&f, "db-2")->lifecycle = LIFECYCLE_IN_SERVICE;
    the(&f, "db-2")->busy = false;
    advance(&f, 0);
    should(&f, ACTION_CONFIGURE, "db-1", REASON_DRIFT);
}

/* One whose change failed and that is lost is out: none that serves begins beside it (seed 186392).
 */
static void a_change_that_failed_waits_for_one_that_is_lost(void **state)
{
    (void)state;
    struct fixture f;
    begin_databases(&f, 2);
    roles_differ(&f, "db-1");
    roles_differ(&f, "db-2");
    the(&f, "db-1")->change_failed = the(&f, "db-2")->change_failed = true;
    set_alive(&f, "db-2", WORLD_UNHEALTHY);
    advance(&f, 0);
    should_not(&f, ACTION_CONFIGURE, NULL);
    should_wait(&f, "db-1", REASON_WAITS_FOR_OTHER);
}

/* The cluster's share is asked for, too, and what was taken in this very step counts (seed 26808).
 */
static void a_change_that_failed_asks_for_the_clusters_share(void **state)
{
    (void)state;
    for (int taken = 0; taken <= 1; taken++) {
        struct fixture f;
        begin(&f);
        f.spec.max_disruption_percent = 1;
        f.groups[WEB].pool = SPEC_NONE;
        roles_differ(&f, "web-3");
        the(&f, "web-3")->change_failed = true;
        if (taken == 1) {
            host_dies(&f, "db-1");
            wish(&f, "db-1", WORLD_WISH_REPLACE);
        }
        advance(&f, 0);
        if (taken == 1) {
            should_mark(&f, "db-1", LIFECYCLE_TERMINATING, REASON_WISH_REPLACE);
            should_wait(&f, "web-3", REASON_WAITS_FOR_CLUSTER);
        } else {
            should(&f, ACTION_CONFIGURE, "web-3", REASON_DRIFT);
        }
    }
}

/* Of several, one at a time: none waits for one that waits for it. */
static void changes_that_failed_are_tried_one_by_one(void **state)
{
    (void)state;
    struct fixture f;
    begin_databases(&f, 3);
    static const char *const all[] = {"db-1", "db-2", "db-3"};
    for (size_t i = 0; i < 3; i++) {
        roles_differ(&f, all[i]);
        the(&f, all[i])->change_failed = true;
    }
    for (size_t i = 0; i < 3; i++) {
        step(&f);
        assert_int_equal(f.decision.action_count, 1);
        const char *id = f.instances[f.actions[0].instance].id;
        should(&f, ACTION_CONFIGURE, id, REASON_DRIFT);
        begin_all(&f);
        struct action configure = f.actions[0];
        step(&f);
        should_rest(&f); /* While it is under way. */
        world_end(&f.spec, &f.world, &configure, OUTCOME_DONE);
        f.world.now_ms += MINUTE;
    }
    step(&f);
    should_rest(&f);
}

static void whom_a_check_command_does_not_concern(void **state)
{
    (void)state;
    static const enum lifecycle others[] = {LIFECYCLE_DRAINING, LIFECYCLE_STANDBY,
                                            LIFECYCLE_QUARANTINED, LIFECYCLE_DETACHED};
    struct fixture f;
    begin(&f);
    f.groups[WEB].check_command = (char *)"/usr/bin/true";
    f.groups[WEB].check_every_ms = MINUTE;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        the(&f, "web-1")->lifecycle = others[i];
        the(&f, "web-1")->wish =
            others[i] == LIFECYCLE_STANDBY ? WORLD_WISH_STANDBY : WORLD_WISH_NONE;
        step(&f);
        should_not(&f, ACTION_CHECK, "web-1");
        should(&f, ACTION_CHECK, "web-2", REASON_CHECK_DUE);
    }
}

/* Nothing but its SSH port says whether it serves: one that nobody reaches is not counted on. */
static void without_a_pool_it_must_answer(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    the(&f, "db-1")->lifecycle = LIFECYCLE_PENDING;
    the(&f, "db-1")->ready_ms = f.world.now_ms;
    set_alive(&f, "db-1", WORLD_UNHEALTHY);
    advance(&f, 0);
    should_wait(&f, "db-1", REASON_WAITS_FOR_HEALTH);
    set_alive(&f, "db-1", WORLD_HEALTHY);
    advance(&f, 0);
    should_mark(&f, "db-1", LIFECYCLE_IN_SERVICE, REASON_SERVING);
}

/* Restored records are older than what the balancers do: they say that it was never configured. */
static void one_that_serves_is_looked_at_whatever_its_record_says(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    the(&f, "web-1")->lifecycle = LIFECYCLE_PENDING;
    the(&f, "web-1")->configured = false;
    the(&f, "web-1")->in_service_ms = 0;
    advance(&f, 0);
    should(&f, ACTION_INSPECT, "web-1", REASON_NOT_INSPECTED);
    should_not(&f, ACTION_REMOVE, "web-1");
    ends(&f, ACTION_INSPECT, "web-1", OUTCOME_DONE);
    assert_true(the(&f, "web-1")->configured);
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_SERVING);
}

static void the_last_one_without_a_pool_is_not_set_aside(void **state)
{
    (void)state;
    static const enum world_wish wishes[] = {WORLD_WISH_STANDBY, WORLD_WISH_DETACH};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        fixture_init(&f);
        f.groups[LB].max = 2;
        settle(&f);
        wish(&f, "lb-1", wishes[i]);
        advance(&f, 0);
        should_refuse(&f, "lb-1", REASON_BELOW_MINIMUM);
        f.world_groups[LB].desired = 2; /* With another beside it, it may go. */
        wish(&f, "lb-1", WORLD_WISH_NONE);
        settle(&f);
        wish(&f, "lb-1", wishes[i]);
        advance(&f, 0);
        should_mark(&f, "lb-1", LIFECYCLE_DRAINING,
                    i == 0 ? REASON_WISH_STANDBY : REASON_WISH_DETACH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standby_leaves_the_pool_and_comes_back),
        cmocka_unit_test(a_standby_that_is_taken_back_in_time_never_was),
        cmocka_unit_test(a_change_that_is_taken_back_in_time_never_was),
        cmocka_unit_test(standby_asks_the_budget),
        cmocka_unit_test(one_that_is_not_in_service_yet_gets_there_first),
        cmocka_unit_test(replaced_with_room_the_new_one_serves_first),
        cmocka_unit_test(replaced_without_room_it_goes_first_if_the_minimum_allows),
        cmocka_unit_test(replacing_waits_where_it_is_suspended),
        cmocka_unit_test(one_that_failed_for_good_is_replaced_all_the_same),
        cmocka_unit_test(one_that_failed_for_good_goes_into_standby),
        cmocka_unit_test(one_that_failed_for_good_leaves),
        cmocka_unit_test(a_draining_one_is_replaced_at_once),
        cmocka_unit_test(what_is_being_replaced_is_not_mended),
        cmocka_unit_test(detached_it_leaves_pool_and_group_and_runs_on),
        cmocka_unit_test(a_launch_hook_that_is_done_lets_it_in),
        cmocka_unit_test(a_launch_hook_that_abandons_ends_it),
        cmocka_unit_test(a_launch_hook_over_time),
        cmocka_unit_test(a_hook_is_ended_by_hand),
        cmocka_unit_test(a_host_that_dies_in_its_launch_hook),
        cmocka_unit_test(a_terminate_hook_comes_between_pool_and_end),
        cmocka_unit_test(a_terminate_hook_over_time_ends_it_all_the_same),
        cmocka_unit_test(a_hook_on_a_dead_host_is_passed_by),
        cmocka_unit_test(a_hook_on_a_host_that_nobody_reaches_is_given_up),
        cmocka_unit_test(a_hook_on_a_host_that_goes_off_is_passed_by),
        cmocka_unit_test(hooks_are_of_their_group),
        cmocka_unit_test(a_hook_that_is_gone_is_over),
        cmocka_unit_test(a_check_command_runs_when_it_is_due),
        cmocka_unit_test(a_check_command_runs_though_the_provider_is_silent),
        cmocka_unit_test(a_check_command_forgives_no_failure),
        cmocka_unit_test(a_change_that_failed_waits_for_its_turn_again),
        cmocka_unit_test(a_change_that_failed_waits_for_one_that_is_lost),
        cmocka_unit_test(a_change_that_failed_asks_for_the_clusters_share),
        cmocka_unit_test(changes_that_failed_are_tried_one_by_one),
        cmocka_unit_test(whom_a_check_command_does_not_concern),
        cmocka_unit_test(without_a_pool_it_must_answer),
        cmocka_unit_test(the_last_one_without_a_pool_is_not_set_aside),
        cmocka_unit_test(one_that_serves_is_looked_at_whatever_its_record_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
