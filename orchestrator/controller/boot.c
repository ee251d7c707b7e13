#include "controller/boot.h"

#include "base/err.h"

#include <string.h>

#define ANSWER_MAX 4096

/*
 * Field 22 of stat, counted behind the program's name: that may hold spaces and brackets. The
 * labels are for finding the lines among what a login script says. Neither of the two files need be
 * there.
 */
static const char question[] =
    "sh -c 'read -r b </proc/sys/kernel/random/boot_id && read -r s </proc/1/stat && "
    "s=${s##*\") \"} && set -- $s && shift 19 && echo \"boot=$b.$1\" || exit 1; "
    "{ read -r m </etc/machine-id; } 2>/dev/null; echo \"machine=$m\"; "
    "{ read -r i </" IDENTITY_PATH "; } 2>/dev/null; echo \"image=$i\"'";

/* What stands behind the last LABEL at the beginning of a line; NULL. */
static const char *find(const char *said, const char *label)
{
    const char *found = NULL;
    for (const char *at = said; (at = strstr(at, label)) != NULL; at++) {
        if (at == said || at[-1] == '\n') {
            found = at + strlen(label);
        }
    }
    return found;
}

/* Only what such an id is made of. */
static bool take_id(const char *found, const char *letters, char *ret_id, size_t size)
{
    size_t length = found == NULL ? 0 : strspn(found, letters);
    if (length < 8 || length >= size || strchr("\r\n", found[length]) == NULL) {
        return false;
    }
    memcpy(ret_id, found, length);
    ret_id[length] = '\0';
    return true;
}

static bool take_boot(const char *said, struct boot *ret_boot)
{
    struct boot boot = {.id = ""};
    if (!take_id(find(said, "boot="), "0123456789abcdef-.", boot.id, sizeof(boot.id))) {
        return false;
    }
    (void)take_id(find(said, "machine="), "0123456789abcdef", boot.machine_id,
                  sizeof(boot.machine_id));
    const char *image = find(said, "image=");
    if (image != NULL) {
        (void)identity_parse(image, &boot.identity);
    }
    *ret_boot = boot;
    return true;
}

enum ssh_outcome boot_read(struct ssh_link *link, int64_t deadline_ms, struct boot *ret_boot,
                           struct err *e)
{
    struct str said = STR_NULL;
    int status = 0;
    enum ssh_outcome outcome =
        ssh_link_exec(link, question, ANSWER_MAX, deadline_ms, &said, &status, e);
    *ret_boot = (struct boot){.id = ""};
    if (outcome == SSH_OK && (status != 0 || !take_boot(str_text(&said), ret_boot))) {
        err_set(e, "it does not tell which boot it is in (status %d, it said: %.80s)", status,
                said.length == 0 ? "nothing" : str_text(&said));
    }
    str_deinit(&said);
    return outcome;
}
