/* The refresh of a group: who is replaced and when, what stops it, the way back, captures. */
#include "fixture.h"

#include "core/refresh.h"

#define OLD 0x1111
#define NEW 0x2222

static void begin(struct fixture *f)
{
    fixture_init(f);
    f->world_groups[WEB].content = OLD;
    settle(f);
    assert_int_equal(the(f, "web-1")->content, OLD);
}

static struct world_refresh asked(void)
{
    return (struct world_refresh){.wanted = NEW, .before = OLD, .rollback = true};
}

static void refresh(struct fixture *f, struct world_refresh r)
{
    world_refresh_begin(&f->world, WEB, &r);
}

static enum world_refresh_state state_of(const struct fixture *f)
{
    return f->world_groups[WEB].refresh.state;
}

/* Members of WEB in service with that content. */
static size_t with(const struct fixture *f, uint64_t content)
{
    size_t found = 0;
    for (size_t i = 0; i < f->world.instance_count; i++) {
        const struct world_instance *it = &f->instances[i];
        found += it->group == WEB && it->lifecycle == LIFECYCLE_IN_SERVICE && it->content == content
                     ? 1
                     : 0;
    }
    return found;
}

/* Until COUNT have the new content, and the survey counts on them. */
static void until_replaced(struct fixture *f, size_t replaced)
{
    for (int i = 0; i < 3000; i++) {
        struct survey s = count(f);
        if (refresh_count(&s, WEB).replaced >= replaced) {
            return;
        }
        advance(f, SECOND);
        for (size_t a = 0; a < f->decision.action_count; a++) {
            world_expect(&f->spec, &f->world, &f->actions[a]);
        }
    }
    fail_msg("never %zu replaced", replaced);
}

static void all_are_replaced_and_the_minimum_holds(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    refresh(&f, asked());
    size_t least = 99;
    size_t most = 0;
    for (int i = 0; i < 2000 && world_refresh_is_active(state_of(&f)); i++) {
        advance(&f, SECOND);
        /* One at a time: at most one leaves, and at most one is being made. */
        assert_true(count_actions(&f, ACTION_MARK, WEB) <= 2);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
        struct survey s = count(&f);
        least = s.groups[WEB].serving < least ? s.groups[WEB].serving : least;
        most = s.groups[WEB].members > most ? s.groups[WEB].members : most;
        assert_true(refresh_count(&s, WEB).moving <= 1);
    }
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
    assert_int_equal(with(&f, NEW), 3);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(least, 3); /* There is room: launch before terminate. */
    assert_int_equal(most, 4);
    settle(&f);
    should_rest(&f);
    assert_int_equal(f.world_groups[WEB].content, NEW);
}

/* Max is desired: one leaves first, and only where the minimum allows. */
static void without_room_it_terminates_first(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].max = 3;
    refresh(&f, asked());
    size_t least = 99;
    for (int i = 0; i < 2000 && world_refresh_is_active(state_of(&f)); i++) {
        advance(&f, SECOND);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
        size_t now = serving(&f, WEB);
        least = now < least ? now : least;
    }
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
    assert_int_equal(least, 2);

    begin(&f);
    f.groups[WEB].max = 3;
    f.groups[WEB].healthy_min_percent = 100;
    refresh(&f, asked());
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_RUNNING);
    assert_int_equal(with(&f, OLD), 3); /* S1: refused, and said. */
    const struct hold *hold = NULL;
    for (size_t i = 0; i < f.decision.hold_count; i++) {
        if (f.decision.holds[i].reason.code == REASON_BELOW_MINIMUM) {
            hold = &f.decision.holds[i];
        }
    }
    assert_non_null(hold);
    assert_int_equal(hold->kind, HOLD_REFUSED);
}

/* The first alone; then as many at a time as healthy-max leaves room for. */
static void the_first_goes_alone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].max = 12;
    f.groups[WEB].healthy_max_percent = 150;
    f.world_groups[WEB].desired = 6;
    settle(&f);
    refresh(&f, asked());
    advance(&f, 0);
    assert_int_equal(count_actions(&f, ACTION_MARK, WEB), 1);
    size_t most = 0;
    for (int i = 0; i < 3000 && world_refresh_is_active(state_of(&f)); i++) {
        struct survey s = count(&f);
        struct refresh_count c = refresh_count(&s, WEB);
        most = c.moving > most ? c.moving : most;
        assert_true(c.replaced > 0 || c.moving <= 1);
        assert_true(s.groups[WEB].serving >= 6);
        advance(&f, SECOND);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
    }
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
    assert_int_equal(most, 3);
}

