/*
 * What we ask and have done about one domain. Each function looks again where libvirt refuses: what
 * an interrupted process has begun goes on in libvirtd.
 */
#ifndef PROVIDER_LIBVIRT_DOMAIN_H
#define PROVIDER_LIBVIRT_DOMAIN_H

#include <libvirt/libvirt.h>

struct err;
struct mark;

enum libvirt_owner {
    LIBVIRT_OWNER_US, /* This program; which cluster, the mark says. */
    LIBVIRT_OWNER_OTHER,
    LIBVIRT_OWNER_GONE, /* There is no such domain any more. */
};
/* Whose DOMAIN is; *ret_mark is set, and the caller's, for LIBVIRT_OWNER_US only. */
int libvirt_domain_owner(virDomainPtr domain, enum libvirt_owner *ret_owner, struct mark *ret_mark,
                         struct err *e);

enum libvirt_state { LIBVIRT_GONE, LIBVIRT_OFF, LIBVIRT_PAUSED, LIBVIRT_RUNNING };
int libvirt_domain_state(virDomainPtr domain, enum libvirt_state *ret_state, struct err *e);

/*
 * Looks for domain NAME. *ret_domain (the caller's) is NULL and *ret_mark untouched when there is
 * none. Faults when it is not this program's, or when its cluster, id or directory are not those
 * of WANTED (S25; the other members of WANTED are not looked at).
 */
int libvirt_domain_find(virConnectPtr connection, const char *name, const struct mark *wanted,
                        virDomainPtr *ret_domain, struct mark *ret_mark, struct err *e);

/* What a system in it has as its machine-id after its first boot: the domain's UUID without dashes.
 */
int libvirt_domain_machine_id(virDomainPtr domain, char ret_id[33], struct err *e);

/* It runs when this returns 0. */
int libvirt_domain_start(virDomainPtr domain, struct err *e);

/* Ends it, if it runs; it was seen off, or gone, when this returns 0. Its definition stays. */
int libvirt_domain_stop(virDomainPtr domain, struct err *e);

/* Ends it, if it runs, and has libvirt forget it. */
int libvirt_domain_remove(virDomainPtr domain, struct err *e);

#endif
