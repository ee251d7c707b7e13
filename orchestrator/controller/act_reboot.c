/*
 * Has a host start itself anew, and waits until it has: the proof is another boot's id, nothing
 * less. Whoever cannot log in meanwhile, or is refused, is told why and asks again; only a host
 * that comes back with another key ends it at once.
 */
#include "base/clock.h"
#include "base/err.h"
#include "controller/boot.h"
#include "controller/worker.h"

#include <stdlib.h>
#include <time.h>

#define PAUSE_MS 500
#define ATTEMPT_MAX_MS                                                                             \
    5000               /* For the connection, and for the login: a host that is going down.        \
                        */
#define REPORT_MS  300 /* Kept back of the deadline, to say what was seen. */
#define ANSWER_MAX 4096

/*
 * In a session of its own, a moment later, so that this channel ends as any other. The init system
 * is asked first; when it does not take it, it is forced; when it does not answer at all, the
 * kernel is asked.
 */
static const char reboot_command[] =
    "sh -c 'setsid sh -c \"sleep 0.5; timeout 30 systemctl reboot || timeout 30 reboot -f || "
    "reboot -f -f\" </dev/null >/dev/null 2>&1 & echo asked'";

struct reboot {
    struct worker *worker;
    struct ssh_target target; /* The worker's, less patient. */
    int64_t deadline_ms;
    struct boot before;
    struct boot after; /* Its id is empty until it has come back. */
    bool refused;      /* Another key: it is not the host that we know. */
    bool left;         /* It has been out of reach since it was asked, */
    bool back;         /* and was reached again, whatever it said. */
    struct err seen;   /* The last thing that was in the way. */
};

/* Asks it to. True when it was asked; else the result was sent. */
static bool ask(struct reboot *r, struct ssh_link *link)
{
    struct err e = ERR_NULL;
    enum ssh_outcome outcome = boot_read(link, r->deadline_ms, &r->before, &e);
    if (outcome == SSH_OK && r->before.id[0] == '\0') {
        worker_result(r->worker, WORK_TRANSIENT, e.text);
        return false;
    }
    if (outcome == SSH_OK) {
        worker_progress(r->worker, "rebooting");
        struct str said = STR_NULL;
        int status = 0;
        outcome =
            ssh_link_exec(link, reboot_command, ANSWER_MAX, r->deadline_ms, &said, &status, &e);
        if (outcome == SSH_OK && status != 0) {
            err_set(&e, "cannot be asked to reboot (status %d, it said: %.80s)", status,
                    said.length == 0 ? "nothing" : str_text(&said));
            worker_result(r->worker, WORK_TRANSIENT, e.text);
            str_deinit(&said);
            return false;
        }
        str_deinit(&said);
        /* It may well have heard us. */
        outcome = outcome == SSH_LOST ? SSH_OK : outcome;
    }
    if (outcome != SSH_OK) {
        worker_result(r->worker, worker_ssh_outcome(outcome), e.text);
    }
    return outcome == SSH_OK;
}

/* One look. True when there is nothing more to wait for. */
static bool look(struct reboot *r)
{
    struct boot now = {.id = ""};
    worker_drop_link(r->worker);
    enum ssh_outcome outcome =
        ssh_link_open(&r->worker->link, &r->target, r->deadline_ms, &r->seen);
    if (outcome == SSH_OK) {
        outcome = boot_read(r->worker->link, r->deadline_ms, &now, &r->seen);
    } else {
        r->worker->link = NULL;
    }
    r->refused = outcome == SSH_KEY_MISMATCH;
    if (outcome != SSH_OK) {
        worker_drop_link(r->worker);
    }
    if (outcome == SSH_TIMEOUT && clock_now_ms() >= r->deadline_ms) {
        return false; /* It was us who had no more time. */
    }
    r->back = outcome == SSH_OK;
    if (outcome != SSH_OK) {
        if (!r->left && !r->refused) {
            worker_progress(r->worker, "down; waiting until it is back");
        }
        r->left = true;
    } else if (now.id[0] != '\0' && !text_equal(now.id, r->before.id)) {
        r->after = now;
    }
    return r->refused || r->after.id[0] != '\0';
}

static void tell(const struct reboot *r, int64_t asked_ms)
{
    struct message result = MESSAGE_NULL;
    struct err e = ERR_NULL;
    char span[32];
    clock_format_span(clock_now_ms() - asked_ms, span, sizeof(span));
    if (r->refused) {
        worker_result(r->worker, WORK_PERMANENT, r->seen.text);
    } else if (r->after.id[0] != '\0') {
        message_init(&result, WIRE_RESULT);
        message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
        message_put_text(&result, WIRE_BOOT_ID, r->after.id);
        worker_send(r->worker, &result);
        message_deinit(&result);
    } else if (r->left && r->back) {
        err_set(&e, "%s: was out of reach for a while, but did not reboot in %s", r->target.name,
                span);
        worker_result(r->worker, WORK_TRANSIENT, e.text);
    } else if (!r->left) {
        err_set(&e, "%s: was asked to reboot and has not in %s: it still runs as before",
                r->target.name, span);
        worker_result(r->worker, WORK_TRANSIENT, e.text);
    } else {
        err_set(&e, "went down to reboot and is not back after %s: %s", span, r->seen.text);
        worker_result(r->worker, WORK_TRANSIENT, e.text);
    }
}

void act_reboot_work(struct worker *worker, const struct message *request)
{
    struct ssh_link *link = worker_link(worker, request);
    if (link == NULL) {
        return;
    }
    struct reboot reboot = {.worker = worker,
                            .target = worker->target,
                            .deadline_ms = message_int(request, WIRE_DEADLINE, 0) - REPORT_MS};
    if (reboot.target.connect_timeout_ms > ATTEMPT_MAX_MS) {
        reboot.target.connect_timeout_ms = ATTEMPT_MAX_MS;
    }
    if (!ask(&reboot, link)) {
        worker_drop_link(worker);
        return;
    }
    int64_t asked_ms = clock_now_ms();
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    do {
        nanosleep(&pause, NULL);
    } while (!look(&reboot) && clock_now_ms() + PAUSE_MS < reboot.deadline_ms);
    tell(&reboot, asked_ms);
}
