#include "core/survey.h"

#include "core/guard.h"
#include "spec/spec.h"

#include <assert.h>
#include <string.h>

/* A balancer whose admin socket answered no longer ago is heard, whatever is said of its host. */
#define TOLD_LATELY_MS 10000

/* A host that we switched off ourselves, and were killed in the middle of it. */
#define SWITCHED_MS 300000

#define ALIGN(n) (((n) + 15) & ~(size_t)15)

/* The one list of what is carved out of the memory: for its size, and for the arrays. */
struct layout {
    size_t groups, zone_standing, serving, known_out, first_target, next_target, acted, taken, end;
};

static struct layout layout_of(const struct spec *spec, const struct world *w)
{
    struct layout l = {.groups = 0};
    size_t at = ALIGN(spec->group_count * sizeof(struct survey_group));
    l.zone_standing = at;
    at += ALIGN(spec->group_count * spec->zone_count * sizeof(size_t));
    l.first_target = at;
    at += ALIGN(w->instance_capacity * sizeof(size_t));
    l.next_target = at;
    at += ALIGN(w->target_capacity * sizeof(size_t));
    l.serving = at;
    at += ALIGN(w->instance_capacity * sizeof(bool));
    l.known_out = at;
    at += ALIGN(w->instance_capacity * sizeof(bool));
    l.acted = at;
    at += ALIGN(w->instance_capacity * sizeof(bool));
    l.taken = at;
    at += ALIGN(w->balancer_capacity * sizeof(bool));
    l.end = at;
    return l;
}

size_t survey_size(const struct spec *spec, const struct world *world)
{
    return layout_of(spec, world).end + 16;
}

static void carve(struct survey *s, char *memory, const struct layout *l)
{
    s->groups = (struct survey_group *)(void *)(memory + l->groups);
    s->zone_standing = (size_t *)(void *)(memory + l->zone_standing);
    s->first_target = (size_t *)(void *)(memory + l->first_target);
    s->next_target = (size_t *)(void *)(memory + l->next_target);
    s->serving = (bool *)(memory + l->serving);
    s->known_out = (bool *)(memory + l->known_out);
    s->acted = (bool *)(memory + l->acted);
    s->balancer_taken = (bool *)(memory + l->taken);
}

static void link_targets(struct survey *s)
{
    for (size_t i = 0; i < s->world->instance_count; i++) {
        s->first_target[i] = WORLD_NONE;
    }
    /* Backwards, so that each list is in the world's order. */
    for (size_t t = s->world->target_count; t-- > 0;) {
        size_t member = s->world->targets[t].member;
        s->next_target[t] = s->first_target[member];
        s->first_target[member] = t;
    }
}

static bool runs(const struct world_instance *it)
{
    return it->power == WORLD_POWER_RUNNING && it->configured;
}

int64_t survey_alone_ms(const struct world_instance *it)
{
    return it->power_ms > it->alive.since_ms ? it->power_ms : it->alive.since_ms;
}

bool survey_is_off(const struct world *world, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    if (!world_power_is_off(it->power) || it->power_doubtful || it->alive.health == WORLD_HEALTHY) {
        return false;
    }
    if (it->alive.health == WORLD_UNHEALTHY) {
        return true;
    }
    /* Nobody contradicts, and has not for a while: what serves runs. */
    return it->health.health != WORLD_HEALTHY &&
           world->now_ms - survey_alone_ms(it) >= SURVEY_SECOND_WITNESS_MS;
}

static bool told_lately(const struct survey *s, size_t balancer)
{
    int64_t seen_ms = s->world->balancers[balancer].seen_ms;
    return seen_ms != INT64_MIN && s->world->now_ms - seen_ms <= TOLD_LATELY_MS;
}

bool survey_balancer_gone(const struct survey *s, size_t balancer)
{
    const struct world_balancer *from = &s->world->balancers[balancer];
    const struct world_instance *it = &s->world->instances[from->instance];
    bool answered = told_lately(s, balancer) && from->seen_ms > it->power_ms;
    return !it->configured || (survey_is_off(s->world, from->instance) && !answered) ||
           it->lifecycle == LIFECYCLE_TERMINATED || it->lifecycle == LIFECYCLE_DETACHED;
}

bool survey_answers(const struct survey *s, size_t instance, int64_t since_ms)
{
    for (size_t b = 0; b < s->world->balancer_count; b++) {
        const struct world_balancer *from = &s->world->balancers[b];
        if (from->instance == instance && told_lately(s, b) && from->seen_ms > since_ms) {
            return true;
        }
    }
    return false;
}

bool survey_balancer_silent(const struct survey *s, size_t balancer)
{
    size_t instance = s->world->balancers[balancer].instance;
    return survey_balancer_gone(s, balancer) ||
           (s->world->instances[instance].alive.health == WORLD_UNHEALTHY &&
            !told_lately(s, balancer));
}

