/* The prober as a real process in its sandbox, and its parent's side of the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/message.h"
#include "base/process.h"
#include "controller/prober.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct process_kind kinds[] = {
    {.name = "prober", .main = prober_main, .sandbox = SANDBOX_NETWORK},
    /* No descriptor is left to open a file with, so libcurl cannot be loaded. */
    {.name = "prober", .main = prober_main, .sandbox = SANDBOX_NETWORK, .files_max = 4}};

static struct spawner *spawner;
static pid_t server_pid;
static unsigned server_port;
static unsigned closed_port;

static int bind_loopback(unsigned *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* One connection at a time, one request on each. */
static void serve(int listener)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for (;;) {
        char request[1024];
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && recv(fd, request, sizeof(request), 0) > 0) {
            send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
        }
        close(fd);
    }
}

static int start(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    assert_int_equal(spawner_start(&spawner, kinds, 2, &e), 0);
    int listener = bind_loopback(&server_port);
    assert_int_equal(listen(listener, 64), 0);
    bind_loopback(&closed_port); /* Kept bound, so that nobody else listens there. */
    pid_t parent = getpid();
    server_pid = fork();
    if (server_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            serve(listener);
        }
        _exit(1);
    }
    close(listener);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    kill(server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
    spawner_free(spawner);
    return 0;
}

