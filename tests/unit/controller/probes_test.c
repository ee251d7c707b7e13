/* controller/probes: whom the prober follows, and for what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/state.h"

enum { WEB, BATCH };

struct fixture {
    struct spec_group groups[2];
    struct spec_pool pools[1];
    struct spec spec;
    struct controller c;
    struct world_instance instances[1];
    struct member members[1];
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){
        .groups = {{.name = "web", .pool = 0}, {.name = "batch", .pool = SPEC_NONE}},
        .pools = {{.name = "web"}},
        .instances = {{.id = "web-1",
                       .group = WEB,
                       .lifecycle = LIFECYCLE_IN_SERVICE,
                       .power = WORLD_POWER_RUNNING,
                       .greeted = true,
                       .configured = true}}};
    f->spec =
        (struct spec){.groups = f->groups, .group_count = 2, .pools = f->pools, .pool_count = 1};
    f->c = (struct controller){.spec = &f->spec, .members = f->members};
    f->c.world.instances = f->instances;
    f->c.world.instance_count = 1;
    f->c.world.tireless = true;
}

static bool wants(struct fixture *f, enum check_role role)
{
    return probes_want(&f->c, 0, role);
}

/* It hangs at its boot: else nobody would ever say so, and it would be greeted in vain for good. */
static void one_that_comes_up_again_is_followed_before_it_is_greeted(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.instances[0].lifecycle = LIFECYCLE_PENDING;
    f.instances[0].greeted = false;
    assert_true(wants(&f, CHECK_LIVENESS));
    assert_true(wants(&f, CHECK_READINESS));
}

static void a_new_one_has_time_to_boot(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.instances[0].lifecycle = LIFECYCLE_PENDING;
    f.instances[0].greeted = false;
    f.instances[0].configured = false;
    assert_false(wants(&f, CHECK_LIVENESS));
    assert_false(wants(&f, CHECK_READINESS));
    f.instances[0].greeted = true;
    assert_true(wants(&f, CHECK_LIVENESS));
    assert_false(wants(&f, CHECK_READINESS));
}

static void one_in_service_is_followed_whatever_its_provider_says(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.instances[0].power = WORLD_POWER_OFF;
    assert_true(wants(&f, CHECK_LIVENESS));
    assert_true(wants(&f, CHECK_READINESS));
    f.instances[0].lifecycle = LIFECYCLE_PENDING;
    assert_false(wants(&f, CHECK_LIVENESS));
    assert_false(wants(&f, CHECK_READINESS));
}

static void without_a_pool_only_a_controller_that_stays_asks(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.instances[0].group = BATCH;
    assert_true(wants(&f, CHECK_LIVENESS));
    assert_false(wants(&f, CHECK_READINESS));
    f.c.world.tireless = false;
    assert_false(wants(&f, CHECK_LIVENESS));
}

static void who_is_no_member_is_not_followed(void **state)
{
    (void)state;
    static const enum lifecycle gone[] = {LIFECYCLE_DETACHED, LIFECYCLE_TERMINATED};
    struct fixture f;
    for (size_t i = 0; i < 2; i++) {
        begin(&f);
        f.instances[0].lifecycle = gone[i];
        assert_false(wants(&f, CHECK_LIVENESS));
        assert_false(wants(&f, CHECK_READINESS));
    }
    begin(&f);
    f.instances[0].group = WORLD_NONE;
    assert_false(wants(&f, CHECK_LIVENESS));
}

/* The prober goes straight: where a bastion stands between, it reaches nobody. */
static void behind_a_bastion_only_the_service_is_asked(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct spec_host bastion = {.name = "bastion"};
    f.spec.hosts = &bastion;
    f.spec.host_count = 1;
    f.spec.login.proxy_jump = "bastion";
    assert_false(wants(&f, CHECK_LIVENESS));
    assert_true(wants(&f, CHECK_READINESS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_comes_up_again_is_followed_before_it_is_greeted),
        cmocka_unit_test(a_new_one_has_time_to_boot),
        cmocka_unit_test(one_in_service_is_followed_whatever_its_provider_says),
        cmocka_unit_test(without_a_pool_only_a_controller_that_stays_asks),
        cmocka_unit_test(who_is_no_member_is_not_followed),
        cmocka_unit_test(behind_a_bastion_only_the_service_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
