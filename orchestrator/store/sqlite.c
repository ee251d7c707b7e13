/*
 * One table of entries and one row with the revision counter, in a SQLite file in WAL mode
 * (sqlite_connection.c, which has the schema too).
 *
 * What SQLite does not promise is added here: a checksum over key, revisions and value, checked on
 * every read (SQLite has none over its pages, so a flipped bit in a value would pass); an identity
 * of the file (application id, schema version); files that nobody else can read; and a fault when
 * the file is moved away under a running controller, which would go on writing to nothing.
 *
 * Statements are reset before a function returns: an open one would pin a snapshot, and reads would
 * no longer see the last transaction.
 */
#include "store/sqlite.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/digest.h"
#include "store/sqlite_connection.h"
#include "store/sqlite_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKSUM_SIZE 16
enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_GET,
    STATEMENT_RANGE,
    STATEMENT_RANGE_REVERSE,
    STATEMENT_PUT,
    STATEMENT_DELETE,
    STATEMENT_GET_REVISION,
    STATEMENT_PUT_REVISION,
};

#define ENTRY_COLUMNS "SELECT key, value, created, revision, checksum FROM entry "
static const char *const statement_sql[] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_GET] = ENTRY_COLUMNS "WHERE key = ?1",
    [STATEMENT_RANGE] = ENTRY_COLUMNS "WHERE key >= ?1 AND key < ?2 ORDER BY key ASC LIMIT ?3",
    [STATEMENT_RANGE_REVERSE] =
        ENTRY_COLUMNS "WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
    [STATEMENT_PUT] = ("INSERT OR REPLACE INTO entry (key, value, created, revision, checksum)"
                       " VALUES (?1, ?2, ?3, ?4, ?5)"),
    [STATEMENT_DELETE] = "DELETE FROM entry WHERE key = ?1",
    [STATEMENT_GET_REVISION] = "SELECT revision, checksum FROM revision WHERE id = 0",
    [STATEMENT_PUT_REVISION] =
        "INSERT OR REPLACE INTO revision (id, revision, checksum) VALUES (0, ?1, ?2)",
};
#define STATEMENT_COUNT (sizeof(statement_sql) / sizeof(statement_sql[0]))

struct sqlite {
    struct sqlite_connection connection;
    pid_t pid; /* Who opened it: a connection must not be used across fork(). */
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* Owned; each reset between calls. */
};

static struct sqlite *use(void *context)
{
    struct sqlite *self = context;
    assert(self->pid == getpid());
    return self;
}

static void add_number(struct str *s, int64_t number)
{
    uint64_t bits = (uint64_t)number;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        str_add_char(s, (char)(bits >> shift & 0xff));
    }
}

/* Over everything a reader relies on, so that a value under a wrong key does not hold either. */
static void compute_checksum(const char *key, const void *value, size_t length, int64_t created,
                             int64_t revision, unsigned char ret_checksum[CHECKSUM_SIZE])
{
    struct str all = STR_NULL;
    str_add_bytes(&all, key, strlen(key) + 1);
    add_number(&all, created);
    add_number(&all, revision);
    str_add_bytes(&all, value, length);
    unsigned char digest[DIGEST_SIZE];
    digest_bytes(all.text, all.length, digest);
    memcpy(ret_checksum, digest, CHECKSUM_SIZE);
    str_deinit(&all);
}

static bool checksum_holds(sqlite3_stmt *statement, int column,
                           const unsigned char checksum[CHECKSUM_SIZE])
{
    const void *stored = sqlite3_column_blob(statement, column);
    return sqlite3_column_bytes(statement, column) == CHECKSUM_SIZE &&
           memcmp(stored, checksum, CHECKSUM_SIZE) == 0;
}

/* Binding fails on our own mistakes and without memory only. */
static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    int code = sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
    assert(code == SQLITE_OK);
    (void)code;
}

static void bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t length)
{
    /* A NULL pointer would bind NULL, not an empty value. */
    int code =
        sqlite3_bind_blob64(statement, index, bytes == NULL ? "" : bytes, length, SQLITE_STATIC);
    assert(code == SQLITE_OK);
    (void)code;
}

static void bind_number(sqlite3_stmt *statement, int index, int64_t number)
{
    int code = sqlite3_bind_int64(statement, index, number);
    assert(code == SQLITE_OK);
    (void)code;
}

