#include "role/report.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX  ((size_t)64 * 1024)
#define TEXT_BYTES_MAX  ((size_t)16 * 1024)
#define NOISE_BYTES_MAX ((size_t)1024)

const char *role_result_status_to_string(enum role_result_status status)
{
    switch (status) {
    case ROLE_OK: return "ok";
    case ROLE_CHANGED: return "changed";
    case ROLE_FAILED: return "failed";
    case ROLE_SKIPPED: return "skipped";
    }
    return "unknown";
}

void role_result_describe(const struct role_result *result, struct str *ret)
{
    char span[24];
    clock_format_span(result->time_ms, span, sizeof(span));
    str_addf(ret, "%s %s%s%s %s", role_result_status_to_string(result->status), result->role,
             result->role[0] == '\0' ? "" : " ", result->type, result->name);
    if (result->time_ms >= 100) {
        str_addf(ret, " (%s)", span);
    }
}

void role_report_deinit(struct role_report *report)
{
    free(report->text);
    free(report->facts);
    *report = (struct role_report){.text = NULL};
}

/* Replaces each secret in TEXT; short ones are left, or every letter of a log would be starred. */
static void hide_secrets(const struct role_script *script, struct str *text)
{
    for (size_t i = 0; i < script->hidden_count; i++) {
        const struct secret *secret = &script->hidden[i];
        if (secret->length < 4) {
            continue;
        }
        size_t from = 0;
        char *found;
        while (from < text->length && (found = memmem(text->text + from, text->length - from,
                                                      secret->bytes, secret->length)) != NULL) {
            from = (size_t)(found - text->text) + secret->length;
            memset(found, '*', secret->length);
        }
    }
}

void report_add_clean(const struct role_script *script, struct str *out, const char *text,
                      size_t length)
{
    struct str copy = STR_NULL;
    str_add_bytes(&copy, text, length);
    hide_secrets(script, &copy);
    str_add_printable(out, str_text(&copy), copy.length, true);
    str_deinit(&copy);
}

void report_parser_deinit(struct report_parser *parser)
{
    str_deinit(&parser->line);
    str_deinit(&parser->text);
    str_deinit(&parser->noise);
    str_deinit(&parser->where);
}

static void set_text(struct report_parser *p, const char *before, const char *text)
{
    struct str clean = STR_NULL;
    str_add(&clean, before);
    report_add_clean(p->script, &clean, text, strlen(text));
    str_trim(&clean);
    str_add(&clean, "");
    free(p->report->text);
    p->report->text = clean.text == NULL ? xstrdup("") : str_take(&clean);
}

static bool give_up(struct report_parser *p, const char *why)
{
    p->garbled = true;
    set_text(p, "what came back is no report: ", why);
    return false;
}

/* Cuts the next field off *REST; NULL when there is none. */
static char *next_field(char **rest)
{
    char *field = *rest;
    if (field == NULL) {
        return NULL;
    }
    char *tab = strchr(field, '\t');
    *rest = tab == NULL ? NULL : tab + 1;
    if (tab != NULL) {
        *tab = '\0';
    }
    return field;
}

static char *clean_field(const struct report_parser *p, const char *field)
{
    struct str clean = STR_NULL;
    report_add_clean(p->script, &clean, field, strlen(field));
    return clean.text == NULL ? xstrdup("") : str_take(&clean);
}

static void remember_where(struct report_parser *p, const struct role_result *at)
{
    str_clear(&p->where);
    str_addf(&p->where, "%s%s%s %s", at->role, at->role[0] == '\0' ? "" : " ", at->type, at->name);
}

static void count_result(struct report_parser *p, const struct role_result *result)
{
    struct role_report *report = p->report;
    switch (result->status) {
    case ROLE_OK: report->ok++; break;
    case ROLE_CHANGED: report->changed++; break;
    case ROLE_SKIPPED: report->skipped++; break;
    case ROLE_FAILED: {
        struct str before = STR_NULL;
        report->failed++;
        report->outcome = ROLE_RUN_FAILED;
        p->ended = true;
        str_addf(&before, "%s: ", str_text(&p->where));
        set_text(p, str_text(&before), result->text == NULL ? "" : result->text);
        str_deinit(&before);
        break;
    }
    }
}

/* REST: MILLISECONDS ROLE TYPE NAME */
static bool take_result(struct report_parser *p, enum role_result_status status, char *rest)
{
    int64_t time_ms = 0;
    const char *time_text = next_field(&rest);
    const char *role = next_field(&rest);
    const char *type = next_field(&rest);
    if (rest == NULL || !text_to_int(time_text, 0, INT64_MAX, &time_ms)) {
        return give_up(p, "a result without its fields");
    }
    if (++p->result_count > p->script->resource_count + 1) {
        return give_up(p, "more results than resources");
    }
    char *fields[] = {clean_field(p, role), clean_field(p, type), clean_field(p, rest)};
    struct role_result result = {.role = fields[0],
                                 .type = fields[1],
                                 .name = fields[2],
                                 .status = status,
                                 .time_ms = time_ms};
    str_trim(&p->text);
    result.text = p->text.length == 0 ? NULL : str_text(&p->text);
    remember_where(p, &result);
    count_result(p, &result);
    if (p->options->on_result != NULL) {
        p->options->on_result(p->options->context, &result);
    }
    str_clear(&p->text);
    for (size_t i = 0; i < 3; i++) {
        free(fields[i]);
    }
    return true;
}

