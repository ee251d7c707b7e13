#include "controller/origin.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/str.h"
#include "controller/wire.h"
#include "image/identity.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

#define BUILD_SHOWN   12
#define MACHINE_ID    32
#define CONTENT_CHARS "0123456789abcdef"

/* TEXT if it is made of LETTERS alone: it may come from a worker that a host took over. */
static const char *only(const char *text, const char *letters, size_t max)
{
    return text != NULL && text[0] != '\0' && strlen(text) <= max &&
                   text[strspn(text, letters)] == '\0'
               ? text
               : NULL;
}

static const char *image_of(const struct message *message)
{
    return only(message_text(message, WIRE_IMAGE, NULL), "abcdefghijklmnopqrstuvwxyz0123456789-@",
                IDENTITY_IMAGE_SIZE - 1);
}

static const char *build_of(const struct message *message)
{
    return only(message_text(message, WIRE_BUILD, NULL), CONTENT_CHARS, IDENTITY_BUILD_SIZE - 1);
}

static const char *machine_id_of(const struct message *message)
{
    return only(message_text(message, WIRE_MACHINE_ID, NULL), CONTENT_CHARS, MACHINE_ID);
}

void origin_take(struct record_instance *record, const struct message *answer)
{
    xreplace(&record->image, image_of(answer));
    xreplace(&record->build, build_of(answer));
    xreplace(&record->content, only(message_text(answer, WIRE_CONTENT, NULL), CONTENT_CHARS, 64));
    xreplace(&record->machine_id, machine_id_of(answer));
}

static int check_build(const struct record_instance *record, const struct message *greeting,
                       struct err *e)
{
    const char *image = image_of(greeting);
    const char *build = build_of(greeting);
    const char *wanted = record->image == NULL ? "?" : record->image;
    if (record->build == NULL || text_equal(record->build, build)) {
        return 0;
    }
    if (build == NULL || image == NULL) {
        return err_set(e,
                       "%s does not say which image it runs (no /" IDENTITY_PATH "), expected %s "
                       "(build %.*s): it came up in another system; it gets no traffic",
                       record->id, wanted, BUILD_SHOWN, record->build);
    }
    return err_set(e,
                   "%s runs image %s (build %.*s), expected %s (build %.*s): it came up in another "
                   "system; it gets no traffic",
                   record->id, image, BUILD_SHOWN, build, wanted, BUILD_SHOWN, record->build);
}

int origin_check(const struct record_instance *record, const struct message *greeting,
                 struct err *e)
{
    const char *machine_id = machine_id_of(greeting);
    if (check_build(record, greeting, e) < 0) {
        return -1;
    }
    if (record->machine_id == NULL || machine_id == NULL ||
        text_equal(record->machine_id, machine_id)) {
        return 0;
    }
    return err_set(e,
                   "%s has machine-id %s, expected %s: it came up in another system; it gets no "
                   "traffic. Changed on purpose: `group retry %s`",
                   record->id, machine_id, record->machine_id, record->id);
}

void origin_greeted(struct record_instance *record, const struct message *greeting)
{
    xreplace(&record->seen_machine_id, NULL);
    if (record->machine_id == NULL) {
        xreplace(&record->machine_id, machine_id_of(greeting));
    }
}

void origin_refused(struct record_instance *record, const struct message *greeting)
{
    const char *machine_id = machine_id_of(greeting);
    bool other = machine_id != NULL && !text_equal(machine_id, record->machine_id);
    xreplace(&record->seen_machine_id, other ? machine_id : NULL);
}

void origin_accept(struct record_instance *record)
{
    if (record->seen_machine_id != NULL) {
        xreplace(&record->machine_id, record->seen_machine_id);
        xreplace(&record->seen_machine_id, NULL);
    }
}
