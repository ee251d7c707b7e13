/* The published numbers, and the edges of a range. */
#include "rehearse/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void the_published_numbers(void **state)
{
    (void)state;
    static const uint64_t expected[] = {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0};
    struct random r;
    random_init(&r, 0);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(random_next(&r) == expected[i]);
    }
}

static void both_ends_come_and_nothing_beyond(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 7);
    bool first = false;
    bool last = false;
    for (unsigned i = 0; i < 1000; i++) {
        int64_t n = random_between(&r, -2, 3);
        assert_in_range(n + 2, 0, 5);
        first = first || n == -2;
        last = last || n == 3;
    }
    assert_true(first && last);
    assert_int_equal(random_between(&r, 5, 5), 5);
}

static void chances(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 7);
    unsigned times = 0;
    for (unsigned i = 0; i < 10000; i++) {
        assert_false(random_chance(&r, 0));
        assert_true(random_chance(&r, 1000));
        times += random_chance(&r, 250) ? 1 : 0;
    }
    assert_in_range(times, 2300, 2700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_numbers),
        cmocka_unit_test(both_ends_come_and_nothing_beyond),
        cmocka_unit_test(chances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
