/*
 * lamplighter image diff HOST: what is different on a host from the image it was launched from, by
 * content: the same sieve over both, so what is sealed away is no difference.
 */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "cli/image_job.h"
#include "cli/image_place.h"
#include "image/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_MAX ((size_t)256 * 1024 * 1024)

/* What the host was launched from. */
struct origin {
    char *name; /* Owned; "web@3", "debian-12-feebeeef5690". */
    struct str tree;
    json_t *packages;
    json_t *roles; /* NULL: a base has none. */
};

static void origin_deinit(struct origin *origin)
{
    free(origin->name);
    str_deinit(&origin->tree);
    json_decref(origin->packages);
    json_decref(origin->roles);
}

static int read_image(const struct image_place *place, const char *path,
                      const struct image_ref *ref, struct origin *ret_origin, struct err *e)
{
    struct manifest manifest = MANIFEST_NULL;
    char digest[DIGEST_TEXT_SIZE];
    if (image_store_check(path, ref, place->public_keys, &manifest, e) < 0) {
        return -1;
    }
    char *file = xasprintf("%s/" IMAGE_TREE, path);
    int result = str_read_file(&ret_origin->tree, file, TREE_MAX, e);
    if (result == 0) {
        digest_text(str_text(&ret_origin->tree), ret_origin->tree.length, digest);
        if (!text_equal(digest, manifest.tree)) {
            result = err_set(e, "%s is not what was signed", file);
        }
    }
    ret_origin->name = xasprintf("%s@%u", ref->name, ref->generation);
    ret_origin->packages = json_incref(manifest.packages);
    ret_origin->roles = json_incref(manifest.roles);
    free(file);
    manifest_deinit(&manifest);
    return result;
}

/* A plain directory has no list of its files: it is looked at now. */
static int read_directory(const struct session *s, const char *base, struct origin *ret_origin,
                          struct err *e)
{
    struct image_report report = IMAGE_REPORT_NULL;
    if (image_job_look(s, base, false, &report, e) < 0) {
        return -1;
    }
    size_t length;
    const void *tree = message_bytes(&report.result, WIRE_TREE, &length);
    str_add_bytes(&ret_origin->tree, tree, length);
    ret_origin->name = xstrdup(base);
    ret_origin->packages = image_report_json(&report, WIRE_PACKAGES);
    image_report_deinit(&report);
    return 0;
}

static int find_origin(const struct session *s, const struct record_instance *record,
                       struct origin *ret_origin, struct err *e)
{
    size_t provider =
        record->provider == NULL ? SPEC_NONE : spec_find_provider(s->site.spec, record->provider);
    struct image_place place = IMAGE_PLACE_NULL;
    if (image_place_open(&place, &s->site, provider, e) < 0) {
        return -1;
    }
    struct image_ref ref;
    char *path = NULL;
    char *base = image_place_base_of(&place, record->id);
    int result;
    if (base == NULL) {
        result = err_set(e, "%s was not launched from an image here", record->id);
    } else if (image_base_parse(base, &path, &ref)) {
        result = read_image(&place, path, &ref, ret_origin, e);
    } else {
        result = read_directory(s, base, ret_origin, e);
    }
    free(path);
    free(base);
    image_place_close(&place);
    return result;
}

static const char *change_word(enum tree_change change)
{
    switch (change) {
    case TREE_ADDED: return "added";
    case TREE_REMOVED: return "removed";
    case TREE_CHANGED: return "changed";
    }
    return "?";
}

static void add_file(void *context, enum tree_change change, const char *path, const char *was,
                     const char *is)
{
    json_array_append_new(context, json_pack("{s:s+, s:s, s:s?, s:s?}", "path", "/", path, "change",
                                             change_word(change), "was", was, "is", is));
}

static json_t *compare_packages(const json_t *before, const json_t *now)
{
    json_t *list = json_array();
    const char *name;
    json_t *version;
    json_object_foreach((json_t *)before, name, version)
    {
        const json_t *other = json_object_get(now, name);
        if (!json_equal(version, other)) {
            json_array_append_new(list, json_pack("{s:s, s:s?, s:s?}", "package", name, "was",
                                                  json_string_value(version), "is",
                                                  json_string_value(other)));
        }
    }
    json_object_foreach((json_t *)now, name, version)
    {
        if (json_object_get(before, name) == NULL) {
            json_array_append_new(list, json_pack("{s:s, s:n, s:s?}", "package", name, "was", "is",
                                                  json_string_value(version)));
        }
    }
    return list;
}

