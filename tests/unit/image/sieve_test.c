/*
 * image/sieve, with image/tar, seal and tree under it: real tars of real trees go through, and what
 * comes out is unpacked again. Damage at every byte of a stream is a fault, never an image.
 */
#include "image/sieve.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/process.h"
#include "image/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL_MS 20000

static char work[64];

static int64_t soon(void)
{
    return clock_now_ms() + CALL_MS;
}

/* Runs TEXT with sh in the work directory. */
static void shell(const char *text)
{
    char *whole = xasprintf("set -e; cd %s; %s", work, text);
    const char *const argv[] = {"/bin/sh", "-c", whole, NULL};
    struct err e = ERR_NULL;
    if (process_run(argv, soon(), NULL, &e) < 0) {
        fail_msg("%s", e.text);
    }
    free(whole);
}

static int setup(void **state)
{
    (void)state;
    text_copy(work, sizeof(work), "/tmp/lamplighter-sieve-XXXXXX");
    assert_non_null(mkdtemp(work));
    assert_int_equal(chmod(work, 0755), 0);
    shell("mkdir -p t/etc/ssh t/var/log/apache2 t/var/lib/mysql/shop t/root t/usr/lib t/home/ann;"
          "echo 1234 >t/etc/machine-id; echo key >t/etc/ssh/ssh_host_rsa_key;"
          "echo Port 22 >t/etc/ssh/sshd_config; echo line >t/var/log/apache2/access.log;"
          "echo data >t/var/lib/mysql/shop/t.ibd; echo hello >t/root/hello; ln t/root/hello "
          "t/root/again;"
          "ln -s hello t/root/link; mkfifo t/root/fifo;"
          "printf 'ID=debian\\nVERSION_ID=\"12\"\\nVERSION_CODENAME=bookworm\\n' "
          ">t/usr/lib/os-release;"
          "mkdir -p t/var/lib/dpkg; printf 'Package: dpkg\\nStatus: install ok installed\\n"
          "Architecture: amd64\\nVersion: 1.21\\n\\nPackage: gone\\nStatus: deinstall ok "
          "config-files\\n"
          "Version: 1\\n\\nPackage: apache2\\nStatus: install ok installed\\nVersion: 2.4\\n\\n' "
          ">t/var/lib/dpkg/status;"
          "n=t/home/ann/"
          "a-very-long-directory-name-that-goes-on-and-on-until-it-is-more-than-a-hundred-"
          "bytes-long; mkdir $n; echo far >$n/another-long-name-of-a-file-in-it");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char *text = xasprintf("rm -rf %s", work);
    const char *const argv[] = {"/bin/sh", "-c", text, NULL};
    int result = process_run(argv, soon(), NULL, NULL);
    free(text);
    return result;
}

