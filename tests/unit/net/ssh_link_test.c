/*
 * net/ssh_link: every way an attempt to connect can end, against real sshd processes and against
 * servers that mean harm. Each case says which outcome, and what the admin reads.
 */
#include "ssh_server.h"

static struct ssh_server server;

static int set_up(void **state)
{
    (void)state;
    if (ssh_server_possible()) {
        ssh_keys_make();
        ssh_server_start(&server, "");
    }
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

static void test_pinned_key(void **state)
{
    NEEDS_SSHD;
    struct ssh_target target = ssh_target_for(server.port);
    struct ssh_link *link = ssh_must_open(&target);
    assert_string_equal(ssh_link_host_key(link), ssh_host_key);
    ssh_link_close(link);
    ssh_link_close(NULL);
}

/* As ssh-keygen prints it; and localhost by name. */
static void test_pinned_fingerprint(void **state)
{
    NEEDS_SSHD;
    const char *argv[] = {"/usr/bin/ssh-keygen", "-l", "-f", ssh_path("host.pub"), NULL};
    char *output = NULL;
    char fingerprint[64];
    struct err e = ERR_NULL;
    assert_int_equal(process_run(argv, clock_now_ms() + PATIENCE_MS, &output, &e), 0);
    assert_int_equal(sscanf(output, "256 %63s", fingerprint), 1);
    free(output);
    struct ssh_target target = ssh_target_for(server.port);
    target.address = "localhost";
    target.host_key = fingerprint;
    struct ssh_link *link = ssh_must_open(&target);
    assert_string_equal(ssh_link_host_key(link), ssh_host_key);
    ssh_link_close(link);
    fingerprint[20] = (char)(fingerprint[20] == 'A' ? 'B' : 'A');
    ssh_must_fail(&target, PATIENCE_MS, SSH_KEY_MISMATCH, fingerprint);
}

static void test_wrong_pin(void **state)
{
    NEEDS_SSHD;
    struct str stranger = STR_NULL;
    struct err e = ERR_NULL;
    char longer[300];
    assert_int_equal(str_read_file(&stranger, ssh_path("stranger.pub"), 4096, &e), 0);
    str_trim(&stranger);
    snprintf(longer, sizeof(longer), "%sAAAA", ssh_host_key);
    const char *const pins[] = {
        str_text(&stranger), longer,        "", "ssh-ed25519 ", "ssh-ed25519 !!!",
        "SHA256:",           "ssh-rsa AAAA"};
    for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
        struct ssh_target target = ssh_target_for(server.port);
        target.host_key = pins[i];
        ssh_must_fail(&target, PATIENCE_MS, SSH_KEY_MISMATCH, "shows another host key (SHA256:");
    }
    str_deinit(&stranger);
}

static void test_login_refused(void **state)
{
    NEEDS_SSHD;
    ssh_copy_file("login", "open-to-all", 0644);
    static const struct {
        const char *key;
        const char *user;
        const char *text;
    } cases[] = {
        {"stranger", "root", "authorized_keys"},
        {"login", "nosuchuser", "does not let us in as nosuchuser"},
        {"locked", "root", "has a passphrase"},
        {"rsa", "root", "RSA key"},
        {"login.pub", "root", "is not a private key"},
        {"absent", "root", "No such file"},
        {"open-to-all", "root", "chmod 600"},
    };
    chmod(ssh_path("login.pub"), 0600);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ssh_target target = ssh_target_for(server.port);
        target.key_file = ssh_path(cases[i].key);
        target.user = cases[i].user;
        ssh_must_fail(&target, PATIENCE_MS, SSH_REFUSED, cases[i].text);
    }
    struct ssh_target target = ssh_target_for(server.port);
    target.key_file = NULL;
    ssh_must_fail(&target, PATIENCE_MS, SSH_REFUSED, "neither a key file nor an agent");
}

