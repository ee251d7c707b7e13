#include "image/image_store.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/digest.h"
#include "net/signature.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAX   ((size_t)16 * 1024 * 1024)
#define TREE_MAX       ((size_t)256 * 1024 * 1024)
#define SMALL_MAX      4096
#define GENERATION_MAX 999999
#define WORK_NAME      ".new"
#define GONE_NAME      ".gone"
#define UNTRIED        "not tried yet: its bake is under way, or was cut off"

int image_ref_parse(const char *text, struct image_ref *ret_ref, struct err *e)
{
    struct image_ref ref = {.generation = 0};
    size_t length = strcspn(text, "@");
    int64_t number = 0;
    char *name = xstrndup(text, length);
    bool good = text_is_name(name) &&
                (text[length] == '\0' ||
                 (isdigit((unsigned char)text[length + 1]) && text[length + 1] != '0' &&
                  text_to_int(text + length + 1, 1, GENERATION_MAX, &number)));
    text_copy(ref.name, sizeof(ref.name), name);
    ref.generation = (unsigned)number;
    free(name);
    if (!good) {
        return err_set(e, "image '%s' is not a NAME or NAME@NUMBER", text);
    }
    *ret_ref = ref;
    return 0;
}

/* A directory's name as a generation; 0 when it is none. */
static unsigned generation_of(const char *name)
{
    int64_t number;
    return isdigit((unsigned char)name[0]) && name[0] != '0' &&
                   text_to_int(name, 1, GENERATION_MAX, &number)
               ? (unsigned)number
               : 0;
}

int image_store_current(const char *dir, const char *name, unsigned *ret_generation, struct err *e)
{
    char *path = xasprintf("%s/%s/current", dir, name);
    char target[32] = "";
    ssize_t length = readlink(path, target, sizeof(target) - 1);
    int result = 0;
    if (length < 0 && errno != ENOENT && errno != ENOTDIR) {
        result = err_errno(e, errno, "%s", path);
    } else if (length > 0 && generation_of(target) == 0) {
        result = err_set(e, "%s: leads to '%s', which is no generation", path, target);
    } else {
        *ret_generation = length > 0 ? generation_of(target) : 0;
    }
    free(path);
    return result;
}

int image_store_find(const char *dir, struct image_ref *ref, char **ret_path, struct err *e)
{
    if (ref->generation == 0 && image_store_current(dir, ref->name, &ref->generation, e) < 0) {
        return -1;
    }
    if (ref->generation == 0) {
        return err_set(e, "image %s: no image of that name in %s: see 'lamplighter image list'",
                       ref->name, dir);
    }
    char *path = xasprintf("%s/%s/%u", dir, ref->name, ref->generation);
    char *real = realpath(path, NULL);
    free(path);
    if (real == NULL) {
        return err_set(e, "image %s@%u: there is none in %s: see 'lamplighter image list'",
                       ref->name, ref->generation, dir);
    }
    *ret_path = real;
    return 0;
}

