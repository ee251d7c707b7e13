#include "cli/plan_proof.h"

#include "base/str.h"

bool plan_proof_make(const struct spec *spec, const struct controller_step *steps, size_t count,
                     size_t group, struct plan_proof *ret_proof)
{
    if (spec->groups[group].pool == SPEC_NONE) {
        return false;
    }
    struct plan_proof p = {
        .group = group, .worst = PLAN_PROOF_NONE, .holds = true, .holds_less_one = true};
    for (size_t i = 0; i < count; i++) {
        const struct proof *proof = &steps[i].proof;
        if (steps[i].action.group != group || !steps[i].takes) {
            continue;
        }
        p.taking++;
        p.minimum = proof->minimum;
        p.holds = p.holds && proof->holds;
        p.holds_less_one = p.holds_less_one && proof->holds_less_one;
        if (p.worst == PLAN_PROOF_NONE || proof->after < p.least) {
            p.worst = i;
            p.least = proof->after;
        }
    }
    p.less_one = p.least > 0 ? p.least - 1 : 0;
    *ret_proof = p;
    return true;
}

static const char *taken_word(enum action_kind kind)
{
    return kind == ACTION_TERMINATE ? "ended" : "drained";
}

void plan_proof_to_string(const struct plan_proof *p, const struct spec *spec,
                          const struct controller_step *steps, struct str *text)
{
    const char *name = spec->groups[p->group].name;
    if (p->worst == PLAN_PROOF_NONE) {
        str_addf(text, "group %s: no step takes a host away", name);
        return;
    }
    const struct controller_step *worst = &steps[p->worst];
    str_addf(text,
             "group %s: at least %zu serving at every step, minimum %zu%s; with one more host lost "
             "at the worst step (%s %s): %zu, %s",
             name, p->least, p->minimum, p->holds ? "" : ", BELOW the minimum", worst->subject,
             taken_word(worst->action.kind), p->less_one,
             p->holds_less_one ? "not below the minimum" : "BELOW the minimum");
}

json_t *plan_proof_to_json(const struct plan_proof *p, const struct spec *spec,
                           const struct controller_step *steps)
{
    json_t *object = json_pack("{s:s, s:I, s:b, s:b}", "group", spec->groups[p->group].name,
                               "taking_steps", (json_int_t)p->taking, "holds", p->holds ? 1 : 0,
                               "holds_less_one", p->holds_less_one ? 1 : 0);
    if (p->worst != PLAN_PROOF_NONE) {
        const struct controller_step *worst = &steps[p->worst];
        json_object_update_new(
            object, json_pack("{s:I, s:I, s:I, s:{s:s, s:s}}", "least", (json_int_t)p->least,
                              "minimum", (json_int_t)p->minimum, "less_one",
                              (json_int_t)p->less_one, "worst", "subject", worst->subject, "action",
                              action_kind_to_string(worst->action.kind)));
    }
    return object;
}
