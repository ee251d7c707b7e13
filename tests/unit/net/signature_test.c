/* net/signature: what was signed passes, every changed bit of it or of its line does not. */
#include "net/signature.h"

#include "base/err.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct keys {
    char dir[64];
    char *private_path;
    char *public_path;
    struct str public_text;
};

static void keys_make(struct keys *k)
{
    struct err e = ERR_NULL;
    text_copy(k->dir, sizeof(k->dir), "/tmp/lamplighter-signature-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    k->private_path = xasprintf("%s/image", k->dir);
    k->public_path = xasprintf("%s/image.pub", k->dir);
    k->public_text = STR_NULL;
    assert_int_equal(signature_make_keys(k->private_path, k->public_path, &e), 0);
    assert_int_equal(str_read_file(&k->public_text, k->public_path, 65536, &e), 0);
}

static void keys_remove(struct keys *k)
{
    unlink(k->private_path);
    unlink(k->public_path);
    rmdir(k->dir);
    free(k->private_path);
    free(k->public_path);
    str_deinit(&k->public_text);
}

static enum signature_outcome outcome_of(const char *keys, const void *bytes, size_t length,
                                         const char *line)
{
    enum signature_outcome outcome = SIGNATURE_UNKNOWN;
    struct err e = ERR_NULL;
    assert_int_equal(signature_check(keys, bytes, length, line, &outcome, &e), 0);
    return outcome;
}

static void test_sign_and_check(void **state)
{
    (void)state;
    struct keys k;
    struct err e = ERR_NULL;
    struct str line = STR_NULL;
    char bytes[] = "{\"name\": \"web\"}";
    keys_make(&k);
    assert_int_equal(signature_sign(k.private_path, bytes, sizeof(bytes), &line, &e), 0);
    assert_int_equal(outcome_of(str_text(&k.public_text), bytes, sizeof(bytes), str_text(&line)),
                     SIGNATURE_GOOD);
    for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
        bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << i % 8));
        assert_int_equal(
            outcome_of(str_text(&k.public_text), bytes, sizeof(bytes), str_text(&line)),
            SIGNATURE_BAD);
        bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << i % 8));
    }
    /* No letter of the line can be another (the last ones of base64 carry bits that count not). */
    for (size_t i = 0; i + 4 < line.length; i++) {
        char kept = line.text[i];
        line.text[i] = kept == 'A' ? 'B' : 'A';
        assert_int_not_equal(
            outcome_of(str_text(&k.public_text), bytes, sizeof(bytes), str_text(&line)),
            SIGNATURE_GOOD);
        line.text[i] = kept;
    }
    assert_int_equal(outcome_of(str_text(&k.public_text), bytes, sizeof(bytes), ""), SIGNATURE_BAD);
    str_deinit(&line);
    keys_remove(&k);
}

static void test_several_keys(void **state)
{
    (void)state;
    struct keys one;
    struct keys two;
    struct err e = ERR_NULL;
    struct str line = STR_NULL;
    struct str both = STR_NULL;
    keys_make(&one);
    keys_make(&two);
    assert_int_equal(signature_sign(one.private_path, "x", 1, &line, &e), 0);
    assert_int_equal(outcome_of(str_text(&two.public_text), "x", 1, str_text(&line)),
                     SIGNATURE_UNKNOWN);
    str_addf(&both, "# ours\n%s# theirs\n%s", str_text(&two.public_text),
             str_text(&one.public_text));
    assert_int_equal(outcome_of(str_text(&both), "x", 1, str_text(&line)), SIGNATURE_GOOD);
    enum signature_outcome outcome;
    assert_int_equal(signature_check("no key", "x", 1, str_text(&line), &outcome, &e), -1);
    str_deinit(&line);
    str_deinit(&both);
    keys_remove(&one);
    keys_remove(&two);
}

static void test_files(void **state)
{
    (void)state;
    struct keys k;
    struct err e = ERR_NULL;
    struct str line = STR_NULL;
    struct stat status;
    keys_make(&k);
    assert_int_equal(stat(k.private_path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    /* A lost public key is made again, from the same private one. */
    assert_int_equal(unlink(k.public_path), 0);
    assert_int_equal(signature_make_keys(k.private_path, k.public_path, &e), 0);
    assert_int_equal(signature_sign(k.private_path, "x", 1, &line, &e), 0);
    assert_int_equal(outcome_of(str_text(&k.public_text), "x", 1, str_text(&line)), SIGNATURE_GOOD);
    assert_int_equal(chmod(k.private_path, 0644), 0);
    assert_int_equal(signature_sign(k.private_path, "x", 1, &line, &e), -1);
    assert_non_null(strstr(e.text, "readable by others"));
    str_deinit(&line);
    keys_remove(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_and_check),
        cmocka_unit_test(test_several_keys),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
