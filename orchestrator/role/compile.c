/*
 * Roles and variables to one script. The variables of each role are worked out in order, then its
 * resources; what the script looks at is collected on the way and becomes a few functions that ask
 * for all of it at once, because on the host a process costs more than everything else.
 *
 * A secret never becomes part of a JSON value: templates see a marker (a control byte, which no
 * value can hold, and an index), and only the function that adds a value to a text knows what is
 * behind it. So it also knows that the text is secret from then on.
 */
#include "role/compiler.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "net/digest.h"
#include "role/prelude.h"
#include "role/template.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MARKER '\x01'

/* --- problems and texts ----------------------------------------------------------------------- */

void compile_problem(struct compiler *c, const char *key, const char *format, ...)
{
    const struct ini_entry *entry = key == NULL ? NULL : role_entry(c->section, key);
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    problem_add(c->problems, entry == NULL ? c->section->file : entry->file,
                entry == NULL ? c->section->line : entry->line, "%s%s%s", key == NULL ? "" : key,
                key == NULL ? "" : ": ", text);
}

const char *compile_keep(struct compiler *c, struct str *text)
{
    size_t i = xgrow((void **)&c->texts, &c->text_count, &c->text_capacity, sizeof(*c->texts));
    c->texts[i] = text->text == NULL ? xstrdup("") : str_take(text);
    return c->texts[i];
}

/* --- rendering -------------------------------------------------------------------------------- */

struct rendering {
    struct compiler *c;
    enum escape escape;
    bool secret; /* A secret went in. */
};

void compile_hide(struct compiler *c, const char *text, size_t length)
{
    struct role_script *script = c->script;
    for (size_t i = 0; i < script->hidden_count; i++) {
        if (script->hidden[i].length == length &&
            memcmp(script->hidden[i].bytes, text, length) == 0) {
            return;
        }
    }
    script->hidden = xrealloc(script->hidden, script->hidden_count + 1, sizeof(*script->hidden));
    script->hidden[script->hidden_count] = SECRET_NULL;
    secret_set(&script->hidden[script->hidden_count++], text, length);
}

static const struct secret *behind_marker(const struct compiler *c, const char *value)
{
    int64_t index;
    if (value[0] != MARKER || c->known_count == 0 ||
        !text_to_int(value + 1, 0, (int64_t)c->known_count - 1, &index)) {
        return NULL;
    }
    return &c->known[index];
}

static bool add_value(void *context, struct str *out, const char *value, bool raw,
                      const struct template_place *place)
{
    struct rendering *r = context;
    const struct secret *secret = behind_marker(r->c, value);
    char *text =
        secret == NULL ? xstrdup(value) : xstrndup((const char *)secret->bytes, secret->length);
    size_t before = out->length;
    const char *why = escape_add(out, raw ? ESCAPE_NONE : r->escape, text);
    if (why != NULL) {
        problem_add(r->c->problems, place->file, place->line, "a value cannot be written here: %s",
                    why);
    }
    if (secret != NULL) {
        r->secret = true;
        compile_hide(r->c, str_text(out) + before, out->length - before);
        explicit_bzero(text, strlen(text));
    }
    free(text);
    return why == NULL;
}

static const char *find_partial(void *context, const char *name, const char **ret_file)
{
    struct rendering *r = context;
    if (strchr(name, '/') != NULL) {
        return NULL;
    }
    struct str path = STR_NULL;
    str_addf(&path, "%s/templates/%s.mustache", r->c->role->directory, name);
    *ret_file = compile_keep(r->c, &path);
    const struct str *text = role_library_text(r->c->library, *ret_file, NULL, 0, r->c->problems);
    return text == NULL ? NULL : str_text(text);
}

/* Returns the text, "" after a problem. */
static const char *render(struct compiler *c, const char *text, const char *file, unsigned line,
                          enum escape escape, bool *ret_secret)
{
    struct rendering r = {.c = c, .escape = escape};
    *ret_secret = false;
    if (strstr(text, "{{") == NULL) {
        return text;
    }
    const json_t *stack[] = {c->root, c->own};
    const struct template_env env = {.stack = stack,
                                     .depth = c->own == NULL ? 1 : 2,
                                     .strict = true,
                                     .add = add_value,
                                     .partial = find_partial,
                                     .context = &r,
                                     .problems = c->problems};
    struct str out = STR_NULL;
    if (template_render(&env, text, file, line, &out) != 0) {
        str_clear(&out);
    }
    *ret_secret = r.secret;
    return compile_keep(c, &out);
}

