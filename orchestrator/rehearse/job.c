/*
 * An action under way, as a worker would do it: it takes effect after a while, ends after another,
 * and all that can go wrong in between does: its end is not heard, it comes late, it comes twice.
 */
#include "rehearse/driver.h"

#include "base/mem.h"
#include "base/str.h"
#include "rehearse/effect.h"

#define DEAD_LINE_MS 10000 /* A connection that cannot be made is given up after this. */

size_t jobs_heard(const struct engine *e)
{
    size_t count = 0;
    for (size_t i = 0; i < e->job_count; i++) {
        count += e->jobs[i].turn != 0 && e->jobs[i].heard ? 1 : 0;
    }
    return count;
}

static size_t free_job(struct engine *e)
{
    for (size_t i = 0; i < e->job_count; i++) {
        if (e->jobs[i].turn == 0) {
            return i;
        }
    }
    return xgrow((void **)&e->jobs, &e->job_count, &e->job_capacity, sizeof(*e->jobs));
}

static int64_t usual_ms(const struct engine *e, const struct action *action)
{
    switch (action->kind) {
    case ACTION_LAUNCH:
    case ACTION_TERMINATE:
    case ACTION_CYCLE: return e->pace.make_ms;
    case ACTION_CONFIGURE:
    case ACTION_RESTART: return e->pace.configure_ms;
    case ACTION_COMPARE:
    case ACTION_SYNC:
    case ACTION_ADMIT: return e->pace.balance_ms;
    case ACTION_REMOVE: {
        size_t pool = e->spec.groups[action->group].pool;
        int64_t most = pool == SPEC_NONE ? e->pace.drain_ms : e->spec.pools[pool].drain_ms;
        return most < e->pace.drain_ms ? most : e->pace.drain_ms;
    }
    case ACTION_GREET:
    case ACTION_INSPECT:
    case ACTION_REBOOT:
    case ACTION_CHECK:
    case ACTION_HOOK: return e->pace.host_ms;
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH: break;
    }
    return 0;
}

static int64_t some(struct engine *e, int64_t most_ms)
{
    return random_between(&e->random, most_ms / 4, most_ms < 4 ? 4 : most_ms);
}

/* What will go wrong with it. Returns when its effect comes. */
static int64_t cast_lots(struct engine *e, struct engine_job *job, bool *ret_end_lost)
{
    const struct engine_pace *p = &e->pace;
    int64_t effect_ms = e->now_ms + some(e, usual_ms(e, &job->action));
    bool effective = action_kind_has_effect(job->action.kind);
    job->times = 1;
    *ret_end_lost = false;
    if (random_chance(&e->random, p->transient)) {
        e->counts[ENGINE_TRANSIENT]++;
        job->times = 0;
        job->outcome = OUTCOME_TRANSIENT;
    } else if (random_chance(&e->random, p->permanent)) {
        e->counts[ENGINE_PERMANENT]++;
        job->times = 0;
        job->outcome = OUTCOME_PERMANENT;
    } else if (effective && random_chance(&e->random, p->lost)) {
        e->counts[ENGINE_LOST]++;
        *ret_end_lost = true;
    } else if (effective && random_chance(&e->random, p->late)) {
        e->counts[ENGINE_LATE]++;
        effect_ms = e->now_ms + p->limit_ms + some(e, 20000);
        *ret_end_lost = true;
    } else if (effective && random_chance(&e->random, p->doubled)) {
        e->counts[ENGINE_DOUBLED]++;
        job->times = 2;
    }
    return effect_ms;
}

static void fill_job(struct engine *e, struct engine_job *job, const struct action *action)
{
    const struct engine_controller *c = &e->controller;
    *job = (struct engine_job){.action = *action,
                               .epoch = c->epoch,
                               .begun_ms = e->now_ms,
                               .heard = true,
                               .frontend = SPEC_NONE};
    text_copy(job->id, sizeof(job->id), c->world.instances[action->instance].id);
    text_copy(job->machine, sizeof(job->machine), c->members[action->instance].machine);
    job->content = c->world.instances[action->instance].content;
    job->version = action->group == WORLD_NONE ? 0 : e->truth.versions[action->group];
    if (action->balancer != WORLD_NONE) {
        const struct world_balancer *b = &c->world.balancers[action->balancer];
        text_copy(job->balancer, sizeof(job->balancer), c->world.instances[b->instance].id);
        text_copy(job->balancer_machine, sizeof(job->balancer_machine),
                  c->members[b->instance].machine);
        job->frontend = b->frontend;
    }
}

