/*
 * The tree was an instance's own, so it may have any shape: links to /, directories a hundred
 * thousand deep. Every step is by descriptor and one name. What lies deeper than DEPTH_MAX is moved
 * up to the top and removed in another round, so neither the stack nor the table of open files
 * grows with the tree. openat2() refuses, in the kernel, what would cross a mount.
 */
#include "provider/remove_tree.h"

#include "base/err.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 40

struct removal {
    int top;          /* Borrowed; the directory that is emptied. */
    const char *keep; /* Borrowed; may be NULL. */
    unsigned moved;   /* Directories moved up, for their names. */
};

static int open_directory(int parent, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
    };
    return (int)syscall(SYS_openat2, parent, name, &how, sizeof(how));
}

/* Too deep: to the top with it, under a name of ours. */
static int move_up(struct removal *removal, int parent, const char *name, struct err *e)
{
    for (;;) {
        char moved[48];
        snprintf(moved, sizeof(moved), ".lamplighter-moved-%u", removal->moved++);
        if (renameat2(parent, name, removal->top, moved, RENAME_NOREPLACE) == 0) {
            return 0;
        }
        if (errno != EEXIST) {
            return err_errno(e, errno, "move %s to be removed", name);
        }
    }
}

static int refused(const char *name, struct err *e)
{
    if (errno == EBUSY || errno == EXDEV) {
        return err_set(e, "remove %s: something is mounted there (findmnt)", name);
    }
    return err_errno(e, errno, "remove %s", name);
}

static int empty_directory(struct removal *removal, int directory, unsigned depth, struct err *e);

static int remove_directory(struct removal *removal, int parent, const char *name, unsigned depth,
                            struct err *e)
{
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) {
        return refused(name, e);
    }
    if (depth >= DEPTH_MAX) {
        return move_up(removal, parent, name, e);
    }
    int fd = open_directory(parent, name);
    if (fd < 0) {
        return refused(name, e);
    }
    int result = empty_directory(removal, fd, depth + 1, e);
    close(fd);
    if (result == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        result = refused(name, e);
    }
    return result;
}

static int remove_entry(struct removal *removal, int parent, const struct dirent *entry,
                        unsigned depth, struct err *e)
{
    if (entry->d_type != DT_DIR) {
        if (unlinkat(parent, entry->d_name, 0) == 0 || errno == ENOENT) {
            return 0;
        }
        if (errno != EISDIR) {
            return refused(entry->d_name, e);
        }
    }
    return remove_directory(removal, parent, entry->d_name, depth, e);
}

static bool is_kept(const struct removal *removal, const char *name, unsigned depth)
{
    return text_equal(name, ".") || text_equal(name, "..") ||
           (depth == 0 && removal->keep != NULL && text_equal(name, removal->keep));
}

/* Once over all entries; what move_up() adds to the top meanwhile may be missed. */
static int empty_directory(struct removal *removal, int directory, unsigned depth, struct err *e)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (stream == NULL) {
        int problem = errno;
        if (copy >= 0) {
            close(copy);
        }
        return err_errno(e, problem, "read a directory that is to be removed");
    }
    int result = 0;
    const struct dirent *entry;
    while (result == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
        if (!is_kept(removal, entry->d_name, depth)) {
            result = remove_entry(removal, directory, entry, depth, e);
        }
    }
    if (result == 0 && errno != 0) {
        result = err_errno(e, errno, "read a directory that is to be removed");
    }
    closedir(stream);
    return result;
}

int remove_tree_contents(int directory, const char *keep, struct err *e)
{
    struct removal removal = {.top = directory, .keep = keep};
    unsigned moved;
    do { /* Every round takes at least DEPTH_MAX levels off, so the rounds end. */
        moved = removal.moved;
        if (empty_directory(&removal, directory, 0, e) < 0) {
            return -1;
        }
    } while (removal.moved != moved);
    return 0;
}
