/* What workers and the prober say becomes the world, the records and the events. */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "controller/origin.h"
#include "controller/refresh_goal.h"
#include "provider/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPEATS_MAX 8
/* Unanswered lists in a row after which what was known of power is unknown (S10). */
#define LIST_FAILURES_MAX 3
#define SAID_MAX          20000 /* Bytes of a text that a worker sends. */

/* Texts for people are printable, whatever a worker that a host took over may have sent. */
static char *clean_text(const char *text)
{
    size_t length = strnlen(text, SAID_MAX);
    struct str clean = STR_NULL;
    str_add_printable(&clean, text, length, true);
    return str_take(&clean);
}

static char *take_text(const struct message *message, uint16_t tag)
{
    return clean_text(message_text(message, tag, ""));
}

static void note(struct controller *c, const char *subject, const char *text)
{
    if (c->options.watch.on_note != NULL) {
        c->options.watch.on_note(c->options.watch.context, subject, text);
    }
}

static size_t find_id(const struct controller *c, const char *id)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED &&
            text_equal(c->world.instances[i].id, id)) {
            return i;
        }
    }
    return WORLD_NONE;
}

/* What a worker says on its way. */

static void add_item(struct controller *c, size_t index, const struct message *message)
{
    struct member *m = &c->members[index];
    size_t i = xgrow((void **)&m->items, &m->item_count, &m->item_capacity, sizeof(*m->items));
    m->items[i].role = take_text(message, WIRE_ROLE_NAME);
    m->items[i].type = take_text(message, WIRE_TYPE);
    m->items[i].name = take_text(message, WIRE_NAME);
    m->items[i].status = (enum role_result_status)message_int(message, WIRE_STATUS, ROLE_OK);
    m->items[i].time_ms = message_int(message, WIRE_TIME, 0);
    bool with_text = message_text(message, WIRE_TEXT, NULL) != NULL;
    m->items[i].text = with_text ? take_text(message, WIRE_TEXT) : NULL;
}

static enum world_power power_of(int64_t power)
{
    switch ((enum provider_power)power) {
    case PROVIDER_RUNNING: return WORLD_POWER_RUNNING;
    case PROVIDER_OFF:
    case PROVIDER_BROKEN: return WORLD_POWER_OFF;
    case PROVIDER_ABSENT: return WORLD_POWER_ABSENT;
    }
    return WORLD_POWER_UNKNOWN;
}

/* What a provider says of an instance that we acted on after it was asked is no news. */
static bool is_news(const struct controller *c, size_t index, const struct running *list)
{
    return !c->world.instances[index].busy && c->members[index].acted_ms < list->asked_ms;
}

static void set_power(struct controller *c, size_t index, enum world_power power)
{
    const struct world_instance *it = &c->world.instances[index];
    if (it->power == WORLD_POWER_RUNNING && power != it->power &&
        it->lifecycle == LIFECYCLE_IN_SERVICE) {
        note(c, it->id,
             power == WORLD_POWER_UNKNOWN ? "its provider no longer says whether it runs"
                                          : "its provider says it does not run any more");
    }
    world_set_power(&c->world, index, power);
}

/*
 * It carries this cluster's mark, and the records do not know it: they were lost, or are older than
 * it (S21). It gets a record as detached: known, so that its address and name are not given away,
 * and left alone until an operator says who it is.
 */
static void hear_found(struct controller *c, const struct spec_provider *provider,
                       const struct message *message)
{
    const char *id = message_text(message, WIRE_INSTANCE, "");
    const char *address = message_text(message, WIRE_ADDRESS, NULL);
    const char *key = message_text(message, WIRE_HOST_KEY, NULL);
    note(c, id,
         "carries this cluster's mark and is not in its records: left alone (S21). `lamplighter "
         "group attach` takes it back, `group terminate` ends it");
    if (c->journal == NULL) {
        return;
    }
    struct record_instance record = {.id = xstrdup(id),
                                     .group = xstrdup(message_text(message, WIRE_GROUP, "?")),
                                     .zone = xstrdup(c->spec->zones[provider->zone].name),
                                     .provider = xstrdup(provider->name),
                                     .address = xcopy(address),
                                     .port = 22,
                                     .host_key = xcopy(key),
                                     .lifecycle = LIFECYCLE_DETACHED,
                                     .created_ms = clock_wall_ms()};
    origin_take(&record, message);
    size_t index = member_take(c, &record);
    c->members[index].listed = true;
    c->world.instances[index].power = power_of(message_int(message, WIRE_POWER, 0));
    journal_put_instance(c->journal, &c->members[index].record);
    journal_add_event(c->journal, id, "found", "it carries this cluster's mark (S21)",
                      "detached: left alone");
}

