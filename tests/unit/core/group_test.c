/* A group's size: growing, shrinking, replacing within its bounds, and keeping zones even. */
#include "fixture.h"

static void begin(struct fixture *f, unsigned desired)
{
    fixture_init(f);
    f->world_groups[WEB].desired = desired;
    settle(f);
}

/* Growing. */

static void it_grows_to_what_is_desired(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3);
    f.world_groups[WEB].desired = 5;
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 2);
    assert_int_equal(f.actions[0].reason.code, REASON_GROUP_SHORT);
    assert_int_equal(f.actions[0].reason.a, 3);
    assert_int_equal(f.actions[0].reason.b, 5);
    assert_int_equal(f.actions[0].number, 4);
    assert_int_equal(f.actions[0].zone, RACK_B);
    assert_int_equal(f.actions[1].number, 5);
    assert_int_equal(f.actions[1].zone, RACK_A);
    settle(&f);
    assert_int_equal(serving(&f, WEB), 5);
}

/* S2: who is there and not to be counted on uses up room all the same. */
static void it_never_has_more_than_its_most(void **state)
{
    (void)state;
    static const struct {
        unsigned max, healthy_max_percent;
        size_t most;
    } cases[] = {
        {6, 110, 6}, {3, 110, 3}, {3, 133, 3}, {3, 134, 4}, {3, 200, 6}, {10, 100, 10}, {0, 100, 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, 3);
        f.groups[WEB].max = cases[i].max;
        f.groups[WEB].healthy_max_percent = cases[i].healthy_max_percent;
        assert_int_equal(world_most(&f.spec, &f.world, WEB), cases[i].most);
        for (int n = 1; n <= 3; n++) {
            char id[WORLD_ID_SIZE];
            instance_id(id, "web", (unsigned)n);
            the(&f, id)->wish = WORLD_WISH_REPLACE;
        }
        size_t room = cases[i].most - 3;
        advance(&f, 0);
        assert_int_equal(count_actions(&f, ACTION_ADD, WEB), room > 3 ? 3 : room);
        if (room < 3) {
            group_should_wait(&f, WEB, REASON_AT_MOST);
        } else {
            assert_null(group_hold(&f, WEB));
        }
    }
}

static void why_it_does_not_launch(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3);
    f.world_groups[WEB].desired = 4;
    f.world_groups[WEB].suspended = WORLD_PROCESS_LAUNCH;
    advance(&f, 0);
    should_rest(&f);
    group_should_wait(&f, WEB, REASON_SUSPENDED);
    f.world_groups[WEB].suspended = WORLD_PROCESS_TERMINATE;
    f.world_groups[WEB].failed_launches = LADDER_LAUNCHES_MAX; /* S9 */
    advance(&f, 0);
    should_rest(&f);
    group_should_stick(&f, WEB, REASON_LAUNCHES_FAIL);
    f.world_groups[WEB].failed_launches = LADDER_LAUNCHES_MAX - 1;
    f.room[WEB * 2 + RACK_A] = f.room[WEB * 2 + RACK_B] = 0;
    advance(&f, 0);
    should_rest(&f);
    group_should_stick(&f, WEB, REASON_NO_ROOM);
    f.room[WEB * 2 + RACK_A] = 1;
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
}

/* S6: what a lost zone held is made up for in the others. */
static void a_lost_zone_gets_no_more(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3);
    f.world_zones[RACK_B].lost =
        (struct world_latch){.on = true, .since_ms = f.world.now_ms, .seen_ms = f.world.now_ms};
    host_is_lost(&f, "web-2");
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
    assert_int_equal(f.actions[0].zone, RACK_A);
    should_not(&f, ACTION_CYCLE, NULL);
    should_wait(&f, "web-2", REASON_WAITS_TO_CONFIRM);
    advance(&f, LADDER_CONFIRM_MS);
    should_wait(&f, "web-2", REASON_ZONE_LOST);
}

/* Shrinking. */

static void one_leaves_at_a_time_and_the_others_serve(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 6);
    f.groups[WEB].min = 1;
    f.world_groups[WEB].desired = 3;
    size_t left = 0;
    for (int i = 0; i < 300 && members(&f, WEB) > 3; i++) {
        advance(&f, SECOND);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            left += f.actions[a].kind == ACTION_TERMINATE ? 1 : 0;
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
        assert_true(count(&f).groups[WEB].leaving <= 1);
        assert_true(serving(&f, WEB) >= 3);
    }
    settle(&f);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(left, 2); /* The third is still leaving when the loop ends. */
}

