#include "role/archive.h"
#include "role/model.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "net/digest.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_BYTES_MAX   ((size_t)16 << 20)
#define RECHECK_AFTER_MS 1000 /* One pass over a hundred hosts looks at a tree once. */

/* A file that was read. */
struct cached_text {
    char *path;
    struct str text;
};

struct cached_source {
    struct role_source source;
    char *path; /* As it was asked for. */
    bool archived;
    struct archive archive;
    uint64_t print;     /* archive_fingerprint() of it. */
    int64_t checked_ms; /* When PRINT was last compared. */
};

struct role_library {
    char **paths;
    size_t path_count;
    struct role **roles;
    size_t role_count;
    size_t role_capacity;
    struct cached_text **texts;
    size_t text_count;
    size_t text_capacity;
    struct cached_source **sources; /* Replaced ones stay: scripts may still refer to them. */
    size_t source_count;
    size_t source_capacity;
    struct str head; /* What was digested last, and its digest so far; NULL: nothing yet. */
    struct digest *head_digest;
};

struct role_library *role_library_new(const char *const *paths, size_t count)
{
    struct role_library *library = xcalloc(1, sizeof(*library));
    library->paths = xcalloc(count, sizeof(*library->paths));
    library->path_count = count;
    for (size_t i = 0; i < count; i++) {
        library->paths[i] = xstrdup(paths[i]);
    }
    return library;
}

static void source_free(struct cached_source *source)
{
    if (source->archived) {
        archive_deinit(&source->archive);
    }
    free(source->source.path);
    free(source->path);
    free(source);
}

void role_library_free(struct role_library *library)
{
    if (library == NULL) {
        return;
    }
    for (size_t i = 0; i < library->role_count; i++) {
        role_free(library->roles[i]);
    }
    for (size_t i = 0; i < library->text_count; i++) {
        free(library->texts[i]->path);
        str_deinit(&library->texts[i]->text);
        free(library->texts[i]);
    }
    for (size_t i = 0; i < library->source_count; i++) {
        source_free(library->sources[i]);
    }
    role_words_free(library->paths, library->path_count);
    str_deinit(&library->head);
    digest_free(library->head_digest);
    free(library->roles);
    free(library->texts);
    free(library->sources);
    free(library);
}

struct role *role_library_find(struct role_library *library, const char *name)
{
    for (size_t i = 0; i < library->role_count; i++) {
        if (text_equal(library->roles[i]->name, name)) {
            return library->roles[i];
        }
    }
    return NULL;
}

/* The directory of role NAME on the path; the caller frees; NULL when there is none. */
static char *find_directory(const struct role_library *library, const char *name)
{
    for (size_t i = 0; text_is_name(name) && i < library->path_count; i++) {
        char *file = xasprintf("%s/%s/role.ini", library->paths[i], name);
        struct stat st;
        bool found = stat(file, &st) == 0;
        free(file);
        if (found) {
            return xasprintf("%s/%s", library->paths[i], name);
        }
    }
    return NULL;
}

/* The name on the path that is nearest to NAME; the caller frees; NULL when none is near. */
static char *find_nearest(const struct role_library *library, const char *name)
{
    char **names = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < library->path_count; i++) {
        DIR *directory = opendir(library->paths[i]);
        const struct dirent *entry;
        while (directory != NULL && (entry = readdir(directory)) != NULL) {
            if (text_is_name(entry->d_name)) {
                size_t n = xgrow((void **)&names, &count, &capacity, sizeof(*names));
                names[n] = xstrdup(entry->d_name);
            }
        }
        if (directory != NULL) {
            closedir(directory);
        }
    }
    const char *nearest = text_nearest(name, (const char *const *)names, count);
    char *result = xcopy(nearest);
    role_words_free(names, count);
    return result;
}

