#include "haproxy_stage.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define REQUEST_MAX     4096

static const char *const addresses[STAGE_WEBS] = {"127.0.0.11", "127.0.0.12", "127.0.0.13",
                                                  "127.0.0.14"};

const char *stage_web_address(int web)
{
    return addresses[web];
}

static bool has_program(const char *path)
{
    return access(path, X_OK) == 0;
}

bool stage_possible(void)
{
    if (geteuid() != 0) {
        fprintf(stderr, "not run: needs root (HAProxy's chroot, a network namespace)\n");
        return false;
    }
    if (!has_program("/usr/sbin/haproxy") || !has_program("/usr/bin/socat")) {
        fprintf(stderr, "not run: needs the packages haproxy and socat\n");
        return false;
    }
    return true;
}

/* ---- a target ---- */

static struct sockaddr_in make_address(const char *ip, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ip, &address.sin_addr);
    return address;
}

struct connection {
    int fd;
    char request[REQUEST_MAX];
    size_t length;
    int64_t answer_ms; /* When a slow answer is due; 0: none. */
};

static void connection_close(struct connection *c)
{
    close(c->fd);
    *c = (struct connection){.fd = -1};
}

static void answer(struct connection *c, int number, int status)
{
    char text[256];
    int length = snprintf(text, sizeof(text),
                          "HTTP/1.1 %d Told so\r\nContent-Length: 5\r\n\r\nweb-%d", status, number);
    if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length) {
        connection_close(c);
        return;
    }
    c->length = 0;
    c->answer_ms = 0;
}

static void serve_request(struct connection *c, struct stage_web *web, int number)
{
    if (strncmp(c->request, "GET /healthz ", 13) == 0) {
        int status = web->check_status;
        if (status == 200) {
            web->checks++;
            web->checked = true;
        }
        if (status == 0) {
            connection_close(c);
        } else {
            answer(c, number, status);
        }
        return;
    }
    web->pages++;
    web->posts += strncmp(c->request, "POST ", 5) == 0 ? 1 : 0;
    web->before_check += web->checked ? 0 : 1;
    if (web->page_status == 0) {
        connection_close(c);
    } else if (strncmp(c->request, "GET /slow ", 10) == 0) {
        c->answer_ms = clock_now_ms() + web->slow_ms;
    } else {
        answer(c, number, web->page_status);
    }
}

static void read_request(struct connection *c, struct stage_web *web, int number)
{
    ssize_t got = recv(c->fd, c->request + c->length, REQUEST_MAX - 1 - c->length, 0);
    if (got <= 0) {
        connection_close(c);
        return;
    }
    c->length += (size_t)got;
    c->request[c->length] = '\0';
    if (c->answer_ms == 0 && strstr(c->request, "\r\n\r\n") != NULL) {
        serve_request(c, web, number);
    }
}

