/* lamplighter role show HOST: read the script before you trust it. */
#include "base/log.h"
#include "base/problem.h"
#include "base/str.h"
#include "cli/session.h"

#include <stdio.h>

int cmd_role(const struct cli *cli)
{
    if (cli->argc != 2 || !text_equal(cli->argv[0], "show")) {
        return cli_usage("role", "role needs 'show' and a host");
    }
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "role", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    controller_expect_members(session.controller);
    size_t index = controller_find_member(session.controller, cli->argv[1]);
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct role_script script;
    status = CLI_FAILED;
    if (index == WORLD_NONE) {
        char near[120];
        session_did_you_mean(&session, cli->argv[1], false, near, sizeof(near));
        log_error("no host '%s' in the records, and the cluster file asks for none of that name%s",
                  cli->argv[1], near);
    } else if (controller_compile(session.controller, index, &script, &problems) != 0) {
        problem_list_print(&problems, stderr);
    } else {
        if (script.facts_assumed) {
            log_warning("%s was never seen: its facts are assumed (Debian 12, one CPU, 1 GiB)",
                        cli->argv[1]);
        }
        fwrite(str_text(&script.text), 1, script.text.length, stdout);
        role_script_deinit(&script);
        status = CLI_DONE;
    }
    problem_list_deinit(&problems);
    session_close(&session);
    return status;
}
