/*
 * What operators ask for: records that other commands wrote, taken in here and nowhere else. Taking
 * one in changes only what is wanted (a wish, a size, a switch) and says so in the events; whether
 * and when anything is done about it is for decide() to say, like everything else.
 */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "controller/origin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define REFUSAL_SIZE 400

/* One request as it is taken in; REFUSED is empty when it was taken. */
struct taking {
    struct controller *c;
    const struct record_request *request;
    size_t instance; /* Of its subject, or WORLD_NONE. */
    size_t group;    /* Of its subject, or of that instance. */
    char refused[REFUSAL_SIZE];
    char said[REFUSAL_SIZE]; /* When it was taken: what there is to say of it. */
};

static void refuse(struct taking *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void refuse(struct taking *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->refused, sizeof(t->refused), format, args);
    va_end(args);
}

static struct world_instance *instance_of(struct taking *t)
{
    if (t->instance == WORLD_NONE) {
        refuse(t, "there is no instance %s", t->request->subject);
        return NULL;
    }
    struct world_instance *it = &t->c->world.instances[t->instance];
    if (it->lifecycle == LIFECYCLE_TERMINATED) {
        refuse(t, "%s is gone; `lamplighter status` lists who is there", it->id);
        return NULL;
    }
    return it;
}

static struct world_group *group_of(struct taking *t)
{
    if (t->group == WORLD_NONE) {
        refuse(t, "there is no group %s", t->request->subject);
        return NULL;
    }
    return &t->c->world.groups[t->group];
}

/* Sizes. */

static void set_desired(struct taking *t, int64_t desired)
{
    const struct spec_group *spec = &t->c->spec->groups[t->group];
    if (desired < spec->min || desired > spec->max) {
        refuse(t, "%s: %lld is not between min %u and max %u", spec->name, (long long)desired,
               spec->min, spec->max);
        return;
    }
    t->c->world.groups[t->group].desired = (unsigned)desired;
}

/* Wishes. */

static void wish(struct taking *t, enum world_wish wish)
{
    struct world_instance *it = instance_of(t);
    if (it == NULL) {
        return;
    }
    if (it->lifecycle == LIFECYCLE_DETACHED || world_leaving(it->lifecycle)) {
        refuse(t, "%s is %s", it->id, lifecycle_to_string(it->lifecycle));
        return;
    }
    it->wish = wish;
}

static void detach(struct taking *t)
{
    wish(t, WORLD_WISH_DETACH);
    if (t->refused[0] == '\0' && t->request->value != 0 && t->group != WORLD_NONE) {
        set_desired(t, (int64_t)t->c->world.groups[t->group].desired - 1);
        if (t->refused[0] != '\0') {
            t->c->world.instances[t->instance].wish = WORLD_WISH_NONE;
        }
    }
}

/* Into its group, as if it had just been made and configured: it is compared, then let in. */
static void attach(struct taking *t)
{
    struct world_instance *it = instance_of(t);
    if (it == NULL) {
        return;
    }
    if (it->lifecycle != LIFECYCLE_DETACHED || it->group == WORLD_NONE) {
        refuse(t, "%s is %s", it->id,
               it->group == WORLD_NONE ? "of a group that is not in the file"
                                       : lifecycle_to_string(it->lifecycle));
        return;
    }
    if (builder_is(t->c, t->instance)) {
        refuse(t, "an image is built on %s", it->id);
        return;
    }
    const struct spec_group *spec = &t->c->spec->groups[it->group];
    struct world_group *g = &t->c->world.groups[it->group];
    size_t members = 0;
    for (size_t i = 0; i < t->c->world.instance_count; i++) {
        const struct world_instance *other = &t->c->world.instances[i];
        members += other->group == it->group && !world_leaving(other->lifecycle) &&
                           other->lifecycle != LIFECYCLE_DETACHED
                       ? 1
                       : 0;
    }
    if (members >= g->desired && g->desired >= spec->max) {
        refuse(t, "group %s has its max of %u already", spec->name, spec->max);
        return;
    }
    g->desired += members >= g->desired ? 1 : 0;
    world_attach(t->c->spec, &t->c->world, t->instance);
    t->c->context_version++;
}

static void terminate(struct taking *t)
{
    struct world_instance *it = instance_of(t);
    if (it == NULL) {
        return;
    }
    if (it->lifecycle != LIFECYCLE_DETACHED || it->group == WORLD_NONE) {
        refuse(t, "%s is %s; `group replace` or `group scale` end a member of a group", it->id,
               lifecycle_to_string(it->lifecycle));
        return;
    }
    it->lifecycle = LIFECYCLE_TERMINATING;
}

/* Switches. */

