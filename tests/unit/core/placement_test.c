/* Where a new instance goes, and which one leaves. */
#include "fixture.h"

/* WEB with COUNTS standing members in each of three racks, in no particular order of numbers. */
static void begin(struct fixture *f, const size_t counts[ZONES])
{
    fixture_init(f);
    fixture_zones(f, 3);
    world_groups_init(&f->spec, &f->world);
    unsigned number = 1;
    for (size_t z = 0; z < ZONES; z++) {
        for (size_t i = 0; i < counts[z]; i++) {
            struct world_instance *it = &f->instances[f->world.instance_count++];
            *it = (struct world_instance){.group = WEB,
                                          .zone = z,
                                          .number = number,
                                          .lifecycle = LIFECYCLE_IN_SERVICE,
                                          .power = WORLD_POWER_RUNNING,
                                          .configured = true,
                                          .in_service_ms = 1,
                                          .made_ms = number * MINUTE};
            instance_id(it->id, "web", number++);
        }
    }
}

static void a_zone_for_one_more(void **state)
{
    (void)state;
    static const struct {
        size_t counts[ZONES];
        size_t room[ZONES];
        size_t placed[ZONES];
        bool lost[ZONES];
        size_t zone;
    } cases[] = {
        {{0, 0, 0}, {9, 9, 9}, {0, 0, 0}, {0}, RACK_A}, /* A tie: the first in the file. */
        {{1, 0, 0}, {9, 9, 9}, {0, 0, 0}, {0}, RACK_B},
        {{2, 2, 1}, {9, 9, 9}, {0, 0, 0}, {0}, RACK_C},
        {{2, 2, 1}, {9, 9, 9}, {0, 0, 1}, {0}, RACK_A}, /* Those of this step count. */
        {{2, 2, 1}, {9, 9, 0}, {0, 0, 0}, {0}, RACK_A}, /* No room. */
        {{2, 2, 1}, {9, 9, 1}, {0, 0, 1}, {0}, RACK_A}, /* The last room is taken. */
        {{0, 1, 2}, {9, 9, 9}, {0, 0, 0}, {true, false, false}, RACK_B},
        {{0, 1, 2}, {0, 0, 0}, {0, 0, 0}, {0}, WORLD_NONE},
        {{0, 0, 0}, {9, 9, 9}, {0, 0, 0}, {true, true, true}, WORLD_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, cases[i].counts);
        for (size_t z = 0; z < ZONES; z++) {
            f.room[WEB * ZONES + z] = cases[i].room[z];
            f.world_zones[z].lost.on = cases[i].lost[z];
        }
        struct survey s = count(&f);
        assert_true(placement_zone(&s, WEB, cases[i].placed) == cases[i].zone);
    }
}

static void a_zone_that_the_group_does_not_have_gets_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (const size_t[ZONES]){3, 3, 0});
    f.groups[WEB].zones.count = 2;
    struct survey s = count(&f);
    assert_int_equal(placement_zone(&s, WEB, (const size_t[ZONES]){0}), RACK_A);
}

static void the_fullest_zone(void **state)
{
    (void)state;
    static const struct {
        size_t counts[ZONES];
        bool lost[ZONES];
        size_t zone;
    } cases[] = {
        {{1, 2, 1}, {0}, RACK_B},
        {{2, 2, 1}, {0}, RACK_A},
        {{0, 0, 0}, {0}, RACK_A},
        {{1, 3, 2}, {false, true, false}, RACK_C},
        {{1, 1, 1}, {true, true, true}, WORLD_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, cases[i].counts);
        for (size_t z = 0; z < ZONES; z++) {
            f.world_zones[z].lost.on = cases[i].lost[z];
        }
        struct survey s = count(&f);
        assert_true(placement_fullest(&s, WEB) == cases[i].zone);
    }
}

static const char *victim(struct fixture *f)
{
    struct survey s = count(f);
    size_t it = placement_victim(&s, WEB);
    return it == WORLD_NONE ? "" : f->instances[it].id;
}

/* rack-a: web-1, web-2, web-3; rack-b: web-4, web-5; rack-c: web-6. */
static void begin_six(struct fixture *f)
{
    begin(f, (const size_t[ZONES]){3, 2, 1});
}

