/* What a host says, however it says it: results, or its own failure. */
#include "role/report.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct listener {
    struct str lines;
    struct role_report report;
    struct role_script script;
    struct role_run_options options;
    struct report_parser parser;
};

static void on_result(void *context, const struct role_result *result)
{
    struct listener *l = context;
    role_result_describe(result, &l->lines);
    str_addf(&l->lines, "%s%s\n", result->text == NULL ? "" : ": ",
             result->text == NULL ? "" : result->text);
}

static bool on_need(void *context, const char *digest)
{
    struct listener *l = context;
    str_addf(&l->lines, "need %s\n", digest);
    return true;
}

static void listener_init(struct listener *l)
{
    memset(l, 0, sizeof(*l));
    l->options.on_result = on_result;
    l->options.context = l;
    l->script.resource_count = 3;
    l->parser.script = &l->script;
    l->parser.options = &l->options;
    l->parser.report = &l->report;
    l->parser.on_need = on_need;
    l->parser.context = l;
    text_copy(l->parser.token, sizeof(l->parser.token), "T0K");
}

static void listener_deinit(struct listener *l)
{
    report_parser_deinit(&l->parser);
    role_report_deinit(&l->report);
    role_script_deinit(&l->script);
    str_deinit(&l->lines);
}

#define HELLO "T0K\thello\t1\n"

