/* A root that is a clone without copying: the image below, the instance's own changes above. */
#ifndef PROVIDER_OVERLAY_H
#define PROVIDER_OVERLAY_H

#include <stdint.h>

struct err;

struct overlay {
    const char *lower; /* All absolute, links resolved, borrowed. Only read. */
    const char *upper;
    const char *work;
    const char *root; /* Where it is mounted. */
};

enum overlay_state {
    OVERLAY_NONE,    /* Nothing is mounted on the root. */
    OVERLAY_OURS,    /* An overlay with this upper directory. */
    OVERLAY_FOREIGN, /* Anything else. */
};

/*
 * What MOUNTINFO, the text of /proc/self/mountinfo, says of it; the topmost mount counts.
 */
enum overlay_state overlay_find(const struct overlay *overlay, const char *mountinfo);

/* Mounts it unless it is mounted. Faults when something else is mounted there. */
int overlay_mount(const struct overlay *overlay, struct err *e);

/*
 * Unmounts whatever is mounted on ROOT, as often as it is. A busy one is tried for a few seconds
 * (never beyond DEADLINE_MS) and then detached, with a fault that says so: called again, this goes
 * on from there. Nothing mounted is success.
 */
int overlay_unmount(const char *root, int64_t deadline_ms, struct err *e);

#endif
