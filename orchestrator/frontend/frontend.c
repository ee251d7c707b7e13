/* The contract's functions over an ssh_link. */
#include "frontend/frontend.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_member.h"
#include "frontend/haproxy_runtime.h"
#include "frontend/haproxy_sync.h"
#include "frontend/haproxy_targets.h"

int frontend_haproxy_sync(struct ssh_link *link, const struct frontend_config *config,
                          bool check_only, struct frontend_sync *ret_sync, struct err *e)
{
    const struct haproxy_host host = haproxy_host_of_link(link);
    return haproxy_sync(&host, config, check_only, ret_sync, e);
}

int frontend_haproxy_admit(struct ssh_link *link, const struct frontend_config *config,
                           const char *pool, const struct frontend_member *member,
                           int64_t deadline_ms, struct err *e)
{
    const struct haproxy_host host = haproxy_host_of_link(link);
    return haproxy_admit(&host, config, pool, member, deadline_ms, e);
}

int frontend_haproxy_remove(struct ssh_link *link, const struct frontend_config *config,
                            const char *pool, const char *id, int64_t deadline_ms, int64_t *ret_cut,
                            struct err *e)
{
    const struct haproxy_host host = haproxy_host_of_link(link);
    return haproxy_remove(&host, config, pool, id, deadline_ms, ret_cut, e);
}

int frontend_haproxy_targets(struct ssh_link *link, struct frontend_target **ret_targets,
                             size_t *ret_count, struct err *e)
{
    const struct haproxy_host host = haproxy_host_of_link(link);
    return haproxy_targets(&host, ret_targets, ret_count, e);
}
