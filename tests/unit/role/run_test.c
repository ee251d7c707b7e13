/* The host script, run whole by this machine's shell against a folder: each kind of resource. */
#include "fake_host.h"

static void test_file_is_written_once(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[var who]\ndefault = Wörld's \"own\" \\ %d $HOME `x`\n"
                              "[file $D/etc/a]\ncontent = hello {{who}}\n"
                              "owner = $U\ngroup = $G\nmode = 0640\n";
    host_check(host, ini);
    assert_results(host, "changed file $D/etc/a\n");
    assert_false(host_has(host, "etc"));
    host_sh(host, "mkdir $D/etc");
    host_apply(host, ini);
    assert_results(host, "changed file $D/etc/a\n");
    assert_file(host, "etc/a", "hello Wörld's \"own\" \\ %d $HOME `x`\n");
    assert_int_equal(host_mode(host, "etc/a"), 0640);
    host_apply(host, ini);
    assert_results(host, "ok file $D/etc/a\n");
    assert_int_equal(host->report.outcome, ROLE_RUN_OK);
    assert_int_equal(host->report.ok, 1);
}

static void test_every_byte_arrives(void **state)
{
    struct host *host = *state;
    char *path = xasprintf("%s/roles/t/files/all", host->directory);
    host_write(host, "roles/t/files/all", "", 0644);
    FILE *file = fopen(path, "w");
    for (int turn = 0; turn < 40; turn++) {
        for (int c = 1; c < 256; c++) {
            fputc(c, file);
        }
    }
    fclose(file);
    host_apply(host, "[file $D/copy]\nsource = all\nowner = $U\ngroup = $G\n");
    assert_results(host, "changed file $D/copy\n");
    host_sh(host, "cmp $D/roles/t/files/all $D/copy");
    free(path);
}

static void test_blob_is_sent_on_demand(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[file $D/copy]\nsource = big\nowner = $U\ngroup = $G\n"
                              "[file $D/after]\ncontent = x\nowner = $U\ngroup = $G\n";
    host_write(host, "roles/t/files/.keep", "", 0644);
    host_sh(host, "head -c 300000 /dev/urandom >$D/roles/t/files/big");
    host_apply(host, ini);
    assert_results(host, "changed file $D/copy\nchanged file $D/after\n");
    host_sh(host, "cmp $D/roles/t/files/big $D/copy");
    host_apply(host, ini);
    assert_results(host, "ok file $D/copy\nok file $D/after\n");
}

static void test_file_modes_and_places(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[file $D/a]\ncontent = a\nowner = $U\ngroup = $G\nmode = 600\n";
    host_write(host, "a", "a\n", 0644);
    host_apply(host, ini);
    assert_results(host, "changed file $D/a\n");
    assert_contains(host->results[0].text, "mode 600");
    assert_int_equal(host_mode(host, "a"), 0600);
    /* A link in its place is replaced, not followed. */
    host_sh(host, "mv $D/a $D/other; ln -s other $D/a; echo b >$D/other");
    host_apply(host, ini);
    assert_results(host, "changed file $D/a\n");
    assert_file(host, "other", "b\n");
    assert_file(host, "a", "a\n");
    /* A folder is not. */
    host_sh(host, "rm $D/a; mkdir $D/a");
    host_apply(host, ini);
    assert_results(host, "failed file $D/a\n");
    assert_contains(host->report.text, "is a directory");
    assert_int_equal(host->report.outcome, ROLE_RUN_FAILED);
}

static void test_missing_directory(void **state)
{
    struct host *host = *state;
    host_apply(host, "[file $D/no/a]\ncontent = a\nowner = $U\ngroup = $G\n"
                     "[file $D/b]\ncontent = a\n");
    assert_results(host, "failed file $D/no/a\n");
    assert_contains(host->report.text, "does not exist");
    assert_false(host_has(host, "b"));
}

