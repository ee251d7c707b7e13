/*
 * The ledger of machines that exist already (S9): how often each was made anew for another
 * instance. One that was three times in 24 h is quarantined, and not given out again before an
 * operator says so.
 */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/ladder.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_MS (24 * 3600 * (int64_t)1000)

int machines_load(struct controller *c, struct err *e)
{
    return c->store->ops == NULL
               ? 0
               : record_machine_list(c->store, &c->machines, &c->machine_count, e);
}

void machines_free(struct controller *c)
{
    record_machine_list_free(c->machines, c->machine_count);
}

static struct record_machine *find(const struct controller *c, const char *name)
{
    for (size_t i = 0; i < c->machine_count; i++) {
        if (text_equal(c->machines[i].name, name)) {
            return &c->machines[i];
        }
    }
    return NULL;
}

unsigned machines_rebuilds(const struct controller *c, const char *name)
{
    const struct record_machine *m = name == NULL ? NULL : find(c, name);
    return m == NULL ? 0 : (unsigned)record_machine_count_rebuilds(m, clock_wall_ms() - DAY_MS);
}

bool machines_quarantined(const struct controller *c, const char *name)
{
    const struct record_machine *m = find(c, name);
    return m != NULL && m->quarantined;
}

/* The first instance on a machine is no rebuild: it only opens its page. */
void machines_note_placed(struct controller *c, const char *name)
{
    struct record_machine *m = find(c, name);
    if (m == NULL) {
        c->machines = xrealloc(c->machines, c->machine_count + 1, sizeof(*c->machines));
        m = &c->machines[c->machine_count++];
        *m = (struct record_machine){.name = xstrdup(name)};
    } else {
        record_machine_add_rebuild(m, clock_wall_ms());
        size_t rebuilds = record_machine_count_rebuilds(m, clock_wall_ms() - DAY_MS);
        if (rebuilds >= LADDER_REBUILDS_MAX) {
            m->quarantined = true;
            free(m->reason);
            m->reason = xasprintf("made anew %zu times in 24 h (S9)", rebuilds);
            journal_add_event(c->journal, name, "quarantine", m->reason,
                              "not given out again before `group retry`");
        }
    }
    journal_put_machine(c->journal, m);
}

bool machines_retry(struct controller *c, const char *name)
{
    struct record_machine *m = find(c, name);
    if (m == NULL) {
        return false;
    }
    m->quarantined = false;
    m->rebuild_count = 0;
    free(m->reason);
    m->reason = NULL;
    journal_put_machine(c->journal, m);
    return true;
}