static int open_tar(const char *name)
{
    char *path = xasprintf("%s/%s", work, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    free(path);
    return fd;
}

/* The file NAME through the sieve. */
static int run(const char *name, struct sieve_config *config, struct sieve_result *result,
               struct err *e)
{
    config->input = open_tar(name);
    config->deadline_ms = soon();
    int status = sieve_run(config, result, e);
    close(config->input);
    return status;
}

static void must_run(const char *name, struct sieve_config *config, struct sieve_result *result)
{
    struct err e = ERR_NULL;
    if (run(name, config, result, &e) < 0) {
        fail_msg("%s: %s", name, e.text);
    }
}

static bool has_line(const struct sieve_result *result, const char *path)
{
    char *line = xasprintf("\n%s\t", path);
    char *text = xasprintf("\n%s", str_text(&result->tree));
    bool found = strstr(text, line) != NULL;
    free(line);
    free(text);
    return found;
}

static void test_sealed_and_whole(void **state)
{
    (void)state;
    static const char *const formats[] = {"gnu", "posix", "ustar", "oldgnu"};
    char first[DIGEST_TEXT_SIZE] = "";
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        char *command =
            xasprintf("tar -C t --format=%s --numeric-owner -cf t.tar . 2>/dev/null", formats[i]);
        shell(command);
        free(command);
        char *path = xasprintf("%s/out.tar", work);
        struct sieve_config config = {.output =
                                          open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
        struct sieve_result result;
        must_run("t.tar", &config, &result);
        close(config.output);
        free(path);
        assert_int_equal(result.finding_count, 0);
        assert_string_equal(result.release, "debian 12 bookworm");
        assert_string_equal(result.architecture, "amd64");
        assert_int_equal(json_object_size(result.packages), 2);
        assert_true(has_line(&result, "root/hello"));
        assert_true(has_line(&result, "var/lib/mysql"));
        assert_false(has_line(&result, "var/lib/mysql/shop"));
        assert_true(has_line(&result, "var/log/apache2"));
        assert_false(has_line(&result, "var/log/apache2/access.log"));
        assert_false(has_line(&result, "etc/ssh/ssh_host_rsa_key"));
        /* By content: every format says the same. */
        if (i > 0) {
            assert_string_equal(result.digest, first);
        }
        text_copy(first, sizeof(first), result.digest);
        sieve_result_deinit(&result);
        shell(
            "rm -rf u; mkdir u; tar -C u -xf out.tar; cmp t/root/hello u/root/again;"
            "test -f u/etc/machine-id; test ! -s u/etc/machine-id; test ! -e u/var/lib/mysql/shop;"
            "test ! -e u/etc/ssh/ssh_host_rsa_key; test -p u/root/fifo;"
            "test \"$(readlink u/root/link)\" = hello; find u/home -name 'another*' | grep -q .");
        /* What came out is sealed, and the same. */
        struct sieve_config again = {.output = -1, .strict = true};
        must_run("out.tar", &again, &result);
        assert_int_equal(result.finding_count, 0);
        assert_string_equal(result.digest, first);
        sieve_result_deinit(&result);
    }
}

static void test_order_and_time_do_not_count(void **state)
{
    (void)state;
    struct sieve_config config = {.output = -1};
    struct sieve_result one;
    struct sieve_result two;
    struct sieve_result three;
    shell("tar -C t --sort=name -cf a.tar .; touch -d 2001-01-01 t/root/hello;"
          "tar -C t -cf b.tar ./var ./root ./usr ./home ./etc; echo more >>t/root/hello;"
          "tar -C t -cf c.tar .");
    must_run("a.tar", &config, &one);
    must_run("b.tar", &config, &two);
    must_run("c.tar", &config, &three);
    assert_string_equal(one.digest, two.digest);
    assert_string_not_equal(one.digest, three.digest);
    sieve_result_deinit(&one);
    sieve_result_deinit(&two);
    sieve_result_deinit(&three);
}

/* What somebody planted is told with its path; what only speaks of keys is not. */
static void test_findings(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        const char *path; /* NULL: nothing is found. */
    } cases[] = {
        {"ssh-keygen -q -t ed25519 -N '' -f p/id", "/id"},
        {"ssh-keygen -q -t rsa -m PEM -N '' -f p/srv-key", "/srv-key"},
        {"openssl ecparam -genkey -name prime256v1 -noout -out p/ec.pem", "/ec.pem"},
        {"ssh-keygen -q -t ed25519 -N '' -f p/id; { head -c 130000 /dev/zero; echo; cat p/id; } "
         ">p/big;"
         "rm p/id",
         "/big"},
        {"ssh-keygen -q -t ed25519 -N '' -f p/id; { head -c 2097100 /dev/zero; echo; cat p/id; } "
         ">p/large; rm p/id",
         "/large"},
        {"mkdir p/root; echo ls >p/root/.bash_history", "/root/.bash_history"},
        {"mkdir p/root; : >p/root/.bash_history", NULL},
        {"echo x >p/.mysql_history", "/.mysql_history"},
        {"printf '[client]\\nuser = root\\npassword = geheim\\n' >p/.my.cnf", "/.my.cnf"},
        {"printf '[client]\\nuser = root\\npassword =\\n' >p/.my.cnf", NULL},
        {"printf '[client]\\nuser = root\\n' >p/.my.cnf", NULL},
        {"echo '-----BEGIN OPENSSH PRIVATE KEY-----' >p/words; echo 'and so on' >>p/words", NULL},
        {"cp /usr/bin/ssh-keygen p/", NULL},
        {"ssh-keygen -q -t ed25519 -N '' -f p/id; rm p/id", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *command = xasprintf("rm -rf p; mkdir p; %s; rm -f p/*.pub; tar -C p -cf p.tar .",
                                  cases[i].command);
        struct sieve_config config = {.output = -1};
        struct sieve_result result;
        shell(command);
        must_run("p.tar", &config, &result);
        if (result.finding_count != (cases[i].path == NULL ? 0 : 1)) {
            fail_msg("%s: %zu findings", cases[i].command, result.finding_count);
        }
        if (cases[i].path != NULL) {
            assert_string_equal(result.findings[0].path, cases[i].path);
        }
        free(command);
        sieve_result_deinit(&result);
    }
}

static void test_what_is_left_out(void **state)
{
    (void)state;
    struct sieve_secret secret = {.name = "shop-db", .value = SECRET_NULL};
    secret_set(&secret.value, "correct-horse-battery", 21);
    static const char *const without[] = {"/root/.bash_history", "srv/cache"};
    struct sieve_config config = {.output = -1,
                                  .secrets = &secret,
                                  .secret_count = 1,
                                  .without = without,
                                  .without_count = 2};
    struct sieve_result result;
    shell("rm -rf p; mkdir -p p/root p/etc p/srv/cache/deep p/srv/cached; echo ls "
          ">p/root/.bash_history;"
          "echo password=correct-horse-battery >p/etc/app.ini; echo x >p/etc/other;"
          "echo x >p/srv/cache/deep/x; echo x >p/srv/cached/x; tar -C p -cf p.tar .");
    must_run("p.tar", &config, &result);
    assert_int_equal(result.finding_count, 0);
    assert_false(has_line(&result, "etc/app.ini"));
    assert_true(has_line(&result, "etc/other"));
    assert_false(has_line(&result, "srv/cache/deep/x"));
    assert_true(has_line(&result, "srv/cached/x"));
    assert_false(has_line(&result, "root/.bash_history"));
    assert_true(json_array_size(result.left_out) >= 3);
    sieve_result_deinit(&result);
    /* In a sealed tree it is a finding, and so it is across two pieces of a large file. */
    config.strict = true;
    config.without_count = 0;
    shell("rm -rf p; mkdir -p p/etc; : >p/etc/machine-id; chmod 444 p/etc/machine-id;"
          "{ head -c 2097145 /dev/zero | tr '\\0' x; echo correct-horse-battery; } >p/etc/large;"
          "tar -C p -cf p.tar .");
    must_run("p.tar", &config, &result);
    assert_int_equal(result.finding_count, 1);
    assert_string_equal(result.findings[0].path, "/etc/large");
    sieve_result_deinit(&result);
    secret_deinit(&secret.value);
}

/* Whatever the host says it is, the image says what it was told; nothing else differs by it. */
static void test_identity(void **state)
{
    (void)state;
    static const char line[] = "web@4 00112233445566778899aabbccddeeff\n";
    static const char *const hosts[] = {
        ":", "mkdir p/usr/lib/lamplighter",
        "mkdir p/usr/lib/lamplighter; echo web@3 other >p/usr/lib/lamplighter/image",
        "mkdir p/usr/lib/lamplighter; ln -s /etc/passwd p/usr/lib/lamplighter/image"};
    char first[DIGEST_TEXT_SIZE] = "";
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char *command =
            xasprintf("umask 022; rm -rf p u; mkdir -p p/usr/lib u; %s; tar -C p --owner=0 "
                      "--group=0 -cf p.tar .; rm -f out.tar; : >out.tar",
                      hosts[i]);
        shell(command);
        free(command);
        char *path = xasprintf("%s/out.tar", work);
        struct sieve_config config = {.output = open(path, O_WRONLY | O_CLOEXEC), .identity = line};
        struct sieve_result result;
        must_run("p.tar", &config, &result);
        close(config.output);
        free(path);
        assert_int_equal(result.finding_count, 0);
        if (i > 0) {
            assert_string_equal(result.digest, first);
        }
        text_copy(first, sizeof(first), result.digest);
        sieve_result_deinit(&result);
        shell("tar -C u -xf out.tar; test -f u/usr/lib/lamplighter/image;"
              "test ! -L u/usr/lib/lamplighter/image; grep -qx 'web@4 "
              "00112233445566778899aabbccddeeff' u/usr/lib/lamplighter/image;"
              "test \"$(tar -tf out.tar | grep -c lamplighter/image)\" = 1");
        /* Looked at again, it is what it was. */
        struct sieve_config again = {.output = -1, .strict = true};
        must_run("out.tar", &again, &result);
        assert_string_equal(result.digest, first);
        sieve_result_deinit(&result);
    }
}