static void who_has_it_already_is_passed_by(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-1")->content = NEW;
    refresh(&f, asked());
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
    assert_int_equal(the(&f, "web-1")->lifecycle, LIFECYCLE_IN_SERVICE);
    /* Unless all are asked for. */
    struct world_refresh r = asked();
    r.all = true;
    r.before = NEW;
    refresh(&f, r);
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
    assert_int_equal(members(&f, WEB), 3);
    for (size_t i = 0; i < f.world.instance_count; i++) {
        const struct world_instance *it = &f.instances[i];
        assert_false(it->group == WEB && it->lifecycle != LIFECYCLE_TERMINATED && it->number <= 5);
    }
}

static void a_new_one_warms_up_before_the_next(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_refresh r = asked();
    r.warm_up_ms = 5 * MINUTE;
    refresh(&f, r);
    until_replaced(&f, 1);
    const struct world_instance *it = the(&f, "web-4");
    assert_true(f.world.now_ms - it->in_service_ms >= 5 * MINUTE);
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
}

static void it_waits_at_checkpoints(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_refresh r = asked();
    r.checkpoints[0] = 30;
    r.checkpoints[1] = 100;
    r.checkpoint_count = 2;
    r.checkpoint_delay_ms = -1;
    refresh(&f, r);
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_CHECKPOINT);
    assert_int_equal(with(&f, NEW), 1);
    group_should_wait(&f, WEB, REASON_REFRESH_WAITS_AT);
    assert_true(world_refresh_go_on(&f.world, WEB));
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_CHECKPOINT);
    assert_int_equal(with(&f, NEW), 3);
    assert_true(world_refresh_go_on(&f.world, WEB));
    assert_false(world_refresh_go_on(&f.world, WEB));
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);

    begin(&f);
    r.checkpoint_count = 1;
    r.checkpoint_delay_ms = 20 * MINUTE;
    refresh(&f, r);
    until_replaced(&f, 1);
    advance(&f, SECOND);
    (void)move_on(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_CHECKPOINT);
    int64_t since_ms = f.world.now_ms;
    until_replaced(&f, 2);
    assert_true(f.world.now_ms - since_ms >= 20 * MINUTE);
}

static void it_bakes_at_the_end(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_refresh r = asked();
    r.bake_ms = 9 * MINUTE;
    refresh(&f, r);
    until_replaced(&f, 3);
    settle(&f);
    assert_true(state_of(&f) == WORLD_REFRESH_DONE);
    assert_true(f.world.now_ms - f.world_groups[WEB].refresh.began_ms >= 9 * MINUTE);
}

/* A bad image. */

static void a_new_one_that_never_comes_is_the_end(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    refresh(&f, asked());
    for (int i = 0; i < 20 && action_on(&f, ACTION_CONFIGURE, "web-4") == NULL; i++) {
        advance(&f, SECOND);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            if (f.actions[a].kind != ACTION_CONFIGURE) {
                world_expect(&f.spec, &f.world, &f.actions[a]);
            }
        }
    }
    const struct action action = *action_on(&f, ACTION_CONFIGURE, "web-4");
    world_begin(&f.spec, &f.world, &action);
    world_end(&f.spec, &f.world, &action, OUTCOME_PERMANENT);
    advance(&f, 0);
    assert_int_equal(f.actions[0].kind, ACTION_REFRESH);
    assert_int_equal(f.actions[0].refresh, WORLD_REFRESH_BACK);
    assert_int_equal(f.actions[0].reason.code, REASON_REFRESH_FAILED);
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_ROLLED_BACK);
    assert_int_equal(with(&f, OLD), 3);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(f.world_groups[WEB].content, OLD);
    /* None of the old ones was touched. */
    assert_int_equal(the(&f, "web-1")->lifecycle, LIFECYCLE_IN_SERVICE);
    assert_int_equal(the(&f, "web-2")->lifecycle, LIFECYCLE_IN_SERVICE);
    assert_int_equal(the(&f, "web-3")->lifecycle, LIFECYCLE_IN_SERVICE);
}

