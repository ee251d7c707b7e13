#include "rehearse/driver.h"

#include "base/mem.h"
#include "base/str.h"
#include "core/judge.h"
#include "rehearse/witness.h"

#include <string.h>

#define SILENT_MS 90000 /* A provider that has not answered for so long: what it said is over. */
#define ROUNDS    64    /* Of decisions that change records only. */

void driver_init(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    c->world = (struct world){
        .groups = xcalloc(e->spec.group_count + 1, sizeof(*c->world.groups)),
        .zones = xcalloc(e->spec.zone_count + 1, sizeof(*c->world.zones)),
        .room = xcalloc(e->spec.group_count * e->spec.zone_count + 1, sizeof(*c->world.room)),
        .tireless = true};
    roster_reserve(e, 32);
    world_groups_init(&e->spec, &c->world);
}

void driver_deinit(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    free(c->world.instances);
    free(c->world.balancers);
    free(c->world.targets);
    free(c->world.groups);
    free(c->world.zones);
    free(c->world.room);
    free(c->members);
    free(c->machines);
    free(c->decision.actions);
    free(c->decision.holds);
    free(c->decision.memory);
    *c = (struct engine_controller){.running = false};
}

static bool is_switched(const struct engine *e, size_t i)
{
    return e->controller.members[i].machine[0] == '\0' || e->pace.bmc;
}

void driver_start(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    c->running = true;
    c->epoch++;
    c->dirty = true;
    c->started_ms = e->now_ms;
    c->world.now_ms = e->now_ms;
    c->world.frozen = (struct world_latch){.on = false};
    c->world.gone = c->world.seen = 0;
    memset(c->gone, 0, sizeof(c->gone));
    ledger_load(e);
    for (size_t i = 0; i < c->world.instance_count; i++) {
        struct world_instance *it = &c->world.instances[i];
        it->power_witnessed = is_switched(e, i);
        it->power = it->power_witnessed ? WORLD_POWER_UNKNOWN : WORLD_POWER_RUNNING;
        it->power_ms = e->now_ms;
        it->rebuilds = roster_rebuilds(e, c->members[i].machine);
    }
    world_complete(&e->spec, &c->world);
    e->wake_ms = -1;
    engine_post(e, e->now_ms + ROSTER_LISTEN_MS, ENGINE_AT_LISTENED, 0);
    witness_forget_all(e);
    engine_say(e, "the controller starts (epoch %u), %zu instances in its records", c->epoch,
               c->world.instance_count);
    if (e->watch.on_start != NULL) {
        e->watch.on_start(e->watch.context, e);
    }
}

/* What witnesses say. */

static void hear(struct engine *e, struct world_witness *witness, enum world_health health)
{
    witness->health = health;
    witness->since_ms = e->now_ms;
    e->controller.dirty = true;
}

void driver_hear_ready(struct engine *e, const char *id, enum world_health health)
{
    size_t i = e->controller.running ? engine_find(e, id) : WORLD_NONE;
    if (i == WORLD_NONE) {
        return;
    }
    struct world_instance *it = &e->controller.world.instances[i];
    if (it->health.health != WORLD_HEALTH_UNKNOWN && it->health.health != health) {
        size_t pool = it->group == WORLD_NONE ? SPEC_NONE : e->spec.groups[it->group].pool;
        damping_on_transition(&it->damping, e->now_ms,
                              pool == SPEC_NONE ? 2000 : e->spec.pools[pool].check.interval_ms);
    }
    engine_say(e, "%s: the prober says %s", id, health == WORLD_HEALTHY ? "healthy" : "unhealthy");
    hear(e, &it->health, health);
}

void driver_hear_alive(struct engine *e, const char *id, enum world_health health)
{
    size_t i = e->controller.running ? engine_find(e, id) : WORLD_NONE;
    if (i != WORLD_NONE) {
        struct world_instance *it = &e->controller.world.instances[i];
        bool back = it->alive.health == WORLD_UNHEALTHY && health == WORLD_HEALTHY;
        /* It may have been somewhere else meanwhile, and back as it was before. */
        it->drift = back && !it->busy ? WORLD_DRIFT_UNKNOWN : it->drift;
        engine_say(e, "%s: SSH %s", id, health == WORLD_HEALTHY ? "answers" : "does not answer");
        hear(e, &e->controller.world.instances[i].alive, health);
    }
}

void driver_lose_prober(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    witness_forget_probes(e);
    for (size_t i = 0; c->running && i < c->world.instance_count; i++) {
        c->members[i].watched_ready = c->members[i].watched_alive = false;
        hear(e, &c->world.instances[i].health, WORLD_HEALTH_UNKNOWN);
        hear(e, &c->world.instances[i].alive, WORLD_HEALTH_UNKNOWN);
    }
}

