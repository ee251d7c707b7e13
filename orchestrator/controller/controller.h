/*
 * The loop: observe, decide, record, act. One single-threaded process that owns the store, steps
 * the core, and talks to nobody on the network itself: its workers and the prober do.
 *
 * Three ways to drive it, over the same observation:
 *   controller_apply()    until nothing is left to do (the lock of who acts is held)
 *   controller_plan()     looks, then says what apply would do; changes nothing
 *   controller_observe()  looks once, for status
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include "controller/crew.h"
#include "controller/site.h"
#include "core/decide.h"
#include "core/proof.h"
#include "net/ssh_link.h"
#include "store/record.h"
#include "store/record_view.h"

#include <stdbool.h>
#include <stdint.h>

struct err;
struct str;

struct controller; /* Opaque. */

/* A resource that differs, changed or failed; all owned by the controller. */
struct controller_item {
    char *role, *type, *name;
    enum role_result_status status;
    int64_t time_ms;
    char *text; /* The diff, or what the tool said; may be NULL. */
};

/* What is known of one instance; borrowed, valid until the next call that drives the loop. */
struct controller_member {
    const struct record_instance *record;
    const struct world_instance *world;
    bool serving;
    const char *probe_text;    /* The prober's words; NULL: not probed. */
    const char *frontend_text; /* HAProxy's words, all balancers; NULL: in none. */
    const struct controller_item *items;
    size_t item_count;
};

/* Told as it happens; any may be NULL. Strings are borrowed for the call. */
struct controller_watch {
    void (*on_begin)(void *context, const struct action *action, const char *subject,
                     const char *reason);
    void (*on_progress)(void *context, const char *subject, const char *text);
    /* TEXT: NULL when done well without more to say. */
    void (*on_end)(void *context, const struct action *action, const char *subject,
                   enum work_outcome outcome, int64_t took_ms, const char *text);
    void (*on_note)(void *context, const char *subject, const char *text);
    /* About twice a second while something is waited for. */
    void (*on_tick)(void *context);
    void *context;
};

struct controller_options {
    unsigned parallel; /* Workers at a time. */
    bool diff;         /* Ask hosts for diffs. */
    const char *owner; /* Who we are, for locks: "apply on host7, pid 4711". Borrowed. */
    bool guest; /* Without a journal it works on builders, under the epoch of who acts (S18). */
    struct controller_watch watch;
};

/*
 * SITE (unlocked), CREW (fresh) and STORE are borrowed. JOURNAL may be NULL: then nothing can be
 * applied, only planned and observed.
 */
int controller_new(struct controller **ret_controller, struct site *site, struct crew *crew,
                   struct store *store, struct journal *journal,
                   const struct controller_options *options, struct err *e);
void controller_free(struct controller *controller);
/* A guest acts by itself from now on. */
void controller_set_journal(struct controller *controller, struct journal *journal);

enum controller_end {
    CONTROLLER_DONE,
    CONTROLLER_FAILED,  /* Something needs a human; the watch and the holds said what. */
    CONTROLLER_REFUSED, /* A safety rule forbids a step. */
    CONTROLLER_STOPPED, /* *STOP became true: running steps were let go to their end. */
};

/* STOP is set by a signal handler; checked between steps. */
int controller_apply(struct controller *controller, const volatile bool *stop,
                     enum controller_end *ret_end, struct err *e);

/*
 * The same loop, that never ends by itself: it goes on looking, takes in what operators ask for,
 * and tries again what failed. Returns when *STOP became true and the running steps have ended.
 */
int controller_run(struct controller *controller, const volatile bool *stop, struct err *e);
/*
 * May FRESH take over from the file that CONTROLLER runs (S19)? Not when it empties a pool that
 * serves, or makes it smaller than its healthy minimum is now. Every reason goes to PROBLEMS.
 */
bool controller_accepts(const struct controller *controller, const struct spec *fresh,
                        struct problem_list *problems);

