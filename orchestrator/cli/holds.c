#include "cli/holds.h"

const char *hold_kind_to_string(enum hold_kind kind)
{
    switch (kind) {
    case HOLD_WAIT: return "waits";
    case HOLD_REFUSED: return "refused";
    case HOLD_STUCK: return "stuck";
    }
    return "unknown";
}

/* The last failure of the instance, in the words of whoever failed; NULL when there is none. */
static const char *failure_of(const struct controller *c, const struct hold *hold)
{
    if (hold->instance == WORLD_NONE) {
        return NULL;
    }
    return controller_member_at(c, hold->instance).record->reason;
}

void holds_print(const struct controller *c, FILE *out)
{
    size_t count;
    const struct hold *holds = controller_holds(c, &count);
    for (size_t i = 0; i < count; i++) {
        char reason[300];
        reason_to_string(&holds[i].reason, reason, sizeof(reason));
        const char *failure = failure_of(c, &holds[i]);
        fprintf(out, "%-10s %-10s %s%s%s\n",
                controller_subject(c, holds[i].instance, holds[i].group),
                hold_kind_to_string(holds[i].kind), reason, failure == NULL ? "" : ": ",
                failure == NULL ? "" : failure);
    }
}

json_t *holds_to_json(const struct controller *c)
{
    json_t *list = json_array();
    size_t count;
    const struct hold *holds = controller_holds(c, &count);
    for (size_t i = 0; i < count; i++) {
        char reason[300];
        reason_to_string(&holds[i].reason, reason, sizeof(reason));
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "subject",
                                        controller_subject(c, holds[i].instance, holds[i].group),
                                        "hold", hold_kind_to_string(holds[i].kind), "reason",
                                        reason, "rule", reason_rule(holds[i].reason.code),
                                        "failure", failure_of(c, &holds[i])));
    }
    return list;
}