/* A link in the directory's place would take the line elsewhere. */
static void test_identity_needs_a_directory(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    struct sieve_config config = {.output = -1, .identity = "web@4 0\n"};
    struct sieve_result result;
    shell("rm -rf p; mkdir -p p/usr/lib; ln -s /tmp p/usr/lib/lamplighter; tar -C p -cf p.tar .");
    assert_int_equal(run("p.tar", &config, &result, &e), -1);
    assert_non_null(strstr(e.text, "/usr/lib/lamplighter is not a directory"));
}

static void test_strict(void **state)
{
    (void)state;
    struct sieve_config config = {.output = -1, .strict = true};
    struct sieve_result result;
    shell(
        "rm -rf p; mkdir -p p/etc/ssh; echo x >p/etc/machine-id; echo k >p/etc/ssh/ssh_host_x_key;"
        "tar -C p -cf p.tar .");
    must_run("p.tar", &config, &result);
    assert_int_equal(result.finding_count, 3); /* Both, and that there is no empty id. */
    sieve_result_deinit(&result);
}

/* A file in memory with LENGTH bytes. */
static int memory_of(const void *bytes, size_t length)
{
    int fd = memfd_create("tar", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static int run_bytes(const void *bytes, size_t length, struct err *e)
{
    struct sieve_config config = {
        .input = memory_of(bytes, length), .output = -1, .deadline_ms = soon()};
    struct sieve_result result = SIEVE_RESULT_NULL;
    int status = sieve_run(&config, &result, e);
    sieve_result_deinit(&result);
    close(config.input);
    return status;
}

static void test_cut_off_anywhere(void **state)
{
    (void)state;
    struct str whole = STR_NULL;
    struct err e = ERR_NULL;
    shell("rm -rf p; mkdir -p p/etc; echo x >p/etc/x; setfattr -n user.a -v b p/etc/x 2>/dev/null "
          "|| true;"
          "tar -C p --format=posix -b 1 -cf p.tar .");
    char *path = xasprintf("%s/p.tar", work);
    assert_int_equal(str_read_file(&whole, path, 1 << 20, &e), 0);
    /* The first block of zeros is the end; all before it must be there. */
    size_t end = whole.length - 1024;
    for (size_t length = 0; length < end + 512; length += 7) {
        if (run_bytes(whole.text, length, &e) == 0) {
            fail_msg("taken with %zu of %zu bytes", length, whole.length);
        }
    }
    assert_int_equal(run_bytes(whole.text, whole.length, &e), 0);
    str_deinit(&whole);
    free(path);
}

static void put_header(char *block, const char *name, char type, const char *target)
{
    memset(block, 0, TAR_BLOCK);
    snprintf(block, 100, "%s", name);
    memcpy(block + 100, "0000644", 7);
    memcpy(block + 108, "0000000", 7);
    memcpy(block + 116, "0000000", 7);
    memcpy(block + 124, "00000000000", 11);
    block[156] = type;
    snprintf(block + 157, 100, "%s", target);
    memcpy(block + 257, "ustar", 6);
    unsigned sum = 8 * ' ';
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        sum += (unsigned char)block[i];
    }
    snprintf(block + 148, 8, "%06o", sum);
}

static void test_hostile_streams(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        char type;
        const char *target;
        const char *says;
    } cases[] = {
        {"../etc/passwd", '0', "", "leads out of the tree"},
        {"a/../../b", '5', "", "leads out of the tree"},
        {"a", '1', "../../etc/shadow", "leads out of the tree"},
        {"a", '1', "nothing", "left out"},
        {"a", 'S', "", "is not known"},
    };
    char stream[3 * TAR_BLOCK] = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NULL;
        put_header(stream, cases[i].name, cases[i].type, cases[i].target);
        assert_int_equal(run_bytes(stream, sizeof(stream), &e), -1);
        if (strstr(e.text, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].name, e.text);
        }
    }
    struct err e = ERR_NULL;
    put_header(stream, "good", '0', "");
    assert_int_equal(run_bytes(stream, sizeof(stream), &e), 0);
    stream[0] = 'G'; /* Its checksum is wrong now. */
    assert_int_equal(run_bytes(stream, sizeof(stream), &e), -1);
}

