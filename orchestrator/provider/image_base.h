/*
 * What a root stands on: a template's image as a directory to put an overlay over. A plain
 * directory is one already; a signed image (image/image_store.h) is checked and mounted, once for
 * all instances of it, below INSTANCES/.images. An instance's `base` says which, so everything is
 * found again from the files alone.
 */
#ifndef PROVIDER_IMAGE_BASE_H
#define PROVIDER_IMAGE_BASE_H

#include "image/image_store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct image_source { /* All borrowed. */
    const char *image_dir;
    const char *public_keys;  /* Path of a file of PEM keys; NULL: no signed image can be used. */
    const char *instance_dir; /* Links resolved. */
};

/*
 * IMAGE ("web", "web@3"; "web@0" is the plain directory also where there are generations, of which
 * "web" is the current one) as the line that `base` will be:
 * IMAGE_DIR/NAME/GENERATION/root.squashfs, or the directory IMAGE_DIR/NAME/root, links resolved;
 * the caller's. Faults, saying what to do, when there is none. Mounts nothing, checks nothing.
 */
int image_base_find(const struct image_source *source, const char *image, char **ret_base,
                    struct err *e);

/*
 * The directory that BASE's files are in, the caller's. A signed image is checked (signature,
 * number, every byte; once, until it changes) and mounted, unless it is mounted already.
 */
int image_base_mount(const struct image_source *source, const char *base, int64_t deadline_ms,
                     char **ret_lower, struct err *e);

/*
 * "DIR/NAME/GENERATION/root.squashfs" as the image's directory (the caller's) and its reference;
 * false for a plain directory.
 */
bool image_base_parse(const char *base, char **ret_path, struct image_ref *ret_ref);

/*
 * What BASE is, for records, the caller's: "IMAGE BUILD CONTENT", a dash for what it has not.
 * CONTENT is the signed digest of an image's files, or that of a plain directory's name: it is
 * never changed under its name (images/README.md).
 */
int image_base_describe(const struct image_source *source, const char *base, char **ret_text,
                        struct err *e);

/* Who stands on what: every instance below INSTANCE_DIR that has a base, whatever state it is in.
 */
struct image_user {
    char *id; /* Both owned. */
    char *base;
};
int image_base_users(const char *instance_dir, struct image_user **ret_users, size_t *ret_count,
                     struct err *e);
void image_users_free(struct image_user *users, size_t count);

/* Unmounts the images that no instance has as its base. */
int image_base_sweep(const struct image_source *source, int64_t deadline_ms, struct err *e);

#endif
