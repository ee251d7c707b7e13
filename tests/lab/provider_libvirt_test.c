/*
 * Provider libvirt against a real libvirt with real containers: the suite of all providers, and
 * what only a real one has: a login over SSH, several processes at work at once, what it takes.
 * Runs inside a lab (tests/lab/provider_libvirt_test starts it there).
 *
 * To be interrupted anywhere, a call is made in a process of its own (this program again, with
 * arguments) that is traced and killed at its Nth system call.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/process.h"
#include "base/str.h"
#include "conformance/provider_suite.h"
#include "controller/crew.h"
#include "net/ssh_link.h"
#include "spec/spec.h"
#include "image/image_store.h"
#include "image/loop_mount.h"
#include "net/signature.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CLUSTER  "suite"
#define CALL_MS  60000
#define PARALLEL 4

static char *instance_dir;
static char *work_dir;
static char *login_key;
static virConnectPtr connection;
static struct crew *crew;
static bool on_signed_image; /* LAMPLIGHTER_TEST_SIGNED: what instances stand on. */
static char *signed_images;  /* WORK/images */
static char *signed_keys;    /* WORK/image.pub */

static char *text_of(const char *path)
{
    struct str text = STR_NULL;
    struct err e = ERR_NULL;
    if (str_read_file(&text, path, 1 << 24, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    str_trim(&text);
    return str_take(&text);
}

/* The suite, with what is the same in this process and in those it starts. */
static struct provider_suite new_suite(void)
{
    struct provider_suite suite = {
        .ops = &provider_libvirt,
        .config = {.cluster = CLUSTER,
                   .name = "lab",
                   .zone = "rack-a",
                   .uri = "lxc:///",
                   .bridge = "lamp0",
                   .image_dir = "/var/cache/lamplighter/images",
                   .instance_dir = instance_dir},
        .instance = {.image = "debian-12",
                     .cpus = 1,
                     .memory_bytes = 256 << 20,
                     .prefix_length = 16,
                     .gateway = "10.77.0.1",
                     .login_key = login_key},
        .addresses = {"10.77.1.201", "10.77.1.202", "10.77.1.203"},
    };
    if (on_signed_image) {
        suite.config.image_dir = signed_images;
        suite.config.image_keys = signed_keys;
        suite.instance.image = "signed";
    }
    return suite;
}

/* The base image, made a signed one. */
static void make_signed_image(void)
{
    char *key = xasprintf("%s/image", work_dir);
    char *tar = xasprintf("%s/base.tar", work_dir);
    const char *const argv[] = {"/usr/bin/tar",
                                "-C",
                                "/var/cache/lamplighter/images/debian-12/root",
                                "--numeric-owner",
                                "-cf",
                                tar,
                                ".",
                                NULL};
    struct err e = ERR_NULL;
    struct image_draft draft = IMAGE_DRAFT_NULL;
    struct sieve_result result = SIEVE_RESULT_NULL;
    struct manifest manifest = {.name = xstrdup("signed"), .roles = json_array()};
    if (process_run(argv, clock_now_ms() + CALL_MS, NULL, &e) < 0 ||
        signature_make_keys(key, signed_keys, &e) < 0 ||
        image_draft_begin(signed_images, "signed", &draft, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    char *file = xasprintf("%s/" IMAGE_FILE, draft.work);
    struct sieve_config sieve = {.input = open(tar, O_RDONLY | O_CLOEXEC),
                                 .deadline_ms = clock_now_ms() + CALL_MS};
    manifest.generation = draft.ref.generation;
    if (image_build(&sieve, file, &result, &manifest.blocks, &e) == 0) {
        manifest.packages = json_incref(result.packages);
        manifest.left_out = json_incref(result.left_out);
        text_copy(manifest.tree, sizeof(manifest.tree), result.digest);
    }
    if (e.text[0] != '\0' ||
        image_draft_publish(&draft, &manifest, str_text(&result.tree), key,
                            &(struct image_publishing){.make_current = true}, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    close(sieve.input);
    unlink(tar);
    image_draft_deinit(&draft);
    manifest_deinit(&manifest);
    sieve_result_deinit(&result);
    free(key);
    free(tar);
    free(file);
}

/* Where signed images are mounted now; the paths are the caller's. */
static size_t image_mounts(char **ret_paths, size_t max)
{
    char *mounts = text_of("/proc/self/mountinfo");
    /* As a mount's place: as an overlay's lower directory it stands behind "=". */
    char *prefix = xasprintf(" %s/.images/", instance_dir);
    size_t count = 0;
    for (char *at = mounts; (at = strstr(at, prefix)) != NULL; at += strlen(prefix)) {
        if (count < max) {
            ret_paths[count] = xstrndup(at + 1, strcspn(at + 1, " "));
        }
        count++;
    }
    free(mounts);
    free(prefix);
    return count;
}

/* What a process that was started for one call does; its exit status. */
static int make_one_call(const char *call, const char *id, const char *address)
{
    struct provider_suite suite = new_suite();
    struct err e = ERR_NULL;
    void *context = NULL;
    int result = suite.ops->open(&suite.config, &context, &e);
    raise(SIGUSR1); /* From here on steps are counted. */
    if (result == 0 && text_equal(call, "--ensure")) {
        struct provider_instance_config config = suite.instance;
        struct provider_view view = {.id = NULL};
        config.id = id;
        config.group = "one";
        config.address = address;
        config.deadline_ms = clock_now_ms() + CALL_MS;
        result = suite.ops->ensure(context, &config, &view, &e);
    } else if (result == 0 && text_equal(call, "--stop")) {
        result = suite.ops->stop(context, id, clock_now_ms() + CALL_MS, &e);
    } else if (result == 0) {
        result = suite.ops->destroy(context, id, clock_now_ms() + CALL_MS, &e);
    }
    if (result < 0) {
        fprintf(stderr, "%s %s: %s\n", call, id, e.text);
    }
    return result < 0 ? 1 : 0;
}

static pid_t start_call(const char *call, const char *id, const char *address, bool traced)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (traced) {
            ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        } else {
            signal(SIGUSR1, SIG_IGN);
        }
        execl("/proc/self/exe", "provider_libvirt_test", call, id, address, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

/* System calls that one step stands for: LAMPLIGHTER_TEST_STRIDE, for a finer comb. */
static unsigned stride(void)
{
    int64_t number = 0;
    const char *text = getenv("LAMPLIGHTER_TEST_STRIDE");
    return text != NULL && text_to_int(text, 1, 10000, &number) ? (unsigned)number : 37;
}

static bool cut_short(struct provider_suite *suite, enum provider_suite_call call, const char *id,
                      unsigned step)
{
    static const char *const calls[] = {[PROVIDER_SUITE_ENSURE] = "--ensure",
                                        [PROVIDER_SUITE_DESTROY] = "--destroy",
                                        [PROVIDER_SUITE_STOP] = "--stop"};
    pid_t pid = start_call(calls[call], id, suite->addresses[0], true);
    unsigned left = step * stride() * 2; /* Each call stops twice: going in and coming out. */
    bool counting = false;
    int status = 0;
    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        int stopped = WSTOPSIG(status);
        if (stopped == SIGUSR1) {
            counting = true;
            ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(uintptr_t)PTRACE_O_TRACESYSGOOD);
        } else if (counting && stopped == (SIGTRAP | 0x80) && left-- == 0) {
            kill(pid, SIGKILL);
        }
        bool pass = stopped != SIGUSR1 && (stopped & 0x7f) != SIGTRAP;
        ptrace(counting ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL,
               (void *)(uintptr_t)(pass ? stopped : 0));
    }
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        print_message("          %s: killed at %u places\n", calls[call] + 2, step);
        return false;
    }
    return true;
}

static virDomainPtr domain_of(const char *id)
{
    char *name = xasprintf(CLUSTER ".%s", id);
    virDomainPtr domain = virDomainLookupByName(connection, name);
    free(name);
    return domain;
}

static void power_off(struct provider_suite *suite, const char *id)
{
    (void)suite;
    virDomainPtr domain = domain_of(id);
    assert_non_null(domain);
    assert_int_equal(virDomainDestroy(domain), 0);
    virDomainFree(domain);
}

static void restart_host(struct provider_suite *suite)
{
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    for (int i = 0; i < count; i++) {
        const char *name = virDomainGetName(domains[i]);
        if (text_starts(name, CLUSTER ".")) {
            char *root = xasprintf("%s/%s/root", instance_dir, strchr(name, '.') + 1);
            power_off(suite, strchr(name, '.') + 1);
            assert_int_equal(umount2(root, UMOUNT_NOFOLLOW), 0);
            free(root);
        }
        virDomainFree(domains[i]);
    }
    free(domains);
    char *paths[4];
    size_t images = image_mounts(paths, 4);
    assert_true(images <= 1);
    for (size_t i = 0; i < images; i++) {
        assert_int_equal(umount2(paths[i], UMOUNT_NOFOLLOW), 0);
        free(paths[i]);
    }
}

static void plant(struct provider_suite *suite, const char *id, bool there)
{
    (void)suite;
    if (!there) {
        virDomainPtr domain = domain_of(id);
        virDomainUndefine(domain);
        virDomainFree(domain);
        return;
    }
    char *xml = xasprintf("<domain type='lxc'><name>" CLUSTER ".%s</name><memory>65536</memory>"
                          "<os><type>exe</type><init>/sbin/init</init></os></domain>",
                          id);
    virDomainPtr domain = virDomainDefineXML(connection, xml);
    assert_non_null(domain);
    virDomainFree(domain);
    free(xml);
}

static bool is_planted(struct provider_suite *suite, const char *id)
{
    (void)suite;
    virDomainPtr domain = domain_of(id);
    if (domain == NULL) {
        return false;
    }
    char *xml = virDomainGetXMLDesc(domain, 0);
    bool planted = strstr(xml, "<metadata>") == NULL;
    free(xml);
    virDomainFree(domain);
    return planted;
}

static bool exists(const char *before, const char *id, const char *after)
{
    char *path = xasprintf("%s/%s%s%s", instance_dir, before, id, after);
    struct stat status;
    bool there = lstat(path, &status) == 0;
    free(path);
    return there;
}

static bool has_remains(struct provider_suite *suite, const char *id)
{
    (void)suite;
    virDomainPtr domain = domain_of(id);
    char *mounts = text_of("/proc/self/mountinfo");
    char *path = xasprintf("%s/%s/", instance_dir, id);
    bool left = domain != NULL || exists("", id, "") || exists(".", id, ".lamplighter-new") ||
                strstr(mounts, path) != NULL;
    if (left) {
        print_message("          left of %s: domain %s, directory %s, mount %s\n", id,
                      domain != NULL ? "yes" : "no", exists("", id, "") ? "yes" : "no",
                      strstr(mounts, path) != NULL ? "yes" : "no");
    }
    if (domain != NULL) {
        virDomainFree(domain);
    }
    free(mounts);
    free(path);
    return left;
}

/* Waits for "SSH-" from port 22 of ADDRESS; how long that took, from SINCE_MS. */
static int64_t wait_for_ssh(const char *address, int64_t since_ms)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(22)};
    assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
    const struct timeval patience = {.tv_sec = 2};
    while (clock_now_ms() < since_ms + CALL_MS) {
        char banner[4] = "";
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        bool answered = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
                        recv(fd, banner, sizeof(banner), MSG_WAITALL) == sizeof(banner) &&
                        memcmp(banner, "SSH-", sizeof(banner)) == 0;
        close(fd);
        if (answered) {
            return clock_now_ms() - since_ms;
        }
        usleep(5000);
    }
    fail_msg("%s does not answer on port 22", address);
    return 0;
}

/* What COMMAND says on the host at ADDRESS, whose key must be HOST_KEY; the caller's. */
static char *over_ssh(const char *address, const char *host_key, const char *command)
{
    char *known = xasprintf("%s/known_hosts", work_dir);
    FILE *file = fopen(known, "we");
    assert_non_null(file);
    fprintf(file, "%s %s\n", address, host_key);
    fclose(file);
    char *option = xasprintf("-oUserKnownHostsFile=%s", known);
    char *key = xasprintf("%s/login", work_dir);
    char *host = xasprintf("root@%s", address);
    const char *const argv[] = {"/usr/bin/ssh",
                                "-F/dev/null",
                                "-oBatchMode=yes",
                                "-oStrictHostKeyChecking=yes",
                                "-oIdentitiesOnly=yes",
                                "-oKexAlgorithms=curve25519-sha256",
                                option,
                                "-i",
                                key,
                                host,
                                command,
                                NULL};
    char *output = NULL;
    struct err e = ERR_NULL;
    if (process_run(argv, clock_now_ms() + CALL_MS, &output, &e) < 0) {
        fail_msg("%s", e.text);
    }
    free(known);
    free(option);
    free(key);
    free(host);
    return output;
}

static void test_login_and_who_it_is(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    void *context = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    struct provider_instance_config config = suite.instance;
    config.id = "ssh-1";
    config.group = "ssh";
    config.address = suite.addresses[0];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    struct provider_view view = {.id = NULL};
    int64_t start_ms = clock_now_ms();
    if (suite.ops->ensure(context, &config, &view, &e) < 0) {
        fail_msg("%s", e.text);
    }
    int64_t made_ms = clock_now_ms() - start_ms;
    int64_t reached_ms = wait_for_ssh(config.address, start_ms);
    char *said = over_ssh(config.address, view.host_key,
                          "hostname; cat /etc/lamplighter/instance; wc -c </etc/machine-id; "
                          "sed -n 's/^MemTotal: *//p' /proc/meminfo; stat -c %a "
                          "/etc/ssh/ssh_host_ed25519_key /root/.ssh/authorized_keys; "
                          "ls /etc/ssh | grep -c lamplighter-new; getent hosts ssh-1");
    assert_string_equal(said,
                        "ssh-1\ncluster=" CLUSTER "\ninstance=ssh-1\n33\n262144 kB\n600\n600\n0\n"
                        "10.77.1.201     ssh-1\n");
    free(said);
    start_ms = clock_now_ms();
    assert_int_equal(suite.ops->destroy(context, "ssh-1", clock_now_ms() + CALL_MS, &e), 0);
    print_message("          made %lld ms, SSH answers %lld ms, destroyed %lld ms\n",
                  (long long)made_ms, (long long)reached_ms,
                  (long long)(clock_now_ms() - start_ms));
    provider_view_deinit(&view);
    suite.ops->close(context);
}

/* All at the same moment, each in a process of its own, as workers are. */
static int64_t all_at_once(const char *call)
{
    pid_t pids[PARALLEL];
    int64_t start_ms = clock_now_ms();
    for (int i = 0; i < PARALLEL; i++) {
        char *id = xasprintf("many-%d", i + 1);
        char *address = xasprintf("10.77.1.%d", 210 + i);
        pids[i] = start_call(call, id, address, false);
        free(id);
        free(address);
    }
    for (int i = 0; i < PARALLEL; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    return clock_now_ms() - start_ms;
}

static void test_many_processes_at_once(void **state)
{
    (void)state;
    int64_t start_ms = clock_now_ms();
    int64_t made_ms = all_at_once("--ensure");
    for (int i = 0; i < PARALLEL; i++) {
        char *address = xasprintf("10.77.1.%d", 210 + i);
        wait_for_ssh(address, start_ms);
        free(address);
    }
    int64_t reached_ms = clock_now_ms() - start_ms;
    int64_t destroyed_ms = all_at_once("--destroy");
    for (int i = 0; i < PARALLEL; i++) {
        char *id = xasprintf("many-%d", i + 1);
        assert_false(has_remains(NULL, id));
        free(id);
    }
    print_message("          %d at once: made %lld ms, all answer %lld ms, destroyed %lld ms\n",
                  PARALLEL, (long long)made_ms, (long long)reached_ms, (long long)destroyed_ms);
}

/* A guest may fill its root with anything; nothing outside suffers, and it can be removed. */
static void test_hostile_root(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    void *context = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    struct provider_instance_config config = suite.instance;
    config.id = "bad-1";
    config.group = "bad";
    config.address = suite.addresses[1];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    struct provider_view view = {.id = NULL};
    assert_int_equal(suite.ops->ensure(context, &config, &view, &e), 0);
    wait_for_ssh(config.address, clock_now_ms());
    char *victim = xasprintf("%s/victim", work_dir);
    FILE *file = fopen(victim, "we");
    assert_non_null(file);
    fclose(file);
    char *command = xasprintf(
        "rm -rf /etc/lamplighter /etc/ssh; ln -s %s /etc/ssh; ln -s %s /etc/lamplighter; "
        "ln -s / /srv/root; mkdir /srv/deep; cd /srv/deep; "
        "i=0; while [ $i -lt 300 ]; do mkdir d; cd -P d; i=$((i+1)); done; "
        "mkdir /srv/fifo; mkfifo /srv/fifo/f; mount -t tmpfs none /srv/fifo; chattr +i /etc/hosts; "
        "nohup sh -c 'trap \"\" TERM; exec 3>/srv/held; sleep 1000' >/dev/null 2>&1 &",
        work_dir, work_dir);
    free(over_ssh(config.address, view.host_key, command));
    free(command);
    struct provider_view again = {.id = NULL};
    power_off(&suite, "bad-1");
    assert_int_equal(suite.ops->ensure(context, &config, &again, &e), 0);
    assert_string_equal(again.host_key, view.host_key);
    if (suite.ops->destroy(context, "bad-1", clock_now_ms() + CALL_MS, &e) < 0) {
        fail_msg("%s", e.text);
    }
    assert_false(has_remains(&suite, "bad-1"));
    assert_int_equal(access(victim, F_OK), 0);
    free(victim);
    provider_view_deinit(&view);
    provider_view_deinit(&again);
    suite.ops->close(context);
}

/* What a killed process asked libvirtd for may arrive after everything else is gone. */
static void test_late_definition(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    void *context = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    struct provider_instance_config config = suite.instance;
    config.id = "late-1";
    config.group = "late";
    config.address = suite.addresses[2];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    struct provider_view view = {.id = NULL};
    assert_int_equal(suite.ops->ensure(context, &config, &view, &e), 0);
    provider_view_deinit(&view);
    virDomainPtr domain = domain_of("late-1");
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    virDomainFree(domain);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(suite.ops->destroy(context, "late-1", clock_now_ms() + CALL_MS, &e), 0);
        assert_false(has_remains(&suite, "late-1"));
        domain = virDomainDefineXML(connection, xml);
        assert_non_null(domain);
        virDomainFree(domain);
        struct provider_view *views = NULL;
        size_t count = 0;
        assert_int_equal(suite.ops->list(context, &views, &count, &e), 0);
        assert_int_equal(count, 1);
        assert_int_equal(views[0].power, PROVIDER_BROKEN);
        assert_null(views[0].host_key);
        provider_views_free(views, count);
        if (round == 0) {
            assert_int_equal(suite.ops->ensure(context, &config, &view, &e), 0);
            assert_int_equal(view.power, PROVIDER_RUNNING);
            provider_view_deinit(&view);
        }
    }
    assert_int_equal(suite.ops->destroy(context, "late-1", clock_now_ms() + CALL_MS, &e), 0);
    assert_false(has_remains(&suite, "late-1"));
    free(xml);
    suite.ops->close(context);
}

static void test_no_such_bridge(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    suite.config.bridge = "no-such-bridge";
    void *context = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    struct provider_instance_config config = suite.instance;
    config.id = "lost-1";
    config.group = "lost";
    config.address = suite.addresses[2];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    struct provider_view view = {.id = NULL};
    assert_int_equal(suite.ops->ensure(context, &config, &view, &e), -1);
    assert_non_null(strstr(e.text, "bridge no-such-bridge: this machine has none"));
    assert_int_equal(suite.ops->destroy(context, "lost-1", clock_now_ms() + CALL_MS, &e), 0);
    assert_false(has_remains(&suite, "lost-1"));
    suite.ops->close(context);
}

/* Takes the connection and says nothing, as a daemon that hangs does. */
static void test_libvirt_hangs(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/silent", work_dir);
    unlink(address.sun_path);
    int silent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(silent, 5), 0);
    struct provider_suite suite = new_suite();
    char *uri = xasprintf("lxc:///?socket=%s", address.sun_path);
    suite.config.uri = uri;
    struct err e = ERR_NULL;
    void *context = NULL;
    int64_t start_ms = clock_now_ms();
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), -1);
    assert_in_range(clock_now_ms() - start_ms, 9000, 15000);
    assert_non_null(strstr(e.text, "no answer in 10 s"));
    close(silent); /* The attempt that was left behind ends, too. */
    usleep(200000);
    unlink(address.sun_path);
    free(uri);
}

