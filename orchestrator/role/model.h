/*
 * A role as it was read: internal to the role room. Its sections stay in the ini document; this is
 * what they mean. Checked as far as can be without a host: keys, types, defaults without templates,
 * handlers. Everything is owned by the role and lives as long as its library.
 */
#ifndef ROLE_MODEL_H
#define ROLE_MODEL_H

#include "base/ini.h"
#include "base/str.h"
#include "role/role.h"
#include "role/value.h"

struct compiler;

/* One key a section may have. */
struct role_key {
    const char *name;
    enum role_key_kind {
        KEY_TEXT,     /* Rendered as it is. */
        KEY_COMMAND,  /* Rendered with shell words. */
        KEY_SECRET,   /* Rendered by the resource itself: may hold secrets. */
        KEY_WORDS,    /* Rendered, must be one of CHOICES. */
        KEY_MODE,     /* An octal mode. */
        KEY_NUMBER,   /* A whole number. */
        KEY_DURATION, /* A duration. */
    } kind;
    const char *choices; /* KEY_WORDS: separated by spaces. */
};

/* A kind of section that becomes lines of the script. */
struct role_resource_type {
    const char *name;            /* "file" */
    const char *section;         /* Part of the prelude it needs. */
    const struct role_key *keys; /* Beside when and notify; the end has no name. */
    const char *required;        /* Keys that must be there, separated by spaces; or NULL. */
    const char *any_of;          /* Of these at least one; or NULL. */
    bool label_is_path;          /* `path` may be left out when the label begins with "/". */
    /* Adds the resource to the script. Problems are added, nothing is returned. */
    void (*emit)(struct compiler *compiler, const struct ini_section *section);
};
/* NULL when there is none. */
const struct role_resource_type *role_resource_type(const char *name);
/* The names of all of them; the count is returned. */
size_t role_resource_type_names(const char ***ret_names);

extern const struct role_resource_type role_handler_type;

/* The types by file; each list ends with a NULL name. */
extern const struct role_resource_type role_file_types[];    /* file directory link line */
extern const struct role_resource_type role_package_types[]; /* package user service sysctl */
extern const struct role_resource_type role_run_types[];     /* run check database release */

struct role_var {
    struct role_variable public; /* First: a role_variable of ours is a role_var. */
    struct value_rule rule;
    const char *file;
    unsigned line;         /* Of its section. */
    unsigned default_line; /* Of its default, if it has one. */
};

/* A section that is compiled. */
struct role_resource {
    const struct role_resource_type *type;
    const struct ini_section *section;
};

struct role {
    char *name;
    char *directory;
    struct ini_doc doc;
    char **required;
    size_t require_count;
    unsigned require_line;
    struct role_var *vars;
    size_t var_count;
    size_t var_capacity;
    struct role_resource *resources;
    size_t resource_count;
    size_t resource_capacity;
    struct role_resource *handlers;
    size_t handler_count;
    size_t handler_capacity;
    bool good; /* Read without a problem. */
};

/* Reads DIRECTORY/role.ini. Always returns a role; problems are added. */
struct role *role_load(const char *name, const char *directory, struct problem_list *problems);
void role_free(struct role *role);
const char *role_file(const struct role *role); /* Path of its role.ini; borrowed. */
const struct role_var *role_find_var(const struct role *role, const char *name);
const struct role_resource *role_find_handler(const struct role *role, const char *name);

/* The entry with KEY, or NULL. */
const struct ini_entry *role_entry(const struct ini_section *section, const char *key);
/* Splits TEXT at any byte of SEPARATORS into owned words (white space around them goes). */
size_t role_words(const char *text, const char *separators, char ***ret_words);
void role_words_free(char **words, size_t count);

/* The library's own half, for the compiler. */
struct role *role_library_find(struct role_library *library, const char *name);
/* Appends NAME and before it all it requires to *LIST (borrowed roles), each once. */
void role_library_order(struct role_library *library, const char *name, struct role ***list,
                        size_t *count, size_t *capacity);
/* A text file of a role, read once; borrowed; NULL after adding a problem at FILE:LINE (FILE NULL:
   none is added when it is absent). */
const struct str *role_library_text(struct role_library *library, const char *path,
                                    const char *file, unsigned line, struct problem_list *problems);

/* Something to send on demand: bytes that do not fit the script. */
struct role_source {
    char digest[65]; /* SHA-256 of the bytes at PATH. */
    char id[17];     /* Digest of the contents, whatever the times of the files. */
    char *path;
    int64_t size_bytes;
};
/* A digest of TEXT, the caller's to go on with; the last one asked for is kept. */
struct digest *role_library_digest(struct role_library *library, const char *text, size_t length);
/* A file as it is, or a directory as a tar archive (ARCHIVE). Borrowed; NULL after a problem. */
const struct role_source *role_library_source(struct role_library *library, const char *path,
                                              bool archive, const char *file, unsigned line,
                                              struct problem_list *problems);

#endif
