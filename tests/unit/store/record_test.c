/* Records: what is put in comes out, what cannot be used is told with its key. */
#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "conformance/fake_store.h"
#include "core/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The kinds and tags as they are in the stores of users: these numbers must never change. */
enum {
    KIND_LOCK = 1,
    KIND_INSTANCE = 2,
    KIND_ACTION = 3,
    TAG_ID = 1,
    TAG_GROUP = 2,
    TAG_PORT = 7,
    TAG_LIFECYCLE = 11,
    TAG_FAILURES = 19,
    TAG_WISH = 22,
    TAG_RUNG = 23,
    TAG_CAPTURE = 33,
    TAG_UNKNOWN = 900,
};

static struct record_instance sample(void)
{
    return (struct record_instance){
        .id = "web-1",
        .group = "web",
        .zone = "rack-a",
        .provider = "kvm-a",
        .machine = "r1u07",
        .address = "10.77.1.10",
        .port = 2222,
        .user = "admin",
        .host_key = "ssh-ed25519 AAAA",
        .template = "web",
        .lifecycle = LIFECYCLE_DRAINING,
        .created_ms = 1,
        .launched_ms = 2,
        .configured_ms = INT64_MAX,
        .script_digest = "abc",
        .facts = "{\"memory_mb\": 512}",
        .admitted = true,
        .reason = "apt: no space left on device",
        .failures = 3,
        .protect = true,
        .wish = 2,
        .rung = 3,
        .rung_ms = 4,
        .ready_ms = 5,
        .in_service_ms = 6,
        .boot_id = "b",
        .hook_ms = 7,
        .capture = 2,
        .image = "web@3",
        .build = "5f0c",
        .content = "ab12",
        .machine_id = "0123",
        .ungreeted = true,
        .builder = "4711 1 b",
        .capturer = "4712 1 b web@4",
        .change_failed = true,
        .version = 7,
        .launch = UINT64_MAX,
    };
}

static struct store_entry entry_of(const char *key, const struct message *value)
{
    return (struct store_entry){.key = (char *)(uintptr_t)key,
                                .value = value->bytes.text,
                                .length = value->bytes.length,
                                .revision = 42};
}

static void assert_same_instance(const struct record_instance *a, const struct record_instance *b)
{
    assert_true(text_equal(a->id, b->id));
    assert_true(text_equal(a->group, b->group));
    assert_true(text_equal(a->zone, b->zone));
    assert_true(text_equal(a->provider, b->provider));
    assert_true(text_equal(a->machine, b->machine));
    assert_true(text_equal(a->address, b->address));
    assert_int_equal(a->port, b->port);
    assert_true(text_equal(a->user, b->user));
    assert_true(text_equal(a->host_key, b->host_key));
    assert_true(text_equal(a->template, b->template));
    assert_int_equal(a->lifecycle, b->lifecycle);
    assert_int_equal(a->created_ms, b->created_ms);
    assert_int_equal(a->launched_ms, b->launched_ms);
    assert_int_equal(a->configured_ms, b->configured_ms);
    assert_true(text_equal(a->script_digest, b->script_digest));
    assert_true(text_equal(a->facts, b->facts));
    assert_int_equal(a->admitted, b->admitted);
    assert_true(text_equal(a->reason, b->reason));
    assert_int_equal(a->failures, b->failures);
    assert_int_equal(a->protect, b->protect);
    assert_int_equal(a->paused, b->paused);
    assert_int_equal(a->wish, b->wish);
    assert_int_equal(a->rung, b->rung);
    assert_int_equal(a->rung_ms, b->rung_ms);
    assert_int_equal(a->ready_ms, b->ready_ms);
    assert_int_equal(a->in_service_ms, b->in_service_ms);
    assert_true(text_equal(a->boot_id, b->boot_id));
    assert_int_equal(a->hook_ms, b->hook_ms);
    assert_int_equal(a->capture, b->capture);
    assert_true(text_equal(a->image, b->image));
    assert_true(text_equal(a->build, b->build));
    assert_true(text_equal(a->content, b->content));
    assert_true(text_equal(a->machine_id, b->machine_id));
    assert_int_equal(a->ungreeted, b->ungreeted);
    assert_true(text_equal(a->builder, b->builder));
    assert_true(text_equal(a->capturer, b->capturer));
    assert_int_equal(a->change_failed, b->change_failed);
    assert_int_equal(a->version, b->version);
    assert_true(a->launch == b->launch);
}

