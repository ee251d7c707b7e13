#include "image/tar.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE   ((size_t)1024 * 1024)
#define EXTENSION_MAX ((int64_t)1024 * 1024)
#define SIZE_MAX_TB   ((int64_t)1 << 44)
#define XATTR_PREFIX  "SCHILY.xattr."

/* Where the fields of a header block are. */
enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_TARGET = 157,
    AT_MAGIC = 257,
    AT_MAJOR = 329,
    AT_MINOR = 337,
    AT_PREFIX = 345,
};

/* What an extension before a header says of it. */
struct extension {
    char *path; /* Owned; NULL when not said. */
    char *target;
    int64_t size_bytes; /* -1 when not said; so for the two below. */
    int64_t uid, gid;
};

struct attribute {
    char *text; /* "NAME=HEX" */
};

struct tar_reader {
    int fd;
    int64_t deadline_ms;
    unsigned char *buffer;
    size_t begin, end; /* What is in the buffer. */
    bool at_end;       /* Of the stream. */
    int64_t left;      /* Bytes of content not read yet. */
    size_t padding;    /* Bytes behind it. */
    struct tar_entry entry;
    struct extension extension;
    struct attribute *attributes;
    size_t attribute_count;
    size_t attribute_capacity;
};

static void extension_clear(struct extension *x)
{
    free(x->path);
    free(x->target);
    *x = (struct extension){.size_bytes = -1, .uid = -1, .gid = -1};
}

static void attributes_clear(struct tar_reader *r)
{
    for (size_t i = 0; i < r->attribute_count; i++) {
        free(r->attributes[i].text);
    }
    r->attribute_count = 0;
}

static void entry_clear(struct tar_entry *entry)
{
    free(entry->path);
    free(entry->target);
    entry->path = NULL;
    entry->target = NULL;
    str_clear(&entry->attributes);
    str_clear(&entry->raw);
}

struct tar_reader *tar_reader_new(int fd, int64_t deadline_ms)
{
    struct tar_reader *r = xcalloc(1, sizeof(*r));
    r->fd = fd;
    r->deadline_ms = deadline_ms;
    r->buffer = xcalloc(1, BUFFER_SIZE);
    extension_clear(&r->extension);
    return r;
}

void tar_reader_free(struct tar_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    entry_clear(&reader->entry);
    str_deinit(&reader->entry.attributes);
    str_deinit(&reader->entry.raw);
    extension_clear(&reader->extension);
    attributes_clear(reader);
    free(reader->attributes);
    free(reader->buffer);
    free(reader);
}

/* Reads more behind what is there; the caller has made room. Sets at_end at the end. */
static int fill(struct tar_reader *r, struct err *e)
{
    for (;;) {
        int64_t left_ms = r->deadline_ms - clock_now_ms();
        struct pollfd ready = {.fd = r->fd, .events = POLLIN};
        if (left_ms <= 0) {
            return err_set(e, "the files did not all come before the deadline");
        }
        int result = poll(&ready, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (result < 0 && errno != EINTR) {
            return err_errno(e, errno, "wait for files");
        }
        if (result <= 0) {
            continue;
        }
        ssize_t got = read(r->fd, r->buffer + r->end, BUFFER_SIZE - r->end);
        if (got < 0 && errno != EINTR && errno != EAGAIN) {
            return err_errno(e, errno, "read files");
        }
        if (got >= 0) {
            r->at_end = got == 0;
            r->end += (size_t)got;
            return 0;
        }
    }
}

/* Has at least COUNT bytes in the buffer (at most its size). */
static int need(struct tar_reader *r, size_t count, struct err *e)
{
    if (r->end - r->begin >= count) {
        return 0;
    }
    memmove(r->buffer, r->buffer + r->begin, r->end - r->begin);
    r->end -= r->begin;
    r->begin = 0;
    while (r->end < count) {
        if (fill(r, e) < 0) {
            return -1;
        }
        if (r->at_end) {
            return err_set(e, "the stream of files was cut off");
        }
    }
    return 0;
}

static int skip(struct tar_reader *r, int64_t count, struct err *e)
{
    while (count > 0) {
        if (need(r, 1, e) < 0) {
            return -1;
        }
        size_t there = r->end - r->begin;
        size_t piece = count < (int64_t)there ? (size_t)count : there;
        r->begin += piece;
        count -= (int64_t)piece;
    }
    return 0;
}

/* Octal, or base 256 when the first bit is set; -1 when it is neither. */
static int64_t number_at(const unsigned char *field, size_t length)
{
    int64_t value = 0;
    if ((field[0] & 0x80) != 0) {
        value = field[0] & 0x3f;
        for (size_t i = 1; i < length; i++) {
            if (value > (INT64_MAX >> 8)) {
                return -1;
            }
            value = value << 8 | field[i];
        }
        return (field[0] & 0x40) != 0 ? -1 : value;
    }
    size_t i = 0;
    while (i < length && field[i] == ' ') {
        i++;
    }
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++) {
        value = value * 8 + (field[i] - '0');
    }
    return i < length && field[i] != ' ' && field[i] != '\0' ? -1 : value;
}

