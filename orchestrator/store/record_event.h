/* What the journal needs of the log of events, beyond store/record.h. */
#ifndef STORE_RECORD_EVENT_H
#define STORE_RECORD_EVENT_H

#include "net/digest.h"
#include "store/record.h"

#define RECORD_EVENT_KEY_SIZE 23 /* "event/", 16 hex digits, NUL. */
#define RECORD_EVENT_HEAD_KEY "event-head"

void record_event_key(uint64_t number, char ret_key[RECORD_EVENT_KEY_SIZE]);

void record_event_head_encode(const struct record_event_head *head, struct message *ret_value);

/*
 * What the next event follows: the newest event, or the head where that is further (or names
 * another one under its number). So a log whose end was cut off goes on behind the gap, which stays
 * there for record_event_verify() to find. All zeros in an empty log.
 */
int record_event_last(struct store *store, struct record_event_head *ret_last, struct err *e);

#endif
