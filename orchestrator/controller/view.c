/*
 * What is believed, and why, told through the store: every command that asks sees what the
 * controller sees, with the clocks it has kept. Words come from core/why.h and core/reason.h, so
 * that nothing explains itself in a second way.
 *
 * Each turn compares digests only; a view is made and written when what it tells has changed. Times
 * go on without being told: a reason that counts seconds is told again every ten.
 */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/refresh.h"
#include "core/why.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELL_EVERY_MS 1000
#define TELL_AGAIN_MS 10000

static const char *power_word(enum world_power power)
{
    switch (power) {
    case WORLD_POWER_UNKNOWN: return "unknown";
    case WORLD_POWER_ABSENT: return "absent";
    case WORLD_POWER_OFF: return "off";
    case WORLD_POWER_RUNNING: return "running";
    }
    return "unknown";
}

static const char *health_word(enum world_health health)
{
    return health == WORLD_HEALTHY     ? "healthy"
           : health == WORLD_UNHEALTHY ? "unhealthy"
                                       : "unknown";
}

static const char *hold_word(enum hold_kind kind)
{
    switch (kind) {
    case HOLD_WAIT: return "waits";
    case HOLD_REFUSED: return "refused";
    case HOLD_STUCK: return "stuck";
    }
    return "waits";
}

static int64_t to_wall(const struct controller *c, int64_t ms)
{
    return clock_wall_ms() - (c->world.now_ms - ms);
}

/* Digests: FNV-1a over the numbers that are told. */

static uint64_t mix(uint64_t digest, int64_t number)
{
    for (int i = 0; i < 8; i++) {
        digest = (digest ^ ((uint64_t)number >> (8 * i) & 0xff)) * 1099511628211U;
    }
    return digest;
}

static uint64_t mix_text(uint64_t digest, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        digest = (digest ^ (unsigned char)*text) * 1099511628211U;
    }
    return mix(digest, text == NULL);
}

#define DIGEST_START 14695981039346656037U

static const struct hold *hold_of(const struct controller *c, const struct view_mark *mark)
{
    return mark->hold == WORLD_NONE ? NULL : &c->decision.holds[mark->hold];
}

static uint64_t held_for(const struct hold *hold)
{
    return hold == NULL ? 0 : mix(mix(DIGEST_START, hold->kind), hold->reason.code);
}

/* What of the decision concerns one subject. */
static uint64_t mix_decision(const struct controller *c, const struct view_mark *mark,
                             uint64_t digest)
{
    digest = mix(digest, (int64_t)held_for(hold_of(c, mark)));
    return mix(digest,
               mark->action == WORLD_NONE ? -1 : (int64_t)c->decision.actions[mark->action].kind);
}

static uint64_t digest_instance(const struct controller *c, size_t i)
{
    const struct world_instance *it = &c->world.instances[i];
    const struct member *m = &c->members[i];
    const int64_t told[] = {it->lifecycle,
                            it->wish,
                            it->protect,
                            it->paused,
                            it->verdict,
                            it->power,
                            it->rung,
                            it->busy,
                            it->health.health,
                            it->failure,
                            it->failures,
                            it->alive.health,
                            c->decision.survey.serving[i]};
    uint64_t digest = DIGEST_START;
    for (size_t n = 0; n < sizeof(told) / sizeof(told[0]); n++) {
        digest = mix(digest, told[n]);
    }
    digest = mix_text(mix_text(digest, m->probe_text), m->frontend_text);
    return mix_decision(c, &m->view, digest);
}

static uint64_t digest_group(const struct controller *c, size_t g)
{
    const struct world_group *w = &c->world.groups[g];
    const struct survey_group *s = &c->decision.survey.groups[g];
    const struct refresh_count r = refresh_count(&c->decision.survey, g);
    const int64_t told[] = {w->desired,          w->suspended,        w->paused,
                            w->failed_launches,  w->breaker.open.on,  (int64_t)s->standing,
                            (int64_t)s->serving, (int64_t)s->counted, (int64_t)s->change,
                            w->refresh.state,    (int64_t)r.replaced, (int64_t)r.all,
                            (int64_t)r.moving,   (int64_t)r.left,     c->notes[g].refresh.leads};
    uint64_t digest = DIGEST_START;
    for (size_t n = 0; n < sizeof(told) / sizeof(told[0]); n++) {
        digest = mix(digest, told[n]);
    }
    return mix_decision(c, &c->group_views[g], digest);
}