/* One instance that a provider has. */
static void hear_view(struct controller *c, const struct running *running,
                      const struct message *message)
{
    const char *id = message_text(message, WIRE_INSTANCE, "");
    size_t index = find_id(c, id);
    if (index != WORLD_NONE) {
        if (member_provider(c, index) == running->provider && is_news(c, index, running)) {
            /* Made, but we were ended before we heard its key: making it again tells. */
            bool heard = c->members[index].record.host_key != NULL;
            c->members[index].listed = true;
            set_power(c, index,
                      heard ? power_of(message_int(message, WIRE_POWER, 0)) : WORLD_POWER_ABSENT);
        }
        return;
    }
    const struct spec_provider *provider = &c->spec->providers[running->provider];
    const char *zone = message_text(message, WIRE_ZONE, NULL);
    if (text_is_name(id) && text_equal(zone, c->spec->zones[provider->zone].name) &&
        !member_was_here(c, id)) {
        hear_found(c, provider, message);
    }
}

static enum world_target_state target_state_of(int64_t state)
{
    switch ((enum frontend_target_state)state) {
    case FRONTEND_TARGET_ABSENT: return WORLD_TARGET_ABSENT;
    case FRONTEND_TARGET_INITIAL: return WORLD_TARGET_INITIAL;
    case FRONTEND_TARGET_UP: return WORLD_TARGET_UP;
    case FRONTEND_TARGET_DOWN: return WORLD_TARGET_DOWN;
    case FRONTEND_TARGET_DRAINING: return WORLD_TARGET_DRAINING;
    case FRONTEND_TARGET_MAINTENANCE: return WORLD_TARGET_MAINTENANCE;
    }
    return WORLD_TARGET_UNKNOWN;
}

/*
 * One target of a balancer. What it has UP is admitted, whatever our record said: we may have been
 * killed between the effect and its record.
 */
static void hear_target(struct controller *c, size_t balancer, const struct message *message)
{
    size_t index = find_id(c, message_text(message, WIRE_INSTANCE, ""));
    for (size_t t = 0; index != WORLD_NONE && t < c->world.target_count; t++) {
        struct world_target *target = &c->world.targets[t];
        if (target->member != index || target->balancer != balancer) {
            continue;
        }
        c->targets_named[t] = true;
        target->state = target_state_of(message_int(message, WIRE_STATE, 0));
        canary_watch_target(c, t, message);
        struct member *m = &c->members[index];
        if (target->state == WORLD_TARGET_UP && !m->record.admitted && c->journal != NULL) {
            m->record.admitted = true;
            journal_put_instance(c->journal, &m->record);
        }
        char *said = take_text(message, WIRE_TEXT);
        free(m->frontend_text);
        m->frontend_text =
            xasprintf("%s %s",
                      frontend_target_state_to_string(
                          (enum frontend_target_state)message_int(message, WIRE_STATE, 0)),
                      said);
        free(said);
        return;
    }
}

/* Targets that a balancer did not name in its answer are not there. */
static void complete_targets(struct controller *c, size_t balancer)
{
    for (size_t t = 0; t < c->world.target_count; t++) {
        if (c->world.targets[t].balancer == balancer && !c->targets_named[t]) {
            c->world.targets[t].state = WORLD_TARGET_ABSENT;
            canary_watch_absent(c, t);
        }
    }
    canary_watch_look(c, balancer);
}

