/*
 * What templates see: the context of the host, its facts, and the variables of each role, worked
 * out from the user's settings and the roles' defaults.
 */
#include "role/compiler.h"

#include "base/mem.h"
#include "base/problem.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const struct role_setting *find_setting(const struct role_setting *settings, size_t count,
                                               const struct role_var *var)
{
    for (size_t i = count; i > 0; i--) {
        if (text_equal(settings[i - 1].role, var->public.role) &&
            text_equal(settings[i - 1].variable, var->public.name)) {
            return &settings[i - 1];
        }
    }
    return NULL;
}

static void set_secret(struct compiler *c, const struct role_var *var, const void *bytes,
                       size_t length, const char *file, unsigned line)
{
    char *text = xstrndup(bytes, length);
    const char *expected = strlen(text) != length
                               ? "text without NUL bytes"
                               : value_set(&var->rule, var->public.name, text, NULL);
    explicit_bzero(text, strlen(text));
    free(text);
    if (expected != NULL) {
        problem_add(c->problems, file, line, "%s.%s: the secret is not %s", var->public.role,
                    var->public.name, expected);
    }
    size_t i = xgrow((void **)&c->known, &c->known_count, &c->known_capacity, sizeof(*c->known));
    c->known[i] = SECRET_NULL;
    secret_set(&c->known[i], bytes, length);
    compile_hide(c, bytes, length);
    struct str marker = STR_NULL;
    str_addf(&marker, "%c%zu", COMPILE_MARKER, i);
    json_object_set_new(c->own, var->public.name, json_string(str_text(&marker)));
    str_deinit(&marker);
}

/* A source is where the file that names it lies. */
static const char *resolve_source(struct compiler *c, const char *text, const char *file)
{
    struct str path = STR_NULL;
    char absolute[PATH_MAX];
    const char *slash = strrchr(file, '/');
    if (text[0] != '/' && slash != NULL) {
        str_add_bytes(&path, file, (size_t)(slash - file) + 1);
    }
    str_add(&path, text);
    if (realpath(str_text(&path), absolute) != NULL) {
        str_clear(&path);
        str_add(&path, absolute);
    }
    return compile_keep(c, &path);
}

static void set_text(struct compiler *c, const struct role_var *var, const char *value,
                     const char *file, unsigned line)
{
    bool secret;
    const char *text = compile_render(c, value, file, line, ESCAPE_NONE, &secret);
    if (secret || (var->public.secret && text[0] != '\0')) {
        set_secret(c, var, text, strlen(text), file, line);
        return;
    }
    if (var->rule.type == VALUE_SOURCE && text[0] != '\0') {
        text = resolve_source(c, text, file);
    }
    const char *expected = value_set(&var->rule, var->public.name, text, c->own);
    if (expected != NULL) {
        problem_add(c->problems, file, line, "%s.%s: expected %s, got '%s'", var->public.role,
                    var->public.name, expected, text);
        json_object_set_new(c->own, var->public.name, json_string(""));
    }
}

static void set_variable(struct compiler *c, const struct role_var *var,
                         const struct role_setting *setting)
{
    const struct role_variable *public = &var->public;
    if (setting != NULL && setting->secret != NULL) {
        set_secret(c, var, setting->secret->bytes, setting->secret->length, setting->file,
                   setting->line);
    } else if (setting != NULL && public->secret && setting->value[0] != '\0') {
        problem_add(c->problems, setting->file, setting->line,
                    "%s.%s is a secret: set it as 'secret:NAME', with a [secret NAME]",
                    public->role, public->name);
        json_object_set_new(c->own, public->name, json_string(""));
    } else if (setting != NULL) {
        set_text(c, var, setting->value, setting->file, setting->line);
    } else if (public->value != NULL) {
        set_text(c, var, public->value, var->file, var->default_line);
    } else {
        problem_add(c->problems, var->file, var->line,
                    "%s.%s has no value and no default: set it in the cluster file (%s)",
                    public->role, public->name, var->rule.expected);
        json_object_set_new(c->own, public->name, json_string(""));
    }
}

