/* Libraries that are loaded when needed: the slots are filled; what is missing is said in a line.
 */
#include "base/err.h"
#include "base/library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One that is there wherever the program runs, and that nothing here is linked with. */
#define FILE_NAME "libm.so.6"

static double (*floor_there)(double);
static void (*nothing)(void);

static void test_loads(void **state)
{
    (void)state;
    const struct library_function functions[] = {{"floor", (void **)&floor_there}};
    struct err e = ERR_NULL;
    assert_int_equal(library_load(FILE_NAME, "libc6", functions, 1, &e), 0);
    assert_true(floor_there(2.5) == 2.0);
}

static void test_missing_file(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    assert_int_equal(library_load("libnone.so.7", "libnone7", NULL, 0, &e), -1);
    assert_string_equal(e.text, "is package libnone7 installed? libnone.so.7: cannot open shared "
                                "object file: No such file or directory");
}

static void test_missing_function(void **state)
{
    (void)state;
    const struct library_function functions[] = {{"floor", (void **)&floor_there},
                                                 {"no_such_function", (void **)&nothing}};
    struct err e = ERR_NULL;
    assert_int_equal(library_load(FILE_NAME, "libc6", functions, 2, &e), -1);
    assert_non_null(strstr(e.text, FILE_NAME));
    assert_non_null(strstr(e.text, "undefined symbol: no_such_function"));
    assert_null(nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_missing_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
