#include "cli/stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile bool wanted;
static const char *said;

static void on_signal(int number)
{
    if (wanted) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    wanted = true;
    ssize_t ignored = write(STDERR_FILENO, said, strlen(said));
    (void)ignored;
}

const volatile bool *stop_catch(const char *text)
{
    struct sigaction action = {.sa_handler = on_signal};
    said = text;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &wanted;
}
