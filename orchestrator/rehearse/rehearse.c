#include "rehearse/rehearse.h"

#include "base/mem.h"
#include "base/str.h"
#include "rehearse/fault.h"

#include <stdio.h>

#define BUILD_MS   3600000 /* At most, until all serve. */
#define END_MS     7200000 /* At most, from the loss until all is well. */
#define STEP_MS    5000
#define REST_MS    60000
#define BEFORE_MS  120000 /* All serve for so long before anything happens. */
#define ZONE_MS    600000
#define NETWORK_MS 120000
#define HOST_MS    600000
#define AWAY_MS    60000
/* Of the image that a refresh brings. */
#define REFRESHED_CONTENT 10

const char *const rehearse_losses[] = {"nothing",    "zone",    "host", "database",
                                       "controller", "network", NULL};
const char *const rehearse_durings[] = {"rest", "start", "change", "scale", "refresh", NULL};

struct rehearse {
    const struct spec *spec;
    const struct rehearse_options *options;
    struct rehearse_result *result;
    struct engine engine;
    bool counting;
    int64_t unwell_ms;  /* When last something was done, or somebody did not serve. */
    int64_t counted_ms; /* Up to when time below the minimum was added. */
};

void rehearse_result_deinit(struct rehearse_result *result)
{
    free(result->groups);
    *result = (struct rehearse_result){.groups = NULL};
}

/*
 * The floor that must hold: of the size that the file wants, or of the one it was given since, when
 * that is less. A group that was told to grow is not below its floor for being on its way.
 */
static size_t minimum_of(const struct engine *e, size_t group)
{
    const struct spec_group *g = &e->spec.groups[group];
    size_t now = world_healthy_minimum(&e->spec, &e->controller.world, group);
    size_t of_file = ((size_t)g->desired * g->healthy_min_percent + 99) / 100;
    return now < of_file ? now : of_file;
}

static bool in_pool(const struct engine *e, size_t group)
{
    return e->spec.groups[group].pool != SPEC_NONE;
}

/* What serves is counted whenever it may have changed. */
static void count(struct rehearse *r)
{
    struct engine *e = &r->engine;
    for (size_t g = 0; r->counting && g < r->spec->group_count; g++) {
        struct rehearse_group *group = &r->result->groups[g];
        size_t serving = engine_serving(e, g);
        if (group->serving < minimum_of(e, g)) {
            group->below_ms += e->now_ms - r->counted_ms;
        }
        group->serving = serving;
        if (serving < group->lowest) {
            group->lowest = serving;
            group->lowest_ms = e->now_ms;
            group->minimum = minimum_of(e, g);
            group->desired = e->controller.world.groups[g].desired;
        }
        group->broken = group->broken || serving < minimum_of(e, g);
        if (serving < e->controller.world.groups[g].desired) {
            r->unwell_ms = e->now_ms;
        }
    }
    r->counted_ms = e->now_ms;
}

static void on_truth(void *context, struct engine *e)
{
    (void)e;
    count(context);
}

static void on_action(void *context, struct engine *e, const struct action *action)
{
    struct rehearse *r = context;
    bool effective = action_kind_has_effect(action->kind);
    r->result->actions += effective ? 1 : 0;
    r->unwell_ms = effective ? e->now_ms : r->unwell_ms;
}

static void on_line(void *context, int64_t now_ms, const char *line)
{
    struct rehearse *r = context;
    r->options->on_line(r->options->context, now_ms, line);
}

static bool all_serve(const struct engine *e)
{
    for (size_t g = 0; g < e->spec.group_count; g++) {
        if (engine_serving(e, g) < e->controller.world.groups[g].desired) {
            return false;
        }
    }
    return e->controller.running;
}

static bool is_at_rest(const struct engine *e)
{
    for (size_t i = 0; i < e->job_count; i++) {
        if (e->jobs[i].turn != 0 && e->jobs[i].heard && e->jobs[i].action.kind != ACTION_CHECK) {
            return false;
        }
    }
    return e->controller.running && e->controller.decision.hold_count == 0;
}

static bool run_until_served(struct rehearse *r)
{
    struct engine *e = &r->engine;
    int64_t served_ms = 0;
    while (e->now_ms < BUILD_MS && served_ms < BEFORE_MS) {
        engine_run(e, e->now_ms + STEP_MS);
        served_ms = all_serve(e) ? served_ms + STEP_MS : 0;
    }
    return served_ms >= BEFORE_MS;
}

