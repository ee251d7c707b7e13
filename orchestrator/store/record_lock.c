#include "store/record_lock.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Stored: append only. */
enum lock_tag {
    LOCK_EPOCH = 1,
    LOCK_OWNER = 2,
    LOCK_BOOT_ID = 3,
    LOCK_PID = 4,
    LOCK_PID_START = 5,
    LOCK_SINCE = 6,
};

static const struct record_text texts[] = {
    {LOCK_OWNER, offsetof(struct record_lock, owner)},
    {LOCK_BOOT_ID, offsetof(struct record_lock, boot_id)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

void record_lock_deinit(struct record_lock *lock)
{
    record_texts_free(lock, texts, TEXT_COUNT);
    *lock = (struct record_lock){.owner = NULL};
}

void record_lock_encode(const struct record_lock *lock, struct message *ret_value)
{
    message_init(ret_value, RECORD_LOCK);
    record_texts_encode(lock, texts, TEXT_COUNT, ret_value);
    message_put_int(ret_value, LOCK_EPOCH, lock->epoch);
    message_put_int(ret_value, LOCK_PID, lock->pid);
    message_put_int(ret_value, LOCK_PID_START, lock->pid_start);
    message_put_int(ret_value, LOCK_SINCE, lock->since_ms);
}

int record_lock_decode(const struct store_entry *entry, struct record_lock *ret_lock, struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_LOCK, RECORD_LOCK_KEY, &value, e) != 0) {
        return -1;
    }
    struct record_lock lock = {
        .epoch = message_int(&value, LOCK_EPOCH, 0),
        .pid = message_int(&value, LOCK_PID, 0),
        .pid_start = message_int(&value, LOCK_PID_START, 0),
        .since_ms = message_int(&value, LOCK_SINCE, 0),
    };
    record_texts_decode(&lock, texts, TEXT_COUNT, &value);
    message_deinit(&value);
    /* An epoch that starts again would let an old controller pass for the newest. */
    if (lock.epoch < 1) {
        record_lock_deinit(&lock);
        return record_value_fault(entry, "no epoch", e);
    }
    *ret_lock = lock;
    return 0;
}

/*
 * Takes field 3 (state) and 22 (start time, in ticks since boot) of /proc/PID/stat. Field 2 is the
 * program's name in parentheses, and a name may have spaces and parentheses of its own: the fields
 * after it are counted from the last ')'.
 */
static bool parse_stat(const char *stat, char *ret_state, int64_t *ret_start)
{
    const char *p = strrchr(stat, ')');
    if (p == NULL || p[1] != ' ' || p[2] == '\0') {
        return false;
    }
    char state = p[2];
    p += 2;
    for (int field = 3; field < 22; field++) {
        p = strchr(p, ' ');
        if (p == NULL) {
            return false;
        }
        p++;
    }
    if (!isdigit((unsigned char)*p)) {
        return false;
    }
    errno = 0;
    long long start = strtoll(p, NULL, 10);
    if (errno != 0) {
        return false;
    }
    *ret_state = state;
    *ret_start = start;
    return true;
}

static bool read_stat(int64_t pid, char *ret_state, int64_t *ret_start, struct err *e)
{
    char *path = xasprintf("/proc/%" PRId64 "/stat", pid);
    struct str text = STR_NULL;
    bool known = false;
    if (str_read_file(&text, path, 65536, e) == 0) {
        known = parse_stat(str_text(&text), ret_state, ret_start);
        if (!known) {
            err_set(e, "%s: not understood", path);
        }
    }
    str_deinit(&text);
    free(path);
    return known;
}

int record_lock_self(const char *owner, struct record_lock *ret_lock, struct err *e)
{
    struct str boot_id = STR_NULL;
    char state;
    int64_t start;
    if (str_read_file(&boot_id, "/proc/sys/kernel/random/boot_id", 4096, e) != 0 ||
        !read_stat(getpid(), &state, &start, e)) {
        str_deinit(&boot_id);
        return err_wrap(e, "find out who this process is (is /proc mounted?)");
    }
    str_trim(&boot_id);
    *ret_lock = (struct record_lock){
        .owner = xstrdup(owner),
        .boot_id = str_take(&boot_id),
        .pid = getpid(),
        .pid_start = start,
        .since_ms = clock_wall_ms(),
    };
    return 0;
}

static bool process_is_gone(int64_t pid)
{
    /* Not 0 and not negative: kill() would mean whole groups of processes. */
    return pid <= 0 || pid > INT_MAX || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

bool record_lock_is_alive(const struct record_lock *lock, const struct record_lock *self)
{
    if (lock->owner == NULL || !text_equal(lock->boot_id, self->boot_id) ||
        process_is_gone(lock->pid)) {
        return false;
    }
    char state;
    int64_t start;
    if (!read_stat(lock->pid, &state, &start, NULL)) {
        /* It ended this moment, or /proc hides it from us (hidepid). */
        return !process_is_gone(lock->pid);
    }
    bool ended = state == 'Z' || state == 'X';
    return !ended && start == lock->pid_start;
}

int record_epoch_read(struct store *store, int64_t *ret_epoch, struct err *e)
{
    bool found;
    struct store_entry entry = {.key = NULL};
    struct record_lock lock = {.epoch = 0};
    if (store_get(store, RECORD_LOCK_KEY, &found, &entry, e) != 0) {
        return -1;
    }
    int result = found ? record_lock_decode(&entry, &lock, e) : 0;
    store_entry_deinit(&entry);
    if (result == 0) {
        *ret_epoch = lock.epoch;
        record_lock_deinit(&lock);
    }
    return result;
}

int record_owner_self(char **ret_owner, struct err *e)
{
    struct record_lock self;
    if (record_lock_self("", &self, e) != 0) {
        return -1;
    }
    *ret_owner = xasprintf("%" PRId64 " %" PRId64 " %s", self.pid, self.pid_start, self.boot_id);
    record_lock_deinit(&self);
    return 0;
}

bool record_owner_is_alive(const char *owner)
{
    char boot_id[80];
    struct record_lock lock = {.owner = (char *)"", .boot_id = boot_id};
    struct record_lock self;
    if (sscanf(owner, "%" SCNd64 " %" SCNd64 " %79s", &lock.pid, &lock.pid_start, boot_id) != 3) {
        return false;
    }
    /* When in doubt, it does. */
    if (record_lock_self("", &self, NULL) != 0) {
        return true;
    }
    bool alive = record_lock_is_alive(&lock, &self);
    record_lock_deinit(&self);
    return alive;
}

int record_lock_read(struct store *store, bool *ret_found, struct record_lock *ret_lock,
                     struct err *e)
{
    bool found;
    struct store_entry entry = {.key = NULL};
    if (store_get(store, RECORD_LOCK_KEY, &found, &entry, e) != 0) {
        return -1;
    }
    if (!found) {
        *ret_found = false;
        return 0;
    }
    struct record_lock lock;
    int result = record_lock_decode(&entry, &lock, e);
    store_entry_deinit(&entry);
    if (result != 0) {
        return -1;
    }
    struct record_lock self;
    if (record_lock_self("", &self, e) != 0) {
        record_lock_deinit(&lock);
        return -1;
    }
    *ret_found = record_lock_is_alive(&lock, &self);
    record_lock_deinit(&self);
    if (*ret_found) {
        *ret_lock = lock;
    } else {
        record_lock_deinit(&lock);
    }
    return 0;
}
