/* base/message: what goes in comes out, what is malformed does not come in, sockets carry it. */
#include "base/message.h"

#include "base/err.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KIND = 7, TAG_INT = 1, TAG_TEXT, TAG_BYTES, TAG_INNER, TAG_ABSENT };

static void fill(struct message *m)
{
    struct message inner = MESSAGE_NULL;
    message_init(&inner, 9);
    message_put_int(&inner, TAG_INT, 42);
    message_init(m, KIND);
    message_put_int(m, TAG_INT, INT64_MIN);
    message_put_text(m, TAG_TEXT, "first");
    message_put_text(m, TAG_TEXT, NULL);
    message_put_text(m, TAG_TEXT, "");
    message_put_bytes(m, TAG_BYTES, "a\0b", 3);
    message_put_message(m, TAG_INNER, &inner);
    message_deinit(&inner);
}

static void assert_filled(const struct message *m)
{
    size_t length;
    assert_int_equal(message_kind(m), KIND);
    assert_int_equal(message_int(m, TAG_INT, 0), INT64_MIN);
    assert_string_equal(message_text(m, TAG_TEXT, NULL), "first");
    assert_memory_equal(message_bytes(m, TAG_BYTES, &length), "a\0b", 3);
    assert_int_equal(length, 3);
    const void *bytes = message_bytes(m, TAG_INNER, &length);
    struct message inner = MESSAGE_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(message_parse(&inner, bytes, length, &e), 0);
    assert_int_equal(message_kind(&inner), 9);
    assert_int_equal(message_int(&inner, TAG_INT, 0), 42);
    message_deinit(&inner);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct message m = MESSAGE_NULL;
    struct message parsed = MESSAGE_NULL;
    struct err e = ERR_NULL;
    fill(&m);
    assert_int_equal(message_parse(&parsed, m.bytes.text, m.bytes.length, &e), 0);
    assert_filled(&parsed);
    /* Into itself. */
    assert_int_equal(message_parse(&parsed, parsed.bytes.text, parsed.bytes.length, &e), 0);
    assert_filled(&parsed);
    message_deinit(&m);
    message_deinit(&parsed);
    message_deinit(&parsed);
}

static void test_absent_and_other_type(void **state)
{
    (void)state;
    struct message m = MESSAGE_NULL;
    size_t length = 5;
    fill(&m);
    assert_int_equal(message_int(&m, TAG_ABSENT, -3), -3);
    assert_int_equal(message_int(&m, TAG_TEXT, -3), -3);
    assert_string_equal(message_text(&m, TAG_INT, "other"), "other");
    assert_null(message_text(&m, TAG_ABSENT, NULL));
    assert_null(message_bytes(&m, TAG_ABSENT, &length));
    assert_int_equal(length, 0);
    message_deinit(&m);
}

static void test_walk(void **state)
{
    (void)state;
    static const uint16_t tags[] = {TAG_INT, TAG_TEXT, TAG_TEXT, TAG_BYTES, TAG_INNER};
    struct message m = MESSAGE_NULL;
    struct message_field field;
    size_t position = 0;
    size_t count = 0;
    fill(&m);
    while (message_next(&m, &position, &field)) {
        assert_true(count < 5);
        assert_int_equal(field.tag, tags[count]);
        if (count == 2) {
            assert_int_equal(field.length, 0);
            assert_string_equal(field.bytes, "");
        }
        count++;
    }
    assert_int_equal(count, 5);
    message_deinit(&m);
    message_init(&m, KIND);
    position = 0;
    assert_false(message_next(&m, &position, &field));
    message_deinit(&m);
}