static void begin_counting(struct rehearse *r)
{
    r->counting = true;
    r->counted_ms = r->engine.now_ms;
    for (size_t g = 0; g < r->spec->group_count; g++) {
        struct rehearse_group *group = &r->result->groups[g];
        group->lowest = group->serving = engine_serving(&r->engine, g);
        group->lowest_ms = r->engine.now_ms;
        group->minimum = minimum_of(&r->engine, g);
        group->desired = r->engine.controller.world.groups[g].desired;
    }
}

/* What the cluster is in the middle of. */

static void scale(struct engine *e, size_t group, unsigned desired)
{
    engine_ask(e, &(struct engine_request){.kind = ENGINE_SCALE, .group = group, .value = desired});
}

static void scale_back(void *context, struct engine *e, size_t group)
{
    (void)context;
    scale(e, group, e->file->groups[group].desired);
}

/* Onto another image, a good one. Hosts that exist already have none. */
static void refresh(struct engine *e, size_t group)
{
    engine_ask(e, &(struct engine_request){.kind = ENGINE_REFRESH,
                                           .group = group,
                                           .refresh = {.wanted = REFRESHED_CONTENT,
                                                       .rollback = true,
                                                       .protected_ones = WORLD_REFRESH_IGNORE,
                                                       .standby_ones = WORLD_REFRESH_IGNORE}});
}

static void begin_during(void *context, struct engine *e, size_t unused)
{
    struct rehearse *r = context;
    (void)unused;
    for (size_t g = 0; g < e->spec.group_count; g++) {
        if (!in_pool(e, g)) {
            continue;
        }
        switch (r->options->during) {
        case REHEARSE_DURING_REST:
        case REHEARSE_DURING_START: break;
        case REHEARSE_DURING_CHANGE: engine_change_roles(e, g); break;
        case REHEARSE_DURING_SCALE:
            scale(e, g, e->spec.groups[g].max);
            engine_at(e, e->now_ms + HOST_MS, scale_back, NULL, g);
            break;
        case REHEARSE_DURING_REFRESH: refresh(e, g); break;
        }
    }
}

/* What is lost. */

static size_t fullest_zone(const struct engine *e)
{
    size_t best = 0;
    size_t most = 0;
    for (size_t z = 0; z < e->spec.zone_count; z++) {
        size_t serving = 0;
        for (size_t i = 0; i < e->truth.host_count; i++) {
            serving += e->truth.hosts[i].zone == z && e->truth.hosts[i].serving;
        }
        best = serving > most ? z : best;
        most = serving > most ? serving : most;
    }
    return best;
}

static bool is_needed(const struct engine *e, size_t group)
{
    for (size_t g = 0; g < e->spec.group_count; g++) {
        for (size_t n = 0; n < e->spec.groups[g].needs.count; n++) {
            if (e->spec.groups[g].needs.items[n] == group) {
                return true;
            }
        }
    }
    return false;
}

/* One of those that serve: of a group in a pool, or (DATABASE) of one that others need. */
static size_t choose_host(struct engine *e, bool database)
{
    size_t found[256];
    size_t count_found = 0;
    for (size_t i = 0; i < e->truth.host_count && count_found < 256; i++) {
        const struct truth_host *h = &e->truth.hosts[i];
        if (h->serving && h->group != WORLD_NONE &&
            (database ? is_needed(e, h->group) : in_pool(e, h->group))) {
            found[count_found++] = i;
        }
    }
    return count_found == 0 ? WORLD_NONE
                            : found[random_between(&e->random, 0, (int64_t)count_found - 1)];
}

static void end_loss(void *context, struct engine *e, size_t subject)
{
    struct rehearse *r = context;
    if (r->options->loss == REHEARSE_LOSE_ZONE) {
        engine_say(e, "zone %s has power again", e->spec.zones[subject].name);
        fault_end(e, FAULT_ZONE_DARK, subject);
    } else if (r->options->loss == REHEARSE_LOSE_NETWORK) {
        engine_say(e, "the controller has its network again");
        fault_end(e, FAULT_CONTROLLER_CUT, 0);
    }
}

static void lose_zone(struct rehearse *r, struct engine *e)
{
    size_t zone = r->options->zone == SPEC_NONE ? fullest_zone(e) : r->options->zone;
    engine_say(e, "LOST: zone %s, no power for %d min", e->spec.zones[zone].name, ZONE_MS / 60000);
    fault_begin(e, FAULT_ZONE_DARK, zone);
    engine_at(e, e->now_ms + ZONE_MS, end_loss, r, zone);
}

