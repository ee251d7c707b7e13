/* The sections of a cluster file, and each of their keys by the table. */
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "spec/load.h"
#include "spec/value.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_VALUE_MAX    (1024u * 1024)
#define SECTION_NAMES_MAX 64

static bool in_list(const char *const *list, const char *word)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        if (text_equal(list[i], word)) {
            return true;
        }
    }
    return false;
}

static void allocate(struct spec *spec, const size_t *counts)
{
    spec->zones = xcalloc(counts[SECTION_ZONE], sizeof(*spec->zones));
    spec->providers = xcalloc(counts[SECTION_PROVIDER], sizeof(*spec->providers));
    spec->sizes = xcalloc(counts[SECTION_SIZE], sizeof(*spec->sizes));
    spec->secrets = xcalloc(counts[SECTION_SECRET], sizeof(*spec->secrets));
    spec->templates = xcalloc(counts[SECTION_TEMPLATE], sizeof(*spec->templates));
    spec->pools = xcalloc(counts[SECTION_POOL], sizeof(*spec->pools));
    spec->groups = xcalloc(counts[SECTION_GROUP], sizeof(*spec->groups));
    spec->frontends = xcalloc(counts[SECTION_FRONTEND], sizeof(*spec->frontends));
    spec->hosts = xcalloc(counts[SECTION_HOST], sizeof(*spec->hosts));
    spec->hooks = xcalloc(counts[SECTION_HOOK], sizeof(*spec->hooks));
}

/* The spec for the first [cluster]; one that is thrown away for all others. */
static void *cluster_object(struct load *load)
{
    if (load->spec->cluster == NULL) {
        return load->spec;
    }
    if (load->second_cluster == NULL) {
        load->second_cluster = xcalloc(1, sizeof(*load->second_cluster));
    }
    free(load->second_cluster->cluster);
    load->second_cluster->cluster = NULL;
    return load->second_cluster;
}

/* The next struct of this kind in the spec, and its index. */
static void *next_object(struct load *load, enum section_id id, size_t *ret_index)
{
    struct spec *spec = load->spec;
    switch (id) {
    case SECTION_CLUSTER: *ret_index = 0; return cluster_object(load);
    case SECTION_ZONE: return &spec->zones[*ret_index = spec->zone_count++];
    case SECTION_PROVIDER: return &spec->providers[*ret_index = spec->provider_count++];
    case SECTION_SIZE: return &spec->sizes[*ret_index = spec->size_count++];
    case SECTION_SECRET: return &spec->secrets[*ret_index = spec->secret_count++];
    case SECTION_TEMPLATE: return &spec->templates[*ret_index = spec->template_count++];
    case SECTION_POOL: return &spec->pools[*ret_index = spec->pool_count++];
    case SECTION_GROUP: return &spec->groups[*ret_index = spec->group_count++];
    case SECTION_FRONTEND: return &spec->frontends[*ret_index = spec->frontend_count++];
    case SECTION_HOST: return &spec->hosts[*ret_index = spec->host_count++];
    case SECTION_HOOK: return &spec->hooks[*ret_index = spec->hook_count++];
    }
    abort();
}

/* Where a section's struct keeps its place; its name is always first. */
static struct spec_place *place_in(enum section_id id, void *object)
{
    size_t offset = 0;
    switch (id) {
    case SECTION_CLUSTER: offset = offsetof(struct spec, place); break;
    case SECTION_ZONE: offset = offsetof(struct spec_zone, place); break;
    case SECTION_PROVIDER: offset = offsetof(struct spec_provider, place); break;
    case SECTION_SIZE: offset = offsetof(struct spec_size, place); break;
    case SECTION_SECRET: offset = offsetof(struct spec_secret, place); break;
    case SECTION_TEMPLATE: offset = offsetof(struct spec_template, place); break;
    case SECTION_POOL: offset = offsetof(struct spec_pool, place); break;
    case SECTION_GROUP: offset = offsetof(struct spec_group, place); break;
    case SECTION_FRONTEND: offset = offsetof(struct spec_frontend, place); break;
    case SECTION_HOST: offset = offsetof(struct spec_host, place); break;
    case SECTION_HOOK: offset = offsetof(struct spec_hook, place); break;
    }
    return (struct spec_place *)(void *)((char *)object + offset);
}

