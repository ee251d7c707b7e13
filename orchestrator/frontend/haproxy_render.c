#include "frontend/haproxy_render.h"

#include "base/err.h"
#include "frontend/frontend.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_text.h"
#include "frontend/haproxy_word.h"
#include "net/digest.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Idle connections to a target are dropped this soon, so that a leaving one can be deleted soon. */
#define PURGE_DELAY "2s"

void frontend_render(const struct frontend_config *config, struct str *ret_text)
{
    haproxy_render(config, &haproxy_paths_debian, ret_text);
}

static void add_global(struct str *s, const struct haproxy_paths *paths)
{
    str_add(s, "    log ");
    haproxy_add_word(s, paths->log);
    str_add(s, " local0 info\n    chroot ");
    haproxy_add_word(s, paths->chroot);
    str_add(s, "\n    user ");
    haproxy_add_word(s, paths->user);
    str_add(s, "\n    group ");
    haproxy_add_word(s, paths->user);
    str_add(s, "\n    stats socket ");
    haproxy_add_word(s, paths->socket);
    str_add(s, " mode 600 level admin expose-fd listeners\n"
               "    stats timeout 30s\n"
               "    # After a reload the old process ends when its connections do, or then.\n"
               "    hard-stop-after 15m\n");
}

static void add_defaults(struct str *s, const struct frontend_config *config)
{
    str_addf(
        s,
        "\n"
        "defaults\n"
        "    mode http\n"
        "    log global\n"
        "    option httplog\n"
        "    option dontlognull\n"
        "    # Requests that went well are the targets' to log.\n"
        "    option dontlog-normal\n"
        "    option http-ignore-probes\n"
        "    option forwardfor\n"
        "    # After a reload an idle connection gets one more answer, with its end announced: a\n"
        "    # POST that was just on its way is not lost.\n"
        "    option idle-close-on-response\n"
        "    timeout connect 1s\n"
        "    timeout client %" PRId64 "ms\n"
        "    timeout server %" PRId64 "ms\n"
        "    timeout client-fin 30s\n"
        "    timeout tunnel 1h\n"
        "    timeout http-request 10s\n"
        "    timeout http-keep-alive 15s\n"
        "    timeout queue 5s\n"
        "    # A target that dies under a request costs the client nothing, where the request\n"
        "    # may be repeated: every retry goes to another target. A host that is killed\n"
        "    # loses PHP a moment before Apache, which then answers 503 for it.\n"
        "    retries 3\n"
        "    option redispatch 1\n"
        "    retry-on conn-failure empty-response 502 503\n"
        "    http-error status 503 content-type \"text/html; charset=utf-8\" string "
        "\"<!doctype html><title>Back in a moment</title><h1>Back in a moment</h1>"
        "<p>No server is ready to answer. Please try again shortly.\" "
        "hdr Retry-After 5 hdr Cache-Control no-store\n",
        config->idle_timeout_ms, config->idle_timeout_ms);
}

/* PATH itself and what is below it: /admin, /admin/x, not /administrator. */
static void add_route_condition(struct str *s, const char *path)
{
    struct str below = STR_NULL;
    str_add(&below, path);
    bool slash = text_ends(path, "/");
    if (!slash) {
        str_add_char(&below, '/');
        str_add(s, "{ path ");
        haproxy_add_word(s, path);
        str_add(s, " } || ");
    }
    str_add(s, "{ path_beg ");
    haproxy_add_word(s, str_text(&below));
    str_add(s, " }");
    str_deinit(&below);
}

static int compare_routes(const void *a, const void *b)
{
    const struct frontend_route *left = *(const struct frontend_route *const *)a;
    const struct frontend_route *right = *(const struct frontend_route *const *)b;
    size_t length_left = strlen(left->path);
    size_t length_right = strlen(right->path);
    if (length_left != length_right) {
        return length_left > length_right ? -1 : 1;
    }
    return strcmp(left->path, right->path);
}

/* The pool of "/", or NULL. Adds a line for every other route, the longest path first. */
static const char *add_routes(struct str *s, const struct frontend_config *config)
{
    const char *otherwise = NULL;
    const struct frontend_route **sorted = calloc(config->route_count + 1, sizeof(*sorted));
    assert(sorted != NULL);
    for (size_t i = 0; i < config->route_count; i++) {
        sorted[i] = &config->routes[i];
    }
    qsort(sorted, config->route_count, sizeof(*sorted), compare_routes);
    for (size_t i = 0; i < config->route_count; i++) {
        if (strcmp(sorted[i]->path, "/") == 0) {
            otherwise = sorted[i]->pool;
            continue;
        }
        str_addf(s, "    use_backend %s if ", sorted[i]->pool);
        add_route_condition(s, sorted[i]->path);
        str_add_char(s, '\n');
    }
    free(sorted);
    return otherwise;
}