static const char *render_entry(struct compiler *c, const struct ini_entry *entry,
                                const char *value, enum escape escape)
{
    bool secret;
    const char *text = render(c, value, entry->file, entry->line, escape, &secret);
    if (secret) {
        problem_add(c->problems, entry->file, entry->line,
                    "%s: a secret may not be used here, only in a file's content or template, the "
                    "input of a run or the password of a database",
                    entry->key);
        return "";
    }
    return text;
}

const char *compile_text(struct compiler *c, const char *key, const char *otherwise)
{
    const struct ini_entry *entry = role_entry(c->section, key);
    if (entry == NULL) {
        return otherwise;
    }
    return render_entry(c, entry, entry->value, ESCAPE_NONE);
}

const char *compile_command(struct compiler *c, const char *key, const char *argument)
{
    const struct ini_entry *entry = role_entry(c->section, key);
    if (entry == NULL) {
        return "";
    }
    struct str value = STR_NULL;
    const char *at = entry->value;
    const char *mark;
    while (argument != NULL && (mark = strstr(at, "%s")) != NULL) {
        str_add_bytes(&value, at, (size_t)(mark - at));
        str_add(&value, argument);
        at = mark + 2;
    }
    str_add(&value, at);
    return render_entry(c, entry, compile_keep(c, &value), ESCAPE_SHELL);
}

const char *compile_secret_text(struct compiler *c, const char *key, enum escape escape,
                                bool *ret_secret)
{
    const struct ini_entry *entry = role_entry(c->section, key);
    *ret_secret = false;
    if (entry == NULL) {
        return "";
    }
    return render(c, entry->value, entry->file, entry->line, escape, ret_secret);
}

const char *compile_template(struct compiler *c, const char *key, const char *name,
                             enum escape escape, bool *ret_secret)
{
    const struct ini_entry *entry = role_entry(c->section, key);
    struct str path = STR_NULL;
    *ret_secret = false;
    if (name[0] == '\0' || name[0] == '/' || strstr(name, "..") != NULL) {
        compile_problem(c, key, "expected the name of a file in templates/, got '%s'", name);
        return NULL;
    }
    str_addf(&path, "%s/templates/%s", c->role->directory, name);
    const char *file = compile_keep(c, &path);
    const struct str *text =
        role_library_text(c->library, file, entry->file, entry->line, c->problems);
    if (text == NULL) {
        return NULL;
    }
    if (memchr(str_text(text), '\0', text->length) != NULL) {
        compile_problem(c, key, "%s holds a NUL byte; use source", file);
        return NULL;
    }
    return render(c, str_text(text), file, 1, escape, ret_secret);
}

const char *compile_label(struct compiler *c)
{
    bool secret;
    const char *label =
        render(c, c->section->name, c->section->file, c->section->line, ESCAPE_NONE, &secret);
    if (secret || strpbrk(label, "\n\t\r") != NULL) {
        compile_problem(c, NULL, "a name is one line without a secret");
        return "";
    }
    return label;
}

/* --- checked values --------------------------------------------------------------------------- */

bool compile_check_path(struct compiler *c, const char *key, const char *path)
{
    static const struct value_rule rule = {.type = VALUE_PATH, .expected = "an absolute path"};
    if (value_set(&rule, "", path, NULL) != NULL || text_ends(path, "/") ||
        strstr(path, "//") != NULL) {
        compile_problem(c, key, "expected an absolute path, got '%s'", path);
        return false;
    }
    return true;
}

const char *compile_path(struct compiler *c)
{
    bool given = role_entry(c->section, "path") != NULL;
    const char *path = given ? compile_text(c, "path", NULL) : compile_label(c);
    return compile_check_path(c, given ? "path" : NULL, path) ? path : "/";
}

