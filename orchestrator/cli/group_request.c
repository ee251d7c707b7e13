#include "cli/group_request.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE_MAX_ASKED 100000
#define NAMES_SHOWN    6

enum subject { SUBJECT_GROUP, SUBJECT_INSTANCE, SUBJECT_EITHER, SUBJECT_EITHER_OR_CLUSTER };
enum extra { EXTRA_NONE, EXTRA_SIZE, EXTRA_PROCESS, EXTRA_PROCESS_OR_ALL };

static const struct verb {
    const char *name;
    enum record_request_kind kind;
    enum subject subject;
    enum extra extra;
    const char *usage;
} verbs[] = {
    {"scale", RECORD_REQUEST_SCALE, SUBJECT_GROUP, EXTRA_SIZE, "scale GROUP N"},
    {"standby", RECORD_REQUEST_STANDBY, SUBJECT_INSTANCE, EXTRA_NONE, "standby ID"},
    {"in-service", RECORD_REQUEST_IN_SERVICE, SUBJECT_INSTANCE, EXTRA_NONE, "in-service ID"},
    {"protect", RECORD_REQUEST_PROTECT, SUBJECT_INSTANCE, EXTRA_NONE, "protect ID"},
    {"unprotect", RECORD_REQUEST_UNPROTECT, SUBJECT_INSTANCE, EXTRA_NONE, "unprotect ID"},
    {"replace", RECORD_REQUEST_REPLACE, SUBJECT_INSTANCE, EXTRA_NONE, "replace ID"},
    {"detach", RECORD_REQUEST_DETACH, SUBJECT_INSTANCE, EXTRA_NONE, "detach ID [--shrink]"},
    {"attach", RECORD_REQUEST_ATTACH, SUBJECT_INSTANCE, EXTRA_NONE, "attach ID"},
    {"terminate", RECORD_REQUEST_TERMINATE, SUBJECT_INSTANCE, EXTRA_NONE, "terminate ID"},
    {"suspend", RECORD_REQUEST_SUSPEND, SUBJECT_GROUP, EXTRA_PROCESS, "suspend GROUP PROCESS"},
    {"resume", RECORD_REQUEST_RESUME, SUBJECT_GROUP, EXTRA_PROCESS_OR_ALL,
     "resume GROUP PROCESS|all"},
    {"pause", RECORD_REQUEST_PAUSE, SUBJECT_EITHER_OR_CLUSTER, EXTRA_NONE, "pause [GROUP|ID]"},
    {"unpause", RECORD_REQUEST_UNPAUSE, SUBJECT_EITHER_OR_CLUSTER, EXTRA_NONE,
     "unpause [GROUP|ID]"},
    {"retry", RECORD_REQUEST_RETRY, SUBJECT_EITHER, EXTRA_NONE, "retry GROUP|ID|MACHINE"},
    {"refresh", RECORD_REQUEST_REFRESH, SUBJECT_GROUP, EXTRA_NONE,
     "refresh GROUP [--image NAME[@N]] [OPTION...]"},
    {"hook continue", RECORD_REQUEST_HOOK_CONTINUE, SUBJECT_INSTANCE, EXTRA_NONE,
     "hook continue ID"},
    {"hook abandon", RECORD_REQUEST_HOOK_ABANDON, SUBJECT_INSTANCE, EXTRA_NONE, "hook abandon ID"},
    {"hook heartbeat", RECORD_REQUEST_HOOK_HEARTBEAT, SUBJECT_INSTANCE, EXTRA_NONE,
     "hook heartbeat ID"},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* Words. */

static void nearest_to(const char *word, const char *const *words, size_t count, struct err *e,
                       const char *what)
{
    const char *nearest = text_nearest(word, words, count);
    if (nearest != NULL) {
        err_set(e, "%s '%s'; did you mean '%s'?", what, word, nearest);
    } else {
        err_set(e, "%s '%s'", what, word);
    }
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (text_equal(verbs[i].name, name)) {
            return &verbs[i];
        }
    }
    return NULL;
}

static const struct verb *unknown_verb(const char *word, struct err *e)
{
    const char *words[VERB_COUNT + 1] = {"list"};
    for (size_t i = 0; i < VERB_COUNT; i++) {
        words[i + 1] = verbs[i].name;
    }
    nearest_to(word, words, VERB_COUNT + 1, e, "group knows no");
    return NULL;
}

