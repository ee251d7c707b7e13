#include "conformance/provider_suite.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CALL_MS 60000

static struct provider_suite *suite;
static void *context;

static int64_t deadline(void)
{
    return clock_now_ms() + CALL_MS;
}

static struct provider_instance_config wanted(unsigned number)
{
    static const char *const ids[] = {"one-1", "one-2", "one-3"};
    struct provider_instance_config config = suite->instance;
    config.id = ids[number];
    config.group = "one";
    config.address = suite->addresses[number];
    config.deadline_ms = deadline();
    return config;
}

static void ensure(unsigned number, struct provider_view *ret_view)
{
    struct provider_instance_config config = wanted(number);
    struct err e = ERR_NULL;
    if (suite->ops->ensure(context, &config, ret_view, &e) < 0) {
        fail_msg("ensure %s: %s", config.id, e.text);
    }
}

static void destroy(const char *id)
{
    struct err e = ERR_NULL;
    if (suite->ops->destroy(context, id, deadline(), &e) < 0) {
        fail_msg("destroy %s: %s", id, e.text);
    }
}

static void stop(const char *id)
{
    struct err e = ERR_NULL;
    if (suite->ops->stop(context, id, deadline(), &e) < 0) {
        fail_msg("stop %s: %s", id, e.text);
    }
}

/* How often ID is listed; *ret_view (the caller's) is the last of them, when there is one. */
static unsigned find(void *in, const char *id, struct provider_view *ret_view)
{
    struct provider_view *views = NULL;
    size_t count = 0;
    struct err e = ERR_NULL;
    if (suite->ops->list(in, &views, &count, &e) < 0) {
        fail_msg("list: %s", e.text);
    }
    unsigned found = 0;
    for (size_t i = 0; i < count; i++) {
        assert_non_null(views[i].cluster);
        assert_int_not_equal(views[i].power, PROVIDER_ABSENT);
        if (text_equal(views[i].id, id)) {
            found++;
            provider_view_deinit(ret_view);
            *ret_view = views[i];
            views[i] = (struct provider_view){.id = NULL};
        }
    }
    provider_views_free(views, count);
    return found;
}

static unsigned count_of(const char *id)
{
    struct provider_view view = {.id = NULL};
    unsigned count = find(context, id, &view);
    provider_view_deinit(&view);
    return count;
}

/* ID is listed once, with this power, and with KEY unless that is NULL. */
static void assert_listed(const char *id, enum provider_power power, const char *key)
{
    struct provider_view view = {.id = NULL};
    assert_int_equal(find(context, id, &view), 1);
    assert_int_equal(view.power, power);
    assert_string_equal(view.cluster, suite->config.cluster);
    assert_string_equal(view.group, "one");
    assert_string_equal(view.zone, suite->config.zone);
    assert_string_equal(view.address, wanted((unsigned)(id[strlen(id) - 1] - '1')).address);
    if (key != NULL) {
        assert_string_equal(view.host_key, key);
    }
    provider_view_deinit(&view);
}

static void assert_nothing_left(const char *id)
{
    assert_int_equal(count_of(id), 0);
    if (suite->has_remains != NULL) {
        assert_false(suite->has_remains(suite, id));
    }
}

static void need(bool possible)
{
    if (!possible) {
        skip();
    }
}

