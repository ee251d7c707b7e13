/* A group's size: what is added, what leaves, and when zones are made even again. */
#include "core/guard.h"
#include "core/ladder.h"
#include "core/placement.h"
#include "core/step.h"
#include "spec/spec.h"

/* NTH: so many were added in this step already. */
static void add(struct step *s, size_t group, size_t zone, size_t nth, uint64_t content,
                struct reason reason)
{
    step_act(s, (struct action){.kind = ACTION_ADD,
                                .instance = WORLD_NONE,
                                .group = group,
                                .zone = zone,
                                .number = s->world->groups[group].next_number + (unsigned)nth,
                                .content = content,
                                .balancer = WORLD_NONE,
                                .reason = reason});
}

bool group_launches_held(struct step *s, size_t group)
{
    const struct world_group *g = &s->world->groups[group];
    if (step_suspended(s, group, WORLD_PROCESS_LAUNCH)) {
        step_hold_group(s, HOLD_WAIT, group,
                        (struct reason){.code = REASON_SUSPENDED, .name = "launch"});
        return true;
    }
    if (g->failed_launches >= LADDER_LAUNCHES_MAX && !GUARDED(GUARD_S9_LAUNCHES, false)) {
        step_hold_group(s, HOLD_STUCK, group,
                        (struct reason){.code = REASON_LAUNCHES_FAIL,
                                        .name = s->spec->groups[group].name,
                                        .a = g->failed_launches});
        return true;
    }
    return false;
}

bool group_can_grow(const struct step *s, size_t group)
{
    size_t placed[WORLD_ZONES_MAX] = {0};
    return s->survey->groups[group].live < world_most(s->spec, s->world, group) &&
           !step_suspended(s, group, WORLD_PROCESS_LAUNCH) &&
           s->world->groups[group].failed_launches < LADDER_LAUNCHES_MAX &&
           placement_zone(s->survey, group, placed) != WORLD_NONE;
}

static void grow(struct step *s, size_t group, size_t missing)
{
    const struct spec_group *g = &s->spec->groups[group];
    size_t desired = s->world->groups[group].desired;
    size_t most = world_most(s->spec, s->world, group);
    size_t live = s->survey->groups[group].live;
    size_t placed[WORLD_ZONES_MAX] = {0};
    if (group_launches_held(s, group)) {
        return;
    }
    uint64_t first = refresh_next_content(s, group, true);
    uint64_t others = refresh_next_content(s, group, false);
    for (size_t i = 0; i < missing; i++) {
        if (live + i >= most && !GUARDED(GUARD_S2_MOST, false)) {
            step_hold_group(s, HOLD_WAIT, group,
                            (struct reason){.code = REASON_AT_MOST,
                                            .name = g->name,
                                            .a = (int64_t)live,
                                            .b = (int64_t)most});
            return;
        }
        size_t zone = placement_zone(s->survey, group, placed);
        if (zone == WORLD_NONE) {
            step_hold_group(s, HOLD_STUCK, group,
                            (struct reason){.code = REASON_NO_ROOM,
                                            .name = g->name,
                                            .a = (int64_t)(missing - i)});
            return;
        }
        add(s, group, zone, i, i == 0 ? first : others,
            (struct reason){.code = REASON_GROUP_SHORT,
                            .name = g->name,
                            .a = (int64_t)(desired - missing),
                            .b = (int64_t)desired});
        placed[zone]++;
    }
}

