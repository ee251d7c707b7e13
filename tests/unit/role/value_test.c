/* The types of variables, and values escaped for where they land. */
#include "role/escape.h"
#include "role/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_types(void **state)
{
    static const struct {
        const char *type;
        const char *text;
        const char *json; /* NULL: refused. */
    } cases[] = {
        {"text", "any \"thing\" at all", "{\"v\":\"any \\\"thing\\\" at all\"}"},
        {"text", "two\nlines", NULL},
        {"text", "\033[31m", NULL},
        {"text", "", "{\"v\":\"\"}"},
        {"word", "a.b_c:d@e+f/g%h-i", "{\"v\":\"a.b_c:d@e+f/g%h-i\"}"},
        {"word", "two words", NULL},
        {"word", "$(x)", NULL},
        {"word", "", NULL},
        {"number", "42", "{\"v\":42}"},
        {"number", "max(4, (2048 - 160) / 48)", "{\"v\":39}"},
        {"number", "4x", NULL},
        {"number", "", NULL},
        {"bool", "on", "{\"v\":true}"},
        {"bool", "no", "{\"v\":false}"},
        {"bool", "maybe", NULL},
        {"size", "2M", "{\"v\":\"2M\",\"v-bytes\":2097152,\"v-kb\":2048,\"v-mb\":2}"},
        {"size", "-1M", NULL},
        {"size", "2 parsecs", NULL},
        {"duration", "90s", "{\"v\":\"90s\",\"v-ms\":90000,\"v-s\":90}"},
        {"duration", "2h", "{\"v\":\"2h\",\"v-ms\":7200000,\"v-s\":7200}"},
        {"duration", "90", NULL},
        {"duration", "99999999999999999999s", NULL},
        {"duration", "9999999999999d", NULL},
        {"port", "65535", "{\"v\":65535}"},
        {"port", "65536", NULL},
        {"port", "0", NULL},
        {"path", "/etc/a b", "{\"v\":\"/etc/a b\"}"},
        {"path", "etc", NULL},
        {"path", "/etc/../shadow", NULL},
        {"path", "/etc/..", NULL},
        {"path", "/a\nb", NULL},
        {"list", " a  b\nc ", "{\"v\":[\"a\",\"b\",\"c\"]}"},
        {"list", "", "{\"v\":[]}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct value_rule rule = {.choices = NULL};
        json_t *object = json_object();
        assert_int_equal(value_type_from_string(cases[i].type, &rule.type), 0);
        value_rule_finish(&rule);
        const char *expected = value_set(&rule, "v", cases[i].text, object);
        char *json = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(json, cases[i].json == NULL ? "{}" : cases[i].json);
        assert_int_equal(expected != NULL, cases[i].json == NULL);
        free(json);
        json_decref(object);
        value_rule_deinit(&rule);
    }
}

static void test_limits_and_choices(void **state)
{
    (void)state;
    struct value_rule rule = {
        .type = VALUE_NUMBER, .has_min = true, .min = 2, .has_max = true, .max = 9};
    value_rule_finish(&rule);
    assert_null(value_set(&rule, "v", "2", NULL));
    assert_string_equal(value_set(&rule, "v", "10", NULL), "a whole number from 2 to 9");
    value_rule_deinit(&rule);
    rule = (struct value_rule){.type = VALUE_SIZE, .has_min = true, .min = 1 << 20};
    value_rule_finish(&rule);
    assert_string_equal(value_set(&rule, "v", "1K", NULL), "a size such as 128M of at least 1M");
    value_rule_deinit(&rule);
    rule = (struct value_rule){.type = VALUE_WORD, .optional = true, .choice_count = 2};
    rule.choices = calloc(2, sizeof(*rule.choices));
    rule.choices[0] = strdup("a");
    rule.choices[1] = strdup("b");
    value_rule_finish(&rule);
    assert_null(value_set(&rule, "v", "b", NULL));
    assert_null(value_set(&rule, "v", "", NULL));
    assert_string_equal(value_set(&rule, "v", "c", NULL), "one of a, b");
    value_rule_deinit(&rule);
}

static void test_escapes(void **state)
{
    static const struct {
        enum escape escape;
        const char *text;
        const char *expected; /* NULL: refused. */
    } cases[] = {
        {ESCAPE_NONE, "a'b", "a'b"},
        {ESCAPE_HTML, "<a href='x'>\"&", "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"},
        {ESCAPE_PHP, "it's \\ $x\n", "it\\'s \\\\ $x\n"},
        {ESCAPE_SQL, "it's \\ ;", "it''s \\\\ ;"},
        {ESCAPE_INI, "a\"b\\${c}", "a\\\"b\\\\\\${c}"},
        {ESCAPE_INI, "a\nb", NULL},
        {ESCAPE_SHELL, "it's $(x)", "'it'\\''s $(x)'"},
        {ESCAPE_HAPROXY, "a b#c\"$d'", "a\\ b\\#c\\\"\\$d\\'"},
        {ESCAPE_HAPROXY, "", "\"\""},
        {ESCAPE_HAPROXY, "a\nb", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str out = STR_NULL;
        const char *why = escape_add(&out, cases[i].escape, cases[i].text);
        assert_int_equal(why == NULL, cases[i].expected != NULL);
        if (cases[i].expected != NULL) {
            assert_string_equal(str_text(&out), cases[i].expected);
        }
        str_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_limits_and_choices),
        cmocka_unit_test(test_escapes),
    };
    return cmocka_run_group_tests_name("role/value", tests, NULL, NULL);
}
