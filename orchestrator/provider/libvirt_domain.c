#include "provider/libvirt_domain.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "provider/libvirt_connection.h"
#include "provider/libvirt_domain_xml.h"
#include "provider/mark.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <unistd.h>

#define STATE_PAUSE_US   10000
#define KILL_PATIENCE_MS 3000
#define REMOVE_TRIES     5

static int last_code(void)
{
    const virError *error = virGetLastError();
    return error == NULL ? VIR_ERR_OK : error->code;
}

int libvirt_domain_owner(virDomainPtr domain, enum libvirt_owner *ret_owner, struct mark *ret_mark,
                         struct err *e)
{
    char *xml = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, LIBVIRT_MARK_URI, 0);
    if (xml != NULL) {
        bool ours = libvirt_mark_parse(xml, ret_mark, NULL) == 0;
        *ret_owner = ours ? LIBVIRT_OWNER_US : LIBVIRT_OWNER_OTHER;
        free(xml);
        return 0;
    }
    if (last_code() == VIR_ERR_NO_DOMAIN_METADATA) {
        *ret_owner = LIBVIRT_OWNER_OTHER;
        return 0;
    }
    if (last_code() == VIR_ERR_NO_DOMAIN) {
        *ret_owner = LIBVIRT_OWNER_GONE;
        return 0;
    }
    return libvirt_fault(e, "read the metadata of the domain");
}

int libvirt_domain_state(virDomainPtr domain, enum libvirt_state *ret_state, struct err *e)
{
    int state = VIR_DOMAIN_NOSTATE;
    if (virDomainGetState(domain, &state, NULL, 0) < 0) {
        if (last_code() != VIR_ERR_NO_DOMAIN) {
            return libvirt_fault(e, "read the state of the domain");
        }
        *ret_state = LIBVIRT_GONE;
        return 0;
    }
    if (state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED ||
        state == VIR_DOMAIN_SHUTDOWN) {
        *ret_state = LIBVIRT_RUNNING;
    } else if (state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_PMSUSPENDED) {
        *ret_state = LIBVIRT_PAUSED;
    } else {
        *ret_state = LIBVIRT_OFF;
    }
    return 0;
}

static int check_mark(const char *name, const struct mark *mark, const struct mark *wanted,
                      struct err *e)
{
    if (!text_equal(mark->cluster, wanted->cluster) || !text_equal(mark->id, wanted->id)) {
        return err_set(e, "domain %s belongs to %s of cluster %s and is not touched (S25)", name,
                       mark->id, mark->cluster);
    }
    if (!text_equal(mark->directory, wanted->directory)) {
        return err_set(e,
                       "it was made in %s, and instance-dir now leads to %s: set it back until "
                       "this instance is gone",
                       mark->directory, wanted->directory);
    }
    return 0;
}

int libvirt_domain_find(virConnectPtr connection, const char *name, const struct mark *wanted,
                        virDomainPtr *ret_domain, struct mark *ret_mark, struct err *e)
{
    virDomainPtr domain = virDomainLookupByName(connection, name);
    if (domain == NULL && last_code() != VIR_ERR_NO_DOMAIN) {
        return libvirt_fault(e, "look for domain %s", name);
    }
    enum libvirt_owner owner = LIBVIRT_OWNER_GONE;
    struct mark mark = MARK_NULL;
    int result = domain == NULL ? 0 : libvirt_domain_owner(domain, &owner, &mark, e);
    if (result == 0 && owner == LIBVIRT_OWNER_OTHER) {
        result = err_set(e,
                         "domain %s has no mark of ours and is not touched (S25): rename it "
                         "(virsh domrename), or this cluster",
                         name);
    } else if (result == 0 && owner == LIBVIRT_OWNER_US) {
        result = check_mark(name, &mark, wanted, e);
    }
    if (result == 0) {
        *ret_domain = owner == LIBVIRT_OWNER_US ? domain : NULL;
    }
    if (result == 0 && owner == LIBVIRT_OWNER_US) {
        *ret_mark = mark;
        return 0;
    }
    mark_deinit(&mark);
    if (domain != NULL) {
        virDomainFree(domain);
    }
    return result;
}

