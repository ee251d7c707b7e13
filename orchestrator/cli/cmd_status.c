/* lamplighter status */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/live.h"
#include "cli/refresh_text.h"
#include "cli/standing.h"
#include "core/world.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_or(const char *text, const char *otherwise)
{
    return text == NULL ? otherwise : text;
}

/* For people. */

static void add_group(const struct standing *s, size_t g, struct str *out)
{
    const struct spec_group *spec = &s->site.spec->groups[g];
    const struct record_view *view = standing_of_group(s, g);
    const struct group_known known = standing_known(s);
    str_addf(out, "group %-8s %zu of %u instances", spec->name, standing_members(s, g),
             group_desired(&known, g));
    if (view != NULL) {
        str_addf(out, ", %lld serving", (long long)view->serving_count);
    }
    if (view != NULL && spec->pool != SPEC_NONE) {
        str_addf(out, ", minimum %lld", (long long)view->minimum);
    }
    struct str remark = STR_NULL;
    standing_group_remark(s, g, &remark);
    if (remark.length > 0) {
        str_addf(out, "; %s", str_text(&remark));
    }
    str_add_char(out, '\n');
    str_deinit(&remark);
}

static void add_frontends(const struct standing *s, struct str *out)
{
    const struct spec *spec = s->site.spec;
    for (size_t f = 0; f < spec->frontend_count; f++) {
        const struct spec_frontend *frontend = &spec->frontends[f];
        for (size_t i = 0; i < s->instance_count; i++) {
            const struct record_instance *r = &s->instances[i];
            for (size_t l = 0;
                 standing_group(s, r) == frontend->group && l < frontend->listener_count; l++) {
                str_addf(out, "frontend %s on %s: http://%s:%u/\n", frontend->name, r->id,
                         text_or(r->address, "?"), frontend->listeners[l].port);
            }
        }
    }
}

static void add_instance(const struct standing *s, const struct record_instance *r, struct str *out)
{
    const struct record_view *view = standing_of_instance(s, r->id);
    bool in_pool = standing_in_pool(s, r) && r->lifecycle != LIFECYCLE_DETACHED;
    const char *words = view == NULL ? NULL : view->balancer_text;
    char balancer[16] = "-";
    if (in_pool && words != NULL) {
        snprintf(balancer, sizeof(balancer), "%.*s", (int)strcspn(words, " "), words);
    } else if (in_pool) {
        text_copy(balancer, sizeof(balancer), "absent");
    }
    struct str remark = STR_NULL;
    standing_remark(s, r, &remark);
    str_addf(out, "%-12s %-10s %-15s %-11s %-9s %-10s %s\n", r->id, text_or(r->zone, "?"),
             text_or(r->address, "-"), lifecycle_to_string(r->lifecycle),
             in_pool && view != NULL ? text_or(view->probe, "unknown") : "-", balancer,
             str_text(&remark));
    str_deinit(&remark);
}

/* What holds the cluster as a whole; nothing when nothing does. */
static void add_cluster(const struct standing *s, struct str *out)
{
    const struct record_view *view = standing_of_cluster(s);
    bool held = view != NULL &&
                (view->paused || view->frozen || view->hold != NULL || view->line_count > 1);
    for (size_t i = 0; held && i < view->line_count; i++) {
        str_addf(out, "%s\n", view->lines[i]);
    }
}

static void add_footer(const struct standing *s, struct str *out)
{
    if (s->told) {
        char span[32];
        clock_format_span(s->wall_ms - s->since_ms, span, sizeof(span));
        str_addf(out, "acting now: %s, for %s; all of this is what it sees\n", s->owner, span);
    }
    if (s->waiting > 0) {
        str_addf(out, "%zu request%s wait%s to be taken in%s\n", s->waiting,
                 s->waiting == 1 ? "" : "s", s->waiting == 1 ? "s" : "",
                 s->told ? "" : ": `lamplighter run` or `apply` does it");
    }
}

