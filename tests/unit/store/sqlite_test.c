/* The file around the store: who may read it, what is taken for a store, who may have it open. */
#include "store/sqlite.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conformance/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOBODY       65534

struct fixture {
    char *directory; /* Owned. */
    char *path;      /* Owned; DIRECTORY/shop.db, not made yet. */
    mode_t umask;
};

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    fixture->directory = scratch_make();
    fixture->path = xasprintf("%s/shop.db", fixture->directory);
    fixture->umask = umask(022);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    umask(fixture->umask);
    scratch_remove(fixture->directory);
    free(fixture->path);
    free(fixture);
    return 0;
}

static struct store open_store(const char *path, enum store_sqlite_mode mode)
{
    struct err e = ERR_NULL;
    struct store store = STORE_NULL;
    if (store_sqlite_open(&store, path, mode, &e) != 0) {
        fail_msg("open: %s", e.text);
    }
    return store;
}

/* Opening must fault and say each of the two words. */
static void assert_refused(const char *path, enum store_sqlite_mode mode, const char *word,
                           const char *other)
{
    struct err e = ERR_NULL;
    struct store store = STORE_NULL;
    if (store_sqlite_open(&store, path, mode, &e) == 0) {
        store_close(&store);
        fail_msg("%s: was opened", path);
    }
    if (strstr(e.text, word) == NULL || strstr(e.text, other) == NULL) {
        fail_msg("'%s' has not both of '%s' and '%s'", e.text, word, other);
    }
}

static int put(struct store *store, const char *text, struct err *e)
{
    struct store_write write = {.key = "k", .value = text, .length = strlen(text)};
    enum store_outcome outcome;
    return store_commit(store, NULL, 0, &write, 1, &outcome, NULL, e);
}

static void must_put(struct store *store, const char *text)
{
    struct err e = ERR_NULL;
    if (put(store, text, &e) != 0) {
        fail_msg("put: %s", e.text);
    }
}

static void assert_value(struct store *store, const char *text)
{
    struct err e = ERR_NULL;
    bool found = false;
    struct store_entry entry = {.key = NULL};
    if (store_get(store, "k", &found, &entry, &e) != 0) {
        fail_msg("get: %s", e.text);
    }
    assert_true(found);
    assert_int_equal(entry.length, strlen(text));
    assert_memory_equal(entry.value, text, entry.length);
    store_entry_deinit(&entry);
}

static unsigned mode_of(const char *path, const char *suffix)
{
    char *full = xasprintf("%s%s", path, suffix);
    struct stat st;
    int result = stat(full, &st);
    free(full);
    return result == 0 ? st.st_mode & 07777 : 0;
}

static void write_file(const char *path, const void *bytes, size_t length, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* Whatever the umask, nobody else can read the files, and the owner can. */
static void files_are_private(void **state)
{
    struct fixture *fixture = *state;
    static const mode_t masks[] = {0, 022, 077, 0177, 0777};
    for (size_t i = 0; i < COUNT(masks); i++) {
        char *directory = xasprintf("%s/state%zu", fixture->directory, i);
        char *path = xasprintf("%s/deep/shop.db", directory);
        umask(masks[i]);
        struct store store = open_store(path, STORE_SQLITE_WRITE);
        must_put(&store, "value");
        assert_int_equal(mode_of(directory, ""), 0700);
        assert_int_equal(mode_of(directory, "/deep"), 0700);
        assert_int_equal(mode_of(path, ""), 0600);
        assert_int_equal(mode_of(path, "-wal"), 0600);
        assert_int_equal(mode_of(path, "-shm"), 0600);
        assert_int_equal(mode_of(path, ".new"), 0);
        store_close(&store);
        free(path);
        free(directory);
    }
}

static void a_relative_path_works(void **state)
{
    struct fixture *fixture = *state;
    int here = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(chdir(fixture->directory), 0);
    struct store store = open_store("shop.db", STORE_SQLITE_WRITE);
    must_put(&store, "value");
    store_close(&store);
    store = open_store("file:shop.db", STORE_SQLITE_WRITE); /* A name, not a URI. */
    store_close(&store);
    assert_int_equal(fchdir(here), 0);
    close(here);
    assert_int_equal(mode_of(fixture->directory, "/file:shop.db"), 0600);
    store = open_store(fixture->path, STORE_SQLITE_READ);
    assert_value(&store, "value");
    store_close(&store);
}

static void reading_makes_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture->path, STORE_SQLITE_READ, fixture->path, "lamplighter apply");
    assert_int_equal(mode_of(fixture->path, ""), 0);
    char *deep = xasprintf("%s/none/shop.db", fixture->directory);
    assert_refused(deep, STORE_SQLITE_READ, deep, "lamplighter apply");
    assert_int_equal(mode_of(fixture->directory, "/none"), 0);
    free(deep);
}

