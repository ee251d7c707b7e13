/*
 * Judging: the verdict of every combination of witnesses, how long it takes, and what is concluded
 * from many verdicts at once: breakers, lost zones, and whether it is we who are cut off.
 */
#include "fixture.h"

#define CALM_MS 30000 /* How long a latch stays on after its cause is gone. */

enum { UNKNOWN = WORLD_HEALTH_UNKNOWN, WELL = WORLD_HEALTHY, BAD = WORLD_UNHEALTHY };

static void begin(struct fixture *f)
{
    fixture_init(f);
    settle(f);
}

/* Verdicts. */

enum said { SAYS_UP, SAYS_DOWN, SAYS_UNKNOWN, SAYS_NOTHING_LATELY };

static void put_witnesses(struct fixture *f, int alive, int health, enum said balancer)
{
    the(f, "web-1")->alive.health = (enum world_health)alive;
    the(f, "web-1")->health.health = (enum world_health)health;
    set_targets(f, "web-1",
                balancer == SAYS_UP        ? WORLD_TARGET_UP
                : balancer == SAYS_UNKNOWN ? WORLD_TARGET_UNKNOWN
                                           : WORLD_TARGET_DOWN);
    if (balancer == SAYS_NOTHING_LATELY) {
        f->balancers[0].seen_ms = f->world.now_ms - 31 * SECOND;
    }
}

static const struct {
    int alive;
    int health;
    enum world_verdict verdicts[4]; /* By what the balancer says, in the order of enum said. */
} in_a_pool[] = {
    {WELL, WELL, {WORLD_VERDICT_OK, WORLD_VERDICT_DISPUTED, WORLD_VERDICT_OK, WORLD_VERDICT_OK}},
    {WELL,
     BAD,
     {WORLD_VERDICT_DISPUTED, WORLD_VERDICT_UNREADY, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN}},
    {WELL,
     UNKNOWN,
     {WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN}},
    {BAD,
     WELL,
     {WORLD_VERDICT_DISPUTED, WORLD_VERDICT_DISPUTED, WORLD_VERDICT_DISPUTED,
      WORLD_VERDICT_DISPUTED}},
    {BAD,
     BAD,
     {WORLD_VERDICT_DISPUTED, WORLD_VERDICT_LOST, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN}},
    {BAD,
     UNKNOWN,
     {WORLD_VERDICT_DISPUTED, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN}},
    {UNKNOWN,
     WELL,
     {WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN}},
    {UNKNOWN,
     BAD,
     {WORLD_VERDICT_DISPUTED, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN}},
    {UNKNOWN,
     UNKNOWN,
     {WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN, WORLD_VERDICT_UNKNOWN}},
};

static void every_combination_in_a_pool(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof(in_a_pool) / sizeof(in_a_pool[0]); i++) {
        for (int said = SAYS_UP; said <= SAYS_NOTHING_LATELY; said++) {
            put_witnesses(&f, in_a_pool[i].alive, in_a_pool[i].health, (enum said)said);
            judge_now(&f);
            if (the(&f, "web-1")->verdict != in_a_pool[i].verdicts[said]) {
                fail_msg("row %zu, balancer %d: judged %s", i, said,
                         world_verdict_to_string(the(&f, "web-1")->verdict));
            }
        }
    }
}

/* What the provider says comes first, where it says it truly; where it does not, it is as if it
   said nothing. */
