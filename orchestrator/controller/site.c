#include "controller/site.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/process.h"
#include "controller/template_version.h"
#include "frontend/frontend.h"
#include "net/ssh_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_PREFIX     "secret:"
#define KEYGEN_LIMIT_MS   30000
#define PUBLIC_KEY_MAX    16384
#define STICKY_KEY_LENGTH 32

/* SETTING must name a role that is loaded, one of its variables, and a value of its type. */
static void check_setting(struct site *site, const struct spec_setting *setting,
                          struct problem_list *problems)
{
    const char *nearest = NULL;
    const struct role_variable *variable =
        role_library_variable(site->library, setting->role, setting->variable, &nearest);
    if (variable == NULL) {
        problem_add(problems, setting->place.file, setting->place.line,
                    "%s.%s: no such variable in the roles used%s%s%s", setting->role,
                    setting->variable, nearest == NULL ? "" : "; did you mean '",
                    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
        return;
    }
    if (text_starts(setting->value, SECRET_PREFIX)) {
        const char *name = setting->value + strlen(SECRET_PREFIX);
        if (spec_find_secret(site->spec, name) == SPEC_NONE) {
            problem_add(problems, setting->place.file, setting->place.line,
                        "%s.%s: no [secret %s] in the cluster file", setting->role,
                        setting->variable, name);
        }
        return;
    }
    if (variable->secret) {
        problem_add(problems, setting->place.file, setting->place.line,
                    "%s.%s: this is a secret; keep it in a file of its own: [secret NAME], and "
                    "here secret:NAME",
                    setting->role, setting->variable);
        return;
    }
    const char *expected = role_variable_check(variable, setting->value);
    if (expected != NULL) {
        problem_add(problems, setting->place.file, setting->place.line,
                    "%s.%s: expected %s, got '%s'", setting->role, setting->variable, expected,
                    setting->value);
    }
}

static void check_settings(struct site *site, const struct spec_setting_list *settings,
                           struct problem_list *problems)
{
    for (size_t i = 0; i < settings->count; i++) {
        check_setting(site, &settings->items[i], problems);
    }
}

/* A value is a template; the user's script is none, so its delimiters become something unheard of.
 */
#define USER_DATA_VERBATIM "{{=<!lamplighter lamplighter!>=}}"

void site_roles(const struct site *site, const struct site_recipe *recipe, const char ***ret_names,
                size_t *ret_count)
{
    const struct spec_template *t = &site->spec->templates[recipe->kept];
    const char **names = xcalloc(t->roles.count + 1, sizeof(*names));
    size_t count = 0;
    for (size_t i = 0; i < t->roles.count; i++) {
        names[count++] = t->roles.items[i];
    }
    if (site->spec->templates[recipe->made].user_data != NULL) {
        names[count++] = SITE_USER_DATA_ROLE;
    }
    *ret_names = names;
    *ret_count = count;
}

/* The roles of TEMPLATE into the library, its script as a setting. */
static void load_template(struct site *site, size_t template, struct problem_list *problems)
{
    const struct spec_template *t = &site->spec->templates[template];
    const struct site_recipe recipe = {.kept = template, .made = template};
    const char **names;
    size_t count;
    site_roles(site, &recipe, &names, &count);
    role_library_load(site->library, names, count, t->place.file, t->place.line, problems);
    free(names);
    if (t->user_data != NULL) {
        site->user_data[template] = xasprintf(USER_DATA_VERBATIM "%s", t->user_data);
    }
}

static void load_roles(struct site *site, struct problem_list *problems)
{
    const struct spec *spec = site->spec;
    site->library =
        role_library_new((const char *const *)spec->role_path.items, spec->role_path.count);
    site->user_data = xcalloc(spec->template_count, sizeof(char *));
    for (size_t i = 0; i < spec->template_count; i++) {
        load_template(site, i, problems);
    }
    check_settings(site, &spec->settings, problems);
    for (size_t i = 0; i < spec->template_count; i++) {
        check_settings(site, &spec->templates[i].settings, problems);
    }
    for (size_t i = 0; i < spec->group_count; i++) {
        check_settings(site, &spec->groups[i].settings, problems);
    }
}

size_t site_take_version(struct site *site, const struct template_version *version,
                         struct problem_list *problems)
{
    struct spec *spec = site->spec;
    size_t like = spec_find_template(spec, version->record.name);
    struct spec_place place = like == SPEC_NONE ? spec->place : spec->templates[like].place;
    struct spec_template template;
    struct spec_size size;
    bool sized;
    size_t index = spec->template_count;
    if (!template_version_to_spec(version, place, &template, &size, &sized)) {
        problem_add(problems, place.file, place.line,
                    "version %u of template %s was written by a newer Lamplighter",
                    version->record.number, version->record.name);
    }
    template.added = true;
    template.size = sized ? spec->size_count : SPEC_NONE;
    spec->sizes = xrealloc(spec->sizes, spec->size_count + 1, sizeof(*spec->sizes));
    spec->sizes[spec->size_count++] = size;
    spec->templates = xrealloc(spec->templates, index + 1, sizeof(*spec->templates));
    spec->templates[spec->template_count++] = template;
    site->user_data = xrealloc(site->user_data, index + 1, sizeof(*site->user_data));
    site->user_data[index] = NULL;
    size_t before = problems->count;
    load_template(site, index, problems);
    if (problems->count == before) {
        check_settings(site, &spec->templates[index].settings, problems);
    }
    return index;
}

int site_load(struct site *ret_site, const char *path, struct problem_list *problems)
{
    struct site site = {.path = xstrdup(path)};
    size_t before = problems->count;
    if (spec_load(path, &site.spec, problems) == 0) {
        load_roles(&site, problems);
    }
    if (problems->count > before) {
        problem_list_sort(problems);
        site_deinit(&site);
        return -1;
    }
    site.secrets = xcalloc(site.spec->secret_count, sizeof(*site.secrets));
    const char *key_file = site.spec->login.key_file;
    site.login_key_file = xcopy(key_file);
    *ret_site = site;
    return 0;
}

void site_deinit(struct site *site)
{
    if (site->secrets != NULL) {
        for (size_t i = 0; i < site->spec->secret_count; i++) {
            secret_deinit(&site->secrets[i]);
        }
    }
    free(site->secrets);
    for (size_t i = 0; site->user_data != NULL && i < site->spec->template_count; i++) {
        free(site->user_data[i]);
    }
    free(site->user_data);
    role_library_free(site->library);
    spec_free(site->spec);
    free(site->path);
    free(site->login_key_file);
    free(site->login_key);
    secret_deinit(&site->sticky_key);
    *site = (struct site){.path = NULL};
}

/* Makes every directory above PATH, mode 0700. */
static int make_parents(const char *path, struct err *e)
{
    char *copy = xstrdup(path);
    int result = 0;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && result == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            result = err_errno(e, errno, "make directory %s", copy);
        }
        *slash = '/';
    }
    free(copy);
    return result;
}

