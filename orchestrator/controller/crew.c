#include "controller/crew.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "controller/prober.h"
#include "controller/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A request carries its own deadline; the worker keeps it, and this much later we do. */
#define DEADLINE_SLACK_MS 2000
#define DEATH_WAIT_MS     1000

/* A release that goes to a host is queued in its worker's memory: hence not less. */
#define SSH_MEMORY_MAX ((size_t)1 << 30)
#define SSH_FILES_MAX  128

static const struct process_kind kinds[] = {
    [CREW_SSH] = {.name = "ssh",
                  .main = worker_main,
                  .sandbox = SANDBOX_NETWORK,
                  .memory_bytes_max = SSH_MEMORY_MAX,
                  .files_max = SSH_FILES_MAX,
                  .prepare = ssh_link_prepare},
    [CREW_PROVIDER] = {.name = "provider", .main = worker_main, .sandbox = SANDBOX_HYPERVISOR},
    [CREW_HOOK] = {.name = "hook", .main = worker_main, .sandbox = SANDBOX_HYPERVISOR},
    [CREW_PROBER] = {.name = "prober", .main = prober_main, .sandbox = SANDBOX_NETWORK},
};

struct job {
    struct job *next;
    struct process process;
    char *keep; /* Owned; NULL for a worker that ends with its job. */
    bool busy;  /* False: kept, idle. */
    bool ended; /* To be freed. */
    int64_t started_ms;
    int64_t deadline_ms;
    void *data;
};

struct crew {
    struct spawner *spawner;
    struct crew_callbacks callbacks;
    struct job *jobs; /* Owned list: busy ones and idle kept ones. */
    size_t busy_count;
};

int crew_new(struct crew **ret_crew, struct err *e)
{
    struct crew *crew = xcalloc(1, sizeof(*crew));
    if (spawner_start(&crew->spawner, kinds, sizeof(kinds) / sizeof(kinds[0]), e) != 0) {
        free(crew);
        return err_wrap(e, "start worker processes");
    }
    *ret_crew = crew;
    return 0;
}

void crew_set_callbacks(struct crew *crew, const struct crew_callbacks *callbacks)
{
    crew->callbacks = *callbacks;
}

struct spawner *crew_spawner(struct crew *crew)
{
    return crew->spawner;
}

static void job_free(struct job *job)
{
    process_deinit(&job->process);
    free(job->keep);
    free(job);
}

void crew_free(struct crew *crew)
{
    if (crew == NULL) {
        return;
    }
    while (crew->jobs != NULL) {
        struct job *job = crew->jobs;
        crew->jobs = job->next;
        job_free(job);
    }
    spawner_free(crew->spawner);
    free(crew);
}

void *job_data(const struct job *job)
{
    return job->data;
}

int64_t job_started_ms(const struct job *job)
{
    return job->started_ms;
}

size_t crew_count(const struct crew *crew)
{
    return crew->busy_count;
}

static struct job *find_kept(struct crew *crew, const char *keep)
{
    for (struct job *job = crew->jobs; job != NULL; job = job->next) {
        if (!job->ended && !job->busy && keep != NULL && text_equal(job->keep, keep) &&
            !process_ended(&job->process)) {
            return job;
        }
    }
    return NULL;
}

static struct job *add_job(struct crew *crew, enum crew_kind kind, const char *keep, struct err *e)
{
    struct process process = PROCESS_NULL;
    if (process_start(crew->spawner, kind, &process, e) != 0) {
        return NULL;
    }
    struct job *job = xcalloc(1, sizeof(*job));
    job->process = process;
    job->keep = xcopy(keep);
    job->next = crew->jobs;
    crew->jobs = job;
    return job;
}

static int send_file(const struct job *job, const struct crew_file *file, struct err *e)
{
    int fd = open(file->path, (file->to_write ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, errno, "%s", file->path);
    }
    struct message message = MESSAGE_NULL;
    message_init(&message, WIRE_FILE);
    message_put_text(&message, WIRE_NAME, file->name);
    enum message_io io = message_send(job->process.socket, &message, fd, e);
    message_deinit(&message);
    close(fd);
    return io == MESSAGE_IO_FAULT ? err_wrap(e, "hand a file to a worker") : 0;
}

/* A worker that is gone already is no fault: its end is heard in crew_wait(). */
static int hand_over(const struct job *job, const struct crew_request *request, struct err *e)
{
    for (size_t i = 0; i < request->file_count; i++) {
        if (send_file(job, &request->files[i], e) != 0) {
            return -1;
        }
    }
    if (message_send(job->process.socket, request->message, -1, e) == MESSAGE_IO_FAULT) {
        return err_wrap(e, "hand a request to a worker");
    }
    return 0;
}

int crew_start(struct crew *crew, const struct crew_request *request, struct err *e)
{
    struct job *job = find_kept(crew, request->keep);
    if (job == NULL) {
        job = add_job(crew, request->kind, request->keep, e);
    }
    if (job == NULL) {
        return -1;
    }
    if (hand_over(job, request, e) != 0) {
        job->ended = true;
        return -1;
    }
    job->busy = true;
    job->started_ms = clock_now_ms();
    job->deadline_ms = request->deadline_ms;
    job->data = request->data;
    crew->busy_count++;
    return 0;
}

