#include "frontend/haproxy_targets.h"

#include "base/mem.h"
#include "base/str.h"
#include "frontend/frontend.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_runtime.h"

#include <stdlib.h>

/* As many as STATE has; the caller frees them. */
static struct frontend_target *targets_of(const struct haproxy_state *state)
{
    struct frontend_target *targets = xcalloc(state->count, sizeof(*targets));
    for (size_t i = 0; i < state->count; i++) {
        const struct haproxy_view *view = &state->views[i];
        targets[i] = (struct frontend_target){.state = haproxy_view_state(view),
                                              .sessions = view->sessions,
                                              .since_s = view->since_s,
                                              .tries = view->tries,
                                              .failed = view->failed,
                                              .response_ms = view->response_ms};
        text_copy(targets[i].pool, sizeof(targets[i].pool), view->pool);
        text_copy(targets[i].id, sizeof(targets[i].id), view->id);
        text_copy(targets[i].address, sizeof(targets[i].address), view->address);
        text_copy(targets[i].check, sizeof(targets[i].check), view->check);
    }
    return targets;
}

int haproxy_targets(const struct haproxy_host *host, struct frontend_target **ret_targets,
                    size_t *ret_count, struct err *e)
{
    struct haproxy_state state = HAPROXY_STATE_NULL;
    if (haproxy_runtime_look(host, &state, e) != 0) {
        return -1;
    }
    *ret_count = state.count;
    *ret_targets = targets_of(&state);
    haproxy_state_deinit(&state);
    return 0;
}

void haproxy_targets_tell(const struct haproxy_host *host, const struct haproxy_state *state)
{
    if (host->on_look != NULL) {
        struct frontend_target *targets = targets_of(state);
        host->on_look(host->look_context, targets, state->count);
        free(targets);
    }
}
