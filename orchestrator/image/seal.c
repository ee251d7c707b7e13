#include "image/seal.h"

#include "base/mem.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* The first that fits counts. Patterns with a directory's name hold for all in it. */
const struct seal_rule seal_rules[] = {
    {"proc", SEAL_EMPTY, "the kernel's"},
    {"sys", SEAL_EMPTY, "the kernel's"},
    {"dev", SEAL_EMPTY, "the kernel's"},
    {"run", SEAL_EMPTY, "lasts until the next boot only"},
    {"tmp", SEAL_EMPTY, "temporary"},
    {"var/tmp", SEAL_EMPTY, "temporary"},
    {"lost+found", SEAL_OUT, "the file system's"},

    {SEAL_MACHINE_ID, SEAL_BLANK, "twice the same id is twice the same DHCP lease"},
    {"var/lib/dbus/machine-id", SEAL_FILES, "a copy of the machine's id"},
    {"etc/ssh/ssh_host_*", SEAL_OUT, "host keys are made for each instance"},
    {"root/.ssh/authorized_keys", SEAL_OUT, "the controller's login key, put in at launch"},
    {"home/*/.ssh/authorized_keys", SEAL_OUT, "the controller's login key, put in at launch"},
    {"root/.ssh/known_hosts*", SEAL_OUT, "whom this host has met"},
    {"etc/hostname", SEAL_OUT, "the instance's name, put in at launch"},
    {"etc/hosts", SEAL_OUT, "the instance's name and address, put in at launch"},
    {"etc/systemd/network/10-lamplighter.network", SEAL_OUT, "the instance's address"},
    {"etc/udev/rules.d/70-persistent-net.rules", SEAL_OUT, "the hardware's names"},
    {"etc/lamplighter/instance", SEAL_OUT, "whose host it is, put in at launch"},
    {"var/lib/lamplighter", SEAL_EMPTY, "what the controller left on this host: epoch, marks"},
    {"etc/ssl/private/ssl-cert-snakeoil.key", SEAL_OUT, "a key made for one host"},
    {"etc/ssl/certs/ssl-cert-snakeoil.pem", SEAL_OUT, "a certificate made for one host"},

    {"var/log/journal", SEAL_EMPTY, "logs, and the machine's id as a name"},
    {"var/log", SEAL_FILES, "logs"},
    {"var/crash", SEAL_EMPTY, "crashes"},
    {"var/lib/systemd/coredump", SEAL_EMPTY, "crashes"},
    {"var/lib/systemd/random-seed", SEAL_OUT, "the same randomness twice"},
    {"var/lib/systemd/credential.secret", SEAL_OUT, "a key made for one host"},
    {"var/lib/systemd/timers", SEAL_EMPTY, "when timers last ran"},
    {"var/lib/systemd/timesync", SEAL_EMPTY, "when the clock was last right"},
    {"var/lib/systemd/linger", SEAL_EMPTY, "who was logged in"},
    {"var/lib/urandom", SEAL_EMPTY, "the same randomness twice"},
    {"var/lib/dhcp", SEAL_EMPTY, "leases"},
    {"var/lib/dhcpcd", SEAL_EMPTY, "leases"},
    {"var/lib/dhcpcd5", SEAL_EMPTY, "leases"},
    {"var/lib/NetworkManager", SEAL_EMPTY, "leases"},
    {"var/lib/haproxy", SEAL_FILES, "state of a running balancer"},
    {"var/lib/mysql", SEAL_EMPTY, "a database's data"},
    {"var/lib/postgresql", SEAL_EMPTY, "a database's data"},
    {"var/lib/redis", SEAL_EMPTY, "a database's data"},
    {"var/lib/php/sessions", SEAL_EMPTY, "visitors' sessions"},
    {"var/mail", SEAL_FILES, "mail"},
    {"var/spool/mail", SEAL_FILES, "mail"},
    {"var/spool/postfix", SEAL_FILES, "mail"},
    {"var/lib/apt/lists", SEAL_EMPTY, "package lists, old tomorrow"},
    {"var/cache/apt", SEAL_FILES, "packages that are installed already"},
    {"var/lib/dpkg/lock*", SEAL_OUT, "a lock"},
    {NULL, SEAL_OUT, NULL},
};

