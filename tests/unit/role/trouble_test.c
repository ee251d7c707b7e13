/* The host script when things are not as they should be: packages and their locks, handlers that
   outlive a failed run, two runs at once, a dropped line, a full disk. */
#include "fake_host.h"

#include <sched.h>
#include <sys/mount.h>

/* Adds what is installed to dpkg's status, as the real one would. */
static const char fake_apt[] =
    "on=\n"
    "for a; do case $a in install) on=1;; update) echo x >>$D/updates;; -*|*=*) ;;\n"
    "  *) [ -z \"$on\" ] || printf 'Package: %s\\nStatus: install ok installed\\n\\n' \"$a\" "
    ">>$D/root/var/lib/dpkg/status;; esac; done\n";

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        count++;
    }
    return count;
}

static void test_packages_come_at_once(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[package alpha dash]\n[run between]\ncommand = touch $D/x\n"
                              "creates = $D/x\n[package beta]\nnotify = tell\n"
                              "[handler tell]\ncommand = echo told >>$D/told\n";
    host_stub(host, "apt-get", fake_apt);
    host_check(host, ini);
    assert_results(host, "changed package alpha dash\nchanged run between\nchanged package beta\n"
                         "changed handler tell\n");
    assert_false(host_has(host, "calls"));
    host_apply(host, ini);
    assert_results(host, "changed package alpha dash\nchanged run between\nchanged package beta\n"
                         "changed handler tell\n");
    char *calls = host_read(host, "calls");
    assert_int_equal(count_of(calls, "apt-get"), 1);
    assert_contains(calls, "install alpha beta\n");
    assert_contains(calls, "-o DPkg::Lock::Timeout=600");
    free(calls);
    host_apply(host, ini);
    assert_results(host, "ok package alpha dash\nok run between\nok package beta\n");
    assert_file(host, "told", "told\n");
}

static void test_package_removed(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[package dash nothere]\nstate = absent\n";
    host_stub(host, "apt-get", ": >$D/root/var/lib/dpkg/status");
    host_apply(host, ini);
    assert_results(host, "changed package dash nothere\n");
    char *calls = host_read(host, "calls");
    assert_contains(calls, "remove dash\n");
    free(calls);
    host_apply(host, ini);
    assert_results(host, "ok package dash nothere\n");
}

static void test_stale_lists(void **state)
{
    struct host *host = *state;
    host_stub(host, "apt-get", fake_apt);
    host_sh(host, "touch -d '2 days ago' $D/root/var/lib/apt/lists");
    host_apply(host, "[package alpha]\n");
    assert_results(host, "changed package alpha\n");
    assert_file(host, "updates", "x\n");
    host_apply(host, "[package beta]\n");
    assert_file(host, "updates", "x\n"); /* Our own reading of them counts for a day. */
    host_sh(host, "touch $D/root/etc/apt/sources.list; touch -d '1 hour ago' "
                  "$D/root/var/lib/lamplighter/lists-read");
    host_apply(host, "[package gamma]\n");
    assert_file(host, "updates", "x\nx\n"); /* Newer sources. */
}

static void test_install_fails_for_old_lists(void **state)
{
    struct host *host = *state;
    char *body = xasprintf("case \"$*\" in *install*) [ -e $D/updates ] || "
                           "{ echo 'E: Failed to fetch http://x/alpha.deb  404'; exit 100; };; "
                           "esac\n%s",
                           fake_apt);
    host_stub(host, "apt-get", body);
    free(body);
    host_apply(host, "[package alpha]\n");
    assert_results(host, "changed package alpha\n");
    host_stub(host, "apt-get", "echo 'E: Unable to locate package nosuch'; exit 100");
    host_apply(host, "[package nosuch]\n");
    assert_results(host, "failed package nosuch\n");
    assert_contains(host->report.text, "Unable to locate package nosuch");
    host_stub(host, "apt-get", "exit 0");
    host_apply(host, "[package mail-transport-agent]\n");
    assert_contains(host->report.text, "mail-transport-agent is not installed");
}

