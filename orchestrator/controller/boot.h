/*
 * Which boot of a host this is, and of which system.
 *
 * The kernel's boot id alone does not do: in a container it is the machine's. The start time of the
 * first program (in ticks since the machine's boot) tells one start of a container from another.
 */
#ifndef CONTROLLER_BOOT_H
#define CONTROLLER_BOOT_H

#include "image/identity.h"
#include "net/ssh_link.h"

#define BOOT_ID_SIZE    80
#define BOOT_MACHINE_ID 33

struct boot {
    char id[BOOT_ID_SIZE]; /* Two answers differ exactly when the host was started in between. */
    char machine_id[BOOT_MACHINE_ID]; /* "": it has none. */
    struct identity identity;         /* Both "": it does not say which image it is. */
};

/*
 * Asks the host over LINK: "2f1c...-....4711" and so on. The id is empty, with SSH_OK and the
 * reason in E, when what came back is no such thing. On anything but SSH_OK the link is of no more
 * use.
 */
enum ssh_outcome boot_read(struct ssh_link *link, int64_t deadline_ms, struct boot *ret_boot,
                           struct err *e);

#endif
