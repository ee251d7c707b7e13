/*
 * The child's side of a worker process: a loop that takes a request, does it in one straight line,
 * answers. It has that one host's link and nothing else: no store, no other key, no spec.
 */
#ifndef CONTROLLER_WORKER_H
#define CONTROLLER_WORKER_H

#include "base/message.h"
#include "controller/wire.h"
#include "net/ssh_link.h"

#include <stdint.h>

struct worker {
    int socket;
    struct ssh_link *link; /* Kept between requests to the same host; NULL when not open. */
    struct ssh_target target;
    struct ssh_target_storage target_storage;
    struct message target_message; /* Owned; what target borrows from. */
    /* Files that came before the request; closed with it. */
    struct worker_file {
        char *name;
        int fd;
    } * files;
    size_t file_count;
    size_t file_capacity;
};

/* The main of every worker process (base/process.h); the request says what to do. */
int worker_main(int socket);

/* Tells the parent what is being done now. */
void worker_progress(struct worker *worker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void worker_send(struct worker *worker, const struct message *message);
/* The answer with only an outcome and a text (may be NULL). */
void worker_result(struct worker *worker, enum work_outcome outcome, const char *text);

/*
 * The link to the request's target, opened if it is not (WIRE_TARGET, WIRE_DEADLINE). NULL when it
 * could not be: then the result was already sent.
 */
struct ssh_link *worker_link(struct worker *worker, const struct message *request);
/* Takes the request's target as the worker's own; a link to the one before is dropped. */
int worker_take_target(struct worker *worker, const struct message *request, struct err *e);
/* The file NAME that came with the request, as a path of this process (the caller frees); or NULL.
 */
char *worker_file_path(const struct worker *worker, const char *name);
/* The same as a descriptor, borrowed; -1. */
int worker_file(const struct worker *worker, const char *name);
void worker_drop_link(struct worker *worker);
/* Whether another try is worth it. */
enum work_outcome worker_ssh_outcome(enum ssh_outcome outcome);

/* One straight-line function a request; in act_*.c. Each ends with exactly one result. */
void act_greet_work(struct worker *worker, const struct message *request);
void act_role_work(struct worker *worker, const struct message *request);
void act_exec_work(struct worker *worker, const struct message *request);
void act_frontend_work(struct worker *worker, const struct message *request);
void act_reboot_work(struct worker *worker, const struct message *request);
void act_check_work(struct worker *worker, const struct message *request);
void act_hook_work(struct worker *worker, const struct message *request);
void act_provider_work(struct worker *worker, const struct message *request);
void act_image_work(struct worker *worker, const struct message *request);

#endif