static struct spec_setting_list *settings_in(enum section_id id, void *object)
{
    size_t offset = id == SECTION_CLUSTER    ? offsetof(struct spec, settings)
                    : id == SECTION_TEMPLATE ? offsetof(struct spec_template, settings)
                                             : offsetof(struct spec_group, settings);
    return (struct spec_setting_list *)(void *)((char *)object + offset);
}

static void set_defaults(struct load *load, struct load_section *section)
{
    const struct section_kind *kind = section->kind;
    for (size_t i = 0; i < kind->key_count; i++) {
        const struct key *key = &kind->keys[i];
        if (key->type == KEY_REFERENCE) {
            *(size_t *)(void *)((char *)section->object + key->offset) = SPEC_NONE;
        }
        struct err e = ERR_NULL;
        if (key->fallback != NULL && load_set(load, section, key, NULL, key->fallback, &e) != 0) {
            abort(); /* The table is wrong; a test loads every default. */
        }
    }
}

static void check_name(struct load *load, struct load_section *section)
{
    const struct ini_section *ini = section->ini;
    const struct load_section *first = NULL;
    for (size_t i = 0; first == NULL && i < load->section_count; i++) {
        const struct load_section *other = &load->sections[i];
        bool same =
            other->kind == section->kind && other->object != NULL &&
            (section->kind->id == SECTION_CLUSTER || text_equal(other->ini->name, ini->name));
        first = same ? other : NULL;
    }
    section->shadowed = true;
    if (*ini->name == '\0') {
        load_problem(load, section, NULL, "expected a name, as in [%s my-%s]", section->kind->name,
                     section->kind->name);
    } else if (!text_is_name(ini->name)) {
        load_problem(load, section, NULL,
                     "expected a name of at most 63 letters a-z, digits and hyphens, a hyphen not "
                     "first");
    } else if (first != NULL) {
        load_problem(load, section, NULL, "there is [%s %s] at %s:%u already%s", first->ini->type,
                     first->ini->name, first->ini->file, first->ini->line,
                     section->kind->id == SECTION_CLUSTER ? "; a file describes one cluster"
                                                          : "; its keys go there");
    } else {
        section->shadowed = false;
    }
}

static void tell_unknown_section(struct load *load, const struct ini_section *ini)
{
    const char *names[SECTION_NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < section_kind_count; i++) {
        names[count++] = section_kinds[i].name;
    }
    for (size_t i = 0; section_later[i] != NULL && count < SECTION_NAMES_MAX; i++) {
        names[count++] = section_later[i];
    }
    const char *nearest = text_nearest(ini->type, names, count);
    const char *space = *ini->name == '\0' ? "" : " ";
    if (*ini->type == '\0' && ini->entry_count > 0 && ini->entries[0].line == ini->line) {
        for (size_t i = 0; i < ini->entry_count; i++) {
            problem_add(load->problems, ini->file, ini->entries[i].line,
                        "%.60s: stands before the first [section]; only include does",
                        ini->entries[i].key);
        }
    } else if (in_list(section_later, ini->type)) {
        problem_add(load->problems, ini->file, ini->line,
                    "[%s%s%.63s] is not yet known to this version", ini->type, space, ini->name);
    } else if (nearest != NULL) {
        problem_add(load->problems, ini->file, ini->line,
                    "unknown section [%.40s%s%.63s]; did you mean [%s%s%.63s]%s?", ini->type, space,
                    ini->name, nearest, space, ini->name,
                    in_list(section_later, nearest) ? ", which this version does not yet know"
                                                    : "");
    } else {
        problem_add(load->problems, ini->file, ini->line,
                    "unknown section [%.40s%s%.63s]; 'lamplighter help config' lists all",
                    ini->type, space, ini->name);
    }
}

