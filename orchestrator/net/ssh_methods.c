/*
 * What we are willing to speak, checked twice: offered before the handshake, compared after it.
 * And who we speak to: the host's key against the pinned one, byte for byte.
 */
#include "net/ssh_session.h"

#include "base/err.h"
#include "base/mem.h"
#include "net/digest.h"

#include <assert.h>
#include <mbedtls/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TYPE         "ssh-ed25519"
#define FINGERPRINT_SIZE 64

static const char ciphers[] = "aes256-ctr,aes192-ctr,aes128-ctr";
static const char macs[] = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,"
                           "hmac-sha2-256,hmac-sha2-512";

static const struct method {
    int kind;
    const char *what; /* As sshd_config calls it. */
    const char *names;
} methods[] = {
    {LIBSSH2_METHOD_KEX, "KexAlgorithms", "curve25519-sha256,curve25519-sha256@libssh.org"},
    {LIBSSH2_METHOD_HOSTKEY, "HostKeyAlgorithms", KEY_TYPE},
    {LIBSSH2_METHOD_CRYPT_CS, "Ciphers", ciphers},
    {LIBSSH2_METHOD_CRYPT_SC, "Ciphers", ciphers},
    {LIBSSH2_METHOD_MAC_CS, "MACs", macs},
    {LIBSSH2_METHOD_MAC_SC, "MACs", macs},
};

#define METHOD_COUNT (sizeof(methods) / sizeof(methods[0]))

/* Whether NAME is one of the comma-separated NAMES. */
static bool is_one_of(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; length > 0 && at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/*
 * Of the method's names those that this libssh2 knows (1.10 has no -etm). Left to itself it drops
 * the others with a memcpy() of overlapping memory, so it is never shown one.
 */
static char *known_names(LIBSSH2_SESSION *session, const struct method *method)
{
    const char **known = NULL;
    struct str names = STR_NULL;
    int count = libssh2_session_supported_algs(session, method->kind, &known);
    for (const char *at = method->names; *at != '\0'; at += strspn(at, ",")) {
        size_t length = strcspn(at, ",");
        for (int i = 0; i < count; i++) {
            if (strlen(known[i]) == length && strncmp(known[i], at, length) == 0) {
                str_addf(&names, "%s%s", names.length == 0 ? "" : ",", known[i]);
                break;
            }
        }
        at += length;
    }
    if (count > 0) {
        libssh2_free(session, known);
    }
    return str_take(&names);
}

int ssh_methods_prefer(struct ssh_link *link, struct err *e)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        char *names = known_names(link->session, &methods[i]);
        int result = *names == '\0'
                         ? -1
                         : libssh2_session_method_pref(link->session, methods[i].kind, names);
        free(names);
        if (result != 0) {
            return err_set(e, "this libssh2 (%s) has none of %s", libssh2_version(0),
                           methods[i].names);
        }
    }
    return 0;
}

enum ssh_outcome ssh_methods_check(struct ssh_link *link, struct err *e)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const char *got = libssh2_session_methods(link->session, methods[i].kind);
        if (got == NULL || !is_one_of(methods[i].names, got)) {
            err_set(e, "%s: negotiated %s %s, which is not allowed here (%s)", link->label,
                    methods[i].what, got == NULL ? "(none)" : got, methods[i].names);
            return SSH_WEAK;
        }
    }
    return SSH_OK;
}

/* "SHA256:..." as ssh-keygen -l prints it: without padding. */
static void fingerprint(const void *key, size_t length, char ret_text[FINGERPRINT_SIZE])
{
    unsigned char digest[DIGEST_SIZE];
    digest_bytes(key, length, digest);
    char *text = digest_base64(digest, sizeof(digest));
    text[strcspn(text, "=")] = '\0';
    snprintf(ret_text, FINGERPRINT_SIZE, "SHA256:%s", text);
    free(text);
}

/* Of a pin, for messages: a fingerprint as it is, a key's computed. */
static void pin_fingerprint(const char *pinned, char ret_text[FINGERPRINT_SIZE])
{
    unsigned char key[256];
    size_t length = 0;
    const char *base64 = strchr(pinned, ' ');
    if (base64 == NULL) {
        text_copy(ret_text, FINGERPRINT_SIZE, pinned);
        return;
    }
    base64++;
    if (mbedtls_base64_decode(key, sizeof(key), &length, (const unsigned char *)base64,
                              strcspn(base64, " \t\n")) != 0) {
        text_copy(ret_text, FINGERPRINT_SIZE, "which is not a valid " KEY_TYPE " key");
        return;
    }
    fingerprint(key, length, ret_text);
}

/* The pin is the key ("ssh-ed25519 BASE64", a comment may follow) or its fingerprint. */
static bool pin_matches(const char *pinned, const char *host_key, const char *shown)
{
    size_t length = strlen(host_key);
    if (text_starts(pinned, "SHA256:")) {
        return text_equal(pinned, shown);
    }
    return strncmp(pinned, host_key, length) == 0 &&
           (pinned[length] == '\0' || pinned[length] == ' ' || pinned[length] == '\n');
}

enum ssh_outcome ssh_host_key_check(struct ssh_link *link, const char *pinned, struct err *e)
{
    size_t length = 0;
    int type = LIBSSH2_HOSTKEY_TYPE_UNKNOWN;
    const char *key = libssh2_session_hostkey(link->session, &length, &type);
    assert(pinned != NULL); /* There is no trust on first use. */
    if (key == NULL || type != LIBSSH2_HOSTKEY_TYPE_ED25519) {
        err_set(e, "%s: shows no " KEY_TYPE " host key", link->label);
        return SSH_WEAK;
    }
    char shown[FINGERPRINT_SIZE];
    fingerprint(key, length, shown);
    char *base64 = digest_base64(key, length);
    char *host_key = xasprintf(KEY_TYPE " %s", base64);
    free(base64);
    if (pin_matches(pinned, host_key, shown)) {
        link->host_key = host_key;
        return SSH_OK;
    }
    free(host_key);
    char expected[FINGERPRINT_SIZE];
    pin_fingerprint(pinned, expected);
    err_set(e,
            "%s: shows another host key (%s) than the pinned one (%s); nothing was sent to it. If "
            "it was reinstalled on purpose, pin its new ed25519 key; if not, find out who answers "
            "at this address",
            link->label, shown, expected);
    return SSH_KEY_MISMATCH;
}
