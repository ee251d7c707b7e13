/*
 * What a host script says, line by line, to results. Internal to the role room.
 *
 * A line of ours begins with the run's token and a tab; any other line is noise (a shell's
 * greeting, a stray tool) and kept only to explain a report that never came. All that is handed on
 * is printable, cut to size, and holds no secret.
 */
#ifndef ROLE_REPORT_H
#define ROLE_REPORT_H

#include "role/role.h"

#define REPORT_TOKEN_SIZE 33 /* 32 hex digits and NUL. */

struct report_parser {
    char token[REPORT_TOKEN_SIZE];
    const struct role_script *script;       /* Borrowed: what is hidden, how many may report. */
    const struct role_run_options *options; /* Borrowed: the callbacks. */
    struct role_report *report;             /* Borrowed: counts, text, facts. */
    /* The host asks for a blob. Returns false to give up. */
    bool (*on_need)(void *context, const char *digest);
    void *context;

    struct str line;  /* What has come of the current line. */
    struct str text;  /* Of the next result. */
    struct str noise; /* The last of it. */
    struct str where; /* What the host was last at: "apache file /etc/x". */
    size_t result_count;
    bool greeted; /* The script runs. */
    bool ended;   /* It said how it ended; report->outcome is set. */
    bool garbled; /* It said what no script of ours says; report->text tells. */
};

/* Takes LENGTH more bytes. Returns false when reading on is of no use. */
bool report_parser_feed(struct report_parser *parser, const char *bytes, size_t length);
void report_parser_deinit(struct report_parser *parser);

/* TEXT for people, without the secrets of SCRIPT; ADDED to OUT. */
void report_add_clean(const struct role_script *script, struct str *out, const char *text,
                      size_t length);

#endif
