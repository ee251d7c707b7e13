/* Role folders to scripts: what is refused and where, what goes in, what never does. */
#include "base/message.h"
#include "fake_host.h"
#include "net/digest.h"

static void assert_problem(const struct host *host, unsigned line, const char *part)
{
    for (size_t i = 0; i < host->problems.count; i++) {
        if (host->problems.items[i].line == line &&
            strstr(host->problems.items[i].text, part) != NULL) {
            return;
        }
    }
    print_error("no problem at line %u with '%s' among:\n", line, part);
    problem_list_print(&host->problems, stderr);
    fail();
}

/* Each is wrong in one way; it is told with its line. */
static void test_mistakes_in_a_role(void **state)
{
    static const struct {
        const char *ini;
        unsigned line;
        const char *problem;
    } cases[] = {
        {"[fiel /etc/a]\ncontent = x\n", 1, "did you mean 'file'?"},
        {"[file /etc/a]\nowenr = x\ncontent = x\n", 2, "did you mean 'owner'?"},
        {"[file a]\ncontent = x\n", 1, "'path' is missing"},
        {"[file /etc/a]\n", 1, "one of these is needed: template source content"},
        {"[file /etc/a]\ncontent = x\ntemplate = y\n", 1, "exactly one of"},
        {"[file /etc/a]\ntemplate = nosuch.mustache\n", 2, "nosuch.mustache"},
        {"[file /etc/a]\ntemplate = ../../x\n", 2, "expected the name of a file in templates/"},
        {"[file /etc/a]\ncontent = x\nmode = rw\n", 3, "expected an octal mode"},
        {"[file /etc/a]\ncontent = x\nmode = 0644\nmode = 0600\n", 4, "set twice"},
        {"[file /etc/a]\ncontent = x\nescape = xml\n", 3, "expected one of: none html"},
        {"[file /etc/../a]\ncontent = x\n", 1, "expected an absolute path"},
        {"[file x]\npath = etc/a\ncontent = x\n", 2, "expected an absolute path, got 'etc/a'"},
        {"[file /etc/a]\ncontent = x\nowner = a b\n", 3, "expected letters"},
        {"[file /etc/a]\ncontent = {{nam}}\n[var name]\ndefault = x\n", 2, "did you mean 'name'?"},
        {"[file /etc/a]\ncontent = 1\n  2\n  {{#x}}\n", 4, "never closed"},
        {"[file /etc/a]\ncontent = x\nnotify = relaod x\n[handler reload x]\ncommand = true\n", 3,
         "did you mean 'reload x'?"},
        {"[handler a]\ncommand = x\n[handler a]\ncommand = y\n", 3, "twice"},
        {"[handler a]\naction = reload\n", 1, "one of these is needed: service command"},
        {"[run a]\ncommand = true\n", 1, "creates unless only-if"},
        {"[run a]\nunless = true\n", 1, "'command' is missing"},
        {"[run a]\ncommand = true\ncreates = /x\ntimeout = soon\n", 4, "expected a duration"},
        {"[service apache2]\nstate = runing\n", 2, "expected one of: started stopped any"},
        {"[service -x]\n", 1, "expected letters"},
        {"[package a;b]\n", 1, "expected letters"},
        {"[sysctl a]\n", 1, "'value' is missing"},
        {"[database a`b]\n", 1, "expected letters"},
        {"[database a]\nuser = b\n", 1, "needs a password"},
        {"[database a]\nuser = b\npassword = c\nprivileges = SELECT, FLY\n", 4, "'FLY'"},
        {"[release a]\nsource = nosuch\npath = /srv/a\n", 2, "nosuch"},
        {"[var Port]\n", 1, "a name is letters a-z"},
        {"[var facts]\n", 1, "templates know another 'facts'"},
        {"[var a]\ndefault = 1\n[var a]\ndefault = 2\n", 3, "twice"},
        {"[var a]\ntype = nubmer\ndefault = 1\n", 2, "did you mean 'number'?"},
        {"[var a]\ntype = number\ndefault = x\n", 3, "expected a whole number, got 'x'"},
        {"[var a]\ntype = number\nmax = 5\ndefault = 6\n", 4, "of at most 5"},
        {"[var a]\ndefault = x\nmin = 5\n", 3, "means nothing for a text"},
        {"[var a]\ntype = number\nmin = x\ndefault = 1\n", 3, "'x' is no number"},
        {"[var a]\nsecret = yes\ndefault = x\n", 3, "a secret has none"},
        {"[var a]\ntype = port\n", 1, "t.a has no value and no default"},
        {"[var a]\ntype = port\ndefault = {{facts.cpus}}000000\n", 3,
         "expected a port from 1 to 65535, got '1000000'"},
        {"[var a]\ndefault = {{b}}\n[var b]\ndefault = x\n", 2, "there is no 'b' here"},
        {"[role]\nrequires = nosuch\n", 2, "there is no role 'nosuch'"},
        {"[role]\nauthor = me\n", 2, "no such key"},
    };
    struct host *host = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct role_script script;
        if (host_compile(host, cases[i].ini, &script) == 0) {
            fail_msg("taken for good: %s", cases[i].ini);
        }
        assert_problem(host, cases[i].line, cases[i].problem);
    }
}