static void add_all(const struct standing *s, struct str *out)
{
    add_cluster(s, out);
    for (size_t g = 0; g < s->site.spec->group_count; g++) {
        add_group(s, g, out);
    }
    add_frontends(s, out);
    str_addf(out, "%-12s %-10s %-15s %-11s %-9s %-10s %s\n", "INSTANCE", "ZONE", "ADDRESS", "STATE",
             "PROBE", "BALANCER", "");
    for (size_t i = 0; i < s->instance_count; i++) {
        add_instance(s, &s->instances[i], out);
    }
    add_footer(s, out);
}

/* For programs. */

static json_t *instance_to_json(const struct standing *s, const struct record_instance *r)
{
    static const struct record_view none = {.subject = NULL};
    const struct record_view *view = standing_of_instance(s, r->id);
    struct str remark = STR_NULL;
    standing_remark(s, r, &remark);
    view = view == NULL ? &none : view;
    json_t *object = json_pack(
        "{s:s, s:s?, s:s?, s:s?, s:s?, s:s, s:s, s:s, s:s?, s:s?, s:b, s:s}", "id", r->id, "group",
        r->group, "zone", r->zone, "address", r->address, "machine", r->machine, "state",
        lifecycle_to_string(r->lifecycle), "power", text_or(view->power, "unknown"), "probe",
        text_or(view->probe, "unknown"), "probe_text", view->probe_text, "balancer_text",
        view->balancer_text, "serving", view->serving ? 1 : 0, "reason", str_text(&remark));
    json_t *more =
        json_pack("{s:s?, s:I, s:s?, s:s?, s:s?, s:b, s:b, s:s}", "verdict", view->verdict,
                  "verdict_ms", (json_int_t)view->verdict_ms, "hold", view->hold, "hold_reason",
                  view->reason, "rule", view->rule, "protect", r->protect ? 1 : 0, "paused",
                  r->paused ? 1 : 0, "wish", world_wish_to_string((enum world_wish)r->wish));
    json_object_update(object, more);
    json_decref(more);
    json_object_set_new(object, "image", r->image == NULL ? json_null() : json_string(r->image));
    json_object_set_new(object, "template",
                        r->template == NULL ? json_null() : json_string(r->template));
    json_object_set_new(object, "template_version", json_integer(r->version));
    str_deinit(&remark);
    return object;
}

static json_t *to_json(const struct standing *s)
{
    json_t *instances = json_array();
    json_t *groups = json_array();
    for (size_t i = 0; i < s->instance_count; i++) {
        json_array_append_new(instances, instance_to_json(s, &s->instances[i]));
    }
    for (size_t g = 0; g < s->site.spec->group_count; g++) {
        json_array_append_new(groups, standing_group_to_json(s, g));
    }
    const struct record_view *cluster = standing_of_cluster(s);
    return json_pack("{s:s, s:s?, s:b, s:b, s:I, s:o, s:o}", "cluster", s->site.spec->cluster,
                     "controller", s->owner, "paused", cluster != NULL && cluster->paused ? 1 : 0,
                     "frozen", cluster != NULL && cluster->frozen ? 1 : 0, "requests_waiting",
                     (json_int_t)s->waiting, "groups", groups, "instances", instances);
}

static void print_json(const struct standing *s, size_t flags)
{
    json_t *root = to_json(s);
    json_dumpf(root, stdout, flags);
    putchar('\n');
    fflush(stdout);
    json_decref(root);
}

/* Watching: a screen that is drawn anew, or in a pipe a line a change. */

static void add_line(const char *subject, const char *state, const char *remark, struct str *out)
{
    str_addf(out, "%-12s %-11s %s\n", subject, state, remark);
}

