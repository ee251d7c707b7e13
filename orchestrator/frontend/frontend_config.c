/* A configuration as a message, and back. */
#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "frontend/frontend.h"
#include "frontend/haproxy_render.h"

#include <stdlib.h>

enum config_kind { CONFIG_FRONTEND = 0x0601, CONFIG_POOL, CONFIG_MEMBER, CONFIG_ROUTE };

enum config_tag {
    CONFIG_NAME = 1,
    CONFIG_IDLE,
    CONFIG_LISTENER, /* Int: a port each. */
    CONFIG_ROUTES,   /* Message, each. */
    CONFIG_POOLS,
    CONFIG_PATH,
    CONFIG_TO_POOL,
    CONFIG_TCP_ONLY,
    CONFIG_METHOD,
    CONFIG_CHECK_PATH,
    CONFIG_HOST,
    CONFIG_PORT,
    CONFIG_EXPECT_FIRST,
    CONFIG_EXPECT_LAST,
    CONFIG_INTERVAL,
    CONFIG_TIMEOUT,
    CONFIG_RISE,
    CONFIG_FALL,
    CONFIG_LEAST,
    CONFIG_SLOW_START,
    CONFIG_DRAIN,
    CONFIG_MEMBERS,
    CONFIG_ADDRESS,
    CONFIG_COOKIE_KEY,
};

static void put_pool(const struct frontend_pool *pool, struct message *outer)
{
    const struct frontend_check *check = &pool->check;
    struct message m = MESSAGE_NULL;
    message_init(&m, CONFIG_POOL);
    message_put_text(&m, CONFIG_NAME, pool->name);
    message_put_int(&m, CONFIG_TCP_ONLY, check->tcp_only);
    message_put_text(&m, CONFIG_METHOD, check->method);
    message_put_text(&m, CONFIG_CHECK_PATH, check->path);
    message_put_text(&m, CONFIG_HOST, check->host);
    message_put_int(&m, CONFIG_PORT, check->port);
    message_put_int(&m, CONFIG_EXPECT_FIRST, check->expect_first);
    message_put_int(&m, CONFIG_EXPECT_LAST, check->expect_last);
    message_put_int(&m, CONFIG_INTERVAL, check->interval_ms);
    message_put_int(&m, CONFIG_TIMEOUT, check->timeout_ms);
    message_put_int(&m, CONFIG_RISE, check->rise);
    message_put_int(&m, CONFIG_FALL, check->fall);
    message_put_int(&m, CONFIG_LEAST, pool->least_connections);
    message_put_int(&m, CONFIG_SLOW_START, pool->slow_start_ms);
    message_put_int(&m, CONFIG_DRAIN, pool->drain_ms);
    message_put_text(&m, CONFIG_COOKIE_KEY, pool->cookie_key);
    for (size_t i = 0; i < pool->member_count; i++) {
        struct message member = MESSAGE_NULL;
        message_init(&member, CONFIG_MEMBER);
        message_put_text(&member, CONFIG_NAME, pool->members[i].id);
        message_put_text(&member, CONFIG_ADDRESS, pool->members[i].address);
        message_put_int(&member, CONFIG_PORT, pool->members[i].port);
        message_put_message(&m, CONFIG_MEMBERS, &member);
        message_deinit(&member);
    }
    message_put_message(outer, CONFIG_POOLS, &m);
    message_deinit(&m);
}

void frontend_config_encode(const struct frontend_config *config, struct message *ret_message)
{
    message_init(ret_message, CONFIG_FRONTEND);
    message_put_text(ret_message, CONFIG_NAME, config->name);
    message_put_int(ret_message, CONFIG_IDLE, config->idle_timeout_ms);
    for (size_t i = 0; i < config->listener_count; i++) {
        message_put_int(ret_message, CONFIG_LISTENER, config->listeners[i].port);
    }
    for (size_t i = 0; i < config->route_count; i++) {
        struct message route = MESSAGE_NULL;
        message_init(&route, CONFIG_ROUTE);
        message_put_text(&route, CONFIG_PATH, config->routes[i].path);
        message_put_text(&route, CONFIG_TO_POOL, config->routes[i].pool);
        message_put_message(ret_message, CONFIG_ROUTES, &route);
        message_deinit(&route);
    }
    for (size_t i = 0; i < config->pool_count; i++) {
        put_pool(&config->pools[i], ret_message);
    }
}

