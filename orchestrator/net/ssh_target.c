#include "net/ssh_link.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"

#include <stdlib.h>

enum target_kind { TARGET_KIND = 1 };
enum target_tag {
    TARGET_NAME = 1,
    TARGET_ADDRESS,
    TARGET_PORT,
    TARGET_USER,
    TARGET_HOST_KEY,
    TARGET_KEY_FILE,
    TARGET_USE_AGENT,
    TARGET_BECOME,
    TARGET_CONNECT_TIMEOUT,
    TARGET_READ_TIMEOUT,
    TARGET_JUMP,
};

void ssh_target_encode(const struct ssh_target *target, struct message *ret_message)
{
    message_init(ret_message, TARGET_KIND);
    message_put_text(ret_message, TARGET_NAME, target->name);
    message_put_text(ret_message, TARGET_ADDRESS, target->address);
    message_put_int(ret_message, TARGET_PORT, target->port);
    message_put_text(ret_message, TARGET_USER, target->user);
    message_put_text(ret_message, TARGET_HOST_KEY, target->host_key);
    message_put_text(ret_message, TARGET_KEY_FILE, target->key_file);
    message_put_int(ret_message, TARGET_USE_AGENT, target->use_agent);
    message_put_text(ret_message, TARGET_BECOME, target->become);
    message_put_int(ret_message, TARGET_CONNECT_TIMEOUT, target->connect_timeout_ms);
    message_put_int(ret_message, TARGET_READ_TIMEOUT, target->read_timeout_ms);
    if (target->jump != NULL) {
        struct message jump = MESSAGE_NULL;
        ssh_target_encode(target->jump, &jump);
        message_put_message(ret_message, TARGET_JUMP, &jump);
        message_deinit(&jump);
    }
}

/* All but the jump. */
static int decode_one(const struct message *message, struct ssh_target *ret_target, struct err *e)
{
    int64_t port = message_int(message, TARGET_PORT, 0);
    *ret_target = (struct ssh_target){
        .name = message_text(message, TARGET_NAME, NULL),
        .address = message_text(message, TARGET_ADDRESS, NULL),
        .port = (unsigned)port,
        .user = message_text(message, TARGET_USER, NULL),
        .host_key = message_text(message, TARGET_HOST_KEY, NULL),
        .key_file = message_text(message, TARGET_KEY_FILE, NULL),
        .use_agent = message_int(message, TARGET_USE_AGENT, 0) != 0,
        .become = message_text(message, TARGET_BECOME, NULL),
        .connect_timeout_ms = message_int(message, TARGET_CONNECT_TIMEOUT, 0),
        .read_timeout_ms = message_int(message, TARGET_READ_TIMEOUT, 0),
    };
    if (message_kind(message) != TARGET_KIND || ret_target->name == NULL ||
        ret_target->address == NULL || ret_target->user == NULL || ret_target->host_key == NULL) {
        return err_set(e, "SSH target without a name, address, user or host key");
    }
    if (port < 1 || port > 65535) {
        return err_set(e, "SSH target %s: port %lld", ret_target->name, (long long)port);
    }
    return 0;
}

/* The jump inside MESSAGE as the storage's next message; *ret_message is NULL when there is none.
 */
static int take_jump(const struct message *message, struct ssh_target_storage *storage,
                     const struct message **ret_message, struct err *e)
{
    size_t length;
    const void *bytes = message_bytes(message, TARGET_JUMP, &length);
    *ret_message = NULL;
    if (bytes == NULL) {
        return 0;
    }
    if (storage->message_count == SSH_JUMP_MAX) {
        return err_set(e, "more than %d bastions in a row", SSH_JUMP_MAX);
    }
    struct message *jump = &storage->messages[storage->message_count];
    if (message_parse(jump, bytes, length, e) != 0) {
        return -1;
    }
    storage->message_count++;
    *ret_message = jump;
    return 0;
}

static int decode_all(const struct message *message, struct ssh_target *target,
                      struct ssh_target_storage *storage, struct err *e)
{
    if (decode_one(message, target, e) != 0) {
        return -1;
    }
    const struct message *jump;
    if (take_jump(message, storage, &jump, e) != 0) {
        return -1;
    }
    while (jump != NULL) {
        struct ssh_target *next = &storage->jumps[storage->message_count - 1];
        if (decode_one(jump, next, e) != 0) {
            return -1;
        }
        target->jump = next;
        target = next;
        if (take_jump(jump, storage, &jump, e) != 0) {
            return -1;
        }
    }
    return 0;
}

int ssh_target_decode(const struct message *message, struct ssh_target *ret_target,
                      struct ssh_target_storage *ret_storage, struct err *e)
{
    *ret_storage = (struct ssh_target_storage){
        .messages = xcalloc(SSH_JUMP_MAX, sizeof(*ret_storage->messages)),
    };
    if (decode_all(message, ret_target, ret_storage, e) != 0) {
        ssh_target_storage_deinit(ret_storage);
        return -1;
    }
    return 0;
}

void ssh_target_storage_deinit(struct ssh_target_storage *storage)
{
    for (size_t i = 0; i < storage->message_count; i++) {
        message_deinit(&storage->messages[i]);
    }
    free(storage->messages);
    *storage = (struct ssh_target_storage){.messages = NULL};
}