bool compile_check_word(struct compiler *c, const char *key, const char *text, const char *extra)
{
    bool good = text[0] != '\0' && text[0] != '-';
    for (const char *at = text; good && *at != '\0'; at++) {
        good = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
               (*at >= '0' && *at <= '9') || strchr(extra, *at) != NULL;
    }
    if (!good) {
        compile_problem(c, key, "expected letters, digits and '%s', got '%s'", extra, text);
    }
    return good;
}

/* A rendered word of a KEY_WORDS key; load.c has checked those without templates. */
static const char *checked_word(struct compiler *c, const char *key)
{
    const struct role_resource_type *type = role_resource_type(c->section->type);
    const char *text = compile_text(c, key, "");
    for (const struct role_key *k = type == NULL ? role_handler_type.keys : type->keys;
         k->name != NULL; k++) {
        if (!text_equal(k->name, key) || k->choices == NULL || text[0] == '\0') {
            continue;
        }
        char **words;
        size_t count = role_words(k->choices, " ", &words);
        bool found = false;
        for (size_t i = 0; i < count; i++) {
            found = found || text_equal(words[i], text);
        }
        role_words_free(words, count);
        if (!found) {
            compile_problem(c, key, "expected one of: %s; got '%s'", k->choices, text);
        }
    }
    return text;
}

bool compile_is(struct compiler *c, const char *key, const char *word)
{
    return text_equal(checked_word(c, key), word);
}

bool compile_is_yes(struct compiler *c, const char *key)
{
    return compile_is(c, key, "yes");
}

const char *compile_mode(struct compiler *c, const char *otherwise)
{
    const char *text = compile_text(c, "mode", otherwise);
    size_t length = strspn(text, "01234567");
    if (length < 3 || length > 5 || text[length] != '\0' || strtoul(text, NULL, 8) > 07777) {
        compile_problem(c, "mode", "expected an octal mode such as 0644, got '%s'", text);
        return otherwise;
    }
    struct str mode = STR_NULL;
    str_addf(&mode, "%lo", strtoul(text, NULL, 8));
    return compile_keep(c, &mode);
}

int64_t compile_duration_ms(struct compiler *c, const char *key, int64_t otherwise)
{
    const char *text = compile_text(c, key, NULL);
    int64_t number = otherwise;
    if (text != NULL && !value_to_int(VALUE_DURATION, text, &number)) {
        compile_problem(c, key, "expected a duration such as 30s, got '%s'", text);
    }
    return number;
}

int64_t compile_number(struct compiler *c, const char *key, int64_t otherwise)
{
    const char *text = compile_text(c, key, NULL);
    int64_t number = otherwise;
    if (text != NULL && (!value_to_int(VALUE_NUMBER, text, &number) || number < 0)) {
        compile_problem(c, key, "expected a whole number, got '%s'", text);
    }
    return number;
}

const char *compile_escaped(struct compiler *c, const char *text)
{
    struct str out = STR_NULL;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '\n') {
            str_add(&out, "\\n");
        } else if (*at == '\\') {
            str_add(&out, "\\\\");
        } else if (*at < 0x20 || *at > 0x7e) {
            str_addf(&out, "\\0%03o", *at);
        } else {
            str_add_char(&out, (char)*at);
        }
    }
    return compile_keep(c, &out);
}

/* --- the script ------------------------------------------------------------------------------- */

void script_add_word(struct str *script, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./:@%+-,";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        str_add(script, text);
    } else {
        str_add_shell(script, text);
    }
}

void compile_need_section(struct compiler *c, const char *name)
{
    struct str word = STR_NULL;
    str_addf(&word, " %s ", name);
    if (strstr(str_text(&c->sections), str_text(&word)) == NULL) {
        str_add(&c->sections, str_text(&word));
    }
    str_deinit(&word);
}

static void say_unknown_handler(struct compiler *c, const char *name)
{
    const char **words = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < c->role_count; i++) {
        for (size_t h = 0; h < c->roles[i]->handler_count; h++) {
            size_t w = xgrow((void **)&words, &count, &capacity, sizeof(*words));
            words[w] = c->roles[i]->handlers[h].section->name;
        }
    }
    const char *nearest = text_nearest(name, words, count);
    compile_problem(c, "notify", "there is no handler '%s' among the host's roles%s%s%s", name,
                    nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                    nearest == NULL ? "" : "'?");
    free(words);
}

