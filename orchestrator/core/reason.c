#include "core/reason.h"

#include <inttypes.h>
#include <stdio.h>

const char *reason_rule(enum reason_code code)
{
    if (code == REASON_BELOW_MINIMUM) {
        return "S1";
    }
    if (code == REASON_WAITS_FOR_OTHER) {
        return "S7";
    }
    return NULL;
}

#define SAY(...) snprintf(ret_text, size, __VA_ARGS__)

void reason_to_string(const struct reason *r, char *ret_text, size_t size)
{
    const char *name = r->name == NULL ? "?" : r->name;
    switch (r->code) {
    case REASON_NONE: SAY("no reason given"); return;
    case REASON_GROUP_SHORT: SAY("group %s has %" PRId64 " of %" PRId64, name, r->a, r->b); return;
    case REASON_GROUP_LONG:
        SAY("group %s has %" PRId64 " and wants %" PRId64, name, r->a, r->b);
        return;
    case REASON_NOT_MADE: SAY("not made yet"); return;
    case REASON_NOT_RUNNING: SAY("it should run and does not"); return;
    case REASON_FIRST_CONTACT: SAY("first contact"); return;
    case REASON_NEVER_CONFIGURED: SAY("its roles are not applied yet"); return;
    case REASON_NOT_INSPECTED: SAY("not compared with its roles yet"); return;
    case REASON_DRIFT:
        SAY("%" PRId64 " resource%s differ%s from its roles", r->a, r->a == 1 ? "" : "s",
            r->a == 1 ? "s" : "");
        return;
    case REASON_FRONTEND_UNSEEN: SAY("frontend %s not compared yet", name); return;
    case REASON_FRONTEND_DIFFERS: SAY("configuration of frontend %s differs", name); return;
    case REASON_NOT_IN_POOL: SAY("healthy, and not yet in pool %s", name); return;
    case REASON_LEAVES_FOR_CHANGE:
        SAY("%" PRId64 " resource%s differ%s; pool %s keeps %" PRId64 " serving, minimum %" PRId64,
            r->a, r->a == 1 ? "" : "s", r->a == 1 ? "s" : "", name, r->b, r->c);
        return;
    case REASON_LEAVES_FOR_GOOD: SAY("it leaves group %s", name); return;
    case REASON_SERVING: SAY("configured and serving"); return;
    case REASON_UNCHANGED: SAY("the change it was drained for is no longer needed"); return;
    case REASON_WAITS_FOR_GROUP:
        SAY("waits for group %s: %" PRId64 " in service, %" PRId64 " needed first", name, r->a,
            r->b);
        return;
    case REASON_WAITS_FOR_HEALTH:
        SAY("waits for its health check, %" PRId64 " s left", (r->a + 999) / 1000);
        return;
    case REASON_WAITS_FOR_FRONTEND: SAY("waits for frontend %s", name); return;
    case REASON_WAITS_FOR_OTHER: SAY("waits for %s: one at a time (S7)", name); return;
    case REASON_WAITS_TO_RETRY:
        SAY("failed %" PRId64 " time%s, again in %" PRId64 " s", r->a, r->a == 1 ? "" : "s",
            (r->b + 999) / 1000);
        return;
    case REASON_WAITS_FOR_DRAIN: SAY("waits for its sessions to end"); return;
    case REASON_BELOW_MINIMUM:
        SAY("%" PRId64 " serving and a healthy minimum of %" PRId64
            ": one less would break it (S1); lower healthy-min or raise desired in [group %s]",
            r->a, r->b, name);
        return;
    case REASON_FAILED:
        SAY("failed %" PRId64 " time%s; mend the cause and apply again", r->a,
            r->a == 1 ? "" : "s");
        return;
    case REASON_UNHEALTHY: SAY("its health check fails"); return;
    case REASON_NO_ROOM:
        SAY("no zone of group %s has room for %" PRId64
            " more; widen its zones' addresses or add hosts",
            name, r->a);
        return;
    case REASON_ORPHAN:
        SAY("its group is not in the cluster file; it is left alone: put the group back with "
            "desired = 0 to end it");
        return;
    }
}
