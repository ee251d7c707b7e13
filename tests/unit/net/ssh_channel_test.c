/*
 * net/ssh_channel: commands against a real sshd. What comes back, what goes in, megabytes both ways
 * at once, and every way it can go wrong in the middle. What moves bytes, or loses them, runs
 * directly and through a bastion.
 */
#include "ssh_server.h"

#include <ctype.h>

#define MEGABYTES (6u << 20)

static struct ssh_server server;
static bool through_bastion;

static void write_program(const char *name, const char *text)
{
    int fd = open(ssh_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    if (!ssh_server_possible()) {
        return 0;
    }
    ssh_keys_make();
    mkdir(ssh_path("bin"), 0755);
    /* Stands in for sudo: -n --, then the command. */
    write_program("bin/sudo", "#!/bin/sh\n[ \"$1 $2\" = \"-n --\" ] || exit 9\nshift 2\n"
                              "exec \"$@\"\n");
    ssh_server_start(&server, "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (ssh_server_possible()) {
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

static struct ssh_target make_target(void)
{
    static struct ssh_target bastion;
    struct ssh_target target = ssh_target_for(server.port);
    bastion = ssh_target_for(server.port);
    bastion.name = "bastion";
    target.jump = through_bastion ? &bastion : NULL;
    return target;
}

static struct ssh_link *open_link(void)
{
    struct ssh_target target = make_target();
    return ssh_must_open(&target);
}

/* What a command printed. */
struct heard {
    struct str streams[3]; /* By number. */
    size_t total;
    size_t give_up_after;
};

static bool hear(void *context, struct ssh_link *link, int stream, const char *bytes, size_t length)
{
    struct heard *heard = context;
    (void)link;
    str_add_bytes(&heard->streams[stream], bytes, length);
    heard->total += length;
    return heard->give_up_after == 0 || heard->total < heard->give_up_after;
}

static void heard_deinit(struct heard *heard)
{
    str_deinit(&heard->streams[1]);
    str_deinit(&heard->streams[2]);
}

static void must_run(struct ssh_link *link, const struct ssh_command *command, int status)
{
    struct err e = ERR_NULL;
    int got = -1;
    enum ssh_outcome outcome = ssh_link_run(link, command, clock_now_ms() + PATIENCE_MS, &got, &e);
    if (outcome != SSH_OK) {
        fail_msg("%s: %s", ssh_outcome_to_string(outcome), e.text);
    }
    assert_int_equal(got, status);
}

static void test_results(void **state)
{
    NEEDS_SSHD;
    static const struct {
        const char *command;
        const char *input;
        int status;
        const char *output;
        const char *error;
    } cases[] = {
        {"true", "", 0, "", ""},
        {"exit 7", "", 7, "", ""},
        {"echo out; echo err >&2; exit 255", "", 255, "out\n", "err\n"},
        {"kill -TERM $$", "", 128 + 15, "", ""},
        {"kill -KILL $$", "", 128 + 9, "", ""},
        {"no-such-command 2>/dev/null", "", 127, "", ""},
        {"cat", "some\0bytes", 0, "some", ""},
        {"read a; read b; echo \"$b $a\"", "one\ntwo\n", 0, "two one\n", ""},
        {"head -n 1", "first\nsecond\n", 0, "first\n", ""},
        {"exec >&-; exec 2>&-; sleep 0.1; exit 5", "", 5, "", ""},
        {"printf '\\033[2J\\007\\r\\n'; printf '\\377\\200' >&2", "", 0, "\033[2J\007\r\n",
         "\xff\x80"},
        {"echo 'a b' \"c'd\"", "", 0, "a b c'd\n", ""},
    };
    struct ssh_link *link = open_link(); /* One for all: it stays good between commands. */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct heard heard = {.total = 0};
        const struct ssh_command command = {
            .command = cases[i].command,
            .input = cases[i].input,
            .input_length = strlen(cases[i].input),
            .on_output = hear,
            .context = &heard,
        };
        must_run(link, &command, cases[i].status);
        assert_string_equal(str_text(&heard.streams[1]), cases[i].output);
        assert_string_equal(str_text(&heard.streams[2]), cases[i].error);
        heard_deinit(&heard);
    }
    ssh_link_close(link);
}

/* Megabytes in and out at once: neither window may stop the other. */
static void test_much_both_ways(void **state)
{
    NEEDS_SSHD;
    struct ssh_link *link = open_link();
    struct heard heard = {.total = 0};
    char *bytes = malloc(MEGABYTES);
    for (size_t i = 0; i < MEGABYTES; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    const struct ssh_command command = {
        .command = "cat",
        .input = bytes,
        .input_length = MEGABYTES,
        .on_output = hear,
        .context = &heard,
    };
    must_run(link, &command, 0);
    assert_int_equal(heard.streams[1].length, MEGABYTES);
    assert_memory_equal(heard.streams[1].text, bytes, MEGABYTES);
    heard_deinit(&heard);
    free(bytes);
    ssh_link_close(link);
}

/* Both streams full at once; and input for one that reads none of it. */
static void test_both_streams_and_unread_input(void **state)
{
    NEEDS_SSHD;
    struct ssh_link *link = open_link();
    struct heard heard = {.total = 0};
    char *bytes = calloc(MEGABYTES, 1);
    const struct ssh_command command = {
        .command = "head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait",
        .input = bytes,
        .input_length = MEGABYTES,
        .on_output = hear,
        .context = &heard,
    };
    must_run(link, &command, 0);
    assert_int_equal(heard.streams[1].length, 3000000);
    assert_int_equal(heard.streams[2].length, 3000000);
    heard_deinit(&heard);
    free(bytes);
    must_run(link, &(struct ssh_command){.command = "true"}, 0);
    ssh_link_close(link);
}

/* A conversation: each line it says is answered; the third answer is the last. */
static bool converse(void *context, struct ssh_link *link, int stream, const char *bytes,
                     size_t length)
{
    unsigned *count = context;
    (void)stream;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n') {
            continue;
        }
        char *large = malloc(200000);
        memset(large, 'a' + (int)*count, 200000);
        large[199999] = '\n';
        ssh_link_write(link, large, 200000);
        free(large);
        if (++*count == 3) {
            ssh_link_eof(link);
        }
    }
    return true;
}

static void test_conversation(void **state)
{
    NEEDS_SSHD;
    struct ssh_link *link = open_link();
    unsigned count = 0;
    const struct ssh_command command = {
        .command = "read start; test \"$start\" = go || exit 1\n"
                   "for i in 1 2 3; do echo need; head -c 200000 | wc -c | grep -qx 200000 ||"
                   " exit 2; done; cat | wc -c | grep -qx 0 || exit 3; exit 42",
        .input = "go\n",
        .input_length = 3,
        .keep_input_open = true,
        .on_output = converse,
        .context = &count,
    };
    must_run(link, &command, 42);
    assert_int_equal(count, 3);
    ssh_link_close(link);
}

static void test_failures(void **state)
{
    NEEDS_SSHD;
    static const struct {
        const char *command;
        size_t output_max;
        int64_t read_timeout_ms;
        int64_t within_ms;
        size_t give_up_after;
        enum ssh_outcome outcome;
        const char *text;
    } cases[] = {
        {"yes", 100000, 0, PATIENCE_MS, 0, SSH_FLOODED, "printed more than 97 KiB"},
        {"yes >&2", 100000, 0, PATIENCE_MS, 0, SSH_FLOODED, "printed more than 97 KiB"},
        {"yes", 1u << 30, 0, 300, 0, SSH_TIMEOUT, "not done with running a command within"},
        {"sleep 5", 0, 0, 300, 0, SSH_TIMEOUT, "not done with running a command within"},
        {"echo begun; sleep 5", 0, 200, PATIENCE_MS, 0, SSH_TIMEOUT, "silent for 200 ms"},
        {"kill -KILL $PPID; sleep 5", 0, 0, PATIENCE_MS, 0, SSH_LOST, "while running a command"},
        {"echo begun; kill -KILL $PPID; sleep 5", 0, 0, PATIENCE_MS, 0, SSH_LOST,
         "while running a command"},
        {"yes", 0, 0, PATIENCE_MS, 5000, SSH_LOST, "given up"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ssh_link *link = open_link();
        struct heard heard = {.give_up_after = cases[i].give_up_after};
        struct err e = ERR_NULL;
        int status = -77;
        const struct ssh_command command = {
            .command = cases[i].command,
            .output_max = cases[i].output_max,
            .read_timeout_ms = cases[i].read_timeout_ms,
            .on_output = hear,
            .context = &heard,
        };
        enum ssh_outcome outcome =
            ssh_link_run(link, &command, clock_now_ms() + cases[i].within_ms, &status, &e);
        if (outcome != cases[i].outcome || strstr(e.text, cases[i].text) == NULL ||
            !text_starts(e.text, "web-1 (127.0.0.1:")) {
            fail_msg("case %zu: %s: %s", i, ssh_outcome_to_string(outcome), e.text);
        }
        assert_int_equal(status, -77);
        heard_deinit(&heard);
        ssh_link_close(link);
    }
}

/* A dead link says so again, and at once. */
static void test_after_loss(void **state)
{
    NEEDS_SSHD;
    struct ssh_link *link = open_link();
    struct str output = STR_NULL;
    struct err e = ERR_NULL;
    int status;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ssh_link_exec(link, "kill -KILL $PPID; sleep 5", 0,
                                       clock_now_ms() + PATIENCE_MS, &output, &status, &e),
                         SSH_LOST);
        assert_true(e.text[0] != '\0');
    }
    str_deinit(&output);
    ssh_link_close(link);
}

