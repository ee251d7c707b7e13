/* lamplighter events: needs no host, only the store. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/session.h"
#include "store/sqlite.h"

#include <inttypes.h>
#include <stdio.h>

#define DEFAULT_LIMIT 50

static int verify(struct store *store, struct err *e)
{
    size_t count;
    bool found;
    struct record_event_head head;
    if (record_event_verify(store, &count, e) != 0 ||
        record_event_head_read(store, &found, &head, e) != 0) {
        return -1;
    }
    printf("%zu events, every link of the chain holds\n", count);
    if (count > 0 && !found) {
        /* Of an older version, or somebody removed it. */
        printf("the store does not say which event is the newest: it cannot be seen whether newer "
               "ones were cut off; the next event written ends that\n");
    }
    return 0;
}

static const char *text_or(const char *text)
{
    return text == NULL ? "" : text;
}

static int list(struct store *store, const struct cli *cli, struct err *e)
{
    struct record_event *events;
    size_t count;
    size_t limit = cli->limit == 0 ? DEFAULT_LIMIT : cli->limit;
    if (record_event_list(store, limit, &events, &count, e) != 0) {
        return -1;
    }
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct record_event *v = &events[i];
        char when[32];
        clock_format(v->wall_ms, when, sizeof(when));
        if (cli->json) {
            json_array_append_new(array,
                                  json_pack("{s:I, s:s, s:I, s:s?, s:s?, s:s?, s:s?}", "number",
                                            (json_int_t)v->number, "time", when, "wall_ms",
                                            (json_int_t)v->wall_ms, "subject", v->subject, "what",
                                            v->what, "why", v->why, "outcome", v->outcome));
        } else {
            printf("%s %-10s %-10s %s: %s\n", when, text_or(v->subject), text_or(v->what),
                   text_or(v->outcome), text_or(v->why));
        }
    }
    if (cli->json) {
        json_dumpf(array, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(array);
    record_event_list_free(events, count);
    return 0;
}

int cmd_events(const struct cli *cli)
{
    if (cli->argc > 0) {
        return cli_usage("events", "events takes no word, got '%s'", cli->argv[0]);
    }
    struct site site;
    int status = session_load_site(&site, cli);
    if (status != CLI_DONE) {
        return status;
    }
    struct store store = STORE_NULL;
    struct err e = ERR_NULL;
    int result = store_sqlite_open(&store, site.spec->state_path, STORE_SQLITE_READ, &e);
    if (result == 0) {
        result = cli->verify ? verify(&store, &e) : list(&store, cli, &e);
    }
    if (result != 0) {
        log_error("%s", e.text);
    }
    store_close(&store);
    site_deinit(&site);
    return result == 0 ? CLI_DONE : CLI_FAILED;
}
