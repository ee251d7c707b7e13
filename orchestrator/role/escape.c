#include "role/escape.h"

#include <string.h>

/* By enum escape. */
static const char *const names[] = {"none", "html", "php", "sql", "ini", "shell", "haproxy"};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

int escape_from_string(const char *name, enum escape *ret_escape)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (text_equal(name, names[i])) {
            *ret_escape = (enum escape)i;
            return 0;
        }
    }
    return -1;
}

size_t escape_names(const char *const **ret_names)
{
    *ret_names = names;
    return NAME_COUNT;
}

static void add_html(struct str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': str_add(out, "&amp;"); break;
        case '<': str_add(out, "&lt;"); break;
        case '>': str_add(out, "&gt;"); break;
        case '"': str_add(out, "&quot;"); break;
        case '\'': str_add(out, "&#39;"); break;
        default: str_add_char(out, *text); break;
        }
    }
}

/* A backslash before each of SPECIAL. */
static void add_backslashed(struct str *out, const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (strchr(special, *text) != NULL) {
            str_add_char(out, '\\');
        }
        str_add_char(out, *text);
    }
}

static void add_sql(struct str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            str_add_char(out, *text == '\'' ? '\'' : '\\');
        }
        str_add_char(out, *text);
    }
}

const char *escape_add(struct str *out, enum escape escape, const char *text)
{
    switch (escape) {
    case ESCAPE_NONE: str_add(out, text); break;
    case ESCAPE_HTML: add_html(out, text); break;
    case ESCAPE_PHP: add_backslashed(out, text, "\\'"); break;
    case ESCAPE_SQL: add_sql(out, text); break;
    case ESCAPE_INI:
        if (strchr(text, '\n') != NULL) {
            return "it holds a newline, which no quoted value of this format can";
        }
        add_backslashed(out, text, "\\\"$");
        break;
    case ESCAPE_SHELL: str_add_shell(out, text); break;
    case ESCAPE_HAPROXY:
        if (strchr(text, '\n') != NULL) {
            return "it holds a newline, which no word of this format can";
        }
        if (text[0] == '\0') {
            str_add(out, "\"\"");
        }
        add_backslashed(out, text, " \t\\\"'#$");
        break;
    }
    return NULL;
}
