#include "cli/image_place.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/world.h"
#include "image/loop_mount.h"
#include "store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_MAX     65536
#define ANCESTRY_MAX 1000

static void add_users(struct image_place *place, struct image_user *users, size_t count)
{
    place->users = xrealloc(place->users, place->user_count + count + 1, sizeof(*place->users));
    for (size_t i = 0; i < count; i++) {
        place->users[place->user_count++] = users[i];
    }
    free(users);
}

/* Several providers may keep their instances in one directory. */
static bool seen_before(const struct spec *spec, size_t provider)
{
    for (size_t i = 0; i < provider; i++) {
        if (text_equal(spec->providers[i].instance_dir, spec->providers[provider].instance_dir)) {
            return true;
        }
    }
    return false;
}

static int find_users(struct image_place *place, struct err *e)
{
    const struct spec *spec = place->site->spec;
    for (size_t i = 0; i < spec->provider_count; i++) {
        struct image_user *users = NULL;
        size_t count = 0;
        if (spec->providers[i].instance_dir == NULL || seen_before(spec, i)) {
            continue;
        }
        if (image_base_users(spec->providers[i].instance_dir, &users, &count, e) < 0) {
            return -1;
        }
        add_users(place, users, count);
    }
    return 0;
}

static int find_pins(struct image_place *place, struct err *e)
{
    const char *path = place->site->spec->state_path;
    struct store store = STORE_NULL;
    if (access(path, F_OK) != 0) {
        return 0;
    }
    int result =
        store_sqlite_open(&store, path, STORE_SQLITE_READ, e) != 0 ||
                record_group_list(&store, &place->groups, &place->group_count, e) != 0 ||
                record_refresh_list(&store, &place->refreshes, &place->refresh_count, e) != 0
            ? -1
            : 0;
    store_close(&store);
    return result;
}

static const char *dir_of(const struct spec *spec, size_t provider)
{
    if (provider != SPEC_NONE && spec->providers[provider].image_dir != NULL) {
        return spec->providers[provider].image_dir;
    }
    for (size_t i = 0; i < spec->provider_count; i++) {
        if (spec->providers[i].image_dir != NULL) {
            return spec->providers[i].image_dir;
        }
    }
    return NULL;
}

int image_place_open(struct image_place *ret_place, const struct site *site, size_t provider,
                     struct err *e)
{
    struct image_place place = {.site = site, .dir = dir_of(site->spec, provider)};
    if (place.dir == NULL) {
        return err_set(e, "no [provider] of %s keeps images: set type = libvirt and images = DIR",
                       site->path);
    }
    place.private_key = xasprintf("%s/keys/image", site->spec->state_dir);
    place.public_key = xasprintf("%s/keys/image.pub", site->spec->state_dir);
    struct str keys = STR_NULL;
    int result = 0;
    if (access(place.public_key, F_OK) == 0) {
        result = str_read_file(&keys, place.public_key, KEYS_MAX, e);
        place.public_keys = str_take(&keys);
    }
    if (result < 0 || find_users(&place, e) < 0 || find_pins(&place, e) < 0) {
        image_place_close(&place);
        return -1;
    }
    *ret_place = place;
    return 0;
}

void image_place_close(struct image_place *place)
{
    free(place->private_key);
    free(place->public_key);
    free(place->public_keys);
    image_users_free(place->users, place->user_count);
    record_group_list_free(place->groups, place->group_count);
    record_refresh_list_free(place->refreshes, place->refresh_count);
    *place = IMAGE_PLACE_NULL;
}

int image_place_find(const struct image_place *place, struct image_ref *ref, char **ret_path,
                     struct err *e)
{
    return image_store_find(place->dir, ref, ret_path, e);
}

static bool stands_on(const struct image_user *user, const char *path)
{
    struct image_ref ref;
    char *its = NULL;
    bool same =
        image_base_parse(user->base, &its, &ref)
            ? text_equal(its, path)
            : text_starts(user->base, path) && text_equal(user->base + strlen(path), "/root");
    free(its);
    return same;
}

