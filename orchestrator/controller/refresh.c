/*
 * The refresh of a group as a record, and what the controller does beside decide(): keeps the pin
 * in step, counts and times what was replaced, runs the alarm command. The numbers that core needs
 * are in world.groups[i].refresh, all else in notes[i].
 */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/refresh.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALARM_GRACE_MS 5000 /* Of its worker, beyond the command's own time. */

static_assert(RECORD_CHECKPOINTS_MAX == WORLD_CHECKPOINTS_MAX, "one for each");

static struct world_refresh *world_of(struct controller *c, size_t group)
{
    return &c->world.groups[group].refresh;
}

/* Records. */

static int64_t from_wall(const struct controller *c, int64_t wall_ms)
{
    return wall_ms - c->wall_offset_ms;
}

static void take_record(struct controller *c, size_t group, struct record_refresh *r)
{
    struct world_refresh *w = world_of(c, group);
    *w = (struct world_refresh){
        .state = (enum world_refresh_state)r->state,
        .since_ms = from_wall(c, r->since_ms),
        .began_ms = from_wall(c, r->began_ms),
        .wanted = r->wanted,
        .before = r->before,
        .all = r->all,
        .rollback = r->rollback,
        .warm_up_ms = r->warm_up_ms,
        .bake_ms = r->bake_ms,
        .checkpoint_count = r->checkpoint_count,
        .checkpoints_passed = r->checkpoints_passed,
        .checkpoint_delay_ms = r->checkpoint_delay_ms,
        .protected_ones = (enum world_refresh_policy)r->protected_ones,
        .standby_ones = (enum world_refresh_policy)r->standby_ones,
        .failed = r->failed,
    };
    memcpy(w->checkpoints, r->checkpoints, sizeof(w->checkpoints));
    c->notes[group].refresh = *r; /* Its texts are taken over. */
    *r = (struct record_refresh){.group = NULL};
}

/* A controller before us may have seen the alarm go off, and been ended before it was acted on. */
static void take_alarm(struct controller *c, size_t group)
{
    bool off = c->notes[group].refresh.alarm_text != NULL;
    if (off && world_refresh_goes_forth(world_of(c, group)->state)) {
        world_of(c, group)->alarm = WORLD_UNHEALTHY;
    }
}

/* The file says another image since, or another size or user-data: what is wanted of the group is
   no longer what was asked. */
static void drop_void(struct controller *c, size_t group)
{
    struct group_note *note = &c->notes[group];
    const struct world_refresh *w = world_of(c, group);
    uint64_t content = c->world.groups[group].content;
    bool known = note->image != NULL && (content == w->wanted || content == w->before);
    if (known || !world_refresh_is_active(w->state)) {
        return;
    }
    world_refresh_end(&c->world, group, false);
    c->world.groups[group].content = content;
    note->refresh.since_ms = clock_wall_ms();
    xreplace(&note->refresh.reason,
             note->image == NULL ? "the cluster file names another image, or another version, for "
                                   "its template"
                                 : "the cluster file says another size or user-data for its "
                                   "template");
    xreplace(&note->refresh.cause, note->refresh.reason);
    note->outdated = true;
}

int refresh_load(struct controller *c, struct err *e)
{
    struct record_refresh *records;
    size_t count;
    if (record_refresh_list(c->store, &records, &count, e) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        size_t group = spec_find_group(c->spec, records[i].group);
        if (group != SPEC_NONE) {
            take_record(c, group, &records[i]);
            take_alarm(c, group);
            drop_void(c, group);
        }
    }
    record_refresh_list_free(records, count);
    return 0;
}

void refresh_free(struct controller *c)
{
    for (size_t g = 0; c->notes != NULL && g < c->spec->group_count; g++) {
        free(c->notes[g].image);
        free(c->notes[g].image_of);
        record_refresh_deinit(&c->notes[g].refresh);
    }
    free(c->notes);
}

