#include "role/value.h"

#include "base/mem.h"
#include "base/str.h"
#include "role/expression.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* By enum value_type. */
static const char *const type_names[] = {"text",     "word", "number", "bool",   "size",
                                         "duration", "port", "path",   "source", "list"};
#define TYPE_COUNT (sizeof(type_names) / sizeof(type_names[0]))

int value_type_from_string(const char *name, enum value_type *ret_type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (text_equal(name, type_names[i])) {
            *ret_type = (enum value_type)i;
            return 0;
        }
    }
    return -1;
}

const char *value_type_to_string(enum value_type type)
{
    return type_names[type];
}

size_t value_type_names(const char *const **ret_names)
{
    *ret_names = type_names;
    return TYPE_COUNT;
}

static bool duration_to_ms(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1},    {"s", 1000},    {"min", 60000},
                 {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char digits[24];
    size_t length = strspn(text, "0123456789");
    if (length == 0 || length >= sizeof(digits)) {
        return false;
    }
    text_copy(digits, length + 1, text);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t number;
        if (text_equal(text + length, units[i].unit) &&
            text_to_int(digits, 0, INT64_MAX / units[i].ms, &number)) {
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

bool value_to_int(enum value_type type, const char *text, int64_t *ret_number)
{
    switch (type) {
    case VALUE_NUMBER: return expression_eval(text, false, ret_number) == NULL;
    case VALUE_SIZE: return expression_eval(text, true, ret_number) == NULL && *ret_number >= 0;
    case VALUE_DURATION: return duration_to_ms(text, ret_number);
    case VALUE_PORT: return text_to_int(text, 1, 65535, ret_number);
    case VALUE_TEXT:
    case VALUE_WORD:
    case VALUE_BOOL:
    case VALUE_PATH:
    case VALUE_SOURCE:
    case VALUE_LIST: break;
    }
    return false;
}

/* "MIN" or "MAX" in the type's notation. */
static void add_number(struct str *text, enum value_type type, int64_t number)
{
    char size[24];
    if (type == VALUE_SIZE) {
        expression_size_to_string(number, size, sizeof(size));
        str_add(text, size);
    } else if (type == VALUE_DURATION && number % 1000 == 0) {
        str_addf(text, "%llds", (long long)(number / 1000));
    } else {
        str_addf(text, "%lld%s", (long long)number, type == VALUE_DURATION ? "ms" : "");
    }
}

void value_rule_finish(struct value_rule *rule)
{
    static const char *const nouns[] = {
        "one printable line",     "a word (letters, digits and . _ : @ + / % -)",
        "a whole number",         "yes or no",
        "a size such as 128M",    "a duration such as 30s",
        "a port from 1 to 65535", "an absolute path",
        "a path on this machine", "words separated by spaces",
    };
    struct str text = STR_NULL;
    if (rule->choice_count > 0) {
        str_add(&text, "one of");
        for (size_t i = 0; i < rule->choice_count; i++) {
            str_addf(&text, "%s%s", i == 0 ? " " : ", ", rule->choices[i]);
        }
    } else {
        str_add(&text, rule->multiline ? "printable text" : nouns[rule->type]);
    }
    if (rule->has_min) {
        str_add(&text, rule->has_max ? " from " : " of at least ");
        add_number(&text, rule->type, rule->min);
    }
    if (rule->has_max) {
        str_add(&text, rule->has_min ? " to " : " of at most ");
        add_number(&text, rule->type, rule->max);
    }
    free(rule->expected);
    rule->expected = str_take(&text);
}

void value_rule_deinit(struct value_rule *rule)
{
    for (size_t i = 0; i < rule->choice_count; i++) {
        free(rule->choices[i]);
    }
    free(rule->choices);
    free(rule->expected);
    *rule = (struct value_rule){.choices = NULL};
}

static bool is_printable(const char *text, bool newlines)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == 0x7f || (c < 0x20 && c != '\t' && !(newlines && c == '\n'))) {
            return false;
        }
    }
    return true;
}

static bool is_word(const char *text)
{
    for (; *text != '\0'; text++) {
        if (!isalnum((unsigned char)*text) && strchr("._:@+/%-", *text) == NULL) {
            return false;
        }
    }
    return true;
}

