#include "cli/refresh_text.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/world.h"

#include <stdio.h>

static enum world_refresh_state state_of(const struct record_refresh *r)
{
    return r == NULL ? WORLD_REFRESH_NONE : (enum world_refresh_state)r->state;
}

struct refresh_known refresh_text_known(const struct group_known *known, size_t group,
                                        const struct record_instance **instances)
{
    struct refresh_known k = {
        .spec = known->spec,
        .versions = known->versions,
        .group = group,
        .instances = instances,
        .instance_count = known->instance_count,
        .last = record_refresh_find(known->refreshes, known->refresh_count,
                                    known->spec->groups[group].name),
    };
    k.pin = refresh_pin(known->spec, group, group_record(known, group), known->versions);
    for (size_t i = 0; i < known->instance_count; i++) {
        instances[i] = &known->instances[i];
    }
    return k;
}

bool refresh_text_is_active(const struct record_refresh *record)
{
    return world_refresh_is_active(state_of(record));
}

static const char *before_of(const struct record_refresh *r)
{
    return r->before_image == NULL ? "?" : r->before_image;
}

static const char *image_of(const struct record_refresh *r)
{
    const char *image = r->image == NULL ? "?" : r->image;
    return state_of(r) == WORLD_REFRESH_BACK ? before_of(r) : image;
}

/* "web@4", and where that is not all that differs, by which version of its template. */
static void add_goal(const struct record_refresh *r, struct str *text)
{
    bool back = state_of(r) == WORLD_REFRESH_BACK;
    const char *template = back ? r->before_template : r->template;
    str_add(text, image_of(r));
    if (template != NULL && (r->whole || !text_equal(r->template, r->before_template))) {
        str_addf(text, " (template %s)", template);
    }
}

static void add_span(struct str *text, int64_t span_ms)
{
    char span[32];
    clock_format_span(span_ms < 0 ? 0 : span_ms, span, sizeof(span));
    str_add(text, span);
}

/* It was told some time ago. */
static int64_t left_ms(const struct record_view *view, int64_t wall_ms)
{
    if (view == NULL || view->refresh_left_ms < 0) {
        return -1;
    }
    int64_t left = view->refresh_left_ms - (wall_ms - view->wall_ms);
    return left < 0 ? 0 : left;
}

/* The checkpoint it waits at, or comes to; 0: none. */
static unsigned checkpoint_of(const struct record_refresh *r)
{
    return r->checkpoints_passed < r->checkpoint_count ? r->checkpoints[r->checkpoints_passed] : 0;
}

const char *refresh_text_cause(const struct record_refresh *record)
{
    enum world_refresh_state state = state_of(record);
    bool ended = state == WORLD_REFRESH_BACK || state == WORLD_REFRESH_ROLLED_BACK ||
                 state == WORLD_REFRESH_STOPPED || state == WORLD_REFRESH_CANCELLED;
    return ended ? record->cause : NULL;
}

static void add_state(const struct record_refresh *r, struct str *text)
{
    str_add(text, "refresh to ");
    add_goal(r, text);
    str_addf(text, " %s", world_refresh_to_string(state_of(r)));
    if (state_of(r) == WORLD_REFRESH_CHECKPOINT) {
        str_addf(text, " of %u %%", checkpoint_of(r));
    } else if (state_of(r) == WORLD_REFRESH_RUNNING && checkpoint_of(r) != 0) {
        str_addf(text, " to its checkpoint of %u %%", checkpoint_of(r));
    }
}

