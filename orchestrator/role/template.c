/*
 * Two steps: the text is parsed to a flat list of nodes (a section knows where it ends), then the
 * nodes are rendered against a stack of contexts. A tag that stands alone on its line takes the
 * line with it, as the specification wants; a partial that does so hands its indentation to each
 * line of what it includes, which is why partials are parsed when they are rendered.
 */
#include "role/template.h"

#include "base/mem.h"
#include "base/problem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum node_kind { NODE_TEXT, NODE_VALUE, NODE_RAW, NODE_SECTION, NODE_INVERTED, NODE_PARTIAL };

struct node {
    enum node_kind kind;
    const char *text; /* Literal text, or the tag's name; borrowed from the template. */
    size_t length;
    unsigned line;
    size_t end;         /* SECTION, INVERTED: index of the first node after it. */
    const char *indent; /* PARTIAL alone on its line: the white space before it. */
    size_t indent_length;
};

struct parser {
    const struct template_env *env;
    const char *file;
    const char *start; /* Of the template. */
    const char *at;    /* What is not parsed yet. */
    unsigned line;     /* Of AT. */
    char open[16];     /* The delimiters in force. */
    char close[16];
    struct node *nodes;
    size_t count;
    size_t capacity;
    size_t sections[TEMPLATE_DEPTH_MAX]; /* Indices of the sections that are open. */
    size_t section_count;
};

/* One tag as it was read. */
struct tag {
    char kind;        /* '#', '^', '/', '>', '!', '=', '{', '&', or 0 for a plain value. */
    const char *name; /* White space around it removed. */
    size_t length;
    const char *begin; /* Of the opening delimiter. */
    const char *end;   /* Behind the closing one. */
    unsigned line;
};

static struct node *add_node(struct parser *p, enum node_kind kind, const char *text, size_t length,
                             unsigned line)
{
    size_t i = xgrow((void **)&p->nodes, &p->count, &p->capacity, sizeof(*p->nodes));
    p->nodes[i].kind = kind;
    p->nodes[i].text = text;
    p->nodes[i].length = length;
    p->nodes[i].line = line;
    return &p->nodes[i];
}

static void add_text(struct parser *p, const char *from, const char *to)
{
    if (to > from) {
        add_node(p, NODE_TEXT, from, (size_t)(to - from), p->line);
    }
}

static unsigned count_lines(const char *from, const char *to)
{
    unsigned lines = 0;
    for (; from < to; from++) {
        lines += *from == '\n';
    }
    return lines;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && is_space(**text)) {
        (*text)++;
        (*length)--;
    }
    while (*length > 0 && is_space((*text)[*length - 1])) {
        (*length)--;
    }
}

/* Reads the tag that begins at BEGIN, which holds the opening delimiter. */
static int read_tag(struct parser *p, const char *begin, struct tag *tag)
{
    const char *name = begin + strlen(p->open);
    char closing[20];
    tag->begin = begin;
    tag->line = p->line;
    tag->kind = '\0';
    if (*name != '\0' && strchr("#^/>!={&", *name) != NULL) {
        tag->kind = *name++;
    }
    const char *before = tag->kind == '{' ? "}" : tag->kind == '=' ? "=" : "";
    text_copy(closing, sizeof(closing), before);
    text_copy(closing + strlen(before), sizeof(closing) - strlen(before), p->close);
    const char *end = strstr(name, closing);
    if (end == NULL) {
        problem_add(p->env->problems, p->file, tag->line, "'%s' without its '%s'", p->open,
                    closing);
        return -1;
    }
    tag->name = name;
    tag->length = (size_t)(end - name);
    tag->end = end + strlen(closing);
    trim(&tag->name, &tag->length);
    return 0;
}

/* Is the tag alone on its line? Then *ret_from and *ret_to are the line's limits. */
static bool stands_alone(const struct parser *p, const struct tag *tag, const char **ret_from,
                         const char **ret_to)
{
    const char *from = tag->begin;
    const char *to = tag->end;
    while (from > p->start && (from[-1] == ' ' || from[-1] == '\t')) {
        from--;
    }
    if (from > p->start && from[-1] != '\n') {
        return false;
    }
    while (*to == ' ' || *to == '\t') {
        to++;
    }
    if (*to == '\r' && to[1] == '\n') {
        to++;
    }
    if (*to != '\0' && *to != '\n') {
        return false;
    }
    *ret_from = from;
    *ret_to = *to == '\n' ? to + 1 : to;
    return true;
}

