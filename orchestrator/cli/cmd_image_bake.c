/*
 * lamplighter image bake: a host made from a plain base, its template's roles applied, taken as the
 * next generation of an image, and tried: a second host is made from that, must say that it is that
 * build, and must differ in nothing from its roles. Only then do new instances get it.
 *
 * The host is a builder (controller/builder.c): whoever acts removes it when this process is done
 * or gone. A generation that was not tried to the end stays deprecated, and goes with the next
 * bake.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cmd_image.h"
#include "cli/group_ask.h"
#include "cli/image_take.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "image/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINEAGE_MAX      1000
#define REMOVAL_LIMIT_MS 150000
#define LOOK_EVERY_MS    100
#define NAMED_MAX        5 /* Resources that a message names. */

struct bake {
    struct session *s;
    const volatile bool *stop;
    size_t group;
    const char *name; /* Borrowed; the image's. */
    char *base;       /* Owned; what it is built from. */
    char *owner;      /* Owned; this process. */
    char id[WORLD_ID_SIZE];
    size_t member; /* WORLD_NONE: there is no builder. */
    struct image_place place;
    struct image_draft draft;
    struct image_taken taken;
    bool is_taken;
};

/* --- the builder -------------------------------------------------------------------------------
 */

/* Asks who acts. *ret_taken false: nobody does any more. */
static int ask(struct bake *b, struct record_request *request, bool *ret_taken, struct err *e)
{
    char *outcome = NULL;
    int result = group_ask_quietly(&b->s->store, request, &outcome, e);
    *ret_taken = outcome != NULL;
    if (result == 0 && outcome != NULL && text_starts(outcome, "refused")) {
        result = err_set(e, "%s", outcome);
    }
    free(outcome);
    free(request->who);
    return result;
}

static int ask_for_builder(struct bake *b, bool *ret_taken, struct err *e)
{
    struct record_request request = {.kind = RECORD_REQUEST_BUILD,
                                     .subject = b->s->site.spec->groups[b->group].name,
                                     .word = b->owner};
    if (ask(b, &request, ret_taken, e) != 0) {
        return -1;
    }
    return *ret_taken ? controller_builder_load(b->s->controller, b->id, &b->member, e) : 0;
}

/* By ourselves, or by who acts; should that one end meanwhile, by ourselves. */
static int begin_builder(struct bake *b, struct err *e)
{
    int64_t until_ms = clock_now_ms() + REMOVAL_LIMIT_MS;
    while (b->member == WORLD_NONE) {
        bool taken = false;
        if (b->s->journal != NULL) {
            return controller_builder_add(b->s->controller, b->group, b->owner, &b->member, e);
        }
        if (ask_for_builder(b, &taken, e) != 0 || (!taken && session_try_act(b->s, e) != 0)) {
            return -1;
        }
        if (!taken && clock_now_ms() > until_ms) {
            return group_not_taken_in(e);
        }
    }
    return 0;
}

static int is_there(struct bake *b, bool *ret_there, struct err *e)
{
    struct store_entry entry = {.key = NULL};
    char *key = xasprintf("instance/%s", b->id);
    int result = store_get(&b->s->store, key, ret_there, &entry, e);
    free(key);
    if (result == 0 && *ret_there) {
        store_entry_deinit(&entry);
    }
    return result;
}

static int await_removal(struct bake *b, bool *ret_there, struct err *e)
{
    int64_t until_ms = clock_now_ms() + REMOVAL_LIMIT_MS;
    int result;
    while ((result = is_there(b, ret_there, e)) == 0 && *ret_there && clock_now_ms() < until_ms) {
        struct record_lock lock;
        bool alive = false;
        if (record_lock_read(&b->s->store, &alive, &lock, e) != 0 || !alive) {
            return alive ? -1 : 0;
        }
        record_lock_deinit(&lock);
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
    }
    return result;
}

static int end_by_request(struct bake *b, bool keep, bool *ret_done, struct err *e)
{
    struct record_request request = {
        .kind = RECORD_REQUEST_BUILD_END,
        .subject = b->id,
        .value = keep ? 1 : 0,
        .word = keep ? controller_member_at(b->s->controller, b->member).record->host_key : NULL};
    bool taken = false;
    bool there = false;
    if (ask(b, &request, &taken, e) != 0) {
        return -1;
    }
    if (taken && !keep && await_removal(b, &there, e) != 0) {
        return -1;
    }
    *ret_done = taken && !there;
    return 0;
}

