/*
 * What an action does to the world: every kind, when it begins, and with every outcome. What is not
 * named by a case must stay as it was.
 */
#include "fixture.h"

static struct action action_of(struct fixture *f, enum action_kind kind, const char *id)
{
    size_t instance = find(f, id);
    const struct world_instance *it = &f->instances[instance];
    bool at_balancer = kind == ACTION_ADMIT || kind == ACTION_REMOVE || kind == ACTION_COMPARE ||
                       kind == ACTION_SYNC;
    return (struct action){.kind = kind,
                           .instance = instance,
                           .group = it->group,
                           .zone = it->zone,
                           .number = it->number,
                           .balancer = at_balancer ? 0 : WORLD_NONE,
                           .lifecycle = it->lifecycle,
                           .wish = it->wish};
}

static void begin(struct fixture *f)
{
    fixture_init(f);
    settle(f);
    f->world.now_ms += HOUR; /* So that "now" is told apart from before. */
}

static const enum action_kind works[] = {
    ACTION_LAUNCH, ACTION_GREET, ACTION_INSPECT, ACTION_CONFIGURE, ACTION_COMPARE,
    ACTION_SYNC,   ACTION_ADMIT, ACTION_REMOVE,  ACTION_TERMINATE, ACTION_RESTART,
    ACTION_REBOOT, ACTION_CYCLE, ACTION_CHECK,   ACTION_HOOK,
};
#define WORKS (sizeof(works) / sizeof(works[0]))

static const char *whose(enum action_kind kind)
{
    return kind == ACTION_COMPARE || kind == ACTION_SYNC ? "lb-1" : "web-1";
}

static bool is_rung(enum action_kind kind)
{
    return kind == ACTION_RESTART || kind == ACTION_REBOOT || kind == ACTION_CYCLE;
}

static void what_begins_is_busy_until_it_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORKS; i++) {
        for (int outcome = OUTCOME_DONE; outcome <= OUTCOME_PERMANENT; outcome++) {
            struct fixture f;
            begin(&f);
            struct action action = action_of(&f, works[i], whose(works[i]));
            struct world_instance *it = &f.instances[action.instance];
            world_begin(&f.spec, &f.world, &action);
            assert_true(it->busy);
            assert_int_equal(it->changing, works[i] == ACTION_CONFIGURE || is_rung(works[i]) ||
                                               works[i] == ACTION_REMOVE ||
                                               works[i] == ACTION_TERMINATE);
            assert_int_equal(f.balancers[0].busy, action.balancer != WORLD_NONE);
            world_end(&f.spec, &f.world, &action, (enum outcome)outcome);
            assert_false(it->busy);
            assert_false(it->changing);
            assert_int_equal(it->change_failed,
                             works[i] == ACTION_CONFIGURE && outcome != OUTCOME_DONE);
            assert_false(f.balancers[0].busy);
        }
    }
}

/* S20: one whose end is never heard of, because we were killed, counts as taken. */
static void a_rung_is_taken_when_it_begins(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORKS; i++) {
        struct fixture f;
        begin(&f);
        struct action action = action_of(&f, works[i], whose(works[i]));
        world_begin(&f.spec, &f.world, &action);
        const struct world_instance *it = &f.instances[action.instance];
        assert_int_equal(it->rung, works[i] == ACTION_RESTART  ? WORLD_RUNG_RESTART
                                   : works[i] == ACTION_REBOOT ? WORLD_RUNG_REBOOT
                                   : works[i] == ACTION_CYCLE  ? WORLD_RUNG_CYCLE
                                                               : WORLD_RUNG_NONE);
        assert_int_equal(it->rung_ms, is_rung(works[i]) ? f.world.now_ms : 0);
    }
}

