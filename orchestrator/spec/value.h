/*
 * One value of the cluster file from its text: pure functions, no table, no context. Each returns
 * false, and writes nothing, when TEXT is anything else; what would have been right is
 * key_add_expected()'s to say. Used by spec/set.c.
 */
#ifndef SPEC_VALUE_H
#define SPEC_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct spec_check;
struct spec_zone;

/* "512M", "10GiB", "4T", or "0"; units are powers of 1024. */
bool value_size(const char *text, int64_t *ret_bytes);
/* "250ms", "2s", "5min" (or "5m"), "1h", "1d", or "0". */
bool value_duration(const char *text, int64_t *ret_ms);
/* "90%" */
bool value_percent(const char *text, int64_t *ret_percent);
bool value_yesno(const char *text, bool *ret_yes);
/* Host byte order; 0.0.0.0 is no address. */
bool value_address(const char *text, uint32_t *ret_address);
/* A login name as useradd takes it. */
bool value_is_user(const char *text);
/* An IPv4 or IPv6 address, or a name of letters, digits, dots and hyphens. */
bool value_is_host_name(const char *text);
/* Printable ASCII without white space, at most MAX bytes. */
bool value_is_word(const char *text, size_t max);
/* One line of text: not blank, no control characters but tabs, at most MAX bytes. */
bool value_is_line(const char *text, size_t max);
/* A path of a URL, as it stands in a request; with QUERY also what follows a '?'. */
bool value_is_url_path(const char *text, bool query);
/* Variables of roles: letters a-z, digits, hyphens, underscores. */
bool value_is_variable(const char *text);
/* The key, without a comment at its end, is the caller's; NULL when TEXT is no ed25519 key. */
char *value_host_key(const char *text);

/*
 * These have something to say about what is wrong: 0, or -1 with "expected ..., got ..." in E and
 * nothing written.
 */
int value_addresses(const char *text, struct spec_zone *zone, struct err *e);
/*
 * What TEXT leaves out of numbers stays as it is in CHECK (the default, parsed before); a timeout
 * left out is no longer than the interval. The strings in CHECK are freed and replaced.
 */
int value_check(const char *text, struct spec_check *check, struct err *e);

#endif
