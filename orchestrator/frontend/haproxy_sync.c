/*
 * Three things are compared: what is wanted (the rendered text), what the file says, and what the
 * process runs (the skeleton's digest is its `description`; its servers, by `show stat`).
 *
 * A reload forgets what was said over the runtime API, and takes servers for available until their
 * first check. So what is reloaded is not quite the wanted text, but the wanted skeleton with the
 * servers as this process has them: those that take traffic now as they are, all others
 * `disabled`, to be put back into their state afterwards, each through a check. A reload so changes
 * no membership: that is admit's and remove's alone. The wanted text takes the file's place then.
 *
 * What fails after the swap is undone: the old text goes back, and is reloaded.
 */
#include "frontend/haproxy_sync.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "frontend/frontend.h"
#include "frontend/haproxy_file.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_member.h"
#include "frontend/haproxy_render.h"
#include "frontend/haproxy_runtime.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS         100
#define RELOAD_WAIT_MS  15000
#define START_WAIT_MS   5000 /* A process that is not there after this will not come. */
#define COMMAND_WAIT_MS 60000
#define CHECK_SLACK_MS  3000
#define MOVE_SLACK_MS   30000

struct sync {
    const struct haproxy_host *host;
    const struct frontend_config *config;
    struct str wanted;      /* The text. */
    struct str description; /* Of a process that runs its skeleton. */
    struct str file;        /* The text that is there. */
    struct haproxy_state before;
};

static void deinit(struct sync *s)
{
    str_deinit(&s->wanted);
    str_deinit(&s->description);
    str_deinit(&s->file);
    haproxy_state_deinit(&s->before);
}

/*
 * A process that does not run had the members that its file lists: they come back with it, as after
 * a restart of the host, but through a check first.
 */
static void recall(struct sync *s)
{
    for (size_t i = 0; i < s->config->pool_count; i++) {
        const struct frontend_pool *pool = &s->config->pools[i];
        struct haproxy_server_list list = HAPROXY_SERVER_LIST_NULL;
        haproxy_text_servers(str_text(&s->file), pool->name, &list);
        for (size_t j = 0; j < pool->member_count; j++) {
            const struct frontend_member *member = &pool->members[j];
            const struct haproxy_server *listed = haproxy_server_list_find(&list, member->id);
            struct str address = STR_NULL;
            haproxy_add_address(&address, member->address, member->port);
            if (listed != NULL && strcmp(listed->address, str_text(&address)) == 0) {
                haproxy_state_add(&s->before, pool->name, listed->id, listed->address)->down = true;
            }
            str_deinit(&address);
        }
        haproxy_server_list_deinit(&list);
    }
}

static int observe(struct sync *s, struct err *e)
{
    haproxy_render(s->config, s->host->paths, &s->wanted);
    haproxy_render_description(&s->wanted, &s->description);
    if (haproxy_file_read(s->host, &s->file, e) != 0) {
        return -1;
    }
    if (haproxy_runtime_state(s->host, &s->before, e) != 0) {
        return -1;
    }
    if (!s->before.running) {
        recall(s);
    }
    return 0;
}

static bool takes_traffic(const struct haproxy_view *view)
{
    return !view->maintenance && !view->draining && !view->down;
}

/* The wanted skeleton with the servers of the process. */
static void add_reloadable(const struct sync *s, struct str *ret_text)
{
    struct str text = STR_NULL;
    str_add(&text, str_text(&s->wanted));
    for (size_t i = 0; i < s->config->pool_count; i++) {
        struct haproxy_server_list list = HAPROXY_SERVER_LIST_NULL;
        const char *pool = s->config->pools[i].name;
        for (size_t j = 0; j < s->before.count; j++) {
            const struct haproxy_view *view = &s->before.views[j];
            if (strcmp(view->pool, pool) == 0) {
                haproxy_server_list_put(&list, view->id, view->address, !takes_traffic(view));
            }
        }
        struct str next = STR_NULL;
        haproxy_text_set_servers(str_text(&text), pool, &list, &next);
        str_deinit(&text);
        text = next;
        haproxy_server_list_deinit(&list);
    }
    str_add(ret_text, str_text(&text));
    str_deinit(&text);
}

