/* Actions become requests to workers: all that the worker is to know, and no more. */
#include "controller/state.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define GREET_LIMIT_MS    120000
#define REBOOT_LIMIT_MS   180000
#define PROVIDER_LIMIT_MS 120000
#define ADMIT_LIMIT_MS    60000
#define SYNC_LIMIT_MS     60000
#define COMPARE_LIMIT_MS  20000
#define LOCK_WAIT_LOOK_MS 10000
#define LOCK_WAIT_ACT_MS  300000

/* S18. Who only looks has none. */
static int64_t epoch_of(const struct controller *c)
{
    int64_t epoch = 0;
    if (c->journal != NULL) {
        return journal_epoch(c->journal);
    }
    if (c->options.guest && record_epoch_read(c->store, &epoch, NULL) != 0) {
        return 0;
    }
    return epoch;
}

static struct ssh_target target_of_host(const struct controller *c, const struct spec_host *host)
{
    const struct spec_login *login = &c->spec->login;
    return (struct ssh_target){.name = host->name,
                               .address = host->address,
                               .port = host->port,
                               .user = host->user == NULL ? login->user : host->user,
                               .host_key = host->host_key,
                               .key_file = c->site->login_key_file,
                               .use_agent = login->use_agent,
                               .connect_timeout_ms = login->connect_timeout_ms,
                               .read_timeout_ms = login->read_timeout_ms};
}

/* Bastions are [host]s of the file; each may name another. */
size_t controller_bastions(const struct controller *c, size_t index, size_t ret_hosts[SSH_JUMP_MAX])
{
    const struct record_instance *r = &c->members[index].record;
    size_t host = r->machine == NULL ? SPEC_NONE : spec_find_host(c->spec, r->machine);
    const char *next = host != SPEC_NONE && c->spec->hosts[host].proxy_jump != NULL
                           ? c->spec->hosts[host].proxy_jump
                           : c->spec->login.proxy_jump;
    size_t count = 0;
    while (next != NULL && count < SSH_JUMP_MAX) {
        size_t bastion = spec_find_host(c->spec, next);
        if (bastion == SPEC_NONE || bastion == host) {
            break;
        }
        ret_hosts[count++] = bastion;
        next = c->spec->hosts[bastion].proxy_jump;
    }
    return count;
}

bool controller_is_direct(const struct controller *c, size_t index)
{
    size_t bastions[SSH_JUMP_MAX];
    return controller_bastions(c, index, bastions) == 0;
}

void request_target(const struct controller *c, size_t index, struct message *request)
{
    const struct record_instance *r = &c->members[index].record;
    const struct spec_login *login = &c->spec->login;
    bool made = !member_is_static(c, index);
    struct ssh_target target = {.name = r->id,
                                .address = r->address,
                                .port = r->port,
                                .user = made              ? "root"
                                        : r->user != NULL ? r->user
                                                          : login->user,
                                .host_key = r->host_key,
                                .key_file = c->site->login_key_file,
                                .use_agent = login->use_agent,
                                .connect_timeout_ms = login->connect_timeout_ms,
                                .read_timeout_ms = login->read_timeout_ms};
    target.become = text_equal(target.user, "root") ? NULL : login->become;
    size_t bastions[SSH_JUMP_MAX];
    struct ssh_target jumps[SSH_JUMP_MAX];
    size_t count = controller_bastions(c, index, bastions);
    const struct ssh_target **at = &target.jump;
    for (size_t i = 0; i < count; i++) {
        jumps[i] = target_of_host(c, &c->spec->hosts[bastions[i]]);
        *at = &jumps[i];
        at = &jumps[i].jump;
    }
    struct message encoded = MESSAGE_NULL;
    ssh_target_encode(&target, &encoded);
    message_put_message(request, WIRE_TARGET, &encoded);
    message_deinit(&encoded);
}

/* A sync drains members whose address changed. */
static int64_t longest_drain(const struct controller *c)
{
    int64_t longest_ms = 0;
    for (size_t p = 0; p < c->spec->pool_count; p++) {
        longest_ms =
            c->spec->pools[p].drain_ms > longest_ms ? c->spec->pools[p].drain_ms : longest_ms;
    }
    return longest_ms;
}

