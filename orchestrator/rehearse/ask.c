/* What an operator asks for, done to the records as the controller does it. */
#include "rehearse/driver.h"

const char *engine_request_to_string(enum engine_request_kind kind)
{
    switch (kind) {
    case ENGINE_SCALE: return "scale";
    case ENGINE_STANDBY: return "standby";
    case ENGINE_IN_SERVICE: return "in-service";
    case ENGINE_PROTECT: return "protect";
    case ENGINE_UNPROTECT: return "unprotect";
    case ENGINE_REPLACE: return "replace";
    case ENGINE_DETACH: return "detach";
    case ENGINE_ATTACH: return "attach";
    case ENGINE_SUSPEND: return "suspend";
    case ENGINE_RESUME: return "resume";
    case ENGINE_PAUSE: return "pause";
    case ENGINE_UNPAUSE: return "unpause";
    case ENGINE_RETRY: return "retry";
    }
    return "unknown";
}

static void retry(struct world_instance *it)
{
    it->failure = WORLD_FAILURE_NONE;
    it->failures = 0;
    it->rung = WORLD_RUNG_NONE;
    it->rebuilds = 0;
    if (it->lifecycle == LIFECYCLE_QUARANTINED) {
        it->lifecycle = LIFECYCLE_PENDING;
    }
}

/* A host that is taken (back) in is looked at anew: who it is, what it has. */
static void attach(struct engine *e, struct world_instance *it)
{
    if (it->lifecycle != LIFECYCLE_DETACHED || it->group == WORLD_NONE) {
        return;
    }
    it->lifecycle = LIFECYCLE_PENDING;
    it->wish = WORLD_WISH_NONE;
    it->greeted = false;
    it->drift = WORLD_DRIFT_UNKNOWN;
    it->ready_ms = e->now_ms;
    world_complete(&e->spec, &e->controller.world);
    for (size_t b = 0; b < e->controller.world.balancer_count; b++) {
        struct world_balancer *balancer = &e->controller.world.balancers[b];
        if (&e->controller.world.instances[balancer->instance] == it) {
            balancer->sync = WORLD_SYNC_UNKNOWN; /* What was changed meanwhile it does not know. */
        }
    }
    engine_touch(e);
}

static void ask_instance(struct engine *e, size_t index, enum engine_request_kind kind)
{
    struct world_instance *it = &e->controller.world.instances[index];
    switch (kind) {
    case ENGINE_STANDBY:
        it->wish = it->lifecycle == LIFECYCLE_IN_SERVICE ? WORLD_WISH_STANDBY : it->wish;
        return;
    case ENGINE_IN_SERVICE: it->wish = WORLD_WISH_NONE; return;
    case ENGINE_PROTECT: it->protect = true; return;
    case ENGINE_UNPROTECT: it->protect = false; return;
    case ENGINE_REPLACE: it->wish = WORLD_WISH_REPLACE; return;
    case ENGINE_DETACH: it->wish = WORLD_WISH_DETACH; return;
    case ENGINE_ATTACH: attach(e, it); return;
    case ENGINE_PAUSE: it->paused = true; return;
    case ENGINE_UNPAUSE: it->paused = false; return;
    case ENGINE_RETRY: retry(it); return;
    case ENGINE_SCALE:
    case ENGINE_SUSPEND:
    case ENGINE_RESUME: return;
    }
}

static void ask_group(struct engine *e, const struct engine_request *r)
{
    struct world_group *g = &e->controller.world.groups[r->group];
    if (r->kind == ENGINE_SCALE) {
        g->desired = r->value;
    } else if (r->kind == ENGINE_SUSPEND) {
        g->suspended |= r->value;
    } else if (r->kind == ENGINE_RESUME) {
        g->suspended &= ~r->value;
    } else if (r->kind == ENGINE_PAUSE) {
        g->paused = true;
    } else if (r->kind == ENGINE_UNPAUSE) {
        g->paused = false;
    } else if (r->kind == ENGINE_RETRY) {
        g->failed_launches = 0;
    }
}

static void ask(struct engine *e, const struct engine_request *r)
{
    size_t index = r->instance[0] == '\0' ? WORLD_NONE : engine_find(e, r->instance);
    if (r->instance[0] != '\0') {
        if (index != WORLD_NONE) {
            ask_instance(e, index, r->kind);
        }
    } else if (r->group != WORLD_NONE) {
        ask_group(e, r);
    } else {
        e->controller.world.paused = r->kind == ENGINE_PAUSE;
    }
    engine_say(e, "operator: %s %s%s", engine_request_to_string(r->kind),
               r->instance[0] != '\0'   ? r->instance
               : r->group != WORLD_NONE ? e->spec.groups[r->group].name
                                        : "the cluster",
               r->instance[0] != '\0' && index == WORLD_NONE ? " (there is none)" : "");
}

void driver_take_requests(struct engine *e)
{
    if (e->request_count == 0) {
        return;
    }
    for (size_t i = 0; i < e->request_count; i++) {
        ask(e, &e->requests[i]);
    }
    e->controller.dirty = true;
    if (!driver_commit(e)) {
        e->request_count = 0; /* They go in the same transaction. */
    }
}
