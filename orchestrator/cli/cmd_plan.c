/* lamplighter plan */
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/holds.h"
#include "cli/plan_proof.h"
#include "cli/progress.h"
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps that change something, and how far a refresh is; looks and marks are how we get there, not
   what happens. */
static bool is_shown(const struct controller_step *step)
{
    return action_kind_has_effect(step->action.kind) || step->action.kind == ACTION_REFRESH;
}

/* Why the instance is made at all stands with its ADD; the launch itself only says "not made". */
static const char *reason_of(const struct controller_step *steps, size_t count, size_t index)
{
    if (steps[index].action.kind == ACTION_LAUNCH) {
        for (size_t i = 0; i < count; i++) {
            if (steps[i].action.kind == ACTION_ADD &&
                text_equal(steps[i].subject, steps[index].subject)) {
                return steps[i].reason;
            }
        }
    }
    return steps[index].reason;
}

static const char *item_word(enum role_result_status status)
{
    return status == ROLE_FAILED ? "failed" : "differs";
}

static void print_indented(const char *text, const char *indent)
{
    struct str clean = STR_NULL;
    str_add_printable(&clean, text, strlen(text), true);
    const char *at = str_text(&clean);
    while (*at != '\0') {
        size_t length = strcspn(at, "\n");
        printf("%s%.*s\n", indent, (int)length, at);
        at += length + (at[length] == '\n');
    }
    str_deinit(&clean);
}

static void print_items(const struct controller *c, const struct controller_step *step, bool diff)
{
    size_t index = controller_find_member(c, step->subject);
    if (step->action.kind != ACTION_CONFIGURE || index == WORLD_NONE) {
        return;
    }
    struct controller_member m = controller_member_at(c, index);
    for (size_t i = 0; i < m.item_count; i++) {
        const struct controller_item *item = &m.items[i];
        printf("%-10s %-10s   %s: %s %s %s\n", "", "", item->role, item->type, item->name,
               item_word(item->status));
        if (item->text != NULL && (diff || item->status == ROLE_FAILED)) {
            print_indented(item->text, "                           ");
        }
    }
}

static const char *zone_of(const struct session *s, const struct controller_step *step)
{
    return step->action.zone == WORLD_NONE ? "?" : s->site.spec->zones[step->action.zone].name;
}

static void print_proofs(const struct session *s, const struct controller_step *steps, size_t count)
{
    const struct spec *spec = s->site.spec;
    for (size_t g = 0; g < spec->group_count; g++) {
        struct plan_proof proof;
        struct str text = STR_NULL;
        if (plan_proof_make(spec, steps, count, g, &proof)) {
            plan_proof_to_string(&proof, spec, steps, &text);
            puts(str_text(&text));
        }
        str_deinit(&text);
    }
}

static json_t *proofs_to_json(const struct session *s, const struct controller_step *steps,
                              size_t count)
{
    json_t *list = json_array();
    for (size_t g = 0; g < s->site.spec->group_count; g++) {
        struct plan_proof proof;
        if (plan_proof_make(s->site.spec, steps, count, g, &proof)) {
            json_array_append_new(list, plan_proof_to_json(&proof, s->site.spec, steps));
        }
    }
    return list;
}

/* What apply writes down before all else: which templates have a new version. */
static void print_templates(const struct session *s)
{
    for (size_t t = 0; t < s->site.spec->template_count; t++) {
        struct str text = STR_NULL;
        controller_add_fresh_template(s->controller, t, &text);
        if (text.length > 0) {
            printf("template %s: %s\n", s->site.spec->templates[t].name, str_text(&text));
        }
        str_deinit(&text);
    }
}

static json_t *templates_to_json(const struct session *s)
{
    json_t *list = json_array();
    for (size_t t = 0; t < s->site.spec->template_count; t++) {
        struct str text = STR_NULL;
        controller_add_fresh_template(s->controller, t, &text);
        if (text.length > 0) {
            json_array_append_new(list, json_pack("{s:s, s:s}", "template",
                                                  s->site.spec->templates[t].name, "change",
                                                  str_text(&text)));
        }
        str_deinit(&text);
    }
    return list;
}

