#include "sim/watch.h"

#include "base/mem.h"
#include "base/str.h"
#include "core/why.h"
#include "rehearse/driver.h"
#include "rehearse/witness.h"

#include <assert.h>
#include <string.h>

/* Times of the rules, written out again here: a changed constant of the core must be meant. */
#define PATIENCE_RESTART_MS 60000
#define PATIENCE_BOOT_MS    180000
#define FRESH_MS            5000
#define FLAP_HOLD_MS        60000
#define FLAP_RESULTS        21
#define LAUNCHES_MAX        3
#define REBUILDS_MAX        3
/* Beyond what any witness needs: an event or two. */
#define SLACK_MS 5000

const char *watch_rule_to_string(enum watch_rule rule)
{
    switch (rule) {
    case WATCH_S1_MINIMUM: return "S1 healthy minimum";
    case WATCH_S1_SPARE: return "S1 spare";
    case WATCH_S2_NEW_FIRST: return "S2 new first";
    case WATCH_S2_MOST: return "S2 at most";
    case WATCH_S3_LOSSES: return "S3 losses are charged";
    case WATCH_S4_BREAKER: return "S4 breaker";
    case WATCH_S5_FROZEN: return "S5 frozen";
    case WATCH_S6_ZONE: return "S6 lost zone";
    case WATCH_S7_ONE: return "S7 one at a time";
    case WATCH_S7_BAKE: return "S7 bake";
    case WATCH_S7_CLUSTER: return "S7 share of the cluster";
    case WATCH_S8_PATIENCE: return "S8 patience";
    case WATCH_S9_MACHINE: return "S9 machine";
    case WATCH_S9_LAUNCHES: return "S9 launches";
    case WATCH_S10_UNKNOWN: return "S10 unknown";
    case WATCH_S10_POWER: return "S10 power";
    case WATCH_S11_GRACE: return "S11 grace";
    case WATCH_S11_COUNT: return "S11 counted when baked";
    case WATCH_S12_SHARED: return "S12 shared dependency";
    case WATCH_S13_FLAPPING: return "S13 flapping";
    case WATCH_S19_FRESH: return "S19 fresh";
    case WATCH_S21_DETACHED: return "S21 detached";
    case WATCH_S22_PAUSED: return "S22 paused";
    case WATCH_S25_SHARED: return "S25 one owner";
    case WATCH_DISPUTED: return "two witnesses";
    case WATCH_ADMIT: return "admitted when checked";
    case WATCH_DRAINED: return "drained first";
    case WATCH_PROTECTED: return "protected";
    case WATCH_S3_CAPTURE: return "S3 capture";
    case WATCH_REFRESH_FIRST: return "refresh: first one, then the next";
    case WATCH_REFRESH_BAD: return "refresh: a bad one is the last";
    case WATCH_REFRESH_ALARM: return "refresh: its alarm ends it";
    case WATCH_REFRESH_WAITS: return "refresh: checkpoints and bake time";
    case WATCH_REFRESH_SPARES: return "refresh: who is set aside";
    case WATCH_WHY: return "why answers";
    case WATCH_RESTLESS: return "decisions end";
    case WATCH_LEFT_OVER: return "nothing left over";
    case WATCH_LIVENESS: return "it comes to rest";
    }
    return "unknown";
}

void watch_fail(struct watch *w, struct engine *e, enum watch_rule rule, const char *format, ...)
{
    if (w->violation.found) {
        return;
    }
    w->violation.found = true;
    w->violation.rule = rule;
    w->violation.at_ms = e->now_ms;
    va_list args;
    va_start(args, format);
    vsnprintf(w->violation.text, sizeof(w->violation.text), format, args);
    va_end(args);
    e->halted = true;
    engine_say(e, "VIOLATION %s: %s", watch_rule_to_string(rule), w->violation.text);
}

void watch_init(struct watch *w, const struct engine *e)
{
    *w = (struct watch){.closed_ms = xcalloc(e->spec.group_count + 1, sizeof(*w->closed_ms)),
                        .failed = xcalloc(e->spec.group_count + 1, sizeof(*w->failed)),
                        .shared_ms = xcalloc(e->spec.group_count + 1, sizeof(*w->shared_ms)),
                        .zone_bad_ms = xcalloc(e->spec.zone_count + 1, sizeof(*w->zone_bad_ms)),
                        .cut_ms = INT64_MAX,
                        .prober_back_ms = INT64_MIN};
    for (size_t g = 0; g < e->spec.group_count; g++) {
        w->closed_ms[g] = INT64_MIN;
        w->shared_ms[g] = INT64_MAX;
    }
    for (size_t z = 0; z < e->spec.zone_count; z++) {
        w->zone_bad_ms[z] = INT64_MAX;
    }
}

void watch_deinit(struct watch *w)
{
    free(w->ids);
    free(w->closed_ms);
    free(w->failed);
    free(w->shared_ms);
    free(w->zone_bad_ms);
    *w = (struct watch){.ids = NULL};
}

static struct watch_id *id_of(struct watch *w, const char *id, size_t group)
{
    for (size_t i = w->id_count; i-- > 0;) { /* The last ones are those that still live. */
        if (text_equal(w->ids[i].id, id)) {
            return &w->ids[i];
        }
    }
    size_t i = xgrow((void **)&w->ids, &w->id_count, &w->id_capacity, sizeof(*w->ids));
    w->ids[i].group = group;
    w->ids[i].well_ms = INT64_MIN;
    text_copy(w->ids[i].id, sizeof(w->ids[i].id), id);
    return &w->ids[i];
}

/* Longest until every witness of GROUP that can tell has told. */
static int64_t told_ms(const struct engine *e, size_t group)
{
    const struct spec_group *g = group == WORLD_NONE ? NULL : &e->spec.groups[group];
    int64_t custom_ms = g == NULL || g->check_command == NULL ? 0 : 2 * g->check_every_ms + 10000;
    return witness_slowest_ms(e, group) + SLACK_MS + custom_ms;
}

static bool came_back(const struct world_instance *it)
{
    return it->lifecycle == LIFECYCLE_IN_SERVICE;
}

/* What an action is. */

/* It is decided here that an instance goes out of service. */
static bool is_disruption(const struct world_instance *it, const struct action *action)
{
    switch (action->kind) {
    case ACTION_RESTART:
    case ACTION_REBOOT:
    case ACTION_CYCLE:
    case ACTION_CONFIGURE: return it->lifecycle == LIFECYCLE_IN_SERVICE;
    case ACTION_MARK:
    case ACTION_REFRESH:
        return it->lifecycle == LIFECYCLE_IN_SERVICE &&
               (action->lifecycle == LIFECYCLE_DRAINING ||
                action->lifecycle == LIFECYCLE_TERMINATING ||
                action->lifecycle == LIFECYCLE_QUARANTINED);
    case ACTION_ADD:
    case ACTION_LAUNCH:
    case ACTION_GREET:
    case ACTION_INSPECT:
    case ACTION_COMPARE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_REMOVE:
    case ACTION_TERMINATE:
    case ACTION_CHECK:
    case ACTION_HOOK: return false;
    }
    return false;
}

/* It is done because the instance is held to be bad. */
static bool is_mending(const struct action *action)
{
    bool marks = action->kind == ACTION_MARK &&
                 (action->lifecycle == LIFECYCLE_TERMINATING ||
                  action->lifecycle == LIFECYCLE_QUARANTINED || action->wish == WORLD_WISH_REPLACE);
    return action->kind == ACTION_RESTART || action->kind == ACTION_REBOOT ||
           action->kind == ACTION_CYCLE ||
           (marks && (action->reason.code == REASON_MEND || action->reason.code == REASON_DEAD ||
                      action->reason.code == REASON_QUARANTINE));
}

