#include "cli/image_job.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
    struct image_report report;
    bool is_loud;  /* A person watches. */
    char *failure; /* Owned; the first one's words. */
};

/* Which of the two workers a job is. */
struct side {
    struct run *run;
    bool is_stream;
    const char *name;
};

void image_report_deinit(struct image_report *report)
{
    message_deinit(&report->result);
    for (size_t i = 0; i < report->finding_count; i++) {
        free(report->findings[i].path);
        free(report->findings[i].reason);
    }
    free(report->findings);
    *report = IMAGE_REPORT_NULL;
}

json_t *image_report_json(const struct image_report *report, enum wire_tag tag)
{
    json_t *value =
        json_loads(message_text(&report->result, (uint16_t)tag, "null"), JSON_DECODE_ANY, NULL);
    return value == NULL ? json_null() : value;
}

void image_report_print_findings(const struct image_report *report)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        log_error("%s: %s", report->findings[i].path, report->findings[i].reason);
    }
}

json_t *image_job_roles(const struct session *s, const struct record_instance *record)
{
    json_t *list = json_array();
    size_t group = spec_find_group(s->site.spec, record->group);
    const char **roles = NULL;
    size_t count = 0;
    if (group != SPEC_NONE) {
        size_t template = s->site.spec->groups[group].template;
        const struct site_recipe recipe = {.group = group, .kept = template, .made = template};
        site_roles(&s->site, &recipe, &roles, &count);
    }
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_string(roles[i]));
    }
    free(roles);
    return list;
}

static void add_finding(struct image_report *report, const struct message *item)
{
    const char *path = message_text(item, WIRE_NAME, "?");
    const char *reason = message_text(item, WIRE_TEXT, "?");
    size_t i = xgrow((void **)&report->findings, &report->finding_count, &report->finding_capacity,
                     sizeof(*report->findings));
    report->findings[i] = (struct image_finding){.path = xstrdup(path), .reason = xstrdup(reason)};
}

static void on_message(void *context, struct job *job, const struct message *message)
{
    struct run *run = context;
    const struct side *side = job_data(job);
    if (message_kind(message) == WIRE_ITEM) {
        add_finding(&run->report, message);
    } else if (message_kind(message) == WIRE_PROGRESS && run->is_loud) {
        log_info("%s: %s", side->name, message_text(message, WIRE_TEXT, ""));
    }
}

static void on_end(void *context, struct job *job, enum work_outcome outcome,
                   const struct message *result, const char *text)
{
    struct run *run = context;
    const struct side *side = job_data(job);
    if (outcome != WORK_DONE && run->failure == NULL) {
        run->failure = xstrdup(text == NULL ? "failed" : text);
    }
    if (outcome == WORK_DONE && !side->is_stream && result != NULL) {
        struct err unused = ERR_NULL;
        (void)message_parse(&run->report.result, str_text(&result->bytes), result->bytes.length,
                            &unused);
    }
    if (outcome == WORK_DONE && side->is_stream && text != NULL && text[0] != '\0') {
        log_debug("%s: %s", side->name, text);
    }
}

static void put_secrets(const struct session *s, struct message *request)
{
    const struct spec *spec = s->site.spec;
    for (size_t i = 0; i < spec->secret_count; i++) {
        const struct secret *secret = &s->site.secrets[i];
        if (secret->length > 0) {
            message_put_text(request, WIRE_SECRET_NAME, spec->secrets[i].name);
            message_put_bytes(request, WIRE_SECRET, secret->bytes, secret->length);
        }
    }
}

static void put_sieve(const struct session *s, enum wire_kind kind, const char *path,
                      int64_t deadline_ms, struct message *request)
{
    message_init(request, (uint16_t)kind);
    message_put_int(request, WIRE_DEADLINE, deadline_ms);
    message_put_text(request, WIRE_PATH, path);
    for (size_t i = 0; i < s->cli->without_count; i++) {
        message_put_text(request, WIRE_WITHOUT, s->cli->without[i]);
    }
    put_secrets(s, request);
}

static int start(const struct session *s, enum crew_kind kind, const struct message *request,
                 const struct crew_file *file, struct side *side, int64_t deadline_ms,
                 struct err *e)
{
    const struct crew_request ask = {.kind = kind,
                                     .message = request,
                                     .files = file,
                                     .file_count = file == NULL ? 0 : 1,
                                     .deadline_ms = deadline_ms,
                                     .data = side};
    return crew_start(s->crew, &ask, e);
}