static bool is_serving(const struct survey *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (!runs(it)) {
        return false;
    }
    if (s->spec->groups[it->group].pool == SPEC_NONE) {
        return it->lifecycle == LIFECYCLE_IN_SERVICE && !world_verdict_is_bad(it->verdict);
    }
    size_t up = 0;
    for (size_t t = s->first_target[instance]; t != WORLD_NONE; t = s->next_target[t]) {
        if (survey_balancer_gone(s, s->world->targets[t].balancer)) {
            continue;
        }
        const struct world_target *target = &s->world->targets[t];
        /* One that nobody reaches cannot be told to let it in anew. */
        bool leaves = target->may_leave && !survey_balancer_silent(s, target->balancer);
        if (target->state != WORLD_TARGET_UP || leaves) {
            return false;
        }
        up++;
    }
    bool served = up > 0 || s->first_target[instance] == WORLD_NONE;
    return served && it->health.health == WORLD_HEALTHY;
}

/*
 * A balancer that sends it traffic outweighs all else: a record that says it was never configured
 * may be an old one, and a check-command that fails does not keep it from serving.
 */
static bool is_known_out(const struct survey *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool off = survey_is_off(s->world, instance);
    if (s->spec->groups[it->group].pool == SPEC_NONE) {
        return !it->configured || world_verdict_is_bad(it->verdict) || off;
    }
    off = off && it->health.health != WORLD_HEALTHY;
    size_t balancers = 0;
    for (size_t t = s->first_target[instance]; t != WORLD_NONE; t = s->next_target[t]) {
        enum world_target_state state = s->world->targets[t].state;
        if (survey_balancer_gone(s, s->world->targets[t].balancer)) {
            continue;
        }
        balancers++;
        /* What was told long ago is not known any more (S19). */
        bool unknown =
            state == WORLD_TARGET_UNKNOWN || !told_lately(s, s->world->targets[t].balancer);
        if (state == WORLD_TARGET_UP || (unknown && !off)) {
            return false;
        }
    }
    return balancers > 0 || off || !it->configured || it->health.health == WORLD_UNHEALTHY;
}

bool survey_has_traffic(const struct survey *s, size_t instance)
{
    for (size_t t = s->first_target[instance]; t != WORLD_NONE; t = s->next_target[t]) {
        if (s->world->targets[t].state == WORLD_TARGET_UP) {
            return true;
        }
    }
    return false;
}

bool survey_given_up(const struct survey *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    if (it->lifecycle == LIFECYCLE_QUARANTINED) {
        return true;
    }
    if (it->group == WORLD_NONE || s->spec->groups[it->group].repair != SPEC_REPAIR_REPLACE) {
        return false;
    }
    bool gone = it->verdict == WORLD_VERDICT_LOST || it->verdict == WORLD_VERDICT_DEAD;
    if (it->zone != WORLD_NONE && s->world->zones[it->zone].lost.on && gone) {
        return true;
    }
    if (it->verdict == WORLD_VERDICT_DEAD) {
        return !survey_restarts_dead(s, instance);
    }
    return it->verdict == WORLD_VERDICT_LOST &&
           s->world->now_ms - it->verdict_ms >= SURVEY_LOST_GIVEN_UP_MS;
}

bool survey_restarts_dead(const struct survey *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool by_us = it->rung == WORLD_RUNG_CYCLE && s->world->now_ms - it->rung_ms <= SWITCHED_MS;
    if (s->spec->groups[it->group].repair == SPEC_REPAIR_RESTART || by_us) {
        return true;
    }
    const struct world_zone *zone = it->zone == WORLD_NONE ? NULL : &s->world->zones[it->zone];
    bool many = s->world->groups[it->group].breaker.open.on ||
                (zone != NULL && (zone->breaker.open.on || zone->lost.on));
    return many && it->failures < SURVEY_RESTARTS_MAX;
}

/* S11: in service, and for long enough to be counted on. */
static bool is_baked(const struct survey *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    bool baked = it->lifecycle == LIFECYCLE_IN_SERVICE &&
                 s->world->now_ms - it->in_service_ms >= world_bake_ms(s->spec, s->world, instance);
    return GUARDED(GUARD_S11_COUNT, baked);
}

bool survey_is_counted(const struct survey *s, size_t instance)
{
    return s->serving[instance] && is_baked(s, instance);
}

bool survey_is_changing(const struct survey *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    switch (it->lifecycle) {
    case LIFECYCLE_DRAINING:
    case LIFECYCLE_TERMINATING:
    case LIFECYCLE_TERMINATING_WAIT: return true;
    case LIFECYCLE_PENDING:
    case LIFECYCLE_PENDING_WAIT: return it->in_service_ms != 0;
    case LIFECYCLE_IN_SERVICE:
        /* Or it was, in service, and that failed: what broke it must not break the next (S7). */
        return it->changing || (it->change_failed && it->drift != WORLD_DRIFT_NONE) ||
               it->capture == WORLD_CAPTURE_GRANTED;
    case LIFECYCLE_STANDBY:
    case LIFECYCLE_QUARANTINED:
    case LIFECYCLE_DETACHED:
    case LIFECYCLE_TERMINATED: return false;
    }
    return false;
}

