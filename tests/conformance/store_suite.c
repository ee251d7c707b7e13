#include "store_suite.h"

#include "base/err.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
    const struct store_suite_target *target;
    void *space;
    struct store store;
};

/* The pointer cmocka hands to setup is the target; the tests see the fixture instead. */
static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    fixture->target = *state;
    fixture->space = fixture->target->make();
    struct err e = ERR_NULL;
    if (fixture->target->open(fixture->space, &fixture->store, &e) != 0) {
        print_error("open: %s\n", e.text);
        return -1;
    }
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(&fixture->store);
    fixture->target->unmake(fixture->space);
    free(fixture);
    return 0;
}

static void assert_ok(int result, const struct err *e)
{
    if (result != 0) {
        fail_msg("fault: %s", e->text);
    }
}

/* Commits and returns the revision; the outcome must be WANTED. */
static int64_t commit(struct store *store, const struct store_compare *compares, size_t compares_n,
                      const struct store_write *writes, size_t writes_n, enum store_outcome wanted)
{
    struct err e = ERR_NULL;
    enum store_outcome outcome;
    int64_t revision = -1;
    assert_ok(store_commit(store, compares, compares_n, writes, writes_n, &outcome, &revision, &e),
              &e);
    assert_int_equal(outcome, wanted);
    return revision;
}

static int64_t put(struct store *store, const char *key, const char *text)
{
    struct store_write write = {.key = key, .value = text, .length = strlen(text)};
    return commit(store, NULL, 0, &write, 1, STORE_DONE);
}

static int64_t delete_key(struct store *store, const char *key)
{
    struct store_write write = {.key = key};
    return commit(store, NULL, 0, &write, 1, STORE_DONE);
}

static int64_t revision_of(struct store *store)
{
    struct err e = ERR_NULL;
    int64_t revision = -1;
    assert_ok(store_revision(store, &revision, &e), &e);
    return revision;
}

static bool exists(struct store *store, const char *key)
{
    struct err e = ERR_NULL;
    bool found;
    struct store_entry entry = {.key = NULL};
    assert_ok(store_get(store, key, &found, &entry, &e), &e);
    store_entry_deinit(&entry);
    return found;
}

static void assert_entry(struct store *store, const char *key, const char *text, int64_t created,
                         int64_t revision)
{
    struct err e = ERR_NULL;
    bool found = false;
    struct store_entry entry = {.key = NULL};
    assert_ok(store_get(store, key, &found, &entry, &e), &e);
    assert_true(found);
    assert_string_equal(entry.key, key);
    assert_int_equal(entry.length, strlen(text));
    assert_memory_equal(entry.value, text, strlen(text));
    assert_int_equal(entry.created, created);
    assert_int_equal(entry.revision, revision);
    store_entry_deinit(&entry);
}

static void a_new_store_is_empty(void **state)
{
    struct fixture *fixture = *state;
    struct err e = ERR_NULL;
    struct store_entry *entries;
    size_t count = 99;
    assert_false(exists(&fixture->store, "instance/web-1"));
    assert_ok(store_range(&fixture->store, "", NULL, false, 0, &entries, &count, &e), &e);
    assert_int_equal(count, 0);
    store_entries_free(entries, count);
    assert_int_equal(revision_of(&fixture->store), 0);
}

static void writes_are_stamped_with_revisions(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    assert_int_equal(put(store, "a", "one"), 1);
    assert_int_equal(put(store, "b", "two"), 2);
    assert_int_equal(put(store, "a", "three"), 3);
    assert_entry(store, "a", "three", 1, 3);
    assert_entry(store, "b", "two", 2, 2);
    assert_int_equal(revision_of(store), 3);
}

static void one_transaction_has_one_revision(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    put(store, "old", "x");
    struct store_write writes[] = {
        {.key = "c", .value = "3", .length = 1},
        {.key = "old"},
        {.key = "a", .value = "1", .length = 1},
    };
    assert_int_equal(commit(store, NULL, 0, writes, COUNT(writes), STORE_DONE), 2);
    assert_entry(store, "a", "1", 2, 2);
    assert_entry(store, "c", "3", 2, 2);
    assert_false(exists(store, "old"));
}

