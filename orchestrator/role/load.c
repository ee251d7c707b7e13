/*
 * role.ini to struct role. Everything that can be said without a host is said here, so that a role
 * author hears of a slip when the role is first read, not when the branch is first taken.
 */
#include "role/model.h"

#include "base/mem.h"
#include "base/problem.h"

#include <stdlib.h>
#include <string.h>

static const struct role_key role_keys[] = {
    {"description", KEY_TEXT, NULL}, {"requires", KEY_TEXT, NULL}, {NULL, KEY_TEXT, NULL}};

static const struct role_key var_keys[] = {
    {"type", KEY_TEXT, NULL},        {"default", KEY_TEXT, NULL},
    {"help", KEY_TEXT, NULL},        {"min", KEY_TEXT, NULL},
    {"max", KEY_TEXT, NULL},         {"choices", KEY_TEXT, NULL},
    {"secret", KEY_WORDS, "yes no"}, {"multiline", KEY_WORDS, "yes no"},
    {NULL, KEY_TEXT, NULL}};

/* Names that templates already know. */
static const char *const reserved[] = {"cluster", "instance", "groups", "facts"};
#define RESERVED_COUNT (sizeof(reserved) / sizeof(reserved[0]))

struct loader {
    struct role *role;
    struct problem_list *problems;
};

static void say_unknown_key(struct loader *l, const struct ini_entry *entry, const char *type,
                            const struct role_key *keys, bool is_resource)
{
    const char *words[32];
    size_t count = 0;
    for (; keys->name != NULL; keys++) {
        words[count++] = keys->name;
    }
    if (is_resource) {
        words[count++] = "when";
        words[count++] = "notify";
    }
    const char *nearest = text_nearest(entry->key, words, count);
    problem_add(l->problems, entry->file, entry->line, "%s: [%s] has no such key%s%s%s", entry->key,
                type, nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                nearest == NULL ? "" : "'?");
}

static bool is_one_of(const char *word, const char *choices)
{
    char **words;
    size_t count = role_words(choices, " ", &words);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || text_equal(words[i], word);
    }
    role_words_free(words, count);
    return found;
}

static void check_value(struct loader *l, const struct ini_entry *entry, const struct role_key *key)
{
    bool fixed = strstr(entry->value, "{{") == NULL;
    if (fixed && key->kind == KEY_WORDS && !is_one_of(entry->value, key->choices)) {
        problem_add(l->problems, entry->file, entry->line, "%s: expected one of: %s; got '%s'",
                    entry->key, key->choices, entry->value);
    }
}

static void check_keys(struct loader *l, const struct ini_section *section, const char *type,
                       const struct role_key *keys, bool is_resource)
{
    for (size_t i = 0; i < section->entry_count; i++) {
        const struct ini_entry *entry = &section->entries[i];
        const struct role_key *key = keys;
        while (key->name != NULL && !text_equal(key->name, entry->key)) {
            key++;
        }
        bool common =
            is_resource && (text_equal(entry->key, "when") || text_equal(entry->key, "notify"));
        if (key->name != NULL) {
            check_value(l, entry, key);
        } else if (!common) {
            say_unknown_key(l, entry, type, keys, is_resource);
        }
        if (role_entry(section, entry->key) != entry) {
            problem_add(l->problems, entry->file, entry->line, "%s: set twice in one section",
                        entry->key);
        }
    }
}

static void check_presence(struct loader *l, const struct ini_section *section,
                           const struct role_resource_type *type)
{
    char **words;
    size_t count = role_words(type->required == NULL ? "" : type->required, " ", &words);
    for (size_t i = 0; i < count; i++) {
        if (role_entry(section, words[i]) == NULL) {
            problem_add(l->problems, section->file, section->line, "[%s %s]: '%s' is missing",
                        type->name, section->name, words[i]);
        }
    }
    role_words_free(words, count);
    count = role_words(type->any_of == NULL ? "" : type->any_of, " ", &words);
    bool found = count == 0;
    for (size_t i = 0; i < count; i++) {
        found = found || role_entry(section, words[i]) != NULL;
    }
    role_words_free(words, count);
    if (!found) {
        problem_add(l->problems, section->file, section->line,
                    "[%s %s]: one of these is needed: %s", type->name, section->name, type->any_of);
    }
    if (type->label_is_path && section->name[0] != '/' && !text_starts(section->name, "{{") &&
        role_entry(section, "path") == NULL) {
        problem_add(l->problems, section->file, section->line,
                    "[%s %s]: 'path' is missing (only a label that is a path can do without)",
                    type->name, section->name);
    }
}

static void load_resource(struct loader *l, const struct ini_section *section,
                          const struct role_resource_type *type)
{
    struct role *role = l->role;
    if (section->name[0] == '\0') {
        problem_add(l->problems, section->file, section->line, "[%s]: a name is missing",
                    type->name);
    }
    check_keys(l, section, type->name, type->keys, type != &role_handler_type);
    check_presence(l, section, type);
    if (type == &role_handler_type) {
        if (role_find_handler(role, section->name) != NULL) {
            problem_add(l->problems, section->file, section->line, "[handler %s]: twice",
                        section->name);
        }
        size_t i = xgrow((void **)&role->handlers, &role->handler_count, &role->handler_capacity,
                         sizeof(*role->handlers));
        role->handlers[i] = (struct role_resource){.type = type, .section = section};
        return;
    }
    size_t i = xgrow((void **)&role->resources, &role->resource_count, &role->resource_capacity,
                     sizeof(*role->resources));
    role->resources[i] = (struct role_resource){.type = type, .section = section};
}

static const char *entry_value(const struct ini_section *section, const char *key)
{
    const struct ini_entry *entry = role_entry(section, key);
    return entry == NULL ? NULL : entry->value;
}

