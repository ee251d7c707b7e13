#include "sim/schedule.h"

#include "base/str.h"
#include "core/why.h"
#include "rehearse/driver.h"

#include <inttypes.h>
#include <string.h>

/* How often the controller's holds are looked through when everything is to come to rest. */
#define MEND_EVERY_MS 60000
/* At rest for so long is at rest. */
#define REST_MS 180000

struct schedule {
    const struct schedule_options *options;
    struct cluster cluster;
    struct random random; /* What is done to the cluster; the engine has its own. */
    struct engine engine;
    struct watch watch;
    struct schedule_counts counts;
    /* Faults under way: what to end. */
    struct {
        enum fault fault;
        size_t subject;
        char id[WORLD_ID_SIZE]; /* Of the host, that it is still the same. */
    } struck[256];
    size_t struck_count;
    int64_t fault_every_ms;
    int64_t ask_every_ms;
    bool mending;
    unsigned mends;
    int64_t busy_ms; /* When it last was not at rest. */
};

void schedule_counts_add(struct schedule_counts *to, const struct schedule_counts *from)
{
    to->schedules += from->schedules;
    to->violations += from->violations;
    to->decisions += from->decisions;
    to->steps += from->steps;
    to->simulated_ms += from->simulated_ms;
    if (from->settled_ms_most > to->settled_ms_most) {
        to->settled_ms_most = from->settled_ms_most;
    }
    for (size_t i = 0; i < FAULTS; i++) {
        to->faults[i] += from->faults[i];
    }
    for (size_t i = 0; i < ENGINE_EVENTS; i++) {
        to->events[i] += from->events[i];
    }
    for (size_t i = 0; i < ENGINE_REQUESTS; i++) {
        to->requests[i] += from->requests[i];
    }
    for (size_t i = 0; i < SCHEDULE_CHANGES; i++) {
        to->changes[i] += from->changes[i];
    }
    for (size_t i = 0; i < sizeof(to->actions) / sizeof(to->actions[0]); i++) {
        to->actions[i] += from->actions[i];
    }
    for (size_t i = 0; i < sizeof(to->reasons) / sizeof(to->reasons[0]); i++) {
        to->reasons[i] += from->reasons[i];
    }
    for (size_t i = 0; i < WATCH_RULES; i++) {
        to->rules[i] += from->rules[i];
    }
}

/* The engine's watch. */

static void on_action(void *context, struct engine *e, const struct action *action)
{
    struct schedule *s = context;
    s->counts.actions[action->kind]++;
    watch_on_action(&s->watch, e, action);
}

static void on_end(void *context, struct engine *e, const struct engine_job *job,
                   enum outcome outcome)
{
    struct schedule *s = context;
    watch_on_end(&s->watch, e, job, outcome);
}

static void on_decision(void *context, struct engine *e)
{
    struct schedule *s = context;
    s->counts.decisions++;
    watch_on_decision(&s->watch, e);
}

static void on_truth(void *context, struct engine *e)
{
    struct schedule *s = context;
    watch_on_truth(&s->watch, e);
}

static void on_start(void *context, struct engine *e)
{
    struct schedule *s = context;
    watch_on_start(&s->watch, e);
}

static void on_line(void *context, int64_t now_ms, const char *line)
{
    struct schedule *s = context;
    printf("%4" PRId64 ":%02" PRId64 ".%03" PRId64 "  [", now_ms / 60000, now_ms / 1000 % 60,
           now_ms % 1000);
    for (size_t g = 0; g < s->engine.spec.group_count; g++) {
        printf("%s%s %zu/%u", g == 0 ? "" : ", ", s->engine.spec.groups[g].name,
               engine_serving(&s->engine, g), s->engine.controller.world.groups[g].desired);
    }
    printf("]  %s\n", line);
}

/* Faults. */

static size_t random_host(struct schedule *s, bool balancer)
{
    const struct truth *t = &s->engine.truth;
    size_t found[64];
    size_t count = 0;
    for (size_t i = 0; i < t->host_count && count < 64; i++) {
        bool fits = t->hosts[i].id[0] != '\0' && t->hosts[i].power != TRUTH_ABSENT &&
                    (!balancer || t->hosts[i].group == s->cluster.lb);
        if (fits) {
            found[count++] = i;
        }
    }
    return count == 0 ? WORLD_NONE : found[random_between(&s->random, 0, (int64_t)count - 1)];
}