/* It serves, has for so long that everybody knows, and where we are the only witness, we do. */
static bool gives(const struct engine *e, size_t host)
{
    const struct truth_host *h = &e->truth.hosts[host];
    size_t i = engine_find(e, h->id);
    if (i != WORLD_NONE && e->spec.groups[h->group].pool == SPEC_NONE &&
        e->controller.world.instances[i].alive.health == WORLD_UNHEALTHY) {
        return false;
    }
    return h->serving && e->now_ms - h->serving_since_ms > told_ms(e, h->group);
}

/* A balancer that was heard lately sends it traffic. */
static bool somebody_heard(const struct engine *e, size_t instance)
{
    const struct world *world = &e->controller.world;
    for (size_t t = 0; t < world->target_count; t++) {
        const struct world_balancer *b = &world->balancers[world->targets[t].balancer];
        enum lifecycle lifecycle = world->instances[b->instance].lifecycle;
        if (world->targets[t].member == instance && world->targets[t].state == WORLD_TARGET_UP &&
            e->now_ms - b->seen_ms <= SLACK_MS && lifecycle != LIFECYCLE_DETACHED &&
            lifecycle != LIFECYCLE_TERMINATED) {
            return true;
        }
    }
    return false;
}

/* The host stops giving what it gives with this very action. */
static bool takes(const struct engine *e, const struct action *action, size_t host)
{
    switch (action->kind) {
    case ACTION_REMOVE: {
        const struct world *w = &e->controller.world;
        const struct world_balancer *b = &w->balancers[action->balancer];
        size_t balancer = engine_host(e, b->instance);
        return balancer != WORLD_NONE && gives(e, host) &&
               truth_balancing(&e->truth, &e->spec, balancer, b->frontend);
    }
    case ACTION_TERMINATE:
    case ACTION_CONFIGURE:
    case ACTION_RESTART:
    case ACTION_REBOOT:
    case ACTION_CYCLE: return gives(e, host);
    case ACTION_ADD:
    case ACTION_LAUNCH:
    case ACTION_GREET:
    case ACTION_INSPECT:
    case ACTION_COMPARE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_MARK:
    case ACTION_REFRESH:
    case ACTION_CHECK:
    case ACTION_HOOK: return false;
    }
    return false;
}

/* Counting the truth. */

struct count {
    size_t serving; /* Really, and those lost so lately that nobody could know. */
    size_t baked;   /* Of those, in service for their bake time. */
};

static struct count count_serving(struct watch *w, const struct engine *e, size_t group)
{
    struct count count = {0};
    const struct world *world = &e->controller.world;
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        size_t host = it->group == group ? engine_host(e, i) : WORLD_NONE;
        if (host == WORLD_NONE || it->lifecycle == LIFECYCLE_TERMINATED) {
            continue;
        }
        const struct truth_host *h = &e->truth.hosts[host];
        const struct watch_id *id = id_of(w, it->id, group);
        bool serving = h->serving || truth_serves(&e->truth, &e->spec, host);
        /* It fails now and then, and nobody has seen it this time. */
        serving = serving || (h->flaps && h->ready.said == WORLD_HEALTHY &&
                              it->health.health == WORLD_HEALTHY && came_back(it));
        bool lately = !serving && !id->open && h->serving_since_ms != INT64_MIN &&
                      e->now_ms - h->serving_since_ms <= told_ms(e, group);
        if (!serving && !lately) {
            continue;
        }
        count.serving++;
        count.baked +=
            world_leaving(it->lifecycle) ||
            (came_back(it) && e->now_ms - it->in_service_ms >= e->spec.groups[group].bake_ms);
    }
    return count;
}

static size_t minimum_of(const struct engine *e, size_t group)
{
    size_t desired = e->controller.world.groups[group].desired;
    size_t hundredths = desired * e->spec.groups[group].healthy_min_percent;
    return hundredths / 100 + (hundredths % 100 > 0 ? 1 : 0);
}

/* Others than BUT that are out of service by order; *ret_one: one of them. */
/* Balancers, and what others need, do not wait for what waits for them. */
static bool is_waited_for(const struct engine *e, size_t group)
{
    for (size_t f = 0; f < e->spec.frontend_count; f++) {
        if (e->spec.frontends[f].group == group) {
            return true;
        }
    }
    for (size_t g = 0; g < e->spec.group_count; g++) {
        for (size_t n = 0; n < e->spec.groups[g].needs.count; n++) {
            if (e->spec.groups[g].needs.items[n] == group) {
                return true;
            }
        }
    }
    return false;
}

/* Those that took their share before ACTION. */
static size_t count_shares(const struct watch *w, const struct engine *e, const char *but,
                           const char **ret_one)
{
    size_t count = 0;
    for (size_t i = 0; i < w->id_count; i++) {
        const struct watch_id *id = &w->ids[i];
        bool after = id->ordered_ms == e->now_ms && is_waited_for(e, id->group);
        if (id->open && !after && !text_equal(id->id, but)) {
            count++;
            *ret_one = id->id;
        }
    }
    return count;
}

static size_t count_open(const struct watch *w, size_t group, const char *but, const char **ret_one)
{
    size_t count = 0;
    for (size_t i = 0; i < w->id_count; i++) {
        if (w->ids[i].open && (group == WORLD_NONE || w->ids[i].group == group) &&
            !text_equal(w->ids[i].id, but)) {
            count++;
            *ret_one = w->ids[i].id;
        }
    }
    return count;
}

/* Of some host, or of some balancer, its provider says that it is off, and it runs. */
static bool any_libelled(const struct engine *e, bool balancers)
{
    for (size_t i = 0; i < e->truth.host_count; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        bool lately = h->wronged_ms != 0 && e->now_ms - h->wronged_ms < 120000;
        size_t at = balancers && h->synced ? engine_find(e, h->id) : WORLD_NONE;
        /* It has come up, and its provider has not said so yet. */
        lately = lately || (at != WORLD_NONE && e->now_ms - h->restarted_ms < 120000 &&
                            e->controller.world.instances[at].power == WORLD_POWER_OFF);
        if ((h->libelled || lately) && (!balancers || h->synced)) {
            return true;
        }
    }
    return false;
}

/* Its provider says, or said when it was asked last, that it is off, and it runs. */
static bool is_libelled(const struct engine *e, size_t host, const struct world_instance *it)
{
    const struct truth_host *h = &e->truth.hosts[host];
    bool lately = h->wronged_ms != 0 && e->now_ms - h->wronged_ms < 120000;
    bool told = it->power == WORLD_POWER_OFF || it->power == WORLD_POWER_ABSENT;
    return h->libelled || (lately && told && h->power == TRUTH_RUNNING);
}

/* All witnesses that can be heard say that it is gone; who could contradict is silent. */
static bool unheard(const struct engine *e, const struct action *action, size_t host)
{
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    return it->alive.health != WORLD_HEALTHY && !somebody_heard(e, action->instance) &&
           (is_mending(action) || is_libelled(e, host, it));
}

/* S1, S3, S11: what is left. */
static void check_taking(struct watch *w, struct engine *e, const struct action *action,
                         size_t host)
{
    size_t group = action->group;
    const struct spec_group *spec = &e->spec.groups[group];
    const char *id = e->controller.world.instances[action->instance].id;
    if (spec->pool == SPEC_NONE || unheard(e, action, host) || any_libelled(e, true) ||
        !takes(e, action, host)) {
        return;
    }
    struct count count = count_serving(w, e, group);
    size_t minimum = minimum_of(e, group);
    if (count.serving < minimum + 1) {
        watch_fail(w, e, WATCH_S1_MINIMUM, "%s: %s leaves %zu of %s serving, the minimum is %zu",
                   id, action_kind_to_string(action->kind), count.serving - 1, spec->name, minimum);
    } else if (count.serving < minimum + spec->spare + 1) {
        watch_fail(w, e, WATCH_S1_SPARE,
                   "%s: %s leaves %zu of %s serving, the minimum is %zu, and %u spare", id,
                   action_kind_to_string(action->kind), count.serving - 1, spec->name, minimum,
                   spec->spare);
    }
}

