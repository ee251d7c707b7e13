/*
 * One script over one channel. The command that is executed says nothing but how many bytes to read
 * and evaluate: the script, the options and the secrets travel on standard input, where no other
 * process of the host can see them.
 */
#include "role/role.h"

#include "base/err.h"
#include "base/mem.h"
#include "net/ssh_link.h"
#include "role/report.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* A script that works gives a sign of life every 20 seconds. */
#define SILENCE_MS       65000
#define OUTPUT_BYTES_MAX ((size_t)8 << 20)
#define ERRORS_BYTES_MAX ((size_t)2048)

struct run {
    const struct role_script *script;
    struct ssh_link *link;
    struct report_parser parser;
    struct str errors; /* The first of what came on standard error. */
};

static void make_token(char ret_token[REPORT_TOKEN_SIZE])
{
    unsigned char bytes[(REPORT_TOKEN_SIZE - 1) / 2];
    ssize_t got = getrandom(bytes, sizeof(bytes), 0);
    assert(got == (ssize_t)sizeof(bytes)); /* So few bytes never come in part. */
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(ret_token + 2 * i, 3, "%02x", bytes[i]);
    }
}

static const struct role_blob *find_blob(const struct role_script *script, const char *digest)
{
    for (size_t i = 0; i < script->blob_count; i++) {
        if (text_equal(script->blobs[i].digest, digest)) {
            return &script->blobs[i];
        }
    }
    return NULL;
}