static void an_instance_comes_back(void **state)
{
    (void)state;
    struct record_instance least = {
        .id = "db-1", .group = "db", .lifecycle = LIFECYCLE_TERMINATING_WAIT};
    const struct record_instance records[] = {sample(), least};
    const char *const keys[] = {"instance/web-1", "instance/db-1"};
    for (size_t i = 0; i < COUNT(records); i++) {
        struct message value = MESSAGE_NULL;
        record_instance_encode(&records[i], &value);
        struct store_entry entry = entry_of(keys[i], &value);
        struct record_instance back;
        struct err e = ERR_NULL;
        assert_int_equal(record_instance_decode(&entry, &back, &e), 0);
        assert_same_instance(&back, &records[i]);
        assert_int_equal(back.revision, 42);
        record_instance_deinit(&back);
        record_instance_deinit(&back); /* Idempotent. */
        message_deinit(&value);
    }
}

static void an_action_comes_back(void **state)
{
    (void)state;
    const struct record_action record = {.id = "00000012-configure-web-1",
                                         .kind = "configure",
                                         .instance = "web-1",
                                         .reason = "S11: never configured",
                                         .epoch = 7,
                                         .started_ms = 1700000000000};
    struct message value = MESSAGE_NULL;
    record_action_encode(&record, &value);
    struct store_entry entry = entry_of("action/00000012-configure-web-1", &value);
    struct record_action back;
    struct err e = ERR_NULL;
    assert_int_equal(record_action_decode(&entry, &back, &e), 0);
    assert_string_equal(back.id, record.id);
    assert_string_equal(back.kind, record.kind);
    assert_string_equal(back.instance, record.instance);
    assert_string_equal(back.reason, record.reason);
    assert_int_equal(back.epoch, 7);
    assert_int_equal(back.started_ms, 1700000000000);
    assert_int_equal(back.revision, 42);
    record_action_deinit(&back);
    message_deinit(&value);
}

static void every_state_comes_back(void **state)
{
    (void)state;
    for (int i = LIFECYCLE_PENDING; i <= LIFECYCLE_DETACHED; i++) {
        struct record_instance record = {.id = "web-1",
                                         .group = "web",
                                         .lifecycle = (enum lifecycle)i,
                                         .wish = WORLD_WISH_DETACH,
                                         .rung = WORLD_RUNG_QUARANTINE,
                                         .paused = true};
        struct message value = MESSAGE_NULL;
        record_instance_encode(&record, &value);
        struct store_entry entry = entry_of("instance/web-1", &value);
        struct record_instance back;
        struct err e = ERR_NULL;
        assert_int_equal(record_instance_decode(&entry, &back, &e), 0);
        assert_same_instance(&back, &record);
        assert_string_not_equal(lifecycle_to_string(back.lifecycle), "unknown");
        record_instance_deinit(&back);
        message_deinit(&value);
    }
    assert_string_equal(lifecycle_to_string(LIFECYCLE_DETACHED), "detached");
}

/* What an older version wrote has none of the newer members. */
static void an_older_instance_comes_back(void **state)
{
    (void)state;
    struct message value = MESSAGE_NULL;
    message_init(&value, KIND_INSTANCE);
    message_put_text(&value, TAG_ID, "web-1");
    message_put_text(&value, TAG_GROUP, "web");
    message_put_int(&value, TAG_LIFECYCLE, LIFECYCLE_IN_SERVICE);
    struct store_entry entry = entry_of("instance/web-1", &value);
    struct record_instance back;
    struct err e = ERR_NULL;
    assert_int_equal(record_instance_decode(&entry, &back, &e), 0);
    struct record_instance wanted = {
        .id = "web-1", .group = "web", .lifecycle = LIFECYCLE_IN_SERVICE};
    assert_same_instance(&back, &wanted);
    record_instance_deinit(&back);
    message_deinit(&value);
}

