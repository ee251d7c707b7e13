/*
 * The one disruption budget: who may be taken out of service, when, and what is said when he may
 * not. Asked here through what needs it most often: a change in place.
 */
#include "fixture.h"

static void begin(struct fixture *f, unsigned desired, unsigned healthy_min_percent)
{
    fixture_init(f);
    f->groups[WEB].max = 20;
    f->groups[WEB].breaker_percent = 100;
    f->groups[DB].breaker_percent = 100;
    f->groups[LB].breaker_percent = 100;
    f->world_groups[WEB].desired = desired;
    f->groups[WEB].healthy_min_percent = healthy_min_percent;
    settle(f);
    roles_differ(f, "web-1");
}

/* S1. */

static void the_minimum_rounds_up(void **state)
{
    (void)state;
    static const struct {
        unsigned desired, percent;
        size_t minimum;
        bool allowed; /* With all of them serving. */
    } cases[] = {
        {3, 90, 3, false},   {3, 67, 3, false}, {3, 66, 2, true}, {10, 90, 9, true},
        {10, 91, 10, false}, {2, 50, 1, true},  {1, 0, 0, true},  {1, 1, 1, false},
        {4, 100, 4, false},  {7, 50, 4, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, cases[i].desired, cases[i].percent);
        assert_int_equal(world_healthy_minimum(&f.spec, &f.world, WEB), cases[i].minimum);
        advance(&f, 0);
        if (cases[i].allowed) {
            should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
        } else {
            should_rest(&f);
            should_refuse(&f, "web-1", REASON_BELOW_MINIMUM);
        }
    }
}

static void hosts_that_are_to_be_spare_are_kept_above_the_minimum(void **state)
{
    (void)state;
    static const struct {
        unsigned spare;
        enum reason_code code; /* NONE: allowed. */
    } cases[] = {{0, REASON_NONE}, {1, REASON_NONE}, {2, REASON_BELOW_SPARE}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, 4, 50); /* 4 serve, the minimum is 2. */
        f.groups[WEB].spare = cases[i].spare;
        advance(&f, 0);
        if (cases[i].code == REASON_NONE) {
            should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
        } else {
            should_refuse(&f, "web-1", cases[i].code);
        }
    }
}

static void what_gives_nothing_may_always_be_taken(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3, 100);
    set_targets(&f, "web-1", WORLD_TARGET_MAINTENANCE); /* An operator did that on the balancer. */
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

/* A group without a pool serves nobody through us: it has no minimum that we could know. */
/* One that is to leave and serves still adds nothing in time: what it forbids is refused, for good.
 */
static void one_that_leaves_is_not_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.groups[WEB].healthy_min_percent = 100;
    settle(&f);
    the(&f, "web-3")->lifecycle = LIFECYCLE_TERMINATING;
    f.world_groups[WEB].suspended = WORLD_PROCESS_LAUNCH;
    advance(&f, HOUR);
    should_not(&f, ACTION_REMOVE, "web-3");
    should_refuse(&f, "web-3", REASON_BELOW_MINIMUM);
    the(&f, "web-2")->in_service_ms = f.world.now_ms; /* That one is worth waiting for. */
    advance(&f, SECOND);
    should_wait(&f, "web-3", REASON_BELOW_MINIMUM);
}

static void a_group_without_a_pool_has_no_minimum(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3, 60);
    the(&f, "web-1")->drift = WORLD_DRIFT_NONE;
    roles_differ(&f, "db-1");
    advance(&f, 0);
    should(&f, ACTION_CONFIGURE, "db-1", REASON_DRIFT);
}

/* S3: losses that nobody ordered are charged to it first. */

static void losses_are_charged_first(void **state)
{
    (void)state;
    static void (*const losses[])(struct fixture *, const char *) = {service_fails, host_is_lost,
                                                                     host_dies};
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        struct fixture f;
        begin(&f, 4, 75); /* One may be out. */
        losses[i](&f, "web-2");
        advance(&f, 0);
        should_not(&f, ACTION_MARK, "web-1");
        assert_non_null(hold_on(&f, "web-1"));
    }
}

