/*
 * Versions of templates: what [template NAME] of the cluster file said, resolved (the numbers of
 * its size, the script and not the name of its file), numbered from 1 and kept for good. A file
 * whose template differs from the last version makes the next one; apply and run write it down.
 *
 * A version has two halves. What is fixed when an instance is made: image, size, user-data; only
 * another instance changes it. And what is kept in place: roles and settings.
 *
 * Content is what the core compares (world_instance.content): the image's file tree and, mixed into
 * it, a digest of the other things that are fixed. Instances of before there were versions have
 * that of their image alone, and so has every version that is the same as theirs.
 */
#ifndef CONTROLLER_TEMPLATE_VERSION_H
#define CONTROLLER_TEMPLATE_VERSION_H

#include "spec/spec.h"
#include "store/record.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct str;

struct template_version {
    struct record_template record; /* Owned. */
    json_t *parts;                 /* Owned; its text, read. */
    bool fresh;                    /* The file says so, no store has it yet. */
    size_t index; /* Of its spec_template: the file's own, or one that was added; SPEC_NONE. */
    bool checked; /* It was added, and nothing was wrong with it. */
};

struct template_versions {
    struct template_version *items; /* Owned; those of one template in order. */
    size_t count;
    size_t *of_file; /* Owned; beside the templates of the spec: which item is what the file says
                        now; SPEC_NONE: one that was added to it. */
    size_t file_count;
};
#define TEMPLATE_VERSIONS_NULL ((struct template_versions){.items = NULL})

/*
 * Those of STORE (one without ops has none), and what the templates of SPEC are. Of INSTANCES, all
 * there are, those of before there were versions are given theirs.
 */
int template_versions_load(struct store *store, const struct spec *spec,
                           struct record_instance *instances, size_t instance_count,
                           struct template_versions *ret_versions, struct err *e);
void template_versions_deinit(struct template_versions *versions); /* Idempotent. */

/* What template TEMPLATE of the file is now. NULL when VERSIONS is empty, as all of these do. */
const struct template_version *template_version_of_file(const struct template_versions *versions,
                                                        size_t template);
const struct template_version *template_version_find(const struct template_versions *versions,
                                                     const char *name, unsigned number);
/* What the instance was made by; NULL: not known. */
const struct template_version *template_version_of(const struct template_versions *versions,
                                                   const struct record_instance *instance);
/* How many NAME has, unwritten ones too. */
unsigned template_version_last(const struct template_versions *versions, const char *name);

/* "web version 2", for records and people, the caller's; NULL for NULL. */
char *template_version_ref(const struct template_version *version);
const struct template_version *template_version_from_ref(const struct template_versions *versions,
                                                         const char *ref);

/* What an instance of VERSION has beside its image, as a number; 0 for NULL. */
uint64_t template_version_launch(const struct template_versions *versions,
                                 const struct template_version *version);
/* The content of the file tree TREE and LAUNCH, and back: it is its own inverse. 0 (not known)
   stays 0. */
uint64_t template_version_content(uint64_t tree, uint64_t launch);

bool template_version_same_size(const struct template_version *a, const struct template_version *b);
const char *template_version_image(const struct template_version *version); /* NULL: none. */
/* "memory 256M -> 512M, php.workers 4 -> 8, user-data changed"; nothing when they are the same. */
void template_version_add_changes(const struct template_version *from,
                                  const struct template_version *to, struct str *text);
/* As a cluster file would say it, line by line. */
void template_version_add_text(const struct template_version *version, struct str *text);
/* As a template of a spec, the caller's; its places are PLACE. *ret_sized: it has a size; its index
   is left to the caller. False when a newer Lamplighter wrote what cannot be read. */
bool template_version_to_spec(const struct template_version *version, struct spec_place place,
                              struct spec_template *ret_template, struct spec_size *ret_size,
                              bool *ret_sized);

#endif