/* "KIND: TAG TYPE VALUE, ..." of every field. */
static void describe(const struct message *value, struct str *ret_text)
{
    str_addf(ret_text, "%u:", message_kind(value));
    size_t position = 0;
    struct message_field field;
    while (message_next(value, &position, &field)) {
        switch (field.type) {
        case MESSAGE_INT: str_addf(ret_text, " %u=%lld", field.tag, (long long)field.number); break;
        case MESSAGE_TEXT:
            str_addf(ret_text, " %u='%s'", field.tag, (const char *)field.bytes);
            break;
        case MESSAGE_BYTES: str_addf(ret_text, " %u=[%zu]", field.tag, field.length); break;
        case MESSAGE_MESSAGE: str_addf(ret_text, " %u={}", field.tag); break;
        }
    }
}

/* A changed kind or tag would make every store out there unreadable; new ones are fine. */
static void the_stored_form_does_not_change(void **state)
{
    (void)state;
    struct record_instance instance = sample();
    struct record_action action = {.id = "1",
                                   .kind = "launch",
                                   .instance = "web-1",
                                   .reason = "r",
                                   .epoch = 2,
                                   .started_ms = 3};
    struct record_event event = {
        .number = 1, .wall_ms = 2, .subject = "s", .what = "w", .why = "y", .outcome = "o"};
    struct message values[3] = {MESSAGE_NULL, MESSAGE_NULL, MESSAGE_NULL};
    record_instance_encode(&instance, &values[0]);
    record_action_encode(&action, &values[1]);
    record_event_encode(&event, &values[2]);
    static const char *const wanted[] = {
        "2: 1='web-1' 2='web' 3='rack-a' 4='kvm-a' 5='r1u07' 6='10.77.1.10' 8='admin' "
        "9='ssh-ed25519 AAAA' 10='web' 15='abc' 16='{\"memory_mb\": 512}' "
        "18='apt: no space left on device' 27='b' 29='web@3' 30='5f0c' 31='ab12' 32='0123' "
        "35='4711 1 b' 36='4712 1 b web@4' 7=2222 "
        "11=4 12=1 13=2 14=9223372036854775807 17=1 19=3 20=1 21=0 22=2 23=3 24=4 25=5 26=6 28=7 "
        "33=2 34=1 40=1 41=7 42=-1",
        "3: 1='1' 2='launch' 3='web-1' 4='r' 5=2 6=3",
        "4: 1=1 2=2 3='s' 4='w' 5='y' 6='o' 7=[32]",
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        struct str text = STR_NULL;
        describe(&values[i], &text);
        assert_string_equal(str_text(&text), wanted[i]);
        str_deinit(&text);
        message_deinit(&values[i]);
    }
}

static void spoil_kind(struct message *value)
{
    message_init(value, KIND_ACTION);
    message_put_text(value, TAG_ID, "web-1");
}

static void spoil_id(struct message *value)
{
    message_init(value, KIND_INSTANCE);
    message_put_text(value, TAG_ID, "web-2");
    message_put_text(value, TAG_GROUP, "web");
    message_put_int(value, TAG_LIFECYCLE, LIFECYCLE_PENDING);
}

static void spoil_group(struct message *value)
{
    message_init(value, KIND_INSTANCE);
    message_put_text(value, TAG_ID, "web-1");
    message_put_int(value, TAG_LIFECYCLE, LIFECYCLE_PENDING);
}

static void put_numbers(struct message *value, int64_t lifecycle, int64_t port, int64_t failures)
{
    message_init(value, KIND_INSTANCE);
    message_put_text(value, TAG_ID, "web-1");
    message_put_text(value, TAG_GROUP, "web");
    message_put_int(value, TAG_LIFECYCLE, lifecycle);
    message_put_int(value, TAG_PORT, port);
    message_put_int(value, TAG_FAILURES, failures);
}

static void spoil_lifecycle(struct message *value)
{
    put_numbers(value, 11, 22, 0);
}

static void spoil_lifecycle_wide(struct message *value)
{
    put_numbers(value, (1ll << 32) + 1, 22, 0); /* Must not be cut to PENDING. */
}

static void spoil_lifecycle_zero(struct message *value)
{
    put_numbers(value, 0, 22, 0);
}

static void spoil_port(struct message *value)
{
    put_numbers(value, LIFECYCLE_PENDING, 65536, 0);
}

static void spoil_failures(struct message *value)
{
    put_numbers(value, LIFECYCLE_PENDING, 22, -1);
}

static void spoil_wish(struct message *value)
{
    put_numbers(value, LIFECYCLE_PENDING, 22, 0);
    message_put_int(value, TAG_WISH, WORLD_WISH_REFRESH + 1);
}

