/*
 * SHA-256 by nettle, because images are made of it: it uses the processor's instructions for it
 * where there are any (0.6 ms a MiB; mbedTLS 2.28 takes 3.3), and nothing has to be set up first.
 */
#include "net/digest.h"

#include "base/mem.h"

#include <assert.h>
#include <mbedtls/base64.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>

struct digest {
    struct sha256_ctx context;
};

static void to_hex(const unsigned char digest[DIGEST_SIZE], char ret_text[DIGEST_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        ret_text[2 * i] = digits[digest[i] >> 4];
        ret_text[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_text[DIGEST_TEXT_SIZE - 1] = '\0';
}

void digest_bytes(const void *bytes, size_t length, unsigned char ret_digest[DIGEST_SIZE])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, length, bytes);
    sha256_digest(&context, DIGEST_SIZE, ret_digest);
}

void digest_text(const void *bytes, size_t length, char ret_text[DIGEST_TEXT_SIZE])
{
    unsigned char digest[DIGEST_SIZE];
    digest_bytes(bytes, length, digest);
    to_hex(digest, ret_text);
}

struct digest *digest_new(void)
{
    struct digest *digest = xcalloc(1, sizeof(*digest));
    sha256_init(&digest->context);
    return digest;
}

struct digest *digest_copy(const struct digest *digest)
{
    struct digest *copy = digest_new();
    *copy = *digest;
    return copy;
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
    if (length > 0) {
        sha256_update(&digest->context, length, bytes);
    }
}

void digest_free(struct digest *digest)
{
    free(digest);
}

void digest_finish(struct digest *digest, char ret_text[DIGEST_TEXT_SIZE])
{
    unsigned char bytes[DIGEST_SIZE];
    sha256_digest(&digest->context, DIGEST_SIZE, bytes);
    to_hex(bytes, ret_text);
    digest_free(digest);
}

/* Any input has a base64: a failure is a broken library. */
static void must(int result)
{
    if (result != 0) {
        fprintf(stderr, "mbedTLS: base64 failed (-0x%04x)\n", (unsigned)-result);
        abort();
    }
}

char *digest_base64(const void *bytes, size_t length)
{
    size_t size = (length + 2) / 3 * 4 + 1;
    unsigned char *text = xcalloc(size, 1);
    size_t written = 0;
    must(mbedtls_base64_encode(text, size, &written, bytes, length));
    assert(written < size);
    return (char *)text;
}
