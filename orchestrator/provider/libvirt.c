/*
 * Provider libvirt: system containers (libvirt's LXC driver) on this machine.
 *
 * An instance is a directory (instance_dir.h), a root mounted in it (libvirt_root.h) and a
 * persistent domain "CLUSTER.ID" whose metadata has our mark. They are made in this order and
 * removed in the other; each step looks before it acts, so a call that was cut short anywhere is
 * finished by the next. What a cut-short call had libvirtd begin may still be going on meanwhile:
 * where libvirt refuses a step, we look again whether it has been done.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/epoch.h"
#include "provider/image_base.h"
#include "provider/instance_dir.h"
#include "provider/libvirt_connection.h"
#include "provider/libvirt_domain.h"
#include "provider/libvirt_domain_xml.h"
#include "provider/libvirt_root.h"
#include "provider/mark.h"
#include "provider/provider.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATE_DOMAIN_MS 1000
#define LATE_PAUSE_US  20000

struct context {
    char *cluster; /* All owned. */
    char *zone;
    char *bridge;
    char *image_dir;
    char *image_keys;
    char *base; /* The instance-dir, links resolved. */
    int64_t epoch;
    virConnectPtr connection;
};

/* One instance, while one call works on it. */
struct work {
    struct context *context; /* Borrowed. */
    const char *id;          /* Borrowed. */
    int64_t deadline_ms;
    int lock;
    char *name; /* The domain's. */
    char *path; /* The directory's. */
    struct instance_dir dir;
    virDomainPtr domain; /* NULL: none. */
    struct mark mark;    /* The domain's. */
};

#define WORK_NULL ((struct work){.lock = -1, .dir = INSTANCE_DIR_NULL, .mark = MARK_NULL})

static void libvirt_close(void *opaque)
{
    struct context *context = opaque;
    if (context == NULL) {
        return;
    }
    if (context->connection != NULL) {
        virConnectClose(context->connection);
    }
    free(context->cluster);
    free(context->zone);
    free(context->bridge);
    free(context->image_dir);
    free(context->image_keys);
    free(context->base);
    free(context);
}

/* Roots are mounted and files written by this process: both ends must be on this machine. */
static int check_config(const struct provider_config *config, struct err *e)
{
    if (!text_is_name(config->cluster)) {
        return err_set(e, "cluster '%s' is not a name", config->cluster);
    }
    if (config->uri == NULL || !text_starts(config->uri, "lxc:///")) {
        return err_set(e,
                       "uri '%s': this version makes containers on the machine it runs on: use "
                       "lxc:///",
                       config->uri == NULL ? "" : config->uri);
    }
    if (config->bridge == NULL || config->bridge[0] == '\0') {
        return err_set(e, "no bridge is set: name one that this machine has (ip -br link)");
    }
    return 0;
}

static int libvirt_open(const struct provider_config *config, void **ret_context, struct err *e)
{
    if (check_config(config, e) < 0) {
        return err_wrap(e, "provider %s", config->name);
    }
    struct context *context = xcalloc(1, sizeof(*context));
    context->cluster = xstrdup(config->cluster);
    context->zone = xstrdup(config->zone);
    context->bridge = xstrdup(config->bridge);
    context->image_dir = xcopy(config->image_dir);
    context->epoch = config->epoch;
    context->image_keys = xcopy(config->image_keys);
    if (instance_dir_base(config->instance_dir, false, &context->base, e) < 0 ||
        libvirt_connect(config->uri, &context->connection, e) < 0) {
        libvirt_close(context);
        return err_wrap(e, "provider %s", config->name);
    }
    *ret_context = context;
    return 0;
}

/* Fills in the domain and its mark; both stay empty when there is none. Refuses one not ours. */
static int find_domain(struct work *work, struct err *e)
{
    char *id = xstrdup(work->id);
    const struct mark wanted = {
        .cluster = work->context->cluster, .id = id, .directory = work->path};
    int result = libvirt_domain_find(work->context->connection, work->name, &wanted, &work->domain,
                                     &work->mark, e);
    free(id);
    return result;
}

static void forget_domain(struct work *work)
{
    if (work->domain != NULL) {
        virDomainFree(work->domain);
    }
    work->domain = NULL;
    mark_deinit(&work->mark);
}

static void work_end(struct work *work)
{
    forget_domain(work);
    instance_dir_deinit(&work->dir);
    free(work->name);
    free(work->path);
    if (work->lock >= 0) {
        close(work->lock);
    }
    *work = WORK_NULL;
}