static void revisions_outlive_deletes(void **state)
{
    struct fixture *fixture = *state;
    put(&fixture->store, "a", "one");
    put(&fixture->store, "b", "two");
    assert_int_equal(delete_key(&fixture->store, "b"), 3);
    assert_int_equal(delete_key(&fixture->store, "a"), 4);
    store_close(&fixture->store);
    struct err e = ERR_NULL;
    assert_ok(fixture->target->open(fixture->space, &fixture->store, &e), &e);
    assert_int_equal(revision_of(&fixture->store), 4);
    assert_int_equal(put(&fixture->store, "a", "again"), 5);
    assert_entry(&fixture->store, "a", "again", 5, 5);
}

static void what_changes_nothing_has_no_revision(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    put(store, "a", "one");
    assert_int_equal(delete_key(store, "b"), 1);
    assert_int_equal(commit(store, NULL, 0, NULL, 0, STORE_DONE), 1);
    struct store_compare compare = {.key = "a", .revision = 1};
    assert_int_equal(commit(store, &compare, 1, NULL, 0, STORE_DONE), 1);
    assert_int_equal(put(store, "a", "one"), 2); /* The same bytes again are a write. */
}

static void compares_decide(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    static const struct {
        const char *what;
        struct store_compare compares[2];
        size_t count;
        enum store_outcome outcome;
    } cases[] = {
        {"right revision", {{"a", 3}}, 1, STORE_DONE},
        {"older revision", {{"a", 1}}, 1, STORE_CONFLICT},
        {"revision of the store", {{"a", 4}}, 1, STORE_CONFLICT},
        {"exists, must not", {{"a", 0}}, 1, STORE_CONFLICT},
        {"absent, must be", {{"none", 0}}, 1, STORE_DONE},
        {"absent, must not be", {{"none", 4}}, 1, STORE_CONFLICT},
        {"deleted, must be absent", {{"gone", 0}}, 1, STORE_DONE},
        {"deleted, old revision", {{"gone", 2}}, 1, STORE_CONFLICT},
        {"both right", {{"a", 3}, {"none", 0}}, 2, STORE_DONE},
        {"second wrong", {{"a", 3}, {"none", 1}}, 2, STORE_CONFLICT},
        {"first wrong", {{"a", 2}, {"none", 0}}, 2, STORE_CONFLICT},
    };
    put(store, "a", "1");
    put(store, "gone", "2");
    put(store, "a", "3");
    delete_key(store, "gone");
    for (size_t i = 0; i < COUNT(cases); i++) {
        print_message("case: %s\n", cases[i].what);
        int64_t before = revision_of(store);
        struct store_write writes[] = {
            {.key = "x", .value = "new", .length = 3},
            {.key = "kept"},
        };
        put(store, "kept", "k");
        int64_t after =
            commit(store, cases[i].compares, cases[i].count, writes, 2, cases[i].outcome);
        bool done = cases[i].outcome == STORE_DONE;
        assert_int_equal(after, before + (done ? 2 : 1));
        assert_int_equal(revision_of(store), after);
        assert_int_equal(exists(store, "x"), done);
        assert_int_equal(exists(store, "kept"), !done);
        delete_key(store, "x");
    }
}

static void a_swap_is_won_once(void **state)
{
    struct fixture *fixture = *state;
    struct store other;
    struct err e = ERR_NULL;
    assert_ok(fixture->target->open(fixture->space, &other, &e), &e);
    put(&fixture->store, "lock", "nobody");
    struct store_compare compare = {.key = "lock", .revision = 1};
    struct store_write mine = {.key = "lock", .value = "me", .length = 2};
    struct store_write theirs = {.key = "lock", .value = "them", .length = 4};
    assert_int_equal(commit(&other, &compare, 1, &theirs, 1, STORE_DONE), 2);
    assert_int_equal(commit(&fixture->store, &compare, 1, &mine, 1, STORE_CONFLICT), 2);
    assert_entry(&fixture->store, "lock", "them", 1, 2);
    store_close(&other);
}

static void handles_see_each_other_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct store other;
    struct err e = ERR_NULL;
    assert_ok(fixture->target->open(fixture->space, &other, &e), &e);
    for (int64_t i = 1; i < 20; i += 2) {
        assert_int_equal(put(&fixture->store, "a", "mine"), i);
        assert_entry(&other, "a", "mine", 1, i);
        assert_int_equal(put(&other, "a", "theirs"), i + 1);
        assert_entry(&fixture->store, "a", "theirs", 1, i + 1);
    }
    store_close(&other);
}

