#include "base/ini.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"

#include <assert.h>
#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * inih splits a line into key and value, but it hands over no line numbers, no empty sections and
 * no second error, and it cuts what does not fit its buffers (200 bytes a line, 50 a section)
 * without a word. So the file is cut into lines here, and inih is given each of them in a form that
 * it cannot misread: a section header as "[s]", an entry without its indent and no longer than the
 * buffer, a continuation with exactly one space before it, everything else as an empty line.
 * It calls back for what it takes as an entry, before it asks for the next line; the value is then
 * taken from our own, whole line. A line it did not call back for is an error.
 */

#define FILE_BYTES_MAX  (1024u * 1024)
#define LINE_BYTES_MAX  8192
#define VALUE_BYTES_MAX 65536
#define FILES_MAX       64
#define PROBLEMS_MAX    100 /* Of one file; more than that, and it is not a file of this kind. */
#define NO_SECTION      ((size_t)-1)

struct reader {
    struct ini_doc *doc;
    struct problem_list *problems;
    const char *file; /* Borrowed from the document. */
    const char *next; /* What is left of the file's text. */
    const char *end;
    unsigned line;      /* The current line, from 1. */
    char *text;         /* Owned; the current line without its end, NUL-terminated. */
    bool offered;       /* The current line was given to inih as an entry; it has not yet called. */
    bool continuation;  /* ... as a continuation. */
    bool open;          /* The last entry may go on over the next line. */
    bool skip;          /* The last entry could not be used: nor can the lines it goes on over. */
    size_t indent;      /* Of the line the last entry began on. */
    unsigned blanks;    /* Empty lines since; part of the value if it goes on after them. */
    size_t section;     /* The document's that entries go to; NO_SECTION before the first header. */
    size_t told_before; /* Problems before this file. */
    const char **above; /* Borrowed; the files being read, this one last. */
    size_t above_count;
};

static void read_file(struct ini_doc *doc, const char *path, const struct reader *from,
                      struct problem_list *problems);

/* A new section; TYPE and NAME become the document's. */
static void start_section(struct reader *r, char *type, char *name)
{
    r->section = xgrow((void **)&r->doc->sections, &r->doc->section_count,
                       &r->doc->section_capacity, sizeof(*r->doc->sections));
    r->doc->sections[r->section] =
        (struct ini_section){.type = type, .name = name, .file = r->file, .line = r->line};
}

static struct ini_section *current_section(struct reader *r)
{
    if (r->section == NO_SECTION) {
        start_section(r, xstrdup(""), xstrdup(""));
    }
    return &r->doc->sections[r->section];
}

/* A copy of the LENGTH bytes at TEXT without white space at both ends. */
static char *copy_trimmed(const char *text, size_t length)
{
    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        length--;
    }
    while (length > 0 && isspace((unsigned char)*text)) {
        text++;
        length--;
    }
    return xstrndup(text, length);
}

/* The length of TEXT up to a comment: a ';' with white space before it. */
static size_t without_comment(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == ';' && i > 0 && isspace((unsigned char)text[i - 1])) {
            return i;
        }
    }
    return strlen(text);
}

/* "[type name]": both words may be missing, which is for whoever knows the sections to judge. */
static void add_section(struct reader *r, const char *header)
{
    const char *close = strchr(header, ']');
    const char *rest = close == NULL ? "" : close + 1;
    while (isspace((unsigned char)*rest)) {
        rest++;
    }
    if (close == NULL) {
        problem_add(r->problems, r->file, r->line, "expected ']' at the end of '%.60s'", header);
        close = header + strlen(header);
    } else if (*rest != '\0' && *rest != ';' && *rest != '#') {
        problem_add(r->problems, r->file, r->line,
                    "expected nothing after ']', got '%.60s'; keys stand on lines of their own",
                    rest);
    }
    char *inside = copy_trimmed(header + 1, (size_t)(close - header - 1));
    size_t word = strcspn(inside, " \t");
    start_section(r, xstrndup(inside, word), copy_trimmed(inside + word, strlen(inside + word)));
    free(inside);
}

static void add_entry(struct reader *r, const char *key, const char *value, size_t length)
{
    struct ini_section *section = current_section(r);
    size_t i = xgrow((void **)&section->entries, &section->entry_count, &section->entry_capacity,
                     sizeof(*section->entries));
    section->entries[i] = (struct ini_entry){.key = xstrdup(key),
                                             .value = copy_trimmed(value, length),
                                             .file = r->file,
                                             .line = r->line};
}