static void suspend(struct taking *t, bool on)
{
    struct world_group *g = group_of(t);
    if (g == NULL) {
        return;
    }
    bool all = !on && text_equal(t->request->word, "all");
    unsigned process =
        all ? ~0U
            : (unsigned)world_process_from_string(t->request->word == NULL ? "" : t->request->word);
    if (process == 0) {
        refuse(t, "there is no process %s", t->request->word == NULL ? "?" : t->request->word);
        return;
    }
    g->suspended = on ? g->suspended | process : g->suspended & ~process;
}

static void pause_it(struct taking *t, bool on)
{
    if (t->request->subject == NULL) {
        t->c->world.paused = on;
        groups_put_cluster(t->c, false);
    } else if (t->instance != WORLD_NONE) {
        t->c->world.instances[t->instance].paused = on;
    } else {
        struct world_group *g = group_of(t);
        if (g != NULL) {
            g->paused = on;
        }
    }
}

static void retry_instance(struct taking *t)
{
    struct record_instance *r = &t->c->members[t->instance].record;
    origin_accept(r);
    world_retry(&t->c->world, t->instance);
    r->failures = 0;
    free(r->reason);
    r->reason = NULL;
    t->c->members[t->instance].repeats = 0;
}

static void retry(struct taking *t)
{
    if (t->instance != WORLD_NONE) {
        const char *machine = t->c->members[t->instance].record.machine;
        if (machine != NULL) {
            machines_retry(t->c, machine);
        }
        retry_instance(t);
        return;
    }
    if (t->group == WORLD_NONE && t->request->subject != NULL &&
        machines_retry(t->c, t->request->subject)) {
        return;
    }
    struct world_group *g = group_of(t);
    if (g == NULL) {
        return;
    }
    g->failed_launches = 0;
    for (size_t i = 0; i < t->c->world.instance_count; i++) {
        if (t->c->world.instances[i].group == t->group &&
            t->c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED) {
            t->instance = i;
            retry_instance(t);
            member_to_record(t->c, i);
            journal_put_instance(t->c->journal, &t->c->members[i].record);
        }
    }
    t->instance = WORLD_NONE;
}

static void end_hook(struct taking *t, bool abandon)
{
    struct world_instance *it = instance_of(t);
    if (it == NULL) {
        return;
    }
    if (it->lifecycle != LIFECYCLE_PENDING_WAIT && it->lifecycle != LIFECYCLE_TERMINATING_WAIT) {
        refuse(t, "%s waits for no hook: it is %s", it->id, lifecycle_to_string(it->lifecycle));
        return;
    }
    it->hook_done = true;
    it->hook_abandon = abandon;
}

/* Builders. */

static void build(struct taking *t)
{
    struct err e = ERR_NULL;
    size_t index;
    if (group_of(t) == NULL) {
        return;
    }
    if (t->request->word == NULL ||
        builder_add(t->c, t->group, t->request->word, &index, &e) != 0) {
        refuse(t, "%s", t->request->word == NULL ? "for nobody" : e.text);
    }
}

static void end_build(struct taking *t)
{
    size_t index = t->request->subject == NULL ? WORLD_NONE
                                               : controller_find_builder(t->c, t->request->subject);
    if (index == WORLD_NONE) {
        refuse(t, "there is no builder %s", t->request->subject == NULL ? "" : t->request->subject);
        return;
    }
    struct record_instance *r = &t->c->members[index].record;
    bool keep = t->request->value != 0;
    if (keep && t->request->word != NULL) {
        free(r->host_key);
        r->host_key = xstrdup(t->request->word);
    }
    builder_end(t->c, index, keep, "its command is done with it");
    /* What is to be written of it is. */
    t->instance = WORLD_NONE;
    t->group = WORLD_NONE;
}

/* Captures. */

static void want_capture(struct taking *t)
{
    const struct world_instance *it = instance_of(t);
    struct err e = ERR_NULL;
    if (it == NULL) {
        return;
    }
    if (it->lifecycle != LIFECYCLE_IN_SERVICE) {
        refuse(t, "%s is %s", it->id, lifecycle_to_string(it->lifecycle));
    } else if (t->request->word == NULL ||
               capture_want(t->c, t->instance, t->request->word, &e) != 0) {
        refuse(t, "%s", t->request->word == NULL ? "for nobody" : e.text);
    }
}

static void end_capture(struct taking *t)
{
    if (instance_of(t) == NULL) {
        return;
    }
    if (t->c->members[t->instance].record.capturer == NULL) {
        refuse(t, "no image is taken of %s", t->request->subject);
        return;
    }
    capture_end(t->c, t->instance, t->request->word == NULL ? "done" : t->request->word);
}

/* Refreshes. */

static void refresh(struct taking *t)
{
    struct err e = ERR_NULL;
    if (group_of(t) == NULL) {
        return;
    }
    const char *who = t->request->who == NULL ? "?" : t->request->who;
    bool taken = t->request->kind == RECORD_REQUEST_REFRESH
                     ? refresh_take_begin(t->c, t->group, t->request->word, who, &e)
                     : refresh_take_order(t->c, t->group, t->request->kind, who, &e);
    text_copy(taken ? t->said : t->refused, REFUSAL_SIZE, e.text);
}

