#include "base/err.h"
#include "base/str.h"
#include "spec/spec.h"
#include "spec/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct number_case {
    const char *text;
    int64_t number; /* -1: refused. */
};

static const struct number_case sizes[] = {
    {"0", 0},
    {"512M", 512 << 20},
    {"512MB", 512 << 20},
    {"512MiB", 512 << 20},
    {"4K", 4096},
    {"1G", 1 << 30},
    {"2T", (int64_t)2 << 40},
    {"512", -1},
    {"512m", -1},
    {"512 M", -1},
    {"-1M", -1},
    {"+1M", -1},
    {"1.5G", -1},
    {"M", -1},
    {"", -1},
    {"9223372036854775807K", -1},
    {"99999999999999999999999999K", -1},
};
static const struct number_case durations[] = {
    {"0", 0},        {"250ms", 250},   {"2s", 2000},    {"5min", 300000}, {"5m", 300000},
    {"1h", 3600000}, {"1d", 86400000}, {"5", -1},       {"5 s", -1},      {"s", -1},
    {"5sec", -1},    {"", -1},         {"1h30min", -1},
};
static const struct number_case percents[] = {
    {"0%", 0}, {"90%", 90}, {"90", -1}, {"%", -1}, {"90 %", -1}, {"0", -1},
};

static void check_numbers(const struct number_case *cases, size_t count,
                          bool (*parse)(const char *, int64_t *))
{
    for (size_t i = 0; i < count; i++) {
        int64_t number = -1;
        bool good = parse(cases[i].text, &number);
        if (good != (cases[i].number >= 0) || number != cases[i].number) {
            fail_msg("'%s': %d, %lld", cases[i].text, good, (long long)number);
        }
    }
}

#define CHECK_NUMBERS(cases, parse) check_numbers(cases, sizeof(cases) / sizeof((cases)[0]), parse)

static void test_numbers(void **state)
{
    (void)state;
    CHECK_NUMBERS(sizes, value_size);
    CHECK_NUMBERS(durations, value_duration);
    CHECK_NUMBERS(percents, value_percent);
}

static void test_addresses(void **state)
{
    (void)state;
    uint32_t address = 7;
    assert_true(value_address("10.77.1.10", &address));
    assert_int_equal(address, 0x0a4d010a);
    assert_false(value_address("0.0.0.0", &address));
    assert_false(value_address("10.77.1", &address));
    assert_false(value_address("10.77.1.256", &address));
    assert_false(value_address("::1", &address));
    assert_int_equal(address, 0x0a4d010a);
}

struct word_case {
    const char *text;
    bool good;
};