static void lose_host(struct engine *e, bool database)
{
    size_t host = choose_host(e, database);
    if (host == WORLD_NONE) {
        engine_say(e, "nothing to lose: no host of that kind serves");
        return;
    }
    engine_say(e, "LOST: host %s, off", e->truth.hosts[host].id);
    fault_begin(e, FAULT_HOST_OFF, host);
}

static void lose(void *context, struct engine *e, size_t unused)
{
    struct rehearse *r = context;
    (void)unused;
    switch (r->options->loss) {
    case REHEARSE_LOSE_NOTHING: return;
    case REHEARSE_LOSE_ZONE: lose_zone(r, e); return;
    case REHEARSE_LOSE_HOST: lose_host(e, false); return;
    case REHEARSE_LOSE_DATABASE: lose_host(e, true); return;
    case REHEARSE_LOSE_CONTROLLER:
        engine_say(e, "LOST: the controller, killed");
        e->pace.restart_ms = AWAY_MS;
        engine_kill(e, ENGINE_KILLED);
        return;
    case REHEARSE_LOSE_NETWORK:
        engine_say(e, "LOST: the controller's network, for %d s", NETWORK_MS / 1000);
        fault_begin(e, FAULT_CONTROLLER_CUT, 0);
        engine_at(e, e->now_ms + NETWORK_MS, end_loss, r, 0);
        return;
    }
}

static void tell_stuck(struct rehearse *r)
{
    const struct engine *e = &r->engine;
    const struct decision *d = &e->controller.decision;
    const struct hold *worst = NULL;
    for (size_t i = 0; i < d->hold_count; i++) {
        if (worst == NULL || d->holds[i].kind > worst->kind) {
            worst = &d->holds[i];
        }
    }
    if (worst == NULL) {
        text_copy(r->result->stuck, sizeof(r->result->stuck), "it is still under way");
        return;
    }
    char reason[200];
    reason_to_string(&worst->reason, reason, sizeof(reason));
    snprintf(r->result->stuck, sizeof(r->result->stuck), "%.60s: %s",
             worst->instance != WORLD_NONE ? e->controller.world.instances[worst->instance].id
             : worst->group != WORLD_NONE  ? e->spec.groups[worst->group].name
                                           : e->spec.cluster,
             reason);
}

static void run_to_the_end(struct rehearse *r, int64_t lost_ms)
{
    struct engine *e = &r->engine;
    int64_t rest_ms = 0;
    int64_t until_ms = lost_ms + END_MS;
    /* What is lost comes back, and what it was in the middle of ends, before it can be well. */
    engine_run(e, lost_ms + ZONE_MS + REST_MS);
    while (e->now_ms < until_ms && rest_ms < REST_MS) {
        engine_run(e, e->now_ms + STEP_MS);
        rest_ms = all_serve(e) && is_at_rest(e) ? rest_ms + STEP_MS : 0;
    }
    count(r);
    r->result->ended_well = rest_ms >= REST_MS;
    r->result->settled_ms = r->unwell_ms > lost_ms ? r->unwell_ms - lost_ms : 0;
    if (!r->result->ended_well) {
        tell_stuck(r);
    }
}

static void play(struct rehearse *r)
{
    struct engine *e = &r->engine;
    bool at_start = r->options->during == REHEARSE_DURING_START;
    int64_t lost_ms;
    if (at_start) {
        lost_ms = random_between(&e->random, 5000, 90000);
        engine_at(e, lost_ms, lose, r, 0);
        engine_run(e, lost_ms);
        r->result->served = run_until_served(r);
        begin_counting(r);
    } else {
        r->result->served = run_until_served(r);
        if (!r->result->served) {
            tell_stuck(r);
            return;
        }
        begin_counting(r);
        lost_ms = e->now_ms + random_between(&e->random, 5000, 60000);
        engine_at(e, e->now_ms + 1000, begin_during, r, 0);
        engine_at(e, lost_ms, lose, r, 0);
    }
    run_to_the_end(r, lost_ms);
}

void rehearse_run(const struct spec *spec, const struct rehearse_options *options,
                  struct rehearse_result *ret_result)
{
    struct rehearse r = {.spec = spec, .options = options, .result = ret_result};
    *ret_result = (struct rehearse_result){
        .groups = xcalloc(spec->group_count + 1, sizeof(*ret_result->groups))};
    const struct engine_pace pace = engine_pace_usual();
    const struct engine_watch watch = {.context = &r,
                                       .on_truth = on_truth,
                                       .on_action = on_action,
                                       .on_line = options->on_line == NULL ? NULL : on_line};
    engine_init(&r.engine, spec, &pace, &watch, options->seed);
    play(&r);
    engine_deinit(&r.engine);
}
