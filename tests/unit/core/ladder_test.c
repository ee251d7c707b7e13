/* The repair ladder: each rung, what can be climbed by whom, and when a rung is forgotten. */
#include "fixture.h"

enum kind_of_host {
    MADE,   /* By a provider that can switch it. */
    SILENT, /* The same, and the provider does not answer. */
    STATIC, /* Nobody can switch it. */
};

/* The rungs from the lowest on, each followed by the next above it, NONE last. */
struct way {
    enum world_verdict verdict;
    enum kind_of_host host;
    enum spec_repair repair;
    unsigned rebuilds;
    enum world_rung rungs[6];
};

static const struct way ways[] = {
    /* It lives: everything, from the mildest on. */
    {WORLD_VERDICT_UNREADY,
     MADE,
     SPEC_REPAIR_REPLACE,
     0,
     {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_CYCLE, WORLD_RUNG_REPLACE,
      WORLD_RUNG_QUARANTINE, WORLD_RUNG_NONE}},
    {WORLD_VERDICT_UNREADY,
     MADE,
     SPEC_REPAIR_RESTART,
     0,
     {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_CYCLE, WORLD_RUNG_NONE}},
    /* Rebuilt too often (S9): not once more. */
    {WORLD_VERDICT_UNREADY,
     MADE,
     SPEC_REPAIR_REPLACE,
     LADDER_REBUILDS_MAX,
     {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_CYCLE, WORLD_RUNG_QUARANTINE,
      WORLD_RUNG_NONE}},
    {WORLD_VERDICT_UNREADY,
     MADE,
     SPEC_REPAIR_REPLACE,
     LADDER_REBUILDS_MAX - 1,
     {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_CYCLE, WORLD_RUNG_REPLACE,
      WORLD_RUNG_QUARANTINE, WORLD_RUNG_NONE}},
    /* Nobody can say whether it runs (S10): nothing that needs the provider. */
    {WORLD_VERDICT_UNREADY,
     SILENT,
     SPEC_REPAIR_REPLACE,
     0,
     {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_QUARANTINE, WORLD_RUNG_NONE}},
    {WORLD_VERDICT_UNREADY,
     STATIC,
     SPEC_REPAIR_REPLACE,
     0,
     {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_QUARANTINE, WORLD_RUNG_NONE}},
    {WORLD_VERDICT_UNREADY,
     STATIC,
     SPEC_REPAIR_RESTART,
     0,
     {WORLD_RUNG_RESTART, WORLD_RUNG_REBOOT, WORLD_RUNG_NONE}},
    /* Not reached: nothing over SSH. */
    {WORLD_VERDICT_LOST,
     MADE,
     SPEC_REPAIR_REPLACE,
     0,
     {WORLD_RUNG_CYCLE, WORLD_RUNG_REPLACE, WORLD_RUNG_NONE}},
    {WORLD_VERDICT_LOST, MADE, SPEC_REPAIR_RESTART, 0, {WORLD_RUNG_CYCLE, WORLD_RUNG_NONE}},
    {WORLD_VERDICT_LOST, SILENT, SPEC_REPAIR_REPLACE, 0, {WORLD_RUNG_NONE}},
    {WORLD_VERDICT_LOST, STATIC, SPEC_REPAIR_REPLACE, 0, {WORLD_RUNG_NONE}},
};

static void each_rung_is_followed_by_the_next_that_can_be_climbed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    struct world_instance *web = the(&f, "web-1");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        const struct way *way = &ways[i];
        f.groups[WEB].repair = way->repair;
        web->verdict = way->verdict;
        web->verdict_ms = f.world.now_ms;
        web->power_witnessed = way->host != STATIC;
        web->power = way->host == SILENT ? WORLD_POWER_UNKNOWN : WORLD_POWER_RUNNING;
        web->rebuilds = way->rebuilds;
        web->rung = WORLD_RUNG_NONE;
        web->rung_ms = f.world.now_ms;
        for (size_t n = 0;; n++) {
            enum world_rung next = ladder_next(&f.spec, web);
            if (next != way->rungs[n]) {
                fail_msg("way %zu, after %s: %s, not %s", i, world_rung_to_string(web->rung),
                         world_rung_to_string(next), world_rung_to_string(way->rungs[n]));
            }
            if (next == WORLD_RUNG_NONE) {
                break;
            }
            web->rung = next;
        }
    }
}