static void spoil_rung(struct message *value)
{
    put_numbers(value, LIFECYCLE_PENDING, 22, 0);
    message_put_int(value, TAG_RUNG, WORLD_RUNG_QUARANTINE + 1);
}

static void spoil_capture(struct message *value)
{
    put_numbers(value, LIFECYCLE_PENDING, 22, 0);
    message_put_int(value, TAG_CAPTURE, WORLD_CAPTURE_GRANTED + 1);
}

static void spoil_end(struct message *value)
{
    struct record_instance record = sample();
    record_instance_encode(&record, value);
    value->bytes.length--;
}

static void spoil_all(struct message *value)
{
    message_init(value, KIND_INSTANCE);
    value->bytes.length = 0;
}

static void add_unknown(struct message *value)
{
    put_numbers(value, LIFECYCLE_STANDBY, 22, 0);
    message_put_text(value, TAG_UNKNOWN, "from the future");
}

static void what_cannot_be_used_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        void (*spoil)(struct message *value);
        const char *word; /* NULL: it can be used. */
    } cases[] = {
        {"instance/web-1", add_unknown, NULL},
        {"instance/web-1", spoil_kind, "another kind"},
        {"instance/web-1", spoil_id, "another instance"},
        {"instance/web-1", spoil_group, "no group"},
        {"instance/web-1", spoil_lifecycle, "lifecycle"},
        {"instance/web-1", spoil_lifecycle_wide, "lifecycle"},
        {"instance/web-1", spoil_lifecycle_zero, "lifecycle"},
        {"instance/web-1", spoil_port, "port"},
        {"instance/web-1", spoil_failures, "failures"},
        {"instance/web-1", spoil_wish, "an unknown wish"},
        {"instance/web-1", spoil_rung, "an unknown rung"},
        {"instance/web-1", spoil_capture, "an unknown state of a capture"},
        {"instance/web-1", spoil_end, "instance/web-1"},
        {"instance/web-1", spoil_all, "instance/web-1"},
        {"action/web-1", add_unknown, "not under the key"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message value = MESSAGE_NULL;
        cases[i].spoil(&value);
        struct store_entry entry = entry_of(cases[i].key, &value);
        struct record_instance record = {.id = NULL};
        struct err e = ERR_NULL;
        int result = record_instance_decode(&entry, &record, &e);
        if (cases[i].word == NULL) {
            assert_int_equal(result, 0);
            assert_int_equal(record.lifecycle, LIFECYCLE_STANDBY);
        } else {
            assert_int_equal(result, -1);
            if (strstr(e.text, cases[i].word) == NULL || strstr(e.text, cases[i].key) == NULL) {
                fail_msg("case %zu: '%s' has no '%s'", i, e.text, cases[i].word);
            }
            assert_null(record.id);
        }
        record_instance_deinit(&record);
        message_deinit(&value);
    }
}

/* Every truncation and some thousand flipped bits: a fault or a record, never a crash. */
static void any_damage_is_survived(void **state)
{
    (void)state;
    struct record_instance whole = sample();
    struct message value = MESSAGE_NULL;
    record_instance_encode(&whole, &value);
    for (size_t length = 0; length < value.bytes.length; length++) {
        char *cut = xcalloc(length, 1); /* Of its own size, so that a read beyond it is seen. */
        memcpy(cut, value.bytes.text, length);
        struct store_entry entry = {.key = "instance/web-1", .value = cut, .length = length};
        struct record_instance record = {.id = NULL};
        struct err e = ERR_NULL;
        if (record_instance_decode(&entry, &record, &e) == 0) {
            assert_string_equal(record.id, "web-1");
        }
        record_instance_deinit(&record);
        free(cut);
    }
    for (size_t bit = 0; bit < value.bytes.length * 8; bit++) {
        value.bytes.text[bit / 8] = (char)(value.bytes.text[bit / 8] ^ (1 << bit % 8));
        struct store_entry entry = entry_of("instance/web-1", &value);
        struct record_instance record = {.id = NULL};
        struct err e = ERR_NULL;
        if (record_instance_decode(&entry, &record, &e) == 0) {
            assert_string_equal(record.id, "web-1");
        }
        record_instance_deinit(&record);
        value.bytes.text[bit / 8] = (char)(value.bytes.text[bit / 8] ^ (1 << bit % 8));
    }
    message_deinit(&value);
}