static int set_up(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    if (suite->ops->open(&suite->config, &context, &e) < 0) {
        print_error("open: %s\n", e.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const ids[] = {"one-1", "one-2", "one-3"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (suite->plant != NULL && suite->is_planted(suite, ids[i])) {
            suite->plant(suite, ids[i], false);
        }
        struct err e = ERR_NULL;
        if (suite->ops->destroy(context, ids[i], deadline(), &e) < 0) {
            print_error("clean up %s: %s\n", ids[i], e.text);
        }
    }
    suite->ops->close(context);
    context = NULL;
    return 0;
}

static void test_nothing_is_there(void **state)
{
    (void)state;
    struct provider_view *views = NULL;
    size_t count = 1;
    struct err e = ERR_NULL;
    assert_int_equal(suite->ops->list(context, &views, &count, &e), 0);
    assert_int_equal(count, 0);
    provider_views_free(views, count);
    destroy("one-1");
    destroy("one-1");
    if (!suite->makes_nothing) {
        stop("one-1");
        assert_nothing_left("one-1");
    }
}

static void test_ensure_makes_what_was_asked_for(void **state)
{
    (void)state;
    struct provider_view view = {.id = NULL};
    ensure(0, &view);
    assert_string_equal(view.id, "one-1");
    assert_string_equal(view.cluster, suite->config.cluster);
    assert_string_equal(view.group, "one");
    assert_string_equal(view.zone, suite->config.zone);
    assert_int_equal(view.power, PROVIDER_RUNNING);
    assert_string_equal(view.address, suite->addresses[0]);
    if (!suite->makes_nothing) {
        assert_true(text_starts(view.host_key, "ssh-ed25519 AAAA"));
        assert_listed("one-1", PROVIDER_RUNNING, view.host_key);
    } else {
        assert_int_equal(count_of("one-1"), 0);
    }
    provider_view_deinit(&view);
}

static void test_ensure_again_is_a_look(void **state)
{
    (void)state;
    struct provider_view first = {.id = NULL};
    struct provider_view second = {.id = NULL};
    ensure(0, &first);
    ensure(0, &second);
    assert_string_equal(first.host_key, second.host_key);
    assert_listed("one-1", PROVIDER_RUNNING, first.host_key);
    provider_view_deinit(&first);
    provider_view_deinit(&second);
}

static void test_destroy_leaves_nothing(void **state)
{
    (void)state;
    struct provider_view view = {.id = NULL};
    ensure(0, &view);
    provider_view_deinit(&view);
    destroy("one-1");
    assert_nothing_left("one-1");
    destroy("one-1");
}

static void test_each_has_its_own_key(void **state)
{
    (void)state;
    struct provider_view one = {.id = NULL};
    struct provider_view two = {.id = NULL};
    struct provider_view again = {.id = NULL};
    ensure(0, &one);
    ensure(1, &two);
    assert_string_not_equal(one.host_key, two.host_key);
    destroy("one-1");
    assert_listed("one-2", PROVIDER_RUNNING, two.host_key);
    ensure(0, &again);
    assert_string_not_equal(again.host_key, one.host_key);
    provider_view_deinit(&one);
    provider_view_deinit(&two);
    provider_view_deinit(&again);
}

static void test_another_cluster_has_no_part_in_it(void **state)
{
    (void)state;
    struct provider_view ours = {.id = NULL};
    ensure(0, &ours);
    struct provider_config config = suite->config;
    config.cluster = "another";
    void *other = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite->ops->open(&config, &other, &e), 0);
    struct provider_view view = {.id = NULL};
    assert_int_equal(find(other, "one-1", &view), 0);
    /* It may be refused or get one of its own, but ours stays what it is. */
    struct provider_instance_config instance = wanted(0);
    instance.address = suite->addresses[2];
    if (suite->ops->ensure(other, &instance, &view, &e) < 0) {
        assert_non_null(strstr(e.text, "S25"));
        assert_non_null(strstr(e.text, suite->config.cluster));
    }
    (void)suite->ops->destroy(other, "one-1", deadline(), &e);
    suite->ops->close(other);
    provider_view_deinit(&view);
    assert_listed("one-1", PROVIDER_RUNNING, ours.host_key);
    provider_view_deinit(&ours);
}

static void test_what_has_no_mark_is_refused(void **state)
{
    (void)state;
    need(suite->plant != NULL);
    suite->plant(suite, "one-1", true);
    assert_int_equal(count_of("one-1"), 0);
    struct provider_instance_config config = wanted(0);
    struct provider_view view = {.id = NULL};
    struct err e = ERR_NULL;
    assert_int_equal(suite->ops->ensure(context, &config, &view, &e), -1);
    assert_non_null(strstr(e.text, "S25"));
    assert_true(suite->is_planted(suite, "one-1"));
    assert_int_equal(suite->ops->destroy(context, "one-1", deadline(), &e), -1);
    assert_non_null(strstr(e.text, "S25"));
    assert_true(suite->is_planted(suite, "one-1"));
    e = ERR_NULL;
    assert_int_equal(suite->ops->stop(context, "one-1", deadline(), &e), -1);
    assert_non_null(strstr(e.text, "S25"));
    assert_true(suite->is_planted(suite, "one-1"));
}

/* Off, read back, whole, and the same again when it is started: nothing is lost by a stop. */
static void test_stop_keeps_everything(void **state)
{
    (void)state;
    struct provider_view first = {.id = NULL};
    struct provider_view other = {.id = NULL};
    struct provider_view again = {.id = NULL};
    ensure(0, &first);
    ensure(1, &other);
    stop("one-1");
    assert_listed("one-1", PROVIDER_OFF, first.host_key);
    assert_listed("one-2", PROVIDER_RUNNING, other.host_key);
    stop("one-1");
    assert_listed("one-1", PROVIDER_OFF, first.host_key);
    ensure(0, &again);
    assert_string_equal(first.host_key, again.host_key);
    assert_listed("one-1", PROVIDER_RUNNING, first.host_key);
    stop("one-1");
    destroy("one-1");
    assert_nothing_left("one-1");
    provider_view_deinit(&first);
    provider_view_deinit(&other);
    provider_view_deinit(&again);
}

static void test_stop_is_refused_without_a_switch(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    assert_int_equal(suite->ops->stop(context, "one-1", deadline(), &e), -1);
    assert_true(text_starts(e.text, "one-1 is not made by a provider that can switch it off"));
}

/* A refused call says both epochs and that it is S18, and changes nothing. */
static void assert_too_old(int result, const struct err *e, const char *key)
{
    assert_int_equal(result, -1);
    assert_true(text_starts(e->text, "one-1: a newer controller (epoch 7)"));
    assert_non_null(strstr(e->text, "ours is 6 (S18)"));
    assert_null(strchr(e->text, '\n'));
    assert_listed("one-1", PROVIDER_RUNNING, key);
}

static void *open_with(int64_t epoch)
{
    struct provider_config config = suite->config;
    struct err e = ERR_NULL;
    void *opened = NULL;
    config.epoch = epoch;
    if (suite->ops->open(&config, &opened, &e) < 0) {
        fail_msg("open: %s", e.text);
    }
    return opened;
}

static void test_a_lower_epoch_is_refused(void **state)
{
    (void)state;
    struct provider_view view = {.id = NULL};
    struct provider_view again = {.id = NULL};
    struct provider_instance_config config = wanted(0);
    void *const before = context;
    void *const newer = open_with(7);
    void *const older = open_with(6);
    /* Made by an older one, taken over by a look of the newer. */
    struct err e = ERR_NULL;
    assert_int_equal(suite->ops->ensure(older, &config, &view, &e), 0);
    assert_int_equal(suite->ops->ensure(newer, &config, &again, &e), 0);
    provider_view_deinit(&again);
    int result = suite->ops->stop(older, "one-1", deadline(), &e);
    assert_too_old(result, &e, view.host_key);
    result = suite->ops->destroy(older, "one-1", deadline(), &e);
    assert_too_old(result, &e, view.host_key);
    result = suite->ops->ensure(older, &config, &again, &e);
    assert_too_old(result, &e, view.host_key);
    context = older; /* To look is no effect. */
    assert_listed("one-1", PROVIDER_RUNNING, view.host_key);
    /* The same epoch goes on, and what it left is gone with the instance. */
    context = newer;
    stop("one-1");
    assert_listed("one-1", PROVIDER_OFF, view.host_key);
    destroy("one-1");
    context = before;
    assert_nothing_left("one-1");
    provider_view_deinit(&view);
    suite->ops->close(newer);
    suite->ops->close(older);
}

static void test_off_is_seen_and_mended(void **state)
{
    (void)state;
    need(suite->power_off != NULL);
    struct provider_view first = {.id = NULL};
    struct provider_view second = {.id = NULL};
    ensure(0, &first);
    suite->power_off(suite, "one-1");
    assert_listed("one-1", PROVIDER_OFF, first.host_key);
    ensure(0, &second);
    assert_string_equal(first.host_key, second.host_key);
    assert_listed("one-1", PROVIDER_RUNNING, first.host_key);
    provider_view_deinit(&first);
    provider_view_deinit(&second);
    suite->power_off(suite, "one-1");
    destroy("one-1");
    assert_nothing_left("one-1");
}

static void test_host_started_anew(void **state)
{
    (void)state;
    need(suite->restart_host != NULL);
    struct provider_view first = {.id = NULL};
    struct provider_view other = {.id = NULL};
    struct provider_view second = {.id = NULL};
    ensure(0, &first);
    ensure(1, &other);
    suite->restart_host(suite);
    assert_listed("one-1", PROVIDER_OFF, first.host_key);
    assert_listed("one-2", PROVIDER_OFF, other.host_key);
    ensure(0, &second);
    assert_string_equal(first.host_key, second.host_key);
    assert_listed("one-1", PROVIDER_RUNNING, first.host_key);
    destroy("one-2");
    assert_nothing_left("one-2");
    provider_view_deinit(&first);
    provider_view_deinit(&other);
    provider_view_deinit(&second);
}

static void test_bad_ids_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      ".",   "..", "../one-1", "a/b",
                                      "One-1", "a b", "-a", "a\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct provider_instance_config config = wanted(0);
        struct provider_view view = {.id = NULL};
        struct err e = ERR_NULL;
        config.id = bad[i];
        assert_int_equal(suite->ops->ensure(context, &config, &view, &e), -1);
        assert_int_equal(suite->ops->destroy(context, bad[i], deadline(), &e), -1);
        assert_non_null(strstr(e.text, "not a name"));
        e = ERR_NULL;
        assert_int_equal(suite->ops->stop(context, bad[i], deadline(), &e), -1);
        assert_non_null(strstr(e.text, "not a name"));
    }
}

