/* All targets as HAProxy sees them. Private to this room; the contract is frontend.h's. */
#ifndef FRONTEND_HAPROXY_TARGETS_H
#define FRONTEND_HAPROXY_TARGETS_H

#include <stddef.h>

struct err;
struct frontend_target;
struct haproxy_host;
struct haproxy_state;

int haproxy_targets(const struct haproxy_host *host, struct frontend_target **ret_targets,
                    size_t *ret_count, struct err *e);

/* Tells them to who wants to know while something is waited for. */
void haproxy_targets_tell(const struct haproxy_host *host, const struct haproxy_state *state);

#endif
