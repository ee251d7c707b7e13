#include "frontend/haproxy_file.h"

#include "base/clock.h"
#include "base/err.h"
#include "frontend/haproxy_host.h"
#include "frontend/haproxy_render.h"
#include "net/digest.h"

#include <string.h>

#define FILE_DEADLINE_MS 60000
#define RACES_MAX        8

/* Exit statuses of the script below. */
#define STATUS_REFUSED 65
#define STATUS_RACED   75
#define STATUS_CUT     76

/* Starts a script with its variables. */
static void add_variable(struct str *script, const char *name, const char *value)
{
    str_addf(script, "%s=", name);
    str_add_shell(script, value);
    str_add_char(script, '\n');
}

int haproxy_file_read(const struct haproxy_host *host, struct str *ret_text, struct err *e)
{
    struct str script = STR_NULL;
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    add_variable(&script, "file", host->paths->config);
    str_add(&script, "[ ! -e \"$file\" ] || exec cat \"$file\"");
    int result = haproxy_host_script(host, str_text(&script), NULL,
                                     clock_now_ms() + FILE_DEADLINE_MS, &output, e);
    if (result == 0 && output.status != 0) {
        struct str words = STR_NULL;
        haproxy_add_last_line(&words, &output.err);
        result = err_set(e, "read %s: %s (is role haproxy applied to this host?)",
                         host->paths->config, str_text(&words));
        str_deinit(&words);
    }
    if (result == 0) {
        str_add_bytes(ret_text, str_text(&output.out), output.out.length);
    }
    str_deinit(&script);
    haproxy_output_deinit(&output);
    return result;
}

/* A line of HAProxy's that only says that others were said. */
static bool is_empty_complaint(const char *line)
{
    static const char *const empty[] = {
        "Fatal errors found", "Error(s) found",     "Loading failure",
        "exited with code",   "Some configuration", "Some protocols failed",
        "exit-on-failure",    "sendmsg()",          "has no server available"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        if (strstr(line, empty[i]) != NULL) {
            return true;
        }
    }
    return false;
}

void haproxy_add_complaint(struct str *s, const struct str *text)
{
    struct str line = STR_NULL;
    struct str last = STR_NULL;
    for (const char *p = str_text(text); *p != '\0';) {
        size_t length = strcspn(p, "\n");
        str_clear(&line);
        str_add_bytes(&line, p, length);
        if (strstr(str_text(&line), "[ALERT]") != NULL && !is_empty_complaint(str_text(&line))) {
            /* "[ALERT]    (4711) : config : parsing ..." without what is in front. */
            const char *words = strstr(str_text(&line), " : ");
            words = words == NULL ? str_text(&line) : words + 3;
            str_clear(&last);
            str_add(&last, words);
        }
        p += length + (p[length] == '\n' ? 1 : 0);
    }
    if (last.length > 0) {
        str_trim(&last);
        str_add_printable(s, str_text(&last), last.length, false);
    } else {
        haproxy_add_last_line(s, text);
    }
    str_deinit(&line);
    str_deinit(&last);
}

/*
 * The text comes on standard input. A line that drops in the middle leaves half a file, which may
 * well be valid: so its digest is checked first. It stands beside the old one (same file system)
 * until it takes its place. Only root reads it: a sticky pool's key is in it.
 */
static const char install_script[] =
    "new=$file.lamplighter-new\n"
    "umask 077\n"
    "trap 'rm -f \"$new\"' EXIT\n"
    "digest() { sha256sum | { read -r d _; printf %s \"$d\"; }; }\n"
    "cat >\"$new\" || exit 1\n"
    "[ \"$(digest <\"$new\")\" = \"$wanted\" ] || exit 76\n"
    "if [ -n \"$expected\" ]; then\n"
    "    if [ -e \"$file\" ]; then now=$(digest <\"$file\"); else now=$(printf '' | digest); fi\n"
    "    [ \"$now\" = \"$expected\" ] || exit 75\n"
    "fi\n"
    "if [ -z \"$trusted\" ]; then haproxy -c -f \"$new\" </dev/null >/dev/null || exit 65; fi\n"
    "[ -z \"$only_check\" ] || exit 0\n"
    "sync \"$new\" && mv -f \"$new\" \"$file\" && sync \"${file%/*}\"\n";

