/*
 * What a refresh, and a capture, must not do. Counted anew here, from the members themselves: the
 * core's own count is what is being watched.
 */
#include "sim/watch.h"

#include "base/str.h"

#include <inttypes.h>

/* By then everybody has seen that it serves. */
#define SURE_MS 15000

struct tally {
    size_t all;
    size_t replaced; /* With the wanted content, and counted on. */
    size_t surely;   /* Of those, up on all balancers. */
    size_t going;    /* Old, and to go. */
    size_t coming;   /* New, and not counted on yet. */
};

static bool is_member(const struct world_instance *it, size_t group)
{
    return it->group == group && !world_leaving(it->lifecycle) &&
           it->lifecycle != LIFECYCLE_DETACHED && it->lifecycle != LIFECYCLE_QUARANTINED;
}

static bool is_old(const struct world_refresh *r, const struct world_instance *it)
{
    uint64_t wanted = r->state == WORLD_REFRESH_BACK ? r->before : r->wanted;
    return it->content != wanted ||
           (r->state != WORLD_REFRESH_BACK && r->all && it->made_ms < r->began_ms);
}

static bool is_set_aside(const struct world_instance *it, const struct world_refresh *r,
                         enum world_refresh_policy policy)
{
    bool standby = it->lifecycle == LIFECYCLE_STANDBY || it->wish == WORLD_WISH_STANDBY;
    return (standby && r->standby_ones == policy) ||
           (!standby && it->protect && r->protected_ones == policy);
}

/* Where no balancer is left (detached, or not made yet), its own checks alone say so. */
static bool is_up(const struct world *world, size_t instance)
{
    size_t asked = 0;
    size_t up = 0;
    for (size_t t = 0; t < world->target_count; t++) {
        const struct world_instance *from =
            &world->instances[world->balancers[world->targets[t].balancer].instance];
        bool away = !from->configured || from->lifecycle == LIFECYCLE_DETACHED ||
                    from->lifecycle == LIFECYCLE_TERMINATED;
        bool is_its = world->targets[t].member == instance && !away;
        asked += is_its;
        up += is_its && world->targets[t].state == WORLD_TARGET_UP;
    }
    const struct world_instance *it = &world->instances[instance];
    return (up > 0 || asked == 0) && it->health.health == WORLD_HEALTHY &&
           it->power == WORLD_POWER_RUNNING && it->configured;
}

/* On every balancer, whether that can be asked or not. */
static bool is_up_everywhere(const struct world *world, size_t instance)
{
    for (size_t t = 0; t < world->target_count; t++) {
        if (world->targets[t].member == instance && world->targets[t].state != WORLD_TARGET_UP) {
            return false;
        }
    }
    return is_up(world, instance);
}

static struct tally tally(const struct engine *e, size_t group)
{
    const struct world *world = &e->controller.world;
    const struct world_refresh *r = &world->groups[group].refresh;
    struct tally t = {0};
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *it = &world->instances[i];
        if (!is_member(it, group)) {
            continue;
        }
        bool old = is_old(r, it);
        int64_t bake_ms = e->spec.groups[group].bake_ms;
        if (!old && it->made_ms >= r->began_ms && r->warm_up_ms > bake_ms) {
            bake_ms = r->warm_up_ms;
        }
        bool counted = it->lifecycle == LIFECYCLE_IN_SERVICE && is_up(world, i) &&
                       e->now_ms - it->in_service_ms >= bake_ms;
        bool ignored =
            old && !world_wish_is_to_go(it->wish) && is_set_aside(it, r, WORLD_REFRESH_IGNORE);
        t.all += ignored ? 0 : 1;
        t.surely += !old && counted && is_up_everywhere(world, i);
        t.going += old && world_wish_is_to_go(it->wish);
        t.replaced += !old && (counted || it->lifecycle == LIFECYCLE_STANDBY);
        /* One that serves and is not baked yet; who was made and never came is counted, too. */
        t.coming += !old && !counted && it->lifecycle != LIFECYCLE_STANDBY;
    }
    return t;
}

