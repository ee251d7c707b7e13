/* First contact: SSH answers with the pinned key, the host tells its own facts. */
#include "base/clock.h"
#include "base/err.h"
#include "controller/boot.h"
#include "controller/worker.h"
#include "role/role.h"

#include <stdlib.h>
#include <time.h>

#define FACTS_MAX        65536
#define SAID_MAX         160
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
    int64_t until_ms = clock_now_ms() + message_int(request, WIRE_PATIENCE, 0);
    until_ms = until_ms < deadline_ms ? until_ms : deadline_ms;
    int64_t wait_ms = FIRST_PAUSE_MS;
    enum ssh_outcome outcome;
    while ((outcome = ssh_link_open(&worker->link, &worker->target, deadline_ms, e)) != SSH_OK &&
           still_booting(outcome) && clock_now_ms() + wait_ms < until_ms) {
        worker_progress(worker, "waiting for SSH");
        pause_ms(wait_ms);
        wait_ms = wait_ms * 3 / 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : wait_ms * 3 / 2;
    }
    if (outcome != SSH_OK) {
        worker->link = NULL;
    }
    return outcome;
}

static const char *text_or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

/* FACTS and BOOT may be NULL. */
static void send_facts(struct worker *worker, const char *facts, const struct boot *boot)
{
    struct message result = MESSAGE_NULL;
    message_init(&result, WIRE_RESULT);
    message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
    message_put_text(&result, WIRE_FACTS, facts);
    if (boot != NULL) {
        message_put_text(&result, WIRE_BOOT_ID, text_or_null(boot->id));
        message_put_text(&result, WIRE_MACHINE_ID, text_or_null(boot->machine_id));
        message_put_text(&result, WIRE_IMAGE, text_or_null(boot->identity.image));
        message_put_text(&result, WIRE_BUILD, text_or_null(boot->identity.build));
    }
    for (const struct ssh_link *at = worker->link; at != NULL; at = ssh_link_bastion(at)) {
        message_put_text(&result, WIRE_HOST_KEY, ssh_link_host_key(at));
    }
    worker_send(worker, &result);
    message_deinit(&result);
}

/* It lets us in, but what came back are not its facts. */
static void refuse_answer(struct worker *worker, int status, struct str *said)
{
    struct str clean = STR_NULL;
    str_trim(said);
    str_add_printable(&clean, str_text(said), said->length < SAID_MAX ? said->length : SAID_MAX,
                      false);
    struct err e = ERR_NULL;
    err_set(&e,
            "its shell does not run our commands as it should (status %d; it said: %s); log in as "
            "%s and look: its login shell, its .bashrc, ForceCommand",
            status, clean.length == 0 ? "nothing" : str_text(&clean), worker->target.user);
    worker_result(worker, WORK_PERMANENT, e.text);
    str_deinit(&clean);
}

/* The facts are known. Without the boot's id only a reboot by somebody else goes unnoticed; whether
   the rest is missed is for the controller to say. */
static void read_boot(struct worker *worker, const struct message *request, const char *facts)
{
    struct err e = ERR_NULL;
    struct boot boot;
    enum ssh_outcome outcome =
        boot_read(worker->link, message_int(request, WIRE_DEADLINE, 0), &boot, &e);
    if (outcome != SSH_OK) {
        worker_result(worker, worker_ssh_outcome(outcome), e.text);
    } else {
        send_facts(worker, facts, &boot);
    }
}

static void read_facts(struct worker *worker, const struct message *request)
{
    struct err e = ERR_NULL;
    struct str said = STR_NULL;
    int status = 0;
    enum ssh_outcome outcome =
        ssh_link_exec(worker->link, role_facts_command(), FACTS_MAX,
                      message_int(request, WIRE_DEADLINE, 0), &said, &status, &e);
    char *facts =
        outcome == SSH_OK && status == 0 ? role_facts_parse(str_text(&said), said.length) : NULL;
    if (outcome == SSH_FLOODED) {
        err_set(&e, "%s: floods us instead of telling its facts; look at the .bashrc of %s there",
                worker->target.name, worker->target.user);
        worker_result(worker, WORK_PERMANENT, e.text);
    } else if (outcome != SSH_OK) {
        worker_result(worker, worker_ssh_outcome(outcome), e.text);
    } else if (facts == NULL) {
        refuse_answer(worker, status, &said);
    } else {
        read_boot(worker, request, facts);
    }
    free(facts);
    str_deinit(&said);
}

void act_greet_work(struct worker *worker, const struct message *request)
{
    struct err e = ERR_NULL;
    if (worker_take_target(worker, request, &e) != 0) {
        worker_result(worker, WORK_PERMANENT, e.text);
        return;
    }
    enum ssh_outcome outcome = open_patiently(worker, request, &e);
    if (outcome != SSH_OK) {
        worker_result(worker, worker_ssh_outcome(outcome), e.text);
    } else if (message_int(request, WIRE_KEY_ONLY, 0) != 0) {
        send_facts(worker, NULL, NULL);
    } else {
        read_facts(worker, request);
    }
}
