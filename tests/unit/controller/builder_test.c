/*
 * controller/builder and captures: what commands ask for while they work on an image, and what
 * becomes of it when they are gone. A real controller over a store in memory; its provider cannot
 * be reached.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "conformance/fake_store.h"
#include "conformance/scratch.h"
#include "controller/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEAD "1 1 another-boot"

struct fixture {
    char *directory;
    struct site site;
    struct crew *crew;
    struct fake_store *space;
    struct store store;
    struct journal *journal;
    struct controller *c;
    char *self; /* This process, as an owner. */
};

static void write_file(const struct fixture *f)
{
    char *path = xasprintf("%s/cluster.ini", f->directory);
    char *roles = realpath("roles", NULL);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out,
            "[cluster shop]\nstate = sqlite:%s/state/shop.db\nroles = %s\n"
            "[zone rack-a]\naddresses = 10.77.1.10-10.77.1.12/16\n"
            "[provider lxc-a]\ntype = libvirt\nuri = lxc:///\nzone = rack-a\nbridge = none0\n"
            "images = %s/images\ninstances = %s/instances\n"
            "[size small]\ncpus = 1\nmemory = 512M\n"
            "[template web]\nimage = debian-12\nsize = small\nroles = base\n"
            "[group web]\ntemplate = web\nmin = 1\ndesired = 1\nmax = 2\nzones = rack-a\n",
            f->directory, roles, f->directory, f->directory);
    fclose(out);
    free(roles);
    free(path);
}

static void load_site(struct fixture *f)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    char *path = xasprintf("%s/cluster.ini", f->directory);
    if (site_load(&f->site, path, &problems) != 0) {
        problem_list_print(&problems, stderr);
        fail();
    }
    problem_list_deinit(&problems);
    free(path);
}

/* A controller over the same store: the first, or one after a kill. */
static void start(struct fixture *f)
{
    struct err e = ERR_NULL;
    const struct controller_options options = {.parallel = 4, .owner = "a test"};
    if (controller_new(&f->c, &f->site, f->crew, &f->store, f->journal, &options, &e) != 0) {
        fail_msg("%s", e.text);
    }
    /* Its providers have told what they have. */
    f->c->all_listed = true;
    f->c->answered[0] = true;
}

