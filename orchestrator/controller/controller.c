#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One turn of the loop:
 *
 *   decide on the world as it is
 *   record every intent in one transaction
 *   hand the requests to workers
 *   wait for answers, which change the world and the records
 *   record the answers in one transaction
 *
 * A kill anywhere leaves either no intent (nothing was begun), or an intent without an answer: the
 * next run finds the intent, says so, and looks at the world again.
 */

#define LOOK_AGAIN_MS     2000
#define TICK_MS           500
#define REQUESTS_EVERY_MS 500
#define GAP_MS            30000
/* S23: after a controller that did not end in order, one step more at a time with each second. */
#define SLOW_START_MS    30000
#define UNSEEN_HEALTH_MS 10000

/* Setting up. */

void loop_take_crew(struct controller *c)
{
    const struct crew_callbacks callbacks = {
        .on_message = result_message, .on_end = result_end, .context = c};
    crew_set_callbacks(c->crew, &callbacks);
}

int controller_new(struct controller **ret_controller, struct site *site, struct crew *crew,
                   struct store *store, struct journal *journal,
                   const struct controller_options *options, struct err *e)
{
    struct controller *c = xcalloc(1, sizeof(*c));
    c->site = site;
    c->spec = site->spec;
    c->crew = crew;
    c->store = store;
    c->journal = journal;
    c->options = *options;
    c->context_version = 1;
    c->created_ms = clock_now_ms();
    c->world.now_ms = clock_now_ms();
    c->wall_offset_ms = clock_wall_ms() - c->world.now_ms;
    loop_take_crew(c);
    if (members_load(c, e) != 0) {
        controller_free(c);
        return -1;
    }
    *ret_controller = c;
    return 0;
}

void controller_free(struct controller *c)
{
    if (c == NULL) {
        return;
    }
    prober_free(c->prober);
    json_decref(c->groups);
    free(c->targets_named);
    canary_watch_free(c);
    free(c->group_views);
    members_free(c);
    free(c);
}

void controller_set_journal(struct controller *c, struct journal *journal)
{
    c->journal = journal;
}

int settle_intents(struct controller *c, struct err *e)
{
    struct record_action *actions;
    size_t count;
    if (record_action_list(c->store, &actions, &count, e) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct record_action *action = &actions[i];
        journal_add_event(c->journal,
                          action->instance == NULL ? c->spec->cluster : action->instance,
                          action->kind, action->reason,
                          "interrupted: the controller ended first; looked at anew");
        journal_delete_action(c->journal, action->id);
    }
    record_action_list_free(actions, count);
    return journal_commit(c->journal, e);
}

/* Waiting. */

static int wait_for_news(struct controller *c, int64_t deadline_ms, struct err *e)
{
    struct pollfd prober = {.fd = c->prober == NULL ? -1 : prober_socket(c->prober),
                            .events = POLLIN};
    if (crew_wait(c->crew, &prober, 1, deadline_ms, e) != 0) {
        return -1;
    }
    if (c->prober != NULL && prober.revents != 0) {
        probes_hear(c);
    }
    c->world.now_ms = clock_now_ms();
    return 0;
}

/* Deciding. */

/* A host whose roles would compile to something else than was last applied must be looked at. */
static void refresh_digests(struct controller *c)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        struct world_instance *it = &c->world.instances[i];
        struct member *m = &c->members[i];
        if (!it->configured || it->drift != WORLD_DRIFT_NONE || it->busy ||
            it->lifecycle == LIFECYCLE_TERMINATED || it->group == WORLD_NONE) {
            continue;
        }
        struct err e = ERR_NULL;
        if (context_digest(c, i, &e) == 0 && !text_equal(m->digest, m->record.script_digest)) {
            it->drift = WORLD_DRIFT_UNKNOWN;
        }
    }
}

void loop_decide(struct controller *c)
{
    judge(c->spec, &c->world, c->decision.memory, c->decision.memory_size, &c->judge_again_ms);
    decide(c->spec, &c->world, &c->decision);
    if (c->judge_again_ms < c->decision.deadline_ms) {
        c->decision.deadline_ms = c->judge_again_ms;
    }
}

static bool is_look(enum action_kind kind)
{
    return kind == ACTION_INSPECT || kind == ACTION_COMPARE;
}

