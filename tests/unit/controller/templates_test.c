/*
 * controller/templates and template_version: what the file says is written down; instances are made
 * and kept by their version; refreshes from one version to another, and back. A real controller
 * over a store in memory, a plain image; nothing is launched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "base/str.h"
#include "conformance/fake_store.h"
#include "conformance/scratch.h"
#include "controller/state.h"
#include "net/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET "correct-horse-battery"

/* What the file says of its template. */
struct says {
    const char *memory;
    const char *zone;   /* base.timezone */
    const char *script; /* user-data; NULL: none. */
    const char *roles;
};
static const struct says first = {"512M", "Etc/UTC", NULL, "base"};
static const struct says bigger = {"1G", "Europe/Berlin", NULL, "base"};
static const struct says biggest = {"2G", "Europe/Berlin", NULL, "base"};
static const struct says other_zone = {"512M", "Europe/Berlin", NULL, "base"};
static const struct says bigger_other_zone = {"1G", "Asia/Tokyo", NULL, "base"};
static const struct says scripted = {"512M", "Etc/UTC", "#!/bin/sh\n    false\n", "base"};
static const struct says mended = {"512M", "Etc/UTC", "#!/bin/sh\n    true\n", "base"};

struct fixture {
    char *directory;
    struct site site;
    struct crew *crew;
    struct fake_store *space;
    struct store store;
    struct journal *journal;
    struct controller *c; /* NULL: none runs. */
};

static void write_text(const struct fixture *f, const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", f->directory, name);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    chmod(path, 0600);
    free(path);
}

static void write_file(const struct fixture *f, const struct says *says)
{
    char *roles = realpath("roles", NULL);
    char *text =
        xasprintf("[cluster shop]\nstate = sqlite:%s/state/shop.db\nroles = %s/roles %s\n"
                  "[zone rack-a]\naddresses = 10.77.1.10-10.77.1.90/16\n"
                  "[provider lxc-a]\ntype = libvirt\nuri = lxc:///\nzone = rack-a\nbridge = none0\n"
                  "images = %s/images\ninstances = %s/instances\n"
                  "[size small]\ncpus = 1\nmemory = %s\n[secret hosts]\nfile = secret\n"
                  "[template web]\nimage = debian-12\nsize = small\nroles = %s\n"
                  "base.timezone = %s\nbase.hosts = secret:hosts\n%s"
                  "[group web]\ntemplate = web\nmin = 1\ndesired = 3\nmax = 4\nzones = rack-a\n",
                  f->directory, f->directory, roles, f->directory, f->directory, says->memory,
                  says->roles, says->zone, says->script == NULL ? "" : "user-data = @script\n");
    write_text(f, "cluster.ini", text);
    write_text(f, "script", says->script == NULL ? "" : says->script);
    free(text);
    free(roles);
}

static void stop(struct fixture *f)
{
    struct err e = ERR_NULL;
    assert_int_equal(journal_commit(f->journal, &e), 0);
    controller_free(f->c);
    site_deinit(&f->site);
    f->c = NULL;
}

/* A controller that has read SAYS, as plan has one. */
static void look(struct fixture *f, const struct says *says)
{
    struct problem_list problems = PROBLEM_LIST_NULL;
    struct err e = ERR_NULL;
    if (f->c != NULL) {
        stop(f);
    }
    write_file(f, says);
    char *path = xasprintf("%s/cluster.ini", f->directory);
    if (site_load(&f->site, path, &problems) != 0) {
        problem_list_print(&problems, stderr);
        fail();
    }
    problem_list_deinit(&problems);
    free(path);
    const struct controller_options options = {.parallel = 4, .owner = "a test"};
    if (controller_new(&f->c, &f->site, f->crew, &f->store, f->journal, &options, &e) != 0) {
        fail_msg("%s", e.text);
    }
    f->c->all_listed = true;
    f->c->answered[0] = true;
}

/* And one that acts, as apply and run begin. */
static void start(struct fixture *f, const struct says *says)
{
    struct err e = ERR_NULL;
    look(f, says);
    assert_int_equal(templates_record(f->c, &e), 0);
    assert_int_equal(journal_commit(f->journal, &e), 0);
}

