#include "base/secret.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_MAX 65536

void secret_deinit(struct secret *s)
{
    if (s->bytes != NULL) {
        explicit_bzero(s->bytes, s->length);
        free(s->bytes);
    }
    *s = SECRET_NULL;
}

void secret_set(struct secret *s, const void *bytes, size_t length)
{
    secret_deinit(s);
    s->bytes = xcalloc(length + 1, 1);
    memcpy(s->bytes, bytes, length);
    s->length = length;
}

void secret_copy(struct secret *s, const struct secret *from)
{
    secret_set(s, from->bytes == NULL ? (const unsigned char *)"" : from->bytes, from->length);
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    if (a->length != b->length) {
        return false;
    }
    unsigned char differ = 0;
    for (size_t i = 0; i < a->length; i++) {
        differ = (unsigned char)(differ | (a->bytes[i] ^ b->bytes[i]));
    }
    return differ == 0;
}

static int check_file(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return err_errno(e, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, "%s: not a regular file", path);
    }
    if ((st.st_mode & 077) != 0) {
        return err_set(e, "%s: readable by others (mode %04o); chmod 600 it", path,
                       (unsigned)(st.st_mode & 07777));
    }
    if (st.st_size > SECRET_FILE_MAX) {
        return err_set(e, "%s: larger than %d bytes", path, SECRET_FILE_MAX);
    }
    return 0;
}

int secret_read_file(struct secret *s, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return err_errno(e, errno, "%s", path);
    }
    if (check_file(fd, path, e) != 0) {
        close(fd);
        return -1;
    }
    char buffer[SECRET_FILE_MAX];
    size_t length = 0;
    ssize_t got;
    while (length < sizeof(buffer) &&
           (got = read(fd, buffer + length, sizeof(buffer) - length)) != 0) {
        if (got < 0 && errno != EINTR) {
            int errnum = errno;
            close(fd);
            explicit_bzero(buffer, sizeof(buffer));
            return err_errno(e, errnum, "%s", path);
        }
        length += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    while (length > 0 && (buffer[length - 1] == '\n' || buffer[length - 1] == '\r')) {
        length--;
    }
    if (length == 0) {
        return err_set(e, "%s: empty", path);
    }
    secret_set(s, buffer, length);
    explicit_bzero(buffer, sizeof(buffer));
    return 0;
}

void secret_generate(struct secret *s, size_t length)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const size_t count = sizeof(letters) - 1;
    char *text = xcalloc(length + 1, 1);
    for (size_t i = 0; i < length;) {
        unsigned char byte;
        if (getrandom(&byte, 1, 0) != 1) {
            continue;
        }
        /* Bytes past the last whole multiple are thrown away, so that no letter is likelier. */
        if (byte < 256 / count * count) {
            text[i++] = letters[byte % count];
        }
    }
    secret_set(s, text, length);
    explicit_bzero(text, length);
    free(text);
}

int secret_write_file(const struct secret *s, const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_errno(e, errno, "%s", path);
    }
    size_t done = 0;
    while (done < s->length) {
        ssize_t put = write(fd, s->bytes + done, s->length - done);
        if (put < 0 && errno != EINTR) {
            break;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    int failed = done < s->length || fsync(fd) != 0;
    int errnum = errno;
    if (close(fd) != 0 || failed) {
        unlink(path);
        return err_errno(e, errnum, "%s", path);
    }
    return 0;
}