static void extend_entry(struct reader *r, const char *value, size_t length)
{
    struct ini_section *section = current_section(r);
    struct ini_entry *entry = &section->entries[section->entry_count - 1];
    char *more = copy_trimmed(value, length);
    if (strlen(entry->value) + r->blanks + strlen(more) >= VALUE_BYTES_MAX) {
        problem_add(r->problems, r->file, r->line, "%s: the value is longer than %d bytes",
                    entry->key, VALUE_BYTES_MAX);
        r->open = false;
        r->skip = true;
    } else if (*more != '\0') {
        struct str joined = STR_NULL;
        str_add(&joined, entry->value);
        for (unsigned i = 0; joined.length > 0 && i <= r->blanks; i++) {
            str_add_char(&joined, '\n');
        }
        str_add(&joined, more);
        free(entry->value);
        entry->value = str_take(&joined);
        r->blanks = 0;
    }
    free(more);
}

/* inih has seen an entry in the current line. Returns nonzero: go on. */
static int on_entry(void *context, const char *section, const char *name, const char *value)
{
    (void)section;
    (void)value;
    struct reader *r = context;
    assert(r->offered);
    r->offered = false;
    if (r->continuation) {
        extend_entry(r, r->text, without_comment(r->text));
        return 1;
    }
    const char *equals = strchr(r->text, '=');
    if (equals == NULL || *name == '\0' || memchr(r->text, ':', (size_t)(equals - r->text))) {
        r->offered = true; /* "key: value" is taken by inih, but not by us. */
        return 1;
    }
    const char *rest = equals + 1;
    size_t length = without_comment(rest);
    bool top = r->section == NO_SECTION || *r->doc->sections[r->section].type == '\0';
    if (top && text_equal(name, "include")) {
        char *path = copy_trimmed(rest, length);
        read_file(r->doc, path, r, r->problems);
        free(path);
        return 1;
    }
    add_entry(r, name, rest, length);
    r->open = true;
    r->blanks = 0;
    return 1;
}

/* Tells of the line that inih did not take. */
static void settle(struct reader *r)
{
    if (!r->offered) {
        return;
    }
    r->offered = false;
    r->open = false;
    r->skip = true;
    problem_add(r->problems, r->file, r->line,
                "expected [SECTION NAME] or KEY = VALUE, got '%.60s'",
                r->text + strspn(r->text, " \t"));
}

/* The byte that does not belong into a text file, NULL when there is none. */
static const char *strange_byte(const char *text, size_t length)
{
    struct str clean = STR_NULL;
    str_add_printable(&clean, text, length, false);
    const char *strange = NULL;
    for (size_t i = 0; i < length && strange == NULL; i++) {
        bool same = i < clean.length && (clean.text[i] == text[i] || text[i] == '\t');
        strange = same ? NULL : text + i;
    }
    str_deinit(&clean);
    return strange;
}

/* Cuts the next line off into r->text; false at the end. A line that cannot be used is empty. */
static bool next_line(struct reader *r)
{
    if (r->next >= r->end) {
        return false;
    }
    r->line++;
    const char *text = r->next;
    const char *newline = memchr(text, '\n', (size_t)(r->end - text));
    size_t length = (size_t)((newline == NULL ? r->end : newline) - text);
    r->next = newline == NULL ? r->end : newline + 1;
    if (length > 0 && text[length - 1] == '\r') {
        length--;
    }
    const char *strange = length > LINE_BYTES_MAX ? NULL : strange_byte(text, length);
    free(r->text);
    r->text = xstrndup(text, length > LINE_BYTES_MAX || strange != NULL ? 0 : length);
    if (length > LINE_BYTES_MAX) {
        problem_add(r->problems, r->file, r->line, "the line is longer than %d bytes",
                    LINE_BYTES_MAX);
    } else if (strange != NULL) {
        problem_add(r->problems, r->file, r->line, "%s at column %zu: expected UTF-8 text",
                    *strange == '\0'                  ? "a NUL byte"
                    : (unsigned char)*strange >= 0x80 ? "a byte that is not UTF-8"
                                                      : "a control character",
                    (size_t)(strange - text) + 1);
    }
    return true;
}

/* Puts at most SIZE - 3 bytes of TEXT after PREFIX, and a newline, into BUFFER. */
static char *offer(char *buffer, size_t size, const char *prefix, const char *text)
{
    snprintf(buffer, size - 1, "%s%s", prefix, text);
    size_t length = strlen(buffer);
    buffer[length] = '\n';
    buffer[length + 1] = '\0';
    return buffer;
}

