#include "core/reason.h"

#include "core/world.h"

#include <inttypes.h>
#include <stdio.h>

const char *reason_rule(enum reason_code code)
{
    switch (code) {
    case REASON_BELOW_MINIMUM:
    case REASON_BELOW_SPARE: return "S1";
    case REASON_WAITS_FOR_NEW:
    case REASON_AT_MOST: return "S2";
    case REASON_BREAKER: return "S4";
    case REASON_FROZEN: return "S5";
    case REASON_ZONE_LOST: return "S6";
    case REASON_WAITS_FOR_OTHER:
    case REASON_WAITS_FOR_BAKE:
    case REASON_WAITS_FOR_CLUSTER: return "S7";
    case REASON_MEND:
    case REASON_WAITS_FOR_RUNG: return "S8";
    case REASON_QUARANTINE:
    case REASON_QUARANTINED:
    case REASON_REFRESH_FAILED:
    case REASON_LAUNCHES_FAIL: return "S9";
    case REASON_DISPUTED:
    case REASON_UNKNOWN:
    case REASON_NO_POWER:
    case REASON_WAITS_TO_CONFIRM: return "S10";
    case REASON_REFRESH_WARMS_UP:
    case REASON_WAITS_FOR_HEALTH: return "S11";
    case REASON_SHARED: return "S12";
    case REASON_FLAPPING: return "S13";
    case REASON_FRONTEND_STALE: return "S19";
    case REASON_CAPTURED:
    case REASON_CAPTURE: return "S3";
    case REASON_DETACHED: return "S21";
    case REASON_PAUSED: return "S22";
    case REASON_NONE:
    case REASON_GROUP_SHORT:
    case REASON_GROUP_LONG:
    case REASON_NOT_MADE:
    case REASON_NOT_RUNNING:
    case REASON_FIRST_CONTACT:
    case REASON_NEVER_CONFIGURED:
    case REASON_NOT_INSPECTED:
    case REASON_DRIFT:
    case REASON_FRONTEND_UNSEEN:
    case REASON_FRONTEND_DIFFERS:
    case REASON_NOT_IN_POOL:
    case REASON_LEAVES_FOR_CHANGE:
    case REASON_LEAVES_FOR_GOOD:
    case REASON_SERVING:
    case REASON_UNCHANGED:
    case REASON_WISH_STANDBY:
    case REASON_WISH_REPLACE:
    case REASON_WISH_DETACH:
    case REASON_WISH_BACK:
    case REASON_DEAD:
    case REASON_TOO_OLD:
    case REASON_UNBALANCED:
    case REASON_HOOK:
    case REASON_HOOK_DONE:
    case REASON_HOOK_ABANDON:
    case REASON_HOOK_OVER_TIME:
    case REASON_HOOK_UNREACHED:
    case REASON_HOOK_OFF:
    case REASON_CHECK_DUE:
    case REASON_WAITS_FOR_PROVIDER:
    case REASON_WAITS_FOR_GROUP:
    case REASON_WAITS_FOR_FRONTEND:
    case REASON_WAITS_TO_RETRY:
    case REASON_WAITS_FOR_HOOK:
    case REASON_WAITS_FOR_COOLDOWN:
    case REASON_BUSY:
    case REASON_WAITS_FOR_WORKER:
    case REASON_SUSPENDED:
    case REASON_PROTECTED:
    case REASON_STANDBY:
    case REASON_FAILED:
    case REASON_UNHEALTHY:
    case REASON_NO_ROOM:
    case REASON_REFRESH:
    case REASON_REFRESH_BACK:
    case REASON_REFRESH_OVER:
    case REASON_REFRESH_UNWELL:
    case REASON_REFRESH_ALARM:
    case REASON_REFRESH_AT:
    case REASON_REFRESH_ON:
    case REASON_REFRESH_ALL:
    case REASON_REFRESH_NOTHING:
    case REASON_REFRESH_BAKED:
    case REASON_REFRESH_WAITS_AT:
    case REASON_REFRESH_BAKES:
    case REASON_REFRESH_WAITS_FOR:
    case REASON_REFRESH_OUTDATED:
    case REASON_REFRESH_CALM:
    case REASON_ORPHAN: return NULL;
    }
    return NULL;
}

#define SAY(...) snprintf(ret_text, size, __VA_ARGS__)