/* Takes the lock on ID and finds what there is of it. The caller ends WORK in any case. */
static int work_begin(struct work *work, struct context *context, const char *id,
                      int64_t deadline_ms, struct err *e)
{
    *work = WORK_NULL;
    work->context = context;
    work->id = id;
    work->deadline_ms = deadline_ms;
    if (!text_is_name(id)) {
        return err_set(e, "instance '%s': not a name (small letters, digits, dashes)", id);
    }
    work->path = xasprintf("%s/%s", context->base, id);
    if (libvirt_domain_name(context->cluster, id, &work->name, e) < 0 ||
        instance_dir_lock(context->base, id, deadline_ms, &work->lock, e) < 0 ||
        find_domain(work, e) < 0) {
        return -1;
    }
    return instance_dir_open(context->base, context->cluster, id, &work->dir, e);
}

/* A word of a description; NULL for a dash. Takes it off TEXT. */
static char *take_word(const char **text)
{
    size_t length = strcspn(*text, " ");
    char *word = length == 0 || (*text)[0] == '-' ? NULL : xstrndup(*text, length);
    *text += length;
    *text += strspn(*text, " ");
    return word;
}

/* What the root in DIR was made of. One from before that was written down has nothing to say. */
static int describe_root(const struct instance_dir *dir, struct provider_view *view, struct err *e)
{
    char *text = NULL;
    if (dir->fd < 0) {
        return 0;
    }
    if (libvirt_root_description(dir, &text, e) < 0) {
        return -1;
    }
    const char *at = text == NULL ? "" : text;
    view->image = take_word(&at);
    view->build = take_word(&at);
    view->content = take_word(&at);
    free(text);
    return 0;
}

/* DOMAIN may be NULL. */
static int make_view(const struct mark *mark, const struct instance_dir *dir, virDomainPtr domain,
                     enum provider_power power, struct provider_view *ret_view, struct err *e)
{
    char *key = NULL;
    char machine_id[33] = "";
    if ((dir->fd >= 0 && libvirt_root_host_key(dir, &key, e) < 0) ||
        (domain != NULL && libvirt_domain_machine_id(domain, machine_id, e) < 0)) {
        free(key);
        return -1;
    }
    *ret_view = (struct provider_view){
        .id = xstrdup(mark->id),
        .cluster = xstrdup(mark->cluster),
        .group = xstrdup(mark->group),
        .zone = xstrdup(mark->zone),
        .address = xcopy(mark->address),
        .power = key == NULL ? PROVIDER_BROKEN : power,
        .host_key = key,
        .machine_id = machine_id[0] == '\0' ? NULL : xstrdup(machine_id),
    };
    if (describe_root(dir, ret_view, e) < 0) {
        provider_view_deinit(ret_view);
        return -1;
    }
    return 0;
}

struct view_list {
    struct provider_view *items;
    size_t count;
    size_t capacity;
};

static bool is_listed(const struct view_list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (text_equal(list->items[i].id, id)) {
            return true;
        }
    }
    return false;
}

static void add_view(struct view_list *list, const struct provider_view *view)
{
    size_t i = xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
    list->items[i] = *view;
}

/* Adds DOMAIN to the list when it is this cluster's. */
static int list_domain(struct context *context, virDomainPtr domain, struct view_list *list,
                       struct err *e)
{
    enum libvirt_owner owner = LIBVIRT_OWNER_GONE;
    struct mark mark = MARK_NULL;
    if (libvirt_domain_owner(domain, &owner, &mark, e) < 0) {
        return -1;
    }
    if (owner != LIBVIRT_OWNER_US || !text_equal(mark.cluster, context->cluster)) {
        mark_deinit(&mark);
        return 0;
    }
    enum libvirt_state state = LIBVIRT_GONE;
    struct instance_dir dir = INSTANCE_DIR_NULL;
    struct provider_view view = {.id = NULL};
    int result = -1;
    if (libvirt_domain_state(domain, &state, e) == 0) {
        /* Whatever is wrong with its directory makes it broken, not the whole list. */
        const struct instance_dir none = INSTANCE_DIR_NULL;
        enum provider_power power = state == LIBVIRT_RUNNING ? PROVIDER_RUNNING : PROVIDER_OFF;
        (void)instance_dir_open(context->base, mark.cluster, mark.id, &dir, NULL);
        result = make_view(&mark, &dir, domain, power, &view, NULL) == 0
                     ? 0
                     : make_view(&mark, &none, NULL, power, &view, e);
    }
    if (result == 0 && state != LIBVIRT_GONE) {
        add_view(list, &view);
    } else {
        provider_view_deinit(&view);
    }
    instance_dir_deinit(&dir);
    mark_deinit(&mark);
    return result;
}

