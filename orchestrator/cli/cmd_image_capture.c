/*
 * lamplighter image capture: a running host as the next generation of an image. The host is only
 * read. Nothing of it is seen under the image's name before it is whole, signed and on the disk.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "cli/image_job.h"
#include "cli/image_place.h"
#include "net/digest.h"
#include "net/signature.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL_MAX ((size_t)16 * 1024 * 1024)

static char *copy_of(const char *text)
{
    return text == NULL ? NULL : xstrdup(text);
}

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
        .group = copy_of(record->group),
        .script = copy_of(record->script_digest),
        .roles = image_job_roles(s, record),
        .release = copy_of(message_text(r, WIRE_RELEASE, NULL)),
        .architecture = copy_of(message_text(r, WIRE_ARCHITECTURE, NULL)),
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

static void print_result(const struct cli *cli, const struct manifest *m,
                         const struct image_report *report)
{
    double seconds = (double)report->took_ms / 1000;
    if (cli->json) {
        json_t *root = json_pack(
            "{s:s, s:i, s:s?, s:f, s:I, s:I, s:I, s:s, s:O}", "name", m->name, "generation",
            (int)m->generation, "parent", m->parent, "seconds", seconds, "entries",
            (json_int_t)m->entries, "bytes", (json_int_t)m->bytes, "file_bytes",
            (json_int_t)m->blocks.size_bytes, "tree", m->tree, "left_out", m->left_out);
        json_dumpf(root, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(root);
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

static int make_keys(const struct image_place *place, struct err *e)
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

static int capture(const struct session *s, size_t member, const char *name, struct err *e)
{
    const struct record_instance *record = controller_member_at(s->controller, member).record;
    size_t provider =
        record->provider == NULL ? SPEC_NONE : spec_find_provider(s->site.spec, record->provider);
    struct image_place place = IMAGE_PLACE_NULL;
    struct image_draft draft = IMAGE_DRAFT_NULL;
    struct image_report report = IMAGE_REPORT_NULL;
    struct identity identity = {.image = ""};
    if (image_place_open(&place, &s->site, provider, e) < 0) {
        return -1;
    }
    int result =
        make_keys(&place, e) < 0 || image_draft_begin(place.dir, name, &draft, e) < 0 ? -1 : 0;
    if (result == 0) {
        result = read_host(s, member, &draft, &identity, &report, e);
    }
    if (result == 0 && report.finding_count > 0) {
        image_report_print_findings(&report);
        result = err_set(e,
                         "no image of %s is made: remove what is named above there, or leave it "
                         "out with --without PATH",
                         record->id);
    }
    if (result == 0) {
        struct manifest manifest = make_manifest(s, &place, record, &draft, &identity, &report);
        size_t length;
        const char *tree = message_bytes(&report.result, WIRE_TREE, &length);
        char *text = xstrndup(tree == NULL ? "" : tree, length);
        result = image_draft_publish(&draft, &manifest, text, place.private_key, true, e);
        if (result == 0) {
            print_result(s->cli, &manifest, &report);
        }
        free(text);
        manifest_deinit(&manifest);
    }
    image_report_deinit(&report);
    image_draft_deinit(&draft);
    image_place_close(&place);
    return result;
}

int cmd_image_capture(const struct cli *cli)
{
    if (cli->from == NULL) {
        return cli_usage("image", "image capture needs --from HOST");
    }
    if (!text_is_name(cli->argv[1])) {
        return cli_usage("image", "image '%s': not a name (small letters, digits, dashes)",
                         cli->argv[1]);
    }
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "image capture", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    struct err e = ERR_NULL;
    size_t member = controller_find_member(session.controller, cli->from);
    int result;
    if (member == WORLD_NONE) {
        result = err_set(&e, "no host '%s' in the records; see 'lamplighter status'", cli->from);
    } else if (controller_member_at(session.controller, member).record->host_key == NULL) {
        result = err_set(&e, "%s is not made yet; apply first", cli->from);
    } else {
        result = capture(&session, member, cli->argv[1], &e);
    }
    if (result < 0) {
        log_error("%s", e.text);
        status = CLI_FAILED;
    }
    session_close(&session);
    return status;
}