static size_t random_subject(struct schedule *s, enum fault fault)
{
    switch (fault_scope(fault)) {
    case FAULT_OF_HOST: return random_host(s, false);
    case FAULT_OF_BALANCER: return random_host(s, true);
    case FAULT_OF_GROUP:
        return fault == FAULT_SHARED_DOWN
                   ? s->cluster.web
                   : (size_t)random_between(&s->random, 0,
                                            (int64_t)s->cluster.spec.group_count - 1);
    case FAULT_OF_ZONE:
        return (size_t)random_between(&s->random, 0, (int64_t)s->cluster.spec.zone_count - 1);
    case FAULT_OF_US: return 0;
    }
    return 0;
}

static void end_struck(struct schedule *s, size_t index)
{
    const char *id = s->struck[index].id;
    size_t subject = s->struck[index].subject;
    const struct truth_host *h = id[0] == '\0' ? NULL : &s->engine.truth.hosts[subject];
    if (h == NULL || h->is_static || text_equal(h->id, id)) {
        engine_say(&s->engine, "ends: %s%s%s", fault_to_string(s->struck[index].fault),
                   id[0] == '\0' ? "" : ", ", id);
        fault_end(&s->engine, s->struck[index].fault, subject);
    }
    s->struck[index].fault = FAULT_HOST_OFF;
    s->struck[index].subject = WORLD_NONE;
}

static void on_fault_end(void *context, struct engine *e, size_t index)
{
    struct schedule *s = context;
    (void)e;
    if (s->struck[index].subject != WORLD_NONE) {
        end_struck(s, index);
    }
}

static bool lasts_until_mended(enum fault fault)
{
    return fault == FAULT_HOST_OFF || fault == FAULT_HOST_DOOMED || fault == FAULT_HOST_VANISHES ||
           fault == FAULT_MACHINE_RELAPSES;
}

static void strike(struct schedule *s, enum fault fault)
{
    size_t subject = random_subject(s, fault);
    bool of_host = fault_scope(fault) == FAULT_OF_HOST || fault_scope(fault) == FAULT_OF_BALANCER;
    if (subject == WORLD_NONE || s->struck_count == sizeof(s->struck) / sizeof(s->struck[0])) {
        return;
    }
    const char *at = of_host                                ? s->engine.truth.hosts[subject].id
                     : fault_scope(fault) == FAULT_OF_ZONE  ? s->cluster.spec.zones[subject].name
                     : fault_scope(fault) == FAULT_OF_GROUP ? s->cluster.groups[subject].name
                                                            : "";
    engine_say(&s->engine, "fault: %s%s%s", fault_to_string(fault), at[0] == '\0' ? "" : ", ", at);
    if (!fault_begin(&s->engine, fault, subject)) {
        return;
    }
    s->counts.faults[fault]++;
    size_t index = s->struck_count++;
    s->struck[index].fault = fault;
    s->struck[index].subject = subject;
    text_copy(s->struck[index].id, sizeof(s->struck[index].id), of_host ? at : "");
    bool stays = lasts_until_mended(fault) ||
                 (fault_scope(fault) == FAULT_OF_HOST && fault != FAULT_HOST_BLINKS &&
                  fault != FAULT_HOST_AMNESIA && random_chance(&s->random, 300));
    if (!stays) {
        int64_t most_ms = random_chance(&s->random, 200) ? 1200000 : 180000;
        engine_at(&s->engine, s->engine.now_ms + random_between(&s->random, 1000, most_ms),
                  on_fault_end, s, index);
    }
}

static void on_fault(void *context, struct engine *e, size_t subject)
{
    struct schedule *s = context;
    (void)subject;
    if (s->mending) {
        return;
    }
    strike(s, (enum fault)random_between(&s->random, 0, FAULTS - 1));
    if (random_chance(&s->random, 150)) {
        strike(s, (enum fault)random_between(&s->random, 0, FAULTS - 1));
    }
    engine_at(e, e->now_ms + random_between(&s->random, 1000, s->fault_every_ms), on_fault, s, 0);
}

/* The operator. */

static void ask(struct schedule *s, struct engine_request request)
{
    s->counts.requests[request.kind]++;
    watch_on_request(&s->watch, &request);
    engine_ask(&s->engine, &request);
}

static bool random_instance(struct schedule *s, struct engine_request *request)
{
    const struct world *w = &s->engine.controller.world;
    if (w->instance_count == 0) {
        return false;
    }
    size_t i = (size_t)random_between(&s->random, 0, (int64_t)w->instance_count - 1);
    for (size_t n = 0; request->kind == ENGINE_ATTACH && n < w->instance_count; n++) {
        if (w->instances[n].lifecycle == LIFECYCLE_DETACHED) {
            i = n;
        }
    }
    text_copy(request->instance, sizeof(request->instance), w->instances[i].id);
    request->group = w->instances[i].group;
    return true;
}

