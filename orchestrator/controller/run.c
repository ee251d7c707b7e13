/* `run`: the loop that goes on for ever, and whether a changed cluster file may take over from it.
 */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/problem.h"
#include "base/str.h"

#include <stdio.h>

int controller_run(struct controller *c, const volatile bool *stop, struct err *e)
{
    c->looking_only = false;
    c->world.tireless = true;
    c->started_ms = clock_now_ms();
    if (templates_record(c, e) != 0 || settle_intents(c, e) != 0) {
        return -1;
    }
    groups_put_cluster(c, false);
    if (observe_providers(c, e) != 0 || loop_turn(c, INT64_MAX, stop, e) != 0) {
        return -1;
    }
    groups_put_cluster(c, true);
    return journal_commit(c->journal, e);
}

/* Pools that serve now must go on to: S19. */

static size_t wanted_of_pool(const struct spec *spec, const char *pool)
{
    size_t wanted = 0;
    for (size_t g = 0; g < spec->group_count; g++) {
        size_t p = spec->groups[g].pool;
        wanted +=
            p != SPEC_NONE && text_equal(spec->pools[p].name, pool) ? spec->groups[g].desired : 0;
    }
    return wanted;
}

static size_t serving_of_pool(const struct controller *c, size_t pool, size_t *ret_minimum)
{
    size_t serving = 0;
    *ret_minimum = 0;
    for (size_t g = 0; g < c->spec->group_count; g++) {
        if (c->spec->groups[g].pool == pool) {
            serving += c->decision.survey.groups == NULL ? 0 : c->decision.survey.groups[g].serving;
            *ret_minimum += world_healthy_minimum(c->spec, &c->world, g);
        }
    }
    return serving;
}

bool controller_accepts(const struct controller *c, const struct spec *fresh,
                        struct problem_list *problems)
{
    size_t before = problems->count;
    if (!text_equal(c->spec->cluster, fresh->cluster) ||
        !text_equal(c->spec->state_path, fresh->state_path)) {
        problem_add(problems, fresh->place.file, fresh->place.line,
                    "the cluster's name or its state changed: end this controller and start "
                    "another");
    }
    for (size_t p = 0; p < c->spec->pool_count; p++) {
        const char *name = c->spec->pools[p].name;
        size_t minimum;
        size_t serving = serving_of_pool(c, p, &minimum);
        size_t wanted = wanted_of_pool(fresh, name);
        if (serving > 0 && wanted < minimum) {
            problem_add(
                problems, fresh->place.file, fresh->place.line,
                "pool %s serves with %zu and keeps at least %zu; this file wants %zu (S19): "
                "make it smaller with `lamplighter group scale` first",
                name, serving, minimum, wanted);
        }
    }
    return problems->count == before;
}
