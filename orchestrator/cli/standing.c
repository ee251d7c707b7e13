#include "cli/standing.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/refresh_text.h"
#include "cli/session.h"
#include "core/world.h"
#include "store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBSERVE_LIMIT_MS 8000
/* What was told longer ago than this says so. */
#define AGE_SHOWN_MS 2000

/* Reading. */

static int read_records(struct standing *s, struct store *store, struct err *e)
{
    struct record_request *requests;
    if (record_instance_list(store, &s->instances, &s->instance_count, e) != 0 ||
        record_group_list(store, &s->groups, &s->group_count, e) != 0 ||
        record_refresh_list(store, &s->refreshes, &s->refresh_count, e) != 0 ||
        record_action_list(store, &s->actions, &s->action_count, e) != 0 ||
        template_versions_load(store, s->site.spec, s->instances, s->instance_count, &s->versions,
                               e) != 0 ||
        record_request_list(store, &requests, &s->waiting, e) != 0) {
        return -1;
    }
    record_request_list_free(requests, s->waiting);
    return 0;
}

/* The lock first: what its owner told counts, and nothing that others told before it. */
static int read_store(struct standing *s, struct err *e)
{
    const char *path = s->site.spec->state_path;
    struct store store = STORE_NULL;
    struct record_lock lock;
    if (access(path, F_OK) != 0) {
        return 0;
    }
    if (store_sqlite_open(&store, path, STORE_SQLITE_READ, e) != 0) {
        return -1;
    }
    int result = record_lock_read(&store, &s->told, &lock, e);
    if (result == 0 && s->told) {
        s->owner = xstrdup(lock.owner == NULL ? "unknown" : lock.owner);
        s->since_ms = lock.since_ms;
        s->epoch = lock.epoch;
        record_lock_deinit(&lock);
        result = record_view_list(&store, &s->views, &s->view_count, e);
    }
    if (result == 0) {
        result = read_records(s, &store, e);
    }
    store_close(&store);
    return result;
}

static int compare_views(const void *a, const void *b)
{
    return strcmp(((const struct record_view *)a)->subject,
                  ((const struct record_view *)b)->subject);
}

static void take_views(struct standing *s, const struct controller *c)
{
    size_t members = controller_member_count(c);
    size_t groups = s->site.spec->group_count;
    s->views = xcalloc(members + groups + 1, sizeof(*s->views));
    for (size_t i = 0; i < members; i++) {
        controller_view(c, i, WORLD_NONE, &s->views[s->view_count++]);
    }
    for (size_t g = 0; g < groups; g++) {
        controller_view(c, WORLD_NONE, g, &s->views[s->view_count++]);
    }
    controller_view(c, WORLD_NONE, WORLD_NONE, &s->views[s->view_count++]);
    qsort(s->views, s->view_count, sizeof(*s->views), compare_views);
}

