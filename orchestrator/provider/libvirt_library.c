#include "provider/libvirt_library.h"

#include "base/err.h"
#include "base/library.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Result, name, parameters, arguments. */
#define PLAIN(DO)                                                                                  \
    DO(int, virConnectClose, (virConnectPtr connection), (connection))                             \
    DO(int, virConnectListAllDomains,                                                              \
       (virConnectPtr connection, virDomainPtr * *ret_domains, unsigned flags),                    \
       (connection, ret_domains, flags))                                                           \
    DO(virConnectPtr, virConnectOpen, (const char *uri), (uri))                                    \
    DO(int, virConnectSetKeepAlive, (virConnectPtr connection, int interval, unsigned count),      \
       (connection, interval, count))                                                              \
    DO(int, virDomainCreate, (virDomainPtr domain), (domain))                                      \
    DO(virDomainPtr, virDomainDefineXMLFlags,                                                      \
       (virConnectPtr connection, const char *xml, unsigned flags), (connection, xml, flags))      \
    DO(int, virDomainDestroy, (virDomainPtr domain), (domain))                                     \
    DO(int, virDomainFree, (virDomainPtr domain), (domain))                                        \
    DO(char *, virDomainGetMetadata,                                                               \
       (virDomainPtr domain, int type, const char *uri, unsigned flags),                           \
       (domain, type, uri, flags))                                                                 \
    DO(int, virDomainGetState,                                                                     \
       (virDomainPtr domain, int *ret_state, int *ret_reason, unsigned flags),                     \
       (domain, ret_state, ret_reason, flags))                                                     \
    DO(int, virDomainGetUUID, (virDomainPtr domain, unsigned char *ret_uuid), (domain, ret_uuid))  \
    DO(virDomainPtr, virDomainLookupByName, (virConnectPtr connection, const char *name),          \
       (connection, name))                                                                         \
    DO(int, virDomainResume, (virDomainPtr domain), (domain))                                      \
    DO(int, virDomainSendProcessSignal,                                                            \
       (virDomainPtr domain, long long pid, unsigned number, unsigned flags),                      \
       (domain, pid, number, flags))                                                               \
    DO(int, virDomainUndefine, (virDomainPtr domain), (domain))                                    \
    DO(int, virEventRegisterDefaultImpl, (void), ())                                               \
    DO(int, virEventRunDefaultImpl, (void), ())                                                    \
    DO(virErrorPtr, virGetLastError, (void), ())                                                   \
    DO(int, virGetVersion,                                                                         \
       (unsigned long *ret_library, const char *type, unsigned long *ret_type),                    \
       (ret_library, type, ret_type))                                                              \
    DO(int, virInitialize, (void), ())

/* Without a result: written out below. */
#define OTHERS(DO) DO(, virSetErrorFunc, , )

#define SLOT(type, name, parameters, arguments)  __typeof__(name) *name;
#define ENTRY(type, name, parameters, arguments) {#name, (void **)&loaded.name},
#define DEFINE(type, name, parameters, arguments)                                                  \
    type name parameters                                                                           \
    {                                                                                              \
        need();                                                                                    \
        return loaded.name arguments;                                                              \
    }

static struct {
    PLAIN(SLOT) OTHERS(SLOT)
} loaded;
static bool is_loaded;

int libvirt_library_load(struct err *e)
{
    static const struct library_function functions[] = {PLAIN(ENTRY) OTHERS(ENTRY)};
    if (!is_loaded && library_load("libvirt.so.0", "libvirt0", functions,
                                   sizeof(functions) / sizeof(functions[0]), e) != 0) {
        return -1;
    }
    is_loaded = true;
    return 0;
}

static void need(void)
{
    struct err e = ERR_NULL;
    if (libvirt_library_load(&e) != 0) {
        fprintf(stderr, "lamplighter: %s\n", e.text);
        exit(1);
    }
}

PLAIN(DEFINE)

void virSetErrorFunc(void *context, virErrorFunc function)
{
    need();
    loaded.virSetErrorFunc(context, function);
}
