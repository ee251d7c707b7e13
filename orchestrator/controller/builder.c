/*
 * Builders: instances that a command (`image bake`) has made, works on over SSH, and has removed.
 * One is a record of a group, detached, so that the core leaves it alone and no role sees it; it
 * belongs to the process that asked for it. When that says so, or is gone, whoever acts removes the
 * builder: a command killed at any instruction leaves nothing for good.
 *
 * The command does the work in between by itself, with the same steps as the loop's: as the actor,
 * with the records, or beside a controller that acts, under that one's epoch (S18).
 */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_EVERY_MS 1000
#define RETRY_BASE_MS  2000
#define RETRY_MAX_MS   300000
/* In place of its owner, when it is to be removed. */
#define NOBODY "nobody"

bool builder_is(const struct controller *c, size_t index)
{
    return c->members[index].record.builder != NULL;
}

static bool is_to_go(const struct controller *c, size_t index)
{
    return text_equal(c->members[index].record.builder, NOBODY);
}

size_t controller_find_builder(const struct controller *c, const char *id)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle != LIFECYCLE_TERMINATED &&
            text_equal(c->members[i].record.id, id) && builder_is(c, i)) {
            return i;
        }
    }
    return WORLD_NONE;
}

void controller_builder_id(const struct controller *c, size_t group, char ret_id[WORLD_ID_SIZE])
{
    snprintf(ret_id, WORLD_ID_SIZE, "bake-%.63s", c->spec->groups[group].name);
}

/* Records. */

static int check_free(const struct controller *c, const char *id, struct err *e)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle == LIFECYCLE_TERMINATED ||
            !text_equal(c->members[i].record.id, id)) {
            continue;
        }
        if (!builder_is(c, i)) {
            return err_set(e, "there is an instance %s already: `group terminate %s` first", id,
                           id);
        }
        return is_to_go(c, i)
                   ? err_set(e, "%s of an earlier bake is being removed: try again in a moment", id)
                   : err_set(e, "another command builds on %s now: wait for it or end it", id);
    }
    return 0;
}

int builder_add(struct controller *c, size_t group, const char *owner, size_t *ret_index,
                struct err *e)
{
    const struct spec_group *g = &c->spec->groups[group];
    char id[WORLD_ID_SIZE];
    controller_builder_id(c, group, id);
    if (check_free(c, id, e) != 0) {
        return -1;
    }
    struct record_instance record = {.id = xstrdup(id),
                                     .group = xstrdup(g->name),
                                     .template = xstrdup(c->spec->templates[g->template].name),
                                     .lifecycle = LIFECYCLE_DETACHED,
                                     .created_ms = clock_wall_ms(),
                                     .builder = xstrdup(owner)};
    member_note_version(c, templates_of_file(c, group), &record);
    if (member_place_made(c, group, &record, e) != 0) {
        record_instance_deinit(&record);
        return -1;
    }
    *ret_index = member_take(c, &record);
    c->world.instances[*ret_index].power = WORLD_POWER_ABSENT;
    journal_put_instance(c->journal, &c->members[*ret_index].record);
    journal_add_event(c->journal, id, "add", "an image is built on it", "done");
    return 0;
}

void builder_end(struct controller *c, size_t index, bool keep, const char *why)
{
    struct record_instance *r = &c->members[index].record;
    xreplace(&r->builder, keep ? NULL : NOBODY);
    journal_put_instance(c->journal, r);
    journal_add_event(c->journal, r->id, "build", why, keep ? "kept, detached" : "to be removed");
}

/* The loop's share. */

static void sweep(struct controller *c)
{
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (c->world.instances[i].lifecycle == LIFECYCLE_DETACHED && builder_is(c, i) &&
            !is_to_go(c, i) && !record_owner_is_alive(c->members[i].record.builder)) {
            builder_end(c, i, false, "the command that built on it has ended");
        }
    }
}

static bool is_due(const struct controller *c, size_t index)
{
    const struct world_instance *it = &c->world.instances[index];
    int64_t doublings = it->failures < 8 ? it->failures : 8;
    int64_t wait_ms = RETRY_BASE_MS << doublings;
    wait_ms = wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS;
    bool waits = it->failure != WORLD_FAILURE_NONE && c->world.now_ms < it->failed_ms + wait_ms;
    return it->lifecycle == LIFECYCLE_DETACHED && builder_is(c, index) && is_to_go(c, index) &&
           !it->busy && !waits;
}

static struct action action_on(const struct controller *c, enum action_kind kind, size_t index)
{
    const struct world_instance *it = &c->world.instances[index];
    return (struct action){.kind = kind,
                           .instance = index,
                           .group = it->group,
                           .zone = it->zone,
                           .balancer = WORLD_NONE};
}

/* One whose group left the file stays until it is back: what it was placed by is not known. */
int builders_step(struct controller *c, size_t *ret_begun, struct err *e)
{
    if (c->journal == NULL || c->world.paused) {
        return 0;
    }
    if (c->world.now_ms >= c->swept_ms + SWEEP_EVERY_MS) {
        c->swept_ms = c->world.now_ms;
        sweep(c);
        captures_sweep(c);
    }
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (!is_due(c, i) || c->world.instances[i].group == WORLD_NONE) {
            continue;
        }
        const struct action action = action_on(c, ACTION_TERMINATE, i);
        if (loop_begin(c, &action, "the image it was for is built, or given up", e) != 0) {
            return -1;
        }
        (*ret_begun)++;
    }
    return 0;
}

/* The command's share. */

