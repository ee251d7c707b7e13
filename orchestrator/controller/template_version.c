#include "controller/template_version.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/digest.h"
#include "spec/key.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_SHOWN 40 /* Longer ones, and those of several lines, are only named. */
#define REF_MIDDLE  " version "

static const char *const size_names[] = {"cpus", "memory", "disk"};
#define SIZE_NAMES (sizeof(size_names) / sizeof(size_names[0]))

/* The text of a version: JSON, sorted. */

/* A text that is not UTF-8 stands there as the Latin-1 it may be: no byte is lost. */
static json_t *latin_1(const char *text)
{
    struct str utf_8 = STR_NULL;
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte < 0x80) {
            str_add_char(&utf_8, *at);
        } else {
            str_add_char(&utf_8, (char)(0xc0 | byte >> 6));
            str_add_char(&utf_8, (char)(0x80 | (byte & 0x3f)));
        }
    }
    json_t *object = json_pack("{s:s}", "latin-1", str_text(&utf_8));
    str_deinit(&utf_8);
    return object;
}

static json_t *text_to_json(const char *text)
{
    json_t *string = json_string(text);
    return string == NULL ? latin_1(text) : string;
}

/* The text of PART, the caller's; NULL when it is none. */
static char *text_of(const json_t *part)
{
    const char *at = json_string_value(json_object_get(part, "latin-1"));
    if (at == NULL) {
        return xcopy(json_string_value(part));
    }
    struct str bytes = STR_NULL;
    for (; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte < 0x80) {
            str_add_char(&bytes, *at);
        } else {
            at++;
            str_add_char(&bytes, (char)((byte & 0x03) << 6 | ((unsigned char)*at & 0x3f)));
        }
    }
    str_add(&bytes, "");
    return str_take(&bytes);
}

static void put(json_t *object, const char *key, const char *text)
{
    if (text != NULL) {
        json_object_set_new(object, key, text_to_json(text));
    }
}

/* What is fixed when an instance is made, but for the image. */
static json_t *launch_parts(const struct spec *spec, const struct spec_template *t)
{
    json_t *parts = json_object();
    if (t->size != SPEC_NONE && t->size < spec->size_count) {
        const struct spec_size *size = &spec->sizes[t->size];
        json_object_set_new(parts, "cpus", json_integer(size->cpus));
        json_object_set_new(parts, "memory", json_integer(size->memory_bytes));
        json_object_set_new(parts, "disk", json_integer(size->disk_bytes));
    }
    put(parts, "user-data", t->user_data);
    return parts;
}

static uint64_t digest_of(const json_t *parts)
{
    char digest[DIGEST_TEXT_SIZE];
    char *text = json_dumps(parts, JSON_COMPACT | JSON_SORT_KEYS);
    digest_text(text, strlen(text), digest);
    free(text);
    digest[16] = '\0';
    return strtoull(digest, NULL, 16);
}

static void put_roles(json_t *parts, const struct spec_template *t)
{
    json_t *roles = json_array();
    for (size_t i = 0; i < t->roles.count; i++) {
        json_array_append_new(roles, json_string(t->roles.items[i]));
    }
    json_object_set_new(parts, "roles", roles);
}

/* In the order of their names: in which order they stand in the file means nothing. */
static void put_settings(json_t *parts, const struct spec_template *t)
{
    json_t *settings = json_object();
    for (size_t i = 0; i < t->settings.count; i++) {
        const struct spec_setting *s = &t->settings.items[i];
        char *name = xasprintf("%s.%s", s->role, s->variable);
        put(settings, name, s->value);
        free(name);
    }
    json_object_set_new(parts, "settings", settings);
}

/* What TEMPLATE of SPEC says now, without a number. */
static struct template_version version_of(const struct spec *spec, size_t template)
{
    const struct spec_template *t = &spec->templates[template];
    struct template_version version = {.fresh = true, .index = template};
    version.parts = launch_parts(spec, t);
    version.record.launch = digest_of(version.parts);
    put(version.parts, "image", t->image);
    put_roles(version.parts, t);
    put_settings(version.parts, t);
    char *text = json_dumps(version.parts, JSON_COMPACT | JSON_SORT_KEYS);
    version.record.text = xstrdup(text);
    free(text);
    version.record.name = xstrdup(t->name);
    version.record.wall_ms = clock_wall_ms();
    return version;
}

static void version_deinit(struct template_version *version)
{
    json_decref(version->parts);
    record_template_deinit(&version->record);
}

