#include "core/ladder.h"

#include "core/guard.h"
#include "spec/spec.h"

int64_t ladder_patience_ms(enum world_rung rung)
{
    switch (rung) {
    case WORLD_RUNG_NONE: return 0;
    case WORLD_RUNG_RESTART: return 60000;
    case WORLD_RUNG_REBOOT:
    case WORLD_RUNG_CYCLE: return 180000;
    case WORLD_RUNG_REPLACE:
    case WORLD_RUNG_QUARANTINE: return 0;
    }
    return 0;
}

int64_t ladder_grace_ms(const struct spec *spec, const struct world_instance *it)
{
    int64_t grace_ms = spec->groups[it->group].grace_ms;
    int64_t patience_ms = ladder_patience_ms(it->rung);
    return it->rung != WORLD_RUNG_NONE && patience_ms < grace_ms ? patience_ms : grace_ms;
}

enum world_rung ladder_position(const struct world_instance *it)
{
    return it->verdict_ms - it->rung_ms > LADDER_FORGET_MS ? WORLD_RUNG_NONE : it->rung;
}

static bool can_climb(const struct spec *spec, const struct world_instance *it,
                      enum world_rung rung)
{
    bool lives = it->verdict == WORLD_VERDICT_UNREADY;
    bool answered = it->power_witnessed && it->power != WORLD_POWER_UNKNOWN;
    bool replaces = spec->groups[it->group].repair == SPEC_REPAIR_REPLACE;
    switch (rung) {
    case WORLD_RUNG_RESTART:
    case WORLD_RUNG_REBOOT: return lives;
    case WORLD_RUNG_CYCLE: return answered;
    case WORLD_RUNG_REPLACE:
        return replaces && GUARDED(GUARD_S9_MACHINE, it->rebuilds < LADDER_REBUILDS_MAX) &&
               GUARDED(GUARD_S10_POWER, answered);
    case WORLD_RUNG_QUARANTINE: return replaces && lives;
    case WORLD_RUNG_NONE: return false;
    }
    return false;
}

enum world_rung ladder_next(const struct spec *spec, const struct world_instance *it)
{
    static const enum world_rung rungs[] = {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_CYCLE,
                                            WORLD_RUNG_REPLACE, WORLD_RUNG_QUARANTINE};
    enum world_rung position = ladder_position(it);
    for (unsigned i = 0; i < sizeof(rungs) / sizeof(rungs[0]); i++) {
        if (rungs[i] > position && can_climb(spec, it, rungs[i])) {
            return rungs[i];
        }
    }
    return WORLD_RUNG_NONE;
}