static int64_t seconds(int64_t ms)
{
    return (ms + 999) / 1000;
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

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
        SAY("%" PRId64 " resource%s differ%s from its roles", r->a, plural(r->a),
            r->a == 1 ? "s" : "");
        return;
    case REASON_FRONTEND_UNSEEN: SAY("frontend %s not compared yet", name); return;
    case REASON_FRONTEND_STALE:
        if (r->a < 0) {
            SAY("frontend %s has told nothing yet; it is looked at before anything is taken away "
                "(S19)",
                name);
        } else {
            SAY("what frontend %s told is %" PRId64
                " s old; it is looked at before anything is taken away (S19)",
                name, seconds(r->a));
        }
        return;
    case REASON_FRONTEND_DIFFERS: SAY("configuration of frontend %s differs", name); return;
    case REASON_NOT_IN_POOL: SAY("healthy, and not yet in pool %s", name); return;
    case REASON_LEAVES_FOR_CHANGE:
        SAY("%" PRId64 " resource%s differ%s; pool %s keeps %" PRId64 " serving, minimum %" PRId64,
            r->a, plural(r->a), r->a == 1 ? "s" : "", name, r->b, r->c);
        return;
    case REASON_LEAVES_FOR_GOOD: SAY("it leaves group %s", name); return;
    case REASON_SERVING: SAY("configured and serving"); return;
    case REASON_UNCHANGED: SAY("what it was drained for is no longer wanted"); return;
    case REASON_WISH_STANDBY: SAY("standby was asked for"); return;
    case REASON_WISH_REPLACE: SAY("it is to be replaced"); return;
    case REASON_WISH_DETACH: SAY("it is to leave its group and run on"); return;
    case REASON_WISH_BACK: SAY("its standby is over"); return;
    case REASON_MEND:
        SAY("%s for %" PRId64 " s; next on the ladder: %s (S8)", name, seconds(r->a),
            world_rung_to_string((enum world_rung)r->b));
        return;
    case REASON_DEAD: SAY("its provider says it is off, for %" PRId64 " s", seconds(r->a)); return;
    case REASON_TOO_OLD:
        SAY("%" PRId64 " h old; max-lifetime is %" PRId64 " h", r->a / 3600000, r->b / 3600000);
        return;
    case REASON_UNBALANCED:
        SAY("zone %s has %" PRId64 " of the group, this one %" PRId64, name, r->a, r->b);
        return;
    case REASON_HOOK: SAY("lifecycle hook %s", name); return;
    case REASON_HOOK_DONE:
        if (r->name == NULL) {
            SAY("its lifecycle hook is not in the cluster file any more");
        } else {
            SAY("lifecycle hook %s has ended", name);
        }
        return;
    case REASON_HOOK_ABANDON:
        if (r->name == NULL) {
            SAY("its lifecycle hook, which is not in the cluster file any more, said abandon");
        } else {
            SAY("lifecycle hook %s said abandon", name);
        }
        return;
    case REASON_HOOK_OVER_TIME:
        SAY("lifecycle hook %s was not done within its limit of %" PRId64 " s: %s", name,
            seconds(r->a), r->b == 0 ? "continue" : "abandon");
        return;
    case REASON_HOOK_UNREACHED:
        SAY("lifecycle hook %s is passed by: nobody has reached the host for %" PRId64 " s", name,
            seconds(r->a));
        return;
    case REASON_HOOK_OFF:
        SAY("lifecycle hook %s is passed by: no provider says that the host runs", name);
        return;
    case REASON_CHECK_DUE: SAY("its check-command is due"); return;
    case REASON_QUARANTINE:
        if (r->a > 0) {
            SAY("rebuilt %" PRId64 " times in 24 h, and bad again (S9)", r->a);
        } else {
            SAY("no rung of the ladder helped (S9)");
        }
        return;
    case REASON_REFRESH:
        SAY("group %s is being refreshed: %" PRId64 " of %" PRId64 " replaced", name, r->a, r->b);
        return;
    case REASON_REFRESH_BACK:
        SAY("group %s is being rolled back: %" PRId64 " of %" PRId64 " are", name, r->a, r->b);
        return;
    case REASON_REFRESH_OVER: SAY("the refresh that was to replace it wants that no more"); return;
    case REASON_REFRESH_FAILED:
        SAY("a new instance of group %s, from the new image, did not come into service (S9)", name);
        return;
    case REASON_REFRESH_UNWELL:
        SAY("%s, from the new image, is unready for %" PRId64 " s while others are well", name,
            seconds(r->a));
        return;
    case REASON_REFRESH_ALARM: SAY("the alarm of group %s's refresh", name); return;
    case REASON_REFRESH_AT:
        SAY("%" PRId64 " %% of group %s replaced: a checkpoint", r->a, name);
        return;
    case REASON_REFRESH_ON: SAY("the checkpoint's %" PRId64 " s are over", seconds(r->a)); return;
    case REASON_REFRESH_ALL:
        SAY("all %" PRId64 " of group %s are as they should be", r->b, name);
        return;
    case REASON_REFRESH_NOTHING: SAY("nobody of group %s was there to be replaced", name); return;
    case REASON_REFRESH_BAKED:
        SAY("replaced as a whole, and well for %" PRId64 " s", seconds(r->a));
        return;
    case REASON_CAPTURE: SAY("an image is to be taken of it (S3)"); return;
    case REASON_REFRESH_WAITS_AT:
        if (r->b < 0) {
            SAY("its refresh waits at the checkpoint of %" PRId64 " %% for a word to go on", r->a);
        } else {
            SAY("its refresh waits at the checkpoint of %" PRId64 " %%, %" PRId64 " s left", r->a,
                seconds(r->b));
        }
        return;
    case REASON_REFRESH_BAKES:
        SAY("all of group %s are replaced; it is watched for %" PRId64 " s more", name,
            seconds(r->a));
        return;
    case REASON_REFRESH_WAITS_FOR:
        SAY("its refresh waits for %s, which is %s", name, r->a == 1 ? "in standby" : "protected");
        return;
    case REASON_REFRESH_WARMS_UP:
        SAY("%s is new, and counted on in %" PRId64 " s (S11)", name, seconds(r->a));
        return;
    case REASON_REFRESH_OUTDATED:
        SAY("it differs from its roles; the refresh of its group replaces it");
        return;
    case REASON_REFRESH_CALM: SAY("its refresh goes on when %s is well or gone", name); return;
    case REASON_CAPTURED: SAY("an image is being taken of %s (S3)", name); return;
    case REASON_WAITS_FOR_PROVIDER: SAY("its provider has not said whether it runs"); return;
    case REASON_WAITS_FOR_GROUP:
        SAY("waits for group %s: %" PRId64 " in service, %" PRId64 " needed first", name, r->a,
            r->b);
        return;
    case REASON_WAITS_FOR_HEALTH:
        SAY("waits for its health check; not judged for %" PRId64 " s more: its grace (S11)",
            seconds(r->a));
        return;
    case REASON_WAITS_FOR_FRONTEND: SAY("waits for frontend %s", name); return;
    case REASON_WAITS_FOR_OTHER: SAY("waits for %s: one at a time (S7)", name); return;
    case REASON_WAITS_FOR_BAKE:
        SAY("the last one is back for %" PRId64 " s; %" PRId64 " s more before the next (S7)",
            r->a / 1000, seconds(r->b));
        return;
    case REASON_WAITS_FOR_CLUSTER:
        SAY("%" PRId64 " of at most %" PRId64
            " disruptions in the cluster are under way (S7, max-disruption)",
            r->a, r->b);
        return;
    case REASON_WAITS_TO_RETRY:
        SAY("failed %" PRId64 " time%s, again in %" PRId64 " s", r->a, plural(r->a), seconds(r->b));
        return;
    case REASON_WAITS_FOR_NEW:
        SAY("waits for another to serve first: group %s has %" PRId64 " of %" PRId64 " ready (S2)",
            name, r->a, r->b);
        return;
    case REASON_WAITS_FOR_RUNG:
        SAY("%s was done; it has %" PRId64 " s more to come back (S8)",
            world_rung_to_string((enum world_rung)r->a), seconds(r->b));
        return;
    case REASON_WAITS_TO_CONFIRM:
        SAY("%s for %" PRId64 " s; believed after %" PRId64 " s (S10)", name, r->a / 1000,
            seconds(r->b));
        return;
    case REASON_WAITS_FOR_HOOK:
        SAY("lifecycle hook %s has run for %" PRId64 " s, at most %" PRId64 " s", name,
            seconds(r->a), seconds(r->b));
        return;
    case REASON_WAITS_FOR_COOLDOWN:
        SAY("group %s changed %" PRId64 " s ago; by itself nothing for %" PRId64 " s more", name,
            seconds(r->a), seconds(r->b));
        return;
    case REASON_BUSY: SAY("a step on it is under way: %s", name); return;
    case REASON_WAITS_FOR_WORKER: SAY("waits for a worker: as many are busy as may be"); return;
    case REASON_DISPUTED:
        SAY("the witnesses differ: %s",
            r->a == 3   ? "all is well for us, a balancer's check fails (S10)"
            : r->a == 2 ? "its provider says it is off, its SSH port accepts (S10)"
            : r->a == 1
                ? "its service answers us, its SSH port or a balancer's check does not (S10)"
                : "a balancer says up, our own check fails (S10)");
        return;
    case REASON_UNKNOWN: SAY("not every witness has answered (S10)"); return;
    case REASON_FLAPPING:
        SAY("its state changes too often to be believed; held for %" PRId64 " s (S13)",
            seconds(r->a));
        return;
    case REASON_SHARED:
        if (r->name != NULL) {
            SAY("group %s, which it needs, is not well: not this host's fault (S12)", name);
        } else {
            SAY("all %" PRId64 " of its group are unready at once: not this host's fault (S12)",
                r->b);
        }
        return;
    case REASON_BREAKER:
        SAY("%" PRId64 " of %" PRId64 " in %s are bad, more than %" PRId64
            ": nothing destructive (S4)",
            r->a, r->b, name, r->c);
        return;
    case REASON_ZONE_LOST:
        SAY("zone %s is gone as a whole; made up for elsewhere (S6)", name);
        return;
    case REASON_FROZEN:
        SAY("%" PRId64 " of %" PRId64
            " hosts do not answer: this controller is cut off; nothing is touched (S5)",
            r->a, r->b);
        return;
    case REASON_PAUSED: SAY("%s is paused (S22)", name); return;
    case REASON_SUSPENDED: SAY("process %s of its group is suspended", name); return;
    case REASON_PROTECTED: SAY("every member of group %s is protected from scale-in", name); return;
    case REASON_STANDBY: SAY("in standby"); return;
    case REASON_DETACHED: SAY("in no group: left alone (S21)"); return;
    case REASON_BELOW_MINIMUM:
        SAY("%" PRId64 " serving and a healthy minimum of %" PRId64
            ": one less would break it (S1); lower healthy-min or raise desired in [group %s]",
            r->a, r->b, name);
        return;
    case REASON_BELOW_SPARE:
        SAY("%" PRId64 " serving: with %" PRId64 " more lost than this one the minimum of %" PRId64
            " would break (S1, spare of [group %s])",
            r->a, r->c, r->b, name);
        return;
    case REASON_FAILED:
        SAY("failed %" PRId64 " time%s; mend the cause and apply again", r->a, plural(r->a));
        return;
    case REASON_UNHEALTHY: SAY("its health check fails"); return;
    case REASON_NO_ROOM:
        SAY("no zone of group %s has room for %" PRId64
            " more; widen its zones' addresses or add hosts",
            name, r->a);
        return;
    case REASON_AT_MOST:
        SAY("group %s has %" PRId64 " live instances, at most %" PRId64 " (S2)", name, r->a, r->b);
        return;
    case REASON_LAUNCHES_FAIL:
        SAY("%" PRId64 " new instance%s of group %s in a row did not come into service (S9)", r->a,
            plural(r->a), name);
        return;
    case REASON_QUARANTINED: SAY("in quarantine (S9)"); return;
    case REASON_NO_POWER:
        SAY("nobody reaches it, and no provider can say whether it runs (S10)");
        return;
    case REASON_ORPHAN:
        SAY("its group is not in the cluster file; it is left alone: put the group back with "
            "desired = 0 to end it");
        return;
    }
}

