/*
 * image/image_store: generations appear whole or not at all, never twice with one number; what was
 * altered, exchanged or signed by another is not taken.
 */
#include "image/image_store.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/process.h"
#include "net/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct stage {
    char dir[64];
    char *private_key;
    char *public_keys;
    char *memory;
};

static void shell(const struct stage *stage, const char *text)
{
    char *whole = xasprintf("set -e; cd %s; %s", stage->dir, text);
    const char *const argv[] = {"/bin/sh", "-c", whole, NULL};
    struct err e = ERR_NULL;
    if (process_run(argv, clock_now_ms() + 20000, NULL, &e) < 0) {
        fail_msg("%s", e.text);
    }
    free(whole);
}

static char *make_keys(const struct stage *stage, const char *name, char **ret_private)
{
    struct str text = STR_NULL;
    struct err e = ERR_NULL;
    char *public_path = xasprintf("%s/%s.pub", stage->dir, name);
    *ret_private = xasprintf("%s/%s", stage->dir, name);
    assert_int_equal(signature_make_keys(*ret_private, public_path, &e), 0);
    assert_int_equal(str_read_file(&text, public_path, 65536, &e), 0);
    free(public_path);
    return str_take(&text);
}

static int setup(void **state)
{
    struct stage *stage = xcalloc(1, sizeof(*stage));
    text_copy(stage->dir, sizeof(stage->dir), "/tmp/lamplighter-store-XXXXXX");
    assert_non_null(mkdtemp(stage->dir));
    stage->public_keys = make_keys(stage, "key", &stage->private_key);
    stage->memory = xasprintf("%s/memory", stage->dir);
    *state = stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    shell(stage, "cd /; rm -rf \"$OLDPWD\"");
    free(stage->private_key);
    free(stage->public_keys);
    free(stage->memory);
    free(stage);
    return 0;
}

/* DRAFT with a file that holds CONTENT, published. */
static void finish(struct image_draft *draft, const char *content, const char *private_key,
                   const struct image_publishing *how)
{
    struct err e = ERR_NULL;
    char *path = xasprintf("%s/" IMAGE_FILE, draft->work);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
    struct manifest manifest = {.name = xstrdup(draft->ref.name),
                                .generation = draft->ref.generation,
                                .created_s = 1000 + draft->ref.generation,
                                .parent = xstrdup("debian-12"),
                                .instance = xstrdup("web-1"),
                                .roles = json_pack("[s]", "base"),
                                .packages = json_object(),
                                .build = "00112233445566778899aabbccddeeff",
                                .left_out = json_array()};
    digest_text("tree\n", 5, manifest.tree);
    assert_int_equal(image_blocks_of(path, &manifest.blocks, &e), 0);
    if (image_draft_publish(draft, &manifest, "tree\n", private_key, how, &e) < 0) {
        fail_msg("%s", e.text);
    }
    manifest_deinit(&manifest);
    free(path);
}

static void begin(const struct stage *stage, const char *name, struct image_draft *draft)
{
    struct err e = ERR_NULL;
    if (image_draft_begin(stage->dir, name, draft, &e) < 0) {
        fail_msg("%s", e.text);
    }
}

/* An image whose file holds CONTENT. */
static unsigned publish(const struct stage *stage, const char *name, const char *content,
                        const char *private_key)
{
    struct image_draft draft;
    begin(stage, name, &draft);
    finish(&draft, content, private_key, &(struct image_publishing){.make_current = true});
    unsigned generation = draft.ref.generation;
    image_draft_deinit(&draft);
    return generation;
}

static int check(const struct stage *stage, const char *text, const char *keys, struct err *e)
{
    struct image_ref ref;
    char *path = NULL;
    assert_int_equal(image_ref_parse(text, &ref, e), 0);
    if (image_store_find(stage->dir, &ref, &path, e) < 0) {
        return -1;
    }
    int result = image_store_check_once(path, &ref, keys, stage->memory, e);
    free(path);
    return result;
}

static void test_references(void **state)
{
    (void)state;
    struct image_ref ref;
    assert_int_equal(image_ref_parse("web", &ref, NULL), 0);
    assert_int_equal(ref.generation, 0);
    assert_int_equal(image_ref_parse("web-2@17", &ref, NULL), 0);
    assert_string_equal(ref.name, "web-2");
    assert_int_equal(ref.generation, 17);
    static const char *const bad[] = {"",     "@1",     "web@",  "web@0",   "web@01", "web@x",
                                      "../x", "web@-1", "a/b@1", "web@1@2", "Web",    "web@+1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (image_ref_parse(bad[i], &ref, NULL) == 0) {
            fail_msg("'%s' is taken", bad[i]);
        }
    }
}