static void a_rung_of_an_earlier_trouble_is_forgotten(void **state)
{
    (void)state;
    struct world_instance it = {.rung = WORLD_RUNG_REBOOT, .rung_ms = HOUR};
    it.verdict_ms = HOUR + LADDER_FORGET_MS;
    assert_int_equal(ladder_position(&it), WORLD_RUNG_REBOOT);
    it.verdict_ms++;
    assert_int_equal(ladder_position(&it), WORLD_RUNG_NONE);
    it.verdict_ms = HOUR - MINUTE; /* The trouble began before: the rung was for it. */
    assert_int_equal(ladder_position(&it), WORLD_RUNG_REBOOT);
}

static void grace_is_the_rungs_time_when_that_is_shorter(void **state)
{
    (void)state;
    static const struct {
        enum world_rung rung;
        int64_t group_ms, grace_ms;
    } cases[] = {
        {WORLD_RUNG_NONE, FIXTURE_GRACE_MS, FIXTURE_GRACE_MS},
        {WORLD_RUNG_RESTART, FIXTURE_GRACE_MS, MINUTE},
        {WORLD_RUNG_REBOOT, FIXTURE_GRACE_MS, 3 * MINUTE},
        {WORLD_RUNG_CYCLE, FIXTURE_GRACE_MS, 3 * MINUTE},
        {WORLD_RUNG_RESTART, 20 * SECOND, 20 * SECOND},
        {WORLD_RUNG_CYCLE, MINUTE, MINUTE},
        {WORLD_RUNG_NONE, 0, 0},
    };
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f.groups[WEB].grace_ms = cases[i].group_ms;
        struct world_instance it = {.group = WEB, .rung = cases[i].rung};
        assert_int_equal(ladder_grace_ms(&f.spec, &it), cases[i].grace_ms);
    }
}

/* From the world. */

static void rung_ends(struct fixture *f, enum action_kind kind)
{
    should(f, kind, "web-1", REASON_MEND);
    ends(f, kind, "web-1", OUTCOME_DONE);
}

static void an_unready_host_climbs_to_the_top(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.groups[WEB].grace_ms = 0;
    settle(&f);
    service_fails(&f, "web-1");
    advance(&f, 0);
    should_wait(&f, "web-1", REASON_WAITS_TO_CONFIRM);
    advance(&f, LADDER_CONFIRM_MS - 1);
    should_wait(&f, "web-1", REASON_WAITS_TO_CONFIRM);
    assert_true(f.decision.deadline_ms == f.world.now_ms + 1);
    advance(&f, 1);
    rung_ends(&f, ACTION_RESTART);
    assert_int_equal(the(&f, "web-1")->lifecycle, LIFECYCLE_PENDING);
    service_fails(&f, "web-1");
    set_alive(&f, "web-1", WORLD_HEALTHY);
    advance(&f, 0);
    advance(&f, 2 * LADDER_CONFIRM_MS);
    should_wait(&f, "web-1", REASON_WAITS_FOR_RUNG);
    advance(&f, MINUTE - 2 * LADDER_CONFIRM_MS - 1);
    should_wait(&f, "web-1", REASON_WAITS_FOR_RUNG);
    assert_true(f.decision.deadline_ms == f.world.now_ms + 1);
    advance(&f, 1);
    rung_ends(&f, ACTION_REBOOT);
    service_fails(&f, "web-1");
    set_alive(&f, "web-1", WORLD_HEALTHY);
    advance(&f, 0);
    advance(&f, 3 * MINUTE - 1);
    should_wait(&f, "web-1", REASON_WAITS_FOR_RUNG);
    advance(&f, 1);
    rung_ends(&f, ACTION_CYCLE);
    assert_int_equal(the(&f, "web-1")->power, WORLD_POWER_OFF);
    advance(&f, 0);
    should(&f, ACTION_LAUNCH, "web-1", REASON_NOT_RUNNING);
    ends(&f, ACTION_LAUNCH, "web-1", OUTCOME_DONE);
    service_fails(&f, "web-1");
    set_alive(&f, "web-1", WORLD_HEALTHY);
    advance(&f, 0);
    advance(&f, 3 * MINUTE);
    should_mark(&f, "web-1", LIFECYCLE_PENDING, REASON_MEND);
    assert_int_equal(action_on(&f, ACTION_MARK, "web-1")->wish, WORLD_WISH_REPLACE);
}

