/* Versions of templates: what the file says is written down, and what each member is made and kept
   by. */
#include "controller/state.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

int templates_load(struct controller *c, struct record_instance *records, size_t count,
                   struct err *e)
{
    c->versions = xcalloc(1, sizeof(*c->versions));
    return template_versions_load(c->store, c->spec, records, count, c->versions, e);
}

void templates_free(struct controller *c)
{
    if (c->versions != NULL) {
        template_versions_deinit(c->versions);
        free(c->versions);
        c->versions = NULL;
    }
}

const struct template_version *templates_of_file(const struct controller *c, size_t group)
{
    return template_version_of_file(c->versions, c->spec->groups[group].template);
}

static void add_what(const struct controller *c, const struct template_version *version,
                     struct str *text)
{
    const struct template_version *before =
        template_version_find(c->versions, version->record.name, version->record.number - 1);
    str_addf(text, "version %u", version->record.number);
    if (before != NULL) {
        str_add(text, ": ");
        template_version_add_changes(before, version, text);
    }
}

void controller_add_fresh_template(const struct controller *c, size_t template, struct str *text)
{
    const struct template_version *version = template_version_of_file(c->versions, template);
    if (version != NULL && version->fresh && version->record.number > 1) {
        add_what(c, version, text);
    }
}

static int record(struct controller *c, struct template_version *version, struct err *e)
{
    const struct record_template *r = &version->record;
    if (strlen(r->text) > RECORD_TEMPLATE_TEXT_MAX) {
        return err_set(e,
                       "template %s: its settings and user-data have %zu KiB together, at most %d "
                       "are kept: put what is long into a role, or fetch it from there",
                       r->name, strlen(r->text) / 1024, RECORD_TEMPLATE_TEXT_MAX / 1024);
    }
    struct str what = STR_NULL;
    add_what(c, version, &what);
    journal_put_template(c->journal, r);
    journal_add_event(c->journal, r->name, "template", "the cluster file says so", str_text(&what));
    if (r->number > 1 && c->options.watch.on_note != NULL) {
        char *subject = xasprintf("template %s", r->name);
        c->options.watch.on_note(c->options.watch.context, subject, str_text(&what));
        free(subject);
    }
    str_deinit(&what);
    version->fresh = false;
    return 0;
}

int templates_record(struct controller *c, struct err *e)
{
    int result = 0;
    for (size_t i = 0; c->versions != NULL && i < c->versions->count && result == 0; i++) {
        if (c->versions->items[i].fresh) {
            result = record(c, &c->versions->items[i], e);
        }
    }
    return result;
}

/* Adds it to the spec, unless it is there and good; what is wrong goes to PROBLEMS. */
static void take(const struct controller *c, struct template_version *version,
                 struct problem_list *problems)
{
    if (!version->checked) {
        version->index = site_take_version(c->site, version, problems);
        version->checked = problems->count == 0;
    }
}

static struct template_version *own(const struct controller *c,
                                    const struct template_version *version)
{
    return &c->versions->items[version - c->versions->items];
}

/* Its template in the spec. What is wrong with the roles of one that the file does not say any more
   is told when they are compiled. */
static size_t index_of(const struct controller *c, const struct template_version *version)
{
    if (version->index == SPEC_NONE) {
        struct problem_list problems = PROBLEM_LIST_NULL;
        take(c, own(c, version), &problems);
        problem_list_deinit(&problems);
    }
    return version->index;
}

int templates_check(const struct controller *c, const struct template_version *version,
                    struct err *e)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    int result = 0;
    take(c, own(c, version), &problems);
    if (problems.count > 0) {
        result = err_set(e, "version %u of template %s cannot be used any more: %s",
                         version->record.number, version->record.name, problems.items[0].text);
    }
    problem_list_deinit(&problems);
    return result;
}

/* Whose roles and settings a member of GROUP with CONTENT has; NULL: the file's. */
static const struct template_version *kept_by(const struct controller *c, size_t group,
                                              uint64_t content)
{
    const struct group_note *note = &c->notes[group];
    const struct world_group *g = &c->world.groups[group];
    if (content == 0) {
        return NULL;
    }
    if (content == g->content) {
        return note->whole ? note->template : NULL;
    }
    bool goes = world_refresh_is_active(g->refresh.state) && content == g->refresh.wanted;
    return goes && note->refresh.whole
               ? template_version_from_ref(c->versions, note->refresh.template)
               : NULL;
}

size_t templates_made_by(const struct controller *c, size_t index)
{
    const struct template_version *made =
        template_version_of(c->versions, &c->members[index].record);
    return made == NULL || builder_is(c, index)
               ? c->spec->groups[c->world.instances[index].group].template
               : index_of(c, made);
}

/* One that was never configured has not run its user-data to the end: where the file's script was
   mended since, it is the file's that it runs, unless a version is asked for. */
static bool takes_the_files(const struct controller *c, size_t group,
                            const struct record_instance *r)
{
    return r->configured_ms == 0 && c->notes[group].template == NULL &&
           !world_refresh_is_active(c->world.groups[group].refresh.state);
}

void templates_adopt(const struct controller *c, struct record_instance *r)
{
    size_t group = spec_find_group(c->spec, r->group);
    const struct template_version *made = template_version_of(c->versions, r);
    if (group == SPEC_NONE || made == NULL || !takes_the_files(c, group, r)) {
        return;
    }
    const struct template_version *file = templates_of_file(c, group);
    bool same_image = r->launched_ms == 0 ||
                      text_equal(template_version_image(made), template_version_image(file));
    if (text_equal(file->record.name, r->template) && template_version_same_size(made, file) &&
        same_image) {
        member_note_version(c, file, r);
    }
}

struct site_recipe templates_recipe(const struct controller *c, size_t index)
{
    size_t group = c->world.instances[index].group;
    size_t file = c->spec->groups[group].template;
    struct site_recipe recipe = {.group = group, .kept = file, .made = file};
    if (builder_is(c, index)) {
        return recipe;
    }
    const struct template_version *kept = kept_by(c, group, c->world.instances[index].content);
    recipe.kept = kept == NULL ? file : index_of(c, kept);
    if (!takes_the_files(c, group, &c->members[index].record)) {
        recipe.made = templates_made_by(c, index);
    }
    return recipe;
}
