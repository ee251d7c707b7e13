/*
 * A small stage to test on of the front end: a real HAProxy process with a directory of its own,
 * targets that do as they are told and count what reaches them, and clients that never stop asking.
 * All of it in a network namespace of its own, on loopback.
 */
#ifndef CONFORMANCE_HAPROXY_STAGE_H
#define CONFORMANCE_HAPROXY_STAGE_H

#include "frontend/frontend.h"
#include "frontend/haproxy_host.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#define STAGE_WEBS 4

/* A target; shared with its process. */
struct stage_web {
    atomic_int check_status; /* What it answers to /healthz; 0: drops the connection. */
    atomic_int page_status;  /* ... and to anything else but /slow; 0: drops it after reading. */
    atomic_int checks;       /* Checks answered with 200 (by anyone). */
    atomic_int pages;        /* Requests for anything else. */
    atomic_int posts;        /* Of those, POST. */
    atomic_int before_check; /* Pages before its first passed check since reset. */
    atomic_int slow_ms;      /* How long GET /slow takes. */
    atomic_bool checked;     /* Set by a passed check; a test clears it. */
};

/* What a client holds: "sticky-web=0123456789abcdef"; empty for nothing. */
struct stage_cookie {
    char text[64];
};

/* Clients; shared with their process. */
struct stage_load {
    atomic_bool stop;
    atomic_int fresh_ok; /* Each over a connection of its own. */
    atomic_int fresh_failed;
    atomic_int kept_ok; /* Over one kept connection; asked once more when it was closed. */
    atomic_int kept_failed;
    char failure[128];
    atomic_int moved; /* So often another target answered a kept one than before. */
};

struct stage {
    char directory[64];
    char config_path[96];
    char socket_path[96];
    char reload[768];
    char words[256];
    char state[96]; /* Where the epoch is. */
    struct haproxy_paths paths;
    struct haproxy_host host;
    struct stage_web *webs; /* STAGE_WEBS of them, in shared memory. */
    struct stage_load *load;
    pid_t web_pids[STAGE_WEBS];
    pid_t load_pid;
    pid_t keeper_pid;
    int runs_left; /* Commands until the line drops; -1: never. */
};

/* Where things are. */
#define STAGE_PORT     8000
#define STAGE_WEB_PORT 8081 /* Of every web, and the next; web i at stage_web_address(i). */
const char *stage_web_address(int web);

/* True when this machine can run it: root, haproxy and socat; else says why not. */
bool stage_possible(void);
void stage_start(struct stage *stage);
void stage_stop(struct stage *stage);

/* HAProxy's processes, by force. */
void stage_kill_haproxy(struct stage *stage);
bool stage_haproxy_runs(const struct stage *stage);
/* The file's text; the caller frees it. */
char *stage_file(const struct stage *stage);
void stage_write_file(const struct stage *stage, const char *text);
/* One command to the admin socket; the answer is the caller's. */
char *stage_ask(struct stage *stage, const char *command);

void stage_load_start(struct stage *stage);
/* The same, and the kept ones send the cookie that they were given last, the first time COOKIE. */
void stage_load_start_sticky(struct stage *stage, const struct stage_cookie *cookie);
void stage_load_stop(struct stage *stage);

/* One request over a connection of its own: the status (0: none), the body's start. */
int stage_get(const char *method, const char *path, char *ret_body, size_t size);
/* The same with COOKIE, which becomes what the answer sets. */
int stage_visit(struct stage_cookie *cookie, const char *path, char *ret_body, size_t size);

#endif