/* By the policy, among those of the fullest zone. */
static void who_leaves_first(void **state)
{
    (void)state;
    static const struct {
        enum spec_termination policy;
        const char *outdated; /* Whose roles differ. */
        const char *leaver;
    } cases[] = {
        {SPEC_TERMINATION_OLDEST, NULL, "web-1"},
        {SPEC_TERMINATION_NEWEST, NULL, "web-5"},
        {SPEC_TERMINATION_OLDEST_TEMPLATE, NULL, "web-5"}, /* All the same: the highest number. */
        {SPEC_TERMINATION_OLDEST_TEMPLATE, "web-3", "web-3"},
        {SPEC_TERMINATION_OLDEST_TEMPLATE, "web-2", "web-5"}, /* Not of the fullest zone. */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, 5); /* rack-a: 1, 3, 5; rack-b: 2, 4. */
        f.groups[WEB].termination = cases[i].policy;
        the(&f, "web-1")->made_ms = -HOUR; /* Before this machine came up. */
        the(&f, "web-3")->made_ms = 0;
        the(&f, "web-5")->made_ms = HOUR / 10;
        f.world_groups[WEB].desired = 4;
        f.world_groups[WEB].suspended = WORLD_PROCESS_CHANGE;
        if (cases[i].outdated != NULL) {
            roles_differ(&f, cases[i].outdated);
        }
        advance(&f, 0);
        should_mark(&f, cases[i].leaver, LIFECYCLE_TERMINATING, REASON_GROUP_LONG);
    }
}

static void one_that_is_bad_leaves_before_one_that_is_well(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 5);
    service_fails(&f, "web-2"); /* Not even of the fullest zone. */
    f.world_groups[WEB].desired = 4;
    advance(&f, 0);
    should_mark(&f, "web-2", LIFECYCLE_TERMINATING, REASON_GROUP_LONG);
}

static void protected_ones_stay(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3);
    f.world_groups[WEB].desired = 2;
    the(&f, "web-3")->protect = true;
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_TERMINATING, REASON_GROUP_LONG);
    the(&f, "web-1")->protect = true;
    the(&f, "web-2")->protect = true;
    advance(&f, 0);
    should_rest(&f);
    group_should_stick(&f, WEB, REASON_PROTECTED);
}

static void scale_in_keeps_the_minimum_and_the_word_of_an_operator(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4);
    f.groups[WEB].spare = 3;
    f.world_groups[WEB].desired = 3; /* Minimum 2, and 3 more could be lost. */
    advance(&f, 0);
    should_rest(&f);
    f.groups[WEB].spare = 0;
    f.world_groups[WEB].suspended = WORLD_PROCESS_TERMINATE;
    advance(&f, 0);
    should_rest(&f);
    group_should_wait(&f, WEB, REASON_SUSPENDED);
}

/* S2: the one that stays in its place serves first. */
static void one_that_serves_leaves_when_enough_others_do(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4);
    the(&f, "web-4")->in_service_ms = f.world.now_ms; /* Came just now: not counted on. */
    the(&f, "web-4")->protect = true;
    f.world_groups[WEB].desired = 3;
    advance(&f, FIXTURE_BAKE_MS - 1);
    should_rest(&f);
    group_should_wait(&f, WEB, REASON_WAITS_FOR_NEW);
    advance(&f, 1);
    assert_int_equal(count_actions(&f, ACTION_MARK, WEB), 1);
}

/* One that may serve waits for those that stay, not for itself. */
static void one_that_is_disputed_leaves_when_the_others_serve(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4);
    f.groups[WEB].termination = SPEC_TERMINATION_NEWEST;
    f.world_groups[WEB].desired = 3;
    set_health(&f, "web-4", WORLD_UNHEALTHY); /* Its balancer has it up. */
    the(&f, "web-3")->in_service_ms = f.world.now_ms;
    the(&f, "web-1")->protect = the(&f, "web-2")->protect = the(&f, "web-3")->protect = true;
    advance(&f, FIXTURE_BAKE_MS - 1);
    should_be_judged(&f, "web-4", WORLD_VERDICT_DISPUTED);
    should_rest(&f);
    group_should_wait(&f, WEB, REASON_WAITS_FOR_NEW);
    assert_int_equal(group_hold(&f, WEB)->reason.a, 2);
    assert_int_equal(group_hold(&f, WEB)->reason.b, 3);
    advance(&f, 1);
    should_mark(&f, "web-4", LIFECYCLE_TERMINATING, REASON_GROUP_LONG);
}

