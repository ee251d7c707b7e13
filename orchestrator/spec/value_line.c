/* Values that are small languages of their own: check lines and address ranges. */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "spec/spec.h"
#include "spec/value.h"

#include <stdlib.h>
#include <string.h>

#define WORD_SIZE 1100

/* Copies the next word of *AT and moves behind it; false at the end. Too long a word is cut: no
   word of these languages is that long, so it is refused like any other unknown one. */
static bool next_word(const char **at, char *ret_word)
{
    *at += strspn(*at, " \t\n");
    size_t length = strcspn(*at, " \t\n");
    text_copy(ret_word, length + 1 < WORD_SIZE ? length + 1 : WORD_SIZE, *at);
    *at += length;
    return length > 0;
}

/* Splits TEXT at the first SEPARATOR into HEAD (SIZE bytes) and the rest, which it returns; NULL
   when there is none or the head does not fit. */
static const char *split(const char *text, char separator, char *ret_head, size_t size)
{
    const char *at = strchr(text, separator);
    if (at == NULL || (size_t)(at - text) >= size) {
        return NULL;
    }
    text_copy(ret_head, (size_t)(at - text) + 1, text);
    return at + 1;
}

static uint32_t network_mask(unsigned prefix_length)
{
    return prefix_length == 0 ? 0 : ~(uint32_t)0 << (32 - prefix_length);
}

static int check_range(const struct spec_zone *zone, const char *text, struct err *e)
{
    uint32_t mask = network_mask(zone->prefix_length);
    uint32_t first = zone->address_first;
    uint32_t last = zone->address_last;
    char a[16];
    char b[16];
    spec_address_to_string(first & mask, a, sizeof(a));
    spec_address_to_string(first | ~mask, b, sizeof(b));
    if (first > last) {
        return err_set(e, "the first address comes after the last in '%s'", text);
    }
    if ((first & mask) != (last & mask)) {
        return err_set(e,
                       "expected addresses of one network, got '%s'; with a prefix of %u it is "
                       "%s-%s",
                       text, zone->prefix_length, a, b);
    }
    if (first == (first & mask) || last == (first | ~mask)) {
        return err_set(e, "%s and %s are the network's own, not for hosts (prefix %u)", a, b,
                       zone->prefix_length);
    }
    return 0;
}

int value_addresses(const char *text, struct spec_zone *zone, struct err *e)
{
    struct spec_zone range = {.prefix_length = 24};
    char first[32];
    char last[32];
    const char *rest = split(text, '-', first, sizeof(first));
    const char *prefix = rest == NULL ? NULL : split(rest, '/', last, sizeof(last));
    int64_t length = 24;
    if (rest != NULL && prefix == NULL && strlen(rest) < sizeof(last)) {
        text_copy(last, sizeof(last), rest);
    }
    if (rest == NULL || (prefix == NULL && strlen(rest) >= sizeof(last)) ||
        !value_address(first, &range.address_first) || !value_address(last, &range.address_last) ||
        (prefix != NULL && !text_to_int(prefix, 8, 30, &length))) {
        return err_set(e, "expected FIRST-LAST[/PREFIX] such as 10.77.1.10-10.77.1.99/16, got '%s'",
                       text);
    }
    range.prefix_length = (unsigned)length;
    if (check_range(&range, text, e) != 0) {
        return -1;
    }
    zone->address_first = range.address_first;
    zone->address_last = range.address_last;
    zone->prefix_length = range.prefix_length;
    return 0;
}

static int take_count(const char *option, const char *text, int64_t min, int64_t max,
                      unsigned *ret_count, struct err *e)
{
    int64_t count;
    if (!text_to_int(text, min, max, &count)) {
        return err_set(e, "after '%s' expected a whole number from %d to %d, got '%s'", option,
                       (int)min, (int)max, text);
    }
    *ret_count = (unsigned)count;
    return 0;
}

static int take_duration(const char *option, const char *text, int64_t *ret_ms, struct err *e)
{
    int64_t ms;
    if (!value_duration(text, &ms) || ms < 10 || ms > 300000) {
        return err_set(e, "after '%s' expected a duration from 10ms to 5min, got '%s'", option,
                       text);
    }
    *ret_ms = ms;
    return 0;
}

/* "200" or "200-399" */
static int take_expect(const char *text, struct spec_check *check, struct err *e)
{
    char head[8];
    const char *rest = split(text, '-', head, sizeof(head));
    int64_t first;
    int64_t last;
    if (!text_to_int(rest == NULL ? text : head, 100, 599, &first) ||
        !text_to_int(rest == NULL ? text : rest, 100, 599, &last) || first > last) {
        return err_set(e,
                       "after 'expect' expected a status code or a range such as 200-399, got "
                       "'%s'",
                       text);
    }
    check->expect_first = (unsigned)first;
    check->expect_last = (unsigned)last;
    return 0;
}

