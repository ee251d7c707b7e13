#include "net/ssh_session.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

/* What the callbacks answer once something is wrong: libssh2 gives up at once. */
static ssize_t fault(struct ssh_link *link, enum ssh_outcome outcome, int errnum)
{
    if (link->fault == SSH_OK) {
        link->fault = outcome;
        link->fault_errno = errnum;
    }
    return -ECONNRESET;
}

/*
 * libssh2 talks to the agent through the same callbacks, on another descriptor, which blocks: it is
 * given until our deadline.
 */
static bool agent_ready(const struct ssh_link *link, int fd, short events)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int64_t left = link->deadline_ms - clock_now_ms();
    return left > 0 && poll(&entry, 1, left > 60000 ? 60000 : (int)left) > 0;
}

static ssize_t socket_receive(struct ssh_link *link, void *bytes, size_t length)
{
    ssize_t got = recv(link->socket, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (got > 1) { /* A host's first line is read byte by byte, out of one packet. */
        /* The kernel goes back to delayed acknowledgements by itself; a handshake of many small
           packets each way takes twice as long with them. */
        const int on = 1;
        setsockopt(link->socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    }
    return got < 0 ? -errno : got;
}

static void keep_opening(struct ssh_link *link, const char *bytes, size_t length)
{
    size_t room = sizeof(link->opening) - link->opening_length;
    size_t kept = length < room ? length : room;
    memcpy(link->opening + link->opening_length, bytes, kept);
    link->opening_length += kept;
}

static ssize_t on_receive(libssh2_socket_t fd, void *bytes, size_t length, int flags,
                          void **abstract)
{
    struct ssh_link *link = *abstract;
    if (link->closing) {
        return -ECONNRESET;
    }
    if (fd != link->socket) {
        ssize_t got = agent_ready(link, fd, POLLIN) ? recv(fd, bytes, length, flags) : -1;
        return got < 0 ? -ECONNRESET : got;
    }
    int64_t now_ms = clock_now_ms();
    if (now_ms >= link->deadline_ms) {
        return fault(link, SSH_TIMEOUT, 0);
    }
    if (link->received > link->receive_max) {
        return fault(link, SSH_FLOODED, 0);
    }
    ssize_t got = link->tunnel.outer != NULL ? ssh_tunnel_receive(&link->tunnel, bytes, length)
                                             : socket_receive(link, bytes, length);
    if (got == -EAGAIN || got == -EINTR) {
        return -EAGAIN;
    }
    if (got <= 0) {
        return fault(link, SSH_LOST, (int)-got);
    }
    keep_opening(link, bytes, (size_t)got);
    link->received += (uint64_t)got;
    link->heard_ms = now_ms;
    if (link->run == NULL) {
        link->quiet_since_ms = now_ms;
    }
    return got;
}

static ssize_t on_send(libssh2_socket_t fd, const void *bytes, size_t length, int flags,
                       void **abstract)
{
    struct ssh_link *link = *abstract;
    if (link->closing) {
        return -ECONNRESET;
    }
    if (fd != link->socket) {
        ssize_t sent =
            agent_ready(link, fd, POLLOUT) ? send(fd, bytes, length, flags | MSG_NOSIGNAL) : -1;
        return sent < 0 ? -ECONNRESET : sent;
    }
    ssize_t sent;
    if (link->tunnel.outer != NULL) {
        sent = ssh_tunnel_send(&link->tunnel, bytes, length);
    } else {
        sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent = sent < 0 ? -errno : sent;
    }
    link->send_blocked = sent < (ssize_t)length;
    if (sent == -EAGAIN || sent == -EINTR) {
        return -EAGAIN;
    }
    return sent < 0 ? fault(link, SSH_LOST, (int)-sent) : sent;
}

static void on_disconnect(LIBSSH2_SESSION *session, int reason, const char *message,
                          int message_length, const char *language, int language_length,
                          void **abstract)
{
    (void)session;
    (void)reason;
    (void)language;
    (void)language_length;
    struct ssh_link *link = *abstract;
    if (message_length > 0) {
        str_clear(&link->farewell);
        str_add_printable(&link->farewell, message,
                          message_length > 120 ? 120 : (size_t)message_length, false);
    }
}

/* The one place that knows how libssh2's versions differ here. */
#if LIBSSH2_VERSION_NUM >= 0x010b01
#define SET_CALLBACK(session, kind, function)                                                      \
    libssh2_session_callback_set2((session), (kind), (libssh2_cb_generic *)(function))
#else
#define SET_CALLBACK(session, kind, function)                                                      \
    libssh2_session_callback_set((session), (kind), (void *)(function))
#endif

void ssh_transport_attach(struct ssh_link *link)
{
    SET_CALLBACK(link->session, LIBSSH2_CALLBACK_RECV, on_receive);
    SET_CALLBACK(link->session, LIBSSH2_CALLBACK_SEND, on_send);
    SET_CALLBACK(link->session, LIBSSH2_CALLBACK_DISCONNECT, on_disconnect);
    libssh2_session_set_blocking(link->session, 0);
}

void ssh_transport_begin(struct ssh_link *link, const char *doing, int64_t deadline_ms,
                         int64_t quiet_max_ms, uint64_t receive_max)
{
    int64_t now_ms = clock_now_ms();
    for (struct ssh_link *outer = link->tunnel.outer; outer != NULL; outer = outer->tunnel.outer) {
        outer->begun_ms = now_ms;
        outer->deadline_ms = deadline_ms;
        outer->receive_max = UINT64_MAX; /* What goes through it is counted inside. */
        outer->heard_ms = now_ms;
    }
    link->doing = doing;
    link->begun_ms = now_ms;
    link->deadline_ms = deadline_ms;
    link->quiet_max_ms = quiet_max_ms;
    link->quiet_since_ms = now_ms;
    link->heard_ms = now_ms;
    link->keepalive_ms = now_ms;
    link->received = 0;
    link->receive_max = receive_max;
}

static const struct ssh_link *outermost(const struct ssh_link *link)
{
    while (link->tunnel.outer != NULL) {
        link = link->tunnel.outer;
    }
    return link;
}

static enum ssh_outcome say_late(const struct ssh_link *link, struct err *e)
{
    char span[24];
    clock_format_span(link->deadline_ms - link->begun_ms, span, sizeof(span));
    err_set(e, "%s: not done with %s within %s", link->label, link->doing, span);
    return SSH_TIMEOUT;
}

enum ssh_outcome ssh_check_time(struct ssh_link *link, struct err *e)
{
    int64_t now_ms = clock_now_ms();
    char span[24];
    if (now_ms >= link->deadline_ms) {
        return say_late(link, e);
    }
    if (now_ms - link->quiet_since_ms >= link->quiet_max_ms) {
        clock_format_span(link->quiet_max_ms, span, sizeof(span));
        err_set(e, "%s: silent for %s while %s", link->label, span, link->doing);
        return SSH_TIMEOUT;
    }
    if (link->authenticated && now_ms - link->heard_ms >= SSH_DEAD_MS) {
        clock_format_span(SSH_DEAD_MS, span, sizeof(span));
        err_set(e, "%s: no sign of life for %s while %s; is it still running?", link->label, span,
                link->doing);
        return SSH_LOST;
    }
    return SSH_OK;
}

/* A host that works without a word still answers this; a dead one, or a forgetful NAT, does not. */
static void keep_alive(struct ssh_link *link, int64_t now_ms)
{
    if (link->authenticated && !link->send_blocked && now_ms - link->heard_ms >= SSH_KEEPALIVE_MS &&
        now_ms - link->keepalive_ms >= SSH_KEEPALIVE_MS) {
        int next_s;
        libssh2_keepalive_send(link->session, &next_s);
        link->keepalive_ms = now_ms;
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum ssh_outcome ssh_wait(struct ssh_link *link, struct err *e)
{
    enum ssh_outcome outcome = ssh_check_time(link, e);
    if (outcome != SSH_OK) {
        return outcome;
    }
    int64_t now_ms = clock_now_ms();
    keep_alive(link, now_ms);
    for (struct ssh_link *each = link; each->tunnel.outer != NULL; each = each->tunnel.outer) {
        if (ssh_tunnel_pump(&each->tunnel)) {
            return SSH_OK;
        }
    }
    int64_t until_ms = least(link->deadline_ms, link->quiet_since_ms + link->quiet_max_ms);
    if (link->authenticated) {
        until_ms = least(until_ms, now_ms + SSH_KEEPALIVE_MS);
    }
    int64_t left_ms = until_ms - now_ms;
    struct pollfd entry = {.fd = link->socket, .events = POLLIN};
    if (outermost(link)->send_blocked) {
        entry.events |= POLLOUT;
    }
    poll(&entry, 1, left_ms > 60000 ? 60000 : left_ms < 1 ? 1 : (int)left_ms);
    return SSH_OK;
}

static enum ssh_outcome say_lost(struct ssh_link *link, struct err *e)
{
    const char *said = str_text(&link->farewell);
    if (said[0] != '\0') {
        err_set(e, "%s: closed the connection while %s; it said: %s", link->label, link->doing,
                said);
    } else if (link->fault_errno != 0) {
        err_errno(e, link->fault_errno, "%s: the connection dropped while %s", link->label,
                  link->doing);
    } else {
        err_set(e, "%s: closed the connection while %s", link->label, link->doing);
    }
    return SSH_LOST;
}

enum ssh_outcome ssh_failed(struct ssh_link *link, struct err *e)
{
    char *text = NULL;
    char amount[24];
    if (link->tunnel.outer != NULL && link->tunnel.outer->fault == SSH_TIMEOUT) {
        return say_late(link, e); /* The deadline is ours; the bastion only saw it first. */
    }
    if (link->tunnel.outer != NULL && link->tunnel.outer->fault != SSH_OK) {
        enum ssh_outcome outcome = ssh_failed(link->tunnel.outer, e);
        err_wrap(e, "%s: through its bastion", link->label);
        return outcome;
    }
    switch (link->fault) {
    case SSH_TIMEOUT: return say_late(link, e);
    case SSH_FLOODED:
        snprintf(amount, sizeof(amount), "%llu KiB", (unsigned long long)link->receive_max / 1024);
        err_set(e, "%s: sent more than %s while %s; gave up reading", link->label, amount,
                link->doing);
        return SSH_FLOODED;
    case SSH_LOST: return say_lost(link, e);
    case SSH_OK:
    case SSH_UNREACHABLE:
    case SSH_KEY_MISMATCH:
    case SSH_WEAK:
    case SSH_REFUSED: break;
    }
    if (str_text(&link->farewell)[0] != '\0') {
        return say_lost(link, e);
    }
    int number = libssh2_session_last_error(link->session, &text, NULL, 0);
    err_set(e, "%s: SSH failed while %s: %s (%d)", link->label, link->doing,
            text == NULL || *text == '\0' ? "no reason given" : text, number);
    return SSH_LOST;
}
