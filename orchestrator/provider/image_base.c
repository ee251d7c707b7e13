#include "provider/image_base.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/loop_mount.h"
#include "net/digest.h"
#include "provider/instance_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOUNTS_NAME ".images" /* No instance's: a name has no dot. */
#define BASE_NAME   "base"
#define PLAIN       "@0" /* The plain directory, also where there are generations. */
#define KEYS_MAX    65536
#define PLACE_MARK  16 /* Hex digits of a base's digest: two image-dirs may have the same name. */

static int find_directory(const struct image_source *source, const char *name, char **ret_base,
                          struct err *e)
{
    char *path = xasprintf("%s/%s/root", source->image_dir, name);
    char *real = realpath(path, NULL);
    struct stat status;
    int result = 0;
    if (real == NULL || stat(real, &status) < 0) {
        result = errno == ENOENT || errno == ENOTDIR
                     ? err_set(e,
                               "image %s: there is no %s: make it with images/base/make, or name "
                               "an image that is in %s",
                               name, path, source->image_dir)
                     : err_errno(e, errno, "image %s: %s", name, path);
    } else if (!S_ISDIR(status.st_mode)) {
        result = err_set(e, "image %s: %s is not a directory", name, path);
    }
    free(path);
    if (result < 0) {
        free(real);
        return -1;
    }
    *ret_base = real;
    return 0;
}

/* "web@0" */
static int find_plain(const struct image_source *source, const char *image, char **ret_base,
                      struct err *e)
{
    struct image_ref ref;
    char *name = xstrndup(image, strlen(image) - strlen(PLAIN));
    int result = strchr(name, '@') != NULL || image_ref_parse(name, &ref, e) < 0
                     ? err_set(e, "image '%s' is not a NAME or NAME@NUMBER", image)
                     : find_directory(source, ref.name, ret_base, e);
    free(name);
    return result;
}

int image_base_find(const struct image_source *source, const char *image, char **ret_base,
                    struct err *e)
{
    struct image_ref ref;
    if (source->image_dir == NULL || source->image_dir[0] != '/') {
        return err_set(e, "image-dir '%s' is not an absolute path",
                       source->image_dir == NULL ? "" : source->image_dir);
    }
    if (image != NULL && text_ends(image, PLAIN)) {
        return find_plain(source, image, ret_base, e);
    }
    if (image_ref_parse(image == NULL ? "" : image, &ref, e) < 0) {
        return -1;
    }
    if (ref.generation == 0 &&
        image_store_current(source->image_dir, ref.name, &ref.generation, e) < 0) {
        return -1;
    }
    if (ref.generation == 0) {
        return find_directory(source, ref.name, ret_base, e);
    }
    char *path = NULL;
    if (image_store_find(source->image_dir, &ref, &path, e) < 0) {
        return -1;
    }
    *ret_base = xasprintf("%s/" IMAGE_FILE, path);
    free(path);
    return 0;
}

bool image_base_parse(const char *base, char **ret_path, struct image_ref *ret_ref)
{
    if (!text_ends(base, "/" IMAGE_FILE)) {
        return false;
    }
    char *path = xstrndup(base, strlen(base) - strlen("/" IMAGE_FILE));
    char *generation = strrchr(path, '/');
    char *name = NULL;
    if (generation != NULL) {
        *generation = '\0';
        name = strrchr(path, '/');
    }
    char *text = name == NULL ? NULL : xasprintf("%s@%s", name + 1, generation + 1);
    bool good = text != NULL && image_ref_parse(text, ret_ref, NULL) == 0;
    free(text);
    if (good) {
        *generation = '/';
        *ret_path = path;
    } else {
        free(path);
    }
    return good;
}

/* The name of its mount and of what is remembered of it. */
static char *place_name(const char *base, const struct image_ref *ref)
{
    char digest[DIGEST_TEXT_SIZE];
    digest_text(base, strlen(base), digest);
    return xasprintf("%s-%u-%.*s", ref->name, ref->generation, PLACE_MARK, digest);
}

/* The trusted keys, the caller's; NULL when there are none. */
static int read_keys(const struct image_source *source, char **ret_keys, struct err *e)
{
    struct str keys = STR_NULL;
    *ret_keys = NULL;
    if (source->public_keys == NULL || access(source->public_keys, F_OK) < 0) {
        return 0;
    }
    if (str_read_file(&keys, source->public_keys, KEYS_MAX, e) < 0) {
        return -1;
    }
    *ret_keys = str_take(&keys);
    return 0;
}

static int check(const struct image_source *source, const char *path, const struct image_ref *ref,
                 const char *memory, struct err *e)
{
    char *keys = NULL;
    if (read_keys(source, &keys, e) < 0) {
        return -1;
    }
    int result = image_store_check_once(path, ref, keys, memory, e);
    free(keys);
    return result;
}

static int make_directory(const char *path, struct err *e)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST
               ? 0
               : err_errno(e, errno, "make directory %s", path);
}

static int mount_image(const struct image_source *source, const char *base, const char *path,
                       const struct image_ref *ref, char **ret_lower, struct err *e)
{
    char *mounts = xasprintf("%s/" MOUNTS_NAME, source->instance_dir);
    char *name = place_name(base, ref);
    char *place = xasprintf("%s/%s", mounts, name);
    char *memory = xasprintf("%s/%s.good", mounts, name);
    int result = make_directory(mounts, e);
    if (result == 0) {
        result = check(source, path, ref, memory, e);
    }
    if (result == 0) {
        result = make_directory(place, e) < 0 ? -1 : loop_mount(base, place, e);
    }
    free(mounts);
    free(name);
    free(memory);
    if (result < 0) {
        free(place);
        return -1;
    }
    *ret_lower = place;
    return 0;
}

