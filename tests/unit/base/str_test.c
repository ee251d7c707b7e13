#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conformance/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_growing(void **state)
{
    (void)state;
    struct str s = STR_NULL;
    assert_string_equal(str_text(&s), "");
    str_clear(&s);
    str_drop(&s, 3);
    str_trim(&s);
    for (int i = 0; i < 1000; i++) {
        str_addf(&s, "%d,", i % 10);
    }
    assert_int_equal(s.length, 2000);
    assert_memory_equal(s.text, "0,1,2,", 6);
    str_drop(&s, 1990);
    assert_string_equal(str_text(&s), "5,6,7,8,9,");
    str_drop(&s, 99);
    assert_int_equal(s.length, 0);
    str_add_bytes(&s, "a\0b", 3);
    str_add_char(&s, 'c');
    assert_int_equal(s.length, 4);
    assert_memory_equal(s.text, "a\0bc", 5);
    str_clear(&s);
    str_add(&s, " \t\n x y \r\n");
    str_trim(&s);
    assert_string_equal(str_text(&s), "x y");
    char *taken = str_take(&s);
    assert_string_equal(taken, "x y");
    assert_int_equal(s.length, 0);
    free(taken);
    taken = str_take(&s);
    assert_string_equal(taken, "");
    free(taken);
    str_deinit(&s);
    str_deinit(&s);
}

