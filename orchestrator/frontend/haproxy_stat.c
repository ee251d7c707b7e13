/* Reading `show stat` and `show servers state`: by header name, never by column. */
#include "base/err.h"
#include "base/str.h"
#include "frontend/haproxy_runtime.h"

#include <stdlib.h>
#include <string.h>

/* Fields we read of a line; what the header does not have stays at -1. */
#define FIELD_MAX 32
#define NO_COLUMN ((size_t)-1)

struct table {
    const char *const *names; /* Wanted, COUNT of them. */
    size_t count;
    size_t needed; /* The first so many; the others may be missing, and are NULL then. */
    size_t present;
    char separator; /* ',' has quotes as CSV; ' ' does not. */
    size_t columns[FIELD_MAX];
    char *fields[FIELD_MAX]; /* Of the line at hand; owned. */
};

static void clear_fields(struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->fields[i]);
        t->fields[i] = NULL;
    }
}

/* The next field at *CURSOR, without its quotes; *CURSOR ends after the separator, or at the end of
   the line. */
static char *take_field(const char **cursor, char separator)
{
    struct str field = STR_NULL;
    const char *p = *cursor;
    bool quoted = separator == ',' && *p == '"';
    p += quoted ? 1 : 0;
    while (*p != '\0' && *p != '\n') {
        if (quoted && *p == '"') {
            p++;
            quoted = *p == '"';
            if (!quoted) {
                continue;
            }
        } else if (!quoted && *p == separator) {
            break;
        }
        str_add_char(&field, *p++);
    }
    *cursor = *p == separator ? p + 1 : p;
    return str_take(&field);
}

static bool at_end(const char *p)
{
    return *p == '\0' || *p == '\n';
}

/* Finds the wanted names in a header line ("# pxname,svname,..."). */
static int take_header(struct table *t, const char *line, struct err *e)
{
    for (size_t i = 0; i < t->count; i++) {
        t->columns[i] = NO_COLUMN;
    }
    for (size_t column = 0; !at_end(line); column++) {
        char *name = take_field(&line, t->separator);
        for (size_t i = 0; i < t->count; i++) {
            if (strcmp(t->names[i], name) == 0) {
                t->columns[i] = column;
            }
        }
        free(name);
    }
    t->present = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (t->columns[i] == NO_COLUMN && i < t->needed) {
            return err_set(e, "HAProxy's statistics have no field '%s'", t->names[i]);
        }
        t->present += t->columns[i] == NO_COLUMN ? 0 : 1;
    }
    return 0;
}

static bool take_line(struct table *t, const char *line)
{
    clear_fields(t);
    size_t found = 0;
    for (size_t column = 0; !at_end(line); column++) {
        char *field = take_field(&line, t->separator);
        for (size_t i = 0; i < t->count; i++) {
            if (t->columns[i] == column) {
                t->fields[i] = field;
                field = NULL;
                found++;
                break;
            }
        }
        free(field);
    }
    return found == t->present;
}

static int64_t number(const char *text)
{
    int64_t value;
    return text != NULL && text_to_int(text, 0, INT64_MAX, &value) ? value : 0;
}

static const char *skip_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line == '\n' ? line + 1 : line;
}

/* Calls TAKE for every line after the header, which starts with "# ". */
static int walk(struct table *t, const char *text, struct haproxy_state *state,
                int (*take)(const struct table *t, struct haproxy_state *state, struct err *e),
                struct err *e)
{
    bool header = false;
    int result = 0;
    for (const char *line = text; *line != '\0' && result == 0; line = skip_line(line)) {
        if (!header) {
            header = text_starts(line, "# ");
            result = header ? take_header(t, line + 2, e) : 0;
        } else if (take_line(t, line)) {
            result = take(t, state, e);
        } else if (!at_end(line)) {
            result = err_set(e, "HAProxy's statistics: a line with too few fields");
        }
    }
    clear_fields(t);
    if (result == 0 && !header) {
        result = err_set(e, "HAProxy's statistics: expected a header, got '%.80s'", text);
    }
    return result;
}

enum stat_field {
    STAT_POOL,
    STAT_ID,
    STAT_QUEUED,
    STAT_SESSIONS,
    STAT_STATUS,
    STAT_SINCE,
    STAT_CHECK,
    STAT_CODE,
    STAT_DURATION,
    STAT_WORDS,
    STAT_ADDRESS,
    STAT_NEEDED,
    STAT_2XX = STAT_NEEDED,
    STAT_3XX,
    STAT_4XX,
    STAT_5XX,
    STAT_OTHER,
    STAT_UNCONNECTED,
    STAT_UNANSWERED,
    STAT_ABORTED,
    STAT_MOVED,
    STAT_RESPONSE_TIME,
    STAT_COOKIE,
};
static const char *const stat_names[] = {
    [STAT_POOL] = "pxname",        [STAT_ID] = "svname",        [STAT_QUEUED] = "qcur",
    [STAT_SESSIONS] = "scur",      [STAT_STATUS] = "status",    [STAT_SINCE] = "lastchg",
    [STAT_CHECK] = "check_status", [STAT_CODE] = "check_code",  [STAT_DURATION] = "check_duration",
    [STAT_WORDS] = "last_chk",     [STAT_ADDRESS] = "addr",     [STAT_2XX] = "hrsp_2xx",
    [STAT_3XX] = "hrsp_3xx",       [STAT_4XX] = "hrsp_4xx",     [STAT_5XX] = "hrsp_5xx",
    [STAT_OTHER] = "hrsp_other",   [STAT_UNCONNECTED] = "econ", [STAT_UNANSWERED] = "eresp",
    [STAT_ABORTED] = "srv_abrt",   [STAT_MOVED] = "wredis",     [STAT_RESPONSE_TIME] = "rtime",
    [STAT_COOKIE] = "cookie",
};

