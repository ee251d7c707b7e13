/*
 * libcurl, loaded when it is first needed (base/library.h). Who uses it includes <curl/curl.h> as
 * ever, and calls this first: a call into libcurl before it ends the process with the same line.
 */
#ifndef NET_CURL_LIBRARY_H
#define NET_CURL_LIBRARY_H

struct err;

/* Loads it, unless it is there. Not for two threads at a time. */
int curl_library_load(struct err *e);

#endif