/* By what its witnesses said last: nobody asks for more than a port or a balancer's socket. */
static bool is_heard(const struct engine *e, size_t instance)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[instance];
    for (size_t b = 0; b < world->balancer_count; b++) {
        if (world->balancers[b].instance == instance &&
            world->balancers[b].seen_ms < e->now_ms - told_ms(e, it->group)) {
            return false;
        }
    }
    return came_back(it) && it->alive.health == WORLD_HEALTHY;
}

/* S1 where no pool counts: the last one that serves is not set aside. */
static void check_last(struct watch *w, struct engine *e, const struct action *action, size_t host)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[action->instance];
    bool aside = (it->wish == WORLD_WISH_DETACH || it->wish == WORLD_WISH_STANDBY) &&
                 action->lifecycle == LIFECYCLE_DRAINING;
    if (e->spec.groups[action->group].pool != SPEC_NONE || !aside || !is_disruption(it, action) ||
        !gives(e, host) || minimum_of(e, action->group) == 0 || it->alive.health != WORLD_HEALTHY) {
        return;
    }
    for (size_t i = 0; i < world->instance_count; i++) {
        if (i != action->instance && world->instances[i].group == action->group && is_heard(e, i)) {
            return;
        }
    }
    watch_fail(w, e, WATCH_S1_MINIMUM, "%s is set aside, the last of %s that serves", it->id,
               e->spec.groups[action->group].name);
}

static void check_baked(struct watch *w, struct engine *e, const struct action *action, size_t host)
{
    size_t group = action->group;
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    if (e->spec.groups[group].pool == SPEC_NONE || !gives(e, host)) {
        return;
    }
    struct count count = count_serving(w, e, group);
    size_t own =
        came_back(it) && e->now_ms - it->in_service_ms >= e->spec.groups[group].bake_ms ? 1 : 0;
    if (count.baked < minimum_of(e, group) + own) {
        watch_fail(w, e, WATCH_S11_COUNT,
                   "%s leaves %zu of %s that have served for their bake time, the minimum is %zu",
                   it->id, count.baked - own, e->spec.groups[group].name, minimum_of(e, group));
    }
}

static size_t count_in_service(const struct engine *e)
{
    size_t count = 0;
    for (size_t i = 0; i < e->controller.world.instance_count; i++) {
        count += came_back(&e->controller.world.instances[i]) ? 1 : 0;
    }
    return count;
}

/* Those that left in the same breath counted, too, when their share was reckoned. */
static size_t count_leaving_now(const struct watch *w, const struct engine *e)
{
    size_t count = 0;
    for (size_t i = 0; i < w->id_count; i++) {
        count += w->ids[i].open && w->ids[i].ordered_ms == e->now_ms ? 1 : 0;
    }
    return count;
}

/* All that can tell have told the controller that it is bad, and nobody that it is well. */
static bool told_bad(const struct engine *e, size_t i)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[i];
    const int64_t before_ms = e->now_ms - SLACK_MS;
    if (!came_back(it) || it->busy || !it->configured || e->now_ms < it->damping.until_ms ||
        it->in_service_ms < it->ready_ms) {
        return false;
    }
    if (it->power_witnessed && it->power != WORLD_POWER_RUNNING &&
        it->power != WORLD_POWER_UNKNOWN) {
        return it->power_ms < before_ms && it->alive.health != WORLD_HEALTHY;
    }
    for (size_t b = 0; b < world->balancer_count; b++) {
        if (world->balancers[b].instance == i && e->now_ms - world->balancers[b].seen_ms < 20000) {
            return false; /* Its admin socket answers. */
        }
    }
    if (e->spec.groups[it->group].pool == SPEC_NONE) {
        return it->alive.health == WORLD_UNHEALTHY && it->alive.since_ms < before_ms;
    }
    if (it->health.health != WORLD_UNHEALTHY || it->health.since_ms > before_ms ||
        it->alive.health == WORLD_HEALTH_UNKNOWN || it->alive.since_ms > before_ms) {
        return false;
    }
    bool asked = it->alive.health == WORLD_UNHEALTHY;
    for (size_t t = 0; t < world->target_count; t++) {
        const struct world_target *target = &world->targets[t];
        const struct world_instance *balancer =
            &world->instances[world->balancers[target->balancer].instance];
        asked = asked || (target->member == i && balancer->configured && came_back(balancer));
        if (target->member == i &&
            (target->state == WORLD_TARGET_UP || target->state == WORLD_TARGET_UNKNOWN ||
             e->now_ms - world->balancers[target->balancer].seen_ms > 20000)) {
            return false;
        }
    }
    return asked;
}

/* Its change failed, as that of others may have, and it is the first of them: it goes on. */
static bool is_first_failed(const struct world *world, size_t instance)
{
    for (size_t i = 0; i <= instance; i++) {
        const struct world_instance *it = &world->instances[i];
        if (came_back(it) && it->change_failed && it->drift != WORLD_DRIFT_NONE) {
            return i == instance;
        }
    }
    return false;
}

/* S7. */
static void check_turn(struct watch *w, struct engine *e, const struct action *action, size_t host)
{
    size_t group = action->group;
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    const char *one = "";
    /* Everybody says that it is off: its provider errs, and nobody else is heard. */
    bool deceived = host != WORLD_NONE && any_libelled(e, false) &&
                    it->power != WORLD_POWER_RUNNING && it->alive.health != WORLD_HEALTHY;
    bool more = !id_of(w, it->id, group)->open && !it->changing && !deceived;
    if (more && count_open(w, group, it->id, &one) > 0 && host != WORLD_NONE && gives(e, host)) {
        watch_fail(w, e, WATCH_S7_ONE, "%s goes out of service while %s is out by order", it->id,
                   one);
    }
    size_t all = count_in_service(e) + count_leaving_now(w, e);
    size_t most = all * e->spec.max_disruption_percent / 100;
    size_t open = is_waited_for(e, group) ? 0 : count_shares(w, e, it->id, &one);
    bool given = host != WORLD_NONE && gives(e, host) &&
                 !(e->spec.groups[group].pool == SPEC_NONE && told_bad(e, action->instance));
    more = more && !is_first_failed(&e->controller.world, action->instance);
    if (given && more && open >= (most > 1 ? most : 1)) {
        watch_fail(w, e, WATCH_S7_CLUSTER,
                   "%s goes out of service while %zu of the cluster (%s) are out by order, at most "
                   "%zu",
                   it->id, open, one, most > 1 ? most : 1);
    }
    int64_t bake_ms = e->spec.groups[group].bake_ms;
    if (w->closed_ms[group] != INT64_MIN && e->now_ms - w->closed_ms[group] < bake_ms &&
        host != WORLD_NONE && gives(e, host)) {
        watch_fail(w, e, WATCH_S7_BAKE,
                   "%s goes out of service %lld ms after the last came back, its bake time is %lld",
                   it->id, (long long)(e->now_ms - w->closed_ms[group]), (long long)bake_ms);
    }
}