/* Runs a statement that returns no row. */
static int run(struct sqlite *self, enum statement which, const char *doing, struct err *e)
{
    int code = sqlite3_step(self->statements[which]);
    int result =
        code == SQLITE_DONE ? 0 : sqlite_connection_fault(&self->connection, doing, code, e);
    sqlite3_reset(self->statements[which]);
    sqlite3_clear_bindings(self->statements[which]);
    return result;
}

static void roll_back(struct sqlite *self)
{
    if (sqlite3_get_autocommit(self->connection.db) == 0) {
        run(self, STATEMENT_ROLLBACK, "roll back", NULL);
    }
}

/* The entry of the row STATEMENT is at. */
static int take_entry(const struct sqlite *self, sqlite3_stmt *statement,
                      struct store_entry *ret_entry, struct err *e)
{
    const char *key = (const char *)sqlite3_column_text(statement, 0);
    if (key == NULL || (size_t)sqlite3_column_bytes(statement, 0) != strlen(key)) {
        return sqlite_connection_damaged(&self->connection, "an entry", "its key is no text", e);
    }
    const void *value = sqlite3_column_blob(statement, 1);
    size_t length = (size_t)sqlite3_column_bytes(statement, 1);
    int64_t created = sqlite3_column_int64(statement, 2);
    int64_t revision = sqlite3_column_int64(statement, 3);
    unsigned char checksum[CHECKSUM_SIZE];
    compute_checksum(key, value, length, created, revision, checksum);
    if (!checksum_holds(statement, 4, checksum)) {
        return sqlite_connection_damaged(&self->connection, key, "its checksum does not hold", e);
    }
    *ret_entry = (struct store_entry){
        .key = xstrdup(key),
        .value = xcalloc(length, 1),
        .length = length,
        .created = created,
        .revision = revision,
    };
    if (length > 0) {
        memcpy(ret_entry->value, value, length);
    }
    return 0;
}

static int sqlite_get(void *context, const char *key, bool *ret_found,
                      struct store_entry *ret_entry, struct err *e)
{
    struct sqlite *self = use(context);
    sqlite3_stmt *statement = self->statements[STATEMENT_GET];
    bind_text(statement, 1, key);
    int code = sqlite3_step(statement);
    int result = 0;
    if (code == SQLITE_ROW) {
        result = take_entry(self, statement, ret_entry, e);
    } else if (code != SQLITE_DONE) {
        result = sqlite_connection_fault(&self->connection, key, code, e);
    }
    if (result == 0) {
        *ret_found = code == SQLITE_ROW;
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
}

/*
 * Where a range begins and ends. Keys have bytes 0x20 to 0x7e only, so AFTER and one byte 0x01 is
 * below every key above AFTER, and 0x7f is above every key.
 */
static void bound_range(const char *prefix, const char *after, struct str *ret_from,
                        struct str *ret_below)
{
    if (after != NULL && strcmp(after, prefix) >= 0) {
        str_add(ret_from, after);
        str_add_char(ret_from, '\001');
    } else {
        str_add(ret_from, prefix);
    }
    str_add(ret_below, prefix);
    if (ret_below->length == 0) {
        str_add_char(ret_below, '\x7f');
    } else {
        ret_below->text[ret_below->length - 1]++;
    }
}

static int sqlite_range(void *context, const char *prefix, const char *after, bool reverse,
                        size_t limit, struct store_entry **ret_entries, size_t *ret_count,
                        struct err *e)
{
    struct sqlite *self = use(context);
    struct str from = STR_NULL;
    struct str below = STR_NULL;
    bound_range(prefix, after, &from, &below);
    sqlite3_stmt *statement = self->statements[reverse ? STATEMENT_RANGE_REVERSE : STATEMENT_RANGE];
    bind_text(statement, 1, str_text(&from));
    bind_text(statement, 2, str_text(&below));
    bind_number(statement, 3, limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit);