static void the_providers_word(void **state)
{
    (void)state;
    static const struct {
        enum world_power power;
        bool witnessed;
        bool dead;
    } cases[] = {
        {WORLD_POWER_OFF, true, true},       {WORLD_POWER_ABSENT, true, true},
        {WORLD_POWER_RUNNING, true, false},  {WORLD_POWER_UNKNOWN, true, false},
        {WORLD_POWER_OFF, false, false},     {WORLD_POWER_ABSENT, false, false},
        {WORLD_POWER_RUNNING, false, false}, {WORLD_POWER_UNKNOWN, false, false},
    };
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        the(&f, "web-1")->power = cases[i].power;
        the(&f, "web-1")->power_witnessed = cases[i].witnessed;
        for (size_t row = 0; row < sizeof(in_a_pool) / sizeof(in_a_pool[0]); row++) {
            for (int said = SAYS_UP; said <= SAYS_NOTHING_LATELY; said++) {
                put_witnesses(&f, in_a_pool[row].alive, in_a_pool[row].health, (enum said)said);
                enum world_verdict verdict = in_a_pool[row].verdicts[said];
                if (cases[i].dead) {
                    /* Alone it is not believed: its SSH port, or a balancer, contradicts;
                       its pool's check does where nothing is known of the port. */
                    bool answers = in_a_pool[row].alive == WELL || said == SAYS_UP;
                    bool serves = in_a_pool[row].alive == UNKNOWN && in_a_pool[row].health == WELL;
                    verdict = answers  ? WORLD_VERDICT_DISPUTED
                              : serves ? WORLD_VERDICT_UNKNOWN
                                       : WORLD_VERDICT_DEAD;
                }
                should_be_judged(&f, "web-1", verdict);
            }
        }
    }
}

static void every_combination_without_a_pool(void **state)
{
    (void)state;
    static const struct {
        int alive;
        int custom;
        enum world_verdict verdict;
    } cases[] = {
        {WELL, WELL, WORLD_VERDICT_OK},         {WELL, UNKNOWN, WORLD_VERDICT_OK},
        {WELL, BAD, WORLD_VERDICT_UNREADY},     {BAD, WELL, WORLD_VERDICT_LOST},
        {BAD, UNKNOWN, WORLD_VERDICT_LOST},     {BAD, BAD, WORLD_VERDICT_LOST},
        {UNKNOWN, WELL, WORLD_VERDICT_UNKNOWN}, {UNKNOWN, UNKNOWN, WORLD_VERDICT_UNKNOWN},
        {UNKNOWN, BAD, WORLD_VERDICT_UNKNOWN},
    };
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        the(&f, "db-1")->alive.health = (enum world_health)cases[i].alive;
        the(&f, "db-1")->custom.health = (enum world_health)cases[i].custom;
        should_be_judged(&f, "db-1", cases[i].verdict);
    }
}

static void a_check_command_alone_makes_unready(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    the(&f, "web-1")->custom.health = WORLD_UNHEALTHY;
    should_be_judged(&f, "web-1", WORLD_VERDICT_UNREADY);
}

static void who_is_not_judged(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    service_fails(&f, "web-1");
    struct world_instance *web = the(&f, "web-1");
    const struct world_instance as_it_was = *web;
    for (int lifecycle = LIFECYCLE_PENDING; lifecycle <= LIFECYCLE_DETACHED; lifecycle++) {
        web->lifecycle = (enum lifecycle)lifecycle;
        judge_now(&f);
        bool judged = lifecycle == LIFECYCLE_IN_SERVICE || lifecycle == LIFECYCLE_PENDING;
        assert_int_equal(web->verdict, judged ? WORLD_VERDICT_UNREADY : WORLD_VERDICT_NONE);
    }
    *web = as_it_was;
    web->busy = true; /* With a look: that takes nothing out. */
    should_be_judged(&f, "web-1", WORLD_VERDICT_UNREADY);
    web->changing = true;
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
    *web = as_it_was;
    web->configured = false;
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
    *web = as_it_was;
    web->group = WORLD_NONE;
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
    *web = as_it_was;
    f.world_groups[WEB].suspended = WORLD_PROCESS_HEALTH_CHECK;
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
    f.world_groups[WEB].suspended = WORLD_PROCESS_REPLACE; /* Judged, but not mended. */
    should_be_judged(&f, "web-1", WORLD_VERDICT_UNREADY);
}

/* Two balancers. */

static void one_balancer_that_says_up_contradicts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_two_balancers(&f);
    settle(&f);
    set_health(&f, "web-1", WORLD_UNHEALTHY);
    set_targets(&f, "web-1", WORLD_TARGET_DOWN);
    should_be_judged(&f, "web-1", WORLD_VERDICT_UNREADY);
    for (size_t t = 0; t < f.world.target_count; t++) {
        if (f.targets[t].member == find(&f, "web-1") && f.targets[t].balancer == 1) {
            f.targets[t].state = WORLD_TARGET_UP;
        }
    }
    should_be_judged(&f, "web-1", WORLD_VERDICT_DISPUTED);
    set_health(&f, "web-1", WORLD_HEALTHY);
    should_be_judged(&f, "web-1", WORLD_VERDICT_OK);
}