static void assert_range(struct store *store, const char *prefix, const char *after, bool reverse,
                         size_t limit, const char *wanted)
{
    struct err e = ERR_NULL;
    struct store_entry *entries;
    size_t count;
    assert_ok(store_range(store, prefix, after, reverse, limit, &entries, &count, &e), &e);
    char got[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length += (size_t)snprintf(got + length, sizeof(got) - length, "%s%s", i > 0 ? " " : "",
                                   entries[i].key);
        assert_string_equal(entries[i].value, entries[i].key);
    }
    store_entries_free(entries, count);
    assert_string_equal(got, wanted);
}

static void ranges_are_ordered_by_bytes(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    /* Written in no order. '-' < '/' < '0' < 'A' < '_' < 'a' < '~'. */
    static const char *const keys[] = {"b/2", "a",     "b/10", "b0",  "b",   "b/~",
                                       "B/1", "b/1/x", "b-1",  "b/_", "b/A", "b/a"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        /* With the NUL, so that assert_range() can compare value and key as text. */
        struct store_write write = {
            .key = keys[i], .value = keys[i], .length = strlen(keys[i]) + 1};
        commit(store, NULL, 0, &write, 1, STORE_DONE);
    }
    static const struct {
        const char *prefix;
        const char *after;
        bool reverse;
        size_t limit;
        const char *wanted;
    } cases[] = {
        {"", NULL, false, 0, "B/1 a b b-1 b/1/x b/10 b/2 b/A b/_ b/a b/~ b0"},
        {"", NULL, true, 0, "b0 b/~ b/a b/_ b/A b/2 b/10 b/1/x b-1 b a B/1"},
        {"b/", NULL, false, 0, "b/1/x b/10 b/2 b/A b/_ b/a b/~"},
        {"b/", NULL, true, 0, "b/~ b/a b/_ b/A b/2 b/10 b/1/x"},
        {"b/", NULL, false, 2, "b/1/x b/10"},
        {"b/", NULL, true, 2, "b/~ b/a"},
        {"b/", NULL, false, 7, "b/1/x b/10 b/2 b/A b/_ b/a b/~"},
        {"b/", NULL, false, SIZE_MAX, "b/1/x b/10 b/2 b/A b/_ b/a b/~"},
        {"b/", "b/2", false, 0, "b/A b/_ b/a b/~"},
        {"b/", "b/2", true, 0, "b/~ b/a b/_ b/A"},
        {"b/", "b/2", true, 1, "b/~"},
        {"b/", "b/1", false, 2, "b/1/x b/10"},
        {"b/", "b/3", false, 1, "b/A"},
        {"b/", "b/~", false, 0, ""},
        {"b/", "c", false, 0, ""},
        {"b/", "a", false, 1, "b/1/x"},
        {"b/", "", false, 1, "b/1/x"},
        {"b/", "b/", false, 1, "b/1/x"},
        {"b", "b", false, 1, "b-1"},
        {"b/~", NULL, false, 0, "b/~"},
        {"b/1/x", NULL, false, 0, "b/1/x"},
        {"b/1/x/", NULL, false, 0, ""},
        {"c", NULL, false, 0, ""},
        {"~", NULL, true, 0, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        print_message("case: '%s' after '%s'\n", cases[i].prefix,
                      cases[i].after == NULL ? "(none)" : cases[i].after);
        assert_range(store, cases[i].prefix, cases[i].after, cases[i].reverse, cases[i].limit,
                     cases[i].wanted);
    }
}

static void values_are_any_bytes(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    unsigned char *bytes = xcalloc(STORE_VALUE_MAX, 1);
    for (size_t i = 0; i < STORE_VALUE_MAX; i++) {
        bytes[i] = (unsigned char)(i * 31 + i / 256);
    }
    static const size_t lengths[] = {0, 1, 255, 256, 4096, 70000, STORE_VALUE_MAX};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct store_write write = {.key = "v", .value = bytes, .length = lengths[i]};
        commit(store, NULL, 0, &write, 1, STORE_DONE);
        struct err e = ERR_NULL;
        bool found = false;
        struct store_entry entry = {.key = NULL};
        assert_ok(store_get(store, "v", &found, &entry, &e), &e);
        assert_true(found);
        assert_int_equal(entry.length, lengths[i]);
        assert_memory_equal(entry.value, bytes, lengths[i]);
        store_entry_deinit(&entry);
    }
    free(bytes);
}