static void test_all_mistakes_are_told(void **state)
{
    struct host *host = *state;
    struct role_script script;
    assert_int_equal(host_compile(host,
                                  "[fiel a]\n[file /a]\ncontent = {{x}} {{y}}\nmode = 9\n"
                                  "[var p]\ntype = port\n[link /b]\n",
                                  &script),
                     -1);
    assert_int_equal(host->problems.count, 6);
}

/* Whatever is cut off a role, it compiles or is refused with a reason. */
static void test_truncations(void **state)
{
    static const char ini[] =
        "[role]\ndescription = x\n[var port]\ntype = port\ndefault = 80\nhelp = y\n"
        "[var words]\ntype = list\ndefault = a b\n[package {{#words}}{{.}} {{/words}}]\n"
        "[file /etc/{{port}}]\ncontent = {{=<% %>=}}<%#words%><%.%>\n  <%/words%>\nmode = 0640\n"
        "validate = test -f %s\nnotify = reload it\n[run a]\ncommand = echo {{{port}}}\n"
        "creates = /x\n[database d]\nuser = u\npassword = p\nhosts = %\n"
        "[handler reload it]\nservice = it\naction = restart\n";
    struct host *host = *state;
    size_t compiled = 0;
    for (size_t length = 0; length < sizeof(ini); length += 3) {
        struct role_script script;
        char *part = xstrndup(ini, length);
        if (host_compile(host, part, &script) == 0) {
            compiled++;
            role_script_deinit(&script);
        } else {
            assert_true(host->problems.count > 0);
        }
        free(part);
    }
    assert_true(compiled > 10);
}

static void test_same_inputs_same_script(void **state)
{
    struct host *host = *state;
    struct role_script a, b;
    static const char ini[] = "[var password]\nsecret = yes\n"
                              "[file /a]\ncontent = {{instance.id}} {{password}}\n";
    secret_set(&host->secret, "first", 5);
    assert_int_equal(host_compile(host, ini, &a), 0);
    assert_int_equal(host_compile(host, ini, &b), 0);
    assert_string_equal(str_text(&a.text), str_text(&b.text));
    assert_string_equal(a.digest, b.digest);
    role_script_deinit(&b);
    /* Another secret is another result, but the same text. */
    secret_set(&host->secret, "0th3r", 5);
    assert_int_equal(host_compile(host, ini, &b), 0);
    assert_string_equal(str_text(&a.text), str_text(&b.text));
    assert_string_not_equal(a.digest, b.digest);
    assert_null(strstr(str_text(&b.text), "0th3r"));
    role_script_deinit(&b);
    role_script_deinit(&a);
}

