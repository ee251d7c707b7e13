#include "provider/root_files.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/str.h"
#include "provider/place_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY_PROGRAM  "/usr/bin/ssh-keygen"
#define KEY_NAME     "ssh_host_ed25519_key"
#define KEY_NEW      KEY_NAME ".lamplighter-new"
#define KEY_SIZE_MAX 4096

/* Opens the directory PATH (relative) as the instance would: an absolute link starts at ROOT. */
static int open_in_root(int root, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* The same, making the directories that are missing; MODE is for the last one. -1: fault. */
static int make_in_root(int root, const char *path, mode_t mode, struct err *e)
{
    int fd = open_in_root(root, path);
    if (fd >= 0 || errno != ENOENT) {
        return fd >= 0 ? fd : err_errno(e, errno, "/%s in the root", path);
    }
    const char *slash = strrchr(path, '/');
    char *above = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path));
    int parent = make_in_root(root, above, 0755, e);
    free(above);
    if (parent < 0) {
        return -1;
    }
    const char *name = slash == NULL ? path : slash + 1;
    if (mkdirat(parent, name, mode) < 0 && errno != EEXIST) {
        err_errno(e, errno, "make /%s in the root", path);
    } else if ((fd = open_in_root(root, path)) < 0) {
        err_errno(e, errno, "/%s in the root", path);
    } else if (fchmod(fd, mode) < 0) {
        close(fd);
        fd = err_errno(e, errno, "set the mode of /%s in the root", path);
    }
    close(parent);
    return fd;
}

static int place(int root, const char *directory, mode_t directory_mode, const char *name,
                 const char *text, mode_t mode, struct err *e)
{
    int fd = make_in_root(root, directory, directory_mode, e);
    if (fd < 0) {
        return -1;
    }
    int result = place_file(fd, name, text, mode, e);
    close(fd);
    return result < 0 ? err_wrap(e, "/%s in the root", directory) : 0;
}

char *root_files_key_words(const char *line)
{
    static const char type[] = "ssh-ed25519 ";
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    if (!text_starts(line, type)) {
        return NULL;
    }
    size_t length = strspn(line + strlen(type), letters);
    char after = line[strlen(type) + length];
    if (length < 68 || (after != '\0' && after != ' ' && after != '\n')) {
        return NULL;
    }
    return xstrndup(line, strlen(type) + length);
}

/* The public key in file NAME of the directory; *ret_key NULL when there is no such file. */
static int read_key(int directory, const char *name, char **ret_key, struct err *e)
{
    struct str text = STR_NULL;
    bool found = false;
    char *key = NULL;
    int result = place_file_read(directory, name, KEY_SIZE_MAX, &text, &found, e);
    if (result == 0 && found && (key = root_files_key_words(str_text(&text))) == NULL) {
        result = err_set(e, "%s is not an ed25519 public key", name);
    }
    if (result == 0) {
        *ret_key = key;
    }
    str_deinit(&text);
    return result;
}

/* Has ssh-keygen write KEY_NEW and KEY_NEW.pub into the directory. */
static int generate_key(int directory, const struct root_files *files, struct err *e)
{
    unlinkat(directory, KEY_NEW, 0);
    unlinkat(directory, KEY_NEW ".pub", 0);
    /* By its path as this process sees it: a link in the image may lead elsewhere in the root. */
    char *link = xasprintf("/proc/self/fd/%d", directory);
    char real[4096];
    ssize_t length = readlink(link, real, sizeof(real) - 1);
    free(link);
    if (length < 0) {
        return err_errno(e, errno, "find /etc/ssh of the root");
    }
    real[length] = '\0';
    char *path = xasprintf("%s/%s", real, KEY_NEW);
    const char *const argv[] = {KEY_PROGRAM, "-q",      "-t", "ed25519", "-N", "",
                                "-C",        files->id, "-f", path,      NULL};
    int result = process_run(argv, files->deadline_ms, NULL, e);
    free(path);
    return result < 0 ? err_wrap(e, "make a host key with " KEY_PROGRAM) : 0;
}

