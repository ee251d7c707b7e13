#include "rehearse/fault.h"

#include "rehearse/driver.h"
#include "rehearse/effect.h"

const char *fault_to_string(enum fault fault)
{
    switch (fault) {
    case FAULT_HOST_OFF: return "host off";
    case FAULT_HOST_BLINKS: return "host off and on";
    case FAULT_HOST_HANGS: return "host hangs";
    case FAULT_SERVICE_DOWN: return "service down";
    case FAULT_SERVICE_FLAPS: return "service flaps";
    case FAULT_HOST_DOOMED: return "service never works again";
    case FAULT_HOST_AMNESIA: return "host back with its old system";
    case FAULT_MACHINE_RELAPSES: return "machine hangs after each boot";
    case FAULT_HOST_VANISHES: return "host deleted";
    case FAULT_DISK_FULL: return "host's disk full";
    case FAULT_CHECK_FAILS: return "check-command fails";
    case FAULT_HOST_BLIND: return "we alone cannot reach a host";
    case FAULT_HOST_LIBELLED: return "provider says off, and it runs";
    case FAULT_IMAGE_BROKEN: return "image does not boot";
    case FAULT_SHARED_DOWN: return "shared dependency down";
    case FAULT_ZONE_DARK: return "zone without power";
    case FAULT_ZONE_CUT: return "zone without network";
    case FAULT_PROVIDER_SILENT: return "provider silent";
    case FAULT_HAPROXY_SILENT: return "HAProxy's socket silent";
    case FAULT_HAPROXY_FORGETS: return "HAProxy loaded anew";
    case FAULT_PROVIDERS_SLOW: return "providers slow";
    case FAULT_BOOTS_SLOW: return "boots slow";
    case FAULT_PROBER_CUT: return "prober cut off";
    case FAULT_PROBER_DIES: return "prober dies";
    case FAULT_CONTROLLER_CUT: return "controller cut off";
    case FAULT_CONTROLLER_KILLED: return "controller killed";
    case FAULT_CONTROLLER_KILLED_SOON: return "controller killed in a step";
    case FAULT_STORE_RESTORED: return "store restored";
    }
    return "unknown";
}

enum fault_scope fault_scope(enum fault fault)
{
    switch (fault) {
    case FAULT_HOST_OFF:
    case FAULT_HOST_BLINKS:
    case FAULT_HOST_HANGS:
    case FAULT_SERVICE_DOWN:
    case FAULT_SERVICE_FLAPS:
    case FAULT_HOST_DOOMED:
    case FAULT_HOST_AMNESIA:
    case FAULT_MACHINE_RELAPSES:
    case FAULT_HOST_VANISHES:
    case FAULT_DISK_FULL:
    case FAULT_CHECK_FAILS:
    case FAULT_HOST_BLIND:
    case FAULT_HOST_LIBELLED: return FAULT_OF_HOST;
    case FAULT_IMAGE_BROKEN:
    case FAULT_SHARED_DOWN: return FAULT_OF_GROUP;
    case FAULT_ZONE_DARK:
    case FAULT_ZONE_CUT:
    case FAULT_PROVIDER_SILENT: return FAULT_OF_ZONE;
    case FAULT_HAPROXY_SILENT:
    case FAULT_HAPROXY_FORGETS: return FAULT_OF_BALANCER;
    case FAULT_PROVIDERS_SLOW:
    case FAULT_BOOTS_SLOW:
    case FAULT_PROBER_CUT:
    case FAULT_PROBER_DIES:
    case FAULT_CONTROLLER_CUT:
    case FAULT_CONTROLLER_KILLED:
    case FAULT_CONTROLLER_KILLED_SOON:
    case FAULT_STORE_RESTORED: return FAULT_OF_US;
    }
    return FAULT_OF_US;
}

static bool turn_service(struct engine *e, size_t host, bool up)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (h->power != TRUTH_RUNNING || !h->configured || h->service == up) {
        return false;
    }
    h->service = up;
    h->restarted_ms = up ? e->now_ms : h->restarted_ms;
    return true;
}

static void flap(void *context, struct engine *e, size_t host)
{
    (void)context;
    struct truth_host *h = &e->truth.hosts[host];
    if (h->flaps && turn_service(e, host, !h->service)) {
        engine_touch(e);
    }
}

