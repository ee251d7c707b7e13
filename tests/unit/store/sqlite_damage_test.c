/*
 * A store whose file was cut or changed: whatever the byte, opening and reading either faults and
 * says which file, or gives back exactly what was written. Run under the sanitizers.
 */
#include "store/sqlite.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conformance/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ENTRIES 60
#define FLIPS   400

struct fixture {
    char *directory;
    char *path;
    struct str whole; /* The file as it was written. */
};

static unsigned draw(uint64_t *seed, unsigned below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % below;
}

/* Some short, some over several pages. */
static struct store_entry expected(size_t i)
{
    struct store_entry entry = {.key = xasprintf("instance/web-%02zu", i)};
    entry.length = i % 20 == 0 ? 9000 : 40 + i;
    entry.value = xcalloc(entry.length, 1);
    memset(entry.value, 'a' + (int)(i % 26), entry.length);
    return entry;
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    fixture->directory = scratch_make();
    fixture->path = xasprintf("%s/shop.db", fixture->directory);
    struct err e = ERR_NULL;
    struct store store;
    if (store_sqlite_open(&store, fixture->path, STORE_SQLITE_WRITE, &e) != 0) {
        print_error("%s\n", e.text);
        return -1;
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        struct store_entry entry = expected(i);
        struct store_write write = {.key = entry.key, .value = entry.value, .length = entry.length};
        enum store_outcome outcome;
        if (store_commit(&store, NULL, 0, &write, 1, &outcome, NULL, &e) != 0) {
            print_error("%s\n", e.text);
            return -1;
        }
        store_entry_deinit(&entry);
    }
    store_close(&store);
    *state = fixture;
    return str_read_file(&fixture->whole, fixture->path, 1 << 24, &e);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    scratch_remove(fixture->directory);
    str_deinit(&fixture->whole);
    free(fixture->path);
    free(fixture);
    return 0;
}

