#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX   "request/"
#define KEY_SIZE 25 /* PREFIX, 16 hex digits, NUL. */
/* The number that was given last: a request that is taken in leaves nothing else behind. */
#define LAST_KEY "request-last"
/* How often to try when other commands ask at the same moment. Each try that fails is one of theirs
   that did not. */
#define TRIES RECORD_REQUESTS_MAX

/* Stored: append only. */
enum request_tag {
    REQUEST_KIND = 1,
    REQUEST_SUBJECT = 2,
    REQUEST_VALUE = 3,
    REQUEST_WORD = 4,
    REQUEST_WHO = 5,
    REQUEST_WALL = 6,
};

enum last_tag { LAST_NUMBER = 1 };

static const struct record_text texts[] = {
    {REQUEST_SUBJECT, offsetof(struct record_request, subject)},
    {REQUEST_WORD, offsetof(struct record_request, word)},
    {REQUEST_WHO, offsetof(struct record_request, who)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

const char *record_request_kind_to_string(enum record_request_kind kind)
{
    switch (kind) {
    case RECORD_REQUEST_SCALE: return "scale";
    case RECORD_REQUEST_STANDBY: return "standby";
    case RECORD_REQUEST_IN_SERVICE: return "in-service";
    case RECORD_REQUEST_PROTECT: return "protect";
    case RECORD_REQUEST_UNPROTECT: return "unprotect";
    case RECORD_REQUEST_REPLACE: return "replace";
    case RECORD_REQUEST_DETACH: return "detach";
    case RECORD_REQUEST_ATTACH: return "attach";
    case RECORD_REQUEST_SUSPEND: return "suspend";
    case RECORD_REQUEST_RESUME: return "resume";
    case RECORD_REQUEST_PAUSE: return "pause";
    case RECORD_REQUEST_UNPAUSE: return "unpause";
    case RECORD_REQUEST_RETRY: return "retry";
    case RECORD_REQUEST_TERMINATE: return "terminate";
    case RECORD_REQUEST_HOOK_CONTINUE: return "hook continue";
    case RECORD_REQUEST_HOOK_ABANDON: return "hook abandon";
    case RECORD_REQUEST_HOOK_HEARTBEAT: return "hook heartbeat";
    case RECORD_REQUEST_REFRESH: return "refresh";
    case RECORD_REQUEST_REFRESH_CONTINUE: return "refresh continue";
    case RECORD_REQUEST_REFRESH_CANCEL: return "refresh cancel";
    case RECORD_REQUEST_BUILD: return "build";
    case RECORD_REQUEST_BUILD_END: return "build end";
    case RECORD_REQUEST_CAPTURE: return "capture";
    case RECORD_REQUEST_CAPTURE_END: return "capture end";
    case RECORD_REQUEST_REFRESH_ROLLBACK: return "refresh rollback";
    }
    return "unknown";
}

void record_request_deinit(struct record_request *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_request){.number = 0};
}

void record_request_encode(const struct record_request *record, struct message *ret_value)
{
    message_init(ret_value, RECORD_REQUEST);
    message_put_int(ret_value, REQUEST_KIND, record->kind);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    message_put_int(ret_value, REQUEST_VALUE, record->value);
    message_put_int(ret_value, REQUEST_WALL, record->wall_ms);
}

static void key_of(uint64_t number, char ret_key[KEY_SIZE])
{
    snprintf(ret_key, KEY_SIZE, PREFIX "%016" PRIx64, number);
}

/* Only the very key that we would have written is one. */
static bool number_from_key(const char *key, uint64_t *ret_number)
{
    char wanted[KEY_SIZE];
    uint64_t number = strtoull(key + strlen(PREFIX), NULL, 16);
    key_of(number, wanted);
    *ret_number = number;
    return number > 0 && strcmp(wanted, key) == 0;
}

int record_request_decode(const struct store_entry *entry, struct record_request *ret_record,
                          struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_REQUEST, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_request record = {.value = message_int(&value, REQUEST_VALUE, 0),
                                    .wall_ms = message_int(&value, REQUEST_WALL, 0)};
    /* A kind that a newer command wrote is the controller's to refuse, with a word to who asked. */
    int64_t kind = message_int(&value, REQUEST_KIND, 0);
    record.kind = kind < 0 || kind > UINT16_MAX ? (enum record_request_kind)0
                                                : (enum record_request_kind)kind;
    record_texts_decode(&record, texts, TEXT_COUNT, &value);
    message_deinit(&value);
    if (!number_from_key(entry->key, &record.number)) {
        record_request_deinit(&record);
        return record_value_fault(entry, "no number of a request", e);
    }
    *ret_record = record;
    return 0;
}

/* The number that was given last, and the revision of that record; 0 and 0 when none was. */
static int last_given(struct store *store, uint64_t *ret_number, int64_t *ret_revision,
                      struct err *e)
{
    struct store_entry entry;
    struct message value;
    bool found;
    *ret_number = 0;
    *ret_revision = 0;
    if (store_get(store, LAST_KEY, &found, &entry, e) != 0) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    int result = record_value_open(&entry, RECORD_REQUEST_LAST, LAST_KEY, &value, e);
    if (result == 0) {
        int64_t number = message_int(&value, LAST_NUMBER, 0);
        *ret_number = (uint64_t)number;
        *ret_revision = entry.revision;
        result = number > 0 ? 0 : record_value_fault(&entry, "no number", e);
        message_deinit(&value);
    }
    store_entry_deinit(&entry);
    return result;
}

/* The number of the newest that waits, 0 for none; and how many wait. */
static int newest_waiting(struct store *store, uint64_t *ret_number, size_t *ret_count,
                          struct err *e)
{
    struct store_entry *entries;
    size_t count;
    if (store_range(store, PREFIX, NULL, false, 0, &entries, &count, e) != 0) {
        return -1;
    }
    uint64_t last = 0;
    int result = 0;
    if (count > 0 && !number_from_key(entries[count - 1].key, &last)) {
        result = record_value_fault(&entries[count - 1], "no number of a request", e);
    }
    store_entries_free(entries, count);
    if (result == 0) {
        *ret_number = last;
        *ret_count = count;
    }
    return result;
}

/* The next that was never given. */
struct next {
    uint64_t number;
    int64_t last_revision; /* Of the record of the one before it. */
    size_t waiting;
};

static int next_number(struct store *store, struct next *ret_next, struct err *e)
{
    uint64_t given;
    uint64_t newest;
    /* A store of before numbers were kept has only those that wait. */
    if (last_given(store, &given, &ret_next->last_revision, e) != 0 ||
        newest_waiting(store, &newest, &ret_next->waiting, e) != 0) {
        return -1;
    }
    ret_next->number = (given > newest ? given : newest) + 1;
    return 0;
}

/* One try: *ret_outcome STORE_CONFLICT when another command took the number. */
static int try_put(struct store *store, const struct record_request *request,
                   const struct next *next, enum store_outcome *ret_outcome, struct err *e)
{
    char key[KEY_SIZE];
    key_of(next->number, key);
    struct message value = MESSAGE_NULL;
    struct message last = MESSAGE_NULL;
    record_request_encode(request, &value);
    message_init(&last, RECORD_REQUEST_LAST);
    message_put_int(&last, LAST_NUMBER, (int64_t)next->number);
    const struct store_compare compares[] = {{.key = key, .revision = 0},
                                             {.key = LAST_KEY, .revision = next->last_revision}};
    const struct store_write writes[] = {
        {.key = key, .value = value.bytes.text, .length = value.bytes.length},
        {.key = LAST_KEY, .value = last.bytes.text, .length = last.bytes.length}};
    int result = store_commit(store, compares, 2, writes, 2, ret_outcome, NULL, e);
    message_deinit(&value);
    message_deinit(&last);
    return result;
}

int record_request_put(struct store *store, const struct record_request *request,
                       uint64_t *ret_number, struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        struct next next;
        enum store_outcome outcome;
        if (next_number(store, &next, e) != 0) {
            return -1;
        }
        if (next.waiting >= RECORD_REQUESTS_MAX) {
            return err_set(e,
                           "%d requests wait already and no controller takes them in; start "
                           "'lamplighter run'",
                           RECORD_REQUESTS_MAX);
        }
        if (try_put(store, request, &next, &outcome, e) != 0) {
            return -1;
        }
        if (outcome == STORE_DONE) {
            *ret_number = next.number;
            return 0;
        }
    }
    return err_set(e, "too many commands ask at the same time; try again");
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_request_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_request_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_request), decode, deinit};

int record_request_list(struct store *store, struct record_request **ret_records, size_t *ret_count,
                        struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    *ret_records = records;
    return 0;
}

void record_request_list_free(struct record_request *records, size_t count)
{
    record_list_free(&sort, records, count);
}
