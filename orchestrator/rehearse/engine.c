#include "rehearse/engine.h"

#include "base/mem.h"
#include "base/str.h"
#include "rehearse/driver.h"
#include "rehearse/effect.h"
#include "rehearse/witness.h"

#include <assert.h>
#include <string.h>

#define RESTORE_GAP 1000

/* Timers of the caller, by their place in this list. */
struct engine_alarm {
    engine_timer *timer;
    void *context;
    size_t subject;
};

const char *engine_event_to_string(enum engine_event event)
{
    switch (event) {
    case ENGINE_TRANSIENT: return "action failed, may be tried again";
    case ENGINE_PERMANENT: return "action failed for good";
    case ENGINE_LOST: return "end of an action not heard of";
    case ENGINE_LATE: return "action took effect after it was given up";
    case ENGINE_DOUBLED: return "action took effect twice";
    case ENGINE_KILLED: return "controller killed";
    case ENGINE_KILLED_RECORDING: return "controller killed before a write";
    case ENGINE_KILLED_INTENT: return "controller killed between intent and effect";
    case ENGINE_KILLED_EFFECT: return "controller killed between effect and its end";
    case ENGINE_KILLED_RESULT: return "controller killed between end and its record";
    case ENGINE_KILLED_DONE: return "controller killed after a record";
    case ENGINE_RESTORED: return "store restored from an older state";
    case ENGINE_REFRESH_DONE: return "refresh done";
    case ENGINE_REFRESH_BAD: return "refresh ended for what it brought";
    case ENGINE_REFRESH_UNDONE: return "refresh rolled back";
    case ENGINE_FOUND: return "host found that no record knows";
    case ENGINE_OLD_EPOCH: return "effect of a replaced controller refused";
    case ENGINE_AMNESIA: return "host back as it was before";
    case ENGINE_DISK_FULL: return "disk full";
    case ENGINE_FORGOT: return "HAProxy forgot on reload";
    }
    return "unknown";
}

struct engine_pace engine_pace_usual(void)
{
    return (struct engine_pace){.boot_ms = 20000,
                                .make_ms = 2000,
                                .host_ms = 2000,
                                .configure_ms = 15000,
                                .balance_ms = 500,
                                .drain_ms = 10000,
                                .limit_ms = 120000,
                                .list_every_ms = 5000,
                                .list_delay_ms = 300,
                                .look_every_ms = 1000,
                                .look_delay_ms = 100,
                                .restart_ms = 5000};
}

static void copy_spec(struct engine *e, const struct spec *spec)
{
    e->file = spec;
    e->spec = *spec;
    e->spec.groups = xcalloc(spec->group_count + 1, sizeof(*spec->groups));
    memcpy(e->spec.groups, spec->groups, spec->group_count * sizeof(*spec->groups));
}

void engine_init(struct engine *e, const struct spec *spec, const struct engine_pace *pace,
                 const struct engine_watch *watch, uint64_t seed)
{
    *e = (struct engine){.pace = *pace, .wake_ms = -1};
    if (watch != NULL) {
        e->watch = *watch;
    }
    random_init(&e->random, seed);
    copy_spec(e, spec);
    truth_init(&e->truth, &e->spec, pace->bmc);
    driver_init(e);
    engine_post(e, 0, ENGINE_AT_START, 0);
}

void engine_deinit(struct engine *e)
{
    driver_deinit(e);
    ledger_deinit(&e->store);
    ledger_deinit(&e->backup);
    truth_deinit(&e->truth);
    agenda_deinit(&e->agenda);
    free(e->spec.groups);
    free(e->requests);
    free(e->jobs);
    free(e->alarms);
    *e = (struct engine){.now_ms = 0};
}

uint64_t engine_post(struct engine *e, int64_t at_ms, enum engine_kind kind, size_t subject)
{
    uint64_t turn = ++e->turns;
    agenda_add(&e->agenda, (struct agenda_event){
                               .at_ms = at_ms, .kind = kind, .subject = subject, .turn = turn});
    return turn;
}