/* What a worker does, in the sandbox it has; answers with what went wrong, "" for nothing. */
static int work(int socket)
{
    struct provider_suite suite = new_suite();
    struct err e = ERR_NULL;
    void *context = NULL;
    struct provider_view view = {.id = NULL};
    struct provider_instance_config config = suite.instance;
    config.id = "work-1";
    config.group = "work";
    config.address = suite.addresses[2];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    if (suite.ops->open(&suite.config, &context, &e) == 0 &&
        suite.ops->ensure(context, &config, &view, &e) == 0) {
        wait_for_ssh(config.address, clock_now_ms());
        (void)suite.ops->destroy(context, config.id, config.deadline_ms, &e);
    }
    provider_view_deinit(&view);
    suite.ops->close(context);
    struct message answer = MESSAGE_NULL;
    message_init(&answer, 1);
    message_put_text(&answer, 1, e.text);
    (void)message_send(socket, &answer, -1, NULL);
    message_deinit(&answer);
    return 0;
}

static void test_in_a_workers_sandbox(void **state)
{
    (void)state;
    static const struct process_kind kinds[] = {
        {.name = "libvirt", .main = work, .sandbox = SANDBOX_HYPERVISOR}};
    struct spawner *spawner = NULL;
    struct process process = PROCESS_NULL;
    struct err e = ERR_NULL;
    assert_int_equal(spawner_start(&spawner, kinds, 1, &e), 0);
    assert_int_equal(process_start(spawner, 0, &process, &e), 0);
    struct pollfd ready = {.fd = process.socket, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, CALL_MS), 1);
    struct message answer = MESSAGE_NULL;
    if (message_receive(process.socket, &answer, NULL, &e) != MESSAGE_IO_OK) {
        char end[PROCESS_END_SIZE];
        process_end_to_string(spawner, &process, end);
        fail_msg("the worker %s", end);
    }
    assert_string_equal(message_text(&answer, 1, "no answer"), "");
    message_deinit(&answer);
    process_deinit(&process);
    spawner_free(spawner);
    assert_false(has_remains(NULL, "work-1"));
}

