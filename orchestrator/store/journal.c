/*
 * The journal holds the lock of who acts for as long as it is open. It never renews it: on one
 * machine, an owner that lives keeps it and one that is gone loses it. Every commit compares the
 * lock's revision, so an owner that was taken for dead (and whose lock was taken over) writes
 * nothing more, whatever it believes.
 *
 * The lock is compared, not written, by a commit: its revision is that of its taking.
 */
#include "store/record.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/record_event.h"
#include "store/record_lock.h"
#include "store/record_value.h"
#include "store/record_view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often to try when others change the lock at the same time. */
#define TRIES 20

struct queued {
    char *key;            /* Owned. */
    struct message value; /* Owned; unused when REMOVES. */
    bool removes;
    bool repeats; /* Often what the store has already: looked up before it is written. */
};

struct journal {
    struct store *store;     /* Borrowed. */
    struct record_lock lock; /* Owned; ours. */
    int64_t lock_revision;
    struct queued *writes; /* Owned; one for each key. */
    size_t write_count;
    size_t write_capacity;
    struct record_event *events; /* Owned; without number and link yet. */
    size_t event_count;
    size_t event_capacity;
    struct record_event_head last; /* The last event that is durable. */
};

/* The place for a write to KEY, which takes it over: a later write replaces an earlier one. */
static struct queued *queue(struct journal *journal, char *key)
{
    for (size_t i = 0; i < journal->write_count; i++) {
        struct queued *write = &journal->writes[i];
        if (strcmp(write->key, key) == 0) {
            free(key);
            message_deinit(&write->value);
            write->removes = false;
            write->repeats = false;
            return write;
        }
    }
    size_t i = xgrow((void **)&journal->writes, &journal->write_count, &journal->write_capacity,
                     sizeof(*journal->writes));
    journal->writes[i] = (struct queued){.key = key, .value = MESSAGE_NULL};
    return &journal->writes[i];
}

static void clear_queue(struct journal *journal)
{
    for (size_t i = 0; i < journal->write_count; i++) {
        free(journal->writes[i].key);
        message_deinit(&journal->writes[i].value);
    }
    for (size_t i = 0; i < journal->event_count; i++) {
        record_event_deinit(&journal->events[i]);
    }
    journal->write_count = 0;
    journal->event_count = 0;
}

static void journal_free(struct journal *journal)
{
    clear_queue(journal);
    free(journal->writes);
    free(journal->events);
    record_lock_deinit(&journal->lock);
    free(journal);
}

/* The queued events as they are written. */
struct chained {
    struct message *values;              /* Owned; one for each event. */
    char (*keys)[RECORD_EVENT_KEY_SIZE]; /* Owned. */
    struct record_event_head head;       /* The last of them. */
    struct message head_value;           /* Owned. */
};

/* Numbers the queued events, links them and encodes them. */
static void chain_events(const struct journal *journal, struct chained *ret_chained)
{
    struct chained chained = {
        .values = xcalloc(journal->event_count, sizeof(*chained.values)),
        .keys = xcalloc(journal->event_count, sizeof(*chained.keys)),
        .head = journal->last,
        .head_value = MESSAGE_NULL,
    };
    for (size_t i = 0; i < journal->event_count; i++) {
        struct record_event *event = &journal->events[i];
        struct message *value = &chained.values[i];
        event->number = ++chained.head.number;
        memcpy(event->previous, chained.head.digest, DIGEST_SIZE);
        *value = MESSAGE_NULL;
        record_event_encode(event, value);
        record_event_key(event->number, chained.keys[i]);
        digest_bytes(value->bytes.text, value->bytes.length, chained.head.digest);
    }
    record_event_head_encode(&chained.head, &chained.head_value);
    *ret_chained = chained;
}

static void free_chained(const struct journal *journal, struct chained *chained)
{
    for (size_t i = 0; i < journal->event_count; i++) {
        message_deinit(&chained->values[i]);
    }
    message_deinit(&chained->head_value);
    free(chained->values);
    free(chained->keys);
}

