/*
 * lamplighter image capture: a running host as the next generation of an image. The host is only
 * read.
 */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/capture_turn.h"
#include "cli/cmd_image.h"
#include "cli/image_take.h"

#include <stdlib.h>

static int take(struct session *s, size_t member, const struct image_place *place,
                struct image_draft *draft, bool *ret_refused, struct err *e)
{
    struct capture_turn turn = CAPTURE_TURN_NULL;
    struct image_taken taken;
    enum capture_answer answer = capture_turn_begin(&turn, s, member, &draft->ref, e);
    const struct image_publishing how = {.make_current = true};
    int result = answer == CAPTURE_MAY ? image_take(s, member, place, draft, &how, &taken, e) : -1;
    char *outcome = result == 0 ? xstrdup("done") : xasprintf("failed: %s", e->text);
    capture_turn_end(&turn, outcome);
    free(outcome);
    if (result == 0) {
        image_taken_print(&taken, s->cli->json);
        manifest_deinit(&taken.manifest);
    }
    *ret_refused = answer == CAPTURE_REFUSED;
    return result;
}

static int capture(struct session *s, size_t member, const char *name, bool *ret_refused,
                   struct err *e)
{
    const struct record_instance *record = controller_member_at(s->controller, member).record;
    size_t provider =
        record->provider == NULL ? SPEC_NONE : spec_find_provider(s->site.spec, record->provider);
    struct image_place place = IMAGE_PLACE_NULL;
    struct image_draft draft = IMAGE_DRAFT_NULL;
    if (image_place_open(&place, &s->site, provider, e) < 0) {
        return -1;
    }
    int result = image_take_keys(&place, e) < 0 || image_draft_begin(place.dir, name, &draft, e) < 0
                     ? -1
                     : 0;
    if (result == 0) {
        result = take(s, member, &place, &draft, ret_refused, e);
    }
    image_draft_deinit(&draft);
    image_place_close(&place);
    return result;
}

int cmd_image_capture(const struct cli *cli)
{
    if (cli->from == NULL) {
        return cli_usage("image", "image capture needs --from HOST");
    }
    if (!text_is_name(cli->argv[1])) {
        return cli_usage("image", "image '%s': not a name (small letters, digits, dashes)",
                         cli->argv[1]);
    }
    struct session session;
    int status = session_open(&session, cli, SESSION_JOIN, "image capture", NULL);
    if (status != CLI_DONE) {
        return status;
    }
    struct err e = ERR_NULL;
    size_t member = controller_find_member(session.controller, cli->from);
    bool refused = false;
    int result;
    if (member == WORLD_NONE) {
        result = err_set(&e, "no host '%s' in the records; see 'lamplighter status'", cli->from);
    } else if (controller_member_at(session.controller, member).record->host_key == NULL) {
        result = err_set(&e, "%s is not made yet; apply first", cli->from);
    } else {
        result = capture(&session, member, cli->argv[1], &refused, &e);
    }
    if (result < 0) {
        log_error("%s", e.text);
        status = refused ? CLI_REFUSED : CLI_FAILED;
    }
    session_close(&session);
    return status;
}
