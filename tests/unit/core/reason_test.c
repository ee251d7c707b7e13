/* Every reason has words of its own, its rule where it comes from one, and what would change it. */
#include "fixture.h"

#define FIRST REASON_NONE
#define LAST  REASON_ORPHAN

static const struct {
    enum reason_code code;
    const char *rule;
} rules[] = {
    {REASON_BELOW_MINIMUM, "S1"},
    {REASON_BELOW_SPARE, "S1"},
    {REASON_WAITS_FOR_NEW, "S2"},
    {REASON_AT_MOST, "S2"},
    {REASON_CAPTURE, "S3"},
    {REASON_CAPTURED, "S3"},
    {REASON_BREAKER, "S4"},
    {REASON_FROZEN, "S5"},
    {REASON_ZONE_LOST, "S6"},
    {REASON_WAITS_FOR_OTHER, "S7"},
    {REASON_WAITS_FOR_BAKE, "S7"},
    {REASON_WAITS_FOR_CLUSTER, "S7"},
    {REASON_MEND, "S8"},
    {REASON_WAITS_FOR_RUNG, "S8"},
    {REASON_QUARANTINE, "S9"},
    {REASON_QUARANTINED, "S9"},
    {REASON_LAUNCHES_FAIL, "S9"},
    {REASON_REFRESH_FAILED, "S9"},
    {REASON_UNKNOWN, "S10"},
    {REASON_NO_POWER, "S10"},
    {REASON_WAITS_TO_CONFIRM, "S10"},
    {REASON_DISPUTED, "S10"},
    {REASON_REFRESH_WARMS_UP, "S11"},
    {REASON_WAITS_FOR_HEALTH, "S11"},
    {REASON_SHARED, "S12"},
    {REASON_FLAPPING, "S13"},
    {REASON_FRONTEND_STALE, "S19"},
    {REASON_DETACHED, "S21"},
    {REASON_PAUSED, "S22"},
};

static const char *rule_of(enum reason_code code)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].code == code) {
            return rules[i].rule;
        }
    }
    return NULL;
}

static void every_reason_reads(void **state)
{
    (void)state;
    static char seen[LAST + 1][300];
    for (int code = FIRST; code <= LAST; code++) {
        struct reason reason = {
            .code = (enum reason_code)code, .name = "x", .a = 1, .b = 2, .c = 3};
        reason_to_string(&reason, seen[code], sizeof(seen[code]));
        assert_true(strlen(seen[code]) > 3);
        assert_true(strlen(seen[code]) < 200);
        assert_null(strstr(seen[code], "unknown"));
        assert_null(strchr(seen[code], '?'));
        assert_null(strchr(seen[code], '\n'));
        for (int other = FIRST; other < code; other++) {
            if (strcmp(seen[code], seen[other]) == 0) {
                fail_msg("%d and %d say the same: %s", code, other, seen[code]);
            }
        }
    }
}

/* A refusal names the rule: in its words, as the log and the terminal show them. */
static void every_rule_is_named(void **state)
{
    (void)state;
    for (int code = FIRST; code <= LAST; code++) {
        const char *expected = rule_of((enum reason_code)code);
        const char *rule = reason_rule((enum reason_code)code);
        if (expected == NULL) {
            assert_null(rule);
            continue;
        }
        assert_string_equal(rule, expected);
        struct reason reason = {.code = (enum reason_code)code, .name = "x", .a = 1, .b = 2};
        char text[300];
        char named[16];
        reason_to_string(&reason, text, sizeof(text));
        snprintf(named, sizeof(named), "(%s", rule);
        if (strstr(text, named) == NULL) {
            fail_msg("%s is not named: %s", rule, text);
        }
    }
}

static void every_reason_has_a_remedy(void **state)
{
    (void)state;
    for (int code = FIRST; code <= LAST; code++) {
        const char *remedy = reason_remedy((enum reason_code)code);
        assert_non_null(remedy);
        assert_string_not_equal(remedy, "Nothing.");
        assert_int_equal(remedy[strlen(remedy) - 1], '.');
    }
}

/* Neither long names nor odd numbers break a line. */
static void extremes_fit(void **state)
{
    (void)state;
    char name[64];
    memset(name, 'n', sizeof(name));
    name[63] = '\0';
    static const int64_t numbers[] = {INT64_MIN / 2, -1, 0, 1, INT64_MAX / 2};
    for (int code = FIRST; code <= LAST; code++) {
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            struct reason reason = {.code = (enum reason_code)code,
                                    .name = i % 2 == 0 ? name : NULL,
                                    .a = numbers[i],
                                    .b = WORLD_RUNG_REBOOT,
                                    .c = numbers[i]};
            char text[300];
            memset(text, '~', sizeof(text));
            reason_to_string(&reason, text, sizeof(text));
            assert_true(strlen(text) > 3);
            char small[20];
            reason_to_string(&reason, small, sizeof(small));
            assert_true(strlen(small) < sizeof(small));
        }
    }
}

static void words(void **state)
{
    (void)state;
    static const struct {
        struct reason reason;
        const char *text;
    } cases[] = {
        {{.code = REASON_DRIFT, .a = 1}, "1 resource differs from its roles"},
        {{.code = REASON_DRIFT, .a = 2}, "2 resources differ from its roles"},
        {{.code = REASON_GROUP_SHORT, .name = "web", .a = 1, .b = 3}, "group web has 1 of 3"},
        {{.code = REASON_FRONTEND_STALE, .name = "lb", .a = -1},
         "frontend lb has told nothing yet; it is looked at before anything is taken away (S19)"},
        {{.code = REASON_FRONTEND_STALE, .name = "lb", .a = 6500},
         "what frontend lb told is 7 s old; it is looked at before anything is taken away (S19)"},
        {{.code = REASON_MEND, .name = "unready", .a = 12000, .b = WORLD_RUNG_REBOOT},
         "unready for 12 s; next on the ladder: reboot (S8)"},
        {{.code = REASON_WAITS_FOR_RUNG, .a = WORLD_RUNG_CYCLE, .b = 1},
         "power-cycle was done; it has 1 s more to come back (S8)"},
        {{.code = REASON_WAITS_TO_RETRY, .a = 1, .b = 2001}, "failed 1 time, again in 3 s"},
        {{.code = REASON_QUARANTINE, .a = 3}, "rebuilt 3 times in 24 h, and bad again (S9)"},
        {{.code = REASON_QUARANTINE}, "no rung of the ladder helped (S9)"},
        {{.code = REASON_SHARED, .name = "db"},
         "group db, which it needs, is not well: not this host's fault (S12)"},
        {{.code = REASON_SHARED, .a = 3, .b = 3},
         "all 3 of its group are unready at once: not this host's fault (S12)"},
        {{.code = REASON_PAUSED, .name = "shop"}, "shop is paused (S22)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(said(&cases[i].reason), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_reads),
        cmocka_unit_test(every_rule_is_named),
        cmocka_unit_test(every_reason_has_a_remedy),
        cmocka_unit_test(extremes_fit),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