static int observe(struct standing *s, const struct cli *cli)
{
    struct session session;
    struct err e = ERR_NULL;
    int status = session_open(&session, cli, SESSION_READ, "status", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    if (controller_observe(session.controller, OBSERVE_LIMIT_MS, &e) != 0) {
        log_error("%s", e.text);
        status = CLI_FAILED;
    } else {
        take_views(s, session.controller);
    }
    session_close(&session);
    return status;
}

int standing_read(struct standing *ret_standing, const struct cli *cli)
{
    struct err e = ERR_NULL;
    *ret_standing = (struct standing){.told = false};
    int status = session_load_site(&ret_standing->site, cli);
    if (status != CLI_DONE) {
        return status;
    }
    if (read_store(ret_standing, &e) != 0) {
        log_error("%s", e.text);
        status = CLI_FAILED;
    } else if (!ret_standing->told) {
        status = observe(ret_standing, cli);
    }
    ret_standing->wall_ms = clock_wall_ms();
    if (status != CLI_DONE) {
        standing_deinit(ret_standing);
    }
    return status;
}

void standing_deinit(struct standing *s)
{
    record_instance_list_free(s->instances, s->instance_count);
    record_group_list_free(s->groups, s->group_count);
    record_refresh_list_free(s->refreshes, s->refresh_count);
    record_action_list_free(s->actions, s->action_count);
    record_view_list_free(s->views, s->view_count);
    template_versions_deinit(&s->versions);
    free(s->owner);
    site_deinit(&s->site);
    *s = (struct standing){.told = false};
}

/* Asking. */

const struct record_view *standing_of_instance(const struct standing *s, const char *id)
{
    return record_view_find(s->views, s->view_count, id, s->epoch);
}

const struct record_view *standing_of_group(const struct standing *s, size_t group)
{
    char *subject = xasprintf("group/%s", s->site.spec->groups[group].name);
    const struct record_view *view = record_view_find(s->views, s->view_count, subject, s->epoch);
    free(subject);
    return view;
}

const struct record_view *standing_of_cluster(const struct standing *s)
{
    return record_view_find(s->views, s->view_count, "cluster", s->epoch);
}

struct group_known standing_known(const struct standing *s)
{
    return (struct group_known){.spec = s->site.spec,
                                .instances = s->instances,
                                .instance_count = s->instance_count,
                                .groups = s->groups,
                                .group_count = s->group_count,
                                .refreshes = s->refreshes,
                                .refresh_count = s->refresh_count,
                                .versions = &s->versions};
}

size_t standing_group(const struct standing *s, const struct record_instance *instance)
{
    return spec_find_group(s->site.spec, instance->group);
}

bool standing_in_pool(const struct standing *s, const struct record_instance *instance)
{
    size_t group = standing_group(s, instance);
    return group != SPEC_NONE && s->site.spec->groups[group].pool != SPEC_NONE;
}

size_t standing_members(const struct standing *s, size_t group)
{
    size_t count = 0;
    for (size_t i = 0; i < s->instance_count; i++) {
        const struct record_instance *r = &s->instances[i];
        count += standing_group(s, r) == group && !world_leaving(r->lifecycle) &&
                         r->lifecycle != LIFECYCLE_DETACHED
                     ? 1
                     : 0;
    }
    return count;
}

/* Words. */

static void add_part(struct str *text, const char *part)
{
    str_addf(text, "%s%s", text->length > 0 ? "; " : "", part);
}

static void add_span(struct str *text, int64_t span_ms)
{
    char span[32];
    clock_format_span(span_ms < 0 ? 0 : span_ms, span, sizeof(span));
    str_add(text, span);
}

static void add_hold(const struct standing *s, const struct record_view *view, struct str *text)
{
    if (view->hold == NULL) {
        return;
    }
    if (!text_starts(view->reason, view->hold)) {
        add_part(text, view->hold);
        str_addf(text, ": %s", view->reason);
    } else {
        add_part(text, view->reason);
    }
    if (s->told && s->wall_ms - view->wall_ms >= AGE_SHOWN_MS) {
        str_add(text, " (");
        add_span(text, s->wall_ms - view->wall_ms);
        str_add(text, " ago)");
    }
}

static bool is_remarkable(const char *verdict)
{
    return !text_equal(verdict, world_verdict_to_string(WORLD_VERDICT_OK)) &&
           !text_equal(verdict, world_verdict_to_string(WORLD_VERDICT_NONE)) &&
           !text_equal(verdict, world_verdict_to_string(WORLD_VERDICT_UNKNOWN));
}

/* Where its two witnesses of readiness differ, or both say no. */
static void add_witnesses(const struct record_view *view, struct str *text)
{
    bool probe_good = text_equal(view->probe, "healthy");
    bool balancer_good = view->balancer_text != NULL && text_starts(view->balancer_text, "up");
    char part[400];
    if (probe_good && !balancer_good) {
        snprintf(part, sizeof(part), "the probe is content, the balancer is not: %.300s",
                 view->balancer_text == NULL ? "it does not know this target"
                                             : view->balancer_text);
    } else if (!probe_good && balancer_good) {
        snprintf(part, sizeof(part), "the balancer is content, the probe is not: %.300s",
                 view->probe_text == NULL ? "no answer yet" : view->probe_text);
    } else {
        snprintf(part, sizeof(part), "probe: %.300s",
                 view->probe_text == NULL ? "no answer" : view->probe_text);
    }
    add_part(text, part);
}

/* What is under way on it. Without a controller an intent is only what was cut off. */
static void add_doing(const struct standing *s, const struct record_instance *r, struct str *text)
{
    for (size_t i = 0; s->told && i < s->action_count; i++) {
        const struct record_action *action = &s->actions[i];
        if (text_equal(action->instance, r->id)) {
            add_part(text, action->kind == NULL ? "a step" : action->kind);
            str_add(text, " under way for ");
            add_span(text, s->wall_ms - action->started_ms);
        }
    }
}

static void add_remark(const struct standing *s, const struct record_instance *r, struct str *text)
{
    const struct record_view *view = standing_of_instance(s, r->id);
    if (view == NULL) {
        add_part(text, "the controller has not told of it yet");
        return;
    }
    if (!text_equal(view->power, "running") && r->lifecycle != LIFECYCLE_DETACHED) {
        add_part(text, "host is ");
        str_add(text, view->power);
    }
    if (is_remarkable(view->verdict)) {
        add_part(text, view->verdict);
        str_add(text, " for ");
        add_span(text, s->wall_ms - view->verdict_ms);
    }
    add_doing(s, r, text);
    add_hold(s, view, text);
    if (r->reason != NULL) {
        add_part(text, "last failure: ");
        str_add(text, r->reason);
    } else if (text_equal(view->power, "running") && standing_in_pool(s, r) && !view->serving &&
               r->configured_ms != 0 && r->lifecycle != LIFECYCLE_STANDBY &&
               r->lifecycle != LIFECYCLE_DETACHED) {
        add_witnesses(view, text);
    }
    if (r->protect) {
        add_part(text, "protected");
    }
    if (r->paused) {
        add_part(text, "paused");
    }
    if (r->wish != WORLD_WISH_NONE) {
        add_part(text, "asked for: ");
        str_add(text, world_wish_to_string((enum world_wish)r->wish));
    }
}

void standing_remark(const struct standing *s, const struct record_instance *r, struct str *text)
{
    struct str raw = STR_NULL;
    add_remark(s, r, &raw);
    /* Some of it is what a host answered. */
    str_add_printable(text, str_text(&raw), raw.length, false);
    str_deinit(&raw);
}

void standing_group_remark(const struct standing *s, size_t group, struct str *text)
{
    const struct record_view *view = standing_of_group(s, group);
    if (view == NULL) {
        add_part(text, "the controller has not told of it yet");
        return;
    }
    if (view->breaker) {
        add_part(text, "breaker open");
    }
    if (view->paused) {
        add_part(text, "paused");
    }
    if (view->suspended != 0) {
        add_part(text, "suspended:");
        for (size_t i = 0; world_process_names[i] != NULL; i++) {
            if (view->suspended >> i & 1) {
                str_addf(text, " %s", world_process_names[i]);
            }
        }
    }
    const struct record_refresh *r =
        record_refresh_find(s->refreshes, s->refresh_count, s->site.spec->groups[group].name);
    if (refresh_text_is_active(r)) {
        add_part(text, "");
        refresh_text_add(r, view, s->wall_ms, text);
    }
    add_hold(s, view, text);
    struct str newer = STR_NULL;
    standing_add_newer(s, group, &newer);
    if (newer.length > 0) {
        add_part(text, str_text(&newer));
    }
    str_clear(&newer);
    standing_add_version(s, group, &newer);
    if (newer.length > 0) {
        add_part(text, str_text(&newer));
    }
    str_deinit(&newer);
}

/* `group refresh web` leads to the template's image; to one of another name it must be told. */
static void add_newer(const struct refresh_known *known, const char *newer, const char *runs,
                      struct str *text)
{
    const struct spec_group *group = &known->spec->groups[known->group];
    const char *image = known->spec->templates[group->template].image;
    size_t length = strcspn(newer, "@");
    bool other = strncmp(newer, image, length) != 0 || strcspn(image, "@") != length;
    str_addf(text, "newer image %s is current, it runs %s", newer, runs);
    if (refresh_text_cause(known->last) != NULL && text_equal(known->last->image, newer)) {
        str_addf(text, "; its refresh to it was %s",
                 world_refresh_to_string((enum world_refresh_state)known->last->state));
    } else {
        str_addf(text, "; `group refresh %s%s%.*s` rolls it out", group->name,
                 other ? " --image " : "", other ? (int)length : 0, newer);
    }
}

void standing_add_newer(const struct standing *s, size_t group, struct str *text)
{
    const struct group_known all = standing_known(s);
    const struct record_instance **instances = xcalloc(s->instance_count + 1, sizeof(*instances));
    const struct refresh_known known = refresh_text_known(&all, group, instances);
    if (!refresh_text_is_active(known.last)) {
        char *runs = refresh_runs(&known);
        char *newer = refresh_newer(&known, runs);
        if (newer != NULL) {
            add_newer(&known, newer, runs, text);
        }
        free(newer);
        free(runs);
    }
    free(instances);
}

void standing_add_version(const struct standing *s, size_t group, struct str *text)
{
    const struct group_known all = standing_known(s);
    const struct record_instance **instances = xcalloc(s->instance_count + 1, sizeof(*instances));
    const struct refresh_known known = refresh_text_known(&all, group, instances);
    const struct spec_group *g = &s->site.spec->groups[group];
    const struct template_version *file = template_version_of_file(&s->versions, g->template);
    const struct template_version *pinned = known.pin.template;
    size_t outdated = refresh_text_is_active(known.last) ? 0 : refresh_outdated(&known);
    if (file != NULL && pinned != NULL && pinned != file) {
        str_addf(text, "new ones are made by version %u of template %s%s, the file says version %u",
                 pinned->record.number, pinned->record.name,
                 known.pin.whole ? "" : " (image, size, user-data)", file->record.number);
    }
    if (file != NULL && outdated > 0) {
        const struct template_version *now = pinned != NULL ? pinned : file;
        str_addf(text,
                 "%s%zu of %zu %s made by another version of template %s than %u: `group refresh "
                 "%s",
                 text->length > 0 ? "; " : "", outdated, standing_members(s, group),
                 outdated == 1 ? "was" : "were", now->record.name, now->record.number, g->name);
        if (pinned != NULL) {
            str_addf(text, " --template %u", pinned->record.number);
        }
        str_addf(text, "` replaces %s", outdated == 1 ? "it" : "them");
    }
    free(instances);
}

void standing_add_made_by(const struct standing *s, const struct record_instance *r,
                          struct str *text)
{
    char *template = template_version_ref(template_version_of(&s->versions, r));
    if (template != NULL) {
        str_addf(text, "made by template %s", template);
        if (r->image != NULL) {
            str_addf(text, ", from %s", r->image);
        }
    }
    free(template);
}

void standing_source(const struct standing *s, struct str *text)
{
    if (s->told) {
        str_addf(text, "as %s, sees it", s->owner);
    } else {
        str_add(text, "as seen just now: no controller runs, so all clocks start now");
    }
}

json_t *standing_group_to_json(const struct standing *s, size_t g)
{
    static const struct record_view none = {.subject = NULL};
    const struct spec_group *spec = &s->site.spec->groups[g];
    const struct group_known known = standing_known(s);
    const struct record_view *view = standing_of_group(s, g);
    view = view == NULL ? &none : view;
    json_t *suspended = json_array();
    for (size_t i = 0; world_process_names[i] != NULL; i++) {
        if (view->suspended >> i & 1) {
            json_array_append_new(suspended, json_string(world_process_names[i]));
        }
    }
    const struct record_refresh *refresh =
        record_refresh_find(s->refreshes, s->refresh_count, spec->name);
    json_t *object = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b, s:b, s:s?, s:s?}", "name",
        spec->name, "desired", (json_int_t)group_desired(&known, g), "file_desired",
        (json_int_t)spec->desired, "min", (json_int_t)spec->min, "max", (json_int_t)spec->max,
        "members", (json_int_t)standing_members(s, g), "standing", (json_int_t)view->standing,
        "serving", (json_int_t)view->serving_count, "counted", (json_int_t)view->counted, "minimum",
        (json_int_t)view->minimum, "suspended", suspended, "paused", view->paused ? 1 : 0,
        "breaker", view->breaker ? 1 : 0, "hold", view->hold, "hold_reason", view->reason);
    const struct refresh_pin pin =
        refresh_pin(s->site.spec, g, group_record(&known, g), known.versions);
    char *template = template_version_ref(
        pin.template != NULL ? pin.template
                             : template_version_of_file(known.versions, spec->template));
    json_object_set_new(object, "image", pin.image == NULL ? json_null() : json_string(pin.image));
    json_object_set_new(object, "template", template == NULL ? json_null() : json_string(template));
    free(template);
    json_object_set_new(object, "refresh",
                        refresh == NULL ? json_null()
                                        : refresh_text_json(refresh, view, s->wall_ms));
    return object;
}