/* Cut anywhere, a message is whole (at a field's end), or refused; never read past its end. */
static void test_truncated(void **state)
{
    (void)state;
    struct message m = MESSAGE_NULL;
    struct err e = ERR_NULL;
    size_t accepted = 0;
    fill(&m);
    for (size_t length = 0; length < m.bytes.length; length++) {
        char *copy = xcalloc(length == 0 ? 1 : length, 1); /* Exact, for AddressSanitizer. */
        memcpy(copy, m.bytes.text, length);
        struct message parsed = MESSAGE_NULL;
        if (message_parse(&parsed, copy, length, &e) == 0) {
            accepted++;
            message_deinit(&parsed);
        }
        free(copy);
    }
    assert_int_equal(accepted, 5); /* The head alone, and after each field but the last. */
    message_deinit(&m);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        unsigned char bytes[24];
        size_t length;
    } cases[] = {
        {"version", {7, 0, 2, 0}, 4},
        {"reserved byte", {7, 0, 1, 1}, 4},
        {"unknown type", {7, 0, 1, 0, 1, 0, 9, 0, 0, 0, 0}, 11},
        {"short number", {7, 0, 1, 0, 1, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4}, 15},
        {"text without end", {7, 0, 1, 0, 1, 0, 1, 2, 0, 0, 0, 'a', 'b'}, 13},
        {"empty text field", {7, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0}, 11},
        {"NUL inside text", {7, 0, 1, 0, 1, 0, 1, 3, 0, 0, 0, 'a', 0, 0}, 14},
        {"length beyond the end", {7, 0, 1, 0, 1, 0, 2, 9, 0, 0, 0, 'a'}, 12},
        {"huge length", {7, 0, 1, 0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 'a'}, 12},
        {"tiny inner message", {7, 0, 1, 0, 1, 0, 3, 2, 0, 0, 0, 1, 1}, 13},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message m = MESSAGE_NULL;
        struct err e = ERR_NULL;
        if (message_parse(&m, cases[i].bytes, cases[i].length, &e) != -1) {
            fail_msg("accepted: %s", cases[i].what);
        }
        assert_null(m.bytes.text);
        assert_true(e.text[0] != '\0');
    }
}

static void make_pair(int sockets[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
}

/* Around the size where a message moves from the packet into a memfd, and far beyond. */
static void test_socket_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 32000, 32757, 32758, 32768, 33000, 5000000};
    int sockets[2];
    make_pair(sockets);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct err e = ERR_NULL;
        struct message m = MESSAGE_NULL;
        char *bytes = xcalloc(sizes[i] + 1, 1);
        memset(bytes, 'x', sizes[i]);
        message_init(&m, KIND);
        message_put_bytes(&m, TAG_BYTES, bytes, sizes[i]);
        assert_int_equal(message_send(sockets[0], &m, -1, &e), MESSAGE_IO_OK);
        message_deinit(&m);
        int fd = 0;
        size_t length;
        assert_int_equal(message_receive(sockets[1], &m, &fd, &e), MESSAGE_IO_OK);
        assert_int_equal(fd, -1);
        const void *got = message_bytes(&m, TAG_BYTES, &length);
        assert_int_equal(length, sizes[i]);
        assert_memory_equal(got, bytes, length);
        message_deinit(&m);
        free(bytes);
    }
    close(sockets[0]);
    close(sockets[1]);
}

