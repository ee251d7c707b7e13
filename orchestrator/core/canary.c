#include "core/canary.h"

#include <stdio.h>

/* One in 100,000, one-sided: as a chance, and as the square of the normal deviate. */
#define CHANCE_MOST    1e-5
#define DEVIATE_SQUARE 18.190

#define TRIES_LEAST    50
#define FAILED_LEAST   5
#define DIFFERENCE     0.01
#define SLOW_TRIES     100
#define SLOW_TIMES     3
#define SLOW_MORE_MS   100
#define SLOW_LOOKS     10
#define RISEN_FLOOR_MS 5

/* What is this small beside the greatest term of a sum no longer counts. */
#define NEGLIGIBLE 1e-18

/*
 * Terms of the hypergeometric distribution as multiples of its greatest, each from the one before:
 * no factorial, no logarithm, nothing that overflows or vanishes.
 */
double canary_chance(int64_t fresh_tries, int64_t fresh_failed, int64_t old_tries,
                     int64_t old_failed)
{
    double n = (double)fresh_tries;
    double m = (double)old_tries;
    double failed = (double)(fresh_failed + old_failed);
    double mode = (double)(int64_t)((n + 1) * (failed + 1) / (n + m + 2));
    double all = 1;
    double beyond = mode >= (double)fresh_failed ? 1 : 0;
    double term = 1;
    for (double k = mode; k < n && k < failed && term > NEGLIGIBLE; k++) {
        term *= (n - k) * (failed - k) / ((k + 1) * (m - failed + k + 1));
        all += term;
        beyond += k + 1 >= (double)fresh_failed ? term : 0;
    }
    term = 1;
    for (double k = mode; k > 0 && m - failed + k > 0 && term > NEGLIGIBLE; k--) {
        term *= k * (m - failed + k) / ((n - k + 1) * (failed - k + 1));
        all += term;
        beyond += k - 1 >= (double)fresh_failed ? term : 0;
    }
    return beyond / all;
}

static void add(struct canary_count *sum, const struct canary_count *count)
{
    sum->tries += count->tries;
    sum->failed += count->failed;
    sum->mean_ms = count->tries > 0 ? count->mean_ms : sum->mean_ms;
}

/* One table of Mantel and Haenszel's. */
static void add_table(struct canary *canary, const struct canary_count *fresh,
                      const struct canary_count *old)
{
    double n = (double)fresh->tries;
    double m = (double)old->tries;
    double failed = (double)(fresh->failed + old->failed);
    double all = n + m;
    canary->excess += (double)fresh->failed - n * failed / all;
    canary->variance += n * m * failed * (all - failed) / (all * all * (all - 1));
}

/* The old's mean is higher than it was: whatever slows it may slow the new as well. */
static bool has_old_risen(const struct canary *canary)
{
    return canary->old.mean_ms * 4 > (canary->first_mean_ms + RISEN_FLOOR_MS) * 5;
}

static bool is_slow_look(const struct canary *canary, const struct canary_count *fresh)
{
    int64_t old_ms = canary->old.mean_ms;
    return canary->fresh.tries >= SLOW_TRIES && canary->old.tries >= SLOW_TRIES &&
           !has_old_risen(canary) && fresh->mean_ms > SLOW_TIMES * old_ms &&
           fresh->mean_ms > old_ms + SLOW_MORE_MS;
}

void canary_on_look(struct canary *canary, const struct canary_count *fresh,
                    const struct canary_count *old, bool old_left)
{
    if (old->tries > 0 && canary->old.tries == 0) {
        canary->first_mean_ms = old->mean_ms;
    }
    add(&canary->fresh, fresh);
    add(&canary->old, old);
    if (fresh->tries > 0 && old->tries > 0) {
        add(&canary->fresh_beside, fresh);
        add(&canary->old_beside, old);
        add_table(canary, fresh, old);
    } else if (!old_left && old->tries == 0) {
        add(&canary->fresh_alone, fresh);
    }
    if (fresh->tries > 0 && (old->tries > 0 || !old_left)) {
        canary->slow_looks = is_slow_look(canary, fresh) ? canary->slow_looks + 1 : 0;
    }
}

