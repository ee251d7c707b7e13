/*
 * Images taken of members that serve (S3). A command asks, decide() grants it when the budget
 * allows, the command works and says how it ended. Who asked is recorded, so that one that is gone
 * gives its turn back. Each has an event at its beginning and at its end.
 */
#include "controller/state.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWNER_WORDS 3 /* record_owner_self() */

/* "web@4", behind who it is. */
static const char *image_of(const char *capturer)
{
    for (int i = 0; i < OWNER_WORDS && capturer != NULL; i++) {
        capturer = strchr(capturer, ' ');
        capturer = capturer == NULL ? NULL : capturer + 1;
    }
    return capturer == NULL ? "?" : capturer;
}

static void tell(struct controller *c, size_t index, const char *outcome)
{
    const struct record_instance *r = &c->members[index].record;
    char what[200];
    snprintf(what, sizeof(what), "%s from %s", image_of(r->capturer), r->id);
    journal_add_event(c->journal, r->id, "capture", what, outcome);
}

static void put(struct controller *c, size_t index)
{
    member_to_record(c, index);
    journal_put_instance(c->journal, &c->members[index].record);
}

int capture_want(struct controller *c, size_t index, const char *who, struct err *e)
{
    struct world_instance *it = &c->world.instances[index];
    struct record_instance *r = &c->members[index].record;
    if (it->capture != WORLD_CAPTURE_NONE) {
        return err_set(e, "%s is being taken of %s already", image_of(r->capturer), it->id);
    }
    it->capture = WORLD_CAPTURE_WANTED;
    r->capturer = xstrdup(who);
    put(c, index);
    return 0;
}

void capture_granted(struct controller *c, size_t index)
{
    tell(c, index, "begun");
}

void capture_end(struct controller *c, size_t index, const char *outcome)
{
    struct record_instance *r = &c->members[index].record;
    struct str clean = STR_NULL;
    str_add_printable(&clean, outcome, strlen(outcome), false);
    tell(c, index, str_text(&clean));
    str_deinit(&clean);
    c->world.instances[index].capture = WORLD_CAPTURE_NONE;
    xreplace(&r->capturer, NULL);
    put(c, index);
}

void captures_sweep(struct controller *c)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        const struct record_instance *r = &c->members[i].record;
        if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED && r->capturer != NULL &&
            !record_owner_is_alive(r->capturer)) {
            capture_end(c, i, "failed: the command that took it has ended");
        }
    }
}

int controller_capture_begin(struct controller *c, size_t index, const char *who, struct err *e)
{
    captures_sweep(c);
    if (capture_want(c, index, who, e) != 0) {
        return -1;
    }
    c->world.instances[index].capture = WORLD_CAPTURE_GRANTED;
    put(c, index);
    capture_granted(c, index);
    return journal_commit(c->journal, e);
}

int controller_capture_end(struct controller *c, size_t index, const char *outcome, struct err *e)
{
    capture_end(c, index, outcome);
    return journal_commit(c->journal, e);
}