int libvirt_domain_start(virDomainPtr domain, struct err *e)
{
    enum libvirt_state state = LIBVIRT_GONE;
    if (libvirt_domain_state(domain, &state, e) < 0) {
        return -1;
    }
    if (state == LIBVIRT_RUNNING) {
        return 0;
    }
    int done = state == LIBVIRT_PAUSED ? virDomainResume(domain) : virDomainCreate(domain);
    if (done == 0) {
        return 0;
    }
    struct err refusal = ERR_NULL;
    libvirt_fault(&refusal, "start the domain");
    if (libvirt_domain_state(domain, &state, e) < 0) {
        return -1;
    }
    return state == LIBVIRT_RUNNING ? 0 : err_set(e, "%s", refusal.text);
}

/*
 * Ends the first program of the container, and with it all others, and waits for libvirt to notice.
 * libvirt's own destroy comes second: it first asks politely for 1.6 s, which systemd takes for
 * "start yourself anew". *ret_state is the last one seen.
 */
static int kill_init(virDomainPtr domain, enum libvirt_state *ret_state, struct err *e)
{
    int64_t until_ms = clock_now_ms() + KILL_PATIENCE_MS;
    bool sent = false;
    bool possible = true;
    while (libvirt_domain_state(domain, ret_state, e) == 0) {
        if (*ret_state != LIBVIRT_RUNNING || !possible || clock_now_ms() >= until_ms) {
            return 0;
        }
        if (!sent) { /* Refused in the moment between its start and its first program's. */
            sent = virDomainSendProcessSignal(domain, 1, VIR_DOMAIN_PROCESS_SIGNAL_KILL, 0) == 0;
            possible = sent || (last_code() != VIR_ERR_NO_SUPPORT &&
                                last_code() != VIR_ERR_ARGUMENT_UNSUPPORTED);
        }
        usleep(STATE_PAUSE_US);
    }
    return -1;
}

/*
 * Not running when this returns 0. Destroy is asked for even when it looks off: it waits for a
 * start that may be going on, begun by a process that is no more.
 */
static int end(virDomainPtr domain, struct err *e)
{
    enum libvirt_state state = LIBVIRT_GONE;
    if (libvirt_domain_state(domain, &state, e) < 0 ||
        (state == LIBVIRT_RUNNING && kill_init(domain, &state, e) < 0)) {
        return -1;
    }
    if (state == LIBVIRT_GONE || virDomainDestroy(domain) == 0) {
        return 0;
    }
    struct err refusal = ERR_NULL;
    libvirt_fault(&refusal, "end the domain");
    if (libvirt_domain_state(domain, &state, e) < 0) {
        return -1;
    }
    bool ended = state == LIBVIRT_GONE || state == LIBVIRT_OFF;
    return ended ? 0 : err_set(e, "%s", refusal.text);
}

int libvirt_domain_machine_id(virDomainPtr domain, char ret_id[33], struct err *e)
{
    unsigned char uuid[VIR_UUID_BUFLEN];
    if (virDomainGetUUID(domain, uuid) < 0) {
        return libvirt_fault(e, "ask for the domain's UUID");
    }
    for (size_t i = 0; i < sizeof(uuid); i++) {
        snprintf(ret_id + 2 * i, 3, "%02x", uuid[i]);
    }
    return 0;
}

/* What libvirt says after the deed counts, not that it has done it (S14). */
int libvirt_domain_stop(virDomainPtr domain, struct err *e)
{
    enum libvirt_state state = LIBVIRT_GONE;
    if (end(domain, e) < 0 || libvirt_domain_state(domain, &state, e) < 0) {
        return -1;
    }
    if (state != LIBVIRT_OFF && state != LIBVIRT_GONE) {
        return err_set(e, "it was ended and runs again: somebody else has started it");
    }
    return 0;
}

int libvirt_domain_remove(virDomainPtr domain, struct err *e)
{
    for (unsigned i = 0; i < REMOVE_TRIES; i++) {
        if (end(domain, e) < 0) {
            return -1;
        }
        if (virDomainUndefine(domain) < 0 && last_code() != VIR_ERR_NO_DOMAIN) {
            return libvirt_fault(e, "undefine the domain");
        }
        enum libvirt_state state = LIBVIRT_GONE;
        if (libvirt_domain_state(domain, &state, e) < 0) {
            return -1;
        }
        if (state == LIBVIRT_GONE) {
            return 0;
        }
    }
    return err_set(e, "undefine the domain: it is started again and again by somebody else");
}
