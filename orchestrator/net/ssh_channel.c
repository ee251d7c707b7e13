/*
 * One command over one channel. One loop moves output and input in turns, so that neither side can
 * starve or block the other: a host that stops reading while it writes, or the other way round,
 * is still read from, and written to when its window opens.
 *
 * The rule of libssh2 that shapes it (see ssh_tunnel.c too): a call that stopped with its packet
 * half sent must be the next one made. `pending` remembers which that is.
 */
#include "net/ssh_session.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX    (16 * 1024 * 1024)
#define PIECE         32768
#define TURN_PIECES   8 /* As many, before the other direction has its turn. */
#define COMPLAINT_MAX 256

enum run_pending { RUN_FREE, RUN_READING, RUN_WRITING, RUN_ENDING_INPUT };

struct ssh_run {
    const struct ssh_command *command;
    LIBSSH2_CHANNEL *channel;
    enum run_pending pending;
    bool moved;        /* Something went either way in this round. */
    size_t input_sent; /* Of the command's own input. */
    struct str queue;  /* What ssh_link_write() added. */
    size_t queue_sent;
    bool eof_wanted;
    bool eof_sent;
    bool input_refused; /* The host's end does not take any more. */
    size_t output;      /* Bytes of both streams. */
    size_t output_max;
    bool printed;         /* Something on standard output. */
    struct str complaint; /* The start of standard error. */
};

/* Something useful happened: silence is counted from now. */
static void progress(struct ssh_link *link)
{
    link->run->moved = true;
    link->quiet_since_ms = clock_now_ms();
}

static void keep_complaint(struct ssh_run *run, int stream, const char *bytes, size_t length)
{
    if (stream == 1) {
        run->printed = true;
    } else if (run->complaint.length < COMPLAINT_MAX) {
        size_t room = COMPLAINT_MAX - run->complaint.length;
        str_add_bytes(&run->complaint, bytes, length < room ? length : room);
    }
}

static enum ssh_outcome deliver(struct ssh_link *link, int stream, const char *bytes, size_t length,
                                struct err *e)
{
    struct ssh_run *run = link->run;
    run->output += length;
    if (run->output > run->output_max) {
        err_set(e, "%s: printed more than %zu KiB; gave up reading", link->label,
                run->output_max / 1024);
        return SSH_FLOODED;
    }
    keep_complaint(run, stream, bytes, length);
    const struct ssh_command *command = run->command;
    if (command->on_output != NULL &&
        !command->on_output(command->context, link, stream, bytes, length)) {
        err_set(e, "%s: given up after what it answered", link->label);
        return SSH_LOST;
    }
    return SSH_OK;
}

