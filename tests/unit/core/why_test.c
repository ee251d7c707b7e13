/* `why`: an answer for every reason a decision can give, and for what rests; never an empty one. */
#include "fixture.h"

static bool says(const struct why *why, const char *words)
{
    for (size_t i = 0; i < why->count; i++) {
        if (strstr(why->lines[i], words) != NULL) {
            return true;
        }
    }
    return false;
}

static void check_well_formed(const struct why *why)
{
    assert_in_range(why->count, 1, WHY_LINES_MAX);
    for (size_t i = 0; i < why->count; i++) {
        size_t length = strlen(why->lines[i]);
        assert_true(length > 10 && length < WHY_LINE_SIZE);
        assert_null(strchr(why->lines[i], '\n'));
        assert_int_equal(why->lines[i][length - 1], '.');
    }
}

static struct why why_of(struct fixture *f, const char *id)
{
    struct why why;
    why_instance(&f->spec, &f->world, &f->decision, find(f, id), &why);
    check_well_formed(&why);
    return why;
}

static struct why why_the_group(struct fixture *f, size_t group)
{
    struct why why;
    why_group(&f->spec, &f->world, &f->decision, group, &why);
    check_well_formed(&why);
    return why;
}

static void begin(struct fixture *f)
{
    fixture_init(f);
    settle(f);
}

/* As a hold of an instance, as a hold of its group, and as the reason of its action. */
static void every_reason_is_answered(void **state)
{
    (void)state;
    for (int code = REASON_NONE; code <= REASON_ORPHAN; code++) {
        struct fixture f;
        begin(&f);
        struct reason reason = {
            .code = (enum reason_code)code, .name = "x", .a = 1, .b = 2, .c = 3};
        char text[300];
        reason_to_string(&reason, text, sizeof(text));
        text[100] = '\0'; /* The beginning is enough. */
        f.holds[0] = (struct hold){
            .kind = HOLD_WAIT, .instance = find(&f, "web-1"), .group = WEB, .reason = reason};
        f.decision.hold_count = 1;
        struct why why = why_of(&f, "web-1");
        assert_true(says(&why, text));
        assert_true(says(&why, reason_remedy((enum reason_code)code)));
        f.holds[0].instance = WORLD_NONE;
        why = why_the_group(&f, WEB);
        assert_true(says(&why, text));
        assert_true(says(&why, reason_remedy((enum reason_code)code)));
        f.decision.hold_count = 0;
        f.actions[0] = (struct action){.kind = ACTION_LAUNCH,
                                       .instance = find(&f, "web-1"),
                                       .group = WEB,
                                       .balancer = WORLD_NONE,
                                       .reason = reason};
        f.decision.action_count = 1;
        why = why_of(&f, "web-1");
        assert_true(says(&why, text));
        assert_true(says(&why, "Next: launch"));
    }
}

static void every_state_is_answered(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    const size_t index = find(&f, "web-1");
    struct world_instance *web = the(&f, "web-1");
    for (int lifecycle = LIFECYCLE_PENDING; lifecycle <= LIFECYCLE_DETACHED; lifecycle++) {
        for (int verdict = WORLD_VERDICT_NONE; verdict <= WORLD_VERDICT_DEAD; verdict++) {
            web->lifecycle = (enum lifecycle)lifecycle;
            web->verdict = (enum world_verdict)verdict;
            decide(&f.spec, &f.world, &f.decision);
            struct why why;
            why_instance(&f.spec, &f.world, &f.decision, index, &why);
            check_well_formed(&why);
            assert_true(says(&why, lifecycle_to_string(web->lifecycle)));
            if (lifecycle != LIFECYCLE_TERMINATED) {
                assert_true(says(&why, world_verdict_to_string(web->verdict)));
                assert_true(says(&why, "Witnesses: "));
            }
        }
    }
}

static void what_rests_says_why(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    step(&f);
    struct why why = why_of(&f, "web-1");
    assert_true(says(&why, "Nothing is to be done"));
    assert_true(says(&why, "web-1 is in-service and serving; judged well"));
    assert_true(says(&why, "it is running; its SSH port passes"));
    assert_true(says(&why, "1 of 1 balancers have it up"));
    why = why_of(&f, "db-1");
    assert_false(says(&why, "balancers")); /* It is in no pool. */

    the(&f, "web-1")->busy = true;
    step(&f);
    why = why_of(&f, "web-1");
    assert_true(says(&why, "a step on it is under way"));
    the(&f, "web-1")->busy = false;

    the(&f, "db-1")->alive.health = WORLD_HEALTH_UNKNOWN;
    step(&f);
    why = why_of(&f, "db-1");
    assert_true(says(&why, "not every witness has answered (S10)"));
    set_power(&f, "db-1", WORLD_POWER_UNKNOWN);
    step(&f);
    why = why_of(&f, "db-1");
    assert_true(says(&why, "its provider has not said whether it runs"));

    /* Told to start, and the end of that was not seen. */
    set_power(&f, "db-1", WORLD_POWER_OFF);
    the(&f, "db-1")->power_doubtful = true;
    step(&f);
    why = why_of(&f, "db-1");
    assert_true(says(&why, "Witnesses: it is not known to run since it was told to start"));
}

