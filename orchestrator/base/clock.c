#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

void clock_format(int64_t wall_ms, char *ret_text, size_t size)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(ret_text, size, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

void clock_format_span(int64_t span_ms, char *ret_text, size_t size)
{
    if (span_ms < 1000) {
        snprintf(ret_text, size, "%" PRId64 " ms", span_ms);
    } else if (span_ms < 60000) {
        snprintf(ret_text, size, "%" PRId64 ".%" PRId64 " s", span_ms / 1000, span_ms % 1000 / 100);
    } else if (span_ms < 3600000) {
        snprintf(ret_text, size, "%" PRId64 " min %" PRId64 " s", span_ms / 60000,
                 span_ms % 60000 / 1000);
    } else {
        snprintf(ret_text, size, "%" PRId64 " h %" PRId64 " min", span_ms / 3600000,
                 span_ms % 3600000 / 60000);
    }
}