/* The checks of those that never came fail; the world goes on until the refresh turns back. */
static void newcomers_fail(struct fixture *f)
{
    for (int i = 0; i < 600 && state_of(f) == WORLD_REFRESH_RUNNING; i++) {
        advance(f, SECOND);
        for (size_t a = 0; a < f->decision.action_count; a++) {
            world_expect(&f->spec, &f->world, &f->actions[a]);
        }
        for (size_t k = 0; k < f->world.instance_count; k++) {
            struct world_instance *it = &f->instances[k];
            if (it->content == NEW && it->configured && it->in_service_ms == 0) {
                witness(&it->health, WORLD_UNHEALTHY, f->world.now_ms);
                assert_int_not_equal(it->lifecycle, LIFECYCLE_IN_SERVICE);
            }
        }
    }
    assert_int_equal(state_of(f), WORLD_REFRESH_BACK);
}

/* It runs, and its check fails until its grace is over. */
static void a_new_one_that_is_never_ready_is_the_end(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    refresh(&f, asked());
    newcomers_fail(&f);
    unsigned next = f.world_groups[WEB].next_number;
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_ROLLED_BACK);
    assert_int_equal(with(&f, OLD), 3);
    assert_int_equal(f.world_groups[WEB].next_number, next); /* Nobody was made in its place. */
}

/* The way back, with no room for others beside them. */
static void what_a_bad_image_made_does_not_open_the_breaker(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].max = 3;
    f.groups[WEB].healthy_max_percent = 100;
    struct world_refresh r = asked();
    r.state = WORLD_REFRESH_BACK;
    r.began_ms = f.world.now_ms;
    f.world_groups[WEB].refresh = r;
    for (const char *id = "web-1"; id != NULL; id = id[4] == '1' ? "web-2" : NULL) {
        struct world_instance *it = the(&f, id);
        it->lifecycle = LIFECYCLE_PENDING;
        it->content = NEW;
        it->in_service_ms = 0;
        it->made_ms = it->ready_ms = f.world.now_ms;
        set_health(&f, id, WORLD_UNHEALTHY);
        set_targets(&f, id, WORLD_TARGET_ABSENT);
    }
    f.world.now_ms += FIXTURE_GRACE_MS;
    look_at_balancers(&f);
    judge_now(&f);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_UNREADY);
    assert_true(f.world_groups[WEB].breaker.open.on);
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_ROLLED_BACK);
    assert_int_equal(with(&f, OLD), 3);
}

static void half_way(struct fixture *f, struct world_refresh r)
{
    begin(f);
    refresh(f, r);
    until_replaced(f, 2);
}

static void one_that_goes_bad_in_service_is_the_end(void **state)
{
    (void)state;
    struct fixture f;
    half_way(&f, asked());
    const char *id = the(&f, "web-4")->id;
    for (int i = 0; i < 60 && state_of(&f) == WORLD_REFRESH_RUNNING; i++) {
        set_health(&f, id, WORLD_UNHEALTHY);
        for (size_t t = 0; t < f.world.target_count; t++) {
            if (f.targets[t].member == find(&f, id)) {
                f.targets[t].state = WORLD_TARGET_DOWN;
            }
        }
        advance(&f, SECOND);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            if (f.actions[a].kind == ACTION_REFRESH) {
                assert_int_equal(f.actions[a].reason.code, REASON_REFRESH_UNWELL);
                world_expect(&f.spec, &f.world, &f.actions[a]);
            }
        }
    }
    assert_int_equal(state_of(&f), WORLD_REFRESH_BACK);
}

/* Its restart mends it, and then it is unready again. */
static void one_that_is_mended_in_vain_is_the_end(void **state)
{
    (void)state;
    struct fixture f;
    half_way(&f, asked());
    struct world_instance *it = the(&f, "web-4");
    it->rung = WORLD_RUNG_RESTART;
    it->rung_ms = f.world.now_ms;
    it->ready_ms = f.world.now_ms - FIXTURE_GRACE_MS;
    set_health(&f, "web-4", WORLD_UNHEALTHY);
    for (size_t t = 0; t < f.world.target_count; t++) {
        if (f.targets[t].member == find(&f, "web-4")) {
            f.targets[t].state = WORLD_TARGET_DOWN;
        }
    }
    advance(&f, SECOND);
    assert_int_equal(f.actions[0].kind, ACTION_REFRESH);
    assert_int_equal(f.actions[0].refresh, WORLD_REFRESH_BACK);
    assert_int_equal(f.actions[0].reason.code, REASON_REFRESH_UNWELL);
}

