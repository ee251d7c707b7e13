/* What the reader makes of a file, written out as one line a section and one an entry. */
#include "base/ini.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "conformance/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void write_file(const char *name, const char *bytes, size_t length)
{
    FILE *out = fopen(name, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    assert_int_equal(fclose(out), 0);
}

/* "LINE [type|name]" and "LINE key=value" lines (newlines in values as '|'), then the problems. */
static char *read_back(const char *bytes, size_t length)
{
    struct ini_doc doc;
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct str said = STR_NULL;
    write_file("x.ini", bytes, length);
    int result = ini_doc_read(&doc, "x.ini", &problems);
    assert_int_equal(result, problems.count == 0 ? 0 : -1);
    for (size_t i = 0; i < doc.section_count; i++) {
        const struct ini_section *s = &doc.sections[i];
        str_addf(&said, "%u [%s|%s]\n", s->line, s->type, s->name);
        for (size_t j = 0; j < s->entry_count; j++) {
            char *value = xstrdup(s->entries[j].value);
            for (char *p = value; *p != '\0'; p++) {
                *p = *p == '\n' ? '|' : *p;
            }
            str_addf(&said, "%u %s=%s\n", s->entries[j].line, s->entries[j].key, value);
            free(value);
        }
    }
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    problem_list_print(&problems, out);
    fclose(out);
    str_add(&said, text);
    free(text);
    problem_list_deinit(&problems);
    ini_doc_deinit(&doc);
    return str_take(&said);
}

struct file_case {
    const char *name, *text, *said;
};

static const struct file_case cases[] = {
    {"empty", "", ""},
    {"empty lines and comments", "\n  \n# a\n; b\n   # c\n", ""},
    {"plain", "[group web]\nmin = 2\nmax=4\n", "1 [group|web]\n2 min=2\n3 max=4\n"},
    {"no newline at the end", "[a b]\nc = d", "1 [a|b]\n2 c=d\n"},
    {"empty sections", "[zone a]\n[zone b]\n", "1 [zone|a]\n2 [zone|b]\n"},
    {"sections with spaces", "  [ group   web one ]  \n", "1 [group|web one]\n"},
    {"section and comment", "[a b] ; c\n[c d] # e\n", "1 [a|b]\n2 [c|d]\n"},
    {"same header twice is kept apart", "[a b]\nc = 1\n[a b]\nc = 2\n",
     "1 [a|b]\n2 c=1\n3 [a|b]\n4 c=2\n"},
    {"repeated keys are kept", "[f x]\nlisten = 1\nlisten = 2\n",
     "1 [f|x]\n2 listen=1\n3 listen=2\n"},
    {"entries before a section", "a = b\n[c d]\n", "1 [|]\n1 a=b\n2 [c|d]\n"},
    {"empty value", "[a b]\nc =\nd = ; e\n", "1 [a|b]\n2 c=\n3 d=\n"},
    {"equals in a value", "[a b]\nc = d = e : f\n", "1 [a|b]\n2 c=d = e : f\n"},
    {"comment after a value", "[a b]\nc = d ; e\nf = g;h\ni = j # k\n",
     "1 [a|b]\n2 c=d\n3 f=g;h\n4 i=j # k\n"},
    {"carriage returns", "[a b]\r\nc = d\r\n  e\r\n", "1 [a|b]\n2 c=d|e\n"},
    {"byte order mark", "\xef\xbb\xbf[a b]\nc = d\n", "1 [a|b]\n2 c=d\n"},
    {"UTF-8", "[a b]\nc = caf\xc3\xa9\n", "1 [a|b]\n2 c=caf\xc3\xa9\n"},
    {"value goes on", "[a b]\nc = d\n  e ; f\n\tg\nh = i\n", "1 [a|b]\n2 c=d|e|g\n5 h=i\n"},
    {"value begins on the next line", "[a b]\nc =\n  d\n  e\n", "1 [a|b]\n2 c=d|e\n"},
    {"empty lines inside a value", "[a b]\nc = d\n\n\n  e\n\nf = g\n",
     "1 [a|b]\n2 c=d|||e\n7 f=g\n"},
    {"comments inside a value", "[a b]\nc = d\n  # e\n  ; f\n  g\n", "1 [a|b]\n2 c=d|g\n"},
    {"what looks like an entry or a section in a value", "[a b]\nc = d\n  e = f\n  [g h]\n",
     "1 [a|b]\n2 c=d|e = f|[g h]\n"},
    {"indented keys are keys", "[a b]\n  c = d\n  e = f\n    g\n e = h\n",
     "1 [a|b]\n2 c=d\n3 e=f|g\n5 e=h\n"},
    {"no entry", "[a b]\njunk\nc = d\n",
     "1 [a|b]\n3 c=d\nx.ini:2: expected [SECTION NAME] or KEY = VALUE, got 'junk'\n"},
    {"no entry, over several lines", "[a b]\njunk\n  more\n  and = more\nc = d\n",
     "1 [a|b]\n5 c=d\nx.ini:2: expected [SECTION NAME] or KEY = VALUE, got 'junk'\n"},
    {"every mistake is told", "junk\n[a b]\njunk\n= x\n",
     "2 [a|b]\nx.ini:1: expected [SECTION NAME] or KEY = VALUE, got 'junk'\n"
     "x.ini:3: expected [SECTION NAME] or KEY = VALUE, got 'junk'\n"
     "x.ini:4: expected [SECTION NAME] or KEY = VALUE, got '= x'\n"},
    {"colon for equals", "[a b]\nc: d\ne : f = g\n",
     "1 [a|b]\nx.ini:2: expected [SECTION NAME] or KEY = VALUE, got 'c: d'\n"
     "x.ini:3: expected [SECTION NAME] or KEY = VALUE, got 'e : f = g'\n"},
    {"section that is not closed", "[a b\nc = d\n",
     "1 [a|b]\n2 c=d\nx.ini:1: expected ']' at the end of '[a b'\n"},
    {"section and more", "[a b] c = d\n",
     "1 [a|b]\nx.ini:1: expected nothing after ']', got 'c = d'; keys stand on lines of their "
     "own\n"},
    {"control character", "[a b]\nc = \033[2J\nd = e\n",
     "1 [a|b]\n3 d=e\nx.ini:2: a control character at column 5: expected UTF-8 text\n"},
    {"not UTF-8", "[a b]\nc = caf\xe9\n",
     "1 [a|b]\nx.ini:2: a byte that is not UTF-8 at column 8: expected UTF-8 text\n"},
    {"include after a section is a key", "[a b]\ninclude = y.ini\n", "1 [a|b]\n2 include=y.ini\n"},
    {"include without a name", "include =\n", "x.ini:1: include: expected the name of a file\n"},
    {"include of nothing", "include = none.ini\n[a b]\n",
     "2 [a|b]\nx.ini:1: include: none.ini: No such file or directory\n"},
    {"include of itself", "include = x.ini\n[a b]\n",
     "2 [a|b]\nx.ini:1: include: x.ini is being read already: a file cannot include itself, nor "
     "what "
     "includes it\n"},
    {"include in place", "a = 1\ninclude = part.ini\nb = 2\n[c d]\n",
     "1 [|]\n1 a=1\n3 b=2\n1 [|]\n1 p=1\n2 [part|x]\n3 q=2\n4 [c|d]\n"},
    {"include twice", "include = part.ini\ninclude = ./part.ini\n",
     "1 [|]\n1 p=1\n2 [part|x]\n3 q=2\n"
     "x.ini:2: include: ./part.ini was included before; once is enough\n"},
    {"include in a circle", "include = sub/back.ini\n[a b]\n",
     "2 [a|b]\nsub/back.ini:1: include: ../x.ini is being read already: a file cannot include "
     "itself, nor what includes it\n"},
};

static void test_files(void **state)
{
    (void)state;
    size_t different = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *said = read_back(cases[i].text, strlen(cases[i].text));
        if (!text_equal(said, cases[i].said)) {
            print_error("%s:\nsaid\n%swanted\n%s", cases[i].name, said, cases[i].said);
            different++;
        }
        free(said);
    }
    assert_int_equal(different, 0);
}