static void test_secrets_stay_where_they_belong(void **state)
{
    static const char *const bad[] = {
        "[run a]\ncommand = echo {{password}}\ncreates = /x\n",
        "[run a]\ncommand = x\nunless = test {{{password}}} = 1\n",
        "[file /{{password}}]\ncontent = x\n",
        "[line a]\npath = /x\nline = key {{password}}\n",
        "[var b]\ndefault = x{{password}}\n[run a]\ncommand = echo {{b}}\ncreates = /x\n",
        "[check a]\ncommand = curl {{password}}\n",
        "[handler a]\ncommand = {{password}}\n",
        "[file /a]\ncontent = x\nvalidate = {{password}}\n",
    };
    struct host *host = *state;
    secret_set(&host->secret, "hunter2", 7);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct role_script script;
        char *ini = xasprintf("[var password]\nsecret = yes\n%s", bad[i]);
        assert_int_equal(host_compile(host, ini, &script), -1);
        for (size_t p = 0; p < host->problems.count; p++) {
            assert_null(strstr(host->problems.items[p].text, "hunter2"));
        }
        free(ini);
    }
    /* What is put together from a secret is one; a section may ask whether there is one. */
    struct role_script script;
    assert_int_equal(host_compile(host,
                                  "[var password]\nsecret = yes\n"
                                  "[var dsn]\ndefault = db://{{password}}@x\n"
                                  "[file /a]\ncontent = {{dsn}}\n"
                                  "[run b]\ncommand = true\ncreates = /x\n"
                                  "when = {{#password}}yes{{/password}}\n",
                                  &script),
                     0);
    assert_null(strstr(str_text(&script.text), "hunter2"));
    assert_int_equal(script.secret_count, 1);
    assert_non_null(strstr((const char *)script.secrets[0].bytes, "db://hunter2@x"));
    role_script_deinit(&script);
}

static int compile_setting(struct host *host, const char *ini, struct role_setting *settings,
                           size_t count, struct role_script *script)
{
    const char *names[] = {"t"};
    struct role_script first;
    if (host_compile(host, ini, &first) == 0) {
        role_script_deinit(&first);
    }
    problem_list_deinit(&host->problems);
    return role_compile(host->library, names, 1, settings, count, host->context, script,
                        &host->problems);
}

static void test_settings(void **state)
{
    struct host *host = *state;
    struct role_script script;
    struct role_setting settings[] = {
        {.role = "t", .variable = "port", .value = "1", .file = "c.ini", .line = 3},
        {.role = "other", .variable = "thing", .value = "x", .file = "c.ini", .line = 4},
        {.role = "t",
         .variable = "port",
         .value = "{{instance.zone}}2",
         .file = "c.ini",
         .line = 5},
    };
    static const char ini[] = "[var port]\ntype = word\n[file /a]\ncontent = <{{port}}>\n";
    assert_int_equal(compile_setting(host, ini, settings, 3, &script), 0);
    assert_contains(str_text(&script.text), "<a2>");
    role_script_deinit(&script);
    settings[2].variable = "prot";
    assert_int_equal(compile_setting(host, ini, settings, 3, &script), -1);
    assert_problem(host, 5, "t.prot: role 't' has no such variable; did you mean 'port'?");
    settings[2] = (struct role_setting){
        .role = "t", .variable = "port", .value = "two words", .file = "c.ini", .line = 9};
    assert_int_equal(compile_setting(host, ini, settings, 3, &script), -1);
    assert_problem(host, 9, "t.port: expected a word");
    settings[2].value = "plain";
    assert_int_equal(compile_setting(host, "[var port]\nsecret = yes\n", settings, 3, &script), -1);
    assert_problem(host, 9, "is a secret: set it as 'secret:NAME'");
}

static void test_facts(void **state)
{
    struct host *host = *state;
    struct role_script script;
    static const char ini[] = "[file /a]\ncontent = {{facts.memory_half_mb}} {{facts.codename}}"
                              "{{#facts.bookworm}} B{{/facts.bookworm}}\n";
    assert_int_equal(host_compile(host, ini, &script), 0);
    assert_true(script.facts_assumed);
    assert_contains(str_text(&script.text), "512 bookworm B");
    role_script_deinit(&script);
    json_object_set_new(host->context, "facts",
                        json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i}", "os", "debian", "release", "13",
                                  "codename", "trixie", "arch", "aarch64", "hostname",
                                  "x\x01"
                                  "0",
                                  "cpus", 4, "memory_mb", 4096));
    assert_int_equal(host_compile(host, ini, &script), 0);
    assert_false(script.facts_assumed);
    assert_contains(str_text(&script.text), "2048 trixie\n");
    role_script_deinit(&script);
    assert_int_equal(host_compile(host, "[file /a]\ncontent = {{facts.memroy_mb}}\n", &script), -1);
    assert_problem(host, 2, "did you mean 'memory_mb'?");
    /* What a host says of itself cannot pass for the marker of a secret. */
    secret_set(&host->secret, "hunter2", 7);
    assert_int_equal(host_compile(host,
                                  "[var password]\nsecret = yes\n"
                                  "[file /a]\ncontent = {{facts.hostname}}\n",
                                  &script),
                     0);
    assert_int_equal(script.secret_count, 0);
    assert_contains(str_text(&script.text), "x0\n");
    role_script_deinit(&script);
}

