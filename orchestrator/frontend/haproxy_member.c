/*
 * A target comes in:
 *
 *   add server ... check     The new server is in maintenance. (`enabled` would let it take traffic
 *                            and never be checked; `state ready` from maintenance makes it UP
 *                            before its first check.)
 *   enable health            Checks are off on a dynamic server until this.
 *   state drain              Checked now, but sent no request.
 *   ... its first check passes: "DRAIN" with L7OK in `show stat` ...
 *   (its cookie)             In a sticky pool; see give_cookie().
 *   state ready              Traffic, growing over the slow start.
 *   the file lists it        A restart of HAProxy changes nothing.
 *
 * And goes out:
 *
 *   ... are enough others up? Asked once more, right before: else it stays (S19) ...
 *   state drain              No new requests; those under way end.
 *   ... until none is left, or the pool's drain time is over ...
 *   state maint              Checks end too.
 *   shutdown sessions        Those that are left are cut.
 *   del server               Refused while a connection, idle ones too, is open: asked again.
 *   the file forgets it
 *
 * In a sticky pool those that hold its cookie would be sent to it through all of the drain, and
 * what they have begun when its time is over would be cut. So there it is in maintenance from the
 * start, while what is under way ends: their next request is another's, which gives them its own
 * cookie.
 *
 * Both are a loop that looks at what is and does the next step, not a list of steps: cut off
 * anywhere and started again, they go on.
 */
#include "frontend/haproxy_member.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "frontend/frontend.h"
#include "frontend/haproxy_file.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_render.h"
#include "frontend/haproxy_runtime.h"
#include "frontend/haproxy_targets.h"

#include <string.h>

/* How often the process is asked while something is awaited: soon at first, then less. */
#define POLL_FIRST_MS 50
#define POLL_MAX_MS   400

/* Kept back of a deadline to leave things tidy. */
#define TIDY_MS 2000

/* How long `del server` may be refused: idle connections go within seconds. */
#define DELETE_WAIT_MS 20000

struct place {
    const struct haproxy_host *host;
    const struct frontend_pool *pool;
    const char *id;
    const struct frontend_member *member; /* Of an admission; else NULL. */
};

const struct frontend_pool *haproxy_find_pool(const struct frontend_config *config,
                                              const char *name)
{
    for (size_t i = 0; i < config->pool_count; i++) {
        if (text_equal(config->pools[i].name, name)) {
            return &config->pools[i];
        }
    }
    return NULL;
}

/* How the process has the target now; *ret_found false when it has none. */
static int look(const struct place *place, bool *ret_found, struct haproxy_view *ret_view,
                struct err *e)
{
    struct haproxy_state state = HAPROXY_STATE_NULL;
    if (haproxy_runtime_state(place->host, &state, e) != 0) {
        return -1;
    }
    if (!state.running) {
        return err_set(e, "HAProxy does not run (nobody listens at %s)",
                       place->host->paths->socket);
    }
    haproxy_targets_tell(place->host, &state);
    const struct haproxy_view *view = haproxy_state_find(&state, place->pool->name, place->id);
    *ret_found = view != NULL;
    if (view != NULL) {
        *ret_view = *view;
    }
    haproxy_state_deinit(&state);
    return 0;
}

static int set_state(const struct place *place, const char *state, struct err *e)
{
    return haproxy_runtime_tell(place->host, "", e, "set server %s/%s state %s", place->pool->name,
                                place->id, state);
}

static int add(const struct place *place, const char *address, struct err *e)
{
    struct str options = STR_NULL;
    haproxy_add_server_options(&options, place->pool);
    int result =
        haproxy_runtime_tell(place->host, "New server registered.", e, "add server %s/%s %s %s",
                             place->pool->name, place->id, address, str_text(&options));
    str_deinit(&options);
    return result;
}

static bool is_sticky(const struct place *place)
{
    return place->pool->cookie_key != NULL;
}

static int watch(const struct place *place, struct err *e)
{
    if (haproxy_runtime_tell(place->host, "", e, "enable health %s/%s", place->pool->name,
                             place->id) != 0) {
        return -1;
    }
    return set_state(place, "drain", e);
}

static int64_t next_poll(int64_t span_ms)
{
    return span_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : span_ms * 2;
}