static void test_held_lock(void **state)
{
    struct host *host = *state;
    char comm[64] = "";
    FILE *file = fopen("/proc/1/comm", "r");
    assert_non_null(fgets(comm, sizeof(comm), file));
    comm[strcspn(comm, "\n")] = '\0';
    fclose(file);
    host_stub(host, "apt-get",
              "echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. "
              "It is held by process 1 (other)'; exit 100");
    host_apply(host, "[package alpha]\n");
    assert_results(host, "failed package alpha\n");
    char *expected = xasprintf("locked by process 1 (%s)", comm);
    assert_contains(host->report.text, expected);
    free(expected);
}

static void test_interrupted_dpkg(void **state)
{
    struct host *host = *state;
    host_stub(host, "apt-get", fake_apt);
    host_stub(host, "sleep", "case $1 in 2) exec /bin/sleep 2;; esac");
    host_write(host, "root/var/lib/dpkg/status",
               "Package: half\nStatus: install ok half-configured\n\n", 0644);
    /* dpkg does not wait for its lock: it is asked again. */
    host_stub(host, "dpkg",
              "[ -e $D/second ] || { touch $D/second; echo 'dpkg: error: dpkg frontend lock was "
              "locked by another process with pid 1'; exit 2; }\n"
              "sed -i 's/half-configured/installed/' $D/root/var/lib/dpkg/status");
    host_apply(host, "[package half]\n[package alpha]\n");
    assert_results(host, "changed package half\nchanged package alpha\n");
    char *calls = host_read(host, "calls");
    assert_int_equal(count_of(calls, "--configure -a"), 2);
    assert_true(strstr(calls, "dpkg --force") < strstr(calls, "apt-get"));
    free(calls);
    /* An update that was cut off leaves its journal. */
    host_write(host, "root/var/lib/dpkg/updates/0001", "x", 0644);
    host_stub(host, "dpkg", "echo 'dpkg: error processing package broken'; exit 1");
    host_apply(host, "[package beta]\n");
    assert_results(host, "failed package beta\n");
    assert_contains(host->report.text, "does not recover");
    assert_contains(host->report.text, "broken");
}

static void test_handlers_run_once_at_the_end(void **state)
{
    struct host *host = *state;
    static const char ini[] =
        "[file $D/a]\ncontent = a\nowner = $U\ngroup = $G\nnotify = two, one\n"
        "[file $D/b]\ncontent = b\nowner = $U\ngroup = $G\nnotify = two\n"
        "[handler one]\ncommand = echo one >>$D/ran\n"
        "[handler two]\ncommand = test -e $D/b; echo two >>$D/ran\n"
        "[handler three]\ncommand = echo three >>$D/ran\n";
    host_apply(host, ini);
    assert_results(host, "changed file $D/a\nchanged file $D/b\nchanged handler one\n"
                         "changed handler two\n");
    assert_file(host, "ran", "one\ntwo\n");
    host_apply(host, ini);
    assert_results(host, "ok file $D/a\nok file $D/b\n");
    assert_false(host_has(host, "root/var/lib/lamplighter/pending-handlers"));
}

static void test_handlers_outlive_a_failure(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[file $D/a]\ncontent = a\nowner = $U\ngroup = $G\nnotify = one\n"
                              "[run b]\ncommand = test -e $D/good && touch $D/b\ncreates = $D/b\n"
                              "[handler one]\ncommand = echo one >>$D/ran\n";
    host_apply(host, ini);
    assert_results(host, "changed file $D/a\nfailed run b\n");
    assert_false(host_has(host, "ran"));
    host_write(host, "good", "", 0644);
    host_check(host, ini);
    assert_results(host, "ok file $D/a\nchanged run b\nchanged handler one\n");
    host_apply(host, ini);
    assert_results(host, "ok file $D/a\nchanged run b\nchanged handler one\n");
    assert_file(host, "ran", "one\n");
    /* A handler that fails is due again. */
    host_sh(host, "rm $D/a");
    host_apply(host, "[file $D/a]\ncontent = a\nowner = $U\ngroup = $G\nnotify = one\n"
                     "[handler one]\ncommand = echo why; false\n");
    assert_results(host, "changed file $D/a\nfailed handler one\n");
    assert_contains(host->report.text, "why");
    host_apply(host, ini);
    assert_results(host, "ok file $D/a\nok run b\nchanged handler one\n");
    assert_file(host, "ran", "one\none\n");
}

