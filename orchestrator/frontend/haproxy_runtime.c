#include "frontend/haproxy_runtime.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "frontend/haproxy_host.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The socket takes a line of 16 KiB. */
#define LINE_MAX_BYTES 15000
#define ANSWER_WAIT_S  15

void haproxy_answers_deinit(struct haproxy_answers *answers)
{
    for (size_t i = 0; i < answers->count; i++) {
        free(answers->items[i]);
    }
    *answers = HAPROXY_ANSWERS_NULL;
}

/* `del server` of HAProxy 2.6 leaves out the empty line after its one line when input has ended. */
static const char *end_of_one_line(const char *text, bool last)
{
    const char *newline = strchr(text, '\n');
    return last && *text != '#' && newline != NULL && newline[1] == '\0' ? newline : NULL;
}

/* An answer ends with an empty line; one that says nothing is only that. */
static bool split_answers(const char *text, size_t count, struct haproxy_answers *ret_answers)
{
    for (size_t i = 0; i < count; i++) {
        const char *end = *text == '\n' ? text : strstr(text, "\n\n");
        end = end == NULL ? end_of_one_line(text, i + 1 == count) : end;
        if (end == NULL) {
            return false;
        }
        ret_answers->items[ret_answers->count++] = xstrndup(text, (size_t)(end - text));
        text = end + (end == text ? 1 : 2);
    }
    return true;
}

static void add_socat(const struct haproxy_host *host, struct str *command)
{
    str_addf(command, "socat -t %d -T %d - ", ANSWER_WAIT_S, ANSWER_WAIT_S);
    struct str address = STR_NULL;
    str_addf(&address, "UNIX-CONNECT:%s", host->paths->socket);
    str_add_shell(command, str_text(&address));
    str_deinit(&address);
}

static int explain(const struct haproxy_host *host, const struct haproxy_output *output,
                   struct err *e)
{
    struct str words = STR_NULL;
    haproxy_add_last_line(&words, &output->err);
    int result = err_set(e, "HAProxy does not answer at %s: %s", host->paths->socket,
                         words.length == 0 ? "no answer in time" : str_text(&words));
    str_deinit(&words);
    return result;
}

/* What socat says when nobody listens, as opposed to when it is not there itself. */
static bool nobody_listens(const struct str *words)
{
    return strstr(str_text(words), "failed to execute") == NULL &&
           (strstr(str_text(words), "Connection refused") != NULL ||
            strstr(str_text(words), "No such file or directory") != NULL);
}

/* Without a shell of its own, as long as nothing is changed: there is one on the way already. */
static int exchange(const struct haproxy_host *host, const struct str *input, bool writes,
                    struct haproxy_output *ret_output, struct err *e)
{
    struct str command = STR_NULL;
    int64_t deadline_ms = clock_now_ms() + 3 * ANSWER_WAIT_S * 1000;
    int result;
    if (writes) {
        str_add(&command, "exec ");
        add_socat(host, &command);
        result = haproxy_host_write(host, str_text(&command), input, deadline_ms, ret_output, e);
    } else {
        haproxy_host_add_lock(host, &command);
        add_socat(host, &command);
        result = host->run(host->context, str_text(&command), input, deadline_ms, ret_output, e);
    }
    str_deinit(&command);
    return result;
}

static int ask(const struct haproxy_host *host, const char *const *commands, size_t count,
               bool writes, struct haproxy_answers *ret_answers, bool *ret_running, struct err *e)
{
    assert(count <= HAPROXY_BATCH_MAX);
    struct str input = STR_NULL;
    struct haproxy_output output = HAPROXY_OUTPUT_NULL;
    for (size_t i = 0; i < count; i++) {
        str_addf(&input, "%s%s", i == 0 ? "" : "; ", commands[i]);
    }
    str_add_char(&input, '\n');
    assert(input.length < LINE_MAX_BYTES);
    int result = exchange(host, &input, writes, &output, e);
    bool running = true;
    struct haproxy_answers answers = HAPROXY_ANSWERS_NULL;
    if (result == 0 && output.status != 0) {
        running = !nobody_listens(&output.err);
        explain(host, &output, e);
        result = running ? -1 : 0;
    } else if (result == 0 && !split_answers(str_text(&output.out), count, &answers)) {
        haproxy_answers_deinit(&answers);
        result = err_set(e, "HAProxy's answer at %s to '%s' ends in the middle, after %zu bytes",
                         host->paths->socket, str_text(&input), output.out.length);
    }
    if (result == 0) {
        *ret_running = running;
        *ret_answers = answers;
    }
    str_deinit(&input);
    haproxy_output_deinit(&output);
    return result;
}