static int list_domains(struct context *context, struct view_list *list, struct err *e)
{
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(context->connection, &domains, 0);
    if (count < 0) {
        return libvirt_fault(e, "list the domains");
    }
    int result = 0;
    for (int i = 0; i < count; i++) {
        if (result == 0) {
            result = list_domain(context, domains[i], list, e);
        }
        virDomainFree(domains[i]);
    }
    free(domains);
    return result;
}

/* Directories without a domain: what a call that was cut short has left. */
static int list_directories(struct context *context, struct view_list *list, struct err *e)
{
    struct mark *marks = NULL;
    size_t count = 0;
    if (instance_dir_list(context->base, context->cluster, &marks, &count, e) < 0) {
        return -1;
    }
    const struct instance_dir none = INSTANCE_DIR_NULL;
    for (size_t i = 0; i < count; i++) {
        struct provider_view view;
        if (!is_listed(list, marks[i].id) &&
            make_view(&marks[i], &none, NULL, PROVIDER_BROKEN, &view, NULL) == 0) {
            add_view(list, &view);
        }
        mark_deinit(&marks[i]);
    }
    free(marks);
    return 0;
}

static int libvirt_list(void *opaque, struct provider_view **ret_views, size_t *ret_count,
                        struct err *e)
{
    struct view_list list = {.items = NULL};
    /* In this order: what is removed meanwhile is seen as broken at worst, never not at all. */
    if (list_domains(opaque, &list, e) < 0 || list_directories(opaque, &list, e) < 0) {
        provider_views_free(list.items, list.count);
        return -1;
    }
    *ret_views = list.items;
    *ret_count = list.count;
    return 0;
}

static int check_instance(const struct provider_instance_config *config, struct err *e)
{
    struct in_addr unused;
    if (!text_is_name(config->group)) {
        return err_set(e, "group '%s' is not a name", config->group);
    }
    if (config->address == NULL || inet_pton(AF_INET, config->address, &unused) != 1 ||
        config->prefix_length > 32) {
        return err_set(e, "address '%s/%u' is not an IPv4 address with its prefix length",
                       config->address == NULL ? "" : config->address, config->prefix_length);
    }
    if (config->gateway != NULL && inet_pton(AF_INET, config->gateway, &unused) != 1) {
        return err_set(e, "gateway '%s' is not an IPv4 address", config->gateway);
    }
    if (config->login_key == NULL || config->login_key[0] == '\0' ||
        strpbrk(config->login_key, "\r\n") != NULL) {
        return err_set(e, "the login key is not one public key line");
    }
    if (config->cpus == 0 || config->memory_bytes < 16 * 1024 * 1024) {
        return err_set(e, "a size of %u cpus and %lld bytes of memory is too small (1, 16 MiB)",
                       config->cpus, (long long)config->memory_bytes);
    }
    return 0;
}

/* The mark that the instance wanted will carry; owned. */
static struct mark wanted_mark(const struct work *work,
                               const struct provider_instance_config *config)
{
    return (struct mark){
        .cluster = xstrdup(work->context->cluster),
        .id = xstrdup(config->id),
        .group = xstrdup(config->group),
        .zone = xstrdup(work->context->zone),
        .address = xstrdup(config->address),
        .directory = xstrdup(work->path),
    };
}

/* Before any effect, and with the lock held. */
static int take_epoch(const struct work *work, struct err *e)
{
    return work->dir.fd < 0 ? 0 : epoch_take(&work->dir, work->context->epoch, e);
}

static struct image_source source_of(const struct work *work)
{
    return (struct image_source){.image_dir = work->context->image_dir,
                                 .public_keys = work->context->image_keys,
                                 .instance_dir = work->context->base};
}

static int make_root(struct work *work, const struct provider_instance_config *config,
                     const char *image_base, struct err *e)
{
    const struct image_source source = source_of(work);
    const struct root_files files = {
        .cluster = work->context->cluster,
        .id = config->id,
        .address = config->address,
        .prefix_length = config->prefix_length,
        .gateway = config->gateway,
        .login_key = config->login_key,
        .deadline_ms = config->deadline_ms,
    };
    struct mark mark = wanted_mark(work, config);
    instance_dir_deinit(&work->dir);
    int result = instance_dir_make(work->context->base, &mark, &work->dir, e);
    mark_deinit(&mark);
    if (result == 0) {
        result = take_epoch(work, e);
    }
    return result == 0 ? libvirt_root_make(&work->dir, &source, image_base, &files, e) : -1;
}