const char *reason_remedy(enum reason_code code)
{
    switch (code) {
    case REASON_REFRESH_WAITS_AT:
        return "Time; or `group refresh GROUP --continue`, `--cancel`, `--rollback`.";
    case REASON_REFRESH_BAKES: return "Time; an alarm rolls it back.";
    case REASON_REFRESH_WAITS_FOR:
        return "`group unprotect ID` or `group in-service ID`; or a new refresh that says "
               "--protected or --standby.";
    case REASON_REFRESH_WARMS_UP: return "Time; --warm-up of the refresh sets how much.";
    case REASON_REFRESH_OUTDATED: return "Its turn, or `group refresh GROUP --cancel`.";
    case REASON_REFRESH_CALM: return "That one's repair.";
    case REASON_CAPTURED: return "It goes on when the image is taken.";
    case REASON_REFRESH_FAILED:
    case REASON_REFRESH_UNWELL:
        return "Look at the image; `events` and `why` say what failed, `image show` what it is.";
    case REASON_REFRESH_ALARM: return "Look at what the alarm saw, then refresh again.";
    case REASON_WAITS_FOR_PROVIDER: return "The provider's answer; see that its hypervisor is up.";
    case REASON_WAITS_FOR_GROUP: return "It goes on when that group is in service.";
    case REASON_WAITS_FOR_HEALTH: return "It goes on when its check passes; see the check by hand.";
    case REASON_WAITS_FOR_FRONTEND: return "It goes on when the balancer has answered.";
    case REASON_WAITS_FOR_OTHER: return "It goes on when that one is back in service or gone.";
    case REASON_WAITS_FOR_BAKE: return "Time; `bake` of the group sets how much.";
    case REASON_WAITS_FOR_CLUSTER: return "It goes on when one of them has ended.";
    case REASON_WAITS_TO_RETRY: return "It is tried again by itself.";
    case REASON_WAITS_FOR_NEW: return "It goes on when the new one serves and has baked.";
    case REASON_WAITS_FOR_RUNG: return "If it is not back by then, the next rung follows.";
    case REASON_WAITS_TO_CONFIRM: return "Time, or its check passing again.";
    case REASON_WAITS_FOR_HOOK:
        return "The hook's end; `group hook continue ID` ends the wait by hand.";
    case REASON_WAITS_FOR_COOLDOWN: return "Time; `cooldown` of the group sets how much.";
    case REASON_BUSY: return "It goes on when that step has ended.";
    case REASON_WAITS_FOR_WORKER: return "It is done as soon as a worker is free.";
    case REASON_DISPUTED: return "It is replaced only when both agree; look at both with `status`.";
    case REASON_UNKNOWN: return "An answer of every witness.";
    case REASON_FLAPPING: return "Quiet: a state that no longer changes.";
    case REASON_SHARED: return "Mend what is shared; the hosts are left alone.";
    case REASON_BREAKER:
        return "It closes when enough are well again or made up for; what stays bad needs a human: "
               "mend it by hand, or raise `breaker`.";
    case REASON_ZONE_LOST: return "The zone's hosts answering again.";
    case REASON_FROZEN: return "Hosts answering again; check this controller's own network.";
    case REASON_PAUSED: return "`group unpause`.";
    case REASON_SUSPENDED: return "`group resume`.";
    case REASON_PROTECTED: return "`group unprotect ID`.";
    case REASON_STANDBY: return "`group in-service ID`.";
    case REASON_DETACHED: return "`group attach ID`, or end it by hand.";
    case REASON_BELOW_MINIMUM:
        return "Another serving instance, a lower healthy-min, or a greater desired.";
    case REASON_BELOW_SPARE:
        return "Another serving instance, a lower healthy-min, or a smaller spare.";
    case REASON_FAILED: return "Mend what the last failure names, then `group retry ID`.";
    case REASON_UNHEALTHY: return "A human: nothing more is tried by itself.";
    case REASON_NO_ROOM: return "Wider `addresses`, or more [host]s.";
    case REASON_AT_MOST: return "A greater `max`, or fewer leftovers.";
    case REASON_LAUNCHES_FAIL:
        return "Mend the template, its image or its roles, then `group retry GROUP`.";
    case REASON_QUARANTINE:
    case REASON_QUARANTINED: return "See to the machine, then `group retry ID`.";
    case REASON_NO_POWER:
        return "Look at it, switch it off or on by hand; it is never rebuilt on silence.";
    case REASON_ORPHAN: return "The group in the file again, with desired = 0.";
    case REASON_NONE:
    case REASON_GROUP_SHORT:
    case REASON_GROUP_LONG:
    case REASON_NOT_MADE:
    case REASON_NOT_RUNNING:
    case REASON_FIRST_CONTACT:
    case REASON_NEVER_CONFIGURED:
    case REASON_NOT_INSPECTED:
    case REASON_DRIFT:
    case REASON_FRONTEND_UNSEEN:
    case REASON_FRONTEND_STALE:
    case REASON_FRONTEND_DIFFERS:
    case REASON_NOT_IN_POOL:
    case REASON_LEAVES_FOR_CHANGE:
    case REASON_LEAVES_FOR_GOOD:
    case REASON_SERVING:
    case REASON_UNCHANGED:
    case REASON_WISH_STANDBY:
    case REASON_WISH_REPLACE:
    case REASON_WISH_DETACH:
    case REASON_WISH_BACK:
    case REASON_MEND:
    case REASON_DEAD:
    case REASON_TOO_OLD:
    case REASON_UNBALANCED:
    case REASON_HOOK:
    case REASON_HOOK_DONE:
    case REASON_HOOK_ABANDON:
    case REASON_HOOK_OVER_TIME:
    case REASON_HOOK_UNREACHED:
    case REASON_HOOK_OFF:
    case REASON_REFRESH:
    case REASON_REFRESH_BACK:
    case REASON_REFRESH_OVER:
    case REASON_REFRESH_AT:
    case REASON_REFRESH_ON:
    case REASON_REFRESH_ALL:
    case REASON_REFRESH_NOTHING:
    case REASON_REFRESH_BAKED:
    case REASON_CAPTURE:
    case REASON_CHECK_DUE: return "It is done as soon as a worker is free.";
    }
    return "Nothing.";
}