static int64_t greet_limit(const struct controller *c, size_t index)
{
    int64_t total_ms = c->spec->login.total_timeout_ms;
    bool shorter = member_is_static(c, index) && total_ms < GREET_LIMIT_MS;
    return shorter ? total_ms : GREET_LIMIT_MS;
}

const struct spec_hook *request_hook(const struct controller *c, const struct action *action)
{
    return world_hook(c->spec, action->group, c->world.instances[action->instance].lifecycle);
}

int64_t request_deadline(const struct controller *c, const struct action *action)
{
    int64_t now_ms = clock_now_ms();
    switch (action->kind) {
    case ACTION_LAUNCH:
    case ACTION_TERMINATE:
    case ACTION_CYCLE: return now_ms + PROVIDER_LIMIT_MS;
    case ACTION_GREET: return now_ms + greet_limit(c, action->instance);
    case ACTION_INSPECT:
    case ACTION_CONFIGURE:
    case ACTION_RESTART: return now_ms + c->spec->login.total_timeout_ms;
    case ACTION_REBOOT: return now_ms + REBOOT_LIMIT_MS;
    case ACTION_CHECK:
        return now_ms + c->spec->login.connect_timeout_ms +
               c->spec->groups[action->group].check_timeout_ms;
    case ACTION_HOOK: return now_ms + request_hook(c, action)->limit_ms;
    case ACTION_COMPARE: return now_ms + COMPARE_LIMIT_MS;
    case ACTION_SYNC: return now_ms + SYNC_LIMIT_MS + longest_drain(c);
    case ACTION_ADMIT: return now_ms + ADMIT_LIMIT_MS;
    case ACTION_REMOVE: {
        size_t pool = c->spec->groups[action->group].pool;
        return now_ms + SYNC_LIMIT_MS + (pool == SPEC_NONE ? 0 : c->spec->pools[pool].drain_ms);
    }
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH: return now_ms;
    }
    return now_ms;
}

static void put_provider(const struct controller *c, size_t provider, struct message *request)
{
    const struct spec_provider *p = &c->spec->providers[provider];
    message_put_text(request, WIRE_CLUSTER, c->spec->cluster);
    message_put_text(request, WIRE_PROVIDER, p->name);
    message_put_text(request, WIRE_ZONE, c->spec->zones[p->zone].name);
    message_put_text(request, WIRE_URI, p->uri);
    message_put_text(request, WIRE_BRIDGE, p->bridge);
    message_put_text(request, WIRE_IMAGE_DIR, p->image_dir);
    message_put_text(request, WIRE_INSTANCE_DIR, p->instance_dir);
    char *image_keys = xasprintf("%s/keys/image.pub", c->spec->state_dir);
    message_put_text(request, WIRE_IMAGE_KEYS, image_keys);
    free(image_keys);
    message_put_int(request, WIRE_PROVIDER_TYPE, p->type);
}

void request_list(const struct controller *c, size_t provider, struct message *ret_request)
{
    message_init(ret_request, WIRE_LIST);
    put_provider(c, provider, ret_request);
}

/* The file tree that the root is to be made from; 0: whatever the image of that name is. While a
   refresh runs, one instance is made of the new content and another of the old. */
static uint64_t wanted_content(const struct controller *c, const struct action *action)
{
    if (action->group == WORLD_NONE || builder_is(c, action->instance)) {
        return 0;
    }
    const struct record_instance *r = &c->members[action->instance].record;
    return r->image != NULL
               ? template_version_content(c->world.instances[action->instance].content, r->launch)
               : refresh_tree(c, action->group);
}

