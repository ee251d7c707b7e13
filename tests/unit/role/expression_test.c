#include "role/expression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct good {
    const char *text;
    bool with_units;
    int64_t value;
};
static const struct good goods[] = {
    {"0", false, 0},
    {"  42 ", false, 42},
    {"-3", false, -3},
    {"1 + 2 * 3", false, 7},
    {"(1 + 2) * 3", false, 9},
    {"10 - 4 - 3", false, 3},
    {"100 / 7 / 2", false, 7},
    {"-7 / 2", false, -3},
    {"max(4, (2048 - 160) / 48)", false, 39},
    {"max(4,(300-160)/48)", false, 4},
    {"min(3, 2)", false, 2},
    {"min(2, 3)", false, 2},
    {"max(-5, min(1, 2) - 3)", false, -2},
    {"16M + 2M", true, 18 * 1024 * 1024},
    {"2G", true, 2147483648},
    {"1K - 24", true, 1000},
    {"9223372036854775807", false, INT64_MAX},
    {"--1", false, 1},
};

struct bad {
    const char *text;
    bool with_units;
    const char *why;
};
static const struct bad bads[] = {
    {"", false, "neither"},
    {"   ", false, "neither"},
    {"1 +", false, "neither"},
    {"1 2", false, "after the end"},
    {"16M", false, "after the end"},
    {"16T", true, "after the end"},
    {"16 M", true, "after the end"},
    {"(1", false, "open bracket"},
    {"1)", false, "after the end"},
    {"max 1", false, "no bracket"},
    {"max(1)", false, "no comma"},
    {"max(1, 2", false, "open bracket"},
    {"mux(1, 2)", false, "neither"},
    {"mi", false, "neither"},
    {"1 / 0", false, "division by zero"},
    {"1 / (2 - 2)", false, "division by zero"},
    {"9223372036854775808", false, "too large"},
    {"9223372036854775807 + 1", false, "too large"},
    {"-9223372036854775807 - 2", false, "too large"},
    {"4611686018427387904 * 2", false, "too large"},
    {"-(0 - 9223372036854775807 - 1)", false, "too large"},
    {"(0 - 9223372036854775807 - 1) / -1", false, "too large"},
    {"9223372036854775807G", true, "too large"},
    {"{{facts.memory_mb}}", false, "neither"},
    {"((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))", false,
     "too many brackets"},
    {"------------------------------------------------1", false, "too many brackets"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        int64_t value = -99;
        const char *wrong = expression_eval(goods[i].text, goods[i].with_units, &value);
        if (wrong != NULL || value != goods[i].value) {
            fail_msg("'%s': %lld, %s", goods[i].text, (long long)value, wrong != NULL ? wrong : "");
        }
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        int64_t value = -99;
        const char *wrong = expression_eval(bads[i].text, bads[i].with_units, &value);
        if (wrong == NULL || strstr(wrong, bads[i].why) == NULL) {
            fail_msg("'%s': %s", bads[i].text, wrong != NULL ? wrong : "accepted");
        }
        assert_int_equal(value, -99);
    }
}

static void test_size_to_string(void **state)
{
    (void)state;
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1500, "1500"},
        {1024, "1K"},
        {18 * 1024 * 1024, "18M"},
        {2147483648, "2G"},
        {1536, "1536"},
        {INT64_MIN, "-8589934592G"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[24];
        expression_size_to_string(cases[i].bytes, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_size_to_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
