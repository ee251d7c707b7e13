#include "store/sqlite_file.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *directory_of(const char *path)
{
    char *copy = xstrdup(path);
    char *directory = xstrdup(dirname(copy));
    free(copy);
    return directory;
}

static int sync_directory(const char *directory, struct err *e)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, errno, "%s", directory);
    }
    int result = fsync(fd) == 0 ? 0 : err_errno(e, errno, "%s: sync", directory);
    close(fd);
    return result;
}

static int make_directory(const char *directory, struct err *e)
{
    if (mkdir(directory, 0700) != 0) {
        return errno == EEXIST ? 0 : err_errno(e, errno, "%s: make the directory", directory);
    }
    if (chmod(directory, 0700) != 0) {
        return err_errno(e, errno, "%s: set mode 0700", directory);
    }
    char *parent = directory_of(directory);
    int result = sync_directory(parent, e);
    free(parent);
    return result;
}

/* DIRECTORY and those above it, as far as they are missing. */
static int make_directories(const char *directory, struct err *e)
{
    char *path = xstrdup(directory);
    int result = 0;
    for (char *p = path + 1; result == 0 && *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            result = make_directory(path, e);
            *p = '/';
        }
    }
    if (result == 0) {
        result = make_directory(path, e);
    }
    free(path);
    return result;
}

static int check_directory(const char *directory, struct err *e)
{
    struct stat st;
    if (stat(directory, &st) != 0) {
        return err_errno(e, errno, "%s", directory);
    }
    if (!S_ISDIR(st.st_mode)) {
        return err_set(e, "%s: not a directory; the store needs one of its own", directory);
    }
    if ((st.st_mode & 022) != 0) {
        return err_set(e,
                       "%s: others may write to this directory (mode %04o), so the store in it is "
                       "not safe: chmod go-w it, or give the store a directory of its own",
                       directory, (unsigned)st.st_mode & 07777);
    }
    return 0;
}

int sqlite_file_locate(const char *path, bool make, char **ret_real, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    if (name[0] == '\0') {
        return err_set(e, "%s: a directory; the store needs the path of a file", path);
    }
    char *directory = directory_of(path);
    char *resolved = NULL;
    int result = make ? make_directories(directory, e) : 0;
    if (result == 0) {
        resolved = realpath(directory, NULL);
        if (resolved == NULL && errno == ENOENT) {
            result = err_set(e, "%s: there is no store yet; 'lamplighter apply' makes it", path);
        } else if (resolved == NULL) {
            result = err_errno(e, errno, "%s", directory);
        } else {
            result = check_directory(resolved, e);
        }
    }
    if (result == 0) {
        *ret_real = xasprintf("%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, name);
    }
    free(resolved);
    free(directory);
    return result;
}

static int check_status(const char *path, const struct stat *st, struct err *e)
{
    if (S_ISLNK(st->st_mode)) {
        return err_set(e, "%s: a symbolic link; give the path of the store itself", path);
    }
    if (!S_ISREG(st->st_mode)) {
        return err_set(e, "%s: not a regular file; give the store another path", path);
    }
    if ((st->st_mode & 077) != 0) {
        return err_set(e, "%s: others may read or write it (mode %04o): chmod 600 '%s'", path,
                       (unsigned)st->st_mode & 07777, path);
    }
    return 0;
}

/* *ret_size -1: there is no such file. */
static int check_one(const char *path, int64_t *ret_size, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno != ENOENT) {
            return err_errno(e, errno, "%s", path);
        }
        *ret_size = -1;
        return 0;
    }
    if (check_status(path, &st, e) != 0) {
        return -1;
    }
    if (st.st_uid != geteuid() && geteuid() != 0) {
        return err_set(e, "%s: belongs to user id %u: run this as that user or as root", path,
                       (unsigned)st.st_uid);
    }
    *ret_size = st.st_size;
    return 0;
}

int sqlite_file_check(const char *real, bool *ret_exists, struct err *e)
{
    char *log = xasprintf("%s-wal", real);
    char *index = xasprintf("%s-shm", real);
    int64_t size = -1;
    int64_t log_size = -1;
    int64_t index_size = -1;
    int result = check_one(real, &size, e);
    if (result == 0) {
        result = check_one(log, &log_size, e);
    }
    if (result == 0) {
        result = check_one(index, &index_size, e);
    }
    if (result == 0 && size < 0 && log_size > 0) {
        result = err_set(e,
                         "%s: the store is gone, but its log %s is there: put the store back from "
                         "a backup, or move the log away to begin with nothing",
                         real, log);
    }
    if (result == 0 && size == 0) {
        result = err_set(e,
                         "%s: the store is empty: put it back from a backup, or remove the file "
                         "to begin with nothing",
                         real);
    }
    if (result == 0) {
        *ret_exists = size >= 0;
    }
    free(index);
    free(log);
    return result;
}

int sqlite_file_lock(const char *real, int64_t deadline_ms, int *ret_fd, struct err *e)
{
    char *directory = directory_of(real);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd >= 0 ? 0 : err_errno(e, errno, "%s", directory);
    while (result == 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            result = err_errno(e, errno, "%s: lock", directory);
        } else if (clock_now_ms() >= deadline_ms) {
            result = err_set(e,
                             "%s: another process keeps this directory locked; repeat when it "
                             "has ended",
                             directory);
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
        }
    }
    if (result == 0) {
        *ret_fd = fd;
    } else if (fd >= 0) {
        close(fd);
    }
    free(directory);
    return result;
}

void sqlite_file_abandon(const char *fresh)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char *path = xasprintf("%s%s", fresh, suffixes[i]);
        unlink(path);
        free(path);
    }
}

int sqlite_file_begin(const char *fresh, struct err *e)
{
    sqlite_file_abandon(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_errno(e, errno, "%s: make the file", fresh);
    }
    int result = fchmod(fd, 0600) == 0 ? 0 : err_errno(e, errno, "%s: set mode 0600", fresh);
    close(fd);
    return result;
}

int sqlite_file_finish(const char *fresh, const char *real, int directory_fd, struct err *e)
{
    char *log = xasprintf("%s-wal", fresh);
    bool unwritten = access(log, F_OK) == 0;
    free(log);
    if (unwritten) {
        return err_set(e,
                       "%s: could not be written as a whole; free some space on its file "
                       "system, then repeat",
                       fresh);
    }
    if (rename(fresh, real) != 0) {
        return err_errno(e, errno, "%s: rename to %s", fresh, real);
    }
    if (fsync(directory_fd) != 0) {
        return err_errno(e, errno, "%s: sync its directory", real);
    }
    return 0;
}
