/*
 * A connection to libvirt that cannot hang for ever and does not print: what libvirt says becomes
 * one line of ours.
 */
#ifndef PROVIDER_LIBVIRT_CONNECTION_H
#define PROVIDER_LIBVIRT_CONNECTION_H

#include <libvirt/libvirt.h>

struct err;

/*
 * Connects to URI, in at most 10 s; a daemon that stops answering later makes calls fail after
 * about 20 s. *ret_connection is the caller's, virConnectClose(). The first call starts a thread
 * that serves the connection as long as the process lives: call it after forking, not before.
 */
int libvirt_connect(const char *uri, virConnectPtr *ret_connection, struct err *e);

/*
 * Sets E to "PREFIX: what libvirt said last in this thread". Always -1. No argument may be a call
 * into libvirt: it would make libvirt forget what it said.
 */
int libvirt_fault(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
