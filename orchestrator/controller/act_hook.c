/*
 * A lifecycle hook: a command of the user's that an instance waits for, on the host (a request with
 * a target) or on this machine (one without, to a worker of kind "hook").
 *
 * Both take the command as words (base/words.h): a shell reads it only when it says so itself, sh
 * -c
 * '...'. What it says is its heartbeat. It is ended, with all that it has started, when it is
 * silent or at work for too long, and when we go away. Status 0 is continue, anything else abandon.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/process_watch.h"
#include "base/words.h"
#include "controller/last_line.h"
#include "controller/worker.h"

#include <inttypes.h>
#include <stdlib.h>

#define HEARTBEAT_MS 60000 /* When the request has none. */
#define REPORT_MS    500   /* Kept back of the deadline, to say how it ended. */
#define OUTPUT_MAX   ((size_t)64 * 1024 * 1024)
#define STATUS_LATE  124 /* Of a hook that was ended; timeout(1) says so too. */

struct hook {
    struct worker *worker;
    const struct message *request;
    char **words;
    int64_t heartbeat_ms;
    int64_t limit_ms;
    int64_t deadline_ms;
    struct last_line last;
};

/* What the hook is told, by environment. */
static const struct {
    const char *name;
    uint16_t tag; /* enum wire_tag. */
} facts[] = {
    {"LAMPLIGHTER_CLUSTER", WIRE_CLUSTER},   {"LAMPLIGHTER_GROUP", WIRE_GROUP},
    {"LAMPLIGHTER_INSTANCE", WIRE_INSTANCE}, {"LAMPLIGHTER_ADDRESS", WIRE_ADDRESS},
    {"LAMPLIGHTER_ZONE", WIRE_ZONE},         {"LAMPLIGHTER_TRANSITION", WIRE_TRANSITION},
};
#define FACT_COUNT (sizeof(facts) / sizeof(facts[0]))

static void hear(struct hook *hook, const char *bytes, size_t length)
{
    if (last_line_add(&hook->last, bytes, length) > 0) {
        worker_progress(hook->worker, "hook: %s", last_line_text(&hook->last));
    }
}

/* It came to its end, or was ended by us (WHY; NULL otherwise). */
static void tell(struct hook *hook, int status, const char *why)
{
    struct message result = MESSAGE_NULL;
    struct err text = ERR_NULL;
    last_line_end(&hook->last);
    const char *said = last_line_text(&hook->last);
    if (why != NULL) {
        err_set(&text, "%s%s%s", why, said[0] == '\0' ? "" : "; it last said: ", said);
    } else if (said[0] == '\0' && status != 0) {
        err_set(&text, "exit status %d, without a word", status);
    } else {
        err_set(&text, "%s", said);
    }
    message_init(&result, WIRE_RESULT);
    message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
    message_put_int(&result, WIRE_STATUS, status);
    message_put_text(&result, WIRE_TEXT, text.text);
    worker_send(hook->worker, &result);
    message_deinit(&result);
}

static void tell_silent(struct hook *hook)
{
    char span[32];
    struct err why = ERR_NULL;
    clock_format_span(hook->heartbeat_ms, span, sizeof(span));
    err_set(&why, "was ended: it gave no sign of life for %s (its heartbeat)", span);
    tell(hook, STATUS_LATE, why.text);
}

static void tell_late(struct hook *hook)
{
    char span[32];
    struct err why = ERR_NULL;
    clock_format_span(hook->limit_ms, span, sizeof(span));
    err_set(&why, "was ended: it was not done within %s (its limit)", span);
    tell(hook, STATUS_LATE, why.text);
}

/* ---- here ---- */

static void hear_here(void *context, const char *bytes, size_t length)
{
    hear(context, bytes, length);
}

static void run_here(struct hook *hook)
{
    char *environment[FACT_COUNT + 1];
    for (size_t i = 0; i < FACT_COUNT; i++) {
        environment[i] =
            xasprintf("%s=%s", facts[i].name, message_text(hook->request, facts[i].tag, ""));
    }
    environment[FACT_COUNT] = NULL;
    const struct process_watch watch = {.argv = (const char *const *)hook->words,
                                        .environment = (const char *const *)environment,
                                        .deadline_ms = hook->deadline_ms,
                                        .silence_ms = hook->heartbeat_ms,
                                        .on_output = hear_here,
                                        .context = hook};
    struct err e = ERR_NULL;
    enum process_watch_end end = PROCESS_WATCH_ENDED;
    int status = 0;
    if (process_watch(&watch, &end, &status, &e) != 0) {
        worker_result(hook->worker, WORK_PERMANENT, e.text);
    } else if (end == PROCESS_WATCH_SILENT) {
        tell_silent(hook);
    } else if (end == PROCESS_WATCH_LATE) {
        tell_late(hook);
    } else {
        tell(hook, status, NULL);
    }
    for (size_t i = 0; i < FACT_COUNT; i++) {
        free(environment[i]);
    }
}

