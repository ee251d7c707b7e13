/*
 * What is kept in the store, and under which key. Each record is one encoded message; the structs
 * here are its decoded form. Owned strings may be NULL ("not known") unless said otherwise.
 *
 *   lock/actor                struct record_lock, who acts now
 *   cluster/state             struct record_cluster
 *   group/NAME                struct record_group
 *   refresh/NAME              struct record_refresh, of group NAME: the one under way, or the last
 *   template/NAME/NNNNNNNN    struct record_template, 8 digits, from 1: written once, never changed
 *   instance/ID               struct record_instance
 *   machine/NAME              struct record_machine
 *   action/ID                 struct record_action, an intent: gone after its effect
 *   request/NNNNNNNNNNNNNNNN  struct record_request, 16 hex digits, ascending: gone once taken in
 *   request-last              the number that a request was given last
 *   event/NNNNNNNNNNNNNNNN    struct record_event, 16 hex digits, ascending, append-only
 *   event-head                struct record_event_head, which event is the newest
 *   view/...                  struct record_view (store/record_view.h)
 *
 * Every record but requests is written through the journal by who holds the lock. Requests are how
 * all other commands ask for something.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "core/lifecycle.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct message;

struct record_instance {
    char *id; /* "web-1" */
    char *group;
    char *zone;
    char *provider;
    char *machine;  /* static: the [host] name. */
    char *address;  /* As reached by SSH. */
    unsigned port;  /* SSH. */
    char *user;     /* Login; NULL: the cluster's. */
    char *host_key; /* Pinned: "ssh-ed25519 AAAA..." or a static host's "SHA256:..." until seen. */
    char *template;
    enum lifecycle lifecycle;
    int64_t created_ms;    /* Wall clock. */
    int64_t launched_ms;   /* Wall clock; when the provider said it runs; 0: not yet. */
    int64_t configured_ms; /* Wall clock; last time all its resources were ok; 0: never. */
    char *script_digest;   /* Of the role script last applied with success. */
    char *facts;           /* JSON text of the host's own facts, as its last report said. */
    bool admitted;         /* Its pool's frontends were told to send it traffic. */
    char *reason;          /* Why it is not good: the last failure, one line. NULL when good. */
    int failures;          /* In a row, of the action it is at. */
    bool protect;          /* From scale-in. */
    bool paused;           /* Nothing is done to it. */
    int wish;              /* enum world_wish. */
    int rung;              /* enum world_rung: the last that was taken, */
    int64_t rung_ms;       /* and when it had ended (wall clock). */
    int64_t ready_ms;      /* Wall clock; since when its grace counts; 0: not known. */
    int64_t in_service_ms; /* Wall clock; when it last came into service; 0: never. */
    char *boot_id;         /* Which boot of the host was greeted last. */
    int64_t hook_ms;  /* Wall clock; when the lifecycle hook it waits for began; 0: none has. */
    char *image;      /* "web@3": what its root stands on; NULL for a plain directory. */
    char *build;      /* Which build the system in it must say it is (image/identity.h). */
    char *content;    /* Hex digest of what its root was made of: an image's file tree. */
    char *machine_id; /* Of its first boot; another one is another system. */
    int capture;      /* enum world_capture: an image is taken of it. */
    bool ungreeted;   /* It came up again since it told its facts, and was not greeted yet. */
    /* A command builds an image on it: record_owner_self() of that, or what is nobody's when it is
       to be removed. NULL for all others. */
    char *builder;
    char *seen_machine_id; /* Another one, that a greeting was refused for; NULL: none. */
    char *capturer; /* Who takes an image of it, or waits to: as in its request. NULL: nobody. */
    bool change_failed; /* It was changed in service, and that failed. */
    unsigned version;   /* Of its template, when it was made; 0: not known. */
    uint64_t launch;    /* What it was made with beside its image (template_version_launch()). */
    int64_t revision;   /* Of the store entry it was read from; not stored in the value. */
};
void record_instance_deinit(struct record_instance *record);
void record_instance_encode(const struct record_instance *record, struct message *ret_value);
int record_instance_decode(const struct store_entry *entry, struct record_instance *ret_record,
                           struct err *e);