/* From whatever state into none. */
static int delete_server(const struct place *place, int64_t deadline_ms, struct err *e)
{
    static const char busy[] = "Server still has connections attached to it, cannot remove it.";
    if (set_state(place, "maint", e) != 0) {
        return -1;
    }
    for (int64_t span_ms = POLL_FIRST_MS;; span_ms = next_poll(span_ms)) {
        if (haproxy_runtime_tell(place->host, "", e, "shutdown sessions server %s/%s",
                                 place->pool->name, place->id) != 0) {
            return -1;
        }
        if (haproxy_runtime_tell(place->host, "Server deleted.", e, "del server %s/%s",
                                 place->pool->name, place->id) == 0) {
            return 0;
        }
        if (strstr(e->text, busy) == NULL || clock_now_ms() + span_ms > deadline_ms) {
            return -1;
        }
        haproxy_sleep(span_ms);
    }
}

/* Waits until no session is left; the number that is when the time is over. */
static int drain(const struct place *place, int64_t until_ms, int64_t *ret_left, struct err *e)
{
    bool sticky = is_sticky(place);
    for (int64_t span_ms = POLL_FIRST_MS;; span_ms = next_poll(span_ms)) {
        struct haproxy_view view;
        bool found;
        if (look(place, &found, &view, e) != 0) {
            return -1;
        }
        *ret_left = found ? view.sessions : 0;
        if (!found || (view.maintenance && !sticky)) {
            return 0;
        }
        bool leaving = sticky ? view.maintenance : view.draining;
        /* Again when HAProxy was restarted meanwhile and has forgotten. */
        if (!leaving && set_state(place, sticky ? "maint" : "drain", e) != 0) {
            return -1;
        }
        bool over = clock_now_ms() >= until_ms;
        if (leaving && (view.sessions == 0 || over)) {
            return 0;
        }
        haproxy_sleep(over ? POLL_FIRST_MS : span_ms);
    }
}

static int take_out(const struct place *place, int64_t deadline_ms, int64_t *ret_cut, struct err *e)
{
    struct haproxy_view view;
    bool found;
    if (look(place, &found, &view, e) != 0) {
        return -1;
    }
    *ret_cut = 0;
    if (!found) {
        return 0;
    }
    int64_t until_ms = clock_now_ms() + place->pool->drain_ms;
    until_ms = until_ms > deadline_ms - TIDY_MS ? deadline_ms - TIDY_MS : until_ms;
    if (drain(place, until_ms, ret_cut, e) != 0) {
        return -1;
    }
    int64_t delete_ms = clock_now_ms() + DELETE_WAIT_MS;
    return delete_server(place, delete_ms < deadline_ms ? delete_ms : deadline_ms, e);
}

enum admission { ADMISSION_DONE, ADMISSION_STEP, ADMISSION_WAIT };

/*
 * HAProxy 2.6 makes no cookie for a server that is added, and takes the client's away where such a
 * one answers; it makes one when the address changes. (`enable dynamic-cookie` would, too, but for
 * all servers of the pool, whose cookies other threads are reading.) Not before its first check has
 * passed: a client that holds the cookie of who had this address before, or of the same host before
 * it was changed, is sent to it from here on.
 */
static int give_cookie(const struct place *place, struct err *e)
{
    const struct frontend_member *member = place->member;
    struct haproxy_view view;
    bool found;
    if (haproxy_runtime_tell(place->host, NULL, e,
                             "set server %s/%s addr %s port %u; set server %s/%s addr %s port %u",
                             place->pool->name, place->id, member->address,
                             member->port == 1 ? 2 : 1, place->pool->name, place->id,
                             member->address, member->port) != 0 ||
        look(place, &found, &view, e) != 0) {
        return -1;
    }
    return found && !view.cookie
               ? err_set(e,
                         "HAProxy made no cookie for it: is it 2.6? `sticky = no` in [pool %s] "
                         "lets it in without one",
                         place->pool->name)
               : 0;
}

/* Does the next step towards UP at ADDRESS. */
static int admit_step(const struct place *place, const char *address, int64_t deadline_ms,
                      enum admission *ret_admission, struct err *e)
{
    struct haproxy_view view;
    bool found;
    if (look(place, &found, &view, e) != 0) {
        return -1;
    }
    *ret_admission = ADMISSION_STEP;
    int64_t cut;
    if (!found) {
        return add(place, address, e) != 0 ? -1 : watch(place, e);
    }
    /* In maintenance what its last check said is old; at another address it is another's. */
    if (view.maintenance || strcmp(view.address, address) != 0) {
        return take_out(place, deadline_ms, &cut, e);
    }
    if (view.draining && view.checked && view.passed) {
        return is_sticky(place) && !view.cookie ? give_cookie(place, e)
                                                : set_state(place, "ready", e);
    }
    bool up = !view.draining && !view.down && view.checked;
    *ret_admission = up ? ADMISSION_DONE : ADMISSION_WAIT;
    return 0;
}