bool survey_begins_anew(const struct survey *s, size_t instance)
{
    const struct world_instance *it = &s->world->instances[instance];
    return it->lifecycle == LIFECYCLE_IN_SERVICE && it->change_failed && !it->changing &&
           !s->known_out[instance] && survey_is_changing(s, instance);
}

static void count_failed(struct survey *s, size_t instance)
{
    struct survey_group *g = &s->groups[s->world->instances[instance].group];
    g->failed++;
    g->first_failed = g->first_failed == WORLD_NONE ? instance : g->first_failed;
    s->failed++;
    s->first_failed = s->first_failed == WORLD_NONE ? instance : s->first_failed;
}

static void count_member(struct survey *s, size_t i)
{
    const struct world_instance *it = &s->world->instances[i];
    struct survey_group *g = &s->groups[it->group];
    bool in_service =
        it->lifecycle == LIFECYCLE_IN_SERVICE && runs(it) && !world_verdict_is_bad(it->verdict);
    bool given_up = survey_given_up(s, i);
    g->members++;
    g->live += given_up ? 0 : 1;
    g->in_service += in_service ? 1 : 0;
    g->standby += it->lifecycle == LIFECYCLE_STANDBY ? 1 : 0;
    g->pending += it->lifecycle == LIFECYCLE_PENDING || it->lifecycle == LIFECYCLE_PENDING_WAIT;
    s->instances += in_service ? 1 : 0;
    s->serving[i] = is_serving(s, i);
    s->known_out[i] = is_known_out(s, i);
    g->serving += s->serving[i] ? 1 : 0;
    g->counted += survey_is_counted(s, i) ? 1 : 0;
    bool refreshing = world_refresh_is_active(s->world->groups[it->group].refresh.state);
    g->unwanted += !refreshing && world_is_outdated(s->world, i) ? 1 : 0;
    g->unbaked += s->serving[i] && !survey_is_counted(s, i) ? 1 : 0;
    g->unsettled +=
        it->lifecycle == LIFECYCLE_IN_SERVICE && !s->serving[i] && !s->known_out[i] ? 1 : 0;
    bool stays = !given_up && !world_is_to_go(s->world, i) && it->lifecycle != LIFECYCLE_STANDBY;
    if (stays) {
        g->standing++;
        g->ready += survey_is_counted(s, i) ? 1 : 0;
        if (it->zone != WORLD_NONE) {
            s->zone_standing[it->group * s->spec->zone_count + it->zone]++;
        }
    }
}

static void count_instance(struct survey *s, size_t i)
{
    const struct world_instance *it = &s->world->instances[i];
    s->serving[i] = false;
    s->known_out[i] = true;
    s->acted[i] = false;
    s->running += it->power == WORLD_POWER_RUNNING ? 1 : 0;
    if (it->alive.health == WORLD_HEALTHY && it->alive.since_ms < s->heard_ms) {
        s->heard_ms = it->alive.since_ms;
    }
    if (it->group == WORLD_NONE || it->lifecycle == LIFECYCLE_TERMINATED ||
        it->lifecycle == LIFECYCLE_DETACHED) {
        return;
    }
    struct survey_group *g = &s->groups[it->group];
    if (world_leaving(it->lifecycle)) {
        g->leaving++;
        s->serving[i] = is_serving(s, i);
        s->known_out[i] = is_known_out(s, i);
        g->serving += s->serving[i] ? 1 : 0; /* Still, but not to be counted on. */
    } else {
        count_member(s, i);
    }
    if (survey_is_changing(s, i)) {
        g->changing++;
        g->underway += it->busy || it->lifecycle == LIFECYCLE_PENDING ||
                               it->lifecycle == LIFECYCLE_PENDING_WAIT ||
                               it->capture == WORLD_CAPTURE_GRANTED
                           ? 1
                           : 0;
        g->change = g->change == WORLD_NONE ? i : g->change;
        s->disrupted++;
    }
    if (survey_begins_anew(s, i)) {
        count_failed(s, i);
    }
}

void survey_make(struct survey *s, const struct spec *spec, const struct world *world, void *memory,
                 size_t size)
{
    const struct layout l = layout_of(spec, world);
    assert(memory != NULL && size >= l.end);
    *s = (struct survey){
        .spec = spec, .world = world, .heard_ms = INT64_MAX, .first_failed = WORLD_NONE};
    carve(s, memory, &l);
    memset(memory, 0, l.first_target);
    for (size_t g = 0; g < spec->group_count; g++) {
        s->groups[g].change = WORLD_NONE;
        s->groups[g].first_failed = WORLD_NONE;
    }
    memset(s->balancer_taken, 0, world->balancer_count * sizeof(bool));
    link_targets(s);
    for (size_t i = 0; i < world->instance_count; i++) {
        count_instance(s, i);
    }
}
