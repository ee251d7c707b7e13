/* The table itself: complete, in bounds, and its own examples are right. */
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "conformance/scratch.h"
#include "spec/key.h"
#include "spec/load.h"
#include "spec/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_table(void **state)
{
    (void)state;
    assert_int_equal(section_kind_count, SECTION_HOOK + 1);
    for (size_t i = 0; i < section_kind_count; i++) {
        const struct section_kind *kind = &section_kinds[i];
        assert_int_equal(kind->id, i);
        assert_ptr_equal(section_kind_find(kind->name), kind);
        assert_true(text_is_name(kind->name) && text_ends(kind->help, "."));
        assert_true(kind->key_count <= SECTION_KEY_MAX);
        for (size_t k = 0; k < kind->key_count; k++) {
            const struct key *key = &kind->keys[k];
            assert_true(text_is_name(key->name));
            assert_int_equal(section_kind_key(kind, key->name), k);
            assert_true(key->min <= key->max);
            assert_true(key->fallback == NULL || (!key->required && key->fallback_note == NULL));
        }
    }
    assert_null(section_kind_find("grop"));
}

/* A key that is known cannot be one of a later version too. */
static void test_later_is_not_now(void **state)
{
    (void)state;
    for (size_t i = 0; i < section_kind_count; i++) {
        const struct section_kind *kind = &section_kinds[i];
        for (size_t k = 0; kind->later != NULL && kind->later[k] != NULL; k++) {
            assert_int_equal(section_kind_key(kind, kind->later[k]), kind->key_count);
        }
    }
    for (size_t i = 0; section_later[i] != NULL; i++) {
        assert_null(section_kind_find(section_later[i]));
    }
}

static bool sets(struct load *load, struct load_section *section, const struct key *key,
                 const char *text)
{
    struct ini_entry entry = {.key = NULL, .value = NULL, .file = "/x.ini", .line = 1};
    struct err e = ERR_NULL;
    int result = load_set(load, section, key, &entry, text, &e);
    if (result != 0) {
        print_error("[%s] %s = %s: %s\n", section->kind->name, key->name, text, e.text);
    }
    return result == 0;
}

/* Every default and every example that needs no other section is a value of its key. */
static void test_defaults_and_examples(void **state)
{
    (void)state;
    static const enum key_type elsewhere[] = {KEY_REFERENCE, KEY_REFERENCES, KEY_JUMP, KEY_ROUTE,
                                              KEY_SCRIPT};
    struct problem_list problems = PROBLEM_LIST_NULL;
    char *folder = scratch_make();
    char *path = xasprintf("%s/x.ini", folder);
    FILE *out = fopen(path, "w");
    for (size_t i = 0; i < section_kind_count; i++) {
        fprintf(out, "[%s x]\n", section_kinds[i].name);
    }
    fclose(out);
    struct load load = {.problems = &problems, .spec = xcalloc(1, sizeof(*load.spec))};
    ini_doc_read(&load.doc, path, &problems);
    load_collect_sections(&load); /* Aborts on a default that is no value. */
    assert_int_equal(problems.count, 0);
    size_t tried = 0;
    for (size_t i = 0; i < load.section_count; i++) {
        struct load_section *section = &load.sections[i];
        for (size_t k = 0; k < section->kind->key_count; k++) {
            const struct key *key = &section->kind->keys[k];
            bool skip = key->example == NULL;
            for (size_t t = 0; t < sizeof(elsewhere) / sizeof(elsewhere[0]); t++) {
                skip = skip || key->type == elsewhere[t];
            }
            if (!skip) {
                assert_true(sets(&load, section, key, key->example));
                tried++;
            }
        }
    }
    assert_true(tried > 10);
    ini_doc_deinit(&load.doc);
    free(load.sections);
    spec_free(load.spec);
    problem_list_deinit(&problems);
    free(path);
    scratch_remove(folder);
}

static void test_numbers_as_written(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        int64_t number;
        const char *text;
    } cases[] = {
        {KEY_DURATION, 0, "0"},         {KEY_DURATION, 100, "100ms"},
        {KEY_DURATION, 2000, "2s"},     {KEY_DURATION, 90000, "90s"},
        {KEY_DURATION, 120000, "2min"}, {KEY_DURATION, 86400000, "24h"},
        {KEY_SIZE, 512 << 20, "512M"},  {KEY_SIZE, 1 << 30, "1G"},
        {KEY_SIZE, 1000, "1000"},       {KEY_PERCENT, 90, "90%"},
        {KEY_PERCENT, 0, "0%"},         {KEY_COUNT, 65535, "65535"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str text = STR_NULL;
        key_add_number(&(struct key){.type = cases[i].type}, cases[i].number, &text);
        assert_string_equal(str_text(&text), cases[i].text);
        str_deinit(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_later_is_not_now),
        cmocka_unit_test(test_defaults_and_examples),
        cmocka_unit_test(test_numbers_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
