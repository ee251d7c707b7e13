/* Health checks against a server that behaves in every way one can, in a process beside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/process.h"
#include "net/http_check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128

/* Shared with the server's process. */
struct server {
    atomic_int flip_status; /* What /flip answers. */
    atomic_int flip_fails;  /* But 500 to so many first. */
    atomic_int connections;
    atomic_int requests;
    atomic_int followed; /* Requests for /followed. */
    char last[1024];     /* The last request. */
};

static struct server *server;
static pid_t server_pid;
static unsigned server_port;

/* ---- the server ---- */

static bool send_all(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static bool answer(int fd, const char *request)
{
    char text[256];
    server->requests++;
    snprintf(server->last, sizeof(server->last), "%s", request);
    const char *path = strchr(request, ' ');
    path = path == NULL ? "" : path + 1;
    if (strncmp(path, "/silent", 7) == 0) {
        return true;
    }
    if (strncmp(path, "/drop", 5) == 0) {
        return false;
    }
    if (strncmp(path, "/junk", 5) == 0) {
        send_all(fd, "\x1b[2Jwhat?\r\n\r\n");
        return false;
    }
    if (strncmp(path, "/body", 5) == 0) {
        static char block[70000];
        memset(block, 'x', sizeof(block) - 1);
        send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
        send_all(fd, block);
        return true;
    }
    if (strncmp(path, "/headers", 8) == 0) {
        send_all(fd, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 2000 && send_all(fd, "X-Padding: 0123456789012345678901234567890\r\n");
             i++) {
        }
        return true;
    }
    int status = 200;
    if (strncmp(path, "/flip", 5) == 0) {
        status = server->flip_fails > 0 ? 500 : server->flip_status;
        server->flip_fails -= server->flip_fails > 0 ? 1 : 0;
    } else if (strncmp(path, "/500", 4) == 0) {
        status = 500;
    } else if (strncmp(path, "/302", 4) == 0) {
        status = 302;
    } else if (strncmp(path, "/late", 5) == 0) {
        usleep(100000);
    }
    server->followed += strncmp(path, "/followed", 9) == 0 ? 1 : 0;
    snprintf(text, sizeof(text),
             "HTTP/1.1 %d X\r\nLocation: /followed\r\nContent-Length: %d\r\n\r\n%s", status,
             strncmp(request, "HEAD", 4) == 0 ? 0 : 2,
             strncmp(request, "HEAD", 4) == 0 ? "" : "ok");
    return send_all(fd, text);
}

static void serve(int listener)
{
    int fds[CONNECTIONS_MAX];
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        fds[i] = -1;
    }
    for (;;) {
        struct pollfd polls[CONNECTIONS_MAX + 1] = {{.fd = listener, .events = POLLIN}};
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            polls[i + 1] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        }
        poll(polls, CONNECTIONS_MAX + 1, -1);
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            char request[1024];
            if (polls[i + 1].revents == 0) {
                continue;
            }
            ssize_t got = recv(fds[i], request, sizeof(request) - 1, 0);
            request[got < 0 ? 0 : got] = '\0';
            if (got <= 0 || !answer(fds[i], request)) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
        int fd = (polls[0].revents & POLLIN) != 0 ? accept(listener, NULL, NULL) : -1;
        server->connections += fd >= 0 ? 1 : 0;
        for (int i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
            if (fds[i] < 0) {
                fds[i] = fd;
                fd = -1;
            }
        }
    }
}

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

