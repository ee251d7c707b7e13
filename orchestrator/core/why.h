/*
 * `why`: for any instance or group, in words: how it stands and since when, the rule and inputs
 * that make it so, and what would change the answer. Reads a judged world and its decision; decides
 * nothing itself.
 */
#ifndef CORE_WHY_H
#define CORE_WHY_H

#include "core/decide.h"

#define WHY_LINES_MAX 8
#define WHY_LINE_SIZE 240

struct why {
    char lines[WHY_LINES_MAX][WHY_LINE_SIZE]; /* Sentences, the most important first. */
    size_t count;                             /* At least 1. */
};

/* The one reason for how an instance stands: what holds it, what is done to it next, or what it
   rests for. REASON_NONE: it is as its group wants it. */
struct reason why_reason(const struct spec *spec, const struct world *world,
                         const struct decision *decision, size_t instance);

void why_instance(const struct spec *spec, const struct world *world,
                  const struct decision *decision, size_t instance, struct why *ret_why);
void why_group(const struct spec *spec, const struct world *world, const struct decision *decision,
               size_t group, struct why *ret_why);
void why_cluster(const struct spec *spec, const struct world *world,
                 const struct decision *decision, struct why *ret_why);

#endif
