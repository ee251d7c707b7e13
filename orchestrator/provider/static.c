/* Hosts that exist already: somebody else makes and ends them, we only use them. */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/provider.h"

#include <stdlib.h>

struct context {
    char *cluster;
    char *name;
    char *zone;
};

static int static_open(const struct provider_config *config, void **ret_context, struct err *e)
{
    (void)e;
    struct context *context = xcalloc(1, sizeof(*context));
    context->cluster = xstrdup(config->cluster);
    context->name = xstrdup(config->name);
    context->zone = xstrdup(config->zone);
    *ret_context = context;
    return 0;
}

static void static_close(void *opaque)
{
    struct context *context = opaque;
    if (context == NULL) {
        return;
    }
    free(context->cluster);
    free(context->name);
    free(context->zone);
    free(context);
}

static int static_list(void *opaque, struct provider_view **ret_views, size_t *ret_count,
                       struct err *e)
{
    (void)opaque;
    (void)e;
    *ret_views = NULL;
    *ret_count = 0;
    return 0;
}

static int static_ensure(void *opaque, const struct provider_instance_config *config,
                         struct provider_view *ret_view, struct err *e)
{
    const struct context *context = opaque;
    if (!text_is_name(config->id)) {
        return err_set(e, "instance '%s': not a name (small letters, digits, dashes)", config->id);
    }
    *ret_view = (struct provider_view){
        .id = xstrdup(config->id),
        .cluster = xstrdup(context->cluster),
        .group = xstrdup(config->group),
        .zone = xstrdup(context->zone),
        .address = xcopy(config->address),
        .power = PROVIDER_RUNNING,
    };
    return 0;
}

static int static_destroy(void *opaque, const char *id, int64_t deadline_ms, struct err *e)
{
    (void)opaque;
    (void)deadline_ms;
    if (!text_is_name(id)) {
        return err_set(e, "instance '%s': not a name (small letters, digits, dashes)", id);
    }
    return 0;
}

static int static_stop(void *opaque, const char *id, int64_t deadline_ms, struct err *e)
{
    const struct context *context = opaque;
    (void)deadline_ms;
    if (!text_is_name(id)) {
        return err_set(e, "instance '%s': not a name (small letters, digits, dashes)", id);
    }
    return err_set(e, "%s is not made by a provider that can switch it off (%s is static)", id,
                   context->name);
}

const struct provider_ops provider_static = {
    .name = "static",
    .open = static_open,
    .close = static_close,
    .list = static_list,
    .ensure = static_ensure,
    .destroy = static_destroy,
    .stop = static_stop,
};
