/*
 * The types of role variables: what a user wrote as text becomes what templates see as JSON.
 */
#ifndef ROLE_VALUE_H
#define ROLE_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum value_type {
    VALUE_TEXT,
    VALUE_WORD,
    VALUE_NUMBER,
    VALUE_BOOL,
    VALUE_SIZE,
    VALUE_DURATION,
    VALUE_PORT,
    VALUE_PATH,
    VALUE_SOURCE,
    VALUE_LIST,
};

/* What a variable accepts. */
struct value_rule {
    enum value_type type;
    bool multiline; /* TEXT may hold newlines. */
    bool optional;  /* Empty is fine. */
    bool has_min;
    bool has_max;
    int64_t min; /* NUMBER; SIZE in bytes; DURATION in milliseconds. */
    int64_t max;
    char **choices; /* Owned words; none: any. */
    size_t choice_count;
    char *expected; /* Owned: "a number from 1 to 10"; made by value_rule_finish(). */
};

/* "number" and so on; -1 when NAME is no type. */
int value_type_from_string(const char *name, enum value_type *ret_type);
const char *value_type_to_string(enum value_type type);
/* All names, for messages; the count is returned. */
size_t value_type_names(const char *const **ret_names);

/* Reads TEXT in the type's notation into a number (NUMBER, SIZE, DURATION, PORT); false if it is
   none. NUMBER and SIZE may be sums (role/expression.h). */
bool value_to_int(enum value_type type, const char *text, int64_t *ret_number);

/* Writes RULE->expected once the other members are set. */
void value_rule_finish(struct value_rule *rule);
void value_rule_deinit(struct value_rule *rule);

/*
 * Checks TEXT and sets it as NAME in OBJECT, with what the type gives beside it (NAME-bytes,
 * NAME-ms, ...). Returns NULL, or what was expected (borrowed from RULE). OBJECT may be NULL: then
 * it is only checked.
 */
const char *value_set(const struct value_rule *rule, const char *name, const char *text,
                      json_t *object);

#endif
