/*
 * The child never waits for the parent: what the parent does not take in time is kept and sent
 * later, so that the parent, which may be telling it of a thousand targets just then, never waits
 * for a child that waits for it.
 */
#include "controller/prober.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the child ---- */

/* How long one run of checks lasts when nothing wakes it. */
#define RUN_MS   10000
#define RETRY_MS 20

struct child {
    int socket;
    struct checker *checker; /* NULL: there is none, because of... */
    struct err fault;
    struct message *queue; /* Owned; not yet taken by the parent, oldest first. */
    size_t queue_count;
    size_t queue_capacity;
    bool closed; /* The parent is gone. */
};

static void flush(struct child *c)
{
    size_t sent = 0;
    while (sent < c->queue_count && !c->closed) {
        struct err e;
        enum message_io io = message_send(c->socket, &c->queue[sent], -1, &e);
        if (io == MESSAGE_IO_AGAIN) {
            break;
        }
        c->closed = io != MESSAGE_IO_OK;
        message_deinit(&c->queue[sent++]);
    }
    if (sent > 0) {
        c->queue_count -= sent;
        memmove(c->queue, c->queue + sent, c->queue_count * sizeof(*c->queue));
    }
}

static struct message *enqueue(struct child *c, enum prober_message kind)
{
    size_t i = xgrow((void **)&c->queue, &c->queue_count, &c->queue_capacity, sizeof(*c->queue));
    message_init(&c->queue[i], (uint16_t)kind);
    return &c->queue[i];
}

static void on_transition(void *context, const struct check_transition *transition)
{
    struct child *c = context;
    struct message *m = enqueue(c, PROBER_TRANSITION);
    message_put_text(m, PROBER_ID, transition->id);
    message_put_int(m, PROBER_ROLE, transition->role);
    message_put_int(m, PROBER_TIME, transition->at_ms);
    message_put_int(m, PROBER_HEALTH, transition->health);
    message_put_int(m, PROBER_RESULT, transition->result);
    message_put_int(m, PROBER_DETAIL, transition->detail);
    message_put_text(m, PROBER_TEXT, transition->text);
    flush(c);
}

static unsigned small(const struct message *m, uint16_t tag)
{
    int64_t number = message_int(m, tag, 0);
    return number < 0 || number > 0xffffff ? 0 : (unsigned)number;
}

static enum check_role role_of(const struct message *m)
{
    return message_int(m, PROBER_ROLE, CHECK_READINESS) == CHECK_LIVENESS ? CHECK_LIVENESS
                                                                          : CHECK_READINESS;
}

static void set_target(struct child *c, const struct message *m)
{
    const struct check_target target = {
        .id = message_text(m, PROBER_ID, NULL),
        .role = role_of(m),
        .address = message_text(m, PROBER_ADDRESS, NULL),
        .port = small(m, PROBER_PORT),
        .tcp_only = message_int(m, PROBER_TCP_ONLY, 0) != 0,
        .method = message_text(m, PROBER_METHOD, NULL),
        .path = message_text(m, PROBER_PATH, NULL),
        .host = message_text(m, PROBER_HOST, NULL),
        .expect_first = small(m, PROBER_EXPECT_FIRST),
        .expect_last = small(m, PROBER_EXPECT_LAST),
        .interval_ms = message_int(m, PROBER_INTERVAL, 0),
        .timeout_ms = message_int(m, PROBER_TIMEOUT, 0),
        .rise = small(m, PROBER_RISE),
        .fall = small(m, PROBER_FALL),
    };
    struct err e = c->fault;
    if (c->checker == NULL || checker_set(c->checker, &target, &e) != 0) {
        struct message *refused = enqueue(c, PROBER_REFUSED);
        message_put_text(refused, PROBER_ID, target.id);
        message_put_int(refused, PROBER_ROLE, target.role);
        message_put_int(refused, PROBER_TIME, clock_now_ms());
        message_put_text(refused, PROBER_TEXT, e.text);
    }
}

