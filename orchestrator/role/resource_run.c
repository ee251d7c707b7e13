/* [run] [check] [release] and [handler]: what a role does itself. [database] is in its own file. */
#include "role/compiler.h"
#include "role/resource_database.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define END                                                                                        \
    {                                                                                              \
        NULL, KEY_TEXT, NULL                                                                       \
    }

static const struct role_key run_keys[] = {
    {"command", KEY_COMMAND, NULL}, {"creates", KEY_TEXT, NULL},     {"unless", KEY_COMMAND, NULL},
    {"only-if", KEY_COMMAND, NULL}, {"input", KEY_SECRET, NULL},     {"directory", KEY_TEXT, NULL},
    {"user", KEY_TEXT, NULL},       {"timeout", KEY_DURATION, NULL}, END};

static const struct role_key check_keys[] = {{"command", KEY_COMMAND, NULL},
                                             {"retries", KEY_NUMBER, NULL},
                                             {"delay", KEY_DURATION, NULL},
                                             {"timeout", KEY_DURATION, NULL},
                                             END};

static const struct role_key release_keys[] = {
    {"source", KEY_TEXT, NULL},       {"path", KEY_TEXT, NULL},         {"keep", KEY_NUMBER, NULL},
    {"owner", KEY_TEXT, NULL},        {"group", KEY_TEXT, NULL},        {"shared", KEY_TEXT, NULL},
    {"shared-owner", KEY_TEXT, NULL}, {"shared-group", KEY_TEXT, NULL}, END};

static const struct role_key handler_keys[] = {{"service", KEY_TEXT, NULL},
                                               {"action", KEY_WORDS, "reload restart"},
                                               {"command", KEY_COMMAND, NULL},
                                               END};

/* Seconds, at least one: `timeout` takes 0 for never. */
static int64_t seconds(struct compiler *c, const char *key, int64_t otherwise_ms)
{
    int64_t ms = compile_duration_ms(c, key, otherwise_ms);
    return ms < 1000 ? 1 : (ms + 999) / 1000;
}

static void emit_run(struct compiler *c, const struct ini_section *section)
{
    bool secret;
    (void)section;
    const char *directory = compile_text(c, "directory", "/");
    const char *user = compile_text(c, "user", "root");
    compile_check_word(c, "user", user, "_.-");
    if (!text_equal(directory, "/")) {
        compile_check_path(c, "directory", directory);
    }
    compile_begin(c, compile_label(c), "ll_run_command");
    compile_arg(c, compile_command(c, "command", NULL));
    compile_arg(c, compile_text(c, "creates", ""));
    compile_arg(c, compile_command(c, "unless", NULL));
    compile_arg(c, compile_command(c, "only-if", NULL));
    compile_arg(c, directory);
    compile_arg(c, user);
    compile_arg_number(c, seconds(c, "timeout", 600000));
    const char *input = compile_secret_text(c, "input", ESCAPE_NONE, &secret);
    struct str whole = STR_NULL;
    str_addf(&whole, "%s%s", input, input[0] == '\0' ? "" : "\n");
    input = compile_keep(c, &whole);
    if (secret) {
        compile_arg_secret(c, input);
    } else {
        compile_arg(c, compile_escaped(c, input));
    }
    compile_end(c);
}

static void emit_check(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    int64_t delay_ms = compile_duration_ms(c, "delay", 1000);
    struct str delay = STR_NULL;
    str_addf(&delay, "%lld.%03lld", (long long)(delay_ms / 1000), (long long)(delay_ms % 1000));
    compile_begin(c, compile_label(c), "ll_gate");
    compile_arg(c, compile_command(c, "command", NULL));
    compile_arg_number(c, compile_number(c, "retries", 10));
    compile_arg(c, compile_keep(c, &delay));
    compile_arg_number(c, seconds(c, "timeout", 10000));
    compile_end(c);
}

/* The folders that outlive a release, checked. */
static const char *shared_folders(struct compiler *c)
{
    char **words;
    struct str list = STR_NULL;
    size_t count = role_words(compile_text(c, "shared", ""), " \t\n", &words);
    for (size_t i = 0; i < count; i++) {
        if (compile_check_word(c, "shared", words[i], "_./-") &&
            (words[i][0] == '/' || words[i][0] == '.' || strstr(words[i], "..") != NULL)) {
            compile_problem(c, "shared", "expected a folder within the release, got '%s'",
                            words[i]);
        }
        str_addf(&list, "%s%s", i == 0 ? "" : " ", words[i]);
    }
    role_words_free(words, count);
    return compile_keep(c, &list);
}

static const char *word(struct compiler *c, const char *key, const char *otherwise)
{
    const char *text = compile_text(c, key, otherwise);
    compile_check_word(c, key, text, "_.-");
    return text;
}

static void emit_release(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const struct ini_entry *entry = role_entry(c->section, "source");
    const char *source = compile_text(c, "source", "");
    const char *path = compile_path(c);
    struct str where = STR_NULL;
    if (source[0] == '\0') {
        compile_problem(c, "source", "expected a folder or tarball of this machine");
        return;
    }
    if (source[0] != '/') {
        str_addf(&where, "%s/%s", c->role->directory, source);
        source = compile_keep(c, &where);
    }
    const struct role_source *found =
        role_library_source(c->library, source, true, entry->file, entry->line, c->problems);
    if (found == NULL) {
        return;
    }
    const char *owner = word(c, "owner", "root");
    const char *group = word(c, "group", "root");
    int64_t keep = compile_number(c, "keep", 5);
    compile_begin(c, compile_label(c), "ll_release");
    compile_arg(c, path);
    compile_arg(c, owner);
    compile_arg(c, group);
    compile_arg(c, found->id);
    compile_arg(c, found->digest);
    compile_arg_number(c, found->size_bytes);
    compile_arg_number(c, keep < 1 ? 1 : keep);
    compile_arg(c, word(c, "shared-owner", owner));
    compile_arg(c, word(c, "shared-group", group));
    compile_arg(c, shared_folders(c));
    compile_end(c);
    compile_blob(c, found);
    struct str current = STR_NULL;
    str_addf(&current, "%s/current", path);
    compile_look(c, compile_keep(c, &current), false);
}

const struct role_resource_type role_run_types[] = {
    {.name = "run",
     .section = "run",
     .keys = run_keys,
     .required = "command",
     .any_of = "creates unless only-if",
     .emit = emit_run},
    {.name = "check",
     .section = "check",
     .keys = check_keys,
     .required = "command",
     .emit = emit_check},
    {.name = "release",
     .section = "release",
     .keys = release_keys,
     .required = "source path",
     .emit = emit_release},
    {.name = "database",
     .section = "database",
     .keys = resource_database_keys,
     .emit = resource_database_emit},
    {.name = NULL},
};

const struct role_resource_type role_handler_type = {
    .name = "handler", .section = "", .keys = handler_keys, .any_of = "service command"};
