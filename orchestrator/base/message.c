/*
 * Layout. A message is a header and fields, packed, every integer little-endian:
 *
 *     header   u16 kind   u8 version (1)   u8 zero
 *     field    u16 tag    u8 type          u32 length   length bytes of value
 *
 * The value of an INT is 8 bytes, two's complement; of a TEXT its bytes and one NUL, which counts
 * in the length, so that a reader can borrow the text where it lies; BYTES are as they are; a
 * MESSAGE is one with its own header. Everything is checked once, in message_parse(); the readers
 * after it trust what they walk over.
 */
#include "base/message.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE       4
#define FIELD_HEADER_SIZE 7
#define VERSION           1

/* Like str's growth, but what is left behind is wiped: a message may carry secrets. */
static void make_room(struct str *s, size_t more)
{
    size_t wanted = s->length + more + 1;
    if (wanted <= s->capacity) {
        return;
    }
    size_t capacity = s->capacity == 0 ? 256 : s->capacity;
    while (capacity < wanted) {
        capacity *= 2;
    }
    char *text = xcalloc(capacity, 1);
    if (s->text != NULL) {
        memcpy(text, s->text, s->length);
        explicit_bzero(s->text, s->capacity);
        free(s->text);
    }
    s->text = text;
    s->capacity = capacity;
}

static void add(struct str *s, const void *bytes, size_t length)
{
    make_room(s, length);
    str_add_bytes(s, bytes, length);
}

void message_init(struct message *m, uint16_t kind)
{
    message_deinit(m);
    uint16_t wire_kind = htole16(kind);
    unsigned char header[HEADER_SIZE] = {0, 0, VERSION, 0};
    memcpy(header, &wire_kind, sizeof(wire_kind));
    add(&m->bytes, header, sizeof(header));
}

void message_deinit(struct message *m)
{
    if (m->bytes.text != NULL) {
        explicit_bzero(m->bytes.text, m->bytes.capacity);
    }
    str_deinit(&m->bytes);
}

static void put(struct message *m, uint16_t tag, enum message_type type, const void *bytes,
                size_t length, bool terminate)
{
    assert(m->bytes.length >= HEADER_SIZE); /* message_init() was called. */
    assert(length < MESSAGE_SIZE_MAX);
    size_t whole = length + (terminate ? 1 : 0);
    uint16_t wire_tag = htole16(tag);
    uint32_t wire_length = htole32((uint32_t)whole);
    unsigned char header[FIELD_HEADER_SIZE];
    memcpy(header, &wire_tag, sizeof(wire_tag));
    header[2] = (unsigned char)type;
    memcpy(header + 3, &wire_length, sizeof(wire_length));
    make_room(&m->bytes, FIELD_HEADER_SIZE + whole);
    add(&m->bytes, header, sizeof(header));
    add(&m->bytes, bytes, length);
    if (terminate) {
        add(&m->bytes, "", 1);
    }
}

void message_put_int(struct message *m, uint16_t tag, int64_t number)
{
    uint64_t wire = htole64((uint64_t)number);
    put(m, tag, MESSAGE_INT, &wire, sizeof(wire), false);
}

void message_put_text(struct message *m, uint16_t tag, const char *text)
{
    if (text != NULL) {
        put(m, tag, MESSAGE_TEXT, text, strlen(text), true);
    }
}

void message_put_bytes(struct message *m, uint16_t tag, const void *bytes, size_t length)
{
    put(m, tag, MESSAGE_BYTES, bytes, length, false);
}

void message_put_message(struct message *m, uint16_t tag, const struct message *inner)
{
    assert(inner->bytes.length >= HEADER_SIZE);
    put(m, tag, MESSAGE_MESSAGE, inner->bytes.text, inner->bytes.length, false);
}

uint16_t message_kind(const struct message *m)
{
    uint16_t wire = 0;
    if (m->bytes.length >= HEADER_SIZE) {
        memcpy(&wire, m->bytes.text, sizeof(wire));
    }
    return le16toh(wire);
}

static int check_value(unsigned type, const unsigned char *value, size_t length, struct err *e)
{
    switch (type) {
    case MESSAGE_INT:
        return length == 8 ? 0 : err_set(e, "malformed message: number of %zu bytes", length);
    case MESSAGE_TEXT:
        if (length == 0 || memchr(value, '\0', length) != value + length - 1) {
            return err_set(e, "malformed message: text not ended, or ended early");
        }
        return 0;
    case MESSAGE_BYTES: return 0;
    case MESSAGE_MESSAGE:
        return length >= HEADER_SIZE ? 0 : err_set(e, "malformed message: inner one too short");
    default: return err_set(e, "malformed message: unknown type %u", type);
    }
}