static void test_nul(void **state)
{
    (void)state;
    static const char bytes[] = "[a b]\nc = d\0e\nf = g\n";
    char *said = read_back(bytes, sizeof(bytes) - 1);
    assert_string_equal(said, "1 [a|b]\n3 f=g\n"
                              "x.ini:2: a NUL byte at column 6: expected UTF-8 text\n");
    free(said);
}

/* Around the sizes of inih's buffers (50, 200), and up to our own limits, not a byte is lost. */
static void test_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {48,  49,  50,  51,  190, 191, 192, 193, 194,  195,
                                     196, 197, 198, 199, 200, 201, 202, 400, 4096, 8000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char *word = xcalloc(lengths[i] + 1, 1);
        memset(word, 'w', lengths[i]);
        word[lengths[i] / 2] = ' ';
        word[lengths[i] - 2] = '=';
        char *text = xasprintf("[a %s]\nc = %s\n   %s\nd = 1\n", word, word, word);
        char *wanted = xasprintf("1 [a|%s]\n2 c=%s|%s\n4 d=1\n", word, word, word);
        char *said = read_back(text, strlen(text));
        assert_string_equal(said, wanted);
        free(said);
        free(wanted);
        free(text);
        free(word);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    char *word = xcalloc(8300, 1);
    memset(word, 'w', 8299);
    char *text = xasprintf("[a b]\nc = %s\nd = 1\n", word);
    char *said = read_back(text, strlen(text));
    assert_string_equal(said, "1 [a|b]\n3 d=1\nx.ini:2: the line is longer than 8192 bytes\n");
    free(said);
    free(text);
    /* A key that inih could not hold. */
    word[300] = '\0';
    text = xasprintf("[a b]\n%s = 1\n", word);
    said = read_back(text, strlen(text));
    assert_non_null(strstr(said, "x.ini:2: expected [SECTION NAME] or KEY = VALUE"));
    free(said);
    free(text);
    free(word);
}