static void test_unit_file_reloads_systemd(void **state)
{
    struct host *host = *state;
    static const char ini[] =
        "[file $D/systemd/system/x.service]\ncontent = x\nowner = $U\ngroup = $G\n"
        "[service x]\nenabled = any\n";
    host_sh(host, "mkdir -p $D/systemd/system $D/root/run/systemd/units");
    host_stub(host, "systemctl",
              "case $1 in start) ln -sf x $D/root/run/systemd/units/invocation:$2;; esac");
    host_apply(host, ini);
    assert_int_equal(host->report.outcome, ROLE_RUN_OK);
    assert_file(host, "calls", "systemctl daemon-reload\nsystemctl start x.service\n");
    host_apply(host, ini);
    assert_int_equal(host->report.ok, 2);
}

static void test_lock(void **state)
{
    struct host *host = *state;
    struct role_run_options options = host_options(host);
    static const char ini[] = "[file $D/a]\ncontent = a\nowner = $U\ngroup = $G\n";
    char *holder = expand(
        host,
        "mkdir -p $D/root/run/lamplighter; cd $D/root/run/lamplighter; exec 9<>lock; flock 9; "
        "read up _ </proc/uptime; echo $(( ${up%.*} * 100 - 4200 )) apply on other >lock; "
        "echo ready; exec sleep 1.5");
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ready[1], 1);
        execl("/bin/sh", "sh", "-c", holder, (char *)NULL);
        _exit(127);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    host_run(host, ini, &options);
    assert_int_equal(host->report.outcome, ROLE_RUN_LOCKED);
    assert_contains(host->report.text, "apply on other, for 4");
    assert_false(host_has(host, "a"));
    options.lock_wait_ms = 20000;
    options.deadline_ms = clock_now_ms() + 60000;
    host_run(host, ini, &options);
    assert_results(host, "changed file $D/a\n");
    assert_contains(str_text(&host->progress), "lock apply on other");
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    free(holder);
}

static void test_whose_host(void **state)
{
    struct host *host = *state;
    struct role_run_options options = host_options(host);
    static const char ini[] = "[file $D/a]\ncontent = a\nowner = $U\ngroup = $G\n";
    host_check(host, ini);
    assert_false(host_has(host, "root/etc/lamplighter")); /* A check leaves no mark. */
    host_apply(host, ini);
    assert_file(host, "root/etc/lamplighter/instance", "cluster=shop\ninstance=web-1\n");
    assert_file(host, "root/var/lib/lamplighter/epoch", "3\n");
    options.instance = "web-2";
    host_run(host, ini, &options);
    assert_int_equal(host->report.outcome, ROLE_RUN_REFUSED);
    assert_contains(host->report.text, "'web-1' of cluster 'shop'");
    options.instance = "web-1";
    options.epoch = 2;
    host_run(host, ini, &options);
    assert_int_equal(host->report.outcome, ROLE_RUN_REFUSED);
    assert_contains(host->report.text, "epoch 3");
    options.epoch = 12;
    host_run(host, ini, &options);
    assert_results(host, "ok file $D/a\n");
    assert_file(host, "root/var/lib/lamplighter/epoch", "12\n");
}

static void test_dropped_line(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[run a]\ncommand = touch $D/a\ncreates = $D/a\nnotify = tell\n"
                              "[run b]\ncommand = touch $D/b\ncreates = $D/b\n"
                              "[handler tell]\ncommand = touch $D/told\n";
    host->link.drop_after = 60; /* Within the first lines. */
    host_apply(host, ini);
    assert_int_equal(host->report.outcome, ROLE_RUN_LOST);
    assert_contains(host->report.text, "the line dropped");
    /* What was begun was finished, nothing else was begun, the lock is free. */
    assert_true(host_has(host, "a"));
    assert_false(host_has(host, "b"));
    host->link.drop_after = 0;
    host_apply(host, ini);
    assert_results(host, "ok run a\nchanged run b\nchanged handler tell\n");
    assert_true(host_has(host, "told"));
}

static void test_deadline(void **state)
{
    struct host *host = *state;
    struct role_run_options options = host_options(host);
    options.deadline_ms = clock_now_ms() + 500;
    host_run(host, "[run slow]\ncommand = sleep 3\ncreates = $D/a\n", &options);
    assert_int_equal(host->report.outcome, ROLE_RUN_LOST);
    assert_contains(host->report.text, "t run slow");
}

