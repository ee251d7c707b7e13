/* First contact: wait until SSH answers with the pinned key, read the host's own facts. */
#include "base/clock.h"
#include "base/err.h"
#include "controller/worker.h"
#include "role/role.h"

#include <time.h>

#define FACTS_MAX        65536
#define FIRST_PAUSE_MS   50
#define LONGEST_PAUSE_MS 1000

static void pause_ms(int64_t ms)
{
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&span, NULL);
}

static bool still_booting(enum ssh_outcome outcome)
{
    return outcome == SSH_UNREACHABLE || outcome == SSH_TIMEOUT || outcome == SSH_LOST;
}

/* A host that was just made needs a moment: tries again, a little later each time. */
static enum ssh_outcome open_patiently(struct worker *worker, const struct message *request,
                                       struct err *e)
{
    int64_t deadline_ms = message_int(request, WIRE_DEADLINE, 0);
    int64_t wait_ms = FIRST_PAUSE_MS;
    enum ssh_outcome outcome;
    while ((outcome = ssh_link_open(&worker->link, &worker->target, deadline_ms, e)) != SSH_OK &&
           still_booting(outcome) && clock_now_ms() + wait_ms < deadline_ms) {
        worker_progress(worker, "waiting for SSH");
        pause_ms(wait_ms);
        wait_ms = wait_ms * 3 / 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : wait_ms * 3 / 2;
    }
    if (outcome != SSH_OK) {
        worker->link = NULL;
    }
    return outcome;
}

void act_greet_work(struct worker *worker, const struct message *request)
{
    struct err e = ERR_NULL;
    if (worker_take_target(worker, request, &e) != 0) {
        worker_result(worker, WORK_PERMANENT, e.text);
        return;
    }
    enum ssh_outcome outcome = open_patiently(worker, request, &e);
    struct str facts = STR_NULL;
    int status = 0;
    if (outcome == SSH_OK) {
        outcome = ssh_link_exec(worker->link, role_facts_command(), FACTS_MAX,
                                message_int(request, WIRE_DEADLINE, 0), &facts, &status, &e);
    }
    if (outcome != SSH_OK) {
        worker_result(worker, worker_ssh_outcome(outcome), e.text);
    } else if (status != 0) {
        err_set(&e, "reading its facts failed with status %d: %s", status, str_text(&facts));
        worker_result(worker, WORK_PERMANENT, e.text);
    } else {
        str_trim(&facts);
        struct message result = MESSAGE_NULL;
        message_init(&result, WIRE_RESULT);
        message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
        message_put_text(&result, WIRE_FACTS, str_text(&facts));
        message_put_text(&result, WIRE_HOST_KEY, ssh_link_host_key(worker->link));
        worker_send(worker, &result);
        message_deinit(&result);
    }
    str_deinit(&facts);
}
