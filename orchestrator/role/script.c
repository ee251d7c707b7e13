/* A compiled script as a value: its end, and its way to a worker. And the facts of a host. */
#include "role/role.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "net/digest.h"
#include "role/prelude.h"

#include <stdlib.h>
#include <string.h>

/* Stable: they are in messages only, but two builds may talk for a moment. */
enum script_tag {
    TAG_TEXT = 1,
    TAG_DIGEST = 2,
    TAG_RESOURCES = 3,
    TAG_SECRET = 4,
    TAG_HIDDEN = 5,
    TAG_BLOB = 6,
    TAG_BLOB_DIGEST = 7,
    TAG_BLOB_PATH = 8,
    TAG_BLOB_SIZE = 9,
    TAG_FACTS_ASSUMED = 10,
};
enum { KIND_SCRIPT = 1, KIND_BLOB = 2 };

static void secrets_free(struct secret *secrets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        secret_deinit(&secrets[i]);
    }
    free(secrets);
}

void role_script_deinit(struct role_script *script)
{
    for (size_t i = 0; i < script->blob_count; i++) {
        free(script->blobs[i].path);
    }
    free(script->blobs);
    secrets_free(script->secrets, script->secret_count);
    secrets_free(script->hidden, script->hidden_count);
    str_deinit(&script->text);
    *script = (struct role_script){.text = STR_NULL};
}

void role_script_encode(const struct role_script *script, struct message *ret_message)
{
    message_init(ret_message, KIND_SCRIPT);
    message_put_bytes(ret_message, TAG_TEXT, str_text(&script->text), script->text.length);
    message_put_text(ret_message, TAG_DIGEST, script->digest);
    message_put_int(ret_message, TAG_RESOURCES, (int64_t)script->resource_count);
    message_put_int(ret_message, TAG_FACTS_ASSUMED, script->facts_assumed);
    for (size_t i = 0; i < script->secret_count; i++) {
        message_put_bytes(ret_message, TAG_SECRET, script->secrets[i].bytes,
                          script->secrets[i].length);
    }
    for (size_t i = 0; i < script->hidden_count; i++) {
        message_put_bytes(ret_message, TAG_HIDDEN, script->hidden[i].bytes,
                          script->hidden[i].length);
    }
    for (size_t i = 0; i < script->blob_count; i++) {
        struct message blob = MESSAGE_NULL;
        message_init(&blob, KIND_BLOB);
        message_put_text(&blob, TAG_BLOB_DIGEST, script->blobs[i].digest);
        message_put_text(&blob, TAG_BLOB_PATH, script->blobs[i].path);
        message_put_int(&blob, TAG_BLOB_SIZE, script->blobs[i].size_bytes);
        message_put_message(ret_message, TAG_BLOB, &blob);
        message_deinit(&blob);
    }
}

static void add_secret(struct secret **secrets, size_t *count, const struct message_field *field)
{
    *secrets = xrealloc(*secrets, *count + 1, sizeof(**secrets));
    (*secrets)[*count] = SECRET_NULL;
    secret_set(&(*secrets)[(*count)++], field->bytes, field->length);
}

static int add_blob(struct role_script *script, const struct message_field *field, struct err *e)
{
    struct message blob = MESSAGE_NULL;
    if (message_parse(&blob, field->bytes, field->length, e) != 0) {
        return -1;
    }
    const char *path = message_text(&blob, TAG_BLOB_PATH, NULL);
    if (path == NULL) {
        message_deinit(&blob);
        return err_set(e, "script: a blob without a path");
    }
    script->blobs = xrealloc(script->blobs, script->blob_count + 1, sizeof(*script->blobs));
    struct role_blob *added = &script->blobs[script->blob_count++];
    *added = (struct role_blob){.path = xstrdup(path),
                                .size_bytes = message_int(&blob, TAG_BLOB_SIZE, 0)};
    text_copy(added->digest, sizeof(added->digest), message_text(&blob, TAG_BLOB_DIGEST, ""));
    message_deinit(&blob);
    return 0;
}

int role_script_decode(const struct message *message, struct role_script *ret_script, struct err *e)
{
    struct role_script script = {.text = STR_NULL};
    struct message_field field;
    size_t position = 0;
    size_t length;
    const void *text = message_bytes(message, TAG_TEXT, &length);
    if (message_kind(message) != KIND_SCRIPT || text == NULL) {
        return err_set(e, "this message is no script");
    }
    str_add_bytes(&script.text, text, length);
    text_copy(script.digest, sizeof(script.digest), message_text(message, TAG_DIGEST, ""));
    script.resource_count = (size_t)message_int(message, TAG_RESOURCES, 0);
    script.facts_assumed = message_int(message, TAG_FACTS_ASSUMED, 0) != 0;
    while (message_next(message, &position, &field)) {
        if (field.tag == TAG_SECRET) {
            add_secret(&script.secrets, &script.secret_count, &field);
        } else if (field.tag == TAG_HIDDEN) {
            add_secret(&script.hidden, &script.hidden_count, &field);
        } else if (field.tag == TAG_BLOB && add_blob(&script, &field, e) != 0) {
            role_script_deinit(&script);
            return -1;
        }
    }
    *ret_script = script;
    return 0;
}

const char *role_facts_command(void)
{
    static struct str command; /* Made once; a constant from then on. */
    if (command.length == 0) {
        struct str script = STR_NULL;
        prelude_add_section(&script, "facts");
        str_add(&script, "ll_facts\nprintf '\\n%s\\n' \"$ll_json\"\n");
        str_add(&command, "sh -c ");
        str_add_shell(&command, str_text(&script));
        str_deinit(&script);
    }
    return str_text(&command);
}

static bool is_plain(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= 128 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:+-") ==
               length;
}

/* The last line that begins as an object does: a login script may greet, before or after. */
static size_t last_object(const char **output, size_t length)
{
    const char *at = *output;
    const char *end = at + length;
    const char *found = at;
    size_t found_length = length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        if (*at == '{') {
            found = at;
            found_length = (size_t)(stop - at);
        }
        at = newline == NULL ? end : newline + 1;
    }
    *output = found;
    return found_length;
}

char *role_facts_parse(const char *output, size_t length)
{
    static const char *const texts[] = {"os",       "release", "codename",   "arch",
                                        "hostname", "boot_id", "machine_id", "container"};
    static const char *const numbers[] = {"cpus", "memory_mb"};
    length = last_object(&output, length);
    json_t *said = json_loadb(output, length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(said)) {
        json_decref(said);
        return NULL;
    }
    json_t *facts = json_object();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *text = json_string_value(json_object_get(said, texts[i]));
        if (text == NULL || !is_plain(text)) {
            continue;
        }
        char digest[DIGEST_TEXT_SIZE];
        if (text_equal(texts[i], "machine_id")) {
            digest_text(text, strlen(text), digest);
            text = digest;
        }
        json_object_set_new(facts, texts[i], json_string(text));
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const json_t *number = json_object_get(said, numbers[i]);
        if (json_is_integer(number) && json_integer_value(number) > 0) {
            json_object_set_new(facts, numbers[i], json_integer(json_integer_value(number)));
        }
    }
    json_decref(said);
    char *text = json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(facts);
    return text;
}
