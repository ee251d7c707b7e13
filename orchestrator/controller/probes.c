/* Health: which instances the prober follows, and what it says of them. */
#include "controller/state.h"

#include "base/err.h"
#include "base/log.h"

/* The prober follows whatever is in a pool, runs and was configured. */

bool probes_want(const struct controller *c, size_t index)
{
    const struct world_instance *it = &c->world.instances[index];
    return it->group != WORLD_NONE && c->spec->groups[it->group].pool != SPEC_NONE &&
           it->configured && it->power == WORLD_POWER_RUNNING &&
           it->lifecycle != LIFECYCLE_TERMINATED;
}

static int probe(struct controller *c, size_t index, struct err *e)
{
    const struct world_instance *it = &c->world.instances[index];
    const struct spec_pool *pool = &c->spec->pools[c->spec->groups[it->group].pool];
    const struct spec_check *check = &pool->check;
    const struct check_target target = {
        .id = it->id,
        .address = c->members[index].record.address,
        .port = check->port == 0 ? pool->port : check->port,
        .tcp_only = check->tcp_only,
        .method = check->method,
        .path = check->path,
        .host = check->host,
        .expect_first = check->expect_first,
        .expect_last = check->expect_last,
        .interval_ms = check->interval_ms,
        .timeout_ms = check->timeout_ms,
        .rise = check->rise,
        .fall = check->fall,
    };
    return prober_set_target(c->prober, &target, e);
}

/* A prober that died is started anew; what it knew is unknown again. */
static void drop_prober(struct controller *c)
{
    prober_free(c->prober);
    c->prober = NULL;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        c->members[i].probed = false;
        c->world.instances[i].health = (struct world_witness){.since_ms = c->world.now_ms};
    }
}

int probes_update(struct controller *c, struct err *e)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        bool wanted = probes_want(c, i);
        if (wanted == c->members[i].probed) {
            continue;
        }
        if (c->prober == NULL &&
            prober_start(&c->prober, crew_spawner(c->crew), CREW_PROBER, e) != 0) {
            return err_wrap(e, "start the prober");
        }
        int result = wanted
                         ? probe(c, i, e)
                         : prober_remove(c->prober, c->world.instances[i].id, CHECK_READINESS, e);
        if (result != 0) {
            log_warning("the prober did not answer (%s); starting another", e->text);
            drop_prober(c);
            return 0;
        }
        c->members[i].probed = wanted;
        c->world.instances[i].health = (struct world_witness){.since_ms = c->world.now_ms};
    }
    return 0;
}

void probes_hear(struct controller *c)
{
    struct check_transition t;
    bool found;
    struct err e = ERR_NULL;
    int result;
    while ((result = prober_receive(c->prober, &t, &found, &e)) == 0 && found) {
        enum world_health health = t.health == CHECK_HEALTHY     ? WORLD_HEALTHY
                                   : t.health == CHECK_UNHEALTHY ? WORLD_UNHEALTHY
                                                                 : WORLD_HEALTH_UNKNOWN;
        result_transition(c, t.id, health, t.text);
    }
    if (result != 0) {
        log_warning("the prober ended (%s); starting another", e.text);
        drop_prober(c);
    }
}