/* Before BALANCER answers: it has named none of its targets yet. */
void result_expect_targets(struct controller *c, size_t balancer)
{
    c->targets_named = xrealloc(c->targets_named, c->world.target_capacity, sizeof(bool));
    for (size_t t = 0; t < c->world.target_count; t++) {
        if (c->world.targets[t].balancer == balancer) {
            c->targets_named[t] = false;
        }
    }
}

/* A balancer that is at work tells what it sees on the way; its end tells it once more. */
static void hear_looked(struct controller *c, size_t balancer)
{
    c->world.now_ms = clock_now_ms();
    complete_targets(c, balancer);
    c->world.balancers[balancer].seen_ms = c->world.now_ms;
    result_expect_targets(c, balancer);
}

void result_message(void *context, struct job *job, const struct message *message)
{
    struct controller *c = context;
    struct running *running = job_data(job);
    if (message_kind(message) == WIRE_PROGRESS) {
        if (c->options.watch.on_progress != NULL && running->kind == RUNNING_ACTION) {
            c->options.watch.on_progress(c->options.watch.context,
                                         c->world.instances[running->action.instance].id,
                                         message_text(message, WIRE_TEXT, ""));
        }
    } else if (message_kind(message) == WIRE_ITEM && running->kind != RUNNING_ALARM) {
        if (running->kind == RUNNING_LIST) {
            hear_view(c, running, message);
        } else if (running->action.balancer != WORLD_NONE) {
            hear_target(c, running->action.balancer, message);
        } else {
            add_item(c, running->action.instance, message);
        }
    } else if (message_kind(message) == WIRE_LOOKED && running->kind == RUNNING_ACTION &&
               running->action.balancer != WORLD_NONE) {
        hear_looked(c, running->action.balancer);
    }
}

/* Endings. */

void result_fail(struct controller *c, const struct action *action, enum work_outcome outcome,
                 const char *text)
{
    struct member *m = &c->members[action->instance];
    world_end(c->spec, &c->world, action,
              outcome == WORK_TRANSIENT ? OUTCOME_TRANSIENT : OUTCOME_PERMANENT);
    if (action->balancer != WORLD_NONE) {
        /* It may have come back as it was before: compared with its roles again. */
        c->world.instances[c->world.balancers[action->balancer].instance].drift =
            WORLD_DRIFT_UNKNOWN;
    }
    m->record.failures = (int)c->world.instances[action->instance].failures;
    xreplace(&m->record.reason, text == NULL ? "failed" : text);
    c->totals.failures++;
}

static void done_launch(struct controller *c, size_t index, const struct message *result)
{
    struct member *m = &c->members[index];
    m->record.launched_ms = clock_wall_ms();
    const char *key = message_text(result, WIRE_HOST_KEY, NULL);
    if (key != NULL && !member_is_static(c, index)) {
        if (!text_equal(key, m->record.host_key)) {
            /* A root made anew: what the old one had is gone with it. */
            c->world.instances[index].configured = false;
            m->record.configured_ms = 0;
            templates_adopt(c, &m->record);
            xreplace(&m->record.facts, NULL);
            origin_take(&m->record, result);
        }
        xreplace(&m->record.host_key, key);
    }
    c->world.instances[index].content = refresh_content_of(&m->record);
}

static void take_facts(struct controller *c, size_t index, const struct message *result)
{
    struct member *m = &c->members[index];
    const char *facts = message_text(result, WIRE_FACTS, NULL);
    if (facts != NULL && !text_equal(facts, m->record.facts)) {
        xreplace(&m->record.facts, facts);
        m->digest[0] = '\0';
    }
}

static void take_boot(struct controller *c, size_t index, const struct message *result)
{
    const char *boot = message_text(result, WIRE_BOOT_ID, NULL);
    if (boot != NULL) {
        xreplace(&c->members[index].record.boot_id, boot);
    }
}

static void done_check(struct controller *c, size_t index, const struct message *result)
{
    struct world_instance *it = &c->world.instances[index];
    bool healthy = message_int(result, WIRE_STATUS, 1) == 0;
    enum world_health health = healthy ? WORLD_HEALTHY : WORLD_UNHEALTHY;
    if (it->custom.health == health) {
        return;
    }
    it->custom = (struct world_witness){.health = health, .since_ms = c->world.now_ms};
    if (!healthy) {
        char *said = take_text(result, WIRE_TEXT);
        char *line = xasprintf("its check-command fails: %s", said);
        note(c, it->id, line);
        free(line);
        free(said);
    }
}