static void make_readable(const struct fixture *fixture)
{
    chmod(fixture->path, 0640);
}

static void make_log_readable(const struct fixture *fixture)
{
    char *log = xasprintf("%s-wal", fixture->path);
    write_file(log, "x", 1, 0644);
    free(log);
}

static void make_link(const struct fixture *fixture)
{
    char *target = xasprintf("%s/elsewhere.db", fixture->directory);
    assert_int_equal(rename(fixture->path, target), 0);
    assert_int_equal(symlink(target, fixture->path), 0);
    free(target);
}

static void make_directory(const struct fixture *fixture)
{
    unlink(fixture->path);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
}

static void make_pipe(const struct fixture *fixture)
{
    unlink(fixture->path);
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
}

static void open_directory(const struct fixture *fixture)
{
    chmod(fixture->directory, 0770);
}

static void make_empty(const struct fixture *fixture)
{
    assert_int_equal(truncate(fixture->path, 0), 0);
}

static void make_text(const struct fixture *fixture)
{
    char text[8192];
    memset(text, 'x', sizeof(text));
    write_file(fixture->path, text, sizeof(text), 0600);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void make_foreign(const struct fixture *fixture)
{
    unlink(fixture->path);
    umask(077);
    run_sql(fixture->path, "CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('x')");
}

static void make_newer(const struct fixture *fixture)
{
    run_sql(fixture->path, "PRAGMA user_version = 7");
}

static void make_unversioned(const struct fixture *fixture)
{
    run_sql(fixture->path, "PRAGMA user_version = 0");
}

static void drop_table(const struct fixture *fixture)
{
    run_sql(fixture->path, "DROP TABLE entry");
}

static void drop_revision(const struct fixture *fixture)
{
    run_sql(fixture->path, "DELETE FROM revision");
}

static void turn_revision_back(const struct fixture *fixture)
{
    run_sql(fixture->path, "UPDATE revision SET revision = 0");
}

static void lose_database(const struct fixture *fixture)
{
    char *log = xasprintf("%s-wal", fixture->path);
    assert_int_equal(rename(fixture->path, log), 0);
    free(log);
}

/* What is wrong with the file is told, with what to do, and is left as it is. */
static void what_is_no_store_of_ours_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*spoil)(const struct fixture *fixture);
        const char *word;
        const char *other;
    } cases[] = {
        {"readable", make_readable, "mode 0640", "chmod 600"},
        {"log readable", make_log_readable, "shop.db-wal", "chmod 600"},
        {"link", make_link, "symbolic link", "shop.db"},
        {"directory", make_directory, "not a regular file", "shop.db"},
        {"pipe", make_pipe, "not a regular file", "shop.db"},
        {"directory of others", open_directory, "mode 0770", "chmod go-w"},
        {"empty", make_empty, "is empty", "backup"},
        {"text", make_text, "not a database", "backup"},
        {"another program's", make_foreign, "another program", "state ="},
        {"newer", make_newer, "newer Lamplighter", "schema version 7"},
        {"no version", make_unversioned, "damaged", "backup"},
        {"no table", drop_table, "no such table", "backup"},
        {"no revision", drop_revision, "revision counter", "backup"},
        {"wrong revision", turn_revision_back, "revision counter", "backup"},
        {"log only", lose_database, "shop.db-wal", "backup"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        print_message("case: %s\n", cases[i].what);
        struct fixture *fixture;
        setup((void **)&fixture);
        struct store store = open_store(fixture->path, STORE_SQLITE_WRITE);
        must_put(&store, "value");
        store_close(&store);
        cases[i].spoil(fixture);
        struct stat before;
        struct stat after;
        assert_true(lstat(fixture->path, &before) == 0 || cases[i].spoil == lose_database);
        assert_refused(fixture->path, STORE_SQLITE_READ, cases[i].word, cases[i].other);
        assert_refused(fixture->path, STORE_SQLITE_WRITE, cases[i].word, cases[i].other);
        if (lstat(fixture->path, &after) == 0) {
            assert_int_equal(after.st_size, before.st_size);
            assert_int_equal(after.st_mode, before.st_mode);
            assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
        }
        teardown((void **)&fixture);
    }
}

static void a_path_without_a_name_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *path = xasprintf("%s/", fixture->directory);
    assert_refused(path, STORE_SQLITE_WRITE, path, "path of a file");
    free(path);
    assert_refused("", STORE_SQLITE_WRITE, "path of a file", "");
    path = xasprintf("%s/file/shop.db", fixture->directory);
    char *file = xasprintf("%s/file", fixture->directory);
    write_file(file, "x", 1, 0600);
    assert_refused(path, STORE_SQLITE_WRITE, file, "");
    free(file);
    free(path);
}