static void write_file(const char *path, const char *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static void remove_beside(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    for (size_t i = 0; i < 2; i++) {
        char *beside = xasprintf("%s%s", path, suffixes[i]);
        unlink(beside);
        free(beside);
    }
}

static bool is_whole(const struct store_entry *entries, size_t count)
{
    bool whole = count == ENTRIES;
    for (size_t i = 0; whole && i < count; i++) {
        struct store_entry wanted = expected(i);
        whole = strcmp(entries[i].key, wanted.key) == 0 && entries[i].length == wanted.length &&
                memcmp(entries[i].value, wanted.value, wanted.length) == 0 &&
                entries[i].created == (int64_t)i + 1 && entries[i].revision == (int64_t)i + 1;
        store_entry_deinit(&wanted);
    }
    return whole;
}

enum finding { FINDING_WHOLE, FINDING_FAULT, FINDING_SILENT };

/* Opens, reads everything in both ways and writes once. */
static enum finding examine(const char *path, enum store_sqlite_mode mode, struct err *e)
{
    struct store store = STORE_NULL;
    if (store_sqlite_open(&store, path, mode, e) != 0) {
        return FINDING_FAULT;
    }
    struct store_entry *entries;
    size_t count;
    int result = store_range(&store, "", NULL, false, 0, &entries, &count, e);
    enum finding finding = result != 0                ? FINDING_FAULT
                           : is_whole(entries, count) ? FINDING_WHOLE
                                                      : FINDING_SILENT;
    for (size_t i = 0; result == 0 && i < ENTRIES && finding == FINDING_WHOLE; i++) {
        bool found;
        struct store_entry entry = {.key = NULL};
        if (store_get(&store, entries[i].key, &found, &entry, e) != 0) {
            finding = FINDING_FAULT;
        } else if (!found) {
            finding = FINDING_SILENT;
        }
        store_entry_deinit(&entry);
    }
    if (result == 0) {
        store_entries_free(entries, count);
    }
    if (mode == STORE_SQLITE_WRITE && finding == FINDING_WHOLE) {
        struct store_write write = {.key = "x", .value = "y", .length = 1};
        enum store_outcome outcome;
        int64_t revision = 0;
        if (store_commit(&store, NULL, 0, &write, 1, &outcome, &revision, e) != 0) {
            finding = FINDING_FAULT;
        } else if (revision != ENTRIES + 1) {
            finding = FINDING_SILENT;
        }
    }
    store_close(&store);
    return finding;
}

static void check_case(const struct fixture *fixture, enum store_sqlite_mode mode,
                       const char *bytes, size_t length, const char *what, unsigned *faults)
{
    write_file(fixture->path, bytes, length);
    struct err e = ERR_NULL;
    enum finding finding = examine(fixture->path, mode, &e);
    remove_beside(fixture->path);
    if (finding == FINDING_SILENT) {
        fail_msg("%s: damage passed in silence", what);
    }
    if (finding == FINDING_FAULT) {
        (*faults)++;
        if (strstr(e.text, fixture->path) == NULL) {
            fail_msg("%s: '%s' does not name the file", what, e.text);
        }
    }
}

static void any_flipped_bit_is_told_or_harmless(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 7;
    unsigned faults = 0;
    char *bytes = xcalloc(fixture->whole.length, 1);
    for (unsigned i = 0; i < FLIPS; i++) {
        memcpy(bytes, fixture->whole.text, fixture->whole.length);
        /* Every byte of the header first, then anywhere. */
        size_t at = i < 100 ? i : draw(&seed, (unsigned)fixture->whole.length);
        bytes[at] = (char)(bytes[at] ^ (1 << draw(&seed, 8)));
        char what[64];
        snprintf(what, sizeof(what), "byte %zu", at);
        check_case(fixture, STORE_SQLITE_WRITE, bytes, fixture->whole.length, what, &faults);
    }
    free(bytes);
    print_message("%u of %d were told\n", faults, FLIPS);
    assert_true(faults > FLIPS / 4); /* Else nothing was really damaged. */
}

/*
 * A key is in the table and in its index. Changed in the index only, the entry would just not be
 * found any more: no checksum sees that, the check at the open must.
 */
static void a_lost_entry_is_told(void **state)
{
    struct fixture *fixture = *state;
    static const char key[] = "instance/web-37";
    unsigned found = 0;
    char *bytes = xcalloc(fixture->whole.length, 1);
    for (size_t at = 0; at + sizeof(key) <= fixture->whole.length; at++) {
        if (memcmp(fixture->whole.text + at, key, sizeof(key) - 1) != 0) {
            continue;
        }
        found++;
        memcpy(bytes, fixture->whole.text, fixture->whole.length);
        bytes[at + sizeof(key) - 2] = '~';
        write_file(fixture->path, bytes, fixture->whole.length);
        struct err e = ERR_NULL;
        struct store store = STORE_NULL;
        assert_int_equal(store_sqlite_open(&store, fixture->path, STORE_SQLITE_WRITE, &e), -1);
        assert_non_null(strstr(e.text, "check of the whole file: damaged"));
        remove_beside(fixture->path);
    }
    free(bytes);
    assert_int_equal(found, 2);
}

/* A reader does not check the whole file; what it hands out must be right all the same. */
static void a_reader_never_hands_out_a_wrong_value(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 11;
    unsigned faults = 0;
    char *bytes = xcalloc(fixture->whole.length, 1);
    for (unsigned i = 0; i < FLIPS / 2; i++) {
        memcpy(bytes, fixture->whole.text, fixture->whole.length);
        size_t at = draw(&seed, (unsigned)fixture->whole.length);
        bytes[at] = (char)(bytes[at] ^ (1 << draw(&seed, 8)));
        write_file(fixture->path, bytes, fixture->whole.length);
        struct err e = ERR_NULL;
        struct store store = STORE_NULL;
        for (size_t k = 0; k < ENTRIES; k += 7) {
            struct store_entry wanted = expected(k);
            struct store_entry entry = {.key = NULL};
            bool found = false;
            if ((store.ops == NULL &&
                 store_sqlite_open(&store, fixture->path, STORE_SQLITE_READ, &e) != 0) ||
                store_get(&store, wanted.key, &found, &entry, &e) != 0) {
                faults++;
                assert_non_null(strstr(e.text, fixture->path));
            } else if (found) {
                assert_int_equal(entry.length, wanted.length);
                assert_memory_equal(entry.value, wanted.value, wanted.length);
                assert_int_equal(entry.revision, k + 1);
            }
            store_entry_deinit(&entry);
            store_entry_deinit(&wanted);
        }
        store_close(&store);
        remove_beside(fixture->path);
    }
    free(bytes);
    assert_true(faults > 0);
}

static void any_cut_is_told(void **state)
{
    struct fixture *fixture = *state;
    unsigned faults = 0;
    unsigned cases = 0;
    for (size_t length = 0; length < fixture->whole.length; length += length < 200 ? 13 : 1021) {
        char what[64];
        snprintf(what, sizeof(what), "cut to %zu bytes", length);
        check_case(fixture, STORE_SQLITE_WRITE, fixture->whole.text, length, what, &faults);
        check_case(fixture, STORE_SQLITE_READ, fixture->whole.text, length, what, &faults);
        cases += 2;
    }
    assert_int_equal(faults, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_flipped_bit_is_told_or_harmless, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_entry_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_never_hands_out_a_wrong_value, setup, teardown),
        cmocka_unit_test_setup_teardown(any_cut_is_told, setup, teardown),
    };
    return cmocka_run_group_tests_name("store/sqlite: damage", tests, NULL, NULL);
}
