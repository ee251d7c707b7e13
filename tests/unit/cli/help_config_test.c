#include "base/err.h"
#include "base/str.h"
#include "cli/help_config.h"
#include "spec/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is printed on WHAT; the caller frees it. */
static char *print(const char *what)
{
    char *text = NULL;
    size_t length = 0;
    struct err e = ERR_NULL;
    FILE *out = open_memstream(&text, &length);
    assert_int_equal(help_config_print(what, out, &e), 0);
    fclose(out);
    return text;
}

static void test_everything(void **state)
{
    (void)state;
    char *text = print(NULL);
    char *again = print("");
    assert_string_equal(text, again);
    for (size_t i = 0; i < section_kind_count; i++) {
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "\n[%s NAME]\n", section_kinds[i].name);
        assert_non_null(strstr(text, wanted));
        for (size_t k = 0; k < section_kinds[i].key_count; k++) {
            snprintf(wanted, sizeof(wanted), "\n  %s\n", section_kinds[i].keys[k].name);
            assert_non_null(strstr(text, wanted));
        }
    }
    free(again);
    free(text);
}

static void test_lines_fit(void **state)
{
    (void)state;
    char *text = print(NULL);
    size_t width = 0;
    for (const char *p = text; *p != '\0'; p++) {
        width = *p == '\n' ? 0 : width + 1;
        assert_true(width <= 80);
        assert_false(*p == ' ' && p[1] == '\n');
    }
    free(text);
}

static void test_key(void **state)
{
    (void)state;
    static const struct {
        const char *what, *text;
    } cases[] = {
        {"group.max", "[group NAME]\n"
                      "  Instances of one kind: how many, where, of what.\n"
                      "\n"
                      "  max\n"
                      "      The most instances.\n"
                      "      Value: a whole number from 0 to 10000; default: desired.\n"},
        {"group.check-command",
         "[group NAME]\n"
         "  Instances of one kind: how many, where, of what.\n"
         "\n"
         "  check-command\n"
         "      A command that is run on each host as root, over SSH, by sh: exit status 0\n"
         "      means healthy. Beside the pool's check, not in its place.\n"
         "      Value: one line of at most 4096 characters.\n"
         "      Example: check-command = test -e /srv/data/mounted\n"},
        {"hook.default",
         "[hook NAME]\n"
         "  A lifecycle hook: a command that an instance waits for when it comes or goes.\n"
         "\n"
         "  default\n"
         "      What happens when it fails or its time is over. abandon ends a new\n"
         "      instance; one that is leaving leaves either way.\n"
         "      Value: continue or abandon; default abandon.\n"},
        {"frontend.listen", "[frontend NAME]\n"
                            "  A load balancer: HAProxy on the instances of a group.\n"
                            "\n"
                            "  listen\n"
                            "      What it listens on.\n"
                            "      Value: http:PORT; required; may be repeated.\n"
                            "      Example: listen = http:80\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = print(cases[i].what);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
}

static void test_section(void **state)
{
    (void)state;
    char *group = print("group");
    assert_true(text_starts(group, "[group NAME]\n"));
    assert_non_null(strstr(group, "\n  ROLE.VARIABLE\n"));
    assert_non_null(strstr(group, "Reserved for later versions: warm-pool,"));
    assert_null(strstr(group, "[host NAME]"));
    free(group);
    char *size = print("size");
    assert_null(strstr(size, "ROLE.VARIABLE"));
    free(size);
}

static void test_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *what, *text;
    } cases[] = {
        {"grop", "no section [grop]; did you mean 'group'?"},
        {"xyzzyplugh", "no section [xyzzyplugh]"},
        {"group.desird", "[group] has no key 'desird'; did you mean 'desired'?"},
        {"group.", "[group] has no key ''"},
        {".max", "no section []"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NULL;
        assert_int_equal(help_config_print(cases[i].what, stdout, &e), -1);
        assert_string_equal(e.text, cases[i].text);
        e = ERR_NULL;
        assert_null(help_config_json(cases[i].what, &e));
        assert_string_equal(e.text, cases[i].text);
    }
}

static void test_json(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    json_t *all = help_config_json(NULL, &e);
    assert_non_null(all);
    assert_int_equal(json_array_size(json_object_get(all, "sections")), section_kind_count);
    json_decref(all);

    json_t *one = help_config_json("pool.drain", &e);
    assert_non_null(one);
    json_t *sections = json_object_get(one, "sections");
    assert_int_equal(json_array_size(sections), 1);
    json_t *keys = json_object_get(json_array_get(sections, 0), "keys");
    assert_int_equal(json_array_size(keys), 1);
    json_t *drain = json_array_get(keys, 0);
    assert_string_equal(json_string_value(json_object_get(drain, "name")), "drain");
    assert_string_equal(json_string_value(json_object_get(drain, "default")), "300s");
    assert_string_equal(json_string_value(json_object_get(drain, "max")), "1h");
    assert_true(json_is_false(json_object_get(drain, "required")));
    json_decref(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything), cmocka_unit_test(test_lines_fit),
        cmocka_unit_test(test_key),        cmocka_unit_test(test_section),
        cmocka_unit_test(test_unknown),    cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
