#include "image/sieve.h"

#include "base/err.h"
#include "base/mem.h"
#include "image/identity.h"
#include "image/seal.h"
#include "image/tar.h"
#include "image/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file up to this size is judged as a whole before any of it goes on. */
#define WHOLE_MAX    ((size_t)1024 * 1024)
#define PIECE        ((size_t)128 * 1024)
#define OUTPUT_PIECE ((size_t)256 * 1024)
#define STATUS_MAX   ((size_t)64 * 1024 * 1024)
#define SECRET_MIN   8   /* Shorter ones occur by chance. */
#define SECRET_SEEN  128 /* So much of a long one is enough to know it by. */

#define DPKG_STATUS "var/lib/dpkg/status"
#define OS_RELEASE  "usr/lib/os-release"

struct sieve {
    const struct sieve_config *config;
    struct sieve_result *result;
    struct tar_reader *reader;
    struct tree tree;
    struct str output; /* What is to be written next. */
    struct str kept;   /* DPKG_STATUS or OS_RELEASE while it passes. */
    bool has_machine_id;
    bool has_identity_place; /* IDENTITY_DIRECTORY. */
};

void sieve_result_deinit(struct sieve_result *result)
{
    str_deinit(&result->tree);
    json_decref(result->packages);
    json_decref(result->left_out);
    free(result->release);
    free(result->architecture);
    for (size_t i = 0; i < result->finding_count; i++) {
        free(result->findings[i].path);
        free(result->findings[i].reason);
    }
    *result = SIEVE_RESULT_NULL;
}

static char *printable(const char *path)
{
    struct str text = STR_NULL;
    str_add_char(&text, '/');
    str_add_printable(&text, path, strlen(path), false);
    return str_take(&text);
}

static void find(struct sieve *s, const char *path, const char *reason)
{
    struct sieve_result *r = s->result;
    if (r->finding_count < SIEVE_FINDING_MAX) {
        r->findings[r->finding_count++] =
            (struct sieve_finding){.path = printable(path), .reason = xstrdup(reason)};
    }
}

static int flush(struct sieve *s, struct err *e)
{
    size_t done = 0;
    while (s->config->output >= 0 && done < s->output.length) {
        ssize_t put = write(s->config->output, s->output.text + done, s->output.length - done);
        if (put < 0 && errno != EINTR) {
            return err_errno(e, errno, "hand files on to the image");
        }
        done += put > 0 ? (size_t)put : 0;
    }
    str_clear(&s->output);
    return 0;
}

/* Nothing more goes out once there is a finding: no image will come of it. */
static int pass_on(struct sieve *s, const void *bytes, size_t length, struct err *e)
{
    if (s->config->output < 0 || s->result->finding_count > 0) {
        return 0;
    }
    str_add_bytes(&s->output, bytes, length);
    return s->output.length >= OUTPUT_PIECE ? flush(s, e) : 0;
}

static int pass_padding(struct sieve *s, int64_t size_bytes, struct err *e)
{
    static const char zeros[TAR_BLOCK];
    size_t rest = (size_t)(size_bytes % TAR_BLOCK);
    return rest == 0 ? 0 : pass_on(s, zeros, TAR_BLOCK - rest, e);
}

static const char *secret_in(const struct sieve *s, const void *bytes, size_t length)
{
    for (size_t i = 0; i < s->config->secret_count; i++) {
        const struct secret *value = &s->config->secrets[i].value;
        size_t seen = value->length < SECRET_SEEN ? value->length : SECRET_SEEN;
        if (seen >= SECRET_MIN && memmem(bytes, length, value->bytes, seen) != NULL) {
            return s->config->secrets[i].name;
        }
    }
    return NULL;
}

static void leave_out(struct sieve *s, const char *path)
{
    char *text = printable(path);
    json_array_append_new(s->result->left_out, json_string(text));
    free(text);
}