static void step_core(struct controller *c)
{
    members_count_room(c);
    if (!c->no_inspect) {
        refresh_digests(c);
    }
    c->world.now_ms = clock_now_ms();
    size_t busy = crew_count(c->crew);
    size_t most = c->options.parallel;
    if (c->unclean && c->world.tireless && c->world.now_ms - c->started_ms < SLOW_START_MS) {
        size_t slow = 1 + (size_t)(c->world.now_ms - c->started_ms) / 1000;
        most = slow < most ? slow : most;
    }
    c->world.slots = most > busy ? most - busy : 0;
    loop_decide(c);
    judgements_tell(c);
}

/* Doing. */

struct prepared {
    struct running *running;
    struct message request;
};

static void tell_begin(struct controller *c, const struct action *action, const char *subject,
                       const char *reason)
{
    if (c->options.watch.on_begin != NULL) {
        c->options.watch.on_begin(c->options.watch.context, action, subject, reason);
    }
}

static int do_add(struct controller *c, const struct action *action, const char *reason,
                  struct err *e)
{
    size_t index = member_add(c, action, e);
    if (index == WORLD_NONE) {
        return -1;
    }
    const char *id = c->world.instances[index].id;
    journal_put_instance(c->journal, &c->members[index].record);
    groups_put(c, action->group);
    journal_add_event(c->journal, id, "add", reason, "done");
    tell_begin(c, action, id, reason);
    return 0;
}

static void do_mark(struct controller *c, const struct action *action, const char *reason)
{
    struct member *m = &c->members[action->instance];
    const struct world_instance *it = &c->world.instances[action->instance];
    char change[80];
    if (it->lifecycle == action->lifecycle) {
        snprintf(change, sizeof(change), "to do: %s", world_wish_to_string(action->wish));
    } else {
        snprintf(change, sizeof(change), "%s -> %s", lifecycle_to_string(it->lifecycle),
                 lifecycle_to_string(action->lifecycle));
    }
    if (action->capture == WORLD_CAPTURE_GRANTED && it->capture != WORLD_CAPTURE_GRANTED) {
        text_copy(change, sizeof(change), "an image may be taken of it");
        capture_granted(c, action->instance);
    }
    if (action->wish == WORLD_WISH_REFRESH && it->wish != WORLD_WISH_REFRESH &&
        it->in_service_ms != 0) {
        refresh_note_mark(c, action->group);
    }
    world_end(c->spec, &c->world, action, OUTCOME_DONE);
    member_to_record(c, action->instance);
    journal_put_instance(c->journal, &m->record);
    groups_put(c, action->group);
    journal_add_event(c->journal, m->record.id, "mark", reason, change);
    tell_begin(c, action, m->record.id, reason);
}

static void do_refresh(struct controller *c, const struct action *action, const char *reason)
{
    const char *name = c->spec->groups[action->group].name;
    const struct record_refresh *r = &c->notes[action->group].refresh;
    char why[500];
    char change[160];
    char span[32];
    enum world_refresh_state before = c->world.groups[action->group].refresh.state;
    text_copy(why, sizeof(why), reason);
    refresh_add_cause(c, action->group, action->reason.code, why, sizeof(why));
    clock_format_span(clock_wall_ms() - r->began_ms, span, sizeof(span));
    snprintf(change, sizeof(change), "%s -> %s; %u %s, %s after it began",
             world_refresh_to_string(before), world_refresh_to_string(action->refresh), r->replaced,
             before == WORLD_REFRESH_BACK ? "back" : "replaced", span);
    world_end(c->spec, &c->world, action, OUTCOME_DONE);
    refresh_note_state(c, action->group, why);
    journal_add_event(c->journal, name, "refresh", why, change);
    tell_begin(c, action, name, why);
}

static void record_intent(struct controller *c, struct running *running)
{
    const struct action *action = &running->action;
    const char *id = c->world.instances[action->instance].id;
    running->action_id =
        xasprintf("%08" PRIu64 "-%s-%s", ++c->next_action, action_kind_to_string(action->kind), id);
    const struct record_action record = {.id = running->action_id,
                                         .kind = (char *)action_kind_to_string(action->kind),
                                         .instance = (char *)id,
                                         .reason = running->reason,
                                         .epoch = journal_epoch(c->journal),
                                         .started_ms = clock_wall_ms()};
    journal_put_action(c->journal, &record);
    c->totals.effects++;
}

