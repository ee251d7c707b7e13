/* Whole files: one that is right, one with twenty mistakes, and every beginning of the right one.
 */
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
#include <unistd.h>

#include <cmocka.h>

#define DATA "tests/unit/spec/data/"

static struct spec *load_good(const char *path)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct spec *spec = NULL;
    int result = spec_load(path, &spec, &problems);
    problem_list_print(&problems, stderr);
    assert_int_equal(result, 0);
    problem_list_deinit(&problems);
    return spec;
}

static void test_cluster(void **state)
{
    const struct spec *spec = *state;
    assert_string_equal(spec->cluster, "shop");
    assert_string_equal(spec->place.file, DATA "shop.ini");
    assert_int_equal(spec->place.line, 3);
    assert_true(*spec->state_path == '/' && text_ends(spec->state_path, DATA "state/shop.db"));
    assert_true(text_ends(spec->state_dir, DATA "state"));
    assert_int_equal(spec->role_path.count, 1);
    assert_true(text_ends(spec->role_path.items[0], DATA "roles"));
    assert_string_equal(spec->login.user, "deploy");
    assert_string_equal(spec->login.become, "sudo");
    assert_true(text_ends(spec->login.key_file, DATA "state/keys/login"));
    assert_string_equal(spec->login.proxy_jump, "bastion");
    assert_false(spec->login.use_agent);
    assert_int_equal(spec->login.connect_timeout_ms, 5000);
    assert_int_equal(spec->login.read_timeout_ms, 120000);
    assert_int_equal(spec->login.total_timeout_ms, 1800000);
    assert_int_equal(spec->parallel, 8);
    assert_int_equal(spec->max_disruption_percent, 20);
    assert_int_equal(spec->settings.count, 2);
    assert_string_equal(spec->settings.items[0].role, "app");
    assert_string_equal(spec->settings.items[0].variable, "database-host");
    assert_string_equal(spec->settings.items[0].value, "{{groups.db.address}}");
    assert_int_equal(spec->settings.items[0].place.line, 12);
    assert_string_equal(spec->settings.items[1].value, "secret:shop-db");
}

static void test_zones_and_providers(void **state)
{
    const struct spec *spec = *state;
    char text[16];
    assert_int_equal(spec->zone_count, 3);
    const struct spec_zone *a = &spec->zones[spec_find_zone(spec, "rack-a")];
    spec_address_to_string(a->address_first, text, sizeof(text));
    assert_string_equal(text, "10.77.1.10");
    spec_address_to_string(a->address_last, text, sizeof(text));
    assert_string_equal(text, "10.77.1.99");
    spec_address_to_string(a->gateway, text, sizeof(text));
    assert_string_equal(text, "10.77.0.1");
    assert_int_equal(a->prefix_length, 16);
    const struct spec_zone *cellar = &spec->zones[spec_find_zone(spec, "cellar")];
    assert_int_equal(cellar->address_first, 0);
    assert_int_equal(cellar->gateway, 0);

    const struct spec_provider *kvm = &spec->providers[spec_find_provider(spec, "kvm-a")];
    assert_int_equal(kvm->type, SPEC_PROVIDER_LIBVIRT);
    assert_int_equal(kvm->zone, spec_find_zone(spec, "rack-a"));
    assert_string_equal(kvm->uri, "lxc:///");
    assert_string_equal(kvm->bridge, "lamp0");
    assert_true(text_ends(kvm->image_dir, DATA "images"));
    assert_string_equal(kvm->instance_dir, "/var/lib/lamplighter/instances");
    const struct spec_provider *iron = &spec->providers[spec_find_provider(spec, "iron")];
    assert_int_equal(iron->type, SPEC_PROVIDER_STATIC);
    assert_null(iron->uri);
    assert_null(iron->bridge);
    assert_null(iron->image_dir);
    assert_null(iron->instance_dir);
    assert_int_equal(spec_find_provider(spec, "none"), SPEC_NONE);
}