static void set_power(struct engine *e, size_t i, enum world_power power)
{
    const struct world_instance *it = &e->controller.world.instances[i];
    bool told_anew = it->power != power;
    e->controller.dirty = e->controller.dirty || told_anew || it->power_doubtful;
    world_set_power(&e->controller.world, i, power);
    if (told_anew) {
        engine_say(e, "%s: its provider says %s", it->id,
                   power == WORLD_POWER_RUNNING  ? "it runs"
                   : power == WORLD_POWER_OFF    ? "it is off"
                   : power == WORLD_POWER_ABSENT ? "there is none"
                                                 : "nothing");
    }
}

static bool gone_since(const struct engine *e, const char *id, int64_t since_ms)
{
    const struct engine_controller *c = &e->controller;
    for (size_t i = 0; i < sizeof(c->gone) / sizeof(c->gone[0]); i++) {
        if (text_equal(c->gone[i].id, id) && c->gone[i].at_ms >= since_ms) {
            return true;
        }
    }
    return false;
}

static unsigned number_of(const char *id)
{
    const char *dash = strrchr(id, '-');
    int64_t number = 0;
    return dash != NULL && text_to_int(dash + 1, 0, 1000000000, &number) ? (unsigned)number : 0;
}

/* S21: a host with our mark that the records do not know is taken in, and left alone. */
static void take_in(struct engine *e, const struct truth_host *h)
{
    struct engine_controller *c = &e->controller;
    roster_reserve(e, c->world.instance_count + 1 > c->world.instance_capacity
                          ? c->world.instance_capacity * 2
                          : c->world.instance_capacity);
    size_t i = c->world.instance_count++;
    c->members[i] = (struct engine_member){.touched_ms = e->now_ms};
    c->world.instances[i] = (struct world_instance){.group = h->group,
                                                    .zone = h->zone,
                                                    .number = number_of(h->id),
                                                    .lifecycle = LIFECYCLE_DETACHED,
                                                    .power = h->listed,
                                                    .power_ms = e->now_ms,
                                                    .power_witnessed = true,
                                                    .content = h->content,
                                                    .made_ms = e->now_ms};
    text_copy(c->world.instances[i].id, WORLD_ID_SIZE, h->id);
    if (h->group != WORLD_NONE) {
        unsigned *next = &c->world.groups[h->group].next_number;
        *next = *next > c->world.instances[i].number ? *next : c->world.instances[i].number + 1;
    }
    e->counts[ENGINE_FOUND]++;
    c->dirty = true;
    engine_say(e, "%s runs with our mark and is in no record: left alone (S21)", h->id);
    driver_commit(e);
}

static void hear_listed(struct engine *e, size_t i, int64_t sampled_ms)
{
    struct engine_controller *c = &e->controller;
    const struct world_instance *it = &c->world.instances[i];
    size_t host = engine_host(e, i);
    enum world_power power = host == WORLD_NONE ? WORLD_POWER_ABSENT : e->truth.hosts[host].listed;
    if (!it->busy && c->members[i].touched_ms <= sampled_ms) {
        set_power(e, i, power);
    } else if (it->power != power || it->power_doubtful) {
        e->truth.zones[it->zone].list_due = true; /* The next one tells again. */
    }
}

/* Where nothing is, the prober finds nobody. */
static void hear_nobody(struct engine *e, const struct world_instance *it)
{
    if (it->alive.health == WORLD_HEALTHY) {
        driver_hear_alive(e, it->id, WORLD_UNHEALTHY);
    }
    if (it->health.health == WORLD_HEALTHY) {
        driver_hear_ready(e, it->id, WORLD_UNHEALTHY);
    }
}

void driver_hear_list(struct engine *e, size_t zone)
{
    struct engine_controller *c = &e->controller;
    int64_t sampled_ms = e->truth.zones[zone].list_sampled_ms;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        const struct world_instance *it = &c->world.instances[i];
        if (it->zone == zone && it->lifecycle != LIFECYCLE_TERMINATED && is_switched(e, i)) {
            hear_listed(e, i, sampled_ms);
            if (it->power == WORLD_POWER_ABSENT && truth_find(&e->truth, it->id) == WORLD_NONE) {
                hear_nobody(e, it);
            }
        }
    }
    for (size_t h = 0; c->running && h < e->truth.host_count; h++) {
        const struct truth_host *host = &e->truth.hosts[h];
        if (host->zone == zone && !host->is_static && host->id[0] != '\0' &&
            (host->listed == WORLD_POWER_RUNNING || host->listed == WORLD_POWER_OFF) &&
            engine_find(e, host->id) == WORLD_NONE) {
            if (gone_since(e, host->id, sampled_ms)) {
                e->truth.hosts[h].listed = WORLD_POWER_UNKNOWN; /* The next list tells. */
            } else {
                take_in(e, host);
            }
        }
    }
    c->dirty = true;
}

