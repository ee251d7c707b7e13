#include "base/sandbox.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A system call and at most two conditions on its arguments, both of which must hold. */
struct rule {
    int call;
    unsigned condition_count;
    struct scmp_arg_cmp conditions[2];
};

/* Parameters are not named as the members, or the preprocessor replaces both. */
#define CALL(name)                                                                                 \
    {                                                                                              \
        .call = SCMP_SYS(name)                                                                     \
    }
#define EQUALS(position, value)                                                                    \
    {                                                                                              \
        .arg = (position), .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)(value)                     \
    }
#define MASKED(position, mask, value)                                                              \
    {                                                                                              \
        .arg = (position), .op = SCMP_CMP_MASKED_EQ, .datum_a = (scmp_datum_t)(mask),              \
        .datum_b = (scmp_datum_t)(value)                                                           \
    }

#define WRITE_FLAGS  (O_ACCMODE | O_CREAT | O_TRUNC)
#define THREAD_FLAGS (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)

static const struct rule network_allowed[] = {
    /* Memory. Pages that are written are never run, and none becomes runnable afterwards. */
    CALL(brk),
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    {SCMP_SYS(mmap), 1, {MASKED(2, PROT_WRITE, 0)}},
    {SCMP_SYS(mmap), 1, {MASKED(2, PROT_WRITE | PROT_EXEC, PROT_WRITE)}},
    {SCMP_SYS(mprotect), 1, {MASKED(2, PROT_EXEC, 0)}},
    /* Descriptors. */
    CALL(read),
    CALL(readv),
    CALL(pread64),
    CALL(write),
    CALL(writev),
    CALL(lseek),
    CALL(close),
    CALL(close_range),
    CALL(dup),
    CALL(dup2),
    CALL(dup3),
    CALL(fcntl),
    CALL(pipe),
    CALL(pipe2),
    CALL(eventfd2),
    CALL(memfd_create),
    CALL(poll),
    CALL(ppoll),
    CALL(select),
    CALL(pselect6),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(timerfd_create),
    CALL(timerfd_settime),
    {SCMP_SYS(ioctl), 1, {EQUALS(1, FIONREAD)}},
    {SCMP_SYS(ioctl), 1, {EQUALS(1, FIONBIO)}},
    /* Files, to read. */
    {SCMP_SYS(open), 1, {MASKED(1, WRITE_FLAGS, O_RDONLY)}},
    {SCMP_SYS(openat), 1, {MASKED(2, WRITE_FLAGS, O_RDONLY)}},
    CALL(fstat),
    CALL(stat),
    CALL(lstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(fstatfs),
    CALL(statfs),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(readlink),
    CALL(readlinkat),
    CALL(getdents64),
    CALL(getcwd),
    /* Sockets. No listen, no accept. */
    {SCMP_SYS(socket), 1, {EQUALS(0, AF_UNIX)}},
    {SCMP_SYS(socket), 1, {EQUALS(0, AF_INET)}},
    {SCMP_SYS(socket), 1, {EQUALS(0, AF_INET6)}},
    {SCMP_SYS(socket), 2, {EQUALS(0, AF_NETLINK), EQUALS(2, NETLINK_ROUTE)}},
    CALL(socketpair),
    CALL(connect),
    CALL(bind),
    CALL(sendto),
    CALL(recvfrom),
    CALL(sendmsg),
    CALL(recvmsg),
    CALL(sendmmsg),
    CALL(recvmmsg),
    CALL(shutdown),
    CALL(getsockname),
    CALL(getpeername),
    CALL(setsockopt),
    CALL(getsockopt),
    /* Time, identity, randomness. */
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(time),
    CALL(getrandom),
    CALL(uname),
    CALL(sysinfo),
    CALL(getpid),
    CALL(gettid),
    CALL(getppid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(getrusage),
    CALL(times),
    CALL(getrlimit),
    CALL(capget),
    {SCMP_SYS(prlimit64), 1, {EQUALS(2, 0)}},
    /* Threads and signals of its own. */
    {SCMP_SYS(clone), 1, {MASKED(0, THREAD_FLAGS, THREAD_FLAGS)}},
    CALL(futex),
    CALL(set_robust_list),
    CALL(rseq),
    CALL(membarrier),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(set_tid_address),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    CALL(restart_syscall),
    CALL(exit),
    CALL(exit_group),
    CALL(alarm),
    CALL(setitimer),
    {SCMP_SYS(tgkill), 1, {EQUALS(2, SIGABRT)}},
    {SCMP_SYS(tgkill), 1, {EQUALS(2, SIGSYS)}},
    {SCMP_SYS(prctl), 1, {EQUALS(0, PR_SET_NAME)}},
    {SCMP_SYS(prctl), 1, {EQUALS(0, PR_GET_NAME)}},
    {SCMP_SYS(prctl), 1, {EQUALS(0, PR_GET_DUMPABLE)}},
};

/* No library has an innocent use for these: asking for one ends the process. */
static const int network_fatal[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(setuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(capset),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
};

/* glibc makes threads with the older call, whose flags a filter can read, when told so. */
static const int network_unknown[] = {SCMP_SYS(clone3), SCMP_SYS(openat2),
                                      SCMP_SYS(io_uring_setup)};

static const int hypervisor_refused[] = {
    /* The kernel itself. */
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(create_module),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(syslog),
    SCMP_SYS(acct),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(uselib),
    SCMP_SYS(_sysctl),
    SCMP_SYS(nfsservctl),
    /* The machine: power, clock, name, swap, quotas. */
    SCMP_SYS(reboot),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(stime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(quotactl),
    SCMP_SYS(quotactl_fd),
    SCMP_SYS(vhangup),
    SCMP_SYS(pivot_root),
    SCMP_SYS(fanotify_init),
    /* Other processes and the keyring. */
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(move_pages),
    SCMP_SYS(migrate_pages),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ACTION for each of CALLS; one that this architecture does not have is negative. */
static int add_calls(scmp_filter_ctx context, uint32_t action, const int *calls, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = calls[i] < 0 ? 0 : seccomp_rule_add(context, action, calls[i], 0);
    }
    return result;
}

static int add_network(scmp_filter_ctx context)
{
    int result = 0;
    for (size_t i = 0; i < COUNT(network_allowed) && result == 0; i++) {
        const struct rule *rule = &network_allowed[i];
        if (rule->call >= 0) {
            result = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, rule->call,
                                            rule->condition_count, rule->conditions);
        }
    }
    if (result == 0) {
        result = add_calls(context, SCMP_ACT_TRAP, network_fatal, COUNT(network_fatal));
    }
    if (result == 0) {
        result =
            add_calls(context, SCMP_ACT_ERRNO(ENOSYS), network_unknown, COUNT(network_unknown));
    }
    return result;
}

static int add_hypervisor(scmp_filter_ctx context)
{
    return add_calls(context, SCMP_ACT_ERRNO(EPERM), hypervisor_refused, COUNT(hypervisor_refused));
}

static scmp_filter_ctx build(enum sandbox sandbox)
{
    scmp_filter_ctx context =
        seccomp_init(sandbox == SANDBOX_NETWORK ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
    if (context == NULL) {
        return NULL;
    }
    /* Another architecture's system calls would walk past every rule: they end the process. */
    if (seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 ||
        (sandbox == SANDBOX_NETWORK ? add_network(context) : add_hypervisor(context)) != 0) {
        seccomp_release(context);
        return NULL;
    }
    /* A binary tree instead of a list: cheaper to load and at every call; absent in old ones. */
    (void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return context;
}

static int export(scmp_filter_ctx context, int fd, struct sandbox_program *ret_program)
{
    struct stat st;
    if (seccomp_export_bpf(context, fd) != 0 || fstat(fd, &st) != 0) {
        return -1;
    }
    size_t size = (size_t)st.st_size;
    void *filter = xcalloc(size, 1);
    if (pread(fd, filter, size, 0) != (ssize_t)size) {
        free(filter);
        return -1;
    }
    *ret_program =
        (struct sandbox_program){.filter = filter, .length = size / sizeof(struct sock_filter)};
    return 0;
}

int sandbox_compile(enum sandbox sandbox, struct sandbox_program *ret_program, struct err *e)
{
    scmp_filter_ctx context = build(sandbox);
    if (context == NULL) {
        return err_set(e, "cannot build the seccomp filter (libseccomp refused a rule)");
    }
    int fd = memfd_create("filter", MFD_CLOEXEC);
    int result = fd < 0 ? -1 : export(context, fd, ret_program);
    if (fd >= 0) {
        close(fd);
    }
    seccomp_release(context);
    return result == 0 ? 0 : err_errno(e, errno, "cannot export the seccomp filter");
}

void sandbox_program_deinit(struct sandbox_program *program)
{
    free(program->filter);
    *program = SANDBOX_PROGRAM_NULL;
}

int sandbox_load(const struct sandbox_program *program, struct err *e)
{
    struct sock_fprog wire = {.len = (unsigned short)program->length, .filter = program->filter};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &wire) != 0) {
        return err_errno(e, errno, "load the seccomp filter");
    }
    return 0;
}

/* The only file-scope variable: a signal handler has no other way to know. */
static const char *process_name = "process";

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        return; /* There is nobody to tell. */
    }
}

/* SIGSYS: says which system call it was, then dies of the same signal, which the parent sees. */
static void on_refused(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    char digits[16];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    unsigned number = (unsigned)info->si_syscall;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    say("lamplighter ");
    say(process_name);
    say(": killed by its sandbox: system call ");
    say(digits + at);
    say("; please report this\n");
    signal(signal_number, SIG_DFL);
    syscall(SYS_tgkill, getpid(), gettid(), SIGSYS);
    _exit(128 + SIGSYS);
}

/*
 * Root without its powers. It may still read the user's key and connect to the user's agent, which
 * belong to others when lamplighter runs under sudo; writing is what the filter refuses.
 */
static int drop_capabilities(struct err *e)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) {
        return err_errno(e, errno, "read capabilities");
    }
    const uint32_t kept = (1u << CAP_DAC_OVERRIDE) | (1u << CAP_DAC_READ_SEARCH);
    for (size_t i = 0; i < 2; i++) {
        uint32_t mask = i == 0 ? kept : 0;
        data[i].effective &= mask;
        data[i].permitted &= mask;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) != 0) {
        return err_errno(e, errno, "drop capabilities");
    }
    return 0;
}

int sandbox_enter(enum sandbox sandbox, const struct sandbox_program *program, const char *name,
                  struct err *e)
{
    process_name = name;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return err_errno(e, errno, "give up privileges");
    }
    if (sandbox == SANDBOX_NETWORK) {
        struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
        sigaction(SIGSYS, &action, NULL);
        if (drop_capabilities(e) != 0) {
            return -1;
        }
    }
    return sandbox_load(program, e);
}