struct record_refresh refresh_record(const struct controller *c, size_t group)
{
    const struct world_refresh *w = &c->world.groups[group].refresh;
    struct record_refresh r = c->notes[group].refresh;
    r.group = c->spec->groups[group].name;
    r.state = (int)w->state;
    r.wanted = w->wanted;
    r.before = w->before;
    r.all = w->all;
    r.rollback = w->rollback;
    r.warm_up_ms = w->warm_up_ms;
    r.bake_ms = w->bake_ms;
    memcpy(r.checkpoints, w->checkpoints, sizeof(r.checkpoints));
    r.checkpoint_count = w->checkpoint_count;
    r.checkpoints_passed = w->checkpoints_passed;
    r.checkpoint_delay_ms = w->checkpoint_delay_ms;
    r.protected_ones = (int)w->protected_ones;
    r.standby_ones = (int)w->standby_ones;
    r.failed = w->failed;
    return r;
}

void refresh_put(struct controller *c, size_t group)
{
    if (world_of(c, group)->state != WORLD_REFRESH_NONE) {
        const struct record_refresh record = refresh_record(c, group);
        journal_put_refresh(c->journal, &record);
    }
}

struct refresh_origin refresh_origin_of(const struct controller *c, size_t group, uint64_t content)
{
    const struct group_note *note = &c->notes[group];
    const struct record_refresh *r = &note->refresh;
    const struct world_refresh *w = &c->world.groups[group].refresh;
    struct refresh_origin origin = {.image = NULL};
    if (world_refresh_is_active(w->state) && content == w->wanted) {
        origin.image = r->image;
        origin.template = template_version_from_ref(c->versions, r->template);
    } else if (world_refresh_is_active(w->state) && content == w->before) {
        origin.image = r->before_image;
        origin.template = template_version_from_ref(c->versions, r->before_template);
    } else if (content == c->world.groups[group].content) {
        origin.image = note->image;
        origin.template = note->template;
    }
    if (origin.template == NULL) {
        origin.template = templates_of_file(c, group);
    }
    return origin;
}

uint64_t refresh_tree(const struct controller *c, size_t group)
{
    const struct template_version *pinned = c->notes[group].template;
    const struct template_version *by = pinned != NULL ? pinned : templates_of_file(c, group);
    return template_version_content(c->world.groups[group].content,
                                    template_version_launch(c->versions, by));
}

/* One of the refresh's two. What is as the file says is not pinned, so that it goes with it. */
static void set_pin(struct controller *c, size_t group, const char *image, const char *ref,
                    bool whole)
{
    struct group_note *note = &c->notes[group];
    const struct template_version *v = template_version_from_ref(c->versions, ref);
    const struct template_version *file = templates_of_file(c, group);
    bool other = v != NULL && template_version_launch(c->versions, v) !=
                                  template_version_launch(c->versions, file);
    xreplace(&note->image, image);
    note->whole = whole && v != NULL;
    note->template = note->whole || other ? v : NULL;
}

/* What new instances are made from is named as it is known: one of the refresh's two images. Where
   both have one content, how far it is says which. */
static void follow_pin(struct controller *c, size_t group)
{
    struct group_note *note = &c->notes[group];
    const struct record_refresh *r = &note->refresh;
    const struct world_refresh *w = world_of(c, group);
    uint64_t content = c->world.groups[group].content;
    bool new_holds =
        content == w->wanted && (content != w->before || w->state == WORLD_REFRESH_DONE);
    bool pinned_whole = note->whole;
    if (content == 0) {
        set_pin(c, group, NULL, NULL, false);
    } else if (new_holds) {
        set_pin(c, group, r->image, r->template, r->whole);
    } else if (content == w->before) {
        set_pin(c, group, r->before_image, r->before_template, r->before_whole);
    }
    if (pinned_whole || note->whole) {
        c->context_version++; /* Roles and settings may be others from now on. */
    }
    const char *of = c->spec->templates[c->spec->groups[group].template].image;
    xreplace(&note->image_of, note->image == NULL ? NULL : of);
}

