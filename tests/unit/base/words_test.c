#include "base/words.h"

#include "base/err.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *words; /* Each in brackets; NULL: refused. */
    } cases[] = {
        {"/bin/true", "[/bin/true]"},
        {"  a\tb \n c ", "[a][b][c]"},
        {"sh -c 'echo \"$A\"; exit 3'", "[sh][-c][echo \"$A\"; exit 3]"},
        {"a 'b c'd\"e f\"g", "[a][b cde fg]"},
        {"'' \"\"", "[][]"},
        {"\"a\\\"b\\\\c\\d\"", "[a\"b\\c\\d]"},
        {"a\\ b \\'x\\'", "[a b]['x']"},
        {"'a\\'b'", NULL},
        {"$HOME *.c > x; y | z & `id`", "[$HOME][*.c][>][x;][y][|][z][&][`id`]"},
        {"", NULL},
        {" \t", NULL},
        {"a 'b", NULL},
        {"a \"b\\\"", NULL},
        {"a \\", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char **words = NULL;
        size_t count = 0;
        struct err e = ERR_NULL;
        struct str got = STR_NULL;
        int result = words_split(cases[i].line, &words, &count, &e);
        if (cases[i].words == NULL) {
            assert_int_equal(result, -1);
            assert_true(e.text[0] != '\0');
            continue;
        }
        assert_int_equal(result, 0);
        assert_null(words[count]);
        for (size_t w = 0; w < count; w++) {
            str_addf(&got, "[%s]", words[w]);
        }
        assert_string_equal(str_text(&got), cases[i].words);
        str_deinit(&got);
        words_free(words);
    }
    words_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
