/* net/ssh_target: a target, with its bastions, survives the way into a worker; nonsense does not.
 */
#include "net/ssh_link.h"

#include "base/err.h"
#include "base/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static struct ssh_target sample(const char *name)
{
    return (struct ssh_target){
        .name = name,
        .address = "10.77.1.10",
        .port = 2222,
        .user = "admin",
        .host_key = "SHA256:abc",
        .key_file = "/var/lib/lamplighter/keys/login",
        .use_agent = true,
        .become = "sudo",
        .connect_timeout_ms = 5000,
        .read_timeout_ms = 60000,
    };
}

static void assert_same(const struct ssh_target *a, const struct ssh_target *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->address, b->address);
    assert_int_equal(a->port, b->port);
    assert_string_equal(a->user, b->user);
    assert_string_equal(a->host_key, b->host_key);
    assert_true(text_equal(a->key_file, b->key_file));
    assert_int_equal(a->use_agent, b->use_agent);
    assert_true(text_equal(a->become, b->become));
    assert_int_equal(a->connect_timeout_ms, b->connect_timeout_ms);
    assert_int_equal(a->read_timeout_ms, b->read_timeout_ms);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const names[SSH_JUMP_MAX + 1] = {"web-1", "b1", "b2", "b3", "b4"};
    struct ssh_target chain[SSH_JUMP_MAX + 1];
    for (size_t jumps = 0; jumps <= SSH_JUMP_MAX; jumps++) {
        for (size_t i = 0; i <= jumps; i++) {
            chain[i] = sample(names[i]);
            chain[i].jump = i < jumps ? &chain[i + 1] : NULL;
        }
        chain[jumps].become = NULL;
        chain[jumps].key_file = NULL;
        struct message message = MESSAGE_NULL;
        struct ssh_target decoded;
        struct ssh_target_storage storage;
        struct err e = ERR_NULL;
        ssh_target_encode(&chain[0], &message);
        assert_int_equal(ssh_target_decode(&message, &decoded, &storage, &e), 0);
        const struct ssh_target *at = &decoded;
        for (size_t i = 0; i <= jumps; i++, at = at->jump) {
            assert_non_null(at);
            assert_same(at, &chain[i]);
        }
        assert_null(at);
        ssh_target_storage_deinit(&storage);
        ssh_target_storage_deinit(&storage);
        message_deinit(&message);
    }
}

static void must_refuse(const struct ssh_target *target, const char *text)
{
    struct message message = MESSAGE_NULL;
    struct ssh_target decoded;
    struct ssh_target_storage storage;
    struct err e = ERR_NULL;
    ssh_target_encode(target, &message);
    assert_int_equal(ssh_target_decode(&message, &decoded, &storage, &e), -1);
    if (strstr(e.text, text) == NULL) {
        fail_msg("%s", e.text);
    }
    message_deinit(&message);
}

static void test_refused(void **state)
{
    (void)state;
    struct ssh_target target = sample("web-1");
    target.host_key = NULL;
    must_refuse(&target, "without a name, address, user or host key");
    target = sample("web-1");
    target.address = NULL;
    must_refuse(&target, "without a name, address, user or host key");
    target = sample("web-1");
    target.port = 0;
    must_refuse(&target, "port 0");
    target.port = 65536;
    must_refuse(&target, "port 65536");
    struct ssh_target chain[SSH_JUMP_MAX + 2];
    for (size_t i = 0; i < SSH_JUMP_MAX + 2; i++) {
        chain[i] = sample("web-1");
        chain[i].jump = i < SSH_JUMP_MAX + 1 ? &chain[i + 1] : NULL;
    }
    must_refuse(&chain[0], "bastions in a row");
    target = sample("web-1");
    chain[0] = sample("bastion");
    chain[0].host_key = NULL;
    target.jump = &chain[0];
    must_refuse(&target, "host key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
