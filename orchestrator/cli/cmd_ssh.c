/*
 * lamplighter ssh: the OpenSSH client, with pinned keys and nothing trusted on first use. The keys,
 * the bastions' too, are first checked over our own link, which also turns fingerprints into whole
 * keys. The client then reads a configuration of its own, made for this one host.
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
    char *keys[SSH_JUMP_MAX + 1]; /* Owned: the host's, then its bastions'. */
    size_t count;
    char *failure; /* Owned; NULL when all is well. */
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
    size_t position = 0;
    struct message_field field;
    while (outcome == WORK_DONE && g->count < SSH_JUMP_MAX + 1 &&
           message_next(result, &position, &field)) {
        if (field.tag == WIRE_HOST_KEY && field.type == MESSAGE_TEXT) {
            g->keys[g->count++] = xstrdup(field.bytes);
        }
    }
    if (outcome != WORK_DONE) {
        g->failure = xstrdup(text == NULL ? "no answer" : text);
    }
}

static void greeting_deinit(struct greeting *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free(g->keys[i]);
    }
    free(g->failure);
}

static int greet(const struct session *s, size_t member, struct greeting *g, struct err *e)
{
    const struct crew_callbacks callbacks = {
        .on_message = ignore_message, .on_end = on_end, .context = g};
    crew_set_callbacks(s->crew, &callbacks);
    struct message request = MESSAGE_NULL;
    int64_t deadline_ms = clock_now_ms() + GREET_LIMIT_MS;
    message_init(&request, WIRE_GREET);
    message_put_int(&request, WIRE_DEADLINE, deadline_ms);
    /* Whatever else is wrong there is why one logs in. */
    message_put_int(&request, WIRE_KEY_ONLY, 1);
    controller_put_target(s->controller, member, &request);
    const struct crew_request ask = {
        .kind = CREW_SSH, .message = &request, .deadline_ms = deadline_ms, .data = NULL};
    int result = crew_start(s->crew, &ask, e);
    message_deinit(&request);
    while (result == 0 && crew_count(s->crew) > 0) {
        result = crew_wait(s->crew, NULL, 0, clock_now_ms() + GREET_LIMIT_MS, e);
    }
    return result == 0 && g->failure != NULL ? err_set(e, "%s", g->failure) : result;
}

/* PATH as one word of the client's configuration. */
static void add_path(struct str *config, const char *path)
{
    str_add_char(config, '"');
    for (; *path != '\0'; path++) {
        str_add(config, *path == '%' ? "%" : *path == '"' || *path == '\\' ? "\\" : "");
        str_add_char(config, *path);
    }
    str_add(config, "\"\n");
}

/* One hop: how the client knows it is ALIAS; JUMP (or NULL) the alias of the hop before it. */
static void add_hop(struct str *config, const struct session *s, const char *alias,
                    const char *address, unsigned port, const char *user, const char *known,
                    const char *jump)
{
    str_addf(config, "Host %s\nHostName %s\nPort %u\nUser %s\nHostKeyAlias %s\n", alias, address,
             port, user, alias);
    str_add(config, "StrictHostKeyChecking yes\nGlobalKnownHostsFile none\nUserKnownHostsFile ");
    add_path(config, known);
    if (s->site.login_key_file != NULL) {
        str_add(config, "IdentitiesOnly yes\nIdentityFile ");
        add_path(config, s->site.login_key_file);
    }
    str_addf(config, "ProxyJump %s\n\n", jump == NULL ? "none" : jump);
}

