#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_set(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    assert_string_equal(e.text, "");
    assert_int_equal(err_set(&e, "%s: %d", "port", 7), -1);
    assert_string_equal(e.text, "port: 7");
    assert_int_equal(err_set(NULL, "nobody asks"), -1);
}

static void test_errno(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    assert_int_equal(err_errno(&e, ENOENT, "/etc/%s", "x"), -1);
    assert_string_equal(e.text, "/etc/x: No such file or directory");
    assert_int_equal(err_errno(NULL, ENOENT, "x"), -1);
}

static void test_wrap(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    err_set(&e, "connection reset by peer");
    assert_int_equal(err_wrap(&e, "open channel"), -1);
    assert_int_equal(err_wrap(&e, "deploy %s to %s", "web-1", "rack-a"), -1);
    assert_string_equal(e.text, "deploy web-1 to rack-a: open channel: connection reset by peer");
    assert_int_equal(err_wrap(NULL, "x"), -1);
}

/* The text may be an argument of the next one. */
static void test_set_from_itself(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    err_set(&e, "inner");
    err_set(&e, "outer (%s)", e.text);
    assert_string_equal(e.text, "outer (inner)");
}

static void test_control_bytes(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    err_set(&e, "a\033[31mb\nc\td\177\r");
    assert_string_equal(e.text, "a?[31mb c d??");
    /* C1 controls, bare and encoded, and what is no UTF-8; letters stay. */
    err_set(&e, "\233K \302\233K \377 caf\303\251 \342\202");
    assert_string_equal(e.text, "?K ??K ? caf\303\251 ??");
}

static void test_too_long(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    char text[2 * ERR_TEXT_SIZE];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    err_set(&e, "%s", text);
    assert_int_equal(strlen(e.text), ERR_TEXT_SIZE - 1);
    err_wrap(&e, "front");
    assert_int_equal(strlen(e.text), ERR_TEXT_SIZE - 1);
    assert_memory_equal(e.text, "front: xxx", 10);
    err_wrap(&e, "%s", text);
    assert_int_equal(strlen(e.text), ERR_TEXT_SIZE - 1);
    err_errno(&e, ENOENT, "%s", text);
    assert_int_equal(strlen(e.text), ERR_TEXT_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),           cmocka_unit_test(test_errno),
        cmocka_unit_test(test_wrap),          cmocka_unit_test(test_set_from_itself),
        cmocka_unit_test(test_control_bytes), cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
