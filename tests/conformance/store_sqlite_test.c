/* The store in a SQLite file, held to the contract. */
#include "scratch.h"
#include "store_suite.h"

#include "base/mem.h"
#include "store/sqlite.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>

struct space {
    char *directory;
    char *path;
};

static void *make(void)
{
    struct space *space = xcalloc(1, sizeof(*space));
    space->directory = scratch_make();
    space->path = xasprintf("%s/store.db", space->directory);
    return space;
}

static int open_handle(void *context, struct store *ret_store, struct err *e)
{
    return store_sqlite_open(ret_store, ((struct space *)context)->path, STORE_SQLITE_WRITE, e);
}

/* Past our checksum, but not past SQLite's own structures: integrity_check finds nothing. */
static void damage(void *context, const char *key)
{
    sqlite3 *db;
    int code = sqlite3_open(((struct space *)context)->path, &db);
    assert(code == SQLITE_OK);
    sqlite3_stmt *statement;
    code = sqlite3_prepare_v2(
        db, "UPDATE entry SET value = CAST('X' || substr(value, 2) AS BLOB) WHERE key = ?", -1,
        &statement, NULL);
    assert(code == SQLITE_OK);
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
    assert(code == SQLITE_DONE && sqlite3_changes(db) == 1);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void unmake(void *context)
{
    struct space *space = context;
    scratch_remove(space->directory);
    free(space->path);
    free(space);
}

int main(void)
{
    static const struct store_suite_target target = {
        .name = "store: sqlite",
        .make = make,
        .open = open_handle,
        .damage = damage,
        .unmake = unmake,
    };
    return store_suite_run(&target);
}
