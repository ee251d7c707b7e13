#include "core/lifecycle.h"

const char *lifecycle_to_string(enum lifecycle lifecycle)
{
    switch (lifecycle) {
    case LIFECYCLE_PENDING: return "pending";
    case LIFECYCLE_IN_SERVICE: return "in-service";
    case LIFECYCLE_STANDBY: return "standby";
    case LIFECYCLE_DRAINING: return "draining";
    case LIFECYCLE_TERMINATING: return "terminating";
    case LIFECYCLE_TERMINATED: return "terminated";
    case LIFECYCLE_QUARANTINED: return "quarantined";
    case LIFECYCLE_PENDING_WAIT: return "pending:wait";
    case LIFECYCLE_TERMINATING_WAIT: return "terminating:wait";
    case LIFECYCLE_DETACHED: return "detached";
    }
    return "unknown";
}
