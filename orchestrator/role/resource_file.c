/* [file] [directory] [link] [line]: what lies on the host's disk. */
#include "role/compiler.h"

#include "base/mem.h"
#include "base/problem.h"
#include "net/digest.h"

#include <stdlib.h>
#include <string.h>

/* Larger contents are sent only when the host asks for them. */
#define INLINE_BYTES_MAX ((size_t)64 * 1024)

#define STATE                                                                                      \
    {                                                                                              \
        "state", KEY_WORDS, "present absent"                                                       \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, KEY_TEXT, NULL                                                                       \
    }

static const struct role_key file_keys[] = {
    {"path", KEY_TEXT, NULL},
    {"template", KEY_TEXT, NULL},
    {"source", KEY_TEXT, NULL},
    {"content", KEY_SECRET, NULL},
    STATE,
    {"owner", KEY_TEXT, NULL},
    {"group", KEY_TEXT, NULL},
    {"mode", KEY_MODE, NULL},
    {"escape", KEY_WORDS, "none html php sql ini shell haproxy"},
    {"validate", KEY_COMMAND, NULL},
    END};

static const struct role_key directory_keys[] = {
    {"path", KEY_TEXT, NULL}, STATE, {"owner", KEY_TEXT, NULL}, {"group", KEY_TEXT, NULL},
    {"mode", KEY_MODE, NULL}, END};

static const struct role_key link_keys[] = {{"path", KEY_TEXT, NULL},
                                            {"target", KEY_TEXT, NULL},
                                            STATE,
                                            {"force", KEY_WORDS, "yes no"},
                                            END};

static const struct role_key line_keys[] = {
    {"path", KEY_TEXT, NULL},        {"line", KEY_TEXT, NULL},
    {"match", KEY_TEXT, NULL},       STATE,
    {"create", KEY_WORDS, "yes no"}, END};

/* What a [file] is to hold. */
struct content {
    const char *text; /* NULL: a blob. */
    size_t length;
    bool secret;
    const struct role_source *source;
};

static void add_owner(struct compiler *c)
{
    const char *owner = compile_text(c, "owner", "root");
    const char *group = compile_text(c, "group", "root");
    compile_check_word(c, "owner", owner, "_.-");
    compile_check_word(c, "group", group, "_.-");
    compile_arg(c, owner);
    compile_arg(c, group);
}

static void take_source(struct compiler *c, struct content *content)
{
    const struct ini_entry *entry = role_entry(c->section, "source");
    const char *name = compile_text(c, "source", "");
    if (name[0] == '\0' || name[0] == '/' || strstr(name, "..") != NULL) {
        compile_problem(c, "source", "expected the name of a file in files/, got '%s'", name);
        return;
    }
    struct str path = STR_NULL;
    str_addf(&path, "%s/files/%s", c->role->directory, name);
    const char *file = compile_keep(c, &path);
    const struct str *bytes =
        role_library_text(c->library, file, entry->file, entry->line, c->problems);
    if (bytes == NULL) {
        return;
    }
    if (bytes->length <= INLINE_BYTES_MAX && memchr(str_text(bytes), '\0', bytes->length) == NULL) {
        content->text = str_text(bytes);
        content->length = bytes->length;
        return;
    }
    content->source =
        role_library_source(c->library, file, false, entry->file, entry->line, c->problems);
}

static struct content take_content(struct compiler *c)
{
    struct content content = {.text = ""};
    enum escape escape = ESCAPE_NONE;
    const char *name = compile_text(c, "escape", "none");
    int given = (role_entry(c->section, "template") != NULL) +
                (role_entry(c->section, "source") != NULL) +
                (role_entry(c->section, "content") != NULL);
    if (given != 1) {
        compile_problem(c, NULL, "[file]: exactly one of template, source and content is needed");
        return content;
    }
    if (escape_from_string(name, &escape) != 0) {
        compile_problem(c, "escape", "there is no escape '%s'", name);
    }
    if (role_entry(c->section, "source") != NULL) {
        take_source(c, &content);
        return content;
    }
    if (role_entry(c->section, "template") != NULL) {
        const char *text = compile_template(c, "template", compile_text(c, "template", ""), escape,
                                            &content.secret);
        content.text = text == NULL ? "" : text;
    } else {
        struct str text = STR_NULL;
        str_addf(&text, "%s\n", compile_secret_text(c, "content", escape, &content.secret));
        content.text = compile_keep(c, &text);
    }
    content.length = strlen(content.text);
    return content;
}