static struct prober *make_prober(void)
{
    struct prober *prober = NULL;
    struct err e = ERR_NULL;
    if (prober_start(&prober, spawner, 0, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return prober;
}

static struct check_target target_of(const char *id, unsigned port)
{
    return (struct check_target){.id = id,
                                 .address = "127.0.0.1",
                                 .port = port,
                                 .method = "GET",
                                 .path = "/healthz",
                                 .expect_first = 200,
                                 .expect_last = 299,
                                 .interval_ms = 100,
                                 .timeout_ms = 4000,
                                 .rise = 1,
                                 .fall = 2};
}

static void set(struct prober *prober, const struct check_target *target)
{
    struct err e = ERR_NULL;
    if (prober_set_target(prober, target, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

/* The next one, within 5 s. */
static struct check_transition hear(struct prober *prober)
{
    struct check_transition transition = {.id = ""};
    struct err e = ERR_NULL;
    bool found = false;
    int64_t deadline_ms = clock_now_ms() + 5000;
    while (!found && clock_now_ms() < deadline_ms) {
        struct pollfd fd = {.fd = prober_socket(prober), .events = POLLIN};
        poll(&fd, 1, 100);
        if (prober_receive(prober, &transition, &found, &e) != 0) {
            fail_msg("%s", e.text);
        }
    }
    assert_true(found);
    return transition;
}

static void assert_silent(struct prober *prober, int span_ms)
{
    struct pollfd fd = {.fd = prober_socket(prober), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, span_ms), 0);
    struct check_transition transition;
    struct err e = ERR_NULL;
    bool found = true;
    assert_int_equal(prober_receive(prober, &transition, &found, &e), 0);
    assert_false(found);
}

static void changes_come_from_the_sandbox(void **state)
{
    (void)state;
    struct prober *prober = make_prober();
    struct err e = ERR_NULL;
    struct check_target good = target_of("web-1", server_port);
    struct check_target bad = target_of("web-2", closed_port);
    set(prober, &good);
    struct check_transition t = hear(prober);
    assert_string_equal(t.id, "web-1");
    assert_int_equal(t.health, CHECK_HEALTHY);
    assert_string_equal(t.text, "HTTP 200 (1/1)");
    set(prober, &bad);
    t = hear(prober);
    assert_string_equal(t.id, "web-2");
    assert_int_equal(t.health, CHECK_UNHEALTHY);
    assert_int_equal(t.result, CHECK_REFUSED);
    assert_string_equal(t.text, "no connection: Connection refused (2/2)");
    set(prober, &good);
    assert_silent(prober, 300);
    assert_int_equal(prober_remove(prober, "web-2", CHECK_READINESS, &e), 0);
    bad.id = "web-1";
    set(prober, &bad);
    t = hear(prober);
    assert_string_equal(t.id, "web-1");
    assert_int_equal(t.health, CHECK_UNHEALTHY);
    assert_silent(prober, 300);
    prober_free(prober);
    prober_free(NULL);
}

static void both_roles_of_an_instance_are_told(void **state)
{
    (void)state;
    struct prober *prober = make_prober();
    struct err e = ERR_NULL;
    struct check_target ready = target_of("web-1", server_port);
    struct check_target alive = target_of("web-1", closed_port);
    alive.role = CHECK_LIVENESS;
    alive.tcp_only = true;
    int64_t begin_ms = clock_now_ms();
    set(prober, &alive);
    struct check_transition t = hear(prober);
    assert_string_equal(t.id, "web-1");
    assert_int_equal(t.role, CHECK_LIVENESS);
    assert_int_equal(t.health, CHECK_UNHEALTHY);
    assert_string_equal(t.text, "no connection: Connection refused (2/2)");
    assert_in_range(t.at_ms, begin_ms, clock_now_ms());
    set(prober, &ready);
    t = hear(prober);
    assert_string_equal(t.id, "web-1");
    assert_int_equal(t.role, CHECK_READINESS);
    assert_int_equal(t.health, CHECK_HEALTHY);
    /* The other goes on. */
    assert_int_equal(prober_remove(prober, "web-1", CHECK_READINESS, &e), 0);
    alive.port = server_port;
    set(prober, &alive);
    t = hear(prober);
    assert_int_equal(t.role, CHECK_LIVENESS);
    assert_int_equal(t.health, CHECK_HEALTHY);
    assert_int_equal(prober_remove(prober, "web-1", CHECK_LIVENESS, &e), 0);
    alive.address = "nowhere";
    set(prober, &alive);
    t = hear(prober);
    assert_int_equal(t.role, CHECK_LIVENESS);
    assert_int_equal(t.health, CHECK_HEALTH_UNKNOWN);
    prober_free(prober);
}

static void a_target_that_cannot_be_checked_is_told(void **state)
{
    (void)state;
    struct prober *prober = make_prober();
    struct check_target target = target_of("web-1", server_port);
    target.address = "web-1.example";
    set(prober, &target);
    struct check_transition t = hear(prober);
    assert_string_equal(t.id, "web-1");
    assert_int_equal(t.health, CHECK_HEALTH_UNKNOWN);
    assert_int_equal(t.result, CHECK_NONE);
    assert_string_equal(t.text, "check of web-1: 'web-1.example' is no IP address");
    prober_free(prober);
}

static void without_libcurl_every_target_is_refused(void **state)
{
    (void)state;
    struct prober *prober = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(prober_start(&prober, spawner, 1, &e), 0);
    for (int i = 0; i < 2; i++) {
        struct check_target target = target_of(i == 0 ? "web-1" : "web-2", server_port);
        set(prober, &target);
        struct check_transition t = hear(prober);
        assert_string_equal(t.id, target.id);
        assert_int_equal(t.health, CHECK_HEALTH_UNKNOWN);
        assert_non_null(strstr(t.text, "health checks: is package libcurl4 installed? libcurl.so"));
        assert_int_equal(prober_remove(prober, target.id, target.role, &e), 0);
    }
    assert_silent(prober, 100);
    prober_free(prober);
}

/* Neither waits for the other when there is more to say than a socket holds. */
static void many_targets_do_not_lock_up(void **state)
{
    (void)state;
    enum { COUNT = 1500 };
    struct prober *prober = make_prober();
    static bool heard[COUNT];
    memset(heard, 0, sizeof(heard));
    for (int i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "web-%d", i);
        struct check_target target = target_of(id, closed_port);
        target.fall = 1;
        target.interval_ms = 2000;
        set(prober, &target);
    }
    usleep(500000);
    for (int i = 0; i < COUNT; i++) {
        struct check_transition t = hear(prober);
        long number = strtol(t.id + 4, NULL, 10);
        assert_false(heard[number]);
        heard[number] = true;
    }
    prober_free(prober);
}

static void a_dead_prober_is_told_and_replaced(void **state)
{
    (void)state;
    struct prober *prober = make_prober();
    struct check_target target = target_of("web-1", server_port);
    struct check_transition transition;
    struct err e = ERR_NULL;
    bool found;
    set(prober, &target);
    hear(prober);
    /* Its process is the only one of that name below us. */
    struct process other;
    assert_int_equal(process_start(spawner, 0, &other, &e), 0);
    struct prober *adopted = prober_adopt(dup(other.socket));
    process_kill(&other);
    process_deinit(&other);
    struct pollfd fd = {.fd = prober_socket(adopted), .events = POLLIN};
    poll(&fd, 1, 5000);
    assert_int_equal(prober_receive(adopted, &transition, &found, &e), -1);
    assert_string_equal(e.text, "the prober has died");
    assert_int_equal(prober_set_target(adopted, &target, &e), -1);
    assert_string_equal(e.text, "the prober has died");
    prober_free(adopted);
    assert_silent(prober, 200);
    prober_free(prober);
}

/* A child that says what no prober says. */
static void nonsense_is_a_fault(void **state)
{
    (void)state;
    static const struct {
        uint16_t kind;
        const char *id;
    } cases[] = {{0x7777, "web-1"}, {PROBER_TRANSITION, NULL}, {PROBER_SET, "web-1"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int ends[2];
        struct message m = MESSAGE_NULL;
        struct check_transition transition;
        struct err e = ERR_NULL;
        bool found;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        struct prober *prober = prober_adopt(ends[0]);
        message_init(&m, cases[i].kind);
        message_put_text(&m, PROBER_ID, cases[i].id);
        assert_int_equal(message_send(ends[1], &m, -1, &e), MESSAGE_IO_OK);
        assert_int_equal(prober_receive(prober, &transition, &found, &e), -1);
        assert_non_null(strstr(e.text, "nonsense"));
        message_deinit(&m);
        prober_free(prober);
        close(ends[1]);
    }
}

/* Values out of range become "unknown", which nobody acts on. */
static void strange_values_are_unknown(void **state)
{
    (void)state;
    int ends[2];
    struct message m = MESSAGE_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    struct prober *prober = prober_adopt(ends[0]);
    message_init(&m, PROBER_TRANSITION);
    message_put_text(&m, PROBER_ID, "web-1");
    message_put_int(&m, PROBER_HEALTH, 99);
    message_put_int(&m, PROBER_RESULT, -5);
    assert_int_equal(message_send(ends[1], &m, -1, &e), MESSAGE_IO_OK);
    struct check_transition t = hear(prober);
    assert_int_equal(t.health, CHECK_HEALTH_UNKNOWN);
    assert_int_equal(t.result, CHECK_NONE);
    assert_string_equal(t.text, "");
    message_deinit(&m);
    prober_free(prober);
    close(ends[1]);
}

/* A child that hears nothing does not hold its parent for longer than was said. */
static void a_deaf_child_costs_a_bounded_time(void **state)
{
    (void)state;
    int ends[2];
    struct err e = ERR_NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    struct prober *prober = prober_adopt(ends[0]);
    struct check_target target = target_of("web-1", server_port);
    int64_t begin_ms = clock_now_ms();
    int result = 0;
    for (int i = 0; result == 0 && i < 100000; i++) {
        result = prober_set_target(prober, &target, &e);
    }
    assert_int_equal(result, -1);
    assert_string_equal(e.text, "the prober takes no requests");
    assert_true(clock_now_ms() - begin_ms < 2 * PROBER_SEND_WAIT_MS);
    prober_free(prober);
    close(ends[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_come_from_the_sandbox),
        cmocka_unit_test(both_roles_of_an_instance_are_told),
        cmocka_unit_test(a_target_that_cannot_be_checked_is_told),
        cmocka_unit_test(without_libcurl_every_target_is_refused),
        cmocka_unit_test(many_targets_do_not_lock_up),
        cmocka_unit_test(a_dead_prober_is_told_and_replaced),
        cmocka_unit_test(nonsense_is_a_fault),
        cmocka_unit_test(strange_values_are_unknown),
        cmocka_unit_test(a_deaf_child_costs_a_bounded_time),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
