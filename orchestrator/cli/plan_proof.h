/*
 * The capacity proof of a plan: for each group with a pool, the fewest that serve while any step is
 * under way, and what would be left with one more host lost at that very step. The numbers are
 * those that decide() asks before each step (core/proof.h); here they are only compared.
 */
#ifndef CLI_PLAN_PROOF_H
#define CLI_PLAN_PROOF_H

#include "controller/controller.h"

#include <jansson.h>

struct str;

#define PLAN_PROOF_NONE ((size_t)-1)

struct plan_proof {
    size_t group;
    size_t taking; /* Steps that take a host away. */
    size_t worst;  /* Of those the one that leaves fewest, the first; PLAN_PROOF_NONE. */
    size_t least;  /* Serving at that step. */
    size_t minimum;
    size_t less_one; /* Serving at that step with one more host lost. */
    bool holds;
    bool holds_less_one;
};

/* False when GROUP has no pool: nobody counts on it to serve. */
bool plan_proof_make(const struct spec *spec, const struct controller_step *steps, size_t count,
                     size_t group, struct plan_proof *ret_proof);
/* One line, without its end. */
void plan_proof_to_string(const struct plan_proof *proof, const struct spec *spec,
                          const struct controller_step *steps, struct str *text);
json_t *plan_proof_to_json(const struct plan_proof *proof, const struct spec *spec,
                           const struct controller_step *steps);

#endif
