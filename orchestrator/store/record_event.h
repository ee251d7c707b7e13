/* What the journal needs of the log of events, beyond store/record.h. */
#ifndef STORE_RECORD_EVENT_H
#define STORE_RECORD_EVENT_H

#include "net/digest.h"
#include "store/store.h"

#define RECORD_EVENT_KEY_SIZE 23 /* "event/", 16 hex digits, NUL. */

void record_event_key(uint64_t number, char ret_key[RECORD_EVENT_KEY_SIZE]);

/* The number of the last event and the digest of its value; 0 and zeros when there is none. */
int record_event_last(struct store *store, uint64_t *ret_number,
                      unsigned char ret_digest[DIGEST_SIZE], struct err *e);

#endif