/* One line of a plan. */
struct controller_step {
    struct action action;
    char subject[WORLD_ID_SIZE];
    char reason[200];
    struct proof proof; /* Of its group, when the step is taken. */
    bool takes;         /* It takes the instance out of service. */
};
/* *ret_steps is the caller's (free). The holds that remain are in controller_holds(). */
int controller_plan(struct controller *controller, struct controller_step **ret_steps,
                    size_t *ret_count, enum controller_end *ret_end, struct err *e);

/* "version 2: memory 256M -> 512M", when template TEMPLATE of the file differs from its last
   version; else nothing is added. */
void controller_add_fresh_template(const struct controller *controller, size_t template,
                                   struct str *text);

/* Looks at providers, health and balancers, at most for LIMIT_MS. */
int controller_observe(struct controller *controller, int64_t limit_ms, struct err *e);

size_t controller_member_count(const struct controller *controller);
struct controller_member controller_member_at(const struct controller *controller, size_t index);
/* Index of the member with this id or machine name, or WORLD_NONE; one that is gone only where no
   other has that name. */
size_t controller_find_member(const struct controller *controller, const char *name);
/* What is not done and why, as of the last step. */
const struct hold *controller_holds(const struct controller *controller, size_t *ret_count);
/*
 * What is believed, and why, as of the last step: of an instance, of a group (INSTANCE is
 * WORLD_NONE), of the cluster (both are). *ret_view is the caller's.
 */
void controller_view(const struct controller *controller, size_t instance, size_t group,
                     struct record_view *ret_view);
/* Name of what a hold or an action is about. */
const char *controller_subject(const struct controller *controller, size_t instance, size_t group);
/* Counts over one apply. */
struct controller_totals {
    size_t changed_hosts, changed_resources, effects, failures;
};
struct controller_totals controller_totals(const struct controller *controller);

/*
 * For `image capture`, with a journal: MEMBER is read by WHO (a request's word, store/record.h)
 * from now on, and until the end. OUTCOME: "done", "failed: ...".
 */
int controller_capture_begin(struct controller *controller, size_t index, const char *who,
                             struct err *e);
int controller_capture_end(struct controller *controller, size_t index, const char *outcome,
                           struct err *e);

/*
 * For `image bake`: a builder is an instance of GROUP, in no group, that belongs to one process and
 * is removed with it (builder.c). Who has a journal adds and ends it here; a guest asks who acts,
 * by request, and loads the record that was made.
 */
void controller_builder_id(const struct controller *controller, size_t group,
                           char ret_id[WORLD_ID_SIZE]);
/* One that is there, or WORLD_NONE. */
size_t controller_find_builder(const struct controller *controller, const char *id);
/* Removes what earlier commands left; OWNER is record_owner_self(). */
int controller_builder_add(struct controller *controller, size_t group, const char *owner,
                           size_t *ret_index, struct err *e);
int controller_builder_load(struct controller *controller, const char *id, size_t *ret_index,
                            struct err *e);
/* Its next launch is from IMAGE. */
void controller_builder_image(struct controller *controller, size_t index, const char *image);
/* Removes the instance; its record and address stay, for the next launch. */
int controller_builder_clear(struct controller *controller, size_t index, struct err *e);
/* Removes it, record and all; KEEP: it becomes a detached instance like any other. */
int controller_builder_end(struct controller *controller, size_t index, bool keep, struct err *e);
/* One step on one instance, now, to its end: LAUNCH, GREET, CONFIGURE, INSPECT. */
int controller_step(struct controller *controller, enum action_kind kind, size_t index,
                    const char *reason, struct err *e);

/* For commands on one host: exec, ssh, role show. */
/* Adds the instances that the file asks for and the records lack, as apply would name them. */
void controller_expect_members(struct controller *controller);
/* Puts WIRE_TARGET of the member into REQUEST. */
void controller_put_target(const struct controller *controller, size_t index,
                           struct message *request);
/* The [host]s it is reached through, as indices of spec->hosts, the nearest to it first. Returns
   how many, at most SSH_JUMP_MAX. */
size_t controller_bastions(const struct controller *controller, size_t index,
                           size_t ret_hosts[SSH_JUMP_MAX]);
/* Its script as apply would run it. Problems tell file:line. */
int controller_compile(struct controller *controller, size_t index, struct role_script *ret_script,
                       struct problem_list *problems);

#endif