/* What cannot be removed now goes with who acts next: its owner is this process. False then. */
static bool end_builder(struct bake *b, bool keep)
{
    struct err e = ERR_NULL;
    bool done = b->member == WORLD_NONE;
    int result = 0;
    if (!done && b->s->journal == NULL) {
        result = end_by_request(b, keep, &done, &e);
    }
    if (result == 0 && !done) {
        result = session_try_act(b->s, &e);
    }
    if (result == 0 && !done && b->s->journal != NULL) {
        result = controller_builder_end(b->s->controller, b->member, keep, &e);
        done = result == 0;
    }
    if (!done) {
        log_warning("%s stays for now, and goes with the next `apply`, `run` or bake%s%s", b->id,
                    result == 0 ? "" : ": ", result == 0 ? "" : e.text);
    }
    b->member = WORLD_NONE;
    return done;
}

/* --- from what ---------------------------------------------------------------------------------
 */

/* The name that the plain base of DIRECTORY ("debian-12-aca9227181cd") goes by now. */
static char *name_of_base(const struct bake *b, const char *directory)
{
    struct image_item *items = NULL;
    size_t count = 0;
    const char *name = NULL;
    if (image_store_list(b->place.dir, b->place.public_keys, &items, &count, NULL) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(items[i].ref.name);
        bool same = text_equal(directory, items[i].ref.name) ||
                    (text_starts(directory, items[i].ref.name) && directory[length] == '-');
        if (items[i].is_base && same && (name == NULL || length > strlen(name))) {
            name = items[i].ref.name;
        }
    }
    char *copy = xcopy(name);
    image_items_free(items, count);
    return copy;
}

/* The first ancestor of REF that has another name. */
static int find_origin(struct bake *b, struct image_ref ref, char **ret_base, struct err *e)
{
    for (int i = 0; i < LINEAGE_MAX && text_equal(ref.name, b->name); i++) {
        struct manifest manifest = MANIFEST_NULL;
        struct image_ref parent;
        char *path = NULL;
        if (image_store_find(b->place.dir, &ref, &path, e) < 0 ||
            image_store_check(path, &ref, b->place.public_keys, &manifest, e) < 0) {
            free(path);
            return -1;
        }
        free(path);
        if (manifest.parent == NULL) {
            manifest_deinit(&manifest);
            break;
        }
        if (strchr(manifest.parent, '@') == NULL) {
            *ret_base = name_of_base(b, manifest.parent);
            int result =
                *ret_base != NULL
                    ? 0
                    : err_set(e, "%s came from %s, which is not in %s any more: say --from",
                              b->name, manifest.parent, b->place.dir);
            manifest_deinit(&manifest);
            return result;
        }
        bool good = image_ref_parse(manifest.parent, &parent, e) == 0;
        manifest_deinit(&manifest);
        if (!good) {
            return -1;
        }
        ref = parent;
    }
    if (text_equal(ref.name, b->name)) {
        return err_set(e, "what %s came from is not known: say --from", b->name);
    }
    *ret_base = xstrdup(ref.name);
    return 0;
}

static int find_base(struct bake *b, struct err *e)
{
    const struct spec *spec = b->s->site.spec;
    const char *image = spec->templates[spec->groups[b->group].template].image;
    struct image_ref ref;
    if (b->s->cli->from != NULL) {
        image = b->s->cli->from;
    } else if (image == NULL) {
        return err_set(e, "the template names no image: say --from");
    }
    if (image_ref_parse(image, &ref, e) < 0) {
        return -1;
    }
    if (b->s->cli->from == NULL && text_equal(ref.name, b->name)) {
        return find_origin(b, ref, &b->base, e);
    }
    b->base = xstrdup(image);
    return 0;
}

/* --- building and trying -----------------------------------------------------------------------
 */

static int step(struct bake *b, enum action_kind kind, const char *reason, struct err *e)
{
    return *b->stop ? err_set(e, "stopped")
                    : controller_step(b->s->controller, kind, b->member, reason, e);
}

/* A host from IMAGE that answers. */
static int launch(struct bake *b, const char *image, const char *reason, struct err *e)
{
    controller_builder_image(b->s->controller, b->member, image);
    return step(b, ACTION_LAUNCH, reason, e) < 0 || step(b, ACTION_GREET, reason, e) < 0 ? -1 : 0;
}

static int open_place(struct bake *b, struct err *e)
{
    const struct record_instance *record = controller_member_at(b->s->controller, b->member).record;
    size_t provider = spec_find_provider(b->s->site.spec, record->provider);
    return image_place_open(&b->place, &b->s->site, provider, e);
}

