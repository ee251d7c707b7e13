/*
 * Messages over a Unix sequenced-packet socket. A packet is a small envelope and, if the message
 * is small, the message. A larger one lies in a memfd that travels beside the envelope: sealed by
 * the sender, so that what the receiver checked cannot change or shrink under it, and read with
 * pread() into memory of its own, so that a lying size cannot raise SIGBUS.
 */
#include "base/message.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define INLINE_MAX        32768
#define FDS_MAX           2    /* The memfd, then the caller's. */
#define CROWDED_WAITS_MAX 5000 /* Ten seconds of them. */
#define SEALS             (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct envelope {
    uint32_t length;  /* Of the message. */
    uint8_t in_memfd; /* The first descriptor holds it. */
    uint8_t has_fd;   /* One of the caller's comes last. */
    uint8_t zero[2];
};

union control {
    char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct cmsghdr align;
};

static int write_whole(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, bytes, length);
        if (wrote < 0 && errno != EINTR) {
            return -1;
        }
        bytes += wrote > 0 ? wrote : 0;
        length -= wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

static int make_memfd(const struct message *m, struct err *e)
{
    int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return err_errno(e, errno, "memfd for a message");
    }
    if (write_whole(fd, m->bytes.text, m->bytes.length) != 0 ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        int errnum = errno;
        close(fd);
        return err_errno(e, errnum, "message of %zu bytes", m->bytes.length);
    }
    return fd;
}

static void attach_fds(struct msghdr *header, union control *control, const int *fds, size_t count)
{
    if (count == 0) {
        return;
    }
    header->msg_control = control->bytes;
    header->msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *item = CMSG_FIRSTHDR(header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(item), fds, sizeof(int) * count);
}

/* False when it has waited long enough. */
static bool wait_a_moment(unsigned *waits)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    nanosleep(&moment, NULL);
    return ++*waits < CROWDED_WAITS_MAX;
}

static enum message_io send_packet(int socket, const struct msghdr *header, struct err *e)
{
    unsigned waits = 0;
    for (;;) {
        if (sendmsg(socket, header, MSG_NOSIGNAL) >= 0) {
            return MESSAGE_IO_OK;
        }
        /* The kernel limits how many descriptors of one user are on their way, to as many as a
           process may have open: the others' receivers are slow, ours may be too. */
        if (errno == ETOOMANYREFS && wait_a_moment(&waits)) {
            continue;
        }
        switch (errno) {
        case EINTR: continue;
        case EAGAIN: return MESSAGE_IO_AGAIN;
        case EPIPE:
        case ECONNRESET: return MESSAGE_IO_CLOSED;
        default: err_errno(e, errno, "send a message"); return MESSAGE_IO_FAULT;
        }
    }
}

enum message_io message_send(int socket, const struct message *m, int fd, struct err *e)
{
    if (m->bytes.length > MESSAGE_SIZE_MAX) {
        err_set(e, "message of %zu bytes; at most %u are sent", m->bytes.length, MESSAGE_SIZE_MAX);
        return MESSAGE_IO_FAULT;
    }
    struct envelope envelope = {.length = (uint32_t)m->bytes.length,
                                .in_memfd = m->bytes.length > INLINE_MAX,
                                .has_fd = fd >= 0};
    struct iovec parts[2] = {{.iov_base = &envelope, .iov_len = sizeof(envelope)},
                             {.iov_base = m->bytes.text, .iov_len = m->bytes.length}};
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = envelope.in_memfd ? 1 : 2};
    int fds[FDS_MAX];
    size_t fd_count = 0;
    int memfd = -1;
    if (envelope.in_memfd) {
        memfd = make_memfd(m, e);
        if (memfd < 0) {
            return MESSAGE_IO_FAULT;
        }
        fds[fd_count++] = memfd;
    }
    if (fd >= 0) {
        fds[fd_count++] = fd;
    }
    union control control = {.bytes = {0}};
    attach_fds(&header, &control, fds, fd_count);
    enum message_io result = send_packet(socket, &header, e);
    if (memfd >= 0) {
        close(memfd);
    }
    return result;
}

struct packet {
    char bytes[sizeof(struct envelope) + INLINE_MAX];
    size_t length;
    int fds[FDS_MAX];
    size_t fd_count;
};

