/*
 * controller/canary_watch: answers of balancers become looks, whatever resets their counters, and
 * what is worse sets the alarm of the refresh, with a cause that can be read.
 */
#include "controller/state.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "conformance/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMBERS   4 /* Of group web; the last is the new one. */
#define NEW       (MEMBERS - 1)
#define BALANCERS 2
#define TARGETS   (MEMBERS * BALANCERS)
#define OLD_IMAGE 33
#define NEW_IMAGE 44

struct stage {
    struct fake_store *space;
    struct store store;
    struct spec spec;
    struct spec_group group;
    struct world_instance instances[MEMBERS + BALANCERS];
    struct world_balancer balancers[BALANCERS];
    struct world_target targets[TARGETS];
    struct world_group groups[1];
    struct member members[MEMBERS + BALANCERS];
    struct group_note notes[1];
    struct controller c;
    /* What each balancer has counted of each member. */
    int64_t tries[BALANCERS][MEMBERS];
    int64_t failed[BALANCERS][MEMBERS];
    int64_t response_ms[MEMBERS];
    char note[300];
};

static void on_note(void *context, const char *subject, const char *text)
{
    struct stage *s = context;
    assert_string_equal(subject, "web");
    text_copy(s->note, sizeof(s->note), text);
}

static void begin_refresh(struct stage *s, int64_t began_ms)
{
    s->groups[0].refresh = (struct world_refresh){.state = WORLD_REFRESH_RUNNING,
                                                  .began_ms = began_ms,
                                                  .wanted = NEW_IMAGE,
                                                  .before = OLD_IMAGE};
}

static int start(void **state)
{
    struct stage *s = xcalloc(1, sizeof(*s));
    struct err e = ERR_NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    s->space = fake_store_new();
    s->store = fake_store_open(s->space);
    s->group.name = "web";
    s->spec.groups = &s->group;
    s->spec.group_count = 1;
    s->c = (struct controller){.spec = &s->spec,
                               .notes = s->notes,
                               .members = s->members,
                               .created_ms = 1000,
                               .options.watch = {.on_note = on_note, .context = s}};
    assert_int_equal(journal_open(&s->c.journal, &s->store, "run", &outcome, &holder, &e), 0);
    s->notes[0].refresh.image = xstrdup("web@4");
    s->notes[0].refresh.before_image = xstrdup("web@3");
    for (size_t i = 0; i < MEMBERS + BALANCERS; i++) {
        s->instances[i] = (struct world_instance){.group = i < MEMBERS ? 0 : WORLD_NONE,
                                                  .lifecycle = LIFECYCLE_IN_SERVICE,
                                                  .content = i == NEW ? NEW_IMAGE : OLD_IMAGE};
    }
    for (size_t b = 0; b < BALANCERS; b++) {
        s->balancers[b].instance = MEMBERS + b;
        for (size_t m = 0; m < MEMBERS; m++) {
            s->targets[b * MEMBERS + m] =
                (struct world_target){.member = m, .balancer = b, .state = WORLD_TARGET_UP};
            s->response_ms[m] = 10;
        }
    }
    s->c.world = (struct world){.now_ms = 2000,
                                .instances = s->instances,
                                .instance_count = MEMBERS + BALANCERS,
                                .balancers = s->balancers,
                                .balancer_count = BALANCERS,
                                .targets = s->targets,
                                .target_count = TARGETS,
                                .target_capacity = TARGETS,
                                .groups = s->groups};
    begin_refresh(s, 2000);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    struct stage *s = *state;
    canary_watch_free(&s->c);
    journal_close(s->c.journal);
    store_close(&s->store);
    fake_store_free(s->space);
    free(s->notes[0].refresh.image);
    free(s->notes[0].refresh.before_image);
    free(s->notes[0].refresh.alarm_text);
    free(s);
    return 0;
}

/* Balancer B answers. */
static void answer(struct stage *s, size_t b)
{
    for (size_t t = 0; t < s->c.world.target_count; t++) {
        const struct world_target *target = &s->targets[t];
        if (target->balancer != b) {
            continue;
        }
        if (target->state == WORLD_TARGET_ABSENT) {
            canary_watch_absent(&s->c, t);
            continue;
        }
        struct message item = MESSAGE_NULL;
        message_init(&item, WIRE_ITEM);
        message_put_int(&item, WIRE_TRIES, s->tries[b][target->member]);
        message_put_int(&item, WIRE_FAILED, s->failed[b][target->member]);
        message_put_int(&item, WIRE_RESPONSE_TIME, s->response_ms[target->member]);
        canary_watch_target(&s->c, t, &item);
        message_deinit(&item);
    }
    canary_watch_look(&s->c, b);
}