/* "{{=<% %>=}}" */
static int set_delimiters(struct parser *p, const struct tag *tag)
{
    const char *space = tag->name;
    const char *end = tag->name + tag->length;
    while (space < end && !is_space(*space)) {
        space++;
    }
    const char *second = space;
    while (second < end && is_space(*second)) {
        second++;
    }
    size_t first_length = (size_t)(space - tag->name);
    size_t second_length = (size_t)(end - second);
    bool bad = first_length == 0 || second_length == 0 || first_length >= sizeof(p->open) ||
               second_length >= sizeof(p->close) || memchr(second, ' ', second_length) != NULL ||
               memchr(tag->name, '=', tag->length) != NULL;
    if (bad) {
        problem_add(p->env->problems, p->file, tag->line,
                    "delimiters are set as in '{{=<%% %%>=}}', got '%.*s'", (int)tag->length,
                    tag->name);
        return -1;
    }
    memcpy(p->open, tag->name, first_length);
    p->open[first_length] = '\0';
    memcpy(p->close, second, second_length);
    p->close[second_length] = '\0';
    return 0;
}

static int open_section(struct parser *p, const struct tag *tag)
{
    if (p->section_count == TEMPLATE_DEPTH_MAX) {
        problem_add(p->env->problems, p->file, tag->line, "more than %d sections in one another",
                    TEMPLATE_DEPTH_MAX);
        return -1;
    }
    add_node(p, tag->kind == '#' ? NODE_SECTION : NODE_INVERTED, tag->name, tag->length, tag->line);
    p->sections[p->section_count++] = p->count - 1;
    return 0;
}

static int close_section(struct parser *p, const struct tag *tag)
{
    if (p->section_count == 0) {
        problem_add(p->env->problems, p->file, tag->line, "'{{/%.*s}}' closes no section",
                    (int)tag->length, tag->name);
        return -1;
    }
    struct node *node = &p->nodes[p->sections[--p->section_count]];
    if (node->length != tag->length || memcmp(node->text, tag->name, tag->length) != 0) {
        problem_add(p->env->problems, p->file, tag->line,
                    "'{{/%.*s}}' closes section '%.*s' of line %u", (int)tag->length, tag->name,
                    (int)node->length, node->text, node->line);
        return -1;
    }
    node->end = p->count;
    return 0;
}

/* Adds the node of a tag; LINE_FROM is the start of its line when it stands alone, else NULL. */
static int add_tag(struct parser *p, const struct tag *tag, const char *line_from)
{
    if (tag->length == 0 && tag->kind != '!') {
        problem_add(p->env->problems, p->file, tag->line, "a tag without a name");
        return -1;
    }
    switch (tag->kind) {
    case '!': return 0;
    case '=': return set_delimiters(p, tag);
    case '#':
    case '^': return open_section(p, tag);
    case '/': return close_section(p, tag);
    case '>': {
        struct node *node = add_node(p, NODE_PARTIAL, tag->name, tag->length, tag->line);
        node->indent = line_from;
        node->indent_length = line_from == NULL ? 0 : (size_t)(tag->begin - line_from);
        return 0;
    }
    default:
        add_node(p, tag->kind == '\0' ? NODE_VALUE : NODE_RAW, tag->name, tag->length, tag->line);
        return 0;
    }
}

static int parse(struct parser *p)
{
    for (;;) {
        const char *begin = strstr(p->at, p->open);
        if (begin == NULL) {
            add_text(p, p->at, p->at + strlen(p->at));
            break;
        }
        struct tag tag;
        const char *line_from = NULL;
        const char *text_end = begin;
        unsigned text_line = p->line;
        p->line += count_lines(p->at, begin);
        if (read_tag(p, begin, &tag) != 0) {
            return -1;
        }
        bool may_stand_alone = tag.kind != '\0' && tag.kind != '{' && tag.kind != '&';
        const char *next = tag.end;
        if (may_stand_alone && stands_alone(p, &tag, &line_from, &next)) {
            text_end = line_from;
        }
        unsigned tag_line = p->line;
        p->line = text_line;
        add_text(p, p->at, text_end);
        p->line = tag_line;
        if (add_tag(p, &tag, line_from) != 0) {
            return -1;
        }
        p->line += count_lines(begin, next);
        p->at = next;
    }
    if (p->section_count > 0) {
        const struct node *node = &p->nodes[p->sections[p->section_count - 1]];
        problem_add(p->env->problems, p->file, node->line, "section '%.*s' is never closed",
                    (int)node->length, node->text);
        return -1;
    }
    return 0;
}

/* The contexts of one rendering: the caller's, then what sections pushed. */
struct stack {
    const json_t *items[TEMPLATE_DEPTH_MAX];
    size_t count;
};

struct renderer {
    const struct template_env *env;
    struct stack stack;
    unsigned partial_depth;
    struct str *out;
};

