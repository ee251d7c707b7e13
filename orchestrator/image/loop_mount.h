/* A squashfs file, mounted read-only through a loop device that goes when the mount goes. */
#ifndef IMAGE_LOOP_MOUNT_H
#define IMAGE_LOOP_MOUNT_H

#include <stdbool.h>

struct err;

/*
 * Mounts FILE on the directory PLACE unless it is mounted there. Faults when something else is: an
 * other file, or the same name with other content since. Cut off anywhere, it leaves no device.
 */
int loop_mount(const char *file, const char *place, struct err *e);

/* Unmounts PLACE. *ret_busy: something uses it, and it stays. Nothing mounted is success. */
int loop_unmount(const char *place, bool *ret_busy, struct err *e);

/* Is FILE behind any loop device of this machine? */
bool loop_is_used(const char *file);

#endif
