/* What is counted: serving, known to be out, standing, live, changing; and who is given up. */
#include "fixture.h"

static void begin(struct fixture *f)
{
    fixture_init(f);
    settle(f);
}

static bool is_serving(struct fixture *f, const char *id)
{
    return count(f).serving[find(f, id)];
}

static bool is_out(struct fixture *f, const char *id)
{
    return count(f).known_out[find(f, id)];
}

static void serving_and_out_by_what_the_balancer_says(void **state)
{
    (void)state;
    static const struct {
        enum world_target_state target;
        enum world_health health;
        bool serving, out;
    } cases[] = {
        {WORLD_TARGET_UP, WORLD_HEALTHY, true, false},
        {WORLD_TARGET_UP, WORLD_UNHEALTHY, false, false},
        {WORLD_TARGET_UP, WORLD_HEALTH_UNKNOWN, false, false},
        {WORLD_TARGET_UNKNOWN, WORLD_HEALTHY, false, false},
        {WORLD_TARGET_UNKNOWN, WORLD_UNHEALTHY, false, false},
        {WORLD_TARGET_ABSENT, WORLD_HEALTHY, false, true},
        {WORLD_TARGET_INITIAL, WORLD_HEALTHY, false, true},
        {WORLD_TARGET_DOWN, WORLD_HEALTHY, false, true},
        {WORLD_TARGET_DRAINING, WORLD_HEALTHY, false, true},
        {WORLD_TARGET_MAINTENANCE, WORLD_HEALTHY, false, true},
    };
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_targets(&f, "web-1", cases[i].target);
        the(&f, "web-1")->health.health = cases[i].health;
        assert_int_equal(is_serving(&f, "web-1"), cases[i].serving);
        assert_int_equal(is_out(&f, "web-1"), cases[i].out);
    }
}

/* Never both: what serves is not out. */
static void serving_and_out_exclude_each_other(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_two_balancers(&f);
    settle(&f);
    struct world_instance *web = the(&f, "web-1");
    struct world_target *mine[2];
    size_t found = 0;
    for (size_t t = 0; t < f.world.target_count; t++) {
        if (f.targets[t].member == find(&f, "web-1")) {
            mine[found++] = &f.targets[t];
        }
    }
    assert_int_equal(found, 2);
    for (int a = WORLD_TARGET_UNKNOWN; a <= WORLD_TARGET_MAINTENANCE; a++) {
        for (int b = WORLD_TARGET_UNKNOWN; b <= WORLD_TARGET_MAINTENANCE; b++) {
            for (int health = WORLD_HEALTH_UNKNOWN; health <= WORLD_UNHEALTHY; health++) {
                for (int power = WORLD_POWER_UNKNOWN; power <= WORLD_POWER_RUNNING; power++) {
                    for (int verdict = WORLD_VERDICT_NONE; verdict <= WORLD_VERDICT_DEAD;
                         verdict++) {
                        mine[0]->state = (enum world_target_state)a;
                        mine[1]->state = (enum world_target_state)b;
                        web->health.health = (enum world_health)health;
                        web->power = (enum world_power)power;
                        web->verdict = (enum world_verdict)verdict;
                        assert_false(is_serving(&f, "web-1") && is_out(&f, "web-1"));
                        bool up = a == WORLD_TARGET_UP && b == WORLD_TARGET_UP;
                        assert_true(up || !is_serving(&f, "web-1"));
                    }
                }
            }
        }
    }
}

static void without_a_pool_it_serves_in_service(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int lifecycle = LIFECYCLE_PENDING; lifecycle <= LIFECYCLE_DETACHED; lifecycle++) {
        the(&f, "db-1")->lifecycle = LIFECYCLE_IN_SERVICE;
        size_t db = find(&f, "db-1");
        f.instances[db].lifecycle = (enum lifecycle)lifecycle;
        assert_int_equal(count(&f).serving[db], lifecycle == LIFECYCLE_IN_SERVICE);
        f.instances[db].lifecycle = LIFECYCLE_IN_SERVICE;
    }
    set_power(&f, "db-1", WORLD_POWER_UNKNOWN);
    assert_false(is_serving(&f, "db-1")); /* Unknown counts as not serving. */
    set_power(&f, "db-1", WORLD_POWER_RUNNING);
    the(&f, "db-1")->verdict = WORLD_VERDICT_LOST;
    assert_false(is_serving(&f, "db-1"));
    assert_true(is_out(&f, "db-1"));
}