static void the_fullest_zone_loses_one_by_the_policy(void **state)
{
    (void)state;
    struct fixture f;
    begin_six(&f);
    f.groups[WEB].termination = SPEC_TERMINATION_OLDEST;
    assert_string_equal(victim(&f), "web-1");
    f.groups[WEB].termination = SPEC_TERMINATION_NEWEST;
    assert_string_equal(victim(&f), "web-3");
    f.groups[WEB].termination = SPEC_TERMINATION_OLDEST_TEMPLATE;
    assert_string_equal(victim(&f), "web-3"); /* A tie: the highest number. */
    the(&f, "web-2")->drift = WORLD_DRIFT_PENDING;
    assert_string_equal(victim(&f), "web-2");
    /* Age is when it was made, not its number. */
    the(&f, "web-2")->made_ms = -HOUR;
    f.groups[WEB].termination = SPEC_TERMINATION_OLDEST;
    assert_string_equal(victim(&f), "web-2");
}

static void bad_ones_go_first(void **state)
{
    (void)state;
    struct fixture f;
    static const struct {
        enum world_verdict verdict;
        enum world_failure failure;
        bool first;
    } cases[] = {
        {WORLD_VERDICT_UNREADY, WORLD_FAILURE_NONE, true},
        {WORLD_VERDICT_LOST, WORLD_FAILURE_NONE, true},
        {WORLD_VERDICT_OK, WORLD_FAILURE_PERMANENT, true},
        {WORLD_VERDICT_OK, WORLD_FAILURE_TRANSIENT, false},
        {WORLD_VERDICT_DISPUTED, WORLD_FAILURE_NONE, false},
        {WORLD_VERDICT_FLAPPING, WORLD_FAILURE_NONE, false},
        {WORLD_VERDICT_UNKNOWN, WORLD_FAILURE_NONE, false},
        {WORLD_VERDICT_DEAD, WORLD_FAILURE_NONE, false}, /* Given up: it is one too many already. */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin_six(&f);
        the(&f, "web-6")->verdict = cases[i].verdict;
        the(&f, "web-6")->verdict_ms = f.world.now_ms;
        the(&f, "web-6")->failure = cases[i].failure;
        assert_string_equal(victim(&f), cases[i].first ? "web-6" : "web-3");
    }
}

static void who_does_not_leave(void **state)
{
    (void)state;
    struct fixture f;
    begin_six(&f);
    for (unsigned n = 1; n <= 6; n++) {
        char id[WORLD_ID_SIZE];
        instance_id(id, "web", n);
        struct world_instance *it = the(&f, id);
        switch (n) {
        case 1: it->protect = true; break;
        case 2: it->lifecycle = LIFECYCLE_STANDBY; break;
        case 3: it->lifecycle = LIFECYCLE_TERMINATING; break;
        case 4: it->wish = WORLD_WISH_REPLACE; break;
        case 5: it->wish = WORLD_WISH_DETACH; break;
        default: it->lifecycle = LIFECYCLE_DETACHED; break;
        }
    }
    assert_string_equal(victim(&f), "");
    the(&f, "web-6")->lifecycle = LIFECYCLE_QUARANTINED;
    assert_string_equal(victim(&f), "");
    the(&f, "web-1")->protect = false;
    assert_string_equal(victim(&f), "web-1");
}

/* One whose zone left the file goes before all others that are well. */
static void one_without_a_zone_goes_first(void **state)
{
    (void)state;
    struct fixture f;
    begin_six(&f);
    the(&f, "web-6")->zone = WORLD_NONE;
    assert_string_equal(victim(&f), "web-6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zone_for_one_more),
        cmocka_unit_test(a_zone_that_the_group_does_not_have_gets_nothing),
        cmocka_unit_test(the_fullest_zone),
        cmocka_unit_test(the_fullest_zone_loses_one_by_the_policy),
        cmocka_unit_test(bad_ones_go_first),
        cmocka_unit_test(who_does_not_leave),
        cmocka_unit_test(one_without_a_zone_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
