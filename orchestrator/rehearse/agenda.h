/*
 * What will happen, by its time: a heap of events in virtual time. Events of the same time come in
 * the order in which they were added, so that a run is the same each time.
 */
#ifndef REHEARSE_AGENDA_H
#define REHEARSE_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What it means is the engine's; see engine.c. */
struct agenda_event {
    int64_t at_ms;
    uint64_t order; /* Set by agenda_add(). */
    unsigned kind;
    size_t subject;
    uint64_t turn; /* Of the subject when it was added: whether it still means something. */
};

struct agenda {
    struct agenda_event *events; /* Owned; a heap, the next one first. */
    size_t count;
    size_t capacity;
    uint64_t added;
};

void agenda_deinit(struct agenda *a);
void agenda_add(struct agenda *a, struct agenda_event event);
/* The next event leaves the agenda; false when there is none. */
bool agenda_take(struct agenda *a, struct agenda_event *ret_event);

#endif