/* S10: its check fails, its host lives, and no balancer can be asked: it is not known to be bad. */
static bool is_told_by_one(const struct engine *e, size_t instance)
{
    const struct world *world = &e->controller.world;
    if (world->instances[instance].alive.health != WORLD_HEALTHY) {
        return false;
    }
    bool any = false;
    for (size_t t = 0; t < world->target_count; t++) {
        const struct world_target *target = &world->targets[t];
        const struct world_instance *front =
            &world->instances[world->balancers[target->balancer].instance];
        if (target->member != instance) {
            continue;
        }
        if (front->power == WORLD_POWER_RUNNING && front->alive.health == WORLD_HEALTHY) {
            return false;
        }
        any = true;
    }
    return any;
}

/* S4: nothing is destroyed while too many are bad. */
static void check_breaker(struct watch *w, struct engine *e, const struct action *action)
{
    size_t group = action->group;
    const struct world *world = &e->controller.world;
    unsigned percent = e->spec.groups[group].breaker_percent;
    bool judged = (world->groups[group].suspended & WORLD_PROCESS_HEALTH_CHECK) == 0;
    size_t bad = 0;
    size_t well = 0;
    size_t members = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        bool given_up = it->in_service_ms == 0 && world_wish_is_to_go(it->wish);
        if (it->group == group && !world_leaving(it->lifecycle)) {
            members++; /* Also who is given up in this very step, and was counted before. */
        }
        if (it->group == group && !world_leaving(it->lifecycle) && !given_up) {
            bad += told_bad(e, i) && !is_told_by_one(e, i) ? 1 : 0;
            well += came_back(it) && !told_bad(e, i) &&
                    (e->spec.groups[group].pool == SPEC_NONE || it->health.health == WORLD_HEALTHY);
        }
    }
    size_t share = members * percent / 100;
    if (judged && percent < 100 && bad > (share > 1 ? share : 1) &&
        engine_serving(e, group) < world->groups[group].desired &&
        well < world->groups[group].desired) {
        watch_fail(w, e, WATCH_S4_BREAKER, "%s: %s while %zu of %zu in %s are bad",
                   world->instances[action->instance].id, action_kind_to_string(action->kind), bad,
                   members, e->spec.groups[group].name);
    }
}

/* S6: a zone that is lost as a whole is not repaired one by one. */
static void check_zone(struct watch *w, struct engine *e, const struct action *action)
{
    const struct world *world = &e->controller.world;
    size_t zone = action->zone;
    if (zone == WORLD_NONE || w->zone_bad_ms[zone] == INT64_MAX ||
        e->now_ms - w->zone_bad_ms[zone] < told_ms(e, action->group) ||
        e->now_ms - e->controller.started_ms < told_ms(e, action->group)) {
        return;
    }
    size_t lost = 0;
    bool other_well = false;
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        if (!came_back(it) || it->group == WORLD_NONE) {
            continue;
        }
        if (it->zone == zone) {
            if (!told_bad(e, i)) {
                return; /* Not all of it is known to be gone. */
            }
            lost += it->power == WORLD_POWER_UNKNOWN || it->power == WORLD_POWER_RUNNING ? 1 : 0;
        } else {
            other_well = other_well || (it->alive.health == WORLD_HEALTHY &&
                                        it->health.health != WORLD_UNHEALTHY);
        }
    }
    if (lost >= 2 && other_well) {
        watch_fail(w, e, WATCH_S6_ZONE, "%s: %s in zone %s, which is lost",
                   world->instances[action->instance].id, action_kind_to_string(action->kind),
                   e->spec.zones[zone].name);
    }
}

/* S19: what the step rests on was told just now. */
static void check_fresh(struct watch *w, struct engine *e, const struct action *action, size_t host)
{
    const struct world *world = &e->controller.world;
    if (host == WORLD_NONE || !gives(e, host) || any_libelled(e, false)) {
        return;
    }
    for (size_t t = 0; t < world->target_count; t++) {
        const struct world_balancer *b = &world->balancers[world->targets[t].balancer];
        size_t balancer = engine_host(e, b->instance);
        const struct world_instance *front = &world->instances[b->instance];
        bool off = front->power == WORLD_POWER_OFF && front->alive.health == WORLD_UNHEALTHY;
        if (world->targets[t].member != action->instance || balancer == WORLD_NONE || off ||
            !truth_balancing(&e->truth, &e->spec, balancer, b->frontend)) {
            continue;
        }
        if (b->seen_ms == INT64_MIN || e->now_ms - b->seen_ms > FRESH_MS) {
            watch_fail(w, e, WATCH_S19_FRESH, "%s: %s, but %s was last heard of %lld ms ago",
                       world->instances[action->instance].id, action_kind_to_string(action->kind),
                       world->instances[b->instance].id,
                       (long long)(b->seen_ms == INT64_MIN ? -1 : e->now_ms - b->seen_ms));
        }
    }
}

/* S2: what is replaced goes when another serves in its place, if there can be another. */
static void check_new_first(struct watch *w, struct engine *e, const struct action *action,
                            size_t host)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[action->instance];
    size_t group = action->group;
    size_t desired = world->groups[group].desired;
    if (action->kind != ACTION_MARK || action->lifecycle != LIFECYCLE_TERMINATING ||
        action->reason.code == REASON_DEAD || host == WORLD_NONE || !gives(e, host) ||
        e->truth.hosts[host].libelled || e->spec.groups[group].pool == SPEC_NONE ||
        it->lifecycle == LIFECYCLE_DRAINING) {
        return;
    }
    struct count count = count_serving(w, e, group);
    size_t live = 0;
    size_t standby = 0;
    size_t coming = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *other = &world->instances[i];
        bool member = other->group == group && !world_leaving(other->lifecycle) &&
                      other->lifecycle != LIFECYCLE_DETACHED &&
                      other->lifecycle != LIFECYCLE_QUARANTINED;
        live += member ? 1 : 0;
        standby += member && other->lifecycle == LIFECYCLE_STANDBY ? 1 : 0;
        coming += member && other->lifecycle == LIFECYCLE_PENDING ? 1 : 0;
    }
    size_t room = 0;
    for (size_t z = 0; z < e->spec.zone_count; z++) {
        room += world->room[group * e->spec.zone_count + z];
    }
    size_t surge = desired * e->spec.groups[group].healthy_max_percent / 100;
    size_t most = surge > e->spec.groups[group].max ? surge : e->spec.groups[group].max;
    bool possible = coming > 0 || (room > 0 && live < most);
    bool held = (world->groups[group].suspended & WORLD_PROCESS_LAUNCH) != 0 ||
                world->groups[group].failed_launches >= LAUNCHES_MAX;
    size_t others = count.serving - 1;
    const struct decision *d = &e->controller.decision;
    for (size_t i = 0; i < d->hold_count; i++) {
        held = held || (d->holds[i].group == group && d->holds[i].reason.code == REASON_NO_ROOM);
    }
    if (others + standby < desired && possible && !held) {
        watch_fail(w, e, WATCH_S2_NEW_FIRST,
                   "%s leaves for another while %zu others serve of %zu wanted, and there is room",
                   it->id, others, desired);
    }
}

/* S10: somebody who should be asked about it has not answered. */
static bool lacks_witness(const struct engine *e, size_t instance)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[instance];
    bool pool = e->spec.groups[it->group].pool != SPEC_NONE;
    if (it->custom.health == WORLD_UNHEALTHY) {
        return it->alive.health == WORLD_HEALTH_UNKNOWN; /* Its own check speaks for the rest. */
    }
    bool unknown = it->alive.health == WORLD_HEALTH_UNKNOWN ||
                   (pool && it->health.health == WORLD_HEALTH_UNKNOWN);
    for (size_t t = 0; t < world->target_count; t++) {
        const struct world_balancer *b = &world->balancers[world->targets[t].balancer];
        const struct world_instance *front = &world->instances[b->instance];
        bool reached = came_back(front) && front->configured &&
                       front->power == WORLD_POWER_RUNNING && front->alive.health == WORLD_HEALTHY;
        bool silent = b->seen_ms == INT64_MIN || e->now_ms - b->seen_ms > 30000;
        unknown = unknown || (world->targets[t].member == instance && reached && silent);
    }
    return unknown;
}