static size_t open_files(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 200; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void test_descriptors(void **state)
{
    (void)state;
    int sockets[2];
    int channel[2];
    struct err e = ERR_NULL;
    make_pair(sockets);
    assert_int_equal(pipe(channel), 0);
    size_t open_before = open_files();
    static const size_t sizes[] = {10, 100000};
    for (size_t i = 0; i < 2; i++) {
        char *bytes = xcalloc(sizes[i], 1);
        struct message m = MESSAGE_NULL;
        message_init(&m, KIND);
        message_put_bytes(&m, TAG_BYTES, bytes, sizes[i]);
        free(bytes);
        int fd = -1;
        assert_int_equal(message_send(sockets[0], &m, channel[1], &e), MESSAGE_IO_OK);
        assert_int_equal(message_receive(sockets[1], &m, &fd, &e), MESSAGE_IO_OK);
        assert_true(fd >= 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        char byte = 0;
        assert_int_equal(write(fd, "!", 1), 1);
        assert_int_equal(read(channel[0], &byte, 1), 1);
        close(fd);
        /* One that nobody asked for is closed. */
        assert_int_equal(message_send(sockets[0], &m, channel[1], &e), MESSAGE_IO_OK);
        assert_int_equal(message_receive(sockets[1], &m, NULL, &e), MESSAGE_IO_OK);
        message_deinit(&m);
    }
    assert_int_equal(open_files(), open_before);
    close(sockets[0]);
    close(sockets[1]);
    close(channel[0]);
    close(channel[1]);
}

static void test_socket_ends(void **state)
{
    (void)state;
    int sockets[2];
    struct err e = ERR_NULL;
    struct message m = MESSAGE_NULL;
    message_init(&m, KIND);
    make_pair(sockets);
    assert_int_equal(fcntl(sockets[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(message_receive(sockets[1], &m, NULL, &e), MESSAGE_IO_AGAIN);
    /* The last word of a peer that dies with unread mail is still heard. */
    assert_int_equal(message_send(sockets[1], &m, -1, &e), MESSAGE_IO_OK);
    assert_int_equal(message_send(sockets[0], &m, -1, &e), MESSAGE_IO_OK);
    close(sockets[0]);
    assert_int_equal(message_receive(sockets[1], &m, NULL, &e), MESSAGE_IO_OK);
    assert_int_equal(message_receive(sockets[1], &m, NULL, &e), MESSAGE_IO_CLOSED);
    assert_int_equal(message_send(sockets[1], &m, -1, &e), MESSAGE_IO_CLOSED);
    close(sockets[1]);
    assert_int_equal(message_send(sockets[1], &m, -1, &e), MESSAGE_IO_FAULT);
    message_deinit(&m);
}

static void send_raw(int socket, const void *bytes, size_t length, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *item = CMSG_FIRSTHDR(&header);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(item), &fd, sizeof(fd));
    }
    assert_int_equal(sendmsg(socket, &header, 0), (ssize_t)length);
}

/* A hostile process at the other end: each packet is refused, and no descriptor stays open. */
static void test_hostile_packets(void **state)
{
    (void)state;
    int sockets[2];
    make_pair(sockets);
    int unsealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int cut = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(
        fcntl(cut, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
    static char large[70000];
    const struct {
        const char *what;
        const void *bytes;
        size_t length;
        int fd;
    } cases[] = {
        {"no envelope", "\x01", 1, -1},
        {"length lies", "\x09\0\0\0\0\0\0\0\x07\0\x01\0", 12, -1},
        {"memfd that did not come", "\x09\0\0\0\x01\0\0\0", 8, -1},
        {"descriptor that was not said", "\x04\0\0\0\0\0\0\0\x07\0\x01\0", 12, unsealed},
        {"memfd not sealed", "\x04\0\0\0\x01\0\0\0", 8, unsealed},
        {"memfd too short", "\x04\0\0\0\x01\0\0\0", 8, cut},
        {"memfd larger than allowed", "\xff\xff\xff\xff\x01\0\0\0", 8, cut},
        {"packet too large", large, sizeof(large), -1},
    };
    size_t open_before = open_files();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message m = MESSAGE_NULL;
        struct err e = ERR_NULL;
        int fd = 5;
        send_raw(sockets[0], cases[i].bytes, cases[i].length, cases[i].fd);
        if (message_receive(sockets[1], &m, &fd, &e) != MESSAGE_IO_FAULT) {
            fail_msg("accepted: %s", cases[i].what);
        }
        assert_int_equal(fd, -1);
        assert_true(e.text[0] != '\0');
    }
    assert_int_equal(open_files(), open_before);
    close(unsealed);
    close(cut);
    close(sockets[0]);
    close(sockets[1]);
}

/* As a worker: without capabilities, with few files. Sends LARGE messages that each need a memfd.
 */
_Noreturn static void send_many(int socket, unsigned count)
{
    static char large[40000];
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{.effective = 0}, {.effective = 0}};
    struct rlimit few = {.rlim_cur = 16, .rlim_max = 16};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0 || syscall(SYS_capset, &header, none) != 0) {
        _exit(1);
    }
    for (unsigned i = 0; i < count; i++) {
        struct message m = MESSAGE_NULL;
        message_init(&m, KIND);
        message_put_int(&m, TAG_INT, i);
        message_put_bytes(&m, TAG_BYTES, large, sizeof(large));
        if (message_send(socket, &m, -1, NULL) != MESSAGE_IO_OK) {
            _exit(2);
        }
        message_deinit(&m);
    }
    _exit(0);
}

/* More descriptors on their way than the kernel allows one user are waited for, not a fault. */
static void test_crowded(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    int sockets[2];
    int status = -1;
    make_pair(sockets);
    pid_t pid = fork();
    if (pid == 0) {
        send_many(sockets[1], COUNT);
    }
    close(sockets[1]);
    usleep(200000); /* It runs into the limit before anything is taken. */
    struct message m = MESSAGE_NULL;
    struct err e = ERR_NULL;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(message_receive(sockets[0], &m, NULL, &e), MESSAGE_IO_OK);
        assert_int_equal(message_int(&m, TAG_INT, -1), i);
    }
    message_deinit(&m);
    close(sockets[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_absent_and_other_type),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_socket_sizes),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_socket_ends),
        cmocka_unit_test(test_hostile_packets),
        cmocka_unit_test(test_crowded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
