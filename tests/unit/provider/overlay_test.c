#include "provider/overlay.h"

#include "base/clock.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROOT_LINE   "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
#define OPTIONS(id) "rw,lowerdir=/img/root,upperdir=/i/" id "/upper,workdir=/i/" id "/work"

static void test_find(void **state)
{
    (void)state;
    const struct overlay overlay = {
        .lower = "/img/root", .upper = "/i/a/upper", .work = "/i/a/work", .root = "/i/a/root"};
    static const struct {
        const char *mountinfo;
        enum overlay_state state;
    } cases[] = {
        {"", OVERLAY_NONE},
        {ROOT_LINE, OVERLAY_NONE},
        {ROOT_LINE "40 22 0:40 / /i/a/root rw - overlay lamplighter " OPTIONS("a") "\n",
         OVERLAY_OURS},
        /* With optional fields, and without a newline at the end. */
        {"40 22 0:40 / /i/a/root rw shared:7 master:1 - overlay x " OPTIONS("a"), OVERLAY_OURS},
        /* Another's upper directory, another type, a neighbour of a similar name. */
        {"40 22 0:40 / /i/a/root rw - overlay x " OPTIONS("b") "\n", OVERLAY_FOREIGN},
        {"40 22 0:40 / /i/a/root rw - overlay x rw,upperdir=/i/a/upper2,workdir=/w\n",
         OVERLAY_FOREIGN},
        {"40 22 0:40 / /i/a/root rw - tmpfs " OPTIONS("a") " rw\n", OVERLAY_FOREIGN},
        {"40 22 0:40 / /i/a/root2 rw - overlay x " OPTIONS("a") "\n", OVERLAY_NONE},
        {"40 22 0:40 / /i/a/root/sub rw - overlay x " OPTIONS("a") "\n", OVERLAY_NONE},
        {"40 22 0:40 /i/a/root /elsewhere rw - overlay x " OPTIONS("a") "\n", OVERLAY_NONE},
        /* What was mounted last covers what is below. */
        {"40 22 0:40 / /i/a/root rw - overlay x " OPTIONS(
             "a") "\n"
                  "41 40 0:41 / /i/a/root rw - tmpfs x rw\n",
         OVERLAY_FOREIGN},
        /* Lines that end early. */
        {"40 22 0:40 / /i/a/root", OVERLAY_FOREIGN},
        {"40 22 0:40 / /i/a/root rw - overlay", OVERLAY_FOREIGN},
        {"40 22 0:40 / /i/a/root rw -\n\n\n", OVERLAY_FOREIGN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (overlay_find(&overlay, cases[i].mountinfo) != cases[i].state) {
            fail_msg("case %zu: %s", i, cases[i].mountinfo);
        }
    }
}

static void test_find_escaped(void **state)
{
    (void)state;
    const struct overlay overlay = {
        .lower = "/img", .upper = "/a b/upper", .work = "/a b/work", .root = "/a b/ro\\ot"};
    assert_int_equal(overlay_find(&overlay, "40 22 0:40 / /a\\040b/ro\\134ot rw - overlay x "
                                            "rw,upperdir=/a\\040b/upper,workdir=/a\\040b/work\n"),
                     OVERLAY_OURS);
    /* An escape that is cut off is not read past the end of the field. */
    assert_int_equal(overlay_find(&overlay, "40 22 0:40 / /a\\04 rw - overlay x rw\n"),
                     OVERLAY_NONE);
}

static void test_paths_that_mount_options_cannot_hold(void **state)
{
    (void)state;
    static const char *const bad[] = {"/a,b/root", "/a:b/root", "/a\\b/root", "/a\"b/root"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct overlay overlay = {
            .lower = "/img", .upper = "/u", .work = "/w", .root = bad[i]};
        struct err e = ERR_NULL;
        assert_int_equal(overlay_mount(&overlay, &e), -1);
        assert_non_null(strstr(e.text, "choose another directory"));
    }
}

static void test_unmount_of_nothing(void **state)
{
    (void)state;
    struct err e = ERR_NULL;
    assert_int_equal(overlay_unmount("/no/such/directory", clock_now_ms() + 1000, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_escaped),
        cmocka_unit_test(test_paths_that_mount_options_cannot_hold),
        cmocka_unit_test(test_unmount_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
