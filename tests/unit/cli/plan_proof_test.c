/* The proof that a plan prints: the worst of its steps, and that step with one more host lost. */
#include "cli/plan_proof.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct spec_group groups[] = {{.name = "db", .pool = SPEC_NONE}, {.name = "web", .pool = 0}};
static const struct spec spec = {.groups = groups, .group_count = 2};

static struct controller_step step(const char *subject, enum action_kind kind, size_t serving,
                                   size_t after)
{
    struct controller_step s = {
        .action = {.kind = kind, .group = 1},
        .proof = {.serving = serving,
                  .after = after,
                  .minimum = 2,
                  .holds = after >= 2,
                  .holds_less_one = after >= 3},
        .takes = kind == ACTION_REMOVE || kind == ACTION_TERMINATE,
    };
    text_copy(s.subject, sizeof(s.subject), subject);
    return s;
}

static void says(const struct controller_step *steps, size_t count, const char *wanted)
{
    struct plan_proof proof;
    struct str text = STR_NULL;
    assert_true(plan_proof_make(&spec, steps, count, 1, &proof));
    plan_proof_to_string(&proof, &spec, steps, &text);
    assert_string_equal(str_text(&text), wanted);
    str_deinit(&text);
}

static void test_below_with_one_lost(void **state)
{
    (void)state;
    const struct controller_step steps[] = {
        step("web-1", ACTION_REMOVE, 4, 3),
        step("web-1", ACTION_CONFIGURE, 0, 0), /* Takes nothing: its numbers do not count. */
        step("web-2", ACTION_REMOVE, 3, 2),
        step("web-3", ACTION_TERMINATE, 3, 2),
    };
    says(steps, 4,
         "group web: at least 2 serving at every step, minimum 2; with one more host lost at the "
         "worst step (web-2 drained): 1, BELOW the minimum");
    struct plan_proof proof;
    assert_true(plan_proof_make(&spec, steps, 4, 1, &proof));
    assert_int_equal(proof.taking, 3);
    assert_int_equal(proof.worst, 2);
    json_t *object = plan_proof_to_json(&proof, &spec, steps);
    char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, "{\"group\":\"web\",\"taking_steps\":3,\"holds\":true,"
                              "\"holds_less_one\":false,\"least\":2,\"minimum\":2,\"less_one\":1,"
                              "\"worst\":{\"subject\":\"web-2\",\"action\":\"remove\"}}");
    free(text);
    json_decref(object);
}

static void test_spare(void **state)
{
    (void)state;
    const struct controller_step steps[] = {step("web-1", ACTION_TERMINATE, 4, 3)};
    says(steps, 1,
         "group web: at least 3 serving at every step, minimum 2; with one more host lost at the "
         "worst step (web-1 ended): 2, not below the minimum");
}

/* Some were lost before: the steps take none that serves, and it is said all the same. */
static void test_below_already(void **state)
{
    (void)state;
    const struct controller_step steps[] = {step("web-1", ACTION_TERMINATE, 1, 1)};
    says(steps, 1,
         "group web: at least 1 serving at every step, minimum 2, BELOW the minimum; with one more "
         "host lost at the worst step (web-1 ended): 0, BELOW the minimum");
}

static void test_nothing_taken(void **state)
{
    (void)state;
    const struct controller_step steps[] = {step("web-1", ACTION_LAUNCH, 0, 0)};
    says(steps, 1, "group web: no step takes a host away");
    struct plan_proof proof;
    assert_false(plan_proof_make(&spec, steps, 1, 0, &proof));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_below_with_one_lost),
        cmocka_unit_test(test_spare),
        cmocka_unit_test(test_below_already),
        cmocka_unit_test(test_nothing_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
