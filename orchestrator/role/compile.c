/*
 * Roles and variables to one script. The variables of each role are worked out in order, then its
 * resources; what the script looks at is collected on the way and becomes a few functions that ask
 * for all of it at once, because on the host a process costs more than everything else.
 */
#include "role/compiler.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "net/digest.h"
#include "role/prelude.h"

#include <stdlib.h>
#include <string.h>

void script_add_word(struct str *script, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./:@%+-,";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        str_add(script, text);
    } else {
        str_add_shell(script, text);
    }
}

void compile_need_section(struct compiler *c, const char *name)
{
    struct str word = STR_NULL;
    str_addf(&word, " %s ", name);
    if (strstr(str_text(&c->sections), str_text(&word)) == NULL) {
        str_add(&c->sections, str_text(&word));
    }
    str_deinit(&word);
}

static void say_unknown_handler(struct compiler *c, const char *name)
{
    const char **words = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < c->role_count; i++) {
        for (size_t h = 0; h < c->roles[i]->handler_count; h++) {
            size_t w = xgrow((void **)&words, &count, &capacity, sizeof(*words));
            words[w] = c->roles[i]->handlers[h].section->name;
        }
    }
    const char *nearest = text_nearest(name, words, count);
    compile_problem(c, "notify", "there is no handler '%s' among the host's roles%s%s%s", name,
                    nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                    nearest == NULL ? "" : "'?");
    free(words);
}

static const struct role *find_handler(const struct compiler *c, const char *name)
{
    if (role_find_handler(c->role, name) != NULL) {
        return c->role;
    }
    for (size_t i = 0; i < c->role_count; i++) {
        if (role_find_handler(c->roles[i], name) != NULL) {
            return c->roles[i];
        }
    }
    return NULL;
}

/* Adds " ROLE/HANDLER" for each handler to notify. */
static void add_notify(struct compiler *c, struct str *script)
{
    char **names;
    size_t count = role_words(compile_text(c, "notify", ""), ",\n", &names);
    for (size_t i = 0; i < count; i++) {
        const struct role *role = find_handler(c, names[i]);
        if (role == NULL) {
            say_unknown_handler(c, names[i]);
            continue;
        }
        struct str id = STR_NULL;
        str_addf(&id, "%s/%s", role->name, names[i]);
        str_add_char(script, ' ');
        script_add_word(script, str_text(&id));
        if (text_equal(c->section->type, "package")) {
            str_addf(&c->package_notify, "%s\n", str_text(&id));
        }
        str_deinit(&id);
    }
    role_words_free(names, count);
}

static void add_at(struct compiler *c, const char *label, const char *function)
{
    str_addf(&c->body, "\n%s %s %s ", function, c->role->name, c->section->type);
    script_add_word(&c->body, label);
}

void compile_begin(struct compiler *c, const char *label, const char *function)
{
    add_at(c, label, "ll_at");
    add_notify(c, &c->body);
    str_addf(&c->body, "\n%s", function);
    c->script->resource_count++;
}

void compile_arg(struct compiler *c, const char *text)
{
    str_add(&c->body, strchr(text, '\n') != NULL ? " \\\n" : " ");
    script_add_word(&c->body, text);
}

void compile_arg_number(struct compiler *c, int64_t number)
{
    str_addf(&c->body, " %lld", (long long)number);
}

void compile_arg_secret(struct compiler *c, const char *text)
{
    struct role_script *script = c->script;
    const char *escaped = compile_escaped(c, text);
    script->secrets = xrealloc(script->secrets, script->secret_count + 1, sizeof(*script->secrets));
    script->secrets[script->secret_count] = SECRET_NULL;
    secret_set(&script->secrets[script->secret_count++], escaped, strlen(escaped));
    str_addf(&c->body, " \"$ll_secret_%zu\"", script->secret_count);
}

void compile_end(struct compiler *c)
{
    str_add_char(&c->body, '\n');
}

void compile_look(struct compiler *c, const char *path, bool sum)
{
    str_add(&c->paths, " \\\n        ");
    script_add_word(&c->paths, path);
    if (sum) {
        str_add(&c->sums, " \\\n        ");
        script_add_word(&c->sums, path);
    }
}

