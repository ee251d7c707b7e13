/* Queueing a request and hearing what became of it. */
#include "cli/group_ask.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/sqlite.h"

#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100
/* A controller looks for requests twice a second; a turn of its loop may take a while. */
#define WAIT_LIMIT_MS 60000
#define EVENTS_READ   256

static int open_store(const struct spec *spec, struct store *ret_store, struct err *e)
{
    if (access(spec->state_path, F_OK) != 0) {
        return err_set(e,
                       "%s is not there: nothing was applied yet, so there is nobody to ask; "
                       "`lamplighter apply` or `run` first",
                       spec->state_path);
    }
    return store_sqlite_open(ret_store, spec->state_path, STORE_SQLITE_WRITE, e);
}

void group_known_deinit(struct group_known *known)
{
    record_instance_list_free((struct record_instance *)known->instances, known->instance_count);
    record_group_list_free((struct record_group *)known->groups, known->group_count);
    record_refresh_list_free((struct record_refresh *)known->refreshes, known->refresh_count);
    if (known->versions != NULL) {
        template_versions_deinit((struct template_versions *)known->versions);
        free((struct template_versions *)known->versions);
    }
}

static int read_known(struct group_known *ret_known, const struct spec *spec, struct store *store,
                      struct err *e)
{
    struct record_instance *instances = NULL;
    struct record_group *groups = NULL;
    struct record_refresh *refreshes = NULL;
    struct template_versions *versions = xcalloc(1, sizeof(*versions));
    struct group_known known = {.spec = spec, .versions = versions};
    int result = record_instance_list(store, &instances, &known.instance_count, e) != 0 ||
                         record_group_list(store, &groups, &known.group_count, e) != 0 ||
                         record_refresh_list(store, &refreshes, &known.refresh_count, e) != 0 ||
                         template_versions_load(store, spec, instances, known.instance_count,
                                                versions, e) != 0
                     ? -1
                     : 0;
    known.instances = instances;
    known.groups = groups;
    known.refreshes = refreshes;
    if (result != 0) {
        group_known_deinit(&known);
        return -1;
    }
    *ret_known = known;
    return 0;
}

int group_open(const struct spec *spec, struct store *ret_store, struct group_known *ret_known,
               struct err *e)
{
    struct store store = STORE_NULL;
    if (open_store(spec, &store, e) != 0) {
        return -1;
    }
    if (read_known(ret_known, spec, &store, e) != 0) {
        store_close(&store);
        return -1;
    }
    *ret_store = store;
    return 0;
}

/* "root on host7, pid 4711": who asked, and which of his commands. */
static char *who_asks(void)
{
    char host[80] = "?";
    gethostname(host, sizeof(host) - 1);
    const struct passwd *user = getpwuid(getuid());
    return xasprintf("%s on %s, pid %ld", user == NULL ? "somebody" : user->pw_name, host,
                     (long)getpid());
}

/* Waiting. */

static int last_event(struct store *store, uint64_t *ret_number, struct err *e)
{
    struct record_event *events;
    size_t count;
    if (record_event_list(store, 1, &events, &count, e) != 0) {
        return -1;
    }
    *ret_number = count == 0 ? 0 : events[0].number;
    record_event_list_free(events, count);
    return 0;
}

/* What became of REQUEST, as the controller's event says; *ret_outcome NULL: nothing yet. */
static int find_outcome(struct store *store, const struct record_request *request, uint64_t after,
                        char **ret_outcome, struct err *e)
{
    struct record_event *events;
    size_t count;
    *ret_outcome = NULL;
    if (record_event_list(store, EVENTS_READ, &events, &count, e) != 0) {
        return -1;
    }
    char *why = xasprintf("asked for by %s", request->who);
    for (size_t i = 0; i < count && *ret_outcome == NULL; i++) {
        if (events[i].number > after && text_equal(events[i].why, why) &&
            text_equal(events[i].what, record_request_kind_to_string(request->kind))) {
            *ret_outcome = xstrdup(events[i].outcome == NULL ? "taken" : events[i].outcome);
        }
    }
    free(why);
    record_event_list_free(events, count);
    return 0;
}

struct waiting {
    char *outcome; /* Owned; NULL: it still waits in the store. */
    char *owner;   /* Owned; who acted last; NULL: nobody did. */
    bool alive;    /* And acts now. */
};

static void waiting_deinit(struct waiting *w)
{
    free(w->outcome);
    free(w->owner);
}

