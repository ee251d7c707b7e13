/*
 * Where images are: a directory.
 *
 *   NAME/root/                 a plain directory (images/base/make): a base, neither signed nor
 *                              counted
 *   NAME/GENERATION/           an image: root.squashfs, manifest.json, manifest.sig, tree
 *                  deprecated  it is not to become current again, for what is in it; what is there
 *                              lives on
 *                  protected   it is not to be deleted
 *   NAME/current               a link to the generation that new instances get
 *   NAME/last                  the highest number given so far; none is given twice
 *   NAME/.new                  one that is being made; nobody reads it
 *   NAME/.lock                 held by who changes NAME
 *
 * A generation appears by one rename, when all of it is on the disk, and is never changed.
 */
#ifndef IMAGE_IMAGE_STORE_H
#define IMAGE_IMAGE_STORE_H

#include "image/manifest.h"

#include <stdbool.h>
#include <stddef.h>

struct err;

#define IMAGE_FILE      "root.squashfs"
#define IMAGE_MANIFEST  "manifest.json"
#define IMAGE_SIGNATURE "manifest.sig"
#define IMAGE_TREE      "tree"

struct image_ref {
    char name[64];
    unsigned generation; /* 0: the current one. */
};
/* "web", "web@3". */
int image_ref_parse(const char *text, struct image_ref *ret_ref, struct err *e);

/* The generation that REF's name has as current; 0: none, it is a base or not there at all. */
int image_store_current(const char *dir, const char *name, unsigned *ret_generation, struct err *e);
/* DIR/NAME/GENERATION, the caller's. With generation 0 the current one is put into REF. Faults when
   there is none of that number. */
int image_store_find(const char *dir, struct image_ref *ref, char **ret_path, struct err *e);

struct image_item {
    struct image_ref ref;
    bool is_current, is_deprecated, is_protected;
    bool is_base; /* NAME/root; all below is empty then. */
    char *path;   /* Owned; its directory. */
    struct manifest manifest;
    char *problem; /* Owned; why the manifest cannot be trusted; NULL: it can. */
};
/* All of DIR, by name and generation. PUBLIC_KEYS is PEM text, NULL: none. A DIR that is not there
   is empty. The caller's: image_items_free(). */
int image_store_list(const char *dir, const char *public_keys, struct image_item **ret_items,
                     size_t *ret_count, struct err *e);
void image_items_free(struct image_item *items, size_t count);

/*
 * Checks the signature of the image in PATH (as image_store_find() tells) and that it is the one of
 * that name and number, so that an older one cannot stand in for a newer. Takes its manifest.
 */
int image_store_check(const char *path, const struct image_ref *ref, const char *public_keys,
                      struct manifest *ret_manifest, struct err *e);
/* Compares the image's file with its manifest, byte for byte. */
int image_store_check_blocks(const char *path, const struct manifest *manifest, struct err *e);
/*
 * Both, remembering in the file MEMORY what was found good: as long as neither file has changed
 * (inode, size, times), nor the keys, the image's file is not read again.
 */
int image_store_check_once(const char *path, const struct image_ref *ref, const char *public_keys,
                           const char *memory, struct err *e);

/* One that is being made. */
struct image_draft {
    struct image_ref ref; /* With the number it will get. */
    char *place;          /* Owned; DIR/NAME. */
    char *work;           /* Owned; DIR/NAME/.new, there, empty. */
    int lock;             /* Owned. */
};
#define IMAGE_DRAFT_NULL ((struct image_draft){.lock = -1})
/* Takes NAME's lock, removes what an interrupted one left. Faults when another makes one now. */
int image_draft_begin(const char *dir, const char *name, struct image_draft *ret_draft,
                      struct err *e);
/* How it appears. */
struct image_publishing {
    bool make_current; /* New instances get it from now on. */
    /* It was not tried yet: deprecated, until image_draft_settle(). One whose maker is cut off
       before that is removed by the next draft of its name. */
    bool is_untried;
};
/* Adds the manifest, signed with PRIVATE_KEY (a path), and the tree to what is in WORK, and lets it
   appear. */
int image_draft_publish(struct image_draft *draft, const struct manifest *manifest,
                        const char *tree, const char *private_key,
                        const struct image_publishing *how, struct err *e);
/* An untried one was tried. PROBLEM NULL: it is current now; else it stays deprecated for that. */
int image_draft_settle(struct image_draft *draft, const char *problem, struct err *e);
/* Removes what was not published; idempotent. */
void image_draft_deinit(struct image_draft *draft);

enum image_flag { IMAGE_DEPRECATED, IMAGE_PROTECTED };
int image_store_flag(const char *path, enum image_flag flag, bool on, struct err *e);
/* Why PATH is deprecated, one line, the caller's; NULL: it is not, or nobody said. */
char *image_store_reason(const char *path);
/* New instances get REF from now on. */
int image_store_use(const char *dir, const struct image_ref *ref, struct err *e);
/* Removes one that is not current, unless it is the last of its name. Whether it is used is the
 * caller's to know. */
int image_store_delete(const char *dir, const struct image_ref *ref, struct err *e);

#endif
