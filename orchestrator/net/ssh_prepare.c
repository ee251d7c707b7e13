/*
 * Half of what a short-lived process spends on a connection is the crypto library setting itself up
 * for each algorithm it meets first. A process that forks the others can do that once for all of
 * them: it goes through a key exchange with a host that is only a recording, in memory. It ends, as
 * it must, with a signature that is not valid; by then everything has been used. Reading a private
 * key is the same again: 1.0 ms the first time, 0.3 ms from then on.
 */
#include "net/ssh_link.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <libssh2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_KEXINIT        20
#define MESSAGE_KEX_ECDH_REPLY 31
#define ED25519_SIGNATURE_SIZE 64
#define CURVE25519_KEY_SIZE    32
#define PACKET_ALIGNMENT       8

static void add_number(struct str *s, size_t number)
{
    uint32_t wire = htonl((uint32_t)number);
    str_add_bytes(s, &wire, sizeof(wire));
}

static void add_string(struct str *s, const void *bytes, size_t length)
{
    add_number(s, length);
    str_add_bytes(s, bytes, length);
}

/* PAYLOAD as a packet without encryption; PAYLOAD is used up. */
static void add_packet(struct str *s, struct str *payload)
{
    static const char zeros[2 * PACKET_ALIGNMENT];
    size_t padding = PACKET_ALIGNMENT - (5 + payload->length) % PACKET_ALIGNMENT;
    padding += padding < 4 ? PACKET_ALIGNMENT : 0;
    add_number(s, 1 + payload->length + padding);
    str_add_char(s, (char)padding);
    str_add_bytes(s, payload->text, payload->length);
    str_add_bytes(s, zeros, padding);
    str_deinit(payload);
}

static void add_offer(struct str *s)
{
    static const char *const lists[] = {
        "curve25519-sha256", "ssh-ed25519", "aes256-ctr", "aes256-ctr", "hmac-sha2-256",
        "hmac-sha2-256",     "none",        "none",       "",           ""};
    static const char cookie[16];
    struct str payload = STR_NULL;
    str_add_char(&payload, MESSAGE_KEXINIT);
    str_add_bytes(&payload, cookie, sizeof(cookie));
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        add_string(&payload, lists[i], strlen(lists[i]));
    }
    str_add_char(&payload, 0);
    add_number(&payload, 0);
    add_packet(s, &payload);
}

/* A blob of SSH's form "type, bytes". */
static void add_typed(struct str *s, const void *bytes, size_t length)
{
    struct str blob = STR_NULL;
    add_string(&blob, "ssh-ed25519", strlen("ssh-ed25519"));
    add_string(&blob, bytes, length);
    add_string(s, blob.text, blob.length);
    str_deinit(&blob);
}

static void add_reply(struct str *s)
{
    static const unsigned char point[CURVE25519_KEY_SIZE] = {9}; /* The curve's base point. */
    static const unsigned char signature[ED25519_SIGNATURE_SIZE];
    struct str payload = STR_NULL;
    str_add_char(&payload, MESSAGE_KEX_ECDH_REPLY);
    add_typed(&payload, point, sizeof(point));
    add_string(&payload, point, sizeof(point));
    add_typed(&payload, signature, sizeof(signature));
    add_packet(s, &payload);
}

static void rehearse(LIBSSH2_SESSION *session, int socket)
{
    libssh2_session_set_blocking(session, 0);
    libssh2_session_method_pref(session, LIBSSH2_METHOD_KEX, "curve25519-sha256");
    libssh2_session_method_pref(session, LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519");
    /* All that the host will ever say lies in the socket, so a second call has nothing to wait for;
       the result is known beforehand. */
    for (int i = 0; i < 3; i++) {
        if (libssh2_session_handshake(session, socket) != LIBSSH2_ERROR_EAGAIN) {
            break;
        }
    }
}

/* No key at all: the library looks through every form it knows, and sends nothing. */
static void rehearse_key(LIBSSH2_SESSION *session)
{
    static const char key[] = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
                              "-----END OPENSSH PRIVATE KEY-----\n";
    libssh2_userauth_publickey_frommemory(session, "root", strlen("root"), NULL, 0, key,
                                          sizeof(key) - 1, NULL);
}

void ssh_link_prepare(void)
{
    int sockets[2];
    struct str said = STR_NULL;
    if (libssh2_init(0) != 0) {
        abort(); /* Only out of memory, or a broken installation. */
    }
    LIBSSH2_SESSION *session = libssh2_session_init();
    if (session == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        libssh2_session_free(session);
        return; /* It would have been faster: nothing is lost. */
    }
    str_add(&said, "SSH-2.0-recording\r\n");
    add_offer(&said);
    add_reply(&said);
    if (send(sockets[1], said.text, said.length, MSG_NOSIGNAL) == (ssize_t)said.length) {
        rehearse(session, sockets[0]);
        rehearse_key(session);
    }
    str_deinit(&said);
    close(sockets[1]);
    libssh2_session_free(session);
    close(sockets[0]);
}
