/*
 * The contract of store/store.h as tests, run against every implementation: what one of them does
 * differently fails here. Each implementation has a *_test.c that describes itself and calls
 * store_suite_run() from its main().
 */
#ifndef CONFORMANCE_STORE_SUITE_H
#define CONFORMANCE_STORE_SUITE_H

#include "store/store.h"

struct store_suite_target {
    const char *name; /* In the test report: "sqlite". */
    /* A new, empty space. */
    void *(*make)(void);
    /* One more handle to it, as another process would have. */
    int (*open)(void *space, struct store *ret_store, struct err *e);
    /* Changes a byte of the value under KEY behind the implementation's back. */
    void (*damage)(void *space, const char *key);
    /* All handles are closed. */
    void (*unmake)(void *space);
};

/* Runs the suite; the number of failed tests. */
int store_suite_run(const struct store_suite_target *target);

#endif
