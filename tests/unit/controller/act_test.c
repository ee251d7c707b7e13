/*
 * What workers do on hosts, by real workers in their sandboxes: against an sshd that is the first
 * program of a process namespace, so that "rebooting" it is a restart of all that runs there.
 */
#include "unit/net/ssh_server.h"

#include "base/mem.h"
#include "controller/crew.h"
#include "frontend/frontend.h"
#include "role/role.h"

#include <sched.h>
#include <sys/mount.h>

#define BOOT_PAUSE_US 300000

/* The host: files in ssh_dir steer it. */
static pid_t host_pid;
static unsigned host_port;
#define MACHINE_ID "0123456789abcdef0123456789abcdef"
#define BUILD      "00112233445566778899aabbccddeeff"

static unsigned closed_port;
static struct crew *crew;

struct want {
    bool ended;
    bool has_result;
    enum work_outcome outcome;
    int64_t status;
    char text[600];
    char boot[100];
    char machine_id[100];
    char image[100];
    char build[100];
    char facts[1000];
    char progress[2000];
    char items[2000]; /* "POOL/ID STATE SESSIONS WORDS" of each target. */
    int64_t count;
};

static void on_message(void *context, struct job *job, const struct message *message)
{
    (void)context;
    struct want *want = job_data(job);
    if (message_kind(message) == WIRE_ITEM) {
        size_t begun = strlen(want->items);
        snprintf(want->items + begun, sizeof(want->items) - begun, "%s/%s %s %d %s\n",
                 message_text(message, WIRE_POOL, ""), message_text(message, WIRE_INSTANCE, ""),
                 frontend_target_state_to_string(
                     (enum frontend_target_state)message_int(message, WIRE_STATE, 0)),
                 (int)message_int(message, WIRE_SESSIONS, -1),
                 message_text(message, WIRE_TEXT, ""));
        return;
    }
    size_t used = strlen(want->progress);
    snprintf(want->progress + used, sizeof(want->progress) - used, "%s\n",
             message_text(message, WIRE_TEXT, ""));
}

static void on_end(void *context, struct job *job, enum work_outcome outcome,
                   const struct message *result, const char *text)
{
    (void)context;
    struct want *want = job_data(job);
    want->ended = true;
    want->has_result = result != NULL;
    want->outcome = outcome;
    want->status = result == NULL ? -1 : message_int(result, WIRE_STATUS, -1);
    text_copy(want->text, sizeof(want->text), text == NULL ? "" : text);
    if (result != NULL) {
        want->count = message_int(result, WIRE_COUNT, -1);
        text_copy(want->boot, sizeof(want->boot), message_text(result, WIRE_BOOT_ID, ""));
        text_copy(want->machine_id, sizeof(want->machine_id),
                  message_text(result, WIRE_MACHINE_ID, ""));
        text_copy(want->image, sizeof(want->image), message_text(result, WIRE_IMAGE, ""));
        text_copy(want->build, sizeof(want->build), message_text(result, WIRE_BUILD, ""));
        text_copy(want->facts, sizeof(want->facts), message_text(result, WIRE_FACTS, ""));
    }
}

