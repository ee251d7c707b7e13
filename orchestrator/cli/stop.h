/* Commands that can be stopped between two steps. */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>

/*
 * From now on the first SIGINT or SIGTERM says TEXT (a constant) on standard error and makes what
 * is returned true; the second ends the program at once, which is safe too.
 */
const volatile bool *stop_catch(const char *text);

#endif