/* Absolute, without empty, "." or ".." parts that would name another place than it seems. */
static bool is_path(const char *text)
{
    return text[0] == '/' && strstr(text, "/../") == NULL && !text_ends(text, "/..") &&
           strchr(text, '\\') == NULL && is_printable(text, false) && strchr(text, '\t') == NULL;
}

static int bool_from_string(const char *text)
{
    static const char *const yes[] = {"yes", "true", "on"};
    static const char *const no[] = {"no", "false", "off"};
    for (size_t i = 0; i < 3; i++) {
        if (text_equal(text, yes[i])) {
            return 1;
        }
        if (text_equal(text, no[i])) {
            return 0;
        }
    }
    return -1;
}

static bool in_range(const struct value_rule *rule, int64_t number)
{
    return (!rule->has_min || number >= rule->min) && (!rule->has_max || number <= rule->max);
}

static bool is_choice(const struct value_rule *rule, const char *text)
{
    bool found = rule->choice_count == 0;
    for (size_t i = 0; i < rule->choice_count && !found; i++) {
        found = text_equal(rule->choices[i], text);
    }
    return found;
}

static json_t *list_from_text(const char *text)
{
    json_t *list = json_array();
    while (*(text += strspn(text, " \t\n")) != '\0') {
        size_t length = strcspn(text, " \t\n");
        json_array_append_new(list, json_stringn(text, length));
        text += length;
    }
    return list;
}

static void set_beside(json_t *object, const char *name, const char *suffix, int64_t number)
{
    char *key = xasprintf("%s-%s", name, suffix);
    json_object_set_new(object, key, json_integer(number));
    free(key);
}

static void set_number(const struct value_rule *rule, const char *name, const char *text,
                       int64_t number, json_t *object)
{
    char size[24];
    switch (rule->type) {
    case VALUE_SIZE:
        expression_size_to_string(number, size, sizeof(size));
        json_object_set_new(object, name, json_string(size));
        set_beside(object, name, "bytes", number);
        set_beside(object, name, "kb", number / 1024);
        set_beside(object, name, "mb", number / (1024 * 1024));
        return;
    case VALUE_DURATION:
        json_object_set_new(object, name, json_string(text));
        set_beside(object, name, "ms", number);
        set_beside(object, name, "s", number / 1000);
        return;
    case VALUE_NUMBER:
    case VALUE_PORT:
    case VALUE_TEXT:
    case VALUE_WORD:
    case VALUE_BOOL:
    case VALUE_PATH:
    case VALUE_SOURCE:
    case VALUE_LIST: json_object_set_new(object, name, json_integer(number)); return;
    }
}

static bool is_valid(const struct value_rule *rule, const char *text, int64_t *ret_number)
{
    switch (rule->type) {
    case VALUE_TEXT: return is_printable(text, rule->multiline) && is_choice(rule, text);
    case VALUE_WORD: return is_word(text) && is_choice(rule, text);
    case VALUE_SOURCE: return is_printable(text, false);
    case VALUE_PATH: return is_path(text);
    case VALUE_BOOL: return bool_from_string(text) >= 0;
    case VALUE_LIST: return is_printable(text, true);
    case VALUE_NUMBER:
    case VALUE_SIZE:
    case VALUE_DURATION:
    case VALUE_PORT:
        return value_to_int(rule->type, text, ret_number) && in_range(rule, *ret_number) &&
               is_choice(rule, text);
    }
    return false;
}

const char *value_set(const struct value_rule *rule, const char *name, const char *text,
                      json_t *object)
{
    int64_t number = 0;
    bool empty = text[0] == '\0';
    bool may_be_empty = rule->optional || rule->type == VALUE_LIST ||
                        (rule->type == VALUE_TEXT && rule->choice_count == 0);
    if (empty && !may_be_empty) {
        return rule->expected;
    }
    if (!empty && !is_valid(rule, text, &number)) {
        return rule->expected;
    }
    if (object == NULL) {
        return NULL;
    }
    if (rule->type == VALUE_LIST) {
        json_object_set_new(object, name, list_from_text(text));
    } else if (empty || rule->type == VALUE_TEXT || rule->type == VALUE_WORD ||
               rule->type == VALUE_PATH || rule->type == VALUE_SOURCE) {
        json_object_set_new(object, name, json_string(text));
    } else if (rule->type == VALUE_BOOL) {
        json_object_set_new(object, name, json_boolean(bool_from_string(text) == 1));
    } else {
        set_number(rule, name, text, number, object);
    }
    return NULL;
}
