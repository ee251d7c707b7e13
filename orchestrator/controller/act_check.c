/*
 * The group's check-command on one host: is it well? An answer is a result, whatever it says; that
 * the host could not be asked is none.
 */
#include "base/err.h"
#include "controller/last_line.h"
#include "controller/worker.h"

#include <inttypes.h>

#define CHECK_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TIMEOUT_MS    10000 /* When the request has none. */
#define KILL_MS       1000  /* A command that takes no notice of its end. */
#define GRACE_MS      5000  /* For the line, beyond that. */
#define OUTPUT_MAX    ((size_t)16 * 1024 * 1024)
#define STATUS_LATE   124 /* Of timeout(1). */
#define STATUS_KILLED 137

static bool take_output(void *context, struct ssh_link *link, int stream, const char *bytes,
                        size_t length)
{
    (void)link;
    (void)stream;
    last_line_add(context, bytes, length);
    return true;
}

static void add_seconds(struct str *command, int64_t span_ms)
{
    str_addf(command, "%" PRId64 ".%03" PRId64 " ", span_ms / 1000, span_ms % 1000);
}

static void tell(struct worker *worker, int status, const char *text)
{
    struct message result = MESSAGE_NULL;
    message_init(&result, WIRE_RESULT);
    message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
    message_put_int(&result, WIRE_STATUS, status);
    message_put_text(&result, WIRE_TEXT, text);
    worker_send(worker, &result);
    message_deinit(&result);
}

static void tell_status(struct worker *worker, int status, int64_t timeout_ms,
                        const struct last_line *last)
{
    struct err text = ERR_NULL;
    const char *said = last_line_text(last);
    if (status == STATUS_LATE || status == STATUS_KILLED) {
        err_set(&text, "no answer within %" PRId64 " ms%s%s", timeout_ms,
                said[0] == '\0' ? "" : "; it said: ", said);
    } else if (said[0] == '\0' && status != 0) {
        err_set(&text, "exit status %d, without a word", status);
    } else {
        err_set(&text, "%s", said);
    }
    tell(worker, status, text.text);
}

void act_check_work(struct worker *worker, const struct message *request)
{
    struct ssh_link *link = worker_link(worker, request);
    if (link == NULL) {
        return;
    }
    int64_t timeout_ms = message_int(request, WIRE_TIMEOUT, TIMEOUT_MS);
    struct str command = STR_NULL;
    str_add(&command, "exec env PATH=" CHECK_PATH " timeout -k ");
    add_seconds(&command, KILL_MS);
    add_seconds(&command, timeout_ms);
    str_add(&command, "sh -c ");
    str_add_shell(&command, message_text(request, WIRE_COMMAND, "false"));
    str_add(&command, " </dev/null 2>&1");
    struct last_line last = LAST_LINE_NULL;
    const struct ssh_command run = {
        .command = str_text(&command),
        .output_max = OUTPUT_MAX,
        .read_timeout_ms = timeout_ms + KILL_MS + GRACE_MS, /* Its silence is its own affair. */
        .on_output = take_output,
        .context = &last,
    };
    worker_progress(worker, "checking");
    struct err e = ERR_NULL;
    int status = 0;
    enum ssh_outcome outcome =
        ssh_link_run(link, &run, message_int(request, WIRE_DEADLINE, 0), &status, &e);
    if (outcome == SSH_OK) {
        last_line_end(&last);
        tell_status(worker, status, timeout_ms, &last);
    } else {
        worker_drop_link(worker);
        if (outcome == SSH_FLOODED) {
            tell(worker, 1, "says too much: over 16 MiB");
        } else {
            worker_result(worker, worker_ssh_outcome(outcome), e.text);
        }
    }
    last_line_deinit(&last);
    str_deinit(&command);
}