static void test_generations(void **state)
{
    const struct stage *stage = *state;
    struct err e = ERR_NULL;
    unsigned current = 9;
    struct image_ref ref;
    assert_int_equal(image_store_current(stage->dir, "web", &current, &e), 0);
    assert_int_equal(current, 0);
    assert_int_equal(publish(stage, "web", "one", stage->private_key), 1);
    assert_int_equal(publish(stage, "web", "two", stage->private_key), 2);
    assert_int_equal(publish(stage, "web", "three", stage->private_key), 3);
    assert_int_equal(image_store_current(stage->dir, "web", &current, &e), 0);
    assert_int_equal(current, 3);
    assert_int_equal(check(stage, "web", stage->public_keys, &e), 0);
    assert_int_equal(check(stage, "web@1", stage->public_keys, &e), 0);
    assert_int_equal(check(stage, "web@4", stage->public_keys, &e), -1);
    /* The current one stays while there are others; a number is not given again. */
    assert_int_equal(image_ref_parse("web@3", &ref, &e), 0);
    assert_int_equal(image_store_delete(stage->dir, &ref, &e), -1);
    struct image_ref two = {.name = "web", .generation = 2};
    assert_int_equal(image_store_use(stage->dir, &two, &e), 0);
    assert_int_equal(image_store_delete(stage->dir, &ref, &e), 0);
    assert_int_equal(publish(stage, "web", "four", stage->private_key), 4);
    for (unsigned generation = 1; generation <= 4; generation++) {
        struct image_ref each = {.name = "web", .generation = generation};
        assert_int_equal(image_store_delete(stage->dir, &each, &e),
                         generation == 3 || generation == 4 ? (generation == 3 ? -1 : 0) : 0);
    }
    assert_int_equal(image_store_current(stage->dir, "web", &current, &e), 0);
    assert_int_equal(current, 0);
    assert_int_equal(publish(stage, "web", "five", stage->private_key), 5);
}

static void test_listing(void **state)
{
    const struct stage *stage = *state;
    struct err e = ERR_NULL;
    struct image_item *items = NULL;
    size_t count = 0;
    shell(stage, "mkdir -p debian-12-abc/root; touch debian-12-abc/image.ini;"
                 "ln -s debian-12-abc debian-12");
    for (int i = 0; i < 12; i++) {
        publish(stage, "web", "x", stage->private_key);
    }
    publish(stage, "db", "x", stage->private_key);
    assert_int_equal(image_store_list(stage->dir, stage->public_keys, &items, &count, &e), 0);
    assert_int_equal(count, 14);
    assert_string_equal(items[0].ref.name, "db");
    assert_true(items[1].is_base);
    assert_string_equal(items[1].ref.name, "debian-12");
    assert_int_equal(items[3].ref.generation, 2);
    assert_int_equal(items[13].ref.generation, 12);
    assert_true(items[13].is_current);
    assert_false(items[12].is_current);
    assert_null(items[13].problem);
    assert_string_equal(items[13].manifest.parent, "debian-12");
    assert_string_equal(items[13].manifest.build, "00112233445566778899aabbccddeeff");
    assert_int_equal(image_store_flag(items[13].path, IMAGE_PROTECTED, true, &e), 0);
    image_items_free(items, count);
    /* Without a key nothing is trusted, all is listed. */
    assert_int_equal(image_store_list(stage->dir, NULL, &items, &count, &e), 0);
    assert_int_equal(count, 14);
    assert_non_null(items[0].problem);
    assert_true(items[13].is_protected);
    image_items_free(items, count);
}

/* Each change alone; then put right, and taken again. */
static void test_altered(void **state)
{
    const struct stage *stage = *state;
    static const struct {
        const char *change;
        const char *says;
    } cases[] = {
        {"printf X | dd of=web/2/root.squashfs conv=notrunc status=none", "not what was signed"},
        {"echo more >>web/2/root.squashfs", "not what was signed"},
        {": >web/2/root.squashfs", "not what was signed"},
        {"sed -i s/web-1/web-7/ web/2/manifest.json", "not what was signed"},
        {"sed -i s/001122/221100/ web/2/manifest.json", "not what was signed"},
        {"echo >>web/2/manifest.json", "not what was signed"},
        {"echo x >>web/2/tree; touch web/2/manifest.json", "not what was signed"},
        {": >web/2/manifest.sig", "not what was signed"},
        {"rm web/2/manifest.sig", "manifest.sig"},
        {"rm web/2/manifest.json", "manifest.json"},
        {"rm web/2/root.squashfs", "root.squashfs"},
        /* An old build in the place of a new one, with its own good signature. */
        {"cp web/1/* web/2/", "put in its place"},
    };
    struct err e = ERR_NULL;
    publish(stage, "web", "one", stage->private_key);
    publish(stage, "web", "two", stage->private_key);
    assert_int_equal(check(stage, "web", stage->public_keys, &e), 0);
    shell(stage, "cp -a web/2 kept");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        shell(stage, cases[i].change);
        if (check(stage, "web", stage->public_keys, &e) == 0) {
            fail_msg("taken: %s", cases[i].change);
        }
        if (strstr(e.text, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].change, e.text);
        }
        shell(stage, "rm -rf web/2; cp -a kept web/2");
        assert_int_equal(check(stage, "web", stage->public_keys, &e), 0);
    }
}