static void load(struct role_library *library, const char *name, const char *file, unsigned line,
                 struct problem_list *problems)
{
    struct role *role = role_library_find(library, name);
    if (role != NULL) {
        return;
    }
    char *directory = find_directory(library, name);
    if (directory == NULL) {
        char *nearest = find_nearest(library, name);
        problem_add(problems, file, line, "there is no role '%s'%s%s%s", name,
                    nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                    nearest == NULL ? "" : "'?");
        free(nearest);
        return;
    }
    role = role_load(name, directory, problems);
    free(directory);
    size_t i = xgrow((void **)&library->roles, &library->role_count, &library->role_capacity,
                     sizeof(struct role *));
    library->roles[i] = role;
    for (size_t r = 0; r < role->require_count; r++) {
        load(library, role->required[r], role_file(role), role->require_line, problems);
    }
}

int role_library_load(struct role_library *library, const char *const *names, size_t count,
                      const char *file, unsigned line, struct problem_list *problems)
{
    size_t before = problems->count;
    for (size_t i = 0; i < count; i++) {
        load(library, names[i], file, line, problems);
    }
    return problems->count == before ? 0 : -1;
}

static void order(struct role_library *library, const char *name, struct role ***list,
                  size_t *count, size_t *capacity, unsigned depth)
{
    struct role *role = role_library_find(library, name);
    for (size_t i = 0; i < *count; i++) {
        if ((*list)[i] == role) {
            return;
        }
    }
    /* Roles that require one another in a circle are taken in the order they are met. */
    if (role == NULL || depth > library->role_count) {
        return;
    }
    for (size_t i = 0; i < role->require_count; i++) {
        order(library, role->required[i], list, count, capacity, depth + 1);
    }
    for (size_t i = 0; i < *count; i++) {
        if ((*list)[i] == role) {
            return;
        }
    }
    size_t i = xgrow((void **)list, count, capacity, sizeof(struct role *));
    (*list)[i] = role;
}

void role_library_order(struct role_library *library, const char *name, struct role ***list,
                        size_t *count, size_t *capacity)
{
    order(library, name, list, count, capacity, 0);
}

const struct role_variable *role_library_variable(struct role_library *library, const char *role,
                                                  const char *variable, const char **ret_nearest)
{
    const char **words = NULL;
    size_t count = 0;
    size_t capacity = 0;
    const struct role *found = role_library_find(library, role);
    const struct role_var *var = found == NULL ? NULL : role_find_var(found, variable);
    if (var != NULL) {
        return &var->public;
    }
    for (size_t i = 0; i < (found == NULL ? library->role_count : found->var_count); i++) {
        size_t w = xgrow((void **)&words, &count, &capacity, sizeof(*words));
        words[w] = found == NULL ? library->roles[i]->name : found->vars[i].public.name;
    }
    if (ret_nearest != NULL) {
        *ret_nearest = text_nearest(found == NULL ? role : variable, words, count);
    }
    free(words);
    return NULL;
}

const char *role_library_creates(struct role_library *library, const char *role, const char *run)
{
    const struct role *found = role_library_find(library, role);
    for (size_t i = 0; found != NULL && i < found->resource_count; i++) {
        const struct role_resource *resource = &found->resources[i];
        if (text_equal(resource->type->name, "run") && text_equal(resource->section->name, run)) {
            const struct ini_entry *entry = role_entry(resource->section, "creates");
            return entry == NULL ? NULL : entry->value;
        }
    }
    return NULL;
}

const char *role_variable_check(const struct role_variable *variable, const char *value)
{
    const struct role_var *var = (const struct role_var *)variable;
    if (strstr(value, "{{") != NULL) {
        return NULL;
    }
    return value_set(&var->rule, variable->name, value, NULL);
}

