#include "cli/cli.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const struct cli_command cli_commands[] = {
    {"check", "", "check the cluster file and the roles it names",
     "Reads the file, what it includes and every role it names; tells all mistakes with\n"
     "file and line. Touches no host.",
     cmd_check},
    {"plan", "[--diff]", "say what apply would do, and change nothing",
     "Looks at every host (role scripts run in check mode), every balancer and every\n"
     "provider, then tells each step that apply would take, with its reason; and for each pool\n"
     "the proof: how many serve at the worst step, and with one more host lost just then. Exit\n"
     "status 3 when a safety rule forbids a step.",
     cmd_plan},
    {"apply", "[--check] [--diff]", "make the hosts as the cluster file says",
     "Observes, decides, records, acts, until nothing is left to do. Safe to interrupt and\n"
     "to repeat. --check: the same as plan.",
     cmd_apply},
    {"run", "", "keep the hosts as the cluster file says, for ever",
     "The same loop as apply, that goes on: watches, mends, replaces, takes in what `lamplighter\n"
     "group` asks for. SIGHUP reads the file again, logs the plan, and refuses a file that is\n"
     "worse than the one it runs. SIGTERM ends it when the running steps have ended; a second\n"
     "one ends it at once, which is safe too.",
     cmd_run},
    {"rehearse", "[--lose WHAT] [--during WHAT] [--seeds N]",
     "play the cluster file through a fault, in simulated time",
     "Touches nothing. --lose: host (the default), zone or zone:NAME (no power for ten minutes),\n"
     "database (of a group that another needs), controller, network (the controller's, two\n"
     "minutes) or nothing. --during: rest, start, change, scale or refresh. Plays N runs (20)\n"
     "that differ in timing, and shows the worst: its timeline, and the fewest that served\n"
     "beside the healthy minimum. Exit status 3 when a minimum was broken in any of them.",
     cmd_rehearse},
    {"status", "[--watch]", "show groups, instances and what each witness says",
     "With a controller that runs: what it sees. Else it asks providers, health endpoints and\n"
     "balancers now. PROBE is our own check, BALANCER is HAProxy's; where they differ, and\n"
     "wherever something is not good, the reason is beside it. --watch draws it anew each\n"
     "second until q; in a pipe it prints a line a change.",
     cmd_status},
    {"why", "NAME|GROUP|cluster", "say why something is as it is, and what would change it",
     "How it stands and since when, the rule and numbers that make it so, what would change the\n"
     "answer. `why not replaced NAME` asks the same. With a controller that runs: its own\n"
     "sentences; else what is seen now, and all clocks start now.",
     cmd_why},
    {"group", "REQUEST [NAME] [--no-wait]", "ask something of a group or an instance",
     "  scale GROUP N           so many instances, until the file says something new\n"
     "  standby ID              out of its pool, and kept; in-service ID: back again\n"
     "  protect ID              from scale-in, and from replacement for age or balance;\n"
     "                          unprotect ID: no more\n"
     "  replace ID              another serves in its place first, then it ends\n"
     "  detach ID [--shrink]    leaves its group and runs on, untouched; another takes its\n"
     "                          place, or with --shrink the group wants one less\n"
     "  attach ID               what was detached, or found, comes (back) into its group\n"
     "  terminate ID            ends a detached one\n"
     "  suspend GROUP PROCESS   launch, terminate, health-check, replace, rebalance, schedule,\n"
     "                          policies, add-to-balancer or change; resume GROUP PROCESS|all\n"
     "  refresh GROUP           members that are not as the file's template (image, size,\n"
     "                          user-data) are replaced by new ones that are;\n"
     "    --image NAME[@N]      ... from this image; new ones come from it from then on\n"
     "    --template N          ... by version N of the template, its roles and settings too\n"
     "    --all                 also those that have it already\n"
     "    --warm-up T, --bake T  in service for so long before the next one, and at the end\n"
     "    --checkpoints 20,50   percent at which it waits, for --checkpoint-delay T or --continue\n"
     "    --alarm 'COMMAND'     run here every 10 s (--alarm-every T): other than exit status 0\n"
     "                          takes it back; words, a shell only as sh -c '...'\n"
     "    --no-rollback         what is bad stops it, and stays\n"
     "    --protected, --standby wait|replace|ignore   (wait)\n"
     "    --allow-downgrade     to an older image than what runs\n"
     "    --wait                until it is over; exit status 1 when it is not done\n"
     "    --continue, --cancel, --rollback, --status   of the one that is under way\n"
     "  pause [NAME]            nothing is done to an instance, a group, the cluster (no name);\n"
     "                          running steps come to their end; unpause [NAME]: go on\n"
     "  retry NAME              forgets failures and quarantine of a group, instance, machine\n"
     "  hook continue|abandon|heartbeat ID\n"
     "                          ends, or lengthens, the wait for a lifecycle hook\n"
     "  list                    how each group stands\n"
     "The running controller takes a request in within a second; the command waits for that and\n"
     "says what became of it. --no-wait: only queues it. Without a controller it waits for the\n"
     "next `run` or `apply`. Exit status 3 when it is refused.",
     cmd_group},
    {"template", "list [NAME] | show NAME [N] | diff NAME N M",
     "show the versions of templates, and who is of which",
     "Each time apply or run begin with a file whose [template] differs from its last version,\n"
     "that is the next one. list: which there are, since when, how many instances were made by\n"
     "each, and what changed. show: what one said (the last, without N). `group refresh` brings\n"
     "a group to the file's, `group refresh GROUP --template N` to another.",
     cmd_template},
    {"events", "[-n COUNT] [--verify]", "show what was done, to what, why, how it ended",
     "--verify checks the hash chain over all events.", cmd_events},
    {"exec", "GROUP|HOST|all -- COMMAND...", "run a command on hosts, side by side",
     "Output is prefixed with the host's name. Exit status: the worst of all; 255 when a host\n"
     "could not be reached.",
     cmd_exec},
    {"ssh", "HOST [-- COMMAND...]", "log in to a host with the OpenSSH client and the pinned key",
     NULL, cmd_ssh},
    {"image",
     "bake TEMPLATE | capture NAME --from HOST | list | show|verify|use|protect|deprecate|delete "
     "NAME@GEN...",
     "golden images: bake one, or take one from a running host; look at them, choose",
     "bake TEMPLATE [--name NAME] [--from IMAGE] [--keep]: a host made from the template's plain\n"
     "  base (or IMAGE), its roles applied, taken as the next generation of NAME (the "
     "template's),\n"
     "  tried on a second host, and only then current. --keep leaves that host standing, "
     "detached.\n"
     "capture NAME --from HOST [--without PATH]...: the host's files, without stopping it, as\n"
     "  the next generation of NAME; what is the host's own is left out, and a private key, a\n"
     "  history or a password is refused with its path (--without leaves that path out).\n"
     "list; show NAME[@GEN]: what there is, whether its signature holds, who stands on it.\n"
     "verify NAME[@GEN]: signature, every byte, sealing, content.\n"
     "diff HOST: what differs from the image it was launched from, by content.\n"
     "use NAME@GEN [--allow-downgrade]: what new instances get.\n"
     "protect, unprotect, deprecate, undeprecate, delete NAME@GEN.",
     cmd_image},
    {"role", "show HOST", "print the very script that apply would run on a host", NULL, cmd_role},
    {"help", "[COMMAND | config [SECTION]]", "explain a command or the cluster file", NULL,
     cmd_help},
    {"version", "", "print the versions of this program and its libraries", NULL, cmd_version},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct cli_command *cli_find(const char *name)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        if (text_equal(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char text[512];
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const struct cli_command *c = command == NULL ? NULL : cli_find(command);
    fprintf(stderr, "lamplighter: %s\n", text);
    if (c != NULL) {
        fprintf(stderr, "usage: lamplighter [-c FILE] %s %s\n", c->name, c->usage);
    } else {
        fprintf(stderr, "usage: lamplighter [-c FILE] COMMAND; see 'lamplighter help'\n");
    }
    return CLI_USAGE;
}

enum {
    OPTION_CHECK = 1000,
    OPTION_DIFF,
    OPTION_VERIFY,
    OPTION_WATCH,
    OPTION_SHRINK,
    OPTION_NO_WAIT,
    OPTION_FROM,
    OPTION_NAME,
    OPTION_KEEP,
    OPTION_WITHOUT,
    OPTION_ALLOW_DOWNGRADE,
    OPTION_LOSE,
    OPTION_DURING,
    OPTION_SEEDS,
    OPTION_IMAGE,
    OPTION_TEMPLATE,
    OPTION_WARM_UP,
    OPTION_BAKE,
    OPTION_CHECKPOINTS,
    OPTION_CHECKPOINT_DELAY,
    OPTION_ALARM,
    OPTION_ALARM_EVERY,
    OPTION_PROTECTED,
    OPTION_STANDBY,
    OPTION_ALL,
    OPTION_NO_ROLLBACK,
    OPTION_WAIT,
    OPTION_CONTINUE,
    OPTION_CANCEL,
    OPTION_ROLLBACK,
    OPTION_STATUS,
};

static const struct option options[] = {
    {"file", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"verbose", no_argument, NULL, 'v'},
    {"parallel", required_argument, NULL, 'p'},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"diff", no_argument, NULL, OPTION_DIFF},
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"watch", no_argument, NULL, OPTION_WATCH},
    {"shrink", no_argument, NULL, OPTION_SHRINK},
    {"no-wait", no_argument, NULL, OPTION_NO_WAIT},
    {"from", required_argument, NULL, OPTION_FROM},
    {"name", required_argument, NULL, OPTION_NAME},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"without", required_argument, NULL, OPTION_WITHOUT},
    {"allow-downgrade", no_argument, NULL, OPTION_ALLOW_DOWNGRADE},
    {"lose", required_argument, NULL, OPTION_LOSE},
    {"during", required_argument, NULL, OPTION_DURING},
    {"seeds", required_argument, NULL, OPTION_SEEDS},
    {"image", required_argument, NULL, OPTION_IMAGE},
    {"template", required_argument, NULL, OPTION_TEMPLATE},
    {"warm-up", required_argument, NULL, OPTION_WARM_UP},
    {"bake", required_argument, NULL, OPTION_BAKE},
    {"checkpoints", required_argument, NULL, OPTION_CHECKPOINTS},
    {"checkpoint-delay", required_argument, NULL, OPTION_CHECKPOINT_DELAY},
    {"alarm", required_argument, NULL, OPTION_ALARM},
    {"alarm-every", required_argument, NULL, OPTION_ALARM_EVERY},
    {"protected", required_argument, NULL, OPTION_PROTECTED},
    {"standby", required_argument, NULL, OPTION_STANDBY},
    {"all", no_argument, NULL, OPTION_ALL},
    {"no-rollback", no_argument, NULL, OPTION_NO_ROLLBACK},
    {"wait", no_argument, NULL, OPTION_WAIT},
    {"continue", no_argument, NULL, OPTION_CONTINUE},
    {"cancel", no_argument, NULL, OPTION_CANCEL},
    {"rollback", no_argument, NULL, OPTION_ROLLBACK},
    {"status", no_argument, NULL, OPTION_STATUS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

const char *cli_nearest(const char *name)
{
    const char *words[32];
    size_t count = 0;
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        words[count++] = c->name;
    }
    return text_nearest(name, words, count);
}

