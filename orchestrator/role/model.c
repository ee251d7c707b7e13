#include "role/model.h"

#include "base/mem.h"
#include "base/problem.h"

#include <stdlib.h>
#include <string.h>

static const struct role_resource_type *const type_lists[] = {role_file_types, role_package_types,
                                                              role_run_types};
#define LIST_COUNT (sizeof(type_lists) / sizeof(type_lists[0]))

const struct role_resource_type *role_resource_type(const char *name)
{
    for (size_t i = 0; i < LIST_COUNT; i++) {
        for (const struct role_resource_type *type = type_lists[i]; type->name != NULL; type++) {
            if (text_equal(type->name, name)) {
                return type;
            }
        }
    }
    return NULL;
}

size_t role_resource_type_names(const char ***ret_names)
{
    static const char *names[32];
    size_t count = 0;
    for (size_t i = 0; i < LIST_COUNT; i++) {
        for (const struct role_resource_type *type = type_lists[i]; type->name != NULL; type++) {
            names[count++] = type->name;
        }
    }
    names[count++] = "var";
    names[count++] = "handler";
    names[count++] = "role";
    *ret_names = names;
    return count;
}

const struct ini_entry *role_entry(const struct ini_section *section, const char *key)
{
    for (size_t i = 0; i < section->entry_count; i++) {
        if (text_equal(section->entries[i].key, key)) {
            return &section->entries[i];
        }
    }
    return NULL;
}

size_t role_words(const char *text, const char *separators, char ***ret_words)
{
    char **words = NULL;
    size_t count = 0;
    size_t capacity = 0;
    while (*(text += strspn(text, separators)) != '\0') {
        size_t length = strcspn(text, separators);
        struct str word = STR_NULL;
        str_add_bytes(&word, text, length);
        str_trim(&word);
        if (word.length > 0) {
            size_t i = xgrow((void **)&words, &count, &capacity, sizeof(*words));
            words[i] = str_take(&word);
        }
        str_deinit(&word);
        text += length;
    }
    *ret_words = words;
    return count;
}

void role_words_free(char **words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(words[i]);
    }
    free(words);
}

const char *role_file(const struct role *role)
{
    return role->doc.file_count > 0 ? role->doc.files[0] : role->directory;
}

const struct role_var *role_find_var(const struct role *role, const char *name)
{
    for (size_t i = 0; i < role->var_count; i++) {
        if (text_equal(role->vars[i].public.name, name)) {
            return &role->vars[i];
        }
    }
    return NULL;
}

const struct role_resource *role_find_handler(const struct role *role, const char *name)
{
    for (size_t i = 0; i < role->handler_count; i++) {
        if (text_equal(role->handlers[i].section->name, name)) {
            return &role->handlers[i];
        }
    }
    return NULL;
}

void role_free(struct role *role)
{
    if (role == NULL) {
        return;
    }
    for (size_t i = 0; i < role->var_count; i++) {
        value_rule_deinit(&role->vars[i].rule);
    }
    free(role->vars);
    free(role->resources);
    free(role->handlers);
    role_words_free(role->required, role->require_count);
    ini_doc_deinit(&role->doc);
    free(role->name);
    free(role->directory);
    free(role);
}
