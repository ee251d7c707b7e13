/*
 * What is put into an instance's root before its first boot: who it is, and the keys by which it
 * and we know each other. Knows nothing of how the root came to be there (an overlay now; a disk
 * image or a machine's own disk later) nor of what will run it.
 */
#ifndef PROVIDER_ROOT_FILES_H
#define PROVIDER_ROOT_FILES_H

#include <stdint.h>

struct err;

struct root_files { /* All borrowed. */
    const char *cluster;
    const char *id;
    const char *address; /* "10.77.1.10" */
    unsigned prefix_length;
    const char *gateway;   /* NULL for none. */
    const char *login_key; /* One public key line. */
    const char *host_key;  /* Made by an earlier call that did not end well; NULL for none. */
    int64_t deadline_ms;   /* Monotonic. */
};

/*
 * Writes them below ROOT, whose contents must be an image's: NOT for a root that a guest has run
 * on. *ret_host_key is "ssh-ed25519 BASE64", the caller's. Links in the image are followed as the
 * instance would follow them, never out of ROOT. The host key is made anew, unless the root has the
 * one in FILES already: an image's own is never used. All is synced to disk.
 */
int root_files_place(const char *root, const struct root_files *files, char **ret_host_key,
                     struct err *e);

/* The first two words of the public key line LINE, the caller's; NULL when it is no ed25519 key. */
char *root_files_key_words(const char *line);

#endif
