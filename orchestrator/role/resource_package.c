/* [package] [user] [service] [sysctl]: what the host's own tools keep. */
#include "role/compiler.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define STATE                                                                                      \
    {                                                                                              \
        "state", KEY_WORDS, "present absent"                                                       \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, KEY_TEXT, NULL                                                                       \
    }

static const struct role_key package_keys[] = {{"names", KEY_TEXT, NULL}, STATE, END};

static const struct role_key user_keys[] = {{"home", KEY_TEXT, NULL},
                                            {"create-home", KEY_WORDS, "yes no"},
                                            {"shell", KEY_TEXT, NULL},
                                            {"system", KEY_WORDS, "yes no"},
                                            {"groups", KEY_TEXT, NULL},
                                            STATE,
                                            END};

static const struct role_key service_keys[] = {
    {"state", KEY_WORDS, "started stopped any"}, {"enabled", KEY_WORDS, "yes no masked any"}, END};

static const struct role_key sysctl_keys[] = {{"value", KEY_TEXT, NULL}, END};

static void add_package(struct compiler *c, const char *name, bool absent)
{
    if (!absent) {
        str_addf(&c->packages, "%s%s", c->packages.length == 0 ? "" : " ", name);
    }
    str_addf(&c->package_greps, " \\\n        -e 'Package: %s'", name);
}

static void emit_package(struct compiler *c, const struct ini_section *section)
{
    char **names;
    (void)section;
    const char *text = compile_text(c, "names", NULL);
    size_t count = role_words(text == NULL ? compile_label(c) : text, " \t\n", &names);
    bool absent = compile_is(c, "state", "absent");
    if (count == 0) {
        /* An empty list asks for nothing: in order. */
        compile_begin(c, compile_label(c), "ll_ok");
        compile_end(c);
        role_words_free(names, count);
        return;
    }
    compile_begin(c, compile_label(c), absent ? "ll_package_absent" : "ll_package");
    for (size_t i = 0; i < count; i++) {
        if (compile_check_word(c, text == NULL ? NULL : "names", names[i], "+.-")) {
            compile_arg(c, names[i]);
            add_package(c, names[i], absent);
        }
    }
    compile_end(c);
    role_words_free(names, count);
}

static void emit_user(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const char *name = compile_label(c);
    char **groups;
    compile_check_word(c, NULL, name, "_.-");
    if (compile_is(c, "state", "absent")) {
        compile_begin(c, name, "ll_user_absent");
        compile_arg(c, name);
        compile_end(c);
        return;
    }
    bool is_system = compile_is_yes(c, "system");
    struct str home = STR_NULL;
    str_addf(&home, is_system ? "/nonexistent" : "/home/%s", name);
    const char *at = compile_text(c, "home", compile_keep(c, &home));
    const char *shell = compile_text(c, "shell", "/usr/sbin/nologin");
    compile_check_path(c, "home", at);
    compile_check_path(c, "shell", shell);
    if (strchr(at, ':') != NULL || strchr(shell, ':') != NULL) {
        compile_problem(c, "home", "a colon cannot be in /etc/passwd");
    }
    size_t count = role_words(compile_text(c, "groups", ""), " ,\t\n", &groups);
    struct str list = STR_NULL;
    for (size_t i = 0; i < count; i++) {
        compile_check_word(c, "groups", groups[i], "_.-");
        str_addf(&list, "%s%s", i == 0 ? "" : " ", groups[i]);
    }
    role_words_free(groups, count);
    compile_begin(c, name, "ll_user");
    compile_arg(c, name);
    compile_arg(c, at);
    compile_arg(c, shell);
    compile_arg(c, is_system ? "yes" : "no");
    compile_arg(c, compile_is_yes(c, "create-home") ? "yes" : "no");
    compile_arg(c, compile_keep(c, &list));
    compile_end(c);
}

static void emit_service(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const char *name = compile_label(c);
    compile_check_word(c, NULL, name, ":_.@-");
    compile_begin(c, name, "ll_service");
    compile_arg(c, compile_unit(c, name));
    compile_arg(c, compile_is(c, "state", "stopped") ? "stopped"
                   : compile_is(c, "state", "any")   ? "any"
                                                     : "started");
    compile_arg(c, compile_is(c, "enabled", "no")       ? "no"
                   : compile_is(c, "enabled", "masked") ? "masked"
                   : compile_is(c, "enabled", "any")    ? "any"
                                                        : "yes");
    compile_end(c);
}

static void emit_sysctl(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const char *key = compile_label(c);
    struct str path = STR_NULL;
    struct str value = STR_NULL;
    struct str tabbed = STR_NULL;
    char **words;
    compile_check_word(c, NULL, key, "_.-");
    for (const char *at = key; *at != '\0'; at++) {
        str_add_char(&path, *at == '.' ? '/' : *at);
    }
    if (strstr(key, "..") != NULL) {
        compile_problem(c, NULL, "'%s' is no name of a kernel setting", key);
    }
    size_t count = role_words(compile_text(c, "value", ""), " \t", &words);
    for (size_t i = 0; i < count; i++) {
        str_addf(&value, "%s%s", i == 0 ? "" : " ", words[i]);
        str_addf(&tabbed, "%s%s", i == 0 ? "" : "\t", words[i]);
    }
    role_words_free(words, count);
    if (count == 0 || strchr(str_text(&value), '\n') != NULL) {
        compile_problem(c, "value", "expected a value on one line");
    }
    compile_begin(c, key, "ll_sysctl");
    str_addf(&c->settings, " \\\n        /proc/sys/%s \"$ll_sysctl_dir/60-lamplighter-%s.conf\"",
             str_text(&path), key);
    compile_arg(c, key);
    compile_arg(c, compile_keep(c, &path));
    compile_arg(c, str_text(&value));
    compile_arg(c, compile_keep(c, &tabbed));
    compile_end(c);
    str_deinit(&value);
}

const struct role_resource_type role_package_types[] = {
    {.name = "package", .section = "package", .keys = package_keys, .emit = emit_package},
    {.name = "user", .section = "user", .keys = user_keys, .emit = emit_user},
    {.name = "service", .section = "service", .keys = service_keys, .emit = emit_service},
    {.name = "sysctl",
     .section = "sysctl",
     .keys = sysctl_keys,
     .required = "value",
     .emit = emit_sysctl},
    {.name = NULL},
};