static bool has_file(const char *name)
{
    return access(ssh_path(name), F_OK) == 0;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(ssh_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void remove_files(const char *const *names)
{
    for (; *names != NULL; names++) {
        unlink(ssh_path(*names));
    }
}

/* A program of the host; $T is the test's directory. */
static void write_stub(const char *name, const char *body)
{
    char *path = xasprintf("bin/%s", name);
    char *text = xasprintf("#!/bin/sh\nT=%s\n%s\n", ssh_dir, body);
    write_file(path, text, 0755);
    free(text);
    free(path);
}

/*
 * One boot of the host: sshd is its first program, and all else ends with it. Which system it is,
 * its own files say, laid over the machine's.
 */
static void boot_once(const char *config)
{
    char *first = xasprintf("mount -t overlay overlay -o lowerdir=%s/etc:/etc /etc && "
                            "mount -t overlay overlay -o lowerdir=%s/lib:/usr/lib /usr/lib && "
                            "exec " SSH_SERVER_PROGRAM " -D -f %s",
                            ssh_dir, ssh_dir, config);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        if (getppid() == parent && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 && dup2(null, 2) >= 0) {
            execl("/usr/bin/unshare", "unshare", "--pid", "--fork", "--kill-child=KILL",
                  "--mount-proc", "sh", "-c", first, (char *)NULL);
        }
        _exit(127);
    }
    free(first);
    waitpid(pid, NULL, 0);
}

/* It boots for ever, unless told to stay down. */
_Noreturn static void be_host(pid_t parent)
{
    char config[128];
    char other[128];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(config, sizeof(config), "%s/sshd-host", ssh_dir);
    snprintf(other, sizeof(other), "%s/sshd-other", ssh_dir);
    while (getppid() == parent && !has_file("stay-down")) {
        boot_once(has_file("other-key") ? other : config);
        usleep(BOOT_PAUSE_US);
    }
    _exit(0);
}

static int start(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    const struct crew_callbacks callbacks = {.on_message = on_message, .on_end = on_end};
    close(ssh_listen(&closed_port));
    int probe = ssh_listen(&host_port);
    close(probe);
    char *other = xasprintf("HostKey %s", ssh_path("stranger"));
    ssh_write_config(ssh_path("sshd-host"), host_port, "");
    ssh_write_config(ssh_path("sshd-other"), host_port, other);
    free(other);
    char *line =
        xasprintf("sed -i '\\,HostKey %s$,d' %s", ssh_path("host"), ssh_path("sshd-other"));
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    ssh_must_run(argv);
    free(line);
    umask(022); /* They are laid over the machine's. */
    mkdir(ssh_path("etc"), 0755);
    mkdir(ssh_path("lib"), 0755);
    mkdir(ssh_path("lib/lamplighter"), 0755);
    write_file("etc/machine-id", MACHINE_ID "\n", 0644);
    write_file("lib/lamplighter/image", "web@3 " BUILD "\n", 0644);
    pid_t parent = getpid();
    host_pid = fork();
    if (host_pid == 0) {
        be_host(parent);
    }
    for (int i = 0; i < 1000 && !ssh_answers(host_port); i++) {
        usleep(10000);
    }
    if (crew_new(&crew, &e) != 0) {
        fail_msg("%s", e.text);
    }
    crew_set_callbacks(crew, &callbacks);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    static const char *const names[] = {
        "stay-down", "other-key", "stay-up",        "no-systemd",
        "calls",     "sudos",     "etc/machine-id", "lib/lamplighter/image",
        NULL};
    crew_free(crew);
    kill(host_pid, SIGKILL);
    waitpid(host_pid, NULL, 0);
    for (int i = 0; i < 1000 && ssh_answers(host_port); i++) {
        usleep(10000); /* It dies with its parent, in a moment. */
    }
    remove_files(names);
    rmdir(ssh_path("lib/lamplighter"));
    rmdir(ssh_path("lib"));
    rmdir(ssh_path("etc"));
    return 0;
}

static void await(const bool *it)
{
    struct err e = ERR_NULL;
    int64_t until_ms = clock_now_ms() + 60000;
    while (!*it && clock_now_ms() < until_ms) {
        assert_int_equal(crew_wait(crew, NULL, 0, clock_now_ms() + 100, &e), 0);
    }
    assert_true(*it);
}

static void put_target(struct message *request, unsigned port, const char *become)
{
    struct ssh_target target = ssh_target_for(port);
    struct message encoded = MESSAGE_NULL;
    target.become = become;
    ssh_target_encode(&target, &encoded);
    message_put_message(request, WIRE_TARGET, &encoded);
    message_deinit(&encoded);
}

/* Starts a request whose kind and own fields are in REQUEST. */
static void begin(struct want *want, struct message *request, enum crew_kind kind,
                  int64_t within_ms)
{
    struct err e = ERR_NULL;
    int64_t deadline_ms = clock_now_ms() + within_ms;
    message_put_int(request, WIRE_DEADLINE, deadline_ms);
    const struct crew_request ask = {
        .kind = kind, .message = request, .deadline_ms = deadline_ms, .data = want};
    *want = (struct want){.ended = false};
    if (crew_start(crew, &ask, &e) != 0) {
        fail_msg("%s", e.text);
    }
    message_deinit(request);
}

static void assert_says(const struct want *want, const char *words)
{
    if (strstr(want->text, words) == NULL) {
        fail_msg("expected '%s' in: %s", words, want->text);
    }
}

/* ---- reboot ---- */

static struct want greet(void)
{
    struct want want;
    struct message request = MESSAGE_NULL;
    message_init(&request, WIRE_GREET);
    put_target(&request, host_port, NULL);
    begin(&want, &request, CREW_SSH, PATIENCE_MS);
    await(&want.ended);
    assert_int_equal(want.outcome, WORK_DONE);
    assert_non_null(strstr(want.facts, "\"arch\""));
    assert_true(strlen(want.boot) > 36 && strchr(want.boot, '.') != NULL);
    return want;
}

static void test_greeting_tells_which_system(void **state)
{
    (void)state;
    struct want want = greet();
    assert_string_equal(want.machine_id, MACHINE_ID);
    assert_string_equal(want.image, "web@3");
    assert_string_equal(want.build, BUILD);
    /* What it says is data: another line, a longer one, none. */
    write_file("lib/lamplighter/image", "web@3 $(reboot)\n", 0644);
    want = greet();
    assert_string_equal(want.image, "");
    assert_string_equal(want.build, "");
    write_file("etc/machine-id", "", 0644);
    want = greet();
    assert_string_equal(want.machine_id, "");
    write_file("etc/machine-id", MACHINE_ID "\n", 0644);
    write_file("lib/lamplighter/image", "web@3 " BUILD "\n", 0644);
}

static struct want reboot_host(int64_t within_ms, const char *become)
{
    struct want want;
    struct message request = MESSAGE_NULL;
    message_init(&request, WIRE_REBOOT);
    put_target(&request, host_port, become);
    begin(&want, &request, CREW_SSH, within_ms);
    await(&want.ended);
    assert_true(want.has_result);
    return want;
}

static void test_reboot(void **state)
{
    (void)state;
    struct want before = greet();
    struct want again = greet();
    assert_string_equal(before.boot, again.boot);
    struct want done = reboot_host(PATIENCE_MS, NULL);
    if (done.outcome != WORK_DONE) {
        fail_msg("%s", done.text);
    }
    assert_string_not_equal(done.boot, before.boot);
    struct want after = greet();
    assert_string_equal(done.boot, after.boot);
}

static void test_reboot_by_force(void **state)
{
    (void)state;
    write_file("no-systemd", "", 0600);
    struct want done = reboot_host(PATIENCE_MS, NULL);
    assert_int_equal(done.outcome, WORK_DONE);
    struct str calls = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(str_read_file(&calls, ssh_path("calls"), 4096, &e), 0);
    assert_string_equal(str_text(&calls), "systemctl reboot\nreboot -f\n");
    str_deinit(&calls);
}

static void test_reboot_with_sudo(void **state)
{
    (void)state;
    struct want before = greet();
    struct want done = reboot_host(PATIENCE_MS, "sudo");
    assert_int_equal(done.outcome, WORK_DONE);
    assert_string_not_equal(done.boot, before.boot);
    assert_true(has_file("sudos"));
}

static void test_reboot_that_is_not_done(void **state)
{
    (void)state;
    write_file("stay-up", "", 0600);
    struct want want = reboot_host(3000, NULL);
    assert_int_equal(want.outcome, WORK_TRANSIENT);
    assert_says(&want, "web-1: was asked to reboot and has not in ");
    assert_says(&want, "still runs as before");
    (void)greet();
}

static void test_reboot_without_return(void **state)
{
    (void)state;
    write_file("stay-down", "", 0600);
    struct want want = reboot_host(5000, NULL);
    assert_int_equal(want.outcome, WORK_TRANSIENT);
    assert_says(&want, "went down to reboot and is not back after ");
    assert_says(&want, "refuses connections");
    assert_non_null(strstr(want.progress, "down; waiting until it is back"));
}

static void test_reboot_into_another_host(void **state)
{
    (void)state;
    write_file("other-key", "", 0600);
    struct want want = reboot_host(PATIENCE_MS, NULL);
    assert_int_equal(want.outcome, WORK_PERMANENT);
    assert_says(&want, "key");
}

static void test_reboot_of_nobody(void **state)
{
    (void)state;
    struct want want;
    struct message request = MESSAGE_NULL;
    message_init(&request, WIRE_REBOOT);
    put_target(&request, closed_port, NULL);
    begin(&want, &request, CREW_SSH, PATIENCE_MS);
    await(&want.ended);
    assert_int_equal(want.outcome, WORK_TRANSIENT);
    assert_says(&want, "refuses connections");
}

/* ---- check ---- */

static struct want check(const char *command, int64_t timeout_ms, const char *become)
{
    struct want want;
    struct message request = MESSAGE_NULL;
    message_init(&request, WIRE_CHECK_COMMAND);
    put_target(&request, host_port, become);
    message_put_text(&request, WIRE_COMMAND, command);
    message_put_int(&request, WIRE_TIMEOUT, timeout_ms);
    begin(&want, &request, CREW_SSH, timeout_ms + PATIENCE_MS);
    await(&want.ended);
    return want;
}

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int64_t status;
        const char *text;
    } cases[] = {
        {"true", 0, ""},
        {"echo fine; echo 'all is well'", 0, "all is well"},
        {"echo first; echo \"it's bad\" >&2; exit 3", 3, "it's bad"},
        {"printf 'last one'; exit 1", 1, "last one"},
        {"false", 1, "exit status 1, without a word"},
        {"printf 'red \\033[31malert\\007\\n\\n \\n'; exit 2", 2, "red [31malert"},
        {"nosuchcommand 2>/dev/null", 127, "exit status 127, without a word"},
        {"echo started; sleep 100", 124, "no answer within 700 ms; it said: started"},
        {"trap '' TERM; while :; do sleep 0.1; done", 137, "no answer within 700 ms"},
        {"read x; echo \"got $x\"; exit 1", 1, "got"},
        {"id -un; command -v ip >/dev/null", 0, "root"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool quick = cases[i].status == 124 || cases[i].status == 137;
        struct want want = check(cases[i].command, quick ? 700 : PATIENCE_MS, NULL);
        assert_int_equal(want.outcome, WORK_DONE);
        assert_int_equal(want.status, cases[i].status);
        assert_string_equal(want.text, cases[i].text);
    }
    struct want want = check("exit 4", PATIENCE_MS, "sudo");
    assert_int_equal(want.status, 4);
    assert_true(has_file("sudos"));
}

