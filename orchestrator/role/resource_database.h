/* [database]: a MariaDB database and its user. */
#ifndef ROLE_RESOURCE_DATABASE_H
#define ROLE_RESOURCE_DATABASE_H

#include "role/compiler.h"

extern const struct role_key resource_database_keys[];
void resource_database_emit(struct compiler *c, const struct ini_section *section);

#endif
