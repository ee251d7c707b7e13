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
struct template_version;

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

/*
 * What an instance is configured by: its group, the template whose roles and settings it has, and
 * the one it was made by, whose user-data it runs. Indices of the spec.
 */
struct site_recipe {
    size_t group;
    size_t kept;
    size_t made;
};

/* The settings that hold: cluster's, template's, group's; the last one wins. *ret_settings borrows
   from SITE; the caller frees the array. */
void site_settings(const struct site *site, const struct site_recipe *recipe,
                   struct role_setting **ret_settings, size_t *ret_count);

/* The roles, in order; with user-data the role that runs it is the last. The names are borrowed
   from SITE; the caller frees the array. */
void site_roles(const struct site *site, const struct site_recipe *recipe, const char ***ret_names,
                size_t *ret_count);

/*
 * One more template in the spec, behind those of the file: a version that the file does not say any
 * more. Its roles are loaded and its settings checked as the file's are; what is wrong goes to
 * PROBLEMS, and it is there all the same. Returns its index.
 */
size_t site_take_version(struct site *site, const struct template_version *version,
                         struct problem_list *problems);

#endif
