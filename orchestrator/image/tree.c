#include "image/tree.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void tree_deinit(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->lines[i]);
    }
    free(tree->lines);
    *tree = TREE_NULL;
}

/* Control characters, space and backslash as \ooo: a line stays one line. */
static void add_escaped(struct str *s, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= 0x20 || c == 0x7f || c == '\\') {
            str_addf(s, "\\%03o", c);
        } else {
            str_add_char(s, *text);
        }
    }
}

static void add_line(struct tree *tree, struct str *line)
{
    size_t i = xgrow((void **)&tree->lines, &tree->count, &tree->capacity, sizeof(*tree->lines));
    tree->lines[i] = str_take(line);
}

static char letter_of(enum tar_type type)
{
    switch (type) {
    case TAR_FILE:
    case TAR_HARD_LINK: return 'f';
    case TAR_DIRECTORY: return 'd';
    case TAR_LINK: return 'l';
    case TAR_CHARACTER: return 'c';
    case TAR_BLOCK_DEVICE: return 'b';
    case TAR_FIFO: return 'p';
    }
    return '?';
}

/* What a line says after its path; NULL when no line has it. The newest first: links are near. */
static const char *find(const struct tree *tree, const char *escaped)
{
    size_t length = strlen(escaped);
    for (size_t i = tree->count; i > 0; i--) {
        const char *line = tree->lines[i - 1];
        if (strncmp(line, escaped, length) == 0 && line[length] == '\t') {
            return line + length + 1;
        }
    }
    return NULL;
}

static int add_hard_link(struct tree *tree, const struct tar_entry *entry)
{
    struct str target = STR_NULL;
    struct str line = STR_NULL;
    add_escaped(&target, entry->target);
    const char *rest = find(tree, str_text(&target));
    if (rest != NULL) {
        add_escaped(&line, entry->path);
        str_addf(&line, "\t%s", rest);
        add_line(tree, &line);
    }
    str_deinit(&target);
    str_deinit(&line);
    return rest == NULL ? -1 : 0;
}

int tree_add(struct tree *tree, const struct tar_entry *entry, const char *content)
{
    if (entry->type == TAR_HARD_LINK) {
        return add_hard_link(tree, entry);
    }
    struct str line = STR_NULL;
    add_escaped(&line, entry->path);
    /* A link's own mode means nothing, and file systems differ in it. */
    str_addf(&line, "\t%c %o %lld %lld", letter_of(entry->type),
             entry->type == TAR_LINK ? 0777 : entry->mode, (long long)entry->uid,
             (long long)entry->gid);
    if (entry->type == TAR_FILE) {
        str_addf(&line, " %lld %s", (long long)entry->size_bytes, content);
        tree->bytes += entry->size_bytes;
    } else if (entry->type == TAR_LINK) {
        str_add_char(&line, ' ');
        add_escaped(&line, entry->target);
    } else if (entry->type == TAR_CHARACTER || entry->type == TAR_BLOCK_DEVICE) {
        str_addf(&line, " %u:%u", entry->major, entry->minor);
    }
    if (entry->attributes.length > 0) {
        char digest[DIGEST_TEXT_SIZE];
        digest_text(str_text(&entry->attributes), entry->attributes.length, digest);
        str_addf(&line, " attributes:%s", digest);
    }
    add_line(tree, &line);
    return 0;
}

/* By path: the tab behind it is below every byte a path can have. */
static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void tree_finish(struct tree *tree, struct str *ret_text, char ret_digest[DIGEST_TEXT_SIZE])
{
    if (tree->count > 1) {
        qsort(tree->lines, tree->count, sizeof(*tree->lines), compare_lines);
    }
    size_t begin = ret_text->length;
    for (size_t i = 0; i < tree->count; i++) {
        str_add(ret_text, tree->lines[i]);
        str_add_char(ret_text, '\n');
    }
    digest_text(str_text(ret_text) + begin, ret_text->length - begin, ret_digest);
}

int tree_parse(struct tree *ret_tree, const char *text, struct err *e)
{
    struct tree tree = TREE_NULL;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        const char *tab = memchr(text, '\t', length);
        if (tab == NULL || text[length] != '\n') {
            tree_deinit(&tree);
            return err_set(e, "a list of files is damaged: '%.*s'",
                           (int)(length < 100 ? length : 100), text);
        }
        size_t i = xgrow((void **)&tree.lines, &tree.count, &tree.capacity, sizeof(*tree.lines));
        tree.lines[i] = xstrndup(text, length);
        text += length + 1;
    }
    *ret_tree = tree;
    return 0;
}

static int compare_paths(const char *a, const char *b)
{
    size_t a_length = strcspn(a, "\t");
    size_t b_length = strcspn(b, "\t");
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : a_length < b_length ? -1 : a_length > b_length ? 1 : 0;
}

static const char *rest_of(const char *line)
{
    return line + strcspn(line, "\t") + 1;
}

void tree_compare(const struct tree *before, const struct tree *now,
                  void (*on_change)(void *context, enum tree_change change, const char *path,
                                    const char *was, const char *is),
                  void *context)
{
    size_t b = 0;
    size_t n = 0;
    while (b < before->count || n < now->count) {
        int order = b == before->count ? 1
                    : n == now->count  ? -1
                                       : compare_paths(before->lines[b], now->lines[n]);
        const char *line = order <= 0 ? before->lines[b] : now->lines[n];
        const char *was = order <= 0 ? rest_of(before->lines[b]) : NULL;
        const char *is = order >= 0 ? rest_of(now->lines[n]) : NULL;
        if (order != 0 || !text_equal(was, is)) {
            char *path = xstrndup(line, strcspn(line, "\t"));
            on_change(context,
                      order > 0   ? TREE_ADDED
                      : order < 0 ? TREE_REMOVED
                                  : TREE_CHANGED,
                      path, was, is);
            free(path);
        }
        b += order <= 0 ? 1 : 0;
        n += order >= 0 ? 1 : 0;
    }
}