static enum ssh_outcome read_stream(struct ssh_link *link, int stream, struct err *e)
{
    struct ssh_run *run = link->run;
    int id = stream == 1 ? 0 : SSH_EXTENDED_DATA_STDERR;
    char bytes[PIECE];
    for (int i = 0; i < TURN_PIECES; i++) {
        ssize_t got = libssh2_channel_read_ex(run->channel, id, bytes, sizeof(bytes));
        if (got == LIBSSH2_ERROR_EAGAIN) {
            run->pending = link->send_blocked ? RUN_READING : RUN_FREE;
            return SSH_OK;
        }
        run->pending = RUN_FREE;
        if (got < 0) {
            return ssh_failed(link, e);
        }
        if (got == 0) {
            return SSH_OK;
        }
        progress(link);
        enum ssh_outcome outcome = deliver(link, stream, bytes, (size_t)got, e);
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
    return SSH_OK;
}

static enum ssh_outcome move_output(struct ssh_link *link, struct err *e)
{
    struct ssh_run *run = link->run;
    enum ssh_outcome outcome = SSH_OK;
    for (int stream = 1; stream <= 2 && outcome == SSH_OK; stream++) {
        if (run->pending == RUN_FREE || run->pending == RUN_READING) {
            outcome = read_stream(link, stream, e);
        }
    }
    return outcome;
}

/* The next bytes for standard input, at most a piece of them. */
static const char *next_input(struct ssh_run *run, size_t *ret_length)
{
    const struct ssh_command *command = run->command;
    size_t left = command->input_length - run->input_sent;
    const char *bytes = (const char *)command->input + run->input_sent;
    if (left == 0) {
        left = run->queue.length - run->queue_sent;
        bytes = str_text(&run->queue) + run->queue_sent;
    }
    *ret_length = left < PIECE ? left : PIECE;
    return *ret_length == 0 ? NULL : bytes;
}

static void input_went(struct ssh_run *run, size_t length)
{
    if (run->input_sent < run->command->input_length) {
        run->input_sent += length;
        return;
    }
    run->queue_sent += length;
    if (run->queue_sent == run->queue.length) {
        str_clear(&run->queue);
        run->queue_sent = 0;
    }
}

/* A command that ends without reading all its input is no failure of ours: `head -n 1` does it. */
static bool refuses_input(ssize_t result)
{
    return result == LIBSSH2_ERROR_CHANNEL_CLOSED || result == LIBSSH2_ERROR_CHANNEL_EOF_SENT;
}

static enum ssh_outcome write_input(struct ssh_link *link, struct err *e)
{
    struct ssh_run *run = link->run;
    const char *bytes;
    size_t length;
    for (int i = 0; i < TURN_PIECES && !run->input_refused; i++) {
        bytes = next_input(run, &length);
        if (bytes == NULL) {
            return SSH_OK;
        }
        ssize_t sent = libssh2_channel_write(run->channel, bytes, length);
        if (sent == LIBSSH2_ERROR_EAGAIN || sent == 0) { /* 0: its window is closed. */
            run->pending = sent != 0 && link->send_blocked ? RUN_WRITING : RUN_FREE;
            return SSH_OK;
        }
        run->pending = RUN_FREE;
        if (refuses_input(sent)) {
            run->input_refused = true;
        } else if (sent < 0) {
            return ssh_failed(link, e);
        } else {
            input_went(run, (size_t)sent);
            progress(link);
        }
    }
    return SSH_OK;
}

static enum ssh_outcome end_input(struct ssh_link *link, struct err *e)
{
    struct ssh_run *run = link->run;
    int result = libssh2_channel_send_eof(run->channel);
    if (result == LIBSSH2_ERROR_EAGAIN) {
        run->pending = link->send_blocked ? RUN_ENDING_INPUT : RUN_FREE;
        return SSH_OK;
    }
    run->pending = RUN_FREE;
    run->eof_sent = true;
    return result == 0 || refuses_input(result) ? SSH_OK : ssh_failed(link, e);
}

static enum ssh_outcome move_input(struct ssh_link *link, struct err *e)
{
    struct ssh_run *run = link->run;
    size_t length;
    enum ssh_outcome outcome = SSH_OK;
    if (run->pending == RUN_FREE || run->pending == RUN_WRITING) {
        outcome = write_input(link, e);
    }
    bool all_sent = run->input_refused || next_input(run, &length) == NULL;
    if (outcome == SSH_OK && all_sent && run->eof_wanted && !run->eof_sent &&
        (run->pending == RUN_FREE || run->pending == RUN_ENDING_INPUT)) {
        outcome = end_input(link, e);
    }
    return outcome;
}

/* After a round: waits if nothing moved, looks at the clock in any case. */
static enum ssh_outcome pause_round(struct ssh_link *link, struct err *e)
{
    bool moved = link->run->moved;
    link->run->moved = false;
    return moved ? ssh_check_time(link, e) : ssh_wait(link, e);
}

static enum ssh_outcome move_until_output_ends(struct ssh_link *link, struct err *e)
{
    struct ssh_run *run = link->run;
    for (;;) {
        enum ssh_outcome outcome = move_output(link, e);
        if (outcome == SSH_OK) {
            outcome = move_input(link, e);
        }
        if (outcome != SSH_OK) {
            return outcome;
        }
        if (run->pending == RUN_FREE && !run->moved && libssh2_channel_eof(run->channel) == 1) {
            return SSH_OK;
        }
        outcome = pause_round(link, e);
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
}

/* The exit status comes after the output's end; the command may still read until then. */
static enum ssh_outcome move_until_closed(struct ssh_link *link, struct err *e)
{
    int result;
    while ((result = libssh2_channel_wait_closed(link->run->channel)) == LIBSSH2_ERROR_EAGAIN) {
        enum ssh_outcome outcome = move_input(link, e);
        if (outcome == SSH_OK) {
            outcome = pause_round(link, e);
        }
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
    return result == 0 ? SSH_OK : ssh_failed(link, e);
}

static enum ssh_outcome open_channel(struct ssh_link *link, struct err *e)
{
    struct ssh_run *run = link->run;
    while ((run->channel = libssh2_channel_open_session(link->session)) == NULL) {
        int number = libssh2_session_last_errno(link->session);
        if (number == LIBSSH2_ERROR_CHANNEL_FAILURE) {
            err_set(e,
                    "%s: opens no session for us; see MaxSessions and ForceCommand in its "
                    "sshd_config",
                    link->label);
            return SSH_REFUSED;
        }
        enum ssh_outcome outcome =
            number == LIBSSH2_ERROR_EAGAIN ? ssh_wait(link, e) : ssh_failed(link, e);
        if (outcome != SSH_OK) {
            return outcome;
        }
    }
    return SSH_OK;
}

static char *full_command(const struct ssh_link *link, const char *command)
{
    struct str text = STR_NULL;
    if (link->become != NULL) {
        str_addf(&text, "%s -n -- sh -c ", link->become);
        str_add_shell(&text, command);
    } else {
        str_add(&text, command);
    }
    return str_take(&text);
}

static enum ssh_outcome start_command(struct ssh_link *link, struct err *e)
{
    char *text = full_command(link, link->run->command->command);
    enum ssh_outcome outcome = SSH_OK;
    int result;
    while (outcome == SSH_OK &&
           (result = libssh2_channel_process_startup(link->run->channel, "exec", 4, text,
                                                     (unsigned)strlen(text))) != 0) {
        if (result == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) {
            err_set(e, "%s: does not run commands for us", link->label);
            outcome = SSH_REFUSED;
        } else {
            outcome = result == LIBSSH2_ERROR_EAGAIN ? ssh_wait(link, e) : ssh_failed(link, e);
        }
    }
    free(text);
    return outcome;
}

static int signal_status(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"HUP", 1},   {"INT", 2},   {"QUIT", 3},  {"ILL", 4},   {"ABRT", 6},
                   {"FPE", 8},   {"KILL", 9},  {"USR1", 10}, {"SEGV", 11}, {"USR2", 12},
                   {"PIPE", 13}, {"ALRM", 14}, {"TERM", 15}};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (text_equal(signals[i].name, name)) {
            return 128 + signals[i].number;
        }
    }
    return 128;
}