static bool is_unwanted(const struct sieve *s, const char *path)
{
    for (size_t i = 0; i < s->config->without_count; i++) {
        const char *without = s->config->without[i];
        without += *without == '/' ? 1 : 0;
        size_t length = strlen(without);
        if (length > 0 && strncmp(path, without, length) == 0 &&
            (path[length] == '\0' || path[length] == '/')) {
            return true;
        }
    }
    return false;
}

static bool is_kept(const char *path)
{
    return text_equal(path, DPKG_STATUS) || text_equal(path, OS_RELEASE);
}

/* The value after KEY at the beginning of a line of a paragraph (LENGTH bytes); NULL when none. */
static char *field_of(const char *paragraph, size_t length, const char *key)
{
    size_t key_length = strlen(key);
    const char *end = paragraph + length;
    for (const char *line = paragraph; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop == NULL ? end : stop;
        if ((size_t)(stop - line) > key_length && strncmp(line, key, key_length) == 0) {
            return xstrndup(line + key_length, (size_t)(stop - line) - key_length);
        }
        line = stop + 1;
    }
    return NULL;
}

static void take_package(struct sieve *s, const char *paragraph, size_t length)
{
    char *name = field_of(paragraph, length, "Package: ");
    char *version = field_of(paragraph, length, "Version: ");
    char *status = field_of(paragraph, length, "Status: ");
    if (name != NULL && version != NULL && status != NULL && text_ends(status, " installed")) {
        json_object_set_new(s->result->packages, name, json_string(version));
        if (text_equal(name, "dpkg")) {
            free(s->result->architecture);
            s->result->architecture = field_of(paragraph, length, "Architecture: ");
        }
    }
    free(name);
    free(version);
    free(status);
}

static void take_packages(struct sieve *s, const char *text)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t length = end == NULL ? strlen(text) : (size_t)(end - text);
        take_package(s, text, length);
        text += length;
        text += strspn(text, "\n");
    }
}

static char *unquoted(char *value)
{
    if (value != NULL && value[0] == '"') {
        memmove(value, value + 1, strlen(value));
        value[strcspn(value, "\"")] = '\0';
    }
    return value;
}

static void take_release(struct sieve *s, const char *text, size_t length)
{
    char *id = unquoted(field_of(text, length, "ID="));
    char *version = unquoted(field_of(text, length, "VERSION_ID="));
    char *name = unquoted(field_of(text, length, "VERSION_CODENAME="));
    free(s->result->release);
    s->result->release = xasprintf("%s %s %s", id == NULL ? "?" : id,
                                   version == NULL ? "?" : version, name == NULL ? "?" : name);
    free(id);
    free(version);
    free(name);
}

static void take_kept(struct sieve *s, const char *path)
{
    if (text_equal(path, DPKG_STATUS)) {
        take_packages(s, str_text(&s->kept));
    } else {
        take_release(s, str_text(&s->kept), s->kept.length);
    }
    str_clear(&s->kept);
}

/* A file in one piece. */
static int take_small(struct sieve *s, const struct tar_entry *entry, struct err *e)
{
    const void *bytes = "";
    size_t length = 0;
    struct seal_scan scan;
    if (tar_reader_content(s->reader, WHOLE_MAX, &bytes, &length, e) < 0) {
        return -1;
    }
    const char *secret = secret_in(s, bytes, length);
    if (secret != NULL && !s->config->strict) {
        leave_out(s, entry->path);
        return 0;
    }
    seal_scan_begin(&scan, entry->path, entry->size_bytes);
    seal_scan_add(&scan, bytes, length);
    if (secret != NULL || scan.found != NULL) {
        find(s, entry->path, secret != NULL ? "a secret of the cluster" : scan.found);
    }
    if (is_kept(entry->path)) {
        str_add_bytes(&s->kept, bytes, length);
        take_kept(s, entry->path);
    }
    char digest[DIGEST_TEXT_SIZE];
    digest_text(bytes, length, digest);
    (void)tree_add(&s->tree, entry, digest);
    return pass_on(s, entry->raw.text, entry->raw.length, e) < 0 || pass_on(s, bytes, length, e) < 0
               ? -1
               : pass_padding(s, entry->size_bytes, e);
}