static void change_file(struct schedule *s)
{
    size_t group = (size_t)random_between(&s->random, 0, (int64_t)s->cluster.spec.group_count - 1);
    if (random_chance(&s->random, 600)) {
        s->counts.changes[SCHEDULE_ROLES]++;
        engine_change_roles(&s->engine, group);
        return;
    }
    s->counts.changes[SCHEDULE_SIZE]++;
    group = s->cluster.web;
    unsigned desired = (unsigned)random_between(&s->random, 1, 9);
    engine_change_size(&s->engine, group, desired,
                       desired + (unsigned)random_between(&s->random, 0, 3));
}

static enum world_refresh_policy random_policy(struct schedule *s)
{
    return (enum world_refresh_policy)random_between(&s->random, WORLD_REFRESH_WAIT,
                                                     WORLD_REFRESH_IGNORE);
}

/* Onto a content that is good, or bad in one of its ways. */
static void ask_refresh(struct schedule *s)
{
    struct world_refresh r = {.wanted = (uint64_t)random_between(&s->random, 0, 19),
                              .all = random_chance(&s->random, 200),
                              .rollback = random_chance(&s->random, 700),
                              .protected_ones = random_policy(s),
                              .standby_ones = random_policy(s)};
    if (random_chance(&s->random, 300)) {
        r.warm_up_ms = random_between(&s->random, 1000, 120000);
    }
    if (random_chance(&s->random, 300)) {
        r.bake_ms = random_between(&s->random, 1000, 300000);
    }
    if (random_chance(&s->random, 400)) {
        r.checkpoints[0] = (unsigned)random_between(&s->random, 1, 60);
        r.checkpoints[1] = (unsigned)random_between(&s->random, 61, 100);
        r.checkpoint_count = 2;
        r.checkpoint_delay_ms =
            random_chance(&s->random, 300) ? -1 : random_between(&s->random, 0, 120000);
    }
    ask(s, (struct engine_request){.kind = ENGINE_REFRESH, .group = s->cluster.web, .refresh = r});
}

static void on_ask(void *context, struct engine *e, size_t subject)
{
    struct schedule *s = context;
    (void)subject;
    if (s->mending) {
        return;
    }
    engine_at(e, e->now_ms + random_between(&s->random, 1000, s->ask_every_ms), on_ask, s, 0);
    if (random_chance(&s->random, 200)) {
        change_file(s);
        return;
    }
    if (random_chance(&s->random, 120)) {
        ask_refresh(s);
        return;
    }
    struct engine_request request = {
        .kind = (enum engine_request_kind)random_between(&s->random, 0, ENGINE_REQUESTS - 1)};
    switch (request.kind) {
    case ENGINE_SCALE:
        request.group = s->cluster.web;
        request.value = (unsigned)random_between(
            &s->random, 1, (int64_t)s->engine.spec.groups[s->cluster.web].max);
        ask(s, request);
        return;
    case ENGINE_SUSPEND:
    case ENGINE_RESUME:
        request.group = s->cluster.web;
        request.value = 1U << random_between(&s->random, 0, 8);
        ask(s, request);
        return;
    case ENGINE_PAUSE:
    case ENGINE_UNPAUSE:
        request.group = random_chance(&s->random, 300) ? WORLD_NONE : s->cluster.web;
        if (random_chance(&s->random, 500) && !random_instance(s, &request)) {
            return;
        }
        ask(s, request);
        return;
    case ENGINE_REFRESH: ask_refresh(s); return;
    case ENGINE_REFRESH_ON:
    case ENGINE_REFRESH_CANCEL:
    case ENGINE_REFRESH_BACK:
        request.group = s->cluster.web;
        ask(s, request);
        return;
    case ENGINE_RETRY:
        request.group = s->cluster.web;
        if (random_chance(&s->random, 700) && !random_instance(s, &request)) {
            return;
        }
        ask(s, request);
        return;
    case ENGINE_STANDBY:
    case ENGINE_IN_SERVICE:
    case ENGINE_PROTECT:
    case ENGINE_UNPROTECT:
    case ENGINE_REPLACE:
    case ENGINE_DETACH:
    case ENGINE_ATTACH:
    case ENGINE_CAPTURE:
    case ENGINE_CAPTURE_END:
        if (random_instance(s, &request)) {
            ask(s, request);
        }
        return;
    }
}

static void on_backup(void *context, struct engine *e, size_t subject)
{
    struct schedule *s = context;
    (void)subject;
    engine_backup(e);
    if (!s->mending) {
        engine_at(e, e->now_ms + random_between(&s->random, 60000, 900000), on_backup, s, 0);
    }
}

