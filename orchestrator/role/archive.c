#include "role/archive.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, DEPTH_MAX = 64 };
#define FILE_BYTES_MAX ((int64_t)8 << 30) /* What eleven octal digits can say. */

/* The ustar header; every field is text, numbers are octal. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
        magic[8], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

struct packer {
    int fd;
    int64_t size_bytes;
    struct digest *bytes; /* Of the archive. */
    struct digest *tree;  /* Of what it holds. */
    struct err *e;
};

/* Called for each entry of a tree, directories before what is in them. */
typedef int (*visit)(void *context, const char *path, const char *name, const struct stat *st,
                     struct err *e);

static bool is_version_control(const char *name)
{
    return text_equal(name, ".git") || text_equal(name, ".hg") || text_equal(name, ".svn");
}

static int keep_entry(const struct dirent *entry)
{
    return !text_equal(entry->d_name, ".") && !text_equal(entry->d_name, "..") &&
           !is_version_control(entry->d_name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* PATH is the directory on disk, NAME its name in the archive ("" for the top). */
static int walk(const char *path, const char *name, int depth, visit visitor, void *context,
                struct err *e)
{
    struct dirent **entries = NULL;
    int result = 0;
    if (depth == DEPTH_MAX) {
        return err_set(e, "%s: directories too deep in one another", path);
    }
    int count = scandir(path, &entries, keep_entry, by_name);
    if (count < 0) {
        return err_errno(e, errno, "read %s", path);
    }
    for (int i = 0; i < count; i++) {
        struct stat st;
        char *inner = xasprintf("%s/%s", path, entries[i]->d_name);
        char *inner_name =
            xasprintf("%s%s%s", name, name[0] == '\0' ? "" : "/", entries[i]->d_name);
        if (result == 0 && lstat(inner, &st) != 0) {
            result = err_errno(e, errno, "look at %s", inner);
        }
        if (result == 0) {
            result = visitor(context, inner, inner_name, &st, e);
        }
        if (result == 0 && S_ISDIR(st.st_mode)) {
            result = walk(inner, inner_name, depth + 1, visitor, context, e);
        }
        free(inner);
        free(inner_name);
        free(entries[i]);
    }
    free(entries);
    return result;
}

static int put(struct packer *p, const void *bytes, size_t length)
{
    const char *at = bytes;
    digest_add(p->bytes, bytes, length);
    p->size_bytes += (int64_t)length;
    while (length > 0) {
        ssize_t written = write(p->fd, at, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return err_errno(p->e, errno, "write the archive");
        }
        at += written;
        length -= (size_t)written;
    }
    return 0;
}

static int pad(struct packer *p, int64_t length)
{
    static const char zeros[BLOCK];
    size_t rest = (size_t)(length % BLOCK);
    return rest == 0 ? 0 : put(p, zeros, BLOCK - rest);
}

static void octal(char *field, size_t size, int64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%0*llo", (int)size - 1, (unsigned long long)number);
    memcpy(field, text, size);
}

static int put_header(struct packer *p, const char *name, char type, int mode, int64_t size,
                      int64_t mtime, const char *link)
{
    struct header h = {.magic = "ustar"};
    unsigned sum = 0;
    memcpy(h.name, name, strnlen(name, sizeof(h.name)));
    memcpy(h.link, link, strnlen(link, sizeof(h.link)));
    memcpy(h.magic + 6, "00", 2);
    octal(h.mode, sizeof(h.mode), mode);
    octal(h.uid, sizeof(h.uid), 0);
    octal(h.gid, sizeof(h.gid), 0);
    octal(h.size, sizeof(h.size), size);
    octal(h.mtime, sizeof(h.mtime), mtime < 0 ? 0 : mtime);
    h.type = type;
    memcpy(h.user, "root", 4);
    memcpy(h.group, "root", 4);
    memset(h.checksum, ' ', sizeof(h.checksum));
    for (size_t i = 0; i < sizeof(h); i++) {
        sum += ((const unsigned char *)&h)[i];
    }
    snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
    return put(p, &h, sizeof(h));
}

/* What does not fit 100 bytes goes before it, in an entry of its own (as GNU tar does). */
static int put_long(struct packer *p, const char *text, char type)
{
    size_t length = strlen(text) + 1;
    if (length <= sizeof(((struct header *)NULL)->name)) {
        return 0;
    }
    return put_header(p, "././@LongLink", type, 0644, (int64_t)length, 0, "") != 0 ||
                   put(p, text, length) != 0 || pad(p, (int64_t)length) != 0
               ? -1
               : 0;
}

static int put_file(struct packer *p, const char *path, int64_t size)
{
    char buffer[32768];
    int64_t left = size;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int result = fd < 0 ? err_errno(p->e, errno, "open %s", path) : 0;
    while (result == 0 && left > 0) {
        size_t want = left < (int64_t)sizeof(buffer) ? (size_t)left : sizeof(buffer);
        ssize_t got = read(fd, buffer, want);
        if (got <= 0) {
            result = err_set(p->e, "read %s: %s", path,
                             got == 0 ? "it became shorter meanwhile" : strerror(errno));
            break;
        }
        digest_add(p->tree, buffer, (size_t)got);
        result = put(p, buffer, (size_t)got);
        left -= got;
    }
    if (fd >= 0) {
        close(fd);
    }
    return result == 0 ? pad(p, size) : -1;
}

/* Everything a number could be mistaken with is ended by a NUL. */
static void add_to_tree(struct packer *p, char type, const char *name, bool executable,
                        int64_t size, const char *link)
{
    char *text = xasprintf("%c%c %lld %s", type, executable ? 'x' : '-', (long long)size, name);
    digest_add(p->tree, text, strlen(text) + 1);
    digest_add(p->tree, link, strlen(link) + 1);
    free(text);
}

static int pack(void *context, const char *path, const char *name, const struct stat *st,
                struct err *e)
{
    struct packer *p = context;
    bool executable = S_ISDIR(st->st_mode) || (st->st_mode & 0100) != 0;
    char link[4096] = "";
    char type = '0';
    int64_t size = 0;
    char *full = NULL;
    if (S_ISREG(st->st_mode)) {
        size = st->st_size;
    } else if (S_ISDIR(st->st_mode)) {
        type = '5';
    } else if (S_ISLNK(st->st_mode)) {
        ssize_t length = readlink(path, link, sizeof(link) - 1);
        if (length < 0) {
            return err_errno(e, errno, "read the link %s", path);
        }
        link[length] = '\0';
        type = '2';
    } else {
        return err_set(e, "%s is neither file, directory nor link", path);
    }
    if (size >= FILE_BYTES_MAX) {
        return err_set(e, "%s is over 8 GiB", path);
    }
    add_to_tree(p, type, name, executable, size, link);
    full = xasprintf("./%s%s", name, type == '5' ? "/" : "");
    int result = put_long(p, full, 'L') != 0 || put_long(p, link, 'K') != 0 ||
                         put_header(p, full, type, executable ? 0755 : 0644, size,
                                    (int64_t)st->st_mtime, link) != 0 ||
                         (type == '0' && put_file(p, path, size) != 0)
                     ? -1
                     : 0;
    free(full);
    return result;
}

/* A file that no name leads to and that nobody has to clean up. */
static int open_unnamed(struct err *e)
{
    char name[] = "/tmp/lamplighter-XXXXXX";
    int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return fd;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, errno, "make a temporary file");
    }
    unlink(name);
    return fd;
}

