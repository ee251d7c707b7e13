/* A directory as one tar archive, the same bytes for the same tree. */
#ifndef ROLE_ARCHIVE_H
#define ROLE_ARCHIVE_H

#include <stdint.h>

struct err;

struct archive {
    int fd; /* Owned; an unlinked file that holds the archive. */
    int64_t size_bytes;
    char digest[65]; /* SHA-256 of the archive. */
    char id[17];     /* Of names, contents and executable bits only: what makes it this tree. */
};

/*
 * Packs DIRECTORY: regular files, directories and links in the order of their names; owner root,
 * modes 0755 or 0644, the files' own times (a web server's ETag lives on them). Version control
 * (.git, .hg, .svn) stays out. Faults on anything that is none of these, or unreadable.
 */
int archive_make(const char *directory, struct archive *ret_archive, struct err *e);
void archive_deinit(struct archive *archive);

/* Changes whenever a name, size, mode or time in DIRECTORY (or of the file it is) does. */
int archive_fingerprint(const char *directory, uint64_t *ret_print, struct err *e);

#endif
