#include "core/judge.h"

#include "core/guard.h"
#include "core/ladder.h"
#include "spec/spec.h"

/*
 * Two observers must agree before an instance is held to be bad: the prober and the balancers for
 * its service, the prober and the provider for its host. Who has not spoken makes it unknown, and
 * who contradicts makes it disputed; neither leads to anything but waiting.
 */

/* What a balancer said is believed for so long; the driver looks every few seconds. */
#define BALANCER_BELIEVED_MS 30000
/* How long a breaker, a lost zone and the freeze stay after their cause is gone: three of the
   slowest usual checks (10 s). */
#define CALM_MS 30000
/* S5: Kubernetes' unhealthy-zone-threshold, 55 %. */
#define FROZEN_PERCENT 55
/* A zone is judged over several groups, so by one share: a third, as MachineHealthCheck's users
 * set. */
#define ZONE_BREAKER_PERCENT 34
/* The file's explicit word for no breaker. */
#define BREAKER_OFF_PERCENT 100

struct bench {
    const struct spec *spec;
    struct world *world;
    struct survey survey;
    bool changed; /* Some verdict is another than when that was counted. */
    int64_t deadline_ms;
};

static void wake_at(struct bench *b, int64_t at_ms)
{
    if (at_ms > b->world->now_ms && at_ms < b->deadline_ms) {
        b->deadline_ms = at_ms;
    }
}

/* A balancer that is said to be gone, and whose admin socket has answered since. */
static bool answers_since_doubted(const struct bench *b, size_t instance)
{
    const struct world_instance *it = &b->world->instances[instance];
    int64_t since_ms = it->power != WORLD_POWER_RUNNING ? it->power_ms : INT64_MIN;
    if (it->alive.health == WORLD_UNHEALTHY && it->alive.since_ms > since_ms) {
        since_ms = it->alive.since_ms;
    }
    return survey_answers(&b->survey, instance, since_ms);
}

/* The witnesses of one instance. */

/* One that is gone, or that nobody reaches, is no witness: what the others agree on is believed
   without it. */
struct balancers {
    bool up, down, unknown;
    bool silent; /* There are some, and none of them can be asked. */
};

static struct balancers ask_balancers(const struct bench *b, size_t instance)
{
    struct balancers said = {.up = false};
    for (size_t t = b->survey.first_target[instance]; t != WORLD_NONE;
         t = b->survey.next_target[t]) {
        const struct world_target *target = &b->world->targets[t];
        const struct world_balancer *from = &b->world->balancers[target->balancer];
        if (survey_balancer_silent(&b->survey, target->balancer) &&
            !answers_since_doubted(b, from->instance)) {
            continue;
        }
        bool believed =
            from->seen_ms != INT64_MIN && b->world->now_ms - from->seen_ms <= BALANCER_BELIEVED_MS;
        bool unknown = !believed || target->state == WORLD_TARGET_UNKNOWN;
        said.up = said.up || (!unknown && target->state == WORLD_TARGET_UP);
        said.down = said.down || (!unknown && target->state != WORLD_TARGET_UP);
        said.unknown = said.unknown || unknown;
    }
    bool asked = said.up || said.down || said.unknown;
    said.silent = !asked && b->survey.first_target[instance] != WORLD_NONE;
    return said;
}

static bool off(const struct world_instance *it)
{
    return it->power_witnessed && world_power_is_off(it->power);
}

static bool is_judged(const struct world_instance *it)
{
    if (it->group == WORLD_NONE || !it->configured || (it->busy && it->changing)) {
        return false;
    }
    return it->lifecycle == LIFECYCLE_IN_SERVICE || it->lifecycle == LIFECYCLE_PENDING;
}

/* S11: until it has come into service, and at most for its grace. */
static bool in_grace(struct bench *b, const struct world_instance *it)
{
    bool came = it->lifecycle == LIFECYCLE_IN_SERVICE && it->in_service_ms >= it->ready_ms;
    int64_t until_ms = it->ready_ms + ladder_grace_ms(b->spec, it);
    if (came || b->world->now_ms >= until_ms) {
        return false;
    }
    wake_at(b, until_ms);
    return !GUARDED(GUARD_S11_GRACE, false);
}

