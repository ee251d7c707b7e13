#include "core/why.h"

#include "core/ladder.h"
#include "core/refresh.h"
#include "spec/spec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static __attribute__((format(printf, 2, 3))) void say(struct why *why, const char *format, ...)
{
    if (why->count == WHY_LINES_MAX) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(why->lines[why->count++], WHY_LINE_SIZE, format, args);
    va_end(args);
}

static void say_reason(struct why *why, const char *lead, const struct reason *reason)
{
    char text[WHY_LINE_SIZE];
    reason_to_string(reason, text, sizeof(text));
    say(why, "%s%.200s.", lead, text);
    say(why, "What would change it: %s", reason_remedy(reason->code));
}

static int64_t seconds_since(const struct world *world, int64_t since_ms)
{
    return (world->now_ms - since_ms) / 1000;
}

static const char *health_word(enum world_health health)
{
    return health == WORLD_HEALTHY     ? "passes"
           : health == WORLD_UNHEALTHY ? "fails"
                                       : "has not answered";
}

static const char *power_word(enum world_power power)
{
    switch (power) {
    case WORLD_POWER_UNKNOWN: return "not known to run";
    case WORLD_POWER_ABSENT: return "not there";
    case WORLD_POWER_OFF: return "off";
    case WORLD_POWER_RUNNING: return "running";
    }
    return "?";
}

/* "passes (for 12 s)"; a witness that was never asked has no time. */
static void put_witness(char *text, size_t size, const struct world *world,
                        const struct world_witness *witness)
{
    if (witness->since_ms == 0 || witness->health == WORLD_HEALTH_UNKNOWN) {
        snprintf(text, size, "%s", health_word(witness->health));
    } else {
        snprintf(text, size, "%s (for %" PRId64 " s)", health_word(witness->health),
                 seconds_since(world, witness->since_ms));
    }
}

static void say_witnesses(struct why *why, const struct spec *spec, const struct world *world,
                          const struct decision *decision, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    const struct survey *s = &decision->survey;
    unsigned up = 0;
    unsigned all = 0;
    for (size_t t = s->first_target[instance]; t != WORLD_NONE; t = s->next_target[t]) {
        up += world->targets[t].state == WORLD_TARGET_UP ? 1 : 0;
        all++;
    }
    char alive[60];
    char health[60];
    put_witness(alive, sizeof(alive), world, &it->alive);
    put_witness(health, sizeof(health), world, &it->health);
    if (it->group != WORLD_NONE && spec->groups[it->group].pool != SPEC_NONE) {
        say(why,
            "Witnesses: it is %s; its SSH port %s; its pool's check %s; %u of %u balancers have it "
            "up.",
            power_word(it->power), alive, health, up, all);
    } else {
        say(why, "Witnesses: it is %s; its SSH port %s.", power_word(it->power), alive);
    }
}

static void say_state(struct why *why, const struct world *world, const struct decision *decision,
                      size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    char judged[80] = "not judged now";
    if (it->verdict != WORLD_VERDICT_NONE) {
        snprintf(judged, sizeof(judged), "judged %s for %" PRId64 " s",
                 world_verdict_to_string(it->verdict), seconds_since(world, it->verdict_ms));
    }
    say(why, "%s is %s%s%s%s; %s.", it->id, lifecycle_to_string(it->lifecycle),
        decision->survey.serving[instance] ? " and serving" : "", it->protect ? ", protected" : "",
        it->paused ? ", paused" : "", judged);
    if (it->wish != WORLD_WISH_NONE) {
        say(why, "Asked for: %s.", world_wish_to_string(it->wish));
    }
    if (ladder_position(it) != WORLD_RUNG_NONE) {
        say(why, "The last rung of its repair was %s, %" PRId64 " s ago.",
            world_rung_to_string(it->rung), seconds_since(world, it->rung_ms));
    }
}

/* What is done or held for it in this decision; false when nothing is. */
static bool say_decision(struct why *why, const struct decision *decision, size_t instance)
{
    for (size_t i = 0; i < decision->hold_count; i++) {
        if (decision->holds[i].instance == instance) {
            say_reason(why, "Held: ", &decision->holds[i].reason);
            return true;
        }
    }
    for (size_t i = 0; i < decision->action_count; i++) {
        const struct action *action = &decision->actions[i];
        if (action->instance == instance) {
            char text[WHY_LINE_SIZE];
            reason_to_string(&action->reason, text, sizeof(text));
            say(why, "Next: %s, because %.200s.", action_kind_to_string(action->kind), text);
            return true;
        }
    }
    return false;
}

/* Nothing is said of it in the decision: its state says why. */
static struct reason resting_reason(const struct spec *spec, const struct world *world,
                                    size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    if (it->busy) {
        return (struct reason){.code = REASON_BUSY, .name = it->id};
    }
    if (it->lifecycle == LIFECYCLE_DETACHED) {
        return (struct reason){.code = REASON_DETACHED};
    }
    if (it->lifecycle == LIFECYCLE_STANDBY) {
        return (struct reason){.code = REASON_STANDBY};
    }
    if (it->power == WORLD_POWER_UNKNOWN) {
        return (struct reason){.code = REASON_WAITS_FOR_PROVIDER};
    }
    if (it->verdict == WORLD_VERDICT_NONE && it->group != WORLD_NONE) {
        int64_t left_ms = it->ready_ms + ladder_grace_ms(spec, it) - world->now_ms;
        if (left_ms > 0) {
            return (struct reason){.code = REASON_GRACE, .a = left_ms};
        }
    }
    if (it->verdict == WORLD_VERDICT_UNKNOWN) {
        return (struct reason){.code = REASON_UNKNOWN};
    }
    return (struct reason){.code = REASON_NONE};
}