void refresh_note_state(struct controller *c, size_t group, const char *reason)
{
    struct group_note *note = &c->notes[group];
    note->refresh.since_ms = clock_wall_ms();
    xreplace(&note->refresh.reason, reason);
    enum world_refresh_state state = world_of(c, group)->state;
    if (state == WORLD_REFRESH_BACK || state == WORLD_REFRESH_STOPPED ||
        state == WORLD_REFRESH_CANCELLED) {
        xreplace(&note->refresh.cause, reason);
    }
    if (state == WORLD_REFRESH_BACK) {
        note->refresh.replaced = 0;
        note->mark_count = 0;
    }
    follow_pin(c, group);
    groups_put(c, group);
    refresh_put(c, group);
}

/* Why. */

/* The failure of a new one that did not come into service; NULL when none is to be found. */
static const struct record_instance *failed_one(const struct controller *c, size_t group)
{
    const struct world_refresh *w = &c->world.groups[group].refresh;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        const struct world_instance *it = &c->world.instances[i];
        if (it->group == group && it->content == w->wanted && it->made_ms >= w->began_ms &&
            it->in_service_ms == 0 && c->members[i].record.reason != NULL) {
            return &c->members[i].record;
        }
    }
    return NULL;
}

static void add_cause(char *text, size_t size, const char *cause)
{
    struct str clean = STR_NULL;
    size_t first = strcspn(cause, "\n"); /* Its first line, without a colon before what follows. */
    first -= first > 0 && cause[first - 1] == ':' ? 1 : 0;
    str_add_printable(&clean, cause, first, false);
    size_t length = strlen(text);
    snprintf(text + length, size - length, ": %s", str_text(&clean));
    str_deinit(&clean);
}

void refresh_add_cause(const struct controller *c, size_t group, enum reason_code code, char *text,
                       size_t size)
{
    const struct record_refresh *r = &c->notes[group].refresh;
    if (code == REASON_REFRESH_ALARM && r->alarm_text != NULL) {
        add_cause(text, size, r->alarm_text);
    }
    const struct record_instance *failed =
        code == REASON_REFRESH_FAILED ? failed_one(c, group) : NULL;
    if (failed != NULL) {
        char *cause = xasprintf("%s: %s", failed->id, failed->reason);
        add_cause(text, size, cause);
        free(cause);
    }
}

void refresh_alarm_set(struct controller *c, size_t group, const char *text)
{
    struct world_refresh *w = world_of(c, group);
    struct record_refresh *r = &c->notes[group].refresh;
    if (w->alarm == WORLD_UNHEALTHY) {
        return;
    }
    w->alarm = text == NULL ? WORLD_HEALTHY : WORLD_UNHEALTHY;
    if (text == NULL) {
        return;
    }
    struct str clean = STR_NULL;
    str_add_printable(&clean, text, strcspn(text, "\n"), false);
    xreplace(&r->alarm_text, str_text(&clean));
    if (c->journal != NULL) {
        refresh_put(c, group);
    }
    if (c->options.watch.on_note != NULL) {
        char *line = xasprintf("the alarm of its refresh: %s", str_text(&clean));
        c->options.watch.on_note(c->options.watch.context, c->spec->groups[group].name, line);
        free(line);
    }
    str_deinit(&clean);
}

/* The alarm command. */