/* Nobody watches what runs on hosts without a pool; it is seen to without the controller's word. */
static void mend_unwatched(struct engine *e)
{
    for (size_t i = 0; i < e->truth.host_count; i++) {
        struct truth_host *h = &e->truth.hosts[i];
        if (h->is_static || h->group == WORLD_NONE || e->spec.groups[h->group].pool == SPEC_NONE) {
            h->doomed = h->relapses = h->flaps = false;
            h->custom = true;
            h->service = h->service || h->configured;
        }
    }
    engine_touch(e);
}

/* Everything that went wrong stops. */

static void stop_trouble(struct schedule *s)
{
    struct engine *e = &s->engine;
    s->mending = true;
    engine_say(e, "from here on nothing goes wrong any more");
    for (size_t i = 0; i < s->struck_count; i++) {
        if (s->struck[i].subject != WORLD_NONE && !lasts_until_mended(s->struck[i].fault)) {
            end_struck(s, i);
        }
    }
    mend_unwatched(e);
    engine_touch(e);
    engine_post(e, e->now_ms, ENGINE_AT_WAKE, 0);
}

/* When that has been seen, the operator takes back what he asked for. */
static void calm_down(struct schedule *s)
{
    struct engine *e = &s->engine;
    e->kill_at = 0;
    e->pace.transient = e->pace.permanent = e->pace.lost = e->pace.late = e->pace.doubled = 0;
    const struct world *w = &e->controller.world;
    ask(s, (struct engine_request){.kind = ENGINE_UNPAUSE, .group = WORLD_NONE});
    for (size_t g = 0; g < e->spec.group_count; g++) {
        ask(s, (struct engine_request){.kind = ENGINE_UNPAUSE, .group = g});
        ask(s, (struct engine_request){.kind = ENGINE_RESUME, .group = g, .value = ~0U});
    }
    for (size_t i = 0; i < w->instance_count; i++) {
        struct engine_request request = {.kind = ENGINE_UNPAUSE, .group = w->instances[i].group};
        text_copy(request.instance, sizeof(request.instance), w->instances[i].id);
        ask(s, request);
        request.kind = ENGINE_UNPROTECT;
        ask(s, request);
        if (w->instances[i].wish != WORLD_WISH_NONE) {
            request.kind = ENGINE_IN_SERVICE;
            ask(s, request);
        }
    }
    e->controller.dirty = true;
    engine_post(e, e->now_ms, ENGINE_AT_WAKE, 0);
}

/* BY_HAND: even what the controller would do, if it were allowed to. */
static void mend_host(struct schedule *s, size_t host, bool by_hand)
{
    struct truth_host *h = &s->engine.truth.hosts[host];
    if (h->vanished && engine_find(&s->engine, h->id) == WORLD_NONE) {
        return; /* It is no more. */
    }
    h->doomed = truth_content(&s->engine.truth, h->content) == TRUTH_CONTENT_NO_SERVICE;
    h->disk_full = h->amnesia = h->vanished = h->relapses = h->flaps = false;
    h->custom = true;
    if (by_hand && h->id[0] != '\0') {
        h->configured = true;
        h->version = h->group == WORLD_NONE ? 0 : s->engine.truth.versions[h->group];
    }
    h->service = h->service || h->configured;
    if (h->power == TRUTH_HUNG || (h->power == TRUTH_OFF && !h->vanished)) {
        h->power = TRUTH_OFF;
        fault_end(&s->engine, FAULT_HOST_BLINKS, host);
    }
    engine_touch(&s->engine);
}

/* What cannot be, because of the group's own numbers, is no longer asked for. */
static void give_up_wishes(struct schedule *s, size_t group)
{
    const struct world *w = &s->engine.controller.world;
    for (size_t i = 0; i < w->instance_count; i++) {
        struct engine_request request = {.kind = ENGINE_IN_SERVICE, .group = group};
        text_copy(request.instance, sizeof(request.instance), w->instances[i].id);
        if (w->instances[i].group == group && w->instances[i].wish != WORLD_WISH_NONE) {
            ask(s, request);
        }
    }
}

/* Its host, or the machine that is to be it. */
static size_t host_of(const struct engine *e, size_t instance)
{
    const char *machine = e->controller.members[instance].machine;
    return machine[0] == '\0' ? engine_host(e, instance)
                              : truth_find_machine(&e->truth, "", machine);
}