static void end_job(struct crew *crew, struct job *job, enum work_outcome outcome,
                    const struct message *result, const char *text)
{
    job->busy = false;
    job->ended = result == NULL || job->keep == NULL;
    crew->busy_count--;
    crew->callbacks.on_end(crew->callbacks.context, job, outcome, result, text);
}

static void take_result(struct crew *crew, struct job *job, const struct message *result)
{
    const char *text = message_text(result, WIRE_TEXT, NULL);
    int64_t outcome = message_int(result, WIRE_OUTCOME, WORK_PERMANENT);
    struct str clean = STR_NULL;
    str_add_printable(&clean, text == NULL ? "" : text, text == NULL ? 0 : strlen(text), true);
    end_job(crew, job,
            outcome == WORK_DONE        ? WORK_DONE
            : outcome == WORK_TRANSIENT ? WORK_TRANSIENT
                                        : WORK_PERMANENT,
            result, text == NULL ? NULL : str_text(&clean));
    str_deinit(&clean);
}

/* Takes what JOB says; it may say several things at once. */
static void hear(struct crew *crew, struct job *job)
{
    struct message message = MESSAGE_NULL;
    struct err e = ERR_NULL;
    enum message_io io = message_receive(job->process.socket, &message, NULL, &e);
    if (io == MESSAGE_IO_OK && !job->busy) {
        job->ended = true; /* A kept worker that speaks unasked is out of step. */
    } else if (io == MESSAGE_IO_OK && message_kind(&message) == WIRE_RESULT) {
        take_result(crew, job, &message);
    } else if (io == MESSAGE_IO_OK) {
        crew->callbacks.on_message(crew->callbacks.context, job, &message);
    } else if (io != MESSAGE_IO_AGAIN && job->busy) {
        char how[PROCESS_END_SIZE];
        /* Its socket closes a moment before it is gone. */
        struct pollfd end = {.fd = job->process.pidfd, .events = POLLIN};
        poll(&end, 1, DEATH_WAIT_MS);
        process_end_to_string(crew->spawner, &job->process, how);
        err_set(&e, "its worker process %s", how);
        end_job(crew, job, WORK_TRANSIENT, NULL, e.text);
    } else if (io != MESSAGE_IO_AGAIN) {
        job->ended = true;
    }
    message_deinit(&message);
}

static void end_overdue(struct crew *crew, int64_t now_ms)
{
    for (struct job *job = crew->jobs; job != NULL; job = job->next) {
        if (job->busy && now_ms >= job->deadline_ms + DEADLINE_SLACK_MS) {
            process_kill(&job->process);
            end_job(crew, job, WORK_TRANSIENT, NULL, "its deadline passed; the worker was ended");
        }
    }
}

static void sweep(struct crew *crew)
{
    for (struct job **at = &crew->jobs; *at != NULL;) {
        struct job *job = *at;
        if (job->ended) {
            *at = job->next;
            job_free(job);
        } else {
            at = &job->next;
        }
    }
}

static int wait_ms_until(const struct crew *crew, int64_t deadline_ms)
{
    int64_t now_ms = clock_now_ms();
    for (const struct job *job = crew->jobs; job != NULL; job = job->next) {
        if (job->busy && job->deadline_ms + DEADLINE_SLACK_MS < deadline_ms) {
            deadline_ms = job->deadline_ms + DEADLINE_SLACK_MS;
        }
    }
    int64_t left_ms = deadline_ms - now_ms;
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

int crew_wait(struct crew *crew, struct pollfd *extra, size_t count, int64_t deadline_ms,
              struct err *e)
{
    sweep(crew);
    size_t total = count;
    for (struct job *job = crew->jobs; job != NULL; job = job->next) {
        total++;
    }
    struct pollfd *fds = xcalloc(total, sizeof(*fds));
    struct job **owners = xcalloc(total, sizeof(struct job *));
    if (count > 0) {
        memcpy(fds, extra, count * sizeof(*fds));
    }
    size_t at = count;
    for (struct job *job = crew->jobs; job != NULL; job = job->next, at++) {
        fds[at] = (struct pollfd){.fd = job->process.socket, .events = POLLIN};
        owners[at] = job;
    }
    int result = poll(fds, total, wait_ms_until(crew, deadline_ms));
    bool failed = result < 0 && errno != EINTR;
    if (failed) {
        err_errno(e, errno, "wait for workers");
    } else if (result > 0) {
        for (size_t i = count; i < total; i++) {
            if (fds[i].revents != 0 && !owners[i]->ended) {
                hear(crew, owners[i]);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        extra[i].revents = result > 0 ? fds[i].revents : 0;
    }
    free(fds);
    free(owners);
    end_overdue(crew, clock_now_ms());
    sweep(crew);
    return failed ? -1 : 0;
}