static void its_alarm_is_the_end(void **state)
{
    (void)state;
    struct fixture f;
    half_way(&f, asked());
    f.world_groups[WEB].refresh.alarm = WORLD_UNHEALTHY;
    advance(&f, 0);
    assert_int_equal(f.actions[0].kind, ACTION_REFRESH);
    assert_int_equal(f.actions[0].reason.code, REASON_REFRESH_ALARM);
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_ROLLED_BACK);
    assert_int_equal(with(&f, OLD), 3);
    assert_int_equal(members(&f, WEB), 3);

    /* Where no way back is wanted it stops as it is. */
    struct world_refresh r = asked();
    r.rollback = false;
    half_way(&f, r);
    size_t new = with(&f, NEW);
    f.world_groups[WEB].refresh.alarm = WORLD_UNHEALTHY;
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_STOPPED);
    assert_true(with(&f, NEW) <= new);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(f.world_groups[WEB].content, OLD);
    should_rest(&f);
}

static void an_operator_ends_it(void **state)
{
    (void)state;
    struct fixture f;
    half_way(&f, asked());
    assert_true(world_refresh_end(&f.world, WEB, false));
    assert_int_equal(state_of(&f), WORLD_REFRESH_CANCELLED);
    settle(&f);
    should_rest(&f);
    assert_int_equal(members(&f, WEB), 3);
    assert_int_equal(serving(&f, WEB), 3);
    for (size_t i = 0; i < f.world.instance_count; i++) {
        assert_int_not_equal(f.instances[i].wish == WORLD_WISH_REFRESH &&
                                 f.instances[i].lifecycle != LIFECYCLE_TERMINATED,
                             1);
    }
    assert_false(world_refresh_end(&f.world, WEB, false));
    /* What is over can still be taken back. */
    assert_true(world_refresh_end(&f.world, WEB, true));
    settle(&f);
    assert_int_equal(state_of(&f), WORLD_REFRESH_ROLLED_BACK);
    assert_int_equal(with(&f, OLD), 3);
    assert_false(world_refresh_end(&f.world, WEB, true));
}

/* Those set aside. */

static void protected_and_standby_ones(void **state)
{
    (void)state;
    static const enum world_refresh_policy policies[] = {WORLD_REFRESH_WAIT, WORLD_REFRESH_REPLACE,
                                                         WORLD_REFRESH_IGNORE};
    for (size_t p = 0; p < 3; p++) {
        for (int standby = 0; standby < 2; standby++) {
            struct fixture f;
            begin(&f);
            struct world_refresh r = asked();
            r.protected_ones = standby ? WORLD_REFRESH_WAIT : policies[p];
            r.standby_ones = standby ? policies[p] : WORLD_REFRESH_WAIT;
            if (standby) {
                the(&f, "web-2")->wish = WORLD_WISH_STANDBY;
                settle(&f);
                assert_int_equal(the(&f, "web-2")->lifecycle, LIFECYCLE_STANDBY);
            } else {
                the(&f, "web-2")->protect = true;
            }
            refresh(&f, r);
            settle(&f);
            bool stays = policies[p] != WORLD_REFRESH_REPLACE;
            bool there = false;
            for (size_t i = 0; i < f.world.instance_count; i++) {
                there = there || (strcmp(f.instances[i].id, "web-2") == 0 &&
                                  f.instances[i].lifecycle != LIFECYCLE_TERMINATED);
            }
            assert_int_equal(there, stays);
            assert_int_equal(state_of(&f), policies[p] == WORLD_REFRESH_WAIT ? WORLD_REFRESH_RUNNING
                                                                             : WORLD_REFRESH_DONE);
            if (policies[p] == WORLD_REFRESH_WAIT) {
                group_should_wait(&f, WEB, REASON_REFRESH_WAITS_FOR);
                the(&f, "web-2")->protect = false;
                the(&f, "web-2")->wish = WORLD_WISH_NONE;
                settle(&f);
                assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
                assert_int_equal(with(&f, NEW), 3);
            }
        }
    }
}

