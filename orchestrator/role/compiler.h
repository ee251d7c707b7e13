/*
 * One compilation: internal to the role room. compile.c drives it and puts the script together,
 * compile_variable.c makes what templates see, compile_value.c the values of a section; the
 * resource_*.c files add their resources through these functions. After a problem everything goes
 * on with whatever there is, so that all problems are found; the script is then thrown away.
 *
 * Texts handed out are borrowed and live as long as the compilation.
 */
#ifndef ROLE_COMPILER_H
#define ROLE_COMPILER_H

#include "role/escape.h"
#include "role/model.h"

struct compiler {
    struct role_library *library;
    struct role **roles; /* In order. */
    size_t role_count;
    const struct role *role; /* At hand. */
    json_t *root;            /* What every template sees: the context, and roles by name. */
    json_t *own;             /* The variables of the role at hand. */
    struct problem_list *problems;
    struct role_script *script;
    const struct ini_section *section; /* At hand. */

    struct str body; /* Resources. */
    struct str handlers;
    struct str paths;          /* Quoted, for the one look at all paths. */
    struct str sums;           /* Those of them whose content is compared. */
    struct str packages;       /* Names wanted. */
    struct str package_greps;  /* -e options for all names asked for. */
    struct str settings;       /* Files of kernel settings. */
    struct str package_notify; /* Handlers of all packages. */
    struct str sections;       /* Parts of the prelude needed, each as " NAME ". */

    char **texts; /* Owned; see above. */
    size_t text_count;
    size_t text_capacity;
    struct secret *known; /* Values of secret variables; templates see a marker for each. */
    size_t known_count;
    size_t known_capacity;
};

/* Adds a problem at the entry KEY of the section at hand, or at its header. */
void compile_problem(struct compiler *c, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define COMPILE_MARKER '\x01' /* Begins the marker of a secret: no other value can hold it. */

/* What templates see of the host; and of the role at hand. */
void compile_context(struct compiler *c, const json_t *context);
void compile_variables(struct compiler *c, const struct role_setting *settings, size_t count);

/* Renders TEXT, which begins at LINE of FILE; "" after a problem. */
const char *compile_render(struct compiler *c, const char *text, const char *file, unsigned line,
                           enum escape escape, bool *ret_secret);
/* The value of KEY, rendered; OTHERWISE (may be NULL) when the section has none. */
const char *compile_text(struct compiler *c, const char *key, const char *otherwise);
/* The same for a command: values are shell words. "%s" becomes ARGUMENT when that is not NULL. */
const char *compile_command(struct compiler *c, const char *key, const char *argument);
/* The same where secrets are allowed. RET_SECRET tells whether there was one. */
const char *compile_secret_text(struct compiler *c, const char *key, enum escape escape,
                                bool *ret_secret);
/* A whole template file of the role. NULL after a problem. */
const char *compile_template(struct compiler *c, const char *key, const char *name,
                             enum escape escape, bool *ret_secret);
/* The rendered name of the section at hand. */
const char *compile_label(struct compiler *c);
/* Key `path`, or the label: an absolute path without surprises; "/" after a problem. */
const char *compile_path(struct compiler *c);
/* Is PATH an absolute one without surprises? Adds a problem for KEY if not. */
bool compile_check_path(struct compiler *c, const char *key, const char *path);
/* Checks that TEXT holds nothing but letters, digits and EXTRA, begins with no hyphen, is not
 * empty. */
bool compile_check_word(struct compiler *c, const char *key, const char *text, const char *extra);
bool compile_is_yes(struct compiler *c, const char *key);
bool compile_is(struct compiler *c, const char *key, const char *word);
const char *compile_mode(struct compiler *c, const char *otherwise); /* "644", as stat prints it. */
int64_t compile_duration_ms(struct compiler *c, const char *key, int64_t otherwise);
int64_t compile_number(struct compiler *c, const char *key, int64_t otherwise);

/* Keeps TEXT (taken over) for the compilation. */
const char *compile_keep(struct compiler *c, struct str *text);
/* NAME as systemd names its units: "apache2" is "apache2.service". */
const char *compile_unit(struct compiler *c, const char *name);
/* TEXT in the form printf's %b understands, in plain ASCII. */
const char *compile_escaped(struct compiler *c, const char *text);

/* TEXT (a secret, or a form of one) is struck out of whatever a report says. */
void compile_hide(struct compiler *c, const char *text, size_t length);

/* The script: "ll_at ROLE TYPE LABEL HANDLERS", then FUNCTION and its arguments. */
void compile_begin(struct compiler *c, const char *label, const char *function);
void compile_arg(struct compiler *c, const char *text);
void compile_arg_number(struct compiler *c, int64_t number);
/* TEXT travels on standard input; the script gets the variable it is read into. */
void compile_arg_secret(struct compiler *c, const char *text);
void compile_end(struct compiler *c);
/* Says that the script looks at PATH, and (SUM) at its content. */
void compile_look(struct compiler *c, const char *path, bool sum);
void compile_need_section(struct compiler *c, const char *name);
/* Adds a blob to send on demand. */
void compile_blob(struct compiler *c, const struct role_source *source);

/* One word of a shell, quoted only when it must be. */
void script_add_word(struct str *script, const char *text);

#endif
