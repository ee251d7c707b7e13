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

/* Whatever is lost besides: what plan shows, what decide() allows, and what is. */

enum state { WELL, FAILS, NOT_BAKED, STATES };

static void put(struct fixture *f, const char *id, int64_t in_service_ms, enum state state)
{
    host_is_well(f, id);
    the(f, id)->in_service_ms = state == NOT_BAKED ? f->world.now_ms : in_service_ms;
    if (state == FAILS) {
        service_fails(f, id);
    }
}

/* The minimum with each other one really lost, one after the other; *RET_ANY: there is one. */
static bool holds_whoever_is_lost(struct fixture *f, unsigned most, bool *ret_any)
{
    bool holds = true;
    *ret_any = false;
    for (unsigned n = 2; n <= most; n++) {
        char id[WORLD_ID_SIZE];
        instance_id(id, "web", n);
        judge_now(f);
        struct survey s = count(f);
        if (!survey_is_counted(&s, find(f, id))) {
            continue;
        }
        *ret_any = true;
        service_fails(f, id);
        holds = holds && prove(f, "web-1").holds;
        host_is_well(f, id);
    }
    return holds;
}

static void agree(struct fixture *f, const enum state *states, unsigned most,
                  const int64_t *in_service_ms)
{
    for (unsigned n = 1; n <= most; n++) {
        char id[WORLD_ID_SIZE];
        instance_id(id, "web", n);
        put(f, id, in_service_ms[n - 1], states[n - 1]);
    }
    struct proof p = prove(f, "web-1");
    bool any;
    bool really = holds_whoever_is_lost(f, most, &any);
    if (any) {
        assert_int_equal(p.holds_less_one, p.holds && really);
    }
    roles_differ(f, "web-1");
    step(f);
    bool allowed = action_on(f, ACTION_MARK, "web-1") != NULL;
    /* Who is not counted takes nothing away, and may be held until it has baked. */
    if (states[0] == WELL) {
        assert_int_equal(allowed, p.holds_less_one);
    }
    the(f, "web-1")->drift = WORLD_DRIFT_NONE;
}

static void begin_agreement(struct fixture *f, unsigned count, unsigned percent,
                            int64_t *ret_in_service_ms)
{
    begin(f, count, percent);
    f->groups[WEB].spare = 1;
    for (size_t g = 0; g < f->spec.group_count; g++) {
        f->groups[g].breaker_percent = 100;
        f->groups[g].repair = SPEC_REPAIR_NONE;
    }
    for (unsigned n = 1; n <= count; n++) {
        char id[WORLD_ID_SIZE];
        instance_id(id, "web", n);
        ret_in_service_ms[n - 1] = the(f, id)->in_service_ms;
    }
}

static void all_small_groups_agree(void **state)
{
    (void)state;
    static const unsigned percents[] = {0, 20, 34, 50, 67, 75, 80, 100};
    for (unsigned count = 1; count <= 5; count++) {
        for (size_t p = 0; p < sizeof(percents) / sizeof(percents[0]); p++) {
            struct fixture f;
            int64_t in_service_ms[5];
            begin_agreement(&f, count, percents[p], in_service_ms);
            unsigned all = 1;
            for (unsigned n = 0; n < count; n++) {
                all *= STATES;
            }
            for (unsigned code = 0; code < all; code++) {
                enum state states[5];
                unsigned rest = code;
                for (unsigned n = 0; n < count; n++) {
                    states[n] = (enum state)(rest % STATES);
                    rest /= STATES;
                }
                agree(&f, states, count, in_service_ms);
            }
        }
    }
}

static void ten_thousand_groups_agree(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (unsigned round = 0; round < 100; round++) {
        struct fixture f;
        int64_t in_service_ms[9];
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        unsigned count = 1 + (unsigned)(random % 9);
        begin_agreement(&f, count, (unsigned)(random >> 32) % 101, in_service_ms);
        for (unsigned turn = 0; turn < 100; turn++) {
            enum state states[9];
            for (unsigned n = 0; n < count; n++) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                /* Most are well, or there is nothing to allow. */
                states[n] = random % 8 < 6 ? WELL : (enum state)(random % 2 + 1);
            }
            agree(&f, states, count, in_service_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_against_the_minimum),
        cmocka_unit_test(taking_one_that_is_not_counted_takes_nothing),
        cmocka_unit_test(one_that_goes_is_not_counted_any_more),
        cmocka_unit_test(decide_agrees),
        cmocka_unit_test(all_small_groups_agree),
        cmocka_unit_test(ten_thousand_groups_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
