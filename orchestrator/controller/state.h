/*
 * The controller's own state, shared by the files of this room and no other:
 * controller.c (the loop), plan.c (the loop over expected worlds), member.c (records to world),
 * request.c (actions to requests), result.c (answers to world and records), probes.c (health),
 * context.c (what roles see).
 */
#ifndef CONTROLLER_STATE_H
#define CONTROLLER_STATE_H

#include "base/problem.h"
#include "controller/controller.h"
#include "controller/prober.h"
#include "controller/refresh_goal.h"
#include "controller/template_version.h"
#include "core/outcome.h"
#include "frontend/frontend.h"
#include "net/ssh_link.h"

/* What was last told of one instance, one group or the cluster (view.c). All zeros: nothing was. */
struct view_mark {
    uint64_t digest; /* Of all that is told at once when it changes. */
    uint64_t text;   /* Of what is told when it is old too: the hold's reason, counts. */
    int64_t told_ms;
    uint64_t held; /* What it is held for; 0: nothing. */
    int64_t held_ms;
    size_t hold, action; /* Its own in the decision that is being told; WORLD_NONE. */
};

/* Beside world.instances[i]: what the core need not know. */
struct member {
    struct view_mark view;
    struct record_instance record; /* Owned. */
    char digest[65];               /* Of the script it should have; "" before it was compiled. */
    uint64_t digest_version;       /* Of controller->context_version, when digest was made. */
    struct controller_item *items; /* Owned. */
    size_t item_count;
    size_t item_capacity;
    bool probed[2];             /* By enum check_role: the prober was given it. */
    bool probe_anew;            /* What the prober said was of the host as it was before. */
    bool listed;                /* Named in the answer its provider is giving. */
    int64_t acted_ms;           /* When an action on it last began or ended. */
    enum action_kind last_kind; /* Of the action that ended last. */
    unsigned repeats;           /* How often in a row it was of that kind. */
    char *probe_text;
    char *frontend_text;
    char *image; /* Owned; a builder's: what it is made from instead of its template's. */
};

struct target_traffic; /* canary_watch.c */
struct canary_group;

#define MARKS_MAX 8

/* Beside world.groups[i]: what the core need not know. */
struct group_note {
    char *image;    /* Owned; what world.groups[i].content is: its pin. NULL: none. */
    char *image_of; /* Owned; the template's image when that was pinned. */
    /* What the pin is made by; NULL: as the file says. */
    const struct template_version *template;
    bool whole;                    /* Its roles and settings hold too. */
    struct record_refresh refresh; /* Owned; texts and wall-clock times; the rest is the world's. */
    bool outdated;                 /* The records differ from it: to be written. */
    int64_t marks_ms[MARKS_MAX]; /* When those that are being replaced were marked, oldest first. */
    size_t mark_count;
    int64_t alarm_ms; /* When its alarm command was last begun; 0: never. */
    bool alarm_runs;
};

/* A job under way: the action, what it is recorded as. */
struct running {
    struct action action;
    char *action_id; /* NULL for looks: they are not recorded. */
    enum running_kind {
        RUNNING_ACTION,
        RUNNING_LIST,  /* Of `provider`. */
        RUNNING_LOOK,  /* At action.balancer. */
        RUNNING_ALARM, /* Of the refresh of action.group. */
    } kind;
    size_t provider;
    int64_t asked_ms; /* LIST: what happened since then it may not know of. */
    char *reason;     /* As text. */
    uint64_t content; /* LAUNCH: what it is to be made from; 0: as the file says. */
    /* INSPECT, CONFIGURE: the script that runs. Kept to the end: the worker reads its blobs from
       files that live as long as it does. */
    struct role_script script;
};

