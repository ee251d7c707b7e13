/*
 * image/build and image/loop_mount: a tree into a squashfs and back, as it was. Needs root, for the
 * mount. With LAMPLIGHTER_TEST_TREE=DIRECTORY that tree goes through as well.
 */
#include "image/build.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/process.h"
#include "image/loop_mount.h"
#include "image/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL_MS 60000

static char work[64];

static void shell(const char *text)
{
    char *whole = xasprintf("set -e; cd %s; %s", work, text);
    const char *const argv[] = {"/bin/sh", "-c", whole, NULL};
    struct err e = ERR_NULL;
    if (process_run(argv, clock_now_ms() + CALL_MS, NULL, &e) < 0) {
        fail_msg("%s", e.text);
    }
    free(whole);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    text_copy(work, sizeof(work), "/tmp/lamplighter-build-XXXXXX");
    assert_non_null(mkdtemp(work));
    shell("mkdir -p t/etc/deep/er t/root t/var/log/x t/srv; chmod 1777 t/srv; chown 33:7 t/root;"
          "echo a >t/etc/a; ln t/etc/a t/etc/b; ln -s a t/etc/link; mkfifo t/etc/fifo;"
          "mknod t/etc/null c 1 3; chmod 4755 t/etc/a; echo log >t/var/log/x/log;"
          "head -c 3000000 /dev/urandom >t/srv/large; : >t/srv/empty;"
          "cp /bin/true t/srv/capable; setcap cap_net_raw+ep t/srv/capable;"
          "echo odd >\"t/srv/a b\tc\"; mkdir -p t/srv/$(printf 'd%.0s' $(seq 1 200))/$(printf "
          "'e%.0s' $(seq 1 200))");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shell("cd /; rm -rf \"$OLDPWD\"");
    return 0;
}

static void print_change(void *context, enum tree_change change, const char *path, const char *was,
                         const char *is)
{
    (void)context;
    print_error("%d %s: %s -> %s\n", (int)change, path, was == NULL ? "" : was,
                is == NULL ? "" : is);
}

static void build(const char *tar, const char *file, struct sieve_result *result,
                  struct image_blocks *blocks)
{
    struct err e = ERR_NULL;
    char *path = xasprintf("%s/%s", work, tar);
    char *out = xasprintf("%s/%s", work, file);
    struct sieve_config config = {.input = open(path, O_RDONLY | O_CLOEXEC),
                                  .deadline_ms = clock_now_ms() + CALL_MS};
    if (image_build(&config, out, result, blocks, &e) < 0) {
        fail_msg("%s", e.text);
    }
    close(config.input);
    free(path);
    free(out);
}

static void look(const char *name, bool strict, struct sieve_result *result)
{
    struct err e = ERR_NULL;
    char *path = xasprintf("%s/%s", work, name);
    struct sieve_config config = {.strict = strict, .deadline_ms = clock_now_ms() + CALL_MS};
    if (image_look(&config, path, result, &e) < 0) {
        fail_msg("%s", e.text);
    }
    free(path);
}

static void must_be_same(const struct sieve_result *one, const struct sieve_result *two)
{
    if (!text_equal(one->digest, two->digest)) {
        struct tree before = TREE_NULL;
        struct tree now = TREE_NULL;
        assert_int_equal(tree_parse(&before, str_text(&one->tree), NULL), 0);
        assert_int_equal(tree_parse(&now, str_text(&two->tree), NULL), 0);
        tree_compare(&before, &now, print_change, NULL);
        tree_deinit(&before);
        tree_deinit(&now);
        fail_msg("the trees differ");
    }
}