/* Down and up again for a while, as fast as it can be seen; at last up, or down. */
static bool begin_flapping(struct engine *e, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    size_t pool = h->group == WORLD_NONE ? SPEC_NONE : e->spec.groups[h->group].pool;
    if (pool == SPEC_NONE) {
        return false;
    }
    const struct spec_check *check = &e->spec.pools[pool].check;
    int64_t down_ms = check->interval_ms * check->fall + check->timeout_ms;
    int64_t up_ms = check->interval_ms * check->rise;
    int64_t at_ms = e->now_ms;
    h->flaps = true;
    for (int64_t i = random_between(&e->random, 15, 60); i > 0; i--) {
        engine_at(e, at_ms, flap, NULL, host);
        at_ms += i % 2 == 0 ? down_ms : up_ms;
    }
    return true;
}

static bool begin_host(struct engine *e, enum fault fault, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    bool runs = h->power == TRUTH_RUNNING || h->power == TRUTH_BOOTING;
    if (!runs) {
        return false;
    }
    switch (fault) {
    case FAULT_HOST_AMNESIA:
        h->amnesia = true;
        effect_switch_off(e, host);
        return true;
    case FAULT_HOST_OFF:
    case FAULT_HOST_BLINKS: effect_switch_off(e, host); return true;
    case FAULT_HOST_HANGS: h->power = TRUTH_HUNG; return true;
    case FAULT_SERVICE_DOWN: return turn_service(e, host, false);
    case FAULT_SERVICE_FLAPS: return begin_flapping(e, host);
    case FAULT_HOST_DOOMED: h->doomed = true; return true;
    case FAULT_MACHINE_RELAPSES:
        h->relapses = h->is_static && h->switched;
        h->power = h->relapses ? TRUTH_HUNG : h->power;
        return h->relapses;
    case FAULT_HOST_VANISHES:
        h->vanished = h->switched && !h->is_static;
        if (h->vanished) {
            effect_switch_off(e, host);
        }
        return h->vanished;
    case FAULT_DISK_FULL: h->disk_full = true; return true;
    case FAULT_CHECK_FAILS: h->custom = false; return true;
    case FAULT_HOST_BLIND: h->blind = true; return true;
    case FAULT_HOST_LIBELLED: h->libelled = h->switched; return h->libelled;
    case FAULT_IMAGE_BROKEN:
    case FAULT_SHARED_DOWN:
    case FAULT_ZONE_DARK:
    case FAULT_ZONE_CUT:
    case FAULT_PROVIDER_SILENT:
    case FAULT_HAPROXY_SILENT:
    case FAULT_HAPROXY_FORGETS:
    case FAULT_PROVIDERS_SLOW:
    case FAULT_BOOTS_SLOW:
    case FAULT_PROBER_CUT:
    case FAULT_PROBER_DIES:
    case FAULT_CONTROLLER_CUT:
    case FAULT_CONTROLLER_KILLED:
    case FAULT_CONTROLLER_KILLED_SOON:
    case FAULT_STORE_RESTORED: return false;
    }
    return false;
}

static void power_on(struct engine *e, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (h->power == TRUTH_OFF && !h->vanished && !e->truth.zones[h->zone].dark) {
        effect_boot(e, host);
    }
}

static bool go_dark(struct engine *e, size_t zone)
{
    e->truth.zones[zone].dark = true;
    for (size_t i = 0; i < e->truth.host_count; i++) {
        if (e->truth.hosts[i].zone == zone && e->truth.hosts[i].power != TRUTH_ABSENT) {
            effect_switch_off(e, i);
        }
    }
    return true;
}

static void go_bright(struct engine *e, size_t zone)
{
    e->truth.zones[zone].dark = false;
    for (size_t i = 0; i < e->truth.host_count; i++) {
        if (e->truth.hosts[i].zone == zone) {
            power_on(e, i);
        }
    }
}

static bool begin_balancer(struct engine *e, enum fault fault, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (h->power != TRUTH_RUNNING || !h->synced) {
        return false;
    }
    if (fault == FAULT_HAPROXY_SILENT) {
        h->haproxy_silent = true;
        return true;
    }
    for (size_t s = 0; s < e->truth.server_count; s++) {
        if (e->truth.servers[s].host == host) {
            e->truth.servers[s].in_file = random_chance(&e->random, 700);
        }
    }
    effect_reload(e, host);
    e->counts[ENGINE_FORGOT]++;
    return true;
}

