/*
 * Sealing: what of a host must not be in an image of it. Two kinds, each with its reason in a
 * table: what every host has of its own and is left out (seal_rule), and what somebody put there
 * that no image may carry, for which the image is refused (seal_scan). Pure: paths and bytes go in.
 */
#ifndef IMAGE_SEAL_H
#define IMAGE_SEAL_H

#include "base/str.h"
#include "image/tar.h"

#include <stdbool.h>
#include <stddef.h>

enum seal_action {
    SEAL_OUT,   /* It is left out, with all in it. */
    SEAL_EMPTY, /* The directory stays, all in it is left out. */
    SEAL_FILES, /* Directories and links stay, files are left out. */
    SEAL_BLANK, /* It is there, empty. */
};

struct seal_rule {
    const char *pattern; /* fnmatch(), of a path without its first "/"; no '*' matches a "/". */
    enum seal_action action;
    const char *reason;
};
/* The table; ends with a NULL pattern. */
extern const struct seal_rule seal_rules[];

/* The rule that ENTRY is left out by; NULL when it belongs into the image. */
const struct seal_rule *seal_rule_of(const struct tar_entry *entry);

/* What must be there, empty, in every image ("etc/machine-id"). */
#define SEAL_MACHINE_ID "etc/machine-id"

/*
 * The command that sends all of a host but most of what is left out (the rest the receiver drops):
 * GNU tar as root, to standard output. ROOT is "/" or a directory. Access control lists stay
 * behind: squashfs has no place for them.
 */
void seal_add_tar_command(struct str *s, const char *root);
/* The same as words for execve(): the caller frees the array and its words. */
char **seal_tar_words(const char *program, const char *root);

/* Looks for what no image may carry in the content of one file. */
struct seal_scan {
    const char *found; /* Why the file is refused; constant; NULL: nothing so far. */
    bool is_client_settings;
    char tail[192]; /* The end of what came, for what lies across two pieces. */
    size_t tail_length;
};
/* PATH's name alone may be reason enough. */
void seal_scan_begin(struct seal_scan *scan, const char *path, int64_t size_bytes);
void seal_scan_add(struct seal_scan *scan, const void *bytes, size_t length);

#endif
