/* Whole rehearsals: how each fault ends, and that one seed is one course of things. */
#include "rehearse/rehearse.h"

#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "conformance/scratch.h"
#include "spec/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* %s: how many web hosts there are at least, wanted, and at most. */
static const char file_text[] = "[cluster shop]\n"
                                "state = sqlite:shop.db\n"
                                "roles = .\n"
                                "[zone rack-a]\n"
                                "addresses = 10.77.1.10-10.77.1.29/24\n"
                                "[zone rack-b]\n"
                                "addresses = 10.77.2.10-10.77.2.29/24\n"
                                "[provider kvm-a]\n"
                                "type = libvirt\n"
                                "uri = lxc:///\n"
                                "bridge = br0\n"
                                "zone = rack-a\n"
                                "[provider kvm-b]\n"
                                "type = libvirt\n"
                                "uri = lxc:///\n"
                                "bridge = br0\n"
                                "zone = rack-b\n"
                                "[size small]\n"
                                "cpus = 1\n"
                                "memory = 256MiB\n"
                                "[template all]\n"
                                "image = base\n"
                                "size = small\n"
                                "[pool web]\n"
                                "port = 80\n"
                                "check = GET / expect 200 every 2s fall 2 rise 2 timeout 1s\n"
                                "drain = 10s\n"
                                "[group db]\n"
                                "template = all\n"
                                "min = 1\n"
                                "max = 1\n"
                                "zones = rack-a\n"
                                "[group web]\n"
                                "template = all\n"
                                "%s\n"
                                "zones = rack-a rack-b\n"
                                "pool = web\n"
                                "healthy-min = 50%%\n"
                                "needs = db\n"
                                "[group lb]\n"
                                "template = all\n"
                                "min = 1\n"
                                "max = 1\n"
                                "zones = rack-b\n"
                                "[frontend my-lb]\n"
                                "group = lb\n"
                                "listen = http:80\n"
                                "route = / -> web\n";

struct stage {
    char *directory;
    struct spec *spec;
};

static void begin(struct stage *s, const char *sizes)
{
    s->directory = scratch_make();
    struct str path = STR_NULL;
    str_addf(&path, "%s/shop.ini", s->directory);
    FILE *file = fopen(str_text(&path), "we");
    assert_non_null(file);
    fprintf(file, file_text, sizes);
    fclose(file);
    struct problem_list problems = PROBLEM_LIST_NULL;
    int result = spec_load(str_text(&path), &s->spec, &problems);
    problem_list_print(&problems, stderr);
    assert_int_equal(result, 0);
    problem_list_deinit(&problems);
    str_deinit(&path);
}

static void end(struct stage *s)
{
    spec_free(s->spec);
    scratch_remove(s->directory);
}

static void add_line(void *context, int64_t now_ms, const char *line)
{
    str_addf(context, "%lld %s\n", (long long)now_ms, line);
}

static void every_fault_ends_well_with_enough_hosts(void **state)
{
    (void)state;
    struct stage s;
    begin(&s, "min = 2\ndesired = 4\nmax = 8");
    for (int loss = REHEARSE_LOSE_NOTHING; loss <= REHEARSE_LOSE_NETWORK; loss++) {
        if (loss == REHEARSE_LOSE_ZONE) {
            continue; /* The database's, or the balancer's: then all of web is away. */
        }
        for (int during = REHEARSE_DURING_REST; during <= REHEARSE_DURING_REFRESH; during++) {
            struct rehearse_options options = {.loss = (enum rehearse_loss)loss,
                                               .during = (enum rehearse_during)during,
                                               .zone = SPEC_NONE,
                                               .seed = 3};
            struct rehearse_result result;
            rehearse_run(s.spec, &options, &result);
            if (!result.ended_well) {
                print_error("lose %s during %s: %s\n", rehearse_losses[loss],
                            rehearse_durings[during], result.stuck);
            }
            assert_true(result.ended_well);
            assert_string_equal(result.stuck, "");
            for (size_t g = 0; g < s.spec->group_count; g++) {
                /* What the file wants: `desired` of the result is that of the lowest moment. */
                assert_int_equal(result.groups[g].serving, s.spec->groups[g].desired);
            }
            rehearse_result_deinit(&result);
        }
    }
    end(&s);
}

static void the_minimum_and_its_breaking_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *sizes;
        bool broken;
    } cases[] = {{"min = 2\ndesired = 4\nmax = 6", false}, {"min = 1\ndesired = 1\nmax = 3", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage s;
        begin(&s, cases[i].sizes);
        struct rehearse_options options = {.loss = REHEARSE_LOSE_HOST, .zone = SPEC_NONE};
        struct rehearse_result result;
        rehearse_run(s.spec, &options, &result);
        size_t web = spec_find_group(s.spec, "web");
        assert_true(result.served && result.ended_well);
        assert_int_equal(result.groups[web].broken, cases[i].broken);
        assert_int_equal(result.groups[web].below_ms > 0, cases[i].broken);
        assert_true(result.groups[web].lowest < result.groups[web].desired);
        rehearse_result_deinit(&result);
        end(&s);
    }
}

static void one_seed_is_one_course_of_things(void **state)
{
    (void)state;
    struct stage s;
    begin(&s, "min = 2\ndesired = 4\nmax = 6");
    struct str lines[3] = {STR_NULL, STR_NULL, STR_NULL};
    for (size_t i = 0; i < 3; i++) {
        struct rehearse_options options = {.loss = REHEARSE_LOSE_ZONE,
                                           .during = REHEARSE_DURING_CHANGE,
                                           .zone = 0,
                                           .seed = i == 2 ? 8 : 7,
                                           .on_line = add_line,
                                           .context = &lines[i]};
        struct rehearse_result result;
        rehearse_run(s.spec, &options, &result);
        rehearse_result_deinit(&result);
    }
    assert_string_equal(str_text(&lines[0]), str_text(&lines[1]));
    assert_string_not_equal(str_text(&lines[0]), str_text(&lines[2]));
    for (size_t i = 0; i < 3; i++) {
        str_deinit(&lines[i]);
    }
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_ends_well_with_enough_hosts),
        cmocka_unit_test(the_minimum_and_its_breaking_are_told),
        cmocka_unit_test(one_seed_is_one_course_of_things),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