static void done_inspect(struct controller *c, size_t index, const struct running *running,
                         const struct message *result)
{
    struct world_instance *it = &c->world.instances[index];
    struct member *m = &c->members[index];
    it->drift_count = message_int(result, WIRE_CHANGED, 0);
    it->drift = it->drift_count == 0 ? WORLD_DRIFT_NONE : WORLD_DRIFT_PENDING;
    it->change_failed = it->change_failed && it->drift != WORLD_DRIFT_NONE; /* It came about. */
    if (m->record.configured_ms == 0) {
        m->record.configured_ms = clock_wall_ms(); /* An older record, and it serves. */
    }
    if (it->drift_count == 0) {
        xreplace(&m->record.script_digest, running->script.digest);
    }
    take_facts(c, index, result);
}

static void done_configure(struct controller *c, size_t index, const struct running *running,
                           const struct message *result)
{
    struct member *m = &c->members[index];
    int64_t changed = message_int(result, WIRE_CHANGED, 0);
    c->totals.changed_resources += (size_t)changed;
    c->totals.changed_hosts += changed > 0 ? 1 : 0;
    m->record.configured_ms = clock_wall_ms();
    xreplace(&m->record.script_digest, running->script.digest);
    take_facts(c, index, result);
}

static void done_balancer(struct controller *c, const struct action *action,
                          const struct message *result)
{
    struct world_balancer *b = &c->world.balancers[action->balancer];
    struct member *m = &c->members[action->instance];
    complete_targets(c, action->balancer);
    b->seen_ms = c->world.now_ms;
    if (action->kind == ACTION_COMPARE) {
        b->sync = message_int(result, WIRE_CHANGED, 0) != 0 ? WORLD_SYNC_DIFFERS : WORLD_SYNC_DONE;
    } else if (action->kind == ACTION_SYNC) {
        c->totals.changed_hosts++;
    } else if (action->kind == ACTION_ADMIT) {
        m->record.admitted = true;
    } else {
        m->record.admitted = false;
        xreplace(&m->frontend_text, NULL);
    }
}

/*
 * Is the host that was greeted the system that was made (origin.h)? One that has served, and may be
 * sent traffic again as soon as its checks pass, is put into quarantine: it leaves its pools as
 * soon as its group can spare it (S1), and another takes its place.
 */
static int check_origin(struct controller *c, size_t index, const struct message *greeting,
                        struct err *e)
{
    struct world_instance *it = &c->world.instances[index];
    if (origin_check(&c->members[index].record, greeting, e) == 0) {
        return 0;
    }
    origin_refused(&c->members[index].record, greeting);
    bool serves = it->in_service_ms != 0 || c->members[index].record.admitted;
    if (serves && (it->lifecycle == LIFECYCLE_PENDING || it->lifecycle == LIFECYCLE_IN_SERVICE) &&
        c->journal != NULL) {
        char change[80];
        snprintf(change, sizeof(change), "%s -> %s", lifecycle_to_string(it->lifecycle),
                 lifecycle_to_string(LIFECYCLE_QUARANTINED));
        it->lifecycle = LIFECYCLE_QUARANTINED;
        c->world.groups[it->group].disrupted_ms = c->world.now_ms;
        journal_add_event(c->journal, it->id, "mark", "it came up in another system", change);
    }
    return -1;
}

/* A root made anew of something else than was asked for would be replaced, over and over. */
static int check_content(const struct controller *c, const struct running *running,
                         const struct message *answer, struct err *e)
{
    const struct record_instance *r = &c->members[running->action.instance].record;
    const char *key = message_text(answer, WIRE_HOST_KEY, NULL);
    uint64_t content = refresh_content(message_text(answer, WIRE_CONTENT, NULL));
    if (running->content == 0 || content == 0 || content == running->content ||
        text_equal(key, r->host_key)) {
        return 0;
    }
    return err_set(e,
                   "%s was made of %s, which is not what its group is to be made from: "
                   "`group replace %s` makes another",
                   r->id, message_text(answer, WIRE_IMAGE, "a plain directory"), r->id);
}

