/* `lamplighter template` against a real store. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "stage.h"

#include "base/problem.h"
#include "controller/site.h"
#include "controller/template_version.h"
#include "net/digest.h"

#include <sys/stat.h>

/* Version 1 of web, which the file does not say any more; web-1 is of it. */
static void put_first(const struct stage *stage)
{
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "apply");
    struct err e = ERR_NULL;
    const struct record_template first = {
        .name = "web",
        .number = 1,
        .text = "{\"cpus\":1,\"disk\":0,\"image\":\"web\",\"memory\":536870912,"
                "\"roles\":[\"base\",\"php\"],\"settings\":{\"php.key\":\"secret:key\"},"
                "\"user-data\":\"#!/bin/sh\\ntrue\\n\"}",
        .launch = 7,
        .wall_ms = 1700000000000,
    };
    const struct record_instance instance = {.id = "web-1",
                                             .group = "web",
                                             .template = "web",
                                             .version = 1,
                                             .lifecycle = LIFECYCLE_IN_SERVICE};
    journal_put_template(journal, &first);
    journal_put_instance(journal, &instance);
    assert_int_equal(journal_commit(journal, &e), 0);
    journal_close(journal);
    store_close(&store);
}

static void before_anything_was_applied(void **state)
{
    struct stage *stage = *state;
    stage_expect(stage, "template list", CLI_DONE, "the file's, not applied yet");
    stage_expect(stage, "template show web", CLI_DONE,
                 "# template web version 1, the file's, not applied yet, 0 instances\n"
                 "roles = base\n");
    assert_int_not_equal(access(stage->state, F_OK), 0); /* Nothing was made. */
}

static void versions_are_listed_and_shown(void **state)
{
    struct stage *stage = *state;
    put_first(stage);
    stage_expect(stage, "template list web", CLI_DONE,
                 "web                1         1  2023-11-14");
    stage_expect(stage, "template list", CLI_DONE,
                 "web                2         0  -                       the file's, not applied "
                 "yet; image gone, cpus 1 -> none, memory 512M -> none, roles base php -> base, "
                 "php.key gone, user-data gone\n");
    stage_expect(stage, "template show web 1", CLI_DONE,
                 "# template web version 1, 1 instance\nimage = web\ncpus = 1\nmemory = 512M\n"
                 "disk = 0\nroles = base php\nphp.key = secret:key\n"
                 "user-data =\n    #!/bin/sh\n    true\n");
    stage_expect(stage, "template show web", CLI_DONE, "# template web version 2");
    stage_expect(stage, "template diff web 2 1", CLI_DONE,
                 "image = web, new, cpus none -> 1, memory none -> 512M, roles base -> base php, "
                 "php.key = secret:key, new, user-data new\n");
    stage_expect(stage, "template diff web 1 1", CLI_DONE, "they are the same");
    stage_expect(stage, "template list --json", CLI_DONE, "\"instances\": 1");
    stage_expect(stage, "template show web 1 --json", CLI_DONE, "\"memory\": 536870912");
    stage_expect(stage, "status --json", CLI_DONE, "\"template_version\": 1");
}

static void what_is_not_there_is_told(void **state)
{
    struct stage *stage = *state;
    put_first(stage);
    stage_expect(stage, "template show wbe", CLI_FAILED, "did you mean 'web'?");
    stage_expect(stage, "template list elsewhere", CLI_FAILED, "'lamplighter template list' lists");
    stage_expect(stage, "template show web 3", CLI_FAILED,
                 "template web has no version 3; it has 1 to 2");
    stage_expect(stage, "template show web x", CLI_FAILED, "has no version x");
    stage_expect(stage, "template diff web 1", CLI_USAGE, "diff NAME N M");
    stage_expect(stage, "template", CLI_USAGE, "list [NAME]");
}

/* What the file says now is not what the controller that runs would refresh to. */
static void a_file_that_was_not_taken_over_is_told(void **state)
{
    struct stage *stage = *state;
    put_first(stage);
    stage_expect(stage, "group refresh web", CLI_REFUSED, "its hosts exist already");
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    stage_expect(stage, "group refresh web", CLI_REFUSED,
                 "the cluster file says version 2 of template web, which the controller has not "
                 "taken over");
    journal_close(journal);
    store_close(&store);
}

static void an_instance_says_what_it_was_made_by(void **state)
{
    struct stage *stage = *state;
    put_first(stage);
    stage_expect(stage, "why web-1", CLI_DONE, "It was made by template web version 1.");
}