/* The verb of the first word, or of the first two; *ret_used says how many. */
static const struct verb *take_verb(int argc, char **argv, int *ret_used, struct err *e)
{
    static const char *const hook_words[] = {"continue", "abandon", "heartbeat"};
    if (argc == 0) {
        err_set(e, "group needs a word: list, scale, replace, ...; see 'lamplighter help group'");
        return NULL;
    }
    *ret_used = 1;
    if (!text_equal(argv[0], "hook")) {
        const struct verb *verb = find_verb(argv[0]);
        return verb == NULL ? unknown_verb(argv[0], e) : verb;
    }
    if (argc == 1) {
        err_set(e, "group hook needs continue, abandon or heartbeat, and an instance");
        return NULL;
    }
    char name[64];
    snprintf(name, sizeof(name), "hook %s", argv[1]);
    *ret_used = 2;
    const struct verb *verb = find_verb(name);
    if (verb == NULL) {
        nearest_to(argv[1], hook_words, 3, e, "group hook knows no");
    }
    return verb;
}

static bool take_process(const struct verb *verb, const char *word, struct err *e)
{
    if (verb->extra == EXTRA_PROCESS_OR_ALL && text_equal(word, "all")) {
        return true;
    }
    if (world_process_from_string(word) != 0) {
        return true;
    }
    size_t count = 0;
    while (world_process_names[count] != NULL) {
        count++;
    }
    nearest_to(word, world_process_names, count, e, "a group has no process");
    return false;
}

static bool take_extra(const struct verb *verb, const char *word, struct record_request *request,
                       struct err *e)
{
    switch (verb->extra) {
    case EXTRA_NONE: return true;
    case EXTRA_SIZE:
        if (!text_to_int(word, 0, SIZE_MAX_ASKED, &request->value)) {
            err_set(e, "group scale: expected a number of instances, got '%s'", word);
            return false;
        }
        return true;
    case EXTRA_PROCESS:
    case EXTRA_PROCESS_OR_ALL:
        if (!take_process(verb, word, e)) {
            return false;
        }
        request->word = xstrdup(word);
        return true;
    }
    return false;
}

enum group_answer group_request_parse(int argc, char **argv, bool shrink,
                                      struct record_request *ret_request, struct err *e)
{
    int used = 0;
    const struct verb *verb = take_verb(argc, argv, &used, e);
    if (verb == NULL) {
        return GROUP_USAGE;
    }
    int most = verb->extra == EXTRA_NONE ? 1 : 2;
    int least = verb->subject == SUBJECT_EITHER_OR_CLUSTER ? 0 : most;
    int words = argc - used;
    if (words < least || words > most) {
        err_set(e, "it is: group %s%s%s", verb->usage, words > most ? "; too many words from " : "",
                words > most ? argv[used + most] : "");
        return GROUP_USAGE;
    }
    if (shrink && verb->kind != RECORD_REQUEST_DETACH) {
        err_set(e, "--shrink belongs to group detach; for a smaller group: group scale GROUP N");
        return GROUP_USAGE;
    }
    struct record_request request = {.kind = verb->kind, .value = shrink ? 1 : 0};
    if (words == 2 && !take_extra(verb, argv[used + 1], &request, e)) {
        return GROUP_USAGE;
    }
    request.subject = words == 0 ? NULL : xstrdup(argv[used]);
    *ret_request = request;
    return GROUP_OK;
}

/* Names. */

static const struct record_instance *find_instance(const struct group_known *known,
                                                   const char *name)
{
    for (size_t i = 0; i < known->instance_count; i++) {
        if (text_equal(known->instances[i].id, name) ||
            text_equal(known->instances[i].machine, name)) {
            return &known->instances[i];
        }
    }
    return NULL;
}

static void add_instances_of(const struct group_known *known, const char *group, struct str *text)
{
    size_t shown = 0;
    for (size_t i = 0; i < known->instance_count && shown <= NAMES_SHOWN; i++) {
        if (text_equal(known->instances[i].group, group)) {
            str_addf(text, " %s", shown == NAMES_SHOWN ? "..." : known->instances[i].id);
            shown++;
        }
    }
    str_add(text, shown == 0 ? " none yet" : "");
}

static enum group_answer no_such(const struct group_known *known, const char *name,
                                 enum subject wanted, struct err *e)
{
    const char **words =
        xcalloc(known->instance_count * 2 + known->spec->group_count + 1, sizeof(*words));
    size_t count = 0;
    for (size_t i = 0; i < known->instance_count && wanted != SUBJECT_GROUP; i++) {
        words[count++] = known->instances[i].id;
        if (known->instances[i].machine != NULL) {
            words[count++] = known->instances[i].machine;
        }
    }
    for (size_t g = 0; g < known->spec->group_count && wanted != SUBJECT_INSTANCE; g++) {
        words[count++] = known->spec->groups[g].name;
    }
    const char *nearest = text_nearest(name, words, count);
    const char *what = wanted == SUBJECT_GROUP      ? "group"
                       : wanted == SUBJECT_INSTANCE ? "instance"
                                                    : "group or instance";
    if (nearest != NULL) {
        err_set(e, "cluster %s has no %s '%s'; did you mean '%s'?", known->spec->cluster, what,
                name, nearest);
    } else {
        err_set(e, "cluster %s has no %s '%s'; 'lamplighter status' lists them",
                known->spec->cluster, what, name);
    }
    free(words);
    return GROUP_UNKNOWN;
}

