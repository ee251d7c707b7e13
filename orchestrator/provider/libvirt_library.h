/*
 * libvirt, loaded when it is first needed (base/library.h). Who uses it includes
 * <libvirt/libvirt.h> as ever, and calls this first: a call into libvirt before it ends the process
 * with the same line.
 */
#ifndef PROVIDER_LIBVIRT_LIBRARY_H
#define PROVIDER_LIBVIRT_LIBRARY_H

struct err;

/* Loads it, unless it is there. Not for two threads at a time. */
int libvirt_library_load(struct err *e);

#endif
