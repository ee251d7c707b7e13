/* In and out of the balancers: who is let in when, who is out, and what a balancer itself needs. */
#include "fixture.h"

static void begin_two(struct fixture *f)
{
    fixture_init(f);
    fixture_two_balancers(f);
    settle(f);
}

/* The target of ID on balancer NUMBER (in the world's order). */
static struct world_target *target_of(struct fixture *f, const char *id, size_t balancer)
{
    for (size_t t = 0; t < f->world.target_count; t++) {
        if (f->targets[t].member == find(f, id) && f->targets[t].balancer == balancer) {
            return &f->targets[t];
        }
    }
    fail_msg("no target of %s", id);
    return NULL;
}

static size_t balancer_on(const struct fixture *f, const char *id)
{
    for (size_t b = 0; b < f->world.balancer_count; b++) {
        if (f->balancers[b].instance == find(f, id)) {
            return b;
        }
    }
    fail_msg("no balancer on %s", id);
    return 0;
}

/* Out of service and out of every pool, healthy: about to be let in. */
static void is_new(struct fixture *f, const char *id)
{
    the(f, id)->lifecycle = LIFECYCLE_PENDING;
    the(f, id)->ready_ms = f->world.now_ms;
    set_targets(f, id, WORLD_TARGET_ABSENT);
}

static void every_balancer_lets_it_in_before_it_is_in_service(void **state)
{
    (void)state;
    struct fixture f;
    begin_two(&f);
    is_new(&f, "web-1");
    for (size_t b = 0; b < 2; b++) {
        advance(&f, 0);
        should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
        assert_int_equal(f.actions[0].balancer, b);
        assert_int_equal(f.decision.action_count, 1);
        move_on(&f);
    }
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_SERVING);
}

static void who_is_not_let_in(void **state)
{
    (void)state;
    static const struct {
        enum world_health health;
        enum world_target_state target;
        enum world_sync sync;
        bool busy;
        unsigned suspended;
        enum reason_code code; /* NONE: it is let in. */
    } cases[] = {
        {WORLD_HEALTHY, WORLD_TARGET_ABSENT, WORLD_SYNC_DONE, false, 0, REASON_NONE},
        {WORLD_HEALTHY, WORLD_TARGET_INITIAL, WORLD_SYNC_DONE, false, 0, REASON_NONE},
        {WORLD_HEALTHY, WORLD_TARGET_DRAINING, WORLD_SYNC_DONE, false, 0, REASON_NONE},
        {WORLD_HEALTHY, WORLD_TARGET_MAINTENANCE, WORLD_SYNC_DONE, false, 0, REASON_NONE},
        {WORLD_HEALTHY, WORLD_TARGET_DOWN, WORLD_SYNC_DONE, false, 0, REASON_WAITS_FOR_HEALTH},
        {WORLD_HEALTHY, WORLD_TARGET_UNKNOWN, WORLD_SYNC_DONE, false, 0, REASON_WAITS_FOR_FRONTEND},
        {WORLD_HEALTHY, WORLD_TARGET_ABSENT, WORLD_SYNC_UNKNOWN, false, 0,
         REASON_WAITS_FOR_FRONTEND},
        {WORLD_HEALTHY, WORLD_TARGET_ABSENT, WORLD_SYNC_DIFFERS, false, 0,
         REASON_WAITS_FOR_FRONTEND},
        {WORLD_HEALTHY, WORLD_TARGET_ABSENT, WORLD_SYNC_DONE, true, 0, REASON_WAITS_FOR_FRONTEND},
        {WORLD_UNHEALTHY, WORLD_TARGET_ABSENT, WORLD_SYNC_DONE, false, 0, REASON_WAITS_FOR_HEALTH},
        {WORLD_HEALTH_UNKNOWN, WORLD_TARGET_ABSENT, WORLD_SYNC_DONE, false, 0,
         REASON_WAITS_FOR_HEALTH},
        /* Up, but our own check has not passed: not in service yet. */
        {WORLD_UNHEALTHY, WORLD_TARGET_UP, WORLD_SYNC_DONE, false, 0, REASON_WAITS_FOR_HEALTH},
        {WORLD_HEALTHY, WORLD_TARGET_ABSENT, WORLD_SYNC_DONE, false, WORLD_PROCESS_ADD_TO_BALANCER,
         REASON_SUSPENDED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        fixture_init(&f);
        settle(&f);
        is_new(&f, "web-1");
        the(&f, "web-1")->health.health = cases[i].health;
        set_targets(&f, "web-1", cases[i].target);
        f.balancers[0].sync = cases[i].sync;
        f.balancers[0].busy = cases[i].busy;
        f.world_groups[WEB].suspended = cases[i].suspended;
        advance(&f, 0);
        if (cases[i].code == REASON_NONE) {
            should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
        } else {
            should_not(&f, ACTION_ADMIT, NULL);
            should_not(&f, ACTION_MARK, NULL);
            should_wait(&f, "web-1", cases[i].code);
        }
    }
}

/* The pool goes on with the balancers that are left. */
static void a_balancer_that_is_gone_keeps_nobody_out(void **state)
{
    (void)state;
    static const enum {
        SILENT,
        OFF,
        GONE,
        NOT_YET,
        LEAVES
    } ways[] = {SILENT, OFF, GONE, NOT_YET, LEAVES};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct fixture f;
        begin_two(&f);
        is_new(&f, "web-1");
        struct world_instance *lb = the(&f, "lb-1");
        size_t gone = balancer_on(&f, "lb-1");
        for (size_t t = 0; t < f.world.target_count; t++) {
            if (f.targets[t].balancer == gone) {
                f.targets[t].state = WORLD_TARGET_UNKNOWN;
            }
        }
        if (ways[i] == SILENT || ways[i] == OFF) {
            balancer_falls_silent(&f, "lb-1");
        }
        lb->power = ways[i] == OFF ? WORLD_POWER_OFF : lb->power;
        lb->lifecycle = ways[i] == GONE ? LIFECYCLE_TERMINATED : lb->lifecycle;
        lb->lifecycle = ways[i] == LEAVES ? LIFECYCLE_TERMINATING : lb->lifecycle;
        lb->configured = ways[i] != NOT_YET;
        advance(&f, 0);
        should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
        assert_int_equal(action_on(&f, ACTION_ADMIT, "web-1")->balancer, balancer_on(&f, "lb-2"));
        ends(&f, ACTION_ADMIT, "web-1", OUTCOME_DONE);
        advance(&f, 0);
        should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_SERVING);
        ends(&f, ACTION_MARK, "web-1", OUTCOME_DONE);
        /* One that may still pass traffic is not known to have it: it is not counted as serving. */
        assert_int_equal(serving(&f, WEB), ways[i] == SILENT || ways[i] == LEAVES ? 0 : 3);
    }
}

