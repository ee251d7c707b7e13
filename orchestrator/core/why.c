#include "core/why.h"

#include "core/ladder.h"
#include "core/placement.h"
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

static const char *power_word(const struct world_instance *it)
{
    if (it->power_doubtful) {
        return "not known to run since it was told to start";
    }
    switch (it->power) {
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
            power_word(it), alive, health, up, all);
    } else {
        say(why, "Witnesses: it is %s; its SSH port %s.", power_word(it), alive);
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

static const struct hold *hold_of(const struct decision *decision, size_t instance)
{
    for (size_t i = 0; i < decision->hold_count; i++) {
        if (decision->holds[i].instance == instance) {
            return &decision->holds[i];
        }
    }
    return NULL;
}

static const struct action *action_of(const struct decision *decision, size_t instance)
{
    for (size_t i = 0; i < decision->action_count; i++) {
        if (decision->actions[i].instance == instance) {
            return &decision->actions[i];
        }
    }
    return NULL;
}

/* The hook that it waits for, and that has begun. */
static struct reason busy_reason(const struct spec *spec, const struct world *world,
                                 const struct world_instance *it)
{
    const struct spec_hook *hook = world_hook(spec, it->group, it->lifecycle);
    if (hook != NULL && it->hook_ms != 0) {
        return (struct reason){.code = REASON_WAITS_FOR_HOOK,
                               .name = hook->name,
                               .a = world->now_ms - it->hook_ms,
                               .b = hook->limit_ms};
    }
    return (struct reason){.code = REASON_BUSY, .name = it->id};
}

/* What is done by itself, and only when the group is at rest, waits for that. */
static struct reason unrest_of(const struct spec *spec, const struct world *world,
                               const struct survey *s, size_t group)
{
    const struct survey_group *g = &s->groups[group];
    const struct world_group *w = &world->groups[group];
    int64_t changed_ms = w->size_changed_ms;
    int64_t left_ms =
        changed_ms == INT64_MIN ? 0 : changed_ms + spec->groups[group].cooldown_ms - world->now_ms;
    if (g->changing > 0 && g->change != WORLD_NONE) {
        return (struct reason){.code = REASON_WAITS_FOR_OTHER,
                               .name = world->instances[g->change].id};
    }
    if (g->pending > 0 || g->leaving > 0 || g->ready < w->desired) {
        return (struct reason){.code = REASON_WAITS_FOR_NEW,
                               .name = spec->groups[group].name,
                               .a = (int64_t)g->ready,
                               .b = w->desired};
    }
    if (left_ms > 0) {
        return (struct reason){.code = REASON_WAITS_FOR_COOLDOWN,
                               .name = spec->groups[group].name,
                               .a = world->now_ms - changed_ms,
                               .b = left_ms};
    }
    return (struct reason){.code = REASON_NONE};
}

static bool is_too_old(const struct spec *spec, const struct world *world,
                       const struct world_instance *it)
{
    int64_t lifetime_ms = spec->groups[it->group].max_lifetime_ms;
    return lifetime_ms != 0 && it->lifecycle == LIFECYCLE_IN_SERVICE && !it->protect &&
           it->wish == WORLD_WISH_NONE && world->now_ms - it->made_ms >= lifetime_ms;
}

/* The frontend that keeps it from serving; NULL: none does. */
static const char *frontend_of(const struct spec *spec, const struct world *world,
                               const struct survey *s, size_t instance)
{
    for (size_t t = s->first_target[instance]; t != WORLD_NONE; t = s->next_target[t]) {
        size_t balancer = world->targets[t].balancer;
        if (world->targets[t].state != WORLD_TARGET_UP && !survey_balancer_gone(s, balancer)) {
            return spec->frontends[world->balancers[balancer].frontend].name;
        }
    }
    return NULL;
}

/* As many workers as may be have been given something to do. */
static bool workers_are_busy(const struct world *world, const struct decision *decision)
{
    size_t given = 0;
    for (size_t i = 0; i < decision->action_count; i++) {
        given += action_kind_is_record(decision->actions[i].kind) ? 0 : 1;
    }
    return given >= world->slots;
}

/* Why a member that is not as its group wants it is left as it is. */
static struct reason idle_reason(const struct spec *spec, const struct world *world,
                                 const struct decision *decision, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    const struct survey *s = &decision->survey;
    if ((world->groups[it->group].suspended & WORLD_PROCESS_HEALTH_CHECK) != 0) {
        return (struct reason){.code = REASON_SUSPENDED, .name = "health-check"};
    }
    if (it->verdict == WORLD_VERDICT_UNKNOWN) {
        return (struct reason){.code = REASON_UNKNOWN};
    }
    if (it->verdict == WORLD_VERDICT_DISPUTED) {
        return (struct reason){.code = REASON_DISPUTED, .a = 3};
    }
    const char *frontend = frontend_of(spec, world, s, instance);
    if (!s->serving[instance] && frontend != NULL) {
        return (struct reason){.code = REASON_WAITS_FOR_FRONTEND, .name = frontend};
    }
    return is_too_old(spec, world, it) ? unrest_of(spec, world, s, it->group)
                                       : (struct reason){.code = REASON_NONE};
}

/* Nothing is said of it in the decision: its state says why. */
static struct reason resting_reason(const struct spec *spec, const struct world *world,
                                    const struct decision *decision, size_t instance)
{
    const struct world_instance *it = &world->instances[instance];
    if (it->busy) {
        return busy_reason(spec, world, it);
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
    bool settled = it->lifecycle == LIFECYCLE_IN_SERVICE && it->drift == WORLD_DRIFT_NONE &&
                   !world_verdict_is_bad(it->verdict);
    if (!settled && workers_are_busy(world, decision)) {
        return (struct reason){.code = REASON_WAITS_FOR_WORKER};
    }
    return it->group == WORLD_NONE ? (struct reason){.code = REASON_ORPHAN}
                                   : idle_reason(spec, world, decision, instance);
}

struct reason why_reason(const struct spec *spec, const struct world *world,
                         const struct decision *decision, size_t instance)
{
    const struct hold *hold = hold_of(decision, instance);
    const struct action *action = action_of(decision, instance);
    return hold != NULL     ? hold->reason
           : action != NULL ? action->reason
                            : resting_reason(spec, world, decision, instance);
}

static void say_decision(struct why *why, const struct spec *spec, const struct world *world,
                         const struct decision *decision, size_t instance)
{
    const struct hold *hold = hold_of(decision, instance);
    const struct action *action = action_of(decision, instance);
    const struct reason reason = why_reason(spec, world, decision, instance);
    if (hold == NULL && action != NULL) {
        char text[WHY_LINE_SIZE];
        reason_to_string(&reason, text, sizeof(text));
        say(why, "Next: %s, because %.200s.", action_kind_to_string(action->kind), text);
    } else if (reason.code == REASON_NONE && hold == NULL) {
        say(why, "Nothing is to be done: it is as its group wants it.");
    } else {
        say_reason(why, hold != NULL ? "Held: " : "", &reason);
    }
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
    say_decision(ret_why, spec, world, decision, instance);
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

/* One is to leave: what keeps it. */
static void say_victim(struct why *why, const struct world *world, const struct decision *decision,
                       size_t group)
{
    size_t victim = placement_victim(&decision->survey, group);
    const struct hold *hold = victim == WORLD_NONE ? NULL : hold_of(decision, victim);
    for (size_t i = 0; i < decision->action_count; i++) {
        const struct action *action = &decision->actions[i];
        if (action->group == group && action->reason.code == REASON_GROUP_LONG) {
            say(why, "Next: %s leaves.", world->instances[action->instance].id);
            return;
        }
    }
    if (hold != NULL) {
        char lead[WORLD_ID_SIZE + 40];
        snprintf(lead, sizeof(lead), "%s is to leave, and held: ", world->instances[victim].id);
        say_reason(why, lead, &hold->reason);
    } else {
        say(why, "One more than wanted stands; it leaves when what is under way has ended.");
    }
}

/* Its size is as wanted; its zones may not be. */
static void say_balance(struct why *why, const struct spec *spec, const struct world *world,
                        const struct decision *decision, size_t group)
{
    const struct survey *s = &decision->survey;
    const size_t *standing = &s->zone_standing[group * spec->zone_count];
    const size_t placed[WORLD_ZONES_MAX] = {0};
    size_t least = placement_zone(s, group, placed);
    size_t most = placement_fullest(s, group);
    struct reason reason = unrest_of(spec, world, s, group);
    bool even = least == WORLD_NONE || most == WORLD_NONE || standing[most] < standing[least] + 2;
    if ((world->groups[group].suspended & WORLD_PROCESS_REBALANCE) != 0) {
        reason = (struct reason){.code = REASON_SUSPENDED, .name = "rebalance"};
    } else if (world->groups[group].failed_launches > 0) {
        reason = (struct reason){.code = REASON_LAUNCHES_FAIL,
                                 .name = spec->groups[group].name,
                                 .a = world->groups[group].failed_launches};
    }
    if (even || reason.code == REASON_NONE) {
        say(why, "Its size is as wanted.");
        return;
    }
    say(why, "Its size is as wanted; zone %.63s has %zu of it, zone %.63s has %zu.",
        spec->zones[most].name, standing[most], spec->zones[least].name, standing[least]);
    say_reason(why, "Held: ", &reason);
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
    if (!said && g->standby > w->desired && g->standing == 0) {
        say(ret_why, "%zu of its members are in standby, more than it wants; they are left so.",
            g->standby);
    } else if (!said && g->standing + g->standby > w->desired) {
        say_victim(ret_why, world, decision, group);
    } else if (!said) {
        say_balance(ret_why, spec, world, decision, group);
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