/* What keeps one that nothing is decided about. */
static void what_waits_says_for_what(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.world.slots = 0;
    the(&f, "web-1")->drift = WORLD_DRIFT_UNKNOWN;
    step(&f);
    struct why why = why_of(&f, "web-1");
    assert_true(says(&why, "waits for a worker: as many are busy as may be"));
    why = why_of(&f, "web-2");
    assert_true(says(&why, "Nothing is to be done"));
    f.world.slots = 64;
    the(&f, "web-1")->drift = WORLD_DRIFT_NONE;

    step(&f);
    the(&f, "web-1")->verdict = WORLD_VERDICT_DISPUTED;
    why = why_of(&f, "web-1");
    assert_true(says(&why, "all is well for us, a balancer's check fails (S10)"));

    f.world_groups[WEB].suspended = WORLD_PROCESS_HEALTH_CHECK;
    step(&f);
    why = why_of(&f, "web-1");
    assert_true(says(&why, "process health-check of its group is suspended"));
}

static void a_hook_says_how_long_it_runs(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.hooks[0] = (struct spec_hook){
        .name = (char *)"join", .group = WEB, .on = SPEC_HOOK_LAUNCH, .limit_ms = 10 * MINUTE};
    f.spec.hook_count = 1;
    struct world_instance *web = the(&f, "web-1");
    web->lifecycle = LIFECYCLE_PENDING_WAIT;
    web->busy = true;
    web->hook_ms = f.world.now_ms - 5 * SECOND;
    step(&f);
    struct why why = why_of(&f, "web-1");
    assert_true(says(&why, "lifecycle hook join has run for 5 s, at most 600 s"));
    assert_true(says(&why, "group hook continue"));
}

static void what_is_too_old_waits_for_rest(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.groups[WEB].max_lifetime_ms = HOUR;
    f.groups[WEB].cooldown_ms = 2 * HOUR;
    f.world_groups[WEB].size_changed_ms = f.world.now_ms;
    advance(&f, HOUR);
    struct why why = why_of(&f, "web-1");
    assert_true(says(&why, "group web changed 3600 s ago; by itself nothing for 3600 s more"));
    f.world_groups[WEB].desired = 4;
    step(&f);
    why = why_of(&f, "web-1");
    assert_true(says(&why, "group web has 3 of 4 ready (S2)"));
    f.world_groups[WEB].desired = 3;
    the(&f, "web-2")->lifecycle = LIFECYCLE_DRAINING;
    step(&f);
    why = why_of(&f, "web-1");
    assert_true(says(&why, "waits for web-2: one at a time (S7)"));
}

static void what_is_asked_and_done_is_told(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_instance *web = the(&f, "web-1");
    web->wish = WORLD_WISH_REPLACE;
    web->protect = true;
    web->paused = true;
    web->rung = WORLD_RUNG_REBOOT;
    web->rung_ms = web->verdict_ms;
    advance(&f, 0);
    struct why why = why_of(&f, "web-1");
    assert_true(says(&why, "protected"));
    assert_true(says(&why, "paused"));
    assert_true(says(&why, "Asked for: replace."));
    assert_true(says(&why, "The last rung of its repair was reboot"));
    assert_true(says(&why, "Held: web-1 is paused (S22)."));
    assert_true(says(&why, "What would change it: `group unpause`."));
}

static void an_orphan_is_answered(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-1")->group = WORLD_NONE;
    the(&f, "web-1")->zone = WORLD_NONE;
    step(&f);
    struct why why = why_of(&f, "web-1");
    assert_true(says(&why, "its group is not in the cluster file"));
}

static void one_that_is_gone_is_gone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    size_t web = find(&f, "web-1");
    f.instances[web].lifecycle = LIFECYCLE_TERMINATED;
    step(&f);
    struct why why;
    why_instance(&f.spec, &f.world, &f.decision, web, &why);
    check_well_formed(&why);
    assert_true(says(&why, "web-1 is terminated"));
}

static void a_group_tells_its_numbers(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    step(&f);
    struct why why = why_the_group(&f, WEB);
    assert_true(says(&why, "Group web wants 3; 3 stand, 3 serve, 3 are counted on, the healthy "
                           "minimum is 2."));
    assert_true(says(&why, "Its size is as wanted."));
    f.world_groups[WEB].desired = 5;
    service_fails(&f, "web-1");
    service_fails(&f, "web-2");
    advance(&f, 0);
    why = why_the_group(&f, WEB);
    assert_true(says(&why, "The file says 3; 5 was set by hand since."));
    assert_true(says(&why, "Its breaker is open (S4)"));
    assert_true(says(&why, "Next: add, because group web has 3 of 5."));
    roles_differ(&f, "db-1");
    advance(&f, 0);
    begin_all(&f);
    step(&f);
    why = why_the_group(&f, DB);
    assert_true(says(&why, "db-1 is being changed"));
}

