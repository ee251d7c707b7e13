/* What is asked of a refresh, as text and back. */
#include "controller/refresh_options.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void all_comes_back(void **state)
{
    (void)state;
    struct refresh_options in = {
        .image = xstrdup("web@4"),
        .all = true,
        .no_rollback = true,
        .allow_downgrade = true,
        .warm_up_ms = 1,
        .bake_ms = 2,
        .checkpoints = {20, 50},
        .checkpoint_count = 2,
        .checkpoint_delay_ms = 0,
        .alarm = xstrdup("sh -c 'exit \"1\"'"),
        .alarm_every_ms = 1000,
        .protected_ones = WORLD_REFRESH_REPLACE,
        .standby_ones = WORLD_REFRESH_IGNORE,
    };
    struct refresh_options out;
    struct err e = ERR_NULL;
    char *text = refresh_options_to_text(&in);
    assert_null(strchr(text, '\n'));
    assert_int_equal(refresh_options_from_text(text, &out, &e), 0);
    char *again = refresh_options_to_text(&out);
    assert_string_equal(text, again);
    assert_string_equal(out.image, "web@4");
    assert_string_equal(out.alarm, in.alarm);
    assert_true(out.all && out.no_rollback && out.allow_downgrade);
    assert_int_equal(out.checkpoints[1], 50);
    assert_int_equal(out.checkpoint_delay_ms, 0);
    assert_int_equal(out.standby_ones, WORLD_REFRESH_IGNORE);
    free(text);
    free(again);
    refresh_options_deinit(&in);
    refresh_options_deinit(&out);
    refresh_options_deinit(&out); /* Idempotent. */
}

static void nothing_is_the_defaults(void **state)
{
    (void)state;
    struct refresh_options out;
    struct err e = ERR_NULL;
    assert_int_equal(refresh_options_from_text(NULL, &out, &e), 0);
    assert_null(out.image);
    assert_int_equal(out.checkpoint_delay_ms, -1);
    assert_int_equal(out.alarm_every_ms, REFRESH_ALARM_EVERY_MS);
    char *text = refresh_options_to_text(&out);
    assert_string_equal(text, "{}");
    free(text);
    assert_int_equal(refresh_options_from_text("{\"template\": 7}", &out, &e), 0);
    assert_int_equal(out.template, 7);
    text = refresh_options_to_text(&out);
    assert_string_equal(text, "{\"template\":7}");
    free(text);
    refresh_options_deinit(&out);
}

/* What is not understood was asked for all the same: it is never left out in silence. */
static void what_is_not_known_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *word;
    } cases[] = {
        {"", "cannot be read"},
        {"[]", "cannot be read"},
        {"{\"imagine\": \"web\"}", "'imagine'"},
        {"{\"image\": 4}", "'image'"},
        {"{\"image\": \"web@x\"}", "web@x"},
        {"{\"template\": 0}", "'template'"},
        {"{\"template\": \"1\"}", "'template'"},
        {"{\"template\": 1, \"image\": \"web\"}", "exclude each other"},
        {"{\"all\": \"yes\"}", "'all'"},
        {"{\"bake\": -1}", "negative"},
        {"{\"bake\": \"1s\"}", "'bake'"},
        {"{\"checkpoints\": \"50,20\"}", "ascending"},
        {"{\"checkpoint-delay\": 5}", "--checkpoints"},
        {"{\"alarm\": \"'open\"}", "--alarm"},
        {"{\"alarm\": \"true\", \"alarm-every\": 10}", "--alarm-every"},
        {"{\"standby\": \"kill\"}", "wait, replace or ignore"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct refresh_options out;
        struct err e = ERR_NULL;
        assert_int_equal(refresh_options_from_text(cases[i].text, &out, &e), -1);
        if (strstr(e.text, cases[i].word) == NULL) {
            fail_msg("%s: '%s' has no '%s'", cases[i].text, e.text, cases[i].word);
        }
    }
}

static void checkpoints_are_percentages(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "0", "100", "20,20", "20,", ",20", "50,20", "20;50", "x", "20 50", "1,2,3,4,5,6,7,8,9"};
    struct refresh_options o = REFRESH_OPTIONS_NULL;
    struct err e = ERR_NULL;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (refresh_options_set_checkpoints(&o, bad[i], &e) == 0) {
            fail_msg("'%s' was taken", bad[i]);
        }
    }
    assert_int_equal(refresh_options_set_checkpoints(&o, "1,50,99", &e), 0);
    assert_int_equal(o.checkpoint_count, 3);
    assert_int_equal(o.checkpoints[2], 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_comes_back),
        cmocka_unit_test(nothing_is_the_defaults),
        cmocka_unit_test(what_is_not_known_is_refused),
        cmocka_unit_test(checkpoints_are_percentages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