struct controller {
    struct site *site;
    const struct spec *spec;
    struct crew *crew;
    struct store *store;
    struct journal *journal; /* NULL: may only look. */
    struct controller_options options;
    struct world world; /* Arrays owned. */
    struct member *members;
    struct group_note *notes;           /* Owned. */
    struct template_versions *versions; /* Owned. */
    int64_t wall_offset_ms;             /* The wall clock less the monotonic one, at the start. */
    struct decision decision;           /* Arrays owned. */
    int64_t judge_again_ms;             /* The core's other deadline; INT64_MAX for none. */
    struct prober *prober;              /* NULL until something is to be probed. */
    uint64_t context_version;        /* Rises whenever what roles see of other instances changes. */
    size_t lists_open;               /* Provider lists still awaited. */
    struct record_machine *machines; /* Owned; the ledger. */
    size_t machine_count;
    bool *told;        /* Beside latches (judgements.c): it was told that it is on. */
    bool *answered;    /* Beside spec->providers: it has answered once. */
    bool all_listed;   /* Every provider has answered once, one way or the other. */
    size_t looks_open; /* Looks at balancers still awaited. */
    int64_t listed_ms; /* When providers were last asked; looked_ms: balancers. */
    int64_t looked_ms;
    unsigned list_failures; /* In a row. */
    bool list_soon;         /* A witness said something that a provider should know more of. */
    bool blind;             /* A provider did not answer: what it has is unknown in this run. */
    uint64_t next_action;
    int64_t created_ms;  /* When this controller began. */
    int64_t started_ms;  /* `run`: when it began. */
    int64_t turned_ms;   /* When the loop last turned. */
    int64_t requests_ms; /* When requests were last looked for. */
    int64_t swept_ms;    /* When builders were last looked through. */
    bool unclean;        /* The controller before us did not end in order. */
    bool looking_only;   /* plan, status: only looks are dispatched. */
    bool no_inspect;     /* status: hosts are not compared. */
    struct controller_totals totals;
    bool *targets_named; /* Beside world.targets: named in the answer a balancer is giving. */
    struct target_traffic *traffic; /* Owned; beside world.targets; room for traffic_capacity. */
    size_t traffic_capacity;
    struct canary_group *canaries; /* Owned; beside world.groups; NULL: no balancer answered yet. */
    json_t *groups;                /* What roles see of the groups, of groups_version. */
    uint64_t groups_version;

    struct view_mark *group_views; /* Owned; beside world.groups; NULL: nothing was told yet. */
    struct view_mark cluster_view;
};

/* observe.c */
/* Asks every provider what it has; answers come while the loop turns. */
int observe_providers(struct controller *c, struct err *e);
/* `run`: asks providers and balancers again when it is time. *ret_next_ms: when that will be. */
int observe_again(struct controller *c, int64_t *ret_next_ms, struct err *e);

/* judgements.c */
/* Says what judge() has newly come to believe of groups, zones and the cluster, and writes it down.
 */
void judgements_tell(struct controller *c);

/* groups.c */
int groups_load(struct controller *c, struct err *e);
void groups_put(struct controller *c, size_t group);
/* CLEAN: this controller ends in order. */
void groups_put_cluster(struct controller *c, bool clean);

/* templates.c */
/* RECORDS: all instances; those of before there were versions are given theirs. */
int templates_load(struct controller *c, struct record_instance *records, size_t count,
                   struct err *e);
void templates_free(struct controller *c);
const struct template_version *templates_of_file(const struct controller *c, size_t group);
/* For who acts: queues what the file says and the store has not. */
int templates_record(struct controller *c, struct err *e);
/* Whether VERSION's roles are still there, and its settings still theirs. */
int templates_check(const struct controller *c, const struct template_version *version,
                    struct err *e);
/* Of a member that has a group: the template in the spec whose image, size and user-data it has. */
size_t templates_made_by(const struct controller *c, size_t index);
/* One that is not configured yet is of the file's version, where it can be. */
void templates_adopt(const struct controller *c, struct record_instance *r);
struct site_recipe templates_recipe(const struct controller *c, size_t index);

