#include "spec/spec.h"

#include "base/mem.h"
#include "base/str.h"
#include "spec/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_words(struct spec_word_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
}

static void free_settings(struct spec_setting_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].role);
        free(list->items[i].variable);
        free(list->items[i].value);
    }
    free(list->items);
}

static void free_cluster(struct spec *spec)
{
    free(spec->cluster);
    free(spec->state_dir);
    free(spec->state_path);
    free_words(&spec->role_path);
    free(spec->login.user);
    free(spec->login.key_file);
    free(spec->login.become);
    free(spec->login.proxy_jump);
    free_settings(&spec->settings);
}

static void free_places(struct spec *spec)
{
    for (size_t i = 0; i < spec->zone_count; i++) {
        free(spec->zones[i].name);
    }
    free(spec->zones);
    for (size_t i = 0; i < spec->provider_count; i++) {
        struct spec_provider *p = &spec->providers[i];
        free(p->name);
        free(p->uri);
        free(p->bridge);
        free(p->image_dir);
        free(p->instance_dir);
    }
    free(spec->providers);
    for (size_t i = 0; i < spec->host_count; i++) {
        struct spec_host *h = &spec->hosts[i];
        free(h->name);
        free(h->address);
        free(h->host_key);
        free(h->user);
        free(h->proxy_jump);
    }
    free(spec->hosts);
    for (size_t i = 0; i < spec->hook_count; i++) {
        free(spec->hooks[i].name);
        free(spec->hooks[i].command);
    }
    free(spec->hooks);
}

static void free_recipes(struct spec *spec)
{
    for (size_t i = 0; i < spec->size_count; i++) {
        free(spec->sizes[i].name);
    }
    free(spec->sizes);
    for (size_t i = 0; i < spec->secret_count; i++) {
        free(spec->secrets[i].name);
        free(spec->secrets[i].path);
    }
    free(spec->secrets);
    for (size_t i = 0; i < spec->template_count; i++) {
        struct spec_template *t = &spec->templates[i];
        free(t->name);
        free(t->image);
        free_words(&t->roles);
        free_settings(&t->settings);
        free(t->user_data);
    }
    free(spec->templates);
}

static void free_services(struct spec *spec)
{
    for (size_t i = 0; i < spec->pool_count; i++) {
        struct spec_pool *p = &spec->pools[i];
        free(p->name);
        free(p->check.method);
        free(p->check.path);
        free(p->check.host);
    }
    free(spec->pools);
    for (size_t i = 0; i < spec->group_count; i++) {
        struct spec_group *g = &spec->groups[i];
        free(g->name);
        free(g->check_command);
        free(g->zones.items);
        free(g->needs.items);
        free_settings(&g->settings);
    }
    free(spec->groups);
    for (size_t i = 0; i < spec->frontend_count; i++) {
        struct spec_frontend *f = &spec->frontends[i];
        for (size_t j = 0; j < f->route_count; j++) {
            free(f->routes[j].path);
        }
        free(f->name);
        free(f->listeners);
        free(f->routes);
    }
    free(spec->frontends);
}

void spec_free(struct spec *spec)
{
    if (spec == NULL) {
        return;
    }
    free_cluster(spec);
    free_places(spec);
    free_recipes(spec);
    free_services(spec);
    for (size_t i = 0; i < spec->file_count; i++) {
        free(spec->files[i]);
    }
    free(spec->files);
    free(spec);
}

/* Every object begins with its name; STRIDE bytes from one to the next. */
static size_t find(const void *objects, size_t count, size_t stride, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        char *const *object = (const void *)((const char *)objects + i * stride);
        if (text_equal(*object, name)) {
            return i;
        }
    }
    return SPEC_NONE;
}

size_t spec_find_group(const struct spec *spec, const char *name)
{
    return find(spec->groups, spec->group_count, sizeof(*spec->groups), name);
}

size_t spec_find_pool(const struct spec *spec, const char *name)
{
    return find(spec->pools, spec->pool_count, sizeof(*spec->pools), name);
}

size_t spec_find_zone(const struct spec *spec, const char *name)
{
    return find(spec->zones, spec->zone_count, sizeof(*spec->zones), name);
}

size_t spec_find_provider(const struct spec *spec, const char *name)
{
    return find(spec->providers, spec->provider_count, sizeof(*spec->providers), name);
}

size_t spec_find_template(const struct spec *spec, const char *name)
{
    return find(spec->templates, spec->template_count, sizeof(*spec->templates), name);
}

size_t spec_find_secret(const struct spec *spec, const char *name)
{
    return find(spec->secrets, spec->secret_count, sizeof(*spec->secrets), name);
}

size_t spec_find_host(const struct spec *spec, const char *name)
{
    return find(spec->hosts, spec->host_count, sizeof(*spec->hosts), name);
}

void spec_address_to_string(uint32_t address, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
             address & 255);
}

bool spec_index_list_has(const struct spec_index_list *list, size_t item)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == item) {
            return true;
        }
    }
    return false;
}

bool spec_index_list_add(struct spec_index_list *list, size_t item)
{
    if (spec_index_list_has(list, item)) {
        return false;
    }
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = item;
    return true;
}
