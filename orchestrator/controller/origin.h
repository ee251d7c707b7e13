/*
 * What an instance was made of, and whether the host that answers is that: a machine that came up
 * in another system (another image, an older build, another disk) gets no traffic.
 */
#ifndef CONTROLLER_ORIGIN_H
#define CONTROLLER_ORIGIN_H

struct err;
struct message;
struct record_instance;

/* RECORD's root was made anew: what the provider's ANSWER says of it holds from now on. */
void origin_take(struct record_instance *record, const struct message *answer);
/*
 * GREETING against what RECORD says it is. Faults with what is different: no other try will help.
 * What is not recorded is not compared (a plain directory, a host that was there before us).
 */
int origin_check(const struct record_instance *record, const struct message *greeting,
                 struct err *e);
/* What of a good GREETING is known for the first time is what it must say from now on. */
void origin_greeted(struct record_instance *record, const struct message *greeting);
/* GREETING did not pass: what was seen is kept, for an operator to accept. */
void origin_refused(struct record_instance *record, const struct message *greeting);
/* An operator says that it is right as it was seen. */
void origin_accept(struct record_instance *record);

#endif
