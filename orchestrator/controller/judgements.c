/*
 * What is believed of more than one instance: the freeze (S5), lost zones (S6), breakers (S4). Each
 * change is told once, with its inputs, and written into the events: whoever asks in the morning
 * why nothing was done in the night finds it there.
 */
#include "controller/state.h"

#include "base/mem.h"

#include <stdio.h>

/* One for the cluster, then one for each group's breaker, each zone's, each zone as a whole. */
static size_t latch_count(const struct controller *c)
{
    return 1 + c->spec->group_count + 2 * c->spec->zone_count;
}

struct latch {
    const struct world_latch *latch;
    const char *subject;
    const char *what;
    struct reason reason;
};

static struct reason breaker_reason(const struct world_breaker *b, const char *name)
{
    return (struct reason){
        .code = REASON_BREAKER, .name = name, .a = b->bad, .b = b->judged, .c = b->tolerated};
}

static struct latch latch_at(const struct controller *c, size_t index)
{
    const struct world *w = &c->world;
    size_t groups = c->spec->group_count;
    size_t zones = c->spec->zone_count;
    if (index == 0) {
        return (struct latch){&w->frozen,
                              c->spec->cluster,
                              "freeze",
                              {.code = REASON_FROZEN, .a = w->gone, .b = w->seen}};
    }
    if (index <= groups) {
        const char *name = c->spec->groups[index - 1].name;
        const struct world_breaker *b = &w->groups[index - 1].breaker;
        return (struct latch){&b->open, name, "breaker", breaker_reason(b, name)};
    }
    size_t zone = (index - 1 - groups) % zones;
    const char *name = c->spec->zones[zone].name;
    if (index <= groups + zones) {
        const struct world_breaker *b = &w->zones[zone].breaker;
        return (struct latch){&b->open, name, "breaker", breaker_reason(b, name)};
    }
    return (struct latch){
        &w->zones[zone].lost, name, "zone lost", {.code = REASON_ZONE_LOST, .name = name}};
}

static void tell(struct controller *c, const struct latch *l)
{
    char why[200];
    char line[260];
    reason_to_string(&l->reason, why, sizeof(why));
    snprintf(line, sizeof(line), "%s%s", l->latch->on ? "" : "over: ", why);
    if (c->options.watch.on_note != NULL) {
        c->options.watch.on_note(c->options.watch.context, l->subject, l->latch->on ? why : line);
    }
    if (c->journal != NULL) {
        journal_add_event(c->journal, l->subject, l->what, why,
                          l->latch->on ? "begins" : "is over");
    }
}

void judgements_tell(struct controller *c)
{
    if (c->told == NULL) {
        c->told = xcalloc(latch_count(c), sizeof(*c->told));
    }
    for (size_t i = 0; i < latch_count(c); i++) {
        const struct latch l = latch_at(c, i);
        if (l.latch->on != c->told[i]) {
            c->told[i] = l.latch->on;
            tell(c, &l);
        }
    }
}