/* The part of PATH that PATTERN speaks of: as many names as the pattern has. */
static size_t reach_of(const char *pattern, const char *path)
{
    size_t names = 1;
    for (; *pattern != '\0'; pattern++) {
        names += *pattern == '/' ? 1 : 0;
    }
    const char *at = path;
    while (names > 0) {
        at += strcspn(at, "/");
        names--;
        if (names > 0 && *at == '\0') {
            return 0;
        }
        at += names > 0 ? 1 : 0;
    }
    return (size_t)(at - path);
}

static bool is_file(enum tar_type type)
{
    return type != TAR_DIRECTORY && type != TAR_LINK;
}

static bool applies(const struct seal_rule *rule, const struct tar_entry *entry, bool is_itself)
{
    switch (rule->action) {
    case SEAL_OUT: return true;
    case SEAL_EMPTY: return !is_itself || is_file(entry->type);
    case SEAL_FILES: return is_file(entry->type);
    case SEAL_BLANK: return true;
    }
    return true;
}

const struct seal_rule *seal_rule_of(const struct tar_entry *entry)
{
    for (const struct seal_rule *rule = seal_rules; rule->pattern != NULL; rule++) {
        size_t reach = reach_of(rule->pattern, entry->path);
        /* Most paths differ from most patterns in their first letter. */
        if (reach == 0 || rule->pattern[0] != entry->path[0]) {
            continue;
        }
        char *head = xstrndup(entry->path, reach);
        bool fits = fnmatch(rule->pattern, head, FNM_PATHNAME) == 0;
        free(head);
        if (fits) {
            return applies(rule, entry, entry->path[reach] == '\0') ? rule : NULL;
        }
    }
    return NULL;
}

/*
 * Only what is large or changes while it is read: logs, data, caches. All else, the receiver, who
 * does not trust the host anyway, leaves out by the table.
 */
static const char *const tar_options[] = {
    "--create",
    "--file=-",
    "--blocking-factor=64", /* 32 KiB at a time: as much as an SSH packet holds. */
    "--format=posix",
    "--pax-option=delete=atime,delete=ctime,delete=mtime",
    "--numeric-owner",
    "--one-file-system",
    "--xattrs",
    "--xattrs-include=*",
    "--xattrs-exclude=system.*",
    "--warning=no-file-changed",
    "--warning=no-file-ignored",
    "--anchored",
    "--wildcards",
    "--no-wildcards-match-slash",
    "--exclude=./proc/*",
    "--exclude=./sys/*",
    "--exclude=./dev/*",
    "--exclude=./run/*",
    "--exclude=./tmp/*",
    "--exclude=./var/tmp/*",
    "--exclude=./var/lib/mysql/*",
    "--exclude=./var/lib/postgresql/*",
    "--exclude=./var/lib/redis/*",
    "--exclude=./var/lib/lamplighter/*",
    "--exclude=./var/lib/apt/lists/*",
    "--exclude=./var/cache/apt/*.bin",
    "--exclude=./var/cache/apt/archives/*.deb",
    "--exclude=./var/log/journal/*",
};

char **seal_tar_words(const char *program, const char *root)
{
    const size_t options = sizeof(tar_options) / sizeof(tar_options[0]);
    char **words = xcalloc(options + 4, sizeof(*words));
    size_t n = 0;
    words[n++] = xstrdup(program);
    words[n++] = xasprintf("--directory=%s", root);
    for (size_t i = 0; i < options; i++) {
        words[n++] = xstrdup(tar_options[i]);
    }
    words[n++] = xstrdup(".");
    return words;
}

void seal_add_tar_command(struct str *s, const char *root)
{
    char **words = seal_tar_words("tar", root);
    /* Below what serves: a host at work has the first claim to its disk and its cores. */
    str_add(s, "exec nice -n 10 ionice -c 2 -n 7");
    for (size_t i = 0; words[i] != NULL; i++) {
        str_add_char(s, ' ');
        str_add_shell(s, words[i]);
        free(words[i]);
    }
    free(words);
}

