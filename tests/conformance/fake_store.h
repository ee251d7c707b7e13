/*
 * A store in memory, for tests of what is built on stores: fast, and able to fail when told. Held
 * to the same suite as the real ones (store_fake_test.c).
 */
#ifndef CONFORMANCE_FAKE_STORE_H
#define CONFORMANCE_FAKE_STORE_H

#include "store/store.h"

/* The space that all handles share. */
struct fake_store; /* Opaque. */

struct fake_store *fake_store_new(void);
/* All handles must be closed. NULL is fine. */
void fake_store_free(struct fake_store *space);
/* A handle; borrows SPACE. */
struct store fake_store_open(struct fake_store *space);

/* Changes the value under KEY, which must be there, so that its reader faults. */
void fake_store_damage(struct fake_store *space, const char *key);

/* How a commit goes wrong. */
enum fake_store_failure {
    FAKE_STORE_FAIL_BEFORE, /* Nothing was written: the disk was full. */
    FAKE_STORE_FAIL_AFTER,  /* All was written, but the caller is told of a fault: the line to the
                               store was lost at the wrong moment. */
};
/* The COUNT-th commit from now (1: the next) fails so, once. */
void fake_store_fail(struct fake_store *space, unsigned count, enum fake_store_failure failure);

#endif