static void test_template(void **state)
{
    const struct spec *spec = *state;
    const struct spec_template *web = &spec->templates[spec_find_template(spec, "web")];
    assert_string_equal(web->image, "debian-12");
    assert_int_equal(web->size, 0);
    assert_int_equal(spec->sizes[0].cpus, 1);
    assert_int_equal(spec->sizes[0].memory_bytes, 512 << 20);
    assert_int_equal(spec->sizes[0].disk_bytes, (int64_t)10 << 30);
    assert_int_equal(web->roles.count, 4);
    assert_string_equal(web->roles.items[3], "app");
    assert_string_equal(web->user_data, "#!/bin/sh\ntouch /var/lib/first-boot\n");
    assert_int_equal(web->settings.count, 1);
    const struct spec_template *plain = &spec->templates[spec_find_template(spec, "plain")];
    assert_null(plain->image);
    assert_int_equal(plain->size, SPEC_NONE);
    assert_int_equal(plain->roles.count, 2);
    assert_string_equal(plain->roles.items[1], "mariadb");
    assert_null(plain->user_data);
    const struct spec_secret *secret = &spec->secrets[spec_find_secret(spec, "shop-db")];
    assert_int_equal(secret->generate, 24);
    assert_true(text_ends(secret->path, DATA "state/secrets/shop-db"));
}

static void test_pools(void **state)
{
    const struct spec *spec = *state;
    const struct spec_pool *web = &spec->pools[spec_find_pool(spec, "web")];
    assert_int_equal(web->port, 80);
    assert_false(web->check.tcp_only);
    assert_string_equal(web->check.method, "GET");
    assert_string_equal(web->check.path, "/healthz");
    assert_null(web->check.host);
    assert_int_equal(web->check.expect_first, 200);
    assert_int_equal(web->check.expect_last, 299);
    assert_int_equal(web->check.interval_ms, 5000);
    assert_int_equal(web->check.timeout_ms, 1000);
    assert_int_equal(web->check.fall, 3);
    assert_int_equal(web->check.rise, 2);
    assert_int_equal(web->drain_ms, 30000);
    assert_int_equal(web->slow_start_ms, 10000);
    assert_int_equal(web->balance, SPEC_BALANCE_LEASTCONN);
    assert_true(web->sticky);
    const struct spec_pool *admin = &spec->pools[spec_find_pool(spec, "admin")];
    assert_string_equal(admin->check.path, "/");
    assert_int_equal(admin->check.interval_ms, 2000);
    assert_int_equal(admin->drain_ms, 300000);
    assert_int_equal(admin->slow_start_ms, 0);
    assert_int_equal(admin->balance, SPEC_BALANCE_ROUNDROBIN);
    assert_false(admin->sticky);
}

static bool needs(const struct spec *spec, const char *group, const char *other)
{
    const struct spec_group *g = &spec->groups[spec_find_group(spec, group)];
    for (size_t i = 0; i < g->needs.count; i++) {
        if (g->needs.items[i] == spec_find_group(spec, other)) {
            return true;
        }
    }
    return false;
}

static void test_groups(void **state)
{
    const struct spec *spec = *state;
    const struct spec_group *web = &spec->groups[spec_find_group(spec, "web")];
    assert_int_equal(web->min, 2);
    assert_int_equal(web->desired, 3);
    assert_int_equal(web->max, 6);
    assert_int_equal(web->zones.count, 2);
    assert_int_equal(web->zones.items[1], spec_find_zone(spec, "rack-b"));
    assert_int_equal(web->pool, spec_find_pool(spec, "web"));
    assert_int_equal(web->healthy_min_percent, 90);
    assert_int_equal(web->healthy_max_percent, 110);
    assert_int_equal(web->grace_ms, 120000);
    assert_string_equal(web->settings.items[0].value, "256M");
    const struct spec_group *db = &spec->groups[spec_find_group(spec, "db")];
    assert_int_equal(db->desired, 1);
    assert_int_equal(db->max, 1);
    assert_int_equal(db->pool, SPEC_NONE);
    assert_int_equal(db->needs.count, 0);
    assert_true(needs(spec, "web", "db"));    /* By a setting of [cluster] for role app. */
    assert_true(needs(spec, "admin", "web")); /* As it says. */
    assert_true(needs(spec, "lb", "web"));    /* By a setting of its own. */
    assert_false(needs(spec, "lb", "db"));
}

