/* The world's own: names, and which balancers and targets the spec asks for. */
#include "fixture.h"

static void put(struct fixture *f, size_t group, unsigned number, enum lifecycle lifecycle)
{
    struct world_instance *it = &f->instances[f->world.instance_count++];
    *it = (struct world_instance){.group = group, .number = number, .lifecycle = lifecycle};
    instance_id(it->id, group == WORLD_NONE ? "orphan" : f->groups[group].name, number);
}

/* Every pair, each once, in whatever order they came. */
static void check_complete(const struct fixture *f, size_t balancers, size_t members)
{
    assert_int_equal(f->world.balancer_count, balancers);
    assert_int_equal(f->world.target_count, balancers * members);
    for (size_t t = 0; t < f->world.target_count; t++) {
        for (size_t other = 0; other < t; other++) {
            assert_false(f->targets[t].member == f->targets[other].member &&
                         f->targets[t].balancer == f->targets[other].balancer);
        }
    }
}

static void every_pair_is_there_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    world_complete(&f.spec, &f.world);
    check_complete(&f, 0, 0);
    put(&f, WEB, 1, LIFECYCLE_IN_SERVICE);
    put(&f, LB, 1, LIFECYCLE_IN_SERVICE);
    put(&f, WEB, 2, LIFECYCLE_PENDING);
    put(&f, DB, 1, LIFECYCLE_IN_SERVICE);
    put(&f, LB, 2, LIFECYCLE_PENDING);
    world_complete(&f.spec, &f.world);
    check_complete(&f, 2, 2);
    for (int i = 0; i < 2; i++) {
        f.targets[0].state = WORLD_TARGET_UP;
        world_complete(&f.spec, &f.world); /* What is there stays as it is. */
        check_complete(&f, 2, 2);
        assert_int_equal(f.targets[0].state, WORLD_TARGET_UP);
    }
    put(&f, WEB, 3, LIFECYCLE_PENDING);
    put(&f, LB, 3, LIFECYCLE_PENDING);
    world_complete(&f.spec, &f.world);
    check_complete(&f, 3, 3);
}

/* One at a time comes to the same. */
static void the_last_one_alone(void **state)
{
    (void)state;
    static const size_t groups[] = {WEB, LB, WEB, DB, LB, WEB, LB};
    static const size_t balancers[] = {0, 1, 1, 1, 2, 2, 3};
    static const size_t members[] = {1, 1, 2, 2, 2, 3, 3};
    struct fixture f;
    fixture_init(&f);
    for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        put(&f, groups[i], i + 1, LIFECYCLE_PENDING);
        world_complete_last(&f.spec, &f.world);
        check_complete(&f, balancers[i], members[i]);
        world_complete(&f.spec, &f.world);
        check_complete(&f, balancers[i], members[i]);
    }
}

static void who_has_no_targets(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    put(&f, LB, 1, LIFECYCLE_IN_SERVICE);
    put(&f, LB, 2, LIFECYCLE_TERMINATING); /* Until it is gone it sends traffic. */
    put(&f, LB, 4, LIFECYCLE_TERMINATED);
    put(&f, LB, 3, LIFECYCLE_DETACHED);
    put(&f, WEB, 1, LIFECYCLE_DETACHED);
    put(&f, WEB, 2, LIFECYCLE_TERMINATED);
    put(&f, WEB, 3, LIFECYCLE_TERMINATING); /* It must still be taken out. */
    put(&f, WORLD_NONE, 1, LIFECYCLE_IN_SERVICE);
    world_complete(&f.spec, &f.world);
    check_complete(&f, 2, 1);
    assert_int_equal(f.targets[0].member, 6);
    f.route.pool = 7; /* A frontend that routes elsewhere is in front of nobody here. */
    f.world.target_count = 0;
    world_complete(&f.spec, &f.world);
    check_complete(&f, 2, 0);
}

static void a_new_cluster_begins_as_the_file_says(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    memset(f.world_groups, 0xff, sizeof(f.world_groups));
    memset(f.world_zones, 0xff, sizeof(f.world_zones));
    world_groups_init(&f.spec, &f.world);
    for (size_t g = 0; g < GROUPS; g++) {
        const struct world_group *w = &f.world_groups[g];
        assert_int_equal(w->desired, f.groups[g].desired);
        assert_int_equal(w->next_number, 1);
        assert_int_equal(w->suspended, 0);
        assert_int_equal(w->failed_launches, 0);
        assert_false(w->paused || w->breaker.open.on);
        assert_true(w->disrupted_ms == INT64_MIN && w->size_changed_ms == INT64_MIN);
    }
    for (size_t z = 0; z < f.spec.zone_count; z++) {
        assert_false(f.world_zones[z].lost.on || f.world_zones[z].breaker.open.on);
    }
}

static void names_of_processes_go_both_ways(void **state)
{
    (void)state;
    size_t count = 0;
    for (; world_process_names[count] != NULL; count++) {
        enum world_process process = world_process_from_string(world_process_names[count]);
        assert_int_equal(process, 1 << count);
        assert_string_equal(world_process_to_string(process), world_process_names[count]);
    }
    assert_int_equal(1 << (count - 1), WORLD_PROCESS_CHANGE); /* All of them. */
    assert_int_equal(world_process_from_string("lunch"), 0);
    assert_int_equal(world_process_from_string(""), 0);
}

static void everything_has_a_name(void **state)
{
    (void)state;
    for (int i = WORLD_VERDICT_NONE; i <= WORLD_VERDICT_DEAD; i++) {
        bool unknown = i == WORLD_VERDICT_UNKNOWN; /* Is called so. */
        assert_int_equal(strcmp(world_verdict_to_string((enum world_verdict)i), "unknown") == 0,
                         unknown);
    }
    for (int i = WORLD_RUNG_NONE; i <= WORLD_RUNG_QUARANTINE; i++) {
        assert_string_not_equal(world_rung_to_string((enum world_rung)i), "unknown");
    }
    for (int i = WORLD_WISH_NONE; i <= WORLD_WISH_DETACH; i++) {
        assert_string_not_equal(world_wish_to_string((enum world_wish)i), "unknown");
    }
    for (int i = LIFECYCLE_PENDING; i <= LIFECYCLE_DETACHED; i++) {
        assert_string_not_equal(lifecycle_to_string((enum lifecycle)i), "unknown");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_is_there_once),
        cmocka_unit_test(the_last_one_alone),
        cmocka_unit_test(who_has_no_targets),
        cmocka_unit_test(a_new_cluster_begins_as_the_file_says),
        cmocka_unit_test(names_of_processes_go_both_ways),
        cmocka_unit_test(everything_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