/* The last bytes of a piece and the first of the next, for a secret that lies across. */
struct seam {
    char bytes[2 * SECRET_SEEN];
    size_t length; /* Of the last bytes. */
};

static const char *secret_across(const struct sieve *s, struct seam *seam, const char *bytes,
                                 size_t length)
{
    size_t more = length < SECRET_SEEN ? length : SECRET_SEEN;
    memcpy(seam->bytes + seam->length, bytes, more);
    const char *secret = secret_in(s, seam->bytes, seam->length + more);
    memcpy(seam->bytes, bytes + length - more, more);
    seam->length = more;
    return secret != NULL ? secret : secret_in(s, bytes, length);
}

/* A large file goes on while it is judged. */
static int take_large(struct sieve *s, const struct tar_entry *entry, struct err *e)
{
    struct seal_scan scan;
    seal_scan_begin(&scan, entry->path, entry->size_bytes);
    struct digest *digest = digest_new();
    const char *secret = NULL;
    struct seam seam = {.length = 0};
    int result = pass_on(s, entry->raw.text, entry->raw.length, e);
    while (result == 0) {
        const void *bytes;
        size_t length;
        result = tar_reader_content(s->reader, PIECE, &bytes, &length, e);
        if (result < 0 || length == 0) {
            break;
        }
        secret = secret == NULL ? secret_across(s, &seam, bytes, length) : secret;
        seal_scan_add(&scan, bytes, length);
        digest_add(digest, bytes, length);
        if (is_kept(entry->path) && s->kept.length < STATUS_MAX) {
            str_add_bytes(&s->kept, bytes, length);
        }
        result = pass_on(s, bytes, length, e);
    }
    char text[DIGEST_TEXT_SIZE];
    digest_finish(digest, text);
    if (result < 0) {
        return -1;
    }
    if (secret != NULL || scan.found != NULL) {
        find(s, entry->path, secret != NULL ? "a secret of the cluster" : scan.found);
    }
    if (is_kept(entry->path)) {
        take_kept(s, entry->path);
    }
    (void)tree_add(&s->tree, entry, text);
    return pass_padding(s, entry->size_bytes, e);
}

static int take_other(struct sieve *s, const struct tar_entry *entry, struct err *e)
{
    if (tree_add(&s->tree, entry, NULL) < 0) {
        char *path = printable(entry->path);
        char *target = printable(entry->target);
        int result = err_set(e, "%s is a hard link to %s, which is left out: unlink one of them",
                             path, target);
        free(path);
        free(target);
        return result;
    }
    return pass_on(s, entry->raw.text, entry->raw.length, e);
}

/* The image's own word replaces what the host says, which is of the image it came from. */
static int take_identity(struct sieve *s, const struct tar_entry *entry, bool *ret_taken,
                         struct err *e)
{
    *ret_taken = s->config->identity != NULL && text_equal(entry->path, IDENTITY_PATH);
    if (text_equal(entry->path, IDENTITY_DIRECTORY)) {
        if (entry->type != TAR_DIRECTORY && s->config->identity != NULL) {
            return err_set(e, "/" IDENTITY_DIRECTORY " is not a directory: remove it");
        }
        s->has_identity_place = true;
    }
    return 0;
}

static int take_entry(struct sieve *s, const struct tar_entry *entry, struct err *e)
{
    bool taken = false;
    if (take_identity(s, entry, &taken, e) < 0 || taken) {
        return taken ? 0 : -1;
    }
    const struct seal_rule *rule = seal_rule_of(entry);
    if (rule != NULL && rule->action == SEAL_BLANK && s->config->strict && entry->size_bytes == 0 &&
        entry->type == TAR_FILE) {
        s->has_machine_id = true;
        return take_small(s, entry, e);
    }
    if (rule != NULL && s->config->strict) {
        find(s, entry->path, rule->reason);
        return 0;
    }
    if (rule != NULL) {
        return 0;
    }
    if (is_unwanted(s, entry->path)) {
        leave_out(s, entry->path);
        return 0;
    }
    if (entry->type != TAR_FILE) {
        return take_other(s, entry, e);
    }
    return entry->size_bytes <= (int64_t)WHOLE_MAX ? take_small(s, entry, e)
                                                   : take_large(s, entry, e);
}

