/*
 * What the files of ssh_link share: the link itself, waiting, and turning a failure into an outcome
 * and a line for people. Nobody outside net/ssh_*.c includes this.
 *
 * libssh2 never touches a socket: all its I/O goes through the two callbacks of ssh_transport.c.
 * That is where a deadline holds even against a host that floods us, where what it sends is
 * counted, where acknowledgements are hurried, and where a link through a bastion is just another
 * pair of callbacks.
 */
#ifndef NET_SSH_SESSION_H
#define NET_SSH_SESSION_H

#include "base/str.h"
#include "net/ssh_link.h"

#include <libssh2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct ssh_run;

/* Silence after which a sign of life is asked for, and after which the line counts as dead. */
#define SSH_KEEPALIVE_MS 15000
#define SSH_DEAD_MS      45000

/* The connection of a link that goes through a bastion: a channel of the bastion's link. */
struct ssh_tunnel {
    struct ssh_link *outer; /* Owned: the bastion's link. NULL: this link has a socket itself. */
    LIBSSH2_CHANNEL *channel;
    struct str in;  /* Come, not yet taken by the inner session. */
    struct str out; /* Taken from the inner session, not yet sent. */
    enum { TUNNEL_FREE, TUNNEL_WRITING, TUNNEL_READING } pending; /* Half-sent packet of OUTER. */
    bool ended;
};

struct ssh_link {
    char *label; /* "web-1 (10.77.1.10:22)" */
    char *user;
    char *become; /* NULL for none. */
    int64_t read_timeout_ms;

    int socket; /* Owned, unless there is a tunnel: then the outermost link's. */
    struct ssh_tunnel tunnel;
    LIBSSH2_SESSION *session;
    char *host_key;
    struct str farewell; /* What the host said when it disconnected us. */
    char opening[32];    /* The first that came from it; not terminated. */
    size_t opening_length;

    const char *doing;    /* "exchanging keys": for messages. Static. */
    int64_t begun_ms;     /* When what runs now began. */
    int64_t deadline_ms;  /* Of what runs now. */
    int64_t quiet_max_ms; /* How long nothing may happen in it. */
    int64_t quiet_since_ms;
    int64_t heard_ms;     /* When the last byte came. */
    int64_t keepalive_ms; /* When a sign of life was last asked for. */
    uint64_t received;    /* Bytes since the operation began, and how many are too many. */
    uint64_t receive_max;
    bool authenticated;
    bool send_blocked; /* The last packet is only half sent: nothing else may be sent before it. */
    bool closing;      /* No more I/O: libssh2 is only to free its memory. */

    enum ssh_outcome fault; /* What the callbacks saw go wrong; SSH_OK while nothing has. */
    int fault_errno;        /* With SSH_LOST; 0: the host closed the connection. */

    struct ssh_run *run; /* The command that runs, for ssh_link_write(); NULL between. */
};

/* ssh_transport.c */

/* Gives the session our callbacks and LINK. */
void ssh_transport_attach(struct ssh_link *link);
/* Sets the deadline of LINK and of all the links it goes through, and starts its clocks. */
void ssh_transport_begin(struct ssh_link *link, const char *doing, int64_t deadline_ms,
                         int64_t quiet_max_ms, uint64_t receive_max);
/*
 * After LIBSSH2_ERROR_EAGAIN: waits until it is worth trying again (SSH_OK) or one of the times is
 * up. The same call must then be made again.
 */
enum ssh_outcome ssh_wait(struct ssh_link *link, struct err *e);
/* Whether a deadline has passed although there was always something to do. */
enum ssh_outcome ssh_check_time(struct ssh_link *link, struct err *e);
/* A libssh2 call failed: what that means. */
enum ssh_outcome ssh_failed(struct ssh_link *link, struct err *e);

/* ssh_tunnel.c */

/* Opens the tunnel through link->tunnel.outer (open already) to ADDRESS:PORT. */
enum ssh_outcome ssh_tunnel_open(struct ssh_link *link, const char *address, unsigned port,
                                 struct err *e);
void ssh_tunnel_deinit(struct ssh_tunnel *tunnel);
/* Moves what can be moved, both ways. Returns whether something came. */
bool ssh_tunnel_pump(struct ssh_tunnel *tunnel);
/* As the callbacks of libssh2: bytes, 0 at the end, or -EAGAIN. */
ssize_t ssh_tunnel_receive(struct ssh_tunnel *tunnel, void *bytes, size_t length);
ssize_t ssh_tunnel_send(struct ssh_tunnel *tunnel, const void *bytes, size_t length);

/* ssh_connect.c */

/* A connected TCP socket, non-blocking, without delays. */
enum ssh_outcome ssh_connect(const struct ssh_target *target, const char *label,
                             int64_t deadline_ms, int *ret_socket, struct err *e);

/* ssh_methods.c */

/* Before the handshake: what we are willing to use. */
int ssh_methods_prefer(struct ssh_link *link, struct err *e);
/* After it: that this is what we got. */
enum ssh_outcome ssh_methods_check(struct ssh_link *link, struct err *e);
/* Compares the host's key with the pinned one and keeps it in link->host_key. */
enum ssh_outcome ssh_host_key_check(struct ssh_link *link, const char *pinned, struct err *e);

/* ssh_auth.c */

/* Logs in with the target's key file, then the agent. */
enum ssh_outcome ssh_authenticate(struct ssh_link *link, const struct ssh_target *target,
                                  struct err *e);

#endif
