/* What a balancer is asked to do, over its kept link: compare, sync, admit, remove. */
#include "base/err.h"
#include "controller/worker.h"
#include "frontend/frontend.h"

#include <stdlib.h>
#include <string.h>

/* Every answer of a balancer ends with its view of all targets, so that it is never stale. */
static int send_targets(struct worker *worker, struct ssh_link *link, struct err *e)
{
    struct frontend_target *targets;
    size_t count;
    if (frontend_haproxy_targets(link, &targets, &count, e) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        struct message item = MESSAGE_NULL;
        message_init(&item, WIRE_ITEM);
        message_put_text(&item, WIRE_POOL, targets[i].pool);
        message_put_text(&item, WIRE_INSTANCE, targets[i].id);
        message_put_int(&item, WIRE_STATE, targets[i].state);
        message_put_text(&item, WIRE_TEXT, targets[i].check);
        message_put_int(&item, WIRE_SESSIONS, targets[i].sessions);
        worker_send(worker, &item);
        message_deinit(&item);
    }
    free(targets);
    return 0;
}

static const struct frontend_pool *find_pool(const struct frontend_config *config, const char *name)
{
    for (size_t i = 0; i < config->pool_count; i++) {
        if (strcmp(config->pools[i].name, name) == 0) {
            return &config->pools[i];
        }
    }
    return NULL;
}

static int work(struct worker *worker, struct ssh_link *link, const struct message *request,
                const struct frontend_config *config, struct message *result, struct err *e)
{
    int64_t deadline_ms = message_int(request, WIRE_DEADLINE, 0);
    const char *pool = message_text(request, WIRE_POOL, "");
    const struct frontend_member member = {
        .id = message_text(request, WIRE_INSTANCE, ""),
        .address = message_text(request, WIRE_ADDRESS, ""),
        .port = (unsigned)message_int(request, WIRE_PORT, 0),
    };
    switch (message_kind(request)) {
    case WIRE_COMPARE:
    case WIRE_SYNC: {
        struct frontend_sync sync = {.changed = false};
        worker_progress(worker, "frontend %s: configuration", config->name);
        if (frontend_haproxy_sync(link, config, message_kind(request) == WIRE_COMPARE, &sync, e) !=
            0) {
            return -1;
        }
        message_put_int(result, WIRE_CHANGED, sync.changed);
        message_put_int(result, WIRE_RELOADED, sync.reloaded);
        return 0;
    }
    case WIRE_ADMIT:
        worker_progress(worker, "into pool %s: waiting for its first passed check", pool);
        return frontend_haproxy_admit(link, config, pool, &member, deadline_ms, e);
    default: {
        int64_t cut = 0;
        worker_progress(worker, "out of pool %s: draining", pool);
        if (find_pool(config, pool) == NULL) {
            return err_set(e, "no pool %s in its configuration", pool);
        }
        if (frontend_haproxy_remove(link, config, pool, member.id, deadline_ms, &cut, e) != 0) {
            return -1;
        }
        message_put_int(result, WIRE_CHANGED, cut);
        return 0;
    }
    }
}

static struct frontend_config *decode_config(const struct message *request, struct err *e)
{
    size_t length;
    const void *bytes = message_bytes(request, WIRE_CONFIG, &length);
    struct frontend_config *config = NULL;
    struct message encoded = MESSAGE_NULL;
    if (bytes == NULL) {
        err_set(e, "request without a configuration");
    } else if (message_parse(&encoded, bytes, length, e) == 0) {
        if (frontend_config_decode(&encoded, &config, e) != 0) {
            config = NULL;
        }
    }
    message_deinit(&encoded);
    return config;
}

void act_frontend_work(struct worker *worker, const struct message *request)
{
    struct err e = ERR_NULL;
    struct frontend_config *config = decode_config(request, &e);
    if (config == NULL) {
        worker_result(worker, WORK_PERMANENT, e.text);
        return;
    }
    struct ssh_link *link = worker_link(worker, request);
    if (link != NULL) {
        struct message result = MESSAGE_NULL;
        message_init(&result, WIRE_RESULT);
        message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
        if (work(worker, link, request, config, &result, &e) != 0 ||
            send_targets(worker, link, &e) != 0) {
            worker_drop_link(worker);
            worker_result(worker, WORK_TRANSIENT, e.text);
        } else {
            worker_send(worker, &result);
        }
        message_deinit(&result);
    }
    frontend_config_free(config);
}
