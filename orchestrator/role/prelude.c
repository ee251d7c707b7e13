/*
 * prelude.sh is a file of its own, so that shellcheck sees it; the assembler puts it in here. A
 * line
 * "#= NAME" begins a part that is left out of a script that has no use for it.
 */
#include "role/prelude.h"

#include <string.h>

extern const char prelude_text[];

__asm__(".section .rodata\n"
        ".global prelude_text\n"
        ".hidden prelude_text\n"
        "prelude_text:\n"
        ".incbin \"orchestrator/role/prelude.sh\"\n"
        ".byte 0\n"
        ".previous\n");

/* What a part calls that is in another. */
static const struct {
    const char *part;
    const char *needs;
} needs[] = {{"line", "file"},
             {"sysctl", "file"},
             {"database", "file"},
             {"run", "file"},
             {"release", "file"}};

static bool is_needed(const char *sections, const char *name, size_t length)
{
    for (const char *at = sections; (at = strstr(at, " ")) != NULL; at++) {
        if (strncmp(at + 1, name, length) == 0 && at[length + 1] == ' ') {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (strncmp(needs[i].needs, name, length) == 0 && needs[i].needs[length] == '\0' &&
            is_needed(sections, needs[i].part, strlen(needs[i].part))) {
            return true;
        }
    }
    return length == 5 && (strncmp(name, "facts", length) == 0 || strncmp(name, "epoch", 5) == 0);
}

/* The part that begins at AT, up to the next "#= " line. */
static const char *part_end(const char *at)
{
    const char *end = strstr(at, "\n#= ");
    return end == NULL ? at + strlen(at) : end + 1;
}

void prelude_add(struct str *script, const char *sections)
{
    const char *at = prelude_text;
    const char *end = part_end(at);
    str_add_bytes(script, at, (size_t)(end - at));
    while (*(at = end) != '\0') {
        const char *name = at + 3;
        const char *body = strchr(name, '\n');
        end = part_end(at + 1);
        if (is_needed(sections, name, (size_t)(body - name))) {
            str_add_bytes(script, body + 1, (size_t)(end - body - 1));
        }
    }
}

void prelude_add_section(struct str *script, const char *name)
{
    struct str mark = STR_NULL;
    str_addf(&mark, "\n#= %s\n", name);
    const char *at = strstr(prelude_text, str_text(&mark));
    if (at != NULL) {
        at += mark.length;
        str_add_bytes(script, at, (size_t)(part_end(at) - at));
    }
    str_deinit(&mark);
}