static bool is_there(const char *path, const char *name)
{
    char *whole = xasprintf("%s/%s", path, name);
    bool there = faccessat(AT_FDCWD, whole, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    free(whole);
    return there;
}

static int read_text(const char *path, const char *name, size_t max, struct str *ret, struct err *e)
{
    char *whole = xasprintf("%s/%s", path, name);
    int result = str_read_file(ret, whole, max, e);
    free(whole);
    return result;
}

static int check_signature(const struct image_ref *ref, const struct str *manifest,
                           const char *signature, const char *public_keys, struct err *e)
{
    enum signature_outcome outcome = SIGNATURE_UNKNOWN;
    if (public_keys == NULL) {
        return err_set(e, "there is no public key to check its signature with (keys/image.pub)");
    }
    if (signature_check(public_keys, str_text(manifest), manifest->length, signature, &outcome, e) <
        0) {
        return -1;
    }
    switch (outcome) {
    case SIGNATURE_GOOD: return 0;
    case SIGNATURE_BAD:
        return err_set(e, "its manifest is not what was signed: do not use %s@%u; capture anew",
                       ref->name, ref->generation);
    case SIGNATURE_UNKNOWN:
        return err_set(e, "signed with a key that is not known here: if you trust its maker, add "
                          "their public key to keys/image.pub");
    }
    return -1;
}

int image_store_check(const char *path, const struct image_ref *ref, const char *public_keys,
                      struct manifest *ret_manifest, struct err *e)
{
    struct str text = STR_NULL;
    struct str signature = STR_NULL;
    struct manifest manifest = MANIFEST_NULL;
    int result = read_text(path, IMAGE_MANIFEST, MANIFEST_MAX, &text, e);
    if (result == 0) {
        result = read_text(path, IMAGE_SIGNATURE, SMALL_MAX, &signature, e);
    }
    if (result == 0) {
        result = check_signature(ref, &text, str_text(&signature), public_keys, e);
    }
    if (result == 0) {
        result = manifest_parse(str_text(&text), &manifest, e);
    }
    if (result == 0 &&
        (!text_equal(manifest.name, ref->name) || manifest.generation != ref->generation)) {
        result = err_set(e, "what is there is %s@%u, put in its place: do not use it",
                         manifest.name, manifest.generation);
    }
    str_deinit(&text);
    str_deinit(&signature);
    if (result < 0) {
        manifest_deinit(&manifest);
        return err_wrap(e, "image %s@%u", ref->name, ref->generation);
    }
    *ret_manifest = manifest;
    return 0;
}

int image_store_check_blocks(const char *path, const struct manifest *manifest, struct err *e)
{
    struct image_blocks blocks;
    struct str tree = STR_NULL;
    char digest[DIGEST_TEXT_SIZE] = "";
    char *file = xasprintf("%s/" IMAGE_FILE, path);
    int result = image_blocks_of(file, &blocks, e);
    free(file);
    if (result == 0 && (blocks.size_bytes != manifest->blocks.size_bytes ||
                        !text_equal(blocks.sha256, manifest->blocks.sha256))) {
        result = err_set(e, IMAGE_FILE " is not what was signed: do not use it; capture anew");
    }
    if (result == 0 && read_text(path, IMAGE_TREE, TREE_MAX, &tree, e) < 0) {
        result = -1;
    } else if (result == 0) {
        digest_text(str_text(&tree), tree.length, digest);
        if (!text_equal(digest, manifest->tree)) {
            result = err_set(e, "the list of its files is not what was signed");
        }
    }
    str_deinit(&tree);
    return result < 0 ? err_wrap(e, "image %s@%u", manifest->name, manifest->generation) : 0;
}

static void add_identity(struct str *s, const char *path, const char *name)
{
    struct stat status;
    char *whole = xasprintf("%s/%s", path, name);
    if (lstat(whole, &status) == 0) {
        str_addf(s, "%s %llu:%llu %lld %lld.%09ld %lld.%09ld\n", name,
                 (unsigned long long)status.st_dev, (unsigned long long)status.st_ino,
                 (long long)status.st_size, (long long)status.st_mtim.tv_sec,
                 status.st_mtim.tv_nsec, (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
    }
    free(whole);
}

static int write_file(const char *directory, const char *name, const char *text, mode_t mode,
                      struct err *e)
{
    char *path = xasprintf("%s/%s", directory, name);
    char *fresh = xasprintf("%s/.%s.lamplighter-new", directory, name);
    size_t length = strlen(text);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    for (size_t done = 0; good && done < length;) {
        ssize_t put = write(fd, text + done, length - done);
        good = put >= 0 || errno == EINTR;
        done += put > 0 ? (size_t)put : 0;
    }
    good = good && fchmod(fd, mode) == 0 && fsync(fd) == 0 && rename(fresh, path) == 0;
    int result = good ? 0 : err_errno(e, errno, "%s", path);
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    free(fresh);
    return result;
}

int image_store_check_once(const char *path, const struct image_ref *ref, const char *public_keys,
                           const char *memory, struct err *e)
{
    struct str now = STR_NULL;
    struct str then = STR_NULL;
    char keys[DIGEST_TEXT_SIZE];
    digest_text(public_keys == NULL ? "" : public_keys,
                public_keys == NULL ? 0 : strlen(public_keys), keys);
    str_addf(&now, "%s\nkeys %s\n", path, keys);
    add_identity(&now, path, IMAGE_FILE);
    add_identity(&now, path, IMAGE_MANIFEST);
    add_identity(&now, path, IMAGE_SIGNATURE);
    int result = 0;
    if (str_read_file(&then, memory, SMALL_MAX, NULL) < 0 ||
        !text_equal(str_text(&then), str_text(&now))) {
        struct manifest manifest = MANIFEST_NULL;
        result = image_store_check(path, ref, public_keys, &manifest, e);
        if (result == 0) {
            result = image_store_check_blocks(path, &manifest, e);
        }
        manifest_deinit(&manifest);
        const char *slash = strrchr(memory, '/');
        char *directory = xstrndup(memory, (size_t)(slash - memory));
        if (result == 0) {
            result = write_file(directory, slash + 1, str_text(&now), 0600, e);
        }
        free(directory);
    }
    str_deinit(&now);
    str_deinit(&then);
    return result;
}

/* --- listing -----------------------------------------------------------------------------------
 */

struct item_list {
    struct image_item *items;
    size_t count;
    size_t capacity;
};

static void list_generation(const char *place, const char *name, unsigned generation,
                            unsigned current, const char *public_keys, struct item_list *list)
{
    size_t i = xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
    struct image_item *item = &list->items[i];
    struct err e = ERR_NULL;
    item->path = xasprintf("%s/%u", place, generation);
    text_copy(item->ref.name, sizeof(item->ref.name), name);
    item->ref.generation = generation;
    item->is_current = generation == current;
    item->is_deprecated = is_there(item->path, "deprecated");
    item->is_protected = is_there(item->path, "protected");
    item->manifest = MANIFEST_NULL;
    if (image_store_check(item->path, &item->ref, public_keys, &item->manifest, &e) < 0) {
        item->problem = xstrdup(e.text);
    }
}

static void list_base(const char *place, const char *name, struct item_list *list)
{
    size_t i = xgrow((void **)&list->items, &list->count, &list->capacity, sizeof(*list->items));
    text_copy(list->items[i].ref.name, sizeof(list->items[i].ref.name), name);
    list->items[i].is_base = true;
    list->items[i].is_current = true;
    list->items[i].path = realpath(place, NULL);
    list->items[i].manifest = MANIFEST_NULL;
}

static void list_name(const char *dir, const char *name, const char *public_keys,
                      struct item_list *list)
{
    char *place = xasprintf("%s/%s", dir, name);
    DIR *stream = opendir(place);
    unsigned current = 0;
    (void)image_store_current(dir, name, &current, NULL);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        unsigned generation = generation_of(entry->d_name);
        if (generation > 0) {
            list_generation(place, name, generation, current, public_keys, list);
        } else if (text_equal(entry->d_name, "root")) {
            list_base(place, name, list);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    free(place);
}

static int compare_items(const void *a, const void *b)
{
    const struct image_item *x = a;
    const struct image_item *y = b;
    int order = strcmp(x->ref.name, y->ref.name);
    return order != 0                              ? order
           : x->ref.generation < y->ref.generation ? -1
           : x->ref.generation > y->ref.generation ? 1
                                                   : 0;
}

int image_store_list(const char *dir, const char *public_keys, struct image_item **ret_items,
                     size_t *ret_count, struct err *e)
{
    struct item_list list = {.items = NULL};
    DIR *stream = opendir(dir);
    if (stream == NULL && errno != ENOENT) {
        return err_errno(e, errno, "%s", dir);
    }
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        struct stat status;
        char *path = xasprintf("%s/%s", dir, entry->d_name);
        /* The versions behind a base's link are not images of their own. */
        bool version =
            lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && is_there(path, "image.ini");
        free(path);
        if (text_is_name(entry->d_name) && !version) {
            list_name(dir, entry->d_name, public_keys, &list);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    if (list.count > 1) {
        qsort(list.items, list.count, sizeof(*list.items), compare_items);
    }
    *ret_items = list.items;
    *ret_count = list.count;
    return 0;
}

void image_items_free(struct image_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(items[i].path);
        free(items[i].problem);
        manifest_deinit(&items[i].manifest);
    }
    free(items);
}

/* --- changing ----------------------------------------------------------------------------------
 */

static int sync_directory(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd >= 0 && fsync(fd) == 0 ? 0 : err_errno(e, errno, "%s", path);
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

/* A directory of plain files, as all of ours are. */
static int remove_flat(const char *path, struct err *e)
{
    DIR *stream = opendir(path);
    if (stream == NULL) {
        return errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
    }
    const struct dirent *entry;
    int result = 0;
    while (result == 0 && (entry = readdir(stream)) != NULL) {
        if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, "..") &&
            unlinkat(dirfd(stream), entry->d_name, 0) < 0) {
            result = err_errno(e, errno, "remove %s/%s", path, entry->d_name);
        }
    }
    closedir(stream);
    return result == 0 && rmdir(path) < 0 ? err_errno(e, errno, "remove %s", path) : result;
}

static int take_lock(const char *place, int *ret_lock, struct err *e)
{
    char *path = xasprintf("%s/.lock", place);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = 0;
    if (fd < 0) {
        result = err_errno(e, errno, "%s", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        result = errno == EWOULDBLOCK
                     ? err_set(e, "another process changes this image now (it holds %s)", path)
                     : err_errno(e, errno, "%s", path);
    }
    free(path);
    if (result < 0 && fd >= 0) {
        close(fd);
    }
    if (result == 0) {
        *ret_lock = fd;
    }
    return result;
}

/* The highest number ever given to a generation of PLACE. */
static int last_of(const char *place, unsigned *ret_last, struct err *e)
{
    struct str text = STR_NULL;
    unsigned last = 0;
    if (is_there(place, "last")) {
        if (read_text(place, "last", SMALL_MAX, &text, e) < 0) {
            return -1;
        }
        str_trim(&text);
        last = generation_of(str_text(&text));
        str_deinit(&text);
        if (last == 0) {
            return err_set(e, "%s/last: not a number", place);
        }
    }
    DIR *stream = opendir(place);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        unsigned generation = generation_of(entry->d_name);
        last = generation > last ? generation : last;
    }
    if (stream != NULL) {
        closedir(stream);
    }
    *ret_last = last;
    return 0;
}

static int remove_left_overs(const char *place, struct err *e)
{
    static const char *const names[] = {WORK_NAME, GONE_NAME};
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = xasprintf("%s/%s", place, names[i]);
        result = remove_flat(path, e);
        free(path);
    }
    return result;
}

char *image_store_reason(const char *path)
{
    struct str text = STR_NULL;
    struct str clean = STR_NULL;
    (void)read_text(path, "deprecated", SMALL_MAX, &text, NULL);
    str_trim(&text);
    str_add_printable(&clean, str_text(&text), text.length, false);
    bool any = clean.length > 0;
    str_deinit(&text);
    if (!any) {
        str_deinit(&clean);
    }
    return any ? str_take(&clean) : NULL;
}

/* Its maker had PLACE's lock, and was cut off. */
static int remove_untried(const char *place, struct err *e)
{
    DIR *stream = opendir(place);
    const struct dirent *entry;
    int result = 0;
    while (result == 0 && stream != NULL && (entry = readdir(stream)) != NULL) {
        if (generation_of(entry->d_name) == 0) {
            continue;
        }
        char *path = xasprintf("%s/%s", place, entry->d_name);
        char *gone = xasprintf("%s/" GONE_NAME, place);
        char *reason = image_store_reason(path);
        if (text_equal(reason, UNTRIED)) {
            result =
                rename(path, gone) < 0 ? err_errno(e, errno, "%s", path) : remove_flat(gone, e);
        }
        free(reason);
        free(path);
        free(gone);
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return result;
}

void image_draft_deinit(struct image_draft *draft)
{
    if (draft->work != NULL && draft->lock >= 0) {
        (void)remove_flat(draft->work, NULL);
    }
    if (draft->lock >= 0) {
        close(draft->lock);
    }
    free(draft->place);
    free(draft->work);
    *draft = IMAGE_DRAFT_NULL;
}

static int make_place(const char *dir, const char *place, struct err *e)
{
    if ((mkdir(dir, 0755) < 0 && errno != EEXIST) || (mkdir(place, 0755) < 0 && errno != EEXIST)) {
        return err_errno(e, errno, "make directory %s", place);
    }
    if (is_there(place, "root")) {
        return err_set(e, "%s is a base image of that name: choose another", place);
    }
    return 0;
}

int image_draft_begin(const char *dir, const char *name, struct image_draft *ret_draft,
                      struct err *e)
{
    struct image_draft draft = IMAGE_DRAFT_NULL;
    unsigned last = 0;
    if (!text_is_name(name)) {
        return err_set(e, "image '%s': not a name (small letters, digits, dashes)", name);
    }
    draft.place = xasprintf("%s/%s", dir, name);
    if (make_place(dir, draft.place, e) < 0 || take_lock(draft.place, &draft.lock, e) < 0 ||
        remove_left_overs(draft.place, e) < 0 || last_of(draft.place, &last, e) < 0 ||
        remove_untried(draft.place, e) < 0) {
        image_draft_deinit(&draft);
        return err_wrap(e, "image %s", name);
    }
    text_copy(draft.ref.name, sizeof(draft.ref.name), name);
    draft.ref.generation = last + 1;
    draft.work = xasprintf("%s/" WORK_NAME, draft.place);
    if (mkdir(draft.work, 0700) < 0) {
        err_errno(e, errno, "make directory %s", draft.work);
        image_draft_deinit(&draft);
        return -1;
    }
    *ret_draft = draft;
    return 0;
}

/* The link is turned in one step. */
static int turn_current(const char *place, unsigned generation, struct err *e)
{
    char *fresh = xasprintf("%s/.current.lamplighter-new", place);
    char *path = xasprintf("%s/current", place);
    char target[16];
    snprintf(target, sizeof(target), "%u", generation);
    unlink(fresh);
    int result = symlink(target, fresh) == 0 && rename(fresh, path) == 0
                     ? sync_directory(place, e)
                     : err_errno(e, errno, "%s", path);
    free(fresh);
    free(path);
    return result;
}

int image_draft_publish(struct image_draft *draft, const struct manifest *manifest,
                        const char *tree, const char *private_key,
                        const struct image_publishing *how, struct err *e)
{
    struct str signature = STR_NULL;
    char *text = manifest_render(manifest);
    char *path = xasprintf("%s/%u", draft->place, draft->ref.generation);
    char number[16];
    snprintf(number, sizeof(number), "%u\n", draft->ref.generation);
    int result = signature_sign(private_key, text, strlen(text), &signature, e);
    str_add_char(&signature, '\n');
    if (result == 0 &&
        (write_file(draft->work, IMAGE_TREE, tree, 0600, e) < 0 ||
         write_file(draft->work, IMAGE_MANIFEST, text, 0644, e) < 0 ||
         write_file(draft->work, IMAGE_SIGNATURE, str_text(&signature), 0644, e) < 0 ||
         (how->is_untried && write_file(draft->work, "deprecated", UNTRIED "\n", 0644, e) < 0) ||
         sync_directory(draft->work, e) < 0 ||
         write_file(draft->place, "last", number, 0644, e) < 0)) {
        result = -1;
    }
    if (result == 0 && rename(draft->work, path) < 0) {
        result = err_errno(e, errno, "%s", path);
    }
    if (result == 0) {
        free(draft->work);
        draft->work = NULL;
        result = sync_directory(draft->place, e);
    }
    if (result == 0 && how->make_current) {
        result = turn_current(draft->place, draft->ref.generation, e);
    }
    str_deinit(&signature);
    free(text);
    free(path);
    return result;
}

int image_draft_settle(struct image_draft *draft, const char *problem, struct err *e)
{
    char *path = xasprintf("%s/%u", draft->place, draft->ref.generation);
    char *line = xasprintf("%s\n", problem == NULL ? "" : problem);
    int result;
    if (problem == NULL) {
        result = image_store_flag(path, IMAGE_DEPRECATED, false, e) < 0
                     ? -1
                     : turn_current(draft->place, draft->ref.generation, e);
    } else {
        result = write_file(path, "deprecated", line, 0644, e) < 0 ? -1 : sync_directory(path, e);
    }
    free(path);
    free(line);
    return result;
}

int image_store_flag(const char *path, enum image_flag flag, bool on, struct err *e)
{
    const char *name = flag == IMAGE_DEPRECATED ? "deprecated" : "protected";
    if (on) {
        return write_file(path, name, "", 0644, e) < 0 ? -1 : sync_directory(path, e);
    }
    char *file = xasprintf("%s/%s", path, name);
    int result = unlink(file) == 0 || errno == ENOENT ? sync_directory(path, e)
                                                      : err_errno(e, errno, "%s", file);
    free(file);
    return result;
}

int image_store_use(const char *dir, const struct image_ref *ref, struct err *e)
{
    char *place = xasprintf("%s/%s", dir, ref->name);
    int lock = -1;
    int result = take_lock(place, &lock, e);
    if (result == 0) {
        result = turn_current(place, ref->generation, e);
        close(lock);
    }
    free(place);
    return result;
}

/* The last one of a name goes with the link to it; while there are others, one of them is chosen.
 */
static int give_up_current(const char *place, const struct image_ref *ref, struct err *e)
{
    DIR *stream = opendir(place);
    const struct dirent *entry;
    unsigned others = 0;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        unsigned generation = generation_of(entry->d_name);
        others += generation > 0 && generation != ref->generation ? 1 : 0;
    }
    if (stream != NULL) {
        closedir(stream);
    }
    if (others > 0) {
        return err_set(e, "%s@%u is what new instances get: 'image use' another first", ref->name,
                       ref->generation);
    }
    char *path = xasprintf("%s/current", place);
    int result = unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
    free(path);
    return result;
}

int image_store_delete(const char *dir, const struct image_ref *ref, struct err *e)
{
    char *place = xasprintf("%s/%s", dir, ref->name);
    char *path = xasprintf("%s/%u", place, ref->generation);
    char *gone = xasprintf("%s/" GONE_NAME, place);
    unsigned current = 0;
    unsigned last = 0;
    int lock = -1;
    int result = take_lock(place, &lock, e);
    if (result == 0 && (remove_left_overs(place, e) < 0 || last_of(place, &last, e) < 0 ||
                        image_store_current(dir, ref->name, &current, e) < 0)) {
        result = -1;
    }
    if (result == 0 && current == ref->generation) {
        result = give_up_current(place, ref, e);
    }
    if (result == 0) {
        /* Its number is remembered before it goes. */
        char number[16];
        snprintf(number, sizeof(number), "%u\n", last);
        result = write_file(place, "last", number, 0644, e);
    }
    if (result == 0 && rename(path, gone) < 0) {
        result = err_errno(e, errno, "%s", path);
    }
    if (result == 0) {
        result = remove_flat(gone, e) < 0 ? -1 : sync_directory(place, e);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(place);
    free(path);
    free(gone);
    return result;
}
