/* provider/image_base: what an instance stands on, from names and files alone. */
#include "provider/image_base.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char work[64];

static void shell(const char *text)
{
    char *whole = xasprintf("set -e; cd %s; %s", work, text);
    const char *const argv[] = {"/bin/sh", "-c", whole, NULL};
    struct err e = ERR_NULL;
    if (process_run(argv, clock_now_ms() + 20000, NULL, &e) < 0) {
        fail_msg("%s", e.text);
    }
    free(whole);
}

static int setup(void **state)
{
    (void)state;
    text_copy(work, sizeof(work), "/tmp/lamplighter-base-XXXXXX");
    assert_non_null(mkdtemp(work));
    shell("mkdir -p img/debian-12-abc/root img/web/1 img/web/3 run/web-1 run/web-2 run/.images;"
          "ln -s debian-12-abc img/debian-12; ln -s 3 img/web/current;"
          "echo $PWD/img/web/3/root.squashfs >run/web-1/base");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shell("cd /; rm -rf \"$OLDPWD\"");
    return 0;
}

static void test_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/img/web/root",
                                      "/img/web/3/root.squashfs.x",
                                      "/root.squashfs",
                                      "3/root.squashfs",
                                      "/img/Web/3/root.squashfs",
                                      "/img/web/x/root.squashfs"};
    struct image_ref ref;
    char *path = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(image_base_parse(bad[i], &path, &ref));
        assert_null(path);
    }
    assert_true(image_base_parse("/img/web/3/root.squashfs", &path, &ref));
    assert_string_equal(path, "/img/web/3");
    assert_string_equal(ref.name, "web");
    assert_int_equal(ref.generation, 3);
    free(path);
}

static void test_find(void **state)
{
    (void)state;
    static const struct {
        const char *image;
        const char *base; /* Below the work directory; NULL: refused. */
    } cases[] = {
        {"debian-12", "img/debian-12-abc/root"},
        {"web", "img/web/3/root.squashfs"},
        {"web@1", "img/web/1/root.squashfs"},
        {"web@2", NULL},
        {"nothing", NULL},
        {"../img/web", NULL},
        {"", NULL},
    };
    char *images = xasprintf("%s/img", work);
    char *instances = xasprintf("%s/run", work);
    const struct image_source source = {.image_dir = images, .instance_dir = instances};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NULL;
        char *base = NULL;
        int result = image_base_find(&source, cases[i].image, &base, &e);
        assert_int_equal(result, cases[i].base == NULL ? -1 : 0);
        if (cases[i].base != NULL) {
            char *wanted = xasprintf("%s/%s", work, cases[i].base);
            assert_string_equal(base, wanted);
            free(wanted);
        }
        free(base);
    }
    free(images);
    free(instances);
}

/* A plain directory is known by its name, which is never given to another content. */
static void test_describe_directory(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    const struct image_source source = {.image_dir = "/img", .instance_dir = "/run"};
    char *one = NULL;
    char *again = NULL;
    char *other = NULL;
    assert_int_equal(image_base_describe(&source, "/img/debian-12-abc/root", &one, &e), 0);
    assert_int_equal(image_base_describe(&source, "/img/debian-12-abc/root", &again, &e), 0);
    assert_int_equal(image_base_describe(&source, "/img/debian-12-def/root", &other, &e), 0);
    assert_true(text_starts(one, "- - "));
    assert_int_equal(strlen(one), 4 + 64);
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
    free(one);
    free(again);
    free(other);
}

/* What was not signed is not told. */
static void test_describe_unsigned(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    char *text = NULL;
    char *images = xasprintf("%s/img", work);
    char *base = xasprintf("%s/web/3/root.squashfs", images);
    const struct image_source source = {.image_dir = images, .instance_dir = work};
    assert_int_equal(image_base_describe(&source, base, &text, &e), -1);
    assert_null(text);
    free(images);
    free(base);
}

static void test_users(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    struct image_user *users = NULL;
    size_t count = 0;
    char *instances = xasprintf("%s/run", work);
    assert_int_equal(image_base_users(instances, &users, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(users[0].id, "web-1");
    assert_true(text_ends(users[0].base, "/img/web/3/root.squashfs"));
    image_users_free(users, count);
    assert_int_equal(image_base_users("/no/such/directory", &users, &count, &e), 0);
    assert_int_equal(count, 0);
    image_users_free(users, count);
    free(instances);
}

/* Nothing of an image that cannot be trusted is mounted, and nothing is left of the try. */
static void test_unsigned_is_not_mounted(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    char *lower = NULL;
    char *images = xasprintf("%s/img", work);
    char *instances = xasprintf("%s/run", work);
    char *base = xasprintf("%s/web/3/root.squashfs", images);
    const struct image_source source = {.image_dir = images, .instance_dir = instances};
    shell("echo file >img/web/3/root.squashfs; echo '{}' >img/web/3/manifest.json;"
          "echo none >img/web/3/manifest.sig");
    assert_int_equal(image_base_mount(&source, base, clock_now_ms() + 5000, &lower, &e), -1);
    assert_non_null(strstr(e.text, "public key"));
    shell("test -z \"$(ls run/.images)\"");
    assert_int_equal(image_base_sweep(&source, clock_now_ms() + 5000, &e), 0);
    free(images);
    free(instances);
    free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_describe_directory),
        cmocka_unit_test(test_describe_unsigned),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_unsigned_is_not_mounted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
