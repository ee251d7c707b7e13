/*
 * `lamplighter help config [SECTION | SECTION.KEY]`: the reference of the cluster file, written
 * from the one table of keys (spec/key.h). There is no other.
 */
#ifndef CLI_HELP_CONFIG_H
#define CLI_HELP_CONFIG_H

#include <jansson.h>
#include <stdio.h>

struct err;

/*
 * Writes what is known of WHAT to OUT, at most 80 columns wide: everything (NULL or ""), a section
 * ("group") or a key ("group.max"). Faults when there is no such thing; E then has the nearest.
 */
int help_config_print(const char *what, FILE *out, struct err *e);

/*
 * The same as JSON, for the caller to json_decref(): {"sections": [{"name", "help", "settings",
 * "keys": [{"name", "expected", "default", "required", "repeated", "words", "min", "max",
 * "help", "example"}]}]}; absent members have nothing to say. `min` and `max` are written as in the
 * file. NULL when there is no such thing.
 */
json_t *help_config_json(const char *what, struct err *e);

#endif
