/* net/digest against the published vectors (FIPS 180-2, RFC 4648). */
#include "net/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    const char *digest;
} digests[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_digest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        char text[DIGEST_TEXT_SIZE];
        digest_text(digests[i].text, strlen(digests[i].text), text);
        assert_string_equal(text, digests[i].digest);
    }
}

static void test_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        char text[DIGEST_TEXT_SIZE];
        struct digest *digest = digest_new();
        for (const char *c = digests[i].text; *c != '\0'; c++) {
            digest_add(digest, c, 1);
            digest_add(digest, NULL, 0);
        }
        digest_finish(digest, text);
        assert_string_equal(text, digests[i].digest);
    }
}

/* Both go on by themselves from what they had in common. */
static void test_copy(void **state)
{
    (void)state;
    char text[DIGEST_TEXT_SIZE];
    char expected[DIGEST_TEXT_SIZE];
    struct digest *first = digest_new();
    digest_add(first, "abc", 3);
    struct digest *second = digest_copy(first);
    digest_add(first, "def", 3);
    digest_add(second, "xyz", 3);
    digest_finish(first, text);
    digest_text("abcdef", 6, expected);
    assert_string_equal(text, expected);
    digest_finish(second, text);
    digest_text("abcxyz", 6, expected);
    assert_string_equal(text, expected);
    digest_free(digest_new());
    digest_free(NULL);
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } cases[] = {
        {"", 0, ""},        {"f", 1, "Zg=="},          {"fo", 2, "Zm8="},
        {"foo", 3, "Zm9v"}, {"foobar", 6, "Zm9vYmFy"}, {"\0\xff\xfe", 3, "AP/+"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = digest_base64(cases[i].bytes, cases[i].length);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