/* Another that I hear says so too, and said it after I noticed. */
static bool is_confirmed(const struct bench *b, size_t instance)
{
    int64_t since_ms = b->world->instances[instance].alive.since_ms;
    bool confirmed = false;
    for (size_t t = b->survey.first_target[instance]; t != WORLD_NONE;
         t = b->survey.next_target[t]) {
        const struct world_target *target = &b->world->targets[t];
        if (target->state == WORLD_TARGET_UP) {
            return false;
        }
        const struct world_balancer *from = &b->world->balancers[target->balancer];
        confirmed = confirmed || (target->state == WORLD_TARGET_DOWN &&
                                  survey_answers(&b->survey, from->instance, since_ms - 1));
    }
    return confirmed;
}

/* The prober says of a balancer's host that nobody answers, and it answers us. */
static bool prober_errs(const struct bench *b)
{
    for (size_t i = 0; i < b->world->balancer_count; i++) {
        size_t instance = b->world->balancers[i].instance;
        const struct world_witness *alive = &b->world->instances[instance].alive;
        if (alive->health == WORLD_UNHEALTHY &&
            survey_answers(&b->survey, instance, alive->since_ms)) {
            return true;
        }
    }
    return false;
}

/* Nobody answers on the host. */
static enum world_verdict unreachable(const struct bench *b, size_t instance, bool pool,
                                      struct balancers said)
{
    const struct world_instance *it = &b->world->instances[instance];
    bool disputed = said.up || (pool && it->health.health == WORLD_HEALTHY) ||
                    survey_answers(&b->survey, instance, it->alive.since_ms);
    if (disputed && !GUARDED(GUARD_DISPUTED, false)) {
        return WORLD_VERDICT_DISPUTED;
    }
    bool unknown = (pool && it->health.health == WORLD_HEALTH_UNKNOWN) || said.unknown;
    return unknown && !GUARDED(GUARD_S10_UNKNOWN, false) ? WORLD_VERDICT_UNKNOWN
                                                         : WORLD_VERDICT_LOST;
}

/* The host may live; its service does not answer. */
static enum world_verdict unready(const struct world_instance *it, struct balancers said)
{
    if (said.up && !GUARDED(GUARD_DISPUTED, false)) {
        return WORLD_VERDICT_DISPUTED;
    }
    bool unknown = it->alive.health == WORLD_HEALTH_UNKNOWN || said.unknown || said.silent;
    return unknown && !GUARDED(GUARD_S10_UNKNOWN, false) ? WORLD_VERDICT_UNKNOWN
                                                         : WORLD_VERDICT_UNREADY;
}

static enum world_verdict verdict_of(struct bench *b, size_t instance)
{
    const struct world_instance *it = &b->world->instances[instance];
    if (!is_judged(it)) {
        return WORLD_VERDICT_NONE;
    }
    bool pool = b->spec->groups[it->group].pool != SPEC_NONE;
    struct balancers said = ask_balancers(b, instance);
    if (off(it)) {
        /* Its provider alone says so, and it answers, to us or to a balancer: somebody errs. */
        bool answers = it->alive.health == WORLD_HEALTHY || said.up ||
                       survey_answers(&b->survey, instance, it->power_ms);
        if (answers && !GUARDED(GUARD_DISPUTED, false)) {
            return WORLD_VERDICT_DISPUTED;
        }
        /* The prober has a word too, and a moment for it. */
        if (!survey_is_off(b->world, instance) && !GUARDED(GUARD_S10_UNKNOWN, false)) {
            return WORLD_VERDICT_UNKNOWN;
        }
        bool flaps = it->alive.health == WORLD_HEALTH_UNKNOWN &&
                     damping_held(&it->damping, b->world->now_ms);
        if (flaps && !GUARDED(GUARD_S13_FLAPPING, false)) {
            wake_at(b, it->damping.until_ms);
            return WORLD_VERDICT_FLAPPING;
        }
        return it->lifecycle == LIFECYCLE_IN_SERVICE ? WORLD_VERDICT_DEAD : WORLD_VERDICT_NONE;
    }
    if (in_grace(b, it)) {
        return WORLD_VERDICT_NONE;
    }
    if (damping_held(&it->damping, b->world->now_ms)) {
        wake_at(b, it->damping.until_ms);
        if (!GUARDED(GUARD_S13_FLAPPING, false)) {
            return WORLD_VERDICT_FLAPPING;
        }
    }
    if (it->alive.health == WORLD_UNHEALTHY) {
        return unreachable(b, instance, pool, said);
    }
    if (pool && it->health.health == WORLD_UNHEALTHY) {
        return unready(it, said);
    }
    if (it->custom.health == WORLD_UNHEALTHY) {
        return it->alive.health == WORLD_HEALTH_UNKNOWN ? WORLD_VERDICT_UNKNOWN
                                                        : WORLD_VERDICT_UNREADY;
    }
    if (it->alive.health == WORLD_HEALTH_UNKNOWN ||
        (pool && it->health.health == WORLD_HEALTH_UNKNOWN)) {
        return WORLD_VERDICT_UNKNOWN;
    }
    bool disputed = said.down && !said.up && it->lifecycle == LIFECYCLE_IN_SERVICE;
    return disputed ? WORLD_VERDICT_DISPUTED : WORLD_VERDICT_OK;
}

