/*
 * A stage for tests of commands: a cluster file of four static hosts in a directory of its own,
 * its store, and the commands run as a user runs them: each in a process of its own, with what it
 * says and its exit status.
 */
#ifndef UNIT_CLI_STAGE_H
#define UNIT_CLI_STAGE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "conformance/scratch.h"
#include "store/record.h"
#include "store/sqlite.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STAGE_WORDS_MAX 16

struct stage {
    char *directory;
    char *file; /* The cluster file; [group web] stands at STAGE_GROUP_LINE. */
    char *state;
    char *said; /* What the last command said on standard output and error. */
};

#define STAGE_GROUP_LINE 34

static inline void stage_write_file(const struct stage *stage, const char *path)
{
    char *roles = realpath("roles", NULL);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out,
            "[cluster shop]\n"
            "state = sqlite:%s\n"
            "roles = %s\n"
            "agent = yes\n"
            "[zone rack-a]\n"
            "[provider rack]\n"
            "type = static\n"
            "zone = rack-a\n"
            "[template web]\n"
            "roles = base\n"
            "[pool web]\n"
            "port = 80\n",
            stage->state, roles);
    for (int i = 1; i <= 4; i++) {
        fprintf(out,
                "[host r1u0%d]\nprovider = rack\naddress = 127.0.0.%d\nport = 1\n"
                "host-key = SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
                i, i);
    }
    fprintf(out, "\n"
                 "[group web]\n"
                 "template = web\n"
                 "min = 1\n"
                 "desired = 2\n"
                 "max = 4\n"
                 "zones = rack-a\n"
                 "pool = web\n");
    fclose(out);
    free(roles);
}

static inline int stage_setup(void **state)
{
    struct stage *stage = xcalloc(1, sizeof(*stage));
    stage->directory = scratch_make();
    stage->file = xasprintf("%s/cluster.ini", stage->directory);
    stage->state = xasprintf("%s/state/shop.db", stage->directory);
    stage_write_file(stage, stage->file);
    *state = stage;
    return 0;
}

static inline int stage_teardown(void **state)
{
    struct stage *stage = *state;
    scratch_remove(stage->directory);
    free(stage->file);
    free(stage->state);
    free(stage->said);
    free(stage);
    return 0;
}

static inline struct store stage_store(const struct stage *stage)
{
    struct store store;
    struct err e = ERR_NULL;
    if (store_sqlite_open(&store, stage->state, STORE_SQLITE_WRITE, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return store;
}

static inline struct journal *stage_journal(struct store *store, const char *owner)
{
    struct journal *journal;
    enum journal_outcome outcome;
    struct record_lock holder;
    struct err e = ERR_NULL;
    if (journal_open(&journal, store, owner, &outcome, &holder, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(outcome, JOURNAL_OPEN);
    return journal;
}

static inline void stage_put_instance(struct journal *journal, const char *id, const char *machine,
                                      enum lifecycle lifecycle)
{
    const struct record_instance record = {.id = (char *)(uintptr_t)id,
                                           .group = "web",
                                           .zone = "rack-a",
                                           .provider = "rack",
                                           .machine = (char *)(uintptr_t)machine,
                                           .address = "127.0.0.1",
                                           .port = 1,
                                           .template = "web",
                                           .lifecycle = lifecycle,
                                           .created_ms = clock_wall_ms()};
    journal_put_instance(journal, &record);
}

/* The store as an apply leaves it: web-1 and web-2 in service, web-3 detached. */
static inline void stage_fill(const struct stage *stage)
{
    struct store store = stage_store(stage);
    struct journal *journal = stage_journal(&store, "apply");
    struct err e = ERR_NULL;
    stage_put_instance(journal, "web-1", "r1u01", LIFECYCLE_IN_SERVICE);
    stage_put_instance(journal, "web-2", "r1u02", LIFECYCLE_IN_SERVICE);
    stage_put_instance(journal, "web-3", NULL, LIFECYCLE_DETACHED);
    journal_add_event(journal, "web-1", "add", "group web has 0 of 2", "done");
    assert_int_equal(journal_commit(journal, &e), 0);
    journal_close(journal);
    store_close(&store);
}

/* A child that runs `lamplighter` with WORDS; its standard output and error are the pipe's. */
static inline pid_t stage_start(char **words, int count, int output)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        int status = cli_main(count, words);
        fflush(NULL);
        _exit(status);
    }
    return pid;
}

/* Runs `lamplighter -c FILE LINE`; its exit status. LINE's words are parted by single spaces. */
static inline int stage_run(struct stage *stage, const char *line)
{
    char *words[STAGE_WORDS_MAX + 4] = {"lamplighter", "-c", stage->file};
    int count = 3;
    char *copy = xstrdup(line);
    char *rest = copy;
    char *word;
    while ((word = strsep(&rest, " ")) != NULL && count < STAGE_WORDS_MAX) {
        if (*word != '\0') {
            words[count++] = word;
        }
    }
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = stage_start(words, count, ends[1]);
    close(ends[1]);
    struct str said = STR_NULL;
    char bytes[4096];
    ssize_t length;
    while ((length = read(ends[0], bytes, sizeof(bytes))) > 0) {
        str_add_bytes(&said, bytes, (size_t)length);
    }
    close(ends[0]);
    free(copy);
    free(stage->said);
    str_add(&said, "");
    stage->said = xstrdup(str_text(&said));
    str_deinit(&said);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Runs LINE, which must end with WANTED and have said SAID (NULL: whatever). */
static inline void stage_expect(struct stage *stage, const char *line, int wanted, const char *said)
{
    int status = stage_run(stage, line);
    if (status != wanted || (said != NULL && strstr(stage->said, said) == NULL)) {
        fail_msg("%s: exit status %d, expected %d and \"%s\": %s", line, status, wanted,
                 said == NULL ? "" : said, stage->said);
    }
}

#endif