static void collect_section(struct load *load, const struct ini_section *ini)
{
    struct load_section *section = &load->sections[load->section_count];
    section->ini = ini;
    section->kind = section_kind_find(ini->type);
    if (section->kind == NULL) {
        tell_unknown_section(load, ini);
        load->section_count++;
        return;
    }
    check_name(load, section);
    section->object = next_object(load, section->kind->id, &section->index);
    *(char **)section->object = xstrdup(ini->name);
    *place_in(section->kind->id, section->object) =
        (struct spec_place){.file = ini->file, .line = ini->line};
    set_defaults(load, section);
    load->section_count++;
}

void load_collect_sections(struct load *load)
{
    size_t counts[SECTION_HOOK + 1] = {0};
    bool cluster = false;
    for (size_t i = 0; i < load->doc.section_count; i++) {
        const struct section_kind *kind = section_kind_find(load->doc.sections[i].type);
        if (kind != NULL) {
            counts[kind->id]++;
        }
    }
    allocate(load->spec, counts);
    load->sections = xcalloc(load->doc.section_count, sizeof(*load->sections));
    for (size_t i = 0; i < load->doc.section_count; i++) {
        collect_section(load, &load->doc.sections[i]);
        /* "[cluste shop]" has been told of: it is not missing as well. */
        cluster = cluster || text_starts(load->doc.sections[i].type, "clu");
    }
    if (counts[SECTION_CLUSTER] == 0 && !cluster) {
        problem_add(load->problems, load->doc.files[0], 0,
                    "no [cluster NAME] section: the cluster needs a name");
    }
}

/* The sections that have a key of this name: "[pool] or [host]"; empty for none. */
static void add_homes(struct str *text, const char *key)
{
    for (size_t i = 0; i < section_kind_count; i++) {
        if (section_kind_key(&section_kinds[i], key) < section_kinds[i].key_count) {
            str_addf(text, "%s[%s]", text->length == 0 ? "" : " or ", section_kinds[i].name);
        }
    }
}

static void tell_unknown_key(struct load *load, struct load_section *section,
                             const struct ini_entry *entry)
{
    const struct section_kind *kind = section->kind;
    const char *names[SECTION_KEY_MAX];
    struct str homes = STR_NULL;
    for (size_t i = 0; i < kind->key_count; i++) {
        names[i] = kind->keys[i].name;
    }
    const char *nearest = text_nearest(entry->key, names, kind->key_count);
    add_homes(&homes, entry->key);
    if (in_list(kind->later, entry->key)) {
        load_entry_problem(load, section, entry, "not yet known to this version");
    } else if (text_equal(entry->key, "include")) {
        load_entry_problem(load, section, entry, "stands before the first section of a file");
    } else if (strchr(entry->key, '.') != NULL) {
        load_entry_problem(load, section, entry,
                           "settings of roles stand in [cluster], [template] or [group]");
    } else if (homes.length > 0) {
        load_entry_problem(load, section, entry, "unknown key; it belongs to %s", str_text(&homes));
    } else if (nearest != NULL) {
        /* What was meant is known, so it is not missing as well. */
        section->bad[section_kind_key(kind, nearest)] = true;
        load_entry_problem(load, section, entry, "unknown key; did you mean '%s'?", nearest);
    } else {
        load_entry_problem(load, section, entry,
                           "unknown key; 'lamplighter help config %s' lists all", kind->name);
    }
    str_deinit(&homes);
}

static int read_regular_file(struct str *text, const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return err_set(e, "%s: not a regular file", path);
    }
    if (str_read_file(text, path, FILE_VALUE_MAX, e) != 0) {
        return -1;
    }
    if (memchr(str_text(text), '\0', text->length) != NULL) {
        return err_set(e, "%s: not a text file, it has a NUL byte", path);
    }
    return 0;
}

/*
 * The value of ENTRY, for the caller to free: what stands there, or after '@' what the file holds,
 * without the newline at its end unless WHOLE. "@@" is an '@'. NULL when that was a problem.
 */
