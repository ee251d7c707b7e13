/*
 * What every command that asks something of the controller does: reads what the store knows, queues
 * a request in it, and waits until the controller has taken it in.
 */
#ifndef CLI_GROUP_ASK_H
#define CLI_GROUP_ASK_H

#include "cli/cli.h"
#include "cli/group_request.h"
#include "store/store.h"

struct err;

/*
 * The store for writing, and what it knows. Faults, saying so, where nothing was ever applied. Both
 * are the caller's: store_close(), group_known_deinit(). SPEC is borrowed.
 */
int group_open(const struct spec *spec, struct store *ret_store, struct group_known *ret_known,
               struct err *e);
void group_known_deinit(struct group_known *known);

/*
 * Queues REQUEST (who asks, when and its number are filled in) and waits until it is taken in, or
 * nobody acts any more, or a minute has passed; says nothing. *ret_outcome (the caller's) is
 * what the controller said, NULL when it has not taken it in.
 */
int group_ask_quietly(struct store *store, struct record_request *request, char **ret_outcome,
                      struct err *e);

/* Faults: somebody acts, and does not take in what is asked. */
int group_not_taken_in(struct err *e);

/*
 * Queues REQUEST (who asks, when and its number are filled in), waits as CLI says, and tells what
 * became of it: the exit status. *ret_outcome (may be NULL; the caller's) is what the controller
 * said, NULL when it has not taken it in.
 */
int group_ask(const struct cli *cli, const struct spec *spec, struct store *store,
              struct record_request *request, char **ret_outcome);

#endif
