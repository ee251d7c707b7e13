/*
 * Whole-number arithmetic in the values of variables: templates put numbers together as text, but a
 * pool of workers or a cache is sized by reckoning. "max(4, (2048 - 160) / 48)" is 39.
 *
 *   sum     = product { ("+" | "-") product }
 *   product = factor { ("*" | "/") factor }
 *   factor  = NUMBER [ "K" | "M" | "G" ] | ("min" | "max") "(" sum "," sum ")" | "(" sum ")" | "-"
 * factor
 *
 * Units (of 1024) only where sizes are meant. Division rounds towards zero. Pure; no allocation.
 */
#ifndef ROLE_EXPRESSION_H
#define ROLE_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Evaluates TEXT; WITH_UNITS: a size in bytes. A plain number is the simplest expression. Returns
 * NULL and sets *ret_value, or what is wrong with the text, as a phrase for a message ("a number
 * too large"), with *ret_value untouched.
 */
const char *expression_eval(const char *text, bool with_units, int64_t *ret_value);

/* A size as a person would write it: the largest unit that divides it ("18M", "1500"). SIZE at
   least 24. */
void expression_size_to_string(int64_t bytes, char *ret_text, size_t size);

#endif