static void take_connection(struct connection *connections, int listener)
{
    int fd = accept(listener, NULL, NULL);
    for (int i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
        if (connections[i].fd < 0) {
            connections[i] = (struct connection){.fd = fd};
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void web_main(const int listeners[2], struct stage_web *web, int number)
{
    static struct connection connections[CONNECTIONS_MAX];
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        connections[i].fd = -1;
    }
    for (;;) {
        struct pollfd fds[CONNECTIONS_MAX + 2];
        fds[CONNECTIONS_MAX] = (struct pollfd){.fd = listeners[0], .events = POLLIN};
        fds[CONNECTIONS_MAX + 1] = (struct pollfd){.fd = listeners[1], .events = POLLIN};
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            fds[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
        }
        poll(fds, CONNECTIONS_MAX + 2, 20);
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            struct connection *c = &connections[i];
            if (c->fd >= 0 && c->answer_ms != 0 && clock_now_ms() >= c->answer_ms) {
                answer(c, number, 200);
            } else if (c->fd >= 0 && fds[i].revents != 0) {
                read_request(c, web, number);
            }
        }
        for (int i = 0; i < 2; i++) {
            if ((fds[CONNECTIONS_MAX + i].revents & POLLIN) != 0) {
                take_connection(connections, listeners[i]);
            }
        }
    }
}

/* Whoever holds this end keeps the keeper waiting. */
static int keeper_pipe = -1;

/* A child that does not outlive this process. */
static pid_t start_child(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    assert(pid >= 0);
    if (pid == 0) {
        close(keeper_pipe);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
    }
    return pid;
}

static int listen_at(const char *ip, int port)
{
    struct sockaddr_in address = make_address(ip, port);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    assert(listen(listener, 128) == 0);
    return listener;
}

static pid_t start_web(struct stage_web *web, int number)
{
    int listeners[2];
    for (int i = 0; i < 2; i++) {
        listeners[i] = listen_at(addresses[number - 1], STAGE_WEB_PORT + i);
    }
    pid_t pid = start_child();
    if (pid == 0) {
        web_main(listeners, web, number);
        _exit(0);
    }
    close(listeners[0]);
    close(listeners[1]);
    return pid;
}

/* ---- clients ---- */

static int connect_balancer(void)
{
    struct sockaddr_in address = make_address("127.0.0.1", STAGE_PORT);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval wait = {.tv_sec = 10};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* What is asked, and what came of it. */
struct question {
    const char *method, *path;
    struct stage_cookie *cookie; /* Sent when it is not empty, and set; NULL: none. */
    char *body;                  /* Its start; NULL: not wanted. */
    size_t size;
};

static void take_cookie(const char *text, struct stage_cookie *cookie)
{
    static const char field[] = "\r\nset-cookie: ";
    const char *value = cookie == NULL ? NULL : strcasestr(text, field);
    if (value != NULL) {
        value += sizeof(field) - 1;
        snprintf(cookie->text, sizeof(cookie->text), "%.*s", (int)strcspn(value, ";\r"), value);
    }
}

/* The status, 0 when the connection gave none; *ret_close: it is of no more use. */
static int exchange(int fd, const struct question *q, bool *ret_close)
{
    char text[4096];
    bool holds = q->cookie != NULL && q->cookie->text[0] != '\0';
    int length = snprintf(text, sizeof(text),
                          "%s %s HTTP/1.1\r\nHost: shop\r\n%s%s%sContent-Length: 0\r\n\r\n",
                          q->method, q->path, holds ? "Cookie: " : "", holds ? q->cookie->text : "",
                          holds ? "\r\n" : "");
    *ret_close = true;
    if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length) {
        return 0;
    }
    size_t got = 0;
    const char *body = NULL;
    size_t body_length = 0;
    while (body == NULL || (size_t)(text + got - body) < body_length) {
        ssize_t more = recv(fd, text + got, sizeof(text) - 1 - got, 0);
        if (more <= 0) {
            return 0;
        }
        got += (size_t)more;
        text[got] = '\0';
        char *end = strstr(text, "\r\n\r\n");
        const char *field = strcasestr(text, "\r\ncontent-length: ");
        if (end != NULL) {
            body = end + 4;
            body_length = field == NULL ? 0 : (size_t)strtoul(field + 18, NULL, 10);
        }
    }
    *ret_close = strcasestr(text, "\r\nconnection: close") != NULL;
    if (q->body != NULL) {
        snprintf(q->body, q->size, "%s", body);
    }
    take_cookie(text, q->cookie);
    return (int)strtol(text + 9, NULL, 10);
}

static int ask_once(const struct question *q)
{
    bool closed;
    int fd = connect_balancer();
    if (fd < 0) {
        return 0;
    }
    int status = exchange(fd, q, &closed);
    close(fd);
    return status;
}

int stage_get(const char *method, const char *path, char *ret_body, size_t size)
{
    return ask_once(&(struct question){method, path, NULL, ret_body, size});
}

int stage_visit(struct stage_cookie *cookie, const char *path, char *ret_body, size_t size)
{
    return ask_once(&(struct question){"GET", path, cookie, ret_body, size});
}

static void note_failure(struct stage_load *load, const char *kind, int status, int errnum)
{
    snprintf(load->failure, sizeof(load->failure), "%s: status %d, %s", kind, status,
             strerror(errnum));
}

static void ask_fresh(struct stage_load *load)
{
    errno = 0;
    int status = stage_get("GET", "/page", NULL, 0);
    if (status == 200) {
        load->fresh_ok++;
    } else {
        note_failure(load, "fresh", status, errno);
        load->fresh_failed++;
    }
}

/* A client with a connection that it keeps. */
struct kept {
    int fd;
    struct stage_cookie *cookie; /* NULL: none. */
    char last[16];               /* Who answered. */
};

static void note_answer(struct stage_load *load, struct kept *kept, const char *body)
{
    load->kept_ok++;
    load->moved += kept->last[0] != '\0' && strcmp(kept->last, body) != 0 ? 1 : 0;
    snprintf(kept->last, sizeof(kept->last), "%s", body);
}

/* As browsers do: a kept connection that was closed is opened anew and asked once more. */
static void ask_kept(struct stage_load *load, struct kept *kept)
{
    char body[16] = "";
    const struct question page = {"GET", "/page", kept->cookie, body, sizeof(body)};
    int *fd = &kept->fd;
    bool closed = true;
    int status = 0;
    errno = 0;
    bool reused = *fd >= 0;
    for (int try = 0; try < 2 && status == 0; try++) {
        *fd = *fd >= 0 ? *fd : connect_balancer();
        status = *fd < 0 ? 0 : exchange(*fd, &page, &closed);
        if ((status == 0 || closed) && *fd >= 0) {
            close(*fd);
            *fd = -1;
        }
        if (!reused) {
            break;
        }
    }
    if (status == 200) {
        note_answer(load, kept, body);
    } else {
        note_failure(load, "kept", status, errno);
        load->kept_failed++;
    }
}

static void start_load(struct stage *stage, struct stage_cookie *cookie)
{
    *stage->load = (struct stage_load){.stop = false};
    stage->load_pid = start_child();
    if (stage->load_pid == 0) {
        struct kept kept = {.fd = -1, .cookie = cookie};
        while (!stage->load->stop) {
            ask_fresh(stage->load);
            ask_kept(stage->load, &kept);
            usleep(4000);
        }
        _exit(0);
    }
}

void stage_load_start(struct stage *stage)
{
    start_load(stage, NULL);
}

void stage_load_start_sticky(struct stage *stage, const struct stage_cookie *cookie)
{
    struct stage_cookie held = *cookie;
    start_load(stage, &held);
}

void stage_load_stop(struct stage *stage)
{
    if (stage->load_pid > 0) {
        stage->load->stop = true;
        waitpid(stage->load_pid, NULL, 0);
        stage->load_pid = -1;
    }
}

/* ---- the host ---- */

static void pump(int fds[3], const struct str *input, struct haproxy_output *output,
                 int64_t deadline_ms)
{
    size_t sent = 0;
    while (fds[1] >= 0 || fds[2] >= 0) {
        struct pollfd polls[3] = {{.fd = fds[0], .events = POLLOUT},
                                  {.fd = fds[1], .events = POLLIN},
                                  {.fd = fds[2], .events = POLLIN}};
        int64_t left_ms = deadline_ms - clock_now_ms();
        assert(left_ms > 0 && "a command of a test ended its deadline");
        poll(polls, 3, (int)(left_ms > 60000 ? 60000 : left_ms));
        if (polls[0].revents != 0) {
            size_t length = input == NULL ? 0 : input->length - sent;
            ssize_t wrote = length == 0 ? 0 : write(fds[0], input->text + sent, length);
            sent += wrote > 0 ? (size_t)wrote : 0;
            if (wrote < 0 || sent == (input == NULL ? 0 : input->length)) {
                close(fds[0]);
                fds[0] = -1;
            }
        }
        for (int i = 1; i < 3; i++) {
            char bytes[8192];
            ssize_t got = polls[i].revents == 0 ? -2 : read(fds[i], bytes, sizeof(bytes));
            if (got > 0) {
                str_add_bytes(i == 1 ? &output->out : &output->err, bytes, (size_t)got);
            } else if (got > -2) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
    }
}

/* What a link does, on this machine. */
static int run_here(void *context, const char *command, const struct str *input,
                    int64_t deadline_ms, struct haproxy_output *ret_output, struct err *e)
{
    struct stage *stage = context;
    if (stage->runs_left == 0) {
        return err_set(e, "the line dropped");
    }
    stage->runs_left -= stage->runs_left > 0 ? 1 : 0;
    int in[2];
    int out[2];
    int err[2];
    assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    int fds[3] = {in[1], out[0], err[0]};
    pump(fds, input, ret_output, deadline_ms);
    if (fds[0] >= 0) {
        close(fds[0]);
    }
    int status;
    waitpid(pid, &status, 0);
    ret_output->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

/* ---- HAProxy ---- */

static long read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    long number = -1;
    if (file != NULL) {
        char text[32] = "";
        if (fgets(text, sizeof(text), file) != NULL) {
            number = strtol(text, NULL, 10);
        }
        fclose(file);
    }
    return number;
}

static long master_pid(const char *directory)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/master.pid", directory);
    return read_number(path);
}

/* A zombie that nobody has taken yet does not run. */
static bool is_alive(long pid)
{
    char path[64];
    char line[256] = "";
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *file = pid > 1 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return false;
    }
    bool got = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    const char *state = strrchr(line, ')');
    return got && state != NULL && state[2] != 'Z';
}