/* Exactly size_bytes go out: the host waits for them, and takes its own digest. */
static bool send_blob(struct run *run, const struct role_blob *blob)
{
    char buffer[65536];
    int64_t left = blob->size_bytes;
    int fd = open(blob->path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && left > 0) {
        size_t want = left < (int64_t)sizeof(buffer) ? (size_t)left : sizeof(buffer);
        ssize_t got = read(fd, buffer, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        ssh_link_write(run->link, buffer, (size_t)got);
        left -= got;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (left > 0) {
        run->parser.garbled = true;
        free(run->parser.report->text);
        run->parser.report->text =
            xasprintf("%s cannot be read (any more); it was to be sent", blob->path);
        return false;
    }
    return true;
}

static bool on_need(void *context, const char *digest)
{
    struct run *run = context;
    const struct role_blob *blob = find_blob(run->script, digest);
    if (blob == NULL) {
        run->parser.garbled = true;
        free(run->parser.report->text);
        run->parser.report->text = xstrdup("the host asked for what this script does not hold");
        return false;
    }
    return send_blob(run, blob);
}

static bool on_output(void *context, struct ssh_link *link, int stream, const char *bytes,
                      size_t length)
{
    struct run *run = context;
    if (stream == 2) {
        size_t room = ERRORS_BYTES_MAX - run->errors.length;
        str_add_bytes(&run->errors, bytes, length < room ? length : room);
        return true;
    }
    bool ended_before = run->parser.ended;
    bool go_on = report_parser_feed(&run->parser, bytes, length);
    if (run->parser.ended && !ended_before && run->script->blob_count > 0) {
        ssh_link_eof(link);
    }
    return go_on;
}

/* One word of the options line. */
static void add_word(struct str *input, const char *word)
{
    size_t before = input->length;
    for (; word != NULL && *word != '\0'; word++) {
        unsigned char c = (unsigned char)*word;
        str_add_char(input, c > 0x20 && c < 0x7f && c != '\\' ? *word : '_');
    }
    str_add(input, input->length == before ? "- " : " ");
}

static void add_input(const struct run *run, const struct role_run_options *options,
                      struct str *input)
{
    const struct role_script *script = run->script;
    int64_t wait_ms = options->lock_wait_ms < 0 ? 0 : options->lock_wait_ms;
    str_add_bytes(input, str_text(&script->text), script->text.length);
    str_addf(input, "%s %d %d %d %lld %lld ", run->parser.token, options->check ? 1 : 0,
             options->diff ? 1 : 0, options->restart ? 1 : 0, (long long)options->epoch,
             (long long)wait_ms);
    add_word(input, options->cluster);
    add_word(input, options->instance);
    str_add_printable(input, options->owner == NULL ? "-" : options->owner,
                      options->owner == NULL ? 1 : strlen(options->owner), false);
    str_add_char(input, '\n');
    for (size_t i = 0; i < script->secret_count; i++) {
        str_add_bytes(input, script->secrets[i].bytes, script->secrets[i].length);
        str_add_char(input, '\n');
    }
}

static char *make_command(const struct role_script *script)
{
    return xasprintf("sh -c 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
                     "LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive "
                     "APT_LISTCHANGES_FRONTEND=none; "
                     "export PATH LC_ALL HOME DEBIAN_FRONTEND APT_LISTCHANGES_FRONTEND; cd /; "
                     "eval \"$(head -c %zu)\"'",
                     script->text.length);
}

/* Whether BYTES are words of some tool: one byte in eight may be a control, colours have them. */
static bool is_text(const char *bytes, size_t length)
{
    size_t odd = 0;
    for (size_t i = 0; i < length;) {
        unsigned char c = (unsigned char)bytes[i];
        size_t wide = c < 0x80 ? 1 : text_utf8_length(bytes + i, length - i);
        odd += wide == 0 || (c < 0x20 && c != '\n' && c != '\t' && c != '\r') ? 1 : 0;
        i += wide == 0 ? 1 : wide;
    }
    return odd * 8 <= length;
}

/* The run ended without saying how. */
static void explain_silence(struct run *run, enum ssh_outcome outcome, int status,
                            const struct err *e)
{
    struct role_report *report = run->parser.report;
    struct str text = STR_NULL;
    if (outcome != SSH_OK) {
        report->outcome = outcome == SSH_FLOODED ? ROLE_RUN_GARBLED : ROLE_RUN_LOST;
        str_addf(&text, "%s", e->text[0] != '\0' ? e->text : ssh_outcome_to_string(outcome));
        if (run->parser.where.length > 0) {
            str_addf(&text, " (after: %s)", str_text(&run->parser.where));
        }
    } else {
        report->outcome = ROLE_RUN_GARBLED;
        str_addf(&text, "the host's shell ended with status %d and without a report", status);
        const struct str *said = run->errors.length > 0 ? &run->errors : &run->parser.noise;
        if (said->length > 0 && is_text(str_text(said), said->length)) {
            str_add(&text, "; it said: ");
            report_add_clean(run->script, &text, str_text(said), said->length);
            str_trim(&text);
        } else {
            str_addf(&text, "; it said %s; look there: the login shell, its .bashrc, ForceCommand",
                     said->length > 0 ? "what is no text" : "nothing");
        }
    }
    free(report->text);
    report->text = str_take(&text);
}

void role_run(struct ssh_link *link, const struct role_script *script,
              const struct role_run_options *options, struct role_report *ret_report)
{
    struct role_report report = {.outcome = ROLE_RUN_GARBLED};
    struct run run = {.script = script, .link = link};
    struct str input = STR_NULL;
    struct err e = ERR_NULL;
    int status = 0;
    run.parser = (struct report_parser){.script = script,
                                        .options = options,
                                        .report = &report,
                                        .on_need = on_need,
                                        .context = &run};
    make_token(run.parser.token);
    add_input(&run, options, &input);
    char *line = make_command(script);
    const struct ssh_command command = {.command = line,
                                        .input = str_text(&input),
                                        .input_length = input.length,
                                        .keep_input_open = script->blob_count > 0,
                                        .output_max = OUTPUT_BYTES_MAX,
                                        .read_timeout_ms = SILENCE_MS,
                                        .on_output = on_output,
                                        .context = &run};
    enum ssh_outcome outcome = ssh_link_run(link, &command, options->deadline_ms, &status, &e);
    if (run.parser.garbled) {
        report.outcome = ROLE_RUN_GARBLED;
    } else if (!run.parser.ended) {
        explain_silence(&run, outcome, status, &e);
    }
    explicit_bzero(input.text, input.length);
    str_deinit(&input);
    free(line);
    str_deinit(&run.errors);
    report_parser_deinit(&run.parser);
    *ret_report = report;
}