/* Standby keeps its place in the size: what is in standby need not be made up for first. */
static void with_one_in_standby_it_shrinks_all_the_same(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4);
    the(&f, "web-4")->wish = WORLD_WISH_STANDBY;
    settle(&f);
    assert_int_equal(the(&f, "web-4")->lifecycle, LIFECYCLE_STANDBY);
    assert_int_equal(members(&f, WEB), 4);
    f.world_groups[WEB].desired = 3;
    advance(&f, 0);
    assert_null(group_hold(&f, WEB));
    assert_int_equal(count_actions(&f, ACTION_MARK, WEB), 1);
    settle(&f);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(serving(&f, WEB), 2);
}

/* Balance. */

static void make_lopsided(struct fixture *f)
{
    fixture_init(f);
    f->room[WEB * 2 + RACK_B] = 0;
    settle(f); /* All three in rack-a. */
    f->room[WEB * 2 + RACK_B] = 10;
}

static void zones_are_made_even_again(void **state)
{
    (void)state;
    struct fixture f;
    make_lopsided(&f);
    advance(&f, 0);
    assert_int_equal(f.decision.action_count, 1);
    assert_int_equal(f.actions[0].kind, ACTION_ADD);
    assert_int_equal(f.actions[0].zone, RACK_B);
    assert_int_equal(f.actions[0].reason.code, REASON_UNBALANCED);
    for (int i = 0; i < 100; i++) { /* Nobody leaves before the new one serves. */
        if (move_on(&f) == 0 && f.decision.deadline_ms != INT64_MAX) {
            f.world.now_ms = f.decision.deadline_ms;
        }
        look_at_balancers(&f);
        assert_true(serving(&f, WEB) >= 3);
    }
    settle(&f);
    assert_int_equal(members(&f, WEB), 3);
    struct survey s = count(&f);
    assert_int_equal(s.zone_standing[WEB * 2 + RACK_A], 2);
    assert_int_equal(s.zone_standing[WEB * 2 + RACK_B], 1);
}

static void when_zones_are_left_uneven(void **state)
{
    (void)state;
    static const enum {
        COOLDOWN,
        REBALANCE,
        LAUNCH,
        MOST,
        PENDING,
        UNREADY,
        FAILED
    } whys[] = {COOLDOWN, REBALANCE, LAUNCH, MOST, PENDING, UNREADY, FAILED};
    for (size_t i = 0; i < sizeof(whys) / sizeof(whys[0]); i++) {
        struct fixture f;
        make_lopsided(&f);
        switch (whys[i]) {
        case COOLDOWN:
            f.groups[WEB].cooldown_ms = HOUR;
            f.world_groups[WEB].size_changed_ms = f.world.now_ms;
            break;
        case REBALANCE: f.world_groups[WEB].suspended = WORLD_PROCESS_REBALANCE; break;
        case LAUNCH: f.world_groups[WEB].suspended = WORLD_PROCESS_LAUNCH; break;
        case MOST:
            f.groups[WEB].max = 3;
            f.groups[WEB].healthy_max_percent = 100;
            break;
        case PENDING:
            the(&f, "web-1")->lifecycle = LIFECYCLE_PENDING;
            the(&f, "web-1")->busy = true;
            break;
        case UNREADY: service_fails(&f, "web-2"); break;
        case FAILED: f.world_groups[WEB].failed_launches = 1; break;
        }
        advance(&f, 0);
        assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 0);
        if (whys[i] == COOLDOWN) {
            assert_true(f.decision.deadline_ms == f.world_groups[WEB].size_changed_ms + HOUR);
            advance(&f, HOUR);
            assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
        }
    }
}

/* The zone that is to get more makes nothing that serves: it is tried once, and then left so until
   a launch has worked again. What is wanted of the group is not kept waiting for it. */