static void what_no_store_may_hold_is_refused(void **state)
{
    struct store *store = &((struct fixture *)*state)->store;
    char longest[STORE_KEY_MAX + 1];
    memset(longest, 'k', STORE_KEY_MAX);
    longest[STORE_KEY_MAX] = '\0';
    put(store, longest, "fits");
    assert_true(exists(store, longest));

    char too_long[STORE_KEY_MAX + 2];
    memset(too_long, 'k', STORE_KEY_MAX + 1);
    too_long[STORE_KEY_MAX + 1] = '\0';
    const char *const keys[] = {"", "a\n", "a\x7f", "\x1b[2J", "caf\xc3\xa9", too_long};
    enum store_outcome outcome;
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct err e = ERR_NULL;
        struct store_write write = {.key = keys[i], .value = "v", .length = 1};
        struct store_compare compare = {.key = keys[i]};
        bool found;
        struct store_entry entry;
        assert_int_equal(store_commit(store, NULL, 0, &write, 1, &outcome, NULL, &e), -1);
        assert_true(e.text[0] != '\0');
        assert_int_equal(store_commit(store, &compare, 1, NULL, 0, &outcome, NULL, &e), -1);
        assert_int_equal(store_get(store, keys[i], &found, &entry, &e), -1);
    }

    struct err e = ERR_NULL;
    char *large = xcalloc(STORE_VALUE_MAX + 1, 1);
    struct store_write write = {.key = "v", .value = large, .length = STORE_VALUE_MAX + 1};
    assert_int_equal(store_commit(store, NULL, 0, &write, 1, &outcome, NULL, &e), -1);
    assert_non_null(strstr(e.text, "'v'"));
    free(large);

    struct store_write twice[] = {
        {.key = "w", .value = "1", .length = 1}, {.key = "v"}, {.key = "w"}};
    assert_int_equal(store_commit(store, NULL, 0, twice, 3, &outcome, NULL, &e), -1);
    assert_non_null(strstr(e.text, "'w'"));
    assert_int_equal(revision_of(store), 1);
}

static void damage_is_told_with_its_key(void **state)
{
    struct fixture *fixture = *state;
    struct err e = ERR_NULL;
    put(&fixture->store, "instance/web-1", "first");
    put(&fixture->store, "instance/web-2", "second");
    store_close(&fixture->store);
    fixture->target->damage(fixture->space, "instance/web-2");
    assert_ok(fixture->target->open(fixture->space, &fixture->store, &e), &e);

    struct store *store = &fixture->store;
    bool found;
    struct store_entry entry = {.key = NULL};
    assert_int_equal(store_get(store, "instance/web-2", &found, &entry, &e), -1);
    assert_non_null(strstr(e.text, "instance/web-2"));
    e = ERR_NULL;
    struct store_entry *entries = NULL;
    size_t count;
    assert_int_equal(store_range(store, "instance/", NULL, false, 0, &entries, &count, &e), -1);
    assert_non_null(strstr(e.text, "instance/web-2"));
    e = ERR_NULL;
    enum store_outcome outcome;
    struct store_compare compare = {.key = "instance/web-2", .revision = 2};
    assert_int_equal(store_commit(store, &compare, 1, NULL, 0, &outcome, NULL, &e), -1);
    assert_non_null(strstr(e.text, "instance/web-2"));
    assert_entry(store, "instance/web-1", "first", 1, 1);
    /* The rest can still be worked with. */
    assert_int_equal(put(store, "instance/web-3", "third"), 3);
}

/* A model too simple to be wrong: what random transactions must leave behind. */
#define MODEL_KEYS 8
struct model {
    int64_t revision;
    int64_t created[MODEL_KEYS];
    int64_t written[MODEL_KEYS]; /* 0: not there. */
    unsigned char value[MODEL_KEYS];
};

static unsigned draw(uint64_t *seed, unsigned below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % below;
}

