/*
 * For the tests of net/ssh_*: real sshd processes on loopback, with keys of their own in a
 * temporary directory, and a hostile one that says what a test tells it to. Needs root (sshd does).
 */
#ifndef TESTS_UNIT_NET_SSH_SERVER_H
#define TESTS_UNIT_NET_SSH_SERVER_H

#include "base/clock.h"
#include "base/err.h"
#include "base/process.h"
#include "base/str.h"
#include "net/ssh_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSH_SERVER_PROGRAM "/usr/sbin/sshd"
#define PATIENCE_MS        60000

struct ssh_server {
    pid_t pid; /* 0: not running. */
    unsigned port;
};

/* The directory with the keys; made by ssh_keys_make(). */
static char ssh_dir[64];
static char ssh_host_key[256];  /* "ssh-ed25519 BASE64" */
static char ssh_login_key[128]; /* Path of the key that is let in. */

/* One of the last eight paths asked for. */
static inline char *ssh_path(const char *name)
{
    static char paths[8][128];
    static size_t next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", ssh_dir, name);
    return path;
}

static inline void ssh_must_run(const char *const *argv)
{
    struct err e = ERR_NULL;
    if (process_run(argv, clock_now_ms() + PATIENCE_MS, NULL, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
}

static inline void ssh_make_key(const char *name, const char *type, const char *passphrase)
{
    /* ed25519 takes no notice of the size. */
    const char *argv[] = {
        "/usr/bin/ssh-keygen", "-q", "-t", type, "-b", "2048", "-N", passphrase, "-C", "", "-f",
        ssh_path(name),        NULL};
    ssh_must_run(argv);
}

static inline void ssh_copy_file(const char *from, const char *to, mode_t mode)
{
    struct str text = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(str_read_file(&text, ssh_path(from), 65536, &e), 0);
    int fd = open(ssh_path(to), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_int_equal(write(fd, text.text, text.length), (ssize_t)text.length);
    close(fd);
    str_deinit(&text);
}

/* False when this machine cannot run sshd: then the tests are skipped. */
static inline bool ssh_server_possible(void)
{
    return geteuid() == 0 && access(SSH_SERVER_PROGRAM, X_OK) == 0;
}

/* Keys: host, host-rsa, login (authorized), stranger, locked (passphrase), rsa. */
static inline void ssh_keys_make(void)
{
    snprintf(ssh_dir, sizeof(ssh_dir), "/tmp/lamplighter-ssh-XXXXXX");
    if (mkdtemp(ssh_dir) == NULL || (mkdir("/run/sshd", 0755) != 0 && errno != EEXIST)) {
        abort();
    }
    ssh_make_key("host", "ed25519", "");
    ssh_make_key("host-rsa", "rsa", "");
    ssh_make_key("login", "ed25519", "");
    text_copy(ssh_login_key, sizeof(ssh_login_key), ssh_path("login"));
    ssh_make_key("stranger", "ed25519", "");
    ssh_make_key("locked", "ed25519", "a passphrase");
    ssh_make_key("rsa", "rsa", "");
    ssh_copy_file("login.pub", "authorized_keys", 0600);
    struct str key = STR_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(str_read_file(&key, ssh_path("host.pub"), 4096, &e), 0);
    str_trim(&key);
    text_copy(ssh_host_key, sizeof(ssh_host_key), str_text(&key));
    str_deinit(&key);
}

static inline void ssh_keys_remove(void)
{
    const char *argv[] = {"/bin/rm", "-rf", ssh_dir, NULL};
    ssh_must_run(argv);
}

static inline int ssh_listen(unsigned *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        abort();
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline bool ssh_answers(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return answers;
}

/* Many logins fail here, all from one address; the sshd of Debian 13 would soon answer none. Older
   ones do not know the word. */
static inline const char *ssh_no_penalties(void)
{
    const char *argv[] = {
        SSH_SERVER_PROGRAM,      "-T", "-f", "/dev/null", "-h", ssh_path("host"), "-o",
        "PerSourcePenalties=no", NULL};
    struct err e = ERR_NULL;
    return process_run(argv, clock_now_ms() + PATIENCE_MS, NULL, &e) == 0 ? "PerSourcePenalties no"
                                                                          : "";
}

static inline void ssh_write_config(const char *path, unsigned port, const char *extra)
{
    FILE *file = fopen(path, "we");
    /* sshd takes the first value of a keyword, so what a test wants comes first. */
    fprintf(file,
            "%s\nListenAddress 127.0.0.1\nPort %u\nHostKey %s\nAuthorizedKeysFile %s\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\n"
            "LogLevel QUIET\nSetEnv PATH=%s:/usr/bin:/bin LC_ALL=C HOME=/nonexistent\nMaxStartups "
            "100\n%s\n",
            extra, port, ssh_path("host"), ssh_path("authorized_keys"), ssh_path("bin"),
            ssh_no_penalties());
    fclose(file);
}

/* Starts sshd with EXTRA lines of configuration, which win over the usual ones. */
static inline void ssh_server_start(struct ssh_server *server, const char *extra)
{
    char config[128];
    int probe = ssh_listen(&server->port);
    close(probe);
    snprintf(config, sizeof(config), "%s/sshd-%u", ssh_dir, server->port);
    ssh_write_config(config, server->port, extra);
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execl(SSH_SERVER_PROGRAM, SSH_SERVER_PROGRAM, "-D", "-f", config, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && !ssh_answers(server->port); i++) {
        usleep(5000);
    }
}

static inline void ssh_server_stop(struct ssh_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

static inline struct ssh_target ssh_target_for(unsigned port)
{
    return (struct ssh_target){
        .name = "web-1",
        .address = "127.0.0.1",
        .port = port,
        .user = "root",
        .host_key = ssh_host_key,
        .key_file = ssh_login_key,
        .connect_timeout_ms = PATIENCE_MS,
        .read_timeout_ms = PATIENCE_MS,
    };
}

/* A link that must open. */
static inline struct ssh_link *ssh_must_open(const struct ssh_target *target)
{
    struct ssh_link *link = NULL;
    struct err e = ERR_NULL;
    enum ssh_outcome outcome = ssh_link_open(&link, target, clock_now_ms() + PATIENCE_MS, &e);
    if (outcome != SSH_OK) {
        fail_msg("%s: %s", ssh_outcome_to_string(outcome), e.text);
    }
    return link;
}

/* An attempt that must end with OUTCOME and a line that names the host and holds TEXT. */
static inline void ssh_must_fail(const struct ssh_target *target, int64_t within_ms,
                                 enum ssh_outcome outcome, const char *text)
{
    struct ssh_link *link = NULL;
    struct err e = ERR_NULL;
    enum ssh_outcome got = ssh_link_open(&link, target, clock_now_ms() + within_ms, &e);
    if (got != outcome || strstr(e.text, text) == NULL || !text_starts(e.text, target->name)) {
        fail_msg("wanted %s and '%s'; got %s: %s", ssh_outcome_to_string(outcome), text,
                 ssh_outcome_to_string(got), e.text);
    }
    assert_null(link);
}

#endif
