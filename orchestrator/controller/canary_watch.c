/*
 * The new against the old while a refresh runs, by what balancers count: each answer of a balancer
 * brings, for every target, what it has counted since it was reloaded. What came since the answer
 * before is added up by content, and is one look for core/canary.h, which judges; what is worse
 * sets the alarm of the refresh.
 *
 * All of it is in memory: a controller that begins in the middle of a refresh starts anew.
 */
#include "controller/state.h"

#include "base/mem.h"
#include "core/canary.h"

#include <stdlib.h>
#include <string.h>

struct target_traffic {
    bool known; /* The counters are those of the last answer. */
    int64_t tries, failed;
    /* Since the last look: not judged yet. */
    int64_t more_tries, more_failed;
    int64_t response_ms;
};

struct canary_group {
    int64_t began_ms; /* Of the refresh it is about. */
    bool late;        /* That had begun before this controller. */
    struct canary canary;
};

static struct target_traffic *traffic_of(struct controller *c, size_t t)
{
    if (t >= c->traffic_capacity) {
        size_t capacity = c->world.target_capacity;
        c->traffic = xrealloc(c->traffic, capacity, sizeof(*c->traffic));
        memset(c->traffic + c->traffic_capacity, 0,
               (capacity - c->traffic_capacity) * sizeof(*c->traffic));
        c->traffic_capacity = capacity;
    }
    return &c->traffic[t];
}

/* A balancer that was reloaded, and a target that was added again, count from 0. */
static void note_traffic(struct target_traffic *traffic, int64_t tries, int64_t failed)
{
    bool again = tries < traffic->tries || failed < traffic->failed;
    if (traffic->known) {
        int64_t more = tries - (again ? 0 : traffic->tries);
        int64_t more_failed = failed - (again ? 0 : traffic->failed);
        traffic->more_tries += more;
        traffic->more_failed += more_failed < more ? more_failed : more;
    }
    traffic->known = true;
    traffic->tries = tries;
    traffic->failed = failed;
}

/* On its way out, sessions are cut by us: what fails then is not its fault. */
static bool is_leaving(enum world_target_state state)
{
    return state == WORLD_TARGET_DRAINING || state == WORLD_TARGET_MAINTENANCE;
}

void canary_watch_target(struct controller *c, size_t t, const struct message *message)
{
    struct target_traffic *traffic = traffic_of(c, t);
    int64_t tries = message_int(message, WIRE_TRIES, 0);
    int64_t failed = message_int(message, WIRE_FAILED, 0);
    if (tries < 0 || failed < 0 || failed > tries) {
        return;
    }
    note_traffic(traffic, tries, failed);
    traffic->response_ms = message_int(message, WIRE_RESPONSE_TIME, 0);
    if (is_leaving(c->world.targets[t].state)) {
        traffic->more_tries = traffic->more_failed = 0;
    }
}

void canary_watch_absent(struct controller *c, size_t t)
{
    *traffic_of(c, t) = (struct target_traffic){.known = true};
}

void canary_watch_moved(struct controller *c, size_t from, size_t to)
{
    *traffic_of(c, to) = *traffic_of(c, from);
}

void canary_watch_kept(struct controller *c, size_t count)
{
    for (size_t t = count; t < c->traffic_capacity; t++) {
        c->traffic[t] = (struct target_traffic){.known = false};
    }
}

static bool is_watched(const struct controller *c, size_t group)
{
    return world_refresh_goes_forth(c->world.groups[group].refresh.state);
}

static void begin(struct controller *c, size_t group)
{
    struct canary_group *watch = &c->canaries[group];
    int64_t began_ms = c->world.groups[group].refresh.began_ms;
    if (watch->began_ms == began_ms) {
        return;
    }
    *watch = (struct canary_group){.began_ms = began_ms, .late = began_ms < c->created_ms};
    if (watch->late && c->options.watch.on_note != NULL) {
        c->options.watch.on_note(
            c->options.watch.context, c->spec->groups[group].name,
            "its refresh had begun before this controller: the comparison of new and old by what "
            "balancers count starts anew");
    }
}