static void from_balancer(struct fixture *f, const char *id, enum world_target_state state,
                          int64_t seen_ms)
{
    for (size_t b = 0; b < f->world.balancer_count; b++) {
        f->balancers[b].seen_ms =
            f->balancers[b].instance == find(f, id) ? seen_ms : f->balancers[b].seen_ms;
    }
    for (size_t t = 0; t < f->world.target_count; t++) {
        if (f->balancers[f->targets[t].balancer].instance == find(f, id)) {
            f->targets[t].state = state;
        }
    }
}

/* A balancer that is gone itself is no witness: its silence must not keep what the other one and
   we agree on from being believed. */
static void a_balancer_that_is_gone_is_not_waited_for(void **state)
{
    (void)state;
    static const enum { SILENT, OFF, GONE } ways[] = {SILENT, OFF, GONE};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_two_balancers(&f);
        settle(&f);
        service_fails(&f, "web-1");
        from_balancer(&f, "lb-1", WORLD_TARGET_UNKNOWN, f.world.now_ms - HOUR);
        should_be_judged(&f, "web-1", WORLD_VERDICT_UNKNOWN); /* It may still say so. */
        struct world_instance *lb = the(&f, "lb-1");
        lb->power = ways[i] == OFF ? WORLD_POWER_OFF : WORLD_POWER_RUNNING;
        judge_now(&f); /* Its provider alone says so: its SSH port answers. */
        should_be_judged(&f, "web-1", WORLD_VERDICT_UNKNOWN);
        lb->alive.health = ways[i] == GONE ? WORLD_HEALTHY : WORLD_UNHEALTHY;
        lb->lifecycle = ways[i] == GONE ? LIFECYCLE_TERMINATED : LIFECYCLE_IN_SERVICE;
        judge_now(&f);
        should_be_judged(&f, "web-1", WORLD_VERDICT_UNREADY);
    }
}

/* But where none is left, the prober is alone with what it says of a service. */
static void without_any_balancer_a_service_is_not_held_to_be_bad(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    service_fails(&f, "web-1");
    host_dies(&f, "lb-1");
    should_be_judged(&f, "web-1", WORLD_VERDICT_UNKNOWN);
    host_is_lost(&f, "web-1"); /* Of the host itself it is not: nobody reaches that. */
    should_be_judged(&f, "web-1", WORLD_VERDICT_LOST);
}

/* Time. */

static void a_verdict_remembers_since_when(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    service_fails(&f, "web-1");
    advance(&f, 0);
    int64_t since_ms = f.world.now_ms;
    advance(&f, 5 * SECOND);
    assert_int_equal(the(&f, "web-1")->verdict_ms, since_ms);
    host_is_well(&f, "web-1");
    advance(&f, SECOND);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_OK);
    assert_int_equal(the(&f, "web-1")->verdict_ms, f.world.now_ms);
}

static void a_new_instance_has_its_grace(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_instance *web = the(&f, "web-1");
    web->lifecycle = LIFECYCLE_PENDING;
    web->ready_ms = f.world.now_ms;
    service_fails(&f, "web-1");
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
    assert_int_equal(f.judge_again_ms, web->ready_ms + FIXTURE_GRACE_MS);
    advance(&f, FIXTURE_GRACE_MS - 1);
    assert_int_equal(web->verdict, WORLD_VERDICT_NONE);
    advance(&f, 1);
    assert_int_equal(web->verdict, WORLD_VERDICT_UNREADY);
    /* After a rung of the ladder the rung's time, when it is shorter. */
    web->ready_ms = f.world.now_ms;
    web->rung = WORLD_RUNG_RESTART;
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
    assert_int_equal(f.judge_again_ms, web->ready_ms + MINUTE);
    advance(&f, MINUTE);
    assert_int_equal(web->verdict, WORLD_VERDICT_UNREADY);
}