/* S8 to S13: nothing is done to a host for what is not its fault. */
static void check_mending(struct watch *w, struct engine *e, const struct action *action,
                          size_t host)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[action->instance];
    struct watch_id *id = id_of(w, it->id, it->group);
    const char *what = action_kind_to_string(action->kind);
    int64_t patience_ms = id->rung == ACTION_RESTART ? PATIENCE_RESTART_MS : PATIENCE_BOOT_MS;
    int64_t rung_ms = id->rung_ms < it->rung_ms ? id->rung_ms : it->rung_ms;
    if (id->rung_ms != 0 && e->now_ms - rung_ms < patience_ms &&
        action->reason.code == REASON_MEND) {
        watch_fail(w, e, WATCH_S8_PATIENCE, "%s: %s %lld ms after %s, its time is %lld", it->id,
                   what, (long long)(e->now_ms - id->rung_ms), action_kind_to_string(id->rung),
                   (long long)patience_ms);
    }
    bool verdict =
        action->reason.code == REASON_MEND && action->reason.name != NULL &&
        (text_equal(action->reason.name, "lost") || text_equal(action->reason.name, "unready"));
    if (verdict && lacks_witness(e, action->instance)) {
        watch_fail(w, e, WATCH_S10_UNKNOWN, "%s: %s, and a witness has not answered", it->id, what);
    }
    if (host == WORLD_NONE) {
        return;
    }
    const struct truth_host *h = &e->truth.hosts[host];
    bool tried = it->failure == WORLD_FAILURE_TRANSIENT && it->failures >= LAUNCHES_MAX;
    /* Of a host that nobody else looks at, we are the only witness. */
    bool cut = e->truth.prober_cut || (w->prober_back_ms != INT64_MIN &&
                                       e->now_ms - w->prober_back_ms < told_ms(e, it->group));
    bool wronged = h->blind || h->libelled ||
                   (h->wronged_ms != 0 && e->now_ms - h->wronged_ms < told_ms(e, it->group));
    bool alone = (wronged || cut) && !somebody_heard(e, action->instance);
    if (id->well && e->now_ms - id->well_ms > told_ms(e, it->group) && !tried && !alone &&
        it->lifecycle == LIFECYCLE_IN_SERVICE) {
        bool told_otherwise = h->blind || h->libelled;
        if (h->libelled && it->alive.health != WORLD_HEALTHY) {
            return; /* Its provider's word stands alone, and nobody contradicts. */
        }
        watch_fail(w, e, told_otherwise ? WATCH_DISPUTED : WATCH_S10_UNKNOWN,
                   "%s: %s, and it has been well for %lld ms", it->id, what,
                   (long long)(e->now_ms - id->well_ms));
    }
    bool in_grace = id->ready_ms != 0 && id->in_service_ms < id->ready_ms && id->rung_ms == 0 &&
                    e->now_ms - id->ready_ms < e->spec.groups[it->group].grace_ms;
    if (in_grace && !tried && action->reason.code == REASON_MEND) {
        watch_fail(w, e, WATCH_S11_GRACE, "%s: %s %lld ms after it was made, its grace is %lld",
                   it->id, what, (long long)(e->now_ms - id->ready_ms),
                   (long long)e->spec.groups[it->group].grace_ms);
    }
    bool off = it->power != WORLD_POWER_RUNNING && it->alive.health == WORLD_UNHEALTHY;
    if (e->now_ms < id->held_ms && e->now_ms < it->damping.until_ms && h->power == TRUTH_RUNNING &&
        !off) {
        watch_fail(w, e, WATCH_S13_FLAPPING, "%s: %s while it flaps", it->id, what);
    }
    bool own = h->blind || h->libelled || h->power != TRUTH_RUNNING || !h->service || h->doomed ||
               h->flaps || !h->custom || !h->configured || e->truth.zones[h->zone].cut ||
               e->truth.controller_cut;
    size_t mates = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        mates += world->instances[i].group == it->group && told_bad(e, i) &&
                 world->instances[i].alive.health == WORLD_HEALTHY;
    }
    if (!own && !tried && it->alive.health != WORLD_UNHEALTHY &&
        w->shared_ms[it->group] != INT64_MAX && mates >= 2 &&
        e->now_ms - id->well_ms > told_ms(e, it->group)) {
        watch_fail(w, e, WATCH_S12_SHARED, "%s: %s, and it is what all of %s need that is away",
                   it->id, what, e->spec.groups[it->group].name);
    }
}

static bool provider_silent(const struct engine *e, size_t zone, int64_t touched_ms, int64_t for_ms)
{
    const struct truth_zone *z = &e->truth.zones[zone];
    int64_t said_ms = z->list_ms > touched_ms ? z->list_ms : touched_ms;
    said_ms = said_ms > e->controller.started_ms ? said_ms : e->controller.started_ms;
    return e->now_ms - said_ms > for_ms;
}

/* S9, S10: when it is to be replaced. */
static void check_replacing(struct watch *w, struct engine *e, const struct action *action)
{
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    bool replaces = action->kind == ACTION_MARK && (action->wish == WORLD_WISH_REPLACE ||
                                                    action->lifecycle == LIFECYCLE_TERMINATING);
    if (!replaces || action->reason.code != REASON_MEND || it->zone == WORLD_NONE) {
        return;
    }
    if (it->alive.health != WORLD_HEALTHY && it->in_service_ms != 0 &&
        (!it->power_witnessed ||
         provider_silent(e, it->zone, e->controller.members[action->instance].touched_ms,
                         90000 + SLACK_MS + 2 * e->pace.list_every_ms))) {
        watch_fail(w, e, WATCH_S10_POWER,
                   "%s is to be replaced, nobody reaches it and its provider is silent", it->id);
    }
    const char *machine = e->controller.members[action->instance].machine;
    bool retried = id_of(w, it->id, it->group)->retried; /* A human looked. */
    if (roster_rebuilds(e, machine) >= REBUILDS_MAX && it->in_service_ms != 0 && !retried) {
        watch_fail(w, e, WATCH_S9_MACHINE,
                   "%s is to be replaced, its machine %s was rebuilt %u times", it->id, machine,
                   roster_rebuilds(e, machine));
    }
}

static void check_adding(struct watch *w, struct engine *e, const struct action *action)
{
    const struct world *world = &e->controller.world;
    size_t group = action->group;
    size_t surge =
        (size_t)world->groups[group].desired * e->spec.groups[group].healthy_max_percent / 100;
    size_t most = surge > e->spec.groups[group].max ? surge : e->spec.groups[group].max;
    size_t live = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        size_t host = it->group == group ? engine_host(e, i) : WORLD_NONE;
        bool counts = it->group == group && !world_leaving(it->lifecycle) &&
                      it->lifecycle != LIFECYCLE_QUARANTINED && it->lifecycle != LIFECYCLE_DETACHED;
        bool well = host != WORLD_NONE && truth_alive(&e->truth, host) &&
                    it->alive.health == WORLD_HEALTHY && it->power != WORLD_POWER_OFF &&
                    it->power != WORLD_POWER_ABSENT &&
                    !e->truth.zones[e->truth.hosts[host].zone].cut;
        live += counts && well;
    }
    if (live >= most) {
        watch_fail(w, e, WATCH_S2_MOST, "one more of %s, which has %zu live and may have %zu",
                   e->spec.groups[group].name, live, most);
    }
    if (w->failed[group] >= LAUNCHES_MAX) {
        watch_fail(w, e, WATCH_S9_LAUNCHES,
                   "one more of %s, of which the last %u came to nothing (%u known)",
                   e->spec.groups[group].name, w->failed[group],
                   world->groups[group].failed_launches);
    }
}