/* What a killed maker left behind is not in the way. */
static void leftovers_of_a_making_are_cleared(void **state)
{
    struct fixture *fixture = *state;
    static const char *const suffixes[] = {".new", ".new-wal", ".new-shm", ".new-journal"};
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        char *path = xasprintf("%s%s", fixture->path, suffixes[i]);
        write_file(path, "rubbish", 7, 0600);
        free(path);
    }
    struct store store = open_store(fixture->path, STORE_SQLITE_WRITE);
    must_put(&store, "value");
    store_close(&store);
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        assert_int_equal(mode_of(fixture->path, suffixes[i]), 0);
    }
}

static void a_reader_sees_a_live_writer(void **state)
{
    struct fixture *fixture = *state;
    struct store writer = open_store(fixture->path, STORE_SQLITE_WRITE);
    must_put(&writer, "first");
    struct store reader = open_store(fixture->path, STORE_SQLITE_READ);
    assert_value(&reader, "first");
    must_put(&writer, "second");
    assert_value(&reader, "second");

    struct err e = ERR_NULL;
    assert_int_equal(put(&reader, "mine", &e), -1);
    assert_non_null(strstr(e.text, "reading only"));
    assert_value(&reader, "second");

    store_close(&writer);
    assert_value(&reader, "second");
    writer = open_store(fixture->path, STORE_SQLITE_WRITE);
    must_put(&writer, "third");
    assert_value(&reader, "third");
    store_close(&reader);
    must_put(&writer, "fourth");
    store_close(&writer);
    assert_int_equal(mode_of(fixture->path, "-wal"), 0); /* The last writer tidies up. */
}

/* Runs BODY in a process of its own; what it returned. */
static int in_child(int (*body)(const struct fixture *fixture), const struct fixture *fixture)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(body(fixture));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int write_and_die(const struct fixture *fixture)
{
    struct err e = ERR_NULL;
    struct store store;
    if (store_sqlite_open(&store, fixture->path, STORE_SQLITE_WRITE, &e) != 0 ||
        put(&store, "last words", &e) != 0) {
        return 1;
    }
    raise(SIGKILL);
    return 2;
}

static void a_reader_sees_what_a_killed_writer_left(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(in_child(write_and_die, fixture), 128 + SIGKILL);
    char *log = xasprintf("%s-wal", fixture->path);
    struct stat before;
    assert_int_equal(stat(log, &before), 0);
    for (int i = 0; i < 2; i++) {
        struct store reader = open_store(fixture->path, STORE_SQLITE_READ);
        assert_value(&reader, "last words");
        store_close(&reader);
        struct stat after;
        assert_int_equal(stat(log, &after), 0); /* Left as it was, for a writer to clear up. */
        assert_int_equal(after.st_size, before.st_size);
        /* As after a power loss: the index of the log is gone and must be made again. */
        char *index = xasprintf("%s-shm", fixture->path);
        assert_int_equal(unlink(index), 0);
        free(index);
    }
    struct store writer = open_store(fixture->path, STORE_SQLITE_WRITE);
    assert_value(&writer, "last words");
    store_close(&writer);
    assert_int_equal(mode_of(log, ""), 0);
    free(log);
}

static int write_as_nobody(const struct fixture *fixture)
{
    struct err e = ERR_NULL;
    struct store store;
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 1;
    }
    if (store_sqlite_open(&store, fixture->path, STORE_SQLITE_WRITE, &e) != 0 ||
        put(&store, "nobody's", &e) != 0) {
        return 2;
    }
    raise(SIGKILL);
    return 3;
}

static int read_as_nobody(const struct fixture *fixture)
{
    struct err e = ERR_NULL;
    struct store store;
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 1;
    }
    return store_sqlite_open(&store, fixture->path, STORE_SQLITE_READ, &e) == 0    ? 2
           : strstr(e.text, "as that user or as root") != NULL && e.text[0] == '/' ? 0
                                                                                   : 3;
}

static uid_t owner_of(const char *path, const char *suffix)
{
    char *full = xasprintf("%s%s", path, suffix);
    struct stat st;
    assert_int_equal(stat(full, &st), 0);
    free(full);
    return st.st_uid;
}

/* Root may look at anybody's store and leaves nothing that its owner could not use. */
static void root_reads_beside_the_owner(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chown(fixture->directory, NOBODY, NOBODY), 0);
    assert_int_equal(in_child(write_as_nobody, fixture), 128 + SIGKILL);
    static const char *const suffixes[] = {"-wal", "-shm"};
    char *index = xasprintf("%s-shm", fixture->path);
    assert_int_equal(unlink(index), 0);
    free(index);
    struct store reader = open_store(fixture->path, STORE_SQLITE_READ);
    assert_value(&reader, "nobody's");
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        assert_int_equal(owner_of(fixture->path, suffixes[i]), NOBODY);
    }
    store_close(&reader);
    assert_int_equal(in_child(write_as_nobody, fixture), 128 + SIGKILL);

    /* The other way round it is refused. */
    assert_int_equal(chown(fixture->path, 0, 0), 0);
    assert_int_equal(in_child(read_as_nobody, fixture), 0);
}

