#include "conformance/fake_provider.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define URI_START "fake:"

/* The pieces of an instance, in the order in which they are made. */
struct piece {
    char *id; /* All owned; NULL id: a free place. */
    char *cluster;
    char *group;
    char *zone;
    char *address;
    char *host_key;
    int64_t epoch;
    bool rooted;  /* Has its root and key. */
    bool mounted; /* Lost when the host restarts. */
    bool defined;
    bool running;
    bool planted; /* Not ours at all. */
};

struct fake_world {
    char *name;
    struct piece *pieces;
    size_t count;
    size_t capacity;
    unsigned keys_made;
    int steps_left; /* -1: no end. */
    bool was_cut;
    const char *failure;
    struct fake_world *next;
};

struct context {
    struct fake_world *world;
    char *cluster;
    char *zone;
    int64_t epoch;
};

/* A world is found by name, as a hypervisor is. */
static struct fake_world *worlds;

struct fake_world *fake_world_new(const char *name)
{
    struct fake_world *world = xcalloc(1, sizeof(*world));
    world->name = xstrdup(name);
    world->steps_left = -1;
    world->next = worlds;
    worlds = world;
    return world;
}

static void piece_deinit(struct piece *piece)
{
    free(piece->id);
    free(piece->cluster);
    free(piece->group);
    free(piece->zone);
    free(piece->address);
    free(piece->host_key);
    *piece = (struct piece){.id = NULL};
}

void fake_world_free(struct fake_world *world)
{
    if (world == NULL) {
        return;
    }
    struct fake_world **link = &worlds;
    while (*link != world) {
        link = &(*link)->next;
    }
    *link = world->next;
    for (size_t i = 0; i < world->count; i++) {
        piece_deinit(&world->pieces[i]);
    }
    free(world->pieces);
    free(world->name);
    free(world);
}

static struct piece *find(const struct fake_world *world, const char *id)
{
    for (size_t i = 0; i < world->count; i++) {
        if (text_equal(world->pieces[i].id, id)) {
            return &world->pieces[i];
        }
    }
    return NULL;
}

static struct piece *add(struct fake_world *world, const char *id)
{
    size_t i = 0;
    while (i < world->count && world->pieces[i].id != NULL) {
        i++;
    }
    if (i == world->count) {
        i = xgrow((void **)&world->pieces, &world->count, &world->capacity, sizeof(*world->pieces));
    }
    world->pieces[i].id = xstrdup(id);
    return &world->pieces[i];
}

void fake_world_power_off(struct fake_world *world, const char *id)
{
    struct piece *piece = find(world, id);
    if (piece != NULL) {
        piece->running = false;
    }
}

void fake_world_restart(struct fake_world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        world->pieces[i].running = false;
        world->pieces[i].mounted = false;
    }
}

void fake_world_plant(struct fake_world *world, const char *id, bool there)
{
    struct piece *piece = find(world, id);
    if (there && piece == NULL) {
        add(world, id)->planted = true;
    } else if (!there && piece != NULL && piece->planted) {
        piece_deinit(piece);
    }
}

bool fake_world_is_planted(const struct fake_world *world, const char *id)
{
    const struct piece *piece = find(world, id);
    return piece != NULL && piece->planted;
}

void fake_world_cut(struct fake_world *world, int steps)
{
    world->steps_left = steps;
    world->was_cut = false;
}

bool fake_world_was_cut(struct fake_world *world)
{
    bool was = world->was_cut;
    world->was_cut = false;
    return was;
}

void fake_world_fail(struct fake_world *world, const char *text)
{
    world->failure = text;
}

bool fake_world_has(const struct fake_world *world, const char *id)
{
    return find(world, id) != NULL;
}

size_t fake_world_running(const struct fake_world *world)
{
    size_t count = 0;
    for (size_t i = 0; i < world->count; i++) {
        count += world->pieces[i].running ? 1 : 0;
    }
    return count;
}

