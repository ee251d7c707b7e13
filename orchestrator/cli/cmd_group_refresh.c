/*
 * lamplighter group refresh: checked against the records and the images here, so that what cannot
 * be is told at once; queued; and, with --wait, followed until it is over.
 */
#include "cli/cmd_group_refresh.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "cli/group_ask.h"
#include "cli/refresh_text.h"
#include "cli/session.h"
#include "cli/standing.h"
#include "controller/refresh_goal.h"
#include "spec/value.h"
#include "store/sqlite.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_EVERY_MS 500
/* A controller that is started anew, or reads its file again, has given the lock back for a while.
 */
#define ALONE_LIMIT_MS 15000

/* Options. */

static int take_time(const char *option, const char *text, int64_t *ret_ms, struct err *e)
{
    if (text != NULL && !value_duration(text, ret_ms)) {
        return err_set(e, "%s: expected a time like '90s' or '5min', got '%s'", option, text);
    }
    return 0;
}

static int take_policy(const char *option, const char *text, enum world_refresh_policy *ret_policy,
                       struct err *e)
{
    return text == NULL || refresh_policy_from_string(text, ret_policy, e) == 0
               ? 0
               : err_wrap(e, "%s", option);
}

static int take_options(const struct cli *cli, struct refresh_options *o, struct err *e)
{
    const struct cli_refresh *given = &cli->refresh;
    o->image = xcopy(given->image);
    o->alarm = xcopy(given->alarm);
    int64_t number = 0;
    if (given->template != NULL && !text_to_int(given->template, 1, INT_MAX, &number)) {
        return err_set(e, "--template: expected the number of a version, got '%s'",
                       given->template);
    }
    o->template = (unsigned)number;
    o->all = given->all;
    o->no_rollback = given->no_rollback;
    o->allow_downgrade = cli->allow_downgrade;
    if (given->alarm_every != NULL && given->alarm == NULL) {
        return err_set(e, "--alarm-every needs --alarm");
    }
    if (given->checkpoints != NULL &&
        refresh_options_set_checkpoints(o, given->checkpoints, e) != 0) {
        return err_wrap(e, "--checkpoints");
    }
    if (take_time("--warm-up", given->warm_up, &o->warm_up_ms, e) != 0 ||
        take_time("--bake", given->bake, &o->bake_ms, e) != 0 ||
        take_time("--checkpoint-delay", given->checkpoint_delay, &o->checkpoint_delay_ms, e) != 0 ||
        take_time("--alarm-every", given->alarm_every, &o->alarm_every_ms, e) != 0 ||
        take_policy("--protected", given->protected_ones, &o->protected_ones, e) != 0 ||
        take_policy("--standby", given->standby_ones, &o->standby_ones, e) != 0) {
        return -1;
    }
    return refresh_options_check(o, e);
}

int cmd_group_refresh_options(const struct cli *cli, struct refresh_options *ret_options,
                              struct err *e)
{
    struct refresh_options options = REFRESH_OPTIONS_NULL;
    if (take_options(cli, &options, e) != 0) {
        refresh_options_deinit(&options);
        return -1;
    }
    *ret_options = options;
    return 0;
}

/* Of a new refresh; an order to one that is there takes none of them. */
static bool has_options(const struct cli *cli)
{
    const struct cli_refresh *r = &cli->refresh;
    return r->image != NULL || r->template != NULL || r->warm_up != NULL || r->bake != NULL ||
           r->checkpoints != NULL || r->checkpoint_delay != NULL || r->alarm != NULL ||
           r->alarm_every != NULL || r->protected_ones != NULL || r->standby_ones != NULL ||
           r->all || r->no_rollback || cli->allow_downgrade;
}

static int take_order(const struct cli *cli, enum record_request_kind *ret_kind, struct err *e)
{
    const struct cli_refresh *r = &cli->refresh;
    int orders = (r->go_on ? 1 : 0) + (r->cancel ? 1 : 0) + (r->back ? 1 : 0) + (r->status ? 1 : 0);
    if (orders > 1) {
        return err_set(e, "one of --continue, --cancel, --rollback and --status at a time");
    }
    if (orders == 1 && has_options(cli)) {
        return err_set(e, "--continue, --cancel, --rollback and --status take no other option of a "
                          "refresh: those of the one that is under way hold");
    }
    if (r->wait && cli->no_wait) {
        return err_set(e, "--wait and --no-wait exclude each other");
    }
    *ret_kind = r->go_on    ? RECORD_REQUEST_REFRESH_CONTINUE
                : r->cancel ? RECORD_REQUEST_REFRESH_CANCEL
                : r->back   ? RECORD_REQUEST_REFRESH_ROLLBACK
                            : RECORD_REQUEST_REFRESH;
    return 0;
}

