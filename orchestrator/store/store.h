/*
 * The store: an ordered key-value space with revisions and compare-and-set transactions (etcd's
 * model, https://etcd.io/docs/v3.5/learning/data_model/). The only bus between commands and the
 * controller: commands write requests, the controller alone writes state.
 *
 * Keys are printable ASCII, ordered by bytes, parts separated by '/': "instance/web-1". Values are
 * bytes (encoded messages, see base/message.h and store/record.h).
 *
 * Contract, held to by tests/conformance/store_suite.c on every implementation:
 * - One revision counter for the whole store, 0 at first; every transaction that changes something
 *   raises it by one and stamps all it wrote with it. One that only compares, or only deletes what
 *   is not there, leaves it. A revision is never used twice, not after a crash either.
 * - A transaction is atomic and durable when it returns: all compares are checked, then all writes
 *   are made, or none.
 * - Reads see the last durable transaction (linearizable).
 * - Damage (a value whose checksum does not hold) is a fault with the key's name, never silence.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* What a key and a value may have at most, in bytes; more is a fault. etcd takes 1.5 MiB in all. */
#define STORE_KEY_MAX   512
#define STORE_VALUE_MAX (1024 * 1024)

struct store_entry {
    char *key;   /* Owned by the entry. */
    void *value; /* Owned. */
    size_t length;
    int64_t created;  /* Revision that made the key. */
    int64_t revision; /* Revision of the last write to it. */
};
void store_entry_deinit(struct store_entry *entry);

/* Compare: the key's last revision must be REVISION; 0: the key must not exist. */
struct store_compare {
    const char *key;
    int64_t revision;
};
/* Write: a NULL value deletes. A key is written at most once in a transaction. */
struct store_write {
    const char *key;
    const void *value;
    size_t length;
};

enum store_outcome { STORE_DONE, STORE_CONFLICT };

struct store_ops {
    const char *name; /* "sqlite" */
    void (*close)(void *context);
    int (*get)(void *context, const char *key, bool *ret_found, struct store_entry *ret_entry,
               struct err *e);
    /* Entries whose key starts with PREFIX and is greater than AFTER (may be NULL), ascending, or
       descending from the end when REVERSE; at most LIMIT (0: all). *ret_entries is the caller's,
       store_entries_free(). */
    int (*range)(void *context, const char *prefix, const char *after, bool reverse, size_t limit,
                 struct store_entry **ret_entries, size_t *ret_count, struct err *e);
    /* On STORE_CONFLICT nothing was written. *ret_revision is the store's revision afterwards. */
    int (*commit)(void *context, const struct store_compare *compares, size_t compare_count,
                  const struct store_write *writes, size_t write_count,
                  enum store_outcome *ret_outcome, int64_t *ret_revision, struct err *e);
    int (*revision)(void *context, int64_t *ret_revision, struct err *e);
};

struct store {
    const struct store_ops *ops;
    void *context; /* Owned by the implementation. */
};

#define STORE_NULL ((struct store){.ops = NULL})

/*
 * Calls through ops, after checking keys and sizes; close is idempotent. ret_revision of
 * store_commit() may be NULL.
 */
void store_close(struct store *store);
int store_get(struct store *store, const char *key, bool *ret_found, struct store_entry *ret_entry,
              struct err *e);
int store_range(struct store *store, const char *prefix, const char *after, bool reverse,
                size_t limit, struct store_entry **ret_entries, size_t *ret_count, struct err *e);
int store_commit(struct store *store, const struct store_compare *compares, size_t compare_count,
                 const struct store_write *writes, size_t write_count,
                 enum store_outcome *ret_outcome, int64_t *ret_revision, struct err *e);
int store_revision(struct store *store, int64_t *ret_revision, struct err *e);
void store_entries_free(struct store_entry *entries, size_t count);

#endif
