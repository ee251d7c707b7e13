/*
 * Which image a system was started from, as it says itself: one line in a file that every image has
 * (IDENTITY_PATH), written when it is made.
 *
 *     web@3 5f0c7d0b9e2a41d8a3c6f1b2d4e5a697
 *
 * The number behind the name is the build: random, made anew for every image, and in its signed
 * manifest too. So two images never say the same, whatever they are called.
 */
#ifndef IMAGE_IDENTITY_H
#define IMAGE_IDENTITY_H

#include <stdbool.h>

struct err;

#define IDENTITY_DIRECTORY  "usr/lib/lamplighter"
#define IDENTITY_PATH       IDENTITY_DIRECTORY "/image"
#define IDENTITY_IMAGE_SIZE 80
#define IDENTITY_BUILD_SIZE 33
#define IDENTITY_LINE_SIZE  (IDENTITY_IMAGE_SIZE + IDENTITY_BUILD_SIZE + 2)

struct identity {
    char image[IDENTITY_IMAGE_SIZE]; /* "web@3"; "": none. */
    char build[IDENTITY_BUILD_SIZE]; /* 128 bits, hex. */
};

/* A new build's number. */
int identity_make_build(char ret_build[IDENTITY_BUILD_SIZE], struct err *e);
bool identity_is_build(const char *text);
/* The file's whole text. */
void identity_render(const struct identity *identity, char ret_line[IDENTITY_LINE_SIZE]);
/* LINE up to its end or its newline; false, and nothing written, when it is no such thing. */
bool identity_parse(const char *line, struct identity *ret_identity);

#endif
