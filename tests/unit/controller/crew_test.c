/* The crew with real workers in their sandbox, and with workers that die, hang and talk nonsense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "controller/crew.h"
#include "net/ssh_link.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000

/* One request and what became of it. */
struct want {
    bool begun; /* It said something. */
    bool ended;
    bool has_result;
    enum work_outcome outcome;
    char text[600];
};

static struct crew *crew;
static int silent_socket; /* Takes connections into its queue, never answers. */
static unsigned silent_port;
static int closed_socket; /* Bound, so that nobody else is; does not listen. */
static unsigned closed_port;

static int bind_loopback(unsigned *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void on_message(void *context, struct job *job, const struct message *message)
{
    (void)context;
    (void)message;
    ((struct want *)job_data(job))->begun = true;
}

static void on_end(void *context, struct job *job, enum work_outcome outcome,
                   const struct message *result, const char *text)
{
    (void)context;
    struct want *want = job_data(job);
    assert_false(want->ended);
    want->ended = true;
    want->has_result = result != NULL;
    want->outcome = outcome;
    snprintf(want->text, sizeof(want->text), "%s", text == NULL ? "" : text);
}

static int start(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    const struct crew_callbacks callbacks = {.on_message = on_message, .on_end = on_end};
    silent_socket = bind_loopback(&silent_port);
    assert_int_equal(listen(silent_socket, 64), 0);
    closed_socket = bind_loopback(&closed_port);
    assert_int_equal(crew_new(&crew, &e), 0);
    crew_set_callbacks(crew, &callbacks);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    crew_free(crew);
    close(silent_socket);
    close(closed_socket);
    return 0;
}

/* A request of KIND to the host at PORT. */
static int ask(struct want *want, uint16_t kind, unsigned port, int64_t within_ms, const char *keep,
               const char *file, struct err *e)
{
    const struct ssh_target target = {.name = "web-1",
                                      .address = "127.0.0.1",
                                      .port = port,
                                      .user = "root",
                                      .host_key = "SHA256:none",
                                      .connect_timeout_ms = PATIENCE_MS,
                                      .read_timeout_ms = PATIENCE_MS};
    struct message request = MESSAGE_NULL;
    struct message encoded = MESSAGE_NULL;
    int64_t deadline_ms = clock_now_ms() + within_ms;
    ssh_target_encode(&target, &encoded);
    message_init(&request, kind);
    message_put_int(&request, WIRE_DEADLINE, deadline_ms);
    message_put_text(&request, WIRE_COMMAND, "true");
    message_put_message(&request, WIRE_TARGET, &encoded);
    const struct crew_file files[] = {{.name = "it", .path = file}};
    const struct crew_request ask_for = {.kind = CREW_SSH,
                                         .message = &request,
                                         .files = files,
                                         .file_count = file == NULL ? 0 : 1,
                                         .keep = keep,
                                         .deadline_ms = deadline_ms,
                                         .data = want};
    *want = (struct want){.begun = false};
    int result = crew_start(crew, &ask_for, e);
    message_deinit(&encoded);
    message_deinit(&request);
    return result;
}

static void must_ask(struct want *want, uint16_t kind, unsigned port, int64_t within_ms,
                     const char *keep)
{
    struct err e = ERR_NULL;
    if (ask(want, kind, port, within_ms, keep, NULL, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void await(const bool *it)
{
    struct err e = ERR_NULL;
    int64_t until_ms = clock_now_ms() + PATIENCE_MS;
    while (!*it && clock_now_ms() < until_ms) {
        assert_int_equal(crew_wait(crew, NULL, 0, clock_now_ms() + 100, &e), 0);
    }
    assert_true(*it);
}

/* The youngest child of PID: one whose work is done may not be gone yet. */
static pid_t child_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    long child = 0;
    while (fscanf(file, "%ld", &child) == 1) {
    }
    fclose(file);
    assert_true(child > 0);
    return (pid_t)child;
}

/* The newest worker: a child of the spawner, our only child. */
static pid_t worker_pid(void)
{
    return child_of(child_of(getpid()));
}

static void test_answers(void **state)
{
    (void)state;
    struct want refused;
    struct want nonsense;
    must_ask(&refused, WIRE_EXEC, closed_port, PATIENCE_MS, NULL);
    must_ask(&nonsense, WIRE_RESULT, closed_port, PATIENCE_MS, NULL);
    assert_int_equal(crew_count(crew), 2);
    await(&refused.ended);
    await(&nonsense.ended);
    assert_int_equal(crew_count(crew), 0);
    assert_true(refused.has_result);
    assert_int_equal(refused.outcome, WORK_TRANSIENT);
    assert_non_null(strstr(refused.text, "refuses connections"));
    assert_int_equal(nonsense.outcome, WORK_PERMANENT);
    assert_non_null(strstr(nonsense.text, "unknown kind"));
}

static void test_dies(void **state)
{
    (void)state;
    struct want dying;
    struct want other;
    must_ask(&dying, WIRE_EXEC, silent_port, PATIENCE_MS, NULL);
    await(&dying.begun);
    pid_t pid = worker_pid();
    must_ask(&other, WIRE_EXEC, closed_port, PATIENCE_MS, NULL);
    kill(pid, SIGKILL);
    await(&dying.ended);
    await(&other.ended);
    assert_false(dying.has_result);
    assert_int_equal(dying.outcome, WORK_TRANSIENT);
    assert_string_equal(dying.text, "its worker process was killed by signal 9 (Killed)");
    assert_non_null(strstr(other.text, "refuses connections"));
    assert_int_equal(crew_count(crew), 0);
}

/* The worker keeps its deadline itself; one that cannot is ended. */
static void test_hangs(void **state)
{
    (void)state;
    struct want honest;
    struct want stuck;
    must_ask(&honest, WIRE_EXEC, silent_port, 1000, NULL);
    await(&honest.ended);
    assert_true(honest.has_result);
    assert_non_null(strstr(honest.text, "not done with exchanging keys within"));
    must_ask(&stuck, WIRE_EXEC, silent_port, 300, NULL);
    await(&stuck.begun);
    pid_t pid = worker_pid();
    kill(pid, SIGSTOP);
    await(&stuck.ended);
    assert_false(stuck.has_result);
    assert_int_equal(stuck.outcome, WORK_TRANSIENT);
    assert_non_null(strstr(stuck.text, "deadline passed"));
    for (int i = 0; i < 100 && kill(pid, 0) == 0; i++) {
        usleep(50000);
    }
    assert_int_not_equal(kill(pid, 0), 0);
}

static void test_file_is_missing(void **state)
{
    (void)state;
    struct want want;
    struct err e = ERR_NULL;
    assert_int_equal(ask(&want, WIRE_EXEC, closed_port, PATIENCE_MS, NULL, "/nonexistent/it", &e),
                     -1);
    assert_non_null(strstr(e.text, "/nonexistent/it: No such file"));
    assert_int_equal(crew_count(crew), 0);
    must_ask(&want, WIRE_EXEC, closed_port, PATIENCE_MS, NULL);
    await(&want.ended);
    assert_true(want.has_result);
}

/* A kept worker serves again, and one that died meanwhile is replaced without a fault. */
static void test_kept(void **state)
{
    (void)state;
    struct want want;
    must_ask(&want, WIRE_EXEC, closed_port, PATIENCE_MS, "lb-1");
    await(&want.ended);
    pid_t first = worker_pid();
    must_ask(&want, WIRE_EXEC, closed_port, PATIENCE_MS, "lb-1");
    await(&want.ended);
    assert_true(want.has_result);
    assert_int_equal(worker_pid(), first);
    kill(first, SIGKILL);
    /* At once: it may or may not be known to be dead. */
    must_ask(&want, WIRE_EXEC, closed_port, PATIENCE_MS, "lb-1");
    await(&want.ended);
    assert_int_equal(want.outcome, WORK_TRANSIENT);
    must_ask(&want, WIRE_EXEC, closed_port, PATIENCE_MS, "lb-1");
    await(&want.ended);
    assert_true(want.has_result);
    assert_int_not_equal(worker_pid(), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, start, stop),
        cmocka_unit_test_setup_teardown(test_dies, start, stop),
        cmocka_unit_test_setup_teardown(test_hangs, start, stop),
        cmocka_unit_test_setup_teardown(test_file_is_missing, start, stop),
        cmocka_unit_test_setup_teardown(test_kept, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