static void test_validate(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[file $D/a]\ncontent = good\nvalidate = grep -q good %s || { echo "
                              "'bad syntax'; exit 3; }\n"
                              "owner = $U\ngroup = $G\n";
    static const char bad[] = "[file $D/a]\ncontent = worse\nvalidate = grep -q good %s || { echo "
                              "'bad syntax'; exit 3; }\n"
                              "owner = $U\ngroup = $G\n";
    host_apply(host, ini);
    assert_results(host, "changed file $D/a\n");
    host_apply(host, bad);
    assert_results(host, "failed file $D/a\n");
    assert_contains(host->report.text, "bad syntax");
    assert_file(host, "a", "good\n");
    host_sh(host, "test -z \"$(ls -A $D | grep lamplighter)\"");
}

static void test_diff(void **state)
{
    struct host *host = *state;
    host_write(host, "a", "one\ntwo\n", 0644);
    host_write(host, "b", "private\n", 0600);
    host_check(host, "[file $D/a]\ncontent = one\n  three\nowner = $U\ngroup = $G\n"
                     "[file $D/b]\ncontent = public\nowner = $U\ngroup = $G\n");
    assert_contains(host->results[0].text, "-two\n");
    assert_contains(host->results[0].text, "three");
    assert_null(strstr(host->results[1].text, "private"));
    assert_contains(host->results[1].text, "not shown");
    assert_file(host, "a", "one\ntwo\n");
}

static void test_secret_file(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[var password]\nsecret = yes\n"
                              "[file $D/a]\ncontent = key = {{password}}\nmode = 0600\n"
                              "owner = $U\ngroup = $G\n"
                              "[run tell]\ncommand = cat >$D/b; cat $D/b; false\n"
                              "input = {{password}}\ncreates = $D/never\n";
    struct role_script script;
    secret_set(&host->secret, "s3cr'et \\ %s\xc3\xa9", 14);
    assert_int_equal(host_compile(host, ini, &script), 0);
    assert_null(strstr(str_text(&script.text), "s3cr"));
    role_script_deinit(&script);
    host_check(host, ini);
    assert_results(host, "changed file $D/a\nchanged run tell\n");
    assert_null(strstr(host->results[0].text, "s3cr"));
    host_apply(host, ini);
    assert_results(host, "changed file $D/a\nfailed run tell\n");
    assert_file(host, "a", "key = s3cr'et \\ %s\xc3\xa9\n");
    assert_file(host, "b", "s3cr'et \\ %s\xc3\xa9\n");
    /* The tool said it; we do not. */
    assert_null(strstr(host->report.text, "s3cr"));
    assert_contains(host->report.text, "***");
    host_apply(host, ini);
    assert_int_equal(host->results[0].status, ROLE_OK);
}

static void test_directories_and_links(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[directory $D/x/y]\nowner = $U\ngroup = $G\nmode = 0750\n"
                              "[link $D/x/l]\ntarget = ../a b\n"
                              "[link gone]\npath = $D/x/gone\nstate = absent\n"
                              "[file old]\npath = $D/x/old\nstate = absent\n"
                              "[directory empty]\npath = $D/empty\nstate = absent\n";
    host_apply(host, ini);
    assert_results(host, "changed directory $D/x/y\nchanged link $D/x/l\nok link $D/x/gone\n"
                         "ok file $D/x/old\nok directory $D/empty\n");
    assert_int_equal(host_mode(host, "x/y"), 0750);
    host_sh(host, "test \"$(readlink $D/x/l)\" = '../a b'");
    host_sh(host, "ln -s q $D/x/gone; echo >$D/x/old; mkdir $D/empty; ln -sfn z $D/x/l");
    host_check(host, ini);
    assert_int_equal(host->report.changed, 4);
    host_apply(host, ini);
    assert_results(host, "ok directory $D/x/y\nchanged link $D/x/l\nchanged link $D/x/gone\n"
                         "changed file $D/x/old\nchanged directory $D/empty\n");
    assert_false(host_has(host, "x/gone"));
    assert_false(host_has(host, "empty"));
    host_sh(host, "rm $D/x/l; echo mine >$D/x/l");
    host_apply(host, ini);
    assert_int_equal(host->report.outcome, ROLE_RUN_FAILED);
    assert_contains(host->report.text, "is not a link");
}

static void test_lines(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[line a]\npath = $D/conf\nline = port = 81\nmatch = ^#?port *=\n"
                              "[line b]\npath = $D/conf\nline = last {one}\n"
                              "[line c]\npath = $D/conf\nmatch = ^bad\nstate = absent\n"
                              "[line d]\npath = $D/new\nline = x\ncreate = yes\n";
    host_write(host, "conf", "#port = 80\nkeep\nbad 1\nport=82\nbad 2\nend", 0600);
    host_check(host, ini);
    assert_int_equal(host->report.changed, 4);
    assert_contains(host->results[0].text, "not shown"); /* Mode 0600. */
    assert_file(host, "conf", "#port = 80\nkeep\nbad 1\nport=82\nbad 2\nend");
    if (geteuid() != 0) {
        return; /* A new file belongs to root. */
    }
    host_apply(host, ini);
    assert_int_equal(host->report.changed, 4);
    assert_file(host, "conf", "port = 81\nkeep\nend\nlast {one}\n");
    assert_int_equal(host_mode(host, "conf"), 0600);
    assert_file(host, "new", "x\n");
    host_apply(host, ini);
    assert_int_equal(host->report.ok, 4);
    host_apply(host, "[line d]\npath = $D/nowhere\nline = x\n");
    assert_contains(host->report.text, "create = yes");
}

static void test_run(void **state)
{
    struct host *host = *state;
    static const char ini[] =
        "[var word]\ndefault = a b'; touch $D/injected #\n"
        "[run a]\ncommand = echo {{word}} >$D/a\ncreates = $D/a\n"
        "[run b]\ncommand = echo x >>$D/b\nunless = test -e $D/b\n"
        "[run c]\ncommand = echo x >>$D/c\nonly-if = test ! -e $D/c\ndirectory = $D\n"
        "[run d]\ncommand = cat >d\ninput = one\n    two\ncreates = $D/d\ndirectory = $D\n";
    host_check(host, ini);
    assert_int_equal(host->report.changed, 4);
    assert_false(host_has(host, "b"));
    host_apply(host, ini);
    assert_int_equal(host->report.changed, 4);
    assert_file(host, "a", "a b'; touch $D/injected #\n");
    assert_false(host_has(host, "injected"));
    assert_file(host, "d", "one\ntwo\n");
    host_apply(host, ini);
    assert_int_equal(host->report.ok, 4);
    assert_contains(str_text(&host->progress), "");
    host_apply(host, "[run e]\ncommand = echo said; exit 9\ncreates = $D/e\n");
    assert_string_equal(host->report.text, "t run e: said");
    host_apply(host, "[run e]\ncommand = sleep 30\ncreates = $D/e\ntimeout = 1s\n");
    assert_contains(host->report.text, "ended after 1 s");
}

static void test_check_gate(void **state)
{
    struct host *host = *state;
    static const char ini[] =
        "[check a]\ncommand = echo x >>$D/tries; test $(wc -l <$D/tries) -ge 3\n"
        "delay = 10ms\nretries = 5\n";
    host_apply(host, ini);
    assert_results(host, "ok check a\n");
    assert_file(host, "tries", "x\nx\nx\n");
    host_apply(host, "[check a]\ncommand = echo no luck; false\ndelay = 10ms\nretries = 2\n");
    assert_results(host, "failed check a\n");
    assert_contains(host->report.text, "failed 3 times");
    assert_contains(host->report.text, "no luck");
    host_check(host, "[check a]\ncommand = false\n");
    assert_results(host, "changed check a\n");
}

static void test_skip(void **state)
{
    struct host *host = *state;
    host_apply(host, "[var tls]\ntype = bool\ndefault = off\n"
                     "[file $D/a]\ncontent = x\nwhen = {{tls}}\n"
                     "[run b]\ncommand = true\ncreates = /\nwhen = {{^tls}}1{{/tls}}\n");
    assert_results(host, "skipped file $D/a\nok run b\n");
}

static void test_sysctl(void **state)
{
    struct host *host = *state;
    char *live = xstrdup("x");
    host_stub(host, "sysctl", "exit 0");
    free(live);
    host_apply(host, "[sysctl kernel.ostype]\nvalue = Linux\n");
    assert_results(host, "changed sysctl kernel.ostype\n");
    assert_file(host, "root/etc/sysctl.d/60-lamplighter-kernel.ostype.conf",
                "kernel.ostype = Linux\n");
    host_apply(host, "[sysctl kernel.ostype]\nvalue = Linux\n");
    assert_results(host, "ok sysctl kernel.ostype\n");
    /* Several numbers, with tabs between them in the kernel, and more than one digit each. */
    host_check(host, "[sysctl net.ipv4.ip_local_port_range]\nvalue = 1 2\n");
    char *range = NULL;
    struct str text = STR_NULL;
    str_read_file(&text, "/proc/sys/net/ipv4/ip_local_port_range", 100, NULL);
    range = str_take(&text);
    range[strcspn(range, "\n")] = '\0';
    *strchr(range, '\t') = ' ';
    assert_contains(host->results[0].text, range);
    free(range);
    /* A container that may not: kept for later, with a note. */
    host_write(host, "root/run/systemd/container", "lxc", 0644);
    host_apply(host, "[sysctl kernel.osrelease]\nvalue = 1\n");
    assert_results(host, "changed sysctl kernel.osrelease\n");
    host_apply(host, "[sysctl kernel.osrelease]\nvalue = 1\n");
    assert_results(host, "ok sysctl kernel.osrelease\n");
    assert_contains(host->results[0].text, "container");
}

static void test_user(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[user app]\nsystem = yes\ngroups = adm www\n";
    host_stub(host, "getent", "cat $D/passwd 2>/dev/null || exit 2");
    host_stub(host, "id", "cat $D/groups 2>/dev/null");
    host_stub(host, "useradd", "echo app:x:1:1::/nonexistent:/usr/sbin/nologin >$D/passwd");
    host_stub(host, "usermod", "echo app adm www >$D/groups");
    host_check(host, ini);
    assert_results(host, "changed user app\n");
    assert_false(host_has(host, "passwd"));
    host_apply(host, ini);
    assert_results(host, "changed user app\n");
    char *calls = host_read(host, "calls");
    assert_contains(
        calls, "useradd --system --user-group -M -d /nonexistent -s /usr/sbin/nologin -- app\n");
    assert_contains(calls, "usermod -a -G adm,www -- app\n");
    free(calls);
    host_apply(host, ini);
    assert_results(host, "ok user app\n");
}

static const char fake_systemctl[] =
    "u=$D/root/run/systemd/units; e=$D/root/etc/systemd/system; mkdir -p $u "
    "$e/multi-user.target.wants\n"
    "case $1 in\n"
    "start) [ ! -e $D/broken ] || { echo 'Job for web.service failed.'; exit 1; }\n"
    "  ln -sfn x $u/invocation:$2;;\n"
    "restart) [ ! -e $D/broken ] || { echo 'Job for web.service failed.'; exit 1; };;\n"
    "stop) rm -f $u/invocation:$2;;\n"
    "enable) ln -sfn x $e/multi-user.target.wants/$2;;\n"
    "disable) rm -f $e/multi-user.target.wants/$2;;\n"
    "mask) ln -sfn /dev/null $e/$2;;\n"
    "unmask) rm -f $e/$2;;\n"
    "status) echo 'web[1]: cannot bind';;\n"
    "is-active) shift; [ -h $u/invocation:$2 ] && [ ! -e $D/loops ];;\n"
    "is-enabled) exit 1;;\n"
    "esac";

static void test_service(void **state)
{
    struct host *host = *state;
    host_stub(host, "systemctl", fake_systemctl);
    host_check(host, "[service web]\n");
    assert_results(host, "changed service web\n");
    assert_contains(host->results[0].text, "enable start");
    host_apply(host, "[service web]\n");
    assert_results(host, "changed service web\n");
    host_apply(host, "[service web]\n");
    assert_results(host, "ok service web\n");
    host_apply(host, "[service web]\nstate = stopped\nenabled = masked\n");
    assert_results(host, "changed service web\n");
    host_apply(host, "[service web]\nstate = stopped\nenabled = masked\n");
    assert_results(host, "ok service web\n");
    host_write(host, "broken", "", 0644);
    host_apply(host, "[service web]\n");
    assert_results(host, "failed service web\n");
    assert_contains(host->report.text, "Job for web.service failed");
    assert_contains(host->report.text, "cannot bind");
}

/* The calls to systemctl that start or restart something, in order. */
static void assert_started(struct host *host, const char *expected)
{
    host_sh(host, "grep -E ' (re)?start ' $D/calls >$D/started; rm $D/calls");
    assert_file(host, "started", expected);
}

static void test_services_restarted(void **state)
{
    struct host *host = *state;
    struct role_run_options options = host_options(host);
    static const char ini[] = "[service web]\n[service db]\n[service db.service]\n"
                              "[service job]\nstate = any\nenabled = any\n"
                              "[service old]\nstate = stopped\nenabled = any\n";
    host_stub(host, "systemctl", fake_systemctl);
    host_apply(host, ini);
    assert_started(host, "systemctl start web.service\nsystemctl start db.service\n");
    options.restart = true;
    options.check = true;
    host_run(host, ini, &options); /* Says what it would do, and does not. */
    assert_results(host, "changed service web\nchanged service db\nchanged service db.service\n"
                         "ok service job\nok service old\n");
    assert_contains(host->results[0].text, "to do: restart");
    host_sh(host, "! grep -q ' restart ' $D/calls && rm -f $D/calls");
    options.check = false;
    host_run(host, ini, &options);
    assert_results(host, "changed service web\nchanged service db\nok service db.service\n"
                         "ok service job\nok service old\n");
    assert_contains(host->results[0].text, "to do: restart");
    assert_started(host, "systemctl restart web.service\nsystemctl restart db.service\n");
    /* What is down is started, once, also when systemd had given it up. */
    host_sh(host, "rm $D/root/run/systemd/units/invocation:db.service");
    host_run(host, ini, &options);
    host_sh(host, "grep -q 'systemctl reset-failed db.service' $D/calls");
    assert_started(host, "systemctl restart web.service\nsystemctl start db.service\n");
    host_apply(host, ini);
    assert_results(host, "ok service web\nok service db\nok service db.service\n"
                         "ok service job\nok service old\n");
    host_write(host, "broken", "", 0644);
    host_run(host, ini, &options);
    assert_results(host, "failed service web\n");
    assert_contains(host->report.text, "cannot bind");
}

/* What it was told before its unit was started is in it: only what came later needs its handler. */
static void test_a_start_settles_handlers(void **state)
{
    struct host *host = *state;
    struct role_run_options options = host_options(host);
    options.restart = true;
#define CONF(content) "[file $D/conf]\ncontent = " content "\nnotify = again\n"
#define LATE(content) "[file $D/late]\ncontent = " content "\nnotify = again\n"
    static const char handler[] = "[handler again]\nservice = web\naction = restart\n";
    struct str ini = STR_NULL;
    host_stub(host, "systemctl", fake_systemctl);
    str_addf(&ini, "%s%s", CONF("1") "[service web]\n", handler);
    host_apply(host, str_text(&ini));
    assert_results(host, "changed file $D/conf\nchanged service web\n");
    assert_started(host, "systemctl start web.service\n");
    assert_false(host_has(host, "root/var/lib/lamplighter/pending-handlers"));
    str_clear(&ini);
    str_addf(&ini, "%s%s", CONF("2") "[service web]\n", handler);
    host_check(host, str_text(&ini));
    assert_results(host, "changed file $D/conf\nok service web\nchanged handler again\n");
    host_apply(host, str_text(&ini));
    assert_results(host, "changed file $D/conf\nok service web\nchanged handler again\n");
    assert_started(host, "systemctl restart web.service\n");
    str_clear(&ini);
    str_addf(&ini, "%s%s", CONF("3") "[service web]\n", handler);
    options.check = true;
    host_run(host, str_text(&ini), &options); /* Says what it would do. */
    assert_results(host, "changed file $D/conf\nchanged service web\n");
    options.check = false;
    host_run(host, str_text(&ini), &options);
    assert_results(host, "changed file $D/conf\nchanged service web\n");
    assert_started(host, "systemctl restart web.service\n");
    /* Told again after its start. */
    str_clear(&ini);
    str_addf(&ini, "%s%s", CONF("4") "[service web]\n" LATE("1"), handler);
    host_run(host, str_text(&ini), &options);
    assert_results(host, "changed file $D/conf\nchanged service web\nchanged file $D/late\n"
                         "changed handler again\n");
    assert_started(host, "systemctl restart web.service\nsystemctl restart web.service\n");
    str_deinit(&ini);
}

/* What an earlier run still owes is settled as well; another unit's is not. */
static void test_a_start_settles_what_was_owed(void **state)
{
    struct host *host = *state;
    struct role_run_options options = host_options(host);
    static const char broken[] = "[file $D/conf]\ncontent = 1\nnotify = again, other\n"
                                 "[run stop]\ncommand = false\nunless = test -e $D/whole\n"
                                 "[service web.service]\n[service db]\nstate = any\nenabled = any\n"
                                 "[handler again]\nservice = web\n"
                                 "[handler other]\nservice = db\naction = restart\n";
    options.restart = true;
    host_stub(host, "systemctl", fake_systemctl);
    host_apply(host, broken);
    assert_true(host_has(host, "root/var/lib/lamplighter/pending-handlers"));
    host_write(host, "whole", "", 0644);
    host_run(host, broken, &options);
    assert_results(host, "ok file $D/conf\nok run stop\nchanged service web.service\n"
                         "ok service db\nchanged handler other\n");
    assert_started(host, "systemctl start web.service\nsystemctl restart db.service\n");
    assert_false(host_has(host, "root/var/lib/lamplighter/pending-handlers"));
}

/* Two handlers of one unit: it is started anew once. */
static void test_a_restart_settles_other_handlers(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[file $D/conf]\ncontent = 1\nnotify = again, reload, once-more\n"
                              "[handler again]\nservice = web\naction = restart\n"
                              "[handler reload]\nservice = web\n"
                              "[handler once-more]\nservice = web.service\naction = restart\n";
    host_stub(host, "systemctl", fake_systemctl);
    host_apply(host, ini);
    assert_results(host, "changed file $D/conf\nchanged handler again\n");
    host_sh(host, "! grep -q reload $D/calls");
    assert_started(host, "systemctl restart web.service\n");
    assert_false(host_has(host, "root/var/lib/lamplighter/pending-handlers"));
}

static void test_service_by_its_processes(void **state)
{
    struct host *host = *state;
    host_stub(host, "systemctl", fake_systemctl);
    host_sh(host,
            "PATH=$D/bin:$PATH; systemctl start web.service; systemctl enable web.service; "
            "mkdir -p $D/root/sys/fs/cgroup/system.slice/web.service; "
            "echo 77 >$D/root/sys/fs/cgroup/system.slice/web.service/cgroup.procs; rm $D/calls");
    host_apply(host, "[service web]\n");
    assert_results(host, "ok service web\n");
    assert_false(host_has(host, "calls")); /* No systemctl was needed. */
    /* A unit that restarts over and over has no process most of the time: systemctl decides. */
    host_sh(host, ": >$D/root/sys/fs/cgroup/system.slice/web.service/cgroup.procs; touch $D/loops");
    host_check(host, "[service web]\n");
    assert_results(host, "changed service web\n");
}

static void test_release(void **state)
{
    struct host *host = *state;
    static const char ini[] =
        "[release app]\nsource = $D/app\npath = $D/srv\nkeep = 2\nshared = uploads data/x\n"
        "owner = $U\ngroup = $G\n";
    host_write(host, "app/index.php", "v1\n", 0644);
    host_write(host, "app/bin/tool", "x\n", 0755);
    host_write(host, "app/.git/config", "secret\n", 0644);
    host_check(host, ini);
    assert_results(host, "changed release app\n");
    assert_false(host_has(host, "srv"));
    host_apply(host, ini);
    assert_results(host, "changed release app\n");
    assert_file(host, "srv/current/index.php", "v1\n");
    assert_int_equal(host_mode(host, "srv/current/bin/tool"), 0755);
    assert_false(host_has(host, "srv/current/.git"));
    host_sh(host, "echo kept >$D/srv/current/uploads/file; echo kept >$D/srv/current/data/x/file");
    host_apply(host, ini);
    assert_results(host, "ok release app\n");
    for (int i = 2; i < 5; i++) {
        char text[] = "v0\n";
        text[1] = (char)('0' + i);
        host_write(host, "app/index.php", text, 0644);
        host_sh(host, "touch -d '1 hour ago' $D/srv/releases/*");
        host_apply(host, ini);
        assert_results(host, "changed release app\n");
        assert_file(host, "srv/current/index.php", text);
    }
    assert_file(host, "srv/current/uploads/file", "kept\n");
    host_sh(host, "test $(ls $D/srv/releases | wc -l) = 2");
    /* The old one again: it is still there, nothing is sent. */
    host_write(host, "app/index.php", "v3\n", 0644);
    host_apply(host, ini);
    assert_results(host, "changed release app\n");
    assert_file(host, "srv/current/index.php", "v3\n");
}

static void test_database(void **state)
{
    struct host *host = *state;
    static const char ini[] = "[var password]\nsecret = yes\n"
                              "[database shop]\nuser = shop\npassword = {{password}}\n"
                              "hosts = localhost 10.77.%\n";
    secret_set(&host->secret, "it's", 4);
    host_stub(host, "mariadb",
              "in=$(cat); case $in in SELECT*) cat $D/state 2>/dev/null;;\n"
              "*) printf '%s' \"$in\" >$D/orders; echo 1 >$D/state;; esac");
    host_check(host, ini);
    assert_results(host, "changed database shop\n");
    assert_false(host_has(host, "orders"));
    host_apply(host, ini);
    assert_results(host, "changed database shop\n");
    char *sql = host_read(host, "orders");
    assert_contains(sql, "CREATE USER IF NOT EXISTS 'shop'@'10.77.%' IDENTIFIED BY 'it''s';");
    assert_contains(sql, "GRANT ALL ON `shop`.* TO 'shop'@'localhost';");
    free(sql);
    char *calls = host_read(host, "calls");
    assert_null(strstr(calls, "it"));
    free(calls);
    host_apply(host, ini);
    assert_results(host, "ok database shop\n");
    /* The server echoes the statement it did not like. */
    host_stub(host, "mariadb", "echo \"ERROR 1064 near IDENTIFIED BY 'it''s'\" >&2; exit 1");
    host_apply(host, ini);
    assert_results(host, "failed database shop\n");
    assert_null(strstr(host->report.text, "it''s"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_is_written_once, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_every_byte_arrives, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_blob_is_sent_on_demand, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_file_modes_and_places, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_missing_directory, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_validate, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_diff, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_secret_file, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_directories_and_links, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_lines, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_run, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_check_gate, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_skip, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_sysctl, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_user, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_service, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_services_restarted, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_a_start_settles_handlers, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_a_start_settles_what_was_owed, host_setup,
                                        host_teardown),
        cmocka_unit_test_setup_teardown(test_a_restart_settles_other_handlers, host_setup,
                                        host_teardown),
        cmocka_unit_test_setup_teardown(test_service_by_its_processes, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_release, host_setup, host_teardown),
        cmocka_unit_test_setup_teardown(test_database, host_setup, host_teardown),
    };
    return cmocka_run_group_tests_name("role/run", tests, NULL, NULL);
}
