#include "provider/root_files.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/remove_tree.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char *place; /* Holds `root` and `outside`. */
static char *root;

static void make_directory(const char *name)
{
    char *path = xasprintf("%s/%s", place, name);
    assert_int_equal(mkdir(path, 0755), 0);
    free(path);
}

static void write_file(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", place, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

static void assert_file(const char *name, mode_t mode, const char *text)
{
    char *path = xasprintf("%s/%s", place, name);
    struct stat status;
    struct str is = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(lstat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
    assert_int_equal(str_read_file(&is, path, 65536, &e), 0);
    if (text != NULL) {
        assert_string_equal(str_text(&is), text);
    }
    str_deinit(&is);
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    char name[] = "/tmp/root_files_test.XXXXXX";
    if (mkdtemp(name) == NULL) {
        return -1;
    }
    place = xstrdup(name);
    root = xasprintf("%s/root", place);
    make_directory("root");
    make_directory("root/etc");
    make_directory("outside");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = remove_tree_contents(fd, NULL, NULL);
    close(fd);
    result = result == 0 ? rmdir(place) : -1;
    free(root);
    free(place);
    return result;
}

static char *place_files(const char *known)
{
    const struct root_files files = {
        .cluster = "shop",
        .id = "web-1",
        .address = "10.77.1.11",
        .prefix_length = 16,
        .gateway = "10.77.0.1",
        .login_key = "ssh-ed25519 AAAAC3 login",
        .host_key = known,
        .deadline_ms = clock_now_ms() + 10000,
    };
    char *key = NULL;
    struct err e = ERR_NULL;
    if (root_files_place(root, &files, &key, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return key;
}

static void test_all_files(void **state)
{
    (void)state;
    make_directory("root/root");
    make_directory("root/root/.ssh");
    write_file("root/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    write_file("root/root/.ssh/authorized_keys", "ssh-rsa AAAA somebody\n");
    char *key = place_files(NULL);
    assert_file("root/etc/hostname", 0644, "web-1\n");
    assert_file("root/etc/hosts", 0644,
                "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
                "10.77.1.11 web-1\n");
    assert_file("root/etc/machine-id", 0444, "");
    assert_file("root/etc/lamplighter/instance", 0644, "cluster=shop\ninstance=web-1\n");
    assert_file("root/etc/systemd/network/10-lamplighter.network", 0644,
                "[Match]\nName=eth0\n\n[Network]\nAddress=10.77.1.11/16\nGateway=10.77.0.1\n");
    assert_file("root/root/.ssh/authorized_keys", 0600, "ssh-ed25519 AAAAC3 login\n");
    char *line = xasprintf("%s web-1\n", key);
    assert_file("root/etc/ssh/ssh_host_ed25519_key.pub", 0644, line);
    assert_file("root/etc/ssh/ssh_host_ed25519_key", 0600, NULL);
    free(line);
    free(key);
}

static void test_the_key_is_kept_only_when_it_is_ours(void **state)
{
    (void)state;
    /* One that came with the image, public key and all. */
    char *image_key = place_files(NULL);
    char *first = place_files(NULL);
    assert_string_not_equal(first, image_key);
    char *same = place_files(first);
    assert_string_equal(same, first);
    char *other = place_files(image_key);
    assert_string_not_equal(other, image_key);
    free(image_key);
    free(first);
    free(same);
    free(other);
}

/* Links in an image lead where they would lead in the instance, and never outside. */
static void test_links(void **state)
{
    (void)state;
    make_directory("root/data");
    char *path = xasprintf("%s/etc/ssh", root);
    assert_int_equal(symlink("/data", path), 0); /* Absolute: from the root's own top. */
    free(path);
    char *outside = xasprintf("%s/outside", place);
    path = xasprintf("%s/etc/lamplighter", root);
    char *hostname = xasprintf("%s/etc/hostname", root);
    assert_int_equal(symlink("../../../../../../../data", path), 0);
    assert_int_equal(symlink(outside, hostname), 0);
    free(place_files(NULL));
    assert_file("root/data/ssh_host_ed25519_key", 0600, NULL);
    assert_file("root/data/instance", 0644, "cluster=shop\ninstance=web-1\n");
    assert_file("root/etc/hostname", 0644, "web-1\n"); /* In the link's place. */
    assert_int_equal(rmdir(outside), 0);               /* Still empty. */
    free(path);
    free(outside);
    free(hostname);
}

static void test_key_words(void **state)
{
    (void)state;
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXA"
    static const char *const good[] = {KEY, KEY "\n", KEY " a comment\n"};
    static const char *const bad[] = {"",
                                      "ssh-ed25519",
                                      "ssh-ed25519 ",
                                      "ssh-ed25519 AAAA",
                                      "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAM",
                                      (KEY "\tx"),
                                      (KEY ",x"),
                                      (" " KEY)};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char *key = root_files_key_words(good[i]);
        assert_string_equal(key, KEY);
        free(key);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(root_files_key_words(bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_key_is_kept_only_when_it_is_ours, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
        cmocka_unit_test(test_key_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
