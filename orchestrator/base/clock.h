/* The two clocks: one that never jumps, for deadlines; one that people read, for records. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_now_ms(void);  /* Monotonic, milliseconds; counts through suspend (CLOCK_BOOTTIME). */
int64_t clock_wall_ms(void); /* Since 1970, milliseconds. */
/* "2026-11-23T06:54:00Z" of WALL_MS. SIZE at least 21. */
void clock_format(int64_t wall_ms, char *ret_text, size_t size);
/* "340 ms", "2.1 s", "4 min 10 s", "3 h 2 min" for people. SIZE at least 24. */
void clock_format_span(int64_t span_ms, char *ret_text, size_t size);

#endif
