#include "cli/help_config.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "spec/key.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 80

/* A column of text: wraps at WIDTH. */
struct column {
    FILE *out;
    int indent;
    int at; /* Characters of the line that are used. */
};

static void start_line(struct column *c)
{
    fprintf(c->out, "%s%*s", c->at > 0 ? "\n" : "", c->indent, "");
    c->at = c->indent;
}

/* Writes TEXT word by word, going on in the current line. */
static void write_words(struct column *c, const char *text)
{
    while (*(text += strspn(text, " ")) != '\0') {
        int length = (int)strcspn(text, " ");
        if (c->at + 1 + length > WIDTH && c->at > c->indent) {
            start_line(c);
        }
        fprintf(c->out, "%s%.*s", c->at > c->indent ? " " : "", length, text);
        c->at += length + (c->at > c->indent ? 1 : 0);
        text += length;
    }
}

static void end_line(struct column *c)
{
    fputc('\n', c->out);
    c->at = 0;
}

static void print_paragraph(FILE *out, int indent, const char *text)
{
    struct column c = {.out = out, .indent = indent};
    start_line(&c);
    write_words(&c, text);
    end_line(&c);
}

/* "required", "default: X", or nothing where an absent key means just that. */
static void add_default(const struct key *key, struct str *text)
{
    if (key->required) {
        str_add(text, "; required");
    } else if (key->fallback != NULL) {
        str_addf(text, "; default %s", key->fallback);
    } else if (key->fallback_note != NULL) {
        str_addf(text, "; default: %s", key->fallback_note);
    }
    if (key->repeated) {
        str_add(text, "; may be repeated");
    }
}

static void print_key(FILE *out, const struct key *key)
{
    struct str text = STR_NULL;
    fprintf(out, "  %s\n", key->name);
    str_add(&text, "Value: ");
    key_add_expected(key, &text);
    add_default(key, &text);
    str_add(&text, ".");
    print_paragraph(out, 6, key->help);
    print_paragraph(out, 6, str_text(&text));
    if (key->example != NULL) {
        str_clear(&text);
        str_addf(&text, "Example: %s = %s", key->name, key->example);
        print_paragraph(out, 6, str_text(&text));
    }
    str_deinit(&text);
}

static void print_list(FILE *out, int indent, const char *head, const char *const *names)
{
    struct str text = STR_NULL;
    str_add(&text, head);
    for (size_t i = 0; names[i] != NULL; i++) {
        str_addf(&text, "%s%s", i == 0 ? " " : ", ", names[i]);
    }
    str_add(&text, ".");
    print_paragraph(out, indent, str_text(&text));
    str_deinit(&text);
}

static void print_header(FILE *out, const struct section_kind *kind)
{
    fprintf(out, "[%s NAME]\n", kind->name);
    print_paragraph(out, 2, kind->help);
}

static void print_section(FILE *out, const struct section_kind *kind)
{
    print_header(out, kind);
    for (size_t i = 0; i < kind->key_count; i++) {
        fputc('\n', out);
        print_key(out, &kind->keys[i]);
    }
    if (kind->settings) {
        fputs("\n  ROLE.VARIABLE\n", out);
        print_paragraph(out, 6,
                        "Sets a variable of a role. The value may use what is known of the cluster "
                        "({{groups.db.address}}), or name a secret (secret:NAME). A [group] "
                        "overrides its [template], that overrides [cluster].");
    }
    if (kind->later != NULL) {
        fputc('\n', out);
        print_list(out, 2, "Reserved for later versions:", kind->later);
    }
}

static void print_all(FILE *out)
{
    print_paragraph(out, 0,
                    "The cluster file. Sections are [TYPE NAME], a name is letters a-z, digits and "
                    "hyphens. Keys are KEY = VALUE; a value goes on over lines that are indented "
                    "deeper than its key. Lines that begin with # or ; are comments; after a value "
                    "a comment begins with ' ;'. A value @FILE is read from that file (@@ is an "
                    "@). Paths are relative to the file they stand in. Before the first section, "
                    "'include = FILE' reads another file.");
    for (size_t i = 0; i < section_kind_count; i++) {
        fputc('\n', out);
        print_section(out, &section_kinds[i]);
    }
    fputc('\n', out);
    print_list(out, 0, "Sections reserved for later versions:", section_later);
}

/* What WHAT names: both NULL for everything, a section, or a key of it. */
struct topic {
    const struct section_kind *kind;
    const struct key *key;
};