static void test_exec(void **state)
{
    NEEDS_SSHD;
    struct ssh_link *link = open_link();
    struct str output = STR_NULL;
    struct err e = ERR_NULL;
    int status = -1;
    assert_int_equal(ssh_link_exec(link, "echo a; echo b >&2; exit 3", 1000,
                                   clock_now_ms() + PATIENCE_MS, &output, &status, &e),
                     SSH_OK);
    assert_int_equal(status, 3);
    assert_int_equal(output.length, 4);
    str_deinit(&output);
    ssh_link_close(link);
}

static void test_become(void **state)
{
    NEEDS_SSHD;
    struct ssh_target target = make_target();
    target.become = "sudo";
    struct ssh_link *link = ssh_must_open(&target);
    struct heard heard = {.total = 0};
    const struct ssh_command awkward = {
        .command = "echo 'it'\"'\"'s' \"$0\" '$HOME'; printf '%s\\n' \"a  b\"; exit 1",
        .on_output = hear,
        .context = &heard,
    };
    must_run(link, &awkward, 1);
    assert_string_equal(str_text(&heard.streams[1]), "it's sh $HOME\na  b\n");
    heard_deinit(&heard);
    ssh_link_close(link);
}

/* Sudo's refusals are told from failures of the command, and made printable on the way. */
static void test_become_refused(void **state)
{
    NEEDS_SSHD;
    static const struct {
        const char *said;
        int status;
        enum ssh_outcome outcome;
        const char *text;
    } cases[] = {
        {"sudo: a password is required", 1, SSH_REFUSED, "NOPASSWD"},
        {"sudo: unable to resolve host web-1\nsudo: a password is required", 1, SSH_REFUSED,
         "(sudo: a password is required)"},
        {"Sorry, user admin is not allowed to execute 'sh' as root on web-1.", 1, SSH_REFUSED,
         "NOPASSWD"},
        {"admin is not in the sudoers file.\033[2J\007", 1, SSH_REFUSED, "NOPASSWD"},
        {"sh: 1: sudo: not found", 127, SSH_REFUSED, "install it"},
        {"bash: line 1: sudo: command not found", 127, SSH_REFUSED, "install it"},
        {"sudo: unable to resolve host web-1", 1, SSH_OK, ""},
        {"sudo: unable to resolve host web-1\nsh: 1: foo: not found", 127, SSH_OK, ""},
        {"sudo: a password is required", 2, SSH_OK, ""},
    };
    struct ssh_target target = make_target();
    target.become = "says"; /* Stands in for sudo: says what the case wants, ends as it wants. */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char program[300];
        struct err e = ERR_NULL;
        int status = -77;
        snprintf(program, sizeof(program), "#!/bin/sh\ncat >&2 <<'END'\n%s\nEND\nexit %d\n",
                 cases[i].said, cases[i].status);
        write_program("bin/says", program);
        struct ssh_link *link = ssh_must_open(&target);
        enum ssh_outcome outcome = ssh_link_run(link, &(struct ssh_command){.command = "true"},
                                                clock_now_ms() + PATIENCE_MS, &status, &e);
        if (outcome != cases[i].outcome || strstr(e.text, cases[i].text) == NULL) {
            fail_msg("case %zu: %s: %s", i, ssh_outcome_to_string(outcome), e.text);
        }
        assert_int_equal(status, outcome == SSH_OK ? cases[i].status : -77);
        for (const char *c = e.text; *c != '\0'; c++) {
            assert_true(isprint((unsigned char)*c));
        }
        ssh_link_close(link);
    }
}

static int directly(void **state)
{
    (void)state;
    through_bastion = false;
    return 0;
}

static int jumping(void **state)
{
    (void)state;
    through_bastion = true;
    return 0;
}

#define BOTH_WAYS(test)                                                                            \
    cmocka_unit_test_setup(test, directly),                                                        \
    {                                                                                              \
#test " through a bastion", test, jumping, NULL, NULL                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_results, directly),
        BOTH_WAYS(test_much_both_ways),
        BOTH_WAYS(test_both_streams_and_unread_input),
        BOTH_WAYS(test_conversation),
        BOTH_WAYS(test_failures),
        BOTH_WAYS(test_after_loss),
        cmocka_unit_test_setup(test_exec, directly),
        cmocka_unit_test_setup(test_become, directly),
        cmocka_unit_test_setup(test_become_refused, directly),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
