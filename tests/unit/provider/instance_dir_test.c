#include "provider/instance_dir.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/mark.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *base;

static int set_up(void **state)
{
    (void)state;
    char place[] = "/tmp/instance_dir_test.XXXXXX";
    base = mkdtemp(place) == NULL ? NULL : xstrdup(place);
    return base == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    char *lock = xasprintf("%s/.lock", base);
    unlink(lock);
    free(lock);
    int result = rmdir(base); /* Fails when anything is left. */
    free(base);
    return result;
}

static char *path_of(const char *name)
{
    return xasprintf("%s/%s", base, name);
}

static void make(const char *cluster, const char *id, struct instance_dir *ret_dir)
{
    struct mark mark = {.cluster = xstrdup(cluster),
                        .id = xstrdup(id),
                        .group = xstrdup("web"),
                        .zone = xstrdup("rack-a"),
                        .address = xstrdup("10.77.1.11"),
                        .directory = path_of(id)};
    struct err e = ERR_NULL;
    if (instance_dir_make(base, &mark, ret_dir, &e) < 0) {
        fail_msg("%s", e.text);
    }
    mark_deinit(&mark);
}

static void remove_it(const char *id, struct instance_dir *dir)
{
    struct err e = ERR_NULL;
    if (instance_dir_remove(base, id, dir, &e) < 0) {
        fail_msg("%s", e.text);
    }
    instance_dir_deinit(dir);
}

