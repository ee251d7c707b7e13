/* lamplighter status */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/holds.h"
#include "cli/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OBSERVE_LIMIT_MS 8000

static const char *power_word(enum world_power power)
{
    switch (power) {
    case WORLD_POWER_UNKNOWN: return "unknown";
    case WORLD_POWER_ABSENT: return "absent";
    case WORLD_POWER_OFF: return "off";
    case WORLD_POWER_RUNNING: return "running";
    }
    return "unknown";
}

static const char *health_word(enum world_health health)
{
    return health == WORLD_HEALTHY     ? "healthy"
           : health == WORLD_UNHEALTHY ? "unhealthy"
                                       : "unknown";
}

/* What is not good about it, or where its two witnesses differ; "" when all is well. */
static void remark(const struct controller_member *m, bool in_pool, struct str *ret_text)
{
    const struct record_instance *r = m->record;
    if (m->world->power != WORLD_POWER_RUNNING) {
        str_addf(ret_text, "host is %s", power_word(m->world->power));
    } else if (r->reason != NULL) {
        str_addf(ret_text, "last failure: %s", r->reason);
    } else if (in_pool && m->world->configured && !m->serving) {
        bool probe_good = m->world->health.health == WORLD_HEALTHY;
        bool balancer_good = m->frontend_text != NULL && text_starts(m->frontend_text, "up");
        if (probe_good && !balancer_good) {
            str_addf(ret_text, "the probe is content, the balancer is not: %s",
                     m->frontend_text == NULL ? "it does not know this target" : m->frontend_text);
        } else if (!probe_good && balancer_good) {
            str_addf(ret_text, "the balancer is content, the probe is not: %s",
                     m->probe_text == NULL ? "no answer yet" : m->probe_text);
        } else {
            str_addf(ret_text, "probe: %s", m->probe_text == NULL ? "no answer" : m->probe_text);
        }
    }
}

static void print_table(const struct session *s)
{
    const struct spec *spec = s->site.spec;
    printf("%-12s %-10s %-15s %-11s %-9s %-10s %s\n", "INSTANCE", "ZONE", "ADDRESS", "STATE",
           "PROBE", "BALANCER", "");
    for (size_t i = 0; i < controller_member_count(s->controller); i++) {
        struct controller_member m = controller_member_at(s->controller, i);
        bool in_pool =
            m.world->group != WORLD_NONE && spec->groups[m.world->group].pool != SPEC_NONE;
        struct str text = STR_NULL;
        remark(&m, in_pool, &text);
        char balancer[16] = "-";
        if (in_pool && m.frontend_text != NULL) {
            snprintf(balancer, sizeof(balancer), "%.*s", (int)strcspn(m.frontend_text, " "),
                     m.frontend_text);
        } else if (in_pool) {
            text_copy(balancer, sizeof(balancer), "absent");
        }
        printf("%-12s %-10s %-15s %-11s %-9s %-10s %s\n", m.record->id, m.record->zone,
               m.record->address, lifecycle_to_string(m.record->lifecycle),
               in_pool ? health_word(m.world->health.health) : "-", balancer, str_text(&text));
        str_deinit(&text);
    }
}

static void print_groups(const struct session *s)
{
    const struct spec *spec = s->site.spec;
    for (size_t g = 0; g < spec->group_count; g++) {
        size_t have = 0;
        size_t serving = 0;
        for (size_t i = 0; i < controller_member_count(s->controller); i++) {
            struct controller_member m = controller_member_at(s->controller, i);
            have += m.world->group == g ? 1 : 0;
            serving += m.world->group == g && m.serving ? 1 : 0;
        }
        printf("group %-8s %zu of %u instances, %zu serving\n", spec->groups[g].name, have,
               spec->groups[g].desired, serving);
    }
    for (size_t f = 0; f < spec->frontend_count; f++) {
        for (size_t i = 0; i < controller_member_count(s->controller); i++) {
            struct controller_member m = controller_member_at(s->controller, i);
            for (size_t l = 0; m.world->group == spec->frontends[f].group &&
                               l < spec->frontends[f].listener_count;
                 l++) {
                printf("frontend %s on %s: http://%s:%u/\n", spec->frontends[f].name, m.record->id,
                       m.record->address, spec->frontends[f].listeners[l].port);
            }
        }
    }
}

static void print_actor(const struct session *s)
{
    struct store store = s->store;
    struct record_lock lock;
    bool found = false;
    struct err e = ERR_NULL;
    if (store.ops == NULL || record_lock_read(&store, &found, &lock, &e) != 0 || !found) {
        return;
    }
    char span[32];
    clock_format_span(clock_wall_ms() - lock.since_ms, span, sizeof(span));
    printf("acting now: %s, for %s\n", lock.owner == NULL ? "?" : lock.owner, span);
    record_lock_deinit(&lock);
}

static void print_json(const struct session *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < controller_member_count(s->controller); i++) {
        struct controller_member m = controller_member_at(s->controller, i);
        bool in_pool =
            m.world->group != WORLD_NONE && s->site.spec->groups[m.world->group].pool != SPEC_NONE;
        struct str text = STR_NULL;
        remark(&m, in_pool, &text);
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s, s:s, s:s, s:s?, s:s?, s:b, s:s}", "id",
                      m.record->id, "group", m.record->group, "zone", m.record->zone, "address",
                      m.record->address, "machine", m.record->machine, "state",
                      lifecycle_to_string(m.record->lifecycle), "power", power_word(m.world->power),
                      "probe", health_word(m.world->health.health), "probe_text", m.probe_text,
                      "balancer_text", m.frontend_text, "serving", m.serving ? 1 : 0, "reason",
                      str_text(&text)));
        str_deinit(&text);
    }
    json_t *root = json_pack("{s:s, s:o}", "cluster", s->site.spec->cluster, "instances", list);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

int cmd_status(const struct cli *cli)
{
    if (cli->argc > 0) {
        return cli_usage("status", "status takes no word, got '%s'", cli->argv[0]);
    }
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "status", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    struct err e = ERR_NULL;
    int result = controller_observe(session.controller, OBSERVE_LIMIT_MS, &e);
    if (result != 0) {
        log_error("%s", e.text);
    } else if (cli->json) {
        print_json(&session);
    } else {
        print_groups(&session);
        print_table(&session);
        print_actor(&session);
    }
    session_close(&session);
    return result == 0 ? CLI_DONE : CLI_FAILED;
}
