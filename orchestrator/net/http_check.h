/*
 * Health checks of many targets on one libcurl multi handle, reporting transitions, not every
 * result. Runs inside the prober process; knows nothing of groups. No redirect is followed, no
 * proxy of the environment used, and of an answer's body nothing is kept.
 */
#ifndef NET_HTTP_CHECK_H
#define NET_HTTP_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Every way a check can end. */
enum check_result {
    CHECK_NONE, /* Not checked yet. */
    CHECK_OK,
    CHECK_REFUSED, /* No TCP connection. */
    CHECK_TIMEOUT,
    CHECK_STATUS,   /* Another status code than expected; detail has it. */
    CHECK_PROTOCOL, /* No HTTP, or the line dropped. */
};

enum check_health { CHECK_HEALTH_UNKNOWN, CHECK_HEALTHY, CHECK_UNHEALTHY };

/* What a check is for. An id may have one target of each. */
enum check_role {
    CHECK_READINESS, /* Does its service answer? */
    CHECK_LIVENESS,  /* Does the host? */
};

struct check_target {
    const char *id; /* Copied. */
    enum check_role role;
    const char *address; /* IP; copied. */
    unsigned port;
    bool tcp_only;
    const char *method; /* Copied, as path and host. */
    const char *path;
    const char *host; /* NULL: address. */
    unsigned expect_first;
    unsigned expect_last;
    int64_t interval_ms;
    int64_t timeout_ms;
    unsigned rise; /* Results OK in a row that make it healthy; at first one is enough. */
    unsigned fall;
};

/* A change of health, for the parent. */
struct check_transition {
    const char *id; /* Borrowed. */
    enum check_role role;
    int64_t at_ms; /* Monotonic: when the check ended that decided it. */
    enum check_health health;
    enum check_result result; /* The last one. */
    long detail;              /* HTTP status with CHECK_STATUS. */
    char text[128];           /* "HTTP 500, expected 200 (2/2)": one line for people. */
};

struct checker; /* Opaque. */
int checker_new(struct checker **ret_checker,
                void (*on_transition)(void *context, const struct check_transition *transition),
                void *context, struct err *e);
void checker_free(struct checker *checker);
/* Adds or replaces a target by id and role (an unchanged one keeps its history). */
int checker_set(struct checker *checker, const struct check_target *target, struct err *e);
void checker_remove(struct checker *checker, const char *id, enum check_role role);
/* Works until DEADLINE_MS (monotonic) or until WAKE_FD (-1: none) is readable. First checks start a
   few milliseconds apart, within their interval. ON_TRANSITION is called from here, and must not
   call checker_remove() or checker_set(). */
int checker_run(struct checker *checker, int wake_fd, int64_t deadline_ms, struct err *e);

#endif