static void build_alarm(const struct controller *c, size_t group, struct message *request)
{
    const struct record_refresh *r = &c->notes[group].refresh;
    message_init(request, WIRE_HOOK);
    message_put_int(request, WIRE_DEADLINE, c->world.now_ms + r->alarm_timeout_ms + ALARM_GRACE_MS);
    message_put_text(request, WIRE_COMMAND, r->alarm_command);
    message_put_int(request, WIRE_HEARTBEAT, r->alarm_timeout_ms);
    message_put_int(request, WIRE_TIMEOUT, r->alarm_timeout_ms);
    message_put_text(request, WIRE_TRANSITION, "refreshing");
    message_put_text(request, WIRE_CLUSTER, c->spec->cluster);
    message_put_text(request, WIRE_GROUP, c->spec->groups[group].name);
}

static void run_alarm(struct controller *c, size_t group)
{
    struct group_note *note = &c->notes[group];
    const struct record_refresh *r = &note->refresh;
    const struct world_refresh *w = world_of(c, group);
    int64_t now_ms = c->world.now_ms;
    bool due = note->alarm_ms == 0 || now_ms - note->alarm_ms >= r->alarm_every_ms;
    if (r->alarm_command == NULL || note->alarm_runs || !due || w->alarm == WORLD_UNHEALTHY) {
        return;
    }
    struct message request = MESSAGE_NULL;
    build_alarm(c, group, &request);
    struct running *running = xcalloc(1, sizeof(*running));
    running->kind = RUNNING_ALARM;
    running->action =
        (struct action){.instance = WORLD_NONE, .group = group, .balancer = WORLD_NONE};
    running->asked_ms = w->began_ms;
    const struct crew_request job = {.kind = CREW_HOOK,
                                     .message = &request,
                                     .deadline_ms = now_ms + r->alarm_timeout_ms + ALARM_GRACE_MS,
                                     .data = running};
    struct err e = ERR_NULL;
    note->alarm_ms = now_ms;
    note->alarm_runs = crew_start(c->crew, &job, &e) == 0;
    message_deinit(&request);
    if (!note->alarm_runs) {
        /* Our own trouble, not the group's: asked again when it is due again. */
        log_warning("%s: its alarm command could not be begun: %s", c->spec->groups[group].name,
                    e.text);
        running_free(running);
    }
}

void refresh_alarm_end(struct controller *c, const struct running *running,
                       enum work_outcome outcome, const struct message *result, const char *text)
{
    size_t group = running->action.group;
    const struct world_refresh *w = world_of(c, group);
    c->notes[group].alarm_runs = false;
    if (!world_refresh_goes_forth(w->state) || w->began_ms != running->asked_ms) {
        return; /* Of one that is over. */
    }
    if (outcome == WORK_DONE && message_int(result, WIRE_STATUS, 1) == 0) {
        refresh_alarm_set(c, group, NULL);
        return;
    }
    char *said = xasprintf("%s: %s",
                           outcome == WORK_DONE ? "its command says"
                                                : "its command could not be run to its end",
                           text == NULL ? "nothing" : text);
    refresh_alarm_set(c, group, said);
    free(said);
}

/* Counting. */

void refresh_note_mark(struct controller *c, size_t group)
{
    struct group_note *note = &c->notes[group];
    if (note->mark_count < MARKS_MAX) {
        note->marks_ms[note->mark_count++] = c->world.now_ms;
    }
}

/* One more is counted on: the oldest mark is done. */
static void note_lead(const struct controller *c, struct group_note *note)
{
    struct record_refresh *r = &note->refresh;
    if (note->mark_count == 0) {
        return; /* It had the content before, or was marked by a controller before us. */
    }
    int64_t lead_ms = c->world.now_ms - note->marks_ms[0];
    note->mark_count--;
    memmove(note->marks_ms, note->marks_ms + 1, note->mark_count * sizeof(note->marks_ms[0]));
    r->lead_ms = (r->lead_ms * r->leads + lead_ms) / (r->leads + 1);
    r->leads++;
}