static void print_plan(const struct cli *cli, const struct session *s,
                       const struct controller_step *steps, size_t count, enum controller_end end)
{
    size_t shown = 0;
    print_templates(s);
    for (size_t i = 0; i < count; i++) {
        if (!is_shown(&steps[i])) {
            continue;
        }
        shown++;
        const char *reason = reason_of(steps, count, i);
        if (steps[i].action.kind == ACTION_LAUNCH) {
            printf("%-10s %-10s in %s: %s\n", steps[i].subject, "launch", zone_of(s, &steps[i]),
                   reason);
        } else if (steps[i].action.kind == ACTION_REFRESH) {
            printf("%-10s %-10s %s: %s\n", steps[i].subject, "refresh",
                   world_refresh_to_string(steps[i].action.refresh), reason);
        } else {
            printf("%-10s %-10s %s\n", steps[i].subject,
                   action_kind_to_string(steps[i].action.kind), reason);
        }
        print_items(s->controller, &steps[i], cli->diff || cli->verbose);
    }
    if (shown > 0) {
        print_proofs(s, steps, count);
    }
    holds_print(s->controller, stdout);
    size_t holds;
    controller_holds(s->controller, &holds);
    if (holds > 0) {
        printf("cluster %s: %zu step%s, and %zu that cannot be taken (above)\n",
               s->site.spec->cluster, shown, shown == 1 ? "" : "s", holds);
    } else if (end != CONTROLLER_DONE) {
        printf("cluster %s: %zu step%s; not all of it could be seen (above)\n",
               s->site.spec->cluster, shown, shown == 1 ? "" : "s");
    } else if (shown == 0) {
        printf("cluster %s: nothing to change; looked at %zu instances\n", s->site.spec->cluster,
               controller_member_count(s->controller));
    } else {
        printf("cluster %s: %zu step%s\n", s->site.spec->cluster, shown, shown == 1 ? "" : "s");
    }
}

static json_t *items_to_json(const struct controller *c, const struct controller_step *step)
{
    json_t *list = json_array();
    size_t index = controller_find_member(c, step->subject);
    if (step->action.kind != ACTION_CONFIGURE || index == WORLD_NONE) {
        return list;
    }
    struct controller_member m = controller_member_at(c, index);
    for (size_t i = 0; i < m.item_count; i++) {
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s?}", "role", m.items[i].role,
                                        "type", m.items[i].type, "name", m.items[i].name, "state",
                                        item_word(m.items[i].status), "text", m.items[i].text));
    }
    return list;
}

static void print_json(const struct session *s, const struct controller_step *steps, size_t count,
                       enum controller_end end)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (is_shown(&steps[i])) {
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s, s:s, s:o}", "action",
                                            action_kind_to_string(steps[i].action.kind), "subject",
                                            steps[i].subject, "zone", zone_of(s, &steps[i]),
                                            "reason", reason_of(steps, count, i), "resources",
                                            items_to_json(s->controller, &steps[i])));
        }
    }
    json_t *root =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "cluster", s->site.spec->cluster, "result",
                  end == CONTROLLER_DONE      ? "done"
                  : end == CONTROLLER_REFUSED ? "refused"
                                              : "failed",
                  "steps", list, "proof", proofs_to_json(s, steps, count), "holds",
                  holds_to_json(s->controller), "templates", templates_to_json(s));
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

/* While plan looks, only failures and notes are told, and only to people. */
static struct controller_watch quiet_watch(struct progress *progress, const struct cli *cli)
{
    struct controller_watch watch = progress_watch(progress);
    return cli->json ? (struct controller_watch){.context = NULL} : watch;
}

int cmd_plan(const struct cli *cli)
{
    if (cli->argc > 0) {
        return cli_usage("plan", "plan takes no word, got '%s'", cli->argv[0]);
    }
    struct progress *progress = progress_new(cli);
    struct controller_watch watch = quiet_watch(progress, cli);
    struct session session;
    int status = session_open(&session, cli, SESSION_READ, "plan", &watch);
    if (status != CLI_DONE) {
        progress_free(progress);
        return status;
    }
    struct err e = ERR_NULL;
    struct controller_step *steps = NULL;
    size_t count = 0;
    enum controller_end end = CONTROLLER_FAILED;
    int result = controller_plan(session.controller, &steps, &count, &end, &e);
    progress_free(progress);
    if (result != 0) {
        log_error("%s", e.text);
    } else if (cli->json) {
        print_json(&session, steps, count, end);
    } else {
        print_plan(cli, &session, steps, count, end);
    }
    free(steps);
    session_close(&session);
    return result == 0 && end == CONTROLLER_DONE      ? CLI_DONE
           : result == 0 && end == CONTROLLER_REFUSED ? CLI_REFUSED
                                                      : CLI_FAILED;
}
