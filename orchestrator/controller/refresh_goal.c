#include "controller/refresh_goal.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image_store.h"
#include "net/digest.h"
#include "provider/image_base.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_MAX 65536

void refresh_goal_deinit(struct refresh_goal *goal)
{
    free(goal->image);
    free(goal->before_image);
    *goal = REFRESH_GOAL_NULL;
}

uint64_t refresh_content(const char *digest)
{
    char start[17];
    text_copy(start, sizeof(start), digest == NULL ? "" : digest);
    return strtoull(start, NULL, 16);
}

uint64_t refresh_content_of(const struct record_instance *record)
{
    return template_version_content(refresh_content(record->content), record->launch);
}

static const struct spec_template *template_of(const struct refresh_known *known)
{
    return &known->spec->templates[known->spec->groups[known->group].template];
}

/* What the group's template is in the file. */
static const struct template_version *of_file(const struct refresh_known *known)
{
    return template_version_of_file(known->versions, known->spec->groups[known->group].template);
}

/* Images. */

/* One image, in one directory. */
struct found {
    char *image;      /* Owned: "web@4", with its number. */
    char *path;       /* Owned; its directory; NULL for the plain one. */
    uint64_t content; /* Of its tree. */
    int64_t created_s;
    struct image_ref ref;
};

static void found_deinit(struct found *found)
{
    free(found->image);
    free(found->path);
    *found = (struct found){.image = NULL};
}

static int read_keys(const struct spec *spec, char **ret_keys, struct err *e)
{
    char *file = xasprintf("%s/keys/image.pub", spec->state_dir);
    struct str keys = STR_NULL;
    *ret_keys = NULL;
    int result = 0;
    if (access(file, F_OK) == 0) {
        result = str_read_file(&keys, file, KEYS_MAX, e);
        *ret_keys = result == 0 ? str_take(&keys) : NULL;
    }
    str_deinit(&keys);
    free(file);
    return result;
}

/* A plain directory: its name is never given to a signed image. */
static int find_plain(const char *dir, const char *name, struct found *found, struct err *e)
{
    const struct image_source source = {.image_dir = dir};
    char digest[DIGEST_TEXT_SIZE];
    char *base = NULL;
    if (image_base_find(&source, name, &base, e) < 0) {
        return -1;
    }
    digest_text(base, strlen(base), digest);
    found->content = refresh_content(digest);
    found->image = xstrdup(name);
    free(base);
    return 0;
}

/* IMAGE in DIR, its signature checked, its bytes not. */
static int find_in(const struct spec *spec, const char *dir, const char *image, struct found *found,
                   struct err *e)
{
    if (image_ref_parse(image, &found->ref, e) < 0) {
        return -1;
    }
    if (found->ref.generation == 0 &&
        image_store_current(dir, found->ref.name, &found->ref.generation, e) < 0) {
        return -1;
    }
    if (found->ref.generation == 0) {
        return find_plain(dir, image, found, e);
    }
    struct manifest manifest = MANIFEST_NULL;
    char *keys = NULL;
    if (image_store_find(dir, &found->ref, &found->path, e) < 0 || read_keys(spec, &keys, e) < 0) {
        return -1;
    }
    int result = image_store_check(found->path, &found->ref, keys, &manifest, e);
    free(keys);
    if (result == 0) {
        found->image = xasprintf("%s@%u", found->ref.name, found->ref.generation);
        found->content = refresh_content(manifest.tree);
        found->created_s = manifest.created_s;
    }
    manifest_deinit(&manifest);
    return result;
}

/* The image directories of the providers that make GROUP's instances, one after the other: call
   with *AT = 0 first; NULL at the end. */
static const char *next_dir(const struct spec *spec, size_t group, size_t *at)
{
    const struct spec_index_list *zones = &spec->groups[group].zones;
    for (; *at < spec->provider_count; (*at)++) {
        const struct spec_provider *p = &spec->providers[*at];
        bool ours = false;
        for (size_t z = 0; z < zones->count; z++) {
            ours = ours || zones->items[z] == p->zone;
        }
        if (ours && p->image_dir != NULL) {
            (*at)++;
            return p->image_dir;
        }
    }
    return NULL;
}