int haproxy_runtime_ask(const struct haproxy_host *host, const char *const *commands, size_t count,
                        struct haproxy_answers *ret_answers, bool *ret_running, struct err *e)
{
    return ask(host, commands, count, false, ret_answers, ret_running, e);
}

int haproxy_runtime_tell(const struct haproxy_host *host, const char *expected, struct err *e,
                         const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    assert(length > 0 && (size_t)length < sizeof(command));
    const char *const commands[] = {command};
    struct haproxy_answers answers = HAPROXY_ANSWERS_NULL;
    bool running = false;
    if (ask(host, commands, 1, true, &answers, &running, e) != 0 || !running) {
        return -1;
    }
    int result = 0;
    if (expected != NULL && strcmp(answers.items[0], expected) != 0) {
        result = err_set(e, "HAProxy refuses '%s': %.200s", command, answers.items[0]);
    }
    haproxy_answers_deinit(&answers);
    return result;
}

void haproxy_state_deinit(struct haproxy_state *state)
{
    free(state->views);
    *state = HAPROXY_STATE_NULL;
}

struct haproxy_view *haproxy_state_add(struct haproxy_state *state, const char *pool,
                                       const char *id, const char *address)
{
    size_t i =
        xgrow((void **)&state->views, &state->count, &state->capacity, sizeof(*state->views));
    struct haproxy_view *view = &state->views[i];
    text_copy(view->pool, sizeof(view->pool), pool);
    text_copy(view->id, sizeof(view->id), id);
    text_copy(view->address, sizeof(view->address), address);
    return view;
}

const struct haproxy_view *haproxy_state_find(const struct haproxy_state *state, const char *pool,
                                              const char *id)
{
    for (size_t i = 0; i < state->count; i++) {
        if (strcmp(state->views[i].id, id) == 0 && strcmp(state->views[i].pool, pool) == 0) {
            return &state->views[i];
        }
    }
    return NULL;
}

static void take_description(const char *text, struct haproxy_state *state)
{
    static const char key[] = "\ndescription: ";
    const char *line = strstr(text, key);
    if (line != NULL) {
        line += sizeof(key) - 1;
        char *word = xstrndup(line, strcspn(line, "\n"));
        text_copy(state->description, sizeof(state->description), word);
        free(word);
    }
}

/* The servers, and with WHOLE what the process is. */
static int read_state(const struct haproxy_host *host, bool whole, struct haproxy_state *ret_state,
                      struct err *e)
{
    static const char *const commands[] = {"show stat -1 4 -1", "show servers state", "show info"};
    struct haproxy_answers answers = HAPROXY_ANSWERS_NULL;
    struct haproxy_state state = HAPROXY_STATE_NULL;
    if (haproxy_runtime_ask(host, commands, whole ? 3 : 2, &answers, &state.running, e) != 0) {
        return -1;
    }
    int result = 0;
    if (state.running) {
        result = haproxy_parse_stat(answers.items[0], &state, e) != 0 ||
                         haproxy_parse_servers(answers.items[1], &state, e) != 0
                     ? -1
                     : 0;
    }
    if (state.running && whole && result == 0) {
        take_description(answers.items[2], &state);
    }
    haproxy_answers_deinit(&answers);
    if (result != 0) {
        haproxy_state_deinit(&state);
        return -1;
    }
    *ret_state = state;
    return 0;
}

int haproxy_runtime_state(const struct haproxy_host *host, struct haproxy_state *ret_state,
                          struct err *e)
{
    return read_state(host, true, ret_state, e);
}

int haproxy_runtime_look(const struct haproxy_host *host, struct haproxy_state *ret_state,
                         struct err *e)
{
    return read_state(host, false, ret_state, e);
}

enum frontend_target_state haproxy_view_state(const struct haproxy_view *view)
{
    if (view->maintenance) {
        return FRONTEND_TARGET_MAINTENANCE;
    }
    if (!view->checked) {
        return FRONTEND_TARGET_INITIAL;
    }
    if (view->draining) {
        return FRONTEND_TARGET_DRAINING;
    }
    return view->down ? FRONTEND_TARGET_DOWN : FRONTEND_TARGET_UP;
}

const char *frontend_target_state_to_string(enum frontend_target_state state)
{
    switch (state) {
    case FRONTEND_TARGET_ABSENT: return "absent";
    case FRONTEND_TARGET_INITIAL: return "initial";
    case FRONTEND_TARGET_UP: return "up";
    case FRONTEND_TARGET_DOWN: return "down";
    case FRONTEND_TARGET_DRAINING: return "draining";
    case FRONTEND_TARGET_MAINTENANCE: return "maintenance";
    }
    return "unknown";
}