/* A path with everything that XML wants quoted, through libvirt and back. */
static void test_odd_directory(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    char *odd = xasprintf("%s/a <b> & 'c' %%", instance_dir);
    suite.config.instance_dir = odd;
    void *context = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    struct provider_instance_config config = suite.instance;
    config.id = "odd-1";
    config.group = "odd";
    config.address = suite.addresses[0];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    struct provider_view view = {.id = NULL};
    if (suite.ops->ensure(context, &config, &view, &e) < 0) {
        fail_msg("%s", e.text);
    }
    wait_for_ssh(config.address, clock_now_ms());
    /* Settings that lead elsewhere are not taken for the same instance. */
    void *elsewhere = NULL;
    struct provider_view other = {.id = NULL};
    suite.config.instance_dir = instance_dir;
    assert_int_equal(suite.ops->open(&suite.config, &elsewhere, &e), 0);
    assert_int_equal(suite.ops->ensure(elsewhere, &config, &other, &e), -1);
    assert_non_null(strstr(e.text, odd));
    assert_int_equal(suite.ops->destroy(elsewhere, "odd-1", clock_now_ms() + CALL_MS, &e), -1);
    suite.ops->close(elsewhere);
    if (suite.ops->destroy(context, "odd-1", clock_now_ms() + CALL_MS, &e) < 0) {
        fail_msg("%s", e.text);
    }
    suite.ops->close(context);
    provider_view_deinit(&view);
    char *lock = xasprintf("%s/.lock", odd);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(odd), 0);
    free(lock);
    free(odd);
}