static void with_all_balancers_gone_nobody_comes_into_service(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    is_new(&f, "web-1");
    host_dies(&f, "lb-1");
    advance(&f, 0);
    should_not(&f, ACTION_ADMIT, NULL);
    should_wait(&f, "web-1", REASON_WAITS_FOR_FRONTEND);
    assert_int_equal(serving(&f, WEB), 0);
    /* And nobody is counted as out either: what is in service there may serve again any moment. */
    assert_int_equal(count(&f).groups[WEB].unsettled, 2);
}

/* The host is being changed only when no balancer may send it traffic. */
static void it_is_out_when_every_balancer_has_it_out(void **state)
{
    (void)state;
    struct fixture f;
    begin_two(&f);
    roles_differ(&f, "web-1");
    the(&f, "web-1")->lifecycle = LIFECYCLE_DRAINING;
    static const enum world_target_state in[] = {WORLD_TARGET_UP, WORLD_TARGET_DOWN,
                                                 WORLD_TARGET_INITIAL, WORLD_TARGET_DRAINING,
                                                 WORLD_TARGET_MAINTENANCE};
    set_targets(&f, "web-1", WORLD_TARGET_ABSENT);
    for (size_t b = 0; b < 2; b++) {
        for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
            target_of(&f, "web-1", b)->state = in[i];
            advance(&f, 0);
            should(&f, ACTION_REMOVE, "web-1", REASON_DRIFT);
            assert_int_equal(action_on(&f, ACTION_REMOVE, "web-1")->balancer, b);
            should_not(&f, ACTION_CONFIGURE, "web-1");
        }
        target_of(&f, "web-1", b)->state = WORLD_TARGET_UNKNOWN;
        advance(&f, 0);
        should_wait(&f, "web-1", REASON_WAITS_FOR_FRONTEND);
        target_of(&f, "web-1", b)->state = WORLD_TARGET_ABSENT;
    }
    advance(&f, 0);
    should(&f, ACTION_CONFIGURE, "web-1", REASON_DRIFT);
}