static void put(struct store *store, const char *key, const struct message *value)
{
    struct store_write write = {
        .key = key, .value = value->bytes.text, .length = value->bytes.length};
    enum store_outcome outcome;
    struct err e = ERR_NULL;
    assert_int_equal(store_commit(store, NULL, 0, &write, 1, &outcome, NULL, &e), 0);
}

static void put_instance(struct store *store, const char *id, const char *group)
{
    struct record_instance record = {.id = (char *)(uintptr_t)id,
                                     .group = (char *)(uintptr_t)group,
                                     .lifecycle = LIFECYCLE_PENDING};
    struct message value = MESSAGE_NULL;
    record_instance_encode(&record, &value);
    char *key = xasprintf("instance/%s", id);
    put(store, key, &value);
    free(key);
    message_deinit(&value);
}

static void instances_are_listed_by_group_and_number(void **state)
{
    (void)state;
    struct fake_store *space = fake_store_new();
    struct store store = fake_store_open(space);
    struct err e = ERR_NULL;
    struct record_instance *records;
    size_t count = 9;
    assert_int_equal(record_instance_list(&store, &records, &count, &e), 0);
    assert_int_equal(count, 0);
    record_instance_list_free(records, count);

    static const char *const put_in[][2] = {{"web-10", "web"},
                                            {"web-2", "web"},
                                            {"web-1", "web"},
                                            {"db-1", "db"},
                                            {"web-a-1", "web-a"},
                                            {"web-100", "web"},
                                            {"web-99999999999999999999", "web"},
                                            {"web", "web"},
                                            {"zz-1", "a-group"},
                                            {"web-a-10", "web-a"},
                                            {"web-a-9", "web-a"}};
    static const char *const wanted[] = {
        "zz-1",    "db-1",    "web",     "web-99999999999999999999",
        "web-1",   "web-2",   "web-10",  "web-100",
        "web-a-1", "web-a-9", "web-a-10"};
    for (size_t i = 0; i < COUNT(put_in); i++) {
        put_instance(&store, put_in[i][0], put_in[i][1]);
    }
    struct message other = MESSAGE_NULL;
    message_init(&other, KIND_LOCK);
    put(&store, "instances", &other); /* A neighbour that is none of them. */
    message_deinit(&other);
    assert_int_equal(record_instance_list(&store, &records, &count, &e), 0);
    assert_int_equal(count, COUNT(wanted));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(records[i].id, wanted[i]);
        assert_true(records[i].revision > 0);
    }
    record_instance_list_free(records, count);

    fake_store_damage(space, "instance/web-2");
    assert_int_equal(record_instance_list(&store, &records, &count, &e), -1);
    assert_non_null(strstr(e.text, "instance/web-2"));
    store_close(&store);
    fake_store_free(space);
}

static void one_bad_record_fails_the_list(void **state)
{
    (void)state;
    struct fake_store *space = fake_store_new();
    struct store store = fake_store_open(space);
    put_instance(&store, "web-1", "web");
    struct message bad = MESSAGE_NULL;
    spoil_kind(&bad);
    put(&store, "instance/web-2", &bad);
    put(&store, "action/web-2", &bad);
    message_deinit(&bad);
    struct err e = ERR_NULL;
    struct record_instance *records;
    struct record_action *actions;
    size_t count;
    assert_int_equal(record_instance_list(&store, &records, &count, &e), -1);
    assert_non_null(strstr(e.text, "instance/web-2"));
    assert_int_equal(record_action_list(&store, &actions, &count, &e), -1);
    assert_non_null(strstr(e.text, "action/web-2"));
    store_close(&store);
    fake_store_free(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instance_comes_back),
        cmocka_unit_test(every_state_comes_back),
        cmocka_unit_test(an_older_instance_comes_back),
        cmocka_unit_test(an_action_comes_back),
        cmocka_unit_test(the_stored_form_does_not_change),
        cmocka_unit_test(what_cannot_be_used_is_told),
        cmocka_unit_test(any_damage_is_survived),
        cmocka_unit_test(instances_are_listed_by_group_and_number),
        cmocka_unit_test(one_bad_record_fails_the_list),
    };
    return cmocka_run_group_tests_name("store/record", tests, NULL, NULL);
}
