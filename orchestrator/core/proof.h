/*
 * The capacity proof: does a group keep its healthy minimum through a step, and would it with one
 * more host lost at that very step? `plan` asks it of every step; decide() asks the same question
 * of the live state before each disruption (budget.h), so the two cannot disagree.
 */
#ifndef CORE_PROOF_H
#define CORE_PROOF_H

#include "core/survey.h"

struct proof {
    size_t serving; /* Before the step. */
    size_t after;   /* While it is under way. */
    size_t minimum;
    bool holds;          /* after >= minimum, or the step takes nothing away. */
    bool holds_less_one; /* The same with one more serving host lost. */
};

/* GROUP with TAKEN (an instance, or WORLD_NONE) out of service. */
struct proof proof_of(const struct survey *s, size_t group, size_t taken);

#endif
