/*
 * The store in one SQLite file, for one controller on one machine: WAL, synchronous=FULL, a
 * checksum on every value, integrity check at open, a schema version with migrations.
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "store/store.h"

enum store_sqlite_mode {
    STORE_SQLITE_READ,  /* Must exist; writes fault. For status, plan. Never blocks a writer. */
    STORE_SQLITE_WRITE, /* Made when absent (file mode 0600, its directory 0700). */
};

/*
 * Opens PATH. Faults, saying what to do, when it is readable by others, damaged, of a newer
 * version, of another program, or (READ) absent. Several processes may have it open; writers wait
 * for each other up to 10 s.
 */
int store_sqlite_open(struct store *ret_store, const char *path, enum store_sqlite_mode mode,
                      struct err *e);

#endif
