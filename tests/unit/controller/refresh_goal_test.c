/* May a refresh begin, and where does it lead: of real image directories and made-up records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/controller/refresh_stage.h"

#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MEMBERS      4

struct fixture {
    struct refresh_stage stage;
    struct record_instance records[MEMBERS];
    const struct record_instance *instances[MEMBERS];
    struct refresh_known known;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    refresh_stage_init(&f->stage);
    refresh_stage_publish(&f->stage, "web", "one", 100);
    refresh_stage_publish(&f->stage, "web", "two", 200);
    refresh_stage_publish(&f->stage, "api", "api", 150);
    f->known = (struct refresh_known){.spec = &f->stage.spec, .instances = f->instances};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < MEMBERS; i++) {
        free(f->records[i].content);
    }
    refresh_stage_deinit(&f->stage);
    free(f);
    return 0;
}

/* One more member of web, of IMAGE (NULL: the plain directory) and the content of WHAT. */
static void add(struct fixture *f, const char *image, char *content)
{
    size_t i = f->known.instance_count++;
    f->records[i] = (struct record_instance){.id = "web-1",
                                             .group = "web",
                                             .lifecycle = LIFECYCLE_IN_SERVICE,
                                             .image = (char *)(uintptr_t)image,
                                             .content = content};
    f->instances[i] = &f->records[i];
}

static struct refresh_options asked(const char *image)
{
    struct refresh_options options = REFRESH_OPTIONS_NULL;
    options.image = image == NULL ? NULL : xstrdup(image);
    return options;
}

/* Finds the goal of IMAGE, which must answer WANTED. */
static struct refresh_goal goal_of(const struct fixture *f, const char *image, bool downgrade,
                                   enum refresh_answer wanted, const char *word)
{
    struct refresh_options options = asked(image);
    struct refresh_goal goal = REFRESH_GOAL_NULL;
    struct err e = ERR_NULL;
    options.allow_downgrade = downgrade;
    enum refresh_answer answer = refresh_goal_find(&f->known, &options, &goal, &e);
    refresh_options_deinit(&options);
    if (answer != wanted || (word != NULL && strstr(e.text, word) == NULL)) {
        fail_msg("%s: answer %d, not %d with '%s': %s", image == NULL ? "-" : image, (int)answer,
                 (int)wanted, word == NULL ? "" : word, e.text);
    }
    return goal;
}

static void refused(const struct fixture *f, const char *image, enum refresh_answer wanted,
                    const char *word)
{
    struct refresh_goal goal = goal_of(f, image, false, wanted, word);
    assert_null(goal.image);
}

static void leads_from_what_most_run(void **state)
{
    struct fixture *f = *state;
    add(f, "web@2", refresh_stage_digest("two"));
    add(f, "web@1", refresh_stage_digest("one"));
    add(f, "web@1", refresh_stage_digest("one"));
    struct refresh_goal goal = goal_of(f, NULL, false, REFRESH_BEGINS, NULL);
    assert_string_equal(goal.image, "web@2"); /* The template's, at its current generation. */
    assert_string_equal(goal.before_image, "web@1");
    char *two = refresh_stage_digest("two");
    assert_true(goal.wanted == refresh_content(two) && goal.wanted != 0);
    assert_true(goal.before == refresh_content(f->records[1].content));
    assert_int_equal(goal.members, 3);
    assert_int_equal(goal.to_replace, 2);
    free(two);
    refresh_goal_deinit(&goal);
    refresh_goal_deinit(&goal); /* Idempotent. */
}

/* A plain directory has no name in the records: it is found by its content. */
static void the_plain_directory_can_be_gone_back_to(void **state)
{
    struct fixture *f = *state;
    add(f, NULL, refresh_stage_plain(&f->stage));
    struct refresh_goal goal = goal_of(f, NULL, false, REFRESH_BEGINS, NULL);
    assert_string_equal(goal.before_image, "debian-12");
    refresh_goal_deinit(&goal);
    f->stage.templates[0].image = "debian-12";
    goal = goal_of(f, NULL, false, REFRESH_NOTHING, "all 1 already have debian-12");
    assert_null(goal.image);
}