static void test_check_says_very_much(void **state)
{
    (void)state;
    struct want want = check("head -c 30000000 /dev/zero | tr '\\0' x", PATIENCE_MS, NULL);
    assert_int_equal(want.outcome, WORK_DONE);
    assert_int_not_equal(want.status, 0);
    assert_says(&want, "says too much");
    want = check("head -c 5000 /dev/zero | tr '\\0' x; exit 1", PATIENCE_MS, NULL);
    assert_int_equal(want.status, 1);
    assert_int_equal(strlen(want.text), 240);
}

static void test_check_of_nobody(void **state)
{
    (void)state;
    struct want want;
    struct message request = MESSAGE_NULL;
    message_init(&request, WIRE_CHECK_COMMAND);
    put_target(&request, closed_port, NULL);
    message_put_text(&request, WIRE_COMMAND, "true");
    begin(&want, &request, CREW_SSH, PATIENCE_MS);
    await(&want.ended);
    assert_int_equal(want.outcome, WORK_TRANSIENT);
    assert_int_equal(want.status, -1);
}

/* ---- hooks ---- */

static void begin_hook(struct want *want, const char *command, bool there, int64_t heartbeat_ms,
                       int64_t limit_ms)
{
    struct message request = MESSAGE_NULL;
    message_init(&request, WIRE_HOOK);
    if (there) {
        put_target(&request, host_port, NULL);
    }
    message_put_text(&request, WIRE_COMMAND, command);
    message_put_int(&request, WIRE_HEARTBEAT, heartbeat_ms);
    message_put_int(&request, WIRE_TIMEOUT, limit_ms);
    message_put_text(&request, WIRE_CLUSTER, "shop");
    message_put_text(&request, WIRE_GROUP, "web");
    message_put_text(&request, WIRE_INSTANCE, "web-1");
    message_put_text(&request, WIRE_ADDRESS, "10.77.1.11");
    message_put_text(&request, WIRE_ZONE, "rack-a");
    message_put_text(&request, WIRE_TRANSITION, "launching");
    begin(want, &request, there ? CREW_SSH : CREW_HOOK, limit_ms + PATIENCE_MS);
}

