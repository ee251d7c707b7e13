/*
 * Rendering haproxy.cfg, and reading and changing the server lines of a rendered one. Private to
 * this room.
 *
 * A rendered file has two parts that change in different ways. The server lines say who is a
 * member: those change over the runtime API and are only noted in the file. All else is the
 * skeleton: a process must be reloaded to take it. The skeleton's digest stands in the
 * `description` line, and so `show info` tells which skeleton a process runs, whatever the file
 * says by now.
 */
#ifndef FRONTEND_HAPROXY_RENDER_H
#define FRONTEND_HAPROXY_RENDER_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct frontend_config;
struct frontend_pool;
struct haproxy_paths;

/* Faults on a value that must not come near a configuration: names, addresses, ports, paths. */
int haproxy_config_check(const struct frontend_config *config, struct err *e);
/* A pool or target name, and an address with its port, as the runtime API gets them. */
int haproxy_name_check(const char *name, struct err *e);
int haproxy_address_check(const char *address, unsigned port, struct err *e);

/* CONFIG must have passed haproxy_config_check(). */
void haproxy_render(const struct frontend_config *config, const struct haproxy_paths *paths,
                    struct str *ret_text);

/* "lamplighter my-lb 0123456789abcdef": what `show info` calls the process's description. */
void haproxy_render_description(const struct str *text, struct str *ret_description);

/* The options of POOL's servers: in the file once a pool, on the line of a dynamic one. */
void haproxy_add_server_options(struct str *s, const struct frontend_pool *pool);
/* "10.0.0.1:80", "[fd00::1]:80" */
void haproxy_add_address(struct str *s, const char *address, unsigned port);

/* A server line. */
struct haproxy_server {
    char id[64];
    char address[64]; /* With the port, as haproxy_add_address() writes it. */
    bool disabled;
};
struct haproxy_server_list {
    struct haproxy_server *items; /* Owned; by id, numbers by value: web-2 before web-10. */
    size_t count;
    size_t capacity;
};
#define HAPROXY_SERVER_LIST_NULL ((struct haproxy_server_list){.items = NULL})
void haproxy_server_list_deinit(struct haproxy_server_list *list);
/* Adds or replaces by id, keeping the order. */
void haproxy_server_list_put(struct haproxy_server_list *list, const char *id, const char *address,
                             bool disabled);
/* Whether it was there. */
bool haproxy_server_list_remove(struct haproxy_server_list *list, const char *id);
const struct haproxy_server *haproxy_server_list_find(const struct haproxy_server_list *list,
                                                      const char *id);

/* The server lines of POOL in a rendered TEXT; false when it has no such pool. */
bool haproxy_text_servers(const char *text, const char *pool, struct haproxy_server_list *ret_list);
/* TEXT with POOL's server lines replaced by LIST; TEXT must have the pool. */
void haproxy_text_set_servers(const char *text, const char *pool,
                              const struct haproxy_server_list *list, struct str *ret_text);

#endif
