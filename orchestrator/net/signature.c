/* mbedTLS 2.28 (Debian 12) and 3.6 (Debian 13) differ in two calls: see the first helpers. */
#include "net/signature.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/base64.h>
#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALGORITHM     "ecdsa-p256-sha256"
#define PEM_MAX       4096
#define DER_MAX       512
#define SIGNATURE_MAX 256
#define KEY_ID_SIZE   17 /* 16 hex digits and NUL. */
#define PEM_BEGIN     "-----BEGIN PUBLIC KEY-----"
#define PEM_END       "-----END PUBLIC KEY-----"

static int random_bytes(void *context, unsigned char *bytes, size_t length)
{
    (void)context;
    while (length > 0) {
        ssize_t got = getrandom(bytes, length, 0);
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        bytes += got > 0 ? got : 0;
        length -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int parse_private(mbedtls_pk_context *key, const unsigned char *pem, size_t size)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_parse_key(key, pem, size, NULL, 0, random_bytes, NULL);
#else
    return mbedtls_pk_parse_key(key, pem, size, NULL, 0);
#endif
}

static int sign_digest(mbedtls_pk_context *key, const unsigned char digest[DIGEST_SIZE],
                       unsigned char ret_signature[SIGNATURE_MAX], size_t *ret_length)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, digest, DIGEST_SIZE, ret_signature,
                           SIGNATURE_MAX, ret_length, random_bytes, NULL);
#else
    return mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, digest, DIGEST_SIZE, ret_signature, ret_length,
                           random_bytes, NULL);
#endif
}

static int mbed_fault(struct err *e, int result, const char *what)
{
    return err_set(e, "%s (mbedTLS -0x%04x)", what, (unsigned)-result);
}

/* P-256 only: what else a PEM file may hold is no key of ours. */
static bool is_ours(const mbedtls_pk_context *key)
{
    return mbedtls_pk_can_do(key, MBEDTLS_PK_ECDSA) && mbedtls_pk_get_bitlen(key) == 256;
}

static int key_id(mbedtls_pk_context *key, char ret_id[KEY_ID_SIZE], struct err *e)
{
    unsigned char der[DER_MAX];
    int length = mbedtls_pk_write_pubkey_der(key, der, sizeof(der));
    if (length < 0) {
        return mbed_fault(e, length, "write the public key");
    }
    char text[DIGEST_TEXT_SIZE];
    digest_text(der + sizeof(der) - length, (size_t)length, text);
    text_copy(ret_id, KEY_ID_SIZE, text);
    return 0;
}

/* Under another name, synced, then renamed: a key file is never half there. */
static int place_pem(const char *path, const void *pem, size_t length, mode_t mode, struct err *e)
{
    char *fresh = xasprintf("%s.lamplighter-new", path);
    unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, pem, length) == (ssize_t)length && fchmod(fd, mode) == 0 &&
                fsync(fd) == 0 && rename(fresh, path) == 0;
    int result = good ? 0 : err_errno(e, errno, "%s", path);
    if (fd >= 0) {
        close(fd);
    }
    free(fresh);
    return result;
}

static int read_private(const char *path, mbedtls_pk_context *key, struct err *e)
{
    struct secret pem = SECRET_NULL;
    if (secret_read_file(&pem, path, e) < 0) {
        return -1;
    }
    /* The parser wants the NUL at the end counted. */
    unsigned char *text = xcalloc(pem.length + 2, 1);
    memcpy(text, pem.bytes, pem.length);
    text[pem.length] = '\n';
    int result = parse_private(key, text, pem.length + 2);
    explicit_bzero(text, pem.length + 2);
    free(text);
    secret_deinit(&pem);
    if (result != 0 || !is_ours(key)) {
        return err_set(e, "%s: not a private ECDSA P-256 key in PEM form", path);
    }
    return 0;
}

static int make_private(const char *path, mbedtls_pk_context *key, struct err *e)
{
    unsigned char pem[PEM_MAX] = {0};
    int result = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (result == 0) {
        result =
            mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), random_bytes, NULL);
    }
    if (result == 0) {
        result = mbedtls_pk_write_key_pem(key, pem, sizeof(pem));
    }
    int status = result == 0 ? place_pem(path, pem, strlen((char *)pem), 0600, e)
                             : mbed_fault(e, result, "make a signing key");
    explicit_bzero(pem, sizeof(pem));
    return status;
}