static bool entry_is_yes(const struct ini_section *section, const char *key)
{
    return text_equal(entry_value(section, key), "yes");
}

static bool load_limit(struct loader *l, const struct ini_section *section, const char *key,
                       enum value_type type, int64_t *ret_limit)
{
    const struct ini_entry *entry = role_entry(section, key);
    if (entry == NULL) {
        return false;
    }
    bool numeric = type == VALUE_NUMBER || type == VALUE_SIZE || type == VALUE_DURATION;
    if (!numeric || !value_to_int(type, entry->value, ret_limit)) {
        problem_add(l->problems, entry->file, entry->line,
                    numeric ? "%s: '%s' is no %s" : "%s: '%s' means nothing for a %s", key,
                    entry->value, value_type_to_string(type));
        return false;
    }
    return true;
}

static void load_type(struct loader *l, const struct ini_section *section, struct value_rule *rule)
{
    const struct ini_entry *entry = role_entry(section, "type");
    const char *const *names;
    size_t count = value_type_names(&names);
    if (entry != NULL && value_type_from_string(entry->value, &rule->type) != 0) {
        const char *nearest = text_nearest(entry->value, names, count);
        problem_add(l->problems, entry->file, entry->line, "type: there is no type '%s'%s%s%s",
                    entry->value, nearest == NULL ? "" : "; did you mean '",
                    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
    }
}

static void check_default(struct loader *l, const struct ini_section *section,
                          const struct role_var *var)
{
    const struct ini_entry *entry = role_entry(section, "default");
    if (entry == NULL || strstr(entry->value, "{{") != NULL) {
        return;
    }
    if (var->public.secret && entry->value[0] != '\0') {
        problem_add(l->problems, entry->file, entry->line,
                    "default: a secret has none (only an empty one makes it optional)");
    }
    const char *expected = value_set(&var->rule, var->public.name, entry->value, NULL);
    if (expected != NULL) {
        problem_add(l->problems, entry->file, entry->line, "default: expected %s, got '%s'",
                    expected, entry->value);
    }
}

static void load_var(struct loader *l, const struct ini_section *section)
{
    struct role *role = l->role;
    check_keys(l, section, "var", var_keys, false);
    if (!text_is_name(section->name)) {
        problem_add(l->problems, section->file, section->line,
                    "[var %s]: a name is letters a-z, digits and hyphens", section->name);
    }
    for (size_t i = 0; i < RESERVED_COUNT; i++) {
        if (text_equal(section->name, reserved[i])) {
            problem_add(l->problems, section->file, section->line,
                        "[var %s]: templates know another '%s'", section->name, section->name);
        }
    }
    if (role_find_var(role, section->name) != NULL) {
        problem_add(l->problems, section->file, section->line, "[var %s]: twice", section->name);
    }
    size_t i =
        xgrow((void **)&role->vars, &role->var_count, &role->var_capacity, sizeof(*role->vars));
    struct role_var *var = &role->vars[i];
    struct value_rule *rule = &var->rule;
    load_type(l, section, rule);
    rule->multiline = entry_is_yes(section, "multiline");
    rule->optional = text_equal(entry_value(section, "default"), "");
    rule->has_min = load_limit(l, section, "min", rule->type, &rule->min);
    rule->has_max = load_limit(l, section, "max", rule->type, &rule->max);
    const char *choices = entry_value(section, "choices");
    rule->choice_count = role_words(choices == NULL ? "" : choices, " \n", &rule->choices);
    value_rule_finish(rule);
    var->file = section->file;
    var->line = section->line;
    const struct ini_entry *entry = role_entry(section, "default");
    var->default_line = entry == NULL ? section->line : entry->line;
    var->public = (struct role_variable){.role = role->name,
                                         .name = section->name,
                                         .type = value_type_to_string(rule->type),
                                         .value = entry_value(section, "default"),
                                         .help = entry_value(section, "help"),
                                         .secret = entry_is_yes(section, "secret")};
    check_default(l, section, var);
}

static void load_section(struct loader *l, const struct ini_section *section)
{
    struct role *role = l->role;
    if (text_equal(section->type, "")) {
        return; /* `include` is ini's; anything else it has reported or is caught here. */
    }
    if (text_equal(section->type, "role")) {
        check_keys(l, section, "role", role_keys, false);
        const struct ini_entry *entry = role_entry(section, "requires");
        if (entry != NULL && role->require_count == 0) {
            role->require_line = entry->line;
            role->require_count = role_words(entry->value, " ,\t\n", &role->required);
        }
        return;
    }
    if (text_equal(section->type, "var")) {
        load_var(l, section);
        return;
    }
    const struct role_resource_type *type = text_equal(section->type, "handler")
                                                ? &role_handler_type
                                                : role_resource_type(section->type);
    if (type != NULL) {
        load_resource(l, section, type);
        return;
    }
    const char **names;
    size_t count = role_resource_type_names(&names);
    const char *nearest = text_nearest(section->type, names, count);
    problem_add(l->problems, section->file, section->line, "[%s]: there is no such section%s%s%s",
                section->type, nearest == NULL ? "" : "; did you mean '",
                nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

struct role *role_load(const char *name, const char *directory, struct problem_list *problems)
{
    struct role *role = xcalloc(1, sizeof(*role));
    struct loader loader = {.role = role, .problems = problems};
    size_t before = problems->count;
    char *path = xasprintf("%s/role.ini", directory);
    role->name = xstrdup(name);
    role->directory = xstrdup(directory);
    ini_doc_read(&role->doc, path, problems);
    for (size_t i = 0; i < role->doc.section_count; i++) {
        load_section(&loader, &role->doc.sections[i]);
    }
    free(path);
    role->good = problems->count == before;
    return role;
}