int archive_make(const char *directory, struct archive *ret_archive, struct err *e)
{
    static const char end[2 * BLOCK];
    char tree[DIGEST_TEXT_SIZE];
    struct packer p = {.fd = open_unnamed(e), .e = e};
    if (p.fd < 0) {
        return -1;
    }
    p.bytes = digest_new();
    p.tree = digest_new();
    int result = walk(directory, "", 0, pack, &p, e);
    if (result == 0) {
        result = put(&p, end, sizeof(end));
    }
    struct archive archive = {.fd = p.fd, .size_bytes = p.size_bytes};
    digest_finish(p.bytes, archive.digest);
    digest_finish(p.tree, tree);
    text_copy(archive.id, sizeof(archive.id), tree);
    if (result != 0) {
        close(p.fd);
        return -1;
    }
    *ret_archive = archive;
    return 0;
}

void archive_deinit(struct archive *archive)
{
    if (archive->fd >= 0) {
        close(archive->fd);
    }
    archive->fd = -1;
}

static void mix(uint64_t *print, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        *print = (*print ^ at[i]) * 1099511628211u; /* FNV-1a: this is no matter of trust. */
    }
}

static int print_entry(void *context, const char *path, const char *name, const struct stat *st,
                       struct err *e)
{
    (void)path;
    (void)e;
    uint64_t facts[] = {(uint64_t)st->st_ino,          (uint64_t)st->st_size,
                        (uint64_t)st->st_mode,         (uint64_t)st->st_mtim.tv_sec,
                        (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec,
                        (uint64_t)st->st_ctim.tv_nsec};
    mix(context, name, strlen(name) + 1);
    mix(context, facts, sizeof(facts));
    return 0;
}

int archive_fingerprint(const char *directory, uint64_t *ret_print, struct err *e)
{
    uint64_t print = 14695981039346656037u;
    struct stat st;
    if (stat(directory, &st) != 0) {
        return err_errno(e, errno, "look at %s", directory);
    }
    print_entry(&print, directory, "", &st, e);
    if (S_ISDIR(st.st_mode) && walk(directory, "", 0, print_entry, &print, e) != 0) {
        return -1;
    }
    *ret_print = print;
    return 0;
}