static void test_weak_server(void **state)
{
    NEEDS_SSHD;
    char rsa_only[160];
    snprintf(rsa_only, sizeof(rsa_only), "HostKeyAlgorithms rsa-sha2-512\nHostKey %s",
             ssh_path("host-rsa"));
    const char *const configs[] = {
        "KexAlgorithms diffie-hellman-group14-sha1",
        "Ciphers aes256-gcm@openssh.com",
        "MACs umac-64@openssh.com",
        rsa_only,
    };
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct ssh_server weak;
        ssh_server_start(&weak, configs[i]);
        struct ssh_target target = ssh_target_for(weak.port);
        ssh_must_fail(&target, PATIENCE_MS, SSH_WEAK, "offers no method that is allowed here");
        ssh_server_stop(&weak);
    }
}

static void test_nobody_listens(void **state)
{
    (void)state;
    unsigned port;
    close(ssh_listen(&port));
    struct ssh_target target = ssh_target_for(port);
    ssh_must_fail(&target, PATIENCE_MS, SSH_UNREACHABLE, "refuses connections");
}

/* A queue that is full does not answer: the connection itself times out. */
static void test_connect_timeout(void **state)
{
    (void)state;
    unsigned port;
    int listener = ssh_listen(&port);
    assert_int_equal(listen(listener, 0), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int clients[4];
    for (size_t i = 0; i < 4; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&address, sizeof(address));
    }
    struct ssh_target target = ssh_target_for(port);
    target.connect_timeout_ms = 200;
    ssh_must_fail(&target, PATIENCE_MS, SSH_TIMEOUT, "no connection within");
    for (size_t i = 0; i < 4; i++) {
        close(clients[i]);
    }
    close(listener);
}

/* What a hostile server does with a connection, in a process of its own. */
enum malice {
    MALICE_SILENT,
    MALICE_CLOSES,
    MALICE_NOT_SSH,
    MALICE_PENALTY,
    MALICE_CROWDED,
    MALICE_ENDLESS_LINE,
    MALICE_ENDLESS_LINES,
    MALICE_BANNER_THEN_CLOSES,
    MALICE_BANNER_THEN_SILENT,
    MALICE_BANNER_THEN_NOISE,
    MALICE_BANNER_THEN_ENDLESS_PACKETS,
};

static void say(int fd, const char *bytes, size_t length)
{
    (void)!send(fd, bytes, length, MSG_NOSIGNAL);
}

static void say_for_ever(int fd, const char *bytes, size_t length)
{
    while (send(fd, bytes, length, MSG_NOSIGNAL) > 0) {
    }
}

static void misbehave(int fd, enum malice malice)
{
    static const char banner[] = "SSH-2.0-OpenSSH_9.2\r\n";
    static const char noise[] = "\xff\xff\xff\xf0\x06\x14garbage\xff\xff\xff\xff\x1b[2J and more, "
                                "much longer than it said at first";
    /* SSH_MSG_IGNORE with an empty string: 12 bytes of packet, unencrypted. */
    static const char ignore[] = "\0\0\0\x0c\x06\x02\0\0\0\0\0\0\0\0\0\0";
    static char line[4096];
    memset(line, 'x', sizeof(line));
    if (malice >= MALICE_BANNER_THEN_CLOSES) {
        say(fd, banner, sizeof(banner) - 1);
    }
    switch (malice) {
    case MALICE_CLOSES:
    case MALICE_BANNER_THEN_CLOSES: return;
    case MALICE_NOT_SSH: say(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28); return;
    case MALICE_PENALTY: say(fd, "Not allowed at this time\r\n", 26); return;
    case MALICE_CROWDED: say(fd, "Exceeded MaxStartups\r\n", 22); return;
    case MALICE_ENDLESS_LINE: say_for_ever(fd, line, sizeof(line)); return;
    case MALICE_ENDLESS_LINES:
        line[100] = '\n';
        say_for_ever(fd, line, 101);
        return;
    case MALICE_BANNER_THEN_NOISE: say(fd, noise, sizeof(noise) - 1); break;
    case MALICE_BANNER_THEN_ENDLESS_PACKETS: say_for_ever(fd, ignore, 16); return;
    case MALICE_SILENT:
    case MALICE_BANNER_THEN_SILENT: break;
    }
    char bytes[256];
    while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
    }
}

