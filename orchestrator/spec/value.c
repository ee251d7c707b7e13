#include "spec/value.h"

#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define LETTERS  "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS   "0123456789"
#define BASE64   LETTERS CAPITALS DIGITS "+/"

#define FINGERPRINT_LETTERS 43
#define ED25519_PREFIX      "AAAAC3NzaC1lZDI1NTE5AAAAI" /* Length, "ssh-ed25519", length. */
#define ED25519_LETTERS     68

struct unit {
    const char *name;
    int64_t factor;
};

/* A whole number and one of UNITS (COUNT of them); 0 needs none. */
static bool with_unit(const char *text, const struct unit *units, size_t count, int64_t *ret_number)
{
    size_t digits = strspn(text, DIGITS);
    char head[20];
    int64_t number;
    if (digits == 0 || digits >= sizeof(head)) {
        return false;
    }
    text_copy(head, digits + 1, text);
    if (!text_to_int(head, 0, INT64_MAX, &number)) {
        return false;
    }
    if (number == 0 && text[digits] == '\0') {
        *ret_number = 0;
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (text_equal(text + digits, units[i].name)) {
            return !__builtin_mul_overflow(number, units[i].factor, ret_number);
        }
    }
    return false;
}

bool value_size(const char *text, int64_t *ret_bytes)
{
    static const int64_t k = 1024;
    static const struct unit units[] = {{"K", k},
                                        {"KB", k},
                                        {"KiB", k},
                                        {"M", k * k},
                                        {"MB", k * k},
                                        {"MiB", k * k},
                                        {"G", k * k * k},
                                        {"GB", k * k * k},
                                        {"GiB", k * k * k},
                                        {"T", k * k * k * k},
                                        {"TB", k * k * k * k},
                                        {"TiB", k * k * k * k}};
    int64_t bytes;
    if (!with_unit(text, units, sizeof(units) / sizeof(units[0]), &bytes)) {
        return false;
    }
    *ret_bytes = bytes;
    return true;
}

bool value_duration(const char *text, int64_t *ret_ms)
{
    static const struct unit units[] = {{"ms", 1},    {"s", 1000},    {"min", 60000},
                                        {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t ms;
    if (!with_unit(text, units, sizeof(units) / sizeof(units[0]), &ms)) {
        return false;
    }
    *ret_ms = ms;
    return true;
}

bool value_percent(const char *text, int64_t *ret_percent)
{
    static const struct unit units[] = {{"%", 1}};
    return text_ends(text, "%") && with_unit(text, units, 1, ret_percent);
}

bool value_yesno(const char *text, bool *ret_yes)
{
    if (!text_equal(text, "yes") && !text_equal(text, "no")) {
        return false;
    }
    *ret_yes = text_equal(text, "yes");
    return true;
}

bool value_address(const char *text, uint32_t *ret_address)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1 || address.s_addr == 0) {
        return false;
    }
    *ret_address = ntohl(address.s_addr);
    return true;
}

static bool made_of(const char *text, const char *letters, size_t min, size_t max)
{
    size_t length = strlen(text);
    return length >= min && length <= max && strspn(text, letters) == length;
}

bool value_is_user(const char *text)
{
    return made_of(text, LETTERS DIGITS "_-", 1, 32) && *text != '-' &&
           !isdigit((unsigned char)*text);
}

bool value_is_host_name(const char *text)
{
    uint32_t v4;
    struct in6_addr v6;
    if (value_address(text, &v4) || inet_pton(AF_INET6, text, &v6) == 1) {
        return true;
    }
    /* Digits and dots only is an address with a mistake in it, not a name. */
    return made_of(text, LETTERS CAPITALS DIGITS ".-", 1, 253) &&
           strspn(text, DIGITS ".") < strlen(text) && *text != '-' && *text != '.' &&
           strstr(text, "..") == NULL;
}

bool value_is_word(const char *text, size_t max)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return false;
        }
    }
    return *text != '\0' && strlen(text) <= max;
}

bool value_is_line(const char *text, size_t max)
{
    bool blank = true;
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' ? *p != '\t' : *p == 0x7f) {
            return false;
        }
        blank = blank && (*p == ' ' || *p == '\t');
    }
    return !blank && strlen(text) <= max;
}

bool value_is_url_path(const char *text, bool query)
{
    static const char path[] = LETTERS CAPITALS DIGITS "-._~/%!$&*+,=:@";
    static const char with_query[] = LETTERS CAPITALS DIGITS "-._~/%!$&*+,=:@?;";
    return *text == '/' && made_of(text, query ? with_query : path, 1, 1024);
}

bool value_is_variable(const char *text)
{
    return made_of(text, LETTERS DIGITS "-_", 1, 63) && isalnum((unsigned char)*text);
}

char *value_host_key(const char *text)
{
    static const char fingerprint[] = "SHA256:";
    static const char type[] = "ssh-ed25519 ";
    if (text_starts(text, fingerprint)) {
        return made_of(text + strlen(fingerprint), BASE64, FINGERPRINT_LETTERS, FINGERPRINT_LETTERS)
                   ? xstrdup(text)
                   : NULL;
    }
    if (!text_starts(text, type)) {
        return NULL;
    }
    const char *key = text + strlen(type);
    key += strspn(key, " ");
    size_t letters = strspn(key, BASE64);
    if (!text_starts(key, ED25519_PREFIX) || letters != ED25519_LETTERS ||
        (key[letters] != '\0' && key[letters] != ' ') || strchr(key, '\n') != NULL) {
        return NULL;
    }
    return xasprintf("%s%.*s", type, (int)letters, key);
}
