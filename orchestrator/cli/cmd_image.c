/* lamplighter image: what there is, whether it can be trusted, who stands on it, what is chosen. */
#include "cli/cmd_image.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/image_job.h"
#include "cli/image_place.h"
#include "image/tree.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int fail(const struct err *e)
{
    log_error("%s", e->text);
    return CLI_FAILED;
}

static void time_text(int64_t seconds, char *ret_text, size_t size)
{
    time_t when = (time_t)seconds;
    struct tm parts;
    gmtime_r(&when, &parts);
    strftime(ret_text, size, "%Y-%m-%d %H:%M:%SZ", &parts);
}

static int open_place(const struct cli *cli, struct site *ret_site, struct image_place *ret_place)
{
    *ret_place = IMAGE_PLACE_NULL;
    int status = session_load_site(ret_site, cli);
    if (status != CLI_DONE) {
        return status;
    }
    struct err e = ERR_NULL;
    if (image_place_open(ret_place, ret_site, SPEC_NONE, &e) < 0) {
        site_deinit(ret_site);
        return fail(&e);
    }
    return CLI_DONE;
}

static void close_place(struct site *site, struct image_place *place)
{
    image_place_close(place);
    site_deinit(site);
}

/* --- list, show --------------------------------------------------------------------------------
 */

static json_t *item_json(const struct image_place *place, const struct image_item *item)
{
    struct str users = STR_NULL;
    struct str pins = STR_NULL;
    image_place_users(place, item->path, &users);
    image_place_add_pins(place, &item->ref, &pins);
    const struct manifest *m = &item->manifest;
    json_t *object = json_pack("{s:s, s:i, s:b, s:b, s:b, s:b, s:s, s:s?, s:s}", "name",
                               item->ref.name, "generation", (int)item->ref.generation, "base",
                               item->is_base, "current", item->is_current, "deprecated",
                               item->is_deprecated, "protected", item->is_protected, "path",
                               item->path, "problem", item->problem, "used_by", str_text(&users));
    if (!item->is_base && item->problem == NULL) {
        char *text = manifest_render(m);
        json_object_set_new(object, "manifest", json_loads(text, 0, NULL));
        free(text);
    }
    json_object_set_new(object, "pinned", json_string(str_text(&pins)));
    str_deinit(&users);
    str_deinit(&pins);
    return object;
}

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}

static void print_item(const struct image_place *place, const struct image_item *item)
{
    struct str users = STR_NULL;
    char when[32] = "-";
    char size[32] = "-";
    char *name = item->is_base ? xstrdup(item->ref.name)
                               : xasprintf("%s@%u", item->ref.name, item->ref.generation);
    if (!item->is_base && item->problem == NULL) {
        time_text(item->manifest.created_s, when, sizeof(when));
        snprintf(size, sizeof(size), "%lld MiB", (long long)item->manifest.blocks.size_bytes >> 20);
    }
    struct str pins = STR_NULL;
    image_place_users(place, item->path, &users);
    image_place_add_pins(place, &item->ref, &pins);
    printf("%-20s %-20s %9s  %-12s%s%s%s%s%s%s%s\n", name, when, size,
           item->manifest.instance == NULL ? "-" : item->manifest.instance,
           item->is_base ? " base" : "", item->is_current && !item->is_base ? " current" : "",
           item->is_deprecated ? " deprecated" : "", item->is_protected ? " protected" : "",
           item->problem != NULL ? " NOT TRUSTED" : "", users.length > 0 ? " used by " : "",
           str_text(&users));
    if (item->problem != NULL) {
        printf("%-20s %s\n", "", item->problem);
    }
    if (pins.length > 0) {
        printf("%-20s %s\n", "", str_text(&pins));
    }
    str_deinit(&pins);
    free(name);
    str_deinit(&users);
}

static int list(const struct cli *cli)
{
    struct site site;
    struct image_place place;
    int status = open_place(cli, &site, &place);
    if (status != CLI_DONE) {
        return status;
    }
    struct err e = ERR_NULL;
    struct image_item *items = NULL;
    size_t count = 0;
    if (image_store_list(place.dir, place.public_keys, &items, &count, &e) < 0) {
        status = fail(&e);
    } else if (cli->json) {
        json_t *array = json_array();
        for (size_t i = 0; i < count; i++) {
            json_array_append_new(array, item_json(&place, &items[i]));
        }
        print_json(array);
    } else {
        printf("%-20s %-20s %9s  %s\n", "IMAGE", "MADE", "SIZE", "FROM");
        for (size_t i = 0; i < count; i++) {
            print_item(&place, &items[i]);
        }
    }
    image_items_free(items, count);
    close_place(&site, &place);
    return status;
}

