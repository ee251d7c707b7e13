#include "cli/session.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_problems_json(const struct problem_list *problems)
{
    json_t *list = json_array();
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->items[i];
        json_array_append_new(list, json_pack("{s:s?, s:i, s:s}", "file", p->file, "line",
                                              (int)p->line, "text", p->text));
    }
    json_t *root = json_pack("{s:o}", "problems", list);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

int session_load_site(struct site *ret_site, const struct cli *cli)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    int result = site_load(ret_site, cli->file, &problems);
    if (result != 0 && cli->json) {
        print_problems_json(&problems);
    } else if (result != 0) {
        problem_list_print(&problems, stderr);
        if (problems.count > 1) {
            fprintf(stderr, "%zu problems\n", problems.count);
        }
    }
    problem_list_deinit(&problems);
    return result == 0 ? CLI_DONE : CLI_FAILED;
}

static int open_store(struct session *s, enum session_mode mode, struct err *e)
{
    const char *path = s->site.spec->state_path;
    if (mode == SESSION_READ && access(path, F_OK) != 0) {
        return 0; /* Nothing was ever applied: the empty store. */
    }
    return store_sqlite_open(&s->store, path,
                             mode == SESSION_READ ? STORE_SQLITE_READ : STORE_SQLITE_WRITE, e);
}

static int take_lock(struct session *s, bool may_be_held, struct err *e)
{
    enum journal_outcome outcome;
    struct record_lock holder;
    if (journal_open(&s->journal, &s->store, s->owner, &outcome, &holder, e) != 0) {
        return -1;
    }
    /* `image ...` holds the lock for itself, and takes in no requests. */
    bool takes_requests = outcome == JOURNAL_HELD && !text_starts(holder.owner, "image ");
    if (outcome == JOURNAL_HELD && may_be_held && takes_requests) {
        record_lock_deinit(&holder);
    } else if (outcome == JOURNAL_HELD) {
        char span[32];
        clock_format_span(clock_wall_ms() - holder.since_ms, span, sizeof(span));
        err_set(e, "another run acts on this cluster: %s, for %s; wait for it or end it",
                holder.owner == NULL ? "unknown" : holder.owner, span);
        record_lock_deinit(&holder);
        return -1;
    }
    return 0;
}

static int open_all(struct session *s, const struct cli *cli, enum session_mode mode,
                    const struct controller_watch *watch, struct err *e)
{
    if (site_unlock(&s->site, mode != SESSION_READ, e) != 0 || open_store(s, mode, e) != 0 ||
        (mode != SESSION_READ && take_lock(s, mode == SESSION_JOIN, e) != 0)) {
        return -1;
    }
    const struct controller_options options = {
        .parallel = cli->parallel == 0 ? s->site.spec->parallel : cli->parallel,
        .diff = cli->diff || cli->verbose,
        .owner = s->owner,
        .guest = mode == SESSION_JOIN,
        .watch = watch == NULL ? (struct controller_watch){.context = NULL} : *watch,
    };
    return controller_new(&s->controller, &s->site, s->crew, &s->store, s->journal, &options, e);
}

int session_try_act(struct session *s, struct err *e)
{
    if (s->journal == NULL && take_lock(s, true, e) != 0) {
        return -1;
    }
    controller_set_journal(s->controller, s->journal);
    return 0;
}

int session_open(struct session *ret_session, const struct cli *cli, enum session_mode mode,
                 const char *command, const struct controller_watch *watch)
{
    *ret_session = (struct session){.store = STORE_NULL, .cli = cli};
    struct err e = ERR_NULL;
    if (crew_new(&ret_session->crew, &e) != 0) {
        log_error("%s", e.text);
        return CLI_FAILED;
    }
    int status = session_load_site(&ret_session->site, cli);
    if (status != CLI_DONE) {
        session_close(ret_session);
        return status;
    }
    char host[80] = "?";
    gethostname(host, sizeof(host) - 1);
    snprintf(ret_session->owner, sizeof(ret_session->owner), "%s on %s, pid %ld", command, host,
             (long)getpid());
    if (open_all(ret_session, cli, mode, watch, &e) != 0) {
        log_error("%s", e.text);
        session_close(ret_session);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

void session_did_you_mean(const struct session *s, const char *name, bool groups, char *ret_text,
                          size_t size)
{
    size_t members = controller_member_count(s->controller);
    const char **words = xcalloc(members * 2 + s->site.spec->group_count + 1, sizeof(*words));
    size_t count = 0;
    for (size_t i = 0; i < members; i++) {
        const struct record_instance *record = controller_member_at(s->controller, i).record;
        words[count++] = record->id;
        if (record->machine != NULL) {
            words[count++] = record->machine;
        }
    }
    for (size_t g = 0; groups && g < s->site.spec->group_count; g++) {
        words[count++] = s->site.spec->groups[g].name;
    }
    const char *nearest = text_nearest(name, words, count);
    free(words);
    if (nearest != NULL) {
        snprintf(ret_text, size, "; did you mean '%s'?", nearest);
    } else {
        snprintf(ret_text, size, "; see 'lamplighter status'");
    }
}

void session_close(struct session *session)
{
    controller_free(session->controller);
    crew_free(session->crew);
    journal_close(session->journal);
    store_close(&session->store);
    site_deinit(&session->site);
    session->controller = NULL;
    session->crew = NULL;
    session->journal = NULL;
}
