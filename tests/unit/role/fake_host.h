/*
 * A host for the tests of the role room: this machine's own shell, with a folder for a root and
 * stubs before the real tools. It stands in for net/ssh_link: the functions below are found by the
 * linker before the archive's, so role_run() is tested whole, script and all, but for the line
 * itself.
 *
 * Texts may hold $D (the folder of the test), $U and $G (who runs it, as owner and group).
 */
#ifndef TESTS_UNIT_ROLE_FAKE_HOST_H
#define TESTS_UNIT_ROLE_FAKE_HOST_H

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/problem.h"
#include "net/ssh_link.h"
#include "role/role.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct ssh_link {
    const char *directory;
    size_t drop_after;   /* Bytes of output after which the line drops; 0: never. */
    const char *instead; /* Shell text to run in place of the command; NULL: the command. */
    struct str queue;    /* For the command's standard input. */
    bool eof;
    int status; /* Of the last command. */
};

struct fake_result {
    char *type, *name, *text;
    enum role_result_status status;
};

struct host {
    char directory[64];
    struct ssh_link link;
    struct fake_result results[64];
    size_t result_count;
    struct str progress; /* "type name\n" for each. */
    struct role_report report;
    struct role_library *library;
    struct problem_list problems;
    struct secret secret; /* The value of setting t.password, when it has one. */
    json_t *context;
};

void ssh_link_write(struct ssh_link *link, const void *bytes, size_t length)
{
    str_add_bytes(&link->queue, bytes, length);
}

void ssh_link_eof(struct ssh_link *link)
{
    link->eof = true;
}

const char *ssh_outcome_to_string(enum ssh_outcome outcome)
{
    return outcome == SSH_LOST ? "the line dropped" : "other";
}

static void fake_child(const struct ssh_link *link, const char *command, int in, int out, int err)
{
    /* The stubs come first in the path that role_run() sets. */
    struct str with_stubs = STR_NULL;
    const char *path = strstr(command, "PATH=");
    assert_non_null(path);
    str_add_bytes(&with_stubs, command, (size_t)(path - command) + 5);
    str_addf(&with_stubs, "%s/bin:%s", link->directory, path + 5);
    const char *text = link->instead == NULL ? str_text(&with_stubs) : link->instead;
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    for (int fd = 3; fd < 64; fd++) {
        close(fd);
    }
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/sh", "sh", "-c", text, (char *)NULL);
    _exit(127);
}

/* Passes on what has come on FD. False when it is at its end, or the caller has enough. */
static bool fake_read(struct ssh_link *link, const struct ssh_command *command, int fd, int stream,
                      size_t *total)
{
    char buffer[777]; /* Odd, so that lines are cut anywhere. */
    ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got <= 0) {
        return false;
    }
    size_t length = (size_t)got;
    if (link->drop_after > 0 && *total + length > link->drop_after) {
        length = link->drop_after - *total;
    }
    *total += length;
    return command->on_output(command->context, link, stream, buffer, length) &&
           (link->drop_after == 0 || *total < link->drop_after);
}

enum ssh_outcome ssh_link_run(struct ssh_link *link, const struct ssh_command *command,
                              int64_t deadline_ms, int *ret_status, struct err *e)
{
    int in[2], out[2], err[2];
    size_t total = 0;
    bool dropped = false;
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        fake_child(link, command->command, in[0], out[1], err[1]);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    str_clear(&link->queue);
    str_add_bytes(&link->queue, command->input, command->input_length);
    link->eof = !command->keep_input_open;
    struct pollfd fds[3] = {{.fd = out[0], .events = POLLIN},
                            {.fd = err[0], .events = POLLIN},
                            {.fd = in[1], .events = POLLOUT}};
    while ((fds[0].fd >= 0 || fds[1].fd >= 0) && clock_now_ms() < deadline_ms) {
        if (fds[2].fd >= 0 && link->queue.length == 0 && link->eof) {
            close(fds[2].fd);
            fds[2].fd = -1;
        }
        fds[2].events = link->queue.length > 0 ? POLLOUT : 0;
        poll(fds, 3, 100);
        if (fds[2].fd >= 0 && (fds[2].revents & POLLOUT) != 0) {
            ssize_t put = write(fds[2].fd, link->queue.text, link->queue.length);
            if (put > 0) {
                str_drop(&link->queue, (size_t)put);
            }
        }
        for (int i = 0; i < 2; i++) {
            if (fds[i].fd >= 0 && (fds[i].revents & (POLLIN | POLLHUP)) != 0 &&
                !fake_read(link, command, fds[i].fd, i + 1, &total)) {
                dropped = dropped || (link->drop_after > 0 && total >= link->drop_after);
                if (dropped) {
                    goto end;
                }
                close(fds[i].fd);
                fds[i].fd = -1;
            }
        }
    }
end:
    for (int i = 0; i < 3; i++) {
        if (fds[i].fd >= 0) {
            close(fds[i].fd);
        }
    }
    int status = 0;
    if (clock_now_ms() >= deadline_ms) {
        kill(child, SIGKILL);
    }
    waitpid(child, &status, 0);
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    link->status = *ret_status;
    str_deinit(&link->queue);
    if (dropped) {
        err_set(e, "the line dropped");
        return SSH_LOST;
    }
    return clock_now_ms() >= deadline_ms ? SSH_TIMEOUT : SSH_OK;
}