size_t image_place_users(const struct image_place *place, const char *path, struct str *ret_ids)
{
    size_t count = 0;
    for (size_t i = 0; i < place->user_count; i++) {
        if (stands_on(&place->users[i], path)) {
            str_addf(ret_ids, "%s%s", count > 0 ? ", " : "", place->users[i].id);
            count++;
        }
    }
    return count;
}

/* Does ITEM come from REF, over however many generations? */
static bool descends(const struct image_item *items, size_t count, const struct image_item *item,
                     const struct image_ref *ref)
{
    for (int step = 0; step < ANCESTRY_MAX && item->manifest.parent != NULL; step++) {
        struct image_ref parent;
        if (image_ref_parse(item->manifest.parent, &parent, NULL) < 0) {
            return false;
        }
        if (text_equal(parent.name, ref->name) && parent.generation == ref->generation) {
            return true;
        }
        const struct image_item *next = NULL;
        for (size_t i = 0; i < count; i++) {
            if (text_equal(items[i].ref.name, parent.name) &&
                items[i].ref.generation == parent.generation) {
                next = &items[i];
            }
        }
        if (next == NULL) {
            return false;
        }
        item = next;
    }
    return false;
}

static bool is_ref(const char *image, const struct image_ref *ref)
{
    struct image_ref its;
    return image != NULL && image_ref_parse(image, &its, NULL) == 0 &&
           text_equal(its.name, ref->name) && its.generation == ref->generation;
}

static void add_pin(struct str *text, const char *before, const char *group, const char *after)
{
    str_addf(text, "%s%s %s %s", text->length > 0 ? "; " : "", before, group, after);
}

void image_place_add_pins(const struct image_place *place, const struct image_ref *ref,
                          struct str *ret_text)
{
    for (size_t i = 0; i < place->group_count; i++) {
        if (is_ref(place->groups[i].image, ref)) {
            add_pin(ret_text, "group", place->groups[i].name, "is pinned to it");
        }
    }
    for (size_t i = 0; i < place->refresh_count; i++) {
        const struct record_refresh *r = &place->refreshes[i];
        if (!world_refresh_is_active((enum world_refresh_state)r->state)) {
            continue;
        }
        if (is_ref(r->image, ref)) {
            add_pin(ret_text, "the refresh of group", r->group, "leads to it");
        } else if (is_ref(r->before_image, ref)) {
            add_pin(ret_text, "the refresh of group", r->group, "may go back to it");
        }
    }
}

int image_place_add_needs(const struct image_place *place, const char *path,
                          const struct image_ref *ref, struct str *ret_text, struct err *e)
{
    struct image_item *items = NULL;
    size_t count = 0;
    if (image_store_list(place->dir, place->public_keys, &items, &count, e) < 0) {
        return -1;
    }
    struct str ids = STR_NULL;
    char *file = xasprintf("%s/" IMAGE_FILE, path);
    if (image_place_users(place, path, &ids) > 0) {
        str_addf(ret_text, "%s run%s on it", str_text(&ids),
                 strchr(str_text(&ids), ',') ? "" : "s");
    } else if (loop_is_used(file)) {
        str_add(ret_text,
                "it is mounted on this machine (losetup -a), for another cluster's instances");
    }
    for (size_t i = 0; i < count; i++) {
        str_clear(&ids);
        if (!items[i].is_base && descends(items, count, &items[i], ref) &&
            image_place_users(place, items[i].path, &ids) > 0) {
            str_addf(ret_text, "%s%s@%u came from it, and %s run%s on that",
                     ret_text->length > 0 ? "; " : "", items[i].ref.name, items[i].ref.generation,
                     str_text(&ids), strchr(str_text(&ids), ',') ? "" : "s");
        }
    }
    image_place_add_pins(place, ref, ret_text);
    free(file);
    str_deinit(&ids);
    image_items_free(items, count);
    return 0;
}

char *image_place_base_of(const struct image_place *place, const char *id)
{
    for (size_t i = 0; i < place->user_count; i++) {
        if (text_equal(place->users[i].id, id)) {
            return xstrdup(place->users[i].base);
        }
    }
    return NULL;
}