/* One that was added and is ended before it was ever made: no look has named it yet. */
/* Whoever was begun to be let in by a controller that was killed may come in yet. */
static void one_of_before_is_removed_even_where_it_is_not(void **state)
{
    (void)state;
    struct fixture f;
    begin_two(&f);
    f.world.target_count = 0;
    world_complete(&f.spec, &f.world); /* A controller starts. */
    set_targets(&f, "web-1", WORLD_TARGET_UP);
    set_targets(&f, "web-2", WORLD_TARGET_UP);
    set_targets(&f, "web-3", WORLD_TARGET_ABSENT);
    the(&f, "web-3")->lifecycle = LIFECYCLE_TERMINATING;
    for (size_t b = 0; b < 2; b++) {
        advance(&f, 0);
        should(&f, ACTION_REMOVE, "web-3", REASON_LEAVES_FOR_GOOD);
        should_not(&f, ACTION_TERMINATE, "web-3");
        ends(&f, ACTION_REMOVE, "web-3", OUTCOME_DONE);
    }
    advance(&f, 0);
    should(&f, ACTION_TERMINATE, "web-3", REASON_LEAVES_FOR_GOOD);
}

/* Its removal failed, and may come about yet; then it was wanted again. Until it is let in anew,
   its balancer's word that it is up is not counted on. */
static void one_that_may_leave_yet_is_let_in_again(void **state)
{
    (void)state;
    struct fixture f;
    begin_two(&f);
    the(&f, "web-1")->lifecycle = LIFECYCLE_DRAINING;
    the(&f, "web-1")->wish = WORLD_WISH_STANDBY;
    advance(&f, 0);
    ends(&f, ACTION_REMOVE, "web-1", OUTCOME_TRANSIENT);
    the(&f, "web-1")->wish = WORLD_WISH_NONE;
    advance(&f, MINUTE);
    set_targets(&f, "web-1", WORLD_TARGET_UP);
    advance(&f, 0);
    assert_false(f.decision.survey.serving[find(&f, "web-1")]);
    should_not(&f, ACTION_MARK, "web-1");
    should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
    ends(&f, ACTION_ADMIT, "web-1", OUTCOME_DONE);
    advance(&f, 0);
    assert_true(f.decision.survey.serving[find(&f, "web-1")]);
    should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_UNCHANGED);
}

static void what_is_not_known_there_is_asked(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.world_groups[WEB].desired = 4;
    advance(&f, 0);
    move_on(&f);
    the(&f, "web-4")->lifecycle = LIFECYCLE_TERMINATING;
    advance(&f, 0);
    should(&f, ACTION_COMPARE, "lb-1", REASON_FRONTEND_UNSEEN);
    should_wait(&f, "web-4", REASON_WAITS_FOR_FRONTEND);
    ends(&f, ACTION_COMPARE, "lb-1", OUTCOME_DONE);
    set_targets(&f, "web-4", WORLD_TARGET_ABSENT);
    advance(&f, 0);
    should(&f, ACTION_TERMINATE, "web-4", REASON_LEAVES_FOR_GOOD);
}

/* One that cannot be told, and may pass traffic, is waited for; one that is off is not. */
static void a_balancer_that_cannot_be_told_is_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    begin_two(&f);
    roles_differ(&f, "web-1");
    the(&f, "web-1")->lifecycle = LIFECYCLE_DRAINING;
    target_of(&f, "web-1", balancer_on(&f, "lb-2"))->state = WORLD_TARGET_ABSENT;
    set_power(&f, "lb-1", WORLD_POWER_UNKNOWN); /* Its hypervisor does not answer; it does. */
    advance(&f, 0);
    should_not(&f, ACTION_CONFIGURE, NULL);
    should(&f, ACTION_REMOVE, "web-1", REASON_DRIFT);
    set_power(&f, "lb-1", WORLD_POWER_RUNNING);
    set_alive(&f, "lb-1", WORLD_UNHEALTHY); /* The prober errs: it has told a moment ago. */
    step(&f);
    should(&f, ACTION_REMOVE, "web-1", REASON_DRIFT);
    balancer_falls_silent(&f, "lb-1"); /* We do not reach it; its clients may. */
    advance(&f, 0);
    should_not(&f, ACTION_CONFIGURE, NULL);
    should_wait(&f, "web-1", REASON_WAITS_FOR_FRONTEND);
    set_power(&f, "lb-1", WORLD_POWER_OFF);
    advance(&f, 0);
    should(&f, ACTION_CONFIGURE, "web-1", REASON_DRIFT);
}