static void put_launch(const struct controller *c, size_t index, struct message *request)
{
    const struct record_instance *r = &c->members[index].record;
    const struct world_instance *it = &c->world.instances[index];
    size_t made = templates_made_by(c, index); /* May move the templates: before one is named. */
    const struct spec_template *t = &c->spec->templates[made];
    message_put_text(request, WIRE_INSTANCE, r->id);
    if (it->zone == WORLD_NONE) {
        return; /* Its zone left the file: it can still be ended, not made. */
    }
    const struct spec_zone *z = &c->spec->zones[it->zone];
    message_put_text(request, WIRE_GROUP, r->group);
    const char *own = c->members[index].image;
    const char *pinned = own != NULL        ? own
                         : r->image != NULL ? r->image
                                            : c->notes[it->group].image;
    message_put_text(request, WIRE_IMAGE, pinned == NULL ? t->image : pinned);
    if (t->size != SPEC_NONE) {
        message_put_int(request, WIRE_CPUS, c->spec->sizes[t->size].cpus);
        message_put_int(request, WIRE_MEMORY, c->spec->sizes[t->size].memory_bytes);
    }
    message_put_text(request, WIRE_ADDRESS, r->address);
    message_put_int(request, WIRE_PREFIX, z->prefix_length);
    if (z->gateway != 0) {
        char gateway[16];
        spec_address_to_string(z->gateway, gateway, sizeof(gateway));
        message_put_text(request, WIRE_GATEWAY, gateway);
    }
    message_put_text(request, WIRE_LOGIN_KEY, c->site->login_key);
}

/* First problem as a fault; the whole list is shown by `lamplighter role show`. */
static int compile(struct controller *c, size_t index, struct role_script *ret_script,
                   struct err *e)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    int result = context_compile(c, index, ret_script, &problems);
    if (result != 0) {
        const struct problem *p = problems.count > 0 ? &problems.items[0] : NULL;
        err_set(e, "%s:%u: %s", p == NULL || p->file == NULL ? "roles" : p->file,
                p == NULL ? 0 : p->line, p == NULL ? "do not compile" : p->text);
    }
    problem_list_deinit(&problems);
    return result;
}

static int put_script(struct controller *c, const struct action *action, struct running *running,
                      struct message *request, struct err *e)
{
    struct member *m = &c->members[action->instance];
    if (compile(c, action->instance, &running->script, e) != 0) {
        return -1;
    }
    text_copy(m->digest, sizeof(m->digest), running->script.digest);
    m->digest_version = c->context_version;
    struct message encoded = MESSAGE_NULL;
    role_script_encode(&running->script, &encoded);
    message_put_message(request, WIRE_SCRIPT, &encoded);
    message_deinit(&encoded);
    message_put_int(request, WIRE_CHECK, action->kind == ACTION_INSPECT);
    message_put_int(request, WIRE_RESTART, action->kind == ACTION_RESTART);
    message_put_int(request, WIRE_DIFF, c->options.diff);
    message_put_text(request, WIRE_CLUSTER, c->spec->cluster);
    message_put_text(request, WIRE_INSTANCE, m->record.id);
    message_put_text(request, WIRE_OWNER, c->options.owner);
    /* A run of ours that was killed may still be installing over there: it ends at its next safe
       point, which we wait for. Who only looks says so instead. */
    message_put_int(request, WIRE_LOCK_WAIT,
                    c->journal == NULL ? LOCK_WAIT_LOOK_MS : LOCK_WAIT_ACT_MS);
    message_put_int(request, WIRE_EPOCH, epoch_of(c));
    return 0;
}

/* Longest prefix first; the file's order among equals. */
static int compare_routes(const void *a, const void *b)
{
    size_t length_a = strlen(((const struct frontend_route *)a)->path);
    size_t length_b = strlen(((const struct frontend_route *)b)->path);
    return length_a > length_b ? -1 : length_a < length_b ? 1 : 0;
}

static struct frontend_check check_of(const struct spec_check *check)
{
    return (struct frontend_check){.tcp_only = check->tcp_only,
                                   .method = check->method,
                                   .path = check->path,
                                   .host = check->host,
                                   .port = check->port,
                                   .expect_first = check->expect_first,
                                   .expect_last = check->expect_last,
                                   .interval_ms = check->interval_ms,
                                   .timeout_ms = check->timeout_ms,
                                   .rise = check->rise,
                                   .fall = check->fall};
}

static size_t pool_members(const struct controller *c, size_t pool, size_t also,
                           struct frontend_member *ret_members)
{
    size_t count = 0;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        const struct world_instance *it = &c->world.instances[i];
        if (it->group == WORLD_NONE || c->spec->groups[it->group].pool != pool ||
            it->lifecycle == LIFECYCLE_TERMINATED) {
            continue;
        }
        if (c->members[i].record.admitted || i == also) {
            ret_members[count++] = (struct frontend_member){.id = c->members[i].record.id,
                                                            .address = c->members[i].record.address,
                                                            .port = c->spec->pools[pool].port};
        }
    }
    return count;
}