static void count(struct controller *c, size_t group)
{
    struct group_note *note = &c->notes[group];
    const struct refresh_count now = refresh_count(&c->decision.survey, group);
    /* One that is not counted on for a moment was replaced all the same. */
    if (now.replaced <= note->refresh.replaced) {
        return;
    }
    for (size_t i = note->refresh.replaced; i < now.replaced; i++) {
        note_lead(c, note);
    }
    note->refresh.replaced = (unsigned)now.replaced;
    refresh_put(c, group);
}

static void write_outdated(struct controller *c, size_t group)
{
    struct group_note *note = &c->notes[group];
    if (note->outdated) {
        note->outdated = false;
        groups_put(c, group);
        refresh_put(c, group);
        journal_add_event(c->journal, c->spec->groups[group].name, "refresh", note->refresh.reason,
                          world_refresh_to_string(world_of(c, group)->state));
    }
}

void refresh_watch(struct controller *c, bool stopping)
{
    for (size_t g = 0; c->journal != NULL && !c->looking_only && g < c->spec->group_count; g++) {
        write_outdated(c, g);
        if (world_refresh_is_active(world_of(c, g)->state)) {
            count(c, g);
        }
        if (!stopping && world_refresh_goes_forth(world_of(c, g)->state)) {
            run_alarm(c, g);
        }
    }
}

/* How long yet. */

static int64_t delays_ahead(const struct world_refresh *w)
{
    size_t passed = w->checkpoints_passed + (w->state == WORLD_REFRESH_CHECKPOINT ? 1 : 0);
    size_t ahead = w->checkpoint_count > passed ? w->checkpoint_count - passed : 0;
    return ahead == 0                   ? 0
           : w->checkpoint_delay_ms < 0 ? -1
                                        : (int64_t)ahead * w->checkpoint_delay_ms;
}

/* Until all is replaced, by what replacing one took; -1: nothing was timed yet, or it waits. */
static int64_t replacing_ms(const struct controller *c, size_t group)
{
    const struct group_note *note = &c->notes[group];
    const struct refresh_count now = refresh_count(&c->decision.survey, group);
    size_t desired = c->world.groups[group].desired;
    size_t most = desired * c->spec->groups[group].healthy_max_percent / 100;
    size_t width = most <= desired + 1 ? 1 : most - desired;
    size_t rounds = (now.left + now.moving + width - 1) / width;
    if (rounds == 0) {
        return 0;
    }
    if (note->refresh.leads == 0 || now.waiting > 0) {
        return -1;
    }
    int64_t gone_ms = note->mark_count == 0 ? 0 : c->world.now_ms - note->marks_ms[0];
    int64_t lead_ms = note->refresh.lead_ms;
    return (int64_t)rounds * lead_ms - (gone_ms < lead_ms ? gone_ms : lead_ms);
}

int64_t refresh_remaining(const struct controller *c, size_t group)
{
    const struct world_refresh *w = &c->world.groups[group].refresh;
    int64_t in_state_ms = c->world.now_ms - w->since_ms;
    int64_t left_ms = 0;
    switch (w->state) {
    case WORLD_REFRESH_NONE:
    case WORLD_REFRESH_DONE:
    case WORLD_REFRESH_CANCELLED:
    case WORLD_REFRESH_STOPPED:
    case WORLD_REFRESH_ROLLED_BACK: return 0;
    case WORLD_REFRESH_BACK: return replacing_ms(c, group);
    case WORLD_REFRESH_BAKING: left_ms = w->bake_ms - in_state_ms; return left_ms > 0 ? left_ms : 0;
    case WORLD_REFRESH_CHECKPOINT:
        if (w->checkpoint_delay_ms < 0) {
            return -1;
        }
        left_ms = w->checkpoint_delay_ms - in_state_ms;
        left_ms = left_ms > 0 ? left_ms : 0;
        break;
    case WORLD_REFRESH_RUNNING: break;
    }
    int64_t replacing = replacing_ms(c, group);
    int64_t delays = delays_ahead(w);
    return replacing < 0 || delays < 0 ? -1 : left_ms + replacing + delays + w->bake_ms;
}