/* Whether a program listens at PORT of the host, whoever it is. */
static int ask_listener(const struct haproxy_host *host, unsigned port, bool *ret_listens,
                        struct err *e)
{
    struct str script = STR_NULL;
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    str_addf(&script, "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ':%04X [^ ]* 0A '",
             port);
    int result = haproxy_host_script(host, str_text(&script), NULL,
                                     clock_now_ms() + COMMAND_WAIT_MS, &output, e);
    if (result == 0) {
        *ret_listens = output.status == 0;
    }
    str_deinit(&script);
    haproxy_output_deinit(&output);
    return result;
}

/*
 * A new worker that cannot bind a port has the old one close its listeners and tries again for two
 * seconds, in which every connection is refused. So a new port must be free before the reload.
 */
static int check_ports(const struct sync *s, struct err *e)
{
    static const char *const commands[] = {"show stat -1 1 -1"};
    struct haproxy_answers answers = HAPROXY_ANSWERS_NULL;
    bool running;
    if (!s->before.running) {
        return 0; /* Nobody has a connection to lose. */
    }
    if (haproxy_runtime_ask(s->host, commands, 1, &answers, &running, e) != 0 || !running) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < s->config->listener_count && result == 0; i++) {
        char own[32];
        unsigned port = s->config->listeners[i].port;
        bool listens = false;
        snprintf(own, sizeof(own), ":%u,FRONTEND,", port);
        if (strstr(answers.items[0], own) != NULL) {
            continue;
        }
        result = ask_listener(s->host, port, &listens, e);
        if (result == 0 && listens) {
            result =
                err_set(e, "port %u: another program of the host listens there (ss -ltnp)", port);
        }
    }
    haproxy_answers_deinit(&answers);
    return result;
}

/* Runs the reload command; *ret_since is the host's time before it. */
static int reload(const struct haproxy_host *host, int64_t *ret_since, struct err *e)
{
    struct str script = STR_NULL;
    struct str words = STR_NULL;
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    str_addf(&script, "date +%%s; %s", host->paths->reload);
    int result = haproxy_host_write(host, str_text(&script), NULL, clock_now_ms() + COMMAND_WAIT_MS,
                                    &output, e);
    if (result == 0) {
        char *end;
        *ret_since = strtoll(str_text(&output.out), &end, 10);
        if (output.status != 0) {
            haproxy_add_last_line(&words, &output.err);
            result = err_set(e, "HAProxy did not take it: %s", str_text(&words));
        }
    }
    str_deinit(&script);
    str_deinit(&words);
    haproxy_output_deinit(&output);
    return result;
}

/* Why it did not take it, in its own words, in the place of ours in E. */
static void ask_why(const struct haproxy_host *host, int64_t since, struct err *e)
{
    struct str script = STR_NULL;
    struct str words = STR_NULL;
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    struct err ignored;
    str_addf(&script, "since=%lld\n%s", (long long)since, host->paths->words);
    if (haproxy_host_script(host, str_text(&script), NULL, clock_now_ms() + COMMAND_WAIT_MS,
                            &output, &ignored) == 0) {
        haproxy_add_complaint(&words, &output.out);
    }
    if (words.length > 0) {
        err_set(e, "HAProxy did not take it: %s", str_text(&words));
    }
    str_deinit(&script);
    str_deinit(&words);
    haproxy_output_deinit(&output);
}

/* Waits until the process at the socket runs DESCRIPTION. */
static int await_process(const struct haproxy_host *host, const char *description, struct err *e)
{
    int64_t begin_ms = clock_now_ms();
    for (;;) {
        struct haproxy_state state = HAPROXY_STATE_NULL;
        if (haproxy_runtime_state(host, &state, e) != 0) {
            return -1;
        }
        bool there = state.running && strcmp(state.description, description) == 0;
        bool running = state.running;
        haproxy_state_deinit(&state);
        if (there) {
            return 0;
        }
        if (clock_now_ms() - begin_ms > (running ? RELOAD_WAIT_MS : START_WAIT_MS)) {
            return err_set(e, "HAProxy did not take it: %s",
                           running ? "the old process goes on" : "it does not run");
        }
        haproxy_sleep(POLL_MS);
    }
}

/* The old text goes back; what is said of it is added to E's. */
static void roll_back(const struct sync *s, bool again, struct err *e)
{
    struct err back = ERR_NULL;
    bool raced;
    int64_t since;
    const struct haproxy_install install = {.text = &s->file, .trusted = true};
    if (s->file.length == 0 || haproxy_file_install(s->host, &install, &raced, &back) != 0 ||
        (again && reload(s->host, &since, &back) != 0) ||
        (again && s->before.running && await_process(s->host, s->before.description, &back) != 0)) {
        err_wrap(e, "the old configuration could not be restored (%.120s)",
                 s->file.length == 0 ? "there was none" : back.text);
        return;
    }
    err_wrap(e, "rolled back");
}