/* An operator does what the controller says it needs a human for. */
static void mend_stuck(struct schedule *s, const struct hold *hold)
{
    struct engine *e = &s->engine;
    struct engine_request request = {.kind = ENGINE_RETRY, .group = hold->group};
    if (hold->reason.code == REASON_NO_ROOM) {
        for (size_t z = 0; z < e->truth.zone_count; z++) {
            e->truth.zones[z].places += e->truth.zones[z].places > 0 ? 1 : 0;
        }
    }
    if (hold->instance == WORLD_NONE || hold->reason.code == REASON_LAUNCHES_FAIL) {
        ask(s, request);
        return;
    }
    const struct world_instance *it = &e->controller.world.instances[hold->instance];
    text_copy(request.instance, sizeof(request.instance), it->id);
    size_t host = host_of(e, hold->instance);
    if (hold->reason.code == REASON_UNHEALTHY &&
        (host == WORLD_NONE || !e->truth.hosts[host].configured ||
         it->power == WORLD_POWER_ABSENT)) {
        request.kind = ENGINE_REPLACE; /* Its group repairs nothing by itself. */
    }
    if (hold->reason.code == REASON_BREAKER && it->power == WORLD_POWER_ABSENT) {
        /* They are gone for good: the file says breaker = off until they are made anew. */
        for (size_t g = 0; g < e->spec.group_count; g++) {
            e->spec.groups[g].breaker_percent = 100;
        }
    }
    if (host != WORLD_NONE) {
        mend_host(s, host,
                  hold->reason.code == REASON_BREAKER || hold->reason.code == REASON_SHARED);
    }
    ask(s, request);
}

static void on_mend(void *context, struct engine *e, size_t subject)
{
    struct schedule *s = context;
    (void)subject;
    engine_at(e, e->now_ms + MEND_EVERY_MS, on_mend, s, 0);
    if (!e->controller.running) {
        return;
    }
    const struct decision *d = &e->controller.decision;
    for (size_t i = 0; i < d->hold_count; i++) {
        const struct reason *reason = &d->holds[i].reason;
        if (reason->code == REASON_FROZEN || reason->code == REASON_ZONE_LOST) {
            for (size_t h = 0; h < e->truth.host_count; h++) {
                mend_host(s, h, false);
            }
        }
        bool human = d->holds[i].kind == HOLD_STUCK || reason->code == REASON_BREAKER ||
                     reason->code == REASON_SHARED ||
                     (reason->code == REASON_WAITS_TO_RETRY && reason->a >= 5);
        if (reason->code == REASON_REFRESH_WAITS_AT) {
            ask(s, (struct engine_request){.kind = ENGINE_REFRESH_ON, .group = d->holds[i].group});
        }
        if (d->holds[i].kind == HOLD_REFUSED && d->holds[i].group != WORLD_NONE) {
            ask(s,
                (struct engine_request){.kind = ENGINE_REFRESH_CANCEL, .group = d->holds[i].group});
        }
        if (reason->code == REASON_AT_MOST) {
            give_up_wishes(s, d->holds[i].group);
            ask(s,
                (struct engine_request){.kind = ENGINE_REFRESH_CANCEL, .group = d->holds[i].group});
        }
        size_t group = d->holds[i].group;
        if (human && group != WORLD_NONE && s->mends > 20 && s->mends <= 60) {
            /* What is being rolled out is at fault, for all he can see. */
            ask(s, (struct engine_request){.kind = ENGINE_REFRESH_BACK, .group = group});
        }
        if (human && group == s->cluster.web && s->mends > 60 && s->mends % 10 == 1) {
            /* Nor did it help to go back: onto one that is known to be good. */
            ask(s, (struct engine_request){.kind = ENGINE_REFRESH_CANCEL, .group = group});
            ask(s, (struct engine_request){.kind = ENGINE_REFRESH, .group = group});
        }
        if (human && group == s->cluster.web && s->mends > 90) {
            /* Nor can one be refreshed that has a machine for a member: the image is mended. */
            e->truth.contents_mended = true;
        }
        if (human && (d->holds[i].instance == WORLD_NONE ||
                      d->holds[i].instance < e->controller.world.instance_count)) {
            mend_stuck(s, &d->holds[i]);
        }
    }
    for (size_t i = 0; i < e->controller.world.instance_count; i++) {
        const struct world_instance *it = &e->controller.world.instances[i];
        struct engine_request request = {.kind = ENGINE_ATTACH, .group = it->group};
        text_copy(request.instance, sizeof(request.instance), it->id);
        if (it->lifecycle == LIFECYCLE_DETACHED && it->group != WORLD_NONE) {
            ask(s, request);
        }
        if (it->failures >= 5 && host_of(e, i) != WORLD_NONE) {
            mend_host(s, host_of(e, i), false);
        }
        if (it->capture != WORLD_CAPTURE_NONE) {
            request.kind = ENGINE_CAPTURE_END;
            ask(s, request);
        }
        bool hopeless = truth_content(&e->truth, it->content) != TRUTH_CONTENT_WELL &&
                        truth_content(&e->truth, it->content) != TRUTH_CONTENT_ALARMING;
        if (hopeless && s->mends > 30 && it->lifecycle == LIFECYCLE_PENDING &&
            it->in_service_ms == 0 && it->wish == WORLD_WISH_NONE) {
            request.kind = ENGINE_REPLACE; /* Its image will never do. */
            ask(s, request);
        }
        if (it->paused) {
            request.kind = ENGINE_UNPAUSE;
            ask(s, request);
        }
        if (it->protect) {
            request.kind = ENGINE_UNPROTECT;
            ask(s, request);
        }
        if (it->wish == WORLD_WISH_STANDBY) {
            request.kind = ENGINE_IN_SERVICE;
            ask(s, request);
        }
    }
    /* Now and then everything is compared anew, as `apply` does: a host that came back as it was
       before, and so fast that nobody noticed, is found in no other way. */
    if (s->mends++ % 20 == 2) {
        for (size_t g = 0; g < e->spec.group_count; g++) {
            driver_reload(e, g, true);
        }
    }
    e->controller.dirty = true;
}

