/* The capacity proof: what is counted, and what holds with one taken, and with one more lost. */
#include "fixture.h"

static struct proof prove(struct fixture *f, const char *taken)
{
    judge_now(f);
    struct survey s = count(f);
    return proof_of(&s, WEB, taken == NULL ? WORLD_NONE : find(f, taken));
}

static void begin(struct fixture *f, unsigned desired, unsigned healthy_min_percent)
{
    fixture_init(f);
    f->groups[WEB].max = 10;
    f->world_groups[WEB].desired = desired;
    f->groups[WEB].healthy_min_percent = healthy_min_percent;
    settle(f);
}

static void what_is_left_against_the_minimum(void **state)
{
    (void)state;
    static const struct {
        unsigned desired, percent, lost;
        bool takes; /* One that serves is taken. */
        size_t serving, after, minimum;
        bool holds, holds_less_one;
    } cases[] = {
        {4, 50, 0, false, 4, 4, 2, true, true},  {4, 50, 0, true, 4, 3, 2, true, true},
        {4, 75, 0, true, 4, 3, 3, true, false},  {4, 76, 0, true, 4, 3, 4, false, false},
        {4, 50, 1, true, 3, 2, 2, true, false},  {4, 50, 2, true, 2, 1, 2, false, false},
        {4, 50, 2, false, 2, 2, 2, true, false}, {4, 50, 3, false, 1, 1, 2, false, false},
        {4, 0, 4, false, 0, 0, 0, true, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f, cases[i].desired, cases[i].percent);
        for (unsigned n = 0; n < cases[i].lost; n++) {
            char id[WORLD_ID_SIZE];
            instance_id(id, "web", cases[i].desired - n);
            service_fails(&f, id);
        }
        struct proof p = prove(&f, cases[i].takes ? "web-1" : NULL);
        assert_int_equal(p.serving, cases[i].serving);
        assert_int_equal(p.after, cases[i].after);
        assert_int_equal(p.minimum, cases[i].minimum);
        assert_int_equal(p.holds, cases[i].holds);
        assert_int_equal(p.holds_less_one, cases[i].holds_less_one);
    }
}

/* Who is not counted is not missed either. */
static void taking_one_that_is_not_counted_takes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 4, 50);
    the(&f, "web-1")->in_service_ms = f.world.now_ms; /* Serves, and has not baked. */
    struct proof p = prove(&f, "web-1");
    assert_int_equal(p.serving, 3);
    assert_int_equal(p.after, 3);
    f.world.now_ms += FIXTURE_BAKE_MS;
    look_at_balancers(&f);
    p = prove(&f, "web-1");
    assert_int_equal(p.serving, 4);
    assert_int_equal(p.after, 3);
    service_fails(&f, "web-1");
    p = prove(&f, "web-1");
    assert_int_equal(p.serving, 3);
    assert_int_equal(p.after, 3);
}

/* Still up on its balancer, and on its way out. */
static void one_that_goes_is_not_counted_any_more(void **state)
{
    (void)state;
    static const enum lifecycle going[] = {LIFECYCLE_DRAINING, LIFECYCLE_TERMINATING,
                                           LIFECYCLE_TERMINATING_WAIT, LIFECYCLE_QUARANTINED};
    for (size_t i = 0; i < sizeof(going) / sizeof(going[0]); i++) {
        struct fixture f;
        begin(&f, 4, 50);
        the(&f, "web-2")->lifecycle = going[i];
        struct proof p = prove(&f, "web-1");
        assert_int_equal(p.serving, 3);
        assert_int_equal(p.after, 2);
        assert_true(p.holds);
        assert_false(p.holds_less_one);
        p = prove(&f, "web-2");
        assert_int_equal(p.after, 3);
    }
}

/* decide() asks the same question: the two cannot disagree. */
static void decide_agrees(void **state)
{
    (void)state;
    for (unsigned percent = 0; percent <= 100; percent++) {
        struct fixture f;
        begin(&f, 5, percent);
        roles_differ(&f, "web-1");
        struct proof p = prove(&f, "web-1");
        advance(&f, 0);
        assert_int_equal(action_on(&f, ACTION_MARK, "web-1") != NULL, p.holds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_against_the_minimum),
        cmocka_unit_test(taking_one_that_is_not_counted_takes_nothing),
        cmocka_unit_test(one_that_goes_is_not_counted_any_more),
        cmocka_unit_test(decide_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
