/*
 * The floor: the least that running one script on many hosts can cost with libssh2. One process,
 * one thread, so many connections in flight; no worker, no store, no plan, no report read.
 *
 *   floor DIRECTORY COUNT IN-FLIGHT
 *
 * DIRECTORY holds what every contender is given: `key` (ed25519, OpenSSH format) and `key.pub`,
 * `host-key` ("ssh-ed25519 BASE64"), `command`, and for each host N `hosts/N`, an address, and
 * `input/N`, its standard input. Port 2222, user root. The same methods, host key check and socket
 * options as the program's own link. Exit status 1 when a host's script did not end well.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libssh2.h>
#include <limits.h>
#include <mbedtls/base64.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT          2222
#define IN_FLIGHT_MAX 256
#define FILE_MAX      ((size_t)1 << 20)

/* Where a connection stands; each is left when libssh2 no longer says EAGAIN. */
enum stage { CONNECT, SHAKE, LOGIN, OPEN, EXEC, SEND, SEND_EOF, READ, SHUT, SHUT_WAIT, DONE };

struct text {
    char *bytes;
    size_t length;
};

struct given {
    const char *directory;
    struct text key;
    struct text public_key;
    struct text command;
    unsigned char host_key[256];
    size_t host_key_length;
};

struct link {
    enum stage stage;
    int number;
    int socket;
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel;
    struct text input;
    size_t sent;
};

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static struct text read_text(const char *directory, const char *name)
{
    char path[PATH_MAX];
    struct text text = {.bytes = malloc(FILE_MAX)};
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *stream = fopen(path, "re");
    if (stream == NULL || text.bytes == NULL) {
        fail("%s: %s", path, strerror(errno));
    }
    text.length = fread(text.bytes, 1, FILE_MAX - 1, stream);
    text.bytes[text.length] = '\0';
    fclose(stream);
    char *fitted = realloc(text.bytes, text.length + 1);
    text.bytes = fitted == NULL ? text.bytes : fitted;
    return text;
}

static struct text read_numbered(const char *directory, const char *folder, int number)
{
    char name[64];
    snprintf(name, sizeof(name), "%s/%d", folder, number);
    return read_text(directory, name);
}

static struct given read_given(const char *directory)
{
    struct given given = {.directory = directory,
                          .key = read_text(directory, "key"),
                          .public_key = read_text(directory, "key.pub"),
                          .command = read_text(directory, "command")};
    struct text line = read_text(directory, "host-key");
    const char *base64 = strchr(line.bytes, ' ');
    given.command.bytes[strcspn(given.command.bytes, "\n")] = '\0';
    if (base64 == NULL ||
        mbedtls_base64_decode(given.host_key, sizeof(given.host_key), &given.host_key_length,
                              (const unsigned char *)base64 + 1, strcspn(base64 + 1, " \n")) != 0) {
        fail("%s/host-key is no key", directory);
    }
    free(line.bytes);
    return given;
}

