#include "cli/holds.h"

#include <string.h>

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

/* What the tool on the host said, line by line, set off from our own words. */
static void print_failure(const char *failure, FILE *out)
{
    while (failure != NULL && *failure != '\0') {
        size_t length = strcspn(failure, "\n");
        fprintf(out, "%-10s            | %.*s\n", "", (int)length, failure);
        failure += length + (failure[length] == '\n');
    }
}

void holds_print(const struct controller *c, FILE *out)
{
    size_t count;
    const struct hold *holds = controller_holds(c, &count);
    for (size_t i = 0; i < count; i++) {
        char reason[300];
        reason_to_string(&holds[i].reason, reason, sizeof(reason));
        fprintf(out, "%-10s %-10s %s\n", controller_subject(c, holds[i].instance, holds[i].group),
                hold_kind_to_string(holds[i].kind), reason);
        print_failure(failure_of(c, &holds[i]), out);
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
