/* Defaults that hang on other keys, files that must be there, and who needs whom. */
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "spec/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_FOLDER  "/var/lib/lamplighter"
#define SYSTEM_ROLES  "/usr/share/lamplighter/roles"
#define SECRET_PREFIX "secret:"

static void set_role_path(struct spec *spec)
{
    struct spec_word_list *list = &spec->role_path;
    if (list->count > 0) {
        return;
    }
    list->items = xrealloc(list->items, 2, sizeof(*list->items));
    list->items[0] = load_path(spec->place.file, "roles");
    list->items[1] = xstrdup(SYSTEM_ROLES);
    list->count = 2;
}

/* A file that holds a key or a secret: there, regular, for its owner only. */
static void check_private_file(struct load *load, struct load_section *section, const char *key,
                               const char *path, const char *hint)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT || hint != NULL) {
            load_problem(load, section, key, "%s: %s%s", path, strerror(errno),
                         errno == ENOENT ? hint : "");
        }
    } else if (!S_ISREG(st.st_mode)) {
        load_problem(load, section, key, "%s: not a regular file", path);
    } else if ((st.st_mode & 077) != 0) {
        load_problem(load, section, key, "%s: others can read it (mode %04o); chmod 600 it", path,
                     (unsigned)(st.st_mode & 07777));
    } else if (st.st_size == 0) {
        load_problem(load, section, key, "%s: empty", path);
    }
}

static void resolve_cluster(struct load *load, struct load_section *section)
{
    struct spec *spec = load->spec;
    if (spec->state_path == NULL) {
        spec->state_path = xasprintf(STATE_FOLDER "/%s.db", spec->cluster);
        spec->state_dir = xstrdup(STATE_FOLDER);
    }
    bool named = load_given(section, "key");
    if (!named) {
        spec->login.key_file = xasprintf("%s/keys/login", spec->state_dir);
    }
    if (spec->login.key_file != NULL && load_good(section, "key") && load_good(section, "state")) {
        check_private_file(load, section, "key", spec->login.key_file,
                           named ? "; make it with ssh-keygen -t ed25519" : NULL);
    }
    struct stat st;
    for (size_t i = 0; load_good(section, "roles") && i < spec->role_path.count; i++) {
        if (stat(spec->role_path.items[i], &st) != 0 || !S_ISDIR(st.st_mode)) {
            load_problem(load, section, "roles", "%s: no such folder", spec->role_path.items[i]);
        }
    }
    set_role_path(spec);
}

static void resolve_provider(struct spec_provider *p)
{
    if (p->type == SPEC_PROVIDER_STATIC) {
        free(p->uri);
        free(p->image_dir);
        free(p->instance_dir);
        p->uri = NULL;
        p->image_dir = NULL;
        p->instance_dir = NULL;
    }
}

static void resolve_secret(struct load *load, struct load_section *section)
{
    struct spec_secret *secret = section->object;
    if (secret->path == NULL) {
        const char *state = load->spec->state_dir == NULL ? STATE_FOLDER : load->spec->state_dir;
        secret->path = xasprintf("%s/secrets/%s", state, secret->name);
    }
    if (load_good(section, "file") && load_good(section, "generate")) {
        check_private_file(load, section, "file", secret->path,
                           secret->generate == 0
                               ? "; write the secret there, or set generate = 24 to have it made"
                               : NULL);
    }
}

/* Every zone that something makes instances in. */
static void set_zones(const struct spec *spec, struct spec_group *group)
{
    for (size_t i = 0; i < spec->zone_count; i++) {
        for (size_t j = 0; j < spec->provider_count; j++) {
            if (spec->providers[j].zone == i) {
                spec_index_list_add(&group->zones, i);
            }
        }
    }
}

