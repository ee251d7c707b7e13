/*
 * Roles: data, not code. A role is a folder (role.ini, templates/, files/) whose sections are
 * resources, applied in file order. The format is described in roles/README.md.
 *
 * role_load()     folder -> struct role, all mistakes reported
 * role_compile()  roles + variables -> ONE POSIX sh script for one host
 * role_run()      the script over one SSH channel -> a report, a line a resource
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "base/secret.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct problem_list;
struct ssh_link;
struct message;

struct role_library; /* Opaque: the roles found on a path, loaded on demand, with what they require.
                      */

/*
 * PATHS (COUNT directories, searched in order) are copied; nothing is read yet. What is read is
 * kept: a library is as old as its files; make a new one when they change. It lives longer than
 * every script compiled with it that is still to be sent: it holds what their blobs name.
 */
struct role_library *role_library_new(const char *const *paths, size_t count);
void role_library_free(struct role_library *library);
/* Loads NAMES and all they require. Problems carry file:line of the role files; an unknown role is
   a problem at FILE:LINE with the nearest name. Returns 0 when none was added. */
int role_library_load(struct role_library *library, const char *const *names, size_t count,
                      const char *file, unsigned line, struct problem_list *problems);

/* One variable a loaded role declares; for checks and help. */
struct role_variable {
    const char *role, *name, *type, *value, *help; /* Borrowed; value: default, NULL: required. */
    bool secret;
};
/* NULL when the role or the variable does not exist; then *ret_nearest (may be NULL) is a word. */
const struct role_variable *role_library_variable(struct role_library *library, const char *role,
                                                  const char *variable, const char **ret_nearest);
/* Checks VALUE against the variable's type; NULL when fine, else what was expected ("a number from
   1 to 65535"); borrowed. Values with "{{" are checked only when rendered. */
const char *role_variable_check(const struct role_variable *variable, const char *value);

/* What [run RUN] of ROLE `creates`, as it stands in the role; borrowed; NULL when it says nothing.
 */
const char *role_library_creates(struct role_library *library, const char *role, const char *run);

/* A setting from the cluster file (spec_setting without its place). Borrowed. */
struct role_setting {
    const char *role, *variable, *value; /* The value is a Mustache template over CONTEXT. */
    const struct secret *secret;         /* Instead of value; NULL otherwise. */
    const char *file;                    /* Where the user set it. */
    unsigned line;
};

struct role_script {
    struct str text;        /* The script; holds no secret: those are read from standard input. */
    char digest[65];        /* SHA-256 of all that decides the result: text, secrets, blobs. */
    size_t resource_count;  /* Resources and handlers it may report on. */
    struct secret *secrets; /* In the order the script reads them. */
    size_t secret_count;
    struct role_blob {
        char digest[65];
        char *path; /* A file here, sent when the host asks for it. One that was packed from a
                       directory is held open by the library (/proc/PID/fd/N). */
        int64_t size_bytes;
    } * blobs;
    size_t blob_count;
    struct secret
        *hidden; /* Values that are never told: what a report says is searched for them. */
    size_t hidden_count;
    bool facts_assumed; /* CONTEXT lacked facts: good for checking, not for applying. */
};
void role_script_deinit(struct role_script *script);
void role_script_encode(const struct role_script *script, struct message *ret_message);
int role_script_decode(const struct message *message, struct role_script *ret_script,
                       struct err *e);

/*
 * Compiles ROLES (names, in order, their requirements before them) for one host. They must be
 * loaded. SETTINGS: the last one of a variable wins; those of other roles are ignored. The same
 * inputs give the same script, byte for byte.
 *
 * CONTEXT: a JSON object that templates see beside the roles' variables:
 *   cluster.name; instance.{id,group,zone,address};
 *   facts.{os,release,codename,cpus,memory_mb,arch,hostname,container};
 *   groups.NAME.{address,members}, members a list of {id,address,zone,first,last}.
 * A host that has not been seen yet has no facts (or not all): Debian 12 with one CPU and 1 GiB is
 * assumed then, and the script says so in facts_assumed.
 *
 * A problem (a variable without a value, a template that does not render) is told with file:line.
 * Returns 0, or -1 after adding problems (or when a role could not be read without one, which was
 * told then); *ret_script is written on 0 only.
 */
int role_compile(struct role_library *library, const char *const *roles, size_t role_count,
                 const struct role_setting *settings, size_t setting_count, const json_t *context,
                 struct role_script *ret_script, struct problem_list *problems);

/*
 * A shell command that prints the host's facts as JSON on one line, changing nothing: for the first
 * contact, before a script can be compiled. Borrowed, constant.
 */
const char *role_facts_command(void);
/*
 * OUTPUT of that command (or of a run) as the JSON object that templates see as `facts`, only known
 * names with plain values: what a host says is not trusted. machine_id is its SHA-256, never the id
 * itself. Lines around it, of a login script say, are passed over. The caller frees; NULL when it
 * is no such thing.
 */
char *role_facts_parse(const char *output, size_t length);

/* One resource of a report. */
enum role_result_status {
    ROLE_OK,
    ROLE_CHANGED,
    ROLE_FAILED,
    ROLE_SKIPPED, /* `when` said no. */
};
struct role_result {
    const char *role, *type, *name; /* Borrowed during the callback: "apache", "file", "/etc/x". */
    enum role_result_status status;
    int64_t time_ms;
    const char *text; /* FAILED: what the tool said. CHANGED: the diff, if asked for. Printable. */
};

/* "changed apache file /etc/x (40 ms)", without the text; ADDED to RET. */
void role_result_describe(const struct role_result *result, struct str *ret);
const char *role_result_status_to_string(enum role_result_status status); /* "changed" */

struct role_run_options {
    bool check;          /* Change nothing, say what would change. */
    bool diff;           /* Send diffs of changed files (never of secret ones). */
    bool restart;        /* Every [service] that is to run is started anew, once. */
    const char *cluster; /* The mark on the host (S25): refused when it is another's. */
    const char *instance;
    const char *owner;    /* Who locks: "apply on host7, pid 4711". */
    int64_t epoch;        /* A lower one than the host has seen is refused (S18). */
    int64_t lock_wait_ms; /* How long to wait for another run on the same host. */
    int64_t deadline_ms;  /* Monotonic. */
    void (*on_result)(void *context, const struct role_result *result);
    void (*on_progress)(void *context, const char *role, const char *type, const char *name);
    void *context;
};

/* How a run ended. */
enum role_outcome {
    ROLE_RUN_OK,      /* Every resource ok or changed. */
    ROLE_RUN_FAILED,  /* A resource failed; the host was left at that place. */
    ROLE_RUN_LOCKED,  /* Another run has the host; the text says who, since when. */
    ROLE_RUN_REFUSED, /* Another owner's mark, or a newer epoch. */
    ROLE_RUN_LOST,    /* The line dropped, or a deadline passed. */
    ROLE_RUN_GARBLED, /* What came back is no report. */
};
struct role_report {
    enum role_outcome outcome;
    size_t ok, changed, failed, skipped;
    char *text;  /* Owned; the line that explains any outcome but OK. */
    char *facts; /* Owned; JSON object as the host reported itself; may be NULL. */
};
void role_report_deinit(struct role_report *report);

/* Runs it over LINK. Outcomes are in *ret_report (always filled in). */
void role_run(struct ssh_link *link, const struct role_script *script,
              const struct role_run_options *options, struct role_report *ret_report);

#endif