static void test_how_groups_are_kept(void **state)
{
    const struct spec *spec = *state;
    const struct spec_group *web = &spec->groups[spec_find_group(spec, "web")];
    assert_int_equal(web->repair, SPEC_REPAIR_RESTART);
    assert_int_equal(web->spare, 1);
    assert_int_equal(web->bake_ms, 20000);
    assert_int_equal(web->cooldown_ms, 600000);
    assert_int_equal(web->termination, SPEC_TERMINATION_NEWEST);
    assert_int_equal(web->max_lifetime_ms, (int64_t)720 * 3600 * 1000);
    assert_int_equal(web->breaker_percent, 50);
    assert_string_equal(web->check_command, "test -e /srv/data/mounted && ! test -e /srv/off");
    assert_int_equal(web->check_every_ms, 5000);
    assert_int_equal(web->check_timeout_ms, 5000); /* Not longer than the time between. */
    const struct spec_group *admin = &spec->groups[spec_find_group(spec, "admin")];
    assert_int_equal(admin->repair, SPEC_REPAIR_REPLACE); /* It has a pool, */
    const struct spec_group *db = &spec->groups[spec_find_group(spec, "db")];
    assert_int_equal(db->repair, SPEC_REPAIR_RESTART); /* this one has none. */
    assert_int_equal(db->spare, 0);
    assert_int_equal(db->bake_ms, 10000);
    assert_int_equal(db->cooldown_ms, 300000);
    assert_int_equal(db->termination, SPEC_TERMINATION_OLDEST_TEMPLATE);
    assert_int_equal(db->max_lifetime_ms, 0);
    assert_int_equal(db->breaker_percent, 34);
    assert_null(db->check_command);
    assert_int_equal(db->check_every_ms, 30000);
    assert_int_equal(db->check_timeout_ms, 10000);
}

static void test_hooks(void **state)
{
    const struct spec *spec = *state;
    assert_int_equal(spec->hook_count, 3);
    const struct spec_hook *launch = &spec->hooks[0];
    assert_string_equal(launch->name, "register");
    assert_int_equal(launch->group, spec_find_group(spec, "web"));
    assert_int_equal(launch->on, SPEC_HOOK_LAUNCH);
    assert_int_equal(launch->where, SPEC_HOOK_CONTROLLER);
    assert_string_equal(launch->command, "/etc/lamplighter/register 'a new one'");
    assert_int_equal(launch->heartbeat_ms, 60000);
    assert_int_equal(launch->limit_ms, 6000000); /* 100 heartbeats. */
    assert_int_equal(launch->result, SPEC_HOOK_CONTINUE);
    const struct spec_hook *terminate = &spec->hooks[1];
    assert_int_equal(terminate->on, SPEC_HOOK_TERMINATE);
    assert_int_equal(terminate->where, SPEC_HOOK_HOST);
    assert_int_equal(terminate->limit_ms, 600000);
    assert_int_equal(terminate->heartbeat_ms, 600000); /* Not longer than the limit. */
    assert_int_equal(terminate->result, SPEC_HOOK_ABANDON);
    const struct spec_hook *plain = &spec->hooks[2];
    assert_int_equal(plain->group, spec_find_group(spec, "db"));
    assert_int_equal(plain->heartbeat_ms, 3600000);
    assert_int_equal(plain->limit_ms, (int64_t)48 * 3600 * 1000);
    assert_true(plain->place.line > terminate->place.line);
}

static void test_frontend(void **state)
{
    const struct spec *spec = *state;
    assert_int_equal(spec->frontend_count, 1);
    const struct spec_frontend *f = &spec->frontends[0];
    assert_int_equal(f->group, spec_find_group(spec, "lb"));
    assert_int_equal(f->listener_count, 2);
    assert_int_equal(f->listeners[1].port, 8080);
    assert_int_equal(f->route_count, 2);
    assert_string_equal(f->routes[0].path, "/admin");
    assert_int_equal(f->routes[0].pool, spec_find_pool(spec, "admin"));
    assert_int_equal(f->idle_timeout_ms, 90000);
}