/*
 * What a decoded configuration borrows from: the messages it was made of. The configuration is the
 * first member, so that its pointer is the storage's.
 */
struct storage {
    struct frontend_config config;
    struct message *messages; /* Owned; never moved once texts of them are borrowed. */
    size_t message_count;
    size_t message_capacity;
    struct frontend_listener *listeners;
    struct frontend_route *routes;
    struct frontend_pool *pools;
    struct frontend_member **members; /* One array a pool. */
};

void frontend_config_free(struct frontend_config *config)
{
    struct storage *s = (struct storage *)config;
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->message_count; i++) {
        message_deinit(&s->messages[i]);
    }
    for (size_t i = 0; i < s->config.pool_count; i++) {
        free(s->members[i]);
    }
    free(s->messages);
    free(s->listeners);
    free(s->routes);
    free(s->pools);
    free(s->members);
    free(s);
}

static size_t count_fields(const struct message *m, uint16_t tag)
{
    struct message_field field;
    size_t position = 0;
    size_t count = 0;
    while (message_next(m, &position, &field)) {
        count += field.tag == tag ? 1 : 0;
    }
    return count;
}

/* A message of its own from FIELD; texts taken from it live as long as S. A growing array moves the
   structs, not the bytes that texts are in. */
static const struct message *keep(struct storage *s, const struct message_field *field,
                                  uint16_t kind, struct err *e)
{
    size_t i =
        xgrow((void **)&s->messages, &s->message_count, &s->message_capacity, sizeof(*s->messages));
    if (field->type != MESSAGE_MESSAGE) {
        err_set(e, "configuration of a frontend: a field of a wrong type");
        return NULL;
    }
    if (message_parse(&s->messages[i], field->bytes, field->length, e) != 0) {
        return NULL;
    }
    if (message_kind(&s->messages[i]) != kind) {
        err_set(e, "configuration of a frontend: a part of a wrong kind");
        return NULL;
    }
    return &s->messages[i];
}

/* Numbers that do not fit become 0, which the check at the end refuses. */
static unsigned small(const struct message *m, uint16_t tag)
{
    int64_t number = message_int(m, tag, 0);
    return number < 0 || number > 0xffffff ? 0 : (unsigned)number;
}

static int take_route(struct storage *s, const struct message_field *field, struct err *e)
{
    const struct message *m = keep(s, field, CONFIG_ROUTE, e);
    if (m == NULL) {
        return -1;
    }
    s->routes[s->config.route_count++] = (struct frontend_route){
        .path = message_text(m, CONFIG_PATH, ""), .pool = message_text(m, CONFIG_TO_POOL, "")};
    return 0;
}

static int take_members(struct storage *s, const struct message *pool, size_t index, struct err *e)
{
    /* A copy of the struct: keep() may move the array that POOL is in, its bytes stay. */
    const struct message m = *pool;
    struct message_field field;
    size_t position = 0;
    size_t count = 0;
    while (message_next(&m, &position, &field)) {
        if (field.tag != CONFIG_MEMBERS) {
            continue;
        }
        const struct message *member = keep(s, &field, CONFIG_MEMBER, e);
        if (member == NULL) {
            return -1;
        }
        s->members[index][count++] =
            (struct frontend_member){.id = message_text(member, CONFIG_NAME, ""),
                                     .address = message_text(member, CONFIG_ADDRESS, ""),
                                     .port = small(member, CONFIG_PORT)};
    }
    return 0;
}

