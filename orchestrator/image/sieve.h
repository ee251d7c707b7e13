/*
 * What a tree of files goes through on its way into an image, or when it is looked at: what is
 * sealed away is dropped (seal.h), the rest is digested (tree.h) and passed on. One pass, no copy
 * on a disk.
 */
#ifndef IMAGE_SIEVE_H
#define IMAGE_SIEVE_H

#include "base/secret.h"
#include "base/str.h"
#include "net/digest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* A cluster's secret: a file that holds it is left out. A role puts it on each host anew. */
struct sieve_secret {
    const char *name; /* Borrowed. */
    struct secret value;
};

struct sieve_config { /* All borrowed. */
    int input;        /* A tar stream. */
    int output;       /* Where the sealed stream goes; -1: nowhere. */
    const struct sieve_secret *secrets;
    size_t secret_count;
    const char *const *without; /* Paths the operator wants left out ("root/.bash_history"). */
    size_t without_count;
    const char *identity; /* identity.h's line that the image gets; NULL: what is there stays. */
    bool strict;          /* The tree is sealed already: whatever would be dropped is a finding. */
    int64_t deadline_ms;
};

/* Something that no image may carry. */
struct sieve_finding {
    char *path; /* Owned; escaped for printing. */
    char *reason;
};
#define SIEVE_FINDING_MAX 100

struct sieve_result {
    struct str tree; /* Owned; tree.h's text. */
    char digest[DIGEST_TEXT_SIZE];
    size_t entries;
    int64_t bytes;    /* Of files' contents. */
    json_t *packages; /* Owned; {"apache2": "2.4.62-1~deb12u2", ...} */
    char *release;    /* Owned; "debian 12 bookworm"; NULL when not known. */
    char *architecture;
    json_t *left_out; /* Owned; paths left out for a secret, or because the operator said so. */
    struct sieve_finding findings[SIEVE_FINDING_MAX];
    size_t finding_count;
};
#define SIEVE_RESULT_NULL ((struct sieve_result){.tree = STR_NULL})
void sieve_result_deinit(struct sieve_result *result); /* Idempotent. */

/*
 * Runs all of INPUT through. A fault when the stream is damaged or cut off, or OUTPUT breaks; what
 * was found is in RESULT, and then nothing that came out may be used.
 */
int sieve_run(const struct sieve_config *config, struct sieve_result *ret_result, struct err *e);

#endif