void why_instance(const struct spec *spec, const struct world *world,
                  const struct decision *decision, size_t instance, struct why *ret_why)
{
    ret_why->count = 0;
    if (world->instances[instance].lifecycle == LIFECYCLE_TERMINATED) {
        say(ret_why, "%s is terminated: it is gone.", world->instances[instance].id);
        return;
    }
    say_state(ret_why, world, decision, instance);
    if (!say_decision(ret_why, decision, instance)) {
        struct reason reason = resting_reason(spec, world, instance);
        if (reason.code == REASON_NONE) {
            say(ret_why, "Nothing is to be done: it is as its group wants it.");
        } else {
            say_reason(ret_why, "", &reason);
        }
    }
    say_witnesses(ret_why, spec, world, decision, instance);
}

static void say_latch(struct why *why, const struct world *world, const struct world_latch *l,
                      const char *what)
{
    if (l->on) {
        say(why, "%s, for %" PRId64 " s.", what, seconds_since(world, l->since_ms));
    }
}

static void say_refresh(struct why *why, const struct world *world, const struct decision *decision,
                        size_t group)
{
    const struct world_refresh *r = &world->groups[group].refresh;
    if (r->state == WORLD_REFRESH_NONE) {
        return;
    }
    if (!world_refresh_is_active(r->state)) {
        say(why, "Its last refresh: %s, %" PRId64 " s ago.", world_refresh_to_string(r->state),
            seconds_since(world, r->since_ms));
        return;
    }
    const struct refresh_count c = refresh_count(&decision->survey, group);
    say(why, "Its refresh is %s: %zu of %zu replaced, %zu under way, %zu left as they are.",
        world_refresh_to_string(r->state), c.replaced, c.all, c.moving, c.ignored);
}

void why_group(const struct spec *spec, const struct world *world, const struct decision *decision,
               size_t group, struct why *ret_why)
{
    const struct survey_group *g = &decision->survey.groups[group];
    const struct world_group *w = &world->groups[group];
    ret_why->count = 0;
    say(ret_why,
        "Group %s wants %u; %zu stand, %zu serve, %zu are counted on, the healthy minimum is %zu.",
        spec->groups[group].name, w->desired, g->standing, g->serving, g->counted,
        world_healthy_minimum(spec, world, group));
    if (w->desired != spec->groups[group].desired) {
        say(ret_why, "The file says %u; %u was set by hand since.", spec->groups[group].desired,
            w->desired);
    }
    say_refresh(ret_why, world, decision, group);
    say_latch(ret_why, world, &w->breaker.open, "Its breaker is open (S4)");
    if (g->change != WORLD_NONE) {
        say(ret_why, "%s is being changed, repaired or removed; no other one meanwhile (S7).",
            world->instances[g->change].id);
    }
    bool said = false;
    for (size_t i = 0; i < decision->hold_count && !said; i++) {
        const struct hold *hold = &decision->holds[i];
        if (hold->instance == WORLD_NONE && hold->group == group) {
            say_reason(ret_why, "Held: ", &hold->reason);
            said = true;
        }
    }
    for (size_t i = 0; i < decision->action_count && !said; i++) {
        const struct action *action = &decision->actions[i];
        if (action->instance == WORLD_NONE && action->group == group) {
            char text[WHY_LINE_SIZE];
            reason_to_string(&action->reason, text, sizeof(text));
            say(ret_why, "Next: %s, because %.200s.", action_kind_to_string(action->kind), text);
            said = true;
        }
    }
    if (!said) {
        say(ret_why, "Its size is as wanted.");
    }
}

void why_cluster(const struct spec *spec, const struct world *world,
                 const struct decision *decision, struct why *ret_why)
{
    (void)decision;
    ret_why->count = 0;
    say(ret_why, "Cluster %s%s: %u of %u hosts do not answer.", spec->cluster,
        world->paused ? " is paused (S22)" : "", world->gone, world->seen);
    if (world->frozen.on) {
        say_reason(ret_why, "Held: ",
                   &(struct reason){.code = REASON_FROZEN, .a = world->gone, .b = world->seen});
    }
    for (size_t z = 0; z < spec->zone_count && ret_why->count < WHY_LINES_MAX; z++) {
        char what[120];
        snprintf(what, sizeof(what), "Zone %.63s is lost as a whole (S6)", spec->zones[z].name);
        say_latch(ret_why, world, &world->zones[z].lost, what);
        snprintf(what, sizeof(what), "The breaker of zone %.63s is open (S4)", spec->zones[z].name);
        say_latch(ret_why, world, &world->zones[z].breaker.open, what);
    }
}