/* Somebody still has a file of it open on this side: said, and mended by the next call. */
static void test_busy_root(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    void *context = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    struct provider_instance_config config = suite.instance;
    config.id = "busy-1";
    config.group = "busy";
    config.address = suite.addresses[1];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    struct provider_view view = {.id = NULL};
    assert_int_equal(suite.ops->ensure(context, &config, &view, &e), 0);
    char *root = xasprintf("%s/busy-1/root", instance_dir);
    int held = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(held >= 0);
    assert_int_equal(suite.ops->destroy(context, "busy-1", clock_now_ms() + 1000, &e), -1);
    assert_non_null(strstr(e.text, "some process still uses it"));
    if (suite.ops->destroy(context, "busy-1", clock_now_ms() + CALL_MS, &e) < 0) {
        fail_msg("%s", e.text);
    }
    close(held);
    assert_false(has_remains(&suite, "busy-1"));
    free(root);
    provider_view_deinit(&view);
    suite.ops->close(context);
}

/* ---- by workers, as the controller asks them ---- */

struct want {
    bool ended;
    enum work_outcome outcome;
    char text[600];
    char boot[100];
    char power[100]; /* "ID ADDRESS POWER" of each item. */
};

static void on_message(void *opaque, struct job *job, const struct message *message)
{
    (void)opaque;
    struct want *want = job_data(job);
    if (message_kind(message) == WIRE_ITEM) {
        size_t used = strlen(want->power);
        snprintf(want->power + used, sizeof(want->power) - used, "%s %s %d\n",
                 message_text(message, WIRE_INSTANCE, ""), message_text(message, WIRE_ADDRESS, ""),
                 (int)message_int(message, WIRE_POWER, -1));
    }
}