static void grace_ends_with_coming_into_service(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct world_instance *web = the(&f, "web-1");
    web->ready_ms = f.world.now_ms;
    web->in_service_ms = f.world.now_ms - 1; /* That was before it was started again. */
    service_fails(&f, "web-1");
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
    web->in_service_ms = f.world.now_ms;
    should_be_judged(&f, "web-1", WORLD_VERDICT_UNREADY);
    /* Nor does it cover what the provider says. */
    web->in_service_ms = 1;
    host_dies(&f, "web-1");
    should_be_judged(&f, "web-1", WORLD_VERDICT_DEAD);
    /* What is being made may well be off. */
    web->lifecycle = LIFECYCLE_PENDING;
    should_be_judged(&f, "web-1", WORLD_VERDICT_NONE);
}

static void flapping_is_held_and_then_judged(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    service_fails(&f, "web-1");
    the(&f, "web-1")->damping.until_ms = f.world.now_ms + MINUTE;
    should_be_judged(&f, "web-1", WORLD_VERDICT_FLAPPING);
    assert_int_equal(f.judge_again_ms, f.world.now_ms + MINUTE);
    advance(&f, MINUTE);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_UNREADY);
    the(&f, "web-1")->damping.until_ms = f.world.now_ms + MINUTE;
    host_dies(&f, "web-1");
    should_be_judged(&f, "web-1", WORLD_VERDICT_DEAD); /* The provider does not flap. */
}

static void a_lost_host_is_given_up_after_a_time_that_judge_tells(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    host_is_lost(&f, "web-1");
    advance(&f, 0);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_LOST);
    assert_int_equal(f.judge_again_ms, f.world.now_ms + SURVEY_LOST_GIVEN_UP_MS);
    assert_int_equal(count(&f).groups[WEB].standing, 3);
    advance(&f, SURVEY_LOST_GIVEN_UP_MS);
    assert_int_equal(count(&f).groups[WEB].standing, 2);
}

/* Breakers (S4). */

static void a_share_is_tolerated_and_at_least_one(void **state)
{
    (void)state;
    static const struct {
        unsigned judged, percent, tolerated;
    } cases[] = {
        {0, 33, 1},  {1, 33, 1}, {3, 33, 1},    {6, 33, 1}, {7, 33, 2}, {10, 33, 3},   {10, 50, 5},
        {11, 50, 5}, {10, 0, 1}, {100, 33, 33}, {3, 99, 2}, {4, 99, 3}, {10, 100, 10},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(judge_tolerated(cases[i].judged, cases[i].percent), cases[i].tolerated);
    }
}

static void too_many_open_the_breaker_and_calm_closes_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    service_fails(&f, "web-1");
    advance(&f, 0);
    assert_false(f.world_groups[WEB].breaker.open.on);
    assert_int_equal(f.world_groups[WEB].breaker.judged, 3);
    assert_int_equal(f.world_groups[WEB].breaker.bad, 1);
    host_is_lost(&f, "web-2");
    advance(&f, SECOND);
    int64_t since_ms = f.world.now_ms;
    assert_true(f.world_groups[WEB].breaker.open.on);
    assert_int_equal(f.world_groups[WEB].breaker.bad, 2);
    assert_int_equal(f.world_groups[WEB].breaker.unready, 1);
    assert_int_equal(f.world_groups[WEB].breaker.lost, 1);
    advance(&f, MINUTE);
    assert_int_equal(f.world_groups[WEB].breaker.open.since_ms, since_ms);
    assert_int_equal(f.world_groups[DB].breaker.open.on, false);
    host_is_well(&f, "web-2");
    advance(&f, MINUTE); /* It is calm from when that is seen on, however late that is. */
    assert_true(f.world_groups[WEB].breaker.open.on);
    assert_int_equal(f.judge_again_ms, f.world.now_ms + CALM_MS);
    advance(&f, CALM_MS - 1);
    assert_true(f.world_groups[WEB].breaker.open.on);
    advance(&f, 1);
    assert_false(f.world_groups[WEB].breaker.open.on);
    assert_int_equal(f.world_groups[WEB].breaker.open.since_ms, f.world.now_ms);
}