    struct store_entry *entries = NULL;
    size_t count = 0;
    size_t capacity = 0;
    int result = 0;
    int code;
    while (result == 0 && (code = sqlite3_step(statement)) != SQLITE_DONE) {
        struct store_entry entry;
        result = code == SQLITE_ROW ? take_entry(self, statement, &entry, e)
                                    : sqlite_connection_fault(&self->connection, prefix, code, e);
        if (result == 0) {
            size_t i = xgrow((void **)&entries, &count, &capacity, sizeof(*entries));
            entries[i] = entry;
        }
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    str_deinit(&from);
    str_deinit(&below);
    if (result != 0) {
        store_entries_free(entries, count);
        return -1;
    }
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

static int sqlite_revision(void *context, int64_t *ret_revision, struct err *e)
{
    struct sqlite *self = use(context);
    sqlite3_stmt *statement = self->statements[STATEMENT_GET_REVISION];
    int code = sqlite3_step(statement);
    int result = 0;
    if (code == SQLITE_ROW) {
        int64_t revision = sqlite3_column_int64(statement, 0);
        unsigned char checksum[CHECKSUM_SIZE];
        compute_checksum("", NULL, 0, 0, revision, checksum);
        if (checksum_holds(statement, 1, checksum)) {
            *ret_revision = revision;
        } else {
            result = sqlite_connection_damaged(&self->connection, "revision counter",
                                               "its checksum does not hold", e);
        }
    } else if (code == SQLITE_DONE) {
        result =
            sqlite_connection_damaged(&self->connection, "revision counter", "it is missing", e);
    } else {
        result = sqlite_connection_fault(&self->connection, "revision counter", code, e);
    }
    sqlite3_reset(statement);
    return result;
}

static int put_revision(struct sqlite *self, int64_t revision, struct err *e)
{
    sqlite3_stmt *statement = self->statements[STATEMENT_PUT_REVISION];
    unsigned char checksum[CHECKSUM_SIZE];
    compute_checksum("", NULL, 0, 0, revision, checksum);
    bind_number(statement, 1, revision);
    bind_blob(statement, 2, checksum, sizeof(checksum));
    return run(self, STATEMENT_PUT_REVISION, "revision counter", e);
}

/* What is under KEY now: its last revision and the one that made it, both 0 when there is none. */
static int get_revisions(struct sqlite *self, const char *key, int64_t *ret_created,
                         int64_t *ret_revision, struct err *e)
{
    bool found;
    struct store_entry entry = {.key = NULL};
    if (sqlite_get(self, key, &found, &entry, e) != 0) {
        return -1;
    }
    *ret_created = entry.created;
    *ret_revision = entry.revision;
    store_entry_deinit(&entry);
    return 0;
}

static int put(struct sqlite *self, const struct store_write *write, int64_t revision,
               struct err *e)
{
    int64_t created;
    int64_t before;
    if (get_revisions(self, write->key, &created, &before, e) != 0) {
        return -1;
    }
    created = before == 0 ? revision : created;
    unsigned char checksum[CHECKSUM_SIZE];
    compute_checksum(write->key, write->value, write->length, created, revision, checksum);
    sqlite3_stmt *statement = self->statements[STATEMENT_PUT];
    bind_text(statement, 1, write->key);
    bind_blob(statement, 2, write->value, write->length);
    bind_number(statement, 3, created);
    bind_number(statement, 4, revision);
    bind_blob(statement, 5, checksum, sizeof(checksum));
    return run(self, STATEMENT_PUT, write->key, e);
}

static int put_nothing(struct sqlite *self, const char *key, bool *changed, struct err *e)
{
    bind_text(self->statements[STATEMENT_DELETE], 1, key);
    if (run(self, STATEMENT_DELETE, key, e) != 0) {
        return -1;
    }
    *changed = *changed || sqlite3_changes(self->connection.db) > 0;
    return 0;
}

static int check_compares(struct sqlite *self, const struct store_compare *compares, size_t count,
                          enum store_outcome *ret_outcome, struct err *e)
{
    *ret_outcome = STORE_DONE;
    for (size_t i = 0; i < count; i++) {
        int64_t created;
        int64_t revision;
        if (get_revisions(self, compares[i].key, &created, &revision, e) != 0) {
            return -1;
        }
        if (revision != compares[i].revision) {
            *ret_outcome = STORE_CONFLICT;
        }
    }
    return 0;
}

static int make_writes(struct sqlite *self, const struct store_write *writes, size_t count,
                       int64_t revision, bool *ret_changed, struct err *e)
{
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        if (writes[i].value == NULL) {
            if (put_nothing(self, writes[i].key, &changed, e) != 0) {
                return -1;
            }
        } else {
            if (put(self, &writes[i], revision, e) != 0) {
                return -1;
            }
            changed = true;
        }
    }
    *ret_changed = changed;
    return changed ? put_revision(self, revision, e) : 0;
}

static int sqlite_commit(void *context, const struct store_compare *compares, size_t compare_count,
                         const struct store_write *writes, size_t write_count,
                         enum store_outcome *ret_outcome, int64_t *ret_revision, struct err *e)
{
    struct sqlite *self = use(context);
    if (sqlite_connection_check_writable(&self->connection, e) != 0 ||
        run(self, STATEMENT_BEGIN, "begin to write", e) != 0) {
        return -1;
    }
    enum store_outcome outcome;
    int64_t revision;
    bool changed = false;
    int result = sqlite_revision(self, &revision, e);
    if (result == 0) {
        result = check_compares(self, compares, compare_count, &outcome, e);
    }
    if (result == 0 && outcome == STORE_DONE) {
        result = make_writes(self, writes, write_count, revision + 1, &changed, e);
    }
    if (result == 0 && changed) {
        result = run(self, STATEMENT_COMMIT, "write", e);
        revision++;
    }
    roll_back(self);
    if (result == 0) {
        *ret_outcome = outcome;
        *ret_revision = revision;
    }
    return result;
}

static void sqlite_close(void *context)
{
    struct sqlite *self = use(context);
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(self->statements[i]);
    }
    sqlite_connection_deinit(&self->connection);
    free(self);
}

static const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .close = sqlite_close,
    .get = sqlite_get,
    .range = sqlite_range,
    .commit = sqlite_commit,
    .revision = sqlite_revision,
};