/* Swaps the file and makes a process run it; all or nothing. */
static int swap_and_reload(const struct sync *s, struct err *e)
{
    struct str text = STR_NULL;
    bool raced = false;
    int64_t since = 0;
    if (check_ports(s, e) != 0) {
        return -1;
    }
    add_reloadable(s, &text);
    const struct haproxy_install install = {.text = &text, .expected = &s->file};
    int result = haproxy_file_install(s->host, &install, &raced, e);
    str_deinit(&text);
    if (result != 0) {
        return -1;
    }
    if (raced) {
        return err_set(e, "%s was changed by somebody else just now", s->host->paths->config);
    }
    if (reload(s->host, &since, e) == 0 &&
        await_process(s->host, str_text(&s->description), e) == 0) {
        return 0;
    }
    ask_why(s->host, since, e);
    roll_back(s, true, e);
    return -1;
}

/*
 * What drains is sent those that hold its cookie, as long as no check says that it is down: so it
 * is down until one passes. Between the two commands another thread may send it somebody, who finds
 * a target that nobody has looked at: until both are done it has another port, and so another
 * cookie. One line, so that a death of ours does not fall in between; what it did is looked at.
 */
static int drain_unchecked(const struct sync *s, const struct haproxy_view *view, struct err *e)
{
    char address[sizeof(view->address)];
    text_copy(address, sizeof(address), view->address);
    char *colon = strrchr(address, ':');
    if (colon == NULL) {
        return err_set(e,
                       "HAProxy has %s/%s at '%s', without a port: remove it there (`del server`)",
                       view->pool, view->id, view->address);
    }
    *colon = '\0';
    const char *port = colon + 1;
    char *host = address;
    if (address[0] == '[') {
        host++;
        *(colon - 1) = '\0';
    }
    const char *pool = view->pool;
    const char *id = view->id;
    return haproxy_runtime_tell(s->host, NULL, e,
                                "set server %s/%s addr %s port %d; set server %s/%s state drain; "
                                "set server %s/%s health down; set server %s/%s addr %s port %s",
                                pool, id, host, strcmp(port, "1") == 0 ? 2 : 1, pool, id, pool, id,
                                pool, id, host, port);
}

static int set_state(const struct sync *s, const struct haproxy_view *view, const char *state,
                     struct err *e)
{
    return haproxy_runtime_tell(s->host, "", e, "set server %s/%s state %s", view->pool, view->id,
                                state);
}

/*
 * After a reload: those that took no traffic go back into their state, and checks of those that did
 * are awaited, so that what is said of them afterwards is true. *ret_settled: nothing is left to
 * do.
 */
static int settle_step(const struct sync *s, const struct haproxy_state *now, bool *ret_settled,
                       struct err *e)
{
    *ret_settled = true;
    for (size_t i = 0; i < now->count; i++) {
        const struct haproxy_view *view = &now->views[i];
        const struct haproxy_view *before = haproxy_state_find(&s->before, view->pool, view->id);
        if (before == NULL || before->maintenance) {
            continue;
        }
        int result = 0;
        bool back = view->draining && !before->draining && view->checked;
        if (view->maintenance) {
            const struct frontend_pool *pool = haproxy_find_pool(s->config, view->pool);
            bool by_cookie = pool != NULL && pool->cookie_key != NULL;
            result = by_cookie ? drain_unchecked(s, view, e) : set_state(s, view, "drain", e);
        } else if (back) {
            result = set_state(s, view, "ready", e);
        }
        if (result != 0) {
            return -1;
        }
        *ret_settled = *ret_settled && !view->maintenance && !back && view->checked;
    }
    return 0;
}

static int settle(const struct sync *s, struct err *e)
{
    int64_t span_ms = 0;
    for (size_t i = 0; i < s->config->pool_count; i++) {
        const struct frontend_check *check = &s->config->pools[i].check;
        int64_t needs_ms = check->interval_ms + check->timeout_ms;
        span_ms = needs_ms > span_ms ? needs_ms : span_ms;
    }
    int64_t deadline_ms = clock_now_ms() + span_ms + CHECK_SLACK_MS;
    bool settled = false;
    while (!settled && clock_now_ms() < deadline_ms) {
        struct haproxy_state now = HAPROXY_STATE_NULL;
        if (haproxy_runtime_state(s->host, &now, e) != 0) {
            return -1;
        }
        int result = settle_step(s, &now, &settled, e);
        haproxy_state_deinit(&now);
        if (result != 0) {
            return -1;
        }
        if (!settled) {
            haproxy_sleep(POLL_MS);
        }
    }
    return 0;
}