static int take_status(const struct ssh_link *link)
{
    char *name = NULL;
    size_t length = 0;
    int status = libssh2_channel_get_exit_status(link->run->channel);
    libssh2_channel_get_exit_signal(link->run->channel, &name, &length, NULL, NULL, NULL, NULL);
    if (name != NULL) {
        status = signal_status(name);
        libssh2_free(link->session, name);
    }
    return status;
}

/* The line of SAID that holds one of PHRASES (NULL at the end), as a length from *RET_LINE; 0:
 * none. */
static int find_line(const char *said, const char *const *phrases, const char **ret_line)
{
    for (; *phrases != NULL; phrases++) {
        const char *at = strstr(said, *phrases);
        if (at != NULL) {
            const char *line = at;
            while (line > said && line[-1] != '\n') {
                line--;
            }
            *ret_line = line;
            return (int)strcspn(line, "\r\n");
        }
    }
    return 0;
}

/*
 * Tells sudo's own refusal from a command that failed. By its words, because sudo also warns
 * ("unable to resolve host") and then runs the command all the same.
 */
static enum ssh_outcome check_become(const struct ssh_link *link, int status, struct err *e)
{
    static const char *const refusals[] = {"sudo: a password is required",
                                           "sudo: a terminal is required",
                                           "is not in the sudoers file", "is not allowed to", NULL};
    static const char *const absences[] = {"sudo: not found", "sudo: command not found", NULL};
    const char *said = str_text(&link->run->complaint);
    const char *line;
    int length;
    if (link->become == NULL || link->run->printed) {
        return SSH_OK;
    }
    if (status == 1 && (length = find_line(said, refusals, &line)) > 0) {
        err_set(e,
                "%s: sudo does not let %s become root (%.*s); allow it there without a password: "
                "'%s ALL=(root) NOPASSWD: ALL' in /etc/sudoers.d/",
                link->label, link->user, length, line, link->user);
        return SSH_REFUSED;
    }
    if (status == 127 && (length = find_line(said, absences, &line)) > 0) {
        err_set(e, "%s: no sudo there (%.*s); install it or log in as root", link->label, length,
                line);
        return SSH_REFUSED;
    }
    return SSH_OK;
}