static int render_domain(const struct work *work, const struct provider_instance_config *config,
                         const char *lower, struct str *xml, struct err *e)
{
    struct mark mark = wanted_mark(work, config);
    char *root = xasprintf("%s/root", work->path);
    const struct libvirt_domain domain = {
        .mark = &mark,
        .root = root,
        .init = libvirt_root_init(lower),
        .bridge = work->context->bridge,
        .cpus = config->cpus,
        .memory_bytes = config->memory_bytes,
        .prefix_length = config->prefix_length,
        .gateway = config->gateway,
    };
    int result = libvirt_domain_xml(&domain, xml, e);
    free(root);
    mark_deinit(&mark);
    return result;
}

static int define_domain(struct work *work, const struct provider_instance_config *config,
                         const char *lower, struct err *e)
{
    struct str xml = STR_NULL;
    if (render_domain(work, config, lower, &xml, e) < 0) {
        str_deinit(&xml);
        return -1;
    }
    virDomainPtr defined = virDomainDefineXMLFlags(work->context->connection, str_text(&xml),
                                                   VIR_DOMAIN_DEFINE_VALIDATE);
    str_deinit(&xml);
    struct err refusal = ERR_NULL;
    if (defined == NULL) {
        libvirt_fault(&refusal, "define domain %s", work->name);
    } else {
        virDomainFree(defined);
    }
    if (find_domain(work, e) < 0) {
        return -1;
    }
    if (work->domain == NULL) {
        return err_set(e, "%s",
                       refusal.text[0] != '\0' ? refusal.text : "the domain is gone again");
    }
    return 0;
}

/* A domain whose directory is not whole was not left so by us: its keys are lost with it. */
static int check_found(struct work *work, const struct provider_instance_config *config, bool ready,
                       struct err *e)
{
    if (!ready) {
        return err_set(e, "its domain is there, but not all of %s: replace this instance",
                       work->path);
    }
    if (!text_equal(work->mark.address, config->address)) {
        return err_set(e, "it was made with address %s, wanted is %s: replace this instance",
                       work->mark.address, config->address);
    }
    return 0;
}

/*
 * A definition with nothing to it came from a call that was killed while libvirtd worked for it,
 * and arrived after a destroy() had looked. It goes.
 */
static int drop_bare_domain(struct work *work, struct err *e)
{
    enum libvirt_state state = LIBVIRT_GONE;
    if (work->domain == NULL || work->dir.fd >= 0) {
        return 0;
    }
    if (libvirt_domain_state(work->domain, &state, e) < 0 ||
        (state == LIBVIRT_OFF && libvirt_domain_remove(work->domain, e) < 0)) {
        return -1;
    }
    if (state == LIBVIRT_OFF || state == LIBVIRT_GONE) {
        forget_domain(work);
    }
    return 0;
}

/* What an interrupted call has chosen holds, else what the image is now. */
static int find_base(const struct work *work, const struct provider_instance_config *config,
                     char **ret_base, struct err *e)
{
    const struct image_source source = source_of(work);
    char *base = NULL;
    if (work->dir.fd >= 0 && libvirt_root_base(&work->dir, &base, e) < 0) {
        return -1;
    }
    if (base != NULL) {
        *ret_base = base;
        return 0;
    }
    return image_base_find(&source, config->image, ret_base, e);
}