static const json_t *member(const json_t *object, const char *name, size_t length)
{
    return json_is_object(object) ? json_object_getn(object, name, length) : NULL;
}

/*
 * Finds NAME ("a.b.c", "."). When a part is unknown, *ret_failed (may be NULL) is the index of the
 * part and *ret_scope the object that lacks it (NULL for the stack itself).
 */
static const json_t *look_up(const struct stack *stack, const char *name, size_t length,
                             const json_t **ret_scope)
{
    *ret_scope = NULL;
    if (length == 1 && name[0] == '.') {
        return stack->count > 0 ? stack->items[stack->count - 1] : NULL;
    }
    const char *dot = memchr(name, '.', length);
    size_t part = dot == NULL ? length : (size_t)(dot - name);
    const json_t *value = NULL;
    for (size_t i = stack->count; i > 0 && value == NULL; i--) {
        value = member(stack->items[i - 1], name, part);
    }
    while (value != NULL && dot != NULL) {
        size_t rest = length - (size_t)(dot + 1 - name);
        const char *next = dot + 1;
        dot = memchr(next, '.', rest);
        part = dot == NULL ? rest : (size_t)(dot - next);
        *ret_scope = value;
        value = member(value, next, part);
    }
    return value;
}

static void add_keys(const json_t *object, const char ***words, size_t *count, size_t *capacity)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = xgrow((void **)words, count, capacity, sizeof(**words));
        (*words)[i] = key;
    }
}

/* Tells of an unknown name, with the nearest one that exists in its place. */
static void report_unknown(const struct renderer *r, const struct node *node, const char *file,
                           const json_t *scope)
{
    const char **words = NULL;
    size_t count = 0;
    size_t capacity = 0;
    char *name = xstrndup(node->text, node->length);
    const char *wanted = name;
    if (scope != NULL) {
        const char *dot = strrchr(name, '.');
        wanted = dot == NULL ? name : dot + 1;
        add_keys(scope, &words, &count, &capacity);
    } else {
        char *dot = strchr(name, '.');
        if (dot != NULL) {
            *dot = '\0';
        }
        for (size_t i = r->stack.count; i > 0; i--) {
            add_keys(r->stack.items[i - 1], &words, &count, &capacity);
        }
    }
    const char *nearest = count == 0 ? NULL : text_nearest(wanted, words, count);
    if (nearest != NULL) {
        problem_add(r->env->problems, file, node->line,
                    "'%.*s': there is no '%s' here; did you mean '%s'?", (int)node->length,
                    node->text, wanted, nearest);
    } else {
        problem_add(r->env->problems, file, node->line, "'%.*s': there is no '%s' here",
                    (int)node->length, node->text, wanted);
    }
    free(words);
    free(name);
}

static void add_html(struct str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': str_add(out, "&amp;"); break;
        case '<': str_add(out, "&lt;"); break;
        case '>': str_add(out, "&gt;"); break;
        case '"': str_add(out, "&quot;"); break;
        default: str_add_char(out, *text); break;
        }
    }
}

static int add_value(struct renderer *r, const char *text, const struct node *node,
                     const char *file)
{
    bool raw = node->kind == NODE_RAW;
    if (r->env->add != NULL) {
        struct template_place place = {.file = file, .line = node->line};
        return r->env->add(r->env->context, r->out, text, raw, &place) ? 0 : -1;
    }
    if (raw) {
        str_add(r->out, text);
    } else {
        add_html(r->out, text);
    }
    return 0;
}

static int render_value(struct renderer *r, const struct node *node, const char *file)
{
    const json_t *scope;
    const json_t *value = look_up(&r->stack, node->text, node->length, &scope);
    char number[40];
    if (value == NULL) {
        if (r->env->strict) {
            report_unknown(r, node, file, scope);
            return -1;
        }
        return 0;
    }
    switch (json_typeof(value)) {
    case JSON_STRING: return add_value(r, json_string_value(value), node, file);
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return add_value(r, number, node, file);
    case JSON_REAL:
        snprintf(number, sizeof(number), "%.15g", json_real_value(value));
        return add_value(r, number, node, file);
    case JSON_TRUE: return add_value(r, "yes", node, file);
    case JSON_FALSE: return add_value(r, "no", node, file);
    case JSON_NULL: return 0;
    case JSON_OBJECT:
    case JSON_ARRAY: break;
    }
    if (r->env->strict) {
        problem_add(r->env->problems, file, node->line,
                    "'%.*s' is a %s and cannot be printed; use '{{#%.*s}}...{{/%.*s}}'",
                    (int)node->length, node->text, json_is_array(value) ? "list" : "group of names",
                    (int)node->length, node->text, (int)node->length, node->text);
        return -1;
    }
    return 0;
}

