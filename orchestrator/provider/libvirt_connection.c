/*
 * libvirt has no deadline of its own for connecting, and notices a silent daemon only while an
 * event loop runs. So this is the one place of the program with threads: one for the event loop,
 * and one for each connect, which is left behind when it hangs. Both block all signals.
 */
#include "provider/libvirt_connection.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/libvirt_library.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define CONNECT_TIMEOUT_S    10
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT      3

static void ignore_error(void *context, virErrorPtr error)
{
    (void)context;
    (void)error; /* libvirt would print it; the caller of the failed call turns it into a text. */
}

int libvirt_fault(struct err *e, const char *format, ...)
{
    char prefix[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    const virError *error = virGetLastError();
    return err_set(e, "%s: %s", prefix,
                   error == NULL || error->message == NULL ? "libvirt does not say why"
                                                           : error->message);
}

static int start_thread(void *(*run)(void *), void *argument)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int problem = pthread_create(&thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return problem;
}

static void *run_events(void *unused)
{
    (void)unused;
    while (virEventRunDefaultImpl() == 0) {
    }
    return NULL;
}

static int start_events(struct err *e)
{
    static bool started = false;
    if (started) {
        return 0;
    }
    if (libvirt_library_load(e) != 0) {
        return -1;
    }
    virSetErrorFunc(NULL, ignore_error);
    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0) {
        return libvirt_fault(e, "start libvirt's library");
    }
    int problem = start_thread(run_events, NULL);
    if (problem != 0) {
        return err_errno(e, problem, "start a thread for libvirt's events");
    }
    started = true;
    return 0;
}

/* Shared by the two threads of one connect; the last to leave frees it. */
struct attempt {
    pthread_mutex_t mutex;
    pthread_cond_t ended_condition;
    char *uri;
    bool ended;
    bool abandoned;
    virConnectPtr connection;
    struct err error;
};

static void attempt_free(struct attempt *attempt)
{
    pthread_mutex_destroy(&attempt->mutex);
    pthread_cond_destroy(&attempt->ended_condition);
    free(attempt->uri);
    free(attempt);
}

static void *run_attempt(void *opaque)
{
    struct attempt *attempt = opaque;
    struct err error = ERR_NULL;
    virConnectPtr connection = virConnectOpen(attempt->uri);
    if (connection == NULL) {
        libvirt_fault(&error, "connect to libvirt at %s", attempt->uri);
    }
    pthread_mutex_lock(&attempt->mutex);
    attempt->connection = connection;
    attempt->error = error;
    attempt->ended = true;
    bool abandoned = attempt->abandoned;
    pthread_cond_signal(&attempt->ended_condition);
    pthread_mutex_unlock(&attempt->mutex);
    if (abandoned) {
        if (connection != NULL) {
            virConnectClose(connection);
        }
        attempt_free(attempt);
    }
    return NULL;
}

static struct attempt *attempt_new(const char *uri)
{
    struct attempt *attempt = xcalloc(1, sizeof(*attempt));
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&attempt->ended_condition, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&attempt->mutex, NULL);
    attempt->uri = xstrdup(uri);
    return attempt;
}

/* Waits for the end of ATTEMPT or the timeout; true when it ended. */
static bool attempt_wait(struct attempt *attempt)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CONNECT_TIMEOUT_S;
    pthread_mutex_lock(&attempt->mutex);
    int problem = 0;
    while (!attempt->ended && problem != ETIMEDOUT) {
        problem = pthread_cond_timedwait(&attempt->ended_condition, &attempt->mutex, &until);
    }
    bool ended = attempt->ended;
    attempt->abandoned = !ended;
    pthread_mutex_unlock(&attempt->mutex);
    return ended;
}

int libvirt_connect(const char *uri, virConnectPtr *ret_connection, struct err *e)
{
    if (start_events(e) < 0) {
        return -1;
    }
    struct attempt *attempt = attempt_new(uri);
    int problem = start_thread(run_attempt, attempt);
    if (problem != 0) {
        attempt_free(attempt);
        return err_errno(e, problem, "start a thread to connect to libvirt");
    }
    if (!attempt_wait(attempt)) {
        return err_set(e,
                       "connect to libvirt at %s: no answer in %d s: is libvirtd well? "
                       "(systemctl status libvirtd)",
                       uri, CONNECT_TIMEOUT_S);
    }
    virConnectPtr connection = attempt->connection;
    if (connection == NULL) {
        err_set(e, "%s (is libvirtd running there, with its LXC driver?)", attempt->error.text);
        attempt_free(attempt);
        return -1;
    }
    attempt_free(attempt);
    /* A driver inside this process has no keepalive and needs none. */
    (void)virConnectSetKeepAlive(connection, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT);
    *ret_connection = connection;
    return 0;
}
