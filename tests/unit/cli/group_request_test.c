/* From words to requests, and what is said against them before they are queued. */
#include "base/err.h"
#include "base/str.h"
#include "cli/group_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum group_answer parse(const char *line, bool shrink, struct record_request *ret_request,
                               struct err *e)
{
    char copy[200];
    char *words[8];
    int count = 0;
    char *rest = copy;
    char *word;
    text_copy(copy, sizeof(copy), line);
    while ((word = strsep(&rest, " ")) != NULL) {
        if (*word != '\0') {
            words[count++] = word;
        }
    }
    return group_request_parse(count, words, shrink, ret_request, e);
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool shrink;
        enum record_request_kind kind;
        const char *subject;
        int64_t value;
        const char *word;
    } cases[] = {
        {"scale web 3", false, RECORD_REQUEST_SCALE, "web", 3, NULL},
        {"scale web 0", false, RECORD_REQUEST_SCALE, "web", 0, NULL},
        {"standby web-1", false, RECORD_REQUEST_STANDBY, "web-1", 0, NULL},
        {"in-service web-1", false, RECORD_REQUEST_IN_SERVICE, "web-1", 0, NULL},
        {"protect web-1", false, RECORD_REQUEST_PROTECT, "web-1", 0, NULL},
        {"unprotect web-1", false, RECORD_REQUEST_UNPROTECT, "web-1", 0, NULL},
        {"replace web-1", false, RECORD_REQUEST_REPLACE, "web-1", 0, NULL},
        {"detach web-1", false, RECORD_REQUEST_DETACH, "web-1", 0, NULL},
        {"detach web-1", true, RECORD_REQUEST_DETACH, "web-1", 1, NULL},
        {"attach web-1", false, RECORD_REQUEST_ATTACH, "web-1", 0, NULL},
        {"terminate web-1", false, RECORD_REQUEST_TERMINATE, "web-1", 0, NULL},
        {"suspend web launch", false, RECORD_REQUEST_SUSPEND, "web", 0, "launch"},
        {"resume web health-check", false, RECORD_REQUEST_RESUME, "web", 0, "health-check"},
        {"resume web all", false, RECORD_REQUEST_RESUME, "web", 0, "all"},
        {"pause", false, RECORD_REQUEST_PAUSE, NULL, 0, NULL},
        {"pause web", false, RECORD_REQUEST_PAUSE, "web", 0, NULL},
        {"unpause web-1", false, RECORD_REQUEST_UNPAUSE, "web-1", 0, NULL},
        {"retry r1u01", false, RECORD_REQUEST_RETRY, "r1u01", 0, NULL},
        {"refresh web", false, RECORD_REQUEST_REFRESH, "web", 0, NULL},
        {"hook continue web-1", false, RECORD_REQUEST_HOOK_CONTINUE, "web-1", 0, NULL},
        {"hook abandon web-1", false, RECORD_REQUEST_HOOK_ABANDON, "web-1", 0, NULL},
        {"hook heartbeat web-1", false, RECORD_REQUEST_HOOK_HEARTBEAT, "web-1", 0, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct record_request request;
        struct err e = ERR_NULL;
        if (parse(cases[i].line, cases[i].shrink, &request, &e) != GROUP_OK) {
            fail_msg("%s: %s", cases[i].line, e.text);
        }
        assert_int_equal(request.kind, cases[i].kind);
        assert_true(text_equal(request.subject, cases[i].subject));
        assert_int_equal(request.value, cases[i].value);
        assert_true(text_equal(request.word, cases[i].word));
        record_request_deinit(&request);
    }
}

static void test_wrong_words(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool shrink;
        const char *said;
    } cases[] = {
        {"", false, "group needs a word"},
        {"scla web 3", false, "did you mean 'scale'?"},
        {"scale web", false, "group scale GROUP N"},
        {"scale web three", false, "expected a number of instances, got 'three'"},
        {"scale web -1", false, "got '-1'"},
        {"scale web 3 4", false, "too many words from 4"},
        {"standby", false, "group standby ID"},
        {"suspend web", false, "group suspend GROUP PROCESS"},
        {"suspend web all", false, "no process 'all'"},
        {"suspend web launhc", false, "did you mean 'launch'?"},
        {"refresh", false, "group refresh GROUP"},
        {"hook", false, "continue, abandon or heartbeat"},
        {"hook abandn web-1", false, "did you mean 'abandon'?"},
        {"pause web web-1", false, "too many words from web-1"},
        {"standby web-1", true, "--shrink belongs to group detach"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct record_request request;
        struct err e = ERR_NULL;
        assert_int_equal(parse(cases[i].line, cases[i].shrink, &request, &e), GROUP_USAGE);
        if (strstr(e.text, cases[i].said) == NULL) {
            fail_msg("%s: expected \"%s\" in: %s", cases[i].line, cases[i].said, e.text);
        }
    }
}

static struct spec_group spec_groups[] = {
    {.name = "web", .place = {.file = "shop.ini", .line = 7}, .min = 1, .desired = 2, .max = 4},
    {.name = "db", .place = {.file = "shop.ini", .line = 9}, .min = 1, .desired = 1, .max = 1},
};
static struct spec_host spec_hosts[] = {{.name = "r1u09"}};
static struct spec spec = {.cluster = "shop",
                           .groups = spec_groups,
                           .group_count = 2,
                           .hosts = spec_hosts,
                           .host_count = 1};

