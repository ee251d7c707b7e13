/* A configuration goes to a worker and comes back the same; what is damaged on the way faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/message.h"
#include "frontend/frontend.h"

#include <stdlib.h>
#include <string.h>

static const struct frontend_member members[] = {{.id = "web-1", .address = "10.0.0.1", .port = 80},
                                                 {.id = "web-2", .address = "fd00::2", .port = 80}};
static const struct frontend_listener listeners[] = {{.port = 80}, {.port = 8080}};
static const struct frontend_route routes[] = {{.path = "/admin", .pool = "db"},
                                               {.path = "/", .pool = "web"}};
static const struct frontend_pool pools[] = {
    {.name = "web",
     .check = {.method = "GET",
               .path = "/healthz",
               .host = "shop.example",
               .port = 81,
               .expect_first = 200,
               .expect_last = 299,
               .interval_ms = 2000,
               .timeout_ms = 1000,
               .rise = 2,
               .fall = 3},
     .least_connections = true,
     .slow_start_ms = 10000,
     .drain_ms = 30000,
     .cookie_key = "abcdefgh01234567",
     .members = members,
     .member_count = 2},
    {.name = "db",
     .check = {.tcp_only = true, .interval_ms = 1000, .timeout_ms = 1, .rise = 1, .fall = 1}}};
static const struct frontend_config config = {.name = "my-lb",
                                              .listeners = listeners,
                                              .listener_count = 2,
                                              .routes = routes,
                                              .route_count = 2,
                                              .pools = pools,
                                              .pool_count = 2,
                                              .idle_timeout_ms = 60000};

static void comes_back_the_same(void **state)
{
    (void)state;
    struct message m = MESSAGE_NULL;
    struct message again = MESSAGE_NULL;
    struct frontend_config *back;
    struct err e = ERR_NULL;
    struct str before = STR_NULL;
    struct str after = STR_NULL;
    frontend_config_encode(&config, &m);
    assert_int_equal(frontend_config_decode(&m, &back, &e), 0);
    /* All that is in it is in its encoded form; and it stands on its own. */
    frontend_config_encode(back, &again);
    assert_int_equal(m.bytes.length, again.bytes.length);
    assert_memory_equal(m.bytes.text, again.bytes.text, m.bytes.length);
    message_deinit(&m);
    frontend_render(&config, &before);
    frontend_render(back, &after);
    assert_string_equal(str_text(&before), str_text(&after));
    assert_string_equal(back->pools[0].members[1].address, "fd00::2");
    assert_int_equal(back->pools[0].drain_ms, 30000);
    assert_string_equal(back->pools[0].cookie_key, "abcdefgh01234567");
    assert_null(back->pools[1].cookie_key);
    assert_null(back->pools[1].check.method);
    frontend_config_free(back);
    frontend_config_free(NULL);
    message_deinit(&again);
    str_deinit(&before);
    str_deinit(&after);
}

/* Any byte of it changed to anything: a fault or a configuration that is fine, never a crash. */
static void damage_is_no_crash(void **state)
{
    (void)state;
    struct message m = MESSAGE_NULL;
    size_t refused = 0;
    frontend_config_encode(&config, &m);
    for (size_t i = 0; i < m.bytes.length; i++) {
        static const char values[] = {0, 1, 0x7f, (char)0xff};
        for (size_t v = 0; v < sizeof(values); v++) {
            struct message damaged = MESSAGE_NULL;
            struct err e = ERR_NULL;
            char *bytes = malloc(m.bytes.length);
            memcpy(bytes, m.bytes.text, m.bytes.length);
            bytes[i] = values[v];
            bool parsed = message_parse(&damaged, bytes, m.bytes.length, &e) == 0;
            struct frontend_config *back;
            if (parsed && frontend_config_decode(&damaged, &back, &e) == 0) {
                frontend_config_free(back);
            } else {
                assert_true(e.text[0] != '\0');
                refused++;
            }
            message_deinit(&damaged);
            free(bytes);
        }
    }
    assert_true(refused > m.bytes.length);
    message_deinit(&m);
}

static void another_message_is_refused(void **state)
{
    (void)state;
    struct message m = MESSAGE_NULL;
    struct frontend_config *back;
    struct err e = ERR_NULL;
    message_init(&m, 1);
    assert_int_equal(frontend_config_decode(&m, &back, &e), -1);
    assert_non_null(strstr(e.text, "wrong kind"));
    message_deinit(&m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_the_same),
        cmocka_unit_test(damage_is_no_crash),
        cmocka_unit_test(another_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