static struct want hook(const char *command, bool there, int64_t heartbeat_ms, int64_t limit_ms)
{
    struct want want;
    begin_hook(&want, command, there, heartbeat_ms, limit_ms);
    await(&want.ended);
    return want;
}

/* Whether a process with MARK in its command line lives, in any namespace. */
static bool lives(const char *mark)
{
    char *line =
        xasprintf("grep -qsa -e '%.1s[%c]%s' /proc/[0-9]*/cmdline", mark, mark[1], mark + 2);
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    struct err e = ERR_NULL;
    bool alive = process_run(argv, clock_now_ms() + PATIENCE_MS, NULL, &e) == 0;
    free(line);
    return alive;
}

static void await_life(const char *mark, bool alive)
{
    for (int i = 0; i < 500 && lives(mark) != alive; i++) {
        struct err e = ERR_NULL;
        crew_wait(crew, NULL, 0, clock_now_ms() + 20, &e);
    }
    assert_true(lives(mark) == alive);
}

static void test_hooks(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int64_t status;
        const char *text;
    } cases[] = {
        {"true", 0, ""},
        {"sh -c 'echo one; echo \"two words\"'", 0, "two words"},
        {"sh -c 'echo not yet; exit 3'", 3, "not yet"},
        {"false", 1, "exit status 1, without a word"},
        {"echo $HOME 'it'\"'\"'s' *.c ; x", 0, "$HOME it's *.c ; x"},
        {"sh -c 'echo $LAMPLIGHTER_CLUSTER $LAMPLIGHTER_GROUP $LAMPLIGHTER_INSTANCE "
         "$LAMPLIGHTER_ADDRESS $LAMPLIGHTER_ZONE $LAMPLIGHTER_TRANSITION'",
         0, "shop web web-1 10.77.1.11 rack-a launching"},
        {"sh -c 'read x; echo \"($x)\"; pwd'", 0, "/"},
        {"sh -c 'sleep 0.1; kill -9 $$'", 137, "exit status 137, without a word"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int there = 0; there < 2; there++) {
            struct want want = hook(cases[i].command, there, PATIENCE_MS, PATIENCE_MS);
            assert_true(want.has_result);
            assert_int_equal(want.outcome, WORK_DONE);
            assert_int_equal(want.status, cases[i].status);
            assert_string_equal(want.text, cases[i].text);
        }
    }
}