static void on_end(void *opaque, struct job *job, enum work_outcome outcome,
                   const struct message *result, const char *text)
{
    (void)opaque;
    struct want *want = job_data(job);
    want->ended = true;
    want->outcome = outcome;
    text_copy(want->text, sizeof(want->text), text == NULL ? "" : text);
    if (result != NULL) {
        text_copy(want->boot, sizeof(want->boot), message_text(result, WIRE_BOOT_ID, ""));
    }
}

/* Sends REQUEST, with its deadline, and waits for its end. */
static struct want ask(enum crew_kind kind, struct message *request)
{
    const struct crew_callbacks callbacks = {.on_message = on_message, .on_end = on_end};
    struct want want = {.ended = false};
    struct err e = ERR_NULL;
    int64_t deadline_ms = clock_now_ms() + CALL_MS;
    message_put_int(request, WIRE_DEADLINE, deadline_ms);
    const struct crew_request asked = {
        .kind = kind, .message = request, .deadline_ms = deadline_ms, .data = &want};
    crew_set_callbacks(crew, &callbacks);
    if (crew_start(crew, &asked, &e) != 0) {
        fail_msg("%s", e.text);
    }
    while (!want.ended && clock_now_ms() < deadline_ms + CALL_MS) {
        assert_int_equal(crew_wait(crew, NULL, 0, clock_now_ms() + 100, &e), 0);
    }
    message_deinit(request);
    return want;
}