/* Takes every descriptor that came, so that none leaks whatever else is wrong with the packet. */
static void take_fds(struct packet *packet, struct msghdr *header)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL;
         item = CMSG_NXTHDR(header, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(fd));
            if (packet->fd_count < FDS_MAX) {
                packet->fds[packet->fd_count++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

static enum message_io receive_packet(int socket, struct packet *packet, struct err *e)
{
    union control control;
    struct iovec part = {.iov_base = packet->bytes, .iov_len = sizeof(packet->bytes)};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    bool was_reset = false;
    for (;;) {
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof(control.bytes);
        ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
        if (got > 0) {
            packet->length = (size_t)got;
            take_fds(packet, &header);
            if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
                err_set(e, "malformed message: cut off on the way");
                return MESSAGE_IO_FAULT;
            }
            return MESSAGE_IO_OK;
        }
        if (got == 0) {
            return MESSAGE_IO_CLOSED;
        }
        /* A peer that dies with unread mail resets us once; what it said before that is still in
           our queue, its last word among it. */
        if (errno == ECONNRESET && !was_reset) {
            was_reset = true;
            continue;
        }
        switch (errno) {
        case EINTR: continue;
        case EAGAIN: return MESSAGE_IO_AGAIN;
        case ECONNRESET: return MESSAGE_IO_CLOSED;
        default: err_errno(e, errno, "receive a message"); return MESSAGE_IO_FAULT;
        }
    }
}

static int read_memfd(int fd, size_t length, char *ret_bytes, struct err *e)
{
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS) {
        return err_set(e, "malformed message: its memory is not sealed");
    }
    for (size_t at = 0; at < length;) {
        ssize_t got = pread(fd, ret_bytes + at, length - at, (off_t)at);
        if (got == 0) {
            return err_set(e, "malformed message: its memory is shorter than it says");
        }
        if (got < 0 && errno != EINTR) {
            return err_errno(e, errno, "read a message");
        }
        at += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int open_memfd(const struct packet *packet, size_t length, struct message *m, struct err *e)
{
    if (length > MESSAGE_SIZE_MAX) {
        return err_set(e, "message of %zu bytes; at most %u are taken", length, MESSAGE_SIZE_MAX);
    }
    char *bytes = xcalloc(length + 1, 1);
    int result = read_memfd(packet->fds[0], length, bytes, e);
    if (result == 0) {
        result = message_parse(m, bytes, length, e);
    }
    explicit_bzero(bytes, length);
    free(bytes);
    return result;
}

/* The message of the packet into M; the caller's descriptor stays in the packet, last. */
static int open_packet(const struct packet *packet, struct message *m, struct err *e)
{
    struct envelope envelope;
    if (packet->length < sizeof(envelope)) {
        return err_set(e, "malformed message: %zu bytes of envelope", packet->length);
    }
    memcpy(&envelope, packet->bytes, sizeof(envelope));
    size_t expected_fds = (envelope.in_memfd != 0 ? 1u : 0u) + (envelope.has_fd != 0 ? 1u : 0u);
    if (packet->fd_count != expected_fds) {
        return err_set(e, "malformed message: %zu descriptors instead of %zu", packet->fd_count,
                       expected_fds);
    }
    if (envelope.in_memfd != 0) {
        return open_memfd(packet, envelope.length, m, e);
    }
    if (envelope.length != packet->length - sizeof(envelope)) {
        return err_set(e, "malformed message: %zu bytes instead of %u",
                       packet->length - sizeof(envelope), envelope.length);
    }
    return message_parse(m, packet->bytes + sizeof(envelope), envelope.length, e);
}

/* Hands over the caller's descriptor when there is one and it is wanted; closes the rest. */
static int settle_fds(const struct packet *packet, bool wanted)
{
    struct envelope envelope = {.length = 0};
    if (packet->length >= sizeof(envelope)) {
        memcpy(&envelope, packet->bytes, sizeof(envelope));
    }
    int handed = -1;
    for (size_t i = 0; i < packet->fd_count; i++) {
        if (wanted && envelope.has_fd != 0 && i == packet->fd_count - 1) {
            handed = packet->fds[i];
        } else {
            close(packet->fds[i]);
        }
    }
    return handed;
}

enum message_io message_receive(int socket, struct message *m, int *ret_fd, struct err *e)
{
    struct packet packet;
    packet.length = 0;
    packet.fd_count = 0;
    enum message_io result = receive_packet(socket, &packet, e);
    if (result == MESSAGE_IO_OK && open_packet(&packet, m, e) != 0) {
        result = MESSAGE_IO_FAULT;
    }
    int fd = settle_fds(&packet, ret_fd != NULL && result == MESSAGE_IO_OK);
    if (ret_fd != NULL) {
        *ret_fd = fd;
    }
    explicit_bzero(packet.bytes, packet.length);
    return result;
}