static void calm_begins_anew_when_it_comes_back(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    service_fails(&f, "web-1");
    service_fails(&f, "web-2");
    advance(&f, 0);
    host_is_well(&f, "web-2");
    advance(&f, 0);
    advance(&f, CALM_MS - SECOND);
    service_fails(&f, "web-2");
    advance(&f, 0);
    host_is_well(&f, "web-2");
    advance(&f, 0);
    advance(&f, CALM_MS - SECOND);
    assert_true(f.world_groups[WEB].breaker.open.on);
    advance(&f, SECOND);
    assert_false(f.world_groups[WEB].breaker.open.on);
}

static void a_hundred_percent_is_the_word_for_no_breaker(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (size_t g = 0; g < GROUPS; g++) {
        f.groups[g].breaker_percent = 100;
    }
    service_fails(&f, "web-1");
    service_fails(&f, "web-2");
    service_fails(&f, "web-3");
    advance(&f, 0);
    assert_false(f.world_groups[WEB].breaker.open.on);
    assert_false(f.world_zones[RACK_A].breaker.open.on);
    assert_int_equal(f.world_zones[RACK_A].breaker.bad, 2);
    f.groups[DB].breaker_percent = 99; /* One group without the word is enough for a zone. */
    advance(&f, 0);
    assert_false(f.world_groups[WEB].breaker.open.on);
    assert_true(f.world_zones[RACK_A].breaker.open.on);
}

/* The missing ones are made up for: no need to hold still for those that are bad. */
static void a_group_that_is_made_up_closes_its_breaker(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.world_groups[WEB].desired = 4;
    settle(&f);
    host_is_lost(&f, "web-1");
    host_is_lost(&f, "web-2");
    advance(&f, 0);
    assert_true(f.world_groups[WEB].breaker.open.on);
    f.world_groups[WEB].desired = 2;
    advance(&f, 0);
    advance(&f, CALM_MS);
    assert_false(f.world_groups[WEB].breaker.open.on);
}

static void a_zone_has_a_breaker_over_all_its_groups(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f); /* rack-a: db-1, web-1, web-3, lb-1. */
    service_fails(&f, "web-1");
    advance(&f, 0);
    assert_int_equal(f.world_zones[RACK_A].breaker.judged, 4);
    assert_false(f.world_zones[RACK_A].breaker.open.on);
    set_alive(&f, "db-1", WORLD_UNHEALTHY);
    advance(&f, 0);
    assert_true(f.world_zones[RACK_A].breaker.open.on);
    assert_false(f.world_groups[WEB].breaker.open.on);
    assert_false(f.world_zones[RACK_B].breaker.open.on);
}

/* Lost zones (S6). */

static void begin_racks(struct fixture *f)
{
    fixture_init(f);
    fixture_two_balancers(f);
    f->world_groups[WEB].desired = 6;
    settle(f); /* rack-a: db-1 web-1 web-3 web-5 lb-1; rack-b: web-2 web-4 web-6 lb-2. */
}

static void a_rack_goes(struct fixture *f)
{
    host_is_lost(f, "web-2");
    host_is_lost(f, "web-4");
    host_is_lost(f, "web-6");
    set_alive(f, "lb-2", WORLD_UNHEALTHY);
    from_balancer(f, "lb-2", WORLD_TARGET_UNKNOWN, f->world.now_ms - MINUTE);
}

static void a_zone_is_lost_when_nobody_in_it_answers(void **state)
{
    (void)state;
    struct fixture f;
    begin_racks(&f);
    f.no_looks = true;
    a_rack_goes(&f);
    advance(&f, SECOND);
    assert_true(f.world_zones[RACK_B].lost.on);
    assert_false(f.world_zones[RACK_A].lost.on);
    set_alive(&f, "lb-2", WORLD_HEALTHY);
    set_alive(&f, "web-4", WORLD_HEALTHY);
    advance(&f, SECOND);
    assert_true(f.world_zones[RACK_B].lost.on);
    from_balancer(&f, "lb-1", WORLD_TARGET_UP, f.world.now_ms + CALM_MS);
    advance(&f, CALM_MS);
    assert_false(f.world_zones[RACK_B].lost.on);

    begin_racks(&f); /* One of whom nothing is known says nothing for the zone. */
    f.no_looks = true;
    a_rack_goes(&f);
    set_alive(&f, "web-4", WORLD_HEALTH_UNKNOWN);
    advance(&f, SECOND);
    assert_int_equal(the(&f, "web-4")->verdict, WORLD_VERDICT_UNKNOWN);
    assert_true(f.world_zones[RACK_B].lost.on);
}