/* However it ended: then comes the next one. */
static void a_rung_that_failed_counts_as_taken(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    service_fails(&f, "web-1");
    advance(&f, 0);
    advance(&f, LADDER_CONFIRM_MS);
    should(&f, ACTION_RESTART, "web-1", REASON_MEND);
    ends(&f, ACTION_RESTART, "web-1", OUTCOME_PERMANENT);
    assert_int_equal(the(&f, "web-1")->failure, WORLD_FAILURE_NONE);
    advance(&f, MINUTE);
    should(&f, ACTION_REBOOT, "web-1", REASON_MEND);
}

static void one_that_is_well_again_is_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    service_fails(&f, "web-1");
    advance(&f, 0);
    advance(&f, LADDER_CONFIRM_MS - 1);
    host_is_well(&f, "web-1");
    advance(&f, 1);
    should_rest(&f);
    assert_null(hold_on(&f, "web-1"));
}

static void a_lost_host_is_cycled_then_given_up_and_replaced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    host_is_lost(&f, "web-1");
    advance(&f, 0);
    advance(&f, LADDER_CONFIRM_MS);
    should(&f, ACTION_CYCLE, "web-1", REASON_MEND);
    ends(&f, ACTION_CYCLE, "web-1", OUTCOME_TRANSIENT);
    advance(&f, 3 * MINUTE - 1);
    should_wait(&f, "web-1", REASON_WAITS_FOR_RUNG);
    advance(&f, 1);
    should_mark(&f, "web-1", LIFECYCLE_IN_SERVICE, REASON_MEND);
    assert_int_equal(action_on(&f, ACTION_MARK, "web-1")->wish, WORLD_WISH_REPLACE);
    ends(&f, ACTION_MARK, "web-1", OUTCOME_DONE);
    /* Nobody serves worse for it: it goes at once, and another is made beside. */
    advance(&f, 0);
    should_mark(&f, "web-1", LIFECYCLE_TERMINATING, REASON_WISH_REPLACE);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
}

/* Nobody reaches it and nobody can say whether it runs: another is made, this one is left. */
static void a_lost_host_without_a_witness_is_for_a_human(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    the(&f, "web-1")->power_witnessed = false;
    host_is_lost(&f, "web-1");
    advance(&f, 0);
    advance(&f, LADDER_CONFIRM_MS);
    should_rest(&f);
    should_stick(&f, "web-1", REASON_NO_POWER);
    advance(&f, SURVEY_LOST_GIVEN_UP_MS - LADDER_CONFIRM_MS);
    assert_int_equal(f.decision.action_count, 1);
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1);
    should_stick(&f, "web-1", REASON_NO_POWER);
}

static void the_last_rung_is_quarantine(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    struct world_instance *web = the(&f, "web-1");
    web->rebuilds = LADDER_REBUILDS_MAX;
    web->rung = WORLD_RUNG_CYCLE;
    web->rung_ms = f.world.now_ms - 5 * MINUTE;
    service_fails(&f, "web-1");
    advance(&f, 0);
    advance(&f, LADDER_CONFIRM_MS);
    should_mark(&f, "web-1", LIFECYCLE_QUARANTINED, REASON_QUARANTINE);
    ends(&f, ACTION_MARK, "web-1", OUTCOME_DONE);
    advance(&f, 0);
    should(&f, ACTION_REMOVE, "web-1", REASON_QUARANTINED);  /* Nothing is sent to it. */
    assert_int_equal(count_actions(&f, ACTION_ADD, WEB), 1); /* And another is made. */
    ends(&f, ACTION_REMOVE, "web-1", OUTCOME_DONE);
    advance(&f, 0);
    should_stick(&f, "web-1", REASON_QUARANTINED);
    should_not(&f, ACTION_TERMINATE, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rung_is_followed_by_the_next_that_can_be_climbed),
        cmocka_unit_test(a_rung_of_an_earlier_trouble_is_forgotten),
        cmocka_unit_test(grace_is_the_rungs_time_when_that_is_shorter),
        cmocka_unit_test(an_unready_host_climbs_to_the_top),
        cmocka_unit_test(a_rung_that_failed_counts_as_taken),
        cmocka_unit_test(one_that_is_well_again_is_left_alone),
        cmocka_unit_test(a_lost_host_is_cycled_then_given_up_and_replaced),
        cmocka_unit_test(a_lost_host_without_a_witness_is_for_a_human),
        cmocka_unit_test(the_last_rung_is_quarantine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
