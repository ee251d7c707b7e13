/*
 * Where a cluster's images are, and who stands on them: what every `image` command looks at first.
 * Files only; no host is asked.
 */
#ifndef CLI_IMAGE_PLACE_H
#define CLI_IMAGE_PLACE_H

#include "controller/site.h"
#include "image/image_store.h"
#include "provider/image_base.h"
#include "store/record.h"

#include <stdbool.h>
#include <stddef.h>

struct err;

struct image_place {
    const struct site *site; /* Borrowed. */
    const char *dir;         /* Borrowed from the site; the images' directory. */
    char *private_key;       /* Owned paths. */
    char *public_key;
    char *public_keys; /* Owned; the text in public_key; NULL: no such file yet. */
    struct image_user *users;
    size_t user_count;
    struct record_group *groups; /* Owned, both; of the store, when there is one. */
    size_t group_count;
    struct record_refresh *refreshes;
    size_t refresh_count;
};
#define IMAGE_PLACE_NULL ((struct image_place){.site = NULL})

/* PROVIDER: an index of the file's providers, or SPEC_NONE for the first that has images. Faults
   when there is none. */
int image_place_open(struct image_place *ret_place, const struct site *site, size_t provider,
                     struct err *e);
void image_place_close(struct image_place *place);

/* Finds REF's directory (the caller's); generation 0 becomes the current one. */
int image_place_find(const struct image_place *place, struct image_ref *ref, char **ret_path,
                     struct err *e);
/* Adds "web-1, web-2" for those that stand on it; the count. */
size_t image_place_users(const struct image_place *place, const char *path, struct str *ret_ids);
/* Adds "group web is pinned to it" and the like for what groups and their refreshes are to be made
   from, whether anybody stands on it yet or not; nothing when nobody wants it. */
void image_place_add_pins(const struct image_place *place, const struct image_ref *ref,
                          struct str *ret_text);
/*
 * Why PATH cannot be deleted: instances on it, or on an image that came from it, one word each; and
 * who is pinned to it.
 * Nothing is added when it can.
 */
int image_place_add_needs(const struct image_place *place, const char *path,
                          const struct image_ref *ref, struct str *ret_text, struct err *e);
/* What instance ID stands on, as its `base` says, the caller's; NULL: not known here. */
char *image_place_base_of(const struct image_place *place, const char *id);

#endif