/* Acknowledged at once: a handshake of many small packets takes twice as long otherwise. */
static ssize_t on_receive(libssh2_socket_t fd, void *bytes, size_t length, int flags,
                          void **abstract)
{
    const int on = 1;
    (void)abstract;
    ssize_t got = recv(fd, bytes, length, flags | MSG_DONTWAIT);
    if (got < 0) {
        return -errno;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    return got;
}

static void prefer(LIBSSH2_SESSION *session)
{
    libssh2_session_method_pref(session, LIBSSH2_METHOD_KEX, "curve25519-sha256");
    libssh2_session_method_pref(session, LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519");
    libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_CS, "aes256-ctr");
    libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_SC, "aes256-ctr");
    libssh2_session_method_pref(session, LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256");
    libssh2_session_method_pref(session, LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256");
}

static void begin(const struct given *given, struct link *link, int number)
{
    const int on = 1;
    struct text address = read_numbered(given->directory, "hosts", number);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    address.bytes[strcspn(address.bytes, "\n")] = '\0';
    *link = (struct link){.number = number, .stage = CONNECT};
    link->input = read_numbered(given->directory, "input", number);
    link->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(link->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (inet_pton(AF_INET, address.bytes, &to.sin_addr) != 1 ||
        (connect(link->socket, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)) {
        fail("%s: %s", address.bytes, strerror(errno));
    }
    free(address.bytes);
    link->session = libssh2_session_init();
    libssh2_session_set_blocking(link->session, 0);
    libssh2_session_callback_set(link->session, LIBSSH2_CALLBACK_RECV, (void *)on_receive);
    prefer(link->session);
}

static int check_host_key(const struct given *given, const struct link *link)
{
    size_t length;
    int type;
    const char *key = libssh2_session_hostkey(link->session, &length, &type);
    return key != NULL && length == given->host_key_length &&
                   memcmp(key, given->host_key, length) == 0
               ? 0
               : -1;
}

/* Reads and forgets what the script says. 0 at its end. */
static int drain(struct link *link)
{
    char buffer[16384];
    ssize_t got;
    do {
        got = libssh2_channel_read(link->channel, buffer, sizeof(buffer));
    } while (got > 0);
    return got == 0 && !libssh2_channel_eof(link->channel) ? LIBSSH2_ERROR_EAGAIN : (int)got;
}

static int feed(struct link *link)
{
    while (link->sent < link->input.length) {
        ssize_t sent = libssh2_channel_write(link->channel, link->input.bytes + link->sent,
                                             link->input.length - link->sent);
        if (sent < 0) {
            return (int)sent;
        }
        link->sent += (size_t)sent;
    }
    return 0;
}

/* What the stage at hand has to do; 0 when it is done. */
static int work(const struct given *given, struct link *link)
{
    switch (link->stage) {
    case CONNECT: return 0;
    case SHAKE: return libssh2_session_handshake(link->session, link->socket);
    case LOGIN:
        return libssh2_userauth_publickey_frommemory(
            link->session, "root", 4, given->public_key.bytes, given->public_key.length,
            given->key.bytes, given->key.length, NULL);
    case OPEN:
        link->channel = libssh2_channel_open_session(link->session);
        return link->channel == NULL ? libssh2_session_last_errno(link->session) : 0;
    case EXEC: return libssh2_channel_exec(link->channel, given->command.bytes);
    case SEND: return feed(link);
    case SEND_EOF: return libssh2_channel_send_eof(link->channel);
    case READ: return drain(link);
    case SHUT: return libssh2_channel_close(link->channel);
    case SHUT_WAIT: return libssh2_channel_wait_closed(link->channel);
    case DONE: return 0;
    }
    return -1;
}

static void step(const struct given *given, struct link *link)
{
    while (link->stage != DONE) {
        int result = work(given, link);
        if (result == LIBSSH2_ERROR_EAGAIN) {
            return;
        }
        if (result < 0 || (link->stage == SHAKE && check_host_key(given, link) != 0)) {
            char *text = NULL;
            libssh2_session_last_error(link->session, &text, NULL, 0);
            fail("host %d, stage %d: %s", link->number, (int)link->stage, text);
        }
        link->stage++;
    }
}

static void end(struct link *link)
{
    int status = libssh2_channel_get_exit_status(link->channel);
    if (status != 0) {
        fail("host %d: its script ended with status %d", link->number, status);
    }
    libssh2_channel_free(link->channel);
    libssh2_session_disconnect(link->session, "done");
    libssh2_session_free(link->session);
    close(link->socket);
    free(link->input.bytes);
}

static void wait_for_any(struct link *links, struct pollfd *entries, int count)
{
    for (int i = 0; i < count; i++) {
        int way = libssh2_session_block_directions(links[i].session);
        bool out = links[i].stage == CONNECT || (way & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
        entries[i].fd = links[i].socket;
        entries[i].events = (short)(out ? POLLIN | POLLOUT : POLLIN);
    }
    if (poll(entries, (nfds_t)count, 60000) <= 0) {
        fail("nothing came for a minute");
    }
    for (int i = 0; i < count; i++) {
        if (entries[i].revents != 0 && links[i].stage == CONNECT) {
            links[i].stage = SHAKE;
        }
    }
}

int main(int argc, char **argv)
{
    static struct link links[IN_FLIGHT_MAX];
    static struct pollfd entries[IN_FLIGHT_MAX];
    long total = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    long in_flight = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (total < 1 || total > 10000 || in_flight < 1 || in_flight > IN_FLIGHT_MAX ||
        libssh2_init(0) != 0) {
        fail("usage: floor DIRECTORY COUNT IN-FLIGHT");
    }
    struct given given = read_given(argv[1]);
    int begun = 0;
    int count = 0;
    while (begun < total || count > 0) {
        while (begun < total && count < in_flight) {
            begin(&given, &links[count++], ++begun);
        }
        wait_for_any(links, entries, count);
        for (int i = count - 1; i >= 0; i--) {
            if (entries[i].revents != 0 && links[i].stage != CONNECT) {
                step(&given, &links[i]);
            }
            if (links[i].stage == DONE) {
                end(&links[i]);
                links[i] = links[--count];
            }
        }
    }
    return 0;
}
