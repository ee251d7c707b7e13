/*
 * What one cluster file says, checked: every name resolves, every number is in range. Nothing here
 * changes after spec_load(), but that templates are added behind the file's (controller/site.h).
 * Made by spec/load.c from one table of keys (spec/key.h).
 *
 * Cross references are indices into the spec's own arrays (SPEC_NONE for none), so that a reader
 * follows them without a look-up and without ownership.
 */
#ifndef SPEC_SPEC_H
#define SPEC_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct problem_list;

#define SPEC_NONE ((size_t)-1)
/* So many zones a file may have; core/world.h counts on it. */
#define SPEC_ZONES_MAX 256

/* Where something stands in the user's files; for messages. */
struct spec_place {
    const char *file; /* Borrowed from the spec. */
    unsigned line;
};

/* A list of indices or words. */
struct spec_index_list {
    size_t *items;
    size_t count;
};
struct spec_word_list {
    char **items;
    size_t count;
};

/* [zone NAME] what fails together: a rack, a room, a hypervisor. */
struct spec_zone {
    char *name;
    struct spec_place place;
    /* addresses = FIRST-LAST[/PREFIX]: what instances made by a hypervisor get. IPv4, host byte
       order; 0 when the key is absent (static hosts bring their own). */
    uint32_t address_first;
    uint32_t address_last;
    unsigned prefix_length; /* Of the network, for the host's own configuration. */
    uint32_t gateway;       /* 0 for none. */
};

enum spec_provider_type { SPEC_PROVIDER_LIBVIRT, SPEC_PROVIDER_STATIC };

/* [provider NAME] what makes instances. */
struct spec_provider {
    char *name;
    struct spec_place place;
    enum spec_provider_type type;
    size_t zone;
    char *uri;          /* libvirt: "lxc:///". This and the next three: NULL for static. */
    char *bridge;       /* libvirt: the bridge on the hypervisor. */
    char *image_dir;    /* libvirt: where images are (IMAGE_DIR/NAME/root for LXC). */
    char *instance_dir; /* libvirt: where instances' own files go (INSTANCE_DIR/ID). */
};

/* [size NAME] */
struct spec_size {
    char *name;
    struct spec_place place;
    unsigned cpus;
    int64_t memory_bytes;
    int64_t disk_bytes; /* 0: no limit. */
};

/* A role's variable set in the file: "apache.max-workers = 150" in [cluster], [template] or
   [group]. The value is a Mustache template over the cluster's facts ("{{groups.db.address}}").
   Whether there are such a role and variable is the caller's to check. */
struct spec_setting {
    char *role;
    char *variable;
    char *value; /* "secret:NAME" names a [secret]; file contents when the user wrote "@path". */
    struct spec_place place;
};
struct spec_setting_list {
    struct spec_setting *items;
    size_t count;
    size_t capacity;
};

/* [secret NAME] a value that is never shown: kept in a file of its own. */
struct spec_secret {
    char *name;
    struct spec_place place;
    char *path;        /* Absolute; default STATE_DIR/secrets/NAME. */
    unsigned generate; /* Letters to make when the file is absent; 0: absent is an error. */
};

/* [template NAME] what an instance is made of. */
struct spec_template {
    char *name;
    struct spec_place place;
    char *image;
    size_t size;                 /* SPEC_NONE for static. */
    struct spec_word_list roles; /* In order of application. */
    struct spec_setting_list settings;
    char *user_data; /* Contents of the script run once (begins with "#!"); NULL: none. */
    bool added;      /* The file does not say it (any more); no group of the file points to it. */
};

/* check = GET /healthz expect 200 every 2s fall 2 rise 2 timeout 1s [port N] [host NAME] */
struct spec_check {
    bool tcp_only;         /* "check = TCP ..." connects, asks nothing. */
    char *method;          /* "GET" */
    char *path;            /* "/healthz" */
    char *host;            /* Host header; NULL for the address. */
    unsigned port;         /* 0: the pool's port. */
    unsigned expect_first; /* Status codes accepted: first..last. */
    unsigned expect_last;
    int64_t interval_ms;
    int64_t timeout_ms;
    unsigned rise;
    unsigned fall;
};

