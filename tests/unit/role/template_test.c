/*
 * Mustache: each part of the specification in cases of our own, the places where it leaves a
 * choice, and strict mode.
 */
#include "role/template.h"

#include "base/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct template_case {
    const char *name;
    const char *data; /* JSON. */
    const char *text;
    const char *expected;
};

static const struct template_case interpolation[] = {
    {"none", "{}", "plain {x} text\n", "plain {x} text\n"},
    {"value", "{'a':'x'}", "[{{a}}]", "[x]"},
    {"white space in the tag", "{'a':'x'}", "[{{  a\n}}]", "[x]"},
    {"white space around it stays", "{'a':'x'}", "  {{a}}  \n", "  x  \n"},
    {"escaped", "{'a':'<&>\\''}", "{{a}}", "&lt;&amp;&gt;'"},
    {"three braces", "{'a':'<&\\\"'}", "{{{ a }}}", "<&\""},
    {"ampersand", "{'a':'<&\\\"'}", "{{& a }}", "<&\""},
    {"whole number", "{'a':85}", "{{a}} {{{a}}}", "85 85"},
    {"number with a point", "{'a':1.25}", "{{a}}", "1.25"},
    {"truth", "{'a':true,'b':false}", "{{a}} {{b}}", "yes no"},
    {"null", "{'a':null}", "[{{a}}]", "[]"},
    {"unknown", "{}", "[{{a}}{{b.c}}]", "[]"},
    {"dotted", "{'a':{'b':{'c':'x'}}}", "{{a.b.c}}", "x"},
    {"dotted, broken", "{'a':{},'c':'no'}", "[{{a.b.c}}]", "[]"},
    {"the first part decides", "{'a':{'b':'outer'},'s':{'a':{}}}", "{{#s}}[{{a.b}}]{{/s}}", "[]"},
    {"this", "'x'", "[{{.}}]", "[x]"},
    {"standing alone changes nothing", "{'a':'x'}", "{{a}}\n", "x\n"},
};

static const struct template_case sections[] = {
    {"true", "{'a':true}", "[{{#a}}x{{/a}}]", "[x]"},
    {"false", "{'a':false}", "[{{#a}}x{{/a}}]", "[]"},
    {"null", "{'a':null}", "[{{#a}}x{{/a}}]", "[]"},
    {"unknown", "{}", "[{{#a}}x{{/a}}]", "[]"},
    {"empty text is false", "{'a':''}", "[{{#a}}x{{/a}}{{^a}}y{{/a}}]", "[y]"},
    {"zero is true", "{'a':0}", "[{{#a}}x{{/a}}]", "[x]"},
    {"object", "{'a':{'b':'x'},'b':'y'}", "{{#a}}{{b}}{{/a}}{{b}}", "xy"},
    {"text", "{'a':'x'}", "{{#a}}[{{.}}]{{/a}}", "[x]"},
    {"list", "{'a':[1,2,3]}", "{{#a}}<{{.}}>{{/a}}", "<1><2><3>"},
    {"list of objects", "{'a':[{'b':1},{'b':2}],'c':'z'}", "{{#a}}{{b}}{{c}} {{/a}}", "1z 2z "},
    {"list of lists", "{'a':[[1,2],[3]]}", "{{#a}}({{#.}}{{.}}{{/.}}){{/a}}", "(12)(3)"},
    {"empty list", "{'a':[]}", "[{{#a}}x{{/a}}]", "[]"},
    {"the parent is seen", "{'a':{'b':{'c':1}},'d':2}", "{{#a}}{{#b}}{{c}}{{d}}{{/b}}{{/a}}", "12"},
    {"the nearest wins", "{'n':'o','a':{'n':'i'}}", "{{#a}}{{n}}{{/a}}", "i"},
    {"dotted", "{'a':{'b':true}}", "{{#a.b}}x{{/a.b}}{{#a.c}}y{{/a.c}}", "x"},
    {"twice", "{'a':true}", "{{#a}}1{{/a}}-{{#a}}2{{/a}}", "1-2"},
    {"in itself", "{'a':true}", "{{#a}}1{{#a}}2{{/a}}3{{/a}}", "123"},
    {"alone on its line", "{'a':true}", "1\n{{#a}}\n2\n{{/a}}\n3\n", "1\n2\n3\n"},
    {"alone, indented", "{'a':true}", "1\n  {{#a}}\n2\n\t{{/a}} \n3\n", "1\n2\n3\n"},
    {"alone, CR LF", "{'a':true}", "1\r\n{{#a}}\r\n2\r\n{{/a}}\r\n3", "1\r\n2\r\n3"},
    {"alone at both ends", "{'a':true}", "  {{#a}}\nx\n  {{/a}}", "x\n"},
    {"not alone", "{'a':true}", " {{#a}}x{{/a}} \n", " x \n"},
    {"two on a line", "{'a':true}", "{{#a}} {{/a}}\n", " \n"},
    {"white space in the tag", "{'a':true}", "{{# a }}x{{/ a }}", "x"},
};