static void print_manifest(const struct image_item *item)
{
    const struct manifest *m = &item->manifest;
    char when[32];
    time_text(m->created_s, when, sizeof(when));
    printf("made       %s from %s of cluster %s\n", when, m->instance, m->cluster);
    printf("build      %s\n", m->build[0] == '\0' ? "not told by the system in it" : m->build);
    printf("parent     %s\n", m->parent == NULL ? "not known" : m->parent);
    printf("system     %s, %s, %zu packages\n", m->release == NULL ? "?" : m->release,
           m->architecture == NULL ? "?" : m->architecture, json_object_size(m->packages));
    printf("roles     ");
    size_t i;
    json_t *role;
    json_array_foreach(m->roles, i, role)
    {
        printf(" %s", json_string_value(role));
    }
    printf("\nscript     %s\n", m->script == NULL ? "-" : m->script);
    printf("content    %lld entries, %lld MiB, sha256 %s\n", (long long)m->entries,
           (long long)m->bytes >> 20, m->tree);
    printf("file       %lld MiB, sha256 %s\n", (long long)m->blocks.size_bytes >> 20,
           m->blocks.sha256);
    json_array_foreach(m->left_out, i, role)
    {
        printf("left out   %s\n", json_string_value(role));
    }
}

static int show_item(const struct cli *cli, const struct image_place *place,
                     const struct image_ref *ref)
{
    struct err e = ERR_NULL;
    struct image_item *items = NULL;
    size_t count = 0;
    int status = CLI_FAILED;
    if (image_store_list(place->dir, place->public_keys, &items, &count, &e) < 0) {
        return fail(&e);
    }
    for (size_t i = 0; i < count; i++) {
        if (!text_equal(items[i].ref.name, ref->name) ||
            items[i].ref.generation != ref->generation) {
            continue;
        }
        status = items[i].problem == NULL ? CLI_DONE : CLI_FAILED;
        if (cli->json) {
            print_json(item_json(place, &items[i]));
            continue;
        }
        print_item(place, &items[i]);
        if (items[i].problem == NULL && !items[i].is_base) {
            print_manifest(&items[i]);
        }
    }
    image_items_free(items, count);
    return status;
}

/* What most verbs begin with. REF may name a base when MAY_BE_BASE: *ret_path is NULL then. */
static int begin(const struct cli *cli, bool may_be_base, struct site *site,
                 struct image_place *place, struct image_ref *ref, char **ret_path)
{
    struct err e = ERR_NULL;
    *ret_path = NULL;
    if (image_ref_parse(cli->argv[1], ref, &e) < 0) {
        return cli_usage("image", "%s", e.text);
    }
    int status = open_place(cli, site, place);
    if (status != CLI_DONE) {
        return status;
    }
    if (image_place_find(place, ref, ret_path, &e) < 0 && !(may_be_base && ref->generation == 0)) {
        close_place(site, place);
        return fail(&e);
    }
    return CLI_DONE;
}

static int show(const struct cli *cli)
{
    struct site site;
    struct image_place place;
    struct image_ref ref;
    char *path;
    int status = begin(cli, true, &site, &place, &ref, &path);
    if (status != CLI_DONE) {
        return status;
    }
    status = show_item(cli, &place, &ref);
    if (status != CLI_DONE && path == NULL) {
        log_error("no image '%s' in %s: see 'lamplighter image list'", ref.name, place.dir);
    }
    free(path);
    close_place(&site, &place);
    return status;
}

/* --- verify ------------------------------------------------------------------------------------
 */

static void print_change(void *context, enum tree_change change, const char *path, const char *was,
                         const char *is)
{
    (void)context;
    (void)change;
    log_error("/%s: signed as '%s', is '%s'", path, was == NULL ? "not there" : was,
              is == NULL ? "not there" : is);
}

/* Which files they are. */
static void print_changes(const char *path, const struct image_report *report)
{
    struct tree before = TREE_NULL;
    struct tree now = TREE_NULL;
    struct str text = STR_NULL;
    size_t length;
    const char *bytes = message_bytes(&report->result, WIRE_TREE, &length);
    char *whole = xstrndup(bytes == NULL ? "" : bytes, length);
    char *file = xasprintf("%s/" IMAGE_TREE, path);
    if (str_read_file(&text, file, (size_t)1 << 28, NULL) == 0 &&
        tree_parse(&before, str_text(&text), NULL) == 0 && tree_parse(&now, whole, NULL) == 0) {
        tree_compare(&before, &now, print_change, NULL);
    }
    tree_deinit(&before);
    tree_deinit(&now);
    str_deinit(&text);
    free(whole);
    free(file);
}

