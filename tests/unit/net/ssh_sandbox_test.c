/*
 * What runs in a worker works inside its sandbox: libssh2 with a key file, an agent, a bastion and
 * a name to resolve, megabytes through it; libcurl with its own resolver thread; and a fault in
 * words when there is one. In the child: libraries started by the spawner, filter, limits.
 */
#include "ssh_server.h"

#include "base/mem.h"
#include "base/message.h"

#include <curl/curl.h>
#include <poll.h>

static struct ssh_server server;
static struct spawner *spawner;
static pid_t agent;

enum { TASK_SSH = 1, TASK_CURL };
enum { TAG_TARGET = 1, TAG_OUTCOME, TAG_TEXT, TAG_URL };

static void put_result(struct message *answer, int64_t outcome, const char *text)
{
    message_init(answer, 1);
    message_put_int(answer, TAG_OUTCOME, outcome);
    message_put_text(answer, TAG_TEXT, text);
}

/* Opens the link and moves a megabyte there and back. */
static enum ssh_outcome use_link(const struct ssh_target *target, struct err *e)
{
    struct ssh_link *link = NULL;
    int64_t deadline_ms = clock_now_ms() + PATIENCE_MS;
    enum ssh_outcome outcome = ssh_link_open(&link, target, deadline_ms, e);
    if (outcome == SSH_OK) {
        char *bytes = xcalloc(1u << 20, 1);
        int status = -1;
        const struct ssh_command command = {
            .command = "cat", .input = bytes, .input_length = 1u << 20};
        outcome = ssh_link_run(link, &command, deadline_ms, &status, e);
        free(bytes);
    }
    ssh_link_close(link);
    return outcome;
}

static void do_ssh(const struct message *request, struct message *answer)
{
    size_t length;
    const void *bytes = message_bytes(request, TAG_TARGET, &length);
    struct message encoded = MESSAGE_NULL;
    struct ssh_target target;
    struct ssh_target_storage storage;
    struct err e = ERR_NULL;
    int64_t outcome = -1;
    if (message_parse(&encoded, bytes, length, &e) == 0 &&
        ssh_target_decode(&encoded, &target, &storage, &e) == 0) {
        outcome = use_link(&target, &e);
        ssh_target_storage_deinit(&storage);
    }
    message_deinit(&encoded);
    put_result(answer, outcome, e.text);
}

static void do_curl(const struct message *request, struct message *answer)
{
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, message_text(request, TAG_URL, ""));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    CURLcode result = curl_easy_perform(curl);
    put_result(answer, result, curl_easy_strerror(result));
    curl_easy_cleanup(curl);
}

static int child_main(int socket)
{
    struct message request = MESSAGE_NULL;
    struct message answer = MESSAGE_NULL;
    while (message_receive(socket, &request, NULL, NULL) == MESSAGE_IO_OK) {
        if (message_kind(&request) == TASK_SSH) {
            do_ssh(&request, &answer);
        } else {
            do_curl(&request, &answer);
        }
        if (message_send(socket, &answer, -1, NULL) != MESSAGE_IO_OK) {
            break;
        }
    }
    message_deinit(&request);
    message_deinit(&answer);
    return 0;
}

static void prepare(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ssh_link_prepare();
}

static const struct process_kind kinds[] = {
    {.name = "worker",
     .main = child_main,
     .sandbox = SANDBOX_NETWORK,
     .memory_bytes_max = 512u << 20,
     .files_max = 64,
     .prepare = prepare},
};

static void start_agent(void)
{
    setenv("SSH_AUTH_SOCK", ssh_path("agent"), 1);
    agent = fork();
    if (agent == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        execl("/usr/bin/ssh-agent", "ssh-agent", "-D", "-a", ssh_path("agent"), (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && access(ssh_path("agent"), F_OK) != 0; i++) {
        usleep(5000);
    }
    char *command =
        xasprintf("SSH_AUTH_SOCK=%s exec ssh-add -q %s", ssh_path("agent"), ssh_path("login"));
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    ssh_must_run(argv);
    free(command);
}

static int set_up(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    if (!ssh_server_possible()) {
        return 0;
    }
    ssh_keys_make();
    ssh_server_start(&server, "");
    start_agent();
    return spawner_start(&spawner, kinds, 1, &e);
}

static int tear_down(void **state)
{
    (void)state;
    if (ssh_server_possible()) {
        spawner_free(spawner);
        kill(agent, SIGTERM);
        waitpid(agent, NULL, 0);
        ssh_server_stop(&server);
        ssh_keys_remove();
    }
    return 0;
}

#define NEEDS_SSHD                                                                                 \
    do {                                                                                           \
        (void)state;                                                                               \
        if (!ssh_server_possible()) {                                                              \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void must_do(const struct message *request, int64_t outcome, const char *text)
{
    struct process process = PROCESS_NULL;
    struct message answer = MESSAGE_NULL;
    struct err e = ERR_NULL;
    char end[PROCESS_END_SIZE];
    assert_int_equal(process_start(spawner, 0, &process, &e), 0);
    assert_int_equal(message_send(process.socket, request, -1, &e), MESSAGE_IO_OK);
    if (message_receive(process.socket, &answer, NULL, &e) != MESSAGE_IO_OK) {
        struct pollfd entry = {.fd = process.pidfd, .events = POLLIN};
        poll(&entry, 1, PATIENCE_MS);
        process_end_to_string(spawner, &process, end);
        fail_msg("the worker %s", end);
    }
    const char *said = message_text(&answer, TAG_TEXT, "");
    if (message_int(&answer, TAG_OUTCOME, -1) != outcome || strstr(said, text) == NULL) {
        fail_msg("outcome %lld: %s", (long long)message_int(&answer, TAG_OUTCOME, -1), said);
    }
    message_deinit(&answer);
    process_deinit(&process);
}

static void must_connect(const struct ssh_target *target, enum ssh_outcome outcome,
                         const char *text)
{
    struct message request = MESSAGE_NULL;
    struct message encoded = MESSAGE_NULL;
    ssh_target_encode(target, &encoded);
    message_init(&request, TASK_SSH);
    message_put_message(&request, TAG_TARGET, &encoded);
    must_do(&request, outcome, text);
    message_deinit(&request);
    message_deinit(&encoded);
}

static void test_ssh(void **state)
{
    NEEDS_SSHD;
    struct ssh_target plain = ssh_target_for(server.port);
    struct ssh_target named = plain;
    struct ssh_target by_agent = plain;
    struct ssh_target behind = plain;
    struct ssh_target wrong = plain;
    named.address = "localhost";
    by_agent.key_file = NULL;
    by_agent.use_agent = true;
    behind.jump = &by_agent;
    wrong.host_key = "SHA256:another";
    must_connect(&plain, SSH_OK, "");
    must_connect(&named, SSH_OK, "");
    must_connect(&by_agent, SSH_OK, "");
    must_connect(&behind, SSH_OK, "");
    must_connect(&wrong, SSH_KEY_MISMATCH, "shows another host key");
}

/* By name, so that libcurl starts its thread; what answers is sshd, which is no web server. */
static void test_curl(void **state)
{
    NEEDS_SSHD;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; i < 2; i++) {
        struct message request = MESSAGE_NULL;
        char url[64];
        snprintf(url, sizeof(url), "http://%s:%u/", hosts[i], server.port);
        message_init(&request, TASK_CURL);
        message_put_text(&request, TAG_URL, url);
        must_do(&request, CURLE_UNSUPPORTED_PROTOCOL, "");
        message_deinit(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ssh),
        cmocka_unit_test(test_curl),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
