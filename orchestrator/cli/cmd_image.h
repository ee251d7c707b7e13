/* The verbs of `lamplighter image` that need a host; the others are cmd_image.c's own. */
#ifndef CLI_CMD_IMAGE_H
#define CLI_CMD_IMAGE_H

#include "cli/cli.h"

int cmd_image_capture(const struct cli *cli);
int cmd_image_bake(const struct cli *cli);
int cmd_image_diff(const struct cli *cli);

#endif
