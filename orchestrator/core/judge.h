/*
 * From what witnesses say to what is believed: a verdict for each instance, the breaker of each
 * group and zone (S4), zones that are lost as a whole (S6), and whether it is we who are cut off
 * (S5). Pure; run before decide(), in every driver. Keeps since when each judgement stands, so it
 * must run whenever something was observed, and at its deadline.
 */
#ifndef CORE_JUDGE_H
#define CORE_JUDGE_H

#include "core/survey.h"

/*
 * Writes the judged members of WORLD; MEMORY as in survey_make(). *ret_deadline_ms: judge again
 * then at the latest, because time alone changes a verdict; INT64_MAX: nothing is timed.
 */
void judge(const struct spec *spec, struct world *world, void *memory, size_t size,
           int64_t *ret_deadline_ms);

/* How many of so many may be bad before the breaker opens (S4): the share, at least one. */
unsigned judge_tolerated(unsigned judged, unsigned percent);

#endif