static int take_pool(struct storage *s, const struct message_field *field, struct err *e)
{
    const struct message *m = keep(s, field, CONFIG_POOL, e);
    if (m == NULL) {
        return -1;
    }
    size_t index = s->config.pool_count++;
    size_t member_count = count_fields(m, CONFIG_MEMBERS);
    s->members[index] = xcalloc(member_count, sizeof(**s->members));
    s->pools[index] = (struct frontend_pool){
        .name = message_text(m, CONFIG_NAME, ""),
        .check = {.tcp_only = message_int(m, CONFIG_TCP_ONLY, 0) != 0,
                  .method = message_text(m, CONFIG_METHOD, NULL),
                  .path = message_text(m, CONFIG_CHECK_PATH, NULL),
                  .host = message_text(m, CONFIG_HOST, NULL),
                  .port = small(m, CONFIG_PORT),
                  .expect_first = small(m, CONFIG_EXPECT_FIRST),
                  .expect_last = small(m, CONFIG_EXPECT_LAST),
                  .interval_ms = message_int(m, CONFIG_INTERVAL, 0),
                  .timeout_ms = message_int(m, CONFIG_TIMEOUT, 0),
                  .rise = small(m, CONFIG_RISE),
                  .fall = small(m, CONFIG_FALL)},
        .least_connections = message_int(m, CONFIG_LEAST, 0) != 0,
        .slow_start_ms = message_int(m, CONFIG_SLOW_START, 0),
        .drain_ms = message_int(m, CONFIG_DRAIN, 0),
        .cookie_key = message_text(m, CONFIG_COOKIE_KEY, NULL),
        .members = s->members[index],
        .member_count = member_count,
    };
    return take_members(s, m, index, e);
}

static int take_field(struct storage *s, const struct message_field *field, struct err *e)
{
    switch (field->tag) {
    case CONFIG_LISTENER:
        s->listeners[s->config.listener_count++].port =
            field->type == MESSAGE_INT && field->number > 0 && field->number <= 65535
                ? (unsigned)field->number
                : 0;
        return 0;
    case CONFIG_ROUTES: return take_route(s, field, e);
    case CONFIG_POOLS: return take_pool(s, field, e);
    default: return 0;
    }
}

static int decode(struct storage *s, const struct message *message, struct err *e)
{
    if (message_kind(message) != CONFIG_FRONTEND) {
        return err_set(e, "configuration of a frontend: a message of a wrong kind");
    }
    /* The outer message is kept as well: names are borrowed from it. */
    size_t i =
        xgrow((void **)&s->messages, &s->message_count, &s->message_capacity, sizeof(*s->messages));
    if (message_parse(&s->messages[i], str_text(&message->bytes), message->bytes.length, e) != 0) {
        return -1;
    }
    const struct message outer = s->messages[i];
    s->listeners = xcalloc(count_fields(&outer, CONFIG_LISTENER), sizeof(*s->listeners));
    s->routes = xcalloc(count_fields(&outer, CONFIG_ROUTES), sizeof(*s->routes));
    s->pools = xcalloc(count_fields(&outer, CONFIG_POOLS), sizeof(*s->pools));
    s->members = xcalloc(count_fields(&outer, CONFIG_POOLS), sizeof(*s->members));
    s->config.name = message_text(&outer, CONFIG_NAME, "");
    s->config.idle_timeout_ms = message_int(&outer, CONFIG_IDLE, 0);
    s->config.listeners = s->listeners;
    s->config.routes = s->routes;
    s->config.pools = s->pools;
    struct message_field field;
    size_t position = 0;
    while (message_next(&outer, &position, &field)) {
        if (take_field(s, &field, e) != 0) {
            return -1;
        }
    }
    return haproxy_config_check(&s->config, e);
}

int frontend_config_decode(const struct message *message, struct frontend_config **ret_config,
                           struct err *e)
{
    struct storage *s = xcalloc(1, sizeof(*s));
    if (decode(s, message, e) != 0) {
        frontend_config_free(&s->config);
        return -1;
    }
    *ret_config = &s->config;
    return 0;
}
