/*
 * What the controller that holds the lock believes, and why, for whoever asks (`why`, `status`,
 * `group list`): so that they need not look themselves, and cannot see it otherwise. A view is no
 * record of what was done: it is overwritten, never part of the events, and worth nothing once
 * another epoch has begun.
 *
 *   view/ID          an instance
 *   view/group/NAME  a group
 *   view/cluster     the cluster
 */
#ifndef STORE_RECORD_VIEW_H
#define STORE_RECORD_VIEW_H

#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct journal;
struct message;

/* Owned strings may be NULL: nothing to say, or not of this kind. */
struct record_view {
    char *subject; /* "web-1", "group/web", "cluster": the key after "view/". */
    int64_t epoch; /* Of the lock of who wrote it. */
    int64_t wall_ms;

    char *verdict;      /* Of an instance: "unready", */
    int64_t verdict_ms; /* since when (wall clock). */
    char *state;        /* Of an instance: its lifecycle. */
    char *power;
    char *probe;
    char *probe_text;
    char *balancer_text;
    char *doing; /* "configure": decided for it, or under way. */

    char *hold;      /* "waits", "refused", "stuck"; NULL: nothing is held. */
    char *reason;    /* Of the hold, as text. */
    char *rule;      /* "S7"; NULL: none. */
    int64_t held_ms; /* Since when it is held for that reason (wall clock). */

    bool serving; /* Of an instance. */
    bool paused;
    bool breaker;                                               /* Of a group: open. */
    bool frozen;                                                /* Of the cluster. */
    int64_t desired, standing, serving_count, counted, minimum; /* Of a group. */
    int64_t suspended;                                          /* enum world_process bits. */
    /* Of a group whose refresh is under way: members it is about, those replaced, being replaced.
     */
    int64_t refresh_all, refresh_replaced, refresh_moving;
    int64_t refresh_left_ms; /* How long yet, when it was told; -1: not known. */
    char *comparison; /* What balancers count of the new against the old; NULL: nothing yet. */

    char **lines; /* Sentences, the most important first. */
    size_t line_count;
};
void record_view_deinit(struct record_view *view);
void record_view_encode(const struct record_view *view, struct message *ret_value);
int record_view_decode(const struct store_entry *entry, struct record_view *ret_view,
                       struct err *e);
/* All of them, in the order of their keys. *ret_views is the caller's. */
int record_view_list(struct store *store, struct record_view **ret_views, size_t *ret_count,
                     struct err *e);
void record_view_list_free(struct record_view *views, size_t count);
/* The view of SUBJECT that was written under EPOCH, or NULL. */
const struct record_view *record_view_find(const struct record_view *views, size_t count,
                                           const char *subject, int64_t epoch);

/* Queue for the next commit of JOURNAL; its epoch is put in. */
void journal_put_view(struct journal *journal, const struct record_view *view);
void journal_delete_view(struct journal *journal, const char *subject);

#endif