static void judge_instance(struct bench *b, size_t instance)
{
    struct world_instance *it = &b->world->instances[instance];
    it->evidence = verdict_of(b, instance);
    bool paused = it->group != WORLD_NONE &&
                  (b->world->groups[it->group].suspended & WORLD_PROCESS_HEALTH_CHECK) != 0;
    enum world_verdict verdict = paused ? WORLD_VERDICT_NONE : it->evidence;
    if (verdict != it->verdict) {
        it->verdict = verdict;
        it->verdict_ms = b->world->now_ms;
        b->changed = true;
    }
    if (verdict == WORLD_VERDICT_LOST) {
        wake_at(b, it->verdict_ms + SURVEY_LOST_GIVEN_UP_MS);
    }
}

/* From then on its provider's word is believed, of whoever it is said. */
static void wake_when_off(struct bench *b, size_t instance)
{
    const struct world_instance *it = &b->world->instances[instance];
    if (off(it) && it->alive.health == WORLD_HEALTH_UNKNOWN) {
        wake_at(b, it->power_ms + SURVEY_SECOND_WITNESS_MS);
        wake_at(b, it->alive.since_ms + SURVEY_SECOND_WITNESS_MS);
    }
}

/* Latches: on at once, off after a calm while. */

static void latch(struct bench *b, struct world_latch *l, bool condition)
{
    if (condition) {
        l->since_ms = l->on ? l->since_ms : b->world->now_ms;
        l->on = true;
        l->holds = true;
    } else if (l->holds) {
        /* It held until just now, however long ago that was looked at. */
        l->holds = false;
        l->seen_ms = b->world->now_ms;
    } else if (l->on && b->world->now_ms - l->seen_ms >= CALM_MS) {
        l->on = false;
        l->since_ms = b->world->now_ms;
    }
    if (l->on && !condition) {
        wake_at(b, l->seen_ms + CALM_MS);
    }
}

/* Breakers (S4). */

unsigned judge_tolerated(unsigned judged, unsigned percent)
{
    unsigned share = judged * percent / 100;
    return share > 1 ? share : 1;
}

static void breaker_begin(struct world_breaker *breaker)
{
    breaker->judged = 0;
    breaker->well = 0;
    breaker->well_ms = INT64_MAX;
    breaker->bad = 0;
    breaker->unready = 0;
    breaker->lost = 0;
}

/*
 * Whom its provider says is off counts before a second witness has said so too: many that fall at
 * once are not all noticed at once, and the first must not be destroyed before the last is seen.
 */
static void breaker_count(struct world_breaker *breaker, const struct world_instance *it)
{
    bool unready = it->verdict == WORLD_VERDICT_UNREADY;
    bool lost = it->verdict == WORLD_VERDICT_LOST;
    breaker->judged++;
    if (it->verdict == WORLD_VERDICT_OK) {
        breaker->well++;
        breaker->well_ms = it->verdict_ms < breaker->well_ms ? it->verdict_ms : breaker->well_ms;
    }
    breaker->unready += unready ? 1 : 0;
    breaker->lost += lost ? 1 : 0;
    breaker->bad += unready || lost || off(it) ? 1 : 0;
}

static void breaker_end(struct bench *b, struct world_breaker *breaker, unsigned percent,
                        bool made_up)
{
    breaker->tolerated = judge_tolerated(breaker->judged, percent);
    bool over = percent < BREAKER_OFF_PERCENT && !made_up && breaker->bad > breaker->tolerated;
    latch(b, &breaker->open, over && !GUARDED(GUARD_S4_BREAKER, false));
}