/* ---- on the host ---- */

/*
 * The hook in a session of its own; beside it a shell that reads standard input, which ends when we
 * let go of the channel or the line drops, and then ends that session. Should the host never hear
 * of our end, timeout(1) ends it.
 */
static void add_host_command(const struct hook *hook, struct str *command)
{
    struct str script = STR_NULL;
    str_add(&script, "exec 3<&0 </dev/null; cd /; setsid timeout -s KILL ");
    str_addf(&script, "%" PRId64 " env LC_ALL=C.UTF-8", hook->limit_ms / 1000 + 60);
    str_add(&script, " PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    for (size_t i = 0; i < FACT_COUNT; i++) {
        str_addf(&script, " %s=", facts[i].name);
        str_add_shell(&script, message_text(hook->request, facts[i].tag, ""));
    }
    for (size_t i = 0; hook->words[i] != NULL; i++) {
        str_add_char(&script, ' ');
        str_add_shell(&script, hook->words[i]);
    }
    str_add(&script,
            " 3<&- & hook=$!; "
            "(read -r _ <&3; kill -KILL -$hook) >/dev/null 2>&1 & watch=$!; exec 3<&-; "
            "wait $hook 2>/dev/null; status=$?; kill -KILL $watch; kill -KILL -$hook 2>/dev/null; "
            "exit $status");
    str_add(command, "exec sh -c ");
    str_add_shell(command, str_text(&script));
    str_deinit(&script);
}

static bool hear_host(void *context, struct ssh_link *link, int stream, const char *bytes,
                      size_t length)
{
    (void)link;
    (void)stream;
    hear(context, bytes, length);
    return true;
}

static void run_there(struct hook *hook)
{
    struct ssh_link *link = worker_link(hook->worker, hook->request);
    if (link == NULL) {
        return;
    }
    struct str command = STR_NULL;
    add_host_command(hook, &command);
    const struct ssh_command run = {
        .command = str_text(&command),
        .keep_input_open = true,
        .output_max = OUTPUT_MAX,
        .read_timeout_ms = hook->heartbeat_ms,
        .on_output = hear_host,
        .context = hook,
    };
    struct err e = ERR_NULL;
    int status = 0;
    enum ssh_outcome outcome = ssh_link_run(link, &run, hook->deadline_ms, &status, &e);
    str_deinit(&command);
    if (outcome != SSH_OK) {
        worker_drop_link(hook->worker);
    }
    if (outcome == SSH_OK) {
        tell(hook, status, NULL);
    } else if (outcome == SSH_FLOODED) {
        tell(hook, STATUS_LATE, "was ended: it says too much, over 64 MiB");
    } else if (outcome != SSH_TIMEOUT) {
        worker_result(hook->worker, worker_ssh_outcome(outcome), e.text);
    } else if (clock_now_ms() >= hook->deadline_ms) {
        tell_late(hook);
    } else {
        tell_silent(hook);
    }
}

void act_hook_work(struct worker *worker, const struct message *request)
{
    struct err e = ERR_NULL;
    size_t count;
    size_t length;
    struct hook hook = {.worker = worker,
                        .request = request,
                        .heartbeat_ms = message_int(request, WIRE_HEARTBEAT, HEARTBEAT_MS),
                        .limit_ms = message_int(request, WIRE_TIMEOUT, INT64_MAX),
                        .last = LAST_LINE_NULL};
    if (words_split(message_text(request, WIRE_COMMAND, ""), &hook.words, &count, &e) != 0) {
        worker_result(worker, WORK_PERMANENT, e.text);
        return;
    }
    int64_t now_ms = clock_now_ms();
    int64_t left_ms = message_int(request, WIRE_DEADLINE, 0) - REPORT_MS - now_ms;
    hook.limit_ms = hook.limit_ms < left_ms ? hook.limit_ms : left_ms;
    hook.deadline_ms = now_ms + hook.limit_ms;
    worker_progress(worker, "hook");
    if (message_bytes(request, WIRE_TARGET, &length) != NULL) {
        run_there(&hook);
    } else {
        run_here(&hook);
    }
    words_free(hook.words);
    last_line_deinit(&hook.last);
}