/* refresh.c */
int refresh_load(struct controller *c, struct err *e);
void refresh_free(struct controller *c);
void refresh_put(struct controller *c, size_t group);
/* As it is now; its texts are borrowed. */
struct record_refresh refresh_record(const struct controller *c, size_t group);
/* What an instance with CONTENT is made from; no image: as the file says. */
struct refresh_origin {
    const char *image;
    const struct template_version
        *template; /* The file's where nothing else is; NULL: not known. */
};
struct refresh_origin refresh_origin_of(const struct controller *c, size_t group, uint64_t content);
/* The file tree of the group's pin; 0: none is pinned. */
uint64_t refresh_tree(const struct controller *c, size_t group);
/* The world's state of it has changed, for REASON: into the records, the pin included. */
void refresh_note_state(struct controller *c, size_t group, const char *reason);
/* An instance was marked to be replaced by it. */
void refresh_note_mark(struct controller *c, size_t group);
/* What REASON cannot know: what the alarm said, why the new one failed. TEXT has SIZE. */
void refresh_add_cause(const struct controller *c, size_t group, enum reason_code code, char *text,
                       size_t size);
/*
 * What watches the refresh of GROUP says: TEXT, one line, is why the new is bad; NULL: it is well.
 * A bad word stands until the refresh has come into another state.
 */
void refresh_alarm_set(struct controller *c, size_t group, const char *text);
/* Once a turn, after the decision: counts what was replaced, runs alarm commands that are due (none
   when the controller is STOPPING). */
void refresh_watch(struct controller *c, bool stopping);
void refresh_alarm_end(struct controller *c, const struct running *running,
                       enum work_outcome outcome, const struct message *result, const char *text);
/* How long it will take, by what was measured; -1: not known. */
int64_t refresh_remaining(const struct controller *c, size_t group);

/* canary_watch.c */
/* What its balancer counts of target T, in the answer it is giving. */
void canary_watch_target(struct controller *c, size_t t, const struct message *message);
/* A target that a balancer does not have begins at 0 when it comes back. */
void canary_watch_absent(struct controller *c, size_t t);
/* Target FROM is now TO; at the end all from COUNT on are nobody's. */
void canary_watch_moved(struct controller *c, size_t from, size_t to);
void canary_watch_kept(struct controller *c, size_t count);
/* BALANCER has answered as a whole: judged, and the alarm set where the new is worse. */
void canary_watch_look(struct controller *c, size_t balancer);
/* "new: 0 of 812 failed, mean 12 ms; old: ..."; the caller frees it; NULL: nothing to compare. */
char *canary_watch_text(const struct controller *c, size_t group);
void canary_watch_free(struct controller *c);

/* refresh_request.c */
/* What operators ask of it. False: refused, as E says; else E says what is to be told. */
bool refresh_take_begin(struct controller *c, size_t group, const char *word, const char *who,
                        struct err *e);
bool refresh_take_order(struct controller *c, size_t group, enum record_request_kind kind,
                        const char *who, struct err *e);

/* machines.c */
int machines_load(struct controller *c, struct err *e);
void machines_free(struct controller *c);
/* In the last 24 h; 0 for NULL, and for one that has no page yet. */
unsigned machines_rebuilds(const struct controller *c, const char *name);
bool machines_quarantined(const struct controller *c, const char *name);
/* An instance was put on it. */
void machines_note_placed(struct controller *c, const char *name);
/* An operator says that it is well. False when there is no page of it. */
bool machines_retry(struct controller *c, const char *name);

/* captures.c */
/* For who acts: an image is wanted of it, by WHO (a request's word). */
int capture_want(struct controller *c, size_t index, const char *who, struct err *e);
/* decide() has granted it. */
void capture_granted(struct controller *c, size_t index);
void capture_end(struct controller *c, size_t index, const char *outcome);
/* Those whose command is gone give their turn back. */
void captures_sweep(struct controller *c);

/* builder.c */
/* A command builds on it, or has, and it is to be removed. */
bool builder_is(const struct controller *c, size_t index);
/* For who acts: queues the record of a new one of GROUP for the process OWNER. */
int builder_add(struct controller *c, size_t group, const char *owner, size_t *ret_index,
                struct err *e);
/* For who acts: it is to be removed from now on, or (KEEP) becomes a detached one like any other.
 */
void builder_end(struct controller *c, size_t index, bool keep, const char *why);
/* Once a turn: those whose command is gone are to go; those that are to go, go. */
int builders_step(struct controller *c, size_t *ret_begun, struct err *e);