static void add_content(struct compiler *c, const struct content *content)
{
    char digest[DIGEST_TEXT_SIZE];
    if (content->source != NULL) {
        compile_arg(c, content->source->digest);
        compile_arg(c, "blob");
        compile_arg_number(c, content->source->size_bytes);
        compile_blob(c, content->source);
    } else if (content->secret) {
        compile_arg(c, "-");
        compile_arg(c, "secret");
        compile_arg_secret(c, content->text);
    } else {
        digest_text(content->text, content->length, digest);
        compile_arg(c, digest);
        compile_arg(c, "text");
        compile_arg(c, content->text);
    }
}

static void emit_file(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const char *path = compile_path(c);
    if (compile_is(c, "state", "absent")) {
        compile_begin(c, path, "ll_file_absent");
        compile_arg(c, path);
        compile_end(c);
        return;
    }
    struct content content = take_content(c);
    compile_begin(c, path, "ll_file");
    compile_arg(c, path);
    add_owner(c);
    compile_arg(c, compile_mode(c, "644"));
    add_content(c, &content);
    compile_arg(c, compile_command(c, "validate", "\"$1\""));
    compile_end(c);
    compile_look(c, path, !content.secret);
}

static void emit_directory(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const char *path = compile_path(c);
    bool absent = compile_is(c, "state", "absent");
    compile_begin(c, path, absent ? "ll_directory_absent" : "ll_directory");
    compile_arg(c, path);
    if (!absent) {
        add_owner(c);
        compile_arg(c, compile_mode(c, "755"));
        compile_look(c, path, false);
    }
    compile_end(c);
}

static void emit_link(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const char *path = compile_path(c);
    if (compile_is(c, "state", "absent")) {
        compile_begin(c, path, "ll_link_absent");
        compile_arg(c, path);
        compile_end(c);
        return;
    }
    if (role_entry(c->section, "target") == NULL && role_entry(c->section, "state") == NULL) {
        return; /* Told when the role was read. */
    }
    const char *target = compile_text(c, "target", "");
    if (target[0] == '\0' || target[0] == '-' || strpbrk(target, "\n\t") != NULL) {
        compile_problem(c, "target", "expected where the link points, got '%s'", target);
    }
    compile_begin(c, path, "ll_link");
    compile_arg(c, path);
    compile_arg(c, target);
    compile_arg(c, compile_is_yes(c, "force") ? "yes" : "no");
    compile_end(c);
    compile_look(c, path, false);
}

static void emit_line(struct compiler *c, const struct ini_section *section)
{
    (void)section;
    const char *path = compile_path(c);
    const char *line = compile_text(c, "line", "");
    const char *match = compile_text(c, "match", "");
    bool absent = compile_is(c, "state", "absent");
    if (strchr(line, '\n') != NULL || strchr(match, '\n') != NULL) {
        compile_problem(c, "line", "one line only");
    }
    if (line[0] == '\0' && (!absent || match[0] == '\0')) {
        compile_problem(c, "line", "what the line is to be is missing");
    }
    compile_begin(c, path, "ll_line_in");
    compile_arg(c, path);
    compile_arg(c, line);
    compile_arg(c, match);
    compile_arg(c, absent ? "absent" : "present");
    compile_arg(c, compile_is_yes(c, "create") ? "yes" : "no");
    compile_end(c);
}

const struct role_resource_type role_file_types[] = {
    {.name = "file",
     .section = "file",
     .keys = file_keys,
     .any_of = "template source content state",
     .label_is_path = true,
     .emit = emit_file},
    {.name = "directory",
     .section = "file",
     .keys = directory_keys,
     .label_is_path = true,
     .emit = emit_directory},
    {.name = "link",
     .section = "file",
     .keys = link_keys,
     .any_of = "target state",
     .label_is_path = true,
     .emit = emit_link},
    {.name = "line",
     .section = "line",
     .keys = line_keys,
     .required = "path",
     .any_of = "line match",
     .emit = emit_line},
    {.name = NULL},
};