bool stage_haproxy_runs(const struct stage *stage)
{
    return is_alive(master_pid(stage->directory));
}

static void kill_master(const char *directory, int signal_number)
{
    char path[128];
    long pid = master_pid(directory);
    if (pid <= 1) {
        return;
    }
    kill((pid_t)pid, signal_number);
    for (int i = 0; i < 200 && is_alive(pid); i++) {
        usleep(10000);
    }
    snprintf(path, sizeof(path), "%s/master.pid", directory);
    unlink(path);
}

void stage_kill_haproxy(struct stage *stage)
{
    kill_master(stage->directory, SIGTERM);
}

/* Ends HAProxy and clears up when this process has gone, whatever way. */
static void keeper_main(const char *directory, int pipe_end)
{
    char byte;
    setsid();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    while (read(pipe_end, &byte, 1) > 0) {
    }
    kill_master(directory, SIGTERM);
    kill_master(directory, SIGKILL);
    char command[256];
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    execl("/bin/sh", "sh", "-c", command, NULL);
    _exit(1);
}

static void start_keeper(struct stage *stage)
{
    int ends[2];
    assert(pipe2(ends, O_CLOEXEC) == 0);
    stage->keeper_pid = fork();
    assert(stage->keeper_pid >= 0);
    if (stage->keeper_pid == 0) {
        close(ends[1]);
        keeper_main(stage->directory, ends[0]);
    }
    close(ends[0]);
    keeper_pipe = ends[1];
}