static int build(struct bake *b, struct err *e)
{
    const struct image_publishing how = {.is_untried = true};
    if (launch(b, b->base, "an image is built on it", e) < 0 ||
        step(b, ACTION_CONFIGURE, "its roles go into the image", e) < 0 ||
        /* A role may have started sshd anew: it answers again before it is read. */
        step(b, ACTION_GREET, "its roles go into the image", e) < 0) {
        return -1;
    }
    if (*b->stop) {
        return err_set(e, "stopped");
    }
    /* What it stands on is known now: the image's parent. */
    image_place_close(&b->place);
    if (open_place(b, e) < 0 ||
        image_take(b->s, b->member, &b->place, &b->draft, &how, &b->taken, e) < 0) {
        return -1;
    }
    b->is_taken = true;
    return controller_builder_clear(b->s->controller, b->member, e);
}

static bool was_left_out(const struct bake *b, const char *path)
{
    size_t i;
    json_t *left;
    json_array_foreach(b->taken.manifest.left_out, i, left)
    {
        if (text_equal(json_string_value(left), path)) {
            return true;
        }
    }
    return false;
}

/* What this is to make is in no image: a database's data, the mark of a first boot. */
static bool makes_own(const struct bake *b, const struct controller_item *item)
{
    const char *creates = NULL;
    if (text_equal(item->type, "run")) {
        creates = role_library_creates(b->s->site.library, item->role, item->name);
    }
    if (creates == NULL || creates[0] != '/') {
        return text_equal(item->type, "database");
    }
    char *path = xstrdup(creates + 1);
    const struct tar_entry entry = {.path = path, .type = TAR_FILE};
    bool is_sealed = seal_rule_of(&entry) != NULL;
    free(path);
    return is_sealed;
}

/* ROLE's data are not there: what it runs on them, and a service that needs them, is due as well.
 */
static bool lacks_data(const struct bake *b, const struct controller_member *m, const char *role)
{
    for (size_t i = 0; i < m->item_count; i++) {
        if (text_equal(m->items[i].role, role) && makes_own(b, &m->items[i])) {
            return true;
        }
    }
    return false;
}

/*
 * What no image has in it, so that each host's own roles put it there: secrets, data, first boot.
 * Handlers only follow from what changes.
 */
static bool is_hosts_own(const struct bake *b, const struct controller_member *m,
                         const struct controller_item *item)
{
    bool needs_data = text_equal(item->type, "database") || text_equal(item->type, "run") ||
                      text_equal(item->type, "service");
    return item->status == ROLE_CHANGED &&
           (was_left_out(b, item->name) || text_equal(item->type, "handler") ||
            (needs_data && lacks_data(b, m, item->role)));
}

/* Compares the host with its roles; OWN: what is its own may still be missing. */
static int compare(struct bake *b, bool own, size_t *ret_missing, struct err *e)
{
    if (step(b, ACTION_INSPECT, "is it what its roles make?", e) < 0) {
        return -1;
    }
    const struct controller_member m = controller_member_at(b->s->controller, b->member);
    struct str names = STR_NULL;
    size_t wrong = 0;
    for (size_t i = 0; i < m.item_count; i++) {
        const struct controller_item *item = &m.items[i];
        if (own && is_hosts_own(b, &m, item)) {
            continue;
        }
        if (wrong++ < NAMED_MAX) {
            str_addf(&names, "%s%s %s %s", wrong > 1 ? ", " : "", item->role, item->type,
                     item->name);
        }
    }
    *ret_missing = (size_t)m.world->drift_count;
    int result = 0;
    if (wrong > 0 || (!own && *ret_missing > 0)) {
        result = err_set(e, "a host made from it differs from its roles in %lld resources: %s%s",
                         (long long)m.world->drift_count, str_text(&names),
                         wrong > NAMED_MAX ? ", ..." : "");
    }
    str_deinit(&names);
    return result;
}