static void check_disruption(struct watch *w, struct engine *e, const struct action *action,
                             size_t host)
{
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    bool looked_at =
        (e->controller.world.groups[action->group].suspended & WORLD_PROCESS_HEALTH_CHECK) == 0;
    bool host_libelled = host != WORLD_NONE && is_libelled(e, host, it) &&
                         (it->alive.health != WORLD_HEALTHY || !looked_at);
    if (host_libelled || any_libelled(e, true)) {
        return; /* Its provider's word stands alone, and nobody contradicts. */
    }
    check_turn(w, e, action, host);
    check_breaker(w, e, action);
    if (is_mending(action)) {
        check_zone(w, e, action);
    }
    check_fresh(w, e, action, host);
    if (host != WORLD_NONE) {
        check_baked(w, e, action, host);
        check_new_first(w, e, action, host);
    }
}

/* A balancer has said, after we noticed, that it does not answer there either. */
static bool told_down(const struct engine *e, size_t instance)
{
    const struct world *world = &e->controller.world;
    for (size_t t = 0; t < world->target_count; t++) {
        if (world->targets[t].member == instance && world->targets[t].state == WORLD_TARGET_DOWN &&
            world->balancers[world->targets[t].balancer].seen_ms >=
                world->instances[instance].alive.since_ms) {
            return true;
        }
    }
    return false;
}

/* 55 % of the hosts that should answer, and were asked, do not. */
static bool most_is_gone(const struct engine *e)
{
    const struct world *world = &e->controller.world;
    size_t seen = 0;
    size_t gone = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        bool off = it->power_witnessed &&
                   (it->power == WORLD_POWER_OFF || it->power == WORLD_POWER_ABSENT);
        if (came_back(it) && !it->busy && !off && it->alive.health != WORLD_HEALTH_UNKNOWN) {
            size_t host = engine_host(e, i);
            seen++;
            /* One that really is gone may be known to be, by others. */
            gone += it->alive.health == WORLD_UNHEALTHY && host != WORLD_NONE &&
                    truth_alive(&e->truth, host) && !told_down(e, i);
        }
    }
    return seen >= 2 && gone * 100 >= seen * 55;
}

/* S5, S21, S22: who may be touched at all. */
static void check_touching(struct watch *w, struct engine *e, const struct action *action)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[action->instance];
    const char *what = action_kind_to_string(action->kind);
    bool paused =
        world->paused || it->paused || (it->group != WORLD_NONE && world->groups[it->group].paused);
    if (it->lifecycle == LIFECYCLE_DETACHED) {
        watch_fail(w, e, WATCH_S21_DETACHED, "%s: %s, and it is detached", it->id, what);
    }
    if (paused && action_kind_has_effect(action->kind)) {
        watch_fail(w, e, WATCH_S22_PAUSED, "%s: %s, and it is paused", it->id, what);
    }
    int64_t from_ms = w->cut_ms > e->controller.started_ms ? w->cut_ms : e->controller.started_ms;
    bool cut = w->cut_ms != INT64_MAX && e->now_ms - from_ms > 3 * SLACK_MS && most_is_gone(e);
    if (cut && action_kind_has_effect(action->kind)) {
        watch_fail(w, e, WATCH_S5_FROZEN, "%s: %s, and the controller has been cut off for %lld ms",
                   it->id, what, (long long)(e->now_ms - w->cut_ms));
    }
}

static void check_admission(struct watch *w, struct engine *e, const struct action *action,
                            size_t host)
{
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    const char *id = it->id;
    /* Of one that is no more, what was last said holds until it is noticed; HAProxy's own check
       lets it in nowhere. */
    enum world_health said =
        host == WORLD_NONE ? it->health.health : e->truth.hosts[host].ready.said;
    if (said != WORLD_HEALTHY) {
        watch_fail(w, e, WATCH_ADMIT, "%s is let into its pool, and no check of it has passed", id);
    }
}

/* Whoever is changed or ended gets no requests any more. */
static void check_drained(struct watch *w, struct engine *e, const struct action *action,
                          size_t host)
{
    bool strikes = action->kind == ACTION_CONFIGURE || action->kind == ACTION_TERMINATE ||
                   action->kind == ACTION_RESTART || action->kind == ACTION_REBOOT ||
                   action->kind == ACTION_CYCLE;
    if (strikes && truth_has_traffic(&e->truth, &e->spec, host) &&
        truth_ready(&e->truth, &e->spec, host) && !any_libelled(e, false) &&
        !any_libelled(e, true) &&
        e->now_ms - e->truth.hosts[host].traffic_since_ms > told_ms(e, action->group) &&
        !unheard(e, action, host)) {
        watch_fail(w, e, WATCH_DRAINED, "%s: %s, and it still has traffic",
                   e->controller.world.instances[action->instance].id,
                   action_kind_to_string(action->kind));
    }
}

/* What is remembered. */

static void close_id(struct watch *w, struct engine *e, struct watch_id *id)
{
    size_t at = engine_find(e, id->id);
    if (id->open || (at != WORLD_NONE && e->controller.world.instances[at].in_service_ms != 0)) {
        w->closed_ms[id->group] = e->now_ms;
    }
    id->open = false;
}

static void remember_mark(struct watch *w, struct engine *e, const struct action *action)
{
    struct world_instance *it = &e->controller.world.instances[action->instance];
    struct watch_id *id = id_of(w, it->id, it->group);
    const struct world *world = &e->controller.world;
    bool bad = it->failure != WORLD_FAILURE_NONE || it->verdict == WORLD_VERDICT_UNREADY ||
               it->verdict == WORLD_VERDICT_LOST;
    bool lost = !bad || it->power == WORLD_POWER_UNKNOWN || world->frozen.on ||
                (it->zone != WORLD_NONE && world->zones[it->zone].lost.on);
    if (action->lifecycle == it->lifecycle) {
        return;
    }
    switch (action->lifecycle) {
    case LIFECYCLE_IN_SERVICE:
        if (it->in_service_ms != 0) {
            close_id(w, e, id);
        }
        id->open = false;
        id->came = true;
        id->in_service_ms = e->now_ms;
        w->failed[id->group] = 0;
        return;
    case LIFECYCLE_STANDBY:
    case LIFECYCLE_QUARANTINED:
    case LIFECYCLE_DETACHED: close_id(w, e, id); return;
    case LIFECYCLE_TERMINATING:
        w->failed[id->group] +=
            action->reason.code == REASON_MEND && it->in_service_ms == 0 && !lost ? 1 : 0;
        return;
    case LIFECYCLE_PENDING:
    case LIFECYCLE_DRAINING:
    case LIFECYCLE_TERMINATED:
    case LIFECYCLE_PENDING_WAIT:
    case LIFECYCLE_TERMINATING_WAIT: return;
    }
}

/* A balancer serves that its record says was never configured. */
static bool older_balancer(const struct engine *e)
{
    const struct world *world = &e->controller.world;
    for (size_t b = 0; b < world->balancer_count; b++) {
        size_t host = engine_host(e, world->balancers[b].instance);
        if (!world->instances[world->balancers[b].instance].configured && host != WORLD_NONE &&
            e->truth.hosts[host].synced) {
            return true;
        }
    }
    return false;
}