static void what_is_not_a_lost_zone(void **state)
{
    (void)state;
    struct fixture f;
    begin_racks(&f);
    a_rack_goes(&f);
    set_alive(&f, "web-4", WORLD_HEALTHY); /* One host lives; only its service does not answer. */
    advance(&f, 0);
    assert_false(f.world_zones[RACK_B].lost.on);

    begin_racks(&f);
    host_dies(&f, "web-2");
    host_dies(&f, "web-4");
    host_dies(&f, "web-6");
    host_dies(&f, "lb-2"); /* Their provider answers: they are started again. */
    advance(&f, 0);
    assert_false(f.world_zones[RACK_B].lost.on);
    assert_true(f.world_zones[RACK_B].breaker.open.on);

    begin(&f); /* A zone of a single host is that host: web-2 alone is in rack-b. */
    host_is_lost(&f, "web-2");
    advance(&f, 0);
    assert_int_equal(the(&f, "web-2")->verdict, WORLD_VERDICT_LOST);
    assert_false(f.world_zones[RACK_B].lost.on);
}

static void a_zone_is_not_lost_when_no_other_is_well(void **state)
{
    (void)state;
    struct fixture f;
    begin_racks(&f);
    f.no_looks = true;
    for (size_t i = 0; i < f.world.instance_count; i++) {
        set_alive(&f, f.instances[i].id, WORLD_UNHEALTHY);
        set_health(&f, f.instances[i].id, WORLD_UNHEALTHY);
    }
    advance(&f, SECOND);
    /* The balancers told a moment ago: the prober is alone with what it says. */
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_DISPUTED);
    assert_true(f.world.frozen.on);
    advance(&f, MINUTE); /* Then nobody can be heard. */
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_LOST);
    assert_false(f.world_zones[RACK_A].lost.on);
    assert_false(f.world_zones[RACK_B].lost.on);
    assert_true(f.world.frozen.on); /* It is us. */
}

/* Is it me? (S5) */

static void most_of_what_should_answer_does_not(void **state)
{
    (void)state;
    static const struct {
        size_t silent; /* Of five. */
        bool frozen;
    } cases[] = {{0, false}, {1, false}, {2, false}, {3, true}, {4, true}, {5, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        begin(&f);
        for (size_t n = 0; n < cases[i].silent; n++) {
            set_alive(&f, f.instances[n].id, WORLD_UNHEALTHY);
        }
        advance(&f, 0);
        assert_int_equal(f.world.seen, 5);
        assert_int_equal(f.world.gone, cases[i].silent);
        assert_int_equal(f.world.frozen.on, cases[i].frozen);
        if (cases[i].frozen) {
            roles_differ(&f, "db-1");
            the(&f, "web-3")->drift = WORLD_DRIFT_UNKNOWN;
            advance(&f, 10 * MINUTE);
            should_rest(&f); /* Nothing at all. */
            should_wait(&f, "db-1", REASON_FROZEN);
            group_should_wait(&f, WEB, REASON_FROZEN);
        }
    }
}

/* Others whom I still hear say the same: then it is true, and I am not cut off. */
static void balancers_that_answer_confirm(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    set_alive(&f, "web-1", WORLD_UNHEALTHY);
    set_alive(&f, "web-2", WORLD_UNHEALTHY);
    set_alive(&f, "web-3", WORLD_UNHEALTHY);
    advance(&f, 0);
    assert_true(f.world.frozen.on);
    /* What it said before we noticed confirms nothing. */
    f.no_looks = true;
    f.balancers[0].seen_ms = f.world.now_ms - SECOND;
    for (size_t t = 0; t < f.world.target_count; t++) {
        f.targets[t].state = WORLD_TARGET_DOWN;
    }
    advance(&f, 0);
    assert_int_equal(f.world.gone, 3);
    f.balancers[0].seen_ms = f.world.now_ms;
    advance(&f, 0);
    assert_int_equal(f.world.gone, 0);
    assert_true(f.world.frozen.on);
    assert_int_equal(f.judge_again_ms, f.world.now_ms + CALM_MS);
    f.no_looks = false; /* It says so still. */
    advance(&f, CALM_MS);
    assert_false(f.world.frozen.on);
    f.no_looks = true;
    advance(&f, CALM_MS);
    assert_true(f.world.frozen.on);
}

static void one_that_says_up_confirms_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_two_balancers(&f);
    settle(&f);
    for (int i = 1; i <= 3; i++) {
        char id[WORLD_ID_SIZE];
        instance_id(id, "web", (unsigned)i);
        host_is_lost(&f, id);
    }
    judge_now(&f);
    assert_int_equal(f.world.gone, 0);
    from_balancer(&f, "lb-2", WORLD_TARGET_UP, f.world.now_ms);
    judge_now(&f);
    assert_int_equal(f.world.gone, 3);
}

