/* Runs one host's role script, or compares the host with it: every resource is told as it comes. */
#include "base/err.h"
#include "controller/worker.h"
#include "role/role.h"

#include <stdlib.h>

static void tell_progress(void *context, const char *role, const char *type, const char *name)
{
    worker_progress(context, "%s: %s %s", role, type, name);
}

static void tell_result(void *context, const struct role_result *result)
{
    struct worker *worker = context;
    if (result->status == ROLE_OK || result->status == ROLE_SKIPPED) {
        return; /* Counted in the report; only what stands out travels. */
    }
    struct message message = MESSAGE_NULL;
    message_init(&message, WIRE_ITEM);
    message_put_text(&message, WIRE_ROLE_NAME, result->role);
    message_put_text(&message, WIRE_TYPE, result->type);
    message_put_text(&message, WIRE_NAME, result->name);
    message_put_int(&message, WIRE_STATUS, result->status);
    message_put_int(&message, WIRE_TIME, result->time_ms);
    message_put_text(&message, WIRE_TEXT, result->text);
    worker_send(worker, &message);
    message_deinit(&message);
}

static enum work_outcome role_work_outcome(enum role_outcome outcome)
{
    switch (outcome) {
    case ROLE_RUN_OK: return WORK_DONE;
    case ROLE_RUN_LOCKED:
    case ROLE_RUN_LOST: return WORK_TRANSIENT;
    case ROLE_RUN_FAILED:
    case ROLE_RUN_REFUSED:
    case ROLE_RUN_GARBLED: return WORK_PERMANENT;
    }
    return WORK_PERMANENT;
}

static void send_report(struct worker *worker, const struct role_report *report)
{
    struct message result = MESSAGE_NULL;
    message_init(&result, WIRE_RESULT);
    message_put_int(&result, WIRE_OUTCOME, role_work_outcome(report->outcome));
    message_put_text(&result, WIRE_TEXT, report->text);
    message_put_int(&result, WIRE_CHANGED, (int64_t)report->changed);
    message_put_int(&result, WIRE_COUNT,
                    (int64_t)(report->ok + report->changed + report->failed + report->skipped));
    message_put_text(&result, WIRE_FACTS, report->facts);
    worker_send(worker, &result);
    message_deinit(&result);
}

static int decode_script(const struct message *request, struct role_script *ret_script,
                         struct err *e)
{
    size_t length;
    const void *bytes = message_bytes(request, WIRE_SCRIPT, &length);
    if (bytes == NULL) {
        return err_set(e, "request without a script");
    }
    struct message script = MESSAGE_NULL;
    int result = message_parse(&script, bytes, length, e);
    if (result == 0) {
        result = role_script_decode(&script, ret_script, e);
    }
    message_deinit(&script);
    return result;
}

/* Blobs came as descriptors, by their digest: what the controller's path says is not for us. */
static void take_blobs(const struct worker *worker, struct role_script *script)
{
    for (size_t i = 0; i < script->blob_count; i++) {
        char *path = worker_file_path(worker, script->blobs[i].digest);
        if (path != NULL) {
            free(script->blobs[i].path);
            script->blobs[i].path = path;
        }
    }
}

void act_role_work(struct worker *worker, const struct message *request)
{
    struct err e = ERR_NULL;
    struct role_script script;
    if (decode_script(request, &script, &e) != 0) {
        worker_result(worker, WORK_PERMANENT, e.text);
        return;
    }
    take_blobs(worker, &script);
    struct ssh_link *link = worker_link(worker, request);
    if (link != NULL) {
        const struct role_run_options options = {
            .check = message_int(request, WIRE_CHECK, 0) != 0,
            .diff = message_int(request, WIRE_DIFF, 0) != 0,
            .restart = message_int(request, WIRE_RESTART, 0) != 0,
            .cluster = message_text(request, WIRE_CLUSTER, ""),
            .instance = message_text(request, WIRE_INSTANCE, ""),
            .owner = message_text(request, WIRE_OWNER, ""),
            .epoch = message_int(request, WIRE_EPOCH, 0),
            .lock_wait_ms = message_int(request, WIRE_LOCK_WAIT, 0),
            .deadline_ms = message_int(request, WIRE_DEADLINE, 0),
            .on_result = tell_result,
            .on_progress = tell_progress,
            .context = worker,
        };
        struct role_report report = {.outcome = ROLE_RUN_LOST};
        role_run(link, &script, &options, &report);
        if (report.outcome != ROLE_RUN_OK && report.outcome != ROLE_RUN_FAILED) {
            worker_drop_link(worker);
        }
        send_report(worker, &report);
        role_report_deinit(&report);
    }
    role_script_deinit(&script);
}