static void apply_result(struct controller *c, const struct running *running,
                         const struct message *result)
{
    const struct action *action = &running->action;
    size_t index = action->instance;
    world_end(c->spec, &c->world, action, OUTCOME_DONE);
    c->members[index].probe_anew = c->members[index].probe_anew || action->kind == ACTION_LAUNCH ||
                                   action->kind == ACTION_RESTART ||
                                   action->kind == ACTION_REBOOT || action->kind == ACTION_CYCLE;
    switch (action->kind) {
    case ACTION_LAUNCH: done_launch(c, index, result); break;
    case ACTION_GREET:
        take_facts(c, index, result);
        take_boot(c, index, result);
        origin_greeted(&c->members[index].record, result);
        break;
    case ACTION_INSPECT: done_inspect(c, index, running, result); break;
    case ACTION_CONFIGURE:
    case ACTION_RESTART: done_configure(c, index, running, result); break;
    case ACTION_COMPARE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_REMOVE: done_balancer(c, action, result); break;
    case ACTION_TERMINATE: c->context_version++; break;
    case ACTION_CHECK: done_check(c, index, result); break;
    case ACTION_HOOK:
        c->world.instances[index].hook_abandon =
            message_int(result, WIRE_STATUS, 1) != 0 && request_hook(c, action) != NULL &&
            request_hook(c, action)->result == SPEC_HOOK_ABANDON;
        break;
    case ACTION_REBOOT: take_boot(c, index, result); break;
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH:
    case ACTION_CYCLE: break;
    }
}

/* The record as it is now; an effect's intent goes, and its end is told, in the same transaction.
 */
static void write_records(struct controller *c, const struct running *running,
                          enum work_outcome outcome, const char *text)
{
    if (c->journal == NULL) {
        return;
    }
    const struct action *action = &running->action;
    member_to_record(c, action->instance);
    const char *id = c->world.instances[action->instance].id;
    if (action->kind == ACTION_TERMINATE && outcome == WORK_DONE) {
        journal_delete_instance(c->journal, id);
        if (action->group != WORLD_NONE) {
            groups_put(c, action->group);
        }
    } else {
        journal_put_instance(c->journal, &c->members[action->instance].record);
    }
    if (running->action_id != NULL) {
        journal_delete_action(c->journal, running->action_id);
    }
    if (running->action_id != NULL || outcome != WORK_DONE) {
        char said[320];
        snprintf(said, sizeof(said), "%s%s%s", outcome == WORK_DONE ? "done" : "failed",
                 text == NULL ? "" : ": ", text == NULL ? "" : text);
        journal_add_event(c->journal, id, action_kind_to_string(action->kind), running->reason,
                          said);
    }
}

static void describe(const struct running *running, const struct message *result, char *ret_text,
                     size_t size)
{
    ret_text[0] = '\0';
    int64_t changed = message_int(result, WIRE_CHANGED, 0);
    switch (running->action.kind) {
    case ACTION_CONFIGURE:
    case ACTION_RESTART:
        snprintf(ret_text, size, "%lld of %lld resources changed", (long long)changed,
                 (long long)message_int(result, WIRE_COUNT, 0));
        return;
    case ACTION_INSPECT:
        snprintf(ret_text, size, "%lld of %lld resources differ", (long long)changed,
                 (long long)message_int(result, WIRE_COUNT, 0));
        return;
    case ACTION_SYNC:
        snprintf(ret_text, size, "%s",
                 message_int(result, WIRE_RELOADED, 0) != 0 ? "reloaded" : "without a reload");
        return;
    case ACTION_REMOVE:
        if (changed > 0) {
            snprintf(ret_text, size, "%lld sessions cut at the end of the drain time",
                     (long long)changed);
        }
        return;
    case ACTION_ADD:
    case ACTION_LAUNCH:
    case ACTION_GREET:
    case ACTION_COMPARE:
    case ACTION_ADMIT:
    case ACTION_TERMINATE:
    case ACTION_MARK:
    case ACTION_REFRESH:
    case ACTION_REBOOT:
    case ACTION_CYCLE:
    case ACTION_CHECK:
    case ACTION_HOOK: return;
    }
}