static const struct role *find_handler(const struct compiler *c, const char *name)
{
    if (role_find_handler(c->role, name) != NULL) {
        return c->role;
    }
    for (size_t i = 0; i < c->role_count; i++) {
        if (role_find_handler(c->roles[i], name) != NULL) {
            return c->roles[i];
        }
    }
    return NULL;
}

/* Adds " ROLE/HANDLER" for each handler to notify. */
static void add_notify(struct compiler *c, struct str *script)
{
    char **names;
    size_t count = role_words(compile_text(c, "notify", ""), ",\n", &names);
    for (size_t i = 0; i < count; i++) {
        const struct role *role = find_handler(c, names[i]);
        if (role == NULL) {
            say_unknown_handler(c, names[i]);
            continue;
        }
        struct str id = STR_NULL;
        str_addf(&id, "%s/%s", role->name, names[i]);
        str_add_char(script, ' ');
        script_add_word(script, str_text(&id));
        if (text_equal(c->section->type, "package")) {
            str_addf(&c->package_notify, "%s\n", str_text(&id));
        }
        str_deinit(&id);
    }
    role_words_free(names, count);
}

static void add_at(struct compiler *c, const char *label, const char *function)
{
    str_addf(&c->body, "\n%s %s %s ", function, c->role->name, c->section->type);
    script_add_word(&c->body, label);
}

void compile_begin(struct compiler *c, const char *label, const char *function)
{
    add_at(c, label, "ll_at");
    add_notify(c, &c->body);
    str_addf(&c->body, "\n%s", function);
    c->script->resource_count++;
}

void compile_arg(struct compiler *c, const char *text)
{
    str_add(&c->body, strchr(text, '\n') != NULL ? " \\\n" : " ");
    script_add_word(&c->body, text);
}

void compile_arg_number(struct compiler *c, int64_t number)
{
    str_addf(&c->body, " %lld", (long long)number);
}

void compile_arg_secret(struct compiler *c, const char *text)
{
    struct role_script *script = c->script;
    const char *escaped = compile_escaped(c, text);
    script->secrets = xrealloc(script->secrets, script->secret_count + 1, sizeof(*script->secrets));
    script->secrets[script->secret_count] = SECRET_NULL;
    secret_set(&script->secrets[script->secret_count++], escaped, strlen(escaped));
    str_addf(&c->body, " \"$ll_secret_%zu\"", script->secret_count);
}

void compile_end(struct compiler *c)
{
    str_add_char(&c->body, '\n');
}

void compile_look(struct compiler *c, const char *path, bool sum)
{
    str_add(&c->paths, " \\\n        ");
    script_add_word(&c->paths, path);
    if (sum) {
        str_add(&c->sums, " \\\n        ");
        script_add_word(&c->sums, path);
    }
}

void compile_blob(struct compiler *c, const struct role_source *source)
{
    struct role_script *script = c->script;
    for (size_t i = 0; i < script->blob_count; i++) {
        if (text_equal(script->blobs[i].digest, source->digest)) {
            return;
        }
    }
    script->blobs = xrealloc(script->blobs, script->blob_count + 1, sizeof(*script->blobs));
    struct role_blob *blob = &script->blobs[script->blob_count++];
    *blob = (struct role_blob){.path = xstrdup(source->path), .size_bytes = source->size_bytes};
    text_copy(blob->digest, sizeof(blob->digest), source->digest);
}

/* --- variables -------------------------------------------------------------------------------- */

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
    str_addf(&marker, "%c%zu", MARKER, i);
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
    const char *text = render(c, value, file, line, ESCAPE_NONE, &secret);
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

/* --- facts and context ------------------------------------------------------------------------ */

