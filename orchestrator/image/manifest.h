/*
 * What an image says of itself: manifest.json beside its file. Its exact bytes are what is signed,
 * so a manifest is read from text that was checked, and is never written twice.
 */
#ifndef IMAGE_MANIFEST_H
#define IMAGE_MANIFEST_H

#include "image/build.h"
#include "image/identity.h"

#include <jansson.h>
#include <stdint.h>

struct err;

struct manifest {
    char *name; /* All owned. */
    unsigned generation;
    /* What the system in it says of itself (identity.h); "" in images from before there was that.
     */
    char build[IDENTITY_BUILD_SIZE];
    int64_t created_s;   /* Wall clock. */
    char *parent;        /* "web@2", or a base image's directory; NULL when not known. */
    char *parent_digest; /* SHA-256 of the parent's manifest (or the base's recipe); or NULL. */
    char *cluster;       /* Whose instance it was taken from. */
    char *instance;      /* "web-1" */
    char *group;
    char *script;       /* Digest of the role script last applied there; or NULL. */
    json_t *roles;      /* ["base", "apache", ...] */
    char *release;      /* "debian 12 bookworm"; or NULL. */
    char *architecture; /* "amd64"; or NULL. */
    json_t *packages;   /* {NAME: VERSION} */
    json_t *left_out;   /* Paths. */
    char tree[DIGEST_TEXT_SIZE];
    int64_t entries;
    int64_t bytes; /* Of the files' contents. */
    struct image_blocks blocks;
};
#define MANIFEST_NULL ((struct manifest){.name = NULL})
void manifest_deinit(struct manifest *manifest); /* Idempotent. */

/* As text, the caller's. */
char *manifest_render(const struct manifest *manifest);
int manifest_parse(const char *text, struct manifest *ret_manifest, struct err *e);

#endif
