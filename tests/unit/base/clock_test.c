#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void test_now_goes_on(void **state)
{
    (void)state;
    int64_t before = clock_now_ms();
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    int64_t passed = clock_now_ms() - before;
    assert_true(passed >= 5);
    assert_true(passed < 60000);
}

static void test_wall_is_today(void **state)
{
    (void)state;
    int64_t seconds = (int64_t)time(NULL);
    int64_t off = clock_wall_ms() / 1000 - seconds;
    assert_true(off >= 0 && off <= 60);
}

static void test_format(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1709251199999, "2024-02-29T23:59:59Z"},
        {4102444800000, "2100-01-01T00:00:00Z"},
    };
    char text[21];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clock_format(cases[i].ms, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
}

static void test_format_span(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1.0 s"},
        {2150, "2.1 s"},
        {59999, "59.9 s"},
        {60000, "1 min 0 s"},
        {250000, "4 min 10 s"},
        {3599999, "59 min 59 s"},
        {3600000, "1 h 0 min"},
        {10920000, "3 h 2 min"},
        {360000000, "100 h 0 min"},
    };
    char text[24];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clock_format_span(cases[i].ms, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now_goes_on),
        cmocka_unit_test(test_wall_is_today),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
