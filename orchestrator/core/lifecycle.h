/* The life of an instance, in the field's words (see "Words" in orchestrator/README.md). */
#ifndef CORE_LIFECYCLE_H
#define CORE_LIFECYCLE_H

/* Values are kept in stores: append only. */
enum lifecycle {
    LIFECYCLE_PENDING = 1,    /* Being made and configured. */
    LIFECYCLE_IN_SERVICE = 2, /* Configured; takes traffic when in a pool. */
    LIFECYCLE_STANDBY = 3,
    LIFECYCLE_DRAINING = 4,    /* Leaving its pool, to be changed; comes back. */
    LIFECYCLE_TERMINATING = 5, /* Leaving for good. */
    LIFECYCLE_TERMINATED = 6,  /* Gone; the record goes in the same transaction. */
    LIFECYCLE_QUARANTINED = 7,
    LIFECYCLE_PENDING_WAIT = 8, /* Held by a lifecycle hook. */
    LIFECYCLE_TERMINATING_WAIT = 9,
    /* Ours by its mark, in no group: an operator detached it, or it was found while the records do
       not know it (S21). Never touched until it is attached. */
    LIFECYCLE_DETACHED = 10,
};

/* "in-service"; "pending:wait" for the waiting ones. */
const char *lifecycle_to_string(enum lifecycle lifecycle);

#endif