static void put_member(struct fixture *f, const char *id, const char *address)
{
    const struct record_instance record = {.id = (char *)(uintptr_t)id,
                                           .group = "web",
                                           .zone = "rack-a",
                                           .provider = "lxc-a",
                                           .address = (char *)(uintptr_t)address,
                                           .port = 22,
                                           .template = "web",
                                           .lifecycle = LIFECYCLE_IN_SERVICE,
                                           .created_ms = clock_wall_ms()};
    journal_put_instance(f->journal, &record);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct err e = ERR_NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    f->directory = scratch_make();
    assert_int_equal(crew_new(&f->crew, &e), 0);
    write_file(f);
    load_site(f);
    f->space = fake_store_new();
    f->store = fake_store_open(f->space);
    assert_int_equal(journal_open(&f->journal, &f->store, "a test", &outcome, &holder, &e), 0);
    put_member(f, "web-1", "10.77.1.10");
    assert_int_equal(journal_commit(f->journal, &e), 0);
    assert_int_equal(record_owner_self(&f->self, &e), 0);
    start(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    controller_free(f->c);
    crew_free(f->crew);
    journal_close(f->journal);
    store_close(&f->store);
    fake_store_free(f->space);
    site_deinit(&f->site);
    scratch_remove(f->directory);
    free(f->self);
    free(f);
    return 0;
}

/* Asks; *ret_said (the caller's) is the event's outcome; NULL: it still waits. */
static char *ask(struct fixture *f, enum record_request_kind kind, const char *subject,
                 const char *word, int64_t value)
{
    struct err e = ERR_NULL;
    uint64_t number;
    const struct record_request request = {.kind = kind,
                                           .subject = (char *)(uintptr_t)subject,
                                           .word = (char *)(uintptr_t)word,
                                           .value = value,
                                           .who = "a test"};
    assert_int_equal(record_request_put(&f->store, &request, &number, &e), 0);
    assert_int_equal(requests_take(f->c, &e), 0);
    struct record_request *left;
    size_t waiting;
    assert_int_equal(record_request_list(&f->store, &left, &waiting, &e), 0);
    record_request_list_free(left, waiting);
    if (waiting > 0) {
        return NULL;
    }
    struct record_event *events;
    size_t count;
    assert_int_equal(record_event_list(&f->store, 1, &events, &count, &e), 0);
    char *said = xstrdup(events[0].outcome);
    record_event_list_free(events, count);
    return said;
}

static void must_say(char *said, const char *wanted)
{
    if (said == NULL || strstr(said, wanted) == NULL) {
        fail_msg("'%s' is not in: %s", wanted, said == NULL ? "(it waits)" : said);
    }
    free(said);
}

/* The record as the store has it; false: there is none. */
static bool read_record(struct fixture *f, const char *id, struct record_instance *ret_record)
{
    struct err e = ERR_NULL;
    struct store_entry entry = {.key = NULL};
    bool found = false;
    char *key = xasprintf("instance/%s", id);
    assert_int_equal(store_get(&f->store, key, &found, &entry, &e), 0);
    free(key);
    if (found) {
        assert_int_equal(record_instance_decode(&entry, ret_record, &e), 0);
        store_entry_deinit(&entry);
    }
    return found;
}

static bool has_event(struct fixture *f, const char *subject, const char *what, const char *outcome)
{
    struct err e = ERR_NULL;
    struct record_event *events;
    size_t count;
    bool found = false;
    assert_int_equal(record_event_list(&f->store, 0, &events, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        found =
            found || (text_equal(events[i].subject, subject) && text_equal(events[i].what, what) &&
                      strstr(events[i].outcome, outcome) != NULL);
    }
    record_event_list_free(events, count);
    return found;
}

static void step(struct fixture *f)
{
    struct err e = ERR_NULL;
    size_t begun = 0;
    f->c->swept_ms = 0;
    f->c->world.now_ms = clock_now_ms();
    assert_int_equal(builders_step(f->c, &begun, &e), 0);
    assert_int_equal(journal_commit(f->journal, &e), 0);
}

static void drain(struct fixture *f)
{
    struct err e = ERR_NULL;
    while (crew_count(f->crew) > 0) {
        assert_int_equal(crew_wait(f->crew, NULL, 0, clock_now_ms() + 1000, &e), 0);
    }
    assert_int_equal(journal_commit(f->journal, &e), 0);
}

static void a_builder_is_made_for_one_command(void **state)
{
    struct fixture *f = *state;
    struct record_instance record;
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "taken");
    assert_true(read_record(f, "bake-web", &record));
    assert_int_equal(record.lifecycle, LIFECYCLE_DETACHED);
    assert_string_equal(record.address, "10.77.1.11");
    assert_string_equal(record.builder, f->self);
    record_instance_deinit(&record);
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "refused: another command builds");
    must_say(ask(f, RECORD_REQUEST_BUILD, "nobody", f->self, 0), "refused: there is no group");
    must_say(ask(f, RECORD_REQUEST_ATTACH, "bake-web", NULL, 0), "refused: an image is built");
    /* Its command lives: it stays. No number of the group is spent on it. */
    step(f);
    assert_true(read_record(f, "bake-web", &record));
    assert_string_equal(record.builder, f->self);
    record_instance_deinit(&record);
    assert_int_equal(f->c->world.groups[0].next_number, 2);
}

static void what_providers_have_is_known_first(void **state)
{
    struct fixture *f = *state;
    f->c->all_listed = false;
    assert_null(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0));
    f->c->all_listed = true;
    struct err e = ERR_NULL;
    struct record_instance record;
    assert_int_equal(requests_take(f->c, &e), 0);
    assert_true(read_record(f, "bake-web", &record));
    record_instance_deinit(&record);
}

static void no_role_sees_it(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NULL;
    char before[65];
    assert_int_equal(context_digest(f->c, 0, &e), 0);
    text_copy(before, sizeof(before), f->c->members[0].digest);
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "taken");
    f->c->context_version++;
    assert_int_equal(context_digest(f->c, 0, &e), 0);
    assert_string_equal(f->c->members[0].digest, before);
    json_t *members = json_object_get(json_object_get(f->c->groups, "web"), "members");
    assert_int_equal(json_array_size(members), 1);
}

/* Ended is not gone: the record stays until the provider says that nothing is left. */
static void one_that_is_done_with_is_removed(void **state)
{
    struct fixture *f = *state;
    struct record_instance record;
    must_say(ask(f, RECORD_REQUEST_BUILD_END, "bake-web", NULL, 0), "refused: there is no builder");
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "taken");
    must_say(ask(f, RECORD_REQUEST_BUILD_END, "bake-web", NULL, 0), "taken");
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "refused: bake-web of an earlier");
    step(f);
    assert_int_equal(crew_count(f->crew), 1);
    drain(f);
    assert_true(has_event(f, "bake-web", "terminate", "failed"));
    assert_true(read_record(f, "bake-web", &record));
    assert_false(record_owner_is_alive(record.builder));
    record_instance_deinit(&record);
    /* Not at once again. */
    step(f);
    assert_int_equal(crew_count(f->crew), 0);
    f->c->world.instances[1].failed_ms -= 60000;
    step(f);
    assert_int_equal(crew_count(f->crew), 1);
    drain(f);
}