static void who_need_not_answer_is_not_missed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < 5; i++) {
        set_alive(&f, f.instances[i].id, WORLD_UNHEALTHY);
    }
    f.instances[0].busy = true;                       /* Being rebooted, say. */
    f.instances[1].power = WORLD_POWER_OFF;           /* Known to be off. */
    f.instances[2].lifecycle = LIFECYCLE_TERMINATING; /* Leaving. */
    f.instances[3].alive.health = WORLD_HEALTH_UNKNOWN;
    judge_now(&f);
    assert_int_equal(f.world.seen, 1);
    assert_false(f.world.frozen.on); /* One host is no evidence. */
    f.instances[2].lifecycle = LIFECYCLE_STANDBY;
    judge_now(&f);
    assert_int_equal(f.world.seen, 2);
    assert_true(f.world.frozen.on);
}

/* The prober cannot reach the balancer's host, and its socket answers: it errs, and its word alone
   makes nobody lost. */
static void a_prober_that_errs_is_not_believed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    set_alive(&f, "db-1", WORLD_UNHEALTHY);
    advance(&f, SECOND);
    should_be_judged(&f, "db-1", WORLD_VERDICT_LOST);
    set_alive(&f, "lb-1", WORLD_UNHEALTHY);
    advance(&f, SECOND);
    f.balancers[0].seen_ms = f.world.now_ms;
    should_be_judged(&f, "lb-1", WORLD_VERDICT_DISPUTED);
    should_be_judged(&f, "db-1", WORLD_VERDICT_LOST); /* The breaker counts it all the same. */
    for (int i = 0; i < 600; i++) {
        f.world.now_ms += SECOND;
        f.balancers[0].seen_ms = f.world.now_ms;
        step(&f);
        should_not(&f, ACTION_CYCLE, "db-1");
    }
    should_wait(&f, "db-1", REASON_UNKNOWN);
}

/* One that is lost this very moment makes up for nobody (seed 123287). */
static void who_is_lost_now_makes_up_for_nobody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.groups[DB].max = 4;
    f.world_groups[DB].desired = 4;
    settle(&f);
    f.world_groups[DB].desired = 3;
    the(&f, "db-1")->wish = WORLD_WISH_REPLACE;
    set_alive(&f, "db-1", WORLD_HEALTH_UNKNOWN);
    set_power(&f, "db-1", WORLD_POWER_ABSENT);
    judge_now(&f);
    assert_false(f.world_groups[DB].breaker.open.on);
    set_alive(&f, "db-2", WORLD_UNHEALTHY);
    judge_now(&f);
    assert_int_equal(f.world_groups[DB].breaker.bad, 2);
    assert_true(f.world_groups[DB].breaker.open.on);
}

