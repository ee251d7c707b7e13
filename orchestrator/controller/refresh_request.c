/* What operators ask of the refresh of a group: begin, go on, cancel, roll back. */
#include "controller/refresh_goal.h"
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum refresh_answer find_goal(const struct controller *c, size_t group,
                                     const struct refresh_options *options,
                                     struct refresh_goal *ret_goal, struct err *e)
{
    const struct record_refresh last = refresh_record(c, group);
    const struct record_instance **instances =
        xcalloc(c->world.instance_count + 1, sizeof(*instances));
    for (size_t i = 0; i < c->world.instance_count; i++) {
        instances[i] = &c->members[i].record;
    }
    const struct group_note *note = &c->notes[group];
    const struct refresh_known known = {.spec = c->spec,
                                        .versions = c->versions,
                                        .group = group,
                                        .instances = instances,
                                        .instance_count = c->world.instance_count,
                                        .pin = {.image = note->image,
                                                .template = note->template,
                                                .whole = note->whole,
                                                .content = c->world.groups[group].content},
                                        .last = &last};
    enum refresh_answer answer = refresh_goal_find(&known, options, ret_goal, e);
    free(instances);
    if (answer == REFRESH_BEGINS && ret_goal->whole &&
        templates_check(c, ret_goal->template, e) != 0) {
        refresh_goal_deinit(ret_goal);
        return REFRESH_REFUSED;
    }
    return answer;
}

/* What keeps it from beginning now. */
static const char *held_by(const struct controller *c, size_t group)
{
    const struct world_group *g = &c->world.groups[group];
    return c->world.paused                                ? "the cluster is paused"
           : g->paused                                    ? "the group is paused"
           : g->suspended & WORLD_PROCESS_LAUNCH          ? "launch is suspended"
           : g->suspended & WORLD_PROCESS_TERMINATE       ? "terminate is suspended"
           : g->suspended & WORLD_PROCESS_ADD_TO_BALANCER ? "add-to-balancer is suspended"
                                                          : NULL;
}

static void say_begun(const struct controller *c, size_t group, const struct refresh_goal *goal,
                      const struct refresh_options *options, struct err *e)
{
    const char *held = held_by(c, group);
    bool known = goal->before_image != NULL;
    bool other = goal->whole || (known && goal->before_template != goal->template);
    char *before = template_version_ref(known ? goal->before_template : NULL);
    char *after = template_version_ref(goal->template);
    err_set(
        e, "%s -> %s%s%s%s%s, %zu of %zu to be replaced%s%s%s", known ? goal->before_image : "?",
        goal->image, other ? ", template " : "",
        !other           ? ""
        : before == NULL ? "?"
                         : before,
        other ? " -> " : "", other && after != NULL ? after : "", goal->to_replace, goal->members,
        known || options->no_rollback ? ""
                                      : "; what ran before is not known, so there is no way back",
        held == NULL ? "" : "; it waits: ", held == NULL ? "" : held);
    free(before);
    free(after);
}

static void begin(struct controller *c, size_t group, const struct refresh_options *options,
                  struct refresh_goal *goal, const char *who)
{
    struct group_note *note = &c->notes[group];
    struct world_refresh asked = {
        .wanted = goal->wanted,
        .before = goal->before,
        .all = options->all,
        .rollback = !options->no_rollback && goal->before_image != NULL,
        .warm_up_ms = options->warm_up_ms,
        .bake_ms = options->bake_ms,
        .checkpoint_count = options->checkpoint_count,
        .checkpoint_delay_ms = options->checkpoint_delay_ms,
        .protected_ones = options->protected_ones,
        .standby_ones = options->standby_ones,
    };
    memcpy(asked.checkpoints, options->checkpoints, sizeof(asked.checkpoints));
    world_refresh_begin(&c->world, group, &asked);
    record_refresh_deinit(&note->refresh);
    note->refresh = (struct record_refresh){
        .image = goal->image,
        .before_image = goal->before_image,
        .template = template_version_ref(goal->template),
        .before_template =
            template_version_ref(goal->before_image == NULL ? NULL : goal->before_template),
        .whole = goal->whole,
        .before_whole = goal->before_whole,
        .began_ms = clock_wall_ms(),
        .alarm_command = xcopy(options->alarm),
        .alarm_every_ms = options->alarm_every_ms,
        .alarm_timeout_ms = options->alarm_every_ms < REFRESH_ALARM_LIMIT_MS
                                ? options->alarm_every_ms
                                : REFRESH_ALARM_LIMIT_MS,
        .who = xstrdup(who),
    };
    goal->image = NULL; /* Taken over, both. */
    goal->before_image = NULL;
    note->mark_count = 0;
    note->alarm_ms = 0;
}

static char *asked_by(const char *who)
{
    return xasprintf("asked for by %s", who);
}

bool refresh_take_begin(struct controller *c, size_t group, const char *word, const char *who,
                        struct err *e)
{
    struct refresh_options options;
    struct refresh_goal goal = REFRESH_GOAL_NULL;
    if (refresh_options_from_text(word, &options, e) != 0) {
        return false;
    }
    enum refresh_answer answer = find_goal(c, group, &options, &goal, e);
    if (answer == REFRESH_BEGINS) {
        char *reason = asked_by(who);
        say_begun(c, group, &goal, &options, e);
        begin(c, group, &options, &goal, who);
        refresh_note_state(c, group, reason);
        free(reason);
    }
    refresh_goal_deinit(&goal);
    refresh_options_deinit(&options);
    return answer == REFRESH_BEGINS || answer == REFRESH_NOTHING;
}

bool refresh_take_order(struct controller *c, size_t group, enum record_request_kind kind,
                        const char *who, struct err *e)
{
    const struct record_refresh last = refresh_record(c, group);
    const char *name = c->spec->groups[group].name;
    enum world_refresh_state before = c->world.groups[group].refresh.state;
    if (refresh_goal_order(&last, name, kind, e) != REFRESH_BEGINS) {
        return false;
    }
    bool done = kind == RECORD_REQUEST_REFRESH_CONTINUE
                    ? world_refresh_go_on(&c->world, group)
                    : world_refresh_end(&c->world, group, kind == RECORD_REQUEST_REFRESH_ROLLBACK);
    if (!done) {
        err_set(e, "the refresh of group %s is %s", name, world_refresh_to_string(before));
        return false;
    }
    char *reason = asked_by(who);
    refresh_note_state(c, group, reason);
    free(reason);
    const char *image = c->notes[group].image;
    char *template = template_version_ref(c->notes[group].template);
    err_set(e, "%s -> %s; new instances are made from %s%s%s", world_refresh_to_string(before),
            world_refresh_to_string(c->world.groups[group].refresh.state),
            image == NULL ? "what the file says" : image, template == NULL ? "" : ", by template ",
            template == NULL ? "" : template);
    free(template);
    return true;
}