static void a_failure_is_counted_and_changes_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORKS; i++) {
        for (int outcome = OUTCOME_TRANSIENT; outcome <= OUTCOME_PERMANENT; outcome++) {
            struct fixture f;
            begin(&f);
            struct action action = action_of(&f, works[i], whose(works[i]));
            struct world_instance expected = f.instances[action.instance];
            struct world_target targets[FIXTURE_TARGETS];
            memcpy(targets, f.targets, sizeof(targets));
            if (is_rung(works[i])) {
                /* Taken, however it ended: the next one comes, not the same again. */
                expected.rung = works[i] == ACTION_RESTART  ? WORLD_RUNG_RESTART
                                : works[i] == ACTION_REBOOT ? WORLD_RUNG_REBOOT
                                                            : WORLD_RUNG_CYCLE;
                expected.rung_ms = f.world.now_ms;
                expected.custom = (struct world_witness){.since_ms = f.world.now_ms};
            } else if (works[i] != ACTION_CHECK || outcome == OUTCOME_PERMANENT) {
                expected.failure = outcome == OUTCOME_TRANSIENT ? WORLD_FAILURE_TRANSIENT
                                                                : WORLD_FAILURE_PERMANENT;
                expected.failures = 1;
                expected.failed_ms = f.world.now_ms;
                /* What broke one in service must not break the next (S7). */
                expected.change_failed = works[i] == ACTION_CONFIGURE;
            }
            /* It may have come about: what its provider said before is in doubt. */
            expected.power_doubtful = works[i] == ACTION_LAUNCH && outcome == OUTCOME_TRANSIENT;
            if (works[i] == ACTION_CHECK) {
                expected.custom = (struct world_witness){.since_ms = f.world.now_ms};
            }
            expected.custom_ms = works[i] == ACTION_CHECK ? f.world.now_ms : expected.custom_ms;
            world_end(&f.spec, &f.world, &action, (enum outcome)outcome);
            for (size_t t = 0; t < f.world.target_count; t++) {
                /* It may come about yet. */
                bool its =
                    targets[t].member == action.instance && targets[t].balancer == action.balancer;
                targets[t].doubtful = works[i] == ACTION_ADMIT && its;
                targets[t].may_leave = works[i] == ACTION_REMOVE && its;
            }
            assert_memory_equal(&f.instances[action.instance], &expected, sizeof(expected));
            assert_memory_equal(f.targets, targets, sizeof(targets));
        }
    }
}

static void success_clears_a_failure(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORKS; i++) {
        struct fixture f;
        begin(&f);
        struct action action = action_of(&f, works[i], whose(works[i]));
        f.instances[action.instance].failure = WORLD_FAILURE_TRANSIENT;
        f.instances[action.instance].failures = 2;
        world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
        if (works[i] == ACTION_CHECK) { /* What failed was something else. */
            assert_int_equal(f.instances[action.instance].failure, WORLD_FAILURE_TRANSIENT);
            assert_int_equal(f.instances[action.instance].failures, 2);
        } else if (!is_rung(works[i])) {
            assert_int_equal(f.instances[action.instance].failure, WORLD_FAILURE_NONE);
            assert_int_equal(f.instances[action.instance].failures, 0);
        }
    }
}

/* Kinds. */

static void add_makes_a_record_and_its_targets(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    size_t targets = f.world.target_count;
    size_t room = f.room[WEB * 2 + RACK_B];
    struct action action = {.kind = ACTION_ADD,
                            .instance = WORLD_NONE,
                            .group = WEB,
                            .zone = RACK_B,
                            .number = 9,
                            .balancer = WORLD_NONE};
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    const struct world_instance *it = &f.instances[f.world.instance_count - 1];
    assert_string_equal(it->id, "web-9");
    assert_int_equal(it->lifecycle, LIFECYCLE_PENDING);
    assert_int_equal(it->power, WORLD_POWER_ABSENT);
    assert_int_equal(it->zone, RACK_B);
    assert_int_equal(it->made_ms, f.world.now_ms);
    assert_int_equal(it->in_service_ms, 0);
    assert_false(it->greeted || it->configured || it->busy);
    assert_int_equal(f.world_groups[WEB].next_number, 10);
    assert_int_equal(f.world_groups[WEB].size_changed_ms, f.world.now_ms);
    assert_int_equal(f.room[WEB * 2 + RACK_B], room - 1);
    assert_int_equal(f.world.target_count, targets + 1);
    assert_int_equal(f.targets[targets].state, WORLD_TARGET_UNKNOWN);
    /* A balancer's own record makes a balancer, with a target for each member. */
    action.group = LB;
    action.number = 2;
    f.room[LB * 2 + RACK_B] = 0; /* As a driver that counts otherwise may have it. */
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(f.world.balancer_count, 2);
    assert_int_equal(f.world.target_count, 2 * (targets + 1));
    assert_int_equal(f.balancers[1].sync, WORLD_SYNC_UNKNOWN);
    assert_true(f.balancers[1].seen_ms == INT64_MIN);
    assert_int_equal(f.room[LB * 2 + RACK_B], 0);
    action.number = 1; /* A lower number does not turn the counter back. */
    action.group = WEB;
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(f.world_groups[WEB].next_number, 10);
}