/* Called before each change; 0 when it may be made. */
static int step(struct fake_world *world, struct err *e)
{
    if (world->steps_left == 0) {
        world->steps_left = -1;
        world->was_cut = true;
        return err_set(e, "the process died");
    }
    if (world->steps_left > 0) {
        world->steps_left--;
    }
    return 0;
}

static int reach(const struct fake_world *world, struct err *e)
{
    return world->failure == NULL ? 0 : err_set(e, "%s", world->failure);
}

static int fake_open(const struct provider_config *config, void **ret_context, struct err *e)
{
    struct fake_world *world = worlds;
    while (world != NULL && !(text_starts(config->uri, URI_START) &&
                              text_equal(config->uri + strlen(URI_START), world->name))) {
        world = world->next;
    }
    if (world == NULL) {
        return err_set(e, "provider %s: there is no world %s", config->name, config->uri);
    }
    if (reach(world, e) < 0) {
        return -1;
    }
    struct context *context = xcalloc(1, sizeof(*context));
    context->world = world;
    context->cluster = xstrdup(config->cluster);
    context->zone = xstrdup(config->zone);
    context->epoch = config->epoch;
    *ret_context = context;
    return 0;
}

static void fake_close(void *opaque)
{
    struct context *context = opaque;
    if (context == NULL) {
        return;
    }
    free(context->cluster);
    free(context->zone);
    free(context);
}

static struct provider_view view_of(const struct piece *piece)
{
    enum provider_power whole = piece->running ? PROVIDER_RUNNING : PROVIDER_OFF;
    return (struct provider_view){
        .id = xstrdup(piece->id),
        .cluster = xstrdup(piece->cluster),
        .group = xstrdup(piece->group),
        .zone = xstrdup(piece->zone),
        .address = xstrdup(piece->address),
        .power = piece->defined ? whole : PROVIDER_BROKEN,
        .host_key = piece->defined ? xstrdup(piece->host_key) : NULL,
    };
}

static int fake_list(void *opaque, struct provider_view **ret_views, size_t *ret_count,
                     struct err *e)
{
    const struct context *context = opaque;
    const struct fake_world *world = context->world;
    if (reach(world, e) < 0) {
        return -1;
    }
    struct provider_view *views = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < world->count; i++) {
        const struct piece *piece = &world->pieces[i];
        if (piece->id != NULL && text_equal(piece->cluster, context->cluster)) {
            size_t at = xgrow((void **)&views, &count, &capacity, sizeof(*views));
            views[at] = view_of(piece);
        }
    }
    *ret_views = views;
    *ret_count = count;
    return 0;
}

/* *ret_piece is NULL when there is nothing of ID. Refuses what is not this cluster's. */
static int find_ours(const struct context *context, const char *id, struct piece **ret_piece,
                     struct err *e)
{
    if (!text_is_name(id)) {
        return err_set(e, "instance '%s': not a name (small letters, digits, dashes)", id);
    }
    if (reach(context->world, e) < 0) {
        return -1;
    }
    struct piece *piece = find(context->world, id);
    if (piece != NULL && piece->planted) {
        return err_set(e, "it has no mark of ours and is not touched (S25)");
    }
    if (piece != NULL && !text_equal(piece->cluster, context->cluster)) {
        return err_set(e, "it belongs to cluster %s and is not touched (S25)", piece->cluster);
    }
    *ret_piece = piece;
    return 0;
}

/* As find_ours(), before an effect: a lower epoch is refused, a higher one kept (S18). */
static int take_ours(const struct context *context, const char *id, struct piece **ret_piece,
                     struct err *e)
{
    if (find_ours(context, id, ret_piece, e) < 0) {
        return -1;
    }
    struct piece *piece = *ret_piece;
    if (piece != NULL && piece->epoch > context->epoch) {
        return err_set(e, "a newer controller (epoch %lld) has this instance; ours is %lld (S18)",
                       (long long)piece->epoch, (long long)context->epoch);
    }
    if (piece != NULL) {
        piece->epoch = context->epoch;
    }
    return 0;
}