/* By group, then number: web-2 before web-10. Both must have id and group. */
int record_instance_compare(const struct record_instance *a, const struct record_instance *b);
/* All instances, ascending by group then number. *ret_records is the caller's. */
int record_instance_list(struct store *store, struct record_instance **ret_records,
                         size_t *ret_count, struct err *e);
void record_instance_list_free(struct record_instance *records, size_t count);

/* An action under way. */
struct record_action {
    char *id;       /* "00000012-configure-web-1" */
    char *kind;     /* "configure" */
    char *instance; /* NULL when it concerns none. */
    char *reason;
    int64_t epoch; /* Of the lock under which it was begun (S18). */
    int64_t started_ms;
    int64_t revision;
};
void record_action_deinit(struct record_action *record);
void record_action_encode(const struct record_action *record, struct message *ret_value);
int record_action_decode(const struct store_entry *entry, struct record_action *ret_record,
                         struct err *e);
/* All intents, ascending by id. *ret_records is the caller's. */
int record_action_list(struct store *store, struct record_action **ret_records, size_t *ret_count,
                       struct err *e);
void record_action_list_free(struct record_action *records, size_t count);

/* group/NAME: what was set by hand, and what must outlive a controller. */
struct record_group {
    char *name;
    int64_t desired;       /* Set by hand; -1: as the file says. */
    unsigned file_desired; /* What the file said then: when it says something new, the file wins. */
    unsigned suspended;    /* enum world_process bits. */
    bool paused;           /* Nothing is done to its instances. */
    unsigned next_number;  /* Of its next instance; at least 1. No number is used twice. */
    int failed_launches;   /* In a row: instances that never came into service (S9). */
    int64_t size_changed_ms; /* Wall clock; 0: never. */
    int64_t disrupted_ms;    /* Wall clock; when the last disruption ended; 0: never. */
    char *image;    /* Pinned: what new instances are made from, "web@3"; NULL: as the file says. */
    char *image_of; /* The template's image when it was pinned: when the file names another, the
                       file wins. */
    uint64_t content;  /* Of that image alone; 0 with no pin. */
    char *template;    /* "web version 1": what they are made by beside the image, and */
    char *template_of; /* what the file's was then; NULL, both: the file's. */
    bool whole;        /* Its roles and settings hold too, instead of the file's. */
    int64_t revision;
};
void record_group_deinit(struct record_group *record);
void record_group_encode(const struct record_group *record, struct message *ret_value);
int record_group_decode(const struct store_entry *entry, struct record_group *ret_record,
                        struct err *e);
/* All groups that have a record, by name. *ret_records is the caller's. */
int record_group_list(struct store *store, struct record_group **ret_records, size_t *ret_count,
                      struct err *e);
void record_group_list_free(struct record_group *records, size_t count);

#define RECORD_CHECKPOINTS_MAX 8

/*
 * refresh/NAME: the refresh of group NAME that is under way, or how the last one ended. Its terms
 * are those of struct world_refresh (core/world.h); times are wall clock.
 */
struct record_refresh {
    char *group;
    int state; /* enum world_refresh_state */
    int64_t began_ms;
    int64_t since_ms;   /* In this state. */
    char *image;        /* "web@4": what every member is to be made from; a name alone is a
                           plain directory. */
    char *before_image; /* What most of them ran when it began; NULL: not known, so there is no way
                           back. */
    char *template;     /* "web version 2": of which the new ones are; NULL: not known. */
    char *before_template;
    bool whole; /* Its roles and settings hold too, instead of the file's. */
    bool before_whole;
    uint64_t wanted; /* The contents of the two, with what they are made by. */
    uint64_t before;
    bool all;
    bool rollback;
    int64_t warm_up_ms;
    int64_t bake_ms;
    unsigned checkpoints[RECORD_CHECKPOINTS_MAX]; /* Percent, ascending. */
    size_t checkpoint_count;
    size_t checkpoints_passed;
    int64_t checkpoint_delay_ms; /* -1: until an operator says go on. */
    int protected_ones;          /* enum world_refresh_policy */
    int standby_ones;
    unsigned failed;
    char *alarm_command; /* One line of words; NULL: none. */
    int64_t alarm_every_ms;
    int64_t alarm_timeout_ms;
    char *alarm_text;  /* What the alarm said when it went off; NULL: it did not. */
    char *who;         /* Asked for it. */
    char *reason;      /* Why it came into this state, one line. */
    char *cause;       /* Why it was taken back, stopped or cancelled; NULL: it was not. */
    unsigned replaced; /* The most that were counted on; taken back: of those that are back. */
    unsigned leads;  /* How many of them were timed: from the mark of the old one until the new one
                        was counted on. */
    int64_t lead_ms; /* The mean of those times; 0: none yet. */
    int64_t revision;
};
void record_refresh_deinit(struct record_refresh *record);
void record_refresh_encode(const struct record_refresh *record, struct message *ret_value);
int record_refresh_decode(const struct store_entry *entry, struct record_refresh *ret_record,
                          struct err *e);
