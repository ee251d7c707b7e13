/* The simulator's provider keeps the contract of the real ones. */
#include "base/clock.h"
#include "base/err.h"
#include "conformance/fake_provider.h"
#include "conformance/provider_suite.h"

static void power_off(struct provider_suite *suite, const char *id)
{
    fake_world_power_off(suite->context, id);
}

static void restart_host(struct provider_suite *suite)
{
    fake_world_restart(suite->context);
}

static void plant(struct provider_suite *suite, const char *id, bool there)
{
    fake_world_plant(suite->context, id, there);
}

static bool is_planted(struct provider_suite *suite, const char *id)
{
    return fake_world_is_planted(suite->context, id);
}

static bool has_remains(struct provider_suite *suite, const char *id)
{
    return fake_world_has(suite->context, id);
}

static bool cut_short(struct provider_suite *suite, enum provider_suite_call call, const char *id,
                      unsigned step)
{
    void *context = NULL;
    struct err e = ERR_NULL;
    if (suite->ops->open(&suite->config, &context, &e) < 0) {
        abort();
    }
    fake_world_cut(suite->context, (int)step);
    if (call == PROVIDER_SUITE_ENSURE) {
        struct provider_instance_config config = suite->instance;
        config.id = id;
        config.group = "one";
        config.address = suite->addresses[0];
        struct provider_view view = {.id = NULL};
        (void)suite->ops->ensure(context, &config, &view, &e);
        provider_view_deinit(&view);
    } else if (call == PROVIDER_SUITE_STOP) {
        (void)suite->ops->stop(context, id, clock_now_ms() + 1000, &e);
    } else {
        (void)suite->ops->destroy(context, id, clock_now_ms() + 1000, &e);
    }
    suite->ops->close(context);
    bool cut = fake_world_was_cut(suite->context);
    fake_world_cut(suite->context, -1);
    return cut;
}

int main(void)
{
    struct fake_world *world = fake_world_new("suite");
    struct provider_suite suite = {
        .ops = &provider_fake,
        .config = {.cluster = "suite", .name = "fake", .zone = "rack-a", .uri = "fake:suite"},
        .instance = {.image = "debian-12",
                     .cpus = 1,
                     .memory_bytes = 256 << 20,
                     .prefix_length = 16,
                     .login_key = "ssh-ed25519 AAAA login"},
        .addresses = {"10.77.1.1", "10.77.1.2", "10.77.1.3"},
        .context = world,
        .power_off = power_off,
        .restart_host = restart_host,
        .plant = plant,
        .is_planted = is_planted,
        .has_remains = has_remains,
        .cut_short = cut_short,
    };
    int failed = provider_suite_run(&suite);
    fake_world_free(world);
    return failed;
}