static void one_that_goes_stays_when_the_minimum_is_lost_meanwhile(void **state)
{
    (void)state;
    static const enum lifecycle going[] = {LIFECYCLE_DRAINING, LIFECYCLE_TERMINATING};
    for (size_t i = 0; i < sizeof(going) / sizeof(going[0]); i++) {
        struct fixture f;
        fixture_init(&f);
        settle(&f);
        roles_differ(&f, "web-1");
        the(&f, "web-1")->lifecycle = going[i];
        set_health(&f, "web-2", WORLD_UNHEALTHY); /* Right now. */
        advance(&f, 0);
        should_not(&f, ACTION_REMOVE, "web-1");
        if (going[i] == LIFECYCLE_DRAINING) {
            /* It serves on, and waits for its turn again. */
            should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_SERVING);
            continue;
        }
        should_wait(&f, "web-1", REASON_BELOW_MINIMUM);
        set_health(&f, "web-2", WORLD_HEALTHY);
        advance(&f, 0);
        should(&f, ACTION_REMOVE, "web-1", REASON_LEAVES_FOR_GOOD);
    }
}

/* What a balancer itself needs. */

static void a_balancer_is_compared_and_then_made_right(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    f.balancers[0].sync = WORLD_SYNC_UNKNOWN;
    step(&f);
    should(&f, ACTION_COMPARE, "lb-1", REASON_FRONTEND_UNSEEN);
    f.balancers[0].sync = WORLD_SYNC_DIFFERS;
    step(&f);
    should(&f, ACTION_SYNC, "lb-1", REASON_FRONTEND_DIFFERS);
    f.world.paused = true;
    step(&f);
    should_not(&f, ACTION_SYNC, NULL); /* An effect. */
    f.world.paused = false;
    the(&f, "lb-1")->failure = WORLD_FAILURE_TRANSIENT;
    the(&f, "lb-1")->failures = 1;
    the(&f, "lb-1")->failed_ms = f.world.now_ms;
    step(&f);
    should_not(&f, ACTION_SYNC, NULL);
    f.world.now_ms += MINUTE;
    step(&f);
    should(&f, ACTION_SYNC, "lb-1", REASON_FRONTEND_DIFFERS); /* What failed is tried again. */
}

static void balancers_are_made_right_one_at_a_time(void **state)
{
    (void)state;
    struct fixture f;
    begin_two(&f);
    f.balancers[1].sync = WORLD_SYNC_DIFFERS;
    roles_differ(&f, "lb-1");
    step(&f); /* lb-1 is changed in place: not in a pool, so at once. */
    should(&f, ACTION_CONFIGURE, "lb-1", REASON_DRIFT);
    should_not(&f, ACTION_SYNC, NULL);
    begin_all(&f);
    step(&f);
    should_not(&f, ACTION_SYNC, NULL);
}

/* What its check said last was said of a host that is no more (seed 99762). */
static void one_that_is_off_is_not_let_in(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    set_targets(&f, "web-1", WORLD_TARGET_ABSENT);
    the(&f, "web-1")->wish = WORLD_WISH_REPLACE; /* Not while the breaker is open: */
    f.world_groups[WEB].breaker.open =
        (struct world_latch){.on = true, .since_ms = f.world.now_ms, .seen_ms = f.world.now_ms};
    step(&f);
    should(&f, ACTION_ADMIT, "web-1", REASON_NOT_IN_POOL);
    set_power(&f, "web-1", WORLD_POWER_ABSENT);
    set_alive(&f, "web-1", WORLD_UNHEALTHY);
    step(&f);
    should_not(&f, ACTION_ADMIT, "web-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_balancer_lets_it_in_before_it_is_in_service),
        cmocka_unit_test(who_is_not_let_in),
        cmocka_unit_test(a_balancer_that_is_gone_keeps_nobody_out),
        cmocka_unit_test(with_all_balancers_gone_nobody_comes_into_service),
        cmocka_unit_test(it_is_out_when_every_balancer_has_it_out),
        cmocka_unit_test(one_of_before_is_removed_even_where_it_is_not),
        cmocka_unit_test(one_that_may_leave_yet_is_let_in_again),
        cmocka_unit_test(what_is_not_known_there_is_asked),
        cmocka_unit_test(a_balancer_that_cannot_be_told_is_waited_for),
        cmocka_unit_test(one_that_goes_stays_when_the_minimum_is_lost_meanwhile),
        cmocka_unit_test(a_balancer_is_compared_and_then_made_right),
        cmocka_unit_test(one_that_is_off_is_not_let_in),
        cmocka_unit_test(balancers_are_made_right_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