static bool take_progress(struct report_parser *p, char *rest)
{
    const char *role = next_field(&rest);
    const char *type = next_field(&rest);
    if (rest == NULL) {
        return give_up(p, "progress without its fields");
    }
    char *fields[] = {clean_field(p, role), clean_field(p, type), clean_field(p, rest)};
    struct role_result at = {.role = fields[0], .type = fields[1], .name = fields[2]};
    remember_where(p, &at);
    if (p->options->on_progress != NULL) {
        p->options->on_progress(p->options->context, at.role, at.type, at.name);
    }
    for (size_t i = 0; i < 3; i++) {
        free(fields[i]);
    }
    return true;
}

static bool take_text(struct report_parser *p, const char *text)
{
    if (p->text.length < TEXT_BYTES_MAX) {
        size_t length = strlen(text);
        size_t room = TEXT_BYTES_MAX - p->text.length;
        report_add_clean(p->script, &p->text, text, length < room ? length : room);
        str_add(&p->text, length < room ? "\n" : " ...\n");
    }
    return true;
}

static bool take_end(struct report_parser *p, enum role_outcome outcome, const char *before,
                     const char *text)
{
    p->ended = true;
    p->report->outcome = outcome;
    if (outcome != ROLE_RUN_OK) {
        set_text(p, before, text);
    }
    return true;
}

static bool take_ours(struct report_parser *p, char *line)
{
    char *rest = line;
    const char *kind = next_field(&rest);
    char *fields = rest == NULL ? line + strlen(line) : rest;
    if (text_equal(kind, "hello")) {
        p->greeted = true;
        return text_equal(fields, "1") ? true : give_up(p, "another version of the script");
    }
    if (!p->greeted || p->ended) {
        return give_up(p, "a line before the greeting or after the end");
    }
    static const enum role_result_status statuses[] = {ROLE_OK, ROLE_CHANGED, ROLE_FAILED,
                                                       ROLE_SKIPPED};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (text_equal(kind, role_result_status_to_string(statuses[i]))) {
            return take_result(p, statuses[i], fields);
        }
    }
    if (text_equal(kind, "+")) {
        return take_text(p, fields);
    }
    if (text_equal(kind, "now")) {
        return take_progress(p, fields);
    }
    if (text_equal(kind, "beat")) {
        return true;
    }
    if (text_equal(kind, "need")) {
        return p->on_need(p->context, fields);
    }
    if (text_equal(kind, "locked")) {
        return take_end(p, ROLE_RUN_LOCKED, "the host is taken by ", fields);
    }
    if (text_equal(kind, "refused")) {
        return take_end(p, ROLE_RUN_REFUSED, "", fields);
    }
    if (text_equal(kind, "facts")) {
        free(p->report->facts);
        p->report->facts = role_facts_parse(fields, strlen(fields));
        return true;
    }
    if (text_equal(kind, "end")) {
        return take_end(p, ROLE_RUN_OK, "", "");
    }
    return give_up(p, "a line of an unknown kind");
}

static bool take_line(struct report_parser *p)
{
    char *line = p->line.text;
    size_t token_length = strlen(p->token);
    bool whole = strlen(line) == p->line.length; /* A NUL in it is none of ours. */
    if (whole && strncmp(line, p->token, token_length) == 0 && line[token_length] == '\t') {
        return take_ours(p, line + token_length + 1);
    }
    if (p->noise.length < NOISE_BYTES_MAX) {
        size_t room = NOISE_BYTES_MAX - p->noise.length;
        str_add_bytes(&p->noise, line, p->line.length < room ? p->line.length : room);
        str_add_char(&p->noise, '\n');
    }
    return true;
}

bool report_parser_feed(struct report_parser *p, const char *bytes, size_t length)
{
    while (length > 0 && !p->garbled) {
        const char *newline = memchr(bytes, '\n', length);
        size_t part = newline == NULL ? length : (size_t)(newline - bytes);
        if (p->line.length + part > LINE_BYTES_MAX) {
            return give_up(p, "a line over 64 KiB");
        }
        str_add_bytes(&p->line, bytes, part);
        if (newline == NULL) {
            return true;
        }
        str_add(&p->line, "");
        if (p->line.text == NULL) {
            str_add_char(&p->line, ' ');
        }
        bool go_on = take_line(p);
        str_clear(&p->line);
        if (!go_on) {
            return false;
        }
        bytes = newline + 1;
        length -= part + 1;
    }
    return !p->garbled;
}
