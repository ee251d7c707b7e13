#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "instance/"
/* The last of enum world_wish and enum world_rung (core/world.h). */
#define WISH_LAST    4
#define RUNG_LAST    5
#define CAPTURE_LAST 2 /* Of enum world_capture. */

/* Stored: append only. */
enum instance_tag {
    INSTANCE_ID = 1,
    INSTANCE_GROUP = 2,
    INSTANCE_ZONE = 3,
    INSTANCE_PROVIDER = 4,
    INSTANCE_MACHINE = 5,
    INSTANCE_ADDRESS = 6,
    INSTANCE_PORT = 7,
    INSTANCE_USER = 8,
    INSTANCE_HOST_KEY = 9,
    INSTANCE_TEMPLATE = 10,
    INSTANCE_LIFECYCLE = 11,
    INSTANCE_CREATED = 12,
    INSTANCE_LAUNCHED = 13,
    INSTANCE_CONFIGURED = 14,
    INSTANCE_SCRIPT_DIGEST = 15,
    INSTANCE_FACTS = 16,
    INSTANCE_ADMITTED = 17,
    INSTANCE_REASON = 18,
    INSTANCE_FAILURES = 19,
    INSTANCE_PROTECT = 20,
    INSTANCE_PAUSED = 21,
    INSTANCE_WISH = 22,
    INSTANCE_RUNG = 23,
    INSTANCE_RUNG_TIME = 24,
    INSTANCE_READY = 25,
    INSTANCE_IN_SERVICE = 26,
    INSTANCE_BOOT_ID = 27,
    INSTANCE_HOOK = 28,
    INSTANCE_IMAGE = 29,
    INSTANCE_BUILD = 30,
    INSTANCE_CONTENT = 31,
    INSTANCE_MACHINE_ID = 32,
    INSTANCE_CAPTURE = 33,
    INSTANCE_UNGREETED = 34,
    INSTANCE_BUILDER = 35,
    INSTANCE_CAPTURER = 36,
    INSTANCE_SEEN_MACHINE_ID = 37,
    INSTANCE_CHANGE_FAILED = 40,
    INSTANCE_VERSION = 41,
    INSTANCE_LAUNCH = 42,
};