/* One leaves a step, and the next only when the group has settled (S7). */
static void shrink(struct step *s, size_t group, size_t have)
{
    const struct survey_group *g = &s->survey->groups[group];
    size_t desired = s->world->groups[group].desired;
    if (step_suspended(s, group, WORLD_PROCESS_TERMINATE)) {
        step_hold_group(s, HOLD_WAIT, group,
                        (struct reason){.code = REASON_SUSPENDED, .name = "terminate"});
        return;
    }
    size_t victim = placement_victim(s->survey, group);
    if (victim == WORLD_NONE) {
        step_hold_group(
            s, HOLD_STUCK, group,
            (struct reason){.code = REASON_PROTECTED, .name = s->spec->groups[group].name});
        return;
    }
    if (s->world->instances[victim].busy) {
        step_hold_group(
            s, HOLD_WAIT, group,
            (struct reason){.code = REASON_BUSY, .name = s->world->instances[victim].id});
        return;
    }
    /* S2: those that stay serve first, or are in standby and have their place. */
    bool serves = s->survey->serving[victim] || !s->survey->known_out[victim];
    size_t stay = g->ready + g->standby - (survey_is_counted(s->survey, victim) ? 1 : 0);
    if (serves && stay < desired && !GUARDED(GUARD_S2_NEW_FIRST, false)) {
        budget_wake_when_baked(s, group);
        step_hold_group(s, HOLD_WAIT, group,
                        (struct reason){.code = REASON_WAITS_FOR_NEW,
                                        .name = s->spec->groups[group].name,
                                        .a = (int64_t)stay,
                                        .b = (int64_t)desired});
        return;
    }
    if (budget_allows(s, victim)) {
        step_mark(s, victim, LIFECYCLE_TERMINATING,
                  (struct reason){.code = REASON_GROUP_LONG,
                                  .name = s->spec->groups[group].name,
                                  .a = (int64_t)have,
                                  .b = (int64_t)desired});
    }
}

bool group_is_at_rest(struct step *s, size_t group)
{
    const struct survey_group *g = &s->survey->groups[group];
    const struct world_group *w = &s->world->groups[group];
    int64_t cooldown_ms = s->spec->groups[group].cooldown_ms;
    if (world_refresh_is_active(w->refresh.state)) {
        return false;
    }
    if (g->changing > 0 || g->pending > 0 || g->leaving > 0 || g->ready < w->desired) {
        return false;
    }
    if (w->size_changed_ms != INT64_MIN && s->world->now_ms - w->size_changed_ms < cooldown_ms) {
        step_look_at(s, w->size_changed_ms + cooldown_ms);
        return false;
    }
    return true;
}

/*
 * Launch where there are fewest; the group then has one too many, and one leaves where there are
 * most. Nobody needs it: after a launch that failed it waits until one has worked (S9), or a zone
 * whose hosts fail their checks would get one after the other.
 */
static void balance(struct step *s, size_t group)
{
    const struct survey_group *g = &s->survey->groups[group];
    size_t placed[WORLD_ZONES_MAX] = {0};
    if (step_suspended(s, group, WORLD_PROCESS_REBALANCE) ||
        step_suspended(s, group, WORLD_PROCESS_LAUNCH) ||
        (s->world->groups[group].failed_launches > 0 && !GUARDED(GUARD_S9_LAUNCHES, false)) ||
        g->live >= world_most(s->spec, s->world, group)) {
        return;
    }
    size_t least = placement_zone(s->survey, group, placed);
    size_t most = placement_fullest(s->survey, group);
    if (least == WORLD_NONE || most == WORLD_NONE) {
        return;
    }
    const size_t *standing = &s->survey->zone_standing[group * s->spec->zone_count];
    if (standing[most] < standing[least] + 2 || !group_is_at_rest(s, group)) {
        return;
    }
    add(s, group, least, 0, refresh_next_content(s, group, true),
        (struct reason){.code = REASON_UNBALANCED,
                        .name = s->spec->zones[most].name,
                        .a = (int64_t)standing[most],
                        .b = (int64_t)standing[least]});
}

void group_step(struct step *s, size_t group)
{
    const struct survey_group *g = &s->survey->groups[group];
    size_t desired = s->world->groups[group].desired;
    size_t have = g->standing + g->standby;
    if (budget_group_stands_still(s, group)) {
        return;
    }
    refresh_step(s, group);
    if (have < desired) {
        grow(s, group, desired - have);
    } else if (have > desired && g->standing > 0) {
        shrink(s, group, have);
    } else {
        balance(s, group);
    }
}
