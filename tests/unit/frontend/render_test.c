/* What is rendered, and the server lines of it read and changed. That HAProxy takes it, and does
   what it says, is tests/conformance/frontend_haproxy_test.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "frontend/frontend.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_render.h"
#include "frontend/haproxy_word.h"

#include <stdlib.h>
#include <string.h>

static struct frontend_listener listeners[] = {{.port = 80}, {.port = 8080}};
static struct frontend_route routes[] = {{.path = "/", .pool = "web"},
                                         {.path = "/a", .pool = "admin"},
                                         {.path = "/a/longer/", .pool = "web"}};
static struct frontend_member members[] = {{.id = "web-10", .address = "10.0.0.10", .port = 80},
                                           {.id = "web-9", .address = "fd00::9", .port = 80},
                                           {.id = "web-2", .address = "10.0.0.2", .port = 80}};
static struct frontend_pool pools[2];

static struct frontend_config make_config(void)
{
    for (int i = 0; i < 2; i++) {
        pools[i] = (struct frontend_pool){
            .name = i == 0 ? "web" : "admin",
            .check = {.method = "GET",
                      .path = "/healthz",
                      .host = i == 0 ? "100%.example" : NULL,
                      .port = i == 0 ? 0 : 81,
                      .expect_first = 200,
                      .expect_last = i == 0 ? 200 : 399,
                      .interval_ms = 2000,
                      .timeout_ms = 1000,
                      .rise = 2,
                      .fall = 3},
            .least_connections = i == 1,
            .slow_start_ms = i == 0 ? 10000 : 0,
            .drain_ms = 30000,
            .cookie_key = i == 0 ? "abcdefgh01234567" : NULL,
            .members = i == 0 ? members : NULL,
            .member_count = i == 0 ? 3 : 0,
        };
    }
    return (struct frontend_config){.name = "my-lb",
                                    .listeners = listeners,
                                    .listener_count = 2,
                                    .routes = routes,
                                    .route_count = 3,
                                    .pools = pools,
                                    .pool_count = 2,
                                    .idle_timeout_ms = 60000};
}

static char *render(const struct frontend_config *config)
{
    struct str text = STR_NULL;
    struct err e = ERR_NULL;
    if (haproxy_config_check(config, &e) != 0) {
        fail_msg("%s", e.text);
    }
    frontend_render(config, &text);
    return str_take(&text);
}

static void says_what_the_configuration_says(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "\nfrontend my-lb:80\n    bind *:80\n",
        "\nfrontend my-lb:8080\n    bind *:8080\n",
        /* The longest path first; a boundary after it. */
        "    use_backend web if { path_beg /a/longer/ }\n"
        "    use_backend admin if { path /a } || { path_beg /a/ }\n"
        "    default_backend web\n",
        "    timeout client 60000ms\n",
        "    http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host '100%%.example' ",
        "    http-check expect status 200\n",
        "    http-check expect status 200-399\n",
        " hdr Host %[srv_name] ",
        "    default-server check inter 2000ms rise 2 fall 3 slowstart 10000ms pool-purge-delay ",
        "    default-server check port 81 inter 2000ms rise 2 fall 3 pool-purge-delay ",
        "\nbackend web\n    balance roundrobin\n",
        "    cookie sticky-web insert indirect nocache httponly attr SameSite=Lax dynamic\n"
        "    dynamic-cookie-key abcdefgh01234567\n"
        "    default-server ",
        "\nbackend admin\n    balance leastconn\n",
        /* In the order of people. */
        ("    server web-2 10.0.0.2:80\n    server web-9 [fd00::9]:80\n"
         "    server web-10 10.0.0.10:80\n"),
        "    stats socket /run/haproxy/admin.sock mode 600 level admin expose-fd listeners\n",
        "    retry-on conn-failure empty-response 502 503\n",
    };
    struct frontend_config config = make_config();
    char *text = render(&config);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strstr(text, wanted[i]) == NULL) {
            fail_msg("lacks:\n%s\nin:\n%s", wanted[i], text);
        }
    }
    assert_null(strstr(text, "sticky-admin"));
    char *again = render(&config);
    assert_string_equal(text, again);
    free(text);
    free(again);
}