/* What a silent provider said is over after a while. */
static void forget_silent(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        const struct world_instance *it = &c->world.instances[i];
        if (it->zone == WORLD_NONE || !is_switched(e, i) || it->power == WORLD_POWER_UNKNOWN ||
            it->busy) {
            continue;
        }
        const struct truth_zone *zone = &e->truth.zones[it->zone];
        int64_t said_ms =
            zone->list_ms > c->members[i].touched_ms ? zone->list_ms : c->members[i].touched_ms;
        if (e->now_ms - said_ms > SILENT_MS) {
            set_power(e, i, WORLD_POWER_UNKNOWN);
            size_t host = truth_find(&e->truth, it->id);
            if (host != WORLD_NONE) {
                e->truth.hosts[host].listed = WORLD_POWER_UNKNOWN;
            }
            e->truth.zones[it->zone].list_due = true;
            engine_touch(e);
        }
    }
}

/* Ends of actions: what only the answer tells. */

static void told_by_balancer(struct engine *e, const struct engine_job *job)
{
    struct world *w = &e->controller.world;
    size_t b = job->action.balancer;
    if (job->action.kind == ACTION_COMPARE) {
        w->balancers[b].sync = job->differs ? WORLD_SYNC_DIFFERS : WORLD_SYNC_DONE;
    }
    witness_look(e, b);
}

static void told_by_host(struct engine *e, const struct engine_job *job)
{
    struct world_instance *it = &e->controller.world.instances[job->action.instance];
    switch (job->action.kind) {
    case ACTION_LAUNCH:
        if (job->anew) {
            it->greeted = it->configured = false;
        }
        return;
    case ACTION_INSPECT:
        it->drift = job->differs ? WORLD_DRIFT_PENDING : WORLD_DRIFT_NONE;
        it->change_failed = it->change_failed && job->differs; /* It came about. */
        it->drift_count = job->differs ? 3 : 0;
        __attribute__((fallthrough));
    case ACTION_CONFIGURE:
    case ACTION_RESTART:
        /* The file may have changed while it ran. */
        if (it->group != WORLD_NONE && job->version != e->truth.versions[it->group]) {
            it->drift = WORLD_DRIFT_UNKNOWN;
        }
        return;
    case ACTION_CHECK:
        if (it->custom.health != (job->differs ? WORLD_UNHEALTHY : WORLD_HEALTHY)) {
            hear(e, &it->custom, job->differs ? WORLD_UNHEALTHY : WORLD_HEALTHY);
        }
        it->custom_ms = e->now_ms;
        return;
    case ACTION_HOOK: it->hook_abandon = job->differs; return;
    case ACTION_TERMINATE: roster_leave(e, job->action.instance); return;
    case ACTION_COMPARE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_REMOVE: told_by_balancer(e, job); return;
    case ACTION_GREET:
    case ACTION_REBOOT:
    case ACTION_CYCLE:
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH: break;
    }
}

void driver_end_job(struct engine *e, struct engine_job *job, enum outcome outcome)
{
    struct engine_controller *c = &e->controller;
    if (engine_boundary(e, ENGINE_KILLED_RESULT)) {
        return;
    }
    if (engine_is_heard(e)) {
        char text[300];
        engine_describe(e, &job->action, text, sizeof(text));
        engine_say(e, "%s: %s", text,
                   outcome == OUTCOME_DONE        ? "done"
                   : outcome == OUTCOME_TRANSIENT ? "failed, may be tried again"
                                                  : "failed");
    }
    c->world.now_ms = e->now_ms;
    if (e->watch.on_end != NULL) {
        e->watch.on_end(e->watch.context, e, job, outcome);
    }
    world_end(&e->spec, &c->world, &job->action, outcome);
    engine_touch(e);
    c->members[job->action.instance].touched_ms = e->now_ms;
    if (outcome == OUTCOME_DONE) {
        told_by_host(e, job);
    }
    const struct world_instance *it = &c->world.instances[job->action.instance];
    if (it->power_doubtful && it->zone != WORLD_NONE) {
        e->truth.zones[it->zone].list_due = true;
    }
    c->dirty = true;
    if (driver_commit(e)) {
        return;
    }
    engine_boundary(e, ENGINE_KILLED_DONE);
}

/* Deciding. */