/* COUNT looks at each balancer; between two of them 20 tries for each, of which so many failed. */
static void serve(struct stage *s, int count, int64_t new_failed, int64_t old_failed)
{
    for (int i = 0; i < count; i++) {
        for (size_t b = 0; b < BALANCERS; b++) {
            for (size_t m = 0; m < MEMBERS; m++) {
                s->tries[b][m] += 20;
                s->failed[b][m] += m == NEW ? new_failed : old_failed;
            }
            answer(s, b);
        }
    }
}

static void assert_text(const struct stage *s, const char *expected)
{
    char *text = canary_watch_text(&s->c, 0);
    if (!text_equal(text, expected)) {
        fail_msg("'%s', not '%s'", text == NULL ? "NULL" : text,
                 expected == NULL ? "NULL" : expected);
    }
    free(text);
}

static void the_new_that_fails_sets_the_alarm(void **state)
{
    struct stage *s = *state;
    serve(s, 1, 0, 0);
    assert_text(s, NULL);
    serve(s, 10, 0, 0);
    assert_text(s, "new: 0 of 400 failed, mean 10 ms; old: 0 of 1200, mean 10 ms");
    assert_int_equal(s->groups[0].refresh.alarm, WORLD_HEALTH_UNKNOWN);
    serve(s, 10, 4, 0);
    assert_int_equal(s->groups[0].refresh.alarm, WORLD_UNHEALTHY);
    const char *cause = s->notes[0].refresh.alarm_text;
    assert_true(text_starts(cause, "web@4: "));
    assert_non_null(strstr(cause, " answers failed ("));
    assert_non_null(strstr(cause, " %), web@3: 0 of "));
    assert_non_null(strstr(cause, "worse with 99.9 % confidence"));
    assert_non_null(strstr(s->note, cause));
}

static void what_fails_alike_does_not(void **state)
{
    struct stage *s = *state;
    serve(s, 1, 0, 0);
    serve(s, 20, 10, 10);
    assert_text(s, "new: 400 of 800 failed, mean 10 ms; old: 1200 of 2400, mean 10 ms");
    assert_int_equal(s->groups[0].refresh.alarm, WORLD_HEALTH_UNKNOWN);
}

static void the_new_that_is_slow_sets_the_alarm(void **state)
{
    struct stage *s = *state;
    s->response_ms[NEW] = 700;
    serve(s, 20, 0, 0);
    assert_int_equal(s->groups[0].refresh.alarm, WORLD_UNHEALTHY);
    assert_string_equal(s->notes[0].refresh.alarm_text,
                        "web@4: answers take 700 ms on average, web@3: 10 ms: slower");
}

/* Counters are of the process, and go on from before the refresh. */
static void what_was_before_does_not_count(void **state)
{
    struct stage *s = *state;
    s->tries[0][0] = 1000000;
    s->failed[0][0] = 500000;
    s->tries[0][NEW] = 50000;
    s->failed[0][NEW] = 50000;
    answer(s, 0);
    assert_text(s, NULL);
    s->tries[0][0] += 7;
    answer(s, 0);
    assert_text(s, "new: 0 of 0 failed, mean 0 ms; old: 0 of 7, mean 10 ms");
}

static void a_reload_begins_at_nothing(void **state)
{
    struct stage *s = *state;
    serve(s, 5, 0, 0);
    assert_text(s, "new: 0 of 160 failed, mean 10 ms; old: 0 of 480, mean 10 ms");
    memset(s->tries[0], 0, sizeof(s->tries[0]));
    s->tries[0][0] = 9;
    s->failed[0][0] = 1;
    answer(s, 0);
    assert_text(s, "new: 0 of 160 failed, mean 10 ms; old: 1 of 489, mean 10 ms");
}

