/*
 * A file of sections, keys and values, read with inih, with what inih leaves out: the line of each
 * entry, empty sections, sections with a type and a name ("[group web]"), includes, and an error
 * (instead of a silent cut) for what is longer than inih's buffers.
 *
 * Used for cluster files and for role.ini. Knows no section and no key: see spec/ and role/.
 *
 * `include = other.ini` before the first section of a file reads another file in place; its path is
 * relative to the file that names it; a file is read once only.
 *
 * A value goes on over following lines that are indented deeper than its key (joined by newlines,
 * their indent removed, empty lines between them kept). Lines that begin with '#' or ';' are
 * comments, also among those; after a value a comment begins with white space and ';'. So "a ; b"
 * is "a", and "a; b" is all of it. Lines hold up to 8192 bytes, values up to 65536, files up to 1
 * MiB. A byte order mark at the start and carriage returns before newlines are dropped.
 */
#ifndef BASE_INI_H
#define BASE_INI_H

#include <stdbool.h>
#include <stddef.h>

struct problem_list;

struct ini_entry {
    char *key;        /* Owned. */
    char *value;      /* Owned; white space at both ends removed. */
    const char *file; /* Borrowed from the document. */
    unsigned line;    /* Where the key stands. */
};

struct ini_section {
    char *type; /* Owned; first word of the header, "" for entries of a file before any header. */
    char *name; /* Owned; the rest of the header, "" when there is none. */
    const char *file; /* Borrowed from the document. */
    unsigned line;    /* Where the header stands. */
    struct ini_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
};

struct ini_doc {
    struct ini_section *sections; /* In file order, includes in place; same headers not merged. */
    size_t section_count;
    size_t section_capacity;
    char **files; /* Owned; every file that was read, the first one first. */
    size_t file_count;
    size_t file_capacity;
};

#define INI_DOC_NULL ((struct ini_doc){.sections = NULL})

/*
 * Reads PATH and what it includes. Everything wrong is added to PROBLEMS (unreadable file, line
 * that is neither section nor key, line too long, NUL byte, include loop, invalid UTF-8); what
 * could be read is in DOC all the same, so that later checks can go on. Returns 0 when no problem
 * was added, else -1.
 */
int ini_doc_read(struct ini_doc *doc, const char *path, struct problem_list *problems);
void ini_doc_deinit(struct ini_doc *doc);

#endif