static double rate(const struct canary_count *count)
{
    return count->tries == 0 ? 0 : (double)count->failed / (double)count->tries;
}

/* A fails more than B, by the sums. */
static bool fails_more(const struct canary_count *a, const struct canary_count *b)
{
    return a->tries >= TRIES_LEAST && b->tries >= TRIES_LEAST && a->failed >= FAILED_LEAST &&
           rate(a) - rate(b) >= DIFFERENCE &&
           canary_chance(a->tries, a->failed, b->tries, b->failed) <= CHANCE_MOST;
}

/* The looks one by one say that EXCESS is more than chance. */
static bool is_beyond_chance(double excess, double variance)
{
    return excess > 0.5 && (excess - 0.5) * (excess - 0.5) >= DEVIATE_SQUARE * variance;
}

static bool fails_more_beside(const struct canary *canary)
{
    return is_beyond_chance(canary->excess, canary->variance) &&
           fails_more(&canary->fresh_beside, &canary->old_beside);
}

static bool fails_more_alone(const struct canary *canary)
{
    return fails_more(&canary->fresh_alone, &canary->old);
}

enum canary_verdict canary_judge(const struct canary *canary)
{
    if (fails_more_beside(canary) || fails_more_alone(canary)) {
        return CANARY_FAILS_MORE;
    }
    if (canary->slow_looks >= SLOW_LOOKS) {
        return CANARY_SLOWER;
    }
    return is_beyond_chance(-canary->excess, canary->variance) &&
                   fails_more(&canary->old_beside, &canary->fresh_beside)
               ? CANARY_BETTER
               : CANARY_NO_EVIDENCE;
}

void canary_describe(const struct canary *canary, const char *fresh_name, const char *old_name,
                     char ret_text[CANARY_TEXT_SIZE])
{
    snprintf(ret_text, CANARY_TEXT_SIZE,
             "%s: %lld of %lld failed, mean %lld ms; %s: %lld of %lld, mean %lld ms", fresh_name,
             (long long)canary->fresh.failed, (long long)canary->fresh.tries,
             (long long)canary->fresh.mean_ms, old_name, (long long)canary->old.failed,
             (long long)canary->old.tries, (long long)canary->old.mean_ms);
}

void canary_explain(const struct canary *canary, enum canary_verdict verdict,
                    const char *fresh_name, const char *old_name, char ret_text[CANARY_TEXT_SIZE])
{
    if (verdict == CANARY_SLOWER) {
        snprintf(ret_text, CANARY_TEXT_SIZE,
                 "%s: answers take %lld ms on average, %s: %lld ms: slower", fresh_name,
                 (long long)canary->fresh.mean_ms, old_name, (long long)canary->old.mean_ms);
        return;
    }
    bool beside = verdict != CANARY_FAILS_MORE || fails_more_beside(canary);
    const struct canary_count *fresh = beside ? &canary->fresh_beside : &canary->fresh_alone;
    const struct canary_count *old = beside ? &canary->old_beside : &canary->old;
    snprintf(ret_text, CANARY_TEXT_SIZE,
             "%s: %lld of %lld answers failed (%.1f %%), %s%s: %lld of %lld (%.1f %%): %s",
             fresh_name, (long long)fresh->failed, (long long)fresh->tries, 100 * rate(fresh),
             old_name, beside ? "" : " before it", (long long)old->failed, (long long)old->tries,
             100 * rate(old),
             verdict == CANARY_FAILS_MORE ? "worse with 99.9 % confidence"
             : verdict == CANARY_BETTER   ? "better with 99.9 % confidence"
                                          : "no evidence of a difference");
}