static void one_that_only_the_prober_loses_is_charged_too(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4, 75);
    set_health(&f, "web-2", WORLD_UNHEALTHY); /* Disputed; not serving. */
    advance(&f, 0);
    should_not(&f, ACTION_MARK, "web-1");
    /* It may come back any moment: waiting, not refusing. */
    should_wait(&f, "web-1", REASON_BELOW_MINIMUM);
}

static void standby_is_charged(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4, 75);
    the(&f, "web-2")->lifecycle = LIFECYCLE_STANDBY;
    the(&f, "web-2")->wish = WORLD_WISH_STANDBY;
    set_targets(&f, "web-2", WORLD_TARGET_ABSENT);
    advance(&f, 0);
    should_not(&f, ACTION_MARK, "web-1");
    should_refuse(&f, "web-1", REASON_BELOW_MINIMUM);
}

/* S11: what came back just now is not counted on. */
static void what_has_not_baked_is_not_counted(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4, 75);
    the(&f, "web-2")->in_service_ms = f.world.now_ms;
    advance(&f, FIXTURE_BAKE_MS - 1);
    should_wait(&f, "web-1", REASON_BELOW_MINIMUM);
    assert_int_equal(f.decision.deadline_ms, f.world.now_ms + 1); /* Nobody else would wake us. */
    advance(&f, 1);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

/* S7. */

static void one_at_a_time_whatever_takes_it_out(void **state)
{
    (void)state;
    static const struct {
        enum lifecycle lifecycle;
        bool changing;
        bool counts;
    } cases[] = {
        {LIFECYCLE_DRAINING, false, true},         {LIFECYCLE_TERMINATING, false, true},
        {LIFECYCLE_TERMINATING_WAIT, false, true}, {LIFECYCLE_PENDING, false, true},
        {LIFECYCLE_PENDING_WAIT, false, true},     {LIFECYCLE_IN_SERVICE, true, true},
        {LIFECYCLE_IN_SERVICE, false, false},      {LIFECYCLE_STANDBY, false, false},
        {LIFECYCLE_QUARANTINED, false, false},     {LIFECYCLE_DETACHED, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, 6, 10);
        struct world_instance *other = the(&f, "web-2");
        other->lifecycle = cases[i].lifecycle;
        other->wish = cases[i].lifecycle == LIFECYCLE_STANDBY ? WORLD_WISH_STANDBY : other->wish;
        other->busy = true;
        other->changing = cases[i].changing;
        advance(&f, 0);
        if (cases[i].counts) {
            should_not(&f, ACTION_MARK, "web-1");
            should_wait(&f, "web-1", REASON_WAITS_FOR_OTHER);
            assert_string_equal(hold_on(&f, "web-1")->reason.name, "web-2");
        } else {
            should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
        }
    }
}

/* A new one that was never in service takes nothing from anybody. */
static void one_that_is_being_made_takes_no_turn(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 6, 10);
    the(&f, "web-2")->lifecycle = LIFECYCLE_PENDING;
    the(&f, "web-2")->in_service_ms = 0;
    the(&f, "web-2")->busy = true;
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

static void only_one_is_allowed_in_a_step(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 6, 10);
    roles_differ(&f, "web-2");
    roles_differ(&f, "web-3");
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_MARK, WEB), 1);
    should_wait(&f, "web-2", REASON_WAITS_FOR_OTHER);
    should_wait(&f, "web-3", REASON_WAITS_FOR_OTHER);
}

static void the_next_waits_for_the_bake_time_of_the_last(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 6, 10);
    f.world_groups[WEB].disrupted_ms = f.world.now_ms;
    advance(&f, FIXTURE_BAKE_MS - 1);
    should_wait(&f, "web-1", REASON_WAITS_FOR_BAKE);
    assert_true(f.decision.deadline_ms == f.world.now_ms + 1);
    advance(&f, 1);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