static int await(const struct session *s, struct run *run, int64_t begun_ms, struct err *e)
{
    int result = 0;
    while (result == 0 && crew_count(s->crew) > 0) {
        result = crew_wait(s->crew, NULL, 0, clock_now_ms() + 60000, e);
    }
    if (result == 0 && run->failure != NULL) {
        result = err_set(e, "%s", run->failure);
    }
    run->report.took_ms = clock_now_ms() - begun_ms;
    free(run->failure);
    return result;
}

/* Both ends go to the workers; ours are closed, so that the end of one is seen by the other. */
static int start_pipeline(const struct session *s, size_t member, const char *path,
                          const char *identity, struct side sides[2], int64_t deadline_ms,
                          struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_errno(e, errno, "pipe");
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    char *from = xasprintf("/proc/self/fd/%d", ends[0]);
    char *into = xasprintf("/proc/self/fd/%d", ends[1]);
    const struct crew_file out = {.name = "stream", .path = from};
    const struct crew_file in = {.name = "stream", .path = into, .to_write = true};
    struct message sift = MESSAGE_NULL;
    struct message stream = MESSAGE_NULL;
    struct str command = STR_NULL;
    seal_add_tar_command(&command, "/");
    put_sieve(s, path == NULL ? WIRE_IMAGE_SCAN : WIRE_IMAGE_BUILD, path, deadline_ms, &sift);
    message_put_text(&sift, WIRE_IDENTITY, identity);
    message_init(&stream, WIRE_IMAGE_STREAM);
    message_put_int(&stream, WIRE_DEADLINE, deadline_ms);
    message_put_text(&stream, WIRE_COMMAND, str_text(&command));
    controller_put_target(s->controller, member, &stream);
    int result = start(s, CREW_PROVIDER, &sift, &out, &sides[0], deadline_ms, e);
    if (result == 0) {
        result = start(s, CREW_SSH, &stream, &in, &sides[1], deadline_ms, e);
    }
    message_deinit(&sift);
    message_deinit(&stream);
    str_deinit(&command);
    free(from);
    free(into);
    close(ends[0]);
    close(ends[1]);
    return result;
}

static int finish(struct run *run, int result, struct image_report *ret_report)
{
    if (result < 0) {
        image_report_deinit(&run->report);
    } else {
        *ret_report = run->report;
    }
    return result;
}

int image_job_read_host(const struct session *s, size_t member, const char *path,
                        const char *identity, struct image_report *ret_report, struct err *e)
{
    const char *id = controller_member_at(s->controller, member).record->id;
    struct run run = {.report = IMAGE_REPORT_NULL, .is_loud = s->cli->verbose};
    struct side sides[2] = {{.run = &run, .name = "image"},
                            {.run = &run, .name = id, .is_stream = true}};
    const struct crew_callbacks callbacks = {
        .on_message = on_message, .on_end = on_end, .context = &run};
    int64_t begun_ms = clock_now_ms();
    crew_set_callbacks(s->crew, &callbacks);
    int result = start_pipeline(s, member, path, identity, sides,
                                begun_ms + s->site.spec->login.total_timeout_ms, e);
    if (result == 0) {
        result = await(s, &run, begun_ms, e);
    }
    return finish(&run, result, ret_report);
}

int image_job_look(const struct session *s, const char *path, bool strict,
                   struct image_report *ret_report, struct err *e)
{
    struct run run = {.report = IMAGE_REPORT_NULL, .is_loud = s->cli->verbose};
    struct side side = {.run = &run, .name = "image"};
    const struct crew_callbacks callbacks = {
        .on_message = on_message, .on_end = on_end, .context = &run};
    int64_t begun_ms = clock_now_ms();
    int64_t deadline_ms = begun_ms + s->site.spec->login.total_timeout_ms;
    struct message request = MESSAGE_NULL;
    put_sieve(s, WIRE_IMAGE_LOOK, path, deadline_ms, &request);
    message_put_int(&request, WIRE_STRICT, strict ? 1 : 0);
    crew_set_callbacks(s->crew, &callbacks);
    int result = start(s, CREW_PROVIDER, &request, NULL, &side, deadline_ms, e);
    message_deinit(&request);
    if (result == 0) {
        result = await(s, &run, begun_ms, e);
    }
    return finish(&run, result, ret_report);
}
