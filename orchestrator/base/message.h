/*
 * The one typed, length-checked format: messages between our processes over Unix
 * sequenced-packet sockets, and the values of the store.
 *
 * A message is a kind (16 bits, the caller's enum) and fields: tag (16 bits, the caller's enum),
 * type, value. A tag may occur more than once (a list). Unknown tags are skipped by readers, so
 * that records can grow. Integers are little-endian. Layout: docs in message.c.
 */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Larger messages are refused on both sides (64 MiB). */
#define MESSAGE_SIZE_MAX (64u * 1024 * 1024)

struct message {
    struct str bytes; /* Owned; the encoded form, complete at all times. */
};

#define MESSAGE_NULL ((struct message){.bytes = STR_NULL})

/* Starts a message (drops what was there). */
void message_init(struct message *m, uint16_t kind);
void message_deinit(struct message *m); /* Wipes: a message may carry secrets. */

void message_put_int(struct message *m, uint16_t tag, int64_t number);
void message_put_text(struct message *m, uint16_t tag, const char *text); /* NULL puts nothing. */
void message_put_bytes(struct message *m, uint16_t tag, const void *bytes, size_t length);
/* A message inside a message. */
void message_put_message(struct message *m, uint16_t tag, const struct message *inner);

uint16_t message_kind(const struct message *m);
/*
 * Takes BYTES as a message after checking every length and type in it (nested ones are checked
 * when they are taken). Faults on anything malformed. Copies.
 */
int message_parse(struct message *m, const void *bytes, size_t length, struct err *e);

/* The first field with TAG; the default when there is none or it has another type. */
int64_t message_int(const struct message *m, uint16_t tag, int64_t otherwise);
/* Borrowed from M; never holds a NUL inside; OTHERWISE (may be NULL) when absent. */
const char *message_text(const struct message *m, uint16_t tag, const char *otherwise);
/* Borrowed; NULL and length 0 when absent. */
const void *message_bytes(const struct message *m, uint16_t tag, size_t *ret_length);

/* Walks all fields in order: start with *POSITION = 0; false at the end. */
struct message_field {
    uint16_t tag;
    enum message_type { MESSAGE_INT, MESSAGE_TEXT, MESSAGE_BYTES, MESSAGE_MESSAGE } type;
    int64_t number;    /* MESSAGE_INT */
    const void *bytes; /* The others; borrowed; text is NUL-terminated. */
    size_t length;
};
bool message_next(const struct message *m, size_t *position, struct message_field *ret_field);

/*
 * Sends or receives one message over SOCKET (AF_UNIX, SOCK_SEQPACKET). What does not fit a packet
 * travels in a sealed memfd beside it; the caller does not notice. FD, when not -1, is passed
 * along (borrowed); a received one belongs to the caller (*ret_fd is -1 when there was none;
 * ret_fd may be NULL: then one that came is closed). Blocks unless the socket does not.
 */
enum message_io { MESSAGE_IO_OK, MESSAGE_IO_CLOSED, MESSAGE_IO_AGAIN, MESSAGE_IO_FAULT };
enum message_io message_send(int socket, const struct message *m, int fd, struct err *e);
enum message_io message_receive(int socket, struct message *m, int *ret_fd, struct err *e);

#endif