static void test_hook_heartbeat(void **state)
{
    (void)state;
    for (int there = 0; there < 2; there++) {
        struct want want = hook("sh -c 'for i in 1 2 3 4 5; do echo beat $i; sleep 0.4; done'",
                                there, 1500, PATIENCE_MS);
        assert_int_equal(want.status, 0);
        assert_non_null(strstr(want.progress, "hook: beat 1\n"));
        assert_non_null(strstr(want.progress, "hook: beat 5\n"));
        want = hook("sh -c 'echo begun; sleep 4711.25; echo never'", there, 700, PATIENCE_MS);
        assert_int_equal(want.outcome, WORK_DONE);
        assert_int_equal(want.status, 124);
        assert_string_equal(want.text, "was ended: it gave no sign of life for 700 ms (its "
                                       "heartbeat); it last said: begun");
        await_life("4711.25", false);
        want = hook("sh -c 'while echo on; do sleep 0.1; done; : 4711.26'", there, 700, 1500);
        assert_int_equal(want.status, 124);
        assert_says(&want, "was ended: it was not done within 1.5 s (its limit); it last said: on");
        await_life("4711.26", false);
    }
}

/* Nothing of a hook outlives it, its worker or the line. */
static void test_hooks_leave_nothing(void **state)
{
    (void)state;
    static const char command[] = "sh -c 'trap \"\" HUP TERM; sleep 4712.25 & sleep 4712.25; :'";
    struct want want;
    for (int there = 0; there < 2; there++) {
        want =
            hook("sh -c 'sleep 4712.25 >/dev/null 2>&1 & exit 0'", there, PATIENCE_MS, PATIENCE_MS);
        assert_int_equal(want.status, 0);
        await_life("4712.25", false);
        /* As when we are killed: the worker goes without a word. */
        begin_hook(&want, command, there, 600000, 600000);
        await_life("4712.25", true);
        crew_free(crew);
        for (int i = 0; i < 500 && lives("4712.25"); i++) {
            usleep(20000);
        }
        assert_false(lives("4712.25"));
        struct err e = ERR_NULL;
        const struct crew_callbacks callbacks = {.on_message = on_message, .on_end = on_end};
        assert_int_equal(crew_new(&crew, &e), 0);
        crew_set_callbacks(crew, &callbacks);
    }
}