/* What gives nothing has nothing to wait for. */
static void one_that_is_out_does_not_wait_for_the_bake_time(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 6, 10);
    f.world_groups[WEB].disrupted_ms = f.world.now_ms;
    set_targets(&f, "web-1", WORLD_TARGET_DOWN);
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

static void the_cluster_has_a_share_of_its_own(void **state)
{
    (void)state;
    static const struct {
        unsigned percent;
        bool allowed; /* While db-1 is being changed: 8 in service. */
    } cases[] = {{0, false}, {12, false}, {24, false}, {25, true}, {100, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, 6, 10);
        f.spec.max_disruption_percent = cases[i].percent;
        the(&f, "db-1")->busy = true;
        the(&f, "db-1")->changing = true;
        advance(&f, 0);
        assert_int_equal(f.decision.survey.instances, 8);
        if (cases[i].allowed) {
            should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
        } else {
            should_wait(&f, "web-1", REASON_WAITS_FOR_CLUSTER);
        }
        the(&f, "db-1")->busy = false; /* One is always allowed. */
        the(&f, "db-1")->changing = false;
        advance(&f, 0);
        should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
    }
}

/* S19. */

static void what_is_stale_is_asked_for_first(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3, 60);
    f.no_looks = true;
    f.balancers[0].seen_ms = f.world.now_ms;
    advance(&f, 5 * SECOND + 1);
    should(&f, ACTION_COMPARE, "lb-1", REASON_FRONTEND_STALE);
    should_not(&f, ACTION_MARK, NULL);
    should_wait(&f, "web-1", REASON_WAITS_FOR_FRONTEND);
    ends(&f, ACTION_COMPARE, "lb-1", OUTCOME_DONE);
    step(&f);
    should_mark(&f, "web-1", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
    /* And again right before the drain itself. */
    move_on(&f);
    advance(&f, 5 * SECOND + 1);
    should(&f, ACTION_COMPARE, "lb-1", REASON_FRONTEND_STALE);
    should_not(&f, ACTION_REMOVE, NULL);
}

static void a_balancer_that_never_told_is_asked_and_a_busy_one_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3, 60);
    f.no_looks = true;
    f.balancers[0].seen_ms = INT64_MIN;
    f.balancers[0].busy = true;
    step(&f);
    should_rest(&f);
    should_wait(&f, "web-1", REASON_WAITS_FOR_FRONTEND);
    f.balancers[0].busy = false;
    step(&f);
    should(&f, ACTION_COMPARE, "lb-1", REASON_FRONTEND_STALE);
}

/* S22. */

static void a_pause_of_any_of_the_three_stops_it(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        struct fixture f;
        begin(&f, 3, 60);
        roles_differ(&f, "db-1");
        f.world.paused = which == 0;
        f.world_groups[WEB].paused = which == 1;
        the(&f, "web-1")->paused = which == 2;
        advance(&f, 0);
        should_not(&f, ACTION_MARK, NULL);
        should_wait(&f, "web-1", REASON_PAUSED);
        assert_string_equal(hold_on(&f, "web-1")->reason.name, which == 0   ? "shop"
                                                               : which == 1 ? "web"
                                                                            : "web-1");
        if (which == 0) {
            should_rest(&f);
        } else {
            should(&f, ACTION_CONFIGURE, "db-1", REASON_DRIFT); /* Nobody else is stopped. */
        }
    }
}

static void a_paused_group_neither_grows_nor_shrinks(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3, 60);
    f.world_groups[WEB].paused = true;
    f.world_groups[WEB].desired = 5;
    advance(&f, 0);
    should_rest(&f);
    group_should_wait(&f, WEB, REASON_PAUSED);
    f.world_groups[WEB].desired = 1;
    advance(&f, 0);
    should_rest(&f);
}