/* The field at BYTES of which LEFT bytes are there; *ret_size is the size of all of it. */
static int check_field(const unsigned char *bytes, size_t left, size_t *ret_size, struct err *e)
{
    if (left < FIELD_HEADER_SIZE) {
        return err_set(e, "malformed message: cut off in the head of a field");
    }
    uint32_t wire_length;
    memcpy(&wire_length, bytes + 3, sizeof(wire_length));
    size_t length = le32toh(wire_length);
    if (length > left - FIELD_HEADER_SIZE) {
        return err_set(e, "malformed message: field of %zu bytes where %zu are left", length,
                       left - FIELD_HEADER_SIZE);
    }
    *ret_size = FIELD_HEADER_SIZE + length;
    return check_value(bytes[2], bytes + FIELD_HEADER_SIZE, length, e);
}

int message_parse(struct message *m, const void *bytes, size_t length, struct err *e)
{
    const unsigned char *start = bytes;
    if (length < HEADER_SIZE) {
        return err_set(e, "malformed message: %zu bytes", length);
    }
    if (length > MESSAGE_SIZE_MAX) {
        return err_set(e, "message of %zu bytes; at most %u are taken", length, MESSAGE_SIZE_MAX);
    }
    if (start[2] != VERSION || start[3] != 0) {
        return err_set(e, "message of format %u.%u; this program knows %u.0", start[2], start[3],
                       VERSION);
    }
    for (size_t at = HEADER_SIZE; at < length;) {
        size_t size = 0;
        if (check_field(start + at, length - at, &size, e) != 0) {
            return -1;
        }
        at += size;
    }
    /* BYTES may lie inside M itself, so the copy is made before M lets go. */
    struct message copy = MESSAGE_NULL;
    add(&copy.bytes, bytes, length);
    message_deinit(m);
    *m = copy;
    return 0;
}

static void read_value(const unsigned char *value, size_t length, struct message_field *ret_field)
{
    switch (ret_field->type) {
    case MESSAGE_INT: {
        uint64_t wire;
        memcpy(&wire, value, sizeof(wire));
        ret_field->number = (int64_t)le64toh(wire);
        return;
    }
    case MESSAGE_TEXT:
        ret_field->bytes = value;
        ret_field->length = length - 1;
        return;
    case MESSAGE_BYTES:
    case MESSAGE_MESSAGE:
        ret_field->bytes = value;
        ret_field->length = length;
        return;
    }
}

bool message_next(const struct message *m, size_t *position, struct message_field *ret_field)
{
    size_t at = *position == 0 ? HEADER_SIZE : *position;
    if (at >= m->bytes.length) {
        return false;
    }
    const unsigned char *head = (const unsigned char *)m->bytes.text + at;
    uint16_t wire_tag;
    uint32_t wire_length;
    memcpy(&wire_tag, head, sizeof(wire_tag));
    memcpy(&wire_length, head + 3, sizeof(wire_length));
    *ret_field =
        (struct message_field){.tag = le16toh(wire_tag), .type = (enum message_type)head[2]};
    read_value(head + FIELD_HEADER_SIZE, le32toh(wire_length), ret_field);
    *position = at + FIELD_HEADER_SIZE + le32toh(wire_length);
    return true;
}

static bool find(const struct message *m, uint16_t tag, struct message_field *ret_field)
{
    size_t position = 0;
    while (message_next(m, &position, ret_field)) {
        if (ret_field->tag == tag) {
            return true;
        }
    }
    return false;
}

int64_t message_int(const struct message *m, uint16_t tag, int64_t otherwise)
{
    struct message_field field;
    return find(m, tag, &field) && field.type == MESSAGE_INT ? field.number : otherwise;
}

const char *message_text(const struct message *m, uint16_t tag, const char *otherwise)
{
    struct message_field field;
    return find(m, tag, &field) && field.type == MESSAGE_TEXT ? field.bytes : otherwise;
}

const void *message_bytes(const struct message *m, uint16_t tag, size_t *ret_length)
{
    struct message_field field;
    if (find(m, tag, &field) && (field.type == MESSAGE_BYTES || field.type == MESSAGE_MESSAGE)) {
        *ret_length = field.length;
        return field.bytes;
    }
    *ret_length = 0;
    return NULL;
}
