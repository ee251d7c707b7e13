#include "cli/progress.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TEXT_COLUMNS 160

/* One host that is worked on. */
struct live {
    char subject[WORLD_ID_SIZE];
    char text[160];
    int64_t since_ms;
};

struct progress {
    bool terminal;
    bool json;
    bool verbose;
    struct live *lives;
    size_t count;
    size_t capacity;
    size_t drawn; /* Live lines on the screen now. */
};

static void erase(struct progress *p)
{
    for (; p->drawn > 0; p->drawn--) {
        fputs("\033[1A\033[2K", stdout);
    }
    fflush(stdout);
}

static void draw(struct progress *p)
{
    struct winsize window = {.ws_row = 24, .ws_col = 80};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
    size_t rows = window.ws_row > 4 ? (size_t)window.ws_row - 3 : 1;
    size_t width = window.ws_col > 20 ? window.ws_col - 1U : 79;
    int64_t now_ms = clock_now_ms();
    for (size_t i = 0; i < p->count && p->drawn < rows; i++) {
        char span[32];
        char line[512];
        int64_t seconds = (now_ms - p->lives[i].since_ms) / 1000;
        snprintf(span, sizeof(span), "%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
        snprintf(line, sizeof(line), "  %-14s %8s  %s", p->lives[i].subject, span,
                 p->lives[i].text);
        printf("%.*s\n", (int)text_fit(line, strlen(line), width), line);
        p->drawn++;
    }
    fflush(stdout);
}

static void log_hook(void *context, bool before)
{
    struct progress *p = context;
    if (before) {
        erase(p);
    } else {
        draw(p);
    }
}

struct progress *progress_new(const struct cli *cli)
{
    struct progress *p = xcalloc(1, sizeof(*p));
    const char *term = getenv("TERM");
    p->json = cli->json;
    p->verbose = cli->verbose;
    p->terminal = !cli->json && isatty(STDOUT_FILENO) && !text_equal(term, "dumb");
    if (p->terminal) {
        log_set_hook(log_hook, p);
    }
    return p;
}

void progress_free(struct progress *p)
{
    if (p == NULL) {
        return;
    }
    if (p->terminal) {
        erase(p);
        log_set_hook(NULL, NULL);
    }
    free(p->lives);
    free(p);
}

static struct live *find(struct progress *p, const char *subject)
{
    for (size_t i = 0; i < p->count; i++) {
        if (text_equal(p->lives[i].subject, subject)) {
            return &p->lives[i];
        }
    }
    return NULL;
}

static void forget(struct progress *p, const char *subject)
{
    struct live *live = find(p, subject);
    if (live != NULL) {
        size_t index = (size_t)(live - p->lives);
        memmove(live, live + 1, (p->count - index - 1) * sizeof(*live));
        p->count--;
    }
}

static void print_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}

static void on_begin(void *context, const struct action *action, const char *subject,
                     const char *reason)
{
    struct progress *p = context;
    const char *kind = action_kind_to_string(action->kind);
    if (p->json) {
        print_json(json_pack("{s:s, s:s, s:s, s:s}", "event", "begin", "action", kind, "subject",
                             subject, "reason", reason));
        return;
    }
    log_debug("%s: %s: %s", subject, kind, reason);
    if (action_kind_is_record(action->kind)) {
        return;
    }
    size_t i = xgrow((void **)&p->lives, &p->count, &p->capacity, sizeof(*p->lives));
    text_copy(p->lives[i].subject, sizeof(p->lives[i].subject), subject);
    text_copy(p->lives[i].text, sizeof(p->lives[i].text), kind);
    p->lives[i].since_ms = clock_now_ms();
}

static void on_progress(void *context, const char *subject, const char *text)
{
    struct progress *p = context;
    struct live *live = find(p, subject);
    if (live == NULL) {
        return;
    }
    struct str clean = STR_NULL;
    str_add_printable(&clean, text, strlen(text), false);
    text_copy(live->text, sizeof(live->text), str_text(&clean));
    str_deinit(&clean);
}

static void say(struct progress *p, const char *subject, const char *what, const char *ended,
                const char *span, const char *text)
{
    struct str line = STR_NULL;
    str_addf(&line, "%-10s %-10s %s", subject, what, ended);
    if (span != NULL) {
        str_addf(&line, " in %s", span);
    }
    if (text != NULL) {
        /* The whole of it stands below, with what is left undone. */
        size_t fits = text_fit(text, strlen(text), TEXT_COLUMNS);
        str_add(&line, ": ");
        str_add_printable(&line, text, fits, false);
        str_add(&line, text[fits] != '\0' ? " ..." : "");
    }
    if (p->terminal) {
        erase(p);
    }
    puts(str_text(&line));
    if (p->terminal) {
        draw(p);
    }
    fflush(stdout);
    str_deinit(&line);
}

static void on_end(void *context, const struct action *action, const char *subject,
                   enum work_outcome outcome, int64_t took_ms, const char *text)
{
    struct progress *p = context;
    const char *kind = action_kind_to_string(action->kind);
    if (p->json) {
        print_json(json_pack("{s:s, s:s, s:s, s:s, s:I, s:s?}", "event", "end", "action", kind,
                             "subject", subject, "outcome",
                             outcome == WORK_DONE        ? "done"
                             : outcome == WORK_TRANSIENT ? "failed, may pass"
                                                         : "failed",
                             "took_ms", (json_int_t)took_ms, "text", text));
        return;
    }
    forget(p, subject);
    if (outcome == WORK_DONE && !action_kind_has_effect(action->kind) && !p->verbose) {
        return;
    }
    char span[32];
    clock_format_span(took_ms, span, sizeof(span));
    say(p, subject, kind, outcome == WORK_DONE ? "done" : "FAILED", span, text);
}

static void on_note(void *context, const char *subject, const char *text)
{
    struct progress *p = context;
    if (p->json) {
        print_json(json_pack("{s:s, s:s, s:s}", "event", "note", "subject", subject, "text", text));
        return;
    }
    say(p, subject, "note", text, NULL, NULL);
}

static void on_tick(void *context)
{
    struct progress *p = context;
    erase(p);
    draw(p);
}

struct controller_watch progress_watch(struct progress *p)
{
    return (struct controller_watch){.on_begin = on_begin,
                                     .on_progress = on_progress,
                                     .on_end = on_end,
                                     .on_note = on_note,
                                     .on_tick = p->terminal ? on_tick : NULL,
                                     .context = p};
}
