#include "net/ssh_session.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The resolver cannot be interrupted; what can be done is to tell it not to be patient (two tries
 * of two seconds a server). The parent's deadline for the whole process is the last word.
 */
static enum ssh_outcome resolve(const struct ssh_target *target, const char *label,
                                struct addrinfo **ret_list, struct err *e)
{
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    snprintf(port, sizeof(port), "%u", target->port);
    int result = getaddrinfo(target->address, port, &hints, ret_list);
    if (result == EAI_NONAME) {
        if (res_init() == 0) {
            _res.retrans = 2;
            _res.retry = 2;
        }
        hints.ai_flags = 0;
        result = getaddrinfo(target->address, port, &hints, ret_list);
    }
    if (result == 0) {
        return SSH_OK;
    }
    err_set(e, "%s: cannot find its address: %s", label,
            result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
    return SSH_UNREACHABLE;
}

/* Waits for a connection under way. Returns 0 or an errno, ETIMEDOUT at the deadline. */
static int await_connection(int fd, int64_t deadline_ms)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    for (;;) {
        int64_t left_ms = deadline_ms - clock_now_ms();
        if (left_ms <= 0) {
            return ETIMEDOUT;
        }
        if (poll(&entry, 1, left_ms > 60000 ? 60000 : (int)left_ms) > 0) {
            int errnum = 0;
            socklen_t size = sizeof(errnum);
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &size) == 0 ? errnum : errno;
        }
    }
}

static int connect_one(const struct addrinfo *address, int64_t deadline_ms, int *ret_socket)
{
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    int errnum = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (errnum == EINPROGRESS) {
        errnum = await_connection(fd, deadline_ms);
    }
    if (errnum != 0) {
        close(fd);
        return errnum;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    *ret_socket = fd;
    return 0;
}

static enum ssh_outcome say_unreachable(int errnum, const char *label, int64_t waited_ms,
                                        struct err *e)
{
    char span[24];
    switch (errnum) {
    case ETIMEDOUT:
        clock_format_span(waited_ms, span, sizeof(span));
        err_set(e, "%s: no connection within %s; is it up, and is its SSH port open to us?", label,
                span);
        return SSH_TIMEOUT;
    case ECONNREFUSED:
        err_set(e, "%s: refuses connections; is sshd running there, on this port?", label);
        return SSH_UNREACHABLE;
    default: err_errno(e, errnum, "%s: cannot be reached", label); return SSH_UNREACHABLE;
    }
}

enum ssh_outcome ssh_connect(const struct ssh_target *target, const char *label,
                             int64_t deadline_ms, int *ret_socket, struct err *e)
{
    struct addrinfo *list = NULL;
    enum ssh_outcome outcome = resolve(target, label, &list, e);
    if (outcome != SSH_OK) {
        return outcome;
    }
    int64_t start_ms = clock_now_ms();
    int64_t until_ms = start_ms + target->connect_timeout_ms;
    until_ms = until_ms < deadline_ms ? until_ms : deadline_ms;
    int errnum = EHOSTUNREACH;
    for (const struct addrinfo *each = list; each != NULL; each = each->ai_next) {
        errnum = connect_one(each, until_ms, ret_socket);
        if (errnum == 0) {
            break;
        }
    }
    freeaddrinfo(list);
    return errnum == 0 ? SSH_OK : say_unreachable(errnum, label, clock_now_ms() - start_ms, e);
}