/* Following it. */

struct following {
    const struct cli *cli;
    const struct spec *spec;
    size_t group;
    int64_t began_ms; /* Which refresh it is. */
    bool back;        /* Rolled back is what was asked for. */
    char *last;       /* Owned; the line that was told last. */
    int64_t alone_ms; /* Since when no controller runs; 0: one does. */
};

struct followed {
    struct record_refresh *records;
    struct record_view *views;
    size_t record_count, view_count;
    bool acted; /* A controller runs. */
};

static void followed_deinit(struct followed *f)
{
    record_refresh_list_free(f->records, f->record_count);
    record_view_list_free(f->views, f->view_count);
}

static int followed_read(struct followed *ret_followed, const struct spec *spec, int64_t *ret_epoch,
                         struct err *e)
{
    struct store store = STORE_NULL;
    struct record_lock lock;
    struct followed f = {.acted = false};
    if (store_sqlite_open(&store, spec->state_path, STORE_SQLITE_READ, e) != 0) {
        return -1;
    }
    int result = record_lock_read(&store, &f.acted, &lock, e);
    if (result == 0 && f.acted) {
        *ret_epoch = lock.epoch;
        record_lock_deinit(&lock);
    }
    if (result != 0 || record_refresh_list(&store, &f.records, &f.record_count, e) != 0 ||
        record_view_list(&store, &f.views, &f.view_count, e) != 0) {
        result = -1;
        followed_deinit(&f);
    }
    store_close(&store);
    if (result == 0) {
        *ret_followed = f;
    }
    return result;
}

static const struct record_view *view_of(const struct followed *f, const char *group, int64_t epoch)
{
    char *subject = xasprintf("group/%s", group);
    const struct record_view *view = record_view_find(f->views, f->view_count, subject, epoch);
    free(subject);
    return view;
}

/* A line when what it says has changed, but for the time. */
static void tell(struct following *f, const struct record_refresh *r,
                 const struct record_view *view)
{
    char line[240];
    int64_t wall_ms = clock_wall_ms();
    refresh_text_short(r, view, line, sizeof(line));
    if (!refresh_text_is_active(r) || text_equal(line, f->last)) {
        return;
    }
    free(f->last);
    f->last = xstrdup(line);
    if (f->cli->json) {
        json_t *object = refresh_text_json(r, view, wall_ms);
        json_object_set_new(object, "group", json_string(r->group));
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
    } else {
        printf("%s: %s\n", r->group, line + 2);
    }
    fflush(stdout);
}

/* How it ended; the exit status. */
static int tell_end(const struct following *f, const struct record_refresh *r)
{
    enum world_refresh_state state = (enum world_refresh_state)r->state;
    bool good = state == (f->back ? WORLD_REFRESH_ROLLED_BACK : WORLD_REFRESH_DONE);
    struct str text = STR_NULL;
    refresh_text_add(r, NULL, clock_wall_ms(), &text);
    if (f->cli->json) {
        json_t *object = refresh_text_json(r, NULL, clock_wall_ms());
        json_object_set_new(object, "group", json_string(r->group));
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
    } else if (good) {
        printf("%s: %s\n", r->group, str_text(&text));
    }
    if (!good) {
        log_error("%s: %s", r->group, str_text(&text));
    }
    str_deinit(&text);
    return good ? CLI_DONE : CLI_FAILED;
}

/* One look; -1: it goes on, else the exit status. */
static int look(struct following *f)
{
    struct followed now;
    struct err e = ERR_NULL;
    int64_t epoch = 0;
    const char *name = f->spec->groups[f->group].name;
    if (followed_read(&now, f->spec, &epoch, &e) != 0) {
        log_error("%s", e.text);
        return CLI_FAILED;
    }
    const struct record_refresh *r = record_refresh_find(now.records, now.record_count, name);
    f->alone_ms = now.acted ? 0 : f->alone_ms == 0 ? clock_now_ms() : f->alone_ms;
    f->began_ms = f->began_ms == 0 && r != NULL ? r->began_ms : f->began_ms;
    int status = -1;
    if (r == NULL || r->began_ms != f->began_ms) {
        log_error("%s: another refresh has taken its place: `group refresh %s --status`", name,
                  name);
        status = CLI_FAILED;
    } else if (!refresh_text_is_active(r)) {
        status = tell_end(f, r);
    } else if (f->alone_ms != 0 && clock_now_ms() - f->alone_ms >= ALONE_LIMIT_MS) {
        log_error("%s: no controller runs any more; the refresh goes on when `lamplighter run` "
                  "does",
                  name);
        status = CLI_FAILED;
    } else {
        tell(f, r, view_of(&now, name, epoch));
    }
    followed_deinit(&now);
    return status;
}

