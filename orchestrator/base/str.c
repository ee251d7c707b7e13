#include "base/str.h"

#include "base/err.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void str_deinit(struct str *s)
{
    free(s->text);
    *s = STR_NULL;
}

const char *str_text(const struct str *s)
{
    return s->text == NULL ? "" : s->text;
}

char *str_take(struct str *s)
{
    char *text = s->text == NULL ? xstrdup("") : s->text;
    *s = STR_NULL;
    return text;
}

void str_clear(struct str *s)
{
    s->length = 0;
    if (s->text != NULL) {
        s->text[0] = '\0';
    }
}

static void reserve(struct str *s, size_t more)
{
    size_t wanted = s->length + more + 1;
    if (wanted <= s->capacity) {
        return;
    }
    size_t capacity = s->capacity == 0 ? 64 : s->capacity;
    while (capacity < wanted) {
        capacity *= 2;
    }
    s->text = xrealloc(s->text, capacity, 1);
    s->capacity = capacity;
}

void str_add_bytes(struct str *s, const void *bytes, size_t length)
{
    reserve(s, length);
    if (length > 0) {
        memcpy(s->text + s->length, bytes, length);
    }
    s->length += length;
    s->text[s->length] = '\0';
}

void str_add(struct str *s, const char *text)
{
    str_add_bytes(s, text, strlen(text));
}

void str_add_char(struct str *s, char c)
{
    str_add_bytes(s, &c, 1);
}

void str_addf(struct str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length > 0) {
        reserve(s, (size_t)length);
        vsnprintf(s->text + s->length, (size_t)length + 1, format, again);
        s->length += (size_t)length;
    }
    va_end(again);
}

void str_drop(struct str *s, size_t count)
{
    if (s->text == NULL) {
        return;
    }
    if (count > s->length) {
        count = s->length;
    }
    memmove(s->text, s->text + count, s->length - count + 1);
    s->length -= count;
}

void str_trim(struct str *s)
{
    while (s->length > 0 && isspace((unsigned char)s->text[s->length - 1])) {
        s->text[--s->length] = '\0';
    }
    size_t start = 0;
    while (start < s->length && isspace((unsigned char)s->text[start])) {
        start++;
    }
    str_drop(s, start);
}

void str_add_shell(struct str *s, const char *text)
{
    str_add_char(s, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'') {
            str_add(s, "'\\''");
        } else {
            str_add_char(s, *p);
        }
    }
    str_add_char(s, '\'');
}

size_t text_utf8_length(const void *start, size_t left)
{
    const unsigned char *bytes = start;
    unsigned char c = bytes[0];
    size_t length = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (length == 0 || length > left) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if (c == 0xc2 && bytes[1] < 0xa0) {
        return 0; /* The C1 controls: some terminals take U+009B as an escape sequence. */
    }
    if ((c == 0xe0 && bytes[1] < 0xa0) || (c == 0xed && bytes[1] > 0x9f) ||
        (c == 0xf0 && bytes[1] < 0x90) || (c == 0xf4 && bytes[1] > 0x8f)) {
        return 0;
    }
    return length;
}

void str_add_printable(struct str *s, const void *bytes, size_t length, bool keep_lines)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < length;) {
        unsigned char c = p[i];
        size_t wide = 1;
        if (c >= 0x20 && c < 0x7f) {
            str_add_char(s, (char)c);
        } else if (c == '\t') {
            str_add_char(s, ' ');
        } else if (c == '\n') {
            str_add_char(s, keep_lines ? '\n' : ' ');
        } else if (c >= 0x80) {
            size_t sequence = text_utf8_length(p + i, length - i);
            if (sequence == 0) {
                str_add_char(s, '?');
            } else {
                str_add_bytes(s, p + i, sequence);
                wide = sequence;
            }
        }
        i += wide;
    }
}

int str_read_file(struct str *s, const char *path, size_t max, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, errno, "%s", path);
    }
    size_t start = s->length;
    char chunk[8192];
    ssize_t got;
    int result = 0;
    while ((got = read(fd, chunk, sizeof(chunk))) != 0) {
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            result = err_errno(e, errno, "%s", path);
            break;
        }
        if (s->length - start + (size_t)got > max) {
            result = err_set(e, "%s: larger than %zu bytes", path, max);
            break;
        }
        str_add_bytes(s, chunk, (size_t)got);
    }
    close(fd);
    return result;
}

bool text_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t length = strlen(text);
    size_t wanted = strlen(suffix);
    return length >= wanted && strcmp(text + length - wanted, suffix) == 0;
}

bool text_is_name(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 63 || text[0] == '-') {
        return false;
    }
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

bool text_to_int(const char *text, int64_t min, int64_t max, int64_t *ret_number)
{
    if (*text == '\0' || isspace((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    char *end;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < min || number > max) {
        return false;
    }
    *ret_number = number;
    return true;
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* LENGTH, less the start of a character that goes on behind it. */
static size_t whole_characters(const char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 3 && continues(text[start])) {
        start--;
    }
    size_t width = start < length ? text_utf8_length(text + start, length - start + 3) : 0;
    return start + width > length ? start : length;
}

size_t text_fit(const char *text, size_t length, size_t columns)
{
    for (size_t i = 0; i < length; i++) {
        if (!continues(text[i]) && columns-- == 0) {
            return i;
        }
    }
    return length;
}

void text_copy(char *ret_text, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    if (text[length] != '\0') {
        length = whole_characters(text, length);
    }
    memcpy(ret_text, text, length);
    ret_text[length] = '\0';
}

#define NEAREST_MAX 64

/* Optimal string alignment distance: insert, delete, replace, and swap of two neighbours. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t length_a = strnlen(a, NEAREST_MAX);
    size_t length_b = strnlen(b, NEAREST_MAX);
    for (size_t j = 0; j <= length_b; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= length_a; i++) {
        size_t *now = rows[i % 3];
        const size_t *before = rows[(i - 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            size_t best = before[j - 1] + cost;
            best = before[j] + 1 < best ? before[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                size_t swapped = rows[(i - 2) % 3][j - 2] + 1;
                best = swapped < best ? swapped : best;
            }
            now[j] = best;
        }
    }
    return rows[length_a % 3][length_b];
}

const char *text_nearest(const char *text, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t least = strlen(text) / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(text, words[i]);
        if (distance < least || (distance == least && nearest == NULL)) {
            least = distance;
            nearest = words[i];
        }
    }
    return nearest;
}