void compile_blob(struct compiler *c, const struct role_source *source)
{
    struct role_script *script = c->script;
    for (size_t i = 0; i < script->blob_count; i++) {
        if (text_equal(script->blobs[i].digest, source->digest)) {
            return;
        }
    }
    script->blobs = xrealloc(script->blobs, script->blob_count + 1, sizeof(*script->blobs));
    struct role_blob *blob = &script->blobs[script->blob_count++];
    *blob = (struct role_blob){.path = xstrdup(source->path), .size_bytes = source->size_bytes};
    text_copy(blob->digest, sizeof(blob->digest), source->digest);
}

static bool is_wanted(struct compiler *c)
{
    const char *when = compile_text(c, "when", NULL);
    return when == NULL || !(when[0] == '\0' || text_equal(when, "no") ||
                             text_equal(when, "false") || text_equal(when, "0"));
}

static void add_resource(struct compiler *c, const struct role_resource *resource)
{
    c->section = resource->section;
    if (!is_wanted(c)) {
        add_at(c, compile_label(c), "ll_skip");
        str_add_char(&c->body, '\n');
        c->script->resource_count++;
        return;
    }
    compile_need_section(c, resource->type->section);
    resource->type->emit(c, resource->section);
}

static void add_handler(struct compiler *c, const struct role_resource *handler)
{
    struct str *body = &c->handlers;
    c->section = handler->section;
    str_addf(body, "ll_handler %s ", c->role->name);
    script_add_word(body, c->section->name);
    if (role_entry(c->section, "command") != NULL) {
        str_add(body, " command ");
        script_add_word(body, compile_command(c, "command", NULL));
    } else {
        const char *service = compile_text(c, "service", "");
        compile_check_word(c, "service", service, ":_.@-");
        str_add(body, " service ");
        script_add_word(body, compile_unit(c, service));
        str_add(body, compile_is(c, "action", "restart") ? " restart" : " reload");
    }
    str_add_char(body, '\n');
    c->script->resource_count++;
}

static void add_role(struct compiler *c, const struct role *role,
                     const struct role_setting *settings, size_t setting_count)
{
    c->role = role;
    compile_variables(c, settings, setting_count);
    str_addf(&c->body, "\n# --- role %s\n", role->name);
    for (size_t i = 0; i < role->resource_count; i++) {
        add_resource(c, &role->resources[i]);
    }
    for (size_t i = 0; i < role->handler_count; i++) {
        add_handler(c, &role->handlers[i]);
    }
    json_object_set_new(c->root, role->name, c->own);
    c->own = NULL;
}

static void add_gather(struct compiler *c, struct str *text)
{
    if (c->package_greps.length > 0) {
        str_addf(text, "ll_packages='%s'\nll_packages_notify=", str_text(&c->packages));
        str_add_shell(text, str_text(&c->package_notify));
        str_addf(text,
                 "\nll_gather_packages() {\n    ll_dpkg=$ll_nl$(grep -A3 -xF%s \\\n"
                 "        -e 'Status: install ok half-configured' "
                 "-e 'Status: install ok half-installed' \\\n"
                 "        -e 'Status: install ok unpacked' "
                 "-e 'Status: install reinstreq half-installed' \\\n"
                 "        -e 'Status: install ok triggers-pending' "
                 "-e 'Status: install ok triggers-awaited' \\\n"
                 "        \"$ll_root/var/lib/dpkg/status\" 2>/dev/null)$ll_nl\n}\n",
                 str_text(&c->package_greps));
    }
    if (c->settings.length > 0) {
        str_addf(text,
                 "ll_gather_settings() {\n    ll_settings=$ll_nl$(grep -Hs '' --%s)$ll_nl\n}\n",
                 str_text(&c->settings));
    }
    str_add(text, "ll_gather_files() {\n    ll_stats=$ll_nl");
    if (c->paths.length > 0) {
        str_addf(text,
                 "$(find%s \\\n        -maxdepth 0 -printf '%%p\\t%%y\\t%%l\\t%%m\\t%%u\\t"
                 "%%g\\n' 2>/dev/null)$ll_nl",
                 str_text(&c->paths));
    }
    str_add(text, "\n    ll_digests=$ll_nl");
    if (c->sums.length > 0) {
        str_addf(text, "$(sha256sum --%s 2>/dev/null)$ll_nl", str_text(&c->sums));
    }
    str_add(text, "\n}\n");
}

