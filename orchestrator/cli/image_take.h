/*
 * A running host as the next generation of an image: what `image capture` and `image bake` share.
 * The host is only read; nothing of it is seen under the image's name before it is whole, signed
 * and on the disk.
 */
#ifndef CLI_IMAGE_TAKE_H
#define CLI_IMAGE_TAKE_H

#include "cli/image_place.h"
#include "cli/session.h"

struct err;

/* The keys to sign with are there when this returns 0. */
int image_take_keys(const struct image_place *place, struct err *e);

struct image_taken {
    struct manifest manifest; /* Owned: manifest_deinit(). */
    int64_t took_ms;
};
/*
 * All of MEMBER into DRAFT, published as HOW says. Faults, having told what, when there is
 * something on the host that no image may carry.
 */
int image_take(const struct session *session, size_t member, const struct image_place *place,
               struct image_draft *draft, const struct image_publishing *how,
               struct image_taken *ret_taken, struct err *e);
/* What was taken, for people or as JSON. */
void image_taken_print(const struct image_taken *taken, bool json);

#endif