static void resolve_group(struct load *load, struct load_section *section)
{
    struct spec_group *group = section->object;
    if (!load_given(section, "repair")) {
        group->repair = group->pool == SPEC_NONE ? SPEC_REPAIR_RESTART : SPEC_REPAIR_REPLACE;
    }
    if (!load_given(section, "desired")) {
        group->desired = group->min;
    }
    if (!load_given(section, "max")) {
        group->max = group->desired;
    }
    if (!load_given(section, "zones")) {
        set_zones(load->spec, group);
    }
    if (!load_given(section, "check-timeout") && group->check_timeout_ms > group->check_every_ms) {
        group->check_timeout_ms = group->check_every_ms;
    }
}

/* What is left out gives way to what is written. */
static void resolve_hook(struct load_section *section)
{
    struct spec_hook *hook = section->object;
    int64_t most_ms = hook->heartbeat_ms * LOAD_HOOK_HEARTBEATS;
    if (!load_given(section, "limit") && hook->limit_ms > most_ms) {
        hook->limit_ms = most_ms;
    }
    if (!load_given(section, "heartbeat") && hook->heartbeat_ms > hook->limit_ms) {
        hook->heartbeat_ms = hook->limit_ms;
    }
}

/*
 * The next group that the Mustache TEXT mentions at or after *AT: "{{groups.NAME.", with '#', '^',
 * '&' or a third brace before it. The name is cut out for the caller to free; NULL at the end.
 */
static char *next_mention(const char **at)
{
    const char *tag;
    while ((tag = strstr(*at, "{{")) != NULL) {
        const char *p = tag + 2;
        *at = p;
        p += strspn(p, " \t");
        p += *p != '\0' && strchr("{#^&", *p) != NULL;
        p += strspn(p, " \t");
        if (text_starts(p, "groups.")) {
            p += strlen("groups.");
            size_t length = strcspn(p, ". \t\n{}");
            *at = p + length;
            return xstrndup(p, length);
        }
    }
    return NULL;
}

/* Every group that SETTING mentions is added to NEEDS (but for SELF); unknown ones are left out. */
static void add_mentions(const struct load *load, const struct spec_setting *setting, size_t self,
                         struct spec_index_list *needs)
{
    const char *at = setting->value;
    char *name;
    while ((name = next_mention(&at)) != NULL) {
        size_t index;
        struct err e;
        if (load_find(load, SECTION_GROUP, name, &index, &e) == 0 && index != self) {
            spec_index_list_add(needs, index);
        }
        free(name);
    }
}

static void check_setting(struct load *load, const struct load_section *section,
                          const struct spec_setting *setting)
{
    struct err e = ERR_NULL;
    size_t index;
    const char *at = setting->value;
    int result = 0;
    if (text_starts(at, SECRET_PREFIX)) {
        result = load_find(load, SECTION_SECRET, at + strlen(SECRET_PREFIX), &index, &e);
    }
    char *name;
    while (result == 0 && (name = next_mention(&at)) != NULL) {
        result = load_find(load, SECTION_GROUP, name, &index, &e);
        free(name);
    }
    if (result != 0 && *e.text != '\0') {
        problem_add(load->problems, setting->place.file, setting->place.line, "[%s %s] %s.%s: %s",
                    section->kind->name, section->ini->name, setting->role, setting->variable,
                    e.text);
    }
}

static void check_settings(struct load *load, const struct load_section *section,
                           const struct spec_setting_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        check_setting(load, section, &list->items[i]);
    }
}

static bool has_role(const struct spec_template *template, const char *role)
{
    for (size_t i = 0; i < template->roles.count; i++) {
        if (text_equal(template->roles.items[i], role)) {
            return true;
        }
    }
    return false;
}

