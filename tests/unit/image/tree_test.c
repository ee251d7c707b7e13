/* image/tree: two lists, and exactly what is different between them. */
#include "image/tree.h"

#include "base/err.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void note(void *context, enum tree_change change, const char *path, const char *was,
                 const char *is)
{
    static const char letters[] = {[TREE_ADDED] = '+', [TREE_REMOVED] = '-', [TREE_CHANGED] = '~'};
    assert_true((was == NULL) == (change == TREE_ADDED));
    assert_true((is == NULL) == (change == TREE_REMOVED));
    str_addf(context, "%c%s ", letters[change], path);
}

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        const char *now;
        const char *changes;
    } cases[] = {
        {"", "", ""},
        {"a\tf 1\n", "a\tf 1\n", ""},
        {"a\tf 1\n", "a\tf 2\n", "~a "},
        {"", "a\tf 1\nb\tf\n", "+a +b "},
        {"a\tf 1\nb\tf\n", "", "-a -b "},
        {"a\td\na-b\tf\na/b\tf\n", "a\td\na/b\tf\na/c\tf\n", "-a-b +a/c "},
        {"a\tf\nb\tf\nd\tf\n", "b\tf\nc\tf\nd\tx\n", "-a +c ~d "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tree before = TREE_NULL;
        struct tree now = TREE_NULL;
        struct str changes = STR_NULL;
        struct err e = ERR_NULL;
        assert_int_equal(tree_parse(&before, cases[i].before, &e), 0);
        assert_int_equal(tree_parse(&now, cases[i].now, &e), 0);
        tree_compare(&before, &now, note, &changes);
        assert_string_equal(str_text(&changes), cases[i].changes);
        str_deinit(&changes);
        tree_deinit(&before);
        tree_deinit(&now);
    }
}

static void test_lines(void **state)
{
    (void)state;
    struct tree tree = TREE_NULL;
    struct str text = STR_NULL;
    char digest[DIGEST_TEXT_SIZE];
    char odd[] = "z\n\\ x";
    char plain[] = "a";
    char link[] = "l";
    struct tar_entry entry = {.path = odd, .type = TAR_FILE, .mode = 0644, .size_bytes = 3};
    assert_int_equal(tree_add(&tree, &entry, "abc"), 0);
    entry = (struct tar_entry){.path = plain, .type = TAR_HARD_LINK, .target = odd};
    assert_int_equal(tree_add(&tree, &entry, NULL), 0);
    entry.target = link;
    assert_int_equal(tree_add(&tree, &entry, NULL), -1);
    entry = (struct tar_entry){.path = link, .type = TAR_LINK, .target = odd, .mode = 0700};
    assert_int_equal(tree_add(&tree, &entry, NULL), 0);
    tree_finish(&tree, &text, digest);
    assert_string_equal(str_text(&text), "a\tf 644 0 0 3 abc\n"
                                         "l\tl 777 0 0 z\\012\\134\\040x\n"
                                         "z\\012\\134\\040x\tf 644 0 0 3 abc\n");
    assert_int_equal(tree.bytes, 3);
    tree_deinit(&tree);
    assert_int_equal(tree_parse(&tree, str_text(&text), NULL), 0);
    assert_int_equal(tree.count, 3);
    tree_deinit(&tree);
    assert_int_equal(tree_parse(&tree, "no tab here\n", NULL), -1);
    assert_int_equal(tree_parse(&tree, "a\tcut off", NULL), -1);
    str_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