/* True when the request is ready to go; a request that cannot be built is the host's failure. */
static bool prepare(struct controller *c, const struct action *action, const char *reason,
                    struct prepared *ret_prepared)
{
    struct running *running = xcalloc(1, sizeof(*running));
    running->action = *action;
    running->reason = xstrdup(reason);
    struct err e = ERR_NULL;
    struct message request = MESSAGE_NULL;
    const char *id = c->world.instances[action->instance].id;
    if (request_build(c, action, running, &request, &e) != 0) {
        result_fail(c, action, WORK_PERMANENT, e.text);
        if (c->options.watch.on_end != NULL) {
            c->options.watch.on_end(c->options.watch.context, action, id, WORK_PERMANENT, 0,
                                    e.text);
        }
        running_free(running);
        message_deinit(&request);
        return false;
    }
    if (action_kind_has_effect(action->kind) && c->journal != NULL) {
        record_intent(c, running);
    }
    world_begin(c->spec, &c->world, action);
    c->members[action->instance].acted_ms = c->world.now_ms;
    if (action->balancer != WORLD_NONE) {
        result_expect_targets(c, action->balancer);
        for (size_t t = 0; t < c->world.target_count; t++) {
            if (c->world.targets[t].balancer == action->balancer &&
                action->kind == ACTION_COMPARE) {
                c->world.targets[t].state = WORLD_TARGET_UNKNOWN;
            }
        }
    } else if (action->kind == ACTION_INSPECT || action->kind == ACTION_CONFIGURE ||
               action->kind == ACTION_RESTART) {
        member_clear_items(&c->members[action->instance]);
    }
    tell_begin(c, action, id, reason);
    *ret_prepared = (struct prepared){.running = running, .request = request};
    return true;
}

static enum crew_kind crew_kind_of(const struct controller *c, const struct action *action)
{
    if (action->kind == ACTION_LAUNCH || action->kind == ACTION_TERMINATE ||
        action->kind == ACTION_CYCLE) {
        return CREW_PROVIDER;
    }
    bool here =
        action->kind == ACTION_HOOK && request_hook(c, action)->where == SPEC_HOOK_CONTROLLER;
    return here ? CREW_HOOK : CREW_SSH;
}

static int start(struct controller *c, struct prepared *prepared, struct err *e)
{
    const struct action *action = &prepared->running->action;
    const struct role_script *script = &prepared->running->script;
    struct crew_file *files = xcalloc(script->blob_count, sizeof(*files));
    for (size_t i = 0; i < script->blob_count; i++) {
        files[i] =
            (struct crew_file){.name = script->blobs[i].digest, .path = script->blobs[i].path};
    }
    struct crew_request request = {.kind = crew_kind_of(c, action),
                                   .message = &prepared->request,
                                   .files = files,
                                   .file_count = script->blob_count,
                                   .deadline_ms = request_deadline(c, action),
                                   .data = prepared->running};
    if (action->balancer != WORLD_NONE) {
        request.keep = c->world.instances[c->world.balancers[action->balancer].instance].id;
    }
    int result = crew_start(c->crew, &request, e);
    free(files);
    return result;
}

int loop_begin(struct controller *c, const struct action *action, const char *reason, struct err *e)
{
    struct prepared prepared;
    struct err why = ERR_NULL;
    if (!prepare(c, action, reason, &prepared)) {
        return 0;
    }
    int result = c->journal == NULL ? 0 : journal_commit(c->journal, e);
    if (result != 0) {
        running_free(prepared.running);
    } else if (start(c, &prepared, &why) != 0) {
        result_unstarted(c, prepared.running, why.text);
    }
    message_deinit(&prepared.request);
    return result;
}

/* Intents first, all in one transaction; then the effects. *ret_count: how many were begun. */
static int carry_out(struct controller *c, size_t *ret_count, struct err *e)
{
    struct prepared *prepared = xcalloc(c->decision.action_count, sizeof(*prepared));
    size_t count = 0;
    size_t instant = 0;
    int result = 0;
    for (size_t i = 0; i < c->decision.action_count && result == 0; i++) {
        const struct action action = c->decision.actions[i];
        char reason[200];
        reason_to_string(&action.reason, reason, sizeof(reason));
        bool skip = (c->looking_only && !is_look(action.kind)) ||
                    (c->no_inspect && action.kind == ACTION_INSPECT);
        if (skip) {
            continue;
        }
        if (action.kind == ACTION_ADD) {
            result = do_add(c, &action, reason, e);
            instant++;
        } else if (action.kind == ACTION_MARK) {
            do_mark(c, &action, reason);
            instant++;
        } else if (action.kind == ACTION_REFRESH) {
            do_refresh(c, &action, reason);
            instant++;
        } else if (prepare(c, &action, reason, &prepared[count])) {
            count++;
        } else {
            instant++;
        }
    }
    if (result == 0 && c->journal != NULL) {
        result = journal_commit(c->journal, e);
    }
    for (size_t i = 0; i < count; i++) {
        struct err why = ERR_NULL;
        if (result != 0) {
            running_free(prepared[i].running);
        } else if (start(c, &prepared[i], &why) != 0) {
            result_unstarted(c, prepared[i].running, why.text);
        }
        message_deinit(&prepared[i].request);
    }
    free(prepared);
    *ret_count = count + instant;
    return result;
}