static int ensure_steps(struct work *work, const struct provider_instance_config *config,
                        struct err *e)
{
    bool ready = false;
    enum libvirt_state state = LIBVIRT_GONE;
    if (take_epoch(work, e) < 0 || drop_bare_domain(work, e) < 0) {
        return -1;
    }
    if (work->dir.fd >= 0 && libvirt_root_ready(&work->dir, &ready, e) < 0) {
        return -1;
    }
    if (work->domain != NULL && (check_found(work, config, ready, e) < 0 ||
                                 libvirt_domain_state(work->domain, &state, e) < 0)) {
        return -1;
    }
    if (state == LIBVIRT_RUNNING) {
        return 0;
    }
    /* Asked beforehand: libvirt, finding none, leaves the container's end of the wire behind. */
    if (if_nametoindex(work->context->bridge) == 0) {
        return err_set(e, "bridge %s: this machine has none of that name (ip -br link)",
                       work->context->bridge);
    }
    const struct image_source source = source_of(work);
    char *image_base = NULL;
    char *lower = NULL;
    int result = 0;
    /* Checked and mounted before anything is written of an instance. */
    if (work->domain == NULL &&
        (find_base(work, config, &image_base, e) < 0 ||
         image_base_mount(&source, image_base, work->deadline_ms, &lower, e) < 0)) {
        result = -1;
    }
    if (result == 0 && !ready) {
        result = make_root(work, config, image_base, e);
    }
    if (result == 0) {
        result = libvirt_root_mount(&work->dir, &source, work->deadline_ms, e);
    }
    if (result == 0 && work->domain == NULL) {
        result = define_domain(work, config, lower, e);
    }
    free(image_base);
    free(lower);
    return result == 0 ? libvirt_domain_start(work->domain, e) : -1;
}

/* Made only when something is to be put there: looking changes nothing. */
static int make_base(struct context *context, struct err *e)
{
    char *path = NULL;
    if (instance_dir_base(context->base, true, &path, e) < 0) {
        return -1;
    }
    free(context->base);
    context->base = path;
    return 0;
}

static int libvirt_ensure(void *opaque, const struct provider_instance_config *config,
                          struct provider_view *ret_view, struct err *e)
{
    struct work work;
    int result = check_instance(config, e) < 0 ? -1 : make_base(opaque, e);
    if (result == 0) {
        result = work_begin(&work, opaque, config->id, config->deadline_ms, e);
        if (result == 0) {
            result = ensure_steps(&work, config, e);
        }
        if (result == 0) {
            result = make_view(&work.mark, &work.dir, work.domain, PROVIDER_RUNNING, ret_view, e);
        }
        work_end(&work);
    }
    return result < 0 ? err_wrap(e, "%s", config->id) : 0;
}

/*
 * All but the domain is there: an ensure() may have been killed while libvirtd was making that, and
 * it would come to be when we have gone. Wait for it a little.
 */
static int await_domain(struct work *work, struct err *e)
{
    bool ready = false;
    if (work->dir.fd < 0 || libvirt_root_ready(&work->dir, &ready, e) < 0) {
        return work->dir.fd < 0 ? 0 : -1;
    }
    int64_t until_ms = clock_now_ms() + LATE_DOMAIN_MS;
    while (ready && work->domain == NULL && clock_now_ms() < until_ms) {
        usleep(LATE_PAUSE_US);
        if (find_domain(work, e) < 0) {
            return -1;
        }
    }
    return 0;
}

static int libvirt_destroy(void *opaque, const char *id, int64_t deadline_ms, struct err *e)
{
    struct work work;
    int result = work_begin(&work, opaque, id, deadline_ms, e);
    if (result == 0) {
        result = take_epoch(&work, e) < 0 ? -1 : await_domain(&work, e);
    }
    if (result == 0 && work.domain != NULL) {
        result = libvirt_domain_remove(work.domain, e);
    }
    if (result == 0 && work.dir.fd >= 0) {
        result = libvirt_root_unmount(&work.dir, deadline_ms, e);
    }
    if (result == 0) {
        result = instance_dir_remove(work.context->base, id, &work.dir, e);
    }
    if (result == 0) {
        const struct image_source source = source_of(&work);
        result = image_base_sweep(&source, deadline_ms, e);
    }
    work_end(&work);
    return result < 0 ? err_wrap(e, "%s", id) : 0;
}

/* The root stays mounted: ensure() finds it so. */
static int libvirt_stop(void *opaque, const char *id, int64_t deadline_ms, struct err *e)
{
    struct work work;
    int result = work_begin(&work, opaque, id, deadline_ms, e);
    if (result == 0) {
        result = take_epoch(&work, e) < 0 ? -1 : await_domain(&work, e);
    }
    if (result == 0 && work.domain != NULL) {
        result = libvirt_domain_stop(work.domain, e);
    }
    work_end(&work);
    return result < 0 ? err_wrap(e, "%s", id) : 0;
}

const struct provider_ops provider_libvirt = {
    .name = "libvirt",
    .open = libvirt_open,
    .close = libvirt_close,
    .list = libvirt_list,
    .ensure = libvirt_ensure,
    .destroy = libvirt_destroy,
    .stop = libvirt_stop,
};