static void test_bad_hooks(void **state)
{
    (void)state;
    struct want want = hook("/nonexistent/hook x", false, PATIENCE_MS, PATIENCE_MS);
    assert_int_equal(want.outcome, WORK_PERMANENT);
    assert_string_equal(want.text,
                        "/nonexistent/hook: cannot be started: No such file or directory");
    want = hook("/nonexistent/hook x", true, PATIENCE_MS, PATIENCE_MS);
    assert_int_equal(want.outcome, WORK_DONE);
    assert_int_equal(want.status, 127);
    assert_says(&want, "No such file or directory");
    for (int there = 0; there < 2; there++) {
        want = hook("sh -c 'open", there, PATIENCE_MS, PATIENCE_MS);
        assert_int_equal(want.outcome, WORK_PERMANENT);
        assert_string_equal(want.text, "the command ends inside a quote");
    }
    struct message request = MESSAGE_NULL;
    message_init(&request, WIRE_HOOK);
    put_target(&request, closed_port, NULL);
    message_put_text(&request, WIRE_COMMAND, "true");
    begin(&want, &request, CREW_SSH, PATIENCE_MS);
    await(&want.ended);
    assert_int_equal(want.outcome, WORK_TRANSIENT);
    assert_says(&want, "refuses connections");
}

/* ---- balancers ---- */

/* HAProxy as it answers over socat: three targets of pool web, of which web-2 is down. */
static const char haproxy_answers[] =
    "# pxname,svname,status,scur,qcur,lastchg,addr,check_status,check_code,check_duration,"
    "last_chk,\n"
    "web,web-1,UP,3,1,17,10.0.0.1:80,L7OK,200,2,,\n"
    "web,web-2,DOWN,0,0,4,10.0.0.2:80,L4CON,,0,,\n"
    "web,web-3,UP,0,0,9,10.0.0.3:80,L7OK,200,1,,\n\n"
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n"
    "3 web 1 web-1 10.0.0.1 2 0\n3 web 2 web-2 10.0.0.2 0 0\n3 web 3 web-3 10.0.0.3 2 0\n\n";

static struct want ask_balancer(uint16_t kind, const char *id, int64_t minimum)
{
    struct frontend_pool pool = {
        .name = "web",
        .check = {.tcp_only = true, .interval_ms = 1000, .timeout_ms = 1000, .rise = 1, .fall = 2},
        .drain_ms = 1000};
    const struct frontend_listener listener = {.port = 80};
    const struct frontend_route route = {.path = "/", .pool = "web"};
    const struct frontend_config config = {.name = "my-lb",
                                           .listeners = &listener,
                                           .listener_count = 1,
                                           .routes = &route,
                                           .route_count = 1,
                                           .pools = &pool,
                                           .pool_count = 1,
                                           .idle_timeout_ms = 30000};
    struct want want;
    struct message request = MESSAGE_NULL;
    struct message encoded = MESSAGE_NULL;
    message_init(&request, kind);
    put_target(&request, host_port, NULL);
    if (kind != WIRE_LOOK) {
        frontend_config_encode(&config, &encoded);
        message_put_message(&request, WIRE_CONFIG, &encoded);
        message_put_text(&request, WIRE_POOL, "web");
        message_put_text(&request, WIRE_INSTANCE, id);
        message_put_int(&request, WIRE_MINIMUM, minimum);
    }
    message_deinit(&encoded);
    begin(&want, &request, CREW_SSH, PATIENCE_MS);
    await(&want.ended);
    return want;
}

