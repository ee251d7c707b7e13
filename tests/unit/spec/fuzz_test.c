/*
 * The fuzz target under a fixed number of mutations of the good file. The seed is fixed too, so
 * that a failure is found again; LAMPLIGHTER_FUZZ_RUNS and LAMPLIGHTER_FUZZ_SEED search further.
 */
#include "base/mem.h"
#include "base/str.h"
#include "fuzz/spec_fuzz.c"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RUNS 4000
#define SEED 20240229

static uint64_t random_state;

/* xorshift64*: the same numbers everywhere. */
static size_t below(size_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (size_t)((random_state * 2685821657736338717u >> 33) % (limit == 0 ? 1 : limit));
}

/* Words that the file's readers look for, and a few that they should not like. */
static const char *const words[] = {"[group ",
                                    "]\n",
                                    "\n",
                                    "\n  ",
                                    " = ",
                                    "=",
                                    "{{",
                                    "{{#groups.",
                                    "}}",
                                    "secret:",
                                    "@",
                                    "@@",
                                    "@/dev/null",
                                    "include = ",
                                    "[cluster x]\n",
                                    "[]\n",
                                    "[",
                                    " ;",
                                    "#",
                                    "\r\n",
                                    "\xef\xbb\xbf",
                                    "0",
                                    "-1",
                                    "99999999999999999999",
                                    "100%",
                                    "1h",
                                    "T",
                                    "\0",
                                    "\x1b[2J",
                                    "\xc3",
                                    "http:",
                                    " -> ",
                                    "-",
                                    "/",
                                    "/0",
                                    "/33",
                                    "none",
                                    "needs = ",
                                    "zones = ",
                                    "proxy-jump = ",
                                    "web",
                                    "rack-a"};

static void insert(struct str *text, size_t at, const char *bytes, size_t length)
{
    struct str whole = STR_NULL;
    str_add_bytes(&whole, str_text(text), at);
    str_add_bytes(&whole, bytes, length);
    str_add_bytes(&whole, str_text(text) + at, text->length - at);
    str_deinit(text);
    *text = whole;
}

static void erase(struct str *text, size_t at, size_t length)
{
    struct str whole = STR_NULL;
    length = length < text->length - at ? length : text->length - at;
    str_add_bytes(&whole, str_text(text), at);
    str_add_bytes(&whole, str_text(text) + at + length, text->length - at - length);
    str_deinit(text);
    *text = whole;
}

static void mutate(struct str *text)
{
    size_t at = below(text->length + 1);
    switch (below(6)) {
    case 0:
        if (at < text->length) {
            text->text[at] = (char)below(256);
        }
        break;
    case 1: erase(text, at, 1 + below(40)); break;
    case 2: {
        const char *word = words[below(sizeof(words) / sizeof(words[0]))];
        insert(text, at, word, *word == '\0' ? 1 : strlen(word));
        break;
    }
    case 3: { /* A piece of the file once more, elsewhere. */
        size_t from = below(text->length);
        size_t length = below(200);
        length = length < text->length - from ? length : text->length - from;
        char *piece = xstrndup(str_text(text) + from, length);
        insert(text, at, piece, strlen(piece));
        free(piece);
        break;
    }
    case 4: erase(text, at, text->length); break;
    default: { /* A long run of one byte. */
        char run[300];
        memset(run, "a [;= \n"[below(7)], sizeof(run));
        insert(text, at, run, sizeof(run));
        break;
    }
    }
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void test_mutations(void **state)
{
    (void)state;
    struct str seed = STR_NULL;
    assert_int_equal(str_read_file(&seed, "tests/unit/spec/data/shop.ini", 1 << 20, NULL), 0);
    uint64_t runs = from_environment("LAMPLIGHTER_FUZZ_RUNS", RUNS);
    random_state = from_environment("LAMPLIGHTER_FUZZ_SEED", SEED);
    for (uint64_t i = 0; i < runs; i++) {
        struct str text = STR_NULL;
        str_add_bytes(&text, str_text(&seed), seed.length);
        for (size_t n = 1 + below(8); n > 0; n--) {
            mutate(&text);
        }
        LLVMFuzzerTestOneInput((const uint8_t *)str_text(&text), text.length);
        str_deinit(&text);
    }
    str_deinit(&seed);
}

static void test_odd_files(void **state)
{
    (void)state;
    static const char *const odd[] = {"",
                                      "[",
                                      "]",
                                      "=",
                                      "[\n]",
                                      "\n\n\n",
                                      "[[]]",
                                      "a\n b",
                                      " a=b",
                                      "a=b\n c",
                                      "\xef\xbb\xbf",
                                      "\r\r",
                                      "[a b]=c",
                                      "[ ]\n=",
                                      ";",
                                      " ;=",
                                      "include=",
                                      "include=.\n",
                                      "include=/dev/null",
                                      "include = /proc/self/fd"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        LLVMFuzzerTestOneInput((const uint8_t *)odd[i], strlen(odd[i]));
    }
    char *large = xcalloc(1, 70000);
    memset(large, 'x', 70000);
    LLVMFuzzerTestOneInput((const uint8_t *)large, 70000);
    memset(large, '\n', 70000);
    LLVMFuzzerTestOneInput((const uint8_t *)large, 70000);
    memset(large, '[', 70000);
    LLVMFuzzerTestOneInput((const uint8_t *)large, 70000);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_odd_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