static void test_reports(void **state)
{
    static const struct {
        const char *said;
        const char *lines;
        bool garbled;
        bool ended;
        enum role_outcome outcome;
        const char *text;
    } cases[] = {
        {HELLO "T0K\tok\t0\tr\tfile\t/a b\nT0K\t+\t-x\nT0K\t+\t+y\nT0K\tchanged\t2340\tr\trun\tz\n"
               "T0K\tend\t1\n",
         "ok r file /a b\nchanged r run z (2.3 s): -x\n+y\n", false, true, ROLE_RUN_OK, NULL},
        {"Welcome to host\n" HELLO "noise\nT0K ok 0 r file /x\nTOK\tok\t0\tr\tfile\t/x\n"
         "T0K\tbeat\nT0K\tend\t\n",
         "", false, true, ROLE_RUN_OK, NULL},
        {HELLO "T0K\t+\twhy \033[31mnot\007\nT0K\tfailed\t9\tr\tfile\t/a\n",
         "failed r file /a: why [31mnot\n", false, true, ROLE_RUN_FAILED, "r file /a: why [31mnot"},
        {HELLO "T0K\tlocked\tapply on x, for 4 s\n", "", false, true, ROLE_RUN_LOCKED,
         "the host is taken by apply on x, for 4 s"},
        {HELLO "T0K\trefused\tnot yours\n", "", false, true, ROLE_RUN_REFUSED, "not yours"},
        {HELLO "T0K\tneed\tabc\n", "need abc\n", false, false, ROLE_RUN_OK, NULL},
        {"T0K\thello\t2\n", "", true, false, ROLE_RUN_OK, "another version"},
        {"T0K\tok\t0\tr\tfile\t/a\n", "", true, false, ROLE_RUN_OK, "before the greeting"},
        {HELLO "T0K\tend\t\nT0K\tok\t0\tr\tfile\t/a\n", "", true, true, ROLE_RUN_OK,
         "after the end"},
        {HELLO "T0K\tok\t0\tr\n", "", true, false, ROLE_RUN_OK, "without its fields"},
        {HELLO "T0K\tok\tx\tr\tfile\t/a\n", "", true, false, ROLE_RUN_OK, "without its fields"},
        {HELLO "T0K\tnow\tr\n", "", true, false, ROLE_RUN_OK, "without its fields"},
        {HELLO "T0K\twhat\n", "", true, false, ROLE_RUN_OK, "unknown kind"},
        {HELLO "T0K\tok\t0\tr\tf\t1\nT0K\tok\t0\tr\tf\t2\nT0K\tok\t0\tr\tf\t3\n"
               "T0K\tok\t0\tr\tf\t4\nT0K\tok\t0\tr\tf\t5\n",
         "ok r f 1\nok r f 2\nok r f 3\nok r f 4\n", true, false, ROLE_RUN_OK, "more results"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        /* Whatever the pieces it comes in. */
        for (size_t piece = 1; piece < 40; piece += 19) {
            struct listener l;
            listener_init(&l);
            size_t length = strlen(cases[i].said);
            bool go_on = true;
            for (size_t at = 0; at < length && go_on; at += piece) {
                size_t left = length - at;
                go_on =
                    report_parser_feed(&l.parser, cases[i].said + at, left < piece ? left : piece);
            }
            assert_string_equal(str_text(&l.lines), cases[i].lines);
            assert_int_equal(l.parser.garbled, cases[i].garbled);
            assert_int_equal(go_on, !cases[i].garbled);
            assert_int_equal(l.parser.ended, cases[i].ended);
            if (!cases[i].garbled && cases[i].ended) {
                assert_int_equal(l.report.outcome, cases[i].outcome);
            }
            if (cases[i].text != NULL && strstr(l.report.text, cases[i].text) == NULL) {
                fail_msg("'%s' is not in '%s'", cases[i].text, l.report.text);
            }
            listener_deinit(&l);
        }
    }
}

static void test_floods(void **state)
{
    (void)state;
    struct listener l;
    struct str flood = STR_NULL;
    listener_init(&l);
    /* One endless line. */
    for (int i = 0; i < 70000; i++) {
        str_add_char(&flood, 'x');
    }
    assert_false(report_parser_feed(&l.parser, flood.text, flood.length));
    assert_true(l.parser.garbled);
    listener_deinit(&l);
    /* Endless text for one result: cut. Endless noise: dropped. */
    listener_init(&l);
    assert_true(report_parser_feed(&l.parser, HELLO, strlen(HELLO)));
    for (int i = 0; i < 10000; i++) {
        assert_true(report_parser_feed(&l.parser, "T0K\t+\tsomething to read\nnoise noise\n", 36));
    }
    static const char failed[] = "T0K\tfailed\t9\tr\tfile\t/a\n";
    assert_true(report_parser_feed(&l.parser, failed, strlen(failed)));
    assert_true(strlen(l.report.text) < 20000);
    assert_true(l.parser.noise.length < 2000);
    listener_deinit(&l);
    str_deinit(&flood);
}

static void test_bytes(void **state)
{
    (void)state;
    struct listener l;
    listener_init(&l);
    char bytes[512];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i * 7);
    }
    assert_true(report_parser_feed(&l.parser, bytes, sizeof(bytes)));
    static const char nul[] = "\nT0K\thello\0\t1\n\n\n" HELLO;
    assert_true(report_parser_feed(&l.parser, nul, sizeof(nul) - 1));
    assert_true(l.parser.greeted);
    listener_deinit(&l);
}

static void test_secrets_are_struck_out(void **state)
{
    (void)state;
    struct listener l;
    listener_init(&l);
    l.script.hidden = xcalloc(2, sizeof(struct secret));
    l.script.hidden_count = 2;
    secret_set(&l.script.hidden[0], "hunter2", 7);
    secret_set(&l.script.hidden[1], "ab", 2); /* Too short to tell from words. */
    static const char said[] =
        HELLO "T0K\t+\tpassword hunter2hunter2 about\nT0K\tfailed\t9\tr\tfile\t/hunter2\n";
    report_parser_feed(&l.parser, said, strlen(said));
    assert_string_equal(str_text(&l.lines),
                        "failed r file /*******: password ************** about\n");
    assert_null(strstr(l.report.text, "hunter2"));
    listener_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_secrets_are_struck_out),
    };
    return cmocka_run_group_tests_name("role/report", tests, NULL, NULL);
}
