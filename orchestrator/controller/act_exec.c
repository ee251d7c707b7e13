/* One command of the operator's on one host: its output as it comes, its exit status. */
#include "base/err.h"
#include "controller/worker.h"

#define EXEC_OUTPUT_MAX ((size_t)64 * 1024 * 1024)
#define PIECE_MAX       ((size_t)16 * 1024) /* Fits a packet. */

static bool tell_output(void *context, struct ssh_link *link, int stream, const char *bytes,
                        size_t length)
{
    (void)link;
    while (length > 0) {
        size_t piece = length < PIECE_MAX ? length : PIECE_MAX;
        struct message message = MESSAGE_NULL;
        message_init(&message, WIRE_OUTPUT);
        message_put_int(&message, WIRE_STREAM, stream);
        message_put_bytes(&message, WIRE_BYTES, bytes, piece);
        worker_send(context, &message);
        message_deinit(&message);
        bytes += piece;
        length -= piece;
    }
    return true;
}

void act_exec_work(struct worker *worker, const struct message *request)
{
    struct ssh_link *link = worker_link(worker, request);
    if (link == NULL) {
        return;
    }
    worker_progress(worker, "running");
    const struct ssh_command command = {
        .command = message_text(request, WIRE_COMMAND, "true"),
        .output_max = EXEC_OUTPUT_MAX,
        .on_output = tell_output,
        .context = worker,
    };
    struct err e = ERR_NULL;
    int status = 0;
    enum ssh_outcome outcome =
        ssh_link_run(link, &command, message_int(request, WIRE_DEADLINE, 0), &status, &e);
    if (outcome != SSH_OK) {
        worker_drop_link(worker);
        worker_result(worker, worker_ssh_outcome(outcome), e.text);
        return;
    }
    struct message result = MESSAGE_NULL;
    message_init(&result, WIRE_RESULT);
    message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
    message_put_int(&result, WIRE_STATUS, status);
    worker_send(worker, &result);
    message_deinit(&result);
}
