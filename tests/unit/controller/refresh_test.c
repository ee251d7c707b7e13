/* controller/refresh: requests, records and the pin, and what comes back from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/controller/refresh_stage.h"

#include "base/clock.h"
#include "conformance/fake_store.h"
#include "controller/state.h"

#define MEMBERS 3

/* A controller as far as refreshes need one, over a store that outlives it. */
struct fixture {
    struct refresh_stage stage;
    struct fake_store *space;
    struct store store;
    struct journal *journal;
    struct controller c;
    struct world_instance instances[MEMBERS];
    struct member members[MEMBERS];
    struct world_group groups[2];
    struct world_zone zones[2];
};

static void open_controller(struct fixture *f)
{
    struct err e = ERR_NULL;
    f->c = (struct controller){.spec = &f->stage.spec, .store = &f->store, .journal = f->journal};
    struct controller *c = &f->c;
    c->world = (struct world){.now_ms = clock_now_ms(),
                              .instances = f->instances,
                              .instance_count = MEMBERS,
                              .instance_capacity = MEMBERS,
                              .groups = f->groups,
                              .zones = f->zones};
    c->wall_offset_ms = clock_wall_ms() - c->world.now_ms;
    c->members = f->members;
    c->notes = xcalloc(3, sizeof(*c->notes));
    if (groups_load(c, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

/* Killed, and another one started. */
static void restart(struct fixture *f)
{
    struct err e = ERR_NULL;
    assert_int_equal(journal_commit(f->journal, &e), 0);
    refresh_free(&f->c);
    free(f->c.decision.memory);
    open_controller(f);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct err e = ERR_NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    static const char *const ids[MEMBERS] = {"web-1", "web-2", "web-3"};
    refresh_stage_init(&f->stage);
    refresh_stage_publish(&f->stage, "web", "one", 100);
    refresh_stage_publish(&f->stage, "web", "two", 200);
    f->space = fake_store_new();
    f->store = fake_store_open(f->space);
    assert_int_equal(journal_open(&f->journal, &f->store, "a test", &outcome, &holder, &e), 0);
    open_controller(f);
    for (size_t i = 0; i < MEMBERS; i++) {
        f->members[i].record = (struct record_instance){.id = (char *)(uintptr_t)ids[i],
                                                        .group = "web",
                                                        .lifecycle = LIFECYCLE_IN_SERVICE,
                                                        .image = "web@1",
                                                        .content = refresh_stage_digest("one")};
        f->instances[i] =
            (struct world_instance){.group = 0,
                                    .lifecycle = LIFECYCLE_IN_SERVICE,
                                    .in_service_ms = 1,
                                    .content = refresh_content(f->members[i].record.content)};
        text_copy(f->instances[i].id, sizeof(f->instances[i].id), ids[i]);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    refresh_free(&f->c);
    free(f->c.decision.memory);
    for (size_t i = 0; i < MEMBERS; i++) {
        free(f->members[i].record.content);
    }
    journal_close(f->journal);
    store_close(&f->store);
    fake_store_free(f->space);
    refresh_stage_deinit(&f->stage);
    free(f);
    return 0;
}

static void begin(struct fixture *f, const char *word, const char *said)
{
    struct err e = ERR_NULL;
    if (!refresh_take_begin(&f->c, 0, word, "root on host7", &e) || strstr(e.text, said) == NULL) {
        fail_msg("begin: %s", e.text);
    }
}

static void order(struct fixture *f, enum record_request_kind kind, bool wanted, const char *said)
{
    struct err e = ERR_NULL;
    if (refresh_take_order(&f->c, 0, kind, "ann on host8", &e) != wanted ||
        strstr(e.text, said) == NULL) {
        fail_msg("order %d: %s", (int)kind, e.text);
    }
}

static uint64_t content_of(const char *what)
{
    char *digest = refresh_stage_digest(what);
    uint64_t content = refresh_content(digest);
    free(digest);
    return content;
}

static void begun_it_is_recorded_and_pinned(void **state)
{
    struct fixture *f = *state;
    begin(f, "{\"bake\":60000,\"checkpoints\":\"50\",\"all\":true,\"alarm\":\"true\"}",
          "web@1 -> web@2, 3 of 3 to be replaced");
    const struct world_refresh before = f->groups[0].refresh;
    assert_int_equal(before.state, WORLD_REFRESH_RUNNING);
    assert_true(before.rollback && before.all);
    /* Until it is done, nobody but the refresh itself makes any of the new. */
    assert_true(f->groups[0].content == content_of("one"));
    assert_string_equal(f->c.notes[0].image, "web@1");
    assert_string_equal(refresh_origin_of(&f->c, 0, content_of("two")).image, "web@2");
    assert_string_equal(refresh_origin_of(&f->c, 0, content_of("one")).image, "web@1");
    assert_null(refresh_origin_of(&f->c, 0, content_of("three")).image);
    restart(f);
    const struct world_refresh *r = &f->groups[0].refresh;
    assert_int_equal(r->state, WORLD_REFRESH_RUNNING);
    assert_true(r->wanted == content_of("two") && r->before == content_of("one"));
    assert_int_equal(r->bake_ms, 60000);
    assert_int_equal(r->checkpoints[0], 50);
    assert_int_equal(r->checkpoint_delay_ms, -1);
    assert_true(r->all && r->rollback);
    assert_true(f->groups[0].content == content_of("one"));
    assert_string_equal(f->c.notes[0].image, "web@1");
    assert_string_equal(refresh_origin_of(&f->c, 0, content_of("two")).image, "web@2");
    assert_string_equal(f->c.notes[0].image_of, "web");
    assert_string_equal(refresh_origin_of(&f->c, 0, r->wanted).image, "web@2");
    assert_string_equal(refresh_origin_of(&f->c, 0, r->before).image, "web@1");
    assert_string_equal(f->c.notes[0].refresh.who, "root on host7");
    assert_string_equal(f->c.notes[0].refresh.alarm_command, "true");
    /* What was made after it began is so after a restart, to the millisecond. */
    assert_true(r->began_ms <= f->c.world.now_ms);
    assert_true(llabs((long long)(r->began_ms - before.began_ms)) < 1000);
}

static void one_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NULL;
    begin(f, NULL, "web@1 -> web@2");
    assert_false(refresh_take_begin(&f->c, 0, NULL, "ann", &e));
    assert_non_null(strstr(e.text, "running already"));
    assert_false(refresh_take_begin(&f->c, 1, NULL, "ann", &e));
    assert_non_null(strstr(e.text, "its hosts exist already"));
}

static void what_holds_it_is_said(void **state)
{
    struct fixture *f = *state;
    f->groups[0].suspended = WORLD_PROCESS_LAUNCH;
    begin(f, NULL, "it waits: launch is suspended");
}

/* What is replaced stays; new ones are made from what they were made from before. */
static void cancelled_it_lets_go(void **state)
{
    struct fixture *f = *state;
    order(f, RECORD_REQUEST_REFRESH_CANCEL, false, "never refreshed");
    begin(f, NULL, "web@1 -> web@2");
    order(f, RECORD_REQUEST_REFRESH_CONTINUE, false, "waits at no checkpoint");
    order(f, RECORD_REQUEST_REFRESH_CANCEL, true, "new instances are made from web@1");
    restart(f);
    assert_int_equal(f->groups[0].refresh.state, WORLD_REFRESH_CANCELLED);
    assert_true(f->groups[0].content == content_of("one"));
    assert_string_equal(f->c.notes[0].image, "web@1");
    assert_string_equal(f->c.notes[0].refresh.cause, "asked for by ann on host8");
}

static void rolled_back_it_leads_to_before(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL, "web@1 -> web@2");
    f->c.notes[0].refresh.replaced = 2;
    order(f, RECORD_REQUEST_REFRESH_ROLLBACK, true, "running -> rolling back");
    restart(f);
    assert_int_equal(f->groups[0].refresh.state, WORLD_REFRESH_BACK);
    assert_string_equal(f->c.notes[0].image, "web@1");
    assert_int_equal(f->c.notes[0].refresh.replaced, 0);
    order(f, RECORD_REQUEST_REFRESH_ROLLBACK, false, "rolling back already");
}

/* Nothing says what they run: it is begun, but never by itself taken back to who knows what. */
static void without_a_way_back(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < MEMBERS; i++) {
        free(f->members[i].record.content);
        f->members[i].record.content = NULL;
    }
    begin(f, NULL, "there is no way back");
    assert_false(f->groups[0].refresh.rollback);
    order(f, RECORD_REQUEST_REFRESH_ROLLBACK, false, "is not known");
    order(f, RECORD_REQUEST_REFRESH_CANCEL, true, "made from what the file says");
    assert_true(f->groups[0].content == 0);
    assert_null(f->c.notes[0].image);
}

/* The file says something else now, so what was asked is void. */
static void another_image_in_the_file_ends_it(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL, "web@1 -> web@2");
    struct err e = ERR_NULL;
    assert_int_equal(journal_commit(f->journal, &e), 0);
    f->stage.templates[0].image = "api";
    restart(f);
    assert_int_equal(f->groups[0].refresh.state, WORLD_REFRESH_CANCELLED);
    assert_true(f->groups[0].content == 0);
    assert_null(f->c.notes[0].image);
    assert_non_null(strstr(f->c.notes[0].refresh.cause, "another image"));
    assert_true(f->c.notes[0].outdated);
}

