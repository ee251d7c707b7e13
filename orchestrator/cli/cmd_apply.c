/* lamplighter apply */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/holds.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/stop.h"

#include <stdio.h>

static void summarise(const struct cli *cli, const struct session *s, enum controller_end end,
                      int64_t took_ms)
{
    struct controller_totals t = controller_totals(s->controller);
    char span[32];
    clock_format_span(took_ms, span, sizeof(span));
    if (cli->json) {
        json_t *object =
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "event", "summary", "result",
                      end == CONTROLLER_DONE      ? "done"
                      : end == CONTROLLER_REFUSED ? "refused"
                      : end == CONTROLLER_STOPPED ? "stopped"
                                                  : "failed",
                      "steps", (json_int_t)t.effects, "changed_resources",
                      (json_int_t)t.changed_resources, "failures", (json_int_t)t.failures,
                      "took_ms", (json_int_t)took_ms, "holds", holds_to_json(s->controller));
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
        return;
    }
    holds_print(s->controller, stdout);
    const char *word = end == CONTROLLER_DONE      ? "applied"
                       : end == CONTROLLER_REFUSED ? "refused"
                       : end == CONTROLLER_STOPPED ? "stopped; apply again goes on from here"
                                                   : "not finished";
    if (end == CONTROLLER_DONE && t.effects == 0) {
        printf("cluster %s: nothing to change; looked at %zu instances in %s\n",
               s->site.spec->cluster, controller_member_count(s->controller), span);
    } else {
        printf("cluster %s: %s: %zu steps, %zu resources changed, in %s\n", s->site.spec->cluster,
               word, t.effects, t.changed_resources, span);
    }
}

int cmd_apply(const struct cli *cli)
{
    if (cli->check) {
        return cmd_plan(cli);
    }
    if (cli->argc > 0) {
        return cli_usage("apply", "apply takes no word, got '%s'", cli->argv[0]);
    }
    struct progress *progress = progress_new(cli);
    struct controller_watch watch = progress_watch(progress);
    struct session session;
    int64_t begun_ms = clock_now_ms();
    int status = session_open(&session, cli, SESSION_ACT, "apply", &watch);
    if (status != CLI_DONE) {
        progress_free(progress);
        return status;
    }
    const volatile bool *stop =
        stop_catch("\nstopping after the steps that run; once more to stop at once\n");
    struct err e = ERR_NULL;
    enum controller_end end = CONTROLLER_FAILED;
    int result = controller_apply(session.controller, stop, &end, &e);
    progress_free(progress);
    if (result != 0) {
        log_error("%s", e.text);
    } else {
        summarise(cli, &session, end, clock_now_ms() - begun_ms);
    }
    session_close(&session);
    return result == 0 && end == CONTROLLER_DONE      ? CLI_DONE
           : result == 0 && end == CONTROLLER_REFUSED ? CLI_REFUSED
                                                      : CLI_FAILED;
}
