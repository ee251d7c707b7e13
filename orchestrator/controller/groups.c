/* Groups and the cluster as records: what was set by hand, and what must outlive a controller. */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>

/* INT64_MIN is "never" in the world, 0 in the records. */
static int64_t from_wall(const struct controller *c, int64_t wall_ms)
{
    return wall_ms == 0 ? INT64_MIN : c->world.now_ms - (clock_wall_ms() - wall_ms);
}

static int64_t to_wall(const struct controller *c, int64_t ms)
{
    return ms == INT64_MIN ? 0 : clock_wall_ms() - (c->world.now_ms - ms);
}

/* What was set by hand holds until the file says something new. */
static void take_record(struct controller *c, size_t group, const struct record_group *r)
{
    const struct spec_group *spec = &c->spec->groups[group];
    struct world_group *g = &c->world.groups[group];
    bool by_hand = r->desired >= 0 && r->file_desired == spec->desired && r->desired >= spec->min &&
                   r->desired <= spec->max;
    g->desired = by_hand ? (unsigned)r->desired : spec->desired;
    g->suspended = r->suspended;
    g->paused = r->paused;
    g->next_number = r->next_number > g->next_number ? r->next_number : g->next_number;
    g->failed_launches = (unsigned)r->failed_launches;
    g->size_changed_ms = from_wall(c, r->size_changed_ms);
    g->disrupted_ms = from_wall(c, r->disrupted_ms);
    const struct refresh_pin pin = refresh_pin(c->spec, group, r, c->versions);
    g->content = pin.content;
    c->notes[group].template = pin.template;
    c->notes[group].whole = pin.whole;
    if (pin.image != NULL) {
        c->notes[group].image = xstrdup(pin.image);
        c->notes[group].image_of = xstrdup(r->image_of);
    }
}

int groups_load(struct controller *c, struct err *e)
{
    world_groups_init(c->spec, &c->world);
    if (c->store->ops == NULL) {
        return 0;
    }
    struct record_group *records;
    size_t count;
    if (record_group_list(c->store, &records, &count, e) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        size_t group = spec_find_group(c->spec, records[i].name);
        if (group != SPEC_NONE) {
            take_record(c, group, &records[i]);
        }
    }
    record_group_list_free(records, count);
    if (refresh_load(c, e) != 0) {
        return -1;
    }
    struct record_cluster cluster;
    bool found;
    if (record_cluster_read(c->store, &found, &cluster, e) != 0) {
        return -1;
    }
    c->world.paused = cluster.paused;
    c->unclean = found && cluster.clean_ms == 0;
    return 0;
}

void groups_put(struct controller *c, size_t group)
{
    const struct spec_group *spec = &c->spec->groups[group];
    const struct world_group *g = &c->world.groups[group];
    const struct group_note *note = &c->notes[group];
    char *template = template_version_ref(note->template);
    char *template_of = template == NULL ? NULL : template_version_ref(templates_of_file(c, group));
    const struct record_group record = {.name = spec->name,
                                        .desired =
                                            g->desired == spec->desired ? -1 : (int64_t)g->desired,
                                        .file_desired = spec->desired,
                                        .suspended = g->suspended,
                                        .paused = g->paused,
                                        .next_number = g->next_number,
                                        .failed_launches = (int)g->failed_launches,
                                        .size_changed_ms = to_wall(c, g->size_changed_ms),
                                        .disrupted_ms = to_wall(c, g->disrupted_ms),
                                        .image = note->image,
                                        .image_of = note->image_of,
                                        .content = refresh_tree(c, group),
                                        .template = template,
                                        .template_of = template_of,
                                        .whole = note->whole};
    journal_put_group(c->journal, &record);
    free(template);
    free(template_of);
    if (world_refresh_is_active(g->refresh.state)) {
        refresh_put(c, group);
    }
}

void groups_put_cluster(struct controller *c, bool clean)
{
    const struct record_cluster record = {.paused = c->world.paused,
                                          .clean_ms = clean ? clock_wall_ms() : 0};
    journal_put_cluster(c->journal, &record);
}
