/*
 * Everything a user wrote, loaded and checked: the cluster file, the roles it names, the secrets
 * and the login key. Read-only afterwards.
 */
#ifndef CONTROLLER_SITE_H
#define CONTROLLER_SITE_H

#include "base/secret.h"
#include "role/role.h"
#include "spec/spec.h"

struct err;
struct problem_list;

/* The role that runs a template's user-data, once in a host's life. */
#define SITE_USER_DATA_ROLE "user-data"

struct site {
    char *path;                   /* Owned; the cluster file as the user named it. */
    struct spec *spec;            /* Owned. */
    struct role_library *library; /* Owned. */
    struct secret *secrets;       /* Owned; one for each spec secret; empty until site_unlock(). */
    char **user_data;     /* Owned; one for each template: its script as a setting; or NULL. */
    char *login_key_file; /* Owned; private key. NULL: agent only. */
    char *login_key;      /* Owned; its public line; NULL until site_unlock(). */
    /* Of the cookies of sticky pools, the same for all; empty until site_unlock(), and where no
       pool is sticky. */
    struct secret sticky_key;
};

/* Loads and checks files and roles; reads no secret. All mistakes go to PROBLEMS; -1 if any. */
int site_load(struct site *ret_site, const char *path, struct problem_list *problems);
void site_deinit(struct site *site);

/*
 * Reads secrets and keys. With MAKE, makes what is absent and may be made (the login key, the key
 * of sticky pools' cookies, secrets with generate = N); without, it counts as "made later".
 */
int site_unlock(struct site *site, bool make, struct err *e);

/* The settings that hold for a group: cluster's, template's, group's; the last one wins.
 *ret_settings borrows from SITE; the caller frees the array. */
void site_settings(const struct site *site, size_t group, struct role_setting **ret_settings,
                   size_t *ret_count);

/* The roles of a template, in order; with user-data the role that runs it is the last. The names
   are borrowed from SITE; the caller frees the array. */
void site_roles(const struct site *site, size_t template, const char ***ret_names,
                size_t *ret_count);

#endif
