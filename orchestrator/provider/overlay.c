#include "provider/overlay.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define MOUNTINFO_MAX    (64u * 1024 * 1024)
#define BUSY_PATIENCE_MS 5000
#define BUSY_PAUSE_US    20000

/* One field of a line, where the kernel writes space, tab, newline and backslash as \ooo. */
static char *unescape(const char *field, size_t length)
{
    char *text = xcalloc(length + 1, 1);
    size_t out = 0;
    for (size_t i = 0; i < length; i++) {
        if (field[i] == '\\' && i + 3 < length && field[i + 1] >= '0' && field[i + 1] <= '3') {
            text[out++] =
                (char)((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
            i += 3;
        } else {
            text[out++] = field[i];
        }
    }
    return text;
}

/* Is ITEM one of the comma-separated OPTIONS? */
static bool has_option(const char *options, const char *item)
{
    size_t length = strlen(item);
    for (const char *at = options; *at != '\0'; at += strcspn(at, ","), at += *at == ',') {
        if (strncmp(at, item, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* The fields of one line: "36 35 98:0 /r /mount options [tags] - type source super-options". */
struct mount_line {
    char *point;   /* Owned. */
    char *type;    /* Owned. */
    char *options; /* Owned; the super block's. */
};

static struct mount_line parse_line(const char *line, size_t length)
{
    struct mount_line found = {.point = NULL};
    const char *end = line + length;
    unsigned number = 0;
    unsigned separator = 0;
    while (line < end) {
        size_t field = strcspn(line, " \n");
        number++;
        if (number == 5) {
            found.point = unescape(line, field);
        } else if (number > 6 && separator == 0 && field == 1 && *line == '-') {
            separator = number;
        } else if (separator != 0 && number == separator + 1) {
            found.type = unescape(line, field);
        } else if (separator != 0 && number == separator + 3) {
            found.options = unescape(line, field);
        }
        line += field + 1;
    }
    return found;
}

enum overlay_state overlay_find(const struct overlay *overlay, const char *mountinfo)
{
    char *upper = xasprintf("upperdir=%s", overlay->upper);
    enum overlay_state state = OVERLAY_NONE;
    while (*mountinfo != '\0') {
        size_t length = strcspn(mountinfo, "\n");
        struct mount_line line = parse_line(mountinfo, length);
        if (text_equal(line.point, overlay->root)) {
            bool ours = text_equal(line.type, "overlay") && line.options != NULL &&
                        has_option(line.options, upper);
            state = ours ? OVERLAY_OURS : OVERLAY_FOREIGN;
        }
        free(line.point);
        free(line.type);
        free(line.options);
        mountinfo += length;
        mountinfo += *mountinfo == '\n' ? 1 : 0;
    }
    free(upper);
    return state;
}

static int look(const struct overlay *overlay, enum overlay_state *ret_state, struct err *e)
{
    struct str mountinfo = STR_NULL;
    int result = str_read_file(&mountinfo, "/proc/self/mountinfo", MOUNTINFO_MAX, e);
    if (result == 0) {
        *ret_state = overlay_find(overlay, str_text(&mountinfo));
    }
    str_deinit(&mountinfo);
    return result;
}

/* The mount options have no quoting that all kernels agree on. */
static int check_path(const char *path, struct err *e)
{
    if (strpbrk(path, ",:\\\"") != NULL) {
        return err_set(e,
                       "%s: a comma, colon, backslash or quote cannot stand in a path of an "
                       "overlay mount: choose another directory",
                       path);
    }
    return 0;
}

int overlay_mount(const struct overlay *overlay, struct err *e)
{
    enum overlay_state state = OVERLAY_NONE;
    if (check_path(overlay->lower, e) < 0 || check_path(overlay->root, e) < 0 ||
        look(overlay, &state, e) < 0) {
        return -1;
    }
    if (state == OVERLAY_FOREIGN) {
        return err_set(e, "%s: something else is mounted there: see findmnt %s", overlay->root,
                       overlay->root);
    }
    if (state == OVERLAY_OURS) {
        return 0;
    }
    char *options = xasprintf("lowerdir=%s,upperdir=%s,workdir=%s", overlay->lower, overlay->upper,
                              overlay->work);
    int result = 0;
    if (mount("lamplighter", overlay->root, "overlay", 0, options) < 0) {
        result =
            errno == EPERM
                ? err_set(e, "mount %s: not permitted: be root on the hypervisor", overlay->root)
                : err_errno(e, errno, "mount %s over %s (the kernel's own words: dmesg)",
                            overlay->root, overlay->lower);
    }
    free(options);
    return result;
}

/* One mount less; *ret_done when there was none. */
static int unmount_once(const char *root, int64_t patience_ms, bool *ret_done, struct err *e)
{
    for (;;) {
        if (umount2(root, UMOUNT_NOFOLLOW) == 0) {
            return 0;
        }
        if (errno == EINVAL || errno == ENOENT) {
            *ret_done = true;
            return 0;
        }
        if (errno != EBUSY) {
            return err_errno(e, errno, "unmount %s", root);
        }
        if (clock_now_ms() >= patience_ms) {
            break;
        }
        usleep(BUSY_PAUSE_US);
    }
    if (umount2(root, UMOUNT_NOFOLLOW | MNT_DETACH) < 0) {
        return err_errno(e, errno, "detach %s", root);
    }
    return err_set(e,
                   "unmount %s: some process still uses it (fuser -vm %s); it is detached now, "
                   "and the next try goes on",
                   root, root);
}

int overlay_unmount(const char *root, int64_t deadline_ms, struct err *e)
{
    int64_t patience_ms = clock_now_ms() + BUSY_PATIENCE_MS;
    patience_ms = patience_ms < deadline_ms ? patience_ms : deadline_ms;
    bool done = false;
    while (!done) {
        if (unmount_once(root, patience_ms, &done, e) < 0) {
            return -1;
        }
    }
    return 0;
}