void engine_at(struct engine *e, int64_t at_ms, engine_timer *timer, void *context, size_t subject)
{
    size_t i = xgrow((void **)&e->alarms, &e->alarm_count, &e->alarm_capacity, sizeof(*e->alarms));
    e->alarms[i] = (struct engine_alarm){.timer = timer, .context = context, .subject = subject};
    engine_post(e, at_ms, ENGINE_AT_TIMER, i);
}

void engine_touch(struct engine *e)
{
    e->truth_changed = true;
}

static void on_timer(struct engine *e, size_t index)
{
    struct engine_alarm alarm = e->alarms[index];
    alarm.timer(alarm.context, e, alarm.subject);
}

static void on_event(struct engine *e, const struct agenda_event *event)
{
    switch ((enum engine_kind)event->kind) {
    case ENGINE_AT_EFFECT: job_on_effect(e, event->subject, event->turn); return;
    case ENGINE_AT_END: job_on_end(e, event->subject, event->turn); return;
    case ENGINE_AT_BOOT: effect_on_boot(e, event->subject, event->turn); return;
    case ENGINE_AT_READY: witness_on_ready(e, event->subject, event->turn); return;
    case ENGINE_AT_ALIVE: witness_on_alive(e, event->subject, event->turn); return;
    case ENGINE_AT_SERVER: witness_on_server(e, event->turn); return;
    case ENGINE_AT_SAMPLE: witness_on_sample(e, event->subject); return;
    case ENGINE_AT_LIST: witness_on_list(e, event->subject); return;
    case ENGINE_AT_LOOK: witness_on_look(e, event->subject); return;
    case ENGINE_AT_WAKE: return;
    case ENGINE_AT_LISTENED: e->controller.dirty = true; return;
    case ENGINE_AT_START:
        if (!e->controller.running) {
            driver_start(e);
        }
        return;
    case ENGINE_AT_PROBER:
        e->prober_dead = false;
        engine_touch(e);
        e->controller.dirty = true;
        return;
    case ENGINE_AT_TIMER: on_timer(e, event->subject); return;
    }
}

/* What changed is noticed; noticing may change what is followed, and so on, until nothing does. */
static void settle(struct engine *e)
{
    while (!e->halted) {
        if (e->truth_changed) {
            e->truth_changed = false;
            witness_refresh(e);
            if (e->watch.on_truth != NULL) {
                e->watch.on_truth(e->watch.context, e);
            }
        }
        driver_step(e);
        if (!e->truth_changed) {
            return;
        }
    }
}

void engine_run(struct engine *e, int64_t until_ms)
{
    struct agenda_event event;
    while (!e->halted && e->agenda.count > 0 && e->agenda.events[0].at_ms <= until_ms) {
        agenda_take(&e->agenda, &event);
        assert(event.at_ms >= e->now_ms);
        e->now_ms = event.at_ms;
        e->controller.world.now_ms = e->now_ms;
        witness_stamp(e);
        on_event(e, &event);
        settle(e);
        e->events++;
    }
    if (e->halted) {
        return;
    }
    e->now_ms = until_ms;
    e->controller.world.now_ms = until_ms;
    witness_stamp(e);
}

void engine_ask(struct engine *e, const struct engine_request *request)
{
    size_t i =
        xgrow((void **)&e->requests, &e->request_count, &e->request_capacity, sizeof(*request));
    e->requests[i] = *request;
}

void engine_kill(struct engine *e, enum engine_event how)
{
    struct engine_controller *c = &e->controller;
    if (!c->running) {
        return;
    }
    c->running = false;
    e->counts[how]++;
    engine_say(e, "%s", engine_event_to_string(how));
    c->world.instance_count = c->world.balancer_count = c->world.target_count = 0;
    jobs_abandon(e);
    int64_t away_ms = random_between(&e->random, e->pace.restart_ms / 4, e->pace.restart_ms);
    engine_post(e, e->now_ms + away_ms, ENGINE_AT_START, 0);
}

bool engine_boundary(struct engine *e, enum engine_event kind)
{
    e->boundaries++;
    if (e->kill_at == 0 || e->boundaries != e->kill_at || !e->controller.running) {
        return !e->controller.running;
    }
    e->kill_at = 0;
    engine_kill(e, kind);
    return true;
}

void engine_backup(struct engine *e)
{
    if (e->store.groups == NULL) {
        return; /* Nothing was ever written. */
    }
    ledger_copy(&e->backup, &e->store, e->spec.group_count);
    e->backed_up = true;
}