static enum group_answer group_for_instance(const struct group_known *known, const char *name,
                                            struct err *e)
{
    struct str text = STR_NULL;
    add_instances_of(known, name, &text);
    err_set(e, "%s is a group; name one of its instances:%s", name, str_text(&text));
    str_deinit(&text);
    return GROUP_UNKNOWN;
}

/* What a request is about, found. */
struct found {
    const struct record_instance *instance; /* NULL: a group, or the cluster. */
    size_t group;                           /* SPEC_NONE: not in the file, or the cluster. */
};

static enum group_answer find_subject(const struct group_known *known, const struct verb *verb,
                                      const char *name, struct found *ret_found, struct err *e)
{
    *ret_found = (struct found){.group = SPEC_NONE};
    if (name == NULL) {
        return GROUP_OK;
    }
    const struct record_instance *instance = find_instance(known, name);
    size_t group = spec_find_group(known->spec, name);
    if (verb->subject == SUBJECT_GROUP) {
        if (group == SPEC_NONE && instance != NULL) {
            err_set(e, "%s is an instance of group %s; name the group", name, instance->group);
            return GROUP_UNKNOWN;
        }
        ret_found->group = group;
        return group == SPEC_NONE ? no_such(known, name, verb->subject, e) : GROUP_OK;
    }
    if (instance != NULL) {
        ret_found->instance = instance;
        ret_found->group = spec_find_group(known->spec, instance->group);
        return GROUP_OK;
    }
    /* A machine without an instance: in quarantine, for example. */
    if (group == SPEC_NONE && verb->kind == RECORD_REQUEST_RETRY &&
        spec_find_host(known->spec, name) != SPEC_NONE) {
        return GROUP_OK;
    }
    if (group == SPEC_NONE) {
        return no_such(known, name, verb->subject, e);
    }
    if (verb->subject == SUBJECT_INSTANCE) {
        return group_for_instance(known, name, e);
    }
    ret_found->group = group;
    return GROUP_OK;
}

/* What can be said against it. */

const struct record_group *group_record(const struct group_known *known, size_t group)
{
    for (size_t i = 0; i < known->group_count; i++) {
        if (text_equal(known->groups[i].name, known->spec->groups[group].name)) {
            return &known->groups[i];
        }
    }
    return NULL;
}

unsigned group_desired(const struct group_known *known, size_t group)
{
    const struct spec_group *spec = &known->spec->groups[group];
    const struct record_group *r = group_record(known, group);
    bool by_hand = r != NULL && r->desired >= 0 && r->file_desired == spec->desired &&
                   r->desired >= spec->min && r->desired <= spec->max;
    return by_hand ? (unsigned)r->desired : spec->desired;
}

static enum group_answer check_size(const struct group_known *known, size_t group, int64_t size,
                                    struct err *e)
{
    const struct spec_group *spec = &known->spec->groups[group];
    if (size >= spec->min && size <= spec->max) {
        return GROUP_OK;
    }
    err_set(e,
            "%s:%u: group %s has min = %u and max = %u: %" PRId64
            " is outside; change them there first",
            spec->place.file, spec->place.line, spec->name, spec->min, spec->max, size);
    return GROUP_REFUSED;
}

/* A member of a group, that is not on its way out. */
static enum group_answer check_member(const struct record_instance *it, struct err *e)
{
    if (it->lifecycle == LIFECYCLE_DETACHED) {
        err_set(e, "%s is detached: in no group; 'lamplighter group attach %s' takes it in", it->id,
                it->id);
        return GROUP_REFUSED;
    }
    if (world_leaving(it->lifecycle)) {
        err_set(e, "%s is %s: it leaves its group already", it->id,
                lifecycle_to_string(it->lifecycle));
        return GROUP_REFUSED;
    }
    return GROUP_OK;
}

static enum group_answer check_attach(const struct found *found, struct err *e)
{
    const struct record_instance *it = found->instance;
    if (it->lifecycle != LIFECYCLE_DETACHED) {
        err_set(e, "%s is %s in group %s: only what is detached can be attached", it->id,
                lifecycle_to_string(it->lifecycle), it->group);
        return GROUP_REFUSED;
    }
    if (found->group == SPEC_NONE) {
        err_set(e, "%s is of group %s, which is not in the cluster file; put the group there first",
                it->id, it->group);
        return GROUP_REFUSED;
    }
    return GROUP_OK;
}