void watch_on_action(struct watch *w, struct engine *e, const struct action *action)
{
    watch_refresh_on_action(w, e, action);
    if (action->kind == ACTION_REFRESH) {
        w->failed[action->group] = 0;
        return;
    }
    if (action->instance == WORLD_NONE) {
        check_adding(w, e, action);
        return;
    }
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    size_t host = engine_host(e, action->instance);
    check_touching(w, e, action);
    if (it->group == WORLD_NONE) {
        return;
    }
    bool disrupts = is_disruption(it, action);
    /* A record older than the host: it may be of a balancer's time before this one's (S21). */
    bool older = e->counts[ENGINE_RESTORED] > 0 && (!it->configured || older_balancer(e));
    if (host != WORLD_NONE && !older) {
        check_taking(w, e, action, host);
        check_last(w, e, action, host);
        check_drained(w, e, action, host);
    }
    if (disrupts) {
        check_disruption(w, e, action, host);
    }
    if (is_mending(action)) {
        check_mending(w, e, action, host);
    }
    check_replacing(w, e, action);
    if (action->kind == ACTION_ADMIT) {
        check_admission(w, e, action, host);
    }
    if (action->kind == ACTION_MARK && action->reason.code == REASON_GROUP_LONG && it->protect) {
        watch_fail(w, e, WATCH_PROTECTED, "%s leaves for the size of its group, and is protected",
                   it->id);
    }
    if (disrupts && it->in_service_ms != 0) {
        struct watch_id *id = id_of(w, it->id, it->group);
        id->open = true;
        id->ordered_ms = e->now_ms;
    }
    if (action->kind == ACTION_MARK) {
        remember_mark(w, e, action);
    }
}

void watch_on_end(struct watch *w, struct engine *e, const struct engine_job *job,
                  enum outcome outcome)
{
    size_t group = job->action.group;
    if (group == WORLD_NONE) {
        return;
    }
    struct watch_id *id = id_of(w, job->id, group);
    bool rung = job->action.kind == ACTION_RESTART || job->action.kind == ACTION_REBOOT ||
                job->action.kind == ACTION_CYCLE;
    if (rung) {
        id->rung = job->action.kind;
        id->rung_ms = e->now_ms;
        /* It was not done, as far as anybody knows. */
        id->open = id->open && (outcome == OUTCOME_DONE ||
                                !came_back(&e->controller.world.instances[job->action.instance]));
    }
    if (outcome == OUTCOME_DONE &&
        (job->action.kind == ACTION_CONFIGURE || job->action.kind == ACTION_LAUNCH)) {
        id->ready_ms = e->now_ms;
        /* In place, without having been taken out: it serves on. */
        if (job->action.kind == ACTION_CONFIGURE && id->open &&
            came_back(&e->controller.world.instances[job->action.instance])) {
            id->in_service_ms = e->now_ms;
            close_id(w, e, id);
        }
    }
    if (outcome == OUTCOME_DONE && job->action.kind == ACTION_INSPECT && !job->differs &&
        came_back(&e->controller.world.instances[job->action.instance])) {
        id->open = false; /* What failed there has come about all the same. */
    }
    if (outcome == OUTCOME_DONE && job->action.kind == ACTION_TERMINATE) {
        close_id(w, e, id);
    }
}

static void hear_transition(struct watch_id *id, const struct engine *e, enum world_health health)
{
    if (health == id->said || health == WORLD_HEALTH_UNKNOWN) {
        id->said = health;
        return;
    }
    bool first = id->said == WORLD_HEALTH_UNKNOWN;
    id->said = health;
    size_t pool = e->spec.groups[id->group].pool;
    if (first || pool == SPEC_NONE) {
        return;
    }
    /* One result an interval, newest lowest: was it a transition? (The rule's 21 results.) */
    int64_t results = id->turned_ms == 0
                          ? 1
                          : (e->now_ms - id->turned_ms) / e->spec.pools[pool].check.interval_ms;
    results = results < 1 ? 1 : results;
    id->results = results >= FLAP_RESULTS ? 0 : id->results << results;
    id->results = (id->results | 1) & ((1U << FLAP_RESULTS) - 1);
    id->turned_ms = e->now_ms;
    if (__builtin_popcount(id->results) * 2 > FLAP_RESULTS && e->now_ms >= id->held_ms) {
        id->held_ms = e->now_ms + FLAP_HOLD_MS;
    }
}

/* `why` answers for every state. */

/* What is said when there is nothing to say. */
static bool is_generic(const char *line)
{
    static const char *const words[] = {"unknown state",       "(null)", "no reason given",
                                        "change it: Nothing.", "?",      "process unknown"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(line, words[i]) != NULL) {
            return true;
        }
    }
    return line[0] == '\0' || line[strlen(line) - 1] != '.';
}

/* It serves as its group wants it, and nobody says otherwise. */
static bool is_good(const struct engine *e, size_t instance)
{
    const struct world_instance *it = &e->controller.world.instances[instance];
    return came_back(it) && it->wish == WORLD_WISH_NONE && it->drift == WORLD_DRIFT_NONE &&
           it->verdict == WORLD_VERDICT_OK && e->controller.decision.survey.serving[instance];
}

static void check_reason(struct watch *w, struct engine *e, size_t instance)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[instance];
    struct reason reason = why_reason(&e->spec, world, &e->controller.decision, instance);
    w->reasons[reason.code]++;
    if (reason.code == REASON_NONE && !is_good(e, instance)) {
        watch_fail(w, e, WATCH_WHY, "%s: no reason (%s, wish %s, judged %s, drift %d, power %d)",
                   it->id, lifecycle_to_string(it->lifecycle), world_wish_to_string(it->wish),
                   world_verdict_to_string(it->verdict), (int)it->drift, (int)it->power);
    }
}

static void check_lines(struct watch *w, struct engine *e, const struct why *why, const char *name,
                        const char *rule)
{
    bool named = rule == NULL;
    if (why->count == 0) {
        watch_fail(w, e, WATCH_WHY, "%s: no answer", name);
    }
    for (size_t i = 0; i < why->count; i++) {
        const char *line = why->lines[i];
        if (is_generic(line)) {
            watch_fail(w, e, WATCH_WHY, "%s: '%s'", name, line);
        }
        named = named || strstr(line, rule) != NULL;
    }
    if (!named) {
        watch_fail(w, e, WATCH_WHY, "%s: rule %s is not named in '%s'", name, rule, why->lines[0]);
    }
}

/* What is said of a group's size is so. */
static void check_size(struct watch *w, struct engine *e, const struct why *why, size_t group)
{
    const struct survey_group *g = &e->controller.decision.survey.groups[group];
    unsigned desired = e->controller.world.groups[group].desired;
    for (size_t i = 0; i < why->count; i++) {
        if (g->standing + g->standby != desired && strstr(why->lines[i], "as wanted") != NULL) {
            watch_fail(w, e, WATCH_WHY, "%s: '%s', and %zu of %u stand", e->spec.groups[group].name,
                       why->lines[i], g->standing + g->standby, desired);
        }
    }
}

static const char *rule_of_hold(const struct decision *d, size_t instance, size_t group)
{
    for (size_t i = 0; i < d->hold_count; i++) {
        if (d->holds[i].instance == instance &&
            (instance != WORLD_NONE || d->holds[i].group == group)) {
            return reason_rule(d->holds[i].reason.code);
        }
    }
    return NULL;
}

static void check_why(struct watch *w, struct engine *e)
{
    const struct world *world = &e->controller.world;
    const struct decision *d = &e->controller.decision;
    static struct why why;
    for (size_t i = 0; i < world->instance_count; i++) {
        if (world->instances[i].lifecycle != LIFECYCLE_TERMINATED) {
            check_reason(w, e, i);
            why_instance(&e->spec, world, d, i, &why);
            check_lines(w, e, &why, world->instances[i].id,
                        rule_of_hold(d, i, world->instances[i].group));
        }
    }
    for (size_t g = 0; g < e->spec.group_count; g++) {
        why_group(&e->spec, world, d, g, &why);
        check_size(w, e, &why, g);
        check_lines(w, e, &why, e->spec.groups[g].name, rule_of_hold(d, WORLD_NONE, g));
    }
    why_cluster(&e->spec, world, d, &why);
    check_lines(w, e, &why, e->spec.cluster, NULL);
}

