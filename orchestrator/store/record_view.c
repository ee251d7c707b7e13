#include "store/record_view.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/record_value.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "view/"
/* More are not written, and not read. */
#define LINES_MAX 32

/* Stored: append only. */
enum view_tag {
    VIEW_SUBJECT = 1,
    VIEW_EPOCH = 2,
    VIEW_WALL = 3,
    VIEW_VERDICT = 4,
    VIEW_VERDICT_SINCE = 5,
    VIEW_STATE = 6,
    VIEW_POWER = 7,
    VIEW_PROBE = 8,
    VIEW_PROBE_TEXT = 9,
    VIEW_BALANCER_TEXT = 10,
    VIEW_DOING = 11,
    VIEW_HOLD = 12,
    VIEW_REASON = 13,
    VIEW_RULE = 14,
    VIEW_HELD_SINCE = 15,
    VIEW_SERVING = 16,
    VIEW_PAUSED = 17,
    VIEW_BREAKER = 18,
    VIEW_FROZEN = 19,
    VIEW_DESIRED = 20,
    VIEW_STANDING = 21,
    VIEW_SERVING_COUNT = 22,
    VIEW_COUNTED = 23,
    VIEW_MINIMUM = 24,
    VIEW_SUSPENDED = 25,
    VIEW_LINE = 26, /* One each. */
    VIEW_REFRESH_ALL = 27,
    VIEW_REFRESH_REPLACED = 28,
    VIEW_REFRESH_MOVING = 29,
    VIEW_REFRESH_LEFT = 30,
    VIEW_COMPARISON = 31,
};

