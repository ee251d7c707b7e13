/* lamplighter check */
#include "cli/session.h"

#include <stdio.h>

int cmd_check(const struct cli *cli)
{
    if (cli->argc > 0) {
        return cli_usage("check", "check takes no word, got '%s'", cli->argv[0]);
    }
    struct site site;
    int status = session_load_site(&site, cli);
    if (status != CLI_DONE) {
        return status;
    }
    const struct spec *spec = site.spec;
    if (cli->json) {
        puts("{\n  \"problems\": []\n}");
    } else {
        printf("%s: cluster %s is well-formed: %zu groups, %zu zones, %zu pools, %zu frontends\n",
               cli->file, spec->cluster, spec->group_count, spec->zone_count, spec->pool_count,
               spec->frontend_count);
    }
    site_deinit(&site);
    return CLI_DONE;
}