static int make_secret(struct secret *secret, const char *path, size_t length, struct err *e)
{
    if (make_parents(path, e) != 0) {
        return -1;
    }
    secret_generate(secret, length);
    return secret_write_file(secret, path, e);
}

/* Made under another name first, so that a kill in the middle leaves no half key. */
static int make_login_key(const char *path, struct err *e)
{
    if (make_parents(path, e) != 0) {
        return -1;
    }
    char *fresh = xasprintf("%s.new", path);
    char *fresh_public = xasprintf("%s.new.pub", path);
    char *public = xasprintf("%s.pub", path);
    unlink(fresh);
    unlink(fresh_public);
    const char *const argv[] = {"/usr/bin/ssh-keygen", "-q", "-t",  "ed25519", "-N", "", "-C",
                                "lamplighter",         "-f", fresh, NULL};
    int result = process_run(argv, clock_now_ms() + KEYGEN_LIMIT_MS, NULL, e);
    if (result == 0 && (rename(fresh_public, public) != 0 || rename(fresh, path) != 0)) {
        result = err_errno(e, errno, "%s", path);
    }
    free(fresh);
    free(fresh_public);
    free(public);
    return result == 0 ? 0 : err_wrap(e, "make the login key %s", path);
}

/* The public line: PATH.pub, or asked of ssh-keygen when the user gave only the private part. */
static int read_public_key(const char *path, char **ret_line, struct err *e)
{
    char *public = xasprintf("%s.pub", path);
    struct str line = STR_NULL;
    int result = 0;
    if (access(public, R_OK) == 0) {
        result = str_read_file(&line, public, PUBLIC_KEY_MAX, e);
    } else {
        const char *const argv[] = {"/usr/bin/ssh-keygen", "-y", "-P", "", "-f", path, NULL};
        char *output = NULL;
        result = process_run(argv, clock_now_ms() + KEYGEN_LIMIT_MS, &output, e);
        if (result == 0) {
            str_add(&line, output);
        }
        free(output);
    }
    free(public);
    str_trim(&line);
    if (result == 0) {
        *ret_line = str_take(&line);
    }
    str_deinit(&line);
    return result;
}