static void a_group_tells_why_its_size_stays(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.world_groups[WEB].desired = 2;
    step(&f);
    struct why why = why_the_group(&f, WEB);
    assert_true(says(&why, "Next: web-3 leaves."));
    f.world_groups[WEB].disrupted_ms = f.world.now_ms;
    step(&f);
    why = why_the_group(&f, WEB);
    assert_true(says(&why, "web-3 is to leave, and held: the last one is back for 0 s"));
    the(&f, "web-3")->busy = true;
    step(&f);
    why = why_the_group(&f, WEB);
    assert_true(says(&why, "a step on it is under way: web-3"));
    the(&f, "web-3")->busy = false;
    f.world_groups[WEB].desired = 1;
    the(&f, "web-1")->lifecycle = the(&f, "web-2")->lifecycle = the(&f, "web-3")->lifecycle =
        LIFECYCLE_STANDBY;
    the(&f, "web-1")->wish = the(&f, "web-2")->wish = the(&f, "web-3")->wish = WORLD_WISH_STANDBY;
    step(&f);
    why = why_the_group(&f, WEB);
    assert_true(says(&why, "3 of its members are in standby, more than it wants"));
}

static void a_group_tells_why_its_zones_stay(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-1")->zone = the(&f, "web-2")->zone = the(&f, "web-3")->zone = RACK_A;
    f.groups[WEB].cooldown_ms = HOUR;
    f.world_groups[WEB].size_changed_ms = f.world.now_ms - 10 * SECOND;
    step(&f);
    struct why why = why_the_group(&f, WEB);
    assert_true(says(&why, "zone rack-a has 3 of it, zone rack-b has 0"));
    assert_true(says(&why, "group web changed 10 s ago; by itself nothing for 3590 s more"));
    f.world_groups[WEB].failed_launches = 1;
    step(&f);
    why = why_the_group(&f, WEB);
    assert_true(says(&why, "1 new instance of group web in a row did not come into service"));
    f.world_groups[WEB].suspended = WORLD_PROCESS_REBALANCE;
    step(&f);
    why = why_the_group(&f, WEB);
    assert_true(says(&why, "process rebalance of its group is suspended"));
}

static void the_cluster_tells_what_holds_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    step(&f);
    struct why why;
    why_cluster(&f.spec, &f.world, &f.decision, &why);
    check_well_formed(&why);
    assert_true(says(&why, "Cluster shop: 0 of 5 hosts do not answer."));
    f.world.paused = true;
    f.world.frozen.on = true;
    f.world_zones[RACK_A].lost.on = true;
    f.world_zones[RACK_B].breaker.open.on = true;
    why_cluster(&f.spec, &f.world, &f.decision, &why);
    check_well_formed(&why);
    assert_true(says(&why, "is paused (S22)"));
    assert_true(says(&why, "(S5)"));
    assert_true(says(&why, "Zone rack-a is lost as a whole (S6)"));
    assert_true(says(&why, "The breaker of zone rack-b is open (S4)"));
}

/* More zones than lines: the answer ends, it does not overflow. */
static void long_answers_end(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct spec_zone zones[40];
    struct world_zone world_zones[40];
    memset(world_zones, 0, sizeof(world_zones));
    char name[64];
    memset(name, 'z', sizeof(name));
    name[63] = '\0';
    for (size_t z = 0; z < 40; z++) {
        zones[z] = (struct spec_zone){.name = name};
        world_zones[z].lost.on = world_zones[z].breaker.open.on = true;
    }
    f.spec.zones = zones;
    f.spec.zone_count = 40;
    f.world.zones = world_zones;
    struct why why;
    why_cluster(&f.spec, &f.world, &f.decision, &why);
    check_well_formed(&why);
    assert_int_equal(why.count, WHY_LINES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_is_answered),
        cmocka_unit_test(every_state_is_answered),
        cmocka_unit_test(what_rests_says_why),
        cmocka_unit_test(what_waits_says_for_what),
        cmocka_unit_test(a_hook_says_how_long_it_runs),
        cmocka_unit_test(what_is_too_old_waits_for_rest),
        cmocka_unit_test(what_is_asked_and_done_is_told),
        cmocka_unit_test(an_orphan_is_answered),
        cmocka_unit_test(one_that_is_gone_is_gone),
        cmocka_unit_test(a_group_tells_its_numbers),
        cmocka_unit_test(a_group_tells_why_its_size_stays),
        cmocka_unit_test(a_group_tells_why_its_zones_stay),
        cmocka_unit_test(the_cluster_tells_what_holds_it),
        cmocka_unit_test(long_answers_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