const struct str *role_library_text(struct role_library *library, const char *path,
                                    const char *file, unsigned line, struct problem_list *problems)
{
    for (size_t i = 0; i < library->text_count; i++) {
        if (text_equal(library->texts[i]->path, path)) {
            return &library->texts[i]->text;
        }
    }
    struct err e = ERR_NULL;
    struct str text = STR_NULL;
    if (str_read_file(&text, path, TEXT_BYTES_MAX, &e) != 0) {
        if (file != NULL) {
            problem_add(problems, file, line, "%s", e.text);
        }
        str_deinit(&text);
        return NULL;
    }
    size_t i = xgrow((void **)&library->texts, &library->text_count, &library->text_capacity,
                     sizeof(struct cached_text *));
    library->texts[i] = xcalloc(1, sizeof(struct cached_text));
    library->texts[i]->path = xstrdup(path);
    library->texts[i]->text = text;
    return &library->texts[i]->text;
}

static int digest_file(const char *path, struct role_source *source, struct err *e)
{
    struct str bytes = STR_NULL;
    if (str_read_file(&bytes, path, (size_t)1 << 30, e) != 0) {
        str_deinit(&bytes);
        return -1;
    }
    digest_text(bytes.text == NULL ? "" : bytes.text, bytes.length, source->digest);
    source->size_bytes = (int64_t)bytes.length;
    text_copy(source->id, sizeof(source->id), source->digest);
    source->path = xstrdup(path);
    str_deinit(&bytes);
    return 0;
}

static int make_source(struct cached_source *cached, struct err *e)
{
    struct role_source *source = &cached->source;
    struct archive *archive = &cached->archive;
    if (!cached->archived) {
        return digest_file(cached->path, source, e);
    }
    if (archive_make(cached->path, archive, e) != 0) {
        cached->archived = false;
        return -1;
    }
    text_copy(source->digest, sizeof(source->digest), archive->digest);
    text_copy(source->id, sizeof(source->id), archive->id);
    source->size_bytes = archive->size_bytes;
    source->path = xasprintf("/proc/%d/fd/%d", (int)getpid(), archive->fd);
    return 0;
}

/* The newest entry for PATH, if it is still what lies there. */
static struct cached_source *find_source(struct role_library *library, const char *path)
{
    for (size_t i = library->source_count; i > 0; i--) {
        struct cached_source *cached = library->sources[i - 1];
        if (!text_equal(cached->path, path)) {
            continue;
        }
        uint64_t print;
        if (clock_now_ms() - cached->checked_ms < RECHECK_AFTER_MS) {
            return cached;
        }
        if (archive_fingerprint(path, &print, NULL) == 0 && print == cached->print) {
            cached->checked_ms = clock_now_ms();
            return cached;
        }
        return NULL;
    }
    return NULL;
}

const struct role_source *role_library_source(struct role_library *library, const char *path,
                                              bool archive, const char *file, unsigned line,
                                              struct problem_list *problems)
{
    struct cached_source *cached = find_source(library, path);
    if (cached != NULL) {
        return &cached->source;
    }
    struct err e = ERR_NULL;
    struct stat st;
    cached = xcalloc(1, sizeof(*cached));
    cached->path = xstrdup(path);
    cached->checked_ms = clock_now_ms();
    cached->archived = archive && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (archive_fingerprint(path, &cached->print, &e) != 0 || make_source(cached, &e) != 0) {
        problem_add(problems, file, line, "%s", e.text);
        source_free(cached);
        return NULL;
    }
    size_t i = xgrow((void **)&library->sources, &library->source_count, &library->source_capacity,
                     sizeof(struct cached_source *));
    library->sources[i] = cached;
    return &cached->source;
}

struct digest *role_library_digest(struct role_library *library, const char *text, size_t length)
{
    bool known = library->head_digest != NULL && library->head.length == length &&
                 memcmp(str_text(&library->head), text, length) == 0;
    if (!known) {
        str_clear(&library->head);
        str_add_bytes(&library->head, text, length);
        digest_free(library->head_digest);
        library->head_digest = digest_new();
        digest_add(library->head_digest, text, length);
    }
    return digest_copy(library->head_digest);
}