/* Its provider was asked before; it may have come about. */
static void a_launch_whose_end_nobody_saw(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    host_dies(&f, "web-1");
    advance(&f, 0);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_DEAD);
    the(&f, "web-1")->power_doubtful = true;
    advance(&f, HOUR);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_UNKNOWN);
    assert_false(survey_is_off(&f.world, find(&f, "web-1")));
    world_set_power(&f.world, find(&f, "web-1"), WORLD_POWER_OFF); /* Asked again. */
    advance(&f, 0);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_DEAD);
    assert_true(survey_is_off(&f.world, find(&f, "web-1")));
}

/* Of its SSH port nothing was said yet, and its pool's check passes: it runs (seed 91272819). */
static void one_that_serves_is_not_off_by_one_word(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    set_alive(&f, "web-1", WORLD_HEALTH_UNKNOWN);
    set_targets(&f, "web-1", WORLD_TARGET_DOWN);
    set_power(&f, "web-1", WORLD_POWER_OFF);
    advance(&f, HOUR);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_UNKNOWN);
    assert_false(survey_is_off(&f.world, find(&f, "web-1")));
    set_health(&f, "web-1", WORLD_UNHEALTHY);
    advance(&f, 0);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_DEAD);
}

/* Its provider alone says off, the prober has died: one that flaps is held (seed 255088). */
static void one_that_flaps_is_not_off_by_one_word(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    settle(&f);
    the(&f, "web-1")->damping.until_ms = f.world.now_ms + MINUTE;
    set_power(&f, "web-1", WORLD_POWER_OFF);
    set_alive(&f, "web-1", WORLD_HEALTH_UNKNOWN);
    set_health(&f, "web-1", WORLD_HEALTH_UNKNOWN);
    set_targets(&f, "web-1", WORLD_TARGET_DOWN);
    advance(&f, SURVEY_SECOND_WITNESS_MS);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_FLAPPING);
    set_alive(&f, "web-1", WORLD_UNHEALTHY); /* Two say so: whatever its check said before. */
    advance(&f, 0);
    assert_int_equal(the(&f, "web-1")->verdict, WORLD_VERDICT_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prober_that_errs_is_not_believed),
        cmocka_unit_test(every_combination_in_a_pool),
        cmocka_unit_test(the_providers_word),
        cmocka_unit_test(every_combination_without_a_pool),
        cmocka_unit_test(a_check_command_alone_makes_unready),
        cmocka_unit_test(who_is_not_judged),
        cmocka_unit_test(one_balancer_that_says_up_contradicts),
        cmocka_unit_test(a_balancer_that_is_gone_is_not_waited_for),
        cmocka_unit_test(without_any_balancer_a_service_is_not_held_to_be_bad),
        cmocka_unit_test(a_verdict_remembers_since_when),
        cmocka_unit_test(a_new_instance_has_its_grace),
        cmocka_unit_test(grace_ends_with_coming_into_service),
        cmocka_unit_test(flapping_is_held_and_then_judged),
        cmocka_unit_test(a_lost_host_is_given_up_after_a_time_that_judge_tells),
        cmocka_unit_test(a_share_is_tolerated_and_at_least_one),
        cmocka_unit_test(too_many_open_the_breaker_and_calm_closes_it),
        cmocka_unit_test(calm_begins_anew_when_it_comes_back),
        cmocka_unit_test(a_hundred_percent_is_the_word_for_no_breaker),
        cmocka_unit_test(a_group_that_is_made_up_closes_its_breaker),
        cmocka_unit_test(a_zone_has_a_breaker_over_all_its_groups),
        cmocka_unit_test(a_zone_is_lost_when_nobody_in_it_answers),
        cmocka_unit_test(what_is_not_a_lost_zone),
        cmocka_unit_test(a_zone_is_not_lost_when_no_other_is_well),
        cmocka_unit_test(most_of_what_should_answer_does_not),
        cmocka_unit_test(balancers_that_answer_confirm),
        cmocka_unit_test(one_that_says_up_confirms_nothing),
        cmocka_unit_test(who_is_lost_now_makes_up_for_nobody),
        cmocka_unit_test(a_launch_whose_end_nobody_saw),
        cmocka_unit_test(one_that_serves_is_not_off_by_one_word),
        cmocka_unit_test(one_that_flaps_is_not_off_by_one_word),
        cmocka_unit_test(who_need_not_answer_is_not_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
