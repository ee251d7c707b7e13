#include "net/curl_library.h"

#include "base/err.h"
#include "base/library.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Result, name, parameters, arguments. */
#define PLAIN(DO)                                                                                  \
    DO(CURL *, curl_easy_init, (void), ())                                                         \
    DO(const char *, curl_easy_strerror, (CURLcode code), (code))                                  \
    DO(CURLcode, curl_global_init, (long flags), (flags))                                          \
    DO(CURLMcode, curl_multi_add_handle, (CURLM * multi, CURL * easy), (multi, easy))              \
    DO(CURLMcode, curl_multi_assign, (CURLM * multi, curl_socket_t fd, void *context),             \
       (multi, fd, context))                                                                       \
    DO(CURLMcode, curl_multi_cleanup, (CURLM * multi), (multi))                                    \
    DO(CURLMsg *, curl_multi_info_read, (CURLM * multi, int *ret_left), (multi, ret_left))         \
    DO(CURLM *, curl_multi_init, (void), ())                                                       \
    DO(CURLMcode, curl_multi_remove_handle, (CURLM * multi, CURL * easy), (multi, easy))           \
    DO(CURLMcode, curl_multi_socket_action,                                                        \
       (CURLM * multi, curl_socket_t fd, int what, int *ret_running),                              \
       (multi, fd, what, ret_running))                                                             \
    DO(struct curl_slist *, curl_slist_append, (struct curl_slist * list, const char *text),       \
       (list, text))                                                                               \
    DO(curl_version_info_data *, curl_version_info, (CURLversion version), (version))

/* Without a result, or with an argument of many types: written out below. */
#define OTHERS(DO)                                                                                 \
    DO(, curl_easy_cleanup, , )                                                                    \
    DO(, curl_easy_getinfo, , )                                                                    \
    DO(, curl_easy_setopt, , )                                                                     \
    DO(, curl_multi_setopt, , )                                                                    \
    DO(, curl_slist_free_all, , )

#define SLOT(type, name, parameters, arguments)  __typeof__(name) *name;
#define ENTRY(type, name, parameters, arguments) {#name, (void **)&loaded.name},

static struct {
    PLAIN(SLOT) OTHERS(SLOT)
} loaded;
static bool is_loaded;

int curl_library_load(struct err *e)
{
    static const struct library_function functions[] = {PLAIN(ENTRY) OTHERS(ENTRY)};
    if (!is_loaded && library_load("libcurl.so.4", "libcurl4", functions,
                                   sizeof(functions) / sizeof(functions[0]), e) != 0) {
        return -1;
    }
    is_loaded = true;
    return 0;
}

static void need(void)
{
    struct err e = ERR_NULL;
    if (curl_library_load(&e) != 0) {
        fprintf(stderr, "lamplighter: %s\n", e.text);
        exit(1);
    }
}

/* Names are in brackets, because the header has macros of some of them. */
#define DEFINE(type, name, parameters, arguments)                                                  \
    type(name) parameters                                                                          \
    {                                                                                              \
        need();                                                                                    \
        return (loaded.name)arguments;                                                             \
    }

PLAIN(DEFINE)

void(curl_easy_cleanup)(CURL *easy)
{
    need();
    loaded.curl_easy_cleanup(easy);
}

void(curl_slist_free_all)(struct curl_slist *list)
{
    need();
    loaded.curl_slist_free_all(list);
}

CURLcode(curl_easy_getinfo)(CURL *easy, CURLINFO info, ...)
{
    need();
    va_list args;
    va_start(args, info);
    void *ret_value = va_arg(args, void *); /* A pointer to whatever INFO is: libcurl knows. */
    va_end(args);
    return (loaded.curl_easy_getinfo)(easy, info, ret_value);
}

/* The number of an option tells the type of its value. */
CURLcode(curl_easy_setopt)(CURL *easy, CURLoption option, ...)
{
    need();
    va_list args;
    va_start(args, option);
    CURLcode result;
    if ((int)option < CURLOPTTYPE_OBJECTPOINT) {
        result = (loaded.curl_easy_setopt)(easy, option, va_arg(args, long));
    } else if ((int)option >= CURLOPTTYPE_OFF_T && (int)option < CURLOPTTYPE_BLOB) {
        result = (loaded.curl_easy_setopt)(easy, option, va_arg(args, curl_off_t));
    } else {
        result = (loaded.curl_easy_setopt)(easy, option, va_arg(args, void *));
    }
    va_end(args);
    return result;
}

CURLMcode(curl_multi_setopt)(CURLM *multi, CURLMoption option, ...)
{
    need();
    va_list args;
    va_start(args, option);
    CURLMcode result;
    if ((int)option < CURLOPTTYPE_OBJECTPOINT) {
        result = (loaded.curl_multi_setopt)(multi, option, va_arg(args, long));
    } else if ((int)option >= CURLOPTTYPE_OFF_T) {
        result = (loaded.curl_multi_setopt)(multi, option, va_arg(args, curl_off_t));
    } else {
        result = (loaded.curl_multi_setopt)(multi, option, va_arg(args, void *));
    }
    va_end(args);
    return result;
}