static void count_breakers(struct bench *b)
{
    struct world *w = b->world;
    for (size_t g = 0; g < b->spec->group_count; g++) {
        breaker_begin(&w->groups[g].breaker);
    }
    for (size_t z = 0; z < b->spec->zone_count; z++) {
        breaker_begin(&w->zones[z].breaker);
    }
    for (size_t i = 0; i < w->instance_count; i++) {
        const struct world_instance *it = &w->instances[i];
        /* One that never came and is to go says nothing of those that are counted on: else what a
           bad image made would keep itself from being taken back. */
        bool given_up = it->in_service_ms == 0 && world_is_to_go(w, i);
        if (it->verdict == WORLD_VERDICT_NONE || it->group == WORLD_NONE || given_up) {
            continue;
        }
        breaker_count(&w->groups[it->group].breaker, it);
        if (it->zone != WORLD_NONE) {
            breaker_count(&w->zones[it->zone].breaker, it);
        }
    }
}

/* S6: every host of the zone is gone, not all of them by their provider's word (then it answers,
   and they are started again), and another zone is well. Paused groups are witnesses, too. */
static bool is_lost(const struct bench *b, size_t zone)
{
    unsigned asked = 0;
    unsigned gone = 0;
    bool lost = false;
    bool other_well = false;
    for (size_t i = 0; i < b->world->instance_count; i++) {
        const struct world_instance *it = &b->world->instances[i];
        /* One of whom nothing is known is no witness, for or against. */
        if (it->evidence == WORLD_VERDICT_NONE || it->evidence == WORLD_VERDICT_UNKNOWN ||
            it->zone == WORLD_NONE) {
            continue;
        }
        bool is_off = off(it) && it->evidence != WORLD_VERDICT_DISPUTED;
        bool bad = is_off || it->evidence == WORLD_VERDICT_LOST;
        other_well =
            other_well || (it->zone != zone && !bad && it->evidence != WORLD_VERDICT_UNREADY);
        if (it->zone == zone) {
            asked++;
            gone += bad ? 1 : 0;
            lost = lost || (bad && !is_off);
        }
    }
    return asked >= 2 && lost && gone == asked && other_well;
}

/* A zone's breaker heeds the word of groups that have theirs turned off: when all in it have. */
static void judge_breakers(struct bench *b)
{
    struct world *w = b->world;
    unsigned zone_percent = BREAKER_OFF_PERCENT;
    count_breakers(b);
    bool all_made_up = true;
    for (size_t g = 0; g < b->spec->group_count; g++) {
        bool made_up = b->survey.groups[g].ready >= w->groups[g].desired;
        unsigned percent = b->spec->groups[g].breaker_percent;
        zone_percent = percent < BREAKER_OFF_PERCENT ? ZONE_BREAKER_PERCENT : zone_percent;
        all_made_up = all_made_up && made_up;
        breaker_end(b, &w->groups[g].breaker, percent, made_up);
    }
    for (size_t z = 0; z < b->spec->zone_count; z++) {
        breaker_end(b, &w->zones[z].breaker, zone_percent, all_made_up);
        latch(b, &w->zones[z].lost, is_lost(b, z) && !GUARDED(GUARD_S6_ZONE, false));
    }
}

/* Is it me? (S5) */

static void judge_freeze(struct bench *b)
{
    struct world *w = b->world;
    w->seen = 0;
    w->gone = 0;
    for (size_t i = 0; i < w->instance_count; i++) {
        const struct world_instance *it = &w->instances[i];
        bool should_answer =
            it->group != WORLD_NONE && !it->busy && !off(it) &&
            (it->lifecycle == LIFECYCLE_IN_SERVICE || it->lifecycle == LIFECYCLE_STANDBY) &&
            it->alive.health != WORLD_HEALTH_UNKNOWN;
        if (!should_answer) {
            continue;
        }
        w->seen++;
        w->gone += it->alive.health == WORLD_UNHEALTHY && !is_confirmed(b, i) ? 1 : 0;
    }
    bool cut_off = w->seen >= 2 && w->gone * 100 >= w->seen * FROZEN_PERCENT;
    latch(b, &w->frozen, cut_off && !GUARDED(GUARD_S5_FROZEN, false));
}

void judge(const struct spec *spec, struct world *world, void *memory, size_t size,
           int64_t *ret_deadline_ms)
{
    struct bench b = {.spec = spec, .world = world, .deadline_ms = INT64_MAX};
    survey_make(&b.survey, spec, world, memory, size);
    world->prober_errs = prober_errs(&b);
    for (size_t i = 0; i < world->instance_count; i++) {
        judge_instance(&b, i);
        wake_when_off(&b, i);
    }
    if (b.changed) {
        /* Whether others make up for the bad ones is asked of those that are well now. */
        survey_make(&b.survey, spec, world, memory, size);
    }
    judge_breakers(&b);
    judge_freeze(&b);
    *ret_deadline_ms = b.deadline_ms;
}