/* Says why the compares of a commit did not hold. */
static int explain_conflict(struct journal *journal, struct err *e)
{
    bool found;
    struct store_entry entry = {.key = NULL};
    if (store_get(journal->store, RECORD_LOCK_KEY, &found, &entry, e) != 0) {
        return -1;
    }
    int64_t revision = entry.revision;
    struct record_lock lock = {.owner = NULL};
    int result = found ? record_lock_decode(&entry, &lock, e) : 0;
    store_entry_deinit(&entry);
    if (result != 0) {
        return -1;
    }
    if (revision == journal->lock_revision) {
        result = err_set(e,
                         "event %" PRIu64 " is in the store already: an earlier write went through "
                         "although it seemed to fail; start again",
                         journal->last.number + 1);
    } else {
        result =
            err_set(e,
                    "this run no longer has the lock of who acts: now it is with %s (epoch "
                    "%" PRId64 ", ours was %" PRId64 "); nothing more is written",
                    lock.owner == NULL ? "nobody" : lock.owner, lock.epoch, journal->lock.epoch);
    }
    record_lock_deinit(&lock);
    return result;
}

/* One transaction of all that is queued; the events are CHAINED. */
static int write_queue(struct journal *journal, const struct chained *chained,
                       enum store_outcome *ret_outcome, struct err *e)
{
    size_t count = 0;
    bool events = journal->event_count > 0;
    struct store_write *writes =
        xcalloc(journal->write_count + journal->event_count + 1, sizeof(*writes));
    for (size_t i = 0; i < journal->write_count; i++) {
        const struct queued *write = &journal->writes[i];
        writes[count++] = (struct store_write){
            .key = write->key,
            .value = write->removes ? NULL : write->value.bytes.text,
            .length = write->removes ? 0 : write->value.bytes.length,
        };
    }
    for (size_t i = 0; i < journal->event_count; i++) {
        writes[count++] = (struct store_write){.key = chained->keys[i],
                                               .value = chained->values[i].bytes.text,
                                               .length = chained->values[i].bytes.length};
    }
    if (events) {
        writes[count++] = (struct store_write){.key = RECORD_EVENT_HEAD_KEY,
                                               .value = chained->head_value.bytes.text,
                                               .length = chained->head_value.bytes.length};
    }
    struct store_compare compares[] = {
        {.key = RECORD_LOCK_KEY, .revision = journal->lock_revision},
        {.key = events ? chained->keys[0] : NULL, .revision = 0},
    };
    int result =
        store_commit(journal->store, compares, events ? 2 : 1, writes, count, ret_outcome, NULL, e);
    free(writes);
    return result;
}

/* A store that cannot say is asked to write: that says why. */
static bool is_stored(const struct journal *journal, const struct queued *write)
{
    bool found = false;
    struct store_entry entry = {.key = NULL};
    if (store_get(journal->store, write->key, &found, &entry, NULL) != 0 || !found) {
        return false;
    }
    bool same = entry.length == write->value.bytes.length &&
                memcmp(entry.value, write->value.bytes.text, entry.length) == 0;
    store_entry_deinit(&entry);
    return same;
}

/* A look that found a host as it was changes nothing, and a transaction costs a sync of the disk.
 */
static void drop_repeats(struct journal *journal)
{
    size_t kept = 0;
    for (size_t i = 0; i < journal->write_count; i++) {
        struct queued *write = &journal->writes[i];
        if (write->repeats && is_stored(journal, write)) {
            free(write->key);
            message_deinit(&write->value);
        } else {
            write->repeats = false;
            journal->writes[kept++] = *write;
        }
    }
    journal->write_count = kept;
}

