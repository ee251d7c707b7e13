/* One key's value into the member it is about: a function for each kind of value. */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "spec/load.h"
#include "spec/value.h"

#include <stdlib.h>
#include <string.h>

/* What a setter is given. */
struct input {
    struct load *load;
    const struct key *key;
    const struct ini_entry *entry; /* NULL for a default. */
    const char *text;
    char *field; /* The member. */
};

/* What the user may have meant with a value of KEY; NULL when nothing comes to mind. */
static char *suggest(const struct key *key, const char *text)
{
    static const char *const yes[] = {"true", "on", "1", "y", "Yes", "YES", "True"};
    const char *word = NULL;
    size_t count = 0;
    bool digits = *text != '\0' && strspn(text, "0123456789") == strlen(text);
    switch (key->type) {
    case KEY_PERCENT: return digits ? xasprintf("%.20s%%", text) : NULL;
    /* 0 needs no unit. */
    case KEY_DURATION: return digits && *text != '0' ? xasprintf("%.20ss", text) : NULL;
    case KEY_SIZE: return digits && *text != '0' ? xasprintf("%.20sM", text) : NULL;
    case KEY_YESNO:
        for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
            word = text_equal(text, yes[i]) ? "yes" : word;
        }
        return xstrdup(word == NULL ? "no" : word);
    case KEY_CHOICE:
    case KEY_WORD:
        while (key->words[count] != NULL) {
            count++;
        }
        word = text_nearest(text, key->words, count);
        return xcopy(word);
    case KEY_SCRIPT:
        return strpbrk(text, " \t\n") == NULL && *text != '\0' ? xasprintf("@%.60s", text) : NULL;
    case KEY_LISTEN: return digits ? xasprintf("http:%.20s", text) : NULL;
    case KEY_STATE:
        return strchr(text, ':') == NULL && *text != '\0' ? xasprintf("sqlite:%.60s", text) : NULL;
    case KEY_COUNT:
    case KEY_TEXT:
    case KEY_LINE:
    case KEY_NAME:
    case KEY_USER:
    case KEY_URI:
    case KEY_PATH:
    case KEY_PATH_NONE:
    case KEY_PATHS:
    case KEY_NAMES:
    case KEY_REFERENCE:
    case KEY_REFERENCES:
    case KEY_JUMP:
    case KEY_ADDRESS:
    case KEY_ADDRESSES:
    case KEY_HOST_NAME:
    case KEY_HOST_KEY:
    case KEY_CHECK:
    case KEY_ROUTE: break;
    }
    return NULL;
}

/* "expected X, got 'Y'", with a hint where there is one. */
static int refuse(const struct input *in, struct err *e)
{
    struct str expected = STR_NULL;
    key_add_expected(in->key, &expected);
    char *meant = suggest(in->key, in->text);
    const char *hint = "";
    if (strstr(in->text, " #") != NULL) {
        hint = "; a comment after a value begins with ' ;'";
    } else if (strchr(in->text, '\n') != NULL) {
        hint = "; a line that is indented deeper than its key belongs to the value before it";
    }
    if (*in->text == '\0') {
        err_set(e, "expected %s, got nothing", str_text(&expected));
    } else {
        err_set(e, "expected %s, got '%.60s'%s%s%s%s", str_text(&expected), in->text, hint,
                meant == NULL ? "" : "; did you mean '", meant == NULL ? "" : meant,
                meant == NULL ? "" : "'?");
    }
    free(meant);
    str_deinit(&expected);
    return -1;
}

static int set_number(const struct input *in, bool (*parse)(const char *, int64_t *), struct err *e)
{
    int64_t number;
    if (!parse(in->text, &number) || number < in->key->min || number > in->key->max) {
        return refuse(in, e);
    }
    *(int64_t *)(void *)in->field = number;
    return 0;
}

static int set_count(const struct input *in, bool percent, struct err *e)
{
    int64_t number;
    bool good = percent ? value_percent(in->text, &number)
                        : text_to_int(in->text, in->key->min, in->key->max, &number);
    if (!good || number < in->key->min || number > in->key->max) {
        return refuse(in, e);
    }
    *(unsigned *)(void *)in->field = (unsigned)number;
    return 0;
}

