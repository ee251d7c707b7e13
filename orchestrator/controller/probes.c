/*
 * Health: which instances the prober follows, and what it says of them. Two checks each: readiness
 * is the pool's check, liveness that its SSH port accepts (S12). Both stop while what is known of
 * the host is about to change, and begin anew after: the prober tells changes, not every result.
 */
#include "controller/state.h"

#include "base/err.h"
#include "base/log.h"

/*
 * Liveness: a host that is up accepts at once; two failures in a row are believed. Not more often,
 * because sshd notes each connection that says nothing, and from OpenSSH 9.8 on holds many of them
 * against where they come from (PerSourcePenalties in sshd_config).
 */
#define ALIVE_INTERVAL_MS 3000
#define ALIVE_TIMEOUT_MS  1500
#define ALIVE_RISE        1
#define ALIVE_FALL        2

/* One in service is followed whatever its provider says: somebody must be there to contradict. */
static bool runs(const struct world_instance *it)
{
    bool up = it->power == WORLD_POWER_RUNNING || it->lifecycle == LIFECYCLE_IN_SERVICE;
    return it->group != WORLD_NONE && up && it->lifecycle != LIFECYCLE_TERMINATED &&
           it->lifecycle != LIFECYCLE_DETACHED;
}

bool probes_want(const struct controller *c, size_t index, enum check_role role)
{
    const struct world_instance *it = &c->world.instances[index];
    if (!runs(it)) {
        return false;
    }
    bool pool = c->spec->groups[it->group].pool != SPEC_NONE;
    if (role == CHECK_READINESS) {
        return it->configured && pool;
    }
    /* An apply that ends judges nobody whom no balancer stands before. One that was configured is
       judged again from when it comes up, or it would be greeted in vain for good. */
    return (it->greeted || it->configured) && (pool || c->world.tireless) &&
           controller_is_direct(c, index);
}

static struct check_target liveness_of(const struct controller *c, size_t index)
{
    const struct record_instance *r = &c->members[index].record;
    return (struct check_target){.id = r->id,
                                 .role = CHECK_LIVENESS,
                                 .address = r->address,
                                 .port = r->port,
                                 .tcp_only = true,
                                 .interval_ms = ALIVE_INTERVAL_MS,
                                 .timeout_ms = ALIVE_TIMEOUT_MS,
                                 .rise = ALIVE_RISE,
                                 .fall = ALIVE_FALL};
}

static struct check_target readiness_of(const struct controller *c, size_t index)
{
    const struct world_instance *it = &c->world.instances[index];
    const struct spec_pool *pool = &c->spec->pools[c->spec->groups[it->group].pool];
    const struct spec_check *check = &pool->check;
    return (struct check_target){
        .id = it->id,
        .role = CHECK_READINESS,
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
}

static struct world_witness *witness_of(struct controller *c, size_t index, enum check_role role)
{
    struct world_instance *it = &c->world.instances[index];
    return role == CHECK_LIVENESS ? &it->alive : &it->health;
}

/* A prober that died is started anew; what it knew is unknown again. */
static void drop_prober(struct controller *c)
{
    prober_free(c->prober);
    c->prober = NULL;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        for (enum check_role role = CHECK_READINESS; role <= CHECK_LIVENESS; role++) {
            c->members[i].probed[role] = false;
            *witness_of(c, i, role) = (struct world_witness){.since_ms = c->world.now_ms};
        }
    }
}

/* -1: the prober did not take it. */
static int set_probe(struct controller *c, size_t index, enum check_role role, bool wanted,
                     struct err *e)
{
    const char *id = c->world.instances[index].id;
    if (c->prober == NULL && prober_start(&c->prober, crew_spawner(c->crew), CREW_PROBER, e) != 0) {
        return -1;
    }
    *witness_of(c, index, role) = (struct world_witness){.since_ms = c->world.now_ms};
    c->members[index].probed[role] = wanted;
    if (!wanted) {
        return prober_remove(c->prober, id, role, e);
    }
    const struct check_target target =
        role == CHECK_LIVENESS ? liveness_of(c, index) : readiness_of(c, index);
    return prober_set_target(c->prober, &target, e);
}

static int update(struct controller *c, size_t index, enum check_role role, struct err *e)
{
    struct member *m = &c->members[index];
    if (m->probe_anew && m->probed[role] && set_probe(c, index, role, false, e) != 0) {
        return -1;
    }
    bool wanted = probes_want(c, index, role);
    return wanted == m->probed[role] ? 0 : set_probe(c, index, role, wanted, e);
}

int probes_update(struct controller *c, struct err *e)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        struct err why = ERR_NULL;
        if (update(c, i, CHECK_READINESS, &why) != 0 || update(c, i, CHECK_LIVENESS, &why) != 0) {
            if (c->prober == NULL) {
                return err_set(e, "start the prober: %s", why.text);
            }
            log_warning("the prober did not answer (%s); starting another", why.text);
            drop_prober(c);
            return 0;
        }
        c->members[i].probe_anew = false;
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
        result_transition(c, &t);
    }
    if (result != 0) {
        log_warning("the prober ended (%s); starting another", e.text);
        drop_prober(c);
    }
}