enum spec_balance { SPEC_BALANCE_ROUNDROBIN, SPEC_BALANCE_LEASTCONN };

/* [pool NAME] who receives traffic. */
struct spec_pool {
    char *name;
    struct spec_place place;
    unsigned port;
    struct spec_check check;
    int64_t drain_ms;      /* Default 300 s, as AWS's deregistration delay. */
    int64_t slow_start_ms; /* 0: none. */
    enum spec_balance balance;
    bool sticky; /* A client stays with its member, by cookie; default no. */
};

/* What a group does about an instance that is bad. */
enum spec_repair { SPEC_REPAIR_REPLACE, SPEC_REPAIR_RESTART, SPEC_REPAIR_NONE };
/* Who leaves first when there is one too many; always of the zone with most. */
enum spec_termination {
    SPEC_TERMINATION_OLDEST_TEMPLATE,
    SPEC_TERMINATION_OLDEST,
    SPEC_TERMINATION_NEWEST,
};

/* [group NAME] */
struct spec_group {
    char *name;
    struct spec_place place;
    size_t template;
    unsigned min;
    unsigned desired;
    unsigned max;
    struct spec_index_list zones;
    size_t pool;                  /* SPEC_NONE: takes no balanced traffic. */
    struct spec_index_list needs; /* Groups that must be in service before this one is configured:
                                     the file's `needs`, and those that settings of this group, its
                                     template, or (for roles the template names) the cluster
                                     mention. Without circles. */
    unsigned healthy_min_percent; /* Default 90. */
    unsigned healthy_max_percent; /* Default 110. */
    int64_t grace_ms;             /* Default 300 s. */
    enum spec_repair repair;      /* Default REPLACE with a pool, RESTART without. */
    unsigned spare;      /* Hosts that may be lost at any step, beside its own; default 0. */
    int64_t bake_ms;     /* Default 10 s. */
    int64_t cooldown_ms; /* Default 300 s. */
    enum spec_termination termination; /* Default OLDEST_TEMPLATE. */
    int64_t max_lifetime_ms;           /* 0: no limit. */
    unsigned breaker_percent;          /* Default 34; 100: no breaker. */
    char *check_command;               /* For sh on the host, as root; NULL: none. */
    int64_t check_every_ms;            /* Default 30 s. */
    int64_t check_timeout_ms;          /* Default 10 s; at most check_every_ms. */
    struct spec_setting_list settings;
};

enum spec_hook_on { SPEC_HOOK_LAUNCH, SPEC_HOOK_TERMINATE };
enum spec_hook_where { SPEC_HOOK_CONTROLLER, SPEC_HOOK_HOST };
enum spec_hook_result { SPEC_HOOK_CONTINUE, SPEC_HOOK_ABANDON };
/* [hook NAME] a command that an instance waits for; at most one a group and transition. */
struct spec_hook {
    char *name;
    struct spec_place place;
    size_t group;
    enum spec_hook_on on;
    enum spec_hook_where where;
    char *command;                /* One line of words (base/words.h), without a shell. */
    int64_t heartbeat_ms;         /* Silence that ends it; default 3600 s, at most limit_ms. */
    int64_t limit_ms;             /* Default 48 h, at most 100 heartbeats. */
    enum spec_hook_result result; /* When it fails or its time is over; default ABANDON. */
};

/* One listener: listen = http:80 */
struct spec_listener {
    enum spec_listener_type { SPEC_LISTENER_HTTP } type; /* https comes with certificates. */
    unsigned port;
    struct spec_place place;
};

/* One route: route = PATH-PREFIX -> POOL; the longest prefix wins. */
struct spec_route {
    char *path;
    size_t pool;
    struct spec_place place;
};

