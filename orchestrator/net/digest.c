/* mbedTLS's generic digest interface, which is the same in 2.28 (Debian 12) and 3.6 (Debian 13). */
#include "net/digest.h"

#include "base/mem.h"

#include <assert.h>
#include <mbedtls/base64.h>
#include <mbedtls/md.h>
#include <stdio.h>
#include <stdlib.h>

struct digest {
    mbedtls_md_context_t context;
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

/* SHA-256 is always there and does no I/O: a failure is a broken library. */
static void must(int result)
{
    if (result != 0) {
        fprintf(stderr, "mbedTLS: SHA-256 or base64 failed (-0x%04x)\n", (unsigned)-result);
        abort();
    }
}

void digest_bytes(const void *bytes, size_t length, unsigned char ret_digest[DIGEST_SIZE])
{
    must(mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), bytes, length, ret_digest));
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
    mbedtls_md_init(&digest->context);
    must(mbedtls_md_setup(&digest->context, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 0));
    must(mbedtls_md_starts(&digest->context));
    return digest;
}

struct digest *digest_copy(const struct digest *digest)
{
    struct digest *copy = digest_new();
    must(mbedtls_md_clone(&copy->context, &digest->context));
    return copy;
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
    if (length > 0) {
        must(mbedtls_md_update(&digest->context, bytes, length));
    }
}

void digest_free(struct digest *digest)
{
    if (digest != NULL) {
        mbedtls_md_free(&digest->context);
        free(digest);
    }
}

void digest_finish(struct digest *digest, char ret_text[DIGEST_TEXT_SIZE])
{
    unsigned char bytes[DIGEST_SIZE];
    must(mbedtls_md_finish(&digest->context, bytes));
    to_hex(bytes, ret_text);
    digest_free(digest);
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
