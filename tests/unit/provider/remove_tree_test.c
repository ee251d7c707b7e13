#include "provider/remove_tree.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char place[64];
static int top;

static int set_up(void **state)
{
    (void)state;
    snprintf(place, sizeof(place), "/tmp/remove_tree_test.XXXXXX");
    if (mkdtemp(place) == NULL) {
        return -1;
    }
    top = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return top < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(top);
    return rmdir(place); /* Fails when anything is left. */
}

static void make_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void remove_all(void)
{
    struct err e = ERR_NULL;
    if (remove_tree_contents(top, NULL, &e) < 0) {
        fail_msg("%s", e.text);
    }
}

static void test_all_kinds(void **state)
{
    (void)state;
    make_file(top, "file");
    make_file(top, "-rf");
    assert_int_equal(mkdirat(top, "empty", 0), 0);
    assert_int_equal(mkdirat(top, "full", 0700), 0);
    int full = openat(top, "full", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_file(full, "a\nb");
    assert_int_equal(mkfifoat(full, "pipe", 0600), 0);
    assert_int_equal(symlinkat("..", full, "up"), 0);
    close(full);
    remove_all();
    remove_all(); /* And nothing at all. */
}

static void test_one_is_kept(void **state)
{
    (void)state;
    make_file(top, "mark");
    make_file(top, "other");
    assert_int_equal(mkdirat(top, "sub", 0700), 0);
    int sub = openat(top, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_file(sub, "mark"); /* Only the one at the top. */
    close(sub);
    struct err e = ERR_NULL;
    assert_int_equal(remove_tree_contents(top, "mark", &e), 0);
    assert_int_equal(faccessat(top, "mark", F_OK, 0), 0);
    assert_int_equal(faccessat(top, "other", F_OK, 0), -1);
    assert_int_equal(faccessat(top, "sub", F_OK, 0), -1);
    remove_all();
}

static void test_links_are_not_followed(void **state)
{
    (void)state;
    char victim[] = "/tmp/remove_tree_victim.XXXXXX";
    assert_non_null(mkdtemp(victim));
    int fd = open(victim, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_file(fd, "precious");
    assert_int_equal(symlinkat(victim, top, "link"), 0);
    assert_int_equal(mkdirat(top, "sub", 0700), 0);
    int sub = openat(top, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(symlinkat(victim, sub, "link"), 0);
    close(sub);
    remove_all();
    assert_int_equal(faccessat(fd, "precious", F_OK, 0), 0);
    assert_int_equal(unlinkat(fd, "precious", 0), 0);
    close(fd);
    assert_int_equal(rmdir(victim), 0);
}

/* Deeper than the longest path and than the table of open files. */
static void test_any_depth(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int at = dup(top);
    for (unsigned depth = 0; depth < 3000; depth++) {
        assert_int_equal(mkdirat(at, "d", 0700), 0);
        make_file(at, "f");
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = next;
    }
    close(at);
    /* A name of the kind that is given to what is moved is taken already. */
    assert_int_equal(mkdirat(top, ".lamplighter-moved-0", 0700), 0);
    const struct rlimit few = {.rlim_cur = 128, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    remove_all();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* In a mount namespace of a process of its own. */
static int try_across_mounts(void)
{
    struct err e = ERR_NULL;
    char *inner = xasprintf("%s/sub/mounted", place);
    char *precious = xasprintf("%s/precious", inner);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return 77;
    }
    if (mount("none", inner, "tmpfs", 0, NULL) < 0 || mkdir(precious, 0700) < 0) {
        return 2;
    }
    if (remove_tree_contents(top, NULL, &e) == 0 || strstr(e.text, "mounted there") == NULL ||
        access(precious, F_OK) < 0) {
        return 3;
    }
    /* A bind mount of the very same file system is a mount too. */
    char *same = xasprintf("%s/sub/same", place);
    if (umount2(inner, MNT_DETACH) < 0 || mkdir(same, 0700) < 0 || mkdir(precious, 0700) < 0 ||
        mount(inner, same, NULL, MS_BIND, NULL) < 0) {
        return 4;
    }
    if (remove_tree_contents(top, NULL, &e) == 0 || strstr(e.text, "mounted there") == NULL) {
        return 5;
    }
    return 0;
}

static void test_mounts_are_not_crossed(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(mkdirat(top, "sub", 0700), 0);
    char *inner = xasprintf("%s/sub/mounted", place);
    assert_int_equal(mkdir(inner, 0700), 0);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(try_across_mounts());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    free(inner);
    remove_all();
    if (WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_are_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_depth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mounts_are_not_crossed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
