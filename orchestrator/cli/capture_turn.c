#include "cli/capture_turn.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/group_ask.h"

#include <stdlib.h>
#include <time.h>

#define WAIT_LIMIT_MS 600000
#define QUIET_MS      3000
#define LOOK_EVERY_MS 200

static const char *id_of(const struct capture_turn *turn)
{
    return controller_member_at(turn->session->controller, turn->member).record->id;
}

/* *ret_taken false: nobody acts any more. */
static enum capture_answer ask(const struct capture_turn *turn, enum record_request_kind kind,
                               const char *word, bool *ret_taken, struct err *e)
{
    struct record_request request = {
        .kind = kind, .subject = (char *)id_of(turn), .word = (char *)word};
    char *outcome = NULL;
    int result = group_ask_quietly(&turn->session->store, &request, &outcome, e);
    *ret_taken = outcome != NULL;
    bool refused = outcome != NULL && text_starts(outcome, "refused");
    if (result == 0 && refused) {
        err_set(e, "%s", outcome);
    }
    free(outcome);
    free(request.who);
    return result != 0 ? CAPTURE_FAULT : refused ? CAPTURE_REFUSED : CAPTURE_MAY;
}

static int read_capture(const struct capture_turn *turn, enum world_capture *ret_capture,
                        struct err *e)
{
    struct store_entry entry = {.key = NULL};
    struct record_instance record;
    bool found = false;
    char *key = xasprintf("instance/%s", id_of(turn));
    int result = store_get(&turn->session->store, key, &found, &entry, e);
    free(key);
    if (result == 0 && !found) {
        return err_set(e, "%s is gone", id_of(turn));
    }
    if (result == 0) {
        result = record_instance_decode(&entry, &record, e);
        store_entry_deinit(&entry);
    }
    if (result == 0) {
        bool ours = text_equal(record.capturer, turn->who);
        *ret_capture = ours ? (enum world_capture)record.capture : WORLD_CAPTURE_NONE;
        record_instance_deinit(&record);
    }
    return result;
}

static enum capture_answer await_grant(const struct capture_turn *turn, struct err *e)
{
    int64_t begun_ms = clock_now_ms();
    bool told = false;
    for (;;) {
        enum world_capture capture = WORLD_CAPTURE_NONE;
        if (read_capture(turn, &capture, e) != 0) {
            return CAPTURE_FAULT;
        }
        if (capture == WORLD_CAPTURE_GRANTED) {
            return CAPTURE_MAY;
        }
        int64_t waited_ms = clock_now_ms() - begun_ms;
        if (capture == WORLD_CAPTURE_NONE || waited_ms > WAIT_LIMIT_MS) {
            err_set(e, "%s (S3): `lamplighter why %s` says what is in the way",
                    capture == WORLD_CAPTURE_NONE ? "its turn was taken back"
                                                  : "its group could not spare it for 10 minutes",
                    id_of(turn));
            return CAPTURE_REFUSED;
        }
        if (!told && waited_ms > QUIET_MS) {
            told = true;
            log_info("%s: waits until its group can spare it (S3); `lamplighter why %s`",
                     id_of(turn), id_of(turn));
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
    }
}

static int name_self(struct capture_turn *turn, const struct image_ref *image, struct err *e)
{
    char *owner = NULL;
    if (record_owner_self(&owner, e) != 0) {
        return -1;
    }
    turn->who = xasprintf("%s %s@%u", owner, image->name, image->generation);
    free(owner);
    return 0;
}

enum capture_answer capture_turn_begin(struct capture_turn *turn, struct session *session,
                                       size_t member, const struct image_ref *image, struct err *e)
{
    *turn = (struct capture_turn){.session = session, .member = member};
    const struct record_instance *record = controller_member_at(session->controller, member).record;
    if (name_self(turn, image, e) != 0) {
        return CAPTURE_FAULT;
    }
    /* What serves nobody needs no turn. */
    if (session->journal == NULL && record->lifecycle != LIFECYCLE_IN_SERVICE) {
        return CAPTURE_MAY;
    }
    if (session->journal == NULL) {
        bool taken = false;
        turn->is_asked = true;
        enum capture_answer answer = ask(turn, RECORD_REQUEST_CAPTURE, turn->who, &taken, e);
        if (answer != CAPTURE_MAY || taken) {
            turn->is_asked = answer == CAPTURE_MAY;
            return answer == CAPTURE_MAY ? await_grant(turn, e) : answer;
        }
        if (session_try_act(session, e) != 0) {
            return CAPTURE_FAULT;
        }
        if (session->journal == NULL) {
            group_not_taken_in(e);
            return CAPTURE_FAULT;
        }
    }
    turn->is_asked = true;
    return controller_capture_begin(session->controller, member, turn->who, e) == 0 ? CAPTURE_MAY
                                                                                    : CAPTURE_FAULT;
}

void capture_turn_end(struct capture_turn *turn, const char *outcome)
{
    struct err e = ERR_NULL;
    bool taken = true;
    if (turn->is_asked && turn->session->journal != NULL) {
        (void)controller_capture_end(turn->session->controller, turn->member, outcome, &e);
    } else if (turn->is_asked) {
        (void)ask(turn, RECORD_REQUEST_CAPTURE_END, outcome, &taken, &e);
    }
    /* Who acts next sees that this process is gone. */
    if (e.text[0] != '\0') {
        log_debug("%s: give its turn back: %s", id_of(turn), e.text);
    }
    free(turn->who);
    *turn = CAPTURE_TURN_NULL;
}