static void make_image(const struct fixture *f)
{
    static const char *const folders[] = {"images", "images/debian-12", "images/debian-12/root",
                                          "roles", "roles/extra"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char *path = xasprintf("%s/%s", f->directory, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    write_text(f, "roles/extra/role.ini", "[role]\ndescription = one more\n");
    write_text(f, "secret", SECRET "\n");
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct err e = ERR_NULL;
    enum journal_outcome outcome;
    struct record_lock holder;
    f->directory = scratch_make();
    assert_int_equal(crew_new(&f->crew, &e), 0);
    make_image(f);
    f->space = fake_store_new();
    f->store = fake_store_open(f->space);
    assert_int_equal(journal_open(&f->journal, &f->store, "a test", &outcome, &holder, &e), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->c != NULL) {
        stop(f);
    }
    crew_free(f->crew);
    journal_close(f->journal);
    store_close(&f->store);
    fake_store_free(f->space);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

/* The digest of the plain image; the caller's. */
static char *tree_of(const struct fixture *f)
{
    char digest[DIGEST_TEXT_SIZE];
    char *root = xasprintf("%s/images/debian-12/root", f->directory);
    char *real = realpath(root, NULL);
    digest_text(real, strlen(real), digest);
    free(root);
    free(real);
    return xstrdup(digest);
}

/* One more instance, as decide() would have it of CONTENT; in service when it was made. */
static size_t add(struct fixture *f, uint64_t content)
{
    struct controller *c = f->c;
    struct err e = ERR_NULL;
    const struct action action = {.kind = ACTION_ADD,
                                  .instance = WORLD_NONE,
                                  .group = 0,
                                  .zone = 0,
                                  .balancer = WORLD_NONE,
                                  .number = c->world.groups[0].next_number,
                                  .content = content};
    size_t index = member_add(c, &action, &e);
    if (index == WORLD_NONE) {
        fail_msg("%s", e.text);
    }
    struct member *m = &c->members[index];
    char *tree = tree_of(f);
    /* A controller that is ended before it is made must not take it for another. */
    if (m->record.image != NULL) {
        assert_true(refresh_content(m->record.content) == refresh_content(tree));
        assert_true(refresh_content_of(&m->record) == content);
    }
    /* As the provider's answer says it (origin_take()). */
    xreplace(&m->record.image, NULL);
    xreplace(&m->record.content, tree);
    free(tree);
    c->world.instances[index].content = refresh_content_of(&m->record);
    c->world.instances[index].lifecycle = LIFECYCLE_IN_SERVICE;
    c->world.instances[index].in_service_ms = c->world.now_ms;
    m->record.configured_ms = clock_wall_ms();
    member_to_record(c, index);
    journal_put_instance(f->c->journal, &m->record);
    groups_put(c, 0);
    return index;
}

static const struct group_note *note(const struct fixture *f)
{
    return &f->c->notes[0];
}

/* What a launch of it asks the provider for, in MiB; and of the pinned file tree, if any is. */
static int64_t memory_of(const struct fixture *f, size_t index)
{
    struct running *running = xcalloc(1, sizeof(*running));
    struct message request = MESSAGE_NULL;
    struct err e = ERR_NULL;
    const struct action action = {
        .kind = ACTION_LAUNCH, .instance = index, .group = 0, .zone = 0, .balancer = WORLD_NONE};
    if (request_build(f->c, &action, running, &request, &e) != 0) {
        fail_msg("%s", e.text);
    }
    char *tree = tree_of(f);
    assert_true(running->content ==
                (f->c->world.groups[0].content == 0 ? 0 : refresh_content(tree)));
    assert_string_equal(message_text(&request, WIRE_IMAGE, "?"), "debian-12");
    int64_t memory = message_int(&request, WIRE_MEMORY, 0) >> 20;
    free(tree);
    message_deinit(&request);
    running_free(running);
    return memory;
}

/* The time zone that its roles are to set. */
static const char *zone_of(const struct fixture *f, size_t index)
{
    const struct site_recipe recipe = templates_recipe(f->c, index);
    struct role_setting *settings;
    size_t count;
    const char *zone = NULL;
    site_settings(&f->site, &recipe, &settings, &count);
    for (size_t i = 0; i < count; i++) {
        zone = text_equal(settings[i].variable, "timezone") ? settings[i].value : zone;
    }
    free(settings);
    return zone;
}

static void begin(struct fixture *f, const char *word, const char *said)
{
    struct err e = ERR_NULL;
    if (!refresh_take_begin(f->c, 0, word, "root on host7", &e) || strstr(e.text, said) == NULL) {
        fail_msg("begin: '%s' is not in: %s", said, e.text);
    }
}

static void refused(struct fixture *f, const char *word, const char *said)
{
    struct err e = ERR_NULL;
    if (refresh_take_begin(f->c, 0, word, "root on host7", &e) || strstr(e.text, said) == NULL) {
        fail_msg("refused: '%s' is not in: %s", said, e.text);
    }
}

/* As decide() says that it has come to STATE. */
static void come_to(struct fixture *f, enum world_refresh_state state)
{
    const struct action action = {.kind = ACTION_REFRESH,
                                  .instance = WORLD_NONE,
                                  .group = 0,
                                  .zone = WORLD_NONE,
                                  .balancer = WORLD_NONE,
                                  .refresh = state};
    world_end(f->c->spec, &f->c->world, &action, OUTCOME_DONE);
    refresh_note_state(f->c, 0, "a test says so");
}

static void go(struct fixture *f, size_t index)
{
    f->c->world.instances[index].lifecycle = LIFECYCLE_TERMINATED;
    member_to_record(f->c, index);
    journal_put_instance(f->c->journal, &f->c->members[index].record);
}

static char *fresh(const struct fixture *f)
{
    struct str text = STR_NULL;
    controller_add_fresh_template(f->c, 0, &text);
    str_add(&text, "");
    return str_take(&text);
}

static void says_fresh(const struct fixture *f, const char *wanted)
{
    char *text = fresh(f);
    assert_string_equal(text, wanted);
    free(text);
}

static void what_the_file_says_is_written_down(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NULL;
    struct record_template *records;
    size_t count;
    look(f, &first);
    says_fresh(f, ""); /* The first is no change. */
    assert_int_equal(record_template_list(&f->store, &records, &count, &e), 0);
    assert_int_equal(count, 0); /* Who only looks writes nothing. */
    record_template_list_free(records, count);
    start(f, &first);
    start(f, &first);
    look(f, &bigger);
    says_fresh(f, "version 2: memory 512M -> 1G, base.timezone Etc/UTC -> Europe/Berlin");
    start(f, &bigger);
    says_fresh(f, "");
    assert_int_equal(record_template_list(&f->store, &records, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(records[1].name, "web");
    assert_int_equal(records[1].number, 2);
    /* The name of a secret, not what it is. */
    assert_non_null(strstr(records[0].text, "secret:hosts"));
    assert_null(strstr(records[0].text, SECRET));
    record_template_list_free(records, count);
    look(f, &scripted);
    says_fresh(f, "version 3: memory 1G -> 512M, base.timezone Europe/Berlin -> Etc/UTC, "
                  "user-data new");
}

static void a_version_reads_as_the_file_did(void **state)
{
    struct fixture *f = *state;
    struct str text = STR_NULL;
    start(f, &scripted);
    template_version_add_text(template_version_find(f->c->versions, "web", 1), &text);
    assert_string_equal(str_text(&text), "image = debian-12\ncpus = 1\nmemory = 512M\ndisk = 0\n"
                                         "roles = base\nbase.timezone = Etc/UTC\n"
                                         "base.hosts = secret:hosts\n"
                                         "user-data =\n    #!/bin/sh\n        false\n");
    str_deinit(&text);
}

/* No byte of a script is lost, be it UTF-8 or not. */
static void scripts_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    static const char *const scripts[] = {"#!/bin/sh\n\techo \"a\\b\" '\xc3\xa4'\n\n",
                                          "#!/bin/sh\necho \xe4\xff\x80\n"};
    for (size_t i = 0; i < 2; i++) {
        const struct says says = {"512M", "Etc/UTC", scripts[i], "base"};
        start(f, &says);
        start(f, &says); /* Read from the store. */
        const struct template_version *v =
            template_version_find(f->c->versions, "web", (unsigned)i + 1);
        struct problem_list problems = PROBLEM_LIST_NULL;
        size_t index = site_take_version(&f->site, v, &problems);
        assert_int_equal(problems.count, 0);
        assert_string_equal(f->site.spec->templates[index].user_data, scripts[i]);
        assert_int_equal(f->site.spec->templates[index].settings.count, 2);
        assert_string_equal(f->site.spec->templates[index].roles.items[0], "base");
    }
}

static void an_instance_is_of_what_the_file_says(void **state)
{
    struct fixture *f = *state;
    start(f, &first);
    size_t web = add(f, 0);
    assert_int_equal(f->c->members[web].record.version, 1);
    uint64_t content = f->c->world.instances[web].content;
    start(f, &bigger);
    assert_int_equal(f->c->members[0].record.version, 1);
    assert_true(f->c->world.instances[0].content == content);
    /* What is fixed stays as it was made, what is kept is the file's. */
    assert_int_equal(memory_of(f, 0), 512);
    assert_string_equal(zone_of(f, 0), "Europe/Berlin");
    size_t second = add(f, 0);
    assert_int_equal(f->c->members[second].record.version, 2);
    assert_int_equal(memory_of(f, second), 1024);
    assert_true(f->c->world.instances[second].content != content);
}

/* Of before there were versions: what they are is what the file says when it is first written down,
   and their content is that of their image, as it always was. */
static void instances_of_before_stay_as_they_are(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NULL;
    char *tree = tree_of(f);
    const struct record_instance old = {.id = "web-1",
                                        .group = "web",
                                        .zone = "rack-a",
                                        .provider = "lxc-a",
                                        .address = "10.77.1.10",
                                        .template = "web",
                                        .content = tree,
                                        .configured_ms = 1,
                                        .lifecycle = LIFECYCLE_IN_SERVICE};
    journal_put_instance(f->journal, &old);
    assert_int_equal(journal_commit(f->journal, &e), 0);
    start(f, &first);
    assert_int_equal(f->c->members[0].record.version, 1);
    assert_true(f->c->world.instances[0].content == refresh_content(tree));
    size_t same = add(f, 0);
    assert_true(f->c->world.instances[same].content == refresh_content(tree));
    begin(f, NULL, "nothing to do");
    start(f, &bigger);
    size_t another = add(f, 0);
    assert_true(f->c->world.instances[another].content != refresh_content(tree));
    start(f, &first); /* The third is as the first. */
    size_t again = add(f, 0);
    assert_int_equal(f->c->members[again].record.version, 3);
    assert_true(f->c->world.instances[again].content == refresh_content(tree));
    free(tree);
}

static void three_of_the_first(struct fixture *f)
{
    start(f, &first);
    for (size_t i = 0; i < 3; i++) {
        add(f, 0);
    }
}

static void a_refresh_leads_to_what_the_file_says(void **state)
{
    struct fixture *f = *state;
    three_of_the_first(f);
    begin(f, NULL, "nothing to do");
    start(f, &other_zone);
    begin(f, NULL, "nothing to do"); /* Roles and settings are changed in place. */
    start(f, &bigger);
    begin(f, NULL,
          "debian-12 -> debian-12, template web version 1 -> web version 3, 3 of 3 to be replaced");
    const struct world_refresh *r = &f->c->world.groups[0].refresh;
    assert_true(r->rollback && r->wanted != r->before);
    /* Until one is proven the others are made as they were, beside the image too. */
    size_t fresh = add(f, r->wanted);
    size_t old = add(f, r->before);
    assert_true(f->c->world.instances[fresh].content == r->wanted);
    assert_true(f->c->world.instances[old].content == r->before);
    assert_int_equal(memory_of(f, fresh), 1024);
    assert_int_equal(memory_of(f, old), 512);
    assert_int_equal(f->c->members[old].record.version, 1);
    assert_string_equal(zone_of(f, old), "Europe/Berlin"); /* As those that it stands beside. */
    come_to(f, WORLD_REFRESH_DONE);
    assert_null(note(f)->template); /* As the file says: nothing to hold on to. */
    start(f, &bigger);
    assert_string_equal(note(f)->image, "debian-12");
    assert_true(f->c->world.groups[0].content == f->c->world.instances[fresh].content);
    /* Roles alone: it goes on holding; another size: so does the image. */
    start(f, &bigger_other_zone);
    assert_true(f->c->world.groups[0].content == f->c->world.instances[fresh].content);
    start(f, &biggest);
    assert_string_equal(note(f)->image, "debian-12");
    assert_true(f->c->world.groups[0].content != f->c->world.instances[fresh].content);
    size_t next = add(f, f->c->world.groups[0].content);
    assert_int_equal(memory_of(f, next), 2048);
    assert_true(f->c->world.instances[next].content == f->c->world.groups[0].content);
}

/* Back to what really ran: the size of before, and the roles that all had in place already. */
static void taken_back_it_is_as_it_ran(void **state)
{
    struct fixture *f = *state;
    three_of_the_first(f);
    start(f, &bigger);
    begin(f, NULL, "web version 1 -> web version 2");
    uint64_t before = f->c->world.groups[0].refresh.before;
    come_to(f, WORLD_REFRESH_BACK);
    start(f, &bigger);
    assert_int_equal(f->c->world.groups[0].refresh.state, WORLD_REFRESH_BACK);
    assert_int_equal(note(f)->template->record.number, 1);
    assert_false(note(f)->whole);
    size_t again = add(f, f->c->world.groups[0].content);
    assert_true(f->c->world.instances[again].content == before);
    assert_int_equal(memory_of(f, again), 512);
    assert_string_equal(zone_of(f, again), "Europe/Berlin");
    come_to(f, WORLD_REFRESH_ROLLED_BACK);
    /* Held while the file says the same of what is fixed; then the file is asked again. */
    start(f, &bigger_other_zone);
    assert_int_equal(note(f)->template->record.number, 1);
    assert_true(f->c->world.groups[0].content == before);
    start(f, &biggest);
    assert_null(note(f)->template);
    assert_null(note(f)->image);
    assert_true(f->c->world.groups[0].content == 0);
}

static void a_version_is_gone_back_to_as_a_whole(void **state)
{
    struct fixture *f = *state;
    three_of_the_first(f);
    start(f, &bigger);
    begin(f, NULL, "web version 1 -> web version 2");
    for (size_t i = 0; i < 3; i++) {
        add(f, f->c->world.groups[0].refresh.wanted);
        go(f, i);
    }
    come_to(f, WORLD_REFRESH_DONE);
    refused(f, "{\"template\":3}", "template web has no version 3; it has 1 to 2");
    refused(f, "{\"template\":1,\"image\":\"debian-12\"}", "exclude each other");
    begin(f, "{\"template\":2}", "nothing to do");
    begin(f, "{\"template\":1}", "template web version 2 -> web version 1, 3 of 3");
    size_t back = add(f, f->c->world.groups[0].refresh.wanted);
    assert_int_equal(memory_of(f, back), 512);
    assert_string_equal(zone_of(f, back), "Etc/UTC");    /* Its settings too, */
    assert_string_equal(zone_of(f, 3), "Europe/Berlin"); /* not for who is to go. */
    for (size_t i = 3; i < 6; i++) {
        go(f, i);
    }
    come_to(f, WORLD_REFRESH_DONE);
    start(f, &bigger);
    assert_true(note(f)->whole);
    assert_int_equal(note(f)->template->record.number, 1);
    size_t index = WORLD_NONE;
    for (size_t i = 0; i < f->c->world.instance_count; i++) {
        index = f->c->world.instances[i].lifecycle == LIFECYCLE_IN_SERVICE &&
                        f->c->members[i].record.version == 1
                    ? i
                    : index;
    }
    assert_string_equal(zone_of(f, index), "Etc/UTC");
    assert_int_equal(memory_of(f, index), 512);
    /* And from there to the file's: who is to go keeps what he has. */
    begin(f, NULL, "web version 1 -> web version 2");
    assert_true(note(f)->refresh.before_whole);
    assert_string_equal(zone_of(f, index), "Etc/UTC");
    size_t fresh = add(f, f->c->world.groups[0].refresh.wanted);
    assert_string_equal(zone_of(f, fresh), "Europe/Berlin");
    come_to(f, WORLD_REFRESH_BACK);
    assert_true(note(f)->whole);
    come_to(f, WORLD_REFRESH_ROLLED_BACK);
    /* Whatever the file says anew of it, it is the file's again. */
    start(f, &bigger_other_zone);
    assert_null(note(f)->template);
    assert_true(f->c->world.groups[0].content == 0);
    assert_string_equal(zone_of(f, index), "Asia/Tokyo");
}

/* They differ in settings alone: nobody is replaced, and all have those of the version. */
static void settings_alone_are_changed_in_place(void **state)
{
    struct fixture *f = *state;
    three_of_the_first(f);
    start(f, &other_zone);
    assert_string_equal(zone_of(f, 0), "Europe/Berlin");
    begin(f, "{\"template\":1}", "0 of 3 to be replaced");
    assert_string_equal(zone_of(f, 0), "Europe/Berlin");
    come_to(f, WORLD_REFRESH_DONE);
    assert_string_equal(zone_of(f, 0), "Etc/UTC");
    start(f, &other_zone);
    assert_string_equal(zone_of(f, 0), "Etc/UTC");
    begin(f, "{\"template\":1}", "nothing to do");
    begin(f, NULL, "0 of 3 to be replaced");
    come_to(f, WORLD_REFRESH_DONE);
    assert_string_equal(zone_of(f, 0), "Europe/Berlin");
}

/* What decide() wants, as if all of it went well: one turn of the loop without workers. */
static void do_all(struct fixture *f)
{
    struct controller *c = f->c;
    struct err e = ERR_NULL;
    for (size_t i = 0; i < c->decision.action_count; i++) {
        const struct action action = c->decision.actions[i];
        if (action.kind == ACTION_ADD) {
            assert_true(member_add(c, &action, &e) != WORLD_NONE);
            members_count_room(c);
        } else if (action.kind == ACTION_REFRESH) {
            world_end(c->spec, &c->world, &action, OUTCOME_DONE);
            refresh_note_state(c, 0, "decided");
        } else {
            if (!action_kind_is_record(action.kind)) {
                world_begin(c->spec, &c->world, &action);
            }
            world_expect(c->spec, &c->world, &action);
        }
    }
}

/* Until the refresh is over; time goes on to what is waited for. */
static void play(struct fixture *f)
{
    struct controller *c = f->c;
    for (size_t i = 0; i < c->world.instance_count; i++) {
        c->world.instances[i].power = WORLD_POWER_RUNNING;
        c->world.instances[i].greeted = true;
        c->world.instances[i].configured = true;
        c->world.instances[i].drift = WORLD_DRIFT_NONE;
    }
    members_count_room(c);
    for (int turns = 0; turns < 1000; turns++) {
        c->world.slots = 4;
        loop_decide(c);
        if (!world_refresh_is_active(c->world.groups[0].refresh.state)) {
            break;
        }
        assert_true(turns < 999);
        if (c->decision.action_count == 0) {
            assert_true(decision_waits(&c->decision, c->world.now_ms));
            c->world.now_ms = c->decision.deadline_ms > c->world.now_ms ? c->decision.deadline_ms
                                                                        : c->world.now_ms + 1;
        }
        do_all(f);
    }
    for (size_t i = 0; i < c->world.instance_count; i++) {
        member_to_record(c, i);
    }
}

/* How many are in service, all of VERSION. */
static void all_are_of(const struct fixture *f, unsigned version, size_t wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < f->c->world.instance_count; i++) {
        if (f->c->world.instances[i].lifecycle == LIFECYCLE_IN_SERVICE) {
            assert_int_equal(f->c->members[i].record.version, version);
            count++;
        }
    }
    assert_int_equal(count, wanted);
}

static void decided_it_comes_to_its_end(void **state)
{
    struct fixture *f = *state;
    three_of_the_first(f);
    start(f, &bigger);
    begin(f, NULL, "3 of 3 to be replaced");
    play(f);
    assert_int_equal(f->c->world.groups[0].refresh.state, WORLD_REFRESH_DONE);
    all_are_of(f, 2, 3);
    begin(f, "{\"template\":1}", "3 of 3 to be replaced");
    play(f);
    assert_int_equal(f->c->world.groups[0].refresh.state, WORLD_REFRESH_DONE);
    all_are_of(f, 1, 3);
    assert_true(note(f)->whole);
    begin(f, NULL, "web version 1 -> web version 2, 3 of 3 to be replaced");
    world_refresh_end(&f->c->world, 0, true);
    refresh_note_state(f->c, 0, "taken back");
    play(f);
    assert_int_equal(f->c->world.groups[0].refresh.state, WORLD_REFRESH_ROLLED_BACK);
    all_are_of(f, 1, 3);
    assert_true(note(f)->whole);
}

static void a_file_that_says_another_size_ends_it(void **state)
{
    struct fixture *f = *state;
    three_of_the_first(f);
    start(f, &bigger);
    begin(f, NULL, "web version 1 -> web version 2");
    start(f, &bigger_other_zone);
    assert_int_equal(f->c->world.groups[0].refresh.state, WORLD_REFRESH_RUNNING);
    start(f, &biggest);
    assert_int_equal(f->c->world.groups[0].refresh.state, WORLD_REFRESH_CANCELLED);
    assert_non_null(strstr(note(f)->refresh.cause, "the cluster file"));
}

static void a_version_without_its_role_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct says with_role = {"512M", "Etc/UTC", NULL, "base extra"};
    start(f, &with_role);
    add(f, 0);
    start(f, &bigger);
    begin(f, "{\"template\":1}", "web version 1");
    come_to(f, WORLD_REFRESH_CANCELLED);
    stop(f);
    char *file = xasprintf("%s/roles/extra/role.ini", f->directory);
    assert_int_equal(remove(file), 0);
    free(file);
    start(f, &bigger);
    refused(f, "{\"template\":1}", "version 1 of template web cannot be used any more: ");
}

/* As run does when it reads its file again and goes on with the one before: what was added to the
   spec is none of the file's. */
static void the_next_controller_of_one_file_sees_the_same(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NULL;
    three_of_the_first(f);
    start(f, &bigger);
    assert_int_equal(memory_of(f, 0), 512); /* It adds version 1 to the spec. */
    assert_int_equal(f->site.spec->template_count, 2);
    assert_int_equal(journal_commit(f->journal, &e), 0);
    controller_free(f->c);
    const struct controller_options options = {.parallel = 4, .owner = "a test"};
    assert_int_equal(controller_new(&f->c, &f->site, f->crew, &f->store, f->journal, &options, &e),
                     0);
    assert_int_equal(f->c->versions->count, 2);
    assert_int_equal(template_version_last(f->c->versions, "web"), 2);
    assert_int_equal(memory_of(f, 0), 512);
    assert_int_equal(templates_of_file(f->c, 0)->record.number, 2);
}

/* A script that failed, and was mended in the file, is run again as it is now. */
static void a_mended_script_is_run(void **state)
{
    struct fixture *f = *state;
    start(f, &scripted);
    size_t index = add(f, 0);
    f->c->members[index].record.configured_ms = 0;
    f->c->world.instances[index].lifecycle = LIFECYCLE_PENDING;
    member_to_record(f->c, index);
    journal_put_instance(f->journal, &f->c->members[index].record);
    add(f, 0); /* Another has run it well. */
    start(f, &mended);
    assert_int_equal(f->c->members[0].record.version, 2);
    assert_int_equal(f->c->members[1].record.version, 1);
    const struct site_recipe recipe = templates_recipe(f->c, 0);
    assert_string_equal(f->site.spec->templates[recipe.made].user_data, mended.script);
    const struct site_recipe other = templates_recipe(f->c, 1);
    assert_string_equal(f->site.spec->templates[other.made].user_data, scripted.script);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_the_file_says_is_written_down),
        CASE(a_version_reads_as_the_file_did),
        CASE(scripts_come_back_as_they_were),
        CASE(an_instance_is_of_what_the_file_says),
        CASE(instances_of_before_stay_as_they_are),
        CASE(a_refresh_leads_to_what_the_file_says),
        CASE(taken_back_it_is_as_it_ran),
        CASE(a_version_is_gone_back_to_as_a_whole),
        CASE(settings_alone_are_changed_in_place),
        CASE(decided_it_comes_to_its_end),
        CASE(a_file_that_says_another_size_ends_it),
        CASE(a_version_without_its_role_is_refused),
        CASE(the_next_controller_of_one_file_sees_the_same),
        CASE(a_mended_script_is_run),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