/* A copy without control bytes: what a host or a file said cannot pass for a marker. */
static json_t *clean_copy(const json_t *value)
{
    if (json_is_object(value)) {
        json_t *copy = json_object();
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)value, key, member)
        {
            json_object_set_new(copy, key, clean_copy(member));
        }
        return copy;
    }
    if (json_is_array(value)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_array_append_new(copy, clean_copy(json_array_get(value, i)));
        }
        return copy;
    }
    if (json_is_string(value)) {
        struct str text = STR_NULL;
        str_add_printable(&text, json_string_value(value), json_string_length(value), true);
        json_t *copy = json_stringn(str_text(&text), text.length);
        str_deinit(&text);
        return copy;
    }
    return json_deep_copy(value);
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
    json_t *facts = json_object_get(c->root, "facts");
    if (!json_is_object(facts)) {
        facts = json_object();
        json_object_set_new(c->root, "facts", facts);
    }
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

/* --- resources -------------------------------------------------------------------------------- */

static bool is_wanted(struct compiler *c)
{
    const char *when = compile_text(c, "when", NULL);
    return when == NULL || !(when[0] == '\0' || text_equal(when, "no") ||
                             text_equal(when, "false") || text_equal(when, "0"));
}

static void add_resource(struct compiler *c, const struct role_resource *resource)
{
    c->section = resource->section;
    if (!is_wanted(c)) {
        add_at(c, compile_label(c), "ll_skip");
        str_add_char(&c->body, '\n');
        c->script->resource_count++;
        return;
    }
    compile_need_section(c, resource->type->section);
    resource->type->emit(c, resource->section);
}

static void add_handler(struct compiler *c, const struct role_resource *handler)
{
    struct str *body = &c->handlers;
    c->section = handler->section;
    str_addf(body, "ll_handler %s ", c->role->name);
    script_add_word(body, c->section->name);
    if (role_entry(c->section, "command") != NULL) {
        str_add(body, " command ");
        script_add_word(body, compile_command(c, "command", NULL));
    } else {
        const char *service = compile_text(c, "service", "");
        compile_check_word(c, "service", service, ":_.@-");
        str_add(body, " service ");
        script_add_word(body, service);
        str_add(body, compile_is(c, "action", "restart") ? " restart" : " reload");
    }
    str_add_char(body, '\n');
    c->script->resource_count++;
}