static const char *model_key(size_t i)
{
    static const char *const keys[MODEL_KEYS] = {"a", "a/b", "a/c", "b", "b/1", "b/10", "b/2", "c"};
    return keys[i];
}

static void model_step(struct model *model, struct store *store, uint64_t *seed)
{
    struct store_compare compare = {.key = model_key(draw(seed, MODEL_KEYS))};
    struct store_write writes[MODEL_KEYS];
    size_t indices[MODEL_KEYS];
    unsigned char values[MODEL_KEYS];
    size_t count = 0;
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        if (draw(seed, 3) == 0) {
            values[count] = (unsigned char)draw(seed, 256);
            bool removes = draw(seed, 3) == 0;
            indices[count] = i;
            writes[count] = (struct store_write){
                .key = model_key(i), .value = removes ? NULL : &values[count], .length = 1};
            count++;
        }
    }
    size_t compared = 0;
    while (strcmp(model_key(compared), compare.key) != 0) {
        compared++;
    }
    bool right = draw(seed, 4) != 0;
    compare.revision = model->written[compared] + (right ? 0 : 1);

    bool changed = false;
    for (size_t i = 0; right && i < count; i++) {
        size_t k = indices[i];
        changed = changed || writes[i].value != NULL || model->written[k] != 0;
    }
    model->revision += changed ? 1 : 0;
    for (size_t i = 0; right && i < count; i++) {
        size_t k = indices[i];
        bool removes = writes[i].value == NULL;
        model->created[k] = model->written[k] == 0 ? model->revision : model->created[k];
        model->written[k] = removes ? 0 : model->revision;
        model->value[k] = values[i];
    }
    int64_t revision =
        commit(store, &compare, 1, writes, count, right ? STORE_DONE : STORE_CONFLICT);
    assert_int_equal(revision, model->revision);
}

static void assert_model(const struct model *model, struct store *store)
{
    struct err e = ERR_NULL;
    struct store_entry *entries;
    size_t count;
    assert_ok(store_range(store, "", NULL, false, 0, &entries, &count, &e), &e);
    size_t at = 0;
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        if (model->written[i] == 0) {
            continue;
        }
        assert_true(at < count);
        assert_string_equal(entries[at].key, model_key(i));
        assert_int_equal(entries[at].created, model->created[i]);
        assert_int_equal(entries[at].revision, model->written[i]);
        assert_int_equal(entries[at].length, 1);
        assert_int_equal(*(unsigned char *)entries[at].value, model->value[i]);
        at++;
    }
    assert_int_equal(at, count);
    store_entries_free(entries, count);
}

static void random_transactions_match_a_model(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.revision = 0};
    uint64_t seed = 2;
    for (int i = 0; i < 200; i++) {
        model_step(&model, &fixture->store, &seed);
        assert_model(&model, &fixture->store);
        if (i % 40 == 39) {
            struct err e = ERR_NULL;
            store_close(&fixture->store);
            assert_ok(fixture->target->open(fixture->space, &fixture->store, &e), &e);
        }
    }
}

static void close_is_idempotent(void **state)
{
    struct fixture *fixture = *state;
    store_close(&fixture->store);
    store_close(&fixture->store);
    struct store none = STORE_NULL;
    store_close(&none);
}

int store_suite_run(const struct store_suite_target *target)
{
#define CASE(function)                                                                             \
    {                                                                                              \
#function, function, setup, teardown, (void *)(uintptr_t)target                            \
    }
    const struct CMUnitTest tests[] = {
        CASE(a_new_store_is_empty),
        CASE(writes_are_stamped_with_revisions),
        CASE(one_transaction_has_one_revision),
        CASE(revisions_outlive_deletes),
        CASE(what_changes_nothing_has_no_revision),
        CASE(compares_decide),
        CASE(a_swap_is_won_once),
        CASE(handles_see_each_other_at_once),
        CASE(ranges_are_ordered_by_bytes),
        CASE(values_are_any_bytes),
        CASE(what_no_store_may_hold_is_refused),
        CASE(damage_is_told_with_its_key),
        CASE(random_transactions_match_a_model),
        CASE(close_is_idempotent),
    };
#undef CASE
    return cmocka_run_group_tests_name(target->name, tests, NULL, NULL);
}
