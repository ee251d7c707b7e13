/*
 * A cluster file being read: what the files of this room share while spec_load() runs. Not for
 * other rooms.
 *
 * The steps, each a file: section.c (which sections there are; each key of each section, by the
 * table), resolve.c (defaults that depend on other keys, files on disk, who needs whom), combine.c
 * and combine_host.c (what cannot be together). A value that was refused is remembered as bad, and
 * later steps do not judge what hangs on it: one mistake, one message.
 */
#ifndef SPEC_LOAD_H
#define SPEC_LOAD_H

#include "base/ini.h"
#include "spec/key.h"
#include "spec/spec.h"

#include <stdbool.h>
#include <stddef.h>

/* A lifecycle hook may take so many heartbeats as a whole, as with AWS. */
#define LOAD_HOOK_HEARTBEATS 100

struct err;
struct problem_list;

/* One section of the file. */
struct load_section {
    const struct section_kind *kind; /* NULL: not a section of this version. */
    const struct ini_section *ini;   /* Borrowed from the document. */
    void *object;                    /* Borrowed: its struct in the spec; NULL without a kind. */
    size_t index;                    /* Of the object in its array of the spec. */
    bool shadowed;                   /* Its name is bad or taken: it has no part in what follows. */
    const struct ini_entry *entries[SECTION_KEY_MAX]; /* The first of each key; NULL: absent. */
    bool bad[SECTION_KEY_MAX];                        /* The key's value was refused. */
};

struct load {
    struct spec *spec;
    struct spec *second_cluster; /* Owned; takes what a second [cluster] says, for its mistakes. */
    struct problem_list *problems;
    struct ini_doc doc;
    struct load_section *sections; /* Owned; in file order. */
    size_t section_count;
};

/* Step 1; section.c. */
void load_collect_sections(struct load *load);
/* Step 2; section.c. */
void load_read_keys(struct load *load);
/* Step 3; resolve.c. */
void load_resolve(struct load *load);
/* Step 4; combine.c; hosts: combine_host.c. */
void load_check_combinations(struct load *load);
void load_check_hosts(struct load *load);

/*
 * Adds "[group web] KEY: TEXT" at the line of KEY (of the section when KEY is NULL or absent), and
 * marks KEY as bad.
 */
void load_problem(struct load *load, struct load_section *section, const char *key,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds "[group web] KEY: TEXT" at the line of ENTRY. */
void load_entry_problem(struct load *load, const struct load_section *section,
                        const struct ini_entry *entry, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether KEY stands in the section. */
bool load_given(const struct load_section *section, const char *key);
/* Whether the member of KEY (its value or the default) can be reckoned with: it was not refused. */
bool load_good(const struct load_section *section, const char *key);

/* Whether every section was understood. Where one was not, it may have been what is missing. */
bool load_is_whole(const struct load *load);

/* The section of object INDEX of kind ID; NULL when there is none. */
struct load_section *load_section_of(const struct load *load, enum section_id id, size_t index);

/* The first section of kind ID at or after *POSITION, which moves behind it; NULL at the end. */
struct load_section *load_next(const struct load *load, enum section_id id, size_t *position);

/*
 * The index of [ID NAME]. On -1, E has what was expected and the nearest name; its text is empty
 * when the mistake has been told already (the name is that of a section of unknown kind).
 */
int load_find(const struct load *load, enum section_id id, const char *name, size_t *ret_index,
              struct err *e);

/* PATH as written in FILE: absolute; the caller frees it. */
char *load_path(const char *file, const char *path);

/*
 * Sets the member of SECTION's object that KEY is about from TEXT. ENTRY is where it stands, NULL
 * for a default. On -1, E says what was expected, or nothing when that was told already. (set.c)
 */
int load_set(struct load *load, const struct load_section *section, const struct key *key,
             const struct ini_entry *entry, const char *text, struct err *e);

/* Adds ITEM unless it is there; false when it was. */
bool spec_index_list_add(struct spec_index_list *list, size_t item);
bool spec_index_list_has(const struct spec_index_list *list, size_t item);

#endif
