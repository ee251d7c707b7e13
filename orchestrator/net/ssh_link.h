/*
 * One SSH connection to one host, blocking, with a deadline on everything: libssh2 driven
 * non-blocking under poll(). Used inside worker processes only; one link belongs to one process.
 *
 * Safety (SAFETY.md, Security): the host key is compared by exact bytes with the pinned one before
 * authentication; method preferences are set (curve25519-sha256; ssh-ed25519; aes-ctr; hmac-sha2)
 * and what was negotiated is checked after the handshake; anything else drops the link.
 */
#ifndef NET_SSH_LINK_H
#define NET_SSH_LINK_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct message;

/* How to reach one host. All strings borrowed for the duration of the call. */
struct ssh_target {
    const char *name;    /* For messages: "web-1". */
    const char *address; /* IPv4, IPv6 or a name. */
    unsigned port;
    const char *user;
    const char *host_key; /* "ssh-ed25519 BASE64" or "SHA256:BASE64" fingerprint. Never NULL. */
    const char *key_file; /* Private key (mode 0600 or less); NULL: agent only. */
    bool use_agent;       /* Ask the agent at SSH_AUTH_SOCK too. */
    const char *become;   /* "sudo" or NULL: put before every command (sudo -n). */
    int64_t connect_timeout_ms;    /* For the connection, and again for the login over it. */
    int64_t read_timeout_ms;       /* Silence that ends the link while something is awaited. */
    const struct ssh_target *jump; /* Bastion to go through, or NULL; may itself have one. */
};

/* A target travels to a worker inside a request. */
void ssh_target_encode(const struct ssh_target *target, struct message *ret_message);
/* TARGET borrows from MESSAGE; JUMPS (at most SSH_JUMP_MAX) hold the bastions. */
#define SSH_JUMP_MAX 4
struct ssh_target_storage {
    struct ssh_target jumps[SSH_JUMP_MAX];
    struct message *messages; /* Owned inner messages the targets borrow from. */
    size_t message_count;
};
int ssh_target_decode(const struct message *message, struct ssh_target *ret_target,
                      struct ssh_target_storage *ret_storage, struct err *e);
void ssh_target_storage_deinit(struct ssh_target_storage *storage);

/* How an attempt ended. All but OK and FAULT are the world's doing: outcomes. */
enum ssh_outcome {
    SSH_OK,
    SSH_UNREACHABLE,  /* No TCP connection: refused, no route, name unknown. */
    SSH_TIMEOUT,      /* A deadline passed. */
    SSH_KEY_MISMATCH, /* The host shows another key than the pinned one. Stop work on it. */
    SSH_WEAK,         /* Methods other than the preferred were negotiated. */
    SSH_REFUSED,      /* It did not accept our login. */
    SSH_LOST,         /* The line dropped in the middle. */
    SSH_FLOODED,      /* More output than the limit. */
};
const char *ssh_outcome_to_string(enum ssh_outcome outcome);

/* Whether PATH can be a target's key_file: a private key of our kind, without a passphrase, that
   nobody else reads. Faults with a line that says what to do. */
int ssh_key_file_check(const char *path, struct err *e);

struct ssh_link; /* Opaque. */

/*
 * Starts the libraries and has them meet every algorithm once (ssh_prepare.c). For
 * process_kind.prepare: done in the spawner, it spares every worker 2 ms of CPU. Optional.
 */
void ssh_link_prepare(void);

/*
 * Connects, checks the host key, logs in. On anything but SSH_OK, E says why in one line that names
 * the host and what to do, and *ret_link is not written. DEADLINE_MS: monotonic, for all of it.
 */
enum ssh_outcome ssh_link_open(struct ssh_link **ret_link, const struct ssh_target *target,
                               int64_t deadline_ms, struct err *e);
/* Says goodbye if it can do so at once. NULL is fine. */
void ssh_link_close(struct ssh_link *link);
/* "ssh-ed25519 BASE64" of the host, for pinning after a fingerprint matched; borrowed. */
const char *ssh_link_host_key(const struct ssh_link *link);
/* The link to the bastion that LINK goes through, the nearest to the host; NULL for none. */
const struct ssh_link *ssh_link_bastion(const struct ssh_link *link);

/*
 * One command over one channel. Output arrives in pieces through ON_OUTPUT as it comes
 * (STREAM 1 or 2); ON_OUTPUT may call ssh_link_write() to feed standard input (the callback gets
 * the running command), and returns false to give up.
 */
struct ssh_command {
    const char *command; /* For the remote shell: quote with str_add_shell(). */
    const void *input;   /* Sent to standard input at once; borrowed. */
    size_t input_length;
    bool keep_input_open; /* No EOF after INPUT: ON_OUTPUT will write more, then ssh_link_eof(). */
    size_t output_max;    /* Bytes of both streams; more is SSH_FLOODED. 0: 16 MiB. */
    int64_t read_timeout_ms; /* Silence that ends it; 0: the target's. */
    bool (*on_output)(void *context, struct ssh_link *link, int stream, const char *bytes,
                      size_t length);
    void *context;
};
/*
 * Runs it to its end. *ret_status: exit status, or 128 + signal number. On anything but SSH_OK the
 * link is of no more use. SSH_REFUSED: sudo (become) does not let us; E has its words. SSH_LOST:
 * also when ON_OUTPUT gave up.
 */
enum ssh_outcome ssh_link_run(struct ssh_link *link, const struct ssh_command *command,
                              int64_t deadline_ms, int *ret_status, struct err *e);
/* Inside ON_OUTPUT: queue BYTES for the command's standard input (copied), or its end. */
void ssh_link_write(struct ssh_link *link, const void *bytes, size_t length);
void ssh_link_eof(struct ssh_link *link);

/* The short form: runs COMMAND, both outputs (at most MAX bytes) added to OUTPUT. */
enum ssh_outcome ssh_link_exec(struct ssh_link *link, const char *command, size_t max,
                               int64_t deadline_ms, struct str *output, int *ret_status,
                               struct err *e);

#endif