static void add_digest(struct str *script, const char *name, const struct str *text)
{
    char digest[DIGEST_TEXT_SIZE] = "";
    if (text != NULL) {
        digest_text(str_text(text), text->length, digest);
    }
    add_variable(script, name, digest);
}

static int judge_install(const struct haproxy_host *host, const struct haproxy_output *output,
                         bool *ret_raced, struct err *e)
{
    if (output->status == 0 || output->status == STATUS_RACED) {
        *ret_raced = output->status == STATUS_RACED;
        return 0;
    }
    struct str words = STR_NULL;
    if (output->status == STATUS_REFUSED) {
        haproxy_add_complaint(&words, &output->err);
        err_set(e, "haproxy -c refuses the new configuration: %s", str_text(&words));
    } else if (output->status == STATUS_CUT) {
        err_set(e, "write %s: it arrived incomplete", host->paths->config);
    } else {
        haproxy_add_last_line(&words, &output->err);
        err_set(e, "write %s: %s", host->paths->config, str_text(&words));
    }
    str_deinit(&words);
    return -1;
}

static int run_install(const struct haproxy_host *host, const struct haproxy_install *install,
                       bool only_check, bool *ret_raced, struct err *e)
{
    struct str script = STR_NULL;
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    add_variable(&script, "file", host->paths->config);
    add_digest(&script, "wanted", install->text);
    add_digest(&script, "expected", install->expected);
    add_variable(&script, "trusted", install->trusted ? "yes" : "");
    add_variable(&script, "only_check", only_check ? "yes" : "");
    str_add(&script, install_script);
    int (*const run)(const struct haproxy_host *, const char *, const struct str *, int64_t,
                     struct haproxy_output *, struct err *) =
        only_check ? haproxy_host_script : haproxy_host_write;
    int result =
        run(host, str_text(&script), install->text, clock_now_ms() + FILE_DEADLINE_MS, &output, e);
    if (result == 0) {
        result = judge_install(host, &output, ret_raced, e);
    }
    str_deinit(&script);
    haproxy_output_deinit(&output);
    return result;
}

int haproxy_file_install(const struct haproxy_host *host, const struct haproxy_install *install,
                         bool *ret_raced, struct err *e)
{
    return run_install(host, install, false, ret_raced, e);
}

int haproxy_file_check(const struct haproxy_host *host, const struct str *text, struct err *e)
{
    bool raced;
    return run_install(host, &(struct haproxy_install){.text = text}, true, &raced, e);
}

/* The text with the change; false when it has it already. */
static int change_member(const struct str *old, const char *pool, const char *id,
                         const char *address, struct str *ret_new, bool *ret_changed, struct err *e)
{
    struct haproxy_server_list list = HAPROXY_SERVER_LIST_NULL;
    if (!haproxy_text_servers(str_text(old), pool, &list)) {
        if (address == NULL) {
            *ret_changed = false;
            return 0;
        }
        return err_set(e, "HAProxy's configuration has no pool %s", pool);
    }
    const struct haproxy_server *server = haproxy_server_list_find(&list, id);
    if (address == NULL) {
        *ret_changed = haproxy_server_list_remove(&list, id);
    } else {
        *ret_changed = server == NULL || server->disabled || strcmp(server->address, address) != 0;
        haproxy_server_list_put(&list, id, address, false);
    }
    if (*ret_changed) {
        haproxy_text_set_servers(str_text(old), pool, &list, ret_new);
    }
    haproxy_server_list_deinit(&list);
    return 0;
}

int haproxy_file_set_member(const struct haproxy_host *host, const char *pool, const char *id,
                            const char *address, struct err *e)
{
    bool raced = true;
    int result = 0;
    for (int i = 0; raced && i < RACES_MAX && result == 0; i++) {
        struct str old = STR_NULL;
        struct str new = STR_NULL;
        bool changed = false;
        raced = false;
        if (haproxy_file_read(host, &old, e) != 0 ||
            change_member(&old, pool, id, address, &new, &changed, e) != 0) {
            result = -1;
        } else if (changed) {
            const struct haproxy_install install = {.text = &new, .expected = &old};
            result = haproxy_file_install(host, &install, &raced, e);
        }
        str_deinit(&old);
        str_deinit(&new);
    }
    if (result == 0 && raced) {
        result = err_set(e, "%s is changed by somebody else all the time", host->paths->config);
    }
    return result;
}
