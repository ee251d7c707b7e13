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
    case ENGINE_REFRESH: return "refresh";
    case ENGINE_REFRESH_ON: return "refresh --continue";
    case ENGINE_REFRESH_CANCEL: return "refresh --cancel";
    case ENGINE_REFRESH_BACK: return "refresh --rollback";
    case ENGINE_CAPTURE: return "capture";
    case ENGINE_CAPTURE_END: return "end of the capture";
    }
    return "unknown";
}

static void attach(struct engine *e, size_t index)
{
    const struct world_instance *it = &e->controller.world.instances[index];
    if (it->lifecycle == LIFECYCLE_DETACHED && it->group != WORLD_NONE) {
        world_attach(&e->spec, &e->controller.world, index);
        engine_touch(e);
    }
}

static void end_capture(struct engine *e, struct world_instance *it)
{
    if (it->capture == WORLD_CAPTURE_GRANTED && it->group != WORLD_NONE) {
        e->controller.world.groups[it->group].disrupted_ms = e->now_ms;
    }
    it->capture = WORLD_CAPTURE_NONE;
}

/* What most of its members in service were made from. */
static uint64_t running_content(const struct engine *e, size_t group)
{
    const struct world *w = &e->controller.world;
    uint64_t best = w->groups[group].content;
    size_t most = 0;
    for (size_t i = 0; i < w->instance_count; i++) {
        size_t same = 0;
        for (size_t n = 0; n < w->instance_count; n++) {
            same += w->instances[n].group == group &&
                    w->instances[n].lifecycle == LIFECYCLE_IN_SERVICE &&
                    w->instances[n].content == w->instances[i].content;
        }
        if (w->instances[i].group == group && same > most) {
            most = same;
            best = w->instances[i].content;
        }
    }
    return best;
}

/* Hosts that exist already are made from nothing else. */
static bool is_made(const struct engine *e, size_t group)
{
    for (size_t i = 0; i < e->controller.world.instance_count; i++) {
        if (e->controller.world.instances[i].group == group &&
            e->controller.members[i].machine[0] != '\0') {
            return false;
        }
    }
    return true;
}

static void ask_refresh(struct engine *e, const struct engine_request *r)
{
    struct world *w = &e->controller.world;
    struct world_refresh asked = r->refresh;
    if (!is_made(e, r->group) || world_refresh_is_active(w->groups[r->group].refresh.state)) {
        return;
    }
    asked.before = running_content(e, r->group);
    world_refresh_begin(w, r->group, &asked);
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
    case ENGINE_ATTACH: attach(e, index); return;
    case ENGINE_PAUSE: it->paused = true; return;
    case ENGINE_UNPAUSE: it->paused = false; return;
    case ENGINE_RETRY: world_retry(&e->controller.world, index); return;
    case ENGINE_CAPTURE:
        it->capture = it->lifecycle == LIFECYCLE_IN_SERVICE && it->capture == WORLD_CAPTURE_NONE
                          ? WORLD_CAPTURE_WANTED
                          : it->capture;
        return;
    case ENGINE_CAPTURE_END: end_capture(e, it); return;
    case ENGINE_REFRESH:
    case ENGINE_REFRESH_ON:
    case ENGINE_REFRESH_CANCEL:
    case ENGINE_REFRESH_BACK:
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
    } else if (r->kind == ENGINE_REFRESH) {
        ask_refresh(e, r);
    } else if (r->kind == ENGINE_REFRESH_ON) {
        (void)world_refresh_go_on(&e->controller.world, r->group);
    } else if (r->kind == ENGINE_REFRESH_CANCEL || r->kind == ENGINE_REFRESH_BACK) {
        (void)world_refresh_end(&e->controller.world, r->group, r->kind == ENGINE_REFRESH_BACK);
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
