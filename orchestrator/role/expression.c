#include "role/expression.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

/* A reader goes over the text once. After the first mistake every step does nothing. */
struct reader {
    const char *at;
    bool with_units;
    int depth;
    const char *wrong; /* NULL while all is well. */
};

static int64_t read_sum(struct reader *r);

static int64_t fail(struct reader *r, const char *why)
{
    if (r->wrong == NULL) {
        r->wrong = why;
    }
    return 0;
}

static char peek(struct reader *r)
{
    while (*r->at == ' ') {
        r->at++;
    }
    return r->wrong == NULL ? *r->at : '\0';
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c || c == '\0') {
        return false;
    }
    r->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int64_t unit_of(struct reader *r)
{
    static const char units[] = "KMG";
    const char *found = *r->at == '\0' ? NULL : strchr(units, *r->at);
    if (!r->with_units || found == NULL) {
        return 1;
    }
    r->at++;
    return (int64_t)1 << (10 * (found - units + 1));
}

static int64_t read_number(struct reader *r)
{
    int64_t value = 0;
    while (is_digit(*r->at)) {
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(*r->at - '0'), &value)) {
            return fail(r, "a number too large");
        }
        r->at++;
    }
    if (__builtin_mul_overflow(value, unit_of(r), &value)) {
        return fail(r, "a number too large");
    }
    return value;
}

static int64_t read_least_or_most(struct reader *r)
{
    bool least = strncmp(r->at, "min", 3) == 0;
    if (!least && strncmp(r->at, "max", 3) != 0) {
        return fail(r, "neither a number nor min, max or a bracket where one should be");
    }
    r->at += 3;
    if (!take(r, '(')) {
        return fail(r, "no bracket after min or max");
    }
    int64_t a = read_sum(r);
    if (!take(r, ',')) {
        return fail(r, "no comma between the two values of min or max");
    }
    int64_t b = read_sum(r);
    if (!take(r, ')')) {
        return fail(r, "an open bracket");
    }
    return (a < b) == least ? a : b;
}

static int64_t read_bracket(struct reader *r)
{
    int64_t value = read_sum(r);
    return take(r, ')') ? value : fail(r, "an open bracket");
}

static int64_t read_negative(struct reader *r, int64_t value)
{
    /* -INT64_MIN cannot come up from reading, but can from reckoning. */
    return __builtin_sub_overflow((int64_t)0, value, &value) ? fail(r, "a number too large")
                                                             : value;
}

static int64_t read_factor(struct reader *r)
{
    if (r->depth == DEPTH_MAX) {
        return fail(r, "too many brackets");
    }
    r->depth++;
    int64_t value;
    if (is_digit(peek(r))) {
        value = read_number(r);
    } else if (take(r, '(')) {
        value = read_bracket(r);
    } else if (take(r, '-')) {
        value = read_negative(r, read_factor(r));
    } else {
        value = read_least_or_most(r);
    }
    r->depth--;
    return value;
}

static int64_t divide(struct reader *r, int64_t a, int64_t b)
{
    if (b == 0) {
        return fail(r, "a division by zero");
    }
    return a == INT64_MIN && b == -1 ? fail(r, "a number too large") : a / b;
}

static int64_t read_product(struct reader *r)
{
    int64_t value = read_factor(r);
    for (;;) {
        if (take(r, '*')) {
            if (__builtin_mul_overflow(value, read_factor(r), &value)) {
                return fail(r, "a number too large");
            }
        } else if (take(r, '/')) {
            value = divide(r, value, read_factor(r));
        } else {
            return value;
        }
    }
}

static int64_t read_sum(struct reader *r)
{
    int64_t value = read_product(r);
    for (;;) {
        bool overflow = false;
        if (take(r, '+')) {
            overflow = __builtin_add_overflow(value, read_product(r), &value);
        } else if (take(r, '-')) {
            overflow = __builtin_sub_overflow(value, read_product(r), &value);
        } else {
            return value;
        }
        if (overflow) {
            return fail(r, "a number too large");
        }
    }
}

const char *expression_eval(const char *text, bool with_units, int64_t *ret_value)
{
    assert(text != NULL && ret_value != NULL);
    struct reader r = {.at = text, .with_units = with_units};
    int64_t value = read_sum(&r);
    if (peek(&r) != '\0') {
        fail(&r, "something after the end");
    }
    if (r.wrong == NULL) {
        *ret_value = value;
    }
    return r.wrong;
}

void expression_size_to_string(int64_t bytes, char *ret_text, size_t size)
{
    static const char *const units[] = {"", "K", "M", "G"};
    assert(size >= 24);
    size_t unit = 0;
    while (unit < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    int length = snprintf(ret_text, size, "%" PRId64 "%s", bytes, units[unit]);
    assert(length > 0 && (size_t)length < size);
    (void)length;
}
