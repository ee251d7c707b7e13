/* Letting a target in and taking it out, over the runtime API. Private to this room; the contract
   is frontend.h's. */
#ifndef FRONTEND_HAPROXY_MEMBER_H
#define FRONTEND_HAPROXY_MEMBER_H

#include <stdint.h>

struct err;
struct frontend_config;
struct frontend_member;
struct frontend_pool;
struct frontend_removal;
struct frontend_removed;
struct haproxy_host;

const struct frontend_pool *haproxy_find_pool(const struct frontend_config *config,
                                              const char *name);

int haproxy_admit(const struct haproxy_host *host, const struct frontend_config *config,
                  const char *pool, const struct frontend_member *member, int64_t deadline_ms,
                  struct err *e);
int haproxy_remove(const struct haproxy_host *host, const struct frontend_config *config,
                   const struct frontend_removal *removal, struct frontend_removed *ret_removed,
                   struct err *e);

#endif