/* Running steps go on to the next safe point, and there they stop. */
static void what_runs_when_the_pause_comes_is_not_cut_off(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3, 60);
    advance(&f, 0);
    move_on(&f);
    advance(&f, 0);
    const struct action *remove = action_on(&f, ACTION_REMOVE, "web-1");
    assert_non_null(remove);
    struct action running = *remove;
    world_begin(&f.spec, &f.world, &running);
    f.world.paused = true;
    advance(&f, SECOND);
    should_rest(&f);
    world_end(&f.spec, &f.world, &running, OUTCOME_DONE);
    advance(&f, SECOND);
    should_rest(&f);
    should_wait(&f, "web-1", REASON_PAUSED);
    f.world.paused = false;
    advance(&f, 0);
    should(&f, ACTION_CONFIGURE, "web-1", REASON_DRIFT);
}

/* S4, S6. */

static void nothing_destructive_while_a_breaker_is_open(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 6, 10);
    f.world_groups[WEB].breaker.open =
        (struct world_latch){.on = true, .since_ms = f.world.now_ms, .seen_ms = f.world.now_ms};
    advance(&f, SECOND);
    should_rest(&f);
    should_wait(&f, "web-1", REASON_BREAKER);
    f.world_groups[WEB].breaker.open.on = false;
    f.world_zones[RACK_A].breaker.open =
        (struct world_latch){.on = true, .since_ms = f.world.now_ms, .seen_ms = f.world.now_ms};
    roles_differ(&f, "web-2"); /* In the other rack. */
    advance(&f, SECOND);
    should_wait(&f, "web-1", REASON_BREAKER);
    assert_string_equal(hold_on(&f, "web-1")->reason.name, "rack-a");
    should_mark(&f, "web-2", LIFECYCLE_DRAINING, REASON_LEAVES_FOR_CHANGE);
}

static void nothing_destructive_in_a_lost_zone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 6, 10);
    f.world_zones[RACK_A].lost =
        (struct world_latch){.on = true, .since_ms = f.world.now_ms, .seen_ms = f.world.now_ms};
    advance(&f, SECOND);
    should_not(&f, ACTION_MARK, "web-1");
    should_wait(&f, "web-1", REASON_ZONE_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_minimum_rounds_up),
        cmocka_unit_test(hosts_that_are_to_be_spare_are_kept_above_the_minimum),
        cmocka_unit_test(what_gives_nothing_may_always_be_taken),
        cmocka_unit_test(one_that_leaves_is_not_waited_for),
        cmocka_unit_test(a_group_without_a_pool_has_no_minimum),
        cmocka_unit_test(losses_are_charged_first),
        cmocka_unit_test(one_that_only_the_prober_loses_is_charged_too),
        cmocka_unit_test(standby_is_charged),
        cmocka_unit_test(what_has_not_baked_is_not_counted),
        cmocka_unit_test(one_at_a_time_whatever_takes_it_out),
        cmocka_unit_test(one_that_is_being_made_takes_no_turn),
        cmocka_unit_test(only_one_is_allowed_in_a_step),
        cmocka_unit_test(the_next_waits_for_the_bake_time_of_the_last),
        cmocka_unit_test(one_that_is_out_does_not_wait_for_the_bake_time),
        cmocka_unit_test(the_cluster_has_a_share_of_its_own),
        cmocka_unit_test(what_is_stale_is_asked_for_first),
        cmocka_unit_test(a_balancer_that_never_told_is_asked_and_a_busy_one_waited_for),
        cmocka_unit_test(a_pause_of_any_of_the_three_stops_it),
        cmocka_unit_test(a_paused_group_neither_grows_nor_shrinks),
        cmocka_unit_test(what_runs_when_the_pause_comes_is_not_cut_off),
        cmocka_unit_test(nothing_destructive_while_a_breaker_is_open),
        cmocka_unit_test(nothing_destructive_in_a_lost_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