/* Loading. */

static bool is_of_before(const struct record_instance *r, const char *name)
{
    return r->version == 0 && text_equal(r->template, name) && r->content != NULL;
}

/* The first of its name is that of the instances that were there before. */
static bool has_of_before(const struct record_instance *instances, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (is_of_before(&instances[i], name)) {
            return true;
        }
    }
    return false;
}

static void give_versions(const struct template_versions *v, struct record_instance *instances,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct template_version *first = template_version_find(v, instances[i].template, 1);
        if (first != NULL && first->record.plain &&
            is_of_before(&instances[i], first->record.name)) {
            instances[i].version = 1;
        }
    }
}

/* What the file says: the last version as it is, or the next. */
static void take_file(struct template_versions *v, const struct spec *spec, size_t template,
                      const struct record_instance *instances, size_t instance_count)
{
    struct template_version now = version_of(spec, template);
    const struct template_version *last =
        template_version_find(v, now.record.name, template_version_last(v, now.record.name));
    if (last != NULL && text_equal(last->record.text, now.record.text)) {
        v->of_file[template] = (size_t)(last - v->items);
        v->items[v->of_file[template]].index = template;
        version_deinit(&now);
        return;
    }
    now.record.number = last == NULL ? 1 : last->record.number + 1;
    now.record.plain = last == NULL && has_of_before(instances, instance_count, now.record.name);
    v->of_file[template] = v->count;
    v->items[v->count++] = now;
}

int template_versions_load(struct store *store, const struct spec *spec,
                           struct record_instance *instances, size_t instance_count,
                           struct template_versions *ret_versions, struct err *e)
{
    struct record_template *records = NULL;
    size_t count = 0;
    if (store->ops != NULL && record_template_list(store, &records, &count, e) != 0) {
        return -1;
    }
    struct template_versions v = {
        .items = xcalloc(count + spec->template_count + 1, sizeof(*v.items)),
        .of_file = xcalloc(spec->template_count + 1, sizeof(*v.of_file)),
        .file_count = spec->template_count,
    };
    for (size_t i = 0; i < count; i++) {
        v.items[v.count++] =
            (struct template_version){.record = records[i],
                                      .parts = json_loads(records[i].text, 0, NULL),
                                      .index = SPEC_NONE};
    }
    free(records); /* The records themselves were taken over. */
    for (size_t t = 0; t < spec->template_count; t++) {
        v.of_file[t] = SPEC_NONE;
        if (!spec->templates[t].added) {
            take_file(&v, spec, t, instances, instance_count);
        }
    }
    give_versions(&v, instances, instance_count);
    *ret_versions = v;
    return 0;
}

void template_versions_deinit(struct template_versions *v)
{
    for (size_t i = 0; i < v->count; i++) {
        version_deinit(&v->items[i]);
    }
    free(v->items);
    free(v->of_file);
    *v = TEMPLATE_VERSIONS_NULL;
}

/* Finding. */

const struct template_version *template_version_of_file(const struct template_versions *v,
                                                        size_t template)
{
    bool says = v != NULL && template <v->file_count && v->of_file[template] != SPEC_NONE;
    return says ? &v->items[v->of_file[template]] : NULL;
}

const struct template_version *template_version_find(const struct template_versions *v,
                                                     const char *name, unsigned number)
{
    for (size_t i = 0; v != NULL && i < v->count; i++) {
        if (v->items[i].record.number == number && text_equal(v->items[i].record.name, name)) {
            return &v->items[i];
        }
    }
    return NULL;
}

const struct template_version *template_version_of(const struct template_versions *v,
                                                   const struct record_instance *instance)
{
    return template_version_find(v, instance->template, instance->version);
}

unsigned template_version_last(const struct template_versions *v, const char *name)
{
    unsigned last = 0;
    for (size_t i = 0; v != NULL && i < v->count; i++) {
        bool later = v->items[i].record.number > last;
        last =
            later && text_equal(v->items[i].record.name, name) ? v->items[i].record.number : last;
    }
    return last;
}

char *template_version_ref(const struct template_version *version)
{
    return version == NULL
               ? NULL
               : xasprintf("%s" REF_MIDDLE "%u", version->record.name, version->record.number);
}