static bool do_record(struct engine *e, const struct action *action)
{
    struct engine_controller *c = &e->controller;
    roster_reserve(e, c->world.instance_count + 1 > c->world.instance_capacity
                          ? c->world.instance_capacity * 2
                          : c->world.instance_capacity);
    bool adds = action->kind == ACTION_ADD;
    if (adds) {
        roster_count_room(e);
        if (c->world.room[action->group * e->spec.zone_count + action->zone] == 0) {
            return true; /* Another group took it in the same step. */
        }
    }
    world_end(&e->spec, &c->world, action, OUTCOME_DONE);
    if (action->kind == ACTION_REFRESH) {
        bool bad =
            action->refresh == WORLD_REFRESH_BACK || action->refresh == WORLD_REFRESH_STOPPED;
        e->counts[ENGINE_REFRESH_DONE] += action->refresh == WORLD_REFRESH_DONE ? 1 : 0;
        e->counts[ENGINE_REFRESH_BAD] += bad ? 1 : 0;
        e->counts[ENGINE_REFRESH_UNDONE] += action->refresh == WORLD_REFRESH_ROLLED_BACK ? 1 : 0;
        return !driver_commit(e);
    }
    if (adds) {
        roster_place(e, c->world.instance_count - 1);
    } else if (action->lifecycle == LIFECYCLE_DETACHED) {
        size_t host = engine_host(e, action->instance);
        if (host != WORLD_NONE) {
            e->truth.hosts[host].retired = true;
        }
        witness_refresh(e);
    } else if (action->lifecycle == LIFECYCLE_TERMINATING) {
        c->members[action->instance].rebuilt |= action->reason.code == REASON_MEND ||
                                                action->reason.code == REASON_DEAD ||
                                                action->reason.code == REASON_WISH_REPLACE;
    }
    return !driver_commit(e);
}

static bool do_begin(struct engine *e, const struct action *action)
{
    world_begin(&e->spec, &e->controller.world, action);
    if (action_kind_has_effect(action->kind) &&
        (driver_commit(e) || engine_boundary(e, ENGINE_KILLED_INTENT))) {
        return false;
    }
    job_begin(e, action);
    return true;
}

static bool do_action(struct engine *e, const struct action *action)
{
    if (engine_is_heard(e)) {
        char text[300];
        char reason[240];
        engine_describe(e, action, text, sizeof(text));
        reason_to_string(&action->reason, reason, sizeof(reason));
        engine_say(e, "%s: %s", text, reason);
    }
    if (e->watch.on_action != NULL) {
        e->watch.on_action(e->watch.context, e, action);
    }
    return action_kind_is_record(action->kind) ? do_record(e, action) : do_begin(e, action);
}

static void decide_now(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    int64_t judge_ms = INT64_MAX;
    size_t heard = jobs_heard(e);
    c->world.now_ms = e->now_ms;
    c->world.slots = e->spec.parallel > heard ? e->spec.parallel - heard : 0;
    roster_count_room(e);
    judge(&e->spec, &c->world, c->decision.memory, c->decision.memory_size, &judge_ms);
    decide(&e->spec, &c->world, &c->decision);
    c->deadline_ms = c->decision.deadline_ms < judge_ms ? c->decision.deadline_ms : judge_ms;
    c->dirty = false;
    if (e->watch.on_decision != NULL) {
        e->watch.on_decision(e->watch.context, e);
    }
}

/* False when nothing of the decision has changed the world, or the controller is no more. */
static bool step_once(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    forget_silent(e);
    roster_follow(e);
    decide_now(e);
    size_t count = c->decision.action_count;
    for (size_t i = 0; i < count; i++) {
        struct action action = c->decision.actions[i];
        if (e->halted || !do_action(e, &action)) {
            return false;
        }
    }
    if (count > 0) {
        roster_compact(e);
        c->dirty = true;
    }
    return count > 0;
}

static void set_alarm(struct engine *e)
{
    int64_t at_ms = e->controller.deadline_ms;
    if (at_ms == INT64_MAX || (e->wake_ms > e->now_ms && e->wake_ms <= at_ms)) {
        return;
    }
    e->wake_ms = at_ms > e->now_ms ? at_ms : e->now_ms + 1;
    engine_post(e, e->wake_ms, ENGINE_AT_WAKE, 0);
}

void driver_step(struct engine *e)
{
    struct engine_controller *c = &e->controller;
    if (!c->running) {
        return;
    }
    if (!c->dirty && e->request_count == 0 && e->now_ms < c->deadline_ms) {
        set_alarm(e); /* An earlier one may have been for nothing. */
        return;
    }
    driver_take_requests(e);
    unsigned rounds = 0;
    while (c->running && step_once(e)) {
        if (++rounds > ROUNDS) {
            e->restless++;
            break;
        }
    }
    if (c->running) {
        witness_expect(e);
        set_alarm(e);
    }
}

void driver_reload(struct engine *e, size_t group, bool roles)
{
    struct engine_controller *c = &e->controller;
    for (size_t i = 0; roles && c->running && i < c->world.instance_count; i++) {
        if (c->world.instances[i].group == group) {
            c->world.instances[i].drift = WORLD_DRIFT_UNKNOWN;
        }
    }
    c->dirty = true;
}