/* Of all targets of a group that have the same content. */
struct look {
    struct canary_count fresh, old;
    int64_t fresh_ms, old_ms; /* Means times tries. */
    bool old_left;
};

static void add(struct canary_count *count, int64_t *sum_ms, const struct target_traffic *traffic)
{
    count->tries += traffic->more_tries;
    count->failed += traffic->more_failed;
    *sum_ms += traffic->response_ms * traffic->more_tries;
}

/* Takes what BALANCER has counted since its last answer. */
static void take_looks(struct controller *c, size_t balancer, struct look *looks)
{
    for (size_t t = 0; t < c->world.target_count; t++) {
        const struct world_target *target = &c->world.targets[t];
        struct target_traffic *traffic = traffic_of(c, t);
        size_t group = c->world.instances[target->member].group;
        if (group == WORLD_NONE || !is_watched(c, group)) {
            if (target->balancer == balancer) {
                traffic->more_tries = traffic->more_failed = 0;
            }
            continue;
        }
        struct look *look = &looks[group];
        bool outdated = world_is_outdated(&c->world, target->member);
        look->old_left = look->old_left || (outdated && target->state == WORLD_TARGET_UP);
        if (target->balancer == balancer) {
            add(outdated ? &look->old : &look->fresh, outdated ? &look->old_ms : &look->fresh_ms,
                traffic);
            traffic->more_tries = traffic->more_failed = 0;
        }
    }
}

static void judge_group(struct controller *c, size_t group, struct look *look)
{
    struct canary_group *watch = &c->canaries[group];
    look->fresh.mean_ms = look->fresh.tries == 0 ? 0 : look->fresh_ms / look->fresh.tries;
    look->old.mean_ms = look->old.tries == 0 ? 0 : look->old_ms / look->old.tries;
    canary_on_look(&watch->canary, &look->fresh, &look->old, look->old_left);
    enum canary_verdict verdict = canary_judge(&watch->canary);
    if (canary_is_worse(verdict)) {
        const struct record_refresh *r = &c->notes[group].refresh;
        /* What is of one image differs in what else it is made by. */
        bool same = text_equal(r->image, r->before_image);
        const char *fresh = same ? r->template : r->image;
        const char *old = same ? r->before_template : r->before_image;
        char text[CANARY_TEXT_SIZE];
        canary_explain(&watch->canary, verdict, fresh == NULL ? "new" : fresh,
                       old == NULL ? "old" : old, text);
        refresh_alarm_set(c, group, text);
    }
}

void canary_watch_look(struct controller *c, size_t balancer)
{
    if (c->journal == NULL || c->looking_only) {
        return;
    }
    size_t groups = c->spec->group_count;
    if (c->canaries == NULL) {
        c->canaries = xcalloc(groups, sizeof(*c->canaries));
    }
    struct look *looks = xcalloc(groups, sizeof(*looks));
    take_looks(c, balancer, looks);
    for (size_t g = 0; g < groups; g++) {
        if (is_watched(c, g)) {
            begin(c, g);
            judge_group(c, g, &looks[g]);
        }
    }
    free(looks);
}

char *canary_watch_text(const struct controller *c, size_t group)
{
    const struct canary_group *watch = c->canaries == NULL ? NULL : &c->canaries[group];
    if (watch == NULL || !is_watched(c, group) ||
        watch->began_ms != c->world.groups[group].refresh.began_ms ||
        watch->canary.fresh.tries + watch->canary.old.tries == 0) {
        return NULL;
    }
    char text[CANARY_TEXT_SIZE];
    canary_describe(&watch->canary, "new", "old", text);
    return xasprintf("%s%s", text, watch->late ? ", since this controller began" : "");
}

void canary_watch_free(struct controller *c)
{
    free(c->traffic);
    free(c->canaries);
}