static void add_active(const struct record_refresh *r, const struct record_view *view,
                       int64_t wall_ms, struct str *text)
{
    add_state(r, text);
    if (view != NULL) {
        str_addf(text, ": %lld of %lld replaced, %lld under way", (long long)view->refresh_replaced,
                 (long long)view->refresh_all, (long long)view->refresh_moving);
    }
    if (view != NULL && view->comparison != NULL) {
        str_addf(text, " (%s)", view->comparison);
    }
    str_add(text, ", for ");
    add_span(text, wall_ms - r->began_ms);
    if (left_ms(view, wall_ms) >= 0) {
        str_add(text, "; about ");
        add_span(text, left_ms(view, wall_ms) / 1000 * 1000);
        str_add(text, " left");
    } else if (state_of(r) == WORLD_REFRESH_CHECKPOINT && r->checkpoint_delay_ms < 0) {
        str_addf(text, "; `group refresh %s --continue` goes on", r->group);
    }
    str_addf(text, "; asked for by %s", r->who == NULL ? "?" : r->who);
    if (refresh_text_cause(r) != NULL) {
        str_addf(text, "; because: %s", r->cause);
    }
}

static void add_over(const struct record_refresh *r, int64_t wall_ms, struct str *text)
{
    str_add(text, "last refresh, to ");
    add_goal(r, text);
    str_addf(text, ": %s, ", world_refresh_to_string(state_of(r)));
    add_span(text, wall_ms - r->since_ms);
    const char *why = refresh_text_cause(r) != NULL ? r->cause : r->reason;
    str_addf(text, " ago: %s; ", why == NULL ? "?" : why);
    if (state_of(r) == WORLD_REFRESH_ROLLED_BACK) {
        str_addf(text, "%u run %s again, ", r->replaced, before_of(r));
    } else {
        str_addf(text, "%u replaced, ", r->replaced);
    }
    add_span(text, r->since_ms - r->began_ms);
    str_addf(text, " after it began; asked for by %s", r->who == NULL ? "?" : r->who);
}

void refresh_text_add(const struct record_refresh *record, const struct record_view *view,
                      int64_t wall_ms, struct str *text)
{
    if (refresh_text_is_active(record)) {
        add_active(record, view, wall_ms, text);
    } else if (state_of(record) != WORLD_REFRESH_NONE) {
        add_over(record, wall_ms, text);
    }
}

void refresh_text_short(const struct record_refresh *record, const struct record_view *view,
                        char *ret_text, size_t size)
{
    struct str text = STR_NULL;
    if (refresh_text_is_active(record)) {
        str_add(&text, "; ");
        add_state(record, &text);
    }
    if (text.length > 0 && view != NULL) {
        str_addf(&text, ", %lld of %lld replaced, %lld under way",
                 (long long)view->refresh_replaced, (long long)view->refresh_all,
                 (long long)view->refresh_moving);
    }
    text_copy(ret_text, size, str_text(&text));
    str_deinit(&text);
}

json_t *refresh_text_json(const struct record_refresh *r, const struct record_view *view,
                          int64_t wall_ms)
{
    static const struct record_view none = {.refresh_left_ms = -1};
    bool active = refresh_text_is_active(r);
    const struct record_view *v = view == NULL ? &none : view;
    json_t *object =
        json_pack("{s:s, s:b, s:s?, s:s?, s:b, s:I, s:I, s:s?, s:s?, s:s?}", "state",
                  world_refresh_to_string(state_of(r)), "active", active ? 1 : 0, "image", r->image,
                  "before", r->before_image, "rollback", r->rollback ? 1 : 0, "began_ms",
                  (json_int_t)r->began_ms, "since_ms", (json_int_t)r->since_ms, "who", r->who,
                  "reason", r->reason, "cause", refresh_text_cause(r));
    json_t *more = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:i, s:s?}", "replaced",
        active ? (json_int_t)v->refresh_replaced : (json_int_t)r->replaced, "of",
        (json_int_t)v->refresh_all, "moving", (json_int_t)v->refresh_moving, "left_ms",
        active ? (json_int_t)left_ms(v, wall_ms) : (json_int_t)0, "lead_ms", (json_int_t)r->lead_ms,
        "checkpoint", (int)checkpoint_of(r), "comparison", active ? v->comparison : NULL);
    json_object_update(object, more);
    json_decref(more);
    more =
        json_pack("{s:s?, s:s?}", "template", r->template, "before_template", r->before_template);
    json_object_update(object, more);
    json_decref(more);
    return object;
}