/* True while the prober owes us a first word on something we must know to go on. */
static bool health_unseen(const struct controller *c, int64_t since_ms)
{
    if (c->world.now_ms > since_ms + UNSEEN_HEALTH_MS) {
        return false;
    }
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (probes_want(c, i, CHECK_READINESS) &&
            c->world.instances[i].health.health == WORLD_HEALTH_UNKNOWN) {
            return true;
        }
    }
    return false;
}

/* Something waits for a balancer to see a target differently: ask it again. */
static bool look_again(struct controller *c)
{
    bool any = false;
    for (size_t t = 0; t < c->world.target_count; t++) {
        const struct world_target *target = &c->world.targets[t];
        struct world_balancer *b = &c->world.balancers[target->balancer];
        if (target->state == WORLD_TARGET_DOWN && b->sync == WORLD_SYNC_DONE && !b->busy) {
            b->sync = WORLD_SYNC_UNKNOWN;
            any = true;
        }
    }
    return any;
}

enum controller_end loop_end(const struct controller *c)
{
    enum controller_end end = c->totals.failures > 0 ? CONTROLLER_FAILED : CONTROLLER_DONE;
    for (size_t i = 0; i < c->decision.hold_count; i++) {
        if (c->decision.holds[i].kind == HOLD_REFUSED) {
            return CONTROLLER_REFUSED;
        }
        end = CONTROLLER_FAILED;
    }
    if (c->blind) {
        return CONTROLLER_FAILED;
    }
    /* A failure that a later try mended is no failure of the run. */
    return c->decision.hold_count == 0 && c->lists_open == 0 && c->decision.action_count == 0
               ? CONTROLLER_DONE
               : end;
}

/* When the loop must turn again at the latest. */
static int64_t turn_deadline(const struct controller *c, size_t begun, int64_t observe_ms,
                             int64_t limit_ms)
{
    int64_t until_ms =
        begun > 0 && crew_count(c->crew) == 0 ? c->world.now_ms : c->world.now_ms + LOOK_AGAIN_MS;
    until_ms = c->decision.deadline_ms < until_ms ? c->decision.deadline_ms : until_ms;
    until_ms = observe_ms < until_ms ? observe_ms : until_ms;
    until_ms = limit_ms < until_ms ? limit_ms : until_ms;
    if (c->options.watch.on_tick != NULL) {
        c->options.watch.on_tick(c->options.watch.context);
        until_ms = c->world.now_ms + TICK_MS < until_ms ? c->world.now_ms + TICK_MS : until_ms;
    }
    return until_ms;
}

/*
 * S17: this process stood still (suspended, stopped, starved), so all that it knows is old.
 * Providers are asked anew before the next effect; balancers are by their age; the prober notices
 * by itself.
 */
static void notice_gap(struct controller *c)
{
    int64_t now_ms = clock_now_ms();
    if (c->turned_ms != 0 && now_ms - c->turned_ms > GAP_MS) {
        log_warning("stood still for %" PRId64 " s; looking at everything anew",
                    (now_ms - c->turned_ms) / 1000);
        c->all_listed = c->lists_open == 0 && c->spec->provider_count == 0;
        c->listed_ms = 0;
    }
    c->turned_ms = now_ms;
}

static int take_requests(struct controller *c, struct err *e)
{
    int64_t now_ms = clock_now_ms();
    if (c->looking_only || c->journal == NULL || now_ms < c->requests_ms + REQUESTS_EVERY_MS) {
        return 0;
    }
    c->requests_ms = now_ms;
    return requests_take(c, e);
}