/* A cluster whose hosts are made, from a plain image. */
static void write_made(const struct stage *stage, const char *memory, const char *zone)
{
    char *roles = realpath("roles", NULL);
    FILE *out = fopen(stage->file, "we");
    assert_non_null(out);
    fprintf(out,
            "[cluster shop]\nstate = sqlite:%s\nroles = %s\n"
            "[zone rack-a]\naddresses = 10.77.1.10-10.77.1.12/16\n"
            "[provider lxc-a]\ntype = libvirt\nzone = rack-a\nbridge = none0\n"
            "images = %s/images\ninstances = %s/instances\n"
            "[size small]\ncpus = 1\nmemory = %s\n"
            "[template web]\nimage = debian-12\nsize = small\nroles = base\n"
            "base.timezone = %s\n"
            "[group web]\ntemplate = web\nmin = 1\nmax = 2\nzones = rack-a\n",
            stage->state, roles, stage->directory, stage->directory, memory, zone);
    fclose(out);
    free(roles);
}

static void make_image(const struct stage *stage, char ret_tree[DIGEST_TEXT_SIZE])
{
    static const char *const folders[] = {"images", "images/debian-12", "images/debian-12/root"};
    char *path = NULL;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        free(path);
        path = xasprintf("%s/%s", stage->directory, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    char *real = realpath(path, NULL);
    digest_text(real, strlen(real), ret_tree);
    free(real);
    free(path);
}

/* What apply writes down: the file's version, and web-1, made by it. */
static void write_down(const struct stage *stage, struct journal *journal, const char *tree)
{
    struct site site;
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct template_versions versions;
    struct store none = STORE_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(site_load(&site, stage->file, &problems), 0);
    assert_int_equal(template_versions_load(&none, site.spec, NULL, 0, &versions, &e), 0);
    const struct record_instance instance = {
        .id = "web-1",
        .group = "web",
        .zone = "rack-a",
        .provider = "lxc-a",
        .template = "web",
        .version = 1,
        .launch = template_version_launch(&versions, &versions.items[0]),
        .content = (char *)(uintptr_t)tree,
        .lifecycle = LIFECYCLE_IN_SERVICE};
    journal_put_template(journal, &versions.items[0].record);
    journal_put_instance(journal, &instance);
    assert_int_equal(journal_commit(journal, &e), 0);
    template_versions_deinit(&versions);
    site_deinit(&site);
}

static void a_refresh_to_a_version_is_asked_for(void **state)
{
    struct stage *stage = *state;
    char tree[DIGEST_TEXT_SIZE];
    make_image(stage, tree);
    write_made(stage, "512M", "Etc/UTC");
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "run on host7, pid 4711");
    write_down(stage, journal, tree);
    stage_expect(stage, "group refresh web", CLI_DONE, "nothing to do: all 1 already have");
    stage_expect(stage, "group refresh web --template 1", CLI_DONE, "nothing to do");
    stage_expect(stage, "group refresh web --template 2", CLI_FAILED,
                 "template web has no version 2; it has 1: `template list web`");
    write_made(stage, "1G", "Europe/Berlin");
    stage_expect(stage, "group refresh web --status", CLI_DONE,
                 "web: 1 of 1 was made by another version of template web than 2: `group refresh "
                 "web` replaces it");
    stage_expect(stage, "why web", CLI_DONE, "Its template: 1 of 1 was made by another version");
    stage_expect(stage, "group refresh web", CLI_REFUSED, "has not taken over");
    journal_close(journal);
    /* Without a controller it waits for one, which takes over the file first. */
    stage_expect(stage, "group refresh web", CLI_DONE, "web: refresh: queued");
    stage_expect(stage, "group refresh web --template 1", CLI_DONE, "web: refresh: queued");
    struct record_request *requests;
    size_t count;
    struct err e = ERR_NULL;
    assert_int_equal(record_request_list(&store, &requests, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(requests[1].word, "{\"template\":1}");
    record_request_list_free(requests, count);
    store_close(&store);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, stage_setup, stage_teardown)
    const struct CMUnitTest tests[] = {
        CASE(before_anything_was_applied),
        CASE(versions_are_listed_and_shown),
        CASE(what_is_not_there_is_told),
        CASE(a_file_that_was_not_taken_over_is_told),
        CASE(an_instance_says_what_it_was_made_by),
        CASE(a_refresh_to_a_version_is_asked_for),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