static void what_differs_is_replaced_and_not_changed_in_place(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int n = 1; n <= 3; n++) {
        char id[WORLD_ID_SIZE];
        instance_id(id, "web", (unsigned)n);
        the(&f, id)->drift = WORLD_DRIFT_PENDING;
    }
    refresh(&f, asked());
    for (int i = 0; i < 2000 && world_refresh_is_active(state_of(&f)); i++) {
        advance(&f, SECOND);
        for (size_t a = 0; a < f.decision.action_count; a++) {
            const struct world_instance *it =
                f.actions[a].instance == WORLD_NONE ? NULL : &f.instances[f.actions[a].instance];
            assert_false(it != NULL && it->content == OLD && f.actions[a].kind == ACTION_CONFIGURE);
            world_expect(&f.spec, &f.world, &f.actions[a]);
        }
    }
    assert_int_equal(state_of(&f), WORLD_REFRESH_DONE);
}

static void it_stands_still_where_it_must(void **state)
{
    (void)state;
    static const unsigned suspended[] = {WORLD_PROCESS_LAUNCH, WORLD_PROCESS_TERMINATE};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f);
        f.world_groups[WEB].suspended = suspended[i];
        refresh(&f, asked());
        settle(&f);
        assert_int_equal(with(&f, OLD), 3);
        group_should_wait(&f, WEB, REASON_SUSPENDED);
    }
    struct fixture f;
    begin(&f);
    f.world_groups[WEB].paused = true;
    refresh(&f, asked());
    settle(&f);
    assert_int_equal(with(&f, OLD), 3);
    group_should_wait(&f, WEB, REASON_PAUSED);
}

/* Captures (S3). */

static void a_capture_is_granted_by_the_budget(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-1")->capture = WORLD_CAPTURE_WANTED;
    (void)move_on(&f);
    assert_int_equal(the(&f, "web-1")->capture, WORLD_CAPTURE_GRANTED);
    assert_int_equal(serving(&f, WEB), 3);
    /* Nobody else is taken away meanwhile, nor is it. */
    the(&f, "web-2")->drift = WORLD_DRIFT_PENDING;
    the(&f, "web-1")->drift = WORLD_DRIFT_PENDING;
    advance(&f, SECOND);
    should_rest(&f);
    should_wait(&f, "web-1", REASON_CAPTURED);
    should_wait(&f, "web-2", REASON_WAITS_FOR_OTHER);
    the(&f, "web-1")->capture = WORLD_CAPTURE_NONE;
    settle(&f);
    assert_int_equal(the(&f, "web-2")->drift, WORLD_DRIFT_NONE);
    /* And it waits for others in turn. */
    the(&f, "web-3")->lifecycle = LIFECYCLE_DRAINING;
    the(&f, "web-3")->drift = WORLD_DRIFT_PENDING;
    the(&f, "web-1")->capture = WORLD_CAPTURE_WANTED;
    advance(&f, 0);
    assert_null(action_on(&f, ACTION_MARK, "web-1"));
    should_wait(&f, "web-1", REASON_WAITS_FOR_OTHER);
    settle(&f);
    assert_int_equal(the(&f, "web-1")->capture, WORLD_CAPTURE_GRANTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_replaced_and_the_minimum_holds),
        cmocka_unit_test(without_room_it_terminates_first),
        cmocka_unit_test(the_first_goes_alone),
        cmocka_unit_test(who_has_it_already_is_passed_by),
        cmocka_unit_test(a_new_one_warms_up_before_the_next),
        cmocka_unit_test(it_waits_at_checkpoints),
        cmocka_unit_test(it_bakes_at_the_end),
        cmocka_unit_test(a_new_one_that_never_comes_is_the_end),
        cmocka_unit_test(a_new_one_that_is_never_ready_is_the_end),
        cmocka_unit_test(what_a_bad_image_made_does_not_open_the_breaker),
        cmocka_unit_test(one_that_goes_bad_in_service_is_the_end),
        cmocka_unit_test(one_that_is_mended_in_vain_is_the_end),
        cmocka_unit_test(its_alarm_is_the_end),
        cmocka_unit_test(an_operator_ends_it),
        cmocka_unit_test(protected_and_standby_ones),
        cmocka_unit_test(what_differs_is_replaced_and_not_changed_in_place),
        cmocka_unit_test(it_stands_still_where_it_must),
        cmocka_unit_test(a_capture_is_granted_by_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