static void add_role(struct compiler *c, const struct role *role,
                     const struct role_setting *settings, size_t setting_count)
{
    c->role = role;
    c->own = json_object();
    for (size_t i = 0; i < role->var_count; i++) {
        set_variable(c, &role->vars[i], find_setting(settings, setting_count, &role->vars[i]));
    }
    check_settings(c, settings, setting_count);
    str_addf(&c->body, "\n# --- role %s\n", role->name);
    for (size_t i = 0; i < role->resource_count; i++) {
        add_resource(c, &role->resources[i]);
    }
    for (size_t i = 0; i < role->handler_count; i++) {
        add_handler(c, &role->handlers[i]);
    }
    json_object_set_new(c->root, role->name, c->own);
    c->own = NULL;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void add_gather(struct compiler *c, struct str *text)
{
    if (c->package_greps.length > 0) {
        str_addf(text, "ll_packages='%s'\nll_packages_notify=", str_text(&c->packages));
        str_add_shell(text, str_text(&c->package_notify));
        str_addf(text,
                 "\nll_gather_packages() {\n    ll_dpkg=$ll_nl$(grep -A3 -xF%s \\\n"
                 "        -e 'Status: install ok half-configured' "
                 "-e 'Status: install ok half-installed' \\\n"
                 "        -e 'Status: install ok unpacked' "
                 "-e 'Status: install reinstreq half-installed' \\\n"
                 "        -e 'Status: install ok triggers-pending' "
                 "-e 'Status: install ok triggers-awaited' \\\n"
                 "        \"$ll_root/var/lib/dpkg/status\" 2>/dev/null)$ll_nl\n}\n",
                 str_text(&c->package_greps));
    }
    if (c->settings.length > 0) {
        str_addf(text,
                 "ll_gather_settings() {\n    ll_settings=$ll_nl$(grep -Hs '' --%s)$ll_nl\n}\n",
                 str_text(&c->settings));
    }
    str_add(text, "ll_gather_files() {\n    ll_stats=$ll_nl");
    if (c->paths.length > 0) {
        str_addf(text,
                 "$(find%s \\\n        -maxdepth 0 -printf '%%p\\t%%y\\t%%l\\t%%m\\t%%u\\t"
                 "%%g\\n' 2>/dev/null)$ll_nl",
                 str_text(&c->paths));
    }
    str_add(text, "\n    ll_digests=$ll_nl");
    if (c->sums.length > 0) {
        str_addf(text, "$(sha256sum --%s 2>/dev/null)$ll_nl", str_text(&c->sums));
    }
    str_add(text, "\n}\n");
}

/* The digest of all that decides the result; secrets only through it. */
static void add_digest(struct role_script *script)
{
    struct digest *digest = digest_new();
    digest_add(digest, str_text(&script->text), script->text.length);
    for (size_t i = 0; i < script->secret_count; i++) {
        digest_add(digest, "\n", 1);
        digest_add(digest, script->secrets[i].bytes, script->secrets[i].length);
    }
    digest_finish(digest, script->digest);
}

static void assemble(struct compiler *c)
{
    struct str *text = &c->script->text;
    str_add(text, "# What this host should be, as Lamplighter would bring it about. Roles:");
    for (size_t i = 0; i < c->role_count; i++) {
        str_addf(text, " %s", c->roles[i]->name);
    }
    str_add(text, ".\n");
    prelude_add(text, str_text(&c->sections));
    str_add(text, "\n# --- this host\n");
    add_gather(c, text);
    str_addf(text, "ll_begin %zu\n", c->script->secret_count);
    str_add_bytes(text, str_text(&c->body), c->body.length);
    str_add(text, "\n# --- handlers\n");
    str_add_bytes(text, str_text(&c->handlers), c->handlers.length);
    str_add(text, "ll_end\n");
    add_digest(c->script);
}

static void compiler_deinit(struct compiler *c)
{
    for (size_t i = 0; i < c->text_count; i++) {
        explicit_bzero(c->texts[i], strlen(c->texts[i])); /* It may be a rendered secret. */
        free(c->texts[i]);
    }
    for (size_t i = 0; i < c->known_count; i++) {
        secret_deinit(&c->known[i]);
    }
    free(c->texts);
    free(c->known);
    free(c->roles);
    str_deinit(&c->body);
    str_deinit(&c->handlers);
    str_deinit(&c->paths);
    str_deinit(&c->sums);
    str_deinit(&c->packages);
    str_deinit(&c->package_greps);
    str_deinit(&c->package_notify);
    str_deinit(&c->settings);
    str_deinit(&c->sections);
    json_decref(c->root);
}

static bool has_required(struct role_library *library, const struct role *role)
{
    for (size_t i = 0; i < role->require_count; i++) {
        if (role_library_find(library, role->requires[i]) == NULL) {
            return false;
        }
    }
    return true;
}

int role_compile(struct role_library *library, const char *const *roles, size_t role_count,
                 const struct role_setting *settings, size_t setting_count, const json_t *context,
                 struct role_script *ret_script, struct problem_list *problems)
{
    size_t before = problems->count;
    size_t capacity = 0;
    bool good = true;
    struct role_script script = {.text = STR_NULL};
    struct compiler c = {.library = library, .problems = problems, .script = &script};
    c.root = json_is_object(context) ? clean_copy(context) : json_object();
    add_facts(&c);
    for (size_t i = 0; i < role_count; i++) {
        if (role_library_find(library, roles[i]) == NULL) {
            problem_add(problems, NULL, 0, "role '%s' is not loaded", roles[i]);
        }
        role_library_order(library, roles[i], &c.roles, &c.role_count, &capacity);
    }
    for (size_t i = 0; i < c.role_count; i++) {
        good = good && c.roles[i]->good && has_required(library, c.roles[i]);
        add_role(&c, c.roles[i], settings, setting_count);
    }
    assemble(&c);
    compiler_deinit(&c);
    if (problems->count != before || !good) {
        role_script_deinit(&script);
        return -1;
    }
    *ret_script = script;
    return 0;
}
