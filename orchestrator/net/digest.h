/* SHA-256 (nettle) and base64 (mbedTLS), as text. */
#ifndef NET_DIGEST_H
#define NET_DIGEST_H

#include <stddef.h>

#define DIGEST_SIZE      32
#define DIGEST_TEXT_SIZE 65 /* 64 hex digits and NUL. */

void digest_bytes(const void *bytes, size_t length, unsigned char ret_digest[DIGEST_SIZE]);
void digest_text(const void *bytes, size_t length, char ret_text[DIGEST_TEXT_SIZE]);

/* In pieces. */
struct digest; /* Opaque. */
struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *bytes, size_t length);
/* One that has been given the same bytes. */
struct digest *digest_copy(const struct digest *digest);
void digest_free(struct digest *digest); /* NULL is fine. */
/* Finishes and frees. */
void digest_finish(struct digest *digest, char ret_text[DIGEST_TEXT_SIZE]);

/* Base64 with padding; the caller frees. */
char *digest_base64(const void *bytes, size_t length);

#endif