int signature_make_keys(const char *private_path, const char *public_path, struct err *e)
{
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int result = access(private_path, F_OK) == 0 ? read_private(private_path, &key, e)
                                                 : make_private(private_path, &key, e);
    if (result == 0 && access(public_path, F_OK) != 0) {
        unsigned char pem[PEM_MAX] = {0};
        int written = mbedtls_pk_write_pubkey_pem(&key, pem, sizeof(pem));
        result = written == 0 ? place_pem(public_path, pem, strlen((char *)pem), 0644, e)
                              : mbed_fault(e, written, "write the public key");
    }
    mbedtls_pk_free(&key);
    return result;
}

static int sign_with(mbedtls_pk_context *key, const void *bytes, size_t length,
                     struct str *ret_line, struct err *e)
{
    unsigned char digest[DIGEST_SIZE];
    unsigned char signature[SIGNATURE_MAX];
    size_t size = 0;
    char id[KEY_ID_SIZE];
    digest_bytes(bytes, length, digest);
    int result = sign_digest(key, digest, signature, &size);
    if (result != 0) {
        return mbed_fault(e, result, "sign");
    }
    if (key_id(key, id, e) < 0) {
        return -1;
    }
    char *text = digest_base64(signature, size);
    str_addf(ret_line, ALGORITHM " %s %s", id, text);
    free(text);
    return 0;
}

int signature_sign(const char *private_path, const void *bytes, size_t length, struct str *ret_line,
                   struct err *e)
{
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int result = read_private(private_path, &key, e);
    if (result == 0) {
        result = sign_with(&key, bytes, length, ret_line, e);
    }
    mbedtls_pk_free(&key);
    return result;
}

struct signature_line {
    char id[KEY_ID_SIZE];
    unsigned char bytes[SIGNATURE_MAX];
    size_t length;
};

static bool parse_line(const char *line, struct signature_line *ret)
{
    if (!text_starts(line, ALGORITHM " ")) {
        return false;
    }
    const char *id = line + strlen(ALGORITHM) + 1;
    const char *space = strchr(id, ' ');
    if (space == NULL || space - id != KEY_ID_SIZE - 1) {
        return false;
    }
    memcpy(ret->id, id, KEY_ID_SIZE - 1);
    ret->id[KEY_ID_SIZE - 1] = '\0';
    size_t length = strcspn(space + 1, " \r\n");
    return mbedtls_base64_decode(ret->bytes, sizeof(ret->bytes), &ret->length,
                                 (const unsigned char *)space + 1, length) == 0;
}

/* One key of the text at *AT, which is moved past it. False when there is none any more. */
static bool next_key(const char **at, mbedtls_pk_context *key)
{
    const char *begin = strstr(*at, PEM_BEGIN);
    const char *end = begin == NULL ? NULL : strstr(begin, PEM_END);
    if (end == NULL) {
        return false;
    }
    end += strlen(PEM_END);
    char *pem = xasprintf("%.*s\n", (int)(end - begin), begin);
    if (mbedtls_pk_parse_public_key(key, (const unsigned char *)pem, strlen(pem) + 1) != 0) {
        mbedtls_pk_free(key);
        mbedtls_pk_init(key);
    }
    free(pem);
    *at = end;
    return true;
}

int signature_check(const char *public_keys, const void *bytes, size_t length, const char *line,
                    enum signature_outcome *ret_outcome, struct err *e)
{
    struct signature_line parsed;
    unsigned char digest[DIGEST_SIZE];
    digest_bytes(bytes, length, digest);
    bool readable = parse_line(line, &parsed);
    enum signature_outcome outcome = readable ? SIGNATURE_UNKNOWN : SIGNATURE_BAD;
    size_t usable = 0;
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    while (next_key(&public_keys, &key)) {
        char id[KEY_ID_SIZE];
        bool good = is_ours(&key) && key_id(&key, id, NULL) == 0;
        usable += good ? 1 : 0;
        if (good && readable && outcome != SIGNATURE_GOOD && text_equal(id, parsed.id)) {
            outcome = mbedtls_pk_verify(&key, MBEDTLS_MD_SHA256, digest, sizeof(digest),
                                        parsed.bytes, parsed.length) == 0
                          ? SIGNATURE_GOOD
                          : SIGNATURE_BAD;
        }
        mbedtls_pk_free(&key);
        mbedtls_pk_init(&key);
    }
    mbedtls_pk_free(&key);
    if (usable == 0) {
        return err_set(e, "no ECDSA P-256 public key to check it with");
    }
    *ret_outcome = outcome;
    return 0;
}
