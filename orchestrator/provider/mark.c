#include "provider/mark.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"cluster", "id", "group", "zone", "address", "directory"};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

const char *mark_member_name(unsigned number)
{
    return number < NAME_COUNT ? names[number] : NULL;
}

char **mark_member(struct mark *mark, const char *name)
{
    char **members[NAME_COUNT] = {&mark->cluster, &mark->id,      &mark->group,
                                  &mark->zone,    &mark->address, &mark->directory};
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (text_equal(names[i], name)) {
            return members[i];
        }
    }
    return NULL;
}

void mark_deinit(struct mark *mark)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        free(*mark_member(mark, names[i]));
    }
    *mark = MARK_NULL;
}

void mark_render(const struct mark *mark, struct str *ret_text)
{
    struct mark copy = *mark; /* For mark_member(), which also serves writers. */
    for (size_t i = 0; i < NAME_COUNT; i++) {
        str_addf(ret_text, "%s=%s\n", names[i], *mark_member(&copy, names[i]));
    }
}

int mark_check_whole(const struct mark *mark, struct err *e)
{
    struct mark copy = *mark;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (*mark_member(&copy, names[i]) == NULL) {
            return err_set(e, "the mark has no %s", names[i]);
        }
    }
    return 0;
}

/* One "name=value"; names of a later version are passed over. */
static int parse_line(const char *line, size_t length, struct mark *mark, struct err *e)
{
    const char *equals = memchr(line, '=', length);
    if (equals == NULL) {
        return err_set(e, "the mark has a line that is not NAME=VALUE");
    }
    char *name = xstrndup(line, (size_t)(equals - line));
    char **member = mark_member(mark, name);
    free(name);
    if (member == NULL) {
        return 0;
    }
    free(*member);
    *member = xstrndup(equals + 1, (size_t)(line + length - equals - 1));
    return 0;
}

int mark_parse(const char *text, struct mark *ret_mark, struct err *e)
{
    struct mark mark = MARK_NULL;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (parse_line(text, length, &mark, e) < 0) {
            mark_deinit(&mark);
            return -1;
        }
        text += length;
        text += *text == '\n' ? 1 : 0;
    }
    if (mark_check_whole(&mark, e) < 0) {
        mark_deinit(&mark);
        return -1;
    }
    *ret_mark = mark;
    return 0;
}
