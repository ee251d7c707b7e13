/*
 * lamplighter group: what an operator asks of groups and instances. A request is checked against
 * what the store knows, queued in it, and waited for until the controller has taken it in; whether
 * and when something is done about it is the controller's to say, like everything else.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/group_request.h"
#include "cli/session.h"
#include "cli/standing.h"
#include "store/sqlite.h"

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

static void known_deinit(struct group_known *known)
{
    record_instance_list_free((struct record_instance *)known->instances, known->instance_count);
    record_group_list_free((struct record_group *)known->groups, known->group_count);
}

static int known_read(struct group_known *ret_known, const struct spec *spec, struct store *store,
                      struct err *e)
{
    struct record_instance *instances;
    struct record_group *groups;
    struct group_known known = {.spec = spec};
    if (record_instance_list(store, &instances, &known.instance_count, e) != 0) {
        return -1;
    }
    known.instances = instances;
    if (record_group_list(store, &groups, &known.group_count, e) != 0) {
        record_instance_list_free(instances, known.instance_count);
        return -1;
    }
    known.groups = groups;
    *ret_known = known;
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

static int queue_and_wait(const struct cli *cli, const struct spec *spec, struct store *store,
                          struct record_request *request)
{
    struct err e = ERR_NULL;
    struct waiting waiting = {.outcome = NULL};
    uint64_t after;
    request->who = who_asks();
    request->wall_ms = clock_wall_ms();
    int result = last_event(store, &after, &e) != 0 ||
                         record_request_put(store, request, &request->number, &e) != 0 ||
                         wait_until_taken(store, request, after, !cli->no_wait, &waiting, &e) != 0
                     ? CLI_FAILED
                     : CLI_DONE;
    if (result != CLI_DONE) {
        log_error("%s", e.text);
    } else {
        tell(cli, spec, request, &waiting);
        result = waiting.outcome != NULL && text_starts(waiting.outcome, "refused") ? CLI_REFUSED
                                                                                    : CLI_DONE;
    }
    waiting_deinit(&waiting);
    return result;
}

static int ask(const struct cli *cli, const struct spec *spec, struct record_request *request)
{
    struct store store = STORE_NULL;
    struct group_known known;
    struct err e = ERR_NULL;
    if (access(spec->state_path, F_OK) != 0) {
        log_error("%s is not there: nothing was applied yet, so there is nobody to ask; "
                  "`lamplighter apply` or `run` first",
                  spec->state_path);
        return CLI_FAILED;
    }
    if (store_sqlite_open(&store, spec->state_path, STORE_SQLITE_WRITE, &e) != 0 ||
        known_read(&known, spec, &store, &e) != 0) {
        log_error("%s", e.text);
        store_close(&store);
        return CLI_FAILED;
    }
    enum group_answer answer = group_request_check(&known, request, &e);
    known_deinit(&known);
    int status = answer == GROUP_REFUSED ? CLI_REFUSED : CLI_FAILED;
    if (answer != GROUP_OK) {
        log_error("%s", e.text);
    } else {
        status = queue_and_wait(cli, spec, &store, request);
    }
    store_close(&store);
    return status;
}

/* How each group stands. */

static void print_group(const struct standing *s, size_t g)
{
    const struct spec_group *spec = &s->site.spec->groups[g];
    const struct group_known known = standing_known(s);
    const struct record_view *view = standing_of_group(s, g);
    struct str remark = STR_NULL;
    standing_group_remark(s, g, &remark);
    printf("%-12s %7u %5u %4u %4u %8lld %7lld %7lld  %s\n", spec->name, group_desired(&known, g),
           spec->desired, spec->min, spec->max, view == NULL ? 0 : (long long)view->standing,
           view == NULL ? 0 : (long long)view->serving_count,
           view == NULL ? 0 : (long long)view->minimum, str_text(&remark));
    str_deinit(&remark);
}

static int list(const struct cli *cli)
{
    struct standing s;
    int status = standing_read(&s, cli);
    if (status != CLI_DONE) {
        return status;
    }
    json_t *groups = json_array();
    if (!cli->json) {
        printf("%-12s %7s %5s %4s %4s %8s %7s %7s\n", "GROUP", "DESIRED", "FILE", "MIN", "MAX",
               "STANDING", "SERVING", "MINIMUM");
    }
    for (size_t g = 0; g < s.site.spec->group_count; g++) {
        if (cli->json) {
            json_array_append_new(groups, standing_group_to_json(&s, g));
        } else {
            print_group(&s, g);
        }
    }
    if (cli->json) {
        json_dumpf(groups, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(groups);
    standing_deinit(&s);
    return CLI_DONE;
}

int cmd_group(const struct cli *cli)
{
    if (cli->argc == 1 && text_equal(cli->argv[0], "list")) {
        return list(cli);
    }
    struct record_request request;
    struct err e = ERR_NULL;
    if (group_request_parse(cli->argc, cli->argv, cli->shrink, &request, &e) != GROUP_OK) {
        return cli_usage("group", "%s", e.text);
    }
    struct site site;
    int status = session_load_site(&site, cli);
    if (status == CLI_DONE) {
        status = ask(cli, site.spec, &request);
        site_deinit(&site);
    }
    record_request_deinit(&request);
    return status;
}
