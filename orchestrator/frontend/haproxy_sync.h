/* Making file and process as a configuration says. Private to this room; the contract is
   frontend.h's. */
#ifndef FRONTEND_HAPROXY_SYNC_H
#define FRONTEND_HAPROXY_SYNC_H

#include <stdbool.h>

struct err;
struct frontend_config;
struct frontend_sync;
struct haproxy_host;

int haproxy_sync(const struct haproxy_host *host, const struct frontend_config *config,
                 bool check_only, struct frontend_sync *ret_sync, struct err *e);

#endif