/* "L7STS/500 in 3 ms: Internal Server Error" */
static void describe_check(const struct table *t, const char *check, char *ret_text, size_t size)
{
    struct str text = STR_NULL;
    struct str words = STR_NULL;
    str_add_printable(&words, t->fields[STAT_WORDS], strlen(t->fields[STAT_WORDS]), false);
    str_trim(&words);
    str_add(&text, strcmp(check, "INI") == 0 ? "not checked yet" : check);
    if (number(t->fields[STAT_CODE]) > 0) {
        str_addf(&text, "/%s", t->fields[STAT_CODE]);
    }
    if (t->fields[STAT_DURATION][0] != '\0') {
        str_addf(&text, " in %s ms", t->fields[STAT_DURATION]);
    }
    if (words.length > 0) {
        str_addf(&text, ": %s", str_text(&words));
    }
    text_copy(ret_text, size, str_text(&text));
    str_deinit(&text);
    str_deinit(&words);
}

/*
 * What it was asked, and what of that failed (management.txt, 9.1; tried with 2.6.12):
 *   hrsp_*    its answers that went on to the client, by status
 *   econ      could not be connected to, and nobody else could be asked
 *   eresp     no answer, in time or at all; or, srv_abrt, one that broke off and is counted above
 *   wredis    failed in a way that may be repeated, and another target was asked: not counted in
 * any of the others. With `option redispatch 1` that is every retry; wretr counts some of them, and
 * twice where there is no other target. rtime is a mean over the last 1024 answers: what failed
 * without an answer is not in it.
 */
static void take_traffic(const struct table *t, struct haproxy_view *view)
{
    int64_t answers = number(t->fields[STAT_2XX]) + number(t->fields[STAT_3XX]) +
                      number(t->fields[STAT_4XX]) + number(t->fields[STAT_5XX]) +
                      number(t->fields[STAT_OTHER]);
    int64_t unanswered = number(t->fields[STAT_UNANSWERED]);
    int64_t aborted = number(t->fields[STAT_ABORTED]);
    int64_t without = number(t->fields[STAT_UNCONNECTED]) + number(t->fields[STAT_MOVED]);
    int64_t failed =
        number(t->fields[STAT_5XX]) + number(t->fields[STAT_OTHER]) + without + unanswered;
    view->tries = answers + without + (unanswered > aborted ? unanswered - aborted : 0);
    view->failed = failed < view->tries ? failed : view->tries;
    view->response_ms = number(t->fields[STAT_RESPONSE_TIME]);
}

static int take_stat(const struct table *t, struct haproxy_state *state, struct err *e)
{
    (void)e;
    struct haproxy_view *view =
        haproxy_state_add(state, t->fields[STAT_POOL], t->fields[STAT_ID], t->fields[STAT_ADDRESS]);
    const char *status = t->fields[STAT_STATUS];
    /* A star: a check is under way; what follows is of the one before. */
    const char *check = t->fields[STAT_CHECK];
    check += text_starts(check, "* ") ? 2 : 0;
    view->maintenance = text_starts(status, "MAINT");
    view->draining = text_starts(status, "DRAIN");
    view->down = text_starts(status, "DOWN") || text_starts(status, "NOLB");
    view->checked = check[0] != '\0' && !text_starts(check, "INI");
    view->passed =
        text_starts(check, "L7OK") || text_starts(check, "L6OK") || text_starts(check, "L4OK");
    view->cookie = t->fields[STAT_COOKIE] != NULL && t->fields[STAT_COOKIE][0] != '\0';
    describe_check(t, check, view->check, sizeof(view->check));
    view->sessions = number(t->fields[STAT_SESSIONS]) + number(t->fields[STAT_QUEUED]);
    view->since_s = number(t->fields[STAT_SINCE]);
    take_traffic(t, view);
    return 0;
}

int haproxy_parse_stat(const char *text, struct haproxy_state *state, struct err *e)
{
    struct table t = {.names = stat_names,
                      .count = sizeof(stat_names) / sizeof(stat_names[0]),
                      .needed = STAT_NEEDED,
                      .separator = ','};
    return walk(&t, text, state, take_stat, e);
}

enum server_field { SERVER_POOL, SERVER_ID, SERVER_ADMIN };
static const char *const server_names[] = {
    [SERVER_POOL] = "be_name", [SERVER_ID] = "srv_name", [SERVER_ADMIN] = "srv_admin_state"};

/* Bits of srv_admin_state. A target that drains and fails its checks is only DOWN in `show stat`.
 */
#define ADMIN_FORCED_DRAIN    0x08
#define ADMIN_INHERITED_DRAIN 0x10

static int take_server(const struct table *t, struct haproxy_state *state, struct err *e)
{
    (void)e;
    for (size_t i = 0; i < state->count; i++) {
        struct haproxy_view *view = &state->views[i];
        if (strcmp(view->id, t->fields[SERVER_ID]) == 0 &&
            strcmp(view->pool, t->fields[SERVER_POOL]) == 0) {
            int64_t admin = number(t->fields[SERVER_ADMIN]);
            view->draining =
                !view->maintenance && (admin & (ADMIN_FORCED_DRAIN | ADMIN_INHERITED_DRAIN)) != 0;
        }
    }
    return 0;
}

int haproxy_parse_servers(const char *text, struct haproxy_state *state, struct err *e)
{
    struct table t = {.names = server_names,
                      .count = sizeof(server_names) / sizeof(server_names[0]),
                      .needed = sizeof(server_names) / sizeof(server_names[0]),
                      .separator = ' '};
    return walk(&t, text, state, take_server, e);
}
