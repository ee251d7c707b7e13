#include "controller/boot.h"

#include "base/err.h"

#include <string.h>

#define ANSWER_MAX 4096

/* Field 22 of stat, counted behind the program's name: that may hold spaces and brackets. The label
   is for finding the line among what a login script says. */
static const char question[] = "sh -c 'read -r b </proc/sys/kernel/random/boot_id && "
                               "read -r s </proc/1/stat && s=${s##*\") \"} && set -- $s && "
                               "shift 19 && echo \"boot=$b.$1\"'";
static const char label[] = "boot=";

/* Only what such an id is made of. */
static bool take_id(const char *said, char ret_id[BOOT_ID_SIZE])
{
    const char *found = NULL;
    for (const char *at = said; (at = strstr(at, label)) != NULL; at++) {
        if (at == said || at[-1] == '\n') {
            found = at + sizeof(label) - 1;
        }
    }
    size_t length = found == NULL ? 0 : strspn(found, "0123456789abcdef-.");
    if (length < 8 || length >= BOOT_ID_SIZE || strchr("\r\n", found[length]) == NULL) {
        return false;
    }
    memcpy(ret_id, found, length);
    ret_id[length] = '\0';
    return true;
}

enum ssh_outcome boot_read(struct ssh_link *link, int64_t deadline_ms, char ret_id[BOOT_ID_SIZE],
                           struct err *e)
{
    struct str said = STR_NULL;
    int status = 0;
    enum ssh_outcome outcome =
        ssh_link_exec(link, question, ANSWER_MAX, deadline_ms, &said, &status, e);
    ret_id[0] = '\0';
    if (outcome == SSH_OK && (status != 0 || !take_id(str_text(&said), ret_id))) {
        err_set(e, "it does not tell which boot it is in (status %d, it said: %.80s)", status,
                said.length == 0 ? "nothing" : str_text(&said));
    }
    str_deinit(&said);
    return outcome;
}