static int check(const struct provider_instance_config *config, struct err *e)
{
    if (!text_equal(config->image, "debian-12")) {
        return err_set(e, "image %s: there is none", config->image);
    }
    if (strpbrk(config->login_key, "\r\n") != NULL) {
        return err_set(e, "the login key is not one line");
    }
    unsigned part[4];
    char rest;
    if (sscanf(config->address, "%3u.%3u.%3u.%3u%c", &part[0], &part[1], &part[2], &part[3],
               &rest) != 4 ||
        part[0] > 255 || part[1] > 255 || part[2] > 255 || part[3] > 255) {
        return err_set(e, "address %s is none", config->address);
    }
    if (config->memory_bytes <= 0) {
        return err_set(e, "no memory");
    }
    return 0;
}

static int ensure_steps(struct context *context, const struct provider_instance_config *config,
                        struct piece **piece, struct err *e)
{
    struct fake_world *world = context->world;
    if (*piece == NULL) {
        if (step(world, e) < 0) {
            return -1;
        }
        *piece = add(world, config->id);
        (*piece)->cluster = xstrdup(context->cluster);
        (*piece)->group = xstrdup(config->group);
        (*piece)->zone = xstrdup(context->zone);
        (*piece)->address = xstrdup(config->address);
        (*piece)->epoch = context->epoch;
    }
    if (!(*piece)->rooted) {
        if (step(world, e) < 0) {
            return -1;
        }
        free((*piece)->host_key);
        (*piece)->host_key =
            xasprintf("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI%043u", ++world->keys_made);
        (*piece)->rooted = true;
    }
    bool *const rest[] = {&(*piece)->mounted, &(*piece)->defined, &(*piece)->running};
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
        if (!*rest[i] && step(world, e) < 0) {
            return -1;
        }
        *rest[i] = true;
    }
    return 0;
}

static int fake_ensure(void *opaque, const struct provider_instance_config *config,
                       struct provider_view *ret_view, struct err *e)
{
    struct context *context = opaque;
    struct piece *piece = NULL;
    int result = check(config, e);
    if (result == 0) {
        result = take_ours(context, config->id, &piece, e);
    }
    if (result == 0 && piece != NULL && !text_equal(piece->address, config->address)) {
        result = err_set(e, "it was made with address %s, wanted is %s", piece->address,
                         config->address);
    }
    if (result == 0) {
        result = ensure_steps(context, config, &piece, e);
    }
    if (result < 0) {
        return err_wrap(e, "%s", config->id);
    }
    *ret_view = view_of(piece);
    return 0;
}

static int fake_destroy(void *opaque, const char *id, int64_t deadline_ms, struct err *e)
{
    struct context *context = opaque;
    (void)deadline_ms;
    struct piece *piece = NULL;
    if (take_ours(context, id, &piece, e) < 0) {
        return err_wrap(e, "%s", id);
    }
    if (piece == NULL) {
        return 0;
    }
    bool *const pieces[] = {&piece->running, &piece->defined, &piece->mounted, &piece->rooted};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        if (*pieces[i] && step(context->world, e) < 0) {
            return err_wrap(e, "%s", id);
        }
        *pieces[i] = false;
    }
    if (step(context->world, e) < 0) {
        return err_wrap(e, "%s", id);
    }
    piece_deinit(piece);
    return 0;
}

static int fake_stop(void *opaque, const char *id, int64_t deadline_ms, struct err *e)
{
    struct context *context = opaque;
    (void)deadline_ms;
    struct piece *piece = NULL;
    if (take_ours(context, id, &piece, e) < 0) {
        return err_wrap(e, "%s", id);
    }
    if (piece != NULL && piece->running) {
        if (step(context->world, e) < 0) {
            return err_wrap(e, "%s", id);
        }
        piece->running = false;
    }
    return 0;
}

const struct provider_ops provider_fake = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .list = fake_list,
    .ensure = fake_ensure,
    .destroy = fake_destroy,
    .stop = fake_stop,
};
