#include "net/ssh_session.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 10000
#define READ_TIMEOUT_MS    60000
/* No honest host needs more than a fraction of this before we are logged in. */
#define LOGIN_RECEIVE_MAX (1024 * 1024)
#define GOODBYE_MS        100

const char *ssh_outcome_to_string(enum ssh_outcome outcome)
{
    switch (outcome) {
    case SSH_OK: return "ok";
    case SSH_UNREACHABLE: return "unreachable";
    case SSH_TIMEOUT: return "timeout";
    case SSH_KEY_MISMATCH: return "host key mismatch";
    case SSH_WEAK: return "weak methods";
    case SSH_REFUSED: return "login refused";
    case SSH_LOST: return "connection lost";
    case SSH_FLOODED: return "too much output";
    }
    return "unknown";
}

static char *make_label(const struct ssh_target *target)
{
    bool is_ipv6 = strchr(target->address, ':') != NULL;
    return xasprintf("%s (%s%s%s:%u)", target->name, is_ipv6 ? "[" : "", target->address,
                     is_ipv6 ? "]" : "", target->port);
}

static struct ssh_link *link_new(const struct ssh_target *target)
{
    struct ssh_link *link = xcalloc(1, sizeof(*link));
    link->label = make_label(target);
    link->user = xstrdup(target->user);
    link->become = xcopy(target->become);
    link->read_timeout_ms = target->read_timeout_ms > 0 ? target->read_timeout_ms : READ_TIMEOUT_MS;
    link->socket = -1;
    return link;
}

static int64_t patience_ms(const struct ssh_target *target)
{
    return target->connect_timeout_ms > 0 ? target->connect_timeout_ms : CONNECT_TIMEOUT_MS;
}

/* Directly, or through the bastion, whose own link is opened first. */
static enum ssh_outcome reach(struct ssh_link *link, const struct ssh_target *target,
                              int64_t deadline_ms, struct err *e)
{
    if (target->jump == NULL) {
        struct ssh_target patient = *target;
        patient.connect_timeout_ms = patience_ms(target);
        return ssh_connect(&patient, link->label, deadline_ms, &link->socket, e);
    }
    enum ssh_outcome outcome = ssh_link_open(&link->tunnel.outer, target->jump, deadline_ms, e);
    if (outcome != SSH_OK) {
        err_wrap(e, "%s: through its bastion", target->name);
        return outcome;
    }
    link->socket = link->tunnel.outer->socket;
    ssh_transport_begin(link->tunnel.outer, "reaching the next host", deadline_ms,
                        patience_ms(target), LOGIN_RECEIVE_MAX);
    return ssh_tunnel_open(link, target->address, target->port, e);
}

/* It said something, but never that it speaks SSH. */
static bool is_stranger(const struct ssh_link *link)
{
    const char *banner = libssh2_session_banner_get(link->session);
    return (link->fault == SSH_OK || link->fault == SSH_LOST) && link->received > 0 &&
           (banner == NULL || !text_starts(banner, "SSH-"));
}

/* What sshd says, in place of its version, to whom it does not let begin (OpenSSH's sshd.c). */
static const struct {
    const char *opening;
    const char *meaning;
} refusals[] = {
    {"Not allowed at this time",
     "sshd there turns this address away for minutes, after logins that failed or never came "
     "(PerSourcePenalties); wait, or see PerSourcePenaltyExemptList in its sshd_config"},
    {"Exceeded MaxStartups",
     "sshd there has too many logins under way; wait, or raise MaxStartups in its sshd_config"},
};

static const char *meaning_of_opening(const struct ssh_link *link)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        size_t length = strlen(refusals[i].opening);
        if (link->opening_length >= length &&
            memcmp(link->opening, refusals[i].opening, length) == 0) {
            return refusals[i].meaning;
        }
    }
    return "something answers there that does not speak SSH";
}

