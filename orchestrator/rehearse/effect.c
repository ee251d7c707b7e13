#include "rehearse/effect.h"

#include "base/str.h"

static void haproxy_starts(struct engine *e, size_t host)
{
    for (size_t s = e->truth.server_count; s-- > 0;) {
        struct truth_server *server = &e->truth.servers[s];
        if (server->host != host) {
            continue;
        }
        server->admitted = true;
        server->check = (struct truth_view){.said = WORLD_HEALTH_UNKNOWN, .followed = true};
    }
    e->truth.hosts[host].looked_stale = true;
}

void effect_boot(struct engine *e, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    h->power = TRUTH_BOOTING;
    h->boot_end_ms = e->now_ms + random_between(&e->random, e->pace.boot_ms / 2, e->pace.boot_ms);
    h->boot_turn = engine_post(e, h->boot_end_ms, ENGINE_AT_BOOT, host);
    engine_touch(e);
}

static void relapse(void *context, struct engine *e, size_t host)
{
    (void)context;
    struct truth_host *h = &e->truth.hosts[host];
    if (h->relapses && h->power == TRUTH_RUNNING) {
        h->power = TRUTH_HUNG;
        engine_say(e, "machine %s hangs again", h->machine);
        engine_touch(e);
    }
}

void effect_on_boot(struct engine *e, size_t host, uint64_t turn)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (h->boot_turn != turn || h->power != TRUTH_BOOTING) {
        return;
    }
    bool broken = (h->group != WORLD_NONE && e->truth.image_broken[h->group]) ||
                  truth_content(&e->truth, h->content) == TRUTH_CONTENT_NO_BOOT;
    if (broken && !h->configured) {
        h->power = TRUTH_HUNG;
        engine_touch(e);
        return;
    }
    if (h->amnesia) {
        h->amnesia = false;
        h->configured = false;
        h->synced = false;
        e->counts[ENGINE_AMNESIA]++;
        engine_say(e, "%s is back as it was before it was configured", h->id);
    }
    if (h->relapses) {
        engine_at(e, e->now_ms + random_between(&e->random, 60000, 240000), relapse, NULL, host);
    }
    h->power = TRUTH_RUNNING;
    h->wedged = false;
    h->service = h->configured;
    h->restarted_ms = e->now_ms;
    haproxy_starts(e, host);
    engine_touch(e);
}

void effect_switch_off(struct engine *e, size_t host)
{
    e->truth.hosts[host].power = TRUTH_OFF;
    e->truth.hosts[host].boot_turn = 0;
    engine_touch(e);
}

void effect_reload(struct engine *e, size_t host)
{
    for (size_t s = e->truth.server_count; s-- > 0;) {
        struct truth_server *server = &e->truth.servers[s];
        if (server->host == host && !server->in_file) {
            *server = e->truth.servers[--e->truth.server_count];
        }
    }
    haproxy_starts(e, host);
    engine_touch(e);
}

static bool fail(struct engine_job *job, enum outcome outcome)
{
    job->outcome = outcome;
    return true;
}

/* S18: what a newer controller has touched takes nothing from an older one; JOB has failed. */
static bool refuses(struct engine *e, struct engine_job *job, size_t host)
{
    if (job->epoch >= e->truth.hosts[host].epoch) {
        return false;
    }
    e->counts[ENGINE_OLD_EPOCH]++;
    return fail(job, OUTCOME_PERMANENT);
}

/* The host of JOB can be talked to over SSH; else JOB has failed, or (false) it boots. */
static bool over_ssh(struct engine *e, struct engine_job *job, const char *id, const char *machine,
                     size_t *ret_host, int64_t *ret_again_ms)
{
    *ret_host = truth_find_machine(&e->truth, id, machine);
    if (*ret_host == WORLD_NONE || !truth_reached(&e->truth, *ret_host)) {
        *ret_host = WORLD_NONE;
        return fail(job, OUTCOME_TRANSIENT);
    }
    struct truth_host *h = &e->truth.hosts[*ret_host];
    if (h->power == TRUTH_BOOTING) {
        *ret_again_ms = h->boot_end_ms + 1;
        return false;
    }
    if (h->power != TRUTH_RUNNING) {
        *ret_host = WORLD_NONE;
        return fail(job, OUTCOME_TRANSIENT);
    }
    if (refuses(e, job, *ret_host)) {
        *ret_host = WORLD_NONE;
        return true;
    }
    h->epoch = job->epoch;
    return true;
}

static bool provider_answers(const struct engine *e, size_t zone)
{
    const struct truth_zone *z = &e->truth.zones[zone];
    return !e->truth.controller_cut && !z->cut && !z->provider_silent && !z->dark;
}