static void add_hops(const struct session *s, size_t member, const char *known, struct str *config)
{
    const struct record_instance *r = controller_member_at(s->controller, member).record;
    const struct spec *spec = s->site.spec;
    const char *user = r->machine == NULL ? "root" : r->user != NULL ? r->user : spec->login.user;
    size_t bastions[SSH_JUMP_MAX];
    size_t count = controller_bastions(s->controller, member, bastions);
    add_hop(config, s, r->id, r->address, r->port, user, known, count > 0 ? "bastion.1" : NULL);
    for (size_t i = 0; i < count; i++) {
        const struct spec_host *h = &spec->hosts[bastions[i]];
        char alias[32];
        char next[32];
        snprintf(alias, sizeof(alias), "bastion.%zu", i + 1);
        snprintf(next, sizeof(next), "bastion.%zu", i + 2);
        add_hop(config, s, alias, h->address, h->port, h->user != NULL ? h->user : spec->login.user,
                known, i + 1 < count ? next : NULL);
    }
}

/* A file of our own, replaced as a whole. */
static int write_file(const char *path, const struct str *text, struct err *e)
{
    char *fresh = xasprintf("%s.%ld", path, (long)getpid());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, str_text(text), text->length) == (ssize_t)text->length;
    good = (fd < 0 || close(fd) == 0) && good && rename(fresh, path) == 0;
    int result = good ? 0 : err_errno(e, errno, "%s", path);
    free(fresh);
    return result;
}

/* *ret_config: the path of the client's configuration; the caller frees. */
static int write_config(const struct session *s, size_t member, const struct greeting *g,
                        char **ret_config, struct err *e)
{
    const char *id = controller_member_at(s->controller, member).record->id;
    char *dir = xasprintf("%s/ssh", s->site.spec->state_dir);
    char *known = xasprintf("%s/%s.known_hosts", dir, id);
    char *path = xasprintf("%s/%s.config", dir, id);
    struct str keys = STR_NULL;
    struct str config = STR_NULL;
    mkdir(dir, 0700);
    for (size_t i = 0; i < g->count; i++) {
        if (i == 0) {
            str_addf(&keys, "%s %s\n", id, g->keys[i]);
        } else {
            str_addf(&keys, "bastion.%zu %s\n", i, g->keys[i]);
        }
    }
    add_hops(s, member, known, &config);
    int result = write_file(known, &keys, e);
    if (result == 0) {
        result = write_file(path, &config, e);
    }
    str_deinit(&keys);
    str_deinit(&config);
    free(dir);
    free(known);
    if (result == 0) {
        *ret_config = path;
    } else {
        free(path);
    }
    return result;
}

static int run_client(const char *config, const char *id, const struct cli *cli)
{
    const char **argv = xcalloc((size_t)cli->argc + 8, sizeof(*argv));
    size_t n = 0;
    argv[n++] = "/usr/bin/ssh";
    argv[n++] = "-F";
    argv[n++] = config;
    argv[n++] = id;
    int first = cli->argc > 1 && text_equal(cli->argv[1], "--") ? 2 : 1;
    for (int i = first; i < cli->argc; i++) {
        argv[n++] = cli->argv[i];
    }
    execv(argv[0], (char *const *)argv);
    log_error("cannot start %s: %s; install the package openssh-client", argv[0], strerror(errno));
    free(argv);
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
    struct greeting g = {.count = 0};
    char *config = NULL;
    size_t index = controller_find_member(session.controller, cli->argv[0]);
    int result = 0;
    if (index == WORLD_NONE) {
        char near[120];
        session_did_you_mean(&session, cli->argv[0], false, near, sizeof(near));
        result = err_set(&e, "no host '%s' in the records%s", cli->argv[0], near);
    } else if (controller_member_at(session.controller, index).record->host_key == NULL) {
        result = err_set(&e, "%s is not made yet; apply first", cli->argv[0]);
    } else {
        result = greet(&session, index, &g, &e);
    }
    if (result == 0) {
        result = write_config(&session, index, &g, &config, &e);
    }
    if (result != 0) {
        log_error("%s", e.text);
        status = CLI_FAILED;
    } else {
        status =
            run_client(config, controller_member_at(session.controller, index).record->id, cli);
    }
    greeting_deinit(&g);
    free(config);
    session_close(&session);
    return status;
}
