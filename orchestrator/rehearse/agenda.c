#include "rehearse/agenda.h"

#include "base/mem.h"

void agenda_deinit(struct agenda *a)
{
    free(a->events);
    *a = (struct agenda){.events = NULL};
}

static bool before(const struct agenda_event *left, const struct agenda_event *right)
{
    return left->at_ms < right->at_ms ||
           (left->at_ms == right->at_ms && left->order < right->order);
}

static void swap(struct agenda_event *left, struct agenda_event *right)
{
    struct agenda_event kept = *left;
    *left = *right;
    *right = kept;
}

void agenda_add(struct agenda *a, struct agenda_event event)
{
    size_t at = xgrow((void **)&a->events, &a->count, &a->capacity, sizeof(*a->events));
    event.order = a->added++;
    a->events[at] = event;
    while (at > 0 && before(&a->events[at], &a->events[(at - 1) / 2])) {
        swap(&a->events[at], &a->events[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

bool agenda_take(struct agenda *a, struct agenda_event *ret_event)
{
    if (a->count == 0) {
        return false;
    }
    *ret_event = a->events[0];
    a->events[0] = a->events[--a->count];
    size_t at = 0;
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < a->count; child++) {
            least = before(&a->events[child], &a->events[least]) ? child : least;
        }
        if (least == at) {
            return true;
        }
        swap(&a->events[at], &a->events[least]);
        at = least;
    }
}