/* Rest. */

/* The change in place that is left cannot be done without breaking a rule, whoever does it. */
static bool is_impossible(const struct engine *e, size_t group)
{
    const struct spec_group *g = &e->spec.groups[group];
    size_t desired = e->controller.world.groups[group].desired;
    size_t minimum = (desired * g->healthy_min_percent + 99) / 100;
    return g->pool != SPEC_NONE && desired < minimum + g->spare + 1;
}

/* A record from a restored store says that it was never configured, and it serves: it is not
   touched while the minimum needs it. */
static bool is_older(const struct engine *e, size_t instance)
{
    return e->counts[ENGINE_RESTORED] > 0 && instance != WORLD_NONE &&
           !e->controller.world.instances[instance].configured;
}

static bool has_older(const struct engine *e, size_t group)
{
    const struct decision *d = &e->controller.decision;
    for (size_t i = 0; i < d->hold_count; i++) {
        if (d->holds[i].group == group && d->holds[i].kind == HOLD_REFUSED &&
            is_older(e, d->holds[i].instance)) {
            return true;
        }
    }
    return false;
}

/* There is no room for it, or for what it waits for. */
static bool is_short(const struct engine *e, size_t group)
{
    const struct decision *d = &e->controller.decision;
    for (size_t i = 0; i < d->hold_count; i++) {
        size_t other = d->holds[i].group;
        if (d->holds[i].reason.code != REASON_NO_ROOM) {
            continue;
        }
        bool waited_for = other == group;
        for (size_t f = 0; f < e->spec.frontend_count; f++) {
            waited_for = waited_for || e->spec.frontends[f].group == other;
        }
        for (size_t n = 0; n < e->spec.groups[group].needs.count; n++) {
            waited_for = waited_for || e->spec.groups[group].needs.items[n] == other;
        }
        if (waited_for) {
            return true;
        }
    }
    return false;
}

/* Some group can never end what it has begun. */
static bool has_endless(const struct engine *e)
{
    for (size_t g = 0; g < e->spec.group_count; g++) {
        if (is_impossible(e, g) || has_older(e, g) || is_short(e, g)) {
            return true;
        }
    }
    return false;
}

/* Somebody of the group waits for what can never end, and so the others wait for it. */
static bool waits_endlessly(const struct engine *e, size_t group)
{
    const struct decision *d = &e->controller.decision;
    for (size_t i = 0; i < d->hold_count; i++) {
        if (d->holds[i].group == group && d->holds[i].reason.code == REASON_WAITS_FOR_CLUSTER) {
            return has_endless(e);
        }
    }
    return false;
}

static bool hold_may_stay(const struct engine *e, const struct hold *hold)
{
    enum reason_code code = hold->reason.code;
    bool refused = code == REASON_BELOW_MINIMUM || code == REASON_BELOW_SPARE;
    if (code == REASON_WAITS_TO_RETRY || code == REASON_BREAKER) {
        return false; /* It is tried again, or a human sees to it. */
    }
    if (has_older(e, hold->group)) {
        return true;
    }
    if ((code == REASON_WAITS_FOR_CLUSTER || code == REASON_WAITS_FOR_OTHER) &&
        waits_endlessly(e, hold->group)) {
        return true;
    }
    /* Where there is no room for enough, there are never enough. */
    if (hold->group != WORLD_NONE && is_short(e, hold->group)) {
        return true;
    }
    return code == REASON_NO_ROOM ||
           ((refused || code == REASON_AT_MOST || code == REASON_WAITS_FOR_OTHER) &&
            is_impossible(e, hold->group));
}