static void test_bad_settings_are_refused(void **state)
{
    (void)state;
    struct provider_instance_config configs[] = {wanted(0), wanted(0), wanted(0), wanted(0)};
    static const char *const says[] = {"image no-such-image", "login key", "address", "memory"};
    configs[0].image = "no-such-image";
    configs[1].login_key = "ssh-ed25519 AAAA one\nssh-ed25519 AAAA two";
    configs[2].address = "10.77.1.300";
    configs[3].memory_bytes = 0;
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct provider_view view = {.id = NULL};
        struct err e = ERR_NULL;
        assert_int_equal(suite->ops->ensure(context, &configs[i], &view, &e), -1);
        assert_true(text_starts(e.text, "one-1: "));
        assert_non_null(strstr(e.text, says[i]));
        assert_nothing_left("one-1");
    }
}

static void test_another_address_is_not_taken_for_it(void **state)
{
    (void)state;
    struct provider_view view = {.id = NULL};
    ensure(0, &view);
    struct provider_instance_config config = wanted(0);
    config.address = suite->addresses[1];
    struct provider_view again = {.id = NULL};
    struct err e = ERR_NULL;
    assert_int_equal(suite->ops->ensure(context, &config, &again, &e), -1);
    assert_non_null(strstr(e.text, suite->addresses[0]));
    assert_listed("one-1", PROVIDER_RUNNING, view.host_key);
    provider_view_deinit(&view);
}