/* inih's reader: the next line of the file, in the form explained above. */
static char *on_read(char *buffer, int size, void *context)
{
    struct reader *r = context;
    settle(r);
    if (r->problems->count - r->told_before > PROBLEMS_MAX) {
        problem_add(r->problems, r->file, r->line,
                    "the rest of the file is not read: more than %d "
                    "mistakes",
                    PROBLEMS_MAX);
        return NULL;
    }
    if (!next_line(r)) {
        return NULL;
    }
    size_t indent = strspn(r->text, " \t");
    const char *text = r->text + indent;
    if (*text == '\0') {
        r->blanks++;
        return offer(buffer, (size_t)size, "", "");
    }
    if (*text == '#' || *text == ';' || (r->skip && indent > r->indent)) {
        return offer(buffer, (size_t)size, "", "");
    }
    r->skip = false;
    r->continuation = r->open && indent > r->indent;
    if (*text == '[' && !r->continuation) {
        r->open = false;
        add_section(r, text);
        return offer(buffer, (size_t)size, "", "[s]");
    }
    r->offered = true;
    if (!r->continuation) {
        r->open = false;
        r->indent = indent;
        return offer(buffer, (size_t)size, "", text);
    }
    return offer(buffer, (size_t)size, " ", text);
}

/* PATH, when relative, as seen from the file FROM. The caller frees it. */
static char *beside(const char *from, const char *path)
{
    const char *slash = strrchr(from, '/');
    if (*path == '/' || slash == NULL) {
        return xstrdup(path);
    }
    return xasprintf("%.*s/%s", (int)(slash - from), from, path);
}

static bool same_file(const char *a, const char *b)
{
    struct stat of_a;
    struct stat of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

/* Why PATH must not be read from FROM (NULL when it may): a loop, or a second time. */
static const char *reason_against(const struct ini_doc *doc, const char *path,
                                  const struct reader *from)
{
    for (size_t i = 0; i < from->above_count; i++) {
        if (same_file(path, from->above[i])) {
            return "is being read already: a file cannot include itself, nor what includes it";
        }
    }
    for (size_t i = 0; i < doc->file_count; i++) {
        if (same_file(path, doc->files[i])) {
            return "was included before; once is enough";
        }
    }
    return doc->file_count >= FILES_MAX ? "is one file too many (64 at most)" : NULL;
}

static void parse(struct reader *r, const struct str *bytes)
{
    r->next = str_text(bytes);
    r->end = r->next + bytes->length;
    if (bytes->length >= 3 && memcmp(r->next, "\xef\xbb\xbf", 3) == 0) {
        r->next += 3;
    }
    int result = ini_parse_stream(on_read, r, on_entry, r);
    settle(r);
    if (result == -2) {
        problem_add(r->problems, r->file, 0, "out of memory");
    }
    free(r->text);
}

/* Reads PATH, named by the current line of FROM (NULL: by the caller). */
static void read_file(struct ini_doc *doc, const char *path, const struct reader *from,
                      struct problem_list *problems)
{
    char *name = from == NULL ? xstrdup(path) : beside(from->file, path);
    struct str bytes = STR_NULL;
    struct err e = ERR_NULL;
    const char *against = from == NULL ? NULL : reason_against(doc, name, from);
    if (from != NULL && (*path == '\0' || against != NULL)) {
        problem_add(problems, from->file, from->line, "include: %s%s%s",
                    *path == '\0' ? "expected the name of a file" : path, *path == '\0' ? "" : " ",
                    *path == '\0' ? "" : against);
    } else if (str_read_file(&bytes, name, FILE_BYTES_MAX, &e) != 0) {
        problem_add(problems, from == NULL ? NULL : from->file, from == NULL ? 0 : from->line,
                    from == NULL ? "%s" : "include: %s", e.text);
    } else {
        size_t depth = from == NULL ? 0 : from->above_count;
        const char **above = xcalloc(depth + 1, sizeof(*above));
        for (size_t i = 0; i < depth; i++) {
            above[i] = from->above[i];
        }
        size_t i =
            xgrow((void **)&doc->files, &doc->file_count, &doc->file_capacity, sizeof(*doc->files));
        doc->files[i] = xstrdup(name);
        above[depth] = doc->files[i];
        struct reader r = {.doc = doc,
                           .problems = problems,
                           .file = doc->files[i],
                           .section = NO_SECTION,
                           .told_before = problems->count,
                           .above = above,
                           .above_count = depth + 1};
        parse(&r, &bytes);
        free(above);
    }
    str_deinit(&bytes);
    free(name);
}

int ini_doc_read(struct ini_doc *doc, const char *path, struct problem_list *problems)
{
    *doc = INI_DOC_NULL;
    size_t before = problems->count;
    read_file(doc, path, NULL, problems);
    return problems->count == before ? 0 : -1;
}

void ini_doc_deinit(struct ini_doc *doc)
{
    for (size_t i = 0; i < doc->section_count; i++) {
        struct ini_section *section = &doc->sections[i];
        for (size_t j = 0; j < section->entry_count; j++) {
            free(section->entries[j].key);
            free(section->entries[j].value);
        }
        free(section->entries);
        free(section->type);
        free(section->name);
    }
    free(doc->sections);
    for (size_t i = 0; i < doc->file_count; i++) {
        free(doc->files[i]);
    }
    free(doc->files);
    *doc = INI_DOC_NULL;
}