static pid_t start_malice(enum malice malice, unsigned *ret_port)
{
    int listener = ssh_listen(ret_port);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        misbehave(fd, malice);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    close(listener);
    return pid;
}

static void test_hostile_servers(void **state)
{
    (void)state;
    static const struct {
        enum malice malice;
        int64_t within_ms;
        enum ssh_outcome outcome;
        const char *text;
    } cases[] = {
        {MALICE_SILENT, 300, SSH_TIMEOUT, "not done with exchanging keys within"},
        {MALICE_CLOSES, PATIENCE_MS, SSH_LOST, "closed the connection while exchanging keys"},
        {MALICE_NOT_SSH, PATIENCE_MS, SSH_LOST, "does not speak SSH"},
        {MALICE_PENALTY, PATIENCE_MS, SSH_LOST, "PerSourcePenalties"},
        {MALICE_CROWDED, PATIENCE_MS, SSH_LOST, "MaxStartups"},
        {MALICE_ENDLESS_LINE, PATIENCE_MS, SSH_FLOODED, "gave up reading"},
        {MALICE_ENDLESS_LINES, PATIENCE_MS, SSH_FLOODED, "gave up reading"},
        {MALICE_BANNER_THEN_CLOSES, PATIENCE_MS, SSH_LOST, "while exchanging keys"},
        {MALICE_BANNER_THEN_SILENT, 300, SSH_TIMEOUT, "not done with exchanging keys within"},
        {MALICE_BANNER_THEN_NOISE, PATIENCE_MS, SSH_LOST, "while exchanging keys"},
        {MALICE_BANNER_THEN_ENDLESS_PACKETS, PATIENCE_MS, SSH_FLOODED, "gave up reading"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned port;
        pid_t pid = start_malice(cases[i].malice, &port);
        struct ssh_target target = ssh_target_for(port);
        ssh_must_fail(&target, cases[i].within_ms, cases[i].outcome, cases[i].text);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* Accepting a connection is not enough: the login must be done in the same time. */
static void test_login_takes_too_long(void **state)
{
    (void)state;
    unsigned port;
    pid_t pid = start_malice(MALICE_SILENT, &port);
    struct ssh_target target = ssh_target_for(port);
    target.connect_timeout_ms = 200;
    int64_t begun_ms = clock_now_ms();
    ssh_must_fail(&target, PATIENCE_MS, SSH_TIMEOUT, "not done with exchanging keys within");
    assert_true(clock_now_ms() - begun_ms < PATIENCE_MS / 2);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Silence has its own limit, and says so, long before the deadline. */
static void test_silence(void **state)
{
    (void)state;
    unsigned port;
    pid_t pid = start_malice(MALICE_BANNER_THEN_SILENT, &port);
    struct ssh_target target = ssh_target_for(port);
    target.read_timeout_ms = 200;
    ssh_must_fail(&target, PATIENCE_MS, SSH_TIMEOUT, "silent for 200 ms while exchanging keys");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_bastion(void **state)
{
    NEEDS_SSHD;
    struct ssh_server bastion;
    ssh_server_start(&bastion, "");
    struct ssh_target first = ssh_target_for(bastion.port);
    struct ssh_target second = ssh_target_for(server.port);
    struct ssh_target target = ssh_target_for(server.port);
    first.name = "bastion";
    second.name = "inner-bastion";
    target.jump = &first;
    ssh_link_close(ssh_must_open(&target));
    second.jump = &first;
    target.jump = &second;
    ssh_link_close(ssh_must_open(&target));
    ssh_server_stop(&bastion);
    ssh_must_fail(&target, PATIENCE_MS, SSH_UNREACHABLE, "bastion (127.0.0.1:");
}

static void test_bastion_failures(void **state)
{
    NEEDS_SSHD;
    struct ssh_server closed;
    unsigned nobody;
    close(ssh_listen(&nobody));
    ssh_server_start(&closed, "AllowTcpForwarding no");
    struct ssh_target forbids = ssh_target_for(closed.port);
    struct ssh_target impostor = ssh_target_for(server.port);
    struct ssh_target stranger = ssh_target_for(server.port);
    struct ssh_target good = ssh_target_for(server.port);
    impostor.host_key = "SHA256:another";
    stranger.key_file = ssh_path("stranger");
    const struct {
        const struct ssh_target *jump;
        unsigned port;
        enum ssh_outcome outcome;
        const char *text;
    } cases[] = {
        {&forbids, server.port, SSH_UNREACHABLE, "AllowTcpForwarding"},
        {&good, nobody, SSH_UNREACHABLE, "cannot reach it"},
        {&impostor, server.port, SSH_KEY_MISMATCH, "through its bastion"},
        {&stranger, server.port, SSH_REFUSED, "through its bastion"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ssh_target target = ssh_target_for(cases[i].port);
        target.name = "web-2";
        target.jump = cases[i].jump;
        ssh_must_fail(&target, PATIENCE_MS, cases[i].outcome, cases[i].text);
    }
    ssh_server_stop(&closed);
    /* The host behind a good bastion never answers. */
    pid_t pid = start_malice(MALICE_SILENT, &nobody);
    struct ssh_target target = ssh_target_for(nobody);
    target.jump = &good;
    target.read_timeout_ms = 200;
    ssh_must_fail(&target, PATIENCE_MS, SSH_TIMEOUT, "silent for 200 ms");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static pid_t start_agent(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        execl("/usr/bin/ssh-agent", "ssh-agent", "-D", "-a", getenv("SSH_AUTH_SOCK"), (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && access(getenv("SSH_AUTH_SOCK"), F_OK) != 0; i++) {
        usleep(5000);
    }
    return pid;
}

static void add_to_agent(const char *key)
{
    char *command = NULL;
    assert_true(asprintf(&command, "SSH_AUTH_SOCK=%s exec ssh-add -q %s", getenv("SSH_AUTH_SOCK"),
                         ssh_path(key)) > 0);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    ssh_must_run(argv);
    free(command);
}

static void test_agent(void **state)
{
    NEEDS_SSHD;
    struct ssh_target target = ssh_target_for(server.port);
    target.key_file = NULL;
    target.use_agent = true;
    unsetenv("SSH_AUTH_SOCK");
    ssh_must_fail(&target, PATIENCE_MS, SSH_REFUSED, "no SSH agent answers");
    setenv("SSH_AUTH_SOCK", ssh_path("agent"), 1);
    ssh_must_fail(&target, PATIENCE_MS, SSH_REFUSED, "no SSH agent answers");
    pid_t agent = start_agent();
    ssh_must_fail(&target, PATIENCE_MS, SSH_REFUSED, "any of the agent's 0 keys");
    add_to_agent("stranger");
    ssh_must_fail(&target, PATIENCE_MS, SSH_REFUSED, "any of the agent's 1 keys");
    add_to_agent("login");
    ssh_link_close(ssh_must_open(&target));
    /* A key file that does not do falls back to the agent, through a bastion too. */
    struct ssh_target bastion = target;
    target.key_file = ssh_path("locked");
    target.jump = &bastion;
    ssh_link_close(ssh_must_open(&target));
    kill(agent, SIGTERM);
    waitpid(agent, NULL, 0);
    unsetenv("SSH_AUTH_SOCK");
}

static void test_deadline_passed(void **state)
{
    NEEDS_SSHD;
    struct ssh_target target = ssh_target_for(server.port);
    ssh_must_fail(&target, -1, SSH_TIMEOUT, "web-1 (127.0.0.1:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pinned_key),
        cmocka_unit_test(test_pinned_fingerprint),
        cmocka_unit_test(test_wrong_pin),
        cmocka_unit_test(test_login_refused),
        cmocka_unit_test(test_weak_server),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_hostile_servers),
        cmocka_unit_test(test_login_takes_too_long),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_bastion),
        cmocka_unit_test(test_bastion_failures),
        cmocka_unit_test(test_agent),
        cmocka_unit_test(test_deadline_passed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
