/* Removing what a stranger filled. */
#ifndef PROVIDER_REMOVE_TREE_H
#define PROVIDER_REMOVE_TREE_H

struct err;

/*
 * Removes everything in the open directory except the entry KEEP (NULL: nothing is kept). Never
 * follows a link and never goes into another file system or mount: faults there instead. Works for
 * any depth of directories with a bounded number of open files. Can be repeated.
 */
int remove_tree_contents(int directory, const char *keep, struct err *e);

#endif
