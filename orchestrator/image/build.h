/*
 * An image's file from a stream of files, and an image's (or any) tree looked at again. Runs in
 * worker processes (sandbox HYPERVISOR): it starts mksquashfs and tar, and mounts.
 */
#ifndef IMAGE_BUILD_H
#define IMAGE_BUILD_H

#include "image/sieve.h"

struct image_blocks {
    char sha256[DIGEST_TEXT_SIZE];
    int64_t size_bytes;
};

/*
 * SIEVE's input, sealed, as squashfs into the new file PATH; on disk when this returns. SIEVE's
 * output is filled in here. When RET_RESULT has findings, PATH is of no use.
 */
int image_build(struct sieve_config *sieve, const char *path, struct sieve_result *ret_result,
                struct image_blocks *ret_blocks, struct err *e);

/*
 * Looks at all of PATH: a directory, or a squashfs file, which is mounted where only this process
 * sees it. SIEVE's input and output are filled in here.
 */
int image_look(struct sieve_config *sieve, const char *path, struct sieve_result *ret_result,
               struct err *e);

/* SHA-256 and size of the file PATH. */
int image_blocks_of(const char *path, struct image_blocks *ret_blocks, struct err *e);

#endif
