/*
 * The new against the old by what balancers count: when there is evidence, when there is none, and
 * how often the judgement is wrong where nothing differs (played with a fixed seed).
 */
#include "core/canary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#define FAST_MS 10

/* COUNT looks of the same kind. */
struct stretch {
    int count;
    int64_t fresh_tries, fresh_failed, old_tries, old_failed;
    int64_t fresh_ms, old_ms; /* 0: FAST_MS. */
    bool alone;               /* Nothing old is left. */
};

static void play(struct canary *canary, const struct stretch *s)
{
    for (int i = 0; i < s->count; i++) {
        const struct canary_count fresh = {.tries = s->fresh_tries,
                                           .failed = s->fresh_failed,
                                           .mean_ms = s->fresh_ms == 0 ? FAST_MS : s->fresh_ms};
        const struct canary_count old = {.tries = s->old_tries,
                                         .failed = s->old_failed,
                                         .mean_ms = s->old_ms == 0 ? FAST_MS : s->old_ms};
        canary_on_look(canary, &fresh, &old, !s->alone);
    }
}

#define STRETCHES_MAX 4
struct judged {
    const char *name;
    struct stretch stretches[STRETCHES_MAX];
    enum canary_verdict verdict;
};

static void judge_each(const struct judged *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct canary canary = {.slow_looks = 0};
        for (size_t s = 0; s < STRETCHES_MAX; s++) {
            play(&canary, &cases[i].stretches[s]);
        }
        enum canary_verdict verdict = canary_judge(&canary);
        if (verdict != cases[i].verdict) {
            fail_msg("%s: %d, not %d", cases[i].name, (int)verdict, (int)cases[i].verdict);
        }
    }
}
#define JUDGE_EACH(cases) judge_each(cases, sizeof(cases) / sizeof((cases)[0]))