static void test_made_found_and_removed(void **state)
{
    (void)state;
    struct instance_dir dir = INSTANCE_DIR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(instance_dir_open(base, "shop", "web-1", &dir, &e), 0);
    assert_int_equal(dir.fd, -1);
    instance_dir_deinit(&dir);
    make("shop", "web-1", &dir);
    struct stat status;
    assert_int_equal(fstat(dir.fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(instance_dir_write(&dir, "base", "/some/where", &e), 0);
    instance_dir_deinit(&dir);
    make("shop", "web-1", &dir); /* Again: the same one. */
    char *text = NULL;
    assert_int_equal(instance_dir_read(&dir, "base", &text, &e), 0);
    assert_string_equal(text, "/some/where");
    free(text);
    assert_int_equal(instance_dir_read(&dir, "absent", &text, &e), 0);
    assert_null(text);
    remove_it("web-1", &dir);
    assert_int_equal(instance_dir_open(base, "shop", "web-1", &dir, &e), 0);
    assert_int_equal(dir.fd, -1);
    remove_it("web-1", &dir); /* Nothing there. */
}

static void test_what_is_not_ours_is_refused(void **state)
{
    (void)state;
    struct instance_dir dir = INSTANCE_DIR_NULL;
    struct instance_dir other = INSTANCE_DIR_NULL;
    struct err e = ERR_NULL;
    make("shop", "web-1", &dir);
    assert_int_equal(instance_dir_open(base, "blog", "web-1", &other, &e), -1);
    assert_non_null(strstr(e.text, "belongs to web-1 of cluster shop"));
    assert_non_null(strstr(e.text, "S25"));
    remove_it("web-1", &dir);

    /* A directory with something in it, but no mark. */
    char *path = path_of("web-2");
    char *file = path_of("web-2/photos");
    assert_int_equal(mkdir(path, 0755), 0);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(instance_dir_open(base, "shop", "web-2", &other, &e), -1);
    assert_non_null(strstr(e.text, "no mark of ours"));
    struct instance_dir unowned = {.path = xstrdup(path), .fd = -1};
    assert_int_equal(instance_dir_remove(base, "web-2", &unowned, &e), -1);
    assert_int_equal(access(file, F_OK), 0);
    instance_dir_deinit(&unowned);
    unlink(file);
    rmdir(path);

    /* A link, and a file. */
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(instance_dir_open(base, "shop", "web-2", &other, &e), -1);
    unlink(path);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(instance_dir_open(base, "shop", "web-2", &other, &e), -1);
    unlink(path);
    free(path);
    free(file);
}

static void test_a_damaged_mark_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "rubbish", "cluster=shop\n", "cluster=shop\nid=web-1\n",
                                      "cluster=shop\nid=web-1\ngroup=web\nzone=a\naddress=b\n\x01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct instance_dir dir = INSTANCE_DIR_NULL;
        struct instance_dir again = INSTANCE_DIR_NULL;
        struct err e = ERR_NULL;
        make("shop", "web-1", &dir);
        int fd = openat(dir.fd, "mark", O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
        close(fd);
        assert_int_equal(instance_dir_open(base, "shop", "web-1", &again, &e), -1);
        assert_non_null(strstr(e.text, "not touched"));
        struct mark *marks = NULL;
        size_t count = 0;
        assert_int_equal(instance_dir_list(base, "shop", &marks, &count, &e), 0);
        assert_int_equal(count, 0);
        free(marks);
        remove_it("web-1", &dir);
    }
}

/* What a process that was killed leaves at the very start and the very end. */
static void test_left_over_by_a_killed_process(void **state)
{
    (void)state;
    struct instance_dir dir = INSTANCE_DIR_NULL;
    char *path = path_of("web-1");
    char *new = path_of(".web-1.lamplighter-new");
    char *half = path_of(".web-1.lamplighter-new/mark.lamplighter-new");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(new, 0700), 0);
    close(open(half, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    make("shop", "web-1", &dir);
    remove_it("web-1", &dir);
    assert_int_equal(access(new, F_OK), -1);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(new, 0700), 0);
    close(open(half, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    struct err e = ERR_NULL;
    assert_int_equal(instance_dir_open(base, "shop", "web-1", &dir, &e), 0);
    assert_int_equal(dir.fd, -1);
    remove_it("web-1", &dir);
    free(path);
    free(new);
    free(half);
}

static void test_list(void **state)
{
    (void)state;
    struct instance_dir dirs[3] = {INSTANCE_DIR_NULL, INSTANCE_DIR_NULL, INSTANCE_DIR_NULL};
    make("shop", "web-1", &dirs[0]);
    make("shop", "web-2", &dirs[1]);
    make("blog", "db-1", &dirs[2]);
    struct mark *marks = NULL;
    size_t count = 0;
    struct err e = ERR_NULL;
    assert_int_equal(instance_dir_list(base, "shop", &marks, &count, &e), 0);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(marks[i].cluster, "shop");
        assert_string_equal(marks[i].group, "web");
        assert_true(text_starts(marks[i].id, "web-"));
        mark_deinit(&marks[i]);
    }
    free(marks);
    remove_it("web-1", &dirs[0]);
    remove_it("web-2", &dirs[1]);
    remove_it("db-1", &dirs[2]);
}

static void test_lock(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    int lock = -1;
    int other = -1;
    assert_int_equal(instance_dir_lock(base, "web-1", clock_now_ms() + 1000, &lock, &e), 0);
    assert_int_equal(instance_dir_lock(base, "web-2", clock_now_ms(), &other, &e), 0);
    close(other);
    assert_int_equal(instance_dir_lock(base, "web-1", clock_now_ms() + 50, &other, &e), -1);
    assert_non_null(strstr(e.text, "web-1"));
    close(lock);
    /* The end of a process gives it back, however it ended. */
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int held = -1;
        instance_dir_lock(base, "web-1", clock_now_ms(), &held, NULL);
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(instance_dir_lock(base, "web-1", clock_now_ms(), &lock, &e), -1);
    kill(pid, SIGKILL);
    assert_int_equal(instance_dir_lock(base, "web-1", clock_now_ms() + 5000, &lock, &e), 0);
    waitpid(pid, NULL, 0);
    close(lock);
    close(ready[0]);
    close(ready[1]);
}

static void test_base(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    char *path = NULL;
    assert_int_equal(instance_dir_base("relative", true, &path, &e), -1);
    assert_non_null(strstr(e.text, "absolute"));
    char *deep = path_of("a/b");
    char *link = path_of("link");
    assert_int_equal(instance_dir_base(deep, false, &path, &e), 0);
    assert_string_equal(path, deep);
    free(path);
    assert_int_equal(access(deep, F_OK), -1);
    /* Nothing is there: nothing to lock, to list or to remove. */
    int lock = 0;
    struct mark *marks = NULL;
    size_t count = 1;
    struct instance_dir dir = INSTANCE_DIR_NULL;
    assert_int_equal(instance_dir_lock(deep, "web-1", clock_now_ms(), &lock, &e), 0);
    assert_int_equal(lock, -1);
    assert_int_equal(instance_dir_list(deep, "shop", &marks, &count, &e), 0);
    assert_int_equal(count, 0);
    assert_int_equal(instance_dir_open(deep, "shop", "web-1", &dir, &e), 0);
    assert_int_equal(instance_dir_remove(deep, "web-1", &dir, &e), 0);
    instance_dir_deinit(&dir);

    assert_int_equal(instance_dir_base(deep, true, &path, &e), 0);
    assert_string_equal(path, deep);
    free(path);
    assert_int_equal(symlink(deep, link), 0);
    assert_int_equal(instance_dir_base(link, true, &path, &e), 0);
    assert_string_equal(path, deep);
    free(path);
    unlink(link);
    rmdir(deep);
    free(deep);
    deep = path_of("a");
    rmdir(deep);
    free(deep);
    free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_found_and_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_ours_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_mark_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_over_by_a_killed_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_base, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