int journal_commit(struct journal *journal, struct err *e)
{
    assert(journal->lock.pid == getpid());
    drop_repeats(journal);
    if (journal->write_count == 0 && journal->event_count == 0) {
        return 0;
    }
    struct chained chained;
    chain_events(journal, &chained);
    enum store_outcome outcome;
    int result = write_queue(journal, &chained, &outcome, e);
    if (result == 0 && outcome == STORE_CONFLICT) {
        result = explain_conflict(journal, e);
    } else if (result == 0) {
        journal->last = chained.head;
    }
    free_chained(journal, &chained);
    if (result == 0) {
        clear_queue(journal);
        return 0;
    }
    return err_wrap(e, "record what was done");
}

/* Writes LOCK if the one there is still of REVISION (0: none). */
static int swap_lock(struct store *store, const struct record_lock *lock, int64_t revision,
                     enum store_outcome *ret_outcome, int64_t *ret_revision, struct err *e)
{
    struct message value = MESSAGE_NULL;
    record_lock_encode(lock, &value);
    struct store_compare compare = {.key = RECORD_LOCK_KEY, .revision = revision};
    struct store_write write = {
        .key = RECORD_LOCK_KEY, .value = value.bytes.text, .length = value.bytes.length};
    int result = store_commit(store, &compare, 1, &write, 1, ret_outcome, ret_revision, e);
    message_deinit(&value);
    return result;
}

/* The lock that is there; *ret_revision 0 when there never was one. */
static int read_lock(struct store *store, struct record_lock *ret_lock, int64_t *ret_revision,
                     struct err *e)
{
    bool found;
    struct store_entry entry = {.key = NULL};
    if (store_get(store, RECORD_LOCK_KEY, &found, &entry, e) != 0) {
        return -1;
    }
    struct record_lock lock = {.epoch = 0};
    int result = found ? record_lock_decode(&entry, &lock, e) : 0;
    if (result == 0) {
        *ret_lock = lock;
        *ret_revision = entry.revision;
    }
    store_entry_deinit(&entry);
    return result;
}

enum taking { TAKING_DONE, TAKING_HELD, TAKING_AGAIN };

/* One attempt; *ret_before is who had the lock, the caller's to deinit on success. */
static int try_lock(struct journal *journal, enum taking *ret_taking,
                    struct record_lock *ret_before, struct err *e)
{
    struct record_lock before;
    int64_t revision;
    if (read_lock(journal->store, &before, &revision, e) != 0) {
        return -1;
    }
    if (record_lock_is_alive(&before, &journal->lock)) {
        *ret_taking = TAKING_HELD;
        *ret_before = before;
        return 0;
    }
    journal->lock.epoch = before.epoch + 1;
    enum store_outcome outcome;
    if (swap_lock(journal->store, &journal->lock, revision, &outcome, &journal->lock_revision, e) !=
        0) {
        record_lock_deinit(&before);
        return -1;
    }
    *ret_taking = outcome == STORE_DONE ? TAKING_DONE : TAKING_AGAIN;
    *ret_before = before;
    return 0;
}

static int take_lock(struct journal *journal, enum taking *ret_taking,
                     struct record_lock *ret_before, struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        if (try_lock(journal, ret_taking, ret_before, e) != 0) {
            return -1;
        }
        if (*ret_taking != TAKING_AGAIN) {
            return 0;
        }
        record_lock_deinit(ret_before);
    }
    return err_set(e, "the lock of who acts changes all the time; end the other runs, then repeat");
}

/* Once the lock is ours nobody else adds events: where we go on. */
static int begin(struct journal *journal, const struct record_lock *before, struct err *e)
{
    if (record_event_last(journal->store, &journal->last, e) != 0) {
        return -1;
    }
    if (before->owner == NULL) {
        return 0;
    }
    char *why = xasprintf("%s ended without giving the lock back", before->owner);
    journal_add_event(journal, "controller", "take-over", why, "done");
    free(why);
    return journal_commit(journal, e);
}