/* Settings that no variable of this role takes. */
static void check_settings(struct compiler *c, const struct role_setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *nearest = NULL;
        if (text_equal(settings[i].role, c->role->name) &&
            role_library_variable(c->library, settings[i].role, settings[i].variable, &nearest) ==
                NULL) {
            problem_add(c->problems, settings[i].file, settings[i].line,
                        "%s.%s: role '%s' has no such variable%s%s%s", settings[i].role,
                        settings[i].variable, settings[i].role,
                        nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "'?");
        }
    }
}

/* Whether clean() would leave it as it is; only what is plain ASCII is known to be. */
static bool is_clean(const json_t *value)
{
    const char *key;
    json_t *member;
    bool clean = true;
    json_object_foreach((json_t *)value, key, member)
    {
        clean = clean && is_clean(member);
    }
    for (size_t i = 0; clean && i < json_array_size(value); i++) {
        clean = is_clean(json_array_get(value, i));
    }
    const char *text = json_string_value(value);
    for (size_t i = 0; clean && i < json_string_length(value); i++) {
        clean = text[i] >= ' ' && text[i] <= '~';
    }
    return clean;
}

/*
 * VALUE without control bytes: what a host or a file said cannot pass for a marker. Shared, not
 * copied, when it has none: every host's context has all members of all groups.
 */
static json_t *clean(const json_t *value)
{
    if (is_clean(value)) {
        return json_incref((json_t *)value);
    }
    if (json_is_object(value)) {
        json_t *copy = json_object();
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)value, key, member)
        {
            json_object_set_new(copy, key, clean(member));
        }
        return copy;
    }
    if (json_is_array(value)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_array_append_new(copy, clean(json_array_get(value, i)));
        }
        return copy;
    }
    struct str text = STR_NULL;
    str_add_printable(&text, json_string_value(value), json_string_length(value), true);
    json_t *copy = json_stringn(str_text(&text), text.length);
    str_deinit(&text);
    return copy;
}

static void assume(struct compiler *c, json_t *facts, const char *name, json_t *value)
{
    if (json_object_get(facts, name) == NULL) {
        json_object_set_new(facts, name, value);
        c->script->facts_assumed = true;
    } else {
        json_decref(value);
    }
}

static void add_facts(struct compiler *c)
{
    const json_t *said = json_object_get(c->root, "facts");
    json_t *facts = json_is_object(said) ? json_copy((json_t *)said) : json_object();
    json_object_set_new(c->root, "facts", facts);
    assume(c, facts, "os", json_string("debian"));
    assume(c, facts, "release", json_string("12"));
    assume(c, facts, "codename", json_string("bookworm"));
    assume(c, facts, "arch", json_string("x86_64"));
    assume(c, facts, "hostname", json_string("host"));
    assume(c, facts, "cpus", json_integer(1));
    assume(c, facts, "memory_mb", json_integer(1024));
    json_int_t memory = json_integer_value(json_object_get(facts, "memory_mb"));
    json_object_set_new(facts, "memory_half_mb", json_integer(memory / 2));
    json_object_set_new(facts, "memory_quarter_mb", json_integer(memory / 4));
    json_object_set_new(facts, "memory_eighth_mb", json_integer(memory / 8));
    const char *codename = json_string_value(json_object_get(facts, "codename"));
    if (codename != NULL && json_object_get(facts, codename) == NULL) {
        char *key = xstrdup(codename);
        json_object_set_new(facts, key, json_true());
        free(key);
    }
}

void compile_context(struct compiler *c, const json_t *context)
{
    c->root = json_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)context, key, member)
    {
        json_object_set_new(c->root, key, clean(member));
    }
    add_facts(c);
}

void compile_variables(struct compiler *c, const struct role_setting *settings, size_t count)
{
    c->own = json_object();
    for (size_t i = 0; i < c->role->var_count; i++) {
        const struct role_var *var = &c->role->vars[i];
        set_variable(c, var, find_setting(settings, count, var));
    }
    check_settings(c, settings, count);
}