static int find_actor(struct store *store, struct waiting *w, struct err *e)
{
    struct record_lock lock;
    if (record_lock_read(store, &w->alive, &lock, e) != 0) {
        return -1;
    }
    if (w->alive) {
        free(w->owner);
        w->owner = xstrdup(lock.owner == NULL ? "unknown" : lock.owner);
        record_lock_deinit(&lock);
    }
    return 0;
}

/* Until a controller has taken it, or none runs. */
static int wait_until_taken(struct store *store, const struct record_request *request,
                            uint64_t after, bool wait, struct waiting *ret_waiting, struct err *e)
{
    int64_t until_ms = clock_now_ms() + WAIT_LIMIT_MS;
    *ret_waiting = (struct waiting){.outcome = NULL};
    for (;;) {
        /* The actor first: one that takes it and ends between the two leaves its event behind. */
        if (find_actor(store, ret_waiting, e) != 0 ||
            find_outcome(store, request, after, &ret_waiting->outcome, e) != 0) {
            return -1;
        }
        if (!wait || ret_waiting->outcome != NULL || !ret_waiting->alive ||
            clock_now_ms() >= until_ms) {
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
    }
}

/* Telling. */

static void tell(const struct cli *cli, const struct spec *spec,
                 const struct record_request *request, const struct waiting *w)
{
    const char *what = record_request_kind_to_string(request->kind);
    const char *subject = request->subject == NULL ? spec->cluster : request->subject;
    if (cli->json) {
        json_t *object = json_pack("{s:s, s:s, s:I, s:s, s:s?}", "subject", subject, "request",
                                   what, "number", (json_int_t)request->number, "outcome",
                                   w->outcome == NULL ? "queued" : w->outcome, "controller",
                                   w->alive || w->outcome != NULL ? w->owner : NULL);
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
        return;
    }
    if (w->outcome != NULL && text_starts(w->outcome, "refused")) {
        log_error("%s: %s: %s", subject, what, w->outcome);
    } else if (w->outcome != NULL) {
        printf("%s: %s: %s by %s; `lamplighter why %s` says how it goes\n", subject, what,
               w->outcome, w->owner == NULL ? "a controller that has ended" : w->owner,
               request->subject == NULL ? "cluster" : subject);
    } else if (!w->alive) {
        printf("%s: %s: queued; no controller runs: `lamplighter run` or `apply` will do it\n",
               subject, what);
    } else if (cli->no_wait) {
        printf("%s: %s: queued for %s\n", subject, what, w->owner);
    } else {
        printf("%s: %s: queued; %s has not taken it in %d s, and will when it gets to it\n",
               subject, what, w->owner, WAIT_LIMIT_MS / 1000);
    }
}

static int queue(struct store *store, struct record_request *request, bool wait,
                 struct waiting *ret_waiting, struct err *e)
{
    uint64_t after;
    free(request->who);
    request->who = who_asks();
    request->wall_ms = clock_wall_ms();
    return last_event(store, &after, e) != 0 ||
                   record_request_put(store, request, &request->number, e) != 0 ||
                   wait_until_taken(store, request, after, wait, ret_waiting, e) != 0
               ? -1
               : 0;
}

int group_ask_quietly(struct store *store, struct record_request *request, char **ret_outcome,
                      struct err *e)
{
    struct waiting waiting = {.outcome = NULL};
    int result = queue(store, request, true, &waiting, e);
    *ret_outcome = waiting.outcome;
    waiting.outcome = NULL;
    waiting_deinit(&waiting);
    return result;
}

int group_not_taken_in(struct err *e)
{
    return err_set(e, "who acts on this cluster does not take in what is asked: `lamplighter "
                      "status` says who that is; see its log, then try again");
}

int group_ask(const struct cli *cli, const struct spec *spec, struct store *store,
              struct record_request *request, char **ret_outcome)
{
    struct err e = ERR_NULL;
    struct waiting waiting = {.outcome = NULL};
    int result = queue(store, request, !cli->no_wait, &waiting, &e) != 0 ? CLI_FAILED : CLI_DONE;
    if (result != CLI_DONE) {
        log_error("%s", e.text);
    } else {
        tell(cli, spec, request, &waiting);
        result = waiting.outcome != NULL && text_starts(waiting.outcome, "refused") ? CLI_REFUSED
                                                                                    : CLI_DONE;
    }
    if (ret_outcome != NULL) {
        *ret_outcome = waiting.outcome;
        waiting.outcome = NULL;
    }
    waiting_deinit(&waiting);
    return result;
}
