/*
 * The directory of one instance on a hypervisor, BASE/ID, mode 0700:
 *
 *   mark         whose it is (mark.h); the first thing in it and the last to go
 *   epoch        of the last controller that changed it (epoch.h)
 *   base         the image directory its root stands on, links resolved
 *   upper work   the instance's own changes to it
 *   root         both together, mounted
 *   host_key.pub the key it answers with, written by us and never read from the root
 *   ready        the root has all it needs to boot, and is not written to any more
 *
 * A directory with another cluster's mark, or with anything in it but no mark, is refused (S25).
 */
#ifndef PROVIDER_INSTANCE_DIR_H
#define PROVIDER_INSTANCE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct mark;

struct instance_dir {
    char *path; /* Owned; absolute, links resolved. */
    int fd;     /* Owned; -1 when there is no such directory of ours. */
};

#define INSTANCE_DIR_NULL ((struct instance_dir){.path = NULL, .fd = -1})

void instance_dir_deinit(struct instance_dir *dir); /* Idempotent; removes nothing. */

/*
 * The absolute path BASE with its links resolved, the caller's. When there is no such directory it
 * is made, with what is above it, or, unless MAKE, returned as it is.
 */
int instance_dir_base(const char *base, bool make, char **ret_path, struct err *e);

/*
 * Waits until this process is the only one at work on ID below BASE. *ret_lock is a descriptor:
 * closing it, or the end of the process, gives the lock back. -1 when there is no BASE: nothing to
 * work on.
 */
int instance_dir_lock(const char *base, const char *id, int64_t deadline_ms, int *ret_lock,
                      struct err *e);

/* Finds that of CLUSTER's instance ID; ret_dir->fd is -1 when there is none. */
int instance_dir_open(const char *base, const char *cluster, const char *id,
                      struct instance_dir *ret_dir, struct err *e);
/* The same, made when missing. MARK's directory must be BASE/ID. */
int instance_dir_make(const char *base, const struct mark *mark, struct instance_dir *ret_dir,
                      struct err *e);
/*
 * Removes it with all it holds (see remove_tree.h: nothing may be mounted in it), and what an
 * interrupted make left. Closes DIR's descriptor. One that is not there is success.
 */
int instance_dir_remove(const char *base, const char *id, struct instance_dir *dir, struct err *e);

/* The marks of CLUSTER's directories below BASE, in no order. The caller's: mark_deinit(), free().
 */
int instance_dir_list(const char *base, const char *cluster, struct mark **ret_marks,
                      size_t *ret_count, struct err *e);

/* One of its small files as text without the newline at its end; *ret_text NULL when not there. */
int instance_dir_read(const struct instance_dir *dir, const char *name, char **ret_text,
                      struct err *e);
/* Writes it whole or not at all; a newline is added. */
int instance_dir_write(const struct instance_dir *dir, const char *name, const char *text,
                       struct err *e);

#endif