/* A detached instance that somebody ended by hand. */
static void forget_detached(struct controller *c, size_t index)
{
    const char *id = c->world.instances[index].id;
    journal_delete_instance(c->journal, id);
    journal_add_event(c->journal, id, "forget", "detached, and its provider has it no longer",
                      "done");
    c->world.instances[index].lifecycle = LIFECYCLE_TERMINATED;
}

static void end_list(struct controller *c, struct running *running, enum work_outcome outcome,
                     const char *text)
{
    c->lists_open--;
    c->all_listed = c->all_listed || c->lists_open == 0;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (member_provider(c, i) != running->provider || c->members[i].listed ||
            !is_news(c, i, running) || c->world.instances[i].lifecycle == LIFECYCLE_TERMINATED) {
            continue;
        }
        if (outcome == WORK_DONE && c->world.instances[i].lifecycle == LIFECYCLE_DETACHED &&
            c->journal != NULL && !builder_is(c, i)) {
            forget_detached(c, i);
        } else if (outcome == WORK_DONE || c->list_failures >= LIST_FAILURES_MAX) {
            set_power(c, i, outcome == WORK_DONE ? WORLD_POWER_ABSENT : WORLD_POWER_UNKNOWN);
        }
    }
    c->answered[running->provider] = c->answered[running->provider] || outcome == WORK_DONE;
    c->list_failures = outcome == WORK_DONE ? 0 : c->list_failures + 1;
    if (outcome != WORK_DONE) {
        c->blind = true;
        note(c, c->spec->providers[running->provider].name, text == NULL ? "failed" : text);
        c->totals.failures++;
    }
}

static void end_look(struct controller *c, const struct running *running, enum work_outcome outcome)
{
    struct world_balancer *b = &c->world.balancers[running->action.balancer];
    c->looks_open--;
    b->busy = false;
    if (outcome == WORK_DONE) {
        complete_targets(c, running->action.balancer);
        b->seen_ms = c->world.now_ms;
    }
}

/*
 * A step that ends well and is decided again at once, over and over, means that our picture of the
 * world does not follow the world. That must end in one clear line, not in a busy loop.
 */
static void note_repeat(struct controller *c, const struct action *action)
{
    struct member *m = &c->members[action->instance];
    m->repeats = m->last_kind == action->kind ? m->repeats + 1 : 1;
    m->last_kind = action->kind;
}

static void end_action(struct controller *c, struct running *running, int64_t took_ms,
                       enum work_outcome outcome, const struct message *result, const char *text)
{
    const struct action *action = &running->action;
    char detail[160] = "";
    struct err e = ERR_NULL;
    note_repeat(c, action);
    c->members[action->instance].acted_ms = c->world.now_ms;
    if (outcome == WORK_DONE && action_kind_has_effect(action->kind) &&
        c->members[action->instance].repeats > REPEATS_MAX) {
        outcome = WORK_PERMANENT;
        text = "the same step ended well many times in a row and is still wanted; please report it";
    }
    if (outcome == WORK_DONE && action->kind == ACTION_GREET &&
        check_origin(c, action->instance, result, &e) < 0) {
        outcome = WORK_PERMANENT;
        text = e.text;
    }
    if (outcome == WORK_DONE && action->kind == ACTION_LAUNCH &&
        check_content(c, running, result, &e) < 0) {
        outcome = WORK_PERMANENT;
        text = e.text;
    }
    if (outcome == WORK_DONE) {
        describe(running, result, detail, sizeof(detail));
        if (action->kind != ACTION_CHECK) { /* It mends nothing that failed. */
            c->members[action->instance].record.failures = 0;
            xreplace(&c->members[action->instance].record.reason, NULL);
        }
        apply_result(c, running, result);
        text = detail[0] == '\0' ? NULL : detail;
    } else {
        result_fail(c, action, outcome, text);
        text = c->members[action->instance].record.reason;
    }
    if (action_kind_has_effect(action->kind) || outcome != WORK_DONE) {
        write_records(c, running, outcome, text);
    } else if (c->journal != NULL && action->kind != ACTION_COMPARE) {
        member_to_record(c, action->instance);
        journal_put_instance(c->journal, &c->members[action->instance].record);
    }
    if (c->options.watch.on_end != NULL) {
        c->options.watch.on_end(c->options.watch.context, action,
                                c->world.instances[action->instance].id, outcome, took_ms, text);
    }
}

