#include "controller/worker.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void worker_send(struct worker *worker, const struct message *message)
{
    enum message_io io = message_send(worker->socket, message, -1, NULL);
    if (io != MESSAGE_IO_OK) {
        /* Nobody listens any more: what was begun is found again by looking. */
        _exit(io == MESSAGE_IO_CLOSED ? 0 : 1);
    }
}

void worker_progress(struct worker *worker, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct message message = MESSAGE_NULL;
    message_init(&message, WIRE_PROGRESS);
    message_put_text(&message, WIRE_TEXT, text);
    worker_send(worker, &message);
    message_deinit(&message);
}

void worker_result(struct worker *worker, enum work_outcome outcome, const char *text)
{
    struct message message = MESSAGE_NULL;
    message_init(&message, WIRE_RESULT);
    message_put_int(&message, WIRE_OUTCOME, outcome);
    message_put_text(&message, WIRE_TEXT, text);
    worker_send(worker, &message);
    message_deinit(&message);
}

enum work_outcome worker_ssh_outcome(enum ssh_outcome outcome)
{
    switch (outcome) {
    case SSH_OK: return WORK_DONE;
    case SSH_UNREACHABLE:
    case SSH_TIMEOUT:
    case SSH_LOST: return WORK_TRANSIENT;
    case SSH_KEY_MISMATCH:
    case SSH_WEAK:
    case SSH_REFUSED:
    case SSH_FLOODED: return WORK_PERMANENT;
    }
    return WORK_PERMANENT;
}

void worker_drop_link(struct worker *worker)
{
    ssh_link_close(worker->link);
    worker->link = NULL;
}

int worker_take_target(struct worker *worker, const struct message *request, struct err *e)
{
    size_t length;
    const void *bytes = message_bytes(request, WIRE_TARGET, &length);
    if (bytes == NULL) {
        return err_set(e, "request without a target");
    }
    worker_drop_link(worker);
    ssh_target_storage_deinit(&worker->target_storage);
    message_deinit(&worker->target_message);
    if (message_parse(&worker->target_message, bytes, length, e) != 0) {
        return -1;
    }
    return ssh_target_decode(&worker->target_message, &worker->target, &worker->target_storage, e);
}

struct ssh_link *worker_link(struct worker *worker, const struct message *request)
{
    if (worker->link != NULL) {
        return worker->link;
    }
    struct err e = ERR_NULL;
    if (worker_take_target(worker, request, &e) != 0) {
        worker_result(worker, WORK_PERMANENT, e.text);
        return NULL;
    }
    worker_progress(worker, "connecting");
    enum ssh_outcome outcome =
        ssh_link_open(&worker->link, &worker->target, message_int(request, WIRE_DEADLINE, 0), &e);
    if (outcome != SSH_OK) {
        worker->link = NULL;
        worker_result(worker, worker_ssh_outcome(outcome), e.text);
        return NULL;
    }
    return worker->link;
}

int worker_file(const struct worker *worker, const char *name)
{
    for (size_t i = 0; i < worker->file_count; i++) {
        if (text_equal(worker->files[i].name, name)) {
            return worker->files[i].fd;
        }
    }
    return -1;
}

char *worker_file_path(const struct worker *worker, const char *name)
{
    for (size_t i = 0; i < worker->file_count; i++) {
        if (text_equal(worker->files[i].name, name)) {
            return xasprintf("/proc/self/fd/%d", worker->files[i].fd);
        }
    }
    return NULL;
}
