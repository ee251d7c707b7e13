/* By time, and those of one time in the order in which they were added. */
#include "rehearse/agenda.h"

#include "rehearse/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void an_empty_one(void **state)
{
    (void)state;
    struct agenda a = {.events = NULL};
    struct agenda_event event;
    assert_false(agenda_take(&a, &event));
    agenda_deinit(&a);
}

static void in_order(void **state)
{
    (void)state;
    struct agenda a = {.events = NULL};
    struct random r;
    random_init(&r, 1);
    size_t left = 0;
    int64_t now_ms = 0;
    uint64_t last = 0;
    for (unsigned i = 0; i < 20000; i++) {
        if (i < 10000 && random_chance(&r, 700)) {
            /* Few different times, so that many are the same. */
            agenda_add(&a, (struct agenda_event){.at_ms = now_ms + random_between(&r, 0, 5),
                                                 .subject = i});
            left++;
            continue;
        }
        struct agenda_event event;
        if (!agenda_take(&a, &event)) {
            assert_int_equal(left, 0);
            continue;
        }
        left--;
        assert_true(event.at_ms >= now_ms);
        assert_true(event.at_ms > now_ms || event.order >= last);
        now_ms = event.at_ms;
        last = event.order;
    }
    agenda_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one),
        cmocka_unit_test(in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
