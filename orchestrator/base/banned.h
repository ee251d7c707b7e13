/*
 * Forced into every source file by the Makefile (-include): what must never be called does not
 * compile. Each has a safe replacement in base/.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol system popen gets

#endif