/* A member that the process has at another address than wanted; NULL when there is none. */
static const struct frontend_member *find_moved(const struct sync *s,
                                                const struct haproxy_state *state,
                                                const struct frontend_pool **ret_pool)
{
    for (size_t i = 0; i < s->config->pool_count; i++) {
        const struct frontend_pool *pool = &s->config->pools[i];
        for (size_t j = 0; j < pool->member_count; j++) {
            const struct frontend_member *member = &pool->members[j];
            const struct haproxy_view *view = haproxy_state_find(state, pool->name, member->id);
            struct str address = STR_NULL;
            haproxy_add_address(&address, member->address, member->port);
            bool moved = view != NULL && strcmp(view->address, str_text(&address)) != 0;
            str_deinit(&address);
            if (moved) {
                *ret_pool = pool;
                return member;
            }
        }
    }
    return NULL;
}

/* Those move one by one, out at the old address and in at the new: the first that does not pass its
   check there ends it, and all others serve on. */
static int move(const struct sync *s, bool *ret_moved, struct err *e)
{
    for (;;) {
        struct haproxy_state now = HAPROXY_STATE_NULL;
        if (haproxy_runtime_state(s->host, &now, e) != 0) {
            return -1;
        }
        const struct frontend_pool *pool;
        const struct frontend_member *member = find_moved(s, &now, &pool);
        haproxy_state_deinit(&now);
        if (member == NULL) {
            return 0;
        }
        *ret_moved = true;
        int64_t deadline_ms = clock_now_ms() + pool->drain_ms + MOVE_SLACK_MS +
                              3 * (pool->check.interval_ms + pool->check.timeout_ms);
        if (haproxy_admit(s->host, s->config, pool->name, member, deadline_ms, e) != 0) {
            return -1;
        }
    }
}

/* The file as wanted, without a reload; the text may have been changed by admit or remove since. */
static int write_wanted(const struct sync *s, bool *ret_changed, struct err *e)
{
    struct str now = STR_NULL;
    bool raced = false;
    int result = haproxy_file_read(s->host, &now, e);
    if (result == 0 && strcmp(str_text(&now), str_text(&s->wanted)) != 0) {
        const struct haproxy_install install = {.text = &s->wanted, .expected = &now};
        result = haproxy_file_install(s->host, &install, &raced, e);
        *ret_changed = true;
    }
    if (result == 0 && raced) {
        result = err_set(e, "%s was changed by somebody else just now", s->host->paths->config);
    }
    str_deinit(&now);
    return result;
}

static int work(struct sync *s, bool check_only, struct frontend_sync *ret_sync, struct err *e)
{
    if (observe(s, e) != 0) {
        return -1;
    }
    const struct frontend_pool *pool;
    bool same_text = strcmp(str_text(&s->file), str_text(&s->wanted)) == 0;
    bool same_process =
        s->before.running && strcmp(s->before.description, str_text(&s->description)) == 0;
    bool moved = find_moved(s, &s->before, &pool) != NULL;
    struct frontend_sync sync = {.changed = !same_text || !same_process || moved,
                                 .reloaded = !same_process};
    if (check_only || !sync.changed) {
        if (!same_text && haproxy_file_check(s->host, &s->wanted, e) != 0) {
            return -1;
        }
        *ret_sync = sync;
        return 0;
    }
    if (!same_process && (swap_and_reload(s, e) != 0 || settle(s, e) != 0)) {
        return -1;
    }
    if (move(s, &sync.changed, e) != 0 || write_wanted(s, &sync.changed, e) != 0) {
        return -1;
    }
    *ret_sync = sync;
    return 0;
}

int haproxy_sync(const struct haproxy_host *host, const struct frontend_config *config,
                 bool check_only, struct frontend_sync *ret_sync, struct err *e)
{
    if (haproxy_config_check(config, e) != 0) {
        return -1;
    }
    struct sync s = {.host = host, .config = config};
    int result = work(&s, check_only, ret_sync, e);
    deinit(&s);
    return result == 0 ? 0 : err_wrap(e, "frontend %s", config->name);
}
