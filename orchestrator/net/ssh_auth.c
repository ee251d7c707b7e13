/* Logging in: by public key only, from a file, then from the agent. */
#include "net/ssh_session.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "net/digest.h"

#include <mbedtls/base64.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_KEYS_MAX 6 /* sshd's MaxAuthTries. */

enum key_form { KEY_USABLE, KEY_LOCKED, KEY_RSA, KEY_OTHER };

static bool contains(const void *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

/*
 * The public part, which an ed25519 key's head holds in clear, as a line of a .pub file. Without it
 * libssh2 derives it, and has OpenSSL try every decoder it knows for that: half a millisecond.
 */
static char *public_line(const unsigned char *head, size_t length)
{
    static const char type[] = "\0\0\0\x33\0\0\0\x0bssh-ed25519\0\0\0\x20";
    const unsigned char *at = memmem(head, length, type, sizeof(type) - 1);
    if (at == NULL || (size_t)(head + length - at) < sizeof(uint32_t) + 0x33) {
        return NULL;
    }
    char *base64 = digest_base64(at + sizeof(uint32_t), 0x33);
    char *line = xasprintf("ssh-ed25519 %s", base64);
    free(base64);
    return line;
}

/*
 * What sort of private key this is, as far as its head tells: libssh2 says the same thing about a
 * passphrase, a broken file and a key that the host refuses. The layout is OpenSSH's PROTOCOL.key:
 * magic, cipher name, key derivation, then the public key with its type.
 */
static enum key_form inspect_openssh(const char *body, size_t length, char **ret_public)
{
    unsigned char base64[128];
    unsigned char head[96];
    size_t taken = 0;
    size_t decoded = 0;
    for (size_t i = 0; i < length && taken < sizeof(base64); i++) {
        if (body[i] == '-') {
            break;
        }
        if (body[i] != '\n' && body[i] != '\r') {
            base64[taken++] = (unsigned char)body[i];
        }
    }
    if (mbedtls_base64_decode(head, sizeof(head), &decoded, base64, taken / 4 * 4) != 0 ||
        decoded < 32 || memcmp(head, "openssh-key-v1", 15) != 0) {
        return KEY_OTHER;
    }
    if (memcmp(head + 15, "\0\0\0\4none", 8) != 0) {
        return KEY_LOCKED;
    }
    *ret_public = public_line(head, decoded);
    return contains(head, decoded, "ssh-rsa") ? KEY_RSA : KEY_USABLE;
}

/* *ret_public: the caller's, or NULL where the file does not tell. */
static enum key_form inspect(const struct secret *key, char **ret_public)
{
    *ret_public = NULL;
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    const char *text = (const char *)key->bytes;
    if (contains(text, key->length, "ENCRYPTED")) {
        return KEY_LOCKED;
    }
    if (contains(text, key->length, "BEGIN RSA PRIVATE KEY")) {
        return KEY_RSA;
    }
    const char *start = memmem(text, key->length, begin, sizeof(begin) - 1);
    if (start == NULL) {
        return contains(text, key->length, "PRIVATE KEY-----") ? KEY_USABLE : KEY_OTHER;
    }
    start += sizeof(begin) - 1;
    return inspect_openssh(start, key->length - (size_t)(start - text), ret_public);
}

/* Faults with what to do when a key of this FORM is of no use to us. */
static int check_form(const char *path, enum key_form form, struct err *e)
{
    switch (form) {
    case KEY_USABLE: return 0;
    case KEY_LOCKED:
        return err_set(e,
                       "the key %s has a passphrase; load it into an agent (ssh-add) or use a key "
                       "without one",
                       path);
    case KEY_RSA:
        return err_set(e,
                       "%s is an RSA key, which libssh2 can only use with SHA-1; make one with "
                       "ssh-keygen -t ed25519",
                       path);
    case KEY_OTHER:
        return err_set(
            e, "%s is not a private key; was the .pub file meant to be named without it?", path);
    }
    return -1;
}

int ssh_key_file_check(const char *path, struct err *e)
{
    struct secret key = SECRET_NULL;
    char *public = NULL;
    int result = secret_read_file(&key, path, e);
    if (result == 0) {
        result = check_form(path, inspect(&key, &public), e);
    }
    secret_deinit(&key);
    free(public);
    return result;
}

static bool is_refusal(int result)
{
    return result == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
           result == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
}

static enum ssh_outcome try_key(struct ssh_link *link, const char *path, const struct secret *key,
                                const char *public, struct err *e)
{
    int result;
    while ((result = libssh2_userauth_publickey_frommemory(
                link->session, link->user, strlen(link->user), public,
                public == NULL ? 0 : strlen(public), (const char *)key->bytes, key->length,
                NULL)) == LIBSSH2_ERROR_EAGAIN) {
        enum ssh_outcome outcome = ssh_wait(link, e);
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
    if (result == 0) {
        return SSH_OK;
    }
    if (is_refusal(result) && link->fault == SSH_OK) {
        err_set(e,
                "%s: does not let us in as %s with the key %s; put its .pub line into "
                "~%s/.ssh/authorized_keys there",
                link->label, link->user, path, link->user);
        return SSH_REFUSED;
    }
    return ssh_failed(link, e);
}

static enum ssh_outcome try_key_file(struct ssh_link *link, const char *path, struct err *e)
{
    struct secret key = SECRET_NULL;
    if (secret_read_file(&key, path, e) != 0) {
        err_wrap(e, "%s: key file", link->label);
        return SSH_REFUSED;
    }
    char *public = NULL;
    enum ssh_outcome outcome = SSH_REFUSED;
    if (check_form(path, inspect(&key, &public), e) != 0) {
        err_wrap(e, "%s", link->label);
    } else {
        outcome = try_key(link, path, &key, public, e);
    }
    free(public);
    secret_deinit(&key);
    return outcome;
}

static enum ssh_outcome try_identity(struct ssh_link *link, LIBSSH2_AGENT *agent,
                                     struct libssh2_agent_publickey *identity, struct err *e)
{
    int result;
    while ((result = libssh2_agent_userauth(agent, link->user, identity)) == LIBSSH2_ERROR_EAGAIN) {
        enum ssh_outcome outcome = ssh_wait(link, e);
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
    if (result == 0) {
        return SSH_OK;
    }
    return link->fault == SSH_OK ? SSH_REFUSED : ssh_failed(link, e);
}

static enum ssh_outcome try_identities(struct ssh_link *link, LIBSSH2_AGENT *agent, struct err *e)
{
    struct libssh2_agent_publickey *identity = NULL;
    struct libssh2_agent_publickey *previous = NULL;
    unsigned tried = 0;
    while (tried < AGENT_KEYS_MAX && libssh2_agent_get_identity(agent, &identity, previous) == 0) {
        enum ssh_outcome outcome = try_identity(link, agent, identity, e);
        if (outcome != SSH_REFUSED) {
            return outcome;
        }
        previous = identity;
        tried++;
    }
    err_set(e, "%s: does not let us in as %s with any of the agent's %u keys", link->label,
            link->user, tried);
    return SSH_REFUSED;
}

static enum ssh_outcome try_agent(struct ssh_link *link, struct err *e)
{
    LIBSSH2_AGENT *agent = libssh2_agent_init(link->session);
    enum ssh_outcome outcome = SSH_REFUSED;
    if (agent == NULL || getenv("SSH_AUTH_SOCK") == NULL || libssh2_agent_connect(agent) != 0) {
        err_set(e,
                "%s: no SSH agent answers; start one (ssh-agent, SSH_AUTH_SOCK) or name a key "
                "file",
                link->label);
    } else if (libssh2_agent_list_identities(agent) != 0) {
        err_set(e, "%s: the SSH agent does not list its keys", link->label);
    } else {
        outcome = try_identities(link, agent, e);
    }
    if (agent != NULL) {
        libssh2_agent_disconnect(agent);
        libssh2_agent_free(agent);
    }
    return outcome;
}

enum ssh_outcome ssh_authenticate(struct ssh_link *link, const struct ssh_target *target,
                                  struct err *e)
{
    enum ssh_outcome outcome = SSH_REFUSED;
    if (target->key_file == NULL && !target->use_agent) {
        err_set(e, "%s: neither a key file nor an agent to log in with", link->label);
    }
    if (target->key_file != NULL) {
        outcome = try_key_file(link, target->key_file, e);
    }
    if (outcome == SSH_REFUSED && target->use_agent) {
        outcome = try_agent(link, e);
    }
    return outcome;
}