/* The frontend as it should be, with ALSO (or WORLD_NONE) as if it were admitted. */
static void put_config(const struct controller *c, size_t frontend, size_t also,
                       struct message *request)
{
    const struct spec_frontend *f = &c->spec->frontends[frontend];
    struct frontend_listener *listeners = xcalloc(f->listener_count, sizeof(*listeners));
    struct frontend_route *routes = xcalloc(f->route_count, sizeof(*routes));
    struct frontend_pool *pools = xcalloc(f->route_count, sizeof(*pools));
    struct frontend_member *members =
        xcalloc(f->route_count * (c->world.instance_count + 1), sizeof(*members));
    size_t pool_count = 0;
    size_t member_count = 0;
    for (size_t i = 0; i < f->listener_count; i++) {
        listeners[i].port = f->listeners[i].port;
    }
    for (size_t i = 0; i < f->route_count; i++) {
        const struct spec_pool *pool = &c->spec->pools[f->routes[i].pool];
        routes[i] = (struct frontend_route){.path = f->routes[i].path, .pool = pool->name};
        bool known = false;
        for (size_t p = 0; p < pool_count; p++) {
            known = known || text_equal(pools[p].name, pool->name);
        }
        if (known) {
            continue;
        }
        size_t count = pool_members(c, f->routes[i].pool, also, members + member_count);
        pools[pool_count++] = (struct frontend_pool){
            .name = pool->name,
            .check = check_of(&pool->check),
            .least_connections = pool->balance == SPEC_BALANCE_LEASTCONN,
            .slow_start_ms = pool->slow_start_ms,
            .drain_ms = pool->drain_ms,
            .cookie_key = pool->sticky ? (const char *)c->site->sticky_key.bytes : NULL,
            .members = members + member_count,
            .member_count = count,
        };
        member_count += count;
    }
    qsort(routes, f->route_count, sizeof(*routes), compare_routes);
    const struct frontend_config config = {.name = f->name,
                                           .listeners = listeners,
                                           .listener_count = f->listener_count,
                                           .routes = routes,
                                           .route_count = f->route_count,
                                           .pools = pools,
                                           .pool_count = pool_count,
                                           .idle_timeout_ms = f->idle_timeout_ms};
    struct message encoded = MESSAGE_NULL;
    frontend_config_encode(&config, &encoded);
    message_put_message(request, WIRE_CONFIG, &encoded);
    message_deinit(&encoded);
    free(listeners);
    free(routes);
    free(pools);
    free(members);
}

void request_look(const struct controller *c, size_t balancer, struct message *ret_request)
{
    const struct world_balancer *b = &c->world.balancers[balancer];
    message_init(ret_request, WIRE_LOOK);
    message_put_int(ret_request, WIRE_DEADLINE, clock_now_ms() + COMPARE_LIMIT_MS);
    request_target(c, b->instance, ret_request);
}

/* S19: asked again by the worker, of the balancer itself, right before the drain. */
static int64_t minimum_left(const struct controller *c, const struct action *action)
{
    const struct survey *s = &c->decision.survey;
    bool serves = s->serving != NULL && s->serving[action->instance];
    return action->kind == ACTION_REMOVE && serves
               ? (int64_t)world_healthy_minimum(c->spec, &c->world, action->group)
               : 0;
}

static void put_balancer(const struct controller *c, const struct action *action,
                         struct message *request)
{
    const struct world_balancer *b = &c->world.balancers[action->balancer];
    request_target(c, b->instance, request);
    message_put_int(request, WIRE_EPOCH, epoch_of(c));
    put_config(c, b->frontend, action->kind == ACTION_ADMIT ? action->instance : WORLD_NONE,
               request);
    if (action->kind == ACTION_ADMIT || action->kind == ACTION_REMOVE) {
        const struct spec_pool *pool = &c->spec->pools[c->spec->groups[action->group].pool];
        const struct record_instance *r = &c->members[action->instance].record;
        message_put_text(request, WIRE_POOL, pool->name);
        message_put_text(request, WIRE_INSTANCE, r->id);
        message_put_text(request, WIRE_ADDRESS, r->address);
        message_put_int(request, WIRE_PORT, pool->port);
        message_put_int(request, WIRE_MINIMUM, minimum_left(c, action));
    }
}