static int prepare(struct sqlite *self, struct err *e)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        int code = sqlite3_prepare_v3(self->connection.db, statement_sql[i], -1,
                                      SQLITE_PREPARE_PERSISTENT, &self->statements[i], NULL);
        if (code != SQLITE_OK) {
            return sqlite_connection_fault(&self->connection, "open", code, e);
        }
    }
    return 0;
}

static struct sqlite *sqlite_new(void)
{
    struct sqlite *self = xcalloc(1, sizeof(*self));
    self->pid = getpid();
    return self;
}

/* Fills the empty file FRESH; once closed, all of it is in the file and on the disk. */
static int fill_store(const char *fresh, struct err *e)
{
    struct sqlite *self = sqlite_new();
    int result = sqlite_connection_make(&self->connection, fresh, e);
    if (result == 0) {
        result = prepare(self, e);
    }
    if (result == 0) {
        result = put_revision(self, 0, e);
    }
    sqlite_close(self);
    return result;
}

/*
 * Makes the store under another name and renames it: a file that is there is a whole one, so an
 * empty or half one later means damage and is never taken for a new start.
 */
static int make_store(const char *real, struct err *e)
{
    int directory;
    if (sqlite_file_lock(real, clock_now_ms() + SQLITE_CONNECTION_WAIT_MS, &directory, e) != 0) {
        return -1;
    }
    bool exists;
    int result = sqlite_file_check(real, &exists, e);
    if (result == 0 && !exists) {
        char *fresh = xasprintf("%s.new", real);
        result = sqlite_file_begin(fresh, e);
        if (result == 0) {
            result = fill_store(fresh, e);
        }
        if (result == 0) {
            result = sqlite_file_finish(fresh, real, directory, e);
        }
        if (result != 0) {
            sqlite_file_abandon(fresh);
        }
        free(fresh);
    }
    close(directory);
    return result;
}

/* The real path of the store at PATH, which is there and nobody else's on success. */
static int find_store(const char *path, enum store_sqlite_mode mode, char **ret_real, struct err *e)
{
    char *real;
    if (sqlite_file_locate(path, mode == STORE_SQLITE_WRITE, &real, e) != 0) {
        return -1;
    }
    bool exists;
    int result = sqlite_file_check(real, &exists, e);
    if (result == 0 && !exists && mode == STORE_SQLITE_WRITE) {
        result = make_store(real, e);
    } else if (result == 0 && !exists) {
        result = err_set(e, "%s: there is no store yet; 'lamplighter apply' makes it", path);
    }
    if (result != 0) {
        free(real);
        return -1;
    }
    *ret_real = real;
    return 0;
}

int store_sqlite_open(struct store *ret_store, const char *path, enum store_sqlite_mode mode,
                      struct err *e)
{
    char *real;
    if (find_store(path, mode, &real, e) != 0) {
        return -1;
    }
    struct sqlite *self = sqlite_new();
    int result = sqlite_connection_open(&self->connection, real, mode, e);
    free(real);
    if (result == 0) {
        result = prepare(self, e);
    }
    int64_t revision;
    if (result == 0) {
        result = sqlite_revision(self, &revision, e);
    }
    if (result != 0) {
        sqlite_close(self);
        return -1;
    }
    *ret_store = (struct store){.ops = &sqlite_ops, .context = self};
    return 0;
}
