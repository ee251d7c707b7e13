/*
 * How far the refresh of a group is; for those who show it. What it does is decide()'s
 * (core/refresh.c), what it is struct world_refresh's.
 */
#ifndef CORE_REFRESH_H
#define CORE_REFRESH_H

#include "core/survey.h"

struct refresh_count {
    size_t all;      /* Members that it is about: replaced, or to be. */
    size_t replaced; /* Of those, the ones with the wanted content that are counted on. */
    size_t moving;  /* Being replaced now: an old one that waits for its new one, or the new one. */
    size_t left;    /* Not begun. */
    size_t waiting; /* Of `left`, protected or in standby, and the refresh waits for them. */
    size_t ignored; /* Left as they are; not in `all`. */
    size_t fresh;   /* An instance with the wanted content that is not counted on yet. */
    size_t waited;  /* One of `waiting`. Both WORLD_NONE for none. */
};
/* While it is under way; else of the last: all zero. */
struct refresh_count refresh_count(const struct survey *s, size_t group);

#endif