static int follow(const struct cli *cli, const struct spec *spec, size_t group, bool back)
{
    struct following f = {.cli = cli, .spec = spec, .group = group, .back = back};
    int status;
    while ((status = look(&f)) < 0) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
    }
    free(f.last);
    return status;
}

/* Asking. */

/* A version of before is used only while its roles are there and its settings are theirs. */
static int check_roles(struct site *site, const struct refresh_goal *goal, struct err *e)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    int result = 0;
    if (goal->whole) {
        site_take_version(site, goal->template, &problems);
    }
    if (problems.count > 0) {
        result = err_set(e, "version %u of template %s cannot be used any more: %s",
                         goal->template->record.number, goal->template->record.name,
                         problems.items[0].text);
    }
    problem_list_deinit(&problems);
    return result;
}

/* What the file says is what the controller knows, or else it would refresh to what it said. */
static int check_taken_over(const struct group_known *known, size_t group, bool acted,
                            struct err *e)
{
    const struct template_version *file =
        template_version_of_file(known->versions, known->spec->groups[group].template);
    bool written = false; /* Nothing is by a controller of before there were versions. */
    for (size_t i = 0; known->versions != NULL && i < known->versions->count; i++) {
        written = written || !known->versions->items[i].fresh;
    }
    if (!acted || !written || file == NULL || !file->fresh) {
        return 0;
    }
    return err_set(e,
                   "the cluster file says version %u of template %s, which the controller has not "
                   "taken over: reload it (`systemctl reload lamplighter`, SIGHUP) first",
                   file->record.number, file->record.name);
}

/* May it begin? Every byte of the image is read here, where nobody waits but who asks. */
static enum refresh_answer check_begin(const struct group_known *known, struct site *site,
                                       size_t group, bool acted,
                                       const struct refresh_options *options, struct err *e)
{
    if (check_taken_over(known, group, acted, e) != 0) {
        return REFRESH_REFUSED;
    }
    const struct record_instance **instances =
        xcalloc(known->instance_count + 1, sizeof(*instances));
    const struct refresh_known k = refresh_text_known(known, group, instances);
    struct refresh_goal goal = REFRESH_GOAL_NULL;
    enum refresh_answer answer = refresh_goal_find(&k, options, &goal, e);
    if (answer == REFRESH_BEGINS && check_roles(site, &goal, e) != 0) {
        answer = REFRESH_REFUSED;
    }
    if (answer == REFRESH_BEGINS && refresh_goal_verify(known->spec, group, goal.image, e) != 0) {
        answer = REFRESH_UNKNOWN;
    }
    refresh_goal_deinit(&goal);
    free(instances);
    return answer;
}

static enum refresh_answer check(const struct cli *cli, const struct group_known *known,
                                 struct site *site, bool acted, struct record_request *request,
                                 struct err *e)
{
    if (group_request_check(known, request, e) != GROUP_OK) {
        return REFRESH_UNKNOWN;
    }
    size_t group = spec_find_group(known->spec, request->subject);
    if (request->kind != RECORD_REQUEST_REFRESH) {
        return refresh_goal_order(
            record_refresh_find(known->refreshes, known->refresh_count, request->subject),
            request->subject, request->kind, e);
    }
    struct refresh_options options;
    if (cmd_group_refresh_options(cli, &options, e) != 0) {
        return REFRESH_UNKNOWN; /* They were checked: it cannot be. */
    }
    enum refresh_answer answer = check_begin(known, site, group, acted, &options, e);
    request->word = refresh_options_to_text(&options);
    refresh_options_deinit(&options);
    return answer;
}

static int tell_nothing(const struct cli *cli, const char *group, const char *text)
{
    if (cli->json) {
        json_t *object =
            json_pack("{s:s, s:s, s:s}", "subject", group, "request", "refresh", "outcome", text);
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
    } else {
        printf("%s: refresh: %s\n", group, text);
    }
    return CLI_DONE;
}

