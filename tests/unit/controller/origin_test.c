/* controller/origin: what a host says at its greeting against what it was made of. */
#include "controller/origin.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "controller/wire.h"
#include "store/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUILD   "00112233445566778899aabbccddeeff"
#define OTHER   "ffeeddccbbaa99887766554433221100"
#define MACHINE "11111111111111111111111111111111"
#define STRANGE "22222222222222222222222222222222"

static struct message said(const char *image, const char *build, const char *machine_id)
{
    struct message message = MESSAGE_NULL;
    message_init(&message, WIRE_RESULT);
    message_put_text(&message, WIRE_IMAGE, image);
    message_put_text(&message, WIRE_BUILD, build);
    message_put_text(&message, WIRE_CONTENT, "abcdef");
    message_put_text(&message, WIRE_MACHINE_ID, machine_id);
    return message;
}

static struct record_instance record_of(const char *image, const char *build,
                                        const char *machine_id)
{
    struct record_instance record = {.id = xstrdup("web-4"), .group = xstrdup("web")};
    struct message answer = said(image, build, machine_id);
    origin_take(&record, &answer);
    message_deinit(&answer);
    return record;
}

static void test_compared(void **state)
{
    (void)state;
    static const struct {
        const char *image, *build, *machine_id;          /* Recorded. */
        const char *its_image, *its_build, *its_machine; /* What it says. */
        const char *fault;                               /* NULL: good. */
    } cases[] = {
        {"web@3", BUILD, MACHINE, "web@3", BUILD, MACHINE, NULL},
        {"web@3", BUILD, NULL, "web@3", BUILD, MACHINE, NULL},
        {"web@3", BUILD, MACHINE, "web@2", OTHER, MACHINE,
         "web-4 runs image web@2 (build ffeeddccbbaa), expected web@3 (build 001122334455): it "
         "came up in another system; it gets no traffic"},
        /* The same name is not enough. */
        {"web@3", BUILD, MACHINE, "web@3", OTHER, MACHINE, "expected web@3 (build 001122334455)"},
        {"web@3", BUILD, MACHINE, NULL, NULL, MACHINE, "web-4 does not say which image it runs"},
        /* What a hostile host says is not repeated. */
        {"web@3", BUILD, MACHINE, "web@3 \033[2J", OTHER, MACHINE, "does not say which image"},
        {"web@3", BUILD, MACHINE, "web@3", BUILD, STRANGE,
         "web-4 has machine-id " STRANGE ", expected " MACHINE},
        {"web@3", BUILD, MACHINE, "web@3", BUILD, NULL, NULL},
        /* A plain directory, a static host: nothing is expected. */
        {NULL, NULL, MACHINE, "web@3", OTHER, MACHINE, NULL},
        {NULL, NULL, NULL, NULL, NULL, STRANGE, NULL},
        {NULL, NULL, MACHINE, NULL, NULL, STRANGE, "group retry web-4"},
        /* An image from before builds were told. */
        {"web@1", NULL, MACHINE, NULL, NULL, MACHINE, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record_instance record =
            record_of(cases[i].image, cases[i].build, cases[i].machine_id);
        struct message greeting =
            said(cases[i].its_image, cases[i].its_build, cases[i].its_machine);
        struct err e = ERR_NULL;
        int result = origin_check(&record, &greeting, &e);
        if (result != (cases[i].fault == NULL ? 0 : -1)) {
            fail_msg("case %zu: %s", i, result == 0 ? "taken" : e.text);
        }
        if (cases[i].fault != NULL && strstr(e.text, cases[i].fault) == NULL) {
            fail_msg("case %zu: %s", i, e.text);
        }
        message_deinit(&greeting);
        record_instance_deinit(&record);
    }
}

static void test_first_machine_id_holds(void **state)
{
    (void)state;
    struct record_instance record = record_of(NULL, NULL, NULL);
    struct message first = said(NULL, NULL, MACHINE);
    struct message second = said(NULL, NULL, STRANGE);
    struct err e = ERR_NULL;
    origin_greeted(&record, &first);
    assert_string_equal(record.machine_id, MACHINE);
    assert_int_equal(origin_check(&record, &second, &e), -1);
    origin_greeted(&record, &second);
    assert_string_equal(record.machine_id, MACHINE);
    /* Nothing was refused: there is nothing to accept. */
    origin_accept(&record);
    assert_string_equal(record.machine_id, MACHINE);
    origin_refused(&record, &second);
    origin_accept(&record);
    assert_int_equal(origin_check(&record, &second, &e), 0);
    origin_greeted(&record, &second);
    assert_string_equal(record.machine_id, STRANGE);
    message_deinit(&first);
    message_deinit(&second);
    record_instance_deinit(&record);
}

/* A root made anew, of a plain directory now: nothing of the old one is expected. */
static void test_made_anew(void **state)
{
    (void)state;
    struct record_instance record = record_of("web@3", BUILD, MACHINE);
    struct message answer = said(NULL, NULL, STRANGE);
    assert_string_equal(record.image, "web@3");
    assert_string_equal(record.content, "abcdef");
    origin_take(&record, &answer);
    assert_null(record.image);
    assert_null(record.build);
    assert_string_equal(record.machine_id, STRANGE);
    message_deinit(&answer);
    record_instance_deinit(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compared),
        cmocka_unit_test(test_first_machine_id_holds),
        cmocka_unit_test(test_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