static uint64_t digest_cluster(const struct controller *c)
{
    const struct world *w = &c->world;
    uint64_t digest = mix(mix(DIGEST_START, w->paused), w->frozen.on);
    digest = mix(mix(digest, w->gone), w->seen);
    for (size_t z = 0; z < c->spec->zone_count; z++) {
        digest = mix(mix(digest, w->zones[z].lost.on), w->zones[z].breaker.open.on);
    }
    return mix_decision(c, &c->cluster_view, digest);
}

/* Making one. */

static void take_lines(struct record_view *view, const struct why *why)
{
    view->lines = xcalloc(why->count, sizeof(*view->lines));
    view->line_count = why->count;
    for (size_t i = 0; i < why->count; i++) {
        view->lines[i] = xstrdup(why->lines[i]);
    }
}

static void take_decision(const struct controller *c, size_t instance, size_t group,
                          struct record_view *view)
{
    const struct decision *d = &c->decision;
    for (size_t i = 0; i < d->hold_count && view->hold == NULL; i++) {
        const struct hold *hold = &d->holds[i];
        bool ours = hold->instance == instance && (instance != WORLD_NONE || hold->group == group);
        if (ours) {
            char text[300];
            reason_to_string(&hold->reason, text, sizeof(text));
            view->hold = xstrdup(hold_word(hold->kind));
            view->reason = xstrdup(text);
            view->rule = xcopy(reason_rule(hold->reason.code));
        }
    }
    for (size_t i = 0; i < d->action_count && view->doing == NULL; i++) {
        const struct action *action = &d->actions[i];
        if (action->instance == instance && (instance != WORLD_NONE || action->group == group)) {
            view->doing = xstrdup(action_kind_to_string(action->kind));
        }
    }
}

static void view_instance(const struct controller *c, size_t i, struct record_view *view)
{
    const struct world_instance *it = &c->world.instances[i];
    struct why why;
    view->subject = xstrdup(it->id);
    view->verdict = xstrdup(world_verdict_to_string(it->verdict));
    view->verdict_ms = to_wall(c, it->verdict_ms);
    view->state = xstrdup(lifecycle_to_string(it->lifecycle));
    view->power = xstrdup(power_word(it->power));
    view->probe = xstrdup(health_word(it->health.health));
    view->probe_text = xcopy(c->members[i].probe_text);
    view->balancer_text = xcopy(c->members[i].frontend_text);
    view->serving = c->decision.survey.serving != NULL && c->decision.survey.serving[i];
    view->paused = it->paused;
    take_decision(c, i, it->group, view);
    why_instance(c->spec, &c->world, &c->decision, i, &why);
    take_lines(view, &why);
}

static void view_group(const struct controller *c, size_t g, struct record_view *view)
{
    const struct world_group *w = &c->world.groups[g];
    const struct survey_group *s = &c->decision.survey.groups[g];
    struct why why;
    view->subject = xasprintf("group/%s", c->spec->groups[g].name);
    view->desired = w->desired;
    view->standing = (int64_t)s->standing;
    view->serving_count = (int64_t)s->serving;
    view->counted = (int64_t)s->counted;
    view->minimum = (int64_t)world_healthy_minimum(c->spec, &c->world, g);
    view->suspended = w->suspended;
    view->paused = w->paused;
    view->breaker = w->breaker.open.on;
    const struct refresh_count r = refresh_count(&c->decision.survey, g);
    view->refresh_replaced = (int64_t)r.replaced;
    view->refresh_all = (int64_t)r.all;
    view->refresh_moving = (int64_t)r.moving;
    view->refresh_left_ms = refresh_remaining(c, g);
    view->comparison = canary_watch_text(c, g);
    take_decision(c, WORLD_NONE, g, view);
    why_group(c->spec, &c->world, &c->decision, g, &why);
    take_lines(view, &why);
}

static void view_cluster(const struct controller *c, struct record_view *view)
{
    struct why why;
    view->subject = xstrdup("cluster");
    view->paused = c->world.paused;
    view->frozen = c->world.frozen.on;
    take_decision(c, WORLD_NONE, WORLD_NONE, view);
    why_cluster(c->spec, &c->world, &c->decision, &why);
    take_lines(view, &why);
}