/* Whatever was cut short, there is at most one of it, and nothing of it is called whole. */
static void look_at_pieces(const char *id, unsigned step)
{
    struct provider_view view = {.id = NULL};
    unsigned count = find(context, id, &view);
    if (count > 1) {
        fail_msg("cut short at step %u: listed %u times", step, count);
    }
    if (count == 1 && view.power != PROVIDER_BROKEN) {
        assert_non_null(view.host_key);
    }
    provider_view_deinit(&view);
}

static void test_ensure_cut_short_is_finished(void **state)
{
    (void)state;
    need(suite->cut_short != NULL);
    bool cut = true;
    for (unsigned step = 0; cut; step++) {
        cut = suite->cut_short(suite, PROVIDER_SUITE_ENSURE, "one-1", step);
        look_at_pieces("one-1", step);
        struct provider_view view = {.id = NULL};
        ensure(0, &view);
        assert_listed("one-1", PROVIDER_RUNNING, view.host_key);
        provider_view_deinit(&view);
        destroy("one-1");
        assert_nothing_left("one-1");
    }
}

static void test_ensure_cut_short_is_removed(void **state)
{
    (void)state;
    need(suite->cut_short != NULL);
    bool cut = true;
    for (unsigned step = 0; cut; step++) {
        cut = suite->cut_short(suite, PROVIDER_SUITE_ENSURE, "one-1", step);
        destroy("one-1");
        assert_nothing_left("one-1");
    }
}

