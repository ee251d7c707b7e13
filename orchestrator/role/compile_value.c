/*
 * Values of a section: rendered, escaped for where they land, checked.
 *
 * A secret never becomes part of a JSON value: templates see a marker (a control byte, which no
 * value can hold, and an index), and only the function that adds a value to a text knows what is
 * behind it. So it also knows that the text is secret from then on.
 */
#include "role/compiler.h"

#include "base/mem.h"
#include "base/problem.h"
#include "role/template.h"

#include <stdlib.h>
#include <string.h>

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

const char *compile_unit(struct compiler *c, const char *name)
{
    static const char *const suffixes[] = {".service", ".timer", ".socket",
                                           ".path",    ".mount", ".target"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (text_ends(name, suffixes[i])) {
            return name;
        }
    }
    struct str unit = STR_NULL;
    str_addf(&unit, "%s.service", name);
    return compile_keep(c, &unit);
}

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
    if (value[0] != COMPILE_MARKER || c->known_count == 0 ||
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

const char *compile_render(struct compiler *c, const char *text, const char *file, unsigned line,
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
    const char *text = compile_render(c, value, entry->file, entry->line, escape, &secret);
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
    return compile_render(c, entry->value, entry->file, entry->line, escape, ret_secret);
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
    return compile_render(c, str_text(text), file, 1, escape, ret_secret);
}

const char *compile_label(struct compiler *c)
{
    bool secret;
    const char *label = compile_render(c, c->section->name, c->section->file, c->section->line,
                                       ESCAPE_NONE, &secret);
    if (secret || strpbrk(label, "\n\t\r") != NULL) {
        compile_problem(c, NULL, "a name is one line without a secret");
        return "";
    }
    return label;
}

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
