/*
 * Signatures: ECDSA on P-256 over SHA-256 (mbedTLS), as one line of text that names its key.
 * The private key is a PEM file of mode 0600; public keys are PEM too, several in a file.
 */
#ifndef NET_SIGNATURE_H
#define NET_SIGNATURE_H

#include "base/str.h"

#include <stddef.h>

struct err;

/*
 * Makes the pair when PRIVATE_PATH is absent, and PUBLIC_PATH from it when only that is. The
 * directory must be there. Either file is whole or not there.
 */
int signature_make_keys(const char *private_path, const char *public_path, struct err *e);

/*
 * Signs BYTES with the key in PRIVATE_PATH: adds "ecdsa-p256-sha256 KEY-ID BASE64" to RET_LINE.
 * KEY-ID is the start of the public key's SHA-256. Refuses a key file that others can read.
 */
int signature_sign(const char *private_path, const void *bytes, size_t length, struct str *ret_line,
                   struct err *e);

enum signature_outcome {
    SIGNATURE_GOOD,
    SIGNATURE_BAD,     /* The bytes are not those that were signed, or the line is damaged. */
    SIGNATURE_UNKNOWN, /* Made with none of the given keys. */
};
/*
 * Checks LINE over BYTES against every key in PUBLIC_KEYS (PEM text). Faults when there is no
 * usable key in it.
 */
int signature_check(const char *public_keys, const void *bytes, size_t length, const char *line,
                    enum signature_outcome *ret_outcome, struct err *e);

#endif