/* What is under way or decided, but for looks that never end. */
static size_t count_doings(const struct engine *e)
{
    size_t count = 0;
    for (size_t i = 0; i < e->job_count; i++) {
        const struct engine_job *job = &e->jobs[i];
        count += job->turn != 0 && job->heard && job->action.kind != ACTION_CHECK;
    }
    const struct decision *d = &e->controller.decision;
    for (size_t i = 0; i < d->action_count; i++) {
        count += d->actions[i].kind != ACTION_CHECK;
    }
    return count;
}

/* True when nothing is under way, and nothing left that ought to be done. */
static bool is_at_rest(const struct schedule *s, const char **ret_why, char *text, size_t size)
{
    const struct engine *e = &s->engine;
    const struct decision *d = &e->controller.decision;
    *ret_why = text;
    text[0] = '\0';
    if (!e->controller.running || count_doings(e) > 0) {
        snprintf(text, size, "%zu actions under way", count_doings(e));
        return false;
    }
    for (size_t i = 0; i < e->truth.host_count; i++) {
        if (e->truth.hosts[i].power == TRUTH_BOOTING) {
            /* What is held for its sake is held no longer, then. */
            snprintf(text, size, "%s boots", e->truth.hosts[i].id);
            return false;
        }
    }
    for (size_t i = 0; i < d->hold_count; i++) {
        if (!hold_may_stay(e, &d->holds[i])) {
            char reason[240];
            reason_to_string(&d->holds[i].reason, reason, sizeof(reason));
            snprintf(text, size, "%s: %s",
                     d->holds[i].instance == WORLD_NONE
                         ? (d->holds[i].group == WORLD_NONE
                                ? "cluster"
                                : e->spec.groups[d->holds[i].group].name)
                         : e->controller.world.instances[d->holds[i].instance].id,
                     reason);
            return false;
        }
    }
    for (size_t g = 0; g < e->spec.group_count; g++) {
        size_t desired = e->controller.world.groups[g].desired;
        /* What can never end keeps its share of the cluster. */
        bool full = (has_endless(e) && engine_serving(e, g) > desired) || waits_endlessly(e, g);
        for (size_t i = 0; i < d->hold_count; i++) {
            /* A group without room keeps those that need it waiting, too. */
            full = full || d->holds[i].reason.code == REASON_NO_ROOM ||
                   has_older(e, d->holds[i].group);
        }
        if (engine_serving(e, g) != desired && !full) {
            snprintf(text, size, "%zu of group %s serve, %zu are wanted, and nothing is done",
                     engine_serving(e, g), e->spec.groups[g].name, desired);
            return false;
        }
    }
    return true;
}

static void come_to_rest(struct schedule *s)
{
    struct engine *e = &s->engine;
    char text[400];
    const char *why = text;
    on_mend(s, e, 0);
    int64_t rest_ms = 0;
    while (e->now_ms < SCHEDULE_END_MS && !s->watch.violation.found) {
        engine_run(e, e->now_ms + 30000);
        rest_ms = is_at_rest(s, &why, text, sizeof(text)) ? rest_ms + 30000 : 0;
        if (rest_ms >= REST_MS) {
            s->counts.settled_ms_most = e->now_ms - rest_ms - SCHEDULE_TROUBLE_MS;
            watch_end(&s->watch, e);
            return;
        }
    }
    if (!s->watch.violation.found) {
        watch_fail(&s->watch, e, WATCH_LIVENESS, "%s", why);
    }
}