/* Names that say it all. An empty one is harmless. */
static const struct {
    const char *pattern; /* Of the last part of a path. */
    const char *reason;
} refused_names[] = {
    {".*_history", "a shell's or client's history"},
    {".history", "a shell's history"},
    {".pgpass", "passwords"},
    {".netrc", "passwords"},
    {".git-credentials", "passwords"},
    {".mylogin.cnf", "passwords"},
};

void seal_scan_begin(struct seal_scan *scan, const char *path, int64_t size_bytes)
{
    *scan = (struct seal_scan){.found = NULL};
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    for (size_t i = 0; size_bytes > 0 && i < sizeof(refused_names) / sizeof(refused_names[0]);
         i++) {
        if (fnmatch(refused_names[i].pattern, name, 0) == 0) {
            scan->found = refused_names[i].reason;
        }
    }
    scan->is_client_settings = text_equal(name, ".my.cnf");
}

static bool is_base64(char c)
{
    return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '=';
}

/*
 * Is there a key behind the words? Programs that read keys hold the words too, but no key after
 * them. AT is behind "PRIVATE KEY".
 */
static bool has_key_body(const char *at, const char *end)
{
    at += end - at >= 6 && strncmp(at, " BLOCK", 6) == 0 ? 6 : 0;
    if (end - at < 5 || strncmp(at, "-----", 5) != 0) {
        return false;
    }
    at += 5;
    at += at < end && *at == '\r' ? 1 : 0;
    if (at == end || *at != '\n') {
        return false;
    }
    at++;
    static const char *const headers[] = {"Proc-Type:", "Version:", "Comment:"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if ((size_t)(end - at) >= strlen(headers[i]) &&
            strncmp(at, headers[i], strlen(headers[i])) == 0) {
            return true;
        }
    }
    at += at < end && *at == '\n' ? 1 : 0; /* PGP's empty line. */
    size_t length = 0;
    while (at + length < end && length < 32 && is_base64(at[length])) {
        length++;
    }
    return length == 32;
}

static bool has_private_key(const char *bytes, size_t length)
{
    static const char words[] = "PRIVATE KEY";
    static const char begin[] = "-----BEGIN ";
    const char *end = bytes + length;
    const char *at = bytes;
    while ((at = memmem(at, (size_t)(end - at), words, strlen(words))) != NULL) {
        const char *line = at;
        while (line > bytes && line[-1] != '\n' && at - line < 64) {
            line--;
        }
        at += strlen(words);
        if ((size_t)(at - line) >= strlen(begin) && strncmp(line, begin, strlen(begin)) == 0 &&
            has_key_body(at, end)) {
            return true;
        }
    }
    static const char putty[] = "PuTTY-User-Key-File-";
    return length > 64 && strncmp(bytes, putty, strlen(putty)) == 0;
}

/* "password = x", "password=x" at the beginning of a line. */
static bool has_password(const char *bytes, size_t length)
{
    const char *end = bytes + length;
    static const char word[] = "password";
    for (const char *at = bytes; at < end;) {
        while (at < end && (*at == ' ' || *at == '\t')) {
            at++;
        }
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        if ((size_t)(stop - at) > strlen(word) && strncmp(at, word, strlen(word)) == 0) {
            at += strlen(word);
            while (at < stop && (*at == ' ' || *at == '\t' || *at == '=')) {
                at++;
            }
            if (at < stop) {
                return true;
            }
        }
        at = stop + 1;
    }
    return false;
}

static void look(struct seal_scan *scan, const char *bytes, size_t length)
{
    if (scan->found == NULL && has_private_key(bytes, length)) {
        scan->found = "a private key";
    }
    if (scan->found == NULL && scan->is_client_settings && has_password(bytes, length)) {
        scan->found = "a password";
    }
}

void seal_scan_add(struct seal_scan *scan, const void *bytes, size_t length)
{
    if (scan->tail_length > 0) {
        char both[2 * sizeof(scan->tail)];
        size_t more = length < sizeof(scan->tail) ? length : sizeof(scan->tail);
        memcpy(both, scan->tail, scan->tail_length);
        memcpy(both + scan->tail_length, bytes, more);
        look(scan, both, scan->tail_length + more);
    }
    look(scan, bytes, length);
    size_t keep = length < sizeof(scan->tail) ? length : sizeof(scan->tail);
    memcpy(scan->tail, (const char *)bytes + length - keep, keep);
    scan->tail_length = keep;
}