static int await(struct controller *c, size_t index, struct err *e)
{
    while (c->world.instances[index].busy) {
        if (crew_wait(c->crew, NULL, 0, clock_now_ms() + 500, e) != 0) {
            return -1;
        }
        c->world.now_ms = clock_now_ms();
        if (c->options.watch.on_tick != NULL) {
            c->options.watch.on_tick(c->options.watch.context);
        }
    }
    return c->journal == NULL ? 0 : journal_commit(c->journal, e);
}

int controller_step(struct controller *c, enum action_kind kind, size_t index, const char *reason,
                    struct err *e)
{
    const struct action action = action_on(c, kind, index);
    loop_take_crew(c);
    c->world.now_ms = clock_now_ms();
    if (loop_begin(c, &action, reason, e) != 0 || await(c, index, e) != 0) {
        return -1;
    }
    const struct member *m = &c->members[index];
    if (c->world.instances[index].failure != WORLD_FAILURE_NONE) {
        return err_set(e, "%s: %s: %s", m->record.id, action_kind_to_string(kind),
                       m->record.reason == NULL ? "failed" : m->record.reason);
    }
    return 0;
}

static int await_lists(struct controller *c, struct err *e)
{
    loop_take_crew(c);
    if (c->all_listed) {
        return 0;
    }
    if (observe_providers(c, e) != 0) {
        return -1;
    }
    while (c->lists_open > 0) {
        if (crew_wait(c->crew, NULL, 0, clock_now_ms() + 500, e) != 0) {
            return -1;
        }
    }
    return 0;
}

/* What earlier commands left behind. */
static int remove_left_overs(struct controller *c, struct err *e)
{
    sweep(c);
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (is_due(c, i) && c->world.instances[i].group != WORLD_NONE &&
            controller_step(c, ACTION_TERMINATE, i, "an earlier command left it behind", e) != 0) {
            return -1;
        }
    }
    return 0;
}

/*
 * Roles may name instances that were not made yet: as apply would make them. In memory only: what
 * is recorded of the groups (the next number, when the size changed) is as it was.
 */
static void expect_others(struct controller *c)
{
    size_t size = c->spec->group_count * sizeof(*c->world.groups);
    struct world_group *groups = xcalloc(1, size + 1);
    bool before = c->looking_only;
    memcpy(groups, c->world.groups, size);
    c->looking_only = true;
    controller_expect_members(c);
    c->looking_only = before;
    memcpy(c->world.groups, groups, size);
    free(groups);
}

int controller_builder_add(struct controller *c, size_t group, const char *owner, size_t *ret_index,
                           struct err *e)
{
    if (await_lists(c, e) != 0 || remove_left_overs(c, e) != 0 || templates_record(c, e) != 0 ||
        builder_add(c, group, owner, ret_index, e) != 0) {
        return -1;
    }
    expect_others(c);
    return journal_commit(c->journal, e);
}

int controller_builder_end(struct controller *c, size_t index, bool keep, struct err *e)
{
    builder_end(c, index, keep, "its command is done with it");
    if (journal_commit(c->journal, e) != 0 || keep) {
        return keep ? 0 : -1;
    }
    return controller_step(c, ACTION_TERMINATE, index, "its command is done with it", e);
}

int controller_builder_load(struct controller *c, const char *id, size_t *ret_index, struct err *e)
{
    struct store_entry entry = {.key = NULL};
    struct record_instance record;
    bool found = false;
    char *key = xasprintf("instance/%s", id);
    int result = store_get(c->store, key, &found, &entry, e);
    free(key);
    if (result == 0 && !found) {
        return err_set(e, "%s: its record is gone: somebody has removed it", id);
    }
    if (result == 0) {
        result = record_instance_decode(&entry, &record, e);
        store_entry_deinit(&entry);
    }
    if (result == 0) {
        *ret_index = member_take(c, &record);
        c->world.instances[*ret_index].power = WORLD_POWER_ABSENT;
        expect_others(c);
    }
    return result;
}

void controller_builder_image(struct controller *c, size_t index, const char *image)
{
    xreplace(&c->members[index].image, image);
}

struct clearing {
    bool ended;
    bool good;
    char *text;
};

static void on_cleared(void *context, struct job *job, enum work_outcome outcome,
                       const struct message *result, const char *text)
{
    struct clearing *clearing = context;
    (void)job;
    (void)result;
    clearing->ended = true;
    clearing->good = outcome == WORK_DONE;
    clearing->text = xstrdup(text == NULL ? "failed" : text);
}

static void on_progress(void *context, struct job *job, const struct message *message)
{
    (void)context;
    (void)job;
    (void)message;
}

int controller_builder_clear(struct controller *c, size_t index, struct err *e)
{
    const struct action action = action_on(c, ACTION_TERMINATE, index);
    struct running *running = xcalloc(1, sizeof(*running));
    struct message request = MESSAGE_NULL;
    struct clearing clearing = {.ended = false};
    const struct crew_callbacks callbacks = {
        .on_message = on_progress, .on_end = on_cleared, .context = &clearing};
    int result = request_build(c, &action, running, &request, e);
    if (result == 0) {
        const struct crew_request ask = {.kind = CREW_PROVIDER,
                                         .message = &request,
                                         .deadline_ms = request_deadline(c, &action)};
        crew_set_callbacks(c->crew, &callbacks);
        result = crew_start(c->crew, &ask, e);
    }
    while (result == 0 && !clearing.ended) {
        result = crew_wait(c->crew, NULL, 0, clock_now_ms() + 500, e);
    }
    if (result == 0 && !clearing.good) {
        result = err_set(e, "%s: remove it: %s", c->members[index].record.id, clearing.text);
    }
    free(clearing.text);
    message_deinit(&request);
    running_free(running);
    loop_take_crew(c);
    return result;
}
