/*
 * A connection to a store's file: opened with our settings, the file's identity and schema checked
 * and brought up to date. Knows no keys and no values; those are in sqlite.c, its only user.
 */
#ifndef STORE_SQLITE_CONNECTION_H
#define STORE_SQLITE_CONNECTION_H

#include "store/sqlite.h"

#include <sqlite3.h>

/* Must stay where it is while it is open. */
struct sqlite_connection {
    sqlite3 *db; /* Owned; NULL until it was opened. */
    char *path;  /* Owned; absolute. */
    enum store_sqlite_mode mode;
    int64_t wait_until_ms; /* Monotonic; of the wait for another writer that is under way. */
};

/* For how long to wait for a writer in another process. */
#define SQLITE_CONNECTION_WAIT_MS 10000

/* Idempotent. All statements must have been finalized. */
void sqlite_connection_deinit(struct sqlite_connection *self);

/*
 * Opens a whole store: settings, identity, schema, and for writing a check of the whole file. PATH
 * must be absolute, without links. On a fault SELF is to be deinited all the same.
 */
int sqlite_connection_open(struct sqlite_connection *self, const char *path,
                           enum store_sqlite_mode mode, struct err *e);
/* Opens the empty file PATH for writing and gives it our identity and the newest schema. */
int sqlite_connection_make(struct sqlite_connection *self, const char *path, struct err *e);

/* Faults when nothing must be written: opened for reading, or the file is no longer at its path. */
int sqlite_connection_check_writable(const struct sqlite_connection *self, struct err *e);

/* Sets E: the file, what was being done to what ("write", "instance/web-1"), what SQLite said of
   result CODE and what to do. Returns -1. */
int sqlite_connection_fault(const struct sqlite_connection *self, const char *doing, int code,
                            struct err *e);
/* Sets E: KEY is damaged, as WHAT says, and what to do. Returns -1. */
int sqlite_connection_damaged(const struct sqlite_connection *self, const char *key,
                              const char *what, struct err *e);

#endif
