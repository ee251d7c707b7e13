/*
 * Who a lock belongs to, and whether that process still lives. Used by journal.c;
 * record_lock_read() is in store/record.h.
 */
#ifndef STORE_RECORD_LOCK_H
#define STORE_RECORD_LOCK_H

#include "store/record.h"

#include <stdbool.h>

#define RECORD_LOCK_KEY "lock/actor"

/*
 * A lock stays in the store when it is given back, without an owner, so that its epoch never starts
 * again.
 */
void record_lock_encode(const struct record_lock *lock, struct message *ret_value);
int record_lock_decode(const struct store_entry *entry, struct record_lock *ret_lock,
                       struct err *e);

/* This process under the name OWNER; faults when /proc does not say who we are. */
int record_lock_self(const char *owner, struct record_lock *ret_lock, struct err *e);

/*
 * Whether the owner of LOCK still runs on this machine. When in doubt (a process that hides from
 * us), it does. SELF is what record_lock_self() said.
 */
bool record_lock_is_alive(const struct record_lock *lock, const struct record_lock *self);

#endif