const struct template_version *template_version_from_ref(const struct template_versions *v,
                                                         const char *ref)
{
    const char *middle = ref == NULL ? NULL : strstr(ref, REF_MIDDLE);
    int64_t number;
    if (middle == NULL || !text_to_int(middle + strlen(REF_MIDDLE), 1, INT32_MAX, &number)) {
        return NULL;
    }
    char *name = xstrndup(ref, (size_t)(middle - ref));
    const struct template_version *version = template_version_find(v, name, (unsigned)number);
    free(name);
    return version;
}

uint64_t template_version_launch(const struct template_versions *v,
                                 const struct template_version *version)
{
    if (version == NULL) {
        return 0;
    }
    const struct template_version *first = template_version_find(v, version->record.name, 1);
    bool plain =
        first != NULL && first->record.plain && first->record.launch == version->record.launch;
    return plain ? 0 : version->record.launch;
}

uint64_t template_version_content(uint64_t tree, uint64_t launch)
{
    return tree == 0 ? 0 : tree ^ launch;
}

bool template_version_same_size(const struct template_version *a, const struct template_version *b)
{
    for (size_t i = 0; i < SIZE_NAMES; i++) {
        if (json_integer_value(json_object_get(a->parts, size_names[i])) !=
            json_integer_value(json_object_get(b->parts, size_names[i]))) {
            return false;
        }
    }
    return true;
}

const char *template_version_image(const struct template_version *version)
{
    return json_string_value(json_object_get(version->parts, "image"));
}

/* Words. */

static void add_part(struct str *text, const char *name)
{
    str_addf(text, "%s%s", text->length > 0 ? ", " : "", name);
}

/* NUMBER as the key NAME of [size] is written. */
static void add_size(const char *name, int64_t number, struct str *text)
{
    const struct section_kind *kind = &section_kinds[SECTION_SIZE];
    key_add_number(&kind->keys[section_kind_key(kind, name)], number, text);
}

static void add_number(const char *name, const json_t *value, struct str *text)
{
    if (value == NULL) {
        str_add(text, "none");
    } else {
        add_size(name, json_integer_value(value), text);
    }
}

static bool is_short(const char *value)
{
    return value != NULL && strlen(value) <= VALUE_SHOWN && strchr(value, '\n') == NULL;
}

/* "php.workers 4 -> 8" */
static void add_change(const char *name, const json_t *from, const json_t *to, struct str *text)
{
    char *before = text_of(from);
    char *after = text_of(to);
    if (text_equal(before, after)) {
        /* Nothing to say. */
    } else if (is_short(before) && is_short(after)) {
        add_part(text, name);
        str_addf(text, " %s -> %s", before, after);
    } else if (before == NULL && is_short(after)) {
        add_part(text, name);
        str_addf(text, " = %s, new", after);
    } else {
        add_part(text, name);
        str_add(text, before == NULL ? " new" : after == NULL ? " gone" : " changed");
    }
    free(before);
    free(after);
}

static char *join_roles(const json_t *roles)
{
    struct str text = STR_NULL;
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const char *role = json_string_value(json_array_get(roles, i));
        str_addf(&text, "%s%s", i > 0 ? " " : "", role == NULL ? "?" : role);
    }
    str_add(&text, "");
    return str_take(&text);
}

static void add_roles_change(const json_t *from, const json_t *to, struct str *text)
{
    char *before = join_roles(from);
    char *after = join_roles(to);
    if (!text_equal(before, after)) {
        add_part(text, "roles");
        str_addf(text, " %s -> %s", *before == '\0' ? "none" : before,
                 *after == '\0' ? "none" : after);
    }
    free(before);
    free(after);
}

static void add_settings_changes(json_t *from, json_t *to, struct str *text)
{
    const char *name;
    json_t *value;
    json_object_foreach(from, name, value)
    {
        add_change(name, value, json_object_get(to, name), text);
    }
    json_object_foreach(to, name, value)
    {
        if (json_object_get(from, name) == NULL) {
            add_change(name, NULL, value, text);
        }
    }
}

