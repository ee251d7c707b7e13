/* lamplighter exec: the operator's own command on many hosts at once. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNREACHABLE_STATUS 255
#define LINE_MAX_BYTES     65536

/* One host of the run. */
struct target {
    size_t member;
    const char *id;
    struct str lines[2]; /* What came of stdout and stderr since the last newline. */
    int status;
    bool ended;
    char *failure; /* NULL when the command ran. */
};

struct run {
    const struct cli *cli;
    struct target *targets;
    size_t count;
    int width; /* Of the longest id. */
};

static void add_line(const struct run *run, const struct target *t, struct str *out,
                     const char *bytes, size_t length)
{
    str_addf(out, "%-*s | ", run->width, t->id);
    str_add_printable(out, bytes, length, false);
    str_add_char(out, '\n');
}

/* What has come is printed in one piece, whole lines only; with ALL the unfinished one too. */
static void print_lines(const struct run *run, struct target *t, int stream, bool all)
{
    struct str *s = &t->lines[stream - 1];
    struct str out = STR_NULL;
    size_t at = 0;
    const char *end;
    while (at < s->length && (end = memchr(s->text + at, '\n', s->length - at)) != NULL) {
        size_t length = (size_t)(end - s->text) - at;
        add_line(run, t, &out, s->text + at, length);
        at += length + 1;
    }
    if (s->length > at && (all || s->length - at > LINE_MAX_BYTES)) {
        add_line(run, t, &out, s->text + at, s->length - at);
        at = s->length;
    }
    str_drop(s, at);
    FILE *file = stream == 1 ? stdout : stderr;
    fwrite(str_text(&out), 1, out.length, file);
    fflush(file);
    str_deinit(&out);
}

static void on_message(void *context, struct job *job, const struct message *message)
{
    struct run *run = context;
    struct target *t = job_data(job);
    if (message_kind(message) != WIRE_OUTPUT) {
        return;
    }
    int stream = message_int(message, WIRE_STREAM, 1) == 2 ? 2 : 1;
    size_t length;
    const void *bytes = message_bytes(message, WIRE_BYTES, &length);
    if (bytes != NULL) {
        str_add_bytes(&t->lines[stream - 1], bytes, length);
    }
    if (!run->cli->json) {
        print_lines(run, t, stream, false);
    }
}

static void on_end(void *context, struct job *job, enum work_outcome outcome,
                   const struct message *result, const char *text)
{
    struct run *run = context;
    struct target *t = job_data(job);
    t->ended = true;
    if (outcome == WORK_DONE && result != NULL) {
        t->status = (int)message_int(result, WIRE_STATUS, UNREACHABLE_STATUS);
    } else {
        t->status = UNREACHABLE_STATUS;
        t->failure = xstrdup(text == NULL ? "failed" : text);
    }
    for (int stream = 1; stream <= 2 && !run->cli->json; stream++) {
        print_lines(run, t, stream, true);
    }
    if (t->failure != NULL && !run->cli->json) {
        log_error("%s: %s", t->id, t->failure);
    }
}

static bool matches(const struct session *s, size_t member, const char *name)
{
    struct controller_member m = controller_member_at(s->controller, member);
    return text_equal(name, "all") || text_equal(m.record->id, name) ||
           text_equal(m.record->group, name) || text_equal(m.record->machine, name);
}

static void find_targets(struct run *run, const struct session *s, const char *name)
{
    size_t members = controller_member_count(s->controller);
    run->targets = xcalloc(members, sizeof(*run->targets));
    for (size_t i = 0; i < members; i++) {
        if (matches(s, i, name)) {
            const char *id = controller_member_at(s->controller, i).record->id;
            run->targets[run->count++] = (struct target){.member = i, .id = id};
            run->width = (int)strlen(id) > run->width ? (int)strlen(id) : run->width;
        }
    }
}

