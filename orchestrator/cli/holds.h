/* What is not done, and why: told at the end of plan, apply and status in the same words. */
#ifndef CLI_HOLDS_H
#define CLI_HOLDS_H

#include "controller/controller.h"

#include <jansson.h>
#include <stdio.h>

void holds_print(const struct controller *controller, FILE *out);
json_t *holds_to_json(const struct controller *controller);
const char *hold_kind_to_string(enum hold_kind kind); /* "waits", "refused", "stuck" */

#endif
