/* What roles see: the cluster, the instance, its facts, and the other groups' members. */
#include "controller/state.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_member(const struct controller *c, size_t index, size_t group)
{
    const struct world_instance *it = &c->world.instances[index];
    return it->group == group && it->lifecycle != LIFECYCLE_TERMINATED &&
           it->lifecycle != LIFECYCLE_TERMINATING && !builder_is(c, index) &&
           c->members[index].record.address != NULL;
}

static json_t *group_object(const struct controller *c, size_t group)
{
    json_t *members = json_array();
    const char *first_address = NULL;
    json_t *last = NULL;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        if (!is_member(c, i, group)) {
            continue;
        }
        const struct record_instance *r = &c->members[i].record;
        json_t *member = json_pack("{s:s, s:s, s:s, s:b, s:b}", "id", r->id, "address", r->address,
                                   "zone", r->zone, "first", first_address == NULL, "last", 0);
        json_array_append_new(members, member);
        first_address = first_address == NULL ? r->address : first_address;
        last = member;
    }
    if (last != NULL) {
        json_object_set_new(last, "last", json_true());
    }
    json_t *object = json_pack("{s:o}", "members", members);
    if (first_address != NULL) {
        json_object_set_new(object, "address", json_string(first_address));
    }
    return object;
}

/* Made once for each change of the set of instances: every host's script sees the same. */
static json_t *groups_object(struct controller *c)
{
    if (c->groups != NULL && c->groups_version == c->context_version) {
        return c->groups;
    }
    json_decref(c->groups);
    c->groups = json_object();
    for (size_t g = 0; g < c->spec->group_count; g++) {
        json_object_set_new(c->groups, c->spec->groups[g].name, group_object(c, g));
    }
    c->groups_version = c->context_version;
    return c->groups;
}

static json_t *make_context(struct controller *c, size_t index)
{
    const struct record_instance *r = &c->members[index].record;
    json_t *facts = r->facts == NULL ? NULL : json_loads(r->facts, 0, NULL);
    if (!json_is_object(facts)) {
        json_decref(facts);
        facts = json_object();
    }
    return json_pack("{s:{s:s}, s:{s:s, s:s, s:s, s:s}, s:o, s:O}", "cluster", "name",
                     c->spec->cluster, "instance", "id", r->id, "group", r->group, "zone", r->zone,
                     "address", r->address == NULL ? "" : r->address, "facts", facts, "groups",
                     groups_object(c));
}

int context_compile(struct controller *c, size_t index, struct role_script *ret_script,
                    struct problem_list *problems)
{
    size_t group = c->world.instances[index].group;
    if (group == WORLD_NONE) {
        problem_add(problems, c->site->path, 0, "%s: its group is not in the cluster file",
                    c->world.instances[index].id);
        return -1;
    }
    const char **roles;
    size_t role_count;
    const struct site_recipe recipe = templates_recipe(c, index);
    site_roles(c->site, &recipe, &roles, &role_count);
    struct role_setting *settings;
    size_t setting_count;
    site_settings(c->site, &recipe, &settings, &setting_count);
    json_t *context = make_context(c, index);
    int result = role_compile(c->site->library, roles, role_count, settings, setting_count, context,
                              ret_script, problems);
    free(roles);
    json_decref(context);
    free(settings);
    return result;
}

int context_digest(struct controller *c, size_t index, struct err *e)
{
    struct member *m = &c->members[index];
    if (m->digest[0] != '\0' && m->digest_version == c->context_version) {
        return 0;
    }
    struct role_script script;
    struct problem_list problems = PROBLEM_LIST_NULL;
    int result = context_compile(c, index, &script, &problems);
    if (result == 0) {
        text_copy(m->digest, sizeof(m->digest), script.digest);
        m->digest_version = c->context_version;
        role_script_deinit(&script);
    } else if (problems.count > 0) {
        const struct problem *p = &problems.items[0];
        err_set(e, "%s:%u: %s", p->file == NULL ? "?" : p->file, p->line, p->text);
    } else {
        err_set(e, "its roles do not compile");
    }
    problem_list_deinit(&problems);
    return result;
}
