/*
 * What all records share: the kinds of the messages they are stored as, and the encoding of their
 * text members by table. Used by record_*.c and journal.c only.
 */
#ifndef STORE_RECORD_VALUE_H
#define STORE_RECORD_VALUE_H

#include "base/message.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

/* Values are stored: append only. So are the tags of each record. */
enum record_kind {
    RECORD_LOCK = 1,
    RECORD_INSTANCE = 2,
    RECORD_ACTION = 3,
    RECORD_EVENT = 4,
    RECORD_GROUP = 5,
    RECORD_REQUEST = 6,
    RECORD_CLUSTER = 7,
    RECORD_MACHINE = 8,
    RECORD_EVENT_HEAD = 9,
    RECORD_VIEW = 10,
    RECORD_REFRESH = 11,
    RECORD_REQUEST_LAST = 12,
    RECORD_TEMPLATE = 13,
};

/* A text member of a record: `char *`, owned by it, NULL when not known. */
struct record_text {
    uint16_t tag;
    size_t offset; /* offsetof() the member. */
};

void record_texts_encode(const void *record, const struct record_text *texts, size_t count,
                         struct message *value);
/* The members of RECORD must be NULL before. */
void record_texts_decode(void *record, const struct record_text *texts, size_t count,
                         const struct message *value);
/* Frees the members and makes them NULL. */
void record_texts_free(void *record, const struct record_text *texts, size_t count);

/*
 * Opens the value of ENTRY, which must be of KIND and have its id after PREFIX in its key. Faults
 * name the key. The caller deinits RET_VALUE on success only.
 */
int record_value_open(const struct store_entry *entry, enum record_kind kind, const char *prefix,
                      struct message *ret_value, struct err *e);
/* Sets E: the record under the key of ENTRY cannot be used, as WHAT says. Returns -1. */
int record_value_fault(const struct store_entry *entry, const char *what, struct err *e);

/* Records of one sort, to be listed: what record_SORT_decode() and _deinit() do, and their size. */
struct record_sort {
    const char *prefix; /* Of their keys. */
    size_t size;
    int (*decode)(const struct store_entry *entry, void *ret_record, struct err *e);
    void (*deinit)(void *record);
};
/* All of them, by key. *ret_records is the caller's: record_list_free(). */
int record_list(struct store *store, const struct record_sort *sort, void **ret_records,
                size_t *ret_count, struct err *e);
void record_list_free(const struct record_sort *sort, void *records, size_t count);

#endif
