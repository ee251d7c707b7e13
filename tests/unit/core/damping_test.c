/* Flap damping: what counts as flapping, how long it is held, and when that is forgotten. */
#include "fixture.h"

#define PERIOD_MS (2 * SECOND)

/* COUNT transitions, one every RESULTS results; returns when the last one came. */
static int64_t transitions(struct damping *d, int64_t from_ms, int count, int64_t results)
{
    for (int i = 0; i < count; i++) {
        from_ms += results * PERIOD_MS;
        damping_on_transition(d, from_ms, PERIOD_MS);
    }
    return from_ms;
}

static void over_half_of_the_last_21_results_flap(void **state)
{
    (void)state;
    static const struct {
        int count;
        int64_t results; /* From one transition to the next. */
        bool held;
    } cases[] = {
        {1, 1, false},
        {10, 1, false}, /* 10 of 21: less than half. */
        {11, 1, true},
        {21, 1, true},
        {10, 2, false},
        {11, 2, true}, /* Every second result: 11 of 21 once the window is full of it. */
        {100, 3, false},
        {100, DAMPING_RESULTS, false},
        {100, 1000, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct damping d = {0};
        int64_t now_ms = transitions(&d, HOUR, cases[i].count, cases[i].results);
        assert_int_equal(damping_held(&d, now_ms), cases[i].held);
    }
}

static void the_hold_ends_by_itself(void **state)
{
    (void)state;
    struct damping d = {0};
    int64_t now_ms = transitions(&d, HOUR, 11, 1);
    assert_true(damping_held(&d, now_ms + MINUTE - 1));
    assert_false(damping_held(&d, now_ms + MINUTE));
}

static void what_flaps_on_is_held_twice_as_long_up_to_an_hour(void **state)
{
    (void)state;
    static const int64_t holds_ms[] = {MINUTE,      2 * MINUTE,  4 * MINUTE, 8 * MINUTE,
                                       16 * MINUTE, 32 * MINUTE, HOUR,       HOUR};
    struct damping d = {0};
    int64_t now_ms = HOUR;
    for (size_t i = 0; i < sizeof(holds_ms) / sizeof(holds_ms[0]); i++) {
        /* It flaps until it is held, and all through the hold. */
        while (!damping_held(&d, now_ms)) {
            now_ms = transitions(&d, now_ms, 1, 1);
        }
        int64_t until_ms = d.until_ms;
        assert_int_equal(until_ms - now_ms, holds_ms[i]);
        while (now_ms + PERIOD_MS < until_ms) {
            now_ms = transitions(&d, now_ms, 1, 1);
            assert_int_equal(d.until_ms, until_ms); /* A hold is not made longer meanwhile. */
        }
        now_ms = until_ms;
    }
}

static void a_quiet_hour_forgets(void **state)
{
    (void)state;
    struct damping d = {0};
    int64_t now_ms = transitions(&d, HOUR, 11, 1);
    now_ms = transitions(&d, d.until_ms, 11, 1);
    assert_int_equal(d.hold_ms, 2 * MINUTE);
    now_ms = transitions(&d, d.until_ms + HOUR, 11, 1); /* From there on: 11 new ones. */
    assert_int_equal(d.until_ms - now_ms, MINUTE);
}

static void a_steady_state_shifts_old_transitions_out(void **state)
{
    (void)state;
    struct damping d = {0};
    int64_t now_ms = transitions(&d, HOUR, 10, 1);
    now_ms = transitions(&d, now_ms, 1, DAMPING_RESULTS);
    assert_int_equal(d.transitions, 1);
    now_ms = transitions(&d, now_ms, 1, DAMPING_RESULTS - 1);
    assert_int_equal(d.transitions, 1U << (DAMPING_RESULTS - 1) | 1U);
}

/* Neither a clock that stands still nor a check without a period is the end of it. */
static void odd_times_are_one_result_each(void **state)
{
    (void)state;
    struct damping d = {0};
    for (int i = 0; i < 11; i++) {
        damping_on_transition(&d, HOUR, PERIOD_MS);
    }
    assert_true(damping_held(&d, HOUR));
    d = (struct damping){0};
    for (int i = 0; i < 11; i++) {
        damping_on_transition(&d, HOUR + i, 0);
    }
    assert_true(damping_held(&d, HOUR + 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_half_of_the_last_21_results_flap),
        cmocka_unit_test(the_hold_ends_by_itself),
        cmocka_unit_test(what_flaps_on_is_held_twice_as_long_up_to_an_hour),
        cmocka_unit_test(a_quiet_hour_forgets),
        cmocka_unit_test(a_steady_state_shifts_old_transitions_out),
        cmocka_unit_test(odd_times_are_one_result_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