static int ask_and_follow(const struct cli *cli, const struct spec *spec, struct store *store,
                          struct record_request *request)
{
    char *outcome = NULL;
    size_t group = spec_find_group(spec, request->subject);
    int status = group_ask(cli, spec, store, request, &outcome);
    bool under_way = outcome != NULL && !text_starts(outcome, "taken: nothing to do");
    if (status == CLI_DONE && cli->refresh.wait && outcome == NULL) {
        status = CLI_FAILED; /* It waits for a controller; that was told. */
    } else if (status == CLI_DONE && cli->refresh.wait && under_way &&
               request->kind != RECORD_REQUEST_REFRESH_CANCEL) {
        status = follow(cli, spec, group, request->kind == RECORD_REQUEST_REFRESH_ROLLBACK);
    }
    free(outcome);
    return status;
}

/* Whether a controller runs. */
static bool is_acted(struct store *store)
{
    struct record_lock lock;
    bool acted = false;
    if (record_lock_read(store, &acted, &lock, NULL) != 0 || !acted) {
        return false;
    }
    record_lock_deinit(&lock);
    return true;
}

static int ask(const struct cli *cli, struct site *site, struct record_request *request)
{
    const struct spec *spec = site->spec;
    struct store store;
    struct group_known known;
    struct err e = ERR_NULL;
    if (group_open(spec, &store, &known, &e) != 0) {
        log_error("%s", e.text);
        return CLI_FAILED;
    }
    enum refresh_answer answer = check(cli, &known, site, is_acted(&store), request, &e);
    group_known_deinit(&known);
    int status = CLI_FAILED;
    switch (answer) {
    case REFRESH_BEGINS: status = ask_and_follow(cli, spec, &store, request); break;
    case REFRESH_NOTHING: status = tell_nothing(cli, request->subject, e.text); break;
    case REFRESH_UNKNOWN: log_error("%s", e.text); break;
    case REFRESH_REFUSED:
        log_error("%s", e.text);
        status = CLI_REFUSED;
        break;
    }
    store_close(&store);
    return status;
}

/* --status */

static int tell_status(const struct standing *s, const struct cli *cli, const char *name)
{
    size_t group = spec_find_group(s->site.spec, name);
    if (group == SPEC_NONE) {
        log_error("cluster %s has no group '%s'; 'lamplighter group list' lists them",
                  s->site.spec->cluster, name);
        return CLI_FAILED;
    }
    const struct record_refresh *r = record_refresh_find(s->refreshes, s->refresh_count, name);
    const struct record_view *view = standing_of_group(s, group);
    struct str text = STR_NULL;
    if (cli->json) {
        json_t *object = r == NULL ? json_null() : refresh_text_json(r, view, s->wall_ms);
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
        putchar('\n');
        json_decref(object);
    } else if (r == NULL) {
        printf("%s: was never refreshed\n", name);
    } else {
        refresh_text_add(r, view, s->wall_ms, &text);
        printf("%s: %s\n", name, str_text(&text));
    }
    str_clear(&text);
    standing_add_newer(s, group, &text);
    if (!cli->json && text.length > 0) {
        printf("%s: %s\n", name, str_text(&text));
    }
    str_clear(&text);
    standing_add_version(s, group, &text);
    if (!cli->json && text.length > 0) {
        printf("%s: %s\n", name, str_text(&text));
    }
    str_deinit(&text);
    return CLI_DONE;
}

static int show_status(const struct cli *cli, const char *name)
{
    struct standing s;
    int status = standing_read(&s, cli);
    if (status == CLI_DONE) {
        status = tell_status(&s, cli, name);
        standing_deinit(&s);
    }
    return status;
}

int cmd_group_refresh(const struct cli *cli, struct record_request *request)
{
    struct err e = ERR_NULL;
    struct refresh_options options;
    if (take_order(cli, &request->kind, &e) != 0 ||
        cmd_group_refresh_options(cli, &options, &e) != 0) {
        return cli_usage("group", "refresh: %s", e.text);
    }
    refresh_options_deinit(&options);
    if (cli->refresh.status) {
        return show_status(cli, request->subject);
    }
    struct site site;
    int status = session_load_site(&site, cli);
    if (status == CLI_DONE) {
        status = ask(cli, &site, request);
        site_deinit(&site);
    }
    return status;
}
