#include "store/sqlite_connection.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x4c414d50 /* "LAMP" */
/* Beyond this size the open skips the comparison of tables with their indices. */
#define FULL_CHECK_SIZE_MAX (64ll * 1024 * 1024)
/* The longest sleep between two tries to write. */
#define WAIT_STEP_MS 8

/* Step N brings schema version N to N + 1. Append only: files of every version exist somewhere. */
static const char *const migrations[] = {
    "CREATE TABLE revision (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL,"
    " checksum BLOB NOT NULL) STRICT;"
    "CREATE TABLE entry (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL,"
    " created INTEGER NOT NULL, revision INTEGER NOT NULL, checksum BLOB NOT NULL) STRICT;",
};
#define SCHEMA_VERSION ((int64_t)(sizeof(migrations) / sizeof(migrations[0])))

/* What the admin can do about one of SQLite's primary result codes. */
static const char *advice(int code)
{
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "another process has it locked; repeat when that has ended";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "it is damaged, or no store; keep a copy, then put back the last backup";
    case SQLITE_FULL: return "free some space on its file system, then repeat";
    case SQLITE_IOERR: return "look at the kernel's log (dmesg) and at the disk";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return "run this as root or the file's owner, and see that its file system is writable";
    default: return "if it comes again, keep a copy, then put back the last backup";
    }
}

int sqlite_connection_fault(const struct sqlite_connection *self, const char *doing, int code,
                            struct err *e)
{
    const char *what = self->db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(self->db);
    return err_set(e, "%s: %s: %s (SQLite %d); %s", self->path, doing, what, code,
                   advice(code & 0xff));
}

int sqlite_connection_damaged(const struct sqlite_connection *self, const char *key,
                              const char *what, struct err *e)
{
    return err_set(e, "%s: %s: damaged: %s; keep a copy, then put back the last backup", self->path,
                   key, what);
}

/* Runs SQL that returns nothing of interest. */
static int execute(struct sqlite_connection *self, const char *doing, const char *sql,
                   struct err *e)
{
    int code = sqlite3_exec(self->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_connection_fault(self, doing, code, e);
}

/* The first column of the first row of SQL, as text. */
static int query(struct sqlite_connection *self, const char *doing, const char *sql,
                 struct str *ret_text, struct err *e)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(self->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    int result = 0;
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        str_clear(ret_text);
        str_add(ret_text, text == NULL ? "" : text);
    } else {
        result = sqlite_connection_fault(self, doing, code, e);
    }
    sqlite3_finalize(statement);
    return result;
}

static int query_number(struct sqlite_connection *self, const char *sql, int64_t *ret_number,
                        struct err *e)
{
    struct str text = STR_NULL;
    int result = query(self, "open", sql, &text, e);
    if (result == 0 && !text_to_int(str_text(&text), INT64_MIN, INT64_MAX, ret_number)) {
        result = sqlite_connection_damaged(self, sql, "not a number", e);
    }
    str_deinit(&text);
    return result;
}

/*
 * Waits for another writer. SQLite's own wait sleeps longer the longer it has waited, so among many
 * commands a newcomer overtakes those that came before it, until they give up: here all try about
 * as often, at moments of their own.
 */
static int wait_for_writer(void *context, int tries)
{
    struct sqlite_connection *self = context;
    unsigned char random;
    int64_t now_ms = clock_now_ms();
    if (tries == 0) {
        self->wait_until_ms = now_ms + SQLITE_CONNECTION_WAIT_MS;
    }
    if (now_ms >= self->wait_until_ms) {
        return 0;
    }
    sqlite3_randomness(sizeof(random), &random);
    sqlite3_sleep(1 + random % WAIT_STEP_MS);
    return 1;
}

/* The connection itself, before anything is read. A schema from elsewhere gets no power. */
static int open_file(struct sqlite_connection *self, const char *path, enum store_sqlite_mode mode,
                     struct err *e)
{
    assert(path[0] == '/'); /* Else SQLite might take it for a URI. */
    *self = (struct sqlite_connection){.path = xstrdup(path), .mode = mode};
    bool reading = mode == STORE_SQLITE_READ;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW |
                SQLITE_OPEN_EXRESCODE | (reading ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    int code = sqlite3_open_v2(path, &self->db, flags, NULL);
    if (code != SQLITE_OK) {
        return sqlite_connection_fault(self, "open", code, e);
    }
    sqlite3_busy_handler(self->db, wait_for_writer, self);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    /* A reader that is the last to leave has no business writing the log back. */
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, reading, NULL);
    return execute(self, "open", "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL", e);
}