int image_base_mount(const struct image_source *source, const char *base, int64_t deadline_ms,
                     char **ret_lower, struct err *e)
{
    struct image_ref ref;
    char *path = NULL;
    if (!image_base_parse(base, &path, &ref)) {
        if (access(base, F_OK) < 0) {
            return err_errno(e, errno, "the image it stands on, %s", base);
        }
        *ret_lower = xstrdup(base);
        return 0;
    }
    int lock = -1;
    int result = instance_dir_lock(source->instance_dir, MOUNTS_NAME, deadline_ms, &lock, e);
    if (result == 0) {
        result = mount_image(source, base, path, &ref, ret_lower, e);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(path);
    return result;
}

static int describe_image(const struct image_source *source, const char *path,
                          const struct image_ref *ref, char **ret_text, struct err *e)
{
    struct manifest manifest = MANIFEST_NULL;
    char *keys = NULL;
    if (read_keys(source, &keys, e) < 0) {
        return -1;
    }
    int result = image_store_check(path, ref, keys, &manifest, e);
    if (result == 0) {
        *ret_text = xasprintf("%s@%u %s %s", ref->name, ref->generation,
                              manifest.build[0] == '\0' ? "-" : manifest.build, manifest.tree);
    }
    manifest_deinit(&manifest);
    free(keys);
    return result;
}

int image_base_describe(const struct image_source *source, const char *base, char **ret_text,
                        struct err *e)
{
    struct image_ref ref;
    char *path = NULL;
    if (image_base_parse(base, &path, &ref)) {
        int result = describe_image(source, path, &ref, ret_text, e);
        free(path);
        return result;
    }
    char digest[DIGEST_TEXT_SIZE];
    digest_text(base, strlen(base), digest);
    *ret_text = xasprintf("- - %s", digest);
    return 0;
}

/* --- unmounting --------------------------------------------------------------------------------
 */

void image_users_free(struct image_user *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(users[i].id);
        free(users[i].base);
    }
    free(users);
}

static int read_base(int directory, const char *instance_dir, const char *id, char **ret_base,
                     struct err *e)
{
    struct instance_dir dir = {
        .path = xasprintf("%s/%s", instance_dir, id),
        .fd = openat(directory, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    int result = dir.fd < 0 ? 0 : instance_dir_read(&dir, BASE_NAME, ret_base, e);
    instance_dir_deinit(&dir);
    return result;
}

int image_base_users(const char *instance_dir, struct image_user **ret_users, size_t *ret_count,
                     struct err *e)
{
    struct image_user *users = NULL;
    size_t count = 0;
    size_t capacity = 0;
    DIR *stream = opendir(instance_dir);
    if (stream == NULL && errno != ENOENT) {
        return err_errno(e, errno, "read directory %s", instance_dir);
    }
    const struct dirent *entry;
    int result = 0;
    while (result == 0 && stream != NULL && (entry = readdir(stream)) != NULL) {
        char *base = NULL;
        if (text_is_name(entry->d_name)) {
            result = read_base(dirfd(stream), instance_dir, entry->d_name, &base, e);
        }
        if (base != NULL) {
            size_t i = xgrow((void **)&users, &count, &capacity, sizeof(*users));
            users[i] = (struct image_user){.id = xstrdup(entry->d_name), .base = base};
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    if (result < 0) {
        image_users_free(users, count);
        return -1;
    }
    *ret_users = users;
    *ret_count = count;
    return 0;
}

/* Is NAME the mount of an image that one of them stands on? */
static bool is_used(const struct image_user *users, size_t count, const char *name)
{
    bool used = false;
    for (size_t i = 0; i < count && !used; i++) {
        struct image_ref ref;
        char *path = NULL;
        if (image_base_parse(users[i].base, &path, &ref)) {
            char *place = place_name(users[i].base, &ref);
            used = text_equal(place, name);
            free(place);
        }
        free(path);
    }
    return used;
}

static int sweep(const struct image_source *source, const char *mounts, struct err *e)
{
    struct image_user *users = NULL;
    size_t count = 0;
    int result = image_base_users(source->instance_dir, &users, &count, e);
    DIR *stream = opendir(mounts);
    const struct dirent *entry;
    while (result == 0 && stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.' || text_ends(entry->d_name, ".good") ||
            is_used(users, count, entry->d_name)) {
            continue;
        }
        char *place = xasprintf("%s/%s", mounts, entry->d_name);
        bool busy = false;
        result = loop_unmount(place, &busy, e);
        if (result == 0 && !busy) {
            (void)rmdir(place); /* A left-over that is no directory of ours stays. */
        }
        free(place);
    }
    if (stream != NULL) {
        closedir(stream);
    }
    image_users_free(users, count);
    return result;
}

int image_base_sweep(const struct image_source *source, int64_t deadline_ms, struct err *e)
{
    char *mounts = xasprintf("%s/" MOUNTS_NAME, source->instance_dir);
    int result = 0;
    if (access(mounts, F_OK) == 0) {
        int lock = -1;
        result = instance_dir_lock(source->instance_dir, MOUNTS_NAME, deadline_ms, &lock, e);
        if (result == 0) {
            result = sweep(source, mounts, e);
        }
        if (lock >= 0) {
            close(lock);
        }
    }
    free(mounts);
    return result;
}
