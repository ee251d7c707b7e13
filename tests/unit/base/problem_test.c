#include "base/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void check_printed(const struct problem_list *list, const char *wanted)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    problem_list_print(list, out);
    fclose(out);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_printed(void **state)
{
    (void)state;
    struct problem_list list = PROBLEM_LIST_NULL;
    problem_add(&list, "shop.ini", 12, "min: got '%s'", "two");
    problem_add(&list, "shop.ini", 0, "no [cluster]");
    problem_add(&list, NULL, 0, "shop.ini: No such file");
    check_printed(&list, "shop.ini:12: min: got 'two'\nshop.ini: no [cluster]\n"
                         "shop.ini: No such file\n");
    problem_list_deinit(&list);
    assert_int_equal(list.count, 0);
    problem_list_deinit(&list);
}

/* Files in the order they came up, then lines; what stands on one line keeps its order. */
static void test_sorted(void **state)
{
    (void)state;
    struct problem_list list = PROBLEM_LIST_NULL;
    problem_add(&list, "z.ini", 9, "a");
    problem_add(&list, "a.ini", 5, "b");
    problem_add(&list, "z.ini", 2, "c");
    problem_add(&list, "a.ini", 5, "d");
    problem_add(&list, NULL, 0, "e");
    problem_add(&list, "a.ini", 1, "f");
    problem_add(&list, "z.ini", 9, "g");
    problem_list_sort(&list);
    check_printed(&list, "z.ini:2: c\nz.ini:9: a\nz.ini:9: g\na.ini:1: f\na.ini:5: b\n"
                         "a.ini:5: d\ne\n");
    problem_list_deinit(&list);
}

static void test_sorted_when_empty(void **state)
{
    (void)state;
    struct problem_list list = PROBLEM_LIST_NULL;
    problem_list_sort(&list);
    assert_int_equal(list.count, 0);
    problem_list_deinit(&list);
}

/* What a file says cannot move the cursor, nor start a line of its own. */
static void test_printable(void **state)
{
    (void)state;
    struct problem_list list = PROBLEM_LIST_NULL;
    problem_add(&list, "a\033[2Jb", 1, "got '%s'", "x\033]0;t\007y\nz\r\xff");
    check_printed(&list, "a[2Jb:1: got 'x]0;ty z?'\n");
    problem_list_deinit(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed),
        cmocka_unit_test(test_sorted),
        cmocka_unit_test(test_sorted_when_empty),
        cmocka_unit_test(test_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