static void what_comes_up_again_is_looked_at_anew(void **state)
{
    (void)state;
    static const struct {
        enum action_kind kind;
        enum world_power power;
        bool greeted;
        enum world_drift drift;
    } cases[] = {
        {ACTION_LAUNCH, WORLD_POWER_RUNNING, false, WORLD_DRIFT_UNKNOWN},
        {ACTION_REBOOT, WORLD_POWER_RUNNING, false, WORLD_DRIFT_UNKNOWN},
        {ACTION_CYCLE, WORLD_POWER_OFF, false, WORLD_DRIFT_UNKNOWN},
        {ACTION_RESTART, WORLD_POWER_RUNNING, true, WORLD_DRIFT_NONE}, /* Its roles were applied. */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        struct action action = action_of(&f, cases[i].kind, "web-1");
        if (cases[i].kind == ACTION_LAUNCH) {
            set_power(&f, "web-1", WORLD_POWER_OFF);
        }
        f.world.now_ms++;
        world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
        const struct world_instance *it = the(&f, "web-1");
        assert_int_equal(it->power, cases[i].power);
        assert_int_equal(it->greeted, cases[i].greeted);
        assert_int_equal(it->drift, cases[i].drift);
        assert_int_equal(it->lifecycle, LIFECYCLE_PENDING);
        assert_int_equal(it->ready_ms, f.world.now_ms);
        assert_true(it->configured);
        assert_int_equal(it->health.health, WORLD_HEALTH_UNKNOWN);
        assert_int_equal(it->alive.health, WORLD_HEALTH_UNKNOWN);
        assert_int_equal(it->custom.health, WORLD_HEALTH_UNKNOWN);
        assert_int_equal(it->health.since_ms, f.world.now_ms);
        for (size_t t = 0; t < f.world.target_count; t++) {
            bool its = f.targets[t].member == find(&f, "web-1");
            assert_int_equal(f.targets[t].state, its ? WORLD_TARGET_UNKNOWN : WORLD_TARGET_UP);
        }
        assert_int_equal(f.balancers[0].sync, WORLD_SYNC_UNKNOWN);
        bool switched = cases[i].kind == ACTION_LAUNCH || cases[i].kind == ACTION_CYCLE;
        assert_int_equal(it->power_ms == f.world.now_ms, switched);
    }
}

/* Where nobody asks its check-command, what that said before is no word any more. */
static void who_comes_back_is_looked_at_anew(void **state)
{
    (void)state;
    static const enum lifecycle from[] = {LIFECYCLE_STANDBY, LIFECYCLE_DETACHED,
                                          LIFECYCLE_QUARANTINED};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        begin(&f);
        struct world_instance *it = the(&f, "web-1");
        size_t index = find(&f, "web-1");
        it->lifecycle = from[i];
        it->custom = (struct world_witness){.health = WORLD_UNHEALTHY};
        it->failure = WORLD_FAILURE_PERMANENT;
        it->failures = 3;
        it->rung = WORLD_RUNG_REPLACE;
        it->rebuilds = 2;
        advance(&f, MINUTE);
        if (from[i] == LIFECYCLE_STANDBY) {
            struct action back = action_of(&f, ACTION_MARK, "web-1");
            back.lifecycle = LIFECYCLE_PENDING;
            world_end(&f.spec, &f.world, &back, OUTCOME_DONE);
        } else if (from[i] == LIFECYCLE_DETACHED) {
            it->wish = WORLD_WISH_DETACH;
            world_attach(&f.spec, &f.world, index);
            assert_int_equal(it->wish, WORLD_WISH_NONE);
            assert_false(it->greeted);
        } else {
            world_retry(&f.world, index);
            assert_int_equal(it->rung, WORLD_RUNG_NONE);
            assert_int_equal(it->rebuilds, 0);
            assert_int_equal(it->failure, WORLD_FAILURE_NONE);
            assert_int_equal(it->failures, 0);
        }
        assert_int_equal(it->lifecycle, LIFECYCLE_PENDING);
        assert_int_equal(it->custom.health, WORLD_HEALTH_UNKNOWN);
        assert_int_equal(it->drift, WORLD_DRIFT_UNKNOWN);
        assert_int_equal(it->ready_ms, f.world.now_ms);
    }
}