void result_end(void *context, struct job *job, enum work_outcome outcome,
                const struct message *result, const char *text)
{
    struct controller *c = context;
    struct running *running = job_data(job);
    c->world.now_ms = clock_now_ms();
    if (running->kind == RUNNING_ALARM) {
        refresh_alarm_end(c, running, outcome, result, text);
    } else if (running->kind == RUNNING_LIST) {
        end_list(c, running, outcome, text);
    } else if (running->kind == RUNNING_LOOK) {
        end_look(c, running, outcome);
    } else {
        end_action(c, running, clock_now_ms() - job_started_ms(job), outcome, result, text);
    }
    running_free(running);
}

void result_unstarted(struct controller *c, struct running *running, const char *text)
{
    end_action(c, running, 0, WORK_TRANSIENT, NULL, text);
    running_free(running);
}

static enum world_health health_of(enum check_health health)
{
    return health == CHECK_HEALTHY     ? WORLD_HEALTHY
           : health == CHECK_UNHEALTHY ? WORLD_UNHEALTHY
                                       : WORLD_HEALTH_UNKNOWN;
}

/* Something went wrong: the provider and the balancers may know more, and are asked now. */
static void note_trouble(struct controller *c, const char *id, const char *what, const char *text)
{
    c->list_soon = true;
    c->looked_ms = 0;
    char *line = xasprintf("%s (%s)", what, text);
    note(c, id, line);
    free(line);
}

static void hear_liveness(struct controller *c, size_t index, enum world_health health,
                          const char *text)
{
    struct world_instance *it = &c->world.instances[index];
    enum world_health before = it->alive.health;
    it->alive = (struct world_witness){.health = health, .since_ms = c->world.now_ms};
    if (before == WORLD_HEALTHY && health == WORLD_UNHEALTHY) {
        note_trouble(c, it->id, "its SSH port no longer accepts", text);
    } else if (before == WORLD_UNHEALTHY && health == WORLD_HEALTHY && !it->busy) {
        /* It may be back as it was before: it is greeted and compared again. */
        it->greeted = false;
        it->drift = WORLD_DRIFT_UNKNOWN;
        note(c, it->id, "its SSH port accepts again");
    }
}

static void hear_readiness(struct controller *c, size_t index, enum world_health health,
                           const char *text)
{
    struct world_instance *it = &c->world.instances[index];
    enum world_health before = it->health.health;
    it->health = (struct world_witness){.health = health, .since_ms = c->world.now_ms};
    if (before != WORLD_HEALTH_UNKNOWN && it->group != WORLD_NONE &&
        c->spec->groups[it->group].pool != SPEC_NONE) {
        const struct spec_check *check = &c->spec->pools[c->spec->groups[it->group].pool].check;
        unsigned results = check->rise > check->fall ? check->rise : check->fall;
        damping_on_transition(&it->damping, c->world.now_ms, check->interval_ms * results);
    }
    xreplace(&c->members[index].probe_text, text);
    if (before == WORLD_HEALTHY && health == WORLD_UNHEALTHY) {
        note_trouble(c, it->id, "probe healthy -> unhealthy", text);
    }
}

void result_transition(struct controller *c, const struct check_transition *t)
{
    size_t index = find_id(c, t->id);
    if (index == WORLD_NONE || !c->members[index].probed[t->role]) {
        return;
    }
    char *text = clean_text(t->text);
    if (t->role == CHECK_LIVENESS) {
        hear_liveness(c, index, health_of(t->health), text);
    } else {
        hear_readiness(c, index, health_of(t->health), text);
    }
    free(text);
}