/* Takes TEXT over into the member. */
static int set_text(const struct input *in, char *text)
{
    char **field = (void *)in->field;
    free(*field);
    *field = text;
    return 0;
}

static int set_text_if(const struct input *in, bool good, struct err *e)
{
    return good ? set_text(in, xstrdup(in->text)) : refuse(in, e);
}

/* The index of the text among the key's words; -1 when it is none. */
static int choose(const struct input *in)
{
    for (int i = 0; in->key->words[i] != NULL; i++) {
        if (text_equal(in->key->words[i], in->text)) {
            return i;
        }
    }
    return -1;
}

static int set_choice(const struct input *in, struct err *e)
{
    int choice = choose(in);
    if (choice < 0) {
        return refuse(in, e);
    }
    *(unsigned *)(void *)in->field = (unsigned)choice;
    return 0;
}

static int set_word(const struct input *in, struct err *e)
{
    if (choose(in) < 0) {
        return refuse(in, e);
    }
    return set_text(in, text_equal(in->text, "none") ? NULL : xstrdup(in->text));
}

static int set_yesno(const struct input *in, struct err *e)
{
    return value_yesno(in->text, (bool *)(void *)in->field) ? 0 : refuse(in, e);
}

static int check_path(const struct input *in, const char *path, struct err *e)
{
    if (*path == '~') {
        return err_set(e, "'~' is not expanded; write the whole path instead of '%.60s'", path);
    }
    if (*path == '\0' || strchr(path, '\n') != NULL || strlen(path) > 2048) {
        return refuse(in, e);
    }
    return 0;
}

static const char *file_of(const struct input *in)
{
    return in->entry == NULL ? "/" : in->entry->file;
}

static int set_path(const struct input *in, struct err *e)
{
    if (in->key->type == KEY_PATH_NONE && text_equal(in->text, "none")) {
        return set_text(in, NULL);
    }
    if (check_path(in, in->text, e) != 0) {
        return -1;
    }
    return set_text(in, load_path(file_of(in), in->text));
}

static int set_state(const struct input *in, struct err *e)
{
    struct spec *spec = (struct spec *)(void *)(in->field - offsetof(struct spec, state_path));
    const char *path = in->text + strlen("sqlite:");
    if (!text_starts(in->text, "sqlite:") || *path == '\0' || text_ends(path, "/")) {
        return refuse(in, e);
    }
    if (check_path(in, path, e) != 0) {
        return -1;
    }
    set_text(in, load_path(file_of(in), path));
    free(spec->state_dir);
    const char *slash = strrchr(spec->state_path, '/');
    size_t length = (size_t)(slash - spec->state_path);
    spec->state_dir = xstrndup(spec->state_path, length == 0 ? 1 : length);
    return 0;
}

static void clear_words(struct spec_word_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    list->count = 0;
}

/* The next word of *AT, for the caller to free; NULL at the end. */
static char *next_word(const char **at)
{
    *at += strspn(*at, " \t\n");
    size_t length = strcspn(*at, " \t\n");
    const char *word = *at;
    *at += length;
    return length == 0 ? NULL : xstrndup(word, length);
}

static int add_word(const struct input *in, struct spec_word_list *list, char *word, struct err *e)
{
    if (in->key->type == KEY_PATHS) {
        if (check_path(in, word, e) != 0) {
            free(word);
            return -1;
        }
        char *path = load_path(file_of(in), word);
        free(word);
        word = path;
    } else if (!text_is_name(word)) {
        err_set(e, "expected a name of letters a-z, digits and hyphens, got '%.60s'", word);
        free(word);
        return -1;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (text_equal(list->items[i], word)) {
            err_set(e, "'%.60s' stands twice", word);
            free(word);
            return -1;
        }
    }
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = word;
    return 0;
}