static bool begin_us(struct engine *e, enum fault fault)
{
    if ((fault == FAULT_PROVIDERS_SLOW && e->providers_slow) ||
        (fault == FAULT_BOOTS_SLOW && e->boots_slow)) {
        return false;
    }
    if (fault == FAULT_PROVIDERS_SLOW) {
        e->providers_slow = true;
        e->pace.list_delay_ms *= 20;
        e->pace.make_ms *= 5;
        return true;
    }
    if (fault == FAULT_BOOTS_SLOW) {
        e->boots_slow = true;
        e->pace.boot_ms *= 10;
        return true;
    }
    if (fault == FAULT_PROBER_DIES) {
        if (e->prober_dead) {
            return false;
        }
        e->prober_dead = true;
        driver_lose_prober(e);
        engine_post(e, e->now_ms + random_between(&e->random, 500, 10000), ENGINE_AT_PROBER, 0);
        return true;
    }
    if (!e->controller.running) {
        return false;
    }
    if (fault == FAULT_CONTROLLER_KILLED) {
        engine_kill(e, ENGINE_KILLED);
    } else if (fault == FAULT_CONTROLLER_KILLED_SOON) {
        e->kill_at = e->boundaries + (unsigned)random_between(&e->random, 1, 12);
    } else if (fault == FAULT_STORE_RESTORED) {
        if (!e->backed_up) {
            return false;
        }
        engine_restore(e);
    }
    return true;
}

bool fault_begin(struct engine *e, enum fault fault, size_t subject)
{
    bool struck = true;
    if (fault_scope(fault) == FAULT_OF_HOST) {
        struck = begin_host(e, fault, subject);
    } else if (fault_scope(fault) == FAULT_OF_BALANCER) {
        struck = begin_balancer(e, fault, subject);
    } else if (fault == FAULT_IMAGE_BROKEN) {
        e->truth.image_broken[subject] = true;
    } else if (fault == FAULT_SHARED_DOWN) {
        e->truth.shared_down[subject] = true;
    } else if (fault == FAULT_ZONE_DARK) {
        struck = !e->truth.zones[subject].dark && go_dark(e, subject);
    } else if (fault == FAULT_ZONE_CUT) {
        e->truth.zones[subject].cut = true;
    } else if (fault == FAULT_PROVIDER_SILENT) {
        e->truth.zones[subject].provider_silent = true;
    } else if (fault == FAULT_PROBER_CUT) {
        e->truth.prober_cut = true;
    } else if (fault == FAULT_CONTROLLER_CUT) {
        e->truth.controller_cut = true;
    } else {
        struck = begin_us(e, fault);
    }
    if (struck) {
        engine_touch(e);
    }
    return struck;
}

static void end_host(struct engine *e, enum fault fault, size_t host)
{
    struct truth_host *h = &e->truth.hosts[host];
    if (fault == FAULT_HOST_BLINKS || fault == FAULT_HOST_AMNESIA) {
        power_on(e, host);
    } else if (fault == FAULT_HOST_HANGS) {
        h->power = h->power == TRUTH_HUNG ? TRUTH_RUNNING : h->power;
    } else if (fault == FAULT_SERVICE_FLAPS) {
        h->flaps = false;
    } else if (fault == FAULT_SERVICE_DOWN) {
        turn_service(e, host, true);
    } else if (fault == FAULT_DISK_FULL) {
        h->disk_full = false;
    } else if (fault == FAULT_CHECK_FAILS) {
        h->custom = true;
    } else if (fault == FAULT_HOST_BLIND) {
        h->blind = false;
    } else if (fault == FAULT_HOST_LIBELLED) {
        h->libelled = false;
    }
}

void fault_end(struct engine *e, enum fault fault, size_t subject)
{
    if (fault_scope(fault) == FAULT_OF_HOST) {
        end_host(e, fault, subject);
    } else if (fault == FAULT_HAPROXY_SILENT) {
        e->truth.hosts[subject].haproxy_silent = false;
    } else if (fault == FAULT_IMAGE_BROKEN) {
        e->truth.image_broken[subject] = false;
    } else if (fault == FAULT_SHARED_DOWN) {
        e->truth.shared_down[subject] = false;
    } else if (fault == FAULT_ZONE_DARK) {
        go_bright(e, subject);
    } else if (fault == FAULT_ZONE_CUT) {
        e->truth.zones[subject].cut = false;
    } else if (fault == FAULT_PROVIDER_SILENT) {
        e->truth.zones[subject].provider_silent = false;
    } else if (fault == FAULT_PROBER_CUT) {
        e->truth.prober_cut = false;
    } else if (fault == FAULT_CONTROLLER_CUT) {
        e->truth.controller_cut = false;
    } else if (fault == FAULT_PROVIDERS_SLOW) {
        e->providers_slow = false;
        e->pace.list_delay_ms /= 20;
        e->pace.make_ms /= 5;
    } else if (fault == FAULT_BOOTS_SLOW) {
        e->boots_slow = false;
        e->pace.boot_ms /= 10;
    }
    engine_touch(e);
}
