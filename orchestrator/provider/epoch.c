#include "provider/epoch.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "provider/instance_dir.h"

#include <stdlib.h>

#define EPOCH_NAME "epoch"

/* 0 when there is none yet. What is no number was not written by us: nothing is guessed. */
static int read_epoch(const struct instance_dir *dir, int64_t *ret_epoch, struct err *e)
{
    char *text = NULL;
    int64_t epoch = 0;
    if (instance_dir_read(dir, EPOCH_NAME, &text, e) < 0) {
        return -1;
    }
    int result = 0;
    if (text != NULL && !text_to_int(text, 0, INT64_MAX, &epoch)) {
        result = err_set(e, "%s/" EPOCH_NAME " holds no number; look who acts here, then remove it",
                         dir->path);
    }
    free(text);
    *ret_epoch = epoch;
    return result;
}

int epoch_take(const struct instance_dir *dir, int64_t ours, struct err *e)
{
    int64_t seen = 0;
    if (read_epoch(dir, &seen, e) < 0) {
        return -1;
    }
    if (seen > ours) {
        return err_set(e,
                       "a newer controller (epoch %lld) has this instance; ours is %lld (S18); if "
                       "our store was lost or restored, look who else acts, then remove "
                       "%s/" EPOCH_NAME,
                       (long long)seen, (long long)ours, dir->path);
    }
    if (seen == ours) {
        return 0;
    }
    char *text = xasprintf("%lld", (long long)ours);
    int result = instance_dir_write(dir, EPOCH_NAME, text, e);
    free(text);
    return result;
}
