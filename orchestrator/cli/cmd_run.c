/* lamplighter run */
#include "base/err.h"
#include "base/log.h"
#include "base/problem.h"
#include "base/str.h"
#include "cli/holds.h"
#include "cli/progress.h"
#include "cli/session.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What signals asked for. INTERRUPTED ends the loop for either. */
static volatile bool interrupted;
static volatile bool stop_wanted;
static volatile bool reload_wanted;

static void on_signal(int number)
{
    if (number == SIGHUP) {
        reload_wanted = true;
    } else if (stop_wanted) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    } else {
        stop_wanted = true;
    }
    interrupted = true;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* The plan of the file that is about to be run, into the log: what changed, and what comes of it.
 */
static int log_plan(struct session *s, struct site *site, const struct cli *cli,
                    struct controller_watch watch, struct err *e)
{
    const struct controller_options options = {.parallel = cli->parallel == 0 ? site->spec->parallel
                                                                              : cli->parallel,
                                               .owner = s->owner,
                                               .watch = watch};
    struct controller *planner;
    if (controller_new(&planner, site, s->crew, &s->store, s->journal, &options, e) != 0) {
        return -1;
    }
    struct controller_step *steps = NULL;
    size_t count = 0;
    enum controller_end end;
    int result = controller_plan(planner, &steps, &count, &end, e);
    size_t shown = 0;
    for (size_t t = 0; result == 0 && t < site->spec->template_count; t++) {
        struct str text = STR_NULL;
        controller_add_fresh_template(planner, t, &text);
        if (text.length > 0) {
            log_info("plan: template %s: %s", site->spec->templates[t].name, str_text(&text));
        }
        str_deinit(&text);
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (action_kind_has_effect(steps[i].action.kind)) {
            log_info("plan: %s %s: %s", steps[i].subject,
                     action_kind_to_string(steps[i].action.kind), steps[i].reason);
            shown++;
        }
    }
    if (result == 0) {
        log_info("plan: %zu step%s", shown, shown == 1 ? "" : "s");
        holds_print(planner, stdout);
    }
    free(steps);
    controller_free(planner);
    return result;
}

static int start_controller(struct session *s, const struct cli *cli, struct controller_watch watch,
                            struct err *e)
{
    const struct controller_options options = {
        .parallel = cli->parallel == 0 ? s->site.spec->parallel : cli->parallel,
        .diff = cli->verbose,
        .owner = s->owner,
        .watch = watch};
    controller_free(s->controller);
    s->controller = NULL;
    return controller_new(&s->controller, &s->site, s->crew, &s->store, s->journal, &options, e);
}

/*
 * The file again. One with mistakes, or one that would take away what serves, is named and not run:
 * the one before goes on. Faults only when there is no controller to go on with.
 */
static int reload(struct session *s, const struct cli *cli, struct controller_watch watch,
                  struct err *e)
{
    struct site fresh;
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct err why = ERR_NULL;
    bool good = site_load(&fresh, cli->file, &problems) == 0;
    bool loaded = good;
    good = good && controller_accepts(s->controller, fresh.spec, &problems);
    if (good &&
        (site_unlock(&fresh, true, &why) != 0 || log_plan(s, &fresh, cli, watch, &why) != 0)) {
        good = false;
        log_error("%s", why.text);
    }
    problem_list_print(&problems, stderr);
    problem_list_deinit(&problems);
    if (good) {
        controller_free(s->controller);
        s->controller = NULL;
        site_deinit(&s->site);
        s->site = fresh;
        log_info("%s: taken over", cli->file);
    } else {
        if (loaded) {
            site_deinit(&fresh);
        }
        log_error("%s: not taken over; the one before goes on", cli->file);
    }
    return start_controller(s, cli, watch, e);
}

static int run(struct session *s, const struct cli *cli, struct controller_watch watch,
               struct err *e)
{
    log_info("%s: running, pid %ld", s->site.spec->cluster, (long)getpid());
    while (!stop_wanted) {
        interrupted = stop_wanted;
        if (controller_run(s->controller, &interrupted, e) != 0) {
            return -1;
        }
        if (reload_wanted && !stop_wanted) {
            reload_wanted = false;
            interrupted = false;
            if (reload(s, cli, watch, e) != 0) {
                return -1;
            }
        }
    }
    log_info("%s: stopped in order", s->site.spec->cluster);
    return 0;
}

int cmd_run(const struct cli *cli)
{
    if (cli->argc > 0) {
        return cli_usage("run", "run takes no word, got '%s'", cli->argv[0]);
    }
    /* It does not end: a line that waits for more of them would not be in the journal for days. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct progress *progress = progress_new(cli);
    struct controller_watch watch = progress_watch(progress);
    struct session session;
    catch_signals();
    int status = session_open(&session, cli, SESSION_ACT, "run", &watch);
    if (status != CLI_DONE) {
        progress_free(progress);
        return status;
    }
    struct err e = ERR_NULL;
    int result = run(&session, cli, watch, &e);
    progress_free(progress);
    if (result != 0) {
        log_error("%s", e.text);
    }
    session_close(&session);
    return result == 0 ? CLI_DONE : CLI_FAILED;
}