static void test_another_signature(void **state)
{
    const struct stage *stage = *state;
    struct err e = ERR_NULL;
    char *stranger = NULL;
    char *their_keys = make_keys(stage, "stranger", &stranger);
    publish(stage, "web", "theirs", stranger);
    assert_int_equal(check(stage, "web", stage->public_keys, &e), -1);
    assert_non_null(strstr(e.text, "a key that is not known here"));
    assert_int_equal(check(stage, "web", NULL, &e), -1);
    assert_int_equal(check(stage, "web", their_keys, &e), 0);
    /* What was good with their key is not remembered as good without it. */
    assert_int_equal(check(stage, "web", stage->public_keys, &e), -1);
    free(stranger);
    free(their_keys);
}

static void test_half_an_image(void **state)
{
    const struct stage *stage = *state;
    struct err e = ERR_NULL;
    struct image_draft draft;
    struct image_draft other;
    unsigned current = 9;
    publish(stage, "web", "one", stage->private_key);
    assert_int_equal(image_draft_begin(stage->dir, "web", &draft, &e), 0);
    assert_int_equal(image_draft_begin(stage->dir, "web", &other, &e), -1);
    assert_non_null(strstr(e.text, "another process"));
    /* As a kill leaves it: the lock goes with the process, the files stay. */
    char *file = xasprintf("touch %s/" IMAGE_FILE, draft.work);
    shell(stage, file);
    free(file);
    close(draft.lock);
    draft.lock = -1;
    image_draft_deinit(&draft);
    shell(stage, "test -e web/.new/root.squashfs");
    assert_int_equal(image_store_current(stage->dir, "web", &current, &e), 0);
    assert_int_equal(current, 1);
    assert_int_equal(check(stage, "web@2", stage->public_keys, &e), -1);
    assert_int_equal(publish(stage, "web", "two", stage->private_key), 2);
    shell(stage, "test ! -e web/.new");
    /* One that fails leaves nothing. */
    assert_int_equal(image_draft_begin(stage->dir, "web", &draft, &e), 0);
    image_draft_deinit(&draft);
    shell(stage, "test ! -e web/.new; test ! -e web/3");
}

static unsigned current_of(const struct stage *stage)
{
    unsigned current = 0;
    struct err e = ERR_NULL;
    assert_int_equal(image_store_current(stage->dir, "web", &current, &e), 0);
    return current;
}

/* Until it was tried nobody gets it; its maker's end decides what becomes of it. */
static void test_untried(void **state)
{
    const struct stage *stage = *state;
    struct image_draft draft;
    struct err e = ERR_NULL;
    const struct image_publishing how = {.is_untried = true};
    publish(stage, "web", "one", stage->private_key);
    char *second = xasprintf("%s/web/2", stage->dir);
    char *third = xasprintf("%s/web/3", stage->dir);

    /* Tried well. */
    begin(stage, "web", &draft);
    finish(&draft, "two", stage->private_key, &how);
    assert_int_equal(current_of(stage), 1);
    char *reason = image_store_reason(second);
    assert_non_null(strstr(reason, "not tried"));
    free(reason);
    /* Its name is held all the while. */
    struct image_draft other;
    assert_int_equal(image_draft_begin(stage->dir, "web", &other, &e), -1);
    assert_int_equal(image_draft_settle(&draft, NULL, &e), 0);
    image_draft_deinit(&draft);
    assert_int_equal(current_of(stage), 2);
    assert_null(image_store_reason(second));
    shell(stage, "test ! -e web/2/deprecated");

    /* Not good: it stays, with the reason, for somebody to look at. */
    begin(stage, "web", &draft);
    finish(&draft, "three", stage->private_key, &how);
    assert_int_equal(image_draft_settle(&draft, "a \033[2J resource differs", &e), 0);
    image_draft_deinit(&draft);
    assert_int_equal(current_of(stage), 2);
    reason = image_store_reason(third);
    assert_non_null(strstr(reason, "resource differs"));
    assert_null(strchr(reason, 033));
    free(reason);

    /* Cut off: the next draft removes it, and nothing else; its number is not given again. */
    begin(stage, "web", &draft);
    finish(&draft, "four", stage->private_key, &how);
    image_draft_deinit(&draft);
    shell(stage, "test -e web/4");
    begin(stage, "web", &draft);
    shell(stage, "test ! -e web/4; test ! -e web/.gone; test -e web/3; test -e web/2");
    assert_int_equal(draft.ref.generation, 5);
    image_draft_deinit(&draft);
    assert_int_equal(current_of(stage), 2);
    free(second);
    free(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_references, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_altered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_signature, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_an_image, setup, teardown),
        cmocka_unit_test_setup_teardown(test_untried, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