/* No record says what they run: begun all the same, but there is no way back. */
static void before_may_not_be_known(void **state)
{
    struct fixture *f = *state;
    add(f, NULL, NULL);
    struct refresh_goal goal = goal_of(f, NULL, false, REFRESH_BEGINS, NULL);
    assert_null(goal.before_image);
    assert_int_equal(goal.before, 0);
    assert_int_equal(goal.to_replace, 1);
    refresh_goal_deinit(&goal);
}

static void an_older_one_needs_a_word(void **state)
{
    struct fixture *f = *state;
    add(f, "web@2", refresh_stage_digest("two"));
    refused(f, "web@1", REFRESH_REFUSED, "older than web@2, which runs: --allow-downgrade");
    refused(f, "api@1", REFRESH_REFUSED, "--allow-downgrade"); /* Of another name: by its time. */
    struct refresh_goal goal = goal_of(f, "web@1", true, REFRESH_BEGINS, NULL);
    assert_string_equal(goal.image, "web@1");
    refresh_goal_deinit(&goal);
}

static void nothing_to_do_is_said(void **state)
{
    struct fixture *f = *state;
    add(f, "web@2", refresh_stage_digest("two"));
    add(f, "web@2", refresh_stage_digest("two"));
    refused(f, NULL, REFRESH_NOTHING, "nothing to do: all 2 already have web@2 by content");
    /* A pin to another one is moved, though nobody is replaced. */
    f->known.pin.image = "web@1";
    f->known.pin.content = 7;
    struct refresh_goal goal = goal_of(f, NULL, false, REFRESH_BEGINS, NULL);
    assert_int_equal(goal.to_replace, 0);
    refresh_goal_deinit(&goal);
}

static void all_replaces_all(void **state)
{
    struct fixture *f = *state;
    add(f, "web@2", refresh_stage_digest("two"));
    struct refresh_options options = asked(NULL);
    struct refresh_goal goal = REFRESH_GOAL_NULL;
    struct err e = ERR_NULL;
    options.all = true;
    assert_int_equal(refresh_goal_find(&f->known, &options, &goal, &e), REFRESH_BEGINS);
    assert_int_equal(goal.to_replace, 1);
    refresh_goal_deinit(&goal);
}

static void what_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    add(f, "web@1", refresh_stage_digest("one"));
    refused(f, "web@9", REFRESH_UNKNOWN, "web@9");
    refused(f, "nope", REFRESH_UNKNOWN, "nope");
    refused(f, "web@0", REFRESH_UNKNOWN, "web@0");
    char *file = xasprintf("%s/web/2/deprecated", f->stage.directory);
    fclose(fopen(file, "we"));
    refused(f, "web@2", REFRESH_REFUSED, "deprecated");
    unlink(file);
    free(file);
    f->known.group = 1;
    refused(f, NULL, REFRESH_REFUSED, "db: its hosts exist already; change them in place");
}

static void hosts_of_the_file_are_not_made_anew(void **state)
{
    struct fixture *f = *state;
    add(f, NULL, NULL);
    f->records[0].machine = "r1u01";
    refused(f, NULL, REFRESH_REFUSED, "its hosts exist already");
}

static void an_altered_one_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NULL;
    assert_int_equal(refresh_goal_verify(&f->stage.spec, 0, "web@2", &e), 0);
    char *file = xasprintf("%s/web/2/" IMAGE_FILE, f->stage.directory);
    FILE *out = fopen(file, "ae");
    fputc('x', out);
    fclose(out);
    assert_int_equal(refresh_goal_verify(&f->stage.spec, 0, "web@2", &e), -1);
    free(file);
    file = xasprintf("%s/web/2/" IMAGE_MANIFEST, f->stage.directory);
    out = fopen(file, "ae");
    fputc(' ', out);
    fclose(out);
    refused(f, "web@2", REFRESH_UNKNOWN, "not what was signed");
    free(file);
}

static void one_at_a_time(void **state)
{
    struct fixture *f = *state;
    add(f, "web@1", refresh_stage_digest("one"));
    struct record_refresh last = {
        .group = "web", .image = "web@2", .state = WORLD_REFRESH_CHECKPOINT};
    f->known.last = &last;
    refused(f, NULL, REFRESH_REFUSED, "at a checkpoint already; `group refresh web --cancel`");
    last.state = WORLD_REFRESH_STOPPED;
    struct refresh_goal goal = goal_of(f, NULL, false, REFRESH_BEGINS, NULL);
    refresh_goal_deinit(&goal);
}

