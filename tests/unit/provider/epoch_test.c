/* The epoch beside an instance: it only rises, and nothing is guessed from a file that is odd. */
#include "provider/epoch.h"

#include "base/err.h"
#include "base/mem.h"
#include "provider/instance_dir.h"
#include "provider/mark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *base;
static struct instance_dir dir;

static int set_up(void **state)
{
    (void)state;
    char place[] = "/tmp/epoch_test.XXXXXX";
    base = mkdtemp(place) == NULL ? NULL : xstrdup(place);
    struct mark mark = {.cluster = xstrdup("shop"),
                        .id = xstrdup("web-1"),
                        .group = xstrdup("web"),
                        .zone = xstrdup("rack-a"),
                        .address = xstrdup("10.77.1.11"),
                        .directory = xasprintf("%s/web-1", base)};
    struct err e = ERR_NULL;
    int result = instance_dir_make(base, &mark, &dir, &e);
    mark_deinit(&mark);
    return result;
}

static int tear_down(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    int result = instance_dir_remove(base, "web-1", &dir, &e);
    instance_dir_deinit(&dir);
    result = rmdir(base) != 0 ? -1 : result;
    free(base);
    return result;
}

static void assert_kept(const char *expected)
{
    char *text = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(instance_dir_read(&dir, "epoch", &text, &e), 0);
    if (expected == NULL) {
        assert_null(text);
    } else {
        assert_string_equal(text, expected);
    }
    free(text);
}

static void test_it_only_rises(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    assert_int_equal(epoch_take(&dir, 0, &e), 0); /* Nobody's: nothing is written. */
    assert_kept(NULL);
    assert_int_equal(epoch_take(&dir, 3, &e), 0);
    assert_int_equal(epoch_take(&dir, 3, &e), 0);
    assert_kept("3");
    assert_int_equal(epoch_take(&dir, 12, &e), 0);
    assert_kept("12");
    assert_int_equal(epoch_take(&dir, 11, &e), -1);
    assert_non_null(strstr(e.text, "a newer controller (epoch 12) has this instance; ours is 11"));
    assert_int_equal(epoch_take(&dir, 0, &e), -1);
    assert_kept("12");
}

static void test_an_odd_file_is_refused(void **state)
{
    (void)state;
    static const char *const odd[] = {"", "-1", "12 13", "x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct err e = ERR_NULL;
        assert_int_equal(instance_dir_write(&dir, "epoch", odd[i], &e), 0);
        assert_int_equal(epoch_take(&dir, 5, &e), -1);
        assert_non_null(strstr(e.text, "web-1/epoch holds no number"));
        assert_kept(odd[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_only_rises, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_odd_file_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