/* All of them, by the names of their groups. *ret_records is the caller's. */
int record_refresh_list(struct store *store, struct record_refresh **ret_records, size_t *ret_count,
                        struct err *e);
void record_refresh_list_free(struct record_refresh *records, size_t count);
/* The one of GROUP, or NULL. */
const struct record_refresh *record_refresh_find(const struct record_refresh *records, size_t count,
                                                 const char *group);

/*
 * template/NAME/NNNNNNNN: what [template NAME] of the cluster file said once. Its text is that of
 * controller/template_version.h; no secret is in it, only the names of secrets.
 */
struct record_template {
    char *name;
    unsigned number; /* From 1, without gaps. */
    char *text;
    uint64_t launch; /* Digest of what is fixed when an instance is made, but for the image. */
    bool plain; /* Instances of before there were versions are of this one: their content is that of
                   their image alone. */
    int64_t wall_ms; /* When it was seen first. */
    int64_t revision;
};
#define RECORD_TEMPLATE_TEXT_MAX (900 * 1024)
void record_template_deinit(struct record_template *record);
void record_template_encode(const struct record_template *record, struct message *ret_value);
int record_template_decode(const struct store_entry *entry, struct record_template *ret_record,
                           struct err *e);
/* All versions of all templates, by name, ascending. *ret_records is the caller's. */
int record_template_list(struct store *store, struct record_template **ret_records,
                         size_t *ret_count, struct err *e);
void record_template_list_free(struct record_template *records, size_t count);

/* How many rebuilds the ledger of a machine remembers. */
#define RECORD_MACHINE_REBUILDS_MAX 16

/*
 * machine/NAME: the ledger of a host that exists already (S9). It outlives the instances that come
 * to live on it, so a machine that breaks them all is found out.
 */
struct record_machine {
    char *name;                                       /* Of the [host]. */
    int64_t rebuilds_ms[RECORD_MACHINE_REBUILDS_MAX]; /* Wall clock, newest last. */
    size_t rebuild_count;
    bool quarantined; /* No instance is put on it, until an operator says retry. */
    char *reason;     /* Of the quarantine, one line; NULL for none. */
    int64_t revision;
};
void record_machine_deinit(struct record_machine *record);
void record_machine_encode(const struct record_machine *record, struct message *ret_value);
int record_machine_decode(const struct store_entry *entry, struct record_machine *ret_record,
                          struct err *e);
/* Adds a rebuild at WALL_MS; the oldest goes when there is no more room. */
void record_machine_add_rebuild(struct record_machine *record, int64_t wall_ms);
/* How many rebuilds there were at SINCE_MS (wall clock) or later. */
size_t record_machine_count_rebuilds(const struct record_machine *record, int64_t since_ms);
/* All machines that have a record, by name. *ret_records is the caller's. */
int record_machine_list(struct store *store, struct record_machine **ret_records, size_t *ret_count,
                        struct err *e);
void record_machine_list_free(struct record_machine *records, size_t count);

/* cluster/state. */
struct record_cluster {
    bool paused;      /* Nothing is done to any instance. */
    int64_t clean_ms; /* Wall clock; when a controller last ended in order; 0: one runs, or was cut
                         off. */
};
void record_cluster_encode(const struct record_cluster *record, struct message *ret_value);
/* *ret_found false, and *ret_record all zeros, when nothing ever ran. */
int record_cluster_read(struct store *store, bool *ret_found, struct record_cluster *ret_record,
                        struct err *e);

