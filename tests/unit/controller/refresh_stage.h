/*
 * A stage for tests of refreshes: a directory of signed images, keys, and a spec with a group "web"
 * whose provider makes instances from them, and a group "db" of hosts that exist already.
 */
#ifndef UNIT_CONTROLLER_REFRESH_STAGE_H
#define UNIT_CONTROLLER_REFRESH_STAGE_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conformance/scratch.h"
#include "controller/refresh_goal.h"
#include "image/image_store.h"
#include "net/digest.h"
#include "net/signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct refresh_stage {
    char *directory; /* The images'; NAME/root for the plain ones. */
    char *key;
    struct spec_provider providers[2];
    struct spec_template templates[2];
    struct spec_group groups[2];
    struct spec_zone zones[2];
    size_t web_zones[1];
    size_t db_zones[1];
    struct spec spec;
};

static inline void stage_make_directory(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

/* Plain "debian-12" is there, images are not yet. */
static inline void refresh_stage_init(struct refresh_stage *s)
{
    struct err e = ERR_NULL;
    *s = (struct refresh_stage){.directory = scratch_make()};
    char *keys = xasprintf("%s/keys", s->directory);
    char *public_key = xasprintf("%s/keys/image.pub", s->directory);
    char *web = xasprintf("%s/debian-12", s->directory);
    char *root = xasprintf("%s/debian-12/root", s->directory);
    s->key = xasprintf("%s/keys/image", s->directory);
    stage_make_directory(keys);
    stage_make_directory(web);
    stage_make_directory(root);
    assert_int_equal(signature_make_keys(s->key, public_key, &e), 0);
    free(keys);
    free(public_key);
    free(web);
    free(root);
    s->zones[0] = (struct spec_zone){.name = "rack-a"};
    s->zones[1] = (struct spec_zone){.name = "rack-b"};
    s->web_zones[0] = 0;
    s->db_zones[0] = 1;
    s->providers[0] = (struct spec_provider){.name = "kvm",
                                             .type = SPEC_PROVIDER_LIBVIRT,
                                             .zone = 0,
                                             .image_dir = s->directory,
                                             .instance_dir = s->directory};
    s->providers[1] =
        (struct spec_provider){.name = "rack", .type = SPEC_PROVIDER_STATIC, .zone = 1};
    s->templates[0] = (struct spec_template){.name = "web", .image = "web"};
    s->templates[1] = (struct spec_template){.name = "db"};
    s->groups[0] = (struct spec_group){.name = "web",
                                       .template = 0,
                                       .min = 1,
                                       .desired = 3,
                                       .max = 4,
                                       .zones = {.items = s->web_zones, .count = 1},
                                       .pool = SPEC_NONE,
                                       .healthy_min_percent = 90,
                                       .healthy_max_percent = 110};
    s->groups[1] = s->groups[0];
    s->groups[1].name = "db";
    s->groups[1].template = 1;
    s->groups[1].zones = (struct spec_index_list){.items = s->db_zones, .count = 1};
    s->spec = (struct spec){.cluster = "shop",
                            .state_dir = s->directory,
                            .zones = s->zones,
                            .zone_count = 2,
                            .providers = s->providers,
                            .provider_count = 2,
                            .templates = s->templates,
                            .template_count = 2,
                            .groups = s->groups,
                            .group_count = 2};
}

static inline void refresh_stage_deinit(struct refresh_stage *s)
{
    free(s->key);
    scratch_remove(s->directory);
}

/* The next generation of NAME, made at CREATED_S, of the content of a tree that says WHAT. */
static inline void refresh_stage_publish(const struct refresh_stage *s, const char *name,
                                         const char *what, int64_t created_s)
{
    struct image_draft draft;
    struct err e = ERR_NULL;
    if (image_draft_begin(s->directory, name, &draft, &e) < 0) {
        fail_msg("%s", e.text);
    }
    char *path = xasprintf("%s/" IMAGE_FILE, draft.work);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(what, file);
    fclose(file);
    struct manifest manifest = {.name = xstrdup(name),
                                .generation = draft.ref.generation,
                                .created_s = created_s,
                                .instance = xstrdup("web-1"),
                                .roles = json_array(),
                                .packages = json_object(),
                                .build = "00112233445566778899aabbccddeeff",
                                .left_out = json_array()};
    digest_text(what, strlen(what), manifest.tree);
    assert_int_equal(image_blocks_of(path, &manifest.blocks, &e), 0);
    const struct image_publishing how = {.make_current = true};
    if (image_draft_publish(&draft, &manifest, what, s->key, &how, &e) < 0) {
        fail_msg("%s", e.text);
    }
    manifest_deinit(&manifest);
    image_draft_deinit(&draft);
    free(path);
}

/* The digest that a record says for a tree of WHAT; the caller's. */
static inline char *refresh_stage_digest(const char *what)
{
    char digest[DIGEST_TEXT_SIZE];
    digest_text(what, strlen(what), digest);
    return xstrdup(digest);
}
static inline char *refresh_stage_plain(const struct refresh_stage *s)
{
    char *root = xasprintf("%s/debian-12/root", s->directory);
    char *real = realpath(root, NULL);
    char *digest = refresh_stage_digest(real);
    free(root);
    free(real);
    return digest;
}

#endif