static struct want ask_host(uint16_t kind, const char *address, const char *host_key)
{
    char *key = xasprintf("%s/login", work_dir);
    const struct ssh_target target = {.name = "boot-1",
                                      .address = address,
                                      .port = 22,
                                      .user = "root",
                                      .host_key = host_key,
                                      .key_file = key,
                                      .connect_timeout_ms = 10000,
                                      .read_timeout_ms = 10000};
    struct message request = MESSAGE_NULL;
    struct message encoded = MESSAGE_NULL;
    message_init(&request, kind);
    ssh_target_encode(&target, &encoded);
    message_put_message(&request, WIRE_TARGET, &encoded);
    message_put_int(&request, WIRE_PATIENCE, CALL_MS);
    message_deinit(&encoded);
    free(key);
    return ask(CREW_SSH, &request);
}

static struct want ask_provider(uint16_t kind)
{
    struct provider_suite suite = new_suite();
    struct message request = MESSAGE_NULL;
    message_init(&request, kind);
    message_put_int(&request, WIRE_PROVIDER_TYPE, SPEC_PROVIDER_LIBVIRT);
    message_put_text(&request, WIRE_CLUSTER, suite.config.cluster);
    message_put_text(&request, WIRE_PROVIDER, suite.config.name);
    message_put_text(&request, WIRE_ZONE, suite.config.zone);
    message_put_text(&request, WIRE_URI, suite.config.uri);
    message_put_text(&request, WIRE_BRIDGE, suite.config.bridge);
    message_put_text(&request, WIRE_IMAGE_DIR, suite.config.image_dir);
    message_put_text(&request, WIRE_INSTANCE_DIR, suite.config.instance_dir);
    message_put_text(&request, WIRE_INSTANCE, "boot-1");
    message_put_int(&request, WIRE_EPOCH, 1);
    return ask(CREW_PROVIDER, &request);
}