/* Any bytes at all: a fault or not, but no crash (sanitizers watch). */
static void test_random_damage(void **state)
{
    (void)state;
    struct str whole = STR_NULL;
    struct err e = ERR_NULL;
    shell("tar -C t --format=posix -cf t.tar .");
    char *path = xasprintf("%s/t.tar", work);
    assert_int_equal(str_read_file(&whole, path, 1 << 22, &e), 0);
    unsigned seed = 1;
    for (int round = 0; round < 2000; round++) {
        seed = seed * 1103515245u + 12345u;
        size_t at = (seed >> 4) % whole.length;
        char kept = whole.text[at];
        whole.text[at] = (char)(seed >> 20);
        (void)run_bytes(whole.text, whole.length, &e);
        whole.text[at] = kept;
    }
    str_deinit(&whole);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sealed_and_whole), cmocka_unit_test(test_order_and_time_do_not_count),
        cmocka_unit_test(test_findings),         cmocka_unit_test(test_what_is_left_out),
        cmocka_unit_test(test_identity),         cmocka_unit_test(test_identity_needs_a_directory),
        cmocka_unit_test(test_strict),           cmocka_unit_test(test_cut_off_anywhere),
        cmocka_unit_test(test_hostile_streams),  cmocka_unit_test(test_random_damage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
