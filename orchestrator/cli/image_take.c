#include "cli/image_take.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/image_job.h"
#include "net/digest.h"
#include "net/signature.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL_MAX ((size_t)16 * 1024 * 1024)

/* A plain base's digest is that of what it was made by: "recipe = ..." of its image.ini. */
static char *recipe_of(const char *directory)
{
    struct str text = STR_NULL;
    char *path = xasprintf("%s/image.ini", directory);
    char *recipe = NULL;
    if (str_read_file(&text, path, SMALL_MAX, NULL) == 0) {
        const char *line = strstr(str_text(&text), "\nrecipe = ");
        if (line != NULL) {
            line += strlen("\nrecipe = ");
            recipe = xstrndup(line, strcspn(line, "\n"));
        }
    }
    str_deinit(&text);
    free(path);
    return recipe;
}

static void name_parent(const struct image_place *place, const char *id, struct manifest *manifest)
{
    char *base = image_place_base_of(place, id);
    struct image_ref ref;
    char *path = NULL;
    if (base != NULL && image_base_parse(base, &path, &ref)) {
        struct str text = STR_NULL;
        char digest[DIGEST_TEXT_SIZE];
        char *file = xasprintf("%s/" IMAGE_MANIFEST, path);
        manifest->parent = xasprintf("%s@%u", ref.name, ref.generation);
        if (str_read_file(&text, file, SMALL_MAX, NULL) == 0) {
            digest_text(str_text(&text), text.length, digest);
            manifest->parent_digest = xstrdup(digest);
        }
        str_deinit(&text);
        free(file);
    } else if (base != NULL && text_ends(base, "/root")) {
        char *directory = xstrndup(base, strlen(base) - strlen("/root"));
        manifest->parent = xstrdup(strrchr(directory, '/') + 1);
        manifest->parent_digest = recipe_of(directory);
        free(directory);
    }
    free(path);
    free(base);
}

static struct manifest make_manifest(const struct session *s, const struct image_place *place,
                                     const struct record_instance *record,
                                     const struct image_draft *draft,
                                     const struct identity *identity,
                                     const struct image_report *report)
{
    const struct message *r = &report->result;
    struct manifest manifest = {
        .name = xstrdup(draft->ref.name),
        .generation = draft->ref.generation,
        .created_s = clock_wall_ms() / 1000,
        .cluster = xstrdup(s->site.spec->cluster),
        .instance = xstrdup(record->id),
        .group = xcopy(record->group),
        .script = xcopy(record->script_digest),
        .roles = image_job_roles(s, record),
        .release = xcopy(message_text(r, WIRE_RELEASE, NULL)),
        .architecture = xcopy(message_text(r, WIRE_ARCHITECTURE, NULL)),
        .packages = image_report_json(report, WIRE_PACKAGES),
        .left_out = image_report_json(report, WIRE_LEFT_OUT),
        .entries = message_int(r, WIRE_ENTRIES, 0),
        .bytes = message_int(r, WIRE_SIZE, 0),
        .blocks = {.size_bytes = message_int(r, WIRE_BLOCKS_SIZE, 0)},
    };
    text_copy(manifest.tree, sizeof(manifest.tree), message_text(r, WIRE_TREE_DIGEST, ""));
    text_copy(manifest.blocks.sha256, sizeof(manifest.blocks.sha256),
              message_text(r, WIRE_BLOCKS, ""));
    text_copy(manifest.build, sizeof(manifest.build), identity->build);
    name_parent(place, record->id, &manifest);
    return manifest;
}

int image_take_keys(const struct image_place *place, struct err *e)
{
    char *directory = xstrndup(place->private_key,
                               (size_t)(strrchr(place->private_key, '/') - place->private_key));
    int result = mkdir(directory, 0700) == 0 || errno == EEXIST
                     ? signature_make_keys(place->private_key, place->public_key, e)
                     : err_errno(e, errno, "make directory %s", directory);
    free(directory);
    return result;
}

/* DRAFT's file, of all that MEMBER has, and what it will say of itself. */
static int read_host(const struct session *s, size_t member, const struct image_draft *draft,
                     struct identity *ret_identity, struct image_report *ret_report, struct err *e)
{
    char line[IDENTITY_LINE_SIZE];
    if (identity_make_build(ret_identity->build, e) < 0) {
        return -1;
    }
    snprintf(ret_identity->image, sizeof(ret_identity->image), "%s@%u", draft->ref.name,
             draft->ref.generation);
    identity_render(ret_identity, line);
    char *file = xasprintf("%s/" IMAGE_FILE, draft->work);
    int result = image_job_read_host(s, member, file, line, ret_report, e);
    free(file);
    return result;
}

int image_take(const struct session *s, size_t member, const struct image_place *place,
               struct image_draft *draft, const struct image_publishing *how,
               struct image_taken *ret_taken, struct err *e)
{
    const struct record_instance *record = controller_member_at(s->controller, member).record;
    struct image_report report = IMAGE_REPORT_NULL;
    struct identity identity = {.image = ""};
    if (read_host(s, member, draft, &identity, &report, e) < 0) {
        return -1;
    }
    int result = 0;
    if (report.finding_count > 0) {
        image_report_print_findings(&report);
        result = err_set(e,
                         "no image of %s is made: remove what is named above there, or leave it "
                         "out with --without PATH",
                         record->id);
    }
    if (result == 0) {
        struct manifest manifest = make_manifest(s, place, record, draft, &identity, &report);
        size_t length;
        const char *tree = message_bytes(&report.result, WIRE_TREE, &length);
        char *text = xstrndup(tree == NULL ? "" : tree, length);
        result = image_draft_publish(draft, &manifest, text, place->private_key, how, e);
        free(text);
        if (result == 0) {
            *ret_taken = (struct image_taken){.manifest = manifest, .took_ms = report.took_ms};
        } else {
            manifest_deinit(&manifest);
        }
    }
    image_report_deinit(&report);
    return result;
}

static void print_json(const struct image_taken *taken)
{
    const struct manifest *m = &taken->manifest;
    json_t *root =
        json_pack("{s:s, s:i, s:s?, s:f, s:I, s:I, s:I, s:s, s:O}", "name", m->name, "generation",
                  (int)m->generation, "parent", m->parent, "seconds", (double)taken->took_ms / 1000,
                  "entries", (json_int_t)m->entries, "bytes", (json_int_t)m->bytes, "file_bytes",
                  (json_int_t)m->blocks.size_bytes, "tree", m->tree, "left_out", m->left_out);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

void image_taken_print(const struct image_taken *taken, bool json)
{
    const struct manifest *m = &taken->manifest;
    double seconds = (double)taken->took_ms / 1000;
    if (json) {
        print_json(taken);
        return;
    }
    printf("%s@%u: %lld entries, %lld MiB in a file of %lld MiB, in %.1f s (%.0f MiB/s)\n", m->name,
           m->generation, (long long)m->entries, (long long)m->bytes >> 20,
           (long long)m->blocks.size_bytes >> 20, seconds,
           seconds > 0 ? (double)m->bytes / 1048576 / seconds : 0.0);
    size_t i;
    json_t *path;
    json_array_foreach(m->left_out, i, path)
    {
        printf("left out: %s\n", json_string_value(path));
    }
}