static void test_value_too_long(void **state)
{
    (void)state;
    struct str text = STR_NULL;
    str_add(&text, "[a b]\nc = d\n");
    for (int i = 0; i < 40000; i++) {
        str_add(&text, "  e\n");
    }
    str_add(&text, "f = g\n");
    char *said = read_back(str_text(&text), text.length);
    assert_non_null(strstr(said, "\n40003 f=g\n"));
    const char *problem = strstr(said, "x.ini:");
    assert_non_null(problem);
    assert_non_null(strstr(problem, ": c: the value is longer than 65536 bytes\n"));
    assert_null(strstr(problem + 1, "x.ini:")); /* Said once. */
    free(said);
    str_deinit(&text);
}

static void test_not_a_text_file(void **state)
{
    (void)state;
    struct str text = STR_NULL;
    for (int i = 0; i < 5000; i++) {
        str_add(&text, "junk\n");
    }
    char *said = read_back(str_text(&text), text.length);
    assert_non_null(strstr(said, "the rest of the file is not read: more than 100 mistakes\n"));
    size_t lines = 0;
    for (const char *p = said; *p != '\0'; p++) {
        lines += *p == '\n';
    }
    assert_int_equal(lines, 102);
    free(said);
    str_deinit(&text);
}

static void test_unreadable(void **state)
{
    (void)state;
    struct ini_doc doc;
    struct problem_list problems = PROBLEM_LIST_NULL;
    assert_int_equal(ini_doc_read(&doc, "/nowhere/x.ini", &problems), -1);
    assert_int_equal(ini_doc_read(&doc, "sub", &problems), -1);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.items[0].text, "/nowhere/x.ini: No such file or directory");
    assert_string_equal(problems.items[1].text, "sub: Is a directory");
    assert_int_equal(doc.file_count, 0);
    ini_doc_deinit(&doc);
    ini_doc_deinit(&doc);
    problem_list_deinit(&problems);
}

static int set_up(void **state)
{
    *state = scratch_make();
    char *sub = xasprintf("%s/sub", (char *)*state);
    int result = chdir(*state) != 0 || mkdir(sub, 0700) != 0;
    write_file("part.ini", "p = 1\n[part x]\nq = 2\n", 21);
    write_file("sub/back.ini", "include = ../x.ini\n", 19);
    free(sub);
    return result;
}

static int tear_down(void **state)
{
    int result = chdir("/");
    scratch_remove(*state);
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),          cmocka_unit_test(test_nul),
        cmocka_unit_test(test_lengths),        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_value_too_long), cmocka_unit_test(test_not_a_text_file),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
