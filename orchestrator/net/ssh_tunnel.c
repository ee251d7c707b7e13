/*
 * A link through a bastion: the inner session's bytes travel over a direct-tcpip channel of the
 * outer one, in this one process.
 *
 * Two buffers lie between the sessions, because libssh2 has one rule that a plain pass-through
 * breaks: when a packet is half sent, the very same call must be made again before anything else is
 * sent on that session, and reading from a channel sends too (it opens the window). So the tunnel
 * remembers which call was stopped half-way and makes that one first.
 */
#include "net/ssh_session.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

#define IN_MAX  (64 * 1024)
#define OUT_MAX (256 * 1024)
#define PIECE   32768

enum ssh_outcome ssh_tunnel_open(struct ssh_link *link, const char *address, unsigned port,
                                 struct err *e)
{
    struct ssh_link *outer = link->tunnel.outer;
    outer->doing = "opening a way to the next host";
    while ((link->tunnel.channel = libssh2_channel_direct_tcpip_ex(
                outer->session, address, (int)port, "127.0.0.1", 0)) == NULL) {
        if (libssh2_session_last_errno(outer->session) == LIBSSH2_ERROR_CHANNEL_FAILURE) {
            err_set(e,
                    "%s: the bastion %s cannot reach it; is it up, and does the bastion's "
                    "AllowTcpForwarding permit it?",
                    link->label, outer->label);
            return SSH_UNREACHABLE;
        }
        if (libssh2_session_last_errno(outer->session) != LIBSSH2_ERROR_EAGAIN) {
            return ssh_failed(outer, e);
        }
        enum ssh_outcome outcome = ssh_wait(outer, e);
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
    return SSH_OK;
}

void ssh_tunnel_deinit(struct ssh_tunnel *tunnel)
{
    /* The channel goes with the outer session. */
    ssh_link_close(tunnel->outer);
    str_deinit(&tunnel->in);
    str_deinit(&tunnel->out);
    *tunnel = (struct ssh_tunnel){.outer = NULL};
}

static void pump_out(struct ssh_tunnel *tunnel)
{
    while (tunnel->out.length > 0) {
        size_t length = tunnel->out.length < PIECE ? tunnel->out.length : PIECE;
        ssize_t sent = libssh2_channel_write(tunnel->channel, tunnel->out.text, length);
        if (sent <= 0) {
            bool half = sent == LIBSSH2_ERROR_EAGAIN && tunnel->outer->send_blocked;
            tunnel->pending = half ? TUNNEL_WRITING : TUNNEL_FREE;
            tunnel->ended |= sent < 0 && sent != LIBSSH2_ERROR_EAGAIN;
            return;
        }
        tunnel->pending = TUNNEL_FREE;
        str_drop(&tunnel->out, (size_t)sent);
    }
}

static bool pump_in(struct ssh_tunnel *tunnel)
{
    bool came = false;
    while (tunnel->in.length < IN_MAX) {
        char bytes[PIECE];
        ssize_t got = libssh2_channel_read(tunnel->channel, bytes, sizeof(bytes));
        if (got <= 0) {
            bool half = got == LIBSSH2_ERROR_EAGAIN && tunnel->outer->send_blocked;
            tunnel->pending = half ? TUNNEL_READING : TUNNEL_FREE;
            tunnel->ended |= (got < 0 && got != LIBSSH2_ERROR_EAGAIN) ||
                             (got == 0 && libssh2_channel_eof(tunnel->channel) != 0);
            return came;
        }
        tunnel->pending = TUNNEL_FREE;
        str_add_bytes(&tunnel->in, bytes, (size_t)got);
        came = true;
    }
    return came;
}

bool ssh_tunnel_pump(struct ssh_tunnel *tunnel)
{
    bool came = false;
    if (tunnel->pending == TUNNEL_READING) {
        came = pump_in(tunnel);
    }
    if (tunnel->pending != TUNNEL_READING && !tunnel->ended) {
        pump_out(tunnel);
    }
    if (tunnel->pending == TUNNEL_FREE && !tunnel->ended) {
        came |= pump_in(tunnel);
    }
    return came;
}

ssize_t ssh_tunnel_receive(struct ssh_tunnel *tunnel, void *bytes, size_t length)
{
    if (tunnel->in.length == 0) {
        ssh_tunnel_pump(tunnel);
    }
    if (tunnel->in.length == 0) {
        return tunnel->ended ? 0 : -EAGAIN;
    }
    size_t taken = tunnel->in.length < length ? tunnel->in.length : length;
    memcpy(bytes, tunnel->in.text, taken);
    str_drop(&tunnel->in, taken);
    return (ssize_t)taken;
}

ssize_t ssh_tunnel_send(struct ssh_tunnel *tunnel, const void *bytes, size_t length)
{
    if (tunnel->out.length > OUT_MAX) {
        ssh_tunnel_pump(tunnel);
    }
    if (tunnel->ended) {
        return -EPIPE;
    }
    if (tunnel->out.length > OUT_MAX) {
        return -EAGAIN;
    }
    str_add_bytes(&tunnel->out, bytes, length);
    ssh_tunnel_pump(tunnel);
    return (ssize_t)length;
}