static const struct record_instance instances[] = {
    {.id = "db-1", .group = "db", .lifecycle = LIFECYCLE_IN_SERVICE},
    {.id = "old-1", .group = "old", .lifecycle = LIFECYCLE_DETACHED},
    {.id = "web-1", .group = "web", .machine = "r1u01", .lifecycle = LIFECYCLE_IN_SERVICE},
    {.id = "web-2", .group = "web", .lifecycle = LIFECYCLE_TERMINATING},
    {.id = "web-3", .group = "web", .lifecycle = LIFECYCLE_DETACHED},
    {.id = "web-4", .group = "web", .lifecycle = LIFECYCLE_PENDING_WAIT},
};

static void check(const struct group_known *known, const char *line, bool shrink,
                  enum group_answer wanted, const char *said)
{
    struct record_request request;
    struct err e = ERR_NULL;
    assert_int_equal(parse(line, shrink, &request, &e), GROUP_OK);
    enum group_answer answer = group_request_check(known, &request, &e);
    if (answer != wanted || (wanted != GROUP_OK && strstr(e.text, said) == NULL)) {
        fail_msg("%s: answer %d, expected %d and \"%s\": %s", line, (int)answer, (int)wanted,
                 said == NULL ? "" : said, e.text);
    }
    if (wanted == GROUP_OK && !text_equal(request.subject, said)) {
        fail_msg("%s: subject %s", line, request.subject);
    }
    record_request_deinit(&request);
}

static void test_checks(void **state)
{
    (void)state;
    const struct group_known known = {
        .spec = &spec, .instances = instances, .instance_count = COUNT(instances)};
    static const struct {
        const char *line;
        bool shrink;
        enum group_answer answer;
        const char *said; /* GROUP_OK: the subject afterwards. */
    } cases[] = {
        {"scale web 4", false, GROUP_OK, "web"},
        {"scale web 5", false, GROUP_REFUSED, "shop.ini:7: group web has min = 1 and max = 4: 5"},
        {"scale web 0", false, GROUP_REFUSED, "0 is outside"},
        {"scale wbe 2", false, GROUP_UNKNOWN, "no group 'wbe'; did you mean 'web'?"},
        {"scale web-1 2", false, GROUP_UNKNOWN, "web-1 is an instance of group web"},
        {"standby web-1", false, GROUP_OK, "web-1"},
        {"standby r1u01", false, GROUP_OK, "web-1"},
        {"standby web-7", false, GROUP_UNKNOWN, "no instance 'web-7'; did you mean 'web-1'?"},
        {"standby zebra", false, GROUP_UNKNOWN, "'lamplighter status' lists them"},
        {"standby web", false, GROUP_UNKNOWN, "web is a group; name one of its instances: web-1"},
        {"standby web-3", false, GROUP_REFUSED, "'lamplighter group attach web-3'"},
        {"replace web-2", false, GROUP_REFUSED, "web-2 is terminating"},
        {"detach web-1", true, GROUP_OK, "web-1"},
        {"detach db-1", false, GROUP_OK, "db-1"},
        {"detach db-1", true, GROUP_REFUSED, "shop.ini:9: group db has min = 1 and max = 1: 0"},
        {"attach web-3", false, GROUP_OK, "web-3"},
        {"attach web-1", false, GROUP_REFUSED, "only what is detached"},
        {"attach old-1", false, GROUP_REFUSED, "group old, which is not in the cluster file"},
        {"terminate web-3", false, GROUP_OK, "web-3"},
        {"terminate web-1", false, GROUP_REFUSED, "'group scale web N'"},
        {"hook continue web-4", false, GROUP_OK, "web-4"},
        {"hook continue web-1", false, GROUP_REFUSED, "waits for no lifecycle hook"},
        {"pause", false, GROUP_OK, NULL},
        {"pause shop", false, GROUP_OK, NULL},
        {"pause web", false, GROUP_OK, "web"},
        {"pause shp", false, GROUP_UNKNOWN, "no group or instance 'shp'"},
        {"retry web", false, GROUP_OK, "web"},
        {"retry r1u01", false, GROUP_OK, "web-1"},
        {"retry r1u09", false, GROUP_OK, "r1u09"},
        {"standby r1u09", false, GROUP_UNKNOWN, "no instance 'r1u09'"},
        {"suspend db change", false, GROUP_OK, "db"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check(&known, cases[i].line, cases[i].shrink, cases[i].answer, cases[i].said);
    }
}

/* What was set by hand counts for the next smaller size, until the file says something new. */
static void test_desired(void **state)
{
    (void)state;
    struct record_group by_hand = {.name = "web", .desired = 1, .file_desired = 2};
    const struct group_known known = {.spec = &spec,
                                      .instances = instances,
                                      .instance_count = COUNT(instances),
                                      .groups = &by_hand,
                                      .group_count = 1};
    assert_int_equal(group_desired(&known, 0), 1);
    assert_int_equal(group_desired(&known, 1), 1);
    check(&known, "detach web-1", true, GROUP_REFUSED, "0 is outside");
    by_hand.file_desired = 3;
    assert_int_equal(group_desired(&known, 0), 2);
    check(&known, "detach web-1", true, GROUP_OK, "web-1");
    by_hand = (struct record_group){.name = "web", .desired = 9, .file_desired = 2};
    assert_int_equal(group_desired(&known, 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_desired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
