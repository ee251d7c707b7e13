/* The shell functions every host script begins with: prelude.sh, kept in the program. */
#ifndef ROLE_PRELUDE_H
#define ROLE_PRELUDE_H

#include "base/str.h"

/* Adds the common part and those of SECTIONS (each as " NAME ") to SCRIPT, with what they need. */
void prelude_add(struct str *script, const char *sections);
/* Adds one part alone. */
void prelude_add_section(struct str *script, const char *name);

#endif