static int try_it(struct bake *b, struct err *e)
{
    size_t missing = 0;
    char *image = xasprintf("%s@%u", b->draft.ref.name, b->draft.ref.generation);
    int result = launch(b, image, "the image is tried on it", e);
    free(image);
    if (result < 0 || compare(b, true, &missing, e) < 0) {
        return -1;
    }
    if (missing == 0) {
        return 0;
    }
    return step(b, ACTION_CONFIGURE, "what is a host's own, as on every clone", e) < 0 ||
                   compare(b, false, &missing, e) < 0
               ? -1
               : 0;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static int prepare(struct bake *b, struct err *e)
{
    if (record_owner_self(&b->owner, e) < 0) {
        return -1;
    }
    controller_builder_id(b->s->controller, b->group, b->id);
    if (begin_builder(b, e) < 0) {
        return -1;
    }
    return open_place(b, e) < 0 || image_take_keys(&b->place, e) < 0 ||
                   image_draft_begin(b->place.dir, b->name, &b->draft, e) < 0 || find_base(b, e) < 0
               ? -1
               : 0;
}

static int bake(struct bake *b, struct err *e)
{
    if (prepare(b, e) < 0 || build(b, e) < 0) {
        return -1;
    }
    struct err problem = ERR_NULL;
    if (try_it(b, &problem) == 0) {
        return image_draft_settle(&b->draft, NULL, e);
    }
    if (image_draft_settle(&b->draft, problem.text, e) < 0) {
        return -1;
    }
    return err_set(e, "%s@%u is not good, and not current: %s", b->draft.ref.name,
                   b->draft.ref.generation, problem.text);
}

static void summarise(const struct bake *b, int result, bool kept, int64_t took_ms,
                      const struct err *e)
{
    const struct manifest *m = &b->taken.manifest;
    char span[32];
    clock_format_span(took_ms, span, sizeof(span));
    if (b->s->cli->json) {
        json_t *object =
            json_pack("{s:s, s:s, s:s, s:i, s:s?, s:b, s:s?, s:I, s:s?}", "event", "summary",
                      "result", result == 0 ? "done" : "failed", "name", b->name, "generation",
                      (int)b->draft.ref.generation, "base", b->base, "current", result == 0, "kept",
                      kept ? b->id : NULL, "took_ms", (json_int_t)took_ms, "problem",
                      result == 0 ? NULL : e->text);
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
        return;
    }
    if (b->is_taken) {
        image_taken_print(&b->taken, false);
    }
    if (result == 0) {
        printf("%s@%u: built from %s, tried, and current from now on, in %s\n", m->name,
               m->generation, b->base, span);
    }
    if (kept) {
        printf("%s stays, in no group: `lamplighter ssh %s`; `lamplighter group terminate %s` "
               "removes it\n",
               b->id, b->id, b->id);
    }
}

static int run(struct bake *b)
{
    struct err e = ERR_NULL;
    int64_t begun_ms = clock_now_ms();
    int result = bake(b, &e);
    bool keep = b->s->cli->keep && b->is_taken;
    bool ended = end_builder(b, keep);
    summarise(b, result, keep && ended, clock_now_ms() - begun_ms, &e);
    if (result < 0) {
        log_error("%s", e.text);
    }
    if (b->is_taken) {
        manifest_deinit(&b->taken.manifest);
    }
    image_draft_deinit(&b->draft);
    image_place_close(&b->place);
    free(b->base);
    free(b->owner);
    return result == 0 ? CLI_DONE : CLI_FAILED;
}

/* The first group made from TEMPLATE: roles are compiled as for a member of it. */
static int find_group(const struct spec *spec, const char *template, size_t *ret_group)
{
    const char **words = xcalloc(spec->template_count + 1, sizeof(*words));
    size_t count = 0;
    bool known = false;
    for (size_t t = 0; t < spec->template_count; t++) {
        words[count++] = spec->templates[t].name;
        known = known || text_equal(spec->templates[t].name, template);
    }
    const char *nearest = known ? NULL : text_nearest(template, words, count);
    free(words);
    for (size_t g = 0; g < spec->group_count; g++) {
        if (text_equal(spec->templates[spec->groups[g].template].name, template)) {
            *ret_group = g;
            return CLI_DONE;
        }
    }
    if (known) {
        log_error("no group is made from template %s: its roles have no settings to go by",
                  template);
    } else {
        log_error("no template '%s' in the file%s%s%s", template,
                  nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                  nearest == NULL ? "" : "'?");
    }
    return CLI_FAILED;
}

int cmd_image_bake(const struct cli *cli)
{
    const char *name = cli->name == NULL ? cli->argv[1] : cli->name;
    if (!text_is_name(name)) {
        return cli_usage("image", "image '%s': not a name (small letters, digits, dashes)", name);
    }
    struct progress *progress = progress_new(cli);
    struct controller_watch watch = progress_watch(progress);
    struct session session;
    int status = session_open(&session, cli, SESSION_JOIN, "image bake", &watch);
    if (status == CLI_DONE) {
        struct bake bake = {
            .s = &session,
            .stop = stop_catch("\nstopping after the step that runs; once more to stop at once\n"),
            .name = name,
            .member = WORLD_NONE,
            .place = IMAGE_PLACE_NULL,
            .draft = IMAGE_DRAFT_NULL};
        status = find_group(session.site.spec, cli->argv[1], &bake.group);
        if (status == CLI_DONE) {
            status = run(&bake);
        }
        session_close(&session);
    }
    progress_free(progress);
    return status;
}