static int set_words(const struct input *in, struct err *e)
{
    struct spec_word_list *list = (void *)in->field;
    const char *at = in->text;
    char *word;
    clear_words(list);
    while ((word = next_word(&at)) != NULL) {
        if (add_word(in, list, word, e) != 0) {
            return -1;
        }
    }
    return list->count == 0 ? refuse(in, e) : 0;
}

static int set_script(const struct input *in, struct err *e)
{
    if (!text_starts(in->text, "#!")) {
        bool file = in->entry != NULL && *in->entry->value == '@';
        return file ? err_set(e, "%.200s: expected a script: its first line begins with #!",
                              in->entry->value)
                    : refuse(in, e);
    }
    return set_text(in,
                    text_ends(in->text, "\n") ? xstrdup(in->text) : xasprintf("%s\n", in->text));
}

static int set_reference(const struct input *in, struct err *e)
{
    if (*in->text == '\0') {
        return refuse(in, e);
    }
    return load_find(in->load, in->key->refers, in->text, (size_t *)(void *)in->field, e);
}

static int set_references(const struct input *in, struct err *e)
{
    struct spec_index_list *list = (void *)in->field;
    const char *at = in->text;
    char *word;
    int result = 0;
    while (result == 0 && (word = next_word(&at)) != NULL) {
        size_t index;
        result = load_find(in->load, in->key->refers, word, &index, e);
        if (result == 0 && !spec_index_list_add(list, index)) {
            result = err_set(e, "'%.60s' stands twice", word);
        }
        free(word);
    }
    return result == 0 && list->count == 0 ? refuse(in, e) : result;
}

static int set_jump(const struct input *in, struct err *e)
{
    size_t host;
    if (text_equal(in->text, "none")) {
        return set_text(in, xstrdup(""));
    }
    if (strpbrk(in->text, "@:.") != NULL) {
        return err_set(e,
                       "expected the name of a [host], which has address, user and host-key, got "
                       "'%.60s'",
                       in->text);
    }
    if (*in->text == '\0') {
        return refuse(in, e);
    }
    if (load_find(in->load, SECTION_HOST, in->text, &host, e) != 0) {
        return -1;
    }
    return set_text(in, xstrdup(in->text));
}

static int set_address(const struct input *in, struct err *e)
{
    return value_address(in->text, (uint32_t *)(void *)in->field) ? 0 : refuse(in, e);
}

static int set_addresses(const struct input *in, struct err *e)
{
    size_t before = offsetof(struct spec_zone, address_first);
    struct spec_zone *zone = (struct spec_zone *)(void *)(in->field - before);
    return *in->text == '\0' ? refuse(in, e) : value_addresses(in->text, zone, e);
}

static int set_host_key(const struct input *in, struct err *e)
{
    char *key = value_host_key(in->text);
    if (key != NULL) {
        return set_text(in, key);
    }
    const char *ed25519 = strstr(in->text, "ssh-ed25519 ");
    if (ed25519 != NULL && ed25519 != in->text) {
        return err_set(e,
                       "expected SHA256:FINGERPRINT or ssh-ed25519 KEY, got '%.30s...'; leave out "
                       "what stands before 'ssh-ed25519'",
                       in->text);
    }
    if (text_starts(in->text, "ssh-rsa") || text_starts(in->text, "ecdsa-")) {
        return err_set(e, "expected the host's ed25519 key, got '%.30s...'", in->text);
    }
    return refuse(in, e);
}

static int set_check(const struct input *in, struct err *e)
{
    return *in->text == '\0' ? refuse(in, e)
                             : value_check(in->text, (struct spec_check *)(void *)in->field, e);
}

static struct spec_place place_of(const struct input *in)
{
    return (struct spec_place){.file = in->entry->file, .line = in->entry->line};
}

static int add_listener(const struct input *in, struct err *e)
{
    size_t before = offsetof(struct spec_frontend, listeners);
    struct spec_frontend *f = (struct spec_frontend *)(void *)(in->field - before);
    int64_t port;
    if (!text_starts(in->text, "http:") ||
        !text_to_int(in->text + strlen("http:"), 1, 65535, &port)) {
        return refuse(in, e);
    }
    f->listeners = xrealloc(f->listeners, f->listener_count + 1, sizeof(*f->listeners));
    f->listeners[f->listener_count++] = (struct spec_listener){
        .type = SPEC_LISTENER_HTTP, .port = (unsigned)port, .place = place_of(in)};
    return 0;
}