/* Gives the file its mode, whatever umask it was made under, and puts it on the disk. */
static int settle_file(int directory, const char *name, mode_t mode, struct err *e)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool good = fd >= 0 && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int result = good ? 0 : err_errno(e, errno, "set the mode of %s", name);
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

/* The private key gets its name last: where it is, both are whole. */
static int make_key(int directory, const struct root_files *files, char **ret_key, struct err *e)
{
    char *key = NULL;
    if (generate_key(directory, files, e) < 0 || read_key(directory, KEY_NEW ".pub", &key, e) < 0) {
        return -1;
    }
    if (key == NULL) {
        return err_set(e, KEY_PROGRAM " wrote no key");
    }
    if (settle_file(directory, KEY_NEW, 0600, e) < 0 ||
        settle_file(directory, KEY_NEW ".pub", 0644, e) < 0) {
        free(key);
        return -1;
    }
    if (renameat(directory, KEY_NEW ".pub", directory, KEY_NAME ".pub") < 0 ||
        renameat(directory, KEY_NEW, directory, KEY_NAME) < 0) {
        free(key);
        return err_errno(e, errno, "put the host key in its place");
    }
    *ret_key = key;
    return 0;
}

static int place_host_key(int root, const struct root_files *files, char **ret_key, struct err *e)
{
    int directory = make_in_root(root, "etc/ssh", 0755, e);
    if (directory < 0) {
        return -1;
    }
    char *key = NULL;
    int result = 0;
    if (files->host_key != NULL && faccessat(directory, KEY_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        result = read_key(directory, KEY_NAME ".pub", &key, e);
    }
    if (result == 0 && (key == NULL || !text_equal(key, files->host_key))) {
        free(key);
        result = make_key(directory, files, &key, e);
    }
    close(directory);
    if (result == 0) {
        *ret_key = key;
    }
    return result;
}

static int place_names(int root, const struct root_files *files, struct err *e)
{
    char *hostname = xasprintf("%s\n", files->id);
    char *hosts =
        xasprintf("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n%s %s\n",
                  files->address, files->id);
    char *mark = xasprintf("cluster=%s\ninstance=%s\n", files->cluster, files->id);
    int result = place(root, "etc", 0755, "hostname", hostname, 0644, e);
    result = result == 0 ? place(root, "etc", 0755, "hosts", hosts, 0644, e) : -1;
    /* Empty, not absent: the system then makes one at its first start. */
    result = result == 0 ? place(root, "etc", 0755, "machine-id", "", 0444, e) : -1;
    result = result == 0 ? place(root, "etc/lamplighter", 0755, "instance", mark, 0644, e) : -1;
    free(hostname);
    free(hosts);
    free(mark);
    return result;
}

/* Read by systemd-networkd where an image runs it; a container has its address before that. */
static int place_network(int root, const struct root_files *files, struct err *e)
{
    struct str text = STR_NULL;
    str_addf(&text, "[Match]\nName=eth0\n\n[Network]\nAddress=%s/%u\n", files->address,
             files->prefix_length);
    if (files->gateway != NULL) {
        str_addf(&text, "Gateway=%s\n", files->gateway);
    }
    int result = place(root, "etc/systemd/network", 0755, "10-lamplighter.network", str_text(&text),
                       0644, e);
    str_deinit(&text);
    return result;
}

static int place_login_key(int root, const struct root_files *files, struct err *e)
{
    char *line = xasprintf("%s\n", files->login_key);
    int result = place(root, "root/.ssh", 0700, "authorized_keys", line, 0600, e);
    free(line);
    return result;
}

int root_files_place(const char *root, const struct root_files *files, char **ret_host_key,
                     struct err *e)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, errno, "%s", root);
    }
    char *key = NULL;
    int result = -1;
    if (place_names(fd, files, e) == 0 && place_network(fd, files, e) == 0 &&
        place_login_key(fd, files, e) == 0) {
        result = place_host_key(fd, files, &key, e);
    }
    close(fd);
    if (result == 0) {
        *ret_host_key = key;
    }
    return result;
}
