/* controller/site: the key of sticky pools' cookies: made once, kept, and never a bad one. */
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "conformance/scratch.h"
#include "controller/site.h"
#include "frontend/frontend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char *directory;
    char *key_path;
    struct site site;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->directory = scratch_make();
    f->key_path = xasprintf("%s/state/keys/sticky", f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    site_deinit(&f->site);
    free(f->key_path);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

/* A cluster with one pool, whose sticky line is LINE; no login key, so that none is made. */
static void load(struct fixture *f, const char *line)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    char *path = xasprintf("%s/cluster.ini", f->directory);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out,
            "[cluster shop]\nstate = sqlite:%s/state/shop.db\nroles = %s\nkey = none\nagent = yes\n"
            "[pool web]\nport = 80\n%s",
            f->directory, f->directory, line);
    fclose(out);
    site_deinit(&f->site);
    if (site_load(&f->site, path, &problems) != 0) {
        problem_list_print(&problems, stderr);
        fail();
    }
    problem_list_deinit(&problems);
    free(path);
}

static const char *key_of(const struct fixture *f)
{
    return (const char *)f->site.sticky_key.bytes;
}

static void unlock(struct fixture *f, bool make)
{
    struct err e = ERR_NULL;
    if (site_unlock(&f->site, make, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void test_none_without_a_sticky_pool(void **state)
{
    struct fixture *f = *state;
    load(f, "");
    unlock(f, true);
    assert_null(key_of(f));
    assert_int_not_equal(access(f->key_path, F_OK), 0);
}

static void test_made_once(void **state)
{
    struct fixture *f = *state;
    load(f, "sticky = yes\n");
    /* To look makes nothing; what is rendered with it is good. */
    unlock(f, false);
    assert_true(frontend_cookie_key_is_good(key_of(f)));
    assert_int_not_equal(access(f->key_path, F_OK), 0);
    char *later = xstrdup(key_of(f));
    unlock(f, true);
    char *made = xstrdup(key_of(f));
    assert_true(frontend_cookie_key_is_good(made));
    assert_string_not_equal(made, later);
    struct stat st;
    assert_int_equal(stat(f->key_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    for (int i = 0; i < 2; i++) {
        load(f, "sticky = yes\n");
        unlock(f, i == 0);
        assert_string_equal(key_of(f), made);
    }
    free(later);
    free(made);
}

static void test_bad_keys_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        mode_t mode;
        const char *says;
    } cases[] = {
        {"short\n", 0600, "expected 16 to 64 letters and digits; remove the file"},
        {"a key that has spaces in it\n", 0600, "expected 16 to 64 letters and digits"},
        {"", 0600, "empty"},
        {"abcdefgh01234567\n", 0644, "chmod 600 it"},
    };
    load(f, "sticky = yes\n");
    unlock(f, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NULL;
        FILE *out = fopen(f->key_path, "we");
        assert_true(out != NULL && fputs(cases[i].text, out) >= 0 && fclose(out) == 0);
        assert_int_equal(chmod(f->key_path, cases[i].mode), 0);
        load(f, "sticky = yes\n");
        assert_int_equal(site_unlock(&f->site, true, &e), -1);
        if (strstr(e.text, cases[i].says) == NULL || strstr(e.text, f->key_path) == NULL ||
            strstr(e.text, "sticky pools' cookies: ") == NULL) {
            fail_msg("case %zu: %s", i, e.text);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none_without_a_sticky_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_keys_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