/* The first bad word stands, and outlives a controller that is ended before it acts on it. */
static void the_alarm_stands(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL, "web@1 -> web@2");
    refresh_alarm_set(&f->c, 0, NULL);
    assert_int_equal(f->groups[0].refresh.alarm, WORLD_HEALTHY);
    refresh_alarm_set(&f->c, 0, "14 of 320 answers\033[1m failed\nmore");
    refresh_alarm_set(&f->c, 0, "something else");
    refresh_alarm_set(&f->c, 0, NULL);
    assert_int_equal(f->groups[0].refresh.alarm, WORLD_UNHEALTHY);
    assert_string_equal(f->c.notes[0].refresh.alarm_text, "14 of 320 answers[1m failed");
    restart(f);
    assert_int_equal(f->groups[0].refresh.alarm, WORLD_UNHEALTHY);
    char text[200] = "the alarm";
    refresh_add_cause(&f->c, 0, REASON_REFRESH_ALARM, text, sizeof(text));
    assert_string_equal(text, "the alarm: 14 of 320 answers[1m failed");
}

static void a_failed_one_says_why(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL, "web@1 -> web@2");
    f->instances[2].content = content_of("two");
    f->instances[2].made_ms = f->c.world.now_ms;
    f->instances[2].in_service_ms = 0;
    f->members[2].record.reason = "apt: no space left on device:\nand more";
    char text[60] = "it failed";
    refresh_add_cause(&f->c, 0, REASON_REFRESH_FAILED, text, sizeof(text));
    assert_string_equal(text, "it failed: web-3: apt: no space left on device");
    refresh_add_cause(&f->c, 0, REASON_REFRESH_FAILED, text, sizeof(text)); /* Cut to fit. */
    assert_int_equal(strlen(text), sizeof(text) - 1);
    f->members[2].record.reason = NULL;
}

