/*
 * May an image be taken of an instance now (S3)? Where somebody acts on the cluster, that one says
 * when its budget allows; else this process holds the lock of who acts, so nobody disturbs.
 */
#ifndef CLI_CAPTURE_TURN_H
#define CLI_CAPTURE_TURN_H

#include "cli/session.h"
#include "image/image_store.h"

struct err;

struct capture_turn {
    struct session *session; /* Borrowed. */
    size_t member;
    char *who;     /* Owned. */
    bool is_asked; /* There is something to give back. */
};
#define CAPTURE_TURN_NULL ((struct capture_turn){.session = NULL})

enum capture_answer { CAPTURE_MAY, CAPTURE_REFUSED, CAPTURE_FAULT };
/*
 * Waits until MEMBER of SESSION (SESSION_JOIN) may be read for IMAGE. Whatever the answer, the
 * caller ends the turn. E says why not.
 */
enum capture_answer capture_turn_begin(struct capture_turn *ret_turn, struct session *session,
                                       size_t member, const struct image_ref *image, struct err *e);
/* Gives it back; OUTCOME, "done" or "failed: ...", goes into the events. Idempotent. */
void capture_turn_end(struct capture_turn *turn, const char *outcome);

#endif