void template_version_add_changes(const struct template_version *from,
                                  const struct template_version *to, struct str *text)
{
    struct str changes = STR_NULL;
    const json_t *a = from->parts;
    const json_t *b = to->parts;
    add_change("image", json_object_get(a, "image"), json_object_get(b, "image"), &changes);
    for (size_t i = 0; i < SIZE_NAMES; i++) {
        const json_t *before = json_object_get(a, size_names[i]);
        const json_t *after = json_object_get(b, size_names[i]);
        if (json_integer_value(before) != json_integer_value(after)) {
            add_part(&changes, size_names[i]);
            str_add_char(&changes, ' ');
            add_number(size_names[i], before, &changes);
            str_add(&changes, " -> ");
            add_number(size_names[i], after, &changes);
        }
    }
    add_roles_change(json_object_get(a, "roles"), json_object_get(b, "roles"), &changes);
    add_settings_changes(json_object_get(a, "settings"), json_object_get(b, "settings"), &changes);
    json_t *script_a = json_object_get(a, "user-data");
    json_t *script_b = json_object_get(b, "user-data");
    if (!(script_a == NULL && script_b == NULL) && !json_equal(script_a, script_b)) {
        add_part(&changes, script_a == NULL   ? "user-data new"
                           : script_b == NULL ? "user-data gone"
                                              : "user-data changed");
    }
    str_add_printable(text, str_text(&changes), changes.length, false);
    str_deinit(&changes);
}

/* KEY = VALUE; what has several lines stands below its key, indented. */
static void add_line(const char *key, const json_t *part, struct str *text)
{
    char *value = text_of(part);
    struct str clean = STR_NULL;
    if (value != NULL) {
        str_add_printable(&clean, value, strlen(value), true);
        str_addf(text, "%s =", key);
        bool lines = strchr(str_text(&clean), '\n') != NULL;
        for (const char *at = str_text(&clean); *at != '\0';) {
            size_t length = strcspn(at, "\n");
            str_addf(text, "%s%.*s", lines ? "\n    " : " ", (int)length, at);
            at += length + (at[length] == '\n' ? 1 : 0);
        }
        str_add_char(text, '\n');
    }
    str_deinit(&clean);
    free(value);
}

void template_version_add_text(const struct template_version *version, struct str *text)
{
    const json_t *parts = version->parts;
    const char *name;
    json_t *value;
    add_line("image", json_object_get(parts, "image"), text);
    for (size_t i = 0; i < SIZE_NAMES; i++) {
        const json_t *number = json_object_get(parts, size_names[i]);
        if (number != NULL) {
            str_addf(text, "%s = ", size_names[i]);
            add_number(size_names[i], number, text);
            str_add_char(text, '\n');
        }
    }
    char *roles = join_roles(json_object_get(parts, "roles"));
    str_addf(text, "roles = %s\n", roles);
    free(roles);
    json_object_foreach(json_object_get(parts, "settings"), name, value)
    {
        add_line(name, value, text);
    }
    add_line("user-data", json_object_get(parts, "user-data"), text);
}

/* As a template of a spec. */

static bool take_settings(json_t *settings, struct spec_place place, struct spec_template *t)
{
    struct spec_setting_list *list = &t->settings;
    const char *name;
    json_t *value;
    json_object_foreach(settings, name, value)
    {
        const char *dot = strchr(name, '.');
        char *text = text_of(value);
        if (dot == NULL || text == NULL) {
            free(text);
            return false;
        }
        size_t i =
            xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
        list->items[i] = (struct spec_setting){.role = xstrndup(name, (size_t)(dot - name)),
                                               .variable = xstrdup(dot + 1),
                                               .value = text,
                                               .place = place};
    }
    return true;
}

static bool take_roles(const json_t *roles, struct spec_template *t)
{
    t->roles.items = xcalloc(json_array_size(roles) + 1, sizeof(*t->roles.items));
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const char *role = json_string_value(json_array_get(roles, i));
        if (role == NULL) {
            return false;
        }
        t->roles.items[t->roles.count++] = xstrdup(role);
    }
    return true;
}

bool template_version_to_spec(const struct template_version *version, struct spec_place place,
                              struct spec_template *ret_template, struct spec_size *ret_size,
                              bool *ret_sized)
{
    const json_t *parts = version->parts;
    struct spec_template t = {.name = xstrdup(version->record.name),
                              .place = place,
                              .image = xcopy(template_version_image(version)),
                              .size = SPEC_NONE,
                              .user_data = text_of(json_object_get(parts, "user-data"))};
    bool good = json_is_object(parts) && take_roles(json_object_get(parts, "roles"), &t) &&
                take_settings(json_object_get(parts, "settings"), place, &t);
    *ret_template = t;
    *ret_sized = json_object_get(parts, "cpus") != NULL;
    *ret_size = (struct spec_size){
        .name = xstrdup(version->record.name),
        .place = place,
        .cpus = (unsigned)json_integer_value(json_object_get(parts, "cpus")),
        .memory_bytes = json_integer_value(json_object_get(parts, "memory")),
        .disk_bytes = json_integer_value(json_object_get(parts, "disk")),
    };
    return good;
}