static void assert_power(enum provider_power power)
{
    struct want list = ask_provider(WIRE_LIST);
    char expected[64];
    snprintf(expected, sizeof(expected), "boot-1 10.77.1.201 %d\n", (int)power);
    assert_string_equal(list.power, expected);
}

/* The rungs above a restart, on a real host: it reboots itself, it is switched off. */
static void test_rebooted_and_switched_off(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    void *context = NULL;
    struct err e = ERR_NULL;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    struct provider_instance_config config = suite.instance;
    config.id = "boot-1";
    config.group = "boot";
    config.address = suite.addresses[0];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    struct provider_view view = {.id = NULL};
    if (suite.ops->ensure(context, &config, &view, &e) < 0) {
        fail_msg("%s", e.text);
    }
    struct want before = ask_host(WIRE_GREET, config.address, view.host_key);
    assert_int_equal(before.outcome, WORK_DONE);
    assert_true(before.boot[0] != '\0');
    int64_t start_ms = clock_now_ms();
    struct want done = ask_host(WIRE_REBOOT, config.address, view.host_key);
    int64_t rebooted_ms = clock_now_ms() - start_ms;
    if (done.outcome != WORK_DONE) {
        fail_msg("%s", done.text);
    }
    assert_string_not_equal(done.boot, before.boot);
    struct want after = ask_host(WIRE_GREET, config.address, view.host_key);
    assert_string_equal(after.boot, done.boot);
    assert_power(PROVIDER_RUNNING);
    start_ms = clock_now_ms();
    struct want off = ask_provider(WIRE_STOP);
    int64_t stopped_ms = clock_now_ms() - start_ms;
    if (off.outcome != WORK_DONE) {
        fail_msg("%s", off.text);
    }
    assert_power(PROVIDER_OFF);
    provider_view_deinit(&view);
    /* The suite's own epoch is 0: that one is too old by now. */
    assert_int_equal(suite.ops->ensure(context, &config, &view, &e), -1);
    assert_non_null(strstr(e.text, "a newer controller (epoch 1)"));
    suite.ops->close(context);
    suite.config.epoch = 2;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    config.deadline_ms = clock_now_ms() + CALL_MS;
    if (suite.ops->ensure(context, &config, &view, &e) < 0) {
        fail_msg("%s", e.text);
    }
    struct want again = ask_host(WIRE_GREET, config.address, view.host_key);
    assert_int_equal(again.outcome, WORK_DONE);
    assert_string_not_equal(again.boot, after.boot);
    assert_int_equal(suite.ops->destroy(context, "boot-1", clock_now_ms() + CALL_MS, &e), 0);
    assert_false(has_remains(&suite, "boot-1"));
    print_message("          rebooted %lld ms, switched off %lld ms\n", (long long)rebooted_ms,
                  (long long)stopped_ms);
    provider_view_deinit(&view);
    suite.ops->close(context);
}

static void test_no_libvirt(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    struct err e = ERR_NULL;
    void *context = NULL;
    static const char *const bad[] = {"qemu:///system", "lxc+ssh://host/", "",
                                      "lxc:///?socket=/no/such"};
    static const char *const says[] = {"use lxc:///", "use lxc:///", "use lxc:///",
                                       "is libvirtd running"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        suite.config.uri = bad[i];
        assert_int_equal(suite.ops->open(&suite.config, &context, &e), -1);
        assert_true(text_starts(e.text, "provider lab: "));
        if (strstr(e.text, says[i]) == NULL) {
            fail_msg("%s: %s", bad[i], e.text);
        }
    }
}

