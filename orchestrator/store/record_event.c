#include "store/record.h"

#include "base/err.h"
#include "base/mem.h"
#include "net/digest.h"
#include "store/record_event.h"
#include "store/record_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "event/"
/* How many events the check of the chain holds at a time. */
#define PAGE 256

/* Stored: append only. */
enum event_tag {
    EVENT_NUMBER = 1,
    EVENT_WALL = 2,
    EVENT_SUBJECT = 3,
    EVENT_WHAT = 4,
    EVENT_WHY = 5,
    EVENT_OUTCOME = 6,
    EVENT_PREVIOUS = 7,
};
enum head_tag {
    HEAD_NUMBER = 1,
    HEAD_DIGEST = 2,
};

static const struct record_text texts[] = {
    {EVENT_SUBJECT, offsetof(struct record_event, subject)},
    {EVENT_WHAT, offsetof(struct record_event, what)},
    {EVENT_WHY, offsetof(struct record_event, why)},
    {EVENT_OUTCOME, offsetof(struct record_event, outcome)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

_Static_assert(sizeof(((struct record_event *)NULL)->previous) == DIGEST_SIZE,
               "an event's link is a digest");
_Static_assert(sizeof(((struct record_event_head *)NULL)->digest) == DIGEST_SIZE,
               "the head names an event by its digest");

void record_event_key(uint64_t number, char ret_key[RECORD_EVENT_KEY_SIZE])
{
    snprintf(ret_key, RECORD_EVENT_KEY_SIZE, PREFIX "%016" PRIx64, number);
}

void record_event_deinit(struct record_event *record)
{
    record_texts_free(record, texts, TEXT_COUNT);
    *record = (struct record_event){.number = 0};
}

void record_event_encode(const struct record_event *record, struct message *ret_value)
{
    message_init(ret_value, RECORD_EVENT);
    message_put_int(ret_value, EVENT_NUMBER, (int64_t)record->number);
    message_put_int(ret_value, EVENT_WALL, record->wall_ms);
    record_texts_encode(record, texts, TEXT_COUNT, ret_value);
    message_put_bytes(ret_value, EVENT_PREVIOUS, record->previous, sizeof(record->previous));
}

/* What is wrong with VALUE as the event under KEY, or NULL; *RECORD gets it. */
static const char *decode(struct record_event *record, const struct message *value, const char *key)
{
    record_texts_decode(record, texts, TEXT_COUNT, value);
    record->number = (uint64_t)message_int(value, EVENT_NUMBER, 0);
    record->wall_ms = message_int(value, EVENT_WALL, 0);
    size_t length;
    const void *previous = message_bytes(value, EVENT_PREVIOUS, &length);
    if (previous == NULL || length != sizeof(record->previous)) {
        return "no link to the event before";
    }
    memcpy(record->previous, previous, length);
    char wanted[RECORD_EVENT_KEY_SIZE];
    record_event_key(record->number, wanted);
    return record->number == 0 || strcmp(wanted, key) != 0 ? "the number of another event" : NULL;
}

int record_event_decode(const struct store_entry *entry, struct record_event *ret_record,
                        struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_EVENT, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_event record = {.number = 0};
    const char *wrong = decode(&record, &value, entry->key);
    message_deinit(&value);
    if (wrong != NULL) {
        record_event_deinit(&record);
        return record_value_fault(entry, wrong, e);
    }
    *ret_record = record;
    return 0;
}

int record_event_list(struct store *store, size_t limit, struct record_event **ret_records,
                      size_t *ret_count, struct err *e)
{
    struct store_entry *entries;
    size_t count;
    if (store_range(store, PREFIX, NULL, true, limit, &entries, &count, e) != 0) {
        return -1;
    }
    struct record_event *records = xcalloc(count, sizeof(*records));
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = record_event_decode(&entries[i], &records[count - 1 - i], e);
    }
    store_entries_free(entries, count);
    if (result != 0) {
        record_event_list_free(records, count);
        return -1;
    }
    *ret_records = records;
    *ret_count = count;
    return 0;
}

void record_event_list_free(struct record_event *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        record_event_deinit(&records[i]);
    }
    free(records);
}

void record_event_head_encode(const struct record_event_head *head, struct message *ret_value)
{
    message_init(ret_value, RECORD_EVENT_HEAD);
    message_put_int(ret_value, HEAD_NUMBER, (int64_t)head->number);
    message_put_bytes(ret_value, HEAD_DIGEST, head->digest, sizeof(head->digest));
}

static int decode_head(const struct store_entry *entry, struct record_event_head *ret_head,
                       struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_EVENT_HEAD, RECORD_EVENT_HEAD_KEY, &value, e) != 0) {
        return -1;
    }
    struct record_event_head head = {.number = (uint64_t)message_int(&value, HEAD_NUMBER, 0)};
    size_t length;
    const void *digest = message_bytes(&value, HEAD_DIGEST, &length);
    bool whole = digest != NULL && length == sizeof(head.digest) && head.number > 0;
    if (whole) {
        memcpy(head.digest, digest, length);
    }
    message_deinit(&value);
    if (!whole) {
        return record_value_fault(entry, "it names no event", e);
    }
    *ret_head = head;
    return 0;
}