static int check_identity(struct sqlite_connection *self, int64_t *ret_version, struct err *e)
{
    int64_t application;
    int64_t version;
    if (query_number(self, "PRAGMA application_id", &application, e) != 0 ||
        query_number(self, "PRAGMA user_version", &version, e) != 0) {
        return -1;
    }
    if (application != APPLICATION_ID) {
        return err_set(e,
                       "%s: this is the database of another program; give 'state =' in the "
                       "cluster file another path",
                       self->path);
    }
    if (version < 1) {
        return sqlite_connection_damaged(self, "schema", "its version is below 1", e);
    }
    if (version > SCHEMA_VERSION) {
        return err_set(e,
                       "%s: written by a newer Lamplighter (schema version %" PRId64
                       ", this one knows up to %" PRId64 "): use that one",
                       self->path, version, SCHEMA_VERSION);
    }
    *ret_version = version;
    return 0;
}

/* All steps from VERSION on, in the transaction that the caller has begun. */
static int migrate_from(struct sqlite_connection *self, int64_t version, struct err *e)
{
    for (int64_t i = version; i < SCHEMA_VERSION; i++) {
        if (execute(self, "change the schema", migrations[i], e) != 0) {
            return -1;
        }
    }
    char *stamp = xasprintf("PRAGMA application_id = %d; PRAGMA user_version = %" PRId64,
                            APPLICATION_ID, SCHEMA_VERSION);
    int result = execute(self, "change the schema", stamp, e);
    free(stamp);
    return result;
}

/* Brings an older file up to this version; two processes may try at once. */
static int migrate(struct sqlite_connection *self, struct err *e)
{
    int64_t version;
    if (check_identity(self, &version, e) != 0) {
        return -1;
    }
    if (version == SCHEMA_VERSION) {
        return 0;
    }
    if (self->mode == STORE_SQLITE_READ) {
        return err_set(e, "%s: of an older version; 'lamplighter apply' brings it up to date",
                       self->path);
    }
    if (execute(self, "change the schema", "BEGIN IMMEDIATE", e) != 0) {
        return -1;
    }
    if (check_identity(self, &version, e) != 0 || migrate_from(self, version, e) != 0 ||
        execute(self, "change the schema", "COMMIT", e) != 0) {
        execute(self, "change the schema", "ROLLBACK", NULL);
        return -1;
    }
    return 0;
}

/* WAL is a property of the file; it does not stick where memory cannot be shared (NFS). */
static int set_wal(struct sqlite_connection *self, struct err *e)
{
    struct str text = STR_NULL;
    int result = query(self, "open", "PRAGMA journal_mode = WAL", &text, e);
    if (result == 0 && strcmp(str_text(&text), "wal") != 0) {
        result = err_set(e,
                         "%s: its file system cannot keep a write-ahead log (journal mode '%s'); "
                         "give the store a path on a local disk",
                         self->path, str_text(&text));
    }
    str_deinit(&text);
    return result;
}

static int check_integrity(struct sqlite_connection *self, struct err *e)
{
    struct stat st;
    bool small = stat(self->path, &st) == 0 && st.st_size <= FULL_CHECK_SIZE_MAX;
    struct str text = STR_NULL;
    int result = query(self, "check of the whole file",
                       small ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)", &text, e);
    if (result == 0 && strcmp(str_text(&text), "ok") != 0) {
        result = sqlite_connection_damaged(self, "check of the whole file", str_text(&text), e);
    }
    str_deinit(&text);
    return result;
}

void sqlite_connection_deinit(struct sqlite_connection *self)
{
    int code = sqlite3_close(self->db);
    assert(code == SQLITE_OK);
    (void)code;
    free(self->path);
    *self = (struct sqlite_connection){.db = NULL};
}

int sqlite_connection_open(struct sqlite_connection *self, const char *path,
                           enum store_sqlite_mode mode, struct err *e)
{
    if (open_file(self, path, mode, e) != 0 || migrate(self, e) != 0) {
        return -1;
    }
    if (mode == STORE_SQLITE_READ) {
        return 0;
    }
    return set_wal(self, e) != 0 ? -1 : check_integrity(self, e);
}

int sqlite_connection_make(struct sqlite_connection *self, const char *path, struct err *e)
{
    if (open_file(self, path, STORE_SQLITE_WRITE, e) != 0 || set_wal(self, e) != 0 ||
        execute(self, "make the store", "BEGIN IMMEDIATE", e) != 0) {
        return -1;
    }
    return migrate_from(self, 0, e) != 0 ? -1 : execute(self, "make the store", "COMMIT", e);
}

int sqlite_connection_check_writable(const struct sqlite_connection *self, struct err *e)
{
    if (self->mode != STORE_SQLITE_WRITE) {
        return err_set(e, "%s: opened for reading only; it cannot be written to", self->path);
    }
    /* A file that was moved would take our writes, and nobody would ever read them. */
    int moved = 0;
    if (sqlite3_file_control(self->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
        moved != 0) {
        return err_set(e,
                       "%s: the file was moved, deleted or replaced while in use; put it back and "
                       "start again",
                       self->path);
    }
    return 0;
}
