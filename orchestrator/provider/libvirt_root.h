/*
 * The root of a container: an overlay over an image, with the instance's own files put in before
 * its first boot. What an instance on a virtual disk will need instead of this is another such
 * file; the directory around it and the files in it stay the same.
 */
#ifndef PROVIDER_LIBVIRT_ROOT_H
#define PROVIDER_LIBVIRT_ROOT_H

#include "provider/image_base.h"
#include "provider/instance_dir.h"
#include "provider/root_files.h"

#include <stdbool.h>
#include <stdint.h>

struct err;

/* What the root stands on, as image_base_find() told; the caller's; NULL: not chosen yet. */
int libvirt_root_base(const struct instance_dir *dir, char **ret_base, struct err *e);

/* What that is, as image_base_describe() told when the root was made; the caller's; NULL: not
 * known.
 */
int libvirt_root_description(const struct instance_dir *dir, char **ret_text, struct err *e);

/* Has the root been mounted and given its files once? Then it may hold a guest's work. */
int libvirt_root_ready(const struct instance_dir *dir, bool *ret_ready, struct err *e);

/*
 * Makes the root in DIR over BASE (image_base.h) and puts FILES in; takes up where an interrupted
 * call ended. For a root that is not ready yet. (host_key in FILES is filled in here.)
 */
int libvirt_root_make(const struct instance_dir *dir, const struct image_source *source,
                      const char *base, const struct root_files *files, struct err *e);

/* Mounts it when it is not (after a reboot): over the very image it was made on. */
int libvirt_root_mount(const struct instance_dir *dir, const struct image_source *source,
                       int64_t deadline_ms, struct err *e);

/* Unmounts it; see overlay_unmount(). */
int libvirt_root_unmount(const struct instance_dir *dir, int64_t deadline_ms, struct err *e);

/*
 * The program that a container on the image with its files at LOWER starts with: a constant. Ours,
 * when the image has it (images/README.md says why), else its own init.
 */
const char *libvirt_root_init(const char *lower);

/* "ssh-ed25519 BASE64", the caller's; NULL when the root is not ready. */
int libvirt_root_host_key(const struct instance_dir *dir, char **ret_key, struct err *e);

#endif