/* Numbers of the group by what web-1 of three is. */
static void what_each_state_counts_for(void **state)
{
    (void)state;
    static const struct {
        enum lifecycle lifecycle;
        enum world_wish wish;
        size_t members, standing, live, leaving, standby, pending, changing;
    } cases[] = {
        {LIFECYCLE_IN_SERVICE, WORLD_WISH_NONE, 3, 3, 3, 0, 0, 0, 0},
        {LIFECYCLE_IN_SERVICE, WORLD_WISH_REPLACE, 3, 2, 3, 0, 0, 0, 0},
        {LIFECYCLE_IN_SERVICE, WORLD_WISH_DETACH, 3, 2, 3, 0, 0, 0, 0},
        {LIFECYCLE_IN_SERVICE, WORLD_WISH_STANDBY, 3, 3, 3, 0, 0, 0, 0},
        {LIFECYCLE_STANDBY, WORLD_WISH_STANDBY, 3, 2, 3, 0, 1, 0, 0},
        {LIFECYCLE_DRAINING, WORLD_WISH_NONE, 3, 3, 3, 0, 0, 0, 1},
        {LIFECYCLE_PENDING, WORLD_WISH_NONE, 3, 3, 3, 0, 0, 1, 1},
        {LIFECYCLE_PENDING_WAIT, WORLD_WISH_NONE, 3, 3, 3, 0, 0, 1, 1},
        {LIFECYCLE_TERMINATING, WORLD_WISH_NONE, 2, 2, 2, 1, 0, 0, 1},
        {LIFECYCLE_TERMINATING_WAIT, WORLD_WISH_NONE, 2, 2, 2, 1, 0, 0, 1},
        {LIFECYCLE_QUARANTINED, WORLD_WISH_NONE, 3, 2, 2, 0, 0, 0, 0},
        {LIFECYCLE_TERMINATED, WORLD_WISH_NONE, 2, 2, 2, 0, 0, 0, 0},
        {LIFECYCLE_DETACHED, WORLD_WISH_NONE, 2, 2, 2, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        size_t web = find(&f, "web-1");
        f.instances[web].lifecycle = cases[i].lifecycle;
        f.instances[web].wish = cases[i].wish;
        struct survey s = count(&f);
        const struct survey_group *g = &s.groups[WEB];
        assert_int_equal(g->members, cases[i].members);
        assert_int_equal(g->standing, cases[i].standing);
        assert_int_equal(g->live, cases[i].live);
        assert_int_equal(g->leaving, cases[i].leaving);
        assert_int_equal(g->standby, cases[i].standby);
        assert_int_equal(g->pending, cases[i].pending);
        assert_int_equal(g->changing, cases[i].changing);
        assert_true(g->change == (cases[i].changing > 0 ? web : WORLD_NONE));
        assert_int_equal(s.disrupted, cases[i].changing);
        assert_int_equal(s.zone_standing[WEB * 2 + RACK_A], cases[i].standing - 1);
        assert_int_equal(s.zone_standing[WEB * 2 + RACK_B], 1);
    }
}

static void who_is_given_up(void **state)
{
    (void)state;
    static const struct {
        enum world_verdict verdict;
        int64_t for_ms;
        enum spec_repair repair;
        bool zone_lost, breaker;
        int64_t failures;
        bool given_up;
    } cases[] = {
        {WORLD_VERDICT_OK, HOUR, SPEC_REPAIR_REPLACE, false, false, 0, false},
        {WORLD_VERDICT_UNREADY, HOUR, SPEC_REPAIR_REPLACE, false, false, 0, false},
        {WORLD_VERDICT_DEAD, 0, SPEC_REPAIR_REPLACE, false, false, 0, true},
        {WORLD_VERDICT_DEAD, HOUR, SPEC_REPAIR_RESTART, false, false, 9, false},
        {WORLD_VERDICT_DEAD, HOUR, SPEC_REPAIR_NONE, false, false, 9, false},
        {WORLD_VERDICT_DEAD, HOUR, SPEC_REPAIR_REPLACE, false, true, 2, false},
        {WORLD_VERDICT_DEAD, HOUR, SPEC_REPAIR_REPLACE, false, true, 3, true},
        {WORLD_VERDICT_LOST, 0, SPEC_REPAIR_REPLACE, false, false, 0, false},
        {WORLD_VERDICT_LOST, SURVEY_LOST_GIVEN_UP_MS - 1, SPEC_REPAIR_REPLACE, false, false, 0,
         false},
        {WORLD_VERDICT_LOST, SURVEY_LOST_GIVEN_UP_MS, SPEC_REPAIR_REPLACE, false, false, 0, true},
        {WORLD_VERDICT_LOST, SURVEY_LOST_GIVEN_UP_MS, SPEC_REPAIR_RESTART, false, false, 0, false},
        {WORLD_VERDICT_LOST, 0, SPEC_REPAIR_REPLACE, true, false, 0, true},
        {WORLD_VERDICT_DEAD, 0, SPEC_REPAIR_REPLACE, true, false, 0, true},
        {WORLD_VERDICT_OK, 0, SPEC_REPAIR_REPLACE, true, false, 0, false},
        {WORLD_VERDICT_LOST, 0, SPEC_REPAIR_RESTART, true, false, 0, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        struct world_instance *web = the(&f, "web-1");
        f.groups[WEB].repair = cases[i].repair;
        f.world_zones[RACK_A].lost.on = cases[i].zone_lost;
        f.world_groups[WEB].breaker.open.on = cases[i].breaker;
        web->verdict = cases[i].verdict;
        web->verdict_ms = f.world.now_ms - cases[i].for_ms;
        web->failures = cases[i].failures;
        struct survey s = count(&f);
        if (survey_given_up(&s, find(&f, "web-1")) != cases[i].given_up) {
            fail_msg("case %zu", i);
        }
        assert_int_equal(s.groups[WEB].live, cases[i].given_up ? 2 : 3);
        assert_int_equal(s.groups[WEB].standing, cases[i].given_up ? 2 : 3);
    }
}

/* It takes no more memory than it says, wherever that is. */
static void its_memory_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    size_t size = survey_size(&f.spec, &f.world);
    static max_align_t memory[1024];
    unsigned char *bytes = (unsigned char *)memory;
    assert_true(size + 64 <= sizeof(memory));
    memset(bytes, 0xa5, sizeof(memory)); /* Nothing is assumed of what was there. */
    struct survey s;
    survey_make(&s, &f.spec, &f.world, memory, size);
    assert_int_equal(s.groups[WEB].serving, 3);
    for (size_t i = size; i < sizeof(memory); i++) {
        assert_int_equal(bytes[i], 0xa5);
    }
}

/* A provider alone is given its second witness a moment, in a pool and outside (seed 155498). */
static void off_by_one_word_is_not_known_out_at_once(void **state)
{
    (void)state;
    static const char *const ids[] = {"web-1", "db-1"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        fixture_init(&f);
        settle(&f);
        struct world_instance *it = the(&f, ids[i]);
        it->health = it->alive = (struct world_witness){.since_ms = f.world.now_ms};
        if (i == 0) {
            set_targets(&f, ids[i], WORLD_TARGET_UNKNOWN);
        }
        set_power(&f, ids[i], WORLD_POWER_OFF);
        judge_now(&f);
        assert_true(f.judge_again_ms <= f.world.now_ms + SURVEY_SECOND_WITNESS_MS);
        assert_false(count(&f).known_out[find(&f, ids[i])]);
        f.world.now_ms += SURVEY_SECOND_WITNESS_MS;
        assert_true(count(&f).known_out[find(&f, ids[i])]);
        f.world.now_ms -= SURVEY_SECOND_WITNESS_MS;
        set_alive(&f, ids[i], WORLD_UNHEALTHY);
        assert_true(count(&f).known_out[find(&f, ids[i])]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serving_and_out_by_what_the_balancer_says),
        cmocka_unit_test(serving_and_out_exclude_each_other),
        cmocka_unit_test(without_a_pool_it_serves_in_service),
        cmocka_unit_test(what_each_state_counts_for),
        cmocka_unit_test(who_is_given_up),
        cmocka_unit_test(off_by_one_word_is_not_known_out_at_once),
        cmocka_unit_test(its_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