/*
 * request/NNNNNNNNNNNNNNNN: what an operator asks of the controller. Any command may write one; the
 * controller takes it in and deletes it. Stored: append only.
 */
enum record_request_kind {
    RECORD_REQUEST_SCALE = 1, /* value: the size wanted of group `subject`. */
    RECORD_REQUEST_STANDBY = 2,
    RECORD_REQUEST_IN_SERVICE = 3,
    RECORD_REQUEST_PROTECT = 4,
    RECORD_REQUEST_UNPROTECT = 5,
    RECORD_REQUEST_REPLACE = 6,
    RECORD_REQUEST_DETACH = 7, /* value 1: and the group gets smaller by one. */
    RECORD_REQUEST_ATTACH = 8,
    RECORD_REQUEST_SUSPEND = 9, /* word: the process. */
    RECORD_REQUEST_RESUME = 10, /* word: the process, or "all". */
    RECORD_REQUEST_PAUSE = 11,  /* subject: an instance, a group; NULL: the cluster. */
    RECORD_REQUEST_UNPAUSE = 12,
    RECORD_REQUEST_RETRY = 13,     /* Failures, quarantine, failed launches: forgotten. */
    RECORD_REQUEST_TERMINATE = 14, /* Of a detached instance. */
    RECORD_REQUEST_HOOK_CONTINUE = 15,
    RECORD_REQUEST_HOOK_ABANDON = 16,
    RECORD_REQUEST_HOOK_HEARTBEAT = 17,
    RECORD_REQUEST_REFRESH = 18, /* word: what of it (controller/refresh_options.h). */
    RECORD_REQUEST_REFRESH_CONTINUE = 19,
    RECORD_REQUEST_REFRESH_CANCEL = 20,
    RECORD_REQUEST_REFRESH_ROLLBACK = 21,
    RECORD_REQUEST_BUILD = 22,     /* subject: a group; word: who (record_owner_self()). */
    RECORD_REQUEST_BUILD_END = 23, /* subject: a builder; value 1: it is kept, detached, and word
                                      is its host key. */
    RECORD_REQUEST_CAPTURE = 24, /* subject: an instance; word: who (record_owner_self()), behind it
                                    what of ("web@4"). */
    RECORD_REQUEST_CAPTURE_END = 25, /* word: "done", or how it failed. */
};
/* "scale" */
const char *record_request_kind_to_string(enum record_request_kind kind);
/* So many may wait at a time. */
#define RECORD_REQUESTS_MAX 1000

struct record_request {
    uint64_t number;               /* The key; given by record_request_put(). */
    enum record_request_kind kind; /* 0 for one that only a newer Lamplighter knows. */
    char *subject;                 /* Instance, group or machine; NULL: the cluster. */
    int64_t value;
    char *word;
    char *who; /* "root on host7" */
    int64_t wall_ms;
};
void record_request_deinit(struct record_request *record);
void record_request_encode(const struct record_request *record, struct message *ret_value);
int record_request_decode(const struct store_entry *entry, struct record_request *ret_record,
                          struct err *e);
/*
 * Queues REQUEST (its number is not looked at) behind those that wait; needs no lock, only a store
 * that is open for writing. Commands that ask at once all get in, each with a number of its own
 * that is never given again. Faults when RECORD_REQUESTS_MAX wait already.
 */
int record_request_put(struct store *store, const struct record_request *request,
                       uint64_t *ret_number, struct err *e);
/* Those that wait, in the order they came. *ret_records is the caller's. */
int record_request_list(struct store *store, struct record_request **ret_records, size_t *ret_count,
                        struct err *e);
void record_request_list_free(struct record_request *records, size_t count);

/* What was done, to what, why, how it ended. */
struct record_event {
    uint64_t number; /* From 1, without gaps; the key. */
    int64_t wall_ms;
    char *subject;              /* Instance id, frontend or cluster name. */
    char *what;                 /* "configure" */
    char *why;                  /* The rule and its inputs. */
    char *outcome;              /* "begun", "done", "failed: ...". */
    unsigned char previous[32]; /* SHA-256 of the event before (its encoded value); zeros first. */
};
void record_event_deinit(struct record_event *record);
void record_event_encode(const struct record_event *record, struct message *ret_value);
int record_event_decode(const struct store_entry *entry, struct record_event *ret_record,
                        struct err *e);