static int begin(const struct session *s, struct target *t, const char *command, struct err *e)
{
    struct controller_member m = controller_member_at(s->controller, t->member);
    if (m.record->host_key == NULL || m.record->address == NULL) {
        t->ended = true;
        t->status = UNREACHABLE_STATUS;
        t->failure = xstrdup("not made yet; apply first");
        log_error("%s: %s", t->id, t->failure);
        return 0;
    }
    struct message request = MESSAGE_NULL;
    int64_t deadline_ms = clock_now_ms() + s->site.spec->login.total_timeout_ms;
    message_init(&request, WIRE_EXEC);
    message_put_int(&request, WIRE_DEADLINE, deadline_ms);
    message_put_text(&request, WIRE_COMMAND, command);
    controller_put_target(s->controller, t->member, &request);
    const struct crew_request ask = {
        .kind = CREW_SSH, .message = &request, .deadline_ms = deadline_ms, .data = t};
    int result = crew_start(s->crew, &ask, e);
    message_deinit(&request);
    return result;
}

static int run_all(struct run *run, const struct session *s, const char *command, struct err *e)
{
    const struct crew_callbacks callbacks = {
        .on_message = on_message, .on_end = on_end, .context = run};
    crew_set_callbacks(s->crew, &callbacks);
    unsigned parallel = run->cli->parallel == 0 ? s->site.spec->parallel : run->cli->parallel;
    size_t next = 0;
    while (next < run->count || crew_count(s->crew) > 0) {
        while (next < run->count && crew_count(s->crew) < parallel) {
            if (begin(s, &run->targets[next++], command, e) != 0) {
                return -1;
            }
        }
        if (crew_count(s->crew) > 0 &&
            crew_wait(s->crew, NULL, 0, clock_now_ms() + 60000, e) != 0) {
            return -1;
        }
    }
    return 0;
}

static void print_json(const struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->count; i++) {
        struct target *t = &run->targets[i];
        struct str out[2] = {STR_NULL, STR_NULL};
        for (int n = 0; n < 2; n++) {
            str_add_printable(&out[n], str_text(&t->lines[n]), t->lines[n].length, true);
        }
        json_array_append_new(list, json_pack("{s:s, s:i, s:s?, s:s, s:s}", "host", t->id, "status",
                                              t->status, "failure", t->failure, "stdout",
                                              str_text(&out[0]), "stderr", str_text(&out[1])));
        str_deinit(&out[0]);
        str_deinit(&out[1]);
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

static int finish(struct run *run)
{
    int worst = 0;
    if (run->cli->json) {
        print_json(run);
    }
    for (size_t i = 0; i < run->count; i++) {
        worst = run->targets[i].status > worst ? run->targets[i].status : worst;
        str_deinit(&run->targets[i].lines[0]);
        str_deinit(&run->targets[i].lines[1]);
        free(run->targets[i].failure);
    }
    free(run->targets);
    return worst;
}

/* One word is a shell command as it stands; several are an argv, each quoted. */
static char *join_command(int argc, char **argv)
{
    struct str command = STR_NULL;
    if (argc == 1) {
        str_add(&command, argv[0]);
        return str_take(&command);
    }
    for (int i = 0; i < argc; i++) {
        if (i > 0) {
            str_add_char(&command, ' ');
        }
        str_add_shell(&command, argv[i]);
    }
    return str_take(&command);
}

int cmd_exec(const struct cli *cli)
{
    int argc = cli->argc;
    char **argv = cli->argv;
    const char *name = argc > 0 ? argv[0] : NULL;
    int skip = argc > 1 && text_equal(argv[1], "--") ? 2 : 1;
    if (name == NULL || argc <= skip) {
        return cli_usage("exec", "exec needs a group or host, '--', and a command");
    }
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "exec", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    struct run run = {.cli = cli};
    find_targets(&run, &session, name);
    if (run.count == 0) {
        char near[120];
        session_did_you_mean(&session, name, true, near, sizeof(near));
        log_error("no group or host '%s' in the records of cluster %s%s", name,
                  session.site.spec->cluster, near);
        free(run.targets);
        session_close(&session);
        return CLI_FAILED;
    }
    char *command = join_command(argc - skip, argv + skip);
    struct err e = ERR_NULL;
    int result = run_all(&run, &session, command, &e);
    if (result != 0) {
        log_error("%s", e.text);
    }
    free(command);
    status = finish(&run);
    session_close(&session);
    return result == 0 ? status : CLI_FAILED;
}
