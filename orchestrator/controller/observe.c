/*
 * Looking again: what providers have, what balancers say. `apply` and `plan` look once, and again
 * where a decision wants it; `run` looks for as long as it runs. What the prober says comes by
 * itself (probes.c).
 */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#define LIST_LIMIT_MS 20000
#define LIST_EVERY_MS 10000
/* When a witness says that something is wrong, the provider is asked at once, but not more often.
 */
#define LIST_SOON_MS  1000
#define LOOK_LIMIT_MS 5000
#define LOOK_EVERY_MS 1000
#define GONE_KEPT_MS  60000
#define GONE_MANY     16

static int start(struct controller *c, struct running *running, struct message *request,
                 enum crew_kind kind, int64_t limit_ms, const char *keep, struct err *e)
{
    const struct crew_request look = {.kind = kind,
                                      .message = request,
                                      .keep = keep,
                                      .deadline_ms = clock_now_ms() + limit_ms,
                                      .data = running};
    int result = crew_start(c->crew, &look, e);
    message_deinit(request);
    if (result != 0) {
        running_free(running);
    }
    return result;
}

int observe_providers(struct controller *c, struct err *e)
{
    c->listed_ms = clock_now_ms();
    c->list_soon = false;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        c->members[i].listed = false;
    }
    for (size_t p = 0; p < c->spec->provider_count; p++) {
        if (c->spec->providers[p].type == SPEC_PROVIDER_STATIC) {
            continue;
        }
        struct message request = MESSAGE_NULL;
        request_list(c, p, &request);
        struct running *running = xcalloc(1, sizeof(*running));
        running->kind = RUNNING_LIST;
        running->provider = p;
        running->asked_ms = c->listed_ms;
        running->action.balancer = WORLD_NONE;
        if (start(c, running, &request, CREW_PROVIDER, LIST_LIMIT_MS, NULL, e) != 0) {
            return err_wrap(e, "provider %s", c->spec->providers[p].name);
        }
        c->lists_open++;
    }
    c->all_listed = c->all_listed || c->lists_open == 0;
    return 0;
}

/* A balancer that can be asked: its host is configured and runs, and nobody else talks to it. */
static bool can_be_asked(const struct controller *c, size_t balancer)
{
    const struct world_balancer *b = &c->world.balancers[balancer];
    const struct world_instance *it = &c->world.instances[b->instance];
    return !b->busy && !it->busy && b->sync != WORLD_SYNC_UNKNOWN && it->configured &&
           it->greeted && it->power == WORLD_POWER_RUNNING && it->group != WORLD_NONE &&
           it->lifecycle != LIFECYCLE_TERMINATED && it->lifecycle != LIFECYCLE_DETACHED;
}

static void look_at_balancers(struct controller *c)
{
    c->looked_ms = clock_now_ms();
    for (size_t b = 0; b < c->world.balancer_count; b++) {
        if (!can_be_asked(c, b)) {
            continue;
        }
        struct message request = MESSAGE_NULL;
        request_look(c, b, &request);
        struct running *running = xcalloc(1, sizeof(*running));
        running->kind = RUNNING_LOOK;
        running->action.balancer = b;
        running->action.instance = c->world.balancers[b].instance;
        struct err e = ERR_NULL;
        if (start(c, running, &request, CREW_SSH, LOOK_LIMIT_MS,
                  c->world.instances[c->world.balancers[b].instance].id, &e) != 0) {
            log_warning("%s: cannot be asked: %s", c->world.instances[running->action.instance].id,
                        e.text);
            continue;
        }
        c->world.balancers[b].busy = true;
        c->looks_open++;
        result_expect_targets(c, b);
    }
}

/* Those that ended are kept for a while: a provider that was asked before may still name them. */
static bool many_are_gone(const struct controller *c, int64_t now_ms)
{
    size_t gone = 0;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle == LIFECYCLE_TERMINATED) {
            if (now_ms - c->members[i].acted_ms < GONE_KEPT_MS) {
                return false;
            }
            gone++;
        }
    }
    return gone >= GONE_MANY;
}

int observe_again(struct controller *c, int64_t *ret_next_ms, struct err *e)
{
    int64_t now_ms = clock_now_ms();
    if (crew_count(c->crew) == 0 && many_are_gone(c, now_ms)) {
        members_compact(c);
    }
    int64_t list_ms = c->listed_ms + (c->list_soon ? LIST_SOON_MS : LIST_EVERY_MS);
    if (c->lists_open == 0 && now_ms >= list_ms && observe_providers(c, e) != 0) {
        return -1;
    }
    if (c->looks_open == 0 && now_ms >= c->looked_ms + LOOK_EVERY_MS) {
        look_at_balancers(c);
    }
    *ret_next_ms = c->looked_ms + LOOK_EVERY_MS < list_ms ? c->looked_ms + LOOK_EVERY_MS : list_ms;
    return 0;
}
