/*
 * The store's file before SQLite sees it: where it is, whether nobody else can read or swap it, and
 * how it comes to be in one step. Used by sqlite.c only.
 *
 * None of these functions opens the database file itself for reading: closing such a descriptor
 * would drop the locks that a connection of the same process holds (POSIX record locks).
 */
#ifndef STORE_SQLITE_FILE_H
#define STORE_SQLITE_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/*
 * The absolute path of PATH with the links of its directory resolved; the caller frees it. MAKE:
 * a directory that is not there is made, mode 0700. Faults when others may write to the directory:
 * they could put a file of theirs in the place of ours.
 */
int sqlite_file_locate(const char *path, bool make, char **ret_real, struct err *e);

/*
 * Checks REAL and what SQLite keeps beside it (-wal, -shm): regular files, no links, no rights for
 * group and others. *ret_exists false when there is none. Faults on an empty file and on a -wal
 * whose database is gone: both mean that state was lost, which must not pass for a new start.
 */
int sqlite_file_check(const char *real, bool *ret_exists, struct err *e);

/*
 * Locks the directory of REAL for the making of a store, waiting until DEADLINE_MS (monotonic).
 * *ret_fd: close it to unlock.
 */
int sqlite_file_lock(const char *real, int64_t deadline_ms, int *ret_fd, struct err *e);

/* An empty file FRESH of mode 0600, whatever the umask; leftovers of an earlier attempt go. */
int sqlite_file_begin(const char *fresh, struct err *e);
/* Removes FRESH and what SQLite keeps beside it. */
void sqlite_file_abandon(const char *fresh);
/*
 * Gives FRESH, which must be closed, the name REAL, durably. DIRECTORY_FD is what
 * sqlite_file_lock() returned. Faults when SQLite left a part of it in its log.
 */
int sqlite_file_finish(const char *fresh, const char *real, int directory_fd, struct err *e);

#endif