/* By exact arithmetic with whole numbers; the first two are Fisher's own cups of tea. */
static void the_chance_is_fishers(void **state)
{
    (void)state;
    static const struct {
        int64_t fresh_tries, fresh_failed, old_tries, old_failed;
        double chance;
    } cases[] = {
        {4, 4, 4, 0, 0.0142857143},
        {4, 3, 4, 1, 0.242857143},
        {50, 5, 50, 0, 0.0281422472},
        {50, 5, 5000, 0, 7.75651015e-11},
        {320, 14, 5100, 2, 5.13061483e-16},
        {50, 6, 10000, 300, 0.00390431739},
        {1000, 30, 1000, 10, 0.00100416678},
        {400, 380, 50, 40, 0.000634283759},
        /* There is no other way to have so many. */
        {98, 3, 2, 2, 1},
        {100, 0, 100, 7, 1},
        {60, 60, 60, 60, 1},
        {10, 0, 10, 0, 1},
        {0, 0, 10, 3, 1},
        {10, 0, 0, 0, 1},
        {0, 0, 0, 0, 1},
        /* Millions: nothing overflows, nothing vanishes. */
        {1000000000, 500000000, 1000000000, 500000000, 0.5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double chance = canary_chance(cases[i].fresh_tries, cases[i].fresh_failed,
                                      cases[i].old_tries, cases[i].old_failed);
        double off = chance / cases[i].chance - 1;
        double allowed = cases[i].fresh_tries > 1000000 ? 1e-4 : 1e-8;
        if (off > allowed || off < -allowed) {
            fail_msg("case %zu: %g, not %g", i, chance, cases[i].chance);
        }
    }
}

static void what_fails_more_is_worse(void **state)
{
    (void)state;
    static const struct judged cases[] = {
        {"one in ten against none",
         {{100, 5, 0, 50, 0, 0, 0, false}, {30, 5, 5, 50, 0, 0, 0, false}},
         CANARY_FAILS_MORE},
        {"all against none", {{10, 5, 5, 50, 0, 0, 0, false}}, CANARY_FAILS_MORE},
        {"4 % against 1 %", {{1000, 25, 1, 100, 1, 0, 0, false}}, CANARY_FAILS_MORE},
        {"the old fails more", {{100, 10, 0, 10, 3, 0, 0, false}}, CANARY_BETTER},
    };
    JUDGE_EACH(cases);
}

static void little_is_no_evidence(void **state)
{
    (void)state;
    static const struct judged cases[] = {
        {"nothing at all", {{1, 0, 0, 0, 0, 0, 0, false}}, CANARY_NO_EVIDENCE},
        {"one try, and it failed", {{1, 1, 1, 1, 0, 0, 0, false}}, CANARY_NO_EVIDENCE},
        {"49 tries that all failed", {{49, 1, 1, 100, 0, 0, 0, false}}, CANARY_NO_EVIDENCE},
        {"one more of them", {{50, 1, 1, 100, 0, 0, 0, false}}, CANARY_FAILS_MORE},
        {"too little of the old", {{49, 10, 10, 1, 0, 0, 0, false}}, CANARY_NO_EVIDENCE},
        {"four failures of 100,000", {{4, 25, 1, 100000, 0, 0, 0, false}}, CANARY_NO_EVIDENCE},
        {"one in 10,000",
         {{1, 1, 1, 0, 0, 0, 0, false}, {1000, 10, 0, 1000, 0, 0, 0, false}},
         CANARY_NO_EVIDENCE},
        /* Beyond doubt, and less than anyone would act on. */
        {"0.5 % against none", {{1000, 200, 1, 2000, 0, 0, 0, false}}, CANARY_NO_EVIDENCE},
        {"5 of 50 against 0 of 50",
         {{10, 5, 0, 5, 0, 0, 0, false}, {1, 1, 1, 1, 0, 0, 0, false}},
         CANARY_NO_EVIDENCE},
        {"the same", {{1000, 20, 2, 30, 3, 0, 0, false}}, CANARY_NO_EVIDENCE},
    };
    JUDGE_EACH(cases);
}

/* S12: the database is away for a while. */
static void what_hits_both_says_nothing(void **state)
{
    (void)state;
    static const struct judged cases[] = {
        {"all fail for a minute",
         {{300, 10, 0, 100, 0, 0, 0, false}, {60, 10, 10, 100, 100, 0, 0, false}},
         CANARY_NO_EVIDENCE},
        /* In sums, 50 % of the new has failed, and 2 % of the old. */
        {"just when there is a new one",
         {{300, 0, 0, 100, 0, 0, 0, false},
          {10, 10, 10, 100, 100, 0, 0, false},
          {20, 10, 0, 100, 0, 0, 0, false}},
         CANARY_NO_EVIDENCE},
        {"when the new has most of the traffic",
         {{100, 2, 0, 100, 0, 0, 0, false}, {100, 100, 50, 2, 1, 0, 0, false}},
         CANARY_NO_EVIDENCE},
        {"all are slow",
         {{300, 10, 0, 100, 0, 0, 0, false}, {60, 10, 0, 100, 0, 2000, 400, false}},
         CANARY_NO_EVIDENCE},
        /* The new adds its own to what hits both. */
        {"and the new is worse too",
         {{300, 10, 0, 100, 0, 0, 0, false}, {60, 10, 10, 100, 50, 0, 0, false}},
         CANARY_FAILS_MORE},
    };
    JUDGE_EACH(cases);
}

static void alone_it_is_compared_with_what_was(void **state)
{
    (void)state;
    static const struct judged cases[] = {
        {"it fails once the old is gone",
         {{100, 10, 0, 10, 0, 0, 0, false}, {10, 20, 2, 0, 0, 0, 0, true}},
         CANARY_FAILS_MORE},
        {"as the old did",
         {{100, 0, 0, 20, 2, 0, 0, false}, {100, 20, 2, 0, 0, 0, 0, true}},
         CANARY_NO_EVIDENCE},
        {"there never was an old one", {{100, 20, 20, 0, 0, 500, 0, true}}, CANARY_NO_EVIDENCE},
        /* The old has no traffic just now, but it is there. */
        {"the old is idle",
         {{100, 0, 0, 20, 0, 0, 0, false}, {100, 20, 2, 0, 0, 500, 0, false}},
         CANARY_NO_EVIDENCE},
        {"it is slow once the old is gone",
         {{100, 10, 0, 10, 0, 0, 0, false}, {10, 20, 0, 0, 0, 500, 0, true}},
         CANARY_SLOWER},
    };
    JUDGE_EACH(cases);
}

static void slow_means_much_slower_for_a_while(void **state)
{
    (void)state;
    static const struct judged cases[] = {
        {"for ten looks", {{10, 100, 0, 100, 0, 200, 50, false}}, CANARY_SLOWER},
        {"for nine", {{9, 100, 0, 100, 0, 200, 50, false}}, CANARY_NO_EVIDENCE},
        {"not on end",
         {{9, 100, 0, 100, 0, 200, 50, false},
          {1, 100, 0, 100, 0, 100, 50, false},
          {9, 100, 0, 100, 0, 200, 50, false}},
         CANARY_NO_EVIDENCE},
        {"a look without traffic between",
         {{5, 100, 0, 100, 0, 200, 50, false},
          {100, 0, 0, 100, 0, 0, 50, false},
          {5, 100, 0, 100, 0, 200, 50, false}},
         CANARY_SLOWER},
        {"three times, but not more", {{50, 100, 0, 100, 0, 150, 50, false}}, CANARY_NO_EVIDENCE},
        {"100 ms more, but not three times",
         {{50, 100, 0, 100, 0, 500, 200, false}},
         CANARY_NO_EVIDENCE},
        {"ten times of next to nothing", {{50, 100, 0, 100, 0, 100, 1, false}}, CANARY_NO_EVIDENCE},
        {"after too few tries", {{99, 1, 0, 100, 0, 900, 50, false}}, CANARY_NO_EVIDENCE},
        {"the old has become slower too",
         {{10, 100, 0, 100, 0, 50, 50, false}, {50, 100, 0, 100, 0, 900, 70, false}},
         CANARY_NO_EVIDENCE},
    };
    JUDGE_EACH(cases);
}

/* xorshift64 (Marsaglia 2003). */
static double any(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static struct canary_count some(uint64_t *seed, int most, double failing)
{
    struct canary_count count = {.tries = (int64_t)(any(seed) * (most + 1)), .mean_ms = FAST_MS};
    for (int64_t i = 0; i < count.tries; i++) {
        count.failed += any(seed) < failing ? 1 : 0;
    }
    return count;
}

/* Looks until it is judged worse; LOOKS when it never is. */
static int looks_until_worse(uint64_t *seed, int looks, double fresh_failing, double old_failing)
{
    struct canary canary = {.slow_looks = 0};
    for (int i = 0; i < looks; i++) {
        struct canary_count fresh = some(seed, 6, fresh_failing);
        struct canary_count old = some(seed, 12, old_failing);
        canary_on_look(&canary, &fresh, &old, true);
        if (canary_is_worse(canary_judge(&canary))) {
            return i;
        }
    }
    return looks;
}

static void refreshes_of_what_does_not_differ_are_let_be(void **state)
{
    (void)state;
    static const double failing[] = {0.001, 0.01, 0.05, 0.3};
    enum { REFRESHES = 500, LOOKS = 1800 };
    uint64_t seed = 88172645463325252U;
    int alarms = 0;
    for (int i = 0; i < REFRESHES; i++) {
        double p = failing[i % 4];
        alarms += looks_until_worse(&seed, LOOKS, p, p) < LOOKS ? 1 : 0;
    }
    /* Less than one of a thousand: none is to be seen here. */
    assert_int_equal(alarms, 0);
}

static void what_is_worse_is_found_soon(void **state)
{
    (void)state;
    static const struct {
        double fresh, old;
        int looks; /* A minute is 60. */
    } cases[] = {{1, 0, 30}, {0.5, 0.01, 30}, {0.1, 0.001, 240}, {0.05, 0.01, 900}};
    uint64_t seed = 42;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int n = 0; n < 20; n++) {
            int looks = looks_until_worse(&seed, 3600, cases[i].fresh, cases[i].old);
            if (looks > cases[i].looks) {
                fail_msg("%g against %g: after %d looks", cases[i].fresh, cases[i].old, looks);
            }
        }
    }
}