/* Takes all that the parent has sent. */
static void receive(struct child *c)
{
    for (;;) {
        struct message m = MESSAGE_NULL;
        struct err e;
        enum message_io io = message_receive(c->socket, &m, NULL, &e);
        if (io == MESSAGE_IO_OK) {
            if (message_kind(&m) == PROBER_SET) {
                set_target(c, &m);
            } else if (message_kind(&m) == PROBER_REMOVE && c->checker != NULL) {
                checker_remove(c->checker, message_text(&m, PROBER_ID, ""), role_of(&m));
            }
        }
        message_deinit(&m);
        if (io != MESSAGE_IO_OK) {
            c->closed = c->closed || io != MESSAGE_IO_AGAIN;
            return;
        }
    }
}

/* Checks until DEADLINE_MS or until the parent has said something. */
static int run(struct child *c, int64_t deadline_ms)
{
    struct err e;
    if (c->checker != NULL) {
        return checker_run(c->checker, c->socket, deadline_ms, &e);
    }
    struct pollfd fd = {.fd = c->socket, .events = POLLIN};
    poll(&fd, 1, (int)(deadline_ms - clock_now_ms()));
    return 0;
}

int prober_main(int socket)
{
    struct child c = {.socket = socket, .fault = ERR_NULL};
    signal(SIGPIPE, SIG_IGN);
    if (fcntl(socket, F_SETFL, O_NONBLOCK) != 0) {
        return 1;
    }
    /* Without libcurl it refuses every target: ending would only have another one started. */
    if (checker_new(&c.checker, on_transition, &c, &c.fault) != 0) {
        dprintf(STDERR_FILENO, "lamplighter prober: %s\n", c.fault.text);
    }
    int result = 0;
    while (!c.closed && result == 0) {
        receive(&c);
        flush(&c);
        int64_t deadline_ms = clock_now_ms() + (c.queue_count > 0 ? RETRY_MS : RUN_MS);
        if (!c.closed && run(&c, deadline_ms) != 0) {
            result = 1;
        }
    }
    checker_free(c.checker);
    for (size_t i = 0; i < c.queue_count; i++) {
        message_deinit(&c.queue[i]);
    }
    free(c.queue);
    return result;
}

/* ---- the parent ---- */

struct prober {
    struct process process;
    struct message last; /* What a transition's id is borrowed from. */
};

struct prober *prober_adopt(int socket)
{
    struct prober *p = xcalloc(1, sizeof(*p));
    p->process = PROCESS_NULL;
    p->process.socket = socket;
    p->last = MESSAGE_NULL;
    fcntl(socket, F_SETFL, O_NONBLOCK);
    return p;
}

int prober_start(struct prober **ret_prober, struct spawner *spawner, size_t kind, struct err *e)
{
    struct process process;
    if (process_start(spawner, kind, &process, e) != 0) {
        return err_wrap(e, "start the prober");
    }
    *ret_prober = prober_adopt(process.socket);
    (*ret_prober)->process = process;
    return 0;
}

void prober_free(struct prober *prober)
{
    if (prober == NULL) {
        return;
    }
    process_deinit(&prober->process);
    message_deinit(&prober->last);
    free(prober);
}

int prober_socket(const struct prober *prober)
{
    return prober->process.socket;
}

static int send_message(struct prober *p, const struct message *m, struct err *e)
{
    int64_t deadline_ms = clock_now_ms() + PROBER_SEND_WAIT_MS;
    for (;;) {
        enum message_io io = message_send(p->process.socket, m, -1, e);
        if (io == MESSAGE_IO_OK) {
            return 0;
        }
        if (io == MESSAGE_IO_CLOSED) {
            return err_set(e, "the prober has died");
        }
        if (io == MESSAGE_IO_FAULT) {
            return err_wrap(e, "tell the prober");
        }
        int64_t left_ms = deadline_ms - clock_now_ms();
        if (left_ms <= 0) {
            return err_set(e, "the prober takes no requests");
        }
        struct pollfd fd = {.fd = p->process.socket, .events = POLLOUT};
        poll(&fd, 1, (int)left_ms);
    }
}

