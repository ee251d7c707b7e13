/*
 * What we say to libvirt about an instance, as XML, and what it says back. Text only: nothing here
 * calls libvirt. Every value is escaped for where it lands; one that XML cannot hold is a fault.
 */
#ifndef PROVIDER_LIBVIRT_DOMAIN_XML_H
#define PROVIDER_LIBVIRT_DOMAIN_XML_H

#include "base/str.h"

#include <stdint.h>

struct err;
struct mark;

/* The namespace of our element in a domain's metadata. A change of its meaning is a new number. */
#define LIBVIRT_MARK_URI "urn:lamplighter:instance:1"

/*
 * libvirt makes the path of a socket from a domain's name, and such paths are short. Also a host's
 * name.
 */
#define LIBVIRT_NAME_MAX 80
#define LIBVIRT_ID_MAX   63

struct libvirt_domain { /* All borrowed. */
    const struct mark *mark;
    const char *root; /* A directory on the hypervisor. */
    const char *init; /* First program, a path in the root. */
    const char *bridge;
    unsigned cpus;
    int64_t memory_bytes;
    unsigned prefix_length;
    const char *gateway; /* NULL for none. */
};

/*
 * "CLUSTER.ID", the caller's: one hypervisor may serve several clusters, and no name has a dot.
 * Faults when it would be too long.
 */
int libvirt_domain_name(const char *cluster, const char *id, char **ret_name, struct err *e);

/* Adds the domain's definition. */
int libvirt_domain_xml(const struct libvirt_domain *domain, struct str *ret_xml, struct err *e);

/*
 * Reads our metadata element as libvirt gives it back. *ret_mark is the caller's. Faults on
 * anything that is not one whole element of ours.
 */
int libvirt_mark_parse(const char *xml, struct mark *ret_mark, struct err *e);

#endif