/* Unpacked again: is what is in it what was signed, and is it sealed? */
static int verify_content(const struct session *s, const char *path,
                          const struct manifest *manifest, struct err *e)
{
    struct image_report report = IMAGE_REPORT_NULL;
    char *file = xasprintf("%s/" IMAGE_FILE, path);
    int result = image_job_look(s, file, true, &report, e);
    free(file);
    if (result < 0) {
        return -1;
    }
    image_report_print_findings(&report);
    if (report.finding_count > 0) {
        result = err_set(e, "it is not sealed: see above");
    } else if (!text_equal(message_text(&report.result, WIRE_TREE_DIGEST, ""), manifest->tree)) {
        print_changes(path, &report);
        result = err_set(e, "its files are not those that were signed");
    }
    image_report_deinit(&report);
    return result;
}

static int verify(const struct cli *cli)
{
    struct err e = ERR_NULL;
    struct image_ref ref;
    if (image_ref_parse(cli->argv[1], &ref, &e) < 0) {
        return cli_usage("image", "%s", e.text);
    }
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "image", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    struct image_place place = IMAGE_PLACE_NULL;
    struct manifest manifest = MANIFEST_NULL;
    char *path = NULL;
    int result = image_place_open(&place, &session.site, SPEC_NONE, &e);
    if (result == 0) {
        result = image_place_find(&place, &ref, &path, &e);
    }
    if (result == 0 && (image_store_check(path, &ref, place.public_keys, &manifest, &e) < 0 ||
                        image_store_check_blocks(path, &manifest, &e) < 0 ||
                        verify_content(&session, path, &manifest, &e) < 0)) {
        result = -1;
    }
    if (cli->json) {
        print_json(json_pack("{s:s, s:i, s:b, s:s}", "name", ref.name, "generation",
                             (int)ref.generation, "good", result == 0, "problem", e.text));
    } else if (result == 0) {
        printf("%s@%u: signature, every byte, sealing and %lld entries are good\n", ref.name,
               ref.generation, (long long)manifest.entries);
    } else {
        fail(&e);
    }
    manifest_deinit(&manifest);
    free(path);
    image_place_close(&place);
    session_close(&session);
    return result == 0 ? CLI_DONE : CLI_FAILED;
}

/* --- use, flags, delete ------------------------------------------------------------------------
 */

static bool is_marked(const char *path, const char *mark)
{
    char *file = xasprintf("%s/%s", path, mark);
    bool there = access(file, F_OK) == 0;
    free(file);
    return there;
}

static void print_done(const struct cli *cli, const struct image_ref *ref, const char *what)
{
    if (cli->json) {
        print_json(json_pack("{s:s, s:i, s:s}", "name", ref->name, "generation",
                             (int)ref->generation, "done", what));
    } else {
        printf("%s@%u: %s\n", ref->name, ref->generation, what);
    }
}

/* Is MANIFEST's image older than the one that is current? */
static int check_age(const struct image_place *place, const struct image_ref *ref,
                     const struct manifest *manifest, bool *ret_older, struct err *e)
{
    struct image_ref current = *ref;
    struct manifest now = MANIFEST_NULL;
    char *path = NULL;
    *ret_older = false;
    if (image_store_current(place->dir, ref->name, &current.generation, e) < 0) {
        return -1;
    }
    if (current.generation == 0 || image_store_find(place->dir, &current, &path, NULL) < 0) {
        return 0;
    }
    *ret_older = ref->generation < current.generation;
    if (image_store_check(path, &current, place->public_keys, &now, NULL) == 0) {
        *ret_older = *ret_older || manifest->created_s < now.created_s;
    }
    manifest_deinit(&now);
    free(path);
    return 0;
}

