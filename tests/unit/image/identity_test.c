/* image/identity: the line that an image says of itself, whatever a host puts in its place. */
#include "image/identity.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BUILD "00112233445566778899aabbccddeeff"

static void test_comes_back(void **state)
{
    (void)state;
    struct identity identity = {.image = "web@3"};
    struct identity back;
    struct err e = ERR_NULL;
    char line[IDENTITY_LINE_SIZE];
    assert_int_equal(identity_make_build(identity.build, &e), 0);
    assert_true(identity_is_build(identity.build));
    identity_render(&identity, line);
    assert_true(identity_parse(line, &back));
    assert_string_equal(back.image, "web@3");
    assert_string_equal(back.build, identity.build);
}

static void test_no_two_builds_are_the_same(void **state)
{
    (void)state;
    char builds[100][IDENTITY_BUILD_SIZE];
    struct err e = ERR_NULL;
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(identity_make_build(builds[i], &e), 0);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(builds[i], builds[j]);
        }
    }
}

static void test_longest(void **state)
{
    (void)state;
    struct identity identity = {.build = BUILD};
    struct identity back;
    char line[IDENTITY_LINE_SIZE];
    memset(identity.image, 'a', 63);
    memcpy(identity.image + 63, "@999999", 8);
    identity_render(&identity, line);
    assert_true(identity_parse(line, &back));
    assert_string_equal(back.image, identity.image);
}

static void test_what_is_none(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "\n",
        " ",
        "web@3",
        "web@3 ",
        "web " BUILD,
        "web@3 " BUILD "0",
        "web@3 0" BUILD "\n",
        "web@3 00112233445566778899aabbccddeef\n",
        "web@3 00112233445566778899AABBCCDDEEFF\n",
        "web@3  " BUILD,
        "web@3 " BUILD " more",
        "\033[1mweb@3 " BUILD,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@"
        "3 " BUILD,
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct identity identity = {.image = "kept"};
        if (identity_parse(lines[i], &identity)) {
            fail_msg("taken: %s", lines[i]);
        }
        assert_string_equal(identity.image, "kept");
    }
    struct identity identity;
    assert_true(identity_parse("web@3 " BUILD "\nmore", &identity));
    assert_true(identity_parse("web@3 " BUILD, &identity));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_no_two_builds_are_the_same),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