static void a_check_that_could_not_be_made_says_nothing(void **state)
{
    (void)state;
    for (enum outcome outcome = OUTCOME_DONE; outcome <= OUTCOME_PERMANENT; outcome++) {
        struct fixture f;
        begin(&f);
        the(&f, "web-1")->custom = (struct world_witness){.health = WORLD_UNHEALTHY};
        struct action action = action_of(&f, ACTION_CHECK, "web-1");
        world_end(&f.spec, &f.world, &action, outcome);
        /* What one that was made says is the driver's to set. */
        assert_int_equal(the(&f, "web-1")->custom.health,
                         outcome == OUTCOME_DONE ? WORLD_UNHEALTHY : WORLD_HEALTH_UNKNOWN);
    }
}

static void one_that_serves_is_retried_where_it_is(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_instance *it = the(&f, "web-1");
    struct world_instance expected = *it;
    it->failure = WORLD_FAILURE_TRANSIENT;
    it->failures = 9;
    world_retry(&f.world, find(&f, "web-1"));
    assert_memory_equal(it, &expected, sizeof(expected));
}

static void what_was_out_stays_known_to_be_out(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    set_targets(&f, "web-1", WORLD_TARGET_ABSENT);
    struct action action = action_of(&f, ACTION_REBOOT, "web-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_DONE);
    for (size_t t = 0; t < f.world.target_count; t++) {
        assert_int_equal(f.targets[t].state, f.targets[t].member == action.instance
                                                 ? WORLD_TARGET_ABSENT
                                                 : WORLD_TARGET_UP);
    }
}

static void configured_balancers_are_compared_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    roles_differ(&f, "lb-1");
    struct action action = action_of(&f, ACTION_CONFIGURE, "lb-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(the(&f, "lb-1")->drift, WORLD_DRIFT_NONE);
    assert_int_equal(the(&f, "lb-1")->ready_ms, f.world.now_ms);
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_UNKNOWN);
    /* In place, and in service all the time: this was its disruption, and it bakes (S7). */
    assert_int_equal(f.world_groups[LB].disrupted_ms, f.world.now_ms);
    begin(&f);
    action = action_of(&f, ACTION_CONFIGURE, "web-1");
    the(&f, "web-1")->lifecycle = LIFECYCLE_DRAINING;
    int64_t before_ms = f.world_groups[WEB].disrupted_ms;
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_DONE);
    assert_true(f.world_groups[WEB].disrupted_ms == before_ms); /* When it is back. */
}

static void in_and_out_on_one_balancer(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_two_balancers(&f);
    settle(&f);
    struct action action = action_of(&f, ACTION_REMOVE, "web-1");
    action.balancer = 1;
    for (int in = 0; in <= 1; in++) {
        action.kind = in ? ACTION_ADMIT : ACTION_REMOVE;
        world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
        for (size_t t = 0; t < f.world.target_count; t++) {
            bool its = f.targets[t].member == action.instance && f.targets[t].balancer == 1;
            assert_int_equal(f.targets[t].state,
                             its && !in ? WORLD_TARGET_ABSENT : WORLD_TARGET_UP);
        }
    }
}