bool template_is_false(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static int render_nodes(struct renderer *r, const struct node *nodes, size_t from, size_t to,
                        const char *file);

static int render_pushed(struct renderer *r, const json_t *value, const struct node *nodes,
                         size_t index, const char *file)
{
    if (r->stack.count == TEMPLATE_DEPTH_MAX) {
        problem_add(r->env->problems, file, nodes[index].line, "sections too deep in one another");
        return -1;
    }
    r->stack.items[r->stack.count++] = value;
    int result = render_nodes(r, nodes, index + 1, nodes[index].end, file);
    r->stack.count--;
    return result;
}

static int render_section(struct renderer *r, const struct node *nodes, size_t index,
                          const char *file)
{
    const struct node *node = &nodes[index];
    const json_t *scope;
    const json_t *value = look_up(&r->stack, node->text, node->length, &scope);
    bool is_false = template_is_false(value);
    if (node->kind == NODE_INVERTED) {
        return is_false ? render_nodes(r, nodes, index + 1, node->end, file) : 0;
    }
    if (is_false) {
        return 0;
    }
    if (!json_is_array(value)) {
        return render_pushed(r, value, nodes, index, file);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (render_pushed(r, json_array_get(value, i), nodes, index, file) != 0) {
            return -1;
        }
    }
    return 0;
}

static int render_text(struct renderer *r, const char *text, const char *file, unsigned line);

/* TEXT with INDENT before each of its lines; the caller frees. */
static char *indented(const char *text, const char *indent, size_t indent_length)
{
    struct str result = STR_NULL;
    bool at_start = true;
    for (; *text != '\0'; text++) {
        if (at_start) {
            str_add_bytes(&result, indent, indent_length);
        }
        str_add_char(&result, *text);
        at_start = *text == '\n';
    }
    str_add(&result, "");
    return result.text != NULL ? str_take(&result) : xstrdup("");
}

static int render_partial(struct renderer *r, const struct node *node, const char *file)
{
    char *name = xstrndup(node->text, node->length);
    const char *partial_file = NULL;
    const char *text =
        r->env->partial == NULL ? NULL : r->env->partial(r->env->context, name, &partial_file);
    int result = 0;
    if (text == NULL) {
        if (r->env->strict) {
            problem_add(r->env->problems, file, node->line, "there is no partial '%s'", name);
            result = -1;
        }
    } else if (r->partial_depth == TEMPLATE_DEPTH_MAX / 2) {
        problem_add(r->env->problems, file, node->line, "partial '%s' includes itself", name);
        result = -1;
    } else {
        char *whole = indented(text, node->indent, node->indent_length);
        r->partial_depth++;
        result = render_text(r, whole, partial_file, 1);
        r->partial_depth--;
        free(whole);
    }
    free(name);
    return result;
}

static int render_nodes(struct renderer *r, const struct node *nodes, size_t from, size_t to,
                        const char *file)
{
    int result = 0;
    size_t i = from;
    while (i < to) {
        const struct node *node = &nodes[i];
        size_t next = i + 1;
        int one = 0;
        if (r->out->length > TEMPLATE_OUTPUT_MAX) {
            problem_add(r->env->problems, file, node->line, "the result is over %u MiB",
                        TEMPLATE_OUTPUT_MAX >> 20);
            return -1;
        }
        switch (node->kind) {
        case NODE_TEXT: str_add_bytes(r->out, node->text, node->length); break;
        case NODE_VALUE:
        case NODE_RAW: one = render_value(r, node, file); break;
        case NODE_SECTION:
        case NODE_INVERTED:
            one = render_section(r, nodes, i, file);
            next = node->end;
            break;
        case NODE_PARTIAL: one = render_partial(r, node, file); break;
        }
        result |= one;
        i = next;
    }
    return result;
}

static int render_text(struct renderer *r, const char *text, const char *file, unsigned line)
{
    struct parser p = {.env = r->env, .file = file, .start = text, .at = text, .line = line};
    text_copy(p.open, sizeof(p.open), "{{");
    text_copy(p.close, sizeof(p.close), "}}");
    int result = parse(&p);
    if (result == 0) {
        result = render_nodes(r, p.nodes, 0, p.count, file);
    }
    free(p.nodes);
    return result;
}

int template_render(const struct template_env *env, const char *text, const char *file,
                    unsigned line, struct str *out)
{
    assert(env->depth <= TEMPLATE_DEPTH_MAX / 2);
    struct renderer r = {.env = env, .out = out};
    for (size_t i = 0; i < env->depth; i++) {
        r.stack.items[r.stack.count++] = env->stack[i];
    }
    return render_text(&r, text, file, line);
}