static void free_channel(struct ssh_link *link)
{
    while (libssh2_channel_free(link->run->channel) == LIBSSH2_ERROR_EAGAIN) {
        if (ssh_wait(link, NULL) != SSH_OK) {
            return; /* It goes with the session. */
        }
    }
}

static enum ssh_outcome run_whole(struct ssh_link *link, int *ret_status, struct err *e)
{
    enum ssh_outcome outcome = open_channel(link, e);
    if (outcome == SSH_OK) {
        outcome = start_command(link, e);
    }
    if (outcome == SSH_OK) {
        outcome = move_until_output_ends(link, e);
    }
    if (outcome == SSH_OK) {
        outcome = move_until_closed(link, e);
    }
    if (outcome != SSH_OK) {
        return outcome;
    }
    int status = take_status(link);
    outcome = check_become(link, status, e);
    free_channel(link);
    if (outcome == SSH_OK) {
        *ret_status = status;
    }
    return outcome;
}

enum ssh_outcome ssh_link_run(struct ssh_link *link, const struct ssh_command *command,
                              int64_t deadline_ms, int *ret_status, struct err *e)
{
    struct ssh_run run = {
        .command = command,
        .eof_wanted = !command->keep_input_open,
        .output_max = command->output_max > 0 ? command->output_max : OUTPUT_MAX,
    };
    int64_t quiet_max_ms =
        command->read_timeout_ms > 0 ? command->read_timeout_ms : link->read_timeout_ms;
    /* Besides the output itself: packets around it, window changes, signs of life. */
    uint64_t receive_max = (uint64_t)run.output_max * 2 + OUTPUT_MAX;
    ssh_transport_begin(link, "running a command", deadline_ms, quiet_max_ms, receive_max);
    link->run = &run;
    enum ssh_outcome outcome = run_whole(link, ret_status, e);
    link->run = NULL;
    if (outcome != SSH_OK && link->fault == SSH_OK) {
        link->fault = outcome; /* No goodbye over a channel that may be half-way. */
    }
    if (run.queue.text != NULL) {
        explicit_bzero(run.queue.text, run.queue.capacity);
    }
    str_deinit(&run.queue);
    str_deinit(&run.complaint);
    return outcome;
}

void ssh_link_write(struct ssh_link *link, const void *bytes, size_t length)
{
    struct ssh_run *run = link->run;
    if (run->queue_sent > PIECE && run->queue_sent > run->queue.length / 2) {
        str_drop(&run->queue, run->queue_sent);
        run->queue_sent = 0;
    }
    str_add_bytes(&run->queue, bytes, length);
}

void ssh_link_eof(struct ssh_link *link)
{
    link->run->eof_wanted = true;
}

static bool collect(void *context, struct ssh_link *link, int stream, const char *bytes,
                    size_t length)
{
    (void)link;
    (void)stream;
    str_add_bytes(context, bytes, length);
    return true;
}

enum ssh_outcome ssh_link_exec(struct ssh_link *link, const char *command, size_t max,
                               int64_t deadline_ms, struct str *output, int *ret_status,
                               struct err *e)
{
    const struct ssh_command whole = {
        .command = command,
        .output_max = max,
        .on_output = collect,
        .context = output,
    };
    return ssh_link_run(link, &whole, deadline_ms, ret_status, e);
}