static enum ssh_outcome say_handshake_failed(struct ssh_link *link, int result, struct err *e)
{
    if (is_stranger(link)) {
        err_set(e, "%s: %s", link->label, meaning_of_opening(link));
        return SSH_LOST;
    }
    if (link->fault == SSH_OK && str_text(&link->farewell)[0] == '\0' &&
        (result == LIBSSH2_ERROR_KEX_FAILURE || result == LIBSSH2_ERROR_METHOD_NONE)) {
        err_set(e,
                "%s: offers no method that is allowed here (curve25519-sha256, ssh-ed25519, "
                "aes-ctr, hmac-sha2); see KexAlgorithms, HostKeyAlgorithms, Ciphers and MACs in "
                "its sshd_config",
                link->label);
        return SSH_WEAK;
    }
    return ssh_failed(link, e);
}

static enum ssh_outcome shake_hands(struct ssh_link *link, struct err *e)
{
    int result;
    link->session = libssh2_session_init_ex(NULL, NULL, NULL, link);
    assert(link->session != NULL);
    ssh_transport_attach(link);
    if (ssh_methods_prefer(link, e) != 0) {
        err_wrap(e, "%s", link->label);
        return SSH_WEAK;
    }
    while ((result = libssh2_session_handshake(link->session, link->socket)) ==
           LIBSSH2_ERROR_EAGAIN) {
        enum ssh_outcome outcome = ssh_wait(link, e);
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
    return result == 0 ? SSH_OK : say_handshake_failed(link, result, e);
}

static enum ssh_outcome establish(struct ssh_link *link, const struct ssh_target *target,
                                  int64_t deadline_ms, struct err *e)
{
    enum ssh_outcome outcome = reach(link, target, deadline_ms, e);
    if (outcome != SSH_OK) {
        return outcome;
    }
    /* A host that drips its words is never silent: the login as a whole has its limit too. */
    int64_t until_ms = clock_now_ms() + patience_ms(target);
    ssh_transport_begin(link, "exchanging keys", until_ms < deadline_ms ? until_ms : deadline_ms,
                        link->read_timeout_ms, LOGIN_RECEIVE_MAX);
    outcome = shake_hands(link, e);
    if (outcome == SSH_OK) {
        outcome = ssh_methods_check(link, e);
    }
    if (outcome == SSH_OK) {
        outcome = ssh_host_key_check(link, target->host_key, e);
    }
    if (outcome == SSH_OK) {
        link->doing = "logging in";
        outcome = ssh_authenticate(link, target, e);
    }
    return outcome;
}

enum ssh_outcome ssh_link_open(struct ssh_link **ret_link, const struct ssh_target *target,
                               int64_t deadline_ms, struct err *e)
{
    if (libssh2_init(0) != 0) {
        abort();
    }
    struct ssh_link *link = link_new(target);
    enum ssh_outcome outcome = establish(link, target, deadline_ms, e);
    if (outcome != SSH_OK) {
        ssh_link_close(link);
        return outcome;
    }
    link->authenticated = true;
    libssh2_keepalive_config(link->session, 1, 2); /* ssh_transport.c keeps the time itself. */
    *ret_link = link;
    return SSH_OK;
}

static void say_goodbye(struct ssh_link *link)
{
    if (link->authenticated && link->fault == SSH_OK && !link->send_blocked) {
        ssh_transport_begin(link, "saying goodbye", clock_now_ms() + GOODBYE_MS, GOODBYE_MS,
                            UINT64_MAX);
        (void)libssh2_session_disconnect(link->session, "done");
        if (link->tunnel.outer != NULL) {
            ssh_tunnel_pump(&link->tunnel);
        }
    }
}

void ssh_link_close(struct ssh_link *link)
{
    if (link == NULL) {
        return;
    }
    if (link->session != NULL) {
        say_goodbye(link);
        link->closing = true;
        (void)libssh2_session_free(link->session);
    }
    if (link->tunnel.outer != NULL) {
        ssh_tunnel_deinit(&link->tunnel);
    } else if (link->socket >= 0) {
        close(link->socket);
    }
    str_deinit(&link->farewell);
    free(link->host_key);
    free(link->become);
    free(link->user);
    free(link->label);
    free(link);
}

const char *ssh_link_host_key(const struct ssh_link *link)
{
    return link->host_key;
}

const struct ssh_link *ssh_link_bastion(const struct ssh_link *link)
{
    return link->tunnel.outer;
}