static void small_ends(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_instance *it = the(&f, "web-1");
    it->greeted = false;
    struct action action = action_of(&f, ACTION_GREET, "web-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_true(it->greeted);
    it->drift = WORLD_DRIFT_UNKNOWN;
    action = action_of(&f, ACTION_INSPECT, "web-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(it->drift, WORLD_DRIFT_NONE); /* Unless the driver knows better. */
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_DONE);
    action = action_of(&f, ACTION_INSPECT, "lb-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_UNKNOWN); /* Its frontend is looked at, too. */
    action = action_of(&f, ACTION_CHECK, "web-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(it->custom_ms, f.world.now_ms);
    action = action_of(&f, ACTION_HOOK, "web-1");
    world_begin(&f.spec, &f.world, &action);
    assert_int_equal(it->hook_ms, f.world.now_ms);
    f.world.now_ms += MINUTE;
    world_begin(&f.spec, &f.world, &action); /* A second try: its time began with the first. */
    assert_int_equal(it->hook_ms, f.world.now_ms - MINUTE);
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_true(it->hook_done);
    static const enum action_kind looks[] = {ACTION_COMPARE, ACTION_SYNC};
    for (size_t i = 0; i < 2; i++) {
        f.balancers[0].sync = WORLD_SYNC_UNKNOWN;
        f.balancers[0].seen_ms = INT64_MIN;
        action = action_of(&f, looks[i], "lb-1");
        world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
        assert_int_equal(f.balancers[0].sync, WORLD_SYNC_DONE);
        assert_int_equal(f.balancers[0].seen_ms, f.world.now_ms);
    }
    action = action_of(&f, ACTION_TERMINATE, "web-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_int_equal(it->lifecycle, LIFECYCLE_TERMINATED);
    assert_int_equal(f.world_groups[WEB].size_changed_ms, f.world.now_ms);
    assert_int_equal(f.world_groups[WEB].disrupted_ms, f.world.now_ms);
}

static void the_end_of_one_that_never_served_is_no_disruption(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-1")->in_service_ms = 0;
    int64_t before_ms = f.world_groups[WEB].disrupted_ms;
    struct action action = action_of(&f, ACTION_TERMINATE, "web-1");
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_true(f.world_groups[WEB].disrupted_ms == before_ms);
}

/* Marks. */

static void marked(struct fixture *f, enum lifecycle from, enum lifecycle to)
{
    the(f, "web-1")->lifecycle = from;
    struct action action = action_of(f, ACTION_MARK, "web-1");
    action.lifecycle = to;
    world_end(&f->spec, &f->world, &action, OUTCOME_DONE);
    assert_int_equal(the(f, "web-1")->lifecycle, to);
}

static void back_in_service_ends_a_disruption(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.world_groups[WEB].failed_launches = 2;
    marked(&f, LIFECYCLE_PENDING, LIFECYCLE_IN_SERVICE);
    assert_int_equal(the(&f, "web-1")->in_service_ms, f.world.now_ms);
    assert_int_equal(f.world_groups[WEB].disrupted_ms, f.world.now_ms);
    assert_int_equal(f.world_groups[WEB].failed_launches, 0);
    begin(&f);
    the(&f, "web-1")->in_service_ms = 0; /* For the first time: nobody was disrupted. */
    int64_t before_ms = f.world_groups[WEB].disrupted_ms;
    marked(&f, LIFECYCLE_PENDING, LIFECYCLE_IN_SERVICE);
    assert_true(f.world_groups[WEB].disrupted_ms == before_ms);
}

static void which_marks_end_a_disruption(void **state)
{
    (void)state;
    static const struct {
        enum lifecycle from, to;
        bool ends;
    } cases[] = {
        {LIFECYCLE_DRAINING, LIFECYCLE_STANDBY, true},
        {LIFECYCLE_IN_SERVICE, LIFECYCLE_QUARANTINED, true},
        {LIFECYCLE_DRAINING, LIFECYCLE_DETACHED, true},
        {LIFECYCLE_IN_SERVICE, LIFECYCLE_DRAINING, false},
        {LIFECYCLE_IN_SERVICE, LIFECYCLE_TERMINATING, false},
        {LIFECYCLE_TERMINATING, LIFECYCLE_TERMINATING_WAIT, false},
        {LIFECYCLE_STANDBY, LIFECYCLE_PENDING, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        marked(&f, cases[i].from, cases[i].to);
        assert_int_equal(f.world_groups[WEB].disrupted_ms == f.world.now_ms, cases[i].ends);
    }
}

/* A balancer that was gone when it left, and came back meanwhile, still has it. */
static void a_balancer_that_still_has_one_that_ended_is_compared(void **state)
{
    (void)state;
    static const struct {
        enum world_target_state state;
        enum world_sync sync;
    } cases[] = {{WORLD_TARGET_ABSENT, WORLD_SYNC_DONE},
                 {WORLD_TARGET_DOWN, WORLD_SYNC_UNKNOWN},
                 {WORLD_TARGET_MAINTENANCE, WORLD_SYNC_UNKNOWN},
                 {WORLD_TARGET_UNKNOWN, WORLD_SYNC_UNKNOWN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        fixture_init(&f);
        settle(&f);
        const struct action action = {.kind = ACTION_TERMINATE,
                                      .instance = find(&f, "web-1"),
                                      .group = WEB,
                                      .balancer = WORLD_NONE};
        the(&f, "web-1")->lifecycle = LIFECYCLE_TERMINATING;
        world_begin(&f.spec, &f.world, &action);
        set_targets(&f, "web-1", cases[i].state);
        world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
        assert_int_equal(f.balancers[0].sync, cases[i].sync);
    }
}

static void failed_launches_are_those_that_were_bad(void **state)
{
    (void)state;
    static const struct {
        int64_t in_service_ms;
        enum lifecycle from;
        enum world_verdict verdict;
        enum world_failure failure;
        unsigned failed;
    } cases[] = {
        {0, LIFECYCLE_PENDING, WORLD_VERDICT_UNREADY, WORLD_FAILURE_NONE, 1},
        {0, LIFECYCLE_PENDING, WORLD_VERDICT_LOST, WORLD_FAILURE_NONE, 1},
        {0, LIFECYCLE_PENDING, WORLD_VERDICT_NONE, WORLD_FAILURE_TRANSIENT, 1},
        {0, LIFECYCLE_PENDING, WORLD_VERDICT_NONE, WORLD_FAILURE_PERMANENT, 1},
        {0, LIFECYCLE_PENDING_WAIT, WORLD_VERDICT_OK, WORLD_FAILURE_NONE, 1}, /* Abandoned. */
        {0, LIFECYCLE_PENDING, WORLD_VERDICT_NONE, WORLD_FAILURE_NONE, 0},    /* One too many. */
        {0, LIFECYCLE_PENDING, WORLD_VERDICT_OK, WORLD_FAILURE_NONE, 0},
        {1, LIFECYCLE_IN_SERVICE, WORLD_VERDICT_DEAD, WORLD_FAILURE_NONE, 0}, /* It had served. */
        {1, LIFECYCLE_PENDING, WORLD_VERDICT_UNREADY, WORLD_FAILURE_TRANSIENT, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        the(&f, "web-1")->in_service_ms = cases[i].in_service_ms;
        the(&f, "web-1")->verdict = cases[i].verdict;
        the(&f, "web-1")->failure = cases[i].failure;
        the(&f, "web-1")->failures = cases[i].failure == WORLD_FAILURE_NONE ? 0 : 3;
        marked(&f, cases[i].from, LIFECYCLE_TERMINATING);
        assert_int_equal(f.world_groups[WEB].failed_launches, cases[i].failed);
        /* And what failed before is not in the way of its end. */
        assert_int_equal(the(&f, "web-1")->failure, WORLD_FAILURE_NONE);
    }
}

/* One whose provider answers, and does not get it made, is a failed launch like any. */
static void what_nobody_could_see_is_no_failed_launch(void **state)
{
    (void)state;
    static const struct {
        enum world_power power;
        bool frozen, zone_lost;
        unsigned failed;
    } cases[] = {
        {WORLD_POWER_RUNNING, false, false, 1}, {WORLD_POWER_ABSENT, false, false, 1},
        {WORLD_POWER_OFF, false, false, 1},     {WORLD_POWER_UNKNOWN, false, false, 0},
        {WORLD_POWER_RUNNING, true, false, 0},  {WORLD_POWER_RUNNING, false, true, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        the(&f, "web-1")->in_service_ms = 0;
        the(&f, "web-1")->failure = WORLD_FAILURE_TRANSIENT;
        the(&f, "web-1")->failures = 3;
        the(&f, "web-1")->power = cases[i].power;
        f.world.frozen.on = cases[i].frozen;
        f.world_zones[RACK_A].lost.on = cases[i].zone_lost;
        marked(&f, LIFECYCLE_PENDING, LIFECYCLE_TERMINATING);
        assert_int_equal(f.world_groups[WEB].failed_launches, cases[i].failed);
    }
}

static void hooks_of_launch_and_end_are_told_apart(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_instance *web = the(&f, "web-1");
    web->hook_ms = 1;
    marked(&f, LIFECYCLE_PENDING_WAIT, LIFECYCLE_PENDING);
    assert_true(web->hook_done);
    assert_int_equal(web->ready_ms, f.world.now_ms);
    web->hook_abandon = true;
    marked(&f, LIFECYCLE_IN_SERVICE, LIFECYCLE_TERMINATING);
    assert_false(web->hook_done);
    assert_false(web->hook_abandon);
    assert_int_equal(web->hook_ms, 0);
    web->hook_ms = 2;
    marked(&f, LIFECYCLE_TERMINATING_WAIT, LIFECYCLE_TERMINATING);
    assert_true(web->hook_done);
}

static void a_wish_alone_changes_the_wish_alone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_instance expected = *the(&f, "web-1");
    expected.wish = WORLD_WISH_REPLACE;
    struct action action = action_of(&f, ACTION_MARK, "web-1");
    action.wish = WORLD_WISH_REPLACE;
    world_end(&f.spec, &f.world, &action, OUTCOME_DONE);
    assert_memory_equal(the(&f, "web-1"), &expected, sizeof(expected));
    marked(&f, LIFECYCLE_DRAINING, LIFECYCLE_DETACHED);
    assert_int_equal(the(&f, "web-1")->wish, WORLD_WISH_NONE);
}

/* What one hopes to see. */

static void what_is_expected_is_the_best(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    service_fails(&f, "web-1");
    set_alive(&f, "web-1", WORLD_UNHEALTHY);
    roles_differ(&f, "web-1");
    struct action action = action_of(&f, ACTION_CONFIGURE, "web-1");
    world_expect(&f.spec, &f.world, &action);
    assert_int_equal(the(&f, "web-1")->health.health, WORLD_HEALTHY);
    assert_int_equal(the(&f, "web-1")->alive.health, WORLD_HEALTHY);
    assert_int_equal(serving(&f, WEB), 3);
    /* A balancer that was never seen has nothing of ours, and differs. */
    f.balancers[0].sync = WORLD_SYNC_UNKNOWN;
    f.balancers[0].seen_ms = INT64_MIN;
    for (size_t t = 0; t < f.world.target_count; t++) {
        f.targets[t].state = WORLD_TARGET_UNKNOWN;
    }
    action = action_of(&f, ACTION_COMPARE, "lb-1");
    world_expect(&f.spec, &f.world, &action);
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_DIFFERS);
    for (size_t t = 0; t < f.world.target_count; t++) {
        assert_int_equal(f.targets[t].state, WORLD_TARGET_ABSENT);
    }
    action = action_of(&f, ACTION_SYNC, "lb-1");
    world_expect(&f.spec, &f.world, &action);
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_DONE);
    f.balancers[0].sync = WORLD_SYNC_UNKNOWN; /* Seen before: it is as it was. */
    action = action_of(&f, ACTION_COMPARE, "lb-1");
    world_expect(&f.spec, &f.world, &action);
    assert_int_equal(f.balancers[0].sync, WORLD_SYNC_DONE);
}

static void ids(void **state)
{
    (void)state;
    char id[WORLD_ID_SIZE];
    instance_id(id, "web", 12);
    assert_string_equal(id, "web-12");
    char name[100];
    memset(name, 'a', sizeof(name));
    name[99] = '\0';
    instance_id(id, name, 4294967295U);
    assert_int_equal(strlen(id), 63 + 1 + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_begins_is_busy_until_it_ends),
        cmocka_unit_test(a_rung_is_taken_when_it_begins),
        cmocka_unit_test(a_failure_is_counted_and_changes_nothing_else),
        cmocka_unit_test(success_clears_a_failure),
        cmocka_unit_test(add_makes_a_record_and_its_targets),
        cmocka_unit_test(what_comes_up_again_is_looked_at_anew),
        cmocka_unit_test(who_comes_back_is_looked_at_anew),
        cmocka_unit_test(a_check_that_could_not_be_made_says_nothing),
        cmocka_unit_test(one_that_serves_is_retried_where_it_is),
        cmocka_unit_test(what_was_out_stays_known_to_be_out),
        cmocka_unit_test(configured_balancers_are_compared_again),
        cmocka_unit_test(in_and_out_on_one_balancer),
        cmocka_unit_test(small_ends),
        cmocka_unit_test(the_end_of_one_that_never_served_is_no_disruption),
        cmocka_unit_test(back_in_service_ends_a_disruption),
        cmocka_unit_test(which_marks_end_a_disruption),
        cmocka_unit_test(a_balancer_that_still_has_one_that_ended_is_compared),
        cmocka_unit_test(failed_launches_are_those_that_were_bad),
        cmocka_unit_test(what_nobody_could_see_is_no_failed_launch),
        cmocka_unit_test(hooks_of_launch_and_end_are_told_apart),
        cmocka_unit_test(a_wish_alone_changes_the_wish_alone),
        cmocka_unit_test(what_is_expected_is_the_best),
        cmocka_unit_test(ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
