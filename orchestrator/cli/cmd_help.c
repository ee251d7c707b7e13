/* lamplighter help */
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/help_config.h"

#include <stdio.h>

static void print_overview(FILE *out)
{
    fputs("Lamplighter: Auto Scaling, load balancing and golden images for machines you own.\n\n"
          "usage: lamplighter [-c FILE] [--json] [--verbose] [--parallel N] COMMAND\n\n",
          out);
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        fprintf(out, "  %-9s %s\n", c->name, c->summary);
    }
    fputs("\n"
          "  -c FILE        the cluster file; default cluster.ini\n"
          "  --json         for programs\n"
          "  --verbose      every look and every reason\n"
          "  --parallel N   hosts at a time; default the file's, or 16\n\n"
          "Exit status: 0 done, 1 failed, 2 usage, 3 refused by a safety rule.\n"
          "'lamplighter help COMMAND' explains one; 'lamplighter help config' the cluster file.\n",
          out);
}

static int explain_config(const struct cli *cli)
{
    const char *what = cli->argc > 1 ? cli->argv[1] : NULL;
    struct err e = ERR_NULL;
    int result = 0;
    if (cli->json) {
        json_t *table = help_config_json(what, &e);
        result = table == NULL ? -1 : json_dumpf(table, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(table);
    } else {
        result = help_config_print(what, stdout, &e);
    }
    return result == 0 ? CLI_DONE : cli_usage("help", "%s", e.text);
}

int cmd_help(const struct cli *cli)
{
    if (cli->argc == 0) {
        print_overview(stdout);
        return CLI_DONE;
    }
    if (text_equal(cli->argv[0], "config")) {
        return explain_config(cli);
    }
    const struct cli_command *c = cli_find(cli->argv[0]);
    if (c == NULL) {
        const char *nearest = cli_nearest(cli->argv[0]);
        return cli_usage("help", "no command '%s'%s%s%s", cli->argv[0],
                         nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                         nearest == NULL ? "" : "'?");
    }
    printf("usage: lamplighter [-c FILE] %s %s\n\n%s.\n", c->name, c->usage, c->summary);
    if (c->help != NULL) {
        printf("\n%s\n", c->help);
    }
    return CLI_DONE;
}
