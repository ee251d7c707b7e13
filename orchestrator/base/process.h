/*
 * Processes of our own: forked from a small, clean process (the spawner), each with only what it
 * needs, each free to die at any time.
 *
 * The spawner is forked once, at start, before anything large or secret is in memory. Asked over a
 * socket, it forks a child that runs one of the mains it was given, with limits and a seccomp
 * filter, and a socket to talk to whoever asked. The child dies with the spawner, the spawner with
 * its parent (PR_SET_PDEATHSIG). Children are known by pidfd, never by a pid that may be reused.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* What a child may still do after it has been set up: a seccomp filter each (sandbox.h). */
enum sandbox {
    SANDBOX_NETWORK,    /* Talks to one host: sockets, read files, the agent. No exec, no fork. */
    SANDBOX_HYPERVISOR, /* Makes instances: network, files, mounts, exec of helper programs. */
};

/* A child's main; SOCKET is its end (SOCK_SEQPACKET). Its result is the exit status. */
typedef int (*process_main)(int socket);

struct process_kind {
    const char *name; /* For messages and ps (PR_SET_NAME): "ssh", "libvirt". */
    process_main main;
    enum sandbox sandbox;
    size_t memory_bytes_max; /* RLIMIT_AS; 0 for none. */
    unsigned files_max;      /* RLIMIT_NOFILE; 0 for the default. */
    /* Done once in the spawner, for all children to inherit (start a library, say); or NULL. */
    void (*prepare)(void);
};

struct spawner; /* Opaque; the caller's side. */

/*
 * Forks the spawner. KINDS (COUNT) must stay valid (static table); a child is asked for by index.
 * Call it early, before opening stores and reading secrets: it sets itself up meanwhile, and the
 * first process_start() says when it could not.
 */
int spawner_start(struct spawner **ret_spawner, const struct process_kind *kinds, size_t count,
                  struct err *e);
/* Ends the spawner and with it every child. NULL is fine. */
void spawner_free(struct spawner *spawner);

struct process {
    pid_t pid;
    int pidfd;  /* Owned; readable (poll) when the process has ended. -1 when none. */
    int socket; /* Owned; our end. -1 when none. */
};

#define PROCESS_NULL ((struct process){.pid = -1, .pidfd = -1, .socket = -1})

/* Starts a child of kinds[KIND]. */
int process_start(struct spawner *spawner, size_t kind, struct process *ret_process, struct err *e);
/*
 * How an ended process ended, for a message: "ended by itself with status 1", "was killed by its
 * sandbox (a system call it must not use)", "was killed by signal 11 (Segmentation fault)". The
 * spawner is asked, which knows the last few hundred; "still runs" is an answer too.
 */
#define PROCESS_END_SIZE 128
void process_end_to_string(struct spawner *spawner, const struct process *process,
                           char ret_text[PROCESS_END_SIZE]);
/* SIGKILL by pidfd. Harmless when it has ended. */
void process_kill(const struct process *process);
bool process_ended(const struct process *process);
/* Closes both descriptors; kills the child if it still runs. Idempotent. */
void process_deinit(struct process *process);

/*
 * Runs a helper program (ssh-keygen, mksquashfs): no shell, an explicit argv (argv[0] an absolute
 * path, NULL at the end), a clean environment, standard input from /dev/null. Both outputs
 * are kept up to 64 KiB in *RET_OUTPUT (owned by the caller, may be NULL). DEADLINE_MS of the
 * monotonic clock; at it the program is killed and this faults. Faults too when the program cannot
 * start or exits other than 0: the text then has the last line it said.
 */
int process_run(const char *const *argv, int64_t deadline_ms, char **ret_output, struct err *e);

#endif
