/* What a balancer is asked to do, over its kept link: look, compare, sync, admit, remove. */
#include "base/clock.h"
#include "base/err.h"
#include "controller/worker.h"
#include "frontend/frontend.h"

#include <stdlib.h>
#include <string.h>

#define TELL_EVERY_MS 1000

static void send_items(struct worker *worker, const struct frontend_target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct message item = MESSAGE_NULL;
        message_init(&item, WIRE_ITEM);
        message_put_text(&item, WIRE_POOL, targets[i].pool);
        message_put_text(&item, WIRE_INSTANCE, targets[i].id);
        message_put_int(&item, WIRE_STATE, targets[i].state);
        message_put_text(&item, WIRE_TEXT, targets[i].check);
        message_put_int(&item, WIRE_SESSIONS, targets[i].sessions);
        message_put_int(&item, WIRE_TIME, targets[i].since_s * 1000);
        message_put_int(&item, WIRE_TRIES, targets[i].tries);
        message_put_int(&item, WIRE_FAILED, targets[i].failed);
        message_put_int(&item, WIRE_RESPONSE_TIME, targets[i].response_ms);
        worker_send(worker, &item);
        message_deinit(&item);
    }
}

/* Every answer of a balancer ends with its view of all targets, so that it is never stale. */
static int send_targets(struct worker *worker, const struct frontend_balancer *balancer,
                        struct message *result, struct err *e)
{
    struct frontend_target *targets;
    size_t count;
    if (frontend_haproxy_targets(balancer, &targets, &count, e) != 0) {
        return -1;
    }
    send_items(worker, targets, count);
    free(targets);
    message_put_int(result, WIRE_COUNT, (int64_t)count);
    return 0;
}

/* Nobody else can look at a balancer that is at work: what it sees on the way is told. */
struct looker {
    struct worker *worker;
    int64_t told_ms;
};

static void on_look(void *context, const struct frontend_target *targets, size_t count)
{
    struct looker *looker = context;
    int64_t now_ms = clock_now_ms();
    if (now_ms < looker->told_ms + TELL_EVERY_MS) {
        return;
    }
    looker->told_ms = now_ms;
    send_items(looker->worker, targets, count);
    struct message looked = MESSAGE_NULL;
    message_init(&looked, WIRE_LOOKED);
    worker_send(looker->worker, &looked);
    message_deinit(&looked);
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

/* Too few would be left: it is worth another try when more are up. */
static void put_refusal(const struct frontend_removal *removal,
                        const struct frontend_removed *removed, struct message *result)
{
    struct err text = ERR_NULL;
    err_set(&text,
            "%s stays: without it pool %s would have %zu up here, and %zu must be (S19); nothing "
            "was done",
            removal->id, removal->pool, removed->left_up, removal->minimum);
    message_init(result, WIRE_RESULT);
    message_put_int(result, WIRE_OUTCOME, WORK_TRANSIENT);
    message_put_text(result, WIRE_TEXT, text.text);
}

static int take_out(const struct frontend_balancer *balancer, const struct message *request,
                    const struct frontend_config *config, struct message *result, struct err *e)
{
    int64_t minimum = message_int(request, WIRE_MINIMUM, 0);
    const struct frontend_removal removal = {
        .pool = message_text(request, WIRE_POOL, ""),
        .id = message_text(request, WIRE_INSTANCE, ""),
        .minimum = minimum < 0 ? 0 : (size_t)minimum,
        .deadline_ms = message_int(request, WIRE_DEADLINE, 0),
    };
    struct frontend_removed removed = {.refused = false};
    if (frontend_haproxy_remove(balancer, config, &removal, &removed, e) != 0) {
        return -1;
    }
    if (removed.refused) {
        put_refusal(&removal, &removed, result);
    } else {
        message_put_int(result, WIRE_CHANGED, removed.cut_sessions);
    }
    return 0;
}

static int work(struct worker *worker, const struct frontend_balancer *balancer,
                const struct message *request, const struct frontend_config *config,
                struct message *result, struct err *e)
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
        if (frontend_haproxy_sync(balancer, config, message_kind(request) == WIRE_COMPARE, &sync,
                                  e) != 0) {
            return -1;
        }
        message_put_int(result, WIRE_CHANGED, sync.changed);
        message_put_int(result, WIRE_RELOADED, sync.reloaded);
        return 0;
    }
    case WIRE_ADMIT:
        worker_progress(worker, "into pool %s: waiting for its first passed check", pool);
        return frontend_haproxy_admit(balancer, config, pool, &member, deadline_ms, e);
    default:
        worker_progress(worker, "out of pool %s: draining", pool);
        if (find_pool(config, pool) == NULL) {
            return err_set(e, "no pool %s in its configuration", pool);
        }
        return take_out(balancer, request, config, result, e);
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

/* CONFIG is NULL for a look: then the targets are all there is to tell. */
static void work_over_link(struct worker *worker, const struct message *request,
                           const struct frontend_config *config)
{
    struct looker looker = {.worker = worker, .told_ms = clock_now_ms()};
    const struct frontend_balancer balancer = {.link = worker_link(worker, request),
                                               .epoch = message_int(request, WIRE_EPOCH, 0),
                                               .on_look = on_look,
                                               .look_context = &looker};
    if (balancer.link == NULL) {
        return;
    }
    struct err e = ERR_NULL;
    struct message result = MESSAGE_NULL;
    message_init(&result, WIRE_RESULT);
    message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
    if ((config != NULL && work(worker, &balancer, request, config, &result, &e) != 0) ||
        send_targets(worker, &balancer, &result, &e) != 0) {
        worker_drop_link(worker);
        worker_result(worker, WORK_TRANSIENT, e.text);
    } else {
        worker_send(worker, &result);
    }
    message_deinit(&result);
}

void act_frontend_work(struct worker *worker, const struct message *request)
{
    struct err e = ERR_NULL;
    if (message_kind(request) == WIRE_LOOK) {
        work_over_link(worker, request, NULL);
        return;
    }
    struct frontend_config *config = decode_config(request, &e);
    if (config == NULL) {
        worker_result(worker, WORK_PERMANENT, e.text);
        return;
    }
    work_over_link(worker, request, config);
    frontend_config_free(config);
}
