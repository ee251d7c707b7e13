/* lamplighter group refresh: cli/cmd_group.c hands it over. */
#ifndef CLI_CMD_GROUP_REFRESH_H
#define CLI_CMD_GROUP_REFRESH_H

#include "cli/cli.h"
#include "controller/refresh_options.h"
#include "store/record.h"

struct err;

/* REQUEST: of kind REFRESH, its subject a word that may be a group's name. The exit status. */
int cmd_group_refresh(const struct cli *cli, struct record_request *request);

/* The options as they were written, checked. *ret_options is the caller's. */
int cmd_group_refresh_options(const struct cli *cli, struct refresh_options *ret_options,
                              struct err *e);

#endif