static int unlock_login_key(struct site *site, bool make, struct err *e)
{
    const char *path = site->login_key_file;
    struct stat st;
    if (path == NULL) {
        return 0;
    }
    if (stat(path, &st) != 0) {
        bool ours = text_starts(path, site->spec->state_dir);
        if (!make && ours) {
            return 0;
        }
        if (!ours) {
            return err_errno(e, errno, "key %s", path);
        }
        if (make_login_key(path, e) != 0) {
            return -1;
        }
    } else if (!site->spec->login.use_agent && ssh_key_file_check(path, e) != 0) {
        return -1; /* Said once here, not once for each host. With an agent, its keys may do. */
    }
    return read_public_key(path, &site->login_key, e);
}

static bool has_sticky_pool(const struct spec *spec)
{
    for (size_t i = 0; i < spec->pool_count; i++) {
        if (spec->pools[i].sticky) {
            return true;
        }
    }
    return false;
}

static int read_sticky_key(struct secret *key, const char *path, struct err *e)
{
    if (secret_read_file(key, path, e) != 0) {
        return -1;
    }
    return frontend_cookie_key_is_good((const char *)key->bytes)
               ? 0
               : err_set(e,
                         "%s: expected 16 to 64 letters and digits; remove the file, and one is "
                         "made",
                         path);
}

static int unlock_sticky_key(struct site *site, bool make, struct err *e)
{
    /* Not the one that will be made, but as good to be rendered with. */
    static const char later[STICKY_KEY_LENGTH + 1] = "00000000000000000000000000000000";
    if (!has_sticky_pool(site->spec)) {
        return 0;
    }
    char *path = xasprintf("%s/keys/sticky", site->spec->state_dir);
    int result = 0;
    if (access(path, F_OK) == 0 || errno != ENOENT) {
        result = read_sticky_key(&site->sticky_key, path, e);
    } else if (make) {
        result = make_secret(&site->sticky_key, path, STICKY_KEY_LENGTH, e);
    } else {
        secret_set(&site->sticky_key, later, STICKY_KEY_LENGTH);
    }
    free(path);
    return result == 0 ? 0 : err_wrap(e, "the key of sticky pools' cookies");
}

int site_unlock(struct site *site, bool make, struct err *e)
{
    for (size_t i = 0; i < site->spec->secret_count; i++) {
        const struct spec_secret *spec = &site->spec->secrets[i];
        bool absent = access(spec->path, F_OK) != 0 && errno == ENOENT;
        int result = 0;
        if (!absent) {
            result = secret_read_file(&site->secrets[i], spec->path, e);
        } else if (spec->generate == 0) {
            result = err_set(e, "%s: no such file", spec->path);
        } else if (make) {
            result = make_secret(&site->secrets[i], spec->path, spec->generate, e);
        } else {
            secret_set(&site->secrets[i], "made-later", 10);
        }
        if (result != 0) {
            return err_wrap(e, "[secret %s]", spec->name);
        }
    }
    if (unlock_sticky_key(site, make, e) != 0) {
        return -1;
    }
    return unlock_login_key(site, make, e);
}

static void add_setting(const struct site *site, const struct spec_setting *setting,
                        struct role_setting *settings, size_t *count)
{
    struct role_setting one = {.role = setting->role,
                               .variable = setting->variable,
                               .value = setting->value,
                               .file = setting->place.file,
                               .line = setting->place.line};
    if (text_starts(setting->value, SECRET_PREFIX)) {
        size_t index = spec_find_secret(site->spec, setting->value + strlen(SECRET_PREFIX));
        one.secret = index == SPEC_NONE ? NULL : &site->secrets[index];
        one.value = NULL;
    }
    for (size_t i = 0; i < *count; i++) {
        if (text_equal(settings[i].role, one.role) &&
            text_equal(settings[i].variable, one.variable)) {
            settings[i] = one;
            return;
        }
    }
    settings[(*count)++] = one;
}

void site_settings(const struct site *site, const struct site_recipe *recipe,
                   struct role_setting **ret_settings, size_t *ret_count)
{
    const struct spec *spec = site->spec;
    const struct spec_setting_list *lists[] = {&spec->settings,
                                               &spec->templates[recipe->kept].settings,
                                               &spec->groups[recipe->group].settings};
    struct role_setting *settings =
        xcalloc(lists[0]->count + lists[1]->count + lists[2]->count + 1, sizeof(*settings));
    size_t count = 0;
    for (size_t l = 0; l < 3; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            add_setting(site, &lists[l]->items[i], settings, &count);
        }
    }
    const struct spec_template *made = &spec->templates[recipe->made];
    if (made->user_data != NULL) {
        settings[count++] = (struct role_setting){.role = SITE_USER_DATA_ROLE,
                                                  .variable = "script",
                                                  .value = site->user_data[recipe->made],
                                                  .file = made->place.file,
                                                  .line = made->place.line};
    }
    *ret_settings = settings;
    *ret_count = count;
}
