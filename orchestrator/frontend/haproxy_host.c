#include "frontend/haproxy_host.h"

#include "base/err.h"
#include "frontend/frontend.h"
#include "net/ssh_link.h"
#include "role/prelude.h"

#include <poll.h>

/* Status of `flock` when the lock was not had in time. */
#define LOCK_STATUS 73
#define LOCK_WAIT_S 20
/* Of a script that the guard did not let begin. */
#define EPOCH_STATUS 77
#define OUTPUT_MAX   (8u * 1024 * 1024)

const struct haproxy_paths haproxy_paths_debian = {
    .config = "/etc/haproxy/haproxy.cfg",
    .socket = "/run/haproxy/admin.sock",
    .chroot = "/var/lib/haproxy",
    .user = "haproxy",
    .log = "/dev/log",
    .reload = "if systemctl is-active -q haproxy; then systemctl reload haproxy; "
              "else systemctl reset-failed haproxy 2>/dev/null; systemctl start haproxy; fi",
    .state = "/var/lib/lamplighter",
    .words = "journalctl -u haproxy -o cat --no-pager -n 80 --since \"@$since\" 2>/dev/null",
};

void haproxy_output_deinit(struct haproxy_output *output)
{
    str_deinit(&output->out);
    str_deinit(&output->err);
}

static bool take_output(void *context, struct ssh_link *link, int stream, const char *bytes,
                        size_t length)
{
    (void)link;
    struct haproxy_output *output = context;
    str_add_bytes(stream == 1 ? &output->out : &output->err, bytes, length);
    return true;
}

static int run_over_link(void *context, const char *command, const struct str *input,
                         int64_t deadline_ms, struct haproxy_output *ret_output, struct err *e)
{
    const struct ssh_command run = {
        .command = command,
        .input = input == NULL ? NULL : str_text(input),
        .input_length = input == NULL ? 0 : input->length,
        .output_max = OUTPUT_MAX,
        .on_output = take_output,
        .context = ret_output,
    };
    enum ssh_outcome outcome = ssh_link_run(context, &run, deadline_ms, &ret_output->status, e);
    return outcome == SSH_OK ? 0 : -1;
}

struct haproxy_host haproxy_host_of(const struct frontend_balancer *balancer)
{
    return (struct haproxy_host){.run = run_over_link,
                                 .context = balancer->link,
                                 .paths = &haproxy_paths_debian,
                                 .epoch = balancer->epoch,
                                 .on_look = balancer->on_look,
                                 .look_context = balancer->look_context};
}

void haproxy_host_add_lock(const struct haproxy_host *host, struct str *command)
{
    struct str directory = STR_NULL;
    str_add(&directory, host->paths->config);
    while (directory.length > 1 && directory.text[directory.length - 1] != '/') {
        directory.text[--directory.length] = '\0';
    }
    str_addf(command, "flock -o -w %d -E %d ", LOCK_WAIT_S, LOCK_STATUS);
    str_add_shell(command, str_text(&directory));
    str_add_char(command, ' ');
    str_deinit(&directory);
}

int haproxy_host_script(const struct haproxy_host *host, const char *script,
                        const struct str *input, int64_t deadline_ms,
                        struct haproxy_output *ret_output, struct err *e)
{
    struct str command = STR_NULL;
    haproxy_host_add_lock(host, &command);
    str_add(&command, "sh -c ");
    str_add_shell(&command, script);
    int result = host->run(host->context, str_text(&command), input, deadline_ms, ret_output, e);
    str_deinit(&command);
    if (result == 0 && ret_output->status == LOCK_STATUS) {
        result =
            err_set(e, "another client holds HAProxy's configuration for over %d s", LOCK_WAIT_S);
    }
    return result;
}

/* The shell function that role scripts take the epoch with, and its call. */
static void add_guard(const struct haproxy_host *host, struct str *script)
{
    prelude_add_section(script, "epoch");
    str_add(script, "ll_take_epoch ");
    str_add_shell(script, host->paths->state);
    str_addf(script, " %lld || { printf '%%s\\n' \"$ll_why\" >&2; exit %d; }\n",
             (long long)host->epoch, EPOCH_STATUS);
}

int haproxy_host_write(const struct haproxy_host *host, const char *script, const struct str *input,
                       int64_t deadline_ms, struct haproxy_output *ret_output, struct err *e)
{
    struct str whole = STR_NULL;
    add_guard(host, &whole);
    str_add(&whole, script);
    int result = haproxy_host_script(host, str_text(&whole), input, deadline_ms, ret_output, e);
    str_deinit(&whole);
    if (result == 0 && ret_output->status == EPOCH_STATUS) {
        struct str why = STR_NULL;
        haproxy_add_last_line(&why, &ret_output->err);
        result = err_set(e, "%s", str_text(&why));
        str_deinit(&why);
    }
    return result;
}

void haproxy_add_last_line(struct str *s, const struct str *text)
{
    size_t end = text->length;
    while (end > 0 && (text->text[end - 1] == '\n' || text->text[end - 1] == ' ')) {
        end--;
    }
    size_t start = end;
    while (start > 0 && text->text[start - 1] != '\n') {
        start--;
    }
    if (end > start) {
        str_add_printable(s, text->text + start, end - start, false);
    }
}

void haproxy_sleep(int64_t span_ms)
{
    if (span_ms > 0) {
        poll(NULL, 0, span_ms > 60000 ? 60000 : (int)span_ms);
    }
}
