/* A directory as an archive: the same bytes for the same tree, and what the real tar makes of it.
 */
#include "fake_host.h"
#include "role/archive.h"

static struct archive make(struct host *host)
{
    struct archive archive;
    struct err e = ERR_NULL;
    char *path = expand(host, "$D/tree");
    if (archive_make(path, &archive, &e) != 0) {
        fail_msg("%s", e.text);
    }
    free(path);
    return archive;
}

static int setup_tree(void **state)
{
    host_setup(state);
    struct host *host = *state;
    host_write(host, "tree/b", "two\n", 0644);
    host_write(host, "tree/a/tool", "#!/bin/sh\n", 0700);
    host_write(host, "tree/empty", "", 0644);
    host_write(host, "tree/.svn/x", "no\n", 0644);
    host_sh(host, "cd $D/tree; ln -s ../b a/link; mkdir none; n=$(printf '%0120d' 7); "
                  "mkdir $n; echo deep >$n/$n; ln -s $n/$n longlink; "
                  "head -c 70000 /dev/urandom >big");
    return 0;
}

static void test_tar_reads_it(void **state)
{
    struct host *host = *state;
    struct archive archive = make(host);
    char *command =
        xasprintf("mkdir $D/out; tar -x -f /proc/%d/fd/%d -C $D/out", (int)getpid(), archive.fd);
    host_sh(host, command);
    host_sh(host, "rm -r $D/tree/.svn; cd $D; diff -r --no-dereference tree out; "
                  "test \"$(readlink out/a/link)\" = ../b; test -d out/none; "
                  "test \"$(stat -c %a out/a/tool out/b | tr '\\n' ' ')\" = '755 644 '; "
                  "test \"$(stat -c %Y out/b)\" = \"$(stat -c %Y tree/b)\"");
    char *expected = xasprintf("test \"$(sha256sum </proc/%d/fd/%d)\" = '%s  -'", (int)getpid(),
                               archive.fd, archive.digest);
    host_sh(host, expected);
    free(expected);
    free(command);
    archive_deinit(&archive);
}

static void test_identity(void **state)
{
    struct host *host = *state;
    struct archive first = make(host);
    struct archive again = make(host);
    assert_string_equal(first.digest, again.digest);
    assert_string_equal(first.id, again.id);
    archive_deinit(&again);
    /* Times are in the archive, but they do not make another tree. */
    host_sh(host, "touch -d 2001-01-01 $D/tree/b");
    again = make(host);
    assert_string_not_equal(first.digest, again.digest);
    assert_string_equal(first.id, again.id);
    archive_deinit(&again);
    static const char *const changes[] = {"echo x >>$D/tree/b", "chmod 755 $D/tree/b",
                                          "mv $D/tree/b $D/tree/c", "ln -sfn x $D/tree/a/link",
                                          "rm $D/tree/empty"};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char before[17];
        text_copy(before, sizeof(before), first.id);
        archive_deinit(&first);
        host_sh(host, changes[i]);
        first = make(host);
        assert_string_not_equal(before, first.id);
    }
    archive_deinit(&first);
}

static void test_refused(void **state)
{
    struct host *host = *state;
    struct archive archive;
    struct err e = ERR_NULL;
    char *path = expand(host, "$D/tree");
    host_sh(host, "mkfifo $D/tree/pipe");
    assert_int_equal(archive_make(path, &archive, &e), -1);
    assert_contains(e.text, "pipe is neither file");
    free(path);
    assert_int_equal(archive_make("/nonexistent", &archive, &e), -1);
    assert_contains(e.text, "/nonexistent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tar_reads_it, setup_tree, host_teardown),
        cmocka_unit_test_setup_teardown(test_identity, setup_tree, host_teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup_tree, host_teardown),
    };
    return cmocka_run_group_tests_name("role/archive", tests, NULL, NULL);
}