/* WRITTEN: the word of the command line that the option was in. */
static int bad_option(int option, const char *written)
{
    if (option == ':') {
        return cli_usage(NULL, "option '%s' needs a value", written);
    }
    if (!text_starts(written, "--")) {
        return cli_usage(NULL, "no such option '-%c'", optopt);
    }
    char name[64];
    text_copy(name, sizeof(name), written + 2);
    name[strcspn(name, "=")] = '\0';
    const char *words[sizeof(options) / sizeof(options[0])];
    size_t count = 0;
    for (const struct option *o = options; o->name != NULL; o++) {
        if (text_equal(o->name, name)) {
            return cli_usage(NULL, "option '--%s' takes no value", name);
        }
        words[count++] = o->name;
    }
    const char *nearest = text_nearest(name, words, count);
    return cli_usage(NULL, "no such option '--%s'%s%s%s", name,
                     nearest == NULL ? "" : "; did you mean '--", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

/* Those of `group refresh`; false: it is none of them. */
static bool take_refresh(struct cli_refresh *refresh, int option)
{
    switch (option) {
    case OPTION_IMAGE: refresh->image = optarg; return true;
    case OPTION_TEMPLATE: refresh->template = optarg; return true;
    case OPTION_WARM_UP: refresh->warm_up = optarg; return true;
    case OPTION_BAKE: refresh->bake = optarg; return true;
    case OPTION_CHECKPOINTS: refresh->checkpoints = optarg; return true;
    case OPTION_CHECKPOINT_DELAY: refresh->checkpoint_delay = optarg; return true;
    case OPTION_ALARM: refresh->alarm = optarg; return true;
    case OPTION_ALARM_EVERY: refresh->alarm_every = optarg; return true;
    case OPTION_PROTECTED: refresh->protected_ones = optarg; return true;
    case OPTION_STANDBY: refresh->standby_ones = optarg; return true;
    case OPTION_ALL: refresh->all = true; return true;
    case OPTION_NO_ROLLBACK: refresh->no_rollback = true; return true;
    case OPTION_WAIT: refresh->wait = true; return true;
    case OPTION_CONTINUE: refresh->go_on = true; return true;
    case OPTION_CANCEL: refresh->cancel = true; return true;
    case OPTION_ROLLBACK: refresh->back = true; return true;
    case OPTION_STATUS: refresh->status = true; return true;
    default: return false;
    }
}

/* 0 to go on, else the exit status + 1. */
static int take_option(struct cli *cli, int option, const char *written, const char **command)
{
    int64_t number;
    if (take_refresh(&cli->refresh, option)) {
        return 0;
    }
    switch (option) {
    case 'c': cli->file = optarg; return 0;
    case 'j': cli->json = true; return 0;
    case 'v': cli->verbose = true; return 0;
    case 'p':
        if (!text_to_int(optarg, 1, 1000, &number)) {
            return 1 + cli_usage(NULL, "--parallel: expected a number from 1 to 1000, got '%s'",
                                 optarg);
        }
        cli->parallel = (unsigned)number;
        return 0;
    case 'n':
        if (!text_to_int(optarg, 1, 1000000, &number)) {
            return 1 + cli_usage(NULL, "-n: expected a number from 1 to 1000000, got '%s'", optarg);
        }
        cli->limit = (unsigned)number;
        return 0;
    case OPTION_CHECK: cli->check = true; return 0;
    case OPTION_DIFF: cli->diff = true; return 0;
    case OPTION_VERIFY: cli->verify = true; return 0;
    case OPTION_WATCH: cli->watch = true; return 0;
    case OPTION_SHRINK: cli->shrink = true; return 0;
    case OPTION_NO_WAIT: cli->no_wait = true; return 0;
    case OPTION_FROM: cli->from = optarg; return 0;
    case OPTION_NAME: cli->name = optarg; return 0;
    case OPTION_KEEP: cli->keep = true; return 0;
    case OPTION_ALLOW_DOWNGRADE: cli->allow_downgrade = true; return 0;
    case OPTION_WITHOUT:
        if (cli->without_count == sizeof(cli->without) / sizeof(cli->without[0])) {
            return 1 + cli_usage(NULL, "--without: given more than 16 times");
        }
        cli->without[cli->without_count++] = optarg;
        return 0;
    case OPTION_LOSE: cli->lose = optarg; return 0;
    case OPTION_DURING: cli->during = optarg; return 0;
    case OPTION_SEEDS:
        if (!text_to_int(optarg, 1, 100000, &number)) {
            return 1 +
                   cli_usage(NULL, "--seeds: expected a number from 1 to 100000, got '%s'", optarg);
        }
        cli->seeds = (unsigned)number;
        return 0;
    case 'h': *command = "help"; return 0;
    case 'V': *command = "version"; return 0;
    default: return 1 + bad_option(option, written);
    }
}

/* What follows the name is another program's command line: no option of ours is in it. */
static bool is_verbatim(const char *name)
{
    return text_equal(name, "exec") || text_equal(name, "ssh");
}

/*
 * Options may stand before and after the command and among its words; what follows "--" is the
 * command's own. The words go to cli->argv, which has room for all. 0, or the exit status + 1.
 */
static int take_words(struct cli *cli, int argc, char **argv, const char **ret_name,
                      const char **ret_forced)
{
    opterr = 0;
    while (optind < argc) {
        const char *written = argv[optind];
        int option = getopt_long(argc, argv, "+:c:jvp:n:hV", options, NULL);
        if (option == -1) {
            if (text_equal(argv[optind - 1], "--") || is_verbatim(*ret_name)) {
                break;
            }
            if (*ret_name == NULL) {
                *ret_name = argv[optind++];
            } else {
                cli->argv[cli->argc++] = argv[optind++];
            }
            continue;
        }
        int done = take_option(cli, option, written, ret_forced);
        if (done != 0) {
            return done;
        }
    }
    while (optind < argc) {
        cli->argv[cli->argc++] = argv[optind++];
    }
    return 0;
}

static int run_command(struct cli *cli, const char *name, const char *forced)
{
    char *explained[] = {(char *)name, NULL};
    if (forced != NULL) {
        /* "lamplighter apply --help" explains apply. */
        cli->argv = explained;
        cli->argc = name == NULL ? 0 : 1;
        name = forced;
    }
    if (name == NULL) {
        cmd_help(&(struct cli){.argc = 0});
        return CLI_USAGE;
    }
    const struct cli_command *command = cli_find(name);
    if (command == NULL) {
        const char *nearest = cli_nearest(name);
        return cli_usage(NULL, "no command '%s'%s%s%s", name,
                         nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                         nearest == NULL ? "" : "'?");
    }
    log_set_level(cli->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    return command->run(cli);
}

int cli_main(int argc, char **argv)
{
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    char **words = xcalloc((size_t)argc + 1, sizeof(*words));
    struct cli cli = {.file = "cluster.ini", .argv = words};
    const char *forced = NULL;
    const char *name = NULL;
    int done = take_words(&cli, argc, argv, &name, &forced);
    int status = done != 0 ? done - 1 : run_command(&cli, name, forced);
    free(words);
    return status;
}
