/* The refresh of a group in words, for `status`, `group list` and `group refresh`. */
#ifndef CLI_REFRESH_TEXT_H
#define CLI_REFRESH_TEXT_H

#include "cli/group_request.h"
#include "controller/refresh_goal.h"
#include "store/record.h"
#include "store/record_view.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct str;

/* What can be known of a refresh of GROUP; it borrows KNOWN, and INSTANCES, which has room for all
   of KNOWN's. */
struct refresh_known refresh_text_known(const struct group_known *known, size_t group,
                                        const struct record_instance **instances);
/* It is under way. RECORD may be NULL: there was none. */
bool refresh_text_is_active(const struct record_refresh *record);
/*
 * "refresh to web@4 running: 1 of 3 replaced, 1 under way, for 2 min; about 2 min 10 s left; asked
 * for by root on host7"; of one that is over, how and when it ended. VIEW is its group's, NULL:
 * nothing was told yet.
 */
void refresh_text_add(const struct record_refresh *record, const struct record_view *view,
                      int64_t wall_ms, struct str *text);
/* "; refresh to web@4 running, 1 of 3 replaced": what does not change as time goes on. "" when none
   is under way. */
void refresh_text_short(const struct record_refresh *record, const struct record_view *view,
                        char *ret_text, size_t size);
/* Why it is taken back, or was ended before it was done; NULL: neither. */
const char *refresh_text_cause(const struct record_refresh *record);
json_t *refresh_text_json(const struct record_refresh *record, const struct record_view *view,
                          int64_t wall_ms);

#endif
