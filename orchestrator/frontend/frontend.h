/*
 * A load balancer in front of pools: configuration, membership, and what it says of each target.
 * One implementation: HAProxy (frontend/haproxy_*.c), on its own host, reached over an ssh_link.
 *
 * The order of every change is the one that loses nothing (HAProxy 2.6, see the notes in
 * haproxy_member.c): a new target is added in drain, checked, and made ready only after its first
 * passed check; a leaving one is drained, waited for, then taken out. The file and the runtime say
 * the same at the end of each call, so that a restart of HAProxy changes nothing.
 */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct message;
struct ssh_link;
struct str;

/* What the configuration is rendered from. All strings borrowed. */
struct frontend_check {
    bool tcp_only;
    const char *method, *path, *host;
    unsigned port; /* 0: the server's. */
    unsigned expect_first, expect_last;
    int64_t interval_ms, timeout_ms;
    unsigned rise, fall;
};
struct frontend_member {
    const char *id; /* "web-1" */
    const char *address;
    unsigned port;
};
struct frontend_pool {
    const char *name;
    struct frontend_check check;
    bool least_connections;
    int64_t slow_start_ms;
    int64_t drain_ms;
    /* Clients stay with their target: it keeps addresses from being read out of their cookies, and
       is the same on all balancers and after all reloads, else they move. NULL: not sticky. */
    const char *cookie_key;
    const struct frontend_member *members; /* Admitted ones: those that the file lists. */
    size_t member_count;
};
struct frontend_listener {
    unsigned port;
};
struct frontend_route {
    const char *path; /* Prefix. */
    const char *pool;
};
struct frontend_config {
    const char *name; /* "my-lb" */
    const struct frontend_listener *listeners;
    size_t listener_count;
    const struct frontend_route *routes; /* Longest prefix first. */
    size_t route_count;
    const struct frontend_pool *pools;
    size_t pool_count;
    int64_t idle_timeout_ms;
};
/* 16 to 64 letters and digits. */
bool frontend_cookie_key_is_good(const char *key);
/* For the trip to a worker; the decoded one borrows from STORAGE (opaque, frontend_config_free). */
void frontend_config_encode(const struct frontend_config *config, struct message *ret_message);
int frontend_config_decode(const struct message *message, struct frontend_config **ret_config,
                           struct err *e);
void frontend_config_free(struct frontend_config *config);

/* The whole haproxy.cfg; deterministic. */
void frontend_render(const struct frontend_config *config, struct str *ret_text);

/* What HAProxy says of a target. */
enum frontend_target_state {
    FRONTEND_TARGET_ABSENT,
    FRONTEND_TARGET_INITIAL, /* Added, not yet checked. */
    FRONTEND_TARGET_UP,      /* Checks pass and it takes traffic. */
    FRONTEND_TARGET_DOWN,
    FRONTEND_TARGET_DRAINING,
    FRONTEND_TARGET_MAINTENANCE,
};
struct frontend_target {
    char pool[64];
    char id[64];
    char address[64]; /* With its port: "10.0.0.1:80". */
    enum frontend_target_state state;
    char check[64];   /* "L7OK/200 in 3 ms", for people. */
    int64_t sessions; /* scur + qcur. */
    int64_t since_s;  /* Seconds in this state. */
    /* Since it was added or the balancer was reloaded: both begin at 0 again. */
    int64_t tries;       /* Requests it was to answer. */
    int64_t failed;      /* Of those: a server's error, or none or half an answer. One that another
                            target then answered counts here, too. */
    int64_t response_ms; /* Mean of its last 1024 answers, until their headers. */
};

/* A balancer's host, and who acts on it. */
struct frontend_balancer {
    struct ssh_link *link; /* Borrowed. */
    int64_t epoch;         /* The leader's (S18): a host that has seen a higher one changes nothing
                              for us, and the call faults with a line that says so. */
    /* NULL, or told what frontend_haproxy_targets() would say, each time it was looked at while
       something is waited for: a drain, a first check. TARGETS are borrowed for the call. */
    void (*on_look)(void *context, const struct frontend_target *targets, size_t count);
    void *look_context;
};

struct frontend_sync {
    bool changed;  /* The file differed and was replaced. */
    bool reloaded; /* HAProxy was reloaded or started. */
};

/*
 * Makes file and runtime as CONFIG says, reload only for what the runtime API cannot do; checks
 * with `haproxy -c`, swaps atomically, verifies, rolls back when the check after it fails (then
 * faults with what HAProxy said). Members of CONFIG that the runtime lacks are NOT admitted here.
 */
int frontend_haproxy_sync(const struct frontend_balancer *balancer,
                          const struct frontend_config *config, bool check_only,
                          struct frontend_sync *ret_sync, struct err *e);
/*
 * Lets MEMBER into POOL: added in drain with checks on, waits for its first passed check (until
 * DEADLINE_MS: then it is removed again and this faults with the check's own words), made ready,
 * file updated. Already UP is a no-op.
 */
int frontend_haproxy_admit(const struct frontend_balancer *balancer,
                           const struct frontend_config *config, const char *pool,
                           const struct frontend_member *member, int64_t deadline_ms,
                           struct err *e);
struct frontend_removal {
    const char *pool;
    const char *id;
    /* Targets of the pool that must be UP on this balancer without it; 0: it goes in any case. */
    size_t minimum;
    int64_t deadline_ms;
};
struct frontend_removed {
    bool refused;   /* Too few would be left: nothing was done (S19). */
    size_t left_up; /* Others that are UP; only counted with a minimum. */
    int64_t cut_sessions;
};
/*
 * Takes it out: drain, wait until no session is left or the pool's drain time is over, maintenance,
 * removed, file updated. Absent is a no-op. Right before the drain the others are counted: one that
 * is UP stays when fewer than the minimum are. (One that is not UP takes no traffic, and goes.)
 * In a sticky pool it is in maintenance from the start: what is under way ends as in a drain, and a
 * client that holds its cookie gets another target, and that one's cookie, with its next request.
 */
int frontend_haproxy_remove(const struct frontend_balancer *balancer,
                            const struct frontend_config *config,
                            const struct frontend_removal *removal,
                            struct frontend_removed *ret_removed, struct err *e);
/* All targets as HAProxy sees them, none when it does not run; the caller frees *ret_targets. One
   exchange that changes nothing: cheap enough for every second. */
int frontend_haproxy_targets(const struct frontend_balancer *balancer,
                             struct frontend_target **ret_targets, size_t *ret_count,
                             struct err *e);

const char *frontend_target_state_to_string(enum frontend_target_state state);

#endif
