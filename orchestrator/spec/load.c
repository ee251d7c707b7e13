#include "spec/load.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void add_problem(struct load *load, const struct load_section *section, const char *key,
                        const char *file, unsigned line, const char *format, va_list args)
    __attribute__((format(printf, 6, 0)));

static void add_problem(struct load *load, const struct load_section *section, const char *key,
                        const char *file, unsigned line, const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) {
        abort();
    }
    const char *name = section->ini->name;
    problem_add(load->problems, file, line, "[%.40s%s%.63s]%s%.80s: %s", section->ini->type,
                *name == '\0' ? "" : " ", name, key == NULL ? "" : " ", key == NULL ? "" : key,
                text);
    free(text);
}

void load_entry_problem(struct load *load, const struct load_section *section,
                        const struct ini_entry *entry, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_problem(load, section, entry->key, entry->file, entry->line, format, args);
    va_end(args);
}

void load_problem(struct load *load, struct load_section *section, const char *key,
                  const char *format, ...)
{
    const char *file = section->ini->file;
    unsigned line = section->ini->line;
    if (key != NULL) {
        size_t i = section_kind_key(section->kind, key);
        section->bad[i] = true;
        if (section->entries[i] != NULL) {
            file = section->entries[i]->file;
            line = section->entries[i]->line;
        }
    }
    va_list args;
    va_start(args, format);
    add_problem(load, section, key, file, line, format, args);
    va_end(args);
}

bool load_given(const struct load_section *section, const char *key)
{
    return section->entries[section_kind_key(section->kind, key)] != NULL;
}

bool load_good(const struct load_section *section, const char *key)
{
    return !section->bad[section_kind_key(section->kind, key)];
}

bool load_is_whole(const struct load *load)
{
    for (size_t i = 0; i < load->section_count; i++) {
        if (load->sections[i].kind == NULL || load->sections[i].shadowed) {
            return false;
        }
    }
    return true;
}

struct load_section *load_next(const struct load *load, enum section_id id, size_t *position)
{
    while (*position < load->section_count) {
        struct load_section *section = &load->sections[(*position)++];
        if (section->kind != NULL && section->kind->id == id && !section->shadowed) {
            return section;
        }
    }
    return NULL;
}

struct load_section *load_section_of(const struct load *load, enum section_id id, size_t index)
{
    struct load_section *section;
    size_t i = 0;
    while ((section = load_next(load, id, &i)) != NULL && section->index != index) {
    }
    return section;
}

/* What to say after "expected the name of a [pool], got 'wbe'". */
static void add_hint(struct str *text, const struct section_kind *kind, const char *name,
                     const char *const *names, size_t count)
{
    const char *nearest = text_nearest(name, names, count);
    if (nearest != NULL) {
        str_addf(text, "; did you mean '%s'?", nearest);
    } else if (count == 0) {
        str_addf(text, "; the file has no [%s]", kind->name);
    } else if (count <= 6) {
        for (size_t i = 0; i < count; i++) {
            str_addf(text, "%s%s", i == 0 ? "; there is " : ", ", names[i]);
        }
    }
}

int load_find(const struct load *load, enum section_id id, const char *name, size_t *ret_index,
              struct err *e)
{
    const struct section_kind *kind = &section_kinds[id];
    const char **names = xcalloc(load->section_count, sizeof(*names));
    size_t count = 0;
    bool told = false;
    for (size_t i = 0; i < load->section_count; i++) {
        const struct load_section *section = &load->sections[i];
        bool same = text_equal(section->ini->name, name);
        if (section->kind == kind && !section->shadowed) {
            if (same) {
                *ret_index = section->index;
                free(names);
                return 0;
            }
            names[count++] = section->ini->name;
        }
        told = told || ((section->kind == NULL || section->shadowed) &&
                        strcasecmp(section->ini->name, name) == 0);
    }
    struct str hint = STR_NULL;
    add_hint(&hint, kind, name, names, count);
    *e = ERR_NULL;
    if (!told) {
        err_set(e, "expected the name of a [%s], got '%.60s'%s", kind->name, name, str_text(&hint));
    }
    str_deinit(&hint);
    free(names);
    return -1;
}

/* The folder that FILE is in, absolute, for the caller to free. */
static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash == NULL   ? xstrdup(".")
                   : slash == file ? xstrdup("/")
                                   : xstrndup(file, (size_t)(slash - file));
    char *real = realpath(folder, NULL);
    if (real == NULL) {
        return folder; /* It has gone meanwhile: opening what is in it will tell. */
    }
    free(folder);
    return real;
}

char *load_path(const char *file, const char *path)
{
    if (*path == '/') {
        return xstrdup(path);
    }
    char *folder = folder_of(file);
    for (;;) {
        char *slash = strrchr(folder, '/');
        if (text_starts(path, "./")) {
            path += 2;
        } else if (text_starts(path, "../") && slash != NULL) {
            /* The folder is a real path, so what is before its last slash is what is above it. */
            slash[slash == folder ? 1 : 0] = '\0';
            path += 3;
        } else {
            break;
        }
        path += strspn(path, "/");
    }
    char *whole = xasprintf("%s%s%s", folder, text_equal(folder, "/") ? "" : "/", path);
    free(folder);
    return whole;
}

int spec_load(const char *path, struct spec **ret_spec, struct problem_list *problems)
{
    size_t before = problems->count;
    struct load load = {.problems = problems, .spec = xcalloc(1, sizeof(*load.spec))};
    ini_doc_read(&load.doc, path, problems);
    if (load.doc.file_count > 0) {
        load_collect_sections(&load);
        load_read_keys(&load);
        load_resolve(&load);
        load_check_combinations(&load);
        load_check_hosts(&load);
    }
    problem_list_sort(problems);
    /* Places in the spec borrow the names of the files: they move over with it. */
    load.spec->files = load.doc.files;
    load.spec->file_count = load.doc.file_count;
    load.doc.files = NULL;
    load.doc.file_count = 0;
    ini_doc_deinit(&load.doc);
    free(load.sections);
    spec_free(load.second_cluster);
    if (problems->count > before) {
        spec_free(load.spec);
        return -1;
    }
    *ret_spec = load.spec;
    return 0;
}
