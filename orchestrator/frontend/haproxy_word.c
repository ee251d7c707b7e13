#include "frontend/haproxy_word.h"

#include "base/str.h"

#include <assert.h>
#include <string.h>

#define WORD_MAX 255

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@,-";

static bool is_printable(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            return false;
        }
    }
    return true;
}

bool haproxy_word_is_safe(const char *text)
{
    return strnlen(text, WORD_MAX + 1) <= WORD_MAX && is_printable(text);
}

void haproxy_add_word(struct str *s, const char *text)
{
    assert(is_printable(text));
    if (*text != '\0' && strspn(text, plain) == strlen(text)) {
        str_add(s, text);
        return;
    }
    str_add_char(s, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'') {
            str_add(s, "'\\''");
        } else {
            str_add_char(s, *p);
        }
    }
    str_add_char(s, '\'');
}

void haproxy_add_format_word(struct str *s, const char *text)
{
    struct str doubled = STR_NULL;
    for (const char *p = text; *p != '\0'; p++) {
        str_add_bytes(&doubled, "%%", *p == '%' ? 2 : 0);
        if (*p != '%') {
            str_add_char(&doubled, *p);
        }
    }
    haproxy_add_word(s, str_text(&doubled));
    str_deinit(&doubled);
}