static void put_hook(const struct controller *c, const struct action *action,
                     struct message *request)
{
    const struct spec_hook *hook = request_hook(c, action);
    const struct record_instance *r = &c->members[action->instance].record;
    if (hook->where == SPEC_HOOK_HOST) {
        request_target(c, action->instance, request);
    }
    message_put_text(request, WIRE_COMMAND, hook->command);
    message_put_int(request, WIRE_HEARTBEAT, hook->heartbeat_ms);
    message_put_int(request, WIRE_TIMEOUT, hook->limit_ms);
    message_put_text(request, WIRE_TRANSITION,
                     hook->on == SPEC_HOOK_LAUNCH ? "launching" : "terminating");
    message_put_text(request, WIRE_CLUSTER, c->spec->cluster);
    message_put_text(request, WIRE_GROUP, r->group);
    message_put_text(request, WIRE_INSTANCE, r->id);
    message_put_text(request, WIRE_ADDRESS, r->address);
    message_put_text(request, WIRE_ZONE, r->zone);
}

static enum wire_kind kind_of(enum action_kind kind)
{
    switch (kind) {
    case ACTION_LAUNCH: return WIRE_ENSURE;
    case ACTION_TERMINATE: return WIRE_DESTROY;
    case ACTION_CYCLE: return WIRE_STOP;
    case ACTION_GREET: return WIRE_GREET;
    case ACTION_INSPECT:
    case ACTION_CONFIGURE:
    case ACTION_RESTART: return WIRE_ROLE;
    case ACTION_REBOOT: return WIRE_REBOOT;
    case ACTION_CHECK: return WIRE_CHECK_COMMAND;
    case ACTION_HOOK: return WIRE_HOOK;
    case ACTION_COMPARE: return WIRE_COMPARE;
    case ACTION_SYNC: return WIRE_SYNC;
    case ACTION_ADMIT: return WIRE_ADMIT;
    case ACTION_REMOVE: return WIRE_REMOVE;
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH: break;
    }
    return WIRE_RESULT;
}

void running_free(struct running *running)
{
    role_script_deinit(&running->script);
    free(running->action_id);
    free(running->reason);
    free(running);
}

int request_build(struct controller *c, const struct action *action, struct running *running,
                  struct message *ret_request, struct err *e)
{
    message_init(ret_request, (uint16_t)kind_of(action->kind));
    message_put_int(ret_request, WIRE_DEADLINE, request_deadline(c, action));
    switch (action->kind) {
    case ACTION_LAUNCH:
    case ACTION_CYCLE:
    case ACTION_TERMINATE: {
        size_t provider = member_provider(c, action->instance);
        if (provider == SPEC_NONE) {
            return err_set(e, "its provider %s is not in the cluster file",
                           c->members[action->instance].record.provider);
        }
        put_provider(c, provider, ret_request);
        message_put_int(ret_request, WIRE_EPOCH, epoch_of(c));
        put_launch(c, action->instance, ret_request);
        running->content = wanted_content(c, action);
        return 0;
    }
    case ACTION_GREET:
        request_target(c, action->instance, ret_request);
        /* What we made is booting and is waited for; a host that was there before either answers or
           does not. */
        message_put_int(ret_request, WIRE_PATIENCE,
                        member_is_static(c, action->instance) ? 0 : GREET_LIMIT_MS);
        return 0;
    case ACTION_REBOOT: request_target(c, action->instance, ret_request); return 0;
    case ACTION_CHECK:
        request_target(c, action->instance, ret_request);
        message_put_text(ret_request, WIRE_COMMAND, c->spec->groups[action->group].check_command);
        return 0;
    case ACTION_HOOK: put_hook(c, action, ret_request); return 0;
    case ACTION_INSPECT:
    case ACTION_CONFIGURE:
    case ACTION_RESTART:
        request_target(c, action->instance, ret_request);
        return put_script(c, action, running, ret_request, e);
    case ACTION_COMPARE:
    case ACTION_SYNC:
    case ACTION_ADMIT:
    case ACTION_REMOVE: put_balancer(c, action, ret_request); return 0;
    case ACTION_ADD:
    case ACTION_MARK:
    case ACTION_REFRESH: break;
    }
    return err_set(e, "%s needs no worker", action_kind_to_string(action->kind));
}
