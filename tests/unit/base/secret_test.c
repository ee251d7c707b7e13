#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"
#include "conformance/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char *file_with(const char *folder, const char *bytes, size_t length, mode_t mode)
{
    char *path = xasprintf("%s/secret", folder);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    fclose(out);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void test_set_copy_equal(void **state)
{
    (void)state;
    struct secret a = SECRET_NULL;
    struct secret b = SECRET_NULL;
    assert_true(secret_equal(&a, &b));
    secret_set(&a, "one\0two", 7);
    assert_false(secret_equal(&a, &b));
    secret_copy(&b, &a);
    assert_true(secret_equal(&a, &b));
    assert_ptr_not_equal(a.bytes, b.bytes);
    secret_set(&b, "one\0twx", 7);
    assert_false(secret_equal(&a, &b));
    secret_set(&b, "one\0tw", 6);
    assert_false(secret_equal(&a, &b));
    secret_deinit(&a);
    secret_copy(&b, &a);
    assert_int_equal(b.length, 0);
    secret_deinit(&a);
    secret_deinit(&b);
    assert_null(b.bytes);
}

static void test_read(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *secret; /* NULL: a fault. */
    } cases[] = {
        {"hunter2\n", 8, "hunter2"},
        {"hunter2", 7, "hunter2"},
        {"hunter2\r\n", 9, "hunter2"},
        {" a b \n", 6, " a b "},
        {"", 0, NULL},
        {"\n", 1, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *path = file_with(*state, cases[i].bytes, cases[i].length, 0600);
        struct secret s = SECRET_NULL;
        struct err e = ERR_NULL;
        int result = secret_read_file(&s, path, &e);
        assert_int_equal(result, cases[i].secret == NULL ? -1 : 0);
        if (result == 0) {
            assert_int_equal(s.length, strlen(cases[i].secret));
            assert_memory_equal(s.bytes, cases[i].secret, s.length);
        } else {
            assert_non_null(strstr(e.text, "empty"));
        }
        secret_deinit(&s);
        free(path);
    }
}

static void test_read_refuses(void **state)
{
    struct secret s = SECRET_NULL;
    struct err e = ERR_NULL;
    static const mode_t modes[] = {0640, 0604, 0660, 0601, 0700 | 0020};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        char *path = file_with(*state, "canary-7431\n", 12, modes[i]);
        e = ERR_NULL;
        assert_int_equal(secret_read_file(&s, path, &e), -1);
        assert_non_null(strstr(e.text, "readable by others"));
        assert_null(strstr(e.text, "canary"));
        free(path);
    }
    assert_int_equal(secret_read_file(&s, *state, &e), -1);
    assert_non_null(strstr(e.text, "not a regular file"));
    assert_int_equal(secret_read_file(&s, "/nowhere/secret", &e), -1);
    assert_string_equal(e.text, "/nowhere/secret: No such file or directory");
    assert_null(s.bytes);

    char *large = xcalloc(1, 65537);
    memset(large, 'x', 65537);
    char *path = file_with(*state, large, 65537, 0600);
    assert_int_equal(secret_read_file(&s, path, &e), -1);
    assert_non_null(strstr(e.text, "larger than"));
    free(path);
    path = file_with(*state, large, 65536, 0600);
    assert_int_equal(secret_read_file(&s, path, &e), 0);
    assert_int_equal(s.length, 65536);
    free(path);
    free(large);
    secret_deinit(&s);
}

static void test_generate(void **state)
{
    (void)state;
    struct secret a = SECRET_NULL;
    struct secret b = SECRET_NULL;
    unsigned seen[256] = {0};
    secret_generate(&a, 4000);
    secret_generate(&b, 4000);
    assert_int_equal(a.length, 4000);
    assert_false(secret_equal(&a, &b));
    for (size_t i = 0; i < a.length; i++) {
        seen[a.bytes[i]]++;
    }
    size_t letters = 0;
    for (unsigned c = 0; c < 256; c++) {
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        assert_true(alphanumeric || seen[c] == 0);
        letters += seen[c] > 0;
    }
    assert_int_equal(letters, 62); /* 4000 draws miss one of 62 once in 10^26. */
    secret_deinit(&a);
    secret_deinit(&b);
}

static void test_write(void **state)
{
    char *path = xasprintf("%s/made", (char *)*state);
    struct secret a = SECRET_NULL;
    struct secret b = SECRET_NULL;
    struct err e = ERR_NULL;
    struct stat st;
    secret_generate(&a, 24);
    assert_int_equal(secret_write_file(&a, path, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(secret_read_file(&b, path, &e), 0);
    assert_true(secret_equal(&a, &b));
    /* What is there is never written over. */
    assert_int_equal(secret_write_file(&b, path, &e), -1);
    assert_non_null(strstr(e.text, "File exists"));
    secret_deinit(&a);
    secret_deinit(&b);
    free(path);
}

static int set_up(void **state)
{
    *state = scratch_make();
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_copy_equal),
        cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_refuses, set_up, tear_down),
        cmocka_unit_test(test_generate),
        cmocka_unit_test_setup_teardown(test_write, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
