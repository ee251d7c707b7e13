/*
 * Seccomp filters: what a child process may ask of the kernel. Built once with libseccomp, in the
 * spawner, into the kernel's own form; loading one into a child is then one system call.
 *
 * NETWORK is an allow-list. Anything else is refused with EPERM, which libraries live with (opening
 * a file for writing, another protocol family); what no library has an innocent use for (running a
 * program, another process, ptrace, mount, listening) ends the process with SIGSYS, after one line
 * on standard error that names the system call. Threads of its own are allowed: some libraries
 * resolve names in one.
 *
 * HYPERVISOR is a deny-list, because it runs helper programs that we did not write: what could
 * change the kernel, the clock or other processes is refused with EPERM.
 *
 * What no filter can see: which Unix socket a process connects to, and which file it reads.
 * sandbox_enter() therefore also drops the capabilities that NETWORK has no use for.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/process.h"

#include <stddef.h>

struct err;

struct sandbox_program {
    void *filter;  /* Owned; array of struct sock_filter. */
    size_t length; /* Instructions. */
};

#define SANDBOX_PROGRAM_NULL ((struct sandbox_program){.filter = NULL})

int sandbox_compile(enum sandbox sandbox, struct sandbox_program *ret_program, struct err *e);
void sandbox_program_deinit(struct sandbox_program *program);

/*
 * Puts the calling process under PROGRAM, made for SANDBOX, for good: no new privileges, not
 * dumpable, capabilities, filter. NAME is what the line on standard error calls it; borrowed for
 * ever.
 */
int sandbox_enter(enum sandbox sandbox, const struct sandbox_program *program, const char *name,
                  struct err *e);

/* Only the filter, for measuring it. */
int sandbox_load(const struct sandbox_program *program, struct err *e);

#endif