/* A file moved away under a running controller would take its writes to nowhere. */
static void a_moved_file_stops_the_writer(void **state)
{
    struct fixture *fixture = *state;
    struct store store = open_store(fixture->path, STORE_SQLITE_WRITE);
    must_put(&store, "before");
    char *aside = xasprintf("%s.aside", fixture->path);
    assert_int_equal(rename(fixture->path, aside), 0);
    struct err e = ERR_NULL;
    assert_int_equal(put(&store, "after", &e), -1);
    assert_non_null(strstr(e.text, "moved, deleted or replaced"));
    write_file(fixture->path, "another", 7, 0600);
    assert_int_equal(put(&store, "after", &e), -1);
    assert_int_equal(rename(aside, fixture->path), 0);
    must_put(&store, "put back");
    store_close(&store);
    free(aside);
}

/* A limit on file sizes stands for a full disk. */
static int fill_the_disk(const struct fixture *fixture)
{
    struct err e = ERR_NULL;
    struct store store;
    if (store_sqlite_open(&store, fixture->path, STORE_SQLITE_WRITE, &e) != 0 ||
        put(&store, "small", &e) != 0) {
        return 1;
    }
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 64 * 1024;
    setrlimit(RLIMIT_FSIZE, &limit);
    char *large = xcalloc(200001, 1);
    memset(large, 'x', 200000);
    if (put(&store, large, &e) == 0 || strstr(e.text, fixture->path) == NULL ||
        strstr(e.text, "; ") == NULL) {
        return 2;
    }
    free(large);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    int result = put(&store, "room again", &e) == 0 ? 0 : 3;
    store_close(&store);
    return result;
}

static void a_full_disk_is_a_fault_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(in_child(fill_the_disk, fixture), 0);
    struct store store = open_store(fixture->path, STORE_SQLITE_WRITE);
    assert_value(&store, "room again");
    int64_t revision;
    struct err e = ERR_NULL;
    assert_int_equal(store_revision(&store, &revision, &e), 0);
    assert_int_equal(revision, 2);
    store_close(&store);
}

static int make_on_a_full_disk(const struct fixture *fixture)
{
    struct err e = ERR_NULL;
    struct store store;
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = 6000, .rlim_max = RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    return store_sqlite_open(&store, fixture->path, STORE_SQLITE_WRITE, &e) == 0 ? 1
           : strstr(e.text, "shop.db") == NULL                                   ? 2
                                                                                 : 0;
}

static void a_store_is_made_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(in_child(make_on_a_full_disk, fixture), 0);
    assert_int_equal(mode_of(fixture->path, ""), 0);
    assert_int_equal(mode_of(fixture->path, ".new"), 0);
    struct store store = open_store(fixture->path, STORE_SQLITE_WRITE);
    must_put(&store, "value");
    store_close(&store);
}

/* Holds the lock of writers from before it tells READY until 100 ms after it was told GO. */
static int hold_the_lock(const char *path, int ready, int go)
{
    char byte = 'x';
    sqlite3 *db;
    bool ok = sqlite3_open(path, &db) == SQLITE_OK &&
              sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
              write(ready, &byte, 1) == 1 && read(go, &byte, 1) == 1;
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    ok = ok && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return ok ? 0 : 1;
}

/* Another process in the middle of a transaction is waited for, but not by readers. */
static void writers_wait_for_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct store store = open_store(fixture->path, STORE_SQLITE_WRITE);
    must_put(&store, "before");
    int ready[2];
    int go[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(hold_the_lock(fixture->path, ready[1], go[0]));
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct store reader = open_store(fixture->path, STORE_SQLITE_READ);
    assert_value(&reader, "before");
    store_close(&reader);
    assert_int_equal(write(go[1], &byte, 1), 1);
    int64_t start = clock_now_ms();
    must_put(&store, "after");
    assert_true(clock_now_ms() - start >= 90);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (size_t i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_private, setup, teardown),
        cmocka_unit_test_setup_teardown(a_relative_path_works, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_makes_nothing, setup, teardown),
        cmocka_unit_test(what_is_no_store_of_ours_is_refused),
        cmocka_unit_test_setup_teardown(a_path_without_a_name_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(leftovers_of_a_making_are_cleared, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_sees_a_live_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_sees_what_a_killed_writer_left, setup, teardown),
        cmocka_unit_test_setup_teardown(root_reads_beside_the_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(a_moved_file_stops_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_a_fault_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_is_made_whole_or_not_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(writers_wait_for_each_other, setup, teardown),
    };
    return cmocka_run_group_tests_name("store/sqlite", tests, NULL, NULL);
}