/* requests.c */
/* Takes in what operators asked for, and commits it. */
int requests_take(struct controller *c, struct err *e);

/* view.c */
/*
 * Queues what changed of what is believed (store/record_view.h), at most once a second each. Called
 * once a turn, between the decision and what is done about it: both must be of one world.
 */
void view_update(struct controller *c);

/* controller.c */
/* Intents that a controller before us recorded and did not end. */
int settle_intents(struct controller *c, struct err *e);
/*
 * Turns the loop until nothing moves any more, or until LIMIT_MS. What moves: workers, deadlines of
 * the core, the prober's first word.
 */
int loop_turn(struct controller *c, int64_t limit_ms, const volatile bool *stop, struct err *e);
/* Begins one step by itself: its intent first, as always. What cannot be begun has failed, and was
   told. */
int loop_begin(struct controller *c, const struct action *action, const char *reason,
               struct err *e);
/* Workers' answers come to this controller from now on. */
void loop_take_crew(struct controller *c);
/* Judges the world as it is now, and decides. */
void loop_decide(struct controller *c);
/* How it stands, by the last decision. */
enum controller_end loop_end(const struct controller *c);

/* probes.c */
/* Should the prober follow it now? */
bool probes_want(const struct controller *c, size_t index, enum check_role role);
int probes_update(struct controller *c, struct err *e);
void probes_hear(struct controller *c);

/* member.c */
int members_load(struct controller *c, struct err *e);
void members_free(struct controller *c);
void members_reserve(struct controller *c, size_t instances);
size_t member_add(struct controller *c, const struct action *action, struct err *e);
/* A place for RECORD, of GROUP, where instances are made: zone, provider, address. */
int member_place_made(const struct controller *c, size_t group, struct record_instance *record,
                      struct err *e);
/* An instance that was found; RECORD's strings are taken over. */
size_t member_take(struct controller *c, const struct record_instance *record);
/* RECORD is, or will be, made by VERSION. */
void member_note_version(const struct controller *c, const struct template_version *version,
                         struct record_instance *record);
/* There is, or was since this controller began, an instance of this id. */
bool member_was_here(const struct controller *c, const char *id);
/* Lets go of members that are gone. Only while no job is under way: places change. */
void members_compact(struct controller *c);
/* What the core changed of the instance goes into its record. */
void member_to_record(struct controller *c, size_t index);
void member_clear_items(struct member *m);
void members_count_room(struct controller *c);
/* Reached without a bastion, so that the prober can see it. */
bool controller_is_direct(const struct controller *c, size_t index);
bool member_is_static(const struct controller *c, size_t index);
size_t member_provider(const struct controller *c, size_t index); /* SPEC_NONE when gone. */

/* context.c */
int context_compile(struct controller *c, size_t index, struct role_script *ret_script,
                    struct problem_list *problems);
/* The digest the member should have, compiled if need be; -1 with the first problem in E. */
int context_digest(struct controller *c, size_t index, struct err *e);

/* request.c */
void request_look(const struct controller *c, size_t balancer, struct message *ret_request);
void request_target(const struct controller *c, size_t index, struct message *request);
/* Builds the request of ACTION. Faults (a template that does not render) are the instance's. */
void running_free(struct running *running);
int request_build(struct controller *c, const struct action *action, struct running *running,
                  struct message *ret_request, struct err *e);
void request_list(const struct controller *c, size_t provider, struct message *ret_request);
int64_t request_deadline(const struct controller *c, const struct action *action);
/* The hook of the transition that the action's instance waits in; NULL when it waits for none. */
const struct spec_hook *request_hook(const struct controller *c, const struct action *action);

/* result.c */
void result_message(void *context, struct job *job, const struct message *message);
void result_end(void *context, struct job *job, enum work_outcome outcome,
                const struct message *result, const char *text);
/* No worker could be given the action: its own failure. RUNNING is freed. */
void result_unstarted(struct controller *c, struct running *running, const char *text);
void result_expect_targets(struct controller *c, size_t balancer);
void result_fail(struct controller *c, const struct action *action, enum work_outcome outcome,
                 const char *text);
void result_transition(struct controller *c, const struct check_transition *transition);

#endif