/*
 * The digest of all that decides the result; secrets only through it. The first HEAD_LENGTH bytes
 * of the script are the same for every host of these roles, and most of it.
 */
static void add_digest(struct role_library *library, struct role_script *script, size_t head_length)
{
    const char *text = str_text(&script->text);
    struct digest *digest = role_library_digest(library, text, head_length);
    digest_add(digest, text + head_length, script->text.length - head_length);
    for (size_t i = 0; i < script->secret_count; i++) {
        digest_add(digest, "\n", 1);
        digest_add(digest, script->secrets[i].bytes, script->secrets[i].length);
    }
    digest_finish(digest, script->digest);
}

static void assemble(struct compiler *c)
{
    struct str *text = &c->script->text;
    str_add(text, "# What this host should be, as Lamplighter would bring it about. Roles:");
    for (size_t i = 0; i < c->role_count; i++) {
        str_addf(text, " %s", c->roles[i]->name);
    }
    str_add(text, ".\n");
    prelude_add(text, str_text(&c->sections));
    size_t head_length = text->length;
    str_add(text, "\n# --- this host\n");
    add_gather(c, text);
    str_addf(text, "ll_begin %zu\n", c->script->secret_count);
    str_add_bytes(text, str_text(&c->body), c->body.length);
    str_add(text, "\n# --- handlers\n");
    str_add_bytes(text, str_text(&c->handlers), c->handlers.length);
    str_add(text, "ll_end\n");
    add_digest(c->library, c->script, head_length);
}

static void compiler_deinit(struct compiler *c)
{
    for (size_t i = 0; i < c->text_count; i++) {
        explicit_bzero(c->texts[i], strlen(c->texts[i])); /* It may be a rendered secret. */
        free(c->texts[i]);
    }
    for (size_t i = 0; i < c->known_count; i++) {
        secret_deinit(&c->known[i]);
    }
    free(c->texts);
    free(c->known);
    free(c->roles);
    str_deinit(&c->body);
    str_deinit(&c->handlers);
    str_deinit(&c->paths);
    str_deinit(&c->sums);
    str_deinit(&c->packages);
    str_deinit(&c->package_greps);
    str_deinit(&c->package_notify);
    str_deinit(&c->settings);
    str_deinit(&c->sections);
    json_decref(c->root);
}

static bool has_required(struct role_library *library, const struct role *role)
{
    for (size_t i = 0; i < role->require_count; i++) {
        if (role_library_find(library, role->required[i]) == NULL) {
            return false;
        }
    }
    return true;
}

int role_compile(struct role_library *library, const char *const *roles, size_t role_count,
                 const struct role_setting *settings, size_t setting_count, const json_t *context,
                 struct role_script *ret_script, struct problem_list *problems)
{
    size_t before = problems->count;
    size_t capacity = 0;
    bool good = true;
    struct role_script script = {.text = STR_NULL};
    struct compiler c = {.library = library, .problems = problems, .script = &script};
    compile_context(&c, context);
    for (size_t i = 0; i < role_count; i++) {
        if (role_library_find(library, roles[i]) == NULL) {
            problem_add(problems, NULL, 0, "role '%s' is not loaded", roles[i]);
        }
        role_library_order(library, roles[i], &c.roles, &c.role_count, &capacity);
    }
    for (size_t i = 0; i < c.role_count; i++) {
        good = good && c.roles[i]->good && has_required(library, c.roles[i]);
        add_role(&c, c.roles[i], settings, setting_count);
    }
    assemble(&c);
    compiler_deinit(&c);
    if (problems->count != before || !good) {
        role_script_deinit(&script);
        return -1;
    }
    *ret_script = script;
    return 0;
}