static const struct record_text texts[] = {
    {VIEW_SUBJECT, offsetof(struct record_view, subject)},
    {VIEW_VERDICT, offsetof(struct record_view, verdict)},
    {VIEW_STATE, offsetof(struct record_view, state)},
    {VIEW_POWER, offsetof(struct record_view, power)},
    {VIEW_PROBE, offsetof(struct record_view, probe)},
    {VIEW_PROBE_TEXT, offsetof(struct record_view, probe_text)},
    {VIEW_BALANCER_TEXT, offsetof(struct record_view, balancer_text)},
    {VIEW_DOING, offsetof(struct record_view, doing)},
    {VIEW_HOLD, offsetof(struct record_view, hold)},
    {VIEW_REASON, offsetof(struct record_view, reason)},
    {VIEW_RULE, offsetof(struct record_view, rule)},
    {VIEW_COMPARISON, offsetof(struct record_view, comparison)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

void record_view_deinit(struct record_view *view)
{
    record_texts_free(view, texts, TEXT_COUNT);
    for (size_t i = 0; i < view->line_count; i++) {
        free(view->lines[i]);
    }
    free(view->lines);
    *view = (struct record_view){.subject = NULL};
}

void record_view_encode(const struct record_view *view, struct message *ret_value)
{
    message_init(ret_value, RECORD_VIEW);
    record_texts_encode(view, texts, TEXT_COUNT, ret_value);
    message_put_int(ret_value, VIEW_EPOCH, view->epoch);
    message_put_int(ret_value, VIEW_WALL, view->wall_ms);
    message_put_int(ret_value, VIEW_VERDICT_SINCE, view->verdict_ms);
    message_put_int(ret_value, VIEW_HELD_SINCE, view->held_ms);
    message_put_int(ret_value, VIEW_SERVING, view->serving);
    message_put_int(ret_value, VIEW_PAUSED, view->paused);
    message_put_int(ret_value, VIEW_BREAKER, view->breaker);
    message_put_int(ret_value, VIEW_FROZEN, view->frozen);
    message_put_int(ret_value, VIEW_DESIRED, view->desired);
    message_put_int(ret_value, VIEW_STANDING, view->standing);
    message_put_int(ret_value, VIEW_SERVING_COUNT, view->serving_count);
    message_put_int(ret_value, VIEW_COUNTED, view->counted);
    message_put_int(ret_value, VIEW_MINIMUM, view->minimum);
    message_put_int(ret_value, VIEW_SUSPENDED, view->suspended);
    message_put_int(ret_value, VIEW_REFRESH_ALL, view->refresh_all);
    message_put_int(ret_value, VIEW_REFRESH_REPLACED, view->refresh_replaced);
    message_put_int(ret_value, VIEW_REFRESH_MOVING, view->refresh_moving);
    message_put_int(ret_value, VIEW_REFRESH_LEFT, view->refresh_left_ms);
    for (size_t i = 0; i < view->line_count && i < LINES_MAX; i++) {
        message_put_text(ret_value, VIEW_LINE, view->lines[i]);
    }
}

static void take_lines(struct record_view *view, const struct message *value)
{
    view->lines = xcalloc(LINES_MAX, sizeof(*view->lines));
    size_t position = 0;
    struct message_field field;
    while (view->line_count < LINES_MAX && message_next(value, &position, &field)) {
        if (field.tag == VIEW_LINE && field.type == MESSAGE_TEXT) {
            view->lines[view->line_count++] = xstrdup(field.bytes);
        }
    }
}

int record_view_decode(const struct store_entry *entry, struct record_view *ret_view, struct err *e)
{
    struct message value;
    if (record_value_open(entry, RECORD_VIEW, PREFIX, &value, e) != 0) {
        return -1;
    }
    struct record_view view = {
        .epoch = message_int(&value, VIEW_EPOCH, 0),
        .wall_ms = message_int(&value, VIEW_WALL, 0),
        .verdict_ms = message_int(&value, VIEW_VERDICT_SINCE, 0),
        .held_ms = message_int(&value, VIEW_HELD_SINCE, 0),
        .serving = message_int(&value, VIEW_SERVING, 0) != 0,
        .paused = message_int(&value, VIEW_PAUSED, 0) != 0,
        .breaker = message_int(&value, VIEW_BREAKER, 0) != 0,
        .frozen = message_int(&value, VIEW_FROZEN, 0) != 0,
        .desired = message_int(&value, VIEW_DESIRED, 0),
        .standing = message_int(&value, VIEW_STANDING, 0),
        .serving_count = message_int(&value, VIEW_SERVING_COUNT, 0),
        .counted = message_int(&value, VIEW_COUNTED, 0),
        .minimum = message_int(&value, VIEW_MINIMUM, 0),
        .suspended = message_int(&value, VIEW_SUSPENDED, 0),
        .refresh_all = message_int(&value, VIEW_REFRESH_ALL, 0),
        .refresh_replaced = message_int(&value, VIEW_REFRESH_REPLACED, 0),
        .refresh_moving = message_int(&value, VIEW_REFRESH_MOVING, 0),
        .refresh_left_ms = message_int(&value, VIEW_REFRESH_LEFT, 0),
    };
    record_texts_decode(&view, texts, TEXT_COUNT, &value);
    take_lines(&view, &value);
    message_deinit(&value);
    if (!text_equal(view.subject, entry->key + strlen(PREFIX))) {
        record_view_deinit(&view);
        return record_value_fault(entry, "the name of another subject", e);
    }
    *ret_view = view;
    return 0;
}

static int decode(const struct store_entry *entry, void *ret_record, struct err *e)
{
    return record_view_decode(entry, ret_record, e);
}

static void deinit(void *record)
{
    record_view_deinit(record);
}

static const struct record_sort sort = {PREFIX, sizeof(struct record_view), decode, deinit};

int record_view_list(struct store *store, struct record_view **ret_views, size_t *ret_count,
                     struct err *e)
{
    void *records;
    if (record_list(store, &sort, &records, ret_count, e) != 0) {
        return -1;
    }
    *ret_views = records;
    return 0;
}

void record_view_list_free(struct record_view *views, size_t count)
{
    record_list_free(&sort, views, count);
}

const struct record_view *record_view_find(const struct record_view *views, size_t count,
                                           const char *subject, int64_t epoch)
{
    /* They are in the order of their keys, and so of their subjects. */
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(views[middle].subject, subject);
        if (order == 0) {
            return views[middle].epoch == epoch ? &views[middle] : NULL;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