static int add_file(struct sieve *s, char *path, unsigned mode, const char *text, struct err *e)
{
    struct str file = STR_NULL;
    char digest[DIGEST_TEXT_SIZE];
    const struct tar_entry entry = {
        .path = path, .type = TAR_FILE, .mode = mode, .size_bytes = (int64_t)strlen(text)};
    digest_text(text, strlen(text), digest);
    tar_add_file(&file, path, mode, text);
    (void)tree_add(&s->tree, &entry, digest);
    int result = pass_on(s, file.text, file.length, e);
    str_deinit(&file);
    return result;
}

static int add_directory(struct sieve *s, char *path, struct err *e)
{
    struct str header = STR_NULL;
    const struct tar_entry entry = {.path = path, .type = TAR_DIRECTORY, .mode = 0755};
    tar_add_directory(&header, path, entry.mode);
    (void)tree_add(&s->tree, &entry, NULL);
    int result = pass_on(s, header.text, header.length, e);
    str_deinit(&header);
    return result;
}

/* What every image has: an empty machine-id, and which image it is. */
static int add_own_files(struct sieve *s, struct err *e)
{
    char machine_id[] = SEAL_MACHINE_ID;
    char directory[] = IDENTITY_DIRECTORY;
    char identity[] = IDENTITY_PATH;
    if (add_file(s, machine_id, 0444, "", e) < 0) {
        return -1;
    }
    if (s->config->identity == NULL) {
        return 0;
    }
    if (!s->has_identity_place && add_directory(s, directory, e) < 0) {
        return -1;
    }
    return add_file(s, identity, 0644, s->config->identity, e);
}

static int take_all(struct sieve *s, struct err *e)
{
    const struct tar_entry *entry;
    for (;;) {
        if (tar_reader_next(s->reader, &entry, e) < 0) {
            return -1;
        }
        if (entry == NULL) {
            return tar_reader_drain(s->reader, e);
        }
        /* The top itself has no name to go by: its mode is the mount's. */
        if (entry->path[0] != '\0' && take_entry(s, entry, e) < 0) {
            return -1;
        }
    }
}

static int finish(struct sieve *s, struct err *e)
{
    static const char end[2 * TAR_BLOCK];
    if (s->config->strict && !s->has_machine_id) {
        find(s, SEAL_MACHINE_ID, "it must be there, empty");
    } else if (!s->config->strict && add_own_files(s, e) < 0) {
        return -1;
    }
    if (pass_on(s, end, sizeof(end), e) < 0 || flush(s, e) < 0) {
        return -1;
    }
    s->result->entries = s->tree.count;
    s->result->bytes = s->tree.bytes;
    tree_finish(&s->tree, &s->result->tree, s->result->digest);
    return 0;
}

int sieve_run(const struct sieve_config *config, struct sieve_result *ret_result, struct err *e)
{
    struct sieve_result result = SIEVE_RESULT_NULL;
    result.packages = json_object();
    result.left_out = json_array();
    struct sieve s = {.config = config,
                      .result = &result,
                      .reader = tar_reader_new(config->input, config->deadline_ms),
                      .tree = TREE_NULL};
    int status = take_all(&s, e);
    if (status == 0) {
        status = finish(&s, e);
    }
    tar_reader_free(s.reader);
    tree_deinit(&s.tree);
    if (s.output.text != NULL) {
        explicit_bzero(s.output.text, s.output.capacity);
    }
    str_deinit(&s.output);
    str_deinit(&s.kept);
    if (status < 0) {
        sieve_result_deinit(&result);
        return -1;
    }
    *ret_result = result;
    return 0;
}