static void enter_namespace(void)
{
    static bool entered;
    if (entered) {
        return;
    }
    assert(unshare(CLONE_NEWNET) == 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo"};
    assert(ioctl(fd, SIOCGIFFLAGS, &request) == 0);
    request.ifr_flags |= IFF_UP;
    assert(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
    close(fd);
    entered = true;
}

static void *map_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(memory != MAP_FAILED);
    return memory;
}

void stage_start(struct stage *stage)
{
    *stage = (struct stage){.runs_left = -1, .load_pid = -1};
    enter_namespace();
    snprintf(stage->directory, sizeof(stage->directory), "/tmp/lamplighter-haproxy-XXXXXX");
    assert(mkdtemp(stage->directory) != NULL);
    /* The socket is opened by root; HAProxy's own user needs no more. */
    start_keeper(stage);
    snprintf(stage->config_path, sizeof(stage->config_path), "%s/haproxy.cfg", stage->directory);
    snprintf(stage->socket_path, sizeof(stage->socket_path), "%s/admin.sock", stage->directory);
    /* As systemd does it: the master checks again and keeps the old worker when it cannot. */
    snprintf(stage->reload, sizeof(stage->reload),
             "cd %s; pid=$(cat master.pid 2>/dev/null); "
             "if [ -n \"$pid\" ] && grep -q '^State:.[^Z]' /proc/$pid/status 2>/dev/null; then "
             "kill -USR2 \"$pid\"; else "
             "setsid haproxy -W -f haproxy.cfg -p master.pid </dev/null >>log 2>&1 & "
             "for i in 1 2 3 4 5 6 7 8 9 10; do [ -s master.pid ] && break; sleep .1; done; fi",
             stage->directory);
    snprintf(stage->words, sizeof(stage->words), "tail -n 40 %s/log", stage->directory);
    stage->paths = haproxy_paths_debian;
    stage->paths.config = stage->config_path;
    stage->paths.socket = stage->socket_path;
    stage->paths.reload = stage->reload;
    stage->paths.words = stage->words;
    snprintf(stage->state, sizeof(stage->state), "%s/state", stage->directory);
    stage->paths.state = stage->state;
    stage->host = (struct haproxy_host){
        .run = run_here, .context = stage, .paths = &stage->paths, .epoch = 3};
    stage->webs = map_shared(sizeof(*stage->webs) * STAGE_WEBS);
    stage->load = map_shared(sizeof(*stage->load));
    for (int i = 0; i < STAGE_WEBS; i++) {
        stage->webs[i].check_status = 200;
        stage->webs[i].page_status = 200;
        stage->web_pids[i] = start_web(&stage->webs[i], i + 1);
    }
}

void stage_stop(struct stage *stage)
{
    stage_load_stop(stage);
    close(keeper_pipe);
    waitpid(stage->keeper_pid, NULL, 0);
    for (int i = 0; i < STAGE_WEBS; i++) {
        kill(stage->web_pids[i], SIGKILL);
        waitpid(stage->web_pids[i], NULL, 0);
    }
    munmap(stage->webs, sizeof(*stage->webs) * STAGE_WEBS);
    munmap(stage->load, sizeof(*stage->load));
}

char *stage_file(const struct stage *stage)
{
    struct str text = STR_NULL;
    struct err e;
    if (access(stage->config_path, F_OK) == 0) {
        assert(str_read_file(&text, stage->config_path, 1 << 20, &e) == 0);
    }
    return str_take(&text);
}

void stage_write_file(const struct stage *stage, const char *text)
{
    FILE *file = fopen(stage->config_path, "we");
    assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

char *stage_ask(struct stage *stage, const char *command)
{
    char line[512];
    struct str input = STR_NULL;
    struct err e;
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    snprintf(line, sizeof(line), "socat -t 10 - UNIX-CONNECT:%s", stage->socket_path);
    str_addf(&input, "%s\n", command);
    int runs_left = stage->runs_left;
    stage->runs_left = -1;
    assert(run_here(stage, line, &input, clock_now_ms() + 20000, &output, &e) == 0);
    stage->runs_left = runs_left;
    str_deinit(&input);
    char *text = str_take(&output.out);
    haproxy_output_deinit(&output);
    return text;
}
