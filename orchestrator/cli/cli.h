/*
 * The command line: one table lists the commands, one file is a command. Exit status: 0 done,
 * 1 failed, 2 usage, 3 refused by a safety rule.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum cli_status { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_REFUSED = 3 };

/* The options every command shares, and what is left for the command itself. */
struct cli {
    const char *file; /* -c; default cluster.ini. */
    bool json;
    bool verbose;
    bool check; /* apply --check: plan instead. */
    bool diff;
    bool verify;             /* events --verify */
    bool watch;              /* status --watch */
    bool shrink;             /* group detach --shrink */
    bool no_wait;            /* group: queue only. */
    unsigned parallel;       /* 0: the file's. */
    unsigned limit;          /* -n; 0: the command's default. */
    const char *from;        /* image capture, bake --from; NULL: not given. */
    const char *name;        /* image bake --name; NULL: the template's. */
    bool keep;               /* image bake --keep */
    const char *without[16]; /* image capture --without, as often as given. */
    size_t without_count;
    bool allow_downgrade; /* image use */
    /* group refresh: as they were written; NULL: not given. */
    struct cli_refresh {
        const char *image, *template, *warm_up, *bake, *checkpoints, *checkpoint_delay, *alarm,
            *alarm_every;
        const char *protected_ones, *standby_ones;
        bool all, no_rollback, wait;
        bool go_on, cancel, back, status; /* --continue, --cancel, --rollback, --status. */
    } refresh;
    const char *lose;   /* rehearse --lose; NULL: its default. */
    const char *during; /* rehearse --during; likewise. */
    unsigned seeds;     /* rehearse --seeds; 0: its default. */
    int argc;           /* Words after the command's name. */
    char **argv;
};

struct cli_command {
    const char *name;
    const char *usage;   /* What follows the name. */
    const char *summary; /* One line. */
    const char *help;    /* Paragraphs; may be NULL. */
    int (*run)(const struct cli *cli);
};

/* The table; ends with a NULL name. */
extern const struct cli_command cli_commands[];
const struct cli_command *cli_find(const char *name);
/* The command whose name is nearest to NAME, or NULL. */
const char *cli_nearest(const char *name);

int cli_main(int argc, char **argv);

/* Says what is wrong with the command line and how it should be. Always CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

int cmd_check(const struct cli *cli);
int cmd_plan(const struct cli *cli);
int cmd_apply(const struct cli *cli);
int cmd_run(const struct cli *cli);
int cmd_status(const struct cli *cli);
int cmd_group(const struct cli *cli);
int cmd_why(const struct cli *cli);
int cmd_rehearse(const struct cli *cli);
int cmd_events(const struct cli *cli);
int cmd_exec(const struct cli *cli);
int cmd_ssh(const struct cli *cli);
int cmd_role(const struct cli *cli);
int cmd_image(const struct cli *cli);
int cmd_template(const struct cli *cli);
int cmd_help(const struct cli *cli);
int cmd_version(const struct cli *cli);

#endif
