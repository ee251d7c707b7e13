/*
 * What is kept in the store, and under which key. Each record is one encoded message; the structs
 * here are its decoded form. Owned strings may be NULL ("not known") unless said otherwise.
 *
 *   lock/actor              struct record_lock, who acts now
 *   instance/ID             struct record_instance
 *   action/ID               struct record_action: an intent, written before the effect, gone after
 *   event/NNNNNNNNNNNNNNNN  struct record_event, 16 hex digits, ascending, append-only
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
    int64_t revision;      /* Of the store entry it was read from; not stored in the value. */
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
 * Walks the whole chain and checks every link. *ret_count events hold; on a broken one faults with
 * its number.
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
/* number, wall_ms and previous are filled in. */
void journal_add_event(struct journal *journal, const char *subject, const char *what,
                       const char *why, const char *outcome);
/*
 * Makes all that is queued durable; nothing queued, or only instances as the store has them already,
 * is a no-op. Faults when the lock was lost. After a fault all is still queued, for another try.
 */
int journal_commit(struct journal *journal, struct err *e);

/* Who acts now, for status; *ret_found false when nobody does, or its process is gone. */
int record_lock_read(struct store *store, bool *ret_found, struct record_lock *ret_lock,
                     struct err *e);

#endif