/* What WORDS has and LIST lacks. */
static json_t *missing_in(const json_t *list, const json_t *words)
{
    json_t *missing = json_array();
    size_t i;
    size_t j;
    json_t *word;
    json_t *other;
    json_array_foreach(words, i, word)
    {
        bool found = false;
        json_array_foreach(list, j, other)
        {
            found = found || json_equal(word, other);
        }
        if (!found) {
            json_array_append(missing, word);
        }
    }
    return missing;
}

static void print_text(const json_t *root, const char *id)
{
    size_t i;
    json_t *item;
    const json_t *files = json_object_get(root, "files");
    const json_t *packages = json_object_get(root, "packages");
    json_array_foreach(packages, i, item)
    {
        const char *was = json_string_value(json_object_get(item, "was"));
        const char *is = json_string_value(json_object_get(item, "is"));
        printf("package %s: %s -> %s\n", json_string_value(json_object_get(item, "package")),
               was == NULL ? "none" : was, is == NULL ? "none" : is);
    }
    json_array_foreach(files, i, item)
    {
        printf("%-8s %s\n", json_string_value(json_object_get(item, "change")),
               json_string_value(json_object_get(item, "path")));
    }
    json_array_foreach(json_object_get(root, "roles_added"), i, item)
    {
        printf("role %s: not in the image\n", json_string_value(item));
    }
    json_array_foreach(json_object_get(root, "roles_removed"), i, item)
    {
        printf("role %s: only in the image\n", json_string_value(item));
    }
    printf("%s against %s: %zu files, %zu packages differ\n", id,
           json_string_value(json_object_get(root, "image")), json_array_size(files),
           json_array_size(packages));
}

static int compare(const struct session *s, const struct record_instance *record,
                   const struct origin *origin, const struct image_report *report, struct err *e)
{
    struct tree before = TREE_NULL;
    struct tree now = TREE_NULL;
    size_t length;
    const char *bytes = message_bytes(&report->result, WIRE_TREE, &length);
    char *text = xstrndup(bytes == NULL ? "" : bytes, length);
    int result =
        tree_parse(&before, str_text(&origin->tree), e) < 0 || tree_parse(&now, text, e) < 0 ? -1
                                                                                             : 0;
    if (result == 0) {
        json_t *files = json_array();
        json_t *packages = image_report_json(report, WIRE_PACKAGES);
        json_t *roles = image_job_roles(s, record);
        tree_compare(&before, &now, add_file, files);
        json_t *root = json_pack(
            "{s:s, s:s, s:o, s:o, s:o, s:o}", "host", record->id, "image", origin->name, "files",
            files, "packages", compare_packages(origin->packages, packages), "roles_added",
            missing_in(origin->roles, roles), "roles_removed", missing_in(roles, origin->roles));
        json_decref(roles);
        if (s->cli->json) {
            json_dumpf(root, stdout, JSON_INDENT(2));
            putchar('\n');
        } else {
            print_text(root, record->id);
        }
        json_decref(root);
        json_decref(packages);
    }
    free(text);
    tree_deinit(&before);
    tree_deinit(&now);
    return result;
}

static int diff(const struct session *s, size_t member, struct err *e)
{
    const struct record_instance *record = controller_member_at(s->controller, member).record;
    struct origin origin = {.tree = STR_NULL};
    struct image_report report = IMAGE_REPORT_NULL;
    int result = find_origin(s, record, &origin, e);
    if (result == 0) {
        result = image_job_read_host(s, member, NULL, NULL, &report, e);
    }
    if (result == 0) {
        image_report_print_findings(&report);
        result = compare(s, record, &origin, &report, e);
    }
    image_report_deinit(&report);
    origin_deinit(&origin);
    return result;
}

int cmd_image_diff(const struct cli *cli)
{
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "image diff", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    struct err e = ERR_NULL;
    size_t member = controller_find_member(session.controller, cli->argv[1]);
    int result =
        member == WORLD_NONE
            ? err_set(&e, "no host '%s' in the records; see 'lamplighter status'", cli->argv[1])
            : diff(&session, member, &e);
    if (result < 0) {
        log_error("%s", e.text);
        status = CLI_FAILED;
    }
    session_close(&session);
    return status;
}
