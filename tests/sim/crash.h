/*
 * Every crash point: a scenario is played once to count its boundaries (store writes and effects),
 * then once for each of them with the controller killed just there. The end must be the same, and
 * no effect may have happened more often than without the kill.
 */
#ifndef SIM_CRASH_H
#define SIM_CRASH_H

/* How many crash points passed and failed are added. Says what failed. */
void crash_run(unsigned *passed, unsigned *failed);

#endif