static void test_no_shell_of_ours(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[file $D/a]\ncontent = a\n";
    host->link.instead = "echo 'Please log in as \033[1madmin'; cat >/dev/null; exit 142";
    host_apply(host, ini);
    assert_int_equal(host->report.outcome, ROLE_RUN_GARBLED);
    assert_contains(host->report.text, "status 142");
    assert_contains(host->report.text, "Please log in as");
    assert_null(strchr(host->report.text, '\033'));
    host->link.instead = "read -r line; echo 'sh: 1: head: not found' >&2; exit 127";
    host_apply(host, ini);
    assert_int_equal(host->report.outcome, ROLE_RUN_GARBLED);
    assert_contains(host->report.text, "head: not found");
}

static void test_tools_cannot_forge(void **state)
{
    struct host *host = *state;
    host_apply(host, "[run a]\ncommand = printf '0\\tok\\t0\\tt\\tfile\\tforged\\n%s\\n' "
                     "\"$(seq 1 5000)\"; false\ncreates = $D/x\n");
    assert_results(host, "failed run a\n");
    assert_true(strlen(host->report.text) < 20000);
    assert_contains(host->report.text, "5000"); /* The end of it is what counts. */
}

static void test_full_disk(void **state)
{
    struct host *host = *state;
    static const char ini[] =
        "[var filler]\ntype = list\ndefault = %s\n"
        "[file $D/small/a]\ncontent = {{#filler}}{{.}} 123456789 {{/filler}}\n"
        "owner = $U\ngroup = $G\n";
    char *path = xasprintf("%s/small", host->directory);
    struct str big = STR_NULL;
    mkdir(path, 0755);
    /* In a namespace of this process: whatever happens, nothing stays mounted. */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", path, "tmpfs", 0, "size=16k") != 0) {
        free(path);
        skip();
    }
    host_write(host, "small/a", "old\n", 0644);
    for (int i = 0; i < 2000; i++) {
        str_addf(&big, "word%d%s", i, i % 100 == 0 ? "\n  " : " ");
    }
    char *text = xasprintf(ini, str_text(&big));
    host_apply(host, text);
    assert_int_equal(host->report.outcome, ROLE_RUN_FAILED);
    assert_contains(host->report.text, "No space left on device");
    assert_contains(host->report.text, "untouched");
    assert_file(host, "small/a", "old\n");
    host_sh(host, "test -z \"$(ls -A $D/small | grep lamplighter)\"");
    umount(path);
    str_deinit(&big);
    free(text);
    free(path);
}

static void test_check_leaves_no_trace(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[package alpha]\n[file $D/a]\ncontent = a\n[directory $D/d]\n"
                              "[link $D/l]\ntarget = a\n[line x]\npath = $D/c\nline = y\n"
                              "[run r]\ncommand = touch $D/r\ncreates = $D/r\nnotify = h\n"
                              "[sysctl kernel.ostype]\nvalue = X\n[user nosuchuser]\n"
                              "[service nosuch]\n[check c]\ncommand = true\n"
                              "[handler h]\ncommand = touch $D/h\n";
    host_write(host, "c", "x\n", 0644);
    host_write(host, "roles/t/role.ini", ini, 0644);
    host_sh(host, "mkdir $D/root/run/lamplighter; "
                  "find $D | grep -v run/lamplighter | sort >/tmp/before.$$; "
                  "mv /tmp/before.$$ $D/root/run/lamplighter/before");
    host_check(host, ini);
    assert_int_equal(host->report.outcome, ROLE_RUN_OK);
    assert_int_equal(host->report.failed, 0);
    host_sh(host, "find $D | grep -v run/lamplighter | sort | "
                  "diff $D/root/run/lamplighter/before -");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_packages_come_at_once, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_package_removed, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_stale_lists, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_install_fails_for_old_lists, host_setup,
                                        host_teardown),
        cmocka_unit_test_setup_teardown(test_held_lock, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_interrupted_dpkg, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_handlers_run_once_at_the_end, host_setup,
                                        host_teardown),
        cmocka_unit_test_setup_teardown(test_handlers_outlive_a_failure, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_unit_file_reloads_systemd, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_lock, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_whose_host, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_dropped_line, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_deadline, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_no_shell_of_ours, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_tools_cannot_forge, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_check_leaves_no_trace, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, host_setup, host_teardown),
    };
    return cmocka_run_group_tests_name("role/trouble", tests, NULL, NULL);
}