static int find_section(const char *name, const struct section_kind **ret_kind, struct err *e)
{
    const char *names[SECTION_HOOK + 1];
    for (size_t i = 0; i < section_kind_count; i++) {
        names[i] = section_kinds[i].name;
    }
    *ret_kind = section_kind_find(name);
    if (*ret_kind != NULL) {
        return 0;
    }
    const char *nearest = text_nearest(name, names, section_kind_count);
    return err_set(e, "no section [%.40s]%s%s%s", name, nearest == NULL ? "" : "; did you mean '",
                   nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

static int find_key(const struct section_kind *kind, const char *name, const struct key **ret_key,
                    struct err *e)
{
    const char *names[SECTION_KEY_MAX];
    for (size_t i = 0; i < kind->key_count; i++) {
        names[i] = kind->keys[i].name;
    }
    size_t index = section_kind_key(kind, name);
    if (index < kind->key_count) {
        *ret_key = &kind->keys[index];
        return 0;
    }
    const char *nearest = text_nearest(name, names, kind->key_count);
    return err_set(e, "[%s] has no key '%.40s'%s%s%s", kind->name, name,
                   nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "'?");
}

static int find_topic(const char *what, struct topic *ret_topic, struct err *e)
{
    struct topic topic = {.kind = NULL};
    if (what == NULL || *what == '\0') {
        *ret_topic = topic;
        return 0;
    }
    size_t length = strcspn(what, ".");
    char *section = xstrndup(what, length);
    int result = find_section(section, &topic.kind, e);
    free(section);
    if (result == 0 && what[length] == '.') {
        result = find_key(topic.kind, what + length + 1, &topic.key, e);
    }
    if (result == 0) {
        *ret_topic = topic;
    }
    return result;
}

int help_config_print(const char *what, FILE *out, struct err *e)
{
    struct topic topic;
    if (find_topic(what, &topic, e) != 0) {
        return -1;
    }
    if (topic.key != NULL) {
        print_header(out, topic.kind);
        fputc('\n', out);
        print_key(out, topic.key);
    } else if (topic.kind != NULL) {
        print_section(out, topic.kind);
    } else {
        print_all(out);
    }
    return 0;
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text != NULL) {
        json_object_set_new(object, name, json_string(text));
    }
}

static void set_number(json_t *object, const char *name, const struct key *key, int64_t number)
{
    struct str text = STR_NULL;
    key_add_number(key, number, &text);
    set_text(object, name, str_text(&text));
    str_deinit(&text);
}

static json_t *json_of_key(const struct key *key)
{
    json_t *object = json_object();
    struct str expected = STR_NULL;
    key_add_expected(key, &expected);
    set_text(object, "name", key->name);
    set_text(object, "expected", str_text(&expected));
    set_text(object, "default", key->fallback != NULL ? key->fallback : key->fallback_note);
    json_object_set_new(object, "required", json_boolean(key->required));
    json_object_set_new(object, "repeated", json_boolean(key->repeated));
    if (key->max > 0 && key->type != KEY_TEXT && key->type != KEY_LINE) {
        set_number(object, "min", key, key->min);
        set_number(object, "max", key, key->max);
    }
    if (key->words != NULL) {
        json_t *words = json_array();
        for (size_t i = 0; key->words[i] != NULL; i++) {
            json_array_append_new(words, json_string(key->words[i]));
        }
        json_object_set_new(object, "words", words);
    }
    set_text(object, "help", key->help);
    set_text(object, "example", key->example);
    str_deinit(&expected);
    return object;
}

json_t *help_config_json(const char *what, struct err *e)
{
    struct topic topic;
    if (find_topic(what, &topic, e) != 0) {
        return NULL;
    }
    json_t *sections = json_array();
    for (size_t i = 0; i < section_kind_count; i++) {
        const struct section_kind *kind = &section_kinds[i];
        if (topic.kind != NULL && topic.kind != kind) {
            continue;
        }
        json_t *keys = json_array();
        for (size_t k = 0; k < kind->key_count; k++) {
            if (topic.key == NULL || topic.key == &kind->keys[k]) {
                json_array_append_new(keys, json_of_key(&kind->keys[k]));
            }
        }
        json_array_append_new(sections,
                              json_pack("{s:s, s:s, s:b, s:o}", "name", kind->name, "help",
                                        kind->help, "settings", kind->settings, "keys", keys));
    }
    return json_pack("{s:o}", "sections", sections);
}