static void one_whose_command_is_gone_is_removed(void **state)
{
    struct fixture *f = *state;
    struct record_instance record;
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", DEAD, 0), "taken");
    /* Also by a controller that comes later. */
    controller_free(f->c);
    start(f);
    step(f);
    assert_int_equal(crew_count(f->crew), 1);
    assert_true(has_event(f, "bake-web", "build", "to be removed"));
    assert_true(read_record(f, "bake-web", &record));
    assert_string_not_equal(record.builder, DEAD);
    record_instance_deinit(&record);
    drain(f);
}

static void one_that_is_kept_is_like_any_detached_one(void **state)
{
    struct fixture *f = *state;
    struct record_instance record;
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "taken");
    must_say(ask(f, RECORD_REQUEST_BUILD_END, "bake-web", "ssh-ed25519 AAAA", 1), "taken");
    step(f);
    assert_int_equal(crew_count(f->crew), 0);
    assert_true(read_record(f, "bake-web", &record));
    assert_null(record.builder);
    assert_string_equal(record.host_key, "ssh-ed25519 AAAA");
    assert_int_equal(record.lifecycle, LIFECYCLE_DETACHED);
    record_instance_deinit(&record);
    must_say(ask(f, RECORD_REQUEST_TERMINATE, "bake-web", NULL, 0), "taken");
}

/* Beside a controller that has seen one of that name come and go. */
static void one_after_another_is_the_one_that_is_meant(void **state)
{
    struct fixture *f = *state;
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "taken");
    f->c->world.instances[1].lifecycle = LIFECYCLE_TERMINATED;
    assert_int_equal(controller_find_member(f->c, "bake-web"), 1); /* So that it can be said: */
    must_say(ask(f, RECORD_REQUEST_TERMINATE, "bake-web", NULL, 0), "refused: bake-web is gone");
    must_say(ask(f, RECORD_REQUEST_STANDBY, "bake-web", NULL, 0), "refused: bake-web is gone");
    must_say(ask(f, RECORD_REQUEST_BUILD, "web", f->self, 0), "taken");
    must_say(ask(f, RECORD_REQUEST_BUILD_END, "bake-web", "ssh-ed25519 AAAA", 1), "taken");
    must_say(ask(f, RECORD_REQUEST_TERMINATE, "bake-web", NULL, 0), "taken");
    assert_int_equal(f->c->world.instances[2].lifecycle, LIFECYCLE_TERMINATING);
}

static void a_capture_waits_for_the_budget(void **state)
{
    struct fixture *f = *state;
    struct record_instance record;
    char *who = xasprintf("%s web@4", f->self);
    must_say(ask(f, RECORD_REQUEST_CAPTURE, "web-1", who, 0), "taken");
    assert_int_equal(f->c->world.instances[0].capture, WORLD_CAPTURE_WANTED);
    assert_true(read_record(f, "web-1", &record));
    assert_int_equal(record.capture, WORLD_CAPTURE_WANTED);
    assert_string_equal(record.capturer, who);
    record_instance_deinit(&record);
    must_say(ask(f, RECORD_REQUEST_CAPTURE, "web-1", who, 0), "refused: web@4 is being taken");
    must_say(ask(f, RECORD_REQUEST_CAPTURE, "web-7", who, 0), "refused: there is no instance");
    capture_granted(f->c, 0);
    must_say(ask(f, RECORD_REQUEST_CAPTURE_END, "web-1", "done", 0), "taken");
    assert_true(has_event(f, "web-1", "capture", "begun"));
    assert_true(has_event(f, "web-1", "capture", "done"));
    assert_true(read_record(f, "web-1", &record));
    assert_int_equal(record.capture, WORLD_CAPTURE_NONE);
    assert_null(record.capturer);
    record_instance_deinit(&record);
    must_say(ask(f, RECORD_REQUEST_CAPTURE_END, "web-1", "done", 0), "refused: no image is taken");
    free(who);
}

static void a_capture_ends_with_its_command(void **state)
{
    struct fixture *f = *state;
    struct record_instance record;
    must_say(ask(f, RECORD_REQUEST_CAPTURE, "web-1", DEAD " web@4", 0), "taken");
    controller_free(f->c);
    start(f);
    assert_int_equal(f->c->world.instances[0].capture, WORLD_CAPTURE_WANTED);
    step(f);
    assert_true(has_event(f, "web-1", "capture", "failed: the command that took it has ended"));
    assert_true(read_record(f, "web-1", &record));
    assert_int_equal(record.capture, WORLD_CAPTURE_NONE);
    record_instance_deinit(&record);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_builder_is_made_for_one_command),
        CASE(what_providers_have_is_known_first),
        CASE(no_role_sees_it),
        CASE(one_that_is_done_with_is_removed),
        CASE(one_whose_command_is_gone_is_removed),
        CASE(one_that_is_kept_is_like_any_detached_one),
        CASE(one_after_another_is_the_one_that_is_meant),
        CASE(a_capture_waits_for_the_budget),
        CASE(a_capture_ends_with_its_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