static int take_host(const char *text, struct spec_check *check, struct err *e)
{
    if (!value_is_host_name(text)) {
        return err_set(e, "after 'host' expected a host's name, got '%s'", text);
    }
    free(check->host);
    check->host = xstrdup(text);
    return 0;
}

enum option {
    OPTION_EXPECT,
    OPTION_EVERY,
    OPTION_TIMEOUT,
    OPTION_FALL,
    OPTION_RISE,
    OPTION_PORT,
    OPTION_HOST
};
static const char *const options[] = {
    [OPTION_EXPECT] = "expect", [OPTION_EVERY] = "every", [OPTION_TIMEOUT] = "timeout",
    [OPTION_FALL] = "fall",     [OPTION_RISE] = "rise",   [OPTION_PORT] = "port",
    [OPTION_HOST] = "host"};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static int take_option(enum option option, const char *value, struct spec_check *check,
                       struct err *e)
{
    switch (option) {
    case OPTION_EXPECT: return take_expect(value, check, e);
    case OPTION_EVERY: return take_duration("every", value, &check->interval_ms, e);
    case OPTION_TIMEOUT: return take_duration("timeout", value, &check->timeout_ms, e);
    case OPTION_FALL: return take_count("fall", value, 1, 100, &check->fall, e);
    case OPTION_RISE: return take_count("rise", value, 1, 100, &check->rise, e);
    case OPTION_PORT: return take_count("port", value, 1, 65535, &check->port, e);
    case OPTION_HOST: return take_host(value, check, e);
    }
    return -1;
}

static int take_options(const char *at, struct spec_check *check, struct err *e)
{
    char word[WORD_SIZE];
    char value[WORD_SIZE];
    bool seen[OPTION_COUNT] = {false};
    while (next_word(&at, word)) {
        size_t i = 0;
        while (i < OPTION_COUNT && !text_equal(word, options[i])) {
            i++;
        }
        if (i == OPTION_COUNT) {
            const char *nearest = text_nearest(word, options, OPTION_COUNT);
            return err_set(e,
                           "expected one of expect, every, timeout, fall, rise, port, host; got "
                           "'%.60s'%s%s%s",
                           word, nearest == NULL ? "" : "; did you mean '",
                           nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
        }
        if (seen[i]) {
            return err_set(e, "'%s' stands twice", word);
        }
        seen[i] = true;
        if (!next_word(&at, value)) {
            return err_set(e, "nothing stands after '%s'", word);
        }
        if (check->tcp_only && (i == OPTION_EXPECT || i == OPTION_HOST)) {
            return err_set(e, "'%s' does not go with TCP: nothing is asked", word);
        }
        if (take_option((enum option)i, value, check, e) != 0) {
            return -1;
        }
    }
    if (!seen[OPTION_TIMEOUT] && check->timeout_ms > check->interval_ms) {
        check->timeout_ms = check->interval_ms;
    }
    if (check->timeout_ms > check->interval_ms) {
        return err_set(e, "the timeout (%d ms) is longer than the time between two checks (%d ms)",
                       (int)check->timeout_ms, (int)check->interval_ms);
    }
    return 0;
}

/* "GET /healthz" or "TCP". */
static int take_request(const char **at, struct spec_check *check, struct err *e)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};
    char word[WORD_SIZE];
    next_word(at, word);
    if (text_equal(word, "TCP")) {
        check->tcp_only = true;
        return 0;
    }
    bool known = false;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        known = known || text_equal(word, methods[i]);
    }
    if (!known) {
        return err_set(e, "expected GET, HEAD, OPTIONS or TCP first, got '%.60s'", word);
    }
    check->method = xstrdup(word);
    next_word(at, word);
    if (!value_is_url_path(word, true)) {
        return err_set(e, "after '%s' expected a path such as /healthz, got '%.60s'", check->method,
                       word);
    }
    check->path = xstrdup(word);
    return 0;
}

int value_check(const char *text, struct spec_check *check, struct err *e)
{
    struct spec_check fresh = *check;
    fresh.method = NULL;
    fresh.path = NULL;
    fresh.host = NULL;
    fresh.tcp_only = false;
    fresh.port = 0;
    const char *at = text;
    struct spec_check *loser = &fresh;
    int result = take_request(&at, &fresh, e) != 0 ? -1 : take_options(at, &fresh, e);
    struct spec_check old = *check;
    if (result == 0) {
        *check = fresh;
        loser = &old;
    }
    free(loser->method);
    free(loser->path);
    free(loser->host);
    return result;
}