static void a_target_that_was_added_counts_from_nothing(void **state)
{
    struct stage *s = *state;
    s->targets[NEW].state = WORLD_TARGET_ABSENT;
    answer(s, 0);
    s->targets[NEW].state = WORLD_TARGET_UP;
    s->tries[0][NEW] = 12;
    s->failed[0][NEW] = 2;
    answer(s, 0);
    assert_text(s, "new: 2 of 12 failed, mean 10 ms; old: 0 of 0, mean 0 ms");
}

/* Its sessions are cut at the end of the drain time: by us. */
static void what_is_drained_is_let_be(void **state)
{
    struct stage *s = *state;
    serve(s, 2, 0, 0);
    s->targets[0].state = WORLD_TARGET_DRAINING;
    s->tries[0][0] += 5;
    s->failed[0][0] += 5;
    answer(s, 0);
    assert_text(s, "new: 0 of 40 failed, mean 10 ms; old: 0 of 120, mean 10 ms");
}

static void once_the_old_is_gone_it_is_remembered(void **state)
{
    struct stage *s = *state;
    serve(s, 10, 0, 0);
    for (size_t t = 0; t < TARGETS; t++) {
        if (s->targets[t].member != NEW) {
            s->targets[t].state = WORLD_TARGET_ABSENT;
        }
    }
    s->groups[0].refresh.state = WORLD_REFRESH_BAKING;
    serve(s, 10, 3, 0);
    assert_int_equal(s->groups[0].refresh.alarm, WORLD_UNHEALTHY);
    assert_non_null(strstr(s->notes[0].refresh.alarm_text, "web@3 before it: 0 of 1080 (0.0 %)"));
}

static void each_refresh_is_judged_anew(void **state)
{
    struct stage *s = *state;
    serve(s, 5, 0, 0);
    s->groups[0].refresh.state = WORLD_REFRESH_DONE;
    assert_text(s, NULL);
    serve(s, 5, 10, 0);
    begin_refresh(s, 3000);
    assert_text(s, NULL);
    serve(s, 1, 0, 0);
    assert_text(s, "new: 0 of 40 failed, mean 10 ms; old: 0 of 120, mean 10 ms");
    /* On the way back, everything that is left of the new fails: nobody asks. */
    s->groups[0].refresh.state = WORLD_REFRESH_BACK;
    serve(s, 20, 20, 0);
    assert_int_equal(s->groups[0].refresh.alarm, WORLD_HEALTH_UNKNOWN);
}

static void a_controller_that_comes_late_says_so(void **state)
{
    struct stage *s = *state;
    begin_refresh(s, 500);
    serve(s, 2, 0, 0);
    assert_non_null(strstr(s->note, "starts anew"));
    assert_text(s, "new: 0 of 40 failed, mean 10 ms; old: 0 of 120, mean 10 ms, since this "
                   "controller began");
}

/* Those that ended leave the arrays; what is known of the others stays with them. */
static void places_that_change_keep_their_numbers(void **state)
{
    struct stage *s = *state;
    serve(s, 2, 0, 0);
    s->instances[0].lifecycle = LIFECYCLE_TERMINATED;
    s->targets[NEW].doubtful = true;
    members_compact(&s->c);
    assert_int_equal(s->c.world.target_count, (MEMBERS - 1) * BALANCERS);
    assert_int_equal(s->targets[NEW - 1].member, NEW - 1);
    assert_true(s->targets[NEW - 1].doubtful);
    for (size_t m = 1; m < MEMBERS; m++) {
        s->tries[0][m - 1] = s->tries[0][m];
    }
    s->tries[0][NEW - 1] += 3;
    answer(s, 0);
    assert_text(s, "new: 0 of 43 failed, mean 10 ms; old: 0 of 120, mean 10 ms");
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STAGED(the_new_that_fails_sets_the_alarm),
        STAGED(what_fails_alike_does_not),
        STAGED(the_new_that_is_slow_sets_the_alarm),
        STAGED(what_was_before_does_not_count),
        STAGED(a_reload_begins_at_nothing),
        STAGED(a_target_that_was_added_counts_from_nothing),
        STAGED(what_is_drained_is_let_be),
        STAGED(once_the_old_is_gone_it_is_remembered),
        STAGED(each_refresh_is_judged_anew),
        STAGED(a_controller_that_comes_late_says_so),
        STAGED(places_that_change_keep_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
