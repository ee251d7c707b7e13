/*
 * Bytes that must not be seen. A type of its own, so that no logging or formatting function takes
 * one by accident; wiped when it goes. Compare with secret_equal() (constant time).
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct secret {
    unsigned char *bytes; /* Owned. Not NUL-terminated text: use length. */
    size_t length;
};

#define SECRET_NULL ((struct secret){.bytes = NULL})

void secret_set(struct secret *s, const void *bytes, size_t length);
void secret_copy(struct secret *s, const struct secret *from);
void secret_deinit(struct secret *s); /* Wipes and frees; idempotent. */
bool secret_equal(const struct secret *a, const struct secret *b);

/*
 * Reads the secret kept in file PATH (one line; the newline at its end is dropped). Faults when
 * the file is missing, empty, over 64 KiB, not a regular file, or readable by group or others.
 */
int secret_read_file(struct secret *s, const char *path, struct err *e);

/* LENGTH random letters and digits (about 5.95 bits each), from the kernel. */
void secret_generate(struct secret *s, size_t length);

/* Writes S to a new file PATH (mode 0600, O_EXCL, synced); faults when it exists. */
int secret_write_file(const struct secret *s, const char *path, struct err *e);

#endif
