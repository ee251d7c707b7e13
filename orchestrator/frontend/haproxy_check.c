/* What must hold of every value before it comes near HAProxy. */
#include "base/err.h"
#include "base/str.h"
#include "frontend/frontend.h"
#include "frontend/haproxy_render.h"
#include "frontend/haproxy_word.h"

#include <arpa/inet.h>
#include <string.h>

/* Ids and addresses of members go on one line of the runtime API, pools on one page of stats. */
#define PORT_MAX     65535
#define SPAN_MAX_MS  (24LL * 3600 * 1000)
#define STATUS_FIRST 100
#define STATUS_LAST  599

int haproxy_name_check(const char *name, struct err *e)
{
    if (name == NULL || !text_is_name(name)) {
        return err_set(e, "'%.80s' is no name for HAProxy: expected a-z, 0-9 and '-'",
                       name == NULL ? "" : name);
    }
    return 0;
}

int haproxy_address_check(const char *address, unsigned port, struct err *e)
{
    unsigned char binary[16];
    if (address == NULL ||
        (inet_pton(AF_INET, address, binary) != 1 && inet_pton(AF_INET6, address, binary) != 1)) {
        return err_set(e, "'%.80s' is no IP address", address == NULL ? "" : address);
    }
    if (port == 0 || port > PORT_MAX) {
        return err_set(e, "port %u: expected 1 to %d", port, PORT_MAX);
    }
    return 0;
}

static bool is_span(int64_t span_ms, int64_t least)
{
    return span_ms >= least && span_ms <= SPAN_MAX_MS;
}

static int path_check(const char *path, struct err *e)
{
    if (path == NULL || path[0] != '/' || !haproxy_word_is_safe(path) ||
        strchr(path, ' ') != NULL) {
        return err_set(e, "path '%.80s': expected '/' and printable letters, no space",
                       path == NULL ? "" : path);
    }
    return 0;
}

static int health_check(const struct frontend_check *check, struct err *e)
{
    if (!is_span(check->interval_ms, 1) || !is_span(check->timeout_ms, 1) || check->rise == 0 ||
        check->fall == 0 || check->rise > 1000 || check->fall > 1000 || check->port > PORT_MAX) {
        return err_set(e, "check: interval, timeout, rise, fall or port out of range");
    }
    if (check->tcp_only) {
        return 0;
    }
    if (check->method == NULL || *check->method == '\0' ||
        strspn(check->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(check->method) ||
        strlen(check->method) > 16) {
        return err_set(e, "check: '%.40s' is no HTTP method",
                       check->method == NULL ? "" : check->method);
    }
    if (check->host != NULL && (*check->host == '\0' || !haproxy_word_is_safe(check->host) ||
                                strchr(check->host, ' ') != NULL)) {
        return err_set(e, "check: '%.80s' is no host name", check->host);
    }
    if (check->expect_first < STATUS_FIRST || check->expect_last > STATUS_LAST ||
        check->expect_first > check->expect_last) {
        return err_set(e, "check: expected status %u-%u: %d to %d can be", check->expect_first,
                       check->expect_last, STATUS_FIRST, STATUS_LAST);
    }
    return path_check(check->path, e) == 0 ? 0 : err_wrap(e, "check");
}

bool frontend_cookie_key_is_good(const char *key)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t length = strlen(key);
    return length >= 16 && length <= 64 && strspn(key, letters) == length;
}

static int pool_check(const struct frontend_pool *pool, struct err *e)
{
    if (health_check(&pool->check, e) != 0) {
        return -1;
    }
    if (pool->cookie_key != NULL && !frontend_cookie_key_is_good(pool->cookie_key)) {
        return err_set(e, "the key of its cookies is not 16 to 64 letters and digits");
    }
    if (!is_span(pool->slow_start_ms, 0) || !is_span(pool->drain_ms, 0)) {
        return err_set(e, "slow-start or drain out of range");
    }
    for (size_t i = 0; i < pool->member_count; i++) {
        const struct frontend_member *member = &pool->members[i];
        if (haproxy_name_check(member->id, e) != 0) {
            return -1;
        }
        if (haproxy_address_check(member->address, member->port, e) != 0) {
            return err_wrap(e, "%s", member->id);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(pool->members[j].id, member->id) == 0) {
                return err_set(e, "%s is in it twice", member->id);
            }
        }
    }
    return 0;
}

static bool has_pool(const struct frontend_config *config, const char *name)
{
    for (size_t i = 0; i < config->pool_count; i++) {
        if (text_equal(config->pools[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int routes_check(const struct frontend_config *config, struct err *e)
{
    for (size_t i = 0; i < config->route_count; i++) {
        const struct frontend_route *route = &config->routes[i];
        if (path_check(route->path, e) != 0) {
            return err_wrap(e, "route");
        }
        if (!has_pool(config, route->pool)) {
            return err_set(e, "route %s: no pool '%.80s'", route->path,
                           route->pool == NULL ? "" : route->pool);
        }
    }
    return 0;
}

int haproxy_config_check(const struct frontend_config *config, struct err *e)
{
    if (haproxy_name_check(config->name, e) != 0) {
        return -1;
    }
    if (!is_span(config->idle_timeout_ms, 1)) {
        return err_set(e, "frontend %s: idle timeout out of range", config->name);
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].port == 0 || config->listeners[i].port > PORT_MAX) {
            return err_set(e, "frontend %s: port %u: expected 1 to %d", config->name,
                           config->listeners[i].port, PORT_MAX);
        }
    }
    for (size_t i = 0; i < config->pool_count; i++) {
        if (haproxy_name_check(config->pools[i].name, e) != 0) {
            return -1;
        }
        if (pool_check(&config->pools[i], e) != 0) {
            return err_wrap(e, "pool %s", config->pools[i].name);
        }
    }
    return routes_check(config, e) == 0 ? 0 : err_wrap(e, "frontend %s", config->name);
}