static void take(struct taking *t)
{
    switch (t->request->kind) {
    case RECORD_REQUEST_SCALE:
        if (group_of(t) != NULL) {
            set_desired(t, t->request->value);
        }
        return;
    case RECORD_REQUEST_STANDBY: wish(t, WORLD_WISH_STANDBY); return;
    case RECORD_REQUEST_IN_SERVICE: wish(t, WORLD_WISH_NONE); return;
    case RECORD_REQUEST_REPLACE: wish(t, WORLD_WISH_REPLACE); return;
    case RECORD_REQUEST_DETACH: detach(t); return;
    case RECORD_REQUEST_ATTACH: attach(t); return;
    case RECORD_REQUEST_TERMINATE: terminate(t); return;
    case RECORD_REQUEST_PROTECT:
    case RECORD_REQUEST_UNPROTECT: {
        struct world_instance *it = instance_of(t);
        if (it != NULL) {
            it->protect = t->request->kind == RECORD_REQUEST_PROTECT;
        }
        return;
    }
    case RECORD_REQUEST_SUSPEND: suspend(t, true); return;
    case RECORD_REQUEST_RESUME: suspend(t, false); return;
    case RECORD_REQUEST_PAUSE: pause_it(t, true); return;
    case RECORD_REQUEST_UNPAUSE: pause_it(t, false); return;
    case RECORD_REQUEST_RETRY: retry(t); return;
    case RECORD_REQUEST_HOOK_CONTINUE: end_hook(t, false); return;
    case RECORD_REQUEST_HOOK_ABANDON: end_hook(t, true); return;
    case RECORD_REQUEST_CAPTURE: want_capture(t); return;
    case RECORD_REQUEST_CAPTURE_END: end_capture(t); return;
    case RECORD_REQUEST_BUILD: build(t); return;
    case RECORD_REQUEST_BUILD_END: end_build(t); return;
    case RECORD_REQUEST_REFRESH:
    case RECORD_REQUEST_REFRESH_CONTINUE:
    case RECORD_REQUEST_REFRESH_CANCEL:
    case RECORD_REQUEST_REFRESH_ROLLBACK: refresh(t); return;
    case RECORD_REQUEST_HOOK_HEARTBEAT: {
        struct world_instance *it = instance_of(t);
        if (it != NULL && it->hook_ms != 0) {
            it->hook_ms = t->c->world.now_ms;
        }
        return;
    }
    }
    refuse(t, "this controller does not know what is asked; it is older than the command");
}

static void put(struct taking *t)
{
    if (t->instance != WORLD_NONE) {
        member_to_record(t->c, t->instance);
        journal_put_instance(t->c->journal, &t->c->members[t->instance].record);
    }
    if (t->group != WORLD_NONE) {
        groups_put(t->c, t->group);
    }
}

static void take_one(struct controller *c, const struct record_request *request)
{
    struct taking t = {.c = c, .request = request, .instance = WORLD_NONE, .group = WORLD_NONE};
    if (request->subject != NULL) {
        t.instance = controller_find_member(c, request->subject);
        t.group = t.instance == WORLD_NONE ? spec_find_group(c->spec, request->subject)
                                           : c->world.instances[t.instance].group;
    }
    take(&t);
    const char *what = record_request_kind_to_string(request->kind);
    const char *subject = request->subject == NULL ? c->spec->cluster : request->subject;
    char why[160];
    snprintf(why, sizeof(why), "asked for by %s", request->who == NULL ? "?" : request->who);
    char outcome[REFUSAL_SIZE + 16];
    if (t.refused[0] != '\0') {
        snprintf(outcome, sizeof(outcome), "refused: %s", t.refused);
    } else {
        snprintf(outcome, sizeof(outcome), "taken%s%s", t.said[0] == '\0' ? "" : ": ", t.said);
    }
    if (t.refused[0] == '\0') {
        put(&t);
    }
    journal_add_event(c->journal, subject, what, why, outcome);
    journal_delete_request(c->journal, request->number);
    if (c->options.watch.on_note != NULL) {
        char note[REFUSAL_SIZE + 200];
        snprintf(note, sizeof(note), "%s %s: %s", what, why, outcome);
        c->options.watch.on_note(c->options.watch.context, subject, note);
    }
}

int requests_take(struct controller *c, struct err *e)
{
    if (c->journal == NULL) {
        return 0;
    }
    struct record_request *requests;
    size_t count;
    if (record_request_list(c->store, &requests, &count, e) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        /* S21: an address is free when the providers have told what they have. */
        if (requests[i].kind != RECORD_REQUEST_BUILD || c->all_listed) {
            take_one(c, &requests[i]);
        }
    }
    record_request_list_free(requests, count);
    return journal_commit(c->journal, e);
}