static const struct template_case inverted[] = {
    {"false", "{'a':false}", "[{{^a}}x{{/a}}]", "[x]"},
    {"true", "{'a':true}", "[{{^a}}x{{/a}}]", "[]"},
    {"unknown", "{}", "[{{^a}}x{{/a}}]", "[x]"},
    {"null", "{'a':null}", "[{{^a}}x{{/a}}]", "[x]"},
    {"list", "{'a':[1]}", "[{{^a}}x{{/a}}]", "[]"},
    {"empty list", "{'a':[]}", "[{{^a}}x{{/a}}]", "[x]"},
    {"object", "{'a':{}}", "[{{^a}}x{{/a}}]", "[]"},
    {"dotted", "{'a':{}}", "[{{^a.b}}x{{/a.b}}]", "[x]"},
    {"in itself", "{}", "{{^a}}1{{^a}}2{{/a}}3{{/a}}", "123"},
    {"alone", "{}", "1\n {{^a}}\n2\n {{/a}}\n3", "1\n2\n3"},
};

static const struct template_case comments[] = {
    {"inline", "{}", "1{{! anything }}2", "12"},
    {"of several lines", "{}", "1{{! a\nb }}2\n", "12\n"},
    {"alone", "{}", "1\n{{! x }}\n2\n", "1\n2\n"},
    {"alone, of several lines", "{}", "1\n  {{!\n x\n }}\n2\n", "1\n2\n"},
    {"not alone", "{}", "  1 {{! x }}\n", "  1 \n"},
    {"no name", "{' a ':'no'}", "[{{! a }}]", "[]"},
    {"at the end without a newline", "{}", "1\n  {{! x }}", "1\n"},
};

static const struct template_case delimiters[] = {
    {"pair", "{'a':'x'}", "{{=<% %>=}}<%a%> {{a}}", "x {{a}}"},
    {"with white space", "{'a':'x'}", "{{= | | =}}[|a|]", "[x]"},
    {"and back", "{'a':'x'}", "{{=| |=}}|={{ }}=|{{a}}", "x"},
    {"sections take them over", "{'a':true,'b':'x'}", "{{#a}}{{=| |=}}|b|{{b}}|/a||b|", "x{{b}}x"},
    {"alone", "{}", "1\n {{=@ @=}}\n2\n", "1\n2\n"},
    {"not alone", "{}", "1 {{=@ @=}}\n2", "1 \n2"},
    {"ampersand", "{'a':'<'}", "{{=@ @=}}@&a@", "<"},
};

static const struct template_case partials[] = {
    {"plain", "{'who':'x'}", "[{{>hello}}]", "[hello x!]"},
    {"unknown", "{}", "[{{>nowhere}}]", "[]"},
    {"within itself", "{'v':1,'kids':[{'v':2,'kids':[]},{'v':3,'kids':[{'v':4,'kids':[]}]}]}",
     "{{>tree}}", "1<2<>3<4<>>>"},
    {"alone: each line is indented", "{'x':'a\\nb'}", "1\n  {{>lines}}\n2\n",
     "1\n  |\n  a\nb\n  |\n2\n"},
    {"not alone: only the place", "{'x':'y'}", "1 {{>lines}}\n2", "1 |\ny\n|\n\n2"},
    {"alone, empty lines", "{}", " {{>gap}}\n.", " 1\n \n 2\n."},
    {"delimiters do not go in", "{'who':'x'}", "{{=| |=}}|>hello|", "hello x!"},
    {"nor come out", "{'who':'x'}", "{{>changed}}{{who}}", "xx"},
    {"the context goes in", "{'a':[{'who':1},{'who':2}]}", "{{#a}}{{>hello}} {{/a}}",
     "hello 1! hello 2! "},
};

static const char *partial(void *context, const char *name, const char **ret_file)
{
    static const char *const texts[][2] = {
        {"hello", "hello {{who}}!"},   {"tree", "{{v}}<{{#kids}}{{>tree}}{{/kids}}>"},
        {"lines", "|\n{{{x}}}\n|\n"},  {"gap", "1\n\n2\n"},
        {"changed", "{{=| |=}}|who|"}, {"endless", "{{>endless}}"},
    };
    (void)context;
    *ret_file = name;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i][0], name) == 0) {
            return texts[i][1];
        }
    }
    return NULL;
}

/* JSON with ' for ", except after a backslash. */
static json_t *parse_data(const char *text)
{
    struct str json = STR_NULL;
    for (; *text != '\0'; text++) {
        if (text[0] == '\\' && text[1] == '\'') {
            str_add_char(&json, '\'');
            text++;
        } else {
            str_add_char(&json, *text == '\'' ? '"' : *text);
        }
    }
    json_t *data = json_loads(str_text(&json), JSON_DECODE_ANY, NULL);
    str_deinit(&json);
    assert_non_null(data);
    return data;
}