/* Another one is to be replaced. */
static void check_next(struct watch *w, struct engine *e, const struct action *action)
{
    const struct world_instance *it = &e->controller.world.instances[action->instance];
    const struct world_group *g = &e->controller.world.groups[action->group];
    const struct world_refresh *r = &g->refresh;
    bool back = r->state == WORLD_REFRESH_BACK;
    if (it->in_service_ms == 0 && r->state != WORLD_REFRESH_RUNNING) {
        return; /* What never came gives nothing. */
    }
    if (!world_refresh_is_active(r->state)) {
        watch_fail(w, e, WATCH_REFRESH_FIRST, "%s is to be replaced by a refresh that is %s",
                   it->id, world_refresh_to_string(r->state));
        return;
    }
    struct tally t = tally(e, action->group);
    size_t moving = t.going > t.coming ? t.going : t.coming;
    size_t most = g->desired * e->spec.groups[action->group].healthy_max_percent / 100;
    size_t at_once = t.replaced == 0 || most <= g->desired + 1 ? 1 : most - g->desired;
    if (moving >= at_once) {
        watch_fail(w, e, WATCH_REFRESH_FIRST,
                   "%s is to be replaced while %zu are under way, and %zu may be", it->id, moving,
                   at_once);
    }
    if (is_set_aside(it, r, WORLD_REFRESH_WAIT) || is_set_aside(it, r, WORLD_REFRESH_IGNORE)) {
        watch_fail(w, e, WATCH_REFRESH_SPARES, "%s is to be replaced, and was set aside", it->id);
    }
    if (!back && r->failed > 0) {
        watch_fail(w, e, WATCH_REFRESH_BAD, "%s is next, and a new one has failed", it->id);
    }
    if (!back && r->alarm == WORLD_UNHEALTHY) {
        watch_fail(w, e, WATCH_REFRESH_ALARM, "%s is next, in spite of the alarm", it->id);
    }
    if (!back && moving == 0 && r->checkpoints_passed < r->checkpoint_count &&
        t.surely * 100 >= r->checkpoints[r->checkpoints_passed] * t.all) {
        watch_fail(w, e, WATCH_REFRESH_WAITS, "%s is next, past the checkpoint of %u %%", it->id,
                   r->checkpoints[r->checkpoints_passed]);
    }
}

static void check_state(struct watch *w, struct engine *e, const struct action *action)
{
    const struct world_refresh *r = &e->controller.world.groups[action->group].refresh;
    int64_t ago_ms = e->now_ms - r->since_ms;
    struct tally t = tally(e, action->group);
    const char *name = e->spec.groups[action->group].name;
    if (action->refresh == WORLD_REFRESH_RUNNING && r->state == WORLD_REFRESH_CHECKPOINT &&
        (r->checkpoint_delay_ms < 0 || ago_ms < r->checkpoint_delay_ms)) {
        watch_fail(w, e, WATCH_REFRESH_WAITS, "group %s goes on %" PRId64 " ms after a checkpoint",
                   name, ago_ms);
    }
    if (action->refresh == WORLD_REFRESH_DONE && r->bake_ms > 0 &&
        (r->state != WORLD_REFRESH_BAKING || ago_ms < r->bake_ms)) {
        watch_fail(w, e, WATCH_REFRESH_WAITS, "group %s is done after baking %" PRId64 " ms", name,
                   r->state == WORLD_REFRESH_BAKING ? ago_ms : 0);
    }
    if ((action->refresh == WORLD_REFRESH_DONE || action->refresh == WORLD_REFRESH_ROLLED_BACK) &&
        t.replaced < t.all) {
        watch_fail(w, e, WATCH_REFRESH_FIRST, "group %s is %s with %zu of %zu replaced", name,
                   world_refresh_to_string(action->refresh), t.replaced, t.all);
    }
}

/* S3: nobody is taken away while an image is taken of him, or of another of his group. */
static void check_capture(struct watch *w, struct engine *e, const struct action *action)
{
    const struct world *world = &e->controller.world;
    const struct world_instance *it = &world->instances[action->instance];
    bool leaves = action->kind == ACTION_MARK && (action->lifecycle == LIFECYCLE_DRAINING ||
                                                  action->lifecycle == LIFECYCLE_TERMINATING);
    size_t host = engine_host(e, action->instance);
    const struct truth_host *h = host == WORLD_NONE ? NULL : &e->truth.hosts[host];
    bool serves = h != NULL && h->serving && e->now_ms - h->serving_since_ms > SURE_MS;
    if (it->capture == WORLD_CAPTURE_GRANTED && leaves && serves &&
        it->lifecycle == LIFECYCLE_IN_SERVICE && is_up(world, action->instance)) {
        watch_fail(w, e, WATCH_S3_CAPTURE, "%s goes while an image is taken of it", it->id);
    }
    if (action->capture != WORLD_CAPTURE_GRANTED || it->capture == WORLD_CAPTURE_GRANTED) {
        return;
    }
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct world_instance *other = &world->instances[i];
        if (i != action->instance && other->group == it->group &&
            ((other->lifecycle == LIFECYCLE_IN_SERVICE &&
              other->capture == WORLD_CAPTURE_GRANTED) ||
             (other->lifecycle == LIFECYCLE_DRAINING && other->in_service_ms != 0))) {
            watch_fail(w, e, WATCH_S3_CAPTURE, "an image of %s while %s is under way", it->id,
                       other->id);
        }
    }
}

void watch_refresh_on_action(struct watch *w, struct engine *e, const struct action *action)
{
    if (action->kind == ACTION_REFRESH) {
        check_state(w, e, action);
    } else if (action->kind == ACTION_MARK && action->group != WORLD_NONE) {
        const struct world_instance *it = &e->controller.world.instances[action->instance];
        if (action->wish == WORLD_WISH_REFRESH && it->wish != WORLD_WISH_REFRESH) {
            check_next(w, e, action);
        }
        check_capture(w, e, action);
    }
}