/* One line each, of what does not change by itself as time goes on. */
static void add_lines(const struct standing *s, struct str *out)
{
    for (size_t g = 0; g < s->site.spec->group_count; g++) {
        const struct record_view *view = standing_of_group(s, g);
        const struct group_known known = standing_known(s);
        const struct record_refresh *r =
            record_refresh_find(s->refreshes, s->refresh_count, s->site.spec->groups[g].name);
        char refresh[200];
        char text[400];
        refresh_text_short(r, view, refresh, sizeof(refresh));
        snprintf(text, sizeof(text), "%zu of %u instances, %lld serving%s%s%s%s",
                 standing_members(s, g), group_desired(&known, g),
                 view == NULL ? 0 : (long long)view->serving_count,
                 view != NULL && view->breaker ? "; breaker open" : "",
                 view != NULL && view->paused ? "; paused" : "",
                 view != NULL && view->suspended != 0 ? "; processes suspended" : "", refresh);
        add_line(s->site.spec->groups[g].name, "group", text, out);
    }
    for (size_t i = 0; i < s->instance_count; i++) {
        const struct record_instance *r = &s->instances[i];
        const struct record_view *view = standing_of_instance(s, r->id);
        char text[200] = "";
        if (view != NULL) {
            snprintf(text, sizeof(text), "%s, %s%s%s%s%s", view->verdict,
                     view->serving ? "serving" : "not serving", view->hold == NULL ? "" : "; ",
                     text_or(view->hold, ""), view->rule == NULL ? "" : " by ",
                     text_or(view->rule, ""));
        }
        add_line(r->id, lifecycle_to_string(r->lifecycle), text, out);
    }
}

static bool has_line(const char *text, const char *line, size_t length)
{
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        if (strcspn(at, "\n") == length && strncmp(at, line, length) == 0) {
            return true;
        }
    }
    return false;
}

/* Prints the lines of AFTER that BEFORE has not, and names what is gone. */
static void print_changes(const char *before, const char *after)
{
    char now[32];
    clock_format(clock_wall_ms(), now, sizeof(now));
    for (const char *at = after; *at != '\0'; at += strcspn(at, "\n") + 1) {
        size_t length = strcspn(at, "\n");
        if (!has_line(before, at, length)) {
            printf("%s %.*s\n", now, (int)length, at);
        }
    }
    for (const char *at = before; *at != '\0'; at += strcspn(at, "\n") + 1) {
        char subject[100];
        size_t length = strcspn(at, " \n");
        snprintf(subject, sizeof(subject), "\n%.*s ", (int)(length < 90 ? length : 90), at);
        if (strstr(after, subject) == NULL && strncmp(after, subject + 1, length + 1) != 0) {
            printf("%s %.*s gone\n", now, (int)length, at);
        }
    }
    fflush(stdout);
}

/* One look at it all; the exit status. LAST: the lines of the look before, replaced. */
static int watch_once(const struct cli *cli, struct live *live, char **last)
{
    struct standing s;
    int status = standing_read(&s, cli);
    if (status != CLI_DONE) {
        return status;
    }
    struct str text = STR_NULL;
    if (live_is_screen(live)) {
        add_all(&s, &text);
        live_draw(live, str_text(&text));
        str_deinit(&text);
    } else {
        add_lines(&s, &text);
        if (!cli->json) {
            print_changes(text_or(*last, ""), str_text(&text));
        } else if (!text_equal(*last, str_text(&text))) {
            print_json(&s, JSON_COMPACT);
        }
        str_add(&text, "");
        free(*last);
        *last = str_take(&text);
    }
    standing_deinit(&s);
    return CLI_DONE;
}

static int watch(const struct cli *cli)
{
    struct live *live = live_new(cli->json);
    char *last = NULL;
    int status;
    do {
        status = watch_once(cli, live, &last);
    } while (status == CLI_DONE && live_wait(live, 1000));
    live_free(live);
    free(last);
    return status;
}

int cmd_status(const struct cli *cli)
{
    if (cli->argc > 0) {
        return cli_usage("status", "status takes no word, got '%s'", cli->argv[0]);
    }
    if (cli->watch) {
        return watch(cli);
    }
    struct standing s;
    int status = standing_read(&s, cli);
    if (status != CLI_DONE) {
        return status;
    }
    if (cli->json) {
        print_json(&s, JSON_INDENT(2));
    } else {
        struct str text = STR_NULL;
        add_all(&s, &text);
        fputs(str_text(&text), stdout);
        str_deinit(&text);
    }
    standing_deinit(&s);
    return CLI_DONE;
}