/* A machine that can be switched gets a new system when it was not ours; others are there. */
static void launch_machine(struct engine *e, struct engine_job *job, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (!h->switched) {
        return;
    }
    h->epoch = job->epoch;
    if (!text_equal(h->id, job->id)) {
        text_copy(h->id, sizeof(h->id), job->id);
        h->group = job->action.group;
        h->configured = h->service = h->synced = h->disk_full = false;
        h->power = TRUTH_OFF;
        h->creations++;
        job->anew = true;
    }
    if (h->power == TRUTH_OFF) {
        effect_boot(e, host);
    }
}

static void launch(struct engine *e, struct engine_job *job)
{
    size_t zone = job->action.zone;
    size_t host = truth_find_machine(&e->truth, job->id, job->machine);
    if (!provider_answers(e, zone)) {
        fail(job, OUTCOME_TRANSIENT);
        return;
    }
    if (host != WORLD_NONE && refuses(e, job, host)) {
        return;
    }
    if (host != WORLD_NONE && e->truth.hosts[host].is_static) {
        launch_machine(e, job, host);
        return;
    }
    if (host != WORLD_NONE && e->truth.hosts[host].vanished) {
        truth_destroy(&e->truth, host);
        host = WORLD_NONE;
    }
    if (host == WORLD_NONE) {
        host = truth_create(&e->truth, job->id, job->action.group, zone);
        e->truth.hosts[host].content = job->content;
        e->truth.hosts[host].doomed =
            truth_content(&e->truth, job->content) == TRUTH_CONTENT_NO_SERVICE;
        e->created++;
        job->anew = true;
    }
    struct truth_host *h = &e->truth.hosts[host];
    h->epoch = job->epoch;
    if (h->power == TRUTH_OFF) {
        effect_boot(e, host);
    }
}

static void configure(struct engine *e, struct engine_job *job, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (h->disk_full) {
        e->counts[ENGINE_DISK_FULL]++;
        fail(job, OUTCOME_PERMANENT);
        return;
    }
    if (truth_content(&e->truth, h->content) == TRUTH_CONTENT_NO_CONFIGURE) {
        fail(job, OUTCOME_PERMANENT);
        return;
    }
    h->configured = true;
    h->version = job->version;
    h->service = !h->wedged;
    h->restarted_ms = e->now_ms;
    h->configures++;
    engine_touch(e);
}

/* A machine stays, as it is; whose it is goes. */
static void unmark(struct truth_host *h, const char *id)
{
    if (text_equal(h->id, id)) {
        h->id[0] = '\0';
        h->group = WORLD_NONE;
    }
}

static void end_instance(struct engine *e, struct engine_job *job)
{
    size_t host = truth_find_machine(&e->truth, job->id, job->machine);
    if (host == WORLD_NONE) {
        return;
    }
    struct truth_host *h = &e->truth.hosts[host];
    if (h->is_static && (!h->switched || !text_equal(h->id, job->id))) {
        unmark(h, job->id);
    } else if (!provider_answers(e, h->zone)) {
        fail(job, OUTCOME_TRANSIENT);
        return;
    } else if (refuses(e, job, host)) {
        return;
    } else if (h->is_static) {
        effect_switch_off(e, host);
        unmark(h, job->id);
    } else {
        truth_destroy(&e->truth, host);
    }
    engine_touch(e);
}

/* The provider switches it off and reads back that it is. */
static void cycle(struct engine *e, struct engine_job *job)
{
    size_t host = truth_find_machine(&e->truth, job->id, job->machine);
    if (host == WORLD_NONE) {
        return;
    }
    struct truth_host *h = &e->truth.hosts[host];
    if (!h->switched) {
        fail(job, OUTCOME_PERMANENT);
    } else if (!provider_answers(e, h->zone) || job->epoch < h->epoch) {
        fail(job, OUTCOME_TRANSIENT);
    } else {
        h->epoch = job->epoch;
        h->cycles++;
        effect_switch_off(e, host);
    }
}

static void reboot(struct engine *e, size_t host)
{
    e->truth.hosts[host].reboots++;
    effect_boot(e, host);
}

/* A server line of BALANCER whose member the controller does not want there. */
static bool is_stray(const struct engine *e, const struct truth_server *server)
{
    size_t i = engine_find(e, server->member);
    return i == WORLD_NONE || e->controller.world.instances[i].lifecycle == LIFECYCLE_DETACHED ||
           e->controller.world.instances[i].group == WORLD_NONE;
}

static void compare(struct engine *e, struct engine_job *job, size_t host)
{
    job->differs = !e->truth.hosts[host].synced;
    for (size_t s = 0; s < e->truth.server_count; s++) {
        const struct truth_server *server = &e->truth.servers[s];
        job->differs |=
            server->host == host && server->frontend == job->frontend && is_stray(e, server);
    }
}

static void sync_frontend(struct engine *e, struct engine_job *job, size_t host)
{
    for (size_t s = e->truth.server_count; s-- > 0;) {
        struct truth_server *server = &e->truth.servers[s];
        if (server->host == host && server->frontend == job->frontend && is_stray(e, server)) {
            *server = e->truth.servers[--e->truth.server_count];
        }
    }
    e->truth.hosts[host].synced = true;
    e->truth.hosts[host].looked_stale = true;
    engine_touch(e);
}