/* It is shared by all hosts' compilations: none writes to it, with clean values and others. */
static void test_context_stays_as_it_is(void **state)
{
    struct host *host = *state;
    static const char *const groups[] = {"web", "w\x01"
                                                "b"};
    for (size_t i = 0; i < 2; i++) {
        struct role_script script;
        json_object_set_new(host->context, "facts", json_pack("{s:i}", "memory_mb", 2048));
        json_object_set_new(host->context, "groups",
                            json_pack("{s:{s:[{s:s}]}}", "web", "members", "id", groups[i]));
        json_t *before = json_deep_copy(host->context);
        assert_int_equal(host_compile(host,
                                      "[var port]\ndefault = 80\n[file /a]\ncontent = "
                                      "{{#groups.web.members}}<{{id}}>{{/groups.web.members}}\n",
                                      &script),
                         0);
        assert_contains(str_text(&script.text), i == 0 ? "<web>" : "<wb>");
        assert_true(json_equal(host->context, before));
        json_decref(before);
        role_script_deinit(&script);
    }
}

static void test_facts_of_this_machine(void **state)
{
    (void)state;
    char buffer[2048];
    FILE *pipe_end;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(fds[1], 1);
        execl("/bin/sh", "sh", "-c", role_facts_command(), (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    pipe_end = fdopen(fds[0], "r");
    size_t length = fread(buffer, 1, sizeof(buffer), pipe_end);
    fclose(pipe_end);
    waitpid(child, NULL, 0);
    char *text = role_facts_parse(buffer, length);
    assert_non_null(text);
    json_t *facts = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(facts, "os")), "debian");
    assert_true(json_integer_value(json_object_get(facts, "memory_mb")) > 0);
    assert_true(json_integer_value(json_object_get(facts, "cpus")) > 0);
    json_decref(facts);
    free(text);
    /* Not trusted: only known names, plain values. */
    static const char said[] = "{\"os\":\"de\\u001bbian\",\"evil\":\"x\",\"cpus\":\"4\","
                               "\"release\":\"12\",\"memory_mb\":-5,\"machine_id\":\"abc\"}";
    text = role_facts_parse(said, sizeof(said) - 1);
    assert_string_equal(text,
                        "{\"machine_id\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb41"
                        "0ff61f20015ad\",\"release\":\"12\"}");
    free(text);
    /* A login script may talk around it. */
    static const char noisy[] = "Welcome {you}\n\033[2J\n\n{\"os\":\"debian\"}\nbye\n";
    text = role_facts_parse(noisy, sizeof(noisy) - 1);
    assert_string_equal(text, "{\"os\":\"debian\"}");
    free(text);
    assert_null(role_facts_parse("", 0));
    assert_null(role_facts_parse("\n", 1));
    assert_null(role_facts_parse("[1]", 3));
    assert_null(role_facts_parse("sh: not found", 13));
}

