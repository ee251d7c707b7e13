/* What a provider does for us: list, ensure, stop, destroy. */
#include "base/err.h"
#include "controller/worker.h"
#include "provider/provider.h"
#include "spec/spec.h"

static const struct provider_ops *ops_of(int64_t type)
{
    return type == SPEC_PROVIDER_LIBVIRT ? &provider_libvirt : &provider_static;
}

static void put_view(struct message *message, const struct provider_view *view)
{
    message_put_text(message, WIRE_INSTANCE, view->id);
    message_put_text(message, WIRE_GROUP, view->group);
    message_put_text(message, WIRE_ZONE, view->zone);
    message_put_text(message, WIRE_ADDRESS, view->address);
    message_put_int(message, WIRE_POWER, view->power);
    message_put_text(message, WIRE_HOST_KEY, view->host_key);
    message_put_text(message, WIRE_IMAGE, view->image);
    message_put_text(message, WIRE_BUILD, view->build);
    message_put_text(message, WIRE_CONTENT, view->content);
    message_put_text(message, WIRE_MACHINE_ID, view->machine_id);
}

static void list(struct worker *worker, const struct provider_ops *ops, void *provider)
{
    struct err e = ERR_NULL;
    struct provider_view *views;
    size_t count;
    if (ops->list(provider, &views, &count, &e) != 0) {
        worker_result(worker, WORK_TRANSIENT, e.text);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct message item = MESSAGE_NULL;
        message_init(&item, WIRE_ITEM);
        put_view(&item, &views[i]);
        worker_send(worker, &item);
        message_deinit(&item);
    }
    provider_views_free(views, count);
    worker_result(worker, WORK_DONE, NULL);
}

static void ensure(struct worker *worker, const struct provider_ops *ops, void *provider,
                   const struct message *request)
{
    const struct provider_instance_config config = {
        .id = message_text(request, WIRE_INSTANCE, ""),
        .group = message_text(request, WIRE_GROUP, ""),
        .image = message_text(request, WIRE_IMAGE, ""),
        .cpus = (unsigned)message_int(request, WIRE_CPUS, 0),
        .memory_bytes = message_int(request, WIRE_MEMORY, 0),
        .address = message_text(request, WIRE_ADDRESS, ""),
        .prefix_length = (unsigned)message_int(request, WIRE_PREFIX, 0),
        .gateway = message_text(request, WIRE_GATEWAY, NULL),
        .login_key = message_text(request, WIRE_LOGIN_KEY, ""),
        .deadline_ms = message_int(request, WIRE_DEADLINE, 0),
    };
    struct err e = ERR_NULL;
    struct provider_view view;
    worker_progress(worker, "making the host");
    if (ops->ensure(provider, &config, &view, &e) != 0) {
        worker_result(worker, WORK_TRANSIENT, e.text);
        return;
    }
    struct message result = MESSAGE_NULL;
    message_init(&result, WIRE_RESULT);
    message_put_int(&result, WIRE_OUTCOME, WORK_DONE);
    put_view(&result, &view);
    worker_send(worker, &result);
    message_deinit(&result);
    provider_view_deinit(&view);
}

static void destroy(struct worker *worker, const struct provider_ops *ops, void *provider,
                    const struct message *request)
{
    struct err e = ERR_NULL;
    worker_progress(worker, "ending the host");
    int result = ops->destroy(provider, message_text(request, WIRE_INSTANCE, ""),
                              message_int(request, WIRE_DEADLINE, 0), &e);
    worker_result(worker, result == 0 ? WORK_DONE : WORK_TRANSIENT, result == 0 ? NULL : e.text);
}

static void stop(struct worker *worker, const struct provider_ops *ops, void *provider,
                 const struct message *request)
{
    struct err e = ERR_NULL;
    worker_progress(worker, "switching the host off");
    int result = ops->stop(provider, message_text(request, WIRE_INSTANCE, ""),
                           message_int(request, WIRE_DEADLINE, 0), &e);
    worker_result(worker, result == 0 ? WORK_DONE : WORK_TRANSIENT, result == 0 ? NULL : e.text);
}

void act_provider_work(struct worker *worker, const struct message *request)
{
    const struct provider_config config = {
        .cluster = message_text(request, WIRE_CLUSTER, ""),
        .name = message_text(request, WIRE_PROVIDER, ""),
        .zone = message_text(request, WIRE_ZONE, ""),
        .uri = message_text(request, WIRE_URI, NULL),
        .bridge = message_text(request, WIRE_BRIDGE, NULL),
        .image_dir = message_text(request, WIRE_IMAGE_DIR, NULL),
        .image_keys = message_text(request, WIRE_IMAGE_KEYS, NULL),
        .instance_dir = message_text(request, WIRE_INSTANCE_DIR, NULL),
        .epoch = message_int(request, WIRE_EPOCH, 0),
    };
    const struct provider_ops *ops = ops_of(message_int(request, WIRE_PROVIDER_TYPE, 0));
    struct err e = ERR_NULL;
    void *provider;
    if (ops->open(&config, &provider, &e) != 0) {
        worker_result(worker, WORK_TRANSIENT, e.text);
        return;
    }
    switch (message_kind(request)) {
    case WIRE_LIST: list(worker, ops, provider); break;
    case WIRE_ENSURE: ensure(worker, ops, provider, request); break;
    case WIRE_STOP: stop(worker, ops, provider, request); break;
    default: destroy(worker, ops, provider, request); break;
    }
    ops->close(provider);
}