void engine_restore(struct engine *e)
{
    if (!e->backed_up || !e->controller.running) {
        return;
    }
    engine_kill(e, ENGINE_RESTORED);
    e->restores++;
    ledger_copy(&e->store, &e->backup, e->spec.group_count);
    e->request_count = 0;
    /* Whoever restores a store lets the numbers begin well above those it may have forgotten (S21):
       a zone that is silent now may have hosts of those names. One backup may be restored twice. */
    for (size_t g = 0; g < e->spec.group_count; g++) {
        e->store.groups[g].next_number += RESTORE_GAP * e->restores;
    }
}

void engine_change_roles(struct engine *e, size_t group)
{
    e->truth.versions[group]++;
    engine_say(e, "the roles of group %s change", e->spec.groups[group].name);
    driver_reload(e, group, true);
}

void engine_change_size(struct engine *e, size_t group, unsigned desired, unsigned max)
{
    struct spec_group *g = &e->spec.groups[group];
    g->desired = desired;
    g->max = max < desired ? desired : max;
    g->min = g->min > desired ? desired : g->min;
    engine_say(e, "the file says desired = %u, max = %u for group %s", desired, g->max, g->name);
    if (e->controller.running) {
        e->controller.world.groups[group].desired = desired;
    }
    if (e->store.groups != NULL) {
        e->store.groups[group].desired = desired;
    }
    if (e->backed_up) {
        e->backup.groups[group].desired = desired;
    }
    driver_reload(e, group, false);
}

/* Words. */

bool engine_is_heard(const struct engine *e)
{
    return e->watch.on_line != NULL;
}

void engine_say(struct engine *e, const char *format, ...)
{
    if (e->watch.on_line == NULL) {
        return;
    }
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    e->watch.on_line(e->watch.context, e->now_ms, line);
}

void engine_describe(const struct engine *e, const struct action *action, char *ret_text,
                     size_t size)
{
    const struct world *w = &e->controller.world;
    const char *kind = action_kind_to_string(action->kind);
    if (action->kind == ACTION_REFRESH) {
        snprintf(ret_text, size, "group %s: refresh %s", e->spec.groups[action->group].name,
                 world_refresh_to_string(action->refresh));
    } else if (action->instance == WORLD_NONE) {
        snprintf(ret_text, size, "%s-%u: %s in %s", e->spec.groups[action->group].name,
                 action->number, kind, e->spec.zones[action->zone].name);
    } else if (action->balancer != WORLD_NONE) {
        snprintf(ret_text, size, "%s: %s on %s", w->instances[action->instance].id, kind,
                 w->instances[w->balancers[action->balancer].instance].id);
    } else if (action->kind == ACTION_MARK) {
        snprintf(ret_text, size, "%s: mark %s%s%s", w->instances[action->instance].id,
                 lifecycle_to_string(action->lifecycle),
                 action->wish == WORLD_WISH_NONE ? "" : ", to ",
                 action->wish == WORLD_WISH_NONE ? "" : world_wish_to_string(action->wish));
    } else {
        snprintf(ret_text, size, "%s: %s", w->instances[action->instance].id, kind);
    }
}

size_t engine_find(const struct engine *e, const char *id)
{
    const struct world *w = &e->controller.world;
    for (size_t i = 0; i < w->instance_count; i++) {
        if (w->instances[i].lifecycle != LIFECYCLE_TERMINATED &&
            text_equal(w->instances[i].id, id)) {
            return i;
        }
    }
    return WORLD_NONE;
}

size_t engine_host(const struct engine *e, size_t instance)
{
    const struct world_instance *it = &e->controller.world.instances[instance];
    const char *machine = e->controller.members[instance].machine;
    size_t host = truth_find_machine(&e->truth, it->id, machine);
    bool others = host != WORLD_NONE && !text_equal(e->truth.hosts[host].id, it->id);
    return others ? WORLD_NONE : host;
}

size_t engine_serving(const struct engine *e, size_t group)
{
    size_t count = 0;
    for (size_t i = 0; i < e->truth.host_count; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        count += h->group == group && h->serving ? 1 : 0;
    }
    return count;
}