/* In all of them, and the same in all. */
static int find_image(const struct spec *spec, size_t group, const char *image,
                      struct found *ret_found, struct err *e)
{
    struct found first = {.image = NULL};
    size_t at = 0;
    const char *dir;
    int result = 0;
    while (result == 0 && (dir = next_dir(spec, group, &at)) != NULL) {
        struct found found = {.image = NULL};
        result = find_in(spec, dir, image, &found, e);
        if (result == 0 && first.image == NULL) {
            first = found;
            found = (struct found){.image = NULL};
        } else if (result == 0 && found.content != first.content) {
            result = err_set(e, "image %s is not the same in %s and elsewhere: copy it there",
                             found.image, dir);
        }
        found_deinit(&found);
    }
    if (result != 0) {
        found_deinit(&first);
        return -1;
    }
    *ret_found = first;
    return 0;
}

int refresh_goal_verify(const struct spec *spec, size_t group, const char *image, struct err *e)
{
    size_t at = 0;
    const char *dir;
    int result = 0;
    while (result == 0 && (dir = next_dir(spec, group, &at)) != NULL) {
        struct found found = {.image = NULL};
        struct manifest manifest = MANIFEST_NULL;
        char *keys = NULL;
        result = find_in(spec, dir, image, &found, e);
        if (result == 0 && found.path != NULL) {
            result = read_keys(spec, &keys, e) < 0 ||
                             image_store_check(found.path, &found.ref, keys, &manifest, e) < 0 ||
                             image_store_check_blocks(found.path, &manifest, e) < 0
                         ? -1
                         : 0;
        }
        free(keys);
        manifest_deinit(&manifest);
        found_deinit(&found);
    }
    return result;
}

static bool is_deprecated(const struct found *found)
{
    if (found->path == NULL) {
        return false;
    }
    char *file = xasprintf("%s/deprecated", found->path);
    bool there = access(file, F_OK) == 0;
    free(file);
    return there;
}

/* Members. */

static bool is_member(const struct refresh_known *known, const struct record_instance *r)
{
    return text_equal(r->group, known->spec->groups[known->group].name) &&
           !world_leaving(r->lifecycle) && r->lifecycle != LIFECYCLE_DETACHED &&
           r->lifecycle != LIFECYCLE_QUARANTINED;
}

static size_t count_content(const struct refresh_known *known, uint64_t content)
{
    size_t count = 0;
    for (size_t i = 0; i < known->instance_count; i++) {
        const struct record_instance *r = known->instances[i];
        count += is_member(known, r) && r->lifecycle == LIFECYCLE_IN_SERVICE &&
                         refresh_content_of(r) == content
                     ? 1
                     : 0;
    }
    return count;
}

/* What most of those in service were made from; among equals what new ones would be. NULL: none is
   in service. */
static const struct record_instance *most_common(const struct refresh_known *known)
{
    const struct record_instance *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < known->instance_count; i++) {
        const struct record_instance *r = known->instances[i];
        if (!is_member(known, r) || r->lifecycle != LIFECYCLE_IN_SERVICE) {
            continue;
        }
        size_t count = count_content(known, refresh_content_of(r));
        bool pinned = known->pin.image != NULL && refresh_content_of(r) == known->pin.content;
        if (count > most || (count == most && pinned)) {
            most = count;
            best = r;
        }
    }
    return best;
}

/* The plain directory NAME, if that is what CONTENT is of; else NULL. The caller's. */
static char *plain_of(const struct refresh_known *known, const char *name, uint64_t content)
{
    struct found found;
    char *image = NULL;
    if (find_image(known->spec, known->group, name, &found, NULL) == 0) {
        image = found.path == NULL && found.content == content ? xstrdup(name) : NULL;
        found_deinit(&found);
    }
    return image;
}