static void test_host_names(void **state)
{
    (void)state;
    static const struct word_case cases[] = {
        {"10.0.0.1", true},
        {"::1", true},
        {"db-1.example.org", true},
        {"db", true},
        {"", false},
        {"10.0.0.300", false},
        {"10.0", false},
        {"-db", false},
        {"a..b", false},
        {".a", false},
        {"a b", false},
        {"a;b", false},
        {"a/b", false},
        {"fe80::1%eth0", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (value_is_host_name(cases[i].text) != cases[i].good) {
            fail_msg("'%s'", cases[i].text);
        }
    }
}

static void test_users_and_variables(void **state)
{
    (void)state;
    assert_true(value_is_user("deploy"));
    assert_true(value_is_user("_apt"));
    assert_false(value_is_user(""));
    assert_false(value_is_user("-oProxyCommand"));
    assert_false(value_is_user("1st"));
    assert_false(value_is_user("a@b"));
    assert_true(value_is_line("sh -c 'a && b'", 4096));
    assert_true(value_is_line("a\tb", 3));
    assert_true(value_is_line("gr\303\274n", 5));
    assert_false(value_is_line("a\tb", 2));
    assert_false(value_is_line("", 9));
    assert_false(value_is_line(" \t ", 9));
    assert_false(value_is_line("a\nb", 9));
    assert_false(value_is_line("a\033[31m", 9));
    assert_false(value_is_line("a\177", 9));
    assert_true(value_is_variable("max-workers"));
    assert_true(value_is_variable("memory_limit"));
    assert_false(value_is_variable(""));
    assert_false(value_is_variable("a.b"));
    assert_false(value_is_variable("-a"));
}

static void test_url_paths(void **state)
{
    (void)state;
    assert_true(value_is_url_path("/", false));
    assert_true(value_is_url_path("/a/b%20c~", false));
    assert_true(value_is_url_path("/a?b=c", true));
    assert_false(value_is_url_path("/a?b=c", false));
    assert_false(value_is_url_path("a", true));
    assert_false(value_is_url_path("", true));
    assert_false(value_is_url_path("/a\"b", true));
    assert_false(value_is_url_path("/a'b", true));
    assert_false(value_is_url_path("/a\\b", true));
    assert_false(value_is_url_path("/a b", true));
    assert_false(value_is_url_path("/a#b", true));
}

#define BLOB  "AAAAC3NzaC1lZDI1NTE5AAAAIG1cnpWq0H2ITc0pLUB9OkGdrL3ZLw0M6rKcHoWEAWxK"
#define PRINT "SHA256:0bUT8Mqt8kX1CjJiCDUNrQ6wOqwGW1y4HgMOaxWq6Fw"

static void test_host_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text, *key;
    } cases[] = {
        {PRINT, PRINT},
        {"ssh-ed25519 " BLOB, "ssh-ed25519 " BLOB},
        {"ssh-ed25519  " BLOB " root@db 1", "ssh-ed25519 " BLOB},
        {PRINT "=", NULL},
        {"SHA256:short", NULL},
        {"MD5:aa:bb", NULL},
        {"ssh-ed25519", NULL},
        {"ssh-ed25519 " BLOB "A", NULL},
        {"ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAABAQ", NULL},
        {"ssh-ed25519 " BLOB "\nssh-ed25519 " BLOB, NULL},
        {"ssh-rsa " BLOB, NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *key = value_host_key(cases[i].text);
        if (!text_equal(key, cases[i].key)) {
            fail_msg("'%s': %s", cases[i].text, key == NULL ? "refused" : key);
        }
        free(key);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    struct spec_zone zone = {.name = NULL};
    struct err e = ERR_NULL;
    assert_int_equal(value_addresses("10.0.0.10-10.0.0.99", &zone, &e), 0);
    assert_int_equal(zone.prefix_length, 24);
    assert_int_equal(value_addresses("10.0.0.10-10.0.0.10/30", &zone, &e), 0);
    assert_int_equal(zone.prefix_length, 30);
    assert_int_equal(zone.address_first, zone.address_last);
    static const char *const bad[] = {"",
                                      "-",
                                      "10.0.0.10",
                                      "10.0.0.10-",
                                      "10.0.0.10-10.0.0.99/",
                                      "10.0.0.10-10.0.0.99/7",
                                      "10.0.0.10-10.0.0.99/31",
                                      "10.0.0.10-10.0.0.99/24/24",
                                      "10.0.0.99-10.0.0.10",
                                      "10.0.0.0-10.0.0.10",
                                      "10.0.0.10-10.0.1.10",
                                      "10.0.0.10 - 10.0.0.99",
                                      "10.0.0.10-10.0.0.9999999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e = ERR_NULL;
        if (value_addresses(bad[i], &zone, &e) == 0 || *e.text == '\0') {
            fail_msg("'%s'", bad[i]);
        }
    }
    assert_int_equal(zone.prefix_length, 30);
}

static void free_check(struct spec_check *check)
{
    free(check->method);
    free(check->path);
    free(check->host);
}

static void test_checks(void **state)
{
    (void)state;
    struct spec_check check = {.method = NULL};
    struct err e = ERR_NULL;
    assert_int_equal(value_check("GET / expect 200 every 2s fall 2 rise 2 timeout 1s", &check, &e),
                     0);
    assert_int_equal(value_check("HEAD /x?y=1 host shop.example.org port 8080 expect 200-399 "
                                 "every 10s rise 3",
                                 &check, &e),
                     0);
    assert_string_equal(check.method, "HEAD");
    assert_string_equal(check.path, "/x?y=1");
    assert_string_equal(check.host, "shop.example.org");
    assert_int_equal(check.port, 8080);
    assert_int_equal(check.expect_last, 399);
    assert_int_equal(check.interval_ms, 10000);
    assert_int_equal(check.timeout_ms, 1000); /* As it was. */
    assert_int_equal(check.rise, 3);
    assert_int_equal(check.fall, 2);

    /* A refused one changes nothing. */
    assert_int_equal(value_check("GET / every never", &check, &e), -1);
    assert_string_equal(check.path, "/x?y=1");

    /* A timeout that was left out gives way to the interval. */
    assert_int_equal(value_check("TCP every 500ms", &check, &e), 0);
    assert_true(check.tcp_only);
    assert_null(check.method);
    assert_null(check.host);
    assert_int_equal(check.port, 0);
    assert_int_equal(check.timeout_ms, 500);
    free_check(&check);
}

static void test_check_with_a_long_word(void **state)
{
    (void)state;
    char text[4000];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    text[sizeof(text) - 1] = '\0';
    struct spec_check check = {.interval_ms = 2000, .timeout_ms = 1000};
    struct err e = ERR_NULL;
    assert_int_equal(value_check(text, &check, &e), -1);
    free_check(&check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_host_names),
        cmocka_unit_test(test_users_and_variables),
        cmocka_unit_test(test_url_paths),
        cmocka_unit_test(test_host_keys),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_check_with_a_long_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
