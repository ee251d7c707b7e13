#include "image/manifest.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1

void manifest_deinit(struct manifest *m)
{
    free(m->name);
    free(m->parent);
    free(m->parent_digest);
    free(m->cluster);
    free(m->instance);
    free(m->group);
    free(m->script);
    free(m->release);
    free(m->architecture);
    json_decref(m->roles);
    json_decref(m->packages);
    json_decref(m->left_out);
    *m = MANIFEST_NULL;
}

char *manifest_render(const struct manifest *m)
{
    json_t *root = json_pack(
        "{s:i, s:s, s:i, s:s*, s:I, s:{s:s*, s:s*}, s:{s:s*, s:s*, s:s*}, s:s*, s:O, s:s*, s:s*, "
        "s:O, "
        "s:O, s:{s:s, s:I, s:I}, s:{s:s, s:s, s:I}}",
        "format", FORMAT, "name", m->name, "generation", (int)m->generation, "build",
        m->build[0] == '\0' ? NULL : m->build, "created", (json_int_t)m->created_s, "parent",
        "image", m->parent, "digest", m->parent_digest, "from", "cluster", m->cluster, "instance",
        m->instance, "group", m->group, "script", m->script, "roles", m->roles, "release",
        m->release, "architecture", m->architecture, "packages", m->packages, "left_out",
        m->left_out, "tree", "digest", m->tree, "entries", (json_int_t)m->entries, "bytes",
        (json_int_t)m->bytes, "squashfs", "compression", "zstd", "sha256", m->blocks.sha256,
        "bytes", (json_int_t)m->blocks.size_bytes);
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    json_decref(root);
    char *line = xasprintf("%s\n", text);
    free(text);
    return line;
}

static bool is_digest(const char *text)
{
    return strlen(text) == DIGEST_TEXT_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == DIGEST_TEXT_SIZE - 1;
}

int manifest_parse(const char *text, struct manifest *ret_manifest, struct err *e)
{
    json_error_t problem;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (root == NULL) {
        return err_set(e, "not a manifest: line %d: %s", problem.line, problem.text);
    }
    int format = 0;
    int generation = 0;
    const char *name, *parent = NULL, *parent_digest = NULL, *cluster = NULL, *instance = NULL;
    const char *group = NULL, *script = NULL, *release = NULL, *architecture = NULL;
    const char *tree, *sha256, *build = "";
    json_t *roles, *packages, *left_out;
    json_int_t created, entries, bytes, size;
    int result = json_unpack_ex(
        root, &problem, 0,
        "{s:i, s:s, s:i, s?s, s:I, s:{s?s, s?s}, s:{s?s, s?s, s?s}, s?s, s:o, s?s, s?s, s:o, s:o, "
        "s:{s:s, s:I, s:I}, s:{s:s, s:I}}",
        "format", &format, "name", &name, "generation", &generation, "build", &build, "created",
        &created, "parent", "image", &parent, "digest", &parent_digest, "from", "cluster", &cluster,
        "instance", &instance, "group", &group, "script", &script, "roles", &roles, "release",
        &release, "architecture", &architecture, "packages", &packages, "left_out", &left_out,
        "tree", "digest", &tree, "entries", &entries, "bytes", &bytes, "squashfs", "sha256",
        &sha256, "bytes", &size);
    if (result != 0) {
        err_set(e, "not a manifest: %s", problem.text);
    } else if (format != FORMAT) {
        result = err_set(e, "a manifest of format %d; this program reads %d", format, FORMAT);
    } else if (!text_is_name(name) || generation < 1 || !is_digest(tree) || !is_digest(sha256) ||
               (build[0] != '\0' && !identity_is_build(build)) || size < 0 ||
               !json_is_array(roles) || !json_is_object(packages) || !json_is_array(left_out)) {
        result = err_set(e, "not a manifest: a value is not what it must be");
    } else {
        *ret_manifest = (struct manifest){
            .name = xstrdup(name),
            .generation = (unsigned)generation,
            .created_s = created,
            .parent = xcopy(parent),
            .parent_digest = xcopy(parent_digest),
            .cluster = xcopy(cluster),
            .instance = xcopy(instance),
            .group = xcopy(group),
            .script = xcopy(script),
            .roles = json_incref(roles),
            .release = xcopy(release),
            .architecture = xcopy(architecture),
            .packages = json_incref(packages),
            .left_out = json_incref(left_out),
            .entries = entries,
            .bytes = bytes,
            .blocks = {.size_bytes = size},
        };
        text_copy(ret_manifest->build, sizeof(ret_manifest->build), build);
        text_copy(ret_manifest->tree, sizeof(ret_manifest->tree), tree);
        text_copy(ret_manifest->blocks.sha256, sizeof(ret_manifest->blocks.sha256), sha256);
    }
    json_decref(root);
    return result == 0 ? 0 : -1;
}
