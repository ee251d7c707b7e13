/*
 * The one suite that every provider is held to: the contract of provider/provider.h as tests.
 * Whoever runs it says, by functions, how to do to his provider what the contract is about; a test
 * whose function is NULL is reported as skipped.
 */
#ifndef CONFORMANCE_PROVIDER_SUITE_H
#define CONFORMANCE_PROVIDER_SUITE_H

#include "provider/provider.h"

#include <stdbool.h>
#include <stddef.h>

enum provider_suite_call { PROVIDER_SUITE_ENSURE, PROVIDER_SUITE_DESTROY, PROVIDER_SUITE_STOP };

struct provider_suite {
    const struct provider_ops *ops;
    struct provider_config config;            /* Its cluster may be used freely. */
    struct provider_instance_config instance; /* One that can be made; id and address are changed:
                                                 the suite uses ids one-1 to one-3. */
    const char *addresses[3];                 /* For those. */
    bool makes_nothing;                       /* As static: ensure() and destroy() are empty. */

    void *context; /* For the functions below. */
    /* The instance loses its power. */
    void (*power_off)(struct provider_suite *suite, const char *id);
    /* What the instances run on is started anew: all are off, nothing is mounted. */
    void (*restart_host)(struct provider_suite *suite);
    /* Puts something without our mark where ensure(ID) would put its own; or takes it away. */
    void (*plant)(struct provider_suite *suite, const char *id, bool there);
    bool (*is_planted)(struct provider_suite *suite, const char *id);
    /* Is anything left of ID where instances live? */
    bool (*has_remains)(struct provider_suite *suite, const char *id);
    /*
     * Makes the call on instance ID and has it die at its STEPth step, from 0. Returns false when
     * the call ended before it came to that step.
     */
    bool (*cut_short)(struct provider_suite *suite, enum provider_suite_call call, const char *id,
                      unsigned step);
};

/* Runs all tests; the number that failed. Call it once in a process. */
int provider_suite_run(struct provider_suite *suite);

#endif