/* HAProxy waits for a check of its own that passes. */
static void admit(struct engine *e, struct engine_job *job, size_t host)
{
    size_t member = truth_find(&e->truth, job->id);
    const struct truth *t = &e->truth;
    bool passes =
        member != WORLD_NONE && truth_ready(t, &e->spec, member) &&
        (t->hosts[member].zone == t->hosts[host].zone || !t->zones[t->hosts[member].zone].cut);
    if (!passes) {
        fail(job, OUTCOME_TRANSIENT);
        return;
    }
    truth_put_server(&e->truth, host, job->frontend, job->id);
    e->truth.hosts[host].looked_stale = true;
    engine_touch(e);
}

static void remove_target(struct engine *e, struct engine_job *job, size_t host)
{
    truth_drop_server(&e->truth, host, job->frontend, job->id);
    e->truth.hosts[host].looked_stale = true;
    engine_touch(e);
}

static bool on_balancer(struct engine *e, struct engine_job *job, int64_t *ret_again_ms)
{
    size_t host;
    if (!over_ssh(e, job, job->balancer, job->balancer_machine, &host, ret_again_ms)) {
        return false;
    }
    if (host == WORLD_NONE) {
        return true;
    }
    const struct truth_host *h = &e->truth.hosts[host];
    bool usable = h->configured && h->service && !h->haproxy_silent &&
                  (h->synced || job->action.kind == ACTION_COMPARE ||
                   job->action.kind == ACTION_SYNC || job->action.kind == ACTION_REMOVE);
    if (!usable) {
        return fail(job, OUTCOME_TRANSIENT);
    }
    if (job->action.kind == ACTION_COMPARE) {
        compare(e, job, host);
    } else if (job->action.kind == ACTION_SYNC) {
        sync_frontend(e, job, host);
    } else if (job->action.kind == ACTION_ADMIT) {
        admit(e, job, host);
    } else {
        remove_target(e, job, host);
    }
    return true;
}

static bool on_host(struct engine *e, struct engine_job *job, int64_t *ret_again_ms)
{
    size_t host;
    if (!over_ssh(e, job, job->id, job->machine, &host, ret_again_ms)) {
        return false;
    }
    if (host == WORLD_NONE) {
        return true;
    }
    struct truth_host *h = &e->truth.hosts[host];
    if (!text_equal(h->id, job->id)) {
        /* A machine of the file, that was nobody's or another's: it learns whose it is. */
        h->configured = h->service = h->synced = false;
        h->group = job->action.group;
        text_copy(h->id, sizeof(h->id), job->id);
        engine_touch(e);
    }
    if (job->action.kind == ACTION_INSPECT) {
        job->differs = !h->configured || h->version != job->version;
    } else if (job->action.kind == ACTION_CONFIGURE) {
        configure(e, job, host);
    } else if (job->action.kind == ACTION_RESTART) {
        configure(e, job, host);
    } else if (job->action.kind == ACTION_REBOOT) {
        reboot(e, host);
    } else if (job->action.kind == ACTION_GREET) {
        job->outcome = truth_content(&e->truth, h->content) == TRUTH_CONTENT_OTHER
                           ? OUTCOME_PERMANENT
                           : OUTCOME_DONE;
    } else if (job->action.kind == ACTION_CHECK) {
        job->differs = !h->custom;
    }
    return true;
}

static bool run_hook(struct engine *e, struct engine_job *job, int64_t *ret_again_ms)
{
    const struct spec_hook *hook = world_hook(&e->spec, job->action.group, job->action.lifecycle);
    /* Only where they may: else nothing that comes after is another for it. */
    job->differs = e->pace.abandon > 0 && random_chance(&e->random, e->pace.abandon);
    return hook == NULL || hook->where == SPEC_HOOK_CONTROLLER || on_host(e, job, ret_again_ms);
}

bool effect_take(struct engine *e, struct engine_job *job, int64_t *ret_again_ms)
{
    job->outcome = OUTCOME_DONE;
    switch (job->action.kind) {
    case ACTION_LAUNCH: launch(e, job); return true;
    case ACTION_TERMINATE: end_instance(e, job); return true;
    case ACTION_CYCLE: cycle(e, job); return true;
    case ACTION_COMPARE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_REMOVE: return on_balancer(e, job, ret_again_ms);
    case ACTION_GREET:
    case ACTION_INSPECT:
    case ACTION_CONFIGURE:
    case ACTION_RESTART:
    case ACTION_REBOOT:
    case ACTION_CHECK: return on_host(e, job, ret_again_ms);
    case ACTION_HOOK: return run_hook(e, job, ret_again_ms);
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH: break;
    }
    return true;
}