int record_event_head_read(struct store *store, bool *ret_found, struct record_event_head *ret_head,
                           struct err *e)
{
    bool found;
    struct store_entry entry = {.key = NULL};
    struct record_event_head head = {.number = 0};
    if (store_get(store, RECORD_EVENT_HEAD_KEY, &found, &entry, e) != 0) {
        return -1;
    }
    int result = found ? decode_head(&entry, &head, e) : 0;
    store_entry_deinit(&entry);
    if (result == 0) {
        *ret_found = found;
        *ret_head = head;
    }
    return result;
}

/* The newest event that is there. */
static int read_newest(struct store *store, struct record_event_head *ret_newest, struct err *e)
{
    struct store_entry *entries;
    size_t count;
    if (store_range(store, PREFIX, NULL, true, 1, &entries, &count, e) != 0) {
        return -1;
    }
    struct record_event record = {.number = 0};
    int result = count == 0 ? 0 : record_event_decode(&entries[0], &record, e);
    if (result == 0) {
        *ret_newest = (struct record_event_head){.number = record.number};
        if (count > 0) {
            digest_bytes(entries[0].value, entries[0].length, ret_newest->digest);
        }
    }
    record_event_deinit(&record);
    store_entries_free(entries, count);
    return result;
}

int record_event_last(struct store *store, struct record_event_head *ret_last, struct err *e)
{
    bool found;
    struct record_event_head head;
    struct record_event_head newest;
    if (record_event_head_read(store, &found, &head, e) != 0 ||
        read_newest(store, &newest, e) != 0) {
        return -1;
    }
    *ret_last = found && head.number >= newest.number ? head : newest;
    return 0;
}

/* Where the walk along the chain is. */
struct chain {
    struct record_event_head last; /* The last event seen; number 0: none yet. */
    struct record_event_head head; /* What there must be; number 0: not known. */
};

static int check_link(struct chain *chain, const struct store_entry *entry, struct err *e)
{
    struct record_event record;
    if (record_event_decode(entry, &record, e) != 0) {
        return -1;
    }
    uint64_t number = record.number;
    bool linked = memcmp(record.previous, chain->last.digest, DIGEST_SIZE) == 0;
    record_event_deinit(&record);
    if (number != chain->last.number + 1) {
        return err_set(e,
                       "event %" PRIu64 " is missing (%" PRIu64 " comes next): events were removed "
                       "from the log; compare it with a backup",
                       chain->last.number + 1, number);
    }
    if (!linked) {
        return err_set(e,
                       "event %" PRIu64 " does not link to the one before it: event %" PRIu64
                       " or %" PRIu64 " was changed after it was written; compare with a backup",
                       number, number - 1, number);
    }
    chain->last.number = number;
    digest_bytes(entry->value, entry->length, chain->last.digest);
    if (number == chain->head.number &&
        memcmp(chain->last.digest, chain->head.digest, DIGEST_SIZE) != 0) {
        return err_set(e,
                       "event %" PRIu64 " is not the one that was written as the newest: it was "
                       "changed since; compare it with a backup",
                       number);
    }
    return 0;
}

/* What was the newest event must be there still. Events after it are fine: while the chain is
   walked a controller goes on, and versions that know no head add theirs behind it. */
static int check_end(const struct chain *chain, struct err *e)
{
    if (chain->last.number >= chain->head.number) {
        return 0;
    }
    return err_set(e,
                   "event %" PRIu64 " is missing (%" PRIu64 " was the newest): the end of the log "
                   "was cut off; compare it with a backup",
                   chain->last.number + 1, chain->head.number);
}

int record_event_verify(struct store *store, size_t *ret_count, struct err *e)
{
    struct chain chain = {.last = {.number = 0}};
    char after[RECORD_EVENT_KEY_SIZE];
    bool found;
    size_t count;
    /* Before the walk, so that events written meanwhile are not missed. */
    if (record_event_head_read(store, &found, &chain.head, e) != 0) {
        return -1;
    }
    do {
        struct store_entry *entries;
        record_event_key(chain.last.number, after);
        /* From the very first key on, also what sorts before event 1. */
        if (store_range(store, PREFIX, chain.last.number == 0 ? NULL : after, false, PAGE, &entries,
                        &count, e) != 0) {
            return -1;
        }
        int result = 0;
        for (size_t i = 0; i < count && result == 0; i++) {
            result = check_link(&chain, &entries[i], e);
        }
        store_entries_free(entries, count);
        if (result != 0) {
            return -1;
        }
    } while (count == PAGE);
    if (check_end(&chain, e) != 0) {
        return -1;
    }
    *ret_count = (size_t)chain.last.number;
    return 0;
}