void controller_view(const struct controller *c, size_t instance, size_t group,
                     struct record_view *ret_view)
{
    *ret_view = (struct record_view){.wall_ms = clock_wall_ms(), .held_ms = clock_wall_ms()};
    if (instance != WORLD_NONE) {
        view_instance(c, instance, ret_view);
    } else if (group != WORLD_NONE) {
        view_group(c, group, ret_view);
    } else {
        view_cluster(c, ret_view);
    }
}

/* Telling. */

/* Views of a controller before this one; each that still has a subject is told anew at once. */
static void begin(struct controller *c)
{
    struct record_view *views;
    size_t count;
    struct err e = ERR_NULL;
    c->group_views = xcalloc(c->spec->group_count + 1, sizeof(*c->group_views));
    if (record_view_list(c->store, &views, &count, &e) != 0) {
        log_warning("what an earlier controller believed cannot be removed: %s", e.text);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        journal_delete_view(c->journal, views[i].subject);
    }
    record_view_list_free(views, count);
}

static struct view_mark *mark_of(struct controller *c, size_t instance, size_t group)
{
    return instance != WORLD_NONE ? &c->members[instance].view
           : group != WORLD_NONE  ? &c->group_views[group]
                                  : &c->cluster_view;
}

/* The first hold and the first action of each, in one pass over the decision. */
static void mark_decision(struct controller *c)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        c->members[i].view.hold = c->members[i].view.action = WORLD_NONE;
    }
    for (size_t g = 0; g < c->spec->group_count; g++) {
        c->group_views[g].hold = c->group_views[g].action = WORLD_NONE;
    }
    c->cluster_view.hold = c->cluster_view.action = WORLD_NONE;
    for (size_t i = c->decision.hold_count; i-- > 0;) {
        mark_of(c, c->decision.holds[i].instance, c->decision.holds[i].group)->hold = i;
    }
    for (size_t i = c->decision.action_count; i-- > 0;) {
        mark_of(c, c->decision.actions[i].instance, c->decision.actions[i].group)->action = i;
    }
}

/* Of what changes by itself as time goes on: a reason that counts seconds, what balancers count. */
static uint64_t digest_counting(const struct controller *c, size_t group, const struct hold *hold)
{
    char text[300] = "";
    if (hold != NULL) {
        reason_to_string(&hold->reason, text, sizeof(text));
    }
    char *comparison = group == WORLD_NONE ? NULL : canary_watch_text(c, group);
    uint64_t digest = mix_text(mix_text(DIGEST_START, text), comparison);
    free(comparison);
    return digest;
}

static void tell(struct controller *c, size_t instance, size_t group, uint64_t digest)
{
    struct view_mark *mark = mark_of(c, instance, group);
    const struct hold *hold = hold_of(c, mark);
    size_t counted = instance == WORLD_NONE ? group : WORLD_NONE;
    int64_t now_ms = c->world.now_ms;
    if (held_for(hold) != mark->held) {
        mark->held = held_for(hold);
        mark->held_ms = clock_wall_ms();
    }
    bool told = mark->told_ms != 0;
    if (told && now_ms - mark->told_ms < TELL_EVERY_MS) {
        return;
    }
    if (told && digest == mark->digest) {
        bool old = now_ms - mark->told_ms >= TELL_AGAIN_MS;
        if (!old || digest_counting(c, counted, hold) == mark->text) {
            return;
        }
    }
    struct record_view view;
    controller_view(c, instance, group, &view);
    view.held_ms = mark->held_ms;
    journal_put_view(c->journal, &view);
    record_view_deinit(&view);
    mark->digest = digest;
    mark->text = digest_counting(c, counted, hold);
    mark->told_ms = now_ms;
}

void view_update(struct controller *c)
{
    if (c->journal == NULL || c->looking_only) {
        return;
    }
    if (c->group_views == NULL) {
        begin(c);
    }
    mark_decision(c);
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED) {
            tell(c, i, c->world.instances[i].group, digest_instance(c, i));
        } else if (c->members[i].view.told_ms != 0) {
            journal_delete_view(c->journal, c->world.instances[i].id);
            c->members[i].view = (struct view_mark){.told_ms = 0};
        }
    }
    for (size_t g = 0; g < c->spec->group_count; g++) {
        tell(c, WORLD_NONE, g, digest_group(c, g));
    }
    tell(c, WORLD_NONE, WORLD_NONE, digest_cluster(c));
}