/* One turn: observe, decide, record, begin. *ret_begun: how many steps were begun. */
static int turn(struct controller *c, bool stopping, size_t *ret_begun, int64_t *ret_observe_ms,
                struct err *e)
{
    *ret_begun = 0;
    *ret_observe_ms = INT64_MAX;
    notice_gap(c);
    if (probes_update(c, e) != 0 || take_requests(c, e) != 0) {
        return -1;
    }
    if (c->world.tireless && !stopping && observe_again(c, ret_observe_ms, e) != 0) {
        return -1;
    }
    step_core(c);
    refresh_watch(c, stopping);
    view_update(c);
    if (c->all_listed && !stopping &&
        (carry_out(c, ret_begun, e) != 0 ||
         (!c->looking_only && builders_step(c, ret_begun, e) != 0))) {
        return -1;
    }
    return c->journal == NULL ? 0 : journal_commit(c->journal, e);
}

/*
 * Turns the loop until nothing moves any more (`run`: until it is stopped), or until LIMIT_MS. What
 * moves: workers, deadlines of the core, the prober's first word.
 */
int loop_turn(struct controller *c, int64_t limit_ms, const volatile bool *stop, struct err *e)
{
    int64_t begun_ms = clock_now_ms();
    int64_t looked_ms = begun_ms;
    for (;;) {
        bool stopping = stop != NULL && *stop;
        size_t begun;
        int64_t observe_ms;
        if (turn(c, stopping, &begun, &observe_ms, e) != 0) {
            return -1;
        }
        bool timed = decision_waits(&c->decision, c->world.now_ms) && !c->looking_only;
        bool more = begun > 0 || timed || c->world.tireless || health_unseen(c, begun_ms);
        bool waiting = crew_count(c->crew) > 0 || (!stopping && more);
        if (!waiting || clock_now_ms() >= limit_ms) {
            return 0;
        }
        if (wait_for_news(c, turn_deadline(c, begun, observe_ms, limit_ms), e) != 0) {
            return -1;
        }
        if (!c->world.tireless && clock_now_ms() >= looked_ms + LOOK_AGAIN_MS) {
            looked_ms = clock_now_ms();
            look_again(c);
        }
    }
}

int controller_apply(struct controller *c, const volatile bool *stop, enum controller_end *ret_end,
                     struct err *e)
{
    c->looking_only = false;
    if (templates_record(c, e) != 0 || settle_intents(c, e) != 0 || observe_providers(c, e) != 0 ||
        loop_turn(c, INT64_MAX, stop, e) != 0) {
        return -1;
    }
    *ret_end = stop != NULL && *stop ? CONTROLLER_STOPPED : loop_end(c);
    return 0;
}

int controller_observe(struct controller *c, int64_t limit_ms, struct err *e)
{
    c->looking_only = true;
    c->no_inspect = true;
    if (observe_providers(c, e) != 0) {
        return -1;
    }
    /* Hosts are not compared: what was recorded last stands. */
    for (size_t i = 0; i < c->world.instance_count; i++) {
        c->world.instances[i].drift = WORLD_DRIFT_NONE;
    }
    return loop_turn(c, clock_now_ms() + limit_ms, NULL, e);
}

/* Looking in from outside. */

size_t controller_member_count(const struct controller *c)
{
    return c->world.instance_count;
}

struct controller_member controller_member_at(const struct controller *c, size_t index)
{
    const struct member *m = &c->members[index];
    return (struct controller_member){.record = &m->record,
                                      .world = &c->world.instances[index],
                                      .serving = c->decision.survey.serving != NULL &&
                                                 c->decision.survey.serving[index],
                                      .probe_text = m->probe_text,
                                      .frontend_text = m->frontend_text,
                                      .items = m->items,
                                      .item_count = m->item_count};
}

size_t controller_find_member(const struct controller *c, const char *name)
{
    size_t found = WORLD_NONE;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (!text_equal(c->members[i].record.id, name) &&
            !text_equal(c->members[i].record.machine, name)) {
            continue;
        }
        if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED) {
            return i;
        }
        found = i;
    }
    return found;
}

const struct hold *controller_holds(const struct controller *c, size_t *ret_count)
{
    *ret_count = c->decision.hold_count;
    return c->decision.holds;
}

const char *controller_subject(const struct controller *c, size_t instance, size_t group)
{
    if (instance != WORLD_NONE) {
        return c->world.instances[instance].id;
    }
    return group == WORLD_NONE ? c->spec->cluster : c->spec->groups[group].name;
}

struct controller_totals controller_totals(const struct controller *c)
{
    return c->totals;
}

void controller_put_target(const struct controller *c, size_t index, struct message *request)
{
    request_target(c, index, request);
}

int controller_compile(struct controller *c, size_t index, struct role_script *ret_script,
                       struct problem_list *problems)
{
    return context_compile(c, index, ret_script, problems);
}