static void test_destroy_cut_short_is_finished(void **state)
{
    (void)state;
    need(suite->cut_short != NULL);
    bool cut = true;
    for (unsigned step = 0; cut; step++) {
        struct provider_view view = {.id = NULL};
        ensure(0, &view);
        provider_view_deinit(&view);
        cut = suite->cut_short(suite, PROVIDER_SUITE_DESTROY, "one-1", step);
        look_at_pieces("one-1", step);
        destroy("one-1");
        assert_nothing_left("one-1");
    }
}

static void test_stop_cut_short_is_finished(void **state)
{
    (void)state;
    need(suite->cut_short != NULL);
    bool cut = true;
    for (unsigned step = 0; cut; step++) {
        struct provider_view view = {.id = NULL};
        ensure(0, &view);
        cut = suite->cut_short(suite, PROVIDER_SUITE_STOP, "one-1", step);
        stop("one-1");
        assert_listed("one-1", PROVIDER_OFF, view.host_key);
        provider_view_deinit(&view);
    }
}

/* What an ensure() that was cut short has left can be stopped, and is finished after that. */
static void test_ensure_cut_short_can_be_stopped(void **state)
{
    (void)state;
    need(suite->cut_short != NULL);
    bool cut = true;
    for (unsigned step = 0; cut; step++) {
        cut = suite->cut_short(suite, PROVIDER_SUITE_ENSURE, "one-1", step);
        stop("one-1");
        struct provider_view view = {.id = NULL};
        if (find(context, "one-1", &view) > 0) {
            assert_int_not_equal(view.power, PROVIDER_RUNNING);
        }
        provider_view_deinit(&view);
        ensure(0, &view);
        assert_listed("one-1", PROVIDER_RUNNING, view.host_key);
        provider_view_deinit(&view);
        destroy("one-1");
        assert_nothing_left("one-1");
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int provider_suite_run(struct provider_suite *run)
{
    const struct CMUnitTest all[] = {
        TEST(test_nothing_is_there),
        TEST(test_ensure_makes_what_was_asked_for),
        TEST(test_destroy_leaves_nothing),
        TEST(test_bad_ids_are_refused),
        TEST(test_ensure_again_is_a_look),
        TEST(test_each_has_its_own_key),
        TEST(test_another_cluster_has_no_part_in_it),
        TEST(test_what_has_no_mark_is_refused),
        TEST(test_off_is_seen_and_mended),
        TEST(test_stop_keeps_everything),
        TEST(test_a_lower_epoch_is_refused),
        TEST(test_host_started_anew),
        TEST(test_bad_settings_are_refused),
        TEST(test_another_address_is_not_taken_for_it),
        TEST(test_ensure_cut_short_is_finished),
        TEST(test_ensure_cut_short_is_removed),
        TEST(test_destroy_cut_short_is_finished),
        TEST(test_stop_cut_short_is_finished),
        TEST(test_ensure_cut_short_can_be_stopped),
    };
    const struct CMUnitTest without_making[] = {
        TEST(test_nothing_is_there),
        TEST(test_ensure_makes_what_was_asked_for),
        TEST(test_destroy_leaves_nothing),
        TEST(test_bad_ids_are_refused),
        TEST(test_stop_is_refused_without_a_switch),
    };
    suite = run;
    return suite->makes_nothing
               ? cmocka_run_group_tests_name(suite->ops->name, without_making, NULL, NULL)
               : cmocka_run_group_tests_name(suite->ops->name, all, NULL, NULL);
}