/* The deadline has passed: what was never UP goes again, from the process and from the file. */
static int give_up(const struct place *place, int64_t deadline_ms, struct err *e)
{
    struct haproxy_view view;
    bool found;
    if (look(place, &found, &view, e) != 0) {
        return -1;
    }
    if (!found || view.draining || view.maintenance) {
        struct err ignored = ERR_NULL;
        if (found) {
            delete_server(place, deadline_ms, &ignored);
        }
        haproxy_file_set_member(place->host, place->pool->name, place->id, NULL, &ignored);
    }
    return err_set(e, "not let in, no check of HAProxy's has passed: %s",
                   found ? view.check : "it vanished from HAProxy");
}

static int admit(const struct place *place, const char *address, int64_t deadline_ms, struct err *e)
{
    int64_t until_ms = deadline_ms - TIDY_MS;
    for (int64_t span_ms = POLL_FIRST_MS;; span_ms = next_poll(span_ms)) {
        enum admission admission;
        if (admit_step(place, address, deadline_ms, &admission, e) != 0) {
            return -1;
        }
        if (admission == ADMISSION_DONE) {
            return 0;
        }
        if (clock_now_ms() >= until_ms) {
            return give_up(place, deadline_ms, e);
        }
        haproxy_sleep(admission == ADMISSION_STEP ? 0 : span_ms);
    }
}

int haproxy_admit(const struct haproxy_host *host, const struct frontend_config *config,
                  const char *pool, const struct frontend_member *member, int64_t deadline_ms,
                  struct err *e)
{
    const struct place place = {
        .host = host, .pool = haproxy_find_pool(config, pool), .id = member->id, .member = member};
    if (haproxy_config_check(config, e) != 0 || haproxy_name_check(member->id, e) != 0 ||
        haproxy_address_check(member->address, member->port, e) != 0) {
        return -1;
    }
    if (place.pool == NULL) {
        return err_set(e, "frontend %s has no pool %s", config->name, pool);
    }
    struct str address = STR_NULL;
    haproxy_add_address(&address, member->address, member->port);
    int result = admit(&place, str_text(&address), deadline_ms, e);
    if (result == 0) {
        result = haproxy_file_set_member(host, pool, member->id, str_text(&address), e);
    }
    str_deinit(&address);
    return result == 0 ? 0 : err_wrap(e, "admit %s to pool %s", member->id, pool);
}

/* How many of the pool's targets are up, and whether this one is. */
static int count_up(const struct place *place, bool *ret_itself, size_t *ret_others, struct err *e)
{
    struct haproxy_state state = HAPROXY_STATE_NULL;
    if (haproxy_runtime_look(place->host, &state, e) != 0) {
        return -1;
    }
    *ret_itself = false;
    *ret_others = 0;
    for (size_t i = 0; i < state.count; i++) {
        const struct haproxy_view *view = &state.views[i];
        if (!text_equal(view->pool, place->pool->name) ||
            haproxy_view_state(view) != FRONTEND_TARGET_UP) {
            continue;
        }
        if (text_equal(view->id, place->id)) {
            *ret_itself = true;
        } else {
            (*ret_others)++;
        }
    }
    haproxy_state_deinit(&state);
    return 0;
}

static int remove_member(const struct place *place, const struct frontend_removal *removal,
                         struct frontend_removed *ret_removed, struct err *e)
{
    bool is_up = false;
    struct frontend_removed removed = {.refused = false};
    if (removal->minimum > 0 && count_up(place, &is_up, &removed.left_up, e) != 0) {
        return -1;
    }
    removed.refused = is_up && removed.left_up < removal->minimum;
    if (!removed.refused &&
        (take_out(place, removal->deadline_ms, &removed.cut_sessions, e) != 0 ||
         haproxy_file_set_member(place->host, place->pool->name, place->id, NULL, e) != 0)) {
        return -1;
    }
    *ret_removed = removed;
    return 0;
}

int haproxy_remove(const struct haproxy_host *host, const struct frontend_config *config,
                   const struct frontend_removal *removal, struct frontend_removed *ret_removed,
                   struct err *e)
{
    const struct place place = {
        .host = host, .pool = haproxy_find_pool(config, removal->pool), .id = removal->id};
    if (haproxy_config_check(config, e) != 0 || haproxy_name_check(removal->id, e) != 0) {
        return -1;
    }
    if (place.pool == NULL) {
        return err_set(e, "frontend %s has no pool %s", config->name, removal->pool);
    }
    return remove_member(&place, removal, ret_removed, e) == 0
               ? 0
               : err_wrap(e, "remove %s from pool %s", removal->id, removal->pool);
}
