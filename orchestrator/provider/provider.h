/*
 * What makes instances. Implementations: provider/libvirt.c (containers; virtual machines later),
 * provider/static.c (hosts that exist already); metal later. Called inside worker processes
 * (sandbox HYPERVISOR), blocking, one call an action.
 *
 * Contract, held to by tests/conformance/provider_suite.c on every implementation and the fake:
 * - Everything is found again: what ensure() made carries cluster, group, instance id and zone
 *   where it lives (libvirt metadata; a mark in its directory before there is a domain), and list()
 *   finds it with no memory of our own.
 * - ensure() and destroy() are safe to repeat and to interrupt at any instruction: called again,
 *   they end where one whole call would have ended. ensure() of what runs is a look, not a change.
 * - An instance of another cluster is never touched, nor one without our mark (S25).
 * - ensure(), stop() and destroy() leave the epoch of who asked beside the instance, and refuse a
 *   lower one (S18): a controller that has been replaced changes nothing any more.
 * - What runs inside an instance is not trusted: once it has been started, no file of its root is
 *   read or written from outside.
 *
 * Provider static makes nothing: ensure() answers RUNNING, destroy() leaves the host alone, list()
 * is empty, stop() faults: it has no switch. Which hosts there are is in the cluster file ([host]);
 * the controller adds them to what the providers list, and the mark on such a host is the role
 * script's work.
 */
#ifndef PROVIDER_PROVIDER_H
#define PROVIDER_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Where and how; borrowed until open() returns. A flat copy of spec_provider and its cluster. */
struct provider_config {
    const char *cluster;
    const char *name;         /* The provider's. */
    const char *zone;         /* What it makes is marked with this zone. */
    const char *uri;          /* libvirt: "lxc:///". */
    const char *bridge;       /* libvirt: on the hypervisor. */
    const char *image_dir;    /* libvirt: absolute. */
    const char *image_keys;   /* libvirt: file of the public keys that images are signed with. */
    const char *instance_dir; /* libvirt: absolute; made when absent. */
    int64_t epoch;            /* Of the controller that asks (S18). */
};

struct provider_instance_config {
    const char *id; /* "web-1"; the host's name too. */
    const char *group;
    const char *image; /* Below image_dir: "web", or "web@3" for that very generation. */
    unsigned cpus;
    int64_t memory_bytes;
    const char *address; /* "10.77.1.10" */
    unsigned prefix_length;
    const char *gateway;   /* NULL for none. */
    const char *login_key; /* Public key line for root's authorized_keys. */
    int64_t deadline_ms;   /* Monotonic. */
};

/* What the provider sees of an instance. */
enum provider_power {
    PROVIDER_ABSENT, /* Never listed: there is nothing of it. */
    PROVIDER_OFF,    /* Whole, but not running: ensure() starts it. */
    PROVIDER_RUNNING,
    PROVIDER_BROKEN, /* Parts of it: an ensure() or destroy() that has not ended. Either, called
                        again, ends it; when the parts can only be removed, ensure() says so. */
};
struct provider_view {
    char *id; /* All owned; never NULL, but from address on. */
    char *cluster;
    char *group;
    char *zone;
    char *address; /* What it was made with, "10.77.1.10". NULL: unknown. */
    enum provider_power power;
    char *host_key; /* "ssh-ed25519 BASE64": made by us before the first boot. NULL: unknown. */
    /* What its root was made of, and what the system in it is to say of itself when it comes up.
       NULL: not known, or there is nothing to say. */
    char *image;      /* "web@3"; of a signed image only, as the next. */
    char *build;      /* image/identity.h */
    char *content;    /* Digest of what it was made of: the same exactly when that is. */
    char *machine_id; /* /etc/machine-id of its first boot, 32 hex digits. */
};
/* Frees what VIEW owns; idempotent. */
void provider_view_deinit(struct provider_view *view);
/* The same for COUNT of them and the array itself; NULL is fine. */
void provider_views_free(struct provider_view *views, size_t count);

struct provider_ops {
    const char *name; /* "libvirt" */
    /*
     * Connects. *ret_context is the caller's, close(). Faults, within 10 s, when the provider
     * cannot be reached or is not what its settings say. It belongs to the process that opened it.
     */
    int (*open)(const struct provider_config *config, void **ret_context, struct err *e);
    void (*close)(void *context); /* NULL is fine. */
    /*
     * Every instance of this cluster that lives here, in any zone: two providers that share one
     * hypervisor both see it, so the caller tells instances apart by id. *ret_views is the
     * caller's, provider_views_free(); NULL when there is none.
     */
    int (*list)(void *context, struct provider_view **ret_views, size_t *ret_count, struct err *e);
    /*
     * Makes (or finishes making, or starts) the instance; running when it returns, which is before
     * it answers on the network. *ret_view is the caller's, provider_view_deinit(). Faults when
     * something of that name is not ours, when its address is not the one wanted, or when what is
     * left of it cannot be finished.
     */
    int (*ensure)(void *context, const struct provider_instance_config *config,
                  struct provider_view *ret_view, struct err *e);
    /*
     * Ends it at once, without asking the system in it, and removes all that was made for it;
     * nothing there is success.
     */
    int (*destroy)(void *context, const char *id, int64_t deadline_ms, struct err *e);
    /*
     * Hard power-off: ends it at once, without asking the system in it, and keeps everything;
     * ensure() starts it again. It was read back as off before this returns 0 (S14: a stop that
     * was not read back is no stop); what is off already, or not there, is success.
     */
    int (*stop)(void *context, const char *id, int64_t deadline_ms, struct err *e);
};

extern const struct provider_ops provider_libvirt;
extern const struct provider_ops provider_static;

#endif