int prober_set_target(struct prober *prober, const struct check_target *target, struct err *e)
{
    struct message m = MESSAGE_NULL;
    message_init(&m, PROBER_SET);
    message_put_text(&m, PROBER_ID, target->id);
    message_put_int(&m, PROBER_ROLE, target->role);
    message_put_text(&m, PROBER_ADDRESS, target->address);
    message_put_int(&m, PROBER_PORT, target->port);
    message_put_int(&m, PROBER_TCP_ONLY, target->tcp_only);
    message_put_text(&m, PROBER_METHOD, target->method);
    message_put_text(&m, PROBER_PATH, target->path);
    message_put_text(&m, PROBER_HOST, target->host);
    message_put_int(&m, PROBER_EXPECT_FIRST, target->expect_first);
    message_put_int(&m, PROBER_EXPECT_LAST, target->expect_last);
    message_put_int(&m, PROBER_INTERVAL, target->interval_ms);
    message_put_int(&m, PROBER_TIMEOUT, target->timeout_ms);
    message_put_int(&m, PROBER_RISE, target->rise);
    message_put_int(&m, PROBER_FALL, target->fall);
    int result = send_message(prober, &m, e);
    message_deinit(&m);
    return result;
}

int prober_remove(struct prober *prober, const char *id, enum check_role role, struct err *e)
{
    struct message m = MESSAGE_NULL;
    message_init(&m, PROBER_REMOVE);
    message_put_text(&m, PROBER_ID, id);
    message_put_int(&m, PROBER_ROLE, role);
    int result = send_message(prober, &m, e);
    message_deinit(&m);
    return result;
}

static enum check_health health_of(const struct message *m)
{
    switch (message_int(m, PROBER_HEALTH, CHECK_HEALTH_UNKNOWN)) {
    case CHECK_HEALTHY: return CHECK_HEALTHY;
    case CHECK_UNHEALTHY: return CHECK_UNHEALTHY;
    default: return CHECK_HEALTH_UNKNOWN;
    }
}

static enum check_result result_of(const struct message *m)
{
    int64_t number = message_int(m, PROBER_RESULT, CHECK_NONE);
    return number < CHECK_NONE || number > CHECK_PROTOCOL ? CHECK_NONE : (enum check_result)number;
}

static int take_message(const struct message *m, struct check_transition *ret_transition,
                        struct err *e)
{
    const char *id = message_text(m, PROBER_ID, NULL);
    uint16_t kind = message_kind(m);
    if (id == NULL || (kind != PROBER_TRANSITION && kind != PROBER_REFUSED)) {
        return err_set(e, "the prober talks nonsense (message 0x%04x)", (unsigned)kind);
    }
    *ret_transition = (struct check_transition){
        .id = id, .role = role_of(m), .at_ms = message_int(m, PROBER_TIME, 0)};
    if (kind == PROBER_TRANSITION) {
        ret_transition->health = health_of(m);
        ret_transition->result = result_of(m);
        ret_transition->detail = (long)message_int(m, PROBER_DETAIL, 0);
    }
    text_copy(ret_transition->text, sizeof(ret_transition->text), message_text(m, PROBER_TEXT, ""));
    return 0;
}

int prober_receive(struct prober *prober, struct check_transition *ret_transition, bool *ret_found,
                   struct err *e)
{
    struct message m = MESSAGE_NULL;
    switch (message_receive(prober->process.socket, &m, NULL, e)) {
    case MESSAGE_IO_AGAIN: *ret_found = false; return 0;
    case MESSAGE_IO_CLOSED: return err_set(e, "the prober has died");
    case MESSAGE_IO_FAULT: return err_wrap(e, "hear the prober");
    case MESSAGE_IO_OK: break;
    }
    message_deinit(&prober->last);
    prober->last = m;
    if (take_message(&m, ret_transition, e) != 0) {
        return -1;
    }
    *ret_found = true;
    return 0;
}
