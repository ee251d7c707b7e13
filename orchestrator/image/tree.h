/*
 * What a tree of files is, by content: one line an entry, in byte order, without times. Its digest
 * is the same whatever order the files came in and whenever they were written.
 *
 *     etc/hosts<tab>f 644 0 0 37 SHA256[ attributes:SHA256]
 *     bin<tab>l 777 0 0 usr/bin
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include "base/str.h"
#include "image/tar.h"
#include "net/digest.h"

#include <stddef.h>
#include <stdint.h>

struct err;

struct tree {
    char **lines; /* Owned; unsorted until tree_finish(). */
    size_t count;
    size_t capacity;
    int64_t bytes; /* Of all files' contents; hard links count once. */
};
#define TREE_NULL ((struct tree){.lines = NULL})

void tree_deinit(struct tree *tree);
/* CONTENT: the file's SHA-256; NULL for what is no file. A hard link is its target again, which
   must be in the tree: -1 (without a fault's text) when it is not. */
int tree_add(struct tree *tree, const struct tar_entry *entry, const char *content);
/* Sorts, adds the text to RET_TEXT and tells its digest. */
void tree_finish(struct tree *tree, struct str *ret_text, char ret_digest[DIGEST_TEXT_SIZE]);
/* Takes TEXT, made by tree_finish(), apart. */
int tree_parse(struct tree *ret_tree, const char *text, struct err *e);

enum tree_change { TREE_ADDED, TREE_REMOVED, TREE_CHANGED };
/* Tells what is different in NOW against BEFORE; PATH as in a line, escaped. WAS and IS are the
   rest of the lines, NULL where there is none. */
void tree_compare(const struct tree *before, const struct tree *now,
                  void (*on_change)(void *context, enum tree_change change, const char *path,
                                    const char *was, const char *is),
                  void *context);

#endif