static int add_route(const struct input *in, struct err *e)
{
    size_t before = offsetof(struct spec_frontend, routes);
    struct spec_frontend *f = (struct spec_frontend *)(void *)(in->field - before);
    const char *at = in->text;
    char *path = next_word(&at);
    char *arrow = next_word(&at);
    char *pool = next_word(&at);
    char *more = next_word(&at);
    size_t index;
    int result = 0;
    if (pool == NULL || more != NULL || !text_equal(arrow, "->")) {
        result = refuse(in, e);
    } else if (!value_is_url_path(path, false)) {
        result = err_set(e, "expected a path such as /shop before '->', got '%.60s'", path);
    } else {
        result = load_find(in->load, SECTION_POOL, pool, &index, e);
    }
    if (result == 0) {
        f->routes = xrealloc(f->routes, f->route_count + 1, sizeof(*f->routes));
        f->routes[f->route_count++] =
            (struct spec_route){.path = path, .pool = index, .place = place_of(in)};
        path = NULL;
    }
    free(path);
    free(arrow);
    free(pool);
    free(more);
    return result;
}

/* Words that a later version will know; of "https:443 ..." the part before the ':'. */
static bool is_later(const struct key *key, const char *text)
{
    for (size_t i = 0; key->later != NULL && key->later[i] != NULL; i++) {
        size_t length = strlen(key->later[i]);
        if (text_starts(text, key->later[i]) && (text[length] == ':' || text[length] == '\0')) {
            return true;
        }
    }
    return false;
}

int load_set(struct load *load, const struct load_section *section, const struct key *key,
             const struct ini_entry *entry, const char *text, struct err *e)
{
    struct input in = {.load = load,
                       .key = key,
                       .entry = entry,
                       .text = text,
                       .field = (char *)section->object + key->offset};
    if (is_later(key, text)) {
        return err_set(e, "'%.60s' is not yet known to this version", text);
    }
    switch (key->type) {
    case KEY_COUNT: return set_count(&in, false, e);
    case KEY_PERCENT: return set_count(&in, true, e);
    case KEY_SIZE: return set_number(&in, value_size, e);
    case KEY_DURATION: return set_number(&in, value_duration, e);
    case KEY_YESNO: return set_yesno(&in, e);
    case KEY_CHOICE: return set_choice(&in, e);
    case KEY_WORD: return set_word(&in, e);
    case KEY_LINE: return set_text_if(&in, value_is_line(text, (size_t)key->max), e);
    case KEY_TEXT: return set_text_if(&in, value_is_word(text, (size_t)key->max), e);
    case KEY_NAME: return set_text_if(&in, text_is_name(text), e);
    case KEY_USER: return set_text_if(&in, value_is_user(text), e);
    case KEY_URI: return set_text_if(&in, text_equal(text, "lxc:///"), e);
    case KEY_PATH:
    case KEY_PATH_NONE: return set_path(&in, e);
    case KEY_PATHS:
    case KEY_NAMES: return set_words(&in, e);
    case KEY_STATE: return set_state(&in, e);
    case KEY_SCRIPT: return set_script(&in, e);
    case KEY_REFERENCE: return set_reference(&in, e);
    case KEY_REFERENCES: return set_references(&in, e);
    case KEY_JUMP: return set_jump(&in, e);
    case KEY_ADDRESS: return set_address(&in, e);
    case KEY_ADDRESSES: return set_addresses(&in, e);
    case KEY_HOST_NAME: return set_text_if(&in, value_is_host_name(text), e);
    case KEY_HOST_KEY: return set_host_key(&in, e);
    case KEY_CHECK: return set_check(&in, e);
    case KEY_LISTEN: return add_listener(&in, e);
    case KEY_ROUTE: return add_route(&in, e);
    }
    return -1;
}
