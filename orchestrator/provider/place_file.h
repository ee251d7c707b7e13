/* Small files that are either whole or not there, whatever happens in between. */
#ifndef PROVIDER_PLACE_FILE_H
#define PROVIDER_PLACE_FILE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

/*
 * Writes TEXT as file NAME of the open directory: under another name, synced, then renamed over
 * what is there. MODE is set exactly.
 */
int place_file(int directory, const char *name, const char *text, mode_t mode, struct err *e);

/*
 * Adds the whole of the regular file NAME of the open directory. *ret_found tells whether there is
 * one; a link is not followed. Faults on more than MAX bytes, and when it is no regular file.
 */
int place_file_read(int directory, const char *name, size_t max, struct str *text, bool *ret_found,
                    struct err *e);

#endif