static void orders(void **state)
{
    (void)state;
    static const struct {
        int refresh;
        enum record_request_kind kind;
        uint64_t before;
        const char *before_image;
        const char *word; /* NULL: it may be. */
    } cases[] = {
        {WORLD_REFRESH_NONE, RECORD_REQUEST_REFRESH_CANCEL, 1, "web@1", "never refreshed"},
        {WORLD_REFRESH_RUNNING, RECORD_REQUEST_REFRESH_CONTINUE, 1, "web@1", "at no checkpoint"},
        {WORLD_REFRESH_CHECKPOINT, RECORD_REQUEST_REFRESH_CONTINUE, 1, "web@1", NULL},
        {WORLD_REFRESH_DONE, RECORD_REQUEST_REFRESH_CANCEL, 1, "web@1", "the last is done"},
        {WORLD_REFRESH_BAKING, RECORD_REQUEST_REFRESH_CANCEL, 1, "web@1", NULL},
        {WORLD_REFRESH_RUNNING, RECORD_REQUEST_REFRESH_ROLLBACK, 1, "web@1", NULL},
        {WORLD_REFRESH_DONE, RECORD_REQUEST_REFRESH_ROLLBACK, 1, "web@1", NULL},
        {WORLD_REFRESH_BACK, RECORD_REQUEST_REFRESH_ROLLBACK, 1, "web@1", "rolling back already"},
        {WORLD_REFRESH_RUNNING, RECORD_REQUEST_REFRESH_ROLLBACK, 0, NULL, "is not known"},
        {WORLD_REFRESH_RUNNING, RECORD_REQUEST_REFRESH_ROLLBACK, 2, "web@2", "nothing to go back"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct record_refresh last = {.state = cases[i].refresh,
                                            .image = "web@2",
                                            .wanted = 2,
                                            .before = cases[i].before,
                                            .before_image =
                                                (char *)(uintptr_t)cases[i].before_image};
        struct err e = ERR_NULL;
        enum refresh_answer answer = refresh_goal_order(&last, "web", cases[i].kind, &e);
        bool good = cases[i].word == NULL
                        ? answer == REFRESH_BEGINS
                        : answer == REFRESH_REFUSED && strstr(e.text, cases[i].word) != NULL;
        if (!good) {
            fail_msg("case %zu: %d: %s", i, (int)answer, e.text);
        }
    }
}

/* It holds until the file names another image. */
static void pins(void **state)
{
    struct fixture *f = *state;
    struct record_group record = {.image = "web@1", .image_of = "web", .content = 7};
    struct refresh_pin pin = refresh_pin(&f->stage.spec, 0, &record, NULL);
    assert_string_equal(pin.image, "web@1");
    assert_int_equal(pin.content, 7);
    record.image_of = "api";
    pin = refresh_pin(&f->stage.spec, 0, &record, NULL);
    assert_null(pin.image);
    assert_int_equal(pin.content, 0);
    assert_null(refresh_pin(&f->stage.spec, 0, NULL, NULL).image);
}

static void newer_ones(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *pinned; /* NULL: as the file says, "web". */
        const char *runs;
        const char *newer;
    } cases[] = {{NULL, "web@1", "web@2"},     {NULL, "web@2", NULL},
                 {NULL, "debian-12", "web@2"}, {NULL, NULL, NULL},
                 {"web@1", "web@1", "web@2"},  {"api@1", "api@1", NULL},
                 {"debian-12", "web@2", NULL}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        f->known.pin.image = cases[i].pinned;
        char *newer = refresh_newer(&f->known, cases[i].runs);
        if (!text_equal(newer, cases[i].newer)) {
            fail_msg("case %zu: %s", i, newer);
        }
        free(newer);
    }
    f->known.group = 1;
    assert_null(refresh_newer(&f->known, "web@1"));
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(leads_from_what_most_run),
        CASE(the_plain_directory_can_be_gone_back_to),
        CASE(before_may_not_be_known),
        CASE(an_older_one_needs_a_word),
        CASE(nothing_to_do_is_said),
        CASE(all_replaces_all),
        CASE(what_cannot_be_is_refused),
        CASE(hosts_of_the_file_are_not_made_anew),
        CASE(an_altered_one_is_refused),
        CASE(one_at_a_time),
        cmocka_unit_test(orders),
        CASE(pins),
        CASE(newer_ones),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
