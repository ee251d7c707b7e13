/* The main of a worker process: a loop of requests, each done by its act_*.c. */
#include "controller/worker.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <unistd.h>

static void dispatch(struct worker *worker, const struct message *request)
{
    switch (message_kind(request)) {
    case WIRE_GREET: act_greet_work(worker, request); return;
    case WIRE_ROLE: act_role_work(worker, request); return;
    case WIRE_EXEC: act_exec_work(worker, request); return;
    case WIRE_REBOOT: act_reboot_work(worker, request); return;
    case WIRE_CHECK_COMMAND: act_check_work(worker, request); return;
    case WIRE_HOOK: act_hook_work(worker, request); return;
    case WIRE_COMPARE:
    case WIRE_SYNC:
    case WIRE_ADMIT:
    case WIRE_REMOVE:
    case WIRE_LOOK: act_frontend_work(worker, request); return;
    case WIRE_LIST:
    case WIRE_ENSURE:
    case WIRE_STOP:
    case WIRE_DESTROY: act_provider_work(worker, request); return;
    case WIRE_IMAGE_STREAM:
    case WIRE_IMAGE_BUILD:
    case WIRE_IMAGE_SCAN:
    case WIRE_IMAGE_LOOK: act_image_work(worker, request); return;
    default: worker_result(worker, WORK_PERMANENT, "request of an unknown kind"); return;
    }
}

static void take_file(struct worker *worker, const struct message *message, int fd)
{
    if (fd < 0) {
        return;
    }
    size_t i = xgrow((void **)&worker->files, &worker->file_count, &worker->file_capacity,
                     sizeof(*worker->files));
    worker->files[i].name = xstrdup(message_text(message, WIRE_NAME, ""));
    worker->files[i].fd = fd;
}

static void drop_files(struct worker *worker)
{
    for (size_t i = 0; i < worker->file_count; i++) {
        free(worker->files[i].name);
        close(worker->files[i].fd);
    }
    worker->file_count = 0;
}

int worker_main(int socket)
{
    struct worker worker = {.socket = socket};
    struct message request = MESSAGE_NULL;
    struct err e = ERR_NULL;
    int fd = -1;
    while (message_receive(socket, &request, &fd, &e) == MESSAGE_IO_OK) {
        if (message_kind(&request) == WIRE_FILE) {
            take_file(&worker, &request, fd);
            continue;
        }
        dispatch(&worker, &request);
        drop_files(&worker);
    }
    worker_drop_link(&worker);
    ssh_target_storage_deinit(&worker.target_storage);
    message_deinit(&worker.target_message);
    message_deinit(&request);
    drop_files(&worker);
    free(worker.files);
    return 0;
}
