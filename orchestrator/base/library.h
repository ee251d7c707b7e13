/*
 * A shared library that most processes have no use for, loaded by those that do: libvirt and
 * libcurl bring fifty others with them, which cost 13 ms at every start and a share of every fork.
 *
 * A file of its own for each such library (provider/libvirt_library.c, net/curl_library.c) has the
 * functions of it that we call, by their own names, as calls through a table. So its header is used
 * as ever, and a function that is not in the table does not link.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stddef.h>

struct err;

struct library_function {
    const char *name;
    void **slot; /* Where its address goes. */
};

/*
 * Loads FILE ("libvirt.so.0"), for as long as the process lives, and fills the slots of FUNCTIONS.
 * PACKAGE is the Debian package the fault names.
 */
int library_load(const char *file, const char *package, const struct library_function *functions,
                 size_t count, struct err *e);

#endif