int journal_open(struct journal **ret_journal, struct store *store, const char *owner,
                 enum journal_outcome *ret_outcome, struct record_lock *ret_holder, struct err *e)
{
    struct record_lock self;
    if (record_lock_self(owner, &self, e) != 0) {
        return -1;
    }
    struct journal *journal = xcalloc(1, sizeof(*journal));
    journal->store = store;
    journal->lock = self;
    enum taking taking;
    struct record_lock before;
    if (take_lock(journal, &taking, &before, e) != 0) {
        journal_free(journal);
        return err_wrap(e, "take the lock of who acts");
    }
    if (taking == TAKING_HELD) {
        journal_free(journal);
        *ret_holder = before;
        *ret_outcome = JOURNAL_HELD;
        return 0;
    }
    int result = begin(journal, &before, e);
    record_lock_deinit(&before);
    if (result != 0) {
        journal_close(journal);
        return -1;
    }
    *ret_journal = journal;
    *ret_outcome = JOURNAL_OPEN;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL) {
        return;
    }
    /* A child that frees what it inherited must not give its parent's lock away. */
    if (journal->lock.pid == getpid()) {
        struct record_lock released = {.epoch = journal->lock.epoch, .since_ms = clock_wall_ms()};
        enum store_outcome outcome;
        /* When this fails, the next one finds that we are gone. */
        (void)swap_lock(journal->store, &released, journal->lock_revision, &outcome, NULL, NULL);
    }
    journal_free(journal);
}

int64_t journal_epoch(const struct journal *journal)
{
    return journal->lock.epoch;
}

void journal_put_instance(struct journal *journal, const struct record_instance *record)
{
    struct queued *write = queue(journal, xasprintf("instance/%s", record->id));
    record_instance_encode(record, &write->value);
    write->repeats = true;
}

void journal_delete_instance(struct journal *journal, const char *id)
{
    queue(journal, xasprintf("instance/%s", id))->removes = true;
}

void journal_put_action(struct journal *journal, const struct record_action *record)
{
    struct queued *write = queue(journal, xasprintf("action/%s", record->id));
    record_action_encode(record, &write->value);
}

void journal_delete_action(struct journal *journal, const char *id)
{
    queue(journal, xasprintf("action/%s", id))->removes = true;
}

void journal_put_group(struct journal *journal, const struct record_group *record)
{
    struct queued *write = queue(journal, xasprintf("group/%s", record->name));
    record_group_encode(record, &write->value);
}

void journal_put_refresh(struct journal *journal, const struct record_refresh *record)
{
    struct queued *write = queue(journal, xasprintf("refresh/%s", record->group));
    record_refresh_encode(record, &write->value);
}

void journal_put_template(struct journal *journal, const struct record_template *record)
{
    struct queued *write =
        queue(journal, xasprintf("template/%s/%08u", record->name, record->number));
    record_template_encode(record, &write->value);
}

void journal_put_cluster(struct journal *journal, const struct record_cluster *record)
{
    struct queued *write = queue(journal, xstrdup("cluster/state"));
    record_cluster_encode(record, &write->value);
}

void journal_put_machine(struct journal *journal, const struct record_machine *record)
{
    struct queued *write = queue(journal, xasprintf("machine/%s", record->name));
    record_machine_encode(record, &write->value);
}

void journal_delete_request(struct journal *journal, uint64_t number)
{
    queue(journal, xasprintf("request/%016" PRIx64, number))->removes = true;
}

void journal_put_view(struct journal *journal, const struct record_view *view)
{
    struct record_view ours = *view;
    ours.epoch = journal->lock.epoch;
    struct queued *write = queue(journal, xasprintf("view/%s", view->subject));
    record_view_encode(&ours, &write->value);
}

void journal_delete_view(struct journal *journal, const char *subject)
{
    queue(journal, xasprintf("view/%s", subject))->removes = true;
}

void journal_add_event(struct journal *journal, const char *subject, const char *what,
                       const char *why, const char *outcome)
{
    size_t i = xgrow((void **)&journal->events, &journal->event_count, &journal->event_capacity,
                     sizeof(*journal->events));
    journal->events[i] = (struct record_event){
        .wall_ms = clock_wall_ms(),
        .subject = xcopy(subject),
        .what = xcopy(what),
        .why = xcopy(why),
        .outcome = xcopy(outcome),
    };
}