static void test_roles_in_order(void **state)
{
    struct host *host = *state;
    const char *names[] = {"c", "a"};
    char *roles = expand(host, "$D/roles");
    const char *paths[] = {"/nonexistent", roles};
    struct role_script script;
    host_write(host, "roles/a/role.ini",
               "[var port]\ndefault = 80\n[run a]\ncommand = a\n"
               "creates = /a\n[handler ha]\ncommand = x\n",
               0644);
    host_write(host, "roles/b/role.ini",
               "[role]\nrequires = a\n[run b]\ncommand = b {{a.port}}\n"
               "creates = /b\nnotify = ha\n",
               0644);
    host_write(host, "roles/c/role.ini",
               "[role]\nrequires = b a\n[run c]\ncommand = c\n"
               "creates = /c\n",
               0644);
    host->library = role_library_new(paths, 2);
    assert_int_equal(role_library_load(host->library, names, 2, "c.ini", 1, &host->problems), 0);
    assert_int_equal(
        role_compile(host->library, names, 2, NULL, 0, host->context, &script, &host->problems), 0);
    const char *a = strstr(str_text(&script.text), "ll_at a run a");
    const char *b = strstr(str_text(&script.text), "ll_at b run b a/ha");
    const char *c = strstr(str_text(&script.text), "ll_at c run c");
    assert_true(a != NULL && b != NULL && c != NULL && a < b && b < c);
    assert_contains(str_text(&script.text), "b '\\''80'\\''");
    assert_int_equal(script.resource_count, 4);
    role_script_deinit(&script);
    /* Their scripts begin differently; what is kept of one does no harm to the other. */
    for (size_t i = 0; i < 4; i++) {
        char digest[DIGEST_TEXT_SIZE];
        assert_int_equal(role_compile(host->library, names + i % 2, 2 - i % 2, NULL, 0,
                                      host->context, &script, &host->problems),
                         0);
        digest_text(str_text(&script.text), script.text.length, digest);
        assert_string_equal(script.digest, digest);
        role_script_deinit(&script);
    }
    const char *nearest = NULL;
    assert_non_null(role_library_variable(host->library, "a", "port", &nearest));
    assert_null(role_library_variable(host->library, "a", "prt", &nearest));
    assert_string_equal(nearest, "port");
    assert_string_equal(role_library_creates(host->library, "b", "b"), "/b");
    assert_null(role_library_creates(host->library, "a", "b"));
    assert_null(role_library_creates(host->library, "a", "ha")); /* A handler's. */
    assert_null(role_library_creates(host->library, "none", "b"));
    const char *unknown[] = {"aa"};
    assert_int_equal(role_library_load(host->library, unknown, 1, "c.ini", 8, &host->problems), -1);
    assert_problem(host, 8, "there is no role 'aa'");
    free(roles);
}

static void test_roles_in_a_circle(void **state)
{
    struct host *host = *state;
    struct role_script script;
    host_write(host, "roles/u/role.ini", "[role]\nrequires = t\n", 0644);
    assert_int_equal(
        host_compile(host, "[role]\nrequires = u\n[run a]\ncommand = a\ncreates = /a\n", &script),
        0);
    role_script_deinit(&script);
}

static void test_messages(void **state)
{
    struct host *host = *state;
    struct role_script script, copy;
    struct message message = MESSAGE_NULL;
    struct err e = ERR_NULL;
    secret_set(&host->secret, "hunter2", 7);
    host_write(host, "app/index.php", "x\n", 0644);
    assert_int_equal(
        host_compile(host,
                     "[var password]\nsecret = yes\n[file /a]\ncontent = {{password}}\n"
                     "[release r]\nsource = $D/app\npath = /srv/r\n",
                     &script),
        0);
    role_script_encode(&script, &message);
    assert_int_equal(role_script_decode(&message, &copy, &e), 0);
    assert_string_equal(str_text(&copy.text), str_text(&script.text));
    assert_string_equal(copy.digest, script.digest);
    assert_int_equal(copy.secret_count, 1);
    assert_true(secret_equal(&copy.secrets[0], &script.secrets[0]));
    assert_int_equal(copy.hidden_count, script.hidden_count);
    assert_int_equal(copy.blob_count, 1);
    assert_string_equal(copy.blobs[0].path, script.blobs[0].path);
    assert_int_equal(copy.blobs[0].size_bytes, script.blobs[0].size_bytes);
    message_init(&message, 99);
    role_script_deinit(&copy);
    assert_int_equal(role_script_decode(&message, &copy, &e), -1);
    message_deinit(&message);
    role_script_deinit(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mistakes_in_a_role, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_all_mistakes_are_told, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_truncations, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_same_inputs_same_script, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_secrets_stay_where_they_belong, host_setup,
                                        host_teardown),
        cmocka_unit_test_setup_teardown(test_settings, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_facts, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_context_stays_as_it_is, host_setup, host_teardown),
        cmocka_unit_test(test_facts_of_this_machine),
        cmocka_unit_test_setup_teardown(test_roles_in_order, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_roles_in_a_circle, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_messages, host_setup, host_teardown),
    };
    return cmocka_run_group_tests_name("role/compile", tests, NULL, NULL);
}