/* MEMBER has been in service for an hour, made of WHAT; and all is counted anew. */
static void look(struct fixture *f, size_t member, const char *what)
{
    struct controller *c = &f->c;
    for (size_t i = 0; i < MEMBERS; i++) {
        struct world_instance *it = &f->instances[i];
        it->power = WORLD_POWER_RUNNING;
        it->greeted = true;
        it->configured = true;
        it->drift = WORLD_DRIFT_NONE;
        it->in_service_ms = c->world.now_ms - 3600000;
    }
    if (what != NULL) {
        f->instances[member].content = content_of(what);
    }
    free(c->decision.memory);
    c->decision.memory_size = survey_size(c->spec, &c->world);
    c->decision.memory = xcalloc(c->decision.memory_size, 1);
    survey_make(&c->decision.survey, c->spec, &c->world, c->decision.memory,
                c->decision.memory_size);
    refresh_watch(c, false);
}

/* From the mark of an old one to the new one in its place: that is what the others will take. */
static void replacing_is_timed(void **state)
{
    struct fixture *f = *state;
    struct controller *c = &f->c;
    begin(f, "{\"bake\":60000,\"checkpoints\":\"50\",\"checkpoint-delay\":10000}", "web@2");
    look(f, 0, NULL);
    assert_int_equal(refresh_remaining(c, 0), -1); /* Nothing was timed yet. */
    refresh_note_mark(c, 0);
    c->world.now_ms += 5000;
    look(f, 0, "two");
    assert_int_equal(c->notes[0].refresh.replaced, 1);
    assert_int_equal(c->notes[0].refresh.leads, 1);
    assert_int_equal(c->notes[0].refresh.lead_ms, 5000);
    assert_int_equal(refresh_remaining(c, 0), 2 * 5000 + 10000 + 60000);
    refresh_note_mark(c, 0);
    c->world.now_ms += 2000;
    look(f, 0, NULL);
    assert_int_equal(refresh_remaining(c, 0), 2 * 5000 - 2000 + 10000 + 60000);
    /* One that is not counted on for a moment is not replaced twice. */
    look(f, 0, "one");
    look(f, 0, "two");
    assert_int_equal(c->notes[0].refresh.replaced, 1);
    c->world.now_ms += 5000;
    look(f, 1, "two");
    assert_int_equal(c->notes[0].refresh.replaced, 2);
    assert_int_equal(c->notes[0].refresh.lead_ms, (5000 + 7000) / 2);
    restart(f);
    assert_int_equal(c->notes[0].refresh.lead_ms, 6000);
}

