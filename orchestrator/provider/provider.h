/*
 * What makes instances. Implementations: provider/libvirt.c, provider/static.c; metal later.
 * Called inside worker processes (sandbox HYPERVISOR), blocking, one call an action.
 *
 * Contract, held to by tests/conformance/provider_suite.c on every implementation and the fake:
 * - Everything is found again: what ensure() made carries cluster, group, instance id and zone
 *   where it lives (libvirt metadata; static: the mark on the host is the role script's work), and
 *   list() finds it with no memory of our own.
 * - ensure() and destroy() are safe to repeat and to interrupt at any instruction: called again,
 *   they end where one whole call would have ended. ensure() of what runs is a look, not a change.
 * - An instance of another cluster is never touched, nor one without our mark (S25).
 */
#ifndef PROVIDER_PROVIDER_H
#define PROVIDER_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Where and how; all borrowed. A flat copy of spec_provider plus what an implementation needs. */
struct provider_config {
    const char *cluster;
    const char *name; /* The provider's. */
    const char *zone;
    const char *uri;
    const char *bridge;
    const char *image_dir;
    const char *instance_dir;
};

struct provider_instance_config {
    const char *id; /* "web-1"; the host's name too. */
    const char *group;
    const char *image; /* Name below image_dir. */
    unsigned cpus;
    int64_t memory_bytes;
    const char *address; /* "10.77.1.10" */
    unsigned prefix_length;
    const char *gateway;   /* NULL for none. */
    const char *login_key; /* Public key line for root's authorized_keys. */
    int64_t deadline_ms;   /* Monotonic. */
};

/* What the provider sees of an instance. */
enum provider_power { PROVIDER_ABSENT, PROVIDER_OFF, PROVIDER_RUNNING, PROVIDER_BROKEN };
struct provider_view {
    char *id; /* All owned. */
    char *cluster;
    char *group;
    char *zone;
    enum provider_power power;
    char *host_key; /* "ssh-ed25519 BASE64": made by us before the first boot. NULL: unknown. */
};
void provider_view_deinit(struct provider_view *view);
void provider_views_free(struct provider_view *views, size_t count);

struct provider_ops {
    const char *name; /* "libvirt" */
    int (*open)(const struct provider_config *config, void **ret_context, struct err *e);
    void (*close)(void *context);
    /* Every instance of this cluster that lives here. */
    int (*list)(void *context, struct provider_view **ret_views, size_t *ret_count, struct err *e);
    /* Makes (or finishes making, or starts) the instance; running when it returns. *ret_view. */
    int (*ensure)(void *context, const struct provider_instance_config *config,
                  struct provider_view *ret_view, struct err *e);
    /* Ends it and removes all that was made for it; nothing there is success. */
    int (*destroy)(void *context, const char *id, int64_t deadline_ms, struct err *e);
};

extern const struct provider_ops provider_libvirt;
extern const struct provider_ops provider_static;

#endif