static const struct record_text texts[] = {
    {INSTANCE_ID, offsetof(struct record_instance, id)},
    {INSTANCE_GROUP, offsetof(struct record_instance, group)},
    {INSTANCE_ZONE, offsetof(struct record_instance, zone)},
    {INSTANCE_PROVIDER, offsetof(struct record_instance, provider)},
    {INSTANCE_MACHINE, offsetof(struct record_instance, machine)},
    {INSTANCE_ADDRESS, offsetof(struct record_instance, address)},
    {INSTANCE_USER, offsetof(struct record_instance, user)},
    {INSTANCE_HOST_KEY, offsetof(struct record_instance, host_key)},
    {INSTANCE_TEMPLATE, offsetof(struct record_instance, template)},
    {INSTANCE_SCRIPT_DIGEST, offsetof(struct record_instance, script_digest)},
    {INSTANCE_FACTS, offsetof(struct record_instance, facts)},
    {INSTANCE_REASON, offsetof(struct record_instance, reason)},
    {INSTANCE_BOOT_ID, offsetof(struct record_instance, boot_id)},
    {INSTANCE_IMAGE, offsetof(struct record_instance, image)},
    {INSTANCE_BUILD, offsetof(struct record_instance, build)},
    {INSTANCE_CONTENT, offsetof(struct record_instance, content)},
    {INSTANCE_MACHINE_ID, offsetof(struct record_instance, machine_id)},
    {INSTANCE_BUILDER, offsetof(struct record_instance, builder)},
    {INSTANCE_CAPTURER, offsetof(struct record_instance, capturer)},
    {INSTANCE_SEEN_MACHINE_ID, offsetof(struct record_instance, seen_machine_id)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

/* A switch, so that a value appended to the enum is not forgotten here. */
static bool lifecycle_is_known(enum lifecycle lifecycle)
{
    switch (lifecycle) {
    case LIFECYCLE_PENDING:
    case LIFECYCLE_IN_SERVICE:
    case LIFECYCLE_STANDBY:
    case LIFECYCLE_DRAINING:
    case LIFECYCLE_TERMINATING:
    case LIFECYCLE_TERMINATED:
    case LIFECYCLE_QUARANTINED:
    case LIFECYCLE_PENDING_WAIT:
    case LIFECYCLE_TERMINATING_WAIT:
    case LIFECYCLE_DETACHED: return true;
    }
    return false;
}

/* The N of GROUP-N, so that web-2 comes before web-10; -1 for an id that has none. */
static int64_t number_of(const char *id)
{
    const char *dash = strrchr(id, '-');
    int64_t number;
    return dash != NULL && text_to_int(dash + 1, 0, INT64_MAX, &number) ? number : -1;
}

static int compare_void(const void *a, const void *b)
{
    return record_instance_compare(a, b);
}

int record_instance_compare(const struct record_instance *a, const struct record_instance *b)
{
    int groups = strcmp(a->group, b->group);
    if (groups != 0) {
        return groups;
    }
    int64_t number_a = number_of(a->id);
    int64_t number_b = number_of(b->id);
    if (number_a != number_b) {
        return number_a < number_b ? -1 : 1;
    }
    return strcmp(a->id, b->id);
}

void record_instance_deinit(struct record_instance *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_instance){.id = NULL};
}

void record_instance_encode(const struct record_instance *record, struct message *ret_value)
{
    message_init(ret_value, RECORD_INSTANCE);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    message_put_int(ret_value, INSTANCE_PORT, record->port);
    message_put_int(ret_value, INSTANCE_LIFECYCLE, record->lifecycle);
    message_put_int(ret_value, INSTANCE_CREATED, record->created_ms);
    message_put_int(ret_value, INSTANCE_LAUNCHED, record->launched_ms);
    message_put_int(ret_value, INSTANCE_CONFIGURED, record->configured_ms);
    message_put_int(ret_value, INSTANCE_ADMITTED, record->admitted);
    message_put_int(ret_value, INSTANCE_FAILURES, record->failures);
    message_put_int(ret_value, INSTANCE_PROTECT, record->protect);
    message_put_int(ret_value, INSTANCE_PAUSED, record->paused);
    message_put_int(ret_value, INSTANCE_WISH, record->wish);
    message_put_int(ret_value, INSTANCE_RUNG, record->rung);
    message_put_int(ret_value, INSTANCE_RUNG_TIME, record->rung_ms);
    message_put_int(ret_value, INSTANCE_READY, record->ready_ms);
    message_put_int(ret_value, INSTANCE_IN_SERVICE, record->in_service_ms);
    message_put_int(ret_value, INSTANCE_HOOK, record->hook_ms);
    message_put_int(ret_value, INSTANCE_CAPTURE, record->capture);
    message_put_int(ret_value, INSTANCE_UNGREETED, record->ungreeted);
    message_put_int(ret_value, INSTANCE_CHANGE_FAILED, record->change_failed);
    message_put_int(ret_value, INSTANCE_VERSION, record->version);
    message_put_int(ret_value, INSTANCE_LAUNCH, (int64_t)record->launch);
}

/* What is wrong with the numbers of VALUE, or NULL; *RECORD gets them. */
static const char *decode_numbers(struct record_instance *record, const struct message *value)
{
    int64_t lifecycle = message_int(value, INSTANCE_LIFECYCLE, 0);
    int64_t port = message_int(value, INSTANCE_PORT, 0);
    int64_t failures = message_int(value, INSTANCE_FAILURES, 0);
    if (lifecycle < 1 || lifecycle > INT_MAX || !lifecycle_is_known((enum lifecycle)lifecycle)) {
        return "an unknown lifecycle state";
    }
    if (port < 0 || port > 65535) {
        return "no such port";
    }
    if (failures < 0 || failures > INT_MAX) {
        return "an impossible number of failures";
    }
    int64_t wish = message_int(value, INSTANCE_WISH, 0);
    int64_t rung = message_int(value, INSTANCE_RUNG, 0);
    if (wish < 0 || wish > WISH_LAST) {
        return "an unknown wish";
    }
    if (rung < 0 || rung > RUNG_LAST) {
        return "an unknown rung";
    }
    int64_t capture = message_int(value, INSTANCE_CAPTURE, 0);
    if (capture < 0 || capture > CAPTURE_LAST) {
        return "an unknown state of a capture";
    }
    int64_t version = message_int(value, INSTANCE_VERSION, 0);
    if (version < 0 || version > INT_MAX) {
        return "an impossible version of a template";
    }
    record->version = (unsigned)version;
    record->launch = (uint64_t)message_int(value, INSTANCE_LAUNCH, 0);
    record->capture = (int)capture;
    record->wish = (int)wish;
    record->rung = (int)rung;
    record->protect = message_int(value, INSTANCE_PROTECT, 0) != 0;
    record->paused = message_int(value, INSTANCE_PAUSED, 0) != 0;
    record->rung_ms = message_int(value, INSTANCE_RUNG_TIME, 0);
    record->ready_ms = message_int(value, INSTANCE_READY, 0);
    record->in_service_ms = message_int(value, INSTANCE_IN_SERVICE, 0);
    record->hook_ms = message_int(value, INSTANCE_HOOK, 0);
    record->ungreeted = message_int(value, INSTANCE_UNGREETED, 0) != 0;
    record->change_failed = message_int(value, INSTANCE_CHANGE_FAILED, 0) != 0;
    record->lifecycle = (enum lifecycle)lifecycle;
    record->port = (unsigned)port;
    record->failures = (int)failures;
    record->created_ms = message_int(value, INSTANCE_CREATED, 0);
    record->launched_ms = message_int(value, INSTANCE_LAUNCHED, 0);
    record->configured_ms = message_int(value, INSTANCE_CONFIGURED, 0);
    record->admitted = message_int(value, INSTANCE_ADMITTED, 0) != 0;
    return NULL;
}

int record_instance_decode(const struct store_entry *entry, struct record_instance *ret_record,
                           struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_INSTANCE, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_instance record = {.revision = entry->revision};
    record_texts_decode(&record, texts, TEXT_COUNT, &value);
    const char *wrong = decode_numbers(&record, &value);
    if (wrong == NULL && !text_equal(record.id, entry->key + strlen(PREFIX))) {
        wrong = "the id of another instance";
    }
    if (wrong == NULL && record.group == NULL) {
        wrong = "no group";
    }
    message_deinit(&value);
    if (wrong != NULL) {
        record_instance_deinit(&record);
        return record_value_fault(entry, wrong, e);
    }
    *ret_record = record;
    return 0;
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_instance_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_instance_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_instance), decode, deinit};

int record_instance_list(struct store *store, struct record_instance **ret_records,
                         size_t *ret_count, struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    qsort(records, *ret_count, sort.size, compare_void);
    *ret_records = records;
    return 0;
}

void record_instance_list_free(struct record_instance *records, size_t count)
{
    record_list_free(&sort, records, count);
}