static void it_says_what_it_saw(void **state)
{
    (void)state;
    char text[CANARY_TEXT_SIZE];
    struct canary canary = {.slow_looks = 0};
    canary_describe(&canary, "new", "old", text);
    assert_string_equal(text, "new: 0 of 0 failed, mean 0 ms; old: 0 of 0, mean 0 ms");
    play(&canary, &(struct stretch){1, 0, 0, 4000, 1, 0, 11, false});
    play(&canary, &(struct stretch){1, 812, 0, 12, 0, 12, 11, false});
    canary_describe(&canary, "new", "old", text);
    assert_string_equal(text, "new: 0 of 812 failed, mean 12 ms; old: 1 of 4012, mean 11 ms");
    canary = (struct canary){.slow_looks = 0};
    play(&canary, &(struct stretch){2, 160, 7, 2550, 1, 0, 0, false});
    canary_explain(&canary, canary_judge(&canary), "web@4", "web@3", text);
    assert_string_equal(text, "web@4: 14 of 320 answers failed (4.4 %), web@3: 2 of 5100 (0.0 %): "
                              "worse with 99.9 % confidence");
    canary = (struct canary){.slow_looks = 0};
    play(&canary, &(struct stretch){10, 0, 0, 100, 0, 0, 0, false});
    play(&canary, &(struct stretch){10, 30, 3, 0, 0, 0, 0, true});
    canary_explain(&canary, canary_judge(&canary), "new", "old", text);
    assert_string_equal(text, "new: 30 of 300 answers failed (10.0 %), old before it: 0 of 1000 "
                              "(0.0 %): worse with 99.9 % confidence");
    canary = (struct canary){.slow_looks = 0};
    play(&canary, &(struct stretch){10, 100, 0, 100, 0, 480, 12, false});
    canary_explain(&canary, canary_judge(&canary), "new", "old", text);
    assert_string_equal(text, "new: answers take 480 ms on average, old: 12 ms: slower");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chance_is_fishers),
        cmocka_unit_test(what_fails_more_is_worse),
        cmocka_unit_test(little_is_no_evidence),
        cmocka_unit_test(what_hits_both_says_nothing),
        cmocka_unit_test(alone_it_is_compared_with_what_was),
        cmocka_unit_test(slow_means_much_slower_for_a_while),
        cmocka_unit_test(refreshes_of_what_does_not_differ_are_let_be),
        cmocka_unit_test(what_is_worse_is_found_soon),
        cmocka_unit_test(it_says_what_it_saw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
