/*
 * The prober: one process that makes every health check of the cluster (net/http_check.h) and tells
 * its parent of changes of health, not of every result. It holds no key, no store and no spec;
 * it may die at any time, and the parent starts another and gives it the targets again.
 *
 * prober_main() is the child's side, for a kind of base/process.h in SANDBOX_NETWORK. The rest is
 * the parent's side: nothing of it waits for the child longer than PROBER_SEND_WAIT_MS.
 */
#ifndef CONTROLLER_PROBER_H
#define CONTROLLER_PROBER_H

#include "net/http_check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct prober; /* Opaque. */
struct spawner;

#define PROBER_SEND_WAIT_MS 2000

/* What travels over the socket (base/message.h). */
enum prober_message {
    PROBER_SET = 0x0701, /* Down: a target; ROLE, all tags from ID to FALL. */
    PROBER_REMOVE,       /* Down: ID, ROLE. */
    PROBER_TRANSITION,   /* Up: ID, ROLE, TIME, HEALTH, RESULT, DETAIL, TEXT. */
    PROBER_REFUSED,      /* Up: ID, ROLE, TIME, TEXT: a target that cannot be checked, and why. */
};
enum prober_tag {
    PROBER_ID = 1, /* Text. */
    PROBER_ADDRESS,
    PROBER_PORT,
    PROBER_TCP_ONLY,
    PROBER_METHOD,
    PROBER_PATH,
    PROBER_HOST,
    PROBER_EXPECT_FIRST,
    PROBER_EXPECT_LAST,
    PROBER_INTERVAL,
    PROBER_TIMEOUT,
    PROBER_RISE,
    PROBER_FALL,
    PROBER_HEALTH, /* enum check_health. */
    PROBER_RESULT, /* enum check_result. */
    PROBER_DETAIL,
    PROBER_TEXT,
    PROBER_ROLE, /* enum check_role. */
    PROBER_TIME, /* Monotonic milliseconds. */
};

/* The child's main: works until the parent closes the socket. */
int prober_main(int socket);

/* Starts a child of the spawner's kind KIND. */
int prober_start(struct prober **ret_prober, struct spawner *spawner, size_t kind, struct err *e);
/* The same over an open SOCKET (owned from here on) to a child that somebody else started. */
struct prober *prober_adopt(int socket);
/* Ends the child. NULL is fine. */
void prober_free(struct prober *prober);

/* Readable when prober_receive() has something, or when the child has died. */
int prober_socket(const struct prober *prober);

/* Adds or replaces a target; one that is as before keeps its history. What is passed is copied. */
int prober_set_target(struct prober *prober, const struct check_target *target, struct err *e);
int prober_remove(struct prober *prober, const char *id, enum check_role role, struct err *e);

/*
 * Takes the next change of health without waiting. *ret_found is false when there is none;
 * ret_transition->id is valid until the next call. A target that could not be taken comes as
 * CHECK_HEALTH_UNKNOWN with CHECK_NONE and the reason in its text. Faults when the child has died
 * or talks nonsense: free it, start another, set all targets again.
 */
int prober_receive(struct prober *prober, struct check_transition *ret_transition, bool *ret_found,
                   struct err *e);

#endif
