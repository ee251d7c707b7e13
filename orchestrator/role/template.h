/*
 * Mustache over JSON: the whole specification (https://mustache.github.io) but lambdas, with two
 * additions for configuration files: escaping is the caller's, and strict mode makes an unknown
 * name an error instead of a silent gap.
 *
 * Where the specification leaves it open: empty text is false in a section; true and false print
 * as "yes" and "no".
 */
#ifndef ROLE_TEMPLATE_H
#define ROLE_TEMPLATE_H

#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct problem_list;

/* Where a tag stands; for messages. Borrowed. */
struct template_place {
    const char *file;
    unsigned line;
};

/* What a rendering works with; all of it borrowed for the duration of the call. */
struct template_env {
    const json_t *const *stack; /* Contexts, the innermost last; looked up from the end. */
    size_t depth;               /* At most TEMPLATE_DEPTH_MAX / 2. */
    bool strict;                /* An unknown name that is printed, or an unknown partial, is a
                                   problem; else it is nothing. */
    /* Adds one value to OUT, escaped unless RAW ({{{x}}}, {{&x}}). NULL: HTML escape. Returns
       false after it has added a problem. */
    bool (*add)(void *context, struct str *out, const char *value, bool raw,
                const struct template_place *place);
    /* The text of partial NAME and the file it comes from (both borrowed until the rendering
       ends), or NULL when there is none. May be NULL. */
    const char *(*partial)(void *context, const char *name, const char **ret_file);
    void *context; /* For the two. */
    struct problem_list *problems;
};

#define TEMPLATE_DEPTH_MAX  64          /* Contexts and partials inside one another. */
#define TEMPLATE_OUTPUT_MAX (16u << 20) /* Bytes; more is a problem. */

/*
 * Renders TEXT, which begins at LINE of FILE, to the end of OUT. Returns 0, or -1 after adding at
 * least one problem; OUT then holds a part.
 */
int template_render(const struct template_env *env, const char *text, const char *file,
                    unsigned line, struct str *out);

/* What a section takes for false: absent, null, false, an empty list, empty text. */
bool template_is_false(const json_t *value);

#endif