static void how_long_yet(void **state)
{
    struct fixture *f = *state;
    struct controller *c = &f->c;
    assert_int_equal(refresh_remaining(c, 0), 0); /* There is none. */
    begin(f, "{\"bake\":60000,\"checkpoints\":\"50\"}", "web@2");
    look(f, 0, "two");
    look(f, 1, "two");
    look(f, 2, "two");
    struct world_refresh *w = &f->groups[0].refresh;
    assert_int_equal(refresh_remaining(c, 0), -1); /* An operator is waited for on the way. */
    w->state = WORLD_REFRESH_CHECKPOINT;
    assert_int_equal(refresh_remaining(c, 0), -1);
    w->checkpoint_delay_ms = 10000;
    c->world.now_ms += 4000;
    assert_int_equal(refresh_remaining(c, 0), 6000 + 60000);
    w->state = WORLD_REFRESH_BAKING;
    assert_int_equal(refresh_remaining(c, 0), 56000);
    c->world.now_ms += 100000;
    assert_int_equal(refresh_remaining(c, 0), 0);
}

/* While the group's is still the old one. */
static void a_new_one_is_to_be_of_the_new_image(void **state)
{
    struct fixture *f = *state;
    struct site site = {.login_key = "ssh-ed25519 AAAA"};
    struct err e = ERR_NULL;
    begin(f, NULL, "web@1 -> web@2");
    f->c.site = &site;
    f->stage.templates[0].size = SPEC_NONE;
    f->instances[2].content = content_of("two");
    f->members[2].record.image = "web@2";
    f->members[2].record.provider = "kvm";
    struct running running = {.content = 0};
    struct message request = MESSAGE_NULL;
    const struct action action = {.kind = ACTION_LAUNCH, .instance = 2, .group = 0};
    if (request_build(&f->c, &action, &running, &request, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_string_equal(message_text(&request, WIRE_IMAGE, ""), "web@2");
    assert_true(running.content == content_of("two"));
    message_deinit(&request);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(begun_it_is_recorded_and_pinned),
        CASE(one_at_a_time),
        CASE(what_holds_it_is_said),
        CASE(cancelled_it_lets_go),
        CASE(rolled_back_it_leads_to_before),
        CASE(without_a_way_back),
        CASE(another_image_in_the_file_ends_it),
        CASE(the_alarm_stands),
        CASE(a_failed_one_says_why),
        CASE(a_new_one_is_to_be_of_the_new_image),
        CASE(replacing_is_timed),
        CASE(how_long_yet),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