static void there_and_back(const char *tree)
{
    struct sieve_result built;
    struct sieve_result looked;
    struct sieve_result source;
    struct image_blocks blocks;
    char *command =
        xasprintf("tar -C %s --format=posix --pax-option=delete=atime,delete=ctime,"
                  "delete=mtime --xattrs '--xattrs-include=*' --numeric-owner -cf t.tar .;"
                  "mkdir -p image",
                  tree);
    shell(command);
    build("t.tar", "image/root.squashfs", &built, &blocks);
    assert_int_equal(built.finding_count, 0);
    look("image/root.squashfs", true, &looked);
    assert_int_equal(looked.finding_count, 0);
    must_be_same(&built, &looked);
    if (tree[0] != '/') {
        look(tree, false, &source);
        must_be_same(&built, &source);
        sieve_result_deinit(&source);
    }
    struct image_blocks again;
    char *file = xasprintf("%s/image/root.squashfs", work);
    assert_int_equal(image_blocks_of(file, &again, NULL), 0);
    assert_string_equal(blocks.sha256, again.sha256);
    assert_false(loop_is_used(file));
    free(file);
    free(command);
    shell("rm -r image");
    sieve_result_deinit(&built);
    sieve_result_deinit(&looked);
}

static void test_there_and_back(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    there_and_back("t");
    const char *tree = getenv("LAMPLIGHTER_TEST_TREE");
    if (tree != NULL) {
        there_and_back(tree);
    }
}

static void test_damaged_stream(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    char *path = xasprintf("%s/cut.tar", work);
    char *out = xasprintf("%s/cut.squashfs", work);
    shell("tar -C t -cf whole.tar . 2>/dev/null; head -c 1000000 whole.tar >cut.tar");
    struct sieve_config config = {.input = open(path, O_RDONLY | O_CLOEXEC),
                                  .deadline_ms = clock_now_ms() + CALL_MS};
    struct sieve_result result;
    struct image_blocks blocks;
    assert_int_equal(image_build(&config, out, &result, &blocks, &e), -1);
    assert_non_null(strstr(e.text, "cut off"));
    close(config.input);
    free(path);
    free(out);
}

/* The program's own words, not only that the pipe broke. */
static void test_no_room_for_the_image(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    char *path = xasprintf("%s/whole.tar", work);
    struct sieve_config config = {.input = open(path, O_RDONLY | O_CLOEXEC),
                                  .deadline_ms = clock_now_ms() + CALL_MS};
    struct sieve_result result;
    struct image_blocks blocks;
    assert_int_equal(image_build(&config, "/no/such/directory/root.squashfs", &result, &blocks, &e),
                     -1);
    assert_non_null(strstr(e.text, "mksquashfs"));
    close(config.input);
    free(path);
}

static void test_mounted_once(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    struct err e = ERR_NULL;
    bool busy = true;
    shell("mkdir -p place; rm -f a.sq b.sq; mksquashfs t a.sq -quiet -no-progress >/dev/null 2>&1; "
          "cp a.sq b.sq");
    char *a = xasprintf("%s/a.sq", work);
    char *b = xasprintf("%s/b.sq", work);
    char *place = xasprintf("%s/place", work);
    assert_int_equal(loop_mount(a, place, &e), 0);
    assert_int_equal(loop_mount(a, place, &e), 0);
    assert_true(loop_is_used(a));
    assert_false(loop_is_used(b));
    assert_int_equal(loop_mount(b, place, &e), -1);
    assert_non_null(strstr(e.text, "something else"));
    char *held = xasprintf("%s/etc/a", place);
    int fd = open(held, O_RDONLY | O_CLOEXEC);
    assert_int_equal(loop_unmount(place, &busy, &e), 0);
    assert_true(busy);
    close(fd);
    assert_int_equal(loop_unmount(place, &busy, &e), 0);
    assert_false(busy);
    assert_int_equal(loop_unmount(place, &busy, &e), 0);
    /* A device frees itself when its last user has gone, a moment later. */
    for (int i = 0; i < 100 && loop_is_used(a); i++) {
        usleep(20000);
    }
    assert_false(loop_is_used(a));
    shell("echo nonsense >c.sq");
    char *c = xasprintf("%s/c.sq", work);
    assert_int_equal(loop_mount(c, place, &e), -1);
    for (int i = 0; i < 100 && loop_is_used(c); i++) {
        usleep(20000);
    }
    assert_false(loop_is_used(c));
    free(a);
    free(b);
    free(c);
    free(held);
    free(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_damaged_stream),
        cmocka_unit_test(test_no_room_for_the_image),
        cmocka_unit_test(test_mounted_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
