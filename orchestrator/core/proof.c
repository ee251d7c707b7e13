#include "core/proof.h"

#include "core/guard.h"
#include "spec/spec.h"

struct proof proof_of(const struct survey *s, size_t group, size_t taken)
{
    const struct survey_group *g = &s->groups[group];
    /* S3: what was lost is not counted, whoever lost it. */
    size_t serving = GUARDED(GUARD_S3_LOSSES, false) ? g->standing : g->counted;
    size_t less = taken != WORLD_NONE && survey_is_counted(s, taken) ? 1 : 0;
    size_t after = serving - (serving > 0 ? less : 0);
    size_t minimum = world_healthy_minimum(s->spec, s->world, group);
    return (struct proof){.serving = serving,
                          .after = after,
                          .minimum = minimum,
                          .holds = after >= minimum,
                          .holds_less_one = after >= minimum + 1};
}