/* The last LIMIT events, oldest first; 0: all. */
int record_event_list(struct store *store, size_t limit, struct record_event **ret_records,
                      size_t *ret_count, struct err *e);
void record_event_list_free(struct record_event *records, size_t count);
/*
 * event-head: which event is the newest, so that a log whose end was cut off is found out. Written
 * in the transaction of the event itself. Stores of older versions have none until their next
 * event.
 */
struct record_event_head {
    uint64_t number;
    unsigned char digest[32]; /* SHA-256 of its encoded value. */
};
int record_event_head_read(struct store *store, bool *ret_found, struct record_event_head *ret_head,
                           struct err *e);
/*
 * Walks the whole chain, checks every link, and that it reaches the newest event as the head names
 * it. *ret_count events hold; on a broken or missing one faults with its number. Where there is no
 * head (record_event_head_read()) it cannot be seen whether the newest events were cut off.
 */
int record_event_verify(struct store *store, size_t *ret_count, struct err *e);

/*
 * The journal: the one way to write state. Collects writes and events of one step and commits them
 * in one transaction that also compares the actor's lock, so that a controller that has lost it can
 * write nothing (S17, S18).
 */
struct journal; /* Opaque. */

/* Who acts now. */
struct record_lock {
    int64_t epoch; /* Rises by one with every new owner. */
    char *owner;   /* "apply on host7, pid 4711" */
    char *boot_id; /* /proc/sys/kernel/random/boot_id */
    int64_t pid;   /* With its start time (/proc/PID/stat field 22): who it was, exactly. */
    int64_t pid_start;
    int64_t since_ms; /* Wall clock. */
};
void record_lock_deinit(struct record_lock *lock);

enum journal_outcome { JOURNAL_OPEN, JOURNAL_HELD };
/*
 * Takes the lock of who acts. JOURNAL_HELD when a living process has it (*ret_holder says who; the
 * caller's to deinit). A holder of an earlier boot, or whose process is gone, is taken over with a
 * higher epoch and an event that says so. Borrows STORE; must be closed before it.
 */
int journal_open(struct journal **ret_journal, struct store *store, const char *owner,
                 enum journal_outcome *ret_outcome, struct record_lock *ret_holder, struct err *e);
/* Drops what is queued and gives the lock back. NULL is fine. */
void journal_close(struct journal *journal);
int64_t journal_epoch(const struct journal *journal);

/* Queue for the next commit. What is passed is copied. */
void journal_put_instance(struct journal *journal, const struct record_instance *record);
void journal_delete_instance(struct journal *journal, const char *id);
void journal_put_action(struct journal *journal, const struct record_action *record);
void journal_delete_action(struct journal *journal, const char *id);
void journal_put_group(struct journal *journal, const struct record_group *record);
void journal_put_refresh(struct journal *journal, const struct record_refresh *record);
void journal_put_template(struct journal *journal, const struct record_template *record);
void journal_put_cluster(struct journal *journal, const struct record_cluster *record);
void journal_put_machine(struct journal *journal, const struct record_machine *record);
void journal_delete_request(struct journal *journal, uint64_t number);
/* number, wall_ms and previous are filled in. */
void journal_add_event(struct journal *journal, const char *subject, const char *what,
                       const char *why, const char *outcome);
/*
 * Makes all that is queued durable; nothing queued, or only instances as the store has them
 * already, is a no-op. Faults when the lock was lost. After a fault all is still queued, for
 * another try.
 */
int journal_commit(struct journal *journal, struct err *e);

/* Who acts now, for status; *ret_found false when nobody does, or its process is gone. */
/* The epoch that effects have now (S18), whether somebody acts or not; 0: nobody ever did. */
int record_epoch_read(struct store *store, int64_t *ret_epoch, struct err *e);
/* This process, exactly, in one line: for what belongs to it as long as it lives; the caller's. */
int record_owner_self(char **ret_owner, struct err *e);
/* Whether the process that OWNER names still runs on this machine. */
bool record_owner_is_alive(const char *owner);
int record_lock_read(struct store *store, bool *ret_found, struct record_lock *ret_lock,
                     struct err *e);

#endif