/* A plain directory has no name in the records: it is the template's, or another that is there. */
static char *find_plain_of(const struct refresh_known *known, uint64_t content)
{
    const struct spec *spec = known->spec;
    struct image_item *items = NULL;
    size_t count = 0;
    size_t at = 0;
    const char *dir = next_dir(spec, known->group, &at);
    char *image = plain_of(known, template_of(known)->image, content);
    if (image != NULL || dir == NULL || image_store_list(dir, NULL, &items, &count, NULL) < 0) {
        return image;
    }
    for (size_t i = 0; i < count && image == NULL; i++) {
        image = items[i].is_base ? plain_of(known, items[i].ref.name, content) : NULL;
    }
    image_items_free(items, count);
    return image;
}

char *refresh_runs(const struct refresh_known *known)
{
    const struct record_instance *r = most_common(known);
    if (r == NULL || refresh_content(r->content) == 0) {
        return NULL;
    }
    return r->image != NULL ? xstrdup(r->image) : find_plain_of(known, refresh_content(r->content));
}

/* What R was made by, as it can be made again: so that the new one has its very content. NULL:
   what the file says. False: not known. */
static bool made_by(const struct refresh_known *known, const struct record_instance *r,
                    const struct template_version **ret_version)
{
    bool pinned = known->pin.template != NULL && refresh_content_of(r) == known->pin.content;
    const struct template_version *v =
        pinned ? known->pin.template : template_version_of(known->versions, r);
    v = v == NULL ? of_file(known) : v;
    *ret_version = v;
    return template_version_launch(known->versions, v) == r->launch;
}

/* What most of them ran, if that is still there as it was. */
static void find_before(const struct refresh_known *known, struct found *ret_before,
                        struct refresh_goal *goal)
{
    struct found found;
    const struct record_instance *r = most_common(known);
    char *image = refresh_runs(known);
    *ret_before = (struct found){.image = NULL};
    if (image != NULL && find_image(known->spec, known->group, image, &found, NULL) == 0) {
        if (found.content == refresh_content(r->content) &&
            made_by(known, r, &goal->before_template)) {
            *ret_before = found;
            goal->before = refresh_content_of(r);
            goal->before_whole = known->pin.whole && goal->before == known->pin.content;
        } else {
            found_deinit(&found);
        }
    }
    free(image);
}

/* What can be said against it. */

/* After err_set(), whose result it takes. */
static enum refresh_answer refused(int fault)
{
    (void)fault;
    return REFRESH_REFUSED;
}

/* Hosts that exist already are never made anew. */
static bool makes_nothing(const struct spec *spec, size_t group)
{
    size_t at = 0;
    return next_dir(spec, group, &at) == NULL;
}

