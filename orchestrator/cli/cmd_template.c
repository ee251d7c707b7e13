/*
 * lamplighter template: the versions of each template, how many instances are of each, what one
 * says and how two differ. Reads the file and the store, asks nobody.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"
#include "controller/template_version.h"
#include "store/sqlite.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct known {
    struct site site;
    struct template_versions versions;
    struct record_instance *instances;
    size_t instance_count;
};

static void known_deinit(struct known *k)
{
    template_versions_deinit(&k->versions);
    record_instance_list_free(k->instances, k->instance_count);
    site_deinit(&k->site);
}

/* Where nothing was applied yet there is what the file says. */
static int read_store(struct known *k, struct err *e)
{
    struct store store = STORE_NULL;
    const char *path = k->site.spec->state_path;
    if (access(path, F_OK) == 0 &&
        (store_sqlite_open(&store, path, STORE_SQLITE_READ, e) != 0 ||
         record_instance_list(&store, &k->instances, &k->instance_count, e) != 0)) {
        store_close(&store);
        return -1;
    }
    int result = template_versions_load(&store, k->site.spec, k->instances, k->instance_count,
                                        &k->versions, e);
    store_close(&store);
    return result;
}

static int known_read(struct known *ret_known, const struct cli *cli)
{
    struct err e = ERR_NULL;
    *ret_known = (struct known){.versions = TEMPLATE_VERSIONS_NULL};
    int status = session_load_site(&ret_known->site, cli);
    if (status == CLI_DONE && read_store(ret_known, &e) != 0) {
        log_error("%s", e.text);
        known_deinit(ret_known);
        status = CLI_FAILED;
    }
    return status;
}

static size_t count_made_by(const struct known *k, const struct template_version *version)
{
    size_t count = 0;
    for (size_t i = 0; i < k->instance_count; i++) {
        const struct record_instance *r = &k->instances[i];
        count += r->lifecycle != LIFECYCLE_TERMINATED && r->builder == NULL &&
                         template_version_of(&k->versions, r) == version
                     ? 1
                     : 0;
    }
    return count;
}

/* "the file's", "the file's, not applied yet", or nothing. */
static const char *standing_of(const struct known *k, const struct template_version *version)
{
    size_t template = spec_find_template(k->site.spec, version->record.name);
    if (version->fresh) {
        return "the file's, not applied yet";
    }
    return template != SPEC_NONE && template_version_of_file(&k->versions, template) == version
               ? "the file's"
               : "";
}

static void add_changes(const struct known *k, const struct template_version *version,
                        struct str *text)
{
    const struct template_version *before =
        template_version_find(&k->versions, version->record.name, version->record.number - 1);
    if (before != NULL) {
        template_version_add_changes(before, version, text);
    }
}

/* Words. */

static json_t *to_json(const struct known *k, const struct template_version *version)
{
    struct str changes = STR_NULL;
    add_changes(k, version, &changes);
    json_t *object = json_pack(
        "{s:s, s:I, s:b, s:b, s:I, s:I, s:s, s:O}", "template", version->record.name, "version",
        (json_int_t)version->record.number, "latest", *standing_of(k, version) != '\0' ? 1 : 0,
        "applied", version->fresh ? 0 : 1, "instances", (json_int_t)count_made_by(k, version),
        "since_ms", (json_int_t)version->record.wall_ms, "changes", str_text(&changes), "parts",
        version->parts);
    str_deinit(&changes);
    return object;
}

static void print_line(const struct known *k, const struct template_version *version)
{
    char when[32];
    struct str remark = STR_NULL;
    clock_format(version->record.wall_ms, when, sizeof(when));
    str_add(&remark, standing_of(k, version));
    struct str changes = STR_NULL;
    add_changes(k, version, &changes);
    if (changes.length > 0) {
        str_addf(&remark, "%s%s", remark.length > 0 ? "; " : "", str_text(&changes));
    }
    printf("%-12s %7u %9zu  %-23s %s\n", version->record.name, version->record.number,
           count_made_by(k, version), version->fresh ? "-" : when, str_text(&remark));
    str_deinit(&changes);
    str_deinit(&remark);
}

static void print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