static void test_hosts(void **state)
{
    const struct spec *spec = *state;
    const struct spec_host *bastion = &spec->hosts[spec_find_host(spec, "bastion")];
    assert_int_equal(bastion->provider, SPEC_NONE);
    assert_int_equal(bastion->group, SPEC_NONE);
    assert_string_equal(bastion->user, "jump");
    assert_string_equal(bastion->proxy_jump, "");
    assert_int_equal(bastion->port, 22);
    const struct spec_host *first = &spec->hosts[spec_find_host(spec, "r1u07")];
    assert_int_equal(first->provider, spec_find_provider(spec, "iron"));
    assert_int_equal(first->group, spec_find_group(spec, "db"));
    assert_string_equal(
        first->host_key,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG1cnpWq0H2ITc0pLUB9OkGdrL3ZLw0M6rKcHoWEAWxK");
    assert_null(first->user);
    assert_null(first->proxy_jump);
    const struct spec_host *second = &spec->hosts[spec_find_host(spec, "r1u08")];
    assert_string_equal(second->address, "2001:db8::22");
    assert_int_equal(second->port, 2222);
}

/* Each line that is marked "; N ..." in the file earns the Nth message, and nothing else does. */
static void test_twenty_mistakes(void **state)
{
    (void)state;
    static const char path[] = DATA "twenty-mistakes.ini";
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct spec *spec = NULL;
    assert_int_equal(spec_load(path, &spec, &problems), -1);
    assert_null(spec);
    if (problems.count != 20) {
        problem_list_print(&problems, stderr);
    }
    assert_int_equal(problems.count, 20);

    FILE *in = fopen(path, "r");
    assert_non_null(in);
    char text[256];
    size_t told = 0;
    for (unsigned line = 1; fgets(text, sizeof(text), in) != NULL; line++) {
        const char *mark = strstr(text, "; ");
        if (mark == NULL || mark == text || strtol(mark + 2, NULL, 10) == 0) {
            continue;
        }
        assert_int_equal(strtol(mark + 2, NULL, 10), told + 1);
        assert_string_equal(problems.items[told].file, path);
        assert_int_equal(problems.items[told].line, line);
        told++;
    }
    fclose(in);
    assert_int_equal(told, 20);
    problem_list_deinit(&problems);
}

/* Wherever a file is cut off, it loads or says why not; under the sanitizers, that is all. */
static void test_every_truncation(void **state)
{
    (void)state;
    struct str whole = STR_NULL;
    assert_int_equal(str_read_file(&whole, DATA "shop.ini", 1 << 20, NULL), 0);
    char *folder = scratch_make();
    char *path = xasprintf("%s/cut.ini", folder);
    char *roles = xasprintf("%s/roles", folder);
    char *script = xasprintf("%s/first-boot.sh", folder);
    assert_int_equal(mkdir(roles, 0700), 0);
    FILE *out = fopen(script, "w");
    fputs("#!/bin/sh\n", out);
    fclose(out);
    out = fopen(path, "w");
    assert_non_null(out);
    bool last = false;
    for (size_t length = 0; length <= whole.length; length++) {
        struct problem_list problems = PROBLEM_LIST_NULL;
        struct spec *spec = NULL;
        int result = spec_load(path, &spec, &problems);
        assert_int_equal(result == 0, problems.count == 0);
        assert_int_equal(result == 0, spec != NULL);
        for (size_t i = 0; i < problems.count; i++) {
            assert_true(*problems.items[i].text != '\0');
        }
        last = result == 0;
        spec_free(spec);
        problem_list_deinit(&problems);
        if (length < whole.length) {
            fputc(whole.text[length], out);
            fflush(out);
        }
    }
    fclose(out);
    assert_true(last);
    free(script);
    free(roles);
    free(path);
    scratch_remove(folder);
    str_deinit(&whole);
}

/* Paths are relative to the file they stand in, wherever the program is started. */
static void test_includes(void **state)
{
    (void)state;
    char *folder = scratch_make();
    char *path = xasprintf("%s/shop.ini", folder);
    char *below = xasprintf("%s/below", folder);
    char *part = xasprintf("%s/below/part.ini", folder);
    char *text = xasprintf("%s/below/text", folder);
    assert_int_equal(mkdir(below, 0700), 0);
    FILE *out = fopen(path, "w");
    fputs("include = below/part.ini\n[cluster shop]\nstate = sqlite:state.db\n", out);
    fclose(out);
    out = fopen(part, "w");
    fputs("[secret s]\nfile = ../up\ngenerate = 20\n[template t]\nrole.text = @text\n", out);
    fclose(out);
    out = fopen(text, "w");
    fputs("two\nlines\n", out);
    fclose(out);

    struct spec *spec = load_good(path);
    char *up = xasprintf("%s/up", folder);
    assert_string_equal(spec->secrets[0].path, up);
    assert_string_equal(spec->secrets[0].place.file, part);
    assert_string_equal(spec->templates[0].settings.items[0].value, "two\nlines");
    assert_int_equal(spec->file_count, 2);
    spec_free(spec);

    free(up);
    free(text);
    free(part);
    free(below);
    free(path);
    scratch_remove(folder);
}

static void test_no_such_file(void **state)
{
    (void)state;
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct spec *spec = NULL;
    assert_int_equal(spec_load("/nowhere/shop.ini", &spec, &problems), -1);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].text, "/nowhere/shop.ini: No such file or directory");
    problem_list_deinit(&problems);
}

static int set_up(void **state)
{
    *state = load_good(DATA "shop.ini");
    return 0;
}

static int tear_down(void **state)
{
    spec_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cluster, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_zones_and_providers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_template, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pools, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_how_groups_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hooks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frontend, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hosts, set_up, tear_down),
        cmocka_unit_test(test_twenty_mistakes),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_includes),
        cmocka_unit_test(test_no_such_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