static int use(const struct cli *cli)
{
    struct site site;
    struct image_place place;
    struct image_ref ref;
    char *path;
    struct err e = ERR_NULL;
    int status = begin(cli, false, &site, &place, &ref, &path);
    if (status != CLI_DONE) {
        return status;
    }
    struct manifest manifest = MANIFEST_NULL;
    bool older = false;
    if (image_store_check(path, &ref, place.public_keys, &manifest, &e) < 0 ||
        image_store_check_blocks(path, &manifest, &e) < 0 ||
        check_age(&place, &ref, &manifest, &older, &e) < 0) {
        status = fail(&e);
    } else if (is_marked(path, "deprecated")) {
        log_error("%s@%u is deprecated: 'image undeprecate' it first", ref.name, ref.generation);
        status = CLI_REFUSED;
    } else if (older && !cli->allow_downgrade) {
        log_error("%s@%u is older than what is current: --allow-downgrade if you mean it", ref.name,
                  ref.generation);
        status = CLI_REFUSED;
    } else if (image_store_use(place.dir, &ref, &e) < 0) {
        status = fail(&e);
    } else {
        print_done(cli, &ref, "new instances get it from now on");
    }
    manifest_deinit(&manifest);
    free(path);
    close_place(&site, &place);
    return status;
}

static int set_flag(const struct cli *cli, enum image_flag flag, bool on, const char *done)
{
    struct site site;
    struct image_place place;
    struct image_ref ref;
    char *path;
    struct err e = ERR_NULL;
    int status = begin(cli, false, &site, &place, &ref, &path);
    if (status != CLI_DONE) {
        return status;
    }
    if (image_store_flag(path, flag, on, &e) < 0) {
        status = fail(&e);
    } else {
        print_done(cli, &ref, done);
    }
    free(path);
    close_place(&site, &place);
    return status;
}

static int protect(const struct cli *cli)
{
    return set_flag(cli, IMAGE_PROTECTED, true, "protected: it cannot be deleted");
}

static int unprotect(const struct cli *cli)
{
    return set_flag(cli, IMAGE_PROTECTED, false, "protected no more");
}

static int deprecate(const struct cli *cli)
{
    return set_flag(cli, IMAGE_DEPRECATED, true, "deprecated; what stands on it stays");
}

static int undeprecate(const struct cli *cli)
{
    return set_flag(cli, IMAGE_DEPRECATED, false, "deprecated no more");
}

static int delete (const struct cli *cli)
{
    struct site site;
    struct image_place place;
    struct image_ref ref;
    char *path;
    struct err e = ERR_NULL;
    struct str needs = STR_NULL;
    if (strchr(cli->argv[1], '@') == NULL) {
        return cli_usage("image", "delete needs a generation: %s@NUMBER", cli->argv[1]);
    }
    int status = begin(cli, false, &site, &place, &ref, &path);
    if (status != CLI_DONE) {
        return status;
    }
    if (is_marked(path, "protected")) {
        log_error("%s@%u is protected: 'image unprotect' it first", ref.name, ref.generation);
        status = CLI_REFUSED;
    } else if (image_place_add_needs(&place, path, &ref, &needs, &e) < 0) {
        status = fail(&e);
    } else if (needs.length > 0) {
        log_error("%s@%u is used: %s", ref.name, ref.generation, str_text(&needs));
        status = CLI_REFUSED;
    } else if (image_store_delete(place.dir, &ref, &e) < 0) {
        status = fail(&e);
    } else {
        print_done(cli, &ref, "deleted");
    }
    str_deinit(&needs);
    free(path);
    close_place(&site, &place);
    return status;
}

/* --- which of them -----------------------------------------------------------------------------
 */

static const struct {
    const char *word;
    int words; /* After it. */
    int (*run)(const struct cli *cli);
} verbs[] = {
    {"capture", 1, cmd_image_capture},
    {"list", 0, list},
    {"show", 1, show},
    {"verify", 1, verify},
    {"diff", 1, cmd_image_diff},
    {"use", 1, use},
    {"protect", 1, protect},
    {"unprotect", 1, unprotect},
    {"deprecate", 1, deprecate},
    {"undeprecate", 1, undeprecate},
    {"delete", 1, delete},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

int cmd_image(const struct cli *cli)
{
    const char *words[VERB_COUNT];
    for (size_t i = 0; i < VERB_COUNT; i++) {
        words[i] = verbs[i].word;
        if (cli->argc == 0 || !text_equal(cli->argv[0], verbs[i].word)) {
            continue;
        }
        if (cli->argc - 1 != verbs[i].words) {
            return cli_usage("image", "image %s takes %s", verbs[i].word,
                             verbs[i].words == 0 ? "no word" : "one word");
        }
        return verbs[i].run(cli);
    }
    if (cli->argc == 0) {
        return cli_usage("image", "image needs a word: capture, list, show, verify, diff, use, "
                                  "protect, deprecate or delete");
    }
    const char *nearest = text_nearest(cli->argv[0], words, VERB_COUNT);
    return cli_usage("image", "image '%s' is not known%s%s%s", cli->argv[0],
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}