static enum group_answer check_terminate(const struct found *found, struct err *e)
{
    const struct record_instance *it = found->instance;
    if (it->lifecycle != LIFECYCLE_DETACHED) {
        err_set(e,
                "%s is %s in group %s: only what is detached is ended by hand; a member ends with "
                "'group replace %s', or when its group gets smaller: 'group scale %s N'",
                it->id, lifecycle_to_string(it->lifecycle), it->group, it->id, it->group);
        return GROUP_REFUSED;
    }
    if (found->group == SPEC_NONE) {
        err_set(e, "%s is of group %s, which is not in the cluster file; put the group there first",
                it->id, it->group);
        return GROUP_REFUSED;
    }
    return GROUP_OK;
}

static enum group_answer check_hook(const struct record_instance *it, struct err *e)
{
    if (it->lifecycle == LIFECYCLE_PENDING_WAIT || it->lifecycle == LIFECYCLE_TERMINATING_WAIT) {
        return GROUP_OK;
    }
    err_set(e, "%s is %s: it waits for no lifecycle hook", it->id,
            lifecycle_to_string(it->lifecycle));
    return GROUP_REFUSED;
}

static enum group_answer check_found(const struct group_known *known,
                                     const struct record_request *request,
                                     const struct found *found, struct err *e)
{
    enum group_answer answer;
    switch (request->kind) {
    case RECORD_REQUEST_SCALE: return check_size(known, found->group, request->value, e);
    case RECORD_REQUEST_STANDBY:
    case RECORD_REQUEST_IN_SERVICE:
    case RECORD_REQUEST_REPLACE: return check_member(found->instance, e);
    case RECORD_REQUEST_DETACH:
        answer = check_member(found->instance, e);
        if (answer == GROUP_OK && request->value != 0 && found->group != SPEC_NONE) {
            answer =
                check_size(known, found->group, (int64_t)group_desired(known, found->group) - 1, e);
        }
        return answer;
    case RECORD_REQUEST_ATTACH: return check_attach(found, e);
    case RECORD_REQUEST_TERMINATE: return check_terminate(found, e);
    case RECORD_REQUEST_HOOK_CONTINUE:
    case RECORD_REQUEST_HOOK_ABANDON:
    case RECORD_REQUEST_HOOK_HEARTBEAT: return check_hook(found->instance, e);
    case RECORD_REQUEST_REFRESH: /* Those four: cli/cmd_group_refresh.c. */
    case RECORD_REQUEST_REFRESH_CONTINUE:
    case RECORD_REQUEST_REFRESH_CANCEL:
    case RECORD_REQUEST_REFRESH_ROLLBACK:
    case RECORD_REQUEST_PROTECT:
    case RECORD_REQUEST_UNPROTECT:
    case RECORD_REQUEST_SUSPEND:
    case RECORD_REQUEST_RESUME:
    case RECORD_REQUEST_PAUSE:
    case RECORD_REQUEST_UNPAUSE:
    case RECORD_REQUEST_RETRY: return GROUP_OK;
    }
    return GROUP_OK;
}

/* What is ordered of a refresh is an option of the one verb. */
static const struct verb *verb_of(enum record_request_kind kind)
{
    if (kind == RECORD_REQUEST_REFRESH_CONTINUE || kind == RECORD_REQUEST_REFRESH_CANCEL ||
        kind == RECORD_REQUEST_REFRESH_ROLLBACK) {
        kind = RECORD_REQUEST_REFRESH;
    }
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (verbs[i].kind == kind) {
            return &verbs[i];
        }
    }
    return NULL;
}

enum group_answer group_request_check(const struct group_known *known,
                                      struct record_request *request, struct err *e)
{
    const struct verb *verb = verb_of(request->kind);
    struct found found;
    if (verb->subject == SUBJECT_EITHER_OR_CLUSTER && request->subject != NULL &&
        text_equal(request->subject, known->spec->cluster) &&
        spec_find_group(known->spec, request->subject) == SPEC_NONE) {
        free(request->subject);
        request->subject = NULL;
    }
    enum group_answer answer = find_subject(known, verb, request->subject, &found, e);
    if (answer == GROUP_OK) {
        answer = check_found(known, request, &found, e);
    }
    if (answer == GROUP_OK && found.instance != NULL) {
        char *id = xstrdup(found.instance->id);
        free(request->subject);
        request->subject = id;
    }
    return answer;
}
