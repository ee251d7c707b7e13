/*
 * lamplighter group: what an operator asks of groups and instances. A request is checked against
 * what the store knows, queued in it, and waited for until the controller has taken it in; whether
 * and when something is done about it is the controller's to say, like everything else.
 */
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cmd_group_refresh.h"
#include "cli/group_ask.h"
#include "cli/session.h"
#include "cli/standing.h"

#include <stdio.h>
#include <stdlib.h>

static int ask(const struct cli *cli, const struct spec *spec, struct record_request *request)
{
    struct store store;
    struct group_known known;
    struct err e = ERR_NULL;
    if (group_open(spec, &store, &known, &e) != 0) {
        log_error("%s", e.text);
        return CLI_FAILED;
    }
    enum group_answer answer = group_request_check(&known, request, &e);
    group_known_deinit(&known);
    int status = answer == GROUP_REFUSED ? CLI_REFUSED : CLI_FAILED;
    if (answer != GROUP_OK) {
        log_error("%s", e.text);
    } else {
        status = group_ask(cli, spec, &store, request, NULL);
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
    if (request.kind == RECORD_REQUEST_REFRESH) {
        int status = cmd_group_refresh(cli, &request);
        record_request_deinit(&request);
        return status;
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
