#include "cli/cli.h"

#include "base/log.h"
#include "base/str.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const struct cli_command cli_commands[] = {
    {"check", "", "check the cluster file and the roles it names",
     "Reads the file, what it includes and every role it names; tells all mistakes with\n"
     "file and line. Touches no host.",
     cmd_check},
    {"plan", "[--diff]", "say what apply would do, and change nothing",
     "Looks at every host (role scripts run in check mode), every balancer and every\n"
     "provider, then tells each step that apply would take, with its reason. Exit status\n"
     "3 when a safety rule forbids a step.",
     cmd_plan},
    {"apply", "[--check] [--diff]", "make the hosts as the cluster file says",
     "Observes, decides, records, acts, until nothing is left to do. Safe to interrupt and\n"
     "to repeat. --check: the same as plan.",
     cmd_apply},
    {"status", "", "show groups, instances and what each witness says",
     "Asks providers, health endpoints and balancers now. PROBE is our own check, BALANCER\n"
     "is HAProxy's; where they differ the reason is beside them.",
     cmd_status},
    {"events", "[-n COUNT] [--verify]", "show what was done, to what, why, how it ended",
     "--verify checks the hash chain over all events.", cmd_events},
    {"exec", "GROUP|HOST|all -- COMMAND...", "run a command on hosts, side by side",
     "Output is prefixed with the host's name. Exit status: the worst of all; 255 when a host\n"
     "could not be reached.",
     cmd_exec},
    {"ssh", "HOST [-- COMMAND...]", "log in to a host with the OpenSSH client and the pinned key",
     NULL, cmd_ssh},
    {"image",
     "capture NAME --from HOST | list | show|verify|use|protect|deprecate|delete NAME@GEN...",
     "golden images: take one from a running host, look at them, choose",
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
    OPTION_FROM,
    OPTION_WITHOUT,
    OPTION_ALLOW_DOWNGRADE,
};

static const struct option options[] = {
    {"file", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"verbose", no_argument, NULL, 'v'},
    {"parallel", required_argument, NULL, 'p'},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"diff", no_argument, NULL, OPTION_DIFF},
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"from", required_argument, NULL, OPTION_FROM},
    {"without", required_argument, NULL, OPTION_WITHOUT},
    {"allow-downgrade", no_argument, NULL, OPTION_ALLOW_DOWNGRADE},
    {NULL, 0, NULL, 0},
};

static const char *nearest_command(const char *name)
{
    const char *words[32];
    size_t count = 0;
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        words[count++] = c->name;
    }
    return text_nearest(name, words, count);
}

/* 0 to go on, else the exit status + 1. */
static int take_option(struct cli *cli, int option, const char **command)
{
    int64_t number;
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
    case OPTION_FROM: cli->from = optarg; return 0;
    case OPTION_ALLOW_DOWNGRADE: cli->allow_downgrade = true; return 0;
    case OPTION_WITHOUT:
        if (cli->without_count == sizeof(cli->without) / sizeof(cli->without[0])) {
            return 1 + cli_usage(NULL, "--without: given more than 16 times");
        }
        cli->without[cli->without_count++] = optarg;
        return 0;
    case 'h': *command = "help"; return 0;
    case 'V': *command = "version"; return 0;
    default:
        return 1 +
               cli_usage(NULL, option == ':' ? "option '%s' needs a value" : "no such option '%s'",
                         optopt != 0 && optopt < 256 ? (char[]){'-', (char)optopt, '\0'} : "given");
    }
}

/* What follows the others' names may be another program's command line. */
static bool takes_options_anywhere(const char *command)
{
    return text_equal(command, "image");
}

int cli_main(int argc, char **argv)
{
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    struct cli cli = {.file = "cluster.ini"};
    const char *forced = NULL;
    const char *name = NULL;
    char **words = argv + 1; /* Kept where words stood that were taken already. */
    int word_count = 0;
    int option;
    opterr = 0;
    /* Options may stand before and after the command; what follows "--" is the command's own. */
    while (optind < argc) {
        option = getopt_long(argc, argv, "+:c:jvp:n:hV", options, NULL);
        if (option == -1) {
            bool is_ours = name == NULL || takes_options_anywhere(name);
            if (text_equal(argv[optind - 1], "--") || !is_ours) {
                break;
            }
            if (name == NULL) {
                name = argv[optind++];
            } else {
                words[word_count++] = argv[optind++];
            }
            continue;
        }
        int done = take_option(&cli, option, &forced);
        if (done != 0) {
            return done - 1;
        }
    }
    while (optind < argc) {
        words[word_count++] = argv[optind++];
    }
    cli.argc = word_count;
    cli.argv = words;
    char *explained[] = {(char *)name, NULL};
    if (forced != NULL) {
        /* "lamplighter apply --help" explains apply. */
        cli.argv = explained;
        cli.argc = name == NULL ? 0 : 1;
        name = forced;
    }
    if (name == NULL) {
        cmd_help(&(struct cli){.argc = 0});
        return CLI_USAGE;
    }
    const struct cli_command *command = cli_find(name);
    if (command == NULL) {
        const char *nearest = nearest_command(name);
        return cli_usage(NULL, "no command '%s'%s%s%s", name,
                         nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                         nearest == NULL ? "" : "'?");
    }
    log_set_level(cli.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    return command->run(&cli);
}