static unsigned sum_of(const unsigned char *block)
{
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        sum += i >= AT_SUM && i < AT_SUM + 8 ? ' ' : block[i];
    }
    return sum;
}

static bool is_zero(const unsigned char *block)
{
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        if (block[i] != 0) {
            return false;
        }
    }
    return true;
}

static char *text_at(const unsigned char *field, size_t max)
{
    return xstrndup((const char *)field, strnlen((const char *)field, max));
}

/* "./a//b/" as "a/b"; NULL when a part is "..". */
static char *clean_path(const char *path)
{
    struct str clean = STR_NULL;
    while (*path != '\0') {
        size_t length = strcspn(path, "/");
        if (length == 2 && strncmp(path, "..", 2) == 0) {
            str_deinit(&clean);
            return NULL;
        }
        if (length > 0 && !(length == 1 && path[0] == '.')) {
            str_add(&clean, clean.length > 0 ? "/" : "");
            str_add_bytes(&clean, path, length);
        }
        path += length;
        path += *path == '/' ? 1 : 0;
    }
    return clean.text == NULL ? xstrdup("") : str_take(&clean);
}

static void add_attribute(struct tar_reader *r, const char *name, const unsigned char *value,
                          size_t length)
{
    static const char digits[] = "0123456789abcdef";
    struct str text = STR_NULL;
    str_add(&text, name);
    str_add_char(&text, '=');
    for (size_t i = 0; i < length; i++) {
        str_add_char(&text, digits[value[i] >> 4]);
        str_add_char(&text, digits[value[i] & 15]);
    }
    size_t i = xgrow((void **)&r->attributes, &r->attribute_count, &r->attribute_capacity,
                     sizeof(*r->attributes));
    r->attributes[i].text = str_take(&text);
}

static void take_record(struct tar_reader *r, const char *key, const char *value, size_t length)
{
    int64_t number;
    bool is_number = text_to_int(value, 0, INT64_MAX, &number);
    if (text_equal(key, "path")) {
        free(r->extension.path);
        r->extension.path = xstrdup(value);
    } else if (text_equal(key, "linkpath")) {
        free(r->extension.target);
        r->extension.target = xstrdup(value);
    } else if (text_equal(key, "size") && is_number) {
        r->extension.size_bytes = number;
    } else if (text_equal(key, "uid") && is_number) {
        r->extension.uid = number;
    } else if (text_equal(key, "gid") && is_number) {
        r->extension.gid = number;
    } else if (text_starts(key, XATTR_PREFIX) && !text_starts(key, XATTR_PREFIX "system.")) {
        /* Access control lists: squashfs has no place for them. */
        add_attribute(r, key + strlen(XATTR_PREFIX), (const unsigned char *)value, length);
    }
}

/* POSIX's records, "LENGTH KEY=VALUE\n" each. */
static int take_records(struct tar_reader *r, char *bytes, size_t length, struct err *e)
{
    size_t at = 0;
    while (at < length && bytes[at] != '\0') {
        char *space = memchr(bytes + at, ' ', length - at);
        int64_t size = 0;
        if (space != NULL) {
            *space = '\0';
        }
        if (space == NULL || !text_to_int(bytes + at, 5, (int64_t)(length - at), &size) ||
            bytes[at + (size_t)size - 1] != '\n') {
            return err_set(e, "the stream of files is damaged: an extended header");
        }
        char *end = bytes + at + size - 1;
        *end = '\0';
        char *equals = memchr(space + 1, '=', (size_t)(end - space - 1));
        if (equals == NULL) {
            return err_set(e, "the stream of files is damaged: an extended header without '='");
        }
        *equals = '\0';
        take_record(r, space + 1, equals + 1, (size_t)(end - equals - 1));
        at += (size_t)size;
    }
    return 0;
}

