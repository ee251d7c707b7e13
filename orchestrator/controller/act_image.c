/*
 * Images: the host's files out of its SSH channel into a pipe (the "ssh" worker, which may do
 * nothing else), and out of the pipe into an image (the "provider" worker, which never speaks to
 * the host).
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "controller/worker.h"
#include "image/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAM_MAX     ((size_t)1 << 42)
#define SAID_MAX       4096
#define PROGRESS_BYTES ((int64_t)64 * 1024 * 1024)

struct stream {
    struct worker *worker;
    int fd;
    int64_t bytes;
    int64_t told;
    bool broken; /* Nobody takes it any more. */
    struct str said;
};

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t put = write(fd, bytes, length);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        bytes += put > 0 ? put : 0;
        length -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool take_output(void *context, struct ssh_link *link, int number, const char *bytes,
                        size_t length)
{
    struct stream *s = context;
    (void)link;
    if (number == 2) {
        size_t room = SAID_MAX - s->said.length;
        str_add_bytes(&s->said, bytes, length < room ? length : room);
        return true;
    }
    s->bytes += (int64_t)length;
    if (s->bytes - s->told >= PROGRESS_BYTES) {
        s->told = s->bytes;
        worker_progress(s->worker, "%lld MiB read", (long long)(s->bytes >> 20));
    }
    s->broken = s->broken || !write_all(s->fd, bytes, length);
    return !s->broken;
}

static void send_stream_result(struct worker *worker, const struct stream *s, int status)
{
    struct message result = MESSAGE_NULL;
    message_init(&result, WIRE_RESULT);
    /* 1: some files changed or went while they were read, as they do on a host that works. */
    message_put_int(&result, WIRE_OUTCOME, status <= 1 ? WORK_DONE : WORK_PERMANENT);
    message_put_int(&result, WIRE_STATUS, status);
    message_put_int(&result, WIRE_SIZE, s->bytes);
    struct str said = STR_NULL;
    str_add_printable(&said, str_text(&s->said), s->said.length, true);
    str_trim(&said);
    if (status > 1 && said.length == 0) {
        str_addf(&said, "tar ended there with status %d", status);
    }
    if (said.length > 0) {
        message_put_text(&result, WIRE_TEXT, str_text(&said));
    }
    worker_send(worker, &result);
    message_deinit(&result);
    str_deinit(&said);
}

static void stream(struct worker *worker, const struct message *request)
{
    struct stream s = {.worker = worker, .fd = worker_file(worker, "stream")};
    struct ssh_link *link = worker_link(worker, request);
    if (link == NULL) {
        return;
    }
    worker_progress(worker, "reading its files");
    const struct ssh_command command = {
        .command = message_text(request, WIRE_COMMAND, "false"),
        .output_max = STREAM_MAX,
        .on_output = take_output,
        .context = &s,
    };
    struct err e = ERR_NULL;
    int status = 0;
    enum ssh_outcome outcome =
        ssh_link_run(link, &command, message_int(request, WIRE_DEADLINE, 0), &status, &e);
    if (outcome != SSH_OK) {
        worker_drop_link(worker);
        worker_result(worker, s.broken ? WORK_PERMANENT : worker_ssh_outcome(outcome),
                      s.broken ? "its files could not be taken" : e.text);
    } else {
        send_stream_result(worker, &s, status);
    }
    str_deinit(&s.said);
}

/* What the request says of the sieve; the arrays are the caller's to free. */
static void take_lists(const struct message *request, struct sieve_secret **ret_secrets,
                       const char ***ret_without, struct sieve_config *config)
{
    size_t capacity[2] = {0, 0};
    size_t position = 0;
    struct message_field field;
    while (message_next(request, &position, &field)) {
        if (field.tag == WIRE_SECRET_NAME && field.type == MESSAGE_TEXT) {
            size_t i = xgrow((void **)ret_secrets, &config->secret_count, &capacity[0],
                             sizeof(**ret_secrets));
            (*ret_secrets)[i].name = field.bytes;
        } else if (field.tag == WIRE_SECRET && config->secret_count > 0) {
            secret_set(&(*ret_secrets)[config->secret_count - 1].value, field.bytes, field.length);
        } else if (field.tag == WIRE_WITHOUT && field.type == MESSAGE_TEXT) {
            size_t i = xgrow((void **)ret_without, &config->without_count, &capacity[1],
                             sizeof(**ret_without));
            (*ret_without)[i] = field.bytes;
        }
    }
    config->secrets = *ret_secrets;
    config->without = *ret_without;
}

