#include "image/build.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "image/helper.h"
#include "image/loop_mount.h"
#include "image/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MKSQUASHFS    "/usr/bin/mksquashfs"
#define TAR           "/usr/bin/tar"
#define PIPE_BYTES    (1024 * 1024)
#define PIECE         ((size_t)256 * 1024)
#define LAST_WORDS_MS 500

static int make_pipe(int ends[2], struct err *e)
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_errno(e, errno, "pipe");
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* Fewer turns; works without. */
    return 0;
}

/* When both ends of a pipeline complain, the one that died first knows why. */
static void prefer_words_of(struct helper *helper, struct err *e)
{
    struct err words = ERR_NULL;
    if (helper_end(helper, 0, clock_now_ms() + LAST_WORDS_MS, &words) < 0 && !helper->late) {
        err_set(e, "%s", words.text);
    }
}

int image_blocks_of(const char *path, struct image_blocks *ret_blocks, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return err_errno(e, errno, "%s", path);
    }
    struct image_blocks blocks = {.size_bytes = 0};
    struct digest *digest = digest_new();
    char *buffer = xcalloc(1, PIECE);
    ssize_t got;
    int result = 0;
    while ((got = read(fd, buffer, PIECE)) != 0) {
        if (got < 0 && errno != EINTR) {
            result = err_errno(e, errno, "%s", path);
            break;
        }
        if (got > 0) {
            digest_add(digest, buffer, (size_t)got);
            blocks.size_bytes += got;
        }
    }
    digest_finish(digest, blocks.sha256);
    free(buffer);
    close(fd);
    if (result == 0) {
        *ret_blocks = blocks;
    }
    return result;
}

/* Has the disk begin to write PATH while it is hashed; sync_file() waits for it. */
static void begin_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        close(fd);
    }
}

static int sync_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int result = fd >= 0 && fsync(fd) == 0 ? 0 : err_errno(e, errno, "%s", path);
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

int image_build(struct sieve_config *sieve, const char *path, struct sieve_result *ret_result,
                struct image_blocks *ret_blocks, struct err *e)
{
    /* Level 3: measured in images/README.md. The top's own attributes do not travel by tar. */
    const char *const argv[] = {MKSQUASHFS,
                                "-",
                                path,
                                "-tar",
                                "-comp",
                                "zstd",
                                "-Xcompression-level",
                                "3",
                                "-noappend",
                                "-quiet",
                                "-no-progress",
                                "-root-mode",
                                "0755",
                                "-root-uid",
                                "0",
                                "-root-gid",
                                "0",
                                "-mem",
                                "512M",
                                NULL};
    int ends[2];
    struct helper squash = HELPER_NULL;
    struct sieve_result result = SIEVE_RESULT_NULL;
    if (make_pipe(ends, e) < 0) {
        return -1;
    }
    int status = helper_start(&squash, argv, ends[0], -1, e);
    close(ends[0]);
    sieve->output = ends[1];
    if (status == 0) {
        status = sieve_run(sieve, &result, e);
        if (status < 0) {
            prefer_words_of(&squash, e);
        }
    }
    close(ends[1]);
    if (status == 0 && result.finding_count == 0) {
        status = helper_end(&squash, 0, sieve->deadline_ms, e);
    }
    if (status == 0 && result.finding_count == 0) {
        begin_sync(path);
        status = image_blocks_of(path, ret_blocks, e) < 0 || sync_file(path, e) < 0 ? -1 : 0;
    }
    helper_deinit(&squash);
    if (status < 0) {
        sieve_result_deinit(&result);
        return -1;
    }
    *ret_result = result;
    return 0;
}

/* Mounts of this process are its own from here on, and go with it. */
static int mount_privately(const char *file, char **ret_place, struct err *e)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return err_errno(e, errno, "a mount of one's own: be root");
    }
    /* On the directory that the file is in: it is there, and nobody else notices. */
    const char *slash = strrchr(file, '/');
    char *place = xstrndup(file, (size_t)(slash - file));
    if (loop_mount(file, place, e) < 0) {
        free(place);
        return -1;
    }
    *ret_place = place;
    return 0;
}

static int look_through(struct sieve_config *sieve, const char *place,
                        struct sieve_result *ret_result, struct err *e)
{
    int ends[2];
    struct helper tar = HELPER_NULL;
    struct sieve_result result = SIEVE_RESULT_NULL;
    if (make_pipe(ends, e) < 0) {
        return -1;
    }
    char **words = seal_tar_words(TAR, place);
    int status = helper_start(&tar, (const char *const *)words, -1, ends[1], e);
    close(ends[1]);
    sieve->input = ends[0];
    sieve->output = -1;
    if (status == 0) {
        status = sieve_run(sieve, &result, e);
        if (status < 0) {
            prefer_words_of(&tar, e);
        }
    }
    close(ends[0]);
    if (status == 0) {
        status = helper_end(&tar, 0, sieve->deadline_ms, e);
    }
    helper_deinit(&tar);
    for (size_t i = 0; words[i] != NULL; i++) {
        free(words[i]);
    }
    free(words);
    if (status < 0) {
        sieve_result_deinit(&result);
        return -1;
    }
    *ret_result = result;
    return 0;
}

int image_look(struct sieve_config *sieve, const char *path, struct sieve_result *ret_result,
               struct err *e)
{
    struct stat status;
    if (path[0] != '/' || stat(path, &status) < 0) {
        return err_errno(e, path[0] != '/' ? EINVAL : errno, "%s", path);
    }
    if (S_ISDIR(status.st_mode)) {
        return look_through(sieve, path, ret_result, e);
    }
    char *place = NULL;
    if (mount_privately(path, &place, e) < 0) {
        return -1;
    }
    int result = look_through(sieve, place, ret_result, e);
    umount2(place, MNT_DETACH);
    free(place);
    return result;
}
