/*
 * Every command line of README.md is one that the program understands. They are run with a cluster
 * file that is not there: what is wrong with the words is said before anything is read (exit
 * status 2), and nothing else can happen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "stage.h"

#define PROGRAM    "lamplighter "
#define README_MAX (1024 * 1024)
#define LEAST      20 /* Command lines in README.md; far fewer found means they are not found. */

/* Runs LINE (what follows the program's name) without a cluster file; its exit status. */
static int run_without_file(struct stage *stage, const char *line)
{
    char *file = stage->file;
    stage->file = "/nonexistent/cluster.ini";
    int status = stage_run(stage, line);
    stage->file = file;
    return status;
}

static void understands(struct stage *stage, const char *line)
{
    int status = run_without_file(stage, line);
    if (status == CLI_USAGE) {
        fail_msg("README.md: lamplighter %s: %s", line, stage->said);
    }
}

/* The command line at TEXT ends with the line, a comment, or the backquote that it began with. */
static char *take_line(const char *text, bool quoted)
{
    size_t length = strcspn(text, quoted ? "`\n" : "\n");
    const char *comment = strstr(text, " #");
    if (comment != NULL && (size_t)(comment - text) < length) {
        length = (size_t)(comment - text);
    }
    while (length > 0 && text[length - 1] == ' ') {
        length--;
    }
    return xstrndup(text, length);
}

static void test_readme(void **state)
{
    struct stage *stage = *state;
    struct str readme = STR_NULL;
    struct err e = ERR_NULL;
    size_t found = 0;
    assert_int_equal(str_read_file(&readme, "README.md", README_MAX, &e), 0);
    const char *text = str_text(&readme);
    for (const char *at = text; (at = strstr(at, PROGRAM)) != NULL; at += strlen(PROGRAM)) {
        bool quoted = at > text && at[-1] == '`';
        bool begins = at > text && at[-1] == '\n';
        if (!quoted && !begins) {
            continue;
        }
        char *line = take_line(at + strlen(PROGRAM), quoted);
        understands(stage, line);
        free(line);
        found++;
    }
    if (found < LEAST) {
        fail_msg("only %zu command lines were found in README.md", found);
    }
    str_deinit(&readme);
}

/* The canary can die: lines that are wrong are told from lines that are right. */
static void test_wrong_lines(void **state)
{
    struct stage *stage = *state;
    static const char *const lines[] = {
        "aply",     "plan web",   "status --wacth", "why",     "group",           "group scale web",
        "exec web", "role web-1", "help confgi",    "run now", "group pause a b", "events web",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (run_without_file(stage, lines[i]) != CLI_USAGE) {
            fail_msg("lamplighter %s: %s", lines[i], stage->said);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readme, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lines, stage_setup, stage_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
