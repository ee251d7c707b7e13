#include "provider/instance_dir.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/mark.h"
#include "provider/place_file.h"
#include "provider/remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK_NAME      "mark"
#define SMALL_FILE_MAX 65536
#define LOCK_PAUSE_US  20000

void instance_dir_deinit(struct instance_dir *dir)
{
    free(dir->path);
    if (dir->fd >= 0) {
        close(dir->fd);
    }
    *dir = INSTANCE_DIR_NULL;
}

static int make_directories(const char *path, struct err *e)
{
    char *copy = xstrdup(path);
    int result = 0;
    for (char *at = copy; result == 0 && at != NULL;) {
        at = strchr(at + 1, '/');
        if (at != NULL) {
            *at = '\0';
        }
        if (mkdir(copy, at == NULL ? 0700 : 0755) < 0 && errno != EEXIST) {
            result = err_errno(e, errno, "make directory %s", copy);
        }
        if (at != NULL) {
            *at = '/';
        }
    }
    free(copy);
    return result;
}

int instance_dir_base(const char *base, bool make, char **ret_path, struct err *e)
{
    if (base == NULL || base[0] != '/') {
        return err_set(e, "instance-dir '%s' is not an absolute path", base == NULL ? "" : base);
    }
    for (const char *c = base; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return err_set(e, "instance-dir '%s' has a control character", base);
        }
    }
    char *path = realpath(base, NULL);
    if (path == NULL && errno == ENOENT && !make) {
        path = xstrdup(base);
    } else if (path == NULL && errno == ENOENT) {
        if (make_directories(base, e) < 0) {
            return -1;
        }
        path = realpath(base, NULL);
    }
    if (path == NULL) {
        return err_errno(e, errno, "instance-dir %s", base);
    }
    *ret_path = path;
    return 0;
}

/* One byte of one file stands for an id, so that no file is left for every id there ever was. */
static off_t lock_place(const char *id)
{
    uint32_t hash = 2166136261u;
    for (; *id != '\0'; id++) {
        hash = (hash ^ (unsigned char)*id) * 16777619u;
    }
    return (off_t)hash;
}

int instance_dir_lock(const char *base, const char *id, int64_t deadline_ms, int *ret_lock,
                      struct err *e)
{
    char *path = xasprintf("%s/.lock", base);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        int problem = errno;
        err_errno(e, problem, "open %s", path);
        free(path);
        *ret_lock = -1;
        return problem == ENOENT ? 0 : -1;
    }
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lock_place(id), .l_len = 1};
    while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        int problem = errno;
        if (problem != EAGAIN && problem != EACCES && problem != EINTR) {
            err_errno(e, problem, "lock %s", path);
        } else if (clock_now_ms() >= deadline_ms) {
            err_set(e, "another process is still at work on %s (it holds %s: see fuser -v)", id,
                    path);
        } else {
            usleep(LOCK_PAUSE_US);
            continue;
        }
        close(fd);
        free(path);
        return -1;
    }
    free(path);
    *ret_lock = fd;
    return 0;
}

static bool is_empty(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (stream == NULL) {
        if (copy >= 0) {
            close(copy);
        }
        return false;
    }
    const struct dirent *entry;
    bool empty = true;
    while (empty && (entry = readdir(stream)) != NULL) {
        empty = text_equal(entry->d_name, ".") || text_equal(entry->d_name, "..");
    }
    closedir(stream);
    return empty;
}

static int read_mark(int fd, struct mark *ret_mark, bool *ret_found, struct err *e)
{
    struct str text = STR_NULL;
    int result = place_file_read(fd, MARK_NAME, SMALL_FILE_MAX, &text, ret_found, e);
    if (result == 0 && *ret_found) {
        result = mark_parse(str_text(&text), ret_mark, e);
    }
    str_deinit(&text);
    return result;
}

/* *ret_ours is false for an empty directory: what is left when a removal is cut short at its end.
 */
static int check_owner(const char *path, int fd, const char *cluster, const char *id,
                       bool *ret_ours, struct err *e)
{
    struct mark mark = MARK_NULL;
    bool found = false;
    if (read_mark(fd, &mark, &found, e) < 0) {
        return err_wrap(e, "%s is not touched", path);
    }
    int result = 0;
    if (!found && !is_empty(fd)) {
        result = err_set(e, "%s has no mark of ours and is not touched (S25): move it away", path);
    } else if (found && (!text_equal(mark.cluster, cluster) || !text_equal(mark.id, id))) {
        result = err_set(e, "%s belongs to %s of cluster %s and is not touched (S25)", path,
                         mark.id, mark.cluster);
    }
    mark_deinit(&mark);
    *ret_ours = found;
    return result;
}

