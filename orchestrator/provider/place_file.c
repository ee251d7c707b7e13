#include "provider/place_file.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, text, length);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -1;
        }
        text += done;
        length -= (size_t)done;
    }
    return 0;
}

int place_file(int directory, const char *name, const char *text, mode_t mode, struct err *e)
{
    char *temporary = xasprintf("%s.lamplighter-new", name);
    int fd =
        openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write_all(fd, text, strlen(text)) == 0 && fchmod(fd, mode) == 0 &&
                fsync(fd) == 0 && renameat(directory, temporary, directory, name) == 0;
    int result = good ? 0 : err_errno(e, errno, "write %s", name);
    if (fd >= 0) {
        close(fd);
    }
    free(temporary);
    return result;
}

int place_file_read(int directory, const char *name, size_t max, struct str *text, bool *ret_found,
                    struct err *e)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret_found = false;
        return 0;
    }
    if (fd < 0) {
        return err_errno(e, errno, "read %s", name);
    }
    struct stat status;
    int result = 0;
    if (fstat(fd, &status) < 0) {
        result = err_errno(e, errno, "read %s", name);
    } else if (!S_ISREG(status.st_mode)) {
        result = err_set(e, "%s is not a regular file", name);
    } else if (status.st_size < 0 || (size_t)status.st_size > max) {
        result = err_set(e, "%s is larger than %zu bytes", name, max);
    }
    char chunk[4096];
    size_t left = max;
    while (result == 0) {
        ssize_t got = read(fd, chunk, left < sizeof(chunk) ? left : sizeof(chunk));
        if (got < 0 && errno != EINTR) {
            result = err_errno(e, errno, "read %s", name);
        } else if (got == 0) {
            *ret_found = true;
            break;
        } else if (got > 0) {
            str_add_bytes(text, chunk, (size_t)got);
            left -= (size_t)got;
        }
    }
    close(fd);
    return result;
}