/* [frontend NAME] HAProxy on the instances of a group. */
struct spec_frontend {
    char *name;
    struct spec_place place;
    size_t group;
    struct spec_listener *listeners;
    size_t listener_count;
    struct spec_route *routes;
    size_t route_count;
    int64_t idle_timeout_ms; /* Default 60 s, as AWS's load balancer. */
};

/* [host NAME] a host that exists already (provider static). */
struct spec_host {
    char *name;
    struct spec_place place;
    /* SPEC_NONE: a bastion, that other hosts are reached through; never an instance of a group. */
    size_t provider;
    size_t group;     /* Reserved for this group; SPEC_NONE: any. */
    char *address;    /* IPv4, IPv6 or a name. */
    unsigned port;    /* Default 22. */
    char *host_key;   /* "SHA256:..." fingerprint, or "ssh-ed25519 AAAA..." whole. */
    char *user;       /* NULL: the cluster's. */
    char *proxy_jump; /* A [host]'s name; "" for none; NULL: the cluster's. */
};

/* How hosts are reached; [cluster] keys. */
struct spec_login {
    char *user; /* Default root. */
    /* Private key; default STATE_DIR/keys/login, made when absent (one that the user named exists).
       NULL: agent only. */
    char *key_file;
    bool use_agent;
    char *become; /* "sudo" or NULL. */
    /* The name of a [host], which has address, user and key; NULL or "" for none. A bastion without
       a proxy_jump of its own is reached directly. */
    char *proxy_jump;
    int64_t connect_timeout_ms; /* Default 10 s. */
    int64_t read_timeout_ms;    /* Silence that ends a command; default 120 s. */
    int64_t total_timeout_ms;   /* One action on one host; default 30 min. */
};

struct spec {
    char *cluster; /* [cluster NAME] */
    struct spec_place place;
    char *state_dir;                 /* "state = sqlite:PATH": the directory of PATH. */
    char *state_path;                /* The database. */
    struct spec_word_list role_path; /* Directories searched for roles. */
    struct spec_login login;
    unsigned parallel;               /* Actions at a time; default 16. */
    unsigned max_disruption_percent; /* Of all instances at a time; default 10. */
    struct spec_setting_list settings;

    struct spec_zone *zones;
    size_t zone_count;
    struct spec_provider *providers;
    size_t provider_count;
    struct spec_size *sizes;
    size_t size_count;
    struct spec_secret *secrets;
    size_t secret_count;
    struct spec_template *templates;
    size_t template_count;
    struct spec_pool *pools;
    size_t pool_count;
    struct spec_group *groups;
    size_t group_count;
    struct spec_frontend *frontends;
    size_t frontend_count;
    struct spec_host *hosts;
    size_t host_count;
    struct spec_hook *hooks;
    size_t hook_count;

    char **files; /* Every file that was read; places borrow from here. */
    size_t file_count;
};

/*
 * Reads and checks the cluster file PATH. On success (0) *ret_spec is the caller's, spec_free().
 * On -1 all that is wrong is in PROBLEMS, sorted by file and line.
 */
int spec_load(const char *path, struct spec **ret_spec, struct problem_list *problems);
void spec_free(struct spec *spec);

/* Index by name, SPEC_NONE when there is none. */
size_t spec_find_group(const struct spec *spec, const char *name);
size_t spec_find_pool(const struct spec *spec, const char *name);
size_t spec_find_zone(const struct spec *spec, const char *name);
size_t spec_find_provider(const struct spec *spec, const char *name);
size_t spec_find_template(const struct spec *spec, const char *name);
size_t spec_find_secret(const struct spec *spec, const char *name);
size_t spec_find_host(const struct spec *spec, const char *name);

/* "10.77.1.10" of host-order ADDRESS; SIZE at least 16. */
void spec_address_to_string(uint32_t address, char *ret_text, size_t size);

#endif