int instance_dir_open(const char *base, const char *cluster, const char *id,
                      struct instance_dir *ret_dir, struct err *e)
{
    struct instance_dir dir = {.path = xasprintf("%s/%s", base, id), .fd = -1};
    dir.fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir.fd < 0 && errno != ENOENT) {
        err_errno(e, errno, "%s", dir.path);
        instance_dir_deinit(&dir);
        return -1;
    }
    bool ours = false;
    if (dir.fd >= 0 && check_owner(dir.path, dir.fd, cluster, id, &ours, e) < 0) {
        instance_dir_deinit(&dir);
        return -1;
    }
    if (dir.fd >= 0 && !ours) {
        close(dir.fd);
        dir.fd = -1;
    }
    *ret_dir = dir;
    return 0;
}

static char *new_path(const char *base, const char *id)
{
    return xasprintf("%s/.%s.lamplighter-new", base, id);
}

/* Made under another name, so that it never stands there without its mark. */
static int make_marked(const char *base, const struct mark *mark, struct err *e)
{
    char *temporary = new_path(base, mark->id);
    struct str text = STR_NULL;
    mark_render(mark, &text);
    int fd = -1;
    int result = 0;
    if ((mkdir(temporary, 0700) < 0 && errno != EEXIST) ||
        (fd = open(temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
        result = err_errno(e, errno, "make directory %s", temporary);
    } else if (place_file(fd, MARK_NAME, str_text(&text), 0600, e) < 0) {
        result = -1;
    } else if (rename(temporary, mark->directory) < 0) {
        result = err_errno(e, errno, "make directory %s", mark->directory);
    }
    if (fd >= 0) {
        close(fd);
    }
    str_deinit(&text);
    free(temporary);
    return result;
}

int instance_dir_make(const char *base, const struct mark *mark, struct instance_dir *ret_dir,
                      struct err *e)
{
    struct instance_dir dir = INSTANCE_DIR_NULL;
    if (instance_dir_open(base, mark->cluster, mark->id, &dir, e) < 0) {
        return -1;
    }
    if (dir.fd < 0) {
        instance_dir_deinit(&dir);
        if (make_marked(base, mark, e) < 0 ||
            instance_dir_open(base, mark->cluster, mark->id, &dir, e) < 0) {
            return -1;
        }
    }
    *ret_dir = dir;
    return 0;
}

static int remove_new(const char *base, const char *id, struct err *e)
{
    char *temporary = new_path(base, id);
    int result = 0;
    int fd = open(temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        result = remove_tree_contents(fd, NULL, e);
        close(fd);
        if (result == 0 && rmdir(temporary) < 0) {
            result = err_errno(e, errno, "remove directory %s", temporary);
        }
    }
    free(temporary);
    return result;
}

int instance_dir_remove(const char *base, const char *id, struct instance_dir *dir, struct err *e)
{
    if (dir->fd >= 0) {
        if (remove_tree_contents(dir->fd, MARK_NAME, e) < 0) {
            return err_wrap(e, "%s", dir->path);
        }
        if (unlinkat(dir->fd, MARK_NAME, 0) < 0 && errno != ENOENT) {
            return err_errno(e, errno, "remove %s/" MARK_NAME, dir->path);
        }
        close(dir->fd);
        dir->fd = -1;
    }
    if (rmdir(dir->path) < 0 && errno != ENOENT) {
        return err_errno(e, errno, "remove directory %s", dir->path);
    }
    return remove_new(base, id, e);
}

int instance_dir_list(const char *base, const char *cluster, struct mark **ret_marks,
                      size_t *ret_count, struct err *e)
{
    DIR *stream = opendir(base);
    if (stream == NULL && errno != ENOENT) {
        return err_errno(e, errno, "read directory %s", base);
    }
    struct mark *marks = NULL;
    size_t count = 0;
    size_t capacity = 0;
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        struct mark mark = MARK_NULL;
        bool found = false;
        int fd = -1;
        if (text_is_name(entry->d_name) &&
            (fd = openat(dirfd(stream), entry->d_name,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0) {
            /* One that cannot be read is not known to be ours: not listed, as another's. */
            found = read_mark(fd, &mark, &found, NULL) == 0 && found;
            close(fd);
        }
        if (found && text_equal(mark.cluster, cluster) && text_equal(mark.id, entry->d_name)) {
            size_t i = xgrow((void **)&marks, &count, &capacity, sizeof(*marks));
            marks[i] = mark;
        } else {
            mark_deinit(&mark);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    *ret_marks = marks;
    *ret_count = count;
    return 0;
}

int instance_dir_read(const struct instance_dir *dir, const char *name, char **ret_text,
                      struct err *e)
{
    struct str text = STR_NULL;
    bool found = false;
    if (place_file_read(dir->fd, name, SMALL_FILE_MAX, &text, &found, e) < 0) {
        str_deinit(&text);
        return err_wrap(e, "%s", dir->path);
    }
    str_trim(&text);
    *ret_text = found ? str_take(&text) : NULL;
    str_deinit(&text);
    return 0;
}

int instance_dir_write(const struct instance_dir *dir, const char *name, const char *text,
                       struct err *e)
{
    char *line = xasprintf("%s\n", text);
    int result = place_file(dir->fd, name, line, 0600, e);
    free(line);
    return result < 0 ? err_wrap(e, "%s", dir->path) : 0;
}
