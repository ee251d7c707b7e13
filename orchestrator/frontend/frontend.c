/* The contract's functions over a balancer's link. */
#include "frontend/frontend.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_member.h"
#include "frontend/haproxy_runtime.h"
#include "frontend/haproxy_sync.h"
#include "frontend/haproxy_targets.h"

int frontend_haproxy_sync(const struct frontend_balancer *balancer,
                          const struct frontend_config *config, bool check_only,
                          struct frontend_sync *ret_sync, struct err *e)
{
    const struct haproxy_host host = haproxy_host_of(balancer);
    return haproxy_sync(&host, config, check_only, ret_sync, e);
}

int frontend_haproxy_admit(const struct frontend_balancer *balancer,
                           const struct frontend_config *config, const char *pool,
                           const struct frontend_member *member, int64_t deadline_ms, struct err *e)
{
    const struct haproxy_host host = haproxy_host_of(balancer);
    return haproxy_admit(&host, config, pool, member, deadline_ms, e);
}

int frontend_haproxy_remove(const struct frontend_balancer *balancer,
                            const struct frontend_config *config,
                            const struct frontend_removal *removal,
                            struct frontend_removed *ret_removed, struct err *e)
{
    const struct haproxy_host host = haproxy_host_of(balancer);
    return haproxy_remove(&host, config, removal, ret_removed, e);
}

int frontend_haproxy_targets(const struct frontend_balancer *balancer,
                             struct frontend_target **ret_targets, size_t *ret_count, struct err *e)
{
    const struct haproxy_host host = haproxy_host_of(balancer);
    return haproxy_targets(&host, ret_targets, ret_count, e);
}
