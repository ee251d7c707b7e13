/*
 * What most commands need, opened in the one right order: worker processes, files, secrets, store,
 * lock, controller; and closed in the reverse of it.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/cli.h"
#include "controller/controller.h"

enum session_mode {
    SESSION_READ, /* plan, status, exec: takes no lock, writes nothing. */
    SESSION_ACT,  /* apply: makes what is absent, takes the lock of who acts. */
    /* image bake: acts when nobody else does; else (journal is NULL) asks who does, by request. */
    SESSION_JOIN,
};

struct session {
    struct site site;
    struct crew *crew;
    struct store store;
    struct journal *journal;
    struct controller *controller;
    char owner[160];       /* "apply on host7, pid 4711" */
    const struct cli *cli; /* Borrowed. */
};

/* SESSION_JOIN, where another acted: takes the lock if that one has ended; journal says whether. */
int session_try_act(struct session *session, struct err *e);

/* CLI_DONE, or the exit status after the error was told. WATCH may be NULL. */
int session_open(struct session *ret_session, const struct cli *cli, enum session_mode mode,
                 const char *command, const struct controller_watch *watch);
void session_close(struct session *session);

/* "; did you mean 'web-1'?" for a NAME that no instance, machine (or, with GROUPS, group) has;
   where nothing is near, where to look. SIZE 120 is enough. */
void session_did_you_mean(const struct session *session, const char *name, bool groups,
                          char *ret_text, size_t size);

/* Loads and checks the files only; problems are printed. */
int session_load_site(struct site *ret_site, const struct cli *cli);

#endif