static int start_server(void **state)
{
    (void)state;
    /* Would catch every check if it were listened to. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(server != MAP_FAILED);
    int listener = bind_loopback(&server_port);
    assert_int_equal(listen(listener, 128), 0);
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

static int stop_server(void **state)
{
    (void)state;
    kill(server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
    munmap(server, sizeof(*server));
    return 0;
}

/* ---- what is told ---- */

#define HEARD_MAX 64

struct heard {
    size_t count;
    struct {
        char id[32];
        enum check_role role;
        int64_t decided_ms;
        enum check_health health;
        enum check_result result;
        long detail;
        char text[128];
        int64_t at_ms;
    } items[HEARD_MAX];
};

static void hear(void *context, const struct check_transition *transition)
{
    struct heard *heard = context;
    assert_true(heard->count < HEARD_MAX);
    size_t i = heard->count++;
    snprintf(heard->items[i].id, sizeof(heard->items[i].id), "%s", transition->id);
    heard->items[i].role = transition->role;
    heard->items[i].decided_ms = transition->at_ms;
    heard->items[i].health = transition->health;
    heard->items[i].result = transition->result;
    heard->items[i].detail = transition->detail;
    heard->items[i].at_ms = clock_now_ms();
    snprintf(heard->items[i].text, sizeof(heard->items[i].text), "%s", transition->text);
}

static struct checker *make_checker(struct heard *heard)
{
    struct checker *checker;
    struct err e = ERR_NULL;
    *heard = (struct heard){.count = 0};
    assert_int_equal(checker_new(&checker, hear, heard, &e), 0);
    return checker;
}

static struct check_target target_of(const char *id, const char *path)
{
    return (struct check_target){.id = id,
                                 .address = "127.0.0.1",
                                 .port = server_port,
                                 .method = "GET",
                                 .path = path,
                                 .expect_first = 200,
                                 .expect_last = 200,
                                 .interval_ms = 50,
                                 .timeout_ms = 4000, /* A busy machine is not what is tested. */
                                 .rise = 2,
                                 .fall = 2};
}

static void set(struct checker *checker, const struct check_target *target)
{
    struct err e = ERR_NULL;
    if (checker_set(checker, target, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void run(struct checker *checker, int64_t span_ms)
{
    struct err e = ERR_NULL;
    assert_int_equal(checker_run(checker, -1, clock_now_ms() + span_ms, &e), 0);
}

/* Until COUNT transitions were heard, at most for 20 s. */
static void run_until(struct checker *checker, const struct heard *heard, size_t count)
{
    int64_t deadline_ms = clock_now_ms() + 20000;
    while (heard->count < count && clock_now_ms() < deadline_ms) {
        run(checker, 10);
    }
    assert_int_equal(heard->count, count);
}

/* ---- tests ---- */

static void every_end_of_a_check_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum check_health health;
        enum check_result result;
        long detail;
        const char *text;
    } cases[] = {
        {"GET", "/ok", CHECK_HEALTHY, CHECK_OK, 0, "HTTP 200 (1/2)"},
        {"HEAD", "/ok", CHECK_HEALTHY, CHECK_OK, 0, "HTTP 200 (1/2)"},
        {"OPTIONS", "/ok", CHECK_HEALTHY, CHECK_OK, 0, "HTTP 200 (1/2)"},
        {"GET", "/500", CHECK_UNHEALTHY, CHECK_STATUS, 500, "HTTP 500, expected 200 (2/2)"},
        {"GET", "/302", CHECK_UNHEALTHY, CHECK_STATUS, 302, "HTTP 302, expected 200 (2/2)"},
        {"GET", "/silent", CHECK_UNHEALTHY, CHECK_TIMEOUT, 0, "no answer after 300 ms (2/2)"},
        {"GET", "/drop", CHECK_UNHEALTHY, CHECK_PROTOCOL, 0, NULL},
        {"GET", "/junk", CHECK_UNHEALTHY, CHECK_PROTOCOL, 0, NULL},
        {"GET", "/headers", CHECK_UNHEALTHY, CHECK_PROTOCOL, 0, NULL},
        /* More of a body than we care for: the status has said it all. */
        {"GET", "/body", CHECK_HEALTHY, CHECK_OK, 0, "HTTP 200 (1/2)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct heard heard;
        struct checker *checker = make_checker(&heard);
        struct check_target target = target_of("web-1", cases[i].path);
        target.method = cases[i].method;
        target.timeout_ms = cases[i].result == CHECK_TIMEOUT ? 300 : target.timeout_ms;
        set(checker, &target);
        run_until(checker, &heard, 1);
        assert_string_equal(heard.items[0].id, "web-1");
        if (heard.items[0].health != cases[i].health || heard.items[0].result != cases[i].result ||
            heard.items[0].detail != cases[i].detail ||
            (cases[i].text != NULL && strcmp(heard.items[0].text, cases[i].text) != 0) ||
            strchr(heard.items[0].text, '\x1b') != NULL) {
            fail_msg("%s %s: health %d, result %d, %s", cases[i].method, cases[i].path,
                     (int)heard.items[0].health, (int)heard.items[0].result, heard.items[0].text);
        }
        checker_free(checker);
    }
    assert_int_equal(server->followed, 0);
}

static void no_connection_is_told(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target refused = target_of("refused", "/");
    int fd = bind_loopback(&refused.port); /* Bound, not listening. */
    set(checker, &refused);
    run_until(checker, &heard, 1);
    assert_int_equal(heard.items[0].result, CHECK_REFUSED);
    assert_string_equal(heard.items[0].text, "no connection: Connection refused (2/2)");
    checker_remove(checker, "refused", CHECK_READINESS);
    /* A queue that is full takes no connection: it is as if the packets were lost. */
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                                  .sin_port = htons((uint16_t)refused.port)};
    int fillers[3];
    assert_int_equal(listen(fd, 0), 0);
    for (int i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
    }
    struct check_target lost = refused;
    lost.id = "lost";
    lost.timeout_ms = 300;
    set(checker, &lost);
    run_until(checker, &heard, 2);
    assert_int_equal(heard.items[1].result, CHECK_TIMEOUT);
    assert_string_equal(heard.items[1].text, "no connection after 300 ms (2/2)");
    for (int i = 0; i < 3; i++) {
        close(fillers[i]);
    }
    close(fd);
    checker_free(checker);
}

static void only_changes_are_told_after_rise_and_fall(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target target = target_of("web-1", "/flip");
    target.fall = 3;
    server->flip_status = 200;
    set(checker, &target);
    run_until(checker, &heard, 1);
    run(checker, 300);
    assert_int_equal(heard.count, 1);
    int before = server->requests;
    server->flip_status = 503;
    run_until(checker, &heard, 2);
    assert_int_equal(heard.items[1].health, CHECK_UNHEALTHY);
    assert_string_equal(heard.items[1].text, "HTTP 503, expected 200 (3/3)");
    assert_in_range(server->requests - before, 3, 4);
    before = server->requests;
    server->flip_status = 200;
    run_until(checker, &heard, 3);
    assert_int_equal(heard.items[2].health, CHECK_HEALTHY);
    assert_string_equal(heard.items[2].text, "HTTP 200 (2/2)");
    assert_in_range(server->requests - before, 2, 3);
    run(checker, 200);
    assert_int_equal(heard.count, 3);
    checker_free(checker);
}

static void a_single_failure_is_no_change(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target target = target_of("web-1", "/flip");
    server->flip_status = 200;
    set(checker, &target);
    run_until(checker, &heard, 1);
    for (int i = 0; i < 3; i++) {
        server->flip_fails = 1;
        while (server->flip_fails > 0) {
            run(checker, 1);
        }
        /* The check after it has passed when the one after that is asked for. */
        int before = server->requests;
        while (server->requests < before + 2) {
            run(checker, 1);
        }
    }
    assert_int_equal(heard.count, 1);
    checker_free(checker);
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target target = target_of("web-1", "/ok?x=1");
    target.host = "shop.example";
    int connections = server->connections;
    int requests = server->requests;
    set(checker, &target);
    run(checker, 600);
    assert_true(server->requests - requests >= 8);
    assert_true(server->requests - requests <= 13);
    assert_int_equal(server->connections - connections, 1);
    assert_true(strncmp(server->last, "GET /ok?x=1 HTTP/1.1\r\n", 22) == 0);
    assert_non_null(strstr(server->last, "\r\nHost: shop.example\r\n"));
    assert_non_null(strstr(server->last, "\r\nUser-Agent: lamplighter\r\n"));
    assert_null(strstr(server->last, "Accept-Encoding"));
    checker_free(checker);
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static void a_tcp_check_only_connects(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target target = target_of("web-1", NULL);
    target.method = NULL;
    target.tcp_only = true;
    int requests = server->requests;
    int connections = server->connections;
    set(checker, &target);
    run_until(checker, &heard, 1);
    assert_string_equal(heard.items[0].text, "connected (1/2)");
    size_t files = open_files();
    run(checker, 600);
    assert_true(server->connections - connections >= 8);
    assert_int_equal(server->requests, requests);
    assert_in_range(open_files(), 1, files + 2);
    checker_free(checker);
}

static void an_unchanged_target_keeps_its_history(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target target = target_of("web-1", "/ok");
    set(checker, &target);
    run_until(checker, &heard, 1);
    set(checker, &target);
    run(checker, 200);
    assert_int_equal(heard.count, 1);
    target.path = "/500";
    set(checker, &target);
    run_until(checker, &heard, 2);
    assert_int_equal(heard.items[1].health, CHECK_UNHEALTHY);
    checker_remove(checker, "web-1", CHECK_READINESS);
    checker_remove(checker, "web-1", CHECK_READINESS);
    checker_remove(checker, "never-there", CHECK_READINESS);
    int requests = server->requests;
    run(checker, 200);
    assert_int_equal(server->requests, requests);
    /* Taken away in the middle of a check. */
    struct check_target silent = target_of("web-2", "/silent");
    set(checker, &silent);
    run(checker, 100);
    checker_remove(checker, "web-2", CHECK_READINESS);
    run(checker, 400);
    assert_int_equal(heard.count, 2);
    checker_free(checker);
}

static void many_start_spread(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    int64_t begin_ms = clock_now_ms();
    for (int i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof(id), "web-%d", i);
        struct check_target target = target_of(id, "/ok");
        target.interval_ms = 1000;
        set(checker, &target);
    }
    run_until(checker, &heard, 40);
    /* 5 ms apart, and within the interval. */
    assert_true(heard.items[39].at_ms - begin_ms >= 150);
    assert_true(heard.items[39].at_ms - begin_ms < 1000);
    checker_free(checker);
}

/* What this process could not do itself is nobody's fault but its own. */
static void our_own_trouble_is_no_result(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target late = target_of("late", "/late");
    late.fall = 1;
    late.timeout_ms = 300;
    set(checker, &late);
    /* Not at work in the middle of each check: the answer is there, but the time is over. */
    for (int i = 0; i < 3; i++) {
        run(checker, 60);
        usleep(700000);
    }
    for (size_t i = 0; i < heard.count; i++) {
        assert_int_not_equal(heard.items[i].health, CHECK_UNHEALTHY);
    }
    checker_remove(checker, "late", CHECK_READINESS);
    /* No descriptor left. */
    heard.count = 0;
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    struct check_target target = target_of("web-1", "/ok");
    target.fall = 1;
    setrlimit(RLIMIT_NOFILE, &none);
    set(checker, &target);
    run(checker, 300);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(heard.count, 0);
    run_until(checker, &heard, 1);
    assert_int_equal(heard.items[0].health, CHECK_HEALTHY);
    checker_free(checker);
}

/* One id, two questions: they have histories of their own. */
static void roles_are_told_apart(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct check_target ready = target_of("web-1", "/500");
    struct check_target alive = target_of("web-1", NULL);
    alive.role = CHECK_LIVENESS;
    alive.tcp_only = true;
    int64_t begin_ms = clock_now_ms();
    set(checker, &ready);
    set(checker, &alive);
    run_until(checker, &heard, 2);
    for (size_t i = 0; i < 2; i++) {
        bool is_alive = heard.items[i].role == CHECK_LIVENESS;
        assert_string_equal(heard.items[i].id, "web-1");
        assert_int_equal(heard.items[i].health, is_alive ? CHECK_HEALTHY : CHECK_UNHEALTHY);
        assert_in_range(heard.items[i].decided_ms, begin_ms, clock_now_ms());
    }
    assert_int_not_equal(heard.items[0].role, heard.items[1].role);
    /* Each is replaced and removed by itself. */
    ready.path = "/ok";
    set(checker, &ready);
    set(checker, &alive);
    run_until(checker, &heard, 3);
    assert_int_equal(heard.items[2].role, CHECK_READINESS);
    assert_int_equal(heard.items[2].health, CHECK_HEALTHY);
    checker_remove(checker, "web-1", CHECK_READINESS);
    int connections = server->connections;
    int requests = server->requests;
    run(checker, 400);
    assert_int_equal(server->requests, requests);
    assert_true(server->connections > connections);
    checker_remove(checker, "web-1", CHECK_LIVENESS);
    run(checker, 100);
    connections = server->connections;
    run(checker, 300);
    assert_int_equal(server->connections, connections);
    checker_free(checker);
}

static void must_run_ip(const char *const *words)
{
    const char *argv[8] = {"/usr/sbin/ip"};
    struct err e = ERR_NULL;
    for (size_t i = 0; words[i] != NULL; i++) {
        argv[i + 1] = words[i];
    }
    if (process_run(argv, clock_now_ms() + 20000, NULL, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

/* The way to 127.0.0.1, as that to others comes and goes with our address in their network. */
static void set_way(bool there)
{
    const char *const words[] = {"addr", there ? "add" : "del", "127.0.0.1/8", "dev", "lo", NULL};
    must_run_ip(words);
}

/* Our own network goes and comes: nothing is said of the targets, by neither kind of check. */
static void live_without_a_network(void)
{
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    const char *const up[] = {"link", "set", "lo", "up", NULL};
    must_run_ip(up);
    unsigned port;
    int listener = bind_loopback(&port);
    assert_int_equal(listen(listener, 64), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener);
    }
    close(listener);
    struct check_target ready = target_of("web-1", "/ok");
    struct check_target alive = target_of("web-1", NULL);
    ready.port = port;
    ready.timeout_ms = 300;
    alive.port = port;
    alive.role = CHECK_LIVENESS;
    alive.tcp_only = true;
    alive.timeout_ms = 300;
    set(checker, &ready);
    set(checker, &alive);
    run_until(checker, &heard, 2);
    for (int i = 0; i < 2; i++) {
        set_way(false);
        run(checker, 1500);
        set_way(true);
        run(checker, 200);
    }
    assert_int_equal(heard.count, 2);
    assert_int_equal(heard.items[0].health, CHECK_HEALTHY);
    assert_int_equal(heard.items[1].health, CHECK_HEALTHY);
    /* And what is the target's doing is told again. */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    run_until(checker, &heard, 4);
    assert_int_equal(heard.items[2].health, CHECK_UNHEALTHY);
    assert_int_equal(heard.items[3].health, CHECK_UNHEALTHY);
    checker_free(checker);
}

static void our_own_network_is_no_result(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip(); /* A network of our own needs root. */
    }
    /* In a process of its own: it does not come back from there. */
    pid_t pid = fork();
    if (pid == 0) {
        live_without_a_network();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_wake_ends_a_run(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    struct err e = ERR_NULL;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    int64_t begin_ms = clock_now_ms();
    assert_int_equal(checker_run(checker, ends[0], begin_ms + 5000, &e), 0);
    assert_int_equal(checker_run(checker, ends[0], begin_ms + 5000, &e), 0);
    assert_true(clock_now_ms() - begin_ms < 1000);
    close(ends[0]);
    close(ends[1]);
    checker_free(checker);
}

static void bad_targets_are_refused(void **state)
{
    (void)state;
    struct heard heard;
    struct checker *checker = make_checker(&heard);
    const struct {
        struct check_target target;
        const char *says;
    } cases[] = {
        {{.id = NULL}, "without an id"},
        {{.id = "a", .address = "web.example", .port = 80}, "'web.example' is no IP address"},
        {{.id = "a", .address = "127.0.0.1", .port = 0}, "out of range"},
        {{.id = "a",
          .address = "127.0.0.1",
          .port = 1,
          .interval_ms = 1,
          .timeout_ms = 1,
          .rise = 1,
          .fall = 1,
          .method = "GET",
          .path = "/a b"},
         "cannot be sent"},
        {{.id = "a",
          .address = "::1",
          .port = 1,
          .interval_ms = 1,
          .timeout_ms = 1,
          .rise = 1,
          .fall = 1,
          .method = "GET",
          .path = "/",
          .host = "x\r\nEvil: 1"},
         "cannot be sent"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NULL;
        assert_int_equal(checker_set(checker, &cases[i].target, &e), -1);
        if (strstr(e.text, cases[i].says) == NULL) {
            fail_msg("case %zu: %s", i, e.text);
        }
    }
    checker_free(checker);
    checker_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_of_a_check_is_told),
        cmocka_unit_test(no_connection_is_told),
        cmocka_unit_test(only_changes_are_told_after_rise_and_fall),
        cmocka_unit_test(a_single_failure_is_no_change),
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(a_tcp_check_only_connects),
        cmocka_unit_test(an_unchanged_target_keeps_its_history),
        cmocka_unit_test(many_start_spread),
        cmocka_unit_test(our_own_trouble_is_no_result),
        cmocka_unit_test(roles_are_told_apart),
        cmocka_unit_test(our_own_network_is_no_result),
        cmocka_unit_test(a_wake_ends_a_run),
        cmocka_unit_test(bad_targets_are_refused),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