__attribute__((unused)) static char *expand(const struct host *host, const char *text)
{
    struct str out = STR_NULL;
    const struct passwd *user = getpwuid(geteuid());
    const struct group *group = getgrgid(getegid());
    for (; *text != '\0'; text++) {
        if (text[0] == '$' && text[1] == 'D') {
            str_add(&out, host->directory);
            text++;
        } else if (text[0] == '$' && text[1] == 'U') {
            str_add(&out, user->pw_name);
            text++;
        } else if (text[0] == '$' && text[1] == 'G') {
            str_add(&out, group->gr_name);
            text++;
        } else {
            str_add_char(&out, *text);
        }
    }
    str_add(&out, "");
    return out.text == NULL ? xstrdup("") : str_take(&out);
}

/* A file of the test: NAME below its folder. MODE 0755 for a stub. */
__attribute__((unused)) static void host_write(const struct host *host, const char *name,
                                               const char *text, unsigned mode)
{
    char *path = xasprintf("%s/%s", host->directory, name);
    char *whole = expand(host, text);
    for (char *slash = path + strlen(host->directory) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, whole, strlen(whole)), (ssize_t)strlen(whole));
    fchmod(fd, mode);
    close(fd);
    free(whole);
    free(path);
}

/* A tool before the real one: BODY is sh; what it is called with goes to $D/calls. */
__attribute__((unused)) static void host_stub(const struct host *host, const char *name,
                                              const char *body)
{
    char *path = xasprintf("bin/%s", name);
    char *text = xasprintf("#!/bin/sh\necho \"%s $*\" >>$D/calls\n%s\n", name, body);
    host_write(host, path, text, 0755);
    free(text);
    free(path);
}

/* The text of a file below the folder, "" when there is none; the caller frees. */
__attribute__((unused)) static char *host_read(const struct host *host, const char *name)
{
    struct str text = STR_NULL;
    char *path = xasprintf("%s/%s", host->directory, name);
    str_read_file(&text, path, 1 << 24, NULL);
    free(path);
    str_add(&text, "");
    return text.text == NULL ? xstrdup("") : str_take(&text);
}

__attribute__((unused)) static void assert_file(const struct host *host, const char *name,
                                                const char *expected)
{
    char *text = host_read(host, name);
    char *whole = expand(host, expected);
    assert_string_equal(text, whole);
    free(text);
    free(whole);
}

__attribute__((unused)) static bool host_has(const struct host *host, const char *name)
{
    struct stat st;
    char *path = xasprintf("%s/%s", host->directory, name);
    bool found = lstat(path, &st) == 0;
    free(path);
    return found;
}

__attribute__((unused)) static unsigned host_mode(const struct host *host, const char *name)
{
    struct stat st;
    char *path = xasprintf("%s/%s", host->directory, name);
    assert_int_equal(lstat(path, &st), 0);
    free(path);
    return st.st_mode & 07777;
}

/* Runs one command of the test's own, in its folder. */
__attribute__((unused)) static void host_sh(const struct host *host, const char *command)
{
    char *whole = expand(host, command);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", whole, (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(whole);
}

__attribute__((unused)) static int host_setup(void **state)
{
    struct host *host = xcalloc(1, sizeof(*host));
    text_copy(host->directory, sizeof(host->directory), "/tmp/lamplighter-role-XXXXXX");
    assert_non_null(mkdtemp(host->directory));
    host->link.directory = host->directory;
    host->context =
        json_pack("{s:{s:s},s:{s:s,s:s,s:s,s:s},s:{}}", "cluster", "name", "shop", "instance", "id",
                  "web-1", "group", "web", "zone", "a", "address", "10.77.1.2", "groups");
    host_write(host, "root/run/.keep", "", 0644);
    host_write(host, "root/var/lib/dpkg/status",
               "Package: dash\nEssential: yes\nStatus: install ok installed\n\n", 0644);
    host_write(host, "root/var/lib/apt/lists/x_Packages", "", 0644);
    host_write(host, "root/etc/apt/sources.list", "", 0644);
    host_sh(host, "touch -d '1 hour ago' $D/root/etc/apt/sources.list; mkdir -p $D/bin "
                  "$D/root/etc/systemd/system $D/root/etc/sysctl.d");
    *state = host;
    return 0;
}

