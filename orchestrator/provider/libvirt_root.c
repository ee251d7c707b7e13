#include "provider/libvirt_root.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE_NAME  "base"
#define IMAGE_NAME "image"
#define KEY_NAME   "host_key.pub"
#define READY_NAME "ready"
#define INIT       "/usr/lib/lamplighter/container-init"

const char *libvirt_root_init(const char *lower)
{
    char *path = xasprintf("%s" INIT, lower);
    bool found = access(path, X_OK) == 0;
    free(path);
    return found ? INIT : "/sbin/init";
}

int libvirt_root_base(const struct instance_dir *dir, char **ret_base, struct err *e)
{
    return instance_dir_read(dir, BASE_NAME, ret_base, e);
}

int libvirt_root_description(const struct instance_dir *dir, char **ret_text, struct err *e)
{
    return instance_dir_read(dir, IMAGE_NAME, ret_text, e);
}

int libvirt_root_ready(const struct instance_dir *dir, bool *ret_ready, struct err *e)
{
    char *text = NULL;
    if (instance_dir_read(dir, READY_NAME, &text, e) < 0) {
        return -1;
    }
    *ret_ready = text != NULL;
    free(text);
    return 0;
}

static int mount_over(const struct instance_dir *dir, const char *lower, struct err *e)
{
    char *upper = xasprintf("%s/upper", dir->path);
    char *work = xasprintf("%s/work", dir->path);
    char *root = xasprintf("%s/root", dir->path);
    struct overlay overlay = {.lower = lower, .upper = upper, .work = work, .root = root};
    int result = overlay_mount(&overlay, e);
    free(upper);
    free(work);
    free(root);
    return result;
}

int libvirt_root_mount(const struct instance_dir *dir, const struct image_source *source,
                       int64_t deadline_ms, struct err *e)
{
    char *base = NULL;
    char *lower = NULL;
    if (instance_dir_read(dir, BASE_NAME, &base, e) < 0) {
        return -1;
    }
    int result = base == NULL
                     ? err_set(e, "%s/" BASE_NAME " is missing: replace this instance", dir->path)
                     : image_base_mount(source, base, deadline_ms, &lower, e);
    if (result == 0) {
        result = mount_over(dir, lower, e);
    }
    free(base);
    free(lower);
    return result;
}

int libvirt_root_unmount(const struct instance_dir *dir, int64_t deadline_ms, struct err *e)
{
    char *root = xasprintf("%s/root", dir->path);
    int result = overlay_unmount(root, deadline_ms, e);
    free(root);
    return result;
}

/* The image is written down before the first mount: an upper directory fits one lower only. */
static int choose_base(const struct instance_dir *dir, const char *wanted, struct err *e)
{
    char *base = NULL;
    if (instance_dir_read(dir, BASE_NAME, &base, e) < 0) {
        return -1;
    }
    int result = base == NULL ? instance_dir_write(dir, BASE_NAME, wanted, e) : 0;
    free(base);
    return result;
}

/* Written down, because an instance lives on when its image's manifest is gone or altered. */
static int describe_base(const struct instance_dir *dir, const struct image_source *source,
                         const char *base, struct err *e)
{
    char *text = NULL;
    int result = image_base_describe(source, base, &text, e) < 0
                     ? -1
                     : instance_dir_write(dir, IMAGE_NAME, text, e);
    free(text);
    return result;
}

static int make_places(const struct instance_dir *dir, struct err *e)
{
    static const char *const names[] = {"upper", "work", "root"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool made = mkdirat(dir->fd, names[i], 0755) == 0 || errno == EEXIST;
        /* The upper directory's mode is that of "/" in the guest, whatever our umask is. */
        if (!made || fchmodat(dir->fd, names[i], 0755, 0) < 0) {
            return err_errno(e, errno, "make directory %s/%s", dir->path, names[i]);
        }
    }
    return 0;
}

int libvirt_root_make(const struct instance_dir *dir, const struct image_source *source,
                      const char *base, const struct root_files *files, struct err *e)
{
    if (choose_base(dir, base, e) < 0 || make_places(dir, e) < 0 ||
        libvirt_root_mount(dir, source, files->deadline_ms, e) < 0 ||
        describe_base(dir, source, base, e) < 0) {
        return -1;
    }
    char *earlier = NULL;
    if (instance_dir_read(dir, KEY_NAME, &earlier, e) < 0) {
        return -1;
    }
    struct root_files whole = *files;
    whole.host_key = earlier;
    char *root = xasprintf("%s/root", dir->path);
    char *key = NULL;
    int result = root_files_place(root, &whole, &key, e);
    if (result == 0) {
        result = instance_dir_write(dir, KEY_NAME, key, e) < 0 ||
                         instance_dir_write(dir, READY_NAME, "yes", e) < 0
                     ? -1
                     : 0;
    }
    free(earlier);
    free(root);
    free(key);
    return result;
}

int libvirt_root_host_key(const struct instance_dir *dir, char **ret_key, struct err *e)
{
    bool ready = false;
    char *line = NULL;
    if (libvirt_root_ready(dir, &ready, e) < 0 ||
        (ready && instance_dir_read(dir, KEY_NAME, &line, e) < 0)) {
        return -1;
    }
    *ret_key = line == NULL ? NULL : root_files_key_words(line);
    free(line);
    return 0;
}