static int no_such(const struct known *k, const char *name)
{
    const char **words = xcalloc(k->versions.count + 1, sizeof(*words));
    for (size_t i = 0; i < k->versions.count; i++) {
        words[i] = k->versions.items[i].record.name;
    }
    const char *nearest = text_nearest(name, words, k->versions.count);
    log_error("cluster %s has no template '%s'%s%s%s", k->site.spec->cluster, name,
              nearest == NULL ? "; 'lamplighter template list' lists them" : "; did you mean '",
              nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
    free(words);
    return CLI_FAILED;
}

/* The version that WORD names of NAME; NULL for its last. CLI_DONE, or the status when told. */
static int find(const struct known *k, const char *name, const char *word,
                const struct template_version **ret_version)
{
    int64_t number = 0;
    unsigned last = template_version_last(&k->versions, name);
    if (last == 0) {
        return no_such(k, name);
    }
    if (word != NULL && !text_to_int(word, 1, last, &number)) {
        log_error("template %s has no version %s; it has %s%u", name, word, last > 1 ? "1 to " : "",
                  last);
        return CLI_FAILED;
    }
    *ret_version =
        template_version_find(&k->versions, name, word == NULL ? last : (unsigned)number);
    return CLI_DONE;
}

/* The commands. */

static int list(const struct cli *cli, const struct known *k, const char *name)
{
    json_t *all = json_array();
    if (name != NULL && template_version_last(&k->versions, name) == 0) {
        json_decref(all);
        return no_such(k, name);
    }
    if (!cli->json) {
        printf("%-12s %7s %9s  %-23s\n", "TEMPLATE", "VERSION", "INSTANCES", "SINCE");
    }
    for (size_t i = 0; i < k->versions.count; i++) {
        const struct template_version *version = &k->versions.items[i];
        if (name != NULL && !text_equal(version->record.name, name)) {
            continue;
        }
        if (cli->json) {
            json_array_append_new(all, to_json(k, version));
        } else {
            print_line(k, version);
        }
    }
    if (cli->json) {
        print_json(json_incref(all));
    }
    json_decref(all);
    return CLI_DONE;
}

static int show(const struct cli *cli, const struct known *k, const char *name, const char *word)
{
    const struct template_version *version;
    int status = find(k, name, word, &version);
    if (status != CLI_DONE) {
        return status;
    }
    if (cli->json) {
        print_json(to_json(k, version));
        return CLI_DONE;
    }
    struct str text = STR_NULL;
    template_version_add_text(version, &text);
    const char *standing = standing_of(k, version);
    size_t count = count_made_by(k, version);
    printf("# template %s version %u%s%s, %zu instance%s\n%s", name, version->record.number,
           *standing == '\0' ? "" : ", ", standing, count, count == 1 ? "" : "s", str_text(&text));
    str_deinit(&text);
    return CLI_DONE;
}

static int diff(const struct cli *cli, const struct known *k, char **words)
{
    const struct template_version *from;
    const struct template_version *to;
    if (find(k, words[0], words[1], &from) != CLI_DONE ||
        find(k, words[0], words[2], &to) != CLI_DONE) {
        return CLI_FAILED;
    }
    struct str text = STR_NULL;
    template_version_add_changes(from, to, &text);
    if (cli->json) {
        print_json(json_pack("{s:s, s:I, s:I, s:s}", "template", words[0], "from",
                             (json_int_t)from->record.number, "to", (json_int_t)to->record.number,
                             "changes", str_text(&text)));
    } else {
        printf("%s\n", text.length == 0 ? "they are the same" : str_text(&text));
    }
    str_deinit(&text);
    return CLI_DONE;
}

int cmd_template(const struct cli *cli)
{
    const char *what = cli->argc == 0 ? "" : cli->argv[0];
    bool lists = text_equal(what, "list") && cli->argc <= 2;
    bool shows = text_equal(what, "show") && (cli->argc == 2 || cli->argc == 3);
    bool compares = text_equal(what, "diff") && cli->argc == 4;
    if (!lists && !shows && !compares) {
        return cli_usage("template", "expected list [NAME], show NAME [N] or diff NAME N M");
    }
    struct known k;
    int status = known_read(&k, cli);
    if (status != CLI_DONE) {
        return status;
    }
    status = lists   ? list(cli, &k, cli->argc == 2 ? cli->argv[1] : NULL)
             : shows ? show(cli, &k, cli->argv[1], cli->argc == 3 ? cli->argv[2] : NULL)
                     : diff(cli, &k, cli->argv + 1);
    known_deinit(&k);
    return status;
}
