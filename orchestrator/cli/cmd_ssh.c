/*
 * lamplighter ssh: the OpenSSH client, with the pinned key and nothing trusted on first use. The
 * key is first checked over our own link, which also turns a fingerprint into the whole key.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GREET_LIMIT_MS 30000

struct greeting {
    char *host_key; /* NULL until greeted. */
    char *failure;
};

static void ignore_message(void *context, struct job *job, const struct message *message)
{
    (void)context;
    (void)job;
    (void)message;
}

static void on_end(void *context, struct job *job, enum work_outcome outcome,
                   const struct message *result, const char *text)
{
    struct greeting *g = context;
    (void)job;
    const char *key = result == NULL ? NULL : message_text(result, WIRE_HOST_KEY, NULL);
    if (outcome == WORK_DONE && key != NULL) {
        g->host_key = xstrdup(key);
    } else {
        g->failure = xstrdup(text == NULL ? "no answer" : text);
    }
}

static int greet(const struct session *s, size_t member, struct greeting *g, struct err *e)
{
    const struct crew_callbacks callbacks = {
        .on_message = ignore_message, .on_end = on_end, .context = g};
    crew_set_callbacks(s->crew, &callbacks);
    struct message request = MESSAGE_NULL;
    int64_t deadline_ms = clock_now_ms() + s->site.spec->login.connect_timeout_ms;
    message_init(&request, WIRE_GREET);
    message_put_int(&request, WIRE_DEADLINE, deadline_ms);
    message_put_int(&request, WIRE_KEY_ONLY,
                    1); /* Whatever else is wrong there is why one logs in. */
    controller_put_target(s->controller, member, &request);
    const struct crew_request ask = {
        .kind = CREW_SSH, .message = &request, .deadline_ms = deadline_ms, .data = NULL};
    int result = crew_start(s->crew, &ask, e);
    message_deinit(&request);
    while (result == 0 && crew_count(s->crew) > 0) {
        result = crew_wait(s->crew, NULL, 0, clock_now_ms() + GREET_LIMIT_MS, e);
    }
    if (result == 0 && g->host_key == NULL) {
        return err_set(e, "%s", g->failure);
    }
    return result;
}

/* A known_hosts file of one line, replaced as a whole. */
static char *write_known_hosts(const struct session *s, const struct record_instance *r,
                               const char *host_key, struct err *e)
{
    char *dir = xasprintf("%s/known_hosts", s->site.spec->state_dir);
    mkdir(dir, 0700);
    char *path = xasprintf("%s/%s", dir, r->id);
    char *fresh = xasprintf("%s.%ld", path, (long)getpid());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && dprintf(fd, "%s %s\n", r->id, host_key) > 0;
    good = (fd < 0 || close(fd) == 0) && good && rename(fresh, path) == 0;
    if (!good) {
        err_errno(e, errno, "%s", path);
        free(path);
        path = NULL;
    }
    free(fresh);
    free(dir);
    return path;
}

static int run_client(const struct session *s, const struct controller_member *m,
                      const char *known_hosts, const struct cli *cli)
{
    bool made = m->record->machine == NULL;
    const struct spec_login *login = &s->site.spec->login;
    const char *user = made ? "root" : m->record->user != NULL ? m->record->user : login->user;
    char *known = xasprintf("UserKnownHostsFile=%s", known_hosts);
    char *alias = xasprintf("HostKeyAlias=%s", m->record->id);
    char *port = xasprintf("%u", m->record->port);
    const char **argv = xcalloc((size_t)cli->argc + 32, sizeof(*argv));
    size_t n = 0;
    const char *fixed[] = {"/usr/bin/ssh",
                           "-o",
                           known,
                           "-o",
                           "GlobalKnownHostsFile=none",
                           "-o",
                           "StrictHostKeyChecking=yes",
                           "-o",
                           alias,
                           "-p",
                           port,
                           "-l",
                           user};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        argv[n++] = fixed[i];
    }
    if (s->site.login_key_file != NULL) {
        argv[n++] = "-i";
        argv[n++] = s->site.login_key_file;
        argv[n++] = "-o";
        argv[n++] = "IdentitiesOnly=yes";
    }
    argv[n++] = m->record->address;
    int first = cli->argc > 1 && text_equal(cli->argv[1], "--") ? 2 : 1;
    for (int i = first; i < cli->argc; i++) {
        argv[n++] = cli->argv[i];
    }
    execv(argv[0], (char *const *)argv);
    log_error("cannot start %s: %s; install the package openssh-client", argv[0], strerror(errno));
    return CLI_FAILED;
}

int cmd_ssh(const struct cli *cli)
{
    if (cli->argc < 1) {
        return cli_usage("ssh", "ssh needs a host");
    }
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "ssh", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    struct err e = ERR_NULL;
    struct greeting g = {.host_key = NULL};
    size_t index = controller_find_member(session.controller, cli->argv[0]);
    int result = 0;
    char *known_hosts = NULL;
    struct controller_member m = {.record = NULL};
    if (index == WORLD_NONE) {
        result = err_set(&e, "no host '%s' in the records; see 'lamplighter status'", cli->argv[0]);
    } else {
        m = controller_member_at(session.controller, index);
        result = m.record->host_key == NULL
                     ? err_set(&e, "%s is not made yet; apply first", cli->argv[0])
                     : greet(&session, index, &g, &e);
    }
    if (result == 0) {
        known_hosts = write_known_hosts(&session, m.record, g.host_key, &e);
        result = known_hosts == NULL ? -1 : 0;
    }
    if (result != 0) {
        log_error("%s", e.text);
        status = CLI_FAILED;
    } else {
        status = run_client(&session, &m, known_hosts, cli);
    }
    free(g.host_key);
    free(g.failure);
    free(known_hosts);
    session_close(&session);
    return status;
}