static void resolve_needs(struct load *load, struct load_section *section)
{
    struct spec_group *group = section->object;
    const struct spec *spec = load->spec;
    if (load_good(section, "needs") && spec_index_list_has(&group->needs, section->index)) {
        load_problem(load, section, "needs", "the group cannot need itself");
    }
    for (size_t i = 0; i < group->settings.count; i++) {
        add_mentions(load, &group->settings.items[i], section->index, &group->needs);
    }
    if (group->template == SPEC_NONE) {
        return;
    }
    const struct spec_template *template = &spec->templates[group->template];
    for (size_t i = 0; i < template->settings.count; i++) {
        add_mentions(load, &template->settings.items[i], section->index, &group->needs);
    }
    for (size_t i = 0; i < spec->settings.count; i++) {
        if (has_role(template, spec->settings.items[i].role)) {
            add_mentions(load, &spec->settings.items[i], section->index, &group->needs);
        }
    }
}

/* A walk along `needs`, depth first. */
struct walk {
    enum walk_mark { WALK_NEW, WALK_OPEN, WALK_DONE } * marks;
    size_t *path; /* The open groups, from the start of the walk. */
    size_t length;
};

static void tell_circle(struct load *load, const struct walk *walk, size_t back_to)
{
    struct str names = STR_NULL;
    size_t start = 0;
    while (walk->path[start] != back_to) {
        start++;
    }
    for (size_t i = start; i < walk->length; i++) {
        str_addf(&names, "%s needs ", load->spec->groups[walk->path[i]].name);
    }
    str_add(&names, load->spec->groups[back_to].name);
    struct load_section *section = load_section_of(load, SECTION_GROUP, back_to);
    if (section != NULL) {
        load_problem(load, section, "needs", "a circle, none of them could ever be first: %.400s",
                     str_text(&names));
    }
    str_deinit(&names);
}

static void follow(struct load *load, struct walk *walk, size_t group)
{
    const struct spec_index_list *needs = &load->spec->groups[group].needs;
    walk->marks[group] = WALK_OPEN;
    walk->path[walk->length++] = group;
    for (size_t i = 0; i < needs->count; i++) {
        size_t next = needs->items[i];
        if (next == group) {
            continue; /* Told before. */
        }
        if (walk->marks[next] == WALK_OPEN) {
            tell_circle(load, walk, next);
        } else if (walk->marks[next] == WALK_NEW) {
            follow(load, walk, next);
        }
    }
    walk->marks[group] = WALK_DONE;
    walk->length--;
}

static void check_circles(struct load *load)
{
    size_t count = load->spec->group_count;
    struct walk walk = {.marks = xcalloc(count, sizeof(*walk.marks)),
                        .path = xcalloc(count, sizeof(*walk.path))};
    for (size_t i = 0; i < count; i++) {
        if (walk.marks[i] == WALK_NEW) {
            follow(load, &walk, i);
        }
    }
    free(walk.marks);
    free(walk.path);
}

static void resolve_section(struct load *load, struct load_section *section)
{
    switch (section->kind->id) {
    case SECTION_CLUSTER: check_settings(load, section, &load->spec->settings); break;
    case SECTION_PROVIDER: resolve_provider(section->object); break;
    case SECTION_SECRET: resolve_secret(load, section); break;
    case SECTION_TEMPLATE: {
        const struct spec_template *template = section->object;
        check_settings(load, section, &template->settings);
        break;
    }
    case SECTION_GROUP: {
        const struct spec_group *group = section->object;
        resolve_group(load, section);
        check_settings(load, section, &group->settings);
        resolve_needs(load, section);
        break;
    }
    case SECTION_ZONE:
    case SECTION_SIZE:
    case SECTION_POOL:
    case SECTION_FRONTEND:
    case SECTION_HOST: break;
    case SECTION_HOOK: resolve_hook(section); break;
    }
}

void load_resolve(struct load *load)
{
    /* The cluster first, wherever it stands: others hang on where the state is. */
    for (size_t i = 0; i < load->section_count; i++) {
        if (load->sections[i].object == load->spec) {
            resolve_cluster(load, &load->sections[i]);
        }
    }
    for (size_t i = 0; i < load->section_count; i++) {
        struct load_section *section = &load->sections[i];
        if (section->kind != NULL && !section->shadowed) {
            resolve_section(load, section);
        }
    }
    check_circles(load);
}