static void run_case(const struct template_case *c)
{
    json_t *data = parse_data(c->data);
    const json_t *stack[] = {data};
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct str out = STR_NULL;
    const struct template_env env = {
        .stack = stack, .depth = 1, .partial = partial, .problems = &problems};
    if (template_render(&env, c->text, "t", 1, &out) != 0 ||
        strcmp(str_text(&out), c->expected) != 0) {
        print_error("%s: expected [%s], got [%s]\n", c->name, c->expected, str_text(&out));
        problem_list_print(&problems, stderr);
        fail();
    }
    str_deinit(&out);
    problem_list_deinit(&problems);
    json_decref(data);
}

#define RUN_ALL(cases)                                                                             \
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {                                \
        run_case(&(cases)[i]);                                                                     \
    }

static void test_interpolation(void **state)
{
    (void)state;
    RUN_ALL(interpolation)
}

static void test_sections(void **state)
{
    (void)state;
    RUN_ALL(sections)
}

static void test_inverted(void **state)
{
    (void)state;
    RUN_ALL(inverted)
}

static void test_comments(void **state)
{
    (void)state;
    RUN_ALL(comments)
}

static void test_delimiters(void **state)
{
    (void)state;
    RUN_ALL(delimiters)
}

static void test_partials(void **state)
{
    (void)state;
    RUN_ALL(partials)
}

/* What is wrong with a template, and where: line 10 is its first. */
static void test_problems(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *problem;
    } cases[] = {
        {"a\n{{prot}}", 11, "'prot': there is no 'prot' here; did you mean 'port'?"},
        {"{{db.adress}}", 10, "did you mean 'address'?"},
        {"{{bd.address}}", 10, "'bd.address': there is no 'bd' here; did you mean 'db'?"},
        {"\n\n{{nothing.like.it}}", 12, "there is no 'nothing' here"},
        {"{{db}}", 10, "cannot be printed"},
        {"{{list}}", 10, "is a list"},
        {"x\n{{#a}}\n", 11, "section 'a' is never closed"},
        {"{{#a}}\n{{#b}}\n{{/a}}", 12, "'{{/a}}' closes section 'b' of line 11"},
        {"{{/a}}", 10, "closes no section"},
        {"\n{{port", 11, "'{{' without its '}}'"},
        {"{{{port}}", 10, "without its '}}}'"},
        {"{{}}", 10, "without a name"},
        {"{{=a=}}", 10, "delimiters are set as in"},
        {"{{>nowhere}}", 10, "there is no partial 'nowhere'"},
        {"{{>endless}}", 1, "includes itself"},
        {"{{#port}}\n{{#absent}}{{x}}{{/absent}}\n{{y}}{{/port}}", 12, "there is no 'y' here"},
    };
    (void)state;
    json_t *data = parse_data("{'port':80,'db':{'address':'x'},'list':[1]}");
    const json_t *stack[] = {data};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problem_list problems = PROBLEM_LIST_NULL;
        struct str out = STR_NULL;
        const struct template_env env = {
            .stack = stack, .depth = 1, .strict = true, .partial = partial, .problems = &problems};
        assert_int_equal(template_render(&env, cases[i].text, "t", 10, &out), -1);
        assert_int_equal(problems.count, 1);
        if (strstr(problems.items[0].text, cases[i].problem) == NULL ||
            problems.items[0].line != cases[i].line) {
            print_error("%s: line %u, %s\n", cases[i].text, problems.items[0].line,
                        problems.items[0].text);
            fail();
        }
        str_deinit(&out);
        problem_list_deinit(&problems);
    }
    json_decref(data);
}

/* Any beginning of a template is text, a problem, never a crash. */
static void test_truncations(void **state)
{
    static const char text[] = "{{=<% %>=}}<%#a%>x<%/a%><%={{ }}=%>{{{b}}}{{&c}}{{!d}}{{>hello}}"
                               "\n  {{#e}}\n{{^f}}{{/f}}{{/e}}\r\n{{ g }}";
    (void)state;
    json_t *data = json_object();
    const json_t *stack[] = {data};
    for (size_t length = 0; length < sizeof(text); length++) {
        struct problem_list problems = PROBLEM_LIST_NULL;
        struct str out = STR_NULL;
        char *part = strndup(text, length);
        const struct template_env env = {
            .stack = stack, .depth = 1, .partial = partial, .problems = &problems};
        int result = template_render(&env, part, "t", 1, &out);
        assert_int_equal(result == 0, problems.count == 0);
        free(part);
        str_deinit(&out);
        problem_list_deinit(&problems);
    }
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interpolation), cmocka_unit_test(test_sections),
        cmocka_unit_test(test_inverted),      cmocka_unit_test(test_comments),
        cmocka_unit_test(test_delimiters),    cmocka_unit_test(test_partials),
        cmocka_unit_test(test_problems),      cmocka_unit_test(test_truncations),
    };
    return cmocka_run_group_tests_name("role/template", tests, NULL, NULL);
}
