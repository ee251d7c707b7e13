#include "image/identity.h"

#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int identity_make_build(char ret_build[IDENTITY_BUILD_SIZE], struct err *e)
{
    unsigned char bytes[(IDENTITY_BUILD_SIZE - 1) / 2];
    ssize_t got;
    /* So few bytes come whole or not at all. */
    while ((got = getrandom(bytes, sizeof(bytes), 0)) < 0 && errno == EINTR) {
    }
    if (got != (ssize_t)sizeof(bytes)) {
        return err_errno(e, errno, "random bytes for a build");
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(ret_build + 2 * i, 3, "%02x", bytes[i]);
    }
    return 0;
}

bool identity_is_build(const char *text)
{
    return strlen(text) == IDENTITY_BUILD_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == IDENTITY_BUILD_SIZE - 1;
}

void identity_render(const struct identity *identity, char ret_line[IDENTITY_LINE_SIZE])
{
    snprintf(ret_line, IDENTITY_LINE_SIZE, "%s %s\n", identity->image, identity->build);
}

bool identity_parse(const char *line, struct identity *ret_identity)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-@";
    struct identity identity;
    size_t image = strspn(line, letters);
    const char *build = line + image + 1;
    if (image == 0 || image >= IDENTITY_IMAGE_SIZE || line[image] != ' ' ||
        memchr(line, '@', image) == NULL) {
        return false;
    }
    size_t length = strcspn(build, "\n");
    if (length != IDENTITY_BUILD_SIZE - 1) {
        return false;
    }
    memcpy(identity.image, line, image);
    identity.image[image] = '\0';
    memcpy(identity.build, build, length);
    identity.build[length] = '\0';
    if (!identity_is_build(identity.build)) {
        return false;
    }
    *ret_identity = identity;
    return true;
}