/* Refused before anything of an instance is there, and taken again when it is put right. */
static void test_altered_image(void **state)
{
    (void)state;
    struct provider_suite suite = new_suite();
    void *context = NULL;
    struct err e = ERR_NULL;
    struct provider_view view = {.id = NULL};
    struct provider_instance_config config = suite.instance;
    config.id = "alt-1";
    config.group = "alt";
    config.address = suite.addresses[0];
    config.deadline_ms = clock_now_ms() + CALL_MS;
    assert_int_equal(suite.ops->open(&suite.config, &context, &e), 0);
    char *path = xasprintf("%s/signed/1/" IMAGE_FILE, signed_images);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte = 0;
    assert_int_equal(pread(fd, &byte, 1, 4000000), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 4000000), 1);
    assert_int_equal(suite.ops->ensure(context, &config, &view, &e), -1);
    assert_non_null(strstr(e.text, "not what was signed"));
    assert_false(has_remains(&suite, "alt-1"));
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 4000000), 1);
    close(fd);
    config.image = "signed@2";
    assert_int_equal(suite.ops->ensure(context, &config, &view, &e), -1);
    assert_non_null(strstr(e.text, "signed@2"));
    config.image = "signed@1";
    if (suite.ops->ensure(context, &config, &view, &e) < 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(image_mounts(NULL, 0), 1);
    assert_int_equal(suite.ops->destroy(context, "alt-1", clock_now_ms() + CALL_MS, &e), 0);
    assert_int_equal(image_mounts(NULL, 0), 0);
    provider_view_deinit(&view);
    suite.ops->close(context);
    free(path);
}

static void test_no_image_is_left_mounted(void **state)
{
    (void)state;
    assert_int_equal(image_mounts(NULL, 0), 0);
    char *file = xasprintf("%s/signed/1/" IMAGE_FILE, signed_images);
    for (int i = 0; i < 100 && loop_is_used(file); i++) {
        usleep(20000);
    }
    assert_false(loop_is_used(file));
    free(file);
}

int main(int count, char **arguments)
{
    on_signed_image = getenv("LAMPLIGHTER_TEST_SIGNED") != NULL;
    const char *lab = getenv("LAB_NAME");
    const char *directory = getenv("LAMPLIGHTER_TEST_DIR");
    if (lab == NULL || directory == NULL) {
        fprintf(stderr, "run tests/lab/provider_libvirt_test instead\n");
        return 2;
    }
    instance_dir = xasprintf("/var/lib/lamplighter/labs/%s/instances", lab);
    work_dir = xstrdup(directory);
    signed_images = xasprintf("%s/images", work_dir);
    signed_keys = xasprintf("%s/image.pub", work_dir);
    char *key_path = xasprintf("%s/login.pub", work_dir);
    login_key = text_of(key_path);
    free(key_path);
    if (count == 4) {
        _exit(make_one_call(arguments[1], arguments[2], arguments[3]));
    }
    /* Before there are threads. */
    struct err e = ERR_NULL;
    if (crew_new(&crew, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    connection = virConnectOpen("lxc:///");
    if (connection == NULL) {
        return 1;
    }
    if (on_signed_image) {
        make_signed_image();
    }
    struct provider_suite suite = new_suite();
    suite.power_off = power_off;
    suite.restart_host = restart_host;
    suite.plant = plant;
    suite.is_planted = is_planted;
    suite.has_remains = has_remains;
    suite.cut_short = cut_short;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login_and_who_it_is),
        cmocka_unit_test(test_many_processes_at_once),
        cmocka_unit_test(test_hostile_root),
        cmocka_unit_test(test_late_definition),
        cmocka_unit_test(test_no_such_bridge),
        cmocka_unit_test(test_in_a_workers_sandbox),
        cmocka_unit_test(test_odd_directory),
        cmocka_unit_test(test_busy_root),
        cmocka_unit_test(test_rebooted_and_switched_off),
        cmocka_unit_test(test_no_libvirt),
        cmocka_unit_test(test_libvirt_hangs),
    };
    const struct CMUnitTest signed_tests[] = {
        cmocka_unit_test(test_many_processes_at_once),
        cmocka_unit_test(test_in_a_workers_sandbox),
        cmocka_unit_test(test_altered_image),
    };
    int failed =
        on_signed_image
            ? cmocka_run_group_tests_name("libvirt, a signed image", signed_tests, NULL, NULL)
            : cmocka_run_group_tests_name("libvirt, in a lab", tests, NULL, NULL);
    failed += provider_suite_run(&suite);
    const struct CMUnitTest last[] = {cmocka_unit_test(test_no_image_is_left_mounted)};
    failed += cmocka_run_group_tests_name("libvirt, afterwards", last, NULL, NULL);
    virConnectClose(connection);
    crew_free(crew);
    free(login_key);
    free(work_dir);
    free(signed_images);
    free(signed_keys);
    free(instance_dir);
    return failed;
}