static void count_reasons(struct watch *w, const struct engine *e)
{
    const struct decision *d = &e->controller.decision;
    for (size_t i = 0; i < d->hold_count; i++) {
        w->reasons[d->holds[i].reason.code]++;
    }
    for (size_t i = 0; i < d->action_count; i++) {
        w->reasons[d->actions[i].reason.code]++;
    }
}

static void check_owners(struct watch *w, struct engine *e)
{
    const struct engine_controller *c = &e->controller;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        for (size_t j = i + 1; c->members[i].machine[0] != '\0' && j < c->world.instance_count;
             j++) {
            if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED &&
                c->world.instances[j].lifecycle != LIFECYCLE_TERMINATED &&
                text_equal(c->members[i].machine, c->members[j].machine)) {
                watch_fail(w, e, WATCH_S25_SHARED, "%s and %s are both on machine %s",
                           c->world.instances[i].id, c->world.instances[j].id,
                           c->members[i].machine);
            }
        }
    }
}

void watch_on_decision(struct watch *w, struct engine *e)
{
    const struct world *world = &e->controller.world;
    w->decisions++;
    for (size_t i = 0; i < world->instance_count; i++) {
        if (world->instances[i].group != WORLD_NONE) {
            hear_transition(id_of(w, world->instances[i].id, world->instances[i].group), e,
                            world->instances[i].health.health);
        }
    }
    count_reasons(w, e);
    if (w->decisions % 16 == 0) {
        check_owners(w, e);
    }
    if (w->looks_at_why || w->decisions % 16 == 0) {
        check_why(w, e);
    }
    if (e->restless > 0) {
        watch_fail(w, e, WATCH_RESTLESS, "decide() goes on and on in one instant");
    }
}

static bool is_well(const struct engine *e, size_t host)
{
    const struct truth_host *h = &e->truth.hosts[host];
    return truth_alive(&e->truth, host) && (truth_reached(&e->truth, host) || h->blind) &&
           h->configured && h->service && h->custom && !h->doomed &&
           truth_ready(&e->truth, &e->spec, host) && !h->disk_full;
}

void watch_on_truth(struct watch *w, struct engine *e)
{
    for (size_t i = 0; i < e->truth.host_count; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        if (h->id[0] == '\0' || h->group == WORLD_NONE) {
            continue;
        }
        struct watch_id *id = id_of(w, h->id, h->group);
        bool well = is_well(e, i);
        if (well != id->well) {
            id->well = well;
            id->well_ms = e->now_ms;
        }
    }
    for (size_t z = 0; z < e->spec.zone_count; z++) {
        bool bad = e->truth.zones[z].dark || e->truth.zones[z].cut;
        w->zone_bad_ms[z] = !bad                             ? INT64_MAX
                            : w->zone_bad_ms[z] == INT64_MAX ? e->now_ms
                                                             : w->zone_bad_ms[z];
    }
    bool prober_cut = e->truth.prober_cut || e->truth.controller_cut;
    /* Until this very moment, if it was. */
    w->prober_back_ms = prober_cut || w->prober_cut ? e->now_ms : w->prober_back_ms;
    w->prober_cut = prober_cut;
    w->cut_ms = !e->truth.controller_cut ? INT64_MAX
                : w->cut_ms == INT64_MAX ? e->now_ms
                                         : w->cut_ms;
    for (size_t g = 0; g < e->spec.group_count; g++) {
        bool away = e->truth.shared_down[g];
        for (size_t n = 0; n < e->spec.groups[g].needs.count; n++) {
            away = away || !truth_need_met(&e->truth, e->spec.groups[g].needs.items[n]);
        }
        w->shared_ms[g] = !away                          ? INT64_MAX
                          : w->shared_ms[g] == INT64_MAX ? e->now_ms
                                                         : w->shared_ms[g];
    }
}

void watch_on_start(struct watch *w, struct engine *e)
{
    const struct world *world = &e->controller.world;
    for (size_t i = 0; i < w->id_count; i++) {
        size_t at = engine_find(e, w->ids[i].id);
        const struct world_instance *it = at == WORLD_NONE ? NULL : &world->instances[at];
        w->ids[i].open =
            it != NULL && it->in_service_ms != 0 &&
            (it->lifecycle == LIFECYCLE_DRAINING || world_leaving(it->lifecycle) ||
             it->lifecycle == LIFECYCLE_PENDING || it->lifecycle == LIFECYCLE_PENDING_WAIT);
        w->ids[i].said = WORLD_HEALTH_UNKNOWN;
        w->ids[i].held_ms = 0;
        w->ids[i].results = 0;
        w->ids[i].turned_ms = 0;
        w->ids[i].rung_ms = it == NULL || it->rung == WORLD_RUNG_NONE ? 0 : it->rung_ms;
        w->ids[i].rung =
            it != NULL && it->rung == WORLD_RUNG_RESTART ? ACTION_RESTART : ACTION_CYCLE;
        w->ids[i].ready_ms = it == NULL ? 0 : it->ready_ms;
        w->ids[i].in_service_ms = it == NULL ? 0 : it->in_service_ms;
    }
    for (size_t g = 0; g < e->spec.group_count; g++) {
        w->closed_ms[g] = world->groups[g].disrupted_ms;
        w->failed[g] = world->groups[g].failed_launches;
    }
    /* What was asked for meanwhile is taken in before anything else. */
    for (size_t i = 0; i < e->request_count; i++) {
        watch_on_request(w, &e->requests[i]);
    }
}

void watch_on_request(struct watch *w, const struct engine_request *request)
{
    if (request->kind == ENGINE_REFRESH || request->kind == ENGINE_REFRESH_BACK) {
        w->failed[request->group] = 0; /* It begins, or goes back: tried anew. */
        return;
    }
    if (request->kind != ENGINE_RETRY) {
        return;
    }
    if (request->instance[0] == '\0' && request->group != WORLD_NONE) {
        w->failed[request->group] = 0;
    } else if (request->instance[0] != '\0') {
        struct watch_id *id = id_of(w, request->instance, request->group);
        id->rung_ms = 0;
        id->retried = true;
    }
}

void watch_end(struct watch *w, struct engine *e)
{
    check_why(w, e);
    check_owners(w, e);
    for (size_t i = 0; i < e->truth.host_count; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        if (h->id[0] != '\0' && !h->is_static && !h->vanished &&
            engine_find(e, h->id) == WORLD_NONE) {
            watch_fail(w, e, WATCH_LEFT_OVER, "host %s is left over: no record has it", h->id);
        }
    }
    for (size_t s = 0; s < e->truth.server_count; s++) {
        const struct truth_server *server = &e->truth.servers[s];
        if (engine_find(e, server->member) == WORLD_NONE &&
            truth_balancing(&e->truth, &e->spec, server->host, server->frontend)) {
            watch_fail(w, e, WATCH_LEFT_OVER, "%s is left over in HAProxy on %s", server->member,
                       e->truth.hosts[server->host].id);
        }
    }
    for (size_t i = 0; i < e->controller.world.instance_count; i++) {
        const struct world_instance *it = &e->controller.world.instances[i];
        if (it->lifecycle != LIFECYCLE_TERMINATED && engine_host(e, i) == WORLD_NONE) {
            watch_fail(w, e, WATCH_LEFT_OVER, "record %s (%s) is left over: there is no such host",
                       it->id, lifecycle_to_string(it->lifecycle));
        }
    }
}