__attribute__((unused)) static void host_forget(struct host *host)
{
    for (size_t i = 0; i < host->result_count; i++) {
        free(host->results[i].type);
        free(host->results[i].name);
        free(host->results[i].text);
    }
    host->result_count = 0;
    str_deinit(&host->progress);
    role_report_deinit(&host->report);
    problem_list_deinit(&host->problems);
    role_library_free(host->library);
    host->library = NULL;
}

__attribute__((unused)) static int host_teardown(void **state)
{
    struct host *host = *state;
    host_forget(host);
    host_sh(host, "rm -rf $D");
    json_decref(host->context);
    secret_deinit(&host->secret);
    free(host);
    return 0;
}

static void on_result(void *context, const struct role_result *result)
{
    struct host *host = context;
    assert_true(host->result_count < 64);
    host->results[host->result_count++] =
        (struct fake_result){.type = xstrdup(result->type),
                             .name = xstrdup(result->name),
                             .text = xstrdup(result->text == NULL ? "" : result->text),
                             .status = result->status};
}

static void on_progress(void *context, const char *role, const char *type, const char *name)
{
    struct host *host = context;
    (void)role;
    str_addf(&host->progress, "%s %s\n", type, name);
}

/* Compiles role "t" made of INI; returns what role_compile() does. */
__attribute__((unused)) static int host_compile(struct host *host, const char *ini,
                                                struct role_script *script)
{
    const char *names[] = {"t"};
    char *roles = xasprintf("%s/roles", host->directory);
    const char *paths[] = {roles};
    struct role_setting setting = {.role = "t",
                                   .variable = "password",
                                   .value = "",
                                   .secret = &host->secret,
                                   .file = "cluster.ini",
                                   .line = 7};
    host_forget(host);
    host_write(host, "roles/t/role.ini", ini, 0644);
    host->library = role_library_new(paths, 1);
    free(roles);
    role_library_load(host->library, names, 1, "cluster.ini", 1, &host->problems);
    return role_compile(host->library, names, 1, &setting, host->secret.length > 0 ? 1 : 0,
                        host->context, script, &host->problems);
}

__attribute__((unused)) static struct role_run_options host_options(struct host *host)
{
    return (struct role_run_options){.cluster = "shop",
                                     .instance = "web-1",
                                     .owner = "test, pid 1",
                                     .epoch = 3,
                                     .deadline_ms = clock_now_ms() + 60000,
                                     .on_result = on_result,
                                     .on_progress = on_progress,
                                     .context = host};
}

/* Compiles INI and runs it with OPTIONS; the results are in HOST. */
__attribute__((unused)) static void host_run(struct host *host, const char *ini,
                                             const struct role_run_options *options)
{
    struct role_script script;
    int result = host_compile(host, ini, &script);
    if (result != 0) {
        problem_list_print(&host->problems, stderr);
    }
    assert_int_equal(result, 0);
    /* Our own state lies in the test's folder: the first line of the prelude names the root. */
    char *at = strstr(script.text.text, "\nll_root=\n");
    assert_non_null(at);
    struct str text = STR_NULL;
    str_add_bytes(&text, script.text.text, (size_t)(at - script.text.text));
    str_addf(&text, "\nll_root=%s/root\n", host->directory);
    str_add(&text, at + strlen("\nll_root=\n"));
    str_deinit(&script.text);
    script.text = text;
    role_run(&host->link, &script, options, &host->report);
    role_script_deinit(&script);
}

__attribute__((unused)) static void host_apply(struct host *host, const char *ini)
{
    struct role_run_options options = host_options(host);
    host_run(host, ini, &options);
}

__attribute__((unused)) static void host_check(struct host *host, const char *ini)
{
    struct role_run_options options = host_options(host);
    options.check = true;
    options.diff = true;
    host_run(host, ini, &options);
}

/* All results as "status type name" lines, with $D and so on in the names put back. */
__attribute__((unused)) static void assert_results(const struct host *host, const char *expected)
{
    struct str lines = STR_NULL;
    char *whole = expand(host, expected);
    for (size_t i = 0; i < host->result_count; i++) {
        str_addf(&lines, "%s %s %s\n", role_result_status_to_string(host->results[i].status),
                 host->results[i].type, host->results[i].name);
    }
    if (host->report.text != NULL && host->report.outcome != ROLE_RUN_FAILED) {
        str_addf(&lines, "(%s)\n", host->report.text);
    }
    assert_string_equal(str_text(&lines), whole);
    str_deinit(&lines);
    free(whole);
}

__attribute__((unused)) static void assert_contains(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL) {
        print_error("'%s' is not in: %s\n", part, text == NULL ? "(nothing)" : text);
        fail();
    }
}

#endif