static char *text_of(struct load *load, const struct load_section *section,
                     const struct ini_entry *entry, bool whole)
{
    if (*entry->value != '@' || entry->value[1] == '@') {
        return xstrdup(entry->value + (*entry->value == '@' ? 1 : 0));
    }
    char *path = load_path(entry->file, entry->value + 1);
    struct str text = STR_NULL;
    struct err e = ERR_NULL;
    int result = entry->value[1] == '\0' ? err_set(&e, "expected the name of a file after '@'")
                                         : read_regular_file(&text, path, &e);
    free(path);
    if (result != 0) {
        load_entry_problem(load, section, entry, "%s", e.text);
        str_deinit(&text);
        return NULL;
    }
    if (!whole && text_ends(str_text(&text), "\n")) {
        text.text[--text.length] = '\0';
    }
    return str_take(&text);
}

static void read_setting(struct load *load, struct load_section *section,
                         const struct ini_entry *entry)
{
    struct spec_setting_list *list = settings_in(section->kind->id, section->object);
    const char *dot = strchr(entry->key, '.');
    char *role = xstrndup(entry->key, (size_t)(dot - entry->key));
    char *value = NULL;
    if (!text_is_name(role) || !value_is_variable(dot + 1)) {
        load_entry_problem(load, section, entry,
                           "expected ROLE.VARIABLE, both of letters a-z, digits and hyphens");
        free(role);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct spec_setting *other = &list->items[i];
        if (text_equal(other->role, role) && text_equal(other->variable, dot + 1)) {
            load_entry_problem(load, section, entry, "stands twice, first at %s:%u",
                               other->place.file, other->place.line);
            free(role);
            return;
        }
    }
    value = text_of(load, section, entry, false);
    if (value == NULL) {
        free(role);
        return;
    }
    size_t i = xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
    list->items[i] = (struct spec_setting){.role = role,
                                           .variable = xstrdup(dot + 1),
                                           .value = value,
                                           .place = {.file = entry->file, .line = entry->line}};
}

static void read_key(struct load *load, struct load_section *section, size_t index,
                     const struct ini_entry *entry)
{
    const struct key *key = &section->kind->keys[index];
    const struct ini_entry *first = section->entries[index];
    if (first != NULL && !key->repeated) {
        load_entry_problem(load, section, entry, "stands twice, first at %s:%u", first->file,
                           first->line);
        return;
    }
    section->entries[index] = first == NULL ? entry : first;
    struct err e = ERR_NULL;
    char *text = text_of(load, section, entry, key->type == KEY_SCRIPT);
    if (text == NULL) {
        section->bad[index] = true;
    } else if (load_set(load, section, key, entry, text, &e) != 0) {
        section->bad[index] = true;
        if (*e.text != '\0') {
            load_entry_problem(load, section, entry, "%s", e.text);
        }
    }
    free(text);
}

static void check_required(struct load *load, struct load_section *section)
{
    for (size_t i = 0; i < section->kind->key_count; i++) {
        const struct key *key = &section->kind->keys[i];
        if (key->required && section->entries[i] == NULL && !section->bad[i]) {
            struct str expected = STR_NULL;
            key_add_expected(key, &expected);
            load_problem(load, section, key->name, "missing; expected %s", str_text(&expected));
            str_deinit(&expected);
        }
    }
}

void load_read_keys(struct load *load)
{
    for (size_t i = 0; i < load->section_count; i++) {
        struct load_section *section = &load->sections[i];
        if (section->kind == NULL) {
            continue;
        }
        for (size_t j = 0; j < section->ini->entry_count; j++) {
            const struct ini_entry *entry = &section->ini->entries[j];
            size_t index = section_kind_key(section->kind, entry->key);
            if (index < section->kind->key_count) {
                read_key(load, section, index, entry);
            } else if (section->kind->settings && strchr(entry->key, '.') != NULL) {
                read_setting(load, section, entry);
            } else {
                tell_unknown_key(load, section, entry);
            }
        }
        if (!section->shadowed) {
            check_required(load, section);
        }
    }
}
