/*
 * The one table of what a cluster file may say: sections, their keys, types, defaults, ranges and
 * help. The parser, its messages, the defaults and `lamplighter help config` all come from here;
 * there is no second copy of it. What a key means beyond its type (which combinations make sense)
 * is in spec/combine.c.
 */
#ifndef SPEC_KEY_H
#define SPEC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str;

enum section_id {
    SECTION_CLUSTER,
    SECTION_ZONE,
    SECTION_PROVIDER,
    SECTION_SIZE,
    SECTION_SECRET,
    SECTION_TEMPLATE,
    SECTION_POOL,
    SECTION_GROUP,
    SECTION_FRONTEND,
    SECTION_HOST,
    SECTION_HOOK,
};

/* How a value is written, and (after the dash) the member of the section's struct it fills. */
enum key_type {
    KEY_COUNT,      /* whole number in min..max - unsigned */
    KEY_PERCENT,    /* "90%", min..max - unsigned */
    KEY_SIZE,       /* "512M", min..max in bytes - int64_t */
    KEY_DURATION,   /* "30s", min..max in milliseconds - int64_t */
    KEY_YESNO,      /* yes or no - bool */
    KEY_CHOICE,     /* one of words - an enum in the order of words */
    KEY_WORD,       /* one of words - char *, NULL for "none" */
    KEY_TEXT,       /* one line without white space - char * */
    KEY_LINE,       /* one line, not empty - char * */
    KEY_NAME,       /* [a-z0-9][a-z0-9-]{0,62} - char * */
    KEY_USER,       /* a login name - char * */
    KEY_URI,        /* libvirt's name of a hypervisor - char * */
    KEY_PATH,       /* relative to the file it stands in - char *, absolute */
    KEY_PATH_NONE,  /* the same or "none" - char *, NULL for none */
    KEY_PATHS,      /* several - struct spec_word_list */
    KEY_STATE,      /* "sqlite:PATH" - struct spec state_path, state_dir */
    KEY_NAMES,      /* several names - struct spec_word_list */
    KEY_SCRIPT,     /* "@FILE", or a script that begins with "#!" - char * */
    KEY_REFERENCE,  /* the name of a section of kind `refers` - size_t index */
    KEY_REFERENCES, /* several - struct spec_index_list */
    KEY_JUMP,       /* the name of a [host], or "none" - char *, "" for none */
    KEY_ADDRESS,    /* IPv4 - uint32_t in host order */
    KEY_ADDRESSES,  /* FIRST-LAST[/PREFIX] - struct spec_zone address_first and its neighbours */
    KEY_HOST_NAME,  /* IPv4, IPv6 or a name - char * */
    KEY_HOST_KEY,   /* "SHA256:..." or "ssh-ed25519 ..." - char *, without the comment */
    KEY_CHECK,      /* a check line - struct spec_check */
    KEY_LISTEN,     /* "http:PORT" - struct spec_frontend listeners, one more */
    KEY_ROUTE,      /* "PATH -> POOL" - struct spec_frontend routes, one more */
};

struct key {
    const char *name;
    enum key_type type;
    size_t offset;             /* Of the member, in the section's struct. */
    const char *fallback;      /* What an absent key means, as a user would write it; NULL: see
                                  fallback_note. */
    const char *fallback_note; /* For people, where the default is worked out; NULL: none. */
    int64_t min;               /* In the unit of the member. */
    int64_t max;
    const char *const *words; /* NULL-terminated; of KEY_CHOICE and KEY_WORD. */
    const char *const *later; /* NULL-terminated: words (or what stands before a ':') that a later
                                 version will know. */
    enum section_id refers;   /* Of KEY_REFERENCE and KEY_REFERENCES. */
    bool required;
    bool repeated;       /* May stand several times in a section. */
    const char *help;    /* Sentences. */
    const char *example; /* A value; NULL when type and default show it. */
};

struct section_kind {
    enum section_id id;
    const char *name; /* "group" */
    const char *help; /* Sentences. */
    bool settings;    /* Takes ROLE.VARIABLE = VALUE lines too. */
    const struct key *keys;
    size_t key_count; /* At most SECTION_KEY_MAX. */
    const char *const
        *later; /* NULL-terminated: keys that a later version will know; may be NULL. */
};

#define SECTION_KEY_MAX 32

/* All kinds, indexed by section_id, in the order in which help shows them. */
extern const struct section_kind section_kinds[];
extern const size_t section_kind_count;

/* NULL-terminated: sections that a later version will know. */
extern const char *const section_later[];

const struct section_kind *section_kind_find(const char *name); /* NULL for none. */
/* The index of key NAME in KIND, or KIND's key_count when there is none. */
size_t section_kind_key(const struct section_kind *kind, const char *name);

/* What a value must look like: "a whole number from 0 to 10000". */
void key_add_expected(const struct key *key, struct str *text);

/* "512M", "5min", "90%": NUMBER in KEY's unit as a user would write it. */
void key_add_number(const struct key *key, int64_t number, struct str *text);

#endif