static void add_listener(struct str *s, const struct frontend_config *config, unsigned port)
{
    static const char *const forged[] = {"X-Forwarded-For",
                                         "X-Forwarded-Host",
                                         "X-Forwarded-Server",
                                         "X-Forwarded-Port",
                                         "X-Real-IP",
                                         "Forwarded",
                                         "Proxy"};
    str_addf(s, "\nfrontend %s:%u\n    bind *:%u\n", config->name, port, port);
    str_add(s, "    # Of the balancer itself: 200 while it runs.\n"
               "    monitor-uri /-/balancer\n"
               "    # What only a proxy may say, a client cannot.\n");
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        str_addf(s, "    http-request del-header %s\n", forged[i]);
    }
    str_add(s, "    http-request set-header X-Forwarded-Proto http\n"
               "    # Only GET and HEAD are repeated once a target has had them.\n"
               "    http-request disable-l7-retry unless METH_GET\n");
    const char *otherwise = add_routes(s, config);
    str_addf(s, "    default_backend %s\n", otherwise == NULL ? "lamplighter:no-route" : otherwise);
}

static void add_no_route(struct str *s)
{
    str_add(s,
            "\nbackend lamplighter:no-route\n"
            "    http-request return status 404 content-type text/plain string \"Not found.\"\n");
}

static void add_check(struct str *s, const struct frontend_check *check)
{
    str_addf(s, "    timeout check %" PRId64 "ms\n", check->timeout_ms);
    if (check->tcp_only) {
        return;
    }
    str_add(s, "    option httpchk\n    http-check send meth ");
    haproxy_add_word(s, check->method);
    str_add(s, " uri ");
    haproxy_add_word(s, check->path);
    str_add(s, " ver HTTP/1.1 hdr Host ");
    if (check->host != NULL) {
        haproxy_add_format_word(s, check->host);
    } else {
        str_add(s, "%[srv_name]");
    }
    str_addf(s, " hdr User-Agent lamplighter\n    http-check expect status %u",
             check->expect_first);
    if (check->expect_last != check->expect_first) {
        str_addf(s, "-%u", check->expect_last);
    }
    str_add_char(s, '\n');
}

void haproxy_add_server_options(struct str *s, const struct frontend_pool *pool)
{
    const struct frontend_check *check = &pool->check;
    str_add(s, "check ");
    if (check->port != 0) {
        str_addf(s, "port %u ", check->port);
    }
    str_addf(s, "inter %" PRId64 "ms rise %u fall %u ", check->interval_ms, check->rise,
             check->fall);
    if (pool->slow_start_ms > 0) {
        str_addf(s, "slowstart %" PRId64 "ms ", pool->slow_start_ms);
    }
    str_add(s, "pool-purge-delay " PURGE_DELAY);
}

void haproxy_add_address(struct str *s, const char *address, unsigned port)
{
    const char *form = strchr(address, ':') == NULL ? "%s:%u" : "[%s]:%u";
    struct str text = STR_NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    str_addf(&text, form, address, port);
#pragma GCC diagnostic pop
    str_add(s, str_text(&text));
    str_deinit(&text);
}

/* Each pool has a cookie of its own: behind one frontend a client has one of each. */
static void add_cookie(struct str *s, const struct frontend_pool *pool)
{
    if (pool->cookie_key != NULL) {
        str_addf(s,
                 "    cookie sticky-%s insert indirect nocache httponly attr SameSite=Lax dynamic\n"
                 "    dynamic-cookie-key %s\n",
                 pool->name, pool->cookie_key);
    }
}

static void add_pool(struct str *s, const struct frontend_pool *pool)
{
    str_addf(s, "\nbackend %s\n    balance %s\n", pool->name,
             pool->least_connections ? "leastconn" : "roundrobin");
    add_check(s, &pool->check);
    add_cookie(s, pool);
    str_add(s, "    default-server ");
    haproxy_add_server_options(s, pool);
    str_add_char(s, '\n');
    struct haproxy_server_list list = HAPROXY_SERVER_LIST_NULL;
    for (size_t i = 0; i < pool->member_count; i++) {
        struct str address = STR_NULL;
        haproxy_add_address(&address, pool->members[i].address, pool->members[i].port);
        haproxy_server_list_put(&list, pool->members[i].id, str_text(&address), false);
        str_deinit(&address);
    }
    haproxy_add_servers(s, &list);
    haproxy_server_list_deinit(&list);
}

void haproxy_render(const struct frontend_config *config, const struct haproxy_paths *paths,
                    struct str *ret_text)
{
    struct str body = STR_NULL;
    add_global(&body, paths);
    add_defaults(&body, config);
    for (size_t i = 0; i < config->listener_count; i++) {
        add_listener(&body, config, config->listeners[i].port);
    }
    add_no_route(&body);
    for (size_t i = 0; i < config->pool_count; i++) {
        add_pool(&body, &config->pools[i]);
    }
    struct str skeleton = STR_NULL;
    haproxy_text_skeleton(str_text(&body), &skeleton);
    char digest[DIGEST_TEXT_SIZE];
    digest_text(str_text(&skeleton), skeleton.length, digest);
    str_addf(ret_text,
             "# Made by Lamplighter for frontend %s: changes are undone by the next apply.\n"
             "global\n"
             "    # The digest is of all but the server lines: what needs a reload.\n"
             "    description \"lamplighter %s %.16s\"\n",
             config->name, config->name, digest);
    str_add(ret_text, str_text(&body));
    str_deinit(&skeleton);
    str_deinit(&body);
}

void haproxy_render_description(const struct str *text, struct str *ret_description)
{
    static const char start[] = "    description \"";
    const char *line = strstr(str_text(text), start);
    assert(line != NULL);
    line += sizeof(start) - 1;
    str_add_bytes(ret_description, line, strcspn(line, "\""));
}