/* Quoting is proved by the real thing: what the shell hands on is what was put in. */
static void test_shell_word(void **state)
{
    (void)state;
    static const char *const words[] = {
        "",   "plain", "two words", "it's", "'", "''",  "$HOME `id` $(id)", "a\"b\\c",     "*?[a]",
        "\n", "-n",    "a;b|c&d>e", "~",    "#", "\\'", "tab\there",        "\xc3\xa4\x01"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct str command = STR_NULL;
        str_add(&command, "printf '%s.' ");
        str_add_shell(&command, words[i]);
        int pipe_ends[2];
        assert_int_equal(pipe(pipe_ends), 0);
        pid_t child = fork();
        if (child == 0) {
            dup2(pipe_ends[1], STDOUT_FILENO);
            close(pipe_ends[0]);
            execl("/bin/sh", "sh", "-c", str_text(&command), (char *)NULL);
            _exit(127);
        }
        close(pipe_ends[1]);
        char said[128] = "";
        ssize_t got = read(pipe_ends[0], said, sizeof(said) - 1);
        close(pipe_ends[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(got, strlen(words[i]) + 1);
        assert_memory_equal(said, words[i], strlen(words[i]));
        assert_int_equal(said[got - 1], '.');
        str_deinit(&command);
    }
}

static void test_printable(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *one_line, *lines;
    } cases[] = {
        {"plain", "plain", "plain"},
        {"a\tb\nc", "a b c", "a b\nc"},
        {"\033[31mred\033[0m\007", "[31mred[0m", "[31mred[0m"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\xa5", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\xa5",
         "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\xa5"},
        {"\xc3", "?", "?"},                   /* Cut in the middle. */
        {"\xc0\xaf", "??", "??"},             /* An overlong '/'. */
        {"\xe0\x80\xaf", "???", "???"},       /* Overlong, three bytes. */
        {"\xed\xa0\x80", "???", "???"},       /* A surrogate. */
        {"\xf4\x90\x80\x80", "????", "????"}, /* Beyond Unicode. */
        {"\xc2\x9b"
         "31m",
         "??31m", "??31m"}, /* U+009B, an escape sequence to some terminals. */
        {"a\x7f\rb", "ab", "ab"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str s = STR_NULL;
        str_add_printable(&s, cases[i].bytes, strlen(cases[i].bytes), false);
        assert_string_equal(str_text(&s), cases[i].one_line);
        str_clear(&s);
        str_add_printable(&s, cases[i].bytes, strlen(cases[i].bytes), true);
        assert_string_equal(str_text(&s), cases[i].lines);
        str_deinit(&s);
    }
}

static void test_read_file(void **state)
{
    (void)state;
    char *folder = scratch_make();
    char *path = xasprintf("%s/file", folder);
    FILE *out = fopen(path, "w");
    for (int i = 0; i < 10000; i++) {
        fputs("0123456789", out);
    }
    fclose(out);
    struct str s = STR_NULL;
    struct err e = ERR_NULL;
    str_add(&s, "before ");
    assert_int_equal(str_read_file(&s, path, 100000, &e), 0);
    assert_int_equal(s.length, 100007);
    str_clear(&s);
    assert_int_equal(str_read_file(&s, path, 99999, &e), -1);
    assert_non_null(strstr(e.text, "larger than 99999 bytes"));
    assert_int_equal(str_read_file(&s, folder, 10, &e), -1);
    assert_non_null(strstr(e.text, "Is a directory"));
    assert_int_equal(str_read_file(&s, "/nowhere/file", 10, &e), -1);
    assert_string_equal(e.text, "/nowhere/file: No such file or directory");
    str_deinit(&s);
    free(path);
    scratch_remove(folder);
}

static void test_compare(void **state)
{
    (void)state;
    assert_true(text_equal("a", "a"));
    assert_false(text_equal("a", "b"));
    assert_true(text_equal(NULL, NULL));
    assert_false(text_equal(NULL, ""));
    assert_true(text_starts("abc", "ab"));
    assert_true(text_starts("abc", ""));
    assert_false(text_starts("ab", "abc"));
    assert_true(text_ends("abc", "bc"));
    assert_true(text_ends("abc", ""));
    assert_false(text_ends("bc", "abc"));
}

static void test_names(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'a', sizeof(longest));
    longest[63] = '\0';
    assert_true(text_is_name("web"));
    assert_true(text_is_name("9"));
    assert_true(text_is_name("a-"));
    assert_true(text_is_name(longest));
    longest[63] = 'a';
    longest[64] = '\0';
    assert_false(text_is_name(longest));
    static const char *const bad[] = {"",    "-a",  "Web", "a_b",      "a.b", "a b",
                                      "a\n", "../", "a/b", "\xc3\xa4", "a;b", "$a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(text_is_name(bad[i]));
    }
}

static void test_to_int(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t min, max;
        bool good;
        int64_t number;
    } cases[] = {
        {"0", 0, 10, true, 0},
        {"10", 0, 10, true, 10},
        {"11", 0, 10, false, 0},
        {"-1", 0, 10, false, 0},
        {"-1", -1, 10, true, -1},
        {"007", 0, 10, true, 7},
        {"", 0, 10, false, 0},
        {" 1", 0, 10, false, 0},
        {"1 ", 0, 10, false, 0},
        {"1x", 0, 10, false, 0},
        {"0x1", 0, 10, false, 0},
        {"1.0", 0, 10, false, 0},
        {"9223372036854775807", 0, INT64_MAX, true, INT64_MAX},
        {"9223372036854775808", 0, INT64_MAX, false, 0},
        {"-9223372036854775809", INT64_MIN, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t number = -77;
        bool good = text_to_int(cases[i].text, cases[i].min, cases[i].max, &number);
        if (good != cases[i].good || number != (good ? cases[i].number : -77)) {
            fail_msg("'%s': %d, %lld", cases[i].text, good, (long long)number);
        }
    }
}

static void test_copy(void **state)
{
    (void)state;
    char text[5] = "zzzz";
    text_copy(text, sizeof(text), "abc");
    assert_string_equal(text, "abc");
    text_copy(text, sizeof(text), "abcdefgh");
    assert_string_equal(text, "abcd");
    text_copy(text, 1, "abc");
    assert_string_equal(text, "");
    /* A character that would be cut is left out; what is no character is cut like any byte. */
    text_copy(text, sizeof(text), "ab\xe2\x82\xac");
    assert_string_equal(text, "ab");
    text_copy(text, sizeof(text), "a\xe2\x82\xac\xe2\x82\xac");
    assert_string_equal(text, "a\xe2\x82\xac");
    text_copy(text, sizeof(text), "abc\xc3\xa9");
    assert_string_equal(text, "abc");
    text_copy(text, sizeof(text), "\xf0\x9f\x94\xa5\xf0\x9f\x94\xa5");
    assert_string_equal(text, "\xf0\x9f\x94\xa5");
    text_copy(text, sizeof(text), "\x80\x80\x80\x80\x80\x80");
    assert_string_equal(text, "\x80\x80\x80\x80");
}

static void test_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t columns, bytes;
    } cases[] = {
        {"", 0, 0},
        {"abc", 0, 0},
        {"abc", 2, 2},
        {"abc", 3, 3},
        {"abc", 9, 3},
        {"\xe2\x82\xac\xe2\x82\xac", 1, 3},
        {"\xe2\x82\xac\xe2\x82\xac", 2, 6},
        {"\xe2\x82\xac\xe2\x82\xac", 0, 0},
        {"a\xc3\xa9z", 2, 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(text_fit(cases[i].text, strlen(cases[i].text), cases[i].columns),
                         cases[i].bytes);
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"min",      "desired",     "max",        "zones",
                                        "template", "healthy-min", "healthy-max"};
    static const struct {
        const char *text, *nearest;
    } cases[] = {
        {"desird", "desired"},
        {"desierd", "desired"},
        {"desireed", "desired"},
        {"mx", "max"},
        {"nim", "min"},
        {"zone", "zones"},
        {"Template", "template"},
        {"heathy-max", "healthy-max"},
        {"xyzzy", NULL},
        {"bridge", NULL},
        {"t", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *nearest = text_nearest(cases[i].text, words, sizeof(words) / sizeof(words[0]));
        if (!text_equal(nearest, cases[i].nearest)) {
            fail_msg("'%s': %s", cases[i].text, nearest == NULL ? "none" : nearest);
        }
    }
    assert_null(text_nearest("a", words, 0));
    char large[500];
    memset(large, 'a', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    const char *const one[] = {large};
    text_nearest(large, one, 1); /* Bounded, whatever it says. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growing),   cmocka_unit_test(test_shell_word),
        cmocka_unit_test(test_printable), cmocka_unit_test(test_read_file),
        cmocka_unit_test(test_compare),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_to_int),    cmocka_unit_test(test_copy),
        cmocka_unit_test(test_fit),       cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