static void send_findings(struct worker *worker, const struct sieve_result *result)
{
    for (size_t i = 0; i < result->finding_count; i++) {
        struct message item = MESSAGE_NULL;
        message_init(&item, WIRE_ITEM);
        message_put_text(&item, WIRE_NAME, result->findings[i].path);
        message_put_text(&item, WIRE_TEXT, result->findings[i].reason);
        worker_send(worker, &item);
        message_deinit(&item);
    }
}

static void put_json(struct message *message, uint16_t tag, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    message_put_text(message, tag, text);
    free(text);
}

static void send_result(struct worker *worker, const struct sieve_result *result,
                        const struct image_blocks *blocks)
{
    struct message message = MESSAGE_NULL;
    message_init(&message, WIRE_RESULT);
    message_put_int(&message, WIRE_OUTCOME, WORK_DONE);
    message_put_bytes(&message, WIRE_TREE, str_text(&result->tree), result->tree.length);
    message_put_text(&message, WIRE_TREE_DIGEST, result->digest);
    message_put_int(&message, WIRE_ENTRIES, (int64_t)result->entries);
    message_put_int(&message, WIRE_SIZE, result->bytes);
    message_put_text(&message, WIRE_RELEASE, result->release);
    message_put_text(&message, WIRE_ARCHITECTURE, result->architecture);
    put_json(&message, WIRE_PACKAGES, result->packages);
    put_json(&message, WIRE_LEFT_OUT, result->left_out);
    if (blocks->size_bytes > 0) {
        message_put_text(&message, WIRE_BLOCKS, blocks->sha256);
        message_put_int(&message, WIRE_BLOCKS_SIZE, blocks->size_bytes);
    }
    worker_send(worker, &message);
    message_deinit(&message);
}

static int look(const struct message *request, struct sieve_config *config,
                struct sieve_result *ret_result, struct image_blocks *ret_blocks, struct err *e)
{
    const char *path = message_text(request, WIRE_PATH, "");
    switch (message_kind(request)) {
    case WIRE_IMAGE_BUILD: return image_build(config, path, ret_result, ret_blocks, e);
    case WIRE_IMAGE_SCAN: return sieve_run(config, ret_result, e);
    default: return image_look(config, path, ret_result, e);
    }
}

static void sift(struct worker *worker, const struct message *request)
{
    struct sieve_config config = {
        .input = worker_file(worker, "stream"),
        .output = -1,
        .identity = message_text(request, WIRE_IDENTITY, NULL),
        .strict = message_int(request, WIRE_STRICT, 0) != 0,
        .deadline_ms = message_int(request, WIRE_DEADLINE, 0),
    };
    struct sieve_secret *secrets = NULL;
    const char **without = NULL;
    struct sieve_result result = SIEVE_RESULT_NULL;
    struct image_blocks blocks = {.size_bytes = 0};
    struct err e = ERR_NULL;
    take_lists(request, &secrets, &without, &config);
    if (look(request, &config, &result, &blocks, &e) < 0) {
        worker_result(worker, WORK_PERMANENT, e.text);
    } else {
        send_findings(worker, &result);
        send_result(worker, &result, &blocks);
    }
    for (size_t i = 0; i < config.secret_count; i++) {
        secret_deinit(&secrets[i].value);
    }
    free(secrets);
    free(without);
    sieve_result_deinit(&result);
}

void act_image_work(struct worker *worker, const struct message *request)
{
    if (message_kind(request) == WIRE_IMAGE_STREAM) {
        stream(worker, request);
    } else {
        sift(worker, request);
    }
}
