/*
 * Is the new content of a group worse than the old? Judged by what balancers count of the targets
 * that have the one and of those that have the other, while a refresh puts the new in the old's
 * place. Who counts and who feeds the looks in: controller/canary_watch.c.
 *
 * Errors. A look is what one balancer counted since its last answer: tries and failures of the new
 * and of the old, in the same second, from the same place. Two tests must both say "worse":
 *   - Mantel and Haenszel's test over all looks in which both had traffic (Journal of the National
 *     Cancer Institute 22, 1959, pages 719-748), with the continuity correction. Each look is
 *     compared in itself: a database that fails all targets alike for a minute (S12), or a new one
 *     that has most of the traffic just when that happens, adds nothing.
 *   - Fisher's exact test on the sums of those looks (The Design of Experiments, 1935), so that it
 *     also holds where the counts are small.
 * Both are one-sided, each time at 99.999 %: they are asked at every look, and all the looks of a
 * refresh together are to raise a false alarm in less than one refresh of a thousand (99.9 %;
 * canary_test.c plays it). A difference that no one would act on is none: there must be at least
 * 5 failures of the new, 50 tries of each, and one percentage point between them.
 *
 * When nothing old is left (the refresh bakes), there are no such looks: what the new does from
 * then on is compared with all that was counted of the old, by Fisher's test alone. A cause that
 * would have hit the old as well cannot be told any more.
 *
 * Slowness. HAProxy tells no sums of times, only a mean over a target's last 1024 answers. So there
 * is no test: the new is slower when its mean is more than three times the old's and more than
 * 100 ms above it, in ten looks on end, after 100 tries at least; and the old's own mean is no
 * higher than it was at first. A mean over 1024 answers moves slowly where it has been fed for
 * long: of a shared cause, the new would show more than the old.
 */
#ifndef CORE_CANARY_H
#define CORE_CANARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of all targets that have the same content. */
struct canary_count {
    int64_t tries;   /* Requests they were to answer. */
    int64_t failed;  /* Of those, the ones they did not answer, or with a server's error. */
    int64_t mean_ms; /* Until the answer; without tries: as it was last. */
};

enum canary_verdict {
    CANARY_NO_EVIDENCE, /* Either way. */
    CANARY_BETTER,      /* The new fails less. */
    CANARY_FAILS_MORE,
    CANARY_SLOWER,
};

/* All zeros is a good start. */
struct canary {
    /* All that was counted, of the new and of the old. */
    struct canary_count fresh, old;
    /* In looks in which both had traffic. */
    struct canary_count fresh_beside, old_beside;
    double excess;   /* Failures of the new beyond its share, over those looks; */
    double variance; /* of that, were there no difference. */
    /* Of the new, since nothing old is left. */
    struct canary_count fresh_alone;
    int64_t first_mean_ms; /* The old's, in the first look in which it had traffic. */
    unsigned slow_looks;   /* On end. */
};

/* FRESH and OLD since the last look at the same balancer; OLD_LEFT: there are old ones that take
   traffic, whether or not they had any in this look. */
void canary_on_look(struct canary *canary, const struct canary_count *fresh,
                    const struct canary_count *old, bool old_left);
enum canary_verdict canary_judge(const struct canary *canary);
static inline bool canary_is_worse(enum canary_verdict verdict)
{
    return verdict == CANARY_FAILS_MORE || verdict == CANARY_SLOWER;
}

#define CANARY_TEXT_SIZE 300
/* "new: 0 of 812 failed, mean 12 ms; old: 1 of 4012, mean 11 ms", with the names given. */
void canary_describe(const struct canary *canary, const char *fresh_name, const char *old_name,
                     char ret_text[CANARY_TEXT_SIZE]);
/* What VERDICT rests on: "web@4: 14 of 320 answers failed (4.4 %), web@3: 2 of 5100 (0.0 %): worse
   with 99.9 % confidence". */
void canary_explain(const struct canary *canary, enum canary_verdict verdict,
                    const char *fresh_name, const char *old_name, char ret_text[CANARY_TEXT_SIZE]);

/*
 * The chance that at least FRESH_FAILED of the FRESH_TRIES are among the failures, were it the same
 * for all tries of both (Fisher). For tests of its own.
 */
double canary_chance(int64_t fresh_tries, int64_t fresh_failed, int64_t old_tries,
                     int64_t old_failed);

#endif