static void only_connects_for_a_tcp_check(void **state)
{
    (void)state;
    struct frontend_config config = make_config();
    pools[0].check = (struct frontend_check){
        .tcp_only = true, .interval_ms = 1000, .timeout_ms = 500, .rise = 1, .fall = 1};
    config.pool_count = 1;
    config.route_count = 1;
    char *text = render(&config);
    assert_null(strstr(text, "httpchk"));
    assert_null(strstr(text, "http-check"));
    assert_non_null(strstr(text, "    timeout check 500ms\n"));
    free(text);
}

static void description_of(const char *text, struct str *ret_description)
{
    struct str whole = STR_NULL;
    str_add(&whole, text);
    haproxy_render_description(&whole, ret_description);
    str_deinit(&whole);
}

/* The description changes with what needs a reload, and with nothing else. */
static void describes_its_skeleton(void **state)
{
    (void)state;
    struct str first = STR_NULL;
    struct str second = STR_NULL;
    struct str third = STR_NULL;
    struct frontend_config config = make_config();
    char *text = render(&config);
    description_of(text, &first);
    free(text);
    assert_true(text_starts(str_text(&first), "lamplighter my-lb "));
    pools[0].member_count = 1;
    text = render(&config);
    description_of(text, &second);
    free(text);
    assert_string_equal(str_text(&first), str_text(&second));
    pools[0].check.fall = 4;
    text = render(&config);
    description_of(text, &third);
    free(text);
    assert_string_not_equal(str_text(&first), str_text(&third));
    str_deinit(&first);
    str_deinit(&second);
    str_deinit(&third);
}

static void server_lines_are_read_and_changed(void **state)
{
    (void)state;
    struct frontend_config config = make_config();
    char *text = render(&config);
    struct haproxy_server_list list = HAPROXY_SERVER_LIST_NULL;
    assert_true(haproxy_text_servers(text, "web", &list));
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].id, "web-2");
    assert_string_equal(list.items[1].address, "[fd00::9]:80");
    haproxy_server_list_put(&list, "web-3", "10.0.0.3:80", true);
    assert_true(haproxy_server_list_remove(&list, "web-9"));
    assert_false(haproxy_server_list_remove(&list, "web-9"));
    struct str changed = STR_NULL;
    haproxy_text_set_servers(text, "web", &list, &changed);
    assert_non_null(strstr(str_text(&changed), "    server web-2 10.0.0.2:80\n"
                                               "    server web-3 10.0.0.3:80 disabled\n"
                                               "    server web-10 10.0.0.10:80\n\nbackend admin"));
    haproxy_server_list_deinit(&list);
    /* And back: nothing else was touched. */
    struct str back = STR_NULL;
    assert_true(haproxy_text_servers(text, "web", &list));
    haproxy_text_set_servers(str_text(&changed), "web", &list, &back);
    assert_string_equal(str_text(&back), text);
    haproxy_server_list_deinit(&list);
    assert_true(haproxy_text_servers(text, "admin", &list));
    assert_int_equal(list.count, 0);
    assert_false(haproxy_text_servers(text, "we", &list));
    assert_false(haproxy_text_servers("", "web", &list));
    str_deinit(&changed);
    str_deinit(&back);
    free(text);
}