static const char targets[] = "web/web-1 up 4 L7OK/200 in 2 ms\n"
                              "web/web-2 down 0 L4CON in 0 ms\n"
                              "web/web-3 up 0 L7OK/200 in 1 ms\n";

static void assert_asked(const char *expected)
{
    struct str asked = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(str_read_file(&asked, ssh_path("asked"), 4096, &e), 0);
    assert_string_equal(str_text(&asked), expected);
    str_deinit(&asked);
    unlink(ssh_path("asked"));
}

static void test_balancer_look(void **state)
{
    (void)state;
    struct want want = ask_balancer(WIRE_LOOK, NULL, 0);
    assert_int_equal(want.outcome, WORK_DONE);
    assert_int_equal(want.count, 3);
    assert_string_equal(want.items, targets);
    assert_asked("show stat -1 4 -1; show servers state\n");
    write_file("no-haproxy", "", 0600);
    want = ask_balancer(WIRE_LOOK, NULL, 0);
    assert_int_equal(want.outcome, WORK_DONE);
    assert_int_equal(want.count, 0);
    unlink(ssh_path("no-haproxy"));
    unlink(ssh_path("asked"));
}

/* Refused: said with its numbers, with the targets, and with nothing asked that changes them. */
static void test_balancer_keeps_the_minimum(void **state)
{
    (void)state;
    struct want want = ask_balancer(WIRE_REMOVE, "web-1", 2);
    assert_int_equal(want.outcome, WORK_TRANSIENT);
    assert_string_equal(want.text, "web-1 stays: without it pool web would have 1 up here, and 2 "
                                   "must be (S19); nothing was done");
    assert_string_equal(want.items, targets);
    assert_asked("show stat -1 4 -1; show servers state\nshow stat -1 4 -1; show servers state\n");
}

static void make_stubs(void)
{
    mkdir(ssh_path("bin"), 0755);
    write_stub("systemctl", "echo systemctl \"$@\" >>$T/calls\n"
                            "[ ! -e $T/no-systemd ] || exit 1\n"
                            "[ -e $T/stay-up ] || kill -TERM 1");
    write_stub("reboot", "echo reboot \"$@\" >>$T/calls\nkill -TERM 1");
    write_file("answers", haproxy_answers, 0600);
    write_stub("flock", "shift 6\nexec \"$@\"");
    write_stub("socat", "cat >>$T/asked\n"
                        "[ ! -e $T/no-haproxy ] || { echo 'E connect: Connection refused' >&2; "
                        "exit 1; }\ncat $T/answers");
    write_stub("sudo", "echo sudo >>$T/sudos\nshift 2\nexec \"$@\"");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_greeting_tells_which_system),
        TEST(test_reboot),
        TEST(test_reboot_by_force),
        TEST(test_reboot_with_sudo),
        TEST(test_reboot_that_is_not_done),
        TEST(test_reboot_without_return),
        TEST(test_reboot_into_another_host),
        TEST(test_reboot_of_nobody),
        TEST(test_check),
        TEST(test_check_says_very_much),
        TEST(test_check_of_nobody),
        TEST(test_hooks),
        TEST(test_hook_heartbeat),
        TEST(test_hooks_leave_nothing),
        TEST(test_bad_hooks),
        TEST(test_balancer_look),
        TEST(test_balancer_keeps_the_minimum),
    };
    if (!ssh_server_possible()) {
        print_message("[  SKIPPED ] acts: no root, or no sshd\n");
        return 0;
    }
    ssh_keys_make();
    make_stubs();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ssh_keys_remove();
    return failed;
}