/*
 * What was begun on the same host before and has not come yet comes first: the host's lock, and the
 * provider's, keep the order.
 */
static void hurry_others(struct engine *e, const struct engine_job *mine)
{
    for (size_t i = 0; i < e->job_count; i++) {
        struct engine_job *job = &e->jobs[i];
        if (job != mine && job->turn != 0 && job->pending && text_equal(job->id, mine->id) &&
            job->turn < mine->turn) {
            int64_t again;
            job->pending = false;
            effect_take(e, job, &again);
            if (!job->heard) {
                job->turn = 0;
            }
        }
    }
}

void job_begin(struct engine *e, const struct action *action)
{
    size_t index = free_job(e);
    struct engine_job *job = &e->jobs[index];
    fill_job(e, job, action);
    bool end_lost;
    int64_t effect_ms = cast_lots(e, job, &end_lost);
    job->turn = engine_post(e, effect_ms, ENGINE_AT_EFFECT, index);
    job->pending = job->times > 0;
    if (end_lost) {
        agenda_add(&e->agenda, (struct agenda_event){.at_ms = e->now_ms + e->pace.limit_ms,
                                                     .kind = ENGINE_AT_END,
                                                     .subject = index,
                                                     .turn = job->turn});
        job->outcome = OUTCOME_TRANSIENT;
    }
    job->end_lost = end_lost;
}

static void come_again(struct engine *e, size_t index, int64_t at_ms)
{
    agenda_add(&e->agenda, (struct agenda_event){.at_ms = at_ms,
                                                 .kind = ENGINE_AT_EFFECT,
                                                 .subject = index,
                                                 .turn = e->jobs[index].turn});
}

static void post_end(struct engine *e, size_t index, int64_t after_ms)
{
    agenda_add(&e->agenda, (struct agenda_event){.at_ms = e->now_ms + after_ms,
                                                 .kind = ENGINE_AT_END,
                                                 .subject = index,
                                                 .turn = e->jobs[index].turn});
}

/* False when it has to come again before it did anything. */
static bool take_effect(struct engine *e, size_t index)
{
    struct engine_job *job = &e->jobs[index];
    enum outcome before = job->outcome;
    int64_t again_ms = 0;
    hurry_others(e, job);
    if (!effect_take(e, job, &again_ms)) {
        int64_t limit_ms = job->begun_ms + e->pace.limit_ms;
        if (again_ms <= limit_ms || !job->heard) {
            come_again(e, index, again_ms);
            return false;
        }
        job->outcome = OUTCOME_TRANSIENT;
    }
    job->times--;
    job->pending = job->times > 0;
    if (job->pending) {
        come_again(e, index, e->now_ms + some(e, 20000));
    }
    job->outcome = job->ended ? before : job->outcome;
    return true;
}

void job_on_effect(struct engine *e, size_t index, uint64_t turn)
{
    struct engine_job *job = &e->jobs[index];
    if (job->turn != turn) {
        return;
    }
    bool effective = job->pending;
    if (job->pending && !take_effect(e, index)) {
        return;
    }
    if (effective && job->heard && action_kind_has_effect(job->action.kind) &&
        engine_boundary(e, ENGINE_KILLED_EFFECT)) {
        return;
    }
    if (job->end_lost || job->ended || !job->heard) {
        if (!job->heard && !job->pending) {
            job->turn = 0;
        }
        return;
    }
    job->ended = true;
    post_end(e, index, job->outcome == OUTCOME_TRANSIENT ? some(e, DEAD_LINE_MS) : some(e, 40));
}

void job_on_end(struct engine *e, size_t index, uint64_t turn)
{
    struct engine_job *job = &e->jobs[index];
    if (job->turn != turn) {
        return;
    }
    bool heard = job->heard;
    job->heard = false;
    job->ended = true;
    if (heard && e->controller.running) {
        struct engine_job ended = *job;
        driver_end_job(e, &ended, ended.end_lost ? OUTCOME_TRANSIENT : ended.outcome);
        job = &e->jobs[index];
    }
    if (job->turn == turn && !job->pending) {
        job->turn = 0;
    }
}

void jobs_abandon(struct engine *e)
{
    for (size_t i = 0; i < e->job_count; i++) {
        struct engine_job *job = &e->jobs[i];
        if (job->turn == 0 || !job->heard) {
            continue;
        }
        job->heard = false;
        /* Workers die with the controller; what a host or a provider was asked for may be done. */
        job->pending = job->pending && random_chance(&e->random, 500);
        if (!job->pending) {
            job->turn = 0;
        }
    }
}
