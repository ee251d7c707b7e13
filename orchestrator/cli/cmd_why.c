/*
 * lamplighter why: the very sentences that the controller's own state makes, with the clocks it has
 * kept; or, when none runs, those of what is seen now.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/refresh_text.h"
#include "cli/standing.h"
#include "core/world.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMBERS_SHOWN 20

/* "why not replaced web-1", "why is web-1 not replaced": the same question as "why web-1". */
static bool is_filler(const char *word)
{
    static const char *const words[] = {"is", "not", "replaced", "was", "it"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (text_equal(word, words[i])) {
            return true;
        }
    }
    return false;
}

/* The one word that names something; NULL when there is none, or more than one. */
static const char *take_name(const struct cli *cli)
{
    const char *name = cli->argc == 1 ? cli->argv[0] : NULL;
    for (int i = 0; i < cli->argc && cli->argc > 1; i++) {
        if (!is_filler(cli->argv[i])) {
            if (name != NULL) {
                return NULL;
            }
            name = cli->argv[i];
        }
    }
    return name;
}

/* What is asked about. */
struct asked {
    const char *name;
    const struct record_instance *instance; /* NULL: a group or the cluster. */
    size_t group;                           /* SPEC_NONE: an instance or the cluster. */
    const struct record_view *view;         /* NULL: nothing was told of it yet. */
};

static int no_such(const struct standing *s, const char *name)
{
    const char **words =
        xcalloc(s->instance_count * 2 + s->site.spec->group_count + 2, sizeof(*words));
    size_t count = 0;
    for (size_t i = 0; i < s->instance_count; i++) {
        words[count++] = s->instances[i].id;
        if (s->instances[i].machine != NULL) {
            words[count++] = s->instances[i].machine;
        }
    }
    for (size_t g = 0; g < s->site.spec->group_count; g++) {
        words[count++] = s->site.spec->groups[g].name;
    }
    words[count++] = "cluster";
    const char *nearest = text_nearest(name, words, count);
    log_error("cluster %s has no instance, machine or group '%s'%s%s%s", s->site.spec->cluster,
              name, nearest == NULL ? "; 'lamplighter status' lists them" : "; did you mean '",
              nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
    free(words);
    return CLI_FAILED;
}

static int find(const struct standing *s, const char *name, struct asked *ret_asked)
{
    *ret_asked = (struct asked){.name = name, .group = SPEC_NONE};
    for (size_t i = 0; i < s->instance_count; i++) {
        if (text_equal(s->instances[i].id, name) || text_equal(s->instances[i].machine, name)) {
            ret_asked->instance = &s->instances[i];
            ret_asked->view = standing_of_instance(s, s->instances[i].id);
            return CLI_DONE;
        }
    }
    ret_asked->group = spec_find_group(s->site.spec, name);
    if (ret_asked->group != SPEC_NONE) {
        ret_asked->view = standing_of_group(s, ret_asked->group);
        return CLI_DONE;
    }
    if (text_equal(name, "cluster") || text_equal(name, s->site.spec->cluster)) {
        ret_asked->view = standing_of_cluster(s);
        return CLI_DONE;
    }
    return no_such(s, name);
}

static void print_source(const struct standing *s, const struct record_view *view)
{
    struct str text = STR_NULL;
    standing_source(s, &text);
    if (s->told && view != NULL) {
        char span[32];
        int64_t age_ms = s->wall_ms - view->wall_ms;
        clock_format_span(age_ms < 0 ? 0 : age_ms, span, sizeof(span));
        str_addf(&text, ", told %s ago", span);
    }
    printf("(%s)\n", str_text(&text));
    str_deinit(&text);
}

/* A group is as its members are: those of which there is something to say. */
static void print_members(const struct standing *s, size_t group)
{
    size_t shown = 0;
    for (size_t i = 0; i < s->instance_count && shown < MEMBERS_SHOWN; i++) {
        const struct record_instance *r = &s->instances[i];
        struct str remark = STR_NULL;
        if (standing_group(s, r) == group) {
            standing_remark(s, r, &remark);
        }
        if (remark.length > 0) {
            printf("  %-12s %-11s %s\n", r->id, lifecycle_to_string(r->lifecycle),
                   str_text(&remark));
            shown++;
        }
        str_deinit(&remark);
    }
}

static void print(const struct standing *s, const struct asked *asked)
{
    for (size_t i = 0; asked->view != NULL && i < asked->view->line_count; i++) {
        printf("%s\n", asked->view->lines[i]);
    }
    if (asked->view == NULL) {
        printf("%s: the controller has not told of it yet; ask again in a moment\n", asked->name);
    }
    if (asked->instance != NULL && asked->instance->reason != NULL) {
        printf("The last failure: %s\n", asked->instance->reason);
    }
    struct str made = STR_NULL;
    if (asked->instance != NULL) {
        standing_add_made_by(s, asked->instance, &made);
    }
    if (made.length > 0) {
        printf("It was %s.\n", str_text(&made));
    }
    str_deinit(&made);
    if (asked->group != SPEC_NONE) {
        if (asked->view != NULL && asked->view->comparison != NULL) {
            printf("What balancers count: %s.\n", asked->view->comparison);
        }
        const char *cause =
            refresh_text_cause(record_refresh_find(s->refreshes, s->refresh_count, asked->name));
        if (cause != NULL) {
            printf("Its refresh was ended, or is taken back, because: %s.\n", cause);
        }
        struct str newer = STR_NULL;
        standing_add_newer(s, asked->group, &newer);
        if (newer.length > 0) {
            printf("Its %s.\n", str_text(&newer));
        }
        str_clear(&newer);
        standing_add_version(s, asked->group, &newer);
        if (newer.length > 0) {
            printf("Its template: %s.\n", str_text(&newer));
        }
        str_deinit(&newer);
        print_members(s, asked->group);
    }
    print_source(s, asked->view);
}

static void print_json(const struct standing *s, const struct asked *asked)
{
    static const struct record_view none = {.subject = NULL};
    const struct record_view *view = asked->view == NULL ? &none : asked->view;
    json_t *lines = json_array();
    for (size_t i = 0; i < view->line_count; i++) {
        json_array_append_new(lines, json_string(view->lines[i]));
    }
    json_t *object = json_pack(
        "{s:s, s:s?, s:I, s:s?, s:s?, s:I, s:s?, s:s?, s:s?, s:s?, s:I, s:s?, s:o}", "subject",
        asked->name, "controller", s->owner, "told_ms", (json_int_t)view->wall_ms, "state",
        view->state, "verdict", view->verdict, "verdict_ms", (json_int_t)view->verdict_ms, "doing",
        view->doing, "hold", view->hold, "reason", view->reason, "rule", view->rule, "held_ms",
        (json_int_t)view->held_ms, "failure",
        asked->instance == NULL ? NULL : asked->instance->reason, "lines", lines);
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

int cmd_why(const struct cli *cli)
{
    const char *name = take_name(cli);
    if (name == NULL) {
        return cli_usage("why", cli->argc == 0
                                    ? "why needs an instance, a machine, a group, or 'cluster'"
                                    : "why takes one name at a time");
    }
    struct standing s;
    int status = standing_read(&s, cli);
    if (status != CLI_DONE) {
        return status;
    }
    struct asked asked;
    status = find(&s, name, &asked);
    if (status == CLI_DONE && cli->json) {
        print_json(&s, &asked);
    } else if (status == CLI_DONE) {
        print(&s, &asked);
    }
    standing_deinit(&s);
    return status;
}