static void a_zone_in_which_launches_fail_gets_no_more(void **state)
{
    (void)state;
    struct fixture f;
    make_lopsided(&f);
    size_t added = 0;
    for (int i = 0; i < 3 * 3600; i += 10) {
        advance(&f, 10 * SECOND);
        added += count_actions(&f, ACTION_ADD, WEB);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            struct action action = f.actions[a];
            bool bad = action.kind == ACTION_GREET && f.instances[action.instance].zone == RACK_B;
            if (bad) {
                world_begin(&f.spec, &f.world, &action);
                world_end(&f.spec, &f.world, &action, OUTCOME_TRANSIENT);
            } else {
                world_expect(&f.spec, &f.world, &action);
            }
        }
    }
    assert_int_equal(added, 1);
    assert_int_equal(members(&f, WEB), 3);
    f.world_groups[WEB].failed_launches = 0; /* `group retry`, or another that came. */
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
}

/* A difference of one is even. */
static void even_zones_are_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3);
    advance(&f, HOUR);
    should_rest(&f);
}

/* Lifetime. */

static void an_old_one_is_replaced_when_all_is_calm(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3);
    f.groups[WEB].max_lifetime_ms = 7 * 24 * HOUR;
    the(&f, "web-1")->made_ms = f.world.now_ms;
    the(&f, "web-2")->made_ms = f.world.now_ms + HOUR;
    the(&f, "web-3")->made_ms = f.world.now_ms + HOUR;
    step(&f);
    assert_true(f.decision.deadline_ms == f.world.now_ms + 7 * 24 * HOUR);
    advance(&f, 7 * 24 * HOUR - 1);
    should_rest(&f);
    the(&f, "web-1")->protect = true;
    advance(&f, 1);
    should_rest(&f);
    the(&f, "web-1")->protect = false;
    service_fails(&f, "web-2");
    advance(&f, 0);
    should_not(&f, ACTION_MARK, "web-1");
    host_is_well(&f, "web-2");
    advance(&f, 0);
    should(&f, ACTION_MARK, "web-1", REASON_TOO_OLD);
    assert_int_equal(f.actions[0].wish, WORLD_WISH_REPLACE);
    assert_int_equal(f.actions[0].lifecycle, LIFECYCLE_IN_SERVICE);
}

static void old_ones_are_replaced_one_by_one(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 3);
    f.groups[WEB].max_lifetime_ms = 24 * HOUR;
    f.world.now_ms += 48 * HOUR;
    size_t least = 3;
    for (int i = 0; i < 600; i++) {
        advance(&f, SECOND);
        assert_true(count_actions(&f, ACTION_MARK, WEB) <= 1);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
        size_t now = serving(&f, WEB);
        least = now < least ? now : least;
        assert_true(members(&f, WEB) <= 4);
    }
    assert_int_equal(least, 3); /* There is room: each goes when its successor serves. */
    assert_int_equal(members(&f, WEB), 3);
    for (size_t i = 0; i < f.world.instance_count; i++) {
        bool old = f.instances[i].group == WEB && f.instances[i].number <= 3;
        assert_false(old && f.instances[i].lifecycle != LIFECYCLE_TERMINATED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_to_what_is_desired),
        cmocka_unit_test(it_never_has_more_than_its_most),
        cmocka_unit_test(why_it_does_not_launch),
        cmocka_unit_test(a_lost_zone_gets_no_more),
        cmocka_unit_test(one_leaves_at_a_time_and_the_others_serve),
        cmocka_unit_test(who_leaves_first),
        cmocka_unit_test(one_that_is_bad_leaves_before_one_that_is_well),
        cmocka_unit_test(protected_ones_stay),
        cmocka_unit_test(scale_in_keeps_the_minimum_and_the_word_of_an_operator),
        cmocka_unit_test(one_that_serves_leaves_when_enough_others_do),
        cmocka_unit_test(one_that_is_disputed_leaves_when_the_others_serve),
        cmocka_unit_test(with_one_in_standby_it_shrinks_all_the_same),
        cmocka_unit_test(zones_are_made_even_again),
        cmocka_unit_test(when_zones_are_left_uneven),
        cmocka_unit_test(a_zone_in_which_launches_fail_gets_no_more),
        cmocka_unit_test(even_zones_are_left_alone),
        cmocka_unit_test(an_old_one_is_replaced_when_all_is_calm),
        cmocka_unit_test(old_ones_are_replaced_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
