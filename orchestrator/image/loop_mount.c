#include "image/loop_mount.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOUNTINFO_MAX (64u * 1024 * 1024)
#define TRIES         64

/* The number of the topmost mount on PLACE; false when there is none. */
static int find_mount(const char *place, bool *ret_found, dev_t *ret_device, struct err *e)
{
    struct str text = STR_NULL;
    if (str_read_file(&text, "/proc/self/mountinfo", MOUNTINFO_MAX, e) < 0) {
        return -1;
    }
    *ret_found = false;
    for (const char *line = str_text(&text); *line != '\0';) {
        unsigned major_number = 0;
        unsigned minor_number = 0;
        char point[4097];
        /* Places of ours have no byte that the kernel would escape: names and digits. */
        if (sscanf(line, "%*u %*u %u:%u %*s %4096s", &major_number, &minor_number, point) == 3 &&
            text_equal(point, place)) {
            *ret_found = true;
            *ret_device = makedev(major_number, minor_number);
        }
        line += strcspn(line, "\n");
        line += *line == '\n' ? 1 : 0;
    }
    str_deinit(&text);
    return 0;
}

/* Is the loop device behind the mount's number made of FILE as it is now? */
static bool is_made_of(dev_t device, const struct stat *file)
{
    char *path = xasprintf("/dev/loop%u", minor(device));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct loop_info64 info = {0};
    bool same = fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0 &&
                info.lo_inode == file->st_ino && info.lo_device == file->st_dev;
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return same;
}

/* A free device, bound to FILE; it frees itself when the last descriptor or mount goes. */
static int attach(int file, int *ret_device, char **ret_path, struct err *e)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) {
        return err_errno(e, errno, "/dev/loop-control: this machine needs loop devices for images");
    }
    int problem = EBUSY;
    /* Busy: somebody was faster. */
    for (int i = 0; (problem == EBUSY || problem == EAGAIN) && i < TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        char *path = xasprintf("/dev/loop%d", number);
        int device = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
        struct loop_config config = {
            .fd = (unsigned)file,
            .info = {.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR},
        };
        if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) == 0) {
            *ret_device = device;
            *ret_path = path;
            close(control);
            return 0;
        }
        problem = errno;
        if (device >= 0) {
            close(device);
        }
        free(path);
    }
    close(control);
    return err_errno(e, problem, "take a loop device (losetup -a)");
}

static int mount_file(int file, const char *place, struct err *e)
{
    int device = -1;
    char *path = NULL;
    if (attach(file, &device, &path, e) < 0) {
        return -1;
    }
    int result = 0;
    if (mount(path, place, "squashfs", MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) < 0) {
        result = err_errno(e, errno, "mount %s (the kernel's own words: dmesg)", place);
    }
    close(device);
    free(path);
    return result;
}

int loop_mount(const char *file, const char *place, struct err *e)
{
    bool found = false;
    dev_t device = 0;
    struct stat status;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return err_errno(e, errno, "%s", file);
    }
    int result = 0;
    if (fstat(fd, &status) < 0) {
        result = err_errno(e, errno, "%s", file);
    } else if (find_mount(place, &found, &device, e) < 0) {
        result = -1;
    } else if (found && !is_made_of(device, &status)) {
        result =
            err_set(e, "%s: something else is mounted there than %s: see findmnt", place, file);
    } else if (!found) {
        result = mount_file(fd, place, e);
    }
    close(fd);
    return result;
}

int loop_unmount(const char *place, bool *ret_busy, struct err *e)
{
    *ret_busy = false;
    while (umount2(place, UMOUNT_NOFOLLOW) == 0) {
    }
    if (errno == EBUSY) {
        *ret_busy = true;
        return 0;
    }
    return errno == EINVAL || errno == ENOENT ? 0 : err_errno(e, errno, "unmount %s", place);
}

bool loop_is_used(const char *file)
{
    glob_t found;
    bool used = false;
    if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found) != 0) {
        return false;
    }
    for (size_t i = 0; i < found.gl_pathc && !used; i++) {
        struct str text = STR_NULL;
        if (str_read_file(&text, found.gl_pathv[i], 8192, NULL) == 0) {
            str_trim(&text);
            used = text_equal(str_text(&text), file);
        }
        str_deinit(&text);
    }
    globfree(&found);
    return used;
}