/* How everything stands at the end of a transcript: what `why` says, and what really is. */
static void tell_state(struct schedule *s)
{
    static struct why why;
    const struct engine *e = &s->engine;
    const struct world *w = &e->controller.world;
    for (size_t i = 0; i < w->instance_count; i++) {
        size_t host = engine_host(e, i);
        const struct truth_host *h = host == WORLD_NONE ? NULL : &e->truth.hosts[host];
        printf("%s in %s, wish %s: truth %s%s%s%s%s%s%s%s%s\n", w->instances[i].id,
               lifecycle_to_string(w->instances[i].lifecycle),
               world_wish_to_string(w->instances[i].wish),
               h == NULL                   ? "no host"
               : h->power == TRUTH_RUNNING ? "running"
                                           : "not running",
               h != NULL && h->configured ? " configured" : "",
               h != NULL && h->service ? " up" : "", h != NULL && h->serving ? " serving" : "",
               h != NULL && h->doomed ? " doomed" : "", h != NULL && h->synced ? " synced" : "",
               h != NULL && h->haproxy_silent ? " silent" : "",
               h != NULL && !h->looked_stale && h->synced ? " told" : "",
               w->instances[i].busy ? " busy" : "");
        why_instance(&e->spec, w, &e->controller.decision, i, &why);
        for (size_t n = 0; n < why.count; n++) {
            printf("    %s\n", why.lines[n]);
        }
    }
    for (size_t b = 0; b < w->balancer_count; b++) {
        printf("balancer %s: sync %d, seen %" PRId64 ", busy %d:",
               w->instances[w->balancers[b].instance].id, (int)w->balancers[b].sync,
               w->balancers[b].seen_ms, w->balancers[b].busy);
        for (size_t t = 0; t < w->target_count; t++) {
            if (w->targets[t].balancer == b) {
                printf(" %s=%d", w->instances[w->targets[t].member].id, (int)w->targets[t].state);
            }
        }
        printf("\n");
    }
    for (size_t g = 0; g < e->spec.group_count; g++) {
        why_group(&e->spec, w, &e->controller.decision, g, &why);
        printf("%s: desired %u, most %zu, minimum %u%%, spare %u, bake %" PRId64 "\n",
               e->spec.groups[g].name, w->groups[g].desired, world_most(&e->spec, w, g),
               e->spec.groups[g].healthy_min_percent, e->spec.groups[g].spare,
               e->spec.groups[g].bake_ms);
        for (size_t n = 0; n < why.count; n++) {
            printf("    %s\n", why.lines[n]);
        }
    }
}

static void begin(struct schedule *s)
{
    struct random seed;
    random_init(&seed, s->options->seed);
    random_init(&s->random, random_next(&seed));
    cluster_make(&s->cluster, &seed);
    const struct engine_watch watch = {.context = s,
                                       .on_action = on_action,
                                       .on_end = on_end,
                                       .on_decision = on_decision,
                                       .on_truth = on_truth,
                                       .on_start = on_start,
                                       .on_line = s->options->verbose ? on_line : NULL};
    engine_init(&s->engine, &s->cluster.spec, &s->cluster.pace, &watch, random_next(&seed));
    watch_init(&s->watch, &s->engine);
    s->watch.looks_at_why = s->options->verbose;
    static const int64_t paces[] = {60000, 180000, 600000, 1800000};
    s->fault_every_ms = paces[random_between(&seed, 0, 3)];
    s->ask_every_ms = paces[random_between(&seed, 1, 3)];
    /* Mostly from a cluster that serves; at times from the first moment on. */
    int64_t first_ms = random_chance(&seed, 800) ? 600000 : 1000;
    engine_at(&s->engine, first_ms, on_fault, s, 0);
    engine_at(&s->engine, first_ms, on_ask, s, 0);
    engine_at(&s->engine, first_ms, on_backup, s, 0);
}

static void run(struct schedule *s)
{
    int64_t now_ms = 0;
    while (now_ms < SCHEDULE_TROUBLE_MS && !s->watch.violation.found) {
        now_ms += 60000;
        engine_run(&s->engine, now_ms);
    }
    if (!s->watch.violation.found) {
        stop_trouble(s);
        engine_run(&s->engine, SCHEDULE_TROUBLE_MS + 60000);
        calm_down(s);
        come_to_rest(s);
    }
}

bool schedule_run(const struct schedule_options *options, struct schedule_counts *counts,
                  struct watch_violation *ret_violation)
{
    static struct schedule s;
    s = (struct schedule){.options = options};
    begin(&s);
    run(&s);
    s.counts.schedules = 1;
    s.counts.steps = s.engine.events;
    s.counts.simulated_ms = s.engine.now_ms;
    memcpy(s.counts.events, s.engine.counts, sizeof(s.counts.events));
    memcpy(s.counts.reasons, s.watch.reasons, sizeof(s.counts.reasons));
    *ret_violation = s.watch.violation;
    if (options->verbose) {
        tell_state(&s);
    }
    if (s.watch.violation.found) {
        s.counts.violations = 1;
        s.counts.rules[s.watch.violation.rule] = 1;
    }
    schedule_counts_add(counts, &s.counts);
    watch_deinit(&s.watch);
    engine_deinit(&s.engine);
    return !ret_violation->found;
}