static bool is_on_machines(const struct refresh_known *known)
{
    for (size_t i = 0; i < known->instance_count; i++) {
        if (is_member(known, known->instances[i]) && known->instances[i]->machine != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_older(const struct found *found, const struct found *before)
{
    if (before->image == NULL) {
        return false;
    }
    bool same_name = text_equal(found->ref.name, before->ref.name);
    return same_name ? found->ref.generation < before->ref.generation
                     : found->path != NULL && before->path != NULL &&
                           found->created_s < before->created_s;
}

static enum refresh_answer check_image(const struct refresh_options *options,
                                       const struct found *found, const struct found *before,
                                       struct err *e)
{
    if (is_deprecated(found)) {
        return refused(err_set(e, "%s is deprecated: 'image undeprecate %s' it first", found->image,
                               found->image));
    }
    if (is_older(found, before) && !options->allow_downgrade) {
        return refused(err_set(e,
                               "%s is older than %s, which runs: --allow-downgrade if you mean it",
                               found->image, before->image));
    }
    return REFRESH_BEGINS;
}

static void count_members(const struct refresh_known *known, const struct refresh_options *options,
                          struct refresh_goal *goal)
{
    for (size_t i = 0; i < known->instance_count; i++) {
        const struct record_instance *r = known->instances[i];
        if (is_member(known, r)) {
            goal->members++;
            goal->to_replace += options->all || refresh_content_of(r) != goal->wanted ? 1 : 0;
        }
    }
}

/* Where nothing is to be replaced there may still be a pin to be moved. */
static bool is_nothing(const struct refresh_known *known, const struct refresh_goal *goal)
{
    const struct refresh_pin *pin = &known->pin;
    bool same = pin->whole == goal->whole && (!pin->whole || pin->template == goal->template);
    return goal->members > 0 && goal->to_replace == 0 && same &&
           (pin->image == NULL || pin->content == goal->wanted);
}

/* The version that is asked for. */
static int find_version(const struct refresh_known *known, unsigned number,
                        struct refresh_goal *goal, struct err *e)
{
    const char *name = template_of(known)->name;
    const struct template_version *file = of_file(known);
    goal->template = number == 0 ? file : template_version_find(known->versions, name, number);
    goal->whole = number != 0 && goal->template != file;
    if (number == 0 || (goal->template != NULL && !(goal->whole && goal->template->fresh))) {
        return 0;
    }
    unsigned last = template_version_last(known->versions, name);
    return err_set(e, "template %s has no version %u; it has %s%u: `template list %s`", name,
                   number, last > 1 ? "1 to " : "", last, name);
}

static enum refresh_answer check_group(const struct refresh_known *known, struct err *e)
{
    const char *name = known->spec->groups[known->group].name;
    if (makes_nothing(known->spec, known->group) || is_on_machines(known)) {
        return refused(err_set(
            e, "group %s: its hosts exist already; change them in place with `apply`", name));
    }
    if (known->last != NULL &&
        world_refresh_is_active((enum world_refresh_state)known->last->state)) {
        return refused(
            err_set(e,
                    "a refresh of group %s to %s is %s already; `group refresh %s --cancel` "
                    "leaves it as it is, `--rollback` takes it back",
                    name, known->last->image == NULL ? "?" : known->last->image,
                    world_refresh_to_string((enum world_refresh_state)known->last->state), name));
    }
    return REFRESH_BEGINS;
}

enum refresh_answer refresh_goal_find(const struct refresh_known *known,
                                      const struct refresh_options *options,
                                      struct refresh_goal *ret_goal, struct err *e)
{
    const struct spec *spec = known->spec;
    enum refresh_answer answer = check_group(known, e);
    if (answer != REFRESH_BEGINS) {
        return answer;
    }
    struct refresh_goal goal = REFRESH_GOAL_NULL;
    if (find_version(known, options->template, &goal, e) != 0) {
        return REFRESH_UNKNOWN;
    }
    struct found found;
    struct found before;
    const char *image = options->image != NULL ? options->image
                        : goal.whole           ? template_version_image(goal.template)
                                               : template_of(known)->image;
    if (find_image(spec, known->group, image, &found, e) != 0) {
        return REFRESH_UNKNOWN;
    }
    find_before(known, &before, &goal);
    answer = check_image(options, &found, &before, e);
    goal.image = found.image;
    goal.wanted = template_version_content(found.content,
                                           template_version_launch(known->versions, goal.template));
    goal.before_image = before.image;
    found.image = NULL;
    before.image = NULL;
    found_deinit(&found);
    found_deinit(&before);
    count_members(known, options, &goal);
    if (answer == REFRESH_BEGINS && is_nothing(known, &goal)) {
        err_set(e, "nothing to do: all %zu already have %s by content", goal.members, goal.image);
        answer = REFRESH_NOTHING;
    }
    if (answer != REFRESH_BEGINS) {
        refresh_goal_deinit(&goal);
        return answer;
    }
    *ret_goal = goal;
    return REFRESH_BEGINS;
}

enum refresh_answer refresh_goal_order(const struct record_refresh *last, const char *group,
                                       enum record_request_kind kind, struct err *e)
{
    enum world_refresh_state state =
        last == NULL ? WORLD_REFRESH_NONE : (enum world_refresh_state)last->state;
    if (state == WORLD_REFRESH_NONE) {
        return refused(err_set(e, "group %s was never refreshed", group));
    }
    const char *word = world_refresh_to_string(state);
    if (kind == RECORD_REQUEST_REFRESH_CONTINUE && state != WORLD_REFRESH_CHECKPOINT) {
        return refused(
            err_set(e, "the refresh of group %s waits at no checkpoint: it is %s", group, word));
    }
    if (kind == RECORD_REQUEST_REFRESH_CANCEL && !world_refresh_is_active(state)) {
        return refused(
            err_set(e, "no refresh of group %s is under way: the last is %s", group, word));
    }
    if (kind != RECORD_REQUEST_REFRESH_ROLLBACK) {
        return REFRESH_BEGINS;
    }
    if (state == WORLD_REFRESH_BACK || state == WORLD_REFRESH_ROLLED_BACK) {
        return refused(err_set(e, "the refresh of group %s is %s already", group, word));
    }
    if (last->before_image == NULL) {
        return refused(
            err_set(e,
                    "what group %s ran before is not known: say it with `group refresh %s "
                    "--image NAME@N --allow-downgrade`",
                    group, group));
    }
    if (last->before == last->wanted) {
        return refused(err_set(e,
                               "most of group %s ran %s before too: there is nothing to go back to",
                               group, last->image));
    }
    return REFRESH_BEGINS;
}

/* Whether the version that RECORD pins still holds: the file says what it said then. */
static bool version_holds(const struct record_group *record, const struct template_version *pinned,
                          const struct template_version *file,
                          const struct template_versions *versions)
{
    const struct template_version *then = template_version_from_ref(versions, record->template_of);
    if (pinned == NULL || then == NULL) {
        return record->template == NULL;
    }
    return record->whole
               ? then == file
               : template_version_launch(versions, then) == template_version_launch(versions, file);
}

struct refresh_pin refresh_pin(const struct spec *spec, size_t group,
                               const struct record_group *record,
                               const struct template_versions *versions)
{
    size_t template = spec->groups[group].template;
    const struct template_version *file = template_version_of_file(versions, template);
    const struct template_version *pinned =
        record == NULL ? NULL : template_version_from_ref(versions, record->template);
    bool holds = record != NULL && record->image != NULL && record->content != 0 &&
                 text_equal(record->image_of, spec->templates[template].image) &&
                 version_holds(record, pinned, file, versions);
    if (!holds) {
        return (struct refresh_pin){.image = NULL};
    }
    return (struct refresh_pin){
        .image = record->image,
        .template = pinned,
        .whole = record->whole,
        .content = template_version_content(
            record->content, template_version_launch(versions, pinned != NULL ? pinned : file))};
}

size_t refresh_outdated(const struct refresh_known *known)
{
    const struct template_version *now =
        known->pin.template != NULL ? known->pin.template : of_file(known);
    uint64_t launch = template_version_launch(known->versions, now);
    size_t count = 0;
    for (size_t i = 0; !makes_nothing(known->spec, known->group) && i < known->instance_count;
         i++) {
        const struct record_instance *r = known->instances[i];
        count += is_member(known, r) && r->version != 0 && r->launch != launch ? 1 : 0;
    }
    return count;
}

char *refresh_newer(const struct refresh_known *known, const char *runs)
{
    const struct spec *spec = known->spec;
    const char *image = known->pin.image != NULL ? known->pin.image : template_of(known)->image;
    size_t at = 0;
    const char *dir = next_dir(spec, known->group, &at);
    struct image_ref ref;
    struct image_ref its;
    unsigned current = 0;
    if (dir == NULL || runs == NULL || image_ref_parse(image, &ref, NULL) < 0 ||
        image_ref_parse(runs, &its, NULL) < 0 ||
        image_store_current(dir, ref.name, &current, NULL) < 0) {
        return NULL;
    }
    if (known->pin.image == NULL && ref.generation != 0) {
        current = ref.generation; /* The file says which. */
    }
    bool same = text_equal(ref.name, its.name);
    if (same ? current <= its.generation : known->pin.image != NULL) {
        return NULL;
    }
    return current == 0 ? xstrdup(ref.name) : xasprintf("%s@%u", ref.name, current);
}
