/*
 * A screen that is drawn again and again, until q or Ctrl-C: no flicker (the cursor goes home, each
 * line clears its own rest, the end clears what is below), nothing scrolled, the terminal as it was
 * afterwards, whatever ended it. When standard output is no terminal it only waits.
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include <stdbool.h>

struct live; /* Opaque. */

/* PLAIN: no screen even on a terminal. One at a time. */
struct live *live_new(bool plain);
void live_free(struct live *live); /* Restores the terminal. NULL is fine. */
bool live_is_screen(const struct live *live);
/* TEXT is lines; what does not fit the window is cut off. */
void live_draw(struct live *live, const char *text);
/* Waits; false when it is to end: q was typed, or a signal came. */
bool live_wait(struct live *live, int timeout_ms);

#endif