/* What must never come near HAProxy: each faults, and says what. */
struct bad {
    const char *label;
    void (*spoil)(struct frontend_config *config);
    const char *says;
};
static void spoil_name(struct frontend_config *c)
{
    c->name = "my lb";
}
static void spoil_pool_name(struct frontend_config *c)
{
    (void)c;
    pools[0].name = "web\n    server evil 1.2.3.4:80";
}
static void spoil_route(struct frontend_config *c)
{
    static struct frontend_route route[] = {{.path = "/ }\nfrontend x", .pool = "web"}};
    c->routes = route;
    c->route_count = 1;
}
static void spoil_route_pool(struct frontend_config *c)
{
    static struct frontend_route route[] = {{.path = "/", .pool = "wbe"}};
    c->routes = route;
    c->route_count = 1;
}
static void spoil_port(struct frontend_config *c)
{
    static struct frontend_listener listener = {.port = 65536};
    c->listeners = &listener;
    c->listener_count = 1;
}
static void spoil_host(struct frontend_config *c)
{
    (void)c;
    pools[0].check.host = "a\r\nX-Evil: 1";
}
static void spoil_check_path(struct frontend_config *c)
{
    (void)c;
    pools[0].check.path = "healthz";
}
static void spoil_method(struct frontend_config *c)
{
    (void)c;
    pools[0].check.method = "GET /";
}
static void spoil_status(struct frontend_config *c)
{
    (void)c;
    pools[0].check.expect_first = 500;
}
static void spoil_interval(struct frontend_config *c)
{
    (void)c;
    pools[0].check.interval_ms = 0;
}
static void spoil_cookie_key(struct frontend_config *c)
{
    (void)c;
    pools[0].cookie_key = "abcdefgh01234567\n    server evil 1.2.3.4:80";
}
static void spoil_cookie_key_length(struct frontend_config *c)
{
    (void)c;
    pools[0].cookie_key = "abcdefgh0123456";
}
static void spoil_address(struct frontend_config *c)
{
    static struct frontend_member member = {.id = "web-1", .address = "web-1.example", .port = 80};
    (void)c;
    pools[0].members = &member;
    pools[0].member_count = 1;
}
static void spoil_id(struct frontend_config *c)
{
    static struct frontend_member member = {
        .id = "web-1; del server", .address = "10.0.0.1", .port = 80};
    (void)c;
    pools[0].members = &member;
    pools[0].member_count = 1;
}
static void spoil_twice(struct frontend_config *c)
{
    static struct frontend_member twice[] = {{.id = "web-1", .address = "10.0.0.1", .port = 80},
                                             {.id = "web-1", .address = "10.0.0.2", .port = 80}};
    (void)c;
    pools[0].members = twice;
    pools[0].member_count = 2;
}

static void values_that_could_do_harm_are_refused(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        {"name", spoil_name, "'my lb' is no name"},
        {"pool name", spoil_pool_name, "is no name"},
        {"route", spoil_route, "route: path"},
        {"route's pool", spoil_route_pool, "route /: no pool 'wbe'"},
        {"port", spoil_port, "port 65536"},
        {"host", spoil_host, "is no host name"},
        {"check path", spoil_check_path, "path 'healthz'"},
        {"method", spoil_method, "no HTTP method"},
        {"status", spoil_status, "expected status 500-200"},
        {"interval", spoil_interval, "out of range"},
        {"cookie key", spoil_cookie_key,
         "pool web: the key of its cookies is not 16 to 64 letters"},
        {"short cookie key", spoil_cookie_key_length, "the key of its cookies"},
        {"address", spoil_address, "web-1: 'web-1.example' is no IP address"},
        {"id", spoil_id, "is no name"},
        {"twice", spoil_twice, "web-1 is in it twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frontend_config config = make_config();
        struct err e = ERR_NULL;
        cases[i].spoil(&config);
        if (haproxy_config_check(&config, &e) == 0 || strstr(e.text, cases[i].says) == NULL) {
            fail_msg("%s: said '%s'", cases[i].label, e.text);
        }
    }
}

static void words_are_quoted_when_they_must_be(void **state)
{
    (void)state;
    static const struct {
        const char *word, *quoted, *format;
    } cases[] = {
        {"plain-1.2_3/4:5@6,7", "plain-1.2_3/4:5@6,7", "plain-1.2_3/4:5@6,7"},
        {"", "''", "''"},
        {"a b", "'a b'", "'a b'"},
        {"it's", "'it'\\''s'", "'it'\\''s'"},
        {"$HOME", "'$HOME'", "'$HOME'"},
        {"100%", "'100%'", "'100%%'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str word = STR_NULL;
        struct str format = STR_NULL;
        haproxy_add_word(&word, cases[i].word);
        haproxy_add_format_word(&format, cases[i].word);
        assert_string_equal(str_text(&word), cases[i].quoted);
        assert_string_equal(str_text(&format), cases[i].format);
        str_deinit(&word);
        str_deinit(&format);
    }
    assert_true(haproxy_word_is_safe("it's"));
    assert_false(haproxy_word_is_safe("a\nb"));
    assert_false(haproxy_word_is_safe("\x7f"));
    assert_false(haproxy_word_is_safe("\xc3\xa4"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_configuration_says),
        cmocka_unit_test(only_connects_for_a_tcp_check),
        cmocka_unit_test(describes_its_skeleton),
        cmocka_unit_test(server_lines_are_read_and_changed),
        cmocka_unit_test(values_that_could_do_harm_are_refused),
        cmocka_unit_test(words_are_quoted_when_they_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
