/* lamplighter help */
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

int cmd_help(const struct cli *cli)
{
    if (cli->argc == 0) {
        print_overview(stdout);
        return CLI_DONE;
    }
    if (text_equal(cli->argv[0], "config")) {
        return help_config(stdout, cli->argc > 1 ? cli->argv[1] : NULL, cli->json) == 0 ? CLI_DONE
                                                                                        : CLI_USAGE;
    }
    const struct cli_command *c = cli_find(cli->argv[0]);
    if (c == NULL) {
        return cli_usage("help", "no command '%s'", cli->argv[0]);
    }
    printf("usage: lamplighter [-c FILE] %s %s\n\n%s.\n", c->name, c->usage, c->summary);
    if (c->help != NULL) {
        printf("\n%s\n", c->help);
    }
    return CLI_DONE;
}