/* The body of an extension: kept raw, and understood. */
static int take_extension(struct tar_reader *r, char type, int64_t size, struct err *e)
{
    if (size < 0 || size > EXTENSION_MAX) {
        return err_set(e, "the stream of files is damaged: an extended header of %lld bytes",
                       (long long)size);
    }
    size_t length = (size_t)size;
    size_t whole = (length + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    struct str body = STR_NULL;
    while (body.length < whole) {
        if (need(r, TAR_BLOCK, e) < 0) {
            str_deinit(&body);
            return -1;
        }
        str_add_bytes(&body, r->buffer + r->begin, TAR_BLOCK);
        r->begin += TAR_BLOCK;
    }
    str_add_bytes(&r->entry.raw, body.text, body.length);
    int result = 0;
    char *text = xstrndup(str_text(&body), length);
    if (type == 'x') {
        /* Not text: attributes may hold a NUL. */
        result = length == 0 ? 0 : take_records(r, body.text, length, e);
    } else if (type == 'L') {
        free(r->extension.path);
        r->extension.path = xstrdup(text);
    } else if (type == 'K') {
        free(r->extension.target);
        r->extension.target = xstrdup(text);
    }
    free(text);
    str_deinit(&body);
    return result;
}

static char *header_path(const unsigned char *block)
{
    char *name = text_at(block + AT_NAME, 100);
    if (memcmp(block + AT_MAGIC, "ustar\0", 6) != 0 || block[AT_PREFIX] == '\0') {
        return name;
    }
    char *prefix = text_at(block + AT_PREFIX, 155);
    char *whole = xasprintf("%s/%s", prefix, name);
    free(prefix);
    free(name);
    return whole;
}

static int type_of(char flag, enum tar_type *ret_type)
{
    switch (flag) {
    case '\0':
    case '0':
    case '7': *ret_type = TAR_FILE; return 0;
    case '1': *ret_type = TAR_HARD_LINK; return 0;
    case '2': *ret_type = TAR_LINK; return 0;
    case '3': *ret_type = TAR_CHARACTER; return 0;
    case '4': *ret_type = TAR_BLOCK_DEVICE; return 0;
    case '5': *ret_type = TAR_DIRECTORY; return 0;
    case '6': *ret_type = TAR_FIFO; return 0;
    default: return -1;
    }
}

static int compare_attributes(const void *a, const void *b)
{
    return strcmp(((const struct attribute *)a)->text, ((const struct attribute *)b)->text);
}

static int take_names(struct tar_reader *r, const unsigned char *block, struct err *e)
{
    struct tar_entry *entry = &r->entry;
    char *path = r->extension.path != NULL ? xstrdup(r->extension.path) : header_path(block);
    char *target = r->extension.target != NULL ? xstrdup(r->extension.target)
                                               : text_at(block + AT_TARGET, 100);
    entry->path = clean_path(path);
    if (entry->type == TAR_LINK) {
        entry->target = xstrdup(target);
    } else if (entry->type == TAR_HARD_LINK) {
        entry->target = clean_path(target);
    }
    bool good = entry->path != NULL && (entry->type != TAR_HARD_LINK || entry->target != NULL);
    if (!good) {
        err_set(e, "the stream of files has a name that leads out of the tree: %s", path);
    }
    free(path);
    free(target);
    return good ? 0 : -1;
}

/* The header of an entry proper, after its extensions. */
static int take_header(struct tar_reader *r, const unsigned char *block, struct err *e)
{
    struct tar_entry *entry = &r->entry;
    const struct extension *x = &r->extension;
    if (type_of((char)block[AT_TYPE], &entry->type) < 0) {
        return err_set(e, "the stream of files has an entry of type '%c', which is not known",
                       block[AT_TYPE]);
    }
    int64_t mode = number_at(block + AT_MODE, 8);
    int64_t size = x->size_bytes >= 0 ? x->size_bytes : number_at(block + AT_SIZE, 12);
    entry->uid = x->uid >= 0 ? x->uid : number_at(block + AT_UID, 8);
    entry->gid = x->gid >= 0 ? x->gid : number_at(block + AT_GID, 8);
    if (mode < 0 || size < 0 || size > SIZE_MAX_TB || entry->uid < 0 || entry->gid < 0) {
        return err_set(e, "the stream of files is damaged: a header with a bad number");
    }
    /* Whoever reads this after us might take what follows for its content. */
    if (entry->type != TAR_FILE && size != 0) {
        return err_set(e, "the stream of files is damaged: content where there can be none");
    }
    entry->mode = (unsigned)mode & 07777;
    entry->size_bytes = size;
    entry->major = (unsigned)number_at(block + AT_MAJOR, 8);
    entry->minor = (unsigned)number_at(block + AT_MINOR, 8);
    if (r->attribute_count > 1) {
        qsort(r->attributes, r->attribute_count, sizeof(*r->attributes), compare_attributes);
    }
    for (size_t i = 0; i < r->attribute_count; i++) {
        str_addf(&entry->attributes, "%s\n", r->attributes[i].text);
    }
    r->left = entry->size_bytes;
    r->padding = (size_t)((TAR_BLOCK - entry->size_bytes % TAR_BLOCK) % TAR_BLOCK);
    return take_names(r, block, e);
}

/* Passes over what was not read of the entry before. */
static int end_entry(struct tar_reader *r, struct err *e)
{
    int64_t rest = r->left + (int64_t)r->padding;
    r->left = 0;
    r->padding = 0;
    entry_clear(&r->entry);
    extension_clear(&r->extension);
    attributes_clear(r);
    return skip(r, rest, e);
}

int tar_reader_next(struct tar_reader *r, const struct tar_entry **ret_entry, struct err *e)
{
    if (end_entry(r, e) < 0) {
        return -1;
    }
    for (;;) {
        if (need(r, TAR_BLOCK, e) < 0) {
            return -1;
        }
        unsigned char block[TAR_BLOCK];
        memcpy(block, r->buffer + r->begin, TAR_BLOCK);
        r->begin += TAR_BLOCK;
        if (is_zero(block)) {
            *ret_entry = NULL;
            return 0;
        }
        if (number_at(block + AT_SUM, 8) != (int64_t)sum_of(block)) {
            return err_set(e, "the stream of files is damaged: a header's checksum is wrong");
        }
        char type = (char)block[AT_TYPE];
        if (type != 'g') { /* Global ones say nothing of an entry. */
            str_add_bytes(&r->entry.raw, block, TAR_BLOCK);
        }
        if (type != 'x' && type != 'L' && type != 'K' && type != 'g') {
            *ret_entry = &r->entry;
            return take_header(r, block, e);
        }
        size_t kept = r->entry.raw.length;
        if (take_extension(r, type, number_at(block + AT_SIZE, 12), e) < 0) {
            return -1;
        }
        if (type == 'g') {
            r->entry.raw.length = kept;
        }
    }
}

int tar_reader_content(struct tar_reader *r, size_t max, const void **ret_bytes, size_t *ret_length,
                       struct err *e)
{
    *ret_length = 0;
    if (r->left == 0) {
        return 0;
    }
    /* As much as fits, for an entry that fits: its reader gets it in one piece. */
    size_t wanted = max < BUFFER_SIZE ? max : BUFFER_SIZE;
    wanted = r->left < (int64_t)wanted ? (size_t)r->left : wanted;
    if (need(r, wanted, e) < 0) {
        return -1;
    }
    *ret_bytes = r->buffer + r->begin;
    *ret_length = wanted;
    r->begin += wanted;
    r->left -= (int64_t)wanted;
    return 0;
}

int tar_reader_drain(struct tar_reader *r, struct err *e)
{
    while (!r->at_end) {
        r->begin = 0;
        r->end = 0;
        if (fill(r, e) < 0) {
            return -1;
        }
    }
    return 0;
}

static void add_header(struct str *s, const char *path, char type, unsigned mode, size_t size)
{
    char block[TAR_BLOCK] = {0};
    text_copy(block + AT_NAME, 100, path);
    snprintf(block + AT_MODE, 8, "%07o", mode & 07777);
    snprintf(block + AT_UID, 8, "%07o", 0u);
    snprintf(block + AT_GID, 8, "%07o", 0u);
    snprintf(block + AT_SIZE, 12, "%011o", (unsigned)size);
    snprintf(block + AT_SIZE + 12, 12, "%011o", 0u); /* Its time. */
    block[AT_TYPE] = type;
    memcpy(block + AT_MAGIC, "ustar\00000", 8);
    snprintf(block + AT_SUM, 8, "%06o", sum_of((unsigned char *)block));
    block[AT_SUM + 7] = ' ';
    str_add_bytes(s, block, sizeof(block));
}

void tar_add_file(struct str *s, const char *path, unsigned mode, const char *text)
{
    static const char zeros[TAR_BLOCK];
    size_t length = strlen(text);
    add_header(s, path, '0', mode, length);
    str_add_bytes(s, text, length);
    str_add_bytes(s, zeros, (TAR_BLOCK - length % TAR_BLOCK) % TAR_BLOCK);
}

void tar_add_directory(struct str *s, const char *path, unsigned mode)
{
    add_header(s, path, '5', mode, 0);
}
