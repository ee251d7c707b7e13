/*
 * Reads a tar stream, from a pipe, entry by entry: ustar, with GNU's and POSIX's extensions for
 * long names, large numbers and extended attributes. The stream comes from a host that is not
 * trusted: every length is checked, a name that leads out of the tree is a fault, and a stream that
 * stops before its own end marker is one too (an SSH channel that is cut off looks like one that
 * ended).
 */
#ifndef IMAGE_TAR_H
#define IMAGE_TAR_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define TAR_BLOCK 512

enum tar_type {
    TAR_FILE,
    TAR_DIRECTORY,
    TAR_LINK,      /* Symbolic. */
    TAR_HARD_LINK, /* Another name of an entry before it. */
    TAR_CHARACTER,
    TAR_BLOCK_DEVICE,
    TAR_FIFO,
};

struct tar_entry {
    char *path; /* Owned; "etc/passwd": no "./" before it, no "/" behind it; "" is the top. */
    enum tar_type type;
    unsigned mode; /* 07777 */
    int64_t uid, gid;
    int64_t size_bytes; /* Of the content that follows; 0 but for files. */
    char *target;       /* Owned; of either kind of link (a hard one's as a path here); or NULL. */
    unsigned major, minor;
    struct str attributes; /* Owned; extended attributes, "NAME=HEX\n" each, in byte order. */
    struct str raw;        /* Owned; the header blocks as they came, to be passed on. */
};

struct tar_reader; /* Opaque. */

/* FD is borrowed. DEADLINE_MS: monotonic, for all of it. */
struct tar_reader *tar_reader_new(int fd, int64_t deadline_ms);
void tar_reader_free(struct tar_reader *reader); /* NULL is fine. */

/*
 * The next entry; *ret_entry is borrowed, valid until the next call; NULL at the end of the
 * archive. What was not read of the content before is passed over.
 */
int tar_reader_next(struct tar_reader *reader, const struct tar_entry **ret_entry, struct err *e);

/*
 * Up to MAX bytes of the entry's content, borrowed until the next call; *ret_length 0 at its end.
 * Padding is not told.
 */
int tar_reader_content(struct tar_reader *reader, size_t max, const void **ret_bytes,
                       size_t *ret_length, struct err *e);

/* Reads on until the stream's own end, so that who writes it is not cut off. */
int tar_reader_drain(struct tar_reader *reader, struct err *e);

/* Adds the regular file PATH (at most 99 bytes) of mode MODE, root's, with TEXT, padded. */
void tar_add_file(struct str *s, const char *path, unsigned mode, const char *text);
/* The same for a directory. */
void tar_add_directory(struct str *s, const char *path, unsigned mode);

#endif
